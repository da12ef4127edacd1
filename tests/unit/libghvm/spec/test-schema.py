#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The schema and the parser agree: what one takes the other takes, on generated descriptors.

test-schema.py GHVMCTL SCHEMA [SEED [COUNT]]
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

# What a schema cannot say: it looks at one value at a time.
BEYOND = {"size-align", "overlap", "label-in-use", "plan", "with-itself", "with-two"}
BEYOND_OF = {("range", "address"), ("range", "size"), ("range", "log-size")}  # "40G" is a text to it


class Schema:
    """As much of JSON schema as ours uses; anything else in it is an error of this test."""

    TYPES = {"integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
             "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
             "string": lambda v: isinstance(v, str), "boolean": lambda v: isinstance(v, bool),
             "null": lambda v: v is None, "object": lambda v: isinstance(v, dict),
             "array": lambda v: isinstance(v, list)}
    NOTES = {"$schema", "$comment", "$defs", "title"}

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.root = json.load(f)

    def takes(self, value, schema=None):
        schema = self.root if schema is None else schema
        return all(key in self.NOTES or getattr(self, "check_" + key.strip("$"))(value, arg, schema)
                   for key, arg in schema.items())

    def check_ref(self, v, arg, _):
        return self.takes(v, self.root["$defs"][arg.removeprefix("#/$defs/")])

    def check_type(self, v, arg, _):
        return any(self.TYPES[t](v) for t in ([arg] if isinstance(arg, str) else arg))

    def check_const(self, v, arg, _):
        return type(v) is type(arg) and v == arg

    def check_enum(self, v, arg, _):
        return any(type(v) is type(a) and v == a for a in arg)

    def check_minimum(self, v, arg, _):
        return not self.TYPES["number"](v) or v >= arg

    def check_maximum(self, v, arg, _):
        return not self.TYPES["number"](v) or v <= arg

    def check_maxLength(self, v, arg, _):
        return not isinstance(v, str) or len(v) <= arg

    def check_pattern(self, v, arg, _):
        return not isinstance(v, str) or re.search(arg.removesuffix("$") + r"\Z", v)

    def check_properties(self, v, arg, _):
        return not isinstance(v, dict) or all(self.takes(v[k], s) for k, s in arg.items() if k in v)

    def check_additionalProperties(self, v, arg, schema):
        assert arg is False
        return not isinstance(v, dict) or v.keys() <= schema["properties"].keys()

    def check_required(self, v, arg, _):
        return not isinstance(v, dict) or all(k in v for k in arg)

    def check_minProperties(self, v, arg, _):
        return not isinstance(v, dict) or len(v) >= arg

    def check_maxProperties(self, v, arg, _):
        return not isinstance(v, dict) or len(v) <= arg

    def check_items(self, v, arg, _):
        return not isinstance(v, list) or all(self.takes(i, arg) for i in v)

    def check_maxItems(self, v, arg, _):
        return not isinstance(v, list) or len(v) <= arg

    def check_allOf(self, v, arg, _):
        return all(self.takes(v, s) for s in arg)

    def check_contains(self, v, arg, schema):
        if not isinstance(v, list):
            return True
        n = sum(self.takes(i, arg) for i in v)
        return schema.get("minContains", 1) <= n <= schema.get("maxContains", n)

    def check_minContains(self, *_):
        return True  # see contains

    check_maxContains = check_minContains


