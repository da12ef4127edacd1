/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk of a VM that is to be served.
 */
#pragma once

#include "ghvm/spec.h"

#define DISK_DIR "/run/gunyah/disks"
#define DISK_DAEMON "/usr/bin/qemu-storage-daemon"

/**
 * struct disk - a disk
 * @dir: DISK_DIR
 * @vm: name of the VM, valid
 * @nth: its number among the disks of the VM
 * @spec: what the descriptor says of it
 * @key: of the image, "devices[N].disk.image"
 * @image: the open image, for writing unless it is readonly; opened after disk_enter_host(); borrowed
 */
struct disk {
	const char *dir;
	const char *vm;
	unsigned int nth;
	const struct ghvm_spec_disk *spec;
	const char *key;
	int image;
};
