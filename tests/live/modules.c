// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "modules.h"

#define SYSFS "/sys/kernel/livepatch/"

const char *folder;

int load_with(const char *name, const char *parameters)
{
	char path[256];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s.ko", folder, name);
	fd = open(path, O_RDONLY);
	err = syscall(SYS_finit_module, fd, parameters, 0) ? errno : 0;
	close(fd);
	errno = err;
	return err;
}

int load(const char *name)
{
	return load_with(name, "");
}

int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? errno : 0;
}

bool unload_soon(const char *name)
{
	int i, err;

	for (i = 0; i < 300; i++) {
		err = unload(name);
		if (!err)
			return true;
		usleep(100000);
	}
	errno = err;
	return false;
}

int read_state(const char *livepatch, const char *file)
{
	char path[256];
	int fd, value = -1;
	char c;

	snprintf(path, sizeof(path), SYSFS "%s/%s", livepatch, file);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, &c, 1) == 1)
		value = c - '0';
	close(fd);
	return value;
}

bool begin_disabling(const char *livepatch)
{
	char path[256];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), SYSFS "%s/enabled", livepatch);
	fd = open(path, O_WRONLY);
	ok = fd >= 0 && write(fd, "0", 1) == 1;
	close(fd);
	return ok;
}

bool wait_for(const char *livepatch, int transition)
{
	int i;

	for (i = 0; i < 600 && read_state(livepatch, "transition") != transition; i++)
		usleep(100000);
	return read_state(livepatch, "transition") == transition;
}

bool disable(const char *livepatch)
{
	return begin_disabling(livepatch) && wait_for(livepatch, -1);
}

void clear_log(void)
{
	syscall(SYS_syslog, 5, NULL, 0);
}

bool log_has(const char *text)
{
	static char log[1 << 18];
	int len = syscall(SYS_syslog, 3, log, sizeof(log) - 1);

	log[len > 0 ? len : 0] = 0;
	if (strstr(log, text))
		return true;
	printf("# expected in the kernel's log: %s\n", text);
	return false;
}
