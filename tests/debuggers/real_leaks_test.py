# SPDX-License-Identifier: Apache-2.0
"""Programs from Debian's packages, run to completion: the five numbers of `leaks at-exit` are Valgrind's
of the same run. Its environment is made the same: Valgrind puts variables of its own into it, which bash
and git keep copies of. What may differ nevertheless is listed by a function of the blocks' stacks, with
the reason: the bytes of such blocks, not their number; an entry that names no block fails."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import harness
import real_programs
import scan_labels

VALGRIND = ["valgrind", "--leak-check=full", "--show-leak-kinds=all", "--run-libc-freeres=no",
            "--run-cxx-freeres=no", "--child-silent-after-fork=yes", "--num-callers=50"]
NUMBER = re.compile(r"==\d+==\s+(definitely lost|indirectly lost|possibly lost|still reachable|"
                    r"suppressed): ([\d,]+) bytes in ([\d,]+) blocks")
ALL_FREED = "All heap blocks were freed -- no leaks are possible"

RECORD = re.compile(r"==\d+== ([\d,]+) (?:\([\d,]+ direct, [\d,]+ indirect\) )?bytes in ([\d,]+) blocks are "
                    r".*? in loss record.*\n((?:==\d+==  +(?:at|by) .*\n)+)")
EXCEPTIONS = {"bash": {"set_ppid": "holds the digits of the parent's process id: of four or five"}}

Numbers = dict[str, tuple[int, int]]  # bytes and blocks by kind


def numbers_of(text: str) -> Numbers:
    if ALL_FREED in text:
        return {kind: (0, 0) for kind in scan_labels.SUMMARY}
    return {kind.replace(" ", "_"): (int(size.replace(",", "")), int(blocks.replace(",", "")))
            for kind, size, blocks in NUMBER.findall(text)}


def made_by(function: str, report: dict[str, Any]) -> tuple[int, int]:
    """Bytes and blocks with the function in their stacks, of `leaks`."""
    found = [record for record in report["records"]
             if any(frame["function"] == function for frame in record["stack"])]
    return sum(record["bytes"] for record in found), sum(record["blocks"] for record in found)


def made_by_in_valgrind(function: str, text: str) -> tuple[int, int]:
    found = [(int(size.replace(",", "")), int(blocks.replace(",", "")))
             for size, blocks, frames in RECORD.findall(text) if f": {function} (" in frames]
    return sum(size for size, _ in found), sum(blocks for _, blocks in found)


class AgainstValgrind(harness.DebuggerTest):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(dir=harness.BUILD))
        self.addCleanup(shutil.rmtree, self.folder)

    def valgrind(self, options: list[str], command: list[str],
                 environment: dict[str, str]) -> str:
        """What the program writes. Into a file, as in a debugger's session: programs look."""
        output = self.folder / "output_in_valgrind"
        with output.open("w") as out:
            subprocess.run([*options, *command], stdin=subprocess.DEVNULL, stdout=out,
                           stderr=subprocess.DEVNULL, timeout=300, check=False, cwd=self.folder,
                           env={**harness.session_environment(self.folder),
                                "HEAPLEDGER_TRUTH": str(self.folder / "truth"), **environment})
        return output.read_text(errors="replace")

    def environment_in_valgrind(self) -> dict[str, str]:
        variables = dict(line.split("=", 1)
                         for line in self.valgrind(["valgrind"], ["/usr/bin/env"], {}).splitlines())
        self.assertIn("LD_PRELOAD", variables)
        variables["LD_PRELOAD"] = ":" * len(variables["LD_PRELOAD"])  # as long, and nothing
        return variables

    def play(self, name: str) -> Numbers:
        program = real_programs.prepare(name, self.folder)
        log = self.folder / "log"
        output = self.valgrind([*VALGRIND, f"--log-file={log}"], program.command,
                               program.environment)
        theirs = numbers_of(log.read_text())
        self.assertEqual(set(theirs), set(scan_labels.SUMMARY), log.read_text()[-3000:])
        session = harness.Session(*program.command, folder=self.folder, environment={
            **self.environment_in_valgrind(), **program.environment})
        answer = session.leaks_json("at-exit --show-kinds all --leader valgrind")
        session.run()
        outcome = session.execute(timeout=300)
        self.assertEqual(outcome.output, output)
        expected = dict(theirs)
        for function in EXCEPTIONS.get(name, {}):
            bytes_here, blocks_here = made_by(function, answer.value)
            bytes_there, blocks_there = made_by_in_valgrind(function, log.read_text())
            self.assertGreater(blocks_there, 0, f"{function} names no block")
            self.assertEqual(blocks_here, blocks_there, function)
            size, blocks = expected["still_reachable"]
            expected["still_reachable"] = size - bytes_there + bytes_here, blocks
        self.assertEqual(scan_labels.numbers(answer.value), expected, name)
        return theirs

    def test_sqlite3(self) -> None:
        self.play("sqlite3")

    def test_lua(self) -> None:
        self.play("lua5.4")

    def test_jq(self) -> None:
        self.play("jq")

    def test_bash(self) -> None:
        self.play("bash")

    def test_git(self) -> None:
        found = self.play("git")
        for kind in ("definitely_lost", "indirectly_lost", "possibly_lost"):
            self.assertNotEqual(found[kind], (0, 0), kind)  # there was something to agree on


if __name__ == "__main__":
    harness.main()
