# SPDX-License-Identifier: GPL-2.0-or-later
"""Transient VMs: VMs that a test runs by RunVM."""
import sent
from world import wait_until

FOREVER = "print up\nforever\n"
REBOOTS = "print up\nread\nreset\n"


class Case(sent.Case):
    method = "RunVM"
    tries = 1

    def setUp(self):
        super().setUp()
        self.w.start_stand_in(tries=self.tries, pause_ms=200)

    def run_vm(self, script="off\n", **kw):
        """Returns the job."""
        kw.setdefault("files", [("kernel", self.kernel(script))])
        return self.send(**kw)

    def up(self, script=FOREVER, **kw):
        self.assertEqual(self.w.wait_job(self.run_vm(script, **kw)), ["done", "", ""])
        self.w.wait_state("demo", "running")
        wait_until(lambda: self.ups() == 1)

    def ups(self):
        return self.w.console_log("demo").count("up")

    def gone(self, name="demo", seconds=10):
        """No VM, nothing of it, and the name is free."""
        wait_until(lambda: self.w.state(name) is None, seconds)
        self.w.assert_clean()
        self.nothing_left()

    def new_manager(self):
        self.w.kill_manager()
        self.w.start_manager()
        self.c = self.client()
