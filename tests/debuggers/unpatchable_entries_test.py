# SPDX-License-Identifier: Apache-2.0
"""Functions that cannot be patched safely are named with the reason, and recorded by a breakpoint: the
agent's ledger misses nothing of them."""

import harness


class UnpatchableEntries(harness.DebuggerTest):
    def test_they_are_recorded_by_a_breakpoint(self) -> None:
        session = harness.Session("track_short_entry")
        session.stop_at()
        session.run()
        report = session.ledger()
        status = session.leaks_json("status")
        words = session.leaks("status")
        session.leaks("stop")
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, r"heapledger: tracking: .*; by breakpoints, slowly: "
                                       r"track_short_entry: cfree \(.+\), pvalloc \(.+\)")
        self.assertRegex(words.value, r"by breakpoint: +track_short_entry: cfree: .+\n"
                                      r" +track_short_entry: pvalloc: .+\n")
        self.assertNotIn("not hooked", words.value)
        self.assertEqual(status.value["engine"], "entry hooks")
        self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        self.assertRegex(outcome.text, session.debugger.ended(0))
        found = [one for one in harness.allocations(report.value).values() if one.kind == "pvalloc"]
        self.assertEqual(len(found), 40)
        for one in found:
            self.assertEqual(one.functions()[:2], ["body", "start_thread"])

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
