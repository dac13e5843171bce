// SPDX-License-Identifier: GPL-2.0-only
/* A throw releases what the program holds */
#include "held.bpf.h"

/* --- parts ---------------------------------------------------------------------- */

__subprog void always_throw(__u64 number)
{
	seen = number;
	bpf_throw(7);
}

__subprog int may_throw(void)
{
	if (throws)
		bpf_throw(7);
	return 1;
}

__global int global_may_throw(int arg)
{
	if (throws)
		bpf_throw(7);
	return arg;
}

/* Holds a socket of its own meanwhile */
__subprog int socket_and_throw(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = socket(ctx);
	int ret;

	if (!sk)
		return -1;
	ret = may_throw();
	bpf_sk_release(sk);
	return ret;
}

/* What was held at the throw isn't any more when the callback runs */
__subprog int locks_again(__u64 cookie)
{
	struct locked *v = lock_at(0);

	if (!v)
		return -1;
	bpf_spin_lock(&v->lock);
	v->value++;
	bpf_spin_unlock(&v->lock);
	return cookie + 1;
}

/* Calls that may throw, further down */
__global int global_static_may_throw(int arg)
{
	return may_throw() + arg;
}

__global int global_global_may_throw(int arg)
{
	return global_may_throw(arg) + 1;
}

__subprog int static_global_global_may_throw(int arg)
{
	return global_global_may_throw(arg) + 1;
}

__subprog int record_and_throw(void)
{
	void *r = record();

	if (!r)
		return -1;
	if (throws)
		bpf_throw(7);
	bpf_ringbuf_discard(r, 0);
	return 1;
}

/* Is given the record, and throws */
__subprog int given(void *r)
{
	if (throws)
		bpf_throw(7);
	*(__u64 *)r = 1;
	return 1;
}

/* Is given a pointer into the caller's stack, where the record is, too */
__subprog int given_stack(void **place)
{
	if (throws)
		bpf_throw(7);
	return *place ? 1 : 2;
}

/* --- one of each kind, in main -------------------------------------------------- */

HELD(record_main, "a ringbuf record, thrown in main", 1,
	void *r = record();
	if (!r)
		return -1;
	bpf_assert_with(!throws, 7);
	bpf_ringbuf_submit(r, 0);)

HELD(record_plain, "a ringbuf record, thrown by a plain if", 1,
	void *r = record();
	if (!r)
		return -1;
	if (throws)
		bpf_throw(7);
	bpf_ringbuf_submit(r, 0);)

HELD(dynptr_main, "a ringbuf dynptr, thrown in main", 1,
	struct bpf_dynptr d;
	bpf_ringbuf_reserve_dynptr(&records, 16, 0, &d);
	bpf_assert_with(!throws, 7);
	bpf_ringbuf_discard_dynptr(&d, 0);)

HELD(socket_main, "a socket, thrown in main", 1,
	struct bpf_sock *sk = socket(ctx);
	if (!sk)
		return -1;
	bpf_assert_with(!throws, 7);
	bpf_sk_release(sk);)

HELD(object_main, "an object of a kfunc, thrown in main", 1,
	struct prog_test_ref_kfunc *o = object();
	if (!o)
		return -1;
	bpf_assert_with(!throws, 7);
	bpf_kfunc_call_test_release(o);)

HELD(lock_main, "a lock, thrown in main", 1,
	struct locked *v = lock_at(0);
	if (!v)
		return -1;
	bpf_spin_lock(&v->lock);
	v->value = 5;
	if (throws)
		bpf_throw(7);
	v->value++;
	bpf_spin_unlock(&v->lock);)

/* --- frames ----------------------------------------------------------------------- */

HELD(record_static, "a ringbuf record, thrown in a static subprogram", 1,
	void *r = record();
	if (!r)
		return -1;
	may_throw();
	bpf_ringbuf_submit(r, 0);)

HELD(record_global, "a ringbuf record, thrown in a global function", 1,
	void *r = record();
	if (!r)
		return -1;
	global_may_throw(1);
	bpf_ringbuf_submit(r, 0);)

HELD(record_global_static, "a ringbuf record, thrown below a global function, in a static one", 1,
	void *r = record();
	if (!r)
		return -1;
	global_static_may_throw(1);
	bpf_ringbuf_submit(r, 0);)

