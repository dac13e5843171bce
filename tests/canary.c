// SPDX-License-Identifier: GPL-2.0-only
/*
 * canary - throw through every mix of frames, and check the caller's registers
 *
 * usage: canary
 *
 * For each combination of depth, stack, registers, tail calls or helpers in between, and
 * callback, a program is built and loaded, and run by bpf_exceptions_test.ko in each context. It
 * must return the right value and leave its caller's rbx, rbp, rsp and r12-r15 intact. Prints one
 * line of KTAP for each pair of depth and callback.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 the kernel lacks a module.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "builder.h"
#include "kmod/test.h"
#include "symbols.h"

#define COOKIE 1000

enum callback { CB_NONE, CB_NO_STACK, CB_SMALL, CB_LARGE, CB_CALLS, CALLBACKS };

static const char *const callback_names[] = {
	"no callback", "callback without a stack",
	"callback with a small stack", "callback with a large stack",
	"callback that calls subprograms",
};

/* What a function pushes, and how much stack it uses: as much as the other frames leave it */
static const int stacks[] = { 0, 8, 512 };
static const unsigned int reg_sets[] = { 0x0, 0x1, 0xa, 0xf };
static const char *const contexts[] = { "process", "softirq", "hardirq", "nmi" };

/* What comes between two functions: nothing, or bpf_loop(), where main calls, where the last call
 * is, or both. A function that a helper calls can't do a tail call.
 */
enum between { CALLS, TAIL_CALLS, MAIN_LOOPS, LAST_LOOPS, BOTH_LOOP, BETWEENS };

static const char *const between_names[] = {
	"no tail calls", "tail calls", "main loops", "the last caller loops", "both loop",
};

struct row {
	int depth, stack;
	unsigned int regs;
	enum between between;
	enum callback callback;
};

static struct builder b;
static int jmp_table, device, betweens = BETWEENS;
static char log_buf[1 << 20];

/* Make those of r6-r9 that are in the set live across the following code */
static void use_regs(unsigned int regs, int value)
{
	for (int i = 0; i < 4; i++)
		if (regs & 1 << i)
			builder_emit(&b, MOV_IMM(BPF_REG_6 + i, value + i));
}

static void use_stack(int size, int value)
{
	if (size)
		builder_emit(&b, STORE_IMM(BPF_REG_10, -size, value));
}

/* Stack of the function @level frames below main: each frame takes at least 32 bytes, and
 * the frames above a tail call may have 256 in all
 */
static int frame_stack(const struct row *row, int level)
{
	int limit = row->between == TAIL_CALLS && row->depth ? 256 : 512;

	if (row->stack <= 8)
		return row->stack;
	return level ? 8 : limit - 32 * row->depth;
}

static void build_callback(enum callback callback, int func)
{
	static const int stack[CALLBACKS] = { 0, 0, 16, 512, 64 };
	int level1, level2;

	builder_begin(&b, func);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	use_stack(stack[callback], 0x55);
	if (callback == CB_NO_STACK) {
		builder_emit(&b, EXIT());
		return;
	}
	use_regs(0xf, 0x60);
	if (callback == CB_CALLS) {
		level1 = builder_func(&b, 1, false);
		level2 = builder_func(&b, 1, false);
		builder_call(&b, level1);
		builder_emit(&b, EXIT());
		builder_begin(&b, level1);
		use_stack(40, 0x77);
		use_regs(0x5, 0x70);
		builder_call(&b, level2);
		builder_emit(&b, EXIT());
		builder_begin(&b, level2);
		use_regs(0xf, 0x80);
		builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	}
	builder_emit(&b, EXIT());
}

/* Does the function @level frames below main call the next one by way of bpf_loop()? */
static bool loops(const struct row *row, int level)
{
	bool last = level == row->depth - 1;

	return (row->between == MAIN_LOOPS && !level) || (row->between == LAST_LOOPS && last) ||
	       (row->between == BOTH_LOOP && (!level || last));
}

/* Its flags are 0, but the verifier doesn't know that, and inlines no loop */
static void emit_loop(int func)
{
	builder_emit(&b, CALL_HELPER(BPF_FUNC_ktime_get_ns));
	builder_emit(&b, MOV_REG(BPF_REG_4, BPF_REG_0));
	builder_emit(&b, ALU_IMM(BPF_RSH, BPF_REG_4, 63));
	builder_emit(&b, MOV_IMM(BPF_REG_1, 1));
	builder_load_func(&b, BPF_REG_2, func);
	builder_emit(&b, MOV_IMM(BPF_REG_3, 0));
	builder_emit(&b, CALL_HELPER(BPF_FUNC_loop));
}

