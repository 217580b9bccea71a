# SPDX-License-Identifier: Apache-2.0
"""The labelled programs of the scan, and how an answer of `leaks` is read."""

from __future__ import annotations

from typing import Any

import harness

PROGRAMS = [
    "aligned", "alternate_stack", "below_sp", "chain", "containers", "cycle", "detached_thread",
    "dlclose_data", "dlopen_tls", "four_answers", "freed", "global", "interior_only",
    "joined_thread", "large_leak", "length64", "lone", "malloc_zero", "mmap_holder",
    "multiple_inheritance", "neighbour_of_free", "new_array_cookie", "new_array_empty", "own_stack",
    "popped_frame", "pthread_keys", "red_zone", "self_pointer", "shared_child", "shared_ptr_cycle",
    "split_heap", "stale_link", "static_tls", "std_string", "std_string.cow", "thread_arena",
    "thread_register", "thread_stack", "tree", "unaligned_pointer", "unjoined_result", "xmm_only",
]
VARIANTS = [f"{name}.{variant}" for name in ("four_answers", "containers", "cycle", "thread_stack",
                                             "static_tls") for variant in ("O0", "O3", "nopie")]
VARIANTS += ["four_answers.clang", "containers.clang", "four_answers.static",
             "four_answers.static-pie"]

MUSL = [f"{name}.musl" for name in (
    "aligned", "alternate_stack", "chain", "cycle", "detached_thread", "four_answers", "freed",
    "interior_only", "joined_thread", "large_leak", "malloc_zero", "mmap_holder", "popped_frame",
    "pthread_keys", "red_zone", "static_tls", "thread_register", "thread_stack", "tree", "xmm_only")]
# In a static program that never frees musl's malloc has no structures at all.
MUSL += ["freed.musl-static"]

KINDS = {"definitely": "definitely lost", "indirectly": "indirectly lost",
         "possibly": "possibly lost", "reachable": "still reachable"}
SUMMARY = ["definitely_lost", "indirectly_lost", "possibly_lost", "still_reachable", "suppressed"]

LEAKS_ALL = "--show-kinds all --addresses"


def at_the_stop(program: str, stop: str = harness.STOP, **options) -> harness.Session:
    session = harness.Session(program, **options)
    session.pass_signal("SIGUSR1")
    session.stop_at(stop)
    session.run()
    return session


def kinds_by_address(report: dict[str, Any]) -> dict[int, tuple[str, int]]:
    """Kind and size of every block of every loss record."""
    found: dict[int, tuple[str, int]] = {}
    for record in report["records"]:
        for block in record["addresses"]:
            if block["address"] in found:
                raise AssertionError(f"{block['address']:#x} stands in two records")
            found[block["address"]] = (record["kind"], block["size"])
    return found


def wrong_verdicts(report: dict[str, Any], truth: list[harness.Label]) -> list[str]:
    """Every labelled block has the class its program wrote down, and nothing else is lost."""
    found = kinds_by_address(report)
    labels = harness.current(truth)
    wrong = []
    for label in labels.values():
        kind, size = found.get(label.address, ("no block", label.size))
        expected = KINDS.get(label.what, "no block")
        if (kind, size) != (expected, label.size):
            wrong.append(f"{label.name} {label.address:#x}: {kind} {size}, "
                         f"not {expected} {label.size}")
    for address, (kind, size) in found.items():
        if address not in labels and kind not in ("still reachable", "suppressed"):
            wrong.append(f"unlabelled {address:#x} {size}: {kind}")
    return wrong


def numbers(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The five summary lines: bytes and blocks."""
    return {key: (report["summary"][key]["bytes"], report["summary"][key]["blocks"])
            for key in SUMMARY}
