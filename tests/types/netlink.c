// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "netlink.h"

static void *request_tail(struct request *request)
{
	return (char *)request + NLMSG_ALIGN(request->header.nlmsg_len);
}

void request_init(struct request *request, int type, int flags, const void *base, int len)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_len = NLMSG_LENGTH(len);
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	memcpy(NLMSG_DATA(&request->header), base, len);
}

void request_add(struct request *request, int type, const void *data, int len)
{
	struct nlattr *attr = request_tail(request);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy((char *)attr + NLA_HDRLEN, data, len);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) +
				    NLA_ALIGN(attr->nla_len);
}

struct nlattr *request_begin(struct request *request, int type)
{
	struct nlattr *nest = request_tail(request);

	request_add(request, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void request_end(struct request *request, struct nlattr *nest)
{
	nest->nla_len = (char *)request_tail(request) - (char *)nest;
}

bool request_send(struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[2048];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	bool ok = fd >= 0 && send(fd, request, request->header.nlmsg_len, 0) >= 0 &&
		  recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)NLMSG_LENGTH(sizeof(int));

	if (ok && answer.header.nlmsg_type == NLMSG_ERROR) {
		errno = -answer.error.error;
		ok = !errno;
	}
	close(fd);
	return ok;
}
