/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `workers = N`: one process that runs no node of its own, forks N that do, and looks after them. It opens the listeners that all
 * share, starts a worker that crashed again, passes signals and tasks on, and ends when the last worker has.
 *
 * A worker that crashes is started again after half a second, then after twice as long each time, until it has run for a
 * minute; five crashes within a minute, and it is given up. Before all of them have served once, the first end with an exit code
 * is the end of all, because what is wrong with one is wrong with the others: the first worker's configuration is found good before
 * the others are made, so mistakes are told once.
 *
 * There is no loop of libuv here: signals come by a descriptor, and what a fork inherits is little.
 */
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	BACKOFF_MS = 500,
	BACKOFF_MAX_MS = 30000,
	CRASHES = 5, /* within */
	CRASH_WINDOW_MS = 60000,
	KILL_AFTER_MS = 2000, /* beyond the deadline that the workers keep themselves */
	SHARED_MAX = 64,
	WORDS_MAX = 2048
};

struct child {
	pid_t pid; /* 0: there is none */
	int tell, ask; /* our ends; -1: closed */
	bool booted, ready, served, given_up;
	uint64_t begun_ms, restart_ms; /* restart_ms 0: it will not */
	uint64_t crashes_ms[CRASHES]; /* the last ones, round and round */
	unsigned crash_n;
	uint32_t backoff_ms;
	char words[WORDS_MAX]; /* of its ready line */
	char crashed_in[64];
};

struct shared {
	struct dk_addr bind;
	int fd;
};

struct supervisor {
	struct dk_kernel *k;
	void *self; /* to log with */
	struct child *at;
	uint32_t n;
	int signals;
	struct shared shared[SHARED_MAX];
	size_t shared_n;
	bool served; /* all of them, once */
	bool stopping;
	uint64_t kill_ms; /* 0: not yet */
	int code;
};

const int supervisor_signals[SUPERVISOR_SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD };

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static unsigned number(const struct supervisor *s, const struct child *c)
{
	return (unsigned)(c - s->at);
}

/* ---- listeners ---- */

