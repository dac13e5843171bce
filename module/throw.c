// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two kfuncs. A BPF program of any type that main.c registers them for may call them;
 * their names, arguments and meaning are stable.
 */
#include <linux/bug.h>
#include <linux/kprobes.h>
#include <linux/objtool.h>
#include <linux/stringify.h>
#include <asm/asm.h>
#include <asm/frame.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>
#include <asm/orc_types.h>
#include "pending.h"

/*
 * The landing jumps to an ordinary BPF function, in the way that such functions are called: by an
 * indirect jump that retpolines apply to, to an address that has an ENDBR if IBT requires one. No C
 * call is involved, so there is no prototype for kCFI to check.
 */
#ifdef CONFIG_RETPOLINE
#define JMP_RDX "jmp __x86_indirect_thunk_rdx"
#else
#define JMP_RDX ANNOTATE_RETPOLINE_SAFE "jmp *%rdx; int3"
#endif

/**
 * bpf_throw() - end the BPF program
 * @cookie: any value, for the exception callback to see
 *
 * Unwinds every frame of the program up to the main program's and returns to the
 * program's caller, with what the exception callback makes of the cookie, or with 0 where
 * the program has none. A program reached by a tail call and an extension (freplace) are
 * programs of their own: their throw ends them, and their caller goes on.
 *
 * In a helper's callback it ends the program, too, once the helper has returned. In a timer's
 * callback it ends that one alone, without an exception callback.
 *
 * References and a lock that are held, by the program's function or by one of its callers, are
 * released first. The verifier refuses a throw where it doesn't know where such a thing is, and
 * throws in exception callbacks.
 *
 * Context: any in which the program may run, NMI included.
 * Return: never.
 *
 * This is the prototype, which programs are checked against: it gets into the module's BTF with
 * the debug information. The symbol bpf_throw, which says where programs call, is the code
 * below. A naked function would be both in one, but clang leaves its parameters out of
 * the debug information, and gcc instruments it for coverage, ahead of all else.
 */
void bpf_throw(u64 cookie)
{
	WARN_ONCE(1, "%s() called from C\n", __func__);
}

/* What it pushes is struct throw_frame, from its end */
#define PUSH_FRAME			\
	"push %rbp\n\t"			\
	"mov %rsp, %rbp\n\t"		\
	"push %r15\n\t"			\
	"push %r14\n\t"			\
	"push %r13\n\t"			\
	"push %rbx\n\t"			\
	"push %rdi\n\t"			\
	"mov %rsp, %rdi\n\t"

#define POP_REGISTERS			\
	"pop %rdi\n\t"			\
	"pop %rbx\n\t"			\
	"pop %r13\n\t"			\
	"pop %r14\n\t"			\
	"pop %r15\n\t"

/*
 * The frame that is landed at, and out of it; see struct landing. objtool works out where the frame
 * is, but can't know that the last pop takes another frame's rbp, so that is said.
 */
#define LAND							\
	"pop %rbp\n\t"						\
	UNWIND_HINT(ORC_REG_BP, 16, UNWIND_HINT_TYPE_CALL, 0)	\
	"leave\n\t"						\
	UNWIND_HINT(ORC_REG_SP, 8, UNWIND_HINT_TYPE_FUNC, 0)	\
	"test %rdx, %rdx\n\t"					\
	"jz 1f\n\t"						\
	JMP_RDX "\n"						\
	"1:\t" ASM_RET

/*
 * Besides the cookie the JIT passes the program's unwind table, in R2 (rsi).
 *
 * The registers that C must preserve are still the thrower's on entry: so ftrace has nothing
 * here, nor have kprobes, which a kretprobe would break the return address without. C looks up
 * where to land and returns. Only then are the frames in between left, so none of them is C's.
 *
 * Stack traces from inside go on to the program's functions.
 */
#define THROW(unwind)			\
	ASM_ENDBR			\
	PUSH_FRAME			\
	"call " unwind "\n\t"		\
	POP_REGISTERS			\
	LAND

#ifdef BPF_UNWIND_PENDING
/* What pop_all() does, for one register */
#define POP_SAVED(bit, reg)		\
	"test $" #bit ", %dh\n\t"	\
	"jz 6f\n\t"			\
	"sub $8, %rcx\n\t"		\
	"mov (%rcx), %" #reg "\n"	\
	"6:\t"

/*
 * What programs with callbacks that may throw call is ahead of the kfunc: first of all, what goes
 * on behind a helper. That may return with what is in rax, if it isn't this program's throw that
 * is pending. If it is, the main program most often can be left at once.
 */
