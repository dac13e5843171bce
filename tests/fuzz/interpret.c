// SPDX-License-Identifier: GPL-2.0-only
/* The right answer: what a described program must log and return */
#include <string.h>
#include "program.h"

#define MASK 0xffff

/* A program that runs: a boundary that throws don't cross */
struct boundary {
	const struct prog *p;
	int number;
	int level;		/* frames below main */
	int through_fexit;	/* of those, watched by an fexit program */
	bool thrown;
	__u64 cookie;
	int held[THINGS];	/* by all its frames */
};

struct machine {
	const struct testcase *c;
	const struct run *run;
	struct outcome *out;
};

static __u64 run_prog(struct machine *m, int number, __u64 x, bool entered);

static void log_value(struct machine *m, __u64 value)
{
	m->out->log[m->out->seq++ % LOG_SLOTS] = value;
}

static bool holds(const struct machine *m, const struct step *s, __u64 x)
{
	switch (s->cond) {
	case IF_X_ABOVE:
		return x > s->limit;
	case IF_INPUT:
		return m->run->in[s->input] == s->limit;
	}
	return true;
}

static int attached_to(const struct machine *m, int prog, int func, int kind)
{
	for (int i = ATTACHED; i < PROGS; i++) {
		const struct prog *p = &m->c->progs[i];

		if (p->present && p->kind == kind && p->on_prog == prog && p->on_func == func)
			return i;
	}
	return 0;
}

static __u64 call_func(struct machine *m, struct boundary *b, int func, __u64 x);

/*
 * A call by way of the function's start, where others may have attached. If a helper calls, the
 * function returns to that one even where it throws: 1.
 */
static __u64 enter_func(struct machine *m, struct boundary *b, int func, __u64 x, bool by_helper)
{
	int ext = attached_to(m, b->number, func, PROG_EXT);
	int fentry = attached_to(m, b->number, func, PROG_FENTRY);
	int fexit = attached_to(m, b->number, func, PROG_FEXIT);
	__u64 ret;

	if (ext) {
		m->out->extensions++;
		return run_prog(m, ext, x, true);
	}
	m->out->watched += !!fentry + !!fexit;
	if (fentry)
		run_prog(m, fentry, x, true);
	b->through_fexit += !!fexit;
	ret = call_func(m, b, func, x);
	if (b->thrown && by_helper && fexit)
		run_prog(m, fexit, 1, true);
	if (b->thrown)
		return 0;
	b->through_fexit -= !!fexit;
	if (fexit)
		run_prog(m, fexit, ret, true);
	return ret;
}

static __u64 cookie_of(const struct machine *m, const struct step *s, __u64 x)
{
	switch (s->which) {
	case COOKIE_IMM:
		return (__s64)(__s32)s->value;
	case COOKIE_X:
		return x;
	case COOKIE_CANARY:
		return m->run->canary[s->value % CANARIES];
	}
	return s->value;
}

static bool is_held(const struct machine *m, const struct holder *h)
{
	return h->thing && (!h->input || m->run->in[h->input] == h->limit);
}

static void hold(const struct machine *m, struct boundary *b, const struct func *f, __u8 holders,
		 int by)
{
	for (int i = 0; i < HOLDERS_MAX; i++)
		if (holders & 1 << i && is_held(m, &f->holders[i]))
			b->held[f->holders[i].thing] += by;
}

static void release_held(struct machine *m, const struct boundary *b)
{
	for (int i = 0; i < THINGS; i++) {
		m->out->released[b->number] += b->held[i];
		m->out->things[i] += b->held[i];
	}
}

static void throw_from(struct machine *m, struct boundary *b, const struct step *s, __u64 x)
{
	if (is_held(m, &s->hold))
		b->held[s->hold.thing]++;
	release_held(m, b);
	b->thrown = true;
	b->cookie = cookie_of(m, s, x);
	m->out->throws++;
	if (b->level > m->out->deepest)
		m->out->deepest = b->level;
	m->out->through_fexit += !!b->through_fexit;
}

static bool tail_call(struct machine *m, const struct step *s, __u64 *ret)
{
	int entry = s->from_input ? m->run->in[s->input] : s->which;

	if (entry >= TAIL_EMPTY || !m->c->progs[TARGET1 + entry].present)
		return false;
	m->out->tail_calls++;
	*ret = run_prog(m, TARGET1 + entry, m->run->in[0], false);
	return true;
}

