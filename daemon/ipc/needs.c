/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The needs of a descriptor, and their wire format.
 *
 * A path is never sent: it would make a privileged helper open it on behalf of a less privileged
 * process.
 */
#include "daemon/ipc/needs.h"

#include "libghvm/spec/paths.h"

static void add_file(struct ghvm_need *ret, size_t *n, enum ghvm_link_kind kind, const char *key,
		     const char *path)
{
	if (path)
		ret[(*n)++] = (struct ghvm_need){ .kind = kind, .key = key, .path = path };
}

static void add_memory(struct ghvm_need *ret, size_t *n, const char *key, uint64_t size,
		       enum ghvm_hugepages pages)
{
	ret[*n] = (struct ghvm_need){
		.kind = GHVM_LINK_MEMORY,
		.index = (uint16_t)*n, /* memory comes first */
		.hugepages = (uint8_t)pages,
		.size = size,
		.key = key,
	};
	(*n)++;
}

/*
 * In the order of the plan: regions with an address first. Preallocated huge pages are for RAM;
 * regions are small.
 */
static void add_regions(const struct ghvm_spec *spec, struct ghvm_need *ret, size_t *n)
{
	enum ghvm_hugepages pages = spec->hugepages == GHVM_HUGEPAGES_NEVER ? GHVM_HUGEPAGES_NEVER
									    : GHVM_HUGEPAGES_AUTO;

	for (unsigned int placed = 0; placed < 2; placed++)
		for (size_t i = 0; i < spec->n_regions; i++)
			if ((spec->regions[i].address == 0) == (placed == 1))
				add_memory(ret, n, "regions", spec->regions[i].size, pages);
}

static void add_sockets(const struct ghvm_spec *spec, struct ghvm_need *ret, size_t *n)
{
	const size_t count = ghvm_spec_count_vhost(spec);

	for (size_t i = 0; i < count; i++)
		ret[(*n)++] = (struct ghvm_need){
			.kind = GHVM_LINK_SOCKET,
			.index = (uint16_t)i,
			.key = "devices[].vhost-user.socket",
			.path = spec->vhost[i].socket,
		};
}

static void add_disks(const struct ghvm_spec *spec, struct ghvm_need *ret, size_t *n)
{
	const size_t count = ghvm_spec_count_disks(spec);

	for (size_t i = 0; i < count; i++)
		ret[(*n)++] = (struct ghvm_need){
			.kind = GHVM_LINK_DISK,
			.index = (uint16_t)i,
			.key = SPEC_DISK_IMAGE,
			.path = spec->disks[i].image,
		};
}

/* A file of the kernel, which no descriptor names. */
static void add_vsock(struct ghvm_need *ret, size_t *n)
{
	ret[(*n)++] = (struct ghvm_need){
		.kind = GHVM_LINK_VSOCK,
		.key = "devices[].vsock",
	};
}

static void add_logs(struct ghvm_need *ret, size_t *n, unsigned int count)
{
	for (unsigned int i = 0; i < count && i < GHVM_SPEC_LOGS_MAX; i++)
		ret[(*n)++] = (struct ghvm_need){
			.kind = GHVM_LINK_LOG,
			.index = (uint16_t)i,
			.key = "devices[].console",
		};
}

size_t ghvm_needs_of(const struct ghvm_spec *spec, struct ghvm_need ret[GHVM_NEEDS_MAX])
{
	size_t n = 0;

	add_memory(ret, &n, "memory.size", spec->memory, spec->hugepages);
	add_regions(spec, ret, &n);
	add_file(ret, &n, GHVM_LINK_KERNEL, "kernel.image", spec->kernel);
	add_file(ret, &n, GHVM_LINK_INITRD, "kernel.initrd", spec->initrd);
	add_file(ret, &n, GHVM_LINK_OVERLAY, "kernel.dtb-overlay", spec->dtb_overlay);
	add_sockets(spec, ret, &n);
	add_disks(spec, ret, &n);
	if (spec->vsock)
		add_vsock(ret, &n);
	if (spec->console && spec->logging == GHVM_LOGGING_FILE)
		add_logs(ret, &n, spec->log_count);
	return n;
}

/* u8 kind, u8 hugepages, u16 index, u64 size, key */
void ghvm_need_put(struct ghvm_put *w, const struct ghvm_need *n)
{
	ghvm_put_u8(w, (uint8_t)n->kind);
	ghvm_put_u8(w, n->hugepages);
	ghvm_put_u16(w, n->index);
	ghvm_put_u64(w, n->size);
	ghvm_link_put_string(w, n->key);
}

void ghvm_need_get(struct ghvm_get *g, struct ghvm_need *ret, char key[GHVM_NEED_KEY_SIZE])
{
	*ret = (struct ghvm_need){ .kind = (enum ghvm_link_kind)ghvm_get_u8(g), .key = key };
	ret->hugepages = ghvm_get_u8(g);
	ret->index = ghvm_get_u16(g);
	ret->size = ghvm_get_u64(g);
	ghvm_link_get_string(g, key, GHVM_NEED_KEY_SIZE);
}
