// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "held.h"

/* The ends of the connection; what programs find is the one at @own */
static struct sockaddr_in own, peer;
static int own_fd = -1;

static int loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), err;

	err = ioctl(fd, SIOCGIFFLAGS, &ifr);
	ifr.ifr_flags |= IFF_UP;
	err = err ?: ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return err;
}

int held_connect(struct bpf_sock_tuple *tuple)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener, client;

	if (!own.sin_port) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		client = socket(AF_INET, SOCK_STREAM, 0);
		if (loopback_up() || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
		    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&addr, &len) ||
		    connect(client, (struct sockaddr *)&addr, sizeof(addr)) ||
		    getsockname(client, (struct sockaddr *)&peer, &len))
			return -1;
		own_fd = accept(listener, NULL, NULL);
		if (own_fd < 0)
			return -1;
		own = addr;
	}
	*tuple = (struct bpf_sock_tuple){ .ipv4 = {
		.saddr = peer.sin_addr.s_addr, .sport = peer.sin_port,
		.daddr = own.sin_addr.s_addr, .dport = own.sin_port,
	} };
	return 0;
}

int held_sockmap(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "sockets", 4, 4, 4, NULL), zero = 0;

	if (fd >= 0 && bpf_map_update_elem(fd, &zero, &own_fd, 0))
		return -1;
	return fd;
}

int held_sockets(void)
{
	unsigned int local, remote;
	char line[512];
	int refs = -1;
	FILE *f = fopen("/proc/net/tcp", "r");

	while (f && fgets(line, sizeof(line), f)) {
		int ref;

		if (sscanf(line, "%*d: %*x:%x %*x:%x %*x %*x:%*x %*x:%*x %*x %*d %*d %*d %d",
			   &local, &remote, &ref) == 3 &&
		    local == ntohs(own.sin_port) && remote == ntohs(peer.sin_port))
			refs = ref;
	}
	if (f)
		fclose(f);
	errno = refs < 0 ? ENOENT : 0;
	return refs;
}

static int ignore(void *ctx __attribute__((unused)), void *data __attribute__((unused)),
		  size_t size __attribute__((unused)))
{
	return 0;
}

long held_records(int map_fd)
{
	struct ring_buffer *rb = ring_buffer__new(map_fd, ignore, NULL, NULL);
	long page = sysconf(_SC_PAGESIZE), held = -1;
	unsigned long *consumer, *producer;

	if (!rb)
		return -1;
	consumer = mmap(NULL, page, PROT_READ, MAP_SHARED, map_fd, 0);
	producer = mmap(NULL, page, PROT_READ, MAP_SHARED, map_fd, page);
	if (ring_buffer__consume(rb) >= 0 && consumer != MAP_FAILED && producer != MAP_FAILED)
		held = *producer - *consumer;
	munmap(consumer, page);
	munmap(producer, page);
	ring_buffer__free(rb);
	return held;
}

/* Where the lock is the kernel takes from BTF */
int held_locks(int cnt)
{
	struct btf *btf = btf__new_empty();
	int u32, lock, value, key, fd;
	const void *raw;
	__u32 size;
	LIBBPF_OPTS(bpf_map_create_opts, opts);

	key = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	lock = btf__add_struct(btf, "bpf_spin_lock", 4);
	btf__add_field(btf, "val", u32, 0, 0);
	value = btf__add_struct(btf, "value", 16);
	btf__add_field(btf, "before", u32, 0, 0);
	btf__add_field(btf, "lock", lock, 64, 0);
	raw = btf__raw_data(btf, &size);
	fd = bpf_btf_load(raw, size, NULL);
	btf__free(btf);
	opts.btf_fd = fd;
	opts.btf_key_type_id = key;
	opts.btf_value_type_id = value;
	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "locks", 4, 16, cnt, &opts);
}
