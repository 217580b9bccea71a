# SPDX-License-Identifier: Apache-2.0
"""One trial of killed_debugger_test.py: a process, a debugger session about it, the end of the debugger by
kill -9, and what became of the process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import core_stop
import harness
import process_code
from orphan import Process, children, link, wait_for

PROGRAM = harness.PROGRAMS / "killed_debugger"
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
OUTPUT = "sum 2719800\nhandlers ran\n"
STATUS = 7

# The kernel does not end single-stepping when a tracer dies between two steps: the thread then takes a
# SIGTRAP without a trap. lldb-server lets a thread step through mmap whenever it allocates memory.
STEPPED = "stepped into SIGTRAP"
# ptrace(2): execve stops a process that is traced by a SIGTRAP of its own until its debugger has asked for
# an event instead. It has not run a single instruction by then: it stands at the loader's entry.
EXECUTED = "SIGTRAP of its execve"
EMPTY_CORE = "an empty core"  # the kernel gave it up: where it died is not known

# What is done at each stop; between two of them the program runs a round. What was launched is tracked.
STEPS = ["start", "", "at-exit", "stop", "start", "top 3", "stop", "start", "stop", "start"]


@dataclass(frozen=True)
class Kind:
    launched: bool
    victim: str  # the debugger's process that is killed

    def __str__(self) -> str:
        return f"{'launched' if self.launched else 'attached'}, {self.victim} killed"


EVALUATION = {"lldb": "expression (int)getpid()", "gdb": "print (int)getpid()"}
KINDS = {
    "lldb": [Kind(launched, victim) for launched in (False, True) for victim in ("lldb", "lldb-server")],
    "gdb": [Kind(False, "gdb"), Kind(False, "gdb"), Kind(True, "gdb")],
}


@dataclass(frozen=True)
class Moment:
    """When a debugger is killed: some seconds after it had the process, or right before one of the calls by
    which it acts on it (counted from its beginning, or while it borrows a thread)."""

    seconds: float = 0
    call: int = 0
    borrowed_call: int = 0

    def __str__(self) -> str:
        if self.call:
            return f"call {self.call}"
        return f"call {self.borrowed_call} amid a call" if self.borrowed_call else f"{self.seconds:.3f} s"


@dataclass
class Calls:
    """What kill_at_call.so counts in a debugger; struct calls."""

    file: Path

    def lay_out(self, moment: Moment, parent: bool) -> None:
        self.file.write_bytes(struct.pack("<5Q", 0, moment.call, parent, moment.borrowed_call, 0))

    def _field(self, number: int) -> int:
        return struct.unpack("<5Q", self.file.read_bytes())[number]

    def made(self) -> int:
        return self._field(0)

    def borrowed(self) -> bool:
        return self._field(4) != 0


@dataclass
class Fate:
    """What became of a process whose debugger was killed."""

    kind: Kind
    moment: Moment
    end: str = "lived"  # or how it died
    place: str = ""     # of the trap it died at
    stopped: bool = False
    borrowed: bool = False  # killed while a thread ran a call of the debugger's
    changes: list[process_code.Change] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    taken_over: str = ""

    def lost(self) -> bool:
        """A debugger that is killed while it has a thread run a call of its own loses that thread: it returns
        to a trap at _start (LLDB), to nothing (gdb), or from code of lldb-server's (`syscall`, for a moment
        at the beginning of the program's code) into the middle of the program."""
        return self.borrowed and self.end != "killed" and (self.end != "lived" or bool(self.trouble))

    def traps(self) -> set[str]:
        here = {change.place for change in self.changes if change.kind == "trap"}
        return here | ({self.place} if self.place else set())

    def __str__(self) -> str:
        changes = "; ".join(map(str, self.changes[:6]))
        stopped = " stopped" if self.stopped else ""
        amid = " (amid a call)" if self.borrowed else ""
        return (f"{self.kind} at {self.moment}{amid}: {self.end}{stopped} {self.place} [{changes}] "
                f"{self.taken_over} {'; '.join(self.trouble)}")


def patiently(session: harness.Session) -> None:
    """A loaded machine must not look like a broken debugger."""
    if session.debugger.name == "lldb":
        session.raw("settings set plugin.process.gdb-remote.packet-timeout 60")


