#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verbs of ghvmctl do and print."""
import glob
import json
import os
import socket
import time
import unittest

import ghvmctl
from ghvmctl import Terminal
from world import wait_until


class Verbs(ghvmctl.Case):
    def test_a_life(self):
        head = "NAME  STATE    VMID  LENT  SHARED  NOTE\n"
        self.w.vm("demo", "powerkey\n")
        self.assertEqual(self.ctl("list"), (head + "demo  stopped  -     -     -       \n", ""))
        self.assertEqual(self.ctl("start", "demo"), ("", ""))
        vmid, pid = self.w.vm_get("demo", "VMID", "LeaderPID")
        self.assertEqual(self.ctl("list"),
                         (head + f"demo  running  {vmid}   8M    -       \n", ""))
        self.assertEqual(self.ctl("status", "demo")[0].splitlines(), [
            "demo: running", f"  vmid        {vmid}", f"  runner      pid {pid}",
            "  lent        8M", "  devices     uart, power-key", "",
            "DEVICE     ADDRESS     DOORBELL  QUEUES  REQUESTS  FROM GUEST  TO GUEST  STATE",
            "uart       0x10000000  0         -       -         -           -         ",
            "power-key  0x10001000  1         -       -         -           -         "])
        self.assertEqual(self.ctl("why", "demo")[0].splitlines()[1],
                         "  nothing has failed since the manager started")
        self.assertEqual(self.ctl("stop", "demo"), ("", ""))
        self.w.assert_clean()
        self.assertEqual(self.ctl("status", "demo")[0].splitlines()[0], "demo: stopped")

    def test_what_the_runner_says_of_its_guest(self):
        """A guest in an endless loop is shown as running."""
        self.w.vm("demo", "forever\n")
        self.ctl("start", "demo")
        said = "vCPU 0 runs without an exit since 2026-11-30 03:00:00, no output at all"
        (path,) = glob.glob(self.w.path("log", "notify-*"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"STATUS=Running; " + said.encode(), path)
        wait_until(lambda: f"  guest       {said}" in self.ctl("status", "demo")[0].splitlines())
        self.assertIn(f"  guest  {said}", self.ctl("why", "demo")[0].splitlines())
        self.assertEqual(self.json("status", "demo")["guest"], said)
        self.assertEqual(self.json("why", "demo")["guest"], said)
        self.ctl("--force", "stop", "demo")
        self.assertNotIn("guest", self.ctl("status", "demo")[0])
        self.w.assert_clean()

    def test_json_is_json(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        vm = self.json("status", "demo")
        self.assertEqual((vm["name"], vm["state"], vm["lent"], vm["shared"]),
                         ("demo", "running", 8 << 20, 0))
        self.assertEqual(vm["devices"], ["uart", "power-key"])
        self.assertEqual([(d["kind"], d["state"], d["queues"]) for d in vm["device_counts"]],
                         [("uart", "registers", 0), ("power-key", "registers", 0)])
        self.assertEqual(vm["vmid"], self.json("list")[0]["vmid"])
        host = self.json("host")
        self.assertEqual((host["state"], host["reason"], host["vmids"], host["vmids_stuck"]),
                         ("ok", "", 1, 0))
        self.assertGreater(host["entries_used"], 0)
        self.assertEqual(self.json("quarantine"), [])
        self.assertEqual(self.json("plan", "demo")["memory"], 8 << 20)
        self.ctl("stop", "demo")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to be somebody else")
    def test_polkit_has_somebody_to_ask_on_a_terminal(self):
        agent = self.w.path("bin", "pkttyagent")
        os.mkdir(self.w.path("bin"))
        with open(agent, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho \"asks for you: $*\"\neval \"exec $2>&-\"\n"
                    "exec sleep 100\n")
        os.chmod(agent, 0o755)
        env = {**self.env, "PATH": self.w.path("bin") + ":" + os.environ["PATH"]}
        self.w.vm("demo", "forever\n")
        self.ctl("start", "demo")
        for args, asked in ((("--force", "stop", "demo"), True), (("list",), False)):
            t = Terminal(env, "--dir=" + self.w.path("vms"), *args, user=65534)
            self.assertEqual(t.process.wait(60), 0)
            os.write(t.slave, b"the end")
            t.wait_for(b"the end")
            self.assertEqual(b"asks for you: --notify-fd" in t.all, asked, t.all)
            t.close()
        self.w.assert_clean()

    def test_stop_by_force_does_not_ask(self):
        self.w.vm("demo", "forever\n", lifecycle="stop-timeout: 100s")
        self.ctl("start", "demo")
        began = time.monotonic()
        self.ctl("--force", "stop", "demo")
        self.assertLess(time.monotonic() - began, 20)
        self.w.assert_clean()

    def test_what_does_not_run_is_stopped(self):
        self.w.vm("demo", "off\n")
        self.ctl("stop", "demo")

    def test_a_refused_start_says_why(self):
        self.w.vm("demo", "off\n", memory="34M")
        with open(self.w.path("demo.Image"), "r+b") as f:
            f.write(b"\x1f\x8b")
            f.seek(56)
            f.write(b"nope")
        out, err = self.ctl("start", "demo", status=1)
        self.assertEqual(out, "")
        self.assertRegex(err.splitlines()[0], "^ghvmctl: demo: .*demo.yaml:2:17: kernel.image: .*/demo.Image: "
                         "compressed with gzip; unpack it first$")
        self.assertIn("ghvmctl: result of the unit: exit-code, status 134", err)
        self.assertIn("see: ghvmctl why demo, journalctl -u gunyah-vm@demo", err)
        why = self.ctl("why", "demo")[0]
        self.assertIn("compressed with gzip", why)
        self.assertIn("  try    kernel.image is a flat arm64 Image, not compressed and not an ELF "
                      "file: ghvmctl validate demo", why)
        self.assertNotIn("messages to and from", why)  # there was no request to RM
        self.assertIn("ghvmctl validate demo", self.json("why", "demo")["hint"])
        self.w.assert_clean()

    def test_a_new_descriptor_is_found(self):
        self.ctl("status", "late", status=3)
        self.w.vm("late", "off\n")
        self.assertEqual(self.ctl("status", "late")[0], "late: stopped\n")

    def test_without_a_manager(self):
        self.w.vm("demo", "off\n")
        self.w.kill_manager()
        out, err = self.ctl("list")
        self.assertIn("demo  unknown", out)
        self.assertIn("only descriptors are listed", err)
        for verb in (["status", "demo"], ["why", "demo"], ["host"], ["quarantine"],
                     ["console", "demo"], ["--force", "stop", "demo"]):
            self.ctl(*verb, status=4)


class Quarantine(ghvmctl.Case):
    def test_it_is_shown_and_can_be_retried(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        self.assertEqual(self.ctl("quarantine"), ("nothing is in quarantine\n", ""))
        self.assertEqual(self.json("quarantine"), [])
        self.ctl("--retry", "quarantine")
        self.ctl("stop", "demo")

    def retried(self):
        return "nothing" in self.ctl("--retry", "quarantine")[0]

    def test_an_entry(self):
        self.w.vm("demo", "forever\n")
        self.ctl("start", "demo")
        vmid = self.w.vm_get("demo", "VMID")
        self.w.model_says("refuse MEM_RECLAIM 11")
        self.w.stop("demo", "force")
        self.w.wait_state("demo", "failed")
        self.w.model_says("refuse MEM_RECLAIM 11")  # again, in case the manager has retried
        head, row = self.ctl("quarantine")[0].splitlines()
        self.assertEqual(head.split(), ["VM", "VMID", "PAGES", "TRIES", "REASON"])
        name, number, pages, tries, why = row.split(maxsplit=4)
        self.assertEqual((name, number, pages), ("demo", str(vmid), "2048"))
        self.assertIn(tries, "12")
        self.assertIn("MEM_RECLAIM refused with MEM_INUSE (11)", why)
        (entry,) = self.json("quarantine")
        self.assertIn(entry.pop("attempts"), (1, 2))
        self.assertEqual(entry, {"vm": "demo", "vmid": vmid, "pages": 2048, "reason": why})
        self.assertIn("quarantine   2048 pages", self.ctl("host")[0])
        self.assertIn(f"demo: 2048 pages quarantined: {why}\n", self.w.log())
        wait_until(self.retried, step=0.2)
        self.assertIn("demo: Quarantined memory has been returned\n", self.w.log())
        self.w.assert_clean()


class Plan(ghvmctl.Case):
    model = ("--fragment=16",)

    def sent(self):
        """Requests to RM in the trace."""
        lines = self.ctl("--json", "trace")[0].splitlines()
        return [m for m in map(json.loads, lines) if m["direction"] == ">"]

    def planned(self):
        """Number of messages by the steps of the plan, and the entries of its parcels."""
        plan = self.json("plan", "--running", "demo")
        messages = [m for s in plan["steps"] for m in s.get("messages", ())]
        self.assertTrue(all(m["count"][0] == m["count"][1] for m in messages), messages)
        return ([m["message"] for m in messages for _ in range(m["count"][0])],
                sum(p["entries"][0] for p in plan["parcels"]))

    def test_what_is_planned_is_what_is_sent(self):
        self.w.vm("demo", "powerkey\n", memory="12M")
        self.ctl("plan", "--running", "none", status=3)
        last = max((m["number"] for m in self.sent()), default=0)
        self.assertIn("demo is stopped", self.ctl("plan", "--running", "demo", status=1)[1])
        self.ctl("start", "demo")
        sent = [m["message"] for m in self.sent() if m["number"] > last]
        planned, entries = self.planned()
        self.assertEqual(planned, sent)
        self.assertGreater(planned.count("MEM_APPEND"), 0)
        self.assertEqual(entries, self.w.counts()["entries"])
        text = self.ctl("plan", "--running", "demo")[0]
        self.assertIn(f"entries {entries} of", text)

        # a later manager knows it, too
        self.w.kill_manager()
        self.w.start_manager()
        self.w.wait_state("demo", "running")
        self.assertEqual(self.ctl("plan", "--running", "demo")[0], text)
        self.ctl("stop", "demo")
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
