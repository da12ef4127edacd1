/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HELLO, NEED, GIVE..., GIVEN, STORE..., BUILT (daemon/ipc/protocol.h).
 *
 * Each file descriptor is closed immediately after it was sent, because the helper must not keep access to
 * memory that will be lent.
 */
#include "daemon/prepare/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "daemon/prepare/backing.h"
#include "daemon/prepare/descriptor.h"
#include "daemon/prepare/disk/serve.h"
#include "daemon/prepare/files.h"
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/permanent.h"
#include "daemon/ipc/protocol.h"
#include "libghvm/spec/files.h"
#include "libghvm/spec/paths.h"

#define SILENT_MS 5000
#define SEND_MS 10000 /* for the kernel to have memory for a message */

static int report_lost(int r, struct ghvm_error *err)
{
	if (r == 0)
		return ghvm_error_set(err, -EPIPE, "lost the manager");
	return ghvm_error_set(err, r, "cannot talk to the manager: %s", strerror(-r));
}

static int send_hello(struct session *s, struct ghvm_error *err)
{
	uint8_t buf[64];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r;

	ghvm_link_put_string(&w, s->name);
	r = ghvm_link_send_within(s->sock, GHVM_LINK_HELLO, &w, NULL, 0, SEND_MS);
	return r < 0 ? report_lost(r, err) : 0;
}

/* Log to the unit's journal what the helper waits for. */
static void log_wait(struct session *s)
{
	struct pollfd p = { .fd = s->sock, .events = POLLIN };

	if (poll(&p, 1, SILENT_MS) != 0)
		return;
	if (s->heard)
		fprintf(stderr, SD_INFO "Waiting for the manager to build the VM\n");
	else
		fprintf(stderr, SD_NOTICE "Waiting for a reply from the manager; see "
					  "systemctl status gunyah-vmd\n");
}

/* Receive the next message. Return: 0, with *ret owned by the caller; negative errno. */
static int receive_message(struct session *s, struct ghvm_link_message *ret, struct ghvm_error *err)
{
	int r;

	log_wait(s);
	do
		r = ghvm_link_recv(s->sock, ret);
	while (ghvm_link_try_later(r));
	s->heard = true;
	return r == 1 ? 0 : report_lost(r, err);
}

/* i32 errno, u8 permanent, text */
static int take_error(struct ghvm_link_message *m, struct ghvm_error *err)
{
	int code = ghvm_link_get_errno(&m->payload);
	uint8_t permanent = ghvm_get_u8(&m->payload);
	char text[GHVM_ERROR_TEXT];

	ghvm_link_get_string(&m->payload, text, sizeof(text));
	if (m->payload.bad)
		return ghvm_error_set(err, -EBADMSG, "malformed error from the manager");
	(void)ghvm_error_set(err, code, "%s",
			     *text ? text : "the manager refused without a reason");
	return permanent ? SESSION_REFUSED : err->code;
}

/* Log what the memory consists of. The manager logs the final numbers of the pin. */
static void log_backing(const struct ghvm_need *n, const char *name, const struct backing_result *b)
{
	if (b->pieces)
		fprintf(stderr,
			SD_INFO "Memory %s: %llu KiB in %llu pieces, %llu of %llu huge pages\n",
			name, (unsigned long long)(n->size >> 10), (unsigned long long)b->pieces,
			(unsigned long long)b->huge, (unsigned long long)b->chunks);
	if (n->hugepages == GHVM_HUGEPAGES_AUTO && b->huge < b->chunks)
		fprintf(stderr,
			SD_WARNING
			"Memory %s: only %llu of %llu huge pages available; the rest is"
			" small pages, which need many entries of the resource manager\n",
			name, (unsigned long long)b->huge, (unsigned long long)b->chunks);
}

static int give_memory(const struct ghvm_need *n, struct ghvm_error *err)
{
	struct backing_result result;
	char name[32] = "ram";
	int fd;

	if (n->index)
		(void)snprintf(name, sizeof(name), "region-%u", n->index);
	fd = backing_make(name, n->size, (enum ghvm_hugepages)n->hugepages, &result, err);
	if (fd >= 0)
		log_backing(n, name, &result);
	return fd;
}

