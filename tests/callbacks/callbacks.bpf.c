// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contract, section 8: throws in callbacks of helpers and timers. All programs are alike: a helper
 * calls back ROUNDS times, and in one round an assertion fails, if the test wants it to.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "../../bpf/bpf_exceptions.h"
#include "told.h"

#define __subprog	static __attribute__((noinline))
#define __global	__attribute__((noinline, weak))

struct state state SEC(".bss.state");

#define MAP(name, kind, entries)			\
	struct {					\
		__uint(type, kind);			\
		__uint(max_entries, entries);		\
		__type(key, __u32);			\
		__type(value, __u64);			\
	} name SEC(".maps")

MAP(array, BPF_MAP_TYPE_ARRAY, ROUNDS);
MAP(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, ROUNDS);
MAP(hash, BPF_MAP_TYPE_HASH, ROUNDS);
MAP(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, ROUNDS);
/* with room, or some of ROUNDS elements would have to go */
MAP(lru_hash, BPF_MAP_TYPE_LRU_HASH, 1024);
MAP(lru_percpu_hash, BPF_MAP_TYPE_LRU_PERCPU_HASH, 1024);
MAP(empty, BPF_MAP_TYPE_HASH, 1);

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} records SEC(".maps");

struct timed {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps");

char _license[] SEC("license") = "GPL";

/* --- callbacks --------------------------------------------------------------- */

/* One frame below each callback */
__subprog int assertion(__u64 kept)
{
	__u64 round = state.rounds++;

	bpf_assert_with(round != state.throw_at, COOKIE(round));
	return kept;
}

__global int global_assertion(__u64 kept)
{
	return assertion(kept);
}

__subprog long on_loop(__u32 i, void *ctx)
{
	return assertion(i) != (int)i;
}

/* In the callback itself, with stack and registers in use */
__subprog long on_loop_itself(__u32 i, void *ctx)
{
	volatile __u64 buf[8] = { i };
	__u64 round = state.rounds++, other = bpf_get_prandom_u32(), more = bpf_get_prandom_u32();

	bpf_get_smp_processor_id();
	if (round == state.throw_at)
		bpf_throw(COOKIE(round) + buf[7]);
	return other + more == (1ull << 63);
}

__subprog long on_loop_global(__u32 i, void *ctx)
{
	global_assertion(0);
	return 0;
}

__subprog long always(__u32 i, void *ctx)
{
	bpf_throw(COOKIE(state.rounds++));
}

__subprog long on_elem(void *map, __u32 *key, __u64 *value, void *ctx)
{
	return assertion(0);
}

__subprog long always_elem(void *map, __u32 *key, __u64 *value, void *ctx)
{
	bpf_throw(COOKIE(state.rounds++));
}

__subprog long on_sample(struct bpf_dynptr *sample, void *ctx)
{
	return assertion(0);
}

__subprog int caught(__u64 cookie)
{
	return CAUGHT(cookie);
}

/* --- programs ------------------------------------------------------------------ */

/* bpf_loop(), called: that flags are 0 isn't known */
volatile __u64 no_flags;
#define LOOP(callback, ctx) bpf_loop(ROUNDS, callback, ctx, no_flags)

#define ROW(name, call)					\
	SEC("xdp") int name(struct xdp_md *ctx)		\
	{						\
		bpf_set_exception_callback(caught);	\
		state.ret = call;			\
		state.behind++;				\
		return PASSED;				\
	}

ROW(loop, LOOP(on_loop, NULL))
ROW(loop_itself, LOOP(on_loop_itself, NULL))
ROW(loop_global, LOOP(on_loop_global, NULL))
ROW(loop_inlined, bpf_loop(ROUNDS, on_loop, NULL, 0))
ROW(loop_itself_inlined, bpf_loop(ROUNDS, on_loop_itself, NULL, 0))
ROW(each_array, bpf_for_each_map_elem(&array, on_elem, NULL, 0))
ROW(each_percpu_array, bpf_for_each_map_elem(&percpu_array, on_elem, NULL, 0))
ROW(each_hash, bpf_for_each_map_elem(&hash, on_elem, NULL, 0))
ROW(each_percpu_hash, bpf_for_each_map_elem(&percpu_hash, on_elem, NULL, 0))
ROW(each_lru_hash, bpf_for_each_map_elem(&lru_hash, on_elem, NULL, 0))
ROW(each_lru_percpu_hash, bpf_for_each_map_elem(&lru_percpu_hash, on_elem, NULL, 0))
ROW(drain, bpf_user_ringbuf_drain(&ring, on_sample, NULL, 0))

/* It loops once */
ROW(always_throws, bpf_loop(ROUNDS, always, NULL, no_flags))
/* ... or not at all: what is behind the helper has been verified, too */
ROW(never_called, bpf_for_each_map_elem(&empty, always_elem, NULL, 0))

SEC("xdp") int no_callback(struct xdp_md *ctx)
{
	state.ret = LOOP(on_loop, NULL);
	state.behind++;
	return PASSED;
}

/* The helper's caller is further down, has registers and stack in use, and is called with some */
__subprog __u64 calls_helper(__u64 a, __u64 b)
{
	volatile __u64 buf[4] = { a, b, a, b };
	__u64 c = bpf_get_prandom_u32(), ret = LOOP(on_loop, NULL);

	return ret + buf[0] - buf[2] + c - c + (b == 1ull << 63) + (a == 1ull << 63);
}

ROW(below, calls_helper(bpf_get_prandom_u32(), bpf_get_prandom_u32()))

__global int global_calls_helper(int unused)
{
	return LOOP(on_loop, NULL);
}

ROW(below_global, global_calls_helper(1))

/* The second of two */
ROW(second, LOOP(on_loop, NULL) + bpf_for_each_map_elem(&hash, on_elem, NULL, 0))

/* The callback is a function like others, too */
ROW(called_directly, on_loop(0, NULL) + LOOP(on_loop, NULL) + on_loop(0, NULL))

/* A throw of the main program's own behind it all */
SEC("xdp") int behind_helper(struct xdp_md *ctx)
{
	bpf_set_exception_callback(caught);
	state.ret = LOOP(on_loop, NULL);
	state.behind++;
	assertion(0);
	return PASSED;
}

/* --- what is held meanwhile, by the callback and by the program that called the helper ------- */

__subprog long on_loop_holding(__u32 i, void *ctx)
{
	void *record = bpf_ringbuf_reserve(&records, 256, 0);

	if (!record)
		return 1;
	assertion(0);
	bpf_ringbuf_discard(record, 0);
	return 0;
}

#define HOLDING(name, flags)							\
	SEC("xdp") int name(struct xdp_md *ctx)					\
	{									\
		void *record = bpf_ringbuf_reserve(&records, 256, 0);		\
										\
		bpf_set_exception_callback(caught);				\
		if (!record)							\
			return 1;						\
		state.ret = bpf_loop(ROUNDS, on_loop_holding, NULL, flags);	\
		state.behind++;							\
		bpf_ringbuf_discard(record, 0);					\
		return PASSED;							\
	}

HOLDING(holding, no_flags)
HOLDING(holding_inlined, 0)

/* --- a callback that calls a helper that calls back ---------------------------------- */

#define NESTED(name, inner)							\
	__subprog long in_##name(__u32 i, void *ctx)				\
	{									\
		volatile __u64 kept = bpf_get_prandom_u32();			\
		__u64 same = kept;						\
		long ret = inner;						\
										\
		return ret != ROUNDS || same != kept;				\
	}

#define NESTED_ELEM(name, inner)						\
	__subprog long in_##name(void *map, __u32 *key, __u64 *value, void *ctx) \
	{									\
		volatile __u64 kept = bpf_get_prandom_u32();			\
		__u64 same = kept;						\
		long ret = inner;						\
										\
		return ret != ROUNDS || same != kept;				\
	}

NESTED(loop_in_loop, LOOP(on_loop, NULL))
ROW(loop_in_loop, LOOP(in_loop_in_loop, NULL))
NESTED(each_in_inlined, bpf_for_each_map_elem(&hash, on_elem, NULL, 0))
ROW(each_in_inlined, bpf_loop(ROUNDS, in_each_in_inlined, NULL, 0))
NESTED_ELEM(inlined_in_each, bpf_loop(ROUNDS, on_loop, NULL, 0))
ROW(inlined_in_each, bpf_for_each_map_elem(&percpu_array, in_inlined_in_each, NULL, 0))
NESTED_ELEM(loop_in_each, LOOP(on_loop, NULL))
NESTED(loop_in_each_in_loop, bpf_for_each_map_elem(&array, in_loop_in_each, NULL, 0))
ROW(loop_in_each_in_loop, LOOP(in_loop_in_each_in_loop, NULL))

/* --- what else may come between ------------------------------------------------------- */

/* A loop that would be inlined, in a callback that holds something meanwhile */
__subprog long on_elem_holding(void *map, __u32 *key, __u64 *value, void *ctx)
{
	void *record = bpf_ringbuf_reserve(&records, 8, 0);
	long ret;

	if (!record)
		return 1;
	ret = bpf_loop(ROUNDS, on_loop, NULL, 0);
	bpf_ringbuf_discard(record, 0);
	return ret != ROUNDS;
}

ROW(holding_in_each, bpf_for_each_map_elem(&array, on_elem_holding, NULL, 0))

/* Global functions on both sides of a helper */
__global int global_each(int unused)
{
	return bpf_for_each_map_elem(&array, on_elem, NULL, 0);
}

__subprog long on_loop_global_each(__u32 i, void *ctx)
{
	return global_each(i) != ROUNDS;
}

__global int global_loop(int unused)
{
	return LOOP(on_loop_global_each, NULL);
}

ROW(globals_between, global_loop(1))

/* One callback, two helper calls: something is held at the first one, in the same function */
__subprog __u64 shares_callback(void)
{
	void *record = bpf_ringbuf_reserve(&records, 8, 0);
	__u64 ret;

	if (!record)
		return 1000;
	ret = LOOP(on_loop, NULL);
	bpf_ringbuf_discard(record, 0);
	return ret + LOOP(on_loop, NULL);
}

ROW(shared_callback, shares_callback())

/* ... and two types of context */
__subprog long on_loop_context(__u32 i, __u64 *ctx)
{
	if (ctx)
		*ctx += 1;
	return on_loop(i, NULL);
}

__subprog __u64 with_and_without(void)
{
	__u64 cnt = 0, ret = LOOP(on_loop_context, NULL);

	ret += LOOP(on_loop_context, &cnt);
	return cnt == ROUNDS ? ret : 1000;
}

ROW(different_contexts, with_and_without())

/* A callback calls another callback, and has it called */
__subprog long on_loop_both(__u32 i, void *ctx)
{
	long ret = on_loop(i, NULL);

	return ret || LOOP(on_loop, NULL) != ROUNDS;
}

ROW(called_both_ways, LOOP(on_loop_both, NULL))

/* Helpers are called from frames that tail calls may be made in, which have a slot more */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

__subprog __u64 may_tail_call(struct xdp_md *ctx, __u64 a)
{
	volatile __u64 kept = a;
	__u64 ret;

	if (no_flags)
		bpf_tail_call(ctx, &target, 0);
	ret = LOOP(on_loop, NULL);
	return kept == a ? ret : 1000;
}

ROW(tail_calls, may_tail_call(ctx, bpf_get_prandom_u32()))

/* The target may be a program that throws in a callback itself: the other one goes on */
__subprog int goes_on(struct xdp_md *ctx)
{
	int ret = -1;

	bpf_tail_call(ctx, &target, 0);
	barrier_var(ret); /* or the compiler takes it for the only one */
	return ret;
}

SEC("xdp") int caller(struct xdp_md *ctx)
{
	int ret;

	bpf_set_exception_callback(caught);
	ret = goes_on(ctx);
	LOOP(on_loop, NULL);
	state.behind++;
	return ret + 1;
}

/* Takes the place of global_assertion() */
SEC("freplace") int replacement(__u64 kept)
{
	state.exits++;
	bpf_for_each_map_elem(&array, always_elem, NULL, 0);
	state.exits += 1000;
	return 5;
}

/* --- bpf_find_vma() ------------------------------------------------------------------- */

struct vm_area_struct;

__subprog long on_vma(struct task_struct *task, struct vm_area_struct *vma, void *ctx)
{
	return assertion(0);
}

/* Sleepable */
SEC("syscall") int vma_own(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	bpf_set_exception_callback(caught);
	state.ret = bpf_find_vma(task, state.addr, on_vma, NULL, 0);
	state.behind++;
	return PASSED;
}

/* ... and a loop in such a program */
SEC("syscall") int loop_sleepable(void *ctx)
{
	bpf_set_exception_callback(caught);
	state.ret = LOOP(on_loop, NULL);
	state.behind++;
	return PASSED;
}

struct task_struct {
	__u32 pid;
	int rcu_read_lock_nesting;
	unsigned short migration_disabled;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	union {
		void *meta;
	} __attribute__((aligned(8)));
	union {
		struct task_struct *task;
	} __attribute__((aligned(8)));
};

/* Another task's: 0 is the only value that says nothing to the iterator */
SEC("iter/task") int vma_other(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task || task->pid != state.pid)
		return 0;
	state.ret = bpf_find_vma(task, state.addr, on_vma, NULL, 0);
	state.behind++;
	return 0;
}

