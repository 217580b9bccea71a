# SPDX-License-Identifier: Apache-2.0
"""The verbs of a session (stop_at, run, resume, backtrace ...) in each debugger's words, and how its answers
are read."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Sequence

from answers import Frame
from surroundings import BUILD, SOURCE


class Lldb:
    """LLDB's words for the verbs."""

    name = "lldb"
    prompt = r"\(lldb\) "
    # Another plugin (one with a fault put in on purpose) may stand in: the tests must then fail.
    plugin = Path(os.environ.get("HEAPLEDGER_PLUGIN", BUILD / "heapledger_lldb.so"))
    executable = os.environ.get("HEAPLEDGER_LLDB", "lldb-19")
    _frame = re.compile(r"^\s*FRAME \d+ (0x[0-9a-f]+) (0x[0-9a-f]+) \[(.*?)\] \[(.*?)\](\[artificial\])?$")

    @classmethod
    @functools.cache
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

    @classmethod
    def module_environment(cls) -> dict[str, str]:
        """For a Python that loads LLDB as a module. One that is laid out beside others
        (scripts/lldb-versions) is a script that sets what its libraries need: it is asked inside."""
        ask = "script import os; print('SET', *(os.environ.get(n, '') for n in ('LD_LIBRARY_PATH', 'PYTHONPATH')), sep='|')"
        inside = subprocess.run([cls.executable, "--no-lldbinit", "--batch", "-o", ask], check=True,
                                capture_output=True, text=True).stdout
        libraries, modules = re.search(r"^SET\|(.*)\|(.*)$", inside, re.M).groups()
        own = subprocess.run([cls.executable, "-P"], check=True, capture_output=True, text=True).stdout.strip()
        server = Path(shutil.which(cls.executable)).resolve().parent / "lldb-server"
        return {"PYTHONPATH": f"{own}:{modules}".strip(":"), "LLDB_DEBUGSERVER_PATH": str(server),
                **({"LD_LIBRARY_PATH": libraries} if libraries else {})}

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
            # What a version that is laid out needs for itself.
            "settings set target.unset-env-vars LD_LIBRARY_PATH PYTHONPATH LLDB_DEBUGSERVER_PATH",
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
        """LLDB 14 takes no signal settings before there is a process."""
        command = f"process handle --stop false --notify false --pass true {name}"
        if self.version() > 14:
            return command
        return f"breakpoint set --name main --auto-continue true --command '{command}'"

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

    def may_fail(self, command: str) -> str:
        """A batch ends at a command that fails, but not at a script that runs it."""
        return f"script lldb.debugger.HandleCommand({command!r})"

    def attach(self, pid: int) -> str:
        return f"process attach --pid {pid}"

    def open_core(self, program: Path, core: Path) -> str:
        return f'target create "{program}" --core "{core}"'

    def stop_at_libc_if(self, function: str, condition: str) -> str:
        """LLDB 22 also stops where ld.so has one of that name inlined."""
        return f"breakpoint set --shlib libc.so.6 --name {function} --condition '{condition}'"

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

    def may_fail(self, command: str) -> str:
        return command

    def attach(self, pid: int) -> str:
        return f"attach {pid}"

    def open_core(self, program: Path, core: Path) -> str:
        return f"core-file {core}"

    def stop_at_libc_if(self, function: str, condition: str) -> str:
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
