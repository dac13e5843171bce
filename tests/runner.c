// SPDX-License-Identifier: GPL-2.0-only
/*
 * runner - load and run BPF programs that carry their own expectations
 *
 * usage: runner [-v] [-T] [-b] [-t NAME] OBJECT...
 *
 * Each program in the OBJECT files with a __test() tag (tests/bpf/test.h) is a test, and gives one
 * line of KTAP. -v shows the verifier's log of each, -t runs only one test, -b only those that say
 * what to expect without the module, and -T prints a table for people instead of KTAP.
 *
 * Exit status: 0 all passed, 1 one or more failed, 2 bad arguments or no test at all.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/btf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "fdinfo.h"
#include "held.h"

#define MAX_TAGS 16
#define LOG_SIZE (16 << 20)

struct list {
	const char *item[MAX_TAGS];
	int cnt;
};

struct test {
	const char *file, *prog, *desc, *returns, *repeat, *on, *denied, *flag, *bare_returns, *releases, *every_state;
	struct list bare_refused, refused, input, expect, tail_call, with, with_refused, sysctl;
};

/* Where the text after a tag's name goes */
static const struct tag {
	const char *name;
	size_t off;
	bool is_list;
} tags[] = {
#define ONE(field) { #field "=", offsetof(struct test, field), false }
#define MANY(field) { #field "=", offsetof(struct test, field), true }
	ONE(desc), ONE(returns), ONE(repeat), ONE(on), ONE(denied), ONE(flag), ONE(bare_returns), ONE(releases), ONE(every_state),
	MANY(bare_refused),
	MANY(refused), MANY(input), MANY(expect), MANY(tail_call), MANY(with),
	MANY(with_refused), MANY(sysctl),
};

static bool verbose, table, bare;
static __u32 returned;
static char *log_buf;
static char why[4096];

static bool fail(const char *fmt, ...)
{
	size_t len = strlen(why);
	va_list args;

	va_start(args, fmt);
	vsnprintf(why + len, sizeof(why) - len, fmt, args);
	va_end(args);
	return false;
}

static void read_tag(struct test *test, const char *text)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		void *field = (char *)test + tags[i].off;
		size_t len = strlen(tags[i].name);

		if (strncmp(text, tags[i].name, len))
			continue;
		if (!tags[i].is_list) {
			*(const char **)field = text + len;
		} else {
			struct list *list = field;

			if (list->cnt < MAX_TAGS)
				list->item[list->cnt++] = text + len;
		}
	}
}

/* Read the BTF tags of function @prog */
static struct test read_test(const struct btf *btf, const char *file, const char *prog)
{
	struct test test = { .file = file, .prog = prog };
	int func = btf__find_by_name_kind(btf, prog, BTF_KIND_FUNC);

	for (__u32 id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (btf_is_decl_tag(t) && (int)t->type == func &&
		    btf_decl_tag(t)->component_idx == -1)
			read_tag(&test, btf__name_by_offset(btf, t->name_off));
	}
	return test;
}

static const char *tail(const char *text, int lines)
{
	const char *p = text + strlen(text);

	while (p > text && lines >= 0)
		if (*--p == '\n')
			lines--;
	return p == text ? p : p + 1;
}

static bool log_has(const struct list *texts)
{
	for (int i = 0; i < texts->cnt; i++)
		if (!strstr(log_buf, texts->item[i]))
			return fail("the log doesn't have \"%s\":\n%s", texts->item[i],
				    tail(log_buf, 12));
	return true;
}

static bool set_sysctl(const char *setting, char *old)
{
	char path[256], *value;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/%s", setting);
	value = strchr(path, '=');
	*value++ = 0;
	f = fopen(path, "r+");
	if (!f || (old && !fgets(old, 32, f)))
		return fail("cannot open %s: %m", path);
	rewind(f);
	fputs(value, f);
	if (fclose(f))
		return fail("cannot write %s to %s: %m", value, path);
	return true;
}

/* Find the data map of @obj that has global variable @name, and where in the map it is */
static struct bpf_map *find_var(struct bpf_object *obj, const char *name, size_t len,
				struct btf_var_secinfo *where)
{
	const struct btf *btf = bpf_object__btf(obj);
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *section = strrchr(bpf_map__name(map), '.');
		const struct btf_var_secinfo *info;
		const struct btf_type *t;
		const char *var;
		int id;

		id = section ? btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC) : -1;
		if (id < 0)
			continue;
		t = btf__type_by_id(btf, id);
		info = btf_var_secinfos(t);
		for (int i = 0; i < btf_vlen(t); i++, info++) {
			var = btf__name_by_offset(btf, btf__type_by_id(btf, info->type)->name_off);
			if (strlen(var) == len && !strncmp(var, name, len)) {
				*where = *info;
				return map;
			}
		}
	}
	return NULL;
}

