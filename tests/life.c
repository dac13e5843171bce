// SPDX-License-Identifier: GPL-2.0-only
/*
 * life - load and unload the module, with and without programs that use it
 *
 * usage: life MODULE.ko [VARIANT]
 *
 * Begins and ends without the module. VARIANT says what doesn't fit, the kernel or the file,
 * and the module has to be refused for it: unpatched, revision, no-btf, other-btf. What the
 * kernel's log says is compared as a whole. Or it is no-memory: on a kernel with FAILSLAB, and with
 * bpf_exceptions_test.ko loaded, each allocation of the module's init fails in turn. Prints KTAP.
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

#define LOADED "bpf_exceptions: registered bpf_throw and bpf_set_exception_callback for programs of all types\n"

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
	{ "other-btf-let-in", "bpf_exceptions: the module's BTF is for another build of the kernel, so programs can't find its kfuncs: build it with this kernel's vmlinux\n",
	  "a module with BTF for another kernel, on one that lets it in", ENOEXEC },
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

static bool write_to(const char *file, const char *fmt, int value)
{
	FILE *f = fopen(file, "w");
	bool ok = f && fprintf(f, fmt, value) > 0;

	return f && !fclose(f) && ok;
}

static int read_number(const char *file)
{
	FILE *f = fopen(file, "r");
	int number = -1;

	if (f && fscanf(f, "%d", &number) != 1)
		number = -1;
	if (f)
		fclose(f);
	return number;
}

#define FAILSLAB "/sys/kernel/debug/failslab/"
#define FAIL_NTH "/sys/module/bpf_exceptions_test/parameters/fail_nth"
#define MOST_ALLOCATIONS 1000

/* What the module says of those that are its own */
static const char *const no_memory[] = {
	"bpf_exceptions: cannot look at the module's BTF: -12\n",
	"bpf_exceptions: cannot register kfuncs for xdp programs: -12\n",
};

static void starves(void)
{
	int err = 0, cnt = 0, denied = 0, said[2] = {};
	/* those that may wait fail, too, and without a stack trace of each */
	bool ok = write_to(FAILSLAB "ignore-gfp-wait", "N", 0) &&
		  write_to(FAILSLAB "verbose", "%d", 0), more = true;

	while (ok && more && cnt < MOST_ALLOCATIONS) {
		clear_log();
		ok = write_to(FAIL_NTH, "%d", cnt + 1);
		err = load_module();
		more = read_number(FAIL_NTH) == 0;
		cnt += more;
		denied += err == ENOMEM;
		for (int i = 0; i < 2 && err == ENOMEM; i++)
			said[i] += !!strstr(log_text(), no_memory[i]);
		/* it can do without some */
		ok = ok && (err ? err == ENOMEM && unload_module() == ENOENT : !unload_soon());
	}
	if (!ok)
		printf("# allocation %d: error %d of the load; the kernel said: %s\n", cnt, err, log_text());
	printf("# %d allocations, %d of them needed, %d the module's own\n", cnt, denied, said[0] + said[1]);
	test(ok && !more && denied, "memory fails at each allocation: ENOMEM and nothing is left, or it does without");
	test(said[0] && said[1], "... and a sentence in the log, where it is the module's own");
	write_to(FAIL_NTH, "%d", 0);
	test(load_throw_unload(), "... and afterwards it loads, and a program throws");
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
	if (argc == 3 && !strcmp(argv[2], "no-memory")) {
		starves();
	} else if (argc == 3 && *argv[2]) {
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
