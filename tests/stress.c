// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress - programs throw everywhere at once, while all that can change changes
 *
 * usage: stress MODULE.ko [SECONDS]
 *
 * A thread for each activity. Some run programs that throw, each in one context or at one
 * hook: on all CPUs, interrupting each other between frames. Others load, attach, replace,
 * trace and sample them, and take CPUs off- and online. They go by rounds of half a second,
 * and begin each with programs of their own; between rounds nobody has a program, now and
 * then, and the module is unloaded and loaded again.
 *
 * Nothing may get lost. Each throw is counted four times: by the program before it, by the
 * exception callback, by the kernel in fdinfo, and by who called the program and sees what it
 * returned. Prints KTAP, a test for each activity, and "# " lines with the figures.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 cannot begin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "builder.h"
#include "fdinfo.h"
#include "kmod/test.h"

#define ROUND_MS 500
#define RELOAD_EVERY_MS 3000
#define MAX_CPUS 8
#define LEAST_OVER 100
#define LEAST_STACKS 20
#define LEAST_SAMPLES 3

static const char *module;
static int device, cpus, lsm_hook, timer_hook;
static volatile bool stop;
/* Held for reading by who has a program or symbol of the module, for writing to reload it */
static pthread_rwlock_t gate;

/* One thread's; figures are for the end */
struct activity {
	const char *name;
	const char *desc;
	void (*round)(struct activity *a);
	int arg;
	__u64 least;		/* of begun, or of done for who doesn't throw */
	const char *unit;	/* what done counts, for who doesn't throw */
	/* throws, as counted by programs, callbacks, fdinfo, and callers */
	__u64 begun, ended, fdinfo, seen;
	__u64 passed;		/* runs that didn't throw */
	__u64 over;		/* runs on top of another program */
	__u64 done;
	__u64 rounds;
	bool failed;
	pthread_t thread;
};

static pthread_mutex_t said = PTHREAD_MUTEX_INITIALIZER;

static void note(struct activity *a, const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&said);
	printf("# %s: ", a->name);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	pthread_mutex_unlock(&said);
}

#define fail(a, ...) do { (a)->failed = true; note(a, __VA_ARGS__); } while (0)

static __u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* When a round that begins now is over */
static __u64 round_end(void)
{
	return now_ms() + ROUND_MS;
}

static void sleep_ms(int ms)
{
	usleep(ms * 1000);
}

static __thread unsigned int seed;

static int pick(int below)
{
	return rand_r(&seed) % below;
}

/* --- programs that throw -------------------------------------------------------------- */

struct counts {
	__u64 begun, ended, passed, damaged;
};

enum { MAX_PROGS = 256 };

/* Programs of one round, which count in one map */
struct pack {
	struct activity *a;
	int map;
	int fds[MAX_PROGS];
	int cnt;
	__u64 run_cnt;	/* what the kernel counted; known when it is closed */
};

struct kind {
	enum bpf_prog_type type;
	int thrown_ret, passed_ret;
	enum bpf_attach_type attach_type;
	int btf_id, target;
	bool nests;		/* calls bpf_test_nest() */
	void *sleeps_on;	/* memory that it copies from, for a page fault between frames */
};

static const struct kind xdp = { BPF_PROG_TYPE_XDP, .thrown_ret = 55, .passed_ret = 1 };

#define ATOMIC_ADD(BASE, OFF, SRC) \
	INSN(BPF_STX | BPF_ATOMIC | BPF_DW, BASE, SRC, OFF, BPF_ADD)

/* Four instructions, which change r3 and r4 */
static void count(struct builder *b, int map, int off)
{
	builder_emit(b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_3, BPF_PSEUDO_MAP_VALUE, 0, map));
	builder_emit(b, INSN(0, 0, 0, 0, 0));
	builder_emit(b, MOV_IMM(BPF_REG_4, 1));
	builder_emit(b, ATOMIC_ADD(BPF_REG_3, off, BPF_REG_4));
}

/* One time in @times; six instructions to be skipped */
static void maybe_throw(struct builder *b, int map, int cookie, int times)
{
	builder_emit(b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	builder_emit(b, ALU_IMM(BPF_AND, BPF_REG_0, times - 1));
	builder_emit(b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 6));
	count(b, map, offsetof(struct counts, begun));
	builder_emit(b, MOV_IMM(BPF_REG_1, cookie));
	builder_call_kfunc(b, KFUNC_THROW);
}

