/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Descriptions of BPF programs. They are generated, interpreted for the right answer, and turned
 * into instructions.
 *
 * A function has a 16-bit value x. It starts as the argument; the return values of calls are added
 * to it; and the function returns it. The function keeps x, and its context if it has one, in a
 * callee-saved register or on the stack. It keeps canaries in others, and checks them after each
 * call that returns. A function without a place for them ("bare") does only one thing.
 */
#ifndef _FUZZ_PROGRAM_H
#define _FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stdio.h>
#include <linux/types.h>

#define FUNCS_MAX	28
#define STEPS_MAX	8
#define HOLDERS_MAX	3
#define LEVELS		8	/* frames on the stack at once */
#define STACK_MAX	512
#define TAIL_ROOM	255	/* stack that the callers of a function with a tail call may have */
#define LOG_SLOTS	256
#define LOGS_MAX	200	/* that one run makes */
#define COST_MAX	2500	/* instructions that the verifier follows, roughly */
#define INPUTS		8	/* in[0] is main's x, the others are small */
#define CANARIES	8
#define EACH_INPUT	1
#define RUNS		4

/* The map that programs write to. User space has it mapped. */
struct state {
	__u64 seq;			/* of the log */
	__u64 bad;			/* function << 8 | what had changed */
	__u64 log[LOG_SLOTS];
	__u64 in[INPUTS];
	__u64 canary[CANARIES];
};

enum step_kind {
	STEP_NONE,	/* nothing: the minimiser removed it */
	STEP_LOG,
	STEP_CALL,
	STEP_HELPER,
	STEP_LOOP,	/* bpf_loop() */
	STEP_EACH,	/* bpf_for_each_map_elem() */
	STEP_THROW,
	STEP_TAIL_CALL,
	STEP_NEST,	/* another program runs or interrupts here */
	STEP_RETURN,
	/* what the verifier must refuse, see mutate.c */
	STEP_SET_CALLBACK,
	STEP_THROW_LOSING,
};

enum cond { ALWAYS, IF_X_ABOVE, IF_INPUT };

enum cookie { COOKIE_CONST, COOKIE_IMM, COOKIE_X, COOKIE_CANARY, COOKIES };

enum helper {
	HELPER_RANDOM,
	HELPER_KTIME,
	HELPER_CPU,
	HELPER_RINGBUF,
	HELPERS_BARE,
	HELPER_LOOKUP = HELPERS_BARE,	/* these take a key on the stack */
	HELPER_HASH_LOOKUP,
	HELPER_UPDATE,		/* not of the hash: in NMI that is against lockdep's rules */
	HELPERS,
};

/* Entries of the jump table. The last two don't lead anywhere. */
enum tail { TAIL_FIRST, TAIL_SECOND, TAIL_EMPTY, TAIL_OUTSIDE, TAILS };

/* What a program can hold where it throws */
enum thing { THING_NONE, THING_RECORD, THING_SOCKET, THING_OBJECT, THING_DYNPTR, THING_LOCK, THINGS };

/* What a program does about NULL, which none of them ever is */
enum null { NULL_UNCHECKED, NULL_KEPT, NULL_THROWS, NULLS };

enum { ON_STACK = 10 };

/* A variable for something to hold */
struct holder {
	__u8 thing;
	__u8 reg;		/* or ON_STACK */
	__u8 keep;		/* of a lock: where its value is during the call that locks */
	__u8 slot;		/* a free one; a dynptr has the next one, too */
	__u8 null;
	__u8 input;		/* holds it where in[] is limit, and NULL otherwise; 0: always */
	__u8 limit;
	__u8 off;		/* it points so many bytes behind the thing's start */
	bool exchanged;		/* an object: put into a map, and taken out of it */
	__u8 index;		/* of a lock: 0, the one whose address is known, or an element */
};

struct step {
	__u8 kind;
	__u8 cond;
	__u8 input;		/* in[] that the condition checks */
	__u8 which;		/* function, helper, cookie, or entry of the jump table */
	bool from_input;	/* entry of the jump table is in in[input] */
	bool hold_call;		/* a reference, during the call */
	bool called;		/* bpf_loop() is, and not inlined */
	__u16 limit;		/* of the condition */
	__u16 add;		/* to x, for the callee, or times to loop */
	__u64 value;		/* logged, or thrown */
	__u8 acquire, drop;	/* bit by bit, holders; before the step, drop first */
	struct holder hold;	/* a throw's own: held while it is decided whether to throw */
	bool shared;		/* it jumps to the one throw that several have in common */
};

