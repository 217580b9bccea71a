# SPDX-License-Identifier: Apache-2.0
"""One binary for LLDB 14 to 22: the same file in versions laid side by side (scripts/lldb-versions)."""

import re
import shutil
import subprocess
from pathlib import Path

import harness
import waiting

VERSIONS = ("14", "16", "22")

# Functions of newer versions, called only where liblldb has them.
GUARDED = {
    "lldb::SBDebugger::AddDestroyCallback(void (*)(unsigned long, void*), void*)",
    "lldb::SBDebugger::InterruptRequested()",
    "lldb::SBProcess::GetCoreFile()",
    "lldb::SBTarget::SetModuleLoadAddress(lldb::SBModule, unsigned long)",
}


def layout(version: str) -> Path:
    """The command of that version; laid out when it is not there yet."""
    done = subprocess.run([str(harness.SOURCE / "scripts" / "lldb-versions"), version],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"LLDB {version} is not there:\n{done.stderr}")
    return Path(done.stdout.strip())


def symbols(path: Path, *options: str) -> set[str]:
    text = subprocess.run(["nm", "--dynamic", "--demangle", "--no-weak", *options, str(path)],
                          check=True, capture_output=True, text=True).stdout
    names = (re.sub(r"@.*$", "", line[19:]) for line in text.splitlines())
    return {name for name in names if name.startswith("lldb::")}


class Versions(harness.DebuggerTest):
    def session(self, version: str, *commands: str) -> tuple[str, int]:
        line = harness.Lldb().batch_command(commands)
        line[0] = str(layout(version))
        folder = harness.fresh_folder()
        return harness.run_to_end(line, harness.session_environment(folder), 180, folder)

    def test_uses_no_function_that_an_older_version_lacks(self) -> None:
        used = symbols(harness.Lldb.plugin, "--undefined-only")
        self.assertGreater(len(used), 50)
        for version in VERSIONS:
            with self.subTest(version):
                library = next((layout(version).parent / "usr").rglob(f"liblldb-{version}.so.1"))
                missing = used - symbols(library, "--defined-only")
                self.assertLessEqual(missing, GUARDED)

    def test_tracks_a_program_and_scans_it(self) -> None:
        for version in VERSIONS:
            with self.subTest(version):
                text, status = self.session(
                    version, f"plugin load {harness.Lldb.plugin}",
                    f"target create {harness.PROGRAMS}/waits",
                    f"breakpoint set --name {harness.STOP}", "run", "leaks top", "leaks",
                    "leaks who-owns kept", "breakpoint list")
                self.assertEqual(len(re.findall(r"^heapledger: tracking: libc\.so\.6: malloc", text,
                                                re.M)), 1, text)
                self.assertRegex(text, r"15000 bytes in 5 allocations from stack\n\s*keep\+")
                self.assertRegex(text, r"still reachable: 15,000 bytes in 5 blocks")
                listing = text.split("(lldb) breakpoint list\n")[1]
                self.assertNotIn("_dl_debug_state", listing)
                self.assertEqual(status, 0, text)

    def test_what_constructors_of_libraries_allocate_is_seen_or_its_loss_is_told(self) -> None:
        """LLDB up to 16 learns of libraries when the program starts."""
        for version in VERSIONS:
            with self.subTest(version):
                text, _ = self.session(
                    version, f"plugin load {harness.Lldb.plugin}",
                    f"target create {harness.PROGRAMS}/waits",
                    f"breakpoint set --name {harness.STOP}", "run")
                self.assertEqual("tells of libraries late" in text, int(version) <= 16, text)

    def test_what_a_loaded_library_allocates_in_its_constructors_is_seen(self) -> None:
        """Where a breakpoint by name in ld.so is not inserted, one by address is."""
        for version in VERSIONS:
            with self.subTest(version):
                text, status = self.session(
                    version, f"plugin load {harness.Lldb.plugin}",
                    f"target create {harness.PROGRAMS}/track_dlopen",
                    "settings append target.env-vars HEAPLEDGER_TRUTH=/dev/null",
                    f"breakpoint set --name {harness.STOP}", "run",
                    "leaks top --addresses --min-size 505 --max-size 505", "breakpoint list",
                    "continue")
                self.assertRegex(text, r"size = 505\n\s*505 bytes in 1 allocations from stack\n"
                                       r"[^\n]*dlopen_module")
                self.assertNotIn("_dl_debug_state", text.split("(lldb) breakpoint list\n")[1])
                self.assertIn("exited with status = 0", text)
                self.assertEqual(status, 0, text)

    def test_a_core_is_read_from_its_file(self) -> None:
        """LLDB before 18 does not tell which one: its mappings do."""
        process = waiting.Waiting("four_answers")
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        core = process.gcore()
        for version in VERSIONS:
            with self.subTest(version):
                text, status = self.session(version, f"plugin load {harness.Lldb.plugin}",
                                            f"target create {process.program} --core {core}", "leaks")
                self.assertIn("definitely lost: 24 bytes in 1 blocks", text)
                self.assertEqual(status, 0, text)

    def test_a_backtrace_through_a_hook(self) -> None:
        for version in VERSIONS:
            with self.subTest(version):
                text, _ = self.session(
                    version, f"plugin load {harness.Lldb.plugin}",
                    f"target create {harness.PROGRAMS}/every_call",
                    f"breakpoint set --name {harness.STOP}", "run",
                    "breakpoint set --name heapledger_trampoline_malloc", "continue",
                    "thread backtrace")
                frames = re.findall(r"^ +\*? *frame #\d+: 0x[0-9a-f]+ \S+`(?:::)?(\w+)",
                                    text.split("(lldb) thread backtrace\n")[1], re.M)
                self.assertEqual(frames[:5], ["heapledger_trampoline_malloc", "hook_malloc",
                                              "calls_malloc", "calls_all", "main"], text[-3000:])

    def test_leaks_at_exit(self) -> None:
        for version in VERSIONS:
            with self.subTest(version):
                text, status = self.session(
                    version, f"plugin load {harness.Lldb.plugin}",
                    f"target create {harness.PROGRAMS}/lone",
                    "settings append target.env-vars HEAPLEDGER_TRUTH=/dev/null",
                    "leaks at-exit --error-exitcode 42", "run")
                self.assertEqual(status, 42, text)
                self.assertIn("definitely lost", text)

    def test_wrong_input_ends_with_an_error(self) -> None:
        for version in VERSIONS:
            with self.subTest(version):
                text, status = self.session(version, f"plugin load {harness.Lldb.plugin}",
                                            "leaks top", "version")
                self.assertEqual(status, 1, text)
                self.assertIn("error: no process", text)


if __name__ == "__main__":
    harness.main()
