/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A test is a BPF program that carries its own expectation, as BTF tags that
 * tests/runner.c reads. Programs without __test() are parts of tests that name them.
 */
#ifndef _TEST_H
#define _TEST_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "../../bpf/bpf_exceptions.h"

#define __tag(text) __attribute__((btf_decl_tag(text)))
#define __text_(x) #x
#define __text(x) __text_(x)

/* What the test shows; becomes its line in the report */
#define __test(desc)		__tag("desc=" desc)
/* It loads, and a test run of it returns @value */
#define __returns(value)	__tag("returns=" __text(value))
/* It does not load, and the verifier's log contains this text (may be repeated) */
#define __refused(text)		__tag("refused=" text)
/* An LSM program: what it is attached to is denied */
#define __denied		__tag("denied=")
/* Run it @n times, with the same result each time */
#define __repeat(n)		__tag("repeat=" __text(n))
/* Each of its runs releases @n things when it throws, and none is left over afterwards. Variable
 * "tuple" finds a socket; program "probe_object" returns how many hold the kernel's test object.
 */
#define __releases(n)		__tag("releases=" __text(n))
/* Set a global variable before the run, check one after it */
#define __input(var, value)	__tag("input=" #var "=" __text(value))
#define __expect(var, value)	__tag("expect=" #var "=" __text(value))
/* Slot @index of the prog array @map holds program @prog */
#define __tail_call(map, index, prog) __tag("tail_call=" #map ":" #index ":" #prog)
/* Load @prog of the same file, attached to this test, before the run */
#define __with(prog)		__tag("with=" #prog)
/* ... but that is refused, with this text in the log */
#define __with_refused(text)	__tag("with_refused=" text)
/* On a program that tests name in __with(): the function of the test to attach it to */
#define __on(func)		__tag("on=" #func)
/* Constant @var is true if there are exceptions (false with runner -b) */
#define __flag(var)		__tag("flag=" #var)
/* What to expect instead with runner -b, while the module isn't loaded */
#define __bare_returns(value)	__tag("bare_returns=" __text(value))
#define __bare_refused(text)	__tag("bare_refused=" text)
/* Have the verifier keep, and compare with, each state that it could */
#define __every_state		__tag("every_state=")
/* net.core.bpf_jit_harden / bpf_jit_enable while the test loads and runs */
#define __sysctl(name, value)	__tag("sysctl=" name "=" __text(value))

/* A program's exception callback: __catch() names it in portable objects, catch() in others. The
 * callback itself is a __catcher.
 */
#ifdef BPF_EXCEPTIONS_PORTABLE
#define __catch(callback)	__exception_cb(callback)
#define catch(callback)		do { } while (0)
#define __catcher		__attribute__((noinline))
#else
#define __catch(callback)
#define catch(callback)		bpf_set_exception_callback(callback)
#define __catcher		static __attribute__((noinline))
#endif

/* A function that isn't inlined */
#define __subprog		static __attribute__((noinline))
#define __global		__attribute__((noinline, weak))

/* For functions in assembly (naked ones have no arguments, as BTF would lack their names):
 * operand %[name] is the function or constant of that name
 */
#define __imm(name)		[name] "i"(name)
#define __imm_addr(name)	[name] "i"(&name)

/* Make the compiler forget what it knows about @var */
#define hide(var)		asm volatile("" : "+r"(var))

/* Make the compiler forget the constant in @var; the verifier still knows it */
#define hide_constant(var)	asm volatile("%0 = %1" : "=r"(var) : "i"(var))

#ifndef LICENSE
#define LICENSE "GPL"
#endif
char _license[] SEC("license") = LICENSE;

#endif /* _TEST_H */
