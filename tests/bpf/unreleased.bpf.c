// SPDX-License-Identifier: GPL-2.0-only
/* What a throw couldn't release is refused */
#include "held.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, __u64);
} numbers SEC(".maps");

/* Part of no test: clang writes the BTF of a kfunc only if C calls it */
SEC("?tc") int calls_kfunc(struct __sk_buff *ctx)
{
	bpf_throw(7);
	return 0;
}

/* --- refused ---------------------------------------------------------------------------------- */

SEC("tc") __test("the only copy is overwritten") __refused("Unreleased reference")
__refused("no variable has the ringbuf record that insn 4 acquired")
__asm_main int lost(void)
{
	asm volatile(GET_RECORD "r0 = 0;" THROW_7 : : OPERANDS);
}

/* Dead registers aren't compared, unless a throw reads them */
#define REGISTER_PAIR(name, desc, how)								\
SEC("tc") __test(desc) how									\
__refused("Unreleased reference") __refused("other paths by insn")				\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1;" GET_RECORD "r8 = r0;"						\
		     "r1 = *(u32 *)(r9 + 8); r6 = r0; r7 = 5; if r1 == 0 goto +2; r7 = r0; r6 = 5;" \
		     SOME_JUMPS									\
		     "r0 = 0; r1 = *(u32 *)(r9 + 4); if r1 == 0 goto +5;"			\
		     "r1 = r8;" PUT_RECORD "r0 = 1; exit; r8 = 0;" THROW_7			\
		     : : OPERANDS);								\
}

REGISTER_PAIR(pair, "a record in one of two registers, garbage in the other", )
REGISTER_PAIR(pair_freq, "a record in one of two registers, garbage in the other, every state",
	      __every_state)

__attribute__((naked, noinline)) static int throws_with_r6_used(void)
{
	asm volatile("r6 = 3; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 == 0 goto +2;"
		     THROW_7 "r0 = r6; exit" : : __imm_addr(throws), __imm(bpf_throw));
}

__attribute__((naked, noinline)) static int returns_with_r6_used(void)
{
	asm volatile("r6 = 3; r9 = r1;" SOME_JUMPS "r0 = r6; exit" : :);
}

/* R7 says whether something is held */
#define CALCULATED(name, desc, how, throw, behind)							\
SEC("tc") __test(desc) how __refused("Unreleased reference")					\
__refused("other paths by insn")								\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r7 = 0; r1 = *(u32 *)(r9 + 8);"					\
		     "if r1 == 2 goto five_%=; if r1 == 1 goto null_%=;"			\
		     GET_RECORD "r6 = r0; r7 = 1; goto join_%=;"				\
		     "five_%=: r6 = 5; goto join_%=;"						\
		     "null_%=: r6 = 0;"								\
		     "join_%=:" SOME_JUMPS							\
		     throw									\
		     "if r7 == 0 goto out_%=; r1 = r6;" PUT_RECORD				\
		     "out_%=: r0 = 1; exit;" behind						\
		     : : OPERANDS, __imm(throws_with_r6_used), __imm(returns_with_r6_used));	\
}

CALCULATED(calculated, "NULL by calculation", ,
	   "r0 = 0; r1 = *(u32 *)(r9 + 4); if r1 == 0 goto throw_%=;", "throw_%=:" THROW_7)
CALCULATED(calculated_freq, "NULL by calculation, every state", __every_state,
	   "r0 = 0; r1 = *(u32 *)(r9 + 4); if r1 == 0 goto throw_%=;", "throw_%=:" THROW_7)

CALCULATED(calculated_outer, "NULL by calculation, in an outer frame", ,
	   "call %[throws_with_r6_used];", "")
CALCULATED(calculated_outer_freq, "NULL by calculation, in an outer frame, every state",
	   __every_state, "call %[throws_with_r6_used];", "")

/* A call between has returned, and had another R6 */
#define PASSED "r1 = r9; call %[returns_with_r6_used];"

CALCULATED(calculated_before, "NULL by calculation, before a call", ,
	   PASSED "r1 = *(u32 *)(r9 + 4); r0 = 0; if r1 == 0 goto throw_%=;", "throw_%=:" THROW_7)
CALCULATED(calculated_before_freq, "NULL by calculation, before a call, every state", __every_state,
	   PASSED "r1 = *(u32 *)(r9 + 4); r0 = 0; if r1 == 0 goto throw_%=;", "throw_%=:" THROW_7)
