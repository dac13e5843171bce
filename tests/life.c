// SPDX-License-Identifier: GPL-2.0-only
/*
 * life - load and unload the module, with and without programs that use it
 *
 * usage: life MODULE.ko [VARIANT]
 *
 * Begins and ends without the module. VARIANT says what is wrong with the kernel or the file, so
 * that the module must be refused: unpatched, revision, no-btf, other-btf. All that the kernel's
 * log says is compared. With the VARIANT no-memory, on a kernel with FAILSLAB and with
 * bpf_exceptions_test.ko loaded, each allocation of the module's init fails in turn, and then each
 * allocation when a program that throws is loaded. Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 cannot begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
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

static bool returns(int fd, __u32 expected)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .retval = 1);

	return !bpf_prog_test_run_opts(fd, &opts) && opts.retval == expected;
}

static bool throws(int fd)
{
	return returns(fd, 0);
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

/* What the kernel has logged since, without level and time */
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

/* Kernels and modules that don't match: the errno of each, and the kernel's last message */
static const struct variant {
	const char *name, *said, *desc;
	int err;
} variants[] = {
	{ "unpatched", "bpf_exceptions: this kernel lacks the companion series: load bpf_exceptions_livepatch first, or boot one that was built with jit-patch/\n",
	  "a kernel without the series", EOPNOTSUPP },
	{ "revision", "bpf_exceptions: this kernel has revision " THIS_REVISION " of the companion series, the module is for " NEXT_REVISION ": build both from one source\n",
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
#define MOST_ALLOCATIONS 5000

/* Which of the messages are the module's own */
static const char *const no_memory[] = {
	"bpf_exceptions: cannot look at the module's BTF: -12\n",
	"bpf_exceptions: cannot register kfuncs for xdp programs: -12\n",
};

/* Fail each allocation of the module's load in turn */
static bool sweep(int *cnt, int *denied, int said[2], int *err, bool *more)
{
	bool ok = true;

	for (*cnt = 0, *more = true; ok && *more && *cnt < MOST_ALLOCATIONS;) {
		clear_log();
		ok = write_to(FAIL_NTH, "%d", *cnt + 1);
		*err = load_module();
		*more = read_number(FAIL_NTH) == 0;
		*cnt += *more;
		*denied += *err == ENOMEM;
		for (int i = 0; i < 2 && *err == ENOMEM; i++)
			said[i] += !!strstr(log_text(), no_memory[i]);
		/* it can do without some */
		ok = ok && (*err ? *err == ENOMEM && unload_module() == ENOENT : !unload_soon());
	}
	return ok;
}

static void starves(void)
{
	int err = 0, cnt = 0, denied = 0, said[2] = {};
	/* also fail those that may sleep, and print no stack traces */
	bool ok = write_to(FAILSLAB "ignore-gfp-wait", "N", 0) &&
		  write_to(FAILSLAB "verbose", "%d", 0), more = true;

	/* Loads don't allocate in the same order each time, so a sweep may miss one */
	for (int pass = 0; ok && pass < 5 && !(said[0] && said[1]); pass++)
		ok = sweep(&cnt, &denied, said, &err, &more);
	if (!ok)
		printf("# allocation %d: error %d of the load; the kernel said: %s\n", cnt, err, log_text());
	printf("# %d allocations, %d of them needed, %d the module's own\n", cnt, denied, said[0] + said[1]);
	test(ok && !more && denied, "memory fails at each allocation: ENOMEM and nothing is left, or it does without");
	test(said[0] && said[1], "... and a sentence in the log, where it is the module's own");
	write_to(FAIL_NTH, "%d", 0);
	test(load_throw_unload(), "... and afterwards it loads, and a program throws");
}

/* For the system call that loads the program: which allocation fails; 0 afterwards if it did */
static int fail_nth_fd, fail_nth;

static void starve(bool before)
{
	int err = errno, len;
	char number[16];

	len = snprintf(number, sizeof(number), "%d", before ? fail_nth : 0);
	if (!before) {
		char left[16] = {};

		fail_nth = pread(fail_nth_fd, left, sizeof(left) - 1, 0) > 0 ? atoi(left) : -1;
	}
	if (pwrite(fail_nth_fd, number, len, 0) != len)
		fail_nth = -1;
	errno = err;
}

/* main -> func1 -> func2, which throws 7; a callback returns the cookie */
static int load_deep_prog(char *log, int size)
{
	int callback, funcs[2];

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	for (int i = 0; i < 2; i++)
		funcs[i] = builder_func(&b, 1, false);
	builder_load_func(&b, BPF_REG_1, callback);
	builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
	builder_emit(&b, MOV_IMM(BPF_REG_1, 7));
	builder_call(&b, funcs[0]);
	builder_emit(&b, EXIT());
	builder_begin(&b, funcs[0]);
	builder_emit(&b, MOV_REG(BPF_REG_6, BPF_REG_1));
	builder_emit(&b, STORE_REG(BPF_REG_10, -8, BPF_REG_6));
	builder_call(&b, funcs[1]);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_6));
	builder_emit(&b, EXIT());
	builder_begin(&b, funcs[1]);
	builder_emit(&b, MOV_REG(BPF_REG_7, BPF_REG_1));
	builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 2)); /* once in 4 billion */
	builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_7));
	builder_call_kfunc(&b, KFUNC_THROW);
	builder_emit(&b, EXIT());
	builder_begin(&b, callback);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	builder_emit(&b, EXIT());
	b.around_load = starve;
	return builder_load(&b, BPF_PROG_TYPE_XDP, log, size);
}

