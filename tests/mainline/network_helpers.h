/* SPDX-License-Identifier: GPL-2.0-only */
/* What prog_tests/exceptions.c wants of mainline's network_helpers.h: an IPv4 packet */
#ifndef _MAINLINE_NETWORK_HELPERS_H
#define _MAINLINE_NETWORK_HELPERS_H

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>

static struct {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed)) pkt_v4 = {
	.eth.h_proto = __builtin_bswap16(ETH_P_IP),
	.ip = { .version = 4, .ihl = 5, .protocol = IPPROTO_TCP },
	.tcp = { .doff = 5 },
};

#endif /* _MAINLINE_NETWORK_HELPERS_H */
