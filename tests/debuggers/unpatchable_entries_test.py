# SPDX-License-Identifier: Apache-2.0
"""Functions that cannot be patched safely are named with the reason, and recorded by a breakpoint: the
agent's ledger misses nothing of them."""

import harness


class UnpatchableEntries(harness.DebuggerTest):
    def judge(self, program: str) -> tuple[harness.Answer, harness.Text, harness.Outcome]:
        """Its ledger, what `leaks status` says, and how the session went; it has to be right."""
        session = harness.Session(program)
        session.stop_at()
        session.run()
        report = session.ledger()
        status = session.leaks("status")
        session.leaks("stop")
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assertRegex(status.value, r"engine: +entry hooks\n")
        self.assertNotIn("not hooked", status.value)
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        return report, status, outcome

    def test_they_are_recorded_by_a_breakpoint(self) -> None:
        report, status, outcome = self.judge("track_short_entry")
        self.assertRegex(outcome.text, r"heapledger: tracking: .*; by breakpoints, slowly: "
                                       r"track_short_entry: cfree \(.+\), pvalloc \(.+\)")
        self.assertRegex(status.value, r"by breakpoint: +track_short_entry: cfree: .+\n"
                                       r" +track_short_entry: pvalloc: .+\n")
        found = [one for one in harness.allocations(report.value).values() if one.kind == "pvalloc"]
        self.assertEqual(len(found), 40)
        for one in found:
            self.assertEqual(one.functions()[:2], ["body", "start_thread"])

    def test_entered_elsewhere_than_at_the_first_byte(self) -> None:
        _, status, outcome = self.judge("track_side_entries")
        inside = "inside the bytes the jump would replace"
        for function, why in (("pvalloc", rf"a branch at 0x[0-9a-f]+ leads to \+2, {inside}"),
                              ("valloc", rf"a jump table at 0x[0-9a-f]+ leads to \+2, {inside}"),
                              ("memalign", rf"inside begins at \+3, {inside}"),
                              ("free_sized", "the function is only 3 bytes long")):
            self.assertRegex(status.value, rf"track_side_entries: {function}: {why}\n",
                             outcome.text[-3000:])
        self.assertRegex(status.value, r"hooked:(.*\n)+ +track_side_entries: cfree\n")

    def test_chosen_at_run_time_or_without_a_type(self) -> None:
        """These can be patched."""
        _, status, outcome = self.judge("track_odd_symbols")
        self.assertRegex(status.value, r"hooked:(.*\n)+ +odd_symbols.so: memalign, pvalloc\n")
        self.assertRegex(status.value, r"hooked:(.*\n)+ +track_odd_symbols: cfree, valloc\n")
        self.assertNotIn("by breakpoint", status.value)

    def test_chosen_at_run_time_in_a_library_that_comes_later(self) -> None:
        """No resolver is called before its library has been relocated."""
        session = harness.Session("late_resolver")
        session.stop_at()
        session.run()
        session.resume()
        report = session.ledger()
        status = session.leaks("status")
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assertNotIn("SIGSEGV", outcome.text)
        self.assertRegex(outcome.text, r"heapledger: not hooked: late_resolver.so: valloc \(is resolved at run time")
        self.assertRegex(outcome.text, r"heapledger: now tracking: late_resolver.so: valloc\n")
        self.assertNotIn("not hooked", status.value)
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)

    def test_stopping_takes_the_breakpoints_out(self) -> None:
        session = harness.Session("track_short_entry")
        session.stop_at("body", once=True)
        session.stop_at()
        session.run()
        session.leaks("stop")
        session.resume()
        report = session.ledger()
        session.resume()
        outcome = session.execute()
        self.assertEqual([one for one in harness.allocations(report.value).values()
                          if one.kind == "pvalloc"], [])
        self.assertRegex(outcome.text, session.debugger.ended(0))


if __name__ == "__main__":
    harness.main()