static void copy_from_user(struct builder *b, void *from)
{
	__u64 addr = (unsigned long)from;

	builder_emit(b, MOV_REG(BPF_REG_1, BPF_REG_10));
	builder_emit(b, ALU_IMM(BPF_ADD, BPF_REG_1, -48));
	builder_emit(b, MOV_IMM(BPF_REG_2, 8));
	builder_emit(b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_3, 0, 0, (__u32)addr));
	builder_emit(b, INSN(0, 0, 0, 0, addr >> 32));
	builder_emit(b, CALL_HELPER(BPF_FUNC_copy_from_user));
}

/* Registers and stack slots get the same values, which the verifier doesn't know */
static void fill_frame(struct builder *b, int regs)
{
	builder_emit(b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	for (int i = 0; i < 4; i++) {
		if (!(regs & 1 << i))
			continue;
		builder_emit(b, MOV_REG(BPF_REG_6 + i, BPF_REG_0));
		builder_emit(b, ALU_IMM(BPF_ADD, BPF_REG_6 + i, i));
		builder_emit(b, STORE_REG(BPF_REG_10, -8 * (i + 1), BPF_REG_6 + i));
	}
}

/* They have to be the same after all that was called, and all that interrupted it */
static void check_frame(struct builder *b, int map, int regs)
{
	for (int i = 0; i < 4; i++) {
		if (!(regs & 1 << i))
			continue;
		builder_emit(b, LOAD(BPF_REG_0, BPF_REG_10, -8 * (i + 1)));
		builder_emit(b, INSN(BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_0, BPF_REG_6 + i, 4, 0));
		count(b, map, offsetof(struct counts, damaged));
	}
}

/*
 * A chain of up to seven functions, of which each keeps values in some callee-saved registers,
 * may throw before it calls the next, and checks the values when that returns. The last throws
 * seven times in eight.
 */
static void build_thrower(struct builder *b, const struct kind *kind, int map)
{
	int funcs[8] = { 0 }, depth = 2 + pick(6), callback;

	builder_init(b);
	callback = builder_func(b, 1, false);
	for (int i = 1; i < depth; i++)
		funcs[i] = builder_func(b, 1, false);
	builder_load_func(b, BPF_REG_1, callback);
	builder_call_kfunc(b, KFUNC_SET_CALLBACK);
	for (int i = 0; i < depth; i++) {
		int regs = pick(16);

		if (i)
			builder_begin(b, funcs[i]);
		fill_frame(b, regs);
		maybe_throw(b, map, kind->thrown_ret, 16);
		if (i < depth - 1) {
			builder_emit(b, MOV_IMM(BPF_REG_1, i));
			builder_call(b, funcs[i + 1]);
		} else {
			if (kind->nests)
				builder_call_kfunc(b, KFUNC_NEST);
			if (kind->sleeps_on)
				copy_from_user(b, kind->sleeps_on);
			for (int j = 0; j < 3; j++)
				maybe_throw(b, map, kind->thrown_ret, 2);
		}
		check_frame(b, map, regs);
		if (!i)
			count(b, map, offsetof(struct counts, passed));
		builder_emit(b, MOV_IMM(BPF_REG_0, i ? 0 : kind->passed_ret));
		builder_emit(b, EXIT());
	}
	builder_begin(b, callback);
	count(b, map, offsetof(struct counts, ended));
	builder_emit(b, MOV_IMM(BPF_REG_0, kind->thrown_ret));
	builder_emit(b, EXIT());
}

/* Return: fd, or -1; why is in @log */
static int load_thrower(const struct kind *kind, int map, char *log, int log_size)
{
	static __thread struct builder b;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = kind->attach_type,
		    .attach_btf_id = kind->btf_id, .attach_prog_fd = kind->target,
		    .prog_flags = kind->sleeps_on ? BPF_F_SLEEPABLE : 0);
	int fd;

	build_thrower(&b, kind, map);
	fd = builder_load_with(&b, kind->type, &opts, NULL, 0);
	/* the log is for who reads why it didn't load, and takes time */
	return fd >= 0 ? fd : builder_load_with(&b, kind->type, &opts, log, log_size);
}

static bool pack_open(struct pack *p, struct activity *a)
{
	p->a = a;
	p->cnt = 0;
	p->run_cnt = 0;
	p->map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counts", 4, sizeof(struct counts), 1, NULL);
	if (p->map < 0)
		fail(a, "cannot make a map: %s", strerror(errno));
	return p->map >= 0;
}

