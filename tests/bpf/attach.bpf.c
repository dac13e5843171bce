// SPDX-License-Identifier: GPL-2.0-only
/* Tail calls, extensions, and programs attached to programs that throw */
#include "test.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, int);
} jmp_table SEC(".maps");

__u64 throws, entered, exited;

__subprog int cb_42(__u64 cookie)
{
	return 42;
}

__subprog int cb_cookie(__u64 cookie)
{
	return cookie;
}

/* --- tail calls ------------------------------------------------------------------ */

SEC("tc") int target_throws_42(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_42);
	bpf_throw(1);
}

SEC("tc") int target_throws(struct __sk_buff *ctx)
{
	bpf_throw(1);
}

__subprog int deep_throw(__u64 x)
{
	volatile __u64 buf[4] = { x, x, x, x };

	if (throws)
		bpf_throw(buf[1]);
	return buf[2];
}

SEC("tc") int target_throws_deep(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return deep_throw(7);
}

__subprog int do_tail_call(struct __sk_buff *ctx)
{
	volatile int ret = 3;

	bpf_tail_call_static(ctx, &jmp_table, 0);
	return ret;
}

#define TAIL_CALL(name, desc, target, value)					\
SEC("tc") __test(desc) __tail_call(jmp_table, 0, target) __input(throws, 1)	\
__returns(value)								\
int name(struct __sk_buff *ctx)							\
{										\
	return do_tail_call(ctx) + 8;						\
}

TAIL_CALL(tail_42, "tail call target throws, its callback 42, main adds 8", target_throws_42, 50)
TAIL_CALL(tail_0, "tail call target throws without a callback, main adds 8", target_throws, 8)
TAIL_CALL(tail_deep, "tail call target throws in its subprogram, main adds 8",
	  target_throws_deep, 15)

SEC("tc") __test("tail call from main to a target that throws: its callback's value")
__tail_call(jmp_table, 0, target_throws_42) __returns(42)
int tail_main(struct __sk_buff *ctx)
{
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return 3;
}

__subprog int throw_after_tail_call(struct __sk_buff *ctx)
{
	volatile __u64 cookie = 21;

	bpf_tail_call_static(ctx, &jmp_table, 1);
	if (throws)
		bpf_throw(cookie);
	return 0;
}

SEC("tc") __test("throw in a tail-call-reachable subprogram, tail call fails")
__tail_call(jmp_table, 0, target_throws) __input(throws, 1) __returns(21)
int tail_reachable(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return throw_after_tail_call(ctx);
}

/* --- extensions ------------------------------------------------------------------- */

__global int replaced(struct __sk_buff *ctx)
{
	volatile int ret = 5;

	return ret;
}

__subprog int not_replaceable(struct __sk_buff *ctx)
{
	volatile int ret = 5;

	return ret;
}

__global int ext_helper(int arg)
{
	if (arg)
		bpf_throw(arg);
	return 1;
}

SEC("?freplace") __on(replaced) int ext_holds(struct __sk_buff *ctx)
{
	if (throws == 77)
		bpf_throw(1);
	return 11;
}

SEC("?freplace") __on(replaced) int ext_throws(struct __sk_buff *ctx)
{
	bpf_throw(1);
}

SEC("?freplace") __on(replaced) int ext_throws_cb(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	bpf_throw(30);
}

SEC("?freplace") __on(replaced) int ext_throws_global(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return ext_helper(31);
}

SEC("?freplace") __on(not_replaceable) int ext_static(struct __sk_buff *ctx)
{
	return 11;
}

#define EXTENDED(name, desc, ext, value)					\
SEC("tc") __test(desc) __with(ext) __returns(value)				\
int name(struct __sk_buff *ctx)							\
{										\
	return replaced(ctx) + 100;						\
}

EXTENDED(ext_0, "extension does not throw: its value", ext_holds, 111)
EXTENDED(ext_1, "extension throws without a callback: 0, the target goes on", ext_throws, 100)
EXTENDED(ext_2, "extension throws with a callback: its value", ext_throws_cb, 130)
EXTENDED(ext_3, "extension throws in a global function of its own", ext_throws_global, 131)

SEC("tc") __test("freplace on a static function") __with(ext_static)
__with_refused("is not a global function")
int ext_on_static(struct __sk_buff *ctx)
{
	return not_replaceable(ctx);
}

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ringbuf SEC(".maps");

