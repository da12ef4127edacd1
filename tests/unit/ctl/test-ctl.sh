#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ghvmctl where there is neither a manager nor a bus: what it prints, and its exit statuses.
# test-ctl.sh GHVMCTL CONFIGS
set -eu
ctl=$1 configs=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$work/no-bus"

fail() {
	echo "FAIL: $*"
	cat "$work/out" "$work/err"
	exit 1
}

# expect STATUS ARGS...: its output is in $work/out and $work/err
expect() {
	want=$1
	shift
	status=0
	"$ctl" "$@" >"$work/out" 2>"$work/err" || status=$?
	[ $status = "$want" ] || fail "ghvmctl $*: status $status, not $want"
}

prints() { # TEXT
	grep -qF -- "$1" "$work/out" || fail "not printed: $1"
}

complains() { # TEXT
	grep -qF -- "$1" "$work/err" || fail "not complained: $1"
}

# a kernel: a header and nothing behind it that anybody here reads
{
	printf 'MZ\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
	printf '\0\0\0\001\0\0\0\0\012\0\0\0\0\0\0\0'
	printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ARM\144\0\0\0\0'
	head -c 100000 /dev/zero
} >"$work/Image"
cat >"$work/good.yaml" <<END
version: 1
kernel: {image: $work/Image, cmdline: "console=ttyS0"}
memory: {size: 64M}
END
cat >"$work/bad.yaml" <<END
version: 1
kernel: {image: $work/Image}
memory: {size: 101M}
colour: blue
END

# usage
expect 2
expect 2 nosuch
complains "unknown verb 'nosuch'; see ghvmctl --help"
expect 2 stauts demo
complains "unknown verb 'stauts'; did you mean 'status'?"
expect 2 status
complains "usage: ghvmctl status NAME"
expect 2 list extra
expect 2 --nosuch
complains "unknown option '--nosuch'; see ghvmctl --help"
expect 2 --jsno=x list
complains "unknown option '--jsno'; did you mean '--json'?"
expect 2 --force=1 list
complains "option '--force=1' takes no value"
expect 2 list --dir
complains "option '--dir' needs a value"
expect 2 -x list
complains "unknown option '-x'"
expect 2 region lst demo
complains "region: 'lst' is not list, add, remove, dump or load; did you mean 'list'?"
# each option with each verb: it is used, or it is refused with both named
used='list--json status--json validate--json plan--json cat--json why--json host--json quarantine--json trace--json
	region-list--json stop--force console--force define--force console--read-only console--readonly
	region-add--read-only region-add--readonly console--wait validate--offline validate--running plan--running
	cat--running quarantine--retry trace--follow trace--pcapng region-add--label region-remove--label
	region-add--address region-add--size region-add--file run--kernel run--initrd run--cmdline run--memory run--name'
# shellcheck disable=SC2086 # words
used=$(printf ' %s' $used)
for verb in list status start stop console validate plan cat define edit run undefine why host quarantine trace \
	region-list region-add region-remove region-dump region-load; do
	what=$verb
	case $verb in
	list | host | quarantine) set -- ;;
	region-dump) what='region dump' && set -- nosuch 5 ;;
	region-load) what='region load' && set -- nosuch 5 - ;;
	region-*) what="region ${verb#region-}" && set -- nosuch ;;
	*) set -- nosuch ;;
	esac
	for option in json force read-only readonly wait offline running retry follow pcapng=x label=1 address=0 \
		size=4K file=x kernel=x initrd=x cmdline=x memory=4M name=x dir=/; do
		status=0 said=
		# shellcheck disable=SC2086 # words
		"$ctl" $what --$option "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
		read -r said <"$work/err" || :
		case "$used $verb--dir / $status $said" in # of region the verb or its command refuses
		*" $verb--${option%=*} "*" does not take "*) fail "$verb refuses --$option" ;;
		*" $verb--${option%=*} "*) ;;
		*" / 2 ghvmctl: ${what%% *} "*"does not take --${option%=*}, which is an option of: "*) ;;
		*) fail "$verb does not refuse --$option" ;;
		esac
	done
done
expect 2 list --name x
complains "list does not take --name, which is an option of: run"
expect 0 --help
for verb in list status start stop console validate plan why host quarantine trace; do
	prints "  $verb "
done
expect 0 --version
prints "ghvmctl 0."

