// SPDX-License-Identifier: GPL-2.0-only
/*
 * load - load loader.bpf.c with libbpf, and run it
 *
 * usage: load OBJECT
 *
 * Prints what the program returns, or what libbpf and the verifier say. Linked with Debian's
 * libbpf and with mainline's. With -DLIGHT it has a light skeleton of the object instead, in
 * light.lskel.h, and takes no argument.
 *
 * Exit status: 0 loaded and run, 1 not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static int run(int fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	opts.data_in = packet;
	opts.data_size_in = sizeof(packet);
	if (bpf_prog_test_run_opts(fd, &opts)) {
		perror("test run");
		return 1;
	}
	printf("returned %d\n", (int)opts.retval);
	return 0;
}

#ifdef LIGHT
#include "light.lskel.h"

int main(void)
{
	static char log_buf[1 << 20];
	struct light *skel = light__open();
	int err;

	if (!skel)
		return 1;
	skel->ctx.log_level = 1;
	skel->ctx.log_buf = (unsigned long)log_buf;
	skel->ctx.log_size = sizeof(log_buf);
	err = light__load(skel);
	if (err) {
		printf("%sload: %d\n", log_buf, err);
		return 1;
	}
	return run(skel->progs.prog.prog_fd);
}
#else
int main(int argc, char **argv)
{
	struct bpf_object *obj = argc == 2 ? bpf_object__open_file(argv[1], NULL) : NULL;

	if (!obj || bpf_object__load(obj))
		return 1;
	return run(bpf_program__fd(bpf_object__find_program_by_name(obj, "prog")));
}
#endif
