// SPDX-License-Identifier: GPL-2.0-only
/* What the verifier must refuse, and with which message */
#include "test.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ringbuf SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	struct bpf_timer timer;
	int value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} jmp_table SEC(".maps");

__u64 throws;

/* --- parts ------------------------------------------------------------------- */

__subprog void static_throw(void)
{
	if (throws)
		bpf_throw(1);
}

__global int global_throw(int arg)
{
	if (throws)
		bpf_throw(1);
	return arg;
}

__global int global_static_throw(int arg)
{
	static_throw();
	return arg;
}

__global int global_global_throw(int arg)
{
	return global_throw(arg) + 1;
}

__global int global_no_throw(int arg)
{
	return arg + 1;
}

__subprog int cb_ok(__u64 cookie)
{
	return 0;
}

__subprog int cb_other(__u64 cookie)
{
	return 1;
}

/* --- references and locks ------------------------------------------------------ */

SEC("tc") __test("a reference held across a global function that can't throw") __returns(3)
int ref_global_no_throw(struct __sk_buff *ctx)
{
	void *mem = bpf_ringbuf_reserve(&ringbuf, 8, 0);
	int ret;

	if (!mem)
		return 0;
	ret = global_no_throw(2);
	bpf_ringbuf_discard(mem, 0);
	return ret + 0 * throws;
}

#define LOCKED(name, desc, stmt)						\
SEC("tc") __test(desc)								\
__refused("function calls are not allowed while holding a lock")		\
int name(struct __sk_buff *ctx)							\
{										\
	int zero = 0;								\
	struct locked *v = bpf_map_lookup_elem(&array, &zero);			\
										\
	if (!v)									\
		return 0;							\
	bpf_spin_lock(&v->lock);						\
	stmt;									\
	bpf_spin_unlock(&v->lock);						\
	return 0;								\
}

LOCKED(lock_caller, "throw in a static subprogram, its caller has a spin lock",
       static_throw())
LOCKED(lock_global, "throw in a global function, its caller has a spin lock", global_throw(1))

/* --- callbacks of helpers --------------------------------------------------------- */

__subprog long loop_throws(__u32 i, void *ctx)
{
	if (throws)
		bpf_throw(i);
	return 0;
}

/* For a timer and for bpf_for_each_map_elem() */
__subprog int elem_throws(void *map, int *key, void *value)
{
	if (throws)
		bpf_throw(1);
	return 0;
}

__subprog long loop_sets(__u32 i, void *ctx)
{
	bpf_set_exception_callback(cb_ok);
	return 0;
}

SEC("tc") __test("a function that throws is the callback of a timer and of a helper")
__refused("elem_throws() may throw, so it can't be the callback of a timer and of another helper, too")
int timer_and_helper(struct __sk_buff *ctx)
{
	int zero = 0;
	struct locked *v = bpf_map_lookup_elem(&array, &zero);

	if (v)
		bpf_timer_set_callback(&v->timer, elem_throws);
	return bpf_for_each_map_elem(&array, elem_throws, NULL, 0);
}

__subprog long elem_locks(void *map, int *key, struct locked *v)
{
	bpf_spin_lock(&v->lock);
	if (throws)
		bpf_throw(1);
	return 1;
}

SEC("tc") __test("a callback locks the value that the helper has passed to it, which the verifier can't tell from others")
__refused("bpf_spin_lock() of a value that a helper has passed to its callback can't be undone by a throw")
int lock_of_helper(struct __sk_buff *ctx)
{
	return bpf_for_each_map_elem(&array, elem_locks, NULL, 0);
}

__subprog long loop_tail_calls(__u32 i, struct __sk_buff **ctx)
{
	bpf_tail_call(*ctx, &jmp_table, 0);
	return 0;
}

SEC("tc") __test("a throw, and a tail call in bpf_loop()'s callback, which may return anything")
__refused("no tail call in a helper's callback")
int loop_tail_call(struct __sk_buff *ctx)
{
	if (throws)
		bpf_throw(1);
	bpf_loop(3, loop_tail_calls, &ctx, 0);
	return 0;
}

/* --- what the exception callback may not do ------------------------------------------ */

#define IN_CALLBACK(name, desc, stmt)						\
SEC("tc") __test(desc) __refused("cannot be called from callback")		\
int name(struct __sk_buff *ctx)							\
{										\
	stmt;									\
	return 0;								\
}

