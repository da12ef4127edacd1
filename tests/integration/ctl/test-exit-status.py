#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Exit statuses of ghvmctl."""
import os
import subprocess
import unittest

import ghvmctl
import world
from ghvmctl import CTL
from world import wait_until


class ExitStatus(ghvmctl.Case):
    """Exit statuses as documented in ghvmctl(1)."""

    def test_there_is_no_such_vm(self):
        self.w.vm("demo", "powerkey\n")
        defined = self.w.path("run", "lib", "vms")  # which the manager searches as well
        text = (f"ghvmctl: there is no virtual machine 'dmeo': no dmeo.yaml in {self.w.path('vms')} "
                f"or {defined}; did you mean 'demo'?\n")
        for verb in (["status"], ["start"], ["stop"], ["--force", "stop"], ["console"], ["why"],
                     ["trace"], ["plan"], ["plan", "--running"], ["validate"],
                     ["region", "list"]):
            self.assertEqual(self.ctl("--dir=" + defined, *verb, "dmeo", status=3), ("", text),
                             verb)
        for verb in (["status"], ["start"], ["stop"], ["console"], ["why"], ["trace"], ["plan"],
                     ["region", "list"]):
            _, err = self.ctl(*verb, "De\x1bmo", status=3)
            self.assertIn("ghvmctl: 'De?mo' cannot name a virtual machine: 1 to 27 of a-z", err)
        self.assertEqual(self.ctl("regoin", "list", "demo", status=2)[1],
                         "ghvmctl: unknown verb 'regoin'; did you mean 'region'?\n")

    def test_what_is_so_already_is_a_success(self):
        self.w.vm("demo", "powerkey\n")
        for args in (["stop"], ["--force", "stop"]):
            self.assertEqual(self.ctl(*args, "demo"), ("", ""))
        self.ctl("start", "demo")
        pid = self.w.vm_get("demo", "LeaderPID")
        self.assertEqual(self.ctl("start", "demo"), ("", ""))
        self.assertEqual(self.w.vm_get("demo", "LeaderPID"), pid)
        for _ in range(2):
            self.assertEqual(self.ctl("stop", "demo"), ("", ""))

    def test_what_stays_in_quarantine_is_a_failure(self):
        self.w.vm("demo", "forever\n")
        self.ctl("start", "demo")
        self.w.model_says("refuse MEM_RECLAIM 11")
        self.w.model_says("refuse MEM_RECLAIM 11")
        _, err = self.ctl("--force", "stop", "demo", status=1)
        self.assertIn("2048 pages could not be returned", err)
        wait_until(lambda: "nothing" in self.ctl("--retry", "quarantine")[0], step=0.2)

    def test_what_was_forced_is_said(self):
        self.w.vm("demo", "forever\n", lifecycle="stop-timeout: 1s")
        self.ctl("start", "demo")
        _, err = self.ctl("stop", "demo")
        self.assertEqual(err, "ghvmctl: demo did not power off in time and was killed\n")

    def test_a_stop_without_a_manager(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        self.w.kill_manager()
        _, err = self.ctl("start", "demo", status=4)
        self.assertIn("the manager cannot be started", err)
        p = subprocess.Popen([CTL, "stop", "demo"], env=self.env, text=True, stderr=subprocess.PIPE)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.addCleanup(p.stderr.close)
        self.assertIn("the manager cannot be started", p.stderr.readline())
        self.assertEqual(p.stderr.readline(),
                         "ghvmctl: asking systemd to stop the unit of demo instead\n")
        self.w.start_manager()
        self.assertEqual(p.wait(30), 0)
        self.w.assert_clean()

    def test_without_a_hypervisor(self):
        self.w.vm("demo", "powerkey\n")
        self.w.kill_manager()
        self.w.start_manager(hypervisor="/nosuch/ghvm")
        for args in (["start", "demo"], ["stop", "demo"], ["console", "demo"], ["host"]):
            out, err = self.ctl(*args, status=4)
            self.assertIn("/nosuch/ghvm: no such device", out + err)
        for args in (["list"], ["status", "demo"], ["why", "demo"]):
            out, err = self.ctl(*args)
            self.assertIn("/nosuch/ghvm: no such device", err)
            self.assertIn("stopped", out)
        self.assertNotIn("entries", self.ctl("host", status=4)[0])
        for args in (["start", "demo"], ["host"], ["why", "demo"]):
            out, err = self.ctl(*args, status=0 if args[0] == "why" else 4)
            self.assertIn("load the module (modprobe ghvm)", out + err)

    def test_what_is_in_the_way(self):
        """The journal's line, host and each start name it."""
        self.w.vm("demo", "powerkey\n")
        for number, words in (("1", "runs at EL2"), ("2", "with firmware that starts Gunyah"),
                              ("4", "the hypervisor below is UID"),
                              ("6", "/sys/bus/platform/drivers/gunyah_rsc_mgr/unbind"),
                              ("assign", "Linux 6.3 or newer")):
            with self.subTest(obstacle=number):
                self.w.kill_manager()
                self.assertEqual(self.w.model_says("obstacle " + number), {})
                self.w.start_manager()
                for args in (["start", "demo"], ["start", "demo"], ["host"]):
                    out, err = self.ctl(*args, status=4)
                    self.assertIn(words, out + err)
                with open(self.w.path("manager.log")) as log:
                    self.assertIn(words, log.read())
        self.w.kill_manager()
        self.w.model_says("obstacle 0")
        self.w.start_manager()
        self.ctl("start", "demo")
        self.ctl("stop", "demo")
        self.w.assert_clean()

    def test_a_hypervisor_that_comes(self):
        """The manager exits, so that systemd restarts it."""
        self.w.vm("demo", "powerkey\n")
        self.w.kill_manager()
        node = self.w.path("late")
        self.w.start_manager(hypervisor="unix:" + node)
        self.ctl("start", "demo", status=4)
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        self.assertEqual(self.w.vm_get("demo", "FailedStep", "LastErrorName"),
                         ["host", world.NAME + ".Error.HostUnavailable"])
        with open(self.w.path("unrelated"), "w", encoding="ascii"):
            pass
        self.assertEqual(self.json("list")[0]["name"], "demo")
        os.rename(self.w.path("hyp"), node)
        self.assertEqual(self.w.manager.wait(10), 0)
        self.w.start_manager(hypervisor="unix:" + node)
        self.ctl("start", "demo")
        self.ctl("stop", "demo")


if __name__ == "__main__":
    unittest.main()
