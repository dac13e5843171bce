// SPDX-License-Identifier: GPL-2.0-only
/*
 * A packet parser that asserts its bounds. Headers are nested, and so are the functions, but none
 * of them has to return or check an error. Whatever is wrong with the packet, at whatever depth,
 * the program ends there, and the callback drops the packet.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "../bpf_exceptions.h"

char _license[] SEC("license") = "GPL";

enum malformed { SHORT_ETH = 1, SHORT_IP, BAD_IHL, SHORT_TCP, SHORT_UDP };

struct {
	__u32 port, reason;
} result;

struct packet {
	void *pos, *end;
};

/* The next header; throws if the packet is too short for it */
#define NEXT(pkt, type, value)						\
	({								\
		type *__header = (pkt)->pos;				\
									\
		bpf_assert_with((void *)(__header + 1) <= (pkt)->end, value);	\
		(pkt)->pos = __header + 1;				\
		__header;						\
	})

static __attribute__((noinline)) __u32 parse_tcp(struct packet *pkt)
{
	return bpf_ntohs(NEXT(pkt, struct tcphdr, SHORT_TCP)->dest);
}

static __attribute__((noinline)) __u32 parse_udp(struct packet *pkt)
{
	return bpf_ntohs(NEXT(pkt, struct udphdr, SHORT_UDP)->dest);
}

static __attribute__((noinline)) __u32 parse_ip(struct packet *pkt)
{
	struct iphdr *ip = NEXT(pkt, struct iphdr, SHORT_IP);
	__u32 options = ip->ihl - 5;

	/* From here on the verifier knows that options may be added to a packet pointer */
	bpf_assert_le_value(options, 10, BAD_IHL);
	pkt->pos += 4 * options;
	if (ip->protocol == IPPROTO_TCP)
		return parse_tcp(pkt);
	if (ip->protocol == IPPROTO_UDP)
		return parse_udp(pkt);
	return 0;
}

static int drop(__u64 cookie)
{
	result.reason = cookie;
	return XDP_DROP;
}

SEC("xdp") int parse(struct xdp_md *ctx)
{
	struct packet pkt = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };

	bpf_set_exception_callback(drop);
	result.port = 0;
	result.reason = 0;
	if (NEXT(&pkt, struct ethhdr, SHORT_ETH)->h_proto == bpf_htons(ETH_P_IP))
		result.port = parse_ip(&pkt);
	return XDP_PASS;
}
