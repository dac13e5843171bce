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
