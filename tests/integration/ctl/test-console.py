#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The console of a guest on a terminal, and where there is none."""
import fcntl
import os
import select
import signal
import subprocess
import unittest

import ghvmctl
from ghvmctl import CTL
from world import wait_until

LEAVE = b"\x1d"  # Ctrl-]


class Console(ghvmctl.Case):
    def test_both_ways_and_out(self):
        self.w.vm("demo", "print ask\nexpect yes\nprint thanks\npowerkey\n")
        self.ctl("start", "demo")
        t = self.terminal("console", "demo")
        t.wait_for(b"Connected to demo; Ctrl-] disconnects")
        t.wait_for(b"ask")
        t.type(b"yes\n")
        t.wait_for(b"thanks")
        self.assertFalse(t.is_as_before())
        t.type(LEAVE)
        self.assertEqual(t.process.wait(20), 0)
        self.assertTrue(t.is_as_before())
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.ctl("stop", "demo")

    def test_it_ends_with_the_guest(self):
        self.w.vm("demo", "print ask\nexpect yes\nprint bye\noff\n")
        self.ctl("start", "demo")
        t = self.terminal("console", "demo")
        t.wait_for(b"ask")
        t.type(b"yes\n")
        t.wait_for(b"bye")
        self.assertEqual(t.process.wait(20), 0)
        self.assertTrue(t.is_as_before())

    def test_it_follows_a_reboot_in_place(self):
        self.w.vm("demo", "print up\nexpect go\nreset\n")
        self.ctl("start", "demo")
        t = self.terminal("console", "demo")
        for _ in range(3):
            t.wait_for(b"up")
            t.type(b"go\n")
        t.wait_for(b"up")
        self.assertIsNone(t.process.poll())
        self.ctl("--force", "stop", "demo")
        self.assertEqual(t.process.wait(20), 0)

    def test_it_follows_a_restart_of_the_unit(self):
        self.w.vm("demo", "print up\nexpect go\nreset\n")
        self.ctl("start", "demo")
        self.w.kill_manager()
        os.unlink(self.w.path("run", "state", "demo"))  # so the guest cannot reboot in place
        self.w.start_manager()
        wait_until(lambda: self.w.vm_get("demo", "State") == "running")
        pid = self.w.vm_get("demo", "LeaderPID")
        t = self.terminal("console", "demo")
        t.wait_for(b"up")
        t.type(b"go\n")
        t.wait_for(b"up", 30)
        self.assertNotEqual(self.w.vm_get("demo", "LeaderPID"), pid)
        t.type(LEAVE)
        self.assertEqual(t.process.wait(20), 0)
        self.ctl("--force", "stop", "demo")

    def connected(self, script="powerkey\n", *options):
        self.w.vm("demo", script)
        self.ctl("start", "demo")
        t = self.terminal("console", *options, "demo")
        t.wait_for(b"Connected")
        wait_until(lambda: not t.is_as_before())
        return t

    def test_a_signal_leaves_the_terminal_as_it_was(self):
        t = self.connected()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            t.process.send_signal(number)
            self.assertEqual(t.process.wait(20), 0)
            self.assertTrue(t.is_as_before())
            t = self.terminal("console", "demo")
            t.wait_for(b"Connected")
        t.type(LEAVE)
        t.process.wait(20)
        self.ctl("stop", "demo")

    def state_of(self, process):
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0]

    def test_while_it_is_stopped_the_terminal_is_as_it_was(self):
        t = self.connected("expect yes\nprint thanks\npowerkey\n")
        for _ in range(2):
            t.process.send_signal(signal.SIGTSTP)
            wait_until(lambda: self.state_of(t.process) == "T")
            self.assertTrue(t.is_as_before())
            t.process.send_signal(signal.SIGCONT)
            wait_until(lambda: not t.is_as_before())
        t.type(b"yes\n")
        t.wait_for(b"thanks")
        t.type(LEAVE)
        self.assertEqual(t.process.wait(20), 0)
        self.assertTrue(t.is_as_before())

    def test_a_guest_that_takes_no_input(self):
        """Ctrl-] and signals work, too."""
        t = self.connected("forever\n")
        for leave in (lambda: t.type(LEAVE), lambda: t.process.send_signal(signal.SIGTERM)):
            for _ in range(100):
                t.type(4000 * b"x")
                while select.select([t.fd], [], [], 0)[0]:
                    os.read(t.fd, 65536)  # bells
            leave()
            self.assertEqual(t.process.wait(20), 0)
            self.assertTrue(t.is_as_before())
            t = self.terminal("console", "demo")
            t.wait_for(b"Connected")
        t.type(LEAVE)
        self.assertEqual(t.process.wait(20), 0)
        _, err = self.ctl("console", "demo", input=500000 * "x", status=1)
        self.assertRegex(err, r"demo reads no input: \d+ bytes were not sent")

    def test_a_guest_whose_runner_is_killed(self):
        t = self.connected()
        os.kill(self.w.vm_get("demo", "LeaderPID"), signal.SIGKILL)
        t.process.wait(20)
        self.assertTrue(t.is_as_before())

    def test_it_outlives_its_manager(self):
        t = self.connected("print ask\nexpect yes\nprint thanks\npowerkey\n")
        t.wait_for(b"ask")
        self.w.kill_manager()
        t.type(b"yes\n")
        t.wait_for(b"thanks")
        t.type(LEAVE)
        self.assertEqual(t.process.wait(20), 0)
        self.assertTrue(t.is_as_before())
        self.w.start_manager()

    ECHO = "print up\necho bye\npowerkey\n"

    def test_one_at_a_time(self):
        t = self.connected(self.ECHO)
        t.wait_for(b"up")
        _, err = self.ctl("console", "demo", status=1)
        self.assertIn("demo: another client uses this console; --read-only watches it, "
                      "--force takes it over", err)
        watchers = [self.terminal("console", "--read-only", "demo") for _ in range(2)]
        for watcher in watchers:
            watcher.wait_for(b"Connected to demo (read-only)")
        t.type(b"to all\n")
        for one in (t, *watchers):
            one.wait_for(b"to all")
        watchers[0].type(b"nobody hears this\n")
        other = self.terminal("console", "--force", "demo")
        t.wait_for(b"another client has taken over the console")
        self.assertEqual(t.process.wait(20), 1)
        self.assertTrue(t.is_as_before())
        other.wait_for(b"Connected")
        other.type(b"mine\n")
        for one in (other, *watchers):
            one.wait_for(b"mine")
            self.assertNotIn(b"hears", one.text)
        watchers[0].type(LEAVE)
        self.assertEqual(watchers[0].process.wait(20), 0)
        watchers[1].type(b"\x03")  # Ctrl-C ends the watcher
        self.assertEqual(watchers[1].process.wait(20), 0)
        self.assertTrue(watchers[1].is_as_before())
        self.ctl("--force", "stop", "demo")
        self.assertEqual(other.process.wait(20), 0)

    def test_it_waits_for_a_vm_that_is_not_up(self):
        self.w.vm("demo", self.ECHO)
        self.ctl("console", "--wait", "nosuch", status=3)
        t = self.terminal("console", "--wait", "demo")
        t.wait_for(b"demo is stopped; waiting for it to start, Ctrl-C quits")
        self.assertTrue(t.is_as_before())
        for _ in range(2):
            self.ctl("start", "demo")
            t.wait_for(b"Connected")
            t.wait_for(b"up")
            self.ctl("--force", "stop", "demo")
            t.wait_for(b"waiting for the console, Ctrl-C quits")
            wait_until(t.is_as_before)
        t.process.send_signal(signal.SIGINT)
        t.process.wait(20)

    def test_output_that_nobody_reads(self):
        self.w.vm("demo", self.ECHO)
        self.ctl("start", "demo")
        with self.w.console("demo") as types:
            read, write = os.pipe()
            self.addCleanup(os.close, read)
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
            watcher = subprocess.Popen([CTL, "console", "--read-only", "demo"], stdout=write,
                                       stdin=subprocess.DEVNULL, env=self.env)
            os.close(write)
            for _ in range(100):
                types.write(99 * b"x" + b"\n")
                left = 100
                while left:
                    left -= len(types.read(left))
            watcher.terminate()
            self.assertEqual(watcher.wait(20), 0)

    def test_input_that_is_no_terminal(self):
        self.w.vm("demo", "print ask\nexpect yes\nprint thanks\npowerkey\n")
        self.ctl("start", "demo")
        out, err = self.ctl("console", "demo", input="yes\n")
        self.assertEqual((out.split(), err), (["ask", "thanks"], ""))
        self.ctl("stop", "demo")

    def test_of_what_does_not_run(self):
        self.w.vm("demo", "off\n")
        _, err = self.ctl("console", "demo", status=1)
        self.assertEqual(err, "ghvmctl: demo is stopped; start it, or wait for it with --wait\n")
        for verb in (["console"], ["--force", "stop"]):
            _, err = self.ctl(*verb, "nosuch", status=3)
            self.assertIn("there is no virtual machine 'nosuch'", err)


if __name__ == "__main__":
    unittest.main()
