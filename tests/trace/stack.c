// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a stack trace taken at the event bpf_throw shows, for everything that can take one; and how
 * deep on the stack the exception callback runs in the meantime.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../symbols.h"
#include "trace.h"

#define INSTANCE "/sys/kernel/tracing/instances/stack-traces/"
#define EVENT "events/bpf_exceptions/bpf_throw/"
#define CALLBACK_EVENT "events/bpf_exceptions/bpf_exception_callback/"
#define MAX_ENTRIES 64

/* Names of functions, the innermost first; "?" if there is none */
struct chain {
	int cnt;
	char names[MAX_ENTRIES][64];
};

static void add(struct chain *chain, const char *name)
{
	if (chain->cnt < MAX_ENTRIES)
		snprintf(chain->names[chain->cnt++], sizeof(chain->names[0]), "%s", name);
}

static bool put(const char *file, const char *text)
{
	char path[256];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), INSTANCE "%s", file);
	fd = open(path, O_WRONLY | O_TRUNC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok || fail("cannot write '%s' to %s: %s", text, path, strerror(errno));
}

/* --- names of addresses ----------------------------------------------------------------- */

struct symbol {
	__u64 address;
	char name[64];
};

static struct symbol *symbols;
static size_t nr_symbols;

static int by_address(const void *a, const void *b)
{
	const struct symbol *sa = a, *sb = b;

	return sa->address < sb->address ? -1 : sa->address > sb->address;
}

/* This includes programs and trampolines, for as long as they exist */
static void read_symbols(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	static size_t room;
	char line[512];

	nr_symbols = 0;
	while (f && fgets(line, sizeof(line), f)) {
		struct symbol symbol;
		char type;

		if (sscanf(line, "%llx %c %63s", &symbol.address, &type, symbol.name) != 3 ||
		    !strchr("tT", type))
			continue;
		if (nr_symbols == room) {
			room = room ? 2 * room : 1 << 15;
			symbols = realloc(symbols, room * sizeof(*symbols));
		}
		symbols[nr_symbols++] = symbol;
	}
	if (f)
		fclose(f);
	qsort(symbols, nr_symbols, sizeof(*symbols), by_address);
}

/* For a return address, which may be one past the end of the function */
static const char *name_of(__u64 address)
{
	size_t low = 0, high = nr_symbols;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (symbols[mid].address < address)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? symbols[low - 1].name : "?";
}

/* --- a stack trace by a trigger --------------------------------------------------------- */

static bool start_trigger(void)
{
	mkdir(INSTANCE, 0700);
	return put(EVENT "trigger", "stacktrace") && put(EVENT "enable", "1");
}

static bool read_trigger(struct chain *chain)
{
	FILE *f = fopen(INSTANCE "trace", "r");
	char line[512], name[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " => %63s", name) == 1)
			add(chain, name);
	if (f)
		fclose(f);
	return put("trace", "");
}

static void stop_trigger(void)
{
	put(EVENT "enable", "0");
	put(EVENT "trigger", "!stacktrace");
	rmdir(INSTANCE);
}

/* --- by a BPF program ------------------------------------------------------------------- */

static struct {
	const char *name, *map;
	struct bpf_object *obj;
	struct bpf_link *link;
} programs[] = {
	{ .name = "get_stack", .map = "stack" },
	{ .name = "get_stackid", .map = "stacks" },
};

static struct bpf_link *attach(struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = obj ? bpf_object__find_program_by_name(obj, name) : NULL;
	struct bpf_link *link = prog ? bpf_program__attach(prog) : NULL;

	if (!link)
		fail("cannot attach %s: %s", name, strerror(errno));
	return link;
}

static bool start_program(int i)
{
	programs[i].obj = LOAD(programs[i].name);
	programs[i].link = attach(programs[i].obj, programs[i].name);
	return programs[i].link;
}

