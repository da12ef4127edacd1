#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The world of a test ends with it."""
import os
import unittest

import world


class Worlds(unittest.TestCase):
    def test_one_that_does_not_begin_is_closed(self):
        started = []

        class Broken(world.World):
            def start_manager(self, *args, **kw):
                started.append(self)
                raise AssertionError("no manager")

        with self.assertRaisesRegex(AssertionError, "no manager"):
            Broken()
        self.assertEqual([p.poll() is None for p in started[0].processes], [False, False])
        self.assertFalse(os.path.exists(started[0].dir))


if __name__ == "__main__":
    unittest.main()
