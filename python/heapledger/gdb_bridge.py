# SPDX-License-Identifier: Apache-2.0
"""Registers heapledger's commands in gdb and forwards gdb's events to it.

Commands, their help and their completion come from the engine's table; what they do and print is made
there as well (commands/).
"""

from __future__ import annotations

import contextlib
from typing import Callable, Optional

import gdb

from heapledger import _core
from heapledger.gdb_debugger import Debugger, selection


def shown(error: Exception) -> str:
    """Its words may be a name of the program's, made to take the terminal over."""
    return _core.one_line(str(error))


class Program:
    """An inferior: gdb's side of it, its session, and our breakpoints in it."""

    def __init__(self, inferior: gdb.Inferior) -> None:
        self.debugger = Debugger(inferior)
        self.session = _core.GdbSession(self.debugger)
        self.breakpoints: dict[tuple[str, int], gdb.Breakpoint] = {}
        self.debugger.make_watch = lambda address: WatchBreakpoint(self, address)
        self.busy = False  # an event that we cause ourselves is none

    def place_breakpoints(self, places: list[tuple[str, str, int]]) -> None:
        wanted = {(role, address): function for role, function, address in places}
        for key in list(self.breakpoints):
            if key not in wanted or not self.breakpoints[key].is_valid():
                breakpoint = self.breakpoints.pop(key)
                if breakpoint.is_valid():
                    breakpoint.delete()
        for (role, address), function in wanted.items():
            if (role, address) not in self.breakpoints:
                make = LoaderBreakpoint if role == "loader" else exit_breakpoint
                self.breakpoints[role, address] = make(self, function, address)


class LoaderBreakpoint(gdb.Breakpoint):
    """Never stops the program for the user."""

    def __init__(self, program: Program, function: str, address: int) -> None:
        super().__init__(f"*{address:#x}", internal=True)
        self.silent = True
        self._program = program
        self._function = function

    def stop(self) -> bool:
        program = self._program
        try:
            with program.debugger.callback(), busy(program):
                program.session.loader_event(self._function)
        except Exception as error:  # an exception here would stop the program
            gdb.write(f"heapledger: {shown(error)}\n")
        return False


class WatchBreakpoint(gdb.Breakpoint):
    """An address the engine is told of whenever a thread comes there; never stops the program."""

    def __init__(self, program: Program, address: int) -> None:
        super().__init__(f"*{address:#x}", internal=True)
        self.silent = True
        self._program = program
        self._address = address

    def stop(self) -> bool:
        program = self._program
        try:
            with program.debugger.callback(), busy(program):
                program.session.watched(self._address)
        except Exception as error:
            gdb.write(f"heapledger: {shown(error)}\n")
        return False


def exit_breakpoint(program: Program, function: str, address: int) -> gdb.Breakpoint:
    """The scan at the end needs every thread stopped: a stop of gdb's own, which nobody sees."""
    breakpoint = gdb.Breakpoint(f"*{address:#x}", internal=True)
    breakpoint.silent = True
    breakpoint.commands = ("silent\n"
                           "python __import__('heapledger.gdb_bridge').gdb_bridge.exit_call()\n"
                           "continue")
    return breakpoint


@contextlib.contextmanager
def busy(program: Program):
    before, program.busy = program.busy, True
    try:
        yield
    finally:
        program.busy = before


_programs: dict[int, Program] = {}


def current() -> Program:
    return program_of(gdb.selected_inferior())


def program_of(inferior: gdb.Inferior) -> Program:
    for number in list(_programs):
        if all(number != one.num for one in gdb.inferiors()):
            del _programs[number]
    if inferior.num not in _programs:
        _programs[inferior.num] = Program(inferior)
    return _programs[inferior.num]


def exit_call() -> None:
    program = current()
    with busy(program):
        program.session.exit_call()


def query(words: list[str]) -> str:
    program = current()
    with busy(program), selection():
        return program.session.query(words)


def before_detach() -> None:
    program = current()
    with busy(program):
        program.session.let_go()