/* Its map has the key or an error */
static bool read_program(int i, struct chain *chain)
{
	int map = bpf_object__find_map_fd_by_name(programs[i].obj, programs[i].map);
	int key = get_vars(programs[i].obj).told;
	__u64 ips[MAX_ENTRIES] = {};

	if (key < 0 || bpf_map_lookup_elem(map, &key, ips))
		return fail("%s took no stack: %d", programs[i].name, key);
	for (int j = 0; j < MAX_ENTRIES && ips[j]; j++)
		add(chain, name_of(ips[j]));
	return true;
}

static void stop_program(int i)
{
	bpf_link__destroy(programs[i].link);
	bpf_object__close(programs[i].obj);
}

static bool start_get_stack(void)
{
	return start_program(0);
}

static bool read_get_stack(struct chain *chain)
{
	return read_program(0, chain);
}

static void stop_get_stack(void)
{
	stop_program(0);
}

static bool start_get_stackid(void)
{
	return start_program(1);
}

static bool read_get_stackid(struct chain *chain)
{
	return read_program(1, chain);
}

static void stop_get_stackid(void)
{
	stop_program(1);
}

/* --- by perf ------------------------------------------------------------------------------ */

#define PERF_PAGES 8

static int perf_fd;
static struct perf_event_mmap_page *perf_page;
static __u64 perf_read_up_to;

/* On the processor that all this runs on, whatever interrupts it */
static bool start_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_CALLCHAIN,
		.exclude_callchain_user = 1,
	};
	size_t size = (1 + PERF_PAGES) * getpagesize();
	FILE *f = fopen("/sys/kernel/tracing/" EVENT "id", "r");

	if (!f || fscanf(f, "%llu", &attr.config) != 1)
		return fail("the event has no id");
	fclose(f);
	perf_fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
	perf_page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, perf_fd, 0);
	perf_read_up_to = 0;
	return (perf_fd >= 0 && perf_page != MAP_FAILED) ||
	       fail("perf_event_open: %s", strerror(errno));
}

static bool read_perf(struct chain *chain)
{
	const char *ring = (const char *)perf_page + getpagesize();
	struct {
		struct perf_event_header header;
		__u64 cnt, ips[MAX_ENTRIES];
	} sample;
	__u64 head = __atomic_load_n(&perf_page->data_head, __ATOMIC_ACQUIRE);

	while (perf_read_up_to < head) {
		for (size_t i = 0; i < sizeof(sample) && perf_read_up_to + i < head; i++)
			((char *)&sample)[i] =
				ring[(perf_read_up_to + i) % (PERF_PAGES * getpagesize())];
		perf_read_up_to += sample.header.size;
		if (sample.header.type != PERF_RECORD_SAMPLE)
			continue;
		for (__u64 i = 0; i < sample.cnt && i < MAX_ENTRIES; i++)
			if (sample.ips[i] < PERF_CONTEXT_MAX)
				add(chain, name_of(sample.ips[i]));
	}
	__atomic_store_n(&perf_page->data_tail, head, __ATOMIC_RELEASE);
	return true;
}

static void stop_perf(void)
{
	munmap(perf_page, (1 + PERF_PAGES) * getpagesize());
	close(perf_fd);
}

static const struct {
	const char *name;
	bool (*start)(void);
	bool (*read)(struct chain *chain);
	void (*stop)(void);
} takers[] = {
	{ "stacktrace trigger", start_trigger, read_trigger, stop_trigger },
	{ "bpf_get_stack", start_get_stack, read_get_stack, stop_get_stack },
	{ "bpf_get_stackid", start_get_stackid, read_get_stackid, stop_get_stackid },
	{ "perf", start_perf, read_perf, stop_perf },
};

/* --- whole chains ------------------------------------------------------------------------- */

#define HELPERS(main)	.helpers = true, .frames = { "thrower", "on_element", "on_round", "loops", main }

