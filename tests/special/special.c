// SPDX-License-Identifier: GPL-2.0-only
/*
 * special - tests that need more than one program or one run
 *
 * usage: special ATTACH-OBJECT HOOKS-OBJECT
 *
 * Nested throws, trampolines that come and go while throws pass through them and are freed
 * afterwards, thousands of programs. ATTACH-OBJECT is attach.bpf.o, HOOKS-OBJECT hooks.bpf.o.
 * Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 the kernel lacks a module.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "../symbols.h"
#include "special.h"

int device;
const char *attach_object, *hooks_object;
struct builder b;
char log_buf[LOG_SIZE];

static const struct {
	bool (*run)(void);
	const char *name, *desc;
} tests[] = {
	{ nested_throw_call, "nested_call", "a program throws, called while another is between frames" },
	{ nested_throw_nmi, "nested_nmi", "a program throws in an NMI between another's frames, and it throws, too" },
	{ nested_hold_nmi, "nested_hold", "a program throws in an NMI between another's frames, and it goes on" },
	{ trampoline_freed, "trampoline_freed", "after 10,000 throws through an fexit trampoline its image is freed" },
	{ trampoline_detached, "trampoline_detached", "fexit attached and detached 100 times while another CPU throws" },
	{ truncated_ldimm64, "truncated_ldimm64", "programs that end in half of a 64-bit load are refused" },
	{ most_functions_bare, "most_functions", "256 functions, each of which throws, calls what throws, and returns" },
	{ most_functions_callback, "most_functions_callback", "the same with a callback, that comes first, or last" },
	{ long_chain, "long_chain", "64 subprograms in a chain are too many, and refused for that" },
	{ reference_dropped, "reference_dropped", "the last reference goes while the program runs, then it throws" },
	{ struct_ops_throws, "struct_ops", "a struct_ops program throws, the connection is made" },
	{ lsm_cgroup_default, "lsm_cgroup", "an lsm_cgroup program throws without a callback: 0, which denies" },
	{ lsm_cgroup_callback, "lsm_cgroup_callback", "an lsm_cgroup program throws, its callback allows" },
	{ folded_gotos, "folded_gotos", "jumps to a throw that leads to one are folded, and no others" },
	{ load_unseen_callback, "unseen_callback", "a callback is set where the verifier doesn't get, it counts" },
	{ speculative_callback, "speculative_callback", "a callback is set where only speculation gets, it counts once" },
	{ unseen_callback_bare, "unseen_callback_bare", "a callback is set where the verifier doesn't get, without func_info: refused" },
	{ unseen_callback_in_subprog, "unseen_callback_in_subprog", "a callback is set in a subprogram where the verifier doesn't get: refused" },
	{ image_hidden, "image_hidden", "who may not see the kernel's addresses isn't shown the table's, in an image" },
	{ throws_counted, "throws_counted", "fdinfo counts the throws of a program that has some" },
	{ many_programs, "many_programs", "3,000 programs that throw" },
};

int main(int argc, char **argv)
{
	size_t num = 0, failed = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: special ATTACH-OBJECT HOOKS-OBJECT\n");
		return 2;
	}
	attach_object = argv[1];
	hooks_object = argv[2];
	device = open("/dev/bpf_exceptions_test", O_RDWR);
	if (device < 0) {
		fprintf(stderr, "special: is bpf_exceptions_test.ko loaded? %s\n", strerror(errno));
		return 2;
	}
	printf("KTAP version 1\n");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		bool ok;

		if (tests[i].run == struct_ops_throws && kcfi())
			continue;
		ok = tests[i].run();
		failed += !ok;
		printf("%s %zu special/%s - %s\n", ok ? "ok" : "not ok", ++num, tests[i].name,
		       tests[i].desc);
		fflush(stdout);
	}
	printf("1..%zu\n# Totals: pass:%zu fail:%zu skip:0\n", num, num - failed, failed);
	return !!failed;
}
