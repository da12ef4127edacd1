#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Refusals and wrong input: by RM, descriptors, start helpers, runners, clients of the bus."""
import contextlib
import errno
import fcntl
import json
import os
import pwd
import resource
import select
import signal
import struct
import subprocess
import time
import unittest

import world
from client import Client
from client import Error as ClientError
from world import (BUILT, ENDED, ERROR, EXITED, GIVE, GIVEN, HELLO, KERNEL, MEMORY, NAME, NEED,
                   READY, REFUSED, RELEASE, RELEASED, ROOT, RUNNER, STARTED, STOP, Refused, build,
                   close_store, give, make, memfd, needs_of, put_string, receive, receive_kind,
                   send, wait_until)

NOBODY = str(pwd.getpwnam("nobody").pw_uid)
IS_ROOT = os.geteuid() == 0


class Case(unittest.TestCase):
    """Tests that share a world; each leaves it as it was."""
    polkit = "yes"
    model = ()

    @classmethod
    def setUpClass(cls):
        cls.w = world.World(polkit=cls.polkit, model=cls.model)
        cls.addClassCleanup(cls.w.close)

    def setUp(self):
        world.alarm(120)
        self.addCleanup(world.alarm, 0)
        self.addCleanup(self.tidy)

    def tidy(self):
        """Remove the descriptor, so that the manager forgets the VM and its last end."""
        self.w.assert_clean()
        for name in os.listdir(self.w.path("vms")):
            os.unlink(self.w.path("vms", name))
        wait_until(lambda: self.w.call(ROOT, "Manager", "ListVMs") == [[]])

    def running(self):
        unit = self.w.unit("demo")
        wait_until(lambda: "demo" in os.listdir(self.w.path("run", "ctl")) and
                   self.w.vm_get("demo", "State") == "running")
        return unit


class OwnWorld(Case):
    """Tests that need a world of their own."""

    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        world.alarm(120)
        self.addCleanup(world.alarm, 0)
        self.w = world.World(polkit=self.polkit)
        self.addCleanup(self.w.close)


class Worlds(unittest.TestCase):
    def test_one_that_does_not_begin_is_closed(self):
        started = []

        class Broken(world.World):
            def start_manager(self, *args, **kw):
                started.append(self)
                raise AssertionError("no manager")

        with self.assertRaisesRegex(AssertionError, "no manager"):
            Broken()
        self.assertEqual([p.poll() is None for p in started[0].processes], [False, False])
        self.assertFalse(os.path.exists(started[0].dir))


class Later(Case):
    """What only later resource managers are told."""
    model = ("--generation=v17",)

    def refuse_each(self, messages, keys):
        self.w.vm("demo", "off\n", extra=keys)
        for message in messages:
            for told in (f"refuse {message} 3", f"refuse {message} 0x12345678",
                         f"reply {message} 00", f"reply {message} 0000000000"):
                with self.subTest(told):
                    self.w.model_says(told)
                    self.assertEqual(self.w.run_unit("demo"), 1)
                    self.assertIn(message, self.w.said("demo"))
                    self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)

    def test_registers_and_layout(self):
        self.refuse_each(("VM_SET_ADDRESS_LAYOUT", "VM_SET_BOOT_CONTEXT"), "boot: {x1: 1}\n")

    def test_a_signed_image(self):
        self.refuse_each(("VM_AUTH_IMAGE",), "auth: {type: platform, pas-id: 28}\n")


