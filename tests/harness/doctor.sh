# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # run has set tmp
#
# scripts/doctor: it reports correctly what a kernel has and what is missing. Build directories are
# links to that of the kernel that the tests run on, without what should be missing.

KERNEL=${KERNEL:-$("$ROOT/scripts/kernel")}
project=$tmp/project		# for modules of its own
mkdir "$project"
cp -r "$ROOT"/{Kbuild,module,scripts,jit-patch} "$project/"
doctor=$project/scripts/doctor

# lacking NAME FILE...: a build directory $tmp/NAME/build like the kernel's, but without FILEs.
lacking() {
	local dir=$tmp/$1/build file

	mkdir -p "$dir"
	for file in "$KERNEL"/build/* "$KERNEL/build/.config"; do
		ln -s "$(realpath "$file")" "$dir/${file##*/}"
	done
	for file in "${@:2}"; do
		rm "$dir/$file"
	done
}

says() {
	grep -qE -e "$1" "$tmp/out"
}

check "patched: all there" 0 "all there for kernel" "$doctor" "$KERNEL"
holds "patched: nothing is missing" bash -c "! grep MISSING '$tmp/out'"
holds "patched: the series and its revision" says "^ok .*series is in the source, revision [0-9]+"
holds "patched: no module yet" says "^note .*isn't built for this kernel yet: make module KDIR="
check "patched, to build for: all there" 0 "all there" "$doctor" --build "$KERNEL/build"
"$project/scripts/module" "$KERNEL/build" >"$tmp/module"
check "with a module: all there" 0 "all there" "$doctor" "$KERNEL/build"
holds "with a module: its BTF fits" says "^ok .*bpf_exceptions.ko: its BTF is made for this kernel's"

# without COMMAND DOCTOR...: with a PATH of all other commands; lib.sh would add directories
mkdir "$tmp/path"
ln -s /usr/{,s}bin/* "$tmp/path/" 2>/dev/null || true
without() {
	mv "$tmp/path/$1" "$tmp/path/.$1"
	sed -i.was '/^PATH=/d' "$project/scripts/lib.sh"
	env PATH="$tmp/path" "${@:2}" || local status=$?
	mv "$project/scripts/lib.sh.was" "$project/scripts/lib.sh"
	mv "$tmp/path/.$1" "$tmp/path/$1"
	return "${status:-0}"
}

for tool in readelf bpftool; do
	check "no $tool: it's said" 0 "all there" without $tool "$doctor" "$KERNEL/build"
	holds "no $tool: what can't be told, and what to do" says "^note .*can't be told without $tool; install the package"
done
check "no rsync" 1 "1 missing" without rsync "$doctor" --build "$KERNEL/build"
holds "no rsync: what to do" says "^MISSING  rsync, .*install the package rsync"
check "no rsync, no module" 1 "rsync isn't there, which .*install the package rsync" \
	without rsync "$project/scripts/module" "$KERNEL/build"

lacking plain source
ln -s "$(realpath "$KERNEL/src" | sed 's/+[^+]*$//')" "$tmp/plain/build/source"
check "without the series in the source" 1 "1 missing" "$doctor" "$tmp/plain"
holds "without the series in the source: what to do" says "^MISSING  the series: .*no include/linux/bpf_unwind.h; .*make patch KSRC="
lacking unbuilt Module.symvers
grep -v bpf_unwind_revision "$KERNEL/build/Module.symvers" >"$tmp/unbuilt/build/Module.symvers"
check "a kernel built without it" 1 "1 missing" "$doctor" "$tmp/unbuilt"
holds "a kernel built without it: what to do" says "^MISSING  the series: .*was built without it"
cp "$KERNEL/build/.config" "$tmp/trimmed.config"
echo "CONFIG_TRIM_UNUSED_KSYMS=y" >>"$tmp/trimmed.config"
lacking trimmed Module.symvers .config
cp "$tmp/unbuilt/build/Module.symvers" "$tmp/trimmed/build/"
cp "$tmp/trimmed.config" "$tmp/trimmed/build/.config"
check "a kernel that trims its exports" 1 "1 missing" "$doctor" "$tmp/trimmed"
holds "a kernel that trims its exports: the right reason" \
	says "^MISSING  the series' exports: CONFIG_TRIM_UNUSED_KSYMS is on, .*; turn it off"
check "a kernel that trims its exports: no module" 1 "has CONFIG_TRIM_UNUSED_KSYMS on, .*; turn it off" \
	"$project/scripts/module" "$tmp/trimmed/build"
lacking listed .config
cp "$tmp/trimmed.config" "$tmp/listed/build/.config"
check "a kernel that trims, but not these: a note" 0 "all there" "$doctor" "$tmp/listed"
holds "a kernel that trims, but not these: what it takes" says "^note .*CONFIG_TRIM_UNUSED_KSYMS is on: .*WHITELIST"

# another NAME PATCHLEVEL: a build directory of that version, without the series
another() {
	lacking "$1" source include Makefile
	mkdir -p "$tmp/$1/build/"{include/config,source/include}
	ln -s "$KERNEL/build/include/generated" "$tmp/$1/build/include/generated"
	printf 'VERSION = %d\nPATCHLEVEL = %d\nSUBLEVEL = 7\n' "${2%.*}" "${2#*.}" >"$tmp/$1/build/source/Makefile"
	cp "$tmp/$1/build/source/Makefile" "$tmp/$1/build/"
	echo "$2.7-test" >"$tmp/$1/build/include/config/kernel.release"
}

# version, what there is to use instead
for row in "6.12 mainline has exceptions of its own since 6.7: use bpf_throw" \
	"5.10 there is none for this version: use a 6.1.y kernel with the series, or 6.7 or later"; do
	version=${row%% *}
	another "v$version" "$version"
	check "$version" 1 "1 missing" "$doctor" "$tmp/v$version"
	holds "$version: what to do" says "^MISSING  a kernel for the series: this is $version.7-test, .*${row#* }"
	holds "$version: nothing else" test "$(wc -l <"$tmp/out")" = 1
	check "$version, to build for: what to do" 1 "1 missing" "$doctor" --build "$tmp/v$version/build"
	rm "$tmp/v$version/build/include/config/kernel.release"
	check "$version, not built: what to do" 1 "1 missing" "$doctor" "$tmp/v$version"
	holds "$version, not built: which" says "^MISSING  a kernel for the series: this is $version.7, "
	check "$version: no module" 1 "is $version.7, .*${row#* }" "$project/scripts/module" "$tmp/v$version/build"
done

sed -i 's/^#if BPF_UNWIND_REVISION != .*/#if BPF_UNWIND_REVISION != 999/' "$project/module/unwind.h"
check "another revision" 1 "1 missing" "$doctor" "$KERNEL"
holds "another revision: which" says "^MISSING  the series: .*revision [0-9]+ of it, the module is for 999"
cp "$ROOT/module/unwind.h" "$project/module/"

