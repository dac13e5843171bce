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
#include "report.h"
#include "unwind.h"

/*
 * KF_ACQUIRE means nothing beside the other flags. But a verifier that doesn't know these, which
 * is what there is when a livepatch of the series was disabled, refuses an acquiring kfunc
 * that returns no pointer, before it can take bpf_throw() for a function that returns.
 */
BTF_SET8_START(exception_kfuncs)
BTF_ID_FLAGS(func, bpf_throw, KF_NORETURN | KF_ACQUIRE)
BTF_ID_FLAGS(func, bpf_set_exception_callback, KF_EXCEPTION_CB | KF_ACQUIRE)
BTF_SET8_END(exception_kfuncs)

static struct btf_kfunc_id_set exception_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &exception_kfuncs,
};

#ifdef KF_RET_COOKIE
/* The same, for the parameter */
BTF_SET8_START(exception_kfuncs_ret_cookie)
BTF_ID_FLAGS(func, bpf_throw, KF_NORETURN | KF_ACQUIRE | KF_RET_COOKIE)
BTF_ID_FLAGS(func, bpf_set_exception_callback, KF_EXCEPTION_CB | KF_ACQUIRE)
BTF_SET8_END(exception_kfuncs_ret_cookie)

static bool return_cookie;
module_param(return_cookie, bool, 0444);
MODULE_PARM_DESC(return_cookie,
		 "a throw returns the cookie where the program neither has an exception callback nor says what is returned without one (default: 0 is returned)");
#endif

/*
 * All that this kernel can register kfuncs for. TRACING stands for LSM, too: they share a
 * hook, and a second registration for it would fail and take the first one along. With
 * BPF_UNWIND_ALL_TYPES any one of them stands for all types.
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

/* Each thing that can be missing has an errno of its own, for scripts to tell them apart */
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
	 * It registers nothing, but says if the kernel took the BTF; one that may load modules
	 * whose BTF is another build's lets register_btf_kfunc_id_set() succeed without
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
	err = check_kernel();
#ifdef KF_RET_COOKIE
	if (return_cookie)
		exception_kfunc_set.set = &exception_kfuncs_ret_cookie;
#endif
	for (i = 0; !err && i < ARRAY_SIZE(prog_types); i++) {
		err = register_btf_kfunc_id_set(prog_types[i].type, &exception_kfunc_set);
		if (err)
			pr_err("cannot register kfuncs for %s programs: %d\n",
			       prog_types[i].name, err);
	}
	if (err)
		return err;

	pr_info("registered bpf_throw and bpf_set_exception_callback for " FOR_TYPES "\n");
	return 0;
}

/* Loaded programs hold the module, and the BTF goes with it: nothing to take back */
static void __exit bpf_exceptions_exit(void)
{
}

module_init(bpf_exceptions_init);
module_exit(bpf_exceptions_exit);
MODULE_DESCRIPTION("BPF exceptions: bpf_throw() and bpf_set_exception_callback()");
MODULE_LICENSE("GPL");
