/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ghvm-model: options of the program. */
#include "tests/model/sock/server.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM_MIN_MIB 16
#define RAM_MAX_MIB 32768
#define SEED 0x6768766d6d6f6465ULL

static const char help[] =
	"Usage: ghvm-model [OPTION]... SOCKET\n"
	"A model of the Gunyah hypervisor: use unix:SOCKET instead of /dev/ghvm.\n"
	"\n"
	"      --control=PATH        also accept commands on this socket\n"
	"      --generation=NAME     debug (default), open-2023, android14 or v17: image by\n"
	"                            SHARE or not, size of RM's heap, capability ids, LEND\n"
	"                            that does not unmap. Of the messages that only\n"
	"                            android14 or v17 have, VM_SET_DEMAND_PAGING is refused\n"
	"      --firmware=FILE       what RM has for guests with auth type 2; without it nothing.\n"
	"                            Images are authentic that are signed for PAS id 28, but\n"
	"                            with debug and open-2023, which authenticate none\n"
	"      --ram=MIB             memory to lend from (default 8192)\n"
	"      --fragment=N          scatter it: at most N contiguous pages\n"
	"      --cpus=N              of the host (default 4)\n"
	"      --first-vmid=N        that is allocated (default 0x80; one SoC was seen with 45)\n"
	"      --delay=MS            of a reset, and of the end of a guest (default 25)\n"
	"      --late-stop           answer a forced VM_STOP first, and end the guest after the\n"
	"                            delay; else it has ended before the answer, as with the\n"
	"                            real resource manager\n"
	"      --trace               print RM's messages to standard error\n"
	"  -h, --help                this\n"
	"\n"
	"Guests are not machine code. RM starts an arm64 Image header (64 bytes) followed by\n"
	"a text: the line GHVM-SCRIPT, then one operation per line:\n"
	"  print TEXT        write it to the UART, with a new line\n"
	"  read              take a character from the UART\n"
	"  expect TEXT       take lines from the UART until one is TEXT\n"
	"  wfi               wait for any doorbell\n"
	"  sleep MS\n"
	"  powerkey          wait for the power key, then off\n"
	"  mmio-read ADDR SIZE, mmio-write ADDR SIZE VALUE\n"
	"  loop N, forever   run, and exit without a reason\n"
	"  cpu-on N          start vCPU N; its lines follow a line \"cpu N\"\n"
	"  cpu-off           this vCPU, until another turns it on\n"
	"  echo TEXT         send back what is typed, up to a line TEXT\n"
	"  crash-message TEXT  leave it for the owner (SET_CRASH_MSG); \\e is an escape character\n"
	"  mem-accept [LABEL]   wait until memory is shared by MEM_SHARED, of this label or any;\n"
	"                    accept it at the address that its tag asks for, and say so\n"
	"  mem-release [LABEL]  wait until it is recalled; release it, and say so\n"
	"  mem-serve, mem-keep  accept all that is shared, for ever; and release what is\n"
	"                    recalled, or keep it\n"
	"  mem-write ADDR VALUE, mem-await ADDR VALUE\n"
	"                    a word (32 bits) of its memory: write it; wait until it is that\n"
	"  started-with REGISTER VALUE\n"
	"                    pc, x0 to x30, sp0 or sp1: a fault unless that was its value\n"
	"  off, reset, fault\n"
	"  watchdog-bite     RM ends it by its watchdog\n"
	"  fault-loop        an exception loop: a debug image reports a fault; with any\n"
	"                    other the guest spins for ever\n"
	"At its end a guest is off. mem- lines and crash-message need a link to RM (rm-rpc), else "
	"they fault, as\n"
	"they do if RM refuses, or the address is not mapped, or not so.\n"
	"\n"
	"Commands of the control socket, answered by a line \"ok\" or \"error ...\":\n"
	"  counts                         what there is, as key=value\n"
	"  fail OP ERRNO [NTH [CLIENT]]   the nth such operation of a client fails; OP: info\n"
	"                                 hcall irq pin pin-status pin-extents pin-set\n"
	"                                 pin-write grant revoke quarantine-list\n"
	"                                 quarantine-adopt any; CLIENT: count those of a\n"
	"                                 manager, or of a runner\n"
	"  kill-client [NTH [CLIENT]]     SIGKILL the client of the nth request, before it\n"
	"  kill-client-after [NTH [CLIENT]]\n"
	"                                 the same after it is done, before the answer\n"
	"  spare PID                      that process's requests count for no fault\n"
	"  no-fault                       cancel fail and kill-client; an error: they struck\n"
	"  refuse MESSAGE STATUS [NTH]    RM refuses the nth such message, e.g. MEM_LEND 1\n"
	"  drop MESSAGE [NTH]             it is lost: RM neither does nor answers it\n"
	"  mute MESSAGE [NTH]             RM does it, but does not answer\n"
	"  reply MESSAGE HEX [NTH]        RM does it, but answers this\n"
	"  obstacle NUMBER|assign         what is in the way of guests here (GHVM_OBSTACLE_*,\n"
	"                                 or a firmware that this kernel cannot serve)\n"
	"  drop-end [NTH]                 RM is not told of the nth end of a guest (off,\n"
	"                                 reset or fault): it is lost in the hypervisor\n"
	"  lie MESSAGE OFFSET HEX [NTH]   RM does it, but these bytes of its answer differ\n"
	"  delay MS                       RM reads nothing for this time\n"
	"  hold on|off                    RM reads nothing\n"
	"  kill-rm                        RM never answers again, as when the real one\n"
	"                                 dies; what comes back is another model\n"
	"  quit\n";

