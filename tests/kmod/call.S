/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void call_with_canaries(struct canary_call *call)
 *
 * Calls call->func(call->ctx, NULL) with each register that a function must preserve set to
 * a known value, and counts in call->bad those that come back with another: bit by bit rbx,
 * rbp, r12, r13, r14, r15, rsp. That of rbp is its frame's, for the frame pointer unwinder.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#define CALL_FUNC	0
#define CALL_CTX	8
#define CALL_RET	16
#define CALL_BAD	24
#define CALL_RSP	32

/* What is pushed below the frame pointer */
#define SAVED		48

#define RBX_CANARY	0x0b0b0b0b
#define R12_CANARY	0x12121212
#define R13_CANARY	0x13131313
#define R14_CANARY	0x14141414
#define R15_CANARY	0x15151515

.macro check_canary reg canary bit
	cmp	$\canary, \reg
	je	.Lgood_\bit
	orq	$\bit, CALL_BAD(%rdi)
.Lgood_\bit:
.endm

	.section .text
SYM_FUNC_START(call_with_canaries)
	push	%rbp
	mov	%rsp, %rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi

	mov	CALL_FUNC(%rdi), %rax
	mov	%rsp, CALL_RSP(%rdi)
	mov	CALL_CTX(%rdi), %rdi
	xor	%esi, %esi
	mov	$RBX_CANARY, %rbx
	mov	$R12_CANARY, %r12
	mov	$R13_CANARY, %r13
	mov	$R14_CANARY, %r14
	mov	$R15_CANARY, %r15
	CALL_NOSPEC rax

	mov	(%rsp), %rdi
	mov	%rax, CALL_RET(%rdi)
	check_canary %rbx, RBX_CANARY, 1
	check_canary %r12, R12_CANARY, 4
	check_canary %r13, R13_CANARY, 8
	check_canary %r14, R14_CANARY, 16
	check_canary %r15, R15_CANARY, 32
	cmp	%rsp, CALL_RSP(%rdi)
	je	1f
	orq	$64, CALL_BAD(%rdi)
1:
	mov	CALL_RSP(%rdi), %rcx
	add	$SAVED, %rcx
	cmp	%rcx, %rbp
	je	2f
	orq	$2, CALL_BAD(%rdi)
2:
	pop	%rdi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	RET
SYM_FUNC_END(call_with_canaries)
STACK_FRAME_NON_STANDARD call_with_canaries
