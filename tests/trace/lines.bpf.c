// SPDX-License-Identifier: GPL-2.0-only
/*
 * Throws whose lines bpfthrow has to know; tests/trace/trace.c has the line numbers. Each
 * compiler has its own idea of which line the throw has that several assertions share.
 */
#include "../bpf/test.h"

__u64 a, b, which SEC(".data");

__subprog int shared(__u64 x)
{
	bpf_assert_ne_value(x, 1, 7);
	a = x;
	bpf_assert_ne_value(x, 2, 7);
	b = x;
	bpf_assert_ne_value(x, 3, 7);
	return a + b;
}

/* One line, so it doesn't matter that two compares share the throw */
__subprog int range(__u64 x)
{
	bpf_assert_range_with(x, 20, 22, 8);
	return a + x;
}

__subprog int condition(__u64 x)
{
	bpf_assert_with(x != 30 && b != 2, 9);
	return a + x;
}

__subprog int written(__u64 x)
{
	a += x;
	if (x == 40)
		bpf_throw(10);
	b += x;
	if (x == 41)
		bpf_throw(10);
	if (x == 42 ||
	    b == 1)
		bpf_throw(11);
	return a + b;
}

__subprog int outer(__u64 x)
{
	int sum = x;

	if (x < 10)
		sum += shared(x);
	else if (x < 30)
		sum += range(x);
	else if (x < 40)
		sum += condition(x);
	else
		sum += written(x);
	return sum;
}

SEC("xdp") int lines_of_throws(struct xdp_md *ctx)
{
	return outer(which) + 1;
}
