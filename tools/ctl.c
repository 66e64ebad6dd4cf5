/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkisctl: tells a running node what to do. A command for operators is called by its name, over the mesh, with arguments as
 * text; the node knows how many it takes and of what types, and says so. Nothing is compiled in here but the one row that calls
 * others, so commands of anybody's plugins will do.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <diarkis/cursor.h>
#include <diarkis/err.h>
#include <diarkis/version.h>

#include "tools/guest.h"

#define MESH_CALL 1021

static const char usage[] =
	"Usage: diarkisctl [OPTION]... call ADDRESS COMMAND [ARGUMENT]...\n"
	"\n"
	"Calls a command of the node at ADDRESS (host:port of its mesh, as in its ready line and in DIARKIS_MESH_ADDR) and prints\n"
	"what it answers. Commands are those that diarkisd --explain shows as admin; flags are true or false, bytes hex digits,\n"
	"lists of texts have commas between them.\n"
	"\n"
	"  -k, --key-file FILE    the cluster key (default: $DIARKIS_CLUSTER_KEY_FILE or $DIARKIS_CLUSTER_KEY)\n"
	"  -c, --cluster NAME     name of the cluster (default: diarkis)\n"
	"  -w, --timeout SECONDS  for the answer (default 3)\n"
	"  -V, --version\n"
	"  -h, --help\n"
	"\n"
	"Examples:\n"
	"  diarkisctl call 10.0.0.7:8000 notifier.notify maintenance-7 \"\" 300000 true \"Maintenance in 5 minutes\"\n"
	"  diarkisctl call 10.0.0.7:8000 notifier.remove maintenance-7\n"
	"  diarkisctl call $(cat /tmp/DIARKIS_MESH_ADDR) user.drain\n"
	"\n"
	"Exit status: 0 it was done; 1 it was refused, or there was no answer; 2 usage; 78 wrong configuration.\n";

static int misused(const char *sentence)
{
	fprintf(stderr, "diarkisctl: %s\nTry diarkisctl --help\n", sentence);
	return DK_EXIT_USAGE;
}

static int call(const struct probe *p, const struct guest_key *key, const char *name, char **args, size_t n)
{
	uint8_t buf[WIRE_GUEST_PAYLOAD];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct guest g;
	dk_slice answer;
	char why[PROBE_WHY];
	int rc;

	dk_wr_bytes16(&w, dk_slice_of(dk_str_c(name)));
	dk_wr_u16(&w, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(args[i])));
	if (w.bad) {
		snprintf(why, sizeof(why), "the arguments are too long: with the name %d bytes fit", WIRE_GUEST_PAYLOAD);
		return misused(why);
	}
	rc = guest_open(&g, p, key, why);
	if (!rc)
		rc = guest_ask(&g, MESH_CALL, dk_written(&w), &answer, why);
	if (rc)
		fprintf(stderr, "diarkisctl: %s\n", why);
	else if (answer.n)
		printf(DK_STR_FMT "\n", DK_STR_ARG(dk_str_of(answer)));
	guest_close(&g);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "key-file", required_argument, NULL, 'k' }, { "cluster", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, 'w' },  { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 }
	};
	struct probe p = { .address = "" };
	struct guest_key key = { NULL, NULL };
	double seconds = 3;
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "+k:c:w:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'k':
			key.file = optarg;
			break;
		case 'c':
			key.cluster = optarg;
			break;
		case 'w':
			seconds = strtod(optarg, &end);
			if (*end || !(seconds >= 0.001) || seconds > 3600)
				return misused("--timeout: expected seconds, up to 3600");
			break;
		case 'V':
			puts("diarkisctl " DK_VERSION);
			return DK_EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return DK_EXIT_OK;
		default:
			fputs("Try diarkisctl --help\n", stderr);
			return DK_EXIT_USAGE;
		}
	}
	argc -= optind;
	argv += optind;
	if (argc < 1 || strcmp(argv[0], "call") != 0)
		return misused("what to do? expected call");
	if (argc < 3)
		return misused("call: expected an address and the name of a command");
	p.target = argv[1];
	p.deadline = probe_now() + (uint64_t)(seconds * 1000);
	return call(&p, &key, argv[2], argv + 3, (size_t)argc - 3);
}
