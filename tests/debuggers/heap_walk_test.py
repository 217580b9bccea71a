# SPDX-License-Identifier: Apache-2.0
"""At any stop the ledger's set of blocks is the allocator's own: on labelled programs."""

import harness

PROGRAMS = ["track_c_family", "track_operators", "track_other_thread", "track_constructors",
            "track_dlopen", "track_thread_exit", "track_signal", "track_small_stack", "track_fork",
            "track_same_address", "track_exec", "freed", "containers", "thread_arena",
            "dlopen_tls", "pthread_keys", "std_string", "random_blocks", "random_blocks.musl",
            "random_blocks.musl-static", "freed.musl", "track_kinds.musl", "track_kinds.musl-static"]


class HeapWalk(harness.DebuggerTest):
    pass


def _case(program: str, debug_symbols: bool):
    def test(self: HeapWalk) -> None:
        session = harness.Session(program, debug_symbols=debug_symbols)
        for signal in ("SIGUSR1", "SIGUSR2", "SIGALRM"):
            session.pass_signal(signal)
        session.raw("settings set target.process.stop-on-exec false")
        session.stop_at()
        session.run()
        report = session.ledger()
        walk = session.heap_walk()
        session.execute()
        self.assertEqual(report.value["coverage"]["in_flight"], 0)
        self.assert_ledger_equals_walk(report.value, walk.value, program)
    return test


for _program in PROGRAMS:
    setattr(HeapWalk, "test_" + _program.replace(".", "_").replace("-", "_"), _case(_program, True))
for _program in PROGRAMS[:6]:
    setattr(HeapWalk, f"test_{_program}_without_debug_symbols", _case(_program, False))

if __name__ == "__main__":
    harness.main()
