// SPDX-License-Identifier: GPL-2.0-only
/* What the event says, of throws of all kinds, and to whom */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../../bpf/tools/trace.h"
#include "../symbols.h"
#include "trace.h"

/* The test module's irq_work is done by a thread on PREEMPT_RT */
static const char *context_name(enum test_context context)
{
	static const char *const names[] = { "process", "softirq", "hardirq", "nmi" };
	struct utsname kernel;

	if (context == IN_HARDIRQ && !uname(&kernel) && strstr(kernel.version, "PREEMPT_RT"))
		return "process";
	return names[context];
}

/* Whether there is a call right before a return address */
static bool is_call(int fd, struct place place)
{
	static __u8 image[1 << 16];
	__u32 lens[64] = {}, off = 0;
	struct bpf_prog_info info = {
		.jited_prog_len = sizeof(image), .jited_prog_insns = (unsigned long)image,
		.nr_jited_func_lens = 64, .jited_func_lens = (unsigned long)lens,
	};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || place.func >= info.nr_jited_func_lens)
		return false;
	for (__u32 i = 0; i < place.func; i++)
		off += lens[i];
	return place.off >= 5 && place.off <= lens[place.func] &&
	       image[off + place.off - 5] == 0xe8;
}

/* What the kernel says about the program, and what the event says */
static bool is_prog(const struct throw_event *event, int fd)
{
	struct bpf_prog_info info = prog_info(fd);
	char tag[2 * BPF_TAG_SIZE + 1];

	for (int i = 0; i < BPF_TAG_SIZE; i++)
		sprintf(tag + 2 * i, "%02x", info.tag[i]);
	return (event->id == info.id && !strcmp(event->name, info.name) &&
		!strcmp(event->tag, tag)) ||
	       fail("program %u %s %s, expected %u %s %s", event->id, event->name, event->tag,
		    info.id, info.name, tag);
}

static bool is_event(const struct throw_event *event, int fd, const char *context, __u64 cookie,
		     __u32 depth, int callback_ret)
{
	bool callback = callback_ret >= 0;

	if (!is_prog(event, fd))
		return false;
	if (event->cookie != cookie || event->depth != depth || strcmp(event->context, context) ||
	    event->callback != callback || !event->returned ||
	    event->ret != (callback ? callback_ret : 0))
		return fail("cookie %llu, depth %u, context %s, callback %d, returned %d, ret %lld",
			    event->cookie, event->depth, event->context, event->callback,
			    event->returned, event->ret);
	for (__u32 i = 0; i <= depth; i++)
		if (!is_call(fd, event->places[i]) || !(i < depth) != !event->places[i].func)
			return fail("place %u is %u+%u", i, event->places[i].func,
				    event->places[i].off);
	return true;
}

static bool one_event(int fd, const char *context, __u64 cookie, __u32 depth, int callback_ret)
{
	struct throw_event events[2];
	int cnt = read_events(events, 2);

	return cnt == 1 ? is_event(events, fd, context, cookie, depth, callback_ret) :
			  fail("%d events, expected 1", cnt);
}

bool fields(void)
{
	static const struct {
		const char *name;
		int depth;
		bool callback;
	} progs[] = {
		{ "from_main", 0, false }, { "from_main_cb", 0, true }, { "from_1", 1, false },
		{ "from_1_cb", 1, true }, { "from_7", 7, false }, { "from_7_cb", 7, true },
		{ "from_helpers", 4, false }, { "from_helpers_cb", 4, true },
	};
	struct bpf_object *obj = LOAD("from_main", "from_main_cb", "from_1", "from_1_cb", "from_7",
				      "from_7_cb", "from_helpers", "from_helpers_cb");
	struct vars vars = { .cookie = 21 };
	bool ok = obj;

	for (size_t i = 0; ok && i < ARRAY_SIZE(progs); i++) {
		int fd = prog_fd(obj, progs[i].name), ret = progs[i].callback ? 42 : -1;

		if (!strncmp(progs[i].name, "from_helpers", 12) && kcfi())
			continue;
		for (int context = 0; ok && context < TEST_CONTEXTS; context++) {
			ok = set_var(obj, ".bss", &vars) &&
			     run(fd, context, 1, progs[i].callback ? 42 : 0) &&
			     one_event(fd, context_name(context), 21, progs[i].depth, ret);
			if (ok && get_vars(obj).callbacks != progs[i].callback)
				ok = fail("callback ran %llu times", get_vars(obj).callbacks);
		}
		if (!ok)
			fail("program %s", progs[i].name);
	}
	bpf_object__close(obj);
	return ok;
}

