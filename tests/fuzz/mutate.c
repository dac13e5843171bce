// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "execute.h"
#include "fuzz.h"
#include "insns.h"
#include "mutate.h"
#include "random.h"
#include "../fdinfo.h"
#include "../kmod/test.h"

static struct testcase testcase;
static struct emitted emitted;
static char log_buf[1 << 20];

static void make_jump_table(void)
{
	if (maps.jump_table < 0)
		maps.jump_table = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, NULL, 4, 4,
						 TAIL_OUTSIDE, NULL);
}

/* --- what has to be refused ------------------------------------------------------- */

enum forbidden {
	THROW_IN_EXCEPTION_CALLBACK,
	TAIL_CALL_IN_CALLBACK,
	SET_TWICE,
	SET_IN_SUBPROG,
	CALL_CALLBACK,
	THROW_LOSING,
	FORBIDDEN,
};

static const struct {
	const char *name, *refusal, *also;
} forbidden[] = {
	/* in what the callback calls, which others may call while they hold something */
	[THROW_IN_EXCEPTION_CALLBACK] = { "throw in the exception callback",
		"cannot be called from callback", "Unreleased reference" },
	[TAIL_CALL_IN_CALLBACK] = { "tail call in the exception callback",
		"cannot tail call within exception cb" },
	[SET_TWICE] = { "two callbacks set",
		"can only be called once to set exception callback" },
	[SET_IN_SUBPROG] = { "callback set in a subprogram",
		"can only be called from main prog" },
	[CALL_CALLBACK] = { "exception callback called",
		"cannot call exception cb directly" },
	[THROW_LOSING] = { "throw with the only copy of a reference overwritten",
		"Unreleased reference" },
};

/* A function of the wanted kind that the verifier certainly looks at; or 0 */
static int choose_func(struct random *r, const struct prog *p, bool (*wanted)(const struct func *))
{
	int found[FUNCS_MAX], cnt = 0;

	for (int i = 1; i < p->nr_funcs; i++)
		if (i != p->callback && func_live(p, i) && wanted(&p->funcs[i]))
			found[cnt++] = i;
	return cnt ? found[random_below(r, cnt)] : 0;
}

static bool may_throw(const struct func *f)
{
	return !f->bare && !f->safe && (f->sig == SIG_CTX || f->sig == SIG_X);
}

/* Sometimes what the callback calls, if it calls anything */
static int in_callback(struct random *r, const struct prog *p)
{
	int func = p->callback;

	while (random_percent(r, 50)) {
		int next = 0;

		for (int i = 0; i < p->funcs[func].nr_steps; i++)
			if (p->funcs[func].steps[i].kind == STEP_CALL)
				next = p->funcs[func].steps[i].which;
		if (!next)
			break;
		func = next;
	}
	return func;
}

static bool put_first(struct func *f, struct step s)
{
	if (f->nr_steps == STEPS_MAX)
		return false;
	memmove(&f->steps[1], &f->steps[0], f->nr_steps * sizeof(s));
	f->steps[0] = s;
	f->nr_steps++;
	return true;
}

/* So that main's frame and its own aren't too deep */
static bool calls_nothing(const struct func *f)
{
	for (int i = 0; i < f->nr_steps; i++)
		if (f->steps[i].kind == STEP_CALL || f->steps[i].kind == STEP_LOOP ||
		    f->steps[i].kind == STEP_EACH)
			return false;
	return true;
}

static bool forbid(struct random *r, struct prog *p, enum forbidden what)
{
	struct step s = { .cond = IF_INPUT, .input = 2, .limit = 1 };
	int func = 0;

	if (what != THROW_LOSING && !p->callback)
		return false;
	switch (what) {
	case THROW_IN_EXCEPTION_CALLBACK:
		s.kind = STEP_THROW;
		return put_first(&p->funcs[in_callback(r, p)], s);
	case TAIL_CALL_IN_CALLBACK:
		func = in_callback(r, p);
		s.kind = STEP_TAIL_CALL;
		/* a global one, or one called elsewhere, is refused for its missing context */
		return func == p->callback && !p->funcs[func].global &&
		       put_first(&p->funcs[func], s);
	case SET_TWICE:
		s.kind = STEP_SET_CALLBACK;
		s.which = choose_func(r, p, may_throw);
		return s.which && p->callback_at == CB_AT_START && put_first(&p->funcs[0], s);
	case SET_IN_SUBPROG:
		/* not one that the callback calls, which would be recursion */
		func = choose_func(r, p, may_throw);
		s.kind = STEP_SET_CALLBACK;
		s.which = p->callback;
		return func && put_first(&p->funcs[func], s);
	case CALL_CALLBACK:
		s.kind = STEP_CALL;
		s.which = p->callback;
		return calls_nothing(&p->funcs[p->callback]) && put_first(&p->funcs[0], s);
	default:
		func = choose_func(r, p, may_throw);
		s.kind = STEP_THROW_LOSING;
		s.add = random_below(r, 3);
		return func && put_first(&p->funcs[func], s);
	}
}

