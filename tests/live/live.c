// SPDX-License-Identifier: GPL-2.0-only
/*
 * live - load, disable and unload the livepatch, with and without programs that throw
 *
 * usage: live FOLDER [SECONDS]
 *        live FOLDER refused ERRNO TEXT
 *
 * FOLDER has bpf_exceptions_livepatch.ko, bpf_exceptions.ko, other_livepatch.ko (of other.c),
 * wrong_livepatch.ko, which is made for a kernel with another build ID, and stripped_livepatch.ko,
 * whose livepatch relocations are gone. Begins and ends without any of them. SECONDS is how long
 * programs are loaded while the livepatch comes and goes (default: 20). "refused": the kernel loads
 * neither module, with this errno, and its log has TEXT.
 * Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 cannot begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../builder.h"

#define LIVEPATCH "bpf_exceptions_livepatch"
#define MODULE "bpf_exceptions"
#define OTHER "other_livepatch"
#define SYSFS "/sys/kernel/livepatch/"

/* What a verifier without the series says of the kfuncs: they claim to acquire something */
#define REFUSAL "acquire kernel function does not return PTR_TO_BTF_ID"

static const char *folder;
static int failed, num;

static void test(bool ok, const char *desc)
{
	failed += !ok;
	if (!ok)
		printf("# errno %d: %s\n", errno, strerror(errno));
	printf("%s %d live/%d - %s\n", ok ? "ok" : "not ok", num + 1, num + 1, desc);
	num++;
	fflush(stdout);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* --- modules --- */

static int load(const char *name)
{
	char path[256];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s.ko", folder, name);
	fd = open(path, O_RDONLY);
	err = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	close(fd);
	errno = err;
	return err;
}

static int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? errno : 0;
}

/* What holds it goes after a grace period, or a transition */
static bool unload_soon(const char *name)
{
	int i, err;

	for (i = 0; i < 300; i++) {
		err = unload(name);
		if (!err)
			return true;
		usleep(100000);
	}
	errno = err;
	return false;
}

static int read_state(const char *livepatch, const char *file)
{
	char path[256];
	int fd, value = -1;
	char c;

	snprintf(path, sizeof(path), SYSFS "%s/%s", livepatch, file);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, &c, 1) == 1)
		value = c - '0';
	close(fd);
	return value;
}

static bool disable(const char *livepatch)
{
	char path[256];
	int fd, i;
	bool ok;

	snprintf(path, sizeof(path), SYSFS "%s/enabled", livepatch);
	fd = open(path, O_WRONLY);
	ok = fd >= 0 && write(fd, "0", 1) == 1;
	close(fd);
	/* the folder goes when the transition is over */
	for (i = 0; ok && i < 600 && read_state(livepatch, "transition") >= 0; i++)
		usleep(100000);
	return ok && read_state(livepatch, "transition") < 0;
}

/* --- the kernel's log --- */

static void clear_log(void)
{
	syscall(SYS_syslog, 5, NULL, 0);
}

static bool log_has(const char *text)
{
	static char log[1 << 18];
	int len = syscall(SYS_syslog, 3, log, sizeof(log) - 1);

	log[len > 0 ? len : 0] = 0;
	if (strstr(log, text))
		return true;
	printf("# expected in the kernel's log: %s\n", text);
	return false;
}

/* --- programs --- */

static char verifier_log[1 << 16];

static int run(int fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	return bpf_prog_test_run_opts(fd, &opts) ? -1 : (int)opts.retval;
}

/* Throws in a subprogram; returns 1 if that comes back */
static int load_thrower(void)
{
	static struct builder b;
	int func;

	builder_forget();
	builder_init(&b);
	func = builder_func(&b, 0, false);
	builder_call(&b, func);
	builder_emit(&b, MOV_IMM(BPF_REG_0, 1));
	builder_emit(&b, EXIT());
	builder_begin(&b, func);
	builder_emit(&b, MOV_IMM(BPF_REG_1, 7));
	builder_call_kfunc(&b, KFUNC_THROW);
	builder_emit(&b, MOV_IMM(BPF_REG_0, 1));
	builder_emit(&b, EXIT());
	verifier_log[0] = 0;
	return builder_load(&b, BPF_PROG_TYPE_XDP, verifier_log, sizeof(verifier_log));
}

