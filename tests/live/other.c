// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody else's livepatch. It replaces a function that the project's livepatch replaces as well,
 * so that the fdinfo of BPF programs is different. With "test_runs" it replaces one that a task can
 * be held up in: then XDP programs can't be run for tests. With "replace" it takes the place of all
 * other livepatches.
 */
#include <linux/bpf.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static void show_fdinfo(struct seq_file *m, struct file *filp)
{
	seq_puts(m, "other_livepatch:\t1\n");
}

static int test_run(struct bpf_prog *prog, const union bpf_attr *attr, union bpf_attr __user *uattr)
{
	return -EOPNOTSUPP;
}

static bool test_runs;
module_param(test_runs, bool, 0444);
static bool replace;
module_param(replace, bool, 0444);

static struct klp_func funcs[] = {
	{ .old_name = "bpf_prog_show_fdinfo", .new_func = show_fdinfo },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init other_init(void)
{
	if (test_runs) {
		funcs[0].old_name = "bpf_prog_test_run_xdp";
		funcs[0].new_func = test_run;
	}
	patch.replace = replace;
	return klp_enable_patch(&patch);
}

static void __exit other_exit(void)
{
}

module_init(other_init);
module_exit(other_exit);
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Another livepatch, for tests of BPF exceptions");
MODULE_LICENSE("GPL");
