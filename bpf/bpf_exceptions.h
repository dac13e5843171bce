/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF exceptions for Linux 6.1, the part a BPF program includes.
 *
 *	#include "vmlinux.h"		// or <linux/bpf.h>
 *	#include <bpf/bpf_helpers.h>
 *	#include "bpf_exceptions.h"
 *
 * Two kfuncs, bpf_throw() and bpf_set_exception_callback(), and assertion
 * macros on top of the first. An exception is for what cannot happen: the path
 * that does not throw pays for a compare and a branch not taken, nothing else.
 *
 *	bpf_throw(), bpf_set_exception_callback()	    the kfuncs
 *	bpf_assert*()					    assertions
 *	bpf_tail_call_or_throw(), bpf_throw_returning()	    where the compiler sees no return
 *	bpf_exceptions_exist()				    kernels without exceptions
 *	__exception_cb(), __exception_default_{cookie,zero} declaration tags of a program
 *	bpf_cmp_likely(), bpf_cmp_unlikely()		    compares as written
 *
 * If defined before this file is included, BPF_ASSERT_SITES gives each assertion
 * a throw of its own, BPF_EXCEPTIONS_WEAK makes the kfuncs weak, and
 * BPF_EXCEPTIONS_PORTABLE makes an object that also works on mainline.
 *
 * Your own macros can't interfere with this file, as it uses only reserved names,
 * and it causes no warnings, whichever are enabled.
 *
 * Needs clang 14 or later at -O1 or higher. The kernel needs the companion
 * series, CONFIG_BPF_JIT with the JIT on, and the module loaded; the program
 * needs a GPL-compatible licence.
 *
 * The names of the kfuncs and macros and what they do are those of the series
 * "Exceptions - 1/2", v1 (13 July 2023). What the verifier learns is what
 * kernel/bpf/verifier.c does in Linux 6.1.192.
 */
#ifndef __BPF_EXCEPTIONS_H__
#define __BPF_EXCEPTIONS_H__

#if !defined(__clang__)
#error "bpf_exceptions.h needs clang: gcc can't compile its macros and writes no BTF for kfuncs. Use clang -target bpf -O2 -g"
#elif __clang_major__ < 14
#error "bpf_exceptions.h needs clang 14 or later: earlier ones drop declaration tags, and __exception_cb() with them"
#elif defined(__bpf__) && !defined(__OPTIMIZE__)
#error "bpf_exceptions.h needs -O1 or higher: at -O0 the verifier can't follow what is asserted. Use -O2"
#endif

#include <bpf/bpf_helpers.h>

/* ------------------------------- The kfuncs ------------------------------- */

/*
 * Newer vmlinux.h declare these weak; then they are weak.
 */
#ifdef BPF_EXCEPTIONS_WEAK
#define __bpf_exceptions_ksym __ksym __weak
#else
#define __bpf_exceptions_ksym __ksym
#endif

/* See "One object for 6.1 and mainline" */
#ifdef BPF_EXCEPTIONS_PORTABLE
#define __bpf_throw_noreturn
#define __bpf_no_callback_kfunc							\
	__attribute__((__unavailable__("mainline has no such kfunc; use __exception_cb()")))
#else
#define __bpf_throw_noreturn __attribute__((__noreturn__))
#define __bpf_no_callback_kfunc
#endif

/**
 * bpf_throw() - End the program at once
 * @__cookie: Any 64-bit value, which the exception callback receives. Without a
 *	      callback it is ignored or returned, see "Declaration tags".
 *
 * Unwinds every BPF frame up to and including that of the main program, and
 * returns to the kernel code that called the program. The target of a tail call
 * and a program that replaces a global function (freplace) are programs of their
 * own: a throw ends them, and their caller goes on with their return value.
 *
 * In a helper's callback, or below it, the helper stops and returns first:
 * bpf_loop(), bpf_for_each_map_elem(), bpf_user_ringbuf_drain(), bpf_find_vma().
 * In a timer's callback the throw ends that callback alone; no exception callback
 * runs, and the timer can be started again.
 *
 * Before the exception callback runs, everything that these frames hold is
 * released: sockets, ring buffer records and dynptrs (which are discarded), kptrs,
 * objects of KF_ACQUIRE kfuncs, and a spin lock.
 *
 * The verifier treats the call as an exit of the program. It refuses the call if
 * something is held that no variable has any more, or that nothing is known to
 * release ("Unreleased reference"); in the exception callback and in what it calls
 * ("cannot be called from callback"); and in a program without an exception
 * callback, if the program may not return 0.
 *
 * Context: any that the program type runs in: process, softirq, hardirq, NMI, and
 *	    sleepable programs. Does not allocate, lock or sleep, except to release.
 * Return: Never. The *program* returns what the exception callback returns, or 0
 *	   if there is none.
 */
extern void bpf_throw(__u64 __cookie) __bpf_exceptions_ksym __bpf_throw_noreturn;

/**
 * bpf_set_exception_callback() - Name the function that runs after a throw
 * @__cb: The callback: a function of this program, static or global, that takes
 *	  the cookie of bpf_throw() and returns the program's return value.
 *
 * This is a declaration rather than an action: it takes effect when the verifier
 * sees it, and is then erased from the program. It may be anywhere in the main
 * program, even on a branch that never runs. There can be only one, and it stays
 * in effect for the life of the program.
 *
 * The verifier refuses the call outside the main program ("can only be called
 * from main prog"), a second call ("can only be called once to set exception
 * callback"), and an argument that is not a function ("expected pointer to
 * func"). What @__cb returns must be something the program may return. @__cb
 * runs in place of the rest of the program, when all of the program's frames are
 * gone. It may call helpers and functions, but may neither throw nor make a tail
 * call, and the program may not call it directly.
 *
 * Context: the same as bpf_throw().
 * Return: None.
 */
