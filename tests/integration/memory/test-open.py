#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that open the memory of regions: Region.Open, also of a manager that was restarted."""
import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import subprocess
import unittest

import world
from client import Error
from regions import AT, MIB, NOTHING, PAGE, SEALS, Case, sealed
from world import ROOT, wait_until

YAML = f"rm-rpc: true\nregions:\n  - {{label: 5, size: 8K, address: {AT}}}\n"
TALK = f"mem-await {AT} 4660\nmem-write {AT + 4} 22136\nmem-serve\n"
NOBODY = 65534
F_SEAL_FUTURE_WRITE = 0x10
HOLE = 3  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE


def word(m, at, value=None):
    if value is not None:
        m[at:at + 4] = value.to_bytes(4, "little")
    return int.from_bytes(m[at:at + 4], "little")


class Base(Case):
    script = "mem-serve\n"

    def open(self, client, label=5, name="demo", options=None):
        return client.call(f"{ROOT}/vm/{name}/region/{label}", "Region", "Open",
                           ("a{sv}", options or {}), returns="h")

    def opens(self, client, label=5):
        """Once the runner has sent the memory to a new manager."""
        def tried():
            try:
                return self.open(client, label)
            except Error as e:
                if e.name != "Busy":
                    raise
                self.assertIn("try again", e.text)
                return None
        return wait_until(tried)

    def inode(self, fd):
        """The file of a descriptor, which is closed."""
        with open(fd, "rb") as f:
            return os.fstat(f.fileno()).st_ino

    def keep(self, fd):
        """Close it when the test ends."""
        self.addCleanup(os.close, fd)
        return fd

    def restart(self):
        self.w.kill_manager()
        self.w.start_manager()

    def fallocate(self, fd, mode, at, size):
        return ctypes.CDLL(None).fallocate(fd, mode, ctypes.c_int64(at), ctypes.c_int64(size))

    def manager_fds(self):
        return len(os.listdir(f"/proc/{self.w.manager.pid}/fd"))

    def add(self, client, label, address=AT + MIB, size=PAGE):
        """Returns the client's own file descriptor."""
        t = self.begin(client)
        fd = t.fresh(label, address, size)
        self.done(t.commit())
        return fd

    def remove(self, client, label):
        t = self.begin(client)
        t.remove(label)
        self.done(t.commit())


