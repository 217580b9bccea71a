# SPDX-License-Identifier: Apache-2.0
"""As a user has it: LLDB on a terminal. Run, stop, look, go on, Ctrl-C, look, run again, quit."""

import re

import harness


class OnATerminal(harness.DebuggerTest):
    def start(self, program: str) -> harness.Terminal:
        terminal = harness.Terminal()
        self.addCleanup(terminal.close)
        terminal.command(terminal.debugger.load()[0])
        terminal.command(f"target create {harness.PROGRAMS}/{program}")
        return terminal

    def test_a_whole_session(self) -> None:
        terminal = self.start("waits")
        terminal.command(f"breakpoint set --name {harness.STOP}")
        terminal.send("run\n")
        terminal.expect(r"stop reason = breakpoint")
        terminal.expect(terminal.debugger.prompt)
        self.assertEqual(self.outstanding_from(terminal.command("leaks top"), "keep"), (15000, 5))

        terminal.send("continue\n")
        terminal.expect(r"waiting")
        terminal.interrupt()
        terminal.expect(r"stop reason = signal SIG(INT|STOP)")
        terminal.expect(terminal.debugger.prompt)
        self.assertEqual(self.outstanding_from(terminal.command("leaks top"), "keep"), (21000, 7))
        self.assertRegex(terminal.command("leaks status"), r"tracking:\s+on")

        terminal.send("run\n")
        terminal.expect(r"kill it and restart\?: \[Y/n\]")
        terminal.send("y\n")
        terminal.expect(r"stop reason = breakpoint")
        terminal.expect(terminal.debugger.prompt)
        self.assertEqual(self.outstanding_from(terminal.command("leaks top"), "keep"), (15000, 5))

        terminal.send("quit\n")
        terminal.expect(r"Do you really want to proceed: \[Y/n\]")
        self.assertEqual(terminal.end("y"), 0)

    def test_one_line_says_what_was_hooked(self) -> None:
        terminal = self.start("waits")
        terminal.command(f"breakpoint set --name {harness.STOP}")
        terminal.send("run\n")
        before = terminal.expect(r"stop reason = breakpoint")
        lines = [line for line in before.splitlines() if "libc.so.6" in line and "malloc" in line]
        self.assertEqual(len(lines), 1, before)
        terminal.expect(terminal.debugger.prompt)

    def test_breakpoint_of_the_user_on_malloc(self) -> None:
        """Set before the hooks stand: it is hit at malloc's first instruction with the argument."""
        terminal = self.start("waits")
        terminal.command("breakpoint set --name keep")
        terminal.command("breakpoint set --name malloc --shlib libc.so.6")
        terminal.send("run\n")
        for _ in range(100):
            terminal.expect(r"stop reason = breakpoint (\d+)")
            terminal.expect(terminal.debugger.prompt)
            if "keep" in terminal.command("frame info"):
                break
            terminal.send("continue\n")
        terminal.send("continue\n")
        terminal.expect(r"stop reason = breakpoint")
        terminal.expect(terminal.debugger.prompt)
        where = terminal.command("thread backtrace")
        self.assertRegex(where, r"frame #0: [^\n]*malloc")
        self.assertRegex(where, r"frame #\d: [^\n]*keep")
        self.assertRegex(where, r"frame #\d: [^\n]*main")
        self.assertIn("3000", terminal.command("register read --format d rdi"))

    def test_stepping_over_and_finishing_malloc(self) -> None:
        terminal = self.start("waits")
        terminal.command("breakpoint set --name keep")
        terminal.send("run\n")
        terminal.expect(r"stop reason = breakpoint")
        terminal.expect(terminal.debugger.prompt)
        for _ in range(3):
            terminal.command("next")
        self.assertIn("keep", terminal.command("frame info"))
        terminal.send("finish\n")
        terminal.expect(r"stop reason = step out")
        terminal.expect(terminal.debugger.prompt)
        self.assertIn("main", terminal.command("frame info"))

    def test_calling_malloc_by_hand(self) -> None:
        terminal = self.start("waits")
        terminal.command(f"breakpoint set --name {harness.STOP}")
        terminal.send("run\n")
        terminal.expect(r"stop reason = breakpoint")
        terminal.expect(terminal.debugger.prompt)
        text = terminal.command("expression -- (void*)malloc(12345)")
        address = re.search(r"0x([0-9a-f]+)", text)
        self.assertIsNotNone(address, text)
        listed = terminal.command("leaks top 1000 --addresses --min-size 12345 --max-size 12345")
        self.assertIn(f"addr = {int(address.group(1), 16):x} size = 12345", listed)


if __name__ == "__main__":
    harness.main()
