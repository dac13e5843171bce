// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "execute.h"
#include "../fdinfo.h"
#include "../kmod/test.h"

struct maps maps = { .jump_table = -1 };
int device;
char why[8192];

static struct state *state;
static char log_buf[1 << 20];

/* A test case that is loaded */
struct loaded {
	int prog[PROGS], link[PROGS];
	int btf_id[PROGS][FUNCS_MAX];
	long long released[PROGS];	/* what fdinfo has to say in the end */
};

struct state *shared_state(void)
{
	return state;
}

static int make_map(enum bpf_map_type type, int key, int value, int entries, __u32 flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, NULL, key, value, entries, &opts);

	if (fd < 0) {
		fprintf(stderr, "fuzz: cannot make a map: %s\n", strerror(errno));
		exit(2);
	}
	return fd;
}

void execute_init(void)
{
	maps.state = make_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(*state), 1, BPF_F_MMAPABLE);
	maps.array = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 3, 0);
	maps.hash = make_map(BPF_MAP_TYPE_HASH, 8, 8, 16, 0);
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, maps.state, 0);
	device = open("/dev/bpf_exceptions_test", O_RDWR);
	if (state == MAP_FAILED || device < 0) {
		fprintf(stderr, "fuzz: is bpf_exceptions_test.ko loaded? %s\n", strerror(errno));
		exit(2);
	}
	things_init(&maps.things);
}

static enum verdict say(enum verdict verdict, const char *fmt, ...)
{
	size_t len = strlen(why);
	va_list args;

	va_start(args, fmt);
	vsnprintf(why + len, sizeof(why) - len, fmt, args);
	va_end(args);
	return verdict;
}

/* The end of the verifier's log, which has the reason */
static const char *log_end(void)
{
	const char *p = log_buf + strlen(log_buf);

	for (int lines = 0; p > log_buf && lines < 12; p--)
		lines += p[-1] == '\n';
	return p;
}

/* --- loading ------------------------------------------------------------------------- */

static struct emitted emitted;

static int load_emitted(const struct testcase *c, int number, const struct loaded *l, bool log)
{
	static const enum bpf_prog_type types[] = {
		[PROG_EXT] = BPF_PROG_TYPE_EXT,
		[PROG_FENTRY] = BPF_PROG_TYPE_TRACING, [PROG_FEXIT] = BPF_PROG_TYPE_TRACING,
	};
	const struct prog *p = &c->progs[number];
	int type = p->kind == PROG_XDP ? main_type(c) : types[p->kind];
	LIBBPF_OPTS(bpf_prog_load_opts, opts);

	if (p->kind != PROG_XDP) {
		opts.expected_attach_type = p->kind == PROG_FENTRY ? BPF_TRACE_FENTRY :
					    p->kind == PROG_FEXIT ? BPF_TRACE_FEXIT : 0;
		opts.attach_prog_fd = l->prog[p->on_prog];
		opts.attach_btf_id = l->btf_id[p->on_prog][p->on_func];
	}
	return builder_load_with(&emitted.b, type, &opts,
				 log ? log_buf : NULL, log ? sizeof(log_buf) : 0);
}

static enum verdict load(const struct testcase *c, int number, struct loaded *l,
			 struct stats *stats)
{
	const struct prog *p = &c->progs[number];

	if (!p->present)
		return RIGHT;
	emit_prog(&emitted, p, &maps);
	emitted.b.skb = c->tc;
	l->prog[number] = load_emitted(c, number, l, false);
	if (l->prog[number] < 0) {
		int err = errno;

		log_buf[0] = 0;
		l->prog[number] = load_emitted(c, number, l, true);
		return say(REFUSED, "program %d is refused, %s:\n%s", number, strerror(err),
			   log_end());
	}
	for (int i = 0; i < p->nr_funcs; i++)
		l->btf_id[number][i] = emitted.number[i] < 0 ? 0 :
				       emitted.b.funcs[emitted.number[i]].btf_id;
	if (stats)
		stats->insns += emitted.b.cnt;
	return RIGHT;
}

static enum verdict attach(const struct testcase *c, int number, struct loaded *l,
			   struct stats *stats)
{
	static const enum bpf_attach_type types[] = {
		[PROG_FENTRY] = BPF_TRACE_FENTRY, [PROG_FEXIT] = BPF_TRACE_FEXIT,
	};
	const struct prog *p = &c->progs[number];
	enum verdict verdict;

