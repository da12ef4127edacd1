#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that does not feed its watchdog: it is restarted, stopped, or looked at."""
import time
import unittest

import case
from world import wait_until

LOAD, CONTROL, CLEAR = (0x10010000 + offset for offset in (0, 8, 12))
LIST = "devices: [{watchdog: {}}]\n"
SECOND = 24000000


def start(ticks):
    """It may end the guest."""
    return f"mmio-write {LOAD:#x} 4 {ticks}\nmmio-write {CONTROL:#x} 4 3\n"


class Watchdog(case.Case):
    def hangs(self, ticks, on_watchdog, script="print up\n"):
        self.w.vm("demo", script + start(ticks) + "forever\n", lifecycle="on-watchdog: " + on_watchdog,
                  extra=LIST)

    def ended(self):
        return self.w.vm_get("demo", "ExitReason", "LastError")

    def test_it_is_restarted(self):
        self.hangs(0, "restart")
        self.assertEqual(self.w.run_unit("demo"), 133)
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.ended(), ["watchdog", "the guest crashed: watchdog"])
        self.assertIn("Watchdog: vCPU 0 runs, after ", self.w.said("demo"))
        self.w.assert_clean()

    def test_it_is_stopped(self):
        self.hangs(0, "stop")
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.ended()[0], "watchdog")
        self.w.assert_clean()

    def test_it_is_only_looked_at(self):
        self.hangs(0, "dump-only", "")
        unit = self.w.unit("demo")
        wait_until(lambda: "Watchdog: vCPU 0 runs, after " in self.w.said("demo"))
        self.w.wait_state("demo", "running")
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0, self.w.said("demo"))
        self.assertEqual(self.w.said("demo").count("Watchdog: "), 1)
        self.w.assert_clean()

    def test_one_that_is_fed_does_not_bite(self):
        feed = f"sleep 300\nmmio-write {CLEAR:#x} 4 1\n"
        self.w.vm("demo", start(SECOND // 2) + feed * 8 + f"mmio-write {CONTROL:#x} 4 0\npowerkey\n", extra=LIST)
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        time.sleep(3)  # sixfold its period
        self.w.stop("demo", "graceful")
        self.assertEqual(unit.wait(20), 0, self.w.said("demo"))
        self.w.assert_clean()

    def test_a_later_manager_knows_what_to_do(self):
        self.w.vm("demo", "read\n" + start(0) + "forever\n", lifecycle="on-watchdog: stop", extra=LIST)
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.w.kill_manager()
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        with self.w.console("demo") as console:
            console.write(b"x")
            self.assertEqual(unit.wait(20), 134, self.w.said("demo"))
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.ended()[0], "watchdog")
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
