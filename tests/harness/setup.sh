# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2016 # run has set tmp; $ is for the stand-in
#
# scripts/setup: it names what is missing, and why it could not be installed.

cp -r "$ROOT/scripts" "$tmp/scripts"		# where a user without rights can read it
chmod -R a+rX "$tmp/scripts"
setup=$tmp/scripts/setup

unprivileged() {
	if ((EUID == 0)); then
		setpriv --reuid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}

check "all there: silent" 0 "" "$setup"
holds "all there: silent, indeed" test ! -s "$tmp/err"
check "unknown set" 1 "unknown argument 'nosuch'" "$setup" nosuch

stand_in dpkg-query "exit 0"			# nothing is installed
check "missing: named" 1 "missing Debian packages: .*clang .*scripts/setup build" with_stand_ins "$setup" --check build
stand_in sudo "exit 1"
check "no permission: the command to run" 1 "root: apt-get install linux-source-6.1$" \
	unprivileged env PATH="$tmp/bin:$PATH" "$setup" source-6.1
stand_in apt-get 'echo "E: Unable to fetch some archives" >&2; exit 100'
stand_in sudo '[ "$1" != -n ] || shift; exec "$@"'
check "no network: a clear line" 1 "could not install .* cpio,.*no network" with_stand_ins "$setup" vm
holds "no network: apt-get's reason" grep -q "^E: Unable to fetch" "$tmp/err"
rm "$tmp/bin/dpkg-query"
stand_in pahole "echo v1.21"
check "pahole too old" 1 "pahole is version 1.21 and must be 1.22" with_stand_ins "$setup" build
stand_in pahole "echo v1.25"
stand_in clang "echo clang version 13.0.1"
check "clang too old" 1 "clang is version 13.0.1 and must be 14" with_stand_ins "$setup" build
rm -r "${tmp:?}/bin"