SEC("tc") __test("extension throws while the target holds a reference: the target goes on")
__with(ext_throws_cb) __returns(130)
int ext_held(struct __sk_buff *ctx)
{
	void *mem = bpf_ringbuf_reserve(&ringbuf, 8, 0);
	int ret;

	if (!mem)
		return 0;
	ret = replaced(ctx);
	bpf_ringbuf_discard(mem, 0);
	return ret + 100;
}

__global int replaced_int(int arg)
{
	volatile int ret = 5;

	return ret + arg;
}

SEC("?freplace") __on(replaced_int) int ext_int_throws(int arg)
{
	bpf_set_exception_callback(cb_cookie);
	bpf_throw(40);
}

__subprog int cb_calls_replaced(__u64 cookie)
{
	return replaced_int(cookie) + 2;
}

SEC("tc") __test("extension throws on a global function called from the callback")
__with(ext_int_throws) __returns(42)
int ext_in_callback(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_calls_replaced);
	bpf_throw(1);
}

__global int always_throws(int arg)
{
	bpf_throw(arg);
}

SEC("?freplace") __on(always_throws) int ext_never(int arg)
{
	return 1;
}

SEC("tc") __test("freplace on a global function that never returns") __with(ext_never)
__with_refused("it never returns")
int ext_on_noreturn(struct __sk_buff *ctx)
{
	return always_throws(1);
}

SEC("?freplace") __on(ext_main_throws) int ext_main(struct __sk_buff *ctx)
{
	return 12;
}

SEC("tc") __test("freplace on a main program that always throws: its caller is the kernel")
__with(ext_main) __returns(12)
int ext_main_throws(struct __sk_buff *ctx)
{
	bpf_throw(1);
}

__subprog int dead_static(struct __sk_buff *ctx)
{
	volatile int ret = 1;

	return ret;
}

/* The verifier takes its BTF for unreliable: that doesn't say what bpf_loop() calls it with */
__subprog int looped(__u32 index, void *data)
{
	return 0;
}

__global int behind_dead(struct __sk_buff *ctx)
{
	volatile int ret = 5;

	return ret;
}

SEC("?freplace") __on(behind_dead) int ext_behind_dead(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	bpf_throw(12);
}

SEC("tc") __test("freplace on a global function behind one that the verifier removes")
__with(ext_behind_dead) __returns(13)
int ext_on_moved(struct __sk_buff *ctx)
{
	int x = 3, ret = 1;

	hide(x);
	if (x == 4)
		ret = dead_static(ctx);
	bpf_loop(1, looped, NULL, 0);
	return behind_dead(ctx) + ret;
}

/* --- fentry and fexit ----------------------------------------------------------------- */

__subprog int watched(struct __sk_buff *ctx)
{
	volatile __u64 buf[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };

	if (throws)
		bpf_throw(buf[3]);
	return buf[4];
}

__subprog int watched_outer(struct __sk_buff *ctx)
{
	__u64 a = throws, b = a + 1;
	int ret;

	hide(a);
	hide(b);
	ret = watched(ctx);
	return ret + a + b - 1;
}

SEC("?fentry") __on(watched) int BPF_PROG(fentry_watched)
{
	entered++;
	return 0;
}

SEC("?fexit") __on(watched) int BPF_PROG(fexit_watched)
{
	exited++;
	return 0;
}

SEC("?fexit") __on(watched_outer) int BPF_PROG(fexit_outer)
{
	exited++;
	return 0;
}

SEC("?fentry") __on(watched) int BPF_PROG(fentry_throws)
{
	entered++;
	bpf_throw(1);
}

SEC("?fexit") __on(watched) int BPF_PROG(fexit_throws)
{
	exited++;
	bpf_throw(1);
}

SEC("?fmod_ret") __on(watched) int BPF_PROG(fmod_ret_watched)
{
	return 0;
}

#define WATCHED(name, desc, ...)						\
SEC("tc") __test(desc) __VA_ARGS__						\
int name(struct __sk_buff *ctx)							\
{										\
	bpf_set_exception_callback(cb_cookie);					\
	return watched_outer(ctx) + 1;						\
}

WATCHED(fentry_holds, "fentry on a subprogram that doesn't throw",
	__with(fentry_watched) __input(throws, 0) __returns(10) __expect(entered, 1))
