# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2016 # run has set tmp; words for a shell of their own
#
# tests/kernel-tests: what it makes of results of the two kernels, here made up, and of what
# test_progs says.

# Results: a line for each test, with its parts as kernel-tests parses them, but for | between them
made_up=made-up
results() {
	tr '|' '\t' >"$tmp/$made_up.$1.results"
}

# In a shell of its own, since it has names that harness/run has, too
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

# What test_progs says, and what becomes of it
said() {
	cat <<-'END'
		== good
		#1/1     good/sub:OK
		#1       good:OK
		Summary: 1/1 PASSED, 0 SKIPPED, 0 FAILED
		== end 0
		== bad
		check:FAIL:map_fd unexpected map_fd: actual -1 < expected 0
		#2/1     bad/first:FAIL
		skip_it:SKIP:no hardware
		#2/2     bad/second:SKIP
		skip_it:SKIP:no newline#2/3     bad/third:SKIP
		#2/3     bad/third:SKIP
		#2       bad:FAIL
		== end 1
		== slow
		#3/1     slow/sub:OK
		== end 137
		== broken
		#4/1     broken/sub:OK
		== end 139
		== deadly
		== end machine, with status 125
		== splat good
		WARNING: WARNING: CPU: 1 PID: 7 at kernel/bpf/verifier.c:1
	END
}
mkdir "$tmp/progs"
printf '#!/bin/sh\necho good\necho verif_scale_pyperf600\n' >"$tmp/progs/test_progs"
chmod +x "$tmp/progs/test_progs"
printf 'unbuilt\tno such type\n' >"$tmp/progs/left-out"
parsed() {
	said | in_kernel_tests progs_parse | tr '\t' '|'
}
check "what test_progs says is parsed" 0 "" parsed
holds "what test_progs says is parsed rightly" diff -u - "$tmp/out" <<-'END'
	good|good/sub|ok|
	good|good|ok|
	bad|bad/first|fail|check:FAIL:map_fd unexpected map_fd: actual -1 < expected 0
	bad|bad/second|skip|skip_it:SKIP:no hardware
	bad|bad/third|skip|skip_it:SKIP:no newline
	bad|bad|fail|check:FAIL:map_fd unexpected map_fd: actual -1 < expected 0
	slow|slow|fail|it took more than 180 seconds
	broken|broken/sub|ok|
	broken|broken|fail|it ended with status 139
	deadly|deadly|fail|the machine died
	good|the kernel says|fail|WARNING: WARNING: CPU: 1 PID: 7 at kernel/bpf/verifier.c:1
	unbuilt|unbuilt|skip|no such type
	verif_scale_pyperf600|verif_scale_pyperf600|skip|minutes for the verifier where processors are emulated
END
check "what takes too long doesn't run" 0 "" in_kernel_tests progs_list ""
holds "what takes too long doesn't run, and all else does" diff -u - "$tmp/out" <<<good

# A test that differs runs again; here what it says then is made up, too
made_up=progs
again() {
	touch "$tmp"/progs.{plain,patched}.{out,console}
	in_kernel_tests eval '
		run_both() {
			cp "$dir/later" "$dir/progs.plain.results"
			cp "$dir/later" "$dir/progs.patched.results"
		}
		rerun
		judge progs'
}
printf 'good\tgood\tok\t\n' >"$tmp/later"
results plain <<-END
	good|good|fail|too late
	other|other|ok|
END
results patched <<-END
	good|good|ok|
	other|other|ok|
END
check "a test that differs once" 0 "" again
holds "a test that differs once is run again" grep -x "# run again on both kernels: good" "$tmp/out"
holds "a test that differs once is named" grep "^# differed: good: good: fail without the series, ok with it" "$tmp/out"
holds "a test that does not differ keeps its result" grep "^ok .*progs/other - 1 pass on both" "$tmp/out"
results plain <<-END
	good|good|ok|
END
results patched <<-END
	good|good|ok|
	good|the kernel says|fail|WARNING
END
check "a complaint of one kernel is not forgotten" 1 "" again

# A machine that dies in the second of three tests
dying() {
	in_kernel_tests eval '
		progs_list() { printf "%s\n" first second third; }
		progs_in_vm() {
			shift
			: >"$dir/progs.plain.console"
			for test; do
				echo "== $test"
				echo "[    1.0] test: $test" >>"$dir/progs.plain.console"
				[[ $test != second ]] || return 125
				echo "#1 $test:OK"
				echo "== end 0"
			done >"$dir/progs.plain.out"
		}
		progs_run plain && progs_parse <"$dir/progs.plain.out"' | cut -f 2,3,4 | tr '\t' '|' | head -n 3
}
check "a machine that dies" 0 "" dying
holds "a machine that dies starts again after the test that killed it" diff -u - "$tmp/out" <<-END
	first|ok|
	second|fail|the machine died
	third|ok|
END
