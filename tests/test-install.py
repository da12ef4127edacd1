#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `meson install` makes is whole: each file is where it is read, for two prefixes, and the
library can be used by a program that knows nothing of this tree.

test-install.py BUILD SOURCE BOOT-TEST MODEL
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD, SOURCE, BOOT_TEST, MODEL = sys.argv[1:]

# Where a Debian 12 looks: systemd, udev, sysusers and tmpfiles below both prefixes, dbus-daemon
# for its policy and polkitd for everything never below /usr/local.
READ = {
    r"gunyah-vm.*\.(service|socket)": ["lib/systemd/system"],
    r"60-gunyah\.rules": ["lib/udev/rules.d"],
    r"gunyah\.conf": ["lib/modules-load.d", "lib/sysusers.d", "lib/tmpfiles.d"],
    r"org\.gunyah\.vmm1\.conf": ["/usr/share/dbus-1/system.d", "/etc/dbus-1/system.d"],
    r"org\.gunyah\.vmm1\.service": ["share/dbus-1/system-services"],
    r"org\.gunyah\.vmm1\.policy": ["/usr/share/polkit-1/actions"],
    r"50-gunyah\.rules": ["/usr/share/polkit-1/rules.d", "/etc/polkit-1/rules.d"],
    r"ghvmctl": ["bin"],
    r"gunyah-(vm|vmd|vm-prepare)": ["lib/gunyah"],
    r".*\.[158]": ["share/man/man1", "share/man/man5", "share/man/man8"],
}


def meson(*args):
    return subprocess.run(["meson", *args], check=True, capture_output=True, text=True).stdout


def check_places(prefix, installed):
    """@installed: absolute paths."""
    found = set()
    for path in installed:
        folder, name = os.path.split(path)
        for pattern, folders in READ.items():
            if re.fullmatch(pattern, name) and not re.search("/(src|bash-completion)/", folder):
                found.add(pattern)
                places = [os.path.join(prefix, f) for f in folders]
                assert folder in places, f"{prefix}: {path} is not read, but in {places}"
    missing = set(READ) - found
    assert not missing, f"{prefix}: not installed: {missing}"


def check_programs(build, installed):
    """Each program that a unit starts is installed where the unit says."""
    seen = 0
    for name in os.listdir(os.path.join(build, "systemd")):
        if not name.endswith(".service"):
            continue
        with open(os.path.join(build, "systemd", name), encoding="utf-8") as f:
            for path in re.findall(r"^Exec\w+=[-+!@]*(/\S*gunyah\S*)", f.read(), re.M):
                assert path in installed, f"{name} starts {path}, which is not installed"
                seen += 1
    assert seen >= 3, seen


def check_plan(build):
    prefix = next(o["value"] for o in json.loads(meson("introspect", "--buildoptions", build))
                  if o["name"] == "prefix")
    installed = set(json.loads(meson("introspect", "--installed", build)).values())
    check_places(prefix, installed)
    check_programs(build, installed)
    return prefix


def check_other_prefix(prefix, folder):
    meson("setup", "--prefix=" + prefix, "-Dunit-tests=false", folder, SOURCE)
    assert check_plan(folder) == prefix


def compile_headers(flags, root):
    headers = sorted(os.listdir(root))
    headers.remove("uapi")
    assert len(headers) > 10, headers
    for language in "c", "c++":
        for header in headers:
            subprocess.run(["gcc", "-x", language, "-Wall", "-Wextra", "-Werror", *flags,
                            "-fsyntax-only", "-"], input=f"#include <ghvm/{header}>\n",
                           text=True, check=True)


def check_library(root, prefix):
    """A program outside the tree, by pkg-config alone; it boots a guest on the model."""
    libs = [d for d, _, names in os.walk(root + prefix) if "ghvm.pc" in names]
    assert len(libs) == 1, libs
    env = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=root, PKG_CONFIG_LIBDIR=libs[0],
               LD_LIBRARY_PATH=os.path.dirname(libs[0]))
    env.pop("PKG_CONFIG_PATH", None)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "ghvm"], env=env, check=True,
                           capture_output=True, text=True).stdout.split()
    if prefix == "/usr":  # pkg-config leaves the compiler's own folders out
        flags += [f"-I{root}/usr/include", "-L" + env["LD_LIBRARY_PATH"]]
    compile_headers([f for f in flags if f.startswith("-I")], root + prefix + "/include/ghvm")
    shutil.copy(SOURCE + "/examples/boot.c", root)
    boot = root + "/boot"
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", boot,
                    root + "/boot.c", *flags], cwd=root, check=True)
    subprocess.run([BOOT_TEST, boot, MODEL], env=env, check=True)


def check_module(root):
    """The DKMS source is whole: every file that its sources include is there."""
    (folder,) = [d for d, _, names in os.walk(root + "/usr/src") if "dkms.conf" in names]
    with open(folder + "/Kbuild", encoding="ascii") as f:
        objects = re.findall(r"(ghvm_\w+)\.o", f.read())
    assert objects
    for name in [o + ".c" for o in objects]:
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            for header in re.findall(r'#include "(.*)"', f.read()):
                assert os.path.exists(os.path.join(folder, header)), f"{name}: no {header}"


def main():
    with tempfile.TemporaryDirectory(prefix="ghvm-install-") as d:
        prefix = check_plan(BUILD)
        check_other_prefix("/usr" if prefix == "/usr/local" else "/usr/local", d + "/build")
        root = d + "/root"
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], check=True,
                       env=dict(os.environ, DESTDIR=root))
        check_library(root, prefix)
        check_module(root)


if __name__ == "__main__":
    main()
