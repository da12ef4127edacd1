/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-NAME FOLDER ROUNDS: the corpus as it is, then each file ROUNDS times with some of its
 * bytes changed, moved, repeated or cut off. The same changes every time: a failure comes back.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

#define INPUT_MAX 65536

struct input {
	uint8_t *data;
	size_t size;
};

/* xorshift64: any number but 0 */
static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t below(uint64_t *state, size_t end)
{
	return end ? next(state) % end : 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void read_input(const char *dir, const char *name, struct input *ret)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	PROMISE(f);
	ret->data = malloc(INPUT_MAX);
	PROMISE(ret->data);
	ret->size = fread(ret->data, 1, INPUT_MAX, f);
	PROMISE(!ferror(f));
}

/* In a block of exactly its size, so that a sanitizer sees one byte too many. */
static void run(const struct input *in)
{
	uint8_t *copy = malloc(in->size ? in->size : 1);

	PROMISE(copy);
	memcpy(copy, in->data, in->size);
	PROMISE(LLVMFuzzerTestOneInput(copy, in->size) == 0);
	free(copy);
}

/* One change of @in, which has room for INPUT_MAX. */
static void change(struct input *in, uint64_t *state)
{
	static const uint8_t telling[] = { 0, 1, 0x7f, 0x80, 0xff, '\n', ' ', ':', '"', '{' };
	size_t at = below(state, in->size), n = 1 + below(state, 16);

	switch (below(state, in->size ? 6 : 1)) {
	case 0: /* longer */
		if (in->size < INPUT_MAX)
			in->data[in->size++] = (uint8_t)next(state);
		break;
	case 1: /* a bit */
		in->data[at] ^= (uint8_t)(1U << below(state, 8));
		break;
	case 2: /* a byte that means something */
		in->data[at] = telling[below(state, ARRAY_SIZE(telling))];
		break;
	case 3: /* cut out */
		n = n > in->size - at ? in->size - at : n;
		memmove(in->data + at, in->data + at + n, in->size - at - n);
		in->size -= n;
		break;
	case 4: /* said twice */
		n = n > in->size - at ? in->size - at : n;
		if (n > INPUT_MAX - in->size)
			break;
		memmove(in->data + at + n, in->data + at, in->size - at);
		in->size += n;
		break;
	default: /* cut off */
		in->size = at;
		break;
	}
}

static void run_changed(const struct input *in, unsigned long rounds)
{
	struct input work = { .data = malloc(INPUT_MAX) };
	uint64_t state = 0x9e3779b97f4a7c15ULL;

	PROMISE(work.data);
	for (unsigned long i = 0; i < rounds; i++) {
		size_t changes;

		memcpy(work.data, in->data, in->size);
		work.size = in->size;
		changes = 1 + below(&state, 4);
		while (changes--)
			change(&work, &state);
		run(&work);
	}
	free(work.data);
}

int main(int argc, char **argv)
{
	struct dirent **names;
	int n;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FOLDER ROUNDS\n", argv[0]);
		return 2;
	}
	n = scandir(argv[1], &names, is_visible, by_name);
	PROMISE(n > 0); /* a corpus that is not found tests nothing */
	run(&(struct input){ .data = (uint8_t *)argv[0] }); /* no byte at all */
	for (int i = 0; i < n; i++) {
		struct input in;

		read_input(argv[1], names[i]->d_name, &in);
		run(&in);
		run_changed(&in, strtoul(argv[2], NULL, 10));
		free(in.data);
		free(names[i]);
	}
	free(names);
	printf("%d files\n", n);
	return 0;
}
