# SPDX-License-Identifier: Apache-2.0
"""The same program as PIE, non-PIE, static, static-PIE, stripped, of musl dynamic and static: each is
tracked and its stacks are right. A static and stripped one cannot be, and says so in one line."""

import harness
import stripped

KINDS = ["pie", "nopie", "static", "static-pie", "stripped", "framepointer", "clang", "musl",
         "musl-static"]


class ProgramKinds(harness.DebuggerTest):
    def ledger_of(self, program: str, debug_symbols: bool = True):
        session = harness.Session(program, debug_symbols=debug_symbols)
        session.stop_at()
        session.run()
        report = session.ledger()
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(0))
        return self.assert_ledger_holds(report.value, outcome.truth, outcome.text), outcome

    def ledger_at_last_byte(self, program: str):
        """Stripped: there is no function to stop at. write() of the truth is the only sign, and the
        program's end comes when everything is held."""
        session = harness.Session(program)
        session.stop_at("_exit")
        session.run()
        report = session.ledger()
        outcome = session.execute()
        return self.assert_ledger_holds(report.value, outcome.truth, outcome.text), outcome

    def test_static_and_stripped_is_said_in_one_line(self) -> None:
        session = harness.Session("track_kinds.static-stripped")
        session.run()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(0))
        lines = [line for line in outcome.text.splitlines() if "--hook malloc=" in line]
        self.assertEqual(len(lines), 1, outcome.text)

    def test_static_and_stripped_with_hooks_given(self) -> None:
        session = harness.Session("track_kinds.static-stripped")
        session.leaks(f"start {stripped.HOOKS}")
        stripped.stop(session)
        session.run()
        report = session.ledger()
        session.resume()
        outcome = session.execute()
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertRegex(outcome.text, session.debugger.ended(0))


def _case(program: str, kind: str, debug_symbols: bool):
    def test(self: ProgramKinds) -> None:
        if kind == "stripped":
            ledger, outcome = self.ledger_at_last_byte(program)
        else:
            ledger, outcome = self.ledger_of(program, debug_symbols)
        if not program.startswith("track_kinds") or kind == "stripped":
            return
        for label in outcome.truth[:10]:  # the ten from outer() -> inner() -> malloc
            functions = [f["function"] for f in ledger[label.address].real_frames()]
            self.assertEqual(functions[:3], ["inner", "outer", "main"], f"block {label.size}")
    return test


for _kind in KINDS:
    for _program in ("track_kinds", "track_c_family"):
        _title = f"test_{_program}_{_kind.replace('-', '_')}"
        setattr(ProgramKinds, _title, _case(f"{_program}.{_kind}", _kind, True))
    setattr(ProgramKinds, f"test_{_kind.replace('-', '_')}_without_debug_symbols",
            _case(f"track_kinds.{_kind}", _kind, False))

for _program in ("track_operators.static", "track_operators"):
    setattr(ProgramKinds, f"test_{_program.replace('.', '_')}", _case(_program, "static", True))

if __name__ == "__main__":
    harness.main()