/* The frames from the thrower to main; one of them is also tested with an fexit program on it */
static const struct thrower {
	const char *name, *frames[9], *watched;
	__u32 ret;
	bool helpers;	/* between the frames */
} throwers[] = {
	{ .name = "from_main", .frames = { "from_main" } },
	{ .name = "from_main_cb", .frames = { "from_main_cb" }, .ret = 42 },
	{ .name = "from_1", .frames = { "thrower", "from_1" }, .watched = "thrower" },
	{ .name = "from_1_cb", .frames = { "thrower", "from_1_cb" }, .ret = 42 },
	{ .name = "from_7",
	  .frames = { "depth7", "depth6", "depth5", "depth4", "depth3", "depth2", "depth1",
		      "from_7" },
	  .watched = "depth3" },
	{ .name = "from_7_cb",
	  .frames = { "depth7", "depth6", "depth5", "depth4", "depth3", "depth2", "depth1",
		      "from_7_cb" },
	  .watched = "depth7", .ret = 42 },
	/* not on a callback: ORC doesn't get from a trampoline on to a helper */
	{ .name = "from_helpers", HELPERS("from_helpers"), .watched = "thrower" },
	{ .name = "from_helpers_cb", HELPERS("from_helpers_cb"), .watched = "loops", .ret = 42 },
	{ .name = "maybe", .frames = { "maybe4", "maybe3", "maybe2", "maybe1", "maybe" },
	  .watched = "maybe2" },
	{ .name = "maybe_cb", .frames = { "maybe4", "maybe3", "maybe2", "maybe1", "maybe_cb" },
	  .watched = "maybe1", .ret = 42 },
};

/* bpf_prog_TAG_NAME */
static bool is_function(const char *symbol, const char *name)
{
	static const char prefix[] = "bpf_prog_";
	size_t len = strlen(prefix) + 2 * BPF_TAG_SIZE + 1;

	return !strncmp(symbol, prefix, strlen(prefix)) && strlen(symbol) > len &&
	       !strcmp(symbol + len, name);
}

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* Is it right, from bpf_throw on? In process context, it must reach the program's caller */
static bool is_whole(const struct chain *chain, const struct thrower *t, bool fexit,
		     enum test_context context)
{
	int i = 0;

	while (i < chain->cnt && !starts_with(chain->names[i], "bpf_throw"))
		i++;
	i++;
	for (int j = 0; t->frames[j]; j++, i++) {
		while (t->helpers && i < chain->cnt && !starts_with(chain->names[i], "bpf_prog_") &&
		       !starts_with(chain->names[i], "bpf_trampoline_"))
			i++;
		if (i >= chain->cnt || !is_function(chain->names[i], t->frames[j]))
			return false;
		if (fexit && !strcmp(t->frames[j], t->watched) &&
		    (++i >= chain->cnt || !starts_with(chain->names[i], "bpf_trampoline_")))
			return false;
	}
	/* functions of their own in kernels with coverage */
	while (i < chain->cnt && starts_with(chain->names[i], "bpf_dispatcher_"))
		i++;
	return context != IN_PROCESS ||
	       (i < chain->cnt && starts_with(chain->names[i], "bpf_test_run"));
}

static bool check_chain(int taker, const struct thrower *t, bool fexit, enum test_context context,
			int times)
{
	static struct chain chain;

	chain.cnt = 0;
	if (!takers[taker].read(&chain))
		return false;
	if (is_whole(&chain, t, fexit, context))
		return true;
	fail("%s, %s, context %u, throw %d%s:", takers[taker].name, t->name, context, times,
	     fexit ? ", with an fexit program" : "");
	for (int i = 0; i < chain.cnt; i++)
		fail("  %s", chain.names[i]);
	return false;
}

/* In process context a test run calls it, as stack traces don't get past the device's caller */
static bool throw_once(int fd, enum test_context context, __u32 want)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	if (context != IN_PROCESS)
		return run(fd, context, 1, want);
	return (!bpf_prog_test_run_opts(fd, &opts) && opts.retval == want) ||
	       fail("returned %u, expected %u", opts.retval, want);
}

