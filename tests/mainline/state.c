// SPDX-License-Identifier: GPL-2.0-only
/*
 * Do two kernels' verifiers know the same of a register? 6.12 writes its bounds in another
 * way than 6.1: in hexadecimal, several at once ("smin=umin=1"), with those of 32 bits, and
 * with those that follow from others.
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/types.h>
#include "state.h"

struct reg {
	char kind[32];		/* "scalar", "pkt", "fp0" */
	__s64 smin, smax;
	__u64 umin, umax;
	long off, range;
};

/* Every bound that the others imply */
static void deduce(struct reg *reg)
{
	if ((__s64)reg->umin >= 0 || (__s64)reg->umax < 0)
		if ((__s64)reg->umin <= (__s64)reg->umax) {
			if ((__s64)reg->umin > reg->smin)
				reg->smin = reg->umin;
			if ((__s64)reg->umax < reg->smax)
				reg->smax = reg->umax;
		}
	if (reg->smin >= 0 || reg->smax < 0) {
		if ((__u64)reg->smin > reg->umin)
			reg->umin = reg->smin;
		if ((__u64)reg->smax < reg->umax)
			reg->umax = reg->smax;
	}
}

static void set_number(struct reg *reg, const char *name, size_t len, const char *value)
{
	__s64 number = *value == '-' ? strtoll(value, NULL, 0) : (__s64)strtoull(value, NULL, 0);

#define IS(what) (len == sizeof(what) - 1 && !strncmp(name, what, len))
	if (IS("smin"))
		reg->smin = number;
	else if (IS("smax"))
		reg->smax = number;
	else if (IS("umin"))
		reg->umin = number;
	else if (IS("umax"))
		reg->umax = number;
	else if (IS("off"))
		reg->off = number;
	else if (IS("r"))
		reg->range = number;
#undef IS
}

/* "smin=umin=1,umax=5": all names up to the next comma have the last value. var_off=(A; B)
 * follows from the bounds in what the tests look at.
 */
static void read_numbers(struct reg *reg, const char *text, const char *end)
{
	while (text < end) {
		const char *comma = text, *value, *name = text;
		int depth = 0;

		while (comma < end && (depth || *comma != ',')) {
			depth += (*comma == '(') - (*comma == ')');
			comma++;
		}
		for (value = comma; value > text && value[-1] != '='; value--)
			;
		while (name < value) {
			const char *equals = memchr(name, '=', value - name);

			set_number(reg, name, equals - name, value);
			name = equals + 1;
		}
		text = comma + 1;
	}
}

/* "scalar(id=1,smax=5)", "ctx()", "fp0", "-5". Where it ends */
static const char *read_reg(struct reg *reg, const char *text)
{
	size_t len = strcspn(text, "(\n ");
	const char *end = text + len;

	*reg = (struct reg) {
		.smin = LLONG_MIN, .smax = LLONG_MAX, .umax = ULLONG_MAX,
	};
	if (*text == '-' || isdigit(*text)) {
		strcpy(reg->kind, "scalar");
		reg->umin = *text == '-' ? (__u64)strtoll(text, NULL, 0) : strtoull(text, NULL, 0);
		reg->umax = reg->umin;
		reg->smin = reg->umin;
		reg->smax = reg->umin;
		return end;
	}
	snprintf(reg->kind, sizeof(reg->kind), "%.*s", (int)len, text);
	if (*end == '(') {
		int depth = 0;

		do {
			depth += (*end == '(') - (*end == ')');
			end++;
		} while (depth && *end && *end != '\n');
		read_numbers(reg, text + len + 1, depth ? end : end - 1);
	}
	deduce(reg);
	return end;
}

static bool same(const struct reg *a, const struct reg *b)
{
	return !strcmp(a->kind, b->kind) && a->smin == b->smin && a->smax == b->smax &&
	       a->umin == b->umin && a->umax == b->umax && a->off == b->off && a->range == b->range;
}

/* Register @name of the state that @line shows. The state is behind the first ": " */
static bool find_reg(const char *line, const char *name, size_t len, struct reg *reg)
{
	const char *end = line + strcspn(line, "\n");

	for (; line < end; line++)
		if (line[-1] == ' ' && !strncmp(line, name, len) &&
		    (line[len] == '=' || line[len] == '_')) {
			line = strchr(line, '=') + 1;
			read_reg(reg, line);
			return true;
		}
	return false;
}

static bool line_has(const char *line, const char *expect)
{
	struct reg want, got;

	while (*expect) {
		size_t len = strcspn(expect, "=_");
		const char *value = strchr(expect, '='), *next;

		if (*expect != 'R' || !value)
			return false;
		next = read_reg(&want, value + 1);
		if (!find_reg(line, expect, len, &got) || !same(&want, &got))
			return false;
		for (expect = next; *expect == ' '; expect++)
			;
	}
	return true;
}

bool log_has_state(const char *log, const char *expect)
{
	if (strncmp(expect, ": R", 3))
		return false;
	for (const char *line = log; line; line = strchr(line, '\n')) {
		const char *state;

		line += *line == '\n';
		state = strstr(line, ": ");
		if (!state)
			return false;
		if (state < line + strcspn(line, "\n") && line_has(state + 2, expect + 2))
			return true;
	}
	return false;
}