SEC("perf_event") int vma_in_nmi(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->pid != state.pid)
		return 0;
	state.ret = bpf_find_vma(task, state.addr, on_vma, NULL, 0);
	state.behind++;
	return 0;
}

/* --- timers ------------------------------------------------------------------------- */

__subprog int on_timer(void *map, int *key, struct timed *value)
{
	assertion(0);
	state.behind++;
	return 0;
}

__subprog int on_timer_loop(void *map, int *key, struct timed *value)
{
	state.ret = LOOP(on_loop, NULL);
	state.behind++;
	return 0;
}

#define TIMER(name, callback)								\
	SEC("xdp") int name(struct xdp_md *ctx)						\
	{										\
		__u32 zero = 0;								\
		struct timed *timed = bpf_map_lookup_elem(&timers, &zero);		\
											\
		bpf_set_exception_callback(caught);					\
		if (!timed)								\
			return 1;							\
		bpf_timer_init(&timed->timer, &timers, 1 /* CLOCK_MONOTONIC */);		\
		if (bpf_timer_set_callback(&timed->timer, callback) ||			\
		    bpf_timer_start(&timed->timer, 1000000, 0))				\
			return 2;							\
		return PASSED;								\
	}

__subprog int on_timer_inlined(void *map, int *key, struct timed *value)
{
	state.ret = bpf_loop(ROUNDS, on_loop, NULL, 0);
	state.behind++;
	return 0;
}

