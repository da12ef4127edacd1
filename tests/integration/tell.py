#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""tell.py SOCKET COMMAND...: send a command to ghvm-model's control socket, print the reply in one line."""
import socket
import sys

s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.settimeout(10)
s.connect(sys.argv[1])
s.sendall((" ".join(sys.argv[2:]) + "\n").encode())
lines = []
for line in s.makefile():
    lines.append(line.strip())
    if line.startswith(("ok", "error")):
        break
print(" ".join(lines))
sys.exit(not lines or lines[-1] != "ok")
