# SPDX-License-Identifier: Apache-2.0
"""Programs that know what they hold (tests/programs/track_*) against the ledger: every block with its
size and the entry point that made it, nothing that was released, nothing twice."""

import harness

# Program, arguments, how many stops before the one to be judged.
PROGRAMS = [
    ("track_c_family", (), 0),
    ("track_c_family.O0", (), 0),
    ("track_c_family.O3", (), 0),
    ("track_operators", (), 0),
    ("track_operators.O0", (), 0),
    ("track_operators.O3", (), 0),
    ("track_mappings", (), 0),
    ("track_other_thread", (), 0),
    ("track_constructors", (), 1),  # in an atexit handler: everything is written down by then
    ("track_dlopen", (), 0),
    ("track_fork", (), 0),
    ("track_thread_exit", (), 0),
    ("track_small_stack", (), 0),
    ("track_signal", (), 0),
    ("track_signal.O0", (), 0),
    ("track_signal.O3", (), 0),
    ("track_exec", (), 0),
    ("track_exec", ("vfork",), 0),
]


class TrackedPrograms(harness.DebuggerTest):
    def play(self, name: str, arguments: tuple[str, ...], stops: int,
             debug_symbols: bool) -> dict[int, harness.Allocation]:
        session = harness.Session(name, *arguments, debug_symbols=debug_symbols)
        for signal in ("SIGUSR1", "SIGUSR2", "SIGALRM"):
            session.pass_signal(signal)
        session.raw("settings set target.process.stop-on-exec false")
        session.stop_at()
        session.run()
        for _ in range(stops):
            session.resume()
        report = session.ledger()
        session.resume()
        status = session.raw("process status")
        outcome = session.execute()
        # Judged by what the program had written when it stopped: nothing more follows but its end.
        ledger = self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertRegex(status.value + outcome.text, session.debugger.ended(0))
        self.assertEqual(report.value["coverage"].get("dropped", 0), 0)
        return ledger

    def test_leading_kinds_and_counters(self) -> None:
        """The seven most used calls, written down here and not in the program."""
        session = harness.Session("track_c_family")
        session.stop_at()
        session.run()
        report = session.ledger()
        session.execute()
        sizes = {(one.kind, one.size) for one in harness.allocations(report.value).values()}
        for expected in [("malloc", 100), ("malloc", 0), ("calloc", 77), ("realloc", 55),
                         ("reallocarray", 54), ("posix_memalign", 300), ("valloc", 44),
                         ("pvalloc", 5000), ("malloc", 123)]:
            self.assertIn(expected, sizes)
        self.assertNotIn(("malloc", 2222), sizes)
        self.assertNotIn(("malloc", 111), sizes)


def _case(name: str, arguments: tuple[str, ...], stops: int, debug_symbols: bool):
    def test(self: TrackedPrograms) -> None:
        self.play(name, arguments, stops, debug_symbols)
    return test


for _name, _arguments, _stops in PROGRAMS:
    _title = "_".join([_name.replace(".", "_"), *_arguments]) + (f"_stop{_stops}" if _stops else "")
    setattr(TrackedPrograms, f"test_{_title}", _case(_name, _arguments, _stops, True))
    setattr(TrackedPrograms, f"test_{_title}_without_debug_symbols",
            _case(_name, _arguments, _stops, False))

if __name__ == "__main__":
    harness.main()
