#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks that are refused, by a start and by ghvmctl validate: each time the key and its place are named.

That disks are served is tested in the testbed (46-disk), where there are units and mounts.
"""
import os
import struct
import subprocess
import unittest

import case
from world import program


def qcow2(backing=0, features=0):
    return struct.pack(">IIQIIQIIQQIIQQQQII", 0x514649fb, 3, backing, 0, 16, 1 << 20, 0, 1, 0x30000, 0x10000, 1, 0, 0,
                       features, 0, 0, 4, 104) + bytes(1024)


class Disk(case.Case):
    def put(self, name, data, mode=0o600):
        path = self.w.path(name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)
        return path

    def validate(self):
        r = subprocess.run([program("daemon/ctl/ghvmctl"), "validate", self.w.path("vms", "demo.yaml")],
                           capture_output=True, text=True, check=False)
        return r.stdout + r.stderr

    def refused(self, disk, *texts):
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none",
                  extra=f"devices: [{{console: {{}}}}, {{disk: {disk}}}]\n")
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        for said in self.w.said("demo"), self.validate():
            for text in ("demo.yaml:4:", *texts):
                self.assertIn(text, said)
        self.w.assert_clean()

    def test_images_that_are_no_files(self):
        missing, fifo = (self.w.path(name) for name in ("missing", "fifo"))
        os.mkfifo(fifo)
        self.refused(f"{{image: {missing}, format: raw}}", f"devices[1].disk.image: {missing}: No such file")
        self.refused(f"{{image: {fifo}, format: raw}}", f"devices[1].disk.image: {fifo}: not a regular file")
        self.refused("{image: /dev/null, format: raw}", "devices[1].disk.image: /dev/null: not a regular file")
        self.refused(f"{{image: {self.w.dir}, format: raw}}", "not a regular file")

    def test_a_link_that_another_user_could_change(self):
        folder = self.w.path("folder")
        link = os.path.join(folder, "link")
        os.mkdir(folder)
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        os.symlink(self.put("file", bytes(512)), link)
        for readonly in "true", "false":
            self.refused(f"{{image: {link}, format: raw, readonly: {readonly}}}",
                         f"devices[1].disk.image: {link}: ", "symbolic link")

    def test_a_format_that_the_image_does_not_have(self):
        raw, other = self.put("raw", bytes(512)), self.put("qcow2", qcow2())
        self.refused(f"{{image: {raw}, format: qcow2}}", f"devices[1].disk.format: {raw}: qcow2, but")
        self.refused(f"{{image: {other}, format: raw}}", f"devices[1].disk.format: {other}: raw, but")
        self.refused(f"{{image: {self.put('short', bytes(511))}, format: raw}}", "512 bytes of a sector")

    def test_images_that_name_other_files(self):
        backed, split = self.put("backed", qcow2(backing=104)), self.put("split", qcow2(features=4))
        self.refused(f"{{image: {backed}, format: qcow2}}", f"devices[1].disk.image: {backed}: has a backing file")
        self.refused(f"{{image: {split}, format: qcow2, readonly: true}}", "has its data in another file")

    def test_an_image_that_no_one_may_write(self):
        path = self.put("fixed", bytes(512), 0o444)
        self.refused(f"{{image: {path}, format: raw}}", f"devices[1].disk.image: {path}: ")

    def test_an_unsafe_cache(self):
        self.refused(f"{{image: {self.put('qcow2', qcow2())}, format: qcow2, cache: writeback}}",
                     "devices[1].disk.cache: a qcow2 image needs writethrough")


if __name__ == "__main__":
    unittest.main()