static socklen_t name_of(const struct dk_addr *a, struct sockaddr_storage *ret_name)
{
	struct sockaddr_in *v4 = (void *)ret_name;
	struct sockaddr_in6 *v6 = (void *)ret_name;

	memset(ret_name, 0, sizeof(*ret_name));
	if (a->family == 6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(a->port);
		memcpy(&v6->sin6_addr, a->ip, 16);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(a->port);
	memcpy(&v4->sin_addr, a->ip, 4);
	return sizeof(*v4);
}

/* A descriptor that listens there, or <0. */
static int listen_at(const struct dk_addr *a, int backlog)
{
	static const int yes = 1, no = 0;
	struct sockaddr_storage name;
	socklen_t n = name_of(a, &name);
	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (a->family == 6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	if (bind(fd, (struct sockaddr *)&name, n) == 0 && listen(fd, backlog) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* The one that was made for whoever asked first; workers ask for it again when they are started again. */
static int shared_listener(struct supervisor *s, const struct worker_ask *ask)
{
	int fd;

	for (size_t i = 0; i < s->shared_n; i++)
		if (dk_addr_eq(&s->shared[i].bind, &ask->bind))
			return s->shared[i].fd;
	if (s->shared_n == SHARED_MAX)
		return -ENFILE;
	fd = listen_at(&ask->bind, ask->backlog);
	if (fd >= 0)
		s->shared[s->shared_n++] = (struct shared){ ask->bind, fd };
	return fd;
}

static void answer(struct supervisor *s, struct child *c)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct worker_ask ask;
	int32_t rc = 0;
	struct iovec iov = { &rc, sizeof(rc) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *h;
	ssize_t n = recv(c->ask, &ask, sizeof(ask), MSG_DONTWAIT);
	int fd;

	if (n != (ssize_t)sizeof(ask)) {
		if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
			close(c->ask);
			c->ask = -1;
		}
		return;
	}
	fd = shared_listener(s, &ask);
	if (fd < 0) {
		rc = fd;
	} else {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	(void)!sendmsg(c->ask, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- births ---- */

static void close_ends(struct child *c)
{
	if (c->tell >= 0)
		close(c->tell);
	if (c->ask >= 0)
		close(c->ask);
	c->tell = c->ask = -1;
}

/* In the new process: nothing of the supervisor's stays but the worker's two ends. Those of its siblings above all: whoever holds
 * one keeps that sibling from noticing its supervisor's death. */
static void become_worker(struct supervisor *s, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(DK_EXIT_RUNTIME); /* it died before that took effect */
	setpgid(0, 0); /* a terminal's signals reach the supervisor, which passes them on */
	for (uint32_t i = 0; i < s->n; i++)
		close_ends(&s->at[i]);
	for (size_t i = 0; i < s->shared_n; i++)
		close(s->shared[i].fd);
	close(s->signals);
}

/* True in the worker. */
static bool give_birth(struct supervisor *s, struct child *c, struct worker *ret_worker)
{
	int tell[2], ask[2] = { -1, -1 };
	pid_t parent = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, tell) < 0)
		tell[0] = tell[1] = -1;
	else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ask) < 0)
		ask[0] = ask[1] = -1;
	c->begun_ms = now_ms();
	c->restart_ms = 0;
	pid = ask[0] < 0 ? -1 : fork();
	if (pid < 0) {
		dk_log(s->self, DK_ERROR, "worker %u cannot be started: %s", number(s, c), strerror(errno));
		for (int i = 0; i < 2; i++) {
			if (tell[i] >= 0)
				close(tell[i]);
			if (ask[i] >= 0)
				close(ask[i]);
		}
		c->restart_ms = c->begun_ms + c->backoff_ms;
		return false;
	}
	if (pid == 0) {
		*ret_worker = (struct worker){ .index = number(s, c), .count = s->n, .tell = tell[1], .ask = ask[1] };
		close(tell[0]);
		close(ask[0]);
		become_worker(s, parent);
		return true;
	}
	close(tell[1]);
	close(ask[1]);
	c->pid = pid;
	c->tell = tell[0];
	c->ask = ask[0];
	c->booted = c->ready = false;
	c->crashed_in[0] = '\0';
	dk_log(s->self, DK_INFO, "worker %u is process %ld", number(s, c), (long)pid);
	return false;
}

/* ---- what workers say ---- */

/* Words that were there before are left out: a shared listener is one. */
static void add_words(char *line, size_t size, char *words)
{
	char *rest = words, *word;

	while ((word = strsep(&rest, " "))) {
		size_t n = strlen(line), len = strlen(word);
		const char *found = *word ? strstr(line, word) : line;

		while (found && *word && found[len] && found[len] != ' ')
			found = strstr(found + 1, word);
		if (!found && n + len + 2 < size)
			snprintf(line + n, size - n, " %s", word);
	}
}

static void all_ready(struct supervisor *s)
{
	char line[16384], state[64];

	for (uint32_t i = 0; i < s->n; i++)
		if (!s->at[i].ready)
			return;
	s->served = true;
	snprintf(line, sizeof(line), "ready workers=%u", s->n);
	for (uint32_t i = 0; i < s->n; i++)
		add_words(line, sizeof(line), s->at[i].words);
	printf("%s\n", line);
	fflush(stdout);
	dk_log(s->self, DK_INFO, "%s", line);
	snprintf(state, sizeof(state), "READY=1\nMAINPID=%ld", (long)getpid());
	notify(state);
}

static void hear(struct supervisor *s, struct child *c)
{
	char buf[WORDS_MAX];
	ssize_t n;

	while ((n = recv(c->tell, buf, sizeof(buf) - 1, MSG_DONTWAIT)) > 0) {
		buf[n] = '\0';
		if (buf[0] == WORKER_BOOTED)
			c->booted = true;
		else if (buf[0] == WORKER_CRASHED)
			snprintf(c->crashed_in, sizeof(c->crashed_in), "%.*s", (int)sizeof(c->crashed_in) - 1, buf + 1);
		if (buf[0] != WORKER_READY)
			continue;
		snprintf(c->words, sizeof(c->words), "%s", buf + 1);
		c->ready = true;
		if (c->served)
			dk_log(s->self, DK_NOTICE, "worker %u serves again, %llu ms after it was started anew", number(s, c),
			       (unsigned long long)(now_ms() - c->begun_ms));
		c->served = true;
		if (!s->served)
			all_ready(s);
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(c->tell);
		c->tell = -1;
	}
}

/* ---- ends ---- */

static void signal_all(const struct supervisor *s, int signum)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->at[i].pid)
			kill(s->at[i].pid, signum);
}

