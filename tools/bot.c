/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-bot: clients by the thousand, to test a server and to load it. This file reads the options; bot_room.c and bot_idle.c
 * are the two kinds of run.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <diarkis/client_room.h>
#include <diarkis/err.h>
#include <diarkis/version.h>

#include "tools/bot.h"

static const char help[] =
	"Usage: diarkis-bot room --endpoint URL [OPTION]...\n"
	"       diarkis-bot idle --endpoint URL [OPTION]...\n"
	"\n"
	"room: bots sit in rooms and broadcast; every delivery is checked. idle: bots connect and only say that they live.\n"
	"\n"
	"Both:\n"
	"  --endpoint URL     the HTTP server, http://host:port\n"
	"  --type TYPE        UDP (default), TCP, or what the server calls its type\n"
	"  --tcp              connect by TCP whatever the type is called\n"
	"  --bots N           how many (default 16)\n"
	"  --seconds S        how long (default 10)\n"
	"  --echo MS          heartbeat interval (room: 2000; idle: half of --ttl)\n"
	"  --prefix TEXT      user ids are this and a number (default bot-)\n"
	"  --client-key KEY   where the server wants one\n"
	"  --json             figures as one JSON object on standard output\n"
	"  --quiet            no line per second on standard error\n"
	"  --batch US         look at the sockets only so often: cheaper, latencies grow by it (default 0: at once)\n"
	"room:\n"
	"  --room-size K      members of a room (default 16)\n"
	"  --rate HZ          messages a second of each bot (default 20)\n"
	"  --size BYTES       of a message, 16 at least (default 64)\n"
	"  --messages M       each bot sends M and then waits until all have arrived; --seconds has no limit then\n"
	"  --interval MS      the rooms' merge interval (default 0)\n"
	"  --reliable         messages are repeated until acknowledged; over TCP all are\n"
	"  --join ROOM        take part in another process's room, which has --room-size members in all\n"
	"  --first N          number of the first bot, so that two processes differ (default 0)\n"
	"  --retry MS, --max-retry N   of reliable frames that are not acknowledged\n"
	"  --allow-empty, --room-ttl S the rooms live on without members for so long (default 60)\n"
	"  --drain S          wait so long at the end for what is under way, since the last arrival (default 15)\n"
	"  --gap MS           a bot that heard nothing of its room for longer counts as interrupted (default 500)\n"
	"room, bounds; any of them makes the exit status depend on the bounds alone:\n"
	"  --expect-lossless  no message lost, doubled or overtaken, but in rooms that were lost: the two below with 0\n"
	"  --max-lost N, --max-doubled N    of messages; overtaken ones count as doubled\n"
	"  --max-gap-ms MS, --max-gap-p99-ms MS    of the longest time each bot heard nothing of its room\n"
	"  --max-rooms-lost N, --max-disconnected N\n"
	"  --max-told-ms MS   from the last message of a lost room until its members were told\n"
	"idle:\n"
	"  --ttl S            the server's connectionTTL (default 10)\n"
	"  --pid PID          a server process whose memory per user is printed\n"
	"\n"
	"With fewer bots than --room-size the room is shared: its id is printed as \"room ID\" for others to --join, and the\n"
	"messages begin when the room is full. SIGINT ends the sending; what is under way is waited for.\n"
	"\n"
	"Exit status: 0 good; 1 a reliable message was lost, doubled or overtaken, a bot was lost, or the run failed; 2 usage.\n";

enum {
	OPT_ENDPOINT = 256,
	OPT_TYPE,
	OPT_TCP,
	OPT_BOTS,
	OPT_SECONDS,
	OPT_ECHO,
	OPT_PREFIX,
	OPT_KEY,
	OPT_JSON,
	OPT_QUIET,
	OPT_ROOM_SIZE,
	OPT_RATE,
	OPT_SIZE,
	OPT_MESSAGES,
	OPT_INTERVAL,
	OPT_RELIABLE,
	OPT_JOIN,
	OPT_FIRST,
	OPT_RETRY,
	OPT_MAX_RETRY,
	OPT_TTL,
	OPT_PID,
	OPT_BATCH,
	OPT_ALLOW_EMPTY,
	OPT_ROOM_TTL,
	OPT_DRAIN,
	OPT_GAP,
	OPT_LOSSLESS,
	OPT_BOUND /* and those behind it: bounds[] */
};

