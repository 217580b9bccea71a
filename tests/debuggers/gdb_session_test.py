# SPDX-License-Identifier: Apache-2.0
"""gdb goes on working as it did: its own commands, its settings, its exit codes."""

import re
import subprocess
import tempfile
import time
from pathlib import Path

import harness

BRIDGE = harness.Gdb.bridge
FIBONACCI = harness.DEMO / "fibonacci"
# What a script may have changed on the way: everything but what a run changes by itself.
SETTINGS = ("confirm", "height", "history save", "language", "pagination", "print pretty",
            "scheduler-locking", "schedule-multiple", "step-mode", "unwindonsignal", "width",
            "breakpoint pending", "breakpoint always-inserted", "non-stop", "can-use-hw-watchpoints",
            "follow-fork-mode", "detach-on-fork", "startup-with-shell", "exec-wrapper", "python print-stack")


def gdb(*commands: str, environment: dict[str, str] | None = None) -> tuple[str, int]:
    line = [harness.Gdb.executable, "-nx", "-q", "-batch"]
    for command in commands:
        line += ["-ex", command]
    with tempfile.TemporaryDirectory(dir=harness.BUILD) as folder:
        return harness.run_to_end(
            line, {**harness.session_environment(Path(folder)), **(environment or {})}, 120,
            Path(folder))


