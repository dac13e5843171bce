// SPDX-License-Identifier: GPL-2.0-only
/* The program whose dumps tests/dump looks at */
#include "test.h"

__subprog int on_throw(__u64 cookie)
{
	return cookie + 1;
}

__subprog int parse(struct __sk_buff *ctx)
{
	__u32 len = ctx->len;

	bpf_assert_lt_value(len, 1500, 7);
	return len;
}

SEC("tc")
int dumped(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(on_throw);
	return parse(ctx) + 1;
}
