# SPDX-License-Identifier: Apache-2.0
"""A tracked program that writes any bytes into the ledger, and into malloc's own structures: every command
answers, in bounded time and memory, what it answers is marked, and the hooks come out."""

import resource

import harness

COMMANDS = ("--limit 3", "top 3", "who-owns scribbled_blocks[3]", "block 0x1000", "roots", "status", "stop",
            "--limit 3", "top 3")
MOST_MEMORY = 3 << 20  # KiB: of the debugger, its server and the program, each by itself
SKIPPED = "made no sense and were"


class HostileLedger(harness.DebuggerTest):
    def answers_about(self, what: str, seed: int = 1, commands: tuple[str, ...] = COMMANDS) -> list[str]:
        """What each command says, once the program has done that. LLDB in batch ends where one fails, which
        must be the only one."""
        session = harness.Session("scribbles", what, str(seed))
        session.stop_at()
        session.run()
        answers = [session.leaks(words) for words in commands]
        ended = session.resume()
        outcome = session.execute(timeout=100)
        where = f"{what} {seed}\n{outcome.text[-8000:]}"
        for words, answer in zip(commands, answers):
            self.assertTrue(answer.value.strip(), f"leaks {words}: no answer\n{where}")
        self.assertNotIn("internal error", outcome.text, where)
        self.assertNotIn("Traceback", outcome.text, where)
        if "stop" in commands:
            self.assertIn("every hooked function is as it was", answers[commands.index("stop")].value, where)
            self.assertRegex(ended.value, r"exited (normally|with status = 0)", where)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.assertLess(most, MOST_MEMORY, where)
        return [answer.value for answer in answers]

    def test_nothing(self) -> None:
        answers = self.answers_about("nothing")
        for answer in answers:
            self.assertNotIn(SKIPPED, answer)
        self.assertIn("in 1,000 blocks", answers[0])
        self.assertIn("scribbled_blocks", answers[2])

    def test_any_word_of_the_ledger(self) -> None:
        for seed in (1, 2, 3):
            answers = self.answers_about("words", seed)
            for answer in answers[:2]:
                self.assertIn(SKIPPED, answer)

    def test_blocks_with_stacks_as_long_as_can_be(self) -> None:
        answers = self.answers_about("blocks")
        self.assertIn("Top 3 stacks with outstanding allocations", answers[1])
        self.assertEqual(answers[1].count("allocations from stack"), 3)

    def test_a_file_in_place_of_the_records(self) -> None:
        for command in ("--limit 3", "top 3", "who-owns scribbled_blocks[3]", "status"):
            answer, = self.answers_about("file", commands=(command,))
            self.assertIn("cannot read the ledger: the program has mapped something else into it", answer)
        self.answers_about("file", commands=("stop",))

    def test_the_heap_as_well(self) -> None:
        for seed in (1, 2, 3):
            answers = self.answers_about("heap", seed)
            for answer in answers[:2]:
                self.assertIn(SKIPPED, answer)
            self.assertIn("malloc's own structures:", answers[7])


if __name__ == "__main__":
    harness.main()
