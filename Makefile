# SPDX-License-Identifier: GPL-2.0-only
#
# The front door: "make" lists the targets. The scripts do the work and say what they are
# doing; each explains its arguments with --help.

CACHE ?=
KDIR ?=
KSRC ?=
DESTDIR ?=
export CACHE KSRC DESTDIR
ifeq ($(CACHE),)
unexport CACHE
endif
ifeq ($(KSRC),)
unexport KSRC
endif

BUILD := build
CLANG ?= clang
CFLAGS ?= -O2 -g
BPF_CFLAGS = -O2 -g -Wall -Wextra -Wno-unused-parameter -target bpf -mcpu=v2 \
	-idirafter /usr/include/$(shell gcc -print-multiarch 2>/dev/null)

# what is built by clang 19, too
with_both := ordinary release unreleased
bpf_objects := $(patsubst tests/bpf/%.bpf.c,$(BUILD)/tests/%.bpf.o,$(wildcard tests/bpf/*.bpf.c)) \
	$(patsubst %,$(BUILD)/tests/%19.bpf.o,$(with_both))
callbacks_object := $(BUILD)/tests/callbacks.bpf.o
types_objects := $(patsubst tests/types/%.bpf.c,$(BUILD)/tests/%.bpf.o,$(wildcard tests/types/*.bpf.c))
bench_objects := $(patsubst tests/bench/%.bpf.c,$(BUILD)/bench/%.bpf.o,$(wildcard tests/bench/*.bpf.c)) \
	$(addprefix $(BUILD)/bench/,mainline.bpf.o errcode.bpf.o)
assert_objects := $(patsubst %,$(BUILD)/tests/cases_%.bpf.o,u8 s8 u16 s16 u32 s32 u64 s64) \
	$(addprefix $(BUILD)/tests/,other.bpf.o jited.bpf.o)
bench_programs := $(addprefix $(BUILD)/bench/,bench prologue corpus)
trace_objects := $(patsubst %,$(BUILD)/tests/%.bpf.o,trace lines14 lines19 lines14-sites lines19-sites) \
	$(foreach seed,1 2 3 4 5 6,$(patsubst %,$(BUILD)/tests/many$(seed)-%.bpf.o,14 19 14-sites 19-sites))
programs := $(addprefix $(BUILD)/tests/,runner canary special release callbacks types life live stress trace fuzz ordinary)
sample_objects := $(patsubst bpf/samples/%.bpf.c,$(BUILD)/samples/%.bpf.o,$(wildcard bpf/samples/*.bpf.c))
samples := $(BUILD)/samples/samples $(sample_objects)
tool := $(BUILD)/tools/bpfthrow

.DEFAULT_GOAL := help
.PHONY: help run check check-all check-live check-stock check-debug check-kernels check-kernel-tests \
	check-live-kernel-tests check-mainline check-packages check-bases steps fuzz ordinary stress setup kernel live \
	module patch unpatch doctor install dkms deb uninstall lint tests tools samples bench bench-quick bench-programs \
	shell picture dist clean

help:
	@echo 'BPF exceptions for Linux 6.1'
	@sed -n 's/^##@ \(.*\)/\n\1:/p; s/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 34
	@echo
	@echo 'Variables:'
	@echo '  CACHE=DIR      where kernels are kept (default: ~/.cache/bpf-exceptions)'
	@echo '  KSRC=DIR       a 6.1.y source to use instead of the Debian package'
	@echo '  DEB_VERSION=V  the version of that package to fetch'
	@echo '  KDIR=DIR       a kernel build directory'
	@echo '  VMLINUX=FILE   its vmlinux, where KDIR is packaged headers, which have none'
	@echo '  DESTDIR=DIR    install into DIR instead of /'
	@echo 'make run and make check install missing Debian packages: as root, or through sudo.'

##@ Try it
run: setup ## run BPF programs that throw on Debian's kernel, in QEMU (KERNEL=patched: a patched one)
	@scripts/run $(if $(filter patched,$(KERNEL)),--patched)

##@ Test it
check: setup ## run all tests; the results are in build/check.tap
	@scripts/setup check lint
	@tests/check

check-debug: setup ## run them on a kernel with KASAN, lockdep and the like (SUITES="NAME...")
	@scripts/setup check
	@KERNEL_CONFIG=debug MEM=3G tests/check $(SUITES)

check-live: setup ## run them on Debian's kernel with the livepatch (STOCK=RELEASE, SUITES="NAME...")
	@scripts/setup check
	@STOCK="$(or $(STOCK),newest)" tests/check $(SUITES)

check-stock: setup ## run them on every Debian kernel whose source is in the archive (hours)
	@scripts/setup check
	@tests/stock

check-kernels: setup ## run them with frame pointers and coverage, with mitigations, and with kCFI
	@scripts/setup check
	@status=0; \
	KERNEL_CONFIG="frame-pointer kcov" tests/check || status=$$?; \
	KERNEL_CONFIG=mitigations KERNEL_APPEND="spectre_v2=retpoline indirect_target_selection=force" \
		tests/check || status=$$?; \
	KERNEL_CONFIG=cfi tests/check || status=$$?; \
	exit $$status

stress: SECONDS ?= 60
unexport SECONDS	# it would set bash's clock
stress: setup ## throw in all contexts while everything that can change changes, for SECONDS=60
	@scripts/setup check
	@STRESS_SECONDS="$(SECONDS)" tests/check stress; status=$$?; grep '^#' build/check/stress.tap; exit $$status

check-kernel-tests: setup ## run the kernel's own BPF tests with and without the series (about twenty minutes)
	@tests/kernel-tests

check-live-kernel-tests: setup ## run the kernel's test_verifier on Debian's kernel, with the livepatch and without
	@tests/kernel-tests --live

check-packages: setup ## install the Debian packages into a Debian 12, and test them on its kernel (as root; minutes)
	@scripts/setup check deb packages
	@tests/harness/run packages

check-mainline: setup ## run mainline's own tests of exceptions, and portable objects, here and on Debian's 6.12
	@scripts/setup check
	@STOCK="$(or $(STOCK),newest)" tests/check mainline

check-bases: setup ## apply the series to every 6.1 source in the archive, and test the oldest and newest
	@scripts/setup check
	@tests/bases run $(if $(RECORD),--record)

steps: setup ## build and boot the kernel after each patch of the series (about twenty minutes)
	@tests/steps

fuzz: setup ## run COUNT= random programs (default 1000), see tests/fuzz/run
	@tests/fuzz/run

check-all: setup ## run all of these and the benchmark (hours); resumes where it was interrupted
	@tests/all $(PARTS)

ordinary: setup ## run COUNT= generated C programs with throws (default 300), see tests/ordinary/run
	@scripts/setup check
	@tests/ordinary/run

##@ Build it
setup: ## install the Debian packages that are missing
	@scripts/setup

kernel: setup ## build the patched kernel (minutes), or find it in the cache, and print where it is
	@scripts/kernel

live: ## build both modules for the running Debian kernel, or for that of KVER= or KDIR=
	@scripts/module $(or $(KDIR),/lib/modules/$(or $(KVER),$(shell uname -r))/build)

module: ## build bpf_exceptions.ko for KDIR=, or for the kernel of "make kernel"
	@scripts/module $(if $(KDIR),"$(KDIR)") $(if $(W),W=$(W)) $(if $(C),C=$(C))

##@ Use it
patch: ## apply the series to the kernel source KSRC=, as commits if it is a git checkout
	@scripts/patch $(if $(KSRC),"$(KSRC)")

unpatch: ## take it out again
	@scripts/patch --reverse $(if $(KSRC),"$(KSRC)")

doctor: ## check whether the running kernel, or that of KDIR=, has what the module needs
	@scripts/doctor $(if $(KDIR),"$(KDIR)")

install: ## install the modules for the running kernel, or for that of KDIR=, and the header
	@scripts/install $(if $(KDIR),"$(KDIR)")

dkms: ## have DKMS build the modules for every installed kernel that can have them
	@scripts/install --dkms

deb: ## build the Debian packages bpf-exceptions-dkms and bpf-exceptions, in build/deb
	@scripts/deb

uninstall: ## remove what make install and make dkms have installed
	@scripts/install --uninstall $(if $(KDIR),"$(KDIR)")

##@ Work on it
lint: setup ## check the sources with checkpatch, sparse, kernel-doc, shellcheck and codespell
	@scripts/setup lint
	@scripts/lint

tests: $(programs) $(tool) $(samples) ## build the test programs without running them
tests: $(bpf_objects) $(assert_objects) $(trace_objects) $(types_objects) $(callbacks_object)

bench: setup ## measure what exceptions cost, compared with mainline and with error codes
	@scripts/bench $(if $(RECORD),--record)

bench-quick: setup ## the part of it that "make check" runs, against the recorded figures
	@tests/bench/quick

bench-programs: $(bench_programs) $(bench_objects)

shell: setup ## get an interactive shell in the test machine
	@scripts/module >/dev/null && scripts/vm

tools: $(tool) ## build bpfthrow, which shows which programs throw, and where

samples: setup $(samples) ## run the programs of bpf/samples in the test machine
	@scripts/module >/dev/null && scripts/vm $(addprefix --with ,$(samples)) -- samples

picture: setup ## draw the README's picture of what make run prints
	@scripts/run >$(BUILD)/run.txt
	@scripts/picture make run <$(BUILD)/run.txt >tests/run.svg

dist: ## make build/bpf-exceptions-VERSION.tar.xz, which builds without git
	@scripts/dist

clean: ## remove build/; kernels stay in the cache
	rm -rf $(BUILD)

# Everything in there needs compilers
$(BUILD)/tests $(BUILD)/bench $(BUILD)/tools $(BUILD)/samples:
	@scripts/setup build $(if $(filter %/tests,$@),check)
	@mkdir -p $@

# clang 14 has no tags of types there
$(BUILD)/tests/kptr.bpf.o: CLANG = clang-19
$(BUILD)/tests/%.bpf.o: tests/bpf/%.bpf.c tests/bpf/test.h tests/bpf/held.bpf.h bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(BUILD)/tests/cases_%.bpf.o: tests/macros/cases.bpf.c tests/macros/cases.h tests/bpf/test.h \
		bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -DTYPE=$* -c $< -o $@

$(BUILD)/tests/other.bpf.o $(BUILD)/tests/jited.bpf.o: $(BUILD)/tests/%.bpf.o: tests/macros/%.bpf.c tests/bpf/test.h \
		bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(types_objects): $(BUILD)/tests/%.bpf.o: tests/types/%.bpf.c tests/types/types.bpf.h tests/types/told.h \
		bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(patsubst %,$(BUILD)/tests/%19.bpf.o,$(with_both)): $(BUILD)/tests/%19.bpf.o: tests/bpf/%.bpf.c tests/bpf/test.h \
		tests/bpf/held.bpf.h bpf/bpf_exceptions.h | $(BUILD)/tests
	clang-19 $(BPF_CFLAGS) -c $< -o $@

$(callbacks_object): tests/callbacks/callbacks.bpf.c tests/callbacks/told.h bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(BUILD)/tests/trace.bpf.o: tests/trace/trace.bpf.c tests/bpf/test.h bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# The oldest compiler that works, and the newest that Debian 12 has: their line info differs
$(BUILD)/tests/lines14.bpf.o $(BUILD)/tests/lines14-sites.bpf.o: CLANG = clang-14
$(BUILD)/tests/lines19.bpf.o $(BUILD)/tests/lines19-sites.bpf.o: CLANG = clang-19
$(BUILD)/tests/lines%-sites.bpf.o: BPF_CFLAGS += -DBPF_ASSERT_SITES
$(filter $(BUILD)/tests/lines%,$(trace_objects)): tests/trace/lines.bpf.c tests/bpf/test.h \
		bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# Programs with many throws, by seed
$(BUILD)/tests/many%.bpf.c: tests/trace/generate | $(BUILD)/tests
	tests/trace/generate $* >$@

many = $(BPF_CFLAGS) -Itests/bpf -c $< -o $@
$(BUILD)/tests/many%-14.bpf.o: $(BUILD)/tests/many%.bpf.c bpf/bpf_exceptions.h
	clang-14 $(many)
$(BUILD)/tests/many%-19.bpf.o: $(BUILD)/tests/many%.bpf.c bpf/bpf_exceptions.h
	clang-19 $(many)
$(BUILD)/tests/many%-14-sites.bpf.o: $(BUILD)/tests/many%.bpf.c bpf/bpf_exceptions.h
	clang-14 -DBPF_ASSERT_SITES $(many)
$(BUILD)/tests/many%-19-sites.bpf.o: $(BUILD)/tests/many%.bpf.c bpf/bpf_exceptions.h
	clang-19 -DBPF_ASSERT_SITES $(many)

$(BUILD)/samples/%.bpf.o: bpf/samples/%.bpf.c bpf/bpf_exceptions.h | $(BUILD)/samples
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# Static, so that they run in the test machine as they are; libelf warns about its use of dlopen
link = $(CC) $(CFLAGS) -Wall -Wextra -static -o $@ $(filter %.c,$^) -lbpf -lelf -lz

$(tool): $(addprefix bpf/tools/,bpfthrow.c prog.c site.c trace.c prog.h trace.h) | $(BUILD)/tools
	$(link)

$(BUILD)/samples/samples: bpf/samples/samples.c | $(BUILD)/samples
	$(link)

$(BUILD)/tests/trace: $(addprefix tests/trace/,trace.c event.c bpfthrow.c stack.c trace.h) bpf/tools/trace.c bpf/tools/trace.h \
		tests/symbols.h tests/kmod/test.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/runner: tests/runner.c tests/held.c tests/held.h tests/fdinfo.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/live: $(filter-out %/other.c,$(wildcard tests/live/*.[ch])) tests/builder.c tests/builder.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/release: tests/release.c tests/held.c tests/held.h tests/builder.c tests/builder.h tests/fail.h \
		tests/fdinfo.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/life: revision = $(shell sed -n 's/^+.define BPF_UNWIND_REVISION //p' jit-patch/6.1/*.patch)
$(BUILD)/tests/life: CFLAGS += -DTHIS_REVISION='"$(revision)"' -DNEXT_REVISION='"$(shell expr $(revision) + 1)"'
$(BUILD)/tests/life: $(wildcard jit-patch/6.1/*.patch)
$(addprefix $(BUILD)/tests/,canary life): $(BUILD)/tests/%: tests/%.c tests/builder.c tests/builder.h \
		tests/fail.h tests/fdinfo.h tests/symbols.h tests/kmod/test.h | $(BUILD)/tests
	$(link)

things := $(addprefix tests/,things.c things.h held.c held.h)

$(BUILD)/tests/special: $(wildcard tests/special/*.[ch]) tests/builder.c tests/builder.h tests/fail.h \
		tests/fdinfo.h tests/symbols.h tests/kmod/test.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/stress: $(wildcard tests/stress/*.[ch]) tests/builder.c tests/builder.h $(things) \
		tests/types/netlink.c tests/types/netlink.h \
		tests/fdinfo.h tests/symbols.h tests/kmod/test.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/ordinary: tests/ordinary/ordinary.c tests/ordinary/ordinary.h tests/fdinfo.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/callbacks: $(filter-out %.bpf.c,$(wildcard tests/callbacks/*.[ch])) tests/builder.c tests/builder.h \
		tests/fail.h tests/fdinfo.h tests/symbols.h tests/kmod/test.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/types: $(filter-out %.bpf.c %.bpf.h,$(wildcard tests/types/*.[ch])) tests/fail.h tests/symbols.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/fuzz: $(wildcard tests/fuzz/*.[ch]) tests/builder.c tests/builder.h $(things) \
		tests/fdinfo.h tests/kmod/test.h | $(BUILD)/tests
	$(link)

$(BUILD)/bench/%.bpf.o: tests/bench/%.bpf.c bpf/bpf_exceptions.h | $(BUILD)/bench
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# throw.bpf.c for mainline's kernel, and without throws
$(BUILD)/bench/mainline.bpf.o: BPF_CFLAGS += -DMAINLINE
$(BUILD)/bench/errcode.bpf.o: BPF_CFLAGS += -DNO_EXCEPTIONS
$(BUILD)/bench/mainline.bpf.o $(BUILD)/bench/errcode.bpf.o: tests/bench/throw.bpf.c | $(BUILD)/bench
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(BUILD)/bench/%: tests/bench/%.c tests/builder.c tests/builder.h | $(BUILD)/bench
	$(link)