CALCULATED(calculated_passed, "NULL by calculation, before a call, in an outer frame", ,
	   PASSED "call %[throws_with_r6_used];", "")
CALCULATED(calculated_passed_freq, "NULL by calculation, before a call, in an outer frame, every state",
	   __every_state, PASSED "call %[throws_with_r6_used];", "")

/* No insn ahead that asks for precise numbers by itself */
__attribute__((naked, noinline)) static int always_throws(void)
{
	asm volatile("r9 = r2; r6 = 3;" SOME_JUMPS THROW_7 : : __imm(bpf_throw));
}

#define CALCULATED_BELOW(name, desc, how)							\
SEC("tc") __test(desc) how __refused("Unreleased reference")					\
__refused("other paths by insn")								\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = *(u32 *)(r9 + 8);"						\
		     "if r1 == 2 goto five_%=; if r1 == 1 goto null_%=;"			\
		     GET_RECORD "r6 = r0; goto join_%=;"					\
		     "five_%=: r6 = 5; goto join_%=;"						\
		     "null_%=: r6 = 0;"								\
		     "join_%=:" SOME_JUMPS "r2 = r9; call %[always_throws]"			\
		     : : OPERANDS, __imm(always_throws));					\
}

CALCULATED_BELOW(calculated_below, "NULL by calculation, above a function that always throws", )
CALCULATED_BELOW(calculated_below_freq,
		 "NULL by calculation, above a function that always throws, every state", __every_state)

/* r6 and r7 = the two values that have locks, r9 = the context */
#define GET_LOCKS										\
	"r9 = r1; r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"				\
	"r1 = %[locks] ll; call %[bpf_map_lookup_elem]; if r0 != 0 goto +2;"			\
	"r0 = -1; exit; r6 = r0;"								\
	"r1 = 1; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"					\
	"r1 = %[locks] ll; call %[bpf_map_lookup_elem]; if r0 != 0 goto +2;"			\
	"r0 = -1; exit; r7 = r0;"

#define SWAPPED(name, desc, how)								\
SEC("tc") __test(desc) how __refused("whose map value is in R7")				\
__asm_main int name(void)									\
{												\
	asm volatile(GET_LOCKS									\
		     "r8 = r6; r1 = r6; call %[bpf_spin_lock];"					\
		     "r1 = *(u32 *)(r9 + 8); if r1 == 0 goto +3; r0 = r6; r6 = r7; r7 = r0;"	\
		     SOME_JUMPS									\
		     "r0 = 0; r1 = *(u32 *)(r9 + 4); if r1 == 0 goto +4;"			\
		     "r1 = r8; call %[bpf_spin_unlock]; r0 = 1; exit; r8 = 0;" THROW_7		\
		     : : OPERANDS);								\
}

SWAPPED(swapped, "the values of two locks are swapped", )
SWAPPED(swapped_freq, "the values of two locks are swapped, every state", __every_state)

SEC("tc") __test("only a cast that may be NULL") __refused("Unreleased reference")
__refused("no variable has the socket")
int cast_only(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = socket(ctx);
	struct bpf_tcp_sock *tp;

	if (!sk)
		return -1;
	tp = bpf_tcp_sock(sk);
	/* from here on the compiler, too, has but the cast one */
	asm volatile("r6 = %0; r1 = 0; r2 = 0; r3 = 0; r4 = 0; r5 = 0; r7 = 0; r8 = 0; r9 = 0; r0 = 0;"
		     "r1 = 7; call %[bpf_throw]"
		     : : "r"(tp), __imm(bpf_throw) : "r0", "r1", "r2", "r3", "r4", "r5", "r7", "r8", "r9");
	return 1;
}

SEC("tc") __test("a dynptr is overwritten") __refused("Unreleased reference")
__asm_main int dynptr_overwritten(void)
{
	asm volatile("r1 = %[records] ll; r2 = 16; r3 = 0; r4 = r10; r4 += -16;"
		     "call %[bpf_ringbuf_reserve_dynptr]; r1 = 0; *(u64 *)(r10 - 8) = r1;" THROW_7
		     : : OPERANDS);
}

