#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two VMs with one region: who makes it, both orders of start and stop, and a manager that is killed."""
import json
import mmap
import os
import subprocess
import unittest

from client import Error
from regions import AT, PAGE, Case
from world import ROOT, program, wait_until

A_TALKS = f"mem-write {AT} 4660\nmem-await {AT + 4} 22136\nprint heard\nread\n"
B_TALKS = f"mem-await {AT} 4660\nmem-write {AT + 4} 22136\nprint heard\nread\n"


def yaml(with_whom, label=7, size="8K", more=""):
    return f"regions:\n  - {{label: {label}, size: {size}, address: {AT}, with: {with_whom}{more}}}\n"


def word(m, at):
    return int.from_bytes(m[at:at + 4], "little")


class Pair(Case):
    def describe(self, name, other, script="read\n", **kw):
        self.w.vm(name, script, extra=yaml(other, **kw))

    def describe_both(self, a="read\n", b="read\n", **kw):
        self.describe("a", "b", a, **kw)
        self.describe("b", "a", b, **kw)

    def start(self, name):
        unit = self.w.unit(name)
        wait_until(lambda: unit.poll() is not None or self.w.state(name) == "running", 20)
        self.assertIsNone(unit.poll(), self.w.said(name))
        return unit

    def refused(self, name, *texts):
        self.assertNotEqual(self.w.run_unit(name), 0)
        for text in texts:
            self.assertIn(text, self.w.said(name))

    def halt(self, name, unit):
        self.w.stop(name, "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.wait_state(name, "stopped")

    def memory(self, name):
        """The region, once a runner has sent it to a new manager. The descriptor is closed at the end."""
        def tried():
            try:
                return self.client().call(f"{ROOT}/vm/{name}/region/7", "Region", "Open",
                                          ("a{sv}", {}), returns="h")
            except Error as e:
                if e.name != "Busy":
                    raise
                return None
        fd = wait_until(tried)
        self.addCleanup(os.close, fd)
        return fd

    def ctl(self, *args):
        return subprocess.run([program("daemon/ctl/ghvmctl"), *args], check=True, text=True,
                              capture_output=True, timeout=60,
                              env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.w.bus}).stdout

    def assert_shown(self, name, other):
        """The bus and ghvmctl name the other VM."""
        regions = self.regions(name)
        self.assertEqual([regions[label]["SharedWith"] for label in (0, 7)], ["", other])
        self.assertEqual(self.ctl("region", "list", name).splitlines()[1].split()[-2:], ["mapped", other])
        self.assertIn(f"  regions     7, shared with {other}", self.ctl("status", name).splitlines())
        self.assertEqual(json.loads(self.ctl("--json", "status", name))["shared_with"], other)

    def file_of(self, name):
        return os.fstat(self.memory(name)).st_ino


class Starts(Pair):
    def test_the_guests_share_the_pages(self):
        self.describe_both(A_TALKS, B_TALKS)
        a, b = self.start("a"), self.start("b")
        wait_until(lambda: "heard" in self.w.console_log("a") and "heard" in self.w.console_log("b"))
        left = self.w.leftovers()
        self.assertEqual((left["parcels"], left["pins"], left["shared_pages"]), (3, 3, 2))
        self.assertEqual(self.file_of("a"), self.file_of("b"))
        self.assert_shown("a", "b")
        self.assert_shown("b", "a")
        with mmap.mmap(self.memory("b"), PAGE) as m:
            self.assertEqual((word(m, 0), word(m, 4)), (4660, 22136))
        self.halt("b", b)
        self.halt("a", a)
        self.w.assert_clean()

    def test_either_can_start_first_and_alone(self):
        self.describe_both()
        for name in "a", "b":
            unit = self.start(name)
            self.assertEqual(self.w.counts()["vms"], 2)  # the other one's number is reserved
            self.halt(name, unit)
            self.w.assert_clean()

    def test_both_start_at_once(self):
        self.describe_both(A_TALKS, B_TALKS)
        for i in range(5):
            units = [self.w.unit(name) for name in ("ab" if i % 2 else "ba")]
            wait_until(lambda: all(self.w.state(n) == "running" for n in "ab"), 20)
            wait_until(lambda: self.w.console_log("a").count("heard") == i + 1)
            for name, unit in zip("ab" if i % 2 else "ba", units):
                self.halt(name, unit)
            self.w.assert_clean()

    def test_a_start_that_fails_keeps_nothing(self):
        self.describe_both()
        self.w.model_says("refuse MEM_SHARE 11")
        self.refused("a", "MEM_SHARE")
        self.w.assert_clean()
        a = self.start("a")
        self.w.model_says("refuse MEM_LEND 11")  # before the second number was used
        self.refused("b", "MEM_LEND")
        b = self.start("b")
        self.halt("a", a)
        self.halt("b", b)
        self.w.assert_clean()

    def test_descriptors_that_do_not_match(self):
        self.describe("a", "b")
        self.refused("a", "a.yaml:", "regions[0].with: there is no virtual machine 'b'",
                     "write its descriptor first, or define it")
        self.describe("b", "c")
        self.refused("a", "b has no region 7 with a")
        self.describe("b", "a", label=8)
        self.refused("a", "b has no region 7 with a")
        self.describe("b", "a", size="4K")
        self.refused("a", "regions[0].size: 8192, and 4096 in the descriptor of b")
        self.describe("b", "a", more=", access: host-readonly")
        self.refused("a", "regions[0].access: is another one in the descriptor of b")
        self.w.vm("b", "read\n", extra=yaml("a") + "  - {label: 8, size: 4K, with: a}\n")
        self.refused("a", "b has region 8 with a, which is missing here")
        self.w.vm("b", "read\n", extra="regions: oops\n")
        self.refused("a", "regions[0].with: the descriptor of b cannot be read or has errors: see 'ghvmctl validate b'")
        self.assertNotIn("not a list", self.w.said("a"))  # that is for those who may read it
        self.w.assert_clean()

    def test_a_guest_that_was_started_without_it(self):
        self.w.vm("b", "read\n")
        b = self.start("b")
        self.describe_both()
        self.refused("a", "b runs without sharing a region with a: stop it first")
        self.halt("b", b)
        self.w.assert_clean()

    def test_rights_of_each(self):
        self.describe("a", "b", f"mem-write {AT} 4660\nread\n")
        self.describe("b", "a", f"mem-await {AT} 4660\nprint heard\nmem-write {AT} 1\nread\n",
                      more=", readonly: true")
        b, a = self.start("b"), self.start("a")
        wait_until(lambda: "heard" in self.w.console_log("b"))
        with mmap.mmap(self.memory("a"), PAGE) as m:
            self.assertEqual(word(m, 0), 4660)
        self.assertEqual(b.wait(20), 134)  # its write is a fault
        self.halt("a", a)
        self.w.assert_clean()