	/*
	 * The verifier, which knows bounds, has removed a function that func_live() took for live.
	 * It doesn't run then, or what watches it would be missed.
	 */
	if (p->present && l->prog[p->on_prog] < 0)
		return RIGHT;
	verdict = load(c, number, l, stats);
	if (verdict == REFUSED && strstr(log_buf, "doesn't exist"))
		return RIGHT;
	if (verdict != RIGHT || !p->present)
		return verdict;
	l->link[number] = bpf_link_create(l->prog[number], 0,
					  p->kind == PROG_EXT ? 0 : types[p->kind], NULL);
	if (l->link[number] < 0)
		return say(REFUSED, "program %d can't be attached: %s\n", number, strerror(errno));
	if (stats)
		stats->attached++;
	return RIGHT;
}

static bool set_tail(int entry, int fd)
{
	return fd < 0 || !bpf_map_update_elem(maps.jump_table, &entry, &fd, 0);
}

static enum verdict load_all(const struct testcase *c, struct loaded *l, struct stats *stats)
{
	static const int order[] = { TARGET2, TARGET1, NESTED, MAIN };
	/* direct tail calls are patched in, when the program is loaded or when the table is set */
	bool late = c->seed & 1;
	enum verdict verdict;

	maps.jump_table = make_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, TAIL_OUTSIDE, 0);
	for (int i = 0; i < 4; i++) {
		verdict = load(c, order[i], l, stats);
		if (verdict != RIGHT)
			return verdict;
		if (order[i] == (late ? MAIN : TARGET1) &&
		    (!set_tail(TAIL_FIRST, l->prog[TARGET1]) ||
		     !set_tail(TAIL_SECOND, l->prog[TARGET2])))
			return say(REFUSED, "cannot set a tail call: %s\n", strerror(errno));
	}
	for (int i = ATTACHED; i < PROGS; i++) {
		verdict = attach(c, i, l, stats);
		if (verdict != RIGHT)
			return verdict;
	}
	return RIGHT;
}

static void unload(struct loaded *l)
{
	for (int i = PROGS - 1; i >= 0; i--) {
		if (l->link[i] >= 0)
			close(l->link[i]);
		if (l->prog[i] >= 0)
			close(l->prog[i]);
	}
	if (maps.jump_table >= 0)
		close(maps.jump_table);
	maps.jump_table = -1;
}

/* --- running ------------------------------------------------------------------------- */

static enum verdict compare(const struct test_run *got, const struct outcome *want)
{
	enum verdict verdict = RIGHT;

	if (got->ret != want->ret)
		verdict = say(WRONG, "returned %#x, expected %#x\n", got->ret, want->ret);
	if (got->bad)
		verdict = say(WRONG, "the caller's rbx, rbp, r12-r15 or rsp changed: bits %#x\n",
			      got->bad);
	if (state->bad)
		verdict = say(WRONG, "func%llu found a canary changed, in r%llu (r10: the stack)\n",
			      state->bad / 256 - 1, 6 + state->bad % 256);
	if (want->nested && (got->nested_ret != want->nested_ret || got->nested_bad))
		verdict = say(WRONG, "the nested one returned %#x, expected %#x; registers %#x\n",
			      got->nested_ret, want->nested_ret, got->nested_bad);
	if (state->seq != want->seq)
		verdict = say(WRONG, "%llu entries in the log, expected %llu\n", state->seq,
			      want->seq);
	for (__u64 i = 0; i < want->seq && i < state->seq && i < LOG_SLOTS; i++)
		if (state->log[i] != want->log[i])
			return say(WRONG, "log entry %llu is %#llx, expected %#llx\n", i,
				   state->log[i], want->log[i]);
	return verdict;
}

static void count(struct stats *stats, const struct run *run, const struct outcome *out)
{
	stats->runs++;
	stats->in_context[run->context]++;
	if (out->throws) {
		stats->threw++;
		stats->depth[out->deepest]++;
	}
	stats->callbacks += !!out->callbacks;
	stats->tail_calls += !!out->tail_calls;
	stats->through_fexit += !!out->through_fexit;
	stats->through_helpers += !!out->through_helpers;
	stats->watched += !!out->watched;
	stats->extensions += !!out->extensions;
	stats->nested += !!out->nested;
	for (int i = 0; i < THINGS; i++)
		stats->things[i] += out->things[i];
}

static enum verdict run_one(const struct testcase *c, int number, struct loaded *l,
			    struct stats *stats)
{
	const struct run *run = &c->runs[number];
	struct test_run args = {
		.prog_fd = l->prog[MAIN], .context = run->context,
		.nested_fd = run->nested && c->progs[NESTED].present ? l->prog[NESTED] : 0,
		.nested_context = run->nested_context,
	};
	struct outcome want;
	enum verdict verdict;

