# SPDX-License-Identifier: GPL-2.0-or-later
"""Descriptors and files that are sent with a call."""
import fcntl
import os
import subprocess

import case
import world
from client import Error
from world import ROOT

SHRINK, GROW, WRITE = fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE
SPEC = ("# a comment\nversion: 1\n"
        "kernel: {image: fd:kernel, cmdline: \"console=ttyS0\"}\n"
        "memory: {size: 8M, hugepages: never}\n")
MIB = 1 << 20
CTL = world.program("daemon/ctl/ghvmctl")


def sealed(data, seals=SHRINK | WRITE, size=None):
    fd = os.memfd_create("sent", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if size:
        os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Case(case.Case):
    """Calls that bring a descriptor, @method, which refused() makes."""
    method = None

    def setUp(self):
        super().setUp()
        self.c = self.client()
        self.fds = []
        self.addCleanup(lambda: [os.close(fd) for fd in self.fds])

    def fd(self, fd):
        self.fds.append(fd)
        return fd

    def kernel(self, script="off\n", size=None):
        return self.fd(sealed(world.image(script), size=size))

    def arguments(self, name="demo", spec=SPEC, files=None, options=None):
        """@spec is a text or a descriptor, @files pairs."""
        if isinstance(spec, str):
            spec = self.fd(sealed(spec.encode()))
        if files is None:
            files = [("kernel", self.kernel())]
        return (("s", name), ("h", spec), ("a{sh}", files), ("a{sv}", options or {}))

    def send(self, client=None, **kw):
        return (client or self.c).call(ROOT, "Manager", self.method, *self.arguments(**kw),
                                       returns="o")

    def refused(self, error, text, call=None, **kw):
        with self.assertRaises(Error) as e:
            (call or self.send)(**kw)
        self.assertEqual(e.exception.name, error, e.exception.text)
        self.assertRegex(e.exception.text, text)

    def on_disk(self, *folder):
        return sorted(os.listdir(self.w.path("run", "lib", *folder)))

    def nothing_left(self):
        self.assertEqual(self.on_disk("vms"), [])
        self.assertEqual(self.on_disk("images"), [])


class Ghvmctl:
    """ghvmctl in the folder of the world, for a test case that is a Case as well."""

    def ghvmctl(self, *args):
        return subprocess.run([CTL, "--dir", self.w.path("vms"),
                               "--dir", self.w.path("run", "lib", "vms"), *args],
                              capture_output=True, text=True, check=False, cwd=self.w.dir,
                              env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus))

    def ok(self, *args):
        r = self.ghvmctl(*args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def fails(self, text, *args, status=1):
        r = self.ghvmctl(*args)
        self.assertEqual(r.returncode, status, r.stderr)
        self.assertRegex(r.stderr, text)

    def image(self, name="Image", script="off\n"):
        path = self.w.path(name)
        with open(path, "wb") as f:
            f.write(world.image(script))
        return path

    def write(self, text=SPEC, name="demo.yaml", script="off\n"):
        """A descriptor that names files of the caller. Returns its path."""
        path = self.w.path(name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("fd:kernel", self.image(script=script)))
        return path
