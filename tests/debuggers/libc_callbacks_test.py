# SPDX-License-Identifier: Apache-2.0
"""Stacks through the C library's own functions. musl has no call frame information: its rules are
derived from its code, and must lead to the frames that the debugger, which reads the code in a way of
its own, finds too. glibc, which has call frame information, is the control."""

import harness

STOPS = ["compare", "compare", "visit", "once", "thread", "at_exit"]
# Functions that must be on the stack in this order, innermost first: of the program and exported ones.
# What the library has in between has no names in the dynamic one.
EXPECTED = [
    ["sample", "compare", "main"],
    ["sample", "compare", "main"],
    ["sample", "visit", "main"],
    ["sample", "once", "main"],
    ["sample", "thread"],
    ["sample", "at_exit"],
]
# All of it where every function has a name. LLDB itself gets no further than __qsort_r.
MUSL_STATIC = [
    ["sample", "compare", "sift", "__qsort_r", "main", "libc_start_main_stage2", "_start"],
    ["sample", "compare", "bsearch", "main", "libc_start_main_stage2", "_start"],
    ["sample", "visit", "walk", "walk", "walk", "main", "libc_start_main_stage2", "_start"],
    ["sample", "once", "__pthread_once_full", "main", "libc_start_main_stage2", "_start"],
    ["sample", "thread", "start", "__clone"],
    ["sample", "at_exit", "__funcs_on_exit", "exit", "libc_start_main_stage2", "_start"],
]


class LibcCallbacks(harness.DebuggerTest):
    def play(self, program: str, complete: bool, whole: list[list[str]] | None = None) -> None:
        session = harness.Session(program)
        session.stop_at()
        session.run()
        backtraces = [session.backtrace()]
        for _ in STOPS[1:]:
            session.resume()
            backtraces.append(session.backtrace())
        report = session.ledger()
        outcome = session.execute()
        self.assertEqual([label.name for label in outcome.truth], STOPS, outcome.text[-3000:])
        found = harness.allocations(report.value)
        incomplete = {one["address"] for group in report.value["groups"] if group["incomplete"]
                      for one in group["allocations"]}
        for i, (label, backtrace) in enumerate(zip(outcome.truth, backtraces)):
            recorded = found[label.address].real_frames()
            theirs = backtrace.frames
            where = (f"stop {i} {label.name}\nrecorded "
                     f"{[(hex(f['address']), f['function']) for f in recorded]}\n"
                     f"debugger {[(hex(f.pc), f.function) for f in theirs]}")
            names = [f["function"] for f in recorded]
            if whole is not None:
                self.assertEqual(names, whole[i], where)
            places = [names.index(name) if name in names else -1 for name in EXPECTED[i]]
            self.assertNotIn(-1, places, where)
            self.assertEqual(places, sorted(places), where)
            if complete:
                self.assertNotIn(label.address, incomplete, where)
            # Frame 0 is the stop; frame 1 is sample(), at another call than malloc's. Where the debugger
            # ends early it is no witness any more.
            pcs, expected = [f["address"] for f in recorded[1:]], [f.pc for f in theirs[2:]]
            self.assertGreaterEqual(len(expected), 1, where)
            self.assertEqual(pcs[:len(expected)], expected[:len(pcs)], where)

    def test_glibc(self) -> None:
        self.play("libc_callbacks", complete=True)

    def test_musl_static(self) -> None:
        self.play("libc_callbacks.musl-static", complete=True, whole=MUSL_STATIC)

    def test_musl(self) -> None:
        self.play("libc_callbacks.musl", complete=False)


if __name__ == "__main__":
    harness.main()
