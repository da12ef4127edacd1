/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libghvm/hyp/obstacle.h"

#include "libghvm/base/bits.h"
#include "libghvm/hyp/hvc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define USE_KVM "use KVM (/dev/kvm), or start this system with firmware that starts Gunyah"
#define OWN_TREE                                                                                   \
	"start it with firmware that starts Gunyah, and with the device tree of that firmware"

enum identity { GUNYAH, KVM_HOST };

/* UIDs of SMCCC's vendor hypervisor call; Gunyah's are abi A.2. */
static const struct {
	uint32_t uid[4];
	enum identity identity;
} uids[] = {
	{ GHVM_UID_GUNYAH, GUNYAH },
	{ GHVM_UID_QUALCOMM, GUNYAH },
	{ { 0xb66fb428, 0xe911c52e, 0x564bcaa9, 0x743a004d }, KVM_HOST },
};

static bool uid_is(const struct ghvm_info *info, enum identity identity)
{
	for (size_t i = 0; i < ARRAY_SIZE(uids); i++)
		if (uids[i].identity == identity &&
		    !memcmp(info->uid, uids[i].uid, sizeof(uids[i].uid)))
			return true;
	return false;
}

static int no_node(const struct ghvm_info *info, const char *name, bool kvm, struct ghvm_error *err)
{
	if (uid_is(info, KVM_HOST))
		return ghvm_error_set(
			err, -ENODEV,
			"%s: this system is a guest of KVM, not of Gunyah: run VMs on "
			"its host, or " OWN_TREE,
			name);
	if (kvm)
		return ghvm_error_set(
			err, -ENODEV,
			"%s: this system is a KVM host, without Gunyah below it: " USE_KVM, name);
	return ghvm_error_set(err, -ENODEV,
			      "%s: the device tree has no resource manager of Gunyah "
			      "(compatible gunyah-resource-manager): " OWN_TREE,
			      name);
}

static int foreign(const struct ghvm_info *info, const char *name, struct ghvm_error *err)
{
	char uid[40];

	(void)snprintf(uid, sizeof(uid), "UID %08x %08x %08x %08x", info->uid[0], info->uid[1],
		       info->uid[2], info->uid[3]); /* fits */
	return ghvm_error_set(
		err, -ENODEV,
		"%s: the device tree tells of Gunyah, but the hypervisor below is %s: " OWN_TREE,
		name, uid_is(info, KVM_HOST) ? "KVM" : uid);
}

/* @info->driver and @info->device come from the module; texts of the kernel, bounded here. */
static int other_driver(const struct ghvm_info *info, const char *name, struct ghvm_error *err)
{
	const int driver = (int)sizeof(info->driver), device = (int)sizeof(info->device);

	return ghvm_error_set(err, -ENODEV,
			      "%s: driver %.*s of this kernel has the resource manager: end what "
			      "uses it, then: echo %.*s >/sys/bus/platform/drivers/%.*s/unbind; "
			      "to keep it away, blacklist its module in /etc/modprobe.d",
			      name, driver, info->driver, device, info->device, driver,
			      info->driver);
}

static int check_assign(const struct ghvm_info *info, const char *name, struct ghvm_error *err)
{
	if (!(info->flags & GHVM_INFO_ASSIGN_NEEDED) || info->flags & GHVM_INFO_ASSIGN)
		return 0;
	return ghvm_error_set(err, -ENODEV,
			      "%s: secure firmware tracks the owner of each page, and this kernel "
			      "cannot take pages back from a guest: start Linux 6.3 or newer, with "
			      "its driver qcom_scm",
			      name);
}

static int check_api(const struct ghvm_info *info, const char *name, struct ghvm_error *err)
{
	struct ghvm_hyp_identity id;
	uint64_t words[4];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = info->identify[i];
	ghvm_hyp_identity_decode(words, &id);
	if (info->obstacle != GHVM_OBSTACLE_API && id.api_version == GHVM_HYP_API_VERSION &&
	    !id.big_endian && id.is_64bit)
		return 0;
	return ghvm_error_set(err, -EPROTO,
			      "%s: the hypervisor's API version is %u (%s-bit, %s-endian), "
			      "this program speaks %u",
			      name, id.api_version, id.is_64bit ? "64" : "32",
			      id.big_endian ? "big" : "little", GHVM_HYP_API_VERSION);
}

int ghvm_obstacle_check(const struct ghvm_info *info, const char *name, bool kvm,
			struct ghvm_error *err)
{
	int r;

	switch (info->obstacle) {
	case 0:
	case GHVM_OBSTACLE_API:
		break;
	case GHVM_OBSTACLE_EL2:
		return ghvm_error_set(
			err, -ENODEV,
			"%s: this kernel runs at EL2 and is the hypervisor itself: " USE_KVM, name);
	case GHVM_OBSTACLE_NO_NODE:
		return no_node(info, name, kvm, err);
	case GHVM_OBSTACLE_NODE:
		return ghvm_error_set(err, -ENODEV,
				      "%s: the resource manager's node of the device tree has no "
				      "capabilities in reg: " OWN_TREE,
				      name);
	case GHVM_OBSTACLE_FOREIGN:
		return foreign(info, name, err);
	case GHVM_OBSTACLE_DRIVER:
		return other_driver(info, name, err);
	default:
		return ghvm_error_set(
			err, -ENODEV,
			"%s: the module names obstacle %u, which this program does not "
			"know: see dmesg",
			name, info->obstacle);
	}
	if (!uid_is(info, GUNYAH))
		return foreign(info, name, err);
	r = check_api(info, name, err);
	return r < 0 ? r : check_assign(info, name, err);
}
