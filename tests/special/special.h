/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SPECIAL_H
#define _SPECIAL_H

#include <stdbool.h>
#include <stdio.h>
#include "../builder.h"
#include "../fail.h"
#include "../kmod/test.h"

#define LOG_SIZE (1 << 16)

extern int device;		/* the test module's */
extern const char *attach_object, *hooks_object;
extern struct builder b;	/* of the program that is being written */
extern char log_buf[LOG_SIZE];	/* what the verifier said of the program loaded last */

/* The tests. Each has said what was wrong if it returns false. */

/* nest.c */
/* It may call bpf_test_nest(), and may throw; its callback returns the cookie, and so does it */
int nest_prog(bool nest, bool throws, int cookie);
bool nested_throw_call(void);
bool nested_throw_nmi(void);
bool nested_hold_nmi(void);
bool reference_dropped(void);
bool image_hidden(void);
bool throws_counted(void);
bool many_programs(void);

/* trampolines.c */
bool trampoline_freed(void);
bool trampoline_detached(void);

/* functions.c */
/* The code of a callback: it returns the cookie */
void return_cookie(int callback);
bool truncated_ldimm64(void);
bool most_functions_bare(void);
bool most_functions_callback(void);
bool long_chain(void);
bool folded_gotos(void);

/* unseen.c */
/* Without CAP_SYSLOG either. Return: what @run returned, or false */
bool in_child_without_perfmon(bool (*run)(void));
bool load_unseen_callback(void);
bool speculative_callback(void);
bool unseen_callback_bare(void);
bool unseen_callback_in_subprog(void);

/* hooks.c */
bool struct_ops_throws(void);
bool lsm_cgroup_default(void);
bool lsm_cgroup_callback(void);

#endif /* _SPECIAL_H */
