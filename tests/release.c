// SPDX-License-Identifier: GPL-2.0-only
/*
 * release - throw while the program holds something, of each kind, in each place
 *
 * A program acquires something, keeps it in only one register or stack slot, and throws: itself, or
 * in a function some frames below, which uses all registers for something else. Afterwards the
 * thing must have been released exactly once. Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 the kernel lacks a module.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "builder.h"
#include "fail.h"
#include "fdinfo.h"
#include "held.h"

#define COOKIE 77
#define RUNS 10

static struct builder b;
static struct bpf_sock_tuple tuple;
static int ringbuf, locks, sockets = -1;
static char log_buf[1 << 18];

/* Main's stack: the thing is in @slot, and above it are the arguments of helpers */
#define AREA 64

struct place {
	const char *name;
	int reg;	/* or -1 */
	int slot;	/* offset from the frame pointer */
	bool at_throw_only;
};

static const struct place places[] = {
	{ "R6", 6, 0, false }, { "R7", 7, 0, false }, { "R8", 8, 0, false }, { "R9", 9, 0, false },
	{ "a slot", -1, -AREA - 16, false }, { "a slot further down", -1, -336, false },
	{ "R0", 0, 0, true }, { "R2", 2, 0, true }, { "R3", 3, 0, true }, { "R4", 4, 0, true },
	{ "R5", 5, 0, true },
};

static void call_helper(int id)
{
	builder_emit(&b, CALL_HELPER(id));
}

/* Point @reg to the area, whose first 8 bytes become @value */
static void area(int reg, long value)
{
	builder_emit(&b, STORE_IMM(BPF_REG_10, -AREA, value));
	builder_emit(&b, MOV_REG(reg, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, reg, -AREA));
}

/* Each leaves the thing in R0, or NULL */
static void get_record(void)
{
	builder_load_map(&b, BPF_REG_1, ringbuf);
	builder_emit(&b, MOV_IMM(BPF_REG_2, 16));
	builder_emit(&b, MOV_IMM(BPF_REG_3, 0));
	call_helper(BPF_FUNC_ringbuf_reserve);
}

static void get_socket(void)
{
	__u32 words[3];

	memcpy(words, &tuple.ipv4, sizeof(words));
	for (int i = 0; i < 3; i++)
		builder_emit(&b, INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -AREA + 4 * i, words[i]));
	builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_6));
	builder_emit(&b, MOV_REG(BPF_REG_2, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_2, -AREA));
	builder_emit(&b, MOV_IMM(BPF_REG_3, sizeof(words)));
	builder_emit(&b, MOV_IMM(BPF_REG_4, -1));
	builder_emit(&b, MOV_IMM(BPF_REG_5, 0));
	call_helper(BPF_FUNC_sk_lookup_tcp);
}

/* From a map: bpf_sk_release() takes it only after a test for NULL, but a throw doesn't need one */
static void get_mapped(void)
{
	builder_load_map(&b, BPF_REG_1, sockets);
	area(BPF_REG_2, 0);
	call_helper(BPF_FUNC_map_lookup_elem);
}

static void get_object(void)
{
	area(BPF_REG_1, 0);
	builder_call_kfunc(&b, KFUNC_ACQUIRE);
}

/* The value that has the lock, locked; from index 1, so that its address isn't the map's first */
static void get_lock(void)
{
	builder_load_map(&b, BPF_REG_1, locks);
	area(BPF_REG_2, 1);
	call_helper(BPF_FUNC_map_lookup_elem);
}

static void get_dynptr(int slot)
{
	builder_load_map(&b, BPF_REG_1, ringbuf);
	builder_emit(&b, MOV_IMM(BPF_REG_2, 16));
	builder_emit(&b, MOV_IMM(BPF_REG_3, 0));
	builder_emit(&b, MOV_REG(BPF_REG_4, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_4, slot));
	call_helper(BPF_FUNC_ringbuf_reserve_dynptr);
}

enum kind { RECORD, SOCKET, MAPPED, OBJECT, LOCK, DYNPTR, KINDS };

static const struct {
	const char *name;
	void (*get)(void);
	int put;	/* helper that releases R1, or 0: the kfunc */
} kinds[KINDS] = {
	[RECORD] = { "a ringbuf record", get_record, BPF_FUNC_ringbuf_discard },
	[SOCKET] = { "a socket", get_socket, BPF_FUNC_sk_release },
	[MAPPED] = { "a socket out of a map, untested", get_mapped, BPF_FUNC_sk_release },
	[OBJECT] = { "an object", get_object, 0 },
	[LOCK] = { "a lock", get_lock, BPF_FUNC_spin_unlock },
	[DYNPTR] = { "a ringbuf dynptr", NULL, BPF_FUNC_ringbuf_discard_dynptr },
};

