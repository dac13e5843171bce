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
#include <linux/slab.h>
#include <asm/cpu_entry_area.h>
#include <asm/unwind.h>
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
 * @callback: the callback
 * @context: process, softirq, hardirq or NMI: that of the throw
 */
struct pending {
	unsigned long fp;
	u64 cookie;
	struct bpf_unwind_table *table;
	u64 key;
	struct bpf_unwind_frame *callback;
	u32 context;
};

#define NOBODY ~0UL

/*
 * How many can be pending on one processor: as many as its stacks have room for.
 *
 * Each that is pending has a program on a stack, which waits for its helper to return. So for a
 * second one another program has to be called meanwhile: by an interrupt, or on the way out of
 * the helper, by something that watches that. Preemption is off, so all of them are on the stacks
 * of this processor, and on that of one task.
 *
 * The least that one program takes there is what LEAST_STACK adds up: its own return address and
 * frame pointer, without registers and variables; the return address of its helper call; and a
 * trampoline that watches a function without arguments: return address, frame pointer, the number
 * of arguments, the run context, and rbx. All else that calls programs is C, and takes more:
 * bpf_trace_run*() has an array of arguments besides return addresses and registers, kprobes and
 * interrupts have struct pt_regs. What helpers need themselves isn't counted. In all,
 * tests/callbacks/deep.c measures 112 bytes.
 *
 * If this were wrong the program could neither end nor go on, and push() stops the kernel.
 */
#define LEAST_STACK (8 + 8 + 8 + 8 + 8 + 8 + sizeof(struct bpf_tramp_run_ctx) + 8)
#define ALL_STACKS (THREAD_SIZE + IRQ_STACK_SIZE + N_EXCEPTION_STACKS * EXCEPTION_STKSZ)
#define MAX_PENDING (ALL_STACKS / LEAST_STACK)

/* Too large for __alloc_percpu() where KASAN doubles the stacks */
static DEFINE_PER_CPU(struct pending *, stack);

static __always_inline u32 current_context(void)
{
	return preempt_count() & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET);
}

/*
 * The entry for a count of what is pending, bpf_unwind_pending, which is in bytes here. If that is
 * 0 the entry is nobody's.
 */
static __always_inline struct pending *entry_at(unsigned long bytes)
{
	return (void *)this_cpu_read(stack) + bytes;
}

/*
 * An NMI may come between any two instructions, push what is pending there, and pop it. It
 * leaves all as it was: what it uses are entries above the count, whose fp is NOBODY.
 */
static __always_inline void push(const struct throw_frame *throw, const unsigned long *fp,
				 struct bpf_unwind_table *table,
				 struct bpf_unwind_frame *callback, u64 key)
{
	struct pending *entry;
	u32 before;

	preempt_disable_notrace();
	before = this_cpu_add_return(bpf_unwind_pending, sizeof(*entry)) - sizeof(*entry);
	if (unlikely(before >= MAX_PENDING * sizeof(*entry))) {
		pr_emerg("more throws are pending than the stacks have room for\n");
		BUG();
	}
	entry = entry_at(before) + 1;
	entry->cookie = throw->cookie;
	entry->table = table;
	entry->key = key;
	entry->context = current_context();
	entry->callback = callback;
	barrier();
	WRITE_ONCE(entry->fp, (unsigned long)fp);
}

/*
 * Has the program whose helper has just returned thrown in the helper's callback? It is the one
 * that is pending if the callback's frame was below what it calls from now, on the same stack:
 * below @ret, where the return address is.
 *
 * That stack is another one in another context. In the same context, until the pending program
 * looks here itself, only those can look that run while the helper returns, watching it or
 * something that it calls: and these programs, which have other tables, don't run over themselves.
 */
static __always_inline bool is_own(const struct pending *entry, const unsigned long *ret,
				   const struct bpf_unwind_table *table)
{
	return entry->fp < (unsigned long)ret && entry->table == table &&
	       entry->context == current_context();
}

/* The caller enables preemption */
static __always_inline void pop(struct pending *entry)
{
	WRITE_ONCE(entry->fp, NOBODY);
	barrier();
	this_cpu_sub(bpf_unwind_pending, sizeof(*entry));
}

