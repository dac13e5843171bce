// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns a description into instructions. interpret.c says what they have to do.
 *
 * r6 - r9 and the stack are the function's homes and canaries; r1 - r5 are scratch.
 */
#include <stddef.h>
#include <string.h>
#include "emitter.h"

#define NO_SLOT 0

static void load_wide(struct emitter *em, int reg, __u64 value)
{
	emit(em, INSN(BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, (__s32)value));
	emit(em, INSN(0, 0, 0, 0, (__s32)(value >> 32)));
}

/* @reg: gets the address of the state, in a way that the verifier knows what it is */
static void load_state(struct emitter *em, int reg)
{
	emit(em, INSN(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_VALUE, 0, em->maps->state));
	emit(em, INSN(0, 0, 0, 0, 0));
}

void load_field(struct emitter *em, int reg, size_t off)
{
	load_state(em, reg);
	emit(em, LOAD(reg, reg, off));
}

/* Jump to a place that land() sets later */
int leap(struct emitter *em, struct bpf_insn insn)
{
	emit(em, insn);
	return em->b->cnt - 1;
}

void land(struct emitter *em, int from)
{
	if (from >= 0)
		em->b->insns[from].off = em->b->cnt - from - 1;
}

/* --- homes and canaries ----------------------------------------------------------- */

static bool has_ctx(const struct emitter *em)
{
	return em->f->sig == SIG_CTX || (em->f->sig == SIG_MAIN && em->p->kind == PROG_XDP);
}

static bool is_watcher(const struct prog *p)
{
	return p->kind == PROG_FENTRY || p->kind == PROG_FEXIT;
}

/* Where x is on entry, and in a bare function up to its step */
static int entry_reg(const struct emitter *em)
{
	return em->f->sig == SIG_CTX || em->f->sig == SIG_MAIN ? BPF_REG_2 : BPF_REG_1;
}

/* May the step jump to the common throw? Behind such a jump must be something that is reached. */
static bool joins_shared(const struct emitter *em, int step)
{
	const struct step *s = &em->f->steps[step];

	if (s->kind != STEP_THROW || !s->shared || em->f->bare)
		return false;
	return s->cond != ALWAYS || (step == em->f->nr_steps - 1 && em->f->no_exit &&
				     (em->func || !em->p->callback));
}

static void lay_out(struct emitter *em)
{
	int whole = em->f->stack / 8 * 8, used = 0;

	em->x_slot = NO_SLOT;
	em->ctx_slot = NO_SLOT;
	em->canary_slot = NO_SLOT;
	em->key_slot = NO_SLOT;
	em->first_free = NO_SLOT;
	em->active = 0;
	em->shared = NULL;
	em->nr_to_shared = 0;
	if (em->f->bare)
		return;
	if (em->f->home_x == HOME_STACK) {
		used += 8;
		em->x_slot = used;
	}
	if (em->f->home_ctx == HOME_STACK) {
		used += 8;
		em->ctx_slot = used;
	}
	if (whole >= used + 8)
		em->canary_slot = whole;
	if (whole >= used + 16)
		em->key_slot = used + 8;
	em->first_free = used + 16;
	for (int i = em->f->nr_steps - 1; i >= 0; i--)
		if (joins_shared(em, i))
			em->shared = &em->f->steps[i];
}

static void get_x(struct emitter *em, int reg)
{
	if (em->f->bare && reg != entry_reg(em))
		emit(em, MOV_REG(reg, entry_reg(em)));
	else if (em->f->bare)
		return;
	else if (em->f->home_x == HOME_STACK)
		emit(em, LOAD(reg, BPF_REG_10, -em->x_slot));
	else
		emit(em, MOV_REG(reg, em->f->home_x));
}

static void put_x(struct emitter *em, int reg)
{
	if (em->f->home_x == HOME_STACK)
		emit(em, STORE_REG(BPF_REG_10, -em->x_slot, reg));
	else
		emit(em, MOV_REG(em->f->home_x, reg));
}

static void get_ctx(struct emitter *em, int reg)
{
	if (em->f->bare)
		return; /* still in r1 */
	if (em->f->home_ctx == HOME_STACK)
		emit(em, LOAD(reg, BPF_REG_10, -em->ctx_slot));
	else
		emit(em, MOV_REG(reg, em->f->home_ctx));
}

/* The canary of the state for @place: 0 - 3 for r6 - r9, 4 for the stack */
static int canary_off(const struct emitter *em, int place)
{
	return offsetof(struct state, canary) + 8 * ((em->func + place) % CANARIES);
}

