// SPDX-License-Identifier: GPL-2.0-only
/*
 * Throws in the callbacks of helpers and timers.
 *
 * A helper is C: it can't be unwound, it has to return. So a throw that comes to the frame of its
 * callback is pending from there on. The callback returns 1, upon which each helper of Linux
 * 6.1 that calls back stops, drops what it holds and returns to the program. There the JITed
 * code sees that something is pending, and comes back here with the frame that called the helper,
 * for the walk to go on from that one.
 *
 * What is pending is kept on a stack of each processor's. Preemption is off from push to pop, so
 * all that runs on the processor meanwhile is what the helper does before it returns, and what
 * interrupts that: other programs may come and go, throw and have throws of theirs pending,
 * but their throws are above this one, and gone when it is looked for. A program asks behind each
 * of its helper calls, and may find another's: see is_own().
 *
 * A timer's callback has no program to go on with. Its throw ends it alone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/bug.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/stacktrace.h>
#include "pending.h"
#include "release.h"
#include "report.h"

#ifdef BPF_UNWIND_PENDING

/**
 * struct pending - a throw that a helper has to return for
 * @fp: frame of the callback, which is gone; NOBODY while the rest isn't filled in
 * @cookie: what was thrown
 * @table: of the program
 * @key: of the event that told of it, or 0
 * @level: whether that runs in process, softirq, hardirq or NMI context
 */
struct pending {
	unsigned long fp;
	u64 cookie;
	struct bpf_unwind_table *table;
	u64 key;
	u8 level;
};

#define NOBODY ~0UL

/* Frames of a program and of its helpers, and of what looks for them */
#define MAX_TRACE 48

/*
 * How many can be pending on one processor: as many as its stacks have room for. Between two of
 * them there are at least the frames of a helper, of a program, and of what calls programs from
 * inside of a helper: a trampoline, or more.
 */
#define LEAST_STACK 128
#define ALL_STACKS (THREAD_SIZE + IRQ_STACK_SIZE + EXCEPTION_STKSZ)
#define MAX_PENDING (ALL_STACKS / LEAST_STACK)

static struct pending __percpu *stack;

/*
 * An NMI may come between any two instructions, push what is pending there, and pop it. It
 * leaves all as it was: what it uses are entries from the count on, whose fp is NOBODY.
 */
static void push(const struct throw_frame *throw, struct bpf_unwind_table *table, u64 key)
{
	struct pending *entry;
	u32 i;

	preempt_disable_notrace();
	i = this_cpu_inc_return(bpf_unwind_pending) - 1;
	BUG_ON(i >= MAX_PENDING);
	entry = this_cpu_ptr(stack) + i;
	entry->cookie = throw->cookie;
	entry->table = table;
	entry->key = key;
	entry->level = interrupt_context_level();
	barrier();
	WRITE_ONCE(entry->fp, (unsigned long)throw->fp);
}

/*
 * Has the program whose helper has just returned thrown in the helper's callback? It is the one
 * that is pending if the callback's frame was below what it calls from now, on the same stack.
 *
 * That stack is another one in another context. In the same context, until the pending program
 * looks here itself, only those can look that run while the helper returns, watching it or
 * something that it calls: and these programs, which have other tables, don't run over themselves.
 */
static bool is_own(const struct pending *entry, const struct throw_frame *throw,
		   const struct bpf_unwind_table *table)
{
	return READ_ONCE(entry->fp) < (unsigned long)&throw->ip && entry->table == table &&
	       entry->level == interrupt_context_level();
}

static bool pop(struct throw_frame *throw, const struct bpf_unwind_table *table, u64 *key)
{
	u32 pending = this_cpu_read(bpf_unwind_pending);
	struct pending *entry;

	if (WARN_ON_ONCE(!pending))
		return false;
	entry = this_cpu_ptr(stack) + pending - 1;
	if (!is_own(entry, throw, table))
		return false;
	throw->cookie = entry->cookie;
	*key = entry->key;
	WRITE_ONCE(entry->fp, NOBODY);
	barrier();
	this_cpu_dec(bpf_unwind_pending);
	preempt_enable_notrace();
	return true;
}

static bool returns_into(const struct bpf_unwind_frame *frame, u32 ret)
{
	return ret - frame->ret < frame->len;
}

/* The function that @ret returns into, or NULL; @hint is the index of the one found last */
static notrace struct bpf_unwind_frame *find(struct bpf_unwind_table *table, u32 ret, u8 *hint)
{
	struct bpf_unwind_frame *frame = &table->frame[READ_ONCE(*hint)];

	if (likely(returns_into(frame, ret)))
		return frame;
	frame = bpf_exceptions_search_frame(table, ret);
	if (frame)
		WRITE_ONCE(*hint, frame - table->frame);
	return frame;
}

/**
 * bpf_exceptions_ends_callback() - is it the kernel that called a function, and not the program?
 * @table: of the program
 * @frame: the function; its return address isn't in the program
 * @fp: its frame
 *
 * Helpers are of vmlinux, which no trampoline is in.
 */
bool bpf_exceptions_ends_callback(struct bpf_unwind_table *table,
				  const struct bpf_unwind_frame *frame, const unsigned long *fp)
{
	if (!(frame->flags & (BPF_UNWIND_HELPER_CB | BPF_UNWIND_TIMER_CB)))
		return false;
	if (likely(fp[1] < MODULES_VADDR) || !bpf_tramp_image_find(fp[1]))
		return true;
	/* above the trampoline's own return address is the one of who called the function */
	fp = (const unsigned long *)fp[0];
	return !bpf_exceptions_search_frame(table, fp[2]);
}