HELD(record_global_global, "a ringbuf record, thrown below a global function, in a global one", 1,
	void *r = record();
	if (!r)
		return -1;
	global_global_may_throw(1);
	bpf_ringbuf_submit(r, 0);)

HELD(record_static_global, "a ringbuf record, thrown below a static one, two global ones down", 1,
	void *r = record();
	if (!r)
		return -1;
	static_global_global_may_throw(1);
	bpf_ringbuf_submit(r, 0);)

HELD(record_subprog, "a ringbuf record of the subprogram that throws", 1,
	if (record_and_throw() < 0)
		return -1;)

HELD(record_given, "a ringbuf record, given to the subprogram that throws", 1,
	void *r = record();
	if (!r)
		return -1;
	given(r);
	bpf_ringbuf_submit(r, 0);)

HELD(record_in_stack, "a ringbuf record in the stack, which the subprogram that throws has a pointer into", 1,
	void *r = record();
	if (!r)
		return -1;
	given_stack(&r);
	bpf_ringbuf_submit(r, 0);)

HELD(two_of_one, "two references to one object", 2,
	struct prog_test_ref_kfunc *o = object();
	struct prog_test_ref_kfunc *p;
	int ret = -1;
	if (!o)
		return -1;
	p = object();
	if (p) {
		bpf_assert_with(!throws, 7);
		ret = 1;
		bpf_kfunc_call_test_release(p);
	}
	bpf_kfunc_call_test_release(o);
	if (ret < 0)
		return ret;)

HELD(cast, "a socket and what it was cast to", 1,
	struct bpf_sock *sk = socket(ctx);
	struct bpf_tcp_sock *tp;
	if (!sk)
		return -1;
	tp = bpf_tcp_sock(sk);
	if (tp)
		bpf_assert_with(!throws, 7);
	bpf_sk_release(sk);)

HELD(dynptr_static, "a ringbuf dynptr, thrown in a static subprogram", 1,
	struct bpf_dynptr d;
	bpf_ringbuf_reserve_dynptr(&records, 16, 0, &d);
	may_throw();
	bpf_ringbuf_discard_dynptr(&d, 0);)

HELD(each_frame, "a record and an object in main, a socket in the subprogram", 3,
	void *r = record();
	struct prog_test_ref_kfunc *o;
	int ret = -1;
	if (!r)
		return -1;
	o = object();
	if (o) {
		ret = socket_and_throw(ctx);
		bpf_kfunc_call_test_release(o);
	}
	bpf_ringbuf_submit(r, 0);
	if (ret < 0)
		return ret;)

/* --- paths ----------------------------------------------------------------------------- */

HELD(unchecked, "a record that may be NULL, not looked at yet", 1,
	void *r = record();
	bpf_assert_with(!throws, 7);
	if (!r)
		return -1;
	bpf_ringbuf_submit(r, 0);)

HELD(optional, "a record that is held on some paths, on this one it is", 1,
	void *r = NULL;
	if (wants)
		r = record();
	bpf_assert_with(!throws, 7);
	if (r)
		bpf_ringbuf_submit(r, 0);)

HELD(shared, "one cookie before, between and after acquisitions", 2,
	struct bpf_sock *sk;
	void *r;
	bpf_assert_with(wants, 7);
	r = record();
	if (!r)
		return -1;
	bpf_assert_with(wants, 7);
	sk = socket(ctx);
	if (sk) {
		bpf_assert_with(!throws, 7);
		bpf_sk_release(sk);
	}
	bpf_assert_with(wants, 7);
	bpf_ringbuf_submit(r, 0);
	bpf_assert_with(wants, 7);)

SEC("tc") __test("the callback takes the lock that was held") __input(throws, 1) __repeat(2)
__returns(8) __releases(1)
int lock_in_callback(struct __sk_buff *ctx)
{
	struct locked *v = lock_at(0);

	bpf_set_exception_callback(locks_again);
	if (!v)
		return -1;
	bpf_spin_lock(&v->lock);
	v->value = 5;
	if (throws)
		bpf_throw(7);
	bpf_spin_unlock(&v->lock);
	return 1;
}

