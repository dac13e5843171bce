/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests to rtnetlink, for things that libbpf can't attach programs to */
#ifndef _NETLINK_H
#define _NETLINK_H

#include <stdbool.h>
#include <linux/netlink.h>

struct request {
	struct nlmsghdr header;
	char data[1024];
};

/* @base is the structure at the beginning of messages of this type */
void request_init(struct request *request, int type, int flags, const void *base, int len);
void request_add(struct request *request, int type, const void *data, int len);
/* Everything added until request_end() is inside */
struct nlattr *request_begin(struct request *request, int type);
void request_end(struct request *request, struct nlattr *nest);
/* Return: success; otherwise errno is the kernel's answer */
bool request_send(struct request *request);

#endif /* _NETLINK_H */
