/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _DEEP_H
#define _DEEP_H

#include <stdbool.h>

/* @device: the test module's */
bool deep(int device);

#endif /* _DEEP_H */
