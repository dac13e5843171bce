// SPDX-License-Identifier: GPL-2.0-only
/* The one test whose licence isn't GPL */
#define LICENSE "Proprietary"
#include "test.h"

SEC("tc") __test("a program whose licence isn't GPL-compatible")
__refused("cannot call kernel function from non-GPL compatible program")
int nongpl(struct __sk_buff *ctx)
{
	bpf_throw(1);
}
