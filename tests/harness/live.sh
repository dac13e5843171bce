# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # run has set tmp
#
# scripts/live and scripts/install on one of Debian's own kernels: what they refuse, and what goes
# where.

live=$ROOT/scripts/live
unset VMLINUX		# that of the kernel which the other tests are for
stock=$("$ROOT/scripts/stock")
stock_release=$(<"$stock/release")
dest=$tmp/live-dest

# variant NAME: $tmp/live-NAME, a copy of the kernel's build directory, of links. What is changed has to be replaced.
variant() {
	mkdir -p "$tmp/live-$1"
	cp -rlL "$stock/build/." "$tmp/live-$1/build" 2>/dev/null || cp -rL "$stock/build/." "$tmp/live-$1/build"
	cp -rl "$stock"/packages/usr/src/linux-headers-*-common "$tmp/live-$1/" 2>/dev/null ||
		cp -r "$stock"/packages/usr/src/linux-headers-*-common "$tmp/live-$1/"
	ln -s "$stock/vmlinux" "$tmp/live-$1/vmlinux"
	ln -s "$stock/bzImage" "$tmp/live-$1/bzImage"
}

variant other-version
sed -i 's/ Debian .*"/ Debian 6.1.999-1"/' "$tmp/live-other-version/build/include/generated/package.h"
check "a kernel whose source there isn't" 1 "of version 6.1.999-1, and there is no linux-source-6.1 of that version" \
	"$live" "$tmp/live-other-version/build"
check "the same, asked beforehand" 1 "linux-source-6.1 of that version isn't installed" "$live" --check "$tmp/live-other-version/build"
variant nobodys
sed -i 's/ Debian .*"/"/' "$tmp/live-nobodys/build/include/generated/package.h"
check "a kernel that isn't Debian's" 1 "isn't one of Debian 12's" "$live" "$tmp/live-nobodys/build"
for option in LIVEPATCH DEBUG_INFO_BTF_MODULES BPF_JIT; do
	variant no-$option
	sed -i "/^CONFIG_$option=/d" "$tmp/live-no-$option/build/.config"
	check "CONFIG_$option is off" 1 "has CONFIG_$option off" "$live" "$tmp/live-no-$option/build"
done
head -c 100000 "$stock/vmlinux" >"$tmp/no-kernel"
check "VMLINUX isn't the kernel" 1 "has no build ID|isn't the" env VMLINUX="$tmp/no-kernel" "$live" "$stock/build"
check "VMLINUX isn't there" 1 "there is no readable /nosuch" env VMLINUX=/nosuch "$live" "$stock/build"
variant other-headers
sed -i '1i // of another version' "$tmp"/live-other-headers/linux-headers-*-common/include/linux/bpf.h
check "headers of another version" 1 "include/linux/bpf.h of the headers of .* isn't that of" "$live" "$tmp/live-other-headers/build"
check "not a version that the tests ran on" 1 "the tests haven't run on kernel" \
	"$live" --tried "$tmp/live-other-version/build"

check "installed on one without the series" 0 "installed .*/extra/bpf_exceptions_livepatch.ko" \
	env DESTDIR="$dest" "$ROOT/scripts/install" "$stock/build"
holds "modprobe bpf_exceptions loads both, the livepatch first" bash -c "
	modprobe -d '$dest' -S '$stock_release' -n -v bpf_exceptions | grep -o 'bpf_exceptions[a-z_]*\.ko' | paste -sd' ' |
		grep -x 'bpf_exceptions_livepatch.ko bpf_exceptions.ko'"
holds "the installed livepatch has its relocations" bash -c "
	readelf -SW '$dest/lib/modules/$stock_release/extra/bpf_exceptions_livepatch.ko' | grep -q 'klp.rela.vmlinux..text *RELA .* AI*o '"
check "both are uninstalled" 0 "removed .*bpf_exceptions_livepatch.ko" \
	env DESTDIR="$dest" "$ROOT/scripts/install" --uninstall "$stock/build"
holds "nothing of them is left" test -z "$(find "$dest" -name '*.ko')"
