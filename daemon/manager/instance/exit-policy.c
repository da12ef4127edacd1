/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decide what to do when a guest ends.
 */
#include "daemon/manager/instance/exit-policy.h"

#include "ghvm/vcpu.h"

static struct verdict of_reset(const struct verdict_input *in)
{
	if (in->asked || in->on_reboot == GHVM_ON_END_STOP)
		return (struct verdict){ GHVM_LINK_EXIT_OK, false, "reset", false };
	return (struct verdict){
		in->can_rebuild ? GHVM_LINK_WAIT : GHVM_LINK_EXIT_RESTART,
		false,
		"reset",
		false,
	};
}

static struct verdict of_crash(const struct verdict_input *in, enum ghvm_on_end on_end,
			       const char *reason)
{
	if (on_end == GHVM_ON_END_RESTART && !in->asked)
		return (struct verdict){ GHVM_LINK_EXIT_RESTART, true, reason, false };
	return (struct verdict){ GHVM_LINK_EXIT_STOP, true, reason, false };
}

struct verdict verdict_of(const struct verdict_input *in)
{
	switch (in->type) {
	case GHVM_EXIT_VM_EXIT:
	case GHVM_EXIT_SYSTEM_OFF:
		return (struct verdict){ GHVM_LINK_EXIT_OK, false, "off", false };
	case GHVM_EXIT_SYSTEM_RESET:
	case GHVM_EXIT_SYSTEM_RESET2:
		return of_reset(in);
	case GHVM_EXIT_WATCHDOG:
		return of_crash(in, in->on_watchdog, "watchdog");
	case GHVM_EXIT_SOFTWARE_ERROR:
		return of_crash(in, in->on_crash, "crash");
	case GHVM_EXIT_ASYNC_ABORT:
		return of_crash(in, in->on_crash, "abort");
	case GHVM_EXIT_FORCED:
		if (in->asked)
			return (struct verdict){ GHVM_LINK_EXIT_OK, false, "forced", false };
		break;
	case GHVM_EXIT_UNKNOWN:
		break;
	}
	return (struct verdict){ GHVM_LINK_EXIT_FAILED, true, "unknown", false };
}

struct verdict verdict_of_loop(void)
{
	return (struct verdict){ GHVM_LINK_EXIT_STOP, true, "reboot-loop", true };
}

int verdict_guess(uint64_t run_state, enum ghvm_exit_type *ret)
{
	switch (run_state) {
	case GHVM_VCPU_SYSTEM_RESET:
		*ret = GHVM_EXIT_SYSTEM_RESET;
		return 1;
	case GHVM_VCPU_FAULT:
		*ret = GHVM_EXIT_SOFTWARE_ERROR;
		return 1;
	case GHVM_VCPU_POWERED_OFF: /* data0 is 0 if only all vCPUs are off */
		*ret = GHVM_EXIT_SYSTEM_OFF;
		return 1;
	case GHVM_LINK_BITTEN:
		*ret = GHVM_EXIT_WATCHDOG;
		return 1;
	}
	return 0;
}
