# SPDX-License-Identifier: Apache-2.0
"""`leaks stop` puts every byte back: the code of every module in memory is what its file says. The same
look before it is the negative control."""

import re

import harness

CHECK = harness.SOURCE / "tests" / "debuggers" / "compare_text.py"


class TextRestored(harness.DebuggerTest):
    def play(self, program: str, *arguments: str, more_stops: int = 0) -> harness.Outcome:
        session = harness.Session(program, *arguments)
        session.raw(f"command script import {CHECK}")
        session.stop_at()
        session.run()
        before = session.raw("compare-text")
        session.leaks("stop")
        after = session.raw("compare-text")
        status = session.leaks("status")
        readable = session.ledger()
        session.resume()
        for _ in range(more_stops):
            session.resume()
        outcome = session.execute()
        self.assertGreater(self.differences(before.value), 0, "nothing was hooked")
        self.assertEqual(self.differences(after.value), 0, after.value)
        self.assertIn("stopped", status.value)
        self.assertGreater(readable.value["total"]["count"], 0)
        self.assertRegex(outcome.text, session.debugger.ended(0))
        return outcome

    def differences(self, text: str) -> int:
        match = re.search(r"(\d+) bytes differ in (\d+) bytes of code", text)
        self.assertIsNotNone(match, text)
        self.assertGreater(int(match.group(2)), 4000)
        return int(match.group(1))

    def test_dynamic(self) -> None:
        self.play("track_kinds.pie")

    def test_libstdcxx_too(self) -> None:
        self.play("track_operators")

    def test_static(self) -> None:
        self.play("track_kinds.static")

    def test_musl(self) -> None:
        self.play("track_kinds.musl")

    def test_threads_anywhere(self) -> None:
        """Other threads stand inside the hooks when they go; the program runs on to its end."""
        for seed in range(20, 26):
            with self.subTest(seed=seed):
                outcome = self.play("track_stress", str(seed), "6", "20000", "1", more_stops=1)
                self.assertEqual(outcome.truth[-1].what, "end")

    def test_start_again(self) -> None:
        session = harness.Session("track_stress", "30", "4", "20000", "6")
        session.stop_at()
        session.run()
        for words in ("stop", "start", "stop", "start", "stop"):
            session.leaks(words)
            session.resume()
        session.resume()
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(0))


if __name__ == "__main__":
    harness.main()
