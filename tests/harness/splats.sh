# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # run has set tmp
#
# scripts/splats: what it must find, each line with its reason, and what it must ignore.

splats=$ROOT/scripts/splats
cd "$HERE/splats" || exit

check "bad lines are found" 1 "" "$splats" bad.log
holds "bad lines are found, each for its reason" diff -u bad.golden "$tmp/out"
check "good lines are passed over" 0 "" "$splats" good.log
holds "good lines are passed over in silence" test ! -s "$tmp/out"
check "allowed lines are passed over" 0 "" "$splats" --allow "." bad.log
check "an empty console has no splats" 0 "" "$splats" /dev/null
check "no such file" 2 "can't read nosuch.log" "$splats" nosuch.log
check "no file" 2 "which file" "$splats"
cd "$ROOT" || exit
