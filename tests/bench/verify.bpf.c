// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the verifier has to walk: code that asserts that something can't happen (assert_X_N),
 * against code that handles it somehow and goes on (handle_X_N). These are only loaded.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

#define hide(var)	asm volatile("" : "+r"(var))
#define MAX_SIZE	64
#define SLOTS		16

/* Instead of loops, which the compiler doesn't unroll if they contain asserts */
#define REPEAT_4(step)	step(0) step(1) step(2) step(3)
#define REPEAT_8(step)	REPEAT_4(step) step(4) step(5) step(6) step(7)
#define REPEAT_12(step)	REPEAT_8(step) step(8) step(9) step(10) step(11)

char _license[] SEC("license") = "GPL";

__u64 values[64], slots[SLOTS], bad;
char bytes[1024];

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* N counters that were put into the map earlier, so none can be missing */
#define LOOK_UP(i)	key = i; found[i] = bpf_map_lookup_elem(&counters, &key);
#define ADD(i)		sum += *found[i];
#define ASSERT_FOUND(i)	LOOK_UP(i) bpf_assert(found[i]); hide(found[i]);
#define HANDLE_FOUND(i)	LOOK_UP(i) if (!found[i]) found[i] = &none; hide(found[i]);

#define POINTERS(name, N, look_up)					\
SEC("tc") int name##_pointers_##N(struct __sk_buff *ctx)		\
{									\
	__u64 *found[N], none = 0, sum = 0;				\
	__u32 key;							\
									\
	REPEAT_##N(look_up)						\
	REPEAT_##N(ADD)							\
	return sum + none;						\
}

/* N sizes that were checked where they came from; their sum is an offset */
#define ASSERT_SIZE(i)							\
	size = values[i];						\
	bpf_assert_le(size, MAX_SIZE);					\
	offset += size;							\
	hide(offset);
#define HANDLE_SIZE(i)							\
	size = values[i];						\
	if (size > MAX_SIZE) {						\
		size = 0;						\
		bad++;							\
	}								\
	offset += size;							\
	hide(offset);

#define SIZES(name, N, step)						\
SEC("tc") int name##_sizes_##N(struct __sk_buff *ctx)			\
{									\
	__u64 size, offset = 0;						\
									\
	REPEAT_##N(step)						\
	return bytes[offset];						\
}

/* N nested headers of a packet that the kernel has already looked at */
#define ASSERT_HEADER(i)						\
	bpf_assert((void *)&ip[i + 1] <= end);					\
	sum += ip[i].saddr;
#define HANDLE_HEADER(i)						\
	if ((void *)&ip[i + 1] <= end)						\
		sum += ip[i].saddr;					\
	else								\
		bad++;

#define HEADERS(name, N, step)						\
SEC("tc") int name##_headers_##N(struct __sk_buff *ctx)			\
{									\
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; \
	struct iphdr *ip = data + sizeof(struct ethhdr);		\
	__u32 sum = 0;							\
									\
	REPEAT_##N(step)						\
	return sum;							\
}

/* N indices into a table, all of which are in bounds */
#define ASSERT_SLOT(slot)						\
	bpf_assert_lt(slot, SLOTS);
#define HANDLE_SLOT(slot)						\
	if (slot >= SLOTS) {						\
		bad++;							\
		continue;						\
	}

#define LOOP(name, N, check)						\
SEC("tc") int name##_loop_##N(struct __sk_buff *ctx)			\
{									\
	for (int i = 0; i < N; i++) {					\
		__u64 slot = values[i];					\
									\
		check(slot)						\
		slots[slot]++;						\
	}								\
	return 0;							\
}

#define BOTH(what, N, assertion, handling)				\
	what(assert, N, assertion) what(handle, N, handling)

BOTH(POINTERS, 4, ASSERT_FOUND, HANDLE_FOUND)
BOTH(POINTERS, 8, ASSERT_FOUND, HANDLE_FOUND)
BOTH(POINTERS, 12, ASSERT_FOUND, HANDLE_FOUND)
BOTH(SIZES, 4, ASSERT_SIZE, HANDLE_SIZE)
BOTH(SIZES, 8, ASSERT_SIZE, HANDLE_SIZE)
BOTH(SIZES, 12, ASSERT_SIZE, HANDLE_SIZE)
BOTH(HEADERS, 4, ASSERT_HEADER, HANDLE_HEADER)
BOTH(HEADERS, 8, ASSERT_HEADER, HANDLE_HEADER)
BOTH(LOOP, 64, ASSERT_SLOT, HANDLE_SLOT)

/* --- holding something ------------------------------------------------------------ */

/*
 * Code that holds something where it fails: it throws, and what it holds is released (throws_X_N),
 * or it releases that and returns (returns_X_N). FAIL(stmt) is what it does then.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	__u32 entries[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} lockeds SEC(".maps");

#define THROW(release)		bpf_throw(1)
#define RETURN(release)		do { release; return 1; } while (0)

/* N checks of a packet while a socket is held */
#define SOCKET_CHECK(i)							\
	if ((void *)&ip[i + 1] > end || ip[i].version != 4)		\
		FAIL(bpf_sk_release(sk));				\
	sum += ip[i].saddr;