SEC("tc") __test("blinded constants") __sysctl("net/core/bpf_jit_harden", 2)
__input(throws, 1) __repeat(50) __returns(7) __releases(3)
int hardened(struct __sk_buff *ctx) { return do_each_frame(ctx); }

SEC("tc") __test("without an exception callback") __input(throws, 1) __repeat(50) __returns(0)
__releases(1)
int no_callback(struct __sk_buff *ctx)
{
	void *r = record();

	if (!r)
		return -1;
	bpf_assert_with(!throws, 7);
	bpf_ringbuf_submit(r, 0);
	return 1;
}

/* --- others on the way ------------------------------------------------------------------ */

__u64 exits;

SEC("?fexit") __on(may_throw) int BPF_PROG(fexit_may_throw, int ret)
{
	exits++;
	return 0;
}

SEC("?fexit") __on(socket_and_throw) int BPF_PROG(fexit_socket_and_throw)
{
	exits++;
	return 0;
}

SEC("tc") __test("fexit on the functions between") __with(fexit_may_throw)
__with(fexit_socket_and_throw) __input(throws, 1) __repeat(50) __returns(7) __releases(3)
__expect(exits, 0)
int watched(struct __sk_buff *ctx) { return do_each_frame(ctx); }

SEC("tc") __test("fexit on the functions between, it holds") __with(fexit_may_throw)
__with(fexit_socket_and_throw) __input(throws, 0) __repeat(50) __returns(1) __releases(0)
__expect(exits, 100)
int watched_holds(struct __sk_buff *ctx) { return do_each_frame(ctx); }

SEC("?freplace") __on(replaceable) int ext_throws(int arg)
{
	bpf_throw(9);
	return arg;
}

__global int replaceable(int arg)
{
	if (throws > 1)
		bpf_throw(7);
	return arg;
}

SEC("tc") __test("an extension throws below a holder, which goes on") __with(ext_throws)
__input(throws, 1) __repeat(50) __returns(20) __releases(0)
int extended(struct __sk_buff *ctx)
{
	void *r = record();
	int ret;

	if (!r)
		return -1;
	ret = replaceable(5);
	bpf_ringbuf_submit(r, 0);
	return ret + 20;
}

/* --- a throw that paths with different things share ------------------------------------------ */

/* Some fall into the tail, some jump to its end, to its middle, or through a jump of another */
#define SHARED_TAIL(name, desc, how, n, released)						\
SEC("tc") __test(desc) how __input(throws, n) __repeat(50) __returns(0) __releases(released)	\
__asm_main int name(void)								\
{											\
	asm volatile("r6 = %[throws] ll; r6 = *(u64 *)(r6 + 0);"			\
		     "if r6 == 1 goto tail_%=;"						\
		     GET_RECORD "r7 = r0;"						\
		     "if r6 == 2 goto tail_%=;"						\
		     "if r6 == 3 goto middle_%=;"					\
		     "if r6 == 4 goto detour_%=;"					\
		     "r1 = %[records] ll; r2 = 16; r3 = 0; call %[bpf_ringbuf_reserve];"	\
		     "if r0 != 0 goto +5; r1 = r7;" PUT_RECORD "r0 = -1; exit; r8 = r0;"	\
		     "if r6 == 5 goto detour_%=;"					\
		     "if r6 == 6 goto middle_%=;"					\
		     "if r6 == 7 goto tail_%=;"						\
		     "r1 = r7;" PUT_RECORD						\
		     "if r6 != 8 goto on_%=;"						\
		     "r3 = 1;"								\
		     "detour_%=: r4 = 1; goto middle_%=;"				\
		     "on_%=: r1 = r8;" PUT_RECORD "if r6 != 9 goto out_%=;"		\
		     "tail_%=: r5 = 1;"							\
		     "middle_%=: r0 = 1;"						\
		     THROW_7								\
		     "out_%=: r0 = 1; exit"						\
		     : : OPERANDS);							\
}

SHARED_TAIL(shared_1, "a shared throw, nothing held", , 1, 0)
SHARED_TAIL(shared_1_freq, "a shared throw, nothing held, every state", __every_state,
	    1, 0)
SHARED_TAIL(shared_2, "a shared throw, one thing held", , 2, 1)
SHARED_TAIL(shared_2_freq, "a shared throw, one thing held, every state", __every_state,
	    2, 1)
