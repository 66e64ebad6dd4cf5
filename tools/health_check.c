/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-health-check: is the server at this address alive? One question, one line, exit status 0 or 1: what the probes of
 * Kubernetes want. This file reads the command line and the configuration; health_out.c asks from outside, as a client would,
 * health_mesh.c from inside, as a node would.
 *
 * A probe has a second in all (health.h), whatever the network does, so that the usual time-out of a second still sees the line.
 */
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <diarkis/err.h>
#include <diarkis/version.h>

#include "tools/health.h"

static const char usage[] =
	"Usage: diarkis-health-check [OPTION]... ADDRESS out|in|mars [CONFIG]\n"
	"\n"
	"Says in one line, and by its exit status, whether the server at ADDRESS (host:port) is well.\n"
	"\n"
	"  out    as clients see it: ADDRESS is what the server wrote to DIARKIS_PUBLIC_ADDR in its temporary folder\n"
	"  in     as other nodes see it: ADDRESS is what it wrote to DIARKIS_MESH_ADDR\n"
	"  mars   the same, and whether it hears MARS\n"
	"\n"
	"  -k, --key-file FILE    the cluster key, for in and mars (default: $DIARKIS_CLUSTER_KEY_FILE or $DIARKIS_CLUSTER_KEY)\n"
	"  -c, --cluster NAME     name of the cluster (default: diarkis)\n"
	"  -V, --version\n"
	"  -h, --help\n"
	"\n"
	"CONFIG is a JSON object: \"address\" and \"port\" of the probe's own UDP socket, \"level\" (\"error\"; \"debug\" tells\n"
	"what is done). Without it the first of these is taken, and without any of them defaults are:\n"
	"  bin/tools/configs/health-check.json below the current folder\n"
	"  configs/health-check.json beside this program\n"
	"  " DK_SYSCONF_DIR "/health-check.json\n"
	"\n"
	"Examples:\n"
	"  diarkis-health-check $(cat /tmp/DIARKIS_PUBLIC_ADDR) out\n"
	"  diarkis-health-check $(cat /tmp/DIARKIS_MESH_ADDR) mars\n"
	"\n"
	"Exit status: 0 well; 1 not; 2 usage; 78 wrong configuration.\n";

static const char *const quiet_levels[] = { "info", "notice", "warn", "error", "fatal" };
static const char *const loud_levels[] = { "verbose", "network", "sys", "trace", "debug" };

static bool among(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, list[i]) == 0)
			return true;
	return false;
}

/* The reference writes numbers as texts as often as not. */
static bool port_of(const json_t *v, uint16_t *ret_port)
{
	long long n = -1;
	char *end;

	if (json_is_integer(v)) {
		n = json_integer_value(v);
	} else if (json_is_string(v) && *json_string_value(v)) {
		n = strtoll(json_string_value(v), &end, 10);
		if (*end)
			n = -1;
	}
	if (n < 0 || n > 65535)
		return false;
	*ret_port = (uint16_t)n;
	return true;
}

static int read_config(struct probe *p, const char *path, const json_t *root)
{
	const char *key;
	json_t *v;

	if (!json_is_object(root)) {
		fprintf(stderr, "%s: expected an object with \"level\", \"address\" and \"port\".\n", path);
		return DK_EXIT_CONFIG;
	}
	json_object_foreach((json_t *)(uintptr_t)root, key, v)
	{
		const char *text = json_is_string(v) ? json_string_value(v) : NULL;
		bool good = true;

		if (strcmp(key, "level") == 0) {
			p->loud = text && among(text, loud_levels, DK_ARRAY_LEN(loud_levels));
			good = p->loud || (text && among(text, quiet_levels, DK_ARRAY_LEN(quiet_levels)));
		} else if (strcmp(key, "address") == 0) {
			good = text && strlen(text) < sizeof(p->address);
			if (good)
				snprintf(p->address, sizeof(p->address), "%s", text);
		} else if (strcmp(key, "port") == 0) {
			good = port_of(v, &p->port);
		} else {
			fprintf(stderr, "%s: unknown key \"%s\"; there are level, address and port.\n", path, key);
			return DK_EXIT_CONFIG;
		}
		if (!good) {
			fprintf(stderr,
				"%s: \"%s\" is not good: expected a level of logs (\"error\"), an address as text, a port from 0 "
				"to 65535.\n",
				path, key);
			return DK_EXIT_CONFIG;
		}
	}
	probe_say(p, "configuration: %s", path);
	return 0;
}

