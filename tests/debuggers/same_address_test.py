# SPDX-License-Identifier: Apache-2.0
"""Two libraries, one after the other at the same address: each block's stack names its own library's
function, also when the library is gone or has come back."""

import harness


class SameAddress(harness.DebuggerTest):
    def play(self, debug_symbols: bool, program: str = "track_same_address",
             library: str = "swap_module", callers: tuple[str, ...] = ("allocate_in", "main")) -> None:
        plain = harness.run_plain(program)
        self.assertEqual(plain.status, 0, "the loader did not reuse the address")
        session = harness.Session(program, debug_symbols=debug_symbols)
        session.stop_at()
        session.run()
        report = session.ledger()
        outcome = session.execute()
        found = harness.allocations(report.value)
        self.assertEqual([label.name for label in outcome.truth],
                         ["first_allocates", "second_allocates"] * 2, outcome.text)
        for label in outcome.truth:
            block = found[label.address]
            self.assertEqual(block.size, label.size)
            functions = [frame["function"] for frame in block.real_frames()]
            other = "second" if label.name.startswith("first") else "first"
            self.assertEqual(functions[:2 + len(callers)], ["inner", label.name, *callers],
                             f"block {label.size}: {functions}")
            modules = [frame["module"] for frame in block.real_frames()[:2]]
            self.assertEqual(modules, [f"{library}_{label.name.split('_')[0]}.so"] * 2)
            self.assertFalse([f for f in functions if f.startswith(other)])

    def test_stacks_name_the_right_library(self) -> None:
        self.play(debug_symbols=True)

    def test_swapped_under_a_thread(self) -> None:
        """The thread's previous stack is the same to the last word."""
        self.play(True, "track_swapped_under_thread", "swap_twin", ("worker",))

    def test_without_debug_symbols(self) -> None:
        self.play(debug_symbols=False)


if __name__ == "__main__":
    harness.main()
