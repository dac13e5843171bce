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
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "../fdinfo.h"
#include "callbacks.h"

#define TRACING "/sys/kernel/tracing/"

int device;
const char *object;

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
