# SPDX-License-Identifier: Apache-2.0
"""A debugger that comes to a process tracked by an earlier one knows the code that was brought in: single
steps through hooked functions have right backtraces there too, and its names."""

import re
import shutil

import harness
import killed_session
import waiting

STEPS = f"{harness.SOURCE}/tests/debuggers/instruction_steps.py"
PASSED = {
    "calls_malloc": {"heapledger_stub_malloc", "hook_malloc", "heapledger_trampoline_malloc"},
    "calls_free": {"heapledger_stub_free", "hook_free", "heapledger_trampoline_free"},
}


class AdoptedFrames(killed_session.KilledSessionTest):
    def test_single_steps_under_a_later_debugger(self) -> None:
        process = waiting.Waiting("every_call")
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        first = harness.Session(process.program)
        first.attach(process.pid)
        first.leaks("start")
        self.killed_while_it_waits(first, process)
        second = harness.Session(process.program)
        second.raw({"lldb": f"command script import {STEPS}", "gdb": f"source {STEPS}"}[harness.DEBUGGER])
        second.attach(process.pid)
        status = second.leaks("status")
        for function in PASSED:
            second.stop_at(function, once=True)
        process.let_go(second)
        told = []
        for _ in PASSED:
            second.resume()
            told.append(second.raw("step-through"))
        second.detach()
        text = second.execute(timeout=300).text
        self.assertRegex(status.value, r"tracking: +on", text)
        for one, (function, passed) in zip(told, PASSED.items()):
            with self.subTest(function):
                through = re.search(r"^THROUGH (.*)$", one.value, re.M)
                self.assertIsNotNone(through, text[-4000:])
                self.assertLessEqual(passed, set(through.group(1).split()))
                self.assertRegex(one.value, r"(?m)^DONE \d+ steps, 0 wrong$")
        self.assertEqual(process.run_to_end(), 0)


if __name__ == "__main__":
    harness.main()
