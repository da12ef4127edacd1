#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Definitions over the bus: DefineVM, UndefineVM, and all that they refuse."""
import fcntl
import json
import os
import pwd
import socket
import subprocess
import threading
import time
import unittest

import sent
import world
from client import Error
from sent import CTL, GROW, MIB, SHRINK, SPEC, WRITE, sealed
from world import NAME, ROOT, wait_until

FUTURE_WRITE = 0x10  # F_SEAL_FUTURE_WRITE
USERS = sorted({p.pw_uid for p in pwd.getpwall()} - {0})[:2]


class Case(sent.Case):
    method = "DefineVM"

    def define(self, **kw):
        return self.send(**kw)

    def replace(self, **kw):
        return self.define(options={"replace": ("b", 1)}, **kw)

    def undefine(self, name="demo", client=None):
        (client or self.c).call(ROOT, "Manager", "UndefineVM", ("s", name), ("a{sv}", {}))

    def runs(self, name="demo"):
        self.assertEqual(self.w.run_unit(name), 0)
        self.w.wait_state(name, "stopped")

    def text(self, name="demo"):
        with open(self.w.path("run", "lib", "vms", name + ".yaml"), encoding="utf-8") as f:
            return f.read()


class Life(Case):
    def test_defined_started_undefined(self):
        monitor = self.w.monitor()
        self.assertEqual(self.define(), ROOT + "/vm/demo")
        self.runs()
        self.w.assert_clean()
        self.undefine()
        self.assertIsNone(self.w.state("demo"))
        self.nothing_left()
        monitor.terminate()
        said = [json.loads(line) for line in monitor.communicate()[0].splitlines()]
        told = [m["member"] for m in said if m.get("member", "").startswith("Interfaces") and
                m["payload"]["data"][0] == ROOT + "/vm/demo"]
        self.assertEqual(told, ["InterfacesAdded", "InterfacesRemoved"])

    def test_the_text_stays(self):
        """Comments and lines are those that were sent; only the path is another."""
        self.define()
        (folder,) = self.on_disk("images")
        path = self.w.path("run", "lib", "images", folder, "kernel.image")
        self.assertEqual(self.text(), SPEC.replace("fd:kernel", f"'{path}'"))
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), world.image("off\n"))

    def test_a_later_manager_has_it(self):
        self.define()
        self.w.kill_manager()
        self.w.start_manager()
        self.assertEqual(self.w.state("demo"), "stopped")
        self.runs()

    def test_drop_ins_apply(self):
        self.define()
        os.mkdir(self.w.path("vms", "demo.yaml.d"))
        with open(self.w.path("vms", "demo.yaml.d", "50-size.yaml"), "w", encoding="ascii") as f:
            f.write("memory: {size: 16M}\n")
        unit = self.w.unit("demo")
        self.assertEqual(unit.wait(20), 0)
        self.assertIn("16384 KiB", self.w.said("demo"))

    def test_replaced(self):
        """Also without new files: the path of a file that it has already keeps that file."""
        self.define()
        (before,) = self.on_disk("images")
        self.refused("VMExists", "defined already")
        self.replace(spec=self.text() + "cpus: {count: 2}\n", files=[])
        (after,) = self.on_disk("images")
        self.assertNotEqual(before, after)
        self.assertIn(after, self.text())
        self.runs()
        self.replace(files=[("kernel", self.kernel("print hello\noff\n"))])
        self.runs()
        self.assertIn("hello", self.w.console_log("demo"))
        # the file of the earlier definition has gone, and another VM never had a right to it
        self.refused("InvalidFile", "cannot keep", call=self.replace,
                     spec=SPEC.replace("fd:kernel", self.w.path("run", "lib", "images", before,
                                                                "kernel.image")), files=[])
        self.runs()

    def test_root_may_name_files_of_the_host(self):
        path = self.w.path("Image")
        with open(path, "wb") as f:
            f.write(world.image("off\n"))
        self.define(spec=SPEC.replace("fd:kernel", path), files=[])
        self.runs()
        self.undefine()
        self.nothing_left()


