// SPDX-License-Identifier: GPL-2.0-only
/*
 * layout - compare the structures that the livepatch was compiled with to those of its kernel
 *
 * usage: layout VMLINUX BTF [--grown STRUCT]... [--own STRUCT]... [--called FUNCTION]...
 *
 *   VMLINUX   the kernel, an ELF file with BTF
 *   BTF       what the livepatch was compiled with
 *   --grown   a structure that only the verifier uses, and that may be longer than the kernel's
 *   --own     a structure that the kernel has instances of its own of, for its own programs only
 *   --called  a function of the kernel that the livepatch calls. It mustn't take a grown structure:
 *             it would work on that with the kernel's own verifier
 *
 * Every structure, union and enumeration that both have by the same name must have the same size
 * and the same members at the same places. Prints those that differ.
 *
 * Exit status: 0 all the same, 1 some differ.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "common.h"

/* Pairs of an option and its argument */
static char **options;
static int option_cnt;
static int failures;

static bool is_option(const char *option, const char *name)
{
	int i;

	for (i = 0; i < option_cnt; i += 2)
		if (!strcmp(options[i], option) && !strcmp(options[i + 1], name))
			return true;
	return false;
}

static bool may_grow(const char *name)
{
	return is_option("--grown", name);
}

/* Names of types are hashed: a kernel has some hundred thousand types */
static __u32 *bucket, *next;
static __u32 buckets;

static __u32 hash(const char *name)
{
	__u32 h = 5381;

	while (*name)
		h = h * 33 + (unsigned char)*name++;
	return h & (buckets - 1);
}

static void index_names(const struct btf *btf)
{
	__u32 i, h, cnt = btf__type_cnt(btf);
	const struct btf_type *t;

	for (buckets = 1; buckets < cnt; buckets *= 2)
		;
	bucket = must(calloc(buckets, sizeof(*bucket)));
	next = must(calloc(cnt, sizeof(*next)));
	for (i = 1; i < cnt; i++) {
		t = btf__type_by_id(btf, i);
		if (!t->name_off)
			continue;
		h = hash(btf__name_by_offset(btf, t->name_off));
		next[i] = bucket[h];
		bucket[h] = i;
	}
}

static const struct btf_member *find_member(const struct btf *btf, const struct btf_type *t, const char *name)
{
	const struct btf_member *m = btf_members(t);
	int i;

	for (i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, m[i].name_off), name))
			return &m[i];
	return NULL;
}

/*
 * Every enumerator of the kernel must have the same value; additional ones do no harm. A type
 * without any is only declared. 64-bit enumerations are compared by size only.
 */
static bool same_values(const struct btf *their_btf, const struct btf_type *theirs,
			const struct btf *our_btf, const struct btf_type *ours, char *why, size_t len)
{
	const struct btf_enum *their_e = btf_enum(theirs), *our_e = btf_enum(ours);
	const char *name;
	int i, j;

	for (i = 0; btf_is_enum(theirs) && btf_is_enum(ours) && btf_vlen(ours) && i < btf_vlen(theirs); i++) {
		name = btf__name_by_offset(their_btf, their_e[i].name_off);
		for (j = 0; j < btf_vlen(ours); j++)
			if (!strcmp(btf__name_by_offset(our_btf, our_e[j].name_off), name))
				break;
		if (j < btf_vlen(ours) && our_e[j].val == their_e[i].val)
			continue;
		snprintf(why, len, "%s isn't the kernel's", name);
		return false;
	}
	return true;
}

static bool same_size(__s64 theirs, __s64 ours, bool grows)
{
	return theirs == ours || (grows && ours > theirs);
}

