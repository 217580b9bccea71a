# SPDX-License-Identifier: Apache-2.0
"""What a user does at functions that are hooked, beside the same done in the plain debugger: breakpoints,
watchpoints, stepping and calls by hand come to the same places, and the hooks stay whole."""

import re

import harness

PATCHED_BYTES = str(harness.SOURCE / "tests" / "debuggers" / "patched_bytes.py")
OURS = re.compile(r"^(heapledger|hook_)")

MALLOC = {"lldb": "breakpoint set --name malloc --shlib libc.so.6", "gdb": "break __libc_malloc"}
MALLOC_BY_ADDRESS = {
    "lldb": "script lldb.target.BreakpointCreateByAddress([m for m in lldb.target.module_iter() "
            "if m.file.basename == 'libc.so.6'][0].FindSymbol('malloc').addr.GetLoadAddress("
            "lldb.target)).GetNumLocations()",
    "gdb": "break *__libc_malloc"}
MALLOC_OF_40 = {"lldb": MALLOC["lldb"] + " --condition '$rdi == 40'",
                "gdb": "break __libc_malloc if $rdi == 40"}
DELETE = {"lldb": "breakpoint delete --force", "gdb": "delete"}
BY_SCRIPT = {"lldb": "script lldb.process.Continue()", "gdb": "python gdb.execute('continue')"}
WATCH_SECOND_WORD = {"lldb": "watchpoint set expression -w write -s 8 -- (long*)block + 1",
                     "gdb": "watch *((long*)block + 1)"}


