// SPDX-License-Identifier: GPL-2.0-only
/* Tests of bpfthrow: what it prints for throws whose places are known, and how it ends */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
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

#define OUT "/tmp/bpfthrow.out"
#define ERR "/tmp/bpfthrow.err"

static char out[1 << 16], err[1 << 16];

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

bool lines(void)
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
bool generated(void)
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

bool blinded(void)
{
	return lineless("/proc/sys/net/core/bpf_jit_harden", '2', "net.core.bpf_jit_harden");
}

bool hidden(void)
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

bool interrupted(void)
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
bool killed(void)
{
	int before = instances();
	pid_t pid = start_tool(ARGS());
	bool ok = await_tool();

	end_tool(pid, SIGKILL);
	ok = ok && (instances() == before + 1 || fail("no instance is left"));
	return !run_tool(ARGS("-t", "0.1")) && ok &&
	       (instances() == before || fail("%d instances are left", instances() - before));
}

bool output_closed(void)
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

bool program_gone(void)
{
	struct bpf_object *obj = LOAD("from_1_cb");
	struct vars vars = { .cookie = 21 };
	struct throw_event event;
	bool ok;
	int fd;

	if (!obj)
		return false;
	ok = set_var(obj, ".bss", &vars) && run(prog_fd(obj, "from_1_cb"), IN_PROCESS, 1, 42) &&
	     read_events(&event, 1) == 1;
	bpf_object__close(obj);
	/* it goes after a grace period */
	for (int i = 0; ok && i < 100 && (fd = bpf_prog_get_fd_by_id(event.id)) >= 0; i++) {
		close(fd);
		usleep(100000);
	}
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

bool joined(void)
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

bool counts(void)
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

bool filtered(void)
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

bool events_lost(void)
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

bool list(void)
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

bool json(void)
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

bool released(void)
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

bool bad_input(void)
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
