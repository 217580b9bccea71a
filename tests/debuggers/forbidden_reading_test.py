# SPDX-License-Identifier: Apache-2.0
"""A debugger that may not read memory the fast way: no process_vm_readv (a kernel without it, a hardened
machine), and no /proc/PID/mem either. It reads by another way and answers the same."""

from __future__ import annotations

import re
import shutil
from typing import Any

import harness
import waiting

LIMITED = str(harness.PROGRAMS / "limited")


class ForbiddenReading(harness.DebuggerTest):
    def answers(self, *under: str) -> list[Any]:
        """What is said of one program, launched and attached to."""
        said = []
        for attached in (False, True):
            session = harness.Session("four_answers", under=under)
            if attached:
                process = waiting.Waiting("four_answers")
                self.addCleanup(shutil.rmtree, process.folder)
                self.addCleanup(process.end)
                session.attach(process.pid)
                start = session.leaks("start")
            else:
                session.stop_at()
                start = session.run()
            asked = [session.leaks_json(words) for words in ("--show-kinds all", "top", "status")]
            if attached:
                session.detach()
            else:
                session.resume()
            text = session.execute().text
            self.assertRegex(start.value, "heapledger: tracking: libc.so.6: malloc, ", text[-3000:])
            if attached:
                self.assertEqual(process.run_to_end(), 0)
            else:
                self.assertRegex(text, session.debugger.ended(0))
            said += [self.without_places(answer.value) for answer in asked]
        return said

    def without_places(self, answer: Any) -> Any:
        """Without what differs between two runs: addresses, times, process ids, the length of a stack."""
        if isinstance(answer, dict):
            return {key: self.without_places(value) for key, value in answer.items()
                    if not key.endswith("_ms") and key not in ("address", "addresses", "pid", "thread",
                                                               "root_bytes")}
        if isinstance(answer, list):
            return [self.without_places(one) for one in answer]
        return re.sub(r"0x[0-9a-f]+", "0x", answer) if isinstance(answer, str) else answer

    def test_answers_are_the_same(self) -> None:
        plain = self.answers()
        self.assertEqual(plain[0]["summary"]["definitely_lost"]["blocks"], 1, plain[0])
        self.assertEqual(self.answers(LIMITED, "refuse=reading", "run"), plain)
        if harness.DEBUGGER == "lldb":  # gdb has no other way itself: nothing works in it then
            self.assertEqual(self.answers(LIMITED, "refuse=proc-reading", "run"), plain)


if __name__ == "__main__":
    harness.main()
