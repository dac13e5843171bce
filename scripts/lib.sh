# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # scripts set what they share with this
#
# Shared by the scripts; sourced, not run. Standard output is for a script's result: anything
# meant for people goes to standard error.

ME=${0##*/}
# shellcheck disable=SC2034 # for the scripts
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin	# for bpftool and insmod; not on every user's PATH

# The cache: CACHE, else the user's own. Absolute, since the scripts change directory.
cache_dir() {
	local dir
	dir=$(realpath -m -- "${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bpf-exceptions}")
	[[ $dir != *[[:space:]:]* ]] ||
		die "the cache $dir has a space or a colon in its name, which a kernel build can't take; set CACHE= to another directory"
	printf '%s\n' "$dir"
}

# die WORDS...: fail with one line: what happened, why, what to do. DIE_STATUS is the exit status.
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

# option_value OPTION [VALUE]: fail if an option that needs a value has none.
option_value() {
	(($# > 1)) || die "$1 needs a value; see $0 --help"
}

# duration SECONDS: as 1m02s.
duration() {
	printf '%dm%02ds' $(($1 / 60)) $(($1 % 60))
}

# Elapsed time since the script started.
elapsed() {
	duration "$SECONDS"
}

# The version of the project.
project_version() {
	sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$ROOT/dkms.conf"
}

# The project's files, one per line: in a git checkout those that git knows or would add, else
# all that are there; never what was built.
project_files() {
	(
		cd "$ROOT" || exit
		if [[ -e .git ]]; then
			git -c safe.directory="$ROOT" ls-files -co --exclude-standard
		else
			find . -path ./build -prune -o -type f -printf '%P\n'
		fi
	) | LC_ALL=C sort | while read -r file; do
		[[ ! -e $ROOT/$file ]] || printf '%s\n' "$file"
	done
}

# progress WORDS...: show how far a long step is: in place on a terminal, else every 10 seconds.
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

# Runs a command that dies with this script, even if the script gets SIGKILL.
tied() {
	exec setpriv --pdeathsig TERM "$@"
}

# Prints the directory of the kernel to test on: Debian's kernel of release STOCK (or "newest"), from
# scripts/stock, or one with the configurations that KERNEL_CONFIG names, from scripts/kernel.
configured_kernel() {
	local name options=()

	if [[ -n ${STOCK:-} ]]; then
		[[ $STOCK != 6.12* ]] ||
			die "STOCK=$STOCK: that kernel has mainline's exceptions, and takes neither the livepatch nor the module; name a release of 6.1, see scripts/stock --list"
		[[ $STOCK == newest ]] || options=("$STOCK")
		"$ROOT/scripts/stock" "${options[@]}"
		return
	fi
	for name in ${KERNEL_CONFIG:-}; do
		options+=(--config "$name")
	done
	"$ROOT/scripts/kernel" "${options[@]}"
}

# kernel_compiler KDIR: the compiler that its kernel is built with.
kernel_compiler() {
	local version

	version=$(sed -n 's/^CONFIG_CLANG_VERSION=//p' "$1/.config" 2>/dev/null || true)
	version=$((${version:-0} / 10000))
	if ((!version)); then
		echo gcc
	elif type -P "clang-$version" >/dev/null; then
		echo "clang-$version"
	else
		echo clang
	fi
}

# headers_compiler KDIR: the compiler that Debian's headers name.
headers_compiler() {
	sed -n 's/^CC = .*\(gcc-[0-9]*\)$/\1/p' "$1/.kernelvariables" 2>/dev/null | grep . || echo gcc
}

# kernel_toolchain KDIR: the kbuild argument for that compiler, to build modules; none for gcc.
kernel_toolchain() {
	local compiler suffix

	compiler=$(kernel_compiler "$1")
	[[ $compiler != gcc ]] || return 0
	suffix=${compiler#clang}
	if grep -qx 'CONFIG_LD_IS_LLD=y' "$1/.config"; then
		echo "LLVM=${suffix:-1}"
	else
		echo "CC=$compiler"
	fi
}

# extract_vmlinux IMAGE FILE: unpack the kernel in a bzImage; see Documentation/x86/boot.rst.
extract_vmlinux() {
	local image=$1 setup offset length tool package

	setup=$(od -An -j 497 -N 1 -t u1 "$image")
	read -r offset length < <(od -An -j 584 -N 8 -t u4 "$image")
	dd if="$image" of="$2.packed" iflag=skip_bytes,count_bytes skip="$(((setup + 1) * 512 + offset))" \
		count="$((length - 4))" bs=1M status=none
	case $(od -An -N 2 -t x1 "$2.packed") in
	" fd 37") tool=xz package=xz-utils ;;
	" 1f 8b") tool=gzip package=gzip ;;
	" 28 b5") tool=zstd package=zstd ;;
	" 02 21") tool=lz4 package=lz4 ;;
	*) die "the kernel in $image isn't packed with xz, gzip, zstd or lz4; give another" ;;
	esac
	command -v "$tool" >/dev/null || die "the kernel in $image is packed with $tool, which isn't installed; install the package $package"
	"$tool" -dc <"$2.packed" >"$2" 2>/dev/null || {
		rm -f "$2" "$2.packed"
		die "the kernel in $image can't be unpacked with $tool; is the file whole?"
	}
	rm "$2.packed"
}