SHARED_TAIL(shared_3, "a shared throw, one thing held, to its middle", , 3, 1)
SHARED_TAIL(shared_3_freq, "a shared throw, one thing held, to its middle, every state", __every_state,
	    3, 1)
SHARED_TAIL(shared_4, "a shared throw, one thing held, by another jump", , 4, 1)
SHARED_TAIL(shared_4_freq, "a shared throw, one thing held, by another jump, every state", __every_state,
	    4, 1)
SHARED_TAIL(shared_5, "a shared throw, two things held, by another jump", , 5, 2)
SHARED_TAIL(shared_5_freq, "a shared throw, two things held, by another jump, every state", __every_state,
	    5, 2)
SHARED_TAIL(shared_6, "a shared throw, two things held, to its middle", , 6, 2)
SHARED_TAIL(shared_6_freq, "a shared throw, two things held, to its middle, every state", __every_state,
	    6, 2)
SHARED_TAIL(shared_7, "a shared throw, two things held", , 7, 2)
SHARED_TAIL(shared_7_freq, "a shared throw, two things held, every state", __every_state,
	    7, 2)
SHARED_TAIL(shared_8, "a shared throw, another thing held, falling into another jump", , 8, 1)
SHARED_TAIL(shared_8_freq, "a shared throw, another thing held, falling into another jump, every state", __every_state,
	    8, 1)
SHARED_TAIL(shared_9, "a shared throw, nothing held any more, falling into it", , 9, 0)
SHARED_TAIL(shared_9_freq, "a shared throw, nothing held any more, falling into it, every state", __every_state,
	    9, 0)

/* --- what isn't to be asked for ---------------------------------------------------------- */

#define SUM_UP											\
	_Pragma("unroll")									\
	for (int i = 0; i < 30; i++) {								\
		if (seen & (1ULL << i))								\
			sum = sum * 3 + i;							\
		else										\
			sum ^= i;								\
		hide(sum);									\
	}

/* States that differ in numbers are taken for equal, whatever a throw may rely on */
HELD(held_branches, "a record that is always held, and many branches before the throw", 1,
	void *r = record();
	__u32 sum = 1;
	if (!r)
		return -1;
	SUM_UP
	bpf_assert_with(!throws, 7);
	bpf_ringbuf_submit(r, 0);
	sink = sum;)

HELD(optional_branches, "a record that is held on some paths, and many branches before the throw", 1,
	void *r = NULL;
	__u32 sum = 1;
	if (wants)
		r = record();
	SUM_UP
	bpf_assert_with(!throws, 7);
	if (r)
		bpf_ringbuf_submit(r, 0);
	sink = sum;)

HELD(optional_below, "a record that is held on some paths, many branches, a function that throws", 1,
	void *r = NULL;
	__u32 sum = 1;
	if (wants)
		r = record();
	SUM_UP
	if (throws)
		always_throw(sum);
	if (r)
		bpf_ringbuf_submit(r, 0);
	sink = sum;)

/* --- more than one way to hold it ------------------------------------------------------------- */

/* Takes the record over */
__attribute__((naked, noinline)) static int takes(void)
{
	asm volatile("r6 = r1; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 == 0 goto +2;"
		     THROW_7 "r1 = r6;" PUT_RECORD "r0 = 1; exit" : : OPERANDS);
}

/* One call leaves a copy in the caller, which is of no use to it, the other doesn't */
#define TAKEN(name, desc, n)									\
SEC("tc") __test(desc) __input(throws, 1) __input(wants, n) __repeat(50) __returns(0)		\
__releases(1)											\
__asm_main int name(void)									\
{												\
	asm volatile("r6 = %[wants] ll; r6 = *(u64 *)(r6 + 0); if r6 == 1 goto plain_%=;"	\
		     GET_RECORD "r6 = r0; r1 = r6; call %[takes]; r0 = 1; exit;"		\
		     "plain_%=:" GET_RECORD "r1 = r0; call %[takes]; r0 = 1; exit"		\
		     : : OPERANDS, __imm_addr(wants), __imm(takes));				\
}

TAKEN(taken_1, "a record handed over, no copy left", 1)
TAKEN(taken_2, "a record handed over, a copy left", 2)
