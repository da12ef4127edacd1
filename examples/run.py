#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a virtual machine over D-Bus of which nothing is stored, to its end.

usage: run.py NAME KERNEL [INITRD]

Prints each signal of the manager on the way. Needs python3-dbus and python3-gi; gunyah-vmd.8
describes the interface.
"""
import sys

import dbus
import dbus.mainloop.glib

import define


class Transient(define.Run):
    """It is removed by itself, after its end or a start that has failed."""

    def run(self, kernel, initrd):
        spec, files = self.sent(kernel, initrd)
        job = self.manager.RunVM(self.name, spec, files, dbus.Dictionary(signature="sv"))
        self.vm = dbus.SystemBus().get_object(define.BUS, job).Get(
            define.BUS + ".Job", "VM", dbus_interface="org.freedesktop.DBus.Properties")
        print("running", self.vm, "by", job, flush=True)

    def undefine(self):
        pass


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    run = Transient(dbus.SystemBus(), sys.argv[1])
    run.run(sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else None)
    run.loop.run()
    sys.exit(run.status)


if __name__ == "__main__":
    main()
