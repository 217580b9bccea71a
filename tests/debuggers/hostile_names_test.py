# SPDX-License-Identifier: Apache-2.0
"""Names are the program's own: one that would begin a line of the report, take a terminal over or is no UTF-8
does none of that, and takes nothing from the answer."""

import shutil
import unicodedata
from pathlib import Path

import harness

FUNCTION = b"forged_function_name_of_some_length"
VARIABLE = b"forged_variable_name_of_some_length"
LINE = b"f\nLEAK SUMMARY:\n  definitely lost: 0"
SIGNS = "v\x1b[2J\x7f\u009b31m".encode() + b"\xff"


class HostileNames(harness.DebuggerTest):
    def program(self, function: bytes, variable: bytes) -> Path:
        """Names as long as those that stand there, in every table of the file."""
        folder = harness.fresh_folder()
        self.addCleanup(shutil.rmtree, folder)
        bytes_ = (harness.PROGRAMS / "names_to_forge").read_bytes()
        for there, forged in ((FUNCTION, function), (VARIABLE, variable)):
            self.assertIn(there, bytes_)
            bytes_ = bytes_.replace(there, forged[:len(there)].ljust(len(there), b"_"))
        program = folder / "program"
        program.write_bytes(bytes_)
        program.chmod(0o755)
        return program

    def answers(self, function: bytes, variable: bytes) -> tuple[list[str], dict, dict]:
        session = harness.Session(self.program(function, variable))
        session.stop_at()
        session.run()
        top, leaks = session.leaks("top"), session.leaks("--show-kinds all --addresses")
        report = session.leaks_json("--show-kinds all --addresses")
        first = session.leaks_json("top --addresses")
        session.execute()
        block = harness.allocations(first.value).popitem()[1].address
        again = harness.Session(self.program(function, variable))
        again.stop_at()
        again.run()
        owners, roots = again.leaks(f"who-owns {block:#x}"), again.leaks("roots")
        chain = again.leaks_json(f"who-owns {block:#x}")
        again.execute()
        return [top.value, leaks.value, owners.value, roots.value], report.value, chain.value

    def assert_lines_are_ours(self, texts: list[str]) -> None:
        for text in texts:
            self.assertLessEqual(sum(line.startswith("LEAK SUMMARY:") for line in text.splitlines()), 1, text)
            signs = [c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t\r"]
            self.assertEqual(signs, [], text)

    def test_as_they_are(self) -> None:
        texts, report, chain = self.answers(FUNCTION, VARIABLE)
        self.assertIn(FUNCTION.decode(), texts[0])
        self.assertIn(VARIABLE.decode(), texts[2])
        self.assert_whole(report)
        self.assertEqual(chain["chain"][0]["root"]["symbol"], VARIABLE.decode())

    def test_names_of_several_lines(self) -> None:
        texts, report, chain = self.answers(LINE, LINE.replace(b"f", b"v", 1))
        self.assert_lines_are_ours(texts)
        self.assertIn("f\\x0aLEAK SUMMARY:\\x0a", texts[0])
        self.assertIn("v\\x0aLEAK SUMMARY:\\x0a", texts[2])
        self.assert_whole(report)
        self.assertEqual(chain["class"], "still reachable")

    def test_names_a_terminal_obeys(self) -> None:
        texts, report, chain = self.answers(SIGNS, SIGNS.replace(b"v", b"w"))
        self.assert_lines_are_ours(texts)
        self.assertIn("v\\x1b[2J\\x7f\\xc2\\x9b31m", texts[0])
        self.assert_whole(report)
        self.assertEqual(chain["class"], "still reachable")

    def assert_whole(self, report: dict) -> None:
        """The thread was seen, whatever its name."""
        self.assertEqual(report["coverage"]["threads"], 1)
        self.assertEqual(report["coverage"]["threads_without_registers"], 0)
        self.assertEqual(report["summary"]["still_reachable"], {"bytes": 100, "blocks": 1})
        self.assertEqual(report["summary"]["definitely_lost"]["blocks"], 0)


if __name__ == "__main__":
    harness.main()
