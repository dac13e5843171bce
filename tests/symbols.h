/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel's symbols say */
#ifndef _SYMBOLS_H
#define _SYMBOLS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Call @see with each symbol until it returns true */
static inline void each_symbol(bool (*see)(const char *name, unsigned long addr, void *data), void *data)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512], name[256];
	unsigned long addr;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx %*c %255s", &addr, name) == 2 && see(name, addr, data))
			break;
	if (f)
		fclose(f);
}

struct symbol_search {
	const char *name;
	unsigned long addr;
};

static inline bool is_symbol(const char *name, unsigned long addr, void *data)
{
	struct symbol_search *search = data;

	if (strcmp(name, search->name))
		return false;
	search->addr = addr;
	return true;
}

/* Return: the address of the first symbol of that name, or 0 */
static inline unsigned long kernel_symbol(const char *name)
{
	struct symbol_search search = { .name = name };

	each_symbol(is_symbol, &search);
	return search.addr;
}

static inline bool is_trampoline(const char *name, unsigned long addr, void *data)
{
	(void)addr;
	*(int *)data += !strncmp(name, "bpf_trampoline_", 15);
	return false;
}

/* Return: how many images of BPF trampolines there are */
static inline int count_trampolines(void)
{
	int cnt = 0;

	each_symbol(is_trampoline, &cnt);
	return cnt;
}

/*
 * Whether the kernel checks the types of functions that it calls by pointers (CONFIG_CFI_CLANG).
 * The JIT of 6.1 gives programs none, so that such a kernel panics when a helper calls a callback,
 * or when it calls an operation of struct_ops.
 */
static inline bool kcfi(void)
{
	static int has = -1;

	if (has < 0)
		has = !!kernel_symbol("__cfi_bpf_loop");
	return has;
}

#endif /* _SYMBOLS_H */