#define FIRMWARE_MAX 0x10000
#define PAS_ID 28 /* images are signed for it */

static const struct generation {
	const char *name;
	bool production;
	bool presplit_quirk;
	bool boot_context;
	bool address_layout;
	bool watchdog;
	uint32_t pas_id;
	uint64_t random;
} generations[] = {
	{ "debug", false, true, false, false, false, 0, 0 },
	{ "open-2023", true, true, false, false, false, 0, SEED },
	{ "android14", true, false, true, false, true, PAS_ID, SEED },
	{ "v17", true, false, true, true, true, PAS_ID, SEED },
};

static int bad_value(const char *what, const char *value)
{
	fprintf(stderr, "ghvm-model: %s: '%s' is not a valid value\n", what, value);
	return -EINVAL;
}

static int take_number(const char *what, const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno || end == s || *end || *s == '-' || v < min || v > max)
		return bad_value(what, s);
	*ret = v;
	return 0;
}

static int take_firmware(struct options *o, const char *path)
{
	FILE *f = fopen(path, "re");

	o->firmware = calloc(1, FIRMWARE_MAX);
	if (!f || !o->firmware) {
		if (f)
			(void)fclose(f); /* was read only */
		return bad_value("--firmware", path);
	}
	o->firmware_size = fread(o->firmware, 1, FIRMWARE_MAX, f);
	(void)fclose(f);
	return o->firmware_size ? 0 : bad_value("--firmware", path);
}

static int take_generation(struct options *o, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(generations); i++) {
		const struct generation *g = &generations[i];

		if (strcmp(g->name, name) != 0)
			continue;
		o->production = g->production;
		o->presplit_quirk = g->presplit_quirk;
		o->boot_context = g->boot_context;
		o->address_layout = g->address_layout;
		o->watchdog = g->watchdog;
		o->pas_id = g->pas_id;
		o->random = g->random;
		return 0;
	}
	return bad_value("--generation", name);
}

enum option_number {
	OPT_CONTROL = 256,
	OPT_GENERATION,
	OPT_FIRMWARE,
	OPT_RAM,
	OPT_FRAGMENT,
	OPT_CPUS,
	OPT_FIRST_VMID,
	OPT_DELAY,
	OPT_LATE_STOP,
	OPT_TRACE
};

static const struct option long_options[] = {
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "generation", required_argument, NULL, OPT_GENERATION },
	{ "firmware", required_argument, NULL, OPT_FIRMWARE },
	{ "ram", required_argument, NULL, OPT_RAM },
	{ "fragment", required_argument, NULL, OPT_FRAGMENT },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "first-vmid", required_argument, NULL, OPT_FIRST_VMID },
	{ "delay", required_argument, NULL, OPT_DELAY },
	{ "late-stop", no_argument, NULL, OPT_LATE_STOP },
	{ "trace", no_argument, NULL, OPT_TRACE },
	{ "help", no_argument, NULL, 'h' },
	{},
};

static int take_option(struct options *o, int c)
{
	uint64_t v = 0;
	int r = 0;

	switch (c) {
	case OPT_CONTROL:
		o->control = optarg;
		return 0;
	case OPT_GENERATION:
		return take_generation(o, optarg);
	case OPT_FIRMWARE:
		return take_firmware(o, optarg);
	case OPT_RAM:
		r = take_number("--ram", optarg, RAM_MIN_MIB, RAM_MAX_MIB, &v);
		o->ram = GHVM_MIB(v);
		return r;
	case OPT_FRAGMENT:
		return take_number("--fragment", optarg, 1, UINT32_MAX, &o->fragment);
	case OPT_CPUS:
		r = take_number("--cpus", optarg, 1, 64, &v);
		o->cpus = (unsigned int)v;
		return r;
	case OPT_FIRST_VMID:
		r = take_number("--first-vmid", optarg, 4, 254, &v);
		o->first_vmid = (uint16_t)v;
		return r;
	case OPT_DELAY:
		return take_number("--delay", optarg, 0, 60000, &o->delay_ms);
	case OPT_LATE_STOP:
		o->late_stop = true;
		return 0;
	case OPT_TRACE:
		o->trace = true;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Return: 1, go on; 0, help was printed; or a negative errno. */
static int parse_options(struct options *o, int argc, char **argv)
{
	int c, r;

	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		r = take_option(o, c);
		if (r < 0)
			return r;
	}
	if (optind != argc - 1) {
		fputs("ghvm-model: one socket is needed; see --help\n", stderr);
		return -EINVAL;
	}
	o->path = argv[optind];
	return 1;
}

int main(int argc, char **argv)
{
	static struct server s;
	static struct options o = { .ram = GHVM_GIB(8), .delay_ms = 25, .cpus = 4 };
	int r;

	(void)take_generation(&o, "debug"); /* exists */
	r = parse_options(&o, argc, argv);
	if (r <= 0)
		return r < 0 ? 2 : 0;
	r = server_init(&s, &o);
	if (r < 0) {
		fprintf(stderr, "ghvm-model: %s: %s\n", o.path, strerror(-r));
		return 1;
	}
	r = server_run(&s);
	server_done(&s);
	if (r < 0)
		fprintf(stderr, "ghvm-model: %s\n", strerror(-r));
	return r < 0 ? 1 : 0;
}
