// SPDX-License-Identifier: GPL-2.0-only
/*
 * special - tests that need more than one program or one run
 *
 * usage: special ATTACH-OBJECT HOOKS-OBJECT
 *
 * Nested throws, trampolines that come and go while throws pass through them and are freed
 * afterwards, thousands of programs. ATTACH-OBJECT is attach.bpf.o, HOOKS-OBJECT hooks.bpf.o.
 * Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 the kernel lacks a module.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "builder.h"
#include "fail.h"
#include "fdinfo.h"
#include "kmod/test.h"
#include "symbols.h"

static int device;
static const char *attach_object, *hooks_object;
static struct builder b;
static char log_buf[1 << 16];

/*
 * main -> func1 -> func2, all with stack and registers in use. func2 calls bpf_test_nest() if
 * @nest, and throws if @throws; the callback returns the cookie.
 */
static int nest_prog(bool nest, bool throws, int cookie)
{
	int funcs[3] = { 0 }, callback;

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	builder_load_func(&b, BPF_REG_1, callback);
	builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
	for (int i = 1; i < 3; i++)
		funcs[i] = builder_func(&b, 1, false);
	for (int i = 0; i < 3; i++) {
		if (i)
			builder_begin(&b, funcs[i]);
		/* unknown to the verifier, which would otherwise remove the comparison below */
		builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
		builder_emit(&b, MOV_REG(BPF_REG_6 + i, BPF_REG_0));
		builder_emit(&b, STORE_REG(BPF_REG_10, -16 * (i + 1), BPF_REG_0));
		if (i < 2)
			builder_call(&b, funcs[i + 1]);
		if (i == 2 && nest)
			builder_call_kfunc(&b, KFUNC_NEST);
		if (i == 2 && throws) {
			builder_emit(&b, MOV_IMM(BPF_REG_1, cookie));
			builder_call_kfunc(&b, KFUNC_THROW);
		}
		/* the frame's values must survive the interruption */
		builder_emit(&b, LOAD(BPF_REG_1, BPF_REG_10, -16 * (i + 1)));
		builder_emit(&b, MOV_IMM(BPF_REG_0, cookie));
		builder_emit(&b, INSN(BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_6 + i, BPF_REG_1, 1, 0));
		builder_emit(&b, MOV_IMM(BPF_REG_0, -1));
		builder_emit(&b, EXIT());
	}
	builder_begin(&b, callback);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	builder_emit(&b, EXIT());
	return builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
}

/* A program that throws while another is between frames ends only itself */
static bool nested(bool outer_throws, enum test_context nested_context)
{
	struct test_run run = { .nested_context = nested_context, .repeat = 100 };
	bool ok = true;

	run.prog_fd = nest_prog(true, outer_throws, 100);
	run.nested_fd = nest_prog(false, true, 200);
	if ((int)run.prog_fd < 0 || (int)run.nested_fd < 0)
		return fail("did not load: %s", log_buf);
	for (run.context = 0; ok && run.context < TEST_CONTEXTS; run.context++) {
		if (run.context == IN_NMI && nested_context == IN_NMI)
			continue; /* NMIs don't nest */
		if (ioctl(device, TEST_RUN, &run))
			ok = fail("cannot run: %s", strerror(errno));
		else if (run.ret != 100 || run.bad || run.nested_ret != 200 || run.nested_bad)
			ok = fail("context %u: returned %u, bad registers %#x; nested %u, %#x",
				  run.context, run.ret, run.bad, run.nested_ret, run.nested_bad);
	}
	close(run.prog_fd);
	close(run.nested_fd);
	return ok;
}

static bool nested_throw_call(void) { return nested(true, IN_PROCESS); }
static bool nested_throw_nmi(void) { return nested(true, IN_NMI); }
static bool nested_hold_nmi(void) { return nested(false, IN_NMI); }

