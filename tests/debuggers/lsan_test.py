# SPDX-License-Identifier: Apache-2.0
"""What LeakSanitizer calls leaked, directly or indirectly, on the same source, is what `leaks` calls
definitely or indirectly lost: by labelled block. Differences are listed with their reason; an unlisted
one fails, and so does a listed one that is not needed."""

import re
from collections import Counter

import harness
import scan_labels

# Program -> label -> (how many LeakSanitizer reports beyond ours, reason).
MAPPINGS = "LeakSanitizer does not look into mappings the program made"
RESULT = "LeakSanitizer does not look at the result of an ended thread that nobody joined yet"
EXCEPTIONS: dict[str, dict[str, tuple[int, str]]] = {
    "mmap_holder": {"in_held_mapping": (1, MAPPINGS), "in_mapping": (1, MAPPINGS),
                    "in_shared_mapping": (1, MAPPINGS), "in_large_mapping": (1, MAPPINGS)},
    "unjoined_result": {"result": (1, RESULT)},
}


def leaksanitizer(program: str) -> Counter[str]:
    """How many blocks of each label it reports."""
    outcome = harness.run_plain(
        f"{program}.lsan",
        environment={"LSAN_OPTIONS": "report_objects=1:leak_check_at_exit=0:max_leaks=0"})
    labels = harness.current(outcome.truth)
    if not labels:
        raise AssertionError(f"{program}.lsan labelled nothing: {outcome.errors[-2000:]}")
    reported = re.findall(r"^(0x[0-9a-f]+) \(\d+ bytes\)$", outcome.errors, re.M)
    unknown = [one for one in reported if int(one, 16) not in labels]
    if unknown:
        raise AssertionError(f"{program}.lsan: unlabelled {unknown}")
    return Counter(labels[int(one, 16)].name for one in reported)


class AgainstLeakSanitizer(harness.DebuggerTest):
    def play(self, program: str) -> None:
        session = scan_labels.at_the_stop(program)
        answer = session.leaks_json(scan_labels.LEAKS_ALL)
        outcome = session.execute()
        found = scan_labels.kinds_by_address(answer.value)
        ours = Counter(label.name for label in harness.current(outcome.truth).values()
                       if found.get(label.address, ("", 0))[0] in ("definitely lost",
                                                                   "indirectly lost"))
        theirs = leaksanitizer(program)
        listed = EXCEPTIONS.get(program, {})
        for name, (more, _) in listed.items():
            self.assertEqual(theirs[name] - ours[name], more, f"the exception {name} is not needed")
            ours[name] += more
        self.assertEqual(ours, theirs)


def _case(program: str):
    def test(self: AgainstLeakSanitizer) -> None:
        self.play(program)
    return test


for _binary in sorted(harness.PROGRAMS.glob("*.lsan")):
    setattr(AgainstLeakSanitizer, f"test_{_binary.stem}", _case(_binary.stem))


class Coverage(harness.DebuggerTest):
    def test_the_sanitizer_was_there(self) -> None:
        self.assertGreaterEqual(len(list(harness.PROGRAMS.glob("*.lsan"))), 30)
        self.assertEqual(leaksanitizer("four_answers"), Counter({"lost": 4}))


if __name__ == "__main__":
    harness.main()
