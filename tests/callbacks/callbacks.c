// SPDX-License-Identifier: GPL-2.0-only
/*
 * callbacks - throws in the callbacks of helpers and timers
 *
 * usage: callbacks OBJECT
 *
 * Each program of OBJECT (callbacks.bpf.o) runs with a throw in several rounds of its callbacks,
 * and without: in each context that it may run in, and watched by what kernels have for that.
 * Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 the kernel lacks a module.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../fdinfo.h"
#include "../kmod/test.h"
#include "deep.h"
#include "told.h"

#define TRACING "/sys/kernel/tracing/"
#define MOST_PARTS 4

static int device;
static const char *object;
static char log_buf[1 << 20];

bool fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	return false;
}

/* What the verifier said last */
static const char *last_said(void)
{
	size_t len = strlen(log_buf), most = 300;

	for (char *line = log_buf; (line = strchr(line, '\n')); )
		*line = ' ';
	return log_buf + (len > most ? len - most : 0);
}

/* --- programs that are loaded --------------------------------------------------------------- */

/* A program of the object, and others that watch it */
struct loaded {
	struct bpf_object *obj, *watchers[MOST_PARTS];
	struct bpf_link *links[MOST_PARTS];
	int fd, nr_watchers;
	struct user_ring_buffer *ring;
	int samples;	/* in there, before the last run */
	bool drains;	/* one for each round */
	volatile struct state *state;
};

static void unload(struct loaded *l)
{
	for (int i = 0; i < l->nr_watchers; i++) {
		bpf_link__destroy(l->links[i]);
		bpf_object__close(l->watchers[i]);
	}
	if (l->ring)
		user_ring_buffer__free(l->ring);
	if (l->state)
		munmap((void *)l->state, sizeof(*l->state));
	bpf_object__close(l->obj);
}

static bool fill(struct bpf_object *obj, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);
	static __u64 values[1024];	/* one for each processor, where it is such a map */

	for (__u32 key = 0; key < ROUNDS; key++)
		if (bpf_map_update_elem(fd, &key, values, 0))
			return false;
	return true;
}

static bool fill_maps(struct loaded *l)
{
	l->ring = user_ring_buffer__new(bpf_object__find_map_fd_by_name(l->obj, "ring"), NULL);
	return l->ring && fill(l->obj, "hash") && fill(l->obj, "percpu_hash") &&
	       fill(l->obj, "lru_hash") && fill(l->obj, "lru_percpu_hash");
}

/* Only @name of a new instance of the object; with the state of @with, if there is one */
static struct bpf_object *open_one(const char *name, const struct loaded *with)
{
	struct bpf_object *obj = bpf_object__open_file(object, NULL);
	struct bpf_program *prog;
	struct bpf_map *map;

