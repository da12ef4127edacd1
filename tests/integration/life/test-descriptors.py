#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Descriptors that are added, removed or changed while the manager runs, or cannot be read."""
import json
import os
import signal
import socket
import subprocess
import unittest

import case
import world
from world import ROOT, Refused, wait_until

CTL = world.program("daemon/ctl/ghvmctl")


class Case(case.Case):
    def shown(self):
        """The VMs on the bus, by a call that does not scan the folders."""
        r = self.w.busctl("call", world.NAME, ROOT, "org.freedesktop.DBus.ObjectManager",
                          "GetManagedObjects")
        objects = json.loads(r.stdout)["data"][0]
        return {p.rsplit("/", 1)[1] for p in objects if p.startswith(ROOT + "/vm/")}

    def comes(self, *names):
        wait_until(lambda: self.shown() >= set(names), 20, 0.1)

    def goes(self, *names):
        wait_until(lambda: not self.shown() & set(names), 20, 0.1)

    def restart(self, *folders):
        self.w.kill_manager()
        self.w.start_manager(options=[o for f in folders for o in ("--vms-dir", f)])

    def copy(self, name, folder):
        os.makedirs(folder, exist_ok=True)
        with open(self.w.path("vms", "demo.yaml"), encoding="ascii") as f:
            text = f.read()
        with open(os.path.join(folder, name + ".yaml"), "w", encoding="ascii") as f:
            f.write(text)

    def ghvmctl(self, *args):
        return subprocess.run([CTL, *args], capture_output=True, text=True, check=False,
                              env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus))


class Folders(Case):
    def test_what_comes_and_goes_is_on_the_bus(self):
        self.assertEqual(self.shown(), set())
        monitor = self.w.monitor()
        self.w.vm("demo", "off\n")
        self.comes("demo")
        os.rename(self.w.path("vms", "demo.yaml"), self.w.path("vms", "other.yaml"))
        self.comes("other")
        self.goes("demo")
        os.unlink(self.w.path("vms", "other.yaml"))
        self.goes("other")
        monitor.terminate()
        said = [json.loads(line) for line in monitor.communicate()[0].splitlines()]
        told = [(m["member"], m["payload"]["data"][0].rsplit("/", 1)[1]) for m in said
                if m.get("member") in ("InterfacesAdded", "InterfacesRemoved")]
        self.assertIn(("InterfacesAdded", "demo"), told)
        self.assertIn(("InterfacesRemoved", "demo"), told)
        self.assertIn(("InterfacesRemoved", "other"), told)

    def test_a_folder_may_come_later(self):
        """Also in a folder that does not exist at first, or is removed in between."""
        self.w.vm("demo", "off\n")
        later = self.w.path("later", "vms")
        self.restart(later)
        self.comes("demo")
        for _ in range(2):
            self.copy("late", later)
            self.comes("late")
            self.copy("later", later)
            self.comes("later")
            subprocess.run(["rm", "-r", self.w.path("later")], check=True)
            self.goes("late", "later")
        self.assertEqual(self.shown(), {"demo"})

    def test_many_at_once_come_all(self):
        self.w.vm("demo", "off\n")
        for i in range(200):
            self.copy(f"vm-{i}", self.w.path("vms"))
        wait_until(lambda: len(self.shown()) == 201, 20, 0.1)

    def test_a_folder_that_cannot_be_read_takes_nobody_away(self):
        self.w.vm("demo", "off\n")
        second = self.w.path("second")
        self.copy("kept", second)
        self.restart(second)
        self.comes("demo", "kept")
        os.rename(second, second + ".away")
        os.symlink("/nonexistent/second", second)
        wait_until(lambda: "list of VMs is incomplete" in self.w.log())
        self.copy("new", self.w.path("vms"))
        self.comes("new")
        for _ in range(5):
            names = [v[0] for v in self.w.call(ROOT, "Manager", "ListVMs")[0]]
            self.assertEqual(sorted(names), ["demo", "kept", "new"])
        self.assertEqual(self.shown(), {"demo", "kept", "new"})
        self.assertLess(self.w.log().count("is incomplete"), 4)
        os.unlink(second)
        self.goes("kept")  # the folder does not exist

    def test_a_lost_drop_in_starts_nothing(self):
        self.w.vm("demo", "off\n")
        folder = self.w.path("vms", "demo.yaml.d")
        os.symlink("/nonexistent/demo.yaml.d", folder)
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        self.assertIn(folder + ": cannot be read", self.w.said("demo"))
        with self.assertRaisesRegex(Refused, "cannot be read"):
            self.w.call(ROOT, "Manager", "StartVM", "sa{sv}", "demo", "0")
        os.unlink(folder)
        self.assertEqual(self.w.run_unit("demo"), 0)

    def test_reload(self):
        """A reload notifies systemd of its begin and end, and logs persistent errors again."""
        os.symlink("/nonexistent/second", self.w.path("second"))
        self.w.kill_manager()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(self.w.path("notify"))
            s.settimeout(20)
            # not of this process: a busctl that finds no manager yet would notify too
            self.w.start_manager(options=["--vms-dir", self.w.path("second")],
                                 env={"NOTIFY_SOCKET": self.w.path("notify")})
            said = ""
            while "READY=1" not in said:
                said = s.recv(4096).decode()
            before = self.w.log().count("is incomplete")
            self.assertEqual(before, 1)
            self.w.manager.send_signal(signal.SIGHUP)
            self.assertRegex(s.recv(4096).decode(), r"RELOADING=1\nMONOTONIC_USEC=[0-9]+")
            self.assertEqual(s.recv(4096).decode(), "READY=1\nSTATUS=")
            self.assertEqual(self.w.log().count("is incomplete"), before + 1)


