// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include "builder.h"

/* Index of a module's BTF in fd_array is what instructions have in off; 0 means vmlinux */
static const struct {
	int module;
	const char *name;
} kfuncs[KFUNCS] = {
	[KFUNC_THROW] = { 1, "bpf_throw" },
	[KFUNC_SET_CALLBACK] = { 1, "bpf_set_exception_callback" },
	[KFUNC_NEST] = { 2, "bpf_test_nest" },
	[KFUNC_ACQUIRE] = { 0, "bpf_kfunc_call_test_acquire" },
	[KFUNC_RELEASE] = { 0, "bpf_kfunc_call_test_release" },
};

static int kfunc_ids[KFUNCS];
static int fd_array[3];

static void die(const char *what, const char *name)
{
	fprintf(stderr, "builder: %s: %s: %s\n", what, name, strerror(errno));
	exit(2);
}

/* The BTF of a loaded module, as an fd and parsed */
static struct btf *module_btf(const char *name, struct btf *vmlinux, int *fd)
{
	struct bpf_btf_info info;
	__u32 id = 0, len;
	char buf[64];

	while (!bpf_btf_get_next_id(id, &id)) {
		*fd = bpf_btf_get_fd_by_id(id);
		memset(&info, 0, sizeof(info));
		info.name = (__u64)(unsigned long)buf;
		info.name_len = sizeof(buf);
		len = sizeof(info);
		if (*fd >= 0 && !bpf_obj_get_info_by_fd(*fd, &info, &len) &&
		    info.kernel_btf && !strcmp(buf, name))
			return btf__load_from_kernel_by_id_split(id, vmlinux);
		close(*fd);
	}
	*fd = 0;
	return NULL;
}

static void find_kfuncs(void)
{
	struct btf *btf[3] = {};

	if (fd_array[1])
		return;
	btf[0] = btf__load_vmlinux_btf();
	btf[1] = module_btf("bpf_exceptions", btf[0], &fd_array[1]);
	if (!btf[1])
		die("module isn't loaded, or has no BTF", "bpf_exceptions");
	btf[2] = module_btf("bpf_exceptions_test", btf[0], &fd_array[2]);
	for (int i = 0; i < KFUNCS; i++)
		kfunc_ids[i] = btf[kfuncs[i].module] ?
			btf__find_by_name_kind(btf[kfuncs[i].module], kfuncs[i].name, BTF_KIND_FUNC) : 0;
	for (int i = 2; i >= 0; i--)
		btf__free(btf[i]);
}

void builder_forget(void)
{
	for (int i = 1; i < 3; i++) {
		if (fd_array[i] > 0)
			close(fd_array[i]);
		fd_array[i] = 0;
	}
}

void builder_init(struct builder *b)
{
	find_kfuncs();
	b->cnt = 0;
	b->nr_funcs = 0;
	b->bare = false;
	b->skb = false;
	b->around_load = NULL;
	builder_begin(b, builder_func(b, 1, true));
	b->funcs[0].ctx = true;
}

int builder_func(struct builder *b, int args, bool global)
{
	if (b->nr_funcs == MAX_FUNCS)
		die("too many functions", "");
	b->funcs[b->nr_funcs].start = -1;
	b->funcs[b->nr_funcs].args = args;
	b->funcs[b->nr_funcs].global = global;
	b->funcs[b->nr_funcs].ctx = false;
	return b->nr_funcs++;
}

void builder_begin(struct builder *b, int func)
{
	b->funcs[func].start = b->cnt;
}

void builder_emit(struct builder *b, struct bpf_insn insn)
{
	if (b->cnt == MAX_INSNS)
		die("too many instructions", "");
	b->insns[b->cnt++] = insn;
}

/* imm has the function's number; builder_load() turns it into a distance */
void builder_call(struct builder *b, int func)
{
	builder_emit(b, INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, func));
}

void builder_load_func(struct builder *b, int reg, int func)
{
	builder_emit(b, INSN(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_FUNC, 0, func));
	builder_emit(b, INSN(0, 0, 0, 0, 0));
}