	if (!obj)
		return NULL;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	bpf_program__set_log_buf(bpf_object__find_program_by_name(obj, name), log_buf, sizeof(log_buf));
	map = bpf_object__find_map_by_name(obj, ".bss.state");
	if (with && bpf_map__reuse_fd(map, bpf_object__find_map_fd_by_name(with->obj, ".bss.state"))) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

static bool load(struct loaded *l, const char *name)
{
	*l = (struct loaded){ .obj = open_one(name, NULL), .drains = !strcmp(name, "drain") };
	if (!l->obj || bpf_object__load(l->obj))
		return fail("%s did not load: %s; %s", name, strerror(errno), last_said());
	l->fd = bpf_program__fd(bpf_object__find_program_by_name(l->obj, name));
	l->state = mmap(NULL, sizeof(*l->state), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_object__find_map_fd_by_name(l->obj, ".bss.state"), 0);
	if (l->state == MAP_FAILED) {
		l->state = NULL;
		return fail("cannot map the state: %s", strerror(errno));
	}
	return fill_maps(l) || fail("cannot fill the maps: %s", strerror(errno));
}

/* Have program @watcher watch function @func of the program, or of the kernel */
static bool watch(struct loaded *l, const char *watcher, bool in_kernel, const char *func)
{
	struct bpf_object *obj = open_one(watcher, l);
	struct bpf_program *prog = obj ? bpf_object__find_program_by_name(obj, watcher) : NULL;
	int i = l->nr_watchers;

	if (!prog || bpf_program__set_attach_target(prog, in_kernel ? 0 : l->fd, func) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return fail("%s on %s() did not load: %s; %s", watcher, func, strerror(errno),
			    last_said());
	}
	l->watchers[i] = obj;
	l->links[i] = bpf_program__attach(prog);
	l->nr_watchers++;
	return l->links[i] || fail("cannot attach %s to %s(): %s", watcher, func, strerror(errno));
}

static bool top_up(struct loaded *l)
{
	__u64 *sample;

	for (; l->samples < ROUNDS; l->samples++) {
		sample = user_ring_buffer__reserve(l->ring, sizeof(*sample));
		if (!sample)
			return fail("no room for a sample: %s", strerror(errno));
		*sample = l->samples;
		user_ring_buffer__submit(l->ring, sample);
	}
	return true;
}

static bool reset(struct loaded *l, __u64 throw_at)
{
	if (l->drains)
		l->samples -= l->state->rounds;
	memset((void *)l->state, 0, sizeof(*l->state));
	l->state->throw_at = throw_at;
	return top_up(l);
}

/* --- programs that the test runs -------------------------------------------------------------- */

/*
 * What a program does: @rounds, if nothing throws, after which the helper returns @ret. What is
 * behind the helper is reached even so if a round from @own on throws, which the program does
 * itself.
 */
struct row {
	const char *prog, *desc;
	__u64 throw_at[4];	/* rounds to throw in, besides in none; NEVER ends */
	__u64 rounds, ret, own;
	bool sleepable, no_callback;
};

#define AT(...) .throw_at = { __VA_ARGS__, NEVER }
#define SIMPLE(name, what) { #name, what, AT(0, 2, ROUNDS - 1), ROUNDS, ROUNDS, NEVER }
#define NEST ((__u64)ROUNDS * ROUNDS)

static const struct row rows[] = {
	SIMPLE(loop, "bpf_loop(), one frame below the callback"),
	SIMPLE(loop_itself, "bpf_loop(), in the callback itself"),
	SIMPLE(loop_global, "bpf_loop(), in what a global function calls"),
	SIMPLE(loop_inlined, "bpf_loop(), inlined"),
	SIMPLE(loop_itself_inlined, "bpf_loop(), inlined, in the callback itself"),
	SIMPLE(each_array, "bpf_for_each_map_elem(), array"),
	SIMPLE(each_percpu_array, "bpf_for_each_map_elem(), percpu_array"),
	SIMPLE(each_hash, "bpf_for_each_map_elem(), hash"),
	SIMPLE(each_percpu_hash, "bpf_for_each_map_elem(), percpu_hash"),
	SIMPLE(each_lru_hash, "bpf_for_each_map_elem(), lru_hash"),
	SIMPLE(each_lru_percpu_hash, "bpf_for_each_map_elem(), lru_percpu_hash"),
	SIMPLE(drain, "bpf_user_ringbuf_drain()"),
	SIMPLE(below, "the helper is called in a subprogram with arguments, stack and registers"),
	SIMPLE(below_global, "the helper is called in a global function"),
	{ "no_callback", "without an exception callback", AT(0, 2, ROUNDS - 1), ROUNDS, ROUNDS, NEVER,
	  .no_callback = true },
	{ "loop_sleepable", "bpf_loop() in a sleepable program", AT(0, 2, ROUNDS - 1), ROUNDS, ROUNDS,
	  NEVER, .sleepable = true },
	{ "never_called", "a callback that always throws, which the helper doesn't call",
	  AT(NEVER), 0, 0, NEVER },
	{ "second", "the second of two helpers", AT(0, ROUNDS, ROUNDS + 2), 2 * ROUNDS, 2 * ROUNDS, NEVER },
	{ "called_directly", "the callback is called directly, too",
	  AT(0, 3, ROUNDS + 1), ROUNDS + 2, ROUNDS, NEVER },
	{ "behind_helper", "the main program throws, behind the helper", AT(2, ROUNDS), ROUNDS + 1, ROUNDS,
	  ROUNDS },
	{ "loop_in_loop", "bpf_loop() in the callback of bpf_loop()", AT(0, 7, NEST - 1), NEST, ROUNDS, NEVER },
	{ "each_in_inlined", "bpf_for_each_map_elem() in that of bpf_loop(), inlined", AT(0, 7, NEST - 1),
	  NEST, ROUNDS, NEVER },
	{ "inlined_in_each", "bpf_loop(), inlined, in that of bpf_for_each_map_elem()", AT(0, 7, NEST - 1),
	  NEST, ROUNDS, NEVER },
	{ "holding_in_each", "bpf_loop(), not inlined, in a callback that holds something", AT(0, 7, NEST - 1),
	  NEST, ROUNDS, NEVER },
	{ "globals_between", "global functions below and above a helper", AT(0, 7, NEST - 1),
	  NEST, ROUNDS, NEVER },
	{ "shared_callback", "a callback of two calls, of which one holds something",
	  AT(0, ROUNDS - 1, ROUNDS + 2), 2 * ROUNDS, 2 * ROUNDS, NEVER },
	{ "different_contexts", "a callback of two calls with different contexts",
	  AT(0, ROUNDS - 1, ROUNDS + 2), 2 * ROUNDS, 2 * ROUNDS, NEVER },
	{ "called_both_ways", "a callback calls another one, and has it called", AT(0, 1, 7),
	  ROUNDS * (ROUNDS + 1), ROUNDS, NEVER },
	{ "tail_calls", "a helper in a function that may tail-call", AT(0, 2, ROUNDS - 1), ROUNDS, ROUNDS,
	  NEVER },
	{ "loop_in_each_in_loop", "three helpers below each other", AT(0, 37, ROUNDS * NEST - 1),
	  ROUNDS * NEST, ROUNDS, NEVER },
};

static bool state_is(const struct loaded *l, const char *what, __u64 have, __u64 want)
{
	return have == want || fail("throw in round %lld: %s %lld, expected %lld",
				    (long long)l->state->throw_at, what, (long long)have, (long long)want);
}

static bool as_expected(struct loaded *l, const struct row *row, __u32 ret)
{
	__u64 at = l->state->throw_at;
	bool throws = at != NEVER, behind = !throws || at >= row->own;
	__u32 want = !throws ? PASSED : row->no_callback ? 0 : CAUGHT(COOKIE(at));

	return state_is(l, "returned", ret, want) &&
	       state_is(l, "rounds", l->state->rounds, throws ? at + 1 : row->rounds) &&
	       state_is(l, "came behind the helper", l->state->behind, behind) &&
	       state_is(l, "the helper returned", l->state->ret, behind ? row->ret : 0);
}

static bool run_syscall(struct loaded *l, __u32 *ret)
{
	__u64 ctx[8] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = ctx, .ctx_size_in = sizeof(ctx));