/* Return: a program's fd, the pack's, or -1 */
static int pack_add(struct pack *p, const struct kind *kind)
{
	static __thread char log[1 << 20];
	int fd = -1;

	if (p->cnt < MAX_PROGS)
		fd = load_thrower(kind, p->map, log, sizeof(log));
	if (fd < 0) {
		fail(p->a, "program %d did not load: %s; %s", p->cnt, strerror(errno),
		     log + (strlen(log) > 500 ? strlen(log) - 500 : 0));
		return -1;
	}
	p->fds[p->cnt++] = fd;
	return fd;
}

/* @key of fdinfo, summed up */
static __u64 fdinfo_sum(const struct pack *p, const char *key)
{
	long long value;
	__u64 sum = 0;

	for (int i = 0; i < p->cnt; i++) {
		value = fdinfo_value(p->fds[i], key);
		sum += value > 0 ? value : 0;
	}
	return sum;
}

static bool read_counts(const struct pack *p, struct counts *counts, __u64 *fdinfo)
{
	int zero = 0;

	if (bpf_map_lookup_elem(p->map, &zero, counts))
		memset(counts, 0, sizeof(*counts));
	*fdinfo = fdinfo_sum(p, "throws");
	return counts->begun == counts->ended && counts->begun == *fdinfo;
}

/*
 * The end of a round: nothing starts these programs any more. Who was detached may still be
 * running elsewhere, but not for long.
 * @seen: how many ends by exception the caller saw, or -1 if it doesn't see them
 *
 * Return: how many runs there were
 */
static __u64 pack_close(struct pack *p, long long seen)
{
	struct activity *a = p->a;
	struct counts c;
	__u64 fdinfo;

	for (int i = 0; i < 100 && !read_counts(p, &c, &fdinfo); i++)
		sleep_ms(50);
	p->run_cnt = fdinfo_sum(p, "run_cnt");
	if (seen == -1)
		seen = c.ended;
	if (c.begun != c.ended || c.begun != fdinfo || c.begun != (__u64)seen)
		fail(a, "round %llu: %llu throws begun, %llu callbacks, %llu in fdinfo, %lld seen by the caller",
		     a->rounds, c.begun, c.ended, fdinfo, seen);
	if (c.damaged)
		fail(a, "%llu values in frames were damaged", c.damaged);
	a->begun += c.begun;
	a->ended += c.ended;
	a->passed += c.passed;
	a->fdinfo += fdinfo;
	a->seen += seen;
	while (p->cnt)
		close(p->fds[--p->cnt]);
	close(p->map);
	return c.begun + c.passed;
}

/* Whether there is time for one program more, in a round that makes many; for one there is */
static bool goes_on(const struct pack *p, __u64 end)
{
	return p->cnt < MAX_PROGS && (!p->cnt || now_ms() < end);
}

/* --- who runs programs ---------------------------------------------------------------- */

static __u64 unload_attempts;

/* There are programs that use it, so it stays */
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
	if (v->bad)
		fail(a, "the caller's registers were not preserved: %#x", v->bad);
	return true;
}

/* Runs programs of a pack, in a thread or not, until it is told to stop or it's time */
struct runner {
	struct activity *a;
	const struct pack *p;
	enum test_context context;
	__u64 end;
	bool stop;
	long long seen;
	__u64 over;
	pthread_t thread;
};

static void *keep_running(void *arg)
{
	struct runner *r = arg;
	struct test_volley v = { .context = r->context,
				 .repeat = r->context == IN_PROCESS ? 200 : 50 };

	seed += r->context; /* a thread of its own begins at 0 */
	while (!r->a->failed && !__atomic_load_n(&r->stop, __ATOMIC_RELAXED) && now_ms() < r->end) {
		v.prog_fd = r->p->fds[pick(r->p->cnt)];
		if (!volley(r->a, &v))
			break;
		r->seen += v.thrown;
		r->over += v.over;
	}
	return NULL;
}

static bool open_xdp_pack(struct pack *p, struct activity *a, int progs)
{
	if (!pack_open(p, a))
		return false;
	while (progs-- && !a->failed)
		pack_add(p, &xdp);
	return true;
}

/* The test module calls programs in context @a->arg, on this CPU or another */
static void volley_round(struct activity *a)
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

/* The same two programs in all contexts at once: they interrupt themselves, too */
static void shared_round(struct activity *a)
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
 * Here it is the program itself that asks for the interruption, in its innermost frame: by an NMI,
 * or by a call where it runs in one
 */
static void nested_round(struct activity *a)
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

