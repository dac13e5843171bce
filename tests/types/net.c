// SPDX-License-Identifier: GPL-2.0-only
/* Programs that see packets and sockets, all on lo */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/lwtunnel.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/seg6_local.h>
#include <linux/tc_act/tc_bpf.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "hook.h"
#include "netlink.h"

static int lo;	/* its index */

/* --- Packets of a device */

static bool attach_tc_to(int prog_fd, enum bpf_tc_attach_point where)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = lo, .attach_point = where);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd);

	errno = -bpf_tc_hook_create(&hook);
	if (!errno)
		errno = -bpf_tc_attach(&hook, &opts);
	return !errno;
}

static bool attach_tc_ingress(struct run *run)
{
	return attach_tc_to(run->prog_fd, BPF_TC_INGRESS);
}

static bool attach_tc_egress(struct run *run)
{
	return attach_tc_to(run->prog_fd, BPF_TC_EGRESS);
}

static void detach_tc(struct run *run __attribute__((unused)))
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = lo, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	bpf_tc_hook_destroy(&hook);
}

/* A classifier that matches each packet, with the program as the action */
static bool attach_action(struct run *run)
{
	bool egress = !strcmp(run->hook->spec, "egress");
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = lo,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	struct tcmsg tc = { .tcm_ifindex = lo,
			    .tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS :
							  TC_H_MIN_INGRESS),
			    .tcm_info = TC_H_MAKE(1 << 16, htons(ETH_P_ALL)) };
	struct sock_filter match = BPF_STMT(BPF_RET | BPF_K, -1);
	struct tc_act_bpf params = { .action = TC_ACT_PIPE };
	struct nlattr *options, *actions, *first, *action;
	struct request request;
	__u16 len = 1;

	errno = -bpf_tc_hook_create(&hook);
	if (errno)
		return false;
	request_init(&request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));
	request_add(&request, TCA_KIND, "bpf", 4);
	options = request_begin(&request, TCA_OPTIONS);
	request_add(&request, TCA_BPF_OPS_LEN, &len, sizeof(len));
	request_add(&request, TCA_BPF_OPS, &match, sizeof(match));
	actions = request_begin(&request, TCA_BPF_ACT);
	first = request_begin(&request, 1);
	request_add(&request, TCA_ACT_KIND, "bpf", 4);
	action = request_begin(&request, TCA_ACT_OPTIONS);
	request_add(&request, TCA_ACT_BPF_PARMS, &params, sizeof(params));
	request_add(&request, TCA_ACT_BPF_FD, &run->prog_fd, sizeof(run->prog_fd));
	request_add(&request, TCA_ACT_BPF_NAME, "types", 6);
	request_end(&request, action);
	request_end(&request, first);
	request_end(&request, actions);
	request_end(&request, options);
	return request_send(&request);
}

static bool attach_xdp(struct run *run)
{
	return keep_link(run, bpf_program__attach_xdp(run->prog, lo));
}

/* --- What a network namespace has one of */

static bool attach_netns(struct run *run)
{
	int netns = open("/proc/self/ns/net", O_RDONLY);
	bool ok = keep_link(run, bpf_program__attach_netns(run->prog, netns));

	close(netns);
	return ok;
}

static int see_tcp(struct run *run __attribute__((unused)))
{
	struct pair pair = tcp_pair();
	int seen = pair.to < 0 ? -errno : 0;

	close_pair(pair);
	return seen;
}

static bool attach_dissector(struct run *run)
{
	return attach_netns(run) && attach_tc_to(part_fd(run, "note_hash"), BPF_TC_EGRESS);
}

/* Whether packets to two ports have two hashes, as they do if the kernel dissects them itself */
static int see_hash(struct run *run)
{
	__u32 hash[2];

	for (int i = 0; i < 2; i++) {
		struct pair pair = udp_pair(AF_INET);
		int sent = send_datagram(pair);

		hash[i] = run->tally->hash;
		close_pair(pair);
		if (sent < 0)
			return sent;
	}
	return hash[0] != hash[1];
}

