# SPDX-License-Identifier: Apache-2.0
"""A debugged process that becomes a child of ours when whoever started it is gone
(PR_SET_CHILD_SUBREAPER), and what /proc tells of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

PATIENCE = float(os.environ.get("HEAPLEDGER_PATIENCE", "120"))
SYS_pause = 34


class Process:
    def __init__(self, pid: int):
        self.pid = pid
        self.status: int | None = None

    def ended(self) -> bool:
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid == self.pid:
                    self.status = os.waitstatus_to_exitcode(status)
            except ChildProcessError:  # still another's, who may have taken its status already
                if not Path(f"/proc/{self.pid}").exists():
                    self.status = -signal.SIGKILL
        return self.status is not None

    def tasks(self) -> str:
        """What its threads wait for."""
        lines = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            state = (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            lines.append(f"{task.name} {state} {(task / 'syscall').read_text().strip()}")
        return "; ".join(lines)

    def _status(self, name: str) -> str:
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return "0"
        return next(line.split()[1] for line in lines if line.startswith(name))

    def pauses(self) -> bool:
        call = Path(f"/proc/{self.pid}/syscall").read_text().split()[0]
        if call == "running" or int(call) != SYS_pause:
            return False
        return self._status("State") == "S"

    def tracer(self) -> int:
        return int(self._status("TracerPid"))

    def was_stopped(self) -> bool:
        """A debugger stops threads by SIGSTOP: one that is killed then may leave the process so. It goes on."""
        if self.ended() or self._status("State") != "T":
            return False
        os.kill(self.pid, signal.SIGCONT)
        return True


def children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except OSError:  # it goes
        pass
    return found


def link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def wait_for(what, seconds: float = PATIENCE, step: float = 0.002):
    """The first true answer; None when there was none in all that time."""
    end = time.monotonic() + seconds
    never = threading.Event()
    while time.monotonic() < end:
        if answer := what():
            return answer
        never.wait(step)
    return None