enum signature {
	SIG_MAIN,	/* (ctx) */
	SIG_CTX,	/* (ctx, x) */
	SIG_X,		/* (x) */
	SIG_LOOP,	/* (index, NULL) */
	SIG_EACH,	/* (map, key, value, NULL), x is in[EACH_INPUT] */
	SIG_COOKIE,	/* (cookie) */
};

enum home { HOME_NONE, HOME_STACK, HOME_REG = 6 /* .. 9 */ };

struct func {
	__u8 sig;
	bool global;
	bool safe;		/* neither it nor what it calls throws or tail-calls */
	bool bare;
	bool no_exit;		/* if it ends in something that never returns */
	__u8 level;		/* below main; calls go to higher levels only */
	__u8 home_ctx, home_x;
	__u8 canaries;		/* bit by bit r6 - r9 */
	__u8 nr_steps;
	__u16 stack;
	__u16 ret_add;
	__s16 tail_room;	/* stack that may be above it, because of tail calls below */
	__u16 need;		/* of stack, with what it calls */
	__u32 cost;		/* see COST_MAX */
	__u32 logs;
	struct step steps[STEPS_MAX];
	struct holder holders[HOLDERS_MAX];
};

enum prog_kind { PROG_XDP, PROG_EXT, PROG_FENTRY, PROG_FEXIT };

enum callback_at { CB_AT_START, CB_AT_END, CB_NOT_REACHED, CB_PLACES };

struct prog {
	__u8 kind;
	bool present;
	__u8 nr_funcs;		/* function 0 is main */
	__u8 callback;		/* the exception callback, 0: none */
	__u8 callback_at;
	__u8 on_prog, on_func;	/* what it is attached to */
	__u8 on_sig;		/* that function's signature */
	struct func funcs[FUNCS_MAX];
};

enum { MAIN, TARGET1, TARGET2, NESTED, ATTACHED, PROGS = ATTACHED + 5 };

struct run {
	__u64 in[INPUTS];
	__u64 canary[CANARIES];
	__u8 context, nested_context;
	bool nested;
	bool skip;	/* the minimiser doesn't need it */
};

struct testcase {
	__u64 seed;
	bool blinded;	/* bpf_jit_harden is on while it is loaded */
	bool traced;	/* somebody listens to the trace event while it runs */
	bool tc;	/* what isn't attached is of type sched_cls, not xdp */
	struct prog progs[PROGS];
	struct run runs[RUNS];
};

/* What a run should result in, and what it goes through */
struct outcome {
	__u64 seq;
	__u64 log[LOG_SLOTS];
	__u32 ret, nested_ret;
	int throws, deepest;	/* frames below a program's main */
	int tail_calls, through_fexit, through_helpers, extensions, watched, callbacks, nested;
	int released[PROGS];	/* by throws, of each program */
	int things[THINGS];	/* that they released */
};

void generate(struct testcase *c, __u64 seed);
void interpret(const struct testcase *c, const struct run *run, struct outcome *out);

/*
 * Have the programs hold things, some of the time: what is random here has numbers of its own, so
 * that where nothing is held the programs are those of the same seed without.
 */
void add_holders(struct testcase *c);
bool prog_throws(const struct prog *p);
/* Stack slots of a function that are there for holders */
int free_slots(const struct func *f);
/* Does it have one for keys and the like? */
bool has_key_slot(const struct func *f);
/* Which holders of @f hold something in step @s, by its bits, if @active did before */
__u8 active_holders(const struct prog *p, const struct func *f, const struct step *s, __u8 active);

/* Whether its instructions have a path to the end of the function */
bool func_returns(const struct prog *p, int func);
/* Whether it makes a tail call itself */
bool func_tail_calls(const struct func *f);
/* Whether anything calls it; and whether a call isn't dead code, which the verifier removes */
bool func_reachable(const struct prog *p, int func);
bool func_live(const struct prog *p, int func);
int func_args(const struct func *f);
void print_testcase(FILE *to, const struct testcase *c);

#endif /* _FUZZ_PROGRAM_H */
