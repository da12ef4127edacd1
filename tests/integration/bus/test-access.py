#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What users other than root may do, and that they cannot block each other."""
import os
import pwd
import signal
import subprocess
import unittest
from xml.etree import ElementTree

import case
import world
from client import Error
from regions import NOTHING
from sent import SPEC, sealed
from world import NAME, ROOT, wait_until

# dbus-daemon accepts only existing users
USERS = sorted({p.pw_uid for p in pwd.getpwall()} - {0})[:9]
ONE, TWO = USERS[:2]
NOBODY = str(pwd.getpwnam("nobody").pw_uid)
POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = "/org/freedesktop/PolicyKit1/Authority"
PER_USER = 8


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Case(case.Case):
    polkit = "silent"  # it replies on command

    def setUp(self):
        super().setUp()
        self.w.vm("demo", "forever\n")
        self.w.vm("other", "off\n")
        self.w.call(ROOT, "Manager", "ListVMs")
        self.w.start_stand_in()

    def waiting(self):
        r = self.w.busctl("get-property", POLKIT, AUTHORITY, POLKIT + ".Authority", "Waiting")
        return int(r.stdout.split(":")[-1].strip(" }\n"))

    def answer(self, yes):
        r = self.w.busctl("call", POLKIT, AUTHORITY, POLKIT + ".Authority", "ANSWER", "b",
                          "true" if yes else "false")
        self.assertEqual(r.returncode, 0, r.stderr)

    def asks(self, client, name="demo"):
        client.send(f"{ROOT}/vm/{name}", "VM", "Stop", ("s", "force"), NOTHING)

    def refused(self, client, name="demo"):
        with self.assertRaises(Error) as e:
            client.call(f"{ROOT}/vm/{name}", "VM", "Stop", ("s", "force"), NOTHING, returns="o")
        return e.exception

    def fill(self, uid):
        """Open all questions that this user may have, each from its own connection."""
        for _ in range(PER_USER):
            self.asks(self.client(uid))
        wait_until(lambda: self.waiting() == PER_USER)


class Questions(Case):
    def test_the_limit_is_one_users(self):
        self.fill(ONE)
        e = self.refused(self.client(ONE))
        self.assertEqual(e.name, "QuotaExceeded")
        self.assertIn("of this user", e.text)
        self.asks(self.client(TWO))
        wait_until(lambda: self.waiting() == PER_USER + 1)
        # polkit is not asked about root, whatever the number of waiting calls
        self.assertEqual(self.refused(self.client(None)).name, "BadState")

    def test_a_question_goes_with_its_sender(self):
        for _ in range(4):
            self.fill(ONE)
            for c in self.clients:
                c.close()
            wait_until(lambda: self.waiting() == 0)

    def test_a_question_goes_with_its_object(self):
        c = self.client(ONE)
        for n in range(3 * PER_USER):
            self.w.vm(f"gone{n}", "off\n")
            self.w.call(ROOT, "Manager", "GetVM", "s", f"gone{n}")
            self.asks(c, f"gone{n}")
            wait_until(lambda: self.waiting() == 1)
            os.unlink(self.w.path("vms", f"gone{n}.yaml"))
            self.assertEqual(len(self.w.call(ROOT, "Manager", "ListVMs")[0]), 2)
            self.answer(True)
        # and a call that its method refuses before it checks the answer
        self.fill(ONE)

    def test_the_oldest_makes_room(self):
        oldest = subprocess.Popen(
            ["setpriv", f"--reuid={ONE}", "--clear-groups", "busctl", "--address=" + self.w.bus,
             "call", NAME, ROOT + "/vm/demo", NAME + ".VM", "Stop", "sa{sv}", "force", "0"],
            stderr=subprocess.PIPE, text=True)
        wait_until(lambda: self.waiting() == 1)
        for uid in USERS[1:]:
            for _ in range(PER_USER):
                self.asks(self.client(uid))
        self.assertIn("waiting for polkit: try again", oldest.communicate(timeout=20)[1])
        self.assertEqual(self.waiting(), 64)

    def test_no_answers_at_all(self):
        """A flood of calls whose replies are not read does not block root."""
        for _ in range(20):
            c = self.client(ONE)
            for _ in range(100):
                self.asks(c)
        self.assertEqual(self.refused(self.client(None)).name, "BadState")
        self.assertLessEqual(self.waiting(), PER_USER)

    def test_what_is_wrong_is_said_before_polkit_is_asked(self):
        c = self.client(ONE)
        for name, call in (
                ("NoSuchVM", (ROOT, "Manager", "StartVM", ("s", "nobody"), NOTHING)),
                ("InvalidArgs", (ROOT + "/vm/demo", "VM", "Stop", ("s", "softly"), NOTHING)),
                ("InvalidArgs", (ROOT + "/vm/demo", "VM", "OpenConsole",
                                 ("a{sv}", {"colour": ("s", "blue")})))):
            with self.assertRaises(Error) as e:
                c.call(*call, returns="o")
            self.assertEqual(e.exception.name, name, e.exception.text)
        self.assertEqual(self.waiting(), 0)


