/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KALLSYMS_H
#define KALLSYMS_H

#include <stddef.h>

/**
 * struct kallsyms - the names that a kernel knows its symbols by
 * @cnt: number of symbols
 * @name: their names, by address as the kernel has them, then sorted; see kallsyms_sort()
 * @type: type of each, as /proc/kallsyms shows it; only by address
 */
struct kallsyms {
	size_t cnt;
	char **name;
	char *type;
};

void kallsyms_read(struct kallsyms *syms, const char *vmlinux);
void kallsyms_sort(struct kallsyms *syms);
size_t kallsyms_count(const struct kallsyms *syms, const char *name);

#endif