class Trial:
    """One process, one debugger session about it, and the end of the debugger."""

    def __init__(self, kind: Kind, plain: bool, moment: Moment = Moment(), stand_still: str = ""):
        """`stand_still`: behind a "step" or amid a "call", until it is killed."""
        self.kind = kind
        self.moment = moment
        self.stand_still = stand_still
        self.plain = plain
        self.session = harness.Session(PROGRAM, "gate", loaded=not plain)
        self.folder = self.session.folder
        self.gate = self.folder / "gate"
        self.settled = self.folder / "settled"
        self.output = self.folder / "output"
        os.mkfifo(self.gate)
        self.process: Process | None = None
        self.debugger: subprocess.Popen | None = None
        self.victim = 0
        self.calls = Calls(self.folder / "calls")
        self.calls.lay_out(moment, kind.victim == "lldb")
        patiently(self.session)

    def environment(self) -> dict[str, str]:
        """Of a debugger with kill_at_call.so in whatever acts on the process."""
        preload = {"LD_PRELOAD": str(harness.PROGRAMS / "kill_at_call.so"),
                   "HEAPLEDGER_CALLS": str(self.calls.file)}
        environment = harness.session_environment(self.folder)
        if harness.DEBUGGER == "gdb":
            return {**environment, **preload}
        lldb = Path(shutil.which(self.session.debugger.executable)).resolve()
        server = self.folder / "lldb-server"
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in preload.items())
        server.write_text(f'#!/bin/sh\n{words} exec {lldb.parent}/lldb-server "$@"\n')
        server.chmod(0o700)
        return {**environment, "LLDB_DEBUGSERVER_PATH": str(server)}

    def begin(self) -> bool:
        """False: it ended before there was a process."""
        if not self.kind.launched:
            with open(self.output, "wb") as out, open(self.folder / "errors", "wb") as errors:
                program = subprocess.Popen([str(PROGRAM), "gate"], stdin=subprocess.DEVNULL, stdout=out,
                                           stderr=errors, cwd=self.folder,
                                           env=harness.session_environment(self.folder))
            program.returncode = 0  # waited for by Process
            self.process = Process(program.pid)
            assert wait_for(self.knock), "the program does not come to its gate"
            self.session.attach(program.pid)
        else:
            self.session.run()
        if self.stand_still == "call":
            self.session.host("touch", str(self.settled))
            self.session.raw(EVALUATION[harness.DEBUGGER].replace("getpid", "pause"))
        elif self.stand_still == "step":
            self.session.raw("thread step-inst --run-mode all-threads")
            self.session.raw(f"script open('{self.settled}', 'w').close(); __import__('time').sleep(1000)")
        for words in STEPS[self.kind.launched:]:
            if self.plain:
                self.session.raw(EVALUATION[harness.DEBUGGER])
            else:
                self.session.leaks(words)
            self.session.resume()
        self.session.host("touch", str(self.settled))
        self.session.pass_signal("SIGINT")
        self.session.resume()
        log = open(self.folder / "log", "wb")
        self.debugger = subprocess.Popen(
            self.session.debugger.batch_command(self.session._commands), stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, env=self.environment())
        log.close()
        return bool(wait_for(self.find_processes, 60, 0.0005))

    def find_processes(self) -> bool:
        """The debugger has the process."""
        family = [self.debugger.pid, *children(self.debugger.pid)]
        for pid in family:
            name = os.path.basename(link(pid, "exe"))
            if (name.startswith("lldb-server")) == (self.kind.victim == "lldb-server"):
                self.victim = pid
        if self.kind.victim != "lldb-server":
            self.victim = self.debugger.pid
        if self.kind.launched and self.process is None:
            # It is ours when its debugger is gone (PR_SET_CHILD_SUBREAPER).
            grandchildren = [grandchild for pid in family[1:] for grandchild in children(pid)]
            for pid in family[1:] + grandchildren + children(os.getpid()):
                if link(pid, "exe") == str(PROGRAM) and link(pid, "cwd") == str(self.folder):
                    self.process = Process(pid)
        if self.process is None or self.debugger.poll() is not None:
            return self.debugger.poll() is not None and self.process is not None
        return self.victim in family and (self.kind.launched or self.process.tracer() != 0)

    def knock(self) -> bool:
        """The program has come to its gate (it looks whether it is open every round)."""
        try:
            os.close(os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK))
            return True
        except OSError:
            return False

    def open_gate(self) -> None:
        file = os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK)
        os.write(file, b"x")
        os.close(file)

    def kill(self) -> None:
        try:
            os.kill(self.victim, signal.SIGKILL)
        except ProcessLookupError:
            pass

    # Afterwards.
    def fate(self, take_over: str) -> Fate:
        fate = Fate(self.kind, self.moment)
        process = self.process
        if not wait_for(lambda: process.ended() or process.tracer() == 0):
            fate.trouble.append("it is still traced")
            return fate
        fate.borrowed = self.calls.borrowed()
        if not wait_for(lambda: process.ended() or self.goes_on(fate) and self.knock()):
            fate.trouble.append(f"it hangs: {process.tasks()}")
            return fate
        try:
            fate.changes = process_code.changes(process.pid)
            if take_over:
                self.take_over(fate, take_over)
            self.open_gate()
        except OSError as error:  # it is dying
            if not wait_for(process.ended):
                raise error
        else:
            if not wait_for(lambda: process.ended() or not self.goes_on(fate)):
                fate.trouble.append(f"it does not end: {process.tasks()}")
                return fate
        self.judge_end(fate)
        if self.debugger.poll() in (-signal.SIGSEGV, -signal.SIGABRT):
            fate.trouble.append(f"without its server the debugger crashed: {self.debugger.returncode}")
        return fate

    def goes_on(self, fate: Fate) -> bool:
        fate.stopped = self.process.was_stopped() or fate.stopped
        return True

    def judge_end(self, fate: Fate) -> None:
        status = self.process.status
        if status == -signal.SIGKILL:
            fate.end = "killed"
        elif status < 0:
            fate.end = signal.Signals(-status).name
            core = next(self.folder.glob("core*"), None)
            if core is None:
                fate.trouble.append("no core")
                return
            if core.stat().st_size == 0:
                fate.trouble.append(EMPTY_CORE)
                return
            module, offset, pc = core_stop.stopped_at(core)
            if status == -signal.SIGTRAP and core_stop.byte_at(core, pc - 1) != process_code.TRAP:
                at_entry = module.startswith("ld-linux") and offset == core_stop.entry_of(LOADER)
                fate.end = EXECUTED if self.kind.launched and at_entry else STEPPED
                return
            trap = status == -signal.SIGTRAP  # the pc is behind it
            fate.place = f"{module}+{offset - trap:#x}" if module else f"{pc:#x}"
        elif status != STATUS or self.output.read_text() != OUTPUT:
            fate.trouble.append(f"status {status}, output {self.output.read_text()!r}, "
                                f"{(self.folder / 'errors').read_text()!r}")

    def take_over(self, fate: Fate, words: str) -> None:
        """By a new debugger, which goes in the end."""
        hooks = [change for change in fate.changes if change.kind == "jump"]
        later = harness.Session(PROGRAM, "gate")
        patiently(later)
        later.attach(self.process.pid)
        told = later.leaks(words)
        later.detach()  # LLDB's batch ends at an error, and lets go
        text = later.execute(300).text
        if self.process.ended():
            return  # it was dying: its end is judged
        fate.taken_over = f"taken over by `{words}`"
        expected = r"tracking: |is tracked already" if words == "start" else (
            "every hooked function is as it was" if hooks else "is not tracked")
        if not re.search(expected, told.value):
            fate.trouble.append(f"`leaks {words}` with {len(hooks)} hooks: {text[-3000:]}")
        left = [c for c in process_code.changes(self.process.pid) if c not in fate.changes or c in hooks]
        if left:
            fate.trouble.append(f"left after `leaks {words}`: {'; '.join(map(str, left[:5]))}")
        shutil.rmtree(later.folder)

    def clean(self) -> None:
        for pid in (self.debugger and self.debugger.pid, self.process and self.process.pid):
            if not pid:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.debugger:
            self.debugger.wait()
        if self.process:
            wait_for(self.process.ended)