class ResourceManager(Case):
    def test_each_refusal_is_undone_and_told(self):
        self.w.vm("demo", "off\n")
        for message in ("VM_ALLOCATE", "MEM_LEND", "VM_CONFIG_IMAGE", "VM_INIT",
                        "VM_GET_HYP_RESOURCES", "VM_START"):
            with self.subTest(message):
                self.w.model_says(f"refuse {message} 1")
                self.assertEqual(self.w.run_unit("demo"), 1)
                self.assertIn(message, self.w.said("demo"))
                self.assertIn("NOMEM", self.w.said("demo"))
                state, error, name = self.w.vm_get("demo", "State", "LastError", "LastErrorName")
                self.assertEqual((state, name), ("failed", NAME + ".Error.RmRejected"))
                self.assertIn(message, error)
                self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.wait_state("demo", "stopped")
        error, when = self.w.vm_get("demo", "LastError", "LastErrorTime")
        self.assertIn("VM_START", error)  # the last failure is kept
        self.assertAlmostEqual(when / 1e6, time.time(), delta=60)

    def test_a_host_call_that_fails_is_undone(self):
        self.w.vm("demo", "off\n")
        for op in ("pin", "pin-set", "pin-write", "pin-extents", "grant"):
            with self.subTest(op):
                self.w.model_says(f"fail {op} EIO")
                self.assertEqual(self.w.run_unit("demo"), 1)
                self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)

    def keep_its_memory(self):
        """End the guest while RM does not return its memory; one RECLAIM belongs to the start."""
        self.w.vm("demo", "powerkey\n")
        unit = self.running()
        self.w.model_says("refuse MEM_RECLAIM 11")
        self.job = self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.wait_state("demo", "failed")

    def test_what_is_not_given_back_is_kept_and_retried(self):
        self.keep_its_memory()
        result, error, name = self.w.wait_job(self.job)
        self.assertEqual((result, name.rpartition(".")[2]), ("failed", "RmRejected"))
        self.assertIn("2048 pages could not be returned", error)
        self.assertIn("MEM_RECLAIM", error)
        self.assertEqual(self.w.vm_get("demo", "PagesQuarantined"), 2048)
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "PagesQuarantined"), 2048)
        entry = self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0")[0][0]
        self.assertEqual((entry[0], entry[2]), ("demo", 2048))
        self.assertIn("MEM_RECLAIM", entry[4])
        released = self.w.release("demo")
        self.assertEqual(released.returncode, 0)
        self.assertIn("2048 pages quarantined", released.stderr)
        # the VM can be started in the meantime
        self.w.vm("demo", "off\n")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")
        self.w.assert_clean()
        self.assertEqual(self.w.vm_get("demo", "PagesQuarantined"), 0)
        self.assertEqual(self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0"), [[]])

    def test_quarantine_outlives_the_manager(self):
        self.keep_its_memory()
        self.w.kill_manager()
        self.assertEqual(self.w.counts()["quarantined_pages"], 2048)
        self.w.start_manager()
        self.w.assert_clean()


class DeadResourceManager(OwnWorld):
    def test_a_dead_one_is_a_state_and_not_a_hang(self):
        self.w.vm("demo", "forever\n")
        unit = self.running()
        self.w.model_says("kill-rm")
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        released = self.w.release("demo")
        self.assertIn("2048 pages quarantined", released.stderr)
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "State"), "rm-dead")
        began = time.monotonic()
        self.assertIn("2048 pages quarantined", self.w.release("demo").stderr)
        self.assertEqual(self.w.run_unit("demo"), 134)
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn("resource manager", self.w.said("demo"))
        self.assertEqual(self.w.counts()["violations"], 0)

    def test_dead_at_the_start_of_a_manager(self):
        self.w.vm("demo", "forever\n")
        unit = self.running()
        self.w.kill_manager()
        self.w.model_says("kill-rm")
        self.w.start_manager()
        self.assertIsNone(unit.poll())
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "State", "PagesQuarantined"),
                         ["rm-dead", 2048])
        self.assertIn("2048 pages quarantined", self.w.release("demo").stderr)


class Descriptors(Case):
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


class Helpers(Case):
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

    @unittest.skipUnless(IS_ROOT, "needs root to be somebody else")
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


