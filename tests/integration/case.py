# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that have a world: each its own, or all of a class the same."""
import os
import unittest

import world
from client import Client
from world import ROOT, wait_until


class Base(unittest.TestCase):
    seconds = 120  # at most, of one test
    polkit = "yes"
    model = ()

    def setUp(self):
        world.alarm(self.seconds)
        self.addCleanup(world.alarm, 0)
        self.clients = []
        self.addCleanup(lambda: [c.close() for c in self.clients])

    def client(self, uid=None):
        """A connection to the bus of the user @uid; None: of the user who runs the test."""
        self.clients.append(Client(self.w.bus, uid))
        return self.clients[-1]

    def running(self, name="demo", script="powerkey\n", **kw):
        """Its unit, once the guest runs."""
        self.w.vm(name, script, **kw)
        unit = self.w.unit(name)
        self.w.wait_state(name, "running")
        return unit

    def runner_pid(self, name):
        return self.w.vm_get(name, "LeaderPID")


class Case(Base):
    def setUp(self):
        super().setUp()
        self.w = world.World(polkit=self.polkit, model=self.model)
        self.addCleanup(self.w.close)


class Shared(Base):
    """Each test leaves the world as it was."""

    @classmethod
    def setUpClass(cls):
        cls.w = world.World(polkit=cls.polkit, model=cls.model)
        cls.addClassCleanup(cls.w.close)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.tidy)

    def tidy(self):
        """Remove the descriptor, so that the manager forgets the VM and its last end."""
        self.w.assert_clean()
        for name in os.listdir(self.w.path("vms")):
            os.unlink(self.w.path("vms", name))
        wait_until(lambda: self.w.call(ROOT, "Manager", "ListVMs") == [[]])
