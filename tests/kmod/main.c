// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs BPF programs as a strict caller: with known values in all registers that a function must
 * preserve, in a context of the test's choice, and with another program that interrupts it where
 * it calls bpf_test_nest(). For tests only.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/cpu.h>
#include <linux/filter.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/apic.h>
#include <asm/nmi.h>
#include "test.h"
#include "stale.h"
#include "starve.h"

/* call.S knows the layout */
struct canary_call {
	void *func;
	void *ctx;
	u64 ret;
	u64 bad;
	u64 rsp;
};

void call_with_canaries(struct canary_call *call);

/* One at a time, under run_lock; tells interrupts what to run */
struct job {
	struct canary_call call;
	struct completion done;
	bool in_nmi;
	int cpu; /* in NMI: whose */
};

static DEFINE_MUTEX(run_lock);
static struct job outer, nested;
static u32 depth; /* see struct test_run */
static u32 nested_context;
static struct bpf_prog *held, *to_drop;
static u64 fake_ctx[32];

/* Programs between frames on this CPU, including those of preempted tasks */
static DEFINE_PER_CPU(int, running);

/* Under RCU, as the kernel runs them: helpers check that */
static void call_prog(struct job *job)
{
	job->call.ctx = fake_ctx;
	this_cpu_inc(running);
	rcu_read_lock();
	call_with_canaries(&job->call);
	rcu_read_unlock();
	this_cpu_dec(running);
}

/* Not in NMI: complete() takes a lock */
static void run_job(struct job *job)
{
	call_prog(job);
	complete(&job->done);
}

static struct job *pending_job;

static void run_pending(struct tasklet_struct *unused)
{
	run_job(pending_job);
}

static DECLARE_TASKLET(pending_tasklet, run_pending);

static void run_in_irq(struct irq_work *work)
{
	run_job(pending_job);
}

static DEFINE_IRQ_WORK(pending_irq_work, run_in_irq);

/* For the NMI alone, which may come while another job is pending in softirq or hardirq */
static struct job *nmi_job;

/* A program to run in volleys, see struct test_volley */
struct volley {
	struct job job;
	struct test_volley *args;
	int cpu;
	bool missed; /* in NMI: it came at a bad time */
	struct irq_work irq_work;
	struct tasklet_struct tasklet;
};

/* One NMI may serve all that asked for one, and then others come for nothing */
static DEFINE_MUTEX(nmi_volley_lock);
static struct volley *nmi_volley;
static DEFINE_PER_CPU(int, spare_nmis);

static void shoot(struct volley *v)
{
	v->job.call.bad = 0;
	v->args->over += !!this_cpu_read(running);
	call_prog(&v->job);
	v->args->thrown += (u32)v->job.call.ret == v->args->thrown_ret;
	v->args->bad |= v->job.call.bad;
}

/* The volley for this CPU, if there is one */
static struct volley *take_nmi_volley(void)
{
	struct volley *v = READ_ONCE(nmi_volley);

	if (!v || v->cpu != smp_processor_id())
		return NULL;
	WRITE_ONCE(nmi_volley, NULL);
	return v;
}

static struct job *take_nmi_job(void)
{
	struct job *job = READ_ONCE(nmi_job);

	return job && job->cpu == smp_processor_id() ? xchg(&nmi_job, NULL) : NULL;
}

/*
 * In __switch_to() the stack is the next task's already, and current the last one yet. A stack
 * trace through there, whoever takes it, makes the frame pointer unwinder warn.
 */
static bool between_tasks(struct pt_regs *regs)
{
	unsigned long stack = (unsigned long)task_stack_page(current);
	bool in_irq = hardirq_count() > HARDIRQ_OFFSET /* nmi_enter()'s */ || in_serving_softirq();

	return !user_mode(regs) && regs->sp - stack >= THREAD_SIZE && !in_irq;
}

static int handle_nmi(unsigned int cmd, struct pt_regs *regs)
{
	struct volley *v = take_nmi_volley();
	struct job *job = take_nmi_job();
	int asked = !!v + !!job;

	if (v) {
		v->missed = between_tasks(regs);
		if (!v->missed)
			shoot(v);
		smp_store_release(&v->job.in_nmi, false); /* after its counts */
	}
	if (job) {
		call_prog(job);
		smp_store_release(&job->in_nmi, false); /* after its result */
	}
	if (!asked && !this_cpu_read(spare_nmis))
		return NMI_DONE;
	this_cpu_add(spare_nmis, asked - 1);
	return NMI_HANDLED;
}

static void run_in_nmi(struct job *job)
{
	job->cpu = smp_processor_id();
	WRITE_ONCE(job->in_nmi, true);
	smp_store_release(&nmi_job, job); /* complete, for handle_nmi() */
	apic->send_IPI(job->cpu, NMI_VECTOR);
	while (smp_load_acquire(&job->in_nmi)) /* of handle_nmi() */
		cpu_relax();
}

