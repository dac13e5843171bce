// SPDX-License-Identifier: GPL-2.0-only
/*
 * prologue - compare the images of programs that can throw with those of programs that can't
 *
 * usage: prologue
 *
 * The two programs of each pair have the same functions, but where one throws, the other calls a
 * helper. Both do so in their last instructions, after the epilogue. So their images must be the
 * same up to there, and an additional byte in a prologue or an epilogue shows. Then comes the
 * throw: a load of the unwind table's address into R2, and a call.
 *
 * Calls and jumps count as the same if they go to the same place. Prints how many functions were
 * compared, and how many bytes differ.
 *
 * Exit status: 0 done, 2 it could not.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "../builder.h"

#define DEPTH 3
#define CALL_LEN 5
#define THROW_LEN (10 + CALL_LEN + 1)	/* movabs, call and int3 */

struct images {
	unsigned char code[16384];
	__u64 addr[DEPTH];
	__u32 len[DEPTH];
	int start[DEPTH];
};

static const int stacks[] = { 0, 8, 64, 88 };

static struct builder b;
static char log_buf[1 << 20];
static int jmp_table;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "prologue: %s: %m\n%s", what, log_buf);
	exit(2);
}

/* A function that uses the given stack and registers, calls the next, and may throw */
static void build_func(int level, int stack, unsigned int regs, bool tail_calls, bool throws)
{
	for (int i = 0; i < 4; i++)
		if (regs & 1 << i)
			builder_emit(&b, MOV_IMM(BPF_REG_6 + i, level));
	if (stack)
		builder_emit(&b, STORE_IMM(BPF_REG_10, -stack, level));
	if (level < DEPTH - 1) {
		builder_call(&b, level + 1);
	} else {
		if (tail_calls) {
			builder_load_map(&b, BPF_REG_2, jmp_table);
			builder_emit(&b, MOV_IMM(BPF_REG_3, 0));
			builder_emit(&b, CALL_HELPER(BPF_FUNC_tail_call));
		}
		builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	}
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_0, 77, 1));
	builder_emit(&b, EXIT());
	builder_emit(&b, MOV_IMM(BPF_REG_1, 1));
	if (throws)
		builder_call_kfunc(&b, KFUNC_THROW);
	else
		builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
	builder_emit(&b, EXIT());
}

static void build(struct images *images, int stack, unsigned int regs, bool tail_calls,
		  bool throws)
{
	struct bpf_prog_info info = {
		.jited_prog_insns = (__u64)(unsigned long)images->code,
		.jited_prog_len = sizeof(images->code),
		.jited_ksyms = (__u64)(unsigned long)images->addr,
		.nr_jited_ksyms = DEPTH,
		.jited_func_lens = (__u64)(unsigned long)images->len,
		.nr_jited_func_lens = DEPTH,
	};
	__u32 len = sizeof(info);
	int fd, i;

	builder_init(&b);
	for (i = 1; i < DEPTH; i++)
		builder_func(&b, 1, false);
	for (i = 0; i < DEPTH; i++) {
		builder_begin(&b, i);
		build_func(i, stack, regs, tail_calls, throws);
	}
	fd = builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		die("a program did not load");
	close(fd);
	for (i = 1; i < DEPTH; i++)
		images->start[i] = images->start[i - 1] + images->len[i - 1];
}

/* Where the call or jump at @off of function @func goes: an address, or the number of a function
 * of the program; 0 if it is neither. Kernels with thunks return by such a jump.
 */
static __u64 called(const struct images *images, int func, unsigned int off)
{
	const unsigned char *code = images->code + images->start[func] + off;
	__u64 target;
	int distance;

	if (off + CALL_LEN > images->len[func] || (code[0] != 0xe8 && code[0] != 0xe9))
		return 0;
	memcpy(&distance, code + 1, sizeof(distance));
	target = images->addr[func] + off + CALL_LEN + distance;
	for (int i = 0; i < DEPTH; i++)
		if (images->addr[i] == target)
			return i + 1;
	return target;
}

/* How many of a function's @len bytes precede the throw at its end */
static unsigned int before_throw(const unsigned char *code, unsigned int len)
{
	for (unsigned int int3 = 0; int3 <= 1; int3++) {
		const unsigned char *throw = code + len - THROW_LEN - int3;

		if (throw[0] == 0x48 && throw[1] == 0xbe && throw[10] == 0xe8)
			return len - THROW_LEN - int3;
	}
	die("a function doesn't end with a throw");
}

/* How many bytes of function @func differ, counted from the first difference */
static unsigned int differ(const struct images *throws, const struct images *other, int func)
{
	const unsigned char *code = throws->code + throws->start[func];
	const unsigned char *other_code = other->code + other->start[func];
	unsigned int i = 0, len = before_throw(code, throws->len[func]);

	while (i < len && i < other->len[func]) {
		if (code[i] != other_code[i])
			break;
		if (called(throws, func, i) && called(throws, func, i) == called(other, func, i))
			i += CALL_LEN;
		else
			i++;
	}
	return len - i;
}

int main(void)
{
	static struct images throws, other;
	unsigned int funcs = 0, bytes = 0;

	jmp_table = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, NULL, 4, 4, 1, NULL);
	for (size_t stack = 0; stack < sizeof(stacks) / sizeof(stacks[0]); stack++)
		for (unsigned int regs = 0; regs < 16; regs++)
			for (int tail_calls = 0; tail_calls < 2; tail_calls++) {
				build(&throws, stacks[stack], regs, tail_calls, true);
				build(&other, stacks[stack], regs, tail_calls, false);
				for (int i = 0; i < DEPTH; i++, funcs++)
					bytes += differ(&throws, &other, i);
			}
	printf("prologue.functions %u\nprologue.extra_bytes %u\n", funcs, bytes);
	return 0;
}
