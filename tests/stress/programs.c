// SPDX-License-Identifier: GPL-2.0-only
/* Programs that throw, and packs of them that count their throws in one map */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../fdinfo.h"
#include "stress.h"

const struct kind xdp = { BPF_PROG_TYPE_XDP, .thrown_ret = 55, .passed_ret = 1 };

#define ATOMIC_ADD(BASE, OFF, SRC) \
	INSN(BPF_STX | BPF_ATOMIC | BPF_DW, BASE, SRC, OFF, BPF_ADD)

/* Four instructions, which clobber r3 and r4 */
void count(struct builder *b, int map, int off)
{
	builder_emit(b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_3, BPF_PSEUDO_MAP_VALUE, 0, map));
	builder_emit(b, INSN(0, 0, 0, 0, 0));
	builder_emit(b, MOV_IMM(BPF_REG_4, 1));
	builder_emit(b, ATOMIC_ADD(BPF_REG_3, off, BPF_REG_4));
}

/* --- frames ---------------------------------------------------------------------------- */

/* Below the frame pointer: values of fill_frame(), then these */
#define SCRATCH_SLOT 40
#define THING_SLOT 48
#define DYNPTR_SLOT 56	/* and THING_SLOT */

/* The program that is built */
struct thrower {
	struct builder *b;
	const struct kind *kind;
	int map;
	bool holds;	/* things, in some of its frames */
	int held;	/* how many, in those that are built so far; NULL ends a function early */
};

/* With @held things */
static void throw(struct thrower *t, int held)
{
	struct builder *b = t->b;

	count(b, t->map, offsetof(struct counts, begun));
	if (held) {
		builder_emit(b, MOV_IMM(BPF_REG_4, held));
		builder_emit(b, ATOMIC_ADD(BPF_REG_3, offsetof(struct counts, held), BPF_REG_4));
	}
	builder_emit(b, MOV_IMM(BPF_REG_1, t->kind->thrown_ret));
	builder_call_kfunc(b, KFUNC_THROW);
}

/* Jump to a place that land() sets later */
static int leap(struct builder *b, struct bpf_insn insn)
{
	builder_emit(b, insn);
	return b->cnt - 1;
}

static void land(struct builder *b, int from)
{
	if (from >= 0)
		b->insns[from].off = b->cnt - from - 1;
}

/* Throw one time in @times */
static void maybe_throw(struct thrower *t, int times)
{
	int over;

	builder_emit(t->b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	builder_emit(t->b, ALU_IMM(BPF_AND, BPF_REG_0, times - 1));
	over = leap(t->b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 0));
	throw(t, t->held);
	land(t->b, over);
}

/* The same with a lock held. Changes r8 and r9. */
static void maybe_throw_locked(struct thrower *t, int times)
{
	struct builder *b = t->b;
	int over;

	builder_emit(b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	builder_emit(b, MOV_REG(BPF_REG_9, BPF_REG_0));
	builder_emit(b, ALU_IMM(BPF_AND, BPF_REG_9, times - 1));
	builder_emit(b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_8, BPF_PSEUDO_MAP_VALUE, 0,
			     things.lock));
	builder_emit(b, INSN(0, 0, 0, 0, 8));	/* the lock in the value */
	builder_emit(b, MOV_REG(BPF_REG_1, BPF_REG_8));
	builder_emit(b, CALL_HELPER(BPF_FUNC_spin_lock));
	over = leap(b, JUMP_IMM(BPF_JNE, BPF_REG_9, 0, 0));
	throw(t, t->held + 1);
	land(b, over);
	builder_emit(b, MOV_REG(BPF_REG_1, BPF_REG_8));
	builder_emit(b, CALL_HELPER(BPF_FUNC_spin_unlock));
}

static void copy_from_user(struct builder *b, void *from)
{
	__u64 addr = (unsigned long)from;

	builder_emit(b, MOV_REG(BPF_REG_1, BPF_REG_10));
	builder_emit(b, ALU_IMM(BPF_ADD, BPF_REG_1, -SCRATCH_SLOT));
	builder_emit(b, MOV_IMM(BPF_REG_2, 8));
	builder_emit(b, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_3, 0, 0, (__u32)addr));
	builder_emit(b, INSN(0, 0, 0, 0, addr >> 32));
	builder_emit(b, CALL_HELPER(BPF_FUNC_copy_from_user));
}

