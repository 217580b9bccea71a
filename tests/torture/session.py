# SPDX-License-Identifier: Apache-2.0
"""A debugger in this very process (LLDB's Python module), so that it can interrupt a running program at
any moment, which a batch of commands cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import harness

_modules = Path(subprocess.run([harness.Lldb.executable, "-P"], capture_output=True, text=True,
                               check=True).stdout.strip())
sys.path.insert(0, str(_modules))
# <prefix>/lib/python3.x/site-packages; liblldb looks beside the program that loaded it, here python3.
os.environ["LLDB_DEBUGSERVER_PATH"] = str(_modules.parents[2] / "bin" / "lldb-server")
import lldb  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE = 120.0  # seconds; longer without an event is a hang


class Ended(Exception):
    """The process is gone: its exit status, or None and why."""

    def __init__(self, status: int | None, why: str):
        super().__init__(f"the process ended: {why}")
        self.status = status


class LiveSession:
    """One debugger and one process at a time."""

    all_backtraces = "thread backtrace all --count 30"

    def __init__(self, folder: Path):
        self.folder = folder
        self.log: list[str] = []
        self.debugger = lldb.SBDebugger.Create(False)
        self.debugger.SetAsync(True)
        self._files = [open(folder / "debugger_output", "w"), open(folder / "debugger_errors", "w")]
        self.debugger.SetOutputFileHandle(self._files[0], False)
        self.debugger.SetErrorFileHandle(self._files[1], False)
        # A loaded machine must not look like a broken debugger.
        self.command("settings set plugin.process.gdb-remote.packet-timeout 60")
        self.command(f"plugin load {harness.Lldb.plugin}")

    def close(self) -> None:
        lldb.SBDebugger.Destroy(self.debugger)
        for file in self._files:
            file.close()

    # Commands.

    def try_command(self, text: str) -> tuple[bool, str]:
        result = lldb.SBCommandReturnObject()
        self.debugger.GetCommandInterpreter().HandleCommand(text, result)
        said = (result.GetOutput() or "") + (result.GetError() or "")
        self.log.append(f"{text}: {said.strip()[-300:]}")
        return result.Succeeded(), said

    def command(self, text: str) -> str:
        ok, said = self.try_command(text)
        if not ok:
            raise AssertionError(f"`{text}` failed: {said}")
        return said

    def leaks_json(self, words: str) -> Any:
        path = self.folder / "answer.json"
        path.unlink(missing_ok=True)
        self.command(f"leaks {words} --format json --output {path}")
        return json.loads(path.read_text())

    # The process.

    @property
    def target(self) -> Any:
        return self.debugger.GetSelectedTarget()

    @property
    def process(self) -> Any:
        return self.target.GetProcess()

    def launch(self, program: Path, arguments: list[str], environment: dict[str, str]) -> int:
        self.command(f'target create "{program}"')
        self.command(f"settings set target.output-path {self.folder / 'output'}")
        self.command(f"settings set target.error-path {self.folder / 'errors'}")
        self.command("settings set target.input-path /dev/null")
        self.command("settings set -- target.run-args " + " ".join(arguments))
        for key, value in environment.items():
            self.command(f"settings append target.env-vars {key}={value}")
        self.pass_signals()
        self.command("breakpoint set --name heapledger_stop_here")
        self.command("process launch")
        return self.process.GetProcessID()

    def pass_signals(self) -> None:
        for name in ("SIGUSR1", "SIGUSR2", "SIGCHLD"):
            self.command(f"process handle --stop false --notify false --pass true {name}")

    def attach(self, pid: int) -> None:
        """Returns when it is stopped. LLDB 19 by itself gives up on an attach ("No such process") when
        a thread ends in the middle of it: 4 of 300 times with this program, without heapledger too."""
        for _ in range(10):
            ok, said = self.try_command(f"process attach --pid {pid}")
            if ok or "No such process" not in said or not Path(f"/proc/{pid}").exists():
                break
        if not ok:
            raise AssertionError(f"attaching failed: {said}")
        while self._next_event(0.0) is not None:
            pass
        self.pass_signals()

    def detach(self) -> None:
        self.command("process detach")

    def resume(self) -> None:
        ok, said = self.try_command("process continue")
        if not ok and "timed out" not in said:  # LLDB waits 5 s; it runs on all the same
            raise AssertionError(f"`process continue` failed: {said}")
        self._wait_running()

    def interrupt(self) -> None:
        """Returns when all threads are stopped, wherever they are. LLDB loses an interruption that
        comes while it serves a breakpoint with a callback, as any user's Ctrl-C; so it is repeated."""
        for _ in range(int(PATIENCE)):
            self.process.SendAsyncInterrupt()
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                state = self._next_event(0.1)
                if state == lldb.eStateStopped:
                    return
                if state == lldb.eStateExited:
                    self._ended_or_fail("exited")
        raise AssertionError("cannot be interrupted")

    def wait_stopped(self, patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            state = self._next_event(1.0)
            if state == lldb.eStateStopped:
                if self._stopped_for_us():
                    return
                self.resume()
            if state == lldb.eStateExited:
                self._ended_or_fail("exited")
        raise AssertionError(f"not stopped after {patience} s; state "
                             f"{lldb.SBDebugger.StateAsCString(self.process.GetState())}")

    def let_run(self, seconds: float) -> bool:
        """Serves events meanwhile. True: the process stopped by itself."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            state = self._next_event(min(left, 0.05))
            if state == lldb.eStateExited:
                self._ended_or_fail("exited")
            if state == lldb.eStateStopped:
                if self._stopped_for_us():
                    return True
                self.resume()
        return False

    def _stopped_for_us(self) -> bool:
        """At a breakpoint of ours, or by a signal that is no late interruption. One that was lost or
        repeated may stop the process later once more."""
        for thread in self.process:
            if thread.GetStopReason() == lldb.eStopReasonBreakpoint:
                if thread.GetFrameAtIndex(0).GetFunctionName() == harness.STOP:
                    return True
            elif thread.GetStopReason() == lldb.eStopReasonSignal:
                if thread.GetStopReasonDataAtIndex(0) != signal.SIGSTOP:
                    return True
            elif thread.GetStopReason() not in (lldb.eStopReasonNone, lldb.eStopReasonInvalid):
                return True
        return False

    def stop_reason(self) -> str:
        return "; ".join(f"{thread.GetStopDescription(200)} in {thread.GetFrameAtIndex(0)}"
                         for thread in self.process
                         if thread.GetStopReason() not in (lldb.eStopReasonNone, 0))

    def write_variable(self, name: str, value: int) -> None:
        symbols = self.target.FindSymbols(name, lldb.eSymbolTypeData)
        address = symbols.GetContextAtIndex(0).GetSymbol().GetStartAddress()
        error = lldb.SBError()
        self.process.WriteMemory(address.GetLoadAddress(self.target), value.to_bytes(4, "little"),
                                 error)
        if error.Fail():
            raise AssertionError(f"cannot write {name}: {error.GetCString()}")

    # Events.

    def _next_event(self, seconds: float) -> int | None:
        event = lldb.SBEvent()
        listener = self.debugger.GetListener()
        deadline = time.monotonic() + seconds
        while True:
            # WaitForEvent counts in whole seconds.
            if not listener.GetNextEvent(event):
                if time.monotonic() >= deadline:
                    return None
                time.sleep(0.002)
                continue
            if not lldb.SBProcess.EventIsProcessEvent(event):
                continue
            if lldb.SBProcess.GetRestartedFromEvent(event):
                continue
            state = lldb.SBProcess.GetStateFromEvent(event)
            if state == lldb.eStateStopped and self.process.GetState() != lldb.eStateStopped:
                continue  # an older stop: it runs again
            return state

    def _wait_running(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.process.GetState() not in (lldb.eStateRunning, lldb.eStateStepping):
            state = self._next_event(0.2)
            if state == lldb.eStateRunning:
                return
            if state == lldb.eStateExited:
                self._ended_or_fail("exited")
            if time.monotonic() > deadline:
                raise AssertionError("does not run on")

    def _ended_or_fail(self, why: str) -> None:
        if self.process.GetState() == lldb.eStateExited:
            raise Ended(self.process.GetExitStatus(),
                        f"{why}; status {self.process.GetExitStatus()} "
                        f"{self.process.GetExitDescription()}")
        raise AssertionError(why)
