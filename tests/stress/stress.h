/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the stress test share */
#ifndef _STRESS_H
#define _STRESS_H

#include <stdbool.h>
#include <pthread.h>
#include <bpf/bpf.h>
#include <linux/types.h>
#include "../builder.h"
#include "../things.h"
#include "../kmod/test.h"

#define MAX_CPUS 8
#define TRACING "/sys/kernel/tracing/"

/* What one thread does; the figures are reported at the end */
struct activity {
	const char *name;
	const char *desc;
	void (*round)(struct activity *a);
	int arg;
	__u64 least;		/* throws begun, or done if it doesn't throw */
	const char *unit;	/* what done counts */
	/* throws, as counted by programs, callbacks, fdinfo, and callers */
	__u64 begun, ended, fdinfo, seen;
	__u64 released;		/* by throws, the same in fdinfo as counted by programs */
	__u64 passed;		/* runs that didn't throw */
	__u64 over;		/* runs on top of another program */
	__u64 done;
	__u64 rounds;
	bool failed;
	pthread_t thread;
};

/* stress.c */
extern struct things things;
extern int device, cpus, lsm_hook, timer_hook;
extern __thread unsigned int seed;

void note(struct activity *a, const char *fmt, ...);
#define fail(a, ...) do { (a)->failed = true; note(a, __VA_ARGS__); } while (0)

__u64 now_ms(void);
/* When a round that begins now ends */
__u64 round_end(void);
void sleep_ms(int ms);
int pick(int below);
bool put(const char *path, const char *text, int flags);

/* programs.c */
struct counts {
	__u64 begun, ended, passed, damaged, held;
};

enum { MAX_PROGS = 256 };

/* The programs of one round, which count in one map */
struct pack {
	struct activity *a;
	int map;
	int fds[MAX_PROGS];
	int cnt;
	__u64 run_cnt;	/* runs counted by the kernel; set when the pack is closed */
};

struct kind {
	enum bpf_prog_type type;
	int thrown_ret, passed_ret;
	enum bpf_attach_type attach_type;
	int btf_id, target;
	bool nests;		/* calls bpf_test_nest() */
	void *sleeps_on;	/* memory that it copies from, for a page fault between frames */
};

extern const struct kind xdp;

/* Add 1 to the field of a map's struct counts at @off */
void count(struct builder *b, int map, int off);
bool pack_open(struct pack *p, struct activity *a);
bool open_xdp_pack(struct pack *p, struct activity *a, int progs);
int pack_add(struct pack *p, const struct kind *kind);
/* Add a program to @p, and have it attached for @ms; activity @p->a has done one thing more then */
void attach_for(struct pack *p, const struct kind *kind, int ms);
__u64 pack_close(struct pack *p, long long seen);
bool read_counts(const struct pack *p, struct counts *counts, __u64 *fdinfo, __u64 *released);
bool goes_on(const struct pack *p, __u64 end);

/* run.c */
/* Runs programs of a pack, in a thread or not, until @stop or @end */
struct runner {
	struct activity *a;
	const struct pack *p;
	enum test_context context;
	__u64 end;
	bool stop;
	long long seen;
	__u64 over;
	pthread_t thread;
};

extern __u64 unload_attempts;

void *keep_running(void *arg);
void volley_round(struct activity *a);
void shared_round(struct activity *a);
void nested_round(struct activity *a);
void sleepable_round(struct activity *a);
void lsm_round(struct activity *a);
void timer_round(struct activity *a);
void tc_round(struct activity *a);

/* attach.c */
void extend_round(struct activity *a);
void tail_round(struct activity *a);
void native_round(struct activity *a);
void congestion_round(struct activity *a);

/* change.c */
extern const char *module;

void know_module(void);
void watch_round(struct activity *a);
void churn_round(struct activity *a);
void hotplug_round(struct activity *a);
void reload_round(struct activity *a);

/* observe.c */
extern __u64 traced_throws, traced_stacks, traced_lines, sampled_throws;

void find_module_text(void);
void trace_round(struct activity *a);
void perf_round(struct activity *a);

#endif /* _STRESS_H */
