// SPDX-License-Identifier: GPL-2.0-only
/* Functions and jumps that no compiler writes */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "special.h"

/* It returns the cookie */
void return_cookie(int callback)
{
	builder_begin(&b, callback);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	builder_emit(&b, EXIT());
}

enum { MOST_FUNCS = 256, BY_ANOTHER = 256, RETURN = 512 };

/* Throws its argument; above 255, @thrower does it; above 511, it is returned */
static void emit_numbered(int func, int thrower)
{
	builder_begin(&b, func);
	if (func % 2)
		builder_emit(&b, MOV_REG(BPF_REG_6, BPF_REG_1));
	builder_emit(&b, STORE_REG(BPF_REG_10, -8, BPF_REG_1));
	builder_emit(&b, JUMP_IMM(BPF_JGE, BPF_REG_1, RETURN, 3));
	builder_emit(&b, JUMP_IMM(BPF_JGE, BPF_REG_1, BY_ANOTHER, 1));
	builder_call_kfunc(&b, KFUNC_THROW);
	builder_call(&b, thrower);
	builder_emit(&b, LOAD(BPF_REG_0, BPF_REG_10, -8));
	builder_emit(&b, EXIT());
}

/* R6 is the value in @map, and is passed to the function whose number is in its low byte */
static void emit_choice(int map, int callback, int thrower)
{
	builder_emit(&b, STORE_IMM(BPF_REG_10, -8, 0));
	builder_emit(&b, MOV_REG(BPF_REG_2, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_2, -8));
	builder_load_map(&b, BPF_REG_1, map);
	builder_emit(&b, CALL_HELPER(BPF_FUNC_map_lookup_elem));
	builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 1));
	builder_emit(&b, EXIT());
	builder_emit(&b, LOAD(BPF_REG_6, BPF_REG_0, 0));
	builder_emit(&b, MOV_REG(BPF_REG_7, BPF_REG_6));
	builder_emit(&b, ALU_IMM(BPF_AND, BPF_REG_7, 255));
	for (int i = 1; i < MOST_FUNCS; i++) {
		if (i == callback || i == thrower)
			continue;
		builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_7, i, 3));
		builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_6));
		builder_call(&b, i);
		builder_emit(&b, EXIT());
	}
	builder_emit(&b, MOV_IMM(BPF_REG_0, -1));
	builder_emit(&b, EXIT());
}

/* The last function, unless that is the callback */
static int thrower_of(int callback)
{
	return callback == MOST_FUNCS - 1 ? callback - 1 : MOST_FUNCS - 1;
}

/* As many functions as BPF allows, including @callback unless that is 0 */
static int load_most_functions(int map, int callback)
{
	int thrower = thrower_of(callback);

	builder_init(&b);
	for (int i = 1; i < MOST_FUNCS; i++)
		builder_func(&b, 1, false);
	if (callback) {
		builder_load_func(&b, BPF_REG_1, callback);
		builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
	}
	emit_choice(map, callback, thrower);
	for (int i = 1; i < MOST_FUNCS; i++) {
		if (i == callback) {
			return_cookie(callback);
		} else if (i == thrower) {
			builder_begin(&b, thrower);
			builder_call_kfunc(&b, KFUNC_THROW);
		} else {
			emit_numbered(i, thrower);
		}
	}
	return builder_load(&b, BPF_PROG_TYPE_XDP, NULL, 0);
}

static bool run_with(int fd, int map, __u64 value, __u64 expected)
{
	struct test_run run = { .prog_fd = fd };
	int zero = 0;

	if (bpf_map_update_elem(map, &zero, &value, 0) || ioctl(device, TEST_RUN, &run))
		return fail("cannot run: %s", strerror(errno));
	return (run.ret == expected && !run.bad) ||
	       fail("%llu: returned %u, expected %llu; bad registers %#x", value, run.ret, expected, run.bad);
}

