/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of idle users: how much the resident memory of a node grows per user who is connected and only says now and then that he
 * lives. The users are those of `diarkis-bot idle`, beside which it also tells whether any got lost.
 *
 *   bench_idle [UDP-USERS=100000] [TCP-USERS=8000] [--json]
 */
#include "rig.h"

#include <stdlib.h>

#include "wire/peer.h"
#include "wire/stream.h"

#define CONFIG                                                                                                                     \
	"log = { level = \"warn\"; };\nplugins = { http = { port = 17000; }; endpoint = {}; user = {};\n"                          \
	"udp = { port = 17100; connectionTTL = 30; }; tcp = { port = 17200; connectionTTL = 30; }; };\n"

/* The number behind a key in the bot's one line of JSON. */
static double number(const char *json, const char *key)
{
	const char *at = strstr(json, key);

	if (!at)
		rig_die("diarkis-bot printed no %s: %.200s", key, json);
	return strtod(at + strlen(key) + 2, NULL); /* ": */
}

static void measure(const char *type, unsigned long users, bool json)
{
	const char *program = getenv("BENCH_BOT");
	char command[512], line[1024] = "";
	struct rig_node n;
	double each;
	FILE *bot;

	if (!program)
		rig_die("BENCH_BOT names diarkis-bot; ./dev bench sets it");
	rig_node_start(&n, CONFIG);
	snprintf(command, sizeof(command),
		 "%s idle --endpoint http://127.0.0.1:%u --type %s --bots %lu --seconds 12 --ttl 20 --pid %d --json --quiet",
		 program, n.http, type, users, (int)n.pid);
	bot = popen(command, "r");
	if (!bot || !fgets(line, sizeof(line), bot))
		rig_die("diarkis-bot did not run: %s", command);
	if (pclose(bot))
		rig_die("users got lost: %s", line);
	if (rig_node_stop(&n))
		rig_die("the node did not end well");
	each = number(line, "\"server_bytes_per_user\"");
	if (json)
		printf("{\"bench\":\"idle\",\"type\":\"%s\",\"users\":%lu,\"bytes_per_user\":%.0f,\"connect_s\":%.2f}\n", type,
		       users, each, number(line, "\"connect_s\""));
	else
		printf("%s: %.0f bytes per user, %lu users, connected in %.2f s\n", type, each, users,
		       number(line, "\"connect_s\""));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && !strcmp(argv[argc - 1], "--json");
	unsigned long udp = 100000, tcp = 8000;

	if (json)
		argc--;
	if (argc > 1)
		udp = strtoul(argv[1], NULL, 10);
	if (argc > 2)
		tcp = strtoul(argv[2], NULL, 10);
	if (!json)
		printf("of which the wire's: UDP %zu, TCP %zu bytes\n", sizeof(struct wire_peer), sizeof(struct wire_stream));
	if (udp)
		measure("UDP", udp, json);
	if (tcp)
		measure("TCP", tcp, json);
	return 0;
}