extern void bpf_set_exception_callback(int (*__cb)(__u64 __cookie)) __bpf_exceptions_ksym
	__bpf_no_callback_kfunc;

/* ----------------------------- The assertions ----------------------------- */

/**
 * DOC: Assertions
 *
 *	bpf_assert_{eq,ne,lt,gt,le,ge}(LHS, RHS)	        throw 0
 *	bpf_assert_{eq,ne,lt,gt,le,ge}_value(LHS, RHS, VALUE)   throw VALUE
 *	bpf_assert_range(LHS, BEGIN, END)		        throw 0
 *	bpf_assert_range_with(LHS, BEGIN, END, VALUE)	        throw VALUE
 *	bpf_assert(COND)				        throw 0
 *	bpf_assert_with(COND, VALUE)			        throw VALUE
 *
 * throw if the relation LHS op RHS, or BEGIN <= LHS <= END (both ends belong to
 * the range), or COND does not hold. VALUE is the cookie for bpf_throw().
 *
 * LHS is an integer, bool or enum of 8 to 64 bits. Its type alone decides how it
 * is compared: signed if it is signed, else unsigned.
 *
 * RHS, BEGIN and END should be constants; any that LHS's type can hold will do. If
 * one isn't constant, it must have LHS's signedness and must not be wider, and the
 * verifier learns from it only if it knows its value (a const volatile global, for
 * example).
 *
 * After a relation or a range, the verifier knows the bound
 *  - always, if LHS is the name of a local variable or parameter that is neither
 *    const nor volatile: the variable is then the register that was compared;
 *  - for anything else (p->len, a global, a + b, ...), as long as the compiler goes
 *    on using the value it compared. It usually does, but isn't forced to, since
 *    that would take a store to p->len. Use a local variable if it matters.
 * Linux 6.1 doesn't track "not equal" for scalars, so it learns nothing from ne.
 * COND is plain C: it throws, and promises nothing about the verifier.
 *
 * Each is a statement that evaluates each argument exactly once, including VALUE,
 * whether it throws or not. Each costs a compare and a branch not taken. A constant
 * that isn't a 32-bit immediate has to be loaded as well: one beyond 32 bits; one
 * above 2^31 - 1, for 32-bit unsigned types; and for signed types below 64 bits one
 * other than 0, if LHS may still be negative afterwards.
 *
 * Relations and ranges in one function that throw the same constant share a throw,
 * so each costs only its compare. Line information then names none of them or the
 * wrong one, and bpfthrow (tools/) lists the lines of all of them. If
 * BPF_ASSERT_SITES is defined before this file is included, each has its own throw
 * and bpfthrow names it; this costs 18 bytes of image each, off the path that runs.
 *
 * What they can't do is refused at compile time, with one of these sentences.
 */
#define __BPF_ASSERT_LHS \
	"bpf_assert: the left-hand side must be an integer, bool or enum of at most 64 bits"
#define __BPF_ASSERT_RHS \
	"bpf_assert: the right-hand side must be an integer, bool or enum of at most 64 bits"
#define __BPF_ASSERT_VALUE \
	"bpf_assert: the value to throw must be an integer, bool or enum of at most 64 bits"
#define __BPF_ASSERT_FIT \
	"bpf_assert: the type of the left-hand side cannot hold this constant"
#define __BPF_ASSERT_NEVER \
	"bpf_assert: no value of the left-hand side's type satisfies this"
#define __BPF_ASSERT_MIX \
	"bpf_assert: a right-hand side that is not constant must have the signedness of the left-hand side and not be wider: cast one of them"
#define __BPF_ASSERT_EMPTY \
	"bpf_assert_range: begin is greater than end"

/* Mainline's selftests have simpler ones by these names, in bpf_experimental.h. */
#ifdef __BPF_EXPERIMENTAL__
#undef bpf_assert
#undef bpf_assert_with
#undef bpf_assert_range
#undef bpf_assert_range_with
#endif

#define bpf_assert_eq(LHS, RHS) bpf_assert_eq_value(LHS, RHS, 0)
#define bpf_assert_ne(LHS, RHS) bpf_assert_ne_value(LHS, RHS, 0)
#define bpf_assert_lt(LHS, RHS) bpf_assert_lt_value(LHS, RHS, 0)
#define bpf_assert_gt(LHS, RHS) bpf_assert_gt_value(LHS, RHS, 0)
#define bpf_assert_le(LHS, RHS) bpf_assert_le_value(LHS, RHS, 0)
#define bpf_assert_ge(LHS, RHS) bpf_assert_ge_value(LHS, RHS, 0)

#define bpf_assert_eq_value(LHS, RHS, VALUE) __bpf_assert_cmp(__bpf_eq, LHS, RHS, VALUE)
#define bpf_assert_ne_value(LHS, RHS, VALUE) __bpf_assert_cmp(__bpf_ne, LHS, RHS, VALUE)
#define bpf_assert_lt_value(LHS, RHS, VALUE) __bpf_assert_cmp(__bpf_lt, LHS, RHS, VALUE)
#define bpf_assert_gt_value(LHS, RHS, VALUE) __bpf_assert_cmp(__bpf_gt, LHS, RHS, VALUE)
#define bpf_assert_le_value(LHS, RHS, VALUE) __bpf_assert_cmp(__bpf_le, LHS, RHS, VALUE)
#define bpf_assert_ge_value(LHS, RHS, VALUE) __bpf_assert_cmp(__bpf_ge, LHS, RHS, VALUE)