static const struct option options[] = { { "endpoint", required_argument, NULL, OPT_ENDPOINT },
					 { "type", required_argument, NULL, OPT_TYPE },
					 { "tcp", no_argument, NULL, OPT_TCP },
					 { "bots", required_argument, NULL, OPT_BOTS },
					 { "seconds", required_argument, NULL, OPT_SECONDS },
					 { "echo", required_argument, NULL, OPT_ECHO },
					 { "prefix", required_argument, NULL, OPT_PREFIX },
					 { "client-key", required_argument, NULL, OPT_KEY },
					 { "json", no_argument, NULL, OPT_JSON },
					 { "quiet", no_argument, NULL, OPT_QUIET },
					 { "room-size", required_argument, NULL, OPT_ROOM_SIZE },
					 { "rate", required_argument, NULL, OPT_RATE },
					 { "size", required_argument, NULL, OPT_SIZE },
					 { "messages", required_argument, NULL, OPT_MESSAGES },
					 { "interval", required_argument, NULL, OPT_INTERVAL },
					 { "reliable", no_argument, NULL, OPT_RELIABLE },
					 { "join", required_argument, NULL, OPT_JOIN },
					 { "first", required_argument, NULL, OPT_FIRST },
					 { "retry", required_argument, NULL, OPT_RETRY },
					 { "max-retry", required_argument, NULL, OPT_MAX_RETRY },
					 { "ttl", required_argument, NULL, OPT_TTL },
					 { "pid", required_argument, NULL, OPT_PID },
					 { "batch", required_argument, NULL, OPT_BATCH },
					 { "allow-empty", no_argument, NULL, OPT_ALLOW_EMPTY },
					 { "room-ttl", required_argument, NULL, OPT_ROOM_TTL },
					 { "drain", required_argument, NULL, OPT_DRAIN },
					 { "gap", required_argument, NULL, OPT_GAP },
					 { "expect-lossless", no_argument, NULL, OPT_LOSSLESS },
					 { "max-gap-ms", required_argument, NULL, OPT_BOUND },
					 { "max-gap-p99-ms", required_argument, NULL, OPT_BOUND + 1 },
					 { "max-told-ms", required_argument, NULL, OPT_BOUND + 2 },
					 { "max-rooms-lost", required_argument, NULL, OPT_BOUND + 3 },
					 { "max-disconnected", required_argument, NULL, OPT_BOUND + 4 },
					 { "max-lost", required_argument, NULL, OPT_BOUND + 5 },
					 { "max-doubled", required_argument, NULL, OPT_BOUND + 6 },
					 { "help", no_argument, NULL, 'h' },
					 { "version", no_argument, NULL, 'V' },
					 { NULL, 0, NULL, 0 } };

/* A whole number in [min, max], or a sentence and false. */
static bool number(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *ret_n)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max) {
		fprintf(stderr, "diarkis-bot: --%s %s: expected a whole number from %u to %u\n", name, text, min, max);
		return false;
	}
	*ret_n = (uint32_t)n;
	return true;
}

static bool rate_of(const char *text, double *ret_rate)
{
	char *end;
	double r = strtod(text, &end);

	if (end == text || *end || !(r > 0 && r <= 100000)) {
		fprintf(stderr, "diarkis-bot: --rate %s: expected messages a second, more than 0\n", text);
		return false;
	}
	*ret_rate = r;
	return true;
}

