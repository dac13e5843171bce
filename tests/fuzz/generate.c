// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes descriptions of programs that the verifier must accept, from a seed.
 *
 * A program is made from its deepest level upwards, so that it is known what a function may call:
 * how much stack is left, and whether it is below a tail call.
 */
#include <string.h>
#include "program.h"
#include "random.h"
#include "../kmod/test.h"

#define NO_TAIL_CALLS 1000 /* room for any stack */

/* A function's stack, for the verifier, which counts at least 32 bytes */
static int stack_units(int stack)
{
	return stack ? (stack + 31) / 32 * 32 : 32;
}

static bool is_watcher(const struct prog *p)
{
	return p->kind == PROG_FENTRY || p->kind == PROG_FEXIT;
}

static bool is_helper_callback(const struct func *f)
{
	return f->sig == SIG_LOOP || f->sig == SIG_EACH;
}

static bool has_ctx(const struct prog *p, const struct func *f)
{
	return f->sig == SIG_CTX || (f->sig == SIG_MAIN && !is_watcher(p));
}

/* --- choosing -------------------------------------------------------------------- */

struct maker {
	struct random random;
	struct testcase *c;
	struct prog *p;
	int number;	/* of the program */
	int depth;	/* levels below main */
};

static bool chance(struct maker *m, int percent)
{
	return random_percent(&m->random, percent);
}

static int below(struct maker *m, int limit)
{
	return random_below(&m->random, limit);
}

static void choose_condition(struct maker *m, struct step *s, int always)
{
	if (chance(m, always)) {
		s->cond = ALWAYS;
	} else if (chance(m, 50)) {
		s->cond = IF_X_ABOVE;
		s->limit = below(m, 0x10000);
	} else {
		s->cond = IF_INPUT;
		s->input = 1 + below(m, INPUTS - 1);
		s->limit = below(m, 4);
	}
}

static bool may_call(const struct prog *p, const struct func *f, const struct func *callee)
{
	if (callee->level <= f->level || (callee->sig != SIG_CTX && callee->sig != SIG_X))
		return false;
	if (f->safe && !callee->safe)
		return false;
	if (callee->sig == SIG_CTX && !has_ctx(p, f))
		return false;
	return f->cost + callee->cost < COST_MAX;
}

/* Some function that @f may call, 0 if there is none */
static int choose_callee(struct maker *m, const struct func *f, int sig)
{
	int found[FUNCS_MAX], cnt = 0;

	for (int i = 1; i < m->p->nr_funcs; i++) {
		const struct func *callee = &m->p->funcs[i];

		if (sig == SIG_X ? may_call(m->p, f, callee) :
		    callee->sig == sig && callee->level > f->level && (!f->safe || callee->safe))
			found[cnt++] = i;
	}
	return cnt ? found[below(m, cnt)] : 0;
}

/* Update what @f has below it, now that it calls @callee */
static void account_call(struct func *f, const struct func *callee, int times)
{
	if (callee->need > f->need)
		f->need = callee->need;
	if (callee->tail_room < f->tail_room)
		f->tail_room = callee->tail_room;
	f->cost += callee->cost + 30;
	f->logs += times * callee->logs;
}

static bool make_call(struct maker *m, struct func *f, struct step *s, int callee)
{
	if (!callee)
		return false;
	s->kind = STEP_CALL;
	s->which = callee;
	s->add = below(m, 0x10000);
	s->hold_call = m->p->funcs[callee].safe && !f->bare && chance(m, 40);
	account_call(f, &m->p->funcs[callee], 1);
	return true;
}

static bool make_loop(struct maker *m, struct func *f, struct step *s, int callee)
{
	enum step_kind kind = m->p->funcs[callee].sig == SIG_LOOP ? STEP_LOOP : STEP_EACH;

	if (!callee || f->bare || f->cost + 2 * m->p->funcs[callee].cost > COST_MAX)
		return false;
	s->kind = kind;
	s->which = callee;
	s->add = kind == STEP_LOOP ? below(m, 4) : 3;
	s->called = kind == STEP_LOOP && chance(m, 50);
	account_call(f, &m->p->funcs[callee], s->add);
	f->cost += m->p->funcs[callee].cost;
	return true;
}

