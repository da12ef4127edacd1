#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that is added and removed while a guest runs: transactions and regions on the bus."""
import fcntl
import json
import mmap
import os
import subprocess
import threading
import time
import unittest

import world
from client import Client, Error
from regions import AT, MIB, NOTHING, PAGE, Case, Transaction, place, sealed
from world import NAME, ROOT, Refused, wait_until


class Errors(Case):
    """Each error once; none changes the guest's memory."""

    def test_who_takes_none(self):
        c = self.client()
        unit = self.running("plain", extra="")
        self.assert_error("UnsupportedByRM", self.begin, c, "plain")
        self.w.vm("demo", "off\n", extra="rm-rpc: true\n")
        self.w.call(ROOT, "Manager", "GetVM", "s", "demo")
        self.assert_error("BadState", self.begin, c)
        self.end(unit, "plain")

    def test_options(self):
        unit, c = self.running(), self.client()
        for options in ({"timeout": ("u", 0)}, {"timeout": ("u", 600001)},
                        {"timeout": ("s", "soon")}, {"colour": ("s", "blue")}):
            self.assert_error("InvalidArgs", c.call, ROOT + "/vm/demo", "VM", "BeginTransaction",
                              ("a{sv}", options), returns="o")
        t = self.begin(c)
        for missing in ("label", "address", "size"):
            _, options = place(7)
            del options[missing]
            text = self.assert_error("InvalidArgs", t.call, "AddFreshRegion", ("a{sv}", options),
                                     returns="h")
            self.assertIn(missing, text)
        for options in ({"colour": ("s", "blue")}, {"label": ("t", 7)}):
            self.assert_error("InvalidArgs", t.call, "AddFreshRegion", ("a{sv}", options),
                              returns="h")
        self.assert_error("InvalidArgs", t.commit, 0)
        self.assert_error("InvalidArgs", t.commit, 20001)
        self.assert_error("InvalidArgs", t.call, "Rollback", ("a{sv}", {"x": ("s", "")}))
        t.rollback()
        self.end(unit)

    def test_places(self):
        unit, c = self.running(), self.client()
        t = self.begin(c)
        fd = sealed(4 * PAGE)
        t.add(fd, 7, size=2 * PAGE)
        cases = (
            ("LabelInUse", dict(label=7, address=AT + MIB)),
            ("LabelInUse", dict(label=0, address=AT + MIB)),
            ("RegionOverlap", dict(label=8, address=AT + PAGE)),
            ("RegionOverlap", dict(label=8, address=0x80000000)),
            ("Misaligned", dict(label=8, address=AT + MIB + 1)),
            ("Misaligned", dict(label=8, address=AT + MIB, size=PAGE + 1)),
            ("Misaligned", dict(label=8, address=AT + MIB, size=0)),
            ("InvalidArgs", dict(label=8, address=(1 << 64) - PAGE, size=2 * PAGE)),
            ("InvalidArgs", dict(label=8, address=0x10000000)),
            ("InvalidArgs", dict(label=0xfffffffe, address=AT + MIB)),
            ("QuotaExceeded", dict(label=8, address=AT + MIB, size=5 * PAGE)),
        )
        for name, what in cases:
            with self.subTest(name=name, **what):
                self.assert_error(name, t.add, fd, **what)
        self.assert_error("NoSuchRegion", t.remove, 8)
        self.assert_error("Busy", t.remove, 7)  # it is being added
        self.assert_error("InvalidArgs", t.remove, 0)  # RAM cannot be removed
        self.assertEqual([r["label"] for r in t.plan()["add"]], [7])
        os.close(fd)
        t.rollback()
        self.assertEqual(list(self.regions()), [0])
        self.end(unit)

    def test_too_much(self):
        unit, c = self.running(), self.client()
        t = self.begin(c)
        text = self.assert_error("QuotaExceeded", t.fresh, 7, size=1 << 45)
        self.assertIn(str(1 << 45), text)
        for label in range(1, 17):
            os.close(t.fresh(label, AT + label * MIB))
        self.assert_error("QuotaExceeded", t.fresh, 17, AT + 17 * MIB)
        t.rollback()
        self.end(unit)

    def test_files_that_are_no_memory(self):
        unit, c = self.running(), self.client()
        t = self.begin(c)
        r, w = os.pipe()
        path = self.w.path("file")
        with open(path, "wb") as f:
            f.truncate(MIB)
        bad = {"pipe": r, "file": os.open(path, os.O_RDWR), "null": os.open("/dev/null", os.O_RDWR),
               "unsealed": sealed(MIB, 0), "growing": sealed(MIB, fcntl.F_SEAL_SHRINK),
               "shrinking": sealed(MIB, fcntl.F_SEAL_GROW)}
        fds = self.manager_fds()
        for _ in range(17):
            for name, fd in bad.items():
                with self.subTest(name):
                    self.assert_error("InvalidArgs", t.add, fd, 7)
        for _ in range(5):
            self.assert_error("QuotaExceeded", t.add, bad["unsealed"], 7, size=1 << 45)
        wait_until(lambda: self.manager_fds() == fds)  # the file descriptors are closed after the reply
        for fd in (w, *bad.values()):
            os.close(fd)
        self.assertEqual(t.plan()["add"], [])
        t.rollback()
        self.end(unit)

    def manager_fds(self):
        return len(os.listdir(f"/proc/{self.w.manager.pid}/fd"))

    def test_rm_refuses(self):
        unit, c = self.running(), self.client()
        fds = self.manager_fds()
        for message in ("MEM_SHARE", "MEM_NOTIFY"):
            with self.subTest(message):
                t = self.begin(c)
                os.close(t.fresh(7))
                self.w.model_says(f"refuse {message} 11")
                result, text, name = self.w.wait_job(t.commit())
                self.assertEqual((result, name), ("failed", NAME + ".Error.RmRejected"))
                self.assertIn(message, text)
                self.assertEqual(self.w.get(t.path, "Transaction", "State"), "failed")
                self.assertEqual(list(self.regions()), [0])
                self.assert_error("BadState", t.commit)
        self.assertEqual(self.w.vm_get("demo", "State", "MemoryShared"), ["running", 0])
        wait_until(lambda: self.manager_fds() == fds)  # the file descriptors are closed after the reply
        self.end(unit)

    def test_it_cannot_be_pinned(self):
        unit, c = self.running(), self.client()
        t = self.begin(c)
        os.close(t.fresh(7))
        self.w.model_says("fail pin ENOMEM")
        self.assertEqual(self.w.wait_job(t.commit())[2], NAME + ".Error.PinFailed")
        self.assertEqual(list(self.regions()), [0])
        self.end(unit)