class Runners(Case):
    """A malicious runner only loses its own VM."""

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

    def open_console(self, client):
        return client.call(ROOT + "/vm/demo", "VM", "OpenConsole", ("a{sv}", {}), returns="h")

    def test_it_does_not_read(self):
        """A runner that does not read does not lose its guest, and works again once it reads."""
        self.hello()
        send(self.control, READY)
        receive_kind(self.control, STARTED)
        client = Client(self.w.bus)
        self.addCleanup(client.close)
        for _ in range(8):
            client.send(ROOT + "/vm/demo", "VM", "OpenConsole", ("a{sv}", {}))
        time.sleep(5.5)  # by now the calls have timed out
        for _ in range(400):
            with self.assertRaisesRegex(ClientError, "does not reply"):
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


class Bus(Case):
    def test_names_are_checked(self):
        self.w.vm("demo", "off\n")
        for name in ("", "nobody", "../demo", "a" * 300):
            self.assertEqual(self.w.error_name(ROOT, "Manager", "GetVM", "string:" + name),
                             NAME + ".Error.NoSuchVM")
        self.assertEqual(self.w.call(ROOT, "Manager", "GetVM", "s", "demo"), [ROOT + "/vm/demo"])
        for path in (ROOT + "/vm", ROOT + "/vm/nobody", ROOT + "/job/1", ROOT + "/job"):
            with self.assertRaises(Refused):
                self.w.get(path, "VM", "State")

    def test_vms_come_and_go_with_their_descriptors(self):
        self.w.vm("a", "off\n")
        self.w.vm("b", "off\n")
        listed = self.w.call(ROOT, "Manager", "ListVMs")[0]
        self.assertEqual(sorted(v[0] for v in listed), ["a", "b"])
        os.unlink(self.w.path("vms", "a.yaml"))
        listed = self.w.call(ROOT, "Manager", "ListVMs")[0]
        self.assertEqual([v[0] for v in listed], ["b"])
        tree = self.w.busctl("tree", "--list", NAME).stdout.split()
        self.assertNotIn(ROOT + "/vm/a", tree)
        self.assertIn(ROOT + "/vm/b", tree)

    def test_a_running_one_stays_without_its_descriptor(self):
        self.w.vm("demo", "powerkey\n")
        unit = self.running()
        os.unlink(self.w.path("vms", "demo.yaml"))
        self.assertEqual(len(self.w.call(ROOT, "Manager", "ListVMs")[0]), 1)
        self.w.stop("demo")
        self.assertEqual(unit.wait(20), 0)
        wait_until(lambda: not self.w.call(ROOT, "Manager", "ListVMs")[0])

    def send_spec(self, method, text, seals="good", *options):
        """Returns what tests/integration/send-spec.c prints."""
        with open(self.w.path("spec"), "w", encoding="ascii") as f:
            f.write(text)
        r = subprocess.run([world.program("tests/integration/send-spec"), self.w.bus, method,
                            self.w.path("spec"), seals, *options], capture_output=True, text=True,
                           check=False, timeout=20)
        if r.returncode:
            raise Refused(r.stderr.strip())
        return r.stdout

    good = "version: 1\nkernel: {image: /boot/Image}\nmemory: {size: 64M}\n"

    def test_validate(self):
        self.assertEqual(self.send_spec("Validate", self.good), "")
        self.assertRegex(self.send_spec("Validate", self.good + "colour: blue\n"),
                         r"^error unknown-key colour 4 1 .+\n$")

    def test_validate_reads_only_what_is_sealed(self):
        for seals in ("none", "shrink", "write", "pipe"):
            with self.assertRaisesRegex(Refused, "InvalidSpec.*sealed"):
                self.send_spec("Validate", self.good, seals)
        with self.assertRaisesRegex(Refused, "QuotaExceeded.*longer than"):
            self.send_spec("Validate", "#" * (1 << 20) + "\n")
        with self.assertRaisesRegex(Refused, "unknown option"):
            self.send_spec("Validate", self.good, "good", "colour=blue")
        with self.assertRaisesRegex(Refused, "invalid name"):
            self.send_spec("Validate", self.good, "good", "name=../x")
        self.assertEqual(self.send_spec("Validate", self.good, "good", "name=demo"), "")

    def test_plan(self):
        kernel = self.w.path("Image")
        with open(kernel, "wb") as f:
            f.write(world.image("off\n"))
        plan = json.loads(self.send_spec("Plan", self.good, "good", "kernel=" + kernel))
        self.assertTrue(plan)
        with self.assertRaisesRegex(Refused, "kernel-header"):
            self.send_spec("Plan", self.good)
        with self.assertRaisesRegex(Refused, "ImageInvalid"):
            self.send_spec("Plan", self.good, "good", "kernel=/etc/passwd")
        with self.assertRaisesRegex(Refused, "InvalidSpec.*colour"):
            self.send_spec("Plan", self.good + "colour: blue\n", "good", "kernel=" + kernel)

    def test_a_change_is_told_once_a_turn(self):
        self.w.vm("demo", "off\n")
        monitor = self.w.monitor()
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.assert_clean()
        time.sleep(0.3)
        monitor.terminate()
        states, seen = [], []
        for line in monitor.communicate()[0].splitlines():
            m = json.loads(line)
            if m["type"] != "signal" or not m["path"].startswith(ROOT + "/vm"):
                continue
            data = m["payload"]["data"]
            if m["member"] == "StateChanged":
                states.append((data[0], data[1], data[2]))
            elif m["member"] == "PropertiesChanged":
                seen.append({k: v["data"] for k, v in data[1].items()})
        self.assertEqual(states, [("stopped", "starting", ""), ("starting", "running", ""),
                                  ("running", "stopping", "off"), ("stopping", "stopped", "off")])
        shown = [s["State"] for s in seen if "State" in s]
        self.assertEqual(shown[0], "starting")
        self.assertEqual(shown[-1], "stopped")
        self.assertTrue(all(seen))
        self.assertIn("pin", [s.get("SubState") for s in seen])


