# SPDX-License-Identifier: Apache-2.0
"""Recorded stacks against LLDB's own unwind. tests/programs/stack_shapes.cc allocates and stops in the
same frame, so from the second frame on both must have the same return addresses.

LLDB 19 ends a backtrace early in functions that gcc split in two (`.cold` parts, exceptions in
flight): there gdb, which gets through, is the witness for the rest. How many stops those are is
written down, so that the exception cannot grow."""

import subprocess
import tempfile

import harness

OUTERMOST = {"_start", "clone", "__clone", "clone3", "__clone3"}

# Stops where the debugger's own backtrace ends before the outermost frame.
ENDS_EARLY = {"lldb": {"gcc-O2-nofp": 5, "gcc-O3-nofp": 6, "gcc-O3-fp": 4},
              "lldb 14": {}, "lldb 16": {}, "lldb 22": {}, "gdb": {}}


def gdb_stacks(program: str, stops: int) -> list[list[int]]:
    """Return addresses at every stop, by gdb, without heapledger. Both debuggers switch address
    randomisation off, so those inside the program are the same."""
    script = ["set pagination off", "set print frame-info short-location", "set width 0",
              "set backtrace past-main on", "set backtrace past-entry on",
              "handle SIGUSR1 nostop noprint pass", f"break {harness.STOP}", "run >/dev/null"]
    python = ("python\nimport gdb\ndef show():\n  f = gdb.newest_frame()\n  last = None\n"
              "  pcs = []\n  while f is not None:\n"
              "    if f.type() != gdb.INLINE_FRAME: pcs.append(hex(f.pc()))\n"
              "    f = f.older()\n  print('STACK ' + ' '.join(pcs))\nend\n")
    script_text = python + "\n".join(script) + "\n"
    script_text += "\n".join(["python show()", "continue"] * stops) + "\n"
    with tempfile.TemporaryDirectory(dir=harness.BUILD) as folder:
        path = f"{folder}/script"
        with open(path, "w") as out:
            out.write(script_text)
        done = subprocess.run(["gdb", "-q", "-nx", "-batch", "-x", path,
                               str(harness.PROGRAMS / program)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
    return [[int(pc, 16) for pc in line.split()[1:]]
            for line in done.stdout.splitlines() if line.startswith("STACK")]


def ends_early() -> dict[str, int]:
    version = f"lldb {harness.Lldb.version()}" if harness.DEBUGGER == "lldb" else ""
    return ENDS_EARLY.get(version, ENDS_EARLY[harness.DEBUGGER])


class Stacks(harness.DebuggerTest):
    def play(self, variant: str) -> None:
        program = f"stack_shapes.{variant}"
        stops = len(harness.run_plain(program).truth)
        self.assertEqual(stops, 36)
        session = harness.Session(program)
        session.pass_signal("SIGUSR1")
        session.stop_at()
        session.run()
        backtraces = [session.backtrace()]
        for _ in range(stops - 1):
            session.resume()
            backtraces.append(session.backtrace())
        report = session.ledger()
        outcome = session.execute()
        found = harness.allocations(report.value)
        self.assertEqual(len(outcome.truth), stops, outcome.text[-3000:])
        incomplete = {one["address"] for group in report.value["groups"] if group["incomplete"]
                      for one in group["allocations"]}
        early = []
        for i, (label, backtrace) in enumerate(zip(outcome.truth, backtraces)):
            self.assertIn(label.address, found, f"stop {i} {label.name}")
            recorded = found[label.address].real_frames()
            theirs = backtrace.frames
            where = (f"stop {i} {label.name}\nrecorded "
                     f"{[(hex(f['address']), f['function']) for f in recorded]}\n"
                     f"debugger {[(hex(f.pc), f.function) for f in theirs]}")
            self.assertGreaterEqual(len(theirs), 3, where)
            self.assertNotIn(label.address, incomplete, where)
            # Frame 0 is the stop; frame 1 is sample(), at another call than malloc's.
            self.assertIn("sample", recorded[0]["function"], where)
            self.assertIn("sample", theirs[1].function, where)
            pcs = [f["address"] for f in recorded[1:]]
            if theirs[-1].function in OUTERMOST:
                self.assertEqual(pcs, [f.pc for f in theirs[2:]], where)
            else:
                early.append((i, pcs, where))
                self.assertEqual(pcs[:len(theirs) - 2], [f.pc for f in theirs[2:]], where)
        self.assertEqual(len(early), ends_early().get(variant, 0),
                         "".join(where for _, _, where in early))
        if early:
            witness = gdb_stacks(program, stops)
            self.assertEqual(len(witness), stops)
        for i, pcs, where in early:
            base = 0x7f0000000000  # libraries may lie elsewhere; the program does not
            self.assertEqual([pc for pc in pcs if pc < base],
                             [pc for pc in witness[i][2:] if pc < base], where)
            self.assertEqual(len(pcs), len(witness[i][2:]), where)


def _case(variant: str):
    def test(self: Stacks) -> None:
        self.play(variant)
    return test


for _compiler in ("gcc", "clang"):
    for _level in ("O0", "O1", "O2", "O3"):
        for _frame in ("nofp", "fp"):
            _variant = f"{_compiler}-{_level}-{_frame}"
            setattr(Stacks, f"test_{_variant.replace('-', '_')}", _case(_variant))
setattr(Stacks, "test_static", _case("static"))

if __name__ == "__main__":
    harness.main()
