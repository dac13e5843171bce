// SPDX-License-Identifier: GPL-2.0-only
/* Programs attached to a cgroup; mostly, 0 denies */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hook.h"

#define ROOT_CGROUP "/sys/fs/cgroup"
#define CGROUP ROOT_CGROUP "/types"

static bool move_to(const char *cgroup)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	f = fopen(path, "w");
	if (!f)
		return false;
	fprintf(f, "%d", getpid());
	return !fclose(f);
}

bool enter_cgroup(void)
{
	return (!mkdir(CGROUP, 0755) || errno == EEXIST) && move_to(CGROUP);
}

void leave_cgroup(void)
{
	move_to(ROOT_CGROUP);
	rmdir(CGROUP);
}

static bool attach_cgroup(struct run *run)
{
	int cgroup = open(CGROUP, O_RDONLY | O_DIRECTORY);
	bool ok = keep_link(run, bpf_program__attach_cgroup(run->prog, cgroup));

	close(cgroup);
	return ok;
}

static int see_socket(struct run *run)
{
	int fd = socket(run->hook->family, SOCK_DGRAM, 0), seen = outcome(fd);

	close(fd);
	return seen < 0 ? seen : 0;
}

static int see_close(struct run *run)
{
	int fd = socket(run->hook->family, SOCK_DGRAM, 0);

	return outcome(close(fd));
}

/* Bind or connect to, or ask for the name of, a port of lo */
static int see_call(struct run *run, int (*call)(int fd, void *addr, socklen_t len))
{
	struct sockaddr_in addr4 = { .sin_family = AF_INET, .sin_port = htons(20000),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 addr6 = { .sin6_family = AF_INET6, .sin6_port = htons(20000),
				      .sin6_addr = in6addr_loopback };
	bool v6 = run->hook->family == AF_INET6;
	int fd = socket(run->hook->family, SOCK_DGRAM, 0), seen;

	if (fd < 0)
		return broken("cannot make a socket");
	seen = call(fd, v6 ? (void *)&addr6 : (void *)&addr4, v6 ? sizeof(addr6) : sizeof(addr4));
	close(fd);
	return seen;
}

static int call_bind(int fd, void *addr, socklen_t len)
{
	return outcome(bind(fd, addr, len));
}

static int call_connect(int fd, void *addr, socklen_t len)
{
	return outcome(connect(fd, addr, len));
}

static int call_getsockname(int fd, void *addr, socklen_t len)
{
	return outcome(getsockname(fd, addr, &len));
}

static int call_getpeername(int fd, void *addr, socklen_t len)
{
	if (connect(fd, addr, len))
		return broken("cannot connect");
	return outcome(getpeername(fd, addr, &len));
}

static int see_bind(struct run *run) { return see_call(run, call_bind); }
static int see_connect(struct run *run) { return see_call(run, call_connect); }
static int see_getsockname(struct run *run) { return see_call(run, call_getsockname); }
static int see_getpeername(struct run *run) { return see_call(run, call_getpeername); }

static int see_sockopt(bool set)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), value = 1, seen;
	socklen_t len = sizeof(value);

	seen = set ? outcome(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, len)) :
		     outcome(getsockopt(fd, SOL_SOCKET, SO_BROADCAST, &value, &len));
	close(fd);
	return seen;
}

static int see_getsockopt(struct run *run __attribute__((unused))) { return see_sockopt(false); }
static int see_setsockopt(struct run *run __attribute__((unused))) { return see_sockopt(true); }

static int see_open(const char *path)
{
	int fd = open(path, O_RDONLY), seen = outcome(fd);
	char byte;

	if (fd >= 0)
		seen = outcome(read(fd, &byte, 1));
	close(fd);
	return seen;
}

static int see_sysctl(struct run *run __attribute__((unused)))
{
	return see_open("/proc/sys/kernel/ostype");
}

static int see_device(struct run *run __attribute__((unused)))
{
	return see_open("/dev/zero");
}

static int see_proc(struct run *run __attribute__((unused)))
{
	return see_open("/proc/self/comm");
}

static int see_ecn(struct run *run __attribute__((unused)))
{
	struct pair pair = tcp_pair();
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int seen;

	if (pair.to < 0 || getsockopt(pair.from, IPPROTO_TCP, TCP_INFO, &info, &len))
		seen = broken("cannot connect");
	else
		seen = !!(info.tcpi_options & TCPI_OPT_ECN);
	close_pair(pair);
	return seen;
}

