// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lets an allocation fail between the end of the preparations for bpf_exceptions and the end of its
 * init. From the outside (/proc/PID/fail-nth) they would fail in the preparations, too, and the
 * kernel warns where it has no memory for the fields of a trace event.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/sched.h>
#include <linux/string.h>
#include "starve.h"

static uint fail_nth;

module_param(fail_nth, uint, 0644);
MODULE_PARM_DESC(fail_nth, "which allocation of the next load fails; 0 afterwards, if there was one");

static int module_changes(struct notifier_block *nb, unsigned long state, void *data)
{
	struct module *mod = data;

	if (strcmp(mod->name, "bpf_exceptions"))
		return NOTIFY_DONE;
	if (state == MODULE_STATE_COMING) {
		current->fail_nth = fail_nth;
	} else if (fail_nth) { /* it is loaded, or will not be */
		fail_nth = current->fail_nth;
		current->fail_nth = 0;
	}
	return NOTIFY_OK;
}

/* Behind all others, which allocate, too */
static struct notifier_block module_nb = {
	.notifier_call = module_changes,
	.priority = INT_MIN,
};

int test_starve_init(void)
{
	return register_module_notifier(&module_nb);
}

void test_starve_exit(void)
{
	unregister_module_notifier(&module_nb);
}
