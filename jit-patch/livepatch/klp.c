// SPDX-License-Identifier: GPL-2.0-only
/*
 * klp - let a livepatch refer to symbols that its kernel doesn't export
 *
 * usage: klp stubs VMLINUX SYMVERS OBJECT...
 *        klp relocate VMLINUX SYMVERS MODULE
 *        klp names VMLINUX
 *
 * The objects of the livepatch refer to functions and variables that vmlinux has but doesn't
 * export (SYMVERS, a Module.symvers, says what it exports). The kernel resolves these when it
 * loads the module, if their symbols and relocations have the form that the kernel's
 * Documentation/livepatch/module-elf-format.rst describes. "relocate" brings them into that form,
 * in the module that kbuild has made.
 *
 * The kernel searches all its symbols for each relocation. So "stubs" prints an assembly file
 * with a jump to each function that is called more than once: only that jump has to be relocated.
 *
 * "names" prints the types and names of all symbols, in the order of /proc/kallsyms.
 *
 * Each symbol must be in VMLINUX exactly once, as the kernel takes the first one of a name.
 */
#include <err.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common.h"
#include "kallsyms.h"

#ifndef SHN_LIVEPATCH
#define SHN_LIVEPATCH 0xff20
#define SHF_RELA_LIVEPATCH 0x00100000
#endif

/* A stub has the function's name, and its target that name with this in front */
#define PREFIX "vmlinux."

static struct kallsyms vmlinux;

/* --- names --- */

struct names {
	char **name;
	size_t cnt;
};

static void add_name(struct names *names, const char *name)
{
	if (!(names->cnt & (names->cnt - 1)))
		names->name = must(realloc(names->name, (names->cnt ? names->cnt * 2 : 1) * sizeof(*names->name)));
	names->name[names->cnt++] = must(strdup(name));
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_name(const struct names *names, const char *name)
{
	return bsearch(&name, names->name, names->cnt, sizeof(*names->name), compare);
}

static void read_exported(struct names *names, const char *path)
{
	char *line = NULL, *name;
	size_t size = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		err(1, "%s", path);
	while (getline(&line, &size, f) > 0) {
		strtok(line, "\t");
		name = strtok(NULL, "\t");
		if (name)
			add_name(names, name);
	}
	free(line);
	fclose(f);
	qsort(names->name, names->cnt, sizeof(*names->name), compare);
}

/* Complains about a symbol that the kernel wouldn't find, or would find the wrong one of */
static bool resolvable(const char *name)
{
	size_t cnt = kallsyms_count(&vmlinux, name);

	if (cnt == 1)
		return true;
	if (cnt)
		warnx("this kernel has %zu symbols %s, and which one is meant can't be told: have the livepatch take it from the source, or leave it out (jit-patch/livepatch/table)",
		      cnt, name);
	else
		warnx("this kernel has no symbol %s: have the livepatch take it from the source (jit-patch/livepatch/table)",
		      name);
	return false;
}

/* --- ELF files --- */

struct object {
	const char *path;
	int fd;
	Elf *elf;
	size_t shstrndx;
	Elf_Scn *symtab;
	Elf_Data *syms;
	size_t sym_cnt;
	size_t strndx;
};

static void elf_failed(const struct object *obj)
{
	errx(1, "%s: %s", obj->path, elf_errmsg(-1));
}

static void open_object(struct object *obj, const char *path, bool to_change)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	elf_version(EV_CURRENT);
	obj->path = path;
	obj->fd = open(path, to_change ? O_RDWR : O_RDONLY);
	if (obj->fd < 0)
		err(1, "%s", path);
	obj->elf = elf_begin(obj->fd, to_change ? ELF_C_RDWR : ELF_C_READ, NULL);
	if (!obj->elf || elf_getshdrstrndx(obj->elf, &obj->shstrndx))
		elf_failed(obj);
	obj->symtab = NULL;
	while ((scn = elf_nextscn(obj->elf, scn))) {
		if (!gelf_getshdr(scn, &shdr))
			elf_failed(obj);
		if (shdr.sh_type != SHT_SYMTAB)
			continue;
		obj->symtab = scn;
		obj->strndx = shdr.sh_link;
		obj->sym_cnt = shdr.sh_size / shdr.sh_entsize;
		obj->syms = elf_getdata(scn, NULL);
	}
	if (!obj->symtab || !obj->syms)
		errx(1, "%s has no symbol table", path);
}

static void close_object(struct object *obj)
{
	elf_end(obj->elf);
	close(obj->fd);
}

static const char *get_sym(const struct object *obj, size_t i, GElf_Sym *sym)
{
	const char *name;

	if (!gelf_getsym(obj->syms, i, sym))
		elf_failed(obj);
	name = elf_strptr(obj->elf, obj->strndx, sym->st_name);
	return name ? name : "";
}

/* The next section of relocations behind @scn, NULL for the first; its place in the object's */
static Elf_Scn *next_rela(const struct object *obj, Elf_Scn *scn, GElf_Shdr *shdr)
{
	while ((scn = elf_nextscn(obj->elf, scn))) {
		if (!gelf_getshdr(scn, shdr))
			elf_failed(obj);
		if (shdr->sh_type == SHT_RELA && shdr->sh_size)
			return scn;
	}
	return NULL;
}

