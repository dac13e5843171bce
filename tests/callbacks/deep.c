// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ladder of throws that are pending at once, on most of a stack and then on an NMI's.
 *
 * Helpers are watched by many fexit programs. Each of these is one step of a ladder: while the
 * throw below it is pending it calls a helper, whose callback throws, and whose fexit programs have
 * the next step among them. The last step that there is stack for has an NMI interrupt it, for more
 * steps on another stack. Then all of them return, and each throw ends its own program.
 *
 * The programs use as little of the stack as any can: nothing but a return address and the frame
 * pointer. So the distance between steps is the least that a pending throw takes, which is what
 * module/pending.c has to know.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../builder.h"
#include "../fail.h"
#include "../fdinfo.h"
#include "../kmod/test.h"
#include "deep.h"

#define PER_FUNC 38	/* BPF_MAX_TRAMP_LINKS */
#define STEPS (PER_FUNC * 3)
#define LEAST_STACK 72	/* of module/pending.c */
#define LEAST_PENDING 80

/* Of 16 KB of stack, which other things use as well; and of an exception stack's 4 KB */
#define ROOM 11000
#define STEPS_IN_NMI 10

/* Each step is in an RCU read-side section, and lockdep has room for 48 things that a task holds */
#define STEPS_WITH_LOCKDEP 16

/* Fexit programs see all of them return */
static const char *const funcs[] = {
	"bpf_loop", "bpf_for_each_array_elem", "bpf_for_each_hash_elem",
};

struct ladder {
	__u64 step;	/* which is next */
	__u64 end;	/* none below this address */
	__u64 left;	/* steps that may be taken yet */
	__u64 turn;	/* where it goes on in an NMI; 0: not yet */
	__u64 behind;	/* programs that came behind their helpers */
	__u64 frame[STEPS];
};

static struct builder b;
static char log_buf[1 << 16];
static int map, hash;

#define AT(field) offsetof(struct ladder, field)

/* Four bytes of an instruction's imm are an offset here. Changes r1 */
static void load_ladder(void)
{
	builder_emit(&b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, map));
	builder_emit(&b, INSN(0, 0, 0, 0, 0));
}

static void add(int field, int value)
{
	load_ladder();
	builder_emit(&b, LOAD(BPF_REG_2, BPF_REG_1, field));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_2, value));
	builder_emit(&b, STORE_REG(BPF_REG_1, field, BPF_REG_2));
}

static void end(int ret)
{
	builder_emit(&b, MOV_IMM(BPF_REG_0, ret));
	builder_emit(&b, EXIT());
}

/* By the helper that program @step of the ladder watches. Return @ret if nothing throws. */
static void call_helper(int step, int callback, int ret)
{
	if (step < PER_FUNC) {
		/* flags of 0, which isn't known, or the loop would be inlined */
		builder_emit(&b, CALL_HELPER(BPF_FUNC_ktime_get_ns));
		builder_emit(&b, MOV_REG(BPF_REG_4, BPF_REG_0));
		builder_emit(&b, ALU_IMM(BPF_RSH, BPF_REG_4, 63));
		builder_emit(&b, MOV_IMM(BPF_REG_1, 1));
	} else {
		builder_emit(&b, MOV_IMM(BPF_REG_4, 0));
		builder_load_map(&b, BPF_REG_1, step < 2 * PER_FUNC ? map : hash);
	}
	builder_load_func(&b, BPF_REG_2, callback);
	builder_emit(&b, MOV_IMM(BPF_REG_3, 0));
	builder_emit(&b, CALL_HELPER(step < PER_FUNC ? BPF_FUNC_loop : BPF_FUNC_for_each_map_elem));
	add(AT(behind), 1);
	end(ret);
}

static void throw_in(int callback)
{
	builder_begin(&b, callback);
	builder_emit(&b, MOV_IMM(BPF_REG_1, 0));
	builder_call_kfunc(&b, KFUNC_THROW);
}

static int load(enum bpf_prog_type type, const struct bpf_prog_load_opts *opts)
{
	int fd = builder_load_with(&b, type, opts, log_buf, sizeof(log_buf));

	if (fd < 0)
		fail("did not load: %s; %s", strerror(errno), log_buf);
	return fd;
}

/* Throws, for program @step to see it */
static int load_main(int step)
{
	LIBBPF_OPTS(bpf_prog_load_opts, none);
	int callback;

	builder_init(&b);
	callback = builder_func(&b, step < PER_FUNC ? 2 : 4, false);
	call_helper(step, callback, 1);
	throw_in(callback);
	return load(BPF_PROG_TYPE_XDP, &none);
}

