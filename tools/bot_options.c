/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of diarkis-bot: one table, from which the command line, the environment (DIARKIS_BOT_ and the name), the members of
 * scenario files and the help are read. What a row says of its range holds for all of them.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>

#include <diarkis/err.h>
#include <diarkis/version.h>

#include "tools/bot.h"

#define PREFIX "DIARKIS_BOT_"
#define PREFIX_MAX 63 /* of a user id */
#define RATE_MAX 100000

enum kind { HEADING, NUMBER, BOUND, RATE, TEXT, FLAG };

struct row {
	enum kind kind;
	const char *name, *arg; /* HEADING: name is the line */
	uint32_t min, max;
	size_t at;
	const char *help;
};

#define AT(member) offsetof(struct bot_options, member)

static const struct row rows[] = {
	{ HEADING, "All scenarios:", NULL, 0, 0, 0, NULL },
	{ TEXT, "endpoint", "URL", 0, 0, AT(endpoint), "the HTTP server, http://host:port" },
	{ TEXT, "type", "TYPE", 0, 0, AT(type), "UDP (default), TCP, or what the server calls its type" },
	{ FLAG, "tcp", NULL, 0, 0, AT(tcp), "connect by TCP whatever the type is called" },
	{ NUMBER, "bots", "N", 1, 1000000, AT(bots), "how many (default 16)" },
	{ NUMBER, "seconds", "S", 1, 1000000, AT(seconds), "how long (default 10)" },
	{ NUMBER, "spawn", "MS", 0, 60000, AT(spawn_ms), "one bot comes each MS milliseconds (default 0: as fast as it goes)" },
	{ NUMBER, "echo", "MS", 10, 3600000, AT(echo_ms), "heartbeat interval (2000; idle: half of --ttl)" },
	{ TEXT, "prefix", "TEXT", 0, PREFIX_MAX, AT(prefix), "user ids are this and a number (default bot-)" },
	{ TEXT, "client-key", "KEY", 0, 0, AT(client_key), "where the server wants one" },
	{ NUMBER, "pid", "PID", 1, 4194304, AT(pid), "a server process whose memory per user is printed" },
	{ FLAG, "json", NULL, 0, 0, AT(json), "figures as one JSON object on standard output" },
	{ FLAG, "quiet", NULL, 0, 0, AT(quiet), "no line per second on standard error" },
	{ NUMBER, "batch", "US", 0, 10000, AT(batch_us),
	  "look at the sockets only so often: cheaper, latencies grow by it (default 0: at once)" },
	{ NUMBER, "retry", "MS", 10, 60000, AT(retry_ms), "of reliable frames that are not acknowledged" },
	{ NUMBER, "max-retry", "N", 1, 1000, AT(max_retry), "likewise" },
	{ NUMBER, "visitors", "N", 0, 100000, AT(visitors),
	  "so many more bots come, do a little of each scenario and go, again and again (default 0)" },
	{ NUMBER, "stay", "MS", 10, 3600000, AT(stay_ms), "how long a visitor stays (default 1000)" },
	{ TEXT, "with", "LIST", 0, 0, AT(with), "mixed: the scenarios, for example room,idle (default: all of them)" },
	{ HEADING, "Who talks to each other:", NULL, 0, 0, 0, NULL },
	{ NUMBER, "room-size", "K", 1, 1000, AT(circle), "members of a room (default 16)" },
	{ NUMBER, "members", "K", 1, 1000, AT(circle), "the same, for whatever has members" },
	{ RATE, "rate", "HZ", 0, RATE_MAX, AT(rate), "messages a second of each bot (default 20)" },
	{ NUMBER, "size", "BYTES", 16, 60000, AT(size), "of a message, 16 at least (default 64)" },
	{ NUMBER, "messages", "M", 1, 1000000000, AT(messages),
	  "each bot sends M and then waits until all have arrived; --seconds has no limit then" },
	{ NUMBER, "interval", "MS", 0, 1000, AT(interval_ms), "the merge interval (default 0)" },
	{ FLAG, "reliable", NULL, 0, 0, AT(reliable), "messages are repeated until acknowledged; over TCP all are" },
	{ TEXT, "join", "ROOM", 0, 0, AT(join), "take part in another process's room, which has --room-size members in all" },
	{ NUMBER, "first", "N", 0, 1000000000, AT(first), "number of the first bot, so that two processes differ (default 0)" },
	{ FLAG, "allow-empty", NULL, 0, 0, AT(allow_empty), "rooms live on without members for --room-ttl" },
	{ NUMBER, "room-ttl", "S", 1, 65535, AT(room_ttl_s), "of what they make (default 60)" },
	{ NUMBER, "drain", "S", 1, 3600, AT(drain_s),
	  "wait so long at the end for what is under way, since the last arrival (default 15)" },
	{ NUMBER, "gap", "MS", 1, 3600000, AT(gap_ms),
	  "a bot that heard nothing of its room for longer counts as interrupted (default 500)" },
	{ HEADING, "Bounds; any of them makes the exit status depend on the bounds alone:", NULL, 0, 0, 0, NULL },
	{ FLAG, "expect-lossless", NULL, 0, 0, AT(lossless),
	  "no message lost, doubled or overtaken, but in rooms that were lost: --max-lost 0 --max-doubled 0" },
	{ BOUND, "max-lost", "N", 0, 0, AT(max_lost), "of messages" },
	{ BOUND, "max-lost-calm", "N", 0, 0, AT(max_lost_calm), "of messages sent while no bot missed its node" },
	{ BOUND, "max-doubled", "N", 0, 0, AT(max_wrong), "of messages; overtaken ones count as doubled" },
	{ BOUND, "max-doubled-calm", "N", 0, 0, AT(max_doubled_calm), "of messages sent while no bot missed its node" },
	{ BOUND, "max-gap-ms", "MS", 0, 0, AT(max_gap_ms), "the longest time that any bot heard nothing of its room" },
	{ BOUND, "max-gap-p99-ms", "MS", 0, 0, AT(max_gap_p99_ms), "likewise, the 99th percentile of the bots' longest times" },
	{ BOUND, "max-rooms-lost", "N", 0, 0, AT(max_rooms_lost), "of rooms" },
	{ BOUND, "max-disconnected", "N", 0, 0, AT(max_disconnected), "of bots" },
	{ BOUND, "max-told-ms", "MS", 0, 0, AT(max_told_ms), "from the last message of a lost room until its members were told" },
	{ BOUND, "min-notices", "N", 0, 0, AT(min_notices), "notices that each bot hears, at least" },
	{ HEADING, "server:", NULL, 0, 0, 0, NULL },
	{ TEXT, "address", "ADDRESS", 0, 0, AT(address), "where it listens (default 127.0.0.1)" },
	{ NUMBER, "port", "PORT", 0, 65535, AT(port), "likewise (default 9500; 0: one that is free)" },
	{ HEADING, "idle:", NULL, 0, 0, 0, NULL },
	{ NUMBER, "ttl", "S", 1, 3600, AT(ttl_s), "the server's connectionTTL (default 10)" },
};

