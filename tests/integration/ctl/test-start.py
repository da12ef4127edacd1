#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What ghvmctl says while it waits: for the manager, for each try of a start, for a stop."""
import os
import signal
import subprocess
import time
import unittest

import ghvmctl
import world
from ghvmctl import CTL, WAITING
from world import wait_until

# the time is missing if the try has already begun
AGAIN = r"^ghvmctl: systemd tries again to start demo (in 0.5 s )?"


class Waits(ghvmctl.Case):
    """Each wait has a time limit, and is announced after a second."""

    def test_a_manager_that_hangs(self):
        self.w.vm("demo", "powerkey\n")
        self.w.manager.send_signal(signal.SIGSTOP)
        self.addCleanup(self.w.manager.send_signal, signal.SIGCONT)
        helper = self.w.unit("demo")
        began = time.monotonic()
        out, err = self.all_of_ctl("list")
        self.assertLess(time.monotonic() - began, 15)
        self.assertIn("demo  unknown", out)
        self.assertEqual(err.splitlines(), [
            "ghvmctl: waiting for the manager to answer",
            "ghvmctl: no virtual machine can run: gave up waiting for the manager to answer after 10 s: "
            "the service hangs or is overloaded; only descriptors are listed"])
        self.assertIn("Waiting for a reply from the manager", self.w.said("demo"))
        helper.kill()

    def test_a_start_says_what_it_waits_for(self):
        self.w.vm("demo", "powerkey\n")
        self.w.model.send_signal(signal.SIGSTOP)
        p = self.start_in_background("demo")
        self.addCleanup(self.w.model.send_signal, signal.SIGCONT)
        self.assertIn("waiting for demo to start: ", p.stderr.readline())
        self.w.model.send_signal(signal.SIGCONT)
        self.assertEqual(p.wait(20), 0)
        self.ctl("stop", "demo")

    def test_a_stop_says_what_it_waits_for(self):
        self.w.vm("demo", "forever\n", lifecycle="stop-timeout: 2s")
        self.ctl("start", "demo")
        _, err = self.all_of_ctl("stop", "demo")
        self.assertIn("ghvmctl: waiting for demo to power off; it is killed", err)

    def test_on_a_terminal_it_is_a_line_that_goes(self):
        self.w.vm("demo", "forever\n", lifecycle="stop-timeout: 2s")
        self.ctl("start", "demo")
        t = self.terminal("stop", "demo")
        t.wait_for(b"\r\x1b[K")
        t.wait_for(b" waiting for demo to power off")
        t.wait_for(b"\r\x1b[Kghvmctl: demo did not power off in time")
        self.assertEqual(t.process.wait(20), 0)


class Starting(ghvmctl.Case):
    def two_tries_fail(self, status=0):
        """A start whose first and second try fail, each with its reason; what ghvmctl says of it."""
        self.w.vm("demo", "powerkey\n")
        self.w.model_says("fail hcall EIO 1 manager")
        self.w.model_says("refuse VM_INIT 2")
        _, err = self.ctl("start", "demo", status=status)
        lines = err.splitlines()
        self.assertIn("Input/output error", lines[0])
        self.assertRegex(lines[1], AGAIN + rf"\(2 of {self.tries}\)$")
        self.assertIn("VM_INIT refused with NORESOURCE", lines[2])
        return lines

    def start_that_waits(self):
        """A start of demo for which the model does not answer until SIGCONT."""
        self.w.vm("demo", "powerkey\n")
        self.w.model.send_signal(signal.SIGSTOP)
        self.addCleanup(self.w.model.send_signal, signal.SIGCONT)
        start = self.start_in_background("demo")
        self.w.wait_state("demo", "starting")
        wait_until(lambda: self.w.vm_get("demo", "SubState") not in ("", "prepare"))
        return start


