// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF exceptions on a kernel without the companion series: the series as a livepatch.
 *
 * The other files of this module are taken from the kernel's source with the series applied, see
 * "table". They are the verifier, the x86 JIT and what these need, as a second instance next to
 * that of vmlinux. A program is verified and JITed by one of the two: old and new code never
 * share a program, whenever the livepatch is enabled or disabled. For that, three functions of
 * vmlinux are replaced.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/bpf_unwind.h>
#include <linux/bpf_verifier.h>
#include <linux/buildid.h>
#include <linux/completion.h>
#include <linux/filter.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <asm/nops.h>
#include "target.h"

/* What else the series exports */
#include "exports.h"

/* These are vmlinux's, which declares them in kernel/livepatch/core.h */
extern struct mutex klp_mutex;
extern struct list_head klp_patches;

/* See borrow.h */
extern struct btf *btf_vmlinux;
extern struct mutex bpf_verifier_lock;
struct btf **borrowed_btf_vmlinux __ro_after_init = &btf_vmlinux;
struct mutex *borrowed_bpf_verifier_lock __ro_after_init = &bpf_verifier_lock;
const unsigned char * const *borrowed_x86_nops __ro_after_init = x86_nops;

#ifdef LIVE_FDINFO
void bpf_prog_show_fdinfo(struct seq_file *m, struct file *filp);
#endif

/*
 * Replaces bpf_check(). Programs that call kfuncs are JITed here, by the JIT that knows
 * exceptions: vmlinux's bpf_prog_select_runtime(), which comes next, leaves programs alone that
 * are already JITed.
 */
static int check_and_jit(struct bpf_prog **prog, union bpf_attr *attr, bpfptr_t uattr)
{
	int err;

	err = bpf_check(prog, attr, uattr);
	if (err)
		return err;
	/* jit_subprogs() has freed the table of kfuncs, but the unwind table must be completed */
	if ((*prog)->aux->kfunc_tab || bpf_prog_unwind((*prog)->aux))
		*prog = bpf_prog_select_runtime(*prog, &err);
	return err;
}

static struct klp_func funcs[] = {
	{ .old_name = "bpf_check", .new_func = check_and_jit },
	{ .old_name = "bpf_check_attach_target", .new_func = bpf_check_attach_target },
#ifdef LIVE_FDINFO
	{ .old_name = "bpf_prog_show_fdinfo", .new_func = bpf_prog_show_fdinfo },
#endif
	{ }
};

static DECLARE_COMPLETION(decided);

/* The livepatch is enabled for all tasks, or, again, for none: a transition can be reversed */
static void complete_decided(struct klp_object *obj)
{
	complete(&decided);
}

static struct klp_object objs[] = {
	{ .funcs = funcs, .callbacks = { .post_patch = complete_decided, .post_unpatch = complete_decided } },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static bool has_func(struct klp_object *obj, const char *name)
{
	struct klp_func *func;

	klp_for_each_func(obj, func)
		if (!strcmp(func->old_name, name))
			return true;
	return false;
}

/* Another livepatch has changed the same functions for a reason, which this one would undo. */
static int check_others(void)
{
	struct klp_patch *other;
	struct klp_object *obj;
	struct klp_func *func;
	int err = 0;

	mutex_lock(&klp_mutex);
	list_for_each_entry(other, &klp_patches, list) {
		klp_for_each_object(other, obj) {
			if (obj->name)
				continue;
			for (func = funcs; func->old_name; func++) {
				if (!has_func(obj, func->old_name))
					continue;
				pr_err("livepatch %s replaces %s(), too: disable and remove it first\n",
				       other->mod->name, func->old_name);
				err = -EBUSY;
			}
		}
	}
	mutex_unlock(&klp_mutex);
	return err;
}

static int check_kernel(void)
{
	static const u8 target_id[] = { TARGET_BUILD_ID };
	const u8 *build_id = target_id;

	/* not to be compared with constants in the code: a test changes it in the file */
	OPTIMIZER_HIDE_VAR(build_id);
	if (!borrowed_bpf_verifier_lock) {
		pr_err("the module has lost its livepatch relocations, by strip it seems: build it again\n");
		return -ENOEXEC;
	}
	if (memcmp(vmlinux_build_id, build_id, sizeof(target_id))) {
		pr_err("made for kernel " TARGET_VERSION ", build ID %*phN, and this one's is %*phN: make it for this kernel\n",
		       (int)sizeof(target_id), build_id, (int)sizeof(target_id), vmlinux_build_id);
		return -ENOEXEC;
	}
	return check_others();
}

/*
 * Enabling is finished when no task is in one of the functions. Until then, a task that loads a
 * program may still get vmlinux's verifier, which refuses programs with exceptions.
 *
 * Nothing here is __init, or made so by module_init(): kallsyms keeps all symbols of a livepatch,
 * and would still show those after another module has been loaded in their place.
 */
int init_module(void)
{
	int err;

	err = check_kernel();
	if (err)
		return err;
	err = klp_enable_patch(&patch);
	if (err == -EBUSY) {
		pr_err("another livepatch is being enabled or disabled: load this one when /sys/kernel/livepatch/*/transition is 0\n");
		return err;
	}
	if (err) {
		pr_err("the kernel didn't enable the livepatch (%d), for the reason above\n", err);
		return err;
	}
	if (!wait_for_completion_timeout(&decided, 60 * HZ))
		pr_warn("not enabled for all tasks after 60 s: see /proc/*/patch_state; those whose state is 0 can't load programs with exceptions yet\n");
	else if (!patch.enabled)
		pr_warn("disabled before it was enabled for all tasks: no program with exceptions can be loaded\n");
	return 0;
}

/* Runs only after the livepatch was disabled and the kernel has let go of the module */
void cleanup_module(void)
{
}

MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("BPF exceptions: the companion series as a livepatch");
MODULE_LICENSE("GPL");