class Start(OwnWorld):
    def setUp(self):
        super().setUp()
        self.w.start_stand_in()

    def start(self, name, user=None):
        return self.w.call(ROOT, "Manager", "StartVM", "sa{sv}", name, "0", user=user)[0]

    def test_a_job_follows_the_unit(self):
        self.w.vm("demo", "powerkey\n")
        job = self.start("demo")
        self.assertEqual(self.w.wait_job(job), ["done", "", ""])
        self.assertEqual(self.w.get(job, "Job", "Kind", "VM"), ["start", ROOT + "/vm/demo"])
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.assertEqual(self.w.error_name(ROOT, "Manager", "StartVM", "string:demo",
                                           "dict:string:string:"),
                         "org.freedesktop.DBus.Error.InvalidArgs")
        with self.assertRaisesRegex(Refused, "demo is running"):
            self.start("demo")
        self.assertEqual(self.w.wait_job(self.w.stop("demo")), ["done", "", ""])
        self.assertEqual(self.w.wait_job(self.start("demo")), ["done", "", ""])
        self.w.stop("demo", "force")
        self.w.assert_clean()

    def test_a_unit_that_has_not_ended_yet_is_started_all_the_same(self):
        self.w.vm("demo", "powerkey\n")
        self.assertEqual(self.w.wait_job(self.start("demo")), ["done", "", ""])
        runner = self.w.vm_get("demo", "LeaderPID")
        os.kill(runner, signal.SIGSTOP)
        self.assertEqual(self.w.wait_job(self.w.stop("demo", "force"))[0], "done")
        self.assertEqual(self.w.wait_job(self.start("demo")), ["done", "", ""])
        self.assertEqual(self.w.vm_get("demo", "State"), "running")
        self.assertNotEqual(self.w.vm_get("demo", "LeaderPID"), runner)
        self.w.stop("demo", "force")
        self.w.assert_clean()

    def test_a_start_that_fails_says_why(self):
        self.w.vm("demo", "powerkey\n")
        self.w.model_says("refuse MEM_LEND 1")
        result, error, name = self.w.wait_job(self.start("demo"))
        self.assertEqual((result, name), ("failed", NAME + ".Error.RmRejected"))
        self.assertIn("MEM_LEND", error)

    def test_what_cannot_work_is_refused_at_once(self):
        self.w.vm("demo", "off\n", extra="colour: blue\n")
        with self.assertRaisesRegex(Refused, "demo.yaml:4:1: colour"):
            self.start("demo")
        with self.assertRaisesRegex(Refused, "no virtual machine 'nobody'"):
            self.start("nobody")

    def test_results_are_kept_for_a_while_and_not_for_ever(self):
        self.w.vm("demo", "powerkey\n")
        first = None
        for i in range(70):
            if i % 2 == 0:
                job = self.start("demo")
            else:
                job = self.w.stop("demo", "force")
                wait_until(lambda: not self.w.leftovers(), 20)
            first = first or job
            self.w.wait_job(job)
            if i % 2:
                # the unit ends slightly later
                wait_until(lambda: not [f for f in os.listdir(self.w.path("log"))
                                        if f.startswith("notify")])
        with self.assertRaises(Refused):
            self.w.get(first, "Job", "State")
        self.assertEqual(self.w.get(job, "Job", "State"), "done")

    @unittest.skipUnless(IS_ROOT, "needs root to be somebody else")
    def test_polkit_may_say_yes(self):
        self.w.vm("demo", "powerkey\n")
        self.assertEqual(self.w.wait_job(self.start("demo", user=NOBODY)), ["done", "", ""])
        self.w.vm_call("demo", "Stop", "sa{sv}", "force", "0", user=NOBODY)
        self.w.assert_clean()


