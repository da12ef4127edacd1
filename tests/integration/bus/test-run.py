#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Transient VMs: RunVM, what it refuses, and what survives a manager."""
import fcntl
import json
import os
import pwd
import signal
import socket
import struct
import time
import unittest

import world
from client import Error
from sent import GROW, MIB, SHRINK, SPEC, WRITE, sealed
from transient import FOREVER, REBOOTS, Case
from world import ROOT, wait_until

USERS = sorted({p.pw_uid for p in pwd.getpwall()} - {0})[:5]


class Life(Case):
    def test_runs_and_is_gone(self):
        monitor = self.w.monitor()
        job = self.run_vm("print hello\noff\n")
        self.assertEqual(self.w.get(job, "Job", "Kind", "VM"), ["start", ROOT + "/vm/demo"])
        self.assertEqual(self.w.wait_job(job)[0], "done")
        self.gone()
        self.assertIn("hello", self.w.console_log("demo"))
        self.assertEqual(os.listdir(self.w.path("log")), ["users"])
        self.assertIn(f"{os.getuid()}.demo.log", os.listdir(self.w.path("log", "users")))
        monitor.terminate()
        said = [json.loads(line) for line in monitor.communicate()[0].splitlines()]
        told = [m["member"] for m in said if m.get("member", "").startswith("Interfaces") and
                m["payload"]["data"][0] == ROOT + "/vm/demo"]
        self.assertEqual(told, ["InterfacesAdded", "InterfacesRemoved"])
        self.assertEqual(self.w.wait_job(self.run_vm())[0], "done")
        self.gone()

    def test_again_at_once(self):
        """Its name is free when its stop is done."""
        for how in "graceful", "force", "graceful", "force":
            self.up_again()
            self.assertEqual(self.w.wait_job(self.w.stop("demo", how))[0], "done")
        self.gone()

    def test_its_unit_is_restarted(self):
        """By systemctl, or by machinectl reboot, which is a signal: it is still there."""
        self.up_again()
        for i in range(2):
            pid = self.w.vm_get("demo", "LeaderPID")
            if i:
                os.kill(pid, signal.SIGINT)
            else:
                r = self.w.busctl("call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                  "org.freedesktop.systemd1.Manager", "RestartUnit", "ss",
                                  "gunyah-vm@demo.service", "fail")
                self.assertEqual(r.returncode, 0, r.stderr)
            # a press of the power key that comes before the guest listens is repeated after ten seconds
            wait_until(lambda old=pid: self.w.state("demo") == "running" and
                       self.w.vm_get("demo", "LeaderPID") not in (0, old), 15)
        self.assertEqual(self.w.wait_job(self.w.stop("demo", "force"))[0], "done")
        self.gone()

    def up_again(self):
        job = self.run_vm("powerkey\n")
        self.assertEqual(self.w.wait_job(job), ["done", "", ""])
        self.w.wait_state("demo", "running")

    def test_while_it_runs(self):
        self.up()
        self.assertEqual(self.w.vm_get("demo", "DescriptorState"), "transient")
        self.w.manager.send_signal(signal.SIGHUP)  # reads the folders again
        self.assertEqual(self.w.vm_get("demo", "DescriptorState", "State"),
                         ["transient", "running"])
        self.refused("VMExists", "demo, and it is running")
        self.method = "DefineVM"
        self.refused("Busy", "demo is a transient VM: stop it first")
        self.refused("Busy", "transient", call=lambda: self.c.call(
            ROOT, "Manager", "UndefineVM", ("s", "demo"), ("a{sv}", {})))
        self.refused("BadState", "demo is running", call=lambda: self.c.call(
            ROOT, "Manager", "StartVM", ("s", "demo"), ("a{sv}", {})))
        self.w.stop("demo", "force")
        self.gone()

    def test_its_descriptor(self):
        """It is the same memory for all clients, however often they ask, and none can change it."""
        self.up()
        fds = [self.fd(self.c.call(ROOT + "/vm/demo", "VM", "Describe", ("a{sv}", {}),
                                   returns="h")) for _ in range(3)]
        self.assertEqual(len({os.fstat(fd).st_ino for fd in fds}), 1)
        for fd in fds:
            self.assertEqual(os.read(fd, MIB).decode(), SPEC)  # from its start
            self.assertEqual(fcntl.fcntl(fd, fcntl.F_GET_SEALS), SHRINK | GROW | WRITE |
                             fcntl.F_SEAL_SEAL)
        self.w.stop("demo", "force")
        self.gone()

    def test_all_files(self):
        spec = SPEC.replace("fd:kernel", "fd:a, initrd: fd:b")
        self.up(spec=spec, files=[("a", self.kernel(FOREVER)), ("b", self.kernel())])
        self.w.stop("demo", "force")
        self.gone()

    def test_regions(self):
        self.up(spec=SPEC + "regions: [{label: 7, size: 4K}]\n")
        fd = self.c.call(ROOT + "/vm/demo/region/7", "Region", "Open", ("a{sv}", {}), returns="h")
        os.close(fd)
        self.w.stop("demo", "force")
        self.gone()

    def test_files_of_the_host(self):
        """Root may name them."""
        path = self.w.path("Image")
        with open(path, "wb") as f:
            f.write(world.image(REBOOTS))
        self.up(spec=SPEC.replace("fd:kernel", path), files=[])
        self.new_manager()
        self.reboot()
        self.w.stop("demo", "force")
        self.gone()

    def reboot(self):
        self.w.wait_state("demo", "running")
        before, pid = self.ups(), self.w.vm_get("demo", "LeaderPID")
        with self.w.console("demo") as console:
            console.write(b"x")
        wait_until(lambda: self.ups() == before + 1)
        self.w.wait_state("demo", "running")
        return self.w.vm_get("demo", "LeaderPID") == pid

    def test_reboots_in_place(self):
        self.up(REBOOTS)
        self.assertTrue(self.reboot())
        self.w.stop("demo", "force")
        self.gone()

    def test_a_later_manager_has_it(self):
        """It reboots in place there, with the files that the runner has kept."""
        spec = SPEC.replace("fd:kernel", "fd:kernel, initrd: fd:initrd")
        self.up(spec=spec, files=[("kernel", self.kernel(REBOOTS)), ("initrd", self.kernel())])
        for _ in range(2):
            self.new_manager()
            self.w.wait_state("demo", "running")
            self.assertEqual(self.w.vm_get("demo", "DescriptorState"), "transient")
            self.refused("VMExists", "demo, and it is running")
            self.assertTrue(self.reboot())
        self.w.stop("demo", "force")
        self.gone()

    def test_a_reset_while_there_is_no_manager(self):
        self.up(REBOOTS)
        pid = self.w.vm_get("demo", "LeaderPID")
        console = self.w.console("demo")
        self.w.kill_manager()
        with console:
            console.write(b"x")
        time.sleep(0.5)
        self.w.start_manager()
        wait_until(lambda: self.ups() == 2)
        self.w.wait_state("demo", "running")
        self.assertEqual(self.w.vm_get("demo", "LeaderPID"), pid)
        self.w.stop("demo", "force")
        self.gone()

    def test_off_while_there_is_no_manager(self):
        self.up("print up\nread\noff\n")
        console = self.w.console("demo")
        self.w.kill_manager()
        with console:
            console.write(b"x")
        time.sleep(0.5)
        self.w.start_manager()
        self.gone()

    def test_a_descriptor_of_that_name(self):
        """It is that of a VM after the end of the transient one."""
        self.up()
        self.w.vm("demo", "off\n")
        self.w.manager.send_signal(signal.SIGHUP)
        self.assertEqual(self.w.vm_get("demo", "DescriptorState"), "transient")
        self.w.stop("demo", "force")
        wait_until(lambda: self.w.state("demo") == "stopped" and self.is_free())
        self.assertEqual(self.w.run_unit("demo"), 0)

    def is_free(self):
        try:
            self.run_vm()
        except Error as e:
            return "described by" in e.text
        return False


