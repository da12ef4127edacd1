/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Boots a protected VM, and prints what its UART says: cc -D_GNU_SOURCE boot.c $(pkg-config --cflags --libs ghvm) */
#include <ghvm/machine.h>
#include <ghvm/vcpu.h>

#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static const char spec_text[] =
	"version: 1\nmemory: {size: 256M}\ncpus: {count: 1}\n"
	"kernel: {image: /Image, initrd: /initrd, cmdline: console=ttyS0}\n";

/* From here on the memory is the guest's alone, and the host must have no way to it. */
static void close_memory(void *memory)
{
	(void)close(*(int *)memory);
}

/* Until the VM has ended. @wake: readable when a vCPU that waits may run again. */
static void run_vcpu(struct ghvm_vcpu *v, int wake)
{
	eventfd_t n;

	while (ghvm_vcpu_run(v) == 0 && !(v->state == GHVM_VCPU_POWERED_OFF && v->for_good)) {
		if (v->state == GHVM_VCPU_MMIO_READ)
			v->read = v->ipa == GHVM_IPA_UART + 5 ? 0x60 : 0; /* line status: idle */
		else if (v->state == GHVM_VCPU_MMIO_WRITE && v->ipa == GHVM_IPA_UART)
			(void)!write(STDOUT_FILENO, &v->value, 1);
		else if (v->state == GHVM_VCPU_EXPECTS_WAKEUP || v->state == GHVM_VCPU_POWERED_OFF)
			(void)eventfd_read(wake, &n);
		else if (v->state == GHVM_VCPU_FAULT || v->state == GHVM_VCPU_SYSTEM_RESET)
			return;
	}
}

/* @m is built. Whatever happens, it is torn down, and its pages come back. */
static int run_machine(struct ghvm_machine *m, struct ghvm_host *host, struct ghvm_error *e)
{
	const struct ghvm_machine_vcpu *cpu = ghvm_machine_vcpus(m, &(size_t){ 0 });
	int wake = eventfd(0, EFD_CLOEXEC);
	struct ghvm_vcpu v = { .host = host, .cap = cpu->cap };
	int r = ghvm_host_bind_virq(host, cpu->virq, wake);

	if (r == 0)
		r = ghvm_machine_start(m, e);
	if (r == 0)
		run_vcpu(&v, wake);
	return ghvm_machine_teardown(m, e) < 0 ? -1 : r;
}

int main(int argc, char **argv)
{
	struct ghvm_error e = { .msg = "out of memory" };
	int memory = memfd_create("ram", MFD_CLOEXEC);
	struct ghvm_machine_hooks hooks = { .data = &memory, .on_pinned = close_memory };
	struct ghvm_machine_files files = { .memory = &memory };
	uint8_t header[64];
	struct ghvm_plan_input in = { .kernel_header = header, .kernel_header_size = 64 };
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	struct ghvm_machine *m;

	if (argc != 4)
		errx(2, "usage: boot /dev/ghvm KERNEL INITRD");
	files.kernel = open(argv[2], O_RDONLY | O_CLOEXEC);
	files.initrd = open(argv[3], O_RDONLY | O_CLOEXEC);
	if (files.initrd < 0 || pread(files.kernel, header, 64, 0) != 64)
		err(1, "%s, %s", argv[2], argv[3]);
	in.kernel_size = (uint64_t)lseek(files.kernel, 0, SEEK_END);
	in.initrd_size = (uint64_t)lseek(files.initrd, 0, SEEK_END);
	if (ghvm_spec_parse("boot", "", spec_text, strlen(spec_text), &spec, NULL, &e) < 0 ||
	    ghvm_plan_make(&spec, &in, &plan, &e) < 0 ||
	    ftruncate(memory, (off_t)spec.memory) < 0 || ghvm_host_open(argv[1], &host, &e) < 0 ||
	    ghvm_rm_new(host, &rm, &e) < 0 || ghvm_machine_new(host, rm, &plan, 1, &m) < 0 ||
	    ghvm_machine_build(m, &files, &hooks, &e) < 0 || run_machine(m, host, &e) < 0)
		errx(1, "%s", e.msg);
	ghvm_machine_free(m);
	ghvm_rm_free(rm);
	ghvm_host_close(host);
	ghvm_plan_done(&plan);
	ghvm_spec_done(&spec);
	return 0;
}
