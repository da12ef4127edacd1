#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""RM refuses RAM that is shared, and the same start lends it."""
import os
import time
import unittest

import case
from world import wait_until


class SharedRam(case.Case):
    model = ("--generation=android14",)
    MARK = "ram.lent"

    def mark(self):
        return os.path.exists(self.w.path("run", "state", self.MARK))

    def running(self, script="powerkey\n", **kw):
        self.w.vm("demo", script, memory="8M, protection: none", **kw)
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.assertEqual(self.w.vm_get("demo", "MemoryLent"), 8 << 20)
        return unit

    def end(self, unit):
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0, self.w.said("demo"))
        self.w.assert_clean()

    def test_it_is_tried_once_a_boot(self):
        region = "regions: [{label: 1, size: 1M, access: host-readonly}]\n"
        unit = self.running(extra=region)
        self.assertIn("refuses RAM that is shared", self.w.log())
        self.assertEqual(self.w.vm_get("demo", "MemoryShared", "DescriptorState"),
                         [1 << 20, "current"])
        self.assertTrue(self.mark())
        self.end(unit)
        for _ in range(2):  # this manager, and the next one
            unit = self.running(extra=region)
            self.end(unit)
            self.w.kill_manager()
            self.w.start_manager()
        self.assertEqual(self.w.log().count("refuses RAM that is shared"), 1)
        self.assertEqual(self.w.log().count("has refused shared RAM before"), 2)

    def test_the_guest_can_reboot_in_place(self):
        unit = self.running("print up\nread\nreset\n")
        pid = self.w.vm_get("demo", "LeaderPID")
        self.w.kill_manager()
        self.w.start_manager()
        os.unlink(self.w.path("run", "state", self.MARK))  # the next start is to try again
        with self.w.console("demo") as console:
            console.write(b"x")
            wait_until(lambda: self.w.console_log("demo").count("up") == 2)
        self.w.wait_state("demo", "running")
        self.assertEqual(self.w.vm_get("demo", "LeaderPID"), pid, self.w.log())
        self.end(unit)
        self.assertFalse(self.mark())
        unit = self.running()
        self.assertEqual(self.w.log().count("refuses RAM that is shared"), 2)
        self.end(unit)

    def test_another_cause_is_not_remembered(self):
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none")
        self.w.model_says("refuse VM_START 2 2")
        self.assertEqual(self.w.run_unit("demo"), 1)
        self.assertEqual(self.w.vm_get("demo", "State", "FailedStep"), ["failed", "start"])
        self.assertFalse(self.mark())
        self.w.assert_clean()

    def test_a_stop_meanwhile(self):
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none")
        self.w.model_says("delay 300")
        for ms in range(0, 400, 100):
            unit = self.w.unit("demo")
            time.sleep(ms / 1000)
            unit.terminate()
            unit.wait(20)
            self.w.release("demo")
            self.w.assert_clean()
            if self.mark():
                os.unlink(self.w.path("run", "state", self.MARK))


if __name__ == "__main__":
    unittest.main()
