// SPDX-License-Identifier: GPL-2.0-only
/* Watches a frame halfway down, so that a trampoline is in the chain */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("fexit/frame3") int watch(void *ctx)
{
	return 0;
}