/* There is no callback, and the first event has the return value */
bool cookie_returned(void)
{
	struct bpf_object *obj = LOAD("from_1_cookie");
	struct vars vars = { .cookie = 21 };
	struct throw_event events[2];
	bool ok;
	int cnt;

	if (!obj)
		return false;
	ok = set_var(obj, ".bss", &vars) && run(prog_fd(obj, "from_1_cookie"), IN_NMI, 1, 21);
	cnt = read_events(events, 2);
	if (ok && (cnt != 1 || events[0].callback || events[0].ret != 21))
		ok = fail("%d events, callback %d, ret %lld", cnt, events[0].callback,
			  events[0].ret);
	bpf_object__close(obj);
	return ok;
}

bool event_off(void)
{
	struct bpf_object *obj = LOAD("from_7_cb");
	struct vars vars = { .cookie = 5 };
	struct throw_event event;
	bool ok;

	if (!obj)
		return false;
	set_var(obj, ".bss", &vars);
	trace_stop();
	ok = run(prog_fd(obj, "from_7_cb"), IN_PROCESS, 3, 10);
	if (ok && (read_events(&event, 1) || get_vars(obj).callbacks != 3))
		ok = fail("an event, or callbacks: %llu", get_vars(obj).callbacks);
	bpf_object__close(obj);
	trace_close();
	return !trace_open(0, NULL) && ok;
}

bool through_fexit(void)
{
	struct bpf_object *obj = LOAD("from_7_cb"), *fexit = NULL;
	struct bpf_link *link = NULL;
	struct vars vars = { .cookie = 21 };
	int fd = obj ? prog_fd(obj, "from_7_cb") : -1;
	bool ok;

	fexit = obj ? LOAD_ON(fd, "depth3", "watch") : NULL;
	if (fexit)
		link = bpf_program__attach(bpf_object__find_program_by_name(fexit, "watch"));
	ok = link || fail("cannot attach");
	ok = ok && set_var(obj, ".bss", &vars) && run(fd, IN_PROCESS, 1, 42) &&
	     one_event(fd, "process", 21, 7, 42);
	bpf_link__destroy(link);
	bpf_object__close(fexit);
	bpf_object__close(obj);
	return ok;
}

/* The same places as without a watcher, also of those below the helpers that call back */
bool through_helpers(void)
{
	static const struct {
		const char *func;
		bool in_kernel;
	} watched[] = {
		{ NULL, false }, { "thrower", false }, { "on_element", false }, { "on_round", false },
		{ "loops", false },
		{ "bpf_loop", true }, { "bpf_for_each_array_elem", true },
	};
	struct bpf_object *obj = LOAD("from_helpers_cb");
	struct vars vars = { .cookie = 21 };
	int fd = obj ? prog_fd(obj, "from_helpers_cb") : -1;
	struct throw_event first = {}, event[2];
	bool ok = obj && set_var(obj, ".bss", &vars);

	for (size_t i = 0; ok && i < ARRAY_SIZE(watched); i++) {
		const char *func = watched[i].func;
		struct bpf_object *fexit = func ? LOAD_ON(watched[i].in_kernel ? 0 : fd, func, "watch") : NULL;
		struct bpf_link *link = NULL;

		if (fexit)
			link = bpf_program__attach(bpf_object__find_program_by_name(fexit, "watch"));
		ok = !func || link || fail("cannot watch %s()", func);
		for (int context = 0; ok && context < TEST_CONTEXTS; context++) {
			ok = run(fd, context, 1, 42) &&
			     (read_events(event, 2) == 1 || fail("not one event")) &&
			     is_event(event, fd, context_name(context), 21, 4, 42);
			if (!first.id)
				first = event[0];
			if (ok && memcmp(first.places, event[0].places, 5 * sizeof(first.places[0]))) {
				ok = false;
				for (int j = 0; j < 5; j++)
					fail("place %d is %u+%u, not %u+%u", j, event[0].places[j].func,
					     event[0].places[j].off, first.places[j].func,
					     first.places[j].off);
			}
		}
		if (!ok)
			fail("... with %s() watched", func ?: "nothing");
		bpf_link__destroy(link);
		bpf_object__close(fexit);
	}
	bpf_object__close(obj);
	return ok;
}