static int count_programs(void)
{
	__u32 id = 0;
	int cnt = 0;

	while (!bpf_prog_get_next_id(id, &id))
		cnt++;
	return cnt;
}

/*
 * 6.1 doesn't always return ENOMEM. If there is no memory for the state of a branch, its verifier
 * returns EFAULT; if there is none for an image, it tries the interpreter, which can't call kfuncs.
 */
static bool denied_for(int err, const char *log)
{
	return err == ENOMEM || (err == EFAULT && !strstr(log, "internal error")) ||
	       (err == EINVAL && strstr(log, "calling kernel functions are not allowed in non-JITed programs"));
}

/* What vmalloc() says when it fails is expected, and kept off the console; this wouldn't be */
static bool kernel_complains(void)
{
	const char *text = log_text();

	return strstr(text, "WARNING:") || strstr(text, "BUG:") || strstr(text, "UBSAN:");
}

static void program_starves(void)
{
	static char log[1 << 16];
	int fd, err = 0, nth = 0, denied = 0, no_memory = 0, no_image = 0, programs;
	bool ok, more = true;

	fail_nth_fd = open("/proc/self/fail-nth", O_RDWR);
	builder_forget();
	ok = fail_nth_fd >= 0 && !load_module();
	/* after that, what is allocated only once is there, and so are the pages that this uses */
	fd = ok ? load_deep_prog(log, sizeof(log)) : -1;
	ok = fd >= 0 && returns(fd, 7);
	close(fd);
	programs = count_programs();
	klogctl(8, NULL, 4); /* errors and worse */
	while (ok && more && nth < MOST_ALLOCATIONS) {
		clear_log();
		log[0] = 0;
		fail_nth = ++nth;
		fd = load_deep_prog(log, sizeof(log));
		err = fd < 0 ? errno : 0;
		more = fail_nth == 0;
		denied += !!err;
		no_memory += err == ENOMEM;
		no_image += err == EINVAL;
		/* it can do without some */
		ok = fail_nth >= 0 && (err ? denied_for(err, log) : returns(fd, 7));
		close(fd);
		ok = ok && count_programs() == programs && !kernel_complains();
	}
	klogctl(8, NULL, 7);
	if (!ok)
		printf("# allocation %d: error %d of the load: %s; the kernel said: %s\n", nth, err, log, log_text());
	printf("# %d allocations, %d of them needed, %d for the image; %d times ENOMEM\n", nth - 1, denied,
	       no_image, no_memory);
	test(ok && !more && no_memory && no_image,
	     "memory fails at each allocation of the load of a program that throws: no program is left, or it does without");
	fail_nth = 0;
	fd = load_deep_prog(log, sizeof(log));
	test(fd >= 0 && returns(fd, 7), "... and afterwards it loads, and throws");
	close(fd);
	test(!unload_soon(), "... and nothing of them holds the module");
	close(fail_nth_fd);
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
		program_starves();
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
