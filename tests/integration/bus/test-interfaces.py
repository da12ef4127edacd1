#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The files in systemd/dbus-interfaces match the introspection data of the manager's objects.

With the argument "write" it writes those files instead of comparing.
"""
import os
import sys
import unittest
import xml.etree.ElementTree as ET

import world
from client import Client
from world import NAME, ROOT, Refused, wait_until

FOLDER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../../systemd/dbus-interfaces")
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!-- SPDX-License-Identifier: GPL-2.0-or-later -->
<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
"""


def text_of(interface):
    node = ET.Element("node")
    node.append(interface)
    for e in node.iter():
        e.text = e.tail = None
    ET.indent(node)
    return HEAD + ET.tostring(node, encoding="unicode") + "\n"


class Live:
    """A world with an object of each interface."""

    def __init__(self):
        self.w = world.World()
        self.client = None

    def state(self):
        try:
            return self.w.vm_get("demo", "State")
        except Refused:
            return None

    def start(self):
        self.w.vm("demo", "mem-serve\n", extra="rm-rpc: true\n")
        self.w.unit("demo")
        wait_until(lambda: self.state() == "running", 20)
        self.client = Client(self.w.bus)
        nothing = ("a{sv}", {})

        def begin():
            return self.client.call(ROOT + "/vm/demo", "VM", "BeginTransaction", nothing,
                                    returns="o")

        job = self.client.call(begin(), "Transaction", "Commit", nothing, returns="o")
        self.w.wait_job(job)
        return (ROOT, ROOT + "/host", ROOT + "/vm/demo", ROOT + "/vm/demo/region/0", begin(), job)

    def close(self):
        if self.client:
            self.client.close()
        self.w.close()

    def interfaces(self):
        """{name: XML text} of the project's interfaces."""
        found = {}
        for path in self.start():
            r = self.w.busctl("introspect", "--xml-interface", NAME, path)
            assert r.returncode == 0, r.stderr
            for interface in ET.fromstring(r.stdout).iter("interface"):
                if interface.get("name").startswith(NAME + "."):
                    found[interface.get("name")] = text_of(interface)
        return found


class Interfaces(unittest.TestCase):
    maxDiff = None

    def test_what_is_installed_is_what_there_is(self):
        world.alarm(120)
        live = Live()
        self.addCleanup(world.alarm, 0)
        self.addCleanup(live.close)
        found = live.interfaces()
        self.assertEqual(sorted(n + ".xml" for n in found), sorted(os.listdir(FOLDER)))
        for name, text in found.items():
            with open(os.path.join(FOLDER, name + ".xml"), encoding="utf-8") as f:
                self.assertEqual(f.read(), text, f"{name}: write it anew with "
                                 "meson test integration-interfaces --test-args write")


def write():
    live = Live()
    try:
        for name, text in live.interfaces().items():
            with open(os.path.join(FOLDER, name + ".xml"), "w", encoding="utf-8") as f:
                f.write(text)
    finally:
        live.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    else:
        unittest.main(verbosity=1)
