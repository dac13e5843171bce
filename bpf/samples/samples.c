// SPDX-License-Identifier: GPL-2.0-only
/*
 * samples - run the sample programs on packets made for them, and show the results
 *
 * usage: samples [DIRECTORY]
 *
 * DIRECTORY contains the compiled programs (default: the current one).
 *
 * Exit status: 0 all as expected, 1 something was not, or could not be done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *directory = ".";
static bool wrong;

static struct bpf_object *load(const char *name)
{
	struct bpf_object *obj;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s.bpf.o", directory, name);
	obj = bpf_object__open_file(path, NULL);
	if (obj && !bpf_object__load(obj))
		return obj;
	fprintf(stderr, "samples: %s: %s (are you root, and is bpf_exceptions.ko loaded?)\n",
		path, strerror(errno));
	exit(1);
}

static int run(struct bpf_object *obj, const char *prog, const void *packet, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = size, .repeat = 1);
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj, prog));

	if (!bpf_prog_test_run_opts(fd, &opts))
		return opts.retval;
	fprintf(stderr, "samples: cannot run %s: %s\n", prog, strerror(errno));
	exit(1);
}

static const char *compared(bool ok)
{
	wrong |= !ok;
	return ok ? "" : "   WRONG";
}

/* Ethernet, IPv4 with options, TCP */
struct packet {
	struct ethhdr eth;
	struct iphdr ip;
	__u8 rest[100];
} __attribute__((packed));

static struct packet make_packet(unsigned int ihl, __u16 port)
{
	struct packet packet = {
		.eth.h_proto = htons(ETH_P_IP),
		.ip = { .version = 4, .ihl = ihl, .protocol = IPPROTO_TCP },
	};
	struct tcphdr tcp = { .dest = htons(port) };

	if (ihl >= 5)
		memcpy(packet.rest + 4 * ihl - sizeof(packet.ip), &tcp, sizeof(tcp));
	return packet;
}

static void parse(void)
{
	static const char *const reasons[] = {
		"fine", "no whole Ethernet header", "no whole IP header", "IP header length",
		"no whole TCP header", "no whole UDP header",
	};
	/* 54 bytes are the three headers without options */
	static const struct {
		unsigned int size, ihl, port, reason;
	} packets[] = {
		{ 54, 5, 80, 0 }, { 94, 15, 443, 0 }, { 93, 15, 0, 4 }, { 54, 4, 0, 3 },
		{ 30, 5, 0, 2 },
	};
	struct bpf_object *obj = load("parse");
	int map = bpf_object__find_map_fd_by_name(obj, ".bss"), zero = 0, verdict;
	__u32 vars[2]; /* port, reason */
	bool ok;

	printf("parse: asserts the bounds of nested headers\n");
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		struct packet packet = make_packet(packets[i].ihl, packets[i].port);

		verdict = run(obj, "parse", &packet, packets[i].size);
		bpf_map_lookup_elem(map, &zero, vars);
		ok = vars[0] == packets[i].port && vars[1] == packets[i].reason &&
		     verdict == (packets[i].reason ? XDP_DROP : XDP_PASS);
		printf("  %2u bytes, IP header of %2u words: %-4s port %3u, %s%s\n", packets[i].size,
		       packets[i].ihl, verdict == XDP_DROP ? "drop" : "pass", vars[0],
		       reasons[vars[1] % ARRAY_SIZE(reasons)], compared(ok));
	}
	bpf_object__close(obj);
}

static void verdict(void)
{
	static const char *const names[] = { "not IP", "too short", "for others" };
	static const char *const actions[] = { "ABORTED", "DROP", "PASS", "TX", "REDIRECT" };
	/* each kind of packet, and how often it is sent; the second one doesn't throw */
	static const struct {
		__u16 proto;
		__u8 dest;
		int times, verdict;
	} kinds[] = {
		{ ETH_P_IPV6, 2, 3, XDP_PASS }, { ETH_P_IP, 2, 4, XDP_TX },
		{ ETH_P_IP, 0xff, 5, XDP_DROP },
	};
	static const __u64 expected[] = { 3, 0, 5 };
	struct bpf_object *obj = load("verdict");
	int map = bpf_object__find_map_fd_by_name(obj, "thrown");
	int cpus = libbpf_num_possible_cpus(), ret = 0;
	__u64 sum, *values = calloc(cpus, sizeof(*values));

	printf("verdict: the callback turns each cookie into a verdict, and counts it\n");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct packet packet = make_packet(5, 80);

		packet.eth.h_proto = htons(kinds[i].proto);
		packet.eth.h_dest[0] = kinds[i].dest;
		for (int j = 0; j < kinds[i].times; j++)
			ret = run(obj, "reflect", &packet, sizeof(packet));
		printf("  %d packets of type %#06x, to %02x:...: XDP_%s%s\n", kinds[i].times,
		       kinds[i].proto, kinds[i].dest, actions[ret % ARRAY_SIZE(actions)],
		       compared(ret == kinds[i].verdict));
	}
	for (__u32 why = 0; why < ARRAY_SIZE(names); why++) {
		bpf_map_lookup_elem(map, &why, values);
		sum = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += values[cpu];
		printf("  thrown for \"%s\": %llu%s\n", names[why], sum,
		       compared(sum == expected[why]));
	}
	free(values);
	bpf_object__close(obj);
}

static unsigned int verified_insns(struct bpf_object *obj, const char *prog)
{
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj, prog));
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	bpf_obj_get_info_by_fd(fd, &info, &len);
	return info.verified_insns;
}

static void branches(void)
{
	static const struct {
		const char *prog, *what;
	} forms[] = {
		{ "collect", "errors counted, and checked at the end" },
		{ "hand_up", "errors returned by a function" },
		{ "assertions", "assertions" },
	};
	struct bpf_object *obj = load("branches");
	int map = bpf_object__find_map_fd_by_name(obj, ".bss"), zero = 0, good, bad;
	__u64 vars[8 + 8 * 16] = {}; /* fields, table */
	unsigned int insns;

	printf("branches: the same work in three forms, and what the verifier had to walk\n");
	for (size_t i = 8; i < ARRAY_SIZE(vars); i++)
		vars[i] = 3;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		vars[7] = 15;
		bpf_map_update_elem(map, &zero, vars, 0);
		good = run(obj, forms[i].prog, &(struct packet){}, sizeof(struct packet));
		vars[7] = 16;
		bpf_map_update_elem(map, &zero, vars, 0);
		bad = run(obj, forms[i].prog, &(struct packet){}, sizeof(struct packet));
		insns = verified_insns(obj, forms[i].prog);
		printf("  %-42s %6u instructions verified%s\n", forms[i].what, insns,
		       compared(good == 24 && bad == TC_ACT_SHOT));
	}
	compared(verified_insns(obj, "assertions") < verified_insns(obj, "hand_up"));
	bpf_object__close(obj);
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		fprintf(stderr, "usage: samples [DIRECTORY]\n");
		return 1;
	}
	if (argc == 2)
		directory = argv[1];
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	parse();
	verdict();
	branches();
	if (wrong)
		fprintf(stderr, "samples: not everything is as expected\n");
	return wrong;
}
