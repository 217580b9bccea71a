# SPDX-License-Identifier: Apache-2.0
"""Where the build is, and what a session finds around itself. The environment names the build
(HEAPLEDGER_BUILD) and the source (HEAPLEDGER_SOURCE)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

BUILD = Path(os.environ["HEAPLEDGER_BUILD"])
SOURCE = Path(os.environ["HEAPLEDGER_SOURCE"])
PROGRAMS = BUILD / "tests" / "programs"
DEMO = BUILD / "demo"
STOP = "heapledger_stop_here"
EVERYTHING = 1000000000  # stacks: `leaks top` without a limit


def scratch_folder() -> Path:
    folder = BUILD / "tests" / "debuggers" / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fresh_folder() -> Path:
    return Path(tempfile.mkdtemp(dir=scratch_folder()))


def session_environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's settings reaches a session, and its files stay in the build folder."""
    keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {**keep, "HOME": str(folder), "TMPDIR": str(folder), "TERM": "dumb",
            "PYTHONDONTWRITEBYTECODE": "1"}