TIMER(timer, on_timer)
TIMER(timer_inlined, on_timer_inlined)
TIMER(timer_loop, on_timer_loop)

/*
 * Programs at a hook where 0, which a throw returns without an exception callback, isn't allowed. A
 * throw in a timer returns nothing there.
 */
__subprog int on_timer_global(void *map, int *key, struct timed *value)
{
	global_assertion(0);
	state.behind++;
	return 0;
}

#define AT_RECVMSG(name, callback, more)						\
	SEC("cgroup/recvmsg4") int name(struct bpf_sock_addr *ctx)			\
	{										\
		__u32 zero = 0;								\
		struct timed *timed = bpf_map_lookup_elem(&timers, &zero);		\
											\
		if (!timed)								\
			return 1;							\
		bpf_timer_init(&timed->timer, &timers, 1 /* CLOCK_MONOTONIC */);	\
		bpf_timer_set_callback(&timed->timer, callback);			\
		bpf_timer_start(&timed->timer, 1000000, 0);				\
		more;									\
		return 1;								\
	}

AT_RECVMSG(timer_alone, on_timer, )
AT_RECVMSG(timer_alone_global, on_timer_global, )
AT_RECVMSG(timer_and_main, on_timer, assertion(0))
AT_RECVMSG(timer_and_global, on_timer_global, global_assertion(0))
AT_RECVMSG(timer_and_loop, on_timer, LOOP(on_loop, NULL))

