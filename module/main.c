// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF exceptions: registers bpf_throw() and bpf_set_exception_callback(), for kernels that
 * have the companion series (jit-patch/).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/module.h>
#include "pending.h"
#include "report.h"
#include "unwind.h"

/*
 * KF_ACQUIRE has no meaning next to the other flags. But after a livepatch of the series has been
 * disabled, the verifier doesn't know those. It would take bpf_throw() for a function that
 * returns, except that it refuses a kfunc that acquires something and returns no pointer.
 */
#ifdef KF_RESUMES
#define THROW_FLAGS (KF_NORETURN | KF_ACQUIRE | KF_RESUMES)
#else
#define THROW_FLAGS (KF_NORETURN | KF_ACQUIRE)
#endif

BTF_SET8_START(exception_kfuncs)
BTF_ID_FLAGS(func, bpf_throw, THROW_FLAGS)
BTF_ID_FLAGS(func, bpf_set_exception_callback, KF_EXCEPTION_CB | KF_ACQUIRE)
BTF_SET8_END(exception_kfuncs)

static struct btf_kfunc_id_set exception_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &exception_kfuncs,
};

#ifdef KF_RET_COOKIE
/* The same, with the parameter return_cookie */
BTF_SET8_START(exception_kfuncs_ret_cookie)
BTF_ID_FLAGS(func, bpf_throw, THROW_FLAGS | KF_RET_COOKIE)
BTF_ID_FLAGS(func, bpf_set_exception_callback, KF_EXCEPTION_CB | KF_ACQUIRE)
BTF_SET8_END(exception_kfuncs_ret_cookie)

static bool return_cookie;
module_param(return_cookie, bool, 0444);
MODULE_PARM_DESC(return_cookie,
		 "return the cookie from a throw if the program has no exception callback and doesn't say what to return without one (default: return 0)");
#endif

/*
 * The types that this kernel can register kfuncs for. TRACING includes LSM: they share a hook,
 * and a second registration for it would fail and free the first one. With BPF_UNWIND_ALL_TYPES,
 * any type stands for all of them.
 */
static const struct {
	enum bpf_prog_type type;
	const char *name;
} prog_types[] = {
	{ BPF_PROG_TYPE_XDP, "xdp" },
#ifndef BPF_UNWIND_ALL_TYPES
	{ BPF_PROG_TYPE_SCHED_CLS, "tc" },
	{ BPF_PROG_TYPE_STRUCT_OPS, "struct_ops" },
	{ BPF_PROG_TYPE_TRACING, "tracing+lsm" },
	{ BPF_PROG_TYPE_SYSCALL, "syscall" },
#endif
};

#ifdef BPF_UNWIND_ALL_TYPES
#define FOR_TYPES "programs of all types"
#else
#define FOR_TYPES "xdp, tc, struct_ops, tracing, lsm, syscall"
#endif

/* Everything that can be missing has its own errno, so that scripts can tell them apart */
static int check_kernel(void)
{
	int err;

	if (!&bpf_unwind_revision) {
		pr_err("this kernel lacks the companion series: load bpf_exceptions_livepatch first, or boot one that was built with jit-patch/\n");
		return -EOPNOTSUPP;
	}
	if (bpf_unwind_revision != BPF_UNWIND_REVISION) {
		pr_err("this kernel has revision %u of the companion series, the module is for %u: build both from one source\n",
		       bpf_unwind_revision, BPF_UNWIND_REVISION);
		return -EPROTONOSUPPORT;
	}
#ifdef CONFIG_DEBUG_INFO_BTF_MODULES
	if (!THIS_MODULE->btf_data_size)
#endif
	{
		pr_err("the module has no BTF, so programs can't find its kfuncs: build it with pahole and the kernel's vmlinux, CONFIG_DEBUG_INFO_BTF_MODULES=y\n");
		return -ENODATA;
	}
	/*
	 * This registers nothing, but shows whether the kernel accepted the module's BTF. A kernel
	 * that allows modules with the BTF of another build lets register_btf_kfunc_id_set()
	 * succeed even if it didn't.
	 */
	err = register_btf_id_dtor_kfuncs(NULL, 0, THIS_MODULE);
	if (err == -ENOENT) {
		pr_err("the module's BTF is for another build of the kernel, so programs can't find its kfuncs: build it with this kernel's vmlinux\n");
		return -ENOEXEC;
	}
	if (err)
		pr_err("cannot look at the module's BTF: %d\n", err);
	return err;
}

static int __init bpf_exceptions_init(void)
{
	int i, err;

	bpf_exceptions_report_init();
	err = check_kernel() ?: bpf_exceptions_pending_init();
#ifdef KF_RET_COOKIE
	if (return_cookie)
		exception_kfunc_set.set = &exception_kfuncs_ret_cookie;
#endif
	if (err)
		return err;
	for (i = 0; !err && i < ARRAY_SIZE(prog_types); i++) {
		err = register_btf_kfunc_id_set(prog_types[i].type, &exception_kfunc_set);
		if (err)
			pr_err("cannot register kfuncs for %s programs: %d\n",
			       prog_types[i].name, err);
	}
	if (err) {
		bpf_exceptions_pending_exit();
		return err;
	}

	pr_info("registered bpf_throw and bpf_set_exception_callback for " FOR_TYPES "\n");
	return 0;
}

/* Loaded programs hold the module, and its BTF goes with it */
static void __exit bpf_exceptions_exit(void)
{
	bpf_exceptions_pending_exit();
}

module_init(bpf_exceptions_init);
module_exit(bpf_exceptions_exit);
MODULE_DESCRIPTION("BPF exceptions: bpf_throw() and bpf_set_exception_callback()");
MODULE_LICENSE("GPL");
