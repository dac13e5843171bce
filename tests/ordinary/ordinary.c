// SPDX-License-Identifier: GPL-2.0-only
/*
 * ordinary - load programs with throws, and compare what they do with what host.c recorded
 *
 * usage: ordinary [-q] <LIST
 *
 * Each line of LIST is "NAME OBJECT RETURNS RECORD": an object, the same with a return instead of
 * each throw, and what host.c recorded for their source. Prints a line of KTAP for each program. A
 * program passes if it loads, and all its runs have the result and leave the variables that the
 * record has. A program that the kernel doesn't load with returns either is left out, with a line
 * that begins with "# left out"; together these are one more test, which fails if there are many.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 bad arguments or nothing to test.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "../fdinfo.h"
#include "ordinary.h"

#define LOG_SIZE (16 << 20)
#define MOST_LEFT_OUT 5		/* percent */

/* The location of a variable of struct state in the program's memory */
struct variable {
	const char *name;
	size_t offset, size;
	__u8 *at;
};

static struct variable variables[] = {
#define IN_STATE(type, name, elements) \
	{ #name, offsetof(struct state, name), sizeof(type[elements]), NULL },
	STATE(IN_STATE)
	{ "values", offsetof(struct state, values), sizeof(__u64[VALUES]), NULL },
};
#define VARIABLES (sizeof(variables) / sizeof(variables[0]))
#define VALUES_VARIABLE variables[VARIABLES - 1]
#define MAPPED 4096

static struct {
	int programs, failed, left_out, runs, throws;
} total;
static char *log_buf;
static char why[4096];

static bool fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	return false;
}

static const char *tail(const char *text, int lines)
{
	const char *p = text + strlen(text);

	while (p > text && lines >= 0)
		if (*--p == '\n')
			lines--;
	return p == text ? p : p + 1;
}

/* The verifier's last line, except for the one that counts instructions */
static const char *last_words(void)
{
	char *counts = strstr(log_buf, "\nprocessed ");
	size_t len;

	if (counts)
		counts[1] = 0;
	len = strlen(log_buf);
	if (!len || log_buf[len - 1] != '\n')
		strcpy(log_buf + (len < LOG_SIZE - 1 ? len : len - 1), "\n");
	return log_buf;
}

/* Return: @file with its program @name loaded, or all if @name is NULL. NULL: refused */
static struct bpf_object *load(const char *file, const char *name)
{
	struct bpf_object *obj = bpf_object__open_file(file, NULL);
	struct bpf_program *prog;

	snprintf(log_buf, LOG_SIZE, "%s: %s\n", file, strerror(errno));
	if (!obj)
		return NULL;
	log_buf[0] = 0;
	bpf_object__for_each_program(prog, obj) {
		bpf_program__set_autoload(prog, !name || !strcmp(bpf_program__name(prog), name));
		bpf_program__set_log_buf(prog, log_buf, LOG_SIZE);
	}
	if (!bpf_object__load(obj))
		return obj;
	bpf_object__close(obj);
	return NULL;
}

/* Map @map's memory. Return: NULL on failure */
static __u8 *map_memory(struct bpf_map *map)
{
	void *memory = map ? mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0) :
			     MAP_FAILED;

	return memory == MAP_FAILED ? NULL : memory;
}

/* The variable's place in section .bss, from BTF */
static bool find_variable(const struct btf *btf, struct variable *variable, __u8 *memory)
{
	int id = btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC);
	const struct btf_type *section = id < 0 ? NULL : btf__type_by_id(btf, id);
	const struct btf_var_secinfo *info = section ? btf_var_secinfos(section) : NULL;

	for (int i = 0; section && i < btf_vlen(section); i++, info++) {
		__u32 name = btf__type_by_id(btf, info->type)->name_off;

		if (!strcmp(btf__name_by_offset(btf, name), variable->name)) {
			variable->at = memory + info->offset;
			return true;
		}
	}
	return fail("there is no variable %s in .bss", variable->name);
}

static bool find_variables(struct bpf_object *obj)
{
	struct bpf_map *map, *bss = NULL;
	__u8 *memory;

	bpf_object__for_each_map(map, obj)
		if (strstr(bpf_map__name(map), ".bss"))
			bss = map;
	memory = map_memory(bss);
	VALUES_VARIABLE.at = map_memory(bpf_object__find_map_by_name(obj, "values"));
	if (!memory || !VALUES_VARIABLE.at)
		return fail("no access to the memory of .bss, or of values: %m");
	for (size_t i = 0; i < VARIABLES - 1; i++)
		if (!find_variable(bpf_object__btf(obj), &variables[i], memory))
			return false;
	return true;
}

static void unmap_variables(void)
{
	/* all that are in .bss are on its one page */
	if (variables[0].at)
		munmap((void *)((unsigned long)variables[0].at & ~(MAPPED - 1ul)), MAPPED);
	if (VALUES_VARIABLE.at)
		munmap(VALUES_VARIABLE.at, MAPPED);
	for (size_t i = 0; i < VARIABLES; i++)
		variables[i].at = NULL;
}

static void set_variables(const struct state *state)
{
	for (size_t i = 0; i < VARIABLES; i++)
		memcpy(variables[i].at, (const __u8 *)state + variables[i].offset, variables[i].size);
}

