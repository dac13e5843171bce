// SPDX-License-Identifier: GPL-2.0-only
/* Activities that replace programs: extensions, tail calls, XDP, TCP's congestion control */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "../types/netlink.h"
#include "stress.h"

static int load(struct activity *a, struct builder *b)
{
	char log[4096] = "";
	int fd = builder_load(b, BPF_PROG_TYPE_XDP, log, sizeof(log));

	if (fd < 0)
		fail(a, "the caller did not load: %s; %s", strerror(errno), log);
	return fd;
}

/* A program that returns what its function does, which is called with the context */
static int begin_caller(struct builder *b, bool global)
{
	int func;

	builder_init(b);
	func = builder_func(b, 1, global);
	b->funcs[func].ctx = true;
	builder_call(b, func);
	builder_emit(b, EXIT());
	builder_begin(b, func);
	return func;
}

static void return_passed(struct builder *b)
{
	builder_emit(b, MOV_IMM(BPF_REG_0, xdp.passed_ret));
	builder_emit(b, EXIT());
}

/* Runs the program of @callers, which throws nothing itself, in one context */
static void run_caller(struct activity *a, struct pack *callers, struct runner *r)
{
	*r = (struct runner){ .a = a, .p = callers, .context = pick(IN_NMI), .end = -1 };
	pthread_create(&r->thread, NULL, keep_running, r);
}

static void stop_caller(struct runner *r)
{
	__atomic_store_n(&r->stop, true, __ATOMIC_RELAXED);
	pthread_join(r->thread, NULL);
}

/*
 * Extensions take the place of a global function, one after the other, while its program runs. A
 * throw ends the extension, and the program goes on with its return value.
 */
void extend_round(struct activity *a)
{
	struct kind kind = { BPF_PROG_TYPE_EXT, .thrown_ret = xdp.thrown_ret,
			     .passed_ret = xdp.passed_ret };
	static __thread struct builder b;
	struct pack p, callers = { .cnt = 1 };
	__u64 end = round_end();
	struct runner r;
	int func;

	if (!pack_open(&p, a))
		return;
	func = begin_caller(&b, true);
	return_passed(&b);
	callers.fds[0] = load(a, &b);
	kind.target = callers.fds[0];
	kind.btf_id = b.funcs[func].btf_id;
	run_caller(a, &callers, &r);
	while (!a->failed && goes_on(&p, end))
		attach_for(&p, &kind, 10);
	stop_caller(&r);
	pack_close(&p, r.seen);
	close(callers.fds[0]);
}

enum { TARGETS = 4 };

/*
 * A subprogram calls one of several programs by a tail call, and these are replaced all the time. A
 * throw ends the target, and the caller goes on with its return value.
 */
void tail_round(struct activity *a)
{
	int array = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "targets", 4, 4, TARGETS, NULL);
	struct pack p, callers = { .cnt = 1 };
	static __thread struct builder b;
	__u64 end = round_end();
	int slot = 0, fd;
	struct runner r;

	if (!pack_open(&p, a))
		return;
	begin_caller(&b, false);
	builder_emit(&b, MOV_REG(BPF_REG_6, BPF_REG_1));
	builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	builder_emit(&b, MOV_REG(BPF_REG_3, BPF_REG_0));
	builder_emit(&b, ALU_IMM(BPF_AND, BPF_REG_3, TARGETS - 1));
	builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_6));
	builder_load_map(&b, BPF_REG_2, array);
	builder_emit(&b, CALL_HELPER(BPF_FUNC_tail_call));
	return_passed(&b);
	callers.fds[0] = load(a, &b);
	run_caller(a, &callers, &r);
	while (!a->failed && goes_on(&p, end)) {
		fd = pack_add(&p, &xdp);
		if (!a->failed && bpf_map_update_elem(array, &slot, &fd, 0))
			fail(a, "cannot replace a target: %s", strerror(errno));
		slot = (slot + 1) % TARGETS;
		a->done++;
		sleep_ms(5);
	}
	stop_caller(&r);
	close(array);
	close(callers.fds[0]);
	pack_close(&p, r.seen);
}

/* --- native XDP ------------------------------------------------------------------------- */

static const char *const ends[2] = { "stress0", "stress1" };

/* Of which nothing is heard but what the test sends */
static bool make_wire(void)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nlattr *nest, *data, *peer;
	struct request request;

	request_init(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	request_add(&request, IFLA_IFNAME, ends[0], strlen(ends[0]) + 1);
	nest = request_begin(&request, IFLA_LINKINFO);
	request_add(&request, IFLA_INFO_KIND, "veth", 5);
	data = request_begin(&request, IFLA_INFO_DATA);
	peer = request_begin(&request, VETH_INFO_PEER);
	/* its header, and then attributes */
	request.header.nlmsg_len += sizeof(info);
	request_add(&request, IFLA_IFNAME, ends[1], strlen(ends[1]) + 1);
	request_end(&request, peer);
	request_end(&request, data);
	request_end(&request, nest);
	return request_send(&request);
}

