// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the events through an instance of its own, tracing/instances/bpfthrow-PID, so that nobody
 * else's tracing changes: neither buffer, nor events, nor clock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "trace.h"

#define INSTANCE "bpfthrow-"
#define EVENTS "events/bpf_exceptions/"
#define EVENT EVENTS "bpf_throw"
#define CALLBACK_EVENT EVENTS "bpf_exception_callback"

static char tracefs[256], instance[320];
static int pipe_fd = -1;

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "bpfthrow: %s: %s\n", what, why);
	return -1;
}

/* --- the text of an event ------------------------------------------------------------- */

/* Places, as printed by tracefs, {0x100000027,0x3d}, or by perf, 4294967335 61 */
static bool parse_places(const char *text, struct throw_event *event)
{
	__u64 place;
	char *end;

	text += *text == '{';
	for (__u32 i = 0; i <= event->depth; i++) {
		text += i && *text == ',';
		place = strtoull(text, &end, 0);
		if (end == text)
			return false;
		event->places[i] = (struct place){ place >> 32, place };
		text = end;
	}
	return true;
}

/* The fields that all events begin with; returns what follows them, or NULL */
static const char *parse_prog(const char *text, struct throw_event *event)
{
	int end = 0;

	memset(event, 0, sizeof(*event));
	/* a program may have no name */
	if (sscanf(text, "id=%u name=%15[^ ]", &event->id, event->name) < 1)
		return NULL;
	text = strstr(text, " tag=");
	if (!text ||
	    sscanf(text, " tag=%16s cookie=%llu%n", event->tag, &event->cookie, &end) != 2 || !end)
		return NULL;
	return text + end;
}

static bool parse_throw(const char *text, struct throw_event *event)
{
	int callback, places = 0, held = 0;

	text = parse_prog(text, event);
	if (!text ||
	    sscanf(text, " depth=%u context=%7s callback=%d ret=%lld key=%llx%n",
		   &event->depth, event->context, &callback, &event->ret, &event->key,
		   &places) != 5 || !places)
		return false;
	event->callback = callback;
	event->returned = !callback;
	text += places;
	/* older modules have none of these, as their programs hold nothing */
	if (sscanf(text, " locks=%hhu sockets=%hhu records=%hhu dynptrs=%hhu objects=%hhu%n",
		   &event->held[HELD_LOCK], &event->held[HELD_SOCKET], &event->held[HELD_RECORD],
		   &event->held[HELD_DYNPTR], &event->held[HELD_OBJECT], &held) == 5)
		text += held;
	if (strncmp(text, " places=", strlen(" places=")))
		return false;
	return event->depth < MAX_FRAMES && parse_places(text + strlen(" places="), event);
}

static bool parse_callback(const char *text, struct throw_event *event)
{
	text = parse_prog(text, event);
	return text && sscanf(text, " ret=%lld key=%llx", &event->ret, &event->key) == 2;
}

/* What follows the name of the event, or NULL if @line is no such event */
static const char *event_text(const char *line, const char *name)
{
	const char *text = strstr(line, name);

	return text ? text + strlen(name) : NULL;
}

/**
 * trace_parse() - parse a line of trace_pipe, trace, or perf script
 * @line: the line
 * @event: filled for TRACE_THROW and TRACE_CALLBACK
 * @lost: set for TRACE_LOST; 0 if the kernel doesn't know how many
 */
enum trace_line trace_parse(const char *line, struct throw_event *event, unsigned long *lost)
{
	const char *text = strstr(line, "[LOST ");

	if (text && !strncmp(line, "CPU:", 4)) {
		*lost = strtoul(text + strlen("[LOST "), NULL, 10);
		return TRACE_LOST;
	}
	text = event_text(line, "bpf_throw: ");
	if (text)
		return parse_throw(text, event) ? TRACE_THROW : TRACE_BAD;
	text = event_text(line, "bpf_exception_callback: ");
	if (text)
		return parse_callback(text, event) ? TRACE_CALLBACK : TRACE_BAD;
	return TRACE_OTHER;
}

/* --- the two events of a throw ---------------------------------------------------------- */

/*
 * Throws whose callback hasn't been seen to return, in order. They are few, unless events are lost:
 * then the oldest has to make room.
 */
static struct throw_event pending[256];
static unsigned int nr_pending;

unsigned int trace_pending(void)
{
	return nr_pending;
}

static void take_pending(unsigned int i, struct throw_event *event)
{
	*event = pending[i];
	memmove(&pending[i], &pending[i + 1], (--nr_pending - i) * sizeof(pending[0]));
}

bool trace_unjoined(struct throw_event *event)
{
	if (!nr_pending)
		return false;
	take_pending(0, event);
	return true;
}

