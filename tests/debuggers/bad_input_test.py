# SPDX-License-Identifier: Apache-2.0
"""Wrong input and wrong moments: one clear line, an error status for the debugger, nothing changed."""

import re

import harness


class BadInput(harness.DebuggerTest):
    def refused(self, session: harness.Session, words: str, expected: str) -> None:
        """The last command of the session fails: batch LLDB ends with 1 and plays no other."""
        session.raw(f"leaks {words}")
        session.raw("version")
        outcome = session.execute()
        errors = [line for line in outcome.text.splitlines() if line.startswith("error:")]
        self.assertEqual(len(errors), 1, outcome.text)
        self.assertRegex(errors[0], expected)
        self.assertEqual(outcome.status, 1, outcome.text)
        self.assertNotIn("lldb version", outcome.text)

    def stopped(self, program: str = "track_kinds.pie") -> harness.Session:
        session = harness.Session(program)
        session.stop_at()
        session.run()
        return session

    def test_no_process(self) -> None:
        for words in ("top", "stop", "block 0x1000"):
            with self.subTest(words):
                self.refused(harness.Session("track_kinds.pie"), words, "no process")

    def test_no_target(self) -> None:
        text, status = harness.run_to_end(
            harness.Lldb().batch_command([*harness.Lldb().load(), "leaks top", "version"]),
            harness.session_environment(harness.BUILD), 60, harness.BUILD)
        self.assertRegex(text, r"error: .*no process")
        self.assertEqual(status, 1)

    def test_exited_process(self) -> None:
        session = harness.Session("track_kinds.pie")
        session.run()
        self.refused(session, "top", r"has exited")

    def test_running_process(self) -> None:
        session = harness.Session("waits")
        session.stop_at()
        session.run()
        session.raw("script lldb.debugger.SetAsync(True)")
        session.resume()
        self.refused(session, "top", r"is running")

    def test_unknown_command(self) -> None:
        self.refused(self.stopped(), "tpo", r"tpo")

    def test_ambiguous_command(self) -> None:
        self.refused(self.stopped(), "st", r"ambiguous.*start.*status.*stop|ambiguous.*sta")

    def test_unknown_option(self) -> None:
        self.refused(self.stopped(), "top --bogus", r"--bogus")

    def test_option_without_value(self) -> None:
        self.refused(self.stopped(), "top --sort", r"--sort")

    def test_wrong_choice(self) -> None:
        self.refused(self.stopped(), "top --sort weight", r"--sort.*size.*count.*age.*weight")

    def test_bad_numbers(self) -> None:
        for words, name in (("top -3", "-3"), ("top ten", "ten"), ("top 0", "N"),
                            ("top --older soon", "--older"), ("top --min-size 4q", "--min-size"),
                            ("top 99999999999999999999999", "N"), ("top --max-size -1", "--max-size"),
                            ("top --min-size 5 --max-size 4", "--min-size")):
            with self.subTest(words):
                self.refused(self.stopped(), words, re.escape(name))

    def test_address_that_does_not_parse(self) -> None:
        for words in ("block", "block 0xzz", "block no_such_variable_anywhere"):
            with self.subTest(words):
                self.refused(self.stopped(), words, r"ADDR|address|no_such_variable_anywhere")

    def test_extra_argument(self) -> None:
        self.refused(self.stopped(), "status now", r"now")

    def test_output_that_cannot_be_written(self) -> None:
        self.refused(self.stopped(), "top --format json --output /nonexistent/folder/file",
                     r"/nonexistent/folder/file")

    def test_bad_hook(self) -> None:
        self.refused(self.stopped(), "start --hook malloc", r"--hook")

    def test_untracked_process(self) -> None:
        """And without a C library whose heap could be walked."""
        session = harness.Session("bare")
        session.leaks("auto off")
        session.stop_at()
        session.run()
        self.refused(session, "top", r"not tracked \(cannot find the heap")

    def test_program_of_32_bits(self) -> None:
        session = harness.Session("tiny32")
        session.stop_at("stop_here")
        session.run()
        self.refused(session, "start", r"64-bit|32-bit")

    def test_core_without_ledger(self) -> None:
        session = harness.Session("bare")
        core = session.folder / "core"
        session.leaks("auto off")
        session.stop_at()
        session.run()
        session.raw(f"process save-core --style full {core}")
        session.kill()
        session.execute()
        self.assertTrue(core.exists())
        later = harness.Session("bare")
        later.raw(f"target create --core {core}")
        self.refused(later, "top", r"core.*(no ledger|not tracked)")

    def test_nothing_changes(self) -> None:
        """After all refusals the answer is what it was."""
        terminal = harness.Terminal()
        self.addCleanup(terminal.close)
        for line in [*terminal.debugger.load(), f"target create {harness.PROGRAMS}/track_kinds.pie",
                     f"breakpoint set --name {harness.STOP}", "run"]:
            terminal.command(line)
        before = terminal.command("leaks top --addresses")
        for words in ("tpo", "top -3", "top --sort x", "block 0xzz", "start", "top --output /x/y/z"):
            self.assertRegex(terminal.command(f"leaks {words}"), r"^error: [^\n]+\n?$")
        after = terminal.command("leaks top --addresses")
        stamp = re.compile(r"\[\d\d:\d\d:\d\d\]")
        self.assertEqual(stamp.sub("", before), stamp.sub("", after))
        self.assertIn("addr = ", after)


if __name__ == "__main__":
    harness.main()