static void put_canaries(struct emitter *em)
{
	if (em->f->stack % 8 || (em->f->bare && em->f->stack))
		emit(em, INSN(BPF_ST | BPF_MEM | BPF_B, BPF_REG_10, 0, -em->f->stack, 0x5a));
	if (em->f->bare)
		return;
	for (int i = 0; i < 4; i++)
		if (em->f->canaries & 1 << i)
			load_field(em, BPF_REG_6 + i, canary_off(em, i));
	if (em->canary_slot) {
		load_field(em, BPF_REG_3, canary_off(em, 4));
		emit(em, STORE_REG(BPF_REG_10, -em->canary_slot, BPF_REG_3));
	}
}

static void check_canary(struct emitter *em, int reg, int place)
{
	emit(em, LOAD(BPF_REG_2, BPF_REG_1, canary_off(em, place)));
	emit(em, INSN(BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_2, reg, 1, 0));
	emit(em, STORE_IMM(BPF_REG_1, offsetof(struct state, bad), (em->func + 1) << 8 | place));
}

/* Check them after something that might have changed them; preserves r0 */
static void check_canaries(struct emitter *em)
{
	if (em->f->bare || (!em->f->canaries && !em->canary_slot))
		return;
	load_state(em, BPF_REG_1);
	for (int i = 0; i < 4; i++)
		if (em->f->canaries & 1 << i)
			check_canary(em, BPF_REG_6 + i, i);
	if (em->canary_slot) {
		emit(em, LOAD(BPF_REG_3, BPF_REG_10, -em->canary_slot));
		check_canary(em, BPF_REG_3, 4);
	}
}

/* --- steps ------------------------------------------------------------------------- */

/* Log r5. Clobbers only scratch registers. */
static void emit_log(struct emitter *em)
{
	load_state(em, BPF_REG_1);
	emit(em, LOAD(BPF_REG_2, BPF_REG_1, offsetof(struct state, seq)));
	emit(em, MOV_REG(BPF_REG_3, BPF_REG_2));
	emit(em, ALU_IMM(BPF_ADD, BPF_REG_3, 1));
	emit(em, STORE_REG(BPF_REG_1, offsetof(struct state, seq), BPF_REG_3));
	emit(em, ALU_IMM(BPF_AND, BPF_REG_2, LOG_SLOTS - 1));
	emit(em, ALU_IMM(BPF_LSH, BPF_REG_2, 3));
	emit(em, ALU_REG(BPF_ADD, BPF_REG_1, BPF_REG_2));
	emit(em, STORE_REG(BPF_REG_1, offsetof(struct state, log), BPF_REG_5));
}

static void step_log(struct emitter *em, const struct step *s)
{
	if (em->f->bare) {
		emit(em, MOV_IMM(BPF_REG_5, s->value));
	} else {
		get_x(em, BPF_REG_5);
		emit(em, ALU_IMM(BPF_ADD, BPF_REG_5, s->value));
	}
	emit_log(em);
}

/* x += r0 */
static void add_result(struct emitter *em)
{
	if (em->f->bare)
		return;
	get_x(em, BPF_REG_1);
	emit(em, ALU_REG(BPF_ADD, BPF_REG_1, BPF_REG_0));
	emit(em, ALU_IMM(BPF_AND, BPF_REG_1, 0xffff));
	put_x(em, BPF_REG_1);
}

/* Reserve a record, in r0: a reference, or 0 */
void reserve_record(struct emitter *em)
{
	builder_load_map(em->b, BPF_REG_1, em->maps->things.ringbuf);
	emit(em, MOV_IMM(BPF_REG_2, 8));
	emit(em, MOV_IMM(BPF_REG_3, 0));
	emit(em, CALL_HELPER(BPF_FUNC_ringbuf_reserve));
}

/* Drop what is in r1 */
static void release(struct emitter *em)
{
	emit(em, JUMP_IMM(BPF_JEQ, BPF_REG_1, 0, 2));
	emit(em, MOV_IMM(BPF_REG_2, 0));
	emit(em, CALL_HELPER(BPF_FUNC_ringbuf_discard));
}

