#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reasons: of a descriptor that is refused, and of a VM that failed."""
import errno
import os
import time
import unittest

import ghvmctl
import world


class Mistakes(ghvmctl.Case):
    """Each program that refuses a descriptor reports all its errors."""

    def test_a_start_without_ghvmctl_tells_all(self):
        self.w.vm("demo", "off\n", extra="colour: blue\ncpus: {count: 1000}\n")
        self.assertEqual(self.w.run_unit("demo"), 134)
        place = self.w.path("vms", "demo.yaml")
        with self.assertRaises(world.Refused) as refused:
            self.w.call(world.ROOT, "Manager", "StartVM", "sa{sv}", "demo", "0")
        for said in self.w.said("demo"), str(refused.exception):
            self.assertRegex(said, place + ":4:1: colour: ")
            self.assertRegex(said, place + ":5:15: cpus.count: ")
            self.assertEqual(said.count(place), 2)
        self.w.assert_clean()

    def test_a_file_is_checked_with_its_drop_ins(self):
        self.w.vm("demo", "off\n")
        file = self.w.path("vms", "demo.yaml")
        self.ctl("validate", "--offline", file)
        os.mkdir(file + ".d")
        with open(file + ".d/50-more.yaml", "w", encoding="ascii") as f:
            f.write("colour: blue\n")
        for arg, cwd in ((file, None), ("demo.yaml", self.w.path("vms"))):
            out, err = self.ctl("validate", "--offline", arg, status=1, cwd=cwd)
            self.assertIn("/demo.yaml.d/50-more.yaml:1:1: colour: ", out + err)

    def test_an_overlay_is_as_large_for_ghvmctl_as_for_the_manager(self):
        blob = self.w.path("large.dtbo")
        with open(blob, "wb") as f:
            f.write(b"\xd0\x0d\xfe\xed" + bytes(32768 - 3))
        self.w.vm("demo", "off\n")
        with open(self.w.path("vms", "demo.yaml"), "r+", encoding="ascii") as f:
            text = f.read().replace("cmdline:", f"dtb-overlay: {blob}, cmdline:")
            f.seek(0)
            f.write(text)
        self.assertEqual(self.w.run_unit("demo"), 134)
        out, err = self.ctl("plan", "demo", status=1)
        for said in self.w.said("demo"), out + err:
            self.assertIn("kernel.dtb-overlay: " + blob + ": has 32769 bytes, the limit is "
                          "32768", said)

    def test_why_says_that_the_resource_manager_is_dead(self):
        self.w.vm("demo", "powerkey\n")
        self.ctl("start", "demo")
        self.w.model_says("kill-rm")
        self.ctl("--force", "stop", "demo", status=1)
        self.assertIn("  host   the resource manager no longer replies: ",
                      self.ctl("why", "demo")[0])


