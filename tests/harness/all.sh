# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # see run
# tests/all: what has passed isn't run again, and the table has the result of each part

rm -rf "$tmp/tree"
mkdir -p "$tmp/tree"
project_files | (cd "$ROOT" && xargs -d '\n' cp --parents -t "$tmp/tree")
# shellcheck disable=SC2016 # for the stand-in
stand_in make 'echo "$1" >>'"$tmp/called"'
echo "4 passed, 0 failed, 0 skipped"
test "$1" != check-debug || test -e '"$tmp/mended"

all() {
	: >"$tmp/called"
	with_stand_ins "$tmp/tree/tests/all" "$@"
}

# calls TARGET...: make was called for these, in this order
calls() {
	diff <(printf '%s\n' "$@") "$tmp/called"
}

# shown REGEX: a line of the table
shown() {
	grep -E "$1" "$tmp/out"
}

check "a part fails" 1 "debug: FAILED" all live debug fuzz
holds "the others run" calls check-live check-debug fuzz
holds "it is in the table" shown "^debug +FAILED "
holds "one that passed is in the table, with its tests" shown "^live +passed +0m0[0-9]s +4 passed, 0 failed, 0 skipped$"
touch "$tmp/mended"
check "again: only what hasn't passed runs" 0 "debug: passed" all live debug fuzz
holds "again: it ran alone" calls check-debug
check "a part that wasn't asked for doesn't count" 0 "" all live
echo >>"$tmp/tree/README.md"
check "the documentation has changed: nothing runs" 0 "" all live debug fuzz
holds "the documentation has changed: nothing ran" test ! -s "$tmp/called"
echo >>"$tmp/tree/module/main.c"
check "a source has changed: the list says so" 1 "" all --list live
holds "a source has changed: that isn't a pass" shown "^live +passed, before a change "
check "a source has changed: all run" 0 "" all live debug fuzz
holds "a source has changed: all ran" calls check-live check-debug fuzz
check "they have passed, and run again" 0 "" all --again live
holds "it ran" calls check-live
check "an unknown part" 1 "there is no part nosuch; there are live check" all nosuch