/* --- Sockets */

/* How many bytes of a datagram the receiver gets */
static int see_filtered(struct run *run)
{
	int pair[2], seen;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair))
		return broken("cannot make sockets");
	if (setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_BPF, &run->prog_fd, sizeof(run->prog_fd)))
		seen = broken("cannot attach");
	else
		seen = write(pair[0], "message", 8) == 8 ? receive(pair[1]) : broken("cannot send");
	close(pair[0]);
	close(pair[1]);
	return seen;
}

static int see_received(struct run *run, int option)
{
	struct pair pair = udp_pair(AF_INET);
	int seen;

	if (setsockopt(pair.to, SOL_SOCKET, option, &run->prog_fd, sizeof(run->prog_fd)))
		seen = broken("cannot attach");
	else
		seen = send_datagram(pair);
	if (seen >= 0)
		seen = receive(pair.to);
	close_pair(pair);
	return seen;
}

static int see_udp_filtered(struct run *run)
{
	return see_received(run, SO_ATTACH_BPF);
}

static int see_reuseport(struct run *run)
{
	return see_received(run, SO_ATTACH_REUSEPORT_EBPF);
}

static bool attach_sockmap(struct run *run)
{
	int map = part_fd(run, "socks");

	/* a parser decides about messages that another program lets through */
	return !bpf_prog_attach(run->prog_fd, map,
				bpf_program__expected_attach_type(run->prog), 0) &&
	       (!run->hook->with ||
		!bpf_prog_attach(part_fd(run, run->hook->with), map, BPF_SK_SKB_STREAM_VERDICT, 0));
}

static int see_stream(struct run *run)
{
	bool sends = bpf_program__type(run->prog) == BPF_PROG_TYPE_SK_MSG;
	struct pair pair = tcp_pair();
	int seen, zero = 0;

	if (pair.to < 0)
		seen = broken("cannot connect");
	else if (bpf_map_update_elem(part_fd(run, "socks"), &zero, sends ? &pair.from : &pair.to, 0))
		seen = broken("cannot put the socket into the map");
	else
		seen = outcome(send(pair.from, "message", 8, 0));
	if (seen >= 0)
		seen = receive(pair.to);
	close_pair(pair);
	return seen;
}

/* --- Routes with a program */

#define ROUTED4 "10.66.0.1"
#define SEGMENT6 "fc00::1"	/* the first of two; packets then go to */
#define FINAL6 "fc00::2"
#define SOURCE6 "fc00::3"
/* IPV6_SRCRT_TYPE_4 of linux/ipv6.h, which doesn't go with libc's headers */
#define SEGMENT_ROUTING 4

/* A route to one address; request_add() says where it leads */
static void route_init(struct request *request, int type, bool local, const char *to)
{
	struct rtmsg route = { .rtm_family = strchr(to, ':') ? AF_INET6 : AF_INET,
			       .rtm_table = local ? RT_TABLE_LOCAL : RT_TABLE_MAIN,
			       .rtm_scope = local ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
			       .rtm_type = local ? RTN_LOCAL : RTN_UNICAST,
			       .rtm_protocol = RTPROT_STATIC };
	int len = route.rtm_family == AF_INET6 ? 16 : 4;
	char addr[16];

	route.rtm_dst_len = 8 * len;
	inet_pton(route.rtm_family, to, addr);
	request_init(request, type, type == RTM_NEWROUTE ? NLM_F_CREATE : 0, &route, sizeof(route));
	request_add(request, RTA_DST, addr, len);
}

static bool route_over(struct request *request, int device)
{
	request_add(request, RTA_OIF, &device, sizeof(device));
	return request_send(request);
}

/* Program @fd as an attribute of type @type, which has one for the fd and one for a name */
static void add_prog(struct request *request, int type, int fd_type, int fd, int name_type)
{
	struct nlattr *nest = request_begin(request, type);

	request_add(request, fd_type, &fd, sizeof(fd));
	request_add(request, name_type, "types", 6);
	request_end(request, nest);
}

