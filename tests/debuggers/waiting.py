# SPDX-License-Identifier: Apache-2.0
"""A labelled program that runs without a debugger and waits at a known place (tests/programs/truth.h):
for debuggers that come late, and for cores."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import harness


class Waiting:
    """At the stop, or right behind a line of its truth. `end` it, or have a test's addCleanup do so."""

    def __init__(self, program: str, *arguments: str, line: int = 0,
                 variables: dict[str, str] | None = None):
        self.folder = harness.fresh_folder()
        self.truth_path = self.folder / "truth"
        self.fifo = self.folder / "gate"
        os.mkfifo(self.fifo)
        environment = {**harness.session_environment(self.folder),
                       "HEAPLEDGER_TRUTH": str(self.truth_path), "HEAPLEDGER_GATE": str(self.fifo),
                       **(variables or {})}
        if line:
            environment["HEAPLEDGER_GATE_LINE"] = str(line)
        self.program = harness.PROGRAMS / program
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                [str(self.program), *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env=environment, cwd=self.folder,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
        self.pid = self.process.pid
        self._gate = self._open_gate()

    def _open_gate(self) -> int:
        """Once the other end is open the program is there."""
        while True:
            try:
                return os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                pass
            try:
                status = self.process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"{self.program} ended with {status} before its gate")

    def let_go(self, session: harness.Session) -> None:
        """While a debugger holds it: it goes on when it is resumed."""
        session.host("sh", "-c", f"echo > {self.fifo}")

    def run_to_end(self) -> int:
        """Without a debugger: it is let go wherever it waits. Its status."""
        while True:
            try:
                os.write(self._gate, b"\n")
            except BrokenPipeError:  # it does not wait just now
                pass
            try:
                return self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass

    def truth(self) -> list[harness.Label]:
        return harness.read_truth(self.truth_path)

    def output(self) -> str:
        """Of both streams."""
        return (self.folder / "output").read_text(errors="replace")

    def gcore(self) -> Path:
        """What gdb writes of it while it goes on waiting."""
        core = self.folder / "gcore"
        subprocess.run(["gcore", "-o", str(core), str(self.pid)], check=True, capture_output=True,
                       timeout=120)
        return Path(f"{core}.{self.pid}")

    def kernel_core(self) -> Path:
        """What the kernel writes when it crashes here (core_pattern must name a file)."""
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        assert pattern == "core", f"core_pattern is {pattern!r}: this test needs 'core'"
        before = set(self.folder.glob("core*"))
        self.process.send_signal(signal.SIGSEGV)
        self.process.wait(120)
        written = set(self.folder.glob("core*")) - before
        assert len(written) == 1, f"the kernel wrote {written}"
        return written.pop()

    def end(self) -> None:
        os.close(self._gate)
        self.process.kill()
        self.process.wait()
