# SPDX-License-Identifier: Apache-2.0
"""`leaks at-exit` in a process that outlives its debugger: no trap stays at _exit, and the process ends as
it would have, whenever the debugger is killed."""

import re
import shutil
import signal

import harness
import killed_session
import process_code
import waiting
from orphan import wait_for


class ExitGate(killed_session.KilledSessionTest):
    def wait(self, program: str = "four_answers", **options) -> waiting.Waiting:
        process = waiting.Waiting(program, **options)
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        return process

    def attached(self, process: waiting.Waiting, *words: str, loaded: bool = True) -> harness.Session:
        session = harness.Session(process.program, loaded=loaded)
        session.attach(process.pid)
        for each in words:
            session.leaks(each)
        return session

    def traps(self, process: waiting.Waiting) -> set[str]:
        return {str(change) for change in process_code.changes(process.pid) if change.kind != "jump"}

    def test_killed(self) -> None:
        """No trap is left but those that the debugger has at the loader's event without us."""
        for program in ("four_answers", "four_answers.musl", "four_answers.static"):
            plain = self.wait(program)
            self.killed_while_it_waits(self.attached(plain, loaded=False), plain)
            for words in (["at-exit"], ["start", "at-exit"], ["at-exit", "start"]):
                with self.subTest(words=words, program=program):
                    process = self.wait(program)
                    self.killed_while_it_waits(self.attached(process, *words), process)
                    self.assertLessEqual(self.traps(process), self.traps(plain))
                    self.assertEqual(process.run_to_end(), 0, process.output())

    def test_a_trap_would_be_seen(self) -> None:
        """What the others are compared with: a breakpoint of the user's at _exit."""
        process = self.wait()
        session = self.attached(process)
        session.stop_at("_exit")
        self.killed_while_it_waits(session, process)
        self.assertEqual(process.run_to_end(), -signal.SIGTRAP)

    def test_killed_at_the_end(self) -> None:
        """While it scans: the process stands at the stop, with the trap's signal on its way."""
        process = self.wait()
        session = self.attached(process, "at-exit --show-kinds all")
        process.let_go(session)
        debugger = self.resumed(session, process)
        self.assertTrue(wait_for(lambda: self.stands_in_a_gate(process.pid), step=0.0002))
        self.kill(process.pid, debugger)
        self.assertEqual(process.run_to_end(), 0, process.output())

    def stands_in_a_gate(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/syscall") as file:
                words = file.read().split()
        except OSError:
            return False
        if len(words) != 3:  # it runs, or stands in a system call
            return False
        pc = int(words[2], 16)
        return any(begin <= pc < end and permissions == "r-xp" and not path
                   for begin, end, permissions, _, path in process_code.mappings(pid))

    def test_signals_blocked(self) -> None:
        """A trap would kill a thread that blocks SIGTRAP in spite of a handler."""
        process = self.wait("exits_blocked")
        self.killed_while_it_waits(self.attached(process, "at-exit"), process)
        self.assertEqual(process.run_to_end(), 5, process.output())

    def test_taken_over(self) -> None:
        """By a debugger that takes it out, and by one that scans at the end."""
        for words in ("stop", "at-exit"):
            with self.subTest(words=words):
                process = self.wait()
                self.killed_while_it_waits(self.attached(process, "at-exit"), process)
                left = [change.kind for change in process_code.changes(process.pid)]
                self.assertIn("jump", left)
                session = self.attached(process)
                told = session.leaks(words)
                if words == "stop":
                    session.detach()
                else:
                    process.let_go(session)
                    session.resume()
                outcome = session.execute()
                if words == "stop":
                    self.assertRegex(told.value, "as it was")
                    jumps = [c for c in process_code.changes(process.pid) if c.kind == "jump"]
                    self.assertEqual(jumps, [])
                else:
                    self.assertIn("definitely lost", outcome.text)
                self.assertEqual(process.run_to_end(), 0, process.output())

    def test_detached(self) -> None:
        process = self.wait()
        session = self.attached(process, "at-exit")
        status = session.leaks("status")
        session.detach()
        outcome = session.execute()
        self.assertRegex(status.value, r"(?m)^at exit: +a scan for leaks$")
        self.assertEqual([str(change) for change in process_code.changes(process.pid)], [], outcome.text)
        self.assertEqual(process.run_to_end(), 0, process.output())

    def test_a_breakpoint_inside(self) -> None:
        """Set after it was opened, or before: the scan comes all the same."""
        for order in ("before", "after"):
            with self.subTest(order=order):
                process = self.wait()
                session = self.attached(process, *(["at-exit"] if order == "after" else []))
                session.raw("breakpoint set --address '((char*)&_exit) + 2'" if harness.DEBUGGER == "lldb"
                            else "break *((char*)&_exit + 2)")
                if order == "before":
                    session.leaks("at-exit")
                process.let_go(session)
                session.resume()
                session.resume()
                outcome = session.execute()
                self.assertIn("definitely lost", outcome.text)
                self.assertEqual(process.run_to_end(), 0, process.output())

    def test_the_stack_is_the_callers(self) -> None:
        """A user who stops there sees who calls _exit."""
        process = self.wait("exits_blocked")
        session = self.attached(process, "at-exit")
        session.stop_at("heapledger_exit_gate")
        process.let_go(session)
        session.resume()
        told = session.raw("thread backtrace" if harness.DEBUGGER == "lldb" else "backtrace")
        session.resume()
        outcome = session.execute()
        self.assertRegex(re.sub(r"\s+", " ", told.value), r"heapledger_exit_gate.*\bmain\b", outcome.text)
        self.assertEqual(process.run_to_end(), 5, process.output())


if __name__ == "__main__":
    harness.main()