static struct nlattr *begin_encap(struct request *request, __u16 type)
{
	request_add(request, RTA_ENCAP_TYPE, &type, sizeof(type));
	return request_begin(request, RTA_ENCAP);
}

static bool attach_lwt(struct run *run)
{
	int where = !strcmp(run->hook->spec, "in") ? LWT_BPF_IN :
		    !strcmp(run->hook->spec, "out") ? LWT_BPF_OUT : LWT_BPF_XMIT;
	struct request request;
	struct nlattr *encap;

	route_init(&request, RTM_NEWROUTE, true, ROUTED4);
	encap = begin_encap(&request, LWTUNNEL_ENCAP_BPF);
	add_prog(&request, where, LWT_BPF_PROG_FD, run->prog_fd, LWT_BPF_PROG_NAME);
	request_end(&request, encap);
	return route_over(&request, lo);
}

static void detach_lwt(struct run *run __attribute__((unused)))
{
	struct request request;

	route_init(&request, RTM_DELROUTE, true, ROUTED4);
	route_over(&request, lo);
}

static int see_routed(struct run *run __attribute__((unused)))
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct pair pair = { socket(AF_INET, SOCK_DGRAM, 0), timed_socket(AF_INET, SOCK_DGRAM) };
	socklen_t len = sizeof(addr);
	int seen;

	if (bind(pair.to, (void *)&addr, len) || getsockname(pair.to, (void *)&addr, &len)) {
		seen = broken("cannot bind");
	} else {
		addr.sin_addr.s_addr = inet_addr(ROUTED4);
		seen = outcome(sendto(pair.from, "message", 8, 0, (void *)&addr, len));
	}
	if (seen >= 0)
		seen = receive(pair.to);
	close_pair(pair);
	return seen;
}

static bool write_sysctl(const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s", name);
	f = fopen(path, "w");
	if (!f)
		return false;
	fputs(value, f);
	return !fclose(f);
}

static bool set_up(const char *device, bool up)
{
	struct ifreq request = { .ifr_flags = up ? IFF_UP : 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool ok;

	strcpy(request.ifr_name, device);
	ok = !ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return ok;
}

/* Packets to SEGMENT6 reach the program, which sends them on to FINAL6: forwarded to nowhere */
static bool attach_segment(struct run *run)
{
	__u32 action = SEG6_LOCAL_ACTION_END_BPF;
	struct request request;
	struct nlattr *encap;

	if (!write_sysctl("all/forwarding", "1") || !set_up("dummy0", true))
		return false;
	route_init(&request, RTM_NEWROUTE, true, SEGMENT6);
	encap = begin_encap(&request, LWTUNNEL_ENCAP_SEG6_LOCAL);
	request_add(&request, SEG6_LOCAL_ACTION, &action, sizeof(action));
	add_prog(&request, SEG6_LOCAL_BPF, SEG6_LOCAL_BPF_PROG, run->prog_fd, SEG6_LOCAL_BPF_PROG_NAME);
	request_end(&request, encap);
	if (!route_over(&request, lo))
		return false;
	route_init(&request, RTM_NEWROUTE, false, FINAL6);
	return route_over(&request, if_nametoindex("dummy0"));
}

static void detach_segment(struct run *run __attribute__((unused)))
{
	struct request request;

	route_init(&request, RTM_DELROUTE, true, SEGMENT6);
	route_over(&request, lo);
	route_init(&request, RTM_DELROUTE, false, FINAL6);
	route_over(&request, if_nametoindex("dummy0"));
	set_up("dummy0", false);
	write_sysctl("all/forwarding", "0");
}

static long forwarded(void)
{
	FILE *f = fopen("/proc/net/snmp6", "r");
	long count = -1;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Ip6OutForwDatagrams %ld", &count);
	if (f)
		fclose(f);
	return count;
}

static int see_segment(struct run *run)
{
	struct sockaddr_in6 from = { .sin6_family = AF_INET6 }, to = { .sin6_family = AF_INET6,
								       .sin6_port = htons(20000) };
	struct {
		struct ipv6_sr_hdr header;
		struct in6_addr segments[2];
	} path = { .header = { .hdrlen = 4, .type = SEGMENT_ROUTING, .segments_left = 1,
			       .first_segment = 1 } };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1, seen;
	long before = forwarded();

	inet_pton(AF_INET6, SOURCE6, &from.sin6_addr);
	inet_pton(AF_INET6, FINAL6, &to.sin6_addr);
	path.segments[0] = to.sin6_addr;
	inet_pton(AF_INET6, SEGMENT6, &path.segments[1]);
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on)) ||
	    bind(fd, (void *)&from, sizeof(from)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, &path, sizeof(path)) ||
	    sendto(fd, "message", 8, 0, (void *)&to, sizeof(to)) < 0)
		seen = broken("cannot send");
	else
		seen = 0;
	/* some time for it to reach the program, and some for what happens then, or doesn't */
	for (int i = 0; !seen && !run->tally->reached && i < 100; i++)
		usleep(10000);
	for (int i = 0; !seen && i < (run->tally->passed ? 200 : 10); i++) {
		usleep(10000);
		seen = forwarded() - before;
	}
	close(fd);
	return seen;
}

