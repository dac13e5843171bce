// SPDX-License-Identifier: GPL-2.0-only
/* Programs that the kernel calls for struct_ops, and for lsm_cgroup */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "special.h"

/* An object with one of the programs of hooks.bpf.c, or with its struct_ops if @name isn't one */
static struct bpf_object *load_hook(const char *name)
{
	struct bpf_object *obj = bpf_object__open_file(hooks_object, NULL);
	bool ops = !strcmp(name, "thrower");
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, ops ? bpf_program__type(prog) == BPF_PROG_TYPE_STRUCT_OPS :
						!strcmp(bpf_program__name(prog), name));
	bpf_map__set_autocreate(bpf_object__find_map_by_name(obj, "thrower"), ops);
	return bpf_object__load(obj) ? NULL : obj;
}

static bool counts_are(struct bpf_object *obj, __u64 throws, __u64 passed)
{
	__u64 counts[2];
	int zero = 0;

	if (bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(obj, "hooks.bss"), &zero, counts))
		return fail("no counts: %s", strerror(errno));
	return (counts[0] == throws && counts[1] == passed) ||
	       fail("%llu throws, of which %llu came back; expected %llu, %llu", counts[0],
		    counts[1], throws, passed);
}

/* A connection over lo, with the BPF program as congestion control of the accepted end */
static bool connect_with(const char *congestion_control)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);
	bool ok;

	ok = !setsockopt(server, IPPROTO_TCP, TCP_CONGESTION, congestion_control,
			 strlen(congestion_control)) &&
	     !bind(server, (struct sockaddr *)&addr, len) && !listen(server, 1) &&
	     !getsockname(server, (struct sockaddr *)&addr, &len) &&
	     !connect(client, (struct sockaddr *)&addr, len);
	if (ok) {
		int end = accept(server, NULL, NULL);

		ok = end >= 0;
		close(end);
	}
	close(client);
	close(server);
	return ok || fail("cannot connect: %s", strerror(errno));
}

bool struct_ops_throws(void)
{
	struct bpf_object *obj = load_hook("thrower");
	struct bpf_link *link;
	bool ok;

	if (!obj)
		return fail("did not load: %s", strerror(errno));
	link = bpf_map__attach_struct_ops(bpf_object__find_map_by_name(obj, "thrower"));
	ok = link ? connect_with("thrower") && counts_are(obj, 1, 0) : fail("cannot register it");
	bpf_link__destroy(link);
	bpf_object__close(obj);
	return ok;
}

static bool lsm_cgroup(const char *name, bool allows)
{
	int cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	struct bpf_object *obj = load_hook(name);
	struct bpf_link *link;
	bool ok;

	if (!obj)
		return fail("did not load: %s", strerror(errno));
	link = bpf_program__attach_cgroup(bpf_object__find_program_by_name(obj, name), cgroup);
	if (!link)
		ok = fail("cannot attach: %s", strerror(errno));
	else
		ok = (getpgid(getpid()) >= 0) == allows || fail("getpgid was %s", allows ? "denied" : "allowed");
	bpf_link__destroy(link);
	ok = ok && counts_are(obj, 1, 0);
	bpf_object__close(obj);
	close(cgroup);
	return ok;
}

bool lsm_cgroup_default(void) { return lsm_cgroup("cgroup_default", false); }
bool lsm_cgroup_callback(void) { return lsm_cgroup("cgroup_callback", true); }