class Again(Case):
    """systemd starts the unit again: the same descriptor, the same files."""
    tries = 3

    def killed(self):
        os.kill(self.w.vm_get("demo", "LeaderPID"), signal.SIGKILL)

    def test_a_runner_that_dies(self):
        self.up()
        self.killed()
        wait_until(lambda: self.ups() == 2)
        self.w.wait_state("demo", "running")
        self.w.stop("demo", "force")
        self.gone()

    def test_a_runner_that_dies_with_a_later_manager(self):
        spec = SPEC.replace("fd:kernel", "fd:kernel, initrd: fd:initrd")
        self.up(spec=spec, files=[("kernel", self.kernel(FOREVER)), ("initrd", self.kernel())])
        self.new_manager()
        self.w.wait_state("demo", "running")
        wait_until(lambda: self.w.vm_get("demo", "LeaderPID"))
        self.killed()
        wait_until(lambda: self.ups() == 2)
        self.w.wait_state("demo", "running")
        self.w.stop("demo", "force")
        self.gone()

    def test_both_die(self):
        """What it was made of is gone with both, and systemd is told that a try is no use.

        No page, VMID, state file or unit stays, and the name is free.
        """
        self.up()
        pid = self.w.vm_get("demo", "LeaderPID")
        self.w.kill_manager()
        os.kill(pid, signal.SIGKILL)
        self.w.start_manager()
        self.gone()
        self.assertEqual(self.ups(), 1)
        wait_until(lambda: self.w.unit_state("demo") == "failed")  # its next try has found no VM
        self.c = self.client()
        self.assertEqual(self.w.wait_job(self.run_vm())[0], "done")
        self.gone()

    def test_a_start_that_fails_for_good(self):
        result, error, name = self.w.wait_job(self.run_vm(
            files=[("kernel", self.fd(sealed(b"no kernel" * 100)))]))
        self.assertEqual((result, name), ("failed", world.NAME + ".Error.ImageInvalid"))
        self.assertIn("demo.yaml:3:17: kernel.image", error)
        self.gone()

    def test_a_start_that_fails_once(self):
        self.w.model_says("fail any EIO 1 manager")
        job = self.run_vm(FOREVER)
        self.assertEqual(self.w.wait_job(job)[0], "done")
        self.w.wait_state("demo", "running")
        self.w.stop("demo", "force")
        self.gone()

    def test_stopped_between_two_tries(self):
        self.up()
        self.killed()
        wait_until(lambda: self.w.state("demo") == "failed")
        self.assertEqual(self.w.wait_job(self.w.stop("demo"))[0], "done")
        self.gone()


