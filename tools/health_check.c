/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-health-check: is the server at this address alive? One question, one line, exit status 0 or 1: what the probes of
 * Kubernetes want. This file reads the command line and the configuration; health_out.c asks from outside, as a client would.
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
	"Usage: diarkis-health-check [OPTION]... ADDRESS out [CONFIG]\n"
	"\n"
	"Says in one line, and by its exit status, whether the server at ADDRESS (host:port) is well.\n"
	"\n"
	"  out    as clients see it: ADDRESS is what the server wrote to DIARKIS_PUBLIC_ADDR in its temporary folder\n"
	"\n"
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

static int read_config(struct health *h, const char *path, const json_t *root)
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
			h->loud = text && among(text, loud_levels, DK_ARRAY_LEN(loud_levels));
			good = h->loud || (text && among(text, quiet_levels, DK_ARRAY_LEN(quiet_levels)));
		} else if (strcmp(key, "address") == 0) {
			good = text && strlen(text) < sizeof(h->address);
			if (good)
				snprintf(h->address, sizeof(h->address), "%s", text);
		} else if (strcmp(key, "port") == 0) {
			good = port_of(v, &h->port);
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
	health_say(h, "configuration: %s", path);
	return 0;
}

static int load(struct health *h, const char *path)
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
	rc = read_config(h, path, root);
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

static int find_config(struct health *h, const char *called)
{
	char exe[PATH_MAX] = "", path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	if (access("bin/tools/configs/health-check.json", R_OK) == 0)
		return load(h, "bin/tools/configs/health-check.json");
	/* The tree's own etc before the one that was configured: a tree may have been moved. */
	if (beside(called, "configs", path) || beside(exe, "configs", path) || beside(exe, "../etc/diarkis", path))
		return load(h, path);
	if (access(DK_SYSCONF_DIR "/health-check.json", R_OK) == 0)
		return load(h, DK_SYSCONF_DIR "/health-check.json");
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
	return strcmp(word, "out") == 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "version", no_argument, NULL, 'V' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct health h = { .address = "" };
	const char *called = argv[0];
	char why[HEALTH_WHY];
	int c, rc;

	while ((c = getopt_long(argc, argv, "+Vh", options, NULL)) != -1) {
		switch (c) {
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
		fputs("Expected an address and \"out\"; try diarkis-health-check --help\n", stderr);
		return DK_EXIT_USAGE;
	}
	rc = argc == 3 ? load(&h, argv[2]) : find_config(&h, called);
	if (rc)
		return rc;
	h.target = argv[0];
	h.deadline = health_now() + HEALTH_MS;
	rc = health_out(&h, why);
	printf("%s: %s: %s\n", argv[1], argv[0], why);
	return rc ? DK_EXIT_RUNTIME : DK_EXIT_OK;
}
