# SPDX-License-Identifier: GPL-2.0-or-later
"""A private world for a test: bus, hypervisor model, manager, stand-ins for systemd and polkit.

The programs are the real ones; only firmware, PID 1 and polkit are not. Needs no privileges.
"""
import ctypes
import fcntl
import glob
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from client import Client, Error, NotBasic

BUILD = os.environ.get("GHVM_BUILD", "build")
NAME = "org.gunyah.vmm1"
ROOT = "/org/gunyah/vmm1"
SANITIZED = "GHVM_SANITIZED" in os.environ
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

# daemon/ipc/protocol.h
HELLO, NEED, GIVE, GIVEN, STORE, BUILT, ERROR, RELEASE, RELEASED = range(1, 10)
RUNNER, READY, STARTED, REFUSED, EXITED, ENDED, REBUILT, STOP, CONSOLE, CONSOLE_IS = range(16, 26)
DEVICE_LIST = 33
PING, PONG, REGION_FD, REGION_GONE, REGION_FDS, SENT_FDS, SENT_FD = range(26, 33)
MEMORY, KERNEL, INITRD, OVERLAY, LOG = range(1, 6)

BUS_CONFIG = """<busconfig><type>custom</type><listen>unix:path={0}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/></policy>
<limit name="max_message_unix_fds">64</limit></busconfig>"""


def program(*path):
    return os.path.join(BUILD, *path)


def python_with_dbus():
    """The Python that has D-Bus: Debian's packages are for that of Debian."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import dbus, gi"], capture_output=True,
                          check=False).returncode == 0:
            return python
    raise unittest.SkipTest("python3-dbus and python3-gi are not installed")


def example(name):
    """The first words of the command that runs a script of examples/."""
    path = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../examples", name)
    return [python_with_dbus(), path] if name.endswith(".py") else [path]


def wait_until(what, seconds=10, step=0.02):
    """Poll until `what` returns a true value, and return it."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(step)


