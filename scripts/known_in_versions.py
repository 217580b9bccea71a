# SPDX-License-Identifier: Apache-2.0
"""Tests of tests/debuggers that do not pass in a version of LLDB, and why: what scripts/debugger-versions knows.
Nothing else may fail there, and what is listed here must."""

from __future__ import annotations

from typing import NamedTuple


class Unmet(NamedTuple):
    versions: str
    reason: str
    tests: dict[str, str]  # by file: names, separated by blanks


UNMET = (
    Unmet("14 16", "LLDB 14, 16: ld.so and libraries are found when the program starts; what their constructors "
          "allocate is not seen (of libstdc++'s reserve the usable bytes are known), and malloc is not hooked before",
          {"breakpoint_engine": "test_track_constructors",
           "hooked_entries": "test_breakpoint_from_before_the_hooks_is_hit_once_a_call",
           "tracked_programs": "test_track_constructors_stop1 test_track_constructors_stop1_without_debug_symbols",
           "tracking_stopped": "test_the_process_goes_on",
           "valgrind": "test_containers test_containers_O0 test_containers_O3 test_containers_clang "
                       "test_containers_nopie test_multiple_inheritance test_new_array_cookie test_new_array_empty "
                       "test_shared_ptr_cycle test_std_string test_std_string_cow"}),
    Unmet("14 16", "LLDB 14, 16: musl's libc.so is not found before the first stop; nothing is tracked until then",
          {"breakpoint_engine": "test_track_kinds_musl",
           "libc_callbacks": "test_musl",
           "program_kinds": "test_musl_without_debug_symbols test_track_c_family_musl test_track_kinds_musl",
           "text_restored": "test_musl"}),
    Unmet("14", "LLDB 14: after exec, tracking begins later",
          {"breakpoint_engine": "test_track_exec",
           "filters": "test_any_filter_from_the_start test_memory_deny_write_execute_from_the_start",
           "limits": "test_hardly_any_address_space_from_the_start test_little_address_space_from_the_start",
           "tracked_programs": "test_track_exec test_track_exec_vfork test_track_exec_vfork_without_debug_symbols "
                               "test_track_exec_without_debug_symbols"}),
    Unmet("14 16", "LLDB 14, 16: no cores of Linux processes are written",
          {"bad_input": "test_core_without_ledger",
           "lldb_loading": "test_scan_from_a_script",
           "saved_core": "test_says_what_the_live_process_said"}),
    Unmet("14 16", "LLDB 14, 16: a trap of ours stays at __libc_start_main, where tracking has to begin",
          {"lldb_left_traps": "test_are_lldbs_own_only",
           "killed_debugger": "test_at_random_moments"}),
    Unmet("14 16", "LLDB 14, 16: a plugin is not told that the debugger ends without a quit; hooks stay in",
          {"lldb_loading": "test_hooks_are_out_after_detach_and_after_the_end"}),
    Unmet("14", "LLDB 14: signals are passed on only once a program has come to main, by its name, under LLDB",
          {"breakpoint_engine": "test_hooks_given_by_names_that_share_a_function "
                                "test_static_and_stripped_with_hooks_given",
           "four_ways": "test_tracked_halfway_alternate_stack test_tracked_halfway_alternate_stack_musl",
           "program_kinds": "test_static_and_stripped_is_said_in_one_line "
                            "test_static_and_stripped_with_hooks_given"}),
)


def unmet(version: str, file: str) -> dict[str, str]:
    """Names of the tests of the file that do not pass in the version, with the reason."""
    return {test: one.reason for one in UNMET if version in one.versions.split()
            for test in one.tests.get(file, "").split()}
