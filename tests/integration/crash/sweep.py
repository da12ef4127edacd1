#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sweep.py start-stop|reboot|commit|pair FAULT: repeat the scenario with FAULT at the nth request, for each n.

commit is that of a transaction, which adds a region to a guest that runs, and removes another. pair starts two
VMs that have one region, and stops them in either order.

FAULT is kill-manager or kill-runner (SIGKILL for whoever makes the nth request of a manager, or of
a runner, before it is done), the same with -after (it is done, but not answered), or fail (the nth
of anybody fails with EIO). A manager that died is replaced, as systemd would. After each point
nothing may be left: no VM, parcel, pin, grant, quarantine, state file, listener, nor a descriptor
or thread of the manager; how the VM ended has a reason; and another guest, which runs all the time,
has not noticed. After a commit the guest runs on, unless it is its runner that died, has what it had, or
what it was to have, and clients can open it.

GHVM_SWEEP_STEP: only every so many-eth point.
"""
import json
import os
import re
import sys

import world
from client import Client, Error
from world import NAME, ROOT, Refused, wait_until

SCRIPTS = {"start-stop": "print up\npowerkey\n", "reboot": "print up\nread\nreset\n",
           "commit": "print up\nmem-serve\n", "pair": "print up\npowerkey\n"}
POINTS_MIN = {"manager": 40, "anybody": 50, "runner": 6}
PAGE = 4096
HAD, WANTED, NEXT = 7, 8, 9
REGION = "regions: [{{label: 7, size: 8K, with: {}}}]\n"


class Sweep:
    points_min = POINTS_MIN

    def __init__(self, w, scenario, fault):
        self.w = w
        self.scenario = scenario
        self.fails = fault == "fail"
        self.whose = "manager" if self.fails else fault.split("-")[1]
        if self.fails and scenario in ("start-stop", "pair"):
            self.whose = "anybody"
        self.after = fault.endswith("-after")
        self.holds = {}
        self.ran = self.replaced = self.rebooted = 0
        self.born = "first"
        self.forgot = False
        # without a power key the guest is killed immediately
        extra = "" if scenario in ("start-stop", "pair") else "devices: [{power-key: {enabled: false}}]\n"
        if scenario == "commit":
            extra += "rm-rpc: true\n"
        if scenario == "pair":
            extra += REGION.format("mate")
        self.w.vm("key", SCRIPTS[scenario], lifecycle="stop-timeout: 2s", extra=extra)
        self.w.vm("other", "powerkey\n")
        self.other = self.w.unit("other")
        self.w.wait_state("other", "running")
        # its vCPU waits for the power key, and its runner looks after it now and then
        self.w.model_says(f"spare {self.other.pid}")
        self.quiet = self.w.leftovers()

    # --- state ---

    def arm(self, n):
        if self.fails:
            self.w.model_says(f"fail any EIO {n} {self.whose}")
        else:
            self.w.model_says(f"kill-client{'-after' if self.after else ''} {n} {self.whose}")

    def struck(self):
        try:
            self.w.model_says("no-fault")
        except AssertionError:
            return True
        return False

    def manager_is_dead(self):
        return self.w.manager.poll() is not None

    def over(self):
        return self.unit.poll() is not None

    def ups(self):
        try:
            return self.w.console_log("key").count("up") - self.ups_before
        except FileNotFoundError:
            return 0

    def running(self, name):
        return self.w.state(name) == "running"

    # --- reactions ---

    def revive(self, forget=False):
        """Remove the state files: a manager must work with the module's tags alone."""
        self.w.manager.wait()
        if forget:
            for name in os.listdir(self.w.path("run", "state")):
                os.unlink(self.w.path("run", "state", name))
        self.forgot = self.forgot or bool(forget)
        self.born = "forgetful" if self.forgot else "adopting"
        self.w.start_manager()
        self.replaced += 1

    def alive(self, what, n):
        """Wait for a condition; start another manager if this one dies."""
        wait_until(lambda: self.manager_is_dead() or what(), 20)
        if self.manager_is_dead():
            self.revive(forget=self.after and n % 2)
            wait_until(what, 20)

    def start(self, n):
        self.ups_before = 0
        self.ups_before = self.ups()
        if self.scenario == "start-stop":
            self.arm(n)
        self.unit = self.w.unit("key")
        self.alive(lambda: self.ups() or self.over(), n)

    def type_into(self, console):
        """The runner at the other end may be what the fault has ended, now or just before."""
        try:
            console.write(b"x")
        except (BrokenPipeError, ConnectionResetError):
            if self.whose == "manager":
                raise

    def reset(self, n):
        wait_until(lambda: self.running("key"), 20)
        console = self.w.console("key")
        self.arm(n)
        with console:
            self.type_into(console)
        self.alive(lambda: self.over() or (self.ups() == 2 and self.running("key")), n)
        if self.ups() == 2:
            self.rebooted += 1

    def stop(self, n):
        if self.ups():
            self.ran += 1
            wait_until(lambda: self.over() or self.running("key"), 20)
        if not self.over():
            self.unit.terminate()
        self.alive(self.over, n)

    def release(self, name="key"):
        """Retry with the next manager if this one dies."""
        p = self.w.spawn(world.program("daemon/prepare/gunyah-vm-prepare"), "--socket",
                         self.w.path("run", "prepare.sock"), "--release", name)
        wait_until(lambda: self.manager_is_dead() or p.poll() is not None, 20)
        if self.manager_is_dead():
            self.revive()
        assert p.wait(30) == 0
        if self.manager_is_dead():
            self.revive()

    def check_rm(self, n):
        """A single failed call, even on RM's queues, must not make RM unusable."""
        assert self.w.get(ROOT + "/host", "Host", "State") == "ok", f"point {n}: RM is given up"

    def retry_quarantine(self):
        """Memory in quarantine is listed with a reason, and is returned on request."""
        entries = self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0")[0]
        if not entries:
            return
        assert all(e[0] in ("key", "mate", "") and e[-1] for e in entries), entries
        self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")

    # --- checks ---

    def check_end(self, n, struck):
        if self.whose == "runner" and struck:
            assert self.unit.returncode == -9, self.unit.returncode
        reason, error = self.w.vm_get("key", "ExitReason", "LastError")
        if struck and self.w.manager.pid == self.pid:
            assert reason, f"point {n}: ended without a reason: {self.w.said('key')}"
            assert self.whose != "runner" or error or reason in ("off", "stopped"), reason

    def check_other(self):
        wait_until(lambda: self.running("other"), 20)
        state, leader = self.w.vm_get("other", "State", "LeaderPID")
        assert (state, leader) == ("running", self.other.pid), (state, leader)
        assert self.other.poll() is None

    def holding(self):
        """Number of file descriptors and threads; a sanitizer may start a thread of its own."""
        proc = f"/proc/{self.w.manager.pid}/"
        threads = 1 if world.SANITIZED else len(os.listdir(proc + "task"))
        return len(os.listdir(proc + "fd")), threads

    def check_left(self, n):
        try:
            wait_until(lambda: self.w.leftovers() == self.quiet, 15)
            for d in "state", "ctl":
                known = set() if d == "state" and self.forgot else {"other"}
                wait_until(lambda: set(os.listdir(self.w.path("run", d))) == known, 5)
            want = self.holds.setdefault(self.born, self.holding())
            wait_until(lambda: self.holding() == want, 5)
        except AssertionError:
            raise AssertionError(f"point {n} left something: {self.w.leftovers()}, not {self.quiet};"
                                 f" {self.holding()} descriptors and threads, {self.holds};"
                                 f" {os.listdir(self.w.path('run', 'state'))}") from None

    def check_all(self, n, struck):
        self.check_rm(n)
        self.retry_quarantine()
        self.check_other()
        self.check_end(n, struck)
        self.check_left(n)

    def point(self, n):
        self.pid = self.w.manager.pid
        self.start(n)
        if self.scenario == "reboot":
            self.reset(n)
        self.stop(n)
        self.release()
        struck = self.struck()
        self.check_all(n, struck)
        return struck

    def run(self, step):
        n = 1
        while self.point(n):
            n += step
        assert n > self.points_min[self.whose], f"only {n - 1} points"
        self.other.terminate()
        assert self.other.wait(20) == 0
        self.w.assert_clean()
        return (n - 1) // step

    def told(self, points):
        return (f"{points} points; the guest ran in {self.ran}, rebooted in {self.rebooted},"
                f" the manager was replaced {self.replaced} times")


