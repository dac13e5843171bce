// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a frame of the program holds when a throw leaves it: references, a lock.
 *
 * The verifier has made sure that at each throw, and at each call on the way to one, everything
 * that is held is where the entries of that return address say, and that these places contain
 * NULL if nothing is held. So all there is to do is to call the function that an entry names with
 * the pointer found there. The program could have called it itself at that place: the context is
 * its own, with its preemption state, its RCU read-side section and, if it holds a lock, its
 * interrupt state.
 */
#include <linux/bpf.h>
#include "release.h"

#ifdef BPF_UNWIND_RELEASES

static notrace const struct bpf_unwind_site *
find_site(const struct bpf_unwind_cleanup *cleanup, u32 ret)
{
	const struct bpf_unwind_site *site = cleanup->site;
	u32 low = 0, high = cleanup->site_cnt, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (site[mid].ret == ret)
			return &site[mid];
		if (ret < site[mid].ret)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/*
 * A slot lies below the frame pointer. R6 to R9 are in @at, in the order in which prologues push
 * them, see struct throw_frame; the others were pushed before the call, R5 last.
 */
static __always_inline const unsigned long *
find_place(const struct throw_frame *at, const unsigned long *scratch, u32 place)
{
	if (place >= BPF_UNWIND_SLOT)
		return at->fp - (place - BPF_UNWIND_SLOT + 1);
	if (place >= BPF_REG_6)
		return &at->saved[place - BPF_REG_6];
	return &scratch[BPF_UNWIND_SCRATCH - 1 - place];
}

/* Is anything held there? Then @pointer is set to what a throw has to release */
static __always_inline bool is_held(const struct throw_frame *at, const unsigned long *scratch,
				    const struct bpf_unwind_entry *entry, unsigned long *pointer)
{
	const unsigned long *place = find_place(at, scratch, entry->place);

	if (entry->kind == BPF_UNWIND_DYNPTR) {
		*pointer = (unsigned long)place;
		return true;
	}
	*pointer = *place + entry->addend;
	return *place;
}

/*
 * BPF helpers and kfuncs, called as BPF programs call them: without a type that kCFI could check.
 * Those that take one argument more than the pointer take flags.
 */
static __always_inline void __nocfi release(unsigned long pointer,
					    const struct bpf_unwind_entry *entry)
{
	u64 (*func)(u64 pointer, u64 flags) = (void *)(long)(s32)entry->release;

	func(pointer, 0);
}

/**
 * bpf_exceptions_release() - release what one frame of the program holds
 * @at: the frame: its registers, its frame pointer, and the return address in it
 * @scratch: what was pushed before the call, from the last on, if anything was
 * @cleanup: of the program
 * @unlocked: bpf_exceptions_unlock() has released the lock
 */
void __nocfi notrace
bpf_exceptions_release(const struct throw_frame *at, const unsigned long *scratch,
		       struct bpf_unwind_cleanup *cleanup, bool unlocked)
{
	const struct bpf_unwind_site *site = find_site(cleanup, at->ip);
	const struct bpf_unwind_entry *entry, *end;
	unsigned long pointer;
	u32 released = 0;

	if (!site)
		return;
	entry = bpf_unwind_entries(cleanup) + site->first;
	end = entry + site->cnt;
	/* a lock comes first */
	if (unlocked && entry->kind == BPF_UNWIND_LOCK)
		entry++;
	for (; entry < end; entry++) {
		if (!is_held(at, scratch, entry, &pointer))
			continue;
		release(pointer, entry);
		released++;
	}
	atomic64_add(released, &cleanup->released);
}

/**
 * bpf_exceptions_unlock() - release the lock that the program holds, if it does
 * @at: the frame that throws; no call is made under a lock
 * @scratch: as for bpf_exceptions_release()
 * @cleanup: of the program
 */
void __nocfi notrace
bpf_exceptions_unlock(const struct throw_frame *at, const unsigned long *scratch,
		      struct bpf_unwind_cleanup *cleanup)
{
	const struct bpf_unwind_site *site = find_site(cleanup, at->ip);
	const struct bpf_unwind_entry *entry;
	unsigned long pointer;

	if (!site)
		return;
	/* it comes first */
	entry = bpf_unwind_entries(cleanup) + site->first;
	if (entry->kind != BPF_UNWIND_LOCK || !is_held(at, scratch, entry, &pointer))
		return;
	release(pointer, entry);
	atomic64_inc(&cleanup->released);
}

/**
 * bpf_exceptions_count_held() - count what one frame of the program holds, for the trace event
 * @at: as for bpf_exceptions_release()
 * @scratch: as for bpf_exceptions_release()
 * @cleanup: of the program
 * @trail: the numbers, by kind, are added to those in it
 */
void bpf_exceptions_count_held(const struct throw_frame *at, const unsigned long *scratch,
			       const struct bpf_unwind_cleanup *cleanup, struct trail *trail)
{
	const struct bpf_unwind_site *site = find_site(cleanup, at->ip);
	const struct bpf_unwind_entry *entry, *end;
	unsigned long pointer;

	if (!site)
		return;
	entry = bpf_unwind_entries(cleanup) + site->first;
	for (end = entry + site->cnt; entry < end; entry++)
		trail->held[entry->kind] += is_held(at, scratch, entry, &pointer);
}

#endif /* BPF_UNWIND_RELEASES */
