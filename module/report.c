// SPDX-License-Identifier: GPL-2.0-only
/*
 * The trace events that report a throw.
 *
 * There are two. bpf_throw is sent before anything is unwound, so that a stack trace taken there
 * shows the thrower. If the program has an exception callback, its return value isn't known yet.
 * The callback can't run before the event, as the stack would be deeper than the verifier has
 * allowed for. So it runs where it runs when nobody listens, in the main program's place, and
 * bpf_exception_callback reports its value.
 */
#include <linux/bpf.h>
#include <linux/init.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/smp.h>
#include "report.h"
#include "unwind.h"

/* trace.h takes them one by one, in the order of enum bpf_unwind_kind */
static_assert(HELD_KINDS == 5);

#define CREATE_TRACE_POINTS
#include "trace.h"

DEFINE_STATIC_KEY_FALSE(bpf_exceptions_listened);

int bpf_exceptions_listen(void)
{
	static_branch_inc(&bpf_exceptions_listened);
	return 0;
}

void bpf_exceptions_unlisten(void)
{
	static_branch_dec(&bpf_exceptions_listened);
}

static siphash_key_t secret __ro_after_init;

void __init bpf_exceptions_report_init(void)
{
	get_random_bytes(&secret, sizeof(secret));
}

/*
 * What both events of a throw share, and no other throw in progress has: the place on the stack
 * where it lands, and the processor, which programs don't leave. Hashed, since it is an address.
 */
static u64 key_of(const unsigned long *landing)
{
	return siphash_2u64((unsigned long)landing, smp_processor_id(), &secret);
}

/* The key of a throw that has gone through helpers, which comes to land elsewhere */
struct kept_key {
	const unsigned long *landing;
	u64 key;
};

static DEFINE_PER_CPU(struct kept_key [4], kept_keys);

/**
 * bpf_exceptions_keep_key() - have both events of a throw the same key
 * @key: what bpf_exceptions_report() returned, or 0
 * @landing: where it lands after all, for bpf_exceptions_call_callback()
 *
 * What comes in between in another task, in the same context, can take that one's place. Then the
 * two events aren't known to belong together.
 */
void bpf_exceptions_keep_key(u64 key, const unsigned long *landing)
{
	struct kept_key *kept;

	if (!key || !trace_bpf_exception_callback_enabled())
		return;
	preempt_disable_notrace();
	kept = this_cpu_ptr(&kept_keys[interrupt_context_level()]);
	kept->landing = landing;
	kept->key = key;
	preempt_enable_notrace();
}

static u64 take_key(const unsigned long *landing)
{
	struct kept_key *kept;
	u64 key = 0;

	preempt_disable_notrace();
	kept = this_cpu_ptr(&kept_keys[interrupt_context_level()]);
	if (kept->landing == landing) {
		key = kept->key;
		kept->landing = NULL;
	}
	preempt_enable_notrace();
	return key ?: key_of(landing);
}

/* How deeply events are nested on each processor, in process, softirq, hardirq and NMI context */
static DEFINE_PER_CPU(u8 [4], reporting);

/*
 * A program attached to an event may itself throw. That is an event as well, but throws of
 * programs attached to that one are only counted. Otherwise programs attached to the events
 * would report each other until they run out of stack.
 */
static bool begin_event(void)
{
	preempt_disable_notrace();
	return this_cpu_inc_return(reporting[interrupt_context_level()]) <= 2;
}

static void end_event(void)
{
	this_cpu_dec(reporting[interrupt_context_level()]);
	preempt_enable_notrace();
}

/**
 * bpf_exceptions_report() - send the event bpf_throw, if anybody listens to it
 * @throw: the thrower's registers
 * @table: of the program that throws
 *
 * Context: any, NMI included.
 * Return: its key, or 0 where none was sent
 */
u64 bpf_exceptions_report(const struct throw_frame *throw, struct bpf_unwind_table *table)
{
	struct trail trail;
	u64 key = 0;

	if (!trace_bpf_throw_enabled())
		return 0;
	if (begin_event()) {
		bpf_exceptions_follow(throw, table, &trail);
		key = key_of(trail.landing);
		trace_bpf_throw(table->aux, throw->cookie, &trail,
				has_callback(table) && !trail.ends_timer,
				returns_cookie(table) && !trail.ends_timer ? throw->cookie : 0,
				key);
	}
	end_event();
	return key;
}

/**
 * bpf_exceptions_reports_callbacks() - does anybody listen to bpf_exception_callback?
 */
bool bpf_exceptions_reports_callbacks(void)
{
	return trace_bpf_exception_callback_enabled();
}

/**
 * bpf_exceptions_call_callback() - call a program's exception callback, and report its value
 * @cookie: what was thrown
 * @table: of the program
 * @landing: where the main program's return address is
 *
 * It runs in the main program's place. All the program's frames are gone by now, but the program
 * isn't: its caller is in an RCU read-side critical section or holds a reference until this
 * returns. And the program holds the module.
 *
 * The callback is called like any BPF function, and preserves the registers that C expects it to.
 * It has no type hash for kCFI to check, since the JIT of 6.1 doesn't emit any.
 *
 * Return: what the callback returns.
 */
u64 __nocfi bpf_exceptions_call_callback(u64 cookie, struct bpf_unwind_table *table,
					 const unsigned long *landing)
{
	u64 (*exception_cb)(u64 cookie) = (void *)(long)(s32)table->exception_cb;
	u64 key = take_key(landing), ret = exception_cb(cookie);

	if (begin_event())
		trace_bpf_exception_callback(table->aux, cookie, ret, key);
	end_event();
	return ret;
}

/**
 * bpf_exceptions_locate() - locate a return address in a program
 * @prog: main program
 * @ip: return address, of one of its functions
 *
 * Return: the function's number in the upper half, and the offset from its start in the lower, as
 * "bpftool prog dump jited" shows them.
 */
u64 bpf_exceptions_locate(const struct bpf_prog *prog, unsigned long ip)
{
	const struct bpf_prog *func;
	u32 i;

	for (i = 0; i < prog->aux->func_cnt; i++) {
		func = prog->aux->func[i];
		/* it may be one past the end */
		if (ip - 1 - (unsigned long)func->bpf_func < func->jited_len)
			return (u64)i << 32 | (u32)(ip - (unsigned long)func->bpf_func);
	}
	return ip - (unsigned long)prog->bpf_func;
}