static bool make_throw(struct maker *m, struct func *f, struct step *s)
{
	if (f->safe)
		return false;
	s->kind = STEP_THROW;
	s->which = below(m, COOKIES);
	s->value = random_next(&m->random);
	return true;
}

static bool make_tail_call(struct maker *m, struct func *f, struct step *s)
{
	static const int first[PROGS] = { [TARGET1] = TAIL_SECOND, [TARGET2] = TAIL_EMPTY };
	int room = m->number == MAIN || m->number >= ATTACHED ? 0 : first[m->number];

	if (f->safe || !has_ctx(m->p, f) || m->number == NESTED)
		return false;
	s->kind = STEP_TAIL_CALL;
	s->which = room + below(m, TAILS - room);
	if (!room && chance(m, 40)) {
		s->from_input = true;
		s->input = 1 + below(m, INPUTS - 1);
	}
	return true;
}

static void make_step(struct maker *m, struct func *f)
{
	struct step *s = &f->steps[f->nr_steps];
	bool made = false;
	int what = below(m, 100);

	memset(s, 0, sizeof(*s));
	if (what < 25)
		made = make_call(m, f, s, choose_callee(m, f, SIG_X));
	else if (what < 35)
		made = make_loop(m, f, s, choose_callee(m, f, what < 30 ? SIG_LOOP : SIG_EACH));
	else if (what < 45)
		made = make_throw(m, f, s);
	else if (what < 53)
		made = make_tail_call(m, f, s);
	if (!made && what >= 53 && what < 75) {
		s->kind = STEP_HELPER;
		s->which = below(m, f->bare ? HELPERS_BARE : HELPERS);
		made = true;
	} else if (!made && what >= 75 && what < 80 && m->number == MAIN && !f->safe) {
		s->kind = STEP_NEST;
		made = true;
	} else if (!made && what >= 80 && what < 84 && !f->bare) {
		s->kind = STEP_RETURN;
		made = true;
	}
	if (!made) {
		s->kind = STEP_LOG;
		s->value = below(m, 1 << 30);
		f->logs++;
	}
	choose_condition(m, s, s->kind == STEP_RETURN ? 0 : s->kind == STEP_THROW ? 30 : 70);
	f->cost += 25;
	f->nr_steps++;
}

/* Choose where a function keeps its x, its context and its canaries */
static void choose_homes(struct maker *m, struct func *f)
{
	unsigned int free_regs = 0xf;
	__u8 *homes[] = { &f->home_x, &f->home_ctx };
	int reg;

	for (int i = 0; i < (has_ctx(m->p, f) ? 2 : 1); i++) {
		*homes[i] = HOME_STACK;
		reg = below(m, 4);
		if (chance(m, 65) && free_regs & 1 << reg) {
			*homes[i] = HOME_REG + reg;
			free_regs &= ~(1 << reg);
		}
	}
	if (chance(m, 70))
		f->canaries = below(m, 16) & free_regs;
}

/* Choose its own stack, once what is below it is known: as much as the levels above leave */
static void choose_stack(struct maker *m, struct func *f)
{
	int limit = STACK_MAX - 32 * f->level - f->need;
	int least = 8 * ((f->home_x == HOME_STACK) + (f->home_ctx == HOME_STACK));

	/* tail calls below leave room for this one, and 32 bytes for each level above */
	if (f->tail_room - 32 * f->level < limit)
		limit = f->tail_room - 32 * f->level;
	limit = limit / 32 * 32;
	if (chance(m, 50))
		f->stack = least + below(m, 33 - least);
	else if (chance(m, 30))
		f->stack = limit;
	else
		f->stack = least + below(m, limit - least + 1);
	if (chance(m, 15))
		f->stack = least;
}

/* tail_room was what its callees leave; now it is what it leaves itself */
static void account_stack(struct func *f)
{
	f->need += stack_units(f->stack);
	if (f->tail_room < NO_TAIL_CALLS)
		f->tail_room -= stack_units(f->stack);
	for (int i = 0; i < f->nr_steps; i++)
		if (f->steps[i].kind == STEP_TAIL_CALL && f->tail_room > TAIL_ROOM)
			f->tail_room = TAIL_ROOM;
}

