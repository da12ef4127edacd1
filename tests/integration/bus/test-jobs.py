#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""StartVM and its jobs, with a stand-in for systemd."""
import os
import pwd
import signal
import unittest

import case
from world import NAME, ROOT, Refused, wait_until

NOBODY = str(pwd.getpwnam("nobody").pw_uid)


class Start(case.Case):
    def setUp(self):
        super().setUp()
        self.w.start_stand_in()

    def start(self, name, user=None):
        return self.w.call(ROOT, "Manager", "StartVM", "sa{sv}", name, "0", user=user)[0]

    def test_a_job_follows_the_unit(self):
        self.w.vm("demo", "powerkey\n")
        job = self.start("demo")
        self.assertEqual(self.w.wait_job(job), ["done", "", ""])
        self.assertEqual(self.w.get(job, "Job", "Kind", "VM"), ["start", ROOT + "/vm/demo"])
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.assertEqual(self.w.error_name(ROOT, "Manager", "StartVM", "string:demo",
                                           "dict:string:string:"),
                         "org.freedesktop.DBus.Error.InvalidArgs")
        with self.assertRaisesRegex(Refused, "demo is running"):
            self.start("demo")
        self.assertEqual(self.w.wait_job(self.w.stop("demo")), ["done", "", ""])
        self.assertEqual(self.w.wait_job(self.start("demo")), ["done", "", ""])
        self.w.stop("demo", "force")
        self.w.assert_clean()

    def test_a_unit_that_has_not_ended_yet_is_started_all_the_same(self):
        self.w.vm("demo", "powerkey\n")
        self.assertEqual(self.w.wait_job(self.start("demo")), ["done", "", ""])
        runner = self.w.vm_get("demo", "LeaderPID")
        os.kill(runner, signal.SIGSTOP)
        self.assertEqual(self.w.wait_job(self.w.stop("demo", "force"))[0], "done")
        self.assertEqual(self.w.wait_job(self.start("demo")), ["done", "", ""])
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.assertNotEqual(self.w.vm_get("demo", "LeaderPID"), runner)
        self.w.stop("demo", "force")
        self.w.assert_clean()

    def test_a_start_that_fails_says_why(self):
        self.w.vm("demo", "powerkey\n")
        self.w.model_says("refuse MEM_LEND 1")
        result, error, name = self.w.wait_job(self.start("demo"))
        self.assertEqual((result, name), ("failed", NAME + ".Error.RmRejected"))
        self.assertIn("MEM_LEND", error)

    def test_what_cannot_work_is_refused_at_once(self):
        self.w.vm("demo", "off\n", extra="colour: blue\n")
        with self.assertRaisesRegex(Refused, "demo.yaml:4:1: colour"):
            self.start("demo")
        with self.assertRaisesRegex(Refused, "no virtual machine 'nobody'"):
            self.start("nobody")

    def test_results_are_kept_for_a_while_and_not_for_ever(self):
        self.w.vm("demo", "powerkey\n")
        first = None
        for i in range(70):
            if i % 2 == 0:
                job = self.start("demo")
            else:
                job = self.w.stop("demo", "force")
                wait_until(lambda: not self.w.leftovers(), 20)
            first = first or job
            self.w.wait_job(job)
            if i % 2:
                # the unit ends slightly later
                wait_until(lambda: not [f for f in os.listdir(self.w.path("log"))
                                        if f.startswith("notify")])
        with self.assertRaises(Refused):
            self.w.get(first, "Job", "State")
        self.assertEqual(self.w.get(job, "Job", "State"), "done")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
    def test_polkit_may_say_yes(self):
        self.w.vm("demo", "powerkey\n")
        self.assertEqual(self.w.wait_job(self.start("demo", user=NOBODY)), ["done", "", ""])
        self.w.vm_call("demo", "Stop", "sa{sv}", "force", "0", user=NOBODY)
        self.w.assert_clean()


class WithoutUnits(case.Case):
    polkit = "no-units"

    def test_systemd_does_not_let_us(self):
        self.w.vm("demo", "powerkey\n")
        self.w.start_stand_in()
        with self.assertRaisesRegex(Refused, "systemctl start"):
            self.w.call(ROOT, "Manager", "StartVM", "sa{sv}", "demo", "0")
        self.assertEqual(self.w.counts()["vms"], 0)


if __name__ == "__main__":
    unittest.main()
