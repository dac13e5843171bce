# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts; sourced, not run. Standard output belongs to the result
# of a script: whatever a person should read goes to standard error.

ME=${0##*/}
# shellcheck disable=SC2034 # for the scripts
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin	# bpftool and insmod live there; not on a user's PATH

# The cache: CACHE, else the user's own. Absolute, since the scripts change directory.
cache_dir() {
	local dir
	dir=$(realpath -m -- "${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bpf-exceptions}")
	[[ $dir != *[[:space:]:]* ]] ||
		die "the cache $dir has a space or a colon in its name, which a kernel build can't take; set CACHE= to another folder"
	printf '%s\n' "$dir"
}

# die WORDS...: what happened, why, what to do, in one line; DIE_STATUS is the exit status.
die() {
	printf '%s: %s\n' "$ME" "$*" >&2
	exit "${DIE_STATUS:-1}"
}

say() {
	printf '%s: %s\n' "$ME" "$*" >&2
}

# The comment at the top of a script is its manual.
manual() {
	sed -n '2d; 3,/^$/s/^# \{0,1\}//p' "$0"
}

bad_option() {
	die "unknown argument '$1'; see $0 --help"
}

# option_value OPTION [VALUE]: fails where an option that needs a value has none.
option_value() {
	(($# > 1)) || die "$1 needs a value; see $0 --help"
}

# Elapsed time since the script started, as 1m02s.
elapsed() {
	printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60))
}

# progress WORDS...: where a long step is. In place on a terminal, else a line every 10 seconds.
progress() {
	if [[ -t 2 ]]; then
		printf '\r\033[K%s: %s' "$ME" "$*" >&2
	elif ((SECONDS >= ${progress_next:-0})); then
		progress_next=$((SECONDS + 10))
		say "$*"
	fi
}

progress_done() {
	if [[ -t 2 ]]; then
		printf '\r\033[K' >&2
	fi
	progress_next=0
}

# Runs a command that dies with this script, even where the script is killed outright.
tied() {
	exec setpriv --pdeathsig TERM "$@"
}
