/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room.replay of diarkis-cli. A recording is played in a simulated node, which a client has no use for otherwise: the work is
 * diarkis-replay's, the program beside this one, else the one in the path.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli.h"

extern char **environ;

#define PROGRAM "diarkis-replay"

static const char *beside(char *path, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", path, cap - sizeof(PROGRAM));
	char *name;

	if (n <= 0)
		return PROGRAM;
	path[n] = '\0';
	name = strrchr(path, '/') + 1;
	memcpy(name, PROGRAM, sizeof(PROGRAM));
	return access(path, X_OK) == 0 ? path : PROGRAM;
}

int cli_replay(struct cli *s, char **words, size_t n)
{
	char path[4096], name[] = PROGRAM, json[] = "--json", end[] = "--";
	char *args[CLI_WORDS + 4] = { name };
	size_t at = 1;
	pid_t pid;
	int status, rc;

	if (!n || n > CLI_WORDS) {
		cli_complain(s, "Expected room.replay FILE..., for example room.replay /var/lib/diarkis/rooms/ID.room.");
		return 2;
	}
	if (s->json)
		args[at++] = json;
	args[at++] = end;
	for (size_t i = 0; i < n; i++)
		args[at++] = words[i];
	fflush(stdout);
	rc = posix_spawnp(&pid, beside(path, sizeof(path)), NULL, NULL, args, environ);
	if (rc) {
		cli_complain(s, PROGRAM " cannot be run: %s. It is installed beside diarkis-cli.", strerror(rc));
		return 1;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