	if (bpf_prog_test_run_opts(l->fd, &opts))
		return fail("test run: %s", strerror(errno));
	*ret = opts.retval;
	return true;
}

static bool run_xdp(struct loaded *l, enum test_context context, __u32 *ret)
{
	struct test_run run = { .prog_fd = l->fd, .context = context };

	if (ioctl(device, TEST_RUN, &run))
		return fail("cannot run: %s", strerror(errno));
	*ret = run.ret;
	return !run.bad || fail("throw in round %lld, context %u: bad registers %#x",
				(long long)l->state->throw_at, context, run.bad);
}

/* Throw in one round, in one context */
static bool run_once(struct loaded *l, const struct row *row, enum test_context context, __u64 at)
{
	__u32 ret;

	if (!reset(l, at))
		return false;
	if (row->sleepable ? !run_syscall(l, &ret) : !run_xdp(l, context, &ret))
		return false;
	return as_expected(l, row, ret) || fail("... in context %u", context);
}

/* Throw in each round, and in none; all of it twice, as everything must have been dropped */
static bool run_rounds(struct loaded *l, const struct row *row, enum test_context context)
{
	for (int again = 0; again < 2; again++) {
		for (int i = 0; row->throw_at[i] != NEVER; i++)
			if (!run_once(l, row, context, row->throw_at[i]))
				return false;
		if (!run_once(l, row, context, NEVER))
			return false;
	}
	return true;
}

static bool run_row(const struct row *row)
{
	struct loaded l;
	bool ok = load(&l, row->prog);

	for (enum test_context context = 0; ok && context < TEST_CONTEXTS; context++)
		if (!row->sleepable || context == IN_PROCESS)
			ok = run_rounds(&l, row, context);
	unload(&l);
	return ok;
}

static const struct row *find_row(const char *prog)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].prog, prog))
			return &rows[i];
	abort();
}

/* --- what a throw must leave as it was -------------------------------------------------------- */

/* Preemption, RCU's nesting, migration, looked at before the program and after it */
static bool kept(void)
{
	struct loaded l;
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		ok = load(&l, row->prog) && watch(&l, "look_before", false, row->prog) &&
		     watch(&l, "look_after", false, row->prog);
		for (int j = 0; ok && j < 3; j++) {
			ok = run_once(&l, row, IN_PROCESS, row->throw_at[j]);
			if (ok && memcmp((void *)&l.state->before, (void *)&l.state->after,
					 sizeof(l.state->before)))
				ok = fail("%s, throw in round %lld: preempt_count %llx, was %llx; rcu %lld, was %lld; migration %lld, was %lld",
					  row->prog, (long long)row->throw_at[j],
					  l.state->after.preempt_count, l.state->before.preempt_count,
					  l.state->after.rcu_nesting, l.state->before.rcu_nesting,
					  l.state->after.migration_disabled,
					  l.state->before.migration_disabled);
			if (row->throw_at[j] == NEVER)
				break;
		}
		unload(&l);
	}
	return ok;
}

