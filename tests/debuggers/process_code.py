#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""process_code.py PID: where the code of a process differs from its files, one line each. Also a module for
tests. The process may run."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Iterator

TRAP, JUMP = 0xCC, 0xE9
SYSCALL = b"\x0f\x05"
PAGE = 4096


@dataclass(frozen=True)
class Change:
    module: str
    offset: int  # in the file
    now: bytes
    before: bytes
    target: str = ""  # of a jump: the permissions of the memory it leads to

    @property
    def place(self) -> str:
        return f"{self.module}+{self.offset:#x}"

    @property
    def kind(self) -> str:
        """trap: of a breakpoint. jump: a whole one to code that came from no file. syscall: a system call,
        as lldb-server has for a moment where it makes one. torn: anything else."""
        if self.now == bytes([TRAP]):
            return "trap"
        if self.now == SYSCALL:
            return "syscall"
        return "jump" if self.target == "r-xp" else "torn"

    def __str__(self) -> str:
        return f"{self.kind} {self.place} {self.before.hex()} -> {self.now.hex()} {self.target}".rstrip()


def mappings(pid: int) -> Iterator[tuple[int, int, str, int, str]]:
    """(begin, end, permissions, offset, path)."""
    with open(f"/proc/{pid}/maps") as lines:
        for line in lines:
            span, permissions, offset, _, _, *path = line.split(maxsplit=5)
            begin, end = (int(part, 16) for part in span.split("-"))
            yield begin, end, permissions, int(offset, 16), path[0].strip() if path else ""


def changes(pid: int) -> list[Change]:
    found = []
    mapped = list(mappings(pid))
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for begin, end, permissions, offset, path in mapped:
            if "x" not in permissions or not path.startswith("/"):
                continue
            memory.seek(begin)
            now = memory.read(end - begin)
            with open(path, "rb") as file:
                file.seek(offset)
                before = file.read(end - begin)
            found += _differences(begin, offset, os.path.basename(path), now, before, mapped)
    return found


def _differences(begin: int, offset: int, module: str, now: bytes, before: bytes,
                 mapped: list[tuple[int, int, str, int, str]]) -> Iterator[Change]:
    i, size = 0, min(len(now), len(before))
    while i < size:
        if i % PAGE == 0 and now[i:i + PAGE] == before[i:i + PAGE]:
            i += PAGE
            continue
        if now[i] == before[i]:
            i += 1
            continue
        start, target = _jump_over(now, i, begin, mapped)
        length = 5
        if not target:
            start, length = i, 1
            while now[i] != TRAP and now[i + length:i + length + 1] != before[i + length:i + length + 1]:
                length += 1
        yield Change(module, offset + start, now[start:start + length], before[start:start + length],
                     target)
        i = start + length


def _jump_over(code: bytes, at: int, begin: int,
               mapped: list[tuple[int, int, str, int, str]]) -> tuple[int, str]:
    """Where a jump to memory without a file begins whose bytes cover `at`, and what it leads to."""
    for start in range(max(0, at - 4), at + 1):
        if code[start] != JUMP:
            continue
        to = begin + start + 5 + int.from_bytes(code[start + 1:start + 5], "little", signed=True)
        for b, e, permissions, _, path in mapped:
            if b <= to < e and not path and "x" in permissions:
                return start, permissions
    return at, ""


if __name__ == "__main__":
    for change in changes(int(sys.argv[1])):
        print(change)
