/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls between two nodes on loopback, sealed with a cluster key, answered by a raw handler: how long one takes when it is alone,
 * beside the same bytes over a bare TCP connection, and how many a second there are with so many under way. One node on each of
 * two cores.
 *
 *   bench_mesh [IN-FLIGHT=256] [SECONDS=3] [PAYLOAD=64] [--json]
 */
#include "rig.h"

#include <diarkis/carrier.h>
#include <diarkis/diarkis.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define ALONE 20000 /* calls one after the other, the first tenth of which does not count */
#define ECHO_CMD 20001
#define PAYLOAD_MAX 1024

/* What the two processes tell each other. */
struct shared {
	volatile uint32_t port; /* of the node that answers */
	uint32_t in_flight, payload;
	uint64_t until_us; /* when calls end */
	volatile uint64_t done;
	uint64_t took_us;
	double cpu_us[2]; /* of the node that asks, and of the one that answers */
	double alone_us[ALONE];
};
static struct shared *shared;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- the node that answers, and the one that asks ---- */

struct bench {
	struct dk_self base;
	struct dk_carrier *carrier;
	struct dk_addr to;
	uint64_t sent_us, began_us;
	unsigned alone;
	uint32_t under_way;
	uint8_t payload[PAYLOAD_MAX];
};

#define BENCH_COMMANDS(X, R)                                                                                                       \
	R(struct bench, DK_VER_NODE, ECHO_CMD, "bench.echo", on_echo, DK_INTERNAL, "comes back", DK_IN(rest(any)),                 \
	  DK_OUT(rest(any)))
DK_COMMANDS(bench, BENCH_COMMANDS)

static int on_echo(struct bench *b, struct dk_call *call)
{
	(void)b;
	return dk_answer(call, call->payload);
}

static void ask(struct bench *b);

static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct bench *b = self;
	uint64_t now = dk_now_us(self);

	(void)arg;
	if (err || status != DK_STATUS_OK || body.n != shared->payload)
		rig_die("a call ended with %d, status %d, %zu bytes", err, status, body.n);
	if (shared->in_flight == 1) {
		shared->alone_us[b->alone++] = now_us();
		if (b->alone == ALONE)
			dk_node_stop(b);
		else
			ask(b);
		return;
	}
	shared->done++;
	if (now < shared->until_us) {
		ask(b);
	} else if (--b->under_way == 0) {
		shared->took_us = now - b->began_us;
		dk_node_stop(b);
	}
}

static void ask(struct bench *b)
{
	int rc = b->carrier->request(b->carrier, b, &b->to, DK_VER_NODE, ECHO_CMD, dk_slice_n(b->payload, shared->payload), 10000,
				     answered, NULL, NULL);

	if (rc)
		rig_die("a request was refused: %d", rc);
}

static void begin(void *self, uint64_t arg)
{
	struct bench *b = self;

	(void)arg;
	b->began_us = dk_now_us(b);
	shared->until_us += b->began_us;
	for (b->under_way = 0; b->under_way < shared->in_flight; b->under_way++)
		ask(b);
}

static void bench_started(void *self)
{
	struct bench *b = self;

	if (!shared->port) {
		shared->port = b->carrier->addr.port;
		return;
	}
	b->to = b->carrier->addr;
	b->to.port = (uint16_t)shared->port;
	dk_defer(b, begin, 0);
}

static const struct dk_need bench_needs[] = { DK_NEED(struct bench, carrier, DK_CARRIER), { 0 } };
static const struct dk_ops bench_ops = { .started = bench_started };

DK_PLUGIN(bench) = { DK_PLUGIN_HEAD("bench", "1.0.0", "calls another node"), .self_size = sizeof(struct bench),
		     .needs = bench_needs, .commands = bench_commands, .ops = &bench_ops };

static int run_node(void)
{
	static const struct dk_plugin_desc *const builtin[] = { &dk_plugin_bench, NULL };
	static const char *const dirs[] = { "build/plugins/.libs", "plugins/.libs", NULL };
	struct dk_boot b = { .size = sizeof(b), .builtin = builtin, .plugin_dirs = dirs, .config_name = "bench" };
	struct dk_env *env = dk_env_uv();
	struct dk_kernel *k;
	int rc;

	b.config_text = "log = { level = \"warn\"; };\nplugins = { mesh = { port = 18000; key = \"" KEY "\"; }; bench = {}; };\n";
	rc = dk_kernel_new(env, &b, &k);
	if (rc == 0)
		rc = dk_start(k);
	return rc;
}

static pid_t child(int cpu, int (*fn)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rig_pin(cpu);
	_exit(fn());
}

