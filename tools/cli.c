/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-cli: one client at the keyboard or in a script. Commands come from the command line, several of them separated by the
 * word "then", or line by line from standard input. This file reads both; cli_command.c does what they say.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <diarkis/err.h>
#include <diarkis/version.h>

#include "tools/cli.h"

static const char usage[] = "Usage: diarkis-cli [OPTION]... [COMMAND [ARGUMENT]... [then COMMAND [ARGUMENT]...]...]\n"
			    "\n"
			    "Without a command, commands are read from standard input, one a line; \"help\" lists them.\n"
			    "\n"
			    "  -e, --endpoint URL     the HTTP server, http://host:port\n"
			    "  -t, --type TYPE        UDP (default), TCP, or what the server calls its type\n"
			    "  -u, --uid UID          who to be (default: cli- and the process id)\n"
			    "  -k, --client-key KEY   where the server wants one (default: $DIARKIS_CLIENT_KEY)\n"
			    "  -w, --timeout SECONDS  for answers (default 5)\n"
			    "  -j, --json             one JSON object a line in place of text\n"
			    "  -V, --version\n"
			    "  -h, --help\n"
			    "\n"
			    "Examples:\n"
			    "  diarkis-cli -e http://127.0.0.1:7000 room create 4 then room broadcast hello then expect 1\n"
			    "  diarkis-cli -e http://127.0.0.1:7000 -u alice\n"
			    "  diarkis-cli room.replay /var/lib/diarkis/rooms/ID.room\n"
			    "\n"
			    "Exit status: 0 good; 1 a command was refused or failed; 2 usage; 78 room.replay: no recording.\n";

#define LINE_MAX_BYTES 65536

/* Words of a line, in place: blanks separate, "..." keeps them together. */
static size_t split(char *line, char **words)
{
	size_t n = 0;
	char *p = line;

	while (n < CLI_WORDS) {
		char *out;
		bool quoted = false;

		while (*p == ' ' || *p == '\t')
			p++;
		if (!*p)
			break;
		words[n++] = out = p;
		for (; *p && (quoted || (*p != ' ' && *p != '\t')); p++) {
			if (*p == '"')
				quoted = !quoted;
			else
				*out++ = *p;
		}
		if (*p)
			p++;
		*out = '\0';
	}
	return n;
}

static int run_line(struct cli *s, char *line)
{
	char *words[CLI_WORDS];
	size_t n = split(line, words);

	return n && words[0][0] != '#' ? cli_run(s, words, n) : 0;
}

/* One-shot: the words of the command line, cut at "then". */
static int run_words(struct cli *s, char **words, size_t n)
{
	int rc = 0;

	for (size_t from = 0, to; from < n && !rc; from = to + 1) {
		for (to = from; to < n && strcmp(words[to], "then") != 0; to++)
			;
		if (to == from || to - from > CLI_WORDS) {
			cli_complain(s, "There is no command, or one of more than %d words, between two \"then\".", CLI_WORDS);
			return 2;
		}
		rc = cli_run(s, words + from, to - from);
	}
	return rc;
}

static void prompt(bool tty)
{
	if (!tty)
		return;
	fputs("> ", stdout);
	fflush(stdout);
}

/* Line by line, the connection being looked after while nothing is typed. The worst result of all lines. */
static int run_input(struct cli *s)
{
	static const size_t cap = LINE_MAX_BYTES;
	char *buf = malloc(cap);
	bool tty = isatty(STDIN_FILENO), end = false;
	size_t n = 0;
	int worst = 0;

	if (!buf)
		return 1;
	prompt(tty);
	while (!s->quit && !end) {
		bool live = s->client && !s->ended;
		struct pollfd p[2] = { { STDIN_FILENO, POLLIN, 0 }, { live ? dkc_fd(s->client) : -1, POLLIN, 0 } };
		uint64_t due = live ? dkc_due(s->client) : DKC_NEVER, now = dkc_now();
		int wait = due == DKC_NEVER ? -1 : due <= now ? 0 : (int)((due - now + 999) / 1000);
		ssize_t k;

		if (poll(p, 2, wait) < 0 && errno != EINTR)
			break;
		if (live)
			dkc_poll(s->client, 0);
		if (!(p[0].revents & (POLLIN | POLLHUP)))
			continue;
		k = read(STDIN_FILENO, buf + n, cap - n - 1);
		if (k <= 0) {
			end = true;
			if (n)
				buf[n++] = '\n';
		} else {
			n += (size_t)k;
		}
		for (char *line = buf, *nl; !s->quit; line = nl + 1) {
			int rc;

			nl = memchr(line, '\n', n - (size_t)(line - buf));
			if (!nl) {
				n -= (size_t)(line - buf);
				memmove(buf, line, n);
				break;
			}
			*nl = '\0';
			if (nl > line && nl[-1] == '\r')
				nl[-1] = '\0';
			rc = run_line(s, line);
			worst = rc > worst ? rc : worst;
			prompt(tty);
		}
		if (n == cap - 1) {
			cli_complain(s, "A line is longer than %zu bytes.", cap - 2);
			worst = 2;
			break;
		}
	}
	free(buf);
	return worst;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "endpoint", required_argument, NULL, 'e' },
						 { "type", required_argument, NULL, 't' },
						 { "uid", required_argument, NULL, 'u' },
						 { "client-key", required_argument, NULL, 'k' },
						 { "timeout", required_argument, NULL, 'w' },
						 { "json", no_argument, NULL, 'j' },
						 { "version", no_argument, NULL, 'V' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct cli s = { .type = "UDP", .timeout_ms = 5000, .client_key = getenv("DIARKIS_CLIENT_KEY") };
	char uid[32], *end;
	int c, rc;

	snprintf(uid, sizeof(uid), "cli-%ld", (long)getpid());
	s.uid = uid;
	while ((c = getopt_long(argc, argv, "+e:t:u:k:w:jVh", options, NULL)) != -1) {
		switch (c) {
		case 'e':
			s.endpoint_url = optarg;
			break;
		case 't':
			s.type = optarg;
			break;
		case 'u':
			s.uid = optarg;
			break;
		case 'k':
			s.client_key = optarg;
			break;
		case 'w':
			s.timeout_ms = (int)(strtod(optarg, &end) * 1000);
			if (*end || s.timeout_ms < 1 || s.timeout_ms > 3600000) {
				fprintf(stderr, "diarkis-cli: --timeout %s: expected seconds, up to 3600\n", optarg);
				return DK_EXIT_USAGE;
			}
			break;
		case 'j':
			s.json = true;
			break;
		case 'V':
			puts("diarkis-cli " DK_VERSION);
			return DK_EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return DK_EXIT_OK;
		default:
			fputs("Try diarkis-cli --help\n", stderr);
			return DK_EXIT_USAGE;
		}
	}
	rc = optind < argc ? run_words(&s, argv + optind, (size_t)(argc - optind)) : run_input(&s);
	if (s.client && s.connected) {
		dkc_close(s.client);
		dkc_poll(s.client, 0);
		dkc_close(s.client); /* the goodbye, even when something is not acknowledged yet */
		dkc_poll(s.client, 0);
	}
	dkc_client_free(s.client);
	dkc_ctx_free(s.ctx);
	return rc;
}
