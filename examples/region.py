#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Talk to a guest through memory that it shares with the host.

usage: region.py NAME LABEL [TEXT]

Opens a region of the running VM NAME, writes TEXT to its first bytes, then prints what they are each time the guest
changes them, until the guest has ended. Needs python3-dbus and python3-gi, and permission for org.gunyah.vmm1.region,
as members of the group gunyah have it. region.c does the same; gunyah-vmd.8 describes the interface.
"""
import mmap
import os
import sys

import dbus
import dbus.mainloop.glib
from gi.repository import GLib

BUS = "org.gunyah.vmm1"
LOOK_MS = 50
LINE = 64


def map_memory(fd):
    """For reading and writing; a region that the host may only read, for reading. It stays when the guest has ended."""
    try:
        return mmap.mmap(fd, os.fstat(fd).st_size)
    except PermissionError:
        return mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ)


class Window:
    """A region, until the manager announces that it is gone."""

    def __init__(self, bus, name, label):
        self.loop = GLib.MainLoop()
        root = bus.get_object(BUS, "/org/gunyah/vmm1")
        # before the region is opened, so that its end cannot be missed
        dbus.Interface(root, "org.freedesktop.DBus.ObjectManager").connect_to_signal(
            "InterfacesRemoved", self.on_removed)
        vm = dbus.Interface(root, BUS + ".Manager").GetVM(name)
        self.path = f"{vm}/region/{label}"
        region = dbus.Interface(bus.get_object(BUS, self.path), BUS + ".Region")
        fd = region.Open(dbus.Dictionary(signature="sv")).take()
        try:
            self.memory = map_memory(fd)
        finally:
            os.close(fd)
        self.line = b""

    def write(self, text):
        self.line = text[:len(self.memory) - 1]
        self.memory[:len(self.line) + 1] = self.line + b"\0"

    def look(self):
        """Print the first bytes if they have changed."""
        line = self.memory[:LINE].split(b"\0", 1)[0]
        if line != self.line:
            print(line.decode("ascii", "replace"), flush=True)
            self.line = line
        return True

    def on_removed(self, path, _interfaces):
        if path == self.path:
            self.look()
            print("the guest has ended", flush=True)
            self.loop.quit()


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    try:
        window = Window(dbus.SystemBus(), sys.argv[1], sys.argv[2])
    except dbus.DBusException as e:
        sys.exit(f"region.py: {e.get_dbus_name()}: {e.get_dbus_message()}")
    if len(sys.argv) == 4:
        window.write(sys.argv[3].encode())
    GLib.timeout_add(LOOK_MS, window.look)
    window.loop.run()


if __name__ == "__main__":
    main()