static bool set_up(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = {};
	char path[64];
	bool ok;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	put(path, "1", 0);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ok = !ioctl(fd, SIOCGIFFLAGS, &ifr);
	ifr.ifr_flags |= IFF_UP | IFF_NOARP;
	ok = ok && !ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return ok;
}

/* Programs at both ends, which count frames in a map: as thrower's do, but begun are those sent */
struct wire {
	int index[2];
	int map, sender, receiver;
};

static int load_end(struct wire *w, int sends_to)
{
	static __thread struct builder b;

	builder_init(&b);
	b.skb = true;
	builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
	if (sends_to) {
		builder_emit(&b, MOV_IMM(BPF_REG_2, sends_to));
		builder_emit(&b, MOV_IMM(BPF_REG_3, 0));
		builder_emit(&b, CALL_HELPER(BPF_FUNC_clone_redirect));
	}
	builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 4));
	count(&b, w->map, sends_to ? offsetof(struct counts, begun) : offsetof(struct counts, passed));
	builder_emit(&b, MOV_IMM(BPF_REG_0, 2 /* TC_ACT_SHOT */));
	builder_emit(&b, EXIT());
	return builder_load(&b, BPF_PROG_TYPE_SCHED_CLS, NULL, 0);
}

static bool open_wire(struct wire *w)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = 1, .priority = 1);

	if (!if_nametoindex(ends[0]) && (!make_wire() || !set_up(ends[0]) || !set_up(ends[1])))
		return false;
	for (int i = 0; i < 2; i++)
		w->index[i] = if_nametoindex(ends[i]);
	w->map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "frames", 4, sizeof(struct counts), 1, NULL);
	w->sender = load_end(w, w->index[0]);
	w->receiver = load_end(w, 0);
	hook.ifindex = w->index[1];
	at.prog_fd = w->receiver;
	bpf_tc_hook_create(&hook);
	return w->sender >= 0 && w->receiver >= 0 && !bpf_tc_attach(&hook, &at);
}

static bool send_frames(struct wire *w, int cnt)
{
	static const char frame[64] = { [12] = 0x88, 0xb5 /* a protocol for experiments */ };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = cnt);

	return !bpf_prog_test_run_opts(w->sender, &opts);
}

/* Return: frames that were sent and haven't arrived, of which @thrown are thrown away */
static long long close_wire(struct wire *w, long long thrown)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = w->index[1],
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct counts c = {};
	int zero = 0;

	for (int i = 0; i < 100; i++) {
		bpf_map_lookup_elem(w->map, &zero, &c);
		if (c.begun == c.passed + thrown)
			break;
		sleep_ms(20);
	}
	bpf_tc_hook_destroy(&hook);
	close(w->sender);
	close(w->receiver);
	close(w->map);
	return c.begun - c.passed;
}

/* In the receive path of a driver; a throw drops the frame, all others arrive */
void native_round(struct activity *a)
{
	static const struct kind kind = { BPF_PROG_TYPE_XDP, .thrown_ret = 1 /* XDP_DROP */,
					  .passed_ret = 2 /* XDP_PASS */ };
	__u64 end = round_end(), unused;
	struct wire w = {};
	struct counts c;
	struct pack p;
	long long lost;
	int fd;

	if (!pack_open(&p, a))
		return;
	if (!open_wire(&w))
		fail(a, "no pair of interfaces: %s", strerror(errno));
	while (!a->failed && goes_on(&p, end)) {
		fd = pack_add(&p, &kind);
		if (bpf_xdp_attach(w.index[1], fd, XDP_FLAGS_DRV_MODE, NULL) || !send_frames(&w, 100)) {
			fail(a, "cannot attach: %s", strerror(errno));
			break;
		}
		a->done++;
	}
	read_counts(&p, &c, &unused, &unused);
	lost = close_wire(&w, c.begun);
	bpf_xdp_detach(w.index[1], XDP_FLAGS_DRV_MODE, NULL);
	pack_close(&p, lost);
}

/* --- struct_ops ------------------------------------------------------------------------- */

/* What the test knows of the kernel's struct tcp_congestion_ops, and of the map's value with one */
static struct {
	int value_id, value_size, ops_id, offset;
	int btf_fd;	/* of no use, but it has to be there */
	const struct btf_type *ops;
	struct btf *btf;
} tcp;

static const struct btf_member *member_of(const struct btf_type *type, const char *name)
{
	const struct btf_member *member = btf_members(type);

	for (int i = 0; i < btf_vlen(type); i++, member++)
		if (!strcmp(btf__name_by_offset(tcp.btf, member->name_off), name))
			return member;
	return NULL;
}

