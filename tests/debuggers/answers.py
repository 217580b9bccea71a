# SPDX-License-Identifier: Apache-2.0
"""What a labelled program says about itself, and what comes back from a debugger."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable


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
