/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel says of a file descriptor, in /proc */
#ifndef _FDINFO_H
#define _FDINFO_H

#include <stdio.h>
#include <string.h>

/* Return: the number that fdinfo has for @key, or -1 where it has none */
static inline long long fdinfo_value(int fd, const char *key)
{
	char path[64], line[256];
	long long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), ": %lld", &value);
	if (f)
		fclose(f);
	return value;
}

#endif /* _FDINFO_H */
