# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # run has set tmp
#
# scripts/install: what goes where, that other people's files stay, and that DKMS can use it. All in
# directories of their own.

install=$ROOT/scripts/install
KERNEL=${KERNEL:-$("$ROOT/scripts/kernel")}
plain=$tmp/plain-install		# a build directory of a kernel without the series
dest=$tmp/dest
release=$(cat "$KERNEL/build/include/config/kernel.release")
modules=$dest/lib/modules/$release

mkdir -p "$plain/include"
cp -r "$KERNEL"/build/{Makefile,.config} "$plain/"
cp -r "$KERNEL"/build/include/{config,generated} "$plain/include/"

installing() {
	exec env DESTDIR="$dest" "$install" "$@"
}

files() {
	(cd "$dest" && find . -type f ! -name 'modules.*' | sort | paste -sd' ')
}

# --- the module and the header ---

check "installed" 0 "installed $modules/extra/bpf_exceptions.ko" installing "$KERNEL/build"
holds "installed: these files" test "$(files)" = \
	"./lib/modules/$release/extra/bpf_exceptions.ko ./usr/include/bpf_exceptions.h"
holds "modprobe finds it" bash -c "modprobe -d '$dest' -S '$release' -n -v bpf_exceptions | grep extra/bpf_exceptions.ko"
check "installed again" 0 "installed $modules/extra" installing "$KERNEL/build"
echo "/* __BPF_EXCEPTIONS_H__ of last year */" >"$dest/usr/include/bpf_exceptions.h"
check "an older header: replaced, and said so" 0 "replacing .*/bpf_exceptions.h" installing "$KERNEL/build"
holds "an older header: replaced" cmp "$ROOT/bpf/bpf_exceptions.h" "$dest/usr/include/bpf_exceptions.h"
holds "the header compiles from there" bash -c "echo '#include <linux/bpf.h>
#include \"bpf_exceptions.h\"' | clang -target bpf -O2 -I'$dest/usr/include' -idirafter /usr/include/$(gcc -print-multiarch) -x c -c - -o /dev/null"

mkdir -p "$dest/lib/modules/6.1.7/extra"
cp "$modules/extra/bpf_exceptions.ko" "$dest/lib/modules/6.1.7/extra/"
check "uninstalled, and there for another kernel" 0 "bpf_exceptions.h stays, as .*6.1.7" installing --uninstall "$KERNEL/build"
holds "the module is gone, the header stays" test "$(files)" = \
	"./lib/modules/6.1.7/extra/bpf_exceptions.ko ./usr/include/bpf_exceptions.h"
rm -r "$dest/lib/modules/6.1.7"
check "uninstalled" 0 "removed .*/usr/include/bpf_exceptions.h" installing --uninstall "$KERNEL/build"
holds "nothing is left" test -z "$(files)"
check "uninstalled again: nothing to do" 0 "nothing was installed" installing --uninstall "$KERNEL/build"

# --- what is somebody else's ---

echo "theirs" >"$dest/usr/include/bpf_exceptions.h"
check "somebody else's header" 1 "bpf_exceptions.h isn't of this project, .*nothing was changed" installing "$KERNEL/build"
check "somebody else's header: not removed" 0 "nothing was installed" installing --uninstall "$KERNEL/build"
holds "somebody else's header: as it was" test "$(files) $(cat "$dest/usr/include/bpf_exceptions.h")" = "./usr/include/bpf_exceptions.h theirs"
rm "$dest/usr/include/bpf_exceptions.h"
mkdir -p "$modules/extra"
echo "theirs" >"$modules/extra/bpf_exceptions.ko"
check "somebody else's module" 1 "bpf_exceptions.ko isn't of this project" installing "$KERNEL/build"
check "somebody else's module: not removed" 1 "bpf_exceptions.ko isn't of this project" installing --uninstall "$KERNEL/build"
holds "somebody else's module: as it was" test "$(cat "$modules/extra/bpf_exceptions.ko")" = theirs
rm -r "$dest"

