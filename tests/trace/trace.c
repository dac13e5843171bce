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
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../../bpf/tools/trace.h"
#include "../kmod/test.h"
#include "trace.h"

static const char *const contexts[] = { "process", "softirq", "hardirq", "nmi" };

#define OUT "/tmp/bpfthrow.out"
#define ERR "/tmp/bpfthrow.err"

static int device;
const char *trace_object;
static const char *const *generated_objects;
static const char *lines_objects[5];
static char out[1 << 16], err[1 << 16];

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

static struct bpf_prog_info prog_info(int fd)
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
static int read_some(struct throw_event *events, int max, int reads)
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

static int read_events(struct throw_event *events, int max)
{
	return read_some(events, max, -1);
}

/* Whether there is a call right before a return address */
static bool is_call(int fd, struct place place)
{
	static __u8 image[1 << 16];
	__u32 lens[64] = {}, off = 0;
	struct bpf_prog_info info = {
		.jited_prog_len = sizeof(image), .jited_prog_insns = (unsigned long)image,
		.nr_jited_func_lens = 64, .jited_func_lens = (unsigned long)lens,
	};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || place.func >= info.nr_jited_func_lens)
		return false;
	for (__u32 i = 0; i < place.func; i++)
		off += lens[i];
	return place.off >= 5 && place.off <= lens[place.func] &&
	       image[off + place.off - 5] == 0xe8;
}

/* What the kernel says about the program, and what the event says */
static bool is_prog(const struct throw_event *event, int fd)
{
	struct bpf_prog_info info = prog_info(fd);
	char tag[2 * BPF_TAG_SIZE + 1];

	for (int i = 0; i < BPF_TAG_SIZE; i++)
		sprintf(tag + 2 * i, "%02x", info.tag[i]);
	return (event->id == info.id && !strcmp(event->name, info.name) &&
		!strcmp(event->tag, tag)) ||
	       fail("program %u %s %s, expected %u %s %s", event->id, event->name, event->tag,
		    info.id, info.name, tag);
}

static bool is_event(const struct throw_event *event, int fd, const char *context, __u64 cookie,
		     __u32 depth, int callback_ret)
{
	bool callback = callback_ret >= 0;

	if (!is_prog(event, fd))
		return false;
	if (event->cookie != cookie || event->depth != depth || strcmp(event->context, context) ||
	    event->callback != callback || !event->returned ||
	    event->ret != (callback ? callback_ret : 0))
		return fail("cookie %llu, depth %u, context %s, callback %d, returned %d, ret %lld",
			    event->cookie, event->depth, event->context, event->callback,
			    event->returned, event->ret);
	for (__u32 i = 0; i <= depth; i++)
		if (!is_call(fd, event->places[i]) || !(i < depth) != !event->places[i].func)
			return fail("place %u is %u+%u", i, event->places[i].func,
				    event->places[i].off);
	return true;
}

static bool one_event(int fd, const char *context, __u64 cookie, __u32 depth, int callback_ret)
{
	struct throw_event events[2];
	int cnt = read_events(events, 2);

	return cnt == 1 ? is_event(events, fd, context, cookie, depth, callback_ret) :
			  fail("%d events, expected 1", cnt);
}

static bool fields(void)
{
	static const struct {
		const char *name;
		int depth;
		bool callback;
	} progs[] = {
		{ "from_main", 0, false }, { "from_main_cb", 0, true }, { "from_1", 1, false },
		{ "from_1_cb", 1, true }, { "from_7", 7, false }, { "from_7_cb", 7, true },
		{ "from_helpers", 4, false }, { "from_helpers_cb", 4, true },
	};
	struct bpf_object *obj = LOAD("from_main", "from_main_cb", "from_1", "from_1_cb", "from_7",
				      "from_7_cb", "from_helpers", "from_helpers_cb");
	struct vars vars = { .cookie = 21 };
	bool ok = obj;

	for (size_t i = 0; ok && i < ARRAY_SIZE(progs); i++) {
		int fd = prog_fd(obj, progs[i].name), ret = progs[i].callback ? 42 : -1;

		for (int context = 0; ok && context < TEST_CONTEXTS; context++) {
			ok = set_var(obj, ".bss", &vars) &&
			     run(fd, context, 1, progs[i].callback ? 42 : 0) &&
			     one_event(fd, contexts[context], 21, progs[i].depth, ret);
			if (ok && get_vars(obj).callbacks != progs[i].callback)
				ok = fail("callback ran %llu times", get_vars(obj).callbacks);
		}
		if (!ok)
			fail("program %s", progs[i].name);
	}
	bpf_object__close(obj);
	return ok;
}