/* Returns -1 when all is well, else the exit status. */
static int read_options(int argc, char **argv, struct bot_options *o, bool *ret_seconds)
{
	uint32_t *const bounds[] = { &o->max_gap_ms,       &o->max_gap_p99_ms, &o->max_told_ms, &o->max_rooms_lost,
				     &o->max_disconnected, &o->max_lost,       &o->max_wrong };
	int c, index = 0;
	bool ok = true;

	*ret_seconds = false;
	while (ok && (c = getopt_long(argc, argv, "hV", options, &index)) != -1) {
		const char *name = c >= OPT_ENDPOINT ? options[index].name : "";

		switch (c) {
		case OPT_ENDPOINT:
			o->endpoint = optarg;
			break;
		case OPT_TYPE:
			o->type = optarg;
			break;
		case OPT_TCP:
			o->protocol = DKC_TCP;
			break;
		case OPT_BOTS:
			ok = number(name, optarg, 1, 1000000, &o->bots);
			break;
		case OPT_SECONDS:
			ok = number(name, optarg, 1, 1000000, &o->seconds);
			*ret_seconds = true;
			break;
		case OPT_ECHO:
			ok = number(name, optarg, 10, 3600000, &o->echo_ms);
			break;
		case OPT_PREFIX:
			o->prefix = optarg;
			ok = strlen(optarg) < 64;
			if (!ok)
				fprintf(stderr, "diarkis-bot: --prefix: expected at most 63 bytes\n");
			break;
		case OPT_KEY:
			o->client_key = optarg;
			break;
		case OPT_JSON:
			o->json = true;
			break;
		case OPT_QUIET:
			o->quiet = true;
			break;
		case OPT_ROOM_SIZE:
			ok = number(name, optarg, 1, 1000, &o->room_size);
			break;
		case OPT_RATE:
			ok = rate_of(optarg, &o->rate);
			break;
		case OPT_SIZE:
			ok = number(name, optarg, 16, 60000, &o->size);
			break;
		case OPT_MESSAGES:
			ok = number(name, optarg, 1, 1000000000, &o->messages);
			break;
		case OPT_INTERVAL:
			ok = number(name, optarg, 0, 1000, &o->interval_ms);
			break;
		case OPT_RELIABLE:
			o->reliable = true;
			break;
		case OPT_JOIN:
			o->join = optarg;
			break;
		case OPT_FIRST:
			ok = number(name, optarg, 0, 1000000000, &o->first);
			break;
		case OPT_RETRY:
			ok = number(name, optarg, 10, 60000, &o->retry_ms);
			break;
		case OPT_MAX_RETRY:
			ok = number(name, optarg, 1, 1000, &o->max_retry);
			break;
		case OPT_TTL:
			ok = number(name, optarg, 1, 3600, &o->ttl_s);
			break;
		case OPT_PID:
			ok = number(name, optarg, 1, 4194304, &o->pid);
			break;
		case OPT_BATCH:
			ok = number(name, optarg, 0, 10000, &o->batch_us);
			break;
		case OPT_ALLOW_EMPTY:
			o->allow_empty = true;
			break;
		case OPT_ROOM_TTL:
			ok = number(name, optarg, 1, 65535, &o->room_ttl_s);
			break;
		case OPT_DRAIN:
			ok = number(name, optarg, 1, 3600, &o->drain_s);
			break;
		case OPT_GAP:
			ok = number(name, optarg, 1, 3600000, &o->gap_ms);
			break;
		case OPT_LOSSLESS:
			o->max_lost = o->max_wrong = 0;
			o->bounded = true;
			break;
		case 'h':
			fputs(help, stdout);
			return DK_EXIT_OK;
		case 'V':
			puts("diarkis-bot " DK_VERSION);
			return DK_EXIT_OK;
		default:
			ok = c >= OPT_BOUND && c < OPT_BOUND + (int)DK_ARRAY_LEN(bounds) &&
			     number(name, optarg, 0, BOT_NO_BOUND - 1, bounds[c - OPT_BOUND]);
			o->bounded = true;
			break;
		}
	}
	if (!ok)
		fprintf(stderr, "Try diarkis-bot --help\n");
	return ok ? -1 : DK_EXIT_USAGE;
}

static int usage(const char *sentence)
{
	fprintf(stderr, "diarkis-bot: %s\nTry diarkis-bot --help\n", sentence);
	return DK_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct bot_options o = {
		.type = "UDP",
		.prefix = "bot-",
		.bots = 16,
		.room_size = 16,
		.size = 64,
		.seconds = 10,
		.ttl_s = 10,
		.rate = 20,
		.room_ttl_s = 60,
		.drain_s = 15,
		.gap_ms = 500,
		.max_gap_ms = BOT_NO_BOUND,
		.max_gap_p99_ms = BOT_NO_BOUND,
		.max_told_ms = BOT_NO_BOUND,
		.max_rooms_lost = BOT_NO_BOUND,
		.max_disconnected = BOT_NO_BOUND,
		.max_lost = BOT_NO_BOUND,
		.max_wrong = BOT_NO_BOUND,
	};
	struct dk_id52 id;
	const char *kind;
	bool seconds;
	int rc = read_options(argc, argv, &o, &seconds);

	if (rc >= 0)
		return rc;
	kind = optind < argc ? argv[optind++] : NULL;
	if (!kind)
		return usage("what to do? expected room or idle");
	if (strcmp(kind, "room") != 0 && strcmp(kind, "idle") != 0)
		return usage("the first word is neither room nor idle");
	if (optind < argc)
		return usage("there is more than one word; options begin with --");
	if (!o.endpoint)
		return usage("--endpoint is missing; expected the HTTP server, for example http://127.0.0.1:7000");
	if (o.protocol == DKC_ANY)
		o.protocol = strcasecmp(o.type, "TCP") ? DKC_UDP : DKC_TCP;
	if (!strcmp(kind, "idle")) {
		o.echo_ms = o.echo_ms ? o.echo_ms : o.ttl_s * 500;
		return bot_idle(&o);
	}
	if (o.join && !dkc_room_id(dk_str_c(o.join), &id))
		return usage("--join is no room id; expected 52 hexadecimal digits");
	if ((o.join || o.bots < o.room_size) && o.first + o.bots > o.room_size)
		return usage("--first and --bots go beyond --room-size");
	if (o.messages && !seconds)
		o.seconds = 0;
	o.echo_ms = o.echo_ms ? o.echo_ms : 2000;
	return bot_room(&o);
}