/* --- who watches --------------------------------------------------------------------- */

extern const int __preempt_count __ksym;

__subprog void look(struct kept *kept)
{
	struct task_struct *task = bpf_get_current_task_btf();
	int *count = bpf_this_cpu_ptr(&__preempt_count);

	/* Without x86's inverted bit for "need to reschedule", which an interrupt sets */
	kept->preempt_count = *count & 0x7fffffff;
	if (bpf_core_field_exists(task->rcu_read_lock_nesting))
		kept->rcu_nesting = task->rcu_read_lock_nesting;
	if (bpf_core_field_exists(task->migration_disabled))
		kept->migration_disabled = task->migration_disabled;
}

SEC("fentry") int BPF_PROG(look_before)
{
	look(&state.before);
	return 0;
}

SEC("fexit") int BPF_PROG(look_after)
{
	look(&state.after);
	return 0;
}

SEC("fexit") int BPF_PROG(watch)
{
	state.exits++;
	return 0;
}

void bpf_test_nest(void) __ksym;

/* ... and has another program interrupt it, while a throw is pending */
SEC("fexit") int BPF_PROG(watch_and_nest)
{
	state.exits++;
	bpf_test_nest();
	return 0;
}

/* ... and throws itself, while the other program's throw is pending */
__u64 watcher_rounds;

__subprog long on_watcher_elem(void *map, __u32 *key, __u64 *value, void *ctx)
{
	watcher_rounds++;
	bpf_throw(1);
}

SEC("fexit") int BPF_PROG(watch_and_throw)
{
	state.exits++;
	bpf_for_each_map_elem(&array, on_watcher_elem, NULL, 0);
	state.exits += 1000;
	return 0;
}

/* ... or doesn't throw, but asks whether it has, while the other program's throw is pending */
__subprog long on_quiet_elem(void *map, __u32 *key, __u64 *value, void *ctx)
{
	if (no_flags)
		bpf_throw(1);
	return 0;
}

SEC("fexit") int BPF_PROG(watch_and_ask)
{
	__u64 kept[4] = { bpf_get_prandom_u32(), bpf_ktime_get_ns(), (long)ctx, bpf_get_smp_processor_id() };
	__u64 a = kept[0], b = kept[1], c = kept[2], d = kept[3];

	barrier_var(a);
	barrier_var(b);
	barrier_var(c);
	barrier_var(d);
	if (bpf_for_each_map_elem(&array, on_quiet_elem, NULL, 0) == ROUNDS && a == kept[0] && b == kept[1] &&
	    c == kept[2] && d == kept[3])
		state.exits++;
	return 0;
}
