# SPDX-License-Identifier: Apache-2.0
"""One gdb inferior, as the engine asks about it (python/gdb_target.h, python/gdb_control.h).

Every method is one question in gdb's own terms: nothing is parsed, judged or formatted here. What the
user had selected or set is as it was when a method returns.
"""

from __future__ import annotations

import contextlib
from typing import Callable, Iterator, Optional

import gdb

GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",
           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
WIDE = (("zmm0", "v8_int64", 8), ("ymm0", "v4_int64", 4), ("xmm0", "v2_int64", 2))
MOST_FRAMES = 20000  # of a recursion that ran away


def text(ask: Callable[[], Optional[str]]) -> str:
    """What gdb says, where it may hold a name of the program's: gdb raises for one that is no UTF-8. Its
    bytes that are none are shown in numbers."""
    try:
        return ask() or ""
    except UnicodeDecodeError as error:
        return error.object.decode(errors="backslashreplace")


@contextlib.contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    """A setting of gdb's, for a moment."""
    before = gdb.parameter(name)
    before = "on" if before is True else "off" if before is False else str(before)
    gdb.execute(f"set {name} {value}", to_string=True)
    try:
        yield
    finally:
        gdb.execute(f"set {name} {before}", to_string=True)


@contextlib.contextmanager
def selection() -> Iterator[None]:
    """Thread and frame stay selected. A call of the inferior makes gdb forget its frames, so the frame
    is found again by its level."""
    thread = gdb.selected_thread()
    level = 0
    with contextlib.suppress(gdb.error):
        level = gdb.selected_frame().level()
    try:
        yield
    finally:
        if thread is not None and thread.is_valid():
            with contextlib.suppress(gdb.error):
                if gdb.selected_thread() != thread:
                    thread.switch()
                if gdb.selected_frame().level() != level:
                    frame = gdb.newest_frame()
                    while frame.level() < level:
                        frame = frame.older()
                    frame.select()