# validate and plan need nobody
expect 0 validate "$work/good.yaml"
prints "good: no errors"
expect 0 --dir="$work" validate good
expect 1 validate "$work/bad.yaml"
prints "bad.yaml:3:16: memory.size: 101M is not a multiple of 2M"
prints "    memory: {size: 101M}"
prints "                   ^"
prints "bad.yaml:4:1: colour: unknown key"
prints "    colour: blue"
prints "    ^"
printf 'version: 1\nmemory: {size: 64M}\nkernel:\n\timage: /i\n' >"$work/tab.yaml"
expect 1 validate "$work/tab.yaml"
prints "tab.yaml:4:1: not YAML"
{
	printf 'version: 1\nmemory: {size: 64M}\nkernel: {image: /i, cmdline: "'
	head -c 300 /dev/zero | tr '\0' x
	printf '\033[31m", colour: 1}\n'
} >"$work/long.yaml"
expect 1 validate "$work/long.yaml"
[ "$(wc -L <"$work/out")" -lt 200 ] || fail "a long line as it is"
! grep -q "$(printf '\033')" "$work/out" || fail "an escape sequence as it is"
expect 1 --json validate "$work/bad.yaml"
prints '{"severity":"error","rule":"unknown-key","file":"'
prints '"line":4,"column":1,"key":"colour","text":"unknown key"}'
# a region with another VM: both descriptors are looked at, as a start does
mkdir "$work/pairs"
{
	sed 's/64M/64M, protection: none/' "$work/good.yaml"
	echo 'regions: [{label: 5, size: 4K, with: beta}]'
} >"$work/pairs/alpha.yaml"
for verb in validate plan; do
	rm -f "$work/pairs/beta.yaml"
	expect 1 --dir="$work/pairs" $verb alpha
	cat "$work/out" >>"$work/err"
	complains "alpha.yaml:4:38: regions[0].with: there is no virtual machine 'beta'"
	complains "write its descriptor first, or define it: a start needs both descriptors"
	cp "$work/bad.yaml" "$work/pairs/beta.yaml"
	expect 1 --dir="$work/pairs" $verb alpha
	cat "$work/out" >>"$work/err"
	complains "regions[0].with: the descriptor of beta cannot be read or has errors: see 'ghvmctl validate beta'"
	! grep -q '101M\|colour' "$work/err" || fail "an error of the other descriptor is told"
	cp "$work/good.yaml" "$work/pairs/beta.yaml"
	expect 1 --dir="$work/pairs" $verb alpha
	cat "$work/out" >>"$work/err"
	complains "regions[0].with: beta has no region 5 with alpha"
	sed 's/with: beta/with: alpha/' "$work/pairs/alpha.yaml" >"$work/pairs/beta.yaml"
	expect 0 --dir="$work/pairs" $verb alpha
	expect 0 $verb "$work/pairs/alpha.yaml"
done
expect 0 --dir="$work/pairs" --offline validate alpha
expect 3 --dir="$work" validate nosuch
complains "nosuch.yaml"
expect 0 plan "$work/good.yaml"
prints "lent   64M      entries 32 to 16384 of 4000"
prints "ram          0 to 32 of 32 pages of 2M"
prints "MEM_RECLAIM, MEM_LEND, 0 to 255 MEM_APPEND)"
expect 0 plan --json "$work/good.yaml"
prints '{"version":1,"name":"good","vcpus":1,"memory":67108864,"protected":true,"hugepages":"auto",'
sed "s#$work/Image#$work/nosuch#" "$work/good.yaml" >"$work/gone.yaml"
expect 1 validate "$work/gone.yaml"
prints "gone.yaml:2:17: kernel.image: $work/nosuch: No such file"
expect 0 --offline validate "$work/gone.yaml"
prints "gone: no errors"
expect 1 --offline validate "$work/bad.yaml"
sed 's/64M/16G/' "$work/gone.yaml" >"$work/large.yaml"
expect 1 --offline validate "$work/large.yaml"
prints "large.yaml:3:16: memory.size: takes at least 8192 entries"
prints "with memory.hugepages: 1G it takes 16"
sed 's/64M/30G, hugepages: 1G/; $a cpus: {count: 8}' "$work/gone.yaml" >"$work/largest.yaml"
expect 0 --offline validate "$work/largest.yaml"
expect 1 --json validate "$work/gone.yaml"
prints '"rule":"plan","file":"'
prints '"line":2,"column":17,"key":"kernel.image"'
expect 1 plan "$work/gone.yaml"
complains "gone.yaml:2:17: kernel.image: $work/nosuch: No such file"
ln -s Image "$work/vmlinuz"
sed "s#$work/Image#$work/vmlinuz#" "$work/good.yaml" >"$work/link.yaml"
if [ "$(id -u)" = 0 ]; then # a link of root's is followed, where all of it is
	expect 0 validate "$work/link.yaml"
	chown -h 65534 "$work/vmlinuz"
fi
expect 1 validate "$work/link.yaml"
prints "kernel.image: $work/vmlinuz: is a symbolic link, which is followed only where all of it is root's"
head -c 40 "$work/Image" >"$work/short"
sed "s#$work/Image#$work/short#" "$work/good.yaml" >"$work/cut.yaml"
expect 1 validate "$work/cut.yaml"
prints "cut.yaml:2:17: kernel.image: $work/short: truncated"

# what a kernel lacks, by the configuration inside of it
{
	cat "$work/Image"
	printf IKCFG_ST
	printf '%s\n' CONFIG_SERIAL_8250_CONSOLE=y CONFIG_SERIAL_OF_PLATFORM=y CONFIG_GPIO_PL061=m CONFIG_KEYBOARD_GPIO=m \
		CONFIG_VIRTIO_MMIO=y CONFIG_HW_RANDOM_VIRTIO=m '# CONFIG_DMA_RESTRICTED_POOL is not set' | gzip -n
	printf IKCFG_ED
} >"$work/configured"
sed "s#$work/Image#$work/configured#; \$a devices: [{rng: {region: 7}}, {watchdog: {}}]\nregions: [{label: 7, size: 4K}]" \
	"$work/good.yaml" >"$work/lint.yaml"
