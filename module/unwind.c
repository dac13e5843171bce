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
#include <linux/printk.h>
#include "unwind.h"

/* On kernels without the series main.c refuses to load, with a sentence */
extern struct bpf_tramp_image *bpf_tramp_image_find(unsigned long ip) __weak;
extern void __bpf_tramp_exit(struct bpf_tramp_image *tr) __weak;

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
 * The function that @ret returns into. @hint is the index of the one found last time, which
 * most of the time is found again. Throws on other processors may write it, too; what is read
 * is checked, whatever it is.
 */
static __always_inline struct bpf_unwind_frame *
find_frame(struct bpf_unwind_table *table, u32 ret, u8 *hint)
{
	struct bpf_unwind_frame *frame = &table->frame[READ_ONCE(*hint)];

	if (likely(returns_into(frame, ret)))
		return frame;
	frame = search_frame(table, ret);
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
static unsigned long leave_trampoline(struct throw_frame *throw)
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
find_watched_caller(struct throw_frame *throw, struct bpf_unwind_table *table, u8 *hint)
{
	struct bpf_unwind_frame *caller;

	caller = find_frame(table, leave_trampoline(throw), hint);
	BUG_ON(!caller);
	return caller;
}

/**
 * bpf_exceptions_unwind() - find where a throw lands
 * @throw: the thrower's registers; on return those to land with
 * @table: of the program that throws
 *
 * Context: any, NMI included. Takes no locks.
 * Return: address of the exception callback, 0 if the program has none.
 */
unsigned long bpf_exceptions_unwind(struct throw_frame *throw,
				    struct bpf_unwind_table *table)
{
	struct bpf_unwind_frame *frame, *caller;
	unsigned long *fp = throw->fp;

	frame = find_frame(table, throw->ip, &table->thrower);
	BUG_ON(!frame);
	for (;;) {
		pop_saved(throw, fp, frame);
		if (frame == table->frame)
			break;
		caller = find_frame(table, fp[1], &frame->caller);
		if (unlikely(!caller)) {
			throw->fp = fp;
			caller = find_watched_caller(throw, table, &frame->caller);
			fp = throw->fp;
		}
		fp = (unsigned long *)fp[0];
		frame = caller;
	}
	throw->fp = fp;
	return (long)(s32)table->exception_cb;
}