for option in X86_64 BPF_JIT DEBUG_INFO_BTF_MODULES; do
	lacking "no-$option" .config
	grep -v "^CONFIG_$option=" "$KERNEL/build/.config" >"$tmp/no-$option/build/.config"
	check "CONFIG_$option off" 1 "1 missing" "$doctor" "$tmp/no-$option"
	holds "CONFIG_$option off: why it is needed" says "^MISSING  CONFIG_$option is off, and .+; turn it on"
done
lacking no-vmlinux vmlinux
check "no vmlinux" 1 "1 missing" "$doctor" "$tmp/no-vmlinux"
holds "no vmlinux: what to do" says "^MISSING  vmlinux in .*VMLINUX=FILE"
lacking no-btf vmlinux
cp "$(type -P true)" "$tmp/no-btf/build/vmlinux"
check "vmlinux without BTF" 1 "1 missing" "$doctor" "$tmp/no-btf"
holds "vmlinux without BTF: what to do" says "^MISSING  the kernel's BTF: .*has none"
stand_in pahole "echo v1.20"
check "an old pahole" 1 "1 missing" with_stand_ins "$doctor" "$KERNEL"
holds "an old pahole: which" says "^MISSING  pahole is 1.20, .*1.22"
rm "$tmp/bin/pahole"
stand_in gcc "echo gcc 99"
check "another compiler: a note" 0 "all there" with_stand_ins "$doctor" "$KERNEL"
holds "another compiler: which" says "^note .*here is gcc 99, and the kernel was built with gcc"
rm "$tmp/bin/gcc"

# kernels built by a clang that isn't installed, with GNU ld and with lld
lacking clang .config
{
	grep -v '^CONFIG_\(CC_VERSION_TEXT\|CLANG_VERSION\|LD_IS_LLD\)=' "$KERNEL/build/.config"
	printf 'CONFIG_CC_VERSION_TEXT="clang version 99"\nCONFIG_CLANG_VERSION=990001\n'
} >"$tmp/clang/build/.config"
stand_in make 'echo "make $*"; exit 1'
check "clang: a note" 0 "all there" "$doctor" --build "$tmp/clang/build"
holds "clang: which" says "^note .*here is .*clang version [0-9.]+.*, and the kernel was built with clang version 99"
check "clang: kbuild is told" 1 "the module did not build" with_stand_ins "$project/scripts/module" "$tmp/clang/build"
holds "clang: kbuild is told of the compiler" grep -q "^make .* CC=clang modules" "$project/build/module/clang/log"
echo "CONFIG_LD_IS_LLD=y" >>"$tmp/clang/build/.config"
check "clang and lld: kbuild is told" 1 "the module did not build" with_stand_ins "$project/scripts/module" "$tmp/clang/build"
holds "clang and lld: kbuild is told of both" grep -q "^make .* LLVM=1 modules" "$project/build/module/clang/log"
rm "$tmp/bin/make"

