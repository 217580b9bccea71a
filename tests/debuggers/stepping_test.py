# SPDX-License-Identifier: Apache-2.0
"""Single steps through hooked functions, from the call to the return: at every instruction - of the
patched entry, the stub, the agent, the displaced instructions, the real function - the debugger's
backtrace has exactly the return addresses that were pushed, down to the outermost frame."""

import re

import harness

STEPS = f"{harness.SOURCE}/tests/debuggers/instruction_steps.py"


class Stepping(harness.DebuggerTest):
    def play(self, program: str, entries: dict[str, set[str]]) -> None:
        """What to come through for each function of the program that makes one call."""
        session = harness.Session(program)
        session.raw({"lldb": f"command script import {STEPS}", "gdb": f"source {STEPS}"}[harness.DEBUGGER])
        session.stop_at()
        session.run()
        for function in entries:
            session.stop_at(function, once=True)
        told = []
        for _ in entries:
            session.resume()
            told.append(session.raw("step-through"))
        session.resume()
        session.resume()
        outcome = session.execute(timeout=300)
        self.assertRegex(outcome.text, session.debugger.ended(0))
        for text, (function, passed) in zip(told, entries.items()):
            with self.subTest(function):
                through = re.search(r"^THROUGH (.*)$", text.value, re.M)
                self.assertIsNotNone(through, outcome.text[-4000:])
                self.assertLessEqual(passed, set(through.group(1).split()))
                self.assertNotIn("WRONG", text.value)
                steps = re.search(r"^DONE (\d+) steps, 0 wrong$", text.value, re.M)
                self.assertIsNotNone(steps, text.value)
                self.assertGreater(int(steps.group(1)), 60)

    def test_every_kind_of_entry_point(self) -> None:
        self.play("every_call", {
            "calls_malloc": {"heapledger_stub_malloc", "hook_malloc", "heapledger_trampoline_malloc"},
            "calls_realloc": {"heapledger_stub_realloc", "hook_realloc",
                              "heapledger_trampoline_realloc"},
            "calls_free": {"heapledger_stub_free", "hook_free", "heapledger_trampoline_free"},
            "calls_new": {"heapledger_stub_operator_new_unsigned_long_", "hook_note",
                          "heapledger_trampoline_operator_new_unsigned_long_", "hook_malloc"},
            "calls_delete": {"heapledger_stub_operator_delete_void__", "hook_note",
                             "heapledger_trampoline_operator_delete_void__", "hook_free"},
            "calls_mmap": {"heapledger_stub_mmap", "hook_mmap", "heapledger_trampoline_mmap"},
        })

    def test_of_a_static_program(self) -> None:
        self.play("every_call.static", {
            "calls_malloc": {"heapledger_stub_malloc", "hook_malloc", "heapledger_trampoline_malloc"},
            "calls_free": {"heapledger_stub_free", "hook_free", "heapledger_trampoline_free"},
        })


if __name__ == "__main__":
    harness.main()