/* On failure the guest runs without a log. */
static int give_log(const struct session *s, unsigned int nth)
{
	struct ghvm_error err = {};
	uint32_t uid = s->sent_by;
	int fd = s->descriptor.sent || descriptor_definer(&s->descriptor, s->name, &uid)
			 ? files_open_user_log(s->log_dir, uid, s->name, nth, &err)
			 : files_open_log(s->log_dir, s->name, nth, &err);

	if (fd < 0) {
		fprintf(stderr, SD_WARNING "Cannot open the console log: %s\n", err.msg);
		fd = open("/dev/null", O_RDWR | O_APPEND | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/* The runner connects to it, with its own rights. */
static int give_socket(const struct session *s, const struct ghvm_need *n, struct ghvm_error *err)
{
	const struct ghvm_spec *spec = &s->descriptor.spec;
	const struct ghvm_spec_place *place = spec_device_place(spec, n->key, n->index);
	int fd;

	if (!place)
		return ghvm_error_set(err, -EBADMSG, "%s: the descriptor has no such path", n->key);
	fd = files_open_socket(place->key, n->path, &spec->owners[place->file], err);
	if (fd < 0)
		ghvm_spec_locate(spec, err);
	return fd;
}

/* Its image is opened with the rights of the descriptor's owner; its storage daemon then sees nothing else. */
static int give_disk(const struct session *s, const struct ghvm_need *n, struct ghvm_error *err)
{
	const struct ghvm_spec *spec = &s->descriptor.spec;
	const struct ghvm_spec_place *place = spec_device_place(spec, n->key, n->index);
	const struct ghvm_spec_owner *owner = place ? &spec->owners[place->file] : NULL;
	struct disk disk = {
		.dir = s->disk_dir,
		.vm = s->name,
		.nth = n->index,
		.spec = &spec->disks[n->index],
		.key = place ? place->key : n->key,
	};
	int r;

	if (!owner)
		return ghvm_error_set(err, -EBADMSG, "%s: the descriptor has no such path", n->key);
	r = s->store->keep ? 0 : disk_enter_host(); /* without systemd there is no other place */
	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot reach the mounts of the host: %s",
				      disk.key, strerror(-r));
	disk.image = disk.spec->readonly ? files_open(disk.key, n->path, owner, err)
					 : files_open_writable(disk.key, n->path, owner, err);
	r = disk.image < 0 ? disk.image : disk_start(&disk, err);
	closep(&disk.image);
	if (r < 0)
		ghvm_spec_locate(spec, err);
	return r;
}

static int give_vsock(const struct session *s, struct ghvm_error *err)
{
	const struct ghvm_spec *spec = &s->descriptor.spec;
	const unsigned int cid = ghvm_spec_cid(spec);
	const struct ghvm_spec_place *place = spec_device_place(spec, "devices[].vsock", 0);
	const char *key = place ? place->key : "devices[].vsock";
	char holder[GHVM_NAME_SIZE];
	int fd = files_open_vsock(key, cid, err);

	if (fd == -EADDRINUSE) {
		spec_find_cid(spec, s->vms_dirs, holder);
		(void)ghvm_error_set(err, fd,
				     "%s: the CID %u is taken%s%s: give this VM another one with "
				     "the key cid",
				     key, cid, *holder ? ", perhaps by the VM " : "", holder);
	}
	if (fd < 0)
		ghvm_spec_locate(spec, err);
	return fd;
}

static int make_file(const struct session *s, const struct ghvm_need *n, struct ghvm_error *err)
{
	const struct ghvm_spec_owner *owner;
	int fd;

	if (n->kind == GHVM_LINK_MEMORY)
		return give_memory(n, err);
	if (n->kind == GHVM_LINK_LOG)
		return give_log(s, n->index);
	if (n->kind == GHVM_LINK_SOCKET)
		return give_socket(s, n, err);
	if (n->kind == GHVM_LINK_DISK)
		return give_disk(s, n, err);
	if (n->kind == GHVM_LINK_VSOCK)
		return give_vsock(s, err);
	owner = spec_path_owner(&s->descriptor.spec, n->key);
	if (!owner)
		return ghvm_error_set(err, -EBADMSG, "%s: the descriptor has no such path", n->key);
	fd = files_open(n->key, n->path, owner, err);
	if (fd < 0)
		ghvm_spec_locate(&s->descriptor.spec, err);
	return fd;
}

/* u8 kind, u8 0, u16 index; the file descriptor */
static int give_file(struct session *s, const struct ghvm_need *n, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = make_file(s, n, err);
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r;

	if (fd < 0)
		return fd;
	ghvm_put_u8(&w, n->kind);
	ghvm_put_zero(&w, 1);
	ghvm_put_u16(&w, n->index);
	r = ghvm_link_send_within(s->sock, GHVM_LINK_GIVE, &w, &fd, 1, SEND_MS);
	return r < 0 ? report_lost(r, err) : 0;
}

static int add_want(const struct ghvm_need *n, struct room_want *want, struct ghvm_error *err)
{
	uint64_t *sum = &want->pages;

	if (n->kind != GHVM_LINK_MEMORY)
		return 0;
	if (n->hugepages == GHVM_HUGEPAGES_2M)
		sum = &want->pool_2m;
	else if (n->hugepages == GHVM_HUGEPAGES_1G)
		sum = &want->pool_1g;
	if (n->size > UINT64_MAX - *sum)
		return ghvm_error_set(err, -EINVAL, "%s: too much memory", n->key);
	*sum += n->size;
	return 0;
}

/* u16 n, n * need. @ret: the matching needs of the helper's own copy of the descriptor */
static int get_needs(struct session *s, struct ghvm_get *g, const struct ghvm_need **ret,
		     size_t *ret_n, struct ghvm_error *err)
{
	const uint16_t count = ghvm_get_u16(g);
	char key[GHVM_NEED_KEY_SIZE];
	struct ghvm_need asked;
	int r;

	if (count > GHVM_NEEDS_MAX)
		return ghvm_error_set(err, -EBADMSG,
				      "the manager requested %u files, at most %d are possible",
				      count, GHVM_NEEDS_MAX);
	for (uint16_t i = 0; i < count; i++) {
		ghvm_need_get(g, &asked, key);
		if (g->bad)
			return ghvm_error_set(err, -EBADMSG, "malformed request from the manager");
		r = descriptor_find(&s->descriptor, &asked, &ret[i], err);
		if (r < 0)
			return r;
	}
	*ret_n = count;
	return 0;
}

/* Check the memory for all needs before populating any. */
static int check_room(struct session *s, const struct ghvm_need *const *needs, size_t n,
		      struct ghvm_error *err)
{
	struct ghvm_room_sources from = ghvm_room_sources_default();
	struct room_want want = {};
	int r;

	for (size_t i = 0; i < n; i++) {
		r = add_want(needs[i], &want, err);
		if (r < 0)
			return r;
	}
	return room_check(s->room ? s->room : &from, &want, err);
}

static int give_all(struct session *s, struct ghvm_link_message *m, struct ghvm_error *err)
{
	const struct ghvm_need *needs[GHVM_NEEDS_MAX];
	size_t n = 0;
	int r;

	r = get_needs(s, &m->payload, needs, &n, err);
	if (r == 0)
		r = check_room(s, needs, n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = give_file(s, needs[i], err);
	if (r < 0)
		return r;
	r = ghvm_link_send_within(s->sock, GHVM_LINK_GIVEN, NULL, NULL, 0, SEND_MS);
	return r < 0 ? report_lost(r, err) : 0;
}

/* u16 n, n * name; n file descriptors */
static int store_all(struct session *s, struct ghvm_link_message *m, struct ghvm_error *err)
{
	uint16_t count = ghvm_get_u16(&m->payload);
	char name[STORE_NAME_SIZE];
	int r;

	if (m->payload.bad || count != m->n_fds)
		return ghvm_error_set(err, -EBADMSG,
				      "malformed list of file descriptors from the manager");
	for (uint16_t i = 0; i < count; i++) {
		ghvm_link_get_string(&m->payload, name, sizeof(name));
		if (m->payload.bad)
			return ghvm_error_set(
				err, -EBADMSG,
				"malformed name of a file descriptor from the manager");
		if (!descriptor_stores(&s->descriptor, name))
			return ghvm_error_set(err, -EBADMSG,
					      "the manager sent '%s', which a runner of this "
					      "descriptor does not need",
					      name);
		r = store_add(s->store, name, TAKE_FD(m->fds[i]), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void forget_regions(struct session *s)
{
	for (size_t i = 0; i < s->descriptor.spec.n_regions; i++)
		store_forget_region(s->store, s->descriptor.spec.regions[i].label);
}

/* u32 uid of the client, not of earlier managers; a file descriptor. Errors are those of the descriptor, told at NEED. */
static int take_spec(struct session *s, struct ghvm_link_message *m, struct ghvm_error *err)
{
	const struct ghvm_spec_owner from = { .uid = m->uid, .gid = m->gid };

	if (m->n_fds != 1 || !m->pid || s->descriptor.sent)
		return ghvm_error_set(err, -EBADMSG, "malformed descriptor from the manager");
	s->sent_by = ghvm_get_u32(&m->payload);
	if (m->payload.bad)
		s->sent_by = m->uid;
	descriptor_take(&s->descriptor, s->name, m->fds[0], &from);
	forget_regions(s);
	return 0;
}

/* Return: 0: continue until *built; otherwise the result of the session. */
static int handle_message(struct session *s, struct ghvm_link_message *m, bool *built,
			  struct ghvm_error *err)
{
	switch (m->type) {
	case GHVM_LINK_SPEC:
		return take_spec(s, m, err);
	case GHVM_LINK_NEED:
		return give_all(s, m, err);
	case GHVM_LINK_STORE:
		return store_all(s, m, err);
	case GHVM_LINK_BUILT:
		*built = true;
		return store_sync(s->store, err);
	case GHVM_LINK_ERROR:
		return take_error(m, err);
	}
	return 0;
}

/* i32 errno, u8 permanent, text. If it cannot be sent, the manager notices the end of the helper. */
static void tell_manager(struct session *s, bool permanent, const struct ghvm_error *err)
{
	uint8_t buf[GHVM_ERROR_TEXT + 16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int code =
		permanent && err->code != -EDQUOT && err->code != -EOPNOTSUPP ? -EINVAL : err->code;

	ghvm_put_u32(&w, (uint32_t)code);
	ghvm_put_u8(&w, permanent);
	ghvm_link_put_string(&w, err->msg);
	(void)ghvm_link_send_within(s->sock, GHVM_LINK_ERROR, &w, NULL, 0, SEND_MS);
}

static int step(struct session *s, bool *built, struct ghvm_error *err)
{
	struct ghvm_link_message m;
	uint32_t type;
	bool permanent;
	int r;

	r = receive_message(s, &m, err);
	if (r < 0)
		return r;
	type = m.type;
	r = handle_message(s, &m, built, err);
	ghvm_link_message_done(&m);
	if (r >= 0 || type != GHVM_LINK_NEED)
		return r;
	permanent = permanent_in(PERMANENT_HELPER, r);
	tell_manager(s, permanent, err);
	return permanent ? SESSION_REFUSED : r;
}

/* Log the error to the unit's journal, followed by all other errors in the descriptor. */
static void log_failure(const struct session *s, const struct ghvm_error *err)
{
	const struct ghvm_complaints *all = &s->descriptor.complaints;
	char text[GHVM_COMPLAINT_TEXT];

	fprintf(stderr, SD_ERR "%s\n", err->msg);
	for (size_t i = 0; i < all->n; i++) {
		(void)ghvm_complaint_text(&all->v[i], text);
		if (all->v[i].severity == GHVM_SEVERITY_ERROR &&
		    strncmp(text, err->msg, strlen(err->msg)) != 0)
			fprintf(stderr, SD_ERR "%s\n", text);
	}
}

int session_run(struct session *s, struct ghvm_error *err)
{
	bool built = false;
	int r;

	descriptor_read(&s->descriptor, s->name, s->vms_dirs);
	forget_regions(s);
	r = ghvm_link_ask_sender(s->sock);
	r = r < 0 ? report_lost(r, err) : send_hello(s, err);
	while (r == 0 && !built)
		r = step(s, &built, err);
	if (r != 0) {
		store_remove(s->store);
		log_failure(s, err);
	}
	descriptor_done(&s->descriptor);
	return r;
}
