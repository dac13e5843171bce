# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2016 # run has set tmp; words for a shell of their own
#
# tests/mainline: what it makes of results of the two kernels, here made up.

# What is in these files has | between columns, and tabs where it is read
table() {
	tr '|' '\t' >"$tmp/$1"
}

# In a shell of its own, since it has names that harness/run has, too
in_mainline() {
	bash -c 'source "$1"; dir=$2; differs=$2/differs; loads=$2/loads; "${@:3}"' sh "$ROOT/tests/mainline/run" "$tmp" "$@"
}

# line NAME LINE COMMAND...: what COMMAND says has it
line() {
	check "$1" 0 "" in_mainline "${@:3}"
	holds "$1, and it is said" grep -xF -e "$(tr '|' '\t' <<<"$2")" "$tmp/out"
}

table made-up.6.12 <<-END
	a|one|ok|
	a|two|ok|
	a|two|ok|
	a|three|ok|
	a|four|ok|
	a|five|fail|for its reason
END
table differs <<-END
	# a comment
	a/three|fail|not here|there is none here
	a/four|message|not here|it says so in another way
END
table made-up.ours <<-END
	==
	a|one|ok|
	a|two|ok|
	a|two|fail|broken
	a|three|fail|it is not here
	a|four|ok|
	a|five|ok|
	== return_cookie=1
	a|one|fail|broken
	a|three|fail|another reason
	a|four|ok|
END
line "the same on both" "ok|a/one|as on 6.12" compare made-up
line "one of two rows of a name differs" "not ok|a/two (2)|fail: broken" compare made-up
line "a row differs as it is known to" "ok|a/three|differs: there is none here" compare made-up
line "a row differs for another reason" "not ok|a/three, return_cookie=1|fail: another reason" compare made-up
line "a row is known to differ and doesn't" \
	"not ok|a/four|as on 6.12, and tests/mainline/differs says that it is not" compare made-up
line "a row fails on mainline's kernel" "not ok|a/five|fails on 6.12 itself: for its reason" compare made-up
line "a row is missing" "not ok|a/two, return_cookie=1|missing: " compare made-up
line "a parameter counts for what follows" "not ok|a/one, return_cookie=1|fail: broken" compare made-up

printf '%s\n' 'KTAP version 1' 'ok 1 p/one - words' '# returned 1' 'not ok 2 p/two - words' 'ok 3 p/three - words' >"$tmp/portable.ours"
printf '%s\n' 'ok 1 p/one - words' 'ok 2 p/two - words' '# returned 2' 'not ok 3 p/three - words' 'ok 4 p/four - words' >"$tmp/portable.6.12"
line "a portable program on both" "ok|p/one|words|" join_portable
line "a portable program fails on ours" "not ok|p/two|words| returned 1" join_portable
line "a portable program fails on mainline's" "not ok|p/three|words| on 6.12: returned 2" join_portable
line "a portable program ran on mainline's alone" "not ok|p/four|missing| the kernel under test ended before it" join_portable

table loads <<-END
	special-*|one|returned 1|returned 2|returned 3
	*|one|returned 4|returned 5|returned 6
END
printf '%s\n' '== special-x one' 'returned 1' '== y one' 'said' 'returned 7' '== y two' >"$tmp/loaders.ours"
printf '%s\n' '== y one' 'returned 5' >"$tmp/loaders.6.12"
printf '%s\n' '== special-x one' 'returned 3' >"$tmp/loaders.bare"
line "a loader does as its row says" "ok|special-x/one/ours|returned 1" compare_loaders
line "a loader does something else" "not ok|y/one/ours|not returned 4, but: said; returned 7; " compare_loaders
line "a loader's object has no row" "not ok|y/two/ours|tests/mainline/loads has no row for it" compare_loaders
line "each kernel has its column, the second" "ok|y/one/6.12|returned 5" compare_loaders
line "each kernel has its column, the third" "ok|special-x/one/bare|returned 3" compare_loaders

# What two verifiers know of a register
cat >"$tmp/state-main.c" <<'END'
#include "state.h"
int main(int argc, char **argv) { return argc == 3 ? !log_has_state(argv[1], argv[2]) : 2; }
END
check "the comparison of registers compiles" 0 "" gcc -Wall -Werror -I"$ROOT/tests/mainline" -o "$tmp/state" \
	"$tmp/state-main.c" "$ROOT/tests/mainline/state.c"

# known STATUS LOG EXPECTED
known() {
	check "'$3' of '${2//$'\n'/; }'" "$1" "" "$tmp/state" "$2" "$3"
}
known 0 "5: R0_w=scalar(id=1,smax=2147483646) R10=fp0" ": R0_w=scalar(id=1,smax=0x7ffffffe)"
known 1 "5: R0_w=scalar(id=1,smax=2147483647) R10=fp0" ": R0_w=scalar(id=1,smax=0x7ffffffe)"
known 1 "5: R0_w=scalar() R10=fp0" ": R0_w=scalar(id=1,smax=0x7ffffffe)"
known 1 "5: R0_w=scalar(smax=5) R10=fp0" ": R0_w=scalar()"
known 0 "5: R0_w=-2147483648" ": R0_w=0xffffffff80000000"
known 1 "5: R0_w=2147483648" ": R0_w=0xffffffff80000000"
known 0 "5: R0=scalar(umin=9223372036854775808,var_off=(0x8000000000000000; 0x7fffffffffffffff))" ": R0=scalar(smax=-1)"
known 0 "5: R0=scalar(umin=1,umax=7,var_off=(0x0; 0x7))" ": R0_w=scalar(smin=umin=smin32=umin32=1,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))"
known 1 "5: R0=scalar(umin=1,umax=6,var_off=(0x0; 0x7))" ": R0_w=scalar(smin=umin=smin32=umin32=1,smax=umax=smax32=umax32=7,var_off=(0x0; 0x7))"
known 0 "5: R1=pkt(off=64,r=64,imm=0) R10=fp0" ": R1=pkt(off=64,r=64) R10=fp0"
known 1 "5: R1=pkt(off=64,r=60,imm=0) R10=fp0" ": R1=pkt(off=64,r=64) R10=fp0"
known 1 $'4: R1=2\n5: R2=3' ": R1=2 R2=3"
known 0 $'4: R1=1\n5: R1=2 R2=3' ": R1=2 R2=3"

check "a kernel with mainline's exceptions isn't one to test on" 1 "has mainline's exceptions, and takes neither" \
	env STOCK=6.12 "$ROOT/tests/check" bpf
check "a part that there isn't" 1 "there is no part nosuch; there are selftests" "$ROOT/tests/mainline/run" nosuch
check "no kernel to take types of" 1 "there is no kernel in MAINLINE=/nosuch" env MAINLINE=/nosuch "$ROOT/tests/mainline/build"
