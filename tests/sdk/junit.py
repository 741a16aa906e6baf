"""Prints what a JUnit file counts: passed, failed, skipped."""

import sys
import xml.etree.ElementTree as ElementTree

totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
for suite in ElementTree.parse(sys.argv[1]).getroot().iter("testsuite"):
    for name in totals:
        totals[name] += int(suite.get(name, "0"))
failed = totals["failures"] + totals["errors"]
print(totals["tests"] - failed - totals["skipped"], failed, totals["skipped"])