class Places(Case):
    """Errors of files name the place of the key, whichever program finds them."""

    def refused(self, text, **kw):
        self.w.vm("demo", "off\n", **kw)
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        place = self.w.path("vms", "demo.yaml") + ":"
        for said in self.w.said("demo"), self.w.vm_get("demo", "LastError"):
            self.assertRegex(said, place + text)
            self.assertEqual(said.count(place), 1)
        self.w.assert_clean()

    def file(self, name, data):
        with open(self.w.path(name), "wb") as f:
            f.write(data)
        return self.w.path(name)

    def test_files_that_the_helper_opens(self):
        self.refused("2:17: kernel.image: /nonexistent/Image: No such file",
                     kernel="/nonexistent/Image")
        self.file("Image-6.1", world.image("off\n"))
        link = self.w.path("vmlinuz")
        os.symlink("Image-6.1", link)
        if os.geteuid() == 0:
            self.w.vm("demo", "", kernel=link)
            self.assertEqual(self.w.run_unit("demo"), 0, self.w.said("demo"))
            self.w.wait_state("demo", "stopped")  # the next failure is no part of this start
            self.w.assert_clean()
            os.lchown(link, 65534, -1)
        self.refused("2:17: kernel.image: .*vmlinuz: is a symbolic link, which is followed only where all of it is "
                     "root's and only root may write: ", kernel=link)
        self.refused("2:17: kernel.image: .*void: is a symbolic link without a target",
                     kernel=self.dangling())

    def dangling(self):
        os.symlink("nothing", self.w.path("void"))
        return self.w.path("void")

    def test_files_that_the_manager_reads(self):
        lz4 = self.file("lz4", b"\x04\x22\x4d\x18" + bytes(4096))
        self.refused("2:17: kernel.image: .*/lz4: compressed with lz4", kernel=lz4)
        empty = self.file("empty", b"")
        self.refused("2:17: kernel.image: .*/empty: is empty", kernel=empty)
        image = self.file("Image", world.image("off\n"))
        self.refused("2:[0-9]+: kernel.initrd: .*/empty: is empty",
                     kernel=f"{image}, initrd: {empty}")
        self.refused("2:[0-9]+: kernel.dtb-overlay: .*/lz4: device tree overlay",
                     kernel=f"{image}, dtb-overlay: {lz4}")
        self.refused("2:[0-9]+: kernel.dtb-overlay: .*/empty: has 0 bytes",
                     kernel=f"{image}, dtb-overlay: {empty}")
        self.refused("3:16: memory.size: 2M is too small", memory="2M")


class Running(Case):
    """The descriptor at the start, compared with the one on disk."""

    def setUp(self):
        super().setUp()
        self.w.vm("demo", "powerkey\n")
        self.file = self.w.path("vms", "demo.yaml")
        with open(self.file, encoding="ascii") as f:
            self.text = f.read()
        self.unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")

    def write(self, text):
        with open(self.file, "w", encoding="ascii") as f:
            f.write(text)

    def becomes(self, state):
        wait_until(lambda: self.w.vm_get("demo", "DescriptorState") == state, 20, 0.1)

    def status(self):
        return self.ghvmctl("status", "demo").stdout

    def test_status_says_that_it_has_changed(self):
        self.becomes("current")
        self.assertNotIn("descriptor", self.status())
        self.write(self.text + "cpus: {count: 2}\n")
        self.becomes("changed")
        self.assertIn("descriptor  changed on disk since the start", self.status())
        self.assertEqual(json.loads(self.ghvmctl("--json", "status", "demo").stdout)["descriptor"],
                         "changed")
        self.write(self.text + "# other words\n")
        self.becomes("current")
        self.write(self.text + "cpus: {count: none}\n")
        self.becomes("invalid")
        self.assertIn("with errors", self.status())
        os.unlink(self.file)
        self.becomes("missing")
        self.assertIn("deleted since the start", self.status())
        self.assertEqual(self.w.state("demo"), "running")
        self.write(self.text)
        self.becomes("current")
        os.unlink(self.file)
        self.becomes("missing")
        self.w.stop("demo")
        self.assertEqual(self.unit.wait(20), 0)
        self.goes("demo")
        self.w.assert_clean()

    def test_drop_ins_count(self):
        folder = self.w.path("vms", "demo.yaml.d")
        os.mkdir(folder)
        drop_in = os.path.join(folder, "50-more.yaml")
        with open(drop_in, "w", encoding="ascii") as f:
            f.write("cpus: {count: 2}\n")
        self.becomes("changed")
        with open(drop_in, "w", encoding="ascii") as f:
            f.write("# nothing\n")
        self.becomes("current")
        with open(drop_in, "w", encoding="ascii") as f:
            f.write("memory: {size: 16M}\n")
        self.becomes("changed")
        subprocess.run(["rm", "-r", folder], check=True)
        self.becomes("current")

    def test_a_later_manager_knows_it_too(self):
        self.w.kill_manager()
        self.write(self.text + "lifecycle: {on-crash: restart}\n")
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        self.becomes("changed")
        self.write(self.text)
        self.becomes("current")
        self.w.stop("demo")
        self.assertEqual(self.unit.wait(20), 0)
        self.becomes("")
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main(verbosity=2)
