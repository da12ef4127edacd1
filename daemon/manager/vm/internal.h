/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files that make up a VM share. Thread: main.
 */
#pragma once

#include "daemon/manager/core/log.h"
#include "daemon/manager/vm/vm.h"

extern const struct control_calls vm_runner_calls;
extern const struct op_calls vm_commit_op;

/* What log entries are about; @id: MESSAGE_ID. */
struct log_about vm_about(const struct vm *vm);
struct log_about vm_about_event(const struct vm *vm, const char *id);

void vm_changed(struct vm *vm);
/* For its struct vm_life. */
int vm_begin_operation(void *data, enum vm_operation operation);
/* As vm_life_step(). */
int vm_step(struct vm *vm, enum vm_event event);
/* It has a guest, which is not to be torn down. */
bool vm_alive(const struct vm *vm);
/* Call vm_changed() at each step of a build of the VM's guest. */
void vm_watch_steps(struct vm *vm);
void vm_set_error(struct vm *vm, const struct ghvm_error *err);
/* No operation runs: note what others may look at while one does. */
void vm_look(struct vm *vm);

/* Its guest is to be torn down, whatever it is doing; the first word counts. */
void vm_doom(struct vm *vm, enum vm_state final, const char *reason);
/* Something has changed: look whether the guest has ended, and begin what is due. */
void vm_settle(struct vm *vm);
/* The guest is over; no operation runs. */
void vm_end(struct vm *vm, enum ghvm_exit_type type);
/* Tell the runner that the guest has ended, and how to exit. */
void vm_end_runner(struct vm *vm, enum ghvm_exit_type type, enum ghvm_link_action action);
bool vm_guest_ended(const struct vm *vm, enum ghvm_exit_type *ret);
void vm_tell_waiters(struct vm *vm);
/* No operation runs and the machine is about to be touched: roll back what is open. */
void vm_transaction_over(struct vm *vm);
/* Free what it has of an open transaction. */
void vm_transaction_done(struct vm *vm);

/* Refuse a runner, after it has sent the files of a transient VM. @why: static */
void vm_refuse_runner(struct vm *vm, const char *why);
/* No longer wait for them. */
void vm_refuse_now(struct vm *vm);
void vm_on_sent_fd(void *data, enum ghvm_link_kind kind, int fd);

/* There is another runner, which has not heard them. */
void vm_forget_questions(struct vm *vm);
void vm_fail_questions(struct vm *vm, int error);
void vm_on_console(void *data, uint32_t serial, int fd);
void vm_on_devices(void *data, uint32_t serial, const struct ghvm_link_device *v, int n);

/* Of its timers. */
void vm_on_patience(void *data);
void vm_on_hint_patience(void *data);
void vm_on_question_patience(void *data);
void vm_on_reboot_pause(void *data);
