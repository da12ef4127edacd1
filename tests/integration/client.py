# SPDX-License-Identifier: GPL-2.0-or-later
"""A D-Bus client that keeps its connection and passes file descriptors, built on sd-bus.

busctl is a new client each time, and cannot keep a descriptor for us.
"""
import ctypes
import os

SD = ctypes.CDLL("libsystemd.so.0", use_errno=True)
NAME = b"org.gunyah.vmm1"
NUMBERS = {"y": ctypes.c_uint8, "b": ctypes.c_int, "n": ctypes.c_int16, "q": ctypes.c_uint16,
           "i": ctypes.c_int32, "u": ctypes.c_uint32, "x": ctypes.c_int64, "t": ctypes.c_uint64,
           "h": ctypes.c_int}


class Error(Exception):
    """An error reply: its name without the common prefix."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name.rsplit(".", 1)[1]
        self.text = text


class NotBasic(Exception):
    """A value of a type that this client does not read."""


class _SdError(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("message", ctypes.c_char_p),
                ("need_free", ctypes.c_int)]


def _check(r, what):
    if r < 0:
        raise OSError(-r, f"{what}: {os.strerror(-r)}")
    return r


def _append(m, kind, value):
    if kind == "ay":
        _check(SD.sd_bus_message_append_array(m, ctypes.c_char(b"y"), value,
                                              ctypes.c_size_t(len(value))), "append")
        return
    if kind in NUMBERS:
        p = ctypes.byref(NUMBERS[kind](value))
    else:
        p = ctypes.c_char_p(value.encode())
    _check(SD.sd_bus_message_append_basic(m, ctypes.c_char(kind.encode()), p), "append")


def _append_options(m, options):
    """a{sv} of {key: (type, value)}"""
    _check(SD.sd_bus_message_open_container(m, ctypes.c_char(b"a"), b"{sv}"), "open")
    for key, (kind, value) in options.items():
        _check(SD.sd_bus_message_open_container(m, ctypes.c_char(b"e"), b"sv"), "open")
        _append(m, "s", key)
        _check(SD.sd_bus_message_open_container(m, ctypes.c_char(b"v"), kind.encode()), "open")
        _append(m, kind, value)
        _check(SD.sd_bus_message_close_container(m), "close")
        _check(SD.sd_bus_message_close_container(m), "close")
    _check(SD.sd_bus_message_close_container(m), "close")


def _append_files(m, files):
    """a{sh} of (key, descriptor) pairs: a list, because a key may be there twice"""
    _check(SD.sd_bus_message_open_container(m, ctypes.c_char(b"a"), b"{sh}"), "open")
    for key, fd in files:
        _check(SD.sd_bus_message_open_container(m, ctypes.c_char(b"e"), b"sh"), "open")
        _append(m, "s", key)
        _append(m, "h", fd)
        _check(SD.sd_bus_message_close_container(m), "close")
    _check(SD.sd_bus_message_close_container(m), "close")


def _read(m, kind):
    if kind in NUMBERS:
        v = NUMBERS[kind]()
    else:
        v = ctypes.c_char_p()
    _check(SD.sd_bus_message_read_basic(m, ctypes.c_char(kind.encode()), ctypes.byref(v)), "read")
    if kind == "h":
        return os.dup(v.value)  # v.value is closed with the message
    return v.value if kind in NUMBERS else v.value.decode()


class Client:
    def __init__(self, address, uid=None):
        """Connect as another user; needs root, because the bus gets the uid from the kernel."""
        self.bus = ctypes.c_void_p()
        if uid is not None:
            os.seteuid(uid)
        try:
            self.connect(address)
        finally:
            if uid is not None:
                os.seteuid(0)

    def connect(self, address):
        _check(SD.sd_bus_new(ctypes.byref(self.bus)), "sd_bus_new")
        _check(SD.sd_bus_set_address(self.bus, address.encode()), "address")
        _check(SD.sd_bus_set_bus_client(self.bus, 1), "client")
        _check(SD.sd_bus_start(self.bus), "start")

    def close(self):
        if self.bus:
            SD.sd_bus_flush_close_unref(self.bus)
            self.bus = None

    def message(self, path, interface, method, *args):
        m = ctypes.c_void_p()
        if "." not in interface:
            interface = NAME.decode() + "." + interface
        _check(SD.sd_bus_message_new_method_call(
            self.bus, ctypes.byref(m), NAME, path.encode(), interface.encode(),
            method.encode()), "message")
        for kind, value in args:
            if kind == "a{sv}":
                _append_options(m, value)
            elif kind == "a{sh}":
                _append_files(m, value)
            else:
                _append(m, kind, value)
        return m

    def call(self, path, interface, method, *args, returns=""):
        """args: (type, value) pairs. Returns the value of the reply, of a basic type, or None."""
        m = self.message(path, interface, method, *args)
        error, reply = _SdError(), ctypes.c_void_p()
        try:
            r = SD.sd_bus_call(self.bus, m, ctypes.c_uint64(20000000), ctypes.byref(error),
                               ctypes.byref(reply))
            if r < 0:
                raise Error((error.name or b"none.none").decode(),
                            (error.message or b"").decode())
            return _read(reply, returns) if returns else None
        finally:
            SD.sd_bus_error_free(ctypes.byref(error))
            SD.sd_bus_message_unref(m)
            SD.sd_bus_message_unref(reply)

    def get(self, path, interface, name):
        """The value of a property of a basic type."""
        m = self.message(path, "org.freedesktop.DBus.Properties", "Get",
                         ("s", NAME.decode() + "." + interface), ("s", name))
        error, reply = _SdError(), ctypes.c_void_p()
        kind, content = ctypes.c_char(), ctypes.c_char_p()
        try:
            r = SD.sd_bus_call(self.bus, m, ctypes.c_uint64(20000000), ctypes.byref(error),
                               ctypes.byref(reply))
            if r < 0:
                raise Error((error.name or b"none.none").decode(),
                            (error.message or os.strerror(-r).encode()).decode())
            _check(SD.sd_bus_message_peek_type(reply, ctypes.byref(kind), ctypes.byref(content)),
                   "peek")
            of = content.value.decode()
            if of not in NUMBERS and of not in ("s", "o"):
                raise NotBasic(of)
            _check(SD.sd_bus_message_enter_container(reply, ctypes.c_char(b"v"), content), "enter")
            value = _read(reply, of)
            return bool(value) if of == "b" else value
        finally:
            SD.sd_bus_error_free(ctypes.byref(error))
            SD.sd_bus_message_unref(m)
            SD.sd_bus_message_unref(reply)

    def manager_is_there(self):
        """Whether its name has an owner."""
        reply, yes = ctypes.c_void_p(), ctypes.c_int()
        _check(SD.sd_bus_call_method(self.bus, b"org.freedesktop.DBus", b"/org/freedesktop/DBus",
                                     b"org.freedesktop.DBus", b"NameHasOwner", None,
                                     ctypes.byref(reply), b"s", NAME), "NameHasOwner")
        SD.sd_bus_message_read_basic(reply, ctypes.c_char(b"b"), ctypes.byref(yes))
        SD.sd_bus_message_unref(reply)
        return bool(yes.value)

    def ask(self, path, interface, method, *args):
        """Send a call; answer() waits for the reply."""
        m, serial = self.message(path, interface, method, *args), ctypes.c_uint64()
        _check(SD.sd_bus_send(self.bus, m, ctypes.byref(serial)), "send")
        SD.sd_bus_message_unref(m)
        _check(SD.sd_bus_flush(self.bus), "flush")
        return serial.value

    def answer(self, asked):
        """Wait for the reply. Returns its number among all messages of the sender; None: refused."""
        while True:
            m, of, number = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_uint64()
            if not _check(SD.sd_bus_process(self.bus, ctypes.byref(m)), "process"):
                if not _check(SD.sd_bus_wait(self.bus, ctypes.c_uint64(20000000)), "wait"):
                    raise TimeoutError("no answer")
                continue
            if not m:
                continue  # another message was processed
            SD.sd_bus_message_get_reply_cookie(m, ctypes.byref(of))
            _check(SD.sd_bus_message_get_cookie(m, ctypes.byref(number)), "cookie")
            refused = SD.sd_bus_message_is_method_error(m, None)
            SD.sd_bus_message_unref(m)
            if of.value == asked:
                return None if refused else number.value

    def sync(self):
        """Wait until the bus has forwarded all messages sent before."""
        _check(SD.sd_bus_call_method(self.bus, b"org.freedesktop.DBus", b"/org/freedesktop/DBus",
                                     b"org.freedesktop.DBus", b"GetId", None, None, b""), "GetId")

    def send(self, path, interface, method, *args):
        """Send a call and discard the reply."""
        m = self.message(path, interface, method, *args)
        _check(SD.sd_bus_send(self.bus, m, None), "send")
        SD.sd_bus_message_unref(m)
        _check(SD.sd_bus_flush(self.bus), "flush")


for _f in (SD.sd_bus_flush_close_unref, SD.sd_bus_message_unref):
    _f.restype = ctypes.c_void_p
    _f.argtypes = [ctypes.c_void_p]
for _f in (SD.sd_bus_message_append_basic, SD.sd_bus_message_read_basic,
           SD.sd_bus_message_open_container):
    _f.argtypes = [ctypes.c_void_p, ctypes.c_char, ctypes.c_void_p]
SD.sd_bus_message_open_container.argtypes = [ctypes.c_void_p, ctypes.c_char, ctypes.c_char_p]
SD.sd_bus_message_close_container.argtypes = [ctypes.c_void_p]