/* The types of slots are equal, what they are is not */
#define REPLACED(name, desc, how)								\
SEC("tc") __test(desc) how __refused("Unreleased reference")					\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = *(u32 *)(r9 + 8); r6 = r10; r6 += -16; r7 = r10; r7 += -32;"	\
		     "if r1 == 0 goto +3; r0 = r6; r6 = r7; r7 = r0;"				\
		     "r1 = %[records] ll; r2 = 16; r3 = 0; r4 = r6; call %[bpf_ringbuf_reserve_dynptr];" \
		     "r1 = %[throws] ll; r2 = 8; r3 = 0; r4 = r7; call %[bpf_dynptr_from_mem];"	\
		     SOME_JUMPS									\
		     "r0 = 0; r1 = *(u32 *)(r9 + 4); if r1 == 0 goto +5;"			\
		     "r1 = r6; r2 = 0; call %[bpf_ringbuf_discard_dynptr]; r0 = 1; exit;" THROW_7 \
		     : : OPERANDS);								\
}

REPLACED(replaced, "a local dynptr in its place on one path", )
REPLACED(replaced_freq, "a local dynptr in its place on one path, every state", __every_state)

/* ... and which reference is held is the same, too */
#define RENEWED(name, desc, how)								\
SEC("tc") __test(desc) how __refused("the ringbuf dynptr that insn 7 acquired")		\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = %[records] ll; r2 = 16; r3 = 0; r4 = r10; r4 += -16;"	\
		     "call %[bpf_ringbuf_reserve_dynptr];"					\
		     "r1 = *(u32 *)(r9 + 8); if r1 == 1 goto renew_%=;"				\
		     "join_%=:" SOME_JUMPS							\
		     "r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 == 0 goto +2;" THROW_7	\
		     "r1 = r10; r1 += -16; r2 = 0; call %[bpf_ringbuf_discard_dynptr]; r0 = 1; exit;" \
		     "renew_%=: r1 = 0; *(u64 *)(r10 - 16) = r1; *(u64 *)(r10 - 8) = r1;"	\
		     "r1 = %[throws] ll; r2 = 8; r3 = 0; r4 = r10; r4 += -16;"			\
		     "call %[bpf_dynptr_from_mem]; goto join_%="				\
		     : : OPERANDS);								\
}

RENEWED(renewed, "a local dynptr in the place of one that is lost", )
RENEWED(renewed_freq, "a local dynptr in the place of one that is lost, every state", __every_state)

SEC("tc") __test("a local dynptr in the place of one that is lost, without a branch")
__refused("no variable has the ringbuf dynptr")
__asm_main int renewed_straight(void)
{
	asm volatile("r1 = %[records] ll; r2 = 16; r3 = 0; r4 = r10; r4 += -16;"
		     "call %[bpf_ringbuf_reserve_dynptr];"
		     "r1 = 0; *(u64 *)(r10 - 16) = r1; *(u64 *)(r10 - 8) = r1;"
		     "r1 = %[throws] ll; r2 = 8; r3 = 0; r4 = r10; r4 += -16;"
		     "call %[bpf_dynptr_from_mem];" THROW_7 : : OPERANDS);
}

/* --- what states have to agree on before it matters --------------------------------------- */

/* Which one is locked is decided when none is yet */
#define CHOSEN(name, desc, how)									\
SEC("tc") __test(desc) how __refused("whose map value is in R7")				\
__asm_main int name(void)									\
{												\
	asm volatile(GET_LOCKS									\
		     "r8 = r6; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 == 1 goto +1; r8 = r7;" \
		     SOME_JUMPS									\
		     "r1 = r8; call %[bpf_spin_lock];"						\
		     "r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 != 0 goto throw_%=;"	\
		     "r1 = r8; call %[bpf_spin_unlock]; r0 = 1; exit; throw_%=: r8 = 0;" THROW_7 \
		     : : OPERANDS);								\
}

CHOSEN(chosen, "which value is locked is decided before", )
CHOSEN(chosen_freq, "which value is locked is decided before, every state", __every_state)

__attribute__((naked, noinline)) static int locks_given(void)
{
	asm volatile("r6 = r1; r9 = r2;" SOME_JUMPS "r1 = r6; call %[bpf_spin_lock];"
		     "r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 != 0 goto throw_%=;"
		     "r1 = r6; call %[bpf_spin_unlock]; r0 = 1; exit; throw_%=:" THROW_7
		     : : OPERANDS);
}

/* ... in the caller, which has both. The callee has only the one, whichever it is. */
#define CHOSEN_OUTER(name, desc, how)								\
SEC("tc") __test(desc) how									\
__asm_main int name(void)									\
{												\
	asm volatile(GET_LOCKS									\
		     "r8 = r6; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 == 1 goto +1; r8 = r7;" \
		     "r1 = r8; r8 = 0; r2 = r9; call %[locks_given]; r0 = 1; exit"		\
		     : : OPERANDS, __imm(locks_given));					\
}

