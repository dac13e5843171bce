/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers that depend only on the seed (splitmix64) */
#ifndef _FUZZ_RANDOM_H
#define _FUZZ_RANDOM_H

#include <stdbool.h>
#include <linux/types.h>

struct random {
	__u64 state;
};

static inline __u64 random_next(struct random *r)
{
	__u64 z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 0 .. @limit - 1 */
static inline __u32 random_below(struct random *r, __u32 limit)
{
	return (random_next(r) >> 32) % limit;
}

static inline bool random_percent(struct random *r, __u32 percent)
{
	return random_below(r, 100) < percent;
}

#endif /* _FUZZ_RANDOM_H */
