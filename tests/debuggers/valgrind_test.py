# SPDX-License-Identifier: Apache-2.0
"""The five numbers of `leaks` are Valgrind's, on the same binary at the same place. What differs is
listed here by labelled block, with the reason; a difference that is not listed fails, and so does a
listed one that is not needed."""

import re
import shutil
import tempfile
from pathlib import Path

import harness
import scan_labels

# Program -> label -> (our class, Valgrind's class). A label that begins with @ is a function of the
# block's stack: a block that the runtime made.
NEWER_ROOTS = "Valgrind does not look into vector registers"
DEAD_THREAD = "Valgrind takes the thread-local storage of an ended thread for live memory"
EMPTY_ARRAY = "new T[0] holds the end of its element count: Valgrind sees no pointer"
EXCEPTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "xmm_only": {"in_xmm": ("still_reachable", "definitely_lost", NEWER_ROOTS)},
    "detached_thread": {"in_detached_tls": ("definitely_lost", "still_reachable", DEAD_THREAD)},
    "unjoined_result": {"in_dead_tls": ("definitely_lost", "still_reachable", DEAD_THREAD)},
    "new_array_empty": {"items": ("still_reachable", "definitely_lost", EMPTY_ARRAY)},
}
DTV = "the loader keeps malloc + 16 of a thread's dtv: Valgrind's best known false alarm"
SEGMENT = "the loader keeps a pointer into the middle of its segment table"
DYNAMIC_TLS = "reached through the thread's dtv alone, which Valgrind calls possibly lost"
_THREADS = ["below_sp", "detached_thread", "dlopen_tls", "joined_thread", "pthread_keys", "red_zone",
            "thread_arena", "thread_register", "unjoined_result", "xmm_only"]
_THREADS += [f"{name}{variant}" for name in ("static_tls", "thread_stack")
             for variant in ("", ".O0", ".O3", ".nopie")]
for _program in _THREADS:
    EXCEPTIONS.setdefault(_program, {})["@allocate_dtv"] = ("still_reachable", "possibly_lost", DTV)
for _program in ("dlclose_data", "dlopen_tls"):
    EXCEPTIONS.setdefault(_program, {})["@_dlfo_mappings_segment_allocate"] = (
        "still_reachable", "possibly_lost", SEGMENT)
EXCEPTIONS["dlopen_tls"]["@worker"] = ("still_reachable", "possibly_lost", DYNAMIC_TLS)

# Listed only where Valgrind's report has a block of that size in that class, which is not in every run.
NUMBER_INSIDE = "some number in Valgrind's memory of the process lies within a block of a megabyte or two"
SOMETIMES: dict[str, dict[str, tuple[str, str, str]]] = {
    "aligned": {"lost_4096_large": ("definitely_lost", "possibly_lost", NUMBER_INSIDE)},
    "thread_arena": {"large": ("definitely_lost", "possibly_lost", NUMBER_INSIDE)},
}

NUMBER = re.compile(r"==\d+==\s+(definitely lost|indirectly lost|possibly lost|still reachable|"
                    r"suppressed): ([\d,]+) bytes in ([\d,]+) blocks")


RECORD = re.compile(r"==\d+== [^\n]*?bytes in ([\d,]+) blocks are (possibly lost|definitely lost|"
                    r"indirectly lost|still reachable) in loss record[^\n]*\n((?:==\d+==  +(?:at|by)[^\n]*\n)+)")


def valgrind(program: str) -> tuple[dict[str, tuple[int, int]], str]:
    """The summary at heapledger_stop_here(), which asks for it, and the report it ends."""
    folder = Path(tempfile.mkdtemp(dir=harness.BUILD))
    text, _ = harness.run_to_end(
        ["valgrind", "--leak-check=full", "--show-leak-kinds=all", str(harness.PROGRAMS / program)],
        {**harness.session_environment(folder), "HEAPLEDGER_TRUTH": str(folder / "truth")}, 120,
        folder)
    shutil.rmtree(folder)
    found: dict[str, tuple[int, int]] = {}
    for kind, size, blocks in NUMBER.findall(text.partition("LEAK SUMMARY")[2]):
        found.setdefault(kind.replace(" ", "_"),
                         (int(size.replace(",", "")), int(blocks.replace(",", ""))))
    if set(found) != set(scan_labels.SUMMARY):
        raise AssertionError(f"no summary of {program}:\n{text[-3000:]}")
    return found, text.partition("LEAK SUMMARY")[0]


def called(text: str, function: str, kind: str) -> int:
    """How many blocks with `function` in their stack Valgrind calls `kind`."""
    return sum(int(count.replace(",", "")) for count, what, frames in RECORD.findall(text)
               if what.replace(" ", "_") == kind and re.search(rf": {function} \(", frames))


class AgainstValgrind(harness.DebuggerTest):
    def play(self, program: str) -> None:
        session = scan_labels.at_the_stop(program)
        answer = session.leaks_json(f"{scan_labels.LEAKS_ALL} --leader valgrind")
        outcome = session.execute()
        theirs, text = valgrind(program)
        listed = dict(EXCEPTIONS.get(program, {}))
        for name, exception in SOMETIMES.get(program, {}).items():
            size = self.blocks_of(name, answer.value, outcome.truth)[0]
            if f"{size:,} bytes in 1 blocks are {exception[1].replace('_', ' ')}" in text:
                listed[name] = exception
        blocks = {name: self.blocks_of(name, answer.value, outcome.truth) for name in listed}
        for name in listed:
            if name == "@_dlfo_mappings_segment_allocate":  # a stale word may hold one of them
                blocks[name] = blocks[name][:called(text, name[1:], listed[name][1])]
        for name, found in blocks.items():
            self.assertNotEqual(found, [], f"the exception {name} names no block")
        self.assertEqual(self.as_valgrind(answer.value, listed, blocks), theirs,
                         f"{program}\nours {scan_labels.numbers(answer.value)}")
        for name in listed:
            fewer = {other: listed[other] for other in listed if other != name}
            self.assertNotEqual(self.as_valgrind(answer.value, fewer, blocks), theirs,
                                f"the exception {name} is not needed")

    def blocks_of(self, name: str, report, truth: list[harness.Label]) -> list[int]:
        """Sizes of the blocks an exception names."""
        if not name.startswith("@"):
            return [label.size for label in truth if label.name == name]
        return [block["size"] for record in report["records"]
                if any(frame["function"] == name[1:] for frame in record["stack"])
                for block in record["addresses"]]

    def as_valgrind(self, report, listed, blocks) -> dict[str, tuple[int, int]]:
        result = dict(scan_labels.numbers(report))
        for name, (ours, theirs, _) in listed.items():
            for size in blocks[name]:
                result[ours] = (result[ours][0] - size, result[ours][1] - 1)
                result[theirs] = (result[theirs][0] + size, result[theirs][1] + 1)
        return result


def _case(program: str):
    def test(self: AgainstValgrind) -> None:
        self.play(program)
    return test


for _program in scan_labels.PROGRAMS + scan_labels.VARIANTS:
    if _program.endswith(".static") or _program.endswith(".static-pie"):
        continue  # Valgrind replaces malloc through the dynamic loader
    setattr(AgainstValgrind, f"test_{_program.replace('.', '_').replace('-', '_')}", _case(_program))

if __name__ == "__main__":
    harness.main()
