# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Kernels that are missing, truncated, not arm64 Images, or links of other users.
try() { # IMAGE PATTERN
	image=$1 vm badkernel 1 256M ""
	start_refused badkernel "$2"
}

try /run/no-such-image 'no-such-image'
head -c 40 $here/guest/Image >/run/short
try /run/short '/run/short'
# the header promises more than there is
head -c 100000 $here/guest/Image >/run/cut
try /run/cut '/run/cut'
try /usr/bin/busybox '/usr/bin/busybox'
try /run '/run'
# a link is followed only where no user but root could make another kernel of it
mkdir -p /run/theirs
chown 65534 /run/theirs
ln -sf $here/guest/Image /run/theirs/link
try /run/theirs/link '/run/theirs/link: is a symbolic link'
