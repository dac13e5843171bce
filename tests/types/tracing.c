// SPDX-License-Identifier: GPL-2.0-only
/* Programs that watch the kernel, or that it consults */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/hw_breakpoint.h>
#include <linux/lirc.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "../symbols.h"
#include "hook.h"

#define EVENTS "/sys/bus/event_source/devices/"
#define PROBED "__x64_sys_getsid"

/* --- What makes the kernel run them */

static int see_getsid(struct run *run __attribute__((unused)))
{
	int seen = outcome(getsid(getpid()));

	return seen < 0 ? seen : 0;
}

static int see_rename(struct run *run __attribute__((unused)))
{
	return outcome(prctl(PR_SET_NAME, "types"));
}

static int see_symlink(struct run *run __attribute__((unused)))
{
	int seen = outcome(symlink("there", "/tmp/types"));

	unlink("/tmp/types");
	return seen;
}

__attribute__((noinline)) static int probed_function(int x)
{
	asm volatile("" : "+r"(x));
	return x;
}

static int see_own_call(struct run *run __attribute__((unused)))
{
	return probed_function(0);
}

static int see_test_run(struct run *run)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	return outcome(bpf_prog_test_run_opts(part_fd(run, run->hook->with), &opts));
}

static int see_syscall(struct run *run)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (bpf_prog_test_run_opts(run->prog_fd, &opts))
		return broken("cannot run");
	return opts.retval;
}

/* --- perf events */

static bool attach_event(struct run *run, struct perf_event_attr *attr)
{
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	run->event_fd = syscall(SYS_perf_event_open, attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (run->event_fd < 0)
		return false;
	if (attr->sample_type) {
		run->ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, run->event_fd, 0);
		if (run->ring == MAP_FAILED) {
			run->ring = NULL;
			return false;
		}
	}
	return keep_link(run, bpf_program__attach_perf_event(run->prog, run->event_fd));
}

/* How often it has counted, unless a program kept it from counting */
static int event_count(struct run *run)
{
	__u64 count;

	if (read(run->event_fd, &count, sizeof(count)) != sizeof(count))
		return broken("cannot read the event");
	return count;
}

static int see_getsid_counted(struct run *run)
{
	see_getsid(run);
	return event_count(run);
}

static int see_rename_counted(struct run *run)
{
	see_rename(run);
	return event_count(run);
}

static int see_own_call_counted(struct run *run)
{
	see_own_call(run);
	return event_count(run);
}

static int number_in(const char *path)
{
	FILE *f = fopen(path, "r");
	int number = -1;

	if (f && fscanf(f, "%d", &number) != 1)
		number = -1;
	if (f)
		fclose(f);
	return number;
}

/* The number of the bit that makes it a return probe is in "config:N" */
static __u64 retprobe_bit(const char *pmu)
{
	char path[128];
	FILE *f;
	int bit = 0;

	snprintf(path, sizeof(path), EVENTS "%s/format/retprobe", pmu);
	f = fopen(path, "r");
	if (f) {
		fscanf(f, "config:%d", &bit);
		fclose(f);
	}
	return 1ull << bit;
}

static bool attach_probe(struct run *run, const char *pmu, const char *where, __u64 offset)
{
	struct perf_event_attr attr = { .sample_period = 1, .config1 = (unsigned long)where,
					.config2 = offset };
	char path[128];
	int type;

	snprintf(path, sizeof(path), EVENTS "%s/type", pmu);
	type = number_in(path);
	if (type < 0) {
		errno = EOPNOTSUPP;
		return false;
	}
	attr.type = type;
	if (!strcmp(run->hook->spec, "return"))
		attr.config = retprobe_bit(pmu);
	return attach_event(run, &attr);
}

static bool attach_kprobe(struct run *run)
{
	return attach_probe(run, "kprobe", PROBED, 0);
}

static void write_optimization(const char *value)
{
	FILE *f = fopen("/proc/sys/debug/kprobes-optimization", "w");

	if (!f)
		return; /* this kernel doesn't optimise probes into jumps */
	fputs(value, f);
	fclose(f);
}

/* After ftrace's 5 bytes, which the ENDBR for IBT precedes, 4 bytes, if there is one */
static bool attach_kprobe_int3(struct run *run)
{
	write_optimization("0");
	return attach_probe(run, "kprobe", PROBED, 5) || attach_probe(run, "kprobe", PROBED, 9);
}

static void detach_kprobe_int3(struct run *run __attribute__((unused)))
{
	write_optimization("1");
}

/* The offset of probed_function() in the file it was loaded from */
static long probed_offset(void)
{
	unsigned long addr = (unsigned long)probed_function, start, end, offset;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	long found = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 &&
		    start <= addr && addr < end)
			found = addr - start + offset;
	if (f)
		fclose(f);
	return found;
}

static bool attach_uprobe(struct run *run)
{
	return attach_probe(run, "uprobe", "/proc/self/exe", probed_offset());
}

