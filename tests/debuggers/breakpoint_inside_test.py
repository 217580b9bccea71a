# SPDX-License-Identifier: Apache-2.0
"""A breakpoint set inside a patched entry, after it was patched: its trap would be read as part of the
jump. The function is unhooked before the process runs on, the breakpoint works, and both are told."""

import os
import subprocess

import harness


class BreakpointInside(harness.DebuggerTest):
    def test_the_function_is_unhooked_and_the_breakpoint_hit(self) -> None:
        plugin = os.environ.get("HEAPLEDGER_PLUGIN", harness.BUILD / "heapledger_lldb.so")
        commands = [f"plugin load {plugin}", f"target create {harness.PROGRAMS / 'lone'}",
                    f"breakpoint set --name {harness.STOP}", "breakpoint set --name main", "run",
                    "breakpoint set --address __libc_malloc+2", "continue",
                    "leaks status", "breakpoint disable 4", "continue", "continue"]
        line = ["lldb-19", "--batch"]
        for command in commands:
            line += ["-o", command]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertIn("a breakpoint stands inside the entry of malloc: it is unhooked", done.stdout)
        self.assertIn("stop reason = breakpoint 4.1", done.stdout)
        self.assertRegex(done.stdout, r"not hooked: +libc.so.6: malloc: a breakpoint stands inside its entry")
        self.assertIn("exited with status = 0", done.stdout)


if __name__ == "__main__":
    harness.main()