CHOSEN_OUTER(chosen_outer, "which value is locked is decided by the caller",
	     __input(throws, 1) __repeat(2) __returns(0) __releases(1))
CHOSEN_OUTER(chosen_outer_freq, "which value is locked is decided by the caller, every state",
	     __every_state __input(throws, 1) __repeat(2) __returns(0) __releases(1))

/* Throws where R1 is NULL */
__attribute__((naked, noinline)) static int throws_if_null(void)
{
	asm volatile("r6 = r1; r9 = r2;" SOME_JUMPS "if r6 != 0 goto out_%=;" THROW_7
		     "out_%=: r0 = 1; exit" : : __imm(bpf_throw));
}

/* ... which says that R6 of the caller is, on one path: both have the same look-up's value */
#define EQUAL_OUTER(name, desc, how)								\
SEC("tc") __test(desc) how									\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = %[throws] ll; r8 = *(u64 *)(r1 + 0);"			\
		     "if r8 == 1 goto other_%=; if r8 == 2 goto equal_%=;"			\
		     GET_RECORD "r6 = r0; r1 = 0; goto join_%=;"				\
		     "equal_%=: r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"		\
		     "r1 = %[numbers] ll; call %[bpf_map_lookup_elem]; r6 = r0; r1 = r0; goto join_%=;" \
		     "other_%=: r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"		\
		     "r1 = %[numbers] ll; call %[bpf_map_lookup_elem]; r6 = r0;"			\
		     "r1 = 9; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"			\
		     "r1 = %[numbers] ll; call %[bpf_map_lookup_elem]; r1 = r0;"			\
		     "join_%=: r2 = r9; r7 = 0; r8 = 0; call %[throws_if_null]; r0 = 1; exit"	\
		     : : OPERANDS, __imm_addr(numbers), __imm(throws_if_null));			\
}

EQUAL_OUTER(equal_outer, "NULL by a test of an equal pointer in another frame",
	    __refused("Unreleased reference") __refused("other paths by insn"))
EQUAL_OUTER(equal_outer_freq, "NULL by a test of an equal pointer in another frame, every state",
	    __every_state __refused("Unreleased reference") __refused("other paths by insn"))

/* The register that is tested says what is in the other one, on one path */
#define EQUAL(name, desc, how)									\
SEC("tc") __test(desc) how									\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = %[throws] ll; r8 = *(u64 *)(r1 + 0);"			\
		     "r1 = %[wants] ll; r6 = *(u64 *)(r1 + 0);"					\
		     "r1 = %[seen] ll; r7 = *(u64 *)(r1 + 0);"					\
		     "if r8 == 1 goto join_%=; if r8 == 2 goto equal_%=;"			\
		     GET_RECORD "r6 = r0; r7 = 0; goto join_%=;"				\
		     "equal_%=: r7 = r6;"							\
		     "join_%=:" SOME_JUMPS							\
		     "if r7 != 0 goto out_%=;" THROW_7						\
		     "out_%=: r0 = 1; exit"							\
		     : : OPERANDS, __imm_addr(wants), __imm_addr(seen));			\
}

EQUAL(equal, "NULL by a test of an equal register",
      __refused("Unreleased reference") __refused("other paths by insn"))
EQUAL(equal_freq, "NULL by a test of an equal register, every state",
      __every_state __refused("Unreleased reference") __refused("other paths by insn"))

/* A cast that isn't one: it leads to another socket, to which the program holds nothing */
SEC("tc") __test("the MPTCP socket of a socket that is held") __refused("Unreleased reference")
__refused("no variable has the socket")
int mptcp_only(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = socket(ctx);
	struct mptcp_sock *msk;

	if (!sk)
		return -1;
	msk = bpf_skc_to_mptcp_sock(sk);
	if (!msk) {
		bpf_sk_release(sk);
		return -1;
	}
	asm volatile("r6 = %0; r1 = 0; r2 = 0; r3 = 0; r4 = 0; r5 = 0; r7 = 0; r8 = 0; r9 = 0; r0 = 0;"
		     "r1 = 7; call %[bpf_throw]"
		     : : "r"(msk), __imm(bpf_throw) : "r0", "r1", "r2", "r3", "r4", "r5", "r7", "r8", "r9");
	return 1;
}

/* A state is found to be like one behind insns of the callee that use R6, too: what is asked of the
 * caller's R6 there isn't to get lost on the way back to the caller
 */