void builder_load_map(struct builder *b, int reg, int map_fd)
{
	builder_emit(b, INSN(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_FD, 0, map_fd));
	builder_emit(b, INSN(0, 0, 0, 0, 0));
}

void builder_call_kfunc(struct builder *b, enum kfunc kfunc)
{
	if (kfunc_ids[kfunc] <= 0)
		die("no such kfunc, is its module loaded?", kfuncs[kfunc].name);
	builder_emit(b, INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, kfuncs[kfunc].module,
			     kfunc_ids[kfunc]));
}

/* BTF that names each function and its arguments: 64-bit integers, or the context */
static int make_btf(struct builder *b, struct bpf_func_info *info)
{
	struct btf *btf = btf__new_empty();
	int ret, arg, ctx, func, fd, i, j;
	const void *raw;
	char name[16];
	__u32 size;

	ret = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	arg = btf__add_int(btf, "unsigned long", 8, 0);
	ctx = btf__add_ptr(btf, btf__add_struct(btf, b->skb ? "__sk_buff" : "xdp_md", 4));
	btf__add_field(btf, "data", ret, 0, 0);
	for (i = 0; i < b->nr_funcs; i++) {
		int proto = btf__add_func_proto(btf, b->funcs[i].global ? ret : arg);

		for (j = 0; j < b->funcs[i].args; j++) {
			snprintf(name, sizeof(name), "arg%d", j);
			btf__add_func_param(btf, name, !j && b->funcs[i].ctx ? ctx : arg);
		}
		snprintf(name, sizeof(name), i ? "func%d" : "main", i);
		func = btf__add_func(btf, name, b->funcs[i].global ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC,
				     proto);
		info[i].insn_off = b->funcs[i].start;
		info[i].type_id = func;
		b->funcs[i].btf_id = func;
	}
	raw = btf__raw_data(btf, &size);
	fd = bpf_btf_load(raw, size, NULL);
	btf__free(btf);
	if (fd < 0)
		die("BTF isn't accepted", "");
	return fd;
}

static int by_start(const void *a, const void *b)
{
	return (int)((struct bpf_func_info *)a)->insn_off - (int)((struct bpf_func_info *)b)->insn_off;
}

int builder_load(struct builder *b, enum bpf_prog_type type, char *log, int log_size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, none);

	return builder_load_with(b, type, &none, log, log_size);
}

int builder_load_with(struct builder *b, enum bpf_prog_type type,
		      const struct bpf_prog_load_opts *with, char *log, int log_size)
{
	struct bpf_func_info info[MAX_FUNCS];
	struct bpf_insn insns[MAX_INSNS];
	int i, fd, btf_fd;
	struct bpf_prog_load_opts opts = *with;

	opts.fd_array = fd_array;
	opts.log_buf = log;
	opts.log_size = log ? log_size : 0;
	opts.log_level = log ? 1 : 0;
	memcpy(insns, b->insns, b->cnt * sizeof(insns[0]));
	for (i = 0; i < b->cnt; i++) {
		bool call = insns[i].code == (BPF_JMP | BPF_CALL) && insns[i].src_reg == BPF_PSEUDO_CALL;
		bool load = insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
			    insns[i].src_reg == BPF_PSEUDO_FUNC;

		if (call || load)
			insns[i].imm = b->funcs[insns[i].imm].start - i - 1;
	}
	btf_fd = make_btf(b, info);
	qsort(info, b->nr_funcs, sizeof(info[0]), by_start);
	if (!b->bare) {
		opts.prog_btf_fd = btf_fd;
		opts.func_info = info;
		opts.func_info_cnt = b->nr_funcs;
		opts.func_info_rec_size = sizeof(info[0]);
	}
	if (b->around_load)
		b->around_load(true);
	fd = bpf_prog_load(type, "built", "GPL", insns, b->cnt, &opts);
	if (b->around_load)
		b->around_load(false);
	close(btf_fd);
	return fd;
}