/* Why @ours differs from the kernel's @theirs. Members without a name are identified by place. */
static bool same(const struct btf *their_btf, const struct btf_type *theirs,
		 const struct btf *our_btf, const struct btf_type *ours, bool grows, char *why, size_t len)
{
	const struct btf_member *their_m, *our_m;
	const char *name;
	int i;

	if (!same_size(theirs->size, ours->size, grows)) {
		snprintf(why, len, "%u bytes, and %u in the kernel", ours->size, theirs->size);
		return false;
	}
	if (btf_is_any_enum(theirs))
		return same_values(their_btf, theirs, our_btf, ours, why, len);
	for (i = 0; i < btf_vlen(theirs); i++) {
		their_m = btf_members(theirs) + i;
		name = btf__name_by_offset(their_btf, their_m->name_off);
		if (*name)
			our_m = find_member(our_btf, ours, name);
		else
			our_m = i < btf_vlen(ours) ? btf_members(ours) + i : NULL;
		if (!our_m) {
			snprintf(why, len, "no member %s, which the kernel's has", name);
			return false;
		}
		if (btf_member_bit_offset(theirs, i) != btf_member_bit_offset(ours, our_m - btf_members(ours)) ||
		    !same_size(btf__resolve_size(their_btf, their_m->type),
			       btf__resolve_size(our_btf, our_m->type), grows && i == btf_vlen(theirs) - 1)) {
			snprintf(why, len, "%s is at bit %u, and in the kernel at %u", *name ? name : "a member",
				 btf_member_bit_offset(ours, our_m - btf_members(ours)),
				 btf_member_bit_offset(theirs, i));
			return false;
		}
	}
	return true;
}

static int compare_type(const struct btf *kernel, const struct btf *btf, const struct btf_type *t)
{
	const char *name = btf__name_by_offset(btf, t->name_off);
	const struct btf_type *k;
	char why[256] = "";
	bool found = false;
	__u32 i;

	if (is_option("--own", name))
		return 0;
	for (i = bucket[hash(name)]; i; i = next[i]) {
		k = btf__type_by_id(kernel, i);
		if (btf_kind(k) != btf_kind(t) || strcmp(btf__name_by_offset(kernel, k->name_off), name))
			continue;
		found = true;
		if (same(kernel, k, btf, t, may_grow(name), why, sizeof(why)))
			return 1;
	}
	if (!found)
		return 0;
	printf("%s %s: %s\n", btf_is_union(t) ? "union" : btf_is_struct(t) ? "struct" : "enum", name, why);
	failures++;
	return 1;
}

/* A structure that @type is or points to, by name */
static const char *pointee(const struct btf *btf, __u32 type)
{
	const struct btf_type *t = btf__type_by_id(btf, type);

	while (btf_is_ptr(t) || btf_is_mod(t))
		t = btf__type_by_id(btf, t->type);
	return btf__name_by_offset(btf, t->name_off);
}

static void check_called(const struct btf *kernel, const char *func)
{
	const struct btf_type *t, *proto;
	__u32 i;
	int arg;

	for (i = bucket[hash(func)]; i; i = next[i]) {
		t = btf__type_by_id(kernel, i);
		if (!btf_is_func(t) || strcmp(btf__name_by_offset(kernel, t->name_off), func))
			continue;
		proto = btf__type_by_id(kernel, t->type);
		for (arg = 0; arg < btf_vlen(proto); arg++)
			if (may_grow(pointee(kernel, btf_params(proto)[arg].type))) {
				printf("%s(): takes a struct %s, and is left to the kernel\n", func,
				       pointee(kernel, btf_params(proto)[arg].type));
				failures++;
			}
	}
}

int main(int argc, char **argv)
{
	struct btf *kernel, *btf;
	const struct btf_type *t;
	int i, compared = 0;

	if (argc < 3 || argc % 2 == 0)
		errx(1, "usage: layout VMLINUX BTF [--grown STRUCT]... [--called FUNCTION]...");
	kernel = btf__parse(argv[1], NULL);
	if (!kernel)
		err(1, "%s: no BTF", argv[1]);
	btf = btf__parse(argv[2], NULL);
	if (!btf)
		err(1, "%s: no BTF", argv[2]);
	index_names(kernel);
	options = argv + 3;
	option_cnt = argc - 3;
	for (i = 0; i < option_cnt; i += 2)
		if (!strcmp(options[i], "--called"))
			check_called(kernel, options[i + 1]);
	for (i = 1; i < (int)btf__type_cnt(btf); i++) {
		t = btf__type_by_id(btf, i);
		if (t->name_off && (btf_is_composite(t) || btf_is_any_enum(t)))
			compared += compare_type(kernel, btf, t);
	}
	fprintf(stderr, "%d types compared, %d differ\n", compared, failures);
	return failures || !compared;
}
