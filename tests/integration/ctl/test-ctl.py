#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ghvmctl with the real manager, start helpers and runners, and a stand-in for systemd."""
import errno
import fcntl
import glob
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import case
import world
from world import wait_until

CTL = world.program("daemon/ctl/ghvmctl")
LEAVE = b"\x1d"  # Ctrl-]


class Terminal:
    """ghvmctl on a pseudo-terminal."""

    def __init__(self, env, *args, user=None):
        self.fd, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.text = self.all = b""
        self.process = subprocess.Popen([CTL, *args], stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, env=env, start_new_session=True,
                                        user=user, extra_groups=None if user is None else [],
                                        preexec_fn=self.own)

    @staticmethod
    def own():
        """In the child: make the terminal its controlling terminal."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def wait_for(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self.fd], [], [], 0.2)[0]:
                self.all += (new := os.read(self.fd, 4096))
                self.text += new
        self.text = self.text[self.text.index(text) + len(text):]

    def type(self, data):
        os.write(self.fd, data)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self.fd)


WAITING = "ghvmctl: waiting for "
# the time is missing if the try has already begun
AGAIN = r"^ghvmctl: systemd tries again to start demo (in 0.5 s )?"


class Case(case.Case):
    tries = 1  # number of tries of a start by systemd
    pause_ms = 500  # between two tries

    def setUp(self):
        super().setUp()
        self.w.start_stand_in(self.tries, self.pause_ms)
        self.env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.w.bus, "TERM": "xterm"}

    def ctl(self, *args, status=0, **kw):
        """Its output: what it prints, and what it complains of.

        How long it waits, and so what it says of that, depends on the machine.
        """
        out, err = self.all_of_ctl(*args, status=status, **kw)
        return out, "".join(line for line in err.splitlines(True) if not line.startswith(WAITING))

    def all_of_ctl(self, *args, status=0, **kw):
        r = subprocess.run([CTL, "--dir=" + self.w.path("vms"), *args], env=self.env, text=True,
                           capture_output=True, check=False, timeout=60, **kw)
        self.assertEqual(r.returncode, status, (args, r.stdout, r.stderr))
        return r.stdout, r.stderr

    def json(self, *args):
        return json.loads(self.ctl("--json", *args)[0])

    def start_in_background(self, name):
        p = subprocess.Popen([CTL, "--dir=" + self.w.path("vms"), "start", name], env=self.env,
                             text=True, stderr=subprocess.PIPE)
        self.addCleanup(p.stderr.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def terminal(self, *args):
        t = Terminal(self.env, *args)
        self.addCleanup(t.close)
        return t


class Verbs(Case):
    def test_a_life(self):
        head = "NAME  STATE    VMID  LENT  SHARED  NOTE\n"
        self.w.vm("demo", "powerkey\n")
        self.assertEqual(self.ctl("list"), (head + "demo  stopped  -     -     -       \n", ""))
        self.assertEqual(self.ctl("start", "demo"), ("", ""))
        vmid, pid = self.w.vm_get("demo", "VMID", "LeaderPID")
        self.assertEqual(self.ctl("list"),
                         (head + f"demo  running  {vmid}   8M    -       \n", ""))
        self.assertEqual(self.ctl("status", "demo")[0].splitlines(), [
            "demo: running", f"  vmid        {vmid}", f"  runner      pid {pid}",
            "  lent        8M", "  devices     uart, power-key"])
        self.assertEqual(self.ctl("why", "demo")[0].splitlines()[1],
                         "  nothing has failed since the manager started")
        self.assertEqual(self.ctl("stop", "demo"), ("", ""))
        self.w.assert_clean()
        self.assertEqual(self.ctl("status", "demo")[0].splitlines()[0], "demo: stopped")

    def test_what_the_runner_says_of_its_guest(self):
        """A guest in an endless loop is shown as running."""
        self.w.vm("demo", "forever\n")
        self.ctl("start", "demo")
        said = "vCPU 0 runs without an exit since 2026-11-30 03:00:00, no output at all"
        (path,) = glob.glob(self.w.path("log", "notify-*"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"STATUS=Running; " + said.encode(), path)
        wait_until(lambda: f"  guest       {said}" in self.ctl("status", "demo")[0].splitlines())
        self.assertIn(f"  guest  {said}", self.ctl("why", "demo")[0].splitlines())
        self.assertEqual(self.json("status", "demo")["guest"], said)
        self.assertEqual(self.json("why", "demo")["guest"], said)
        self.ctl("--force", "stop", "demo")
        self.assertNotIn("guest", self.ctl("status", "demo")[0])
        self.w.assert_clean()

    def test_json_is_json(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        vm = self.json("status", "demo")
        self.assertEqual((vm["name"], vm["state"], vm["lent"], vm["shared"]),
                         ("demo", "running", 8 << 20, 0))
        self.assertEqual(vm["devices"], ["uart", "power-key"])
        self.assertEqual(vm["vmid"], self.json("list")[0]["vmid"])
        host = self.json("host")
        self.assertEqual((host["state"], host["reason"], host["vmids"], host["vmids_stuck"]),
                         ("ok", "", 1, 0))
        self.assertGreater(host["entries_used"], 0)
        self.assertEqual(self.json("quarantine"), [])
        self.assertEqual(self.json("plan", "demo")["memory"], 8 << 20)
        self.ctl("stop", "demo")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
    def test_polkit_has_somebody_to_ask_on_a_terminal(self):
        agent = self.w.path("bin", "pkttyagent")
        os.mkdir(self.w.path("bin"))
        with open(agent, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho \"asks for you: $*\"\neval \"exec $2>&-\"\n"
                    "exec sleep 100\n")
        os.chmod(agent, 0o755)
        env = {**self.env, "PATH": self.w.path("bin") + ":" + os.environ["PATH"]}
        self.w.vm("demo", "forever\n")
        self.ctl("start", "demo")
        for args, asked in ((("--force", "stop", "demo"), True), (("list",), False)):
            t = Terminal(env, "--dir=" + self.w.path("vms"), *args, user=65534)
            self.assertEqual(t.process.wait(60), 0)
            os.write(t.slave, b"the end")
            t.wait_for(b"the end")
            self.assertEqual(b"asks for you: --notify-fd" in t.all, asked, t.all)
            t.close()
        self.w.assert_clean()

    def test_stop_by_force_does_not_ask(self):
        self.w.vm("demo", "forever\n", lifecycle="stop-timeout: 100s")
        self.ctl("start", "demo")
        began = time.monotonic()
        self.ctl("--force", "stop", "demo")
        self.assertLess(time.monotonic() - began, 20)
        self.w.assert_clean()

    def test_what_does_not_run_is_stopped(self):
        self.w.vm("demo", "off\n")
        self.ctl("stop", "demo")

    def test_a_refused_start_says_why(self):
        self.w.vm("demo", "off\n", memory="34M")
        with open(self.w.path("demo.Image"), "r+b") as f:
            f.write(b"\x1f\x8b")
            f.seek(56)
            f.write(b"nope")
        out, err = self.ctl("start", "demo", status=1)
        self.assertEqual(out, "")
        self.assertRegex(err.splitlines()[0], "^ghvmctl: demo: .*demo.yaml:2:17: kernel.image: .*/demo.Image: "
                         "compressed with gzip; unpack it first$")
        self.assertIn("ghvmctl: result of the unit: exit-code, status 134", err)
        self.assertIn("see: ghvmctl why demo, journalctl -u gunyah-vm@demo", err)
        why = self.ctl("why", "demo")[0]
        self.assertIn("compressed with gzip", why)
        self.assertIn("  try    kernel.image is a flat arm64 Image, not compressed and not an ELF "
                      "file: ghvmctl validate demo", why)
        self.assertNotIn("messages to and from", why)  # there was no request to RM
        self.assertIn("ghvmctl validate demo", self.json("why", "demo")["hint"])
        self.w.assert_clean()

    def test_a_new_descriptor_is_found(self):
        self.ctl("status", "late", status=3)
        self.w.vm("late", "off\n")
        self.assertEqual(self.ctl("status", "late")[0], "late: stopped\n")

    def test_without_a_manager(self):
        self.w.vm("demo", "off\n")
        self.w.kill_manager()
        out, err = self.ctl("list")
        self.assertIn("demo  unknown", out)
        self.assertIn("only descriptors are listed", err)
        for verb in (["status", "demo"], ["why", "demo"], ["host"], ["quarantine"],
                     ["console", "demo"], ["--force", "stop", "demo"]):
            self.ctl(*verb, status=4)


class ExitStatus(Case):
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


class Waits(Case):
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


class Starting(Case):
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


class Between(Case):
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
        r = self.w.busctl("get-property", "org.freedesktop.systemd1",
                          "/org/freedesktop/systemd1/unit/gunyah_2dvm_40demo_2eservice",
                             "org.freedesktop.systemd1.Unit", "ActiveState")
        self.assertIn("inactive", r.stdout)
        self.assertEqual(self.w.vm_get("demo", "State"), "failed")  # unchanged


class Mistakes(Case):
    """Each program that refuses a descriptor reports all its errors."""

    def test_a_start_without_ghvmctl_tells_all(self):
        self.w.vm("demo", "off\n", extra="colour: blue\ncpus: {count: 1000}\n")
        self.assertEqual(self.w.run_unit("demo"), 134)
        place = self.w.path("vms", "demo.yaml")
        with self.assertRaises(world.Refused) as refused:
            self.w.call(world.ROOT, "Manager", "StartVM", "sa{sv}", "demo", "0")
        for said in self.w.said("demo"), str(refused.exception):
            self.assertRegex(said, place + ":4:1: colour: ")
            self.assertRegex(said, place + ":5:15: cpus.count: ")
            self.assertEqual(said.count(place), 2)
        self.w.assert_clean()

    def test_a_file_is_checked_with_its_drop_ins(self):
        self.w.vm("demo", "off\n")
        file = self.w.path("vms", "demo.yaml")
        self.ctl("validate", "--offline", file)
        os.mkdir(file + ".d")
        with open(file + ".d/50-more.yaml", "w", encoding="ascii") as f:
            f.write("colour: blue\n")
        for arg, cwd in ((file, None), ("demo.yaml", self.w.path("vms"))):
            out, err = self.ctl("validate", "--offline", arg, status=1, cwd=cwd)
            self.assertIn("/demo.yaml.d/50-more.yaml:1:1: colour: ", out + err)

    def test_an_overlay_is_as_large_for_ghvmctl_as_for_the_manager(self):
        blob = self.w.path("large.dtbo")
        with open(blob, "wb") as f:
            f.write(b"\xd0\x0d\xfe\xed" + bytes(32768 - 3))
        self.w.vm("demo", "off\n")
        with open(self.w.path("vms", "demo.yaml"), "r+", encoding="ascii") as f:
            text = f.read().replace("cmdline:", f"dtb-overlay: {blob}, cmdline:")
            f.seek(0)
            f.write(text)
        self.assertEqual(self.w.run_unit("demo"), 134)
        out, err = self.ctl("plan", "demo", status=1)
        for said in self.w.said("demo"), out + err:
            self.assertIn("kernel.dtb-overlay: " + blob + ": has 32769 bytes, the limit is "
                          "32768", said)

    def test_why_says_that_the_resource_manager_is_dead(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        self.w.model_says("kill-rm")
        self.ctl("--force", "stop", "demo", status=1)
        self.assertIn("  host   the resource manager no longer replies: ",
                      self.ctl("why", "demo")[0])


class LastTry(Starting):
    tries = 2

    def test_it_never_works(self):
        lines = self.two_tries_fail(status=1)
        self.assertEqual(lines[-1], "see: ghvmctl why demo, journalctl -u gunyah-vm@demo")
        self.w.assert_clean()


class Console(Case):
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


class Quarantine(Case):
    def test_it_is_shown_and_can_be_retried(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        self.assertEqual(self.ctl("quarantine"), ("nothing is in quarantine\n", ""))
        self.assertEqual(self.json("quarantine"), [])
        self.ctl("--retry", "quarantine")
        self.ctl("stop", "demo")

    def retried(self):
        return "nothing" in self.ctl("--retry", "quarantine")[0]

    def test_an_entry(self):
        self.w.vm("demo", "forever\n")
        self.ctl("start", "demo")
        vmid = self.w.vm_get("demo", "VMID")
        self.w.model_says("refuse MEM_RECLAIM 11")
        self.w.stop("demo", "force")
        self.w.wait_state("demo", "failed")
        self.w.model_says("refuse MEM_RECLAIM 11")  # again, in case the manager has retried
        head, row = self.ctl("quarantine")[0].splitlines()
        self.assertEqual(head.split(), ["VM", "VMID", "PAGES", "TRIES", "REASON"])
        name, number, pages, tries, why = row.split(maxsplit=4)
        self.assertEqual((name, number, pages), ("demo", str(vmid), "2048"))
        self.assertIn(tries, "12")
        self.assertIn("MEM_RECLAIM refused with MEM_INUSE (11)", why)
        (entry,) = self.json("quarantine")
        self.assertIn(entry.pop("attempts"), (1, 2))
        self.assertEqual(entry, {"vm": "demo", "vmid": vmid, "pages": 2048, "reason": why})
        self.assertIn("quarantine   2048 pages", self.ctl("host")[0])
        self.assertIn(f"demo: 2048 pages quarantined: {why}\n", self.w.log())
        wait_until(self.retried, step=0.2)
        self.assertIn("demo: Quarantined memory has been returned\n", self.w.log())
        self.w.assert_clean()


class Generation:
    """How each generation of resource manager is recognised, and what is possible with it."""
    presplit = True
    shared = False
    regions = True
    registers = False
    layout = False
    android = True

    def test_the_row_and_a_start(self):
        host = self.json("host")
        self.assertEqual(host["generation"], self.generation)
        self.assertTrue(host["generation_reason"])
        self.assertEqual(int(host["identify"][0]) & 0x3fff, 1)
        for word in host["identify"]:  # numbers above 2^53 are strings
            self.assertEqual(isinstance(word, str), int(word) > 1 << 53, word)
        quirks = {k: q["value"] for k, q in host["quirks"].items()}
        self.assertEqual(quirks, {
            "entries": 4000, "message-entries": 64, "parcels": 64, "vmid-first": 0x80,
            "vmid-last": 0xbe, "doorbells": 32, "tree-size": 0x4000, "tree-align": 8,
            "presplit": self.presplit, "image-share": self.shared, "regions": self.regions,
            "boot-context": self.registers, "address-layout": self.layout,
            "auth-android": self.android, "auth-platform": self.registers,
            "scheduled-vcpus": False})
        self.assertTrue(all(q["source"] for q in host["quirks"].values()))
        self.assertEqual(host["entries_budget"], quirks["entries"])
        text = self.ctl("host")[0]
        self.assertIn(f"rm           {self.generation}: {host['generation_reason']}\n", text)
        self.assertIn(f"  image-share      {'yes' if self.shared else 'no'} ", text)
        self.assertIn("entries      0 of 4000 used, 4000 free, in 0 parcels\n", text)

        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        self.ctl("stop", "demo")
        self.w.assert_clean()

    def start(self, name, works, why):
        if works:
            self.ctl("start", name)
            self.assertEqual(self.w.vm_get(name, "State"), "running")
            self.ctl("stop", name)
        else:
            _, err = self.ctl("start", name, status=1)
            self.assertIn(why, err)
            self.assertEqual(self.w.vm_get(name, "LastErrorName"),
                             world.NAME + ".Error.UnsupportedByRM")
        self.w.assert_clean()

    def test_shared_ram(self):
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none")
        self.ctl("start", "demo")
        shared = self.generation == "debug"  # others refuse it, and get it lent
        self.assertEqual(self.w.vm_get("demo", "MemoryShared", "MemoryLent"),
                         [8 << 20, 0] if shared else [0, 8 << 20])
        self.ctl("stop", "demo")
        self.w.assert_clean()

    def test_a_region(self):
        self.w.vm("demo", "powerkey\n", extra="regions: [{label: 1, size: 1M}]\n")
        self.start("demo", self.regions, f"({self.generation}) is not known to map a region")


    def test_a_boot_context(self):
        """The guest ends with a fault if a register is not what the descriptor says."""
        inner = world.image("started-with pc 0x80001000\nstarted-with x0 0x1234\n"
                            "started-with x1 0\nstarted-with x3 0xfedcba9876543210\n"
                            "started-with sp1 0x80400000\npowerkey\n")
        kernel = self.w.path("demo.Image")
        with open(kernel, "wb") as f:
            f.write(world.image("fault\n").ljust(0x1000, b"\0") + inner)
        self.w.vm("demo", "", kernel=kernel, extra="boot: {entry: 0x80001000, x0: 0x1234, "
                  "x3: 0xfedcba9876543210, sp: 0x80400000}\n")
        self.start("demo", self.registers,
                   f"boot.entry: this resource manager ({self.generation}) does not know "
                   "VM_SET_BOOT_CONTEXT")


    def test_ram_elsewhere(self):
        """What is no Image begins behind the device tree."""
        kernel = self.w.path("demo.Image")
        with open(kernel, "wb") as f:
            f.write(world.image("started-with pc 0x40200000\nstarted-with x0 0x40000000\n"
                                "powerkey\n"))
        self.w.vm("demo", "", kernel=kernel + ", format: raw",
                  memory="8M, address: 0x40000000")
        self.start("demo", True, "")
        told = "VM_SET_ADDRESS_LAYOUT" in self.ctl("trace", "demo")[0]
        self.assertEqual(told, self.layout)


    def test_firmware(self):
        """The model has none, except where a test gives it some."""
        self.w.vm("demo", "powerkey\n", extra="auth: {type: android}\n")
        _, err = self.ctl("start", "demo", status=1)
        self.assertIn("VM_SET_FIRMWARE_MEM" if self.android else
                      f'this resource manager ({self.generation}) is not known to have "android"',
                      err)
        self.w.assert_clean()

    def test_a_signed_image(self):
        for pas_id, works in ((28, self.registers), (29, False)):
            self.w.vm("demo", "powerkey\n",
                      extra=f"auth: {{type: platform, pas-id: {pas_id}}}\n")
            if works:
                self.ctl("start", "demo")
                self.ctl("stop", "demo")
            else:
                _, err = self.ctl("start", "demo", status=1)
                self.assertIn("VM_AUTH_IMAGE" if self.registers else
                              f'({self.generation}) is not known to have "platform"', err)
            self.w.assert_clean()


class Debug(Generation, Case):
    generation = "debug"
    model = ("--generation=debug",)
    shared = True


class Open2023(Generation, Case):
    generation = "open-2023"
    model = ("--generation=open-2023",)


class Android14(Generation, Case):
    generation = "android14"
    shared = True  # tried
    registers = True
    model = ("--generation=android14",)


class V17(Generation, Case):
    generation = "v17"
    shared = True
    registers = True
    layout = True
    model = ("--generation=v17",)


class Unknown(Generation, Case):
    """An unknown resource manager gets the most restrictive limits."""
    generation = "unknown"
    android = False
    model = ("--generation=open-2023",)
    regions = False
    shared = True

    def setUp(self):
        super().setUp()
        self.w.model_says("refuse VM_HOST_GET_TYPE 0xffffffff")
        self.w.manager.terminate()
        self.w.manager.wait()
        self.w.start_manager()


class Firmware(Case):
    """The guest begins with the resource manager's firmware, which finds tree and kernel."""

    def setUp(self):
        with tempfile.NamedTemporaryFile(suffix=".firmware") as f:
            f.write(world.image("started-with pc 0x80400000\nstarted-with x0 0x80200000\n"
                                "started-with x1 0x80000000\npowerkey\n"))
            f.flush()
            self.model = ("--generation=v17", "--firmware=" + f.name)
            super().setUp()

    def test_a_start_and_a_stop(self):
        self.w.vm("demo", "fault\n", memory="16M", extra="auth: {type: android}\n"
                  "firmware: {size: 64K}\n")
        plan = self.ctl("plan", "demo")[0]
        self.assertIn("0x080400000  64K        firmware\n", plan)
        self.ctl("start", "demo")
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.ctl("stop", "demo")
        self.w.assert_clean()


