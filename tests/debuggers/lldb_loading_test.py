# SPDX-License-Identifier: Apache-2.0
"""Loading into LLDB: before and after the target, twice, from an init file, on a terminal, into a
Python program that imports lldb; what our breakpoints show, and how a batch session ends."""

import re
import subprocess
import textwrap
from pathlib import Path

import harness

PLUGIN = harness.Lldb.plugin
WAITS = harness.PROGRAMS / "waits"
LONE = harness.PROGRAMS / "lone"
LOAD = f"plugin load {PLUGIN}"
KEPT = r"15000 bytes in 5 allocations from stack\n\s*keep\+"  # what `waits` holds at its stop


def tracking_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("heapledger: tracking:")]


class Loading(harness.DebuggerTest):
    def lldb(self, *commands: str, options: tuple[str, ...] = ()) -> tuple[str, int]:
        line = harness.Lldb().batch_command(commands)
        line[2:2] = options
        folder = harness.fresh_folder()
        return harness.run_to_end(line, harness.session_environment(folder), 120, folder)

    def assert_tracked(self, text: str) -> None:
        self.assertEqual(len(tracking_lines(text)), 1, text)
        self.assertIn("libc.so.6: malloc", tracking_lines(text)[0])
        self.assertRegex(text, KEPT)

    STOPPED = (f"breakpoint set --name {harness.STOP}", "run", "leaks top")

    def test_before_the_target(self) -> None:
        text, status = self.lldb(LOAD, f"target create {WAITS}", *self.STOPPED)
        self.assert_tracked(text)
        self.assertEqual(status, 0)

    def test_after_the_target(self) -> None:
        text, _ = self.lldb(f"target create {WAITS}", LOAD, *self.STOPPED)
        self.assert_tracked(text)

    def test_after_the_first_run(self) -> None:
        text, _ = self.lldb(f"target create {WAITS}", f"breakpoint set --name {harness.STOP}", "run",
                            LOAD, "kill", "run", "leaks top")
        self.assert_tracked(text)

    def test_twice(self) -> None:
        text, _ = self.lldb(LOAD, f"target create {WAITS}", LOAD, *self.STOPPED, LOAD, "leaks top")
        self.assert_tracked(text)
        self.assertEqual(len(re.findall(KEPT, text)), 2, text)

    def test_from_an_init_file(self) -> None:
        folder = harness.fresh_folder()
        init = folder / "init"
        init.write_text(LOAD + "\n")
        for option in ("-S", "-s"):
            with self.subTest(option):
                # -S is read before the target of the command line is made, -s after.
                line = harness.Lldb().batch_command(self.STOPPED)
                line[1:1] = [option, str(init)]
                line += ["--", str(WAITS)]
                text, status = harness.run_to_end(line, harness.session_environment(folder), 120,
                                                  folder)
                self.assert_tracked(text)
                self.assertEqual(status, 0)

    def test_from_the_home_folder(self) -> None:
        folder = harness.fresh_folder()
        (folder / ".lldbinit").write_text(LOAD + "\n")
        line = [a for a in harness.Lldb().batch_command([f"target create {WAITS}", *self.STOPPED])
                if a != "--no-lldbinit"]
        text, _ = harness.run_to_end(line, harness.session_environment(folder), 120, folder)
        self.assert_tracked(text)

    def test_file_that_is_missing_ends_with_an_error(self) -> None:
        text, status = self.lldb("plugin load /nonexistent/heapledger_lldb.so", "version")
        self.assertEqual(status, 1)
        self.assertNotIn("lldb version", text)

    def test_is_not_linked_to_liblldb(self) -> None:
        needed = subprocess.run(["readelf", "--dynamic", "--wide", str(PLUGIN)], check=True,
                                capture_output=True, text=True).stdout
        self.assertNotIn("liblldb", needed)
        self.assertNotIn("BIND_NOW", needed)

    def test_help(self) -> None:
        text, status = self.lldb(LOAD, "help leaks")
        self.assertEqual(status, 0)
        self.assertIn("who-owns", text)
        self.assertIn("leaks [COMMAND] [OPTIONS]", text)

    def test_two_targets_have_sessions_of_their_own(self) -> None:
        text, _ = self.lldb(LOAD, f"target create {WAITS}", *self.STOPPED,
                            f"target create {LONE}", "breakpoint set --name main", "run",
                            "target select 0", "leaks top", "target select 1", "leaks status")
        self.assertEqual(len(tracking_lines(text)), 2, text)
        self.assertEqual(len(re.findall(KEPT, text)), 2, text)
        self.assertRegex(text.split("(lldb) leaks status")[1], r"process: +\d+, .*/lone")

    def test_deleted_target(self) -> None:
        text, status = self.lldb(LOAD, f"target create {WAITS}", *self.STOPPED, "target delete",
                                 f"target create {WAITS}", *self.STOPPED)
        self.assertEqual(status, 0)
        self.assertEqual(len(re.findall(KEPT, text)), 2, text)


