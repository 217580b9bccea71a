# SPDX-License-Identifier: Apache-2.0
"""Where the thread stood that a signal killed, and what stood there: read from the kernel's core file
(core(5), elf(5))."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Iterator

PT_LOAD, PT_NOTE, NT_PRSTATUS, NT_FILE = 1, 4, 1, 0x46494C45
RIP_IN_PRSTATUS = 112 + 16 * 8  # pr_reg, struct user_regs_struct


def stopped_at(core: Path) -> tuple[str, int, int]:
    """(file name, offset in the file, pc); the name is empty where no file was mapped. The thread that
    took the signal comes first."""
    data = core.read_bytes()
    notes = dict(reversed(list(_notes(data))))  # the first of each type
    (pc,) = struct.unpack_from("<Q", notes[NT_PRSTATUS], RIP_IN_PRSTATUS)
    for begin, end, offset, path in _files(notes[NT_FILE]):
        if begin <= pc < end:
            return os.path.basename(path), offset + pc - begin, pc
    return "", 0, pc


def entry_of(file: Path) -> int:
    """e_entry of an ELF file; its offset too, where the file is laid out as it is mapped (glibc's loader)."""
    (entry,) = struct.unpack_from("<Q", file.read_bytes(), 24)
    return entry


def byte_at(core: Path, address: int) -> int | None:
    """None: it is not in the core, which has all memory of the process but code as its file has it."""
    data = core.read_bytes()
    for kind, offset, start, size in _segments(data):
        if kind == PT_LOAD and start <= address < start + size:
            return data[offset + address - start]
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(type, offset, address, size in the file)."""
    (table,) = struct.unpack_from("<Q", data, 32)
    (count,) = struct.unpack_from("<H", data, 56)
    for i in range(count):
        kind, _, offset, start, _, size = struct.unpack_from("<IIQQQQ", data, table + i * 56)
        yield kind, offset, start, size


def _notes(data: bytes) -> Iterator[tuple[int, bytes]]:
    for kind, offset, _, size in _segments(data):
        at = offset
        while kind == PT_NOTE and at < offset + size:
            name_size, note_size, note_type = struct.unpack_from("<III", data, at)
            begin = at + 12 + (name_size + 3 & ~3)
            yield note_type, data[begin:begin + note_size]
            at = begin + (note_size + 3 & ~3)


def _files(note: bytes) -> Iterator[tuple[int, int, int, str]]:
    count, page = struct.unpack_from("<QQ", note, 0)
    names = note[16 + count * 24:].split(b"\0")
    for i in range(count):
        begin, end, offset = struct.unpack_from("<QQQ", note, 16 + i * 24)
        yield begin, end, offset * page, names[i].decode(errors="replace")
