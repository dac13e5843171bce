# SPDX-License-Identifier: GPL-2.0-only
#
# The front door: "make" lists what there is. Scripts do the work and say what they do;
# each tells its arguments with --help.

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

bpf_objects := $(patsubst tests/bpf/%.bpf.c,$(BUILD)/tests/%.bpf.o,$(wildcard tests/bpf/*.bpf.c))
types_objects := $(patsubst tests/types/%.bpf.c,$(BUILD)/tests/%.bpf.o,$(wildcard tests/types/*.bpf.c))
bench_objects := $(patsubst tests/bench/%.bpf.c,$(BUILD)/bench/%.bpf.o,$(wildcard tests/bench/*.bpf.c)) \
	$(addprefix $(BUILD)/bench/,mainline.bpf.o errcode.bpf.o)
assert_objects := $(patsubst %,$(BUILD)/tests/cases_%.bpf.o,u8 s8 u16 s16 u32 s32 u64 s64) \
	$(addprefix $(BUILD)/tests/,other.bpf.o jited.bpf.o)
bench_programs := $(addprefix $(BUILD)/bench/,bench prologue corpus)
trace_objects := $(patsubst %,$(BUILD)/tests/%.bpf.o,trace lines14 lines19 lines14-sites lines19-sites) \
	$(foreach seed,1 2 3 6,$(patsubst %,$(BUILD)/tests/many$(seed)-%.bpf.o,14 19 14-sites 19-sites))
programs := $(addprefix $(BUILD)/tests/,runner canary special types life live stress trace fuzz ordinary)
sample_objects := $(patsubst bpf/samples/%.bpf.c,$(BUILD)/samples/%.bpf.o,$(wildcard bpf/samples/*.bpf.c))
samples := $(BUILD)/samples/samples $(sample_objects)
tool := $(BUILD)/tools/bpfthrow

.DEFAULT_GOAL := help
.PHONY: help run check check-live check-stock check-debug check-kernels check-kernel-tests check-bases steps fuzz \
	ordinary stress setup kernel live module patch unpatch doctor install dkms deb uninstall lint tests tools \
	samples bench bench-quick bench-programs shell clean

help: ## list the targets
	@echo 'BPF exceptions for Linux 6.1. Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26
	@echo
	@echo 'Variables: CACHE=DIR keeps kernels (default ~/.cache/bpf-exceptions), KSRC=DIR is a'
	@echo '6.1.y source to use instead of the Debian package, DEB_VERSION=V a version of the package'
	@echo 'to fetch, KDIR=DIR a kernel build directory (VMLINUX=FILE: what its packaged headers lack),'
	@echo 'DESTDIR=DIR stands for / when installing.'
	@echo 'make run and make check install missing Debian packages: as root, or through sudo.'

run: setup ## the main job: BPF programs throw on Debian's own kernel in QEMU (KERNEL=patched: on one built with the series)
	@scripts/run $(if $(filter patched,$(KERNEL)),--patched)

check: setup ## all tests; the results are in build/check.tap
	@scripts/setup check lint
	@tests/check

# The suites that run in a kernel; for the others it doesn't matter which. What "ordinary" is about,
# compilers and the verifier's verdicts, is the same in all configurations.
in_kernel := bpf bare asserts canary images jited special types fuzz ordinary trace stress samples life dump misfits

check-debug: setup ## the tests that run in the kernel, on those of debug kernels
	@scripts/setup check
	@KERNEL_CONFIG=debug MEM=3G tests/check $(filter-out ordinary,$(in_kernel))

check-live: setup ## the tests that run on Debian's newest kernel, with the livepatch; on another one with STOCK=RELEASE, some with SUITES=
	@scripts/setup check
	@STOCK="$(or $(STOCK),newest)" tests/check $(SUITES)

check-stock: setup ## the same on each of Debian's kernels whose source is in the archive (hours)
	@scripts/setup check
	@tests/stock

# With kCFI the kernel's own calls of struct_ops and of helpers' callbacks are its end, on 6.1
check-kernels: setup ## the same with frame pointers and coverage; with retpolines, return thunks, IBT; with kCFI
	@scripts/setup check
	@status=0; \
	KERNEL_CONFIG="frame-pointer kcov" tests/check $(filter-out ordinary,$(in_kernel)) || status=$$?; \
	KERNEL_CONFIG=mitigations KERNEL_APPEND="spectre_v2=retpoline indirect_target_selection=force" \
		tests/check $(filter-out ordinary,$(in_kernel)) || status=$$?; \
	KERNEL_CONFIG=cfi tests/check $(filter-out special types fuzz stress,$(in_kernel)) || status=$$?; \
	exit $$status

stress: SECONDS ?= 60
unexport SECONDS	# bash counts from it
stress: setup ## throws everywhere at once while all that can change changes, for SECONDS=60
	@scripts/setup check
	@STRESS_SECONDS="$(SECONDS)" tests/check stress; status=$$?; grep '^#' build/check/stress.tap; exit $$status

check-kernel-tests: setup ## the kernel's own BPF tests, with the series and without (some twenty minutes)
	@tests/kernel-tests

check-bases: setup ## the series on each 6.1 source in the archive: it applies, and passes tests on the ends
	@scripts/setup check
	@tests/bases run $(if $(RECORD),--record)

steps: setup ## build and boot the kernel after each patch of the series (some twenty minutes)
	@tests/steps

fuzz: setup ## COUNT= random programs (default 1000) of SEED= (default: fresh), see tests/fuzz/run
	@tests/fuzz/run

ordinary: setup ## COUNT= generated C programs with throws (default 300) from SEED= on, see tests/ordinary/run
	@scripts/setup check
	@tests/ordinary/run

setup: ## have the Debian packages that all this needs
	@scripts/setup

kernel: setup ## build the patched kernel (minutes), or find it in the cache; prints where it is
	@scripts/kernel

live: ## build both modules for the running Debian kernel, or for KVER= or KDIR=, without the series
	@scripts/module $(or $(KDIR),/lib/modules/$(or $(KVER),$(shell uname -r))/build)

module: ## build bpf_exceptions.ko for KDIR=, or for the kernel of "make kernel"
	@scripts/module $(if $(KDIR),"$(KDIR)") $(if $(W),W=$(W)) $(if $(C),C=$(C))

patch: ## put the series into the kernel source KSRC=, as commits in a git checkout
	@scripts/patch $(if $(KSRC),"$(KSRC)")

unpatch: ## take it out again
	@scripts/patch --reverse $(if $(KSRC),"$(KSRC)")

doctor: ## say what the kernel KDIR=, or the one that runs, has of what the module needs
	@scripts/doctor $(if $(KDIR),"$(KDIR)")

install: ## install the module for KDIR= (default: the running kernel), and the header
	@scripts/install $(if $(KDIR),"$(KDIR)")

dkms: ## have DKMS build the module for each kernel that has the series
	@scripts/install --dkms

deb: ## make the Debian packages bpf-exceptions-dkms and bpf-exceptions, in build/deb
	@scripts/deb

uninstall: ## remove what these two have installed
	@scripts/install --uninstall $(if $(KDIR),"$(KDIR)")

lint: setup ## let checkpatch, sparse, kernel-doc, shellcheck, codespell look at the sources
	@scripts/setup lint
	@scripts/lint

tests: $(programs) $(tool) $(samples) ## build the test programs, run none
tests: $(bpf_objects) $(assert_objects) $(trace_objects) $(types_objects)

bench: setup ## count what exceptions cost, against mainline's and error codes: the table and chart
	@scripts/bench $(if $(RECORD),--record)

bench-quick: setup ## the part of it that "make check" runs, against the figures on record
	@tests/bench/quick

bench-programs: $(bench_programs) $(bench_objects)

shell: setup ## an interactive shell in the test machine
	@scripts/module >/dev/null && scripts/vm

tools: $(tool) ## build bpfthrow, which shows what programs throw, and where

samples: setup $(samples) ## run the programs of bpf/samples in the test machine
	@scripts/module >/dev/null && scripts/vm $(addprefix --with ,$(samples)) -- samples

clean: ## remove build/; kernels stay in the cache
	rm -rf $(BUILD)

# What is in there takes compilers
$(BUILD)/tests $(BUILD)/bench $(BUILD)/tools $(BUILD)/samples:
	@scripts/setup build $(if $(filter %/tests,$@),check)
	@mkdir -p $@

$(BUILD)/tests/%.bpf.o: tests/bpf/%.bpf.c tests/bpf/test.h bpf/bpf_exceptions.h | $(BUILD)/tests
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

$(BUILD)/tests/trace.bpf.o: tests/trace/trace.bpf.c tests/bpf/test.h bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# The oldest compiler that does, and the newest that Debian 12 has: they tell lines apart differently
$(BUILD)/tests/lines14.bpf.o $(BUILD)/tests/lines14-sites.bpf.o: CLANG = clang-14
$(BUILD)/tests/lines19.bpf.o $(BUILD)/tests/lines19-sites.bpf.o: CLANG = clang-19
$(BUILD)/tests/lines%-sites.bpf.o: BPF_CFLAGS += -DBPF_ASSERT_SITES
$(filter $(BUILD)/tests/lines%,$(trace_objects)): tests/trace/lines.bpf.c tests/bpf/test.h \
		bpf/bpf_exceptions.h | $(BUILD)/tests
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# Programs with many throws, by their seeds. 6.1 refuses those of 4 and 5: "back-edge" of a loop
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

# Static, so that they run in the test machine as they are; libelf warns of its use of dlopen
link = $(CC) $(CFLAGS) -Wall -Wextra -static -o $@ $(filter %.c,$^) -lbpf -lelf -lz

$(tool): $(addprefix bpf/tools/,bpfthrow.c prog.c trace.c prog.h trace.h) | $(BUILD)/tools
	$(link)

$(BUILD)/samples/samples: bpf/samples/samples.c | $(BUILD)/samples
	$(link)

$(BUILD)/tests/trace: $(addprefix tests/trace/,trace.c stack.c trace.h) bpf/tools/trace.c bpf/tools/trace.h \
		tests/kmod/test.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/runner: tests/runner.c | $(BUILD)/tests
	$(link)

$(BUILD)/tests/live: tests/live/live.c tests/builder.c tests/builder.h | $(BUILD)/tests
	$(link)

$(addprefix $(BUILD)/tests/,canary special life stress): $(BUILD)/tests/%: tests/%.c tests/builder.c tests/builder.h \
		tests/fdinfo.h tests/kmod/test.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/ordinary: tests/ordinary/ordinary.c tests/ordinary/ordinary.h tests/fdinfo.h | $(BUILD)/tests
	$(link)

$(BUILD)/tests/types: $(filter-out %.bpf.c %.bpf.h,$(wildcard tests/types/*.[ch])) | $(BUILD)/tests
	$(link)

$(BUILD)/tests/fuzz: $(wildcard tests/fuzz/*.[ch]) tests/builder.c tests/builder.h tests/kmod/test.h \
		| $(BUILD)/tests
	$(link)

$(BUILD)/bench/%.bpf.o: tests/bench/%.bpf.c bpf/bpf_exceptions.h | $(BUILD)/bench
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# throw.bpf.c as it is for mainline's kernel, and without what throws
$(BUILD)/bench/mainline.bpf.o: BPF_CFLAGS += -DMAINLINE
$(BUILD)/bench/errcode.bpf.o: BPF_CFLAGS += -DNO_EXCEPTIONS
$(BUILD)/bench/mainline.bpf.o $(BUILD)/bench/errcode.bpf.o: tests/bench/throw.bpf.c | $(BUILD)/bench
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(BUILD)/bench/%: tests/bench/%.c tests/builder.c tests/builder.h | $(BUILD)/bench
	$(link)
