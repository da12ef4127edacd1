#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that QEMU's storage daemon serves to a guest, over vhost-user."""
import os
import signal
import socket
import subprocess
import unittest

import case
from world import die_with_test, wait_until

DEVICE = 0x10010000
DESCRIPTORS, AVAIL, USED, HEADER, BUFFER, STATUS = (0x80600000 + n * 0x1000 for n in range(6))
SIZE = 8  # of the ring
READ, WRITE = 0, 1
WORD = 0x6b736964  # "disk"


def registers(*writes):
    return "".join(f"mmio-write {DEVICE + offset:#x} 4 {value:#x}\n" for offset, value in writes)


def words(*pairs):
    return "".join(f"mem-write {address:#x} {value:#x}\n" for address, value in pairs)


def driver():
    """Reset, features, a queue, and ready."""
    return (words((AVAIL, 0), (USED, 0)) +
            registers((0x70, 0), (0x70, 3), (0x24, 1), (0x20, 3), (0x70, 11), (0x38, SIZE),
                      (0x80, DESCRIPTORS), (0x90, AVAIL), (0xa0, USED), (0x44, 1), (0x70, 15)))


def request(nth, kind, sector):
    """The request number @nth since the driver began: a header, 512 bytes, and a status."""
    data = 3 if kind == READ else 1
    slot = AVAIL + 4 + nth % SIZE // 2 * 2
    return words((HEADER, kind), (HEADER + 4, 0), (HEADER + 8, sector), (HEADER + 12, 0), (STATUS, 0xff),
                 (DESCRIPTORS, HEADER), (DESCRIPTORS + 4, 0), (DESCRIPTORS + 8, 16), (DESCRIPTORS + 12, 0x10001),
                 (DESCRIPTORS + 16, BUFFER), (DESCRIPTORS + 20, 0), (DESCRIPTORS + 24, 512),
                 (DESCRIPTORS + 28, 0x20000 + data),
                 (DESCRIPTORS + 32, STATUS), (DESCRIPTORS + 36, 0), (DESCRIPTORS + 40, 1), (DESCRIPTORS + 44, 2),
                 (slot, 0), (AVAIL, (nth + 1) << 16)) + registers((0x50, 0))


def served(nth):
    """That request is done, without an error."""
    return f"mem-await {USED:#x} {(nth + 1) << 16:#x}\nmem-await {STATUS:#x} 0\n" + registers((0x64, 1))


