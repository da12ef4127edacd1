/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM as described by its descriptor: checked values, before planning.
 *
 * configs/FORMAT.md explains every key. Complaints have the form file:line:column: key: text.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/error.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

GHVM_BEGIN_DECLS

#define GHVM_SPEC_CPUS_MAX 8
#define GHVM_SPEC_REGIONS_MAX 16
#define GHVM_SPEC_FILE_MAX (1024 * 1024) /* bytes of YAML */

enum ghvm_protection {
	GHVM_PROTECTION_PROTECTED, /* lent: accessible to the guest only; "auto" means this */
	GHVM_PROTECTION_NONE,	   /* shared with the host */
};

enum ghvm_kernel_format {
	GHVM_KERNEL_IMAGE, /* an arm64 Image, at the start of RAM */
	GHVM_KERNEL_RAW,   /* any program; the device tree is at the start of RAM */
};

/* Numbered as the resource manager does (abi D.4). */
enum ghvm_auth {
	GHVM_AUTH_NONE,
	GHVM_AUTH_PLATFORM, /* the platform authenticates the image */
	GHVM_AUTH_ANDROID,  /* the resource manager's firmware does, in the guest */
};

#define GHVM_FIRMWARE_SIZE 0x400000ULL /* default */

enum ghvm_logging {
	GHVM_LOGGING_FILE,
	GHVM_LOGGING_JOURNAL,
	GHVM_LOGGING_NONE,
};

/* console logs: one file is written, the others are older */
#define GHVM_SPEC_LOGS_MAX 8
#define GHVM_LOG_UNIT 0x10000ULL /* sizes are multiples of it */
#define GHVM_LOG_SIZE_MAX 0x4000000ULL
#define GHVM_LOG_SIZE 0x1000000ULL /* default */
#define GHVM_LOG_COUNT 3

#define GHVM_SPEC_VHOST_MAX 4 /* devices that other processes serve */
#define GHVM_SPEC_DISKS_MAX 4
#define GHVM_SPEC_QUEUES_MAX 8 /* of a virtio device */

/* Never found out by looking into the image: a guest can write there what it wants. */
enum ghvm_disk_format {
	GHVM_DISK_NONE, /* no disk */
	GHVM_DISK_RAW,
	GHVM_DISK_QCOW2,
};

/* What has reached the disk when a write of the guest is answered. */
enum ghvm_disk_cache {
	GHVM_CACHE_CHOSEN,	 /* WRITEBACK of a raw image, WRITETHROUGH of another one */
	GHVM_CACHE_WRITEBACK,	 /* nothing, until the guest flushes */
	GHVM_CACHE_WRITETHROUGH, /* the write */
	GHVM_CACHE_NONE,	 /* as WRITEBACK, and the host's page cache is not used */
	GHVM_CACHE_DIRECTSYNC,	 /* as WRITETHROUGH, and the host's page cache is not used */
	GHVM_CACHE_UNSAFE,	 /* nothing, also when the guest flushes */
};

enum ghvm_hugepages {
	GHVM_HUGEPAGES_AUTO,
	GHVM_HUGEPAGES_2M,
	GHVM_HUGEPAGES_1G,
	GHVM_HUGEPAGES_NEVER,
};

/* What processes of the host may do with a region that they share with the guest. */
enum ghvm_host_access {
	GHVM_HOST_READ_WRITE,
	GHVM_HOST_READONLY,
};

enum ghvm_on_end {
	GHVM_ON_END_STOP,
	GHVM_ON_END_RESTART,
	GHVM_ON_END_DUMP_ONLY, /* of a watchdog: it is not the end */
};

/* Labels of parcels: 1 to GHVM_LABEL_LAST are for the regions of a VM. */
#define GHVM_LABEL_RAM 0
#define GHVM_LABEL_LAST 0xfffffffdU
#define GHVM_LABEL_PROBE 0xfffffffeU /* for parcels that are never announced to a guest */