#define bpf_assert(COND) bpf_assert_with(COND, 0)
#define bpf_assert_with(COND, VALUE) __bpf_assert_cond(COND, VALUE)

#define bpf_assert_range(LHS, BEGIN, END) bpf_assert_range_with(LHS, BEGIN, END, 0)
#define bpf_assert_range_with(LHS, BEGIN, END, VALUE)				\
	__bpf_assert_between(LHS, BEGIN, END, VALUE)

/* Mainline's names of the _value forms, in 6.7 */
#define bpf_assert_eq_with(LHS, RHS, VALUE) bpf_assert_eq_value(LHS, RHS, VALUE)
#define bpf_assert_ne_with(LHS, RHS, VALUE) bpf_assert_ne_value(LHS, RHS, VALUE)
#define bpf_assert_lt_with(LHS, RHS, VALUE) bpf_assert_lt_value(LHS, RHS, VALUE)
#define bpf_assert_gt_with(LHS, RHS, VALUE) bpf_assert_gt_value(LHS, RHS, VALUE)
#define bpf_assert_le_with(LHS, RHS, VALUE) bpf_assert_le_value(LHS, RHS, VALUE)
#define bpf_assert_ge_with(LHS, RHS, VALUE) bpf_assert_ge_value(LHS, RHS, VALUE)

/* ----------------- Throws in functions that may still return -------------- */

/**
 * DOC: Tail calls and packet loads
 *
 *	return bpf_tail_call_or_throw(CTX, MAP, INDEX, COOKIE);
 *	return bpf_throw_returning(COOKIE);
 *
 * A subprogram can return to its caller in two ways that the compiler doesn't know
 * about: by bpf_tail_call(), when the target returns, and by LD_ABS and LD_IND
 * (llvm.bpf.load.*), when the packet is too short. If all other ways out are throws,
 * the compiler takes it for a function that never returns, and drops the code after
 * calls of it; the verifier refuses such a program. These macros throw like
 * bpf_throw(), but the compiler thinks they may return.
 *
 * bpf_tail_call_or_throw() makes a tail call and throws if it fails. It returns from
 * the function it is used in, with or without "return" in front of it, so the caller
 * gets what the target returns. That function must return an integer, as the verifier
 * requires of all functions that make tail calls or packet loads.
 *
 * bpf_throw_returning() is only the throw: an int whose value the compiler doesn't
 * know. Return it instead of calling bpf_throw() after packet loads.
 *
 * COOKIE is evaluated once, and only if it is thrown. Such a throw is two instructions
 * longer than bpf_throw() in the object and one in the image; the path that doesn't
 * throw is no longer.
 */
#define bpf_tail_call_or_throw(CTX, MAP, INDEX, COOKIE)				\
	__extension__ ({							\
		__bpf_quiet							\
		bpf_tail_call(CTX, MAP, INDEX);					\
		const int __bpf_unknown = bpf_throw_returning(COOKIE);		\
		__bpf_loud							\
		__bpf_quiet_conversion						\
		return __bpf_unknown;						\
		__bpf_loud							\
		(_Bool)0;							\
	})
#define bpf_throw_returning(COOKIE) __bpf_throw_returning(COOKIE)
#define __BPF_THROW_COOKIE \
	"bpf_throw_returning: the cookie must be an integer, bool or enum of at most 64 bits"

/* ------------- Kernels with exceptions, and kernels without them ----------- */

/**
 * DOC: One object for both
 *
 * If BPF_EXCEPTIONS_WEAK is defined before this file is included, both kfuncs are
 * weak: the program loads even if they are missing, provided that no call of them is
 * live. bpf_exceptions_exist() is true if bpf_throw() exists. libbpf knows that when
 * it loads the program, so the verifier removes the code that can't run:
 *
 *	if (!bpf_exceptions_exist())
 *		return TC_ACT_SHOT;
 *	bpf_assert_lt(len, 1500);
 *
 * A newer vmlinux.h declares them weak as well; the order of inclusion doesn't
 * matter. If they aren't weak, bpf_exceptions_exist() is refused at compile time.
 */
#define bpf_exceptions_exist()							\
	__extension__ ({							\
		__bpf_quiet							\
		_Static_assert(!__builtin_constant_p((void *)bpf_throw != (void *)0),	\
			       __BPF_EXIST_STRONG);				\
		__bpf_loud							\
		(void *)bpf_throw != (void *)0;					\
	})
#define __BPF_EXIST_STRONG							\
	"bpf_exceptions_exist: bpf_throw isn't weak; define BPF_EXCEPTIONS_WEAK before bpf_exceptions.h is included"

/* ------------------------------ Mainline's API ---------------------------- */

/**
 * DOC: Declaration tags of the main program
 *
 *	SEC("tc") __exception_cb(NAME) int main_program(...)
 *	SEC("tc") __exception_default_cookie int main_program(...)
 *	SEC("tc") __exception_default_zero int main_program(...)
 *
 * __exception_cb() names the exception callback as in mainline since 6.7. Use it
 * instead of bpf_set_exception_callback(), not in addition. Usually nothing else in
 * the program refers to NAME, so it has to be a global function, or the compiler
 * leaves it out.
 *
 * __exception_default_cookie and __exception_default_zero say what a program without
 * a callback returns when it throws: the cookie, as in mainline, or 0. It must be a
 * value that the program's type may return.
 *
 * Tags are in BTF: compile with -g, and load with libbpf 1.3 or later.
 */
#ifndef __exception_cb
#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))
#endif
#define __exception_default_cookie __attribute__((btf_decl_tag("exception_default:cookie")))
#define __exception_default_zero __attribute__((btf_decl_tag("exception_default:0")))