/* Program fexit_thrown of the attach object; a run that sets throws goes through its trampoline */
static struct bpf_object *load_watched(int *prog_fd)
{
	struct bpf_object *obj = bpf_object__open_file(attach_object, NULL);
	struct bpf_program *prog;
	__u64 data[3] = { 1 };
	int zero = 0;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), "fexit_thrown"));
	if (bpf_object__load(obj))
		return NULL;
	*prog_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "fexit_thrown"));
	if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, "attach.bss"), &zero, data, 0))
		return NULL;
	return obj;
}

static struct bpf_object *load_fexit(int target, struct bpf_link **link)
{
	struct bpf_object *obj = bpf_object__open_file(attach_object, NULL);
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), "fexit_watched"));
	prog = bpf_object__find_program_by_name(obj, "fexit_watched");
	if (bpf_program__set_attach_target(prog, target, "watched") || bpf_object__load(obj))
		return NULL;
	*link = bpf_program__attach(prog);
	return obj;
}

static bool run_watched(int fd, int repeat)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = repeat);

	if (bpf_prog_test_run_opts(fd, &opts))
		return fail("test run: %s", strerror(errno));
	return opts.retval == 9 || fail("returned %d, expected 9", opts.retval);
}

/* Images are freed after RCU grace periods, but never while a frame has a reference */
static bool trampolines_go(int expected)
{
	for (int i = 0; i < 200; i++) {
		if (count_trampolines() == expected)
			return true;
		usleep(100000);
	}
	return fail("%d trampoline images are left, expected %d", count_trampolines(), expected);
}

static bool trampoline_freed(void)
{
	int fd, before = count_trampolines();
	struct bpf_object *obj, *fexit;
	struct bpf_link *link;
	bool ok;

	obj = load_watched(&fd);
	fexit = obj ? load_fexit(fd, &link) : NULL;
	if (!fexit || !link)
		return fail("cannot attach: %s", strerror(errno));
	ok = count_trampolines() == before + 1 || fail("no trampoline to look at");
	ok = ok && run_watched(fd, 10000);
	bpf_link__destroy(link);
	bpf_object__close(fexit);
	bpf_object__close(obj);
	return ok && trampolines_go(before);
}

static volatile bool stop;
static bool thrower_ok;

static void *keep_throwing(void *fd)
{
	thrower_ok = true;
	while (!stop && thrower_ok)
		thrower_ok = run_watched(*(int *)fd, 100);
	return NULL;
}

static bool trampoline_detached(void)
{
	int fd, i, before = count_trampolines();
	struct bpf_object *obj, *fexit;
	struct bpf_link *link;
	pthread_t thread;
	bool ok = true;

	obj = load_watched(&fd);
	if (!obj)
		return fail("cannot load: %s", strerror(errno));
	stop = false;
	pthread_create(&thread, NULL, keep_throwing, &fd);
	for (i = 0; i < 100 && ok; i++) {
		fexit = load_fexit(fd, &link);
		ok = fexit && link;
		if (link)
			bpf_link__destroy(link);
		bpf_object__close(fexit);
	}
	stop = true;
	pthread_join(thread, NULL);
	bpf_object__close(obj);
	if (!ok)
		return fail("cannot attach: %s", strerror(errno));
	return thrower_ok && trampolines_go(before);
}

static bool many_programs(void)
{
	enum { PROGRAMS = 3000 };
	static int fds[PROGRAMS];
	struct rlimit files = { PROGRAMS + 100, PROGRAMS + 100 };
	bool ok = true;
	int i;

	setrlimit(RLIMIT_NOFILE, &files);
	for (i = 0; i < PROGRAMS && ok; i++) {
		fds[i] = nest_prog(false, true, i);
		ok = fds[i] >= 0 || fail("program %d: %s", i, strerror(errno));
	}
	for (int j = 0; j < i; j += 100) {
		struct test_run run = { .prog_fd = fds[j] };

		if (ok && (ioctl(device, TEST_RUN, &run) || run.ret != (__u32)j || run.bad))
			ok = fail("program %d returned %u, bad registers %#x", j, run.ret, run.bad);
	}
	while (i--)
		close(fds[i]);
	return ok;
}

