#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""meson-cases.py TESTLOG.json LOGS: a line of name, passed, failed, points and log for each program
that meson ran.

cmocka says how many of its cases passed and failed. A program that ends badly has at least one
failure, whatever it said; one that says nothing of the kind is one case. Sweeps say how many points
they tried. What a program that failed has said is put into a log of its own below the folder LOGS.
"""
import json
import os
import re
import sys


def said_by(test):
    return test.get("stdout", "") + test.get("stderr", "")


def points(test):
    return sum(map(int, re.findall(r"\b(\d+) points\b", said_by(test))))


def cases(test):
    said = said_by(test)
    passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test\(s\)", said)))
    failed = sum(map(int, re.findall(r"\[  FAILED  \] (\d+) test\(s\)", said)))
    if test["result"] in ("OK", "EXPECTEDFAIL"):
        return (passed or 1), failed
    return passed, (failed or 1)


def log_of(test, folder):
    path = os.path.join(folder, re.sub(r"[^a-zA-Z0-9_]+", "-", test["name"]) + ".log")
    with open(path, "w", encoding="utf-8") as log:
        log.write(f"{said_by(test)}\n{test['name']}: {test['result']}, status "
                  f"{test.get('returncode')}, {test.get('duration', 0):.0f} s\n")
    return path


def main():
    try:
        with open(sys.argv[1], encoding="utf-8") as log:
            tests = [json.loads(line) for line in log]
    except OSError as error:
        print(error, file=sys.stderr)
        return
    for test in tests:
        passed, failed = cases(test)
        log = log_of(test, sys.argv[2]) if failed else "-"
        print(test["name"], passed, failed, points(test), log, sep="\t")


main()