/* There is no callback, and the first event has the return value */
static bool cookie_returned(void)
{
	struct bpf_object *obj = LOAD("from_1_cookie");
	struct vars vars = { .cookie = 21 };
	struct throw_event events[2];
	bool ok;
	int cnt;

	if (!obj)
		return false;
	ok = set_var(obj, ".bss", &vars) && run(prog_fd(obj, "from_1_cookie"), IN_NMI, 1, 21);
	cnt = read_events(events, 2);
	if (ok && (cnt != 1 || events[0].callback || events[0].ret != 21))
		ok = fail("%d events, callback %d, ret %lld", cnt, events[0].callback,
			  events[0].ret);
	bpf_object__close(obj);
	return ok;
}

static bool event_off(void)
{
	struct bpf_object *obj = LOAD("from_7_cb");
	struct vars vars = { .cookie = 5 };
	struct throw_event event;
	bool ok;

	if (!obj)
		return false;
	set_var(obj, ".bss", &vars);
	trace_stop();
	ok = run(prog_fd(obj, "from_7_cb"), IN_PROCESS, 3, 10);
	if (ok && (read_events(&event, 1) || get_vars(obj).callbacks != 3))
		ok = fail("an event, or callbacks: %llu", get_vars(obj).callbacks);
	bpf_object__close(obj);
	trace_close();
	return !trace_open(0, NULL) && ok;
}

static bool through_fexit(void)
{
	struct bpf_object *obj = LOAD("from_7_cb"), *fexit = NULL;
	struct bpf_link *link = NULL;
	struct vars vars = { .cookie = 21 };
	int fd = obj ? prog_fd(obj, "from_7_cb") : -1;
	bool ok;

	fexit = obj ? LOAD_ON(fd, "depth3", "watch") : NULL;
	if (fexit)
		link = bpf_program__attach(bpf_object__find_program_by_name(fexit, "watch"));
	ok = link || fail("cannot attach");
	ok = ok && set_var(obj, ".bss", &vars) && run(fd, IN_PROCESS, 1, 42) &&
	     one_event(fd, "process", 21, 7, 42);
	bpf_link__destroy(link);
	bpf_object__close(fexit);
	bpf_object__close(obj);
	return ok;
}

/* The same places as without a watcher, also of those below the helpers that call back */
static bool through_helpers(void)
{
	static const struct {
		const char *func;
		bool in_kernel;
	} watched[] = {
		{ NULL, false }, { "thrower", false }, { "on_element", false }, { "on_round", false },
		{ "loops", false },
		{ "bpf_loop", true }, { "bpf_for_each_array_elem", true },
	};
	struct bpf_object *obj = LOAD("from_helpers_cb");
	struct vars vars = { .cookie = 21 };
	int fd = obj ? prog_fd(obj, "from_helpers_cb") : -1;
	struct throw_event first = {}, event[2];
	bool ok = obj && set_var(obj, ".bss", &vars);

	for (size_t i = 0; ok && i < ARRAY_SIZE(watched); i++) {
		const char *func = watched[i].func;
		struct bpf_object *fexit = func ? LOAD_ON(watched[i].in_kernel ? 0 : fd, func, "watch") : NULL;
		struct bpf_link *link = NULL;

		if (fexit)
			link = bpf_program__attach(bpf_object__find_program_by_name(fexit, "watch"));
		ok = !func || link || fail("cannot watch %s()", func);
		for (int context = 0; ok && context < TEST_CONTEXTS; context++) {
			ok = run(fd, context, 1, 42) &&
			     (read_events(event, 2) == 1 || fail("not one event")) &&
			     is_event(event, fd, contexts[context], 21, 4, 42);
			if (!first.id)
				first = event[0];
			if (ok && memcmp(first.places, event[0].places, 5 * sizeof(first.places[0]))) {
				ok = false;
				for (int j = 0; j < 5; j++)
					fail("place %d is %u+%u, not %u+%u", j, event[0].places[j].func,
					     event[0].places[j].off, first.places[j].func,
					     first.places[j].off);
			}
		}
		if (!ok)
			fail("... with %s() watched", func ?: "nothing");
		bpf_link__destroy(link);
		bpf_object__close(fexit);
	}
	bpf_object__close(obj);
	return ok;
}

static bool tail_call(void)
{
	struct bpf_object *obj = LOAD("tail_caller", "from_1_cb");
	struct vars vars = { .cookie = 4 };
	int zero = 0, target;
	bool ok;

	if (!obj)
		return false;
	target = prog_fd(obj, "from_1_cb");
	ok = set_var(obj, ".bss", &vars) &&
	     !bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, "jmp_table"), &zero, &target,
				  0) &&
	     run(prog_fd(obj, "tail_caller"), IN_PROCESS, 1, 8) && one_event(target, "process", 4, 1, 8);
	bpf_object__close(obj);
	return ok;
}

