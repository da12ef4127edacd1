#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sweep.py start-stop|reboot FAULT: that, with FAULT at the nth request, for every n.

FAULT is kill-manager or kill-runner (SIGKILL for whoever makes the nth request of a manager, or of
a runner, before it is done), the same with -after (it is done, but not answered), or fail (the nth
of anybody fails with EIO). A manager that died is replaced, as systemd would. After each point
nothing may be left: no VM, parcel, pin, grant, quarantine, state file, listener, nor a descriptor
or thread of the manager; how the VM ended has a reason; and another guest, which runs all the time,
has not noticed.

GHVM_SWEEP_STEP: only every so many-eth point.
"""
import os
import sys

import world
from world import ROOT, Refused, wait_until

SCRIPTS = {"start-stop": "print up\npowerkey\n", "reboot": "print up\nread\nreset\n"}
POINTS_MIN = {"manager": 40, "anybody": 50, "runner": 6}


class Sweep:
    def __init__(self, scenario, fault):
        self.scenario = scenario
        self.fails = fault == "fail"
        self.whose = "manager" if self.fails else fault.split("-")[1]
        if self.fails and scenario == "start-stop":
            self.whose = "anybody"
        self.after = fault.endswith("-after")
        self.w = world.World(model=("--delay=1",))
        self.holds = {}
        self.ran = self.replaced = self.rebooted = 0
        self.born = "first"
        self.forgot = False
        # without power keys a stop is by force, and at once
        extra = "devices: [{power-key: {enabled: false}}]\n" if scenario == "reboot" else ""
        self.w.vm("key", SCRIPTS[scenario], lifecycle="stop-timeout: 2s", extra=extra)
        self.w.vm("other", "powerkey\n")
        self.other = self.w.unit("other")
        self.w.wait_state("other", "running")
        self.quiet = self.w.leftovers()

    # --- what has happened ---

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
        try:
            return self.w.vm_get(name, "State", "LeaderPID")[0] == "running"
        except Refused:
            return False

    # --- what is done about it ---

    def revive(self, forget=False):
        """Without its state files a manager has only the module's tags, and must do as well."""
        self.w.manager.wait()
        if forget:
            for name in os.listdir(self.w.path("run", "state")):
                os.unlink(self.w.path("run", "state", name))
        self.forgot = self.forgot or bool(forget)
        self.born = "forgetful" if self.forgot else "adopting"
        self.w.start_manager()
        self.replaced += 1

    def alive(self, what, n):
        """Wait for something, with another manager if this one dies."""
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

    def reset(self, n):
        wait_until(lambda: self.running("key"), 20)
        _, path = self.w.vm_call("key", "OpenConsole", "a{sv}", "0")
        self.arm(n)
        with open(path, "r+b", buffering=0, opener=world.no_controlling_terminal) as pty:
            pty.write(b"x")
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

    def release(self):
        """It asks again if its manager dies, and the next one answers."""
        p = self.w.spawn(world.program("daemon/prepare/gunyah-vm-prepare"), "--socket",
                         self.w.path("run", "prepare.sock"), "--release", "key")
        wait_until(lambda: self.manager_is_dead() or p.poll() is not None, 20)
        if self.manager_is_dead():
            self.revive()
        assert p.wait(30) == 0
        if self.manager_is_dead():
            self.revive()

    def check_rm(self, n):
        """One call that fails, be it on RM's queues, does not cost the host its RM."""
        assert self.w.get(ROOT + "/host", "Host", "State") == "ok", f"point {n}: RM is given up"

    def retry_quarantine(self):
        """What could not be given back is listed with a reason, and comes back when asked for."""
        entries = self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0")[0]
        if not entries:
            return
        assert all(e[0] in ("key", "") and e[-1] for e in entries), entries
        self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")

    # --- what must be true ---

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
        proc = f"/proc/{self.w.manager.pid}/"
        return len(os.listdir(proc + "fd")), len(os.listdir(proc + "task"))

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

    def point(self, n):
        self.pid = self.w.manager.pid
        self.start(n)
        if self.scenario == "reboot":
            self.reset(n)
        self.stop(n)
        self.release()
        struck = self.struck()
        self.check_rm(n)
        self.retry_quarantine()
        self.check_other()
        self.check_end(n, struck)
        self.check_left(n)
        return struck

    def run(self, step):
        n = 1
        while self.point(n):
            n += step
        assert n > POINTS_MIN[self.whose], f"only {n - 1} points"
        self.other.terminate()
        assert self.other.wait(20) == 0
        self.w.assert_clean()
        return (n - 1) // step


def main():
    scenario, fault = sys.argv[1:]
    world.alarm(600)
    sweep = Sweep(scenario, fault)
    try:
        points = sweep.run(int(os.environ.get("GHVM_SWEEP_STEP", "1")))
    except BaseException:
        print(sweep.w.log()[-4000:], file=sys.stderr)
        print(sweep.w.said("key")[-1000:], file=sys.stderr)
        raise
    finally:
        sweep.w.close()
    print(f"{scenario}, {fault}: {points} points; the guest ran in {sweep.ran},"
          f" rebooted in {sweep.rebooted}, the manager was replaced {sweep.replaced} times")


if __name__ == "__main__":
    main()
