# SPDX-License-Identifier: Apache-2.0
"""Where the measured programs are, and how they get there."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
BUILD = SOURCE / "build" / "release"


def build(*targets: str) -> None:
    subprocess.run(["cmake", "--preset", "release", "-DHEAPLEDGER_BENCH=ON"], cwd=SOURCE, check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(BUILD), "--target", *targets], check=True,
                   stdout=subprocess.DEVNULL)