class Lives(Case):
    """How a transaction ends, and which client may end it."""

    def test_states(self):
        unit, c = self.running(), self.client()
        before = time.time()
        t = self.begin(c, ms=20000)
        vm, state, expires = self.w.get(t.path, "Transaction", "VM", "State", "Expires")
        self.assertEqual((vm, state), (ROOT + "/vm/demo", "open"))
        self.assertTrue(before + 19 < expires / 1e6 < time.time() + 21)
        os.close(t.fresh(7))
        self.assertEqual(list(self.regions()), [0])  # nothing before the commit
        self.done(t.commit())
        self.assertEqual(self.w.get(t.path, "Transaction", "State"), "committed")
        self.assertEqual(sorted(self.regions()), [0, 7])
        self.assert_error("BadState", t.rollback)
        again = self.begin(c)
        again.rollback()
        self.assertEqual(self.w.get(again.path, "Transaction", "State"), "rolled-back")
        self.end(unit)
        with self.assertRaisesRegex(Refused, "no such transaction"):
            self.w.get(t.path, "Transaction", "State")

    def test_one_at_a_time(self):
        unit, c, d = self.running(), self.client(), self.client()
        t = self.begin(c)
        self.assert_error("TransactionConflict", self.begin, c)
        self.assert_error("TransactionConflict", self.begin, d)
        t.rollback()
        self.begin(d)
        self.end(unit)

    def test_it_is_nobody_elses(self):
        unit, c, d = self.running(), self.client(), self.client()
        t = self.begin(c)
        theirs = Transaction(d, t.path)
        for call in (lambda: theirs.fresh(7), theirs.plan, theirs.commit, theirs.rollback,
                     lambda: theirs.remove(7)):
            self.assert_error("NotAuthorized", call)
        t.rollback()
        self.end(unit)

    def test_its_time_is_over(self):
        unit, c = self.running(), self.client()
        t = self.begin(c, ms=100)
        os.close(t.fresh(7))
        wait_until(lambda: self.w.get(t.path, "Transaction", "State") == "rolled-back")
        for call in (lambda: t.fresh(8), t.plan, t.commit, t.rollback, lambda: t.remove(7)):
            self.assert_error("TransactionExpired", call)
        os.close(self.begin(c).fresh(7))  # the label is free
        self.end(unit)

    def test_its_client_leaves(self):
        unit, c, d = self.running(), self.client(), self.client()
        t = self.begin(c, ms=600000)
        os.close(t.fresh(7))
        c.close()
        wait_until(lambda: self.w.get(t.path, "Transaction", "State") == "rolled-back")
        os.close(self.begin(d).fresh(7))
        self.end(unit)

    def test_its_client_leaves_at_once(self):
        unit, c = self.running(), self.client()
        for _ in range(20):
            d = self.client()
            d.send(ROOT + "/vm/demo", "VM", "BeginTransaction", ("a{sv}", {"timeout": ("u", 600000)}))
            d.close()

        def free():
            try:
                return self.begin(c)
            except Error as e:
                self.assertEqual(e.name, "TransactionConflict")
                return None

        wait_until(free)
        self.end(unit)

    def test_its_client_leaves_during_the_commit(self):
        unit, c = self.running(), self.client()
        t = self.begin(c)
        os.close(t.fresh(7))
        self.w.model_says("hold on")
        job = t.commit()
        c.close()
        self.assertEqual(self.w.get(t.path, "Transaction", "State"), "committing")
        self.w.model_says("hold off")
        self.done(job)
        self.assertEqual(sorted(self.regions()), [0, 7])
        self.end(unit)

    def test_its_guest_ends(self):
        unit, c = self.running(), self.client()
        t = self.begin(c)
        os.close(t.fresh(7))
        self.end(unit)
        self.assert_error("NoSuchTransaction", t.commit)

    def test_unknown_numbers(self):
        unit, c = self.running(), self.client()
        self.begin(c)
        for path in ("demo/transaction/1", "demo/transaction/x", "nobody/transaction/1"):
            self.assert_error("NoSuchTransaction",
                              Transaction(c, f"{ROOT}/vm/{path}").rollback)
        self.end(unit)

    def test_a_stop_waits_for_the_commit(self):
        unit, c = self.running(), self.client()
        t = self.begin(c)
        os.close(t.fresh(7))
        self.w.model_says("hold on")
        commit = t.commit()
        self.assert_error("TransactionConflict", self.begin, c)
        stop = self.w.stop("demo", "force")
        self.assertEqual(self.w.get(commit, "Job", "Kind", "State"), ["commit", "running"])
        self.w.model_says("hold off")
        self.w.wait_job(commit)
        self.assertEqual(self.w.wait_job(stop), ["done", "", ""])
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()
        self.assertEqual(self.regions(), {})

    def can_begin(self, name):
        try:
            return self.begin(self.client(), name)
        except Error as e:
            self.assertEqual(e.name, "TransactionConflict")
            return None

    @unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
    def test_a_user_has_not_many(self):
        self.w.start_stand_in()  # says yes
        names = [f"g{i}" for i in range(9)]
        units = [self.running(name) for name in names]
        clients = [Client(self.w.bus, uid=65534) for _ in names]
        for c, name in zip(clients[:8], names[:8]):
            self.begin(c, name)
        text = self.assert_error("QuotaExceeded", self.begin, clients[8], names[8])
        self.assertIn("wait until one ends", text)
        clients[8].call(ROOT + "/vm/g8", "VM", "Stop", ("s", "graceful"), NOTHING, returns="o")
        self.assertEqual(units[8].wait(20), 0)
        self.assert_error("BadState", self.begin, self.client(), names[8])
        clients[0].close()
        wait_until(lambda: self.can_begin(names[0]))  # possible for root, once the other transaction is rolled back
        for name in names[:8]:
            self.w.stop(name, "force")
        for unit, c in zip(units, clients):
            self.assertEqual(unit.wait(20), 0)
            c.close()
        self.w.assert_clean()


