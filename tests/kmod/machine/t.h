/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the module share. They run as root in the model hypervisor's machine,
 * print TAP, and go on after a failure.
 */
#pragma once

#include "kmod/uapi/ghvm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096UL
#define MIB(n) ((n)*1024UL * 1024)

/* t_eq(is, wanted, "text", ...): values are shown if they differ. */
void t_eq(int64_t is, int64_t wanted, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void t_ok(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ends everything: what comes next would make no sense. */
void t_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
int t_plan(void); /* prints the plan; 0 if nothing failed */

/* The ioctl's result or -errno. The size is filled in. */
long t_ioctl(int fd, unsigned long cmd, void *arg);
#define t_call(fd, cmd, arg) ((arg)->size = sizeof(*(arg)), t_ioctl(fd, cmd, arg))

int t_open(void); /* /dev/ghvm; dies if it cannot */
struct ghvm_info t_info(int dev);

/* Pages of a memfd, all of t_map() written to; these die. */
int t_memfd(size_t length, unsigned int flags);
int t_huge_memfd(size_t length); /* of the 4 huge pages that there are */
void *t_map_file(int memfd, size_t length);
void *t_map(size_t length);

bool t_pins_files(int dev); /* GHVM_INFO_PIN_FILE */
/* PIN of a part of a file; where the kernel pins by address, it is mapped meanwhile. */
long t_pin_file(int dev, int memfd, uint64_t offset, size_t length, uint32_t flags);
/* PIN by the address, or of the part of a file that is mapped there. */
long t_pin(int dev, const void *va, size_t length);
long t_set(int pin, uint32_t state, const char *tag);
struct ghvm_pin_status t_status(int pin);
uint64_t t_pa(const void *va); /* through /proc/self/pagemap */

/* "VmPin:", "MemFree:" and the like, in kB. */
long t_proc(const char *path, const char *key);

/* A child that calls @fn and then waits to be killed; returns once @fn has. */
pid_t t_child(void (*fn)(void *data), void *data);
int t_reap(pid_t pid, bool kill_it); /* wait status */

/* An eventfd, and what it counted within @ms; 0: nothing. */
int t_eventfd(void);
uint64_t t_events(int fd, int ms);

void t_ms(unsigned int ms); /* sleep */
uint64_t t_now(void);	    /* ms, monotonic */

void test_ioctl(void);
void test_pin(void);
void test_memfd(void);
void test_write(void);
void test_guard(void);
void test_irq(void);
void test_grant(void);
void test_rm(void);
void test_vcpu(void);
void test_unload(void);
void test_obstacle(uint32_t wanted); /* GHVM_OBSTACLE_* */
void test_faults(void);		     /* these three only on the debug kernel */
void test_stress(void);
void test_left(void);
