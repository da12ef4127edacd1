#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Malformed overlays and state files must not harm the manager."""
import base64
import os
import re
import subprocess
import unittest
import zlib

import case
import world
from client import Client, Error
from world import ERROR, HELLO, KERNEL, NAME, NEED, put_string, receive, receive_kind, send

# 466 bytes: an offset in __local_fixups__ that libfdt follows to where nothing is
OVERLAY = zlib.decompress(base64.b64decode("""
eNq7wPvvLQMD4yUGBgYLIL0DSGsAsSAQCzBAgBRQvIEBEzDC6LSixPTc1LwSBwMwnxmImUAMfah8fHx+WWpRTmJlfDyYn8gA
V8cCxDxAzInE54OaDTKDMQlVrRhUDlktJ1QtDAPtK67MTcrPKYbYxwzxA4OEPsKh+khu0kdyD0gdDy51ULdA7cjJT07MiU/L
rCgtgFqEJSwI+v03kplY/MqA5jcY5ixJLEpPLdEtSCzJYEhiKMhIzEvJSWVIZkhkAAA5cj+e"""))
COMPLAINT = ("device tree overlay: /__local_fixups__/fragment@0/__overlay__/a: b: offset 4211081216 "
             "is outside of the property, which has 4 bytes")


class Hostile(case.Case):
    def over(self, unit):
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def record(self):
        return self.w.path("run", "state", "demo")

    def test_an_overlay_of_a_descriptor(self):
        """Refused permanently, with file, node and property in the error; the manager survives."""
        path = self.w.path("my.dtbo")
        with open(path, "wb") as f:
            f.write(OVERLAY)
        self.w.vm("demo", "off\n")
        with open(self.w.path("vms", "demo.yaml"), encoding="ascii") as f:
            text = f.read()
        with open(self.w.path("vms", "demo.yaml"), "w", encoding="ascii") as f:
            f.write(text.replace("kernel: {", f"kernel: {{dtb-overlay: {path}, "))
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.assertIn(f"{path}: {COMPLAINT}", self.w.said("demo"))
        self.assertEqual(self.w.vm_get("demo", "State", "LastErrorName"),
                         ["failed", NAME + ".Error.InvalidSpec"])
        self.assertIn(COMPLAINT, self.w.vm_get("demo", "LastError"))
        self.assertIsNone(self.w.manager.poll())
        self.w.assert_clean()

    def test_an_overlay_from_the_bus(self):
        spec = os.memfd_create("spec", os.MFD_ALLOW_SEALING)
        os.write(spec, b"version: 1\nkernel: {image: /boot/Image}\nmemory: {size: 64M}\n")
        world.fcntl.fcntl(spec, world.fcntl.F_ADD_SEALS,
                          world.fcntl.F_SEAL_SHRINK | world.fcntl.F_SEAL_WRITE)
        client = Client(self.w.bus)
        self.addCleanup(client.close)
        with self.assertRaises(Error) as caught:
            client.call(world.ROOT, "Manager", "Plan", ("h", spec),
                        ("a{sv}", {"kernel-header": ("ay", world.image("")[:64]),
                                   "kernel-size": ("t", 65536),
                                   "dtb-overlay": ("ay", OVERLAY)}))
        self.assertIn(COMPLAINT, str(caught.exception))
        os.close(spec)
        self.assertIsNone(self.w.manager.poll())

    def test_an_overlay_of_a_state_file(self):
        unit = self.running("demo", "forever\n")
        self.w.kill_manager()
        with open(self.record(), encoding="utf-8") as f:
            text = f.read()
        with open(self.record(), "w", encoding="utf-8") as f:
            f.write(text.replace("\noverlay \n", f"\noverlay {OVERLAY.hex()}\n"))
        self.w.start_manager()
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.assertIsNone(unit.poll())
        self.over(unit)

    def test_a_state_file_that_was_not_survived(self):
        """An earlier reader left its mark and died: the manager uses the tags alone."""
        unit = self.running("demo", "forever\n")
        self.w.kill_manager()
        with open(self.w.path("run", "state", ".demo.tried"), "wb"):
            pass
        self.w.start_manager()
        self.assertIn("Ignoring the state file: an earlier manager died", self.w.log())
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.over(unit)

    def test_a_fifo_in_place_of_a_state_file(self):
        unit = self.running("demo", "forever\n")
        self.w.kill_manager()
        os.unlink(self.record())
        os.mkfifo(self.record())
        os.mkfifo(self.w.path("run", "state", ".demo.new"))
        self.w.start_manager()
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.over(unit)

    def test_control_characters_of_a_path(self):
        """Use the text as a file name in an error message: terminal and journal show it escaped."""
        self.w.vm("demo", "off\n")
        os.mkdir(self.w.path("vms", "demo.yaml.d"))
        name = "\033[2J\u009bx.yaml"
        os.mkfifo(self.w.path("vms", "demo.yaml.d", name))
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        for text in (self.w.said("demo"), self.w.log(), self.w.vm_get("demo", "LastError")):
            self.assertIn("?[2J??x.yaml", text)
            self.assertIsNone(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), repr(text))
        subprocess.run(["rm", "-r", self.w.path("vms", "demo.yaml.d")], check=True)


class TakenOver(case.Case):
    """A manager under the control of an attacker, and the start helper, which is root."""
    seconds = 60

    def setUp(self):
        super().setUp()
        self.w.manager.terminate()
        self.w.manager.wait()
        self.listener = world.socket.socket(world.socket.AF_UNIX, world.socket.SOCK_SEQPACKET)
        os.unlink(self.w.path("run", "prepare.sock"))
        self.listener.bind(self.w.path("run", "prepare.sock"))
        self.listener.listen(1)
        self.listener.settimeout(20)
        self.addCleanup(self.listener.close)
        self.w.vm("demo", "off\n")

    def ask(self, kind, index, size, key):
        """The helper's answer to a need: (message, payload, file descriptors)."""
        unit = self.w.unit("demo")
        s, _ = self.listener.accept()
        with s:
            s.settimeout(20)
            receive_kind(s, HELLO)
            send(s, NEED, world.struct.pack("<HBBHQ", 1, kind, 3, index, size) + put_string(key))
            answer = receive(s)
        self.assertNotEqual(unit.wait(20), 0)
        return answer

    def test_it_gets_no_file_that_the_descriptor_does_not_name(self):
        for kind, key in ((KERNEL, "/etc/shadow"), (world.INITRD, "/etc/shadow"),
                          (world.INITRD, "kernel.initrd"), (world.OVERLAY, "kernel.image")):
            got, payload, fds = self.ask(kind, 0, 0, key)
            self.assertEqual((got, fds), (ERROR, []))
            self.assertIn(key.encode(), payload)

    def test_it_gets_no_memory_that_the_descriptor_does_not_name(self):
        for index, size, key in ((0, 16 << 20, "memory.size"), (1, 8 << 20, "regions")):
            got, payload, fds = self.ask(world.MEMORY, index, size, key)
            self.assertEqual((got, fds), (ERROR, []))
            self.assertIn(key.encode(), payload)


if __name__ == "__main__":
    unittest.main(verbosity=1)