__attribute__((naked, noinline)) static int throws_after_test(void)
{
	asm volatile("r9 = r2; r6 = 3; r2 = 0; if r1 == 1 goto +1; r2 = 0;" SOME_JUMPS
		     "r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 == 0 goto +2;"
		     THROW_7 "r0 = r6; exit" : : __imm_addr(throws), __imm(bpf_throw));
}

#define TRACED_BACK(name, desc, how)								\
SEC("tc") __test(desc) how __refused("Unreleased reference")					\
__refused("other paths by insn")								\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r7 = 2; r8 = 0; r1 = *(u32 *)(r9 + 8);"				\
		     "if r1 == 3 goto five_%=; if r1 == 2 goto null_%=; if r1 == 1 goto other_%=;" \
		     GET_RECORD "r6 = r0; r8 = 1; goto join_%=;"				\
		     "five_%=: r6 = 5; goto join_%=;"						\
		     "other_%=: r7 = 1;"							\
		     "null_%=: r6 = 0;"								\
		     "join_%=: r1 = r7; r7 = 0; r2 = r9; call %[throws_after_test];"		\
		     "if r8 == 0 goto out_%=; r1 = r6;" PUT_RECORD				\
		     "out_%=: r0 = 1; exit"							\
		     : : OPERANDS, __imm(throws_after_test));					\
}

TRACED_BACK(traced_back, "NULL that a state is to have which is like another one", )
TRACED_BACK(traced_back_freq, "NULL that a state is to have which is like another one, every state",
	    __every_state)

/* The test of one register says what is in an equal one, and both by what a third one has */
#define EQUAL_TO_OTHER(name, desc, how)								\
SEC("tc") __test(desc) how __refused("Unreleased reference") __refused("other paths by insn")	\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); r7 = 0; r8 = 0;"	\
		     "if r1 == 1 goto five_%=; if r1 == 2 goto null_%=;"			\
		     GET_RECORD "r6 = r0; goto join_%=;"					\
		     "five_%=: r8 = 5;"								\
		     "null_%=: r1 = %[wants] ll; r6 = *(u64 *)(r1 + 0); r7 = r6;"		\
		     "join_%=:" SOME_JUMPS							\
		     "if r7 == r8 goto throw_%=;"						\
		     "r0 = 1; exit; throw_%=:" THROW_7						\
		     : : OPERANDS, __imm_addr(wants));						\
}

EQUAL_TO_OTHER(equal_to_other, "NULL by a test of an equal register for a number", )
EQUAL_TO_OTHER(equal_to_other_freq, "NULL by a test of an equal register for a number, every state",
	       __every_state)

/* What is spilled by R10 is read by a copy of it; the zero that comes of it may be in the stack */
#define FILLED(name, desc, how, here, there)							\
SEC("tc") __test(desc) how __refused("Unreleased reference") __refused("other paths by insn")	\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r7 = 0; r6 = 0; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0);"	\
		     "r2 = 1; r3 = 6;"								\
		     "if r1 == 1 goto five_%=; if r1 == 2 goto null_%=;"			\
		     GET_RECORD here " r7 = 1; goto join_%=;"					\
		     "five_%=: *(u64 *)(r10 - 8) = r3; goto join_%=;"				\
		     "null_%=: *(u64 *)(r10 - 8) = r2;"						\
		     "join_%=: r8 = r10; r8 += -8;" SOME_JUMPS					\
		     "if r7 == 1 goto throw_%=; r6 = *(u64 *)(r8 + 0); r6 += -1;" there		\
		     "throw_%=: r8 = 0; r0 = 0; r1 = *(u32 *)(r9 + 0); if r1 == 0 goto +0;" THROW_7	\
		     : : OPERANDS);								\
}

FILLED(filled, "NULL by calculation, read from the stack by another register", , "r6 = r0;", "")
FILLED(filled_freq, "NULL by calculation, read from the stack by another register, every state",
       __every_state, "r6 = r0;", "")
#define STORE(reg) "*(u64 *)(r10 - 16) = " #reg "; " #reg " = 0;"
FILLED(filled_zero, "a zero by calculation in the stack, read from there by another register", ,
       STORE(r0), STORE(r6))
FILLED(filled_zero_freq, "a zero by calculation in the stack, read from there by another register, every state",
       __every_state, STORE(r0), STORE(r6))