class Guests(Case):
    """Guests that map memory, and release it or do not."""
    script = "mem-serve\n"

    def states(self):
        return {label: r["State"] for label, r in self.regions().items()}

    def mapped(self, label):
        wait_until(lambda: self.states().get(label) == "mapped")

    def commit(self, client, *changes, ms=None):
        """changes: a label to remove, or (label, address, size) to add. Returns the result of the job."""
        t = self.begin(client)
        for change in changes:
            if isinstance(change, int):
                t.remove(change)
            else:
                os.close(t.fresh(*change))
        return self.w.wait_job(t.commit(ms), 40)

    def talk(self, memory):
        """Send a line to the guest and read one back."""
        with mmap.mmap(memory, PAGE) as m:
            m[0:4] = (4660).to_bytes(4, "little")
            wait_until(lambda: int.from_bytes(m[4:8], "little") == 22136)

    def test_it_is_the_same_memory(self):
        for fresh in (True, False):
            with self.subTest(fresh=fresh):
                unit, c = self.running(script=f"mem-accept 7\nmem-await {AT} 4660\n"
                                       f"mem-write {AT + 4} 22136\nmem-serve\n"), self.client()
                t = self.begin(c)
                if fresh:
                    fd = t.fresh(7)
                else:
                    fd = sealed(PAGE)
                    t.add(fd, 7)
                self.done(t.commit())
                self.mapped(7)
                self.talk(fd)
                self.assertEqual(self.w.vm_get("demo", "MemoryShared"), PAGE)
                self.assertEqual(self.commit(c, 7), ["done", "", ""])
                self.assertEqual(self.states(), {0: "mapped"})
                self.assertEqual(self.w.vm_get("demo", "MemoryShared"), 0)
                os.close(fd)
                self.end(unit)

    def test_what_is_inside_before_the_commit(self):
        unit, c = self.running(script=f"mem-accept 7\nmem-await {AT} 4660\nprint seen\n"
                               "mem-serve\n"), self.client()
        t = self.begin(c)
        fd = t.fresh(7, readonly=True)
        os.pwrite(fd, (4660).to_bytes(4, "little"), 0)
        os.close(fd)
        self.done(t.commit())
        wait_until(lambda: "seen" in self.w.console_log("demo"))
        self.assertEqual(self.regions()[7]["Access"], "r")
        self.end(unit)

    def test_what_it_may_only_read(self):
        unit, c = self.running(script=f"mem-accept 7\nmem-write {AT} 1\nforever\n"), self.client()
        t = self.begin(c)
        os.close(t.fresh(7, readonly=True))
        t.commit()
        self.assertEqual(unit.wait(20), 134)  # the guest has crashed
        self.w.assert_clean()

    def test_a_region_that_has_not_been_taken(self):
        unit, c = self.running(script="powerkey\n"), self.client()
        self.assertEqual(self.commit(c, (7, AT, PAGE)), ["done", "", ""])
        self.assertEqual(self.states(), {0: "mapped", 7: "offered"})
        self.assertEqual(self.commit(c, 7), ["done", "", ""])  # the guest has never mapped it
        self.assertEqual(self.states(), {0: "mapped"})
        self.end(unit)

    def test_one_that_keeps_what_it_has(self):
        unit, c = self.running(script="mem-keep\n"), self.client()
        self.assertEqual(self.commit(c, (7, AT, PAGE)), ["done", "", ""])
        self.mapped(7)
        before = self.regions()
        result, text, name = self.commit(c, 7, (8, AT + MIB, PAGE), ms=300)
        self.assertEqual((result, name), ("failed", NAME + ".Error.TimedOut"))
        self.assertIn("region 7", text)
        self.mapped(7)
        self.assertEqual(self.regions(), before)  # all or nothing
        self.assertEqual(self.w.vm_get("demo", "MemoryShared"), PAGE)
        self.end(unit)

    def test_many_at_once(self):
        unit, c = self.running(), self.client()
        self.assertEqual(self.commit(c, *((n, AT + n * MIB, MIB) for n in range(1, 17))),
                         ["done", "", ""])
        wait_until(lambda: list(self.states().values()) == ["mapped"] * 17)
        self.assertEqual(self.w.vm_get("demo", "MemoryShared"), 16 * MIB)
        self.assertEqual(self.commit(c, *range(1, 9), (17, AT + 20 * MIB, MIB)), ["done", "", ""])
        wait_until(lambda: sorted(self.states()) == [0, *range(9, 18)])
        self.end(unit)

    def test_an_end_while_it_is_waited_for(self):
        unit, c = self.running(script="mem-accept 7\nread\noff\n"), self.client()
        self.assertEqual(self.commit(c, (7, AT, PAGE)), ["done", "", ""])
        self.mapped(7)
        t = self.begin(c)
        t.remove(7)
        self.assertEqual(self.states()[7], "removing")
        job = t.commit(20000)
        with self.w.console("demo") as console:
            console.write(b"x")
            self.assertEqual(unit.wait(15), 0)  # before the 20 s are up
        self.assertEqual(self.w.wait_job(job)[0], "failed")
        self.w.assert_clean()

    def test_a_manager_that_comes_back(self):
        unit, c = self.running(), self.client()
        self.assertEqual(self.commit(c, (7, AT, PAGE)), ["done", "", ""])
        self.mapped(7)
        t = self.begin(c)
        os.close(t.fresh(8, AT + MIB))
        self.w.kill_manager()
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        self.assert_error("NoSuchTransaction", t.commit)
        now = self.regions()
        self.assertEqual(sorted(now), [0, 7])
        self.assertEqual((now[7]["GuestAddress"], now[7]["Size"], now[7]["Kind"],
                          now[7]["AddedAtRuntime"]), (AT, PAGE, "shared", True))
        wait_until(lambda: self.w.vm_get("demo", "LeaderPID"))
        self.end(unit)

    def test_a_manager_that_dies_during_the_commit(self):
        for hold in (True, False):
            with self.subTest(hold=hold):
                unit, c = self.running(), self.client()
                t = self.begin(c)
                os.close(t.fresh(7))
                if hold:
                    self.w.model_says("hold on")
                t.commit()
                self.w.kill_manager()
                self.w.model_says("hold off")
                self.w.start_manager()
                self.w.wait_state("demo", "running")
                wait_until(lambda: self.w.vm_get("demo", "LeaderPID"))
                self.assertEqual(sorted(self.regions())[0], 0)
                self.end(unit)


