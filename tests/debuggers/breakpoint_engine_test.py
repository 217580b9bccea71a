# SPDX-License-Identifier: Apache-2.0
"""`leaks start --engine breakpoint`: the same answers as with the agent, from breakpoints alone."""

import harness
import scan_labels
import stripped

ENGINE = "start --engine breakpoint"

# Programs, and how many stops before the one to be judged (tracked_programs_test.py).
PROGRAMS = [
    ("track_c_family", (), 0),
    ("track_operators", (), 0),
    ("track_operators.O3", (), 0),
    ("track_mappings", (), 0),
    ("track_other_thread", (), 0),
    ("track_constructors", (), 1),
    ("track_dlopen", (), 0),
    ("track_fork", (), 0),
    ("track_small_stack", (), 0),
    ("track_signal", (), 0),
    ("track_exec", (), 0),
    ("track_kinds.nopie", (), 0),
    ("track_kinds.static", (), 0),
    ("track_c_family.static-pie", (), 0),
    ("track_kinds.musl", (), 0),
]


def started(name: str, *arguments: str, engine: str = ENGINE) -> harness.Session:
    session = harness.Session(name, *arguments)
    for signal in ("SIGUSR1", "SIGUSR2", "SIGALRM"):
        session.pass_signal(signal)
    if harness.DEBUGGER == "lldb":
        session.raw("settings set target.process.stop-on-exec false")
    if engine:
        session.leaks(engine)
    session.stop_at()
    return session


def blocks(report) -> list[tuple]:
    """What an engine says of each block, down to the last frame. Without the address: the agent's own
    mappings move the program's large blocks."""
    return sorted((one.size, one.kind, [(f["function"], f["offset"]) for f in one.stack])
                  for one in harness.allocations(report).values())


