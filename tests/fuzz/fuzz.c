// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz - random programs that throw, and random changes of such programs
 *
 * usage: fuzz BATCH...
 *
 * Each batch is one line of KTAP:
 *
 *   programs SEED COUNT	generated programs; what each must do is known
 *   one SEED			one of them, by the seed that a failure reported
 *   forbidden SEED COUNT	the same with one thing in each that the verifier must refuse
 *   mutants SEED COUNT		the same with random changes to instructions: the verifier refuses
 *				them, or they run and leave their caller's registers alone
 *   objects SEED COUNT FILE...	COUNT such mutants of each tc program of object files; comes last
 *
 * SEED: a number, or "fresh" for a different one each time. tests/check runs it on a machine with
 * both modules; the kernel's log has the seed of each program before it runs.
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
#include "mutate.h"
#include "random.h"

#define MISMATCHES_MAX 5 /* to show; then the batch ends */

static int kmsg;

/* Log what runs now to the kernel's log, which is all that is left after a panic */
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

	if (!done) {
		begin = now();
		last = begin;
	}
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
	/*
	 * References that were acquired on different paths keep the verifier from taking states
	 * for equal, with throws or without. It may give up on a program that has many.
	 */
	if (verdict == REFUSED && strstr(why, "BPF program is too large")) {
		printf("# seed %#llx: too large for the verifier\n", seed);
		stats->too_large++;
		return true;
	}
	printf("# seed %#llx: %s; again: fuzz one %#llx\n", seed,
	       verdict == REFUSED ? "refused" : "wrong", seed);
	for (char *line = strtok(why, "\n"); line; line = strtok(NULL, "\n"))
		printf("#   %s\n", line);
	fflush(stdout);	/* that may take long */
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
	if (stats.too_large * 100 <= count)
		return !bad;
	printf("# too large for the verifier: %d of %d, more than 1 in 100\n", stats.too_large, count);
	return false;
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

/* Run the batch with this first word. @argv: seed, count and more. Return: words used */
static int run_batch(const char *what, char **argv, int argc, bool *ok, char *name, int size)
{
	const char *kind = strcmp(argv[0], "fresh") ? "fixed" : "fresh";
	__u64 seed = parse_seed(argv[0]);
	int count = argc > 1 ? atoi(argv[1]) : 0;
	struct stats stats = {};

	if (!strcmp(what, "one")) {
		*ok = run_one(seed, &stats);
		print_stats(&stats);
		snprintf(name, size, "program of seed %#llx", seed);
		return 1;
	}
	if (count <= 0)
		return 0;
	snprintf(name, size, "%s seed %llu, %d %s", kind, seed, count, what);
	if (!strcmp(what, "programs"))
		*ok = run_programs(seed, count);
	else if (!strcmp(what, "forbidden"))
		*ok = run_forbidden(seed, count);
	else if (!strcmp(what, "mutants"))
		*ok = run_mutants(seed, count);
	else if (!strcmp(what, "objects") && argc > 2)
		*ok = run_objects(seed, count, argv + 2, argc - 2);
	else
		return 0;
	return strcmp(what, "objects") ? 2 : argc;
}

static int usage(void)
{
	fprintf(stderr, "usage: fuzz [programs|forbidden|mutants SEED COUNT]... [one SEED]...\n"
		"            [objects SEED COUNT FILE...]\n");
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
		bool ok = false;
		char name[96];
		int words = run_batch(argv[i], argv + i + 1, argc - i - 1, &ok, name, sizeof(name));

		if (!words)
			return usage();
		i += 1 + words;
		failed += !ok;
		printf("%s %d fuzz/%d - %s\n", ok ? "ok" : "not ok", num + 1, num + 1, name);
		fflush(stdout);
	}
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	return !!failed;
}