/**
 * DOC: One object for 6.1 and mainline
 *
 * With BPF_EXCEPTIONS_PORTABLE defined before this file is included the object
 * refers to nothing that mainline's kernels lack, and is what their verifier takes:
 *  - bpf_set_exception_callback() is refused when compiling. The callback is named by
 *    __exception_cb(). A program without one returns the cookie, as that is all that
 *    mainline has: __bpf_exceptions_portable(), which nothing calls, tells the kernel.
 *  - bpf_throw() is, for the compiler, a call that may return, since a function has to
 *    end in an exit or a jump there. A return has to follow where one would without it.
 *  - The throws of the macros are each followed by an exit that is never run: an
 *    instruction more in the object, off the path on which nothing is thrown.
 *
 * bpf_tail_call_or_throw() is for main programs then: mainline's verifier doesn't
 * explore what follows a tail call that a subprogram makes and doesn't return from.
 */
#if defined(BPF_EXCEPTIONS_PORTABLE) && defined(__bpf__)
/* An object with such a tag is for mainline. Global, as libbpf wants all to be that have one. */
int __bpf_exceptions_portable(void);
__attribute__((__weak__, __noinline__)) __exception_cb(__bpf_exceptions_portable)
int __bpf_exceptions_portable(void)
{
	return 0;
}
#endif

/**
 * DOC: Compares
 *
 *	bpf_cmp_likely(LHS, OP, RHS)
 *	bpf_cmp_unlikely(LHS, OP, RHS)
 *
 * are conditions for use in an if or in bpf_assert(): LHS OP RHS, with one of
 * == != < <= > >= for OP. Each compiles to one compare, which the compiler neither
 * inverts nor merges with another. The code runs straight on if a likely compare holds,
 * or if an unlikely one doesn't. As in the relations above, LHS alone decides whether
 * the compare is signed. A constant RHS has to fit LHS's type. One that isn't constant
 * may have any width if its signedness is that of LHS, and may be unsigned and narrower
 * than a signed LHS. Both are evaluated once.
 *
 * bpf_cmp_unlikely() also takes &, if clang's assembler knows it: that of clang 19
 * does, that of clang 16 doesn't.
 *
 * The verifier knows the bound as long as the compiler goes on using the value it
 * compared, which nothing forces it to do. Use a relation if it matters.
 */
#define __BPF_CMP_LHS \
	"bpf_cmp: the left-hand side must be an integer, bool or enum of at most 64 bits"
#define __BPF_CMP_RHS \
	"bpf_cmp: the right-hand side must be an integer, bool or enum of at most 64 bits"
#define __BPF_CMP_FIT \
	"bpf_cmp: the type of the left-hand side cannot hold this constant"
#define __BPF_CMP_MIX \
	"bpf_cmp: one side is signed and the other one is not: cast one of them"
#define __BPF_CMP_OP \
	"bpf_cmp: the operator must be == != < <= > or >=, or & in bpf_cmp_unlikely"

#ifndef bpf_cmp_likely
#define bpf_cmp_likely(LHS, OP, RHS) __bpf_compare(__bpf_unless, 1, LHS, OP, RHS)
#endif
#ifndef bpf_cmp_unlikely
#define bpf_cmp_unlikely(LHS, OP, RHS) __bpf_compare(__bpf_if, 0, LHS, OP, RHS)
#endif

/* ------------------- The implementation. Private from here on. ------------ */

#ifndef __clang__
/* gcc has reported what is wrong above; keep it from reporting more. */
#define __bpf_assert_cmp(...) do { } while (0)
#define __bpf_assert_cond(...) do { } while (0)
#define __bpf_assert_between(...) do { } while (0)
#define __bpf_throw_returning(...) 0
#define __bpf_compare(...) 1
#define __bpf_quiet
#define __bpf_quiet_conversion
#define __bpf_loud
#else

/*
 * Between these two the compiler doesn't warn about what the macros can't avoid:
 * names that shadow those of an enclosing macro, features newer than -std=, and
 * strings as long as an argument. It still warns about mistakes in an argument.
 */
#define __bpf_quiet								\
	_Pragma("clang diagnostic push")					\
	_Pragma("clang diagnostic ignored \"-Wshadow\"")			\
	_Pragma("clang diagnostic ignored \"-Wc11-extensions\"")		\
	_Pragma("clang diagnostic ignored \"-Wgnu-statement-expression\"")	\
	_Pragma("clang diagnostic ignored \"-Woverlength-strings\"")
#define __bpf_quiet_conversion							\
	_Pragma("clang diagnostic push")					\
	_Pragma("clang diagnostic ignored \"-Wconversion\"")			\
	_Pragma("clang diagnostic ignored \"-Wsign-conversion\"")
#define __bpf_loud _Pragma("clang diagnostic pop")

/*
 * COND can't be taken apart, so this is a plain branch. LLVM's BPF back end does
 * not invert branches: it emits blocks in the order it finds them, here the code
 * that follows before the throw. For that, the code that follows has to remain a
 * block of its own. It does, because the throw seems to lead there as well, by a
 * jump that is never taken. The asms contain no instruction and each is unique.
 * They keep the block for the case that COND holds from being empty, and the code
 * that follows from being duplicated for that jump, where COND is known.
 */
