# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of ghvmctl with the real manager, start helpers and runners, and a stand-in for systemd."""
import fcntl
import json
import os
import pty
import select
import subprocess
import termios
import time

import case
import world

CTL = world.program("daemon/ctl/ghvmctl")
WAITING = "ghvmctl: waiting for "


class Terminal:
    """ghvmctl on a pseudo-terminal."""

    def __init__(self, env, *args, user=None):
        self.fd, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.text = self.all = b""
        self.process = subprocess.Popen([CTL, *args], stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, env=env, start_new_session=True,
                                        user=user, extra_groups=None if user is None else [],
                                        preexec_fn=self.own)

    @staticmethod
    def own():
        """In the child: make the terminal its controlling terminal."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def wait_for(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self.fd], [], [], 0.2)[0]:
                self.all += (new := os.read(self.fd, 4096))
                self.text += new
        self.text = self.text[self.text.index(text) + len(text):]

    def type(self, data):
        os.write(self.fd, data)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self.fd)


WAITING = "ghvmctl: waiting for "
# the time is missing if the try has already begun
AGAIN = r"^ghvmctl: systemd tries again to start demo (in 0.5 s )?"


class Case(case.Case):
    tries = 1  # number of tries of a start by systemd
    pause_ms = 500  # between two tries

    def setUp(self):
        super().setUp()
        self.w.start_stand_in(self.tries, self.pause_ms)
        self.env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.w.bus, "TERM": "xterm"}

    def ctl(self, *args, status=0, **kw):
        """Its output: what it prints, and what it complains of.

        How long it waits, and so what it says of that, depends on the machine.
        """
        out, err = self.all_of_ctl(*args, status=status, **kw)
        return out, "".join(line for line in err.splitlines(True) if not line.startswith(WAITING))

    def all_of_ctl(self, *args, status=0, **kw):
        r = subprocess.run([CTL, "--dir=" + self.w.path("vms"), *args], env=self.env, text=True,
                           capture_output=True, check=False, timeout=60, **kw)
        self.assertEqual(r.returncode, status, (args, r.stdout, r.stderr))
        return r.stdout, r.stderr

    def json(self, *args):
        return json.loads(self.ctl("--json", *args)[0])

    def start_in_background(self, name):
        p = subprocess.Popen([CTL, "--dir=" + self.w.path("vms"), "start", name], env=self.env,
                             text=True, stderr=subprocess.PIPE)
        self.addCleanup(p.stderr.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def terminal(self, *args):
        t = Terminal(self.env, *args)
        self.addCleanup(t.close)
        return t
