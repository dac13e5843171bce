// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include "builder.h"
#include "held.h"
#include "things.h"

#define RINGBUF_SIZE (1 << 16)
#define LOCKS 3
#define LOCK_OFF 8	/* see held_locks() */

/* Of the ring buffer */
static volatile unsigned long *consumer;
static const volatile unsigned long *producer;
static const char *records;

static int probe;		/* program that counts */
static int sockets, objects;	/* references when things_left() was last called */

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "things: no %s to hold: %s\n", what, strerror(errno));
	exit(2);
}

static int make_kept(void)
{
	struct btf *btf = btf__new_empty();
	int key, object, pointer, value, btf_fd, fd;
	const void *raw;
	__u32 size;

	key = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	object = btf__add_struct(btf, "prog_test_ref_kfunc", 8);
	pointer = btf__add_ptr(btf, btf__add_type_tag(btf, "kptr_ref", object));
	value = btf__add_struct(btf, "kept", 8);
	btf__add_field(btf, "object", pointer, 0, 0);
	raw = btf__raw_data(btf, &size);
	btf_fd = bpf_btf_load(raw, size, NULL);
	btf__free(btf);

	LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = btf_fd, .btf_key_type_id = key,
		    .btf_value_type_id = value);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kept", 4, 8, 1, &opts);
	need(fd >= 0, "map with a pointer to an object");
	close(btf_fd);
	return fd;
}

/* --- the program that counts --------------------------------------------------------- */

static struct builder b;

/* Where the object's reference count is */
static int count_offset(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id = btf__find_by_name_kind(btf, "prog_test_ref_kfunc", BTF_KIND_STRUCT), offset = -1;
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;

	for (int i = 0; t && i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), "cnt"))
			offset = btf_members(t)[i].offset / 8;
	btf__free(btf);
	need(offset >= 0, "object");
	return offset;
}

/* r7 |= the word of the lock in value @index of @map, 0 if it is free */
static void look_at_lock(int map, int index)
{
	builder_emit(&b, STORE_IMM(BPF_REG_10, -8, index));
	builder_emit(&b, MOV_REG(BPF_REG_2, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_2, -8));
	builder_load_map(&b, BPF_REG_1, map);
	builder_emit(&b, CALL_HELPER(BPF_FUNC_map_lookup_elem));
	builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 2));
	builder_emit(&b, MOV_IMM(BPF_REG_0, -1));
	builder_emit(&b, EXIT());
	builder_emit(&b, STORE_IMM(BPF_REG_10, -8, 0));
	builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_1, -8));
	builder_emit(&b, MOV_IMM(BPF_REG_2, 4));
	builder_emit(&b, MOV_REG(BPF_REG_3, BPF_REG_0));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_3, LOCK_OFF));
	builder_emit(&b, CALL_HELPER(BPF_FUNC_probe_read_kernel));
	builder_emit(&b, LOAD(BPF_REG_1, BPF_REG_10, -8));
	builder_emit(&b, ALU_REG(BPF_OR, BPF_REG_7, BPF_REG_1));
}

/* It returns the object's references, its own among them, or -1 if a lock isn't free */
static int load_probe(const struct things *things)
{
	static char log[1 << 16];

	builder_init(&b);
	b.skb = true;
	builder_emit(&b, MOV_IMM(BPF_REG_7, 0));
	look_at_lock(things->lock, 0);
	for (int i = 0; i < LOCKS; i++)
		look_at_lock(things->locks, i);
	builder_emit(&b, STORE_IMM(BPF_REG_10, -8, 0));
	builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_10));
	builder_emit(&b, ALU_IMM(BPF_ADD, BPF_REG_1, -8));
	builder_call_kfunc(&b, KFUNC_ACQUIRE);
	builder_emit(&b, JUMP_IMM(BPF_JNE, BPF_REG_0, 0, 1));
	builder_emit(&b, EXIT());
	builder_emit(&b, INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_6, BPF_REG_0, count_offset(), 0));
	builder_emit(&b, MOV_REG(BPF_REG_1, BPF_REG_0));
	builder_call_kfunc(&b, KFUNC_RELEASE);
	builder_emit(&b, MOV_REG(BPF_REG_0, BPF_REG_6));
	builder_emit(&b, JUMP_IMM(BPF_JEQ, BPF_REG_7, 0, 1));
	builder_emit(&b, MOV_IMM(BPF_REG_0, -1));
	builder_emit(&b, EXIT());
	return builder_load(&b, BPF_PROG_TYPE_SCHED_CLS, log, sizeof(log));
}

static int run_probe(void)
{
	static char packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	need(!bpf_prog_test_run_opts(probe, &opts), "program that counts what is held");
	return opts.retval;
}

/* --- what the header says ------------------------------------------------------------ */

void things_init(struct things *things)
{
	struct bpf_sock_tuple tuple;

	things->ringbuf = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ringbuf", 0, 0, RINGBUF_SIZE, NULL);
	need(things->ringbuf >= 0, "ring buffer");
	consumer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, things->ringbuf, 0);
	producer = mmap(NULL, 4096 + 2 * RINGBUF_SIZE, PROT_READ, MAP_SHARED, things->ringbuf, 4096);
	need(consumer != MAP_FAILED && producer != MAP_FAILED, "ring buffer in memory");
	records = (const char *)producer + 4096;
	need(!held_connect(&tuple), "socket");
	things->sockets = held_sockmap();
	need(things->sockets >= 0, "sockmap");
	things->lock = held_locks(1);
	things->locks = held_locks(LOCKS);
	need(things->lock >= 0 && things->locks >= 0, "lock");
	things->kept = make_kept();
	probe = load_probe(things);
	need(probe >= 0, "program that counts what is held");
	things_left();
}

void things_prepare(void)
{
	*consumer = *producer;
}

/* With its header; @head is the first word of that */
static unsigned long record_size(__u32 head)
{
	head &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
	return (head + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
}

bool records_left(void)
{
	bool left = false;

	for (unsigned long at = *consumer; at < *producer; ) {
		__u32 head = *(const volatile __u32 *)(records + at % RINGBUF_SIZE);

		left |= !!(head & BPF_RINGBUF_BUSY_BIT);
		at += record_size(head);
	}
	return left;
}

bool things_consume(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	unsigned long at;
	__u32 head = 0;

	pthread_mutex_lock(&lock);
	for (at = *consumer; at < __atomic_load_n(producer, __ATOMIC_ACQUIRE); at += record_size(head)) {
		head = __atomic_load_n((__u32 *)(records + at % RINGBUF_SIZE), __ATOMIC_ACQUIRE);
		if (head & BPF_RINGBUF_BUSY_BIT)
			break;
	}
	__atomic_store_n(consumer, at, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	return at < *producer;
}

const char *things_left(void)
{
	static char what[96];
	int sockets_now = held_sockets(), objects_now = run_probe(), old_sockets = sockets,
	    old_objects = objects;

	sockets = sockets_now;
	if (objects_now == -1)
		return "a lock";
	objects = objects_now;
	if (sockets == old_sockets && objects == old_objects)
		return NULL;
	snprintf(what, sizeof(what), "%d references to a socket, %d to an object",
		 sockets - old_sockets, objects - old_objects);
	return what;
}