static __u64 repeat(struct machine *m, struct boundary *b, const struct step *s)
{
	bool by_helper = s->kind == STEP_EACH || s->called;

	for (__u64 i = 0; i < s->add && !b->thrown; i++)
		enter_func(m, b, s->which, s->kind == STEP_LOOP ? i : m->run->in[EACH_INPUT], by_helper);
	m->out->through_helpers += by_helper && b->thrown;
	return s->add;
}

/* Steps that don't end the function. Return what they add to x. */
static __u64 do_step(struct machine *m, struct boundary *b, const struct func *f,
		     const struct step *s, __u64 x)
{
	switch (s->kind) {
	case STEP_LOG:
		log_value(m, f->bare ? s->value : x + s->value);
		break;
	case STEP_CALL:
		return enter_func(m, b, s->which, (x + s->add) & MASK, false);
	case STEP_LOOP:
	case STEP_EACH:
		return repeat(m, b, s);
	case STEP_NEST:
		if (!m->run->nested)
			break;
		m->out->nested++;
		m->out->nested_ret = run_prog(m, NESTED, m->run->in[0], true);
		break;
	case STEP_THROW:
		throw_from(m, b, s, x);
		break;
	}
	return 0;
}

static bool returns_zero(const struct boundary *b, const struct func *f)
{
	if (f->sig == SIG_LOOP || f->sig == SIG_EACH)
		return true;
	return (f->sig == SIG_MAIN || f->sig == SIG_COOKIE) &&
	       (b->p->kind == PROG_FENTRY || b->p->kind == PROG_FEXIT);
}

static __u64 func_value(const struct boundary *b, const struct func *f, __u64 x)
{
	return returns_zero(b, f) ? 0 : (x + f->ret_add) & MASK;
}

/* A bare function has no x behind its step, but what that got */
static __u64 run_steps(struct machine *m, struct boundary *b, const struct func *f, __u64 x)
{
	__u64 got, ret;
	__u8 active = 0;

	for (int i = 0; i < f->nr_steps; i++) {
		const struct step *s = &f->steps[i];
		bool does = holds(m, s, x);

		hold(m, b, f, active, -1);
		active = active_holders(b->p, f, s, active);
		hold(m, b, f, active, 1);
		if (does && s->kind == STEP_RETURN)
			break;
		if (does && s->kind == STEP_TAIL_CALL && tail_call(m, s, &ret))
			return ret;
		got = does ? do_step(m, b, f, s, x) : 0;
		if (b->thrown)
			return 0;
		x = f->bare ? got : (x + got) & MASK;
	}
	hold(m, b, f, active, -1);
	return func_value(b, f, f->bare && !f->nr_steps ? 0 : x);
}

static __u64 call_func(struct machine *m, struct boundary *b, int func, __u64 x)
{
	const struct func *f = &b->p->funcs[func];
	__u64 ret;

	b->level++;
	x &= MASK;
	ret = run_steps(m, b, f, x);
	if (!b->thrown)
		b->level--;
	return ret;
}

/* @entered: at its start, not by a tail call, which comes in behind it */
static __u64 run_prog(struct machine *m, int number, __u64 x, bool entered)
{
	struct boundary b = { .p = &m->c->progs[number], .number = number, .level = -1 };
	struct boundary cb = b;
	int fentry = 0, fexit = 0;
	__u64 ret;

	if (entered) {
		fentry = attached_to(m, number, 0, PROG_FENTRY);
		fexit = attached_to(m, number, 0, PROG_FEXIT);
		m->out->watched += !!fentry + !!fexit;
	}
	if (fentry)
		run_prog(m, fentry, b.p->kind == PROG_EXT ? x : 0, true);
	ret = call_func(m, &b, 0, x);
	if (b.thrown && b.p->callback) {
		m->out->callbacks++;
		if (!b.p->funcs[b.p->callback].bare)
			log_value(m, b.cookie);
		ret = call_func(m, &cb, b.p->callback, b.cookie);
	} else if (b.thrown) {
		ret = 0;
	}
	if (fexit)
		run_prog(m, fexit, ret, true);
	return ret;
}

void interpret(const struct testcase *c, const struct run *run, struct outcome *out)
{
	struct machine m = { .c = c, .run = run, .out = out };

	memset(out, 0, sizeof(*out));
	out->ret = run_prog(&m, MAIN, run->in[0], true);
}
