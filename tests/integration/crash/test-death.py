#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runners and managers that die, and managers that come back."""
import os
import signal
import time
import unittest

import case
from world import wait_until


class Death(case.Case):
    def test_a_runner_takes_only_its_own_vm(self):
        a, b = self.running("one"), self.running("two")
        os.kill(self.runner_pid("one"), signal.SIGKILL)
        self.w.wait_state("one", "failed")
        self.assertEqual(self.w.vm_get("one", "ExitReason", "LastErrorName"),
                         ["runner-died", "org.gunyah.vmm1.Error.ProcessDied"])
        self.assertEqual(self.w.vm_get("two", "State"), "running")
        self.assertEqual(self.w.counts()["vms"], 1)
        b.terminate()
        self.assertEqual([a.wait(20), b.wait(20)], [-9, 0])
        self.w.assert_clean()

    def test_a_manager_that_comes_back_carries_on(self):
        unit = self.running("demo", "expect yes\nprint thanks\npowerkey\n")
        before = self.w.vm_get("demo", "VMID", "Incarnation", "SpecDigest", "MemoryLent",
                               "LeaderPID")
        self.w.kill_manager()
        self.assertEqual(self.w.counts()["quarantine"], 1)
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        wait_until(lambda: self.runner_pid("demo"))
        self.assertEqual(before, self.w.vm_get("demo", "VMID", "Incarnation", "SpecDigest",
                                               "MemoryLent", "LeaderPID"))
        with self.w.console("demo") as console:
            console.write(b"yes\n")
            wait_until(lambda: "thanks" in self.w.console_log("demo"))
        self.assertEqual(self.w.wait_job(self.w.stop("demo")), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_a_manager_that_is_stopped_leaves_guests_alone(self):
        unit = self.running("demo")
        self.w.manager.terminate()
        self.assertEqual(self.w.manager.wait(20), 0)
        self.assertIsNone(unit.poll())
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        wait_until(lambda: self.runner_pid("demo"))
        self.w.stop("demo")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_a_manager_that_is_stopped_in_the_middle_of_a_start_ends_soon(self):
        self.w.vm("demo", "powerkey\n")
        self.w.model_says("delay 500")
        unit = self.w.unit("demo")
        wait_until(lambda: self.w.state("demo") and self.w.vm_get("demo", "SubState") == "allocate")
        self.w.manager.terminate()
        self.assertEqual(self.w.manager.wait(8), 0)  # RM has 10 s for an answer
        self.assertNotRegex(self.w.log(), "does not (answer|reply)|no longer replies")
        self.assertNotEqual(unit.wait(20), 0)
        self.w.start_manager()
        self.w.assert_clean()

    def test_without_state_files_all_is_still_found(self):
        unit = self.running("demo")
        self.w.kill_manager()
        os.unlink(self.w.path("run", "state", "demo"))
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        wait_until(lambda: self.runner_pid("demo"))
        self.w.stop("demo")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_without_any_file_all_comes_back(self):
        """Without the listener of its runner, by the module's tags alone."""
        unit = self.running("demo", extra="regions: [{label: 5, size: 16K}]\n")
        self.w.kill_manager()
        for d in "state", "ctl":
            for name in os.listdir(self.w.path("run", d)):
                os.unlink(self.w.path("run", d, name))
        self.assertEqual(self.w.counts()["quarantine"], 2)
        self.w.start_manager()
        self.w.assert_clean()
        self.assertEqual(self.w.vm_get("demo", "State", "ExitReason"), ["failed", "orphaned"])
        self.assertEqual(unit.wait(50), 1)  # the vCPU runs again, and there is no notification
        self.w.vm("demo", "off\n")
        self.assertEqual(self.w.run_unit("demo"), 0)

    def test_a_stop_while_the_manager_is_dead(self):
        unit = self.running("demo", lifecycle="stop-timeout: 1s")
        self.w.kill_manager()
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)
        self.assertIn("The guest has ended, and the manager has not decided what to do", self.w.said("demo"))
        self.assertNotIn("did not power off", self.w.said("demo"))
        self.w.start_manager()
        self.w.assert_clean()

    def test_an_end_that_no_manager_saw(self):
        cases = {"off\n": 0, "fault\n": 134}
        for script, status in cases.items():
            with self.subTest(script):
                unit = self.running("demo", "sleep 700\n" + script)
                self.w.kill_manager()
                time.sleep(1)
                self.w.start_manager()
                self.assertEqual(unit.wait(20), status)
                self.w.assert_clean()

    def test_a_reset_that_no_manager_saw(self):
        unit = self.running("demo", "print up\nsleep 700\nreset\n")
        self.w.kill_manager()
        time.sleep(1)
        ups = self.w.console_log("demo").count("up")
        self.w.start_manager()
        wait_until(lambda: self.w.console_log("demo").count("up") > ups)
        self.assertIsNone(unit.poll())
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def rebooting(self, **kw):
        unit = self.running("demo", "print up\nread\nreset\n", **kw)
        wait_until(lambda: self.w.console_log("demo").count("up") == 1)
        return unit

    def reset(self):
        with self.w.console("demo") as console:
            console.write(b"x")

    def replace_manager(self, meanwhile=lambda: None):
        self.w.kill_manager()
        meanwhile()
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        wait_until(lambda: self.runner_pid("demo"))

    def test_a_reset_after_adoption_reboots_in_place(self):
        unit = self.rebooting(extra="regions: [{label: 5, size: 16K}]\n"
                                    "cpus: {count: 2}\nrm-rpc: true\n")
        known = "LeaderPID", "Incarnation", "MemoryLent", "MemoryShared", "SpecDigest"
        before = self.w.vm_get("demo", *known)
        for ups in 2, 3:
            self.replace_manager()
            self.reset()
            wait_until(lambda: self.w.console_log("demo").count("up") == ups)
            self.w.wait_state("demo", "running")
            self.assertEqual(before, self.w.vm_get("demo", *known))
            self.assertEqual(self.w.counts()["vms"], 1)
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_a_descriptor_that_was_edited_meanwhile_is_for_the_next_start(self):
        unit = self.rebooting()
        lent = self.w.vm_get("demo", "MemoryLent")
        self.w.vm("demo", "print up\nread\nreset\n", memory="16M")
        os.utime(self.w.path("demo.Image"), ns=(0, 0))
        self.replace_manager()
        self.assertEqual(self.w.vm_get("demo", "MemoryLent"), lent)
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def starts_again(self, why, meanwhile):
        unit = self.rebooting()
        self.replace_manager(meanwhile)
        self.reset()
        self.assertEqual(unit.wait(20), 133)
        self.assertRegex(self.w.log(), "cannot reboot in place: .*" + why)
        self.w.assert_clean()

    def test_a_reset_with_another_kernel_restarts_the_unit(self):
        self.starts_again("demo.Image: the file has changed since the start",
                          lambda: os.utime(self.w.path("demo.Image"), ns=(0, 0)))

    def test_a_reset_with_no_kernel_restarts_the_unit(self):
        self.starts_again("demo.Image: cannot open the file again: No such file",
                          lambda: os.unlink(self.w.path("demo.Image")))

    def test_a_reset_without_its_state_file_restarts_the_unit(self):
        self.starts_again("its state file is missing or cannot be used",
                          lambda: os.unlink(self.w.path("run", "state", "demo")))

    def test_the_state_file_of_an_older_manager_is_read(self):
        def age():
            with open(self.w.path("run", "state", "demo"), "r+", encoding="ascii") as f:
                old = f.read().replace("version 2", "version 1").splitlines()[:8]
                f.seek(0)
                f.truncate()
                f.write("\n".join(old) + "\n")

        unit = self.rebooting(lifecycle="on-reboot: stop")
        digest = self.w.vm_get("demo", "SpecDigest")
        self.replace_manager(age)
        self.assertEqual(self.w.vm_get("demo", "SpecDigest"), digest)
        self.reset()
        self.assertEqual(unit.wait(20), 0)
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "reset")
        self.w.assert_clean()

    def test_the_state_file_of_a_later_manager_is_refused(self):
        def predate():
            with open(self.w.path("run", "state", "demo"), "r+", encoding="ascii") as f:
                text = f.read()
                f.seek(0)
                f.write(text.replace("version 2", "version 9"))

        unit = self.rebooting()
        self.replace_manager(predate)
        self.assertIn("Cannot use the state file", self.w.log())
        self.reset()
        self.assertEqual(unit.wait(20), 133)
        self.w.assert_clean()

    def test_both_die(self):
        unit = self.running("demo", "forever\n")
        pid = self.runner_pid("demo")
        self.w.kill_manager()
        os.kill(pid, signal.SIGKILL)
        unit.wait(20)
        self.assertEqual(self.w.counts()["vms"], 1)
        self.w.start_manager()
        self.w.assert_clean()
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "orphaned")

    def test_a_start_waits_for_what_is_being_undone(self):
        unit = self.running("demo", "powerkey\n")
        os.kill(self.runner_pid("demo"), signal.SIGKILL)
        again = self.w.unit("demo")
        unit.wait(20)
        # refused if the manager has not noticed the exit yet; otherwise it waits and starts
        wait_until(lambda: again.poll() is not None or self.runner_pid("demo") == again.pid, 20)
        if again.poll() is None:
            again.terminate()
            self.assertEqual(again.wait(20), 0)
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
