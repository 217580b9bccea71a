# SPDX-License-Identifier: Apache-2.0
"""The folders' law and the tests': what is missing fails.

The folders' law: a folder includes only itself and what stands below it (ARCHITECTURE.md), only the
front ends know a debugger or Python, includes are written from the repository's root, and every source
says its licence in its first lines."""

import os
import re
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(os.environ["HEAPLEDGER_SOURCE"])

# What stands below each folder. agent/ itself is only seen through its protocol.
BELOW = {
    "agent": set(),
    "inferior": set(),
    "tracking": {"inferior"},
    "heap": {"inferior"},
    "types": {"inferior"},
    "analysis": {"inferior", "tracking", "heap", "types"},
    "report": {"inferior", "tracking", "heap", "types", "analysis"},
    "commands": {"inferior", "tracking", "heap", "types", "analysis", "report"},
    "plugin": {"inferior", "tracking", "heap", "types", "analysis", "report", "commands"},
    "python": {"inferior", "tracking", "heap", "types", "analysis", "report", "commands"},
}
OURS = set(BELOW) | {"tests", "bench", "demo"}
FRONT_END_HEADERS = {"lldb": {"plugin"}, "Python.h": {"python"}, "pybind11": {"python"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
SOURCES = {".cc", ".h", ".c", ".S", ".s", ".py", ".ld", ".sh"}


def violations(folder: str, name: str, text: str) -> list[str]:
    """What is wrong with the includes of one file of a layer."""
    found = []
    for quote, header in INCLUDE.findall(text):
        top = header.split("/")[0]
        if quote == "<":
            if top in FRONT_END_HEADERS and folder not in FRONT_END_HEADERS[top]:
                found.append(f"{name} includes <{header}>")
        elif top not in OURS or "/" not in header or ".." in header:
            found.append(f'{name} includes "{header}", not written from the root')
        elif top == folder or top in BELOW[folder] or header == "agent/protocol.h":
            continue
        else:
            found.append(f'{name} includes "{header}", which does not stand below {folder}/')
    return found


# A test that says it was skipped, or is left out of the build, because something is not installed: its
# run would be green. None may be; one that has to goes here, with its file and line, and is printed.
SKIPPED: list[str] = []
SKIP = re.compile(r"GTEST_SKIP|\bskipTest\b|\bSkipTest\b|unittest\.skip|SKIP_RETURN_CODE|"
                  r"SKIP_REGULAR_EXPRESSION|\bDISABLED_|^\s*#\s*if(def|\s+defined).*HAVE_")
FIND = re.compile(r"^[^#\n]*\b(find_(?:package|program|library|path|file)\([^)]*\))", re.M)


def skips(text: str, name: str) -> list[str]:
    """Lines that may leave a test out, and what a CMakeLists.txt looks for without requiring it."""
    found = [line.strip() for line in text.splitlines() if SKIP.search(line)]
    if name == "CMakeLists.txt":
        found += [call for call in FIND.findall(text) if "REQUIRED" not in call]
    return found


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "-c", f"safe.directory={SOURCE}", "-C", str(SOURCE), "ls-files"],
                            capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in listed.splitlines() if (SOURCE / line).exists()]


class Layout(unittest.TestCase):
    def test_includes_obey_the_table(self) -> None:
        wrong, looked_at = [], 0
        for path in tracked_files():
            if path.parts[0] in BELOW and path.suffix in (".cc", ".h"):
                looked_at += 1
                wrong += violations(path.parts[0], str(path), (SOURCE / path).read_text())
        self.assertGreater(looked_at, 20)
        self.assertEqual(wrong, [])

    def test_the_table_can_refuse(self) -> None:
        self.assertEqual(violations("heap", "f", '#include "tracking/ledger.h"\n')[0],
                         'f includes "tracking/ledger.h", which does not stand below heap/')
        self.assertEqual(len(violations("report", "f", '#include <lldb/API/LLDB.h>\n')), 1)
        self.assertEqual(len(violations("plugin", "f", '#include <Python.h>\n')), 1)
        self.assertEqual(len(violations("analysis", "f", '#include "ledger.h"\n')), 1)
        self.assertEqual(len(violations("tracking", "f", '#include "agent/arena.h"\n')), 1)
        self.assertEqual(violations("plugin", "f", '#include <lldb/API/LLDB.h>\n'), [])
        self.assertEqual(violations("tracking", "f", '#include "agent/protocol.h"\n'), [])

    def test_every_source_names_its_licence(self) -> None:
        missing, looked_at = [], 0
        for path in tracked_files():
            script = path.suffix == "" and (SOURCE / path).read_bytes()[:2] == b"#!"
            if path.suffix in SOURCES or path.name == "CMakeLists.txt" or script:
                looked_at += 1
                head = (SOURCE / path).read_text().splitlines()[:2]
                if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
                    missing.append(str(path))
        self.assertGreater(looked_at, 30)
        self.assertEqual(missing, [])

    def test_nothing_is_skipped_for_what_is_missing(self) -> None:
        found, looked_at = [], 0
        for path in tracked_files():
            if path.name == "layout_test.py" or path.suffix not in (".cc", ".h", ".py", ".txt", ".sh", ".json"):
                continue
            looked_at += 1
            found += [f"{path}: {line}" for line in skips((SOURCE / path).read_text(), path.name)]
        self.assertGreater(looked_at, 300)
        print("skipped, with a reason:", *SKIPPED, sep="\n    ")
        self.assertEqual(sorted(found), sorted(SKIPPED))

    def test_skips_are_seen(self) -> None:
        for text in ("  GTEST_SKIP() << why;", "@unittest.skipUnless(x, y)", "self.skipTest('x')",
                     "set_tests_properties(a PROPERTIES SKIP_RETURN_CODE 77)", "TEST(A, DISABLED_B) {",
                     "#ifdef HAVE_MUSL"):
            self.assertEqual(skips(text, "a_test.cc"), [text.strip()])
        for text in ("find_program(MUSL_GCC musl-gcc)", "find_package(GTest)", "find_library(A\n  a)"):
            self.assertEqual(len(skips(text, "CMakeLists.txt")), 1, text)
        self.assertEqual(skips("find_library(A liba.so\n  REQUIRED)", "CMakeLists.txt"), [])
        self.assertEqual(skips("# find_package(A)\n", "CMakeLists.txt"), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
