// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cure for a defect of QEMU before 8.1. Where one processor translates code while another
 * patches it, what was translated can be the code from before, and stays. With the kernel's way
 * to patch code that runs, the code from before the last step is an int3. The kernel finds that
 * there is none any more, returns to it, and so on for ever: the processor is stuck at an
 * instruction that is in order.
 *
 * Any write to the code makes QEMU translate it anew, and one that changes nothing will do. It
 * comes when text_poke_bp_batch() returns: by then it has interrupted all processors after its last
 * step, so that none is still translating what was there before.
 *
 * Then all are interrupted again. One may have run such an int3 just before, and look for it when
 * the next batch has put one there, which it takes for an unknown one.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include "stale.h"

/* More than the kernel patches at once: a page of struct text_poke_loc, in three steps */
#define MAX_POKES 1024

/* All under text_mutex */
static u8 *poked[MAX_POKES];
static int poked_cnt;

/* Text is mapped read-only, and the mapping that __text_poke() writes to is its own */
static void rewrite(u8 *at)
{
	unsigned long flags, cr0 = read_cr0();

	local_irq_save(flags);
	asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~X86_CR0_WP) : "memory");
	asm volatile("lock orb $0, %0" : "+m"(*at));
	asm volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
	local_irq_restore(flags);
}

static int before_batch(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	poked_cnt = 0;
	return 0;
}

static int after_batch(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	while (poked_cnt)
		rewrite(poked[--poked_cnt]);
	if (!irqs_disabled())
		kick_all_cpus_sync();
	return 0;
}

/* __text_poke(func, addr, src, len) */
static int before_poke(struct kprobe *p, struct pt_regs *regs)
{
	if (poked_cnt < MAX_POKES)
		poked[poked_cnt++] = (u8 *)regs->si;
	return 0;
}

static struct kprobe poke_probe = {
	.symbol_name = "__text_poke",
	.pre_handler = before_poke,
};

static struct kretprobe batch_probe = {
	.kp.symbol_name = "text_poke_bp_batch",
	.entry_handler = before_batch,
	.handler = after_batch,
};

int test_stale_init(void)
{
	int err = register_kprobe(&poke_probe);

	if (err)
		return err;
	err = register_kretprobe(&batch_probe);
	if (err)
		unregister_kprobe(&poke_probe);
	return err;
}

void test_stale_exit(void)
{
	unregister_kretprobe(&batch_probe);
	unregister_kprobe(&poke_probe);
}
