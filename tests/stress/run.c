// SPDX-License-Identifier: GPL-2.0-only
/* Activities that run programs: in the contexts of the test module, at hooks, for packets */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include "stress.h"

__u64 unload_attempts;

/* Must fail, as there are programs that use the module */
static void try_to_unload(struct activity *a)
{
	if (!syscall(SYS_delete_module, "bpf_exceptions", O_NONBLOCK))
		fail(a, "the module was unloaded, with programs that use it");
	else if (errno != EWOULDBLOCK && errno != EBUSY)
		fail(a, "unloading the module: %s", strerror(errno));
	else
		__atomic_add_fetch(&unload_attempts, 1, __ATOMIC_RELAXED);
}

static bool volley(struct activity *a, struct test_volley *v)
{
	v->cpu = pick(cpus);
	v->thrown_ret = xdp.thrown_ret;
	if (ioctl(device, TEST_VOLLEY, v)) {
		fail(a, "cannot run: %s", strerror(errno));
		return false;
	}
	things_consume();
	if (v->bad)
		fail(a, "the caller's registers were not preserved: %#x", v->bad);
	return true;
}

void *keep_running(void *arg)
{
	struct runner *r = arg;
	struct test_volley v = { .context = r->context,
				 .repeat = r->context == IN_PROCESS ? 200 : 50 };

	seed += r->context; /* 0 in a new thread */
	while (!r->a->failed && !__atomic_load_n(&r->stop, __ATOMIC_RELAXED) && now_ms() < r->end) {
		v.prog_fd = r->p->fds[pick(r->p->cnt)];
		if (!volley(r->a, &v))
			break;
		r->seen += v.thrown;
		r->over += v.over;
	}
	return NULL;
}

/* The test module calls programs in context @a->arg, on this CPU or another one */
void volley_round(struct activity *a)
{
	struct runner r = { .a = a, .context = a->arg };
	struct pack p;

	if (!open_xdp_pack(&p, a, 3))
		return;
	try_to_unload(a);
	r.p = &p;
	r.end = round_end();
	keep_running(&r);
	a->over += r.over;
	pack_close(&p, r.seen);
}

/* The same two programs in all contexts at once, so that they interrupt themselves */
void shared_round(struct activity *a)
{
	static const enum test_context contexts[] = {
		IN_PROCESS, IN_PROCESS, IN_SOFTIRQ, IN_HARDIRQ, IN_NMI,
	};
	enum { RUNNERS = sizeof(contexts) / sizeof(contexts[0]) };
	struct runner runners[RUNNERS];
	long long seen = 0;
	struct pack p;
	__u64 end;

	if (!open_xdp_pack(&p, a, 2))
		return;
	end = round_end();
	for (int i = 0; i < RUNNERS; i++) {
		struct runner *r = &runners[i];

		*r = (struct runner){ .a = a, .p = &p, .context = contexts[i], .end = end };
		pthread_create(&r->thread, NULL, keep_running, r);
	}
	for (int i = 0; i < RUNNERS; i++) {
		pthread_join(runners[i].thread, NULL);
		seen += runners[i].seen;
		a->over += runners[i].over;
	}
	pack_close(&p, seen);
}

/*
 * Here the program itself asks for the interruption, in its innermost frame: by an NMI, or by a
 * call if it runs in one.
 */
void nested_round(struct activity *a)
{
	struct kind outer = xdp;
	struct pack p, nested;
	__u64 end;

	outer.nests = true;
	if (!pack_open(&p, a) || !pack_open(&nested, a))
		return;
	for (int i = 0; i < 2 && !a->failed; i++) {
		pack_add(&p, &outer);
		pack_add(&nested, &xdp);
	}
	for (end = round_end(); !a->failed && now_ms() < end; ) {
		struct test_run run = { .prog_fd = p.fds[pick(2)], .nested_fd = nested.fds[pick(2)],
					.context = pick(TEST_CONTEXTS), .repeat = 50 };

		run.nested_context = run.context == IN_NMI ? IN_PROCESS : IN_NMI;
		if (ioctl(device, TEST_RUN, &run))
			fail(a, "cannot run: %s", strerror(errno));
		else if (run.bad || run.nested_bad)
			fail(a, "the caller's registers were not preserved: %#x, %#x", run.bad,
			     run.nested_bad);
	}
	a->over += pack_close(&nested, -1);
	pack_close(&p, -1);
}

