// SPDX-License-Identifier: GPL-2.0-only
/*
 * host - run the programs of a source on the host, and record what they do
 *
 * usage: host RUNS SEED >RECORD
 *
 * SOURCE, the C file with the programs, is included in this one. Inputs are random, from SEED:
 * packets, and variables with many of the numbers that the source compares with. RECORD (struct
 * record, struct run) has everything that is needed to do the same elsewhere.
 */
#define _GNU_SOURCE
#include <err.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include SOURCE

#undef count
#undef sum
#undef half
#undef small
#undef seen
#undef values

struct program {
	enum type type;
	const char *name;
	int (*run)(void *ctx);
	int (*callback)(__u64 cookie);
};

struct state state;
/* If the source has none */
__attribute__((weak)) const __u64 constants[MAX_CONSTANTS];

static struct program programs[64];
static int programs_cnt;
static jmp_buf landing;
static __u64 thrown, random_state;
static __u8 *packet;	/* in the first 4 GiB, since contexts have 32 bits for it */

void add_program(enum type type, const char *name, int (*run)(void *ctx), int (*callback)(__u64))
{
	if (programs_cnt == sizeof(programs) / sizeof(programs[0]))
		errx(1, "more programs than the table has room for");
	programs[programs_cnt++] = (struct program) { type, name, run, callback };
}

void bpf_throw(__u64 cookie)
{
	thrown = cookie;
	longjmp(landing, 1);
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	__u64 *elements = map;
	__u32 index;

	memcpy(&index, key, sizeof(index));
	return index < VALUES ? &elements[index] : NULL;
}

static __u64 random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull >> 8;
}

static __u64 likely_number(void)
{
	switch (random_number() % 8) {
	case 0: case 1:
		return random_number() % 9;
	case 2: case 3: case 4:
		return constants[random_number() % MAX_CONSTANTS];
	case 5:
		return constants[random_number() % MAX_CONSTANTS] + random_number() % 3 - 1;
	case 6:
		return random_number() % 256;
	default:
		return random_number() >> random_number() % 56;
	}
}

/* Eight bytes that are one, two, four or eight numbers */
static void fill(__u8 *at)
{
	int width = 1 << random_number() % 4;
	__u64 number;

	for (int i = 0; i < 8; i += width) {
		number = likely_number();
		memcpy(at + i, &number, width);
	}
}

static void make_input(struct run *run)
{
	__u8 *before = (__u8 *)&run->before;

	run->size = random_number() % 8 ? 64 + random_number() % (PACKET - 63) :
		    LEAST_PACKET + random_number() % (64 - LEAST_PACKET);
	run->mark = likely_number();
	run->priority = likely_number();
	for (int i = 0; i < PACKET; i += 8)
		fill(run->packet + i);
	run->packet[12] = 0;	/* not IP, whose header a test run would check */
	memset(run->packet + run->size, 0, PACKET - run->size);
	for (size_t i = 0; i < sizeof(run->before); i += 8)
		fill(before + i);
}

static int call(const struct program *program, const struct run *run)
{
	__u32 start = (__u32)(unsigned long)packet;
	struct xdp_md xdp = { .data = start, .data_end = start + run->size };
	struct __sk_buff skb = {
		.data = start, .data_end = start + run->size, .len = run->size,
		.mark = run->mark, .priority = run->priority,
	};

	memcpy(packet, run->packet, PACKET);
	return program->run(program->type == TC ? (void *)&skb : (void *)&xdp);
}

static void run_program(const struct program *program, int runs, __u64 seed)
{
	struct record record = { .runs = runs };
	struct run *all = calloc(runs, sizeof(*all));

	strncpy(record.name, program->name, sizeof(record.name) - 1);
	random_state = seed * 0x9e3779b97f4a7c15ull | 1;
	for (int i = 0; i < runs; i++) {
		struct run *run = &all[i];

		make_input(run);
		state = run->before;
		if (!setjmp(landing)) {
			run->result = call(program, run);
		} else {
			record.throws++;
			run->result = program->callback ? program->callback(thrown) : 0;
		}
		run->after = state;
	}
	fwrite(&record, sizeof(record), 1, stdout);
	fwrite(all, sizeof(*all), runs, stdout);
	free(all);
}

int main(int argc, char **argv)
{
	if (argc != 3 || atoi(argv[1]) < 1)
		errx(2, "usage: host RUNS SEED");
	packet = mmap(NULL, PACKET, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (packet == MAP_FAILED)
		err(1, "no memory below 4 GiB");
	alarm(20);	/* for a program that doesn't end */
	for (int i = 0; i < programs_cnt; i++)
		run_program(&programs[i], atoi(argv[1]), strtoull(argv[2], NULL, 0));
	return fflush(stdout) ? 1 : 0;
}
