/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void rig_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

uint64_t rig_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

void rig_pin(int cpu)
{
	cpu_set_t set;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

struct rig_cpu rig_cpu_of(pid_t pid)
{
	struct rig_cpu c = { 0, 0 };
	char path[64], line[1024], *p;
	unsigned long user, sys;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f || !fgets(line, sizeof(line), f))
		rig_die("process %d is gone", (int)pid);
	fclose(f);
	p = strrchr(line, ')');
	if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
		rig_die("%s has an unexpected form", path);
	c.user = user * 1000000u / (unsigned long)sysconf(_SC_CLK_TCK);
	c.sys = sys * 1000000u / (unsigned long)sysconf(_SC_CLK_TCK);
	return c;
}

uint16_t rig_free_port(void)
{
	for (int i = 0; i < 100; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
		socklen_t n = sizeof(a);
		bool ok = !bind(udp, (struct sockaddr *)&a, n) && !getsockname(udp, (struct sockaddr *)&a, &n) &&
			  !bind(tcp, (struct sockaddr *)&a, n);

		close(udp);
		close(tcp);
		if (ok)
			return ntohs(a.sin_port);
	}
	rig_die("no port of 127.0.0.1 is free for UDP and TCP");
}

static uint16_t port_in(const char *line, const char *instance)
{
	const char *at = strstr(line, instance), *colon;

	if (!at)
		return 0;
	at += strlen(instance);
	colon = strpbrk(at, " \n");
	while (colon && colon > at && *--colon != ':')
		;
	return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static void map_counts(struct rig_node *n)
{
	void *m;
	int fd;

	n->counts = NULL;
	if (!getenv("BENCH_COUNT"))
		return;
	snprintf(n->count_file, sizeof(n->count_file), "/tmp/diarkis-count-XXXXXX");
	fd = mkstemp(n->count_file);
	if (fd < 0 || ftruncate(fd, sizeof(struct counts)) < 0)
		rig_die("cannot make %s", n->count_file);
	m = mmap(NULL, sizeof(struct counts), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (m == MAP_FAILED)
		rig_die("cannot map %s", n->count_file);
	n->counts = m;
}

void rig_node_forget(struct rig_node *n)
{
	unlink(n->config);
	if (n->counts) {
		munmap((void *)(uintptr_t)n->counts, sizeof(struct counts));
		unlink(n->count_file);
	}
}

static void find_workers(struct rig_node *n)
{
	char path[64];
	FILE *f;
	int pid;

	n->worker_n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)n->pid, (int)n->pid);
	f = fopen(path, "r");
	while (f && n->worker_n < RIG_WORKERS_MAX && fscanf(f, "%d", &pid) == 1)
		n->workers[n->worker_n++] = pid;
	if (f)
		fclose(f);
}

void rig_node_start(struct rig_node *n, const char *config)
{
	const char *program = getenv("BENCH_DIARKISD"), *plugins = getenv("BENCH_PLUGINS");
	uint64_t start;
	char line[1024];
	int out[2], fd;
	FILE *f;

	if (!program || !plugins)
		rig_die("BENCH_DIARKISD and BENCH_PLUGINS name the program and the plugin folder; ./dev bench sets them");
	snprintf(n->config, sizeof(n->config), "/tmp/diarkis-bench-XXXXXX");
	fd = mkstemp(n->config);
	if (fd < 0 || write(fd, config, strlen(config)) != (ssize_t)strlen(config) || pipe(out) < 0)
		rig_die("cannot write %s: %s", n->config, strerror(errno));
	close(fd);
	map_counts(n);
	start = rig_now_us();
	n->pid = fork();
	if (n->pid == 0) {
		if (n->counts) {
			setenv("BENCH_COUNT_FILE", n->count_file, 1);
			setenv("LD_PRELOAD", getenv("BENCH_COUNT"), 1);
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		close(out[0]);
		rig_pin(0);
		execl(program, "diarkisd", "-c", n->config, "-p", plugins, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	if (n->pid < 0 || !f || !fgets(line, sizeof(line), f) || strncmp(line, "ready", 5))
		rig_die("%s did not get ready with the configuration %s", program, n->config);
	n->ready_us = rig_now_us() - start;
	n->http = port_in(line, "http=");
	n->udp = port_in(line, "udp=");
	n->tcp = port_in(line, "tcp=");
	fclose(f);
	find_workers(n);
}

int rig_node_stop(struct rig_node *n)
{
	int status;

	kill(n->pid, SIGTERM);
	waitpid(n->pid, &status, 0);
	rig_node_forget(n);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- users ---- */

static void hex16(const char *json, const char *key, uint8_t out[16])
{
	const char *at = strstr(json, key);

	if (!at)
		rig_die("the endpoint answer has no %s: %.200s", key, json);
	at += strlen(key) + 2; /* :" */
	if (*at == '"') { /* encryption is off */
		memset(out, 0, 16);
		return;
	}
	for (int i = 0; i < 16; i++) {
		unsigned v;

		if (sscanf(at + 2 * i, "%2x", &v) != 1)
			rig_die("%s is not hex", key);
		out[i] = (uint8_t)v;
	}
}

void rig_users(const struct rig_node *n, const char *type, const char *prefix, size_t count, struct dk_credential *creds,
	       uint16_t *ports)
{
	enum { PIPE = 16 };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(n->http), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char buf[65536], *at;
	size_t asked = 0, done = 0, used = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		rig_die("cannot connect to the HTTP port %u: %s", n->http, strerror(errno));
	while (done < count) {
		ssize_t got;

		while (asked < count && asked - done < PIPE) {
			char req[256];
			int len = snprintf(req, sizeof(req), "GET /endpoint/type/%s/user/%s%zu HTTP/1.1\r\nHost: bench\r\n\r\n",
					   type, prefix, asked++);

			if (write(fd, req, (size_t)len) != len)
				rig_die("the HTTP port closed");
		}
		got = read(fd, buf + used, sizeof(buf) - 1 - used);
		if (got <= 0)
			rig_die("the HTTP port closed after %zu of %zu users", done, count);
		used += (size_t)got;
		buf[used] = '\0';
		at = buf;
		for (;;) {
			char *head = strstr(at, "\r\n\r\n"), *len = head ? strcasestr(at, "content-length:") : NULL;
			size_t body;
			char saved;

			if (!len)
				break;
			body = strtoul(len + 15, NULL, 10);
			if ((size_t)(buf + used - head) < 4 + body)
				break;
			saved = head[4 + body];
			head[4 + body] = '\0';
			if (strncmp(at, "HTTP/1.1 200", 12))
				rig_die("the endpoint refused: %s", head + 4);
			hex16(head + 4, "\"sid\"", creds[done].sid);
			hex16(head + 4, "\"encryptionKey\"", creds[done].key);
			hex16(head + 4, "\"encryptionIV\"", creds[done].iv);
			hex16(head + 4, "\"encryptionMacKey\"", creds[done].mac_key);
			if (ports) {
				const char *port = strstr(head + 4, "\"serverPort\":");

				ports[done] = port ? (uint16_t)strtoul(port + 13, NULL, 10) : 0;
			}
			creds[done].encrypted = strstr(head + 4, "\"encryptionKey\":\"\"") == NULL;
			done++;
			head[4 + body] = saved;
			at = head + 4 + body;
		}
		used -= (size_t)(at - buf);
		memmove(buf, at, used);
	}
	close(fd);
}

static int by_value(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

double rig_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n ? n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2 : 0;
}
