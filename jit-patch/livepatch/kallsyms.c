// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the names of all symbols from a vmlinux without a symbol table, such as that in a bzImage.
 *
 * scripts/kallsyms.c of the kernel writes them into .rodata, as these arrays in this order, each
 * aligned to 8: addresses, their base, number of symbols (4 bytes), names, markers (4 bytes, the
 * place of each 256th name), in later versions the order of the names, token_table (256 strings),
 * token_index (2 bytes, the place of each string). A name is a length (one byte, or two with the
 * high bit of the first set) and as many tokens.
 *
 * The index is found by what it must look like, and the others before it. The strings must agree
 * with the index, and the names with the markers.
 */
#include <err.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <linux/types.h>
#include "common.h"
#include "kallsyms.h"

#define TOKENS 256
#define MARKER_STEP 256
#define ALIGN 8
#define LONGEST_TOKEN 512
#define FEWEST_SYMS 1000

struct tables {
	const __u8 *start, *end;	/* where to look for them */
	const __u8 *names, *names_end;
	const char *token_table;
	const __u16 *token_index;
	__u32 num_syms;
};

/* Do strings follow one another here, the last ending right before @index, except for alignment? */
static const char *table_before(const __u8 *start, const __u16 *index)
{
	const char *end = (const char *)index, *table;
	size_t last = index[TOKENS - 1], len;
	int i;

	for (len = last + 1; len <= last + LONGEST_TOKEN; len++) {
		table = end - (len + ALIGN - 1) / ALIGN * ALIGN;
		if ((const __u8 *)table <= start || last + strlen(table + last) + 1 != len)
			continue;
		for (i = 1; i < TOKENS && !table[index[i] - 1] &&
		     index[i - 1] + strlen(table + index[i - 1]) + 1 == index[i]; i++)
			;
		if (i == TOKENS)
			return table;
	}
	return NULL;
}

static bool looks_like_index(const __u16 *index)
{
	int i;

	if (index[0])
		return false;
	for (i = 1; i < TOKENS; i++)
		if (index[i] <= index[i - 1] || index[i] > index[i - 1] + LONGEST_TOKEN)
			return false;
	return true;
}

/* The place of the name after the one at @name, or NULL */
static const __u8 *next_name(const struct tables *t, const __u8 *name)
{
	size_t len = *name++;

	if (len & 0x80)
		len = (len & 0x7f) | *name++ << 7;
	return len && len <= (size_t)(t->names_end - name) ? name + len : NULL;
}

/* The names from @names on, if the markers follow them and point into them */
static bool names_fit(struct tables *t, const __u8 *names)
{
	const __u8 *name = names;
	const __u32 *marker;
	__u32 i;

	for (i = 0; name && i < t->num_syms; i++)
		name = next_name(t, name);
	if (!name)
		return false;
	marker = (const __u32 *)(t->start + (name - t->start + ALIGN - 1) / ALIGN * ALIGN);
	if (marker + t->num_syms / MARKER_STEP + 1 > (const __u32 *)t->names_end)
		return false;
	for (i = 0, name = names; i < t->num_syms; i++, name = next_name(t, name))
		if (i % MARKER_STEP == 0 && *marker++ != name - names)
			return false;
	t->names = names;
	return true;
}

static bool find_names(struct tables *t)
{
	const __u8 *at;

	t->names_end = (const __u8 *)t->token_table;
	for (at = t->start; at + ALIGN < t->names_end; at += ALIGN) {
		memcpy(&t->num_syms, at, sizeof(t->num_syms));
		if (t->num_syms >= FEWEST_SYMS && t->num_syms < t->names_end - at &&
		    names_fit(t, at + ALIGN))
			return true;
	}
	return false;
}

static bool find_tables(struct tables *t)
{
	const __u8 *at;

	for (at = t->start; at + TOKENS * 2 <= t->end; at += ALIGN) {
		t->token_index = (const __u16 *)at;
		if (!looks_like_index(t->token_index))
			continue;
		t->token_table = table_before(t->start, t->token_index);
		if (t->token_table && find_names(t))
			return true;
	}
	return false;
}

/* The first character of the expanded name is its type */
static char *expand(const struct tables *t, const __u8 *name)
{
	const __u8 *end = next_name(t, name);
	char *full = NULL;
	const char *token;
	size_t len = 0;

	for (name += 1 + (*name >> 7); name < end; name++) {
		token = t->token_table + t->token_index[*name];
		full = must(realloc(full, len + strlen(token) + 1));
		strcpy(full + len, token);
		len += strlen(token);
	}
	return full;
}

static Elf_Data *section(Elf *elf, const char *wanted)
{
	Elf_Scn *scn = NULL;
	size_t names;
	GElf_Shdr shdr;
	const char *name;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &shdr))
			continue;
		name = elf_strptr(elf, names, shdr.sh_name);
		if (name && !strcmp(name, wanted))
			return elf_rawdata(scn, NULL);
	}
	return NULL;
}

/**
 * kallsyms_read() - read a kernel's symbols, or exit with a message
 * @syms: is filled in, by address
 * @vmlinux: the kernel, an ELF file
 */
void kallsyms_read(struct kallsyms *syms, const char *vmlinux)
{
	struct tables t = {};
	const __u8 *name;
	Elf_Data *data;
	int fd;
	Elf *elf;
	size_t i;
	char *full;

	elf_version(EV_CURRENT);
	fd = open(vmlinux, O_RDONLY);
	if (fd < 0)
		err(1, "%s", vmlinux);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	data = elf ? section(elf, ".rodata") : NULL;
	if (!data)
		errx(1, "%s isn't a kernel's ELF file with a .rodata", vmlinux);
	t.start = data->d_buf;
	t.end = t.start + data->d_size;
	if (!find_tables(&t))
		errx(1, "%s has no kallsyms of the kind that Linux 6.1 has, with CONFIG_KALLSYMS", vmlinux);

	syms->cnt = t.num_syms;
	syms->name = must(calloc(syms->cnt, sizeof(*syms->name)));
	syms->type = must(calloc(syms->cnt, 1));
	for (i = 0, name = t.names; i < syms->cnt; i++, name = next_name(&t, name)) {
		full = expand(&t, name);
		syms->type[i] = full[0];
		syms->name[i] = full + 1;
	}
	elf_end(elf);
	close(fd);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/**
 * kallsyms_sort() - sort names, for kallsyms_count()
 * @syms: loses its types, which have another order
 */
void kallsyms_sort(struct kallsyms *syms)
{
	free(syms->type);
	syms->type = NULL;
	qsort(syms->name, syms->cnt, sizeof(*syms->name), compare);
}

/**
 * kallsyms_count() - count the symbols of a name
 * @syms: sorted
 * @name: the name
 *
 * Return: their number
 */
size_t kallsyms_count(const struct kallsyms *syms, const char *name)
{
	size_t low = 0, high = syms->cnt, mid, cnt = 0;

	while (low < high) {
		mid = (low + high) / 2;
		if (strcmp(syms->name[mid], name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + cnt < syms->cnt && !strcmp(syms->name[low + cnt], name))
		cnt++;
	return cnt;
}