class OwnBreakpoints(harness.DebuggerTest):
    lldb = Loading.lldb

    def test_are_not_listed_deleted_or_disabled(self) -> None:
        text, _ = self.lldb(LOAD, f"target create {WAITS}", "breakpoint list", "breakpoint delete -f",
                            "breakpoint disable", *Loading.STOPPED, "breakpoint list",
                            "breakpoint delete -f", f"breakpoint set --name {harness.STOP}", "run",
                            "version")
        self.assertEqual(len(tracking_lines(text)), 2, text)
        self.assertRegex(text, KEPT)
        for listing in text.split("(lldb) breakpoint list\n")[1:]:
            listing = listing.split("(lldb) ")[0]
            self.assertNotIn("_dl_debug_state", listing)

    def test_are_not_listed_without_a_target(self) -> None:
        text, _ = self.lldb(LOAD, f"target create {WAITS}", "leaks at-exit", "breakpoint list")
        self.assertNotIn("_exit", text.split("(lldb) breakpoint list")[1])


class PythonHost(harness.DebuggerTest):
    """lldb as a module loads liblldb privately: the plugin makes it global first."""

    def host(self, script: str) -> str:
        folder = harness.fresh_folder()
        text, status = harness.run_to_end(
            ["/usr/bin/python3", "-c", textwrap.dedent(script)],
            {**harness.session_environment(folder), **harness.Lldb.module_environment()}, 120, folder)
        self.assertEqual(status, 0, text)
        return text

    BEGIN = f"""
        import lldb
        debugger = lldb.SBDebugger.Create()
        debugger.SetAsync(False)
        def run(words):
            result = lldb.SBCommandReturnObject()
            debugger.GetCommandInterpreter().HandleCommand(words, result)
            print("COMMAND", words.split()[0:2], result.Succeeded())
            return result
        run("plugin load {PLUGIN}")
        """

    def test_launch_and_captured_output(self) -> None:
        text = self.host(self.BEGIN + f"""
        target = debugger.CreateTarget("{WAITS}")
        target.BreakpointCreateByName("{harness.STOP}")
        process = target.LaunchSimple(None, None, "/")
        print("STATE", process.GetState() == lldb.eStateStopped)
        result = run("leaks top")
        print("CAPTURED<" + result.GetOutput() + ">")
        result = run("leaks tpo")
        print("ERROR<" + result.GetError() + ">")
        process.Kill()
        """)
        self.assertIn("STATE True", text)
        captured = re.search(r"CAPTURED<(.*?)>\n", text, re.DOTALL)
        self.assertIsNotNone(captured, text)
        self.assertRegex(captured.group(1), KEPT)
        self.assertRegex(text, r"ERROR<error: .*tpo.*\n>")

    def test_two_debuggers(self) -> None:
        text = self.host(self.BEGIN + f"""
        first = debugger
        debugger = lldb.SBDebugger.Create()
        debugger.SetAsync(False)
        run("plugin load {PLUGIN}")
        for debugger in (first, debugger):
            target = debugger.CreateTarget("{WAITS}")
            target.BreakpointCreateByName("{harness.STOP}")
            target.LaunchSimple(None, None, "/")
            print(run("leaks top").GetOutput())
        lldb.SBDebugger.Destroy(first)
        print(run("leaks top").GetOutput())
        lldb.SBDebugger.Destroy(debugger)
        """)
        self.assertEqual(len(re.findall(KEPT, text)), 3, text)


