/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams of sd_notify(3), in a thread.
 */
#include "tests/fakes/systemd.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/base/cleanup.h"

static void remove_stored(struct fake_systemd *s, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->stored[i], name))
			memmove(s->stored[kept++], s->stored[i], sizeof(s->stored[0]));
	s->n = kept;
}

static void on_notify(struct fake_systemd *s, const char *text, int n_fds)
{
	const char *name = strstr(text, "FDNAME=");
	char buf[64] = "";

	if (name)
		(void)sscanf(name, "FDNAME=%63[^\n]", buf);
	pthread_mutex_lock(&s->lock);
	if (strstr(text, "FDSTOREREMOVE=1")) {
		remove_stored(s, buf);
	} else if (strstr(text, "FDSTORE=1")) {
		s->pushes += n_fds == 1 && strstr(text, "FDPOLL=0") && s->n < FAKE_SYSTEMD_MAX;
		memcpy(s->stored[s->n++ % FAKE_SYSTEMD_MAX], buf, sizeof(buf));
	} else if (strstr(text, "BARRIER=1")) {
		s->barriers++;
	}
	pthread_mutex_unlock(&s->lock);
}

static void *systemd_main(void *data)
{
	struct fake_systemd *s = data;
	struct pollfd p[] = { { .fd = s->sock, .events = POLLIN },
			      { .fd = s->stop[0], .events = POLLIN } };

	while (poll(p, 2, -1) > 0 && !p[1].revents) {
		char text[512], control[CMSG_SPACE(sizeof(int) * 4)];
		struct iovec iov = { text, sizeof(text) - 1 };
		struct msghdr mh = { .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(s->sock, &mh, 0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		int fd = -1;

		if (n < 0)
			continue;
		text[n] = '\0';
		if (c && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		on_notify(s, text, fd >= 0);
		closep(&fd); /* closing is what a barrier waits for */
	}
	return NULL;
}

void fake_systemd_start(struct fake_systemd *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(a);

	pthread_mutex_init(&s->lock, NULL);
	s->sock = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(s->sock, (struct sockaddr *)&a, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(s->sock, (struct sockaddr *)&a, &size), 0);
	a.sun_path[0] = '@';
	a.sun_path[size - offsetof(struct sockaddr_un, sun_path)] = '\0';
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	assert_int_equal(pipe(s->stop), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, systemd_main, s), 0);
}

void fake_systemd_stop(struct fake_systemd *s)
{
	assert_int_equal(write(s->stop[1], "", 1), 1);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->stop[1]);
	close(s->sock);
	unsetenv("NOTIFY_SOCKET");
}

bool fake_systemd_has(struct fake_systemd *s, const char *name)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n; i++)
		found |= !strcmp(s->stored[i], name);
	pthread_mutex_unlock(&s->lock);
	return found;
}

size_t fake_systemd_count(struct fake_systemd *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

unsigned int fake_systemd_pushes(struct fake_systemd *s)
{
	unsigned int n;

	pthread_mutex_lock(&s->lock);
	n = s->pushes;
	pthread_mutex_unlock(&s->lock);
	return n;
}

unsigned int fake_systemd_barriers(struct fake_systemd *s)
{
	unsigned int n;

	pthread_mutex_lock(&s->lock);
	n = s->barriers;
	pthread_mutex_unlock(&s->lock);
	return n;
}
