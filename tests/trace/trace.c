// SPDX-License-Identifier: GPL-2.0-only
/*
 * trace - tests of the trace event bpf_exceptions:bpf_throw and of bpfthrow, which reads it
 *
 * usage: trace [-t NAME] OBJECT LINES-OBJECT{4} GENERATED-OBJECT...
 *
 * OBJECT is trace.bpf.o. LINES-OBJECT is lines.bpf.c, built by some compiler, and with
 * BPF_ASSERT_SITES if its name contains "sites". GENERATED-OBJECT is what tests/trace/generate
 * prints, built likewise. -t runs only one test. bpfthrow and canary must be on the PATH. Prints
 * KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 something is missing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../../bpf/tools/trace.h"
#include "../kmod/test.h"
#include "../symbols.h"
#include "trace.h"

int device;
const char *trace_object;
const char *const *generated_objects;
const char *lines_objects[5];

bool fail(const char *fmt, ...)
{
	char text[1 << 16], *line, *rest = text;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	while ((line = strsep(&rest, "\n")))
		printf("# %s\n", line);
	return false;
}

/* --- programs ------------------------------------------------------------------------- */

/* The programs @names of @file, ending with NULL; @target for those that attach to one */
struct bpf_object *load(const char *file, int target, const char *func, const char *const *names)
{
	struct bpf_object *obj = bpf_object__open_file(file, NULL);
	struct bpf_program *prog;
	bool wanted, bad = false;

	bpf_object__for_each_program(prog, obj) {
		wanted = false;
		for (int i = 0; names[i]; i++)
			wanted |= !strcmp(names[i], bpf_program__name(prog));
		bpf_program__set_autoload(prog, wanted);
		if (wanted && target >= 0)
			bad |= bpf_program__set_attach_target(prog, target, func);
	}
	if (!bad && !bpf_object__load(obj))
		return obj;
	bpf_object__close(obj);
	fail("%s did not load: %s", file, strerror(errno));
	return NULL;
}

int prog_fd(struct bpf_object *obj, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

struct bpf_prog_info prog_info(int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	bpf_obj_get_info_by_fd(fd, &info, &len);
	return info;
}

bool set_var(struct bpf_object *obj, const char *map, const void *data)
{
	int zero = 0;

	return !bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, map), &zero, data, 0);
}

struct vars get_vars(struct bpf_object *obj)
{
	struct vars vars = {};
	int zero = 0;

	bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(obj, ".bss"), &zero, &vars);
	return vars;
}

static bool run_job(struct test_run *run, __u32 want)
{
	if (ioctl(device, TEST_RUN, run))
		return fail("cannot run: %s", strerror(errno));
	return (run->ret == want && !run->bad) ||
	       fail("context %u: returned %u, expected %u; bad registers %#x", run->context,
		    run->ret, want, run->bad);
}

bool run(int fd, enum test_context context, __u32 repeat, __u32 want)
{
	struct test_run run = { .prog_fd = fd, .context = context, .repeat = repeat };

	return run_job(&run, want);
}

/* How much stack was in use where it last called bpf_test_nest() */
bool run_to_depth(int fd, __u32 want, __u32 *depth)
{
	struct test_run run = { .prog_fd = fd, .context = IN_PROCESS };
	bool ok = run_job(&run, want);

	*depth = run.depth;
	return ok;
}

/* --- events --------------------------------------------------------------------------- */

/*
 * Throws since the last call, up to @max; they are there as soon as the program has returned. In
 * so many reads, a page each: where programs go on throwing, their callbacks' returns are many.
 */
int read_some(struct throw_event *events, int max, int reads)
{
	static char buf[1 << 16];
	enum trace_line what;
	unsigned long lost;
	int cnt = 0;
	ssize_t len;

	while (cnt < max && reads-- && (len = read(trace_fd(), buf, sizeof(buf) - 1)) > 0) {
		char *line, *rest = buf;

		buf[len] = 0;
		while (cnt < max && (line = strsep(&rest, "\n"))) {
			what = trace_parse(line, &events[cnt], &lost);
			cnt += (what == TRACE_THROW || what == TRACE_CALLBACK) &&
			       trace_join(what, &events[cnt]);
		}
	}
	return cnt;
}

int read_events(struct throw_event *events, int max)
{
	return read_some(events, max, -1);
}

