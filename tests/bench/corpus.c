// SPDX-License-Identifier: GPL-2.0-only
/*
 * corpus - load programs that don't use exceptions, and show what the kernel makes of them
 *
 * usage: corpus [OBJECT]...
 *
 * The programs are generated ones, always the same, and those of the OBJECT files. With
 * -DKERNEL_TESTS, those of the kernel's own test_verifier.c follow. That is compiled in: its main()
 * runs, with measured_load() in place of bpf_prog_load().
 *
 * Prints, for each function of a program, "image NAME ADDRESS BYTES"; and for each program, except
 * those of OBJECT files, "load NAME INSTRUCTIONS", the minimum of a few loads under
 * "qemu -icount shift=0".
 *
 * Exit status: 0 done, 2 it could not.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "../builder.h"

#define LOADS 32
#define ENOUGH (8 << 20)	/* instructions to spend on one program */
#define MANY 4096	/* instructions; programs with more take minutes, and are left out */
#define PROGRAMS 300
#define FUNCS 4
#define BODY 12

static struct {
	unsigned char code[1 << 16];
	__u64 addr[MAX_FUNCS];
	__u32 len[MAX_FUNCS];
} images;

/* Return false if there are none, because the JIT failed, or if they are too large */
static bool print_images(int fd, const char *name)
{
	struct bpf_prog_info info = {
		.jited_prog_insns = (__u64)(unsigned long)images.code,
		.jited_prog_len = sizeof(images.code),
		.jited_ksyms = (__u64)(unsigned long)images.addr,
		.nr_jited_ksyms = MAX_FUNCS,
		.jited_func_lens = (__u64)(unsigned long)images.len,
		.nr_jited_func_lens = MAX_FUNCS,
	};
	const unsigned char *code = images.code;
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len)) {
		fprintf(stderr, "corpus: %s: no image: %m\n", name);
		exit(2);
	}
	if (!info.jited_prog_len || info.jited_prog_len > sizeof(images.code) ||
	    info.nr_jited_ksyms > MAX_FUNCS)
		return false;
	for (unsigned int i = 0; i < info.nr_jited_ksyms; i++) {
		printf("image %s %llx ", name, (unsigned long long)images.addr[i]);
		for (unsigned int j = 0; j < images.len[i]; j++)
			printf("%02x", *code++);
		printf("\n");
	}
	return true;
}

/* Replaces bpf_prog_load(). Without @opts the program isn't a test, but something one needs. */
static int measured_load(enum bpf_prog_type type, const char *name, const char *license,
			 const struct bpf_insn *insns, size_t cnt, struct bpf_prog_load_opts *opts)
{
	LIBBPF_OPTS(bpf_prog_load_opts, quiet);
	unsigned long least = -1, spent = 0, start, took;
	static int number;
	char id[32];
	int fd, again;

	if (!opts)
		return bpf_prog_load(type, name, license, insns, cnt, NULL);
	if (cnt > MANY)
		return -1;
	/* The kernel's tests ask for random upper halves, which differ from image to image */
	opts->prog_flags &= ~BPF_F_TEST_RND_HI32;
	fd = bpf_prog_load(type, name, license, insns, cnt, opts);
	snprintf(id, sizeof(id), "%s-%d", name ?: "kernel", number++);
	if (fd < 0 || !print_images(fd, id))
		return fd;

	quiet = *opts;
	quiet.log_level = 0;
	quiet.log_buf = NULL;
	quiet.log_size = 0;
	for (int i = 0; i < LOADS && spent < ENOUGH; i++) {
		start = __builtin_ia32_rdtsc();
		again = bpf_prog_load(type, name, license, insns, cnt, &quiet);
		took = __builtin_ia32_rdtsc() - start;
		close(again);
		spent += took;
		if (took < least)
			least = took;
	}
	printf("load %s %lu\n", id, least);
	return fd;
}

static unsigned int pick(unsigned int below)
{
	static unsigned long state = 1;

	state = state * 6364136223846793005ul + 1442695040888963407ul;
	return (state >> 33) % below;
}

/* An instruction that is valid anywhere: R0 and R6-R9 are scalars, R10 - 8 is initialised */
static struct bpf_insn any_insn(void)
{
	static const __u8 ops[] = { BPF_ADD, BPF_SUB, BPF_AND, BPF_OR, BPF_XOR, BPF_MUL };
	int dst = pick(4) ? BPF_REG_6 + pick(4) : 0, src = BPF_REG_6 + pick(4);
	__u8 op = ops[pick(sizeof(ops))];

	switch (pick(6)) {
	case 0: return ALU_IMM(op, dst, (int)pick(1u << 31));
	case 1: return ALU_REG(op, dst, src);
	case 2: return INSN(BPF_ALU | op | BPF_X, dst, src, 0, 0);
	case 3: return STORE_REG(BPF_REG_10, -8, src);
	case 4: return LOAD(dst, BPF_REG_10, -8);
	default: return ALU_IMM(BPF_RSH, dst, pick(64));
	}
}

