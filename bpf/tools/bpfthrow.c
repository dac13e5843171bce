// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpfthrow - show which BPF programs throw, and where
 *
 * Prints each throw of a BPF program as it happens: the program, what it threw, the line that
 * threw, and the calls it was thrown through.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "prog.h"
#include "trace.h"

static const char usage[] =
"usage: bpfthrow [OPTION]...          print throws as they happen, until interrupted\n"
"       bpfthrow --list               list loaded programs that can throw, and how often they have\n"
"\n"
"  -c, --counts      count throws by where they came from, and print a table at the end\n"
"  -p, --prog ID     only throws of this program\n"
"  -n, --number N    stop after N throws\n"
"  -t, --time SEC    stop after SEC seconds\n"
"  -b, --buffer KB   size of each processor's trace buffer\n"
"  -i, --input FILE  read the output of trace_pipe, trace-cmd or perf script (- is standard input)\n"
"  -l, --list        see above\n"
"  -j, --json        print a JSON object per line, with full paths\n"
"  -h, --help        print this\n"
"\n"
"Assertions in one function that throw the same value share a throw: then all their lines are\n"
"listed. Define BPF_ASSERT_SITES before including bpf_exceptions.h to have each named.\n"
"\n"
"Throws are traced through tracing/instances/bpfthrow-PID, which is removed at the end.\n"
"Exit status: 0 done, 1 failed with one line that says why, 2 bad arguments.\n";

static struct {
	bool counts, list, json;
	__u32 prog;
	unsigned long number;
	double time;
	const char *buffer, *input;
} options;

static volatile sig_atomic_t stop;
static unsigned long thrown;

static int fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "bpfthrow: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	return 1;
}

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* --- for people ----------------------------------------------------------------------- */

static void print_func(const struct prog *prog, struct place place)
{
	const char *name = prog_func(prog, place);

	if (name)
		printf("%s()", name);
	else
		printf("function %u+%#x", place.func, place.off);
}

static void print_line(struct line line)
{
	if (line.number)
		printf("%s:%u: %s", base(line.path), line.number, line.text);
	else
		printf("line unknown");
}

static void print_site(const struct prog *prog, const struct site *site, struct place place)
{
	if (site->line.number) {
		printf("at ");
		print_line(site->line);
		return;
	}
	printf("in ");
	print_func(prog, place);
	if (site->nr_ways > 1)
		printf(", at one of %d lines that share the throw", site->nr_ways);
	if (site->nr_ways == 1) {
		printf(", after ");
		print_line(site->ways[0]);
	}
}

static void print_ways(const struct site *site)
{
	bool assertions = false;

	if (site->nr_ways < 2)
		return;
	for (int i = 0; i < site->nr_ways; i++) {
		printf("\t\t");
		print_line(site->ways[i]);
		printf("\n");
		assertions |= !!strcasestr(site->ways[i].text, "assert");
	}
	if (assertions)
		printf("\t\t(define BPF_ASSERT_SITES to have each assertion named)\n");
}

static void print_frames(const struct throw_event *event, const struct prog *prog)
{
	struct line line;

	for (__u32 i = 1; i <= event->depth; i++) {
		printf("\tthrough ");
		print_func(prog, event->places[i]);
		line = prog_call(prog, event->places[i]);
		if (line.number) {
			printf(" at ");
			print_line(line);
		}
		printf("\n");
	}
}

static void print_held(const struct throw_event *event)
{
	static const char *const names[HELD_KINDS] = {
		"lock", "socket", "ringbuf record", "ringbuf dynptr", "object",
	};
	const char *before = "\treleased: ";

	for (int i = 0; i < HELD_KINDS; i++) {
		if (!event->held[i])
			continue;
		printf("%s%u %s%s", before, event->held[i], names[i], event->held[i] > 1 ? "s" : "");
		before = ", ";
	}
	if (*before == ',')
		printf("\n");
}

