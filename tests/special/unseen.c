// SPDX-License-Identifier: GPL-2.0-only
/* An exception callback that is set where the verifier doesn't get */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "special.h"

/* A branch that is never taken, over a call that sets @callback, which takes r0 and r1 */
static void set_callback_unseen(int callback)
{
	builder_emit(&b, MOV_IMM(BPF_REG_0, 0));
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_0, 0, 3));
	builder_load_func(&b, BPF_REG_1, callback);
	builder_call_kfunc(&b, KFUNC_SET_CALLBACK);
}

static void throw_7(void)
{
	builder_emit(&b, MOV_IMM(BPF_REG_1, 7));
	builder_call_kfunc(&b, KFUNC_THROW);
}

static bool refused_with(int fd, const char *said)
{
	if (fd >= 0) {
		close(fd);
		return fail("it loaded");
	}
	return strstr(log_buf, said) || fail("expected \"%s\", but: %s", said, log_buf);
}

static bool returns_7(int fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
	bool ok = fd >= 0 || fail("did not load: %s", log_buf);

	if (ok && bpf_prog_test_run_opts(fd, &opts))
		ok = fail("cannot run: %s", strerror(errno));
	else if (ok && opts.retval != 7)
		ok = fail("returned %u", opts.retval);
	close(fd);
	return ok;
}

static void build_unseen_callback(void)
{
	int callback;

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	set_callback_unseen(callback);
	throw_7();
	return_cookie(callback);
}

bool unseen_callback_bare(void)
{
	build_unseen_callback();
	b.bare = true;
	return refused_with(builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)),
			    "missing btf func_info");
}

bool unseen_callback_in_subprog(void)
{
	int callback, sub;

	builder_init(&b);
	callback = builder_func(&b, 1, false);
	sub = builder_func(&b, 1, false);
	builder_call(&b, sub);
	throw_7();
	builder_begin(&b, sub);
	set_callback_unseen(callback);
	builder_emit(&b, EXIT());
	return_cookie(callback);
	return refused_with(builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)),
			    "can only be called from main prog");
}

/* Without CAP_PERFMON the verifier also follows paths that the processor might speculate */
bool in_child_without_perfmon(bool (*run)(void))
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = {};
	int status;
	pid_t pid;
	bool ok;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		caps[CAP_TO_INDEX(CAP_BPF)].effective |= CAP_TO_MASK(CAP_BPF);
		caps[CAP_TO_INDEX(CAP_NET_ADMIN)].effective |= CAP_TO_MASK(CAP_NET_ADMIN);
		for (int i = 0; i < 2; i++)
			caps[i].permitted = caps[i].effective;
		if (syscall(SYS_capset, &header, caps))
			ok = fail("cannot drop capabilities: %s", strerror(errno));
		else
			ok = run();
		fflush(stdout);
		_exit(!ok);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

bool load_unseen_callback(void)
{
	build_unseen_callback();
	return returns_7(builder_load(&b, BPF_PROG_TYPE_XDP, log_buf, sizeof(log_buf)));
}

bool speculative_callback(void)
{
	return in_child_without_perfmon(load_unseen_callback);
}