# a module whose BTF is made for another kernel, one without BTF, and one of another release
module=$(cat "$tmp/module")
lacking other vmlinux
printf 'struct none { int x; } none;\n' | gcc -g -x c -c -o "$tmp/other/build/vmlinux" -
pahole -J "$tmp/other/build/vmlinux"
mkdir -p "$project/build/module/other"
cp "$module" "$project/build/module/other/"
check "a module for another build" 1 "1 missing" "$doctor" "$tmp/other"
holds "a module for another build: what to do" says "^MISSING  a module for this build of the kernel: .*make module KDIR="
lacking bare
mkdir -p "$project/build/module/bare"
objcopy -R .BTF "$module" "$project/build/module/bare/bpf_exceptions.ko"
check "a module without BTF" 1 "1 missing" "$doctor" "$tmp/bare"
holds "a module without BTF: what to do" says "^MISSING  the module's BTF: .*has none"
rm -r "$tmp/bare/build/include"
mkdir -p "$tmp/bare/build/include/config"
cp -r "$KERNEL/build/include/generated" "$tmp/bare/build/include/"
echo 6.1.7 >"$tmp/bare/build/include/config/kernel.release"
check "a module for another release" 1 "1 missing" "$doctor" "$tmp/bare"
holds "a module for another release: which" says "^MISSING  a module for this kernel: .*is for 6.1"
holds "a kernel that it was not tried on: a note" says "^note .*6.1.7 isn't one that the series was tried on"

check "no build directory" 2 "isn't the build directory of a configured kernel" "$doctor" "$tmp"
check "no directory" 2 "there is no directory /nosuch" "$doctor" /nosuch
check "two of them" 2 "unknown argument" "$doctor" "$KERNEL" "$KERNEL"
"$doctor" >"$tmp/out" 2>/dev/null || true
holds "the running kernel: its series" says "(ok|MISSING) .*series"
holds "the running kernel: its JIT, or that it is of another version" \
	says "(ok|MISSING) .*JIT|MISSING  a kernel for the series: this is $(uname -r | sed 's/[+.]/\\&/g'), "

# the running kernel, if it is patched
in_machine() {
	exec "$ROOT/scripts/vm" --kernel "$KERNEL" --console "$tmp/console" --with "$project" --with /bin/bash \
		--with "$(type -P realpath)" "$@"
}

check "in the machine, with the module: all there" 0 "all there for kernel" \
	in_machine --module "$module" -- bash project/scripts/doctor
holds "in the machine, with the module: the series" says "^ok .*the running kernel has the series"
holds "in the machine, with the module: it is loaded" says "^ok .*the module is loaded"
check "in the machine, JIT off, no module" 1 "2 missing" \
	in_machine --no-module -- sh -c 'echo 0 >/proc/sys/net/core/bpf_jit_enable; exec bash project/scripts/doctor'
holds "in the machine, JIT off: what to do" says "^MISSING  the JIT: .*sysctl net.core.bpf_jit_enable=1"
holds "in the machine, no module: said" says "^note .*the module isn't loaded"

check "in the machine, CAP_BPF without CAP_SYS_ADMIN: a note" 0 "all there" \
	in_machine --module "$module" --with "$(type -P setpriv)" -- \
	/work/setpriv --bounding-set -all,+bpf -- bash project/scripts/doctor
holds "in the machine, CAP_BPF without CAP_SYS_ADMIN: what it takes" \
	says "^note .*CAP_BPF without CAP_SYS_ADMIN: .*load programs that throw with both"

# --- a module for headers without vmlinux, as packages have them ---

module() {
	exec env VMLINUX="$1" "$project/scripts/module" "$tmp/no-vmlinux/build"
}

check "no vmlinux: no module" 1 "no vmlinux in .*VMLINUX=FILE" module ""
check "no vmlinux there, either: no module" 1 "there is no /nosuch" module /nosuch
llvm-objcopy --dump-section ".BTF=$tmp/btf" "$(realpath "$KERNEL/vmlinux")" "$tmp/stripped"
check "no vmlinux, and BTF to make the module's for" 0 "" module "$tmp/btf"
holds "its kfunc is in it" bash -c "bpftool -B '$tmp/btf' btf dump file '$(cat "$tmp/out")' | grep -c \"FUNC 'bpf_throw'\""
