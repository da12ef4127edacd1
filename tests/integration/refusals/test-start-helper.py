#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Start helpers that send what they must not, or end; and descriptors that are refused."""
import contextlib
import errno
import os
import pwd
import resource
import struct
import subprocess
import time
import unittest

import case
from world import (BUILT, ERROR, GIVE, GIVEN, HELLO, KERNEL, MEMORY, NAME, NEED, RELEASE,
                   RELEASED, give, make, memfd, needs_of, put_string, receive_kind, send,
                   wait_until)

NOBODY = str(pwd.getpwnam("nobody").pw_uid)


class Descriptors(case.Shared):
    def refused(self, name, text, status=134):
        self.assertEqual(self.w.run_unit(name), status)
        self.assertIn(text, self.w.said(name))
        self.w.assert_clean()

    def test_there_is_none(self):
        self.refused("nobody", "nobody")

    def test_it_is_wrong(self):
        self.w.vm("demo", "off\n", extra="colour: blue\n")
        self.refused("demo", "demo.yaml:4:1")

    def test_more_vcpus_than_cpus_and_nothing_is_looked_at(self):
        # refused before the start helper opens the kernel and populates memory
        n = os.cpu_count()
        self.w.vm("demo", "", kernel="/nonexistent/Image", extra=f"cpus: {{count: {n + 1}}}\n")
        if n < 8:  # more are not possible in a descriptor
            self.refused("demo", f"cpus.count: {n + 1} vCPUs, but the host has {n} CPUs")

    def test_there_is_no_kernel(self):
        self.w.vm("demo", "", kernel="/nonexistent/Image")
        self.refused("demo", "/nonexistent/Image")

    def test_the_kernel_is_none(self):
        self.w.vm("demo", "", kernel="/etc/passwd")
        self.refused("demo", "Image")
        self.assertEqual(self.w.vm_get("demo", "LastErrorName"), NAME + ".Error.ImageInvalid")

    def test_a_correction_is_enough(self):
        self.w.vm("demo", "off\n", extra="colour: blue\n")
        self.refused("demo", "colour")
        self.w.vm("demo", "off\n")
        self.assertEqual(self.w.run_unit("demo"), 0)