#define __bpf_assert_cond(COND, VALUE)						\
	do {									\
		__bpf_quiet							\
		__label__ __bpf_holds;						\
		const int __bpf_cond = !!(COND);				\
		__u64 __bpf_unused;						\
		__bpf_operand(__bpf_value, VALUE, __BPF_ASSERT_VALUE);		\
										\
		if (__builtin_expect(__bpf_cond, 1)) {				\
			__asm__("" : "=r"(__bpf_unused) : "i"(__COUNTER__));	\
			goto __bpf_holds;					\
		}								\
		__asm__ goto("if %1 != 0 goto %l[__bpf_holds]"			\
			     : "=r"(__bpf_unused) : "r"(0ULL) : : __bpf_holds);	\
		__bpf_throw_apart((__u64)__bpf_value);				\
__bpf_holds:									\
		__asm__("" : "=r"(__bpf_unused) : "i"(__COUNTER__));		\
		__asm__("" : "=r"(__bpf_unused) : "i"(__COUNTER__));		\
		__bpf_loud							\
	} while (0)

/*
 * Two relations on one copy of LHS. The copy is const if LHS is not a local variable,
 * as there is nothing to pass the bound back to.
 */
#define __bpf_assert_between(LHS, BEGIN, END, VALUE)				\
	do {									\
		__bpf_quiet							\
		__bpf_operand(__bpf_whole, LHS, __BPF_ASSERT_LHS);		\
		__bpf_local(__bpf_whole, LHS);					\
		__bpf_operand(__bpf_begin, BEGIN, __BPF_ASSERT_RHS);		\
		__bpf_operand(__bpf_end, END, __BPF_ASSERT_RHS);		\
		__bpf_operand(__bpf_cookie, VALUE, __BPF_ASSERT_VALUE);		\
		enum {								\
			__bpf_in_order = !__bpf_begin_is_int ||			\
				!__bpf_end_is_int ||				\
				!__builtin_constant_p(__bpf_begin) ||		\
				!__builtin_constant_p(__bpf_end) ||		\
				!__bpf_greater(__bpf_constant(__bpf_begin),	\
					       __bpf_constant(__bpf_end)),	\
			__bpf_from_0_up = __builtin_constant_p(__bpf_begin) &&	\
				!__bpf_negative(__bpf_constant(__bpf_begin)),	\
		};								\
		_Static_assert(__bpf_in_order, __BPF_ASSERT_EMPTY);		\
		__typeof__(*__builtin_choose_expr(__bpf_whole_is_local,		\
						  (__bpf_whole_t *)0,		\
						  (const __bpf_whole_t *)0))	\
			__bpf_part = __bpf_whole;				\
										\
		__bpf_assert_cmp(__bpf_from, __bpf_part, __bpf_begin, __bpf_cookie);	\
		__bpf_assert_cmp(__bpf_to, __bpf_part, __bpf_end, __bpf_cookie);	\
		__bpf_target(__bpf_whole, LHS) = __bpf_part;			\
		__bpf_loud							\
	} while (0)

/*
 * The compare is an asm goto. The compiler can neither invert it nor merge it with
 * another; the throw is C code at its label, so bpf_throw gets its .ksyms BTF and
 * ends up out of line; and the compared register is an output, so from there on the
 * caller's variable is that register.
 *
 * All compares are 64-bit. After a 32-bit compare, the 6.1 verifier forgets the 64-bit
 * bounds of a register whose upper half isn't known to be 0; it forgets the bounds of
 * a register that is spilled to half a stack slot; and the compilers' default CPU
 * doesn't have 32-bit compares.
 *
 * A narrow value has to stay extended. If it is unsigned or positive, the compiler can
 * be told that it is. If it may be negative, that isn't possible: the compiler extends
 * it again, by shifting left and right, and the verifier forgets a bound below 0 in the
 * process. So such a value x is compared in the middle of its extension, as X = x << S,
 * with the constant shifted as well. A right shift keeps bounds, and shows the compiler
 * that the value has been extended. Several constants separate the values for which the
 * relation holds from those for which it doesn't, since the low S bits of X are 0. The
 * constant is nudged to the one that gives the tightest bound.
 */
#define __bpf_assert_cmp(REL, LHS, RHS, VALUE)					\
	do {									\
		__bpf_quiet							\
		__label__ __bpf_fail;						\
		__bpf_operand(__bpf_lhs, LHS, __BPF_ASSERT_LHS);		\
		__bpf_local(__bpf_lhs, LHS);					\
		__bpf_operand(__bpf_rhs, RHS, __BPF_ASSERT_RHS);		\
		__bpf_operand(__bpf_value, VALUE, __BPF_ASSERT_VALUE);		\
		enum {								\
			__bpf_known = __builtin_constant_p(__bpf_rhs),		\
			__bpf_fit = !__bpf_known ||				\
				__bpf_fits(__bpf_lhs_t,				\
					   __bpf_constant(__bpf_rhs)),		\
			__bpf_can_hold = !__bpf_known || !__bpf_fit ||		\
				!REL##_never(__bpf_lhs_t,			\
						   __bpf_constant(__bpf_rhs)),	\
			__bpf_sign = __bpf_signed(__bpf_lhs_t),			\
			__bpf_alike = __bpf_known ||				\
				(__bpf_signed(__bpf_rhs_t) == __bpf_sign &&	\
				 sizeof(__bpf_rhs_t) <= sizeof(__bpf_lhs_t)),	\
			__bpf_tie = __bpf_lhs_is_local && REL##_learn,	\
			__bpf_positive = !__bpf_sign || (__bpf_known &&		\
				REL##_positive(__bpf_constant(__bpf_rhs))),\
			__bpf_shift = __bpf_tie && !__bpf_positive ?		\
				64 - 8 * sizeof(__bpf_lhs_t) : 0,		\
		};								\
		_Static_assert(__bpf_fit, __BPF_ASSERT_FIT);			\
		_Static_assert(__bpf_can_hold, __BPF_ASSERT_NEVER);		\
		_Static_assert(__bpf_alike, __BPF_ASSERT_MIX);			\
		__u64 __bpf_x = (__u64)__bpf_lhs << __bpf_shift;		\
		__u64 __bpf_k = __bpf_shifted(REL, __bpf_rhs);			\
										\
		/* Hidden, or a wide constant would become an immediate. */	\
		__asm__("" : "+r"(__bpf_k));					\
		REL##_unless(						\
			__bpf_x,						\
			__bpf_immediate_or(					\
				__bpf_shifted(REL, __bpf_constant(__bpf_rhs)),	\
				__bpf_k));					\
		if (__bpf_shift)						\
			__builtin_assume(!(__bpf_x & __bpf_low_bits));		\
		else if (__bpf_tie && __bpf_positive)				\
			__builtin_assume(__bpf_x <= __bpf_max(__bpf_lhs_t));	\
		__bpf_target(__bpf_lhs, LHS) =					\
			__bpf_tie ? __bpf_compared : __bpf_lhs;			\
		break;								\