static void run_in_context(struct job *job, u32 context)
{
	job->call.bad = 0;
	reinit_completion(&job->done);
	switch (context) {
	case IN_SOFTIRQ:
		pending_job = job;
		tasklet_schedule(&pending_tasklet);
		wait_for_completion(&job->done);
		break;
	case IN_HARDIRQ:
		pending_job = job;
		irq_work_queue(&pending_irq_work);
		wait_for_completion(&job->done);
		break;
	case IN_NMI:
		preempt_disable();
		run_in_nmi(job);
		preempt_enable();
		break;
	default:
		migrate_disable();
		run_job(job);
		migrate_enable();
	}
}

void bpf_test_nest(void);

/**
 * bpf_test_nest() - let the nested program interrupt this one, here
 *
 * In process context it is called like a function; in NMI it comes by an interrupt. And a
 * program that nobody has a reference to but RCU goes on, without an id.
 */
noinline void bpf_test_nest(void)
{
	struct bpf_prog *prog = xchg(&to_drop, NULL);

	depth = outer.call.rsp - (unsigned long)__builtin_frame_address(0);
	if (prog)
		bpf_prog_put(prog);
	if (!nested.call.func)
		return;
	nested.call.bad = 0;
	if (nested_context == IN_NMI)
		run_in_nmi(&nested);
	else
		call_prog(&nested); /* maybe in an NMI, where nothing could be completed */
}

static long run_held(struct test_run *run)
{
	if (!held || run->context != IN_PROCESS || run->nested_fd)
		return -EINVAL;
	outer.call.func = held->bpf_func;
	nested.call.func = NULL;
	to_drop = xchg(&held, NULL);
	run_in_context(&outer, IN_PROCESS);
	run->ret = outer.call.ret;
	run->bad = outer.call.bad;
	return to_drop ? -ENODATA : 0; /* it never came to bpf_test_nest() */
}

/* An xdp program, or one of tc */
static struct bpf_prog *get_prog(u32 fd)
{
	struct bpf_prog *prog = bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_XDP, false);

	return PTR_ERR_OR_ZERO(prog) == -EINVAL ?
	       bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_SCHED_CLS, false) : prog;
}

static long hold(u32 __user *fd_at)
{
	struct bpf_prog *prog;
	u32 fd;

	if (get_user(fd, fd_at))
		return -EFAULT;
	prog = get_prog(fd);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	mutex_lock(&run_lock);
	prog = xchg(&held, prog);
	mutex_unlock(&run_lock);
	if (prog)
		bpf_prog_put(prog);
	return 0;
}

static long run(struct test_run *run)
{
	struct bpf_prog *prog, *nested_prog = NULL;
	u32 repeat = run->repeat ?: 1, bad = 0;

	if ((int)run->prog_fd == -1)
		return run_held(run);
	prog = get_prog(run->prog_fd);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	if (run->nested_fd)
		nested_prog = get_prog(run->nested_fd);
	if (IS_ERR(nested_prog)) {
		bpf_prog_put(prog);
		return PTR_ERR(nested_prog);
	}
	outer.call.func = prog->bpf_func;
	nested.call.func = nested_prog ? nested_prog->bpf_func : NULL;
	nested.call.bad = 0;
	nested_context = run->nested_context;
	while (repeat--) {
		run_in_context(&outer, run->context);
		bad |= outer.call.bad;
		cond_resched();
	}
	run->ret = outer.call.ret;
	run->bad = bad;
	run->depth = depth;
	run->nested_ret = nested.call.ret;
	run->nested_bad = nested.call.bad;
	/* programs that are run in other ways may call bpf_test_nest(), too */
	nested.call.func = NULL;
	if (nested_prog)
		bpf_prog_put(nested_prog);
	bpf_prog_put(prog);
	return 0;
}

static void shoot_in_softirq(struct tasklet_struct *tasklet)
{
	struct volley *v = from_tasklet(v, tasklet, tasklet);

	shoot(v);
	complete(&v->job.done);
}

static void shoot_in_irq(void *volley)
{
	struct volley *v = volley;

	if (v->args->context == IN_SOFTIRQ) {
		tasklet_schedule(&v->tasklet);
		return;
	}
	shoot(v);
	complete(&v->job.done);
}

static void shoot_in_irq_work(struct irq_work *work)
{
	shoot_in_irq(container_of(work, struct volley, irq_work));
}

/* Wait for the CPU to be in a program, but not for long, as it may have none to run */
static void aim(struct volley *v)
{
	int i;

	for (i = 0; i < 3000 && !READ_ONCE(*per_cpu_ptr(&running, v->cpu)); i++)
		barrier();
}

/*
 * This CPU would call the function as it is, in no interrupt, if it asked itself to. On PREEMPT_RT
 * softirqs are threads, and what a CPU does because another one asks must not raise any.
 */
static void interrupt(struct volley *v)
{
	int cpu;

	aim(v);
	reinit_completion(&v->job.done);
	cpu = get_cpu();
	if (IS_ENABLED(CONFIG_PREEMPT_RT) && v->args->context == IN_SOFTIRQ)
		tasklet_schedule(&v->tasklet);
	else if (cpu == v->cpu)
		irq_work_queue(&v->irq_work);
	else
		smp_call_function_single(v->cpu, shoot_in_irq, v, false);
	put_cpu();
	wait_for_completion(&v->job.done);
	irq_work_sync(&v->irq_work);
}