expect 0 validate "$work/lint.yaml"
prints 'lint.yaml:2:17: warning: kernel.image: the kernel lacks CONFIG_DMA_RESTRICTED_POOL, which the device "rng" with a region needs'
prints 'warning: kernel.image: the kernel lacks CONFIG_ARM_SP805_WATCHDOG, which the device "watchdog" needs'
prints "lint: no errors"
[ "$(grep -c warning "$work/out")" = 2 ] || fail "warnings: $(cat "$work/out")"
expect 0 --json validate "$work/lint.yaml"
prints '"severity":"warning","rule":"kernel-option","file":"'
expect 0 --offline validate "$work/lint.yaml"
! grep -q warning "$work/out" || fail "a file was read"
printf 'CONFIG_SERIAL_8250_CONSOLE=y\n' >"$work/Image.config"
expect 0 validate "$work/good.yaml"
prints "lacks CONFIG_GPIO_PL061, which the device"
head -c -20 "$work/configured" >"$work/half"
sed "s#configured#half#" "$work/lint.yaml" >"$work/half.yaml"
expect 0 validate "$work/half.yaml"
prints "half.yaml:2:17: warning: kernel.image: cannot read the configuration inside '$work/half'"
rm "$work/Image.config"

# a driver for each kind of device that another process serves
sed 's#^devices:.*#devices: [{vhost-user: {socket: /run/a, id: 2}}, {vhost-user: {socket: /run/b, id: 2}},\
  {vhost-user: {socket: /run/c, id: 26}}]#; s#^memory:.*#memory: {size: 512M, protection: none}#' \
	"$work/lint.yaml" >"$work/driver.yaml"
expect 0 validate "$work/driver.yaml"
prints 'lacks CONFIG_VIRTIO_BLK, which the device "vhost-user" with id 2 needs'
prints 'lacks CONFIG_VIRTIO_FS, which the device "vhost-user" with id 26 needs'
[ "$(grep -c warning "$work/out")" = 2 ] || fail "warnings: $(cat "$work/out")"

# a region of a device that is not listed, at the place of the key
sed 's#^devices:.*#devices: [{vhost-user: {socket: /run/a, id: 2, region: 7}}, {rng: {region: 7}},\
  {vhost-user: {socket: /run/b, id: 2, region: 9}}]#' "$work/lint.yaml" >"$work/region.yaml"
line=$(grep -n 'region: 9' "$work/region.yaml" | cut -d: -f1)
expect 1 --json --offline validate "$work/region.yaml"
prints "\"rule\":\"plan\",\"file\":\"$work/region.yaml\",\"line\":$line,"
prints '"key":"devices[2].vhost-user.region","text":"\"vhost-user\" uses region 9, which is not listed"'

# lists what there is without a bus, and says so
expect 0 --dir="$configs" list
complains "only descriptors are listed"
prints "NAME           STATE    VMID  LENT  SHARED  NOTE"
prints "demo           unknown  -     -     -"
expect 0 --dir="$configs" --json list
prints '[{"name":"appliance","state":"unknown","substate":null,"vmid":0,'
# a file that looks like a descriptor and is none
mkdir "$work/names"
cp "$work/good.yaml" "$work/names/Good.yaml"
cp "$work/good.yaml" "$work/names/good.yml"
cp "$work/good.yaml" "$work/names/good.yaml"
mkdir "$work/names/good.yaml.d"
expect 0 --dir="$work/names" list
complains "$work/names/Good.yaml is ignored: the name of a VM is 1 to 27 of a-z, 0-9 and -"
complains "$work/names/good.yml is ignored: the name of a descriptor ends in .yaml"
[ "$(grep -c ignored "$work/err")" = 2 ] || fail "more than these two are ignored"
# nothing else does without it
for verb in status why; do
	expect 1 $verb demo
	complains "cannot reach the system bus"
done
expect 3 status Bad_Name
complains "'Bad_Name' cannot name a virtual machine"
expect 3 --dir="$work" start nosuch
complains "there is no virtual machine 'nosuch': no nosuch.yaml in $work"
expect 3 --dir="$work" start goood
complains "no goood.yaml in $work; did you mean 'good'?"
expect 3 --dir="$work" --dir="$configs" plan dmeo
complains "no dmeo.yaml in $work or $configs; did you mean 'demo'?"
expect 1 --dir="$work" start bad
complains "bad.yaml:3:16: memory.size"
complains "bad.yaml:4:1: colour"
complains "bad is not started"
expect 1 --dir="$work" start good
complains "cannot reach the system bus"
# a full disk is noticed
if [ -e /dev/full ]; then
	status=0
	"$ctl" --help >/dev/full 2>"$work/err" || status=$?
	[ $status = 1 ] || fail "a failed write went unnoticed"
fi