__subprog int cb_loop_throws(__u64 cookie)
{
	return bpf_loop(3, loop_throws, NULL, 0);
}

IN_CALLBACK(cb_loop, "throw in the callback of a helper that the exception callback calls",
	    bpf_set_exception_callback(cb_loop_throws); bpf_throw(1))

__subprog int cb_throws(__u64 cookie)
{
	bpf_throw(cookie);
}

__subprog int cb_calls_static(__u64 cookie)
{
	static_throw();
	return 0;
}

__subprog int cb_calls_global(__u64 cookie)
{
	return global_global_throw(cookie);
}

IN_CALLBACK(cb_throw, "exception callback throws", bpf_set_exception_callback(cb_throws);
	    bpf_throw(1))
IN_CALLBACK(cb_throw_static, "exception callback calls a static function that throws",
	    bpf_set_exception_callback(cb_calls_static); bpf_throw(1))
IN_CALLBACK(cb_throw_global, "exception callback calls a global function that throws",
	    bpf_set_exception_callback(cb_calls_global); bpf_throw(1))

struct __sk_buff *saved_ctx;

__subprog int cb_called(__u64 cookie)
{
	hide(cookie);
	return cookie;
}

__subprog int calls_cb(__u64 cookie)
{
	return cb_called(cookie) + 1;
}

#define CALLS_CB(name, desc, stmt)						\
SEC("tc") __test(desc) __refused("cannot call exception cb directly")		\
int name(struct __sk_buff *ctx)							\
{										\
	stmt;									\
}

CALLS_CB(cb_direct, "main calls the exception callback, after it is set",
	 bpf_set_exception_callback(cb_called); return cb_called(1))
CALLS_CB(cb_direct_before, "main calls the exception callback, before it is set",
	 int ret = cb_called(1); bpf_set_exception_callback(cb_called); return ret)
CALLS_CB(cb_direct_static, "a subprogram calls the exception callback",
	 bpf_set_exception_callback(cb_called); return calls_cb(1))

__subprog int do_tail_call(void *ctx)
{
	bpf_tail_call(ctx, &jmp_table, 0);
	return 0;
}

__global int global_tail_call(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &jmp_table, 0);
	return 0;
}

/* The callback gets no ctx, so only the static check can find these */
__subprog int cb_tail_calls(__u64 cookie)
{
	bpf_tail_call((void *)cookie, &jmp_table, 0);
	return 0;
}

__subprog int cb_below_tail_calls(__u64 cookie)
{
	return do_tail_call((void *)cookie);
}

__subprog int cb_global_tail_calls(__u64 cookie)
{
	return global_tail_call((void *)cookie);
}

#define TAIL_CALLS(name, desc, cb)						\
SEC("tc") __test(desc) __refused("cannot tail call within exception cb")	\
int name(struct __sk_buff *ctx)							\
{										\
	bpf_set_exception_callback(cb);						\
	bpf_throw(1);								\
}

TAIL_CALLS(cb_tail_call, "exception callback does a tail call", cb_tail_calls)
TAIL_CALLS(cb_tail_call_below, "exception callback reaches a tail call, static",
	   cb_below_tail_calls)
TAIL_CALLS(cb_tail_call_global, "exception callback reaches a tail call, global",
	   cb_global_tail_calls)

__subprog int cb_no_args(void)
{
	return 0;
}

__subprog int cb_two_args(__u64 cookie, __u64 more)
{
	return cookie + more;
}

__subprog int cb_pointer(struct __sk_buff *ctx)
{
	return 0;
}

#define BAD_PROTO(name, desc, cb)						\
SEC("tc") __test(desc) __refused("must take exactly one integer")		\
int name(struct __sk_buff *ctx)							\
{										\
	bpf_set_exception_callback((void *)cb);					\
	return 0;								\
}

BAD_PROTO(cb_proto_none, "exception callback takes nothing", cb_no_args)
BAD_PROTO(cb_proto_two, "exception callback takes two integers", cb_two_args)
BAD_PROTO(cb_proto_pointer, "exception callback takes a pointer", cb_pointer)

SEC("tc") __test("exception callback is a helper's callback, too")
__refused("can't be a helper's callback, too")
int cb_and_loop(struct __sk_buff *ctx)
{
	bpf_loop(3, (void *)cb_ok, NULL, 0);
	bpf_set_exception_callback(cb_ok);
	return 0;
}

