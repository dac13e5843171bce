// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody else's livepatch, of a function that the project's replaces as well: the fdinfo of BPF
 * programs has one line more.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static void show_fdinfo(struct seq_file *m, struct file *filp)
{
	seq_puts(m, "other_livepatch:\t1\n");
}

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
