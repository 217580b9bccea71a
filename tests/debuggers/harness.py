# SPDX-License-Identifier: Apache-2.0
"""Drives a real debugger with heapledger loaded, in batch and on a pseudo-terminal.

A test describes a session in verbs that every debugger has (stop_at, run, resume, leaks, backtrace)
and reads what came back; a Debugger class turns the verbs into one debugger's words. Nothing here
sleeps: batch sessions end, interactive ones are waited for by what they print.

The environment names the build (HEAPLEDGER_BUILD) and the source (HEAPLEDGER_SOURCE).
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

BUILD = Path(os.environ["HEAPLEDGER_BUILD"])
SOURCE = Path(os.environ["HEAPLEDGER_SOURCE"])
PROGRAMS = BUILD / "tests" / "programs"
DEMO = BUILD / "demo"
STOP = "heapledger_stop_here"
EVERYTHING = 1000000000  # stacks: `leaks top` without a limit


# --------------------------------------------------------------------------------------------------
# What a labelled program says about itself (tests/programs/truth.h).


@dataclass(frozen=True)
class Label:
    address: int
    size: int
    what: str
    name: str


def read_truth(path: Path) -> list[Label]:
    """All lines in order. The last line about an address counts: see current()."""
    labels = []
    for line in path.read_text().splitlines() if path.exists() else []:
        address, size, what, name = line.split(" ", 3)
        labels.append(Label(int(address, 16), int(size), what, name))
    return labels


def current(labels: Iterable[Label]) -> dict[int, Label]:
    return {label.address: label for label in labels}


# --------------------------------------------------------------------------------------------------
# What comes back.


@dataclass
class Frame:
    pc: int
    function: str
    module: str = ""


@dataclass
class Text:
    """Filled when the session was executed."""

    value: str = ""


@dataclass
class Answer:
    """A report in JSON, filled when the session was executed."""

    path: Path
    value: Any = None


@dataclass
class HostOutput:
    path: Path
    value: str = ""


@dataclass
class Backtrace:
    frames: list[Frame] = field(default_factory=list)  # innermost first, inlined ones left out


@dataclass(frozen=True)
class Allocation:
    address: int
    size: int
    kind: str
    thread: int
    stack: tuple[dict[str, Any], ...]
    in_flight: bool  # a realloc of it was in progress: the allocator may be done with it

    def functions(self) -> list[str]:
        return [frame["function"] for frame in self.stack]

    def real_frames(self) -> list[dict[str, Any]]:
        return [frame for frame in self.stack if not frame["inlined"]]


def allocations(report: dict[str, Any]) -> dict[int, Allocation]:
    """Of `leaks top --addresses --format json`. An address twice is an error."""
    result: dict[int, Allocation] = {}
    for group in report["groups"]:
        for one in group["allocations"]:
            if one["address"] in result:
                raise AssertionError(f"{one['address']:#x} is listed twice")
            result[one["address"]] = Allocation(
                one["address"], one["size"], one["kind"], one["thread"], tuple(group["stack"]),
                one["in_flight"],
            )
    return result


def walked(text: str) -> tuple[dict[int, int], bool]:
    """Of tests/oracles/heap_walk: usable size by address of the program's blocks, and whether the
    walk was complete."""
    blocks: dict[int, int] = {}
    complete = False
    for line in text.splitlines():
        if line.startswith("addr="):
            address, usable = line.split()
            blocks[int(address[5:], 16)] = int(usable[7:])
        elif line == "complete":
            complete = True
    return blocks, complete


# --------------------------------------------------------------------------------------------------
# Debuggers.


class Lldb:
    """LLDB's words for the verbs."""

    name = "lldb"
    prompt = r"\(lldb\) "
    # Another plugin (one with a fault put in on purpose) may stand in: the tests must then fail.
    plugin = Path(os.environ.get("HEAPLEDGER_PLUGIN", BUILD / "heapledger_lldb.so"))
    executable = os.environ.get("HEAPLEDGER_LLDB", "lldb-19")
    _frame = re.compile(r"^\s*FRAME \d+ (0x[0-9a-f]+) (0x[0-9a-f]+) \[(.*?)\] \[(.*?)\](\[artificial\])?$")

    @classmethod
    def version(cls) -> int:
        """14, 16, 19 ..."""
        text = subprocess.run([cls.executable, "--version"], capture_output=True, text=True,
                              check=True).stdout
        return int(re.search(r"version (\d+)", text).group(1))

    def batch_command(self, commands: Sequence[str]) -> list[str]:
        line = [self.executable, "--no-lldbinit", "--no-use-colors", "--batch"]
        for command in commands:
            line += ["-o", command]
        return line

    def interactive_command(self) -> list[str]:
        return [self.executable, "--no-lldbinit", "--no-use-colors"]

    def load(self) -> list[str]:
        return [f"plugin load {self.plugin}"]

    def without_debug_symbols(self) -> list[str]:
        """The state of a machine without libc6-dbg."""
        return [
            "settings set symbols.enable-external-lookup false",
            "settings set target.debug-file-search-paths /nonexistent",
        ]

    def program(self, path: Path, arguments: Sequence[str], environment: dict[str, str],
                input_path: str, output: Path, errors: Path) -> list[str]:
        commands = [
            f'target create "{path}"',
            "settings set frame-format \"FRAME ${frame.index} ${frame.pc} ${frame.sp}"
            " [{${module.file.basename}}] [{${function.name-without-args}}]"
            "{${frame.is-artificial}[artificial]}\\n\"",
            f"settings set target.input-path {input_path}",
            f"settings set target.output-path {output}",
            f"settings set target.error-path {errors}",
        ]
        if arguments:
            quoted = " ".join('"' + re.sub(r'(["\\\\`])', r"\\\1", a) + '"' for a in arguments)
            commands.append(f"settings set -- target.run-args {quoted}")
        for key, value in environment.items():
            commands.append(f'settings append target.env-vars "{key}={value}"')
        return commands

    def pass_signal(self, name: str) -> str:
        return f"process handle --stop false --notify false --pass true {name}"

    def stop_at(self, function: str, once: bool) -> str:
        return f"breakpoint set {'--one-shot true ' if once else ''}--name {function}"

    def stop_after(self, function: str, calls: int) -> str:
        return f"breakpoint set --ignore-count {calls} --name {function}"

    def stop_at_address(self, address: int, program: str) -> str:
        """Before it runs, at a link-time address of a program that is loaded where it was linked."""
        return f"breakpoint set --address {address:#x} --shlib {program}"

    def ended(self, status: int) -> str:
        """What it says when the program has ended with that status (a regular expression)."""
        return rf"exited with status = {status}\b"

    def attach(self, pid: int) -> str:
        return f"process attach --pid {pid}"

    def open_core(self, program: Path, core: Path) -> str:
        return f'target create "{program}" --core "{core}"'

    def stop_at_if(self, function: str, condition: str) -> str:
        return f"breakpoint set --name {function} --condition '{condition}'"

    def connect(self, port: int) -> str:
        return f"gdb-remote 127.0.0.1:{port}"

    list_breakpoints = "breakpoint list"
    remote_server = "lldb-server"
    run = "run"
    resume = "continue"
    kill = "process kill"
    detach = "process detach"
    backtrace = "thread backtrace"

    def sections(self, text: str, commands: Sequence[str]) -> list[str]:
        """The output of each command; a command that did not come to its turn has none."""
        found, begin = [], 0
        starts: list[tuple[int, int]] = []
        for command in commands:
            echo = f"(lldb) {command}\n"
            at = text.find(echo, begin)
            if at < 0:
                starts.append((-1, -1))
                continue
            starts.append((at, at + len(echo)))
            begin = at + len(echo)
        for i, (_, body) in enumerate(starts):
            if body < 0:
                found.append("")
                continue
            later = [at for at, _ in starts[i + 1:] if at >= 0]
            found.append(text[body:later[0] if later else len(text)])
        return found

    def host(self, arguments: Sequence[str], output: Path) -> str:
        """Runs a command of this machine with the inferior's process id as its last argument."""
        return (f"script __import__('subprocess').run({list(arguments)!r} + "
                f"[str(lldb.process.GetProcessID())], stdout=open({str(output)!r}, 'w'), "
                f"stderr=__import__('subprocess').STDOUT)")

    def frames(self, text: str) -> list[Frame]:
        frames: list[Frame] = []
        previous = ""
        for line in text.splitlines():
            match = self._frame.match(line.replace("* ", "  ", 1))
            if match is None:
                continue
            pc, sp, module, function, artificial = match.groups()
            if artificial:
                continue  # a tail call that LLDB concluded: it left no return address
            if previous == sp:
                # Inlined into this one: the real frame's pc came first, its name comes last.
                frames[-1].function = function
                continue
            frames.append(Frame(int(pc, 16), function, module))
            previous = sp
        return frames


