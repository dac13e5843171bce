// SPDX-License-Identifier: GPL-2.0-only
/* Trampolines that come and go while throws pass through them, and are freed afterwards */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../symbols.h"
#include "special.h"

/* Program fexit_thrown of the attach object; a run that sets throws goes through its trampoline */
static struct bpf_object *load_watched(int *prog_fd)
{
	struct bpf_object *obj = bpf_object__open_file(attach_object, NULL);
	struct bpf_program *prog;
	__u64 data[3] = { 1 };
	int zero = 0;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), "fexit_thrown"));
	if (bpf_object__load(obj))
		return NULL;
	*prog_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "fexit_thrown"));
	if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, "attach.bss"), &zero, data, 0))
		return NULL;
	return obj;
}

static struct bpf_object *load_fexit(int target, struct bpf_link **link)
{
	struct bpf_object *obj = bpf_object__open_file(attach_object, NULL);
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), "fexit_watched"));
	prog = bpf_object__find_program_by_name(obj, "fexit_watched");
	if (bpf_program__set_attach_target(prog, target, "watched") || bpf_object__load(obj))
		return NULL;
	*link = bpf_program__attach(prog);
	return obj;
}

static bool run_watched(int fd, int repeat)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = repeat);

	if (bpf_prog_test_run_opts(fd, &opts))
		return fail("test run: %s", strerror(errno));
	return opts.retval == 9 || fail("returned %d, expected 9", opts.retval);
}

/* Images are freed after RCU grace periods, but never while a frame has a reference */
static bool trampolines_go(int expected)
{
	for (int i = 0; i < 200; i++) {
		if (count_trampolines() == expected)
			return true;
		usleep(100000);
	}
	return fail("%d trampoline images are left, expected %d", count_trampolines(), expected);
}

bool trampoline_freed(void)
{
	int fd, before = count_trampolines();
	struct bpf_object *obj, *fexit;
	struct bpf_link *link;
	bool ok;

	obj = load_watched(&fd);
	fexit = obj ? load_fexit(fd, &link) : NULL;
	if (!fexit || !link)
		return fail("cannot attach: %s", strerror(errno));
	ok = count_trampolines() == before + 1 || fail("no trampoline to look at");
	ok = ok && run_watched(fd, 10000);
	bpf_link__destroy(link);
	bpf_object__close(fexit);
	bpf_object__close(obj);
	return ok && trampolines_go(before);
}

static volatile bool stop;
static bool thrower_ok;

static void *keep_throwing(void *fd)
{
	thrower_ok = true;
	while (!stop && thrower_ok)
		thrower_ok = run_watched(*(int *)fd, 100);
	return NULL;
}

bool trampoline_detached(void)
{
	int fd, i, before = count_trampolines();
	struct bpf_object *obj, *fexit;
	struct bpf_link *link;
	pthread_t thread;
	bool ok = true;

	obj = load_watched(&fd);
	if (!obj)
		return fail("cannot load: %s", strerror(errno));
	stop = false;
	pthread_create(&thread, NULL, keep_throwing, &fd);
	for (i = 0; i < 100 && ok; i++) {
		fexit = load_fexit(fd, &link);
		ok = fexit && link;
		if (link)
			bpf_link__destroy(link);
		bpf_object__close(fexit);
	}
	stop = true;
	pthread_join(thread, NULL);
	bpf_object__close(obj);
	if (!ok)
		return fail("cannot attach: %s", strerror(errno));
	return thrower_ok && trampolines_go(before);
}