/* Programs that sleep between frames: they wait for a page that isn't there */
static void sleepable_round(struct activity *a)
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
 * A sleepable program at a security hook, where a throw denies what was asked for, and 0 leaves it
 * to the hook's default, which allows it
 */
static void lsm_round(struct activity *a)
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

/* Programs at the timer interrupt: here it is the kernel's statistics that see them end */
static void timer_round(struct activity *a)
{
	struct kind kind = { BPF_PROG_TYPE_TRACING, .attach_type = BPF_TRACE_FENTRY,
			     .btf_id = timer_hook };
	__u64 end = round_end(), runs;
	struct pack p;
	int link;

	if (!pack_open(&p, a))
		return;
	while (!a->failed && goes_on(&p, end)) {
		kind.attach_type = pick(2) ? BPF_TRACE_FENTRY : BPF_TRACE_FEXIT;
		link = bpf_raw_tracepoint_open(NULL, pack_add(&p, &kind));
		if (link < 0) {
			fail(a, "cannot attach: %s", strerror(errno));
			break;
		}
		sleep_ms(60);
		close(link);
		a->done++;
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

/* Softirq of the network: a throw drops the packet, all others arrive. Replaced as they fly. */
static void tc_round(struct activity *a)
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
	read_counts(&p, &c, &unused);
	close_sender(&s, c.begun);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
	pack_close(&p, s.sent - s.received);
}

/* --- who attaches to them ------------------------------------------------------------- */

/* BTF id of a program's function */
static int func_id(int fd, const char *name)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct btf *btf;
	int id;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -1;
	btf = btf__load_from_kernel_by_id(info.btf_id);
	id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) : -1;
	btf__free(btf);
	return id;
}

/*
 * Programs that throw watch a function of one that throws, which runs all the time. So throws
 * go through trampolines that come and go, and each program ends only itself.
 */
static void watch_round(struct activity *a)
{
	struct kind kind = { .type = BPF_PROG_TYPE_TRACING };
	__u64 end = round_end();
	struct pack p, watchers;
	struct runner r = { .a = a, .p = &p, .context = IN_PROCESS, .end = -1 };
	int link;

	if (!open_xdp_pack(&p, a, 1) || !pack_open(&watchers, a))
		return;
	kind.target = p.fds[0];
	/* function 1 is the callback, 2 the one that main calls */
	kind.btf_id = func_id(kind.target, "func2");
	pthread_create(&r.thread, NULL, keep_running, &r);
	while (!a->failed && goes_on(&watchers, end)) {
		kind.attach_type = pick(2) ? BPF_TRACE_FENTRY : BPF_TRACE_FEXIT;
		link = bpf_raw_tracepoint_open(NULL, pack_add(&watchers, &kind));
		if (link < 0) {
			fail(a, "cannot attach: %s", strerror(errno));
			break;
		}
		sleep_ms(10);
		close(link);
		a->done++;
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(r.thread, NULL);
	pack_close(&watchers, -1);
	a->over += r.over;
	pack_close(&p, r.seen);
}

/* Loaded, run once or twice, freed */
static void churn_round(struct activity *a)
{
	static const struct kind kinds[] = {
		{ BPF_PROG_TYPE_XDP, .thrown_ret = 7, .passed_ret = 3 },
		{ BPF_PROG_TYPE_SCHED_CLS, .thrown_ret = 8, .passed_ret = 3 },
	};
	const struct kind *kind = &kinds[pick(2)];
	__u64 end = round_end();
	long long seen;
	struct pack p;
	int fd, cnt;

	do {
		seen = 0;
		if (!pack_open(&p, a))
			return;
		fd = pack_add(&p, kind);
		for (cnt = pick(3); cnt-- && !a->failed; ) {
			static const char packet[64];
			LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
				    .data_size_in = sizeof(packet));

			if (bpf_prog_test_run_opts(fd, &opts))
				fail(a, "cannot run: %s", strerror(errno));
			seen += (int)opts.retval == kind->thrown_ret;
		}
		pack_close(&p, seen);
		a->done++;
	} while (!a->failed && now_ms() < end);
}

/* --- who looks on --------------------------------------------------------------------- */

#define TRACING "/sys/kernel/tracing/"

static bool put(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ok;
}

static __u64 traced_throws, traced_stacks, traced_lines;

/*
 * Stack traces from inside a throw have bpf_throw() in them, and go on with the program's
 * functions. Those may be gone by now, and be numbers, or what was there before them.
 */