class FakeRunner(Case):
    """What a runner may answer to a new manager that asks for the files."""

    def setUp(self):
        super().setUp()
        self.image = self.kernel(FOREVER)
        self.up(files=[("kernel", self.image)])
        self.pid, vmid, incarnation = self.w.vm_get("demo", "LeaderPID", "VMID", "Incarnation")
        os.kill(self.pid, signal.SIGSTOP)
        self.w.kill_manager()
        path = self.w.path("run", "ctl", "demo")
        os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listen:
            listen.bind(path)
            listen.listen()
            listen.settimeout(10)
            self.w.start_manager(wait=False)
            self.s, _ = listen.accept()
        self.addCleanup(self.s.close)
        self.s.settimeout(10)
        pidfd = os.pidfd_open(os.getpid())
        world.send(self.s, world.RUNNER, struct.pack("<HQ", vmid, incarnation), [pidfd])
        os.close(pidfd)
        world.receive_kind(self.s, world.SENT_FDS)
        self.ping, _ = world.receive_kind(self.s, world.PING)
        wait_until(self.w.answers)

    def gives(self, fd, kind=world.KERNEL):
        world.send(self.s, world.SENT_FD, struct.pack("<B", kind), [fd])

    def end(self):
        """The runner is gone; its unit, which systemd knows, is not. Returns what a start is told."""
        self.s.close()
        self.w.wait_state("demo", "failed")
        with self.w.dial() as s:
            world.send(s, world.HELLO, world.put_string("demo"))
            kind, payload, _ = world.receive(s)
        os.kill(self.pid, signal.SIGKILL)
        self.gone()
        return payload.decode(errors="replace") if kind == world.ERROR else ""

    def test_the_file_of_the_start(self):
        self.gives(self.image)
        world.send(self.s, world.PONG, self.ping)
        self.assertEqual(self.end(), "")

    def test_another_file(self):
        """Of the same size, the same times and the same bytes."""
        other = self.kernel(FOREVER)
        st = os.fstat(self.image)
        os.utime(other, ns=(st.st_atime_ns, st.st_mtime_ns))
        self.gives(other)
        world.send(self.s, world.PONG, self.ping)
        self.assertIn("'fd:kernel' was lost", self.end())
        self.assertIn("not the file of the start", self.w.log())

    def test_what_ends_the_connection(self):
        self.gives(self.fd(sealed(b"x", SHRINK)))  # it could still change
        self.w.wait_state("demo", "failed")
        self.assertIn("'fd:kernel' was lost", self.end())
        self.assertIn("malformed", self.w.log())