static int load_step(int step, int btf_id)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FEXIT,
		    .attach_btf_id = btf_id);
	int callback, last[2];

	builder_init(&b);
	callback = builder_func(&b, step + 1 < PER_FUNC ? 2 : 4, false);
	load_ladder();
	builder_emit(&b, LOAD(BPF_REG_2, BPF_REG_1, AT(step)));
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_2, step, 2));
	end(0);
	builder_emit(&b, STORE_REG(BPF_REG_1, AT(frame) + 8 * step, BPF_REG_10));
	add(AT(step), 1);
	builder_emit(&b, LOAD(BPF_REG_2, BPF_REG_1, AT(frame) + 8 * step));
	if (!step) {
		builder_emit(&b, MOV_REG(BPF_REG_3, BPF_REG_2));
		builder_emit(&b, ALU_IMM(BPF_SUB, BPF_REG_3, ROOM));
		builder_emit(&b, STORE_REG(BPF_REG_1, AT(end), BPF_REG_3));
	}
	builder_emit(&b, LOAD(BPF_REG_3, BPF_REG_1, AT(end)));
	last[0] = b.cnt;
	builder_emit(&b, INSN(BPF_JMP | BPF_JLT | BPF_X, BPF_REG_2, BPF_REG_3, 0, 0));
	builder_emit(&b, LOAD(BPF_REG_2, BPF_REG_1, AT(left)));
	last[1] = b.cnt;
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_2, 0, 0));
	add(AT(left), -1);
	call_helper(step + 1, callback, 0);

	for (int i = 0; i < 2; i++)
		b.insns[last[i]].off = b.cnt - last[i] - 1;
	builder_emit(&b, LOAD(BPF_REG_2, BPF_REG_1, AT(turn)));
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_2, 0, 2));
	end(0);
	builder_emit(&b, STORE_IMM(BPF_REG_1, AT(turn), step));
	builder_emit(&b, STORE_IMM(BPF_REG_1, AT(end), 0));
	builder_emit(&b, STORE_IMM(BPF_REG_1, AT(left), STEPS_IN_NMI));
	builder_call_kfunc(&b, KFUNC_NEST);
	end(0);
	throw_in(callback);
	return load(BPF_PROG_TYPE_TRACING, &opts);
}

struct step {
	int fd, link;
};

static bool add_step(struct step *s, int step)
{
	int id = libbpf_find_vmlinux_btf_id(funcs[step / PER_FUNC], BPF_TRACE_FEXIT);

	if (id <= 0)
		return fail("there is no %s()", funcs[step / PER_FUNC]);
	s->fd = load_step(step, id);
	if (s->fd < 0)
		return false;
	s->link = bpf_raw_tracepoint_open(NULL, s->fd);
	return s->link >= 0 || fail("cannot attach to %s(): %s", funcs[step / PER_FUNC], strerror(errno));
}

/* The least distance between two steps on one stack */
static __u64 least_distance(const struct ladder *l)
{
	__u64 least = ~0ull;

	for (__u64 i = 0; i + 1 < l->step; i++)
		if (i != l->turn && l->frame[i] - l->frame[i + 1] < least)
			least = l->frame[i] - l->frame[i + 1];
	return least;
}

static bool climb(int device, struct test_run *run, __u64 steps, long long *throws)
{
	struct ladder l = { .left = steps };
	__u64 expected = steps < LEAST_PENDING ? steps + STEPS_IN_NMI : LEAST_PENDING;
	__u64 pending, least;
	int zero = 0;

	if (bpf_map_update_elem(map, &zero, &l, 0) || ioctl(device, TEST_RUN, run) ||
	    bpf_map_lookup_elem(map, &zero, &l))
		return fail("cannot run: %s", strerror(errno));
	/* two main programs, and each step but the last one on each stack */
	pending = 2 + l.step - 2;
	*throws += pending;
	least = least_distance(&l);
	printf("# context %u: %llu throws were pending at once, at least %llu bytes apart\n", run->context,
	       pending, least);
	if (run->ret || run->nested_ret || run->bad || run->nested_bad)
		return fail("returned %u, nested %u; bad registers %#x, %#x", run->ret, run->nested_ret,
			    run->bad, run->nested_bad);
	if (l.behind)
		return fail("%llu programs went on behind their helpers", l.behind);
	if (l.step - l.turn != STEPS_IN_NMI + 2)
		return fail("%llu steps in the NMI, expected %d", l.step - l.turn - 1, STEPS_IN_NMI + 1);
	return (pending >= expected || fail("expected %llu", expected)) &&
	       (least >= LEAST_STACK || fail("expected %d", LEAST_STACK));
}

bool deep(int device)
{
	struct test_run run = { .nested_context = IN_NMI };
	long long throws = 0, counted = 0;
	bool lockdep = !access("/proc/lockdep", F_OK);
	struct step steps[STEPS];
	int cnt = 0, zero = 0;
	bool ok;

	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ladder", 4, sizeof(struct ladder), 1, NULL);
	hash = bpf_map_create(BPF_MAP_TYPE_HASH, "hash", 4, 4, 1, NULL);
	ok = (map >= 0 && !bpf_map_update_elem(hash, &zero, &zero, 0)) ||
	     fail("cannot make a map: %s", strerror(errno));
	run.prog_fd = load_main(0);
	/* the thread's stack has had enough when those of two functions have been passed */
	run.nested_fd = load_main(lockdep ? 0 : 2 * PER_FUNC);
	ok = ok && (int)run.prog_fd >= 0 && (int)run.nested_fd >= 0;
	for (; ok && cnt < STEPS; cnt++) {
		steps[cnt] = (struct step){ -1, -1 };
		ok = add_step(&steps[cnt], cnt);
	}
	for (int i = 0; ok && i < 2 * IN_NMI; i++) {
		run.context = i % IN_NMI;
		ok = climb(device, &run, lockdep ? STEPS_WITH_LOCKDEP : STEPS, &throws);
	}
	for (int i = 0; ok && i < cnt; i++)
		counted += fdinfo_value(steps[i].fd, "throws");
	if (ok) {
		counted += fdinfo_value(run.prog_fd, "throws") + fdinfo_value(run.nested_fd, "throws");
		ok = counted == throws || fail("%lld throws in fdinfo, expected %lld", counted, throws);
	}
	while (cnt--) {
		if (steps[cnt].link >= 0)
			close(steps[cnt].link);
		if (steps[cnt].fd >= 0)
			close(steps[cnt].fd);
	}
	close(run.prog_fd);
	close(run.nested_fd);
	close(map);
	close(hash);
	return ok;
}
