/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What errors mean and what to try. */
#include "libghvm/base/bits.h"
#include "libghvm/base/hint.h"
#include "libghvm/base/rm-abi.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define LONGEST 400 /* of a line that people still read */

static const uint32_t messages[] = {
	GHVM_RM_MEM_LEND,
	GHVM_RM_MEM_SHARE,
	GHVM_RM_MEM_RELEASE,
	GHVM_RM_MEM_RECLAIM,
	GHVM_RM_MEM_NOTIFY,
	GHVM_RM_MEM_APPEND,
	GHVM_RM_MEM_LOOKUP_SGL,
	GHVM_RM_VM_ALLOCATE,
	GHVM_RM_VM_DEALLOCATE,
	GHVM_RM_VM_START,
	GHVM_RM_VM_STOP,
	GHVM_RM_VM_RESET,
	GHVM_RM_VM_CONFIG_IMAGE,
	GHVM_RM_VM_INIT,
	GHVM_RM_VM_GET_STATE,
	GHVM_RM_VM_GET_VMID,
	GHVM_RM_VM_HOST_GET_TYPE,
	GHVM_RM_VM_GET_HYP_RESOURCES,
	0x12345678,
};

/* Sentences without a full stop, of one line, not endless. */
static void assert_reads_well(const char *text)
{
	const size_t len = strlen(text);

	assert_true(len < LONGEST);
	assert_null(strpbrk(text, "\n\t%"));
	assert_null(strstr(text, "  "));
	if (len)
		assert_null(strchr(". ", text[len - 1]));
}

static void every_refusal_means_something(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		for (uint32_t status = 1; status <= GHVM_RM_VM_STATE; status++) {
			const struct ghvm_hint *h = ghvm_hint_find(-EREMOTEIO, messages[i], status);

			assert_string_not_equal(h->means, "");
			assert_reads_well(h->means);
			assert_reads_well(h->advice);
			assert_null(strstr(h->means, "NAME"));
		}
		assert_non_null(strstr(
			ghvm_hint_find(-EREMOTEIO, messages[i], GHVM_RM_UNIMPLEMENTED)->advice,
			"ghvmctl host"));
		assert_string_equal(ghvm_hint_find(-EREMOTEIO, messages[i], 0x1234)->means,
				    "a status that is not documented");
		assert_string_equal(ghvm_hint_find(-EREMOTEIO, messages[i], GHVM_RM_OK)->means, "");
	}
}

static void the_message_makes_a_difference(void **state)
{
	const uint32_t status = GHVM_RM_NORESOURCE;

	assert_non_null(strstr(ghvm_hint_find(-EREMOTEIO, GHVM_RM_VM_ALLOCATE, status)->means,
			       "VMIDs are taken"));
	assert_non_null(strstr(ghvm_hint_find(-EREMOTEIO, GHVM_RM_VM_INIT, status)->means,
			       "vCPUs, doorbells"));
	assert_non_null(
		strstr(ghvm_hint_find(-EREMOTEIO, GHVM_RM_VM_START, status)->means, "a region"));
	/* not of RM: the hypervisor, whatever was said of a status */
	assert_non_null(strstr(ghvm_hint_find(-EREMOTEIO, 0, status)->advice, "kernel's log"));
	assert_string_equal(ghvm_hint_find(-EREMOTEIO, 0, status)->means, "");
}

static void silence_over_memory_is_its_own_case(void **state)
{
	const struct ghvm_hint *lend = ghvm_hint_find(-ETIMEDOUT, GHVM_RM_MEM_APPEND, 0);
	const struct ghvm_hint *init = ghvm_hint_find(-ETIMEDOUT, GHVM_RM_VM_INIT, 0);

	assert_non_null(strstr(lend->advice, "full heap"));
	assert_null(strstr(init->advice, "full heap"));
	assert_ptr_equal(init, ghvm_hint_find(-ETIMEDOUT, 0, 0));
}

static void errors_of_ours_have_advice_alone(void **state)
{
	/* those of daemon/manager/bus/error-names.c, which are all that a VM can fail with */
	static const int codes[] = { -EINVAL,	  -ENOENT,	 -EBUSY,    -ENOEXEC, -EFBIG,
				     -E2BIG,	  -ENOSPC,	 -EDQUOT,   -ENOMEM,  -EFAULT,
				     -ETIMEDOUT,  -EHOSTDOWN,	 -ENODEV,   -EPROTO,  -EACCES,
				     -EPERM,	  -EOPNOTSUPP,	 -ENODATA,  -EBADMSG, -EAGAIN,
				     -ECONNRESET, -ECONNABORTED, -ENOTUNIQ, -ESTALE,  -EPIPE };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		const struct ghvm_hint *h = ghvm_hint_find(codes[i], 0, 0);

		assert_string_equal(h->means, "");
		assert_string_not_equal(h->advice, "");
		assert_reads_well(h->advice);
	}
	assert_string_equal(ghvm_hint_find(-ECANCELED, 0, 0)->advice, "");
	assert_string_equal(ghvm_hint_find(-EXDEV, 0, 0)->advice, "");
	assert_string_equal(ghvm_hint_find(0, GHVM_RM_VM_INIT, 0)->advice, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_refusal_means_something),
		cmocka_unit_test(the_message_makes_a_difference),
		cmocka_unit_test(silence_over_memory_is_its_own_case),
		cmocka_unit_test(errors_of_ours_have_advice_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