class Opens(Base):
    def test_it_is_the_guests_memory_and_stays_when_the_guest_has_ended(self):
        unit, c = self.running(script=TALK, extra=YAML), self.client()
        fd = self.open(c)
        self.assertEqual(os.fstat(fd).st_size, 2 * PAGE)
        m = mmap.mmap(fd, 2 * PAGE)
        word(m, 0, 4660)
        wait_until(lambda: word(m, 4) == 22136)
        self.end(unit)
        self.assertEqual((word(m, 0), word(m, 4)), (4660, 22136))
        self.assertEqual(os.fstat(fd).st_size, 2 * PAGE)
        text = self.assert_error("NoSuchRegion", self.open, c)
        self.assertIn("demo is stopped", text)
        # the next start has other memory
        unit = self.running(script=TALK, extra=YAML)
        self.assertNotEqual(self.inode(self.open(c)), os.fstat(fd).st_ino)
        m.close()
        os.close(fd)
        self.end(unit)

    def test_nothing_can_be_done_to_its_size(self):
        unit, c = self.running(extra=YAML), self.client()
        fd = self.open(c)
        for size in (0, PAGE, 3 * PAGE):
            self.assertRaises(PermissionError, os.ftruncate, fd, size)
        for seal in (fcntl.F_SEAL_WRITE, F_SEAL_FUTURE_WRITE):
            with self.assertRaises(PermissionError):
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
        self.assertEqual(fcntl.fcntl(fd, fcntl.F_GET_SEALS), SEALS | fcntl.F_SEAL_SEAL)
        # a hole takes a page from the file; the guest's is pinned
        self.assertEqual(self.fallocate(fd, HOLE, 0, PAGE), 0)
        os.close(fd)
        self.end(unit)

    def test_a_memfd_that_is_sealed_against_writing(self):
        unit, c = self.running(script=f"mem-accept 7\nmem-await {AT} 4660\nprint seen\n"
                               "mem-serve\n"), self.client()
        fd = sealed(PAGE)
        os.pwrite(fd, (4660).to_bytes(4, "little"), 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
        t = self.begin(c)
        self.assertIn("sealed against writing", self.assert_error("InvalidArgs", t.add, fd, 7))
        t.add(fd, 7, readonly=True)
        self.done(t.commit())
        wait_until(lambda: "seen" in self.w.console_log("demo"))
        self.assertEqual(self.regions()[7]["Access"], "r")
        self.end(unit)
        self.assertEqual(os.pread(fd, 4, 0), (4660).to_bytes(4, "little"))
        os.close(fd)

    def test_the_host_may_only_read(self):
        unit, c = self.running(
            script=f"mem-write {AT} 4660\nmem-await {AT + MIB} 1\nmem-write {AT} 22136\nmem-serve\n",
            extra=YAML.replace("}", ", access: host-readonly}") +
            f"  - {{label: 6, size: 4K, address: {AT + MIB}}}\n"), self.client()
        self.assertEqual([self.regions()[i]["HostAccess"] for i in (0, 5, 6)], ["none", "r", "rw"])
        fds = [self.open(c), self.open(c)]
        fds.append(os.open(f"/proc/self/fd/{fds[0]}", os.O_RDWR))
        for fd in fds:
            self.assertRaises(PermissionError, mmap.mmap, fd, PAGE)
            self.assertRaises(PermissionError, os.pwrite, fd, b"x", 0)
            self.assertEqual(self.fallocate(fd, HOLE, 0, PAGE), -1)
            self.assertRaises(PermissionError, os.ftruncate, fd, 0)
        with mmap.mmap(fds[0], 2 * PAGE, prot=mmap.PROT_READ) as m, \
                mmap.mmap(self.keep(self.open(c, 6)), PAGE) as n:
            wait_until(lambda: word(m, 0) == 4660)
            word(n, 0, 1)
            wait_until(lambda: word(m, 0) == 22136)
        self.restart()
        fds.append(self.opens(self.client()))
        self.assertRaises(PermissionError, mmap.mmap, fds[-1], PAGE)
        self.assertEqual(self.regions()[5]["HostAccess"], "r")
        for fd in fds:
            os.close(fd)
        self.end(unit)

    def test_its_adder_makes_it_readonly_for_others(self):
        unit, c = self.running(extra=YAML), self.client()
        mine = self.keep(sealed(PAGE))
        t = self.begin(c)
        t.add(mine, 7, AT + MIB)
        self.done(t.commit())
        fcntl.fcntl(mine, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
        fd = self.keep(self.open(c, 7))
        self.assertRaises(PermissionError, mmap.mmap, fd, PAGE)
        self.end(unit)

    def test_regions_that_were_added(self):
        unit, c, d = self.running(extra=YAML), self.client(), self.client()
        mine = self.add(c, 7)
        self.assertEqual(self.inode(self.open(d, 7)), os.fstat(mine).st_ino)
        os.close(mine)
        t = self.begin(c)
        exact, larger = sealed(PAGE), sealed(2 * PAGE)
        t.add(exact, 8, AT + 2 * MIB)
        t.add(larger, 9, AT + 3 * MIB)
        self.done(t.commit())
        self.assertEqual(self.inode(self.open(d, 8)), os.fstat(exact).st_ino)
        self.assertIn("4096 bytes and its file 8192", self.assert_error("NotShared", self.open, d, 9))
        os.close(exact)
        os.close(larger)
        self.remove(c, 7)
        self.assert_error("NoSuchRegion", self.open, d, 7)
        self.end(unit)

    def test_a_commit_that_fails_leaves_nothing(self):
        unit, c = self.running(extra=YAML), self.client()
        fds = self.manager_fds()
        t = self.begin(c)
        os.close(t.fresh(7, AT + MIB))
        self.w.model_says("refuse MEM_SHARE 11")
        self.assertEqual(self.w.wait_job(t.commit())[0], "failed")
        self.assert_error("NoSuchRegion", self.open, c, 7)
        t = self.begin(c)
        os.close(t.fresh(7, AT + MIB))
        t.rollback()
        wait_until(lambda: self.manager_fds() == fds)
        self.end(unit)

    def test_the_same_file_after_a_reboot_in_place(self):
        unit, c = self.running(script=f"print up\nmem-await {AT} 1\nmem-write {AT} 2\nreset\n",
                               extra=YAML), self.client()
        fd = self.open(c)
        os.close(self.add(c, 7))
        with mmap.mmap(fd, PAGE) as m:
            for _ in range(2):
                word(m, 0, 1)
                wait_until(lambda: word(m, 0) == 2)
            wait_until(lambda: self.w.console_log("demo").count("up") == 3)
            self.w.wait_state("demo", "running")
            self.assertEqual(self.inode(self.open(c)), os.fstat(fd).st_ino)
        self.assert_error("NoSuchRegion", self.open, c, 7)
        os.close(fd)
        self.end(unit)


class Errors(Base):
    def test_what_cannot_be_opened(self):
        unit, c = self.running(extra=YAML), self.client()
        self.assertIn("own memory", self.assert_error("NotShared", self.open, c, 0))
        for label in (6, 4294967295):
            self.assertIn("ghvmctl region list demo",
                          self.assert_error("NoSuchRegion", self.open, c, label))
        self.assert_error("UnknownObject", self.open, c, "05")
        self.assert_error("UnknownObject", self.open, c, 5, "absent")
        for options in ({"colour": ("s", "blue")}, {"": ("b", True)}):
            self.assert_error("InvalidArgs", self.open, c, options=options)
        os.close(self.add(c, 7))
        t = self.begin(c)
        t.remove(7)
        self.assertIn("being removed", self.assert_error("BadState", self.open, c, 7))
        t.rollback()
        os.close(self.open(c, 7))
        self.end(unit)

    def test_shared_ram_is_no_region(self):
        unit, c = self.running(extra=YAML, memory="8M, protection: none"), self.client()
        self.assert_error("NotShared", self.open, c, 0)
        os.close(self.open(c))
        self.end(unit)

    def test_while_it_stops(self):
        unit, c = self.running(extra=YAML), self.client()
        self.w.model_says("hold on")
        self.w.stop("demo", "force")
        self.w.wait_state("demo", "stopping")
        self.assertIn("stopping", self.assert_error("BadState", self.open, c))
        self.w.model_says("hold off")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_thousands(self):
        unit, c = self.running(extra=YAML), self.client()
        fds = self.manager_fds()
        for _ in range(1000 if world.SANITIZED else 10000):
            os.close(self.open(c))
        wait_until(lambda: self.manager_fds() == fds)
        self.end(unit)

    def test_clients_that_die(self):
        unit = self.running(extra=YAML)
        fds = self.manager_fds()
        for _ in range(20):
            d = self.client()
            for _ in range(50):
                d.send(ROOT + "/vm/demo/region/5", "Region", "Open", NOTHING)
            d.close()
        wait_until(lambda: self.manager_fds() == fds)
        self.end(unit)


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Users(Base):
    def answer(self, polkit):
        self.w.polkit = polkit
        self.w.start_stand_in()
        unit, c = self.running(extra=YAML), self.client(uid=NOBODY)
        return unit, c

    def test_one_who_may(self):
        unit, c = self.answer("yes")
        os.close(self.open(c))
        self.end(unit)

    def test_one_who_may_not(self):
        unit, c = self.answer("no")
        self.assert_error("NotAuthorized", self.open, c)
        # what is wrong is said first
        self.assert_error("NotShared", self.open, c, 0)
        os.close(self.open(self.client()))
        self.end(unit)


class Restarts(Base):
    """The manager dies; its successor gets the memory from the runner."""

    def test_all_regions(self):
        unit = self.running(script=TALK, extra=YAML)
        fd = self.open(self.client())
        mine = self.add(self.client(), 7)
        gone = self.add(self.client(), 8, AT + 2 * MIB)
        self.remove(self.client(), 8)
        os.close(gone)
        for _ in range(2):  # the second one gets it from a runner that has given it before
            self.restart()
            c = self.client()
            self.assertEqual(self.inode(self.opens(c)), os.fstat(fd).st_ino)
            self.assertEqual(self.inode(self.opens(c, 7)), os.fstat(mine).st_ino)
            self.assert_error("NoSuchRegion", self.open, c, 8)
        again = self.opens(c)
        with mmap.mmap(again, PAGE) as m:
            word(m, 0, 4660)
            wait_until(lambda: word(m, 4) == 22136)
        os.close(again)
        os.close(fd)
        # a label that is used again has its new memory, also in the next manager
        self.remove(c, 7)
        new = self.add(c, 7, AT + 3 * MIB)
        self.restart()
        c = self.client()
        self.assertEqual(self.inode(self.opens(c, 7)), os.fstat(new).st_ino)
        self.assertNotEqual(os.fstat(new).st_ino, os.fstat(mine).st_ino)
        os.close(mine)
        os.close(new)
        self.assertNotIn("Lost", self.w.said("demo").replace("Lost the manager", ""))
        self.end(unit)

    def test_a_runner_that_does_not_read(self):
        """Changes of regions do not fill the socket of its runner, which would end the guest."""
        unit, c = self.running(extra=YAML), self.client()
        runner = self.w.vm_get("demo", "LeaderPID")
        os.kill(runner, signal.SIGSTOP)
        try:
            for label in range(20, 24):
                os.close(self.add(c, label, AT + label * MIB))
            t = self.begin(c)
            os.close(t.fresh(24, AT + 24 * MIB))
            self.assertIn("does not reply", self.assert_error("Busy", t.commit))
            t.rollback()
        finally:
            os.kill(runner, signal.SIGCONT)

        def commits():
            t = self.begin(c)
            os.close(t.fresh(24, AT + 24 * MIB))
            try:
                self.done(t.commit())
            except Error as e:
                self.assertEqual(e.name, "Busy")
                t.rollback()
                return False
            return True

        wait_until(commits)
        self.restart()
        c = self.client()
        for label in range(20, 25):
            os.close(self.opens(c, label))
        self.end(unit)


class Ctl(Base):
    """ghvmctl region dump and load."""

    def ctl(self, *args, **kw):
        return subprocess.run([world.program("daemon/ctl/ghvmctl"), "region", *args],
                              capture_output=True, check=False, timeout=40,
                              env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.w.bus}, **kw)

    def good(self, *args, **kw):
        r = self.ctl(*args, **kw)
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        return r.stdout

    def bad(self, status, text, *args, **kw):
        r = self.ctl(*args, **kw)
        self.assertEqual((r.returncode, r.stdout), (status, b""), r.stderr)
        self.assertIn(text, r.stderr.decode())

    def file(self, data):
        path = self.w.path("content")
        with open(path, "wb") as f:
            f.write(data)
        return path

    def test_the_guest_sees_what_is_loaded_and_writes_what_is_dumped(self):
        unit = self.running(script=TALK, extra=YAML)
        self.assertEqual(self.good("dump", "demo", "5"), bytes(2 * PAGE))
        self.good("load", "demo", "5", self.file((4660).to_bytes(4, "little")))
        out = self.w.path("dumped")
        with open(out, "wb") as f:
            os.fchmod(f.fileno(), 0o644)  # an earlier dump, which others could read
        wanted = (4660).to_bytes(4, "little") + (22136).to_bytes(4, "little")

        def dumped():
            self.good("dump", "demo", "5", out)
            with open(out, "rb") as f:
                return f.read() == wanted + bytes(2 * PAGE - 8)

        wait_until(dumped)
        self.assertEqual(os.stat(out).st_mode & 0o777, 0o600)
        # what is loaded replaces only as many bytes as it has
        self.good("load", "demo", "0x5", "-", input=b"ab")
        self.assertEqual(self.good("dump", "demo", "5", "-")[:8], b"ab" + wanted[2:])
        self.end(unit)

    def test_what_goes_wrong(self):
        unit = self.running(extra=YAML.replace("\n  - ", "\n  - {label: 6, size: 4K, "
                                               "access: host-readonly}\n  - "))
        path = self.file(bytes(2 * PAGE + 1))
        self.bad(2, "needs NAME and the LABEL", "dump", "demo")
        self.bad(2, "needs NAME and the LABEL", "load", "demo", "x", path)
        self.bad(2, "needs NAME and the LABEL", "dump", "demo", "4294967296")
        self.bad(2, "needs a FILE", "load", "demo", "5")
        self.bad(2, "takes one NAME", "list", "demo", "5")
        self.bad(3, "absent", "dump", "absent", "5")
        self.bad(1, "has no region 7", "dump", "demo", "7")
        self.bad(1, "own memory", "dump", "demo", "0")
        self.bad(1, "longer than the region, which has 8192", "load", "demo", "5", path)
        self.bad(1, "longer than the region; its first", "load", "demo", "5", "-", input=b"x" * (2 * PAGE + 1))
        self.bad(1, "may only read region 6", "load", "demo", "6", self.file(b"x"))
        self.assertEqual(self.good("dump", "demo", "6"), bytes(PAGE))
        self.bad(1, "No such file", "load", "demo", "5", "/nonexistent")
        self.bad(1, "Is a directory", "dump", "demo", "5", "/")
        self.bad(1, "No space left", "dump", "demo", "5", "/dev/full")
        self.end(unit)
        self.bad(1, "demo is stopped", "dump", "demo", "5")


class Example(Base):
    """examples/region.c"""

    def program(self):
        return [world.program("examples/region")]

    def start(self, *args):
        return self.w.spawn(*self.program(), *args, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.w.bus})

    def test_it_talks_to_a_guest_until_the_guest_ends(self):
        def number(text):
            return int.from_bytes(text.encode().ljust(4, b"\0"), "little")

        unit = self.running(script=f"mem-await {AT} {number('ask')}\n"
                            f"mem-write {AT} {number('yes')}\nmem-await {AT + 4} 1\n"
                            f"mem-write {AT} {number('bye')}\noff\n", extra=YAML)
        example = self.start("demo", "5", "ask")
        self.assertEqual(example.stdout.readline(), "yes\n")
        with mmap.mmap(self.keep(self.open(self.client())), PAGE) as m:
            word(m, 4, 1)
        out, err = example.communicate(timeout=20)
        self.assertEqual((out, err, example.returncode), ("bye\nthe guest has ended\n", "", 0))
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_it_says_why_it_cannot(self):
        unit = self.running(extra=YAML)
        for label, name in (("0", "NotShared"), ("9", "NoSuchRegion"), ("x", "UnknownObject")):
            example = self.start("demo", label)
            self.assertIn(name, example.communicate(timeout=20)[1])
            self.assertEqual(example.returncode, 1)
        self.end(unit)


