#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The trace of messages to and from the resource manager."""
import json
import os
import signal
import struct
import subprocess
import time
import unittest

import ghvmctl
from ghvmctl import CTL
from world import wait_until


def read_capture(path):
    """Check each block of a pcapng file against the specification. Returns the packets."""
    with open(path, "rb") as f:
        data = f.read()
    blocks = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0 and 12 <= length <= len(data), length
        assert struct.unpack_from("<I", data, length - 4)[0] == length
        blocks.append((kind, data[8:length - 4]))
        data = data[length:]
    assert [k for k, _ in blocks[:2]] == [0x0a0d0d0a, 1]
    assert struct.unpack_from("<IHHq", blocks[0][1]) == (0x1a2b3c4d, 1, 0, -1)
    assert struct.unpack_from("<HHI", blocks[1][1]) == (147, 0, 0)
    assert {k for k, _ in blocks[2:]} <= {6}
    return [read_packet(b) for _, b in blocks[2:]]


def read_packet(body):
    interface, high, low, captured, original = struct.unpack_from("<5I", body)
    assert interface == 0 and 8 <= captured <= original
    at = 20 + captured
    assert not any(body[at:at + -captured % 4])  # padding
    option, length, flags, end = struct.unpack_from("<HHII", body, at + -captured % 4)
    assert (option, length, end) == (2, 4, 0) and flags in (1, 2), (option, length, flags)
    assert len(body) == at + -captured % 4 + 12
    first, kind, sequence, message = struct.unpack_from("<BBHI", body, 20)
    assert first == 0x21 and kind & ~3 == 0
    return {"time": (high << 32 | low) / 1e6, "original": original, "message": message,
            "sequence": sequence, "outbound": flags == 2}


class Trace(ghvmctl.Case):
    def test_a_start_is_seen(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        vmid = self.w.vm_get("demo", "VMID")
        lines = self.ctl("trace")[0].splitlines()
        for line in lines:
            self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6} (demo|-) [<>!] [0-9a-f]{4} [A-Z_]+")
        said = [line.split(" ", 4)[4] for line in lines]
        self.assertIn(f"VM_ALLOCATE: OK vmid {vmid}", said)
        self.assertLess(said.index(f"VM_INIT vmid {vmid}"), said.index(f"VM_START vmid {vmid}"))
        self.assertTrue([s for s in said if s.startswith(f"MEM_LEND label 0 for {vmid} rwx ")],
                        said)
        messages = [json.loads(line) for line in self.ctl("--json", "trace")[0].splitlines()]
        self.assertEqual([m["number"] for m in messages],
                         list(range(messages[0]["number"], messages[0]["number"] + len(lines))))
        self.ctl("stop", "demo")

    def of(self, name):
        return [json.loads(line) for line in self.ctl("--json", "trace", name)[0].splitlines()]

    def test_each_vm_has_its_own(self):
        self.ctl("trace", "demo", status=3)
        self.ctl("trace", "Bad_Name", status=3)
        for name in "demo", "other":
            self.w.vm(name, "off\n")
            self.assertEqual(self.ctl("trace", name)[0], "")
            self.assertEqual(self.w.run_unit(name), 0)
        self.w.assert_clean()  # no further requests to RM
        for name in "demo", "other":
            messages = self.of(name)
            self.assertEqual({m["vm"] for m in messages}, {name})
            self.assertEqual([m["number"] for m in messages],
                             list(range(1, len(messages) + 1)))
            names = [m["message"] for m in messages if m["direction"] == ">"]
            self.assertEqual((names[0], names[-1]), ("VM_ALLOCATE", "VM_DEALLOCATE"))
            self.assertIn("MEM_LEND", names)
            notes = [m["message"] for m in messages if m["direction"] == "!"]
            self.assertIn("VM_EXITED", notes)
            # without the name on each line
            for line in self.ctl("trace", name)[0].splitlines():
                self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6} [<>!] [0-9a-f]{4} [A-Z_]+")

    def test_it_stays_when_the_vm_is_gone(self):
        self.w.vm("demo", "off\n")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.assert_clean()
        before = self.of("demo")
        os.unlink(self.w.path("vms", "demo.yaml"))
        wait_until(lambda: "demo" not in [v["name"] for v in self.json("list")])
        self.assertEqual(self.of("demo"), before)

    def test_one_alone_can_be_captured(self):
        for name in "demo", "other":
            self.w.vm(name, "off\n")
            self.assertEqual(self.w.run_unit(name), 0)
        self.w.assert_clean()
        path = self.w.path("rm.pcapng")
        self.ctl("--pcapng=" + path, "trace", "demo")
        packets = read_capture(path)
        messages = self.of("demo")
        self.assertEqual([p["message"] for p in packets], [m["id"] for m in messages])
        self.assertEqual([p["sequence"] for p in packets], [m["sequence"] for m in messages])
        self.assertEqual([p["outbound"] for p in packets],
                         [m["direction"] == ">" for m in messages])
        self.assertEqual([p["original"] - 8 for p in packets], [m["length"] for m in messages])

    def test_a_capture_can_be_read(self):
        self.w.vm("demo", "off\n")
        self.w.run_unit("demo")
        self.w.assert_clean()  # no further requests to RM
        path = self.w.path("rm.pcapng")
        self.ctl("--pcapng=" + path, "trace")
        packets = read_capture(path)
        self.assertEqual(len(packets), len(self.ctl("trace")[0].splitlines()))
        for p in packets:
            self.assertAlmostEqual(p["time"], time.time(), delta=300)
        ids = {p["message"] for p in packets}
        self.assertIn(0x56000001, ids)  # VM_ALLOCATE
        self.assertIn(0x56100001, ids)  # VM_EXITED

    def test_it_follows(self):
        self.w.vm("demo", "off\n")
        p = subprocess.Popen([CTL, "--follow", "trace"], env=self.env, stdout=subprocess.PIPE,
                             text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.w.run_unit("demo")
        for line in p.stdout:
            if " VM_DEALLOCATE: OK" in line:
                break

    def test_it_follows_a_manager_that_is_restarted(self):
        self.w.vm("demo", "off\n")
        with open(self.w.path("trace.err"), "w", encoding="ascii") as err:
            p = subprocess.Popen([CTL, "--follow", "trace"], env=self.env, stdout=subprocess.PIPE,
                                 stderr=err, text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.assertTrue(p.stdout.readline())
        self.w.kill_manager()

        def said(text):
            with open(self.w.path("trace.err"), encoding="ascii") as f:
                return text in f.read()

        wait_until(lambda: said("waiting for the manager to come back"))
        self.w.start_manager()
        self.w.run_unit("demo")
        for line in p.stdout:
            if " VM_DEALLOCATE: OK" in line:
                break
        self.assertTrue(said("(the manager was restarted)"))

    def test_it_ends_when_nobody_reads(self):
        """Also if SIGPIPE was ignored before, and if there are no more messages."""
        for ignore in False, True:
            p = subprocess.Popen([CTL, "--follow", "trace"], env=self.env, stdout=subprocess.PIPE,
                                 restore_signals=not ignore)
            p.stdout.readline()
            p.stdout.close()
            self.assertEqual(p.wait(20), -signal.SIGPIPE)


if __name__ == "__main__":
    unittest.main()