class Race(Case):
    """Many clients make the same requests at the same time."""
    script = "mem-serve\n"
    CLIENTS = 6
    ROUNDS = 15

    def attempt(self, client, change, results):
        t = None
        try:
            t = self.begin(client)
            change(t)
            results.append(self.w.wait_job(t.commit())[0])
        except Error as e:
            results.append(e.name)
            if t:
                t.rollback()

    def all_at_once(self, clients, change):
        start, results = threading.Barrier(len(clients)), []

        def one(client):
            start.wait()
            self.attempt(client, change, results)

        threads = [threading.Thread(target=one, args=(c,)) for c in clients]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sorted(results)

    def test_one_of_many_wins(self):
        unit, clients = self.running(), [self.client() for _ in range(self.CLIENTS)]
        told = {}
        for r in range(self.ROUNDS):
            changes = ((lambda t: os.close(t.fresh(7)), [0, 7], "LabelInUse"),
                       (lambda t: t.remove(7), [0], "NoSuchRegion"))
            for change, labels, other in changes:
                results = self.all_at_once(clients, change)
                self.assertEqual(len(results), self.CLIENTS)
                self.assertEqual(results.count("done"), 1, results)
                self.assertLessEqual(set(results), {"done", "TransactionConflict", other}, r)
                wait_until(lambda: {label: v["State"] for label, v in self.regions().items()} ==
                           dict.fromkeys(labels, "mapped"))
                for name in results:
                    told[name] = told.get(name, 0) + 1
        print(f"{self.CLIENTS} clients, {2 * self.ROUNDS} rounds: {told}")
        self.assertEqual(self.w.vm_get("demo", "MemoryShared"), 0)
        self.end(unit)