/* It returns the cookie */
static void return_cookie(int callback)
{
	builder_begin(&b, callback);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	builder_emit(&b, EXIT());
}

enum { MOST_FUNCS = 256, BY_ANOTHER = 256, RETURN = 512 };

/* Throws its argument; above 255, @thrower does it; above 511, it is returned */
static void emit_numbered(int func, int thrower)
{
	builder_begin(&b, func);
	if (func % 2)
		builder_emit(&b, MOV_REG(BPF_REG_6, BPF_REG_1));
	builder_emit(&b, STORE_REG(BPF_REG_10, -8, BPF_REG_1));
	builder_emit(&b, JUMP_IMM(BPF_JGE, BPF_REG_1, RETURN, 3));
	builder_emit(&b, JUMP_IMM(BPF_JGE, BPF_REG_1, BY_ANOTHER, 1));
	builder_call_kfunc(&b, KFUNC_THROW);
	builder_call(&b, thrower);
	builder_emit(&b, LOAD(BPF_REG_0, BPF_REG_10, -8));
	builder_emit(&b, EXIT());
}

/* R6 is the value in @map, and is passed to the function whose number is in its low byte */
static void emit_choice(int map, int callback, int thrower)
{
	builder_emit(&b, STORE_IMM(BPF_REG_10, -8, 0));
	builder_emit(&b, MOV_REG(BPF_REG_2, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_2, -8));
	builder_load_map(&b, BPF_REG_1, map);
	builder_emit(&b, CALL_HELPER(BPF_FUNC_map_lookup_elem));
	builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 1));
	builder_emit(&b, EXIT());
	builder_emit(&b, LOAD(BPF_REG_6, BPF_REG_0, 0));
	builder_emit(&b, MOV_REG(BPF_REG_7, BPF_REG_6));
	builder_emit(&b, ALU_IMM(BPF_AND, BPF_REG_7, 255));
	for (int i = 1; i < MOST_FUNCS; i++) {
		if (i == callback || i == thrower)
			continue;
		builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_7, i, 3));
		builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_6));
		builder_call(&b, i);
		builder_emit(&b, EXIT());
	}
	builder_emit(&b, MOV_IMM(BPF_REG_0, -1));
	builder_emit(&b, EXIT());
}

/* The last function, unless that is the callback */
static int thrower_of(int callback)
{
	return callback == MOST_FUNCS - 1 ? callback - 1 : MOST_FUNCS - 1;
}

/* As many functions as BPF allows, including @callback unless that is 0 */
static int load_most_functions(int map, int callback)
{
	int thrower = thrower_of(callback);

	builder_init(&b);
	for (int i = 1; i < MOST_FUNCS; i++)
		builder_func(&b, 1, false);
	if (callback) {
		builder_load_func(&b, BPF_REG_1, callback);
		builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
	}
	emit_choice(map, callback, thrower);
	for (int i = 1; i < MOST_FUNCS; i++) {
		if (i == callback) {
			return_cookie(callback);
		} else if (i == thrower) {
			builder_begin(&b, thrower);
			builder_call_kfunc(&b, KFUNC_THROW);
		} else {
			emit_numbered(i, thrower);
		}
	}
	return builder_load(&b, BPF_PROG_TYPE_XDP, NULL, 0);
}

static bool run_with(int fd, int map, __u64 value, __u64 expected)
{
	struct test_run run = { .prog_fd = fd };
	int zero = 0;

	if (bpf_map_update_elem(map, &zero, &value, 0) || ioctl(device, TEST_RUN, &run))
		return fail("cannot run: %s", strerror(errno));
	return (run.ret == expected && !run.bad) ||
	       fail("%llu: returned %u, expected %llu; bad registers %#x", value, run.ret, expected, run.bad);
}