/* The verifier doesn't know how it goes; it always does */
static void throw_if_allowed(const struct place *place, int reg)
{
	builder_emit(&b, MOV_IMM(BPF_REG_1, COOKIE));
	if (place && place->at_throw_only) {
		/* not a single call may come in between, and the other copy has to go */
		builder_emit(&b, MOV_REG(place->reg, reg));
		builder_emit(&b, MOV_IMM(reg, 1));
	}
	builder_call_kfunc(&b, KFUNC_THROW);
}

static void acquire(enum kind kind, const struct place *place)
{
	if (kind == DYNPTR) {
		get_dynptr(place->slot);
		return;
	}
	kinds[kind].get();
	if (kind == MAPPED)
		return;
	builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 2));
	builder_emit(&b, MOV_IMM(BPF_REG_0, -1));
	builder_emit(&b, EXIT());
	if (kind == LOCK) {
		builder_emit(&b, MOV_REG(BPF_REG_8, BPF_REG_0));
		builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_0));
		builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_1, 8));
		call_helper(BPF_FUNC_spin_lock);
		builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_8));
		builder_emit(&b, MOV_IMM(BPF_REG_8, 1));
	}
}

/* R7 says whether to throw, the verifier doesn't know; its jump is the last that needs it */
static int held_prog(enum kind kind, const struct place *place, int depth, bool global)
{
	int callback, funcs[8], keep = place->reg < 0 || place->at_throw_only ? BPF_REG_8 : place->reg;
	int decides = keep == BPF_REG_7 ? BPF_REG_9 : BPF_REG_7;

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	builder_emit(&b, MOV_REG(BPF_REG_6, BPF_REG_1));
	builder_load_func(&b, BPF_REG_1, callback);
	builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
	for (int i = 1; i <= depth; i++)
		funcs[i] = builder_func(&b, 0, global && i == 1);
	call_helper(BPF_FUNC_get_prandom_u32);
	builder_emit(&b, MOV_REG(decides, BPF_REG_0));
	acquire(kind, place);
	if (kind != DYNPTR && place->reg < 0)
		builder_emit(&b, STORE_REG(BPF_REG_10, place->slot, BPF_REG_0));
	else if (kind != DYNPTR)
		builder_emit(&b, MOV_REG(keep, BPF_REG_0));
	builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
	if (depth) {
		builder_call(&b, funcs[1]);
	} else {
		int jump = b.cnt;

		builder_emit(&b, JUMP_IMM(BPF_JEQ, decides, 0x12345, 0));
		throw_if_allowed(place, keep);
		b.insns[jump].off = b.cnt - jump - 1;
	}
	/* not thrown */
	if (kind == DYNPTR) {
		builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_10));
		builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_1, place->slot));
	} else if (place->reg < 0) {
		builder_emit(&b, LOAD(BPF_REG_1, BPF_REG_10, place->slot));
	} else {
		builder_emit(&b, MOV_REG(BPF_REG_1, keep));
	}
	if (kind == LOCK)
		builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_1, 8));
	builder_emit(&b, MOV_IMM(BPF_REG_2, 0));
	if (kind == MAPPED) {
		builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_1, 0, 2));
		builder_emit(&b, MOV_IMM(BPF_REG_0, 1));
		builder_emit(&b, EXIT());
	}
	if (kinds[kind].put)
		call_helper(kinds[kind].put);
	else
		builder_call_kfunc(&b, KFUNC_RELEASE);
	builder_emit(&b, MOV_IMM(BPF_REG_0, 1));
	builder_emit(&b, EXIT());
	/* functions with registers and a stack of their own */
	for (int i = 1; i <= depth; i++) {
		builder_begin(&b, funcs[i]);
		call_helper(BPF_FUNC_get_prandom_u32);
		for (int reg = BPF_REG_6; reg <= BPF_REG_9; reg++) {
			/* not all of them in each, so that who saves what differs */
			if ((reg + i) % 3 == 0)
				continue;
			builder_emit(&b, MOV_IMM(reg, 0x1000 * i + reg));
			builder_emit(&b, STORE_REG(BPF_REG_10, -8 * (reg - 5), reg));
		}
		if (i < depth) {
			builder_call(&b, funcs[i + 1]);
		} else {
			builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0x12345, 2));
			throw_if_allowed(NULL, 0);
		}
		builder_emit(&b, MOV_IMM(BPF_REG_0, 2));
		builder_emit(&b, EXIT());
	}
	builder_begin(&b, callback);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	builder_emit(&b, EXIT());
	return builder_load(&b, BPF_PROG_TYPE_SCHED_CLS, log_buf, sizeof(log_buf));
}

