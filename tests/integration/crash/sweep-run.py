#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sweep-run.py FAULT: as sweep.py, for a transient VM, with a systemd that tries its start again.

FAULT is fail, kill-manager, kill-runner, or one of the latter with -after. Only each third point is visited, so that
both kinds of successors come, with state files and without; GHVM_SWEEP_STEP=1 visits all: some 130 of a manager, 20 of
a runner. Requests that fail are those of the manager, and each fifth of them does. After each point the VM runs, or it never was: then its
unit has failed for good, and nothing is left of it. One that runs is reset. It comes back in place, or by a start
of its unit with the files that manager or runner have, if something fails or dies meanwhile.
"""
import os
import sys

import sent
import sweep
import world
from client import Client, Error
from world import ROOT, Refused, wait_until

SPEC = sent.SPEC + "lifecycle: {stop-timeout: 2s}\n"


class RunSweep(sweep.Sweep):
    def __init__(self, w, fault):
        super().__init__(w, "reboot", fault)
        os.unlink(w.path("vms", "key.yaml"))
        self.w.manager.send_signal(1)
        wait_until(lambda: self.w.state("key") is None)
        w.start_stand_in(tries=3, pause_ms=100)
        self.files = [("kernel", sent.sealed(world.image(sweep.SCRIPTS["reboot"])))]
        self.spec = sent.sealed(SPEC.encode())
        self.never = self.anew = 0

    def over(self):
        """Neither a VM nor a unit that makes one. Without a manager the release of a unit waits."""
        return self.w.unit_state("key") in ("failed", "inactive") and \
            not self.manager_is_dead() and self.w.state("key") is None

    def revive(self, forget=False):
        super().revive(forget)
        self.lost = self.lost or bool(forget)

    def start(self, n):
        self.ups_before = 0
        self.ups_before = self.ups()
        self.arm(n)
        client = Client(self.w.bus)
        try:
            client.call(ROOT, "Manager", "RunVM", ("s", "key"), ("h", self.spec),
                        ("a{sh}", self.files), ("a{sv}", {}), returns="o")
        except Error as e:  # a killed process leaves the bus before wait() returns
            self.must_be_dead(n, e)
        finally:
            client.close()
        self.alive(lambda: self.over() or (self.ups() and self.running("key")), n)

    def must_be_dead(self, n, why):
        """Without a manager that was killed the call has no reason to fail."""
        try:
            wait_until(self.manager_is_dead, 5)
        except AssertionError:
            raise AssertionError(f"point {n}: {why}") from None

    def reset(self, n):
        """The guest resets itself when it is typed to."""
        if self.lost:  # without the state file it is started anew, or not at all
            return
        pid, before = self.w.vm_get("key", "LeaderPID"), self.ups()
        with self.w.console("key") as console:
            self.type_into(console)
        self.alive(lambda: self.over() or (self.ups() > before and self.running("key")), n)
        if self.lost:
            return
        assert self.ups() > before, f"point {n}: it has not rebooted"
        self.rebooted += self.w.vm_get("key", "LeaderPID") == pid
        self.anew += self.w.vm_get("key", "LeaderPID") != pid

    def stop(self, n):
        while not self.over():
            try:
                self.w.stop("key", "force")
            except Refused:
                pass  # it is stopped already, or the manager died
            self.alive(lambda: self.over() or not self.running("key"), n)

    def check_end(self, n, struck):
        pass  # its object has gone

    def point(self, n):
        self.pid = self.w.manager.pid
        self.lost = False
        self.start(n)
        if self.over():
            self.never += 1
        else:
            self.ran += 1
            self.reset(n)
        self.stop(n)
        struck = self.struck()
        self.check_all(n, struck)
        return struck

    def told(self, points):
        return f"{points} points; the guest ran in {self.ran}, never was in {self.never}," \
               f" rebooted in place in {self.rebooted} and anew in {self.anew}, the manager was replaced {self.replaced} times"


def main():
    fault = sys.argv[1]
    world.alarm(600)
    w = world.World(model=("--delay=1",))
    try:
        s = RunSweep(w, fault)
        points = s.run(int(os.environ.get("GHVM_SWEEP_STEP", 5 if s.fails else 3)))
        assert s.rebooted, s.told(points)
        assert s.never or not fault.startswith("kill-manager"), s.told(points)
        assert s.anew or not fault.startswith("kill-runner"), s.told(points)
    except BaseException:
        print(w.log()[-4000:], file=sys.stderr)
        raise
    finally:
        w.close()
    print(f"run, {fault}: {s.told(points)}")


if __name__ == "__main__":
    main()
