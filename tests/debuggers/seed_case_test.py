# SPDX-License-Identifier: Apache-2.0
"""The case the project began with: a thread `child` calls `fibonacci`, which allocates 8192 bytes a
step and never frees them. Stopped after five steps; then the same with the free added."""

import re

import harness


class SeedCase(harness.DebuggerTest):
    def top(self, *arguments: str, **options) -> tuple[str, harness.Outcome]:
        session = harness.Session(harness.DEMO / "fibonacci", *arguments, **options)
        session.stop_at("checkpoint")
        session.run()
        answer = session.leaks("top --addresses")
        outcome = session.execute()
        return answer.value, outcome

    def assert_seed_answer(self, text: str, outer: str = r"start_thread\+0x[0-9a-f]+ ") -> None:
        block = re.compile(
            r"(?P<addresses>(?:\s*addr = [0-9a-f]+ size = 8192\n){5})"
            r"\s*40960 bytes in 5 allocations from stack\n"
            r"\s*fibonacci\+0x[0-9a-f]+ \[fibonacci\][^\n]*\n"
            r"\s*child\+0x[0-9a-f]+ \[fibonacci\][^\n]*\n"
            r"\s*" + outer + r"\[libc\.so\.6[^\n]*\n")
        match = block.search(text)
        self.assertIsNotNone(match, text)
        addresses = re.findall(r"addr = ([0-9a-f]+)", match.group("addresses"))
        self.assertEqual(len(set(addresses)), 5, text)
        self.assertEqual(text.count("size = 8192"), 5, text)

    def test_five_steps_are_five_blocks_from_one_stack(self) -> None:
        text, outcome = self.top()
        self.assert_seed_answer(text)
        self.assertEqual(outcome.status, 0, outcome.text)

    def test_source_lines_are_named(self) -> None:
        text, _ = self.top()
        self.assertRegex(text, r"fibonacci\+0x[0-9a-f]+ \[fibonacci\] fibonacci\.c:\d+\n")
        self.assertRegex(text, r"child\+0x[0-9a-f]+ \[fibonacci\] fibonacci\.c:\d+\n")

    def test_plugin_loaded_after_the_target(self) -> None:
        text, _ = self.top(load_first=False)
        self.assert_seed_answer(text)

    def test_without_libc_debug_symbols(self) -> None:
        text, _ = self.top(debug_symbols=False)
        self.assert_seed_answer(text, outer=r"[^\n]*")
        self.assertNotIn("start_thread", text, "the debug symbols were not out of the way")

    def test_with_the_free_nothing_is_outstanding_from_there(self) -> None:
        text, outcome = self.top("free")
        self.assertIn("outstanding allocations", text)
        self.assertNotIn("fibonacci+", text)
        self.assertNotIn("8192", text)
        self.assertEqual(outcome.status, 0, outcome.text)

    def test_the_program_prints_what_it_prints_alone(self) -> None:
        session = harness.Session(harness.DEMO / "fibonacci")
        session.run()
        outcome = session.execute()
        self.assertEqual(outcome.output, "1\n2\n3\n5\n8\n")
        self.assertRegex(outcome.text, session.debugger.ended(0))

    def test_json(self) -> None:
        session = harness.Session(harness.DEMO / "fibonacci")
        session.stop_at("checkpoint")
        session.run()
        answer = session.leaks_json("top --addresses")
        session.execute()
        group = next(g for g in answer.value["groups"] if g["bytes"] == 40960)
        self.assertEqual((group["bytes"], group["count"]), (40960, 5))
        self.assertEqual([one["size"] for one in group["allocations"]], [8192] * 5)
        self.assertEqual({one["kind"] for one in group["allocations"]}, {"malloc"})
        self.assertEqual([frame["function"] for frame in group["stack"][:3]],
                         ["fibonacci", "child", "start_thread"])

    def test_run_twice(self) -> None:
        session = harness.Session(harness.DEMO / "fibonacci")
        session.stop_at("checkpoint")
        session.run()
        first = session.leaks("top --addresses")
        session.kill()
        session.run()
        second = session.leaks("top --addresses")
        session.execute()
        self.assert_seed_answer(first.value)
        self.assert_seed_answer(second.value)


if __name__ == "__main__":
    harness.main()
