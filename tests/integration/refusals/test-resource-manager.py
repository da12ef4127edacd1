#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Refusals of the resource manager are undone and reported."""
import time
import unittest

import case
from world import NAME, ROOT, Refused, wait_until


class Later(case.Shared):
    """What only later resource managers are told."""
    model = ("--generation=v17",)

    def refuse_each(self, messages, keys):
        self.w.vm("demo", "off\n", extra=keys)
        for message in messages:
            for told in (f"refuse {message} 3", f"refuse {message} 0x12345678",
                         f"reply {message} 00", f"reply {message} 0000000000"):
                with self.subTest(told):
                    self.w.model_says(told)
                    self.assertEqual(self.w.run_unit("demo"), 1)
                    self.assertIn(message, self.w.said("demo"))
                    self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)

    def test_registers_and_layout(self):
        self.refuse_each(("VM_SET_ADDRESS_LAYOUT", "VM_SET_BOOT_CONTEXT"), "boot: {x1: 1}\n")

    def test_a_signed_image(self):
        self.refuse_each(("VM_AUTH_IMAGE",), "auth: {type: platform, pas-id: 28}\n")


class ResourceManager(case.Shared):
    def test_each_refusal_is_undone_and_told(self):
        self.w.vm("demo", "off\n")
        for message in ("VM_ALLOCATE", "MEM_LEND", "VM_CONFIG_IMAGE", "VM_INIT",
                        "VM_GET_HYP_RESOURCES", "VM_START"):
            with self.subTest(message):
                self.w.model_says(f"refuse {message} 1")
                self.assertEqual(self.w.run_unit("demo"), 1)
                self.assertIn(message, self.w.said("demo"))
                self.assertIn("NOMEM", self.w.said("demo"))
                state, error, name = self.w.vm_get("demo", "State", "LastError", "LastErrorName")
                self.assertEqual((state, name), ("failed", NAME + ".Error.RmRejected"))
                self.assertIn(message, error)
                self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.wait_state("demo", "stopped")
        error, when = self.w.vm_get("demo", "LastError", "LastErrorTime")
        self.assertIn("VM_START", error)  # the last failure is kept
        self.assertAlmostEqual(when / 1e6, time.time(), delta=60)

    def test_a_host_call_that_fails_is_undone(self):
        self.w.vm("demo", "off\n")
        for op in ("pin", "pin-set", "pin-write", "pin-extents", "grant"):
            with self.subTest(op):
                self.w.model_says(f"fail {op} EIO")
                self.assertEqual(self.w.run_unit("demo"), 1)
                self.w.assert_clean()
        self.assertEqual(self.w.run_unit("demo"), 0)

    def keep_its_memory(self):
        """End the guest while RM does not return its memory; one RECLAIM belongs to the start."""
        unit = self.running("demo", "powerkey\n")
        self.w.model_says("refuse MEM_RECLAIM 11")
        self.job = self.w.stop("demo", "force")
        self.assertEqual(unit.wait(20), 0)
        self.w.wait_state("demo", "failed")

    def test_what_is_not_given_back_is_kept_and_retried(self):
        self.keep_its_memory()
        result, error, name = self.w.wait_job(self.job)
        self.assertEqual((result, name.rpartition(".")[2]), ("failed", "RmRejected"))
        self.assertIn("2048 pages could not be returned", error)
        self.assertIn("MEM_RECLAIM", error)
        self.assertEqual(self.w.vm_get("demo", "PagesQuarantined"), 2048)
        self.assertEqual(self.w.get(ROOT + "/host", "Host", "PagesQuarantined"), 2048)
        entry = self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0")[0][0]
        self.assertEqual((entry[0], entry[2]), ("demo", 2048))
        self.assertIn("MEM_RECLAIM", entry[4])
        released = self.w.release("demo")
        self.assertEqual(released.returncode, 0)
        self.assertIn("2048 pages quarantined", released.stderr)
        # the VM can be started in the meantime
        self.w.vm("demo", "off\n")
        self.assertEqual(self.w.run_unit("demo"), 0)
        self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")
        self.w.assert_clean()
        self.assertEqual(self.w.vm_get("demo", "PagesQuarantined"), 0)
        self.assertEqual(self.w.call(ROOT + "/host", "Host", "ListQuarantine", "a{sv}", "0"), [[]])

    def test_quarantine_outlives_the_manager(self):
        self.keep_its_memory()
        self.w.kill_manager()
        self.assertEqual(self.w.counts()["quarantined_pages"], 2048)
        self.w.start_manager()
        self.w.assert_clean()


class Quarantine(case.Case):
    def given_back(self):
        self.w.call(ROOT + "/host", "Host", "RetryQuarantine", "a{sv}", "0")
        return not self.w.leftovers()

    def test_a_name_whose_guest_may_still_run(self):
        """Decision 13: two guests of one name would use the same disk."""
        unit = self.running("two", "forever\n")
        vmid = self.w.vm_get("two", "VMID")
        self.w.model_says("refuse VM_STOP 3")
        job = self.w.stop("two", "force")
        self.assertEqual(unit.wait(20), 0)
        self.assertIn("VM_STOP", self.w.wait_job(job)[1])
        self.w.model_says("refuse VM_STOP 3")  # again, in case the manager has retried
        says = f"VM {vmid}, may still run"
        self.assertEqual(self.w.run_unit("two"), 1)
        self.assertIn(says, self.w.said("two"))
        with self.assertRaisesRegex(Refused, says):
            self.w.call(ROOT, "Manager", "StartVM", "sa{sv}", "two", "0")
        self.assertEqual(self.w.counts()["vms"], 1)
        wait_until(self.given_back, step=0.2)
        unit = self.running("two")
        unit.terminate()
        self.assertEqual(unit.wait(20), 0)
        self.w.assert_clean()


if __name__ == "__main__":
    unittest.main()
