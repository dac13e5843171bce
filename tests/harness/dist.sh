# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # see run
# scripts/dist: the tarball has all files, and works without git once it is unpacked

# dist TREE: make the tarball of a tree, and print its path.
dist() {
	with_stand_ins "$1/scripts/dist"
}

# The project as in a checkout, but without its history
mkdir -p "$tmp/tree"
project_files | (cd "$ROOT" && xargs -d '\n' cp --parents -t "$tmp/tree")
mkdir -p "$tmp/tree/build"
touch "$tmp/tree/build/left-over"
stand_in git 'echo "git was called" >&2; exit 1'

check "a tarball" 0 "" dist "$tmp/tree"
tarball=$(<"$tmp/out")
unpacked=$tmp/bpf-exceptions-$(project_version)
holds "its name has the version" test "$tarball" = "$tmp/tree/build/bpf-exceptions-$(project_version).tar.xz"
holds "it unpacks to a folder of that name" tar -C "$tmp" -xf "$tarball" "$(basename "$unpacked")"
holds "all files are in it, and nothing that was built" diff -r --exclude=build "$tmp/tree" "$unpacked"
holds "nothing that was built is in it" test ! -e "$unpacked/build"
check "unpacked: the same tarball again, without git" 0 "" dist "$unpacked"
holds "unpacked: it is the same" cmp "$tarball" "$unpacked/build/$(basename "$tarball")"
check "unpacked: programs, tests and the tool build, without git" 0 "" \
	with_stand_ins make -s -C "$unpacked" build/tests/runner build/tests/throw.bpf.o build/tools/bpfthrow
check "unknown option" 1 "unknown argument '--nosuch'" "$ROOT/scripts/dist" --nosuch
