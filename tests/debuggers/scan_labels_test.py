# SPDX-License-Identifier: Apache-2.0
"""Every block of the labelled programs has the class its program wrote down, and nothing else is lost."""

import harness
import scan_labels


class ScanLabels(harness.DebuggerTest):
    def play(self, program: str, **options) -> None:
        session = scan_labels.at_the_stop(program, **options)
        answer = session.leaks_json(scan_labels.LEAKS_ALL)
        outcome = session.execute()
        report = answer.value
        found = scan_labels.kinds_by_address(report)
        self.assertGreater(len(outcome.truth), 0, outcome.text[-2000:])
        self.assertEqual(scan_labels.wrong_verdicts(report, outcome.truth), [],
                         outcome.text[-3000:])
        # The summary is the sum of the records.
        sums = {key: [0, 0] for key in scan_labels.SUMMARY}
        for kind, size in found.values():
            sums[kind.replace(" ", "_")][0] += size
            sums[kind.replace(" ", "_")][1] += 1
        self.assertEqual({key: tuple(value) for key, value in sums.items()},
                         scan_labels.numbers(report))

    def test_the_four_answers_in_valgrinds_words(self) -> None:
        session = scan_labels.at_the_stop("four_answers")
        text = session.leaks()
        session.execute()
        for line in ("   definitely lost: 16 bytes in 1 blocks\n",
                     "   indirectly lost: 48 bytes in 3 blocks\n",
                     "     possibly lost: 64 bytes in 1 blocks\n",
                     "   still reachable: 48 bytes in 3 blocks\n",
                     "        suppressed: 0 bytes in 0 blocks\n"):
            self.assertIn(line, text.value)
        self.assertRegex(text.value, r"64 \(16 direct, 48 indirect\) bytes in 1 blocks are "
                                     r"definitely lost in loss record \d+ of \d+\n")

    def test_stripped(self) -> None:
        """No function to stop at: judged at _exit, where the same holds."""
        session = scan_labels.at_the_stop("four_answers.stripped", stop="_exit")
        answer = session.leaks_json()
        session.execute()
        self.assertEqual(scan_labels.numbers(answer.value)["definitely_lost"], (16, 1))
        self.assertEqual(scan_labels.numbers(answer.value)["indirectly_lost"], (48, 3))


def _case(program: str, **options):
    def test(self: ScanLabels) -> None:
        self.play(program, **options)
    return test


for _program in scan_labels.PROGRAMS + scan_labels.VARIANTS + scan_labels.MUSL:
    _title = _program.replace(".", "_").replace("-", "_")
    setattr(ScanLabels, f"test_{_title}", _case(_program))
for _program in ("freed", "detached_thread", "joined_thread", "unjoined_result", "pthread_keys",
                 "dlopen_tls", "neighbour_of_free", "cycle"):
    setattr(ScanLabels, f"test_{_program}_without_debug_symbols",
            _case(_program, debug_symbols=False))

if __name__ == "__main__":
    harness.main()
