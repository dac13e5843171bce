/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before each source file that the livepatch takes from the kernel. What these files
 * define by macros belongs to vmlinux, and becomes a reference to it, so that nothing has a
 * second copy.
 */
#ifndef _BPF_EXCEPTIONS_LIVEPATCH_BORROW_H
#define _BPF_EXCEPTIONS_LIVEPATCH_BORROW_H

#include <linux/bpf.h>
#include <linux/btf_ids.h>
#include <linux/export.h>
#include <linux/idr.h>
#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/static_call.h>
#include <linux/tracepoint.h>

/* A declaration of a function takes up the "static" that may precede it */
#undef DEFINE_MUTEX
#define DEFINE_MUTEX(name) int name##_is_borrowed(void); extern struct mutex name
#undef DEFINE_SPINLOCK
#define DEFINE_SPINLOCK(name) int name##_is_borrowed(void); extern spinlock_t name
#undef DEFINE_IDR
#define DEFINE_IDR(name) int name##_is_borrowed(void); extern struct idr name
#undef LIST_HEAD
#define LIST_HEAD(name) int name##_is_borrowed(void); extern struct list_head name
#undef DEFINE_PER_CPU
#define DEFINE_PER_CPU(type, name) int name##_is_borrowed(void); DECLARE_PER_CPU(type, name)
#undef DEFINE_STATIC_KEY_FALSE
#define DEFINE_STATIC_KEY_FALSE(name) int name##_is_borrowed(void); DECLARE_STATIC_KEY_FALSE(name)
#undef DEFINE_STATIC_CALL_NULL
#define DEFINE_STATIC_CALL_NULL(name, func) int name##_is_borrowed(void); DECLARE_STATIC_CALL(name, func)

/* Sets and lists of BTF IDs, which are resolved in vmlinux */
#undef BTF_ID
#define BTF_ID(kind, name)
#undef BTF_ID_UNUSED
#define BTF_ID_UNUSED
#undef BTF_SET_START
#define BTF_SET_START(name) extern struct btf_id_set name;
#undef BTF_SET_END
#define BTF_SET_END(name)
#undef BTF_ID_LIST
#define BTF_ID_LIST(name) extern u32 name[];
#undef BTF_ID_LIST_GLOBAL
#define BTF_ID_LIST_GLOBAL(name, n) extern u32 name[n];
#undef BTF_ID_LIST_SINGLE
#define BTF_ID_LIST_SINGLE(name, kind, type) extern u32 name[];

/* Exported and started there */
#undef EXPORT_SYMBOL
#define EXPORT_SYMBOL(name)
#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL_GPL(name)
#undef EXPORT_TRACEPOINT_SYMBOL_GPL
#define EXPORT_TRACEPOINT_SYMBOL_GPL(name)
#undef pure_initcall
#define pure_initcall(fn)
#undef fs_initcall
#define fs_initcall(fn)
#undef late_initcall
#define late_initcall(fn)

/*
 * The kernel searches all its symbols for each relocation that refers to one of these. So for those
 * that are used often there is only one, in main.c.
 */
#include <asm/nops.h>
extern struct btf **borrowed_btf_vmlinux;
#define btf_vmlinux (*borrowed_btf_vmlinux)
extern struct mutex *borrowed_bpf_verifier_lock;
#define bpf_verifier_lock (*borrowed_bpf_verifier_lock)
extern const unsigned char * const *borrowed_x86_nops;
#define x86_nops borrowed_x86_nops

#endif /* _BPF_EXCEPTIONS_LIVEPATCH_BORROW_H */
