# SPDX-License-Identifier: Apache-2.0
"""The core of a tracked process has the stacks of its blocks and says what the live process said. It is
not larger than that of the same process untracked by more than 10 % and what the ledger touched."""

import resource
from pathlib import Path

import harness

PROGRAM = "many_blocks"


class TrackedCore(harness.DebuggerTest):
    def setUp(self) -> None:
        super().setUp()
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        self.assertEqual(pattern, "core", "the kernel must write cores into the working folder")

    def crash(self, blocks: int, *before: str) -> tuple[harness.Session, dict[str, harness.Answer], Path]:
        """The kernel's core of the program stopped with all its blocks, and what was said there."""
        limit = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limit)
        session = harness.Session(PROGRAM, str(blocks))
        for words in before:
            session.leaks(words)
        session.pass_signal("SIGQUIT")
        session.stop_at()
        session.run()
        said = {words: session.leaks_json(words) for words in ("top", "--show-kinds all", "status")}
        session.host("sh", "-c", "kill -QUIT $0")
        session.resume()
        outcome = session.execute()
        cores = list(session.folder.glob("core*"))
        self.assertEqual(len(cores), 1, outcome.text[-2000:])
        return session, said, cores[0]

    def test_of_a_large_heap(self) -> None:
        self.play(200_000)

    def test_of_a_small_program(self) -> None:
        self.play(100)

    def play(self, blocks: int) -> None:
        _, live, core = self.crash(blocks)
        _, _, untracked = self.crash(blocks, "auto off")
        later = harness.Session(PROGRAM)
        later.open_core(core)
        again = {words: later.leaks_json(words) for words in ("top", "--show-kinds all")}
        text = later.leaks()
        outcome = later.execute()
        self.assertNotIn("could not be read", text.value)  # what was left out is known to be ours

        def stacks(answer):
            return [(g["bytes"], g["count"], [f["function"] for f in g["stack"]])
                    for g in answer.value["groups"]]
        self.assertEqual(stacks(again["top"]), stacks(live["top"]), outcome.text[-2000:])
        self.assertEqual(stacks(live["top"])[0][:2], (48 * blocks, blocks))
        self.assertIn("main", stacks(live["top"])[0][2])
        self.assertEqual(again["--show-kinds all"].value["summary"],
                         live["--show-kinds all"].value["summary"])
        touched = live["status"].value["ledger"]["ledger_bytes"]
        self.assertGreater(touched, 0)
        self.assertLessEqual(core.stat().st_size, 1.1 * untracked.stat().st_size + touched)


if __name__ == "__main__":
    harness.main()
