# SPDX-License-Identifier: Apache-2.0
"""One transcript per command, the same in both debuggers but for what is listed here; and the same
classes, sizes and stacks for every labelled program."""

import json
import re

import harness
import scan_labels

# What is another number in every run or in every debugger.
NORMAL = [
    (re.compile(r"0x[0-9a-fA-F]+"), "ADDRESS"),
    (re.compile(r"addr = [0-9a-f]+"), "addr = ADDRESS"),
    (re.compile(r"^\[\d\d:\d\d:\d\d\]", re.M), "[TIME]"),
    (re.compile(r"process(:? +)\d+"), "process PID"),
    (re.compile(r"thread \d+"), "thread TID"),
    (re.compile(r"\d+(\.\d+)? (ms|s|minutes|hours)\b"), "AGE"),
    # Two demanglers.
    (re.compile(r"> >"), ">>"), (re.compile(r"> >"), ">>"),
    (re.compile(r"\{lambda\(([^)]*)\)#1\}"), r"'lambda'(\1)"),
    (re.compile(r"^error: ", re.M), ""),
    # LLDB, on whatever it does just then.
    (re.compile(r"^1 location added to breakpoint \d+$", re.M), ""),
    (re.compile(r"^.* refers to type .* which extends beyond the bounds of .*$", re.M), ""),
]
# What the debugger itself says inside our answer.
WORDS_OF_THE_DEBUGGER = [
    (re.compile(r"cannot evaluate '(\w+)': .*"), r"cannot evaluate '\1': REASON"),
]
COMMANDS = [
    "", "--show-kinds all --addresses", "--limit 1", "top", "top 3 --addresses", "top --sort count",
    "top --min-size 1k", "who-owns head", "who-owns head --all", "who-owns $rsp", "who-owns main",
    "who-owns 0x10", "block 0x10", "status", "help", "help top", "help who-owns", "at-exit", "auto",
    "stop", "status", "start", "verdict",
]
WRONG = ["tpo", "top --bogus", "top ten", "top --sort weight", "who-owns", "who-owns nosuchvariable",
         "block", "--show-kinds some", "top --output /nonexistent/folder/file"]


def normal(text: str) -> str:
    for pattern, replacement in NORMAL + WORDS_OF_THE_DEBUGGER:
        text = pattern.sub(replacement, text)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def answers(debugger: str, program: str, commands: list[str]) -> list[str]:
    session = harness.Session(program, debugger=debugger)
    session.stop_at()
    session.run()
    handles = [session.leaks(words) for words in commands]
    session.execute()
    return [normal(handle.value) for handle in handles]


class BothDebuggers(harness.DebuggerTest):
    def assert_same(self, program: str, commands: list[str]) -> None:
        ours = {name: answers(name, program, commands) for name in harness.DEBUGGERS}
        for words, in_lldb, in_gdb in zip(commands, ours["lldb"], ours["gdb"]):
            with self.subTest(f"{program}: leaks {words}"):
                self.assertNotEqual(in_lldb, "")
                self.assertEqual(in_gdb, in_lldb)

    def test_every_command_says_the_same(self) -> None:
        self.assert_same("transcript", COMMANDS)

    def test_wrong_input_is_told_in_the_same_words(self) -> None:
        # In LLDB a wrong command ends a batch: one session each.
        in_gdb = answers("gdb", "transcript", WRONG)
        for words, theirs in zip(WRONG, in_gdb):
            with self.subTest(words):
                [in_lldb] = answers("lldb", "transcript", [words])
                self.assertEqual(theirs, in_lldb)
                self.assertEqual(theirs.count("\n"), 0, theirs)

    def test_json_has_the_same_keys_and_values(self) -> None:
        def shape(value):
            if isinstance(value, dict):
                return {key: shape(one) for key, one in value.items()}
            if isinstance(value, list):
                return [shape(one) for one in value]
            return type(value).__name__
        found = {}
        for name in harness.DEBUGGERS:
            session = harness.Session("transcript", debugger=name)
            session.stop_at()
            session.run()
            reports = [session.leaks_json(words) for words in
                       ("--show-kinds all --addresses", "top 100 --addresses", "status",
                        "who-owns head", "block 0x10", "roots")]
            session.execute()
            found[name] = [report.value for report in reports]
        for in_lldb, in_gdb in zip(found["lldb"][:5], found["gdb"][:5]):
            self.assertEqual(json.dumps(shape(in_gdb)), json.dumps(shape(in_lldb)))
        self.assertEqual(set(found["gdb"][5]), set(found["lldb"][5]))

    def test_labelled_programs_have_the_same_classes_sizes_and_stacks(self) -> None:
        for program in scan_labels.PROGRAMS:
            with self.subTest(program):
                reports = {}
                for name in harness.DEBUGGERS:
                    session = scan_labels.at_the_stop(program, debugger=name)
                    answer = session.leaks_json(scan_labels.LEAKS_ALL)
                    outcome = session.execute()
                    labels = harness.current(outcome.truth)
                    reports[name] = sorted(
                        (record["kind"], labels[block["address"]].name, block["size"],
                         tuple(normal(frame["function"]) for frame in record["stack"]))
                        for record in answer.value["records"] for block in record["addresses"]
                        if block["address"] in labels)
                self.assertGreater(len(reports["lldb"]), 0)
                self.assertEqual(reports["gdb"], reports["lldb"])


class Scripts(harness.DebuggerTest):
    EXAMPLES = harness.SOURCE / "python" / "examples"

    def test_examples_judge_by_themselves(self) -> None:
        for name in harness.DEBUGGERS:
            for arguments, expected in (((), 3), (("free",), 0)):
                with self.subTest(name, arguments=arguments):
                    session = harness.Session(harness.DEMO / "fibonacci", *arguments, debugger=name)
                    if name == "lldb":
                        session.raw(f"command script import {harness.BUILD}/heapledger")
                    session.stop_at("checkpoint")
                    session.run()
                    example = self.EXAMPLES / f"judge_in_{name}.py"
                    session.raw(f"{'source' if name == 'gdb' else 'command script import'} {example}")
                    outcome = session.execute()
                    self.assertEqual(outcome.status, expected, outcome.text)
                    told = "too much: 40960 bytes in 5 blocks from fibonacci, child"
                    self.assertEqual(told in outcome.text, expected == 3, outcome.text)
                    lost = re.search(r"the first one, 0x[0-9a-f]+, is \w+", outcome.text)
                    self.assertEqual(lost is not None, expected == 3, outcome.text)

    def test_package_says_what_is_missing(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "heapledger is not loaded here"):
            import sys
            sys.path.insert(0, str(harness.BUILD))
            import heapledger
            heapledger.leaks()

    def test_stub_file_names_what_the_package_has(self) -> None:
        import ast
        import sys
        sys.path.insert(0, str(harness.BUILD))
        import heapledger
        tree = ast.parse((harness.SOURCE / "python/heapledger/__init__.pyi").read_text())
        described = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
        self.assertEqual({node.name for node in described}, set(heapledger.__all__))
        for node in described:
            if not isinstance(node, ast.ClassDef):
                self.assertTrue(getattr(heapledger, node.name).__doc__, node.name)
                continue
            members = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
            real = getattr(heapledger, node.name)
            self.assertEqual(members, {name for name in vars(real) if not name.startswith("_")})
            for member in members:
                self.assertTrue(getattr(real, member).__doc__, f"{node.name}.{member}")


if __name__ == "__main__":
    harness.main()