/* @setting is NAME=VALUE: set variable NAME, or compare it */
static bool variable(struct bpf_object *obj, const char *setting, bool set)
{
	const char *value = strchr(setting, '=');
	__u64 want = strtoull(value + 1, NULL, 0), have = 0;
	struct btf_var_secinfo where;
	struct bpf_map *map = find_var(obj, setting, value - setting, &where);
	static char data[1 << 16];
	int zero = 0;

	if (!map || where.size > 8 || bpf_map__value_size(map) > sizeof(data) ||
	    bpf_map_lookup_elem(bpf_map__fd(map), &zero, data))
		return fail("no variable for %s", setting);
	if (set) {
		memcpy(data + where.offset, &want, where.size);
		return !bpf_map_update_elem(bpf_map__fd(map), &zero, data, 0) ||
		       fail("cannot set %s: %m", setting);
	}
	memcpy(&have, data + where.offset, where.size);
	if (where.size < 8)
		want &= (1ull << (8 * where.size)) - 1;
	return have == want || fail("%.*s is %lld, expected %s", (int)(value - setting), setting,
				    (long long)have, value + 1);
}

static bool named(const struct test *test, const char *prog)
{
	const char *target;

	if (!strcmp(test->prog, prog) || (test->releases && !strcmp(prog, "probe_object")))
		return true;
	for (int i = 0; i < test->tail_call.cnt; i++) {
		target = strrchr(test->tail_call.item[i], ':');
		if (target && !strcmp(target + 1, prog))
			return true;
	}
	return false;
}

static struct bpf_object *open_object(const char *file)
{
	log_buf[0] = 0;
	return bpf_object__open_file(file, NULL);
}

/* Log to log_buf, but don't log the BTF, which contains the texts that tests expect from the
 * verifier.
 */
static void want_program(struct bpf_program *prog, bool wanted)
{
	bpf_program__set_autoload(prog, wanted);
	bpf_program__set_log_level(prog, 1);
	bpf_program__set_log_buf(prog, log_buf, LOG_SIZE);
}

/* Set the constant @name */
static bool set_flag(struct bpf_object *obj, const char *name)
{
	struct btf_var_secinfo where;
	struct bpf_map *map = find_var(obj, name, strlen(name), &where);
	char data[4096];
	size_t size;

	if (!map || !bpf_map__initial_value(map, &size) || size > sizeof(data))
		return fail("no constant %s", name);
	memcpy(data, bpf_map__initial_value(map, &size), size);
	data[where.offset] = !bare;
	return !bpf_map__set_initial_value(map, data, size) || fail("cannot set %s", name);
}

/* The test's own object; only the programs that it names are loaded */
static struct bpf_object *load_test(const struct test *test)
{
	struct bpf_object *obj = open_object(test->file);
	struct bpf_program *prog;

	if (!obj)
		return NULL;
	bpf_object__for_each_program(prog, obj)
		want_program(prog, named(test, bpf_program__name(prog)));
	prog = bpf_object__find_program_by_name(obj, test->prog);
	if (test->every_state)
		bpf_program__set_flags(prog, bpf_program__flags(prog) | BPF_F_TEST_STATE_FREQ);
	if ((!test->flag || set_flag(obj, test->flag)) && !bpf_object__load(obj))
		return obj;
	bpf_object__close(obj);
	return NULL;
}

static bool set_tail_call(struct bpf_object *obj, const char *spec)
{
	char map[64], prog[64];
	int index, fd;

	if (sscanf(spec, "%63[^:]:%d:%63s", map, &index, prog) != 3)
		return fail("tail_call: %s", spec);
	fd = bpf_program__fd(bpf_object__find_program_by_name(obj, prog));
	return !bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, map), &index, &fd, 0) ||
	       fail("cannot set tail call %s: %m", spec);
}

/* Load program @name of the same file, with the same maps and variables, and attach it to the
 * function of the loaded test that its __on() names.
 */