/* Programs that sleep between frames, waiting for a page that isn't there */
void sleepable_round(struct activity *a)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kind kind = { BPF_PROG_TYPE_SYSCALL, .thrown_ret = 66, .passed_ret = 2,
			     .sleeps_on = page };
	long long seen = 0;
	struct pack p;
	__u64 end;

	if (!pack_open(&p, a))
		return;
	pack_add(&p, &kind);
	pack_add(&p, &kind);
	for (end = round_end(); !a->failed && now_ms() < end; ) {
		LIBBPF_OPTS(bpf_test_run_opts, opts);

		madvise(page, 4096, MADV_DONTNEED);
		if (bpf_prog_test_run_opts(p.fds[pick(2)], &opts))
			fail(a, "cannot run: %s", strerror(errno));
		else if ((int)opts.retval == kind.thrown_ret)
			seen++;
		else if ((int)opts.retval != kind.passed_ret)
			fail(a, "returned %d", opts.retval);
	}
	pack_close(&p, seen);
	munmap(page, 4096);
}

/*
 * A sleepable program at a security hook, where a throw denies the request, and 0 leaves it to the
 * hook's default, which allows it.
 */
void lsm_round(struct activity *a)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kind kind = { BPF_PROG_TYPE_LSM, .thrown_ret = -EPERM, .passed_ret = 0,
			     .attach_type = BPF_LSM_MAC, .btf_id = lsm_hook, .sleeps_on = page };
	__u64 end = round_end();
	long long seen = 0;
	struct pack p;
	int link;

	if (!pack_open(&p, a))
		return;
	while (!a->failed && goes_on(&p, end)) {
		link = bpf_raw_tracepoint_open(NULL, pack_add(&p, &kind));
		if (link < 0) {
			fail(a, "cannot attach: %s", strerror(errno));
			break;
		}
		for (int i = 0; i < 200; i++) {
			madvise(page, 4096, MADV_DONTNEED);
			if (prctl(PR_GET_DUMPABLE) < 0) {
				if (errno != EPERM)
					fail(a, "denied with %s", strerror(errno));
				seen++;
			}
		}
		close(link);
		a->done++;
	}
	pack_close(&p, seen);
	munmap(page, 4096);
}

/* Programs at the timer interrupt; here, the kernel's statistics show that they end */
void timer_round(struct activity *a)
{
	struct kind kind = { BPF_PROG_TYPE_TRACING, .attach_type = BPF_TRACE_FENTRY,
			     .btf_id = timer_hook };
	__u64 end = round_end(), runs;
	struct pack p;

	if (!pack_open(&p, a))
		return;
	while (!a->failed && goes_on(&p, end)) {
		kind.attach_type = pick(2) ? BPF_TRACE_FENTRY : BPF_TRACE_FEXIT;
		attach_for(&p, &kind, 60);
	}
	runs = pack_close(&p, -1);
	if (p.run_cnt != runs)
		fail(a, "%llu runs in fdinfo, but %llu counted", p.run_cnt, runs);
}

struct sender {
	int in, out;
	long long sent, received;
};

static bool open_sender(struct sender *s)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	s->sent = 0;
	s->received = 0;
	s->in = socket(AF_INET, SOCK_DGRAM, 0);
	s->out = socket(AF_INET, SOCK_DGRAM, 0);
	return !bind(s->in, (void *)&addr, len) && !getsockname(s->in, (void *)&addr, &len) &&
	       !connect(s->out, (void *)&addr, len);
}

static void send_packets(struct sender *s, int cnt)
{
	char packet[16];

	while (cnt--) {
		s->sent += send(s->out, packet, 8, 0) == 8;
		while (recv(s->in, packet, sizeof(packet), MSG_DONTWAIT) > 0)
			s->received++;
	}
}

static void close_sender(struct sender *s, long long thrown)
{
	struct pollfd fd = { .fd = s->in, .events = POLLIN };
	char packet[16];

	while (s->sent > s->received + thrown && poll(&fd, 1, 2000) == 1)
		s->received += recv(s->in, packet, sizeof(packet), MSG_DONTWAIT) > 0;
	close(s->in);
	close(s->out);
}

/* In network softirqs; a throw drops the packet, all others arrive. The program is replaced. */
void tc_round(struct activity *a)
{
	static const struct kind kind = { BPF_PROG_TYPE_SCHED_CLS, .thrown_ret = 2, .passed_ret = 0 };
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = 1, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, at, .handle = 1, .priority = 1);
	__u64 end = round_end(), unused;
	struct sender s;
	struct counts c;
	struct pack p;

	if (!pack_open(&p, a))
		return;
	bpf_tc_hook_create(&hook);
	if (!open_sender(&s))
		fail(a, "no packets: %s", strerror(errno));
	while (!a->failed && goes_on(&p, end)) {
		at.prog_fd = pack_add(&p, &kind);
		at.prog_id = 0;
		at.flags = p.cnt > 1 ? BPF_TC_F_REPLACE : 0;
		if (bpf_tc_attach(&hook, &at)) {
			fail(a, "cannot attach: %s", strerror(errno));
			break;
		}
		a->done++;
		send_packets(&s, 100);
	}
	read_counts(&p, &c, &unused, &unused);
	close_sender(&s, c.begun);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
	pack_close(&p, s.sent - s.received);
}