class Regions(Case):
    def test_what_was_there_at_the_start(self):
        unit = self.running(extra="rm-rpc: true\nregions:\n- {label: 5, kind: share, size: 1M, "
                            f"address: {AT}}}\n")
        self.assertEqual(self.regions(), {
            0: {"Label": 0, "GuestAddress": 0x80000000, "Size": 8 * MIB, "Access": "rw",
                "HostAccess": "none", "SharedWith": "", "Kind": "lent", "State": "mapped", "AddedAtRuntime": False},
            5: {"Label": 5, "GuestAddress": AT, "Size": MIB, "Access": "rw",
                "HostAccess": "rw", "SharedWith": "", "Kind": "shared", "State": "mapped",
                "AddedAtRuntime": False}})
        self.end(unit)

    def test_signals_come_in_order(self):
        monitor = self.w.monitor()
        unit, c = self.running(), self.client()
        t = self.begin(c)
        os.close(t.fresh(7, readonly=True))
        self.done(t.commit())
        self.end(unit)
        time.sleep(0.3)
        monitor.terminate()
        told = []
        for line in monitor.communicate()[0].splitlines():
            m = json.loads(line)
            if m.get("member") not in ("InterfacesAdded", "InterfacesRemoved"):
                continue
            data = m["payload"]["data"]
            if "/region/" in data[0]:
                told.append((m["member"], data[0].rsplit("/", 1)[1]))
        self.assertEqual(told[:2], [("InterfacesAdded", "0"), ("InterfacesAdded", "7")])
        self.assertEqual(sorted(told[2:]), [("InterfacesRemoved", "0"), ("InterfacesRemoved", "7")])