def hook_detach() -> None:
    """gdb tells no script of a `detach` before it is done, but runs the command hook-detach."""
    with contextlib.suppress(gdb.error):
        gdb.execute("show user hook-detach", to_string=True)
        gdb.write("heapledger: there is a hook-detach of yours: `leaks stop` belongs into it, or the "
                  "hooks stay in a process that is detached from\n")
        return
    gdb.execute("define hook-detach\n"
                "python __import__('heapledger.gdb_bridge').gdb_bridge.before_detach()\n"
                "end", to_string=True)
    gdb.execute("document hook-detach\n"
                "Takes heapledger's hooks out of the process.\n"
                "end", to_string=True)


# Events.


def guarded(handler: Callable[[Program, object], None]) -> Callable[[object], None]:
    """No exception of ours reaches gdb, and no event that we caused ourselves comes back to us."""
    def call(event: object) -> None:
        try:
            program = current()
            if program.busy:
                return
            with busy(program):
                handler(program, event)
        except Exception as error:
            gdb.write(f"heapledger: {shown(error)}\n", gdb.STDERR)
    return call


def on_new_file(program: Program, event: object) -> None:
    if program.debugger.pid() != 0:
        places = program.session.new_file()
        program.debugger.delete_old_watches()  # of the program before exec
        program.place_breakpoints(places)


def on_stop(program: Program, event: object) -> None:
    program.debugger.delete_old_watches()
    program.session.stopped()
    program.place_breakpoints(program.session.places())


def on_exit(program: Program, event: object) -> None:
    program.debugger.exited(getattr(event, "exit_code", None))
    program.session.follow()
    program.debugger.delete_old_watches()
    program.place_breakpoints(program.session.places())


def on_breakpoint(program: Program, event: object) -> None:
    if getattr(event, "number", 0) > 0:
        program.session.breakpoint_set()
        program.place_breakpoints(program.session.places())


def on_gdb_exiting(program: Program, event: object) -> None:
    for one in list(_programs.values()):
        if one.debugger.connection() == "native" and one.debugger.attached():
            one.session.let_go()


def on_resumed(event: object) -> None:
    for program in _programs.values():
        program.debugger.resumed()


# Commands.


class Leaks(gdb.Command):
    def __init__(self, name: str, **options) -> None:
        self.__doc__ = _core.help(name)
        self._name = name
        super().__init__(f"leaks {name}".strip(), gdb.COMMAND_DATA, **options)

    def invoke(self, argument: str, from_tty: bool) -> None:
        self.dont_repeat()
        program = current()
        try:
            with busy(program), selection():  # writing code makes gdb forget its frames, too
                program.session.command(f"{self._name} {argument}".strip())
        except RuntimeError as error:
            raise gdb.GdbError(shown(error))
        except Exception as error:  # out of memory, in the engine too
            raise gdb.GdbError(f"internal error: {error!r}")
        finally:
            with busy(program):
                program.debugger.delete_old_watches()
                program.place_breakpoints(program.session.places())

    def complete(self, text: str, word: Optional[str]):
        return _core.complete(f"{self._name} {text}".lstrip(), text if word is None else word)


def install() -> None:
    """Once per gdb; sourcing the file again changes nothing."""
    if getattr(gdb, "_heapledger_installed", False):
        return
    gdb._heapledger_installed = True
    Leaks("", prefix=True)
    for name in _core.command_names():
        Leaks(name)
    hook_detach()
    events = gdb.events
    events.new_objfile.connect(guarded(on_new_file))
    events.stop.connect(guarded(on_stop))
    events.exited.connect(guarded(on_exit))
    events.breakpoint_created.connect(guarded(on_breakpoint))
    events.breakpoint_modified.connect(guarded(on_breakpoint))
    events.cont.connect(on_resumed)
    events.inferior_call.connect(on_resumed)
    events.gdb_exiting.connect(guarded(on_gdb_exiting))
    guarded(on_new_file)(None)  # a process that is there already