class PythonExample(Example):
    """examples/region.py"""

    def program(self):
        return world.example("region.py")


class FakeRunner(Base):
    """What a runner may answer to a new manager."""

    def setUp(self):
        super().setUp()
        self.w.vm("demo", "forever\n", extra=YAML)
        self.store, self.vmid = world.build(self.w, "demo")
        self.addCleanup(world.close_store, self.store)
        self.memory = self.store["window-5"]
        self.incarnation = self.w.vm_get("demo", "Incarnation")
        self.s = socket.socket(fileno=self.store.pop("control"))
        self.hello()
        world.send(self.s, world.READY)
        world.receive_kind(self.s, world.STARTED)
        self.w.kill_manager()
        self.s.close()
        self.w.start_manager(wait=False)
        with socket.socket(fileno=os.dup(self.store["listen"])) as listen:
            listen.settimeout(10)
            self.s, _ = listen.accept()
        self.addCleanup(lambda: self.s.close())
        self.hello()
        world.receive_kind(self.s, world.REGION_FDS)
        self.ping, _ = world.receive_kind(self.s, world.PING)
        wait_until(self.w.answers)
        self.c = self.client()

    def hello(self):
        self.s.settimeout(10)
        pid = os.pidfd_open(os.getpid())
        world.send(self.s, world.RUNNER, struct.pack("<HQ", self.vmid, self.incarnation), [pid])
        os.close(pid)

    def gives(self, fd, label=5, rest=b""):
        world.send(self.s, world.REGION_FD, struct.pack("<I", label) + rest, [fd])

    def lost(self):
        self.w.wait_state("demo", "failed")
        self.w.assert_clean()

    def test_an_answer_that_is_late(self):
        self.assertIn("try again", self.assert_error("Busy", self.open, self.c))
        self.gives(self.memory)
        world.send(self.s, world.PONG, self.ping)
        self.assertEqual(self.inode(self.opens(self.c)), os.fstat(self.memory).st_ino)
        # it was not asked for more
        other = sealed(2 * PAGE)
        self.gives(other)
        self.w.call(ROOT, "Manager", "ListVMs")
        self.assertEqual(self.inode(self.open(self.c)), os.fstat(self.memory).st_ino)
        os.close(other)
        self.s.close()
        self.lost()

    def test_an_earlier_version(self):
        world.send(self.s, world.PONG, struct.pack("<I", 77))  # it was not asked that
        self.assert_error("Busy", self.open, self.c)
        world.send(self.s, world.PONG, self.ping)
        wait_until(lambda: "earlier version" in self.text())
        self.assert_error("BadState", self.open, self.c)
        self.s.close()
        self.lost()

    def text(self):
        try:
            os.close(self.open(self.c))
        except Error as e:
            return e.text
        return ""

    def test_regions_that_do_not_exist(self):
        fds = self.manager_fds()
        self.gives(self.memory, 6)
        world.send(self.s, world.PONG, self.ping)
        payload, _ = world.receive_kind(self.s, world.REGION_GONE)
        self.assertEqual(payload, struct.pack("<I", 6))
        wait_until(lambda: self.manager_fds() == fds)  # the file descriptor is closed after the reply
        self.s.close()
        self.lost()

    def test_memory_of_another_size(self):
        fd = sealed(PAGE)
        self.gives(fd)
        world.send(self.s, world.PONG, self.ping)
        os.close(fd)
        wait_until(lambda: "its file 4096" in self.text())
        self.assert_error("NotShared", self.open, self.c)
        self.s.close()
        self.lost()

    def test_what_is_no_memory(self):
        r, w = os.pipe()
        self.gives(r)
        os.close(r)
        os.close(w)
        self.lost()

    def test_memory_that_is_not_sealed(self):
        fd = sealed(2 * PAGE, fcntl.F_SEAL_GROW)
        self.gives(fd)
        os.close(fd)
        self.lost()

    def test_malformed(self):
        self.gives(self.memory, rest=b"\0")
        self.lost()


if __name__ == "__main__":
    unittest.main()