/* Throws in progress have unique keys: an older one with the same key is over */
bool trace_join(enum trace_line what, struct throw_event *event)
{
	struct throw_event found;
	unsigned int i;

	if (what == TRACE_THROW && !event->callback)
		return true;
	for (i = 0; i < nr_pending && pending[i].key != event->key; i++)
		;
	if (what == TRACE_CALLBACK) {
		if (i == nr_pending)
			return false; /* it was thrown before anybody looked */
		take_pending(i, &found);
		found.ret = event->ret;
		found.returned = true;
		*event = found;
		return true;
	}
	if (i == nr_pending && nr_pending < sizeof(pending) / sizeof(pending[0])) {
		pending[nr_pending++] = *event;
		return false;
	}
	take_pending(i == nr_pending ? 0 : i, &found);
	pending[nr_pending++] = *event;
	*event = found;
	return true;
}

/* --- tracefs -------------------------------------------------------------------------- */

static int find_tracefs(void)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	struct mntent *m;

	while (mounts && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "tracefs"))
			snprintf(tracefs, sizeof(tracefs), "%s", m->mnt_dir);
	if (mounts)
		endmntent(mounts);
	if (!*tracefs)
		return complain("tracefs isn't mounted, and events come from there",
				"mount -t tracefs none /sys/kernel/tracing");
	return 0;
}

static int check_event(void)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/" EVENT, tracefs);
	if (!access(path, F_OK))
		return 0;
	if (errno == EACCES)
		return complain("only root may look at tracefs and programs", "run it as root");
	return complain("there is no event " EVENT,
			"is the module loaded? modprobe bpf_exceptions (the kernel needs CONFIG_EVENT_TRACING)");
}

static int set(const char *file, const char *value)
{
	char path[512];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", instance, file);
	fd = open(path, O_WRONLY);
	err = fd < 0 || write(fd, value, strlen(value)) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (!err)
		return 0;
	snprintf(path, sizeof(path), "cannot write '%s' to %s/%s", value, instance, file);
	return complain(path, strerror(err));
}

/* Those of runs that got SIGKILL. One that is in use can't be removed. */
static void remove_stale(void)
{
	char path[768];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/instances", tracefs);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, INSTANCE, strlen(INSTANCE)) ||
		    !kill(atoi(d->d_name + strlen(INSTANCE)), 0) || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%s/instances/%s", tracefs, d->d_name);
		rmdir(path);
	}
	if (dir)
		closedir(dir);
}

static int make_instance(void)
{
	remove_stale();
	snprintf(instance, sizeof(instance), "%s/instances/" INSTANCE "%d", tracefs, getpid());
	if (!mkdir(instance, 0700))
		return 0;
	complain(instance, strerror(errno));
	*instance = 0;
	return -1;
}

static int start(__u32 prog_id, const char *buffer_kb)
{
	char filter[32], path[512];

	nr_pending = 0;
	if (buffer_kb && set("buffer_size_kb", buffer_kb))
		return -1;
	snprintf(filter, sizeof(filter), "id==%u", prog_id);
	if (prog_id && (set(EVENT "/filter", filter) || set(CALLBACK_EVENT "/filter", filter)))
		return -1;
	snprintf(path, sizeof(path), "%s/trace_pipe", instance);
	pipe_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (pipe_fd < 0)
		return complain(path, strerror(errno));
	/* in this order, so that the callback of every throw is seen */
	return set(CALLBACK_EVENT "/enable", "1") ?: set(EVENT "/enable", "1");
}

/**
 * trace_open() - trace throws
 * @prog_id: of this program only; 0 for all
 * @buffer_kb: size of the buffer of each processor, NULL for the kernel's own
 */
int trace_open(__u32 prog_id, const char *buffer_kb)
{
	if (geteuid())
		return complain("only root may look at tracefs and programs", "run it as root");
	if (find_tracefs() || check_event() || make_instance())
		return -1;
	if (!start(prog_id, buffer_kb))
		return 0;
	trace_close();
	return -1;
}

int trace_fd(void)
{
	return pipe_fd;
}

int trace_stop(void)
{
	return set(EVENT "/enable", "0");
}

int trace_stop_callbacks(void)
{
	return set(CALLBACK_EVENT "/enable", "0");
}

unsigned long trace_lost(void)
{
	unsigned long lost = 0, n;
	char path[512], line[128];
	FILE *f;

	for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		snprintf(path, sizeof(path), "%s/per_cpu/cpu%ld/stats", instance, cpu);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "overrun: %lu", &n) == 1 ||
			    sscanf(line, "commit overrun: %lu", &n) == 1 ||
			    sscanf(line, "dropped events: %lu", &n) == 1)
				lost += n;
		if (f)
			fclose(f);
	}
	return lost;
}

void trace_close(void)
{
	if (pipe_fd >= 0)
		close(pipe_fd);
	pipe_fd = -1;
	if (*instance && rmdir(instance))
		complain(instance, strerror(errno));
	*instance = 0;
}
