# SPDX-License-Identifier: Apache-2.0
"""Every way to load the plugin arms tracking for the next launch, whoever launches: .lldbinit, a command
file, before and after the target, twice, in a Python host. And switching it off."""

import shutil
import tempfile
from pathlib import Path

import harness

PROGRAM = harness.DEMO / "fibonacci"
SEED = r"40960 bytes in 5 allocations from stack\n\s*fibonacci\+0x"
PYTHON_HOST = """
import lldb, sys
debugger = lldb.SBDebugger.Create()
debugger.SetAsync(False)
interpreter = debugger.GetCommandInterpreter()
def do(line):
    result = lldb.SBCommandReturnObject()
    interpreter.HandleCommand(line, result)
    if not result.Succeeded():
        sys.exit("failed: " + line + ": " + result.GetError())
    return result.GetOutput()
do("plugin load " + sys.argv[1])
target = debugger.CreateTarget(sys.argv[2])
target.BreakpointCreateByName("checkpoint")
for _ in range(2):
    process = target.LaunchSimple(None, None, ".")
    assert process.GetState() == lldb.eStateStopped, process.GetState()
    print(do("leaks top"))
    process.Kill()
print("host done")
"""


class Loading(harness.DebuggerTest):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(dir=harness.BUILD))
        self.addCleanup(shutil.rmtree, self.folder)
        self.steps = [f'target create "{PROGRAM}"', "breakpoint set --name checkpoint", "run",
                      "leaks top"]

    def lldb(self, *arguments: str) -> str:
        text, status = harness.run_to_end(
            [harness.Lldb.executable, "--no-use-colors", "--batch", *arguments],
            harness.session_environment(self.folder), 60, self.folder)
        self.assertEqual(status, 0, text)
        return text

    def options(self, commands: list[str]) -> list[str]:
        return [word for command in commands for word in ("-o", command)]

    def test_from_lldbinit(self) -> None:
        (self.folder / ".lldbinit").write_text(f"plugin load {harness.Lldb.plugin}\n")
        self.assertRegex(self.lldb(*self.options(self.steps)), SEED)

    def test_from_a_command_file(self) -> None:
        script = self.folder / "commands"
        script.write_text("\n".join([f"plugin load {harness.Lldb.plugin}", *self.steps]) + "\n")
        self.assertRegex(self.lldb("-s", str(script)), SEED)

    def test_program_on_the_command_line(self) -> None:
        text = self.lldb(*self.options([f"plugin load {harness.Lldb.plugin}", *self.steps[1:]]),
                         "--", str(PROGRAM))
        self.assertRegex(text, SEED)

    def test_before_the_target_is_created_by_a_file_option(self) -> None:
        text = self.lldb("-O", f"plugin load {harness.Lldb.plugin}",
                         *self.options(self.steps[1:]), str(PROGRAM))
        self.assertRegex(text, SEED)

    def test_twice(self) -> None:
        load = f"plugin load {harness.Lldb.plugin}"
        text = self.lldb(*self.options([load, self.steps[0], load, *self.steps[1:]]))
        self.assertRegex(text, SEED)
        self.assertEqual(text.count("40960 bytes in 5"), 1)

    def test_in_a_python_host(self) -> None:
        environment = harness.session_environment(self.folder) | harness.Lldb.module_environment()
        text, status = harness.run_to_end(
            ["/usr/bin/python3", "-c", PYTHON_HOST, str(harness.Lldb.plugin), str(PROGRAM)],
            environment, 60, self.folder)
        self.assertEqual(status, 0, text)
        self.assertIn("host done", text)
        self.assertEqual(text.count("40960 bytes in 5 allocations from stack"), 2, text)

    def test_process_launch_and_stop_at_entry(self) -> None:
        load = f"plugin load {harness.Lldb.plugin}"
        text = self.lldb(*self.options([load, *self.steps[:2], "process launch --stop-at-entry",
                                        "continue", "leaks top"]))
        self.assertRegex(text, SEED)

    def test_auto_off_and_on(self) -> None:
        session = harness.Session(PROGRAM)
        session.stop_at("checkpoint")
        session.leaks("auto off")
        session.run()
        off = session.leaks("status")
        session.kill()
        session.leaks("auto on")
        session.run()
        on = session.leaks("top")
        outcome = session.execute()
        self.assertEqual(outcome.status, 0, outcome.text)
        self.assertNotRegex(off.value, r"tracking:\s+on")
        self.assertRegex(on.value, SEED)

    def test_help_lists_the_commands_and_tells_of_children(self) -> None:
        session = harness.Session(PROGRAM)
        overall = session.leaks("help")
        top = session.leaks("help top")
        native = session.raw("help leaks")
        outcome = session.execute()
        self.assertEqual(outcome.status, 0, outcome.text)
        for name in ("top", "start", "stop", "status", "block", "auto", "help"):
            self.assertRegex(overall.value, rf"\b{name}\b")
            self.assertIn(name, native.value)
        self.assertRegex(overall.value, r"child\w* .*fork|fork.* child|after fork")
        for option in ("--sort", "--older", "--min-size", "--max-size", "--addresses", "--format",
                       "--output"):
            self.assertIn(option, top.value)


if __name__ == "__main__":
    harness.main()
