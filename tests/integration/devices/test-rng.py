#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtio device in the runner, which has RAM mapped that the guest shares, and only then."""
import os
import unittest

import case
from world import wait_until

DEVICE = 0x10010000
DESCRIPTORS, AVAIL, USED, BUFFER = (0x80600000 + n * 0x1000 for n in range(4))
LIST = "devices: [{rng: {}}]\n"


def registers(*writes):
    return "".join(f"mmio-write {DEVICE + offset:#x} 4 {value:#x}\n" for offset, value in writes)


def driver(descriptors=DESCRIPTORS):
    """Reset, features, a queue of 8, and ready."""
    return registers((0x70, 0), (0x70, 3), (0x24, 1), (0x20, 3), (0x70, 11), (0x38, 8),
                     (0x80, descriptors), (0x90, AVAIL), (0xa0, USED), (0x44, 1), (0x70, 15))


def words(*pairs):
    return "".join(f"mem-write {address:#x} {value:#x}\n" for address, value in pairs)


# One descriptor to write 64 bytes at BUFFER; the device has used it at once.
REQUEST = (words((DESCRIPTORS, BUFFER), (DESCRIPTORS + 4, 0), (DESCRIPTORS + 8, 64), (DESCRIPTORS + 12, 2),
                 (AVAIL + 4, 0), (USED, 0), (AVAIL, 1 << 16)) +
           registers((0x50, 0)) + f"mem-await {USED:#x} 0x10000\nmem-await {USED + 8:#x} 64\n")
FORGET = words((AVAIL, 0))


class Rng(case.Case):
    def running(self, script):
        self.w.vm("demo", script, memory="8M, protection: none", extra=LIST)
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        return unit

    def says(self, text, times=1):
        wait_until(lambda: self.w.console_log("demo").count(text) == times)

    def end(self, unit):
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0, self.w.said("demo"))
        self.w.assert_clean()

    def has_ram(self, pid):
        """Mappings and files of RAM in that process."""
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            mapped = sum("memfd:ram " in line for line in f)
        files = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        return mapped, sum("memfd:ram " in name for name in files)

    def test_a_request_is_served_after_a_reboot_as_well(self):
        unit = self.running(FORGET + driver() + REQUEST + "print served\nread\nreset\n")
        self.says("served")
        pid = self.w.vm_get("demo", "LeaderPID")
        self.assertEqual(self.has_ram(pid), (1, 0))
        self.assertEqual(self.has_ram(self.w.manager.pid), (0, 0))
        with self.w.console("demo") as console:
            console.write(b"x")
            self.says("served", 2)
        self.assertEqual(self.w.vm_get("demo", "LeaderPID"), pid, self.w.log())
        self.end(unit)

    def test_lies_break_the_device_and_nothing_else(self):
        unit = self.running(FORGET + driver(0x1000) + "print lied\n" + driver() + REQUEST +
                            "print served\npowerkey\n")
        self.says("served")
        self.assertIn("Device rng, queue 0: the descriptors at 0x1000 are not in memory that the "
                      "guest shares. It does nothing until the guest resets it (fault 1)\n",
                      self.w.said("demo"))
        self.end(unit)

    def test_without_it_the_runner_has_no_ram(self):
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none")
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.assertEqual(self.has_ram(self.w.vm_get("demo", "LeaderPID")), (0, 0))
        self.end(unit)

    def test_a_protected_guest_is_refused(self):
        self.w.vm("demo", "powerkey\n", extra=LIST)
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.assertIn('memory.protection: the device "rng" exchanges data through RAM',
                      self.w.said("demo"))
        self.w.assert_clean()


class Region(case.Case):
    """A protected guest, whose device accesses a region, on an RM that shares no RAM."""
    model = ("--generation=open-2023",)
    BASE = 0x50000000
    LIST = ("devices: [{rng: {region: 5}}]\n"
            f"regions: [{{label: 5, size: 64K, address: {BASE:#x}}}]\n")

    def moved(self, script):
        """The same rings and buffers, in the region."""
        for n in range(4):
            script = script.replace(f"{DESCRIPTORS + n * 0x1000:#x}"[:-3], f"{self.BASE + n * 0x1000:#x}"[:-3])
        return script

    def test_a_request_is_served(self):
        script = FORGET + driver() + REQUEST
        outside = registers((0x70, 0)) + driver() + "print outside\n"  # its RAM is nothing to the device
        self.w.vm("demo", self.moved(script) + "print served\n" + outside + "powerkey\n", extra=self.LIST)
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        wait_until(lambda: "outside" in self.w.console_log("demo"))
        self.assertIn("served", self.w.console_log("demo"))
        self.assertIn("Device rng, queue 0: the descriptors at 0x80600000 are not in memory",
                      self.w.said("demo"))
        self.assertEqual(self.w.vm_get("demo", "MemoryLent"), 8 << 20)
        with open(f"/proc/{self.w.vm_get('demo', 'LeaderPID')}/maps", encoding="utf-8") as maps:
            self.assertNotIn("memfd:ram", maps.read())
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0, self.w.said("demo"))
        self.w.assert_clean()

    def test_a_region_that_is_not_there(self):
        self.w.vm("demo", "powerkey\n", extra="devices: [{rng: {region: 5}}]\n")
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.assertIn('"rng" uses region 5, which is not listed', self.w.said("demo"))
        self.w.assert_clean()


class Refused(case.Case):
    """RM refuses RAM that is shared: it is not lent instead, since the runner would have it mapped."""
    model = ("--generation=android14",)

    def test_the_start_fails(self):
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none", extra=LIST)
        self.assertEqual(self.w.run_unit("demo"), 1)
        self.assertNotIn("it is lent", self.w.log())
        self.assertEqual(self.w.vm_get("demo", "State"), "failed")
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