class Refusals(Case):
    def tearDown(self):
        self.assertIsNone(self.w.state("demo"))
        self.nothing_left()
        self.assertIsNone(self.w.manager.poll())

    def test_names(self):
        self.refused("InvalidArgs", "name of a virtual machine", name="-a")
        self.w.vm("other", "off\n")
        self.refused("VMExists", "described by .*/vms/other.yaml", name="other")
        self.method = "DefineVM"
        self.send(name="defined")
        self.method = "RunVM"
        self.refused("VMExists", "described by .*/lib/vms/defined.yaml", name="defined")
        self.c.call(ROOT, "Manager", "UndefineVM", ("s", "defined"), ("a{sv}", {}))

    def test_specs(self):
        self.refused("InvalidSpec", "sealed against", spec=self.fd(sealed(b"", SHRINK)))
        self.refused("QuotaExceeded", "longer than", spec=self.fd(sealed(b"#" * (MIB + 1))))
        self.refused("InvalidSpec", r"^demo\.yaml:4:16: memory\.size: .* \[size\]$",
                     spec=SPEC.replace("8M", "much"))
        self.refused("InvalidSpec", r"^demo\.yaml:3:17: kernel\.image: .* \[path\]$",
                     spec=SPEC.replace("fd:kernel", "kernel"))
        self.refused("InvalidArgs", "unknown option", options={"replace": ("b", 1)})

    def test_keys(self):
        kernel = self.kernel()
        self.refused("InvalidSpec", "3:17: kernel.image: .*no-such-file", files=[])
        self.refused("InvalidArgs", "two files have the key",
                     files=[("kernel", kernel), ("kernel", kernel)])
        self.refused("InvalidArgs", "does not name the file 'fd:more'",
                     files=[("kernel", kernel), ("more", kernel)])
        self.refused("QuotaExceeded", "more than 16",
                     files=[(f"f{i}", kernel) for i in range(17)])
        with self.assertRaises((Error, OSError)):  # the bus itself allows no such message
            self.run_vm(client=self.client(), files=[(f"f{i}", kernel) for i in range(200)])
        self.refused("InvalidFile", "sealed against",
                     files=[("kernel", self.fd(os.open("/dev/zero", os.O_RDONLY)))])

    def test_systemd_refuses(self):
        self.w.stand_in.terminate()
        self.w.stand_in.wait()
        with self.assertRaises(Error):
            self.run_vm()
        self.gone()