static void shoot_in_process(struct volley *v)
{
	migrate_disable();
	shoot(v);
	migrate_enable();
}

static void shoot_in_nmi(struct volley *v)
{
	mutex_lock(&nmi_volley_lock);
	do {
		aim(v);
		WRITE_ONCE(v->job.in_nmi, true);
		smp_store_release(&nmi_volley, v); /* complete, for handle_nmi() */
		preempt_disable();
		apic->send_IPI(v->cpu, NMI_VECTOR);
		while (smp_load_acquire(&v->job.in_nmi)) /* of handle_nmi() */
			cpu_relax();
		preempt_enable();
	} while (v->missed);
	mutex_unlock(&nmi_volley_lock);
}

/* On the CPU asked for, which stays online for as long */
static void shoot_once(struct volley *v)
{
	cpus_read_lock();
	v->cpu = v->args->cpu < nr_cpu_ids && cpu_online(v->args->cpu) ? v->args->cpu :
									raw_smp_processor_id();
	if (v->args->context == IN_PROCESS)
		shoot_in_process(v);
	else if (v->args->context == IN_NMI)
		shoot_in_nmi(v);
	else
		interrupt(v);
	cpus_read_unlock();
}

static long fire(struct test_volley *args)
{
	struct bpf_prog *prog;
	struct volley *v;
	u32 i;

	prog = get_prog(args->prog_fd);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v) {
		bpf_prog_put(prog);
		return -ENOMEM;
	}
	v->args = args;
	v->job.call.func = prog->bpf_func;
	init_completion(&v->job.done);
	init_irq_work(&v->irq_work, shoot_in_irq_work);
	tasklet_setup(&v->tasklet, shoot_in_softirq);
	args->bad = 0;
	args->thrown = 0;
	args->over = 0;
	for (i = 0; i < args->repeat; i++) {
		shoot_once(v);
		cond_resched();
	}
	tasklet_kill(&v->tasklet);
	kfree(v);
	bpf_prog_put(prog);
	return 0;
}

static long volley_ioctl(struct test_volley __user *at)
{
	struct test_volley args;
	long err;

	if (copy_from_user(&args, at, sizeof(args)))
		return -EFAULT;
	if (args.context >= TEST_CONTEXTS)
		return -EINVAL;
	err = fire(&args);
	if (!err && copy_to_user(at, &args, sizeof(args)))
		err = -EFAULT;
	return err;
}

static long test_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct test_run args;
	long err;

	if (cmd == TEST_HOLD)
		return hold((u32 __user *)arg);
	if (cmd == TEST_VOLLEY)
		return volley_ioctl((struct test_volley __user *)arg);
	if (cmd != TEST_RUN)
		return -ENOTTY;
	if (copy_from_user(&args, (void __user *)arg, sizeof(args)))
		return -EFAULT;
	if (args.context >= TEST_CONTEXTS || args.nested_context >= TEST_CONTEXTS)
		return -EINVAL;
	mutex_lock(&run_lock);
	err = run(&args);
	mutex_unlock(&run_lock);
	if (!err && copy_to_user((void __user *)arg, &args, sizeof(args)))
		err = -EFAULT;
	return err;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = test_ioctl,
};

static struct miscdevice test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bpf_exceptions_test",
	.fops = &test_fops,
};

BTF_SET8_START(test_kfuncs)
BTF_ID_FLAGS(func, bpf_test_nest)
BTF_SET8_END(test_kfuncs)

static const struct btf_kfunc_id_set test_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &test_kfuncs,
};

static int __init test_init(void)
{
	int err;

	init_completion(&outer.done);
	err = register_btf_kfunc_id_set(BPF_PROG_TYPE_XDP, &test_kfunc_set) ?:
	      register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &test_kfunc_set) ?:
	      register_btf_kfunc_id_set(BPF_PROG_TYPE_SCHED_CLS, &test_kfunc_set);
	if (err)
		return err;
	err = register_nmi_handler(NMI_LOCAL, handle_nmi, 0, "bpf_exceptions_test");
	if (err)
		return err;
	err = test_stale_init();
	if (err)
		goto out_nmi;
	err = test_starve_init();
	if (err)
		goto out_stale;
	err = misc_register(&test_device);
	if (err)
		goto out_starve;
	return 0;

out_starve:
	test_starve_exit();
out_stale:
	test_stale_exit();
out_nmi:
	unregister_nmi_handler(NMI_LOCAL, "bpf_exceptions_test");
	return err;
}

static void __exit test_exit(void)
{
	misc_deregister(&test_device);
	test_starve_exit();
	test_stale_exit();
	unregister_nmi_handler(NMI_LOCAL, "bpf_exceptions_test");
}

module_init(test_init);
module_exit(test_exit);
MODULE_DESCRIPTION("Strict caller of BPF programs, for the tests of bpf_exceptions");
MODULE_LICENSE("GPL");
