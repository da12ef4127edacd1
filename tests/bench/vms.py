# SPDX-License-Identifier: GPL-2.0-or-later
"""100 VMs through the real programs on ghvm-model: one after the other, and at once.

vms.py [--smoke]. Prints starts and stops a second, and what the manager has resident: it must not
grow from the 20th to the last start. What a start costs here is mostly the processes that a VM is
made of, and the model.
"""
import os
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "integration"))

import world  # pylint: disable=wrong-import-position

SCRIPT = "print up\npowerkey\n"
NOISE_KIB = 64  # malloc gives pages back when it likes


def resident(pid):
    """KiB of anonymous memory: what the program itself holds, without its code."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    raise AssertionError("no RssAnon")


def said_up(w, name):
    try:
        return "up" in w.console_log(name).split()
    except FileNotFoundError:
        return False


def wait_up(w, name, unit):
    def up_or_over():
        return said_up(w, name) or unit.poll() is not None

    world.wait_until(up_or_over, 60, 0.001)
    if unit.poll() is not None:
        raise AssertionError(f"{name} has ended: {unit.returncode}\n{w.said(name)}")


def end(w, name, unit):
    """As systemd does it: SIGTERM, and once the runner is gone ExecStopPost."""
    assert unit.wait(60) == 0, w.said(name)
    assert w.release(name, 60).returncode == 0, name


class Rss:
    def __init__(self, w):
        self.pid = w.manager.pid
        self.after = []

    def note(self):
        self.after.append(resident(self.pid))


def one_by_one(w, names):
    """Each started and stopped; seconds of each, and the manager's memory after it."""
    rss = Rss(w)
    starts, stops = [], []
    for name in names:
        begin = time.monotonic()
        unit = w.unit(name)
        wait_up(w, name, unit)
        middle = time.monotonic()
        unit.send_signal(signal.SIGTERM)
        end(w, name, unit)
        starts.append(middle - begin)
        stops.append(time.monotonic() - middle)
        rss.note()
    w.assert_clean()
    total = sum(starts) + sum(stops)
    print(f"one by one: {len(names)} VMs in {total:.1f} s, {len(names) / total:.1f} a second; "
          f"median start {median(starts):.0f} ms, stop {median(stops):.0f} ms, "
          f"stop/start {median(stops) / median(starts):.2f}")
    return rss.after, statistics.median(starts)


def median(seconds):
    return statistics.median(seconds) * 1000


def at_once(w, names, alone):
    """All started together, then all stopped together; alone: the seconds of a start by itself."""
    idle = resident(w.manager.pid)
    begin = time.monotonic()
    units = [w.unit(name) for name in names]
    for name, unit in zip(names, units):
        wait_up(w, name, unit)
    up = time.monotonic()
    running = resident(w.manager.pid)
    counts = w.counts()
    assert counts["vms"] == len(names), counts
    for unit in units:
        unit.send_signal(signal.SIGTERM)
    for name, unit in zip(names, units):
        end(w, name, unit)
    down = time.monotonic()
    w.assert_clean()
    print(f"at once: {len(names)} VMs up in {up - begin:.1f} s, {len(names) / (up - begin):.1f} "
          f"a second, at once/alone {(up - begin) / len(names) / alone:.2f} a start; "
          f"given back in {down - up:.1f} s; manager {running} KiB, "
          f"{(running - idle) / len(names):.0f} KiB a running VM, "
          f"running/idle {running / idle:.2f}; "
          f"RM: {counts['parcels']} parcels, {counts['heap_used'] >> 10} KiB of heap")


def main():
    smoke = "--smoke" in sys.argv[1:]
    total, together = (4, 3) if smoke else (100, 63)
    names = [f"vm{i}" for i in range(1, total + 1)]
    others = [f"other{i}" for i in range(1, together + 1)]
    w = world.World(model=("--delay=0",))
    try:
        for name in names + others:
            w.vm(name, SCRIPT)
        after, alone = one_by_one(w, names)
        early = after[min(19, len(after) // 2)]
        print(f"manager, anonymous memory: {after[0]} KiB after the first, {early} after the "
              f"20th, {after[-1]} after the last: grown by {after[-1] - early} KiB, "
              f"last/20th {after[-1] / early:.2f}")
        at_once(w, others, alone)
    finally:
        w.close()
    if not smoke and after[-1] - early > NOISE_KIB:
        sys.exit("the manager has a leak")


if __name__ == "__main__":
    main()