/* ... in the caller's stack, by the callee, which returns for all that a compiler knows */
__attribute__((naked, noinline)) static int fills_and_throws(void)
{
	asm volatile("r9 = r2; r8 = r1; r6 = r3; r7 = r4; r3 = 0;" SOME_JUMPS
		     "if r7 == 1 goto throw_%=; r6 = *(u64 *)(r8 + 0); r6 += -1;"
		     "throw_%=: r8 = 0; r0 = 0; if r8 == 0 goto +2; r0 = 1; exit;" THROW_7
		     : : __imm(bpf_throw));
}

#define FILLED_BELOW(name, desc, how)								\
SEC("tc") __test(desc) how __refused("Unreleased reference") __refused("other paths by insn")	\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); r4 = 0; r2 = 1; r5 = 6;"	\
		     "if r1 == 1 goto five_%=; if r1 == 2 goto null_%=;"			\
		     GET_RECORD "r3 = r0; r4 = 1; goto join_%=;"				\
		     "five_%=: r3 = 0; *(u64 *)(r10 - 8) = r5; goto join_%=;"			\
		     "null_%=: r3 = 0; *(u64 *)(r10 - 8) = r2;"					\
		     "join_%=: r0 = 0; r5 = 0; r2 = r9; r9 = 0; r1 = r10; r1 += -8; call %[fills_and_throws];"	\
		     "r0 = 1; exit"								\
		     : : OPERANDS, __imm(fills_and_throws));					\
}

FILLED_BELOW(filled_below, "NULL by calculation, read from the caller's stack", )
FILLED_BELOW(filled_below_freq, "NULL by calculation, read from the caller's stack, every state",
	     __every_state)

/* The callee's test says what is in the caller's register */
__attribute__((naked, noinline)) static int throws_if_equal(void)
{
	asm volatile("r9 = r2; r6 = 3;" SOME_JUMPS "if r1 == r3 goto throw_%=; r0 = 1; exit;"
		     "throw_%=:" THROW_7 : : __imm(bpf_throw));
}

#define EQUAL_BELOW(name, desc, how)								\
SEC("tc") __test(desc) how __refused("Unreleased reference") __refused("other paths by insn")	\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = %[throws] ll; r8 = *(u64 *)(r1 + 0);"			\
		     "if r8 == 1 goto five_%=; if r8 == 2 goto null_%=;"			\
		     GET_RECORD "r6 = r0; r1 = 0; r3 = 0; goto join_%=;"			\
		     "five_%=: r3 = 5; goto get_%=;"						\
		     "null_%=: r3 = 0;"								\
		     "get_%=: r1 = %[wants] ll; r6 = *(u64 *)(r1 + 0); r1 = r6;"		\
		     "join_%=: r2 = r9; r8 = 0; call %[throws_if_equal]; r0 = 1; exit"		\
		     : : OPERANDS, __imm_addr(wants), __imm(throws_if_equal));			\
}

EQUAL_BELOW(equal_below, "NULL in the caller by a test of an equal register for a number", )
EQUAL_BELOW(equal_below_freq, "NULL in the caller by a test of an equal register for a number, every state",
	    __every_state)

/* Of a callback's throw the caller's stack isn't known, whatever a throw before it relies on */
__attribute__((naked, noinline)) static int changes_and_throws(void)
{
	asm volatile("r3 = %[throws] ll; r3 = *(u64 *)(r3 + 0); if r3 == 0 goto change_%=;"	\
		     "if r1 == 0 goto change_%=;" THROW_7
		     "change_%=: r1 = 5; *(u64 *)(r2 + 0) = r1; r0 = 0; exit"
		     : : OPERANDS);
}

__attribute__((naked, noinline)) static int throws_or_loops(void)
{
	asm volatile("r6 = r1; r1 = %[wants] ll; r1 = *(u64 *)(r1 + 0); if r1 != 0 goto +2;" THROW_7
		     "r1 = 2; r2 = %[changes_and_throws] ll; r3 = r6; r4 = 0; call %[bpf_loop];"
		     "r0 = 1; exit"
		     : : OPERANDS, __imm_addr(wants), __imm(changes_and_throws), __imm(bpf_loop));
}

SEC("tc") __test("a record in the stack that a callback is given, which another throw relies on")
__refused("Unreleased reference")
__asm_main int given_further_out(void)
{
	asm volatile(GET_RECORD "*(u64 *)(r10 - 8) = r0; *(u64 *)(r10 - 16) = r0;"
		     "r6 = 0; r7 = 0; r8 = 0; r9 = 0; r1 = r10; r1 += -8; call %[throws_or_loops];"
		     "r1 = *(u64 *)(r10 - 16);" PUT_RECORD "r0 = 1; exit"
		     : : OPERANDS, __imm(throws_or_loops));
}