/* Undo what push_callee_regs() of the JIT did: all of it, not only what the main program hasn't */
static void pop_registers(struct throw_frame *throw, const struct bpf_unwind_frame *frame)
{
	unsigned long *slot = throw->fp + frame->saved_off;
	int i;

	for (i = 0; i < 4; i++)
		if (frame->saved_regs & 1 << i)
			throw->saved[i] = *--slot;
}

/*
 * Where the function at throw->fp is a callback it returns: to the helper, or to the trampoline
 * that watches it, which runs its fexit programs and goes on to the helper.
 */
static struct landing end_callback(struct throw_frame *throw, struct bpf_unwind_table *table,
				   const struct bpf_unwind_frame *frame, u64 key)
{
	if (frame->flags & BPF_UNWIND_TIMER_CB)
		return (struct landing){};
	push(throw, table, key);
	return (struct landing){ .ret = 1 };
}

/*
 * From the function that throw->ip is in to the main program, or to a callback. For @unlocked and
 * notrace see walk_and_release().
 */
static notrace struct landing walk(struct throw_frame *throw, struct bpf_unwind_table *table,
				   u64 key, bool unlocked)
{
	const unsigned long *scratch = (unsigned long *)(throw + 1);
	struct bpf_unwind_cleanup *cleanup = bpf_unwind_cleanup(table);
	struct bpf_unwind_frame *frame, *caller;

	frame = bpf_exceptions_search_frame(table, throw->ip);
	BUG_ON(!frame);
	for (;;) {
		if (cleanup)
			bpf_exceptions_release(throw, scratch, cleanup, unlocked);
		pop_registers(throw, frame);
		if (frame == table->frame) {
			bpf_exceptions_keep_key(key, throw->fp + 1);
			return bpf_exceptions_land(table);
		}
		caller = find(table, throw->fp[1], &frame->caller);
		if (!caller && bpf_exceptions_ends_callback(table, frame, throw->fp))
			return end_callback(throw, table, frame, key);
		scratch = throw->fp + 2;
		throw->ip = throw->fp[1];
		if (!caller) {
			throw->ip = bpf_exceptions_leave_trampoline(throw);
			scratch = throw->fp + 3;
			caller = find(table, throw->ip, &frame->caller);
			BUG_ON(!caller);
		}
		throw->fp = (unsigned long *)throw->fp[0];
		frame = caller;
	}
}

/**
 * bpf_exceptions_follow_helpers() - look which way a throw will go on, for the trace event
 * @table: of the program
 * @trail: up to a callback; the functions from there to the main program are added
 *
 * There is no telling where the program's frames are below a helper's. But the kernel's own
 * unwinder finds their return addresses, as a stack trace does.
 */
void bpf_exceptions_follow_helpers(struct bpf_unwind_table *table, struct trail *trail)
{
#ifdef CONFIG_STACKTRACE
	const struct bpf_unwind_frame *frame;
	unsigned long ip[MAX_TRACE];
	u32 i, cnt;

	cnt = stack_trace_save(ip, MAX_TRACE, 0);
	for (i = 0; i < cnt && ip[i] != trail->ip[trail->depth]; i++)
		;
	while (++i < cnt && trail->depth < MAX_CALL_FRAMES - 1) {
		frame = bpf_exceptions_search_frame(table, ip[i]);
		if (frame)
			trail->ip[++trail->depth] = ip[i];
		if (frame == table->frame)
			return;
	}
#endif
}

/**
 * bpf_exceptions_unwind_callbacks() - find where a throw lands that may be in a callback
 * @throw: registers of the function that throws, or that has called a helper; on return those to
 *	land with. In the latter case the cookie is what the helper returned.
 * @arg: table of the program, plus BPF_UNWIND_RESUME if a helper was called
 *
 * Context: any, NMI included. Takes no locks. Preemption is off on return if the throw is pending
 * then, and as it was before that if it goes on.
 * Return: what to land with, where BPF_EXCEPTIONS_GO_ON stands for going on behind the helper.
 */
struct landing notrace bpf_exceptions_unwind_callbacks(struct throw_frame *throw, unsigned long arg)
{
	struct bpf_unwind_table *table = (void *)(arg & ~BPF_UNWIND_RESUME);
	struct bpf_unwind_cleanup *cleanup = bpf_unwind_cleanup(table);
	bool unlocked = false;
	u64 key = 0;

	if (arg & BPF_UNWIND_RESUME) {
		if (!pop(throw, table, &key))
			return (struct landing){
				.ret = throw->cookie,
				.exception_cb = BPF_EXCEPTIONS_GO_ON,
			};
	} else {
		atomic64_inc(&table->throws);
		if (static_branch_unlikely(&bpf_exceptions_listened)) {
			unlocked = cleanup;
			if (cleanup)
				bpf_exceptions_unlock(throw, (unsigned long *)(throw + 1), cleanup);
			key = bpf_exceptions_report(throw, table);
		}
	}
	return walk(throw, table, key, unlocked);
}

/**
 * bpf_exceptions_pending_init() - make the stacks
 */
int bpf_exceptions_pending_init(void)
{
	int cpu, i;

	stack = __alloc_percpu(MAX_PENDING * sizeof(*stack), __alignof__(*stack));
	if (!stack) {
		pr_err("no memory for the throws that are pending while helpers return\n");
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu)
		for (i = 0; i < MAX_PENDING; i++)
			per_cpu_ptr(stack, cpu)[i].fp = NOBODY;
	return 0;
}

/**
 * bpf_exceptions_pending_exit() - free them, no program is left that could throw
 */
void bpf_exceptions_pending_exit(void)
{
	free_percpu(stack);
}

#endif /* BPF_UNWIND_PENDING */
