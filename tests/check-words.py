#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""check-words.py: the part of STYLE.md section 10 (prose) that a program can see.

Words for people stand for things in no comment, message, document or man page, and no static
function has a bare verb as its name.
"""
import os
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# Write "the owner of", "no VM", "another process", "the caller".
PEOPLE = re.compile(r"(?<![\w/.-])(whose|whom|nobody|somebody|whoever)(?![\w-])", re.IGNORECASE)

# Backtraces and grep need the noun: find_region, not find.
VERBS = (
    "add ask begin call change check choose collect copy create decide describe do drop each end "
    "enter feed fill find finish get give handle keep leave look make mark move note push put read "
    "recover release replace run say see send set settle show start stop swap take tell try undo "
    "wait want write"
).split()

PROSE = (".md", ".1", ".5", ".7", ".8")
CODE = (".c", ".h")
SKIPPED = ("STYLE.md",)  # it has examples of what not to write
# Functions of test files are named after what they show, so bare verbs are looked for elsewhere.
BARE_VERBS_IN = ("libghvm/", "include/", "daemon/", "kmod/", "examples/", "tests/model/", "tests/fakes/")

# Strings of these are input and expected output, not messages.
DATA_IN = ("tests/unit/", "tests/kmod/", "tests/fuzz/")

TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
STATIC = re.compile(r"^static\b[^;={(\"/]*?\b(\w+)\(", re.MULTILINE)


def sources():
    """Names below the top of what is looked at; no git: a checkout may come without it."""
    for folder, folders, names in os.walk(TOP):
        at = Path(folder).relative_to(TOP)
        folders[:] = sorted(f for f in folders if not f.startswith((".", "build")) and f != "corpus")
        yield from (str(at / name) for name in sorted(names) if name not in SKIPPED)


def matching(patterns):
    return [n for n in sources() if n.endswith(patterns) and not n.endswith(".mod.c")]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def people_in(name, text, spans):
    for begin, end in spans:
        for hit in PEOPLE.finditer(text, begin, end):
            yield f"{name}:{line_of(text, hit.start())}: \"{hit[1]}\": name the thing (STYLE.md 10)"


def bare_verbs_in(name, text):
    for hit in STATIC.finditer(text):
        if hit[1] in VERBS:
            yield f"{name}:{line_of(text, hit.start(1))}: {hit[1]}(): a verb needs its noun (STYLE.md 10)"


def complaints():
    for name in matching(CODE):
        text = (TOP / name).read_text()
        tokens = [m.span() for m in TOKEN.finditer(text)]
        if name.startswith(DATA_IN):
            tokens = [span for span in tokens if text[span[0]] == "/"]
        yield from people_in(name, text, tokens)
        if name.startswith(BARE_VERBS_IN):
            yield from bare_verbs_in(name, text)
    for name in matching(PROSE):
        text = (TOP / name).read_text()
        yield from people_in(name, text, [(0, len(text))])


found = list(complaints())
print(*found, sep="\n", end="\n" if found else "")
sys.exit(1 if found else 0)
