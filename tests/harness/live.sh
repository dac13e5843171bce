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
check "the same, asked beforehand" 1 "linux-source-6.1 of that version isn't installed.*; run apt-get install linux-source-6.1=" "$live" --check "$tmp/live-other-version/build"
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

# --- structures that aren't the kernel's ---

# made_with NAME: the BTF of the C on standard input, as $tmp/NAME.btf
made_with() {
	gcc -g -x c -c -o "$tmp/$1.o" - && pahole -J --btf_encode_detached="$tmp/$1.btf" "$tmp/$1.o"
}

layout() {
	exec "$tmp/layout" "$tmp/kernel.btf" "$tmp/series.btf" "$@"
}

# differs NAME SAYS C [OPTION]...: what the kernel has, changed to C, is told of; with OPTIONs it isn't.
differs() {
	made_with series <<<"$3"
	check "$1" 1 "1 differ" layout
	holds "$1: which, and how" grep -E "$2" "$tmp/out"
	(($# == 3)) || check "$1, where that may be" 0 " 0 differ" layout "${@:4}"
}

# carve LINES: what the table says of x.c, besides "all"
carve() {
	printf 'x.c all\n%s\n' "$1" >"$tmp/table"
	"$ROOT/jit-patch/livepatch/carve" "$tmp/table" "$tmp" x.c
}

printf '%s\n' 'static int once(int x)' '{' '	return x;' '}' >"$tmp/x.c"
check "a function to inline" 0 "" carve "x.c inline once"
holds "... which is marked" grep "^static __always_inline int once" "$tmp/out"
check "one that isn't there" 1 "defined 0 times: twice" carve "x.c inline twice"

gcc -O2 -w -o "$tmp/layout" "$ROOT/jit-patch/livepatch/layout.c" -lbpf -lelf -lz
made_with kernel <<<'struct s { int a; long b; } s; enum e { A, B } e; int f(struct s *s) { return s->a; }'
made_with series <<<'struct s { int a; long b; } s; enum e { A, B, C } e; struct more { int x; } more;'
check "the same structures, and more" 0 "2 types compared, 0 differ" layout
differs "a longer structure" "^struct s: 24 bytes, and 16 in the kernel" \
	'struct s { int a; long b; int c; } s; enum e { A, B } e;' --grown s
differs "a member that has moved" "^struct s: a is at bit 32, and in the kernel at 0" \
	'struct s { int new, a; long b; } s; enum e { A, B } e;' --own s
differs "a member of another size" "^struct s: a is at bit 0" \
	'struct s { char a; long b; } s; enum e { A, B } e;' --own s
differs "a member that is gone" "^struct s: no member a," \
	'struct s { long c, b; } s; enum e { A, B } e;' --own s
differs "an enumerator of another value" "^enum e: B isn't the kernel's" 'enum e { A, NEW, B } e;'
made_with series <<<'struct s { int a; long b; } s;'
check "a function of the kernel's that takes what has grown" 1 "1 differ" layout --grown s --called f
holds "... which" grep "^f(): takes a struct s" "$tmp/out"

# The series with one member more in a structure that all of the kernel knows
grown=$tmp/live-grown
mkdir "$grown"
(cd "$ROOT" && cp -r --parents scripts jit-patch "$grown/")
patched=$("$live" "$stock/build" >/dev/null && echo "$ROOT/build/live/$(basename "$stock")/include/linux/bpf.h")
mkdir -p "$tmp"/{a,b}/include/linux
cp "$patched" "$tmp/a/include/linux/"
sed 's/^struct bpf_prog_aux {/&\n\tlong grown;/' "$patched" >"$tmp/b/include/linux/bpf.h"
(cd "$tmp" && diff -u a/include/linux/bpf.h b/include/linux/bpf.h) >"$grown/jit-patch/6.1/9999-grown.patch" || true
echo 9999-grown.patch >>"$grown/jit-patch/6.1/series"
check "a series that makes a structure of the kernel's longer" 1 "the livepatch doesn't fit the kernel" "$grown/scripts/live" "$stock/build"
holds "... which, and how" grep -E "struct bpf_prog_aux: [0-9]+ bytes, and [0-9]+ in the kernel" "$tmp/err"

# --- installed ---

# doctor NAME STATUS REGEX ARGUMENT...: what it says of the kernel
doctor() {
	check "doctor: $1" "$2" "" "${@:4}"
	holds "doctor: $1: it says so" grep -E "$3" "$tmp/out"
}

# The archive may have a newer source than that of its newest kernel
if [[ $(dpkg-query -W -f '${Version}' linux-source-6.1) == "$(<"$stock/version")" ]]; then
	doctor "a kernel that the tests ran on" 0 "^ok .*is Debian's own, and the tests pass on it" "$ROOT/scripts/doctor" "$stock/build"
else
	doctor "a kernel that is older than the source" 1 "has no livepatch: .*; run apt-get install linux-source-6.1=$(<"$stock/version")" \
		"$ROOT/scripts/doctor" "$stock/build"
fi
doctor "one whose source there isn't" 1 "^MISSING .*is without it, and has no livepatch: .*of version 6.1.999-1" \
	"$ROOT/scripts/doctor" "$tmp/live-other-version/build"

# running WORDS: as the running kernel, without headers, with WORDS on its command line
project=$tmp/live-doctor/project
mkdir -p "$project"
(cd "$ROOT" && cp -r --parents scripts jit-patch module "$project/")
running() {
	# shellcheck disable=SC2016 # for the machine's shell
	exec "$ROOT/scripts/vm" --kernel "$stock" --no-module --append "$1" --console "$tmp/console" --with "$project" \
		--with /bin/bash --with "$(type -P realpath)" -- sh -c '
		mount -t securityfs none /sys/kernel/security; exec bash project/scripts/doctor'
}

doctor "it runs, and has no headers" 1 "^MISSING  the series: kernel $stock_release is Debian's own, .*install the package linux-headers-$stock_release" \
	running module.sig_enforce=1
holds "doctor: it takes signed modules only" grep "^note .*was told to enforce signatures .*mokutil --import" "$tmp/out"
doctor "it is locked down" 1 "^note .*is locked down, as Secure Boot does it: .*mokutil --import" running lockdown=integrity

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