/* @spine: a function that it always calls, or 0 */
static int make_func(struct maker *m, int sig, int level, bool safe, int spine)
{
	struct func *f = &m->p->funcs[m->p->nr_funcs];
	int steps, at, i;

	memset(f, 0, sizeof(*f));
	f->sig = sig;
	f->level = level;
	f->safe = safe;
	f->global = (sig == SIG_CTX || sig == SIG_X || sig == SIG_COOKIE) && chance(m, 35);
	f->bare = !is_helper_callback(f) && !is_helper_callback(&m->p->funcs[spine]) && chance(m, 15);
	f->tail_room = NO_TAIL_CALLS;
	f->cost = 15;
	f->ret_add = below(m, 0x10000);
	f->no_exit = chance(m, 60);
	steps = f->bare ? 1 : 1 + below(m, 5);
	at = below(m, steps);
	for (i = 0; i < steps; i++) {
		if (i == at && spine && f->nr_steps < STEPS_MAX) {
			struct step *s = &f->steps[f->nr_steps++];

			memset(s, 0, sizeof(*s));
			if (is_helper_callback(&m->p->funcs[spine]))
				make_loop(m, f, s, spine);
			else
				make_call(m, f, s, spine);
			choose_condition(m, s, 85);
			if (f->bare)
				break;
		}
		make_step(m, f);
	}
	if (!f->bare)
		choose_homes(m, f);
	choose_stack(m, f);
	account_stack(f);
	return m->p->nr_funcs++;
}

/* Functions for exception callbacks, and callbacks of helpers; they don't throw */
static void make_safe_funcs(struct maker *m)
{
	static const int sigs[] = { SIG_X, SIG_X, SIG_LOOP, SIG_EACH };
	int cnt = below(m, 6), level = LEVELS - 1;

	while (cnt-- && level > 0) {
		int sig = sigs[below(m, 4)];

		make_func(m, sig, level, true, 0);
		if (chance(m, 60))
			level--;
	}
}

/* The chain of functions from the deepest level to main, and some others */
static void make_chain(struct maker *m)
{
	int spine = 0, level, sig;

	for (level = m->depth; level > 0; level--) {
		bool ctx = !is_watcher(m->p) && m->p->funcs[0].sig != SIG_X;

		sig = ctx && ((spine && m->p->funcs[spine].sig == SIG_CTX) || chance(m, 70)) ?
		      SIG_CTX : SIG_X;
		/* a helper's callback has no context to pass on */
		if (sig == SIG_X && chance(m, 40))
			sig = chance(m, 50) ? SIG_LOOP : SIG_EACH;
		spine = make_func(m, sig, level, false, spine);
		if (chance(m, 30) && m->p->nr_funcs < FUNCS_MAX - 4) {
			sig = ctx && chance(m, 50) ? SIG_CTX : SIG_X;
			make_func(m, sig, level, chance(m, 20), 0);
		}
		if (chance(m, 30) && m->p->nr_funcs < FUNCS_MAX - 4)
			make_func(m, chance(m, 50) ? SIG_LOOP : SIG_EACH, level, false, 0);
	}
	/* main is function 0, and made last */
	sig = m->p->funcs[0].sig;
	level = make_func(m, sig, 0, false, spine);
	m->p->nr_funcs--;
	m->p->funcs[0] = m->p->funcs[level];
	m->p->funcs[0].global = true;
}

bool prog_throws(const struct prog *p)
{
	for (int i = 0; i < p->nr_funcs; i++)
		for (int j = 0; j < p->funcs[i].nr_steps; j++)
			if (p->funcs[i].steps[j].kind == STEP_THROW && func_reachable(p, i))
				return true;
	return false;
}

/* A program that never throws is useless: make the deepest function throw */
static void have_throw(struct maker *m)
{
	struct func *f;
	struct step *s;

	for (int i = m->p->nr_funcs - 1; i >= 0; i--) {
		f = &m->p->funcs[i];
		if (f->safe || (i && f->level != m->depth) || !func_reachable(m->p, i) ||
		    f->nr_steps == STEPS_MAX || f->bare)
			continue;
		s = &f->steps[f->nr_steps++];
		memset(s, 0, sizeof(*s));
		make_throw(m, f, s);
		choose_condition(m, s, 50);
		return;
	}
}

