// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include "hold.h"

static void *call(void *arg)
{
	struct hold *hold = arg;

	hold->result = hold->call(hold);
	hold->err = errno;
	return NULL;
}

bool hold_begin(struct hold *hold, int (*fn)(struct hold *hold))
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd fault = { .events = POLLIN };

	memset(hold, 0, sizeof(*hold));
	hold->call = fn;
	hold->page = mmap(NULL, HOLD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hold->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	range.range.start = (unsigned long)hold->page;
	range.range.len = HOLD_SIZE;
	if (hold->page == MAP_FAILED || hold->uffd < 0 || ioctl(hold->uffd, UFFDIO_API, &api) ||
	    ioctl(hold->uffd, UFFDIO_REGISTER, &range))
		return false;
	if (pthread_create(&hold->thread, NULL, call, hold))
		return false;
	fault.fd = hold->uffd;
	return poll(&fault, 1, 60000) == 1 && fault.revents == POLLIN;
}

void hold_end(struct hold *hold)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)hold->page, .len = HOLD_SIZE },
	};

	ioctl(hold->uffd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(hold->thread, NULL);
	errno = hold->err;
	close(hold->uffd);
	munmap(hold->page, HOLD_SIZE);
}
