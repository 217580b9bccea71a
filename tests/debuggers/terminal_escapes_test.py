# SPDX-License-Identifier: Apache-2.0
"""A program's names may hold what takes a terminal over: it is shown in numbers."""

import shutil

import harness


class TerminalEscapes(harness.DebuggerTest):
    def test_a_module_called_so(self) -> None:
        folder = harness.fresh_folder()
        self.addCleanup(shutil.rmtree, folder)
        program = folder / "red\x1b[31m"
        shutil.copy(harness.PROGRAMS / "track_kinds.static", program)
        session = harness.Session(program)
        session.stop_at()
        session.run()
        status = session.leaks("status")
        wrong = session.leaks("who-owns no\x1b[31msuch")
        session.execute()
        self.assertIn("red\\x1b[31m: malloc", status.value)
        self.assertIn("no\\x1b[31msuch", wrong.value)
        self.assertNotIn("\x1b", status.value)


if __name__ == "__main__":
    harness.main()