bool tail_call(void)
{
	struct bpf_object *obj = LOAD("tail_caller", "from_1_cb");
	struct vars vars = { .cookie = 4 };
	int zero = 0, target;
	bool ok;

	if (!obj)
		return false;
	target = prog_fd(obj, "from_1_cb");
	ok = set_var(obj, ".bss", &vars) &&
	     !bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, "jmp_table"), &zero, &target,
				  0) &&
	     run(prog_fd(obj, "tail_caller"), IN_PROCESS, 1, 8) && one_event(target, "process", 4, 1, 8);
	bpf_object__close(obj);
	return ok;
}

bool extension(void)
{
	struct bpf_object *obj = LOAD("replaced_in"), *ext = NULL;
	struct bpf_link *link = NULL;
	int fd = obj ? prog_fd(obj, "replaced_in") : -1;
	bool ok;

	ext = obj ? LOAD_ON(fd, "replaced", "replacement") : NULL;
	if (ext)
		link = bpf_program__attach(bpf_object__find_program_by_name(ext, "replacement"));
	ok = link || fail("cannot attach");
	ok = ok && run(fd, IN_PROCESS, 1, 254) &&
	     one_event(prog_fd(ext, "replacement"), "process", 77, 1, 154);
	bpf_link__destroy(link);
	bpf_object__close(ext);
	bpf_object__close(obj);
	return ok;
}

/* --- while others do things ----------------------------------------------------------- */

static volatile bool stop_throwing;

/* By test runs, as the device runs programs one at a time */
static void *keep_throwing(void *fd)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 100);

	while (!stop_throwing)
		if (bpf_prog_test_run_opts((int)(long)fd, &opts) || opts.retval != 42)
			return (void *)1;
	return NULL;
}

bool on_and_off(void)
{
	struct bpf_object *obj = LOAD("from_7_cb");
	static struct throw_event events[1000];
	struct vars vars = { .cookie = 21 };
	void *bad[2] = {};
	pthread_t threads[2];
	bool ok = obj;
	const int max = ARRAY_SIZE(events);
	long seen = 0;
	int fd, cnt;

	if (!obj)
		return false;
	fd = prog_fd(obj, "from_7_cb");
	set_var(obj, ".bss", &vars);
	stop_throwing = false;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, keep_throwing, (void *)(long)fd);
	for (int i = 0; ok && i < 100; i++) {
		trace_close();
		ok = !trace_open(0, NULL);
		usleep(1000);
		trace_stop();
		trace_stop_callbacks();
		cnt = read_some(events, max, 100);
		seen += cnt;
		/* the last one of each thread may not have returned in time */
		if (ok && trace_pending() > 2 && !trace_lost())
			ok = fail("%u callbacks have not returned", trace_pending());
		for (int j = 0; ok && j < cnt; j++)
			ok = (!events[j].returned && trace_lost()) ||
			     is_event(&events[j], fd, "process", 21, 7, 42);
	}
	stop_throwing = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], &bad[i]);
	trace_close();
	ok = !trace_open(0, NULL) && ok;
	ok = ok && ((!bad[0] && !bad[1]) || fail("a throw returned something else"));
	ok = ok && (seen || fail("no event was seen"));
	bpf_object__close(obj);
	return ok;
}

/* Nobody else listens in the meantime */
static bool unlistened(bool (*test)(void))
{
	bool ok;

	trace_close();
	ok = test();
	return !trace_open(0, NULL) && ok;
}

bool depth_of_callback(void)
{
	return unlistened(callback_depth);
}

