// SPDX-License-Identifier: GPL-2.0-only
/* Programs that see packets, and sockets */
#include "types.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} socks SEC(".maps");

HOOK(socket_filter, "socket", struct __sk_buff *)
HOOK(socket_filter_udp, "socket", struct __sk_buff *)
HOOK(tc_ingress, "tc", struct __sk_buff *)
HOOK(tc_egress, "tc", struct __sk_buff *)
HOOK(action_ingress, "action", struct __sk_buff *)
HOOK(action_egress, "action", struct __sk_buff *)
HOOK(xdp, "xdp", struct xdp_md *)
HOOK(stream_parser, "sk_skb/stream_parser", struct __sk_buff *)
HOOK(stream_verdict, "sk_skb/stream_verdict", struct __sk_buff *)
HOOK(sk_msg, "sk_msg", struct sk_msg_md *)
HOOK(sk_lookup, "sk_lookup", struct bpf_sk_lookup *)
HOOK(sk_reuseport, "sk_reuseport", struct sk_reuseport_md *)
HOOK(flow_dissector, "flow_dissector", struct __sk_buff *)
HOOK(lwt_in, "lwt_in", struct __sk_buff *)
HOOK(lwt_out, "lwt_out", struct __sk_buff *)
HOOK(lwt_xmit, "lwt_xmit", struct __sk_buff *)
HOOK(lwt_seg6local, "lwt_seg6local", struct __sk_buff *)

/* What the tests of some of these also need */

SEC("sk_skb/stream_verdict") int pass(struct __sk_buff *ctx)
{
	return SK_PASS;
}

SEC("tc") int note_hash(struct __sk_buff *ctx)
{
	tally.hash = bpf_get_hash_recalc(ctx);
	return 0;
}

/* Extensions of a function */

__attribute__((noinline, weak)) int replaced(struct __sk_buff *ctx)
{
	volatile int ret = 77;

	return ret;
}

SEC("tc") int calls_replaced(struct __sk_buff *ctx)
{
	return replaced(ctx) + 1;
}

HOOK(extension, "freplace/replaced", struct __sk_buff *)
