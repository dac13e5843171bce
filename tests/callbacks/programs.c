// SPDX-License-Identifier: GPL-2.0-only
/* Programs of the object: loaded, watched by others, run in the contexts that there are */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "callbacks.h"

char log_buf[LOG_SIZE];

/* What the verifier said last */
const char *last_said(void)
{
	size_t len = strlen(log_buf), most = 300;

	for (char *line = log_buf; (line = strchr(line, '\n')); )
		*line = ' ';
	return log_buf + (len > most ? len - most : 0);
}

void unload(struct loaded *l)
{
	for (int i = 0; i < l->nr_watchers; i++) {
		bpf_link__destroy(l->links[i]);
		bpf_object__close(l->watchers[i]);
	}
	if (l->ring)
		user_ring_buffer__free(l->ring);
	if (l->state)
		munmap((void *)l->state, sizeof(*l->state));
	bpf_object__close(l->obj);
}

static bool fill(struct bpf_object *obj, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);
	static __u64 values[1024];	/* one for each processor, where it is such a map */

	for (__u32 key = 0; key < ROUNDS; key++)
		if (bpf_map_update_elem(fd, &key, values, 0))
			return false;
	return true;
}

static bool fill_maps(struct loaded *l)
{
	l->ring = user_ring_buffer__new(bpf_object__find_map_fd_by_name(l->obj, "ring"), NULL);
	return l->ring && fill(l->obj, "hash") && fill(l->obj, "percpu_hash") &&
	       fill(l->obj, "lru_hash") && fill(l->obj, "lru_percpu_hash");
}

/* Only @name of a new instance of the object; with the state of @with, if there is one */
struct bpf_object *open_one(const char *name, const struct loaded *with)
{
	struct bpf_object *obj = bpf_object__open_file(object, NULL);
	struct bpf_program *prog;
	struct bpf_map *map;

	if (!obj)
		return NULL;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	bpf_program__set_log_buf(bpf_object__find_program_by_name(obj, name), log_buf, sizeof(log_buf));
	map = bpf_object__find_map_by_name(obj, ".bss.state");
	if (with && bpf_map__reuse_fd(map, bpf_object__find_map_fd_by_name(with->obj, ".bss.state"))) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

bool load(struct loaded *l, const char *name)
{
	*l = (struct loaded){ .obj = open_one(name, NULL), .drains = !strcmp(name, "drain") };
	if (!l->obj || bpf_object__load(l->obj))
		return fail("%s did not load: %s; %s", name, strerror(errno), last_said());
	l->fd = bpf_program__fd(bpf_object__find_program_by_name(l->obj, name));
	l->state = mmap(NULL, sizeof(*l->state), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_object__find_map_fd_by_name(l->obj, ".bss.state"), 0);
	if (l->state == MAP_FAILED) {
		l->state = NULL;
		return fail("cannot map the state: %s", strerror(errno));
	}
	return fill_maps(l) || fail("cannot fill the maps: %s", strerror(errno));
}

/* Have program @watcher watch function @func of the program, or of the kernel */
bool watch(struct loaded *l, const char *watcher, bool in_kernel, const char *func)
{
	struct bpf_object *obj = open_one(watcher, l);
	struct bpf_program *prog = obj ? bpf_object__find_program_by_name(obj, watcher) : NULL;
	int i = l->nr_watchers;

	if (!prog || bpf_program__set_attach_target(prog, in_kernel ? 0 : l->fd, func) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return fail("%s on %s() did not load: %s; %s", watcher, func, strerror(errno),
			    last_said());
	}
	l->watchers[i] = obj;
	l->links[i] = bpf_program__attach(prog);
	l->nr_watchers++;
	return l->links[i] || fail("cannot attach %s to %s(): %s", watcher, func, strerror(errno));
}

static bool top_up(struct loaded *l)
{
	__u64 *sample;

	for (; l->samples < ROUNDS; l->samples++) {
		sample = user_ring_buffer__reserve(l->ring, sizeof(*sample));
		if (!sample)
			return fail("no room for a sample: %s", strerror(errno));
		*sample = l->samples;
		user_ring_buffer__submit(l->ring, sample);
	}
	return true;
}

bool reset(struct loaded *l, __u64 throw_at)
{
	if (l->drains)
		l->samples -= l->state->rounds;
	memset((void *)l->state, 0, sizeof(*l->state));
	l->state->throw_at = throw_at;
	return top_up(l);
}

bool state_is(const struct loaded *l, const char *what, __u64 have, __u64 want)
{
	return have == want || fail("throw in round %lld: %s %lld, expected %lld",
				    (long long)l->state->throw_at, what, (long long)have, (long long)want);
}

bool run_syscall(struct loaded *l, __u32 *ret)
{
	__u64 ctx[8] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = ctx, .ctx_size_in = sizeof(ctx));

	if (bpf_prog_test_run_opts(l->fd, &opts))
		return fail("test run: %s", strerror(errno));
	*ret = opts.retval;
	return true;
}

bool run_xdp(struct loaded *l, enum test_context context, __u32 *ret)
{
	struct test_run run = { .prog_fd = l->fd, .context = context };

	if (ioctl(device, TEST_RUN, &run))
		return fail("cannot run: %s", strerror(errno));
	*ret = run.ret;
	return !run.bad || fail("throw in round %lld, context %u: bad registers %#x",
				(long long)l->state->throw_at, context, run.bad);
}
