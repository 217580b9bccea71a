# SPDX-License-Identifier: Apache-2.0
"""Sessions whose debugger is killed while the process it holds runs on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import harness
import waiting
from orphan import Process, wait_for


class KilledSessionTest(harness.DebuggerTest):
    def begin(self, session: harness.Session) -> subprocess.Popen:
        """In the background."""
        with open(session.folder / "log", "wb") as log:
            debugger = subprocess.Popen(session.debugger.batch_command(session._commands),
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                        cwd=session.folder, env=harness.session_environment(session.folder))
        self.addCleanup(shutil.rmtree, session.folder)
        self.addCleanup(debugger.wait)
        self.addCleanup(debugger.kill)
        return debugger

    def resumed(self, session: harness.Session, process: waiting.Waiting) -> subprocess.Popen:
        """The debugger, when it lets the process go on as the last thing it does."""
        settled = process.folder / "settled"
        settled.unlink(missing_ok=True)
        session.host("touch", str(settled))
        session.resume()
        debugger = self.begin(session)
        self.assertTrue(wait_for(settled.exists))
        return debugger

    def kill(self, pid: int, debugger: subprocess.Popen) -> None:
        """Whatever traces the process, by which lldb-server goes too."""
        os.kill(Process(pid).tracer(), signal.SIGKILL)
        debugger.kill()
        debugger.wait()
        self.assertTrue(wait_for(lambda: Process(pid).tracer() == 0))

    def killed_while_it_waits(self, session: harness.Session, process: waiting.Waiting) -> None:
        debugger = self.resumed(session, process)
        self.assertTrue(wait_for(lambda: self.sleeps(process.pid)))
        self.kill(process.pid, debugger)

    def sleeps(self, pid: int) -> bool:
        with open(f"/proc/{pid}/status") as status:
            return "State:\tS" in status.read()