#define RESUME				\
	".globl bpf_throw_resume\n\t"	\
	".type bpf_throw_resume, @function\n" \
	"bpf_throw_resume:\n\t"	\
	"mov %rsp, %rdx\n\t"		\
	FRAME_BEGIN			\
	"call bpf_exceptions_resume_main\n\t" \
	FRAME_END			\
	"test %rdx, %rdx\n\t"		\
	"jle 4f\n\t"			\
	"test $0xf, %dh\n\t"		\
	"jz 3f\n\t"			\
	"movsbq %dl, %rcx\n\t"		\
	"lea (%rbp, %rcx, 8), %rcx\n\t" \
	POP_SAVED(1, rbx)		\
	POP_SAVED(2, r13)		\
	POP_SAVED(4, r14)		\
	POP_SAVED(8, r15)		\
	"3:\t"				\
	UNWIND_HINT(ORC_REG_BP, 16, UNWIND_HINT_TYPE_CALL, 0) \
	"leave\n\t"			\
	UNWIND_HINT(ORC_REG_SP, 8, UNWIND_HINT_TYPE_FUNC, 0) \
	ASM_RET				\
	"4:\t"				\
	"js 5f\n\t"			\
	ASM_RET				\
	"5:\t"				\
	"mov %rax, %rdi\n\t"		\
	"mov %rdx, %rsi\n\t"		\
	PUSH_FRAME			\
	"call bpf_exceptions_resume\n\t" \
	"cmp $" __stringify(BPF_EXCEPTIONS_GO_ON) ", %rdx\n\t" \
	POP_REGISTERS			\
	"je 2f\n\t"			\
	LAND				\
	"2:\t"				\
	"pop %rbp\n\t"			\
	ASM_RET				\
	".size bpf_throw_resume, . - bpf_throw_resume\n\t"

/* What follows is @bytes ahead of the kfunc */
#define AHEAD_BY(bytes)			\
	".org bpf_throw_ahead + " __stringify(BPF_UNWIND_RESUME) " - " __stringify(bytes) \
	", 0xcc\n\t"

#define AHEAD				\
	"bpf_throw_ahead:\n\t"		\
	RESUME				\
	AHEAD_BY(BPF_UNWIND_ENTRY)	\
	".globl bpf_throw_callbacks\n\t" \
	".type bpf_throw_callbacks, @function\n" \
	"bpf_throw_callbacks:\n\t"	\
	THROW("bpf_exceptions_unwind_callbacks") \
	".size bpf_throw_callbacks, . - bpf_throw_callbacks\n\t" \
	AHEAD_BY(0)
#else
#define AHEAD
#endif

asm(".pushsection .text, \"ax\"\n\t"
	".p2align 6\n\t"
	AHEAD
	".globl bpf_throw\n\t"
	".type bpf_throw, @function\n"
	"bpf_throw:\n\t"
	THROW("bpf_exceptions_unwind")
	".size bpf_throw, . - bpf_throw\n\t"
	".popsection");

NOKPROBE_SYMBOL(bpf_throw_code);
#ifdef BPF_UNWIND_PENDING
NOKPROBE_SYMBOL(bpf_throw_callbacks);
NOKPROBE_SYMBOL(bpf_throw_resume);
#endif

/*
 * Where a throw lands if somebody wants to know what the callback returns: as the main program's
 * caller would call it, but with the cookie in rdi and struct landing's other word in rax. Once
 * the frames are gone there is no other place to keep things than registers. What else C gets is
 * where the return address is. It needs no more than this of the stack: the kernel's C does
 * with 8 bytes of alignment.
 */
asm(".pushsection .text, \"ax\"\n\t"
	".p2align 4\n\t"
	".globl bpf_exceptions_callback\n\t"
	".type bpf_exceptions_callback, @function\n"
	"bpf_exceptions_callback:\n\t"
	ASM_ENDBR
	"mov %rax, %rsi\n\t"
	"mov %rsp, %rdx\n\t"
	"jmp bpf_exceptions_call_callback\n\t"
	".size bpf_exceptions_callback, . - bpf_exceptions_callback\n\t"
	".popsection");

/**
 * bpf_set_exception_callback() - name the program's exception callback
 * @cb: static or global function of the program, int cb(u64 cookie)
 *
 * It acts when the program is verified, once, for good, and from the main program only;
 * the call is then erased, wherever it stood. The callback runs after a throw has unwound
 * the program, in place of the main program and in its context, and returns to the
 * program's caller: its return value must be one that the main program may return. It
 * can't throw or tail-call, and isn't called or attached to otherwise.
 *
 * Context: never runs.
 */
void bpf_set_exception_callback(int (*cb)(u64 cookie))
{
	WARN_ONCE(1, "%s() wasn't erased from a BPF program\n", __func__);
}