def die_with_test():
    """In a child: end all processes of the world when the test ends, however it ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def image(script):
    header = bytearray(64)
    struct.pack_into("<Q", header, 16, 0x10000)
    header[56:60] = b"ARM\x64"
    return bytes(header) + b"GHVM-SCRIPT\n" + script.encode()


class Refused(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.text = text


class World:
    def __init__(self, polkit="yes", model=()):
        self.dir = tempfile.mkdtemp(prefix="ghvm-it-")
        os.chmod(self.dir, 0o755)
        self.processes = []
        self.manager = None
        self.own = None  # a connection to the bus, for what is asked often
        self.polkit = polkit
        self.stand_in = None
        for d in ("vms", "run", "log"):
            os.mkdir(self.path(d))
        if SANITIZED:
            self.collect_reports()
        try:
            self.start_bus()
            self.start_model(model)
            self.start_manager()
        except BaseException:
            self.close()  # not published yet
            raise

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # --- processes ---

    def spawn(self, *argv, **kw):
        p = subprocess.Popen(argv, preexec_fn=die_with_test, **kw)
        self.processes.append(p)
        return p

    def start_bus(self):
        with open(self.path("bus.conf"), "w", encoding="ascii") as f:
            f.write(BUS_CONFIG.format(self.path("bus")))
        self.bus = "unix:path=" + self.path("bus")
        self.daemon = self.spawn("dbus-daemon", "--nofork",
                                 "--config-file=" + self.path("bus.conf"),
                                 stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(self.path("bus")))

    def start_model(self, options=()):
        self.model = self.spawn(program("tests/model/sock/ghvm-model"), *options,
                                "--control=" + self.path("control"), self.path("hyp"))
        wait_until(lambda: os.path.exists(self.path("hyp")) and
                   os.path.exists(self.path("control")))

    def start_manager(self, hypervisor=None, wait=True, options=(), env=None):
        """@env: variables that the manager alone gets."""
        log = open(self.path("manager.log"), "ab")
        self.manager = self.spawn(program("daemon/manager/gunyah-vmd"), "--debug",
                                  "--hypervisor", hypervisor or "unix:" + self.path("hyp"),
                                  "--bus", self.bus, "--run-dir", self.path("run"),
                                  "--vms-dir", self.path("vms"), *options, stderr=log,
                                  env={**os.environ, **(env or {})})
        log.close()
        if wait:
            wait_until(self.answers, 20)

    def start_stand_in(self, tries=1, pause_ms=500, helper=None):
        """@helper: run in place of the real start helper."""
        self.stand_in = self.spawn(
            program("tests/integration/stand-in"), self.bus,
            helper or program("daemon/prepare/gunyah-vm-prepare"),
            program("daemon/runner/gunyah-vm"),
            self.path("run", "prepare.sock"), self.path("log"), self.path("vms"), self.polkit,
            str(tries), str(pause_ms),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.stand_in.stdout.readline() == b"ready\n"

    # --- sanitizers ---

    def collect_reports(self):
        """Sanitizer reports of all programs of this world, also of those without captured output."""
        for name in "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS":
            os.environ[name] = "halt_on_error=1:log_path=" + self.path("sanitizer")

    def reports(self):
        said = ""
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("sanitizer."):
                with open(self.path(name), encoding="utf-8", errors="replace") as f:
                    said += f.read()
        return said

    def kill_manager(self):
        self.manager.kill()
        self.manager.wait()

    def answers(self):
        if self.manager.poll() is not None:
            raise AssertionError(f"the manager has ended: {self.manager.returncode}\n{self.log()}")
        return self.connection().manager_is_there()

    def log(self):
        with open(self.path("manager.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        if self.own:
            self.own.close()
        if self.manager and self.manager.poll() is None:
            self.manager.terminate()
            self.manager.wait(30)
        for p in reversed(self.processes):
            if p.poll() is None:
                p.kill()
            p.wait()
            if p.stdout:
                p.stdout.close()
        said = self.reports()
        subprocess.run(["rm", "-rf", self.dir], check=True)
        assert not said, said

    def monitor(self):
        """From now on it prints each message from and to the manager, one line of JSON each."""
        p = self.spawn("busctl", "--address=" + self.bus, "--json=short", "monitor", NAME,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        wait_until(lambda: self.call(ROOT, "Manager", "ListVMs") and
                   select.select([p.stdout], [], [], 0.1)[0])
        return p

    # --- descriptors ---

    def vm(self, name, script, memory="8M", lifecycle="", extra="", kernel=None):
        if kernel is None:
            kernel = self.path(name + ".Image")
            with open(kernel, "wb") as f:
                f.write(image(script))
        with open(self.path("vms", name + ".yaml"), "w", encoding="ascii") as f:
            f.write(f"version: 1\nkernel: {{image: {kernel}, cmdline: \"console=ttyS0\"}}\n"
                    f"memory: {{size: {memory}, hugepages: never}}\n")
            if lifecycle:
                f.write(f"lifecycle: {{{lifecycle}}}\n")
            f.write(extra)

    # --- the bus ---

    def busctl(self, *args, user=None, **kw):
        command = ["busctl", "--address=" + self.bus, "--json=short", "--timeout=20", *args]
        if user:
            command = ["setpriv", "--reuid=" + user, "--clear-groups", *command]
        return subprocess.run(command, capture_output=True, text=True, check=False, **kw)

    def call(self, path, interface, method, *args, user=None, fds=()):
        r = self.busctl("call", NAME, path, NAME + "." + interface, method, *args, user=user,
                        pass_fds=fds)
        if r.returncode:
            raise Refused(r.stderr.strip())
        return json.loads(r.stdout)["data"] if r.stdout.strip() else None

    def error_name(self, path, interface, method, *args, user=None):
        """Make a call that must fail. Returns the error name, as seen by a bus monitor."""
        command = ["dbus-send", "--bus=" + self.bus, "--print-reply", "--dest=" + NAME, path,
                   f"{NAME}.{interface}.{method}", *args]
        if user:
            command = ["setpriv", "--reuid=" + user, "--clear-groups", *command]
        r = subprocess.run(command, capture_output=True, text=True, check=False)
        assert r.returncode, r.stdout
        return r.stderr.split()[1].rstrip(":")

    def connection(self):
        if not self.own:
            self.own = Client(self.bus)
        return self.own

    def get(self, path, interface, *names):
        """Tests wait for properties, so this is not a process for each question."""
        try:
            values = [self.connection().get(path, interface, name) for name in names]
            return values if len(names) > 1 else values[0]
        except Error as e:
            raise Refused(e.text) from None
        except NotBasic:
            return self.get_any(path, interface, *names)

    def get_any(self, path, interface, *names):
        r = self.busctl("get-property", NAME, path, NAME + "." + interface, *names)
        if r.returncode:
            raise Refused(r.stderr.strip())
        values = [json.loads(line)["data"] for line in r.stdout.splitlines()]
        return values if len(names) > 1 else values[0]

    def vm_get(self, name, *names):
        return self.get(f"{ROOT}/vm/{name}", "VM", *names)

    def vm_call(self, name, method, *args, **kw):
        return self.call(f"{ROOT}/vm/{name}", "VM", method, *args, **kw)

    def devices(self, name):
        """What the manager says of the devices of a VM: a dictionary for each."""
        r = self.busctl("call", NAME, f"{ROOT}/vm/{name}", NAME + ".VM", "ListDevices", "a{sv}", "0")
        if r.returncode:
            raise Refused(r.stderr.strip())
        return [{key: value["data"] for key, value in device.items()} for device in json.loads(r.stdout)["data"][0]]

    def console(self, name, **options):
        """Open the console. Returns an unbuffered file. Options are booleans, with _ for -."""
        client = Client(self.bus)
        try:
            options = {k.replace("_", "-"): ("b", v) for k, v in options.items()}
            fd = client.call(f"{ROOT}/vm/{name}", "VM", "OpenConsole", ("a{sv}", options),
                             returns="h")
        finally:
            client.close()
        return open(fd, "r+b", buffering=0)

    def stop(self, name, how="graceful"):
        return self.vm_call(name, "Stop", "sa{sv}", how, "0")[0]

    def wait_job(self, job, seconds=20):
        wait_until(lambda: self.get(job, "Job", "State") == "done", seconds, 0.05)
        return self.get(job, "Job", "Result", "Error", "ErrorName")

    def state(self, name):
        """Returns None if the manager does not know the VM (yet)."""
        try:
            return self.vm_get(name, "State")
        except Refused:
            return None

    def wait_state(self, name, state, seconds=20):
        wait_until(lambda: self.state(name) == state, seconds, 0.05)

    # --- units ---

    def unit(self, name):
        """Run the commands of ExecStartPre= and ExecStart= in one process."""
        err = open(self.path(name + ".err"), "w", encoding="utf-8")
        p = self.spawn(program("daemon/prepare/gunyah-vm-prepare"), "--socket",
                       self.path("run", "prepare.sock"), "--log-dir", self.path("log"),
                       "--vms-dir", self.path("vms"),
                       "--vms-dir", self.path("run", "lib", "vms"),
                       "--exec", program("daemon/runner/gunyah-vm"), name, stderr=err)
        err.close()
        return p

    def unit_state(self, name):
        """ActiveState, as the stand-in for systemd has it; "" if it has not answered within a second."""
        path = "/org/freedesktop/systemd1/unit/gunyah_2dvm_40" + name.replace("-", "_2d") + "_2eservice"
        r = self.busctl("--timeout=1", "call", "org.freedesktop.systemd1", path,  # get-property has no limit
                        "org.freedesktop.DBus.Properties", "Get", "ss",
                        "org.freedesktop.systemd1.Unit", "ActiveState")
        return "" if r.returncode else json.loads(r.stdout)["data"][0]["data"]

    def run_unit(self, name, seconds=20):
        return self.unit(name).wait(seconds)

    def said(self, name):
        """Output of the start helper and the runner; "" if neither was started."""
        try:
            with open(self.path(name + ".err"), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def console_log(self, name):
        """The newest of all VMs of that name: with a descriptor, defined by a user, transient."""
        logs = [self.path("log", name + ".log"), *glob.glob(self.path("log", "users", f"*.{name}.log"))]
        with open(max(filter(os.path.exists, logs), key=os.path.getmtime, default=logs[0]), encoding="utf-8") as f:
            return f.read()

    def release(self, name, seconds=30):
        return subprocess.run([program("daemon/prepare/gunyah-vm-prepare"), "--socket",
                               self.path("run", "prepare.sock"), "--release", name],
                              capture_output=True, text=True, check=False, timeout=seconds)

    # --- the model ---

    def model_says(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.path("control"))
            s.sendall(command.encode() + b"\n")
            text = ""
            while True:
                got = s.recv(65536).decode()
                text += got
                lines = text.splitlines()
                if not got or (text.endswith("\n") and
                               (lines[-1] == "ok" or lines[-1].startswith("error"))):
                    break
        if lines[-1] != "ok":
            raise AssertionError(f"{command}: {lines[-1]}")
        return dict(line.split("=", 1) for line in lines[:-1])

    def counts(self):
        return {k: int(v, 0) for k, v in self.model_says("counts").items()}

    def leftovers(self):
        c = self.counts()
        assert c["violations"] == 0 and c["guarded_writes"] == 0, c
        return {k: c[k] for k in ("vms", "parcels", "pins", "quarantine", "grants", "lent_pages",
                                  "shared_pages") if c[k]}

    def assert_clean(self, seconds=10):
        try:
            wait_until(lambda: not self.leftovers(), seconds)
        except AssertionError:
            raise AssertionError(f"left: {self.leftovers()}\n{self.log()}") from None
        # the manager forgets a VM after its memory is back
        wait_until(lambda: not set(os.listdir(self.path("run", "state"))) - {"ram.lent"})
        wait_until(lambda: not os.listdir(self.path("run", "ctl")))

    # --- acting as start helper or runner ---

    def dial(self, path=None):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(path or self.path("run", "prepare.sock"))  # waits for space in the queue
        s.settimeout(10)
        return s


def put_string(text):
    b = text.encode()
    return struct.pack("<H", len(b)) + b


def send(sock, kind, payload=b"", fds=()):
    socket.send_fds(sock, [struct.pack("<II", kind, 1) + payload], list(fds))


def receive(sock):
    data, fds, _, _ = socket.recv_fds(sock, 16384, 16)
    if not data:
        return None, b"", []
    return struct.unpack_from("<I", data)[0], data[8:], fds


def receive_kind(sock, kind):
    while True:
        got, payload, fds = receive(sock)
        if got == kind:
            return payload, fds
        assert got is not None, f"end of file instead of {kind}"
        assert got != ERROR or kind == ERROR, payload


def needs_of(payload):
    """(kind, index, size, key) of each"""
    (n,) = struct.unpack_from("<H", payload)
    at, needs = 2, []
    for _ in range(n):
        kind, _, index, size, length = struct.unpack_from("<BBHQH", payload, at)
        at += 14
        needs.append((kind, index, size, payload[at:at + length].decode()))
        at += length
    return needs


def memfd(size):
    fd = os.memfd_create("memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.posix_fallocate(fd, 0, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def give(sock, kind, index, fd):
    send(sock, GIVE, struct.pack("<BBH", kind, 0, index), [fd])
    os.close(fd)


def make(need, kernel):
    kind, _, size, _ = need
    if kind == MEMORY:
        return memfd(size)
    if kind == LOG:
        return os.open("/dev/null", os.O_WRONLY)
    assert kind == KERNEL, need
    return os.open(kernel, os.O_RDONLY)


def build(world, name):
    """Act as a start helper until the end. Returns the contents of the unit's descriptor store."""
    store = {}
    with world.dial() as s:
        send(s, HELLO, put_string(name))
        payload, _ = receive_kind(s, NEED)
        for need in needs_of(payload):
            give(s, need[0], need[1], make(need, world.path(name + ".Image")))
        send(s, GIVEN)
        while True:
            kind, payload, fds = receive(s)
            if kind == BUILT:
                return store, struct.unpack("<H", payload)[0]
            if kind == ERROR:
                raise Refused(payload[7:].decode())
            assert kind == STORE, kind
            (n,) = struct.unpack_from("<H", payload)
            at = 2
            for i in range(n):
                (length,) = struct.unpack_from("<H", payload, at)
                store[payload[at + 2:at + 2 + length].decode()] = fds[i]
                at += 2 + length


def close_store(store):
    for fd in store.values():
        os.close(fd)
    store.clear()


def _too_long(_signal, _frame):
    raise TimeoutError("this has taken too long")


def alarm(seconds):
    """Raise an exception instead of exiting, so that the processes of the world are ended."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
