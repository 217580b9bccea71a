# SPDX-License-Identifier: Apache-2.0
"""Many threads that hand blocks to each other: the ledger against the program's own account at its
end, and against the allocator's structures at stops on the way."""

import harness


class Stress(harness.DebuggerTest):
    def play(self, program: str, seed: int, threads: int, steps: int, stops: int,
             debug_symbols: bool = True, walk: bool = True) -> None:
        session = harness.Session(program, str(seed), str(threads), str(steps), str(stops),
                                  debug_symbols=debug_symbols)
        session.stop_at()
        session.run()
        looks = []
        for i in range(stops + 1):
            if i > 0:
                session.resume()
            looks.append((session.ledger(), session.heap_walk() if walk else None))
        session.resume()
        outcome = session.execute(timeout=300)
        self.assertEqual(outcome.truth[-1].what, "end", outcome.text[-2000:])
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assert_ledger_holds(looks[-1][0].value, outcome.truth[:-1], outcome.text)
        compared = 0
        for i, (report, text) in enumerate(looks):
            self.assertEqual(report.value["coverage"]["dropped"], 0)
            if text is not None:
                compared += self.assert_ledger_equals_walk(report.value, text.value, f"stop {i}",
                                                           may_be_amid=i < stops)
        if walk:  # the last stop, and at least one on the way at which no thread was amid malloc
            self.assertGreaterEqual(compared, 2)
        # All threads have ended: nothing is in flight, so the last comparison was an equality.
        self.assertEqual(looks[-1][0].value["coverage"]["in_flight"], 0)

    def test_one_thread(self) -> None:
        self.play("track_stress", 1, 1, 20000, 3)

    def test_two_threads(self) -> None:
        self.play("track_stress", 2, 2, 50000, 10)

    def test_eight_threads(self) -> None:
        self.play("track_stress", 3, 8, 30000, 20)

    def test_thirty_two_threads(self) -> None:
        self.play("track_stress.O3", 4, 32, 8000, 24)

    def test_unoptimised(self) -> None:
        self.play("track_stress.O0", 5, 4, 20000, 5)

    def test_static(self) -> None:
        self.play("track_stress.static", 6, 4, 20000, 5, walk=False)

    def test_without_debug_symbols(self) -> None:
        self.play("track_stress", 7, 6, 20000, 5, debug_symbols=False)

    def test_many_seeds(self) -> None:
        for seed in range(100, 106):
            with self.subTest(seed=seed):
                self.play("track_stress", seed, 5, 6000, 4)


if __name__ == "__main__":
    harness.main()
