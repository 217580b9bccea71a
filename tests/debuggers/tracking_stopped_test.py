# SPDX-License-Identifier: Apache-2.0
"""A process that goes on after `leaks stop`: what it allocates then is not taken for blocks from before
tracking, and an answer that rests on an old record says so."""

import harness

SAME_PLACE = ("note: tracking is stopped: a block allocated since may have the stack of an earlier one of "
              "its size at the same address; 8 blocks from before or since have no stack")


class TrackingStopped(harness.DebuggerTest):
    def test_the_process_goes_on(self) -> None:
        session = harness.Session("goes_on")
        session.stop_at()
        session.run()
        tracked = session.leaks("top")
        session.leaks("stop")
        session.resume()
        top = session.leaks("top")
        leaks = session.leaks("--show-kinds all")
        new = session.leaks("who-owns added[0]")
        old = session.leaks("who-owns same[0]")
        report = session.ledger()
        status = session.leaks("status")
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, session.debugger.ended(0))
        self.assertNotIn("note:", tracked.value)  # tracked from its start
        for text in (top.value, leaks.value, old.value):
            self.assertIn(SAME_PLACE, text, outcome.text)
        self.assertNotIn("before tracking>", outcome.text)
        groups = {group["bytes"]: group for group in report.value["groups"]}
        self.assertEqual({size: group["count"] for size, group in groups.items()},
                         {500: 5, 7 * 1000: 7, 50008: 1}, outcome.text)
        self.assertEqual(groups[50008]["stack"], [])  # not that of the 5,000 bytes that were there
        self.assertEqual(groups[500]["stack"][0]["function"], "before")  # cannot be known
        self.assertTrue(report.value["coverage"]["stopped"])
        self.assertRegex(new.value, r"block +0x[0-9a-f]+, 1000 bytes, <not recorded>\n")
        self.assertRegex(status.value, r"of the heap blocks, 57008 bytes in 8 are from before tracking or "
                                       r"from after it\n")
        self.assertIn("were hooked:   libc.so.6: malloc", status.value)


if __name__ == "__main__":
    harness.main()