/* libbpf takes no addresses of weak functions */
__attribute__((noinline)) int global_loop_body(__u32 i)
{
	return i;
}

SEC("tc") __test("a helper gets a global function, which the verifier wouldn't look into")
__refused("callback function not static")
int loop_global_body(struct __sk_buff *ctx)
{
	bpf_loop(3, (void *)global_loop_body, NULL, 0);
	return 0;
}

/* --- stacks: main's and the exception callback's are counted separately --------------------- */

#define USE_STACK(words, value)							\
	__u64 buf[words];							\
	buf[0] = value;								\
	buf[words - 1] = value;							\
	asm volatile("" : : "r"(buf) : "memory") /* or the compiler would shrink it */

__subprog int uses_304(__u64 value)
{
	USE_STACK(38, value);
	return buf[0] + buf[37] - 2 * value;
}

__subprog int cb_uses_304(__u64 cookie)
{
	USE_STACK(38, cookie);
	return buf[0] + buf[37] - cookie;
}

__subprog int cb_calls_304(__u64 cookie)
{
	USE_STACK(38, cookie);
	return uses_304(cookie) + buf[0] + buf[37];
}

__subprog int timer_calls_304(void *map, int *key, struct locked *v)
{
	USE_STACK(38, v->value);
	v->value = uses_304(buf[0] + buf[37]);
	return 0;
}

#define SET_AND_THROW(cb)							\
	bpf_set_exception_callback(cb);						\
	if (throws)								\
		bpf_throw(7)

SEC("tc") __test("main and the callback use 304 bytes of stack each: 7") __input(throws, 1) __returns(7)
int stack_of_main_and_cb(struct __sk_buff *ctx)
{
	USE_STACK(38, ctx->len);
	SET_AND_THROW(cb_uses_304);
	return buf[0] - buf[37];
}

SEC("tc") __test("the callback and what it calls use 304 bytes of stack each")
__refused("combined stack size of 2 calls is 640")
int stack_of_cb(struct __sk_buff *ctx)
{
	SET_AND_THROW(cb_calls_304);
	return 0;
}

SEC("tc") __test("main and what it calls use 304 bytes of stack each, with a callback that uses none")
__refused("combined stack size of 2 calls is 640")
int stack_of_main(struct __sk_buff *ctx)
{
	USE_STACK(38, ctx->len);
	SET_AND_THROW(cb_ok);
	return uses_304(buf[0] + buf[37]);
}

SEC("tc") __test("a timer's callback and what it calls use 304 bytes of stack each")
__refused("combined stack size of 2 calls is 640")
int stack_of_timer(struct __sk_buff *ctx)
{
	int zero = 0;
	struct locked *v = bpf_map_lookup_elem(&array, &zero);

	SET_AND_THROW(cb_ok);
	if (v)
		bpf_timer_set_callback(&v->timer, timer_calls_304);
	return 0;
}

/* --- where the callback is set ---------------------------------------------------------- */

__subprog int static_sets(void)
{
	bpf_set_exception_callback(cb_ok);
	return 0;
}

__global int global_sets(int arg)
{
	bpf_set_exception_callback(cb_ok);
	return arg;
}

__subprog int cb_sets_other(__u64 cookie)
{
	bpf_set_exception_callback(cb_ok);
	return 0;
}

__subprog int cb_sets_itself(__u64 cookie)
{
	bpf_set_exception_callback(cb_sets_itself);
	return 0;
}

#define SET_ELSEWHERE(name, desc, stmt)						\
SEC("tc") __test(desc) __refused("can only be called from main prog")		\
int name(struct __sk_buff *ctx)							\
{										\
	stmt;									\
	return 0;								\
}

SET_ELSEWHERE(set_static, "callback set from a static subprogram", static_sets())
SET_ELSEWHERE(set_global, "callback set from a global function", global_sets(1))
SET_ELSEWHERE(set_loop, "callback set from bpf_loop()'s callback",
	      bpf_loop(3, loop_sets, NULL, 0))
SET_ELSEWHERE(set_cb, "callback set from the exception callback",
	      bpf_set_exception_callback(cb_sets_other))
SET_ELSEWHERE(set_itself, "callback sets itself", bpf_set_exception_callback(cb_sets_itself))

SEC("tc") __test("two different callbacks")
__refused("can only be called once to set exception callback") __refused("cb_other()")
__refused("cb_ok()")
int set_two(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_ok);
	bpf_set_exception_callback(cb_other);
	return 0;
}