/* Programs return an int; ignore the upper half */
static void print_event(const struct throw_event *event, const struct prog *prog,
			const struct site *site)
{
	printf("prog %u \"%s\" threw %lld ", event->id, prog_name(prog), event->cookie);
	print_site(prog, site, event->places[0]);
	printf("\n");
	print_ways(site);
	if (site->line.number && prog_func(prog, event->places[0]))
		printf("\tin %s()\n", prog_func(prog, event->places[0]));
	print_frames(event, prog);
	print_held(event);
	if (event->returned)
		printf("\t%s %d", event->callback ? "callback returned" : "returned",
		       (int)event->ret);
	else
		printf("\twhat the callback returned wasn't seen");
	printf(", in %s context%s%s\n", event->context, prog->gone ? "; " : "",
	       prog->gone ?: "");
}

/* --- for programs --------------------------------------------------------------------- */

static void json_string(const char *name, const char *text)
{
	printf("\"%s\":\"", name);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void json_line(struct line line)
{
	if (!line.number)
		return;
	putchar(',');
	json_string("file", line.path);
	printf(",\"line\":%u,", line.number);
	json_string("text", line.text);
}

static void json_place(const struct prog *prog, struct place place)
{
	const char *name = prog_func(prog, place);

	printf("\"func\":%u,\"offset\":%u", place.func, place.off);
	if (name) {
		putchar(',');
		json_string("function", name);
	}
}

static void json_prog(const struct prog *prog)
{
	printf("\"id\":%u,", prog->id);
	json_string("name", prog_name(prog));
	putchar(',');
	json_string("tag", prog->tag);
	printf(",\"gone\":%s", prog->gone ? "true" : "false");
}

static void json_site(const struct prog *prog, const struct site *site, struct place place)
{
	json_place(prog, place);
	json_line(site->line);
	printf(",\"shared\":%s,\"lines\":[", site->nr_ways ? "true" : "false");
	for (int i = 0; i < site->nr_ways; i++) {
		printf("%s{\"shared\":true", i ? "," : "");
		json_line(site->ways[i]);
		putchar('}');
	}
	putchar(']');
}

static void json_event(const struct throw_event *event, const struct prog *prog,
		       const struct site *site)
{
	printf("{");
	json_prog(prog);
	printf(",\"cookie\":%llu,\"callback\":%s,", event->cookie,
	       event->callback ? "true" : "false");
	if (event->returned)
		printf("\"returned\":%d,", (int)event->ret);
	else
		printf("\"returned\":null,");
	printf("\"context\":\"%s\",\"site\":{", event->context);
	json_site(prog, site, event->places[0]);
	printf("},\"through\":[");
	for (__u32 i = 1; i <= event->depth; i++) {
		printf("%s{", i > 1 ? "," : "");
		json_place(prog, event->places[i]);
		json_line(prog_call(prog, event->places[i]));
		putchar('}');
	}
	printf("],\"released\":{\"locks\":%u,\"sockets\":%u,\"records\":%u,\"dynptrs\":%u,\"objects\":%u}}\n",
	       event->held[HELD_LOCK], event->held[HELD_SOCKET], event->held[HELD_RECORD],
	       event->held[HELD_DYNPTR], event->held[HELD_OBJECT]);
}

/* --- counts --------------------------------------------------------------------------- */

struct count {
	struct count *next;
	const struct prog *prog;
	struct place place;
	struct site site;
	unsigned long throws;
};

static struct count *counts;

/* The site is looked up once, at the first throw from there */
static struct count *find_count(const struct prog *prog, struct place place)
{
	struct count *count;

	for (count = counts; count; count = count->next)
		if (count->prog == prog && count->place.func == place.func &&
		    count->place.off == place.off)
			return count;
	count = calloc(1, sizeof(*count));
	count->prog = prog;
	count->place = place;
	count->site = prog_site(prog, place);
	count->next = counts;
	counts = count;
	return count;
}

static struct count *most(void)
{
	struct count *best = counts;

	for (struct count *count = counts; count; count = count->next)
		if (count->throws > best->throws)
			best = count;
	return best && best->throws ? best : NULL;
}

static void print_counts(void)
{
	struct count *count;

	if (!options.json)
		printf("%10s %6s %-24s %s\n", "throws", "prog", "name", "where");
	for (; (count = most()); count->throws = 0) {
		if (options.json) {
			printf("{\"throws\":%lu,\"prog\":{", count->throws);
			json_prog(count->prog);
			printf("},\"site\":{");
			json_site(count->prog, &count->site, count->place);
			printf("}}\n");
			continue;
		}
		printf("%10lu %6u %-24s ", count->throws, count->prog->id, prog_name(count->prog));
		print_site(count->prog, &count->site, count->place);
		printf("%s%s\n", count->prog->gone ? "; " : "", count->prog->gone ?: "");
		print_ways(&count->site);
	}
}

/* --- events --------------------------------------------------------------------------- */

/* Once for each reason, which is a constant string */
static void note_lineless(const struct prog *prog)
{
	static const char *noted[4];

	for (size_t i = 0; prog->lineless && i < 4; i++) {
		if (noted[i] == prog->lineless)
			return;
		if (noted[i])
			continue;
		noted[i] = prog->lineless;
		fail("prog %u \"%s\": no lines: %s", prog->id, prog_name(prog), prog->lineless);
		return;
	}
}

static void handle_event(const struct throw_event *event)
{
	const struct prog *prog = prog_find(event);
	struct count *count = find_count(prog, event->places[0]);

	if (options.prog && event->id != options.prog)
		return;
	note_lineless(prog);
	count->throws++;
	thrown++;
	if (options.json && !options.counts)
		json_event(event, prog, &count->site);
	else if (!options.counts)
		print_event(event, prog, &count->site);
	stop |= options.number && thrown == options.number;
}

static void handle_line(const char *line)
{
	struct throw_event event;
	unsigned long lost;
	enum trace_line what = trace_parse(line, &event, &lost);

	switch (what) {
	case TRACE_THROW:
	case TRACE_CALLBACK:
		if (what == TRACE_THROW)
			prog_find(&event); /* while it is there */
		if (trace_join(what, &event))
			handle_event(&event);
		break;
	case TRACE_LOST:
		if (lost)
			fail("%lu events were lost here, as the buffer was full; use a larger one: --buffer KB",
			     lost);
		else
			fail("events were lost here, as the buffer was full; use a larger one: --buffer KB");
		break;
	case TRACE_BAD:
		fail("an event that this version doesn't know; build it and the module from one version: %s",
		     line);
		break;
	case TRACE_OTHER:
		break;
	}
}

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static bool enough(void)
{
	return options.number && thrown >= options.number;
}

/* Read all lines that are there; a read doesn't return partial ones */
static bool read_events(void)
{
	static char buf[1 << 16];
	char *line, *rest = buf;
	ssize_t len = read(trace_fd(), buf, sizeof(buf) - 1);

	if (len <= 0)
		return false;
	buf[len] = 0;
	while (!enough() && (line = strsep(&rest, "\n")))
		handle_line(line);
	return true;
}

static void follow(const sigset_t *unblocked)
{
	struct pollfd pollfd = { .fd = trace_fd(), .events = POLLIN };
	struct timespec tick = { .tv_nsec = 200000000 };
	double end = options.time ? now() + options.time : 0;

	while (!stop && !ferror(stdout) && !(end && now() >= end)) {
		ppoll(&pollfd, 1, &tick, unblocked);
		read_events();
	}
}

/* Wait for callbacks that are still running, but not for long, as others may throw and return */
static void read_rest(void)
{
	double end = now() + 1;
	struct throw_event event;

	while (!ferror(stdout) && !enough() && now() < end) {
		if (read_events())
			continue;
		if (!trace_pending())
			break;
		usleep(10000);
	}
	trace_stop_callbacks();
	while (!ferror(stdout) && !enough() && read_events())
		;
	while (!ferror(stdout) && !enough() && trace_unjoined(&event))
		handle_event(&event);
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

/* Signals only arrive in ppoll(), so that the trace is always removed. SIGPIPE is an error of
 * stdout like any other.
 */
static void catch_signals(sigset_t *unblocked)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], &action, NULL);
		sigaddset(&blocked, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigdelset(unblocked, signals[i]);
	signal(SIGPIPE, SIG_IGN);
}