static bool extension(void)
{
	struct bpf_object *obj = LOAD("replaced_in"), *ext = NULL;
	struct bpf_link *link = NULL;
	int fd = obj ? prog_fd(obj, "replaced_in") : -1;
	bool ok;

	ext = obj ? LOAD_ON(fd, "replaced", "replacement") : NULL;
	if (ext)
		link = bpf_program__attach(bpf_object__find_program_by_name(ext, "replacement"));
	ok = link || fail("cannot attach");
	ok = ok && run(fd, IN_PROCESS, 1, 254) &&
	     one_event(prog_fd(ext, "replacement"), "process", 77, 1, 154);
	bpf_link__destroy(link);
	bpf_object__close(ext);
	bpf_object__close(obj);
	return ok;
}

/* --- while others do things ----------------------------------------------------------- */

static volatile bool stop_throwing;

/* By test runs, as the device runs programs one at a time */
static void *keep_throwing(void *fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 100);

	while (!stop_throwing)
		if (bpf_prog_test_run_opts((int)(long)fd, &opts) || opts.retval != 42)
			return (void *)1;
	return NULL;
}

static bool on_and_off(void)
{
	struct bpf_object *obj = LOAD("from_7_cb");
	static struct throw_event events[1000];
	struct vars vars = { .cookie = 21 };
	void *bad[2] = {};
	pthread_t threads[2];
	bool ok = obj;
	const int max = ARRAY_SIZE(events);
	long seen = 0;
	int fd, cnt;

	if (!obj)
		return false;
	fd = prog_fd(obj, "from_7_cb");
	set_var(obj, ".bss", &vars);
	stop_throwing = false;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, keep_throwing, (void *)(long)fd);
	for (int i = 0; ok && i < 100; i++) {
		trace_close();
		ok = !trace_open(0, NULL);
		usleep(1000);
		trace_stop();
		trace_stop_callbacks();
		cnt = read_some(events, max, 100);
		seen += cnt;
		/* the last one of each thread may not have returned in time */
		if (ok && trace_pending() > 2 && !trace_lost())
			ok = fail("%u callbacks have not returned", trace_pending());
		for (int j = 0; ok && j < cnt; j++)
			ok = (!events[j].returned && trace_lost()) ||
			     is_event(&events[j], fd, "process", 21, 7, 42);
	}
	stop_throwing = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], &bad[i]);
	trace_close();
	ok = !trace_open(0, NULL) && ok;
	ok = ok && ((!bad[0] && !bad[1]) || fail("a throw returned something else"));
	ok = ok && (seen || fail("no event was seen"));
	bpf_object__close(obj);
	return ok;
}

/* Nobody else listens in the meantime */
static bool unlistened(bool (*test)(void))
{
	bool ok;

	trace_close();
	ok = test();
	return !trace_open(0, NULL) && ok;
}

static bool depth_of_callback(void)
{
	return unlistened(callback_depth);
}

static bool canaries(void)
{
	char line[256];
	FILE *f = popen("canary", "r");
	int good = 0, status;

	while (f && fgets(line, sizeof(line), f)) {
		good += !strncmp(line, "ok ", 3);
		if (!strncmp(line, "not ok", 6) || *line == '#')
			fail("%s", line);
	}
	status = f ? pclose(f) : -1;
	trace_close();
	if (trace_open(0, NULL))
		return false;
	return (!status && good == 40) || fail("status %d, %d good, expected 40", status, good);
}

/* --- programs on the event ------------------------------------------------------------ */

/* One throw of another program, seen by programs @names, each of which may throw */
static bool noticed(const char *const *names, __u64 times, int events)
{
	struct bpf_object *obj = LOAD("from_7_cb"), *on = load(trace_object, -1, NULL, names);
	struct bpf_link *links[4] = {};
	struct throw_event seen[16];
	struct vars vars = { .cookie = 21 };
	bool ok = obj && on;
	int cnt;

	for (int i = 0; ok && names[i]; i++) {
		links[i] = bpf_program__attach(bpf_object__find_program_by_name(on, names[i]));
		ok = links[i] || fail("cannot attach %s: %s", names[i], strerror(errno));
	}
	ok = ok && set_var(obj, ".bss", &vars) &&
	     run(prog_fd(obj, "from_7_cb"), IN_PROCESS, 1, 42);
	cnt = read_events(seen, ARRAY_SIZE(seen));
	if (ok && (cnt != events || get_vars(on).noticed != times))
		ok = fail("%d events, expected %d; noticed %llu times, expected %llu", cnt, events,
			  get_vars(on).noticed, times);
	for (int i = 0; i < 4; i++)
		bpf_link__destroy(links[i]);
	bpf_object__close(on);
	bpf_object__close(obj);
	return ok;
}

static bool bpf_notices(void)
{
	return noticed((const char *const []){ "notice", NULL }, 1, 1);
}

/* Its throw is an event, but it isn't run again for that */
static bool bpf_notices_throwing(void)
{
	return noticed((const char *const []){ "notice_throws", NULL }, 1, 2);
}

/* Both run on the throw; each of them throws, which is an event that the other runs on; the throw
 * of that one is no event
 */