static bool kept_is_seen(void)
{
	struct loaded l;
	bool ok = load(&l, "loop") && watch(&l, "look_before", false, "loop") &&
		  watch(&l, "look_after", false, "loop") &&
		  run_once(&l, find_row("loop"), IN_PROCESS, NEVER);

	ok = ok && (l.state->before.migration_disabled > 0 || fail("migration seems to be enabled"));
	unload(&l);
	return ok;
}

static int skip(void *ctx, void *data, size_t size)
{
	(void)ctx, (void)data, (void)size;
	return 0;
}

/* Records that weren't discarded would stop who reads the ring, and then it fills */
static bool releases(const char *prog)
{
	const struct row row = { .throw_at = { 0, 2, NEVER }, .rounds = ROUNDS, .ret = ROUNDS, .own = NEVER,
				 .prog = prog };
	struct ring_buffer *reader = NULL;
	struct loaded l;
	bool ok = load(&l, prog);
	int runs = 0;

	if (ok)
		reader = ring_buffer__new(bpf_object__find_map_fd_by_name(l.obj, "records"), skip, NULL, NULL);
	for (; ok && runs < 20; runs++) {
		ok = run_rounds(&l, &row, runs % TEST_CONTEXTS) && reader &&
		     ring_buffer__consume(reader) >= 0;
	}
	/* twice two throws each time, of which each released the callback's and the program's */
	ok = ok && state_is(&l, "released", fdinfo_value(l.fd, "released"), runs * 4 * 2);
	ring_buffer__free(reader);
	unload(&l);
	return ok;
}

static bool released(void) { return releases("holding"); }
static bool released_inlined(void) { return releases("holding_inlined"); }

static bool counted(void)
{
	struct loaded l;
	bool ok = load(&l, "loop_in_each_in_loop") &&
		  run_rounds(&l, find_row("loop_in_each_in_loop"), IN_PROCESS);

	ok = ok && (fdinfo_value(l.fd, "throws") == 6 ||
		    fail("fdinfo has %lld throws, expected 6", fdinfo_value(l.fd, "throws")));
	unload(&l);
	return ok;
}

/* --- who watches ---------------------------------------------------------------------------- */

/* @watcher on @func has to come out @exits times where round @at throws */
static bool watched(const char *prog, const char *watcher, bool in_kernel, const char *func, __u64 at,
		    __u64 exits)
{
	struct loaded l;
	bool ok = load(&l, prog) && watch(&l, watcher, in_kernel, func) &&
		  run_once(&l, find_row(prog), IN_PROCESS, at) &&
		  state_is(&l, "exits seen", l.state->exits, exits) &&
		  run_rounds(&l, find_row(prog), IN_PROCESS) &&
		  run_rounds(&l, find_row(prog), IN_SOFTIRQ);

	unload(&l);
	return ok;
}

static bool fexit_callback(void)
{
	return watched("loop", "watch", false, "on_loop", 2, 3) &&
	       watched("called_directly", "watch", false, "on_loop", 3, 4) &&
	       watched("each_percpu_hash", "watch", false, "on_elem", 2, 3);
}

static bool fexit_below(void)
{
	return watched("loop", "watch", false, "assertion", 2, 2) &&
	       watched("loop_inlined", "watch", false, "on_loop", 2, 2);
}

static bool fexit_helper(void)
{
	return watched("loop", "watch", true, "bpf_loop", 2, 1) &&
	       watched("loop_in_loop", "watch", true, "bpf_loop", 7, 3);
}

/* Its throw is a second one that is pending, as long as its own helper returns */
static bool fexit_helper_throws(void)
{
	return watched("loop", "watch_and_throw", true, "bpf_loop", 2, 1) &&
	       watched("each_percpu_hash", "watch_and_throw", false, "on_elem", 2, 3);
}

/* It isn't taken for its own */
static bool fexit_helper_asks(void)
{
	return watched("loop", "watch_and_ask", true, "bpf_loop", 2, 1) &&
	       watched("loop_in_loop", "watch_and_ask", true, "bpf_loop", 7, 3) &&
	       watched("each_percpu_hash", "watch_and_ask", false, "on_elem", 2, 3);
}