static bool throws(int fd)
{
	return fd >= 0 && run(fd) == 0;
}

/* Main calls a global function that never returns, which @func is set to */
static int load_ender(struct builder *b, int *func)
{
	builder_forget();
	builder_init(b);
	*func = builder_func(b, 1, true);
	builder_emit(b, MOV_IMM(BPF_REG_1, 7));
	builder_call(b, *func);
	builder_emit(b, MOV_IMM(BPF_REG_0, 1));
	builder_emit(b, EXIT());
	builder_begin(b, *func);
	builder_call_kfunc(b, KFUNC_THROW);
	return builder_load(b, BPF_PROG_TYPE_XDP, verifier_log, sizeof(verifier_log));
}

static int load_replacement(int target, int btf_id)
{
	static struct builder b;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .attach_prog_fd = target, .attach_btf_id = btf_id);

	builder_init(&b);
	b.funcs[0].ctx = false;
	builder_emit(&b, MOV_IMM(BPF_REG_0, 5));
	builder_emit(&b, EXIT());
	verifier_log[0] = 0;
	return builder_load_with(&b, BPF_PROG_TYPE_EXT, &opts, verifier_log, sizeof(verifier_log));
}

/* A program that has nothing to do with exceptions */
static int load_plain(void)
{
	struct bpf_insn insns[] = { MOV_IMM(BPF_REG_0, 2), EXIT() };

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "plain", "GPL", insns, 2, NULL);
}

/* --- tests --- */

static bool load_both(void)
{
	return !load(LIVEPATCH) && !load(MODULE);
}

static bool unload_both(void)
{
	return unload_soon(MODULE) && disable(LIVEPATCH) && unload_soon(LIVEPATCH);
}

static void comes_and_goes(void)
{
	static struct builder ender;
	int fd, other, func, target;
	double began;

	clear_log();
	test(load(MODULE) == EOPNOTSUPP && log_has("load bpf_exceptions_livepatch first"),
	     "the module without the livepatch: refused, in a sentence that names it");
	began = now();
	test(!load(LIVEPATCH) && log_has("patching complete"), "the livepatch loads, and is enabled then");
	test(!load(MODULE), "the module loads");
	printf("# both loaded in %.1f s\n", now() - began);
	fd = load_thrower();
	test(throws(fd), "a program throws");
	target = load_ender(&ender, &func);
	test(throws(target), "... and one that calls a function that never returns");
	test(unload(LIVEPATCH) && unload(MODULE), "neither unloads while a program throws");
	test(disable(LIVEPATCH), "the livepatch can be disabled all the same");
	test(throws(fd), "... the program goes on throwing");
	other = load_thrower();
	test(other < 0 && strstr(verifier_log, REFUSAL), "... another one is refused by the kernel's own verifier");
	other = load_replacement(target, ender.funcs[func].btf_id);
	test(other < 0 && strstr(verifier_log, "Cannot replace"), "... nor may a function be replaced that never returns");
	close(target);
	test(run(load_plain()) == 2, "... and programs without exceptions load");
	test(unload(LIVEPATCH) && unload(MODULE), "... neither unloads");
	close(fd);
	test(unload_soon(MODULE) && unload_soon(LIVEPATCH), "... and both unload when the program is gone");
	test(load_both(), "both load again");
	fd = load_thrower();
	test(throws(fd), "... and a program throws");
	close(fd);
	test(unload_both(), "... and they unload");
}

static bool is_refused(const char *name, int err, const char *said)
{
	clear_log();
	return load(name) == err && log_has(said) && unload(name) == ENOENT && read_state(name, "enabled") < 0;
}

static void with_others(void)
{
	int fd;

	test(is_refused("wrong_livepatch", ENOEXEC, "made for kernel ") && unload(LIVEPATCH) == ENOENT,
	     "made for another build of the kernel: refused, in a sentence");
	test(is_refused("stripped_livepatch", ENOEXEC, "lost its livepatch relocations") && unload(LIVEPATCH) == ENOENT,
	     "without its livepatch relocations, as strip may leave it: refused, in a sentence");
	test(!load(OTHER), "another livepatch of the same function loads");
	test(is_refused(LIVEPATCH, EBUSY, "livepatch other_livepatch replaces bpf_prog_show_fdinfo(), too"),
	     "... the project's is refused then, in a sentence");
	test(disable(OTHER) && unload_soon(OTHER), "... and unloads");

	test(load_both(), "the project's first: both load");
	fd = load_thrower();
	test(!load(OTHER), "... another livepatch of the same function, too");
	test(throws(fd), "... the program goes on throwing");
	close(fd);
	fd = load_thrower();
	test(throws(fd), "... and so does one that is loaded then");
	test(disable(OTHER) && unload_soon(OTHER) && throws(fd), "... also when the other one is gone");
	close(fd);
	test(unload_both(), "... and all unload");
}