static void step_call(struct emitter *em, const struct step *s)
{
	const struct func *callee = &em->p->funcs[s->which];
	int reg = callee->sig == SIG_CTX ? BPF_REG_2 : BPF_REG_1;
	bool hold = s->hold_call && em->key_slot;

	if (hold) {
		reserve_record(em);
		emit(em, STORE_REG(BPF_REG_10, -em->key_slot, BPF_REG_0));
	}
	get_x(em, reg);
	emit(em, ALU_IMM(BPF_ADD, reg, s->add));
	emit(em, ALU_IMM(BPF_AND, reg, 0xffff));
	if (callee->sig == SIG_CTX)
		get_ctx(em, BPF_REG_1);
	builder_call(em->b, em->e->number[s->which]);
	check_canaries(em);
	add_result(em);
	if (hold) {
		emit(em, LOAD(BPF_REG_1, BPF_REG_10, -em->key_slot));
		release(em);
	}
}

static void step_loop(struct emitter *em, const struct step *s)
{
	/* flags that aren't known to be 0 */
	if (s->called)
		emit(em, CALL_HELPER(BPF_FUNC_ktime_get_ns));
	if (s->kind == STEP_LOOP)
		emit(em, MOV_IMM(BPF_REG_1, s->add));
	else
		builder_load_map(em->b, BPF_REG_1, em->maps->array);
	builder_load_func(em->b, BPF_REG_2, em->e->number[s->which]);
	emit(em, MOV_IMM(BPF_REG_3, 0));
	if (s->called) {
		emit(em, MOV_REG(BPF_REG_4, BPF_REG_0));
		emit(em, ALU_IMM(BPF_RSH, BPF_REG_4, 63));
	} else {
		emit(em, MOV_IMM(BPF_REG_4, 0));
	}
	emit(em, CALL_HELPER(s->kind == STEP_LOOP ? BPF_FUNC_loop : BPF_FUNC_for_each_map_elem));
	check_canaries(em);
	add_result(em);
}

void use_key(struct emitter *em, int map, int key, int helper)
{
	emit(em, STORE_IMM(BPF_REG_10, -em->key_slot, key));
	emit(em, MOV_REG(BPF_REG_2, BPF_REG_10));
	emit(em, ALU_IMM(BPF_ADD, BPF_REG_2, -em->key_slot));
	emit(em, MOV_REG(BPF_REG_3, BPF_REG_2));
	emit(em, MOV_IMM(BPF_REG_4, 0));
	builder_load_map(em->b, BPF_REG_1, map);
	emit(em, CALL_HELPER(helper));
}

static void step_helper(struct emitter *em, const struct step *s)
{
	static const int plain[] = {
		[HELPER_RANDOM] = BPF_FUNC_get_prandom_u32,
		[HELPER_KTIME] = BPF_FUNC_ktime_get_ns,
		[HELPER_CPU] = BPF_FUNC_get_smp_processor_id,
	};

	if (s->which == HELPER_RINGBUF) {
		reserve_record(em);
		emit(em, MOV_REG(BPF_REG_1, BPF_REG_0));
		release(em);
	} else if (s->which < HELPERS_BARE) {
		emit(em, CALL_HELPER(plain[s->which]));
	} else if (!em->key_slot) {
		emit(em, CALL_HELPER(BPF_FUNC_ktime_get_ns));
	} else if (s->which == HELPER_HASH_LOOKUP) {
		use_key(em, em->maps->hash, 1, BPF_FUNC_map_lookup_elem);
	} else {
		use_key(em, em->maps->array, 1, s->which == HELPER_LOOKUP ?
			BPF_FUNC_map_lookup_elem : BPF_FUNC_map_update_elem);
	}
	check_canaries(em);
}

static void step_throw(struct emitter *em, const struct step *s)
{
	switch (s->which) {
	case COOKIE_IMM:
		emit(em, MOV_IMM(BPF_REG_1, (__s32)s->value));
		break;
	case COOKIE_X:
		get_x(em, BPF_REG_1);
		break;
	case COOKIE_CANARY:
		load_field(em, BPF_REG_1, offsetof(struct state, canary[s->value % CANARIES]));
		break;
	default:
		load_wide(em, BPF_REG_1, s->value);
	}
	builder_call_kfunc(em->b, KFUNC_THROW);
}

static void step_tail_call(struct emitter *em, const struct step *s)
{
	if (s->from_input)
		load_field(em, BPF_REG_3, offsetof(struct state, in[s->input]));
	else
		emit(em, MOV_IMM(BPF_REG_3, s->which));
	get_ctx(em, BPF_REG_1);
	builder_load_map(em->b, BPF_REG_2, em->maps->jump_table);
	emit(em, CALL_HELPER(BPF_FUNC_tail_call));
	check_canaries(em);
}

static void set_callback(struct emitter *em, int callback)
{
	builder_load_func(em->b, BPF_REG_1, em->e->number[callback]);
	builder_call_kfunc(em->b, KFUNC_SET_CALLBACK);
}