static struct bpf_object *attach_with(const struct test *test, struct bpf_object *test_obj,
				      const char *name, struct bpf_link **link)
{
	int target = bpf_program__fd(bpf_object__find_program_by_name(test_obj, test->prog));
	struct bpf_object *obj = open_object(test->file);
	struct test with = read_test(bpf_object__btf(obj), test->file, name);
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_program(prog, obj)
		want_program(prog, !strcmp(bpf_program__name(prog), name));
	bpf_object__for_each_map(map, obj)
		bpf_map__reuse_fd(map, bpf_object__find_map_fd_by_name(test_obj,
								       bpf_map__name(map)));
	prog = bpf_object__find_program_by_name(obj, name);
	if (!prog || bpf_program__set_attach_target(prog, target, with.on) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	*link = bpf_program__attach(prog);
	if (*link)
		return obj;
	snprintf(log_buf, LOG_SIZE, "attach: %s", strerror(errno));
	bpf_object__close(obj);
	return NULL;
}

static bool run_prog(const struct test *test, struct bpf_program *prog)
{
	int repeat = test->repeat ? atoi(test->repeat) : 1;
	__u32 want = test->returns ? strtoul(test->returns, NULL, 0) : 0;
	enum bpf_prog_type type = bpf_program__type(prog);
	char packet[64] = {};
	__u64 ctx[8] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_XDP) {
		opts.data_in = packet;
		opts.data_size_in = sizeof(packet);
	} else if (type == BPF_PROG_TYPE_SYSCALL) {
		opts.ctx_in = ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	while (repeat--) {
		if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
			return fail("test run: %m");
		returned = opts.retval;
		if (test->returns && opts.retval != want)
			return fail("returned %d, expected %s", opts.retval, test->returns);
	}
	return true;
}

static bool call_getpgid(const struct test *test)
{
	bool allowed = getpgid(getpid()) >= 0;

	if (test->denied)
		return !allowed || fail("getpgid was allowed");
	return allowed || fail("getpgid: %m");
}

/* What programs have been left holding. A leaked lock isn't told: the next to take it hangs. */
struct left {
	int sockets, objects;
	long records;
};

static bool count_held(struct bpf_object *obj, struct left *left)
{
	struct bpf_program *probe = bpf_object__find_program_by_name(obj, "probe_object");
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
	struct bpf_map *map;
	long records;

	*left = (struct left){ .sockets = held_sockets() };
	if (left->sockets < 0)
		return fail("cannot count references to the socket: %m");
	if (!probe || bpf_prog_test_run_opts(bpf_program__fd(probe), &opts) || (int)opts.retval < 0)
		return fail("cannot count who has the object");
	left->objects = opts.retval;
	bpf_object__for_each_map(map, obj) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF)
			continue;
		records = held_records(bpf_map__fd(map));
		if (records < 0)
			return fail("cannot look into the ring buffer: %m");
		left->records += records;
	}
	return true;
}

static bool prepare_held(struct bpf_object *obj, struct left *left)
{
	struct btf_var_secinfo where;
	struct bpf_map *map = find_var(obj, "tuple", 5, &where);
	static char data[1 << 16];
	int zero = 0;

	if (!map || bpf_map__value_size(map) > sizeof(data) ||
	    bpf_map_lookup_elem(bpf_map__fd(map), &zero, data))
		return fail("no variable \"tuple\"");
	if (held_connect((struct bpf_sock_tuple *)(data + where.offset)) ||
	    bpf_map_update_elem(bpf_map__fd(map), &zero, data, 0))
		return fail("cannot have a socket: %m");
	return count_held(obj, left);
}

static bool check_held(const struct test *test, struct bpf_object *obj, int prog_fd,
		       const struct left *before)
{
	long long released = fdinfo_value(prog_fd, "released");
	long long want = atoll(test->releases) * (test->repeat ? atoi(test->repeat) : 1);
	struct left after;

	if (!count_held(obj, &after))
		return false;
	if (after.sockets != before->sockets || after.objects != before->objects || after.records)
		return fail("left: %d sockets, %d objects, %ld bytes of records",
			    after.sockets - before->sockets, after.objects - before->objects,
			    after.records);
	return released == want || (!want && released < 0) ||
	       fail("%lld things were released, expected %lld", released, want);
}

static bool run_loaded(const struct test *test, struct bpf_object *objs[])
{
	struct left before;
	struct bpf_link *links[MAX_TAGS + 1] = {}, *own = NULL;
	struct bpf_program *prog = bpf_object__find_program_by_name(objs[0], test->prog);
	enum bpf_prog_type type = bpf_program__type(prog);
	bool ok = true;
	int i;

	for (i = 0; ok && i < test->tail_call.cnt; i++)
		ok = set_tail_call(objs[0], test->tail_call.item[i]);
	for (i = 0; ok && i < test->with.cnt; i++) {
		objs[i + 1] = attach_with(test, objs[0], test->with.item[i], &links[i]);
		if (test->with_refused.cnt) {
			ok = objs[i + 1] ? fail("%s attached", test->with.item[i]) :
					   log_has(&test->with_refused);
			goto out;
		}
		if (!objs[i + 1])
			ok = fail("%s did not attach:\n%s", test->with.item[i], tail(log_buf, 12));
	}
	for (i = 0; ok && i < test->input.cnt; i++)
		ok = variable(objs[0], test->input.item[i], true);
	if (ok && test->releases)
		ok = prepare_held(objs[0], &before);
	if (ok && (type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_LSM)) {
		own = bpf_program__attach(prog);
		ok = own || fail("attach: %m");
	}
	if (ok && (type == BPF_PROG_TYPE_LSM || bpf_program__expected_attach_type(prog) == BPF_MODIFY_RETURN))
		ok = call_getpgid(test); /* they sit on its LSM hook */
	else if (ok)
		ok = run_prog(test, prog);
	for (i = 0; ok && i < test->expect.cnt; i++)
		ok = variable(objs[0], test->expect.item[i], false);
	if (ok && test->releases)
		ok = check_held(test, objs[0], bpf_program__fd(prog), &before);
out:
	bpf_link__destroy(own);
	for (i = 0; i < MAX_TAGS; i++)
		bpf_link__destroy(links[i]);
	return ok;
}