#define SOCKET(name, N)							\
SEC("tc") int name##_socket_##N(struct __sk_buff *ctx)			\
{									\
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; \
	struct iphdr *ip = data + sizeof(struct ethhdr);		\
	struct bpf_sock_tuple tuple = {};				\
	struct bpf_sock *sk;						\
	__u32 sum = 0;							\
									\
	sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0); \
	if (!sk)							\
		return 0;						\
	sum += sk->family;						\
	REPEAT_##N(SOCKET_CHECK)					\
	bpf_sk_release(sk);						\
	return sum;							\
}

/* N counters, each of which may be missing, go into a record */
#define RECORD_FIELD(i)							\
	key = i;							\
	found = bpf_map_lookup_elem(&counters, &key);			\
	if (!found)							\
		FAIL(bpf_ringbuf_discard(record, 0));			\
	record[i] = *found;

#define RECORD(name, N)							\
SEC("tc") int name##_record_##N(struct __sk_buff *ctx)			\
{									\
	__u64 *record, *found;						\
	__u32 key;							\
									\
	record = bpf_ringbuf_reserve(&records, 8 * N, 0);		\
	if (!record)							\
		return 0;						\
	REPEAT_##N(RECORD_FIELD)					\
	bpf_ringbuf_submit(record, 0);					\
	return 0;							\
}

/* N records, each held while the next one is made, or can't be */
#define RESERVE(i)							\
	record##i = bpf_ringbuf_reserve(&records, 8, 0);		\
	if (!record##i)							\
		FAIL(discard(record0, record1, record2, record3));	\
	*record##i = ctx->len;

static __always_inline void discard(__u64 *record0, __u64 *record1, __u64 *record2, __u64 *record3)
{
	if (record0)
		bpf_ringbuf_discard(record0, 0);
	if (record1)
		bpf_ringbuf_discard(record1, 0);
	if (record2)
		bpf_ringbuf_discard(record2, 0);
	if (record3)
		bpf_ringbuf_discard(record3, 0);
}

#define NESTED(name, N)							\
SEC("tc") int name##_nested_##N(struct __sk_buff *ctx)			\
{									\
	__u64 *record0 = NULL, *record1 = NULL, *record2 = NULL, *record3 = NULL; \
									\
	REPEAT_##N(RESERVE)						\
	if (ctx->len > MAX_SIZE)					\
		FAIL(discard(record0, record1, record2, record3));	\
	discard(record0, record1, record2, record3);			\
	return 0;							\
}

/* N entries under a lock */
#define LOCKED_ENTRY(i)							\
	slot = values[i];						\
	if (slot >= SLOTS)						\
		FAIL(bpf_spin_unlock(&locked->lock));			\
	locked->entries[slot]++;

#define LOCK(name, N)							\
SEC("tc") int name##_lock_##N(struct __sk_buff *ctx)			\
{									\
	struct locked *locked;						\
	__u32 key = 0;							\
	__u64 slot;							\
									\
	locked = bpf_map_lookup_elem(&lockeds, &key);			\
	if (!locked)							\
		return 0;						\
	bpf_spin_lock(&locked->lock);					\
	REPEAT_##N(LOCKED_ENTRY)					\
	bpf_spin_unlock(&locked->lock);					\
	return 0;							\
}

/* N calls of a function that fails, below one that holds a record */
#define CHECKED(name, fail)						\
static __attribute__((noinline)) int name##_below(__u64 value)		\
{									\
	if (value > MAX_SIZE)						\
		fail;							\
	return value;							\
}

#define BELOW(name, N, calls)						\
SEC("tc") int name##_below_##N(struct __sk_buff *ctx)			\
{									\
	__u64 *record, sum = 0;						\
	int ret __attribute__((unused));				\
									\
	record = bpf_ringbuf_reserve(&records, 8, 0);			\
	if (!record)							\
		return 0;						\
	REPEAT_##N(calls)						\
	*record = sum;							\
	bpf_ringbuf_submit(record, 0);					\
	return 0;							\
}

#define CALL_THROWS(i)							\
	sum += throws_below(values[i]);
#define CALL_RETURNS(i)							\
	ret = returns_below(values[i]);					\
	if (ret < 0) {							\
		bpf_ringbuf_discard(record, 0);				\
		return 1;						\
	}								\
	sum += ret;

#define HOLDERS(name)							\
	SOCKET(name, 4) SOCKET(name, 8) RECORD(name, 4) RECORD(name, 8)	\
	NESTED(name, 4) LOCK(name, 4) LOCK(name, 8)

#define FAIL THROW
HOLDERS(throws)
#undef FAIL
#define FAIL RETURN
HOLDERS(returns)
CHECKED(throws, bpf_throw(1))
BELOW(throws, 4, CALL_THROWS)
BELOW(throws, 8, CALL_THROWS)
CHECKED(returns, return -1)
BELOW(returns, 4, CALL_RETURNS)
BELOW(returns, 8, CALL_RETURNS)