/* Every function throws, calls one that throws, and returns, even the last one in the table */
static bool most_functions(int callback)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "choice", sizeof(int), sizeof(__u64), 1, NULL);
	int fd = load_most_functions(map, callback);
	bool ok = fd >= 0 || fail("did not load: %s", strerror(errno));

	for (__u64 i = 1; ok && i < MOST_FUNCS; i++) {
		if ((int)i == callback || (int)i == thrower_of(callback))
			continue;
		ok = run_with(fd, map, i, callback ? i : 0) &&
		     run_with(fd, map, i + BY_ANOTHER, callback ? i + BY_ANOTHER : 0) &&
		     run_with(fd, map, i + RETURN, i + RETURN);
	}
	close(fd);
	close(map);
	return ok;
}

static bool most_functions_bare(void) { return most_functions(0); }
static bool most_functions_callback(void) { return most_functions(1) && most_functions(MOST_FUNCS - 1); }

/* The kernel refuses it as always, but only after find_noreturn_calls() has seen it */
static bool truncated_ldimm64(void)
{
	int fd;

	/* with one of these lengths, the verifier's records fill whole pages */
	for (int len = 64; len <= 4096; len += 64) {
		builder_init(&b);
		builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_1, 0, 1));
		builder_call_kfunc(&b, KFUNC_THROW);
		while (b.cnt < len - 1)
			builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
		builder_emit(&b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, 0, 0, 0));
		fd = builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
		if (fd >= 0) {
			close(fd);
			return fail("it loaded");
		}
	}
	return true;
}

/* Subprograms, each of which calls the next, and which never return */
static bool long_chain(void)
{
	int funcs[64] = { 0 };

	builder_init(&b);
	for (int i = 1; i < 64; i++)
		funcs[i] = builder_func(&b, 1, false);
	for (int i = 0; i < 64; i++) {
		if (i)
			builder_begin(&b, funcs[i]);
		for (int j = 0; j < 50; j++)
			builder_emit(&b, MOV_IMM(BPF_REG_0, j));
		if (i < 63)
			builder_call(&b, funcs[i + 1]);
		if (i == 63)
			builder_call_kfunc(&b, KFUNC_THROW);
	}
	return builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)) < 0 &&
	       strstr(log_buf, "too deep") ? true : fail("%s", log_buf);
}

/* Comparisons, one of which is true, jump to jumps to a throw. The latter are removed, unless
 * they skip an instruction that others reach.
 */
static bool folded_gotos(void)
{
	static const char packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
	int fd, callback;
	bool ok = true;

	for (int gap = 0; gap < 2; gap++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info), expected;

		builder_init(&b);
		callback = builder_func(&b, 1, false);
		builder_load_func(&b, BPF_REG_1, callback);
		builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
		builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
		for (int i = 0; i < 3; i++)
			builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_0, i, 5));
		builder_emit(&b, JUMP_IMM(BPF_JGT, BPF_REG_0, 2, 5));
		builder_emit(&b, MOV_IMM(BPF_REG_0, 1));
		builder_emit(&b, EXIT());
		for (int i = 3; i--; )
			builder_emit(&b, JUMP(i + gap));
		if (gap)
			builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_0));
		builder_emit(&b, MOV_IMM(BPF_REG_1, 77));
		builder_call_kfunc(&b, KFUNC_THROW);
		builder_begin(&b, callback);
		builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
		builder_emit(&b, EXIT());
		fd = builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
		if (fd < 0)
			return fail("did not load: %s", log_buf);
		/* the callback's load and call, 3 insns, are always erased */
		expected = (b.cnt - 3 - (gap ? 0 : 3)) * sizeof(struct bpf_insn);
		if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.xlated_prog_len != expected)
			ok = fail("%u bytes of instructions, expected %u", info.xlated_prog_len,
				  expected);
		else if (bpf_prog_test_run_opts(fd, &opts) || opts.retval != 77)
			ok = fail("returned %u", opts.retval);
		close(fd);
		if (!ok)
			return false;
	}
	return true;
}