/* ctx stays in R1 down to the last function, which throws */
static int build_row(const struct row *row)
{
	int funcs[8], callback = 0, i;

	builder_init(&b);
	if (row->callback) {
		callback = builder_func(&b, 1, false);
		builder_emit(&b, MOV_REG(BPF_REG_6, BPF_REG_1));
		builder_load_func(&b, BPF_REG_1, callback);
		builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
		builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_6));
	}
	for (i = 1; i <= row->depth; i++)
		funcs[i] = builder_func(&b, 1, false);
	for (i = 0; i <= row->depth; i++) {
		if (i)
			builder_begin(&b, funcs[i]);
		use_regs(i ? row->regs : row->regs & ~1u, 0x10 * i);
		use_stack(frame_stack(row, i), 0x33);
		if (i < row->depth && loops(row, i))
			emit_loop(funcs[i + 1]);
		else if (i < row->depth)
			builder_call(&b, funcs[i + 1]);
		if (i == row->depth && row->between == TAIL_CALLS) {
			builder_load_map(&b, BPF_REG_2, jmp_table);
			builder_emit(&b, MOV_IMM(BPF_REG_3, 0));
			builder_emit(&b, CALL_HELPER(BPF_FUNC_tail_call));
			/* the exit below is never taken, but has to be reachable */
			builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
			builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 2));
		}
		if (i == row->depth) {
			builder_emit(&b, MOV_IMM(BPF_REG_1, COOKIE));
			builder_call_kfunc(&b, KFUNC_THROW);
		}
		builder_emit(&b, MOV_IMM(BPF_REG_0, 1));
		builder_emit(&b, EXIT());
	}
	if (row->callback)
		build_callback(row->callback, callback);
	return builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
}

static bool run_row(const struct row *row)
{
	__u32 want = row->callback ? COOKIE : 0;
	int fd = build_row(row);
	bool ok = true;

	if (fd < 0)
		printf("# did not load: %s\n", log_buf);
	for (int i = 0; i < TEST_CONTEXTS && fd >= 0 && ok; i++) {
		struct test_run run = { .prog_fd = fd, .context = i };

		if (ioctl(device, TEST_RUN, &run)) {
			printf("# %s\n", strerror(errno));
			ok = false;
		} else if (run.ret != want || run.bad) {
			printf("# in %s: returned %u, expected %u; registers changed: %#x\n",
			       contexts[i], run.ret, want, run.bad);
			ok = false;
		}
	}
	if (!ok || fd < 0)
		printf("# depth %d, stack %d, registers %#x, %s, %s\n", row->depth, row->stack,
		       row->regs, between_names[row->between], callback_names[row->callback]);
	close(fd);
	return ok && fd >= 0;
}

/* Is this row another one than those before it? */
static bool differs(const struct row *row)
{
	return row->between <= TAIL_CALLS || row->depth > 1 ||
	       (row->depth && row->between == MAIN_LOOPS);
}

/* All stacks, registers and what is between, for one depth and callback */
static bool run_rows(struct row *row, int *rows)
{
	bool ok = true;

	for (size_t s = 0; s < sizeof(stacks) / sizeof(stacks[0]); s++)
		for (size_t r = 0; r < sizeof(reg_sets) / sizeof(reg_sets[0]); r++)
			for (int between = 0; between < betweens; between++) {
				row->stack = stacks[s];
				row->regs = reg_sets[r];
				row->between = between;
				if (!differs(row))
					continue;
				ok &= run_row(row);
				(*rows)++;
			}
	return ok;
}

int main(void)
{
	int num = 0, failed = 0;

	device = open("/dev/bpf_exceptions_test", O_RDWR);
	jmp_table = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, NULL, 4, 4, 1, NULL);
	if (device < 0 || jmp_table < 0) {
		fprintf(stderr, "canary: is bpf_exceptions_test.ko loaded? %s\n", strerror(errno));
		return 2;
	}
	if (kcfi())
		betweens = MAIN_LOOPS;	/* none from there on */
	printf("KTAP version 1\n");
	for (int depth = 0; depth < 8; depth++)
		for (int callback = 0; callback < CALLBACKS; callback++) {
			struct row row = { .depth = depth, .callback = callback };
			int rows = 0;
			bool ok = run_rows(&row, &rows);

			failed += !ok;
			printf("%s %d canary/depth%d - registers intact, %s: %d mixes x %d contexts\n",
			       ok ? "ok" : "not ok", ++num, depth, callback_names[callback], rows,
			       TEST_CONTEXTS);
			fflush(stdout);
		}
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	return !!failed;
}
