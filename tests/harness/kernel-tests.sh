# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # run has set tmp
#
# tests/kernel-tests: what it makes of results of the two kernels, here made up.

# Results: a line for each test, with its parts as kernel-tests parses them, but for | between them
results() {
	tr '|' '\t' >"$tmp/made-up.$1.results"
}

# In a shell of its own, since it has names that harness/run has, too
# shellcheck disable=SC2016 # words for that shell
in_kernel_tests() {
	bash -c 'source "$1"; dir=$2; set +e; "${@:3}"; exit "$failed"' sh "$ROOT/tests/kernel-tests" "$tmp" "$@"
}

# verdict NAME STATUS REGEX: of the two results, and a line of what is said of them
verdict() {
	check "$1" "$2" "" in_kernel_tests judge made-up
	holds "$1, and it is said" grep -xE -e "$3" "$tmp/out"
}

results plain <<-END
	a|one|ok|
	a|two|fail|for its reason
	b|three|skip|no time
END
cp "$tmp/made-up.plain.results" "$tmp/made-up.patched.results"
verdict "same results pass" 0 \
	"ok 1 kernel-tests/made-up/a - 1 pass on both, 1 fail on both, 0 skipped, 0 differ"
holds "what fails on both has its reason" grep -x "# fails on both: a: two: for its reason" "$tmp/out"
holds "a group that is skipped has its reason" grep -x "ok 2 kernel-tests/made-up/b - # SKIP skipped: no time" "$tmp/out"

results patched <<-END
	a|one|fail|broken
	a|two|fail|for its reason
	b|three|skip|no time
END
verdict "a test that fails with the series only" 1 \
	"not ok 1 kernel-tests/made-up/a - 0 pass on both, 1 fail on both, 0 skipped, 1 differ"
holds "what differs is named" grep -x "# DIFFERS: a: one: ok without the series, fail with it: broken" "$tmp/out"

results patched <<-END
	a|one|ok|
	a|two|ok|
	b|three|skip|no time
END
verdict "a test that passes with the series only" 1 \
	"# DIFFERS: a: two: fail without the series, ok with it: for its reason"

results patched <<-END
	a|one|skip|not now
	a|two|fail|for its reason
	b|three|skip|no time
END
verdict "a test that is skipped with the series only" 1 \
	"# DIFFERS: a: one: ok without the series, skip with it: not now"

results patched <<-END
	a|one|ok|
	a|two|fail|for its reason
END
verdict "a test that is missing with the series" 1 \
	"# DIFFERS: b: three: skip without the series, missing with it: no time"

results patched <<-END
	a|one|ok|
	a|two|fail|for its reason
	b|three|skip|no time
	b|four|ok|
END
verdict "a test that is missing without the series" 1 \
	"not ok 2 kernel-tests/made-up/b - 0 pass on both, 0 fail on both, 1 skipped, 1 differ"

results plain <<-END
	a|one|ok|
	a|one|fail|the second
END
results patched <<-END
	a|one|fail|the first
	a|one|fail|the second
END
verdict "of two tests of one name the first differs" 1 \
	"not ok 1 kernel-tests/made-up/a - 0 pass on both, 1 fail on both, 0 skipped, 1 differ"

results plain <<-END
	a|one|fail|for its reason
END
cp "$tmp/made-up.plain.results" "$tmp/made-up.patched.results"
verdict "nothing passes on either" 1 \
	"not ok 2 kernel-tests/made-up - nothing passes on either kernel, so nothing was compared"

results plain </dev/null
results patched </dev/null
verdict "no results at all" 1 ".*nothing was compared"
rm "$tmp/made-up.patched.results"
verdict "the results aren't there" 1 ".*nothing was compared"