static bool throws_counted(void)
{
	int fd = nest_prog(false, true, 5), other = nest_prog(false, false, 5);
	struct test_run run = { .prog_fd = fd, .repeat = 1000 };
	bool ok = fd >= 0 && other >= 0;

	if (!ok)
		fail("did not load: %s", log_buf);
	for (int i = 0; ok && i < 2; i++) {
		if (fdinfo_value(fd, "throws") != i * 1000 || ioctl(device, TEST_RUN, &run))
			ok = fail("%lld throws, expected %d", fdinfo_value(fd, "throws"), i * 1000);
	}
	if (ok && fdinfo_value(other, "throws") != -1)
		ok = fail("a program that doesn't throw has a count");
	close(fd);
	close(other);
	return ok;
}

/* A program is removed while it runs: its id is gone, and only RCU keeps it */
static bool reference_dropped(void)
{
	int fd = nest_prog(true, true, 100);
	struct test_run run = { .prog_fd = -1 };
	bool ok = fd >= 0 || fail("did not load: %s", log_buf);

	if (ok && ioctl(device, TEST_HOLD, &fd))
		ok = fail("cannot hold it: %s", strerror(errno));
	close(fd);
	if (ok && ioctl(device, TEST_RUN, &run))
		ok = fail("cannot run: %s", strerror(errno));
	return ok && ((run.ret == 100 && !run.bad) ||
		      fail("returned %u, bad registers %#x", run.ret, run.bad));
}

/* An object with one of the programs of hooks.bpf.c, or with its struct_ops if @name isn't one */
static struct bpf_object *load_hook(const char *name)
{
	struct bpf_object *obj = bpf_object__open_file(hooks_object, NULL);
	bool ops = !strcmp(name, "thrower");
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, ops ? bpf_program__type(prog) == BPF_PROG_TYPE_STRUCT_OPS :
						!strcmp(bpf_program__name(prog), name));
	bpf_map__set_autocreate(bpf_object__find_map_by_name(obj, "thrower"), ops);
	return bpf_object__load(obj) ? NULL : obj;
}

static bool counts_are(struct bpf_object *obj, __u64 throws, __u64 passed)
{
	__u64 counts[2];
	int zero = 0;

	if (bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(obj, "hooks.bss"), &zero, counts))
		return fail("no counts: %s", strerror(errno));
	return (counts[0] == throws && counts[1] == passed) ||
	       fail("%llu throws, of which %llu came back; expected %llu, %llu", counts[0],
		    counts[1], throws, passed);
}

/* A connection over lo, with the BPF program as congestion control of the accepted end */
static bool connect_with(const char *congestion_control)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);
	bool ok;

	ok = !setsockopt(server, IPPROTO_TCP, TCP_CONGESTION, congestion_control,
			 strlen(congestion_control)) &&
	     !bind(server, (struct sockaddr *)&addr, len) && !listen(server, 1) &&
	     !getsockname(server, (struct sockaddr *)&addr, &len) &&
	     !connect(client, (struct sockaddr *)&addr, len);
	if (ok) {
		int end = accept(server, NULL, NULL);

		ok = end >= 0;
		close(end);
	}
	close(client);
	close(server);
	return ok || fail("cannot connect: %s", strerror(errno));
}

static bool struct_ops_throws(void)
{
	struct bpf_object *obj = load_hook("thrower");
	struct bpf_link *link;
	bool ok;

	if (!obj)
		return fail("did not load: %s", strerror(errno));
	link = bpf_map__attach_struct_ops(bpf_object__find_map_by_name(obj, "thrower"));
	ok = link ? connect_with("thrower") && counts_are(obj, 1, 0) : fail("cannot register it");
	bpf_link__destroy(link);
	bpf_object__close(obj);
	return ok;
}