class Attached(harness.DebuggerTest):
    """A process that was there before is tracked when the user says so, and left as it was."""

    lldb = Loading.lldb

    def waiting_process(self) -> subprocess.Popen:
        process = subprocess.Popen([str(WAITS)], stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"waiting\n")
        return process

    def malloc_code(self, pid: int) -> bytes:
        """As memory has it, at the file offset of the dynamic symbol."""
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        base = min(int(m.split("-")[0], 16) for m in maps if "libc.so.6" in m)
        path = next(m.split()[-1] for m in maps if "libc.so.6" in m)
        symbols = subprocess.run(["nm", "-D", path], check=True, capture_output=True,
                                 text=True).stdout
        value = int(re.search(r"^([0-9a-f]+) \w malloc@@", symbols, re.M).group(1), 16)
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(base + value)
            return memory.read(16)

    def test_hooks_are_out_after_detach_and_after_the_end(self) -> None:
        for last in (["process detach"], ["quit"], []):
            with self.subTest(last):
                process = self.waiting_process()
                before = self.malloc_code(process.pid)
                probe = (f"script m = open('/proc/{process.pid}/maps').read().splitlines(); "
                         "print('ANONYMOUS CODE', any(' r-xp 00000000 00:00 0' in l and "
                         "'[' not in l for l in m))")
                text, status = self.lldb(LOAD, f"process attach -p {process.pid}", "leaks start",
                                         probe, *last)
                self.assertEqual(status, 0, text)
                self.assertEqual(len(tracking_lines(text)), 1, text)
                self.assertIn("ANONYMOUS CODE True", text)
                self.assertEqual(self.malloc_code(process.pid), before)
                self.assertIn("TracerPid:\t0", Path(f"/proc/{process.pid}/status").read_text())
                self.assertIsNone(process.poll())

    def test_is_not_tracked_by_itself(self) -> None:
        process = self.waiting_process()
        text, status = self.lldb(LOAD, f"process attach -p {process.pid}", "leaks top",
                                 "leaks status")
        self.assertEqual(status, 0)
        self.assertEqual(tracking_lines(text), [])
        self.assertIn("note: not tracked: blocks are those of malloc's own structures", text)
        self.assertRegex(text, r"tracking: +(armed|off)")


class Core(harness.DebuggerTest):
    lldb = Loading.lldb

    def test_scan_from_a_script(self) -> None:
        """A script's HandleCommand holds LLDB's lock while a scan reads: what only LLDB can read (it
        writes minidumps) may not wait for that lock on another thread."""
        core = harness.fresh_folder() / "core"
        self.lldb(LOAD, f"target create {WAITS}", f"breakpoint set --name {harness.STOP}", "run",
                  f"process save-core --style full {core}")
        text, status = self.lldb(LOAD, f"target create {WAITS} --core {core}",
                                 "script lldb.debugger.HandleCommand('leaks')", "leaks top")
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"still reachable: 15,000 bytes in 5 blocks")
        self.assertRegex(text, KEPT)
        self.assertNotIn("heapledger:", text)

    def test_core_of_a_process_that_was_not_tracked(self) -> None:
        folder = harness.fresh_folder()
        process = subprocess.Popen([str(WAITS)], stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"waiting\n")
        subprocess.run(["gcore", "-o", str(folder / "core"), str(process.pid)], check=True,
                       capture_output=True)
        text, status = self.lldb(
            LOAD, f"target create {WAITS} --core {folder}/core.{process.pid}", "leaks top",
            "leaks")
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"21000 bytes in 7 allocations from stack\n\s*<allocated before "
                               r"tracking>\n\s*2048 to 4095 usable bytes\n")
        self.assertIn("definitely lost: 0 bytes in 0 blocks", text)