class Generator:
    """Good descriptors, and such with a few mistakes, in the ways that YAML can be written."""

    SIZES = ["64M", "1G", 64 << 20, "0x4000000", "0x10M", "2048K"]
    TIMES = ["30s", 30, "500ms", "2min", "1h", "7", 0]
    SWITCHES = [True, False, None]
    ANYTHING = [None, "", 0, 1, -1, 5, 9, 1.5, True, "true", "x", "64M", "0", "0x0", "1 G", "12Q",
                "~", "null", "a\nb", "a\tb", "/a\tb", "/i", "i", [], {}, [None], {"a": 1}, 1 << 40,
                "30s", "none", "share", "2M", "y" * 2048, "-1", "0x", "007"]

    def __init__(self, seed):
        self.r = random.Random(seed)

    def some(self, d):
        return {k: v for k, v in d.items() if self.r.random() < 0.6}

    def switch(self):
        return self.r.choice([None, {}, {"enabled": self.r.choice(self.SWITCHES)}])

    def console(self):
        return self.r.choice([self.switch(), self.some({
            "logging": self.r.choice(["file", "journal", "none", None]),
            "log-size": self.r.choice(["64K", "16M", 65536, None]),
            "log-count": self.r.choice([1, 8, None])})])

    def rng(self):
        return self.r.choice([self.switch(), {"region": self.r.choice([1, 7, None])}])

    def vsock(self):
        return self.r.choice([self.switch(), self.some({"cid": self.r.choice([3, 0xfffffffe, None]),
                                                        "region": self.r.choice([7, None])})])

    def vhost_user(self):
        return {"socket": "/run/disk/socket", "id": self.r.choice([1, 2, 63]),
                **self.some({"queues": self.r.choice([1, 8, None]), "region": self.r.choice([7, None])})}

    def disk(self):
        return {"image": self.r.choice(["/srv/disk.img", "/srv/a b"]), "format": self.r.choice(["raw", "qcow2"]),
                "readonly": True,  # so that each cache, and the same image twice, are good
                **self.some({"discard": self.r.choice(self.SWITCHES), "queues": self.r.choice([1, 8, None]),
                             "cache": self.r.choice(["writeback", "none", "unsafe", None]),
                             "region": self.r.choice([7, None])})}

    def regions(self):
        return [{"label": i + 1, "size": self.r.choice(["4K", "16M", 4096, "0x1000"]),
                 **self.some({"kind": "share", "readonly": self.r.choice(self.SWITCHES),
                              "access": self.r.choice(["read-write", "host-readonly", None]),
                              "with": self.r.choice([None, "peer"]),
                              "address": self.r.choice([None, 0x50000000 + (i << 25),
                                                        f"{1280 + 32 * i}M"])})}
                for i in range(self.r.choice([0, 1, 2, 16]))]

    def good(self):
        pick = self.r.choice
        devices = [{name: make()} for name, make in
                   self.some({"console": self.console, "power-key": self.switch,
                              "disk": self.disk, "rng": self.rng, "rtc": self.switch,
                              "vhost-user": self.vhost_user, "vsock": self.vsock,
                              "watchdog": self.switch}).items()]
        devices += [{"vhost-user": self.vhost_user()} for _ in range(self.r.choice([0, 0, 1, 3]))]
        devices += [{"disk": self.disk()} for _ in range(self.r.choice([0, 0, 1, 3]))]
        return {
            "version": 1,
            "kernel": {"image": "/boot/Image",
                       **self.some({"initrd": pick(["/boot/initrd", None]), "dtb-overlay": None,
                                    "cmdline": pick(["console=ttyS0 quiet", "", "5", 5, None,
                                                     "a\nb", "1.5", True, "x" * 2047])})},
            "memory": {"size": pick(self.SIZES),
                       **self.some({"protection": pick(["auto", "protected", "none", None]),
                                    "hugepages": pick(["auto", "2M", "never", None])})},
            **self.some({
                "cpus": pick([None, {"count": pick([1, 2, 8])}]),
                "devices": pick([None, devices]),
                "regions": pick([None, self.regions()]),
                "lifecycle": self.some({"on-reboot": pick(["stop", "restart", None]),
                                        "on-watchdog": pick(["stop", "dump-only", None]),
                                        "on-crash": "restart", "stop-timeout": pick(self.TIMES)}),
                "rm-rpc": pick(self.SWITCHES)}),
        }

    def containers(self, v):
        if isinstance(v, (dict, list)) and v:
            yield v
        for i in v.values() if isinstance(v, dict) else v if isinstance(v, list) else []:
            yield from self.containers(i)

    def spoil(self, d):
        c = self.r.choice(list(self.containers(d)))
        key = self.r.choice(list(c) if isinstance(c, dict) else range(len(c)))
        how = self.r.random()
        if how < 0.6:
            c[key] = self.r.choice(self.ANYTHING)
        elif how < 0.75:
            del c[key]
        elif isinstance(c, list):
            c.append(self.r.choice([c[key], {"disk": {}}, {"disk": None}, {"console": None}]))
        else:
            c[self.r.choice(["colour", "enabled", "size", "console", "label"])] = c.pop(key)

    # --- the text ---

    def scalar(self, v):
        pick = self.r.choice
        if v is None:
            return pick(["~", "null", "Null"])
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, int):
            return pick([str(v), hex(v)]) if v > 0 else str(v)
        if isinstance(v, float):
            return repr(v)
        plain = re.fullmatch(r"[0-9]+[A-Za-z]+|(?!(?i:true|false|null|yes|no|on|off|y|n)$)"
                             r"[a-z/][a-zA-Z0-9/=_-]*", v)
        return v if plain and pick([True, False]) else json.dumps(v)

    def flow(self, v):
        if isinstance(v, dict):
            return "{" + ", ".join(f"{k}: {self.flow(i)}" for k, i in v.items()) + "}"
        if isinstance(v, list):
            return "[" + ", ".join(map(self.flow, v)) + "]"
        return self.scalar(v)

    def block(self, v, indent=""):
        if v is None and self.r.random() < 0.5:
            return "\n"
        if not v or not isinstance(v, (dict, list)) or self.r.random() < 0.3:
            return " " + self.flow(v) + "\n"
        heads = [(f"{k}:", i) for k, i in v.items()] if isinstance(v, dict) else \
            [("-", i) for i in v]
        return "\n" + "".join(indent + head + self.block(i, indent + "  ") for head, i in heads)

    def text(self, d):
        if self.r.random() < 0.3:
            return json.dumps(d)
        return "# generated\n---\n" + self.block(d).lstrip()