class Gdb:
    """gdb's words for the verbs."""

    name = "gdb"
    prompt = r"\(gdb\) "
    bridge = BUILD / "heapledger_gdb.py"
    executable = os.environ.get("HEAPLEDGER_GDB", "gdb")
    _mark = "@@ command {}"
    _frame = re.compile(r"^FRAME (0x[0-9a-f]+) \[(.*?)\] \[(.*?)\]$")
    def batch_command(self, commands: Sequence[str]) -> list[str]:
        line = [self.executable, "-nx", "-q", "-batch"]
        for i, command in enumerate(commands):
            line += ["-ex", f"echo {self._mark.format(i)}\\n", "-ex", command]
        return line

    def interactive_command(self) -> list[str]:
        return [self.executable, "-nx", "-q", "-ex", "set width 0"]

    def load(self) -> list[str]:
        return [f"source {self.bridge}"]

    def without_debug_symbols(self) -> list[str]:
        return ["set debug-file-directory /nonexistent"]

    def program(self, path: Path, arguments: Sequence[str], environment: dict[str, str],
                input_path: str, output: Path, errors: Path) -> list[str]:
        words = " ".join(shlex.quote(a) for a in arguments)
        commands = [
            f"file {path}",
            "set breakpoint pending on",
            "set backtrace past-main on",
            # gdb adds them to the program's environment, which some programs keep on the heap.
            "unset environment LINES",
            "unset environment COLUMNS",
            f"set args {words} < {input_path} > {output} 2> {errors}",
        ]
        for key, value in environment.items():
            commands.append(f"set environment {key} {value}")
        return commands

    def pass_signal(self, name: str) -> str:
        return f"handle {name} nostop noprint pass"

    def stop_at(self, function: str, once: bool) -> str:
        return f"{'tbreak' if once else 'break'} {function}"

    def stop_after(self, function: str, calls: int) -> str:
        return (f"python gdb.Breakpoint('{function}').ignore_count = {calls}")

    def stop_at_address(self, address: int, program: str) -> str:
        return f"break *{address:#x}"

    def ended(self, status: int) -> str:
        return "exited normally" if status == 0 else rf"exited with code {status:02o}\b"

    def attach(self, pid: int) -> str:
        return f"attach {pid}"

    def open_core(self, program: Path, core: Path) -> str:
        return f"core-file {core}"

    def stop_at_if(self, function: str, condition: str) -> str:
        return f"break {function} if {condition}"

    def connect(self, port: int) -> str:
        return f"target remote 127.0.0.1:{port}"

    list_breakpoints = "info breakpoints"
    remote_server = "gdbserver"
    run = "run"
    resume = "continue"
    kill = "kill"
    detach = "detach"
    backtrace = f"source {SOURCE}/tests/debuggers/gdb_frames.py"

    def sections(self, text: str, commands: Sequence[str]) -> list[str]:
        found = []
        for i in range(len(commands)):
            mark = self._mark.format(i) + "\n"
            at = text.find(mark)
            if at < 0:
                found.append("")
                continue
            begin = at + len(mark)
            end = text.find(self._mark.format(i + 1) + "\n", begin)
            found.append(text[begin:end if end >= 0 else len(text)])
        return found

    def host(self, arguments: Sequence[str], output: Path) -> str:
        return (f"python __import__('subprocess').run({list(arguments)!r} + "
                f"[str(gdb.selected_inferior().pid)], stdout=open({str(output)!r}, 'w'), "
                f"stderr=__import__('subprocess').STDOUT)")

    def frames(self, text: str) -> list[Frame]:
        frames = []
        for line in text.splitlines():
            if match := self._frame.match(line):
                pc, module, function = match.groups()
                frames.append(Frame(int(pc, 16), function, module))
        return frames


