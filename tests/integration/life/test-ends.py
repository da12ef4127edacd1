#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends of guests as on the real hypervisor: not reported to RM, before or after a reply, or not at all."""
import os
import subprocess
import time
import unittest

import case
import world
from world import wait_until

TWO = "cpus: {count: 2}\n"
# the second vCPU is running when the first one ends the machine
BUSY = "cpu 1\nforever\n"


class Case(case.Case):
    def type(self, name, text=b"x"):
        with self.w.console(name) as console:
            console.write(text)
            wait_until(lambda: "typed" in self.w.console_log(name))


class Lost(Case):
    """RM does not learn of the end (abi K.10): the vCPU stays off, or reports "reset" repeatedly."""

    def end(self, script, **kw):
        """Seconds from the unreported end to the end of the unit, and its exit status."""
        unit = self.running("demo", "print up\nread\nprint typed\n" + script, **kw)
        self.w.model_says("drop-end")
        self.type("demo")
        start = time.monotonic()
        status = unit.wait(20)
        return time.monotonic() - start, status

    def check_off(self, **kw):
        took, status = self.end(**kw)
        self.assertEqual(status, 0, self.w.said("demo"))
        self.w.wait_state("demo", "stopped")  # the runner ends before the memory is back
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "off")
        # half a second for RM to notify, a second for the manager to wait
        self.assertLess(took, 5)
        self.w.assert_clean()

    def test_an_off_of_the_only_vcpu(self):
        self.check_off(script="off\n")
        self.assertIn("All vCPUs are off", self.w.said("demo"))

    def test_an_off_of_one_of_two(self):
        self.check_off(script="cpu-on 1\noff\n" + BUSY, extra=TWO)

    def check_reset(self, script, **kw):
        unit = self.running("demo", "print up\nread\nprint typed\n" + script, **kw)
        before = self.w.vm_get("demo", "LeaderPID", "Incarnation")
        self.w.model_says("drop-end")
        self.type("demo")
        wait_until(lambda: self.w.console_log("demo").count("up") == 2, 5)
        self.w.wait_state("demo", "running")
        self.assertEqual(self.w.vm_get("demo", "LeaderPID", "Incarnation"), before)
        job = self.w.stop("demo", "force")
        self.assertEqual(self.w.wait_job(job), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_a_reset_of_the_only_vcpu(self):
        self.check_reset("reset\n")

    def test_a_reset_of_one_of_two(self):
        self.check_reset("cpu-on 1\nreset\n" + BUSY, extra=TWO)

    def test_a_reset_that_is_to_stop_it(self):
        took, status = self.end("reset\n", lifecycle="on-reboot: stop")
        self.assertEqual(status, 0)
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "reset")
        self.assertLess(took, 5)
        self.w.assert_clean()

    def test_a_crash(self):
        took, status = self.end("fault\n")
        self.assertEqual(status, 134)
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "crash")
        self.assertLess(took, 5)
        self.w.assert_clean()

    def test_an_off_after_a_stop_was_asked_for(self):
        unit = self.running("demo", "powerkey\n")
        self.w.model_says("drop-end")
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "off")  # "forced" after 30 s

    def test_while_there_is_no_manager(self):
        unit = self.running("demo", "print up\nread\nprint typed\noff\n")
        self.w.model_says("drop-end")
        console = self.w.console("demo")
        self.w.kill_manager()
        with console:
            console.write(b"x")
            wait_until(lambda: "All vCPUs are off" in self.w.said("demo"), 10)
        self.w.start_manager()
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()


class Forced(Case):
    """The notification of a forced STOP arrives before its reply."""

    def test_a_forced_stop(self):
        unit = self.running("demo", "forever\n")
        job = self.w.stop("demo", "force")
        self.assertEqual(self.w.wait_job(job), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "stopped")
        self.w.assert_clean()

    def test_a_runner_that_dies(self):
        unit = self.running("demo", "forever\n")
        unit.kill()
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "runner-died")
        self.w.assert_clean()

    def test_what_a_dead_manager_left(self):
        unit = self.running("demo", "forever\n")
        unit.kill()
        self.w.kill_manager()
        self.w.start_manager()
        self.w.assert_clean(20)


class ForcedLate(Forced):
    """The notification of a forced STOP arrives after its reply."""
    model = ("--late-stop",)


