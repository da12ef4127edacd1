#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""RM gives one wrong reply. The manager survives it or is replaced by the next one.

Some of the points of the unit test of that name, with all the programs: no page goes back that a
guest may own (the model counts violations), the other guest has not noticed, and in the end, with an
honest RM, nothing is left behind.
"""
import unittest

import case
from world import ROOT, wait_until

# message, byte of the reply, what is there instead
LIES = (
    ("MEM_LEND", 0, "2509b8f5"),
    ("MEM_LEND", 0, "ffffffff"),
    ("MEM_LEND", 0, "01000000"),
    ("MEM_SHARE", 0, "2509b8f5"),
    ("MEM_LEND", 4, "77777777"),
    ("MEM_LEND", 4, "01000000"),  # a parcel of the other VM: the first one after the presplit
    ("MEM_SHARE", 4, "77777777"),
    ("MEM_RECLAIM", 0, "07000000"),
    ("MEM_RECLAIM", 0, "0b000000"),
    ("VM_ALLOCATE", 4, "80000000"),
    ("VM_GET_STATE", 4, "0b000000"),
    ("VM_DEALLOCATE", 0, "2509b8f5"),
)


class Lies(case.Case):
    seconds = 240

    def setUp(self):
        super().setUp()
        self.w.vm("key", "print up\npowerkey\n", lifecycle="stop-timeout: 2s")
        self.w.vm("other", "powerkey\n")
        self.other = self.w.unit("other")
        self.w.wait_state("other", "running")
        self.quiet = self.left()

    def left(self):
        """A VMID may be stuck: RM does not free one whose configuration it has refused."""
        return {k: v for k, v in self.w.leftovers().items() if k != "vms"}

    def count_ups(self):
        try:
            return self.w.console_log("key").count("up")
        except FileNotFoundError:
            return 0

    def replace_manager(self):
        self.w.kill_manager()
        self.w.start_manager()

    def settle(self):
        """An honest RM returns all quarantined memory, to this manager or to the next one."""
        for _ in range(3):
            self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")
            try:
                wait_until(lambda: self.left() == self.quiet, 3)
                return
            except AssertionError:
                self.replace_manager()
        self.assertEqual(self.left(), self.quiet, self.w.log()[-2000:])

    def live(self, message, at, value, replaced):
        ups = self.count_ups()
        self.w.model_says(f"lie {message} {at} {value}")
        unit = self.w.unit("key")
        wait_until(lambda: self.count_ups() > ups or unit.poll() is not None)
        if replaced:
            self.replace_manager()
        unit.terminate()
        unit.wait(20)
        self.w.release("key")
        self.settle()
        self.assertEqual(self.w.vm_get("other", "State"), "running")
        self.assertIsNone(self.other.poll())

    def test_one_lie(self):
        for replaced in (False, True):
            for lie in LIES:
                with self.subTest(lie=lie, replaced=replaced):
                    self.live(*lie, replaced)
        self.other.terminate()
        self.assertEqual(self.other.wait(20), 0)
        wait_until(lambda: not self.left())


if __name__ == "__main__":
    unittest.main()
