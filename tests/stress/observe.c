// SPDX-License-Identifier: GPL-2.0-only
/* Activities that observe throws: tracers, the trace event, and perf's samples */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "stress.h"

__u64 traced_throws, traced_stacks, traced_lines;

/* In the trace: its lines, the stacks that begin inside a throw, and those that go on from there */
struct seen {
	__u64 lines, throws, stacks;
};

/*
 * Stack traces from inside a throw contain bpf_throw(), and go on with the program's functions.
 * Those may be gone by now, and show as numbers, or as what was there before them.
 */
static struct seen read_trace(void)
{
	FILE *f = fopen(TRACING "trace", "r");
	struct seen seen = {};
	bool in_throw = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		seen.lines += line[0] != '#';
		if (strncmp(line, " => ", 4))
			in_throw = false;
		if (!strncmp(line, " => bpf_throw", 13) && !in_throw) {
			in_throw = true;
			seen.throws++;
		} else if (in_throw) {
			in_throw = false;
			seen.stacks++;
		}
	}
	if (f)
		fclose(f);
	return seen;
}

/* Functions that throws call, and that interrupt them; a kernel may lack some */
static const char *const traced[] = {
	"find_caller*", "bpf_exceptions_leave_trampoline", "bpf_ringbuf_discard", "bpf_user_rnd_u32",
	"bpf_get_prandom_u32", "hrtimer_interrupt", "update_process_times",
	"irq_work_run", "irq_work_single", "tasklet_action_common*", "generic_smp_call_function*",
	"net_rx_action", "tcf_classify", "bpf_test_*", "bpf_prog_test_*", "__bpf_prog_*",
	"__bpf_tramp_*", "handle_nmi", "ktime_get*", "shoot*",
};

static void filter_on(void)
{
	put(TRACING "set_ftrace_filter", "\n", O_TRUNC);
	for (size_t i = 0; i < sizeof(traced) / sizeof(traced[0]); i++)
		put(TRACING "set_ftrace_filter", traced[i], O_APPEND);
}

static bool function_on(void)
{
	filter_on();
	return put(TRACING "options/func_stack_trace", "1", 0) &&
	       put(TRACING "current_tracer", "function", 0);
}

static bool graph_on(void)
{
	filter_on();
	return put(TRACING "current_tracer", "function_graph", 0);
}

static bool tracer_off(void)
{
	return put(TRACING "current_tracer", "nop", 0) &&
	       put(TRACING "options/func_stack_trace", "0", 0) &&
	       put(TRACING "set_ftrace_filter", "\n", O_TRUNC);
}

static bool kprobe_on(void)
{
	static const char entry[] = "p:stress/unwind bpf_exceptions:bpf_exceptions_leave_trampoline";
	static const char ret[] = "r:stress/unwound bpf_exceptions:bpf_exceptions_leave_trampoline";

	return put(TRACING "kprobe_events", entry, O_TRUNC) &&
	       put(TRACING "kprobe_events", ret, O_APPEND) &&
	       put(TRACING "events/stress/unwind/trigger", "stacktrace", 0) &&
	       put(TRACING "events/stress/unwound/trigger", "stacktrace", 0) &&
	       put(TRACING "events/stress/enable", "1", 0);
}

static bool kprobe_off(void)
{
	return put(TRACING "events/stress/enable", "0", 0) &&
	       put(TRACING "events/stress/unwind/trigger", "!stacktrace", 0) &&
	       put(TRACING "events/stress/unwound/trigger", "!stacktrace", 0) &&
	       put(TRACING "kprobe_events", "-:stress/unwind", O_APPEND) &&
	       put(TRACING "kprobe_events", "-:stress/unwound", O_APPEND);
}

static bool event_on(void)
{
	return put(TRACING "events/bpf_exceptions/bpf_throw/trigger", "stacktrace", 0) &&
	       put(TRACING "events/bpf_exceptions/enable", "1", 0);
}

static bool event_off(void)
{
	return put(TRACING "events/bpf_exceptions/enable", "0", 0) &&
	       put(TRACING "events/bpf_exceptions/bpf_throw/trigger", "!stacktrace", 0);
}

