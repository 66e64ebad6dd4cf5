/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-mars-stats: who is in the cluster, as one node (a registry, usually) knows it. The node describes every node as a JSON
 * object; --json prints those as they came, the table picks what fits a line.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <diarkis/cursor.h>
#include <diarkis/err.h>
#include <diarkis/mars_commands.h>
#include <diarkis/version.h>

#include "tools/guest.h"

static const char usage[] =
	"Usage: diarkis-mars-stats [OPTION]... [ADDRESS]\n"
	"\n"
	"Shows the nodes that the node at ADDRESS (host:port of MARS, or of any node's mesh) knows. Without ADDRESS it is that of\n"
	"$DIARKIS_MARS_ADDR and $DIARKIS_MARS_PORT, else 127.0.0.1:6779.\n"
	"\n"
	"  -j, --json             one JSON object: {\"nodes\":[...]}; the fields of a node are those of <diarkis/mars_commands.h>\n"
	"  -k, --key-file FILE    the cluster key (default: $DIARKIS_CLUSTER_KEY_FILE or $DIARKIS_CLUSTER_KEY)\n"
	"  -c, --cluster NAME     name of the cluster (default: diarkis)\n"
	"  -w, --timeout SECONDS  (default 3)\n"
	"  -V, --version\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 good; 1 no answer; 2 usage; 78 wrong configuration.\n";

#define PAGES_MAX 100000 /* a node that never says the last page is not believed for ever */

static int complain(const char *why)
{
	fprintf(stderr, "diarkis-mars-stats: %s\n", why);
	return DK_EXIT_RUNTIME;
}

/* One page of nodes into the list; *from is where the next one begins, 0 at the end. */
static int fetch_page(struct guest *g, uint32_t *from, json_t *list, char why[PROBE_WHY])
{
	uint8_t ask[4];
	struct dk_writer w = dk_writer_on(ask, sizeof(ask));
	struct dk_cursor c;
	dk_slice body, text;
	json_t *page;

	dk_wr_u32(&w, *from);
	if (guest_ask(g, MARS_CMD_SCAN, dk_written(&w), &body, why))
		return 1;
	c = dk_cursor_of(body);
	*from = dk_rd_u32(&c);
	dk_rd_u32(&c); /* how many there are in all */
	text = dk_rd_bytes32(&c);
	page = !c.bad ? json_loadb((const char *)text.p, text.n, 0, NULL) : NULL;
	if (!json_is_array(page)) {
		snprintf(why, PROBE_WHY, "what the node answered is no page of nodes; is it of another version?");
		json_decref(page);
		return 1;
	}
	json_array_extend(list, page);
	json_decref(page);
	return 0;
}

static const char *text_of(const json_t *node, const char *key)
{
	const char *text = json_string_value(json_object_get(node, key));

	return text ? text : "?";
}

/* "UDP=10.0.0.1:7100 TCP=10.0.0.1:7200" */
static void print_endpoints(const json_t *node)
{
	const json_t *list = json_object_get(node, "endpoints");
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) printf("%s%s=%s:%lld", i ? " " : "", text_of(e, "type"), text_of(e, "host"),
					      (long long)json_integer_value(json_object_get(e, "port")));
	putchar('\n');
}

static void print_table(const json_t *list)
{
	json_t *node;
	size_t i;

	printf("%-21s  %-7s  %-8s  %8s  %-10s  %-12s  %9s  %s\n", "NODE", "STATE", "HEALTH", "USERS", "VERSION", "APP", "HEARD",
	       "SERVES");
	json_array_foreach(list, i, node)
	{
		long long heard = json_integer_value(json_object_get(node, "heard_ms"));
		bool degraded = json_is_true(json_object_get(node, "degraded"));
		char age[24], health[16];

		snprintf(age, sizeof(age), heard < 0 ? "never" : "%lld ms", heard);
		snprintf(health, sizeof(health), "%s%s", text_of(node, "health"), degraded ? "*" : "");
		printf("%-21s  %-7s  %-8s  %8lld  %-10s  %-12s  %9s  ", text_of(node, "address"), text_of(node, "state"), health,
		       (long long)json_integer_value(json_object_get(node, "users")), text_of(node, "version"),
		       text_of(node, "app"), age);
		print_endpoints(node);
	}
	printf("%zu nodes; * = heard of through others only\n", json_array_size(list));
}

static int show(const struct probe *p, const struct guest_key *key, bool json)
{
	struct guest g;
	json_t *list = json_array(), *all;
	char why[PROBE_WHY];
	uint32_t from = 0, pages = 0;
	int rc = guest_open(&g, p, key, why);

	while (!rc) {
		rc = fetch_page(&g, &from, list, why);
		if (!from)
			break;
		if (!rc && ++pages == PAGES_MAX) {
			snprintf(why, sizeof(why), "the node's table has no end");
			rc = 1;
		}
	}
	if (rc) {
		complain(why);
	} else if (json) {
		all = json_pack("{s:O}", "nodes", list);
		json_dumpf(all, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(all);
	} else {
		print_table(list);
	}
	json_decref(list);
	guest_close(&g);
	return rc;
}

/* Where MARS is, as a node would find it: the first of a list, with the port that it or its own variable says. */
static const char *default_address(char *buf, size_t n)
{
	const char *addr = getenv("DIARKIS_MARS_ADDR"), *port = getenv("DIARKIS_MARS_PORT");
	int len;

	if (!addr || !*addr)
		addr = "127.0.0.1";
	len = (int)strcspn(addr, ", ");
	if (memchr(addr, ':', (size_t)len) && addr[0] != '[' && memchr(addr, ':', (size_t)len) == strrchr(addr, ':'))
		snprintf(buf, n, "%.*s", len, addr);
	else
		snprintf(buf, n, "%.*s:%s", len, addr, port && *port ? port : "6779");
	return buf;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "key-file", required_argument, NULL, 'k' },
						 { "cluster", required_argument, NULL, 'c' },
						 { "timeout", required_argument, NULL, 'w' },
						 { "version", no_argument, NULL, 'V' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct probe p = { .address = "" };
	struct guest_key key = { NULL, NULL };
	char address[300], *end;
	bool json = false;
	double seconds = 3;
	int c;

	while ((c = getopt_long(argc, argv, "jk:c:w:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'k':
			key.file = optarg;
			break;
		case 'c':
			key.cluster = optarg;
			break;
		case 'w':
			seconds = strtod(optarg, &end);
			if (*end || !(seconds >= 0.001) || seconds > 3600) {
				fprintf(stderr, "diarkis-mars-stats: --timeout %s: expected seconds, up to 3600\n", optarg);
				return DK_EXIT_USAGE;
			}
			break;
		case 'V':
			puts("diarkis-mars-stats " DK_VERSION);
			return DK_EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return DK_EXIT_OK;
		default:
			fputs("Try diarkis-mars-stats --help\n", stderr);
			return DK_EXIT_USAGE;
		}
	}
	if (optind + 1 < argc) {
		fputs("Expected one address at most; try diarkis-mars-stats --help\n", stderr);
		return DK_EXIT_USAGE;
	}
	p.target = optind < argc ? argv[optind] : default_address(address, sizeof(address));
	p.deadline = probe_now() + (uint64_t)(seconds * 1000);
	return show(&p, &key, json);
}
