/* SPDX-License-Identifier: GPL-2.0-only */
/* Where programs of a type are attached, how to make the kernel run them, and what one sees then */
#ifndef _HOOK_H
#define _HOOK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/libbpf.h>
#include "../fail.h"
#include "told.h"

/* In struct hook, the outcome of a throw without a callback: refused, as 0 isn't allowed */
#define REFUSED INT_MIN
/* Never expected: the test itself failed, and has said so */
#define BROKEN (INT_MIN + 1)

struct run;

/**
 * struct hook - a place for programs of one type
 * @name: the programs are on_NAME and on_NAME_cb
 * @what: what @see does, for the report
 * @prepare: called before the object is loaded; returns false if it fails
 * @attach: returns false and sets errno if it fails
 * @see: make the program run. Returns what the user sees: a number, or a negative error
 * @detach: undo what closing the link and the object doesn't; also called after errors
 * @own: what the program returns if it doesn't throw, and what is seen then
 * @zero: what is seen if it throws without a callback, and returns 0
 * @cb: what an exception callback returns, and what is seen
 * @checked: the verifier refuses what isn't in @min to @max; otherwise it allows any value
 * @context: the contexts that it may run in, in the words of the trace event
 * @with: a program to load with it
 * @family: of the sockets that @see makes
 * @spec: what @attach needs to know
 * @needs: a symbol that kernels have if they support this
 * @without: the error on one that doesn't
 * @typed: the kernel calls the programs by their types, see kcfi()
 */
struct hook {
	const char *name;
	const char *what;
	bool (*prepare)(struct run *run);
	bool (*attach)(struct run *run);
	int (*see)(struct run *run);
	void (*detach)(struct run *run);
	struct {
		int returns, seen;
	} own, cb;
	int zero;
	bool checked;
	int min, max;
	const char *context;
	const char *with;
	int family;
	const char *spec;
	const char *needs;
	int without;
	bool typed;
};

#define RING_SIZE (2 * 4096)

#define RANGE(from, to) .checked = true, .min = from, .max = to

/**
 * struct run - one program that is loaded
 * @file: of @obj
 * @target: another object; like the link closed after the run, if there is one
 * @event_fd: the perf event that the program is attached to; closed with the link
 * @ring: its samples, if there are any
 */
struct run {
	const struct hook *hook;
	const char *file;
	struct bpf_object *obj, *target;
	struct bpf_program *prog;
	struct bpf_link *link;
	int prog_fd, event_fd;
	void *ring;
	volatile struct tally *tally;
};

extern const struct hook cgroup_hooks[], net_hooks[], tracing_hooks[];
extern const size_t cgroup_hooks_cnt, net_hooks_cnt, tracing_hooks_cnt;

/* fail() with errno. Return: BROKEN */
int broken(const char *what);
/* What a call returned, or its negative error */
int outcome(long ret);
/* libbpf's link, kept for the run */
bool keep_link(struct run *run, struct bpf_link *link);
/* fd of a program or map of the run's object */
int part_fd(struct run *run, const char *prog_or_map);
/* The process gets a cgroup of its own, for these hooks */
bool enter_cgroup(void);
void leave_cgroup(void);
/* Before the first of these */
bool prepare_net(void);

/* sockets.c: over lo; those that are -1 could not be made */
struct pair {
	int from, to;
};

/* UDP sockets, @from not connected */
struct pair udp_pair(int family);
struct pair tcp_pair(void);
/* One that stops receiving after some time */
int timed_socket(int family, int type);
void close_pair(struct pair pair);
/* Send 8 bytes from the one to the other. Return: outcome of sending */
int send_datagram(struct pair pair);
/* ... and outcome of receiving, -EAGAIN for nothing in time */
int receive(int fd);
int see_datagram(struct run *run);
int see_send(struct run *run);

#endif /* _HOOK_H */