def file_of(fd):
    """Closes it."""
    with open(fd, "rb") as f:
        return os.fstat(f.fileno()).st_ino


class CommitSweep(Sweep):
    """Remove the region HAD of the guest and add the region WANTED."""
    points_min = {"manager": 20, "runner": 1}

    def __init__(self, w, scenario, fault):
        super().__init__(w, scenario, fault)
        self.client = None
        self.files = {}  # the memory of regions by label, as AddFreshRegion gave it
        self.done = self.as_before = 0

    # --- the map ---

    def regions(self):
        """The state of each region by label, without RAM."""
        r = self.w.busctl("call", NAME, ROOT, "org.freedesktop.DBus.ObjectManager",
                          "GetManagedObjects")
        found = {}
        for path, interfaces in json.loads(r.stdout)["data"][0].items():
            region = interfaces.get(NAME + ".Region")
            if region and path.startswith(ROOT + "/vm/key/region/") and region["Label"]["data"]:
                found[region["Label"]["data"]] = region["State"]["data"]
        return found

    def wait_regions(self, n, *allowed):
        try:
            wait_until(lambda: self.over() or self.regions() in allowed, 10)
        except AssertionError:
            raise AssertionError(f"point {n}: it has {self.regions()}, not {allowed}") from None

    @staticmethod
    def must_end(ended, text):
        try:
            wait_until(ended, 5)
        except AssertionError:
            raise AssertionError(text) from None

    # --- transactions ---

    def transaction(self, add, remove):
        t = self.client.call(ROOT + "/vm/key", "VM", "BeginTransaction", ("a{sv}", {}),
                             returns="o")
        options = {"label": ("u", add), "size": ("t", PAGE),
                   "address": ("t", 0x50000000 + add * PAGE)}
        self.files[add] = file_of(self.client.call(t, "Transaction", "AddFreshRegion",
                                                   ("a{sv}", options), returns="h"))
        if remove:
            self.client.call(t, "Transaction", "RemoveRegion", ("u", remove), ("a{sv}", {}))
        return t

    def commit(self, t):
        return self.client.call(t, "Transaction", "Commit",
                                ("a{sv}", {"timeout": ("u", 2000)}), returns="o")

    def must_commit(self, n, add, remove):
        """Everything works as if nothing had failed."""
        result = self.w.wait_job(self.commit(self.transaction(add, remove)))
        assert result == ["done", "", ""], f"point {n}: {result}"
        self.wait_regions(n, {add: "mapped"})

    def over_or_done(self, job):
        try:
            return self.over() or self.w.get(job, "Job", "State") == "done"
        except Refused:
            return self.manager_is_dead()

    def disturbed(self, n):
        """Returns the result of the job; None: the manager has died."""
        t = self.transaction(WANTED, HAD)
        self.arm(n)
        try:
            job = self.commit(t)
            wait_until(lambda: self.manager_is_dead() or self.over_or_done(job), 20)
            return self.w.get(job, "Job", "Result", "Error")
        except (Error, Refused) as e:
            # a killed process leaves the bus before wait() returns
            self.must_end(lambda: self.manager_is_dead() or self.over(), f"point {n}: {e}")
            return None

    # --- checks ---

    def opened(self, label):
        """None as long as a new manager has not got it from the runner."""
        try:
            return file_of(self.client.call(f"{ROOT}/vm/key/region/{label}", "Region",
                                            "Open", ("a{sv}", {}), returns="h"))
        except Error as e:
            if e.name != "Busy":
                raise
            return None

    def check_memory(self, n, label):
        """Whatever has died, clients can open the region, and it is its own memory."""
        got = wait_until(lambda: self.over() or self.opened(label))
        assert self.over() or got == self.files[label], f"point {n}: {got}, {self.files}"

    def check_job(self, n, said):
        """Returns the region of the guest, if it has exactly one."""
        kept = [int(label) for label in re.findall(r"region (\d+) could not", said[1])]
        if said[0] == "done":
            self.wait_regions(n, {WANTED: "mapped"}, {WANTED: "mapped", HAD: "removing"})
            self.done += 1
            return WANTED if len(self.regions()) == 1 else None
        if kept:
            assert self.over() or not set(self.regions()) ^ {HAD} ^ set(kept), (n, said)
            return None
        self.wait_regions(n, {HAD: "mapped"})
        self.as_before += 1
        return HAD

    def check_adopted(self, n):
        """The result is unknown, but the commit is done as a whole or not at all."""
        wait_until(lambda: self.running("key"), 20)
        has = list(self.regions())
        assert has in ([HAD], [WANTED]), f"point {n}: it has {has}"
        self.done += has == [WANTED]
        self.as_before += has == [HAD]
        return has[0]

    def check_guest(self, n, has):
        """RM and the module agree, and the memory can be changed again."""
        want = dict(self.quiet, vms=2, parcels=3, pins=3, grants=2, shared_pages=1,
                    lent_pages=2 * self.quiet["lent_pages"])
        assert self.w.leftovers() == want, f"point {n}: {self.w.leftovers()}, not {want}"
        self.check_memory(n, has)
        self.must_commit(n, NEXT, has)

    def settle(self, n, said):
        if self.manager_is_dead():
            self.revive(forget=self.after and n % 2)
            has = None if self.over() else self.check_adopted(n)
            # without the state file the manager does not know that the guest has rm-rpc
            return None if self.after and n % 2 else has
        return self.check_job(n, said) if said and not self.over() else None

    def point(self, n):
        self.pid = self.w.manager.pid
        self.start(n)
        wait_until(lambda: self.running("key"), 20)
        self.client = Client(self.w.bus)
        self.must_commit(n, HAD, None)
        has = self.settle(n, self.disturbed(n))
        struck = self.struck()
        if struck and self.whose == "runner":
            wait_until(self.over, 20)  # a killed process may not have exited yet
            has = None
        self.client.close()
        if self.manager_is_dead():  # killed at its last request
            has = self.settle(n, None)
        self.client = Client(self.w.bus)
        if has:
            self.check_guest(n, has)
        elif self.whose == "manager":
            assert not self.over(), f"point {n}: the guest has ended"
            for label, state in self.regions().items():
                if state != "removing":
                    self.check_memory(n, label)
        self.client.close()
        self.stop(n)
        self.release()
        self.check_all(n, struck)
        return struck

    def told(self, points):
        return (f"{points} points; all was done in {self.done}, all as before in {self.as_before},"
                f" the manager was replaced {self.replaced} times")


