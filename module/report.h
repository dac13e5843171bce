/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_REPORT_H
#define _BPF_EXCEPTIONS_REPORT_H

#include <linux/jump_label.h>
#include <linux/types.h>

struct bpf_prog;
struct bpf_unwind_table;
struct throw_frame;

/* Whether anybody listens to one of the trace events; if not, it costs a throw one nop */
DECLARE_STATIC_KEY_FALSE(bpf_exceptions_listened);
int bpf_exceptions_listen(void);
void bpf_exceptions_unlisten(void);

void bpf_exceptions_report_init(void);
u64 bpf_exceptions_report(const struct throw_frame *throw, struct bpf_unwind_table *table);
void bpf_exceptions_keep_key(u64 key, const unsigned long *landing);
bool bpf_exceptions_reports_callbacks(void);
u64 bpf_exceptions_locate(const struct bpf_prog *prog, unsigned long ip);

/* A throw lands in the former, which is in throw.c, and calls the latter */
extern char bpf_exceptions_callback[];
u64 bpf_exceptions_call_callback(u64 cookie, struct bpf_unwind_table *table,
				 const unsigned long *landing);

#endif /* _BPF_EXCEPTIONS_REPORT_H */