class Race(Case):
    def test_for_a_name(self):
        """Of many calls at once one succeeds; also against DefineVM."""
        clients = [self.client() for _ in range(4)]
        kernel = self.kernel(FOREVER)
        asked = [(c, c.ask(ROOT, "Manager", self.method,
                           *self.arguments(files=[("kernel", kernel)]))) for c in clients]
        self.assertEqual(sum(c.answer(a) is not None for c, a in asked), 1)
        self.w.wait_state("demo", "running")
        self.w.stop("demo", "force")
        self.gone()

    def test_while_it_is_defined(self):
        asked = self.c.ask(ROOT, "Manager", "DefineVM", *self.arguments(
            files=[("kernel", self.kernel(size=256 * MIB))]))
        self.refused("Busy", "defines or undefines demo", client=self.client())
        self.assertIsNotNone(self.c.answer(asked))
        self.refused("VMExists", "described by")
        self.c.call(ROOT, "Manager", "UndefineVM", ("s", "demo"), ("a{sv}", {}))
        self.gone()

    def test_a_client_that_dies(self):
        """Its VM runs on; if it dies before it was asked who it is, there was none."""
        client = self.client()
        client.ask(ROOT, "Manager", "RunVM", *self.arguments(
            files=[("kernel", self.kernel(FOREVER))]))
        wait_until(lambda: self.w.state("demo"))
        client.close()
        self.w.wait_state("demo", "running")
        self.w.stop("demo", "force")
        self.gone()
        client = self.client()
        client.ask(ROOT, "Manager", "RunVM", *self.arguments())
        client.close()
        self.gone()


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Users(Case):
    def test_a_file_of_the_host(self):
        self.refused("InvalidSpec", r"demo\.yaml:3:17: .*only root may name .*\[host-path\]",
                     client=self.client(USERS[0]), spec=SPEC.replace("fd:kernel", "/etc/passwd"),
                     files=[])

    def test_authenticated_by_the_platform(self):
        """Only root may name a peripheral of the host."""
        spec = SPEC + "auth: {type: platform, pas-id: 4}\n"
        for method in "RunVM", "DefineVM":
            self.method = method
            self.refused("InvalidSpec", r"demo\.yaml:5:14: auth\.type: only root .*\[root-only\]",
                         client=self.client(USERS[0]), spec=spec)
        self.gone()
        self.send(spec=spec)  # a definition of root
        self.c.call(ROOT, "Manager", "UndefineVM", ("s", "demo"), ("a{sv}", {}))
        self.gone()

    def test_limits(self):
        """Those of one user leave others theirs, and are free again afterwards."""
        client, other = self.client(USERS[0]), self.client(USERS[1])
        kernel = self.kernel("powerkey\n")
        for i in range(3):
            self.w.wait_job(self.run_vm(client=client, name=f"vm{i}",
                                        files=[("kernel", kernel)]))
        big = self.kernel(size=1 << 30)
        spec = SPEC.replace("fd:kernel", "fd:kernel, initrd: fd:big, dtb-overlay: fd:more")
        self.refused("QuotaExceeded", "would have 2048 MiB", client=client, spec=spec,
                     files=[("kernel", kernel), ("big", big), ("more", big)])
        for i in range(3, 8):
            self.w.wait_job(self.run_vm(client=client, name=f"vm{i}",
                                        files=[("kernel", kernel)]))
        self.refused("QuotaExceeded", "would have 9 transient VMs", client=client)
        self.refused("VMExists", "vm0", client=other, name="vm0")
        self.new_manager()
        self.refused("QuotaExceeded", "would have 9 transient VMs", client=self.client(USERS[0]))
        for i in range(8):
            self.w.wait_state(f"vm{i}", "running")
            self.w.stop(f"vm{i}", "force")
        for i in range(8):
            self.gone(f"vm{i}")
        self.run_vm(client=self.client(USERS[0]), name="vm0")
        self.gone("vm0")


    def test_memory(self):
        """Of the host's memory a user can have half, and all but root three quarters."""
        mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        for spec in (SPEC.replace("8M", f"{mib // 4 * 2 + 2}M"),
                     SPEC + f"regions: [{{label: 7, size: {mib // 2}M}}]\n"):
            self.refused("QuotaExceeded", rf"memory\.size: .* this user would have {mib // 200}.. MiB .* "
                         "lower the size",
                         client=self.client(USERS[0]), spec=spec)
        self.gone()

    def start_nothing(self):
        """From here on a start waits for its helper, so that large VMs take no memory."""
        helper = self.w.path("helper")
        with open(helper, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\ncase $* in *--release*) exit 0 ;; esac\nexec sleep 100\n")
        os.chmod(helper, 0o755)
        self.w.stand_in.terminate()
        self.w.stand_in.wait()
        self.w.start_stand_in(helper=helper)

    def test_memory_of_all(self):
        """None of them has too much, but together they would have; root is not counted."""
        mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        one, other = self.client(USERS[0]), self.client(USERS[1])
        kernel = self.kernel()

        def spec(percent):
            return SPEC.replace("8M", f"{mib * percent // 200 * 2}M")

        def run(client, name, percent):
            self.run_vm(client=client, name=name, spec=spec(percent), files=[("kernel", kernel)])

        self.start_nothing()
        run(one, "one", 45)
        self.refused("QuotaExceeded", "would have .* MiB of memory, and those of all users",
                     client=other, spec=spec(45))
        run(other, "two", 25)
        self.refused("QuotaExceeded", "those of all users", client=other, spec=spec(20))
        run(self.c, "root", 45)
        self.w.stop("one", "force")
        wait_until(lambda: self.w.state("one") is None)
        run(other, "three", 20)
        for name in "two", "three", "root":
            self.w.stop(name, "force")
            self.gone(name)


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Unauthorized(Case):
    polkit = "no"

    def test_refused(self):
        self.refused("NotAuthorized", "vmm1.run", client=self.client(USERS[0]))
        self.assertEqual(self.w.busctl(
            "get-property", "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
            "org.freedesktop.PolicyKit1.Authority", "LastName").stdout.strip(),
            '{"type":"s","data":"demo"}')
        self.gone()


if __name__ == "__main__":
    unittest.main(verbosity=2)
