// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz - random programs that throw, and random changes of such programs
 *
 * usage: fuzz BATCH...
 *
 * Each batch is one line of KTAP:
 *
 *   programs SEED COUNT	generated programs; what each has to do is known
 *   one SEED			one of them, by the seed that a failure was reported with
 *
 * SEED: a number, or "fresh" for one that is different each time. Run by tests/check on a
 * machine with both modules; the kernel's log has the seed of each program before it runs.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 bad arguments or no module.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "execute.h"
#include "fuzz.h"
#include "random.h"

#define MISMATCHES_MAX 5 /* that are shown; then the batch ends */

static int kmsg;

/* What runs now, in the kernel's log: after a panic it is the last word */
void announce(const char *what, __u64 seed)
{
	char line[80];
	int len = snprintf(line, sizeof(line), "<6>fuzz: %s %#llx\n", what, seed);

	if (write(kmsg, line, len) != len)
		return;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void progress(const char *what, int done, int count)
{
	static double begin, last;

	if (!done)
		begin = last = now();
	if (now() - last < 10)
		return;
	last = now();
	fprintf(stderr, "fuzz: %s: %d of %d, %.1f/s\n", what, done, count, done / (last - begin));
}

static struct testcase testcase;

static bool run_one(__u64 seed, struct stats *stats)
{
	enum verdict verdict;

	announce("program", seed);
	generate(&testcase, seed);
	verdict = execute(&testcase, stats);
	if (verdict == RIGHT)
		return true;
	printf("# seed %#llx: %s; again: fuzz one %#llx\n", seed,
	       verdict == REFUSED ? "refused" : "wrong", seed);
	for (char *line = strtok(why, "\n"); line; line = strtok(NULL, "\n"))
		printf("#   %s\n", line);
	minimise(&testcase, verdict);
	printf("# minimised:\n");
	for (char *line = strtok(why, "\n"); line; line = strtok(NULL, "\n"))
		printf("#   %s\n", line);
	print_testcase(stdout, &testcase);
	print_case_insns(stdout, &testcase);
	fflush(stdout);
	return false;
}

static bool run_programs(__u64 seed, int count)
{
	struct random r = { .state = seed };
	struct stats stats = {};
	int bad = 0;
	double begin = now();

	for (int i = 0; i < count && bad < MISMATCHES_MAX; i++) {
		progress("programs", i, count);
		bad += !run_one(random_next(&r), &stats);
	}
	print_stats(&stats);
	printf("# %d bad, %.1f programs a second\n", bad, stats.programs / (now() - begin));
	return !bad;
}

static __u64 parse_seed(const char *text)
{
	__u64 seed;

	if (strcmp(text, "fresh"))
		return strtoull(text, NULL, 0);
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = time(NULL);
	return seed >> 32;
}

static int usage(void)
{
	fprintf(stderr, "usage: fuzz [programs SEED COUNT | one SEED]...\n");
	return 2;
}

int main(int argc, char **argv)
{
	int num = 0, failed = 0;

	execute_init();
	kmsg = open("/dev/kmsg", O_WRONLY);
	if (argc < 3)
		return usage();
	printf("KTAP version 1\n");
	for (int i = 1; i + 1 < argc; num++) {
		__u64 seed = parse_seed(argv[i + 1]);
		int count = i + 2 < argc ? atoi(argv[i + 2]) : 0;
		char name[96];
		bool ok;

		if (!strcmp(argv[i], "one")) {
			struct stats stats = {};

			ok = run_one(seed, &stats);
			print_stats(&stats);
			snprintf(name, sizeof(name), "program of seed %#llx", seed);
			i += 2;
		} else if (!strcmp(argv[i], "programs") && count) {
			ok = run_programs(seed, count);
			snprintf(name, sizeof(name), "%s seed %llu, %d random programs",
				 strcmp(argv[i + 1], "fresh") ? "fixed" : "fresh", seed, count);
			i += 3;
		} else {
			return usage();
		}
		failed += !ok;
		printf("%s %d fuzz/%d - %s\n", ok ? "ok" : "not ok", num + 1, num + 1, name);
		fflush(stdout);
	}
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	return !!failed;
}