class Stops(Pair):
    def test_the_region_stays_until_both_have_ended(self):
        self.describe_both()
        for first, second in ("a", "b"), ("b", "a"):
            units = {name: self.start(name) for name in "ab"}
            self.halt(first, units[first])
            self.assertEqual(self.w.leftovers()["shared_pages"], 2)
            self.refused(first, f"{second} still has the regions of an earlier run of {first}")
            self.assertEqual(self.w.state(second), "running")
            self.halt(second, units[second])
            self.w.assert_clean()

    def test_what_is_said_of_it(self):
        self.describe_both()
        a, b = self.start("a"), self.start("b")
        self.halt("a", a)
        self.assertEqual(self.w.vm_get("a", "PagesQuarantined"), 0)  # the stop has not failed
        entries = self.w.call("/org/gunyah/vmm1/host", "Host", "ListQuarantine", "a{sv}", "0")[0]
        self.assertEqual([e[0] for e in entries], ["a"])
        vmid = self.w.vm_get("b", "VMID")
        self.assertIn(f": VM {vmid}, which it is shared with, has not ended", entries[0][-1])
        self.assertIn("2 pages stay until another VM ends", self.w.log())
        self.halt("b", b)
        self.w.assert_clean()

    def test_a_reboot_is_an_end(self):
        self.describe_both("print up\nread\nreset\n")
        a, b = self.start("a"), self.start("b")
        with self.w.console("a") as console:
            console.write(b"x")
        self.assertEqual(a.wait(20), 0)
        self.w.wait_state("a", "stopped")
        self.assertEqual(self.w.console_log("a").count("up"), 1)
        self.halt("b", b)
        self.w.assert_clean()

    def test_a_runner_that_is_killed(self):
        self.describe_both()
        for name in "a", "b":
            units = {n: self.start(n) for n in "ab"}
            units[name].kill()
            units[name].wait()
            self.w.release(name)
            other = "b" if name == "a" else "a"
            self.assertEqual(self.w.state(other), "running")
            self.halt(other, units[other])
            self.w.assert_clean()


class Managers(Pair):
    def restart(self):
        self.w.kill_manager()
        self.w.start_manager()
        wait_until(lambda: self.w.manager.poll() is None and self.w.answers())

    def test_a_new_manager_knows_both(self):
        self.describe_both()
        a, b = self.start("a"), self.start("b")
        file = self.file_of("a")
        self.restart()
        wait_until(lambda: all(self.w.state(n) == "running" for n in "ab"))
        self.assertEqual((self.file_of("a"), self.file_of("b")), (file, file))
        self.assert_shown("a", "b")
        self.halt("a", a)
        self.refused("a", "b still has the regions of an earlier run of a")
        self.restart()
        self.assertEqual(self.w.state("b"), "running")
        self.refused("a", "b still has the regions of an earlier run of a")
        self.halt("b", b)
        self.w.assert_clean()

    def test_a_new_manager_keeps_the_reservation(self):
        self.describe_both(A_TALKS, B_TALKS)
        a = self.start("a")
        self.restart()
        wait_until(lambda: self.w.state("a") == "running")
        b = self.start("b")
        wait_until(lambda: "heard" in self.w.console_log("a"))
        self.halt("a", a)
        self.halt("b", b)
        self.w.assert_clean()

    def test_a_new_manager_and_a_number_that_was_used(self):
        self.describe_both()
        a, b = self.start("a"), self.start("b")
        self.halt("b", b)
        self.restart()
        self.refused("b", "stop the other VM, too, then start both")
        self.halt("a", a)
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