/* Every function throws, calls one that throws, and returns, even the last one in the table */
static bool most_functions(int callback)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "choice", sizeof(int), sizeof(__u64), 1, NULL);
	int fd = load_most_functions(map, callback);
	bool ok = fd >= 0 || fail("did not load: %s", strerror(errno));

	for (__u64 i = 1; ok && i < MOST_FUNCS; i++) {
		if ((int)i == callback || (int)i == thrower_of(callback))
			continue;
		ok = run_with(fd, map, i, callback ? i : 0) &&
		     run_with(fd, map, i + BY_ANOTHER, callback ? i + BY_ANOTHER : 0) &&
		     run_with(fd, map, i + RETURN, i + RETURN);
	}
	close(fd);
	close(map);
	return ok;
}

bool most_functions_bare(void) { return most_functions(0); }
bool most_functions_callback(void) { return most_functions(1) && most_functions(MOST_FUNCS - 1); }

/* The kernel refuses it as always, but only after find_noreturn_calls() has seen it */
bool truncated_ldimm64(void)
{
	int fd;

	/* with one of these lengths, the verifier's records fill whole pages */
	for (int len = 64; len <= 4096; len += 64) {
		builder_init(&b);
		builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_1, 0, 1));
		builder_call_kfunc(&b, KFUNC_THROW);
		while (b.cnt < len - 1)
			builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
		builder_emit(&b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, 0, 0, 0));
		fd = builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
		if (fd >= 0) {
			close(fd);
			return fail("it loaded");
		}
	}
	return true;
}

/* Subprograms, each of which calls the next, and which never return */
bool long_chain(void)
{
	int funcs[64] = { 0 };

	builder_init(&b);
	for (int i = 1; i < 64; i++)
		funcs[i] = builder_func(&b, 1, false);
	for (int i = 0; i < 64; i++) {
		if (i)
			builder_begin(&b, funcs[i]);
		for (int j = 0; j < 50; j++)
			builder_emit(&b, MOV_IMM(BPF_REG_0, j));
		if (i < 63)
			builder_call(&b, funcs[i + 1]);
		if (i == 63)
			builder_call_kfunc(&b, KFUNC_THROW);
	}
	return builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)) < 0 &&
	       strstr(log_buf, "too deep") ? true : fail("%s", log_buf);
}

/* Comparisons, one of which is true, jump to jumps to a throw. The latter are removed, unless
 * they skip an instruction that others reach.
 */
bool folded_gotos(void)
{
	static const char packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
	int fd, callback;
	bool ok = true;

	for (int gap = 0; gap < 2; gap++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info), expected;

		builder_init(&b);
		callback = builder_func(&b, 1, false);
		builder_load_func(&b, BPF_REG_1, callback);
		builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
		builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
		for (int i = 0; i < 3; i++)
			builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_0, i, 5));
		builder_emit(&b, JUMP_IMM(BPF_JGT, BPF_REG_0, 2, 5));
		builder_emit(&b, MOV_IMM(BPF_REG_0, 1));
		builder_emit(&b, EXIT());
		for (int i = 3; i--; )
			builder_emit(&b, JUMP(i + gap));
		if (gap)
			builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_0));
		builder_emit(&b, MOV_IMM(BPF_REG_1, 77));
		builder_call_kfunc(&b, KFUNC_THROW);
		builder_begin(&b, callback);
		builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
		builder_emit(&b, EXIT());
		fd = builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
		if (fd < 0)
			return fail("did not load: %s", log_buf);
		/* the callback's load and call, 3 insns, are always erased */
		expected = (b.cnt - 3 - (gap ? 0 : 3)) * sizeof(struct bpf_insn);
		if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.xlated_prog_len != expected)
			ok = fail("%u bytes of instructions, expected %u", info.xlated_prog_len,
				  expected);
		else if (bpf_prog_test_run_opts(fd, &opts) || opts.retval != 77)
			ok = fail("returned %u", opts.retval);
		close(fd);
		if (!ok)
			return false;
	}
	return true;
}