check "a kernel without the series" 1 "lacks the series" installing "$plain"
check "no build directory" 1 "isn't the build directory of a kernel" installing "$tmp"
check "no such directory" 1 "there is no build directory /nosuch" installing /nosuch
check "a kernel that isn't installed here" 1 "is(n't installed on this machine| needs root|talling needs root)" "$install" "$KERNEL/build"
holds "nothing was installed by these" test ! -e "$dest"

# --- DKMS ---

dkms_does() {
	exec dkms "$@" --dkmstree "$tmp/dkms" --sourcetree "$dest/usr/src" --installtree "$dest/lib/modules"
}

dkms=bpf-exceptions/$(project_version)
mkdir -p "$tmp/dkms" "$modules"
check "for DKMS" 0 "installed $dest/usr/src/bpf-exceptions-" installing --dkms
cd / || exit		# nothing depends on where one is
check "DKMS adds it" 0 "" dkms_does add "$dkms"
check "DKMS, a kernel without the series: not built" 77 "bpf-exceptions: .*without the patch series that the module needs \(put it in with make patch" \
	dkms_does build "$dkms" -k "$release" --kernelsourcedir "$plain"
check "DKMS, such a kernel is installed: nothing to do" 0 "" \
	dkms_does autoinstall -k "$release" --kernelsourcedir "$plain"
check "DKMS, a kernel with the series is installed: built" 0 "" \
	dkms_does autoinstall -k "$release" --kernelsourcedir "$KERNEL/build" --no-depmod
module=$(find "$modules" -name 'bpf_exceptions.ko')
holds "DKMS: it is installed, with its BTF" bash -c "bpftool -B '$KERNEL/vmlinux' btf dump file '$module' | grep -c \"FUNC 'bpf_throw'\""
grep -v CONFIG_DEBUG_INFO_BTF_MODULES "$KERNEL/build/.config" >"$plain/.config"
mkdir -p "$plain/include/linux"
cp "$KERNEL/src/include/linux/bpf_unwind.h" "$plain/include/linux/"
(dkms_does build "$dkms" -k other --kernelsourcedir "$plain") >"$tmp/out" 2>&1 || true
holds "DKMS, an option is off: it says so" grep "^MISSING  CONFIG_DEBUG_INFO_BTF_MODULES is off" "$tmp/out"
check "DKMS removes it" 0 "" dkms_does remove "$dkms" --all
cd "$ROOT" || exit

# dkms_modules RELEASE: what DKMS, which has built both modules for 6.1.0-1-amd64, would remove of RELEASE
dkms_modules() {
	mkdir -p "$tmp/dkms/$dkms/6.1.0-1-amd64/x86_64/module"
	touch "$tmp/dkms/$dkms/6.1.0-1-amd64/x86_64/module/bpf_exceptions_livepatch.ko"
	# shellcheck disable=SC2016 # for the other shell
	dkms_tree=$tmp/dkms kernelver=$1 kernel_source_dir=$tmp/no-headers bash -c '. "$0"; echo "${BUILT_MODULE_NAME[@]}"' "$ROOT/dkms.conf"
}

holds "DKMS removes the livepatch that it has built, though it can't be built any more" \
	test "$(dkms_modules 6.1.0-1-amd64)" = "bpf_exceptions bpf_exceptions_livepatch"
holds "... and none that it hasn't" test "$(dkms_modules 6.1.0-2-amd64)" = bpf_exceptions

check "the source for DKMS is uninstalled" 0 "removed $dest/usr/src/${dkms/\//-}" installing --uninstall "$KERNEL/build"
mkdir -p "$dest/usr/src/${dkms/\//-}"
echo 'PACKAGE_NAME="other"' >"$dest/usr/src/${dkms/\//-}/dkms.conf"
check "somebody else's source for DKMS" 1 "isn't of this project" installing --dkms
holds "somebody else's source for DKMS: as it was" grep other "$dest/usr/src/${dkms/\//-}/dkms.conf"
