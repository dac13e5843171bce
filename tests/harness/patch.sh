# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2016 # run has set tmp; $ is for the stand-in
#
# scripts/patch: the series goes into trees and comes out again, and nothing else changes. The trees
# have the files of the kernel's source that the series touches.

patch=$ROOT/scripts/patch
KERNEL=${KERNEL:-$("$ROOT/scripts/kernel")}
source=$(realpath "$KERNEL/src")
source=${source%+*}		# as it was before the series
last=$(grep -v '^#' "$ROOT/jit-patch/6.1/series" | tail -n 1)
export GIT_CONFIG_GLOBAL=$tmp/gitconfig GIT_CONFIG_SYSTEM=/dev/null
git config --global user.name Tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main

touched=$(sed -n 's,^+++ b/,,p' "$ROOT"/jit-patch/6.1/*.patch | sort -u)
mkdir "$tmp/bare"
for file in Makefile Kbuild $touched; do
	[[ ! -e $source/$file ]] || (cd "$source" && cp --parents "$file" "$tmp/bare")
done

# plain NAME: a tree without git; checkout NAME: a repository with the tree and one more commit.
plain() {
	cp -r "$tmp/bare" "$tmp/$1"
}

checkout() {
	plain "$1"
	git -C "$tmp/$1" init -q
	git -C "$tmp/$1" add .
	git -C "$tmp/$1" commit -qm "the source"
	commit "$1" mine.txt
}

# commit TREE FILE: appends a line to FILE, and commits it.
commit() {
	echo "mine" >>"$tmp/$1/$2"
	git -C "$tmp/$1" add "$2"
	git -C "$tmp/$1" commit -qm "change $2"
}

same() {
	diff -r --exclude=.git "$tmp/$1" "$tmp/$2"
}

head_of() {
	git -C "$tmp/$1" rev-parse HEAD
}

same_head() {
	test "$(head_of "$1")" = "$2"
}

clean() {
	test -z "$(git -C "$tmp/$1" status --porcelain)"
}

# --- a plain tree ---

plain plain
check "plain: patched" 0 "has the series, in [0-9]+ files" "$patch" "$tmp/plain"
holds "plain: has what the kernel was built from" diff "$tmp/plain/kernel/bpf/verifier.c" "$KERNEL/src/kernel/bpf/verifier.c"
holds "plain: nothing is left beside" bash -c "! find '$tmp/plain' -name '*.rej' -o -name '*.orig' -o -name '*.new' | grep ."
plain reference
cp -r "$tmp/plain" "$tmp/patched"
check "plain, patched already" 1 "has the series already .$last is in it.; make unpatch" "$patch" "$tmp/plain"
holds "plain, patched already: as it was" same plain patched
check "plain: taken out" 0 "is without the series" "$patch" --reverse "$tmp/plain"
holds "plain, taken out: as it was" same plain reference
check "plain, without it: nothing to take out" 1 "doesn't have the series" "$patch" --reverse "$tmp/plain"

sed -i 's/struct bpf_verifier_env/struct other_env/' "$tmp/plain/kernel/bpf/verifier.c"
cp -r "$tmp/plain" "$tmp/wrong"
check "plain, another source" 1 "does not apply to .* kernel/bpf/verifier.c, hunk .* nothing was changed; .* linux-source-6.1" \
	"$patch" "$tmp/plain"
holds "plain, another source: as it was" same plain wrong

sed -i 's/#define BPF_UNWIND_REVISION [0-9]/& /' "$tmp/patched/include/linux/bpf_unwind.h"
cp -r "$tmp/patched" "$tmp/plain2"
check "plain, changed since: not taken out" 1 "can't be taken out of .* include/linux/bpf_unwind.h, .* nothing was changed" \
	"$patch" --reverse "$tmp/patched"
holds "plain, changed since: as it was" same patched plain2

plain full
stand_in cp 'case "$*" in *syscall.c.*.new) echo "cp: no space left" >&2; exit 1 ;; esac; exec /bin/cp "$@"'
check "plain, the disk is full" 1 "can't be written, .* nothing was changed" with_stand_ins "$patch" "$tmp/full"
holds "plain, the disk is full: as it was" same full reference
rm -r "${tmp:?}/bin"

# --- a git checkout ---

checkout git
before=$(head_of git)
echo "not committed" >>"$tmp/git/Makefile"
check "git: patched" 0 "has the series, as its last [0-9]+ commits" "$patch" "$tmp/git"
holds "git: has what the kernel was built from" diff "$tmp/git/kernel/bpf/verifier.c" "$KERNEL/src/kernel/bpf/verifier.c"
holds "git: a commit a patch" test "$(git -C "$tmp/git" rev-list --count "$before..")" = "$(grep -vc '^#' "$ROOT/jit-patch/6.1/series")"
check "git, patched already" 1 "has the series already" "$patch" "$tmp/git"
check "git, on top: taken out" 0 "is back at .*change mine.txt" "$patch" --reverse "$tmp/git"
holds "git, on top: back where it was" same_head git "$before"
holds "git: what isn't committed is still there" test "$(git -C "$tmp/git" status --porcelain)" = " M Makefile"
check "git, without it: nothing to take out" 1 "doesn't have the series" "$patch" --reverse "$tmp/git"
git -C "$tmp/git" checkout -q Makefile

"$patch" "$tmp/git" 2>/dev/null
commit git mine.txt
check "git, below other commits: reverted" 0 "new commits that revert the series" "$patch" --reverse "$tmp/git"
holds "git, reverted: the other commits stay" grep -c mine "$tmp/git/mine.txt"
holds "git, reverted: the source is as it was" diff "$tmp/git/kernel/bpf/verifier.c" "$source/kernel/bpf/verifier.c"
holds "git, reverted: nothing uncommitted" clean git
check "git, reverted already" 1 "doesn't have the series any more" "$patch" --reverse "$tmp/git"
check "git, reverted: patched again" 0 "has the series" "$patch" "$tmp/git"
before=$(head_of git)
git -C "$tmp/git" update-ref refs/remotes/origin/main HEAD
check "git, others have it: reverted" 0 "new commits that revert the series" "$patch" --reverse "$tmp/git"
holds "git, others have it: no commit is gone" git -C "$tmp/git" merge-base --is-ancestor "$before" HEAD

checkout built-on
"$patch" "$tmp/built-on" 2>/dev/null
sed -i 's/#define BPF_UNWIND_REVISION 1/#define BPF_UNWIND_REVISION 7/' "$tmp/built-on/include/linux/bpf_unwind.h"
commit built-on include/linux/bpf_unwind.h
before=$(head_of built-on)
check "git, later commits build on it" 1 "can't be reverted, .* nothing was changed" "$patch" --reverse "$tmp/built-on"
holds "git, later commits build on it: where it was" same_head built-on "$before"
holds "git, later commits build on it: nothing half done" clean built-on

# unusual settings of git, and a worktree, where .git is a file
checkout main-tree
git -C "$tmp/main-tree" worktree add -q "$tmp/work-tree"
before=$(head_of work-tree)
for setting in diff.noprefix=true diff.algorithm=histogram diff.context=1 am.threeWay=true color.ui=always log.showSignature=true; do
	git config --global "${setting%=*}" "${setting#*=}"
done
check "git, a worktree, unusual settings: patched" 0 "has the series" "$patch" "$tmp/work-tree"
check "git, a worktree, unusual settings: taken out" 0 "is back at" "$patch" --reverse "$tmp/work-tree"
holds "git, a worktree, unusual settings: where it was" same_head work-tree "$before"
"$patch" "$tmp/work-tree" 2>/dev/null
commit work-tree mine.txt
check "git, a worktree, unusual settings: reverted" 0 "new commits that revert" "$patch" --reverse "$tmp/work-tree"

checkout dirty
before=$(head_of dirty)
echo "/* mine */" >>"$tmp/dirty/kernel/bpf/verifier.c"
check "git, uncommitted changes in its files" 1 "aren't committed: kernel/bpf/verifier.c; commit or stash" "$patch" "$tmp/dirty"
holds "git, uncommitted changes: still there" grep -q "^/. mine" "$tmp/dirty/kernel/bpf/verifier.c"
git -C "$tmp/dirty" checkout -q .
echo "mine" >"$tmp/dirty/kernel/bpf/unwind.c"
check "git, a file of yours where it puts one" 1 "aren't committed: kernel/bpf/unwind.c" "$patch" "$tmp/dirty"
git -C "$tmp/dirty" add kernel/bpf/unwind.c
check "git, staged changes" 1 "staged and not committed" "$patch" "$tmp/dirty"
git -C "$tmp/dirty" commit -qm "a file of that name"
check "git, a file of that name committed" 1 "does not apply .* nothing was changed" "$patch" "$tmp/dirty"
git -C "$tmp/dirty" reset -q --hard "$before"
mkdir "$tmp/dirty/.git/rebase-merge"
check "git, in the middle of a rebase" 1 "in the middle of a rebase" "$patch" "$tmp/dirty"
rmdir "$tmp/dirty/.git/rebase-merge"
git config --global user.useConfigOnly true
git config --global --unset user.email
check "git, nobody to commit" 1 "doesn't know who you are" "$patch" "$tmp/dirty"
git config --global user.email tester@example.org
printf '#!/bin/sh\necho "the hook says no" >&2\nexit 1\n' >"$tmp/dirty/.git/hooks/applypatch-msg"
chmod +x "$tmp/dirty/.git/hooks/applypatch-msg"
check "git, git am fails: its reason" 1 "the hook says no" "$patch" "$tmp/dirty"
holds "git, git am fails: where it was" same_head dirty "$before"
holds "git, git am fails: nothing half done" clean dirty
rm "$tmp/dirty/.git/hooks/applypatch-msg"
git -C "$tmp/dirty" apply "$ROOT"/jit-patch/6.1/*.patch
git -C "$tmp/dirty" add .
git -C "$tmp/dirty" commit -qm "all in one"
check "git, in it but not as its commits" 1 "no commits that are the series'" "$patch" --reverse "$tmp/dirty"

# --- bad input ---

plain newer
sed -i 's/^PATCHLEVEL = 1$/PATCHLEVEL = 12/' "$tmp/newer/Makefile"
check "a later major version" 1 "newer is Linux 6.12.[0-9]+, the series is for 6.1.y, and mainline has exceptions of its own" \
	"$patch" "$tmp/newer"
check "no tree" 1 "which tree\? .* make patch KSRC=DIR" "$patch"
check "no tree to take it out of" 1 "which tree\? .* make unpatch KSRC=DIR" "$patch" --reverse
check "no source tree" 1 "not a kernel source tree" "$patch" "$tmp"
check "no such tree" 1 "not a kernel source tree" "$patch" "$tmp/nosuch"
check "two trees" 1 "unknown argument" "$patch" "$tmp/plain" "$tmp/git"
check "no such series" 1 "there is no .*/nosuch/series" "$patch" --series "$tmp/nosuch" "$tmp/reference"
if ((EUID)); then
	chmod -w "$tmp/reference/kernel/bpf"
	check "a tree that can't be written" 1 "can't be written, .* nothing was changed" "$patch" "$tmp/reference"
	chmod +w "$tmp/reference/kernel/bpf"
fi
unset GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM
