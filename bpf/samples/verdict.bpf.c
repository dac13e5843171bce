// SPDX-License-Identifier: GPL-2.0-only
/*
 * A callback that turns each cookie into a verdict, and counts them. The program throws the reason
 * why it can't continue; what that means is decided in one place, when its frames are gone.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "../bpf_exceptions.h"

char _license[] SEC("license") = "GPL";

enum why { NOT_IP, TOO_SHORT, FOR_OTHERS, WHYS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WHYS);
	__type(key, __u32);
	__type(value, __u64);
} thrown SEC(".maps");

static void count(__u32 why)
{
	__u64 *value = bpf_map_lookup_elem(&thrown, &why);

	if (value)
		++*value;
}

static int verdict(__u64 why)
{
	count(why);
	switch (why) {
	case NOT_IP:
		return XDP_PASS;	/* the kernel knows better */
	case FOR_OTHERS:
		return XDP_DROP;
	default:
		return XDP_ABORTED;	/* shows in tracing as xdp:xdp_exception */
	}
}

static __attribute__((noinline)) int look_at(struct ethhdr *eth)
{
	if (eth->h_dest[0] & 1)
		bpf_throw(FOR_OTHERS);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		bpf_throw(NOT_IP);
	return XDP_TX;
}

SEC("xdp") int reflect(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	bpf_set_exception_callback(verdict);
	bpf_assert_with((void *)(eth + 1) <= (void *)(long)ctx->data_end, TOO_SHORT);
	return look_at(eth);
}