class ExitCodes(harness.DebuggerTest):
    lldb = Loading.lldb

    def test_a_leak(self) -> None:
        for words, expected in (("", 1), (" --error-exitcode 42", 42)):
            text, status = self.lldb(LOAD, f"target create {LONE}",
                                     "settings append target.env-vars HEAPLEDGER_TRUTH=/dev/null",
                                     f"leaks at-exit{words}", "run")
            self.assertEqual(text.count("LEAK SUMMARY:"), 1, text)
            self.assertEqual(status, expected, text)

    def test_nothing_lost(self) -> None:
        """Then the program's own status is passed on."""
        for arguments, expected in (("", 0), ('-c "exit 7"', 7)):
            text, status = self.lldb(LOAD, "target create /bin/true" if not arguments else
                                     "target create /bin/sh", "leaks at-exit", f"run {arguments}")
            self.assertRegex(text, r"definitely lost: 0 bytes in 0 blocks")
            self.assertEqual(status, expected, text)

    def test_what_the_program_writes_is_printed(self) -> None:
        """By a thread of LLDB's that would end if it heard of the exit code."""
        text, status = self.lldb(LOAD, "target create /bin/sh", "leaks at-exit",
                                 "run -c \"echo to-output; echo to-errors >&2\"")
        self.assertEqual(status, 0, text)
        for written in ("to-output", "to-errors"):
            self.assertRegex(text, rf"(?m)^{written}\r?$")

    def test_killed_before_its_end_is_not_judged(self) -> None:
        text, status = self.lldb(LOAD, f"target create {WAITS}", "leaks at-exit",
                                 f"breakpoint set --name {harness.STOP}", "run")
        self.assertEqual(status, 2, text)

    def test_a_second_run_is_judged_anew(self) -> None:
        """The verdict of the first one does not stand for a run that never came to its end."""
        text, status = self.lldb(LOAD, f"target create {LONE}",
                                 "settings append target.env-vars HEAPLEDGER_TRUTH=/dev/null",
                                 "leaks at-exit", "run", "breakpoint set --name main", "run")
        self.assertEqual(status, 2, text)

    def test_without_batch_mode_by_quit(self) -> None:
        commands = [LOAD, f"target create {LONE}",
                    "settings append target.env-vars HEAPLEDGER_TRUTH=/dev/null", "leaks at-exit",
                    "run", "quit"]
        line = [a for a in harness.Lldb().batch_command(commands) if a != "--batch"]
        folder = harness.fresh_folder()
        text, status = harness.run_to_end(line, harness.session_environment(folder), 120, folder)
        self.assertEqual(status, 1, text)

    def test_on_a_terminal_nothing_is_disturbed(self) -> None:
        """A nested quit would end LLDB's event thread: the next `run` would never come back."""
        terminal = harness.Terminal()
        self.addCleanup(terminal.close)
        terminal.command(LOAD)
        terminal.command(f"target create {LONE}")
        terminal.command("settings append target.env-vars HEAPLEDGER_TRUTH=/dev/null")
        terminal.command("leaks at-exit")
        for _ in range(2):
            terminal.send("run\n")
            before = terminal.expect(r"exited with status = \d+")
            self.assertIn("LEAK SUMMARY:", before)
            terminal.expect(terminal.debugger.prompt)
        self.assertEqual(terminal.end("quit"), 0)

    def test_no_process_is_one_line_and_an_error(self) -> None:
        text, status = self.lldb(LOAD, f"target create {WAITS}", "leaks top", "version")
        self.assertEqual(status, 1)
        errors = [line for line in text.splitlines() if line.startswith("error:")]
        self.assertEqual(errors, ["error: no process: run the program first"], text)
        self.assertNotIn("lldb version", text)


if __name__ == "__main__":
    harness.main()