class Session(harness.DebuggerTest):
    def stopped(self, program: str = "waits", *arguments: str) -> harness.Session:
        session = harness.Session(program, *arguments)
        session.stop_at()
        session.run()
        return session

    def test_settings_selection_and_history_are_the_users(self) -> None:
        session = self.stopped()
        session.raw("set scheduler-locking step")
        session.raw("set language c++")
        session.raw("print 4711")
        session.raw("up")
        before = [session.raw(f"show {name}") for name in SETTINGS]
        before += [session.raw("info breakpoints"), session.raw("frame"), session.raw("show values"),
                   session.raw("show user")]
        for words in ("", "top", "status", "roots", "who-owns kept", "stop", "start"):
            session.leaks(words)
        after = [session.raw(f"show {name}") for name in SETTINGS]
        after += [session.raw("info breakpoints"), session.raw("frame"), session.raw("show values"),
                  session.raw("show user")]
        outcome = session.execute()
        self.assertEqual([text.value for text in after], [text.value for text in before])
        self.assertIn("4711", after[-2].value, outcome.text)
        self.assertIn("#1", after[-3].value, outcome.text)

    def test_finish_next_and_calls_go_through_the_hooks(self) -> None:
        session = self.stopped()
        session.raw("break __libc_malloc")
        session.resume()
        frames = session.backtrace()
        argument = session.raw("print bytes")
        finished = session.raw("finish")
        session.raw("delete")
        over = session.raw("next")
        called = session.raw("print ((void *(*)(unsigned long)) malloc)(12345)")
        listed = session.leaks("top 1000 --addresses --min-size 12345 --max-size 12345")
        outcome = session.execute()
        self.assertEqual([f.function for f in frames.frames[1:3]], ["keep", "main"], outcome.text)
        self.assertIn("= 3000", argument.value)
        self.assertRegex(finished.value, r"Value returned is \$\d+ = \(void \*\) 0x[0-9a-f]+")
        self.assertIn("abort", over.value, outcome.text)  # the line after malloc's
        address = re.search(r"= \(void \*\) 0x([0-9a-f]+)", called.value)
        self.assertIsNotNone(address, called.value)
        self.assertIn(f"addr = {address.group(1)} size = 12345", listed.value)

    def test_every_instruction_of_a_hooked_malloc_has_its_callers(self) -> None:
        """From the entry's jump through stub, hook and trampoline to the return."""
        session = self.stopped()
        session.raw("break *__libc_malloc")
        session.resume()
        session.raw("delete")
        traces = []
        for _ in range(60):
            traces.append(session.backtrace())
            session.raw("stepi")
        outcome = session.execute()
        wrong = []
        for i, trace in enumerate(traces):
            functions = [frame.function for frame in trace.frames]
            if "keep" not in functions or functions[functions.index("keep"):][1:2] != ["main"]:
                wrong.append((i, [(hex(f.pc), f.function) for f in trace.frames]))
        self.assertEqual(wrong, [], outcome.text[-2000:])

    def test_breakpoint_inside_a_patched_entry_unhooks_it(self) -> None:
        session = self.stopped("track_stress", "51", "2", "20000", "1")
        told = session.raw("break *(char *) __libc_malloc + 2")
        status = session.leaks("status")
        session.raw("delete")
        session.resume()
        session.resume()
        outcome = session.execute()
        self.assertRegex(told.value, r"a breakpoint stands inside the entry of malloc")
        self.assertRegex(status.value, r"tracking:\s+on")
        self.assertRegex(outcome.text, session.debugger.ended(0))

    def test_breakpoint_at_the_entry_is_hit_tracked_or_not(self) -> None:
        session = harness.Session("waits")
        session.stop_at("keep")
        session.run()
        session.raw("break *__libc_malloc")
        session.resume()
        hit = session.backtrace()
        again = session.raw("continue 3")
        listed = session.leaks("top")
        session.execute()
        self.assertEqual([f.function for f in hit.frames[1:3]], ["keep", "main"])
        self.assertIn("__GI___libc_malloc", hit.frames[0].function)
        self.assertIn("Breakpoint", again.value)
        self.assertGreaterEqual(self.outstanding_from(listed.value, "keep")[1], 1)

    def test_libraries_loaded_again_and_again_while_threads_run(self) -> None:
        """The memory that is set aside for that lasts."""
        session = self.stopped("reload_under_threads", "1500")
        report = session.ledger()
        status = session.leaks_json("status")
        session.resume()
        outcome = session.execute()
        held = self.assert_ledger_holds(report.value, outcome.truth, outcome.text)
        [block] = [one for one in held.values() if one.size == 321]
        self.assertEqual(block.functions()[:2], ["reloaded_allocate", "main"])
        self.assertNotIn("is used up", outcome.text)
        self.assertEqual(status.value["ledger"]["dropped"], 0)
        self.assertRegex(outcome.text, session.debugger.ended(0))

    def test_kill_and_run_again(self) -> None:
        session = self.stopped()
        first = session.leaks("top")
        session.kill()
        none = session.leaks("top")
        session.run()
        second = session.leaks("top")
        session.execute()
        self.assertEqual(self.outstanding_from(first.value, "keep"), (15000, 5))
        self.assertIn("no process", none.value)
        self.assertEqual(self.outstanding_from(second.value, "keep"), (15000, 5))

    def test_detach_takes_the_hooks_out_and_the_process_goes_on(self) -> None:
        session = harness.Session(harness.PROGRAMS / "track_stress", "41", "3", "20000", "1")
        session.stop_at()
        session.run()
        before = session.host(str(harness.SOURCE / "tests/debuggers/patched_bytes.py"))
        session.raw("detach")
        outcome = session.execute()
        self.assertGreater(int(before.value.split()[0]), 0, before.value)
        self.assertIn("detached", outcome.text)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            labels = harness.read_truth(session.truth_path)
            if labels and labels[-1].what == "end":
                return
            time.sleep(0.05)
        self.fail("the program did not come to its end")

    def test_attached_process_has_every_byte_back(self) -> None:
        """By `detach` and by gdb's end."""
        for last in ("detach", "quit"):
            with self.subTest(last), tempfile.TemporaryDirectory(dir=harness.BUILD) as folder:
                process = subprocess.Popen([str(harness.PROGRAMS / "waits")], cwd=folder,
                                           stdout=subprocess.PIPE,
                                           env=harness.session_environment(Path(folder)))
                self.addCleanup(process.wait)
                self.addCleanup(process.kill)
                self.assertEqual(process.stdout.readline(), b"waiting\n")
                self.addCleanup(process.stdout.close)
                check = str(harness.SOURCE / "tests/debuggers/patched_bytes.py")
                during = f"{folder}/during"
                text, _ = gdb(f"source {BRIDGE}", f"attach {process.pid}", "leaks start",
                              f"shell {check} {process.pid} > {during}", "leaks status", last)
                self.assertRegex(text, r"tracking:\s+on")
                self.assertGreater(int(Path(during).read_text().split()[0]), 0)
                done = subprocess.run([check, str(process.pid)], capture_output=True, text=True,
                                      check=True)
                self.assertEqual(int(done.stdout.split()[0]), 0, done.stdout)
                self.assertIsNone(process.poll())

    def test_fork_and_exec(self) -> None:
        """A child is left alone; one that gdb follows is tracked when it runs another program."""
        session = harness.Session("track_fork")
        session.raw("catch fork")
        session.run()
        caught = session.leaks("status")
        session.raw("delete")
        session.resume()
        outcome = session.execute()
        self.assertRegex(caught.value, r"tracking:\s+on")
        self.assertRegex(outcome.text, session.debugger.ended(0))
        text, _ = gdb(f"source {BRIDGE}", "file /bin/sh",
                      f"set args -c '{FIBONACCI}; true'", "set follow-fork-mode child",
                      "set breakpoint pending on", "break checkpoint", "run", "leaks top")
        self.assertIn("40960 bytes in 5 allocations from stack", text)

    def test_commands_have_help_completion_and_unique_beginnings(self) -> None:
        text, _ = gdb(f"source {BRIDGE}", "help leaks top", "complete leaks to",
                      "complete leaks top --so", "complete leaks top --sort ", "complete leaks --sh",
                      "help leaks", "leaks hel verdict")
        self.assertIn("--sort size|count|age", text)
        for line in ("leaks top\n", "leaks top --sort\n", "leaks top --sort count\n",
                     "leaks --show-kinds\n"):
            self.assertIn(line, text)
        self.assertIn("leaks who-owns", text)
        self.assertRegex(text, "Syntax: leaks verdict")

    def test_sourced_twice(self) -> None:
        text, _ = gdb(f"source {BRIDGE}", f"source {BRIDGE}", f"file {FIBONACCI}", "break checkpoint",
                      "run", "leaks top")
        self.assertEqual(text.count("heapledger: tracking:"), 1, text)
        self.assertIn("40960 bytes in 5 allocations from stack", text)

    def test_one_line_when_the_module_cannot_load(self) -> None:
        with tempfile.TemporaryDirectory(dir=harness.BUILD) as folder:
            copy = Path(folder) / "heapledger_gdb.py"
            copy.write_text(BRIDGE.read_text())
            text, status = gdb(f"source {copy}", "leaks verdict")
        lines = [line for line in text.splitlines() if "heapledger" in line]
        self.assertEqual(len(lines), 1, text)
        self.assertRegex(lines[0], r"cannot be loaded into gdb 13.*Python 3.*heapledger")
        self.assertEqual(status, 1)

    def test_wrong_input_is_one_line(self) -> None:
        for words, expected in (("leaks tpo", "unknown command 'tpo'"),
                                ("leaks top --bogus", "unknown option --bogus"),
                                ("leaks top ten", "N must be a number"),
                                ("leaks who-owns nosuch", r"cannot evaluate 'nosuch': No symbol"),
                                ("leaks block zz", "zz")):
            with self.subTest(words):
                session = self.stopped()
                answer = session.raw(words)
                outcome = session.execute()
                self.assertRegex(answer.value, expected)
                self.assertEqual(answer.value.count("\n"), 1, answer.value)
                self.assertEqual(outcome.status, 1)