static bool same_variables(const struct state *state)
{
	for (size_t i = 0; i < VARIABLES; i++) {
		const __u8 *want = (const __u8 *)state + variables[i].offset, *have = variables[i].at;

		for (size_t at = 0; at < variables[i].size; at++)
			if (want[at] != have[at])
				return fail("byte %zu of %s is %#x, the host's %#x", at, variables[i].name,
					    have[at], want[at]);
	}
	return true;
}

static bool run_once(struct bpf_program *prog, struct run *run)
{
	struct __sk_buff skb = { .mark = run->mark, .priority = run->priority };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		    .data_in = run->packet,
		    .data_size_in = run->size);

	if (bpf_program__type(prog) == BPF_PROG_TYPE_SCHED_CLS) {
		opts.ctx_in = &skb;
		opts.ctx_size_in = sizeof(skb);
	}
	set_variables(&run->before);
	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		return fail("test run: %m");
	if ((__s32)opts.retval != run->result)
		return fail("it returned %d, the host's %d", opts.retval, run->result);
	return same_variables(&run->after);
}

static bool run_all(struct bpf_object *obj, const struct record *record, struct run *runs)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, record->name);
	char difference[sizeof(why)];
	long long throws;
	bool ok = find_variables(obj);

	for (__u32 i = 0; ok && i < record->runs; i++) {
		ok = run_once(prog, &runs[i]);
		if (!ok) {
			strcpy(difference, why);
			fail("run %u of %u: %s", i, record->runs, difference);
		}
	}
	throws = fdinfo_value(bpf_program__fd(prog), "throws");
	/* if nothing that throws is left in it, it has no such number */
	if (ok && throws != record->throws && (throws != -1 || record->throws))
		ok = fail("it threw %lld times, the host's %u times", throws, record->throws);
	unmap_variables();
	total.runs += record->runs;
	total.throws += record->throws;
	return ok;
}

static void report(const char *name, const char *program, bool ok)
{
	char *line, *rest = why;

	total.programs++;
	total.failed += !ok;
	while (!ok && (line = strsep(&rest, "\n")))
		if (*line)
			printf("# %s\n", line);
	printf("%s %d ordinary/%s - %s\n", ok ? "ok" : "not ok", total.programs, program, name);
	fflush(stdout);
}

/* The files of a line of LIST. @all has all programs loaded; NULL if one of them is refused. */
struct files {
	char name[128], object[128], returns[128], record[128];
	struct bpf_object *all;
};

static void test_program(const struct files *files, const struct record *record, struct run *runs)
{
	struct bpf_object *obj = files->all ?: load(files->object, record->name);
	bool ok = obj && run_all(obj, record, runs);

	if (!obj) {
		fail("it loads with returns, and doesn't with throws:\n%s", tail(last_words(), 8));
		obj = load(files->returns, record->name);
		if (!obj) {
			total.left_out++;
			printf("# left out: %s %s, which doesn't load with returns: %s", files->name,
			       record->name, tail(last_words(), 1));
			return;
		}
	}
	if (obj != files->all)
		bpf_object__close(obj);
	report(files->name, record->name, ok);
}

static bool test_files(struct files *files)
{
	FILE *f = fopen(files->record, "r");
	struct record record;
	struct run *runs;
	size_t got = 0;

	files->all = load(files->object, NULL);
	while (f && (got = fread(&record, 1, sizeof(record), f)) == sizeof(record)) {
		runs = calloc(record.runs, sizeof(*runs));
		got = fread(runs, sizeof(*runs), record.runs, f);
		if (got == record.runs)
			test_program(files, &record, runs);
		free(runs);
		if (got != record.runs)
			break;
	}
	bpf_object__close(files->all);
	if (f)
		fclose(f);
	return f && !got;
}

static int print_nothing(enum libbpf_print_level level __attribute__((unused)),
			 const char *fmt __attribute__((unused)), va_list args __attribute__((unused)))
{
	return 0;
}

int main(void)
{
	struct files files;

	log_buf = malloc(LOG_SIZE);
	libbpf_set_print(print_nothing);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	printf("KTAP version 1\n");
	while (scanf("%127s %127s %127s %127s", files.name, files.object, files.returns, files.record) == 4) {
		if (!test_files(&files)) {
			fprintf(stderr, "%s is no record of host.c's\n", files.record);
			return 2;
		}
	}
	if (!total.programs) {
		fprintf(stderr, "nothing to test\n");
		return 2;
	}
	fail("%d of %d are left out", total.left_out, total.left_out + total.programs);
	report("few are left out", "left_out",
	       total.left_out * 100 <= MOST_LEFT_OUT * (total.left_out + total.programs));
	fail("%d of %d runs threw", total.throws, total.runs);
	report("a fifth of all runs throws, and a fifth doesn't", "throws",
	       total.throws >= total.runs / 5 && total.throws <= total.runs / 5 * 4);
	printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", total.programs, total.programs - total.failed,
	       total.failed);
	printf("# ordinary: %d programs, %d left out, %d failed, %d runs, %d throws\n", total.programs - 2,
	       total.left_out, total.failed, total.runs, total.throws);
	return total.failed ? 1 : 0;
}
