#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What each generation of resource managers can do, and what ghvmctl shows of it."""
import subprocess
import tempfile
import unittest

import ghvmctl
import world
from world import wait_until


class Generation:
    """How each generation of resource manager is recognised, and what is possible with it."""
    presplit = True
    shared = False
    regions = True
    registers = False
    layout = False
    android = True
    entries = 4000
    per_vm = 0

    def test_the_row_and_a_start(self):
        host = self.json("host")
        self.assertEqual(host["generation"], self.generation)
        self.assertTrue(host["generation_reason"])
        self.assertEqual(int(host["identify"][0]) & 0x3fff, 1)
        for word in host["identify"]:  # numbers above 2^53 are strings
            self.assertEqual(isinstance(word, str), int(word) > 1 << 53, word)
        quirks = {k: q["value"] for k, q in host["quirks"].items()}
        self.assertEqual(quirks, {
            "entries": self.entries, "vm-entries": self.per_vm, "message-entries": 64,
            "parcels": 64, "vmid-first": 0x80, "vmid-last": 0xbe, "doorbells": 32,
            "tree-size": 0x4000, "tree-align": 8, "presplit": self.presplit,
            "image-share": self.shared, "regions": self.regions, "boot-context": self.registers, "address-layout": self.layout,
            "auth-android": self.android, "auth-platform": self.registers,
            "scheduled-vcpus": False})
        self.assertTrue(all(q["source"] for q in host["quirks"].values()))
        self.assertEqual(host["entries_budget"], quirks["entries"])
        text = self.ctl("host")[0]
        self.assertIn(f"rm           {self.generation}: {host['generation_reason']}\n", text)
        self.assertIn(f"  image-share      {'yes' if self.shared else 'no'} ", text)
        self.assertIn(f"entries      0 of {self.entries} used, {self.entries} free, "
                      "in 0 parcels\n", text)

        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        self.assertGreater(self.json("host")["entries_used"], self.per_vm)
        self.ctl("stop", "demo")
        self.assertEqual(self.json("host")["entries_used"], 0)
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


class Debug(Generation, ghvmctl.Case):
    generation = "debug"
    model = ("--generation=debug",)
    shared = True


class Open2023(Generation, ghvmctl.Case):
    generation = "open-2023"
    entries = 6500
    per_vm = 450
    model = ("--generation=open-2023",)


class Android14(Generation, ghvmctl.Case):
    generation = "android14"
    shared = True  # tried
    registers = True
    model = ("--generation=android14",)


class V17(Generation, ghvmctl.Case):
    generation = "v17"
    shared = True
    registers = True
    layout = True
    model = ("--generation=v17",)


class Unknown(Generation, ghvmctl.Case):
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


class Firmware(ghvmctl.Case):
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


class Presplit(ghvmctl.Case):
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


if __name__ == "__main__":
    unittest.main()