static void make_prog(struct maker *m, int number, int kind, int sig)
{
	struct prog *p = &m->c->progs[number];

	memset(p, 0, sizeof(*p));
	m->p = p;
	m->number = number;
	m->depth = number == MAIN || chance(m, 30) ? below(m, LEVELS) : below(m, 3);
	p->present = true;
	p->kind = kind;
	p->nr_funcs = 1;
	p->funcs[0].sig = sig;
	make_safe_funcs(m);
	make_chain(m);
	if (chance(m, 60) && !p->funcs[0].bare) {
		p->callback = make_func(m, SIG_COOKIE, 0, true, 0);
		p->callback_at = chance(m, 60) ? CB_AT_START : below(m, CB_PLACES);
	}
	if (chance(m, number == MAIN ? 85 : 50) && !prog_throws(p))
		have_throw(m);
}

/* --- programs that are attached -------------------------------------------------- */

static bool taken(const struct testcase *c, int prog, int func, int kind)
{
	for (int i = ATTACHED; i < PROGS; i++) {
		const struct prog *p = &c->progs[i];

		if (!p->present || p->on_prog != prog || p->on_func != func)
			continue;
		if (p->kind == kind || p->kind == PROG_EXT || kind == PROG_EXT)
			return true;
	}
	return false;
}

static bool may_attach(const struct testcase *c, int prog, int func, int kind)
{
	const struct prog *p = &c->progs[prog];
	const struct func *f = &p->funcs[func];

	if (!p->present || !func_live(p, func) || taken(c, prog, func, kind))
		return false;
	if (kind == PROG_EXT)
		return prog == MAIN && func && f->global && func_returns(p, func) &&
		       (f->sig == SIG_CTX || f->sig == SIG_X);
	return (f->sig == SIG_CTX || f->sig == SIG_X || f->sig == SIG_MAIN) && !is_watcher(p);
}

static void attach_to(struct maker *m, int number, int kind, int on_prog, int on_func)
{
	int sig = m->c->progs[on_prog].funcs[on_func].sig;

	make_prog(m, number, kind, kind == PROG_EXT ? sig : SIG_MAIN);
	m->p->on_prog = on_prog;
	m->p->on_func = on_func;
	m->p->on_sig = sig;
}

/* Add fentry to fexit or the other way round: the trampoline does more than for one of them */
static bool attach_beside(struct maker *m, int number)
{
	const struct prog *beside = &m->c->progs[number - 1];
	int kind = beside->kind == PROG_FENTRY ? PROG_FEXIT : PROG_FENTRY;

	if (number == ATTACHED || !beside->present || beside->kind == PROG_EXT ||
	    !may_attach(m->c, beside->on_prog, beside->on_func, kind))
		return false;
	attach_to(m, number, kind, beside->on_prog, beside->on_func);
	return true;
}

static void make_attached(struct maker *m, int number)
{
	static const int kinds[] = { PROG_EXT, PROG_FENTRY, PROG_FEXIT, PROG_FEXIT };
	int found[FUNCS_MAX], cnt = 0, kind = kinds[below(m, 4)], on_prog = MAIN;

	if (chance(m, 50) && attach_beside(m, number))
		return;
	if (chance(m, 30) && kind != PROG_EXT)
		on_prog = below(m, number);
	for (int i = 0; i < m->c->progs[on_prog].nr_funcs; i++)
		if (may_attach(m->c, on_prog, i, kind))
			found[cnt++] = i;
	if (cnt)
		attach_to(m, number, kind, on_prog, found[below(m, cnt)]);
}

/* --- what they run with ---------------------------------------------------------- */

static void make_runs(struct maker *m)
{
	for (int i = 0; i < RUNS; i++) {
		struct run *run = &m->c->runs[i];

		run->in[0] = below(m, 0x10000);
		for (int j = 1; j < INPUTS; j++)
			run->in[j] = below(m, 4);
		for (int j = 0; j < CANARIES; j++)
			run->canary[j] = random_next(&m->random);
		run->context = i ? below(m, TEST_CONTEXTS) : IN_PROCESS;
		run->nested = m->c->progs[NESTED].present && i;
		run->nested_context = run->context != IN_NMI && chance(m, 50) ? IN_NMI : IN_PROCESS;
	}
}