/* An extension of what the callback calls throws, in a callback of its own: the program goes on */
static bool extension(void)
{
	struct loaded l;
	bool ok = load(&l, "loop_global") && watch(&l, "replacement", false, "global_assertion");
	int ext = ok ? bpf_program__fd(bpf_object__find_program_by_name(l.watchers[0], "replacement")) : -1;
	__u32 ret;

	for (enum test_context context = 0; ok && context < TEST_CONTEXTS; context++)
		ok = reset(&l, NEVER) && run_xdp(&l, context, &ret) && state_is(&l, "returned", ret, PASSED) &&
		     state_is(&l, "the helper returned", l.state->ret, ROUNDS) &&
		     state_is(&l, "rounds", l.state->rounds, ROUNDS) &&
		     state_is(&l, "extensions", l.state->exits, ROUNDS) &&
		     state_is(&l, "throws of the program", fdinfo_value(l.fd, "throws"), 0) &&
		     state_is(&l, "throws", fdinfo_value(ext, "throws"), (context + 1) * ROUNDS);
	unload(&l);
	return ok;
}

/* The target of a tail call throws in a callback: its caller goes on, and throws in one, too */
static bool tail_call(void)
{
	struct loaded l, target;
	bool ok = load(&l, "caller");
	__u32 ret, zero = 0;

	ok = load(&target, "loop") && ok && reset(&target, 2);
	if (ok && bpf_map_update_elem(bpf_object__find_map_fd_by_name(l.obj, "target"), &zero, &target.fd, 0))
		ok = fail("cannot set the target: %s", strerror(errno));
	for (enum test_context context = 0; ok && context < TEST_CONTEXTS; context++)
		ok = reset(&target, 2) && reset(&l, NEVER) && run_xdp(&l, context, &ret) &&
		     state_is(&l, "returned", ret, CAUGHT(COOKIE(2)) + 1) &&
		     state_is(&l, "came behind the helper", l.state->behind, 1) &&
		     reset(&target, 3) && reset(&l, 1) && run_xdp(&l, context, &ret) &&
		     state_is(&l, "returned", ret, CAUGHT(COOKIE(1))) &&
		     state_is(&l, "the target's rounds", target.state->rounds, 4);
	ok = ok && state_is(&l, "throws", fdinfo_value(l.fd, "throws"), TEST_CONTEXTS) &&
	     state_is(&l, "the target's throws", fdinfo_value(target.fd, "throws"), 2 * TEST_CONTEXTS);
	unload(&l);
	unload(&target);
	return ok;
}

/* While a throw is pending, the program itself or another one interrupts, and throws, too */
static bool nested(const char *prog, const char *nested_prog, enum test_context context)
{
	struct test_run run = { .context = IN_PROCESS, .nested_context = context };
	struct loaded l, n = {};
	bool ok = load(&l, prog) && watch(&l, "watch_and_nest", true, "bpf_loop");

	if (ok && nested_prog)
		ok = load(&n, nested_prog) && reset(&n, 2);
	run.prog_fd = l.fd;
	run.nested_fd = nested_prog ? n.fd : l.fd;
	for (int i = 0; ok && i < 100; i++) {
		ok = reset(&l, 2) && (!nested_prog || reset(&n, 2));
		if (ok && ioctl(device, TEST_RUN, &run))
			ok = fail("cannot run: %s", strerror(errno));
		if (ok && (run.bad || run.nested_bad))
			ok = fail("bad registers %#x, nested %#x", run.bad, run.nested_bad);
		ok = ok && state_is(&l, "exits seen", l.state->exits, 1) &&
		     state_is(&l, "returned", run.ret, CAUGHT(COOKIE(nested_prog ? 2 : 0))) &&
		     state_is(&l, "nested returned", run.nested_ret, CAUGHT(COOKIE(nested_prog ? 2 : 1)));
	}
	unload(&l);
	if (nested_prog)
		unload(&n);
	return ok;
}

static bool nested_call(void) { return nested("loop", "each_hash", IN_PROCESS); }
static bool nested_nmi(void) { return nested("loop", "each_hash", IN_NMI) && nested("loop", "drain", IN_NMI); }
static bool nested_deep(void) { return deep(device); }
static bool nested_self(void) { return nested("always_throws", NULL, IN_NMI); }

/* Ask the kernel's tracer something */
static bool trace(const char *file, const char *text)
{
	const char *rest = text;
	char path[128];
	ssize_t wrote = 0;
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_TRUNC);
	/* some take a word at a time */
	for (; fd >= 0 && *rest && wrote >= 0; rest += wrote > 0 ? wrote : 0)
		wrote = write(fd, rest, strlen(rest));
	if (fd < 0 || wrote < 0)
		return fail("cannot write \"%s\" to %s: %s", text, path, strerror(errno));
	close(fd);
	return true;
}