bool canaries(void)
{
	char line[256];
	FILE *f = popen("canary", "r");
	int good = 0, status;

	while (f && fgets(line, sizeof(line), f)) {
		good += !strncmp(line, "ok ", 3);
		if (!strncmp(line, "not ok", 6) || *line == '#')
			fail("%s", line);
	}
	status = f ? pclose(f) : -1;
	trace_close();
	if (trace_open(0, NULL))
		return false;
	return (!status && good == 40) || fail("status %d, %d good, expected 40", status, good);
}

/* --- programs on the event ------------------------------------------------------------ */

/* One throw of another program, seen by programs @names, each of which may throw */
static bool noticed(const char *const *names, __u64 times, int events)
{
	struct bpf_object *obj = LOAD("from_7_cb"), *on = load(trace_object, -1, NULL, names);
	struct bpf_link *links[4] = {};
	struct throw_event seen[16];
	struct vars vars = { .cookie = 21 };
	bool ok = obj && on;
	int cnt;

	for (int i = 0; ok && names[i]; i++) {
		links[i] = bpf_program__attach(bpf_object__find_program_by_name(on, names[i]));
		ok = links[i] || fail("cannot attach %s: %s", names[i], strerror(errno));
	}
	ok = ok && set_var(obj, ".bss", &vars) &&
	     run(prog_fd(obj, "from_7_cb"), IN_PROCESS, 1, 42);
	cnt = read_events(seen, ARRAY_SIZE(seen));
	if (ok && (cnt != events || get_vars(on).noticed != times))
		ok = fail("%d events, expected %d; noticed %llu times, expected %llu", cnt, events,
			  get_vars(on).noticed, times);
	for (int i = 0; i < 4; i++)
		bpf_link__destroy(links[i]);
	bpf_object__close(on);
	bpf_object__close(obj);
	return ok;
}

bool bpf_notices(void)
{
	return noticed((const char *const []){ "notice", NULL }, 1, 1);
}

/* Its throw is an event, but it isn't run again for that */
bool bpf_notices_throwing(void)
{
	return noticed((const char *const []){ "notice_throws", NULL }, 1, 2);
}

/* Both run on the throw; each of them throws, which is an event that the other runs on; the throw
 * of that one is no event
 */
bool bpf_notices_each_other(void)
{
	return noticed((const char *const []){ "notice_throws", "notice_throws_too", NULL }, 4, 3);
}

static bool callback_noticed(void)
{
	struct bpf_object *obj = LOAD("from_7_cb", "from_7"), *on = LOAD("notice_callback");
	struct bpf_link *link = NULL;
	struct vars vars = { .cookie = 21 };
	bool ok;

	if (on)
		link = bpf_program__attach(bpf_object__find_program_by_name(on, "notice_callback"));
	ok = obj && link && set_var(obj, ".bss", &vars) &&
	     run(prog_fd(obj, "from_7_cb"), IN_NMI, 3, 42) &&
	     run(prog_fd(obj, "from_7"), IN_PROCESS, 1, 0);
	if (ok && (get_vars(on).noticed != 3 || get_vars(on).told != 42 ||
		   get_vars(obj).callbacks != 3))
		ok = fail("noticed %llu times, told %llu, %llu callbacks", get_vars(on).noticed,
			  get_vars(on).told, get_vars(obj).callbacks);
	bpf_link__destroy(link);
	/* and no more when it is gone */
	ok = ok && run(prog_fd(obj, "from_7_cb"), IN_PROCESS, 1, 42) &&
	     (get_vars(on).noticed == 3 || fail("noticed without a link"));
	bpf_object__close(on);
	bpf_object__close(obj);
	return ok;
}

bool callbacks_noticed(void)
{
	return unlistened(callback_noticed);
}

/*
 * Both run on the callback's return; each throws, which is an event, and has a callback, which is
 * one; that of each the other runs on; what that throws is none, nor is what its callback returns
 */
bool callbacks_noticed_throwing(void)
{
	return noticed((const char *const []){ "notice_callback_throws",
					       "notice_callback_throws_too", NULL }, 4, 3);
}
