# SPDX-License-Identifier: Apache-2.0
"""Who descends from a process."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> list[int]:
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
