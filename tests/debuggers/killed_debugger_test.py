# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the debugger at random moments of launching, attaching, starting, running, stopping.

The process fares no worse than under the plain debugger, which is killed at the same kinds of places in
the same run: it ends the same way, or it lives, computes what it should, and its code is what its files
say but for whole hooks and for the plain debugger's own traps. What is left a new debugger takes over
(`leaks start`) or removes (`leaks stop`).

HEAPLEDGER_KILLS says how many, HEAPLEDGER_SEED which.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
import process_code
from killed_trial import AMID_CALL, KINDS, WITNESSED, Fate, Kind, Trial, wait_for

KILLS = int(os.environ.get("HEAPLEDGER_KILLS", "100"))
SEED = int(os.environ.get("HEAPLEDGER_SEED", "1"))
AT_ONCE = 3
PR_SET_CHILD_SUBREAPER = 36


class KilledDebugger(harness.DebuggerTest):
    def setUp(self) -> None:
        super().setUp()
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        self.assertEqual(pattern, "core", "this test reads core files")
        resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0)
        self.random = random.Random(SEED)

    def play(self, kind: Kind, plain: bool, part: float, length: float, take_over: str) -> Fate | None:
        trial = Trial(kind, plain)
        try:
            if not trial.begin():
                raise AssertionError((trial.folder / "log").read_text(errors="replace")[-3000:])
            moment = part * length
            begun = time.monotonic()
            wait_for(lambda: time.monotonic() - begun >= moment or trial.debugger.poll() is not None,
                     step=min(0.001, moment / 10 + 1e-6))
            trial.kill()
            fate = trial.fate(moment, take_over)
        finally:
            trial.clean()
        if not fate.trouble:
            shutil.rmtree(trial.folder)
        return fate

    def standing(self, victim: str) -> Fate:
        """Of a process that stood behind a step in the plain LLDB when it was killed, or amid an evaluation
        in the plain gdb: what a few random moments would hardly show."""
        trial = Trial(Kind(False, victim), True, stand_still=True)
        try:
            self.assertTrue(trial.begin(), "no process")
            self.assertTrue(wait_for(trial.settled.exists))
            if victim == "gdb":
                self.assertTrue(wait_for(trial.process.pauses))
            traps = process_code.changes(trial.process.pid)
            trial.kill()
            if victim == "gdb":
                self.assertTrue(wait_for(lambda: trial.process.tracer() == 0))
                os.kill(trial.process.pid, signal.SIGINT)  # pause() returns
            fate = trial.fate(0, "")
            fate.changes = traps
            return fate
        finally:
            trial.clean()

    def settled(self, kind: Kind, plain: bool) -> Fate:
        """Killed when all was done and the program ran. Its moment: seconds from the process's beginning, or
        its attaching."""
        trial = Trial(kind, plain)
        try:
            self.assertTrue(trial.begin(), "no process")
            begun = time.monotonic()
            wait_for(lambda: trial.settled.exists() or trial.debugger.poll() is not None, 300)
            self.assertTrue(trial.settled.exists(),
                            (trial.folder / "log").read_text(errors="replace")[-4000:])
            moment = time.monotonic() - begun
            trial.kill()
            return trial.fate(moment, "")
        finally:
            trial.clean()

    def test_at_random_moments(self) -> None:
        kinds = KINDS[harness.DEBUGGER]
        whole = {kind: self.settled(kind, False) for kind in set(kinds)}
        lengths = {kind: fate.moment for kind, fate in whole.items()}
        plans = []
        for i in range(KILLS):
            plain = i % 5 == 4
            kind = kinds[i // (5 if plain else 1) % len(kinds)]
            take_over = ("", "start", "", "stop", "")[self.random.randrange(5)] if not plain else ""
            plans.append((kind, plain, self.random.uniform(0, 1.1), lengths[kind], take_over))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            fates = list(pool.map(lambda plan: self.play(*plan), plans))

        plain = [fate for fate, plan in zip(fates, plans) if plan[1]]
        plain += [*(self.standing(victim) for victim in {kind.victim for kind in kinds}), *(self.settled(kind, True) for kind in set(kinds))]
        ours = [*whole.values(), *(fate for fate, plan in zip(fates, plans) if not plan[1])]
        self.judge(plain, ours)

    def judge(self, plain: list[Fate], ours: list[Fate]) -> None:
        told = "\n".join(f"plain {fate}" for fate in plain) + "\n" + "\n".join(map(str, ours))
        if os.environ.get("HEAPLEDGER_TELL"):
            print(told)
        traps = set().union(*(fate.traps() for fate in plain))
        wrong = [f"plain: {fate}" for fate in plain
                 if fate.trouble or any(c.kind != "trap" for c in fate.changes)]
        # What stands in the code only while gdb has a function called: killed then, its thread is lost,
        # whatever becomes of the process by that.
        call_traps = set().union(*(fate.traps() for fate in plain if fate.end == AMID_CALL))
        call_traps -= set().union(*(fate.traps() for fate in plain if fate.end == "lived"))
        ends = {(fate.kind.victim, fate.kind.launched or fate.end in WITNESSED, fate.end) for fate in plain}
        for fate in ours:
            end = (fate.kind.victim, fate.kind.launched or fate.end in WITNESSED, fate.end)
            worse = fate.end != "lived" and fate.place not in traps and (fate.place != "" or end not in ends)
            worse = worse and not fate.traps() & call_traps
            torn = [c for c in fate.changes if c.kind == "torn" or c.kind == "trap" and c.place not in traps]
            if worse or torn or fate.trouble:  # a debugger's SIGSTOP that came late is nothing of ours
                wrong.append(str(fate))
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))
        # It was worth while: hooks were left, and some moments were before any.
        lived = [fate for fate in ours if fate.end == "lived"]
        self.assertTrue(any(fate.changes for fate in lived), told)
        self.assertTrue(any(fate.taken_over for fate in ours), told)


if __name__ == "__main__":
    harness.main()