	interpret(c, run, &want);
	memset(state, 0, sizeof(*state));
	memcpy(state->in, run->in, sizeof(state->in));
	memcpy(state->canary, run->canary, sizeof(state->canary));
	things_prepare();
	if (ioctl(device, TEST_RUN, &args))
		return say(WRONG, "cannot run: %s\n", strerror(errno));
	verdict = compare(&args, &want);
	if (records_left())
		verdict = say(WRONG, "a ringbuf record is left reserved\n");
	for (int i = 0; i < PROGS; i++)
		l->released[i] += want.released[i];
	if (verdict != RIGHT)
		say(verdict, "in run %d, context %d%s%s\n", number, run->context,
		    run->nested ? ", nested in " : "",
		    !run->nested ? "" : run->nested_context == IN_NMI ? "NMI" : "process context");
	if (stats)
		count(stats, run, &want);
	return verdict;
}

/* What all runs together released, and left */
static enum verdict check_things(const struct loaded *l)
{
	const char *left = things_left();
	enum verdict verdict = RIGHT;

	if (left)
		verdict = say(WRONG, "left: %s\n", left);
	for (int i = 0; i < PROGS; i++) {
		long long released = l->prog[i] < 0 ? 0 : fdinfo_value(l->prog[i], "released");

		/* there is no such line where nothing is ever held */
		if (released < 0)
			released = 0;
		if (released != l->released[i])
			verdict = say(WRONG, "program %d: %lld things released, expected %lld\n", i,
				      released, l->released[i]);
	}
	return verdict;
}

/* Write 0 or another digit to a file, unless it was also the last one written */
static void set(const char *path, bool *is, bool to, char on)
{
	char value = to ? on : '0';
	int fd;

	if (*is == to)
		return;
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, &value, 1) != 1) {
		fprintf(stderr, "fuzz: cannot write to %s: %s\n", path, strerror(errno));
		exit(2);
	}
	close(fd);
	*is = to;
}

enum verdict execute(const struct testcase *c, struct stats *stats)
{
	static bool blinds, traces;
	enum verdict verdict;
	struct loaded l;

	memset(&l, 0xff, sizeof(l));
	memset(l.released, 0, sizeof(l.released));
	why[0] = 0;
	set("/proc/sys/net/core/bpf_jit_harden", &blinds, c->blinded, '2');
	set("/sys/kernel/tracing/events/bpf_exceptions/enable", &traces, c->traced, '1');
	verdict = load_all(c, &l, stats);
	for (int i = 0; i < RUNS && verdict == RIGHT; i++)
		if (!c->runs[i].skip)
			verdict = run_one(c, i, &l, stats);
	if (verdict == RIGHT)
		verdict = check_things(&l);
	else
		things_left();
	unload(&l);
	if (stats) {
		stats->programs++;
		stats->blinded += c->blinded;
		stats->traced += c->traced;
	}
	return verdict;
}

void print_stats(const struct stats *s)
{
	printf("# %d programs, %d instructions on average, %d attached, %d blinded, %d traced\n",
	       s->programs, s->insns / (s->programs ?: 1), s->attached, s->blinded, s->traced);
	printf("# %d runs: %d process, %d softirq, %d hardirq, %d NMI\n", s->runs,
	       s->in_context[0], s->in_context[1], s->in_context[2], s->in_context[3]);
	printf("# runs that threw: %d; deepest throw, in frames below main:", s->threw);
	for (int i = 0; i < LEVELS; i++)
		printf(" %d", s->depth[i]);
	printf("\n# runs with: exception callbacks %d, tail calls %d, fentry or fexit %d,\n",
	       s->callbacks, s->tail_calls, s->watched);
	printf("#   throws through fexit %d, through helpers %d, extensions %d, nested programs %d\n",
	       s->through_fexit, s->through_helpers, s->extensions, s->nested);
	printf("# released by throws: %d records, %d sockets, %d objects, %d dynptrs, %d locks\n",
	       s->things[THING_RECORD], s->things[THING_SOCKET], s->things[THING_OBJECT],
	       s->things[THING_DYNPTR], s->things[THING_LOCK]);
}

void print_case_insns(FILE *to, const struct testcase *c)
{
	for (int i = 0; i < PROGS; i++) {
		if (!c->progs[i].present)
			continue;
		emit_prog(&emitted, &c->progs[i], &maps);
		fprintf(to, "#   instructions of program %d:\n", i);
		print_insns(to, &emitted.b);
	}
}

/* --- minimising ---------------------------------------------------------------------- */