__bpf_fail:									\
		__bpf_throw_failed((__u64)__bpf_value);				\
		__bpf_loud							\
	} while (0)

/*
 * The relations; from and to are the two ends of a range. unless: how to jump if the
 * relation doesn't hold, unsigned and signed. learn: whether the verifier learns from
 * the branch not taken. positive: no negative value satisfies the relation (that is
 * true of ge 0, too, but a shifted 0 is still an immediate). nudge: see above, in units
 * of the low bits; that of lt would overflow for the smallest value, which never
 * excludes. never: no value satisfies the relation.
 */
#define __bpf_eq_unless(x, k)	__bpf_jump("!=", "!=", x, k)
#define __bpf_ne_unless(x, k)	__bpf_jump("==", "==", x, k)
#define __bpf_lt_unless(x, k)	__bpf_jump(">=", "s>=", x, k)
#define __bpf_gt_unless(x, k)	__bpf_jump("<=", "s<=", x, k)
#define __bpf_le_unless(x, k)	__bpf_jump(">", "s>", x, k)
#define __bpf_ge_unless(x, k)	__bpf_jump("<", "s<", x, k)
#define __bpf_from_unless(x, k)	__bpf_ge_unless(x, k)
#define __bpf_to_unless(x, k)	__bpf_le_unless(x, k)

#define __bpf_eq_learn		1
#define __bpf_ne_learn		0
#define __bpf_lt_learn		1
#define __bpf_gt_learn		1
#define __bpf_le_learn		1
#define __bpf_ge_learn		1
#define __bpf_from_learn	1
#define __bpf_to_learn		1

#define __bpf_eq_positive(c)	((__s64)(c) >= 0)
#define __bpf_ne_positive(c)	0
#define __bpf_lt_positive(c)	0
#define __bpf_gt_positive(c)	((__s64)(c) >= 0)
#define __bpf_le_positive(c)	0
#define __bpf_ge_positive(c)	((__s64)(c) > 0)
#define __bpf_from_positive(c)	__bpf_from_0_up
#define __bpf_to_positive(c)	__bpf_from_0_up

#define __bpf_eq_nudge		0
#define __bpf_ne_nudge		0
#define __bpf_lt_nudge		(-__bpf_known)
#define __bpf_gt_nudge		1
#define __bpf_le_nudge		0
#define __bpf_ge_nudge		0
#define __bpf_from_nudge	0
#define __bpf_to_nudge		0

#define __bpf_eq_never(t, c)	0
#define __bpf_ne_never(t, c)	0
#define __bpf_lt_never(t, c)	((t)(c) == __bpf_min(t))
#define __bpf_gt_never(t, c)	((t)(c) == __bpf_max(t))
#define __bpf_le_never(t, c)	0
#define __bpf_ge_never(t, c)	0
#define __bpf_from_never(t, c)	0
#define __bpf_to_never(t, c)	0

/* The rest of __bpf_assert_cmp(); uses its names. */

