/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-replay: plays recordings of rooms again and says whether the same came of them. This file reads the command line and the
 * files and says what room_replay.c found, a line a file.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <diarkis/err.h>
#include <diarkis/version.h>

#include "room_replay.h"

static const char usage[] =
	"Usage: diarkis-replay [OPTION]... FILE...\n"
	"\n"
	"Plays recordings of rooms (option record of the plugin room) again, in a simulated node, and compares at every step what\n"
	"comes of them with what came of them then. The rest of a recording that ends in the middle of a record is left out.\n"
	"\n"
	"  -j, --json             one JSON object a line for each file, with outcome: same, differs, refused, unread\n"
	"  -o, --output FILE      write the recording there without the unused rest of its file, as a test wants it\n"
	"  -p, --plugins FOLDER   where the plugins room and user are (default: " DK_PLUGIN_DIR ")\n"
	"  -V, --version\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 the same came of all; 1 something else did, or a file cannot be read; 2 usage; 78 a file is no\n"
	"recording, or one of another version. That of several files is the greatest.\n";

enum { MOST = 1 << 30 };

static uint8_t *read_file(const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = NULL;
	long n = -1;

	if (f && fseek(f, 0, SEEK_END) == 0)
		n = ftell(f);
	if (n >= 0 && n <= MOST && fseek(f, 0, SEEK_SET) == 0)
		p = malloc(n ? (size_t)n : 1);
	if (n > MOST)
		errno = EFBIG;
	if (p && n && fread(p, (size_t)n, 1, f) != 1) {
		free(p);
		p = NULL;
	}
	if (f)
		fclose(f);
	*ret_n = p ? (size_t)n : 0;
	return p;
}

static int write_file(const char *path, const uint8_t *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	bool ok = f && fwrite(p, n, 1, f) == 1;

	if (f && fclose(f))
		ok = false;
	if (ok)
		return DK_EXIT_OK;
	fprintf(stderr, "diarkis-replay: %s cannot be written: %s\n", path, strerror(errno));
	return DK_EXIT_RUNTIME;
}

static void say_json(const char *path, const char *outcome, const struct room_replay *r)
{
	json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "file", path, "outcome", outcome, "records", (json_int_t)r->records,
			      "checks", (json_int_t)r->checks, "ms", (json_int_t)r->ms, "torn", r->torn);

	if (o && r->record) {
		json_object_set_new(o, "record", json_integer(r->record));
		json_object_set_new(o, "input", json_string(r->input));
	}
	if (o && *r->part)
		json_object_set_new(o, "part", json_string(r->part));
	if (o && *r->why)
		json_object_set_new(o, "why", json_string(r->why));
	if (o)
		json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static void say(const char *path, int rc, const struct room_replay *r)
{
	if (rc) {
		fprintf(stderr, "diarkis-replay: %s: %s\n", path, r->why);
		return;
	}
	printf("%s: %u records of %llu ms played again; %u checks of the room's state, all equal%s\n", path, r->records,
	       (unsigned long long)r->ms, r->checks, r->torn ? "; its last record is torn and left out" : "");
}

static int play(const char *path, const char *const *dirs, const char *output, bool json)
{
	struct room_replay r = { 0 };
	size_t n;
	uint8_t *p = read_file(path, &n);
	int rc;

	if (!p) {
		snprintf(r.why, sizeof(r.why), "it cannot be read: %s", strerror(errno));
		if (json)
			say_json(path, "unread", &r);
		else
			say(path, 1, &r);
		return DK_EXIT_RUNTIME;
	}
	rc = room_replay(dk_slice_n(p, n), dirs, &r);
	if (json)
		say_json(path, rc == 0 ? "same" : rc < 0 ? "refused" : "differs", &r);
	else
		say(path, rc, &r);
	rc = rc == 0 ? DK_EXIT_OK : rc < 0 ? DK_EXIT_CONFIG : DK_EXIT_RUNTIME;
	if (output && rc != DK_EXIT_CONFIG && write_file(output, p, r.used))
		rc = DK_EXIT_RUNTIME;
	free(p);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "output", required_argument, NULL, 'o' },
						 { "plugins", required_argument, NULL, 'p' },
						 { "version", no_argument, NULL, 'V' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	const char *dirs[2] = { DK_PLUGIN_DIR, NULL }, *output = NULL;
	bool json = false;
	int c, worst = 0;

	while ((c = getopt_long(argc, argv, "jo:p:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'o':
			output = optarg;
			break;
		case 'p':
			dirs[0] = optarg;
			break;
		case 'V':
			puts("diarkis-replay " DK_VERSION);
			return DK_EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return DK_EXIT_OK;
		default:
			fputs("Try diarkis-replay --help\n", stderr);
			return DK_EXIT_USAGE;
		}
	}
	if (optind == argc || (output && optind + 1 != argc)) {
		fputs("Expected FILE..., and one file with --output; try diarkis-replay --help\n", stderr);
		return DK_EXIT_USAGE;
	}
	for (int i = optind; i < argc; i++) {
		int rc = play(argv[i], dirs, output, json);

		worst = rc > worst ? rc : worst;
	}
	return worst;
}
