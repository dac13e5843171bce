// SPDX-License-Identifier: GPL-2.0-only
/*
 * Declaration tags name the exception callback, as in mainline, and say what a throw returns
 * without one. This object has such tags, so its programs return the cookie.
 */
#include "test.h"

#define __callback(name)	__tag("exception_callback:" #name)
#define __default(what)		__tag("exception_default:" #what)

/* libbpf appends the function that a tag names since version 1.3; before, it needs a reference */
#define keep(func)		asm volatile("r1 = %[f] ll" : : [f] "i"(func) : "r1")

__u64 throws, passed, reached;

__attribute__((noinline)) int plus_one(__u64 cookie)
{
	return cookie + 1;
}

__subprog int static_plus_two(__u64 cookie)
{
	return cookie + 2;
}

__attribute__((noinline)) int dropped(__u64 cookie)
{
	return cookie + 3;
}

__attribute__((noinline)) int throws_again(__u64 cookie)
{
	bpf_throw(cookie);
}

__attribute__((noinline)) int no_cookie(void)
{
	return 1;
}

__attribute__((noinline)) int deny(__u64 cookie)
{
	reached = cookie;
	return -1;
}

__subprog int throw_if(__u64 cookie)
{
	if (throws)
		bpf_throw(cookie);
	passed++;
	return 5;
}

/* --- the callback ------------------------------------------------------------------ */

SEC("tc") __test("a tag names a global function") __callback(plus_one) __input(throws, 1)
__returns(41) __expect(passed, 0)
int tag_global(struct __sk_buff *ctx)
{
	keep(plus_one);
	return throw_if(40);
}

SEC("tc") __test("a tag names a static function") __callback(static_plus_two) __input(throws, 1)
__returns(42)
int tag_static(struct __sk_buff *ctx)
{
	keep(static_plus_two);
	return throw_if(40);
}

SEC("tc") __test("a tag, and nothing is thrown") __callback(plus_one) __returns(5)
int tag_holds(struct __sk_buff *ctx)
{
	keep(plus_one);
	return throw_if(40);
}

SEC("lsm/task_getpgid") __test("lsm: the function that a tag names runs, and denies") __callback(deny)
__input(throws, 1) __denied
int BPF_PROG(tag_lsm, struct task_struct *p)
{
	keep(deny);
	throw_if(7);
	return 0;
}

#define REFUSED_TAG(name, desc, tags, body, ...)				\
SEC("tc") __test(desc) tags __VA_ARGS__						\
int name(struct __sk_buff *ctx)							\
{										\
	body;									\
	return throw_if(40);							\
}

REFUSED_TAG(tag_dropped, "a tag names a function that the loader has dropped", __callback(dropped), ,
	    __refused("no function dropped()") __refused("since version 1.3"))
REFUSED_TAG(tag_nothing, "a tag names a function that the object hasn't", __callback(nothing), ,
	    __refused("no function nothing()") __refused("correct the name"))
REFUSED_TAG(tag_twice, "two tags", __callback(plus_one) __callback(static_plus_two),
	    keep(plus_one); keep(static_plus_two), __refused("2 exception_callback tags"))
REFUSED_TAG(tag_and_call, "a tag and a call", __callback(plus_one),
	    keep(plus_one); bpf_set_exception_callback(static_plus_two),
	    __refused("can only be called once to set exception callback") __refused("remove either"))
REFUSED_TAG(tag_throws, "a tag names a function that throws", __callback(throws_again),
	    keep(throws_again), __refused("cannot be called from callback"))
REFUSED_TAG(tag_direct, "a tag names a function that is called", __callback(plus_one),
	    passed = plus_one(1), __refused("cannot call exception cb directly"))
REFUSED_TAG(tag_no_cookie, "a tag names a function without an argument", __callback(no_cookie),
	    keep(no_cookie), __refused("must take exactly one integer"))

SEC("fentry/bpf_fentry_test1") __test("a tag names a function that returns what fentry may not")
__callback(plus_one) __refused("At program exit the register R0 has")
int BPF_PROG(tag_fentry, int a)
{
	keep(plus_one);
	throw_if(1);
	return 0;
}

/* --- without a callback ------------------------------------------------------------- */

SEC("tc") __test("the object has a tag somewhere: the cookie is returned") __input(throws, 1)
__returns(40)
int cookie_by_object(struct __sk_buff *ctx)
{
	return throw_if(40);
}

SEC("tc") __test("main is tagged to return 0") __default(0) __input(throws, 1) __returns(0)
int zero_by_tag(struct __sk_buff *ctx)
{
	return throw_if(40);
}

SEC("tc") __test("the program knows bpf_set_exception_callback(): there is one, by that")
__input(throws, 1) __returns(42)
int callback_by_call(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(static_plus_two);
	return throw_if(40);
}

REFUSED_TAG(default_unknown, "a default that is unknown", __default(-1), ,
	    __refused("exception_default:-1 is unknown"))
REFUSED_TAG(default_twice, "two defaults", __default(0) __default(cookie), ,
	    __refused("2 exception_default tags"))

SEC("fentry/bpf_fentry_test1") __test("fentry throws a cookie that it may not return")
__refused("At program exit the register R1 has smin=64 smax=64 should have been in [0, 0]")
__refused("a throw returns the cookie")
int BPF_PROG(cookie_fentry, int a)
{
	bpf_assert_with(a == 123456, 64);
	return 0;
}

SEC("fentry/bpf_fentry_test1") __test("fentry throws an unknown cookie")
__refused("At program exit the register R1 has")
int BPF_PROG(cookie_fentry_unknown, int a)
{
	bpf_throw(throws);
}

SEC("fentry/bpf_fentry_test1") __test("fentry throws 0, as it may") __expect(passed, 0)
int BPF_PROG(cookie_fentry_0, int a)
{
	if (a != 123456)
		bpf_throw(0);
	passed++;
	return 0;
}

__global int global_throws(__u32 cookie)
{
	if (cookie > 1)
		bpf_throw(cookie);
	return 0;
}

SEC("fentry/bpf_fentry_test1") __test("the same from a global function")
__refused("At program exit the register R1 has")
int BPF_PROG(cookie_fentry_global, int a)
{
	return global_throws(a);
}

/* The two paths differ only in the cookie, which no branch depends on */
SEC("fentry/bpf_fentry_test1") __test("two cookies meet at one throw: the second one is looked at")
__refused("At program exit the register R1 has smin=1 smax=1")
int BPF_PROG(cookie_pruned, int a)
{
	__u64 cookie = 0;

	hide(cookie);
	if (throws)
		cookie = 1;
	asm volatile("%0 = %0" : "+r"(cookie));
	bpf_throw(cookie);
}

SEC("tc") __test("the cookie is 64 bits, and a program returns an int") __input(throws, 1)
__returns(0x89abcdef)
int cookie_wide(struct __sk_buff *ctx)
{
	return throw_if(0x0123456789abcdefULL);
}