static bool attach_tracepoint(struct run *run)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.sample_period = 1,
		.config = number_in("/sys/kernel/tracing/events/task/task_rename/id"),
	};

	return attach_event(run, &attr);
}

static bool attach_timer(struct run *run)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
		.sample_type = PERF_SAMPLE_IP,
	};

	return attach_event(run, &attr);
}

static bool attach_breakpoint(struct run *run)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_X,
		.bp_addr = kernel_symbol(PROBED),
		.bp_len = sizeof(long),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_IP,
	};

	return attach_event(run, &attr);
}

/* Whether there is a sample, once the program has run while this did @something */
static int see_sample(struct run *run, int (*something)(struct run *run))
{
	volatile struct perf_event_mmap_page *ring = run->ring;
	time_t start = time(NULL);

	do
		something(run);
	while (!run->tally->reached && time(NULL) - start < 10);
	return ring->data_head != 0;
}

static int see_time_pass(struct run *run)
{
	return see_sample(run, see_own_call);
}

static int see_breakpoint(struct run *run)
{
	return see_sample(run, see_getsid);
}

/* --- Others that libbpf attaches */

static bool attach(struct run *run)
{
	return keep_link(run, bpf_program__attach(run->prog));
}

static bool attach_multi(struct run *run)
{
	const char *probed = PROBED;
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .syms = &probed, .cnt = 1,
		    .retprobe = !strcmp(run->hook->spec, "return"));

	return keep_link(run, bpf_program__attach_kprobe_multi_opts(run->prog, NULL, &opts));
}

static bool attach_iter(struct run *run)
{
	union bpf_iter_link_info info = { .map.map_fd = part_fd(run, "three") };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	return keep_link(run, bpf_program__attach_iter(run->prog, &opts));
}

static int see_read(struct run *run)
{
	int fd = bpf_iter_create(bpf_link__fd(run->link)), seen;
	char buf[64];

	if (fd < 0)
		return broken("cannot make an iterator");
	seen = outcome(read(fd, buf, sizeof(buf)));
	close(fd);
	return seen;
}

/* --- Congestion control */

static struct bpf_map *congestion_control(struct run *run)
{
	char name[64];

	snprintf(name, sizeof(name), "ops_%s", bpf_program__name(run->prog) + strlen("on_"));
	return bpf_object__find_map_by_name(run->obj, name);
}

static bool prepare_struct_ops(struct run *run)
{
	static const char *const others[] = { "ssthresh", "cong_avoid", "undo_cwnd" };

	for (int i = 0; i < 3; i++)
		bpf_program__set_autoload(bpf_object__find_program_by_name(run->obj, others[i]), true);
	return !bpf_map__set_autocreate(congestion_control(run), true);
}

static bool attach_struct_ops(struct run *run)
{
	return keep_link(run, bpf_map__attach_struct_ops(congestion_control(run)));
}

/* Whether buffers have become larger than they were in the beginning */
static int see_buffers(struct run *run __attribute__((unused)))
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr), size = sizeof(int);
	int before, after, seen;

	if (setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "types", strlen("types")) ||
	    bind(server, (struct sockaddr *)&addr, len) || listen(server, 1) ||
	    getsockname(server, (struct sockaddr *)&addr, &len) ||
	    getsockopt(client, SOL_SOCKET, SO_SNDBUF, &before, &size) ||
	    connect(client, (struct sockaddr *)&addr, len) ||
	    getsockopt(client, SOL_SOCKET, SO_SNDBUF, &after, &size))
		seen = broken("cannot connect");
	else
		seen = after > before;
	close(client);
	close(server);
	return seen;
}

/* --- Infrared */

static int open_lirc(void)
{
	int fd = -1;
	glob_t found;

	if (!glob("/dev/lirc*", 0, NULL, &found))
		fd = open(found.gl_pathv[0], O_RDWR);
	globfree(&found);
	return fd;
}

static bool attach_lirc(struct run *run)
{
	int fd = open_lirc();
	bool ok = fd >= 0 && !bpf_prog_attach(run->prog_fd, fd, BPF_LIRC_MODE2, 0);

	close(fd);
	return ok;
}

static void detach_lirc(struct run *run)
{
	int fd = open_lirc();

	bpf_prog_detach2(run->prog_fd, fd, BPF_LIRC_MODE2);
	close(fd);
}

/* A loopback device receives what it sends */
static int see_pulse(struct run *run)
{
	int fd = open_lirc(), pulse = 500, seen;

	seen = outcome(write(fd, &pulse, sizeof(pulse)));
	for (int i = 0; seen > 0 && !run->tally->reached && i < 100; i++)
		usleep(10000);
	close(fd);
	return seen;
}

