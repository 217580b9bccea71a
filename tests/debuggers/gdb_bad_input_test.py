# SPDX-License-Identifier: Apache-2.0
"""Wrong input and wrong moments in gdb: one clear line, an error for gdb, nothing changed. (LLDB's:
bad_input_test.py.)"""

import re

import harness


class GdbBadInput(harness.DebuggerTest):
    def refused(self, session: harness.Session, words: str, expected: str) -> None:
        """As the last command it is gdb's own status."""
        told = session.leaks(words)
        outcome = session.execute()
        self.assertRegex(told.value, rf"\A[^\n]*({expected})[^\n]*\n\Z", outcome.text[-3000:])
        self.assertEqual(outcome.status, 1, outcome.text[-3000:])

    def stopped(self, program: str = "track_kinds.pie") -> harness.Session:
        session = harness.Session(program)
        session.stop_at()
        session.run()
        return session

    def test_no_process(self) -> None:
        for words in ("top", "", "stop", "block 0x1000"):
            with self.subTest(words):
                self.refused(harness.Session("track_kinds.pie"), words, "no process")

    def test_exited_process(self) -> None:
        session = harness.Session("track_kinds.pie")
        session.run()
        self.refused(session, "", r"process \d+ has exited with status 0: .*at-exit")

    def test_running_process(self) -> None:
        session = harness.Session("waits")
        session.raw("run &")
        self.refused(session, "top", r"process \d+ is running: interrupt it first")

    def test_program_of_32_bits(self) -> None:
        session = harness.Session("tiny32")
        session.stop_at("stop_here")
        session.run()
        self.refused(session, "start", "is not a 64-bit x86-64 program")

    def test_words(self) -> None:
        for words, expected in (
                ("tpo", "unknown command 'tpo', did you mean top"),
                ("st", "[Aa]mbiguous .*start, status, stop"),
                ("top --bogus", "unknown option --bogus"),
                ("top --sort weight", "--sort must be size, count, age, not 'weight'"),
                ("top -1", "N must be a number of stacks from 1 up, not '-1'"),
                ("who-owns", "ADDR|EXPRESSION is missing".replace("|", r"\|")),
                ("who-owns nosuch", "nosuch"),
                ("block zzz", "ADDR must be an address such as 0x[0-9a-f]+, not 'zzz'"),
                ("top --min-size 1x", "--min-size .*'1x'"),
                ("top --format json --output /nonexistent/folder/file", "/nonexistent/folder/file")):
            with self.subTest(words):
                self.refused(self.stopped(), words, expected)

    def test_nothing_changes(self) -> None:
        session = self.stopped()
        before = session.leaks("top --addresses")
        for words in ("tpo", "top -3", "top --sort x", "block 0xzz", "start", "top --output /x/y/z"):
            session.leaks(words)
        after = session.leaks("top --addresses")
        session.execute()
        stamp = re.compile(r"\[\d\d:\d\d:\d\d\]")
        self.assertIn("addr = ", before.value)
        self.assertEqual(stamp.sub("", before.value), stamp.sub("", after.value))


if __name__ == "__main__":
    harness.main()
