#!/usr/bin/env python3
"""Sums up reports of Autobahn|Testsuite.

    summary.py COUNT INDEX...

Each INDEX is an index.json with a share of the COUNT cases. A case passes when its behaviour and
its closing behaviour are OK, or INFORMATIONAL, where the suite has no verdict. Every other one is
listed. The last line is "N passed, N failed"; the exit status is 1 if any failed.
"""

import collections
import json
import sys

GOOD = ("OK", "INFORMATIONAL")


def main() -> int:
    count = int(sys.argv[1])
    cases = load(sys.argv[2:])
    for aspect in ("behavior", "behaviorClose"):
        verdicts = collections.Counter(case[aspect] for case in cases.values())
        print(f"{aspect}: " + ", ".join(f"{n} {name}" for name, n in verdicts.most_common()))
    passed = sum(passes(case) for case in cases.values())
    for name in sorted(cases, key=lambda name: [int(part) for part in name.split(".")]):
        case = cases[name]
        if not passes(case):
            print(
                f"  {name}: {case['behavior']}, close {case['behaviorClose']}, "
                f"code {case['remoteCloseCode']}, {case['duration']} ms, {case['reportfile']}"
            )
    if len(cases) < count:
        print(f"  {count - len(cases)} cases of {count} have no report")
    print(f"{passed} passed, {count - passed} failed")
    return int(passed < count or count == 0)


def load(paths: list[str]) -> dict[str, dict]:
    cases = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for agent_cases in json.load(file).values():
                cases.update(agent_cases)
    return cases


def passes(case: dict) -> bool:
    return case["behavior"] in GOOD and case["behaviorClose"] in GOOD


if __name__ == "__main__":
    sys.exit(main())