#define IN_PROCESS .context = "process"
/* An event is counted if bit 0 of what the program returns is set, ... */
#define COUNTED .what = "events counted", .own = { 1, 1 }, .zero = 0, .cb = { 3, 1 }
/* ... and sampled if any is */
#define SAMPLED .what = "samples taken", .own = { 1, 1 }, .zero = 0, .cb = { 2, 1 }
/* Nothing looks at what the program returns */
#define IGNORED(does, sees) .what = does, .own = { 1, sees }, .zero = sees, .cb = { 2, sees }
/* ... and has to be 0 */
#define NOTHING(does, sees) .what = does, .own = { 0, sees }, .zero = sees, .cb = { 0, sees }, \
	RANGE(0, 0)
/* An error instead of the call */
#define ERRORS(does) .what = does, .own = { -EACCES, -EACCES }, .zero = 0, .cb = { -EPERM, -EPERM }

const struct hook tracing_hooks[] = {
	{ .name = "kprobe", .attach = attach_kprobe, .see = see_getsid_counted, .spec = "", COUNTED,
	  IN_PROCESS },
	{ .name = "kretprobe", .attach = attach_kprobe, .see = see_getsid_counted, .spec = "return",
	  COUNTED, IN_PROCESS },
	{ .name = "kprobe_int3", .attach = attach_kprobe_int3, .see = see_getsid_counted,
	  .detach = detach_kprobe_int3, .spec = "", COUNTED, .context = "nmi" },
	{ .name = "kprobe_multi", .attach = attach_multi, .see = see_getsid, .spec = "",
	  IGNORED("getsid()", 0), IN_PROCESS, .needs = "register_fprobe_ips", .without = EOPNOTSUPP },
	{ .name = "kretprobe_multi", .attach = attach_multi, .see = see_getsid, .spec = "return",
	  IGNORED("getsid()", 0), IN_PROCESS, .needs = "register_fprobe_ips", .without = EOPNOTSUPP },
	{ .name = "uprobe", .attach = attach_uprobe, .see = see_own_call_counted, .spec = "",
	  COUNTED, IN_PROCESS },
	{ .name = "uretprobe", .attach = attach_uprobe, .see = see_own_call_counted, .spec = "return",
	  COUNTED, IN_PROCESS },
	{ .name = "uprobe_sleepable", .attach = attach_uprobe, .see = see_own_call_counted, .spec = "",
	  COUNTED, IN_PROCESS },
	{ .name = "tracepoint", .attach = attach_tracepoint, .see = see_rename_counted, COUNTED,
	  IN_PROCESS },
	{ .name = "raw_tp", .attach = attach, .see = see_rename, IGNORED("prctl()", 0), IN_PROCESS },
	{ .name = "raw_tp_writable", .attach = attach, .see = see_test_run, .with = "nothing",
	  IGNORED("the test run", -EDOM), IN_PROCESS },
	{ .name = "perf_timer", .attach = attach_timer, .see = see_time_pass, SAMPLED,
	  .context = "hardirq" },
	{ .name = "perf_breakpoint", .attach = attach_breakpoint, .see = see_breakpoint, SAMPLED,
	  .context = "nmi" },
	{ .name = "tp_btf", .attach = attach, .see = see_rename, IGNORED("prctl()", 0), IN_PROCESS },
	{ .name = "fentry", .attach = attach, .see = see_getsid, NOTHING("getsid()", 0), IN_PROCESS },
	{ .name = "fentry_sleepable", .attach = attach, .see = see_getsid, NOTHING("getsid()", 0),
	  IN_PROCESS, .needs = "within_error_injection_list", .without = EINVAL },
	{ .name = "fexit", .attach = attach, .see = see_getsid, NOTHING("getsid()", 0), IN_PROCESS },
	{ .name = "fmod_ret", .attach = attach, .see = see_getsid, ERRORS("getsid()"), IN_PROCESS },
	{ .name = "iter", .attach = attach_iter, .see = see_read, .what = "read()", .own = { 0, 4 },
	  .zero = 4, .cb = { 1, -EAGAIN }, RANGE(0, 1), IN_PROCESS },
	{ .name = "lsm", .attach = attach, .see = see_getsid, ERRORS("getsid()"), IN_PROCESS },
	{ .name = "lsm_sleepable", .attach = attach, .see = see_symlink, ERRORS("symlink()"),
	  IN_PROCESS },
	{ .name = "struct_ops", .prepare = prepare_struct_ops, .attach = attach_struct_ops,
	  .see = see_buffers, .what = "buffers have grown", .own = { 2, 1 }, .zero = 0,
	  .cb = { 3, 1 }, IN_PROCESS, .typed = true },
	{ .name = "syscall", .see = see_syscall, .what = "the test run returns", .own = { 7, 7 },
	  .zero = 0, .cb = { -5, -5 }, IN_PROCESS },
	{ .name = "lirc_mode2", .attach = attach_lirc, .see = see_pulse, .detach = detach_lirc,
	  IGNORED("write()", 4), IN_PROCESS, .needs = "lirc_bpf_run", .without = EINVAL },
};

const size_t tracing_hooks_cnt = sizeof(tracing_hooks) / sizeof(tracing_hooks[0]);
