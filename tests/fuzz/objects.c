// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mutants of programs that clang made.
 *
 * libbpf relocates a program and then calls prepare(), which forks a child for each mutant. The
 * child changes the instructions, and goes on to load and run them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "execute.h"
#include "fuzz.h"
#include "insns.h"
#include "mutate.h"

enum { WAS_REFUSED, WAS_LOADED, WAS_RUN, OUTCOMES };

static struct random numbers;
static int mutants, outcomes[OUTCOMES];
static bool in_child, died;

static void mutate(struct bpf_program *prog, struct random *r)
{
	static struct bpf_insn insns[MAX_INSNS];
	const struct bpf_insn *before = bpf_program__insns(prog);
	int cnt = bpf_program__insn_cnt(prog), times;

	if (cnt > MAX_INSNS)
		return;
	do {
		memcpy(insns, before, cnt * sizeof(insns[0]));
		for (times = 1 + random_below(r, 3); times; times--)
			mutate_insns(r, insns, cnt);
	} while (!keeps_func_loads(before, insns, cnt));
	bpf_program__set_insns(prog, insns, cnt);
}

static int prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long cookie)
{
	(void)opts;
	(void)cookie;
	for (int i = 0; i < mutants; i++) {
		struct random r = { .state = random_next(&numbers) };
		int status;
		pid_t child;

		announce(bpf_program__name(prog), r.state);
		child = fork();
		if (!child) {
			in_child = true;
			mutate(prog, &r);
			return 0;
		}
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) >= OUTCOMES) {
			printf("# %s, mutant %#llx: the process that ran it died\n",
			       bpf_program__name(prog), r.state);
			died = true;
			break;
		}
		outcomes[WEXITSTATUS(status)]++;
	}
	return -ECANCELED;
}

static int outcome(struct bpf_program *prog)
{
	static char packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 2);

	if (!fit_to_run(bpf_program__insns(prog), bpf_program__insn_cnt(prog)))
		return WAS_LOADED;
	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts) ? WAS_LOADED : WAS_RUN;
}

/* Return: whether there is such a program */
static bool try_program(const char *file, int number)
{
	struct bpf_object *obj = bpf_object__open_file(file, NULL);
	struct bpf_program *prog, *chosen = NULL;

	if (!obj) {
		fprintf(stderr, "fuzz: cannot open %s\n", file);
		exit(2);
	}
	bpf_object__for_each_program(prog, obj) {
		bpf_program__set_autoload(prog, !number);
		if (!number--)
			chosen = prog;
	}
	if (chosen) {
		int err = bpf_object__load(obj);

		if (in_child)
			_exit(err ? WAS_REFUSED : outcome(chosen));
	}
	bpf_object__close(obj);
	return chosen;
}

static int print_nothing(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

bool run_objects(__u64 seed, int count, char **files, int nr_files)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = prepare);

	numbers.state = seed;
	mutants = count;
	libbpf_set_print(print_nothing);
	libbpf_register_prog_handler("tc", BPF_PROG_TYPE_SCHED_CLS, 0, &opts);
	fflush(stdout);
	for (int i = 0; i < nr_files; i++)
		for (int j = 0; !died && try_program(files[i], j); j++)
			;
	printf("# %d mutants refused, %d loaded but not run, %d run\n", outcomes[WAS_REFUSED],
	       outcomes[WAS_LOADED], outcomes[WAS_RUN]);
	return !died && outcomes[WAS_REFUSED] && outcomes[WAS_RUN];
}
