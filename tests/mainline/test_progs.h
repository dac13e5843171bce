/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What prog_tests/exceptions.c of mainline's selftests wants of its test_progs.h, so that
 * it compiles as it is. tests/mainline/main.c has the rest.
 */
#ifndef _MAINLINE_TEST_PROGS_H
#define _MAINLINE_TEST_PROGS_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

/* What it defines */
void test_exceptions(void);

/* The row of results named @name begins; all are to run. */
bool test__start_subtest(const char *name);

/* What @what gave isn't what the test wants: the row fails. Returns @ok. */
bool check(bool ok, const char *what, long long got);

/* The programs of a skeleton that say in declaration tags what the verifier does to them */
typedef const void *(*elf_bytes_fn)(size_t *size);
void run_tests(const char *group, elf_bytes_fn elf_bytes);
#define RUN_TESTS(skeleton) run_tests(#skeleton, skeleton##__elf_bytes)

#define ASSERT_EQ(got, want, what)						\
	({									\
		__auto_type __got = (got);					\
										\
		check(__got == (want), what, (long long)__got);			\
	})
#define ASSERT_OK(got, what) ASSERT_EQ(got, 0, what)
#define ASSERT_OK_PTR(pointer, what)						\
	({									\
		long __err = libbpf_get_error(pointer);				\
										\
		check(!__err, what, __err);					\
	})
#define ASSERT_ERR_PTR(pointer, what) check(libbpf_get_error(pointer), what, 0)

#endif /* _MAINLINE_TEST_PROGS_H */