class HookedEntries(harness.DebuggerTest):
    def words(self, by_debugger: dict[str, str]) -> str:
        return by_debugger[harness.DEBUGGER]

    def started(self, tracked: bool, *before: str, debug_symbols: bool = True) -> harness.Session:
        """At the first stop of every_call, where each kind of entry point has been called once."""
        session = harness.Session("every_call", debug_symbols=debug_symbols)
        if not tracked:
            session.leaks("auto off")
        for command in before:
            session.raw(command)
        session.stop_at()
        session.run()
        return session

    def functions(self, backtrace: harness.Backtrace) -> list[str]:
        """Ours left out; from a stop on, down to main."""
        names = [f.function.removeprefix("::").removesuffix("()") for f in backtrace.frames]
        names = [name for name in names if not OURS.match(name)]
        return names[:names.index("main") + 1] if "main" in names else names

    def compare(self, commands: list[str], debug_symbols: bool = True,
                before: tuple[str, ...] = ()) -> list[list[str]]:
        """Where the debugger stands after each command, tracked as plain."""
        answers = []
        for tracked in (False, True):
            session = self.started(tracked, *before, debug_symbols=debug_symbols)
            status = session.leaks("status")
            places = []
            for command in commands:
                session.raw(command)
                places.append(session.backtrace())
            outcome = session.execute()
            self.assertEqual("libc.so.6: malloc" in status.value, tracked, outcome.text[-3000:])
            answers.append([self.functions(place) for place in places])
        self.assertEqual(answers[1], answers[0])
        return answers[1]

    # Breakpoints.

    def hits_of_malloc(self, places: list[list[str]]) -> list[str]:
        """Who called it. LLDB up to 16 has no name for a function that only a debug file describes."""
        return [place[1] for place in places if place and (not place[0] or "libc_malloc" in place[0])]

    def test_breakpoint_by_name_is_hit_once_a_call(self) -> None:
        resume = harness.DEBUGGERS[harness.DEBUGGER].resume
        places = self.compare([self.words(MALLOC), *[resume] * 4])
        self.assertEqual(len(self.hits_of_malloc(places)), 2, places)
        self.assertIn("calls_malloc", self.hits_of_malloc(places)[0])

    def test_breakpoint_by_address_is_hit_once_a_call(self) -> None:
        places = self.compare([self.words(MALLOC_BY_ADDRESS), *[self.words(BY_SCRIPT)] * 4])
        self.assertEqual(len(self.hits_of_malloc(places)), 2, places)

    def test_breakpoint_from_before_the_hooks_is_hit_once_a_call(self) -> None:
        resume = harness.DEBUGGERS[harness.DEBUGGER].resume
        pending = ("set breakpoint pending on",) if harness.DEBUGGER == "gdb" else ()
        places = self.compare([resume] * 12, before=(*pending, self.words(MALLOC)))
        self.assertEqual(len(self.hits_of_malloc(places)), 4, places)

    def test_conditional_breakpoint(self) -> None:
        resume = harness.DEBUGGERS[harness.DEBUGGER].resume
        places = self.compare([self.words(MALLOC_OF_40), *[resume] * 3])
        self.assertEqual(len(self.hits_of_malloc(places)), 2, places)

    def of_libraries(self, patched: harness.HostOutput) -> list[str]:
        """The first of them: in the program itself the trap of our stop may stand."""
        return [where for where in patched.value.split()[1:] if where.startswith("0x7f")][:15]

    def test_deleted_breakpoint_leaves_the_hook_whole(self) -> None:
        answers = []
        for disturbed in (False, True):
            session = self.started(True)
            before = session.host("/usr/bin/python3", PATCHED_BYTES)
            if disturbed:
                session.raw(self.words(MALLOC))
                session.resume()
                session.raw(self.words(DELETE))
                session.stop_at()
            session.resume()
            status = session.leaks_json("status")
            if disturbed:
                session.raw(self.words(DELETE))
            after = session.host("/usr/bin/python3", PATCHED_BYTES)
            session.resume()
            outcome = session.execute()
            self.assertRegex(outcome.text, session.debugger.ended(0))
            self.assertGreater(int(before.value.split()[0]), 0)
            answers.append((status.value["ledger"]["since_start"]["allocations"],
                            self.of_libraries(before), self.of_libraries(after)))
        self.assertEqual(answers[1][0], answers[0][0])
        self.assertEqual(answers[1][1], answers[1][2])

    def test_breakpoint_inside_the_agent(self) -> None:
        session = self.started(True)
        session.stop_at("hook_malloc")
        session.resume()
        inside = session.backtrace()
        session.raw("finish")
        outside = session.backtrace()
        session.kill()
        outcome = session.execute()
        self.assertEqual(inside.frames[0].function, "hook_malloc", outcome.text[-3000:])
        self.assertEqual(self.functions(inside), ["calls_malloc", "calls_all", "main"])
        self.assertEqual(self.functions(outside), ["calls_malloc", "calls_all", "main"])

    # Stepping.

    def test_stepping_over_calls(self) -> None:
        debugger = harness.DEBUGGERS[harness.DEBUGGER]
        for function in ("calls_malloc", "calls_realloc", "calls_new", "calls_mmap"):
            with self.subTest(function):
                places = self.compare([debugger().stop_at(function, once=False), debugger.resume, "next", "next",
                                       "next", "finish"])
                self.assertEqual(places[1][0], function)
                self.assertEqual(places[3][0], "calls_all")

    def test_stepping_in_without_debug_symbols_of_libc_steps_over(self) -> None:
        debugger = harness.DEBUGGERS[harness.DEBUGGER]
        places = self.compare([debugger().stop_at("calls_malloc", once=False), debugger.resume, "step", "step",
                               "step"], debug_symbols=False)
        self.assertEqual(places[1][0], "calls_malloc")

    def test_stepping_in_and_out_again(self) -> None:
        debugger = harness.DEBUGGERS[harness.DEBUGGER]
        self.compare([debugger().stop_at("calls_malloc", once=False), debugger.resume, "step", "finish"])

    def test_finishing_a_hooked_function(self) -> None:
        debugger = harness.DEBUGGERS[harness.DEBUGGER]
        places = self.compare([self.words(MALLOC), debugger.resume, "finish", "finish"])
        self.assertEqual(places[2][0], "calls_malloc")
        self.assertEqual(places[3][0], "calls_all")

    # Calls by hand.

    def test_calling_malloc_by_hand(self) -> None:
        """Also with a breakpoint of the user's there."""
        words = {"lldb": "expression -- (void*)malloc(12345)", "gdb": "print (void*)malloc(12345)"}
        session = self.started(True)
        call = session.raw(self.words(words))
        place = session.backtrace()
        report = session.ledger()
        session.resume()
        outcome = session.execute()
        address = re.search(r"0x([0-9a-f]+)", call.value)
        self.assertIsNotNone(address, outcome.text[-3000:])
        found = harness.allocations(report.value)[int(address.group(1), 16)]
        self.assertEqual((found.size, found.kind), (12345, "malloc"))
        self.assertIn(harness.STOP, place.frames[0].function)

    def test_expressions_that_allocate_and_release(self) -> None:
        """gdb compiles none: it calls what it is told to."""
        words = {"lldb": "expression -l c++ -- int *p = new int(7); int v = *p + 1; delete p; v",
                 "gdb": "print ((void (*)(void*))'operator delete(void*)')("
                        "((void* (*)(unsigned long))'operator new(unsigned long)')(4)), 8"}
        session = self.started(True)
        before = session.leaks_json("status")
        value = session.raw(self.words(words))
        after = session.leaks_json("status")
        session.resume()
        session.resume()
        outcome = session.execute()
        self.assertRegex(value.value, r"\$\d+ = 8", outcome.text[-3000:])
        self.assertGreater(after.value["ledger"]["since_start"]["allocations"],
                           before.value["ledger"]["since_start"]["allocations"])
        self.assertRegex(outcome.text, session.debugger.ended(0))

    # Watchpoints.

    def test_watchpoint_on_a_heap_block(self) -> None:
        """free itself writes there: it is caught inside, below our hook."""
        debugger = harness.DEBUGGERS[harness.DEBUGGER]
        places = self.compare([debugger().stop_at("calls_free", once=True), debugger.resume,
                               self.words(WATCH_SECOND_WORD), debugger.resume])
        self.assertIn("calls_free", places[3])
        self.assertTrue(any("free" in name for name in places[3][:places[3].index("calls_free")]),
                        places)


if __name__ == "__main__":
    harness.main()
