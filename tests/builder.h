/* SPDX-License-Identifier: GPL-2.0-only */
/* Puts BPF programs together instruction by instruction, with subprograms and kfuncs */
#ifndef _BUILDER_H
#define _BUILDER_H

#include <stdbool.h>
#include <linux/bpf.h>

struct bpf_prog_load_opts;

#define INSN(CODE, DST, SRC, OFF, IMM) \
	((struct bpf_insn){ .code = CODE, .dst_reg = DST, .src_reg = SRC, .off = OFF, .imm = IMM })
#define MOV_IMM(DST, IMM)	INSN(BPF_ALU64 | BPF_MOV | BPF_K, DST, 0, 0, IMM)
#define MOV_REG(DST, SRC)	INSN(BPF_ALU64 | BPF_MOV | BPF_X, DST, SRC, 0, 0)
#define ALU_IMM(OP, DST, IMM)	INSN(BPF_ALU64 | OP | BPF_K, DST, 0, 0, IMM)
#define ALU_REG(OP, DST, SRC)	INSN(BPF_ALU64 | OP | BPF_X, DST, SRC, 0, 0)
#define STORE_IMM(BASE, OFF, IMM) INSN(BPF_ST | BPF_MEM | BPF_DW, BASE, 0, OFF, IMM)
#define STORE_REG(BASE, OFF, SRC) INSN(BPF_STX | BPF_MEM | BPF_DW, BASE, SRC, OFF, 0)
#define LOAD(DST, BASE, OFF)	INSN(BPF_LDX | BPF_MEM | BPF_DW, DST, BASE, OFF, 0)
#define JUMP_IMM(OP, DST, IMM, OFF) INSN(BPF_JMP | OP | BPF_K, DST, 0, OFF, IMM)
#define JUMP(OFF)		INSN(BPF_JMP | BPF_JA, 0, 0, OFF, 0)
#define CALL_HELPER(ID)		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, ID)
#define EXIT()			INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* The last two are the kernel's own, for tests; its object is reference-counted */
enum kfunc { KFUNC_THROW, KFUNC_SET_CALLBACK, KFUNC_NEST, KFUNC_ACQUIRE, KFUNC_RELEASE, KFUNCS };

#define MAX_INSNS 8192
#define MAX_FUNCS 256	/* BPF's own limit */

struct builder {
	struct bpf_insn insns[MAX_INSNS];
	int cnt;
	struct {
		int start;	/* -1: not begun */
		int args;
		bool global;
		bool ctx;	/* the first argument is the context; main's is */
		int btf_id;	/* of the function, once it is loaded */
	} funcs[MAX_FUNCS];
	int nr_funcs;
	bool skb;	/* the context is a __sk_buff, and not an xdp_md */
	bool bare;	/* to be loaded without BTF */
	/* Called right before the system call that loads the program, and right after it */
	void (*around_load)(bool before);
};

/* All abort with a line on stderr when the caller asks for what can't be */
void builder_init(struct builder *b);
/* Look the kfuncs up anew: a module was loaded again */
void builder_forget(void);
/* Reserve a function number, for calls; function 0 is the main program */
int builder_func(struct builder *b, int args, bool global);
/* What is emitted from here on is function @func */
void builder_begin(struct builder *b, int func);
void builder_emit(struct builder *b, struct bpf_insn insn);
void builder_call(struct builder *b, int func);
void builder_load_func(struct builder *b, int reg, int func);
void builder_load_map(struct builder *b, int reg, int map_fd);
void builder_call_kfunc(struct builder *b, enum kfunc kfunc);
/* Return: fd of the program, or -1 with the verifier's log in @log */
int builder_load(struct builder *b, enum bpf_prog_type type, char *log, int log_size);
/* The same, with a load's options of the caller's choice: what to attach to, flags */
int builder_load_with(struct builder *b, enum bpf_prog_type type,
		      const struct bpf_prog_load_opts *with, char *log, int log_size);

#endif /* _BUILDER_H */