class Disk(case.Case):
    def setUp(self):
        super().setUp()
        self.image = self.w.path("disk.img")
        with open(self.image, "wb") as f:
            f.write(b"disk" * 128 + bytes(1 << 20))
        self.path = self.w.path("disk.sock")
        self.listener = self.listen(self.path)
        self.listener.listen()
        self.back_end = None

    def listen(self, path):
        """A socket for a back-end, without its queue."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        os.chmod(path, 0o666)
        return listener

    def serve(self, listener=None, image=None):
        """Start the storage daemon. It inherits the socket, which is there whether it is or not."""
        fd = (listener or self.listener).fileno()
        self.back_end = subprocess.Popen(
            ["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=disk,filename={image or self.image}",
             "--export", f"type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=fd,addr.str={fd}"],
            preexec_fn=die_with_test, pass_fds=[fd])
        self.w.processes.append(self.back_end)

    def kill(self):
        self.back_end.send_signal(signal.SIGKILL)
        self.back_end.wait()

    @staticmethod
    def device(path):
        return f"{{vhost-user: {{socket: {path}, id: 2}}}}"

    def devices(self):
        return f"devices: [{{console: {{}}}}, {self.device(self.path)}]\n"

    def running(self, script, **kw):
        self.w.vm("demo", script, memory="8M, protection: none", extra=self.devices())
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        return unit

    def says(self, text):
        wait_until(lambda: text in self.w.console_log("demo"), 20)

    def counts(self):
        """What the manager says of the disk."""
        *_, disk = self.w.devices("demo")
        return disk

    def end(self, unit):
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0, self.w.said("demo"))
        self.w.assert_clean()

    def test_a_disk_is_read_and_written_and_its_back_end_killed(self):
        self.serve()
        script = (driver() + request(0, READ, 0) + served(0) + f"mem-await {BUFFER:#x} {WORD:#x}\n" + "print read\n" +
                  "read\n" + words((BUFFER, 0x12345678)) + request(1, WRITE, 3) + served(1) + "print written\n" +
                  "powerkey\n")
        unit = self.running(script)
        self.says("read")
        device = self.counts()
        self.assertEqual((device["Kind"], device["Address"], device["State"], device["BackEnd"]),
                         ("vhost-user", DEVICE, "running", self.path))
        self.assertEqual((device["BackEndState"], device["QueuesReady"], device["Queues"]), ("connected", 1, 1))
        # a header of 16 bytes; a sector and the status
        self.assertEqual((device["Requests"], device["BytesFromGuest"], device["BytesToGuest"]), (1, 16, 513))
        self.kill()
        with self.w.console("demo") as console:
            console.write(b"x")
            wait_until(lambda: "the connection to its back-end is lost" in self.w.said("demo"))
            self.assertEqual(self.counts()["BackEndState"], "reconnecting")
            self.serve()
            self.says("written")
        device = self.counts()
        self.assertEqual((device["Requests"], device["BytesFromGuest"], device["BytesToGuest"]), (2, 544, 514))
        self.assertEqual((device["Losses"], device["Errors"], device["Faults"]), (1, 0, 0))
        with open(self.image, "rb") as f:
            self.assertEqual(f.read()[3 * 512:3 * 512 + 4], b"\x78\x56\x34\x12")
        self.assertIn("its back-end is there again", self.w.said("demo"))
        self.end(unit)

    def test_each_device_has_its_back_end(self):
        """Without that of the second one the start fails, and says which; then the guest reads from the second."""
        image, path = self.w.path("other.img"), self.w.path("other.sock")
        with open(image, "wb") as f:
            f.write(b"else" * 128 + bytes(1 << 20))
        listener = self.listen(path)
        extra = f"devices: [{{console: {{}}}}, {self.device(self.path)}, {self.device(path)}]\n"
        script = (driver() + request(0, READ, 0) + served(0)).replace(" 0x10010", " 0x10011")
        self.w.vm("demo", script + f"mem-await {BUFFER:#x} {0x65736c65:#x}\nprint read\npowerkey\n",
                  memory="8M, protection: none", extra=extra)
        self.serve()
        self.assertEqual(self.w.run_unit("demo"), 1)
        self.assertIn("device vhost-user 1: cannot use its back-end: Connection refused", self.w.said("demo"))
        listener.listen()
        self.serve(listener, image)
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.says("read")
        self.end(unit)

    def test_after_a_reboot_in_place_as_well(self):
        self.serve()
        script = driver() + request(0, READ, 0) + served(0) + f"mem-await {BUFFER:#x} {WORD:#x}\n"
        unit = self.running(script + words((BUFFER, 0)) + "print read\nread\nreset\n")
        self.says("read")
        pid = self.w.vm_get("demo", "LeaderPID")
        with self.w.console("demo") as console:
            console.write(b"x")
            wait_until(lambda: self.w.console_log("demo").count("read") == 2, 20)
        self.assertEqual(self.w.vm_get("demo", "LeaderPID"), pid, self.w.log())
        self.end(unit)

    def test_managers_come_and_go(self):
        """A request while there is no manager; and a reboot in place by the next one, from its record of the VM."""
        self.serve()
        script = driver() + request(0, READ, 0) + served(0) + f"mem-await {BUFFER:#x} {WORD:#x}\n"
        unit = self.running("print begins\nread\n" + script + words((BUFFER, 0)) + "print read\nread\nreset\n")
        self.says("begins")
        with self.w.console("demo") as console:
            self.w.kill_manager()
            console.write(b"x")
            self.says("read")
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        with self.w.console("demo") as console:
            console.write(b"x")
            wait_until(lambda: self.w.console_log("demo").count("begins") == 2, 20)
            console.write(b"x")
            wait_until(lambda: self.w.console_log("demo").count("read") == 2, 20)
        self.end(unit)

    def test_a_back_end_that_hangs(self):
        """The guest waits for its answers, but the end of the VM does not wait for it."""
        self.serve()
        unit = self.running("print begins\nread\n" + driver() + request(0, READ, 0) + "print asked\n" + served(0) +
                            "print served\nread\n" + request(1, READ, 0) + "print again\npowerkey\n")
        with self.w.console("demo") as console:
            self.says("begins")
            self.back_end.send_signal(signal.SIGSTOP)
            console.write(b"x")
            self.says("asked")
            self.back_end.send_signal(signal.SIGCONT)
            self.says("served")
            self.back_end.send_signal(signal.SIGSTOP)
            console.write(b"x")
            self.says("again")
        self.end(unit)
        self.assertIn("its back-end does not end its connection", self.w.said("demo"))

    def test_a_socket_that_nobody_serves(self):
        self.listener.close()
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none", extra=self.devices())
        self.assertEqual(self.w.run_unit("demo"), 1)
        self.assertIn("device vhost-user: cannot use its back-end: Connection refused", self.w.said("demo"))
        self.w.assert_clean()

    def test_a_socket_that_is_none_or_is_not_for_all(self):
        self.w.vm("demo", "powerkey\n", memory="8M, protection: none", extra=self.devices())
        os.chmod(self.path, 0o600)
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        self.assertIn("demo.yaml:4:48: devices[1].vhost-user.socket: " + self.path +
                      ": only some users may connect to it", self.w.said("demo"))
        os.unlink(self.path)
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        self.assertIn(f"devices[1].vhost-user.socket: {self.path}: No such file", self.w.said("demo"))
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
