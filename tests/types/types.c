// SPDX-License-Identifier: GPL-2.0-only
/*
 * types - throw in BPF programs of all types, where the kernel runs them
 *
 * usage: types [-h | --help] [-t NAME] CGROUP-OBJECT NET-OBJECT TRACING-OBJECT
 *
 * For each place that programs can be attached to, tests what one sees if a program's assertion
 * holds, and if it throws with and without an exception callback; in which context it threw; and
 * which return values of a callback the verifier refuses. -t runs the rows of one place. Prints
 * KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 bad arguments, or the kernel lacks a module.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "../symbols.h"
#include "hook.h"

#define TRACING "/sys/kernel/tracing/instances/types"

static char log_buf[1 << 20];
static int tests, failed;
static const char *only;

int broken(const char *what)
{
	fail("%s: %s", what, strerror(errno));
	return BROKEN;
}

int outcome(long ret)
{
	return ret < 0 ? -errno : ret;
}

bool keep_link(struct run *run, struct bpf_link *link)
{
	run->link = link;
	return link;
}

int part_fd(struct run *run, const char *prog_or_map)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(run->obj, prog_or_map);

	return prog ? bpf_program__fd(prog) : bpf_object__find_map_fd_by_name(run->obj, prog_or_map);
}

/* --- The trace event, which says in which context it was sent */

static bool write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

static bool start_tracing(void)
{
	return (!mkdir(TRACING, 0755) || errno == EEXIST) &&
	       write_to(TRACING "/events/bpf_exceptions/bpf_throw/enable", "1");
}

static void clear_trace(void)
{
	close(open(TRACING "/trace", O_WRONLY | O_TRUNC));
}

static bool is_word_of(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)); at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

/* Whether there were throws of program @id, all in one of the contexts that @hook names */
static bool threw_in_context(const struct hook *hook, __u32 id)
{
	FILE *f = fopen(TRACING "/trace", "r");
	char line[1024], context[16];
	int throws = 0;
	bool ok = f;

	while (ok && fgets(line, sizeof(line), f)) {
		const char *event = strstr(line, "bpf_throw: id="), *at = strstr(line, " context=");

		if (!event || !at || strtoul(event + strlen("bpf_throw: id="), NULL, 10) != id ||
		    sscanf(at, " context=%15s", context) != 1)
			continue;
		throws++;
		if (!is_word_of(hook->context, context))
			ok = fail("it threw in %s context, expected %s", context, hook->context);
	}
	if (f)
		fclose(f);
	return ok && (throws || fail("no throw was traced"));
}

/* --- One program */

/* Open the hook's program, with or without a callback */
static bool open_run(struct run *run, bool callback, int own, int verdict)
{
	struct told told = { own, verdict };
	struct bpf_program *prog;
	struct bpf_map *map;
	char name[64];

	snprintf(name, sizeof(name), "on_%s%s", run->hook->name, callback ? "_cb" : "");
	log_buf[0] = 0;
	run->event_fd = -1;
	run->obj = bpf_object__open_file(run->file, NULL);
	run->prog = run->obj ? bpf_object__find_program_by_name(run->obj, name) : NULL;
	if (!run->prog)
		return fail("there is no program %s in %s", name, run->file);
	bpf_object__for_each_program(prog, run->obj) {
		const char *this = bpf_program__name(prog);

		bpf_program__set_autoload(prog, prog == run->prog ||
					  (run->hook->with && !strcmp(this, run->hook->with)));
	}
	bpf_object__for_each_map(map, run->obj)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, false);
	bpf_program__set_log_level(run->prog, 1);
	bpf_program__set_log_buf(run->prog, log_buf, sizeof(log_buf));
	map = bpf_object__find_map_by_name(run->obj, ".rodata.types");
	if (bpf_map__set_initial_value(map, &told, sizeof(told)))
		return fail("cannot set what it returns: %s", strerror(errno));
	return !run->hook->prepare || run->hook->prepare(run) || fail("cannot prepare it");
}

