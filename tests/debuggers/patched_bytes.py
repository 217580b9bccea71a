#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""patched_bytes.py PID: how many bytes of the process's mapped code differ from its files, and where."""

import sys


def main(pid: str) -> None:
    different, where = 0, []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            fields = line.split(maxsplit=5)
            if len(fields) < 6 or "x" not in fields[1] or not fields[5].startswith("/"):
                continue
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            memory.seek(begin)
            there = memory.read(end - begin)
            with open(fields[5].strip(), "rb") as file:
                file.seek(int(fields[2], 16))
                original = file.read(end - begin)
            for i, (a, b) in enumerate(zip(there, original)):
                if a != b:
                    different += 1
                    where.append(f"{begin + i:#x}")
    print(different, *where[:20])


main(sys.argv[1])
