/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of the trace events share */
#ifndef _TESTS_TRACE_H
#define _TESTS_TRACE_H

#include <stdbool.h>
#include <bpf/libbpf.h>
#include <linux/types.h>
#include "../kmod/test.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The variables of trace.bpf.c */
struct vars {
	__u64 cookie, callbacks, noticed, told;
};

struct throw_event;

/* What trace.c takes: the test module's device, and objects, of which the lists end with NULL */
extern int device;
extern const char *trace_object;
extern const char *lines_objects[5];
extern const char *const *generated_objects;

/* Says why, and returns false */
bool fail(const char *fmt, ...);

struct bpf_object *load(const char *file, int target, const char *func, const char *const *names);

#define LOAD(...) load(trace_object, -1, NULL, (const char *const []){ __VA_ARGS__, NULL })
#define LOAD_ON(target, func, name) \
	load(trace_object, target, func, (const char *const []){ name, NULL })

int prog_fd(struct bpf_object *obj, const char *name);
struct bpf_prog_info prog_info(int fd);
bool set_var(struct bpf_object *obj, const char *map, const void *data);
struct vars get_vars(struct bpf_object *obj);
bool run(int fd, enum test_context context, __u32 repeat, __u32 want);
bool run_to_depth(int fd, __u32 want, __u32 *depth);

/* Throws since the last call, up to @max. Return: how many */
int read_events(struct throw_event *events, int max);
/* ... in at most @reads reads, of a page each; -1 is as many as it takes */
int read_some(struct throw_event *events, int max, int reads);

/* event.c */
bool fields(void);
bool cookie_returned(void);
bool event_off(void);
bool through_fexit(void);
bool through_helpers(void);
bool tail_call(void);
bool extension(void);
bool on_and_off(void);
bool bpf_notices(void);
bool bpf_notices_throwing(void);
bool bpf_notices_each_other(void);
bool callbacks_noticed(void);
bool callbacks_noticed_throwing(void);
bool depth_of_callback(void);
bool canaries(void);

/* stack.c */
bool stack_traces(void);
bool callback_depth(void);

/* bpfthrow.c: tests, without what trace.c says of them */
bool joined(void);
bool lines(void);
bool generated(void);
bool blinded(void);
bool hidden(void);
bool counts(void);
bool filtered(void);
bool json(void);
bool released(void);
bool list(void);
bool program_gone(void);
bool events_lost(void);
bool interrupted(void);
bool killed(void);
bool output_closed(void);
bool bad_input(void);

#endif /* _TESTS_TRACE_H */