static bool returns_zero(const struct emitter *em)
{
	return em->f->sig == SIG_LOOP || em->f->sig == SIG_EACH ||
	       ((em->f->sig == SIG_MAIN || em->f->sig == SIG_COOKIE) && is_watcher(em->p));
}

/* @got: a bare function's result is in r0 */
static void emit_return(struct emitter *em, bool got)
{
	drop_all(em, em->active);
	if (returns_zero(em)) {
		emit(em, MOV_IMM(BPF_REG_0, 0));
	} else if (em->f->bare && !got) {
		emit(em, MOV_IMM(BPF_REG_0, em->f->ret_add));
	} else {
		if (!em->f->bare)
			get_x(em, BPF_REG_0);
		emit(em, ALU_IMM(BPF_ADD, BPF_REG_0, em->f->ret_add));
		emit(em, ALU_IMM(BPF_AND, BPF_REG_0, 0xffff));
	}
	emit(em, EXIT());
}

static void emit_step(struct emitter *em, const struct step *s)
{
	switch (s->kind) {
	case STEP_LOG:
		step_log(em, s);
		break;
	case STEP_CALL:
		step_call(em, s);
		if (em->f->bare && s->cond != ALWAYS)
			emit_return(em, true);
		break;
	case STEP_HELPER:
		step_helper(em, s);
		break;
	case STEP_LOOP:
	case STEP_EACH:
		step_loop(em, s);
		break;
	case STEP_THROW:
		step_throw(em, s);
		break;
	case STEP_TAIL_CALL:
		step_tail_call(em, s);
		break;
	case STEP_NEST:
		builder_call_kfunc(em->b, KFUNC_NEST);
		check_canaries(em);
		break;
	case STEP_RETURN:
		emit_return(em, false);
		break;
	case STEP_SET_CALLBACK:
		set_callback(em, s->which);
		break;
	case STEP_THROW_LOSING:
		throw_losing(em, s);
		break;
	}
}

/* Return: the jump over the step, -1 if there is none */
static int emit_condition(struct emitter *em, const struct step *s)
{
	int reg = BPF_REG_3;

	if (s->kind == STEP_NONE || s->cond == ALWAYS)
		return -1;
	if (s->cond == IF_INPUT) {
		load_field(em, BPF_REG_3, offsetof(struct state, in[s->input]));
		return leap(em, JUMP_IMM(BPF_JNE, BPF_REG_3, s->limit, 0));
	}
	if (em->f->bare)
		reg = entry_reg(em);
	else if (em->f->home_x == HOME_STACK)
		get_x(em, BPF_REG_3);
	else
		reg = em->f->home_x;
	/*
	 * Not x itself: the verifier would know its bounds from there on, and remove what
	 * func_live() takes for live.
	 */
	emit(em, MOV_REG(BPF_REG_3, reg));
	emit(em, ALU_IMM(BPF_ADD, BPF_REG_3, 0));
	return leap(em, JUMP_IMM(BPF_JLE, BPF_REG_3, s->limit, 0));
}

/* Jump to the common throw, where @over is the jump over one of the step's own */
static void join_shared(struct emitter *em, const struct step *s, int over)
{
	if (over >= 0)
		em->b->insns[over].code ^= BPF_OP(em->b->insns[over].code) == BPF_JNE ?
					   BPF_JNE ^ BPF_JEQ : BPF_JLE ^ BPF_JGT;
	else if (s->value & 1)
		over = leap(em, JUMP(0));
	if (over >= 0)
		em->to_shared[em->nr_to_shared++] = over;
}

static void emit_shared(struct emitter *em)
{
	if (!em->shared)
		return;
	for (int i = 0; i < em->nr_to_shared; i++)
		land(em, em->to_shared[i]);
	step_throw(em, em->shared);
}

static void emit_with_holders(struct emitter *em, int step)
{
	const struct step *s = &em->f->steps[step];
	bool throws = s->kind == STEP_THROW;
	int over;

	change_holders(em, s);
	if (throws)
		hold_for_throw(em, s);
	over = emit_condition(em, s);
	if (joins_shared(em, step)) {
		join_shared(em, s, over);
	} else {
		emit_step(em, s);
		land(em, over);
	}
	if (throws)
		drop_after_throw(em, s);
}

/* --- functions ---------------------------------------------------------------------- */