static void read_trace(void)
{
	FILE *f = fopen(TRACING "trace", "r");
	bool in_throw = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		traced_lines += line[0] != '#';
		if (strncmp(line, " => ", 4))
			in_throw = false;
		if (!strncmp(line, " => bpf_throw", 13) && !in_throw) {
			in_throw = true;
			traced_throws++;
		} else if (in_throw) {
			in_throw = false;
			traced_stacks++;
		}
	}
	if (f)
		fclose(f);
}

/* Functions that throws go through, and that interrupt them; a kernel may lack some */
static const char *const traced[] = {
	"bpf_exceptions_unwind", "search_frame", "leave_trampoline", "bpf_user_rnd_u32",
	"bpf_get_prandom_u32", "hrtimer_interrupt", "update_process_times", "irq_work_run",
	"irq_work_single", "tasklet_action_common*", "generic_smp_call_function*", "net_rx_action",
	"tcf_classify", "bpf_test_*", "bpf_prog_test_*", "__bpf_prog_*", "__bpf_tramp_*",
	"handle_nmi", "ktime_get*", "shoot*",
};

static void filter_on(void)
{
	put(TRACING "set_ftrace_filter", "\n", O_TRUNC);
	for (size_t i = 0; i < sizeof(traced) / sizeof(traced[0]); i++)
		put(TRACING "set_ftrace_filter", traced[i], O_APPEND);
}

static bool function_on(void)
{
	filter_on();
	return put(TRACING "options/func_stack_trace", "1", 0) &&
	       put(TRACING "current_tracer", "function", 0);
}

static bool graph_on(void)
{
	filter_on();
	return put(TRACING "current_tracer", "function_graph", 0);
}

static bool tracer_off(void)
{
	return put(TRACING "current_tracer", "nop", 0) &&
	       put(TRACING "options/func_stack_trace", "0", 0) &&
	       put(TRACING "set_ftrace_filter", "\n", O_TRUNC);
}

static bool kprobe_on(void)
{
	static const char entry[] = "p:stress/unwind bpf_exceptions:bpf_exceptions_unwind";
	static const char ret[] = "r:stress/unwound bpf_exceptions:bpf_exceptions_unwind";

	return put(TRACING "kprobe_events", entry, O_TRUNC) &&
	       put(TRACING "kprobe_events", ret, O_APPEND) &&
	       put(TRACING "events/stress/unwind/trigger", "stacktrace", 0) &&
	       put(TRACING "events/stress/unwound/trigger", "stacktrace", 0) &&
	       put(TRACING "events/stress/enable", "1", 0);
}

static bool kprobe_off(void)
{
	return put(TRACING "events/stress/enable", "0", 0) &&
	       put(TRACING "events/stress/unwind/trigger", "!stacktrace", 0) &&
	       put(TRACING "events/stress/unwound/trigger", "!stacktrace", 0) &&
	       put(TRACING "kprobe_events", "-:stress/unwind", O_APPEND) &&
	       put(TRACING "kprobe_events", "-:stress/unwound", O_APPEND);
}

static bool event_on(void)
{
	return put(TRACING "events/bpf_exceptions/bpf_throw/trigger", "stacktrace", 0) &&
	       put(TRACING "events/bpf_exceptions/enable", "1", 0);
}

static bool event_off(void)
{
	return put(TRACING "events/bpf_exceptions/enable", "0", 0) &&
	       put(TRACING "events/bpf_exceptions/bpf_throw/trigger", "!stacktrace", 0);
}

static const struct {
	const char *name;
	bool (*on)(void);
	bool (*off)(void);
} tracers[] = {
	{ "function", function_on, tracer_off },
	{ "function_graph", graph_on, tracer_off },
	{ "kprobe and kretprobe", kprobe_on, kprobe_off },
	{ "trace event", event_on, event_off },
};

enum { TRACERS = sizeof(tracers) / sizeof(tracers[0]) };

static void trace_round(struct activity *a)
{
	int i = a->done % TRACERS;

	put(TRACING "trace", "", O_TRUNC);
	put(TRACING "tracing_on", "1", 0);
	if (!tracers[i].on())
		fail(a, "cannot turn on %s: %s", tracers[i].name, strerror(errno));
	sleep_ms(100);
	put(TRACING "tracing_on", "0", 0);
	read_trace();
	if (!tracers[i].off())
		fail(a, "cannot turn off %s: %s", tracers[i].name, strerror(errno));
	a->done++;
}