/**
 * struct ghvm_spec_region - an additional region, shared between guest and host
 * @label: unique in the VM, 1 to GHVM_LABEL_LAST
 * @readonly: the guest may only read it
 * @access: of the host
 * @size: bytes, page aligned
 * @address: IPA, or 0: the layout chooses
 * @with: the VM that has the region as well, or "": none. All regions of a VM name the same one.
 */
struct ghvm_spec_region {
	uint32_t label;
	bool readonly;
	enum ghvm_host_access access;
	uint64_t size;
	uint64_t address;
	char with[GHVM_NAME_SIZE];
};

/**
 * struct ghvm_spec_register - a register of the boot vCPU
 * @given: has @value; else the resource manager chooses it
 */
struct ghvm_spec_register {
	bool given;
	uint64_t value;
};

/**
 * struct ghvm_spec_boot - registers of the boot vCPU when the guest starts
 * @entry: the program counter, a multiple of 4
 * @x0: without it the address of the device tree
 * @sp: the stack pointer of EL1, a multiple of 16
 */
struct ghvm_spec_boot {
	struct ghvm_spec_register entry;
	struct ghvm_spec_register x0;
	struct ghvm_spec_register x1;
	struct ghvm_spec_register x2;
	struct ghvm_spec_register x3;
	struct ghvm_spec_register sp;
};

/**
 * struct ghvm_spec_vhost - a virtio device that another process serves
 * @socket: absolute path, owned; NULL: no device
 * @id: kind of virtio device
 * @queues: their number, 0: one
 * @region: label of the region that it accesses, 0: RAM
 */
struct ghvm_spec_vhost {
	char *socket;
	unsigned int id;
	unsigned int queues;
	unsigned int region;
};

/**
 * struct ghvm_spec_disk - a disk, in an image that a storage daemon of the VM serves
 * @image: absolute path of a regular file, owned; NULL: no disk
 * @format: of the image
 * @readonly: the guest may only read it
 * @discard: what the guest discards is freed in the image
 * @queues: their number, 0: one
 * @region: label of the region that the storage daemon accesses, 0: RAM
 */
struct ghvm_spec_disk {
	char *image;
	enum ghvm_disk_format format;
	bool readonly;
	bool discard;
	enum ghvm_disk_cache cache;
	unsigned int queues;
	unsigned int region;
};

/**
 * struct ghvm_spec_place - the place of a key
 * @key: dotted path, e.g. "memory.size", "regions[0].label"
 * @file: index of the file
 */
struct ghvm_spec_place {
	char key[32];
	unsigned int file;
	unsigned int line;
	unsigned int column;
};

/**
 * struct ghvm_spec_path - a path in a descriptor
 * @key: dotted path of its key, e.g. "kernel.image"
 * @value: the path, owned
 * @file: index of the file
 * @begin, @end: bytes of the value in that file, with its quotes
 */
struct ghvm_spec_path {
	char key[32];
	char *value;
	unsigned int file;
	size_t begin;
	size_t end;
};

/* The owner and the group of a file. */
struct ghvm_spec_owner {
	uid_t uid;
	gid_t gid;
};

