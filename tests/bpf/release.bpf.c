// SPDX-License-Identifier: GPL-2.0-only
/* A throw releases what the program holds */
#include <stdbool.h>
#include "test.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	int value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct locked);
} locks SEC(".maps");

/* The kernel's own, for tests: reference-counted, of which there is one */
struct prog_test_member {
	int a, b;
};

struct prog_test_ref_kfunc {
	int a, b;
	struct prog_test_member memb;
	struct prog_test_ref_kfunc *next;
	struct {
		struct {
			int counter;
		} refs;
	} cnt;
} __attribute__((preserve_access_index));

struct prog_test_ref_kfunc *bpf_kfunc_call_test_acquire(unsigned long *scalar) __ksym;
void bpf_kfunc_call_test_release(struct prog_test_ref_kfunc *object) __ksym;

struct kept {
	struct prog_test_ref_kfunc __attribute__((btf_type_tag("kptr_ref"))) *object;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} kept SEC(".maps");

/* Of an established connection; the loader has it, see tests/held.c */
struct bpf_sock_tuple tuple;
__u64 throws, wants = 1, seen, sink;

/* --- what there is to hold ----------------------------------------------------- */

static __always_inline void *record(void)
{
	return bpf_ringbuf_reserve(&records, 16, 0);
}

