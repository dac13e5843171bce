// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk from the frame that threw to the main program's.
 *
 * Only frames of one program are on the way, each called by the next, so each return
 * address is in a function of the program's own table, or in the trampoline through
 * which fexit programs watch a call. Nothing else can be there: programs that throw below
 * a helper's callback have a walk of their own (pending.c), and tail calls and extensions
 * a main program, where the walk ends.
 *
 * Frames are only read here, except by bpf_exceptions_mend_trampoline(). They are all left at once,
 * when bpf_throw() sets the stack pointer. So it doesn't matter what interrupts the walk, or where.
 */
#include <linux/bpf.h>
#include <linux/bug.h>
#include <linux/printk.h>
#include "pending.h"
#include "release.h"
#include "report.h"
#include "unwind.h"

/**
 * bpf_exceptions_search_frame() - look for a function by a return address
 * @table: of the program. The main program comes first, the others are sorted by address.
 * @ret: low half of the address
 *
 * Return: the function that it is in, or NULL.
 */
noinline notrace struct bpf_unwind_frame *
bpf_exceptions_search_frame(struct bpf_unwind_table *table, u32 ret)
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

/* The function that @ret returns into, or NULL; @hint is where to keep its index */
static struct bpf_unwind_frame *find_frame(struct bpf_unwind_table *table, u32 ret, u8 *hint)
{
	struct bpf_unwind_frame *frame = bpf_exceptions_search_frame(table, ret);

	if (frame)
		WRITE_ONCE(*hint, frame - table->frame);
	return frame;
}

static __always_inline struct bpf_tramp_image *find_trampoline(unsigned long ret)
{
	struct bpf_tramp_image *im = bpf_tramp_image_find(ret);

	if (unlikely(!im)) {
		pr_emerg("%pS is neither in the program that throws nor in a trampoline\n",
			 (void *)ret);
		BUG();
	}
	return im;
}

/**
 * bpf_exceptions_leave_trampoline() - go on to the function that called one through a trampoline
 * @throw: its registers, in the one that was called
 *
 * The function at throw->fp was called by a trampoline, for an fexit program's sake; see
 * arch_prepare_bpf_trampoline(). The trampoline has a reference to its image, and has
 * pushed rbx last, right above the return address that it called with. It was itself
 * called by the first instruction of the function, and above that return address is the
 * one of the caller proper. The fexit program isn't run: the function doesn't exit.
 *
 * Leaves throw->fp at the trampoline's frame, which links to the caller's like any other.
 *
 * Return: the caller's return address.
 */
noinline unsigned long bpf_exceptions_leave_trampoline(struct throw_frame *throw)
{
	struct bpf_tramp_image *im = find_trampoline(throw->fp[1]);

	throw->saved[0] = throw->fp[2];
	throw->fp = (unsigned long *)throw->fp[0];
	__bpf_tramp_exit(im);
	return throw->fp[2];
}

/**
 * bpf_exceptions_find_thrower() - find the function that throws
 * @throw: its registers
 * @table: of the program
 */
notrace struct bpf_unwind_frame *
bpf_exceptions_find_thrower(const struct throw_frame *throw, struct bpf_unwind_table *table)
{
	struct bpf_unwind_frame *frame = hinted_frame(table, READ_ONCE(table->thrower));

	if (likely(returns_into(frame, throw->ip)))
		return frame;
	frame = bpf_exceptions_search_frame(table, throw->ip);
	BUG_ON(!frame);
	WRITE_ONCE(table->thrower, frame - table->frame);
	return frame;
}

/*
 * The caller isn't the same as last time: it is another one, or a trampoline comes first.
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
	throw->ip = bpf_exceptions_leave_trampoline(throw);
	caller = hinted_frame(table, READ_ONCE(*hint));
	if (!returns_into(caller, throw->ip))
		caller = find_frame(table, throw->ip, hint);
	BUG_ON(!caller);
	return caller;
}

/*
 * The walk that comes by all there can be: trampolines, callers that aren't the same as last time,
 * and frames that hold something, which is released before the frame is left. That takes the
 * frame's registers, which the other walk doesn't always restore. Until the lock has been released
 * (@unlocked), no program may run that could take it, hence notrace.
 */
static noinline notrace struct landing walk(struct throw_frame *throw,
					    struct bpf_unwind_table *table, bool unlocked)
{
	const unsigned long *scratch = (unsigned long *)(throw + 1);
	struct bpf_unwind_cleanup *cleanup = bpf_unwind_cleanup(table);
	struct bpf_unwind_frame *thrower = bpf_exceptions_find_thrower(throw, table);
	struct bpf_unwind_frame *frame = thrower, *caller;
	unsigned long *fp = throw->fp, ip = throw->ip;

	for (;;) {
		if (may_hold(frame)) {
			/* begin with this walk next time: main isn't what throws */
			if (frame != thrower)
				WRITE_ONCE(table->thrower, 0);
			throw->fp = fp;
			throw->ip = ip;
			bpf_exceptions_release(throw, scratch, cleanup, unlocked);
		}
		pop_all(throw, fp, frame);
		if (frame == table->frame)
			break;
		scratch = fp + 2;
		ip = fp[1];
		caller = hinted_frame(table, READ_ONCE(frame->caller));
		if (unlikely(!returns_into(caller, ip))) {
			throw->fp = fp;
			caller = find_caller(throw, table, &frame->caller);
			ip = throw->ip;
			/* above the trampoline's two return addresses */
			if (throw->fp != fp)
				scratch = throw->fp + 3;
			fp = throw->fp;
		}
		fp = (unsigned long *)fp[0];
		frame = caller;
	}
	throw->fp = fp;
	return landing_of(table);
}

