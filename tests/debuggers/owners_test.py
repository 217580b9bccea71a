# SPDX-License-Identifier: Apache-2.0
"""`leaks who-owns` in a real process: how the roots are named."""

import harness
import scan_labels


class Owners(harness.DebuggerTest):
    def test_thread_local_variables(self) -> None:
        """In the program: by the variable's name, as people write it. In a library that came by dlopen:
        by the library, through the thread's dtv; and its memory is none that only an unknown mapping
        keeps."""
        session = scan_labels.at_the_stop("thread_local_names")
        in_program = session.leaks_json("who-owns hidden_in_program^0x5555")
        in_library = session.leaks_json("who-owns hidden_in_library^0x5555")
        leaks = session.leaks()
        session.execute()
        place = in_program.value["chain"][0]["root"]
        self.assertRegex(place["text"], r"^thread-local app::slot \[thread_local_names\] of thread 1$")
        self.assertEqual(place["symbol"], "app::slot")
        self.assertEqual(in_program.value["block"]["size"], 64)
        place = in_library.value["chain"][0]["root"]
        self.assertRegex(place["text"],
                         r"^thread-local storage of tls_module\.so of thread 1, dtv\[\d+\]$")
        self.assertEqual([link["target_offset"] for link in in_library.value["chain"]], [0, 0])
        self.assertEqual(in_library.value["block"]["size"], 80)
        self.assertNotIn("alone keeps", leaks.value)

    def test_an_expression_makes_no_owner(self) -> None:
        """The debugger leaves its value in memory that it maps into the process."""
        session = scan_labels.at_the_stop("hidden_loss")
        by_expression = session.leaks_json("who-owns hidden^0x5555")
        leaks = session.leaks_json("--show-kinds all")
        outcome = session.execute()
        self.assertEqual(by_expression.value["class"], "definitely lost", outcome.text)
        self.assertEqual(by_expression.value["other_roots"], [])
        self.assertEqual(scan_labels.numbers(leaks.value)["definitely_lost"], (96, 1))

    def test_a_mapping_that_alone_keeps_blocks_is_told(self) -> None:
        """Should it be an allocator's or an index's, what it holds may be lost."""
        session = scan_labels.at_the_stop("mmap_holder")
        leaks = session.leaks()
        session.execute()
        self.assertEqual(leaks.value.count("alone keeps 64 bytes in 1 blocks reachable"), 4, leaks.value)


if __name__ == "__main__":
    harness.main()