class Ctl(Case):
    """ghvmctl region."""
    script = "mem-serve\n"

    def ctl(self, *args):
        return subprocess.run([world.program("daemon/ctl/ghvmctl"), *args], capture_output=True,
                              text=True, check=False, timeout=40,
                              env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.w.bus})

    def good(self, *args):
        r = self.ctl(*args)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout

    def bad(self, status, text, *args):
        r = self.ctl(*args)
        self.assertEqual((r.returncode, r.stdout), (status, ""), r.stderr)
        self.assertIn(text, r.stderr)

    def test_add_list_remove(self):
        unit = self.running(script=f"mem-accept 7\nmem-await {AT} 4660\nprint seen\nmem-serve\n")
        path = self.w.path("content")
        with open(path, "wb") as f:
            f.write((4660).to_bytes(4, "little"))
        self.good("region", "add", "demo", "--label=7", f"--address=0{AT}", "--size=4K",
                  "--readonly", "--file=" + path)
        wait_until(lambda: "seen" in self.w.console_log("demo"))
        listed = json.loads(self.good("--json", "region", "list", "demo"))
        self.assertEqual(listed, [
            {"label": 7, "address": AT, "size": PAGE, "access": "r", "host_access": "rw",
             "shared_with": None, "kind": "shared",
             "state": "mapped", "added": True},
            {"label": 0, "address": 0x80000000, "size": 8 * MIB, "access": "rw", "host_access": "none",
             "shared_with": None, "kind": "lent",
             "state": "mapped", "added": False}])
        self.assertEqual(self.good("region", "list", "demo").splitlines()[1].split(),
                         ["7", "0x50000000", "4K", "r", "rw", "shared", "mapped", "-"])
        self.good("region", "remove", "demo", "--label=7")
        self.assertEqual(len(json.loads(self.good("--json", "region", "list", "demo"))), 1)
        self.end(unit)

    def test_what_goes_wrong(self):
        unit = self.running(script="mem-keep\n")
        where = ("--label=7", f"--address={AT}", "--size=4K")
        path = self.w.path("content")
        with open(path, "wb") as f:
            f.truncate(PAGE + 1)
        self.bad(3, "nobody", "region", "list", "nobody")
        self.bad(2, "not list, add, remove, dump or load", "region", "grow", "demo")
        self.bad(2, "--label", "region", "add", "demo", "--size=4K", f"--address={AT}")
        for size in ("", "4X", "-4K", "99999999999G", "0x", "16777216T"):
            self.bad(2, "--size", "region", "add", "demo", "--label=7", f"--address={AT}",
                     "--size=" + size)
        self.bad(1, "longer", "region", "add", "demo", *where, "--file=" + path)
        self.bad(1, "No such file", "region", "add", "demo", *where, "--file=/nonexistent")
        self.bad(1, "overlaps", "region", "add", "demo", "--label=7", "--address=0x80000000",
                 "--size=4K")
        self.bad(1, "region 7", "region", "remove", "demo", "--label=7")
        self.good("region", "add", "demo", *where)
        wait_until(lambda: self.regions()[7]["State"] == "mapped")
        self.bad(1, "has not given it up", "region", "remove", "demo", "--label=7")
        self.end(unit)


if __name__ == "__main__":
    unittest.main(verbosity=1)