DEBUGGERS: dict[str, Callable[[], Any]] = {"lldb": Lldb, "gdb": Gdb}
# The whole file of tests is about this one; a test that compares the two names them.
DEBUGGER = os.environ.get("HEAPLEDGER_DEBUGGER", "lldb")


# --------------------------------------------------------------------------------------------------
# Batch sessions.


@dataclass
class Outcome:
    text: str
    status: int
    output: str  # of the debugged program
    errors: str
    truth: list[Label]


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, open_list = [], [pid]
    while open_list:
        for child in children.get(open_list.pop(), []):
            found.append(child)
            open_list.append(child)
    return found


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
            for pid in [process.pid, *_descendants(process.pid)]:
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
                 loaded: bool = True):
        """Without `loaded` it is a plain debugger."""
        self.debugger = DEBUGGERS[debugger]()
        self.folder = Path(tempfile.mkdtemp(dir=_scratch())) if folder is None else folder
        self.truth_path = self.folder / "truth"
        self._output = self.folder / "output"
        self._errors = self.folder / "errors"
        self._output.touch()
        self._errors.touch()
        self._commands: list[str] = []
        self._handles: list[tuple[int, Any]] = []
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
        text, status = run_to_end(self.debugger.batch_command(self._commands),
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


def _scratch() -> Path:
    folder = BUILD / "tests" / "debuggers" / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def session_environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's settings reaches a session, and its files stay in the build folder."""
    keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {**keep, "HOME": str(folder), "TMPDIR": str(folder), "TERM": "dumb",
            "PYTHONDONTWRITEBYTECODE": "1"}


def run_plain(program: Path | str, *arguments: str, timeout: float = 60,
              environment: dict[str, str] | None = None) -> Outcome:
    """The program without any debugger."""
    folder = Path(tempfile.mkdtemp(dir=_scratch()))
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


# --------------------------------------------------------------------------------------------------
# A session on a pseudo-terminal.


class Terminal:
    """A debugger as a user has it: on a terminal, at its prompt."""

    _escapes = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x1b\][^\x07]*\x07")

    def __init__(self, debugger: str = DEBUGGER, timeout: float = 60):
        self.debugger = DEBUGGERS[debugger]()
        self.folder = Path(tempfile.mkdtemp(dir=_scratch()))
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
        for pid in [self.pid, *_descendants(self.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        os.close(self._fd)


# --------------------------------------------------------------------------------------------------
# Comparing.


# Blocks whose chunk may keep a rest that is too small to be a chunk of its own.
TRIMMED = {"realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "valloc",
           "pvalloc"}


def fits(one: Allocation, usable: int) -> bool:
    """glibc: at least what was asked for; at most the smallest chunk, rounding, and a rest of up to
    48 bytes where a chunk was cut; whole pages for pvalloc and for mapped chunks, which realloc may
    have shrunk to one page and memalign leaves untrimmed."""
    if usable < one.size:
        return False
    requested = max(one.size, 24)
    if one.kind == "pvalloc":
        requested = (requested + 4095) // 4096 * 4096
    if usable >= 1 << 17:
        return usable < requested + (1 << 17)
    if (one.address + usable) % 4096 == 0:
        return usable < requested + 4096 + 32
    if one.kind in ("operator new", "operator new[]"):
        return usable < requested + 80 + 256  # aligned forms round up to the alignment
    return usable < requested + (80 if one.kind in TRIMMED else 32)


class DebuggerTest(unittest.TestCase):
    maxDiff = 20000

    def setUp(self) -> None:
        plugin = Lldb.plugin
        self.assertTrue(plugin.exists(), f"{plugin} is not built")

    def outstanding_from(self, text: str, function: str) -> tuple[int, int]:
        """Bytes and count of the stacks of `leaks top` that begin in the function."""
        found = re.findall(r"(\d+) bytes in (\d+) allocations from stack\n\s*" + function + r"\+",
                           text)
        self.assertTrue(found, text)
        return sum(int(size) for size, _ in found), sum(int(count) for _, count in found)

    def assert_ledger_holds(self, report: dict[str, Any], labels: Iterable[Label],
                            outcome_text: str = "") -> dict[int, Allocation]:
        """Every labelled block is outstanding with its size and kind, every released one is not, and
        no two entries overlap (a nested entry point would)."""
        found = allocations(report)
        wrong = []
        counted = 0
        for label in current(labels).values():
            entry = found.get(label.address)
            if label.what == "held":
                counted += 1
                if entry is None:
                    wrong.append(f"{label.address:#x} {label.size} {label.name}: not outstanding")
                elif entry.size != label.size or entry.kind not in label.name.split("|"):
                    wrong.append(f"{label.address:#x} {label.size} {label.name}: "
                                 f"outstanding as {entry.size} {entry.kind}")
            elif label.what == "freed" and entry is not None and entry.size == label.size:
                # Another size: the address was used again, by the runtime.
                wrong.append(f"{label.address:#x} {label.size} {label.name}: released, but "
                             f"outstanding as {entry.size} {entry.kind}")
        ordered = sorted(found.values(), key=lambda one: one.address)
        for before, after in zip(ordered, ordered[1:]):
            if before.address + before.size > after.address:
                wrong.append(f"{before.address:#x}+{before.size} {before.kind} overlaps "
                             f"{after.address:#x}+{after.size} {after.kind}")
        self.assertGreater(counted, 0, f"the program labelled nothing\n{outcome_text[-3000:]}")
        self.assertEqual(wrong, [], outcome_text[-3000:])
        return found


    def assert_ledger_equals_walk(self, report: dict[str, Any], walk_text: str,
                                  where: str = "", least: int = 1,
                                  may_be_amid: bool = False) -> bool:
        """The set of heap blocks is what malloc's own structures say. What is between malloc and its
        record, or between the record and free, at this very moment is counted by the ledger. False:
        a thread stands amid malloc (may_be_amid) and its structures cannot be walked."""
        walk, complete = walked(walk_text)
        if not complete and may_be_amid:
            return False
        self.assertTrue(complete, f"{where}: {walk_text[-500:]}")
        heap = {a: one for a, one in allocations(report).items()
                if one.kind not in ("mmap", "mremap", "shmat")}
        in_flight = report["coverage"]["in_flight"]
        unrecorded = sorted(set(walk) - set(heap))
        gone = sorted(a for a in set(heap) - set(walk) if not heap[a].in_flight)
        self.assertEqual([f"{a:#x} {heap[a].size} {heap[a].kind}" for a in gone], [], where)
        self.assertLessEqual(len(unrecorded), in_flight,
                             f"{where}: {[f'{a:#x} {walk[a]}' for a in unrecorded[:20]]}")
        self.assertGreaterEqual(len(heap), least, where)
        wrong = [f"{a:#x} requested {one.size} usable {walk[a]}" for a, one in heap.items()
                 if a in walk and not one.in_flight and not fits(one, walk[a])]
        self.assertEqual(wrong, [], where)
        return True


def main() -> None:
    unittest.main(verbosity=2)
