#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Define a virtual machine over D-Bus, run it to its end, and remove it again.

usage: define.py NAME KERNEL [INITRD]

Prints each signal of the manager on the way. Needs python3-dbus and python3-gi; gunyah-vmd.8
describes the interface.
"""
import fcntl
import os
import shutil
import sys

import dbus
import dbus.mainloop.glib
from gi.repository import GLib

BUS = "org.gunyah.vmm1"
MANAGER = BUS + ".Manager"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
SPEC = """\
version: 1
kernel:
  image: fd:kernel{initrd}
  cmdline: "console=ttyS0"
memory: {{size: 64M}}
lifecycle: {{on-reboot: stop}}
"""


def seal(fd):
    """The manager takes memfds that can neither change nor shrink."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE)
    return dbus.types.UnixFd(fd)


def memfd():
    return os.fdopen(os.memfd_create("sent", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb")


def sealed_text(text):
    with memfd() as f:
        f.write(text.encode())
        f.flush()
        return seal(f.fileno())


def sealed_file(path):
    with open(path, "rb") as source, memfd() as f:
        shutil.copyfileobj(source, f)
        f.flush()
        return seal(f.fileno())


class Run:
    """The VM from its definition to its end."""

    def __init__(self, bus, name):
        self.loop = GLib.MainLoop()
        self.status = 1
        self.vm = None
        root = bus.get_object(BUS, "/org/gunyah/vmm1")
        self.name = name
        self.manager = dbus.Interface(root, MANAGER)
        objects = dbus.Interface(root, OBJECT_MANAGER)
        objects.connect_to_signal("InterfacesAdded", self.on_added)
        objects.connect_to_signal("InterfacesRemoved", self.on_removed)
        bus.add_signal_receiver(self.on_state, "StateChanged", BUS + ".VM", BUS,
                                path_keyword="path")
        bus.add_signal_receiver(self.on_properties, "PropertiesChanged",
                                "org.freedesktop.DBus.Properties", BUS, path_keyword="path")

    @staticmethod
    def sent(kernel, initrd):
        """A descriptor, and the files that it names."""
        files = {"kernel": sealed_file(kernel)}
        if initrd:
            files["initrd"] = sealed_file(initrd)
        spec = sealed_text(SPEC.format(initrd="\n  initrd: fd:initrd" if initrd else ""))
        return spec, dbus.Dictionary(files, signature="sh")

    def define(self, kernel, initrd):
        spec, files = self.sent(kernel, initrd)
        self.vm = self.manager.DefineVM(self.name, spec, files, dbus.Dictionary(signature="sv"))
        print("defined", self.vm, flush=True)

    def start(self):
        job = self.manager.StartVM(self.name, dbus.Dictionary(signature="sv"))
        print("starting by", job, flush=True)

    def undefine(self):
        self.manager.UndefineVM(self.name, dbus.Dictionary(signature="sv"))

    def on_added(self, path, _interfaces):
        print("added", path, flush=True)

    def on_removed(self, path, _interfaces):
        print("removed", path, flush=True)
        if path == self.vm:
            self.loop.quit()

    def on_properties(self, interface, changed, _invalidated, path=None):
        """A job that fails ends the run: no state would follow."""
        if interface == BUS + ".Job" and changed.get("Result") not in (None, "done"):
            print("job", path, changed["Result"], changed.get("Error", ""), flush=True)
            self.undefine()

    def on_state(self, before, now, reason, _details, path=None):
        if path != self.vm:
            return
        print(f"{self.name} was {before}, is {now}", f"({reason})" if reason else "", flush=True)
        if now == "stopped":
            self.status = 0
            self.undefine()


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    run = Run(dbus.SystemBus(), sys.argv[1])
    run.define(sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else None)
    run.start()
    run.loop.run()
    sys.exit(run.status)


if __name__ == "__main__":
    main()