const struct bot_options bot_defaults = {
	.type = "UDP",
	.address = "127.0.0.1",
	.port = 9500,
	.prefix = "bot-",
	.bots = 16,
	.circle = 16,
	.size = 64,
	.seconds = 10,
	.ttl_s = 10,
	.rate = 20,
	.stay_ms = 1000,
	.room_ttl_s = 60,
	.drain_s = 15,
	.gap_ms = 500,
	.max_gap_ms = BOT_NO_BOUND,
	.max_gap_p99_ms = BOT_NO_BOUND,
	.max_told_ms = BOT_NO_BOUND,
	.max_rooms_lost = BOT_NO_BOUND,
	.max_disconnected = BOT_NO_BOUND,
	.max_lost = BOT_NO_BOUND,
	.max_lost_calm = BOT_NO_BOUND,
	.max_wrong = BOT_NO_BOUND,
	.max_doubled_calm = BOT_NO_BOUND,
};

static bool is_named(const struct row *row, const char *name)
{
	const char *p = row->name;

	for (; *p && *name; p++, name++) {
		if (*p != *name && !(*p == '-' && *name == '_'))
			return false;
	}
	return row->kind != HEADING && !*p && !*name;
}

static bool set_number(const struct row *row, const char *where, const char *text, uint32_t *ret_n)
{
	uint32_t max = row->kind == BOUND ? BOT_NO_BOUND - 1 : row->max;
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end || n < row->min || n > max) {
		fprintf(stderr, "diarkis-bot: %s%s %s: expected a whole number from %u to %u\n", where, row->name, text, row->min,
			max);
		return false;
	}
	*ret_n = (uint32_t)n;
	return true;
}

