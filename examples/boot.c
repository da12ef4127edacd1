/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Boots a protected VM with libghvm alone, and shows what its UART says.
 */
#include "libghvm/base/cleanup.h"
#include "ghvm/machine.h"
#include "ghvm/vcpu.h"

#include <err.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define UART_STATUS (GHVM_IPA_UART + 5)
#define UART_IDLE 0x60

static const char spec_text[] =
	"version: 1\nmemory: {size: 256M}\ncpus: {count: 1}\n"
	"kernel: {image: /Image, initrd: /initrd, cmdline: console=ttyS0}\n";

/* From here on the memory is the guest's alone: our last way to it goes. */
static void close_memory(void *memory)
{
	(void)close(*(int *)memory);
}

/* Until the VM has ended. @wake: told when a vCPU that waits may run again. */
static void run(struct ghvm_vcpu *v, int wake)
{
	eventfd_t n;

	while (ghvm_vcpu_run(v) == 0 && !(v->state == GHVM_VCPU_POWERED_OFF && v->for_good)) {
		if (v->state == GHVM_VCPU_MMIO_READ)
			v->read = v->ipa == UART_STATUS ? UART_IDLE : 0;
		else if (v->state == GHVM_VCPU_MMIO_WRITE && v->ipa == GHVM_IPA_UART)
			(void)!write(STDOUT_FILENO, &v->value, 1);
		else if (v->state == GHVM_VCPU_EXPECTS_WAKEUP || v->state == GHVM_VCPU_POWERED_OFF)
			(void)eventfd_read(wake, &n);
		else if (v->state == GHVM_VCPU_FAULT || v->state == GHVM_VCPU_SYSTEM_RESET)
			return;
	}
}

/* Built, and READY. */
static int start(struct ghvm_machine *m, struct ghvm_host *host, struct ghvm_error *e)
{
	int wake = eventfd(0, EFD_CLOEXEC);
	struct ghvm_vcpu v = { .host = host };
	size_t n;
	const struct ghvm_machine_vcpu *cpu = ghvm_machine_vcpus(m, &n);
	int r = host->ops->irq(host, GHVM_IRQ_VIRQ, cpu->virq.intid, wake);

	v.cap = cpu->cap;
	if (r == 0)
		r = ghvm_machine_start(m, e);
	if (r == 0)
		run(&v, wake);
	return r < 0 ? r : ghvm_machine_teardown(m, e);
}

int main(int argc, char **argv)
{
	int memory = memfd_create("ram", MFD_CLOEXEC);
	struct ghvm_machine_hooks hooks = { .data = &memory, .on_pinned = close_memory };
	struct ghvm_machine_files files = { .memory = &memory };
	_cleanup_(ghvm_host_closep) struct ghvm_host *host = NULL;
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(ghvm_plan_done) struct ghvm_plan plan = {};
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;
	_cleanup_(ghvm_machine_freep) struct ghvm_machine *m = NULL;
	struct ghvm_error e = { .msg = "out of memory" };
	struct ghvm_plan_input in = {};
	struct stat k, i;
	uint8_t header[64];

	if (argc != 4)
		errx(2, "usage: boot /dev/ghvm KERNEL INITRD");
	files.kernel = open(argv[2], O_RDONLY | O_CLOEXEC);
	files.initrd = open(argv[3], O_RDONLY | O_CLOEXEC);
	if (fstat(files.kernel, &k) < 0 || fstat(files.initrd, &i) < 0 ||
	    pread(files.kernel, header, sizeof(header), 0) != sizeof(header))
		err(1, "%s, %s", argv[2], argv[3]);
	in.kernel_header = header;
	in.kernel_header_size = sizeof(header);
	in.kernel_size = (uint64_t)k.st_size;
	in.initrd_size = (uint64_t)i.st_size;

	if (ghvm_spec_parse("boot", "", spec_text, strlen(spec_text), &spec, NULL, &e) < 0 ||
	    ghvm_plan_make(&spec, &in, &plan, &e) < 0 ||
	    ftruncate(memory, (off_t)spec.memory) < 0 || ghvm_host_open(argv[1], &host, &e) < 0 ||
	    ghvm_rm_new(host, &rm, &e) < 0 || ghvm_machine_new(host, rm, &plan, 1, &m) < 0 ||
	    ghvm_machine_build(m, &files, &hooks, &e) < 0 || start(m, host, &e) < 0)
		errx(1, "%s", e.msg);
	return 0;
}
