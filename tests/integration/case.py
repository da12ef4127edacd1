# SPDX-License-Identifier: GPL-2.0-or-later
"""A test that has a world of its own."""
import unittest

import world
from client import Client


class Case(unittest.TestCase):
    seconds = 120  # at most, of one test
    polkit = "yes"
    model = ()

    def setUp(self):
        world.alarm(self.seconds)
        self.addCleanup(world.alarm, 0)
        self.w = world.World(polkit=self.polkit, model=self.model)
        self.addCleanup(self.w.close)
        self.clients = []
        self.addCleanup(lambda: [c.close() for c in self.clients])

    def client(self, uid=None):
        """A connection to the bus of the user @uid; None: of the user who runs the test."""
        self.clients.append(Client(self.w.bus, uid))
        return self.clients[-1]
