# SPDX-License-Identifier: GPL-2.0-or-later
"""Transactions and regions as a client on the bus sees them, and a test case with a guest."""
import fcntl
import json
import os

import case
from client import Error
from world import NAME, ROOT

PAGE = 4096
MIB = 1 << 20
AT = 0x50000000
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def sealed(size, seals=SEALS):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def place(label, address=AT, size=PAGE, readonly=None):
    options = {"label": ("u", label), "address": ("t", address), "size": ("t", size)}
    if readonly is not None:
        options["readonly"] = ("b", readonly)
    return ("a{sv}", options)


NOTHING = ("a{sv}", {})


class Transaction:
    """A transaction, as its client sees it."""

    def __init__(self, client, path):
        self.client = client
        self.path = path

    def call(self, method, *args, returns=""):
        return self.client.call(self.path, "Transaction", method, *args, returns=returns)

    def add(self, fd, *args, **kw):
        self.call("AddRegion", ("h", fd), place(*args, **kw))

    def fresh(self, *args, **kw):
        return self.call("AddFreshRegion", place(*args, **kw), returns="h")

    def remove(self, label):
        self.call("RemoveRegion", ("u", label), NOTHING)

    def plan(self):
        fd = self.call("Plan", NOTHING, returns="h")
        with open(fd, encoding="ascii") as f:
            assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
            return json.load(f)

    def commit(self, ms=None):
        options = {} if ms is None else {"timeout": ("u", ms)}
        return self.call("Commit", ("a{sv}", options), returns="o")

    def rollback(self):
        self.call("Rollback", NOTHING)


class Case(case.Case):
    script = "powerkey\n"

    def running(self, name="demo", script=None, extra="rm-rpc: true\n", **kw):
        return super().running(name, script or self.script, extra=extra, **kw)

    def begin(self, client, name="demo", ms=None):
        options = {} if ms is None else {"timeout": ("u", ms)}
        path = client.call(f"{ROOT}/vm/{name}", "VM", "BeginTransaction", ("a{sv}", options),
                           returns="o")
        return Transaction(client, path)

    def done(self, job):
        self.assertEqual(self.w.wait_job(job, 30), ["done", "", ""])

    def regions(self, name="demo"):
        """The regions from GetManagedObjects, by label."""
        r = self.w.busctl("call", NAME, ROOT, "org.freedesktop.DBus.ObjectManager",
                          "GetManagedObjects")
        objects = json.loads(r.stdout)["data"][0]
        found = {}
        for path, interfaces in objects.items():
            region = interfaces.get(NAME + ".Region")
            if region and path.startswith(f"{ROOT}/vm/{name}/region/"):
                found[int(path.rsplit("/", 1)[1])] = {k: v["data"] for k, v in region.items()}
        return found

    def assert_error(self, name, call, *args, **kw):
        with self.assertRaises(Error) as e:
            call(*args, **kw)
        self.assertEqual(e.exception.name, name, e.exception.text)
        return e.exception.text

    def end(self, unit, name="demo"):
        self.w.stop(name, "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()
        self.assertEqual(self.regions(name), {})