class BreakpointEngine(harness.DebuggerTest):
    def play(self, name: str, arguments: tuple[str, ...], stops: int) -> None:
        session = started(name, *arguments)
        session.run()
        for _ in range(stops):
            session.resume()
        report = session.ledger()
        status = session.leaks_json("status")
        session.resume()
        outcome = session.execute(timeout=300)
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assertEqual(status.value["engine"], "breakpoints")
        self.assertEqual(status.value["ledger"]["dropped"], 0)

    def both_engines(self, name: str) -> list[list[tuple]]:
        answers = []
        for engine in (ENGINE, ""):
            session = started(name, engine=engine)
            session.run()
            report = session.ledger()
            session.kill()
            session.execute()
            answers.append(blocks(report.value))
        return answers

    def test_the_answer_is_the_agents_block_for_block_and_frame_for_frame(self) -> None:
        for name in ("track_c_family", "track_operators", "track_kinds.static"):
            breakpoints, agent = self.both_engines(name)
            self.assertGreater(len(agent), 5)
            self.assertEqual(breakpoints, agent, name)

    def test_every_command_answers(self) -> None:
        session = started("four_answers")
        session.run()
        top = session.leaks("top")
        leaks = session.leaks()
        roots = session.leaks("roots")
        status = session.leaks("status")
        breakpoints = session.raw(session.debugger.list_breakpoints)
        stop = session.leaks("stop")
        after = session.leaks("top 1")
        again = session.leaks("stop")
        session.execute()
        self.assertIn("allocations from stack", top.value)
        self.assertIn("definitely lost:", leaks.value)
        self.assertIn("stack", roots.value)
        self.assertRegex(status.value, r"engine: +breakpoints: \d+ hits, \d+ a second, \d+\.\d\d ms "
                                       r"each; the process stood still \d+% of that time")
        shown = {"lldb": "name = ", "gdb": " breakpoint     "}[harness.DEBUGGER]
        of_the_harness = breakpoints.value.count("name = 'main'")  # LLDB 14: Lldb.pass_signal
        self.assertEqual(breakpoints.value.count(shown) - of_the_harness, 1, breakpoints.value)
        self.assertNotIn("malloc", breakpoints.value)
        self.assertIn("Tracking stopped", stop.value)
        self.assertIn("allocations from stack", after.value)
        self.assertIn("is not tracked", again.value)

    def test_verdicts_are_those_of_the_labels(self) -> None:
        for name in ("four_answers", "cycle", "tree", "interior_only"):
            session = started(name)
            session.run()
            report = session.leaks_json(scan_labels.LEAKS_ALL)
            session.kill()
            outcome = session.execute()
            self.assertGreater(len(outcome.truth), 0, outcome.text[-2000:])
            self.assertEqual(scan_labels.wrong_verdicts(report.value, outcome.truth), [], name)

    def test_stopping_gives_the_program_its_speed_back(self) -> None:
        """No breakpoint is left: the hit count stays what it was."""
        session = started("track_kinds.pie")
        session.stop_at("inner")
        session.run()
        session.resume()
        before = session.leaks_json("status")
        session.leaks("stop")
        session.resume()
        after = session.leaks_json("status")
        session.kill()
        session.execute()
        self.assertGreater(before.value["cost"]["hits"], 0)
        self.assertEqual(after.value["cost"]["hits"], before.value["cost"]["hits"])

    def test_a_users_breakpoint_at_the_same_function_still_stops(self) -> None:
        session = started("track_kinds.pie")
        session.raw(session.debugger.stop_at_libc_if("free", "$rdi != 0"))
        session.run()
        where = session.backtrace()
        session.resume()
        report = session.ledger()
        session.kill()
        outcome = session.execute()
        # LLDB 14 and 16 have no name for it, as it has several.
        self.assertEqual([frame.module for frame in where.frames[:2]], ["libc.so.6", "track_kinds.pie"])
        self.assertEqual(where.frames[1].function, "main")
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)

    def test_a_second_run_begins_anew(self) -> None:
        session = started("track_kinds.pie")
        session.run()
        first = session.ledger()
        session.kill()
        session.run()
        second = session.ledger()
        session.kill()
        session.execute()
        self.assertEqual(len(harness.allocations(first.value)),
                         len(harness.allocations(second.value)))

    def test_static_and_stripped_with_hooks_given(self) -> None:
        session = harness.Session(stripped.PROGRAM)
        session.leaks(f"{ENGINE} {stripped.HOOKS}")
        stripped.stop(session)
        session.run()
        report = session.ledger()
        status = session.leaks_json("status")
        session.resume()
        outcome = session.execute()
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assertEqual(status.value["engine"], "breakpoints")

    def test_hooks_given_by_names_that_share_a_function(self) -> None:
        """cfree and free at one address, and malloc that calloc calls: one record a call."""
        session = harness.Session(stripped.PROGRAM)
        free = stripped.symbols()["free"]
        session.leaks(f"{ENGINE} {stripped.HOOKS} --hook cfree={free:#x}")
        stripped.stop(session)
        session.run()
        report = session.ledger()
        status = session.leaks_json("status")
        session.kill()
        outcome = session.execute()
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertEqual(status.value["ledger"]["unknown_releases"], 0, outcome.text[-3000:])

    def test_the_engines_name_is_checked(self) -> None:
        session = harness.Session("track_kinds.pie")
        session.leaks("start --engine valgrind")
        outcome = session.execute()
        self.assertIn("--engine must be agent, breakpoint, not 'valgrind'", outcome.text)


def _case(name: str, arguments: tuple[str, ...], stops: int):
    def test(self: BreakpointEngine) -> None:
        self.play(name, arguments, stops)
    return test


for _name, _arguments, _stops in PROGRAMS:
    _title = "_".join([_name.replace(".", "_").replace("-", "_"), *_arguments])
    setattr(BreakpointEngine, f"test_{_title}", _case(_name, _arguments, _stops))

if __name__ == "__main__":
    harness.main()