static bool run_some(void)
{
	static const char *const some[] = {
		"loop", "each_percpu_hash", "drain", "loop_in_each_in_loop", "holding_in_each", "globals_between",
		"tail_calls",
	};
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof(some) / sizeof(some[0]); i++)
		ok = run_row(find_row(some[i]));
	return ok;
}

static bool kretprobe(void)
{
	bool ok = trace("kprobe_events", "r:helper bpf_loop\nr:each bpf_for_each_hash_elem\n") &&
		  trace("events/kprobes/enable", "1") && run_some();

	return trace("events/kprobes/enable", "0") && trace("kprobe_events", "") && ok;
}

static bool function_graph(void)
{
	bool ok = trace("set_ftrace_filter", "bpf_loop bpf_for_each_hash_elem bpf_for_each_array_elem bpf_user_ringbuf_drain") &&
		  trace("current_tracer", "function_graph") && run_some();

	return trace("current_tracer", "nop") && trace("set_ftrace_filter", "\n") && ok;
}

static bool hardened(void)
{
	FILE *f = fopen("/proc/sys/net/core/bpf_jit_harden", "w");
	bool ok;

	if (!f || fputs("2", f) < 0 || fflush(f))
		return fail("cannot set bpf_jit_harden: %s", strerror(errno));
	ok = run_some();
	rewind(f);
	fputs("0", f);
	fclose(f);
	return ok;
}

/* --- bpf_find_vma() --------------------------------------------------------------------------- */

/* What needs the lock of the address space for itself; it is killed if it waits for it */
static bool lock_is_free(void)
{
	void *page;
	bool ok;

	alarm(20);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ok = page != MAP_FAILED && !mprotect(page, 4096, PROT_NONE) && !munmap(page, 4096);
	alarm(0);
	return ok || fail("mprotect: %s", strerror(errno));
}

static bool vma_row(const struct loaded *l, bool throws, __u32 ret, __u32 want)
{
	/* -EBUSY on PREEMPT_RT, where it can't take the lock with interrupts off */
	return state_is(l, "the helper returned", l->state->ret, 0) &&
	       state_is(l, "returned", ret, want) && state_is(l, "rounds", l->state->rounds, 1) &&
	       state_is(l, "came behind the helper", l->state->behind, !throws) && lock_is_free();
}

static bool vma_own(void)
{
	struct loaded l;
	bool ok = load(&l, "vma_own");
	__u32 ret;

	for (int i = 0; ok && i < 20; i++) {
		bool throws = i % 2;

		ok = reset(&l, throws ? 0 : NEVER);
		l.state->addr = (unsigned long)&l;
		ok = ok && run_syscall(&l, &ret) &&
		     vma_row(&l, throws, ret, throws ? CAUGHT(COOKIE(0)) : PASSED);
	}
	unload(&l);
	return ok;
}

static bool iterate(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	char buf[64];
	ssize_t got;

	if (fd < 0)
		return fail("cannot create an iterator: %s", strerror(errno));
	got = read(fd, buf, sizeof(buf));
	close(fd);
	return !got || fail("the iterator read %zd", got);
}

/* A child that needs its lock for each number that it is sent */
static pid_t locking_child(int *to)
{
	int pipe_ends[2];
	pid_t child;
	char c;

	if (pipe(pipe_ends))
		return -1;
	child = fork();
	if (child) {
		close(pipe_ends[0]);
		*to = pipe_ends[1];
		return child;
	}
	close(pipe_ends[1]);
	while (read(pipe_ends[0], &c, 1) == 1)
		if (!lock_is_free())
			_exit(1);
	_exit(0);
}

static bool vma_other(void)
{
	struct loaded l;
	bool ok = load(&l, "vma_other");
	struct bpf_link *link = NULL;
	int status, to = -1;
	pid_t child = ok ? locking_child(&to) : -1;

	if (child > 0)
		link = bpf_program__attach_iter(bpf_object__find_program_by_name(l.obj, "vma_other"), NULL);
	if (!link)
		ok = fail("cannot attach: %s", strerror(errno));
	for (int i = 0; ok && i < 20; i++) {
		bool throws = i % 2;

		/* the helper doesn't wait while the child has its lock, for the number before */
		for (int tries = 0; ok && tries < 100; tries++) {
			if (tries && l.state->ret != (__u64)-EBUSY)
				break;
			ok = reset(&l, throws ? 0 : NEVER);
			l.state->addr = (unsigned long)&l;
			l.state->pid = child;
			ok = ok && iterate(link);
		}
		ok = ok && vma_row(&l, throws, 0, 0) && write(to, "", 1) == 1;
	}
	close(to);
	if (child > 0 && (waitpid(child, &status, 0) != child || status))
		ok = fail("the other task ended with status %#x", status);
	bpf_link__destroy(link);
	unload(&l);
	return ok;
}

