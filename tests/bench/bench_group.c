/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of many members on three nodes, beside rooms: CPU time per delivery, of all three nodes together. The nodes are real
 * (mesh, mars, user, group); the network between them is the simulator's and the members are queues of the transport mem, so that
 * neither sockets nor a client's bytes are measured, but everything above them.
 *
 *   bench_group [members=10000] [messages=100] [size=64] [interval=0] [--json]
 */
#include <diarkis/cluster.h>
#include <diarkis/group.h>
#include <diarkis/mem_transport.h>
#include <diarkis/room.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NODES = 3, ROOM = 1000 };

static struct {
	unsigned members, messages, size, interval;
	bool json;
} o = { .members = 10000, .messages = 100, .size = 64 };

static struct dk_env *world;
static struct dk_harness *registry, *node[NODES];
static dk_id *users[NODES];
static unsigned user_n[NODES];

static void die(const char *what)
{
	fprintf(stderr, "bench_group: %s\n", what);
	exit(1);
}

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct dk_harness *start(unsigned i, bool is_registry)
{
	static const char *const dirs[] = { "build/plugins/.libs", "plugins/.libs", NULL };
	char conf[512], ip[16];
	struct dk_harness *h;

	snprintf(ip, sizeof(ip), "10.0.0.%u", i);
	snprintf(conf, sizeof(conf),
		 "log = { level = \"error\"; }; plugins = { mesh = { address = \"%s\"; marsAddress = \"10.0.0.1\"; mesh_insecure = "
		 "true; "
		 "}; mars = { %s }; %s };",
		 ip, is_registry ? "serve = true; address = \"10.0.0.1\";" : "",
		 is_registry ? "" : "user = {}; mem = { connectionTTL = 3600; }; group = {}; room = {};");
	h = dk_harness_open(&(const struct dk_harness_opts){ .config = conf, .world = world, .address = ip, .plugin_dirs = dirs });
	if (!h)
		die("a node does not start; run this in the folder of the sources, or of the build");
	return h;
}

static void people(unsigned i, unsigned n)
{
	struct dk_user *svc = dk_harness_service(node[i], DK_USER_NAME);
	struct dk_mem *mem = dk_harness_service(node[i], DK_MEM_NAME);

	users[i] = calloc(n, sizeof(dk_id));
	for (unsigned k = 0; users[i] && k < n; k++) {
		struct dk_mem_client *end = NULL;
		struct dk_credential cred;
		char uid[32];

		snprintf(uid, sizeof(uid), "n%u-%u", i, k);
		if (svc->create(svc, dk_str_c(uid), dk_str_c("MEM"), &cred, &users[i][k]) || mem->connect(mem, cred.sid, &end))
			die("a user could not be made");
		mem->mute(mem, end, true);
	}
	user_n[i] = n;
	dk_sim_run(world, 10);
}

static void report(const char *what, double us, double deliveries, double mesh)
{
	if (o.json)
		printf("{\"bench\":\"group\",\"what\":\"%s\",\"members\":%u,\"size\":%u,\"interval_ms\":%u,\"ns_per_delivery\":%."
		       "1f,"
		       "\"deliveries_per_core_s\":%.0f,\"node_messages_per_message\":%.2f}\n",
		       what, o.members, o.size, o.interval, us * 1000 / deliveries, deliveries / us * 1e6, mesh);
	else
		printf("%-6s %6.1f ns per delivery, %.2f M deliveries/s and core, %.2f messages between nodes for each\n", what,
		       us * 1000 / deliveries, deliveries / us, mesh);
}

static uint64_t counter(const char *plugin, const char *name)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < NODES; i++)
		sum += (uint64_t)dk_harness_counter(node[i], plugin, name);
	return sum;
}

