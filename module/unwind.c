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

static bool frame_has(const struct bpf_unwind_frame *frame, u32 ip)
{
	return ip - frame->start < frame->len;
}

/* All but the main program are sorted by address */
static struct bpf_unwind_frame *search_frame(struct bpf_unwind_table *table, u32 ip)
{
	u32 low = 1, high = table->cnt, mid;

	if (frame_has(&table->frame[0], ip))
		return &table->frame[0];
	while (low < high) {
		mid = (low + high) / 2;
		if (frame_has(&table->frame[mid], ip))
			return &table->frame[mid];
		if (ip < table->frame[mid].start)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/*
 * The function that @ip returns to, NULL if it isn't the program's. A call may be the
 * last instruction of a function: it is the byte before that tells. @hint is the index
 * of the function found last time, which most of the time is found again. Two throws
 * may write it at once; whatever is read, it is checked.
 */
static struct bpf_unwind_frame *find_frame(struct bpf_unwind_table *table,
					   unsigned long ip, u8 *hint)
{
	struct bpf_unwind_frame *frame;
	u32 last = (u32)ip - 1;

	frame = &table->frame[READ_ONCE(*hint)];
	if (likely(frame_has(frame, last)))
		return frame;
	frame = search_frame(table, last);
	if (frame)
		WRITE_ONCE(*hint, frame - table->frame);
	return frame;
}

/* Undo what the prologue pushed, see push_callee_regs() of the JIT */
static void pop_saved(struct throw_frame *throw, const struct bpf_unwind_frame *frame)
{
	unsigned long *slot = throw->fp - frame->saved_off;

	if (frame->saved_regs & 1)
		throw->saved[0] = *--slot;
	if (frame->saved_regs & 2)
		throw->saved[1] = *--slot;
	if (frame->saved_regs & 4)
		throw->saved[2] = *--slot;
	if (frame->saved_regs & 8)
		throw->saved[3] = *--slot;
}

/*
 * The function at fp was called by a trampoline, at @ip, for an fexit program's sake; see
 * arch_prepare_bpf_trampoline(). The trampoline has a reference to its image, and has
 * pushed rbx last, right above the return address that it called with. It was itself
 * called by the first instruction of the function, and above that return address is the
 * one of the caller proper. The fexit program isn't run: the function doesn't exit.
 */
static unsigned long leave_trampoline(struct throw_frame *throw, unsigned long ip)
{
	struct bpf_tramp_image *im = bpf_tramp_image_find(ip);

	if (unlikely(!im)) {
		pr_emerg("%pS is neither in the program that throws nor in a trampoline\n",
			 (void *)ip);
		BUG();
	}
	throw->saved[0] = throw->fp[2];
	throw->fp = (unsigned long *)throw->fp[0];
	__bpf_tramp_exit(im);
	return throw->fp[2];
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
	unsigned long ip = throw->ip;
	u8 thrower = 0;

	frame = find_frame(table, ip, &thrower);
	BUG_ON(!frame);
	for (;;) {
		pop_saved(throw, frame);
		if (frame == table->frame)
			return (long)(s32)table->exception_cb;

		ip = throw->fp[1];
		caller = find_frame(table, ip, &frame->caller);
		while (unlikely(!caller)) {
			ip = leave_trampoline(throw, ip);
			caller = find_frame(table, ip, &frame->caller);
		}
		throw->fp = (unsigned long *)throw->fp[0];
		frame = caller;
	}
}
