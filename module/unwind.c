// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk from the frame that threw to the main program's.
 *
 * Only frames of one program are on the way, each called by the next, so each return
 * address is in a function of the program's own table, or in the trampoline through
 * which fexit programs watch a call. Nothing else can be there: the verifier refuses
 * throws below a helper's callback, and tail calls and extensions have a main program
 * of their own, where the walk ends.
 *
 * Frames are only read here. They are left behind all at once, when bpf_throw() sets
 * the stack pointer: so it doesn't matter what interrupts the walk, or where.
 */
#include <linux/bpf.h>
#include <linux/bug.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include "unwind.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static bool returns_into(const struct bpf_unwind_frame *frame, u32 ret)
{
	return ret - frame->ret < frame->len;
}

/* The main program comes first, the others are sorted by address */
static noinline struct bpf_unwind_frame *
search_frame(struct bpf_unwind_table *table, u32 ret)
{
	u32 low = 1, high = table->cnt, mid;

	if (returns_into(&table->frame[0], ret))
		return &table->frame[0];
	while (low < high) {
		mid = (low + high) / 2;
		if (returns_into(&table->frame[mid], ret))
			return &table->frame[mid];
		if (ret < table->frame[mid].ret)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/*
 * The function that @hint is the index of, the one found last time, which most of the time is
 * found again. Throws on other processors may write it, too; who asks checks what it gets.
 */
static __always_inline struct bpf_unwind_frame *
hinted_frame(struct bpf_unwind_table *table, const u8 *hint)
{
	struct bpf_unwind_frame *frame = &table->frame[READ_ONCE(*hint)];

	/* one pointer to go by, or each look into it is calculated anew */
	OPTIMIZER_HIDE_VAR(frame);
	return frame;
}

/* The function that @ret returns into, or NULL; @hint is what @ret was checked with */
static struct bpf_unwind_frame *find_frame(struct bpf_unwind_table *table, u32 ret, u8 *hint)
{
	struct bpf_unwind_frame *frame = search_frame(table, ret);

	if (frame)
		WRITE_ONCE(*hint, frame - table->frame);
	return frame;
}

/* Undo what push_callee_regs() of the JIT did, unless main's frame makes up for it later */
static __always_inline void pop_saved(struct throw_frame *throw, unsigned long *fp,
				      const struct bpf_unwind_frame *frame)
{
	u8 regs = frame->saved_regs;
	unsigned long *slot;

	if (likely(!(regs >> 4)))
		return;
	slot = fp - frame->saved_off;
	if (regs & 1)
		throw->saved[0] = *--slot;
	if (regs & 2)
		throw->saved[1] = *--slot;
	if (regs & 4)
		throw->saved[2] = *--slot;
	if (regs & 8)
		throw->saved[3] = *--slot;
}

/*
 * The function at throw->fp was called by a trampoline, for an fexit program's sake; see
 * arch_prepare_bpf_trampoline(). The trampoline has a reference to its image, and has
 * pushed rbx last, right above the return address that it called with. It was itself
 * called by the first instruction of the function, and above that return address is the
 * one of the caller proper. The fexit program isn't run: the function doesn't exit.
 *
 * Leaves throw->fp at the trampoline's frame, which links to the caller's like any other.
 */
static noinline unsigned long leave_trampoline(struct throw_frame *throw)
{
	unsigned long ret = throw->fp[1];
	struct bpf_tramp_image *im = bpf_tramp_image_find(ret);

	if (unlikely(!im)) {
		pr_emerg("%pS is neither in the program that throws nor in a trampoline\n",
			 (void *)ret);
		BUG();
	}
	throw->saved[0] = throw->fp[2];
	throw->fp = (unsigned long *)throw->fp[0];
	__bpf_tramp_exit(im);
	return throw->fp[2];
}

static noinline struct bpf_unwind_frame *
find_thrower(const struct throw_frame *throw, struct bpf_unwind_table *table)
{
	struct bpf_unwind_frame *frame = find_frame(table, throw->ip, &table->thrower);

	BUG_ON(!frame);
	return frame;
}

/*
 * It isn't the caller that it was last time: another one, or a trampoline comes first.
 * Leaves the return address in throw->ip.
 */
static noinline struct bpf_unwind_frame *
find_caller(struct throw_frame *throw, struct bpf_unwind_table *table, u8 *hint)
{
	struct bpf_unwind_frame *caller;

	throw->ip = throw->fp[1];
	caller = find_frame(table, throw->ip, hint);
	if (caller)
		return caller;
	throw->ip = leave_trampoline(throw);
	caller = hinted_frame(table, hint);
	if (!returns_into(caller, throw->ip))
		caller = find_frame(table, throw->ip, hint);
	BUG_ON(!caller);
	return caller;
}

static __always_inline void note(struct trail *trail, unsigned long ip)
{
	if (trail)
		trail->ip[++trail->depth] = ip;
}

/* A copy of it is made that knows that there is no @trail to keep */
static __always_inline void walk(struct throw_frame *throw, struct bpf_unwind_table *table,
				 struct trail *trail)
{
	struct bpf_unwind_frame *frame, *caller;
	unsigned long *fp = throw->fp;

	frame = hinted_frame(table, &table->thrower);
	if (unlikely(!returns_into(frame, throw->ip)))
		frame = find_thrower(throw, table);
	for (;;) {
		pop_saved(throw, fp, frame);
		if (frame == table->frame)
			break;
		caller = hinted_frame(table, &frame->caller);
		if (unlikely(!returns_into(caller, fp[1]))) {
			throw->fp = fp;
			caller = find_caller(throw, table, &frame->caller);
			fp = throw->fp;
			note(trail, throw->ip);
		} else {
			note(trail, fp[1]);
		}
		fp = (unsigned long *)fp[0];
		frame = caller;
	}
	throw->fp = fp;
}

/* How many events each processor is in, in process, softirq, hardirq and NMI context */
static DEFINE_PER_CPU(u8 [4], reporting);

/*
 * A program that runs on the event may throw, too. That is an event again, but what throws on
 * that one is only counted: or programs on the event would go on reporting each other until
 * there is no stack left.
 */
static void report(const struct bpf_prog_aux *aux, u64 cookie, const struct trail *trail,
		   bool callback, u64 ret)
{
	u8 *level;

	preempt_disable_notrace();
	level = this_cpu_ptr(&reporting[interrupt_context_level()]);
	if ((*level)++ < 2)
		trace_bpf_throw(aux, cookie, trail, callback, ret);
	(*level)--;
	preempt_enable_notrace();
}

/*
 * Somebody listens to the trace event, and wants to know what the program returns. So the
 * callback is called from here, on top of the frames that are left later. It can't tell:
 * like any BPF function it gives back what C expects, and it has a stack of its own. Nor has
 * it a type that kCFI could check, as the JIT of 6.1 doesn't write any.
 */
static noinline __nocfi struct landing unwind_traced(struct throw_frame *throw,
						     struct bpf_unwind_table *table)
{
	struct trail trail = { .ip[0] = throw->ip };
	u64 (*exception_cb)(u64 cookie) = (void *)(long)(s32)table->exception_cb;
	struct landing landing = {};

	walk(throw, table, &trail);
	if (exception_cb)
		landing.ret = exception_cb(throw->cookie);
	report(table->aux, throw->cookie, &trail, exception_cb, landing.ret);
	return landing;
}

/**
 * bpf_exceptions_unwind() - find where a throw lands
 * @throw: the thrower's registers; on return those to land with
 * @table: of the program that throws
 *
 * Context: any, NMI included. Takes no locks.
 * Return: what to land with.
 */
struct landing bpf_exceptions_unwind(struct throw_frame *throw,
				     struct bpf_unwind_table *table)
{
	atomic64_inc(&table->throws);
	if (trace_bpf_throw_enabled())
		return unwind_traced(throw, table);
	walk(throw, table, NULL);
	return (struct landing){ .exception_cb = (long)(s32)table->exception_cb };
}

/**
 * bpf_exceptions_locate() - where in a program is a return address?
 * @prog: main program
 * @ip: return address, of one of its functions
 *
 * Return: number of the function in the upper half, bytes from its start in the lower, as
 * "bpftool prog dump jited" has them.
 */
u64 bpf_exceptions_locate(const struct bpf_prog *prog, unsigned long ip)
{
	const struct bpf_prog *func;
	u32 i;

	for (i = 0; i < prog->aux->func_cnt; i++) {
		func = prog->aux->func[i];
		/* it may be one past the end */
		if (ip - 1 - (unsigned long)func->bpf_func < func->jited_len)
			return (u64)i << 32 | (u32)(ip - (unsigned long)func->bpf_func);
	}
	return ip - (unsigned long)prog->bpf_func;
}
