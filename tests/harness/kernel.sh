# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # run has set tmp
#
# scripts/kernel: bad input, interruptions and concurrent runs, with a fake source that builds quickly.

kernel=$ROOT/scripts/kernel
fake=$tmp/linux
cache=$tmp/cache

# --- a source tree, three patches for it, and config fragments that make it misbehave ---

mkdir -p "$fake/kernel" "$tmp/series" "$tmp/bad-series" "$cache"
touch "$fake/Kbuild"
seq 20 >"$fake/kernel/throw.c"
cat >"$fake/Makefile" <<'END'
VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 999
.NOTPARALLEL:
ask = grep -q $(1)=y $(O)/.config
allnoconfig:
	cp $(KCONFIG_ALLCONFIG) $(O)/.config
	! $(call ask,SLOW_CONFIG) || sleep 60
olddefconfig:
	sed -i /CONFIG_DROPPED=/d $(O)/.config
bzImage modules:
	! $(call ask,SLOW_BUILD) || sleep 60
	! $(call ask,PATIENT_BUILD) || sleep 2
	! $(call ask,BROKEN) || { echo "x.c:1: error: no such thing"; false; }
	mkdir -p $(O)/arch/x86/boot $(O)/include/config
	cp kernel/throw.c $(O)/arch/x86/boot/bzImage
	touch $(O)/vmlinux $(O)/left-over.o
	echo 6.1.999 >$(O)/include/config/kernel.release
END
for option in DROPPED SLOW_CONFIG SLOW_BUILD PATIENT_BUILD BROKEN; do
	echo "CONFIG_$option=y" >"$tmp/$option.config"
done
echo "CONFIG_HELLO is what" >"$tmp/garbage.config"

# make_patch SERIES NAME LINE [WAS]: a patch that changes one line.
make_patch() {
	printf -- '--- a/kernel/throw.c\n+++ b/kernel/throw.c\n@@ -%d,3 +%d,3 @@\n %d\n-%s\n+patched %d\n %d\n' \
		$(($3 - 1)) $(($3 - 1)) $(($3 - 1)) "${4:-$3}" "$3" $(($3 + 1)) >"$1/$2"
	echo "$2" >>"$1/series"
}

make_patch "$tmp/series" 0001-first.patch 3
make_patch "$tmp/series" 0002-second.patch 13
make_patch "$tmp/bad-series" 0001-first.patch 3
make_patch "$tmp/bad-series" 0002-misfit.patch 13 unlucky
cp -r "$fake" "$tmp/patched"
for patch in "$tmp"/series/*.patch; do
	patch -s -d "$tmp/patched" -p1 <"$patch"
done
cp -r "$fake" "$tmp/half-patched"
patch -s -d "$tmp/half-patched" -p1 <"$tmp/series/0001-first.patch"
cp -r "$fake" "$tmp/newer"
sed -i 's/PATCHLEVEL = 1/PATCHLEVEL = 12/' "$tmp/newer/Makefile"

fake_kernel() {
	exec env TMPDIR="$tmp" CACHE="$cache" PATH="$tmp/bin:$PATH" KSRC="$fake" "$kernel" --series "$tmp/series" "$@"
}

listing() {
	(cd "$1" && find . -type f -exec sha256sum {} + | sort)
}

# The cache has nothing but finished kernels and sources.
nothing_half_done() {
	! find "$cache" -name '*.unfinished' | grep . && ! find "$cache/kernels" -mindepth 2 -maxdepth 2 -name build \
		-execdir test ! -e .complete \; -print 2>/dev/null | grep .
}

# killed_in STAGE SIGNAL CONFIG: runs until the kernel is in STAGE, then sends SIGNAL.
killed_in() {
	local run status=0 tries=0

	: >"$tmp/progress"
	fake_kernel --config "$tmp/$3.config" 2>"$tmp/progress" &
	run=$!
	until grep -q "$1" "$tmp/progress" || ((tries++ > 100)); do
		sleep 0.1
	done
	kill "-$2" "$run"
	wait "$run" || status=$?
	return "$status"
}

mkdir -p "$tmp/bin"
stand_in df 'echo; echo "disk 0 0 9000000 0% /"'
before=$(listing "$fake")

# --- bad input ---

check "unknown option" 1 "unknown argument '--nosuch'" "$kernel" --nosuch
check "option without its value" 1 "--config needs a value" "$kernel" --config
check "unknown source" 1 "no source 5.15" "$kernel" --source 5.15
check "unknown fragment" 1 "no config fragment .*/nosuch.config" "$kernel" --config nosuch
check "garbage in a fragment" 1 "garbage.config:1: CONFIG_HELLO is what" "$kernel" --config "$tmp/garbage.config"
check "no series there" 1 "no .*/nosuch/series" "$kernel" --series "$tmp/nosuch"
check "KSRC is no source tree" 1 "not a kernel source tree" fake_kernel --ksrc "$tmp/cache"
check "KSRC is not 6.1.y" 1 "is Linux 6.12.999, and the patches are for 6.1.y" fake_kernel --ksrc "$tmp/newer"
check "KSRC is patched already" 1 "has the series already" fake_kernel --ksrc "$tmp/patched"
check "KSRC is half patched already" 1 "0001-first.patch does not apply .* kernel/throw.c seems to have it already" \
	fake_kernel --ksrc "$tmp/half-patched"
check "a patch does not apply" 1 "0002-misfit.patch does not apply .* kernel/throw.c, hunk #1 at line 12, and nothing was changed" \
	fake_kernel --series "$tmp/bad-series"