static bool try_forbidden(__u64 seed, int counts[FORBIDDEN])
{
	struct random r = { .state = seed };
	struct prog *p = &testcase.progs[MAIN];
	enum forbidden what;
	int fd;

	announce("forbidden", seed);
	do {
		generate(&testcase, random_next(&r));
		what = random_below(&r, FORBIDDEN);
	} while (!forbid(&r, p, what));
	emit_prog(&emitted, p, &maps);
	emitted.b.skb = testcase.tc;
	counts[what]++;
	log_buf[0] = 0;
	fd = builder_load(&emitted.b, main_type(&testcase), log_buf, sizeof(log_buf));
	if (fd < 0 && (strstr(log_buf, forbidden[what].refusal) ||
		       (forbidden[what].also && strstr(log_buf, forbidden[what].also))))
		return true;
	printf("# seed %#llx: %s: %s, expected \"%s\"; again: fuzz forbidden %#llx 1\n", seed,
	       forbidden[what].name, fd < 0 ? "refused for another reason" : "it loaded",
	       forbidden[what].refusal, seed);
	if (fd < 0 && strlen(log_buf) > 300)
		memmove(log_buf, log_buf + strlen(log_buf) - 300, 301);
	for (char *line = strtok(log_buf, "\n"); fd < 0 && line; line = strtok(NULL, "\n"))
		printf("#   %s\n", line);
	close(fd);
	memset(&testcase.progs[MAIN + 1], 0, (PROGS - 1) * sizeof(struct prog));
	print_testcase(stdout, &testcase);
	print_case_insns(stdout, &testcase);
	return false;
}

bool run_forbidden(__u64 seed, int count)
{
	struct random r = { .state = seed };
	int counts[FORBIDDEN] = {}, bad = 0;

	make_jump_table();
	if (count == 1)
		return try_forbidden(seed, counts);
	for (int i = 0; i < count && bad < 5; i++) {
		progress("forbidden", i, count);
		bad += !try_forbidden(random_next(&r), counts);
	}
	for (int i = 0; i < FORBIDDEN; i++)
		printf("# %s: %d\n", forbidden[i].name, counts[i]);
	return !bad;
}

/* --- instructions changed at random ------------------------------------------------ */

static void cut_off(struct random *r, struct builder *b)
{
	b->cnt = 1 + random_below(r, b->cnt);
	while (b->nr_funcs > 1 && b->funcs[b->nr_funcs - 1].start >= b->cnt)
		b->nr_funcs--;
}

/* A callback or a callee is another function */
static void move_target(struct random *r, struct builder *b)
{
	int at = choose_insn(r, b->insns, b->cnt, refers_to_func);

	if (at >= 0)
		b->insns[at].imm = random_below(r, b->nr_funcs);
}

static void change_built(struct random *r, struct builder *b)
{
	int what = random_below(r, 10);
	int times = 1 + random_below(r, 3);

	if (what == 0)
		cut_off(r, b);
	else if (what < 4)
		move_target(r, b);
	else
		while (times--)
			mutate_insns(r, b->insns, b->cnt);
	for (int i = 0; i < b->cnt; i++)
		if (refers_to_func(&b->insns[i]))
			b->insns[i].imm = (__u32)b->insns[i].imm % b->nr_funcs;
}

static void mutate_built(struct random *r, struct builder *b)
{
	static struct builder before;

	before = *b;
	do {
		*b = before;
		change_built(r, b);
	} while (!keeps_func_loads(before.insns, b->insns, b->cnt));
}

