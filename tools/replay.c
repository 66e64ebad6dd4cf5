/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-replay FILE...: plays recordings of rooms again and says whether the same came of them. Exit code 0: it did, 1: it did
 * not, 2: usage, 78: a file is no recording.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <diarkis/err.h>

#include "room_replay.h"

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
	if (p && n && fread(p, (size_t)n, 1, f) != 1) {
		free(p);
		p = NULL;
	}
	if (f)
		fclose(f);
	*ret_n = p ? (size_t)n : 0;
	return p;
}

static int play(const char *path, const char *const *dirs)
{
	struct room_replay r;
	size_t n;
	uint8_t *p = read_file(path, &n);
	int rc;

	if (!p) {
		fprintf(stderr, "diarkis-replay: %s cannot be read: %s\n", path, strerror(errno));
		return DK_EXIT_RUNTIME;
	}
	rc = room_replay(dk_slice_n(p, n), dirs, &r);
	free(p);
	if (rc == 0) {
		printf("%s: %u records of %llu ms played again; %u checks of the room's state, all equal\n", path, r.records,
		       (unsigned long long)r.ms, r.checks);
		return DK_EXIT_OK;
	}
	fprintf(stderr, "diarkis-replay: %s: %s\n", path, r.why);
	return rc == -EPROTO ? DK_EXIT_CONFIG : DK_EXIT_RUNTIME;
}

int main(int argc, char **argv)
{
	const char *dirs[2] = { DK_PLUGIN_DIR, NULL };
	int first = 1, worst = 0;

	if (argc > 2 && !strcmp(argv[1], "--plugins")) {
		dirs[0] = argv[2];
		first = 3;
	}
	if (first >= argc || argv[first][0] == '-') {
		fprintf(stderr,
			"usage: diarkis-replay [--plugins FOLDER] FILE...\n"
			"Plays recordings of rooms (option record of the plugin room) again, and compares what comes of them.\n");
		return first < argc && !strcmp(argv[first], "--help") ? DK_EXIT_OK : DK_EXIT_USAGE;
	}
	for (int i = first; i < argc; i++) {
		int rc = play(argv[i], dirs);

		worst = rc > worst ? rc : worst;
	}
	return worst;
}