static int load(struct probe *p, const char *path)
{
	json_error_t err;
	json_t *root = json_load_file(path, 0, &err);
	int rc;

	if (!root) {
		if (err.line < 0)
			fprintf(stderr, "%s.\n", err.text);
		else
			fprintf(stderr, "%s:%d: %s.\n", path, err.line, err.text);
		return DK_EXIT_CONFIG;
	}
	rc = read_config(p, path, root);
	json_decref(root);
	return rc;
}

/* Beside the program, as it was called and where it really lies. */
static bool beside(const char *program, const char *folder, char path[PATH_MAX])
{
	const char *slash = strrchr(program, '/');
	int n = slash ? snprintf(path, PATH_MAX, "%.*s/%s/health-check.json", (int)(slash - program), program, folder) : -1;

	return n > 0 && n < PATH_MAX && access(path, R_OK) == 0;
}

static int find_config(struct probe *p, const char *called)
{
	char exe[PATH_MAX] = "", path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	if (access("bin/tools/configs/health-check.json", R_OK) == 0)
		return load(p, "bin/tools/configs/health-check.json");
	/* The tree's own etc before the one that was configured: a tree may have been moved. */
	if (beside(called, "configs", path) || beside(exe, "configs", path) || beside(exe, "../etc/diarkis", path))
		return load(p, path);
	if (access(DK_SYSCONF_DIR "/health-check.json", R_OK) == 0)
		return load(p, DK_SYSCONF_DIR "/health-check.json");
	return 0;
}

/* The shell leaves out what `cat` did not find. */
static int no_address(const char *mode)
{
	printf("%s: no address was given; the server writes it to a file when it is started: is it running?\n", mode);
	return DK_EXIT_RUNTIME;
}

static bool is_mode(const char *word)
{
	return strcmp(word, "out") == 0 || strcmp(word, "in") == 0 || strcmp(word, "mars") == 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "key-file", required_argument, NULL, 'k' },
						 { "cluster", required_argument, NULL, 'c' },
						 { "version", no_argument, NULL, 'V' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct probe p = { .address = "" };
	struct guest_key key = { NULL, NULL };
	const char *called = argv[0];
	char why[PROBE_WHY];
	int c, rc;

	while ((c = getopt_long(argc, argv, "+k:c:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'k':
			key.file = optarg;
			break;
		case 'c':
			key.cluster = optarg;
			break;
		case 'V':
			puts("diarkis-health-check " DK_VERSION);
			return DK_EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return DK_EXIT_OK;
		default:
			fputs("Try diarkis-health-check --help\n", stderr);
			return DK_EXIT_USAGE;
		}
	}
	argc -= optind;
	argv += optind;
	if (argc > 0 && is_mode(argv[0]) && (argc == 1 || !is_mode(argv[1])))
		return no_address(argv[0]);
	if (argc < 2 || argc > 3 || !is_mode(argv[1])) {
		fputs("Expected an address and \"out\", \"in\" or \"mars\"; try diarkis-health-check --help\n", stderr);
		return DK_EXIT_USAGE;
	}
	rc = argc == 3 ? load(&p, argv[2]) : find_config(&p, called);
	if (rc)
		return rc;
	p.target = argv[0];
	p.deadline = probe_now() + HEALTH_MS;
	if (strcmp(argv[1], "out") == 0)
		rc = health_out(&p, why);
	else
		rc = health_mesh(&p, &key, strcmp(argv[1], "mars") == 0, why);
	printf("%s: %s: %s\n", argv[1], argv[0], why);
	return rc;
}
