// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress - programs throw everywhere at once, while all that can change changes
 *
 * usage: stress MODULE.ko [SECONDS]
 *
 * There is a thread for each activity. Some run programs that throw, each in one context or at one
 * hook, on all CPUs, interrupting each other between frames. Others load, attach, replace, trace
 * and sample programs, and take CPUs off- and online. All work in rounds of half a second, and
 * begin each with programs of their own. Now and then nobody has a program between rounds, and the
 * module is unloaded and loaded again.
 *
 * No throw may get lost. Each is counted four times: by the program before the throw, by the
 * exception callback, by the kernel in fdinfo, and by the program's caller, who sees what it
 * returned. Half of the programs hold things when they throw: the program and the kernel count
 * those, and in the end nothing may be left held. Prints KTAP, with a test for each activity, and
 * "# " lines with the figures.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 cannot begin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include "../symbols.h"
#include "stress.h"

#define ROUND_MS 500
#define RELOAD_EVERY_MS 3000
#define LEAST_OVER 100
#define LEAST_STACKS 20
#define LEAST_SAMPLES 3
#define LEAST_RELEASED 1000

struct things things;
int device, cpus, lsm_hook, timer_hook;
static volatile bool stop;
/* Held for reading while using the module or one of its symbols, and for writing to reload it */
static pthread_rwlock_t gate;

static pthread_mutex_t said = PTHREAD_MUTEX_INITIALIZER;

void note(struct activity *a, const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&said);
	printf("# %s: ", a->name);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	pthread_mutex_unlock(&said);
}

__u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

__u64 round_end(void)
{
	return now_ms() + ROUND_MS;
}

void sleep_ms(int ms)
{
	usleep(ms * 1000);
}

__thread unsigned int seed;

int pick(int below)
{
	return rand_r(&seed) % below;
}

bool put(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ok;
}

static struct activity activities[] = {
	{ "process", "in process context", volley_round,
	  .arg = IN_PROCESS, .least = 1000 },
	{ "process2", "in process context, on another CPU", volley_round,
	  .arg = IN_PROCESS, .least = 1000 },
	{ "softirq", "in softirq, here or on another CPU", volley_round,
	  .arg = IN_SOFTIRQ, .least = 200 },
	{ "hardirq", "in hard interrupts, here or on another CPU", volley_round,
	  .arg = IN_HARDIRQ, .least = 200 },
	{ "nmi", "in NMIs, here or on another CPU", volley_round,
	  .arg = IN_NMI, .least = 200 },
	{ "shared", "in the same programs, in all these contexts at once", shared_round,
	  .least = 1000 },
	{ "nested", "in programs that NMIs and calls interrupt in the innermost frame", nested_round,
	  .least = 200 },
	{ "sleepable", "in sleepable programs, with page faults between frames", sleepable_round,
	  .least = 200 },
	{ "lsm", "at a security hook, attached and detached; a throw denies", lsm_round,
	  .least = 200, .unit = "attached" },
	{ "timer", "in the timer interrupt, attached and detached", timer_round,
	  .least = 200, .unit = "attached" },
	{ "tc", "in tc, replaced meanwhile; a throw drops the packet", tc_round,
	  .least = 200, .unit = "replaced" },
	{ "native", "in a driver's XDP, replaced; a throw drops the frame", native_round,
	  .least = 200, .unit = "replaced" },
	{ "extend", "in extensions of a program, attached and detached; the program goes on", extend_round,
	  .least = 200, .unit = "attached" },
	{ "tail_call", "in targets of tail calls, replaced; the caller goes on", tail_round,
	  .least = 200, .unit = "replaced" },
	{ "struct_ops", "in TCP's congestion control, registered anew; all data arrives", congestion_round,
	  .least = 200, .unit = "registered" },
	{ "watch", "below trampolines and in their programs, attached and detached", watch_round,
	  .least = 200, .unit = "attached" },
	{ "churn", "in programs that are loaded, run and freed", churn_round,
	  .least = 10, .unit = "programs" },
	{ "trace", "traced by functions, their graph, kprobes and the module's event", trace_round,
	  .least = 4, .unit = "times" },
	{ "perf", "stacks sampled by perf events", perf_round,
	  .least = 200, .unit = "samples" },
	{ "hotplug", "CPUs went off- and online", hotplug_round,
	  .least = 2, .unit = "times" },
	{ "reload", "the module was unloaded and loaded again", reload_round,
	  .least = 2, .unit = "times" },
};

enum { ACTIVITIES = sizeof(activities) / sizeof(activities[0]) };

static void *act(void *arg)
{
	struct activity *a = arg;

	seed = a - activities + getpid();
	while (!stop && !a->failed) {
		/* CPUs come and go even while the module does */
		bool open = a->round != hotplug_round;

		if (a->round == reload_round) {
			for (int i = 0; i < RELOAD_EVERY_MS / 100 && !stop; i++)
				sleep_ms(100);
			pthread_rwlock_wrlock(&gate);
		} else if (open) {
			pthread_rwlock_rdlock(&gate);
		}
		a->round(a);
		if (open)
			pthread_rwlock_unlock(&gate);
		a->rounds++;
	}
	stop |= a->failed;
	return NULL;
}

static __u64 amount(const struct activity *a)
{
	return a->unit && !a->begun ? a->done : a->begun;
}

/* How many programs began on top of another */
static __u64 activities_over(void)
{
	__u64 over = 0;

	for (int i = 0; i < ACTIVITIES; i++)
		over += activities[i].over;
	return over;
}

