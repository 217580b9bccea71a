# SPDX-License-Identifier: Apache-2.0
"""gdb on a pseudo-terminal, where Ctrl-C interrupts a running program at any moment: the verbs of
session.py."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import harness

PATIENCE = 120.0  # seconds; longer without a prompt is a hang

# Runs a command and says whether it worked, which gdb's text does not.
TRY = """
import gdb
def heapledger_try(command):
    try:
        print(gdb.execute(command, to_string=True))
        print("DONE WELL")
    except gdb.error as error:
        print(f"{error}")
        print("DONE BADLY")
"""


class Ended(Exception):
    """The process is gone: its exit status, or None and why."""

    def __init__(self, status: int | None, why: str):
        super().__init__(f"the process ended: {why}")
        self.status = status


class LiveSession:
    """One debugger and one process at a time."""

    all_backtraces = "thread apply all -q backtrace 30"

    def __init__(self, folder: Path):
        self.folder = folder
        self.log: list[str] = []
        self.terminal = harness.Terminal("gdb", PATIENCE)
        self._stop = ""        # what gdb said when the process stopped last
        self._has_stopped = False
        script = folder / "try.py"
        script.write_text(TRY)
        for line in ("set pagination off", "set confirm off", "set width 0",
                     "set breakpoint pending on", "set print thread-events off",
                     *self.terminal.debugger.load(), f"source {script}"):
            self.terminal.command(line)

    def close(self) -> None:
        self.terminal.close()

    # Commands.

    def try_command(self, text: str) -> tuple[bool, str]:
        self.terminal.send(f"python heapledger_try({text!r})\n")
        said = self.terminal.expect(r"DONE (?=WELL|BADLY)")
        ok = self.terminal.expect(self.terminal.debugger.prompt).startswith("WELL")
        said = said.partition("\n")[2]
        self.log.append(f"{text}: {said.strip()[-300:]}")
        return ok, said

    def command(self, text: str) -> str:
        ok, said = self.try_command(text)
        if not ok:
            raise AssertionError(f"`{text}` failed: {said}")
        return said

    def leaks_json(self, words: str) -> Any:
        path = self.folder / "answer.json"
        path.unlink(missing_ok=True)
        self.command(f"leaks {words} --format json --output {path}")
        return json.loads(path.read_text())

    # The process.

    @property
    def process(self) -> LiveSession:
        return self

    def IsValid(self) -> bool:  # pylint: disable=invalid-name
        return True

    def Kill(self) -> None:  # pylint: disable=invalid-name
        """gdb ends what it launched when it ends."""

    def launch(self, program: Path, arguments: list[str], environment: dict[str, str]) -> int:
        self.command(f"file {program}")
        self.command(f"set args {' '.join(arguments)} < /dev/null > {self.folder / 'output'} "
                     f"2> {self.folder / 'errors'}")
        for key, value in environment.items():
            self.command(f"set environment {key} {value}")
        for name in ("SIGUSR1", "SIGUSR2", "SIGCHLD"):
            self.command(f"handle {name} nostop noprint pass")
        self.command("break heapledger_stop_here")
        self.terminal.send("run\n")
        self.wait_stopped()
        self._has_stopped = True
        said = self.command("info inferiors")
        return int(re.search(r"process (\d+)", said).group(1))

    def attach(self, pid: int) -> None:
        self.command(f"attach {pid}")

    def detach(self) -> None:
        self.command("detach")

    def resume(self) -> None:
        self._has_stopped = False
        self.terminal.send("continue\n")
        self.terminal.expect(r"Continuing\.")

    def _prompt_within(self, seconds: float) -> bool:
        """gdb shows its prompt again: the process stands, or is gone."""
        self.terminal.timeout = max(seconds, 0.001)
        try:
            self._stop = self.terminal.expect(self.terminal.debugger.prompt)
        except AssertionError as error:
            if "ended before" in str(error):
                raise
            return False
        finally:
            self.terminal.timeout = PATIENCE
        self.log.append(f"stopped: {self._stop.strip()[-300:]}")
        if end := re.search(r"exited (normally|with code (\d+))", self._stop):
            raise Ended(int(end.group(2) or "0", 8), end.group(0))
        if "Program terminated" in self._stop or "The program no longer exists" in self._stop:
            raise Ended(None, self._stop.strip()[-300:])
        return True

    def _stopped_by_us(self) -> bool:
        return "received signal SIGINT" in self._stop

    def interrupt(self) -> None:
        for _ in range(int(PATIENCE)):
            self.terminal.interrupt()
            if self._prompt_within(5):
                return
        raise AssertionError("cannot be interrupted")

    def wait_stopped(self, patience: float = PATIENCE) -> None:
        if self._has_stopped:
            self._has_stopped = False
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not self._prompt_within(1):
                continue
            if not self._stopped_by_us():
                return
            self.resume()
        raise AssertionError(f"not stopped after {patience} s")

    def let_run(self, seconds: float) -> bool:
        """True: the process stopped by itself."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._prompt_within(left):
                if not self._stopped_by_us():
                    return True
                self.resume()
        return False

    def stop_reason(self) -> str:
        return self._stop.strip()[-300:].replace("Breakpoint", "breakpoint")

    def write_variable(self, name: str, value: int) -> None:
        self.command(f"set var {name} = {value}")