/* Where the module is, as long as it is loaded */
static __u64 text_start, text_end;

static void find_module_text(void)
{
	FILE *f = fopen("/proc/modules", "r");
	unsigned long long start;
	unsigned int size;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "bpf_exceptions %u %*d %*s %*s %llx", &size, &start) != 2)
			continue;
		text_start = start;
		text_end = start + size;
	}
	if (f)
		fclose(f);
}

enum { PERF_PAGES = 64 };

struct sampler {
	int fd;
	struct perf_event_mmap_page *meta;
};

static bool open_sampler(struct sampler *s, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 997000, /* ns */
		.sample_type = PERF_SAMPLE_CALLCHAIN,
		.exclude_callchain_user = 1,
	};

	s->fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);
	if (s->fd < 0)
		return false;
	s->meta = mmap(NULL, (1 + PERF_PAGES) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->meta == MAP_FAILED) {
		close(s->fd);
		return false;
	}
	return true;
}

static __u64 sampled_throws;

/* @chain: a sample's call chain, innermost first */
static bool is_in_throw(const __u64 *chain, __u64 cnt)
{
	while (cnt--) {
		if (chain[cnt] >= text_start && chain[cnt] < text_end)
			return true;
	}
	return false;
}

static void read_samples(struct activity *a, struct sampler *s)
{
	const char *data = (char *)s->meta + 4096;
	__u64 head = __atomic_load_n(&s->meta->data_head, __ATOMIC_ACQUIRE), tail = s->meta->data_tail;
	struct {
		struct perf_event_header header;
		__u64 cnt;
		__u64 chain[1024];
	} record;

	while (tail < head) {
		const size_t mask = PERF_PAGES * 4096 - 1;

		/* a record may go round the end of the buffer, in units of 8 bytes */
		memcpy(&record.header, data + (tail & mask), sizeof(record.header));
		if (!record.header.size || record.header.size > sizeof(record))
			break;
		for (size_t i = 0; i < record.header.size; i += 8)
			memcpy((char *)&record + i, data + ((tail + i) & mask), 8);
		tail += record.header.size;
		if (record.header.type != PERF_RECORD_SAMPLE)
			continue;
		a->done++;
		sampled_throws += is_in_throw(record.chain, record.cnt);
	}
	__atomic_store_n(&s->meta->data_tail, tail, __ATOMIC_RELEASE);
}

/* A timer samples the CPUs' stacks a thousand times a second, wherever they are */
static void perf_round(struct activity *a)
{
	struct sampler samplers[MAX_CPUS];
	__u64 end = round_end();
	int cnt = 0;

	for (int i = 0; i < cpus; i++)
		cnt += open_sampler(&samplers[cnt], i); /* not on one that is offline */
	if (!cnt)
		fail(a, "cannot sample: %s", strerror(errno));
	while (now_ms() < end && cnt) {
		sleep_ms(20);
		for (int i = 0; i < cnt; i++)
			read_samples(a, &samplers[i]);
	}
	while (cnt--) {
		munmap(samplers[cnt].meta, (1 + PERF_PAGES) * 4096);
		close(samplers[cnt].fd);
	}
}

/* --- who takes things away ------------------------------------------------------------ */

static bool set_online(int cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	/* it is busy for who adds and removes others, too */
	for (int i = 0; i < 100; i++) {
		if (put(path, online ? "1" : "0", 0))
			return true;
		if (errno != EBUSY)
			return false;
		sleep_ms(20);
	}
	return false;
}

static void hotplug_round(struct activity *a)
{
	int cpu = 1 + pick(cpus - 1);

	if (!set_online(cpu, false))
		fail(a, "cannot take CPU %d offline: %s", cpu, strerror(errno));
	sleep_ms(100 + pick(200));
	if (!set_online(cpu, true))
		fail(a, "cannot take CPU %d online: %s", cpu, strerror(errno));
	a->done++;
	sleep_ms(700 + pick(700));
}

static int load_module(void)
{
	int fd = open(module, O_RDONLY), err;

	err = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	close(fd);
	return err;
}

/* Programs are freed after an RCU grace period, and hold the module until then */
static int unload_module(void)
{
	int err = 0;

	for (int i = 0; i < 1000; i++) {
		err = syscall(SYS_delete_module, "bpf_exceptions", O_NONBLOCK) ? errno : 0;
		if (!err)
			return 0;
		sleep_ms(10);
	}
	return err;
}

static void know_module(void)
{
	static struct builder b;

	builder_forget();
	builder_init(&b);
	find_module_text();
}