static unsigned long kernel_symbol(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512], symbol[256];
	unsigned long addr, found = 0;

	while (!found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx %*c %255s", &addr, symbol) == 2 && !strcmp(symbol, name))
			found = addr;
	fclose(f);
	return found;
}

/* On a breakpoint in the kernel: as an NMI, with interrupts off */
static bool vma_nmi(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_X,
		.bp_addr = kernel_symbol("__x64_sys_getsid"),
		.bp_len = sizeof(long),
		.sample_period = 1,
	};
	int event = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	struct bpf_link *link = NULL;
	struct loaded l;
	bool ok = load(&l, "vma_in_nmi");

	if (ok && event >= 0)
		link = bpf_program__attach_perf_event(bpf_object__find_program_by_name(l.obj, "vma_in_nmi"),
						      event);
	if (!link)
		ok = fail("cannot attach: %s", strerror(errno));
	for (int i = 0; ok && i < 20; i++) {
		bool throws = i % 2;

		ok = reset(&l, throws ? 0 : NEVER);
		l.state->addr = (unsigned long)&l;
		l.state->pid = getpid();
		getsid(getpid());
		ok = ok && vma_row(&l, throws, 0, 0);
	}
	bpf_link__destroy(link);
	unload(&l);
	return ok;
}

/* --- timers -------------------------------------------------------------------------------- */

/* The callback runs @rounds, and not to its end if one of them throws; and it can be armed again */
static bool timer_runs(const char *prog, __u64 rounds, __u64 at)
{
	struct loaded l;
	bool ok = load(&l, prog);
	__u32 ret;

	for (int i = 0; ok && i < 10; i++) {
		bool throws = i % 2;

		ok = reset(&l, throws ? at : NEVER) && run_xdp(&l, IN_PROCESS, &ret);
		for (int j = 0; ok && j < 1000 && l.state->rounds < (throws ? at + 1 : rounds); j++)
			usleep(1000);
		usleep(20000);
		ok = ok && state_is(&l, "returned", ret, PASSED) &&
		     state_is(&l, "rounds", l.state->rounds, throws ? at + 1 : rounds) &&
		     state_is(&l, "the callback ended", l.state->behind, !throws);
	}
	ok = ok && (fdinfo_value(l.fd, "throws") == 5 ||
		    fail("fdinfo has %lld throws, expected 5", fdinfo_value(l.fd, "throws")));
	unload(&l);
	return ok;
}

static bool timer(void) { return timer_runs("timer", 1, 0); }
static bool timer_inlined(void) { return timer_runs("timer_inlined", ROUNDS, 2); }
static bool timer_loop(void) { return timer_runs("timer_loop", ROUNDS, 2); }

static bool timer_watched(void)
{
	struct loaded l;
	bool ok = load(&l, "timer") && watch(&l, "watch", false, "on_timer") && reset(&l, 0);
	__u32 ret;

	ok = ok && run_xdp(&l, IN_PROCESS, &ret);
	for (int j = 0; ok && j < 1000 && !l.state->exits; j++)
		usleep(1000);
	ok = ok && state_is(&l, "exits seen", l.state->exits, 1) &&
	     state_is(&l, "the callback ended", l.state->behind, 0);
	unload(&l);
	return ok;
}

/* A datagram that this process sends to itself */
static bool receive(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(addr);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	char c;
	bool ok = !ioctl(fd, SIOCSIFFLAGS, &lo) && !bind(fd, (void *)&addr, len) &&
		  !getsockname(fd, (void *)&addr, &len) &&
		  sendto(fd, "", 1, 0, (void *)&addr, len) == 1 &&
		  recvfrom(fd, &c, 1, 0, (void *)&addr, &len) == 1;

	close(fd);
	return ok || fail("no datagram: %s", strerror(errno));
}

