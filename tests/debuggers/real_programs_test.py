# SPDX-License-Identifier: Apache-2.0
"""Programs from Debian's packages, tracked from their first instruction to _exit: the ledger is what
the allocator's structures say, and the program's output and status are those of a run alone."""

import shutil
import tempfile
from pathlib import Path

import harness
import real_programs


class RealPrograms(harness.DebuggerTest):
    def play(self, name: str) -> None:
        """Looked at twice: when the first output is made, and when nothing but _exit is left."""
        folder = Path(tempfile.mkdtemp(dir=harness.BUILD))
        self.addCleanup(shutil.rmtree, folder)
        program = real_programs.prepare(name, folder)
        alone = harness.run_plain(*program.command, environment=program.environment)
        self.assertGreaterEqual(len(alone.output), program.least_output, alone.errors)
        session = harness.Session(*program.command, environment=program.environment)
        session.stop_at(program.output_function, once=True)
        session.stop_at("_exit")
        session.run()
        at_work = session.ledger(), session.heap_walk()
        session.resume()
        at_end = session.ledger(), session.heap_walk()
        session.resume()
        outcome = session.execute(timeout=300)
        self.assertEqual(outcome.output, alone.output)
        self.assertEqual(outcome.errors, alone.errors)
        self.assertRegex(outcome.text, session.debugger.ended(alone.status))
        for where, (report, walk), least in (("at work", at_work, 100), ("at its end", at_end, 0)):
            self.assertEqual(report.value["coverage"]["dropped"], 0)
            self.assert_ledger_equals_walk(report.value, walk.value, f"{name} {where}", least)


def _case(name: str):
    def test(self: RealPrograms) -> None:
        self.play(name)
    return test


for _name in real_programs.NAMES:
    setattr(RealPrograms, f"test_{_name.replace('.', '_')}", _case(_name))

if __name__ == "__main__":
    harness.main()