def parse(ctl, path):
    """The parser's complaints; none: it takes it."""
    r = subprocess.run([ctl, "--json", "--offline", "validate", path], capture_output=True,
                       text=True, check=False, stdin=subprocess.DEVNULL)
    assert r.returncode in (0, 1), r
    complaints = [c for c in json.loads(r.stdout) if c["severity"] == "error"]
    assert bool(complaints) == (r.returncode == 1), r
    return complaints


def is_beyond(c):
    return c["rule"] in BEYOND or (c["rule"], c["key"].rsplit(".", 1)[-1]) in BEYOND_OF


def judge(schema, complaints, d):
    """What is wrong; None: they agree."""
    takes = schema.takes(d)
    refused = [c for c in complaints if not is_beyond(c)]
    if takes and refused:
        return "only the parser refuses it: {key}: {text}".format(**refused[0])
    if not takes and not complaints:
        return "only the schema refuses it"
    return None


def main(ctl, path, seed=1, count=120):
    schema = Schema(path)
    taken, bad = 0, 0
    with tempfile.TemporaryDirectory(prefix="ghvm-schema-") as work:
        for n in range(int(count)):
            g = Generator(int(seed) * 1000000 + n)
            d = g.good()
            for _ in range(g.r.choice([0, 0, 1, 1, 2, 3])):
                g.spoil(d)
            file = os.path.join(work, f"vm-{n}.yaml")
            with open(file, "w", encoding="utf-8") as f:
                f.write(g.text(d))
            complaints = parse(ctl, file)
            taken += not complaints
            why = judge(schema, complaints, d)
            if why:
                bad += 1
                with open(file, encoding="utf-8") as f:
                    print(f"{n}: {why}\n{json.dumps(d)}\n{f.read()}\n")
    print(f"{count} descriptors, {taken} taken by the parser, {bad} taken by one alone")
    assert int(count) / 5 < taken < int(count) * 4 / 5, "they are all alike"
    return bad != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