WATCHED(fentry_thrown, "fentry on a subprogram that throws",
	__with(fentry_watched) __input(throws, 1) __returns(9) __expect(entered, 1))
WATCHED(fexit_holds, "fexit on a subprogram that doesn't throw",
	__with(fexit_watched) __input(throws, 0) __returns(10) __expect(exited, 1))
WATCHED(fexit_thrown, "fexit on a subprogram that throws: unwound, not run",
	__with(fexit_watched) __input(throws, 1) __returns(9) __repeat(100) __expect(exited, 0))
WATCHED(fexit_outer_thrown, "fexit on a subprogram that is thrown through: not run",
	__with(fexit_outer) __input(throws, 1) __returns(9) __repeat(100) __expect(exited, 0))
WATCHED(fexit_two, "fexit on two frames of the chain",
	__with(fexit_watched) __with(fexit_outer) __input(throws, 1) __returns(9)
	__repeat(100) __expect(exited, 0))
WATCHED(fentry_fexit, "fentry and fexit on one frame, fexit on another",
	__with(fentry_watched) __with(fexit_watched) __with(fexit_outer) __input(throws, 1)
	__returns(9) __expect(entered, 1) __expect(exited, 0))
WATCHED(fentry_itself, "an fentry program that throws ends only itself",
	__with(fentry_throws) __input(throws, 0) __returns(10) __expect(entered, 1))
WATCHED(fexit_itself, "an fexit program that throws ends only itself",
	__with(fexit_throws) __input(throws, 0) __returns(10) __expect(exited, 1))
WATCHED(fmod_ret, "fmod_ret on a subprogram", __with(fmod_ret_watched)
	__with_refused("can't modify return codes of BPF program"))

SEC("?fexit") __on(throw_after_tail_call) int BPF_PROG(fexit_reachable)
{
	exited++;
	return 0;
}

__subprog int reachable_outer(struct __sk_buff *ctx)
{
	volatile int ret = 2;

	bpf_tail_call_static(ctx, &jmp_table, 1);
	return throw_after_tail_call(ctx) + ret;
}

SEC("?fexit") __on(reachable_outer) int BPF_PROG(fexit_reachable_outer)
{
	exited++;
	return 0;
}

SEC("tc") __test("fexit on two functions that may tail-call, and are thrown through")
__with(fexit_reachable) __with(fexit_reachable_outer) __tail_call(jmp_table, 0, target_throws)
__input(throws, 1) __returns(21) __repeat(100) __expect(exited, 0)
int fexit_reachable_thrown(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return reachable_outer(ctx) + 1;
}

SEC("?fentry") __on(watched_main) int BPF_PROG(fentry_main)
{
	entered++;
	return 0;
}

SEC("?fexit") __on(watched_main) int BPF_PROG(fexit_main, struct __sk_buff *skb, int ret)
{
	exited = ret;
	return 0;
}

SEC("tc") __test("fentry and fexit on the main program that throws: fexit sees the value")
__with(fentry_main) __with(fexit_main) __input(throws, 1) __returns(9)
__expect(entered, 1) __expect(exited, 9)
int watched_main(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return watched_outer(ctx) + 1;
}

SEC("?fentry") __on(cb_42) int BPF_PROG(fentry_cb) { return 0; }
SEC("?fexit") __on(cb_42) int BPF_PROG(fexit_cb) { return 0; }

/* libbpf takes no addresses of weak functions */
__attribute__((noinline)) int cb_global(__u64 cookie)
{
	volatile int ret = cookie + 1;

	return ret;
}

SEC("?freplace") __on(cb_global) int ext_cb(__u64 cookie) { return 0; }

#define CB_ATTACH(name, desc, cb, with)						\
SEC("tc") __test(desc) __with(with) __with_refused("exception callback")	\
int name(struct __sk_buff *ctx)							\
{										\
	bpf_set_exception_callback(cb);						\
	bpf_throw(1);								\
}

CB_ATTACH(cb_fentry, "fentry on the exception callback", cb_42, fentry_cb)
CB_ATTACH(cb_fexit, "fexit on the exception callback", cb_42, fexit_cb)
CB_ATTACH(cb_freplace, "freplace on the exception callback", cb_global, ext_cb)

SEC("tc") __test("a global function is the exception callback") __returns(6)
int cb_is_global(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_global);
	bpf_throw(5);
}