class Floods(Case):
    polkit = "yes"
    dear = (ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    vms = 300

    def cpu(self):
        """CPU time of the manager in seconds, which does not depend on the load of the machine."""
        with open(f"/proc/{self.w.manager.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def describe(self):
        for n in range(self.vms):
            self.w.vm(f"v{n}", "off\n", kernel="/boot/Image")
        self.assertEqual(len(self.w.call(ROOT, "Manager", "ListVMs")[0]), self.vms + 2)

    def one(self):
        """CPU time of an expensive call."""
        before = self.cpu()
        for _ in range(10):
            self.client(None).call(*self.dear)
        return (self.cpu() - before) / 10

    def test_all_objects_for_one_user_and_a_start_for_root(self):
        self.describe()
        one = self.one()
        before = self.cpu()
        for _ in range(20):
            c = self.client(ONE)
            for _ in range(100):
                c.send(*self.dear)
        job = self.client(None).call(ROOT, "Manager", "StartVM", ("s", "demo"), NOTHING,
                                     returns="o")
        self.assertEqual(self.w.wait_job(job, 60), ["done", "", ""])
        # 2 of each connection are answered, the others refused; before, 2000 were answered first
        self.assertLess(self.cpu() - before, 200 * one + 1)
        self.w.stop("demo", "force")
        self.w.assert_clean()

    def test_more_than_two_at_a_time_are_refused(self):
        c = self.client(ONE)
        for _ in range(50):
            c.send(ROOT, "Manager", "GetVM", ("s", "nobody"))
        with self.assertRaises(Error) as e:
            c.call(ROOT, "Manager", "GetVM", ("s", "nobody"), returns="o")
        self.assertIn(e.exception.name, ("QuotaExceeded", "NoSuchVM"))
        self.assertEqual(c.call(ROOT, "Manager", "GetVM", ("s", "demo"), returns="o"),
                         ROOT + "/vm/demo")


class Turns(Case):
    dear = Floods.dear

    def held(self, client):
        """The manager knows the user of a connection while its question waits."""
        before = self.waiting()
        self.asks(client)
        wait_until(lambda: self.waiting() == before + 1)
        return client

    def test_each_user_has_his_turn(self):
        """Send all calls before the first reply; check the order of the replies."""
        self.w.vm("demo", "powerkey\n", extra="rm-rpc: true\n")
        unit = self.w.unit("demo")
        self.w.wait_state("demo", "running")
        many = [self.held(self.client(ONE)) for _ in range(PER_USER)]
        others = [self.held(self.client(TWO)), self.client(None)]
        others[1].call(ROOT + "/vm/demo", "VM", "BeginTransaction", NOTHING, returns="o")
        os.kill(self.w.manager.pid, signal.SIGSTOP)
        try:
            asked = [(c, c.ask(*self.dear)) for c in many for _ in range(2)]
            wanted = [(c, c.ask(*self.dear)) for c in others]
            for c in many + others:
                c.sync()
        finally:
            os.kill(self.w.manager.pid, signal.SIGCONT)
        last = max(c.answer(n) for c, n in wanted)
        early = sum(c.answer(n) < last for c, n in asked)
        # one of the many is answered before; a manager that reads slowly answers a few meanwhile
        self.assertLess(early, len(asked) / 2)
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)


class Jobs(Case):
    polkit = "yes"

    def test_equal_stops_share_a_job_and_force_passes(self):
        unit = self.w.unit("demo")
        wait_until(lambda: self.w.vm_get("demo", "State") == "running", 20)
        stop = (("s", "graceful"), NOTHING)
        jobs = set()
        for _ in range(32):
            c = self.client(ONE)
            for _ in range(10):
                jobs.add(c.call(ROOT + "/vm/demo", "VM", "Stop", *stop, returns="o"))
        self.assertEqual(len(jobs), 1)
        self.assertEqual(self.w.get(jobs.pop(), "Job", "State"), "running")
        forced = self.client(ONE).call(ROOT + "/vm/demo", "VM", "Stop", ("s", "force"), NOTHING,
                                       returns="o")
        self.assertEqual(self.w.wait_job(forced), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()

    def test_results_of_others_stay(self):
        unit = self.w.unit("demo")
        wait_until(lambda: self.w.vm_get("demo", "State") == "running", 20)
        kept = self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()
        c = self.client(ONE)
        for _ in range(70):
            job = c.call(ROOT, "Manager", "StartVM", ("s", "other"), NOTHING, returns="o")
            self.w.wait_job(job)
            wait_until(lambda: not self.w.leftovers(), 20)
            wait_until(lambda: not [f for f in os.listdir(self.w.path("log"))
                                    if f.startswith("notify")])
        self.assertEqual(self.w.get(kept, "Job", "Result"), "done")


@unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
class Unauthorized(case.Case):
    polkit = "no"
    why = "polkit refused.*group gunyah"

    def setUp(self):
        super().setUp()
        self.w.vm("demo", "powerkey\n")
        self.w.start_stand_in()

    def verbs(self):
        """The arguments of each method that not all may call; those of calls that would be right."""
        spec, kernel = self.memfd(SPEC.encode()), self.memfd(world.image("off\n"))
        name, files = ("s", "demo"), ("a{sh}", [("kernel", kernel)])
        return {"Manager": {"StartVM": (name, NOTHING), "Validate": (("h", spec), NOTHING),
                            "Plan": (("h", spec), NOTHING), "UndefineVM": (name, NOTHING),
                            "DefineVM": (("s", "new"), ("h", spec), files, NOTHING),
                            "RunVM": (("s", "new"), ("h", spec), files, NOTHING)},
                "VM": {"Stop": (("s", "force"), NOTHING), "OpenConsole": (NOTHING,),
                       "BeginTransaction": (NOTHING,), "ListDevices": (NOTHING,),
                       "Plan": (NOTHING,), "Describe": (NOTHING,)},
                "Host": {"RetryQuarantine": (NOTHING,), "Trace": (("t", 0), NOTHING)}}

    FREE = {"Manager": {"ListVMs", "GetVM"}, "VM": set(), "Host": {"ListQuarantine"}}

    def memfd(self, data):
        fd = sealed(data)
        self.addCleanup(os.close, fd)
        return fd

    def methods(self, client, path, interface):
        xml = client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect", returns="s")
        (node,) = ElementTree.fromstring(xml).findall(f"interface[@name='{NAME}.{interface}']")
        return {m.get("name") for m in node.findall("method")}

    def test_nobody_may_do_nothing(self):
        """There is no other method; those of regions and transactions have their own tests."""
        client = self.client(int(NOBODY))
        paths = {"Manager": ROOT, "VM": ROOT + "/vm/demo", "Host": ROOT + "/host"}
        for interface, verbs in self.verbs().items():
            self.assertEqual(self.methods(client, paths[interface], interface),
                             set(verbs) | self.FREE[interface])
            for verb, arguments in verbs.items():
                with self.assertRaises(Error, msg=verb) as e:
                    client.call(paths[interface], interface, verb, *arguments)
                self.assertEqual(e.exception.name, "NotAuthorized", verb)
                self.assertRegex(e.exception.text, "not authorized: " + self.why, verb)
        self.w.call(ROOT, "Manager", "ListVMs", user=NOBODY)
        self.w.call(ROOT, "Manager", "GetVM", "s", "demo", user=NOBODY)
        self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0", user=NOBODY)
        self.assertEqual(self.w.counts()["vms"], 0)
        self.assertEqual(os.listdir(self.w.path("run", "lib", "images")), [])


class Challenged(Unauthorized):
    polkit = "challenge"
    why = "authentication is required.*pkttyagent"


class WithoutPolkit(Unauthorized):
    polkit = "absent"
    why = "polkit failed: .*org.freedesktop.PolicyKit1"


if __name__ == "__main__":
    unittest.main(verbosity=1)