/* Helpers that programs here call, and that don't mind what the context is */
static bool is_patient(int helper)
{
	static const int helpers[] = {
		BPF_FUNC_get_prandom_u32, BPF_FUNC_ktime_get_ns, BPF_FUNC_get_smp_processor_id,
		BPF_FUNC_tail_call, BPF_FUNC_loop, BPF_FUNC_for_each_map_elem,
		BPF_FUNC_map_lookup_elem, BPF_FUNC_ringbuf_reserve, BPF_FUNC_ringbuf_discard,
		BPF_FUNC_ringbuf_reserve_dynptr, BPF_FUNC_ringbuf_discard_dynptr,
		BPF_FUNC_sk_release, BPF_FUNC_spin_lock, BPF_FUNC_spin_unlock,
	};

	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++)
		if (helper == helpers[i])
			return true;
	return false;
}

/* The strict caller has no real context, and no patience */
static bool fit_for_canaries(const struct builder *b)
{
	for (int i = 0; i < b->cnt; i++) {
		const struct bpf_insn *in = &b->insns[i];

		if (BPF_CLASS(in->code) == BPF_LDX && BPF_SIZE(in->code) != BPF_DW)
			return false;
		if (is_call(in, 0) && !is_patient(in->imm))
			return false;
	}
	return true;
}

static bool test_run(int fd)
{
	static char packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 2);

	return !bpf_prog_test_run_opts(fd, &opts);
}

struct mutants {
	int tried, loaded, run, run_with_canaries, released, bad;
};

static bool run_mutant(int fd, const struct testcase *c, struct mutants *m)
{
	struct state *state = shared_state();
	const char *left;
	bool canaries = fit_for_canaries(&emitted.b);

	for (int i = 0; i < RUNS; i++) {
		struct test_run args = { .prog_fd = fd, .context = c->runs[i].context };

		memset(state, 0, sizeof(*state));
		memcpy(state->in, c->runs[i].in, sizeof(state->in));
		memcpy(state->canary, c->runs[i].canary, sizeof(state->canary));
		things_prepare();
		test_run(fd);
		if (records_left()) {
			printf("# a ringbuf record is left reserved\n");
			return false;
		}
		if (!canaries)
			continue;
		if (ioctl(device, TEST_RUN, &args) || args.bad) {
			printf("# the caller's registers changed: %#x\n", args.bad);
			return false;
		}
		if (records_left()) {
			printf("# a ringbuf record is left reserved, in context %d\n", args.context);
			return false;
		}
	}
	left = things_left();
	if (left) {
		printf("# left: %s\n", left);
		return false;
	}
	m->released += fdinfo_value(fd, "released") > 0;
	m->run++;
	m->run_with_canaries += canaries;
	return true;
}

static bool try_mutant(__u64 seed, struct mutants *m)
{
	struct random r = { .state = seed };
	bool ok = true;
	int fd;

	announce("mutant", seed);
	generate(&testcase, random_next(&r));
	emit_prog(&emitted, &testcase.progs[MAIN], &maps);
	emitted.b.skb = testcase.tc;
	mutate_built(&r, &emitted.b);
	emitted.b.bare = random_percent(&r, 10);
	fd = builder_load(&emitted.b, main_type(&testcase), NULL, 0);
	m->tried++;
	if (fd < 0)
		return true;
	m->loaded++;
	if (fit_to_run(emitted.b.insns, emitted.b.cnt))
		ok = run_mutant(fd, &testcase, m);
	close(fd);
	if (!ok) {
		m->bad++;
		printf("# seed %#llx; again: fuzz mutants %#llx 1\n", seed, seed);
		print_insns(stdout, &emitted.b);
	}
	return ok;
}

bool run_mutants(__u64 seed, int count)
{
	struct random r = { .state = seed };
	struct mutants m = {};

	make_jump_table();
	if (count == 1)
		return try_mutant(seed, &m);
	for (int i = 0; i < count && m.bad < 5; i++) {
		progress("mutants", i, count);
		try_mutant(random_next(&r), &m);
	}
	printf("# %d mutants, %d loaded, %d run, %d of these with canaries, %d released things\n",
	       m.tried, m.loaded, m.run, m.run_with_canaries, m.released);
	return !m.bad;
}
