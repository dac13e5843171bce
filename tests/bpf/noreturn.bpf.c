// SPDX-License-Identifier: GPL-2.0-only
/* Contract, sections 3 and 4: what follows a call that never returns, and what doesn't */
#include "test.h"

__u64 throws;

__subprog int cb_cookie(__u64 cookie)
{
	return cookie;
}

__subprog __attribute__((used)) void static_never(void)
{
	bpf_throw(7);
}

__attribute__((naked, noinline)) static void static_never_asm(void)
{
	asm volatile("r1 = 8; call %[bpf_throw]" : : __imm(bpf_throw));
}