static bool lsm_cgroup(const char *name, bool allows)
{
	int cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	struct bpf_object *obj = load_hook(name);
	struct bpf_link *link;
	bool ok;

	if (!obj)
		return fail("did not load: %s", strerror(errno));
	link = bpf_program__attach_cgroup(bpf_object__find_program_by_name(obj, name), cgroup);
	if (!link)
		ok = fail("cannot attach: %s", strerror(errno));
	else
		ok = (getpgid(getpid()) >= 0) == allows || fail("getpgid was %s", allows ? "denied" : "allowed");
	bpf_link__destroy(link);
	ok = ok && counts_are(obj, 1, 0);
	bpf_object__close(obj);
	close(cgroup);
	return ok;
}

static bool lsm_cgroup_default(void) { return lsm_cgroup("cgroup_default", false); }
static bool lsm_cgroup_callback(void) { return lsm_cgroup("cgroup_callback", true); }

/* A branch that is never taken, over a call that sets @callback, which takes r0 and r1 */
static void set_callback_unseen(int callback)
{
	builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 3));
	builder_load_func(&b, BPF_REG_1, callback);
	builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
}

static void throw_7(void)
{
	builder_emit(&b, MOV_IMM(BPF_REG_1, 7));
	builder_call_kfunc(&b, KFUNC_THROW);
}

static bool refused_with(int fd, const char *said)
{
	if (fd >= 0) {
		close(fd);
		return fail("it loaded");
	}
	return strstr(log_buf, said) || fail("expected \"%s\", but: %s", said, log_buf);
}

static bool returns_7(int fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
	bool ok = fd >= 0 || fail("did not load: %s", log_buf);

	if (ok && bpf_prog_test_run_opts(fd, &opts))
		ok = fail("cannot run: %s", strerror(errno));
	else if (ok && opts.retval != 7)
		ok = fail("returned %u", opts.retval);
	close(fd);
	return ok;
}

static void build_unseen_callback(void)
{
	int callback;

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	set_callback_unseen(callback);
	throw_7();
	return_cookie(callback);
}

static bool unseen_callback_bare(void)
{
	build_unseen_callback();
	b.bare = true;
	return refused_with(builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)),
			    "missing btf func_info");
}

static bool unseen_callback_in_subprog(void)
{
	int callback, sub;

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	sub = builder_func(&b, 1, false);
	builder_call(&b, sub);
	throw_7();
	builder_begin(&b, sub);
	set_callback_unseen(callback);
	builder_emit(&b, EXIT());
	return_cookie(callback);
	return refused_with(builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)),
			    "can only be called from main prog");
}

/* Without CAP_PERFMON the verifier also follows paths that the processor might speculate */
static bool in_child_without_perfmon(bool (*run)(void))
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = {};
	int status;
	pid_t pid;
	bool ok;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		caps[CAP_TO_INDEX(CAP_BPF)].effective |= CAP_TO_MASK(CAP_BPF);
		caps[CAP_TO_INDEX(CAP_NET_ADMIN)].effective |= CAP_TO_MASK(CAP_NET_ADMIN);
		for (int i = 0; i < 2; i++)
			caps[i].permitted = caps[i].effective;
		if (syscall(SYS_capset, &header, caps))
			ok = fail("cannot drop capabilities: %s", strerror(errno));
		else
			ok = run();
		fflush(stdout);
		_exit(!ok);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static bool load_unseen_callback(void)
{
	build_unseen_callback();
	return returns_7(builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)));
}

static bool speculative_callback(void)
{
	return in_child_without_perfmon(load_unseen_callback);
}

static bool image_is_shown(int fd, bool expected)
{
	static char image[1 << 12];
	struct bpf_prog_info info = { .jited_prog_insns = (__u64)(unsigned long)image,
				      .jited_prog_len = sizeof(image) };
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return fail("cannot look at it: %s", strerror(errno));
	return !!info.jited_prog_insns == expected ||
	       fail("the image is %s", expected ? "hidden" : "shown");
}

