/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The properties of the manager's objects on the bus, each in one row.
 *
 * The manager makes its vtables of these rows, ghvmctl reads answers by them, and a unit test
 * holds the files in systemd/dbus-interfaces against them. To add a property: a row here, its
 * getter get_ID in the manager's file of that object, the XML file and gunyah-vmd.8.
 *
 *     VALUE(id, name, type, news)  type is one of s b q i u t, without quotes
 *     OTHER(id, name, type, news)  any other type, as a string
 *
 * News: CONST the property never changes; CHANGES PropertiesChanged is sent with its name; SILENT no
 * signal is sent.
 */
#pragma once

#define BUS_MANAGER_PROPERTIES(VALUE, OTHER) VALUE(version, "Version", s, CONST)

#define BUS_HOST_PROPERTIES(VALUE, OTHER)                                                          \
	VALUE(state, "State", s, CHANGES)                                                          \
	VALUE(reason, "Reason", s, CHANGES)                                                        \
	VALUE(hypervisor, "Hypervisor", s, CONST)                                                  \
	OTHER(identify, "Identify", "at", CONST)                                                   \
	VALUE(abi, "ModuleABI", u, CONST)                                                          \
	VALUE(generation, "Generation", s, CONST)                                                  \
	VALUE(why, "GenerationReason", s, CONST)                                                   \
	OTHER(quirks, "Quirks", "a{sv}", CONST)                                                    \
	OTHER(sources, "QuirkSources", "a{ss}", CONST)                                             \
	OTHER(budget, "Budget", "(ttuuu)", SILENT)                                                 \
	VALUE(quarantined, "PagesQuarantined", t, CHANGES)

#define BUS_VM_PROPERTIES(VALUE, OTHER)                                                            \
	VALUE(name, "Name", s, CONST)                                                              \
	VALUE(state, "State", s, CHANGES)                                                          \
	VALUE(sub_state, "SubState", s, CHANGES)                                                   \
	VALUE(exit_reason, "ExitReason", s, CHANGES)                                               \
	VALUE(crash_message, "CrashMessage", s, CHANGES)                                           \
	VALUE(last_error, "LastError", s, CHANGES)                                                 \
	VALUE(last_error_name, "LastErrorName", s, CHANGES)                                        \
	VALUE(last_errno, "LastErrno", i, CHANGES)                                                 \
	VALUE(last_error_time, "LastErrorTime", t, CHANGES)                                        \
	VALUE(rm_message, "LastRMMessage", u, CHANGES)                                             \
	VALUE(rm_status, "LastRMStatus", u, CHANGES)                                               \
	VALUE(failed_step, "FailedStep", s, CHANGES)                                               \
	VALUE(descriptor, "DescriptorState", s, CHANGES)                                           \
	VALUE(digest, "SpecDigest", s, CHANGES)                                                    \
	VALUE(vmid, "VMID", q, CHANGES)                                                            \
	VALUE(incarnation, "Incarnation", t, CHANGES)                                              \
	VALUE(leader_pid, "LeaderPID", u, CHANGES)                                                 \
	VALUE(lent, "MemoryLent", t, CHANGES)                                                      \
	VALUE(shared, "MemoryShared", t, CHANGES)                                                  \
	VALUE(quarantined, "PagesQuarantined", t, CHANGES)

#define BUS_REGION_PROPERTIES(VALUE, OTHER)                                                        \
	VALUE(label, "Label", u, CONST)                                                            \
	VALUE(address, "GuestAddress", t, CONST)                                                   \
	VALUE(size, "Size", t, CONST)                                                              \
	VALUE(access, "Access", s, CONST)                                                          \
	VALUE(host_access, "HostAccess", s, CONST)                                                 \
	VALUE(shared_with, "SharedWith", s, CONST)                                                 \
	VALUE(kind, "Kind", s, CONST)                                                              \
	VALUE(state, "State", s, CHANGES)                                                          \
	VALUE(added, "AddedAtRuntime", b, CONST)

#define BUS_TRANSACTION_PROPERTIES(VALUE, OTHER)                                                   \
	OTHER(vm, "VM", "o", CONST)                                                                \
	VALUE(state, "State", s, CHANGES)                                                          \
	VALUE(expires, "Expires", t, CONST)

#define BUS_JOB_PROPERTIES(VALUE, OTHER)                                                           \
	VALUE(id, "Id", u, CONST)                                                                  \
	VALUE(kind, "Kind", s, CONST)                                                              \
	OTHER(vm, "VM", "o", CONST)                                                                \
	VALUE(state, "State", s, CHANGES)                                                          \
	VALUE(result, "Result", s, CHANGES)                                                        \
	VALUE(error, "Error", s, CHANGES)                                                          \
	VALUE(error_name, "ErrorName", s, CHANGES)

/* What VM.ListDevices says of each device; numbers are of type t there. */
#define BUS_DEVICE_FIELDS(VALUE, OTHER)                                                            \
	VALUE(kind, "Kind", s, SILENT)                                                             \
	VALUE(number, "Number", t, SILENT)                                                         \
	VALUE(address, "Address", t, SILENT)                                                       \
	VALUE(doorbell, "Doorbell", t, SILENT)                                                     \
	VALUE(state, "State", s, SILENT)                                                           \
	VALUE(backend, "BackEnd", s, SILENT)                                                       \
	VALUE(backend_state, "BackEndState", s, SILENT)                                            \
	VALUE(queues, "Queues", t, SILENT)                                                         \
	VALUE(ready, "QueuesReady", t, SILENT)                                                     \
	VALUE(requests, "Requests", t, SILENT)                                                     \
	VALUE(from_guest, "BytesFromGuest", t, SILENT)                                             \
	VALUE(to_guest, "BytesToGuest", t, SILENT)                                                 \
	VALUE(errors, "Errors", t, SILENT)                                                         \
	VALUE(faults, "Faults", t, SILENT)                                                         \
	VALUE(losses, "Losses", t, SILENT)
