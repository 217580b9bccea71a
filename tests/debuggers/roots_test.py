# SPDX-License-Identifier: Apache-2.0
"""`leaks roots`: what is scanned, beside what the program has."""

import harness
import scan_labels

MOST_OF_A_SMALL_PROGRAM = 64 << 10  # bytes: what the loader maps for a thread's control block, the vdso's kin


class Roots(harness.DebuggerTest):
    def roots_of(self, program: str):
        session = scan_labels.at_the_stop(program)
        answer = session.leaks_json("roots")
        session.execute()
        return answer.value

    def test_nothing_of_ours_is_one(self) -> None:
        """A program that maps nothing has no roots in mappings but the loader's few pages."""
        report = self.roots_of("lone")
        ours = sum(region["end"] - region["begin"] for region in report["regions"]
                   if region["why"] == "our own memory")
        mapped = sum(root["end"] - root["begin"] for root in report["roots"]
                     if root["kind"] == "mapping")
        self.assertLess(mapped, MOST_OF_A_SMALL_PROGRAM)
        self.assertGreater(ours, MOST_OF_A_SMALL_PROGRAM)
        for region in report["regions"]:
            if region["why"] == "our own memory":
                self.assertIsNone(region["root"])

    def test_a_mapping_of_the_program_is_one(self) -> None:
        report = self.roots_of("mmap_holder")
        mapped = sum(root["end"] - root["begin"] for root in report["roots"]
                     if root["kind"] == "mapping")
        self.assertGreater(mapped, MOST_OF_A_SMALL_PROGRAM)


if __name__ == "__main__":
    harness.main()
