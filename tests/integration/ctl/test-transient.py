#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ghvmctl and transient VMs."""
import json
import os
import signal
import unittest

import sent
from sent import MIB, SPEC
from transient import FOREVER, Case
from world import wait_until

class Run(sent.Ghvmctl, Case):
    """ghvmctl run."""

    def write(self, *args, **kw):
        return super().write(*args, script=FOREVER, **kw)

    def test_a_descriptor(self):
        path = self.write()
        self.ok("run", path)
        os.unlink(path)
        os.unlink(self.w.path("Image"))
        self.assertEqual(self.w.state("demo"), "running")
        self.assertRegex(self.ok("list"), r"demo +running")
        self.assertIn("running", self.ok("status", "demo"))
        self.ok("--force", "stop", "demo")
        self.gone()
        self.ok("run", "--name", "other", self.write())
        self.ok("--force", "stop", "other")
        self.gone("other")

    def test_options(self):
        self.image("it's an image", FOREVER)
        self.image("initrd")
        self.ok("run", "--kernel", "it's an image", "--initrd", "initrd", "--memory", "16M",
                "--cmdline", "console=ttyS0 'quoted'", "--name", "demo")
        with open(self.w.path("run", "state", "demo"), encoding="utf-8") as f:
            self.assertIn("cmdline: \"console=ttyS0 'quoted'\"", f.read())
        self.assertEqual(self.w.vm_get("demo", "MemoryLent"), 16 * MIB)
        self.ok("--force", "stop", "demo")
        self.gone()

    def test_its_descriptor_and_plan(self):
        """As if it was in a file: the same plan, and the same places in messages."""
        path = self.write(SPEC.replace("fd:kernel", "fd:kernel, initrd: fd:kernel"), "file.yaml")
        planned = self.ok("plan", path).replace("file", "demo")
        self.ok("run", "--name", "demo", path)
        os.unlink(path)
        os.unlink(self.w.path("Image"))
        said = self.ok("cat", "demo")
        self.assertRegex(said, r'\n  image: "fd:file-0" +# demo.yaml:3\n')
        self.assertRegex(said, r"\n  size: 8388608 +# demo.yaml:4\n")
        self.assertRegex(said, r"\n  - console:\n      enabled: true +# default\n")
        self.assertEqual(self.ok("plan", "demo"), planned)
        self.assertRegex(self.ok("validate", "demo"), r"^demo\.yaml:4:16: warning: memory\.size: .*\n"
                         r"demo: no errors\n$")
        self.assertEqual(json.loads(self.ok("--json", "validate", "demo"))[0]["line"], 4)
        self.assertEqual(self.ok("cat", "--running", "demo"), said)
        self.new_manager()
        self.w.wait_state("demo", "running")
        wait_until(lambda: self.ghvmctl("plan", "demo").stdout == planned)  # the runner sends the files
        again = self.ok("cat", "demo")
        self.assertEqual([line.split("#")[0].rstrip() for line in said.splitlines()], again.splitlines())
        self.assertIn("\ndemo: no errors\n", self.ok("validate", "demo"))
        self.ok("--force", "stop", "demo")
        self.gone()
        for verb in "cat", "plan", "validate":
            self.fails("there is no virtual machine 'demo': no demo.yaml in", verb, "demo", status=3)

    def test_what_a_guest_was_started_with(self):
        """Its descriptor on disk has changed, or has gone."""
        self.w.vm("demo", FOREVER, memory="16M")
        path = self.w.path("vms", "demo.yaml")
        self.fails("demo is stopped: it has no guest", "cat", "--running", "demo")
        self.ok("start", "demo")
        started = self.ok("cat", "demo")
        self.assertEqual(self.ok("cat", "--running", "demo"), started)
        self.w.vm("demo", FOREVER, memory="8M")
        self.assertNotEqual(self.ok("cat", "demo"), started)
        self.assertEqual(self.ok("cat", "--running", "demo"), started)
        self.assertIn("demo: no errors\n", self.ok("validate", "--running", "demo"))
        os.unlink(path)
        self.fails("there is no virtual machine 'demo'", "cat", "demo", status=3)
        self.new_manager()
        self.w.wait_state("demo", "running")
        again = self.ok("cat", "--running", "demo")
        self.assertEqual([line.split("#")[0].rstrip() for line in started.splitlines()], again.splitlines())
        os.unlink(self.w.path("demo.Image"))
        self.assertIn("kernel.image: ", self.ghvmctl("validate", "--running", "demo").stdout)
        self.ok("--force", "stop", "demo")
        self.w.kill_manager()
        self.fails("no virtual machine 'demo'", "cat", "demo", status=3)

    def test_a_file_that_is_lost(self):
        """The manager was restarted, and the runner does not send what it has."""
        self.ok("run", self.write())
        pid = self.w.vm_get("demo", "LeaderPID")
        os.kill(pid, signal.SIGSTOP)
        try:
            self.new_manager()
            self.fails("kernel.image: 'fd:file-0': the manager does not have this", "plan", "demo")
            self.assertIn("image: ", self.ok("cat", "demo"))
        finally:
            os.kill(pid, signal.SIGCONT)
        # beside load it is over: a manager waits only some seconds for a runner that says nothing
        self.ghvmctl("--force", "stop", "demo")
        self.gone()

    def test_what_is_refused(self):
        kernel, demo = self.image(), self.write()
        self.fails("usage: ghvmctl run", "run", status=2)
        self.fails("usage: ghvmctl run", "run", "--kernel", kernel, "--name", "x", status=2)
        self.fails("nothing: there is no such file; .* ghvmctl start nothing", "run", "nothing")
        self.fails("give one or the other", "run", "--memory", "1M", demo, status=2)
        self.fails("--kernel: none: No such file", "run", "--kernel", "none", "--memory", "8M", "--name",
                   "demo")
        self.fails("^ghvmctl: --memory: 'much' is not a size", "run", "--kernel", kernel,
                   "--memory", "much", "--name", "demo")
        self.fails("ghvmctl: --kernel: /.*: not a regular file", "run", "--kernel", ".",
                   "--memory", "8M", "--name", "demo")
        self.fails("^ghvmctl: --cmdline: has a control character", "run", "--kernel", kernel,
                   "--memory", "8M", "--name", "demo", "--cmdline", "a\nb")
        self.fails("^ghvmctl: --name: 'A' is not a VM's name", "run", "--kernel", kernel,
                   "--memory", "8M", "--name", "A")
        self.fails("demo.yaml:4:16: memory.size", "run", self.write(SPEC.replace("8M", "x")))
        self.fails("not a VM's name", "run", "--name", "a" * 28, demo)
        self.fails("not a VM's name|name of a virtual machine|cannot name", "run", "--name", "-a",
                   self.write())
        self.w.vm("demo", "off\n")
        self.fails("demo is described by", "run", self.write())

    def test_a_start_that_fails(self):
        """What is wrong is said of the option, or of the place in the file, that the user has written."""
        path, kernel = self.write(), self.w.path("Image")
        with open(kernel, "wb") as f:
            f.write(b"no kernel" * 100)
        self.fails(rf"(?m)^ghvmctl: --kernel: {kernel}: not an arm64 Image\nsee: journalctl -u gunyah-vm@demo$",
                   "run", "--kernel", kernel, "--memory", "8M", "--name", "demo")
        self.gone()
        with open(path, encoding="utf-8") as f:
            place = f.read().splitlines()[2].index(kernel) + 1
        self.fails(rf"(?m)^{path}:3:{place}: kernel\.image: {kernel}: not an arm64 Image\n(.*\n)+see: journalctl",
                   "run", "--name", "other", path)
        self.gone("other")
        self.w.model_says("refuse MEM_LEND 1")
        self.fails("ghvmctl: demo: cannot lend memory", "run", self.write())
        self.gone()


if __name__ == "__main__":
    unittest.main(verbosity=2)
