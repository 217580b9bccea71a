# SPDX-License-Identifier: Apache-2.0
"""Processes behind lldb-server. The server stands in a process-id namespace of its own, so that nothing
of the process can be had but through it: the id it tells is another process's here, or
nobody's. Tracked by breakpoints; the agent is refused in one line that says so."""

import contextlib
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import harness
import stripped

LLDB_SERVER = "lldb-server-19"


class Server:
    """An lldb-server with a program in it, which waits for one debugger."""

    def __init__(self, program: str, session: harness.Session):
        environment = {**harness.session_environment(session.folder),
                       "HEAPLEDGER_TRUTH": str(session.truth_path)}
        port_file = session.folder / "port"
        path = str(harness.PROGRAMS / program)
        if session.debugger.remote_server == "gdbserver":
            command = ["gdbserver", "--once", "--no-startup-with-shell", "127.0.0.1:0", path]
        else:
            os.mkfifo(port_file)
            command = [LLDB_SERVER, "gdbserver", "--named-pipe", str(port_file), "127.0.0.1:0", "--",
                       path]
        self.process = subprocess.Popen(
            [*self._namespace(), *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=environment, cwd=session.folder, start_new_session=True)
        if session.debugger.remote_server == "gdbserver":
            self.port = self._printed()
        else:
            self.port = self._told_in(port_file)

    def _told_in(self, port_file: Path) -> int:
        descriptor = os.open(port_file, os.O_RDONLY | os.O_NONBLOCK)
        try:
            told = b""
            while not told.strip(b"\0\n "):
                if self.process.poll() is not None:
                    raise AssertionError(f"no server: {self.process.stderr.read()}")
                select.select([descriptor], [], [], 0.05)
                with contextlib.suppress(BlockingIOError):
                    told += os.read(descriptor, 64)
                time.sleep(0.01)
            return int(told.strip(b"\0\n "))
        finally:
            os.close(descriptor)

    def _printed(self) -> int:
        for line in self.process.stderr:
            if line.startswith("Listening on port "):
                return int(line.split()[-1])
        raise AssertionError("gdbserver ended before it listened")

    @staticmethod
    def _namespace() -> list[str]:
        """Of its own for process ids. Where user namespaces are forbidden, root needs none."""
        own = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc",
               "--kill-child"]
        if subprocess.run([*own, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            own = [word for word in own if word not in ("--user", "--map-root-user")]
        return own

    def close(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stderr.close()


class Remote(harness.DebuggerTest):
    def session(self, program: str, *before: str) -> harness.Session:
        session = harness.Session(program)
        server = Server(program, session)
        self.addCleanup(server.close)
        for command in before:
            session.raw(command)
        session.raw(session.debugger.connect(server.port))
        return session

    def play(self, program: str) -> None:
        session = self.session(program, "leaks start --engine breakpoint")
        session.stop_at()
        session.resume()
        report = session.ledger()
        status = session.leaks_json("status")
        words = session.leaks("status")
        top = session.leaks("top 3")
        stop = session.leaks("stop")
        session.resume()
        outcome = session.execute()
        self.assertIn("stopped, remote", words.value, outcome.text[-3000:])
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assertGreater(status.value["cost"]["hits_per_second"], 0)
        self.assertIn("allocations from stack", top.value)
        self.assertIn("Tracking stopped", stop.value)

    def test_the_agent_is_refused_in_one_line(self) -> None:
        session = self.session("track_kinds.pie")
        session.stop_at()
        session.resume()
        refused = session.leaks("start")
        session.kill()
        outcome = session.execute()
        self.assertRegex(refused.value, r"\A(error: )?process \d+ is on another machine, where the agent "
                                        r"cannot be brought in: `leaks start --engine breakpoint` "
                                        r"tracks it, much slower\n\Z", outcome.text)

    def test_tracking_starts_in_the_middle(self) -> None:
        session = self.session("track_kinds.pie")
        session.stop_at("outer", once=True)
        session.stop_at()
        session.resume()
        start = session.leaks("start --engine breakpoint")
        session.resume()
        report = session.ledger()
        session.kill()
        outcome = session.execute()
        self.assertIn("tracking by breakpoints: libc.so.6: malloc", start.value, outcome.text)
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)

    def test_static_and_stripped_with_hooks_given(self) -> None:
        """Connected to: nothing tells when such a program starts."""
        session = self.session(stripped.PROGRAM)
        session.leaks(f"start --engine breakpoint {stripped.HOOKS}")
        stripped.stop(session)
        session.resume()
        report = session.ledger()
        session.resume()
        outcome = session.execute()
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertRegex(outcome.text, session.debugger.ended(0))

    def test_verdicts_and_owners(self) -> None:
        session = self.session("four_answers", "leaks start --engine breakpoint")
        session.stop_at()
        session.resume()
        leaks = session.leaks()
        session.kill()
        outcome = session.execute()
        for line in ("   definitely lost: 16 bytes in 1 blocks\n",
                     "   indirectly lost: 48 bytes in 3 blocks\n",
                     "     possibly lost: 64 bytes in 1 blocks\n"):
            self.assertIn(line, leaks.value, outcome.text[-3000:])


for _program in ("track_kinds.pie", "track_kinds.static", "track_c_family"):
    def _play(self: Remote, program: str = _program) -> None:
        self.play(program)
    setattr(Remote, f"test_{_program}".replace(".", "_"), _play)

if __name__ == "__main__":
    harness.main()
