// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench - run each program of an object and print how long one run took
 *
 * usage: bench OBJECT
 *
 * Under "qemu -icount shift=0" a nanosecond is an instruction. Prints a line "NAME NS" for each
 * program, the average over many runs.
 */
#include <stdio.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

int main(int argc, char **argv)
{
	struct bpf_object *obj = bpf_object__open_file(argv[argc > 1], NULL);
	struct bpf_program *prog;
	char packet[64] = {};

	if (!obj || bpf_object__load(obj)) {
		fprintf(stderr, "bench: cannot load %s\n", argv[argc > 1]);
		return 1;
	}
	bpf_object__for_each_program(prog, obj) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
			    .data_size_in = sizeof(packet), .repeat = 10);

		if (bpf_program__type(prog) != BPF_PROG_TYPE_SCHED_CLS)
			continue;
		bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
		opts.data_out = NULL;
		opts.repeat = 1000;
		if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts)) {
			fprintf(stderr, "bench: cannot run %s\n", bpf_program__name(prog));
			return 1;
		}
		printf("%s %u %d\n", bpf_program__name(prog), opts.duration, (int)opts.retval);
	}
	return 0;
}
