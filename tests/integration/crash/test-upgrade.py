#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manager is replaced repeatedly while a guest writes and reads its console."""
import os
import subprocess
import unittest

import case
import world
from world import wait_until

ROUNDS = 5
LINES = 150


def line(i, k):
    return f"round {i} line {k:04}"


def typed(i):
    return f"typed in round {i} by somebody\nend {i}\n"


def script():
    """Each round prints LINES lines at a limited rate, then echoes the input."""
    text = ""
    for i in range(ROUNDS):
        for k in range(LINES):
            text += f"print {line(i, k)}\n" + ("sleep 20\n" if k % 10 == 9 else "")
        text += f"echo end {i}\n"
    return text


def expected():
    return "".join("".join(line(i, k) + "\n" for k in range(LINES)) + typed(i)
                   for i in range(ROUNDS))


class Upgrade(case.Case):
    def console(self):
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus)
        with open(self.w.path("client"), "wb") as out:
            p = self.w.spawn(world.program("daemon/ctl/ghvmctl"), "console", "demo",
                             stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL, env=env)
        self.addCleanup(p.stdin.close)
        return p

    def client_saw(self):
        with open(self.w.path("client"), encoding="ascii") as f:
            return f.read()

    def replace_under(self, client, i):
        """In each round the manager is killed or stopped in turn, without delay for the console client."""
        wait_until(lambda: line(i, LINES // 3) in self.w.console_log("demo"), 60)
        if i % 2:
            self.w.manager.terminate()
            self.assertEqual(self.w.manager.wait(20), 0)
        else:
            self.w.kill_manager()
        half = len(typed(i)) // 2
        client.stdin.write(typed(i)[:half].encode())
        client.stdin.flush()
        self.w.start_manager()
        client.stdin.write(typed(i)[half:].encode())
        client.stdin.flush()

    def test_no_byte_is_lost_or_comes_twice(self):
        self.w.vm("demo", script())
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        client = self.console()
        wait_until(self.client_saw)
        for i in range(ROUNDS):
            self.replace_under(client, i)
        self.assertEqual(unit.wait(60), 0)
        self.assertEqual(self.w.console_log("demo"), expected())
        wait_until(lambda: self.client_saw() == expected())
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main(verbosity=1)