static __always_inline struct bpf_sock *socket(struct __sk_buff *ctx)
{
	return bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

static __always_inline struct prog_test_ref_kfunc *object(void)
{
	unsigned long zero = 0;

	return bpf_kfunc_call_test_acquire(&zero);
}

static __always_inline struct locked *lock_at(int index)
{
	return bpf_map_lookup_elem(&locks, &index);
}

/* For tests/held.c: how many have the object */
SEC("tc") int probe_object(struct __sk_buff *ctx)
{
	struct prog_test_ref_kfunc *o = object();
	int count = -1;

	if (o) {
		count = o->cnt.refs.counter;
		bpf_kfunc_call_test_release(o);
	}
	return count;
}

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

__subprog int cookie_callback(__u64 cookie)
{
	return cookie;
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

/* Each test twice: it throws, and it doesn't */
#define HELD(name, desc, n, ...)							\
static __always_inline int do_##name(struct __sk_buff *ctx)				\
{											\
	bpf_set_exception_callback(cookie_callback);					\
	__VA_ARGS__									\
	return 1;									\
}											\
SEC("tc") __test(desc) __input(throws, 1) __repeat(50) __returns(7) __releases(n)	\
int name(struct __sk_buff *ctx) { return do_##name(ctx); }				\
SEC("tc") __test(desc ", it holds") __input(throws, 0) __repeat(50) __returns(1) __releases(0)\
int name##_holds(struct __sk_buff *ctx) { return do_##name(ctx); }

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

/* clang 14 has no tags of types there */
#if __clang_major__ >= 15
HELD(kptr_main, "an object out of a map, thrown in main", 1,
	int zero = 0;
	struct prog_test_ref_kfunc *o = object();
	struct kept *k = bpf_map_lookup_elem(&kept, &zero);
	if (!o)
		return -1;
	if (!k) {
		bpf_kfunc_call_test_release(o);
		return -1;
	}
	o = bpf_kptr_xchg(&k->object, o);
	if (o)
		bpf_kfunc_call_test_release(o);
	o = bpf_kptr_xchg(&k->object, NULL);
	if (!o)
		return -1;
	bpf_assert_with(!throws, 7);
	bpf_kfunc_call_test_release(o);)
#endif

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

#define __asm_main __attribute__((naked))

__attribute__((naked, noinline)) static int throws_with_r6_used(void);
__attribute__((naked, noinline)) static int returns_with_r6_used(void);

/* r0 = a record, or the program ends */
#define GET_RECORD "r1 = %[records] ll; r2 = 16; r3 = 0; call %[bpf_ringbuf_reserve];"	\
		   "if r0 != 0 goto +2; r0 = -1; exit;"
#define PUT_RECORD "r2 = 0; call %[bpf_ringbuf_discard];"
/* what the verifier needs to keep a state, if it isn't told to keep all; R9 is the context */
#define SOME_JUMPS "r2 = *(u32 *)(r9 + 0); if r2 == 7 goto +1; r2 = 7; if r2 == 8 goto +1; r2 = 8;"	\
		   "if r2 == 9 goto +1; r2 = 9;"
#define THROW_7 "r1 = 7; call %[bpf_throw];"
#define OPERANDS __imm_addr(records), __imm_addr(throws), __imm_addr(locks), __imm(bpf_throw),	\
	__imm(bpf_ringbuf_reserve), __imm(bpf_ringbuf_discard), __imm(bpf_map_lookup_elem),	\
	__imm(bpf_spin_lock), __imm(bpf_spin_unlock), __imm(bpf_ringbuf_reserve_dynptr),	\
	__imm(bpf_ringbuf_discard_dynptr), __imm(bpf_dynptr_from_mem), __imm(throws_with_r6_used),	\
	__imm(returns_with_r6_used)

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
		     : : OPERANDS);								\
}

CALCULATED(calculated, "NULL by calculation", ,
	   "r0 = 0; r1 = *(u32 *)(r9 + 4); if r1 == 0 goto throw_%=;", "throw_%=:" THROW_7)
CALCULATED(calculated_freq, "NULL by calculation, every state", __every_state,
	   "r0 = 0; r1 = *(u32 *)(r9 + 4); if r1 == 0 goto throw_%=;", "throw_%=:" THROW_7)

__attribute__((naked, noinline)) static int throws_with_r6_used(void)
{
	asm volatile("r6 = 3; r1 = %[throws] ll; r1 = *(u64 *)(r1 + 0); if r1 == 0 goto +2;"
		     THROW_7 "r0 = r6; exit" : : __imm_addr(throws), __imm(bpf_throw));
}

CALCULATED(calculated_outer, "NULL by calculation, in an outer frame", ,
	   "call %[throws_with_r6_used];", "")
CALCULATED(calculated_outer_freq, "NULL by calculation, in an outer frame, every state",
	   __every_state, "call %[throws_with_r6_used];", "")

/* ... and a call between that has returned, and another R6 in it */
__attribute__((naked, noinline)) static int returns_with_r6_used(void)
{
	asm volatile("r6 = 3; r9 = r1;" SOME_JUMPS "r0 = r6; exit" : :);
}

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

#define SWAPPED(name, desc, how)								\
SEC("tc") __test(desc) how __refused("whose map value is in R7")				\
__asm_main int name(void)									\
{												\
	asm volatile("r9 = r1; r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"		\
		     "r1 = %[locks] ll; call %[bpf_map_lookup_elem]; if r0 != 0 goto +2;"	\
		     "r0 = -1; exit; r6 = r0;"							\
		     "r1 = 1; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"			\
		     "r1 = %[locks] ll; call %[bpf_map_lookup_elem]; if r0 != 0 goto +2;"	\
		     "r0 = -1; exit; r7 = r0;"							\
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

/* r6 and r7 = the two values that have locks, r9 = the context */
#define GET_LOCKS										\
	"r9 = r1; r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"				\
	"r1 = %[locks] ll; call %[bpf_map_lookup_elem]; if r0 != 0 goto +2;"			\
	"r0 = -1; exit; r6 = r0;"								\
	"r1 = 1; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"					\
	"r1 = %[locks] ll; call %[bpf_map_lookup_elem]; if r0 != 0 goto +2;"			\
	"r0 = -1; exit; r7 = r0;"

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
		     "r1 = %[kept] ll; call %[bpf_map_lookup_elem]; r6 = r0; r1 = r0; goto join_%=;" \
		     "other_%=: r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"		\
		     "r1 = %[kept] ll; call %[bpf_map_lookup_elem]; r6 = r0;"			\
		     "r1 = 9; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4;"			\
		     "r1 = %[kept] ll; call %[bpf_map_lookup_elem]; r1 = r0;"			\
		     "join_%=: r2 = r9; r7 = 0; r8 = 0; call %[throws_if_null]; r0 = 1; exit"	\
		     : : OPERANDS, __imm_addr(kept), __imm(throws_if_null));			\
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
