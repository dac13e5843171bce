// SPDX-License-Identifier: GPL-2.0-only
/* Throws in callbacks of timers, which end those alone */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../fdinfo.h"
#include "callbacks.h"

/* The callback runs @rounds, and not to its end if one of them throws; and it can be armed again */
static bool timer_runs(const char *prog, __u64 rounds, __u64 at)
{
	struct loaded l;
	bool ok = load(&l, prog);
	__u32 ret;

	for (int i = 0; ok && i < 10; i++) {
		bool throws = i % 2;

		ok = reset(&l, throws ? at : NEVER) && run_xdp(&l, IN_PROCESS, &ret);
		/* until it has ended, and time for what it would do if a throw didn't end it */
		for (int j = 0; ok && j < 5000; j++) {
			if (throws ? fdinfo_value(l.fd, "throws") > i / 2 : l.state->behind)
				break;
			usleep(1000);
		}
		usleep(20000);
		ok = ok && state_is(&l, "returned", ret, PASSED) &&
		     state_is(&l, "rounds", l.state->rounds, throws ? at + 1 : rounds) &&
		     state_is(&l, "the callback ended", l.state->behind, !throws);
	}
	ok = ok && (fdinfo_value(l.fd, "throws") == 5 ||
		    fail("fdinfo has %lld throws, expected 5", fdinfo_value(l.fd, "throws")));
	unload(&l);
	return ok;
}

bool timer(void) { return timer_runs("timer", 1, 0); }
bool timer_inlined(void) { return timer_runs("timer_inlined", ROUNDS, 2); }
bool timer_loop(void) { return timer_runs("timer_loop", ROUNDS, 2); }

bool timer_watched(void)
{
	struct loaded l;
	bool ok = load(&l, "timer") && watch(&l, "watch", false, "on_timer") && reset(&l, 0);
	__u32 ret;

	ok = ok && run_xdp(&l, IN_PROCESS, &ret);
	for (int j = 0; ok && j < 1000 && !l.state->exits; j++)
		usleep(1000);
	ok = ok && state_is(&l, "exits seen", l.state->exits, 1) &&
	     state_is(&l, "the callback ended", l.state->behind, 0);
	unload(&l);
	return ok;
}

/* A datagram that this process sends to itself */
static bool receive(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(addr);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	char c;
	bool ok = !ioctl(fd, SIOCSIFFLAGS, &lo) && !bind(fd, (void *)&addr, len) &&
		  !getsockname(fd, (void *)&addr, &len) &&
		  sendto(fd, "", 1, 0, (void *)&addr, len) == 1 &&
		  recvfrom(fd, &c, 1, 0, (void *)&addr, &len) == 1;

	close(fd);
	return ok || fail("no datagram: %s", strerror(errno));
}

/* What isn't allowed as a program's return value needs not be allowed for its timers' sake */
static bool timer_returns_nothing(const char *prog)
{
	int cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	struct bpf_link *link = NULL;
	struct loaded l;
	bool ok = load(&l, prog) && reset(&l, 0);

	if (ok)
		link = bpf_program__attach_cgroup(bpf_object__find_program_by_name(l.obj, prog), cgroup);
	ok = ok && (link || fail("cannot attach: %s", strerror(errno))) && receive();
	for (int i = 0; ok && i < 1000 && fdinfo_value(l.fd, "throws") < 1; i++)
		usleep(1000);
	ok = ok && state_is(&l, "rounds", l.state->rounds, 1) &&
	     state_is(&l, "throws", fdinfo_value(l.fd, "throws"), 1) &&
	     state_is(&l, "the callback ended", l.state->behind, 0);
	bpf_link__destroy(link);
	close(cgroup);
	unload(&l);
	return ok;
}

bool timer_alone(void)
{
	return timer_returns_nothing("timer_alone") && timer_returns_nothing("timer_alone_global");
}

static bool returns_0(const char *prog)
{
	struct bpf_object *obj = open_one(prog, NULL);
	bool refused = obj && bpf_object__load(obj) &&
		       strstr(log_buf, "the default return value 0 of a throw isn't allowed here");

	bpf_object__close(obj);
	return refused || fail("%s: %s", prog, last_said());
}

bool timer_not_alone(void)
{
	return returns_0("timer_and_main") && returns_0("timer_and_global") && returns_0("timer_and_loop");
}
