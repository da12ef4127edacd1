#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects and calls of the bus: names, VMs that come and go, Validate, Plan, signals."""
import json
import os
import subprocess
import time
import unittest

import case
import world
from world import NAME, ROOT, Refused, wait_until


class Bus(case.Shared):
    def test_names_are_checked(self):
        self.w.vm("demo", "off\n")
        for name in ("", "nobody", "../demo", "a" * 300):
            self.assertEqual(self.w.error_name(ROOT, "Manager", "GetVM", "string:" + name),
                             NAME + ".Error.NoSuchVM")
        self.assertEqual(self.w.call(ROOT, "Manager", "GetVM", "s", "demo"), [ROOT + "/vm/demo"])
        for path in (ROOT + "/vm", ROOT + "/vm/nobody", ROOT + "/job/1", ROOT + "/job"):
            with self.assertRaises(Refused):
                self.w.get(path, "VM", "State")

    def test_vms_come_and_go_with_their_descriptors(self):
        self.w.vm("a", "off\n")
        self.w.vm("b", "off\n")
        listed = self.w.call(ROOT, "Manager", "ListVMs")[0]
        self.assertEqual(sorted(v[0] for v in listed), ["a", "b"])
        os.unlink(self.w.path("vms", "a.yaml"))
        listed = self.w.call(ROOT, "Manager", "ListVMs")[0]
        self.assertEqual([v[0] for v in listed], ["b"])
        tree = self.w.busctl("tree", "--list", NAME).stdout.split()
        self.assertNotIn(ROOT + "/vm/a", tree)
        self.assertIn(ROOT + "/vm/b", tree)

    def test_a_running_one_stays_without_its_descriptor(self):
        unit = self.running("demo", "powerkey\n")
        os.unlink(self.w.path("vms", "demo.yaml"))
        self.assertEqual(len(self.w.call(ROOT, "Manager", "ListVMs")[0]), 1)
        self.w.stop("demo")
        self.assertEqual(unit.wait(20), 0)
        wait_until(lambda: not self.w.call(ROOT, "Manager", "ListVMs")[0])

    def send_spec(self, method, text, seals="good", *options):
        """Returns what tests/integration/send-spec.c prints."""
        with open(self.w.path("spec"), "w", encoding="ascii") as f:
            f.write(text)
        r = subprocess.run([world.program("tests/integration/send-spec"), self.w.bus, method,
                            self.w.path("spec"), seals, *options], capture_output=True, text=True,
                           check=False, timeout=20)
        if r.returncode:
            raise Refused(r.stderr.strip())
        return r.stdout

    good = "version: 1\nkernel: {image: /boot/Image}\nmemory: {size: 64M}\n"

    def test_validate(self):
        self.assertEqual(self.send_spec("Validate", self.good), "")
        self.assertRegex(self.send_spec("Validate", self.good + "colour: blue\n"),
                         r"^error unknown-key colour 4 1 .+\n$")

    def test_validate_reads_only_what_is_sealed(self):
        for seals in ("none", "shrink", "write", "pipe"):
            with self.assertRaisesRegex(Refused, "InvalidSpec.*sealed"):
                self.send_spec("Validate", self.good, seals)
        with self.assertRaisesRegex(Refused, "QuotaExceeded.*longer than"):
            self.send_spec("Validate", "#" * (1 << 20) + "\n")
        with self.assertRaisesRegex(Refused, "unknown option"):
            self.send_spec("Validate", self.good, "good", "colour=blue")
        with self.assertRaisesRegex(Refused, "invalid name"):
            self.send_spec("Validate", self.good, "good", "name=../x")
        self.assertEqual(self.send_spec("Validate", self.good, "good", "name=demo"), "")

    def test_plan(self):
        kernel = self.w.path("Image")
        with open(kernel, "wb") as f:
            f.write(world.image("off\n"))
        plan = json.loads(self.send_spec("Plan", self.good, "good", "kernel=" + kernel))
        self.assertTrue(plan)
        with self.assertRaisesRegex(Refused, "kernel-header"):
            self.send_spec("Plan", self.good)
        with self.assertRaisesRegex(Refused, "ImageInvalid"):
            self.send_spec("Plan", self.good, "good", "kernel=/etc/passwd")
        with self.assertRaisesRegex(Refused, "InvalidSpec.*colour"):
            self.send_spec("Plan", self.good + "colour: blue\n", "good", "kernel=" + kernel)

    def test_a_change_is_told_once_a_turn(self):
        self.w.vm("demo", "off\n")
        monitor = self.w.monitor()
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.assert_clean()
        time.sleep(0.3)
        monitor.terminate()
        states, seen = [], []
        for line in monitor.communicate()[0].splitlines():
            m = json.loads(line)
            if m["type"] != "signal" or not m["path"].startswith(ROOT + "/vm"):
                continue
            data = m["payload"]["data"]
            if m["member"] == "StateChanged":
                states.append((data[0], data[1], data[2]))
            elif m["member"] == "PropertiesChanged":
                seen.append({k: v["data"] for k, v in data[1].items()})
        self.assertEqual(states, [("stopped", "starting", ""), ("starting", "running", ""),
                                  ("running", "stopping", "off"), ("stopping", "stopped", "off")])
        shown = [s["State"] for s in seen if "State" in s]
        self.assertEqual(shown[0], "starting")
        self.assertEqual(shown[-1], "stopped")
        self.assertTrue(all(seen))
        self.assertIn("pin", [s.get("SubState") for s in seen])


if __name__ == "__main__":
    unittest.main()
