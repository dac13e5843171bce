# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2153,SC2154 # run has set ROOT and tmp
#
# The Debian packages, really installed: into a fresh Debian 12 with Debian's kernel and its source,
# which need not be the archive's newest. DKMS builds both modules there. Then that kernel loads them as
# installed, and a program throws. Needs root, for the chroot, and downloads half a gigabyte of packages.

"$ROOT/scripts/setup" packages
((EUID == 0)) || die "installing the packages into a chroot takes root"
stock=$("$ROOT/scripts/stock")
stock_release=$(<"$stock/release")
# one that the livepatch isn't for: what comes and has no source installed
other=$("$ROOT/scripts/stock" --list | grep -vE "cloud|rt|^$stock_release$" | tail -n 1)
debian=$tmp/debian
updates=$debian/lib/modules/$stock_release/updates

# The archive as apt knows it here
archive() {
	# shellcheck disable=SC2016 # apt's own
	apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian'
}

in_chroot() {
	# shellcheck disable=SC2016 # for the shell in the namespace
	exec unshare --mount --pid --fork --kill-child sh -c '
		mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/tmp" && exec chroot "$0" "$@"' "$debian" "$@"
}

apt() {
	in_chroot env DEBIAN_FRONTEND=noninteractive INITRD=No LC_ALL=C apt-get -y --no-install-recommends "$@" 2>&1 |
		tee "$tmp/apt" >&2
	exit "${PIPESTATUS[0]}"
}

modules() {
	find "$debian/lib/modules" -name 'bpf_exceptions*' -printf '%P\n' | sort | paste -sd' '
}

debian_12() {
	archive | exec mmdebstrap --mode=root --variant=minbase --skip=cleanup/apt/lists --aptopt='APT::Install-Recommends "0"' \
		--include="linux-image-$stock_release,linux-headers-$stock_release,dkms,openssl" bookworm "$debian" -
}

check "the packages are made" 0 "" "$ROOT/scripts/deb"
mapfile -t packages <"$tmp/out"
holds "they are two" test ${#packages[@]} = 2
check "a Debian 12 with its own kernel" 0 "success" debian_12
cp "${packages[@]}" "$debian/root/"
check "they are installed, and DKMS builds for that kernel" 0 "DKMS: install completed|Installing to /lib/modules/$stock_release" \
	apt install "linux-source-6.1=$(<"$stock/version")" "${packages[@]/#*\///root/}"
holds "DKMS has installed both modules" test "$(modules)" = \
	"$stock_release/updates/dkms/bpf_exceptions.ko $stock_release/updates/dkms/bpf_exceptions_livepatch.ko"
holds "both are signed with the key that DKMS has made" test \
	"$(modinfo -F signer "$updates"/dkms/*.ko | grep -c "DKMS module signing key")" = 2

# That kernel, with the modules as they are there, and programs made with the header as it is there
mkdir -p "$tmp/modules/$stock_release" "$tmp/samples"
cp -r "$updates" "$debian/lib/modules/$stock_release"/modules.* "$tmp/modules/$stock_release/"
holds "the kernel is the one that the test machine boots" cmp "$debian/boot/vmlinuz-$stock_release" "$stock/bzImage"
for sample in "$ROOT"/bpf/samples/*.bpf.c; do
	sed 's,"../bpf_exceptions.h",<bpf_exceptions.h>,' "$sample" >"$tmp/samples/${sample##*/}"
	holds "the header of the package compiles ${sample##*/}" \
		clang -O2 -g -Wall -Wextra -target bpf -mcpu=v2 -I "$debian/usr/include" -idirafter "/usr/include/$(gcc -print-multiarch)" \
		-c "$tmp/samples/${sample##*/}" -o "$tmp/samples/$(basename "$sample" .c).o"
done
make -s -C "$ROOT" build/samples/samples >&2
cp "$ROOT/build/samples/samples" "$debian/usr/sbin/bpfthrow" "$tmp/samples/"

# shellcheck disable=SC2016 # for the machine's shell
check "that kernel, which takes signed modules only and has the key, loads them by modprobe, and programs throw" 0 "" \
	"$ROOT/scripts/vm" --kernel "$stock" --no-module --trust "$debian/var/lib/dkms/mok.pub" --append "module.sig_enforce=1 lockdown=integrity" \
	--console "$ROOT/build/vm/packages.log" --with "$(type -P modprobe)" --with "$tmp/modules" --with "$tmp/samples" -- sh -c '
	mkdir -p /lib/modules && ln -s "/work/modules/$1" /lib/modules/ && modprobe bpf_exceptions && lsmod && cd samples &&
	{ ./bpfthrow --time 20 >/tmp/thrown & } && sleep 2 && ./samples && kill -INT $! && wait $! && cat /tmp/thrown' sh "$stock_release"
holds "both are loaded" test "$(grep -cE '^bpf_exceptions(_livepatch)? ' "$tmp/out")" = 2
holds "bpfthrow of the package has seen what they threw" grep -E "threw" "$tmp/out"

# --- other kernels come, and the packages go ---

check "the headers of another kernel are installed all the same" 0 "bpf-exceptions: not built for $other: .*, and has no livepatch: " \
	apt install "linux-headers-$other"
holds "nothing was built for it" test "$(modules | tr ' ' '\n' | grep -c "^$other/")" = 0
check "they are removed" 0 "Removing bpf-exceptions-dkms" apt remove bpf-exceptions-dkms bpf-exceptions
holds "no module is left" test -z "$(modules)"
holds "nor what tells modprobe of them" bash -c "! grep bpf_exceptions '$debian/lib/modules/$stock_release/modules.dep'"
holds "nor header, tool and source" test -z "$(find "$debian/usr" -name 'bpf*exceptions*' ! -path '*/doc/*')"
