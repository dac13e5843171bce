// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has programs hold things: records and dynptrs of a ring buffer, sockets, the kernel's own
 * reference-counted object for tests, and locks.
 *
 * A function has some variables for them, in callee-saved registers that nothing else uses or in
 * stack slots. A thing is acquired before one of its steps and released before a later one, or
 * when the function returns; steps between them throw, or call what does. A throw may hold one
 * more thing, in any register, just while the program decides whether to throw.
 */
#include <string.h>
#include "program.h"
#include "random.h"

#define MAYBES_MAX 3	/* a path more each; in a program, as it is the product that counts */

struct holding {
	struct random random;
	const struct testcase *c;
	struct prog *p;
	int maybes;
};

static bool chance(struct holding *h, int percent)
{
	return random_percent(&h->random, percent);
}

static int below(struct holding *h, int limit)
{
	return random_below(&h->random, limit);
}

/* --- facts -------------------------------------------------------------------------- */

static int used_stack(const struct func *f)
{
	return 8 * ((f->home_x == HOME_STACK) + (f->home_ctx == HOME_STACK));
}

bool has_key_slot(const struct func *f)
{
	return !f->bare && f->stack / 8 * 8 >= used_stack(f) + 16;
}

int free_slots(const struct func *f)
{
	return has_key_slot(f) ? (f->stack / 8 * 8 - used_stack(f) - 16) / 8 : 0;
}

/* May a tail call follow while its callers hold what they hold? That is refused. */
static bool leads_to_tail_call(const struct prog *p, const struct func *f)
{
	if (func_tail_calls(f))
		return true;
	for (int i = 0; i < f->nr_steps; i++) {
		const struct func *callee = &p->funcs[f->steps[i].which];
		int kind = f->steps[i].kind;

		if ((kind == STEP_CALL || kind == STEP_LOOP || kind == STEP_EACH) && !callee->global &&
		    leads_to_tail_call(p, callee))
			return true;
	}
	return false;
}

/* May a helper's callback throw below it? Then only callee-saved registers can hold things. */
static bool leads_to_helper(const struct prog *p, const struct step *s)
{
	const struct func *callee = &p->funcs[s->which];

	if (s->kind == STEP_LOOP || s->kind == STEP_EACH)
		return !callee->safe;
	if (s->kind != STEP_CALL || callee->global)
		return false;
	for (int i = 0; i < callee->nr_steps; i++)
		if (leads_to_helper(p, &callee->steps[i]))
			return true;
	return false;
}

__u8 active_holders(const struct prog *p, const struct func *f, const struct step *s, __u8 active)
{
	const struct func *callee = &p->funcs[s->which];
	__u8 next = (active & ~s->drop) | s->acquire;

	if (s->kind == STEP_TAIL_CALL ||
	    ((s->kind == STEP_CALL || s->kind == STEP_LOOP || s->kind == STEP_EACH) &&
	     !callee->global && leads_to_tail_call(p, callee)))
		return 0;
	for (int i = 0; i < HOLDERS_MAX && leads_to_helper(p, s); i++)
		if (f->holders[i].reg == ON_STACK)
			next &= ~(1 << i);
	return next;
}

/* --- choosing ----------------------------------------------------------------------- */

static bool is_watcher(const struct prog *p)
{
	return p->kind == PROG_FENTRY || p->kind == PROG_FEXIT;
}

/* Not all types of programs have helpers and kfuncs for all things */
static int choose_thing(struct holding *h, const struct func *f)
{
	int found[THINGS] = { THING_RECORD }, cnt = 1;

	if (has_key_slot(f) && !is_watcher(h->p))
		found[cnt++] = THING_SOCKET;
	if (has_key_slot(f) && (is_watcher(h->p) || h->c->tc))
		found[cnt++] = THING_OBJECT;
	return found[below(h, cnt)];
}

/* Callee-saved registers that nothing uses but canaries */
static unsigned int free_regs(const struct func *f)
{
	unsigned int regs = 0xf << HOME_REG;

	return regs & ~(1 << f->home_x) & ~(1 << f->home_ctx);
}

/* Where in a function something can be kept */
struct room {
	unsigned int regs;
	int slots, next_slot;
};

/* Return: whether there is room */
static bool choose_place(struct holding *h, struct func *f, struct room *room, __u8 *reg, __u8 *slot,
			 int slots)
{
	bool stack = room->next_slot + slots <= room->slots;

	if (slots == 1 && room->regs && (!stack || chance(h, 60))) {
		do {
			*reg = HOME_REG + below(h, 4);
		} while (!(room->regs & 1 << *reg));
		room->regs &= ~(1 << *reg);
		f->canaries &= ~(1 << (*reg - HOME_REG));
		return true;
	}
	if (!stack)
		return false;
	*reg = ON_STACK;
	/* not always the next one */
	*slot = room->next_slot + below(h, room->slots - room->next_slot - slots + 1) / 4;
	room->next_slot = *slot + slots;
	return true;
}