class Spinning(Case):
    """An exception loop on a production image: the guest continues to run, without an error."""
    model = ("--generation=open-2023",)

    def test_only_force_ends_it(self):
        unit = self.running("demo", "print up\nfault-loop\n", lifecycle="stop-timeout: 1s")
        wait_until(lambda: "up" in self.w.console_log("demo"))
        time.sleep(1)
        self.assertEqual(self.w.state("demo"), "running")
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)
        self.assertIn("did not power off", self.w.said("demo"))
        self.w.assert_clean()


class Seen(Case):
    """A debug image ends the guest."""
    model = ("--generation=debug",)

    def test_it_is_a_crash(self):
        self.w.vm("demo", "fault-loop\n")
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "crash")
        self.w.assert_clean()


class Watchdog(Case):
    """RM gives guests a watchdog, and ends the guest that does not feed it."""
    model = ("--generation=android14",)

    def ctl(self, *args):
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus)
        return subprocess.run([world.program("daemon/ctl/ghvmctl"), *args], env=env,
                              capture_output=True, text=True, check=True).stdout

    def test_a_bite(self):
        unit = self.running("demo", "print up\nread\nprint typed\nwatchdog-bite\n",
                            lifecycle="on-watchdog: stop")
        self.assertIn("watchdog\n  of the resource manager", self.ctl("plan", "--running", "demo"))
        self.w.kill_manager()
        self.w.start_manager()
        self.assertIn("watchdog\n  of the resource manager", self.ctl("plan", "--running", "demo"))
        self.type("demo")
        self.assertEqual(unit.wait(20), 134)
        self.w.wait_state("demo", "failed")
        self.assertEqual(self.w.vm_get("demo", "ExitReason", "LastError"),
                         ["watchdog", "the guest crashed: watchdog"])
        self.assertIn("  last end    watchdog\n", self.ctl("status", "demo"))
        self.w.assert_clean()


class LastWords(Case):
    """The message that a guest leaves with RM before its end."""
    RPC = "rm-rpc: true\n"

    def status(self):
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus)
        return subprocess.run([world.program("daemon/ctl/ghvmctl"), "status", "demo"], env=env,
                              capture_output=True, text=True, check=True).stdout

    def run_to(self, state, status):
        """The runner ends before the memory is back, and the message is known only then."""
        self.assertEqual(self.w.run_unit("demo"), status)
        self.w.wait_state("demo", state)

    def test_of_a_crash(self):
        self.w.vm("demo", "crash-message Kernel panic: \\e[2Jno init\nfault\n", extra=self.RPC)
        self.run_to("failed", 134)
        said = "Kernel panic: ?[2Jno init"  # no terminal is cleared by it
        self.assertEqual(self.w.vm_get("demo", "ExitReason", "CrashMessage"), ["crash", said])
        self.assertIn("The guest left a message: " + said, self.w.log())
        self.assertIn("  it said     " + said + "\n", self.status())
        self.w.assert_clean()

        # the next guest that ends without one
        self.w.vm("demo", "off\n", extra=self.RPC)
        self.run_to("stopped", 0)
        self.assertEqual(self.w.vm_get("demo", "CrashMessage"), "")
        self.assertNotIn("it said", self.status())

    def test_of_a_guest_that_reboots(self):
        unit = self.running("demo", "print up\nread\ncrash-message once\nprint typed\nreset\n",
                            extra=self.RPC)
        self.type("demo")
        wait_until(lambda: self.w.vm_get("demo", "CrashMessage") == "once")
        self.w.wait_state("demo", "running")
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_that_rm_does_not_tell(self):
        for how in ("refuse VM_GET_CRASH_MSG 0xffffffff", "refuse VM_GET_CRASH_MSG 3",
                    "refuse VM_GET_CRASH_MSG 77", "reply VM_GET_CRASH_MSG 00000000ffff0000",
                    "reply VM_GET_CRASH_MSG 00"):
            with self.subTest(how=how):
                self.w.vm("demo", "crash-message lost\nfault\n", extra=self.RPC)
                self.w.model_says(how)
                self.run_to("failed", 134)
                self.assertEqual(self.w.vm_get("demo", "ExitReason", "CrashMessage"), ["crash", ""])
                self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