static bool bpf_notices_each_other(void)
{
	return noticed((const char *const []){ "notice_throws", "notice_throws_too", NULL }, 4, 3);
}

static bool callback_noticed(void)
{
	struct bpf_object *obj = LOAD("from_7_cb", "from_7"), *on = LOAD("notice_callback");
	struct bpf_link *link = NULL;
	struct vars vars = { .cookie = 21 };
	bool ok;

	if (on)
		link = bpf_program__attach(bpf_object__find_program_by_name(on, "notice_callback"));
	ok = obj && link && set_var(obj, ".bss", &vars) &&
	     run(prog_fd(obj, "from_7_cb"), IN_NMI, 3, 42) &&
	     run(prog_fd(obj, "from_7"), IN_PROCESS, 1, 0);
	if (ok && (get_vars(on).noticed != 3 || get_vars(on).told != 42 ||
		   get_vars(obj).callbacks != 3))
		ok = fail("noticed %llu times, told %llu, %llu callbacks", get_vars(on).noticed,
			  get_vars(on).told, get_vars(obj).callbacks);
	bpf_link__destroy(link);
	/* and no more when it is gone */
	ok = ok && run(prog_fd(obj, "from_7_cb"), IN_PROCESS, 1, 42) &&
	     (get_vars(on).noticed == 3 || fail("noticed without a link"));
	bpf_object__close(on);
	bpf_object__close(obj);
	return ok;
}

static bool callbacks_noticed(void)
{
	return unlistened(callback_noticed);
}

/*
 * Both run on the callback's return; each throws, which is an event, and has a callback, which is
 * one; that of each the other runs on; what that throws is none, nor is what its callback returns
 */
static bool callbacks_noticed_throwing(void)
{
	return noticed((const char *const []){ "notice_callback_throws",
					       "notice_callback_throws_too", NULL }, 4, 3);
}

/* --- bpfthrow ------------------------------------------------------------------------- */

static void read_file(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t len = f ? fread(text, 1, size - 1, f) : 0;

	text[len] = 0;
	if (f)
		fclose(f);
}

/* Where its standard output goes; -1: to OUT */
static int tool_stdout = -1;

