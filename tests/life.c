// SPDX-License-Identifier: GPL-2.0-only
/*
 * life - load and unload the module, with and without programs that use it
 *
 * usage: life MODULE.ko [unpatched]
 *
 * Begins and ends without the module. "unpatched": the kernel lacks the series, and the
 * module has to say so. Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 cannot begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "builder.h"

static const char *module;
static struct builder b;

static int load_module(void)
{
	int fd = open(module, O_RDONLY), err;

	err = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	close(fd);
	return err;
}

static int unload_module(void)
{
	return syscall(SYS_delete_module, "bpf_exceptions", O_NONBLOCK) ? errno : 0;
}

/* Programs are freed after an RCU grace period, and hold the module until then */
static int unload_soon(void)
{
	int err = 0;

	for (int i = 0; i < 100; i++) {
		err = unload_module();
		if (!err)
			return 0;
		usleep(100000);
	}
	return err;
}

static int load_prog(void)
{
	builder_init(&b);
	builder_emit(&b, MOV_IMM(BPF_REG_1, 7));
	builder_call_kfunc(&b, KFUNC_THROW);
	return builder_load(&b, BPF_PROG_TYPE_XDP, NULL, 0);
}

static bool throws(int fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .retval = 1);

	return !bpf_prog_test_run_opts(fd, &opts) && opts.retval == 0;
}

static bool kernel_log_has(const char *text)
{
	static char log[1 << 18];
	int len = syscall(SYS_syslog, 3, log, sizeof(log) - 1);

	log[len > 0 ? len : 0] = 0;
	return strstr(log, text);
}

static int failed, num;

static void test(bool ok, const char *desc)
{
	failed += !ok;
	if (!ok)
		printf("# errno %d: %s\n", errno, strerror(errno));
	printf("%s %d life/%d - %s\n", ok ? "ok" : "not ok", num + 1, num + 1, desc);
	num++;
	fflush(stdout);
}

static void refused(void)
{
	test(load_module() == EOPNOTSUPP, "an unpatched kernel: refused, with an errno of its own");
	test(kernel_log_has("bpf_exceptions: this kernel lacks the companion series"),
	     "... and a sentence in the log");
	test(unload_module() == ENOENT, "... and nothing is left");
}

static void lives(void)
{
	bool ok = true;
	int fd;

	test(!load_module(), "it loads");
	test(kernel_log_has("bpf_exceptions: registered bpf_throw and bpf_set_exception_callback for xdp, tc, struct_ops, tracing, lsm, syscall"),
	     "its load message names the kfuncs and the program types");
	test(load_module() == EEXIST, "it loads once");
	fd = load_prog();
	test(fd >= 0 && throws(fd), "a program throws");
	test(unload_module() == EAGAIN, "it doesn't unload while a program uses it");
	test(throws(fd), "the program still throws");
	close(fd);
	test(!unload_soon(), "it unloads when the program is gone");
	for (int i = 0; i < 20 && ok; i++) {
		ok = !load_module();
		builder_forget();
		fd = load_prog();
		ok = ok && fd >= 0 && throws(fd);
		close(fd);
		ok = ok && !unload_soon();
	}
	test(ok, "20 times: load, throw, unload");
}

int main(int argc, char **argv)
{
	if (argc < 2 || (argc > 2 && strcmp(argv[2], "unpatched"))) {
		fprintf(stderr, "usage: life MODULE.ko [unpatched]\n");
		return 2;
	}
	module = argv[1];
	printf("KTAP version 1\n");
	if (argc > 2)
		refused();
	else
		lives();
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	return !!failed;
}
