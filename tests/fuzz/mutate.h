/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that are nearly valid: each is refused, or runs without harm */
#ifndef _FUZZ_MUTATE_H
#define _FUZZ_MUTATE_H

#include <stdbool.h>
#include <linux/types.h>

/* Valid programs with one thing added that must be refused, for a known reason */
bool run_forbidden(__u64 seed, int count);
/* Valid programs with random changes to instructions */
bool run_mutants(__u64 seed, int count);
/* The same with the programs of object files, @count of each */
bool run_objects(__u64 seed, int count, char **files, int nr_files);

#endif /* _FUZZ_MUTATE_H */