static int shown_fd;

/* What counts is who opened the file descriptor, and the child has no CAP_SYSLOG */
static bool image_hidden_in_child(void)
{
	int fd = nest_prog(false, true, 5);
	bool ok = image_is_shown(shown_fd, true) && image_is_shown(fd, false);

	close(fd);
	return ok;
}

static bool image_hidden(void)
{
	bool ok;

	shown_fd = nest_prog(false, true, 5);
	ok = in_child_without_perfmon(image_hidden_in_child);
	close(shown_fd);
	return ok;
}

static const struct {
	bool (*run)(void);
	const char *name, *desc;
} tests[] = {
	{ nested_throw_call, "nested_call", "a program throws, called while another is between frames" },
	{ nested_throw_nmi, "nested_nmi", "a program throws in an NMI between another's frames, and it throws, too" },
	{ nested_hold_nmi, "nested_hold", "a program throws in an NMI between another's frames, and it goes on" },
	{ trampoline_freed, "trampoline_freed", "after 10,000 throws through an fexit trampoline its image is freed" },
	{ trampoline_detached, "trampoline_detached", "fexit attached and detached 100 times while another CPU throws" },
	{ truncated_ldimm64, "truncated_ldimm64", "programs that end in half of a 64-bit load are refused" },
	{ most_functions_bare, "most_functions", "256 functions, each of which throws, calls what throws, and returns" },
	{ most_functions_callback, "most_functions_callback", "the same with a callback, that comes first, or last" },
	{ long_chain, "long_chain", "64 subprograms in a chain are too many, and refused for that" },
	{ reference_dropped, "reference_dropped", "the last reference goes while the program runs, then it throws" },
	{ struct_ops_throws, "struct_ops", "a struct_ops program throws, the connection is made" },
	{ lsm_cgroup_default, "lsm_cgroup", "an lsm_cgroup program throws without a callback: 0, which denies" },
	{ lsm_cgroup_callback, "lsm_cgroup_callback", "an lsm_cgroup program throws, its callback allows" },
	{ folded_gotos, "folded_gotos", "jumps to a throw that leads to one are folded, and no others" },
	{ load_unseen_callback, "unseen_callback", "a callback is set where the verifier doesn't get, it counts" },
	{ speculative_callback, "speculative_callback", "a callback is set where only speculation gets, it counts once" },
	{ unseen_callback_bare, "unseen_callback_bare", "a callback is set where the verifier doesn't get, without func_info: refused" },
	{ unseen_callback_in_subprog, "unseen_callback_in_subprog", "a callback is set in a subprogram where the verifier doesn't get: refused" },
	{ image_hidden, "image_hidden", "who may not see the kernel's addresses isn't shown the table's, in an image" },
	{ throws_counted, "throws_counted", "fdinfo counts the throws of a program that has some" },
	{ many_programs, "many_programs", "3,000 programs that throw" },
};

int main(int argc, char **argv)
{
	size_t num = 0, failed = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: special ATTACH-OBJECT HOOKS-OBJECT\n");
		return 2;
	}
	attach_object = argv[1];
	hooks_object = argv[2];
	device = open("/dev/bpf_exceptions_test", O_RDWR);
	if (device < 0) {
		fprintf(stderr, "special: is bpf_exceptions_test.ko loaded? %s\n", strerror(errno));
		return 2;
	}
	printf("KTAP version 1\n");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		bool ok;

		if (tests[i].run == struct_ops_throws && kcfi())
			continue;
		ok = tests[i].run();
		failed += !ok;
		printf("%s %zu special/%s - %s\n", ok ? "ok" : "not ok", ++num, tests[i].name,
		       tests[i].desc);
		fflush(stdout);
	}
	printf("1..%zu\n# Totals: pass:%zu fail:%zu skip:0\n", num, num - failed, failed);
	return !!failed;
}
