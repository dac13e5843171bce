// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cure for a defect of QEMU before 8.1. Where one processor translates code while another
 * patches it, what was translated can be the code from before, and stays. With the kernel's way
 * to patch a running call, the code from before is an int3. The kernel finds that there is none
 * any more, returns to it, and so on for ever: the processor is stuck at a call that is in order.
 *
 * Any write to the code makes QEMU translate it anew, and one that changes nothing will do. So
 * each processor is asked now and then where it is, by an NMI, and that place is written to.
 */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/ptrace.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>
#include <asm/apic.h>
#include <asm/irq_vectors.h>
#include "stale.h"

static DEFINE_PER_CPU(unsigned long, sampled_ip);
static DEFINE_PER_CPU(bool, sample_wanted);

/* Return: whether this NMI, or one that it stands for, was sent to get a sample */
bool test_sample_stale(struct pt_regs *regs)
{
	if (!this_cpu_xchg(sample_wanted, false))
		return false;
	this_cpu_write(sampled_ip, user_mode(regs) ? 0 : regs->ip);
	return true;
}

static struct page *text_page(unsigned long ip)
{
	if (ip >= MODULES_VADDR && ip < MODULES_END)
		return vmalloc_to_page((void *)ip);
	if (ip >= __START_KERNEL_map && ip < MODULES_VADDR)
		return pfn_to_page(__pa(ip) >> PAGE_SHIFT);
	return NULL;
}

/* Text is read-only where it runs. It may be gone by now: nothing changes in any case. */
static void rewrite(unsigned long ip)
{
	struct page *page = text_page(ip);
	u8 *at;

	if (!page)
		return;
	at = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	if (!at)
		return;
	asm volatile("lock orb $0, %0" : "+m"(at[offset_in_page(ip)]));
	vunmap(at);
}

/* Rewrites where processors were at the last call of this, and asks where they are */
long test_refresh_stale(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		rewrite(xchg(per_cpu_ptr(&sampled_ip, cpu), 0));
		preempt_disable();
		if (cpu_online(cpu) && !xchg(per_cpu_ptr(&sample_wanted, cpu), true))
			apic->send_IPI(cpu, NMI_VECTOR);
		preempt_enable();
	}
	return 0;
}