static bool has_step(const struct prog *p, int kind)
{
	for (int i = 0; i < p->nr_funcs; i++)
		for (int j = 0; j < p->funcs[i].nr_steps; j++)
			if (p->funcs[i].steps[j].kind == kind && func_reachable(p, i))
				return true;
	return false;
}

static bool too_long(const struct testcase *c)
{
	struct outcome out;

	for (int i = 0; i < RUNS; i++) {
		interpret(c, &c->runs[i], &out);
		if (out.seq > LOGS_MAX)
			return true;
	}
	return false;
}

static void try_generate(struct testcase *c, struct maker *m)
{
	struct prog *progs = c->progs;

	memset(c->progs, 0, sizeof(c->progs));
	c->tc = false;
	make_prog(m, MAIN, PROG_XDP, SIG_MAIN);
	if (has_step(&progs[MAIN], STEP_TAIL_CALL)) {
		make_prog(m, TARGET1, PROG_XDP, SIG_MAIN);
		make_prog(m, TARGET2, PROG_XDP, SIG_MAIN);
	}
	if (has_step(&progs[MAIN], STEP_NEST))
		make_prog(m, NESTED, PROG_XDP, SIG_MAIN);
	if (chance(m, 45))
		for (int i = ATTACHED; i < PROGS && chance(m, 70); i++)
			make_attached(m, i);
	make_runs(m);
	c->blinded = chance(m, 10);
	c->traced = chance(m, 10);
}

void generate(struct testcase *c, __u64 seed)
{
	struct maker m = { .random.state = seed, .c = c };

	c->seed = seed;
	do {
		try_generate(c, &m);
	} while (too_long(c));
	add_holders(c);
}

/* --- facts of a description ------------------------------------------------------- */

int func_args(const struct func *f)
{
	return f->sig == SIG_EACH ? 4 : f->sig == SIG_CTX || f->sig == SIG_LOOP ? 2 : 1;
}

bool func_tail_calls(const struct func *f)
{
	for (int i = 0; i < f->nr_steps; i++)
		if (f->steps[i].kind == STEP_TAIL_CALL)
			return true;
	return false;
}

bool func_returns(const struct prog *p, int func)
{
	const struct func *f = &p->funcs[func];

	/* emit_func() gives it an exit */
	if (func && func_tail_calls(f))
		return true;
	for (int i = 0; i < f->nr_steps; i++) {
		const struct step *s = &f->steps[i];

		if (s->kind == STEP_RETURN || s->kind == STEP_TAIL_CALL)
			return true;
		if (s->cond != ALWAYS)
			continue;
		if (s->kind == STEP_THROW || (s->kind == STEP_CALL && !func_returns(p, s->which)))
			return false;
	}
	return true;
}

static bool calls(const struct step *s)
{
	return s->kind == STEP_CALL || s->kind == STEP_LOOP || s->kind == STEP_EACH;
}

bool func_reachable(const struct prog *p, int func)
{
	if (!func || func == p->callback)
		return true;
	for (int i = 0; i < p->nr_funcs; i++)
		for (int j = 0; j < p->funcs[i].nr_steps; j++)
			if (i != func && calls(&p->funcs[i].steps[j]) &&
			    p->funcs[i].steps[j].which == func && func_reachable(p, i))
				return true;
	return false;
}

/* Steps after one that never returns are dead */
static int live_steps(const struct prog *p, const struct func *f)
{
	for (int i = 0; i < f->nr_steps; i++) {
		const struct step *s = &f->steps[i];

		if (s->cond != ALWAYS)
			continue;
		if (s->kind == STEP_THROW || (s->kind == STEP_CALL && !func_returns(p, s->which)))
			return i + 1;
	}
	return f->nr_steps;
}

bool func_live(const struct prog *p, int func)
{
	/* a global function is verified on its own */
	if (!func || func == p->callback ||
	    (p->funcs[func].global && func_reachable(p, func)))
		return true;
	for (int i = 0; i < p->nr_funcs; i++)
		for (int j = live_steps(p, &p->funcs[i]); j--; )
			if (calls(&p->funcs[i].steps[j]) &&
			    p->funcs[i].steps[j].which == func && func_live(p, i))
				return true;
	return false;
}
