# SPDX-License-Identifier: Apache-2.0
"""A process that may not make some system calls: seccomp filters that answer with an error or with death, and memory
that is never both written and executed. What is not known to be harmless is not tried unasked; the scan needs
nothing, and tracking by breakpoints maps nothing."""

import harness
import limited
from limited import LITTLE_WORK, WORK

OWN = "is under a seccomp filter of its own"


class Filters(limited.LimitedTest):
    # No new executable memory.
    def test_killed_for_code(self) -> None:
        self.assert_refused(self.attached("room=8M", "kill=code", "stop", WORK), OWN)

    def test_any_filter_from_the_start(self) -> None:
        self.assert_refused(self.launched("refuse=reading", "again", "stop", WORK), OWN)

    def test_killed_for_code_by_breakpoints(self) -> None:
        said = self.attached("room=8M", "kill=code", "stop", LITTLE_WORK, start="start --engine breakpoint")
        self.assertIn("tracking by breakpoints", said.start, said.text[-4000:])
        self.assertRegex(said.status, r"dropped: +0 allocations", said.text[-4000:])
        self.assertRegex(said.status, r"since start: +2\d allocations", said.text[-4000:])

    def test_refused_code(self) -> None:
        self.assert_refused(self.attached("room=8M", "refuse=code", "stop", WORK), OWN)

    def test_refused_code_is_tried_when_asked(self) -> None:
        said = self.attached("room=8M", "refuse=code", "stop", WORK, start="start --despite-seccomp")
        self.assert_refused(said, "seccomp filter, which may forbid it")

    def test_a_harmless_filter_is_tried_when_asked(self) -> None:
        said = self.attached("refuse=reading", "stop", WORK, start="start --despite-seccomp")
        self.assert_tracked(said)

    def test_a_filter_that_the_program_puts_on_itself(self) -> None:
        """Recording needs nothing but what malloc needs too."""
        self.assert_tracked(self.launched("stop", "kill=code", WORK))

    def test_nothing_but_reading_and_writing(self) -> None:
        session = harness.Session("strict_calls")
        session.leaks("auto off")
        session.stop_at()
        session.run()
        refused = session.may_fail("start")
        scan = session.leaks()
        session.resume()
        outcome = session.execute()
        self.assertRegex(refused.value, rf"not tracking: .*{OWN}")
        self.assertIn("still reachable", scan.value)
        self.assertRegex(outcome.text, session.debugger.ended(7))
        self.assertEqual(outcome.output, "lives\n")

    # Never written and executed.
    def test_memory_deny_write_execute(self) -> None:
        self.assert_tracked(self.attached("mdwe", "stop", WORK))

    def test_memory_deny_write_execute_from_the_start(self) -> None:
        self.assert_tracked(self.launched("mdwe", "again", "stop", WORK))


if __name__ == "__main__":
    harness.main()