class Presplit(Case):
    """A SHARE before each LEND: as the resource manager needs it, or as the host says."""

    def test_what_the_option_says_is_done(self):
        self.w.vm("demo", "off\n")
        for option, shares, source in (("auto", 1, "abi K.3"), ("off", 0, "--presplit"),
                                       ("on", 1, "--presplit")):
            self.w.manager.terminate()
            self.w.manager.wait()
            self.w.start_manager(options=["--presplit=" + option])
            self.assertEqual(self.json("host")["quirks"]["presplit"],
                             {"value": bool(shares), "source": source})
            self.assertEqual(self.w.run_unit("demo"), 0)
            wait_until(lambda: not self.w.leftovers())
            text = self.ctl("trace")[0]
            self.assertEqual((text.count(" MEM_LEND "), text.count(" MEM_SHARE ")), (1, shares))

    def test_a_word_that_is_none(self):
        r = subprocess.run([world.program("daemon/manager/gunyah-vmd"), "--presplit=maybe"],
                           capture_output=True, text=True, check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("--presplit", r.stderr)


class Plan(Case):
    model = ("--fragment=16",)

    def sent(self):
        """Requests to RM in the trace."""
        lines = self.ctl("--json", "trace")[0].splitlines()
        return [m for m in map(json.loads, lines) if m["direction"] == ">"]

    def planned(self):
        """Number of messages by the steps of the plan, and the entries of its parcels."""
        plan = self.json("plan", "--running", "demo")
        messages = [m for s in plan["steps"] for m in s.get("messages", ())]
        self.assertTrue(all(m["count"][0] == m["count"][1] for m in messages), messages)
        return ([m["message"] for m in messages for _ in range(m["count"][0])],
                sum(p["entries"][0] for p in plan["parcels"]))

    def test_what_is_planned_is_what_is_sent(self):
        self.w.vm("demo", "powerkey\n", memory="12M")
        self.ctl("plan", "--running", "none", status=3)
        last = max((m["number"] for m in self.sent()), default=0)
        self.assertIn("demo is stopped", self.ctl("plan", "--running", "demo", status=1)[1])
        self.ctl("start", "demo")
        sent = [m["message"] for m in self.sent() if m["number"] > last]
        planned, entries = self.planned()
        self.assertEqual(planned, sent)
        self.assertGreater(planned.count("MEM_APPEND"), 0)
        self.assertEqual(entries, self.w.counts()["entries"])
        text = self.ctl("plan", "--running", "demo")[0]
        self.assertIn(f"entries {entries} of", text)

        # a later manager knows it, too
        self.w.kill_manager()
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        self.assertEqual(self.ctl("plan", "--running", "demo")[0], text)
        self.ctl("stop", "demo")
        self.w.assert_clean()


def read_capture(path):
    """Check each block of a pcapng file against the specification. Returns the packets."""
    with open(path, "rb") as f:
        data = f.read()
    blocks = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0 and 12 <= length <= len(data), length
        assert struct.unpack_from("<I", data, length - 4)[0] == length
        blocks.append((kind, data[8:length - 4]))
        data = data[length:]
    assert [k for k, _ in blocks[:2]] == [0x0a0d0d0a, 1]
    assert struct.unpack_from("<IHHq", blocks[0][1]) == (0x1a2b3c4d, 1, 0, -1)
    assert struct.unpack_from("<HHI", blocks[1][1]) == (147, 0, 0)
    assert {k for k, _ in blocks[2:]} <= {6}
    return [read_packet(b) for _, b in blocks[2:]]


def read_packet(body):
    interface, high, low, captured, original = struct.unpack_from("<5I", body)
    assert interface == 0 and 8 <= captured <= original
    at = 20 + captured
    assert not any(body[at:at + -captured % 4])  # padding
    option, length, flags, end = struct.unpack_from("<HHII", body, at + -captured % 4)
    assert (option, length, end) == (2, 4, 0) and flags in (1, 2), (option, length, flags)
    assert len(body) == at + -captured % 4 + 12
    first, kind, sequence, message = struct.unpack_from("<BBHI", body, 20)
    assert first == 0x21 and kind & ~3 == 0
    return {"time": (high << 32 | low) / 1e6, "original": original, "message": message,
            "sequence": sequence, "outbound": flags == 2}


class Why(Case):
    """why prints the step, the refusal, what to try and the messages."""
    def refused(self, message, status, *more):
        self.w.vm("demo", "off\n")
        self.w.model_says(f"refuse {message} {status}")
        self.ctl("start", "demo", status=1)
        return self.json("why", "demo"), self.ctl("why", "demo")[0]

    def test_a_refusal(self):
        got, text = self.refused("VM_INIT", 2)
        self.assertEqual((got["failed_step"], got["rm_message"], got["rm_status"]),
                         ("init", "VM_INIT", "NORESOURCE"))
        self.assertTrue(got["last_error"].endswith(
            "VM_INIT refused with NORESOURCE (2): vCPUs, doorbells or other devices ran out"), got)
        self.assertIn("see ghvmctl plan demo", got["hint"])
        said = [m["text"] for m in got["messages"]]
        at = [i for i, s in enumerate(said) if s.endswith(" VM_INIT: NORESOURCE")]
        self.assertEqual(len(at), 1, said)
        self.assertRegex(said[at[0] - 1], r"^> [0-9a-f]{4} VM_INIT vmid \d+$")
        self.assertEqual(at[0], len(said) - 1)  # later messages belong to the teardown
        self.assertEqual({m["vm"] for m in got["messages"]}, {"demo"})

        lines = text.splitlines()
        self.assertEqual(lines[0], "demo is failed")
        self.assertRegex(lines[1], r"^  when   \d\d:\d\d:\d\d, \d+ s ago$")
        self.assertEqual(lines[2:4], ["  step   init", "  error  " + got["last_error"]])
        self.assertRegex(self.ctl("status", "demo")[0],
                         r"  last error  \d\d:\d\d:\d\d, \d+ s ago: cannot initialise")
        self.assertIn("  try    " + got["hint"], lines)
        self.assertIn("  messages to and from the resource manager (more: ghvmctl trace demo):", lines)
        self.assertEqual([l.split(" ", 10)[-1] for l in lines if l.startswith("         ")], said)
        self.assertEqual(lines[-1], "  more   journalctl -u gunyah-vm@demo")

        # the error is kept after a later successful start
        self.ctl("start", "demo")
        self.w.wait_state("demo", "stopped")
        again = self.json("why", "demo")
        self.assertEqual((again["state"], again["exit_reason"]), ("stopped", "off"))
        for key in ("failed_step", "last_error", "last_error_usec", "errno", "rm_message", "hint"):
            self.assertEqual(again[key], got[key])
        self.assertAlmostEqual(got["last_error_usec"] / 1e6, time.time(), delta=60)

    def test_another_message_is_another_hint(self):
        got, _ = self.refused("VM_ALLOCATE", 2)
        self.assertEqual((got["failed_step"], got["rm_message"]), ("allocate", "VM_ALLOCATE"))
        self.assertIn("all its VMIDs are taken", got["last_error"])
        self.assertIn("stop another VM", got["hint"])

    def test_a_status_that_nobody_knows(self):
        got, _ = self.refused("VM_START", 99)
        self.assertEqual((got["failed_step"], got["rm_status"]), ("start", "unknown"))
        self.assertIn("a status that is not documented", got["last_error"])
        self.assertIn("ghvmctl trace demo", got["hint"])

    def test_what_never_began(self):
        self.w.vm("demo", "off\n", memory="30G")
        self.ctl("start", "demo", status=1)
        got = self.json("why", "demo")
        self.assertEqual(got["failed_step"], "descriptor", got)
        self.assertEqual(got["messages"], [])
        with open(self.w.path("vms", "demo.yaml"), "a", encoding="ascii") as f:
            f.write("colour: blue\n")
        self.assertEqual(self.w.run_unit("demo"), 134)
        got = self.json("why", "demo")
        self.assertEqual((got["failed_step"], got["hint"]),
                         ("descriptor", "ghvmctl validate demo says where in the descriptor"))

    def test_a_crash(self):
        self.w.vm("demo", "crash\n")
        self.w.run_unit("demo")
        self.w.wait_state("demo", "failed")
        got = self.json("why", "demo")
        self.assertEqual((got["failed_step"], got["errno"], got["rm_message"]),
                         ("run", errno.ECONNABORTED, None))
        self.assertIn("/var/log/gunyah/demo.log", got["hint"])
        self.assertEqual(got["messages"][-1]["message"], "VM_EXITED")

    def test_no_answer(self):
        self.w.vm("demo", "off\n")
        self.w.model_says("mute VM_INIT")
        self.ctl("start", "demo", status=1)
        got = self.json("why", "demo")
        self.assertEqual((got["failed_step"], got["rm_message"], got["rm_status"]),
                         ("init", "VM_INIT", None))
        self.assertIn("whether the resource manager answers", got["hint"])
        self.assertRegex(got["messages"][-1]["text"], "^> [0-9a-f]{4} VM_INIT ")


class Trace(Case):
    def test_a_start_is_seen(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        vmid = self.w.vm_get("demo", "VMID")
        lines = self.ctl("trace")[0].splitlines()
        for line in lines:
            self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6} (demo|-) [<>!] [0-9a-f]{4} [A-Z_]+")
        said = [line.split(" ", 4)[4] for line in lines]
        self.assertIn(f"VM_ALLOCATE: OK vmid {vmid}", said)
        self.assertLess(said.index(f"VM_INIT vmid {vmid}"), said.index(f"VM_START vmid {vmid}"))
        self.assertTrue([s for s in said if s.startswith(f"MEM_LEND label 0 for {vmid} rwx ")],
                        said)
        messages = [json.loads(line) for line in self.ctl("--json", "trace")[0].splitlines()]
        self.assertEqual([m["number"] for m in messages],
                         list(range(messages[0]["number"], messages[0]["number"] + len(lines))))
        self.ctl("stop", "demo")

    def of(self, name):
        return [json.loads(line) for line in self.ctl("--json", "trace", name)[0].splitlines()]

    def test_each_vm_has_its_own(self):
        self.ctl("trace", "demo", status=3)
        self.ctl("trace", "Bad_Name", status=3)
        for name in "demo", "other":
            self.w.vm(name, "off\n")
            self.assertEqual(self.ctl("trace", name)[0], "")
            self.assertEqual(self.w.run_unit(name), 0)
        self.w.assert_clean()  # no further requests to RM
        for name in "demo", "other":
            messages = self.of(name)
            self.assertEqual({m["vm"] for m in messages}, {name})
            self.assertEqual([m["number"] for m in messages],
                             list(range(1, len(messages) + 1)))
            names = [m["message"] for m in messages if m["direction"] == ">"]
            self.assertEqual((names[0], names[-1]), ("VM_ALLOCATE", "VM_DEALLOCATE"))
            self.assertIn("MEM_LEND", names)
            notes = [m["message"] for m in messages if m["direction"] == "!"]
            self.assertIn("VM_EXITED", notes)
            # without the name on each line
            for line in self.ctl("trace", name)[0].splitlines():
                self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6} [<>!] [0-9a-f]{4} [A-Z_]+")

    def test_it_stays_when_the_vm_is_gone(self):
        self.w.vm("demo", "off\n")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.assert_clean()
        before = self.of("demo")
        os.unlink(self.w.path("vms", "demo.yaml"))
        wait_until(lambda: "demo" not in [v["name"] for v in self.json("list")])
        self.assertEqual(self.of("demo"), before)

    def test_one_alone_can_be_captured(self):
        for name in "demo", "other":
            self.w.vm(name, "off\n")
            self.assertEqual(self.w.run_unit(name), 0)
        self.w.assert_clean()
        path = self.w.path("rm.pcapng")
        self.ctl("--pcapng=" + path, "trace", "demo")
        packets = read_capture(path)
        messages = self.of("demo")
        self.assertEqual([p["message"] for p in packets], [m["id"] for m in messages])
        self.assertEqual([p["sequence"] for p in packets], [m["sequence"] for m in messages])
        self.assertEqual([p["outbound"] for p in packets],
                         [m["direction"] == ">" for m in messages])
        self.assertEqual([p["original"] - 8 for p in packets], [m["length"] for m in messages])

    def test_a_capture_can_be_read(self):
        self.w.vm("demo", "off\n")
        self.w.run_unit("demo")
        self.w.assert_clean()  # no further requests to RM
        path = self.w.path("rm.pcapng")
        self.ctl("--pcapng=" + path, "trace")
        packets = read_capture(path)
        self.assertEqual(len(packets), len(self.ctl("trace")[0].splitlines()))
        for p in packets:
            self.assertAlmostEqual(p["time"], time.time(), delta=300)
        ids = {p["message"] for p in packets}
        self.assertIn(0x56000001, ids)  # VM_ALLOCATE
        self.assertIn(0x56100001, ids)  # VM_EXITED

    def test_it_follows(self):
        self.w.vm("demo", "off\n")
        p = subprocess.Popen([CTL, "--follow", "trace"], env=self.env, stdout=subprocess.PIPE,
                             text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.w.run_unit("demo")
        for line in p.stdout:
            if " VM_DEALLOCATE: OK" in line:
                break

    def test_it_follows_a_manager_that_is_restarted(self):
        self.w.vm("demo", "off\n")
        with open(self.w.path("trace.err"), "w", encoding="ascii") as err:
            p = subprocess.Popen([CTL, "--follow", "trace"], env=self.env, stdout=subprocess.PIPE,
                                 stderr=err, text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.assertTrue(p.stdout.readline())
        self.w.kill_manager()

        def said(text):
            with open(self.w.path("trace.err"), encoding="ascii") as f:
                return text in f.read()

        wait_until(lambda: said("waiting for the manager to come back"))
        self.w.start_manager()
        self.w.run_unit("demo")
        for line in p.stdout:
            if " VM_DEALLOCATE: OK" in line:
                break
        self.assertTrue(said("(the manager was restarted)"))

    def test_it_ends_when_nobody_reads(self):
        """Also if SIGPIPE was ignored before, and if there are no more messages."""
        for ignore in False, True:
            p = subprocess.Popen([CTL, "--follow", "trace"], env=self.env, stdout=subprocess.PIPE,
                                 restore_signals=not ignore)
            p.stdout.readline()
            p.stdout.close()
            self.assertEqual(p.wait(20), -signal.SIGPIPE)


if __name__ == "__main__":
    unittest.main()
