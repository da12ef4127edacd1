// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ghvm-vsock serve PORT: gives back what comes, one connection after the other.
 * ghvm-vsock send CID PORT: sends its standard input there, and prints what comes back.
 * ghvm-vsock claim CID [SECONDS]: takes the address with this host's vhost-vsock, for that time; fails if another file has it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vhost.h>
#include <linux/vm_sockets.h> /* wants sys/socket.h before it */

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static struct sockaddr_vm address(const char *cid, const char *port)
{
	return (struct sockaddr_vm){
		.svm_family = AF_VSOCK,
		.svm_cid = cid ? (unsigned int)strtoul(cid, NULL, 10) : VMADDR_CID_ANY,
		.svm_port = (unsigned int)strtoul(port, NULL, 10),
	};
}

/* Write all of it. */
static int put(int fd, const char *from, size_t n)
{
	while (n) {
		ssize_t done = write(fd, from, n);

		if (done < 0)
			return -1;
		from += done;
		n -= (size_t)done;
	}
	return 0;
}

static void give_back(int fd)
{
	char buffer[16384];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		if (put(fd, buffer, (size_t)n) < 0)
			break;
	if (n < 0)
		perror("read");
}

static int serve(const char *port)
{
	const struct sockaddr_vm here = address(NULL, port);
	int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	if (listener < 0 || bind(listener, (const struct sockaddr *)&here, sizeof(here)) < 0 ||
	    listen(listener, 8) < 0)
		return fail("serve");
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			return fail("accept");
		give_back(fd);
		close(fd);
	}
}

/* Standard input to @fd, in a child, while the other process reads: neither waits for the other one. */
static int send_input(int fd)
{
	char buffer[16384];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0)
		if (put(fd, buffer, (size_t)n) < 0)
			return fail("write");
	return shutdown(fd, SHUT_WR) < 0 ? fail("shutdown") : 0;
}

static int exchange(const char *cid, const char *port)
{
	const struct sockaddr_vm there = address(cid, port);
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buffer[16384];
	ssize_t n;
	pid_t pid;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&there, sizeof(there)) < 0)
		return fail("connect");
	pid = fork();
	if (pid <= 0)
		return pid < 0 ? fail("fork") : send_input(fd);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		if (put(STDOUT_FILENO, buffer, (size_t)n) < 0)
			return fail("output");
	return n < 0 ? fail("read") : 0;
}

static int claim(const char *cid, const char *seconds)
{
	const uint64_t guest = strtoul(cid, NULL, 10);
	int fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &guest) < 0)
		return fail("/dev/vhost-vsock");
	if (seconds)
		sleep((unsigned int)strtoul(seconds, NULL, 10));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "send"))
		return exchange(argv[2], argv[3]);
	if (argc >= 3 && argc <= 4 && !strcmp(argv[1], "claim"))
		return claim(argv[2], argv[3]);
	fprintf(stderr, "usage: ghvm-vsock serve PORT | send CID PORT | claim CID [SECONDS]\n");
	return 2;
}