static int see_getsid(struct run *run __attribute__((unused)))
{
	int seen = outcome(getsid(getpid()));

	return seen < 0 ? seen : 0;
}

/* The program and its callback can only return 1, to leave things alone; then @seen is seen */
#define CGROUP_HOOK(hook, does, func, seen_of_1, seen_of_0)				\
	.name = #hook, .what = does, .attach = attach_cgroup, .see = func,		\
	.own = { 1, seen_of_1 }, .zero = seen_of_0, .cb = { 1, seen_of_1 }

#define IN_PROCESS .context = "process"

const struct hook cgroup_hooks[] = {
	{ CGROUP_HOOK(ingress, "recvfrom()", see_datagram, 8, -EAGAIN), RANGE(0, 1),
	  .context = "softirq" },
	{ CGROUP_HOOK(egress, "sendto()", see_send, 8, -EPERM), RANGE(0, 3), IN_PROCESS },
	{ CGROUP_HOOK(sock_create, "socket()", see_socket, 0, -EPERM), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET },
	{ CGROUP_HOOK(sock_release, "close()", see_close, 0, 0), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET },
	{ CGROUP_HOOK(post_bind4, "bind()", see_bind, 0, -EPERM), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET },
	{ CGROUP_HOOK(post_bind6, "bind()", see_bind, 0, -EPERM), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET6 },
	{ CGROUP_HOOK(bind4, "bind()", see_bind, 0, -EPERM), RANGE(0, 3), IN_PROCESS,
	  .family = AF_INET },
	{ CGROUP_HOOK(bind6, "bind()", see_bind, 0, -EPERM), RANGE(0, 3), IN_PROCESS,
	  .family = AF_INET6 },
	{ CGROUP_HOOK(connect4, "connect()", see_connect, 0, -EPERM), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET },
	{ CGROUP_HOOK(connect6, "connect()", see_connect, 0, -EPERM), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET6 },
	{ CGROUP_HOOK(sendmsg4, "sendto()", see_send, 8, -EPERM), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET },
	{ CGROUP_HOOK(sendmsg6, "sendto()", see_send, 8, -EPERM), RANGE(0, 1), IN_PROCESS,
	  .family = AF_INET6 },
	{ CGROUP_HOOK(recvmsg4, "recvfrom()", see_datagram, 8, REFUSED), RANGE(1, 1), IN_PROCESS,
	  .family = AF_INET },
	{ CGROUP_HOOK(recvmsg6, "recvfrom()", see_datagram, 8, REFUSED), RANGE(1, 1), IN_PROCESS,
	  .family = AF_INET6 },
	{ CGROUP_HOOK(getpeername4, "getpeername()", see_getpeername, 0, REFUSED), RANGE(1, 1),
	  IN_PROCESS, .family = AF_INET },
	{ CGROUP_HOOK(getpeername6, "getpeername()", see_getpeername, 0, REFUSED), RANGE(1, 1),
	  IN_PROCESS, .family = AF_INET6 },
	{ CGROUP_HOOK(getsockname4, "getsockname()", see_getsockname, 0, REFUSED), RANGE(1, 1),
	  IN_PROCESS, .family = AF_INET },
	{ CGROUP_HOOK(getsockname6, "getsockname()", see_getsockname, 0, REFUSED), RANGE(1, 1),
	  IN_PROCESS, .family = AF_INET6 },
	{ CGROUP_HOOK(getsockopt, "getsockopt()", see_getsockopt, 0, -EPERM), RANGE(0, 1),
	  IN_PROCESS },
	{ CGROUP_HOOK(setsockopt, "setsockopt()", see_setsockopt, 0, -EPERM), RANGE(0, 1),
	  IN_PROCESS },
	{ CGROUP_HOOK(sysctl, "read()", see_sysctl, 1, -EPERM), RANGE(0, 1), IN_PROCESS },
	{ CGROUP_HOOK(device, "open()", see_device, 1, -EPERM), RANGE(0, 1), IN_PROCESS },
	{ CGROUP_HOOK(sock_ops, "ECN is used", see_ecn, 1, 0), RANGE(0, 1),
	  .context = "process softirq" },
	{ CGROUP_HOOK(lsm_cgroup, "getsid()", see_getsid, 0, -EPERM), RANGE(0, 1), IN_PROCESS },
	{ CGROUP_HOOK(lsm_cgroup_void, "open()", see_proc, 1, REFUSED), RANGE(1, 1), IN_PROCESS },
};

const size_t cgroup_hooks_cnt = sizeof(cgroup_hooks) / sizeof(cgroup_hooks[0]);
