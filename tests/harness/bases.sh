# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2016 # run has set tmp; $ is for the stand-ins
#
# tests/bases: which versions it tries, how, and what it writes to TRIED. The versions are packages of
# a source with one file, and a stand-in runs the tests on a kernel.

project=$tmp/bases-project
cache=$tmp/bases-cache
tried=$project/jit-patch/6.1/TRIED
mkdir -p "$project/tests" "$project/jit-patch/6.1" "$tmp/packages"
cp -r "$ROOT/scripts" "$project/"
cp "$ROOT/tests/bases" "$project/tests/"
echo 0001-throw.patch >"$project/jit-patch/6.1/series"
printf -- '--- a/kernel/throw.c\n+++ b/kernel/throw.c\n@@ -1,2 +1,3 @@\n 1\n+throw\n 2\n' \
	>"$project/jit-patch/6.1/0001-throw.patch"

# package VERSION LINE...: linux-source-6.1 of this version
package() {
	local dir=$tmp/packages/$1

	mkdir -p "$dir/linux-source-6.1/kernel" "$dir/deb/DEBIAN" "$dir/deb/usr/src"
	printf '%s\n' "${@:2}" >"$dir/linux-source-6.1/kernel/throw.c"
	tar -cJf "$dir/deb/usr/src/linux-source-6.1.tar.xz" -C "$dir" linux-source-6.1
	printf 'Package: linux-source-6.1\nVersion: %s\nArchitecture: all\nMaintainer: none\nDescription: none\n' "$1" \
		>"$dir/deb/DEBIAN/control"
	dpkg-deb -b "$dir/deb" "$dir/linux-source.deb" >/dev/null
}

for version in 6.1.7-1 6.1.8-1 6.1.10-2; do
	package "$version" 1 2 3
done
package 6.1.9-1 one two
stand_in apt-get 'cp '"$tmp"'/packages/"${2#*=}"/linux-source.deb .'
printf '#!/bin/sh\necho "$DEB_VERSION $*" >>%q\necho "not ok 1 - it is the stand-in"\ntest "$DEB_VERSION" != "$FAILS"\n' \
	"$tmp/ran" >"$project/tests/check"
chmod +x "$project/tests/check"

# archive VERSION...: what apt knows from now on; TRIED is back at its start, and nothing has run
archive() {
	stand_in apt-cache "printf 'linux-source-6.1 | %s | an archive\\n' $*"
	printf '# what it says\n6.1.6 6.1.6-1 runs\n6.1.8 6.1.8-1 runs\n6.1.9 6.1.9-1 applies\n' >"$tried"
	cp "$tried" "$tmp/before"
	: >"$tmp/ran"
}

bases() {
	with_stand_ins env CACHE="$cache" DEB_VERSION=6.1.1-1 FAILS="${fails:-}" "$project/tests/bases" "$@"
}

rows() {
	diff <(printf '%s\n' "$@") <(sed -n 's/^\(ok\|not ok\) [0-9]* bases/\1/p' "$tmp/out")
}

ran() {
	diff <(printf '%s bpf special canary\n' "$@") "$tmp/ran"
}

has_tried() {
	diff <(echo "# what it says"; printf '%s\n' "$@") "$tried"
}

archive 6.1.10-2 6.1.8-1 6.1.7-1
check "all: it applies" 0 "" bases
holds "all: oldest first" rows "ok/6.1.7-1 - each patch applies with fuzz 0" \
	"ok/6.1.8-1 - each patch applies with fuzz 0" "ok/6.1.10-2 - each patch applies with fuzz 0"
check "ends: it applies" 0 "" bases ends
holds "ends: the oldest and the newest" rows "ok/6.1.7-1 - each patch applies with fuzz 0" \
	"ok/6.1.10-2 - each patch applies with fuzz 0"
holds "without run: nothing runs" test ! -s "$tmp/ran"
holds "without run: nothing is said of TRIED" bash -c "! grep TRIED '$tmp/out'"

check "run: it applies and runs" 0 "" bases run
holds "run: on the oldest and the newest" ran 6.1.7-1 6.1.10-2
holds "run: its rows" rows "ok/6.1.7-1 - each patch applies with fuzz 0" \
	"ok/6.1.8-1 - each patch applies with fuzz 0" "ok/6.1.10-2 - each patch applies with fuzz 0" \
	"ok/6.1.7-1 - bpf special canary pass on it" "ok/6.1.10-2 - bpf special canary pass on it"
holds "run: its plan" grep -qx "1..5" "$tmp/out"
holds "run: TRIED is as it was" cmp "$tried" "$tmp/before"
holds "run: what of TRIED is out of date" grep -qx "# > 6.1.7 6.1.7-1 runs" "$tmp/out"
check "run, recorded" 0 "" bases run --record
holds "run, recorded: what ran, what applies, and what the archive has no more" \
	has_tried "6.1.6 6.1.6-1 runs" "6.1.7 6.1.7-1 runs" "6.1.8 6.1.8-1 applies" "6.1.9 6.1.9-1 applies" "6.1.10 6.1.10-2 runs"
check "run, recorded before" 0 "" bases run
holds "run, recorded before: nothing is out of date" bash -c "! grep TRIED '$tmp/out'"

archive 6.1.10-2 6.1.8-1 6.1.7-1
fails=6.1.7-1
check "tests fail on the oldest, which is shown at once" 1 "it is the stand-in" bases run --record
fails=""
holds "tests fail on the oldest: its rows" rows "ok/6.1.7-1 - each patch applies with fuzz 0" \
	"ok/6.1.8-1 - each patch applies with fuzz 0" "ok/6.1.10-2 - each patch applies with fuzz 0" \
	"not ok/6.1.7-1 - bpf special canary pass on it" "ok/6.1.10-2 - bpf special canary pass on it"
holds "tests fail on the oldest: what they said" grep -qx "# not ok 1 - it is the stand-in" "$tmp/out"
holds "tests fail on the oldest: it only applies" \
	has_tried "6.1.6 6.1.6-1 runs" "6.1.7 6.1.7-1 applies" "6.1.8 6.1.8-1 applies" "6.1.9 6.1.9-1 applies" "6.1.10 6.1.10-2 runs"

archive 6.1.10-2 6.1.9-1
check "it doesn't apply to the oldest" 1 "" bases run --record
holds "it doesn't apply to the oldest: why" grep -q "^# .*Hunk #1 FAILED" "$tmp/out"
holds "it doesn't apply to the oldest: nothing runs there" ran 6.1.10-2
holds "it doesn't apply to the oldest: not in TRIED" has_tried "6.1.6 6.1.6-1 runs" "6.1.8 6.1.8-1 runs" "6.1.10 6.1.10-2 runs"

archive 6.1.10-2
check "one version: applies once" 0 "" bases run
holds "one version: runs once" ran 6.1.10-2

stand_in apt-cache true
check "an archive without the package" 1 "apt knows no linux-source-6.1; run apt-get update" bases
check "a record of nothing that ran" 1 "--record writes down what was run: give it with run" bases --record
check "unknown argument" 1 "unknown argument 'some'" bases some
rm -r "${tmp:?}/bin"