/* Remove what depends on things that were removed */
static void mend(struct testcase *c)
{
	for (int i = ATTACHED; i < PROGS; i++) {
		struct prog *p = &c->progs[i];
		const struct prog *on = &c->progs[p->on_prog];

		if (p->present && (!on->present || !func_live(on, p->on_func) ||
				   (p->kind == PROG_EXT && (!func_returns(on, p->on_func) ||
							    !on->funcs[p->on_func].global))))
			p->present = false;
	}
	for (int i = 0; i < RUNS; i++)
		c->runs[i].nested &= c->progs[NESTED].present;
}

static char reason[64];	/* of the refusal that is being minimised */

/* What @why says that it says of other programs, too: the verifier's last words */
static bool same_reason(void)
{
	const char *line = strstr(why, "\nprocessed ");

	while (line > why && line[-1] != '\n')
		line--;
	return !line || !*reason || !strncmp(line, reason, strlen(reason));
}

static void note_reason(void)
{
	const char *line = strstr(why, "\nprocessed ");

	while (line > why && line[-1] != '\n')
		line--;
	snprintf(reason, sizeof(reason), "%.*s", line ? (int)strcspn(line, "0123456789\n") : 0, line ?: "");
}

/* Keep the change in @c if the verdict is the same, else undo it */
static bool keep(struct testcase *c, struct testcase *before, enum verdict verdict)
{
	mend(c);
	if (memcmp(c, before, sizeof(*c)) && execute(c, NULL) == verdict && same_reason()) {
		*before = *c;
		return true;
	}
	*c = *before;
	return false;
}

static bool holds_anything(const struct func *f)
{
	for (int i = 0; i < f->nr_steps; i++)
		if (f->steps[i].acquire || f->steps[i].hold.thing)
			return true;
	return false;
}

static bool simplify_holder(struct testcase *c, struct testcase *before, struct holder *h,
			    enum verdict verdict)
{
	bool changed;

	h->input = 0;
	changed = keep(c, before, verdict);
	h->off = 0;
	changed |= keep(c, before, verdict);
	h->null = NULL_THROWS;
	return keep(c, before, verdict) || changed;
}

static bool simplify_func(struct testcase *c, struct testcase *before, struct func *f,
			  enum verdict verdict)
{
	bool changed = false;
	int least = 8 * ((f->home_x == HOME_STACK) + (f->home_ctx == HOME_STACK));

	for (int i = 0; i < f->nr_steps; i++) {
		f->steps[i].acquire = 0;
		changed |= keep(c, before, verdict);
		f->steps[i].hold = (struct holder){};
		changed |= keep(c, before, verdict);
		f->steps[i].shared = false;
		changed |= keep(c, before, verdict);
	}
	for (int i = 0; i < HOLDERS_MAX; i++)
		changed |= simplify_holder(c, before, &f->holders[i], verdict);
	for (int i = f->nr_steps - 1; i >= 0; i--) {
		memmove(&f->steps[i], &f->steps[i + 1],
			(STEPS_MAX - 1 - i) * sizeof(f->steps[0]));
		f->nr_steps--;
		changed |= keep(c, before, verdict);
	}
	for (int i = 0; i < f->nr_steps; i++) {
		if (f->steps[i].kind != STEP_RETURN)
			f->steps[i].cond = ALWAYS;
		f->steps[i].hold_call = false;
		changed |= keep(c, before, verdict);
	}
	if (!f->bare && !holds_anything(f)) {
		f->stack = least;
		changed |= keep(c, before, verdict);
	}
	if (!f->bare) {
		f->canaries = 0;
		changed |= keep(c, before, verdict);
	}
	f->ret_add = 0;
	changed |= keep(c, before, verdict);
	if (f != &c->progs[MAIN].funcs[0])
		f->global = f->sig == SIG_MAIN;
	return keep(c, before, verdict) || changed;
}

void minimise(struct testcase *c, enum verdict verdict)
{
	struct testcase *before = malloc(sizeof(*before));
	bool changed = true;

	*before = *c;
	execute(c, NULL);
	note_reason();
	for (int i = 0; i < RUNS; i++) {
		c->runs[i].skip = true;
		keep(c, before, verdict);
	}
	c->blinded = false;
	keep(c, before, verdict);
	c->traced = false;
	keep(c, before, verdict);
	while (changed) {
		changed = false;
		for (int i = PROGS - 1; i >= 0; i--) {
			c->progs[i].present = i == MAIN;
			changed |= keep(c, before, verdict);
			if (!c->progs[i].present)
				continue;
			c->progs[i].callback = 0;
			changed |= keep(c, before, verdict);
			for (int j = 0; j < c->progs[i].nr_funcs; j++)
				if (func_reachable(&c->progs[i], j))
					changed |= simplify_func(c, before, &c->progs[i].funcs[j],
								 verdict);
		}
	}
	free(before);
	execute(c, NULL);
}