/* What isn't allowed as a program's return value needs not be allowed for its timers' sake */
static bool timer_returns_nothing(const char *prog)
{
	int cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	struct bpf_link *link = NULL;
	struct loaded l;
	bool ok = load(&l, prog) && reset(&l, 0);

	if (ok)
		link = bpf_program__attach_cgroup(bpf_object__find_program_by_name(l.obj, prog), cgroup);
	ok = ok && (link || fail("cannot attach: %s", strerror(errno))) && receive();
	for (int i = 0; ok && i < 1000 && fdinfo_value(l.fd, "throws") < 1; i++)
		usleep(1000);
	ok = ok && state_is(&l, "rounds", l.state->rounds, 1) &&
	     state_is(&l, "throws", fdinfo_value(l.fd, "throws"), 1) &&
	     state_is(&l, "the callback ended", l.state->behind, 0);
	bpf_link__destroy(link);
	close(cgroup);
	unload(&l);
	return ok;
}

static bool timer_alone(void)
{
	return timer_returns_nothing("timer_alone") && timer_returns_nothing("timer_alone_global");
}

static bool returns_0(const char *prog)
{
	struct bpf_object *obj = open_one(prog, NULL);
	bool refused = obj && bpf_object__load(obj) &&
		       strstr(log_buf, "the default return value 0 of a throw isn't allowed here");

	bpf_object__close(obj);
	return refused || fail("%s: %s", prog, last_said());
}

static bool timer_not_alone(void)
{
	return returns_0("timer_and_main") && returns_0("timer_and_global") && returns_0("timer_and_loop");
}

/* ------------------------------------------------------------------------------------------- */

static const struct {
	bool (*run)(void);
	const char *name, *desc;
} tests[] = {
	{ kept_is_seen, "kept_is_seen", "what a throw has to leave as it was can be seen" },
	{ kept, "kept", "preemption, RCU and migration are after each of these what they were before" },
	{ released, "released", "what callback and program hold is released, once" },
	{ released_inlined, "released_inlined", "... where the loop would be inlined, if nothing were held" },
	{ counted, "counted", "a throw through three helpers is one throw" },
	{ vma_own, "vma_own", "bpf_find_vma(), own task, sleepable" },
	{ vma_other, "vma_other", "bpf_find_vma(), another task" },
	{ vma_nmi, "vma_nmi", "bpf_find_vma() in NMI context" },
	{ timer, "timer", "a timer's callback throws: it ends, and is armed again" },
	{ timer_loop, "timer_loop", "bpf_loop() in a timer's callback: that one ends" },
	{ timer_inlined, "timer_inlined", "... inlined" },
	{ timer_watched, "timer_watched", "fexit on a timer's callback that throws" },
	{ timer_alone, "timer_alone", "where programs may not return 0, and only a timer's callback throws" },
	{ timer_not_alone, "timer_not_alone", "... and others, too: refused" },
	{ fexit_callback, "fexit_callback", "fexit on a helper's callback" },
	{ fexit_below, "fexit_below", "fexit below a helper's callback, and on that of an inlined loop" },
	{ fexit_helper, "fexit_helper", "fexit on the helper" },
	{ fexit_helper_throws, "fexit_helper_throws", "... that throws in a callback itself" },
	{ fexit_helper_asks, "fexit_helper_asks", "... that calls a helper, whose callback could throw" },
	{ extension, "extension", "an extension of what a callback calls throws in a callback" },
	{ tail_call, "tail_call", "the target of a tail call throws in a callback, and then its caller" },
	{ nested_call, "nested_call", "another program throws in a callback while the helper returns" },
	{ nested_nmi, "nested_nmi", "... in an NMI" },
	{ nested_self, "nested_self", "... the same program" },
	{ nested_deep, "nested_deep", "a hundred throws are pending at once, on most of two stacks" },
	{ kretprobe, "kretprobe", "with kretprobes on helpers" },
	{ function_graph, "function_graph", "with the function graph tracer" },
	{ hardened, "hardened", "with blinded constants" },
};

static size_t report(bool ok, size_t n, const char *name, const char *desc)
{
	printf("%s %zu callbacks/%s - %s\n", ok ? "ok" : "not ok", n, name, desc);
	fflush(stdout);
	return !ok;
}

int main(int argc, char **argv)
{
	size_t n = 0, failed = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: callbacks OBJECT\n");
		return 2;
	}
	object = argv[1];
	device = open("/dev/bpf_exceptions_test", O_RDWR);
	if (device < 0) {
		fprintf(stderr, "callbacks: is bpf_exceptions_test.ko loaded? %s\n", strerror(errno));
		return 2;
	}
	printf("KTAP version 1\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		failed += report(run_row(&rows[i]), ++n, rows[i].prog, rows[i].desc);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		failed += report(tests[i].run(), ++n, tests[i].name, tests[i].desc);
	printf("1..%zu\n# Totals: pass:%zu fail:%zu skip:0\n", n, n - failed, failed);
	return !!failed;
}