static int count_programs(void)
{
	__u32 id = 0;
	int cnt = 0;

	while (!bpf_prog_get_next_id(id, &id))
		cnt++;
	return cnt;
}

static int tests, failures;

static void test(bool ok, const char *name, const char *desc)
{
	failures += !ok;
	printf("%s %d stress/%s - %s\n", ok ? "ok" : "not ok", ++tests, name, desc);
	fflush(stdout);
}

static void report(struct activity *a)
{
	printf("# %s: %llu rounds", a->name, a->rounds);
	if (a->begun || !a->unit)
		printf(", %llu throws begun, %llu callbacks, %llu in fdinfo, %llu seen; %llu runs without, %llu on top of others",
		       a->begun, a->ended, a->fdinfo, a->seen, a->passed, a->over);
	if (a->unit)
		printf(", %llu %s", a->done, a->unit);
	printf("\n");
	if (amount(a) < a->least)
		printf("# that's less than %llu\n", a->least);
	test(!a->failed && amount(a) >= a->least, a->name, a->desc);
}

static bool go(int (*cnt)(void), int expected, const char *what)
{
	for (int i = 0; i < 200 && cnt() > expected; i++)
		sleep_ms(100);
	if (cnt() > expected)
		printf("# %d %s are left\n", cnt() - expected, what);
	return cnt() <= expected;
}

static bool nothing_left(void)
{
	const char *left = things_left();

	if (left)
		printf("# left: %s\n", left);
	if (things_consume())
		printf("# left: a ringbuf record\n");
	return !left && !things_consume();
}

static bool all_enough(void)
{
	for (int i = 0; i < ACTIVITIES; i++) {
		if (amount(&activities[i]) < activities[i].least)
			return false;
	}
	return traced_throws >= LEAST_STACKS && sampled_throws >= LEAST_SAMPLES &&
	       activities_over() >= LEAST_OVER;
}

static void run_all(int seconds)
{
	__u64 begin = now_ms(), end = begin + seconds * 1000;

	for (int i = 0; i < ACTIVITIES; i++)
		pthread_create(&activities[i].thread, NULL, act, &activities[i]);
	/* a slow machine gets more time, but not forever */
	while (!stop && (now_ms() < end || (!all_enough() && now_ms() < begin + seconds * 10000)))
		sleep_ms(100);
	stop = true;
	for (int i = 0; i < ACTIVITIES; i++)
		pthread_join(activities[i].thread, NULL);
	printf("# ran for %llu ms\n", now_ms() - begin);
}

static void report_all(int programs, int trampolines)
{
	__u64 throws = 0, released = 0, over = activities_over();

	for (int i = 0; i < ACTIVITIES; i++) {
		report(&activities[i]);
		throws += activities[i].begun;
		released += activities[i].released;
	}
	printf("# %llu throws, %llu programs on top of another, %llu attempts to unload the module in use\n",
	       throws, over, unload_attempts);
	test(over >= LEAST_OVER, "interrupted", "programs interrupted others between frames");
	test(unload_attempts, "in_use", "the module couldn't be unloaded while programs used it");
	printf("# %llu lines of traces, %llu stacks from inside a throw (%llu show the program), %llu samples\n",
	       traced_lines, traced_throws, traced_stacks, sampled_throws);
	test(traced_throws >= LEAST_STACKS && traced_stacks == traced_throws, "stacks",
	     "stack traces from inside throws, which show the program");
	test(sampled_throws >= LEAST_SAMPLES, "samples", "samples from inside throws");
	test(go(count_programs, programs, "programs"), "programs", "no program is left");
	printf("# %llu things released by throws\n", released);
	test(released >= LEAST_RELEASED && nothing_left(), "held", "what was held at throws was released");
	test(go(count_trampolines, trampolines, "trampolines"), "trampolines", "no trampoline is left");
}

static bool prepare(void)
{
	struct rlimit files = { 8192, 8192 };
	pthread_rwlockattr_t attr;

	setrlimit(RLIMIT_NOFILE, &files);
	libbpf_set_print(NULL);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	device = open("/dev/bpf_exceptions_test", O_RDWR);
	lsm_hook = libbpf_find_vmlinux_btf_id("task_prctl", BPF_LSM_MAC);
	timer_hook = libbpf_find_vmlinux_btf_id("update_process_times", BPF_TRACE_FENTRY);
	if (device < 0 || cpus < 2 || cpus > MAX_CPUS || lsm_hook <= 0 || timer_hook <= 0 ||
	    bpf_enable_stats(BPF_STATS_RUN_TIME) < 0) {
		fprintf(stderr, "stress: takes bpf_exceptions_test.ko, 2 to %d CPUs, BTF: %s\n",
			MAX_CPUS, strerror(errno));
		return false;
	}
	put(TRACING "buffer_size_kb", "128", 0);
	put("/proc/sys/net/core/bpf_jit_kallsyms", "1", 0); /* for names in stack traces */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&gate, &attr);
	know_module();
	things_init(&things);
	return true;
}

int main(int argc, char **argv)
{
	int programs, trampolines, seconds = argc > 2 ? atoi(argv[2]) : 60;

	if (argc < 2 || seconds <= 0) {
		fprintf(stderr, "usage: stress MODULE.ko [SECONDS]\n");
		return 2;
	}
	module = argv[1];
	if (!prepare())
		return 2;
	printf("KTAP version 1\n");
	programs = count_programs();
	trampolines = count_trampolines();
	run_all(seconds);
	report_all(programs, trampolines);
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", tests, tests - failures, failures);
	return !!failures;
}
