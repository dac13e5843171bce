// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench - count the instructions of BPF programs
 *
 * usage: bench run OBJECT			a run of each program
 *	  bench cold OBJECT PROGRAM		the first run after loading
 *	  bench watched OBJECT PROGRAM WATCHER	a run while fexit program WATCHER watches one of
 *						the program's functions
 *	  bench among OBJECT PROGRAM N...	a run with N other programs loaded
 *	  bench load OBJECT			what loading each program takes
 *	  bench types STRUCT...			sizes of structures of the kernel
 *
 * Under "qemu -icount shift=0" a nanosecond is an instruction. Prints lines with a name, a value
 * and what else is known. The value of a run is the minimum of many rounds, as interrupts hit some
 * of them. It includes the overhead of a test run, which the program "empty" shows. Each program is
 * loaded to be measured, without any other. The fexit program WATCHER is in WATCHER.bpf.o, and its
 * section says which function it watches.
 *
 * Exit status: 0 done, 1 it could not, 2 bad arguments.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define ROUNDS 16	/* of which some are free from interrupts */
#define RUNS 100	/* a round, short enough for that */
#define LOADS 16
#define LOG_SIZE (1 << 20)

static char log_buf[LOG_SIZE];

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, ": %m\n%s", log_buf);
	exit(1);
}

static struct bpf_object *open_object(const char *file)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = log_buf,
		    .kernel_log_size = LOG_SIZE, .kernel_log_level = 4);
	struct bpf_object *obj = bpf_object__open_file(file, &opts);

	if (!obj)
		die("cannot open %s", file);
	return obj;
}

/* Load only program @name of @file */
static struct bpf_object *load_once(const char *file, const char *name)
{
	struct bpf_object *obj = open_object(file);
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	if (bpf_object__load(obj))
		die("cannot load %s of %s", name, file);
	return obj;
}

/* The first time, libbpf loads programs of its own to learn what the kernel supports. Whether they
 * are gone affects where ours are in memory, and thus some of mainline's lookups.
 */
static struct bpf_object *load(const char *file, const char *name)
{
	static bool settled;

	if (!settled) {
		bpf_object__close(load_once(file, name));
		sleep(1);
		settled = true;
	}
	return load_once(file, name);
}

static int find(struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	if (!prog)
		die("there is no program %s", name);
	return bpf_program__fd(prog);
}

static __u32 run(int fd, int runs, int *ret)
{
	char packet[256] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = runs);

	if (bpf_prog_test_run_opts(fd, &opts))
		die("cannot run");
	*ret = opts.retval;
	return opts.duration;
}

static __u32 least(int fd, int *ret)
{
	__u32 least = -1, cost;

	for (int i = 0; i < ROUNDS; i++) {
		cost = run(fd, RUNS, ret);
		if (cost < least)
			least = cost;
	}
	return least;
}

static struct bpf_prog_info info_of(int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		die("no information about a program");
	return info;
}

static void print_run(const char *name, int fd)
{
	struct bpf_prog_info info = info_of(fd);
	int ret;
	__u32 cost = least(fd, &ret);

	printf("%s %u returns=%d bytes=%u\n", name, cost, ret, info.jited_prog_len);
}

static void bench_run(char **argv)
{
	struct bpf_object *all = open_object(argv[0]), *obj;
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, all) {
		obj = load(argv[0], bpf_program__name(prog));
		print_run(bpf_program__name(prog), find(obj, bpf_program__name(prog)));
		bpf_object__close(obj);
	}
}

static void bench_cold(char **argv)
{
	__u32 least = -1, cost;
	int ret;

	for (int i = 0; i < ROUNDS; i++) {
		struct bpf_object *obj = load(argv[0], argv[1]);

		cost = run(find(obj, argv[1]), 1, &ret);
		if (cost < least)
			least = cost;
		bpf_object__close(obj);
	}
	printf("%s.cold %u returns=%d\n", argv[1], least, ret);
}

static void bench_watched(char **argv)
{
	struct bpf_object *obj = load(argv[0], argv[1]), *watcher_obj;
	const char *section, *func;
	struct bpf_program *prog;
	char name[64];

	snprintf(name, sizeof(name), "%s.bpf.o", argv[2]);
	watcher_obj = open_object(name);
	prog = bpf_object__next_program(watcher_obj, NULL);
	section = bpf_program__section_name(prog);
	func = strchr(section, '/');
	snprintf(name, sizeof(name), "%s_%s", argv[1], func ? func + 1 : "");
	if (bpf_program__set_attach_target(prog, find(obj, argv[1]), name) ||
	    bpf_object__load(watcher_obj) || !bpf_program__attach(prog))
		die("cannot watch %s", name);
	snprintf(name, sizeof(name), "%s.watched", argv[1]);
	print_run(name, find(obj, argv[1]));
}

static void load_others(int cnt)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static int loaded;

	while (loaded < cnt && bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "other", "GPL", insns, 2,
					     NULL) >= 0)
		loaded++;
	if (loaded < cnt)
		die("cannot load %d programs", cnt);
}

static void bench_among(char **argv)
{
	struct rlimit files = { 1 << 16, 1 << 16 };
	struct bpf_object *obj = load(argv[0], argv[1]);
	char name[64];

	if (setrlimit(RLIMIT_NOFILE, &files))
		die("no more files");
	for (char **cnt = argv + 2; *cnt; cnt++) {
		load_others(atoi(*cnt));
		snprintf(name, sizeof(name), "%s.among.%s", argv[1], *cnt);
		print_run(name, find(obj, argv[1]));
	}
}

/* The verifier reports how long it took in microseconds, that is, 1000 instructions */
static void bench_load(char **argv)
{
	struct bpf_object *all = open_object(argv[0]), *obj;
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, all) {
		unsigned int usec, least = -1;
		struct bpf_prog_info info;
		const char *said;

		for (int i = 0; i < LOADS; i++) {
			obj = load(argv[0], bpf_program__name(prog));
			info = info_of(find(obj, bpf_program__name(prog)));
			said = strstr(log_buf, "verification time ");
			if (!said || sscanf(said, "verification time %u", &usec) != 1)
				die("the verifier doesn't say how long it took");
			if (usec < least)
				least = usec;
			bpf_object__close(obj);
		}
		printf("%s %u verified=%u\n", bpf_program__name(prog), least, info.verified_insns);
	}
}

static void bench_types(char **argv)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	if (!btf)
		die("the kernel has no BTF");
	for (; *argv; argv++) {
		id = btf__find_by_name_kind(btf, *argv, BTF_KIND_STRUCT);
		printf("%s %d\n", *argv, id < 0 ? 0 : (int)btf__resolve_size(btf, id));
	}
}

static const struct {
	const char *name;
	void (*func)(char **argv);
	int args;
} commands[] = {
	{ "run", bench_run, 1 },
	{ "cold", bench_cold, 2 },
	{ "watched", bench_watched, 3 },
	{ "among", bench_among, 3 },
	{ "load", bench_load, 1 },
	{ "types", bench_types, 1 },
};

int main(int argc, char **argv)
{
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) || argc - 2 < commands[i].args)
			continue;
		commands[i].func(argv + 2);
		return 0;
	}
	fprintf(stderr, "usage: bench run|cold|watched|among|load|types ARGUMENT...\n");
	return 2;
}