class Tries(Starting):
    """A start that systemd tries again: each failure is printed, and ghvmctl waits for the last try."""
    tries = 3

    def test_it_works_at_last(self):
        lines = self.two_tries_fail()
        self.assertRegex(lines[3], AGAIN + r"\(3 of 3\)$")
        self.assertEqual(lines[4:], ["ghvmctl: demo runs after 3 tries"])
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.ctl("stop", "demo")

    def test_the_manager_knows_before_systemd(self):
        """The helper of a try that failed still runs when ghvmctl first hears of the failure."""
        self.w.model_says("fail hcall EIO 1 manager")
        start = self.start_that_waits()
        with open(f"/proc/{self.w.stand_in.pid}/task/{self.w.stand_in.pid}/children",
                  encoding="ascii") as f:
            helper = int(f.read())
        os.kill(helper, signal.SIGSTOP)
        self.w.model.send_signal(signal.SIGCONT)
        wait_until(lambda: self.w.vm_get("demo", "LastErrorTime"))
        time.sleep(1)  # enough for four checks of ghvmctl
        os.kill(helper, signal.SIGCONT)
        self.assertEqual(start.wait(20), 0)
        lines = [line for line in start.stderr.read().splitlines() if not line.startswith(WAITING)]
        self.assertIn("Input/output error", lines[0])
        self.assertRegex(lines[1], AGAIN + r"\(2 of 3\)$")
        self.assertEqual(lines[2:], ["ghvmctl: demo runs after 2 tries"])
        self.ctl("stop", "demo")

    def test_a_stop_while_it_starts(self):
        start = self.start_that_waits()
        stop = subprocess.Popen([CTL, "stop", "demo"], env=self.env, stderr=subprocess.PIPE)
        self.addCleanup(stop.stderr.close)
        wait_until(lambda: self.w.vm_get("demo", "State") == "stopping")
        self.w.model.send_signal(signal.SIGCONT)
        self.assertEqual(stop.wait(20), 0)
        self.assertEqual(start.wait(20), 1)
        self.assertEqual(start.stderr.read().splitlines()[-1],
                         "ghvmctl: demo: stopped before the start was complete")
        time.sleep(1)
        self.assertEqual(self.w.vm_get("demo", "State", "ExitReason"), ["stopped", "stopped"])
        self.w.assert_clean()

    def test_its_unit_is_stopped_while_it_starts(self):
        self.start_that_waits()
        r = self.w.busctl("call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                             "org.freedesktop.systemd1.Manager", "StopUnit", "ss",
                             "gunyah-vm@demo.service", "replace")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.w.model.send_signal(signal.SIGCONT)
        self.w.wait_state("demo", "stopped")
        self.assertEqual(self.w.vm_get("demo", "ExitReason", "LastErrorName"),
                         ["stopped", world.NAME + ".Error.Cancelled"])
        self.w.assert_clean()


class Between(ghvmctl.Case):
    tries = 3
    pause_ms = 8000

    def test_a_stop_between_two_tries(self):
        """Between two tries the VM is stopped, but the next try can be cancelled."""
        self.w.vm("demo", "powerkey\n")
        self.w.model_says("fail hcall EIO 1 manager")
        p = self.start_in_background("demo")
        for line in p.stderr:
            if "tries again to start demo in 8 s (2 of 3)" in line:
                break
        self.assertIn("  next        systemd tries again to start it in 8 s (2 of 3)\n",
                      self.ctl("status", "demo")[0])
        self.ctl("stop", "demo")
        self.assertEqual(p.wait(20), 1)
        self.assertEqual(self.w.unit_state("demo"), "inactive")
        self.assertEqual(self.w.vm_get("demo", "State"), "failed")  # unchanged


class LastTry(Starting):
    tries = 2

    def test_it_never_works(self):
        lines = self.two_tries_fail(status=1)
        self.assertEqual(lines[-1], "see: ghvmctl why demo, journalctl -u gunyah-vm@demo")
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