/* --- An extension of a program, which is in an object of its own */

static bool prepare_extension(struct run *run)
{
	struct bpf_program *prog;

	run->target = bpf_object__open_file(run->file, NULL);
	bpf_object__for_each_program(prog, run->target)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), "calls_replaced"));
	if (bpf_object__load(run->target))
		return false;
	prog = bpf_object__find_program_by_name(run->target, "calls_replaced");
	return !bpf_program__set_attach_target(run->prog, bpf_program__fd(prog), "replaced");
}

static bool attach_extension(struct run *run)
{
	return keep_link(run, bpf_program__attach(run->prog));
}

static int see_extended(struct run *run)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(run->target, "calls_replaced");
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		return broken("cannot run");
	return opts.retval;
}

bool prepare_net(void)
{
	lo = if_nametoindex("lo");
	return lo;
}

#define IN_SOFTIRQ .context = "softirq"
#define IN_PROCESS .context = "process"
#define LWT_BPF .needs = "bpf_lwt_push_ip_encap", .without = EOPNOTSUPP

const struct hook net_hooks[] = {
	{ .name = "socket_filter", .what = "read()", .see = see_filtered, .own = { 6, 6 },
	  .zero = -EAGAIN, .cb = { 4, 4 }, IN_PROCESS },
	/* including the header of 8 bytes */
	{ .name = "socket_filter_udp", .what = "recvfrom()", .see = see_udp_filtered, .own = { 14, 6 },
	  .zero = -EAGAIN, .cb = { 12, 4 }, IN_SOFTIRQ },
	{ .name = "tc_ingress", .what = "recvfrom()", .attach = attach_tc_ingress, .see = see_datagram,
	  .detach = detach_tc, .own = { TC_ACT_SHOT, -EAGAIN }, .zero = 8,
	  .cb = { TC_ACT_SHOT, -EAGAIN }, IN_SOFTIRQ },
	{ .name = "tc_egress", .what = "recvfrom()", .attach = attach_tc_egress, .see = see_datagram,
	  .detach = detach_tc, .own = { TC_ACT_SHOT, -EAGAIN }, .zero = 8,
	  .cb = { TC_ACT_SHOT, -EAGAIN }, IN_PROCESS },
	{ .name = "action_ingress", .what = "recvfrom()", .attach = attach_action, .spec = "ingress",
	  .see = see_datagram, .detach = detach_tc, .own = { TC_ACT_SHOT, -EAGAIN }, .zero = 8,
	  .cb = { TC_ACT_SHOT, -EAGAIN }, IN_SOFTIRQ },
	{ .name = "action_egress", .what = "recvfrom()", .attach = attach_action, .spec = "egress",
	  .see = see_datagram, .detach = detach_tc, .own = { TC_ACT_SHOT, -EAGAIN }, .zero = 8,
	  .cb = { TC_ACT_SHOT, -EAGAIN }, IN_PROCESS },
	{ .name = "xdp", .what = "recvfrom()", .attach = attach_xdp, .see = see_datagram,
	  .own = { XDP_PASS, 8 }, .zero = -EAGAIN, .cb = { XDP_PASS, 8 }, IN_SOFTIRQ },
	{ .name = "stream_parser", .what = "recvfrom()", .attach = attach_sockmap, .see = see_stream,
	  .with = "pass", .own = { 8, 8 }, .zero = -EAGAIN, .cb = { 8, 8 }, IN_SOFTIRQ },
	{ .name = "stream_verdict", .what = "recvfrom()", .attach = attach_sockmap, .see = see_stream,
	  .own = { SK_PASS, 8 }, .zero = -EAGAIN, .cb = { SK_PASS, 8 }, IN_SOFTIRQ },
	{ .name = "sk_msg", .what = "send()", .attach = attach_sockmap, .see = see_stream,
	  .own = { SK_PASS, 8 }, .zero = -EACCES, .cb = { SK_PASS, 8 }, IN_PROCESS },
	{ .name = "sk_lookup", .what = "connect()", .attach = attach_netns, .see = see_tcp,
	  .own = { SK_PASS, 0 }, .zero = -ECONNREFUSED, .cb = { SK_PASS, 0 }, RANGE(0, 1),
	  IN_SOFTIRQ },
	{ .name = "sk_reuseport", .what = "recvfrom()", .see = see_reuseport, .own = { SK_PASS, 8 },
	  .zero = -EAGAIN, .cb = { SK_PASS, 8 }, IN_SOFTIRQ },
	{ .name = "flow_dissector", .what = "ports are hashed", .attach = attach_dissector,
	  .see = see_hash, .detach = detach_tc, .with = "note_hash",
	  .own = { BPF_FLOW_DISSECTOR_CONTINUE, 1 }, .zero = 0,
	  .cb = { BPF_FLOW_DISSECTOR_CONTINUE, 1 }, IN_PROCESS },
	{ .name = "lwt_in", .what = "recvfrom()", .attach = attach_lwt, .spec = "in", .see = see_routed,
	  .detach = detach_lwt, .own = { BPF_DROP, -EAGAIN }, .zero = 8, .cb = { BPF_DROP, -EAGAIN },
	  IN_SOFTIRQ, LWT_BPF },
	{ .name = "lwt_out", .what = "sendto()", .attach = attach_lwt, .spec = "out",
	  .see = see_routed, .detach = detach_lwt, .own = { BPF_DROP, -EPERM }, .zero = 8,
	  .cb = { BPF_DROP, -EPERM }, IN_PROCESS, LWT_BPF },
	{ .name = "lwt_xmit", .what = "sendto()", .attach = attach_lwt, .spec = "xmit",
	  .see = see_routed, .detach = detach_lwt, .own = { BPF_DROP, -EPERM }, .zero = 8,
	  .cb = { BPF_DROP, -EPERM }, IN_PROCESS, LWT_BPF },
	{ .name = "lwt_seg6local", .what = "packets forwarded", .attach = attach_segment,
	  .see = see_segment, .detach = detach_segment, .own = { BPF_DROP, 0 }, .zero = 1,
	  .cb = { BPF_DROP, 0 }, IN_SOFTIRQ },
	{ .name = "extension", .what = "the caller of what it replaces returns",
	  .prepare = prepare_extension, .attach = attach_extension, .see = see_extended,
	  .own = { 5, 6 }, .zero = 1, .cb = { 40, 41 }, IN_PROCESS },
};

const size_t net_hooks_cnt = sizeof(net_hooks) / sizeof(net_hooks[0]);