static int trace(void)
{
	unsigned long lost;
	sigset_t unblocked;

	catch_signals(&unblocked);
	if (trace_open(options.prog, options.buffer))
		return 1;
	fprintf(stderr, "bpfthrow: tracing, Ctrl-C to stop\n");
	follow(&unblocked);
	trace_stop();
	read_rest();
	lost = trace_lost();
	trace_close();
	if (options.counts)
		print_counts();
	if (lost)
		fail("%lu events were lost in total, as the buffer was full; use a larger one: --buffer KB",
		     lost);
	return 0;
}

static int read_input(void)
{
	bool std = !strcmp(options.input, "-");
	struct throw_event event;
	FILE *f = std ? stdin : fopen(options.input, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (!f)
		return fail("cannot read %s: %s", options.input, strerror(errno));
	while (!stop && !ferror(stdout) && (len = getline(&line, &size, f)) >= 0) {
		if (len && line[len - 1] == '\n')
			line[len - 1] = 0;
		handle_line(line);
	}
	while (!stop && !ferror(stdout) && trace_unjoined(&event))
		handle_event(&event);
	free(line);
	if (!std)
		fclose(f);
	if (options.counts && thrown)
		print_counts();
	return thrown ?
		       0 :
		       fail("%s has no bpf_throw event; give what trace_pipe or perf script printed",
			    options.input);
}

/* --- the list ------------------------------------------------------------------------- */

static void list_prog(int fd, __u32 id, bool *any)
{
	long long throws = prog_throws(fd);
	struct prog *prog;
	const char *type;

	if (throws < 0)
		return;
	prog = prog_read(fd, id);
	type = libbpf_bpf_prog_type_str(prog->info.type) ?: "?";
	if (options.json) {
		printf("{");
		json_prog(prog);
		printf(",\"type\":\"%s\",\"throws\":%lld}\n", type, throws);
	} else {
		if (!*any)
			printf("%6s %10s %-12s %s\n", "prog", "throws", "type", "name");
		printf("%6u %10lld %-12s %s\n", id, throws, type, prog_name(prog));
	}
	*any = true;
}

static int list(void)
{
	bool any = false;
	__u32 id = 0;
	int fd;

	while (!bpf_prog_get_next_id(id, &id)) {
		fd = bpf_prog_get_fd_by_id(id);
		if (fd < 0)
			continue; /* gone meanwhile */
		list_prog(fd, id, &any);
		close(fd);
	}
	if (errno == EPERM)
		return fail("only root may look at programs: run it as root");
	if (errno != ENOENT)
		return fail("cannot list programs: %s", strerror(errno));
	if (!any && !options.json)
		fprintf(stderr, "bpfthrow: no program that can throw is loaded\n");
	return 0;
}

/* --- the command line ----------------------------------------------------------------- */

static const struct option long_options[] = {
	{ "counts", no_argument, NULL, 'c' },
	{ "prog", required_argument, NULL, 'p' },
	{ "number", required_argument, NULL, 'n' },
	{ "time", required_argument, NULL, 't' },
	{ "buffer", required_argument, NULL, 'b' },
	{ "input", required_argument, NULL, 'i' },
	{ "list", no_argument, NULL, 'l' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{}
};

static double number(const char *text, const char *option, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most)) {
		fail("--%s takes a number from %.10g to %.10g, not '%s'", option, least, most,
		     text);
		exit(2);
	}
	return value;
}

static void parse_options(int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "cp:n:t:b:i:ljh", long_options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			options.counts = true;
			break;
		case 'p':
			options.prog = number(optarg, "prog", 1, 0xffffffff);
			break;
		case 'n':
			options.number = number(optarg, "number", 1, 1e15);
			break;
		case 't':
			options.time = number(optarg, "time", 0.1, 1e9);
			break;
		case 'b':
			number(optarg, "buffer", 1, 1e7);
			options.buffer = optarg;
			break;
		case 'i':
			options.input = optarg;
			break;
		case 'l':
			options.list = true;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fail("unknown argument '%s'; see --help", argv[optind]);
		exit(2);
	}
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

int main(int argc, char **argv)
{
	int status;

	parse_options(argc, argv);
	libbpf_set_print(silent);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	status = options.list ? list() : options.input ? read_input() : trace();
	if (fflush(stdout) || ferror(stdout))
		return fail("cannot write the output: nobody reads it, or its file system is full");
	return status;
}