static int probe = -1;

/* How many hold the kernel's test object, the one who asks among them */
static int held_objects(void)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	if (probe < 0) {
		int offset = 28;	/* of cnt in struct prog_test_ref_kfunc, see find_count() */
		struct btf *btf = btf__load_vmlinux_btf();
		int id = btf__find_by_name_kind(btf, "prog_test_ref_kfunc", BTF_KIND_STRUCT);

		for (int i = 0; id > 0 && i < btf_vlen(btf__type_by_id(btf, id)); i++) {
			const struct btf_member *m = btf_members(btf__type_by_id(btf, id)) + i;

			if (!strcmp(btf__name_by_offset(btf, m->name_off), "cnt"))
				offset = m->offset / 8;
		}
		btf__free(btf);
		builder_init(&b);
		get_object();
		builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 1));
		builder_emit(&b, EXIT());
		builder_emit(&b, INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_6, BPF_REG_0, offset, 0));
		builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_0));
		builder_call_kfunc(&b, KFUNC_RELEASE);
		builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_6));
		builder_emit(&b, EXIT());
		probe = builder_load(&b, BPF_PROG_TYPE_SCHED_CLS, log_buf, sizeof(log_buf));
	}
	if (probe < 0 || bpf_prog_test_run_opts(probe, &opts))
		return -1;
	return opts.retval;
}

/* The one that says why; the very last are statistics */
static const char *last_line(char *log)
{
	char *line = strstr(log, "\nprocessed ");

	if (!line)
		return log;
	*line = 0;
	line = strrchr(log, '\n');
	return line ? line + 1 : log;
}

static bool run_held(enum kind kind, const struct place *place, int depth, bool global)
{
	int sockets = held_sockets(), objects = held_objects(), fd = held_prog(kind, place, depth, global);
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
	bool ok = fd >= 0;

	if (!ok)
		return fail("it doesn't load: %s", last_line(log_buf));
	for (int i = 0; ok && i < RUNS; i++)
		if (bpf_prog_test_run_opts(fd, &opts) || opts.retval != COOKIE)
			ok = fail("returned %d, expected %d", opts.retval, COOKIE);
	if (ok && fdinfo_value(fd, "released") != RUNS)
		ok = fail("%lld were released, not %d", fdinfo_value(fd, "released"), RUNS);
	if (ok && (held_sockets() != sockets || held_objects() != objects || held_records(ringbuf)))
		ok = fail("left: %d sockets, %d objects, %ld bytes of records", held_sockets() - sockets,
			  held_objects() - objects, held_records(ringbuf));
	close(fd);
	return ok;
}

int main(void)
{
	static const struct {
		const char *name;
		int depth;
		bool global;
	} frames[] = {
		{ "thrown in main", 0, false }, { "thrown one frame below", 1, false },
		{ "thrown three frames below", 3, false }, { "thrown below a global function", 2, true },
	};
	int tests = 0, failed = 0;

	ringbuf = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ringbuf", 0, 0, 4096, NULL);
	locks = held_locks(2);
	if (!held_connect(&tuple))
		sockets = held_sockmap();
	if (sockets < 0 || ringbuf < 0 || locks < 0) {
		fprintf(stderr, "release: nothing to hold: %s\n", strerror(errno));
		return 2;
	}
	printf("KTAP version 1\n");
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t f = 0; f < sizeof(frames) / sizeof(frames[0]); f++)
			for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
				const struct place *place = &places[p];
				bool ok;

				if ((place->at_throw_only || kind == LOCK) && frames[f].depth)
					continue;	/* no such thing */
				if (kind == DYNPTR && place->reg >= 0)
					continue;
				ok = run_held(kind, place, frames[f].depth, frames[f].global);
				failed += !ok;
				printf("%sok %d release/%s in %s, %s\n", ok ? "" : "not ", ++tests,
				       kinds[kind].name, place->name, frames[f].name);
			}
	printf("1..%d\n", tests);
	return failed ? 1 : 0;
}
