#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manager with real start helpers and runners: starts, stops, ends, and what it costs."""
import os
import signal
import subprocess
import time
import unittest

import case
import world
from world import ROOT, Refused, wait_until


class Options(unittest.TestCase):
    def test_a_folder_that_cannot_be_used_is_named(self):
        r = subprocess.run([world.program("daemon/manager/gunyah-vmd"), "--run-dir=/nonexistent/run"],
                           capture_output=True, text=True, check=False, timeout=20)
        self.assertEqual(r.returncode, 1)
        self.assertIn("Cannot start: /nonexistent/run (--run-dir): No such file or directory", r.stderr)


class Life(case.Case):
    def test_off_ends_the_unit_with_success(self):
        self.w.vm("demo", "print hello\noff\n")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.assertEqual(self.w.console_log("demo").split(), ["hello"])
        self.w.assert_clean()
        self.assertEqual(self.w.vm_get("demo", "State", "ExitReason", "VMID", "MemoryLent"),
                         ["stopped", "off", 0, 0])

    def test_twenty_times(self):
        self.w.vm("demo", "off\n")
        for _ in range(20):
            self.assertEqual(self.w.run_unit("demo"), 0, self.w.said("demo"))
        self.w.assert_clean()

    def test_properties_while_it_runs(self):
        unit = self.running("demo")
        state, vmid, lent, shared, pid, digest, incarnation = self.w.vm_get(
            "demo", "State", "VMID", "MemoryLent", "MemoryShared", "LeaderPID", "SpecDigest",
            "Incarnation")
        self.assertEqual((state, lent, shared), ("running", 8 << 20, 0))
        self.assertIn(vmid, range(0x80, 0xbf))
        self.assertEqual(len(digest), 16)
        self.assertNotEqual(incarnation, 0)
        self.assertEqual(os.readlink(f"/proc/{pid}/exe"),
                         os.path.realpath(world.program("daemon/runner/gunyah-vm")))
        self.assertEqual(sorted(os.listdir(self.w.path("run", "state"))), ["demo"])
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_reboot_keeps_pins_and_changes_the_vmid(self):
        unit = self.running("demo", "print up\nread\nreset\n")
        before = self.w.vm_get("demo", "VMID", "LeaderPID", "Incarnation")
        with self.w.console("demo") as console:
            console.write(b"x")
            wait_until(lambda: self.w.console_log("demo").count("up") == 2)
        self.w.wait_state("demo", "running")
        after = self.w.vm_get("demo", "VMID", "LeaderPID", "Incarnation")
        self.assertEqual(before[1:], after[1:])
        self.assertEqual(self.w.counts()["vms"], 1)
        job = self.w.stop("demo", "force")
        self.assertEqual(self.w.wait_job(job), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_console_speaks_both_ways(self):
        unit = self.running("demo", "print ask\nexpect yes\nprint thanks\noff\n")
        with self.w.console("demo") as console:
            console.write(b"yes\n")
            self.assertEqual(unit.wait(20), 0)
        self.assertEqual(self.w.console_log("demo").split(), ["ask", "thanks"])

    LOG = "devices: [{console: {logging: %s, log-size: 64K, log-count: 2}}]\n"

    def test_a_log_takes_no_more_than_its_size(self):
        lines = [f"{i:07} " + 112 * "x" for i in range(300)]  # 121 bytes each
        self.w.vm("demo", "".join(f"print {line}\n" for line in lines) + "off\n",
                  extra=self.LOG % "file")
        for _ in range(2):
            self.assertEqual(self.w.run_unit("demo", 60), 0)
        self.assertEqual(sorted(os.listdir(self.w.path("log"))), ["demo.log", "demo.log.1"])
        with open(self.w.path("log", "demo.log.1"), encoding="ascii") as f:
            kept = f.read() + self.w.console_log("demo")
        self.assertEqual(os.stat(self.w.path("log", "demo.log.1")).st_size >> 12, 15)
        self.assertLessEqual(os.stat(self.w.path("log", "demo.log")).st_size, 65536)
        self.assertTrue("".join(line + "\n" for line in 2 * lines).endswith(kept))

    def test_a_log_in_the_journal(self):
        """Lines go to the journal, the stream of standard error; there is no log file."""
        self.w.vm("demo", "print hello\nprint \x1b[31mred\noff\n", extra=self.LOG % "journal")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.assertIn("<6>guest: hello\n<6>guest: ?[31mred\n", self.w.said("demo"))
        self.assertEqual(os.listdir(self.w.path("log")), [])

    def test_no_log(self):
        self.w.vm("demo", "print hello\noff\n", extra=self.LOG % "none")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.assertNotIn("hello", self.w.said("demo"))
        self.assertEqual(os.listdir(self.w.path("log")), [])

    def test_reset_ends_it_where_the_descriptor_says_so(self):
        self.w.vm("demo", "reset\n", lifecycle="on-reboot: stop")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "reset")
        self.w.assert_clean()

    def test_a_guest_that_does_nothing_but_reboot(self):
        """After a few reboots there is a pause, which is visible; the VM can be stopped during the pause."""
        self.w.vm("demo", "print up\nreset\n")
        unit = self.w.unit("demo")
        wait_until(lambda: "demo" in os.listdir(self.w.path("run", "ctl")))
        wait_until(lambda: self.w.vm_get("demo", "State", "SubState") ==
                   ["rebooting", "reboot-pause"], 20, 0.01)
        self.assertGreaterEqual(self.w.console_log("demo").count("up"), 4)
        wait_until(lambda: self.w.console_log("demo").count("up") >= 6)
        self.assertRegex(self.w.log(), r"demo: Guest reboots in 250 ms: it has rebooted 4 times in a row")
        wait_until(lambda: self.w.vm_get("demo", "SubState") == "reboot-pause", 20, 0.01)
        self.assertEqual(self.w.wait_job(self.w.stop("demo")), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_a_crash_stops_it_for_good(self):
        self.w.vm("demo", "fault\n")
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.w.wait_state("demo", "failed")
        reason, error = self.w.vm_get("demo", "ExitReason", "LastError")
        self.assertEqual(reason, "crash")
        self.assertIn("crashed", error)
        self.w.assert_clean()

    def test_a_crash_restarts_the_unit_if_wanted(self):
        self.w.vm("demo", "fault\n", lifecycle="on-crash: restart")
        self.assertEqual(self.w.run_unit("demo"), 133)
        self.w.assert_clean()

    def test_a_guest_that_turns_every_vcpu_off_has_ended(self):
        # the second vCPU was never turned on
        self.w.vm("demo", "print up\ncpu-off\n", extra="cpus: {count: 2}\n")
        self.assertEqual(self.w.run_unit("demo", 30), 0)
        self.w.wait_state("demo", "stopped")
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "off")
        self.assertIn("All vCPUs are off", self.w.said("demo"))
        self.w.assert_clean()

    def test_two_at_once(self):
        a, b = self.running("one"), self.running("two")
        self.assertNotEqual(self.w.vm_get("one", "VMID"), self.w.vm_get("two", "VMID"))
        a.terminate()
        self.assertEqual(a.wait(20), 0)
        self.assertEqual(self.w.vm_get("two", "State"), "running")
        b.terminate()
        self.assertEqual(b.wait(20), 0)
        self.w.assert_clean()

    def test_a_second_start_is_refused_and_harmless(self):
        unit = self.running("demo")
        self.assertEqual(self.w.run_unit("demo"), 1)
        self.assertIn("demo is running", self.w.said("demo"))
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)

    def test_release_of_nothing_answers_at_once(self):
        began = time.monotonic()
        self.assertEqual(self.w.release("nobody").returncode, 0)
        self.assertLess(time.monotonic() - began, 2)

    def test_release_returns_when_all_is_back(self):
        unit = self.running("demo")
        os.kill(self.runner_pid("demo"), signal.SIGKILL)
        unit.wait(20)
        self.assertEqual(self.w.release("demo").returncode, 0)
        self.assertEqual(self.w.leftovers(), {})