static const struct {
	bool (*run)(void);
	const char *name, *desc;
} tests[] = {
	{ fields, "fields",
	  "fields of throws from depth 0, 1, 7, and through two helpers, with and without a callback, in 4 contexts" },
	{ cookie_returned, "cookie", "a program that returns the cookie has no callback" },
	{ event_off, "off", "no events while it is off, and the callback runs once" },
	{ through_fexit, "fexit", "places of a throw through an fexit trampoline" },
	{ through_helpers, "fexit_helpers", "... and helpers, on any function from the thrower to main" },
	{ tail_call, "tail_call", "a tail call target throws: the event is the target's" },
	{ extension, "extension", "an extension throws: the event is the extension's" },
	{ on_and_off, "on_and_off", "the event goes on and off 100 times while two CPUs throw" },
	{ bpf_notices, "tp_btf", "a BPF program on the event" },
	{ bpf_notices_throwing, "tp_btf_throws", "a BPF program on the event that throws" },
	{ bpf_notices_each_other, "tp_btf_both", "two of them, which see each other's throws" },
	{ callbacks_noticed, "tp_btf_callback", "a BPF program on the callback's event alone" },
	{ callbacks_noticed_throwing, "tp_btf_callback_throws", "two of them that throw, with callbacks" },
	{ stack_traces, "stack", "stack traces have thrower, each function between, main, its caller" },
	{ depth_of_callback, "callback_depth", "the callback is no deeper on the stack when one listens" },
	{ joined, "joined", "bpfthrow: throws and callbacks that go together, also where some are lost" },
	{ lines, "lines", "bpfthrow: function, line and text, or the lines that share a throw" },
	{ generated, "generated", "bpfthrow: the same for generated programs, by two compilers" },
	{ blinded, "blinded", "bpfthrow: no lines rather than wrong ones, constants blinded" },
	{ hidden, "hidden", "bpfthrow: no lines, but why, where the kernel hides addresses" },
	{ counts, "counts", "bpfthrow --counts: by where they came from" },
	{ filtered, "prog", "bpfthrow --prog: of one program only" },
	{ json, "json", "bpfthrow --json" },
	{ released, "released", "bpfthrow: what a throw releases, and with --json" },
	{ list, "list", "bpfthrow --list: programs that can throw, and how often they did" },
	{ program_gone, "gone", "bpfthrow: what the event has, if the program is gone" },
	{ events_lost, "lost", "bpfthrow: all throws are printed or said to be lost" },
	{ interrupted, "interrupted", "bpfthrow: interrupted, it leaves no instance behind" },
	{ killed, "killed",
	  "bpfthrow: the instance of one that was killed is removed by the next" },
	{ output_closed, "output_closed",
	  "bpfthrow: ends, and leaves no instance, when nobody reads" },
	{ bad_input, "bad_input", "bpfthrow: one line for what it can't do" },
	{ canaries, "canaries", "callee-saved registers of the caller intact, event on" },
};

int main(int argc, char **argv)
{
	size_t failed = 0, num = 0;
	const char *only = NULL;

	if (argc > 2 && !strcmp(argv[1], "-t")) {
		only = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 7) {
		fprintf(stderr, "usage: trace [-t NAME] OBJECT LINES-OBJECT{4} GENERATED-OBJECT...\n");
		return 2;
	}
	trace_object = argv[1];
	memcpy(lines_objects, argv + 2, 4 * sizeof(argv[0]));
	generated_objects = (const char *const *)argv + 6;
	device = open("/dev/bpf_exceptions_test", O_RDWR);
	if (device < 0 || trace_open(0, NULL)) {
		fprintf(stderr, "trace: is bpf_exceptions_test.ko loaded? %s\n", strerror(errno));
		return 2;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	printf("KTAP version 1\n");
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		static struct throw_event rest[64];
		bool ok;

		if ((only && strcmp(only, tests[i].name)) || (tests[i].run == through_helpers && kcfi()))
			continue;
		while (read_events(rest, ARRAY_SIZE(rest)))
			;
		ok = tests[i].run();
		failed += !ok;
		printf("%s %zu trace/%s - %s\n", ok ? "ok" : "not ok", ++num, tests[i].name,
		       tests[i].desc);
		fflush(stdout);
	}
	trace_close();
	printf("1..%zu\n# Totals: pass:%zu fail:%zu skip:0\n", num, num - failed, failed);
	return !!failed;
}