/* --- stubs --- */

struct use {
	char *name;
	size_t calls;
	size_t others;
};

struct uses {
	struct use *use;
	size_t cnt;
};

static struct use *find_use(struct uses *uses, const char *name)
{
	size_t i;

	for (i = 0; i < uses->cnt; i++)
		if (!strcmp(uses->use[i].name, name))
			return &uses->use[i];
	uses->use = must(realloc(uses->use, (uses->cnt + 1) * sizeof(*uses->use)));
	uses->use[i] = (struct use){ .name = must(strdup(name)) };
	uses->cnt++;
	return &uses->use[i];
}

/* Puts what an object refers to but lacks into @uses, and what it has into @defined. */
static void find_uses(const char *path, struct uses *uses, struct names *defined)
{
	struct object obj;
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;
	GElf_Sym sym;
	GElf_Rela rela;
	Elf_Data *data;
	struct use *use;
	const char *name;
	size_t i;

	open_object(&obj, path, false);
	for (i = 1; i < obj.sym_cnt; i++) {
		name = get_sym(&obj, i, &sym);
		if (sym.st_shndx != SHN_UNDEF && GELF_ST_BIND(sym.st_info) != STB_LOCAL)
			add_name(defined, name);
	}
	while ((scn = next_rela(&obj, scn, &shdr))) {
		data = elf_getdata(scn, NULL);
		for (i = 0; i < shdr.sh_size / shdr.sh_entsize; i++) {
			if (!gelf_getrela(data, i, &rela))
				elf_failed(&obj);
			name = get_sym(&obj, GELF_R_SYM(rela.r_info), &sym);
			if (sym.st_shndx != SHN_UNDEF || !*name)
				continue;
			use = find_use(uses, name);
			if (GELF_R_TYPE(rela.r_info) == R_X86_64_PLT32)
				use->calls++;
			else
				use->others++;
		}
	}
	close_object(&obj);
}

static void print_stubs(const struct names *exported, int cnt, char **path)
{
	struct uses uses = {};
	struct names defined = {};
	const struct use *use;
	int i;

	for (i = 0; i < cnt; i++)
		find_uses(path[i], &uses, &defined);
	qsort(defined.name, defined.cnt, sizeof(*defined.name), compare);

	printf("/* SPDX-License-Identifier: GPL-2.0-only */\n"
	       "/* Made by klp: functions of vmlinux that are called more than once */\n"
	       "#include <linux/linkage.h>\n\n\t.text\n");
	for (use = uses.use; use < uses.use + uses.cnt; use++)
		/* the address of a function has to be the function's own */
		if (use->calls > 1 && !use->others && !has_name(exported, use->name) &&
		    !has_name(&defined, use->name))
			printf("SYM_FUNC_START(%s)\n\tjmp " PREFIX "%s\nSYM_FUNC_END(%s)\n",
			       use->name, use->name, use->name);
}

/* --- relocate --- */

/* Strings to add to a string table */
struct strings {
	char *text;
	size_t size;
};

static size_t add_string(struct strings *strings, const char *prefix, const char *name, const char *suffix)
{
	size_t at = strings->size, len = strlen(prefix) + strlen(name) + strlen(suffix) + 1;

	strings->text = must(realloc(strings->text, at + len));
	sprintf(strings->text + at, "%s%s%s", prefix, name, suffix);
	strings->size += len;
	return at;
}

/* The places of the strings count from the current size of the table. */
static size_t table_size(const struct object *obj, size_t ndx)
{
	GElf_Shdr shdr;

	if (!gelf_getshdr(elf_getscn(obj->elf, ndx), &shdr))
		elf_failed(obj);
	return shdr.sh_size;
}

static void append(const struct object *obj, size_t ndx, const struct strings *strings)
{
	Elf_Data *data = elf_newdata(elf_getscn(obj->elf, ndx));

	if (!data)
		elf_failed(obj);
	data->d_buf = strings->text;
	data->d_size = strings->size;
	data->d_align = 1;
	data->d_type = ELF_T_BYTE;
}

/* The symbols that vmlinux doesn't export become livepatch symbols. */
static size_t mark_symbols(struct object *obj, const struct names *exported)
{
	size_t i, cnt = 0, base = table_size(obj, obj->strndx);
	struct strings strings = {};
	bool all = true;
	const char *name;
	GElf_Sym sym;

	for (i = 1; i < obj->sym_cnt; i++) {
		name = get_sym(obj, i, &sym);
		if (sym.st_shndx != SHN_UNDEF || !*name || has_name(exported, name))
			continue;
		if (!strncmp(name, PREFIX, strlen(PREFIX)))
			name += strlen(PREFIX);
		if (!resolvable(name)) {
			all = false;
			continue;
		}
		sym.st_name = base + add_string(&strings, ".klp.sym.vmlinux.", name, ",1");
		sym.st_shndx = SHN_LIVEPATCH;
		sym.st_info = GELF_ST_INFO(STB_GLOBAL, GELF_ST_TYPE(sym.st_info));
		if (!gelf_update_sym(obj->syms, i, &sym))
			elf_failed(obj);
		cnt++;
	}
	if (!all)
		exit(1);
	if (cnt)
		append(obj, obj->strndx, &strings);
	elf_flagdata(obj->syms, ELF_C_SET, ELF_F_DIRTY);
	return cnt;
}

