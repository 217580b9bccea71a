# SPDX-License-Identifier: Apache-2.0
"""Sessions of a debugger in batch, described in verbs that every debugger has. They end by themselves: nothing
here sleeps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from answers import Answer, Backtrace, HostOutput, Label, Text, read_truth
from debugger_words import DEBUGGER, DEBUGGERS
from process_tree import descendants
from surroundings import BUILD, PROGRAMS, EVERYTHING, STOP, fresh_folder, session_environment


@dataclass
class Outcome:
    text: str
    status: int
    output: str  # of the debugged program
    errors: str
    truth: list[Label]


def run_to_end(command: Sequence[str], environment: dict[str, str], timeout: float,
               folder: Path) -> tuple[str, int]:
    """Runs a command with no input; its output (both streams) and status. Past the timeout the whole
    tree of processes is killed and the test fails."""
    with tempfile.TemporaryFile(dir=folder) as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, env=environment, cwd=folder)
        late = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            for pid in [process.pid, *descendants(process.pid)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if late:
        raise AssertionError(f"no end after {timeout} s: {' '.join(command)}\n{text[-4000:]}")
    return text, process.returncode


class Session:
    """One debugger session about one program. Verbs are written down and played by execute()."""

    def __init__(self, program: Path | str, *arguments: str, debugger: str = DEBUGGER,
                 environment: dict[str, str] | None = None, input_path: str = "/dev/null",
                 debug_symbols: bool = True, load_first: bool = True, folder: Path | None = None,
                 loaded: bool = True, under: Sequence[str] = ()):
        """Without `loaded` it is a plain debugger. `under`: a command that starts the debugger's command."""
        self.debugger = DEBUGGERS[debugger]()
        self.folder = fresh_folder() if folder is None else folder
        self.truth_path = self.folder / "truth"
        self._output = self.folder / "output"
        self._errors = self.folder / "errors"
        self._output.touch()
        self._errors.touch()
        self._commands: list[str] = []
        self._handles: list[tuple[int, Any]] = []
        self._under = under
        path = Path(program)
        if not path.is_absolute():
            path = PROGRAMS / path
        self.program = path
        create = self.debugger.program(
            path, arguments, {"HEAPLEDGER_TRUTH": str(self.truth_path), **(environment or {})},
            input_path, self._output, self._errors)
        if not debug_symbols:
            self._commands += self.debugger.without_debug_symbols()
        load = self.debugger.load() if loaded else []
        self._commands += load + create if load_first else create + load

    # Verbs.
    def raw(self, command: str) -> Text:
        """A command in the debugger's own words."""
        handle = Text()
        self._handles.append((len(self._commands), handle))
        self._commands.append(command)
        return handle

    def stop_at(self, function: str = STOP, once: bool = False) -> Text:
        return self.raw(self.debugger.stop_at(function, once))

    def pass_signal(self, name: str) -> Text:
        """The program's handler gets it, the debugger does not stop."""
        return self.raw(self.debugger.pass_signal(name))

    def run(self) -> Text:
        return self.raw(self.debugger.run)

    def resume(self) -> Text:
        return self.raw(self.debugger.resume)

    def kill(self) -> Text:
        return self.raw(self.debugger.kill)

    def stop_after(self, function: str, calls: int) -> Text:
        """When it is called once more than that."""
        return self.raw(self.debugger.stop_after(function, calls))

    def attach(self, pid: int) -> Text:
        return self.raw(self.debugger.attach(pid))

    def detach(self) -> Text:
        return self.raw(self.debugger.detach)

    def open_core(self, core: Path) -> Text:
        return self.raw(self.debugger.open_core(self.program, core))

    def leaks(self, words: str = "") -> Text:
        return self.raw(f"leaks {words}".strip())

    def may_fail(self, words: str) -> Text:
        """The session goes on when this `leaks` command fails."""
        return self.raw(self.debugger.may_fail(f"leaks {words}"))

    def leaks_json(self, words: str = "") -> Answer:
        answer = Answer(self.folder / f"answer{len(self._commands)}.json")
        self._handles.append((len(self._commands), answer))
        self._commands.append(f"leaks {words} --format json --output {answer.path}".replace("  ", " "))
        return answer

    def ledger(self) -> Answer:
        """Every outstanding allocation: see allocations()."""
        return self.leaks_json(f"top {EVERYTHING} --addresses")

    def host(self, *arguments: str) -> HostOutput:
        """A command of this machine while the inferior is stopped; its process id comes last."""
        handle = HostOutput(self.folder / f"host{len(self._commands)}")
        self._handles.append((len(self._commands), handle))
        self._commands.append(self.debugger.host(arguments, handle.path))
        return handle

    def heap_walk(self) -> HostOutput:
        """The blocks that glibc's own structures show: see walked()."""
        return self.host(str(BUILD / "tests" / "oracles" / "heap_walk"))

    def backtrace(self) -> Backtrace:
        handle = Backtrace()
        self._handles.append((len(self._commands), handle))
        self._commands.append(self.debugger.backtrace)
        return handle

    def execute(self, timeout: float = 120) -> Outcome:
        text, status = run_to_end([*self._under, *self.debugger.batch_command(self._commands)],
                                  session_environment(self.folder), timeout, self.folder)
        sections = self.debugger.sections(text, self._commands)
        for index, handle in self._handles:
            if isinstance(handle, Text):
                handle.value = sections[index]
            elif isinstance(handle, Backtrace):
                handle.frames = self.debugger.frames(sections[index])
            elif isinstance(handle, HostOutput):
                handle.value = handle.path.read_text() if handle.path.exists() else ""
            elif handle.path.exists():
                handle.value = json.loads(handle.path.read_text())
        for index, handle in self._handles:
            if isinstance(handle, Answer) and handle.value is None:
                raise AssertionError(f"no answer to `{self._commands[index]}`:\n{text[-6000:]}")
        return Outcome(text, status, self._output.read_text(errors="replace"),
                       self._errors.read_text(errors="replace"), read_truth(self.truth_path))


def run_plain(program: Path | str, *arguments: str, timeout: float = 60,
              environment: dict[str, str] | None = None) -> Outcome:
    """The program without any debugger."""
    folder = fresh_folder()
    path = Path(program)
    if not path.is_absolute():
        path = PROGRAMS / path
    done = subprocess.run(
        [str(path), *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
        env={**session_environment(folder), "HEAPLEDGER_TRUTH": str(folder / "truth"),
             **(environment or {})}, cwd=folder)
    outcome = Outcome("", done.returncode, done.stdout.decode(errors="replace"),
                      done.stderr.decode(errors="replace"), read_truth(folder / "truth"))
    shutil.rmtree(folder)
    return outcome
