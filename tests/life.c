// SPDX-License-Identifier: GPL-2.0-only
/*
 * life - load and unload the module, with and without programs that use it
 *
 * usage: life MODULE.ko [VARIANT]
 *
 * Begins and ends without the module. VARIANT says what doesn't fit, the kernel or the file,
 * and the module has to be refused for it: unpatched, revision, no-btf, other-btf. What the
 * kernel's log says is compared as a whole. Prints KTAP.
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

static int load_file(int fd)
{
	return syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
}

static int load_module(void)
{
	int fd = open(module, O_RDONLY), err = load_file(fd);

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

#define LOG_SIZE (1 << 18)

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

static void clear_log(void)
{
	syscall(SYS_syslog, 5, NULL, 0);
}

/* What the kernel has said since, without level and time */
static const char *log_text(void)
{
	static char log[LOG_SIZE], text[LOG_SIZE];
	int len = syscall(SYS_syslog, 3, log, sizeof(log) - 1);
	char *line, *rest = log, *to = text;

	log[len > 0 ? len : 0] = 0;
	text[0] = 0;
	while ((line = strsep(&rest, "\n")) && *line) {
		char *said = strstr(line, "] ");

		to += sprintf(to, "%s\n", said ? said + 2 : line);
	}
	return text;
}

static bool log_is(const char *expected)
{
	const char *text = log_text();

	if (!strcmp(text, expected))
		return true;
	printf("# the kernel said: %s# expected: %s", text, expected);
	return false;
}

static bool log_ends(const char *expected)
{
	const char *text = log_text();
	size_t len = strlen(text), want = strlen(expected);

	return (len >= want && !strcmp(text + len - want, expected)) || log_is(expected);
}

#define LOADED "bpf_exceptions: registered bpf_throw and bpf_set_exception_callback for xdp, tc, " \
	       "struct_ops, tracing, lsm, syscall\n"

/* Kernels and modules that don't fit, with errnos of their own, and what the kernel says last */
static const struct variant {
	const char *name, *said, *desc;
	int err;
} variants[] = {
	{ "unpatched", "bpf_exceptions: this kernel lacks the companion series: boot one that was built with jit-patch/\n",
	  "a kernel without the series", EOPNOTSUPP },
	{ "revision", "bpf_exceptions: this kernel has revision 1 of the companion series, the module is for 2: build both from one source\n",
	  "a kernel with another revision of the series", EPROTONOSUPPORT },
	{ "no-btf", "bpf_exceptions: the module has no BTF, so programs can't find its kfuncs: build it with pahole and the kernel's vmlinux, CONFIG_DEBUG_INFO_BTF_MODULES=y\n",
	  "a module without BTF", ENODATA },
	{ "other-btf", "failed to validate module [bpf_exceptions] BTF: -22\n",
	  "a module with BTF for another kernel", EINVAL },
};

static void refused(const struct variant *variant)
{
	char desc[128];
	int err;

	clear_log();
	err = load_module();
	snprintf(desc, sizeof(desc), "%s: refused, with an errno of its own", variant->desc);
	test((errno = err) == variant->err, desc);
	test(log_ends(variant->said), "... and a sentence in the log");
	test(unload_module() == ENOENT, "... and nothing is left");
}

static bool load_throw_unload(void)
{
	bool ok = !load_module();
	int fd;

	builder_forget();
	fd = ok ? load_prog() : -1;
	ok = fd >= 0 && throws(fd);
	close(fd);
	return ok && !unload_soon();
}

static void lives(void)
{
	bool ok = true;
	int fd;

	clear_log();
	test(!load_module(), "it loads");
	test(log_ends(LOADED), "its load message names the kfuncs and the program types");
	test(load_module() == EEXIST, "it loads once");
	fd = load_prog();
	test(fd >= 0 && throws(fd), "a program throws");
	test(unload_module() == EAGAIN, "it doesn't unload while a program uses it");
	test(throws(fd), "the program still throws");
	close(fd);
	test(!unload_soon(), "it unloads when the program is gone");
	clear_log();
	test(load_throw_unload() && log_is(LOADED), "it says one line, when it loads, and no more");
	for (int i = 0; i < 20 && ok; i++)
		ok = load_throw_unload();
	test(ok, "20 times: load, throw, unload");
}

int main(int argc, char **argv)
{
	size_t cnt = sizeof(variants) / sizeof(variants[0]);

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: life MODULE.ko [VARIANT]\n");
		return 2;
	}
	module = argv[1];
	printf("KTAP version 1\n");
	if (argc > 2) {
		const struct variant *variant = variants;

		while (variant < variants + cnt && strcmp(variant->name, argv[2]))
			variant++;
		if (variant == variants + cnt) {
			fprintf(stderr, "life: there is no variant %s\n", argv[2]);
			return 2;
		}
		refused(variant);
	} else {
		lives();
	}
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	return !!failed;
}
