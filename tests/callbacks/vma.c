// SPDX-License-Identifier: GPL-2.0-only
/* Throws in the callback of bpf_find_vma(), which holds a lock: has that been released? */
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../symbols.h"
#include "callbacks.h"

/* What needs the lock of the address space for itself; it is killed if it waits for it */
static bool lock_is_free(void)
{
	void *page;
	bool ok;

	alarm(20);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ok = page != MAP_FAILED && !mprotect(page, 4096, PROT_NONE) && !munmap(page, 4096);
	alarm(0);
	return ok || fail("mprotect: %s", strerror(errno));
}

static bool vma_row(const struct loaded *l, bool throws, __u32 ret, __u32 want)
{
	/* -EBUSY on PREEMPT_RT, where it can't take the lock with interrupts off */
	return state_is(l, "the helper returned", l->state->ret, 0) &&
	       state_is(l, "returned", ret, want) && state_is(l, "rounds", l->state->rounds, 1) &&
	       state_is(l, "came behind the helper", l->state->behind, !throws) && lock_is_free();
}

bool vma_own(void)
{
	struct loaded l;
	bool ok = load(&l, "vma_own");
	__u32 ret;

	for (int i = 0; ok && i < 20; i++) {
		bool throws = i % 2;

		ok = reset(&l, throws ? 0 : NEVER);
		l.state->addr = (unsigned long)&l;
		ok = ok && run_syscall(&l, &ret) &&
		     vma_row(&l, throws, ret, throws ? CAUGHT(COOKIE(0)) : PASSED);
	}
	unload(&l);
	return ok;
}

static bool iterate(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	char buf[64];
	ssize_t got;

	if (fd < 0)
		return fail("cannot create an iterator: %s", strerror(errno));
	got = read(fd, buf, sizeof(buf));
	close(fd);
	return !got || fail("the iterator read %zd", got);
}

/* A child that needs its lock for each number that it is sent */
static pid_t locking_child(int *to)
{
	int pipe_ends[2];
	pid_t child;
	char c;

	if (pipe(pipe_ends))
		return -1;
	child = fork();
	if (child) {
		close(pipe_ends[0]);
		*to = pipe_ends[1];
		return child;
	}
	close(pipe_ends[1]);
	while (read(pipe_ends[0], &c, 1) == 1)
		if (!lock_is_free())
			_exit(1);
	_exit(0);
}

bool vma_other(void)
{
	struct loaded l;
	bool ok = load(&l, "vma_other");
	struct bpf_link *link = NULL;
	int status, to = -1;
	pid_t child = ok ? locking_child(&to) : -1;

	if (child > 0)
		link = bpf_program__attach_iter(bpf_object__find_program_by_name(l.obj, "vma_other"), NULL);
	if (!link)
		ok = fail("cannot attach: %s", strerror(errno));
	for (int i = 0; ok && i < 20; i++) {
		bool throws = i % 2;

		/*
		 * The helper doesn't wait while the child has its lock, for the number before; the
		 * child may have been preempted with it, so it gets time: 5 seconds at most.
		 */
		for (int tries = 0; ok && tries < 500; tries++) {
			if (tries && l.state->ret != (__u64)-EBUSY)
				break;
			if (tries)
				usleep(10 * 1000);
			ok = reset(&l, throws ? 0 : NEVER);
			l.state->addr = (unsigned long)&l;
			l.state->pid = child;
			ok = ok && iterate(link);
		}
		ok = ok && vma_row(&l, throws, 0, 0) && write(to, "", 1) == 1;
	}
	close(to);
	if (child > 0 && (waitpid(child, &status, 0) != child || status))
		ok = fail("the other task ended with status %#x", status);
	bpf_link__destroy(link);
	unload(&l);
	return ok;
}

/* On a breakpoint in the kernel: as an NMI, with interrupts off */
bool vma_nmi(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_X,
		.bp_addr = kernel_symbol("__x64_sys_getsid"),
		.bp_len = sizeof(long),
		.sample_period = 1,
	};
	int event = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	struct bpf_link *link = NULL;
	struct loaded l;
	bool ok = load(&l, "vma_in_nmi");

	if (ok && event >= 0)
		link = bpf_program__attach_perf_event(bpf_object__find_program_by_name(l.obj, "vma_in_nmi"),
						      event);
	if (!link)
		ok = fail("cannot attach: %s", strerror(errno));
	for (int i = 0; ok && i < 20; i++) {
		bool throws = i % 2;

		ok = reset(&l, throws ? 0 : NEVER);
		l.state->addr = (unsigned long)&l;
		l.state->pid = getpid();
		getsid(getpid());
		ok = ok && vma_row(&l, throws, 0, 0);
	}
	bpf_link__destroy(link);
	unload(&l);
	return ok;
}