#define __bpf_low_bits ((1ULL << __bpf_shift) - 1)
#define __bpf_shifted(REL, rhs)							\
	(((__u64)(__bpf_lhs_t)(rhs) << __bpf_shift) +				\
	 (__u64)REL##_nudge * __bpf_low_bits)
#define __bpf_compared ((__bpf_lhs_t)((__s64)__bpf_x >> __bpf_shift))

#define __bpf_immediate_or(c, reg)						\
	__builtin_choose_expr(__bpf_known && (__s64)(c) == (int)(c), c, reg)

/*
 * Only one of the four remains, as the conditions are constants. They aren't volatile,
 * and each has an output, used or not. So the compiler knows that they don't touch
 * memory, and goes on using what it has loaded instead of loading it again.
 */
#define __bpf_jump(unsigned_op, signed_op, x, k)				\
	do {									\
		__u64 __bpf_unused;						\
										\
		if (__bpf_tie && __bpf_sign)					\
			__bpf_asm_goto(signed_op, k, __bpf_tied(x), __bpf_fail);		\
		else if (__bpf_tie)						\
			__bpf_asm_goto(unsigned_op, k, __bpf_tied(x), __bpf_fail);		\
		else if (__bpf_sign)						\
			__bpf_asm_goto(signed_op, k, __bpf_looked_at(x), __bpf_fail);	\
		else								\
			__bpf_asm_goto(unsigned_op, k, __bpf_looked_at(x), __bpf_fail);	\
	} while (0)
#define __bpf_tied(x) [__bpf_l] "+r"(x) :
#define __bpf_looked_at(x) "=r"(__bpf_unused) : [__bpf_l] "r"(x),
#define __bpf_asm_goto(op, k, output_and_input, label)				\
	__asm__ goto("if %[__bpf_l] " op " %[__bpf_r] goto %l[" #label "]"	\
		     : output_and_input [__bpf_r] "ri"(k) : : label)

/*
 * For mainline's verifier bpf_throw() is a call like others, and a function has to
 * end in an exit or a jump: hence the exit that is never run.
 */
#ifdef BPF_EXCEPTIONS_PORTABLE
#define __bpf_throw_and_end(cookie)						\
	do {									\
		bpf_throw(cookie);						\
		__asm__ __volatile__("exit");					\
		__builtin_unreachable();					\
	} while (0)
#else
#define __bpf_throw_and_end(cookie) bpf_throw(cookie)
#endif

/*
 * The throw of a relation. The compiler merges those in a function that throw the same
 * value, leaving jumps to the remaining one. The kernel folds these jumps, so that the
 * compares jump straight there, and the image has nothing else for each.
 */
#ifdef BPF_ASSERT_SITES
#define __bpf_throw_failed(cookie) __bpf_throw_apart(cookie)
#else
#define __bpf_throw_failed(cookie) __bpf_throw_and_end(cookie)
#endif

/*
 * A throw that looks like no other. If the compiler merged it with another one, it would
 * invert a C condition. The asm is between cookie and call; otherwise they would look
 * like the end of a bpf_throw() in plain C, and could be shared with it.
 */
#define __bpf_throw_apart(cookie)						\
	do {									\
		__u64 __bpf_thrown = cookie;					\
										\
		__asm__ __volatile__("" : "+r"(__bpf_thrown) : "i"(__COUNTER__));	\
		__bpf_throw_and_end(__bpf_thrown);				\
	} while (0)

/*
 * A throw, with a branch around it that is never taken. The compiler doesn't know that:
 * it can't see that the first asm makes a 0, or, after the second one, that the value
 * returned isn't 0. The verifier does know, and removes the branch and the code that only
 * the branch leads to.
 */
#define __bpf_throw_returning(COOKIE)						\
	__extension__ ({							\
		__bpf_quiet							\
		__s64 __bpf_zero;						\
										\
		__asm__ __volatile__("%0 = 0" : "=r"(__bpf_zero));		\
		if (!__bpf_zero) {						\
			__bpf_operand(__bpf_value, COOKIE, __BPF_THROW_COOKIE);	\
										\
			__bpf_throw_and_end((__u64)__bpf_value);		\
		}								\
		__asm__("" : "+r"(__bpf_zero));					\
		__bpf_loud							\
		(int)__bpf_zero;						\
	})

/*
 * A compare as a condition. JUMP is __bpf_if or __bpf_unless: whether to jump if it holds
 * or if it doesn't; STRAIGHT is its value if there is no jump.
 */
#define __bpf_compare(JUMP, STRAIGHT, LHS, OP, RHS)				\
	__extension__ ({							\
		__bpf_quiet							\
		__label__ __bpf_jumped;						\
		__bpf_operand(__bpf_lhs, LHS, __BPF_CMP_LHS);			\
		__bpf_operand(__bpf_rhs, RHS, __BPF_CMP_RHS);			\
		enum {								\
			__bpf_known = __builtin_constant_p(__bpf_rhs),		\
			__bpf_fit = !__bpf_known ||				\
				__bpf_fits(__bpf_lhs_t,				\
					   __bpf_constant(__bpf_rhs)),		\
			__bpf_sign = __bpf_signed(__bpf_lhs_t),			\
			__bpf_alike = __bpf_known ||				\
				__bpf_signed(__bpf_rhs_t) == __bpf_sign ||	\
				(__bpf_sign &&					\
				 sizeof(__bpf_rhs_t) < sizeof(__bpf_lhs_t)),	\
			__bpf_is_op = __bpf_folded(JUMP##_has(#OP)),		\
		};								\
		_Static_assert(__bpf_fit, __BPF_CMP_FIT);			\
		_Static_assert(__bpf_alike, __BPF_CMP_MIX);			\
		_Static_assert(__bpf_is_op, __BPF_CMP_OP);			\
		const __u64 __bpf_x = (__u64)__bpf_lhs;				\
		__u64 __bpf_k = (__u64)__bpf_rhs, __bpf_unused;			\
		_Bool __bpf_result = !(STRAIGHT);				\
										\
		__asm__("" : "+r"(__bpf_k));					\
		if (__bpf_known && (__s64)__bpf_rhs == (int)__bpf_rhs)		\
			__bpf_k = (__u64)__bpf_rhs;				\
		JUMP(#OP);							\
		__bpf_result = (STRAIGHT);					\
__bpf_jumped:									\
		__bpf_loud							\
		__bpf_result;							\
	})

/* Only one of all these remains. */
#define __bpf_if(op)								\
	do {									\
		__bpf_if_op(op, "==", "==", "==");				\
		__bpf_if_op(op, "!=", "!=", "!=");				\
		__bpf_if_op(op, "<", "<", "s<");				\
		__bpf_if_op(op, "<=", "<=", "s<=");				\
		__bpf_if_op(op, ">", ">", "s>");				\
		__bpf_if_op(op, ">=", ">=", "s>=");				\
		__bpf_if_op(op, "&", "&", "&");					\
	} while (0)
#define __bpf_unless(op)							\
	do {									\
		__bpf_if_op(op, "==", "!=", "!=");				\
		__bpf_if_op(op, "!=", "==", "==");				\
		__bpf_if_op(op, "<", ">=", "s>=");				\
		__bpf_if_op(op, "<=", ">", "s>");				\
		__bpf_if_op(op, ">", "<=", "s<=");				\
		__bpf_if_op(op, ">=", "<", "s<");				\
	} while (0)
#define __bpf_if_op(op, which, unsigned_op, signed_op)				\
	do {									\
		if (__bpf_same(op, which) && __bpf_sign)			\
			__bpf_asm_goto(signed_op, __bpf_k, __bpf_looked_at(__bpf_x),	\
				       __bpf_jumped);				\
		else if (__bpf_same(op, which))					\
			__bpf_asm_goto(unsigned_op, __bpf_k, __bpf_looked_at(__bpf_x),	\
				       __bpf_jumped);				\
	} while (0)
#define __bpf_unless_has(op)							\
	(__bpf_same(op, "==") || __bpf_same(op, "!=") || __bpf_same(op, "<") ||	\
	 __bpf_same(op, "<=") || __bpf_same(op, ">") || __bpf_same(op, ">="))
#define __bpf_if_has(op) (__bpf_unless_has(op) || __bpf_same(op, "&"))
#define __bpf_same(a, b) (!__builtin_strcmp(a, b))

/* Integers of all types. */

#define __bpf_is_int(t)								\
	_Generic((t *)0, _Bool *: 1, char *: 1,					\
		 signed char *: 1, unsigned char *: 1,				\
		 short *: 1, unsigned short *: 1, int *: 1, unsigned int *: 1,	\
		 long *: 1, unsigned long *: 1,					\
		 long long *: 1, unsigned long long *: 1, default: 0)
#define __bpf_signed(t) ((t)-1 < (t)1)
#define __bpf_min(t)								\
	((t)(__bpf_signed(t) ? 1ULL << (8 * sizeof(t) - 1) : 0))
#define __bpf_max(t)								\
	((t)(__bpf_signed(t) ? ~(1ULL << (8 * sizeof(t) - 1)) : ~0ULL))

#define __bpf_negative(c) ((c) < 1 && (c) != 0)
#define __bpf_fits(t, c)							\
	((__u64)(t)(c) == (__u64)(c) && __bpf_negative((t)(c)) == __bpf_negative(c))
#define __bpf_greater(a, b)							\
	(__bpf_negative(a) != __bpf_negative(b) ? __bpf_negative(b) :		\
	 (__u64)(a) > (__u64)(b))

/*
 * Evaluates an argument once, as <name> of type <name>_t, its type without qualifiers.
 * An argument that is refused is replaced by a number, so that the compiler prints
 * nothing but the one sentence.
 */
#define __bpf_operand(name, e, sentence)					\
	typedef __typeof__(__extension__ ({ (e); })) name##_any_t;		\
	enum { name##_is_int = __bpf_is_int(name##_any_t) };			\
	_Static_assert(name##_is_int, sentence);				\
	typedef __typeof__(*__builtin_choose_expr(name##_is_int,		\
						  (name##_any_t *)0,		\
						  (int *)0)) name##_t;		\
	const name##_t name = __builtin_choose_expr(name##_is_int, (e), 0)
#define __bpf_constant(name) (__builtin_constant_p(name) ? name : 0)

/*
 * Is the argument a local variable that can be assigned to? C has no way to ask. So check
 * that it isn't constant, reads like a name, has no qualifiers, and that its address isn't
 * constant, as a global's would be (for clang, the value of a const pointer is constant
 * only if its initializer is, at link time). It also helps that __builtin_choose_expr()
 * leaves what it chooses an lvalue.
 */
#define __bpf_local(name, e)							\
	name##_t name##_spare __attribute__((__unused__)) = 0;			\
	const volatile void *const name##_at =					\
		&__builtin_choose_expr(__bpf_is_variable(name, e), e,		\
				       name##_spare);				\
	enum {									\
		name##_is_local = __bpf_is_variable(name, e) &&			\
				  !__builtin_constant_p(name##_at != 0)		\
	}
#define __bpf_target(name, e)							\
	__builtin_choose_expr(name##_is_local, e, name##_spare)

#define __bpf_is_variable(name, e)						\
	__builtin_types_compatible_p(						\
		__typeof__(__builtin_choose_expr(				\
			name##_is_int && !__builtin_constant_p(name) &&		\
			__bpf_is_name(#e),					\
			e, (void *)0)) *, name##_t *)

/* String functions fold, but don't make an integer constant expression: hence twice. */
#define __bpf_is_name(s) __bpf_folded(__bpf_reads_like_name(s))
#define __bpf_folded(e) (__builtin_constant_p(e) ? (e) : 0)
#define __bpf_reads_like_name(s)						\
	(__bpf_parens_around(s) &&						\
	 !(__bpf_has(s, ' ') || __bpf_has(s, '"') || __bpf_has(s, ',') ||	\
	   __bpf_has(s, '.') || __bpf_has(s, '[') || __bpf_has(s, '{') ||	\
	   __bpf_has(s, '+') || __bpf_has(s, '-') || __bpf_has(s, '*') ||	\
	   __bpf_has(s, '/') || __bpf_has(s, '%') || __bpf_has(s, '&') ||	\
	   __bpf_has(s, '|') || __bpf_has(s, '^') || __bpf_has(s, '~') ||	\
	   __bpf_has(s, '!') || __bpf_has(s, '<') || __bpf_has(s, '>') ||	\
	   __bpf_has(s, '=') || __bpf_has(s, '?')))
/* No parentheses, or one pair around everything. */
#define __bpf_parens_around(s)							\
	(!__bpf_has(s, '(') ||							\
	 ((s)[0] == '(' && !__bpf_has(&(s)[1], '(') &&				\
	  !__builtin_strchr(s, ')')[1]))
#define __bpf_has(s, c) (__builtin_strchr(s, c) != 0)

#endif /* __clang__ */
#endif /* __BPF_EXCEPTIONS_H__ */
