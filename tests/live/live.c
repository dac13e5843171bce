// SPDX-License-Identifier: GPL-2.0-only
/*
 * live - load, disable and unload the livepatch, with and without programs that throw
 *
 * usage: live FOLDER [SECONDS]
 *        live FOLDER refused ERRNO TEXT
 *        live FOLDER signed
 *
 * FOLDER has bpf_exceptions_livepatch.ko, bpf_exceptions.ko, other_livepatch.ko (of other.c),
 * wrong_livepatch.ko, which is made for a kernel with another build ID, and stripped_livepatch.ko,
 * whose livepatch relocations are gone. Begins and ends without any of them. SECONDS is how long
 * programs are loaded while the livepatch comes and goes (default: 20). "refused": the kernel loads
 * neither module, with this errno, and its log has TEXT. "signed": it loads both, which are signed.
 * Prints KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 cannot begin.
 */
#include <errno.h>
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
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "../builder.h"
#include "hold.h"
#include "modules.h"

#define LIVEPATCH "bpf_exceptions_livepatch"
#define MODULE "bpf_exceptions"
#define OTHER "other_livepatch"

/* What a verifier without the series says about the kfuncs, which claim to acquire something */
#define REFUSAL "acquire kernel function does not return PTR_TO_BTF_ID"

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

/* --- programs --- */

static char verifier_log[1 << 16];

static int run(int fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	return bpf_prog_test_run_opts(fd, &opts) ? -1 : (int)opts.retval;
}

/* Throws in a subprogram; returns 1 if that returns */
static int load_thrower_with(char *log, int log_size)
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
	return builder_load(&b, BPF_PROG_TYPE_XDP, log, log_size);
}

static int load_thrower(void)
{
	verifier_log[0] = 0;
	return load_thrower_with(verifier_log, sizeof(verifier_log));
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
static int load_plain_with(char *log, int log_size)
{
	struct bpf_insn insns[] = { MOV_IMM(BPF_REG_0, 2), EXIT() };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = log, .log_size = log_size, .log_level = !!log);

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "plain", "GPL", insns, 2, &opts);
}

static int load_plain(void)
{
	return load_plain_with(NULL, 0);
}

/* One that calls kfuncs of vmlinux, so that the livepatch JITs it; returns 3 */
static int load_acquirer(void)
{
	struct btf *vmlinux = btf__load_vmlinux_btf();
	int acquire = btf__find_by_name_kind(vmlinux, "bpf_kfunc_call_test_acquire", BTF_KIND_FUNC);
	int release = btf__find_by_name_kind(vmlinux, "bpf_kfunc_call_test_release", BTF_KIND_FUNC);
	struct bpf_insn insns[] = {
		STORE_IMM(BPF_REG_10, -8, 0),
		MOV_REG(BPF_REG_1, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_1, -8),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, acquire),
		JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 2),
		MOV_REG(BPF_REG_1, BPF_REG_0),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, release),
		MOV_IMM(BPF_REG_0, 3),
		EXIT(),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = verifier_log, .log_size = sizeof(verifier_log), .log_level = 1);

	btf__free(vmlinux);
	verifier_log[0] = 0;
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "acquirer", "GPL", insns, sizeof(insns) / sizeof(insns[0]), &opts);
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
	other = load_acquirer();
	test(run(other) == 3, "... as well as one that calls other kfuncs, which the livepatch JITs, too");
	test(unload_both(), "... and they unload");
	test(run(other) == 3, "... and what it JITed runs on without it");
	close(other);
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
	test(!load_with(OTHER, "replace=1") && wait_for(LIVEPATCH, -1), "a livepatch that replaces all others disables the project's");
	test(throws(fd), "... the program goes on throwing");
	test(load_thrower() < 0 && strstr(verifier_log, REFUSAL), "... another one is refused by the kernel's own verifier");
	close(fd);
	test(disable(OTHER) && unload_soon(OTHER) && unload_soon(MODULE) && unload_soon(LIVEPATCH), "... and all unload");
}

/* --- while a task is in the way --- */

static int load_plain_held(struct hold *hold)
{
	return load_plain_with(hold->page, HOLD_SIZE);
}

static int load_thrower_held(struct hold *hold)
{
	return load_thrower_with(hold->page, HOLD_SIZE);
}