static bool set_flag(const struct row *row, const char *where, const char *text, bool *ret_on)
{
	if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0 && strcmp(text, "1") != 0 && strcmp(text, "0") != 0) {
		fprintf(stderr, "diarkis-bot: %s%s %s: expected true or false\n", where, row->name, text);
		return false;
	}
	*ret_on = !text || !strcmp(text, "true") || !strcmp(text, "1");
	return true;
}

static bool set_row(struct bot_options *o, const struct row *row, const char *where, const char *text)
{
	void *at = (char *)o + row->at;
	double rate;
	char *end;

	switch (row->kind) {
	case NUMBER:
	case BOUND:
		o->bounded |= row->kind == BOUND;
		o->seconds_given |= at == &o->seconds;
		return set_number(row, where, text, at);
	case FLAG:
		if (!set_flag(row, where, text, at))
			return false;
		if (o->lossless && at == &o->lossless) {
			o->max_lost = o->max_wrong = 0;
			o->bounded = true;
		}
		return true;
	case RATE:
		rate = strtod(text, &end);
		if (end == text || *end || !(rate > 0 && rate <= row->max)) {
			fprintf(stderr, "diarkis-bot: %s%s %s: expected messages a second, more than 0\n", where, row->name, text);
			return false;
		}
		memcpy(at, &rate, sizeof(rate));
		return true;
	case TEXT:
		if (row->max && strlen(text) > row->max) {
			fprintf(stderr, "diarkis-bot: %s%s: expected at most %u bytes\n", where, row->name, row->max);
			return false;
		}
		memcpy(at, &text, sizeof(text));
		return true;
	case HEADING:
		break;
	}
	return false;
}

static const struct row *row_named(const char *name)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		if (is_named(&rows[i], name))
			return &rows[i];
	}
	return NULL;
}

bool options_is_text(const char *name)
{
	const struct row *row = row_named(name);

	return row && row->kind == TEXT;
}

/* Those under the first heading. */
bool options_is_of_run(const char *name)
{
	const struct row *row = row_named(name), *first = rows;

	do
		first++;
	while (first->kind != HEADING);
	return row && row < first;
}

bool options_set(struct bot_options *o, const char *where, const char *name, const char *text)
{
	const struct row *row = row_named(name);

	if (!row)
		fprintf(stderr, "diarkis-bot: %s%s is no option; diarkis-bot --help lists them\n", where, name);
	else if (!text && row->kind != FLAG)
		fprintf(stderr, "diarkis-bot: %s%s: expected a value\n", where, name);
	else
		return set_row(o, row, where, text);
	return false;
}

bool options_from_environment(struct bot_options *o)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		char name[64] = PREFIX, *p = name + sizeof(PREFIX) - 1;
		const char *text;

		if (rows[i].kind == HEADING)
			continue;
		for (const char *q = rows[i].name; *q; q++)
			*p++ = *q == '-' ? '_' : (char)toupper((unsigned char)*q);
		text = getenv(name);
		if (text && *text && !set_row(o, &rows[i], PREFIX " variable of ", text))
			return false;
	}
	return true;
}