class Debugger:
    def __init__(self, inferior: gdb.Inferior) -> None:
        self._inferior = inferior
        self._stop_id = 1
        self._process = 0          # counts the processes this inferior had
        self._pid = 0
        self._exit_status: Optional[int] = None
        self._in_callback = False
        self._watches: dict[int, gdb.Breakpoint] = {}
        self._old_watches: list[gdb.Breakpoint] = []
        self.make_watch: Callable[[int], gdb.Breakpoint]  # set by gdb_bridge

    # What events tell (heapledger/gdb_bridge.py).
    def resumed(self) -> None:
        self._stop_id += 1

    def exited(self, status: Optional[int]) -> None:
        self._exit_status = status
        self._stop_id += 1

    @contextlib.contextmanager
    def callback(self) -> Iterator[None]:
        self._stop_id += 1
        self._in_callback = True
        try:
            yield
        finally:
            self._in_callback = False

    def _current_pid(self) -> int:
        """0 from the moment the process is gone: gdb tells of that before it forgets the pid."""
        if not self._inferior.is_valid() or self._inferior.pid == 0:
            return 0
        return self._inferior.pid if self._inferior.threads() else 0

    # Identity.
    def connection(self) -> str:
        """native, core, remote ...; empty without a process."""
        if self._current_pid() == 0:
            return ""
        connection = self._inferior.connection
        return connection.type if connection is not None else ""

    def state(self) -> str:
        if self._current_pid() == 0:
            return "exited" if self._exit_status is not None else "none"
        if self.connection() == "core":
            return "stopped"
        threads = self._inferior.threads()
        if not gdb.parameter("non-stop"):
            # All or none; but gdb takes one that was created in the moment of a stop for running.
            selected = gdb.selected_thread()
            threads = [selected] if selected in threads else threads[:1]
        return "running" if any(t.is_running() for t in threads) else "stopped"

    def identity(self) -> int:
        """Another number for every process; 0 without one."""
        pid = self._current_pid()
        if pid != self._pid:
            self._pid = pid
            self._process += 1
            if pid != 0:
                self._exit_status = None
        return self._process if pid != 0 else 0

    def attached(self) -> bool:
        """The process lives on when gdb ends."""
        return self._inferior.is_valid() and bool(self._inferior.was_attached)

    def pid(self) -> int:
        return self._current_pid()

    def stop_id(self) -> int:
        return self._process << 32 | self._stop_id

    def program_path(self) -> str:
        return text(lambda: self._inferior.progspace.filename)

    def architecture(self) -> str:
        return self._inferior.architecture().name()

    def version(self) -> str:
        return gdb.VERSION

    def exit_status(self) -> int:
        return -1 if self._exit_status is None else self._exit_status

    def files(self) -> str:
        return text(lambda: gdb.execute("info files", to_string=True))

    def process_mappings(self) -> str:
        return text(lambda: gdb.execute("info proc mappings", to_string=True))

    def debug_directories(self) -> str:
        return gdb.parameter("debug-file-directory") or ""

    # Threads.
    def selected_tid(self) -> int:
        thread = gdb.selected_thread()
        return 0 if thread is None else self._tid(thread)

    def _tid(self, thread: gdb.InferiorThread) -> int:
        pid, lwp, tid = thread.ptid
        return lwp or tid or pid

    def _threads(self) -> list[gdb.InferiorThread]:
        if self._in_callback:
            return [gdb.selected_thread()]
        return sorted(self._inferior.threads(), key=lambda t: t.num)

    def threads(self, registers: bool) -> list[tuple[int, int, str, list[int], list[int]]]:
        """(tid, number, name, [pc, sp, fs_base, general ...], vector registers in 64-bit words); fewer
        numbers where gdb cannot tell."""
        result = []
        with selection():
            for thread in self._threads():
                numbers: list[int] = []
                vector: list[int] = []
                with contextlib.suppress(gdb.error):
                    if gdb.selected_thread() != thread:
                        thread.switch()
                    frame = gdb.newest_frame()
                    names = ("rip", "rsp", "fs_base") if registers else ("rip", "rsp")
                    for name in names + (GENERAL if registers else ()):
                        numbers.append(int(frame.read_register(name)) & 0xffffffffffffffff)
                    if registers:
                        vector = self._vector(frame)
                name = text(lambda: thread.name)
                result.append((self._tid(thread), thread.num, name, numbers, vector))
        return result

    def _vector(self, frame: gdb.Frame) -> list[int]:
        for first, field, count in WIDE:
            try:
                frame.read_register(first)
            except (gdb.error, ValueError):
                continue
            words = []
            for number in range(32 if count == 8 else 16):
                value = frame.read_register(f"{first[:3]}{number}")[field]
                words += [int(value[i]) & 0xffffffffffffffff for i in range(count)]
            return words
        return []

    def _thread(self, tid: int) -> gdb.InferiorThread:
        for thread in self._inferior.threads():
            if self._tid(thread) == tid:
                return thread
        raise gdb.error(f"there is no thread {tid}")

    def backtrace(self, tid: int, with_variables: bool) -> list[tuple]:
        """(pc, sp, function, file, line, [(variable, type, address, size)]), innermost first."""
        result = []
        with selection():
            thread = self._thread(tid)
            if gdb.selected_thread() != thread:
                thread.switch()
            frame: Optional[gdb.Frame] = gdb.newest_frame()
            while frame is not None and len(result) < MOST_FRAMES:
                place = frame.find_sal()
                file = text(place.symtab.fullname) if place.symtab is not None else ""
                variables = self._variables(frame) if with_variables else []
                result.append((frame.pc(), int(frame.read_register("rsp")) & 0xffffffffffffffff,
                               text(frame.name), file, place.line, variables))
                try:
                    frame = frame.older()
                except gdb.error:
                    break
        return result

    def _variables(self, frame: gdb.Frame) -> list[tuple[str, str, int, int]]:
        """Those with a place in memory."""
        result = []
        try:
            block = frame.block()
        except RuntimeError:
            return result
        while block is not None and not block.is_global and not block.is_static:
            for symbol in block:
                if not (symbol.is_variable or symbol.is_argument):
                    continue
                with contextlib.suppress(gdb.error, TypeError, ValueError):
                    value = symbol.value(frame)
                    if value.is_optimized_out or value.address is None:
                        continue
                    result.append((text(lambda: symbol.name), text(lambda: str(value.type)),
                                   int(value.address), value.type.sizeof))
            if block.function is not None:
                break
            block = block.superblock
        return result

    def call_stack(self, tid: int, limit: int) -> list[tuple[int, bool]]:
        """(pc, a signal arrived there), innermost first: real frames, not what was inlined into them nor
        tail calls that gdb concluded."""
        result: list[tuple[int, bool]] = []
        with selection(), setting("backtrace past-main", "on"):
            thread = self._thread(tid)
            if gdb.selected_thread() != thread:
                thread.switch()
            frame: Optional[gdb.Frame] = gdb.newest_frame()
            interrupted = False
            # Beyond the outermost function gdb goes on to what it takes for a return address (argc).
            while frame is not None and len(result) < limit and frame.pc() >= 4096:
                kind = frame.type()
                if kind not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
                    result.append((frame.pc(), interrupted))
                    interrupted = kind == gdb.SIGTRAMP_FRAME
                try:
                    frame = frame.older()
                except gdb.error:
                    break
        return result

    # Memory and code.
    def read(self, address: int, size: int) -> memoryview:
        """Breakpoint traps are not shown."""
        return self._inferior.read_memory(address, size)

    def write(self, address: int, contents: bytes) -> None:
        """Breakpoints that are inserted there stay."""
        self._inferior.write_memory(address, contents)

    def out(self, words: str) -> None:
        """To the user."""
        gdb.write(words)

    def breakpoints(self) -> list[int]:
        """Addresses of the user's enabled breakpoints."""
        result = []
        for breakpoint in gdb.breakpoints() or ():
            if breakpoint.type not in (gdb.BP_BREAKPOINT, gdb.BP_HARDWARE_BREAKPOINT):
                continue
            if not breakpoint.enabled:
                continue
            result += [place.address for place in breakpoint.locations if place.enabled]
        return result

    def set_pc(self, tid: int, pc: int) -> None:
        with selection(), setting("language", "c"):
            self._thread(tid).switch()
            gdb.execute(f"set var $pc = {pc}", to_string=True)

    def call(self, function: int, arguments: list[int]) -> int:
        """The other threads stay stopped; a call that fails is unwound."""
        types = ",".join(["unsigned long"] * len(arguments))
        values = ",".join(f"{value}UL" for value in arguments)
        with contextlib.ExitStack() as stack:
            stack.enter_context(selection())
            stack.enter_context(setting("language", "c"))
            stack.enter_context(setting("unwindonsignal", "on"))
            if len(self._inferior.threads()) > 1:
                stack.enter_context(setting("scheduler-locking", "on"))
            gdb.newest_frame().select()
            value = gdb.parse_and_eval(f"((unsigned long (*)({types})) {function}UL)({values})")
            return int(value)

    def evaluate(self, expression: str) -> int:
        """A pointer or a number gives its value, an array or an object its address."""
        value = gdb.parse_and_eval(expression)
        kind = value.type.strip_typedefs().code
        if kind in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            value = value.referenced_value()
            kind = value.type.strip_typedefs().code
        if kind in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            if value.address is None:
                raise gdb.error("it is an object without an address")
            return int(value.address)
        if kind == gdb.TYPE_CODE_FUNC:
            return int(value.address)
        return int(value) & 0xffffffffffffffff

    # Addresses that the engine wants to be told of.
    def watch(self, address: int) -> None:
        self._watches[address] = self.make_watch(address)

    def unwatch(self, address: int) -> None:
        """gdb may be in the middle of that very breakpoint: it goes at the next stop for the user."""
        breakpoint = self._watches.pop(address, None)
        if breakpoint is not None:
            self._old_watches.append(breakpoint)

    def delete_old_watches(self) -> None:
        for breakpoint in self._old_watches:
            if breakpoint.is_valid():
                breakpoint.delete()
        self._old_watches.clear()

    def watched_registers(self) -> tuple[int, ...]:
        """(tid, rip, rsp, rdi, rsi, rdx, rcx, rax, r11) of the thread that came to one."""
        frame = gdb.newest_frame()
        names = ("rip", "rsp", "rdi", "rsi", "rdx", "rcx", "rax", "r11")
        return (self.selected_tid(),
                *(int(frame.read_register(name)) & 0xffffffffffffffff for name in names))

    # An ELF file of ours, so that backtraces through it are right.
    def announce(self, path: str, base: int) -> None:
        gdb.execute(f"add-symbol-file {path} -o {base}", to_string=True)

    def withdraw(self, path: str) -> None:
        for objfile in gdb.objfiles():
            if text(lambda: objfile.filename) == path:
                with contextlib.suppress(gdb.error):
                    gdb.execute(f"remove-symbol-file {path}", to_string=True)