static bool load_run(struct run *run)
{
	struct tally *tally;

	if (bpf_object__load(run->obj))
		return false;
	run->prog_fd = bpf_program__fd(run->prog);
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED,
		     bpf_object__find_map_fd_by_name(run->obj, ".bss.types"), 0);
	if (tally == MAP_FAILED)
		return false;
	run->tally = tally;
	return true;
}

static void detach_run(struct run *run)
{
	if (run->link)
		bpf_link__destroy(run->link);
	else if (run->event_fd >= 0)
		close(run->event_fd);
	run->link = NULL;
	run->event_fd = -1;
	if (run->hook->detach)
		run->hook->detach(run);
}

static void close_run(struct run *run)
{
	if (run->ring)
		munmap(run->ring, RING_SIZE);
	if (run->tally)
		munmap((void *)run->tally, sizeof(*run->tally));
	bpf_object__close(run->obj);
	bpf_object__close(run->target);
}

/* The last lines of what the verifier said */
static const char *log_end(void)
{
	const char *p = log_buf + strlen(log_buf);

	for (int lines = 5; p > log_buf && lines; )
		lines -= *--p == '\n';
	return p;
}

static const char *seen_text(int seen, char *buf, size_t size)
{
	const char *name = seen < 0 ? strerrorname_np(-seen) : NULL;

	if (name)
		return name;
	snprintf(buf, size, "%d", seen);
	return buf;
}

/* What it counted; in some places another run of it may still be in progress */
static bool tally_is_right(struct run *run, bool throws)
{
	for (int i = 0; !throws && run->tally->passed != run->tally->reached && i < 50; i++)
		usleep(10000);
	if (!run->tally->reached)
		return fail("the program did not run");
	if (run->tally->passed != (throws ? 0 : run->tally->reached))
		return fail("%llu of %llu runs came past the assertion", run->tally->passed,
			    run->tally->reached);
	return true;
}

static bool run_loaded(struct run *run, bool throws, int expected)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	char buf[2][16];
	int seen;

	clear_trace();
	run->tally->throws = throws;
	if (run->hook->attach && !run->hook->attach(run)) {
		fail("cannot attach: %s", strerror(errno));
		detach_run(run);
		return false;
	}
	seen = run->hook->see(run);
	detach_run(run);
	if (seen == BROKEN)
		return false;
	if (seen != expected)
		return fail("%s: %s, expected %s", run->hook->what,
			    seen_text(seen, buf[0], sizeof(buf[0])),
			    seen_text(expected, buf[1], sizeof(buf[1])));
	if (!tally_is_right(run, throws))
		return false;
	if (bpf_obj_get_info_by_fd(run->prog_fd, &info, &len))
		return fail("no information of the program: %s", strerror(errno));
	return !throws || threw_in_context(run->hook, info.id);
}

/* --- Rows of the report */