static bool run_test(const struct test *test)
{
	struct bpf_object *objs[MAX_TAGS] = {};
	char old[MAX_TAGS][32] = {}, undo[64];
	bool ok = true;
	int i;

	why[0] = 0;
	for (i = 0; ok && i < test->sysctl.cnt; i++)
		ok = set_sysctl(test->sysctl.item[i], old[i]);
	if (ok)
		objs[0] = load_test(test);
	if (verbose)
		printf("%s", log_buf);
	if (!ok)
		;
	else if (test->refused.cnt)
		ok = objs[0] ? fail("it loaded") : log_has(&test->refused);
	else
		ok = objs[0] ? run_loaded(test, objs) : fail("it did not load:\n%s", tail(log_buf, 12));

	for (i = 0; i < MAX_TAGS; i++)
		bpf_object__close(objs[i]);
	for (i = 0; i < test->sysctl.cnt && old[i][0]; i++) {
		snprintf(undo, sizeof(undo), "%.*s=%s",
			 (int)strcspn(test->sysctl.item[i], "="), test->sysctl.item[i], old[i]);
		set_sysctl(undo, NULL);
	}
	return ok;
}

static int print_nothing(enum libbpf_print_level level __attribute__((unused)),
			 const char *fmt __attribute__((unused)),
			 va_list args __attribute__((unused)))
{
	return 0;
}

static int print_to_stderr(enum libbpf_print_level level __attribute__((unused)),
			   const char *fmt, va_list args)
{
	return vfprintf(stderr, fmt, args);
}

static void report(int num, const struct test *test, bool ok)
{
	const char *file = strrchr(test->file, '/');
	char *line, *rest = why;

	if (table) {
		printf("%-68s %8s %8d   %s\n", test->desc, test->returns ?: "", returned,
		       ok ? "ok" : "WRONG");
		return;
	}
	file = file ? file + 1 : test->file;
	while (!ok && (line = strsep(&rest, "\n")))
		printf("# %s\n", line);
	printf("%s %d %.*s/%s - %s\n", ok ? "ok" : "not ok", num, (int)strcspn(file, "."), file,
	       test->prog, test->desc);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	int opt, num = 0, failed = 0;

	while ((opt = getopt(argc, argv, "vTbt:")) != -1) {
		if (opt == 'v') {
			verbose = true;
		} else if (opt == 'b') {
			bare = true;
		} else if (opt == 'T') {
			table = true;
		} else if (opt == 't') {
			only = optarg;
		} else {
			fprintf(stderr, "usage: runner [-v] [-T] [-b] [-t NAME] OBJECT...\n");
			return 2;
		}
	}
	log_buf = malloc(LOG_SIZE);
	libbpf_set_print(verbose ? print_to_stderr : print_nothing);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);

	if (table)
		printf("%-68s %8s %8s\n", "case", "expected", "actual");
	else
		printf("KTAP version 1\n");
	for (; optind < argc; optind++) {
		struct bpf_object *obj = open_object(argv[optind]);
		struct bpf_program *prog;

		if (!obj) {
			fprintf(stderr, "cannot open %s: %m\n", argv[optind]);
			return 2;
		}
		bpf_object__for_each_program(prog, obj) {
			struct test test = read_test(bpf_object__btf(obj), argv[optind],
						     bpf_program__name(prog));
			bool ok;

			if (bare) {
				test.returns = test.bare_returns;
				test.refused = test.bare_refused;
			}
			if (!test.desc || (only && strcmp(only, test.prog)) ||
			    (bare && !test.returns && !test.refused.cnt))
				continue;
			ok = run_test(&test);
			failed += !ok;
			report(++num, &test, ok);
		}
		bpf_object__close(obj);
	}
	if (!table)
		printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", num, num - failed, failed);
	if (!num) {
		fprintf(stderr, "no test found\n");
		return 2;
	}
	return failed ? 1 : 0;
}