@unittest.skipUnless(IS_ROOT, "needs root to be somebody else")
class Unauthorized(OwnWorld):
    polkit = "no"
    why = "polkit refused.*group gunyah"

    def setUp(self):
        super().setUp()
        self.w.vm("demo", "powerkey\n")
        self.w.start_stand_in()

    def test_nobody_may_do_nothing(self):
        calls = ((ROOT, "Manager", "StartVM", "sa{sv}", "demo", "0"),
                 (ROOT + "/vm/demo", "VM", "Stop", "sa{sv}", "force", "0"),
                 (ROOT + "/vm/demo", "VM", "OpenConsole", "a{sv}", "0"),
                 (ROOT + "/vm/demo", "VM", "BeginTransaction", "a{sv}", "0"),
                 (ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0"),
                 (ROOT + "/host", "Host", "Trace", "ta{sv}", "0", "0"),
                 (ROOT + "/vm/demo", "VM", "Plan", "a{sv}", "0"))
        self.w.call(ROOT, "Manager", "ListVMs", user=NOBODY)
        self.w.call(ROOT, "Manager", "GetVM", "s", "demo", user=NOBODY)
        self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0", user=NOBODY)
        for c in calls:
            with self.assertRaisesRegex(Refused, "not authorized: " + self.why):
                self.w.call(*c, user=NOBODY)
        self.assertEqual(self.w.counts()["vms"], 0)


class Challenged(Unauthorized):
    polkit = "challenge"
    why = "authentication is required.*pkttyagent"


class WithoutPolkit(Unauthorized):
    polkit = "absent"
    why = "polkit failed: .*org.freedesktop.PolicyKit1"


class WithoutUnits(OwnWorld):
    polkit = "no-units"

    def test_systemd_does_not_let_us(self):
        self.w.vm("demo", "powerkey\n")
        self.w.start_stand_in()
        with self.assertRaisesRegex(Refused, "systemctl start"):
            self.w.call(ROOT, "Manager", "StartVM", "sa{sv}", "demo", "0")
        self.assertEqual(self.w.counts()["vms"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