static bool throw_and_check(int fd, const struct thrower *t, bool fexit, enum test_context context,
			    int times)
{
	bool ok = throw_once(fd, context, t->ret);

	for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
		ok = check_chain(i, t, fexit, context, times) && ok;
	return ok;
}

/* At its first throw, the program's table has no hints yet */
static bool throws_whole(const struct thrower *t, bool with_fexit)
{
	struct bpf_object *obj = LOAD(t->name), *fexit = NULL;
	struct bpf_link *link = NULL;
	struct vars vars = { .cookie = 21 };
	int fd = obj ? prog_fd(obj, t->name) : -1;
	bool ok = obj && set_var(obj, ".bss", &vars);

	if (ok && with_fexit) {
		fexit = LOAD_ON(fd, t->watched, "watch");
		link = attach(fexit, "watch");
		ok = link;
	}
	read_symbols();
	for (int i = 0; ok && i < 2 * TEST_CONTEXTS; i++)
		ok = throw_and_check(fd, t, with_fexit, i / 2, i + 1);
	bpf_link__destroy(link);
	bpf_object__close(fexit);
	bpf_object__close(obj);
	return ok;
}

/* For all takers and throwers; reports what is wrong for each */
bool stack_traces(void)
{
	cpu_set_t all, first;
	size_t started = 0, cnt = 0;
	bool ok = true;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	while (ok && started < ARRAY_SIZE(takers))
		ok = takers[started++].start();
	if (ok)
		cnt = ARRAY_SIZE(throwers);
	for (size_t i = 0; i < cnt; i++)
		for (int fexit = 0; fexit <= !!throwers[i].watched && !(throwers[i].helpers && kcfi()); fexit++)
			ok = throws_whole(&throwers[i], fexit) && ok;
	while (started--)
		takers[started].stop();
	sched_setaffinity(0, sizeof(all), &all);
	return ok;
}

/* --- the callback's stack ----------------------------------------------------------------- */

/* The stack of the C function that calls it */
#define MOST_BELOW_CALLBACK 64

static bool depth_while(int fd, const char *throws, const char *callbacks, __u32 *depth)
{
	bool ok = put(EVENT "enable", throws) && put(CALLBACK_EVENT "enable", callbacks) &&
		  run_to_depth(fd, 21, depth);

	return put(EVENT "enable", "0") && put(CALLBACK_EVENT "enable", "0") && ok;
}

/* It isn't deeper than without listeners, except for a small frame, nor deeper than the throw */
static bool is_no_deeper(int fd, __u32 thrower)
{
	static const char *const listened[][2] = { { "1", "0" }, { "0", "1" }, { "1", "1" } };
	__u32 off, on;

	if (!depth_while(fd, "0", "0", &off))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(listened); i++) {
		if (!depth_while(fd, listened[i][0], listened[i][1], &on))
			return false;
		printf("# throw event %s, callback event %s: callback %u deep, else %u; thrower %u\n",
		       listened[i][0], listened[i][1], on, off, thrower);
		if (on > off + MOST_BELOW_CALLBACK || on > thrower)
			return fail("too deep");
	}
	return true;
}

/* Main and callback use as much stack as they can */
bool callback_depth(void)
{
	struct bpf_object *obj = LOAD("deep");
	struct vars vars = {};
	__u32 thrower;
	int fd = obj ? prog_fd(obj, "deep") : -1;
	bool ok;

	mkdir(INSTANCE, 0700);
	ok = obj && set_var(obj, ".bss", &vars) && run_to_depth(fd, 8, &thrower);
	vars.cookie = 21;
	ok = ok && set_var(obj, ".bss", &vars) && is_no_deeper(fd, thrower);
	rmdir(INSTANCE);
	bpf_object__close(obj);
	return ok;
}