/* Called with the gate closed */
static void reload_round(struct activity *a)
{
	int err = unload_module();

	if (err)
		fail(a, "cannot unload the module: %s", strerror(err));
	else
		err = load_module();
	if (err)
		fail(a, "cannot load the module: %s", strerror(err));
	else
		know_module();
	a->done++;
}

/* --- all of them ---------------------------------------------------------------------- */

static struct activity activities[] = {
	{ "process", "in process context", volley_round,
	  .arg = IN_PROCESS, .least = 1000 },
	{ "process2", "in process context, on another CPU", volley_round,
	  .arg = IN_PROCESS, .least = 1000 },
	{ "softirq", "in softirq, here or on another CPU", volley_round,
	  .arg = IN_SOFTIRQ, .least = 200 },
	{ "hardirq", "in hard interrupts, here or on another CPU", volley_round,
	  .arg = IN_HARDIRQ, .least = 200 },
	{ "nmi", "in NMIs, here or on another CPU", volley_round,
	  .arg = IN_NMI, .least = 200 },
	{ "shared", "in the same programs, in all these contexts at once", shared_round,
	  .least = 1000 },
	{ "nested", "in programs that NMIs and calls interrupt in the innermost frame", nested_round,
	  .least = 200 },
	{ "sleepable", "in sleepable programs, with page faults between frames", sleepable_round,
	  .least = 200 },
	{ "lsm", "at a security hook, attached and detached; a throw denies", lsm_round,
	  .least = 200, .unit = "attached" },
	{ "timer", "in the timer interrupt, attached and detached", timer_round,
	  .least = 200, .unit = "attached" },
	{ "tc", "in tc, replaced meanwhile; a throw drops the packet", tc_round,
	  .least = 200, .unit = "replaced" },
	{ "watch", "below trampolines and in their programs, attached and detached", watch_round,
	  .least = 200, .unit = "attached" },
	{ "churn", "in programs that are loaded, run and freed", churn_round,
	  .least = 10, .unit = "programs" },
	{ "trace", "traced by functions, their graph, kprobes and the module's event", trace_round,
	  .least = 4, .unit = "times" },
	{ "perf", "stacks sampled by perf events", perf_round,
	  .least = 200, .unit = "samples" },
	{ "hotplug", "CPUs went off- and online", hotplug_round,
	  .least = 2, .unit = "times" },
	{ "reload", "the module was unloaded and loaded again", reload_round,
	  .least = 2, .unit = "times" },
};

enum { ACTIVITIES = sizeof(activities) / sizeof(activities[0]) };

static void *act(void *arg)
{
	struct activity *a = arg;

	seed = a - activities + getpid();
	while (!stop && !a->failed) {
		/* CPUs come and go while the module does */
		bool open = a->round != hotplug_round;

		if (a->round == reload_round) {
			for (int i = 0; i < RELOAD_EVERY_MS / 100 && !stop; i++)
				sleep_ms(100);
			pthread_rwlock_wrlock(&gate);
		} else if (open) {
			pthread_rwlock_rdlock(&gate);
		}
		a->round(a);
		if (open)
			pthread_rwlock_unlock(&gate);
		a->rounds++;
	}
	stop |= a->failed;
	return NULL;
}

static __u64 amount(const struct activity *a)
{
	return a->unit && !a->begun ? a->done : a->begun;
}

/* Programs that began on top of another */
static __u64 activities_over(void)
{
	__u64 over = 0;

	for (int i = 0; i < ACTIVITIES; i++)
		over += activities[i].over;
	return over;
}

static int count_programs(void)
{
	__u32 id = 0;
	int cnt = 0;

	while (!bpf_prog_get_next_id(id, &id))
		cnt++;
	return cnt;
}

static int count_trampolines(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512];
	int cnt = 0;

	while (f && fgets(line, sizeof(line), f))
		cnt += !!strstr(line, "bpf_trampoline_");
	if (f)
		fclose(f);
	return cnt;
}

static int tests, failures;

static void test(bool ok, const char *name, const char *desc)
{
	failures += !ok;
	printf("%s %d stress/%s - %s\n", ok ? "ok" : "not ok", ++tests, name, desc);
	fflush(stdout);
}

