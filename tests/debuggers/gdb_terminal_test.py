# SPDX-License-Identifier: Apache-2.0
"""As a user has it: gdb on a terminal. Run, stop, look, go on, Ctrl-C, look, run again, quit."""

import harness


class OnATerminal(harness.DebuggerTest):
    def start(self, program: str, *arguments: str) -> harness.Terminal:
        terminal = harness.Terminal("gdb")
        self.addCleanup(terminal.close)
        terminal.command(terminal.debugger.load()[0])
        terminal.command("set pagination off")
        terminal.command(f"file {harness.PROGRAMS}/{program}")
        if arguments:
            terminal.command(f"set args {' '.join(arguments)}")
        return terminal

    def test_a_whole_session(self) -> None:
        terminal = self.start("waits")
        terminal.command(f"break {harness.STOP}")
        told = terminal.command("run")
        self.assertEqual(told.count("heapledger: tracking: "), 1, told)
        self.assertIn("Breakpoint 1, heapledger_stop_here", told)
        self.assertEqual(self.outstanding_from(terminal.command("leaks top"), "keep"), (15000, 5))

        terminal.send("continue\n")
        terminal.expect(r"waiting")
        terminal.interrupt()
        terminal.expect(r"received signal SIGINT")
        terminal.expect(terminal.debugger.prompt)
        self.assertEqual(self.outstanding_from(terminal.command("leaks top"), "keep"), (21000, 7))
        self.assertRegex(terminal.command("leaks status"), r"tracking:\s+on")

        terminal.send("run\n")
        terminal.expect(r"Start it from the beginning\? \(y or n\) ")
        terminal.send("y\n")
        terminal.expect(r"Breakpoint 1, heapledger_stop_here")
        terminal.expect(terminal.debugger.prompt)
        self.assertEqual(self.outstanding_from(terminal.command("leaks top"), "keep"), (15000, 5))

        terminal.send("quit\n")
        terminal.expect(r"Quit anyway\? \(y or n\) ")
        self.assertEqual(terminal.end("y"), 0)

    def test_enter_repeats_nothing(self) -> None:
        terminal = self.start("waits")
        terminal.command(f"break {harness.STOP}")
        terminal.command("run")
        terminal.command("leaks top")
        terminal.send("\n")
        self.assertNotIn("allocations", terminal.expect(terminal.debugger.prompt))

    def test_tab_completes(self) -> None:
        terminal = self.start("waits")
        terminal.send("leaks ver\t")
        terminal.expect(r"leaks verdict ")
        terminal.send("\n")
        terminal.expect(terminal.debugger.prompt)

    def test_left_pager_ends_the_answer(self) -> None:
        terminal = self.start("waits")
        terminal.command(f"break {harness.STOP}")
        terminal.command("run")
        terminal.command("set height 5")
        terminal.command("set pagination on")
        terminal.send("leaks help top\n")
        terminal.expect(r"--Type <RET> for more, q to quit")
        terminal.send("q\n")
        terminal.expect(terminal.debugger.prompt)
        terminal.command("set pagination off")
        self.assertEqual(self.outstanding_from(terminal.command("leaks top"), "keep"), (15000, 5))

    def test_interrupted_scan_leaves_a_usable_session(self) -> None:
        terminal = self.start("many_blocks", "3000000")
        terminal.timeout = 200
        terminal.command(f"break {harness.STOP}")
        terminal.command("run")
        terminal.send("leaks\n")
        terminal.expect(r"reading memory \d+ %|naming|grouping|HEAP SUMMARY")
        terminal.interrupt()
        terminal.expect(terminal.debugger.prompt)
        self.assertRegex(terminal.command("leaks status"), r"tracking:\s+on")
        self.assertIn("many_blocks", terminal.command("info inferiors"))


if __name__ == "__main__":
    harness.main()
