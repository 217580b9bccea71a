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
from typing import Callable, Iterator

import harness
import process_code
from killed_trial import (EMPTY_CORE, EXECUTED, KINDS, STEPPED, Fate, Kind, Moment, Trial,
                          wait_for)

KILLS = int(os.environ.get("HEAPLEDGER_KILLS", "100"))
SEED = int(os.environ.get("HEAPLEDGER_SEED", "1"))
AT_ONCE = 3
PR_SET_CHILD_SUBREAPER = 36


def judged(trial: Callable[[], Fate]) -> Fate:
    """Anew when it says nothing."""
    fate = trial()
    return trial() if EMPTY_CORE in fate.trouble else fate


class KilledDebugger(harness.DebuggerTest):
    def setUp(self) -> None:
        super().setUp()
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        self.assertEqual(pattern, "core", "this test reads core files")
        resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0)
        self.random = random.Random(SEED)

    def play(self, kind: Kind, plain: bool, moment: Moment, take_over: str) -> Fate:
        trial = Trial(kind, plain, moment)
        try:
            if not trial.begin():
                raise AssertionError((trial.folder / "log").read_text(errors="replace")[-3000:])
            begun = time.monotonic()
            if moment.seconds:
                wait_for(lambda: time.monotonic() - begun >= moment.seconds or trial.debugger.poll() is not None,
                         step=min(0.001, moment.seconds / 10))
            else:
                wait_for(lambda: trial.settled.exists() or trial.debugger.poll() is not None)
            trial.kill()
            fate = trial.fate(take_over)
        finally:
            trial.clean()
        if not fate.trouble:
            shutil.rmtree(trial.folder)
        return fate

    def standing(self, victim: str, what: str) -> Fate:
        """Of a process that stood behind a "step", or amid a "call", of the plain debugger when it was killed:
        what a few random moments would hardly show."""
        trial = Trial(Kind(False, victim), True, stand_still=what)
        try:
            self.assertTrue(trial.begin(), "no process")
            self.assertTrue(wait_for(trial.settled.exists))
            if what == "call":
                self.assertTrue(wait_for(trial.process.pauses))
            traps = process_code.changes(trial.process.pid)
            trial.kill()
            if what == "call":
                self.assertTrue(wait_for(lambda: trial.process.tracer() == 0))
                os.kill(trial.process.pid, signal.SIGINT)  # pause() returns
            fate = trial.fate("")
            fate.changes = traps
            return fate
        finally:
            trial.clean()

    def settled(self, kind: Kind, plain: bool) -> tuple[Fate, float, int, int]:
        """Killed when all was done and the program ran; when that was: seconds from its beginning or its
        attaching, the calls the debugger had made then, and those at all."""
        trial = Trial(kind, plain)
        try:
            self.assertTrue(trial.begin(), "no process")
            begun, first = time.monotonic(), trial.calls.made()
            wait_for(lambda: trial.settled.exists() or trial.debugger.poll() is not None, 300)
            self.assertTrue(trial.settled.exists(),
                            (trial.folder / "log").read_text(errors="replace")[-4000:])
            seconds = time.monotonic() - begun
            trial.kill()
            return trial.fate(""), seconds, first, trial.calls.made()
        finally:
            trial.clean()

    def moments(self, settled: tuple[Fate, float, int, int]) -> Iterator[Moment]:
        """By time, where the program runs; by calls, where the debugger changes it."""
        _, seconds, first, last = settled
        while True:
            yield Moment(seconds=self.random.uniform(0, 1.1) * seconds)
            yield Moment(call=self.random.randint(first + 1, last))

    def test_at_random_moments(self) -> None:
        kinds = KINDS[harness.DEBUGGER]
        settled = {kind: self.settled(kind, False) for kind in set(kinds)}
        moments = {kind: self.moments(settled[kind]) for kind in settled}
        plain_settled = {kind: self.settled(kind, True) for kind in set(kinds)}
        plain_moments = {kind: self.moments(plain_settled[kind]) for kind in settled}
        plans = []
        for i in range(KILLS):
            kind = kinds[i % len(kinds)]
            take_over = ("", "start", "", "stop", "")[self.random.randrange(5)]
            plans.append((kind, False, next(moments[kind]), take_over))
        for i in range(KILLS // 4):
            kind = kinds[i % len(kinds)]
            plans.append((kind, True, next(plain_moments[kind]), ""))
        # lldb-server's own system calls are a matter of a few calls.
        plans += [(kind, True, Moment(borrowed_call=i), "") for kind in set(kinds) for i in (3, 8, 10, 12)]
        self.random.shuffle(plans)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            fates = list(pool.map(lambda plan: judged(lambda: self.play(*plan)), plans))

        plain = [fate for fate, plan in zip(fates, plans) if plan[1]]
        plain += [judged(lambda: self.standing(victim, what))
                  for victim in {kind.victim for kind in kinds} for what in ("step", "call")]
        plain += [fate for fate, *_ in plain_settled.values()]
        ours = [fate for fate, plan in zip(fates, plans) if not plan[1]]
        ours += [fate for fate, *_ in settled.values()]
        self.judge(plain, ours)

    def judge(self, plain: list[Fate], ours: list[Fate]) -> None:
        told = "\n".join(f"plain {fate}" for fate in plain) + "\n" + "\n".join(map(str, ours))
        if os.environ.get("HEAPLEDGER_TELL"):
            print(told)
        traps = set().union(*(fate.traps() for fate in plain if not fate.lost()))
        ends = {(fate.kind.victim, fate.kind.launched or fate.end == STEPPED, fate.end) for fate in plain}
        loses = {fate.kind.victim for fate in plain if fate.lost()}

        def as_plain(fate: Fate) -> bool:
            if fate.lost() and fate.kind.victim in loses:
                return True
            end = (fate.kind.victim, fate.kind.launched or fate.end == STEPPED, fate.end)
            return not fate.trouble and (
                fate.end in ("lived", EXECUTED) or fate.place in traps or fate.place == "" and end in ends)

        def whole(fate: Fate) -> bool:
            own = {"trap", "syscall"} if fate.borrowed else set()
            return all(c.kind == "jump" or c.kind in own or c.kind == "trap" and c.place in traps
                       for c in fate.changes)

        # Their kinds of traps are what the others are measured by.
        wrong = [f"plain: {fate}" for fate in plain
                 if fate.trouble and not fate.lost() or any(c.kind == "jump" for c in fate.changes)]
        wrong += [str(fate) for fate in ours if not as_plain(fate) or not whole(fate)]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))
        # It was worth while: hooks were left, some moments were before any, and few of them amid a call.
        lived = [fate for fate in ours if fate.end == "lived"]
        self.assertTrue(any(fate.changes for fate in lived), told)
        self.assertTrue(any(fate.taken_over for fate in ours), told)
        self.assertLess(sum(fate.lost() for fate in ours), len(ours) / 2, told)


if __name__ == "__main__":
    harness.main()