static void report(struct activity *a)
{
	printf("# %s: %llu rounds", a->name, a->rounds);
	if (a->begun || !a->unit)
		printf(", %llu throws begun, %llu callbacks, %llu in fdinfo, %llu seen; %llu runs without, %llu on top of others",
		       a->begun, a->ended, a->fdinfo, a->seen, a->passed, a->over);
	if (a->unit)
		printf(", %llu %s", a->done, a->unit);
	printf("\n");
	if (amount(a) < a->least)
		printf("# that's less than %llu\n", a->least);
	test(!a->failed && amount(a) >= a->least, a->name, a->desc);
}

static bool go(int (*cnt)(void), int expected, const char *what)
{
	for (int i = 0; i < 200 && cnt() > expected; i++)
		sleep_ms(100);
	if (cnt() > expected)
		printf("# %d %s are left\n", cnt() - expected, what);
	return cnt() <= expected;
}

static bool all_enough(void)
{
	for (int i = 0; i < ACTIVITIES; i++) {
		if (amount(&activities[i]) < activities[i].least)
			return false;
	}
	return traced_throws >= LEAST_STACKS && sampled_throws >= LEAST_SAMPLES &&
	       activities_over() >= LEAST_OVER;
}

static void run_all(int seconds)
{
	__u64 begin = now_ms(), end = begin + seconds * 1000;

	for (int i = 0; i < ACTIVITIES; i++)
		pthread_create(&activities[i].thread, NULL, act, &activities[i]);
	/* a slow machine gets more time, but not for ever */
	while (!stop && (now_ms() < end || (!all_enough() && now_ms() < begin + seconds * 5000)))
		sleep_ms(100);
	stop = true;
	for (int i = 0; i < ACTIVITIES; i++)
		pthread_join(activities[i].thread, NULL);
	printf("# ran for %llu ms\n", now_ms() - begin);
}

static void report_all(int programs, int trampolines)
{
	__u64 throws = 0, over = activities_over();

	for (int i = 0; i < ACTIVITIES; i++) {
		report(&activities[i]);
		throws += activities[i].begun;
	}
	printf("# %llu throws, %llu programs on top of another, %llu attempts to unload the module in use\n",
	       throws, over, unload_attempts);
	test(over >= LEAST_OVER, "interrupted", "programs interrupted others between frames");
	test(unload_attempts, "in_use", "the module couldn't be unloaded while programs used it");
	printf("# %llu lines of traces, %llu stacks from inside a throw (%llu show the program), %llu samples\n",
	       traced_lines, traced_throws, traced_stacks, sampled_throws);
	test(traced_throws >= LEAST_STACKS && traced_stacks == traced_throws, "stacks",
	     "stack traces from inside throws, which show the program");
	test(sampled_throws >= LEAST_SAMPLES, "samples", "samples from inside throws");
	test(go(count_programs, programs, "programs"), "programs", "no program is left");
	test(go(count_trampolines, trampolines, "trampolines"), "trampolines", "no trampoline is left");
}

static bool prepare(void)
{
	struct rlimit files = { 8192, 8192 };
	pthread_rwlockattr_t attr;

	setrlimit(RLIMIT_NOFILE, &files);
	libbpf_set_print(NULL);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	device = open("/dev/bpf_exceptions_test", O_RDWR);
	lsm_hook = libbpf_find_vmlinux_btf_id("task_prctl", BPF_LSM_MAC);
	timer_hook = libbpf_find_vmlinux_btf_id("update_process_times", BPF_TRACE_FENTRY);
	if (device < 0 || cpus < 2 || cpus > MAX_CPUS || lsm_hook <= 0 || timer_hook <= 0 ||
	    bpf_enable_stats(BPF_STATS_RUN_TIME) < 0) {
		fprintf(stderr, "stress: takes bpf_exceptions_test.ko, 2 to %d CPUs, BTF: %s\n",
			MAX_CPUS, strerror(errno));
		return false;
	}
	put(TRACING "buffer_size_kb", "128", 0);
	put("/proc/sys/net/core/bpf_jit_kallsyms", "1", 0); /* for names in stack traces */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&gate, &attr);
	know_module();
	return true;
}

int main(int argc, char **argv)
{
	int programs, trampolines, seconds = argc > 2 ? atoi(argv[2]) : 60;

	if (argc < 2 || seconds <= 0) {
		fprintf(stderr, "usage: stress MODULE.ko [SECONDS]\n");
		return 2;
	}
	module = argv[1];
	if (!prepare())
		return 2;
	printf("KTAP version 1\n");
	programs = count_programs();
	trampolines = count_trampolines();
	run_all(seconds);
	report_all(programs, trampolines);
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", tests, tests - failures, failures);
	return !!failures;
}
