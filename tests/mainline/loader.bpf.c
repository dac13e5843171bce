// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that throws 64, for loaders to load. One of these says what comes of it:
 *
 *	BY_KFUNC	bpf_set_exception_callback() names the callback, which returns 60
 *	BY_TAG		a declaration tag does, as for mainline
 *	BY_COOKIE	no callback, and a tag that says that the cookie is returned
 *	NO_TAG		neither: an object for mainline returns the cookie
 *	WEAK		the kfuncs are weak, as in vmlinux.h of later kernels; 0 without them
 */
#ifdef WEAK
#define BPF_EXCEPTIONS_WEAK
#elif !defined(BY_KFUNC)
#define BPF_EXCEPTIONS_PORTABLE
#endif
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

#if defined(BY_TAG)
#define TAG __exception_cb(callback)
#elif defined(BY_COOKIE)
#define TAG __exception_default_cookie
#else
#define TAG
#endif

__u64 throws = 1;

#ifdef BY_TAG
__attribute__((noinline)) int callback(__u64 cookie)
{
	return cookie - 4;
}
#elif defined(BY_KFUNC) || defined(WEAK)
static int callback(__u64 cookie)
{
	return cookie - 4;
}
#endif

static __attribute__((noinline)) int subprog(__u64 cookie)
{
	if (throws)
		bpf_throw(cookie);
	return 1;
}

SEC("tc") TAG int prog(struct __sk_buff *ctx)
{
#ifdef WEAK
	if (!bpf_exceptions_exist())
		return 0;
#endif
#if defined(BY_KFUNC) || defined(WEAK)
	bpf_set_exception_callback(callback);
#endif
	return subprog(64);
}

char _license[] SEC("license") = "GPL";
