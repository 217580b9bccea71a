# SPDX-License-Identifier: Apache-2.0
"""Cores that lack something: it is said before anything else, the classes are marked unreliable, and a
block whose holder may be in what is missing is not called lost without that mark."""

import shutil
from pathlib import Path

import harness
import waiting


class CoreEvidence(harness.DebuggerTest):
    def wait(self, program: str, **more: dict[str, str]) -> waiting.Waiting:
        process = waiting.Waiting(program, **more)
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        return process

    def leaks(self, process: waiting.Waiting, core: Path) -> str:
        session = harness.Session(process.program)
        session.open_core(core)
        text = session.leaks("--show-kinds all")
        session.execute()
        # gdb's own words about registers of newer kernels' cores.
        lines = [line for line in text.value.splitlines(True) if ".reg-xstate" not in line]
        return "".join(lines)

    def test_a_whole_core_is_reliable(self) -> None:
        process = self.wait("four_answers")
        text = self.leaks(process, process.kernel_core())
        self.assertNotIn("unreliable", text)
        self.assertTrue(text.startswith("HEAP SUMMARY:"), text)

    def assert_unreliable(self, text: str) -> None:
        """Nothing, with the reason; or an answer that begins with what is missing."""
        if "this core has no ledger" in text:
            self.assertRegex(text, r"cut off|no private memory")
            return
        self.assertRegex(text, r"\Awarning: [^\n]*unreliable")
        self.assertIn("LEAK SUMMARY (unreliable):", text)

    def test_cut_off_anywhere(self) -> None:
        process = self.wait("thread_stack")
        core = process.kernel_core()
        whole = core.read_bytes()
        for tenth in (9, 7, 5, 3):
            core.write_bytes(whole[:len(whole) * tenth // 10])
            self.assert_unreliable(self.leaks(process, core))

    def test_filtered(self) -> None:
        """core(5) coredump_filter: without private anonymous memory there is no heap, no stack."""
        process = self.wait("four_answers")
        Path(f"/proc/{process.pid}/coredump_filter").write_text("0x30")
        self.assert_unreliable(self.leaks(process, process.kernel_core()))

    def test_libc_missing_or_another(self) -> None:
        """Its file tells where the heap is and how it is laid out: no guess without it."""
        folder = harness.fresh_folder()
        self.addCleanup(shutil.rmtree, folder)
        libc = folder / "libc.so.6"
        shutil.copy("/lib/x86_64-linux-gnu/libc.so.6", libc)
        process = self.wait("four_answers", variables={"LD_LIBRARY_PATH": str(folder)})
        core = process.kernel_core()
        self.assertIn("definitely lost: 24 bytes in 1 blocks", self.leaks(process, core))
        libc.unlink()
        refused = f"this core has no ledger: its process was not tracked \\([^\n]*{libc} is not there, or not"
        self.assertRegex(self.leaks(process, core), refused)
        shutil.copy("/lib/x86_64-linux-gnu/libm.so.6", libc)
        self.assertRegex(self.leaks(process, core), refused)


if __name__ == "__main__":
    harness.main()