static bool is_livepatch_rela(const struct object *obj, const GElf_Rela *rela)
{
	GElf_Sym sym;

	if (!gelf_getsym(obj->syms, GELF_R_SYM(rela->r_info), &sym))
		elf_failed(obj);
	return sym.st_shndx == SHN_LIVEPATCH;
}

/* Moves the relocations of livepatch symbols to the end. Returns the number of the others. */
static size_t sort_relas(const struct object *obj, Elf_Data *data, size_t cnt)
{
	size_t i, others = 0;
	GElf_Rela rela, first;

	for (i = 0; i < cnt; i++) {
		if (!gelf_getrela(data, i, &rela))
			elf_failed(obj);
		if (is_livepatch_rela(obj, &rela))
			continue;
		if (!gelf_getrela(data, others, &first) || !gelf_update_rela(data, others, &rela) ||
		    !gelf_update_rela(data, i, &first))
			elf_failed(obj);
		others++;
	}
	return others;
}

/* Relocations of livepatch symbols get sections of their own. */
static size_t split_relas(struct object *obj)
{
	size_t i, cnt, others, moved = 0, scn_cnt, base = table_size(obj, obj->shstrndx);
	struct strings strings = {};
	GElf_Shdr shdr, target;
	Elf_Data *data, *klp;
	Elf_Scn *scn, *new;
	char *copy;

	if (elf_getshdrnum(obj->elf, &scn_cnt))
		elf_failed(obj);
	for (i = 1; i < scn_cnt; i++) {
		scn = elf_getscn(obj->elf, i);
		if (!gelf_getshdr(scn, &shdr))
			elf_failed(obj);
		if (shdr.sh_type != SHT_RELA || !shdr.sh_size)
			continue;
		data = elf_getdata(scn, NULL);
		cnt = shdr.sh_size / shdr.sh_entsize;
		others = sort_relas(obj, data, cnt);
		if (others == cnt)
			continue;
		moved += cnt - others;

		if (!gelf_getshdr(elf_getscn(obj->elf, shdr.sh_info), &target))
			elf_failed(obj);
		new = elf_newscn(obj->elf);
		klp = new ? elf_newdata(new) : NULL;
		if (!klp)
			elf_failed(obj);
		klp->d_size = (cnt - others) * shdr.sh_entsize;
		copy = must(malloc(klp->d_size));
		memcpy(copy, (char *)data->d_buf + others * shdr.sh_entsize, klp->d_size);
		klp->d_buf = copy;
		klp->d_align = 8;
		klp->d_type = ELF_T_RELA;

		data->d_size = others * shdr.sh_entsize;
		elf_flagdata(data, ELF_C_SET, ELF_F_DIRTY);

		shdr.sh_name = base + add_string(&strings, ".klp.rela.vmlinux.",
						 elf_strptr(obj->elf, obj->shstrndx, target.sh_name), "");
		shdr.sh_flags = SHF_RELA_LIVEPATCH | SHF_ALLOC | SHF_INFO_LINK;
		shdr.sh_size = klp->d_size;
		if (!gelf_update_shdr(new, &shdr))
			elf_failed(obj);
	}
	if (moved)
		append(obj, obj->shstrndx, &strings);
	return moved;
}

static void relocate(const struct names *exported, const char *path)
{
	struct object obj;
	size_t syms, relas;

	open_object(&obj, path, true);
	syms = mark_symbols(&obj, exported);
	relas = split_relas(&obj);
	elf_flagelf(obj.elf, ELF_C_SET, ELF_F_DIRTY);
	if (elf_update(obj.elf, ELF_C_WRITE) < 0)
		elf_failed(&obj);
	close_object(&obj);
	printf("%zu symbols of vmlinux, %zu relocations\n", syms, relas);
}

static void print_names(void)
{
	size_t i;

	for (i = 0; i < vmlinux.cnt; i++)
		printf("%c %s\n", vmlinux.type[i], vmlinux.name[i]);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct names exported = {};

	if (!strcmp(what, "names") && argc == 3) {
		kallsyms_read(&vmlinux, argv[2]);
		print_names();
	} else if (!strcmp(what, "stubs") && argc > 4) {
		read_exported(&exported, argv[3]);
		print_stubs(&exported, argc - 4, argv + 4);
	} else if (!strcmp(what, "relocate") && argc == 5) {
		read_exported(&exported, argv[3]);
		kallsyms_read(&vmlinux, argv[2]);
		kallsyms_sort(&vmlinux);
		relocate(&exported, argv[4]);
	} else {
		errx(1, "usage: klp stubs VMLINUX SYMVERS OBJECT..., klp relocate VMLINUX SYMVERS MODULE, klp names VMLINUX");
	}
	return 0;
}