class ExitCodes(harness.DebuggerTest):
    def run_to_verdict(self, program: str, *options: str, last: str = "leaks verdict") -> int:
        _, status = gdb(f"source {BRIDGE}", f"file {program.split()[0]}",
                        f"leaks at-exit {' '.join(options)}",
                        f"run {' '.join(program.split()[1:])} > /dev/null", last)
        return status

    def test_lost_clean_and_chosen(self) -> None:
        self.assertEqual(self.run_to_verdict(str(FIBONACCI)), 1)
        self.assertEqual(self.run_to_verdict(f"{FIBONACCI} free"), 0)
        self.assertEqual(self.run_to_verdict(str(FIBONACCI), "--error-exitcode 42"), 42)
        # A last command that succeeds changes nothing.
        self.assertEqual(self.run_to_verdict(str(FIBONACCI), last="show version"), 1)

    def test_the_programs_own_status(self) -> None:
        self.assertEqual(self.run_to_verdict("/bin/sh -c 'exit 7'"), 7)

    def test_never_judged(self) -> None:
        self.assertEqual(self.run_to_verdict("/bin/sh -c 'kill -SEGV $$'"), 2)
        self.assertEqual(self.run_to_verdict("/bin/sh -c 'kill -KILL $$'"), 2)
        text, status = gdb(f"source {BRIDGE}", f"file {FIBONACCI}", "leaks at-exit",
                           "break checkpoint", "run > /dev/null", "leaks verdict")
        self.assertEqual(status, 2, text)

    def test_bridge_that_is_missing(self) -> None:
        _, status = gdb("source /nonexistent/heapledger_gdb.py", f"file {FIBONACCI}",
                        "leaks at-exit", "run > /dev/null", "leaks verdict")
        self.assertEqual(status, 1)


if __name__ == "__main__":
    harness.main()
