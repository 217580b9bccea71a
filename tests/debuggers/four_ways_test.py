# SPDX-License-Identifier: Apache-2.0
"""The labelled programs judged in the ways that need no tracking from the start: attached to untracked,
attached to halfway and tracked from there, and as core files. (Launched and tracked: scan_labels_test.)
Every block has the class its program wrote down, nothing else is lost, and a core says what the live
process said."""

import shutil

import harness
import scan_labels
import waiting


# Each place a pointer can be at, and each way a block can be lost; the rest is judged live only.
CORES = {"alternate_stack", "containers", "cycle", "dlopen_tls", "four_answers", "freed",
         "interior_only", "joined_thread", "large_leak", "mmap_holder", "pthread_keys", "red_zone",
         "split_heap", "stale_link", "static_tls", "thread_arena", "thread_register", "thread_stack", "xmm_only",
         "four_answers.musl", "thread_stack.musl", "freed.musl-static"}


def fits(requested: int, found: int) -> bool:
    """A tracked block has its size; an untracked one its usable bytes: rounded to chunks, or where it is
    mapped to pages, with what memalign leaves behind it."""
    return requested <= found < max(requested, 24) + (32 if found < 1 << 17 else 1 << 17)


class FourWays(harness.DebuggerTest):
    def wait(self, program: str, line: int = 0) -> waiting.Waiting:
        process = waiting.Waiting(program, line=line)
        self.addCleanup(shutil.rmtree, process.folder)
        self.addCleanup(process.end)
        return process

    def judge(self, report, labels, text: str) -> dict[int, tuple[str, int]]:
        found = scan_labels.kinds_by_address(report)
        wrong = []
        self.assertGreater(len(labels), 0, text[-2000:])
        for label in labels.values():
            kind, size = found.get(label.address, ("no block", label.size))
            expected = scan_labels.KINDS.get(label.what, "no block")
            if kind != expected or not fits(label.size, size):
                wrong.append(f"{label.name} {label.address:#x}: {kind} {size}, "
                             f"not {expected} {label.size}")
        for address, (kind, size) in found.items():
            if address not in labels and kind not in ("still reachable", "suppressed"):
                wrong.append(f"unlabelled {address:#x} {size}: {kind}")
        self.assertEqual(wrong, [], text[-3000:])
        return found

    def scan_of_core(self, process: waiting.Waiting, core) -> tuple[dict, str]:
        session = harness.Session(process.program)
        session.open_core(core)
        answer = session.leaks_json(scan_labels.LEAKS_ALL)
        outcome = session.execute()
        return answer.value, outcome.text

    def untracked(self, program: str) -> None:
        """Live, then gcore's and the kernel's core of the same moment (CORES)."""
        process = self.wait(program)
        labels = harness.current(process.truth())
        session = harness.Session(process.program)
        session.attach(process.pid)
        answer = session.leaks_json(scan_labels.LEAKS_ALL)
        session.detach()
        outcome = session.execute()
        live = self.judge(answer.value, labels, outcome.text)
        self.assertFalse(answer.value["coverage"]["recorded"])
        self.assertEqual(answer.value["coverage"]["heap_damage"], [])
        for core in (process.gcore(), process.kernel_core()) if program in CORES else ():
            report, text = self.scan_of_core(process, core)
            self.assertEqual(self.judge(report, labels, text), live, core.name)

    def tracked_halfway(self, program: str) -> None:
        lines = len(harness.run_plain(program).truth)
        process = self.wait(program, (lines + 1) // 2)
        session = harness.Session(process.program)
        session.pass_signal("SIGUSR1")
        session.attach(process.pid)
        session.leaks("start")
        session.stop_at()
        process.let_go(session)
        session.resume()
        answer = session.leaks_json(scan_labels.LEAKS_ALL)
        session.kill()
        outcome = session.execute()
        self.judge(answer.value, harness.current(process.truth()), outcome.text)
        self.assertTrue(answer.value["coverage"]["recorded"])
        self.assertGreater(answer.value["coverage"]["untracked"], 0)


def _case(method: str, program: str):
    def test(self: FourWays) -> None:
        getattr(self, method)(program)
    return test


for _program in scan_labels.PROGRAMS + scan_labels.MUSL:
    _title = _program.replace(".", "_").replace("-", "_")
    for _method in ("untracked", "tracked_halfway"):
        setattr(FourWays, f"test_{_method}_{_title}", _case(_method, _program))

if __name__ == "__main__":
    harness.main()