/**
 * struct ghvm_spec - one VM, owned strings
 * @name: from the file name
 * @kernel: absolute path of an arm64 Image, or of what @format says
 * @initrd: absolute path, or NULL
 * @cmdline: never NULL
 * @dtb_overlay: absolute path, or NULL
 * @memory: bytes of RAM; @memory_address: where it begins, 0: ghvm_spec_ram() chooses
 * @protection: access of the host to RAM
 * @hugepages: page size of RAM
 * @logging: destination of console output; @log_size: of each file; @log_count: number of files
 * @cpus: 1 to GHVM_SPEC_CPUS_MAX
 * @auth: of the image; @pas_id: what it is signed for, 0: not given; @firmware: bytes for the
 *        resource manager's firmware, 0: GHVM_FIRMWARE_SIZE
 * @boot: how the guest starts, if not at its kernel's first byte
 * @console: has a UART; @power_key: has a pl061 power key (both default true)
 * @rng: has a source of random numbers; @rtc: has a clock; @watchdog: has a watchdog (all default
 *       false)
 * @rng_region: label of the region that @rng accesses, 0: RAM
 * @vsock: has sockets of AF_VSOCK (default false); @vsock_cid: the address, 0: ghvm_spec_cid() chooses;
 *         @vsock_region: label of the region that it accesses, 0: RAM
 * @vhost: virtio devices that other processes serve; the first one without a socket is the end
 * @disks: its disks; the first one without an image is the end
 * @rm_rpc: the guest can talk to RM (default false)
 * @on_reboot: default restart; @on_crash: default stop; @on_watchdog: default restart
 * @stop_timeout_ms: time for a graceful stop
 * @regions: shared regions, @n_regions of them
 * @files: paths that it was read from, NULL-terminated; NULL: not read from files
 * @owners: the owner of each of @files; of a text this process
 * @places: places of the keys in the files, @n_places of them
 * @paths: the paths that it names, @n_paths of them; those of one file in the order of the file
 */
struct ghvm_spec {
	char name[GHVM_NAME_SIZE];
	char *kernel;
	enum ghvm_kernel_format format;
	char *initrd;
	char *cmdline;
	char *dtb_overlay;
	uint64_t memory;
	uint64_t memory_address;
	enum ghvm_protection protection;
	enum ghvm_hugepages hugepages;
	unsigned int cpus;
	enum ghvm_auth auth;
	unsigned int pas_id;
	uint64_t firmware;
	struct ghvm_spec_boot boot;
	bool console;
	enum ghvm_logging logging;
	uint64_t log_size;
	unsigned int log_count;
	bool power_key;
	bool rng;
	unsigned int rng_region;
	bool rtc;
	struct ghvm_spec_vhost vhost[GHVM_SPEC_VHOST_MAX];
	struct ghvm_spec_disk disks[GHVM_SPEC_DISKS_MAX];
	bool vsock;
	unsigned int vsock_cid;
	unsigned int vsock_region;
	bool watchdog;
	bool rm_rpc;
	enum ghvm_on_end on_reboot;
	enum ghvm_on_end on_crash;
	enum ghvm_on_end on_watchdog;
	unsigned int stop_timeout_ms;
	struct ghvm_spec_region regions[GHVM_SPEC_REGIONS_MAX];
	size_t n_regions;
	char **files;
	struct ghvm_spec_owner *owners;
	struct ghvm_spec_place *places;
	size_t n_places;
	struct ghvm_spec_path *paths;
	size_t n_paths;
};

/* The number of devices that other processes serve. */
size_t ghvm_spec_count_vhost(const struct ghvm_spec *spec);

/* The number of disks. */
size_t ghvm_spec_count_disks(const struct ghvm_spec *spec);

/* What the disk's cache does, also if the descriptor does not say it. */
enum ghvm_disk_cache ghvm_spec_disk_cache(const struct ghvm_spec_disk *disk);

/*
 * The address (CID) of its vsock: a number that the name decides, from 2^30 on, unless the descriptor has one. Two names
 * have the same with a chance of one in 2^30.
 */
unsigned int ghvm_spec_cid(const struct ghvm_spec *spec);

/* The guest-physical address of the first byte of RAM. */
uint64_t ghvm_spec_ram(const struct ghvm_spec *spec);

enum ghvm_severity { GHVM_SEVERITY_WARNING, GHVM_SEVERITY_ERROR };

/**
 * struct ghvm_complaint - one problem of a descriptor
 * @rule: stable identifier for programs, e.g. "unknown-key", "size-align"
 * @file: as given to ghvm_spec_parse(), or a path, of which a long one is cut at its start
 * @nth_file: index among the files of the VM
 * @key: dotted path, e.g. "memory.size"; empty: about the file itself
 */