class Helpers(case.Shared):
    def error_of(self, sock):
        payload, _ = receive_kind(sock, ERROR)
        code, permanent = struct.unpack_from("<iB", payload)
        return code, permanent, payload[7:].decode()

    def test_names_are_checked(self):
        for name in ("", "-a", "a-", "A", "a" * 28, "../etc/passwd", "a b", "a\0b"):
            for kind in (HELLO, RELEASE):
                with self.w.dial() as s:
                    send(s, kind, put_string(name))
                    self.assertEqual(self.error_of(s)[1], 1)

    def test_malformed_messages_end_a_start(self):
        self.w.vm("demo", "off\n")
        bad = ((GIVE, b""), (GIVE, b"\1\0\0\0"), (GIVEN, b""), (GIVE, b"\x09\0\0\0"))
        for kind, payload in bad:
            with self.w.dial() as s:
                send(s, HELLO, put_string("demo"))
                receive_kind(s, NEED)
                send(s, kind, payload)
                self.error_of(s)
            self.w.wait_state("demo", "failed")
        self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)

    def test_not_even_messages(self):
        for data in (b"", b"\1", b"\1\0\0\0\2\0\0\0", b"\xff" * 100):
            with self.w.dial() as s:
                s.send(data)
        with self.w.dial() as s:
            send(s, 999, b"whatever")
            send(s, GIVEN)
            self.error_of(s)
        self.w.vm("demo", "off\n")
        self.assertEqual(self.w.run_unit("demo"), 0)

    def test_nothing_needed_is_given_twice(self):
        self.w.vm("demo", "off\n")
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            receive_kind(s, NEED)
            give(s, MEMORY, 0, memfd(8 << 20))
            give(s, MEMORY, 0, memfd(8 << 20))
            self.assertIn("that is not needed", self.error_of(s)[2])

    def test_memory_of_another_size(self):
        self.w.vm("demo", "off\n")
        for size in (4096, (8 << 20) - 4096, (8 << 20) + 4096):
            with self.w.dial() as s:
                send(s, HELLO, put_string("demo"))
                receive_kind(s, NEED)
                give(s, MEMORY, 0, memfd(size))
                self.assertIn("bytes instead of", self.error_of(s)[2])

    def test_memory_that_could_shrink_under_us(self):
        self.w.vm("demo", "off\n")
        unsealed = os.memfd_create("memory", os.MFD_CLOEXEC)
        on_disk = os.open(self.w.path("memory"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        for fd in (unsealed, on_disk):
            os.ftruncate(fd, 8 << 20)
            with self.w.dial() as s:
                send(s, HELLO, put_string("demo"))
                receive_kind(s, NEED)
                give(s, MEMORY, 0, fd)
                self.assertIn("sealed against shrinking", self.error_of(s)[2])
            self.w.wait_state("demo", "failed")
            self.assertEqual(self.w.vm_get("demo", "LastErrorName"), NAME + ".Error.PinFailed")
        with self.assertRaises(PermissionError):
            os.ftruncate(memfd(8 << 20), 4096)
        self.w.assert_clean()

    def test_a_helper_says_why_it_cannot_go_on(self):
        self.w.vm("demo", "off\n")
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            receive_kind(s, NEED)
            text = "memory: the guest takes 11 MiB, the host has 10 MiB available"
            send(s, ERROR, struct.pack("<iB", -28, 0) + put_string(text))
            self.w.wait_state("demo", "failed")
        self.assertEqual(self.w.vm_get("demo", "LastError", "LastErrorName"),
                         [text, NAME + ".Error.QuotaExceeded"])
        self.w.assert_clean()

    def cpu(self):
        with open(f"/proc/{self.w.manager.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_more_helpers_than_there_may_be_wait(self):
        self.w.vm("demo", "off\n")
        idle = [self.w.dial() for _ in range(128)]
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            s.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                s.recv(1)
            for i in idle:
                i.close()
            s.settimeout(10)
            receive_kind(s, NEED)
        self.w.wait_state("demo", "failed")
        self.w.assert_clean()

    def test_without_a_descriptor_helpers_wait_and_nothing_spins(self):
        self.w.vm("demo", "off\n")
        pid = self.w.manager.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(int(n) for n in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        idle = [self.w.dial() for _ in range(40)]  # connections that fill the queue
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            before = self.cpu()
            time.sleep(1)
            self.assertLess(self.cpu() - before, 0.3)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            s.settimeout(10)
            receive_kind(s, NEED)
        for i in idle:
            i.close()
        self.w.wait_state("demo", "failed")
        self.w.assert_clean()
        self.assertIn("Cannot accept start helpers", self.w.log())

    def test_an_error_number_that_is_none(self):
        self.w.vm("demo", "off\n")
        for code in (0, 5, -4096, -(1 << 31), (1 << 31) - 1):
            with self.w.dial() as s:
                send(s, HELLO, put_string("demo"))
                receive_kind(s, NEED)
                send(s, ERROR, struct.pack("<iB", code, 0) + put_string("no"))
                self.w.wait_state("demo", "failed")
            self.assertEqual(self.w.vm_get("demo", "LastErrno"), errno.EIO)
        self.w.assert_clean()

    def test_more_entries_than_there_can_be_are_refused_at_once(self):
        self.w.vm("demo", "off\n", memory="29G")
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            _, permanent, text = self.error_of(s)
        self.assertEqual(permanent, 1)
        self.assertIn("takes at least 14848 entries of the resource manager's 4000", text)
        # the start has not begun
        self.assertEqual(self.w.vm_get("demo", "State", "FailedStep", "LastError",
                                       "LastErrorName"),
                         ["stopped", "descriptor", text, NAME + ".Error.QuotaExceeded"])

    def test_too_many_parcels_may_pass(self):
        """Starts at the same time pass the first check; the last one may be tried again."""
        regions = "regions:\n" + "".join(f"- {{label: {n}, size: 16K}}\n" for n in range(1, 17))
        names = [f"vm-{n}" for n in range(4)]  # of 17 parcels each; RM has 64
        with contextlib.ExitStack() as stack:
            helpers = []
            for name in names:
                self.w.vm(name, "off\n", extra=regions)
                s = stack.enter_context(self.w.dial())
                send(s, HELLO, put_string(name))
                helpers.append((name, s, needs_of(receive_kind(s, NEED)[0])))
            for name, s, needs in helpers:
                for need in needs:
                    give(s, need[0], need[1], make(need, self.w.path(name + ".Image")))
                send(s, GIVEN)
                if name != names[-1]:
                    receive_kind(s, BUILT)
            code, permanent, text = self.error_of(s)
        for name in names:
            with self.w.dial() as s:
                send(s, RELEASE, put_string(name))
                receive_kind(s, RELEASED)
        self.assertIn("the host has its 64 memory parcels already", text)
        self.assertEqual((code, permanent), (-errno.ENOSPC, 0))

    def test_a_descriptor_that_is_a_link_stays_one(self):
        self.w.vm("demo", "off\n")
        os.rename(self.w.path("vms", "demo.yaml"), self.w.path("elsewhere"))
        os.symlink(self.w.path("elsewhere"), self.w.path("vms", "demo.yaml"))
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            code, permanent, text = self.error_of(s)
        self.assertIn("is a symbolic link; name the file itself", text)
        self.assertEqual((code, permanent), (-errno.EINVAL, 1))

    def test_a_descriptor_that_is_too_large_stays_so(self):
        self.w.vm("demo", "off\n", extra="#" * (1 << 20))
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            code, permanent, text = self.error_of(s)
        self.assertIn("demo.yaml: larger than 1M", text)
        self.assertEqual((code, permanent), (-errno.EINVAL, 1))

    def test_a_kernel_that_shrinks_under_us(self):
        self.w.vm("demo", "off\n")
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            payload, _ = receive_kind(s, NEED)
            for need in needs_of(payload):
                give(s, need[0], need[1], make(need, self.w.path("demo.Image")))
            os.truncate(self.w.path("demo.Image"), 0)
            send(s, GIVEN)
            self.assertIn("demo.Image", self.error_of(s)[2])
        self.w.assert_clean()

    def test_no_file_where_one_is_needed(self):
        self.w.vm("demo", "off\n")
        r, wr = os.pipe()
        os.close(wr)
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            receive_kind(s, NEED)
            give(s, KERNEL, 0, r)
            self.assertIn("not a regular file", self.error_of(s)[2])

    def test_a_helper_that_leaves_at_each_step(self):
        self.w.vm("demo", "off\n")
        for steps in range(5):
            with self.w.dial() as s:
                send(s, HELLO, put_string("demo"))
                payload, _ = receive_kind(s, NEED)
                needs = needs_of(payload)
                for need in needs[:steps]:
                    give(s, need[0], need[1], make(need, self.w.path("demo.Image")))
                if steps == len(needs) + 1:
                    send(s, GIVEN)
            wait_until(lambda: self.w.vm_get("demo", "State") == "failed")
            self.assertEqual(self.w.vm_get("demo", "LastError", "LastErrorName"),
                             ["the start helper has ended before all was ready",
                              NAME + ".Error.ProcessDied"])
            self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)

    def test_a_helper_that_leaves_while_it_is_built(self):
        self.w.vm("demo", "off\n")
        self.w.model_says("delay 500")
        with self.w.dial() as s:
            send(s, HELLO, put_string("demo"))
            payload, _ = receive_kind(s, NEED)
            for need in needs_of(payload):
                give(s, need[0], need[1], make(need, self.w.path("demo.Image")))
            send(s, GIVEN)
        wait_until(lambda: self.w.vm_get("demo", "State") == "failed")
        self.w.assert_clean()

    @unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
    def test_strangers_are_not_heard(self):
        os.chmod(self.w.path("run"), 0o755)
        os.chmod(self.w.path("run", "prepare.sock"), 0o777)
        dial = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
                "s.connect(sys.argv[1]); sys.exit(s.recv(16) != b'')")
        r = subprocess.run(["setpriv", "--reuid=" + NOBODY, "--clear-groups", "/usr/bin/python3",
                            "-c", dial, self.w.path("run", "prepare.sock")], check=False,
                           timeout=20)
        self.assertEqual(r.returncode, 0)
        self.assertIn("Cannot accept a start helper", self.w.log())


if __name__ == "__main__":
    unittest.main()
