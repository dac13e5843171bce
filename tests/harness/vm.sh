# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2016 # run has set tmp; $ is for the machine
#
# scripts/vm: a command's output and status come back unchanged, and every other way in which the
# machine can end is distinguished from that.

KERNEL=${KERNEL:-$("$ROOT/scripts/kernel")}

vm() {
	exec "$ROOT/scripts/vm" --kernel "$KERNEL" --no-module --console "$tmp/console" "$@"
}

# --- the command: output, arguments, status ---

mkdir "$tmp/folder"
head -c 300000 /dev/urandom >"$tmp/folder/blob"
printf '#!/bin/sh\necho "a script of a folder: $1"\n' >"$tmp/folder/tool"
chmod +x "$tmp/folder/tool"
cp "$(command -v sha256sum)" "$tmp/summer"	# dynamically linked

check "binary output, status 0" 0 "" vm --with "$tmp/folder" -- cat folder/blob
holds "binary output comes through unchanged" cmp "$tmp/folder/blob" "$tmp/out"
holds "nothing else on standard error" test ! -s "$tmp/err"
check "status 77, and both outputs" 77 "^to err$" vm -- sh -c 'echo to out; echo to err >&2; exit 77'
holds "standard output is apart" test "$(cat "$tmp/out")" = "to out"
check "arguments with spaces, quotes and the like" 1 "" vm -- sh -c 'printf "<%s>" "$@"; exit 1' - \
	'a b' "it's" '"q"' '$HOME' '' '*' '\n' $'new\nline'
holds "arguments come through unchanged" \
	test "$(cat "$tmp/out")" = "<a b><it's><\"q\"><\$HOME><><*><\\n><new"$'\n'"line>"
check "a command that a signal ends" 137 "" vm -- sh -c 'kill -9 $$'
check "the first process, run by hand, mounts nothing" 1 "run scripts/vm" "$ROOT/scripts/vm-init"
check "no such command" 127 "nosuch: not found" vm -- nosuch
check "a dynamically linked program, and a folder" 0 "" vm --with "$tmp/summer" --with "$tmp/folder" -- \
	sh -c 'summer folder/blob; folder/tool here; echo again >/dev/stdout'
holds "a dynamically linked program runs" grep -q "^$(sha256sum <"$tmp/folder/blob" | cut -d' ' -f1) " "$tmp/out"
holds "a script of a folder runs" grep -qx "a script of a folder: here" "$tmp/out"
holds "standard output can be opened again" grep -qx again "$tmp/out"
check "a process left behind is not waited for" 0 "" vm --timeout 60 -- sh -c 'sleep 100 & echo done'
check "a reader that goes away is not waited for" 0 "" \
	bash -c '"$@" | head -n1; exit "${PIPESTATUS[0]}"' - "$ROOT/scripts/vm" --kernel "$KERNEL" --no-module \
	--console "$tmp/console" --timeout 60 -- seq 200000

# --- every other end ---

check "a panic" 125 "the kernel panicked" vm -- sh -c 'echo c >/proc/sysrq-trigger'
holds "a panic: the end of the console is shown" grep -q "Kernel panic - not syncing: sysrq triggered crash" "$tmp/err"
check "a hang" 124 "did not end within 4 seconds" vm --timeout 4 -- sleep 100
check "an end without a status" 126 "without the command's exit status" vm -- poweroff -f
check "a splat, though the command succeeded" 123 "the kernel complained" \
	vm -- sh -c 'echo "WARNING: CPU: 0 PID: 1 at x" >/dev/kmsg'
holds "a splat: the line is shown, and why" grep -qE "console:[0-9]+: WARNING: .* PID: 1 at x" "$tmp/err"
check "a splat that is allowed" 0 "" vm --allow "PID: 1 at x" -- sh -c 'echo "WARNING: CPU: 0 PID: 1 at x" >/dev/kmsg'
check "a module that does not load" 121 "the module blob did not load \(.+\), so the command was not run" \
	vm --insmod "$tmp/folder/blob" -- true

# --- two machines at once: consoles of their own ---

project=$tmp/vm-project		# for a default console of its own
mkdir "$project"
cp -r "$ROOT/scripts" "$project/"
consoles=$project/build/vm

# other_machine FILE OPTION...: start one, and wait until it is up
other_machine() {
	"$project/scripts/vm" --kernel "$KERNEL" --no-module "${@:2}" -- \
		sh -c 'echo "the first machine" >/dev/kmsg; sleep 2; echo up; sleep 100' >"$1" 2>&1 &
	other=$!
	until grep -q up "$1" || ! kill -0 "$other" 2>/dev/null; do sleep 0.1; done
}

default_vm() {
	exec "$project/scripts/vm" --kernel "$KERNEL" --no-module "$@"
}

other_machine "$tmp/other"
check "a second machine panics" 125 "the whole console is in $consoles/console-2.log" \
	default_vm -- sh -c 'echo "the second machine" >/dev/kmsg; echo c >/proc/sysrq-trigger'
holds "a second machine: it is said where its console goes" \
	grep -q "another machine has $consoles/console.log; this one's console goes to $consoles/console-2.log" "$tmp/err"
kill "$other"
wait "$other" || true
holds "the first machine's console is its own" grep -q "the first machine" "$consoles/console.log"
holds "the second machine's console is its own" grep -q "the second machine" "$consoles/console-2.log"
holds "neither has the other's" bash -c '! grep -l "the second machine" "$0" && ! grep -l "the first machine" "$1"' \
	"$consoles/console.log" "$consoles/console-2.log"
check "a machine alone has the usual console again" 0 "" default_vm -- sh -c 'echo "alone" >/dev/kmsg'
holds "a machine alone: its console" bash -c '[[ ! -s $0 ]] && grep -q alone "$1"' "$tmp/err" "$consoles/console.log"
other_machine "$tmp/other" --console "$tmp/shared"
check "a second machine with the same console" 122 "another machine's console goes to $tmp/shared, .*--console FILE" \
	default_vm --console "$tmp/shared" -- true
kill "$other"
wait "$other" || true
holds "a second machine with the same console: it is the first one's" grep -q "the first machine" "$tmp/shared"
check "a console that is no file" 0 "" default_vm --console /dev/null -- true
holds "a console that is no file stays what it is" test -c /dev/null

# --- bad input ---

check "unknown option" 122 "unknown argument '--nosuch'" vm --nosuch
check "option without its value" 122 "--with needs a value" vm --with
check "no number of seconds" 122 "--timeout takes whole seconds, not 'soon'" vm --timeout soon -- true
check "no kernel there" 122 "there is no kernel in /nosuch" vm --kernel /nosuch -- true
check "nothing to bring" 122 "--with /nosuch: it isn't there" vm --with /nosuch -- true
check "two of one name" 122 "there is a blob already" vm --with "$tmp/folder/blob" --with "$tmp/folder/blob" -- true
check "no module there" 122 "there is no module /nosuch.ko" vm --insmod /nosuch.ko -- true
check "no folder for the console" 122 "can't go to /proc/nosuch/console, .*another --console FILE" \
	vm --console /proc/nosuch/console -- true
check "an interactive shell without a terminal" 122 "needs a terminal" vm
check "QEMU refuses" 122 "QEMU did not run" vm --cpu nosuch -- true
