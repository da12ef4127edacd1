#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What remains of an earlier guest of a VM, and its next start."""
import json
import os
import signal
import subprocess
import time
import unittest

import case
import world
from world import ROOT, wait_until


class Adoption(case.Case):
    def leave_remains(self, script="off\n"):
        """Run demo so that RM does not return its memory; the first RECLAIM belongs to the presplit."""
        self.w.vm("demo", script)
        self.w.model_says("refuse MEM_RECLAIM 11 2")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.w.vm_get("demo", "PagesQuarantined"), 2048)

    def running_again(self):
        """The VM can be started while its earlier memory is in quarantine."""
        self.w.vm("demo", "forever\n")
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        return unit, self.w.vm_get("demo", "VMID", "Incarnation")

    def assert_carried_on(self, unit, before):
        self.assertEqual(self.w.vm_get("demo", "State"), "running", self.w.log())
        wait_until(lambda: self.w.vm_get("demo", "LeaderPID"))
        self.assertEqual(self.w.vm_get("demo", "VMID", "Incarnation"), before)
        wait_until(lambda: self.w.vm_get("demo", "PagesQuarantined") == 0)
        self.assertEqual(self.w.counts()["vms"], 1)
        self.assertIsNone(unit.poll())
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_remains_do_not_take_the_place_of_a_guest_that_runs(self):
        self.leave_remains()
        unit, before = self.running_again()
        self.w.kill_manager()
        self.w.start_manager()
        self.assertIn("2048 pages quarantined: left by an earlier manager", self.w.log())
        self.assert_carried_on(unit, before)

    def test_nor_do_they_without_a_state_file(self):
        self.leave_remains()
        unit, before = self.running_again()
        self.w.kill_manager()
        os.unlink(self.w.path("run", "state", "demo"))
        self.w.start_manager()
        self.assert_carried_on(unit, before)

    def next_manager_asks(self):
        """Number of hypercalls of a starting manager, and the messages in its trace."""
        before = self.w.counts()["calls"]
        self.w.start_manager()
        asked = self.w.counts()["calls"] - before
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus)
        r = subprocess.run([world.program("daemon/ctl/ghvmctl"), "--json", "trace"], env=env,
                           capture_output=True, text=True, check=True)
        return asked, [json.loads(line) for line in r.stdout.splitlines()]

    def test_a_manager_asks_only_what_it_needs(self):
        self.w.vm("demo", "powerkey\n")  # the guest sleeps and makes no calls
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.w.manager.terminate()
        self.assertEqual(self.w.manager.wait(20), 0)
        few, trace = self.next_manager_asks()
        self.assertLess(few, 90)
        self.assertIn("VM_GET_STATE", [m["message"] for m in trace if m["vm"] == "demo"])

        # a killed manager may have left a VMID; the mark of an earlier manager does not count
        self.w.kill_manager()
        many, trace = self.next_manager_asks()
        self.assertGreater(many, few + 100)
        self.assertNotIn("VM_GET_STATE", [m["message"] for m in trace if m["vm"] != "demo"])
        self.assertLess(len(trace), 60)
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def next_manager_and_a_frozen_runner(self):
        """A new manager finds a guest whose runner does not reply."""
        self.w.vm("demo", "forever\n")
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.w.kill_manager()
        unit.send_signal(signal.SIGSTOP)
        self.w.start_manager(wait=False)
        wait_until(lambda: "Found a guest of an earlier manager" in self.w.log())
        return unit

    def test_a_guest_that_runs_has_a_runner(self):
        """The manager acquires its bus name only when the runner of each guest has replied."""
        unit = self.next_manager_and_a_frozen_runner()
        time.sleep(0.3)
        self.assertFalse(self.w.answers())
        unit.send_signal(signal.SIGCONT)
        wait_until(self.w.answers)
        self.assertEqual(self.w.vm_get("demo", "State", "LeaderPID"), ["running", unit.pid])

    def test_a_manager_can_be_ended_while_it_waits_for_a_runner(self):
        unit = self.next_manager_and_a_frozen_runner()
        self.w.manager.terminate()
        self.assertEqual(self.w.manager.wait(10), 0)
        unit.send_signal(signal.SIGCONT)
        self.w.start_manager()
        self.assertEqual(self.w.vm_get("demo", "State", "LeaderPID"), ["running", unit.pid])

    def test_a_vmid_that_is_not_taken_back_is_tried_again(self):
        """A VMID without pages is freed, too: RM has only 63."""
        self.w.vm("demo", "off\n")
        self.w.model_says("refuse VM_DEALLOCATE 5")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.w.vm_get("demo", "PagesQuarantined"), 0)
        self.assertEqual(self.w.leftovers(), {"vms": 1})
        self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")
        self.w.assert_clean()


class UnusualVmid(case.Case):
    """A resource manager that allocates VMIDs below 0x80, as one SoC's."""
    model = ("--first-vmid=45",)

    def test_what_one_manager_starts_the_next_one_adopts(self):
        self.w.vm("demo", "powerkey\n")
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.w.kill_manager()
        self.w.start_manager()
        self.assertEqual(self.w.vm_get("demo", "State", "VMID"), ["running", 45], self.w.log())
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_one_without_pages_is_found_again(self):
        """It has no tag: a manager has died before the first guard, or after the last RECLAIM."""
        self.w.vm("demo", "powerkey\n")
        self.w.model_says("fail pin-set EIO 1 manager")
        self.w.model_says("refuse VM_DEALLOCATE 5")
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.w.leftovers(), {"vms": 1})
        self.assertIn("vmid.45", os.listdir(self.w.path("run", "state")))
        self.w.kill_manager()
        self.w.start_manager()
        self.w.assert_clean()
        self.assertIn("VM without an owner: tearing it down", self.w.log())


if __name__ == "__main__":
    unittest.main(verbosity=1)
