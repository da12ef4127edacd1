#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A malicious runner only loses its own VM."""
import fcntl
import os
import select
import struct
import subprocess
import time
import unittest

import case
import world
from client import Error
from world import (DEVICE_LIST, ENDED, EXITED, NAME, READY, REFUSED, ROOT, RUNNER, STARTED, STOP, Refused,
                   build, close_store, put_string, receive, receive_kind, send, wait_until)


class Runners(case.Shared):
    def setUp(self):
        super().setUp()
        self.w.vm("demo", "off\n")
        self.store, self.vmid = build(self.w, "demo")
        self.addCleanup(close_store, self.store)
        self.control = world.socket.socket(fileno=self.store.pop("control"))
        self.control.settimeout(10)
        self.addCleanup(self.control.close)
        self.incarnation = self.w.vm_get("demo", "Incarnation")

    def hello(self, vmid=None, incarnation=None):
        pid = os.pidfd_open(os.getpid())
        send(self.control, RUNNER, struct.pack("<HQ", vmid or self.vmid,
                                               incarnation or self.incarnation), [pid])
        os.close(pid)

    def lost(self):
        self.w.wait_state("demo", "failed")
        self.w.assert_clean()
        self.assertEqual(self.w.vm_get("demo", "ExitReason"), "runner-died")

    def test_what_it_is_given(self):
        self.assertEqual(sorted(self.store), ["console-log", "console-log-1", "console-log-2", "grant", "listen",
                                              "machine", "wake-0"])
        seals = fcntl.fcntl(self.store["machine"], fcntl.F_GET_SEALS)
        self.assertEqual(seals & 0xf, 0xf)
        self.control.close()
        self.lost()

    def test_silence_then_the_end(self):
        self.control.close()
        self.lost()

    def test_it_speaks_before_hello(self):
        send(self.control, READY)
        self.lost()

    def test_another_vmid(self):
        self.hello(vmid=self.vmid + 1)
        receive_kind(self.control, REFUSED)
        self.lost()

    def test_another_incarnation(self):
        self.hello(incarnation=self.incarnation ^ 1)
        receive_kind(self.control, REFUSED)
        self.lost()

    def test_a_pidfd_that_is_none(self):
        r, w = os.pipe()
        send(self.control, RUNNER, struct.pack("<HQ", self.vmid, self.incarnation), [r])
        os.close(r)
        os.close(w)
        self.lost()

    def test_the_pidfd_of_another(self):
        child = subprocess.Popen(["sleep", "60"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        pidfd = os.pidfd_open(child.pid)
        send(self.control, RUNNER, struct.pack("<HQ", self.vmid, self.incarnation), [pidfd])
        os.close(pidfd)
        self.lost()

    def test_two_hellos(self):
        self.hello()
        self.hello()
        self.lost()

    def test_malformed(self):
        self.hello()
        send(self.control, EXITED, b"\0" * 15)
        self.lost()

    def test_the_end_before_the_start(self):
        self.hello()
        send(self.control, EXITED, struct.pack("<QQ", 0x100, 0))
        time.sleep(0.3)
        self.assertEqual(self.w.vm_get("demo", "State"), "starting")
        self.control.close()
        self.lost()

    def test_unknown_messages_are_ignored(self):
        self.hello()
        send(self.control, 12345, b"whatever")
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        self.control.close()
        self.lost()

    def test_ready_again_and_again(self):
        self.hello()
        for _ in range(50):
            send(self.control, READY)
        receive_kind(self.control, STARTED)
        time.sleep(0.3)
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.control.close()
        self.lost()

    def test_it_claims_an_end_that_rm_does_not_know(self):
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        send(self.control, EXITED, struct.pack("<QQ", 2, 1))
        payload, _ = receive_kind(self.control, ENDED)
        self.assertEqual(struct.unpack("<II", payload), (1, 0))
        self.w.wait_state("demo", "stopped")
        self.w.assert_clean()

    def test_it_offers_a_file_as_its_console(self):
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        call = subprocess.Popen(["busctl", "--address=" + self.w.bus, "call", NAME,
                                 ROOT + "/vm/demo", NAME + ".VM", "OpenConsole", "a{sv}", "0"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        payload, _ = receive_kind(self.control, world.CONSOLE)
        fd = os.open("/etc/passwd", os.O_RDONLY)
        send(self.control, world.CONSOLE_IS, payload[:4] + put_string("/dev/pts/0"), [fd])
        os.close(fd)
        _, err = call.communicate(timeout=20)
        self.assertIn("no console: the runner is of an earlier version", err)
        self.assertEqual(self.w.vm_get("demo", "State"), "running")  # its messages only concern its own VM

    def test_it_does_not_answer_for_its_console(self):
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        with self.assertRaisesRegex(Refused, "no console"):
            self.w.vm_call("demo", "OpenConsole", "a{sv}", "0")
        self.assertEqual(self.w.vm_get("demo", "State"), "running")

    def ask_devices(self):
        client = self.client()
        client.send(ROOT + "/vm/demo", "VM", "ListDevices", ("a{sv}", {}))
        payload, _ = receive_kind(self.control, DEVICE_LIST)
        return client, payload

    def test_what_it_says_of_its_devices_is_malformed(self):
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        _, serial = self.ask_devices()
        send(self.control, DEVICE_LIST, serial + struct.pack("<H", 1) + put_string("Uart\x1b") + bytes(66))
        self.lost()

    def test_what_it_says_of_its_devices_is_no_more_than_said(self):
        """Numbers that are not true reach the client, and nothing else."""
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        send(self.control, DEVICE_LIST, bytes(6))  # without a question
        _, serial = self.ask_devices()
        row = put_string("vhost-user") + struct.pack("<HQIBBHH", 9, 2**64 - 1, 2**32 - 1, 2, 1, 65535, 65535)
        send(self.control, DEVICE_LIST, serial + struct.pack("<H", 64) + (row + b"\xff" * 48) * 64)
        self.assertEqual(self.w.vm_get("demo", "State"), "running")

    def test_it_does_not_answer_for_its_devices(self):
        """As one of an earlier version. Its console can be asked for all the same."""
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        client = self.client()
        for _ in range(8):
            client.send(ROOT + "/vm/demo", "VM", "ListDevices", ("a{sv}", {}))
        with self.assertRaisesRegex(Refused, "does not reply"):
            self.w.devices("demo")
        client.send(ROOT + "/vm/demo", "VM", "OpenConsole", ("a{sv}", {}))
        receive_kind(self.control, world.CONSOLE)

    def open_console(self, client):
        return client.call(ROOT + "/vm/demo", "VM", "OpenConsole", ("a{sv}", {}), returns="h")

    def test_it_does_not_read(self):
        """A runner that does not read does not lose its guest, and works again once it reads."""
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        client = self.client()
        for _ in range(8):
            client.send(ROOT + "/vm/demo", "VM", "OpenConsole", ("a{sv}", {}))
        time.sleep(5.5)  # by now the calls have timed out
        for _ in range(400):
            with self.assertRaisesRegex(Error, "does not reply"):
                self.open_console(client)
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        asked = [receive_kind(self.control, world.CONSOLE)[0][:4] for _ in range(8)]
        # none of the 400 calls was passed to the runner, so none waited
        self.assertEqual(select.select([self.control], [], [], 0)[0], [])
        for serial in asked:
            send(self.control, world.CONSOLE_IS, serial + put_string(""))
        wait_until(lambda: client.send(ROOT + "/vm/demo", "VM", "OpenConsole", ("a{sv}", {})) or
                   select.select([self.control], [], [], 0.1)[0])

    def test_a_stop_is_said_once(self):
        """Repeated stops must not fill the socket of a runner that does not read."""
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        for how in ("graceful", "graceful", "force", "graceful", "force"):
            self.w.stop("demo", how)
        got = []
        while True:
            kind, payload, _ = receive(self.control)
            if kind != STOP:
                break
            got.append(payload[0])
        self.assertEqual(got, [0, 1])
        self.assertEqual(kind, ENDED)
        self.w.wait_state("demo", "stopped")


if __name__ == "__main__":
    unittest.main()