int options_from_arguments(struct bot_options *o, int argc, char **argv, int *ret_word)
{
	struct option all[DK_ARRAY_LEN(rows) + 3] = { { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' } };
	size_t n = 2;
	int c;

	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		if (rows[i].kind != HEADING)
			all[n++] = (struct option){ rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument, NULL,
						    256 + (int)i };
	}
	optind = 0; /* anew: a scenario file is read between two looks at the arguments */
	while ((c = getopt_long(argc, argv, "hV", all, NULL)) != -1) {
		if (c == 'h') {
			options_help(stdout);
			return DK_EXIT_OK;
		}
		if (c == 'V') {
			puts("diarkis-bot " DK_VERSION);
			return DK_EXIT_OK;
		}
		if (c < 256 || !set_row(o, &rows[c - 256], "--", optarg)) {
			fprintf(stderr, "Try diarkis-bot --help\n");
			return DK_EXIT_USAGE;
		}
	}
	*ret_word = optind;
	return -1;
}

bool options_settle(struct bot_options *o)
{
	if (!o->endpoint) {
		fprintf(stderr, "diarkis-bot: --endpoint is missing; expected the HTTP server, for example http://127.0.0.1:7000\n"
				"Try diarkis-bot --help\n");
		return false;
	}
	o->protocol = !o->tcp && strcasecmp(o->type, "TCP") != 0 ? DKC_UDP : DKC_TCP;
	if (o->messages && !o->seconds_given)
		o->seconds = 0;
	return true;
}

#define HELP_AT 20 /* the column of what is said */

static const char usage[] = "Usage: diarkis-bot SCENARIO --endpoint URL [OPTION]...\n"
			    "       diarkis-bot scenario FILE.json [OPTION]...\n"
			    "       diarkis-bot server [OPTION]...\n"
			    "\n";

static const char explained[] =
	"\n"
	"Each option may stand in the environment instead: DIARKIS_BOT_ROOM_SIZE=4 for --room-size 4; for one without a value\n"
	"true or false. The command line wins. Without a scenario DIARKIS_BOT_CONFIG=FILE.json means scenario FILE.json, and\n"
	"DIARKIS_BOT_SERVER_MODE=true means server.\n"
	"\n"
	"scenario: a JSON object of options, with howmany for bots, duration for seconds, interval for spawn, and\n"
	"\"scenarios\", a list of names or of objects with a name and options that are for this scenario alone:\n"
	"  {\"howmany\": 100, \"duration\": 30, \"scenarios\": [\"idle\", {\"name\": \"room\", \"room_size\": 8}]}\n"
	"server: POST /run with such an object begins a run, GET /run tells of it, DELETE /run ends it; GET /metrics has its\n"
	"figures for Prometheus. Options given to the server are defaults for its runs.\n"
	"\n"
	"With fewer bots than --room-size the room is shared: its id is printed as \"room ID\" for others to --join, and the\n"
	"messages begin when the room is full. SIGINT ends the sending; what is under way is waited for.\n"
	"\n"
	"Exit status: 0 good; 1 a reliable message was lost, doubled or overtaken, a bot was lost, or the run failed;\n"
	"2 usage.\n";

void options_help(FILE *out)
{
	fputs(usage, out);
	scenarios_help(out);
	fputs("mixed    each bot does all of that at once; in a scenario file, too\n\n", out);
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		int n;

		if (row->kind == HEADING) {
			fprintf(out, "%s\n", row->name);
			continue;
		}
		n = fprintf(out, "  --%s%s%s ", row->name, row->arg ? " " : "", row->arg ? row->arg : "");
		fprintf(out, "%*s%s\n", n < HELP_AT ? HELP_AT - n : 0, "", row->help);
	}
	fputs(explained, out);
}
