/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the modules cost: CPU time of the servers for each delivery of a room's broadcast, a group's, a session's, a state, a direct
 * message, and for each increment in dive; where all of it is on one node, and where it goes between two. The nodes share core 0,
 * the clients, which are diarkis-bot, have core 1. "Between two": the members of groups and sessions, and the two who write to each
 * other, are on both nodes in turn; half of dive's keys belong to the other node.
 *
 * Then the operations of dive by themselves, asked for by a plugin on the first node (diver.c), 64 at a time, without clients: of
 * keys that the node has, and of keys that the other one has.
 *
 *   bench_modules [SECONDS=5] [BOTS=256] [--json]
 */
#include "diver.h"
#include "rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULES                                                                                                                    \
	"user = {}; room = { state_interval_ms = 17; }; group = {}; session = {}; dm = { storageTargetNodeType = \"\"; };\n"       \
	"dive = { storages = { tally = { copies = %d; }; diver = { copies = %d; }; }; }; tally = { file = \"%s\"; };\n"
#define CLUSTER                                                                                                                    \
	"mesh = { port = %d; marsAddress = \"127.0.0.1\"; marsPort = %u;\n"                                                        \
	"	key = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"; };\n"

static unsigned mars_port; /* one for each cluster of a run: other runs have theirs */
static char tally[512], diver[512]; /* diver: its section; "" = it is not there */

struct load {
	const char *what, *scenario, *args;
	const char *unit; /* what of the figures is counted */
};

static const struct load loads[] = {
	{ "room broadcast", "room", "--members 16 --rate %u", "delivered" },
	{ "group broadcast", "group", "--members 16 --rate %u", "delivered" },
	{ "session broadcast", "session", "--members 16 --rate %u", "delivered" },
	{ "room state", "state", "--members 16 --size 24 --rate %u", "delivered" },
	{ "direct message", "dm", "--rate %u", "delivered" },
	{ "dive increment", "dive", "--members 16 --rate %u", "counted" },
};

/* ---- nodes ---- */

/* One that does everything, of a cluster when others may come. */
static void start_first(struct rig_node *n, bool cluster, int copies)
{
	char config[4096], mesh[512] = "", modules[2048];

	if (cluster) {
		mars_port = rig_free_port();
		snprintf(mesh, sizeof(mesh), CLUSTER "mars = { serve = true; address = \"127.0.0.1\"; port = %u; };\n", 18000,
			 mars_port, mars_port);
	}
	snprintf(modules, sizeof(modules), MODULES, copies, copies, tally);
	snprintf(config, sizeof(config),
		 "log = { level = \"warn\"; };\nplugins = { http = { port = 17000; }; endpoint = {}; udp = { port = 17100; "
		 "};\n%s%s%s};\n",
		 mesh, modules, diver);
	rig_node_start(n, config);
}

static void start_second(struct rig_node *n, int copies)
{
	char config[4096], mesh[512], modules[2048];

	snprintf(mesh, sizeof(mesh), CLUSTER "mars = {};\n", 18010, mars_port);
	snprintf(modules, sizeof(modules), MODULES, copies, copies, tally);
	snprintf(config, sizeof(config), "log = { level = \"warn\"; };\nplugins = { udp = { port = 17200; };\n%s%s};\n", mesh,
		 modules);
	rig_node_start(n, config);
}

/* ---- clients ---- */

/* The first number behind a key in the bot's one line of JSON. */
static double number(const char *json, const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\": ", key);
	at = strstr(json, quoted);
	if (!at)
		rig_die("diarkis-bot printed no %s: %.200s", key, json);
	return strtod(at + strlen(quoted), NULL);
}