# need_room DIR MIB WHAT: fail if the disk of DIR has less room than that.
need_room() {
	local have
	have=$(($(df -Pk "$1" | awk 'END { print $4 }') / 1024))
	((have >= $2)) || die "no room: $1 has $have MiB left, and $3 takes $2 MiB; make room, or set CACHE= to another disk"
}

# kernel_release KDIR: what "uname -r" says on its kernel. In Debian's headers kernel.release has the
# upstream version, and only utsrelease.h has the release; elsewhere kernel.release is up to date.
kernel_release() {
	if grep -qs '" Debian ' "$1/include/generated/package.h"; then
		sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$1/include/generated/utsrelease.h" | grep .
	else
		cat "$1/include/config/kernel.release"
	fi
}

# kdir_name KDIR: the kernel's name in the cache, or a name made from its directory.
kdir_name() {
	local dir
	dir=$(realpath -ms -- "$1")
	[[ ${dir##*/} == build && -e ${dir%/build}/bzImage ]] || dir=$(realpath -m -- "$1")
	if [[ ${dir##*/} == build ]]; then
		basename "${dir%/build}"
	else
		printf '%s\n' "${dir##*/}-$(sha256sum <<<"$dir" | cut -c1-8)"
	fi
}

# source_version TREE: the version of a kernel source, from its Makefile.
source_version() {
	{ sed -n 's/^\(VERSION\|PATCHLEVEL\|SUBLEVEL\) = //p' "$1/Makefile" 2>/dev/null || true; } | paste -sd.
}

# other_major VERSION: why the series isn't for VERSION, and what to do; nothing for 6.1.y.
other_major() {
	local major minor

	IFS=.- read -r major minor _ <<<"$1"
	minor=${minor%%[!0-9]*}
	if [[ -z $minor || $major.$minor == 6.1 ]]; then
		return
	elif ((major > 6 || major == 6 && minor >= 7)); then
		echo "the series is for 6.1.y, and mainline has exceptions of its own since 6.7: use bpf_throw() of that kernel, without series and module"
	else
		echo "the series is for 6.1.y, and there is none for this version: use a 6.1.y kernel with the series, or 6.7 or later with mainline's own exceptions"
	fi
}

# exports_series KDIR: whether its kernel exports what the module needs from the series.
exports_series() {
	grep -q $'\tbpf_unwind_revision\t' "$1/Module.symvers" 2>/dev/null
}

# --- the series: a directory of patches, and a list of them ---------------------------------
# For scripts that set series, the directory, and scratch, a directory of their own to work in.

# Sets patches: their paths, in order.
read_series() {
	local name

	patches=()
	[[ -r $series/series ]] || die "there is no $series/series, the list of patches; give --series a directory that has one"
	while read -r name; do
		[[ -r $series/$name ]] || die "$series/series lists $name, which isn't there"
		patches+=("$(realpath -- "$series/$name")")
	done < <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$series/series")
}

# The files that the series changes or adds.
touched() {
	sed -nE 's,^(---|\+\+\+) [ab]/([^[:space:]]+).*,\2,p' "${patches[@]}" | sort -u
}

# try_series TREE NAME IF-PATCHED: apply the series to copies of the files it touches, so that a
# tree is patched completely or not at all. The copies are left in $scratch/try.
try_series() {
	local tree=$1 name=$2 if_patched=$3 try=$scratch/try patch

	copy_touched "$tree"
	if apply "$try" "${patches[-1]}" --reverse --dry-run >/dev/null; then
		die "$name has the series already (${patches[-1]##*/} is in it); $if_patched"
	fi
	for patch in "${patches[@]}"; do
		apply "$try" "$patch" >"$scratch/said" ||
			die "${patch##*/} does not apply to $name: $(misfit "$scratch/said"), and nothing was changed;" \
				"give the source that the series is made for: $(made_for)"
	done
}

copy_touched() {
	local tree=$1 try=$scratch/try file

	rm -rf "$try"
	mkdir "$try"
	while read -r file; do
		if [[ -f $tree/$file ]]; then
			mkdir -p "$try/$(dirname "$file")"
			cp -p -- "$tree/$file" "$try/$file"
		fi
	done < <(touched)
}

# apply TREE PATCH [OPTION]...: with fuzz 0.
apply() {
	local tree=$1 patch=$2
	LC_ALL=C patch -d "$tree" -p1 -F0 --forward --batch --no-backup-if-mismatch -r - -i "$patch" "${@:3}" 2>&1
}

# The file and the hunk that did not fit, from patch's output.
misfit() {
	awk '/^patching file/ { file = $3 }
	     /previously applied/ { what = file " seems to have it already"; exit }
	     /^can.t find file/ { what = "a file is not there"; exit }
	     /FAILED at/ { what = file ", hunk " $2 " at line " $5 + 0; exit }
	     END { print what ? what : $0 }' "$1"
}

made_for() {
	{ cat "$series/BASE" 2>/dev/null || echo "Linux 6.1.y"; } | sed '/^#/d' | paste -sd' '
}
