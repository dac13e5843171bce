/* SPDX-License-Identifier: GPL-2.0-only */
/* The interface of /dev/bpf_exceptions_test, for the kernel and for user space */
#ifndef _BPF_EXCEPTIONS_TEST_H
#define _BPF_EXCEPTIONS_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

enum test_context {
	IN_PROCESS,
	IN_SOFTIRQ,
	IN_HARDIRQ,
	IN_NMI,
	TEST_CONTEXTS,
};

/**
 * struct test_run - run a BPF program with canaries in the callee-saved registers
 * @prog_fd: xdp program, which must not look at its context. -1: that of TEST_HOLD, whose last
 *	reference bpf_test_nest() then drops while it runs, in process context
 * @context: enum test_context
 * @nested_fd: program that the kfunc bpf_test_nest() runs in the meantime, or 0
 * @nested_context: in which context
 * @repeat: how many times (0: once)
 * @ret: what it returned the last time
 * @bad: registers that were not preserved: rbx, rbp, r12, r13, r14, r15, rsp
 * @depth: bytes of stack in use where it last called bpf_test_nest(), counted from its caller
 * @nested_ret: the same for the nested program
 * @nested_bad: the same for the nested program
 */
struct test_run {
	__u32 prog_fd;
	__u32 context;
	__u32 nested_fd;
	__u32 nested_context;
	__u32 repeat;
	__u32 ret;
	__u32 bad;
	__u32 depth;
	__u32 nested_ret;
	__u32 nested_bad;
};

#define TEST_RUN _IOWR('X', 1, struct test_run)
/* Keep the program of this fd, which can be closed then, for one TEST_RUN */
#define TEST_HOLD _IOW('X', 2, __u32)

/**
 * struct test_volley - run a BPF program many times, on a CPU that is busy with other things
 * @prog_fd: xdp program, which must not look at its context
 * @context: enum test_context
 * @cpu: where; the caller's if that CPU isn't online. In process context always the caller's
 * @repeat: how many times
 * @thrown_ret: what it returns if it has thrown
 * @bad: registers that were not preserved, as in struct test_run
 * @thrown: how often it returned that
 * @over: how often it began while another program was between frames on that CPU
 *
 * Callers do not wait for each other, but NMIs go one after the other.
 */
struct test_volley {
	__u32 prog_fd;
	__u32 context;
	__u32 cpu;
	__u32 repeat;
	__u32 thrown_ret;
	__u32 bad;
	__u64 thrown;
	__u64 over;
};

#define TEST_VOLLEY _IOWR('X', 3, struct test_volley)

#endif /* _BPF_EXCEPTIONS_TEST_H */