static int emit_body(struct bpf_insn *insns, unsigned int regs, int stack, int jmp_table)
{
	int cnt = 0;

	/* use as many of them as are to be saved, and none of the others */
	for (int i = 0; i < 4; i++)
		if (regs & 1 << i)
			insns[cnt++] = MOV_IMM(BPF_REG_6 + i, pick(1000));
	insns[cnt++] = STORE_IMM(BPF_REG_10, -8 - stack, 1);
	if (jmp_table >= 0) {
		insns[cnt++] = INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0,
				    jmp_table);
		insns[cnt++] = INSN(0, 0, 0, 0, 0);
		insns[cnt++] = MOV_IMM(BPF_REG_3, pick(4));
		insns[cnt++] = CALL_HELPER(BPF_FUNC_tail_call);
	}
	insns[cnt++] = CALL_HELPER(pick(2) ? BPF_FUNC_get_prandom_u32 : BPF_FUNC_ktime_get_ns);
	if (regs != 0xf)
		return cnt;
	insns[cnt++] = STORE_IMM(BPF_REG_10, -8, 1);
	for (int i = 0; i < BODY; i++) {
		insns[cnt++] = JUMP_IMM(BPF_JGT, BPF_REG_6 + pick(4), pick(1000), pick(2));
		insns[cnt++] = any_insn();
	}
	insns[cnt++] = any_insn();
	insns[cnt++] = MOV_IMM(BPF_REG_0, 1);
	return cnt;
}

/* BTF with FUNCS functions, which subprograms need to make tail calls; returns its fd */
static int make_btf(struct bpf_func_info *info)
{
	struct btf *btf = btf__new_empty();
	int proto = btf__add_func_proto(btf, btf__add_int(btf, "int", 4, BTF_INT_SIGNED));
	char name[] = "func0";

	for (int i = 0; i < FUNCS; i++, name[4]++)
		info[i].type_id = btf__add_func(btf, name, BTF_FUNC_STATIC, proto);
	if (btf__load_into_kernel(btf)) {
		fprintf(stderr, "corpus: BTF isn't accepted\n");
		exit(2);
	}
	return btf__fd(btf);
}

/* A chain of functions with all kinds of frames; ctx goes down in R1 */
static void generate(int jmp_table, int btf_fd, struct bpf_func_info *info)
{
	int calls[FUNCS], funcs = 1 + pick(FUNCS), cnt = 0, fd;
	int tail_calls = pick(3) ? -1 : jmp_table;
	static struct bpf_insn insns[512];
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_btf_fd = btf_fd, .func_info = info,
		    .func_info_cnt = funcs, .func_info_rec_size = sizeof(*info));

	for (int i = 0; i < funcs; i++) {
		info[i].insn_off = cnt;
		if (i)
			insns[calls[i - 1]].imm = cnt - calls[i - 1] - 1;
		if (i < funcs - 1) {
			/* R6 keeps ctx for later */
			insns[cnt++] = MOV_REG(BPF_REG_6, BPF_REG_1);
			calls[i] = cnt;
			insns[cnt++] = INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0);
			insns[cnt++] = MOV_REG(BPF_REG_1, BPF_REG_6);
		}
		cnt += emit_body(insns + cnt, pick(3) ? pick(16) : 0xf, 8 * pick(8), tail_calls);
		insns[cnt++] = EXIT();
	}
	fd = measured_load(BPF_PROG_TYPE_XDP, "generated", "GPL", insns, cnt, &opts);
	if (fd < 0) {
		char log[4096];

		opts.log_buf = log;
		opts.log_size = sizeof(log);
		opts.log_level = 1;
		bpf_prog_load(BPF_PROG_TYPE_XDP, "generated", "GPL", insns, cnt, &opts);
		fprintf(stderr, "corpus: a generated program did not load: %m\n%s", log);
		exit(2);
	}
	close(fd);
}

static void show_object(const char *file)
{
	struct bpf_object *obj = bpf_object__open_file(file, NULL);
	struct bpf_program *prog;

	if (!obj || bpf_object__load(obj)) {
		fprintf(stderr, "corpus: %s did not load: %m\n", file);
		exit(2);
	}
	bpf_object__for_each_program(prog, obj)
		print_images(bpf_program__fd(prog), bpf_program__name(prog));
	bpf_object__close(obj);
}

#ifdef KERNEL_TESTS
static int printf_nothing(const char *fmt, ...)
{
	(void)fmt;
	return 0;
}

/* The same random numbers every time */
#define srand(seed) srand(0)
#define bpf_prog_load measured_load
#define printf printf_nothing
#define main test_verifier_main
#include "test_verifier.c"
#undef main
#else
static int test_verifier_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}
#endif

int main(int argc, char **argv)
{
	int jmp_table = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, NULL, 4, 4, 4, NULL);
	struct bpf_func_info info[FUNCS] = {};
	int btf_fd = make_btf(info);

	for (int i = 0; i < PROGRAMS; i++)
		generate(jmp_table, btf_fd, info);
	for (int i = 1; i < argc; i++)
		show_object(argv[i]);
	test_verifier_main(1, argv);
	return 0;
}