SEC("tc") __test("one callback, set twice")
__refused("can only be called once to set exception callback")
int set_twice(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_ok);
	bpf_set_exception_callback(cb_ok);
	return 0;
}

SEC("tc") __test("two different callbacks, the second where no path leads")
__refused("can only be called once to set exception callback")
int set_two_unseen(struct __sk_buff *ctx)
{
	__u64 never = 0;

	bpf_set_exception_callback(cb_ok);
	hide_constant(never);
	if (never)
		bpf_set_exception_callback(cb_other);
	return 0;
}

/* --- what is set -------------------------------------------------------------------------- */

SEC("tc") __test("callback is a scalar") __refused("expected pointer to func")
int set_scalar(struct __sk_buff *ctx)
{
	bpf_set_exception_callback((void *)throws);
	return 0;
}

SEC("tc") __test("callback is a function's address plus 8") __refused("expected pointer to func")
int set_offset(struct __sk_buff *ctx)
{
	void *cb = cb_ok;

	hide(cb);
	bpf_set_exception_callback(cb + 8);
	return 0;
}

SEC("tc") __test("callback is a function's address plus what isn't known")
__refused("expected pointer to func")
int set_unknown_offset(struct __sk_buff *ctx)
{
	void *cb = cb_ok;

	hide(cb);
	bpf_set_exception_callback(cb + (throws & 8));
	return 0;
}

SEC("tc") __test("callback is a map") __refused("expected pointer to func")
int set_map(struct __sk_buff *ctx)
{
	bpf_set_exception_callback((void *)&array);
	return 0;
}

SEC("tc") __test("callback is a function on one path only") __refused("expected pointer to func")
int set_one_path(struct __sk_buff *ctx)
{
	void *cb = cb_ok;

	if (throws)
		cb = NULL;
	hide(cb);
	bpf_set_exception_callback(cb);
	return 0;
}

SEC("tc") __test("two functions meet at one call")
__refused("can only be called once to set exception callback")
int set_two_paths(struct __sk_buff *ctx)
{
	void *cb = cb_ok;

	if (throws)
		cb = cb_other;
	hide(cb);
	bpf_set_exception_callback(cb);
	return 0;
}

SEC("tc") __test("two paths reach one call with one function: it is one call") __returns(0)
int set_paths_meet(struct __sk_buff *ctx)
{
	__u64 x = 0;

	if (throws)
		x = 1;
	hide(x);
	bpf_set_exception_callback(cb_ok);
	if (x)
		bpf_throw(1);
	return 0;
}

/* --- return values -------------------------------------------------------------------------- */

__subprog int cb_4242(__u64 cookie)
{
	return 4242;
}

__subprog int cb_any(__u64 cookie)
{
	return cookie;
}

__global int global_may_throw(int arg)
{
	if (arg)
		bpf_throw(1);
	return 0;
}

SEC("fentry/bpf_fentry_test1") __test("fentry, callback returns 4242")
__refused("At program exit the register R0 has value")
int BPF_PROG(ret_fentry_4242)
{
	bpf_set_exception_callback(cb_4242);
	bpf_throw(1);
}

SEC("fentry/bpf_fentry_test1") __test("fentry, callback returns anything")
__refused("At program exit the register R0 has")
int BPF_PROG(ret_fentry_any)
{
	bpf_set_exception_callback(cb_any);
	bpf_throw(1);
}

SEC("lsm_cgroup/bprm_committed_creds")
__test("no callback where 0 is no return value, throw in main")
__refused("At program exit the register R0 has value") __refused("default return value 0")
int BPF_PROG(ret_default)
{
	if (throws)
		bpf_throw(1);
	return 1;
}

SEC("lsm_cgroup/bprm_committed_creds")
__test("no callback where 0 is no return value, throw in a global function")
__refused("At program exit the register R0 has value") __refused("default return value 0")
int BPF_PROG(ret_default_global)
{
	global_may_throw(throws);
	return 1;
}

/* --- what the kernel lacks ------------------------------------------------------------------- */

SEC("tc") __test("the JIT is off") __sysctl("net/core/bpf_jit_enable", 0)
__refused("net.core.bpf_jit_enable is off")
int jit_off(struct __sk_buff *ctx)
{
	bpf_throw(1);
}
