/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens the host that a URI or a file names, and checks that this library supports it.
 */
#include "libghvm/hyp/host.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/dev.h"
#include "libghvm/hyp/obstacle.h"
#include "libghvm/hyp/sock.h"

#define DEFAULT_NODE "/dev/ghvm"
#define SOCKET_PREFIX "unix:"

static int check_host(struct ghvm_host *h, const char *name, struct ghvm_error *err)
{
	struct ghvm_info info;
	int r;

	r = h->ops->info(h, &info);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: not a node of ghvm, or a broken one: %s", name,
				      strerror(-r));
	if (info.abi != GHVM_ABI_LEVEL)
		return ghvm_error_set(err, -EPROTO,
				      "%s: the module speaks ABI level %u, this program %u", name,
				      info.abi, GHVM_ABI_LEVEL);
	return ghvm_obstacle_check(&info, name, access("/dev/kvm", F_OK) == 0, err);
}

const char *ghvm_host_path(const char *uri)
{
	if (!uri)
		return DEFAULT_NODE;
	return strncmp(uri, SOCKET_PREFIX, strlen(SOCKET_PREFIX)) ? uri
								  : uri + strlen(SOCKET_PREFIX);
}

static int open_uri(const char *uri, struct ghvm_host **ret, struct ghvm_error *err)
{
	if (!strncmp(uri, SOCKET_PREFIX, strlen(SOCKET_PREFIX)))
		return ghvm_sock_open(uri + strlen(SOCKET_PREFIX), ret, err);
	if (*uri != '/')
		return ghvm_error_set(err, -EINVAL, "%s: neither an absolute path nor unix:/path",
				      uri);
	return ghvm_dev_open(uri, ret, err);
}

int ghvm_host_open(const char *uri, struct ghvm_host **ret, struct ghvm_error *err)
{
	_cleanup_(ghvm_host_closep) struct ghvm_host *h = NULL;
	const char *name = uri ? uri : DEFAULT_NODE;
	int r;

	r = open_uri(name, &h, err);
	if (r < 0)
		return r;
	r = check_host(h, name, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(h);
	return 0;
}

int ghvm_host_from_fd(int fd, struct ghvm_host **ret, struct ghvm_error *err)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return ghvm_error_set(err, -errno, "grant file: %s", strerror(errno));
	r = S_ISSOCK(st.st_mode) ? ghvm_sock_from_fd(fd, ret) : ghvm_dev_from_fd(fd, ret);
	if (r < 0)
		return ghvm_error_set(err, r, "grant file: %s", strerror(-r));
	return 0;
}