/* Its line of JSON; returns its exit status. */
static int bots(const struct rig_node *n, const char *arguments, char *json, size_t cap)
{
	char command[1024];
	int status;
	FILE *f;

	snprintf(command, sizeof(command), "taskset -c 1 %s %s --endpoint http://127.0.0.1:%u --json --quiet 2>&1",
		 getenv("BENCH_BOT"), arguments, n->http);
	f = popen(command, "r");
	if (!f)
		rig_die("cannot run %s", command);
	json[0] = '\0';
	while (fgets(json, (int)cap, f) && json[0] != '{')
		;
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Nodes have found out which of them keeps what once users find each other. */
static void wait_until_ready(const struct rig_node *n)
{
	uint64_t until = rig_now_us() + 30000000;
	char json[8192];

	while (bots(n, "dm --bots 8 --messages 1 --reliable --drain 1", json, sizeof(json)) ||
	       bots(n, "dive --bots 64 --members 1 --messages 1 --drain 1", json, sizeof(json))) {
		if (rig_now_us() > until)
			rig_die("the nodes were not ready within 30 s");
	}
}

static double cpu_us(const struct rig_node *n, unsigned nodes)
{
	double sum = 0;

	for (unsigned i = 0; i < nodes; i++) {
		struct rig_cpu c = rig_cpu_of(n[i].pid);

		sum += (double)(c.user + c.sys);
	}
	return sum;
}

static void measure(const struct rig_node *n, unsigned nodes, const struct load *l, const char *where, unsigned count,
		    unsigned secs, bool json)
{
	char arguments[512], load[128], line[8192];
	/* What one bot says is heard by one or by sixteen: so that each load is a good part of what a core can do. */
	unsigned rate = strstr(l->args, "--members 16") && strcmp(l->scenario, "dive") != 0 ? 10 : 40;
	double before = cpu_us(n, nodes), used, done, per_s;
	const char *latency;

	snprintf(load, sizeof(load), l->args, rate);
	snprintf(arguments, sizeof(arguments), "%s --bots %u --seconds %u --reliable %s", l->scenario, count, secs, load);
	if (bots(n, arguments, line, sizeof(line)))
		fprintf(stderr, "%s, %s: not all was delivered\n", l->what, where);
	used = cpu_us(n, nodes) - before;
	done = number(line, l->unit);
	per_s = done / number(line, "seconds");
	latency = strstr(line, !strcmp(l->scenario, "dive") ? "\"count_us\"" : "\"delivery_us\"");
	if (!done || !latency)
		rig_die("%s, %s: nothing was measured: %.200s", l->what, where, line);
	if (json)
		printf("{\"bench\":\"modules\",\"what\":\"%s\",\"where\":\"%s\",\"bots\":%u,\"per_s\":%.0f,\"cpu_us\":%.3f,"
		       "\"core_per_s\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n",
		       l->what, where, count, per_s, used / done, done / used * 1e6, number(latency, "p50"),
		       number(latency, "p99"));
	else
		printf("%-18s %-24s %9.0f/s %9.2f us %11.0f/s a core   p50 %6.0f us  p99 %7.0f us\n", l->what, where, per_s,
		       used / done, done / used * 1e6, number(latency, "p50"), number(latency, "p99"));
	fflush(stdout);
}

/* ---- dive by itself ---- */

static struct diver_share *share;
static char share_file[] = "/tmp/bench-diver-XXXXXX";

static void open_share(void)
{
	int fd = mkstemp(share_file);

	if (fd < 0 || ftruncate(fd, sizeof(*share)))
		rig_die("cannot make %s", share_file);
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (share == MAP_FAILED)
		rig_die("cannot map %s", share_file);
	setenv("BENCH_DIVER_FILE", share_file, 1);
}

static void await_diver(void)
{
	uint64_t until = rig_now_us() + 30000000;

	while (!share->ready) {
		if (rig_now_us() > until)
			rig_die("the keys of dive were not there within 30 s");
		usleep(10000);
	}
}

static void operations(const struct rig_node *n, unsigned nodes, const char *where, unsigned secs, bool json)
{
	static const char *const names[DIVER_STEPS] = { NULL, "set", "get", "increment", "push, pop", "range of 10" };

	await_diver();
	for (uint32_t step = DIVER_SET; step < DIVER_STEPS; step++) {
		uint64_t began, done, failed;
		double used, us;

		share->step = step;
		usleep(300000);
		began = rig_now_us();
		done = share->done;
		failed = share->failed;
		used = cpu_us(n, nodes);
		sleep(secs);
		done = share->done - done;
		used = cpu_us(n, nodes) - used;
		us = (double)(rig_now_us() - began);
		share->step = DIVER_WAITS;
		usleep(100000);
		if (!done || share->failed > failed)
			fprintf(stderr, "dive %s, %s: %llu operations failed\n", names[step], where,
				(unsigned long long)(share->failed - failed));
		if (json)
			printf("{\"bench\":\"modules\",\"what\":\"dive %s\",\"where\":\"%s\",\"in_flight\":%d,\"per_s\":%.0f,"
			       "\"cpu_us\":%.3f,\"core_per_s\":%.0f}\n",
			       names[step], where, DIVER_FLIGHTS, (double)done / us * 1e6, used / (double)done,
			       (double)done / used * 1e6);
		else
			printf("dive %-13s %-24s %9.0f/s %9.2f us %11.0f/s a core\n", names[step], where, (double)done / us * 1e6,
			       used / (double)done, (double)done / used * 1e6);
		fflush(stdout);
	}
}

static void dive_by_itself(unsigned secs, bool json)
{
	struct rig_node n[2];

	open_share();
	for (int round = 0; round < 4; round++) {
		bool cluster = round > 0;
		int copies = round > 1;

		snprintf(diver, sizeof(diver), "diver = { file = \"%s/../../tests/bench/.libs/diver.so\"; remote = %s; };\n",
			 getenv("BENCH_PLUGINS"), round % 2 ? "true" : "false");
		memset(share, 0, sizeof(*share));
		start_first(&n[0], cluster, copies);
		diver[0] = '\0';
		if (cluster)
			start_second(&n[1], copies);
		operations(n, 1 + cluster,
			   !cluster    ? "here, one node"
			   : !copies   ? "on the other node"
			   : round % 2 ? "on the other, copies"
				       : "here, copies",
			   secs, json);
		if (cluster)
			rig_node_stop(&n[1]);
		rig_node_stop(&n[0]);
	}
	unlink(share_file);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && !strcmp(argv[argc - 1], "--json");
	unsigned secs = 5, count = 256;
	struct rig_node n[2];

	argc -= json;
	if (argc > 1)
		secs = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		count = (unsigned)strtoul(argv[2], NULL, 10);
	if (!secs || count < 32)
		rig_die("seconds: 1 or more; bots: 32 or more");
	if (!getenv("BENCH_BOT") || !getenv("BENCH_PLUGINS"))
		rig_die("BENCH_BOT and BENCH_PLUGINS name diarkis-bot and the folder of plugins; ./dev bench sets them");
	snprintf(tally, sizeof(tally), "%s/../../examples/.libs/tally.so", getenv("BENCH_PLUGINS"));
	rig_pin(1);
	start_first(&n[0], false, 0);
	wait_until_ready(&n[0]);
	for (size_t i = 0; i < DK_ARRAY_LEN(loads); i++)
		measure(n, 1, &loads[i], "one node", count, secs, json);
	rig_node_stop(&n[0]);
	for (int copies = 0; copies <= 1; copies++) {
		start_first(&n[0], true, copies);
		start_second(&n[1], copies);
		wait_until_ready(&n[0]);
		for (size_t i = 0; i < DK_ARRAY_LEN(loads); i++) {
			bool dive = !strcmp(loads[i].scenario, "dive");

			/* Rooms are on one node by nature, and copies matter to dive alone. */
			if (strcmp(loads[i].scenario, "room") != 0 && strcmp(loads[i].scenario, "state") != 0 && (dive || !copies))
				measure(n, 2, &loads[i],
					!dive    ? "between two"
					: copies ? "between two, copies"
						 : "between two, no copies",
					count, secs, json);
		}
		rig_node_stop(&n[1]);
		rig_node_stop(&n[0]);
	}
	dive_by_itself(secs > 2 ? 2 : secs, json);
	return 0;
}
