// SPDX-License-Identifier: GPL-2.0-only
/* One program, run while another one runs, held by nobody, or thousands of it */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "../fdinfo.h"
#include "special.h"

/*
 * main -> func1 -> func2, all with stack and registers in use. func2 calls bpf_test_nest() if
 * @nest, and throws if @throws; the callback returns the cookie.
 */
int nest_prog(bool nest, bool throws, int cookie)
{
	int funcs[3] = { 0 }, callback;

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	builder_load_func(&b, BPF_REG_1, callback);
	builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
	for (int i = 1; i < 3; i++)
		funcs[i] = builder_func(&b, 1, false);
	for (int i = 0; i < 3; i++) {
		if (i)
			builder_begin(&b, funcs[i]);
		/* unknown to the verifier, which would otherwise remove the comparison below */
		builder_emit(&b, CALL_HELPER(BPF_FUNC_get_prandom_u32));
		builder_emit(&b, MOV_REG(BPF_REG_6 + i, BPF_REG_0));
		builder_emit(&b, STORE_REG(BPF_REG_10, -16 * (i + 1), BPF_REG_0));
		if (i < 2)
			builder_call(&b, funcs[i + 1]);
		if (i == 2 && nest)
			builder_call_kfunc(&b, KFUNC_NEST);
		if (i == 2 && throws) {
			builder_emit(&b, MOV_IMM(BPF_REG_1, cookie));
			builder_call_kfunc(&b, KFUNC_THROW);
		}
		/* the frame's values must survive the interruption */
		builder_emit(&b, LOAD(BPF_REG_1, BPF_REG_10, -16 * (i + 1)));
		builder_emit(&b, MOV_IMM(BPF_REG_0, cookie));
		builder_emit(&b, INSN(BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_6 + i, BPF_REG_1, 1, 0));
		builder_emit(&b, MOV_IMM(BPF_REG_0, -1));
		builder_emit(&b, EXIT());
	}
	builder_begin(&b, callback);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_1));
	builder_emit(&b, EXIT());
	return builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf));
}

/* A program that throws while another is between frames ends only itself */
static bool nested(bool outer_throws, enum test_context nested_context)
{
	struct test_run run = { .nested_context = nested_context, .repeat = 100 };
	bool ok = true;

	run.prog_fd = nest_prog(true, outer_throws, 100);
	run.nested_fd = nest_prog(false, true, 200);
	if ((int)run.prog_fd < 0 || (int)run.nested_fd < 0)
		return fail("did not load: %s", log_buf);
	for (run.context = 0; ok && run.context < TEST_CONTEXTS; run.context++) {
		if (run.context == IN_NMI && nested_context == IN_NMI)
			continue; /* NMIs don't nest */
		if (ioctl(device, TEST_RUN, &run))
			ok = fail("cannot run: %s", strerror(errno));
		else if (run.ret != 100 || run.bad || run.nested_ret != 200 || run.nested_bad)
			ok = fail("context %u: returned %u, bad registers %#x; nested %u, %#x",
				  run.context, run.ret, run.bad, run.nested_ret, run.nested_bad);
	}
	close(run.prog_fd);
	close(run.nested_fd);
	return ok;
}

bool nested_throw_call(void) { return nested(true, IN_PROCESS); }
bool nested_throw_nmi(void) { return nested(true, IN_NMI); }
bool nested_hold_nmi(void) { return nested(false, IN_NMI); }

bool many_programs(void)
{
	enum { PROGRAMS = 3000 };
	static int fds[PROGRAMS];
	struct rlimit files = { PROGRAMS + 100, PROGRAMS + 100 };
	bool ok = true;
	int i;

	setrlimit(RLIMIT_NOFILE, &files);
	for (i = 0; i < PROGRAMS && ok; i++) {
		fds[i] = nest_prog(false, true, i);
		ok = fds[i] >= 0 || fail("program %d: %s", i, strerror(errno));
	}
	for (int j = 0; j < i; j += 100) {
		struct test_run run = { .prog_fd = fds[j] };

		if (ok && (ioctl(device, TEST_RUN, &run) || run.ret != (__u32)j || run.bad))
			ok = fail("program %d returned %u, bad registers %#x", j, run.ret, run.bad);
	}
	while (i--)
		close(fds[i]);
	return ok;
}

bool throws_counted(void)
{
	int fd = nest_prog(false, true, 5), other = nest_prog(false, false, 5);
	struct test_run run = { .prog_fd = fd, .repeat = 1000 };
	bool ok = fd >= 0 && other >= 0;

	if (!ok)
		fail("did not load: %s", log_buf);
	for (int i = 0; ok && i < 2; i++) {
		if (fdinfo_value(fd, "throws") != i * 1000 || ioctl(device, TEST_RUN, &run))
			ok = fail("%lld throws, expected %d", fdinfo_value(fd, "throws"), i * 1000);
	}
	if (ok && fdinfo_value(other, "throws") != -1)
		ok = fail("a program that doesn't throw has a count");
	close(fd);
	close(other);
	return ok;
}

/* A program is removed while it runs: its id is gone, and only RCU keeps it */
bool reference_dropped(void)
{
	int fd = nest_prog(true, true, 100);
	struct test_run run = { .prog_fd = -1 };
	bool ok = fd >= 0 || fail("did not load: %s", log_buf);

	if (ok && ioctl(device, TEST_HOLD, &fd))
		ok = fail("cannot hold it: %s", strerror(errno));
	close(fd);
	if (ok && ioctl(device, TEST_RUN, &run))
		ok = fail("cannot run: %s", strerror(errno));
	return ok && ((run.ret == 100 && !run.bad) ||
		      fail("returned %u, bad registers %#x", run.ret, run.bad));
}

static bool image_is_shown(int fd, bool expected)
{
	static char image[1 << 12];
	struct bpf_prog_info info = { .jited_prog_insns = (__u64)(unsigned long)image,
				      .jited_prog_len = sizeof(image) };
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return fail("cannot look at it: %s", strerror(errno));
	return !!info.jited_prog_insns == expected ||
	       fail("the image is %s", expected ? "hidden" : "shown");
}

static int shown_fd;

/* What counts is who opened the file descriptor, and the child has no CAP_SYSLOG */
static bool image_hidden_in_child(void)
{
	int fd = nest_prog(false, true, 5);
	bool ok = image_is_shown(shown_fd, true) && image_is_shown(fd, false);

	close(fd);
	return ok;
}

bool image_hidden(void)
{
	bool ok;

	shown_fd = nest_prog(false, true, 5);
	ok = in_child_without_perfmon(image_hidden_in_child);
	close(shown_fd);
	return ok;
}
