#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples in Python, against the real manager on a bus of its own."""
import os
import subprocess
import sys
import unittest

import case
import world
from world import ROOT

EXAMPLES = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../../examples")


def interpreter():
    """The Python that has D-Bus: Debian's packages are for that of Debian."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import dbus, gi"], capture_output=True,
                          check=False).returncode == 0:
            return python
    raise unittest.SkipTest("python3-dbus and python3-gi are not installed")


class Examples(case.Case):
    def run_example(self, *args):
        self.w.start_stand_in()
        return subprocess.run([interpreter(), os.path.join(EXAMPLES, args[0]), *args[1:]],
                              capture_output=True, text=True, check=False, timeout=60,
                              env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus))

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
