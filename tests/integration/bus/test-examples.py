#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples in Python and with busctl, against the real manager on a bus of its own."""
import os
import shutil
import subprocess
import unittest

import case
import world
from world import ROOT

class Examples(case.Case):
    def setUp(self):
        super().setUp()
        self.w.start_stand_in()

    def run_example(self, *args):
        return subprocess.run([*world.example(args[0]), *args[1:]], capture_output=True, text=True, check=False,
                              timeout=60, env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus))

    def image(self, script):
        path = self.w.path("Image")
        with open(path, "wb") as f:
            f.write(world.image(script))
        return path

    def test_define(self):
        image = self.image("print hello\noff\n")
        r = self.run_example("define.py", "demo", image, image)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        vm, at = ROOT + "/vm/demo", 0
        for said in (f"defined {vm}\n", f"added {vm}\n", "demo was stopped, is starting",
                     "is running", "is stopped (off)", f"removed {vm}\n"):
            at = r.stdout.find(said, at)
            self.assertGreaterEqual(at, 0, f"{said} in {r.stdout}")
        self.assertIn("hello", self.w.console_log("demo"))
        self.w.assert_clean()
        for folder in "vms", "images":
            self.assertEqual(os.listdir(self.w.path("run", "lib", folder)), [])

    def test_run(self):
        image = self.image("print hello\noff\n")
        r = self.run_example("run.py", "demo", image, image)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        vm, at = ROOT + "/vm/demo", 0
        for said in (f"running {vm} by {ROOT}/job/", f"added {vm}\n",
                     "demo was stopped, is starting", "is running", "is stopped (off)",
                     f"removed {vm}\n"):
            at = r.stdout.find(said, at)
            self.assertGreaterEqual(at, 0, f"{said} in {r.stdout}")
        self.assertIn("hello", self.w.console_log("demo"))
        self.w.assert_clean()

    @unittest.skipUnless(shutil.which("busctl"), "systemd's busctl is not installed")
    def test_watch(self):
        self.w.vm("demo", "off\n")
        r = self.run_example("watch.sh", "demo")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertRegex(r.stdout, rf"^{ROOT}/job/1\n")
        at = 0
        for said in ('"data":["stopped","starting"', '"data":["starting","running"', '"data":["running","stopping","off"',
                     '"data":["stopping","stopped","off"', "demo is stopped\n"):
            at = r.stdout.find(said, at)
            self.assertGreaterEqual(at, 0, f"{said} in {r.stdout}")
        self.w.assert_clean()
        r = self.run_example("watch.sh", "nothing")
        self.assertNotEqual(r.returncode, 0)
        self.assertRegex(r.stderr, "^Call failed: there is no virtual machine 'nothing'[^\n]*\n$")

    def cannot_start(self, example):
        with open(self.w.path("Image"), "wb") as f:
            f.write(b"no kernel" * 100)
        r = self.run_example(example, "demo", self.w.path("Image"))
        self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
        self.assertRegex(r.stdout, "job .* failed .*kernel.image")
        self.assertIn(f"removed {ROOT}/vm/demo\n", r.stdout)

    def test_run_of_what_cannot_start(self):
        self.cannot_start("run.py")

    def test_define_of_what_cannot_start(self):
        self.cannot_start("define.py")


if __name__ == "__main__":
    unittest.main(verbosity=2)
