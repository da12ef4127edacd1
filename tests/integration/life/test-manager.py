#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manager with real start helpers and runners: starts, ends, stops, crashes, restarts."""
import os
import signal
import subprocess
import time
import unittest

import case
import world
from world import ROOT, Refused, wait_until


class Case(case.Case):
    def running(self, name, script="powerkey\n", **kw):
        self.w.vm(name, script, **kw)
        unit = self.w.unit(name)
        wait_until(lambda: unit.poll() is None and self.known(name) == "running", 20)
        return unit

    def known(self, name):
        try:
            return self.w.vm_get(name, "State")
        except Refused:
            return None

    def runner_pid(self, name):
        return self.w.vm_get(name, "LeaderPID")


class Options(unittest.TestCase):
    def test_a_folder_that_cannot_be_used_is_named(self):
        r = subprocess.run([world.program("daemon/manager/gunyah-vmd"), "--run-dir=/nonexistent/run"],
                           capture_output=True, text=True, check=False, timeout=20)
        self.assertEqual(r.returncode, 1)
        self.assertIn("Cannot start: /nonexistent/run (--run-dir): No such file or directory", r.stderr)


class Life(Case):
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


class Stop(Case):
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


class Death(Case):
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
        wait_until(lambda: self.known("demo") and self.w.vm_get("demo", "SubState") == "allocate")
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


class RmDead(Case):
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


class Quarantine(Case):
    def given_back(self):
        self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")
        return not self.w.leftovers()

    def test_a_name_whose_guest_may_still_run(self):
        """Decision 13: two guests of one name would use the same disk."""
        unit = self.running("two", "forever\n")
        vmid = self.w.vm_get("two", "VMID")
        self.w.model_says("refuse VM_STOP 3")
        job = self.w.stop("two", "force")
        self.assertEqual(unit.wait(20), 0)
        self.assertIn("VM_STOP", self.w.wait_job(job)[1])
        self.w.model_says("refuse VM_STOP 3")  # again, in case the manager has retried
        says = f"VM 0x{vmid:x}, may still run"
        self.assertEqual(self.w.run_unit("two"), 1)
        self.assertIn(says, self.w.said("two"))
        with self.assertRaisesRegex(Refused, says):
            self.w.call(ROOT, "Manager", "StartVM", "sa{sv}", "two", "0")
        self.assertEqual(self.w.counts()["vms"], 1)
        wait_until(self.given_back, step=0.2)
        unit = self.running("two")
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()


class NoHost(Case):
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


class Quiet(Case):
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
    unittest.main(verbosity=1)
