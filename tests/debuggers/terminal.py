# SPDX-License-Identifier: Apache-2.0
"""A debugger on a pseudo-terminal, waited for by what it prints."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time

from debugger_words import DEBUGGER, DEBUGGERS
from process_tree import descendants
from surroundings import fresh_folder, session_environment


class Terminal:
    """A debugger as a user has it: on a terminal, at its prompt."""

    _escapes = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x1b\][^\x07]*\x07")

    def __init__(self, debugger: str = DEBUGGER, timeout: float = 60):
        self.debugger = DEBUGGERS[debugger]()
        self.folder = fresh_folder()
        self.truth_path = self.folder / "truth"
        self.timeout = timeout
        self.seen = ""  # everything so far, without control sequences
        self._at = 0    # what expect() has not passed yet
        command = self.debugger.interactive_command()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(self.folder)
            environment = {**session_environment(self.folder), "TERM": "vt100"}
            os.execvpe(command[0], command, environment)
        self.expect(self.debugger.prompt)

    def send(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, pattern: str) -> str:
        """Waits for the pattern in what was printed since the last match; the text before it."""
        deadline = time.monotonic() + self.timeout
        while True:
            match = re.compile(pattern).search(self.seen, self._at)
            if match is not None:
                before = self.seen[self._at:match.start()]
                self._at = match.end()
                return before
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._fd], [], [], max(0, left))
            if not ready:
                raise AssertionError(f"no /{pattern}/ within {self.timeout} s in:\n"
                                     f"{self.seen[self._at:][-4000:]}")
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                data = b""
            if not data:
                raise AssertionError(f"the session ended before /{pattern}/:\n{self.seen[-4000:]}")
            self.seen += self._escapes.sub("", data.decode(errors="replace"))

    def command(self, text: str) -> str:
        """Types a line and waits for the next prompt; what was printed between."""
        self.send(text + "\n")
        self.expect(re.escape(text) + r"\n")
        return self.expect(self.debugger.prompt)

    def interrupt(self) -> None:
        self.send("\x03")

    def end(self, line: str = "quit") -> int:
        """Types the line and waits for the debugger's end; its exit status."""
        self.send(line + "\n")
        while True:
            ready, _, _ = select.select([self._fd], [], [], self.timeout)
            if not ready:
                raise AssertionError(f"no end after `{line}`:\n{self.seen[-4000:]}")
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                data = b""
            if not data:
                break
            self.seen += self._escapes.sub("", data.decode(errors="replace"))
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Whatever state it is in: for addCleanup."""
        if self.pid == 0:
            return
        for pid in [self.pid, *descendants(self.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        os.close(self._fd)