static const struct {
	const char *name;
	bool (*on)(void);
	bool (*off)(void);
	__u64 throws; /* how many to wait for, on a slow machine: each leaves its stack */
} tracers[] = {
	{ "trace event", event_on, event_off, 10 },
	{ "function", function_on, tracer_off, 0 },
	{ "function_graph", graph_on, tracer_off, 0 },
	{ "kprobe and kretprobe", kprobe_on, kprobe_off, 0 },
};

enum { TRACERS = sizeof(tracers) / sizeof(tracers[0]) };

void trace_round(struct activity *a)
{
	__u64 end = now_ms() + 3000;
	int i = a->done % TRACERS;
	struct seen seen;

	put(TRACING "trace", "", O_TRUNC);
	put(TRACING "tracing_on", "1", 0);
	if (!tracers[i].on())
		fail(a, "cannot turn on %s: %s", tracers[i].name, strerror(errno));
	do {
		sleep_ms(100);
		seen = read_trace();
	} while (seen.throws < tracers[i].throws && now_ms() < end);
	put(TRACING "tracing_on", "0", 0);
	traced_lines += seen.lines;
	traced_throws += seen.throws;
	traced_stacks += seen.stacks;
	if (!tracers[i].off())
		fail(a, "cannot turn off %s: %s", tracers[i].name, strerror(errno));
	a->done++;
}

/* Where the module is while it is loaded */
static __u64 text_start, text_end;

void find_module_text(void)
{
	FILE *f = fopen("/proc/modules", "r");
	unsigned long long start;
	unsigned int size;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "bpf_exceptions %u %*d %*s %*s %llx", &size, &start) != 2)
			continue;
		text_start = start;
		text_end = start + size;
	}
	if (f)
		fclose(f);
}

enum { PERF_PAGES = 64 };

struct sampler {
	int fd;
	struct perf_event_mmap_page *meta;
};

static bool open_sampler(struct sampler *s, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 997000, /* ns */
		.sample_type = PERF_SAMPLE_CALLCHAIN,
		.exclude_callchain_user = 1,
	};

	s->fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);
	if (s->fd < 0)
		return false;
	s->meta = mmap(NULL, (1 + PERF_PAGES) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->meta == MAP_FAILED) {
		close(s->fd);
		return false;
	}
	return true;
}

__u64 sampled_throws;

/* @chain: a sample's call chain, innermost first */
static bool is_in_throw(const __u64 *chain, __u64 cnt)
{
	while (cnt--) {
		if (chain[cnt] >= text_start && chain[cnt] < text_end)
			return true;
	}
	return false;
}

static void read_samples(struct activity *a, struct sampler *s)
{
	const char *data = (char *)s->meta + 4096;
	__u64 head = __atomic_load_n(&s->meta->data_head, __ATOMIC_ACQUIRE), tail = s->meta->data_tail;
	struct {
		struct perf_event_header header;
		__u64 cnt;
		__u64 chain[1024];
	} record;

	while (tail < head) {
		const size_t mask = PERF_PAGES * 4096 - 1;

		/* a record may wrap around the end of the buffer, in units of 8 bytes */
		memcpy(&record.header, data + (tail & mask), sizeof(record.header));
		if (!record.header.size || record.header.size > sizeof(record))
			break;
		for (size_t i = 0; i < record.header.size; i += 8)
			memcpy((char *)&record + i, data + ((tail + i) & mask), 8);
		tail += record.header.size;
		if (record.header.type != PERF_RECORD_SAMPLE)
			continue;
		a->done++;
		sampled_throws += is_in_throw(record.chain, record.cnt);
	}
	__atomic_store_n(&s->meta->data_tail, tail, __ATOMIC_RELEASE);
}

/* A timer samples each CPU's stack a thousand times a second, wherever it is */
void perf_round(struct activity *a)
{
	struct sampler samplers[MAX_CPUS];
	__u64 end = round_end();
	int cnt = 0;

	for (int i = 0; i < cpus; i++)
		cnt += open_sampler(&samplers[cnt], i); /* fails for one that is offline */
	if (!cnt)
		fail(a, "cannot sample: %s", strerror(errno));
	while (now_ms() < end && cnt) {
		sleep_ms(20);
		for (int i = 0; i < cnt; i++)
			read_samples(a, &samplers[i]);
	}
	while (cnt--) {
		munmap(samplers[cnt].meta, (1 + PERF_PAGES) * 4096);
		close(samplers[cnt].fd);
	}
}