static int run_held(struct hold *hold)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = hold->page, .data_size_in = 64);
	int fd = load_plain();
	int err = bpf_prog_test_run_opts(fd, &opts);

	close(fd);
	return err ? -1 : (int)opts.retval;
}

static void *load_livepatch(void *err)
{
	*(int *)err = load(LIVEPATCH);
	return NULL;
}

static void in_transition(void)
{
	struct hold held;
	pthread_t loader;
	int fd, err = -1;

	test(hold_begin(&held, load_plain_held), "a task sleeps in the kernel's own verifier");
	clear_log();
	pthread_create(&loader, NULL, load_livepatch, &err);
	test(wait_for(LIVEPATCH, 1) && run(load_plain()) == 2, "... the livepatch loads meanwhile: other tasks load programs");
	test(begin_disabling(LIVEPATCH) && !pthread_join(loader, NULL) && log_has("disabled before it was enabled for all tasks"),
	     "... disabled before it is enabled: its load ends, and says so");
	test(!err && unload_soon(LIVEPATCH), "... and it unloads");
	err = -1;
	clear_log();
	pthread_create(&loader, NULL, load_livepatch, &err);
	test(!pthread_join(loader, NULL) && !err && log_has("not enabled for all tasks after 60 s"),
	     "... it loads again: that waits a minute, and then says which tasks are in the way");
	test(!load(MODULE), "... the module loads");
	fd = load_thrower();
	test(throws(fd), "... and other tasks' programs throw");
	hold_end(&held);
	test(held.result >= 0 && run(held.result) == 2, "the task goes on, and its program is loaded");
	close(held.result);
	test(wait_for(LIVEPATCH, 0) && throws(fd), "... the livepatch is enabled for all tasks");
	close(fd);

	test(hold_begin(&held, load_thrower_held), "a task sleeps in the livepatch's verifier");
	test(begin_disabling(LIVEPATCH) && load_thrower() < 0 && strstr(verifier_log, REFUSAL),
	     "... the livepatch is disabled: other tasks get the kernel's own verifier");
	test(read_state(LIVEPATCH, "transition") == 1 && unload(LIVEPATCH), "... it isn't gone yet, and doesn't unload");
	hold_end(&held);
	test(throws(held.result), "... the task goes on, and its program throws");
	close(held.result);
	test(wait_for(LIVEPATCH, -1) && unload_soon(MODULE) && unload_soon(LIVEPATCH), "... and both unload");

	test(hold_begin(&held, run_held) && !load_with(OTHER, "test_runs=1"), "another livepatch is held up by a task");
	test(is_refused(LIVEPATCH, EBUSY, "another livepatch is being enabled or disabled"),
	     "... the project's is refused then, in a sentence");
	hold_end(&held);
	test(held.result == 2 && wait_for(OTHER, 0) && disable(OTHER) && unload_soon(OTHER), "... until the task goes on, and the other is gone");
	test(load_both() && unload_both(), "... then both load");
}

/* --- where modules have to be signed --- */

static void with_signatures(void)
{
	int fd;

	test(!load(LIVEPATCH) && !load(MODULE), "the livepatch and the module load, signed with a key that the firmware has");
	fd = load_thrower();
	test(throws(fd), "... and a program throws");
	close(fd);
	test(unload_both(), "... and both unload");
}

/* --- while programs are loaded --- */

#define LOADERS 4

struct tally {
	int stop;
	int threw, refused, absent, plain, wrong;
};

/* In a process of its own, as the builder ends it if there is no module */
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
	/* the module is going, or about to come */
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

/* Wait until one more program has ended this way, however slow the machine is */
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
		fprintf(stderr, "usage: live FOLDER [SECONDS], live FOLDER refused ERRNO TEXT, live FOLDER signed\n");
		return 2;
	}
	folder = argv[1];
	printf("KTAP version 1\n");
	if (argc == 5) {
		test(is_refused(LIVEPATCH, atoi(argv[3]), argv[4]), "the livepatch isn't loaded, and the log says why");
		test(is_refused(MODULE, atoi(argv[3]), argv[4]), "nor is the module");
	} else if (argc == 3 && !strcmp(argv[2], "signed")) {
		with_signatures();
	} else {
		comes_and_goes();
		with_others();
		in_transition();
		under_load(argc > 2 ? atoi(argv[2]) : 20);
	}
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	return !!failed;
}
