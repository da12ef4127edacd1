#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-words.sh: the part of STYLE.md section 10 (plain words) that a program can see.
exec python3 "$(dirname "$(realpath "$0")")/check-words.py"