/* --- while programs are loaded --- */

#define LOADERS 4

struct tally {
	int stop;
	int threw, refused, absent, plain, wrong;
};

/* In a process of its own: the builder ends it where there is no module */
static int attempt(void)
{
	int fd = load_plain();

	if (fd < 0 || run(fd) != 2)
		return 10;
	close(fd);
	fd = load_thrower();
	if (fd >= 0)
		return throws(fd) ? 0 : 11;
	if (strstr(verifier_log, REFUSAL))
		return 3;
	/* the module goes, or is about to come */
	return errno == ENXIO || errno == ENOENT || strstr(verifier_log, "is not allowed") ? 2 : 12;
}

static void load_programs(struct tally *tally)
{
	int status;
	pid_t pid;

	while (!__atomic_load_n(&tally->stop, __ATOMIC_RELAXED)) {
		pid = fork();
		if (!pid) {
			freopen("/dev/null", "w", stderr);
			status = attempt();
			if (status > 3)
				printf("# attempt %d: errno %d: %.300s\n", status, errno, verifier_log);
			fflush(stdout);
			_exit(status);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			continue;
		status = WIFEXITED(status) ? WEXITSTATUS(status) : 20;
		__atomic_add_fetch(status == 0 ? &tally->threw : status == 2 ? &tally->absent :
				   status == 3 ? &tally->refused : &tally->wrong, 1, __ATOMIC_RELAXED);
	}
}

/* Wait until a program more has come to this end, however slow the machine is */
static bool one_more(int *cnt)
{
	int i, before = __atomic_load_n(cnt, __ATOMIC_RELAXED);

	for (i = 0; i < 600; i++) {
		if (__atomic_load_n(cnt, __ATOMIC_RELAXED) > before)
			return true;
		usleep(100000);
	}
	return false;
}

static void under_load(int seconds)
{
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double end = now() + seconds;
	pid_t pid[LOADERS];
	int i, rounds = 0;
	bool ok = true;

	fflush(stdout);
	for (i = 0; i < LOADERS; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			load_programs(tally);
			_exit(0);
		}
	}
	for (; ok && (now() < end || rounds < 2); rounds++) {
		ok = load_both() && one_more(&tally->threw) &&
		     disable(LIVEPATCH) && one_more(&tally->refused) &&
		     unload_soon(MODULE) && unload_soon(LIVEPATCH);
	}
	__atomic_store_n(&tally->stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < LOADERS; i++)
		waitpid(pid[i], NULL, 0);
	printf("# %d rounds; programs: %d threw, %d were refused by the kernel's own verifier, %d found no module, %d wrong\n",
	       rounds, tally->threw, tally->refused, tally->absent, tally->wrong);
	test(ok, "while programs are loaded: it is enabled, disabled, unloaded, and again");
	test(!tally->wrong && tally->threw && tally->refused, "... each program throws right, or is refused");
}

int main(int argc, char **argv)
{
	if (argc < 2 || (argc > 2 && !strcmp(argv[2], "refused") && argc != 5)) {
		fprintf(stderr, "usage: live FOLDER [SECONDS], live FOLDER refused ERRNO TEXT\n");
		return 2;
	}
	folder = argv[1];
	printf("KTAP version 1\n");
	if (argc == 5) {
		test(is_refused(LIVEPATCH, atoi(argv[3]), argv[4]), "the livepatch isn't loaded, and the log says why");
		test(is_refused(MODULE, atoi(argv[3]), argv[4]), "nor is the module");
	} else {
		comes_and_goes();
		with_others();
		under_load(argc > 2 ? atoi(argv[2]) : 20);
	}
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	return !!failed;
}
