/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_UNWIND_H
#define _BPF_EXCEPTIONS_UNWIND_H

#include <linux/bpf_unwind.h>
#include <linux/bpf_verifier.h>
#include <linux/compiler.h>

#if BPF_UNWIND_REVISION != 4
#error "this kernel tree has another revision of the series: use the jit-patch/ of this module"
#endif

/* Weak, so that what a kernel lacks is said in a sentence, by main.c, not by the module loader */
extern const u32 bpf_unwind_revision __weak;
struct bpf_tramp_image *bpf_tramp_image_find(unsigned long ip) __weak;
void __bpf_tramp_exit(struct bpf_tramp_image *tr) __weak;
#ifdef BPF_UNWIND_RET_COOKIE
u64 bpf_unwind_ret_cookie(u64 cookie) __weak;
#endif
DECLARE_PER_CPU(u32, bpf_unwind_pending) __weak;

/* The kfuncs, for their BTF: they have no other caller than BPF programs; see throw.c */
void bpf_throw(u64 cookie) asm("bpf_throw_prototype");
extern char bpf_throw_code[] asm("bpf_throw");
void bpf_set_exception_callback(int (*cb)(u64 cookie));

/**
 * struct throw_frame - what bpf_throw() has pushed, and pops again
 * @cookie: argument of the throw
 * @saved: rbx, r13, r14, r15, in the order in which BPF prologues push them: as the
 *	thrower has them when the walk begins, as the main program's caller had them
 *	when it ends. BPF code doesn't touch r12, and C gives it back.
 * @fp: frame pointer, the thrower's when it begins, the main program's when it ends
 * @ip: return address of the throw, when it begins; the walk may use it then
 */
struct throw_frame {
	u64 cookie;
	unsigned long saved[4];
	unsigned long *fp;
	unsigned long ip;
};

/**
 * struct landing - what there is to do in the main program's place; in rax and rdx
 * @ret: return value, where there is nothing to go to; else what is there finds it in rax
 * @exception_cb: callback to go to, or bpf_exceptions_callback, which returns it; or 0
 */
struct landing {
	unsigned long ret;
	unsigned long exception_cb;
};

#ifdef BPF_UNWIND_RELEASES
#define HELD_KINDS BPF_UNWIND_KINDS
#else
#define HELD_KINDS 5
#endif

/**
 * struct trail - where a throw came along, for the trace event
 * @depth: frames between the one that threw and the last one that was found, which is the main
 *	program's, or a timer's callback's
 * @ip: return addresses, of the throw, then of each call
 * @ends_timer: it comes to the callback of a timer, and no further
 * @landing: where on the stack the main program's return address is, or the callback's
 * @held: what the frames hold and the throw is going to release, by enum bpf_unwind_kind
 */
struct trail {
	u32 depth;
	bool ends_timer;
	unsigned long ip[MAX_CALL_FRAMES];
	const unsigned long *landing;
	u8 held[HELD_KINDS];
};

struct landing bpf_exceptions_unwind(struct throw_frame *throw,
				     struct bpf_unwind_table *table);
/* Does a throw return the cookie? Then that is done by what there is in a callback's place */
static inline bool returns_cookie(const struct bpf_unwind_table *table)
{
#ifdef BPF_UNWIND_RET_COOKIE
	return bpf_unwind_rets_cookie(table);
#else
	return false;
#endif
}

static inline bool has_callback(const struct bpf_unwind_table *table)
{
	return table->exception_cb && !returns_cookie(table);
}

static __always_inline bool returns_into(const struct bpf_unwind_frame *frame, u32 ret)
{
	return ret - frame->ret < frame->len;
}

/*
 * The function whose index is @hint: the one that was found last time, and most often is found
 * again. Throws on other processors may write the hint as well, so the caller checks what it
 * gets.
 */
static __always_inline struct bpf_unwind_frame *
hinted_frame(struct bpf_unwind_table *table, u16 hint)
{
	struct bpf_unwind_frame *frame = &table->frame[hint];

	/* keep it as one pointer, or the address of each access is calculated again */
	OPTIMIZER_HIDE_VAR(frame);
	return frame;
}

/*
 * The same for who calls @frame, in a loop. Hiding the pointer costs two copies of it there, so the
 * index is hidden.
 */
static __always_inline struct bpf_unwind_frame *
hinted_caller(struct bpf_unwind_table *table, const struct bpf_unwind_frame *frame)
{
	unsigned long words = READ_ONCE(frame->caller) * (sizeof(*frame) / sizeof(u32));

	OPTIMIZER_HIDE_VAR(words);
	return (void *)((u32 *)table->frame + words);
}

#define REGS_MASK 0xf	/* of saved_regs; above that is what tells whether to pop any */

/* Undo what push_callee_regs() of the JIT did */
static __always_inline void pop_all(struct throw_frame *throw, const unsigned long *fp,
				    const struct bpf_unwind_frame *frame)
{
	const unsigned long *slot = fp + frame->saved_off;
	u8 regs = frame->saved_regs;

	if (regs & 1)
		throw->saved[0] = *--slot;
	if (regs & 2)
		throw->saved[1] = *--slot;
	if (regs & 4)
		throw->saved[2] = *--slot;
	if (regs & 8)
		throw->saved[3] = *--slot;
}

static __always_inline struct landing landing_of(const struct bpf_unwind_table *table)
{
	return (struct landing){ .exception_cb = (long)(s32)table->exception_cb };
}

struct bpf_unwind_frame *bpf_exceptions_search_frame(struct bpf_unwind_table *table, u32 ret);
struct bpf_unwind_frame *bpf_exceptions_find_thrower(const struct throw_frame *throw,
						     struct bpf_unwind_table *table);
unsigned long bpf_exceptions_leave_trampoline(struct throw_frame *throw);
struct landing bpf_exceptions_land(struct bpf_unwind_table *table);
void bpf_exceptions_mend_trampoline(unsigned long *fp);
void bpf_exceptions_follow(const struct throw_frame *throw, struct bpf_unwind_table *table,
			   struct trail *trail);

#endif /* _BPF_EXCEPTIONS_UNWIND_H */