static void bench_group(const uint8_t *message)
{
	struct dk_group_opts opts = { .allow_empty = true, .join = true, .ttl_s = 60, .interval_ms = o.interval };
	struct dk_group *svc[NODES];
	struct dk_group_info info;
	dk_id group[NODES];
	uint64_t pushes, sent;
	double us;

	for (unsigned i = 0; i < NODES; i++)
		svc[i] = dk_harness_service(node[i], DK_GROUP_NAME);
	if (svc[0]->create(svc[0], users[0][0], &opts, &group[0]) || svc[0]->info(svc[0], group[0], &info))
		die("no group");
	us = cpu_us();
	for (unsigned i = 0; i < NODES; i++)
		for (unsigned k = i == 0; k < user_n[i]; k++)
			if (svc[i]->join(svc[i], svc[i], &info.id, users[i][k], 2, 1, dk_slice_n(NULL, 0), NULL, NULL))
				die("a join was not taken");
	dk_sim_run(world, 5000);
	us = cpu_us() - us;
	for (unsigned i = 0; i < NODES; i++) {
		group[i] = svc[i]->find(svc[i], &info.id);
		if (svc[i]->info(svc[i], group[i], &info) || info.members != o.members)
			die("not all members came");
	}
	if (!o.json)
		printf("joins  %6.1f ns each\n", us * 1000 / o.members);
	pushes = counter("group", "pushes");
	sent = counter("group", "sent");
	us = cpu_us();
	for (unsigned m = 0; m < o.messages; m++) {
		if (svc[m % NODES]->broadcast(svc[m % NODES], group[m % NODES], users[m % NODES][0], 2, 1,
					      dk_slice_n(message, o.size), true))
			die("a broadcast was not taken");
		dk_sim_run(world, 10);
	}
	dk_sim_run(world, 1000);
	us = cpu_us() - us;
	pushes = counter("group", "pushes") - pushes;
	if (!o.interval && pushes != (uint64_t)o.messages * o.members)
		die("messages are missing");
	report("group", us, (double)o.messages * o.members, (double)(counter("group", "sent") - sent) / o.messages);
}

/* The same members in rooms of 1,000, and as many deliveries. */
static void bench_rooms(const uint8_t *message)
{
	struct dk_room_opts opts = { .max_members = ROOM, .allow_empty = true, .ttl_s = 60, .interval_ms = o.interval };
	uint64_t deliveries = 0;
	double us = 0;

	for (unsigned i = 0; i < NODES; i++) {
		struct dk_room *svc = dk_harness_service(node[i], DK_ROOM_NAME);

		for (unsigned first = 0; first + ROOM <= user_n[i]; first += ROOM) {
			dk_id room;
			double at;

			if (svc->create(svc, 0, &opts, &room))
				die("no room");
			for (unsigned k = first; k < first + ROOM; k++)
				if (svc->join(svc, room, users[i][k], 2, 1, dk_slice_n(NULL, 0)))
					die("a room is not joined");
			dk_sim_run(world, 10);
			at = cpu_us();
			for (unsigned m = 0; m < o.messages; m++) {
				svc->broadcast(svc, room, users[i][first], 2, 1, dk_slice_n(message, o.size), true);
				dk_sim_run(world, 10);
			}
			dk_sim_run(world, 1000);
			us += cpu_us() - at;
			deliveries += (uint64_t)o.messages * ROOM;
		}
	}
	if (deliveries)
		report("rooms", us, (double)deliveries, 0);
}

static bool option(const char *arg, const char *name, unsigned *ret_value)
{
	size_t n = strlen(name);

	if (strncmp(arg, name, n) != 0 || arg[n] != '=')
		return false;
	*ret_value = (unsigned)strtoul(arg + n + 1, NULL, 10);
	return true;
}

int main(int argc, char **argv)
{
	uint8_t *message;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			o.json = true;
		else if (!option(argv[i], "members", &o.members) && !option(argv[i], "messages", &o.messages) &&
			 !option(argv[i], "size", &o.size) && !option(argv[i], "interval", &o.interval))
			die("usage: bench_group [members=10000] [messages=100] [size=64] [interval=0] [--json]");
	}
	if (o.members < NODES || !o.messages || o.size > 60000)
		die("members is at least 3, messages at least 1, size at most 60000");
	world = dk_env_sim(1);
	registry = start(1, true);
	for (unsigned i = 0; i < NODES; i++)
		node[i] = start(i + 2, false);
	dk_sim_run(world, 5000);
	for (unsigned i = 0; i < NODES; i++)
		people(i, o.members / NODES + (i < o.members % NODES));
	message = calloc(1, o.size + 1);
	if (!message)
		die("out of memory");
	bench_group(message);
	bench_rooms(message);
	free(message);
	for (unsigned i = 0; i < NODES; i++) {
		dk_harness_kill(node[i]);
		free(users[i]);
	}
	dk_harness_kill(registry);
	dk_env_free(world);
	return 0;
}