class Refusals(Case):
    def tearDown(self):
        self.nothing_left()
        self.assertIsNone(self.w.manager.poll())

    def test_specs(self):
        full = b"#" * (MIB + 1)
        for seals in 0, SHRINK, WRITE, GROW:
            self.refused("InvalidSpec", "sealed against", spec=self.fd(sealed(b"", seals)))
        self.refused("QuotaExceeded", "longer than", spec=self.fd(sealed(full)))
        self.refused("InvalidSpec", "empty", spec="")
        r, w = os.pipe()
        self.refused("InvalidSpec", "sealed against", spec=self.fd(r))
        self.fd(w)

    def test_errors_have_their_place_and_rule(self):
        self.refused("InvalidSpec", r"^demo\.yaml:4:16: memory\.size: .* \[size\]$",
                     spec=SPEC.replace("8M", "much"))
        self.refused("InvalidSpec", r"^demo\.yaml:3:17: kernel\.image: .* \[path\]$",
                     spec=SPEC.replace("fd:kernel", "kernel"))
        self.refused("InvalidSpec", r"^demo\.yaml:3:17: kernel\.image: .* \[no-such-file\]$",
                     spec=SPEC.replace("fd:kernel", "fd:image"))

    def test_names(self):
        for name in "", "-a", "a" * 28, "../a", "A":
            self.refused("InvalidArgs", "name of a virtual machine", name=name)

    def test_keys(self):
        kernel = self.kernel()
        self.refused("InvalidSpec", "no-such-file", files=[])
        self.refused("InvalidArgs", "two files have the key",
                     files=[("kernel", kernel), ("kernel", kernel)])
        self.refused("InvalidArgs", "does not name the file 'fd:more'",
                     files=[("kernel", kernel), ("more", kernel)])
        for key in "", "a/b", "..", "a" * 33:
            self.refused("InvalidArgs", "the key of a file", files=[(key, kernel)])
        self.refused("InvalidArgs", "unknown option", options={"force": ("b", 1)})

    def test_too_many_files(self):
        kernel = self.kernel()
        self.refused("QuotaExceeded", "more than 16",
                     files=[(f"f{i}", kernel) for i in range(17)])
        # the bus itself allows no such message
        with self.assertRaises((Error, OSError)):
            self.define(client=self.client(), files=[(f"f{i}", kernel) for i in range(200)])

    def test_kinds_of_files(self):
        d = self.w.path("log")
        os.mkfifo(self.w.path("fifo"))
        with open(self.w.path("file"), "wb") as f:
            f.write(world.image("off\n"))
        memfd = self.kernel()
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        for fd in (os.open(d, os.O_RDONLY | os.O_DIRECTORY),
                   os.open(self.w.path("fifo"), os.O_RDWR),
                   os.dup(s.fileno()),
                   os.open("/dev/zero", os.O_RDONLY),
                   os.open(self.w.path("file"), os.O_RDONLY),
                   os.open(f"/proc/self/fd/{memfd}", os.O_PATH),
                   sealed(b"x", SHRINK), sealed(b"x", WRITE), sealed(b"x", 0),
                   sealed(b"x", SHRINK | GROW | FUTURE_WRITE)):  # a mapping can still change it
            self.refused("InvalidFile", "sealed against|O_PATH", files=[("kernel", self.fd(fd))])
            self.refused("InvalidSpec", "sealed against|O_PATH", spec=fd)

    def test_a_file_for_writing_only(self):
        """Root may open a sealed memfd so, other users by its mode."""
        fd = os.memfd_create("sent", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.fd(fd)
        os.write(fd, b"x")
        writer = self.fd(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SHRINK | WRITE)
        self.refused("InvalidFile", "not open for reading", files=[("kernel", writer)])
        self.refused("InvalidSpec", "not open for reading", spec=writer)

    def test_sizes(self):
        self.refused("QuotaExceeded", "longer than",
                     files=[("kernel", self.kernel(size=(1 << 30) + 1))])
        big = self.kernel(size=1 << 30)
        self.refused("QuotaExceeded", "together",
                     spec=SPEC.replace("fd:kernel", "fd:kernel, initrd: fd:b, dtb-overlay: fd:c"),
                     files=[("kernel", big), ("b", big), ("c", big)])

    def test_what_is_not_defined(self):
        self.refused("NoSuchVM", "there is no", call=self.undefine)
        self.w.vm("demo", "off\n")
        self.refused("BadState", "described by .*/vms/demo.yaml", call=self.undefine)
        self.refused("VMExists", "described by .*/vms/demo.yaml")
        self.refused("VMExists", "described by .*/vms/demo.yaml", call=self.replace)


class Busy(Case):
    def test_while_it_runs(self):
        self.define(files=[("kernel", self.kernel("forever\n"))])
        before = self.text()
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        self.refused("Busy", "demo is running", call=self.replace)
        self.refused("Busy", "demo is running", call=self.undefine)
        self.assertEqual(self.text(), before)
        self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.wait_state("demo", "stopped")
        self.undefine()
        self.nothing_left()

    def test_while_it_starts(self):
        self.define()
        helper = self.w.dial()
        with helper:
            world.send(helper, world.HELLO, world.put_string("demo"))
            world.receive_kind(helper, world.NEED)
            self.refused("Busy", "demo is starting", call=self.undefine)
        wait_until(lambda: self.w.state("demo") == "failed")
        self.undefine()
        self.nothing_left()

    def test_replaced_while_it_starts(self):
        """The files of the start are those that it began with."""
        self.define()
        before = self.text()
        helper = self.w.dial()
        with helper:
            world.send(helper, world.HELLO, world.put_string("demo"))
            world.receive_kind(helper, world.NEED)
            self.refused("Busy", "demo is starting", call=self.replace)
        self.assertEqual(self.text(), before)
        wait_until(lambda: self.w.state("demo") == "failed")
        self.undefine()
        self.nothing_left()

    def test_a_race_to_define_and_undefine(self):
        """Each call succeeds or says why not, and what is left is whole or nothing."""
        clients = [self.client() for _ in range(6)]
        for _ in range(5):
            asked = [(c, c.ask(ROOT, "Manager", "DefineVM",
                               *self.arguments(options={"replace": ("b", 1)})) if i % 2 else
                      c.ask(ROOT, "Manager", "UndefineVM", ("s", "demo"), ("a{sv}", {})))
                     for i, c in enumerate(clients)]
            for c, a in asked:
                c.answer(a)
            self.assertEqual(len(self.on_disk("images")), len(self.on_disk("vms")))
        if not self.on_disk("vms"):
            self.define()
        self.runs()
        self.undefine()
        self.nothing_left()

    def test_a_race_for_a_name(self):
        """Of many calls at once one succeeds; the others are told why not."""
        clients = [self.client() for _ in range(4)]
        asked = [(c, c.ask(ROOT, "Manager", "DefineVM",
                           *self.arguments(files=[("kernel", self.kernel(size=8 * MIB))])))
                 for c in clients]
        self.assertEqual(sum(c.answer(a) is not None for c, a in asked), 1)
        self.assertEqual(len(self.on_disk("images")), 1)
        self.undefine()
        self.nothing_left()

    def test_a_start_waits_for_a_change(self):
        self.define()
        asked = self.c.ask(ROOT, "Manager", "DefineVM", *self.arguments(
            files=[("kernel", self.kernel(size=256 * MIB))], options={"replace": ("b", 1)}))
        self.refused("Busy", "being changed|moment", call=self.undefine, client=self.client())
        self.refused("Busy", "is being changed", call=lambda: self.client().call(
            ROOT, "Manager", "StartVM", ("s", "demo"), ("a{sv}", {}), returns="o"))
        self.assertNotEqual(self.w.run_unit("demo"), 0)
        self.assertIn("is being changed", self.w.said("demo"))
        self.assertIsNotNone(self.c.answer(asked))
        self.w.assert_clean()

    def test_others_are_served_meanwhile(self):
        asked = self.c.ask(ROOT, "Manager", "DefineVM", *self.arguments(
            files=[("kernel", self.kernel(size=256 * MIB))]))
        other, slowest, n = self.client(), 0, 0
        while not self.on_disk("vms"):
            before = time.monotonic()
            other.call(ROOT + "/host", "org.freedesktop.DBus.Properties", "GetAll",
                       ("s", NAME + ".Host"))
            slowest, n = max(slowest, time.monotonic() - before), n + 1
        self.assertIsNotNone(self.c.answer(asked))
        self.assertGreater(n, 3)
        self.assertLess(slowest, 2)

    def test_a_client_that_dies(self):
        client = self.client()
        client.ask(ROOT, "Manager", "DefineVM", *self.arguments(
            files=[("kernel", self.kernel(size=512 * MIB))]))
        wait_until(lambda: self.on_disk("images"))
        client.close()
        wait_until(lambda: not self.on_disk("images"))
        self.nothing_left()


class Death(Case):
    """The manager dies while it writes: there is the earlier definition or the new one."""

    def contents(self):
        with open(self.text().split("image: '")[1].split("'")[0], "rb") as f:
            return f.read(4096)

    def test_at_any_time(self):
        scripts = ["off\n", "off\n# 2\n"]
        self.define(files=[("kernel", self.kernel(scripts[0], 4 * MIB))])
        for i in range(12):
            now = world.image(scripts[i % 2])
            before = self.contents()
            self.c.ask(ROOT, "Manager", "DefineVM", *self.arguments(
                files=[("kernel", self.kernel(scripts[i % 2], 4 * MIB))],
                options={"replace": ("b", 1)}))
            time.sleep(i * 0.004)
            self.w.kill_manager()
            self.w.start_manager()
            after = self.contents()
            self.assertIn(after[:len(now)], (before[:len(now)], now))
            self.assertEqual(len(self.on_disk("images")), 1)
        self.runs()
        self.undefine()
        self.nothing_left()


class Ctl(sent.Ghvmctl, Case):
    """ghvmctl define and undefine."""

    def test_define_and_undefine(self):
        path = self.write()
        self.ok("define", path)
        os.unlink(path)
        os.unlink(self.w.path("Image"))
        self.runs()
        self.assertIn("demo", self.ok("list"))
        path = self.write()
        self.fails("defined already", "define", path)
        self.ok("--force", "define", path)
        self.ok("undefine", "demo")
        self.fails("there is no virtual machine 'demo'", "undefine", "demo", status=3)
        self.nothing_left()

    def test_cat_tells_where_each_key_comes_from(self):
        self.ok("define", self.write())
        os.mkdir(self.w.path("vms", "demo.yaml.d"))
        drop_in = self.w.path("vms", "demo.yaml.d", "50-size.yaml")
        with open(drop_in, "w", encoding="ascii") as f:
            f.write("# more\nmemory: {size: 16M}\n")
        said = self.ok("cat", "demo")
        own = self.w.path("run", "lib", "vms", "demo.yaml")
        self.assertRegex(said, rf'\n  image: ".*/kernel.image" +# {own}:3\n')
        self.assertRegex(said, rf"\n  size: 16777216 +# {drop_in}:2\n")
        self.assertRegex(said, rf"\n  hugepages: never +# {own}:4\n")
        self.assertRegex(said, r"\n  - console:\n      enabled: true +# default\n")
        again = self.w.path("again.yaml")
        with open(again, "w", encoding="utf-8") as f:
            f.write(said)
        self.ok("--offline", "validate", again)
        self.fails("there is no virtual machine", "cat", "other", status=3)

    def edit(self, command, name="demo"):
        """With an "editor": a shell command, of which $1 is the copy."""
        script = self.w.path("editor")
        with open(script, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\n" + command + "\n")
        os.chmod(script, 0o755)
        os.makedirs(self.w.path("tmp", "of-a-long-path" * 4), exist_ok=True)
        os.environ["VISUAL"] = script
        os.environ["TMPDIR"] = self.w.path("tmp", "of-a-long-path" * 4)
        try:
            return self.ghvmctl("edit", name)
        finally:
            del os.environ["VISUAL"], os.environ["TMPDIR"]

    def copies(self):
        return [os.path.join(d, f) for d, _, files in os.walk(self.w.path("tmp")) for f in files]

    def test_a_pipe_is_waited_for_and_that_is_said(self):
        with open(self.write(), encoding="utf-8") as f:
            text = f.read()
        os.mkdir(self.w.path("pipe"))
        fifo = self.w.path("pipe", "demo.yaml")
        os.mkfifo(fifo)
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.w.bus)
        with subprocess.Popen([CTL, "define", fifo], stderr=subprocess.PIPE, text=True, env=env) as p:
            self.addCleanup(p.kill)
            self.assertEqual(p.stderr.readline(), f"ghvmctl: {fifo}: a pipe: waiting for a program "
                             "that writes into it\n")
            with open(fifo, "w", encoding="utf-8") as f:
                f.write(text)
            self.assertEqual(p.wait(20), 0)
        self.assertIn("size: 8M", self.text())

    def test_a_file_that_changes_while_it_is_read(self):
        """Until the writer has a turn in the midst of a copy; what is defined then is the whole file."""
        path, done = self.write(), threading.Event()

        def change():
            with open(self.w.path("Image"), "r+b") as f:
                f.truncate(16 * MIB)
                while not done.is_set():
                    os.pwrite(f.fileno(), b"x", 8 * MIB)

        writer = threading.Thread(target=change)
        writer.start()
        try:
            wait_until(lambda: "changed while it was read" in
                       self.ghvmctl("--force", "define", path).stderr)
        finally:
            done.set()
            writer.join()
        self.ok("--force", "define", path)
        self.ok("undefine", "demo")
        self.nothing_left()

    def test_edit_needs_the_right_to_write_first(self):
        self.w.vm("demo", "off\n")
        os.chmod(self.w.path("vms"), 0o555)
        self.addCleanup(os.chmod, self.w.path("vms"), 0o755)
        os.chmod(self.w.path(), 0o755)
        opened = self.w.path("opened")
        script = self.w.path("editor")
        with open(script, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\necho >{opened}\n")
        os.chmod(script, 0o755)
        r = subprocess.run([CTL, "--dir", self.w.path("vms"), "edit", "demo"], capture_output=True,
                           text=True, check=False, env=dict(os.environ, VISUAL=script),
                           **({"user": 65534, "extra_groups": []} if os.geteuid() == 0 else {}))
        self.assertEqual(r.returncode, 1)
        self.assertEqual(r.stderr, f"ghvmctl: {self.w.path('vms', 'demo.yaml')}: cannot write in "
                         f"{self.w.path('vms')}: Permission denied\n")
        self.assertFalse(os.path.exists(opened))

    def test_edit_of_a_definition(self):
        self.ok("define", self.write())
        r = self.edit("sed -i s/8M/16M/ $1")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("size: 16M", self.text())
        self.assertIn("# a comment", self.text())
        self.assertEqual(len(self.on_disk("images")), 1)
        self.runs()
        r = self.edit(":")
        self.assertEqual((r.returncode, r.stderr), (0, "ghvmctl: demo: unchanged\n"))
        self.assertEqual(self.copies(), [])
        before = self.text()
        for command, said in (("sed -i s/16M/much/ $1", "yaml:4:16: memory.size.*"),
                              (f"echo >>{self.w.path('run', 'lib', 'vms', 'demo.yaml')}; "
                               "echo '# 2' >>$1", "was changed meanwhile")):
            r = self.edit(command)
            self.assertEqual(r.returncode, 1)
            self.assertRegex(r.stderr, f"(?s){said}.*the edited text is in ")
            self.assertEqual(self.text().strip(), before.strip())
        self.assertEqual(len(self.copies()), 2)
        for command, left in (("exit 3", 2), ("echo >>$1; exit 3", 3)):
            r = self.edit(command)
            self.assertEqual(r.returncode, 1)
            self.assertIn("the editor failed", r.stderr)
            self.assertEqual("the edited text is in" in r.stderr, left == 3)
            self.assertEqual(len(self.copies()), left)

    def test_edit_of_a_file(self):
        self.w.vm("demo", "off\n")
        path = self.w.path("vms", "demo.yaml")
        os.chmod(path, 0o640)
        r = self.edit("sed -i s/8M/16M/ $1")
        self.assertEqual(r.returncode, 0, r.stderr)
        with open(path, encoding="ascii") as f:
            self.assertIn("size: 16M", f.read())
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(self.w.path("vms")), ["demo.yaml"])
        self.assertEqual(self.copies(), [])
        self.assertEqual(self.edit(":", "other").returncode, 3)

    def test_what_is_refused(self):
        self.fails("No such file", "define", self.w.path("none.yaml"))
        self.fails("demo.yaml:4:16: memory.size", "define", self.write(SPEC.replace("8M", "x")))
        self.fails("demo.yaml:3:17: kernel.image: /nonexistent: No such file", "define",
                   self.write(SPEC.replace("fd:kernel", "/nonexistent")))
        self.fails("not a regular file", "define",
                   self.write(SPEC.replace("fd:kernel", "/dev/null")))
        big = self.w.path("big")
        with open(big, "wb") as f:
            f.truncate((1 << 30) + 1)
        self.fails("demo.yaml:3:17: kernel.image: .*/big: larger than 1G", "define",
                   self.write(SPEC.replace("fd:kernel", big)))
        self.fails("cannot name|not a VM's name", "define", self.write(name="A.yaml"))
        self.nothing_left()


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Others(Case):
    polkit = "yes"

    def setUp(self):
        super().setUp()
        self.w.start_stand_in()
        self.user = self.client(USERS[0])

    def asked_about(self):
        r = self.w.busctl("get-property", "org.freedesktop.PolicyKit1",
                          "/org/freedesktop/PolicyKit1/Authority",
                          "org.freedesktop.PolicyKit1.Authority", "LastName")
        return json.loads(r.stdout)["data"]

    def test_polkit_hears_the_name(self):
        self.define(client=self.user, name="mine")
        self.assertEqual(self.asked_about(), "mine")
        self.define(client=self.user, name="yours")
        self.undefine("mine", client=self.user)
        self.assertEqual(self.asked_about(), "mine")
        (folder,) = self.on_disk("images")
        self.assertRegex(folder, rf"^yours\.[0-9a-f]{{16}}\.{USERS[0]}$")

    def test_files_of_the_host_are_roots(self):
        self.refused("InvalidSpec", r"^demo\.yaml:3:17: kernel\.image: only root .* \[host-path\]$",
                     client=self.user, spec=SPEC.replace("fd:kernel", "/etc/shadow"), files=[])
        self.define()
        (folder,) = self.on_disk("images")
        path = self.w.path("run", "lib", "images", folder, "kernel.image")
        self.refused("InvalidSpec", "only root", client=self.user, name="other",
                     spec=SPEC.replace("fd:kernel", path), files=[])

    def test_a_user_has_two_copies_at_once(self):
        big = self.kernel(size=256 * MIB)
        calls = [(c, c.ask(ROOT, "Manager", "DefineVM",
                           *self.arguments(name=f"vm{i}", files=[("kernel", big)])))
                 for i, c in enumerate([self.user, self.client(USERS[0])])]
        wait_until(lambda: len(self.on_disk("images")) == 2)
        self.refused("QuotaExceeded", "2 definitions of this user", client=self.client(USERS[0]),
                     name="more")
        self.define(client=self.client(USERS[1]), name="other")
        self.assertEqual([c.answer(a) is not None for c, a in calls], [True, True])
        self.define(client=self.user, name="more")


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Logs(Case):
    def test_logs_are_bounded(self):
        """Of definitions under ever new names the logs stay, up to 64 of a user; root's have no limit."""
        self.w.start_stand_in()
        user, logs = self.client(USERS[0]), self.w.path("log", "users")
        old = [f"{USERS[0]}.old{i}.log" for i in range(70)] + [f"{USERS[1]}.other.log"]
        os.mkdir(logs)
        for name in old:
            with open(os.path.join(logs, name), "wb"):
                os.utime(os.path.join(logs, name), (1, 1))
        self.define(client=user, name="mine")
        self.runs("mine")
        self.undefine("mine", client=user)
        left = os.listdir(logs)
        self.assertIn(f"{USERS[0]}.mine.log", left)
        self.assertIn(f"{USERS[1]}.other.log", left)
        own = [name for name in left if name.startswith(f"{USERS[0]}.old")]
        self.assertEqual(len(own), 64)
        self.define(name="roots")
        self.runs("roots")
        self.assertIn("roots.log", os.listdir(self.w.path("log")))
        self.assertEqual(sorted(os.listdir(logs)), sorted(left))


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Strangers(Others):
    polkit = "no"

    def test_polkit_hears_the_name(self):
        self.refused("NotAuthorized", "org.gunyah.vmm1.define is not authorized",
                     client=self.user)
        self.assertEqual(self.asked_about(), "demo")
        self.nothing_left()
        self.define()
        self.refused("NotAuthorized", "org.gunyah.vmm1.undefine is not authorized",
                     call=self.undefine, client=self.user)
        self.assertEqual(self.on_disk("vms"), ["demo.yaml"])

    test_files_of_the_host_are_roots = None
    test_a_user_has_two_copies_at_once = None


if __name__ == "__main__":
    unittest.main(verbosity=2)
