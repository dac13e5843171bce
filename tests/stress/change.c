// SPDX-License-Identifier: GPL-2.0-only
/* Activities that change things: what is attached and loaded, which CPUs there are, the module */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "stress.h"

const char *module;

/* The BTF id of a program's function */
static int func_id(int fd, const char *name)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct btf *btf;
	int id;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -1;
	btf = btf__load_from_kernel_by_id(info.btf_id);
	id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) : -1;
	btf__free(btf);
	return id;
}

/*
 * Programs that throw are attached to a function of another that throws, and that runs all the
 * time. So throws go through trampolines that come and go, and each program ends only itself.
 */
void watch_round(struct activity *a)
{
	struct kind kind = { .type = BPF_PROG_TYPE_TRACING };
	__u64 end = round_end();
	struct pack p, watchers;
	struct runner r = { .a = a, .p = &p, .context = IN_PROCESS, .end = -1 };

	if (!open_xdp_pack(&p, a, 1) || !pack_open(&watchers, a))
		return;
	kind.target = p.fds[0];
	/* function 1 is the callback, 2 the one that main calls */
	kind.btf_id = func_id(kind.target, "func2");
	pthread_create(&r.thread, NULL, keep_running, &r);
	while (!a->failed && goes_on(&watchers, end)) {
		kind.attach_type = pick(2) ? BPF_TRACE_FENTRY : BPF_TRACE_FEXIT;
		attach_for(&watchers, &kind, 10);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(r.thread, NULL);
	pack_close(&watchers, -1);
	a->over += r.over;
	pack_close(&p, r.seen);
}

/* Load programs, run them once or twice, and free them */
void churn_round(struct activity *a)
{
	static const struct kind kinds[] = {
		{ BPF_PROG_TYPE_XDP, .thrown_ret = 7, .passed_ret = 3 },
		{ BPF_PROG_TYPE_SCHED_CLS, .thrown_ret = 8, .passed_ret = 3 },
	};
	const struct kind *kind = &kinds[pick(2)];
	__u64 end = round_end();
	long long seen;
	struct pack p;
	int fd, cnt;

	do {
		seen = 0;
		if (!pack_open(&p, a))
			return;
		fd = pack_add(&p, kind);
		for (cnt = pick(3); cnt-- && !a->failed; ) {
			static const char packet[64];
			LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
				    .data_size_in = sizeof(packet));

			if (bpf_prog_test_run_opts(fd, &opts))
				fail(a, "cannot run: %s", strerror(errno));
			seen += (int)opts.retval == kind->thrown_ret;
		}
		pack_close(&p, seen);
		a->done++;
	} while (!a->failed && now_ms() < end);
}

static bool set_online(int cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	/* also busy while other CPUs are added and removed */
	for (int i = 0; i < 100; i++) {
		if (put(path, online ? "1" : "0", 0))
			return true;
		if (errno != EBUSY)
			return false;
		sleep_ms(20);
	}
	return false;
}

void hotplug_round(struct activity *a)
{
	int cpu = 1 + pick(cpus - 1);

	if (!set_online(cpu, false))
		fail(a, "cannot take CPU %d offline: %s", cpu, strerror(errno));
	sleep_ms(100 + pick(200));
	if (!set_online(cpu, true))
		fail(a, "cannot take CPU %d online: %s", cpu, strerror(errno));
	a->done++;
	sleep_ms(700 + pick(700));
}

static int load_module(void)
{
	int fd = open(module, O_RDONLY), err;

	err = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	close(fd);
	return err;
}

/* Programs are freed after an RCU grace period, and hold the module until then */
static int unload_module(void)
{
	int err = 0;

	for (int i = 0; i < 1000; i++) {
		err = syscall(SYS_delete_module, "bpf_exceptions", O_NONBLOCK) ? errno : 0;
		if (!err)
			return 0;
		sleep_ms(10);
	}
	return err;
}

void know_module(void)
{
	static struct builder b;

	builder_forget();
	builder_init(&b);
	find_module_text();
}

/* Called with the gate closed */
void reload_round(struct activity *a)
{
	int err = unload_module();

	if (err)
		fail(a, "cannot unload the module: %s", strerror(err));
	else
		err = load_module();
	if (err)
		fail(a, "cannot load the module: %s", strerror(err));
	else
		know_module();
	a->done++;
}
