# SPDX-License-Identifier: Apache-2.0
"""A process that has little room: limits of memory and of mappings, and memory that is full. Tracking refuses in one
line that names the cause, or records less and says why."""

import harness
import limited
from limited import LITTLE_WORK, MUCH_WORK, WORK


class Limits(limited.LimitedTest):
    # Address space and data: what is left is the program's.
    def test_hardly_any_address_space(self) -> None:
        self.assert_refused(self.attached("room=4M", "as=64K", "stop", WORK), "RLIMIT_AS is ")

    def test_hardly_any_address_space_from_the_start(self) -> None:
        self.assert_refused(self.launched("as=6M", "again", "stop", WORK), "RLIMIT_AS is ")

    def test_hardly_any_data(self) -> None:
        self.assert_refused(self.attached("room=4M", "data=64K", "stop", WORK), "RLIMIT_DATA is ")

    def test_little_address_space(self) -> None:
        self.assert_degraded(self.attached("as=36M", "stop", MUCH_WORK), "limits left is")

    def test_little_address_space_from_the_start(self) -> None:
        self.assert_degraded(self.launched("as=40M", "again", "stop", MUCH_WORK), "limits left is")

    def test_little_data(self) -> None:
        self.assert_degraded(self.attached("data=36M", "stop", MUCH_WORK), "limits left is")

    def test_hardly_any_locked_memory(self) -> None:
        self.assert_refused(self.attached("room=1M", "lock=64K", "stop", LITTLE_WORK), "RLIMIT_MEMLOCK is ")

    def test_a_limit_that_the_program_sets_itself(self) -> None:
        """It has what it had without us, but for what is really used."""
        self.assert_tracked(self.launched("stop", "as=16M", WORK))

    # Memory is full: the kernel gives nothing more. malloc has what it needs.
    def test_full_from_the_start(self) -> None:
        said = self.attached("room=8M", "refuse=memory", "stop", WORK, start="start --despite-seccomp")
        self.assert_refused(said, "seccomp filter, which may forbid it")

    def test_full_later(self) -> None:
        said = self.launched("stop", "room=8M", "refuse=memory", WORK)
        self.assert_degraded(said, "the process gets no more memory: Cannot allocate memory")

    # Mappings.
    def test_no_mappings_left(self) -> None:
        self.assert_refused(self.attached("room=4M", "mappings=8", "stop", WORK), "vm.max_map_count")

    def test_many_mappings(self) -> None:
        self.assert_tracked(self.attached("mappings=4000", "stop", WORK))

    # What the program may not do with files is no matter.
    def test_no_files(self) -> None:
        self.assert_tracked(self.launched("files=0", "fsize=4096", "stop", WORK, late=True))

    def test_the_debugger_may_not_write_large_files(self) -> None:
        """It would end by SIGXFSZ."""
        session = harness.Session("transcript", under=(str(harness.PROGRAMS / "limited"), "fsize=8192", "run"))
        session.stop_at()
        start = session.run()
        report = session.folder / "report"
        told = session.may_fail(f"--show-kinds all --format json --output {report}")
        session.resume()
        text = session.execute().text
        self.assertIn("heapledger: tracking: ", start.value, text[-3000:])
        self.assertRegex(told.value, "cannot write .*: File too large", text[-3000:])
        self.assertFalse(report.exists())
        self.assertRegex(text, session.debugger.ended(0))


if __name__ == "__main__":
    harness.main()