/*
 * What a program does about NULL, and when it holds nothing. The verifier doesn't know of a record
 * or an object that was compared with NULL before that it isn't NULL, so it doesn't let programs
 * release it where they compare again; throws can do it.
 */
static void choose_null(struct holding *h, struct holder *held, bool dropped)
{
	bool again = held->thing == THING_SOCKET || !dropped;

	held->exchanged = held->thing == THING_OBJECT && chance(h, 50);
	if (held->thing == THING_SOCKET)
		held->null = NULL_KEPT + below(h, 2);
	else
		held->null = below(h, NULLS);
	if (held->null == NULL_KEPT && (!again || h->maybes++ >= MAYBES_MAX))
		held->null = NULL_THROWS;
	if ((again || held->null == NULL_UNCHECKED) && chance(h, 25) && h->maybes++ < MAYBES_MAX) {
		held->input = 1 + below(h, INPUTS - 1);
		held->limit = below(h, 4);
	}
	if (held->thing == THING_RECORD && held->null != NULL_UNCHECKED && chance(h, 30))
		held->off = 4;
}

static void add_holder(struct holding *h, struct func *f, int number, struct room *room)
{
	struct holder *held = &f->holders[number];
	int from = below(h, f->nr_steps), to = from + 1 + below(h, f->nr_steps);
	bool dynptr = free_slots(f) >= 2 && chance(h, 25);

	held->thing = dynptr ? THING_DYNPTR : choose_thing(h, f);
	if (!choose_place(h, f, room, &held->reg, &held->slot, dynptr ? 2 : 1)) {
		held->thing = THING_NONE;
		return;
	}
	if (!dynptr)
		choose_null(h, held, true);
	f->steps[from].acquire |= 1 << number;
	if (to < f->nr_steps)
		f->steps[to].drop |= 1 << number;
}

/* A register that neither the condition nor the cookie needs */
static int scratch_reg(struct holding *h, const struct step *s)
{
	static const __u8 regs[] = { 0, 2, 4, 5, 3 };

	return regs[below(h, s->cond == ALWAYS ? 5 : 4)];
}

static void hold_lock(struct holding *h, struct func *f, struct step *s, const struct room *room)
{
	struct room left = *room;
	struct holder *held = &s->hold;

	/* a pointer outlives the call that locks in no other register */
	if (!choose_place(h, f, &left, &held->keep, &held->slot, 1))
		return;
	held->thing = THING_LOCK;
	held->reg = held->keep;
	if (chance(h, 40))
		held->reg = scratch_reg(h, s);
	if (held->reg != ON_STACK && chance(h, 40))
		held->off = 4 * (1 + below(h, 2));
	if (has_key_slot(f) && chance(h, 60))
		held->index = 1 + below(h, 3);
}

static void hold_at_throw(struct holding *h, struct func *f, struct step *s, const struct room *room)
{
	/* there x is in a register that calls change */
	if (f->bare && (s->cond == IF_X_ABOVE || s->which == COOKIE_X))
		return;
	if (!f->bare && chance(h, 40)) {
		hold_lock(h, f, s, room);
		return;
	}
	s->hold.thing = choose_thing(h, f);
	s->hold.reg = scratch_reg(h, s);
	choose_null(h, &s->hold, s->cond != ALWAYS);
}

/* One throw for several steps: they throw the same then */
static void share_throws(struct holding *h, struct func *f)
{
	const struct step *first = NULL;

	for (int i = 0; i < f->nr_steps; i++) {
		struct step *s = &f->steps[i];

		if (s->kind != STEP_THROW || chance(h, 20))
			continue;
		s->shared = true;
		if (!first)
			first = s;
		s->which = first->which;
		s->value = first->value;
	}
}

static void hold_in_func(struct holding *h, struct func *f)
{
	struct room room = { free_regs(f), free_slots(f), 0 };

	if (!f->bare && chance(h, 60))
		for (int i = 1 + below(h, HOLDERS_MAX); i--; )
			add_holder(h, f, i, &room);
	for (int i = 0; i < f->nr_steps; i++)
		if (f->steps[i].kind == STEP_THROW && chance(h, 40))
			hold_at_throw(h, f, &f->steps[i], &room);
	if (!f->bare && chance(h, 40))
		share_throws(h, f);
}

static bool may_hold(const struct prog *p, int func)
{
	const struct func *f = &p->funcs[func];

	return !f->safe && f->nr_steps && func_reachable(p, func);
}

void add_holders(struct testcase *c)
{
	struct holding h = { .random.state = c->seed ^ 0x686f6c646572ull, .c = c };

	if (!chance(&h, 60))
		return;
	c->tc = chance(&h, 50);
	for (int i = 0; i < PROGS; i++) {
		h.p = &c->progs[i];
		h.maybes = 0;
		if (!h.p->present || !prog_throws(h.p))
			continue;
		for (int j = 0; j < h.p->nr_funcs; j++)
			if (may_hold(h.p, j))
				hold_in_func(&h, &h.p->funcs[j]);
	}
}
