/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol between the programs, over SEQPACKET sockets: helper and manager (prepare.sock),
 * runner and manager (control socket, or the runner's listener).
 *
 * A message is u32 type, u32 version (1), payload; little-endian; at most 16 KiB and 16
 * descriptors. Receivers ignore unknown types. Strings are u16 length and bytes.
 */
#pragma once

#include "libghvm/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GHVM_LINK_VERSION 1
#define GHVM_LINK_MAX 16384
#define GHVM_LINK_FDS_MAX 16
#define GHVM_LINK_PREPARE "/run/gunyah/prepare.sock"
/*
 * The memory of a region in the unit's store: this, and its label. Programs of another version look
 * for it, so it keeps the word that they have for a region.
 */
#define GHVM_LINK_REGION_NAME "window-"

#define GHVM_LINK_RAM_NAME "ram" /* RAM, if devices access it; never if it is lent */

/* O_PATH descriptor of the socket of a back-end: this, and the number of the device, one digit. */
#define GHVM_LINK_SOCKET_NAME "vhost-user-"
#define GHVM_LINK_DISK_NAME "disk-" /* likewise, of a disk's storage daemon */

#define GHVM_LINK_VSOCK_NAME "vsock" /* the host's vhost-vsock */

/*
 * Files of a transient VM that came with its call, sealed memfds. In the unit's store they are named so,
 * with "kernel" or "initrd".
 */
#define GHVM_LINK_SENT_NAME "sent-"

#define GHVM_LINK_CONTROL_DIR "/run/gunyah/ctl" /* listeners, one NAME a VM */

enum ghvm_link_type {
	/* helper and manager: HELLO -> NEED -> GIVE... GIVEN -> STORE... BUILT; or ERROR */
	GHVM_LINK_HELLO = 1, /* h>m  name */
	/* m>h  u16 n, n * { u8 kind, u8 hugepages, u16 index, u64 size, key of the descriptor } */
	GHVM_LINK_NEED = 2,
	GHVM_LINK_GIVE = 3,  /* h>m  u8 kind, u8 0, u16 index; 1 descriptor */
	GHVM_LINK_GIVEN = 4, /* h>m  nothing: all files are given, the helper's copies are closed */
	GHVM_LINK_STORE = 5, /* m>h  u16 n, n * name; n descriptors for the unit's store */
	GHVM_LINK_BUILT = 6, /* m>h  u16 vmid: the VM is READY */
	GHVM_LINK_ERROR = 7, /* both i32 errno, u8 permanent, text: the start has failed */
	GHVM_LINK_RELEASE = 8,	/* h>m  name: tear down what is left of the VM, and answer */
	GHVM_LINK_RELEASED = 9, /* m>h u64 pages still in quarantine, text */
	GHVM_LINK_WANTED = 10,	/* h>m before RELEASE: the unit has not failed, it was stopped */
	/* m>h  u32 uid of the client; 1 descriptor: the text of a transient VM, in place of a file on disk. Then NEED */
	GHVM_LINK_SPEC = 11,

	/* runner and manager */
	GHVM_LINK_RUNNER = 16,	/* r>m  u16 vmid, u64 incarnation; pidfd */
	GHVM_LINK_READY = 17,	/* r>m  virqs are bound: start the VM */
	GHVM_LINK_STARTED = 18, /* m>r  VM_START succeeded */
	GHVM_LINK_REFUSED = 19, /* m>r  text */
	/* r>m  u64 run state, u64 data0: the vCPUs report the end; POWERED_OFF, 0: all of them
	 * have turned themselves off, which RM does not report (abi K.8); or GHVM_LINK_BITTEN, 0 */
	GHVM_LINK_EXITED = 20,
	GHVM_LINK_ENDED = 21,	/* m>r  u32 exit type (abi D.2), u32 enum ghvm_link_action */
	GHVM_LINK_REBUILT = 22, /* m>r  new "machine" and "grant" descriptors; READY follows */
	/*
	 * both u8 enum ghvm_link_how. m>r: GRACEFUL and REBOOT press the power key and
	 * apply the stop time-out, FORCE makes the runner drop its vCPUs and exit 0 at
	 * once. r>m, for information: the unit is being stopped that way (SIGTERM, SIGINT,
	 * then FORCE at the time-out, and the runner exits without waiting for ENDED).
	 */
	GHVM_LINK_STOP = 23,
	/* m>r  u32 serial, u8 flags, enum ghvm_link_console; earlier managers sent no flags */
	GHVM_LINK_CONSOLE = 24,
	/*
	 * r>m  u32 serial, string "", u32 errno; a stream socket, or none. Without flags no errno
	 * either. Earlier runners send the path and descriptor of a pty.
	 */
	GHVM_LINK_CONSOLE_IS = 25,
	GHVM_LINK_PING = 26, /* both u32 serial */
	GHVM_LINK_PONG = 27,
	/* both u32 label; 1 descriptor: memory of a region. m>r: keep it; r>m answers REGION_FDS */
	GHVM_LINK_REGION_FD = 28,
	GHVM_LINK_REGION_GONE = 29, /* m>r  u32 label: forget its memory */
	GHVM_LINK_REGION_FDS = 30,  /* m>r  nothing: send a REGION_FD for each region */
	GHVM_LINK_SENT_FDS = 31,    /* m>r  nothing: send a SENT_FD for each sent file */
	GHVM_LINK_SENT_FD = 32,	    /* r>m  u8 kind: KERNEL or INITRD; 1 descriptor */
	/* m>r  u32 serial; r>m  u32 serial, u16 n, n * struct ghvm_link_device. Earlier runners do not answer */
	GHVM_LINK_DEVICES = 33,
};

/* In place of a run state: the guest runs, and has not fed its watchdog. */
#define GHVM_LINK_BITTEN (1ULL << 32)

/* kinds of files that a helper gives */
enum ghvm_link_kind {
	GHVM_LINK_MEMORY = 1, /* index: the plan's parcel */
	GHVM_LINK_KERNEL = 2,
	GHVM_LINK_INITRD = 3,
	GHVM_LINK_OVERLAY = 4,
	GHVM_LINK_LOG = 5,    /* console log; index 0 is appended to, the others are older */
	GHVM_LINK_SOCKET = 6, /* O_PATH descriptor of the socket of a device's back-end */
	GHVM_LINK_DISK = 7,  /* likewise, of the storage daemon that the helper starts for a disk */
	GHVM_LINK_VSOCK = 8, /* the host's vhost-vsock, which has the CID of the VM */
	GHVM_LINK_KINDS,
};

/* what the runner does when its guest has ended */
enum ghvm_link_action {
	GHVM_LINK_EXIT_OK = 0,	    /* exit 0 */
	GHVM_LINK_EXIT_FAILED = 1,  /* exit 1 */
	GHVM_LINK_EXIT_RESTART = 2, /* exit 133: systemd restarts the unit */
	GHVM_LINK_EXIT_STOP = 3,    /* exit 134: systemd does not */
	GHVM_LINK_WAIT = 4,	    /* reboot in place: REBUILT follows */
};

enum ghvm_link_console {
	GHVM_LINK_CONSOLE_FORCE = 1,	 /* disconnect the present client */
	GHVM_LINK_CONSOLE_READ_ONLY = 2, /* one of possibly several readers */
};

enum ghvm_link_how {
	GHVM_LINK_GRACEFUL = 0, /* power key, then force at the time-out */
	GHVM_LINK_FORCE = 1,
	GHVM_LINK_REBOOT = 2,
};

enum ghvm_link_device_state {
	GHVM_LINK_DEVICE_SIMPLE = 0,  /* only registers */
	GHVM_LINK_DEVICE_IDLE = 1,    /* virtio: no driver is ready */
	GHVM_LINK_DEVICE_RUNNING = 2, /* virtio: the driver is ready */
	GHVM_LINK_DEVICE_BROKEN = 3,  /* virtio: waits for the driver's reset */
	GHVM_LINK_DEVICE_STATES,
};

enum ghvm_link_backend {
	GHVM_LINK_BACKEND_NONE = 0, /* the runner itself serves the device */
	GHVM_LINK_BACKEND_CONNECTED = 1,
	GHVM_LINK_BACKEND_AWAY = 2, /* requests wait until it is back */
	GHVM_LINK_BACKENDS,
};

#define GHVM_LINK_DEVICES_MAX 64

/**
 * struct ghvm_link_device - what a runner says of a device
 * @kind: name, as in ghvm_device_kinds
 * @nth, @ipa, @doorbell: see struct ghvm_plan_device
 * @state, @backend: of the enums above
 * @n_queues: that it has; @n_ready: that the driver has set up
 * @requests, @from_guest, @to_guest, @errors: since the start of the runner: requests served, their bytes, and how
 *     many the device has answered with an error
 * @faults: how often registers or rings were such as no driver writes; @losses: of its back-end
 *
 * In messages: the kind as a string, then u16 nth, u64 ipa, u32 doorbell, u8 state, u8 backend, u16 n_queues,
 * u16 n_ready, and the six counts, u64 each.
 */
struct ghvm_link_device {
	char kind[16];
	uint16_t nth;
	uint64_t ipa;
	uint32_t doorbell;
	enum ghvm_link_device_state state;
	enum ghvm_link_backend backend;
	uint16_t n_queues;
	uint16_t n_ready;
	uint64_t requests;
	uint64_t from_guest;
	uint64_t to_guest;
	uint64_t errors;
	uint64_t faults;
	uint64_t losses;
};

/**
 * struct ghvm_link_message - one message received
 * @payload: points into @buf
 * @pid, @uid, @gid: of the sender according to the kernel; @pid 0 unless the socket has SO_PASSCRED
 * @fds: owned; take one over by setting it to -1
 */
struct ghvm_link_message {
	uint32_t type;
	struct ghvm_get payload;
	pid_t pid;
	uid_t uid;
	gid_t gid;
	int fds[GHVM_LINK_FDS_MAX];
	size_t n_fds;
	uint8_t buf[GHVM_LINK_MAX];
};

/* Close the remaining descriptors without blocking (foreign.h). */
void ghvm_link_message_done(struct ghvm_link_message *m);

/**
 * ghvm_link_send() - send a message
 * @payload: may be NULL; @fds: borrowed, may be NULL if @n_fds is 0
 * Return: 0; -EPIPE the peer is gone; -EMSGSIZE; an errno of ghvm_link_try_later().
 */
int ghvm_link_send(int sock, uint32_t type, const struct ghvm_put *payload, const int *fds,
		   size_t n_fds);

/*
 * True for -EAGAIN, -ENOBUFS and the like: the message was not sent but can be later; the peer is
 * not gone.
 */
bool ghvm_link_try_later(int r);

/*
 * As ghvm_link_send() on a blocking socket, repeated for at most @ms while ghvm_link_try_later().
 */
int ghvm_link_send_within(int sock, uint32_t type, const struct ghvm_put *payload, const int *fds,
			  size_t n_fds, unsigned int ms);

/**
 * ghvm_link_recv() - receive a message; descriptors are close-on-exec
 * @ret: if 1 is returned the caller calls ghvm_link_message_done()
 * Return: 1; 0 end of file; -EBADMSG truncated, or another version; -EMFILE truncated because
 * this process cannot open more descriptors, which is not the peer's fault; an errno of
 * ghvm_link_try_later(), of which -EAGAIN means that there is no message. On failure descriptors
 * were closed.
 */
int ghvm_link_recv(int sock, struct ghvm_link_message *ret);

/* Receive with each message the PID, UID and GID of its sender. Before the peer sends any. */
int ghvm_link_ask_sender(int sock);

/* The kind of the file GHVM_LINK_SENT_NAME with @rest; 0: none. */
enum ghvm_link_kind ghvm_link_sent_kind(const char *rest);
/* "kernel" or "initrd"; NULL: files of that kind are not kept. */
const char *ghvm_link_sent_rest(enum ghvm_link_kind kind);

/* i32 negative errno; a number that is no errno becomes -EIO. */
int ghvm_link_get_errno(struct ghvm_get *g);

/* u16 n, n devices; @n is at most GHVM_LINK_DEVICES_MAX. */
void ghvm_link_put_devices(struct ghvm_put *w, const struct ghvm_link_device *v, size_t n);

/**
 * ghvm_link_get_devices() - the same from a runner, which is not trusted
 *
 * Return: their number; -EBADMSG more than that, an enum that there is not, or a kind that is more than
 * lower-case letters, digits and '-'. What comes after the devices is not read.
 */
int ghvm_link_get_devices(struct ghvm_get *g, struct ghvm_link_device ret[GHVM_LINK_DEVICES_MAX]);

/* u16 length and bytes. get: NUL-terminated in @ret; the cursor goes bad if it does not fit. */
void ghvm_link_put_string(struct ghvm_put *w, const char *s);
void ghvm_link_get_string(struct ghvm_get *g, char *ret, size_t cap);
