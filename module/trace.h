/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bpf_exceptions

#if !defined(_BPF_EXCEPTIONS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _BPF_EXCEPTIONS_TRACE_H

#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/preempt.h>
#include <linux/tracepoint.h>
#include "report.h"
#include "unwind.h"

/* These comments aren't kernel-doc, which knows TRACE_EVENT() but not TRACE_EVENT_FN() */

/*
 * bpf_throw - bpf_exceptions:bpf_throw, a program throws
 * @aux: the program's
 * @cookie: what it threw
 * @trail: through which calls, and what is held there, which will be released
 * @callback: whether there is an exception callback, which runs next
 * @ret: what the program returns, if there is no callback
 * @key: also in the bpf_exception_callback event that reports what the callback returns
 *
 * All frames of the program are still there, from the function that throws on, and a stack trace
 * shows them.
 *
 * Places are "function+offset": the number of the function in the program, and the offset of the
 * return address in its JITed image; first that of the throw, then those of the calls up to the
 * main program's. Their number is in frames, one more than depth. A program returns an int, so
 * the upper half of its return value is undefined.
 *
 * The format also has to work in perf and trace-cmd, which don't know %c, and don't take an
 * expression for the length of an array.
 */
TRACE_EVENT_FN(bpf_throw,
	TP_PROTO(const struct bpf_prog_aux *aux, u64 cookie, const struct trail *trail,
		 bool callback, u64 ret, u64 key),
	TP_ARGS(aux, cookie, trail, callback, ret, key),
	TP_STRUCT__entry(
		__field(u64, cookie)
		__field(u64, ret)
		__field(u64, key)
		__field(u32, id)
		__field(u32, depth)
		__field(bool, callback)
		__field(u8, context)
		__field(u8, frames)
		__array(u8, held, HELD_KINDS)
		__array(u8, tag, BPF_TAG_SIZE)
		__array(char, name, BPF_OBJ_NAME_LEN)
		__dynamic_array(u64, places, trail->depth + 1)
	),
	TP_fast_assign(
		u64 *place = __get_dynamic_array(places);
		u32 i;

		__entry->cookie = cookie;
		__entry->ret = ret;
		__entry->key = key;
		__entry->id = aux->id;
		__entry->depth = trail->depth;
		__entry->frames = trail->depth + 1;
		__entry->callback = callback;
		/* preempt_count() doesn't count softirqs on PREEMPT_RT */
		__entry->context = interrupt_context_level() ?: !!in_serving_softirq();
		memcpy(__entry->tag, aux->prog->tag, BPF_TAG_SIZE);
		memcpy(__entry->name, aux->name, BPF_OBJ_NAME_LEN);
		memcpy(__entry->held, trail->held, HELD_KINDS);
		for (i = 0; i <= trail->depth; i++)
			place[i] = bpf_exceptions_locate(aux->prog, trail->ip[i]);
	),
	TP_printk("id=%u name=%s tag=%s cookie=%llu depth=%u context=%s callback=%d ret=%lld key=%llx locks=%u sockets=%u records=%u dynptrs=%u objects=%u places=%s",
		  __entry->id, __entry->name,
		  __print_hex_str(__entry->tag, BPF_TAG_SIZE), __entry->cookie,
		  __entry->depth,
		  __print_symbolic(__entry->context, { 0, "process" }, { 1, "softirq" },
				   { 2, "hardirq" }, { 3, "nmi" }),
		  __entry->callback, (s64)__entry->ret, __entry->key,
		  __entry->held[0], __entry->held[1], __entry->held[2], __entry->held[3],
		  __entry->held[4],
		  __print_array(__get_dynamic_array(places), __entry->frames, 8)),
	bpf_exceptions_listen, bpf_exceptions_unlisten
);

/*
 * bpf_exception_callback - bpf_exceptions:bpf_exception_callback, a callback has returned
 * @aux: the program's
 * @cookie: what it was called with
 * @ret: what it returned, and what the program returns
 * @key: also in the bpf_throw event before it
 *
 * To get this event, one needn't listen to the other.
 */
TRACE_EVENT_FN(bpf_exception_callback,
	TP_PROTO(const struct bpf_prog_aux *aux, u64 cookie, u64 ret, u64 key),
	TP_ARGS(aux, cookie, ret, key),
	TP_STRUCT__entry(
		__field(u64, cookie)
		__field(u64, ret)
		__field(u64, key)
		__field(u32, id)
		__array(u8, tag, BPF_TAG_SIZE)
		__array(char, name, BPF_OBJ_NAME_LEN)
	),
	TP_fast_assign(
		__entry->cookie = cookie;
		__entry->ret = ret;
		__entry->key = key;
		__entry->id = aux->id;
		memcpy(__entry->tag, aux->prog->tag, BPF_TAG_SIZE);
		memcpy(__entry->name, aux->name, BPF_OBJ_NAME_LEN);
	),
	TP_printk("id=%u name=%s tag=%s cookie=%llu ret=%lld key=%llx",
		  __entry->id, __entry->name,
		  __print_hex_str(__entry->tag, BPF_TAG_SIZE), __entry->cookie,
		  (s64)__entry->ret, __entry->key),
	bpf_exceptions_listen, bpf_exceptions_unlisten
);

#endif /* _BPF_EXCEPTIONS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
