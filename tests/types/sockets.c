// SPDX-License-Identifier: GPL-2.0-only
/* Sockets that talk over lo */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "hook.h"

static const char message[8] = "message";

/* Long enough for a slow machine, as some tests expect to receive nothing */
static void set_timeout(int fd)
{
	struct timeval timeout = { .tv_usec = 500000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

int timed_socket(int family, int type)
{
	int fd = socket(family, type, 0);

	set_timeout(fd);
	return fd;
}

static int bound_socket(int family, int type)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in addr4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = timed_socket(family, type), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (family == AF_INET6 ? !bind(fd, (void *)&addr, sizeof(addr)) :
				 !bind(fd, (void *)&addr4, sizeof(addr4)))
		return fd;
	close(fd);
	return -1;
}

struct pair udp_pair(int family)
{
	return (struct pair){ socket(family, SOCK_DGRAM, 0), bound_socket(family, SOCK_DGRAM) };
}

struct pair tcp_pair(void)
{
	struct pair pair = { socket(AF_INET, SOCK_STREAM, 0), -1 };
	int server = bound_socket(AF_INET, SOCK_STREAM), err = 0;
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (server >= 0 && !listen(server, 1) && !getsockname(server, (void *)&addr, &len) &&
	    !connect(pair.from, (void *)&addr, len))
		pair.to = accept(server, NULL, NULL);
	if (pair.to < 0)
		err = errno;
	else
		set_timeout(pair.to);
	close(server);
	errno = err;
	return pair;
}

void close_pair(struct pair pair)
{
	close(pair.from);
	close(pair.to);
}

int send_datagram(struct pair pair)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	if (pair.from < 0 || pair.to < 0 || getsockname(pair.to, (void *)&addr, &len))
		return broken("cannot make sockets");
	return outcome(sendto(pair.from, message, sizeof(message), 0, (void *)&addr, len));
}

int receive(int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char buf[64];

	return outcome(recvfrom(fd, buf, sizeof(buf), 0, (void *)&from, &len));
}

int see_send(struct run *run)
{
	struct pair pair = udp_pair(run->hook->family ?: AF_INET);
	int seen = send_datagram(pair);

	close_pair(pair);
	return seen;
}

int see_datagram(struct run *run)
{
	struct pair pair = udp_pair(run->hook->family ?: AF_INET);
	int seen = send_datagram(pair);

	if (seen >= 0)
		seen = receive(pair.to);
	close_pair(pair);
	return seen;
}