/* The function that @ret returns into, or NULL; @hint is the index of the one found last */
static notrace struct bpf_unwind_frame *find(struct bpf_unwind_table *table, u32 ret, u8 *hint)
{
	struct bpf_unwind_frame *frame = hinted_frame(table, READ_ONCE(*hint));

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

/*
 * Where the function at throw->fp is a callback it returns: to the helper, or to the trampoline
 * that watches it, which runs its fexit programs and goes on to the helper.
 */
static __always_inline struct landing end_callback(struct throw_frame *throw,
						   const unsigned long *fp,
						   struct bpf_unwind_table *table,
						   struct bpf_unwind_frame *frame, u64 key)
{
	if (frame->flags & BPF_UNWIND_TIMER_CB)
		return (struct landing){};
	push(throw, fp, table, frame, key);
	return (struct landing){ .ret = 1 };
}

/*
 * From the function @frame, which throw->ip is in, to the main program, or to a callback. For
 * @unlocked and notrace see walk() in unwind.c.
 */
static noinline notrace struct landing walk(struct throw_frame *throw,
					    struct bpf_unwind_table *table,
					    struct bpf_unwind_frame *frame, u64 key, bool unlocked)
{
	const unsigned long *scratch = (unsigned long *)(throw + 1);
	struct bpf_unwind_cleanup *cleanup = bpf_unwind_cleanup(table);
	struct bpf_unwind_frame *caller;

	for (;;) {
		if (may_hold(frame))
			bpf_exceptions_release(throw, scratch, cleanup, unlocked);
		pop_all(throw, throw->fp, frame);
		if (frame == table->frame) {
			bpf_exceptions_keep_key(key, throw->fp + 1);
			return bpf_exceptions_land(table);
		}
		caller = find(table, throw->fp[1], &frame->caller);
		if (!caller && bpf_exceptions_ends_callback(table, frame, throw->fp))
			return end_callback(throw, throw->fp, table, frame, key);
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

static __always_inline void pop_any(struct throw_frame *throw, const unsigned long *fp,
				    const struct bpf_unwind_frame *frame)
{
	if (!(frame->saved_regs & REGS_MASK))
		return;
	/* or it is loaded above, where this doesn't follow */
	OPTIMIZER_HIDE_VAR(frame);
	pop_all(throw, fp, frame);
}

/*
 * The same for most throws, without calls; see bpf_exceptions_unwind(). But here all registers are
 * restored, as helpers want theirs back.
 *
 * Return: false where the other walk has to begin.
 */
static __always_inline bool walk_fast(struct throw_frame *throw, struct bpf_unwind_table *table,
				      struct bpf_unwind_frame *frame, struct landing *landing)
{
	unsigned long *fp = throw->fp;

	while (likely(!frame->flags)) {
		pop_any(throw, fp, frame);
		frame = hinted_caller(table, frame);
		if (!returns_into(frame, fp[1]))
			return false;
		fp = (unsigned long *)fp[0];
	}
	/* helpers are the kernel's */
	if (frame->flags == BPF_UNWIND_HELPER_CB && fp[1] < MODULES_VADDR) {
		pop_any(throw, fp, frame);
		throw->fp = fp;
		push(throw, fp, table, frame, 0);
		*landing = (struct landing){ .ret = 1 };
		return true;
	}
	/* the main program's has BPF_UNWIND_CALLBACKS, at least */
	if (frame == table->frame && !may_hold(frame)) {
		pop_any(throw, fp, frame);
		throw->fp = fp;
		*landing = landing_of(table);
		return true;
	}
	return false;
}

/*
 * The frame of the function that the unwinder has come to, where there is one. The frame pointer
 * unwinder keeps that of the function called by it, ORC keeps registers.
 */
static unsigned long *unwound_frame(struct unwind_state *state)
{
#if defined(CONFIG_UNWINDER_ORC)
	return (unsigned long *)state->bp;
#elif defined(CONFIG_UNWINDER_FRAME_POINTER)
	return (unsigned long *)READ_ONCE_NOCHECK(*state->bp);
#else
	return NULL;
#endif
}

/* Have the unwinder go on with who called a function through the trampoline whose frame is @fp */
static void unwind_trampoline(struct unwind_state *state, struct pt_regs *regs, unsigned long *fp)
{
	*regs = (struct pt_regs){
		.ip = fp[2],
		.sp = (unsigned long)(fp + 3),
		.bp = fp[0],
		.cs = __KERNEL_CS,
	};
	unwind_start(state, current, regs, NULL);
}

/**
 * bpf_exceptions_follow_helpers() - look which way a throw will go on, for the trace event
 * @table: of the program
 * @trail: up to a callback; the functions from there to the main program are added
 *
 * There is no telling where the program's frames are below a helper's. But the kernel's own
 * unwinder finds their return addresses, as a stack trace does. It only doesn't know trampolines:
 * it takes the first of their two return addresses for the caller's.
 */
void bpf_exceptions_follow_helpers(struct bpf_unwind_table *table, struct trail *trail)
{
	const struct bpf_unwind_frame *frame;
	struct unwind_state state;
	struct pt_regs regs;
	unsigned long ip, *fp;
	bool found = false;

	unwind_start(&state, current, NULL, NULL);
	while (!unwind_done(&state)) {
		ip = unwind_get_return_address(&state);
		fp = ip && found && bpf_tramp_image_find(ip) ? unwound_frame(&state) : NULL;
		if (fp) {
			bpf_exceptions_mend_trampoline(fp);
			ip = fp[2];
			unwind_trampoline(&state, &regs, fp);
			/* with ORC, it begins with that address itself */
			if (!unwind_done(&state) && unwind_get_return_address(&state) == ip)
				unwind_next_frame(&state);
		} else {
			unwind_next_frame(&state);
		}
		frame = ip && found ? bpf_exceptions_search_frame(table, ip) : NULL;
		if (frame)
			trail->ip[++trail->depth] = ip;
		if (!ip || frame == table->frame || trail->depth == MAX_CALL_FRAMES - 1)
			return;
		found |= ip == trail->ip[trail->depth];
	}
}

/* Somebody listens, see unwind_reported() in unwind.c, or the other walk is wanted */
static noinline notrace struct landing throw_slowly(struct throw_frame *throw,
						    struct bpf_unwind_table *table)
{
	struct bpf_unwind_cleanup *cleanup = bpf_unwind_cleanup(table);
	bool unlocked = false;
	u64 key = 0;

	if (static_branch_unlikely(&bpf_exceptions_listened)) {
		unlocked = cleanup;
		if (cleanup)
			bpf_exceptions_unlock(throw, (unsigned long *)(throw + 1), cleanup);
		key = bpf_exceptions_report(throw, table);
	}
	return walk(throw, table, bpf_exceptions_find_thrower(throw, table), key, unlocked);
}

/* As preempt_enable_notrace(), but without the call. Return: whether it would make one. */
static __always_inline bool enable_preemption(void)
{
#ifdef CONFIG_PREEMPTION
	barrier();
	return __preempt_count_dec_and_test();
#else
	preempt_enable_notrace();
	return false;
#endif
}

static noinline notrace struct landing schedule_and_walk(struct throw_frame *throw,
							 struct bpf_unwind_table *table,
							 struct bpf_unwind_frame *frame)
{
#ifdef CONFIG_PREEMPTION
	__preempt_schedule_notrace();
#endif
	return walk(throw, table, frame, 0, false);
}

static noinline notrace struct landing resume_slowly(struct throw_frame *throw,
						     struct bpf_unwind_table *table,
						     struct pending *entry)
{
	u8 *hint = &entry->callback->caller;
	struct bpf_unwind_frame *frame;
	u64 key = entry->key;

	throw->cookie = entry->cookie;
	pop(entry);
	preempt_enable_notrace();
	frame = find(table, throw->ip, hint);
	BUG_ON(!frame);
	return walk(throw, table, frame, key, false);
}

static __always_inline struct landing leave_main(const struct bpf_unwind_frame *frame)
{
	BUILD_BUG_ON(offsetof(typeof(*frame), saved_regs) !=
		     offsetof(typeof(*frame), saved_off) + 1);
	return (struct landing){
		.exception_cb = BPF_EXCEPTIONS_LEAVE | *(const u16 *)&frame->saved_off,
	};
}

static noinline notrace struct landing
schedule_and_leave_main(const struct bpf_unwind_frame *frame)
{
#ifdef CONFIG_PREEMPTION
	__preempt_schedule_notrace();
#endif
	return leave_main(frame);
}

/**
 * bpf_exceptions_unwind_callbacks() - find where a throw lands that may be in a callback
 * @throw: registers of the function that throws; on return those to land with
 * @table: of the program
 *
 * Context: any, NMI included. Takes no locks. Preemption is off on return if the throw is pending
 * then.
 * Return: what to land with.
 */
struct landing notrace bpf_exceptions_unwind_callbacks(struct throw_frame *throw,
						       struct bpf_unwind_table *table)
{
	struct bpf_unwind_frame *frame;
	struct landing landing;

	atomic64_inc(&table->throws);
	if (static_branch_unlikely(&bpf_exceptions_listened))
		return throw_slowly(throw, table);
	frame = hinted_frame(table, READ_ONCE(table->thrower));
	if (returns_into(frame, throw->ip) && walk_fast(throw, table, frame, &landing))
		return landing;
	return throw_slowly(throw, table);
}

/**
 * bpf_exceptions_resume() - let a throw go on for which a helper has returned
 * @throw: registers of the function that has called the helper; on return those to land with. The
 *	cookie is what the helper returned.
 * @table: of the program
 *
 * It may be that another program's throw is pending, which this one has interrupted.
 *
 * Context: as for bpf_exceptions_unwind_callbacks(). Preemption is as it was before the throw was
 * pending, unless it is again.
 * Return: what to land with, where BPF_EXCEPTIONS_GO_ON stands for going on behind the helper.
 */
struct landing notrace bpf_exceptions_resume(struct throw_frame *throw,
					     struct bpf_unwind_table *table)
{
	struct pending *entry = entry_at(this_cpu_read(bpf_unwind_pending));
	struct bpf_unwind_frame *frame;
	struct landing landing;

	if (!is_own(entry, &throw->ip, table))
		return (struct landing){
			.ret = throw->cookie,
			.exception_cb = BPF_EXCEPTIONS_GO_ON,
		};
	frame = hinted_frame(table, READ_ONCE(entry->callback->caller));
	if (static_branch_unlikely(&bpf_exceptions_listened) || entry->key ||
	    !returns_into(frame, throw->ip))
		return resume_slowly(throw, table, entry);
	throw->cookie = entry->cookie;
	pop(entry);
	if (unlikely(enable_preemption()))
		return schedule_and_walk(throw, table, frame);
	if (walk_fast(throw, table, frame, &landing))
		return landing;
	return walk(throw, table, frame, 0, false);
}

/**
 * bpf_exceptions_resume_main() - the same where that is simple: to leave the main program
 * @ret: what the helper returned
 * @table: of the program
 * @ip: where the return address is
 *
 * Simple is to return from a main program that holds nothing, and has no exception callback. Nobody
 * asks for the key of the throw's event then.
 *
 * Return: what to return; and BPF_EXCEPTIONS_LEAVE, with what to restore before that, see there; or
 * 0 for going on behind the helper; or @table, with @ret again, if it isn't simple.
 */
struct landing notrace bpf_exceptions_resume_main(u64 ret, struct bpf_unwind_table *table,
						  const unsigned long *ip)
{
	struct pending *entry = entry_at(this_cpu_read(bpf_unwind_pending));
	const struct bpf_unwind_frame *frame = table->frame;

	if (!is_own(entry, ip, table))
		return (struct landing){ .ret = ret };
	if (may_hold(frame) || table->exception_cb || !returns_into(frame, *ip))
		return (struct landing){ .ret = ret, .exception_cb = (unsigned long)table };
	pop(entry);
	if (unlikely(enable_preemption()))
		return schedule_and_leave_main(frame);
	return leave_main(frame);
}

/* The first entry is nobody's, for who finds nothing to be pending */
static struct pending *make_stack(int cpu)
{
	struct pending *entries;
	int i;

	entries = kvmalloc_node((MAX_PENDING + 1) * sizeof(*entries), GFP_KERNEL, cpu_to_node(cpu));
	for (i = 0; entries && i <= MAX_PENDING; i++)
		entries[i].fp = NOBODY;
	return entries;
}

/**
 * bpf_exceptions_pending_init() - make the stacks
 */
int bpf_exceptions_pending_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		per_cpu(stack, cpu) = make_stack(cpu);
		if (per_cpu(stack, cpu))
			continue;
		pr_err("no memory for the throws that are pending while helpers return\n");
		bpf_exceptions_pending_exit();
		return -ENOMEM;
	}
	return 0;
}

/**
 * bpf_exceptions_pending_exit() - free them, no program is left that could throw
 */
void bpf_exceptions_pending_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kvfree(per_cpu(stack, cpu));
}

#endif /* BPF_UNWIND_PENDING */
