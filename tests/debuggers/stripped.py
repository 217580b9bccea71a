# SPDX-License-Identifier: Apache-2.0
"""A static program without symbols, and what somebody who knows it better can tell: the addresses of the
same program before it was stripped."""

import functools
import subprocess

import harness

PROGRAM = "track_kinds.static-stripped"


@functools.cache
def symbols() -> dict[str, int]:
    done = subprocess.run(["nm", str(harness.PROGRAMS / "track_kinds.static")], capture_output=True,
                          text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[2]: int(line[0], 16) for line in lines if len(line) == 3}


STOP = symbols()[harness.STOP]
HOOKS = " ".join(f"--hook {name}={symbols()[name]:#x}" for name in ("malloc", "calloc", "realloc", "free"))


def stop(session: harness.Session) -> None:
    session.raw(session.debugger.stop_at_address(STOP, PROGRAM))
