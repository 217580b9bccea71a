# SPDX-License-Identifier: Apache-2.0
"""A breakpoint set inside a patched entry, after it was patched: its trap would be read as part of the
jump. The breakpoint works, and a breakpoint at the entry records the calls in place of the hook."""

import harness

INSIDE = {"lldb": "breakpoint set --address __libc_malloc+2", "gdb": "break *__libc_malloc+2"}
FORGET = {"lldb": "breakpoint delete --force", "gdb": "delete"}


class BreakpointInside(harness.DebuggerTest):
    def test_it_is_hit_and_the_calls_are_recorded(self) -> None:
        session = harness.Session("every_call")
        session.stop_at()
        session.run()
        before = session.leaks_json("status")
        session.raw(INSIDE[harness.DEBUGGER])
        session.resume()
        first = session.backtrace()
        status = session.leaks("status")
        session.resume()
        second = session.backtrace()
        session.raw(FORGET[harness.DEBUGGER])
        session.stop_at()
        session.resume()
        after = session.leaks_json("status")
        session.leaks("stop")
        session.resume()
        outcome = session.execute()
        self.assertRegex(outcome.text, "heapledger: a breakpoint stands inside the entry of malloc: from now on its "
                                       "calls are recorded by a breakpoint, slowly")
        self.assertRegex(status.value, r"by breakpoint: +libc.so.6: malloc: a breakpoint stands inside its entry")
        self.assertNotIn("not hooked", status.value)
        for hit, caller in ((first, "calls_malloc"), (second, "operator new")):
            # LLDB up to 16 has no name for malloc's code when libc's debug symbols are there.
            self.assertRegex(hit.frames[0].function, "libc_malloc|^$", outcome.text[-3000:])
            self.assertEqual(hit.frames[0].module, "libc.so.6")
            self.assertTrue(any(caller in frame.function for frame in hit.frames[1:4]), outcome.text[-3000:])
        # malloc, realloc, calloc, aligned_alloc, new.
        since = [one.value["ledger"]["since_start"] for one in (before, after)]
        self.assertEqual(since[1]["allocations"] - since[0]["allocations"], 5)
        self.assertEqual(after.value["ledger"]["unknown_releases"], 0)
        self.assertRegex(outcome.text, session.debugger.ended(0))


if __name__ == "__main__":
    harness.main()