struct ghvm_complaint {
	enum ghvm_severity severity;
	const char *rule;
	char file[256];
	unsigned int nth_file;
	char key[64];
	unsigned int line;
	unsigned int column;
	char text[400];
};

/*
 * All complaints of a parse, sorted by file and line. Owned array; ghvm_complaints_done() empties
 * it.
 */
struct ghvm_complaints {
	struct ghvm_complaint *v;
	size_t n;
};

void ghvm_complaints_done(struct ghvm_complaints *c);

#define GHVM_COMPLAINT_TEXT 800

/* "file:line:column: key: text", for people; of a warning it says so. */
const char *ghvm_complaint_text(const struct ghvm_complaint *c, char buf[GHVM_COMPLAINT_TEXT]);

/**
 * ghvm_spec_parse() - parse and check a descriptor
 * @name: of the VM; verified
 * @file: name for complaints, e.g. "demo.yaml"
 * @text: @len bytes, not trusted, at most GHVM_SPEC_FILE_MAX
 * @ret: owned by the caller, ghvm_spec_done(); untouched on failure
 * @complaints: appended to, also on success (warnings); may be NULL
 * @err: the first error as "file:line:col: key: text"
 *
 * Opens nothing. Return: 0; -EINVAL; -EFBIG; -ENOMEM.
 */
int ghvm_spec_parse(const char *name, const char *file, const char *text, size_t len,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err);

/**
 * ghvm_spec_load() - find and parse the descriptor of @name
 * @dirs: NULL-terminated, searched in order; NULL: /etc/gunyah/vms, /run/gunyah/vms,
 *        /var/lib/gunyah/vms, /usr/lib/gunyah/vms
 *
 * Reads NAME.yaml and its drop-ins; symbolic links are not followed. A drop-in that exists and
 * cannot be read is an error.
 *
 * Return: as ghvm_spec_parse(); -ENOENT no such VM; another errno, with the path.
 */
int ghvm_spec_load(const char *name, const char *const *dirs, struct ghvm_spec *ret,
		   struct ghvm_complaints *complaints, struct ghvm_error *err);

/**
 * ghvm_spec_list() - names of all VMs with a descriptor
 * @dirs: as ghvm_spec_load()
 * @ret: sorted, unique, NULL-terminated, owned; set also on failure, but NULL if out of memory
 *
 * A missing folder counts as empty. If a folder cannot be read this is an error, @ret has the
 * names of the other folders and is incomplete.
 *
 * Return: 0; errno of that folder, with its path; -ENOMEM.
 */
int ghvm_spec_list(const char *const *dirs, char ***ret, struct ghvm_error *err);

/**
 * ghvm_spec_absent() - the error for a name without a VM
 * @name: not trusted, any bytes
 * @dirs: as ghvm_spec_load(); the message names them, and the most similar name in them
 *
 * Return: -ENOENT.
 */
int ghvm_spec_absent(const char *name, const char *const *dirs, struct ghvm_error *err);

void ghvm_spec_done(struct ghvm_spec *spec);

/**
 * ghvm_spec_complain() - turn a later error into a complaint about the descriptor
 * @err: of ghvm_plan_make(), or any that begins with a key, "memory.size: ..."; those that begin
 *       with a section, "memory: ...", are about the host and yield no complaint
 * @all: the complaint is added to it, with the place of the key
 *
 * Return: 0; -ENOENT @err begins with no key, or @spec was not read from a file; -ENOMEM.
 */
int ghvm_spec_complain(const struct ghvm_spec *spec, const struct ghvm_error *err,
		       struct ghvm_complaints *all);

/* Prefix an error that begins with a key by file:line:column; leave others unchanged. */
void ghvm_spec_locate(const struct ghvm_spec *spec, struct ghvm_error *err);

/**
 * ghvm_spec_to_yaml() - print a descriptor that ghvm_spec_parse() turns into the same spec
 *
 * Return: one line without its end, malloc'ed; NULL: out of memory.
 */
char *ghvm_spec_to_yaml(const struct ghvm_spec *spec);

GHVM_END_DECLS
