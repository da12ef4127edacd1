/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ghvm/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libghvm/base/rm-abi.h"

static void writes_code_and_sentence(void **state)
{
	struct ghvm_error e = {};

	assert_int_equal(ghvm_error_set(&e, -ENOENT, "%s: no %s", "a.yaml", "kernel"), -ENOENT);
	assert_int_equal(e.code, -ENOENT);
	assert_string_equal(e.msg, "a.yaml: no kernel");
	assert_int_equal(e.rm_message, 0);
}

/* Paths come from descriptors, and errors go to terminals, journals and the bus. */
static void is_printable_whatever_it_quotes(void **state)
{
	static const char *const texts[][2] = {
		{ "/tmp/\033[2J\n<0>x", "/tmp/?[2J?<0>x" },
		{ "\x7f\t\xc2\x9b"
		  "31m",
		  "????"
		  "31m" }, /* CSI as one character of UTF-8 */
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", NULL }, /* is fine */
		{ "\xff\xc0\xaf\xe0\x80\xaf\xed\xa0\x80", "?????????" },
		{ "\xf5\x80\x80\x80\xe2\x82", "??????" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *want = texts[i][1] ? texts[i][1] : texts[i][0];
		struct ghvm_error e = {};

		(void)ghvm_error_set(&e, -ENOENT, "%s", texts[i][0]);
		assert_string_equal(e.msg, want);
		(void)ghvm_error_set_rm(&e, GHVM_RM_VM_START, GHVM_RM_DENIED, "%s", texts[i][0]);
		assert_non_null(strstr(e.msg, want));
	}
}

static void takes_no_error(void **state)
{
	assert_int_equal(ghvm_error_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(ghvm_error_set_rm(NULL, 1, 2, "x"), -EREMOTEIO);
}

static void replaces_an_older_refusal(void **state)
{
	struct ghvm_error e = {};

	assert_int_equal(ghvm_error_set_rm(&e, GHVM_RM_VM_START, GHVM_RM_DENIED, "a"), -EREMOTEIO);
	assert_int_equal(e.rm_message, GHVM_RM_VM_START);
	(void)ghvm_error_set(&e, -EIO, "b");
	assert_int_equal(e.rm_message, 0);
	assert_int_equal(e.rm_code, 0);
	assert_string_equal(e.msg, "b");
}

static void keeps_what_was_not_answered(void **state)
{
	struct ghvm_error e = {};

	assert_int_equal(ghvm_error_set_unanswered(NULL, 1, -ETIMEDOUT, "x"), -ETIMEDOUT);
	(void)ghvm_error_set_rm(&e, GHVM_RM_VM_START, GHVM_RM_DENIED, "a");
	assert_int_equal(
		ghvm_error_set_unanswered(&e, GHVM_RM_VM_INIT, -ETIMEDOUT, "no answer: %d", 7),
		-ETIMEDOUT);
	assert_int_equal(e.code, -ETIMEDOUT);
	assert_int_equal(e.rm_message, GHVM_RM_VM_INIT);
	assert_int_equal(e.rm_code, 0);
	assert_string_equal(e.msg, "no answer: 7");
}

static void may_quote_its_own_text(void **state)
{
	struct ghvm_error e = {};

	(void)ghvm_error_set(&e, -EIO, "inner");
	(void)ghvm_error_set(&e, -EIO, "outer: %s", e.msg);
	assert_string_equal(e.msg, "outer: inner");
	(void)ghvm_error_set_rm(&e, GHVM_RM_MEM_LEND, GHVM_RM_MEM_INVALID, "%s", e.msg);
	assert_non_null(strstr(e.msg, "outer: inner"));
}

static void cuts_what_is_too_long(void **state)
{
	struct ghvm_error e = {};
	char longest[2 * GHVM_ERROR_TEXT];

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	(void)ghvm_error_set(&e, -EIO, "%s", longest);
	assert_int_equal(strlen(e.msg), GHVM_ERROR_TEXT - 1);
	(void)ghvm_error_set_rm(&e, GHVM_RM_MEM_LEND, GHVM_RM_NOMEM, "%s", longest);
	assert_true(strlen(e.msg) < GHVM_ERROR_TEXT);
	assert_non_null(strstr(e.msg, "NOMEM")); /* the names are not what is cut */
}

static void names_message_status_and_what_it_means(void **state)
{
	struct ghvm_error e = {};

	(void)ghvm_error_set_rm(&e, GHVM_RM_MEM_LEND, GHVM_RM_MEM_INVALID, "lend %u pages", 3);
	assert_string_equal(e.msg, "cannot lend 3 pages: MEM_LEND refused with MEM_INVALID (10): a "
				   "page is already in another parcel, or is not the host's to "
				   "give");
	assert_int_equal(e.code, -EREMOTEIO);
	assert_int_equal(e.rm_code, GHVM_RM_MEM_INVALID);
}

static void knows_every_status(void **state)
{
	for (uint32_t s = 0; s <= GHVM_RM_VM_STATE; s++)
		assert_string_not_equal(ghvm_rm_status_to_string(s), "unknown");
	assert_string_equal(ghvm_rm_status_to_string(GHVM_RM_UNIMPLEMENTED), "UNIMPLEMENTED");
	assert_string_equal(ghvm_rm_status_to_string(0x15), "unknown");
}

static void knows_messages(void **state)
{
	assert_string_equal(ghvm_rm_message_to_string(0x51000012), "MEM_LEND");
	assert_string_equal(ghvm_rm_message_to_string(0x56000024), "VM_GET_VMID");
	assert_string_equal(ghvm_rm_message_to_string(0x56100001), "VM_EXITED");
	assert_string_equal(ghvm_rm_message_to_string(0), "unknown");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_code_and_sentence),
		cmocka_unit_test(is_printable_whatever_it_quotes),
		cmocka_unit_test(takes_no_error),
		cmocka_unit_test(replaces_an_older_refusal),
		cmocka_unit_test(keeps_what_was_not_answered),
		cmocka_unit_test(may_quote_its_own_text),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(names_message_status_and_what_it_means),
		cmocka_unit_test(knows_every_status),
		cmocka_unit_test(knows_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
