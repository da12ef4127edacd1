#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A resource manager that no longer replies."""
import time
import unittest

import case
from world import ROOT, Refused, wait_until


class DeadResourceManager(case.Case):
    def test_a_dead_one_is_a_state_and_not_a_hang(self):
        unit = self.running("demo", "forever\n")
        self.w.model_says("kill-rm")
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        released = self.w.release("demo")
        self.assertIn("2048 pages quarantined", released.stderr)
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "State"), "rm-dead")
        began = time.monotonic()
        self.assertIn("2048 pages quarantined", self.w.release("demo").stderr)
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn("resource manager", self.w.said("demo"))
        self.assertEqual(self.w.counts()["violations"], 0)

    def test_dead_at_the_start_of_a_manager(self):
        unit = self.running("demo", "forever\n")
        self.w.kill_manager()
        self.w.model_says("kill-rm")
        self.w.start_manager()
        self.assertIsNone(unit.poll())
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "State", "PagesQuarantined"),
                         ["rm-dead", 2048])
        self.assertIn("2048 pages quarantined", self.w.release("demo").stderr)


class RmDead(case.Case):
    LIMIT = 3  # seconds for an answer that needs no resource manager

    def promptly(self, what, *args):
        began = time.monotonic()
        got = what(*args)
        self.assertLess(time.monotonic() - began, self.LIMIT)
        return got

    def everything_answers(self):
        vms = self.promptly(self.w.call, ROOT, "Manager", "ListVMs")[0]
        self.assertEqual(sorted(v[0] for v in vms), ["demo", "other"])
        self.promptly(self.w.call, ROOT, "Manager", "GetVM", "s", "other")
        self.promptly(self.w.call, ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0")
        self.promptly(self.w.call, ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")
        self.promptly(self.w.get, ROOT + "/host", "Host", "State")
        self.assertEqual(self.promptly(self.w.vm_get, "other", "State"), "running")

    def test_nothing_hangs(self):
        other = self.running("other")
        unit = self.running("demo", "forever\n")
        self.w.model_says("kill-rm")
        job = self.promptly(self.w.stop, "demo", "force")
        # 10 s and 5 s, decision 27
        while self.w.get(job, "Job", "State") != "done":
            self.everything_answers()
        self.assertEqual(unit.wait(20), 0)
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "State"), "rm-dead")
        self.everything_answers()
        self.assertIn("2048 pages quarantined", self.promptly(self.w.release, "demo").stderr)
        self.assertEqual(self.promptly(self.w.run_unit, "demo"), 134)
        with self.assertRaisesRegex(Refused, "reboot the host"):
            self.promptly(self.w.call, ROOT, "Manager", "StartVM", "sa{sv}", "demo", "0")
        self.assertIsNone(other.poll())
        self.promptly(self.w.console, "other").close()
        job = self.promptly(self.w.stop, "other", "force")
        self.assertEqual(other.wait(20), 0)
        self.assertIn("only a reboot", self.w.wait_job(job)[1])
        self.assertEqual(self.w.vm_get("other", "State", "PagesQuarantined"), ["failed", 2048])
        self.assertIn("2048 pages quarantined", self.promptly(self.w.release, "other").stderr)

    def test_a_unit_that_ends_keeps_its_pages(self):
        self.running("demo", "forever\n")
        other = self.running("other")
        self.w.model_says("kill-rm")
        self.w.stop("demo", "force")
        wait_until(lambda: self.w.get(ROOT + "/host", "Host", "State") == "rm-dead", 30)
        other.kill()
        # as by systemd, without a request to the manager
        self.assertIn("2048 pages quarantined", self.promptly(self.w.release, "other").stderr)
        for _ in range(2):
            self.w.kill_manager()
            self.w.start_manager()
            self.assertEqual(self.w.get(ROOT + "/host", "Host", "State", "PagesQuarantined"),
                             ["rm-dead", 4096])
            for name in "demo", "other":
                self.assertEqual(self.promptly(self.w.vm_get, name, "State"), "stopped")
                self.assertIn("2048 pages quarantined",
                              self.promptly(self.w.release, name).stderr)
                self.assertEqual(self.promptly(self.w.run_unit, name), 134)
        self.assertEqual(self.w.counts()["quarantined_pages"], 4096)
        self.assertEqual(self.w.counts()["violations"], 0)
        self.assertEqual(self.w.counts()["violations"], 0)


if __name__ == "__main__":
    unittest.main()
