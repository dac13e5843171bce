// SPDX-License-Identifier: GPL-2.0-only
/*
 * A throw releases what came out of a map. With kCFI the kernel panics when it frees such a map:
 * bpf_map_free_kptrs() calls destructors by another type than theirs.
 */
#include "held.bpf.h"

struct kept {
	struct prog_test_ref_kfunc __attribute__((btf_type_tag("kptr_ref"))) *object;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} kept SEC(".maps");

HELD(kptr_main, "an object out of a map, thrown in main", 1,
	int zero = 0;
	struct prog_test_ref_kfunc *o = object();
	struct kept *k = bpf_map_lookup_elem(&kept, &zero);
	if (!o)
		return -1;
	if (!k) {
		bpf_kfunc_call_test_release(o);
		return -1;
	}
	o = bpf_kptr_xchg(&k->object, o);
	if (o)
		bpf_kfunc_call_test_release(o);
	o = bpf_kptr_xchg(&k->object, NULL);
	if (!o)
		return -1;
	bpf_assert_with(!throws, 7);
	bpf_kfunc_call_test_release(o);)