/* Main's x, in r2: the input, the watched function's argument, or its value */
static void load_main_x(struct emitter *em, int watched_args)
{
	if (em->p->kind == PROG_FEXIT)
		emit(em, LOAD(BPF_REG_2, BPF_REG_1, 8 * watched_args));
	else if (em->p->kind == PROG_FENTRY && em->p->on_sig != SIG_MAIN)
		emit(em, LOAD(BPF_REG_2, BPF_REG_1, 8 * (watched_args - 1)));
	else if (em->p->kind == PROG_FENTRY)
		emit(em, MOV_IMM(BPF_REG_2, 0));
	else
		load_field(em, BPF_REG_2, offsetof(struct state, in[0]));
}

/* The call that names the callback clobbers r1 - r5, as far as the verifier knows */
static void set_callback_early(struct emitter *em)
{
	int over = -1;

	if (em->func || !em->p->callback || em->p->callback_at == CB_AT_END)
		return;
	if (em->p->callback_at == CB_NOT_REACHED) {
		load_field(em, BPF_REG_3, offsetof(struct state, in[1]));
		over = leap(em, JUMP_IMM(BPF_JNE, BPF_REG_3, 77, 0));
	}
	set_callback(em, em->p->callback);
	land(em, over);
}

static void emit_entry(struct emitter *em, int watched_args)
{
	int reg = entry_reg(em);

	if (em->f->sig == SIG_MAIN)
		load_main_x(em, watched_args);
	if (em->f->sig == SIG_EACH)
		load_field(em, BPF_REG_1, offsetof(struct state, in[EACH_INPUT]));
	if (em->f->bare) {
		emit(em, ALU_IMM(BPF_AND, reg, 0xffff));
		put_canaries(em);
		return;
	}
	if (has_ctx(em) && em->f->home_ctx == HOME_STACK)
		emit(em, STORE_REG(BPF_REG_10, -em->ctx_slot, BPF_REG_1));
	else if (has_ctx(em))
		emit(em, MOV_REG(em->f->home_ctx, BPF_REG_1));
	if (em->f->sig == SIG_COOKIE)
		emit(em, MOV_REG(BPF_REG_5, BPF_REG_1));
	emit(em, ALU_IMM(BPF_AND, reg, 0xffff));
	put_x(em, reg);
	if (em->f->sig == SIG_COOKIE)
		emit_log(em);
	put_canaries(em);
	set_callback_early(em);
}

static void emit_func(struct emitter *em, int watched_args)
{
	bool ends = false, got = false;
	int out = -1;

	builder_begin(em->b, em->e->number[em->func]);
	lay_out(em);
	emit_entry(em, watched_args);
	/* a tail call doesn't make a subprogram one that returns: an exit is within reach */
	if (em->func && func_tail_calls(em->f)) {
		emit(em, MOV_IMM(BPF_REG_0, 0));
		out = leap(em, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 0));
	}
	for (int i = 0; i < em->f->nr_steps; i++) {
		const struct step *s = &em->f->steps[i];

		emit_with_holders(em, i);
		ends = s->cond == ALWAYS &&
		       (s->kind == STEP_THROW ||
			(s->kind == STEP_CALL && !func_returns(em->p, s->which)));
		got = s->cond == ALWAYS && s->kind == STEP_CALL;
	}
	if (!em->func && em->p->callback && em->p->callback_at == CB_AT_END) {
		set_callback(em, em->p->callback);
		ends = false;
	}
	if (!ends || !em->f->no_exit)
		emit_return(em, got);
	emit_shared(em);
	if (out >= 0) {
		land(em, out);
		emit(em, EXIT());
	}
}

void emit_prog(struct emitted *e, const struct prog *p, const struct maps *maps)
{
	struct emitter em = { .e = e, .b = &e->b, .p = p, .maps = maps };
	int watched_args = p->on_sig == SIG_CTX ? 2 : 1;

	builder_init(&e->b);
	e->b.funcs[0].ctx = p->funcs[0].sig != SIG_X;
	e->b.funcs[0].args = func_args(&p->funcs[0]);
	e->number[0] = 0;
	for (int i = 1; i < p->nr_funcs; i++) {
		e->number[i] = -1;
		if (!func_reachable(p, i))
			continue;
		e->number[i] = builder_func(&e->b, func_args(&p->funcs[i]), p->funcs[i].global);
		e->b.funcs[e->number[i]].ctx = p->funcs[i].sig == SIG_CTX;
	}
	for (em.func = 0; em.func < p->nr_funcs; em.func++) {
		em.f = &p->funcs[em.func];
		if (e->number[em.func] >= 0)
			emit_func(&em, watched_args);
	}
}
