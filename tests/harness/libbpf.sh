# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # run has set tmp
#
# What libbpf says about programs that throw, as TROUBLESHOOTING.md quotes it; the libbpf is that of
# bpftool. TROUBLESHOOTING.md says what to do about each.

KERNEL=${KERNEL:-$("$ROOT/scripts/kernel")}
module=$("$ROOT/scripts/module" "$KERNEL/build")
caps=-all,+bpf,+perfmon,+net_admin

# compile NAME OPTION...: $tmp/NAME.o of $tmp/NAME.bpf.c
compile() {
	clang -target bpf -O2 "${@:2}" -I"$ROOT/tests/bpf" -idirafter "/usr/include/$(gcc -print-multiarch)" \
		-c "$tmp/$1.bpf.c" -o "$tmp/$1.o"
}

# in_machine COMMAND...: with the module loaded
in_machine() {
	exec "$ROOT/scripts/vm" --kernel "$KERNEL" --module "$module" --console "$tmp/console" --with "$tmp/objects" \
		--with "$(type -P bpftool)" --with "$(type -P setpriv)" -- "$@"
}

cat >"$tmp/main.bpf.c" <<'END'
#include "test.h"

int parse(__u32 len);

SEC("tc") int throws(struct __sk_buff *ctx)
{
	bpf_assert_lt_value(ctx->len, 1000, 1);
	return parse(ctx->len);
}
END
cat >"$tmp/parse.bpf.c" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

__attribute__((noinline)) int parse(__u32 len)
{
	bpf_assert_gt_value(len, 20, 2);
	return 0;
}
END
cat "$tmp/main.bpf.c" "$tmp/parse.bpf.c" >"$tmp/whole.bpf.c"
sed 's/bpf_assert.*/return len > 20;/' "$tmp/parse.bpf.c" >"$tmp/quiet.bpf.c"
for object in main parse quiet whole; do
	compile "$object" -g
done
mkdir "$tmp/objects"
cp "$tmp/whole.o" "$tmp/objects/"
cp "$tmp/whole.bpf.c" "$tmp/bare.bpf.c"
compile bare
mv "$tmp/bare.o" "$tmp/objects/"

check "two objects that throw aren't linked" 234 \
	"global 'bpf_throw': failed to resolve size of underlying type: -22" \
	bpftool gen object "$tmp/linked.o" "$tmp/main.o" "$tmp/parse.o"
check "one that throws and one that doesn't are" 0 "" \
	bpftool gen object "$tmp/objects/linked.o" "$tmp/main.o" "$tmp/quiet.o"
check "a program without BTF" 255 "failed to find BTF for extern 'bpf_throw'" \
	in_machine bpftool prog load objects/bare.o /sys/fs/bpf/throws
check "CAP_BPF without CAP_SYS_ADMIN" 255 "failed to iterate BTF objects: -1" \
	in_machine /work/setpriv "--bounding-set=$caps" -- bpftool prog load objects/whole.o /sys/fs/bpf/throws
check "CAP_BPF and CAP_SYS_ADMIN" 0 "" \
	in_machine /work/setpriv "--bounding-set=$caps,+sys_admin" -- bpftool prog load objects/whole.o /sys/fs/bpf/throws
check "the linked object" 0 "" in_machine bpftool prog load objects/linked.o /sys/fs/bpf/throws