static void report(const struct hook *hook, bool ok, const char *fmt, ...)
{
	va_list args;

	failed += !ok;
	printf("%s %d types/%s - ", ok ? "ok" : "not ok", ++tests, hook->name);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

static void run_row(const struct hook *hook, const char *file, bool callback, bool throws)
{
	int returned = !throws ? hook->own.returns : callback ? hook->cb.returns : 0;
	int expected = !throws ? hook->own.seen : callback ? hook->cb.seen : hook->zero;
	struct run run = { .hook = hook, .file = file };
	char buf[16];
	bool ok;

	ok = open_run(&run, callback, hook->own.returns, hook->cb.returns);
	if (ok && !load_run(&run))
		ok = fail("did not load: %s", log_end());
	ok = ok && run_loaded(&run, throws, expected);
	close_run(&run);
	report(hook, ok, "%s, returns %d: %s: %s%s%s",
	       !throws ? "holds" : callback ? "throws, callback" : "throws", returned, hook->what,
	       seen_text(expected, buf, sizeof(buf)), throws ? ", in context: " : "",
	       throws ? hook->context : "");
}

/* Does it load, and if not, for the right reason? */
static bool loads(const struct hook *hook, const char *file, bool callback, int verdict, bool expected,
		  const char *why)
{
	struct run run = { .hook = hook, .file = file };
	bool ok = open_run(&run, callback, hook->own.returns, verdict);

	if (ok && load_run(&run))
		ok = expected || fail("it loaded, with a callback that returns %d", verdict);
	else if (ok)
		ok = (!expected && strstr(log_buf, why)) ||
		     fail("a callback that returns %d: %s", verdict, log_end());
	close_run(&run);
	return ok;
}

static void default_row(const struct hook *hook, const char *file)
{
	report(hook, loads(hook, file, false, 0, false, "the default return value 0"),
	       "throws, no callback: refused, 0 isn't allowed");
}

static bool range_is_checked(const struct hook *hook, const char *file)
{
	static const char why[] = "At program exit the register R0 has value";

	return loads(hook, file, true, hook->min, true, "") &&
	       loads(hook, file, true, hook->max, true, "") &&
	       loads(hook, file, true, hook->min - 1, false, why) &&
	       loads(hook, file, true, hook->max + 1, false, why) &&
	       loads(hook, file, true, 4242, false, why);
}

static void range_row(const struct hook *hook, const char *file)
{
	bool ok;

	if (hook->checked) {
		ok = range_is_checked(hook, file);
		report(hook, ok, "a callback may return %d to %d, all else is refused", hook->min,
		       hook->max);
		return;
	}
	ok = loads(hook, file, true, 4242, true, "") && loads(hook, file, true, -1, true, "");
	report(hook, ok, "a callback may return anything");
}

/* The kernel was configured without it, or is too old */
static void lacking_row(const struct hook *hook, const char *file)
{
	struct run run = { .hook = hook, .file = file };
	bool ok = open_run(&run, false, hook->own.returns, 0);
	int err = 0;

	if (ok && (!load_run(&run) || !hook->attach(&run)))
		err = errno;
	detach_run(&run);
	close_run(&run);
	ok = ok && (err == hook->without || fail("%s, expected %s", strerror(err), strerror(hook->without)));
	report(hook, ok, "refused with %s, the kernel has no %s()", strerrorname_np(hook->without),
	       hook->needs);
}

static void run_rows(const struct hook *hook, const char *file)
{
	if (hook->needs && !kernel_symbol(hook->needs)) {
		lacking_row(hook, file);
		return;
	}
	run_row(hook, file, hook->zero == REFUSED, false);
	if (hook->zero == REFUSED)
		default_row(hook, file);
	else
		run_row(hook, file, false, true);
	run_row(hook, file, true, true);
	range_row(hook, file);
}

static void run_table(const struct hook *hooks, size_t cnt, const char *file)
{
	for (size_t i = 0; i < cnt; i++)
		if ((!only || !strcmp(only, hooks[i].name)) && !(hooks[i].typed && kcfi()))
			run_rows(&hooks[i], file);
}

static int print_nothing(enum libbpf_print_level level __attribute__((unused)),
			 const char *fmt __attribute__((unused)),
			 va_list args __attribute__((unused)))
{
	return 0;
}

static int usage(FILE *f)
{
	fprintf(f, "usage: types [-h | --help] [-t NAME] CGROUP-OBJECT NET-OBJECT TRACING-OBJECT\n");
	return f == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")))
		return usage(stdout);
	if (argc > 2 && !strcmp(argv[1], "-t")) {
		only = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc != 4)
		return usage(stderr);
	libbpf_set_print(print_nothing);
	if (!start_tracing()) {
		fprintf(stderr, "types: cannot trace throws: is bpf_exceptions.ko loaded? %s\n", strerror(errno));
		return 2;
	}
	if (!enter_cgroup() || !prepare_net()) {
		fprintf(stderr, "types: no cgroup, or no lo: %s\n", strerror(errno));
		return 2;
	}
	printf("KTAP version 1\n");
	run_table(cgroup_hooks, cgroup_hooks_cnt, argv[1]);
	run_table(net_hooks, net_hooks_cnt, argv[2]);
	run_table(tracing_hooks, tracing_hooks_cnt, argv[3]);
	leave_cgroup();
	rmdir(TRACING);
	if (!tests) {
		fprintf(stderr, "types: there is no place %s\n", only);
		return 2;
	}
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", tests, tests - failed, failed);
	return !!failed;
}