static bool find_tcp(void)
{
	const struct btf_type *value;
	struct btf *any;
	const void *raw;
	__u32 size;

	any = btf__new_empty();
	btf__add_int(any, "int", 4, BTF_INT_SIGNED);
	raw = btf__raw_data(any, &size);
	tcp.btf_fd = bpf_btf_load(raw, size, NULL);
	btf__free(any);
	tcp.btf = btf__load_vmlinux_btf();
	tcp.value_id = btf__find_by_name_kind(tcp.btf, "bpf_struct_ops_tcp_congestion_ops",
					      BTF_KIND_STRUCT);
	tcp.ops_id = btf__find_by_name_kind(tcp.btf, "tcp_congestion_ops", BTF_KIND_STRUCT);
	if (tcp.btf_fd < 0 || tcp.value_id <= 0 || tcp.ops_id <= 0)
		return false;
	value = btf__type_by_id(tcp.btf, tcp.value_id);
	tcp.value_size = value->size;
	tcp.offset = member_of(value, "data")->offset / 8;
	tcp.ops = btf__type_by_id(tcp.btf, tcp.ops_id);
	return true;
}

/* All of them throw; what ssthresh and undo_cwnd return is a number of segments */
static const char *const callbacks[] = {
	"ssthresh", "undo_cwnd", "cong_avoid", "init", "in_ack_event", "pkts_acked", "cwnd_event",
};

static void fill_ops(struct pack *p, char *value, const char *name)
{
	struct kind kind = { BPF_PROG_TYPE_STRUCT_OPS, .thrown_ret = 10, .passed_ret = 11 };
	char *ops = value + tcp.offset;

	kind.btf_id = tcp.ops_id;
	for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
		const struct btf_member *member = member_of(tcp.ops, callbacks[i]);
		unsigned long fd;

		kind.attach_type = member - btf_members(tcp.ops);
		fd = pack_add(p, &kind);
		memcpy(ops + member->offset / 8, &fd, sizeof(fd));
	}
	strcpy(ops + member_of(tcp.ops, "name")->offset / 8, name);
}

/* Connect with ourselves, and send data there and back. Return: bytes that arrived unchanged */
static long long talk(const char *name, int rounds)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), ends[2] = { socket(AF_INET, SOCK_STREAM, 0), -1 };
	const struct timeval limit = { .tv_sec = 20 };
	const struct linger abort = { .l_onoff = 1 };
	static __thread char data[2][8192];
	socklen_t len = sizeof(addr);
	long long arrived = -1;

	for (size_t i = 0; i < sizeof(data[0]); i++)
		data[0][i] = pick(256);
	if (!setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)) &&
	    !setsockopt(ends[0], IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)) &&
	    !bind(listener, (void *)&addr, len) && !listen(listener, 1) &&
	    !getsockname(listener, (void *)&addr, &len) && !connect(ends[0], (void *)&addr, len)) {
		ends[1] = accept(listener, NULL, NULL);
		arrived = 0;
	}
	for (int i = 0; i < rounds && arrived >= 0; i++) {
		int to = ends[i & 1], from = ends[!(i & 1)];

		setsockopt(from, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (send(to, data[0], sizeof(data[0]), 0) != sizeof(data[0]) ||
		    recv(from, data[1], sizeof(data[1]), MSG_WAITALL) != sizeof(data[1]) ||
		    memcmp(data[0], data[1], sizeof(data[0])))
			break;
		arrived += sizeof(data[0]);
	}
	/* nothing may linger and call the programs later */
	for (int i = 0; i < 2; i++) {
		setsockopt(ends[i], SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
		close(ends[i]);
	}
	close(listener);
	return arrived;
}

/*
 * TCP's congestion control: its callbacks throw, at the connection's beginning and for
 * acknowledgements, in process context and in softirqs. All data arrives all the same.
 */
void congestion_round(struct activity *a)
{
	__u64 end = round_end(), runs;
	static const char name[] = "stress";
	int map, zero = 0;
	long long arrived;
	struct pack p;
	char *value;

	/* this thread gets a loopback of its own, out of the way of tc_round()'s programs */
	if (!tcp.btf && (unshare(CLONE_NEWNET) || !set_up("lo") || !find_tcp())) {
		fail(a, "no struct_ops for TCP: %s", strerror(errno));
		return;
	}
	if (!pack_open(&p, a))
		return;
	value = calloc(1, tcp.value_size);
	while (!a->failed && goes_on(&p, end) && p.cnt + 10 < MAX_PROGS) {
		LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = tcp.btf_fd,
			    .btf_vmlinux_value_type_id = tcp.value_id);

		memset(value, 0, tcp.value_size);
		fill_ops(&p, value, name);
		map = bpf_map_create(BPF_MAP_TYPE_STRUCT_OPS, "ops", 4, tcp.value_size, 1, &opts);
		if (!a->failed && (map < 0 || bpf_map_update_elem(map, &zero, value, 0))) {
			fail(a, "cannot register: %s", strerror(errno));
		} else if (!a->failed) {
			arrived = talk(name, 20);
			if (arrived != 20 * 8192)
				fail(a, "%lld bytes arrived: %s", arrived, strerror(errno));
			bpf_map_delete_elem(map, &zero);
			a->done++;
		}
		close(map);
	}
	free(value);
	runs = pack_close(&p, -1);
	if (p.run_cnt != runs)
		fail(a, "%llu runs in fdinfo, but %llu counted", p.run_cnt, runs);
}
