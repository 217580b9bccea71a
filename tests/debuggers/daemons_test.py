# SPDX-License-Identifier: Apache-2.0
"""Daemons from Debian's packages that serve clients all the time: attached to, scanned, tracked for a
while, let go, found again later. No client sees an error, no byte of code stays changed. lighttpd runs
on glibc's malloc, redis on jemalloc."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import Callable

import harness

CALLS = 400  # of epoll_wait that the daemon makes under tracking


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Load:
    """Clients that ask without a pause until they are told to end."""

    def __init__(self, ask: Callable[[int], None], clients: int = 4):
        self.answers = 0
        self.errors: list[str] = []
        self._ask = ask
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        turn = 0
        while not self._end.is_set():
            try:
                self._ask(number * 1_000_000 + turn)
            except Exception as error:  # whatever a client may see
                with self._lock:
                    self.errors.append(repr(error))
                return
            turn += 1
            with self._lock:
                self.answers += 1

    def wait_for_more(self, least: int) -> None:
        """The daemon serves on."""
        wanted = self.answers + least
        while self.answers < wanted and not self.errors:
            self._threads[0].join(0.01)

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


class Daemons(harness.DebuggerTest):
    def start(self, *command: str) -> subprocess.Popen:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def wait_until_open(self, process: subprocess.Popen, port: int) -> None:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 60).close()
                return
            except OSError:
                self.assertIsNone(process.poll(), "the daemon ended at once")
                try:
                    process.wait(0.02)
                except subprocess.TimeoutExpired:
                    pass

    def libraries(self, pid: int) -> dict[str, bytes]:
        """What is executable in the daemon and came from a file."""
        found = {}
        with open(f"/proc/{pid}/mem", "rb") as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r-xp .* (/\S+)$", line)
                if match:
                    begin, end = int(match[1], 16), int(match[2], 16)
                    memory.seek(begin)
                    found[match[3]] = memory.read(end - begin)
        return found

    def play(self, process: subprocess.Popen, program: str, ask: Callable[[int], None],
             blocks: int) -> None:
        """`blocks`: how many are reachable before tracking, at least."""
        code = self.libraries(process.pid)
        load = Load(ask)
        self.addCleanup(load.end)
        load.wait_for_more(200)

        first = harness.Session(program)
        first.attach(process.pid)
        cold = first.leaks_json()
        first.leaks("start")
        first.pass_signal("SIGPIPE")
        first.stop_after("epoll_wait", CALLS)
        first.resume()
        top = first.leaks_json(f"top {harness.EVERYTHING}")
        warm = first.leaks_json()
        first.detach()
        text = first.execute(300).text
        load.wait_for_more(200)

        self.assertGreaterEqual(cold.value["summary"]["still_reachable"]["blocks"], blocks,
                                text[-3000:])
        self.assertFalse(cold.value["coverage"]["recorded"])
        unseen = [line for line in cold.value["coverage"]["heap_damage"] if "another allocator" in line]
        self.assertEqual(len(unseen), int("redis" in program), cold.value["coverage"])
        self.assertTrue(warm.value["coverage"]["recorded"])
        self.assertGreater(sum(bool(group["stack"]) for group in top.value["groups"]), 0, text[-3000:])
        self.assertEqual(self.libraries(process.pid), code)

        later = harness.Session(program)
        later.attach(process.pid)
        status = later.leaks("status")
        found = later.leaks_json(f"top {harness.EVERYTHING}")
        later.detach()
        later.execute(300)
        self.assertIn("stopped (the ledger can be read)", status.value)
        self.assertTrue(found.value["coverage"]["recorded"])
        load.wait_for_more(200)
        load.end()
        self.assertEqual(load.errors, [])
        self.assertIsNone(process.poll())
        self.assertIn("TracerPid:\t0", Path(f"/proc/{process.pid}/status").read_text())

    def test_lighttpd(self) -> None:
        folder = harness.fresh_folder()
        self.addCleanup(shutil.rmtree, folder)
        port = free_port()
        for size in (10, 3000, 200_000):
            (folder / f"{size}").write_bytes(b"x" * size)
        (folder / "conf").write_text(
            f'server.document-root = "{folder}"\nserver.port = {port}\nserver.bind = "127.0.0.1"\n'
            f'server.modules = ( "mod_access", "mod_dirlisting" )\ndir-listing.activate = "enable"\n')
        process = self.start("/usr/sbin/lighttpd", "-D", "-f", str(folder / "conf"))
        self.wait_until_open(process, port)

        def ask(turn: int) -> None:
            size = (10, 3000, 200_000)[turn % 3]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{size}", timeout=120) as answer:
                assert len(answer.read()) == size

        self.play(process, "/usr/sbin/lighttpd", ask, 100)

    def test_redis(self) -> None:
        port = free_port()
        process = self.start("/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1",
                             "--save", "", "--daemonize", "no")
        self.wait_until_open(process, port)
        local = threading.local()

        def ask(turn: int) -> None:
            if not hasattr(local, "file"):
                local.file = socket.create_connection(("127.0.0.1", port), 120).makefile("rwb", 0)
            value = f"{turn}" * (turn % 50 + 1)
            for words in (("SET", f"key{turn % 5000}", value), ("GET", f"key{turn % 5000}")):
                local.file.write(b"*%d\r\n" % len(words) + b"".join(
                    b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))
                line = local.file.readline()
                if words[0] == "SET":
                    assert line == b"+OK\r\n", line
                else:
                    assert line.startswith(b"$"), line
                    local.file.readline()

        self.play(process, "/usr/bin/redis-server", ask, 0)  # jemalloc's are not seen


if __name__ == "__main__":
    harness.main()