check "CACHE has a space" 1 "has a space" env CACHE="$tmp/a cache" "$kernel"
check "CACHE can't be written" 1 "can't make the cache" env CACHE=/proc/nosuch PATH="$tmp/bin:$PATH" "$kernel" --ksrc "$fake" --no-series
holds "nothing was built of any of these" test -z "$(find "$cache" -mindepth 1)"

stand_in df 'echo; echo "disk 0 0 1000000 0% /"'
check "no room on disk" 1 "no room: .* has 976 MiB left, and building .* takes [0-9]+ MiB" fake_kernel
stand_in df 'echo; echo "disk 0 0 9000000 0% /"'

check "a dropped option" 1 "CONFIG_DROPPED=y of .*DROPPED.config became n" fake_kernel --config "$tmp/DROPPED.config"
check "a build that fails: its error" 1 "x.c:1: error: no such thing" fake_kernel --config "$tmp/BROKEN.config"
holds "a build that fails: its log" test -s "$(grep -oE '/[^ ]*/log$' "$tmp/err")"
holds "nothing half done is left" nothing_half_done

# --- interruptions and concurrent runs ---

check "interrupted while configuring" 143 "" killed_in configuring TERM SLOW_CONFIG
check "interrupted while building" 143 "" killed_in building TERM SLOW_BUILD
holds "nothing half done is left after an interrupt" nothing_half_done
check "killed while building" 137 "" killed_in building KILL PATIENT_BUILD
check "after a kill: built anew" 0 "built kernel" fake_kernel --config "$tmp/PATIENT_BUILD.config"

rm -rf "$cache/kernels"
touch "$tmp/first.err"
fake_kernel --config "$tmp/PATIENT_BUILD.config" >"$tmp/first" 2>"$tmp/first.err" &
first=$!
until grep -q "building" "$tmp/first.err"; do sleep 0.1; done
check "a second run waits" 0 "another run is making" fake_kernel --config "$tmp/PATIENT_BUILD.config"
wait "$first" || true
holds "a second run gets what the first built" cmp "$tmp/first" "$tmp/out"
holds "a second run builds nothing" bash -c "! grep -q 'built kernel' '$tmp/err'"

# --- the result ---

check "a kernel is built" 0 "built kernel" fake_kernel
dir=$(cat "$tmp/out")
holds "it is patched" grep -q "^patched 13" "$dir/bzImage"
holds "it says what it is" grep -q "^release *6.1.999" "$dir/info"
holds "its objects are trimmed" test ! -e "$dir/build/left-over.o"
check "it is found again" 0 "" fake_kernel
holds "it is found in silence" test ! -s "$tmp/err"
cp -r "$tmp/series" "$tmp/retold"
sed -i '1s/^/Subject: in other words\n\n/' "$tmp"/retold/*.patch
check "another message is no other kernel" 0 "" fake_kernel --series "$tmp/retold" --print-key
holds "another message has no other key" test "$(cat "$tmp/out")" = "$(basename "$dir")"
sed -i 's/^+.*$/& /' "$tmp"/retold/*.patch
check "another diff is another kernel" 0 "" fake_kernel --series "$tmp/retold" --print-key
holds "another diff has another key" test "$(cat "$tmp/out")" != "$(basename "$dir")"
# diffs that patch would apply, in forms that git doesn't write
keys() {
	"$kernel" --ksrc "$fake" --series "$tmp/retold" --print-key
	sed -i 's/patched/otherwise/' "$tmp"/retold/*.patch
	"$kernel" --ksrc "$fake" --series "$tmp/retold" --print-key
}
sed -i 's,^--- a/,--- orig/,' "$tmp"/retold/*.patch
check "a diff with other folders is read" 0 "" keys
holds "a diff with other folders counts" test "$(uniq "$tmp/out" | wc -l)" = 2
rm -r "$tmp/retold"
cp -r "$tmp/series" "$tmp/retold"
sed -i 's/^/  /' "$tmp"/retold/*.patch
check "an indented diff is read" 0 "" keys
holds "an indented diff counts" test "$(uniq "$tmp/out" | wc -l)" = 2
check "another series is another kernel" 0 "" fake_kernel --no-series --print-key
holds "another series has another key" test "$(cat "$tmp/out")" != "$(basename "$dir")"

# key VARIABLES... -- OPTION...
key() {
	local variables=()
	while [[ $1 != -- ]]; do
		variables+=("$1")
		shift
	done
	env -u KSRC -u DEB_VERSION "${variables[@]}" "$kernel" --print-key "${@:2}"
}

holds "DEB_VERSION= is what --deb-version is" test "$(key DEB_VERSION=6.1.7-1 --)" = "$(key -- --deb-version 6.1.7-1)"
holds "another version of the package is another kernel" test "$(key DEB_VERSION=6.1.7-1 --)" != "$(key --)"
stand_in dpkg-query "echo no packages >&2; exit 1"
check "no source package" 1 "linux-source-6.12 isn.t installed; .*source-6.12" with_stand_ins "$kernel" --source 6.12
holds "KSRC= and DEB_VERSION= are for 6.1" \
	test "$(key KSRC="$fake" DEB_VERSION=6.1.7-1 -- --source 6.12 --deb-version 6.12.7-1)" = \
	"$(key -- --source 6.12 --deb-version 6.12.7-1)"
holds "KSRC is as it was" test "$before" = "$(listing "$fake")"
rm -r "${tmp:?}/bin"