/**
 * bpf_exceptions_land() - what to do in the main program's place
 * @table: of the program
 */
struct landing bpf_exceptions_land(struct bpf_unwind_table *table)
{
	if (static_branch_unlikely(&bpf_exceptions_listened) && has_callback(table) &&
	    bpf_exceptions_reports_callbacks())
		return (struct landing){ .ret = (unsigned long)table,
					 .exception_cb = (unsigned long)bpf_exceptions_callback };
	return landing_of(table);
}

/*
 * Somebody listens. The throw is reported before anything is undone: a stack trace that is taken
 * there begins at the frame that @throw is part of, and trampolines still hold their images. Only a
 * lock is released first: a program on the event may take it.
 */
static noinline notrace struct landing unwind_reported(struct throw_frame *throw,
						       struct bpf_unwind_table *table)
{
	struct bpf_unwind_cleanup *cleanup = bpf_unwind_cleanup(table);

	if (cleanup)
		bpf_exceptions_unlock(throw, (unsigned long *)(throw + 1), cleanup);
	bpf_exceptions_report(throw, table);
	walk(throw, table, true);
	return bpf_exceptions_land(table);
}

/**
 * bpf_exceptions_unwind() - find where a throw lands
 * @throw: the thrower's registers; on return those to land with
 * @table: of the program that throws
 *
 * Most throws need no more than this: the functions are those of last time, each called by the
 * next, and nothing is held in them. Where that turns out to be wrong, the other walk begins, from
 * the start. It can, as this one changes nothing but registers that are saved in frames between:
 * the other one comes to these first. No call returns here, so there are no registers to save.
 *
 * Context: any, NMI included. Takes no locks.
 * Return: what to land with.
 */
struct landing notrace bpf_exceptions_unwind(struct throw_frame *throw,
					     struct bpf_unwind_table *table)
{
	struct bpf_unwind_frame *frame, *caller;
	unsigned long *fp = throw->fp;

	atomic64_inc(&table->throws);
	if (static_branch_unlikely(&bpf_exceptions_listened))
		return unwind_reported(throw, table);
	frame = hinted_frame(table, READ_ONCE(table->thrower));
	if (unlikely(!returns_into(frame, throw->ip)))
		return walk(throw, table, false);
	for (;;) {
		/* not if main's frame makes up for it later */
		if (unlikely(frame->saved_regs > REGS_MASK)) {
			if (may_hold(frame))
				return walk(throw, table, false);
			/* or it is loaded above, where this doesn't follow */
			OPTIMIZER_HIDE_VAR(frame);
			pop_all(throw, fp, frame);
		}
		if (frame == table->frame)
			break;
		caller = hinted_frame(table, READ_ONCE(frame->caller));
		if (unlikely(!returns_into(caller, fp[1])))
			return walk(throw, table, false);
		fp = (unsigned long *)fp[0];
		frame = caller;
	}
	throw->fp = fp;
	return landing_of(table);
}

/**
 * bpf_exceptions_mend_trampoline() - make a trampoline look to stack walkers like a function
 * @fp: its frame
 *
 * One that a function was called through, for an fexit program's sake. The kernel takes the address
 * above the frame pointer for its return address. That one is in the first instruction of the
 * function, which has no frame yet, so the caller would be left out. Nothing else needs it: if the
 * trampoline is ever returned to, its epilogue skips that address.
 */
void bpf_exceptions_mend_trampoline(unsigned long *fp)
{
	fp[1] = fp[2];
}

static bool ends_timer(const struct bpf_unwind_frame *frame)
{
#ifdef BPF_UNWIND_PENDING
	return frame->flags & BPF_UNWIND_TIMER_CB;
#else
	return false;
#endif
}

/**
 * bpf_exceptions_follow() - find the functions that a throw leaves
 * @throw: the thrower's registers, before bpf_exceptions_unwind() has changed them
 * @table: of the program that throws
 * @trail: set to the functions that are left, and where
 *
 * It changes only frames that nothing but stack walkers still reads.
 */
void bpf_exceptions_follow(const struct throw_frame *throw, struct bpf_unwind_table *table,
			   struct trail *trail)
{
	struct bpf_unwind_frame *frame = bpf_exceptions_search_frame(table, throw->ip);
	const struct bpf_unwind_cleanup *cleanup = bpf_unwind_cleanup(table);
	const unsigned long *scratch = (unsigned long *)(throw + 1);
	struct bpf_unwind_frame *caller;
	struct throw_frame at = *throw;

	*trail = (struct trail){ .ip[0] = throw->ip };

	for (;;) {
		BUG_ON(!frame);
		if (cleanup)
			bpf_exceptions_count_held(&at, scratch, cleanup, trail);
		if (frame == table->frame)
			break;
		pop_all(&at, at.fp, frame);
		at.ip = at.fp[1];
		scratch = at.fp + 2;
		caller = bpf_exceptions_search_frame(table, at.ip);
		if (!caller && bpf_exceptions_ends_callback(table, frame, at.fp)) {
			trail->ends_timer = ends_timer(frame);
			break;
		}
		if (!caller) {
			at.saved[0] = at.fp[2];
			find_trampoline(at.fp[1]);
			at.fp = (unsigned long *)at.fp[0];
			bpf_exceptions_mend_trampoline(at.fp);
			at.ip = at.fp[1];
			scratch = at.fp + 3;
			caller = bpf_exceptions_search_frame(table, at.ip);
		}
		trail->ip[++trail->depth] = at.ip;
		at.fp = (unsigned long *)at.fp[0];
		frame = caller;
	}
	trail->landing = at.fp + 1;
	if (frame != table->frame && !trail->ends_timer)
		bpf_exceptions_follow_helpers(table, trail);
}