/* Put the same values, unknown to the verifier, into registers and stack slots */
static void fill_frame(struct builder *b, int regs)
{
	builder_emit(b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	for (int i = 0; i < 4; i++) {
		if (!(regs & 1 << i))
			continue;
		builder_emit(b, MOV_REG(BPF_REG_6 + i, BPF_REG_0));
		builder_emit(b, ALU_IMM(BPF_ADD, BPF_REG_6 + i, i));
		builder_emit(b, STORE_REG(BPF_REG_10, -8 * (i + 1), BPF_REG_6 + i));
	}
}

/* They must still be the same after all calls and interruptions */
static void check_frame(struct builder *b, int map, int regs)
{
	for (int i = 0; i < 4; i++) {
		if (!(regs & 1 << i))
			continue;
		builder_emit(b, LOAD(BPF_REG_0, BPF_REG_10, -8 * (i + 1)));
		builder_emit(b, INSN(BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_0, BPF_REG_6 + i, 4, 0));
		count(b, map, offsetof(struct counts, damaged));
	}
}

/* --- things to hold -------------------------------------------------------------------- */

enum thing { NOTHING, RECORD, DYNPTR, SOCKET, OBJECT };

/* Not all types of programs have helpers and kfuncs for all of them */
static enum thing choose_thing(const struct kind *kind)
{
	enum thing found[4] = { RECORD, DYNPTR };
	int cnt = 2;

	if (kind->type == BPF_PROG_TYPE_XDP || kind->type == BPF_PROG_TYPE_SCHED_CLS)
		found[cnt++] = SOCKET;
	if (kind->type == BPF_PROG_TYPE_SCHED_CLS || kind->type == BPF_PROG_TYPE_SYSCALL ||
	    kind->type == BPF_PROG_TYPE_TRACING)
		found[cnt++] = OBJECT;
	return found[pick(cnt)];
}

/* Programs that run in NMI may not wait for each other */
static bool may_lock(const struct kind *kind)
{
	return kind->type == BPF_PROG_TYPE_SCHED_CLS || kind->type == BPF_PROG_TYPE_TRACING;
}

static void stack_address(struct builder *b, int reg, int slot)
{
	builder_emit(b, MOV_REG(reg, BPF_REG_10));
	builder_emit(b, ALU_IMM(BPF_ADD, reg, -slot));
}

/*
 * Acquire @what, and keep it in @reg, or on the stack if that is 0.
 *
 * Return: the jump to where the function ends, taken if there is none; or -1
 */
static int acquire(struct builder *b, enum thing what, int reg)
{
	int none = -1;

	if (what == RECORD || what == DYNPTR) {
		builder_load_map(b, BPF_REG_1, things.ringbuf);
		builder_emit(b, MOV_IMM(BPF_REG_2, 8));
		builder_emit(b, MOV_IMM(BPF_REG_3, 0));
		if (what == DYNPTR)
			stack_address(b, BPF_REG_4, DYNPTR_SLOT);
		builder_emit(b, CALL_HELPER(what == DYNPTR ? BPF_FUNC_ringbuf_reserve_dynptr :
					    BPF_FUNC_ringbuf_reserve));
	} else {
		builder_emit(b, STORE_IMM(BPF_REG_10, -SCRATCH_SLOT, 0));
		stack_address(b, BPF_REG_2, SCRATCH_SLOT);
		builder_emit(b, MOV_REG(BPF_REG_1, BPF_REG_2));
		if (what == OBJECT) {
			builder_call_kfunc(b, KFUNC_ACQUIRE);
		} else {
			builder_load_map(b, BPF_REG_1, things.sockets);
			builder_emit(b, CALL_HELPER(BPF_FUNC_map_lookup_elem));
		}
	}
	if (what != DYNPTR) {
		none = leap(b, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
		if (reg)
			builder_emit(b, MOV_REG(reg, BPF_REG_0));
		else
			builder_emit(b, STORE_REG(BPF_REG_10, -THING_SLOT, BPF_REG_0));
	}
	return none;
}

static void release(struct builder *b, enum thing what, int reg)
{
	static const int helpers[] = {
		[RECORD] = BPF_FUNC_ringbuf_discard, [DYNPTR] = BPF_FUNC_ringbuf_discard_dynptr,
		[SOCKET] = BPF_FUNC_sk_release,
	};

	if (what == DYNPTR)
		stack_address(b, BPF_REG_1, DYNPTR_SLOT);
	else if (reg)
		builder_emit(b, MOV_REG(BPF_REG_1, reg));
	else
		builder_emit(b, LOAD(BPF_REG_1, BPF_REG_10, -THING_SLOT));
	builder_emit(b, MOV_IMM(BPF_REG_2, 0));
	if (what == OBJECT)
		builder_call_kfunc(b, KFUNC_RELEASE);
	else
		builder_emit(b, CALL_HELPER(helpers[what]));
}

/* --- programs -------------------------------------------------------------------------- */

/* How a function calls the next one: itself, or by a helper */
enum way { CALL, INLINED_LOOP, LOOP, FOR_EACH, WAYS };

static int ways_args(enum way way)
{
	return way == CALL ? 1 : way == FOR_EACH ? 4 : 2;
}

/* Calls @func once, as the map has one element */
static void call_by(struct builder *b, enum way how, int func, int map)
{
	if (how == CALL) {
		builder_emit(b, MOV_IMM(BPF_REG_1, 0));
		builder_call(b, func);
		return;
	}
	/* flags of 0 that aren't known to be: so the loop isn't inlined */
	builder_emit(b, CALL_HELPER(BPF_FUNC_ktime_get_ns));
	builder_emit(b, MOV_REG(BPF_REG_4, BPF_REG_0));
	builder_emit(b, ALU_IMM(BPF_RSH, BPF_REG_4, 63));
	if (how == INLINED_LOOP)
		builder_emit(b, MOV_IMM(BPF_REG_4, 0));
	if (how == FOR_EACH)
		builder_load_map(b, BPF_REG_1, map);
	else
		builder_emit(b, MOV_IMM(BPF_REG_1, 1));
	builder_load_func(b, BPF_REG_2, func);
	builder_emit(b, MOV_IMM(BPF_REG_3, 0));
	builder_emit(b, CALL_HELPER(how == FOR_EACH ? BPF_FUNC_for_each_map_elem : BPF_FUNC_loop));
}

/*
 * One of a program's functions; @next is the one that it calls, 0: it is the last. @stack: things
 * can be held on the stack, as no helper comes between here and a throw.
 */
static void build_function(struct thrower *t, bool main, int next, enum way by, enum thing what,
			   bool stack)
{
	int regs = pick(16), reg = BPF_REG_6 + pick(4), none = -1;
	bool locks = !next && t->holds && may_lock(t->kind);
	struct builder *b = t->b;

	if (locks)
		regs &= 3;
	if (what == DYNPTR && !stack)
		what = RECORD;
	if (what && !stack)
		regs &= ~(1 << (reg - BPF_REG_6));
	else if (regs & 1 << (reg - BPF_REG_6) || (locks && reg >= BPF_REG_8))
		reg = 0;
	fill_frame(b, regs);
	if (what)
		none = acquire(b, what, reg);
	t->held += !!what;
	maybe_throw(t, 16);
	if (next) {
		call_by(b, by, next, t->map);
	} else {
		if (t->kind->nests)
			builder_call_kfunc(b, KFUNC_NEST);
		if (t->kind->sleeps_on)
			copy_from_user(b, t->kind->sleeps_on);
		if (locks)
			maybe_throw_locked(t, 2);
		for (int j = 0; j < 3 - locks; j++)
			maybe_throw(t, 2);
	}
	if (what)
		release(b, what, reg);
	land(b, none);
	check_frame(b, t->map, regs);
	if (main)
		count(b, t->map, offsetof(struct counts, passed));
	builder_emit(b, MOV_IMM(BPF_REG_0, main ? t->kind->passed_ret : 0));
	builder_emit(b, EXIT());
}

/*
 * A chain of up to seven functions. Each keeps values in some callee-saved registers, may throw
 * before it calls the next, and checks the values when that returns. The last one throws seven
 * times in eight. In half of the programs some of them hold something meanwhile, and the last one
 * throws under a lock, if it may.
 */
static void build_thrower(struct builder *b, const struct kind *kind, int map)
{
	struct thrower t = { .b = b, .kind = kind, .map = map, .holds = pick(2) };
	int funcs[9] = { 0 }, depth = 2 + pick(6), callback, last_helper = 0;
	enum way ways[9] = { CALL };	/* of getting there */

	builder_init(b);
	callback = builder_func(b, 1, false);
	for (int i = 1; i < depth; i++) {
		ways[i] = pick(2) ? CALL : pick(WAYS);
		funcs[i] = builder_func(b, ways_args(ways[i]), false);
		if (ways[i] != CALL)
			last_helper = i;
	}
	builder_load_func(b, BPF_REG_1, callback);
	builder_call_kfunc(b, KFUNC_SET_CALLBACK);
	for (int i = 0; i < depth; i++) {
		if (i)
			builder_begin(b, funcs[i]);
		build_function(&t, !i, i < depth - 1 ? funcs[i + 1] : 0, ways[i + 1],
			       t.holds && pick(2) ? choose_thing(kind) : NOTHING, i >= last_helper);
	}
	builder_begin(b, callback);
	count(b, map, offsetof(struct counts, ended));
	builder_emit(b, MOV_IMM(BPF_REG_0, kind->thrown_ret));
	builder_emit(b, EXIT());
}

/* Return: fd, or -1 with the reason in @log */
static int load_thrower(const struct kind *kind, int map, char *log, int log_size)
{
	static __thread struct builder b;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = kind->attach_type,
		    .attach_btf_id = kind->btf_id, .attach_prog_fd = kind->target,
		    .prog_flags = kind->sleeps_on ? BPF_F_SLEEPABLE : 0);
	int fd;

	build_thrower(&b, kind, map);
	fd = builder_load_with(&b, kind->type, &opts, NULL, 0);
	/* the log takes time, so ask for it only if the program doesn't load */
	return fd >= 0 ? fd : builder_load_with(&b, kind->type, &opts, log, log_size);
}

bool pack_open(struct pack *p, struct activity *a)
{
	p->a = a;
	p->cnt = 0;
	p->run_cnt = 0;
	p->map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counts", 4, sizeof(struct counts), 1, NULL);
	if (p->map < 0)
		fail(a, "cannot make a map: %s", strerror(errno));
	return p->map >= 0;
}

/* Return: the program's fd, which belongs to the pack, or -1 */
int pack_add(struct pack *p, const struct kind *kind)
{
	static __thread char log[1 << 20];
	int fd = -1;

	if (p->cnt < MAX_PROGS)
		fd = load_thrower(kind, p->map, log, sizeof(log));
	if (fd < 0) {
		fail(p->a, "program %d did not load: %s; %s", p->cnt, strerror(errno),
		     log + (strlen(log) > 500 ? strlen(log) - 500 : 0));
		return -1;
	}
	p->fds[p->cnt++] = fd;
	return fd;
}

void attach_for(struct pack *p, const struct kind *kind, int ms)
{
	int link = bpf_raw_tracepoint_open(NULL, pack_add(p, kind));

	if (link < 0) {
		fail(p->a, "cannot attach: %s", strerror(errno));
		return;
	}
	sleep_ms(ms);
	close(link);
	p->a->done++;
}

bool open_xdp_pack(struct pack *p, struct activity *a, int progs)
{
	if (!pack_open(p, a))
		return false;
	while (progs-- && !a->failed)
		pack_add(p, &xdp);
	return true;
}

/* The sum of @key in the fdinfo of all programs */
static __u64 fdinfo_sum(const struct pack *p, const char *key)
{
	long long value;
	__u64 sum = 0;

	for (int i = 0; i < p->cnt; i++) {
		value = fdinfo_value(p->fds[i], key);
		sum += value > 0 ? value : 0;
	}
	return sum;
}

bool read_counts(const struct pack *p, struct counts *counts, __u64 *fdinfo, __u64 *released)
{
	int zero = 0;

	if (bpf_map_lookup_elem(p->map, &zero, counts))
		memset(counts, 0, sizeof(*counts));
	*fdinfo = fdinfo_sum(p, "throws");
	*released = fdinfo_sum(p, "released");
	return counts->begun == counts->ended && counts->begun == *fdinfo &&
	       counts->held == *released;
}

/*
 * The end of a round: nothing starts these programs any more. One that was detached may still be
 * running elsewhere, but not for long.
 * @seen: how many throws the caller saw, or -1 if it can't see them
 *
 * Return: how many runs there were
 */
__u64 pack_close(struct pack *p, long long seen)
{
	struct activity *a = p->a;
	struct counts c;
	__u64 fdinfo, released;

	for (int i = 0; i < 100 && !read_counts(p, &c, &fdinfo, &released); i++)
		sleep_ms(50);
	things_consume();
	p->run_cnt = fdinfo_sum(p, "run_cnt");
	if (seen == -1)
		seen = c.ended;
	if (c.begun != c.ended || c.begun != fdinfo || c.begun != (__u64)seen)
		fail(a, "round %llu: %llu throws begun, %llu callbacks, %llu in fdinfo, %lld seen by the caller",
		     a->rounds, c.begun, c.ended, fdinfo, seen);
	if (c.held != released)
		fail(a, "round %llu: %llu things held at throws, %llu released", a->rounds, c.held,
		     released);
	if (c.damaged)
		fail(a, "%llu values in frames were damaged", c.damaged);
	a->begun += c.begun;
	a->ended += c.ended;
	a->passed += c.passed;
	a->fdinfo += fdinfo;
	a->released += released;
	a->seen += seen;
	while (p->cnt)
		close(p->fds[--p->cnt]);
	close(p->map);
	return c.begun + c.passed;
}

/* Whether there is time for another program, in a round with many; always for the first */
bool goes_on(const struct pack *p, __u64 end)
{
	things_consume();
	return p->cnt < MAX_PROGS && (!p->cnt || now_ms() < end);
}
