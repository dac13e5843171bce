// SPDX-License-Identifier: GPL-2.0-only
/*
 * main - run mainline's own tests of exceptions, and print what comes of each
 *
 * usage: exceptions
 *
 * Linked with mainline's prog_tests/exceptions.c and its libbpf. Prints a line for each test:
 * its group, its name, "ok", "message" (the verdict is as expected, and the verifier's log
 * hasn't the text that is) or "fail", and why, separated by tabs. tests/mainline/run judges
 * them.
 *
 * Exit status: 0, however the tests went.
 */
#include <stdarg.h>
#include "test_progs.h"
#include "state.h"

#define LOG_SIZE (16 << 20)
#define MAX_MESSAGES 8

/* What the tags of a program say that the verifier does */
struct expectation {
	const char *messages[MAX_MESSAGES];
	int cnt, log_level;
	bool failure, told;
};

static struct {
	char group[64], name[128], result[16], why[4096];
} row;

static char *log_buf;

static void end_row(void)
{
	if (row.name[0])
		printf("%s\t%s\t%s\t%s\n", row.group, row.name, row.result, row.why);
	fflush(stdout);
	row.name[0] = 0;
}

static void start_row(const char *group, const char *name)
{
	end_row();
	snprintf(row.group, sizeof(row.group), "%s", group);
	snprintf(row.name, sizeof(row.name), "%s", name);
	strcpy(row.result, "ok");
	row.why[0] = 0;
}

/* The first one counts. On one line, without tabs. */
static bool judge(const char *result, const char *fmt, ...)
{
	va_list args;

	if (strcmp(row.result, "ok"))
		return false;
	snprintf(row.result, sizeof(row.result), "%s", result);
	va_start(args, fmt);
	vsnprintf(row.why, sizeof(row.why), fmt, args);
	va_end(args);
	for (char *p = row.why; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	return false;
}

/* Those of exceptions_ext.c have names of several words. Some of them run a program of
 * exceptions.c, which is a row of its own.
 */
bool test__start_subtest(const char *name)
{
	char both[sizeof(row.name)];

	if (strchr(name, ' ')) {
		start_row("exceptions_ext", name);
	} else if (!strcmp(row.group, "exceptions_ext")) {
		snprintf(both, sizeof(both), "%.80s: %.40s", row.name, name);
		start_row("exceptions_ext", both);
	} else {
		start_row("exceptions", name);
	}
	return true;
}

bool check(bool ok, const char *what, long long got)
{
	if (!row.name[0])
		start_row("exceptions", "open and load");
	return ok || judge("fail", "%s: %lld", what, got);
}

static bool has_name(const char *tag, const char *name, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(tag, name, len))
		return false;
	*value = tag + len;
	return true;
}

static void read_tag(struct expectation *expect, const char *tag)
{
	const char *value;

	if (has_name(tag, "comment:test_expect_failure", &value)) {
		expect->told = true;
		expect->failure = true;
	} else if (has_name(tag, "comment:test_expect_success", &value)) {
		expect->told = true;
	} else if (has_name(tag, "comment:test_log_level=", &value)) {
		expect->log_level = atoi(value);
	} else if (has_name(tag, "comment:test_expect_msg=", &value)) {
		value = strchr(value, '=');	/* behind its number */
		if (value && expect->cnt < MAX_MESSAGES)
			expect->messages[expect->cnt++] = value + 1;
	}
}

static struct expectation read_tags(const struct btf *btf, const char *prog)
{
	struct expectation expect = { .log_level = 1 };
	int func = btf__find_by_name_kind(btf, prog, BTF_KIND_FUNC);

	for (__u32 id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (btf_is_decl_tag(t) && (int)t->type == func &&
		    btf_decl_tag(t)->component_idx == -1)
			read_tag(&expect, btf__name_by_offset(btf, t->name_off));
	}
	return expect;
}

/* The last line of the log but the verifier's statistics, which begin with the second name */
static const char *last_words(char *log)
{
	char *end = strstr(log, "\nverification time"), *other = strstr(log, "\nprocessed "), *start;

	if (!end || (other && other < end))
		end = other;
	if (end)
		*end = 0;
	start = strrchr(log, '\n');
	return start ? start + 1 : log;
}

static char said[1024];

/* What libbpf says last where the verifier says nothing */
static int print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level == LIBBPF_WARN && !said[0])
		vsnprintf(said, sizeof(said), fmt, args);
	return 0;
}

static void judge_load(const struct expectation *expect, int err)
{
	if (expect->failure && !err) {
		judge("fail", "it loaded");
		return;
	}
	if (!expect->failure && err) {
		judge("fail", "it did not load: %s", log_buf[0] ? last_words(log_buf) : said);
		return;
	}
	for (int i = 0; i < expect->cnt; i++) {
		if (strstr(log_buf, expect->messages[i]) ||
		    log_has_state(log_buf, expect->messages[i]))
			continue;
		if (expect->log_level < 2)
			judge("message", "%s", log_buf[0] ? last_words(log_buf) : said);
		else
			judge("message", "no \"%s\"", expect->messages[i]);
	}
}

/* Loads program @name of the object alone. */
static void run_test(const char *group, const void *elf, size_t size, const char *name)
{
	struct bpf_object *obj = bpf_object__open_mem(elf, size, NULL);
	struct bpf_program *prog;
	struct expectation expect;

	if (!obj) {
		judge("fail", "the object can't be opened: %m");
		return;
	}
	expect = read_tags(bpf_object__btf(obj), name);
	if (expect.told) {
		start_row(group, name);
		log_buf[0] = 0;
		said[0] = 0;
		bpf_object__for_each_program(prog, obj) {
			bool wanted = !strcmp(bpf_program__name(prog), name);

			bpf_program__set_autoload(prog, wanted);
			if (wanted) {
				bpf_program__set_log_buf(prog, log_buf, LOG_SIZE);
				bpf_program__set_log_level(prog, expect.log_level | 4);
			}
		}
		judge_load(&expect, bpf_object__load(obj));
		if (getenv("VERBOSE"))
			fprintf(stderr, "=== %s\n%s\n", name, log_buf);
	}
	bpf_object__close(obj);
}

void run_tests(const char *group, elf_bytes_fn elf_bytes)
{
	size_t size;
	const void *elf = elf_bytes(&size);
	struct bpf_object *obj = bpf_object__open_mem(elf, size, NULL);
	struct bpf_program *prog;

	if (!obj) {
		start_row(group, "all");
		judge("fail", "the object can't be opened: %m");
		return;
	}
	bpf_object__for_each_program(prog, obj)
		run_test(group, elf, size, bpf_program__name(prog));
	bpf_object__close(obj);
}

int main(void)
{
	log_buf = malloc(LOG_SIZE);
	if (!log_buf)
		return 1;
	libbpf_set_print(print);
	test_exceptions();
	end_row();
	return 0;
}