class Stop(case.Case):
    def test_graceful_by_the_bus(self):
        unit = self.running("demo")
        self.assertEqual(self.w.wait_job(self.w.stop("demo")), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.assertEqual(self.w.vm_get("demo", "State", "ExitReason"), ["stopped", "off"])
        self.w.assert_clean()

    def test_patience_ends(self):
        unit = self.running("demo", "forever\n", lifecycle="stop-timeout: 1s")
        began = time.monotonic()
        self.assertEqual(self.w.wait_job(self.w.stop("demo")), ["done", "", ""])
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_by_force(self):
        unit = self.running("demo", "forever\n", lifecycle="stop-timeout: 1min")
        self.assertEqual(self.w.wait_job(self.w.stop("demo", "force")), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_force_may_follow_patience(self):
        unit = self.running("demo", "forever\n", lifecycle="stop-timeout: 1min")
        graceful = self.w.stop("demo")
        self.assertEqual(self.w.get(graceful, "Job", "State", "Result"), ["running", ""])
        self.assertEqual(self.w.wait_job(self.w.stop("demo", "force")), ["done", "", ""])
        self.assertEqual(self.w.wait_job(graceful), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)

    def test_of_what_does_not_run(self):
        self.w.vm("demo", "off\n")
        with self.assertRaisesRegex(Refused, "demo is stopped"):
            self.w.call(ROOT, "Manager", "GetVM", "s", "demo")
            self.w.stop("demo")

    def test_how_it_cannot_be_done(self):
        unit = self.running("demo")
        with self.assertRaisesRegex(Refused, "is not 'graceful' or 'force'"):
            self.w.stop("demo", "gently")
        with self.assertRaisesRegex(Refused, "unknown option 'soon'"):
            self.w.vm_call("demo", "Stop", "sa{sv}", "force", "1", "soon", "b", "true")
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)


class NoHost(case.Case):
    def setUp(self):
        super().setUp()
        self.w.manager.terminate()
        self.w.manager.wait()

    def test_it_answers_and_leaves(self):
        self.w.vm("demo", "off\n")
        self.w.start_manager(hypervisor="/nonexistent/ghvm")
        began = time.monotonic()
        self.assertEqual(self.w.error_name(ROOT, "Manager", "ListVMs"),
                         "org.gunyah.vmm1.Error.HostUnavailable")
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "State"), "unavailable")
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.assertIn("/nonexistent/ghvm", self.w.said("demo"))
        self.assertEqual(self.w.manager.wait(15), 77)
        self.assertGreater(time.monotonic() - began, 9)


class Quiet(case.Case):
    def test_idle_it_does_not_wake_and_is_small(self):
        unit = self.running("demo")
        time.sleep(0.5)
        pid = self.w.manager.pid

        def status(key):
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))

        before = status("voluntary_ctxt_switches"), status("nonvoluntary_ctxt_switches")
        time.sleep(2)
        self.assertEqual(before[0], status("voluntary_ctxt_switches"))
        if "GHVM_SANITIZED" not in os.environ:
            self.assertLess(status("VmRSS"), 8192)
        unit.terminate()
        unit.wait(20)

    def test_a_lost_bus_ends_it(self):
        self.w.daemon.kill()
        self.assertEqual(self.w.manager.wait(20), 1)
        self.assertIn("Lost the connection to the bus", self.w.log())


if __name__ == "__main__":
    unittest.main()