class Why(ghvmctl.Case):
    """why prints the step, the refusal, what to try and the messages."""
    def refused(self, message, status, *more):
        self.w.vm("demo", "off\n")
        self.w.model_says(f"refuse {message} {status}")
        self.ctl("start", "demo", status=1)
        return self.json("why", "demo"), self.ctl("why", "demo")[0]

    def test_a_refusal(self):
        got, text = self.refused("VM_INIT", 2)
        self.assertEqual((got["failed_step"], got["rm_message"], got["rm_status"]),
                         ("init", "VM_INIT", "NORESOURCE"))
        self.assertTrue(got["last_error"].endswith(
            "VM_INIT refused with NORESOURCE (2): vCPUs, doorbells or other devices ran out"), got)
        self.assertIn("see ghvmctl plan demo", got["hint"])
        said = [m["text"] for m in got["messages"]]
        at = [i for i, s in enumerate(said) if s.endswith(" VM_INIT: NORESOURCE")]
        self.assertEqual(len(at), 1, said)
        self.assertRegex(said[at[0] - 1], r"^> [0-9a-f]{4} VM_INIT vmid \d+$")
        self.assertEqual(at[0], len(said) - 1)  # later messages belong to the teardown
        self.assertEqual({m["vm"] for m in got["messages"]}, {"demo"})

        lines = text.splitlines()
        self.assertEqual(lines[0], "demo is failed")
        self.assertRegex(lines[1], r"^  when   \d\d:\d\d:\d\d, \d+ s ago$")
        self.assertEqual(lines[2:4], ["  step   init", "  error  " + got["last_error"]])
        self.assertRegex(self.ctl("status", "demo")[0],
                         r"  last error  \d\d:\d\d:\d\d, \d+ s ago: cannot initialise")
        self.assertIn("  try    " + got["hint"], lines)
        self.assertIn("  messages to and from the resource manager (more: ghvmctl trace demo):", lines)
        self.assertEqual([l.split(" ", 10)[-1] for l in lines if l.startswith("         ")], said)
        self.assertEqual(lines[-1], "  more   journalctl -u gunyah-vm@demo")

        # the error is kept after a later successful start
        self.ctl("start", "demo")
        self.w.wait_state("demo", "stopped")
        again = self.json("why", "demo")
        self.assertEqual((again["state"], again["exit_reason"]), ("stopped", "off"))
        for key in ("failed_step", "last_error", "last_error_usec", "errno", "rm_message", "hint"):
            self.assertEqual(again[key], got[key])
        self.assertAlmostEqual(got["last_error_usec"] / 1e6, time.time(), delta=60)

    def test_another_message_is_another_hint(self):
        got, _ = self.refused("VM_ALLOCATE", 2)
        self.assertEqual((got["failed_step"], got["rm_message"]), ("allocate", "VM_ALLOCATE"))
        self.assertIn("all its VMIDs are taken", got["last_error"])
        self.assertIn("stop another VM", got["hint"])

    def test_a_status_that_nobody_knows(self):
        got, _ = self.refused("VM_START", 99)
        self.assertEqual((got["failed_step"], got["rm_status"]), ("start", "unknown"))
        self.assertIn("a status that is not documented", got["last_error"])
        self.assertIn("ghvmctl trace demo", got["hint"])

    def test_what_never_began(self):
        self.w.vm("demo", "off\n", memory="30G")
        self.ctl("start", "demo", status=1)
        got = self.json("why", "demo")
        self.assertEqual(got["failed_step"], "descriptor", got)
        self.assertEqual(got["messages"], [])
        with open(self.w.path("vms", "demo.yaml"), "a", encoding="ascii") as f:
            f.write("colour: blue\n")
        self.assertEqual(self.w.run_unit("demo"), 134)
        got = self.json("why", "demo")
        self.assertEqual((got["failed_step"], got["hint"]),
                         ("descriptor", "ghvmctl validate demo says where in the descriptor"))

    def test_a_crash(self):
        self.w.vm("demo", "crash\n")
        self.w.run_unit("demo")
        self.w.wait_state("demo", "failed")
        got = self.json("why", "demo")
        self.assertEqual((got["failed_step"], got["errno"], got["rm_message"]),
                         ("run", errno.ECONNABORTED, None))
        self.assertIn("/var/log/gunyah/demo.log", got["hint"])
        self.assertEqual(got["messages"][-1]["message"], "VM_EXITED")

    def test_no_answer(self):
        self.w.vm("demo", "off\n")
        self.w.model_says("mute VM_INIT")
        self.ctl("start", "demo", status=1)
        got = self.json("why", "demo")
        self.assertEqual((got["failed_step"], got["rm_message"], got["rm_status"]),
                         ("init", "VM_INIT", None))
        self.assertIn("whether the resource manager answers", got["hint"])
        self.assertRegex(got["messages"][-1]["text"], "^> [0-9a-f]{4} VM_INIT ")


if __name__ == "__main__":
    unittest.main()