static void stop(struct supervisor *s, int signum, int code)
{
	uint64_t in_ms = (s->stopping ? 0 : (uint64_t)dk_shutdown_timeout(s->k) * 1000) + KILL_AFTER_MS;

	if (!s->stopping)
		notify("STOPPING=1");
	if (!s->code)
		s->code = code;
	s->stopping = true;
	s->kill_ms = now_ms() + in_ms;
	for (uint32_t i = 0; i < s->n; i++)
		s->at[i].restart_ms = 0;
	signal_all(s, signum);
}

static uint32_t alive(const struct supervisor *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++)
		n += s->at[i].pid != 0;
	return n;
}

static void crashed(struct supervisor *s, struct child *c, const char *how)
{
	uint64_t now = now_ms();
	char in[128] = "";

	if (*c->crashed_in)
		snprintf(in, sizeof(in), " while this plugin's code ran: %s", c->crashed_in);
	c->crashes_ms[c->crash_n++ % CRASHES] = now;
	if (c->crash_n >= CRASHES && now - c->crashes_ms[c->crash_n % CRASHES] < CRASH_WINDOW_MS) {
		c->given_up = true;
		dk_log(s->self, DK_FATAL, "worker %u %s%s; %d times within %d s: it is given up, %u of %u workers go on",
		       number(s, c), how, in, CRASHES, CRASH_WINDOW_MS / 1000, alive(s), s->n);
		s->code = s->code ? s->code : DK_EXIT_RUNTIME;
		if (!s->served)
			stop(s, SIGTERM, DK_EXIT_RUNTIME);
		return;
	}
	if (now - c->begun_ms >= CRASH_WINDOW_MS)
		c->backoff_ms = BACKOFF_MS;
	dk_log(s->self, DK_ERROR, "worker %u %s%s; it is started again in %u ms", number(s, c), how, in, c->backoff_ms);
	c->restart_ms = now + c->backoff_ms;
	c->backoff_ms = c->backoff_ms * 2 < BACKOFF_MAX_MS ? c->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void ended(struct supervisor *s, struct child *c, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : DK_EXIT_RUNTIME;
	char how[64];

	hear(s, c); /* its last words */
	close_ends(c);
	c->pid = 0;
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "died of SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(how, sizeof(how), "ended with exit code %d", code);
	if (!s->stopping && (WIFSIGNALED(status) || (code && s->served))) {
		crashed(s, c, how);
		return;
	}
	if (code || !s->stopping)
		dk_log(s->self, code ? DK_ERROR : DK_NOTICE, "worker %u %s", number(s, c), how);
	if (code && !s->stopping)
		stop(s, SIGTERM, code); /* what keeps it from starting keeps the others */
	s->code = s->code ? s->code : code;
}

static void reap(struct supervisor *s)
{
	int status;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->at[i].pid && waitpid(s->at[i].pid, &status, WNOHANG) == s->at[i].pid)
			ended(s, &s->at[i], status);
}

/* ---- signals ---- */

static void pass_task(struct supervisor *s, int which)
{
	char buf[WORKER_MESSAGE_MAX] = { SUPERVISOR_TASK, (char)('0' + which) };
	char *text = dk_task_read(s->k, which);
	size_t n = text ? strlen(text) : 0;

	if (n > sizeof(buf) - 2)
		n = sizeof(buf) - 2;
	if (n)
		memcpy(buf + 2, text, n);
	free(text);
	for (uint32_t i = 0; i < s->n; i++)
		if (s->at[i].tell >= 0 && send(s->at[i].tell, buf, n + 2, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			dk_log(s->self, DK_WARN, "worker %u does not take the task of SIGUSR%d: %s", i, which, strerror(errno));
}

static void take_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTERM:
	case SIGINT:
		dk_log(s->self, DK_INFO, "SIG%s arrived", sigabbrev_np((int)info.ssi_signo));
		stop(s, (int)info.ssi_signo, 0);
		break;
	case SIGHUP:
		dk_signal_arrived(s->k, SIGHUP);
		signal_all(s, SIGHUP);
		break;
	case SIGUSR1:
	case SIGUSR2:
		pass_task(s, info.ssi_signo == SIGUSR1 ? 1 : 2);
		break;
	default:
		reap(s);
	}
}