class PairSweep(Sweep):
    """Start two VMs that have one region, and stop them, in turn one or the other first."""
    points_min = {"manager": 100, "anybody": 110, "runner": 12}

    def __init__(self, w, scenario, fault):
        super().__init__(w, scenario, fault)
        w.vm("mate", SCRIPTS["pair"], lifecycle="stop-timeout: 2s", extra=REGION.format("key"))
        self.both = 0

    def begin(self, name, n):
        unit = self.w.unit(name)
        self.alive(lambda: unit.poll() is not None or self.running(name), n)
        return unit

    def end(self, name, unit, n):
        if unit.poll() is None:
            unit.terminate()
        self.alive(lambda: unit.poll() is not None, n)
        self.release(name)

    def replace_late(self, struck):
        """A manager that died after the last answer, as it gave back what the other VM had kept."""
        if struck and not self.fails and self.whose == "manager" and self.w.manager.pid == self.pid:
            wait_until(self.manager_is_dead)
            self.revive()

    def point(self, n):
        self.pid = self.w.manager.pid
        self.arm(n)
        units = {name: self.begin(name, n) for name in ("key", "mate")}
        self.both += all(unit.poll() is None for unit in units.values())
        for name in ("key", "mate") if n // 2 % 2 else ("mate", "key"):
            self.end(name, units[name], n)
        struck = self.struck()
        self.replace_late(struck)
        self.check_rm(n)
        self.retry_quarantine()
        self.check_other()
        self.check_left(n)
        return struck

    def told(self, points):
        return (f"{points} points; both guests ran in {self.both},"
                f" the manager was replaced {self.replaced} times")


def main():
    scenario, fault = sys.argv[1:]
    world.alarm(600)
    w = world.World(model=("--delay=1",))
    try:
        sweep = {"commit": CommitSweep, "pair": PairSweep}.get(scenario, Sweep)(w, scenario, fault)
        step = int(os.environ.get("GHVM_SWEEP_STEP", "1"))
        points = sweep.run(max(step, 5) if scenario == "pair" else step)
    except BaseException:
        print(w.log()[-4000:], file=sys.stderr)
        for name in "key", "mate", "other":
            print(w.said(name)[-1000:], file=sys.stderr)
        raise
    finally:
        w.close()
    print(f"{scenario}, {fault}: {sweep.told(points)}")


if __name__ == "__main__":
    main()