/* Waits for its end; the time that it was on a processor. */
static double ended(pid_t pid, int *ret_status)
{
	struct rusage u;

	wait4(pid, ret_status, 0, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void nodes(uint32_t in_flight, uint64_t us, uint32_t payload)
{
	pid_t answers, asks;
	int status;

	shared->port = 0;
	shared->done = 0;
	shared->in_flight = in_flight;
	shared->payload = payload;
	shared->until_us = us;
	answers = child(0, run_node);
	while (!shared->port)
		if (waitpid(answers, &status, WNOHANG) == answers)
			rig_die("the node that answers did not start");
	asks = child(1, run_node);
	shared->cpu_us[0] = ended(asks, &status);
	kill(answers, SIGTERM);
	shared->cpu_us[1] = ended(answers, NULL);
	if (status)
		rig_die("the node that asks did not end well");
}

/* ---- bare TCP ---- */

static int bare[2]; /* a connected pair */

static void bare_open(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (bind(l, (struct sockaddr *)&a, n) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &n))
		rig_die("no listener");
	bare[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(bare[0], (struct sockaddr *)&a, n))
		rig_die("no connection");
	bare[1] = accept(l, NULL, NULL);
	close(l);
	for (int i = 0; i < 2; i++)
		setsockopt(bare[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int bare_answers(void)
{
	char buf[PAYLOAD_MAX];
	ssize_t n;

	while ((n = read(bare[1], buf, sizeof(buf))) > 0)
		if (write(bare[1], buf, (size_t)n) != n)
			return 1;
	return 0;
}

static int bare_asks(void)
{
	char buf[PAYLOAD_MAX] = { 0 };

	for (unsigned i = 0; i < ALONE; i++) {
		size_t got = 0;

		if (write(bare[0], buf, shared->payload) != (ssize_t)shared->payload)
			return 1;
		while (got < shared->payload) {
			ssize_t n = read(bare[0], buf, sizeof(buf));

			if (n <= 0)
				return 1;
			got += (size_t)n;
		}
		shared->alone_us[i] = now_us();
	}
	return 0;
}

/* From the times at which they ended to the median of how long each took. */
static double median_alone(void)
{
	static double each[ALONE];
	size_t n = 0;

	for (unsigned i = ALONE / 10; i < ALONE; i++)
		each[n++] = shared->alone_us[i] - shared->alone_us[i - 1];
	return rig_median(each, n);
}

static double bare_alone(uint32_t payload)
{
	pid_t answers, asks;
	int status;

	shared->payload = payload;
	bare_open();
	answers = child(0, bare_answers);
	asks = child(1, bare_asks);
	waitpid(asks, &status, 0);
	kill(answers, SIGTERM);
	waitpid(answers, NULL, 0);
	close(bare[0]);
	close(bare[1]);
	if (status)
		rig_die("the bare connection broke");
	return median_alone();
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && !strcmp(argv[argc - 1], "--json");
	uint32_t in_flight = 256, payload = 64;
	double seconds = 3, tcp, call, rate, asks_us, answers_us;

	if (json)
		argc--;
	if (argc > 1)
		in_flight = (uint32_t)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		seconds = strtod(argv[2], NULL);
	if (argc > 3)
		payload = (uint32_t)strtoul(argv[3], NULL, 10);
	if (in_flight < 2 || payload < 1 || payload > PAYLOAD_MAX)
		rig_die("in flight: at least 2; payload: 1 to %d", PAYLOAD_MAX);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		rig_die("no memory");
	tcp = bare_alone(payload);
	nodes(1, 0, payload);
	call = median_alone();
	nodes(in_flight, (uint64_t)(seconds * 1e6), payload);
	rate = (double)shared->done / ((double)shared->took_us / 1e6);
	asks_us = shared->cpu_us[0] / (double)shared->done;
	answers_us = shared->cpu_us[1] / (double)shared->done;
	if (json)
		printf("{\"bench\":\"mesh\",\"payload\":%u,\"tcp_us\":%.2f,\"call_us\":%.2f,\"ratio\":%.3f,\"in_flight\":%u,"
		       "\"calls_per_s\":%.0f,\"cpu_us_asks\":%.3f,\"cpu_us_answers\":%.3f}\n",
		       payload, tcp, call, call / tcp, in_flight, rate, asks_us, answers_us);
	else
		printf("%u bytes there and back: bare TCP %.1f us, sealed call %.1f us (%.2f times); %u in flight: %.0f calls/s, "
		       "%.2f us "
		       "of a core to ask and %.2f us to answer\n",
		       payload, tcp, call, call / tcp, in_flight, rate, asks_us, answers_us);
	return 0;
}