static pid_t start_tool(const char *const *args)
{
	pid_t pid;

	unlink(OUT);
	unlink(ERR);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (tool_stdout < 0)
			tool_stdout = open(OUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(tool_stdout, 1);
		dup2(open(ERR, O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
		execvp("bpfthrow", (char *const *)args);
		_exit(127);
	}
	return pid;
}

static bool await_tool(void)
{
	for (int i = 0; i < 200; i++) {
		read_file(ERR, err, sizeof(err));
		if (strstr(err, "tracing, Ctrl-C"))
			return true;
		usleep(50000);
	}
	return fail("bpfthrow does not start: %s", err);
}

static int end_tool(pid_t pid, int signal)
{
	int status;

	if (signal)
		kill(pid, signal);
	waitpid(pid, &status, 0);
	read_file(OUT, out, sizeof(out));
	read_file(ERR, err, sizeof(err));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_tool(const char *const *args)
{
	return end_tool(start_tool(args), 0);
}

#define ARGS(...) ((const char *const []){ "bpfthrow", ##__VA_ARGS__, NULL })

static bool same(const char *text, const char *want)
{
	return !strcmp(text, want) || fail("expected:\n%sactual:\n%s", want, text);
}

#define OUTER(line, call)								\
	"\tthrough outer() at lines.bpf.c:" #line ": sum += " call "(x);\n"		\
	"\tthrough lines_of_throws() at lines.bpf.c:64: return outer(which) + 1;\n"	\
	"\treturned 0, in process context\n"
#define AT(line, text, func, call_line)							\
	"at lines.bpf.c:" #line ": " text "\n\tin " func "()\n" OUTER(call_line, func)
#define SHARED(n, func, lines, call_line)						\
	"in " func "(), at one of " #n " lines that share the throw\n" lines		\
	OUTER(call_line, func)
#define HINT "\t\t(define BPF_ASSERT_SITES to have each assertion named)\n"
#define WAY(line, text) "\t\tlines.bpf.c:" #line ": " text "\n"
#define NE(n) "bpf_assert_ne_value(x, " #n ", 7);"

/* What to say about each throw; @sites if each assertion has one of its own */
static const struct {
	__u64 which;
	int cookie;
	const char *said, *sites;
} throws[] = {
	{ 1, 7, SHARED(3, "shared", WAY(12, NE(1)) WAY(14, NE(2)) WAY(16, NE(3)) HINT, 52),
		AT(12, NE(1), "shared", 52) },
	{ 3, 7, SHARED(3, "shared", WAY(12, NE(1)) WAY(14, NE(2)) WAY(16, NE(3)) HINT, 52),
		AT(16, NE(3), "shared", 52) },
	{ 12, 8, AT(23, "bpf_assert_range_with(x, 20, 22, 8);", "range", 54), NULL },
	{ 23, 8, AT(23, "bpf_assert_range_with(x, 20, 22, 8);", "range", 54), NULL },
	{ 30, 9, AT(29, "bpf_assert_with(x != 30 && b != 2, 9);", "condition", 56), NULL },
	{ 40, 10, SHARED(2, "written", WAY(36, "if (x == 40)") WAY(39, "if (x == 41)"), 58), NULL },
	{ 42, 11, AT(43, "bpf_throw(11);", "written", 58), NULL },
};

static bool lines_of(const char *file)
{
	bool sites = strstr(file, "sites"), ok = true;
	struct bpf_object *obj =
		load(file, -1, NULL, (const char *const[]){ "lines_of_throws", NULL });
	char want[4096];
	pid_t pid;
	int fd;

	if (!obj)
		return false;
	fd = prog_fd(obj, "lines_of_throws");
	for (size_t i = 0; ok && i < ARRAY_SIZE(throws); i++) {
		__u64 which = throws[i].which;
		const char *said = sites && throws[i].sites ? throws[i].sites : throws[i].said;

		snprintf(want, sizeof(want), "prog %u \"lines_of_throws\" threw %d %s",
			 prog_info(fd).id, throws[i].cookie, said);
		pid = start_tool(ARGS("-n", "1"));
		ok = await_tool() && set_var(obj, ".data", &which);
		ok = ok && run(fd, IN_PROCESS, 1, 0);
		ok = !end_tool(pid, ok ? 0 : SIGTERM) && ok && same(out, want);
	}
	bpf_object__close(obj);
	return ok;
}

static bool lines(void)
{
	bool ok = true;

	for (int i = 0; lines_objects[i]; i++)
		ok = (lines_of(lines_objects[i]) || fail("%s", lines_objects[i])) && ok;
	return ok;
}

/* Whether one of the lines for the throw itself in bpfthrow's JSON @text is in the range */
static bool names(const char *text, __u32 first, __u32 last)
{
	const char *end = strstr(text, "\"through\"");
	__u32 line;

	text = strstr(text, "\"site\"");
	while (text && end && (text = strstr(text, "\"line\":")) && text < end) {
		text += strlen("\"line\":");
		line = strtoul(text, NULL, 10);
		if (line >= first && line <= last)
			return true;
	}
	return false;
}

struct truth {
	__u32 first, last;
};

/* Make it throw with each of its values; @thrown gets those that did */
static int throw_all(struct bpf_object *obj, int fd, struct truth *thrown)
{
	struct throw_event event;
	struct truth truth[64];
	int zero = 0, cnt = 0;

	if (bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(obj, ".rodata"), &zero, truth))
		return fail("no truth");
	for (__u64 which = 1; which < ARRAY_SIZE(truth) && truth[which - 1].first; which++) {
		struct test_run run = { .prog_fd = fd };

		if (!set_var(obj, ".data", &which) || ioctl(device, TEST_RUN, &run))
			return fail("cannot run: %s", strerror(errno));
		if (read_events(&event, 1))
			thrown[cnt++] = truth[which - 1];
	}
	return cnt;
}

static bool generated_in(const char *file, int *throws)
{
	struct bpf_object *obj = load(file, -1, NULL, (const char *const []){ "generated", NULL });
	struct truth thrown[64];
	char *line, *rest = out;
	int cnt = 0, i = 0;
	bool ok = obj;
	pid_t pid;

	if (!obj)
		return false;
	pid = start_tool(ARGS("--json"));
	ok = await_tool();
	if (ok)
		cnt = throw_all(obj, prog_fd(obj, "generated"), thrown);
	/* by then it has seen the program, which must still be there for that */
	for (int wait = 0; wait < 100; wait++, usleep(20000)) {
		read_file(OUT, out, sizeof(out));
		for (i = 0, line = out; (line = strchr(line, '\n')); line++)
			i++;
		if (i >= cnt)
			break;
	}
	ok = !end_tool(pid, SIGINT) && ok && (cnt || fail("no throw"));
	for (i = 0; ok && i < cnt && (line = strsep(&rest, "\n")); i++)
		ok = names(line, thrown[i].first, thrown[i].last) ||
		     fail("line %u is the one: %s", thrown[i].first, line);
	*throws += cnt;
	bpf_object__close(obj);
	return ok && (i == cnt || fail("%d of %d throws", i, cnt));
}

/* Whatever the compiler did, the right line is named, or is among those that are listed */
static bool generated(void)
{
	bool ok = true;
	int throws = 0;

	for (int i = 0; generated_objects[i]; i++)
		ok = (generated_in(generated_objects[i], &throws) ||
		      fail("%s", generated_objects[i])) && ok;
	printf("# %d throws\n", throws);
	return ok && throws;
}

static bool set_sysctl(const char *path, char value)
{
	int fd = open(path, O_WRONLY);
	bool ok = write(fd, &value, 1) == 1;

	close(fd);
	return ok || fail("cannot write %s", path);
}

/* No line is better than a wrong one, and bpfthrow says why */
static bool lineless(const char *sysctl, char value, const char *reason)
{
	struct bpf_object *obj;
	__u64 which = 1;
	char want[512];
	pid_t pid;
	bool ok;

	if (!set_sysctl(sysctl, value))
		return false;
	obj = load(lines_objects[0], -1, NULL, (const char *const []){ "lines_of_throws", NULL });
	pid = start_tool(ARGS("-n", "1"));
	ok = await_tool() && obj && set_var(obj, ".data", &which) &&
	     run(prog_fd(obj, "lines_of_throws"), IN_PROCESS, 1, 0);
	ok = !end_tool(pid, ok ? 0 : SIGTERM) && ok;
	snprintf(want, sizeof(want),
		 "prog %u \"lines_of_throws\" threw 7 in shared()\n\tthrough outer()\n"
		 "\tthrough lines_of_throws()\n\treturned 0, in process context\n",
		 obj ? prog_info(prog_fd(obj, "lines_of_throws")).id : 0);
	bpf_object__close(obj);
	return set_sysctl(sysctl, '0') && ok && same(out, want) &&
	       (strstr(err, reason) || fail("%s", err));
}

static bool blinded(void)
{
	return lineless("/proc/sys/net/core/bpf_jit_harden", '2', "net.core.bpf_jit_harden");
}

static bool hidden(void)
{
	return lineless("/proc/sys/kernel/kptr_restrict", '2', "kernel.kptr_restrict");
}

static int instances(void)
{
	glob_t found;
	int cnt;

	glob("/sys/kernel/tracing/instances/bpfthrow-*", 0, NULL, &found);
	cnt = found.gl_pathc;
	globfree(&found);
	return cnt;
}

static bool interrupted(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	int before = instances();

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t pid = start_tool(ARGS());
		bool ok = await_tool();

		ok = ok && (instances() == before + 1 || fail("no instance"));
		ok = !end_tool(pid, signals[i]) && ok;
		if (!ok || instances() != before)
			return fail("signal %d: %d instances are left", signals[i],
				    instances() - before);
	}
	return true;
}

/* If it gets SIGKILL it can't clean up; the next one does */
static bool killed(void)
{
	int before = instances();
	pid_t pid = start_tool(ARGS());
	bool ok = await_tool();

	end_tool(pid, SIGKILL);
	ok = ok && (instances() == before + 1 || fail("no instance is left"));
	return !run_tool(ARGS("-t", "0.1")) && ok &&
	       (instances() == before || fail("%d instances are left", instances() - before));
}

static bool output_closed(void)
{
	struct bpf_object *obj = LOAD("from_7");
	int before = instances(), status, fds[2];
	pid_t pid;
	bool ok;

	if (!obj || pipe2(fds, O_CLOEXEC))
		return false;
	tool_stdout = fds[1];
	pid = start_tool(ARGS());
	tool_stdout = -1;
	close(fds[1]);
	ok = await_tool();
	close(fds[0]);
	ok = ok && run(prog_fd(obj, "from_7"), IN_PROCESS, 5, 0);
	status = end_tool(pid, ok ? 0 : SIGTERM);
	bpf_object__close(obj);
	if (ok && (status != 1 || !strstr(err, "cannot write the output")))
		ok = fail("status %d, %s", status, err);
	return ok && (instances() == before || fail("the instance is left"));
}

/* In the formats of tracefs and of perf script */
static bool is_gone(const struct throw_event *event, const char *places)
{
	FILE *f = fopen("/tmp/event", "w");
	char want[512];

	fprintf(f, "# a comment\n x-1 [0] ..... 1.0: bpf_throw: id=%u name=from_1_cb tag=%s cookie=21 depth=1 context=process callback=1 ret=0 key=5e1f places=", event->id, event->tag);
	fprintf(f, places, (__u64)event->places[0].func << 32 | event->places[0].off,
		(__u64)event->places[1].off);
	fprintf(f, " x-1 [0] ..... 1.1: bpf_exception_callback: id=%u name=from_1_cb tag=%s cookie=21 ret=42 key=5e1f\n", event->id, event->tag);
	fclose(f);
	snprintf(want, sizeof(want),
		 "prog %u \"from_1_cb\" threw 21 in function %u+%#x\n\tthrough function 0+%#x\n"
		 "\tcallback returned 42, in process context; the program is gone\n",
		 event->id, event->places[0].func, event->places[0].off, event->places[1].off);
	return !run_tool(ARGS("-i", "/tmp/event")) && same(out, want);
}

static bool program_gone(void)
{
	struct bpf_object *obj = LOAD("from_1_cb");
	struct vars vars = { .cookie = 21 };
	struct throw_event event;
	bool ok;

	if (!obj)
		return false;
	ok = set_var(obj, ".bss", &vars) && run(prog_fd(obj, "from_1_cb"), IN_PROCESS, 1, 42) &&
	     read_events(&event, 1) == 1;
	bpf_object__close(obj);
	usleep(500000);
	return ok && is_gone(&event, "{0x%llx,0x%llx}\n") && is_gone(&event, "%llu %llu\n");
}

/* A throw, and a callback that has returned, in the format of tracefs */
#define THROWN(cookie, callback, key)								\
	" x-1 [0] ..... 1.0: bpf_throw: id=0 name=none tag=0123456789abcdef cookie=" #cookie	\
	" depth=0 context=process callback=" #callback " ret=0 key=" #key " places={0x10}\n"
#define CALLED(cookie, ret, key)								\
	" x-1 [0] ..... 1.0: bpf_exception_callback: id=0 name=none tag=0123456789abcdef"	\
	" cookie=" #cookie " ret=" #ret " key=" #key "\n"
#define SAID(cookie, what)									\
	"prog 0 \"none\" threw " #cookie " in function 0+0x10\n\t" what			\
	", in process context; the program is gone\n"
#define UNSEEN "what the callback returned wasn't seen"

static const struct {
	const char *lines, *said;
} joins[] = {
	/* a throw during another one's callback */
	{ THROWN(1, 1, aa) THROWN(2, 1, bb) CALLED(2, -5, bb) CALLED(1, 6, aa),
	  SAID(2, "callback returned -5") SAID(1, "callback returned 6") },
	{ THROWN(1, 1, aa) THROWN(2, 0, bb) CALLED(1, 6, aa),
	  SAID(2, "returned 0") SAID(1, "callback returned 6") },
	/* the second of the first throw is lost, and so is the first of the third */
	{ THROWN(1, 1, aa) THROWN(2, 1, aa) CALLED(2, 7, aa) CALLED(3, 8, aa),
	  SAID(1, UNSEEN) SAID(2, "callback returned 7") },
	{ THROWN(1, 1, aa) THROWN(2, 1, bb), SAID(1, UNSEEN) SAID(2, UNSEEN) },
};

static bool joined(void)
{
	FILE *f;

	for (size_t i = 0; i < ARRAY_SIZE(joins); i++) {
		f = fopen("/tmp/event", "w");
		fputs(joins[i].lines, f);
		fclose(f);
		if (run_tool(ARGS("-i", "/tmp/event")) || !same(out, joins[i].said))
			return false;
	}
	return run_tool(ARGS("-j", "-i", "/tmp/event")) == 0 &&
	       (strstr(out, "\"callback\":true,\"returned\":null,") || fail("%s", out));
}

static bool counts(void)
{
	struct bpf_object *obj = LOAD("from_main", "from_1_cb");
	struct vars vars = { .cookie = 2 };
	pid_t pid;
	bool ok;

	if (!obj)
		return false;
	pid = start_tool(ARGS("--counts", "-n", "30"));
	ok = await_tool() && set_var(obj, ".bss", &vars) &&
	     run(prog_fd(obj, "from_main"), IN_PROCESS, 10, 0) &&
	     run(prog_fd(obj, "from_1_cb"), IN_NMI, 20, 4);
	ok = !end_tool(pid, ok ? 0 : SIGTERM) && ok;
	ok = ok &&
	     ((strstr(out, "        20 ") && strstr(out, "at trace.bpf.c:58: bpf_throw(a);") &&
	       strstr(out, "        10 ") &&
	       strstr(out, "at trace.bpf.c:63: bpf_throw(vars.cookie);")) ||
	      fail("%s", out));
	bpf_object__close(obj);
	return ok;
}

static bool filtered(void)
{
	struct bpf_object *obj = LOAD("from_main", "from_1");
	char id[16];
	pid_t pid;
	bool ok;

	if (!obj)
		return false;
	snprintf(id, sizeof(id), "%u", prog_info(prog_fd(obj, "from_1")).id);
	pid = start_tool(ARGS("-p", id, "-n", "1"));
	ok = await_tool() && run(prog_fd(obj, "from_main"), IN_PROCESS, 1, 0) &&
	     run(prog_fd(obj, "from_1"), IN_PROCESS, 1, 0);
	ok = !end_tool(pid, ok ? 0 : SIGTERM) && ok;
	ok = ok && ((strstr(out, "\"from_1\"") && !strstr(out, "from_main")) || fail("%s", out));
	bpf_object__close(obj);
	return ok;
}

static bool events_lost(void)
{
	struct bpf_object *obj = LOAD("from_7");
	unsigned long lost = 0, printed = 0;
	const char *text;
	pid_t pid;
	bool ok;

	if (!obj)
		return false;
	pid = start_tool(ARGS("-b", "8"));
	ok = await_tool();
	/* it can't read in the meantime */
	kill(pid, SIGSTOP);
	ok = ok && run(prog_fd(obj, "from_7"), IN_PROCESS, 1000, 0);
	kill(pid, SIGCONT);
	ok = !end_tool(pid, SIGINT) && ok;
	for (text = out; (text = strstr(text, "prog ")); text++)
		printed++;
	text = strstr(err, "events were lost in total");
	while (text && text > err && text[-1] != '\n')
		text--;
	if (!text || sscanf(text, "bpfthrow: %lu", &lost) != 1 || lost + printed != 1000)
		ok = fail("%lu printed, %lu lost, expected 1000 together: %s", printed, lost, err);
	bpf_object__close(obj);
	return ok;
}

static bool list(void)
{
	struct bpf_object *obj = LOAD("from_main", "from_1", "replaced_in");
	char want[512];
	bool ok;

	if (!obj)
		return false;
	ok = run(prog_fd(obj, "from_1"), IN_PROCESS, 12, 0) && !run_tool(ARGS("--list"));
	snprintf(want, sizeof(want),
		 "  prog     throws type         name\n%6u %10d xdp          from_main\n"
		 "%6u %10d xdp          from_1\n", prog_info(prog_fd(obj, "from_main")).id, 0,
		 prog_info(prog_fd(obj, "from_1")).id, 12);
	ok = ok && same(out, want);
	bpf_object__close(obj);
	return ok;
}

static bool json(void)
{
	struct bpf_object *obj = LOAD("from_1_cb");
	struct vars vars = { .cookie = 2 };
	char want[256];
	pid_t pid;
	bool ok;

	if (!obj)
		return false;
	pid = start_tool(ARGS("--json", "-n", "1"));
	ok = await_tool() && set_var(obj, ".bss", &vars) &&
	     run(prog_fd(obj, "from_1_cb"), IN_SOFTIRQ, 1, 4);
	ok = !end_tool(pid, ok ? 0 : SIGTERM) && ok;
	snprintf(want, sizeof(want), "{\"id\":%u,\"name\":\"from_1_cb\",\"tag\":\"",
		 prog_info(prog_fd(obj, "from_1_cb")).id);
	ok = ok &&
	     ((!strncmp(out, want, strlen(want)) &&
	       strstr(out,
		      "\"cookie\":2,\"callback\":true,\"returned\":4,\"context\":\"softirq\"") &&
	       strstr(out, "\"function\":\"thrower\"") && strstr(out, "\"line\":58,") &&
	       strstr(out, "\"text\":\"bpf_throw(a);\"")) ||
	      fail("%s", out));
	bpf_object__close(obj);
	return ok;
}

static bool released(void)
{
	struct bpf_object *obj = LOAD("holds_two");
	struct vars vars = { .cookie = 3 };
	static const char *const formats[] = { NULL, "--json" };
	static const char *const want[] = {
		"\treleased: 2 ringbuf records\n\tcallback returned 6, in process context\n",
		",\"released\":{\"locks\":0,\"sockets\":0,\"records\":2,\"dynptrs\":0,\"objects\":0}}\n",
	};
	bool ok = obj;

	for (int i = 0; ok && i < 2; i++) {
		pid_t pid = start_tool(ARGS("-n", "1", formats[i]));

		ok = await_tool() && set_var(obj, ".bss", &vars) &&
		     run(prog_fd(obj, "holds_two"), IN_PROCESS, 1, 6);
		ok = !end_tool(pid, ok ? 0 : SIGTERM) && ok;
		ok = ok && (strstr(out, want[i]) || fail("%s", out));
	}
	bpf_object__close(obj);
	return ok;
}

static bool says(const char *const *args, const char *text)
{
	int status = run_tool(args);

	return (status > 0 && strstr(err, text) && strchr(err, '\n') == err + strlen(err) - 1) ||
	       fail("status %d, expected the line '%s':\n%s", status, text, err);
}

static bool bad_input(void)
{
	FILE *f = fopen("/tmp/not-a-trace", "w");
	bool ok;
	pid_t pid;
	int status = 0;

	fprintf(f, "hello\n");
	fclose(f);
	ok = says(ARGS("-n", "x"), "--number takes a number") &&
	     says(ARGS("what"), "unknown argument 'what'") &&
	     says(ARGS("-b", "0"), "--buffer takes a number") &&
	     says(ARGS("-i", "/tmp/none"), "cannot read /tmp/none: No such file") &&
	     says(ARGS("-i", "/tmp/not-a-trace"), "has no bpf_throw event");
	if (!ok)
		return false;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* nobody may not even see what there is */
		if (setgid(1) || setuid(1))
			_exit(2);
		unlink(ERR);
		_exit(WEXITSTATUS(system("bpfthrow 2>/tmp/nobody.err")));
	}
	waitpid(pid, &status, 0);
	read_file("/tmp/nobody.err", err, sizeof(err));
	return (status && strstr(err, "run it as root")) || fail("as nobody: %d, %s", status, err);
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

		if (only && strcmp(only, tests[i].name))
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
