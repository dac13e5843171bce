// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same work in three forms: add up table entries for eight indices, none of which may be out of
 * bounds. After an assertion there is only one path to continue, so the verifier walks only one.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "../bpf_exceptions.h"

#define FIELDS 8
#define SIZE 16

char _license[] SEC("license") = "GPL";

struct {
	__u64 fields[FIELDS], table[FIELDS][SIZE];
} in;

/* Errors are counted, and checked at the end: each index doubles the number of paths to there */
SEC("tc") int collect(struct __sk_buff *skb)
{
	__u64 sum = 0, errors = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < FIELDS; i++) {
		__u64 field = in.fields[i];

		if (field < SIZE)
			sum += in.table[i][field];
		else
			errors++;
	}
	return errors ? TC_ACT_SHOT : (int)sum;
}

/* Errors are passed up: each is checked twice, and each check has two outcomes */
static __attribute__((noinline)) __s64 lookup(__u64 i, __u64 field)
{
	if (i >= FIELDS || field >= SIZE)
		return -1;
	return in.table[i][field];
}

SEC("tc") int hand_up(struct __sk_buff *skb)
{
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < FIELDS; i++) {
		__s64 value = lookup(i, in.fields[i]);

		if (value < 0)
			return TC_ACT_SHOT;
		sum += value;
	}
	return sum;
}

static int shot(__u64 cookie)
{
	return TC_ACT_SHOT;
}

SEC("tc") int assertions(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_set_exception_callback(shot);
#pragma clang loop unroll(disable)
	for (int i = 0; i < FIELDS; i++) {
		__u64 field = in.fields[i];

		bpf_assert_lt(field, SIZE);
		sum += in.table[i][field];
	}
	return sum;
}