/* ---- the loop ---- */

/* True when something may still come; *ret_ms: how long it may be waited for. */
static bool goes_on(struct supervisor *s, int *ret_ms)
{
	uint64_t now = now_ms(), next = s->kill_ms ? s->kill_ms : UINT64_MAX;
	bool more = alive(s) > 0;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->at[i].restart_ms) {
			more = true;
			next = s->at[i].restart_ms < next ? s->at[i].restart_ms : next;
		}
	*ret_ms = next == UINT64_MAX ? -1 : next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
	return more;
}

static void wait_and_hear(struct supervisor *s, struct pollfd *fds, int timeout_ms)
{
	fds[0] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	for (uint32_t i = 0; i < s->n; i++) {
		fds[1 + 2 * i] = (struct pollfd){ .fd = s->at[i].pid ? s->at[i].tell : -1, .events = POLLIN };
		fds[2 + 2 * i] = (struct pollfd){ .fd = s->at[i].pid ? s->at[i].ask : -1, .events = POLLIN };
	}
	if (poll(fds, 1 + 2 * s->n, timeout_ms) <= 0)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		if (fds[1 + 2 * i].revents)
			hear(s, &s->at[i]);
		if (fds[2 + 2 * i].revents)
			answer(s, &s->at[i]);
	}
	if (fds[0].revents)
		take_signal(s);
}

static void kill_late(struct supervisor *s)
{
	if (!s->kill_ms || now_ms() < s->kill_ms)
		return;
	dk_log(s->self, DK_ERROR, "%u workers are still there after their deadline and are killed", alive(s));
	s->code = s->code ? s->code : DK_EXIT_RUNTIME;
	s->kill_ms = 0;
	signal_all(s, SIGKILL);
}

/* Those whose time has come; all others once the first one's configuration was found good. True in a worker. */
static bool births(struct supervisor *s, struct worker *ret_worker)
{
	if (s->at[0].booted && !s->stopping)
		for (uint32_t i = 1; i < s->n; i++)
			if (!s->at[i].begun_ms && !s->at[i].restart_ms)
				s->at[i].restart_ms = 1;
	for (uint32_t i = 0; i < s->n; i++)
		if (s->at[i].restart_ms && s->at[i].restart_ms <= now_ms() && give_birth(s, &s->at[i], ret_worker))
			return true;
	return false;
}

bool supervisor_run(struct dk_kernel *k, struct worker *ret_worker, int *ret_code)
{
	struct supervisor s = { .k = k, .self = dk_app(k), .n = dk_workers(k), .signals = -1 };
	struct pollfd *fds = calloc(1 + 2 * (size_t)s.n, sizeof(*fds));
	bool worker = false;
	sigset_t set;
	int ms;

	*ret_code = DK_EXIT_RUNTIME;
	s.at = calloc(s.n, sizeof(*s.at));
	sigemptyset(&set);
	for (size_t i = 0; i < DK_ARRAY_LEN(supervisor_signals); i++)
		sigaddset(&set, supervisor_signals[i]);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (!fds || !s.at || s.signals < 0) {
		dk_log(s.self, DK_ERROR, "the supervisor cannot be set up: %s", strerror(errno));
		goto out;
	}
	signal(SIGPIPE, SIG_IGN);
	for (uint32_t i = 0; i < s.n; i++)
		s.at[i] = (struct child){ .tell = -1, .ask = -1, .backoff_ms = BACKOFF_MS };
	s.at[0].restart_ms = 1;
	while (!(worker = births(&s, ret_worker)) && goes_on(&s, &ms)) {
		wait_and_hear(&s, fds, ms);
		kill_late(&s);
	}
	*ret_code = s.code;
	if (worker)
		s.signals = -1; /* closed, as all else is */
	else
		dk_log(s.self, DK_INFO, "the last worker has ended; exit code %d", s.code);
	for (size_t i = 0; i < s.shared_n && !worker; i++)
		close(s.shared[i].fd);
out:
	if (s.signals >= 0)
		close(s.signals);
	free(s.at);
	free(fds);
	return worker;
}
