/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of diarkis-cli. Each does its work to the end, printing what happens meanwhile, before the next one starts. */
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "kernel/payload.h"
#include "tools/cli.h"

#define PAYLOAD_MAX 65536

bool cli_wait(struct cli *s, int timeout_ms, bool (*done)(struct cli *s))
{
	uint64_t until = dkc_now() + (uint64_t)timeout_ms * 1000;

	while (!done || !done(s)) {
		uint64_t now = dkc_now();
		int left;

		if (now >= until)
			return false;
		left = (int)((until - now + 999) / 1000);
		if (!s->client || s->ended)
			poll(NULL, 0, left);
		else if (dkc_poll(s->client, left) < 0)
			return false;
	}
	return true;
}

static bool is_connected_or_ended(struct cli *s)
{
	return s->connected || s->ended;
}

static bool is_answered(struct cli *s)
{
	return !s->waiting || s->ended;
}

/* ---- connection ---- */

static int get_endpoint(struct cli *s, const char *url, const char *type, const char *uid, bool print)
{
	char why[512], port[16];

	if (dkc_endpoint_get(url, type, uid, s->client_key, s->timeout_ms, &s->endpoint, why, sizeof(why))) {
		cli_complain(s, "%s", why);
		return 1;
	}
	s->has_endpoint = true;
	snprintf(port, sizeof(port), "%u", s->endpoint.port);
	if (print)
		cli_tell(s, "endpoint", "protocol", s->endpoint.protocol == DKC_TCP ? "TCP" : "UDP", "host", s->endpoint.host,
			 "port", port, "encryption", s->endpoint.cred.encrypted ? "encrypted" : "plain", NULL);
	return 0;
}

static void disconnect(struct cli *s)
{
	if (s->client) {
		dkc_close(s->client);
		dkc_poll(s->client, 0);
		dkc_close(s->client); /* the goodbye, even when something is not acknowledged yet */
		dkc_poll(s->client, 0);
		dkc_client_free(s->client);
	}
	s->client = NULL;
	s->connected = s->has_room = s->waiting = false;
}

static int connect_now(struct cli *s)
{
	struct dkc_opts opts;

	if (!s->has_endpoint) {
		if (!s->endpoint_url || !s->uid) {
			cli_complain(s, "There is no endpoint yet: give --endpoint URL and --uid UID, or the command endpoint URL "
					"TYPE UID.");
			return 2;
		}
		if (get_endpoint(s, s->endpoint_url, s->type, s->uid, false))
			return 1;
	}
	disconnect(s);
	dkc_opts_default(&opts);
	opts.client_key = dk_str_c(s->client_key);
	opts.uid = dk_str_c(s->uid);
	opts.request_ms = (uint32_t)s->timeout_ms;
	opts.event = cli_event;
	opts.arg = s;
	if ((!s->ctx && dkc_ctx_new(NULL, &s->ctx)) || dkc_client_new(s->ctx, &s->endpoint, &opts, &s->client)) {
		cli_complain(s, "There is no memory for a connection.");
		return 1;
	}
	s->ended = false;
	s->has_endpoint = false; /* an endpoint is good for one user's connection; the next one asks anew */
	dkc_connect(s->client);
	if (!cli_wait(s, s->timeout_ms, is_connected_or_ended))
		cli_complain(s, "The server did not answer within %d ms.", s->timeout_ms);
	return s->connected ? 0 : 1;
}

/* A connection, made now when there is none. */
static int need_connection(struct cli *s)
{
	if (s->connected)
		return 0;
	return connect_now(s);
}

/* ---- requests ---- */

static void on_reply(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct cli *s = arg;
	uint32_t created;

	(void)c;
	s->waiting = false;
	s->failed |= !dkc_ok(r);
	if (r->ver == 1 && (r->cmd == 100 || r->cmd == 101) && dkc_room_joined(r, &s->room, &created))
		s->has_room = true;
	cli_print_reply(s, r);
}

/* rc: what the library said to a request whose answer on_reply() gets. */
static int wait_for_answer(struct cli *s, int rc)
{
	if (rc) {
		cli_complain(s, rc == DKC_TOO_LONG ? "The message is too long."
				: rc == DKC_FULL   ? "Too much is under way."
						   : "There is no connection (any more).");
		return 1;
	}
	s->failed = false;
	s->waiting = true;
	cli_wait(s, s->timeout_ms + 1000, is_answered);
	return s->failed || s->ended ? 1 : 0;
}

/* wants: whether an answer is to be waited for. */
static int request(struct cli *s, uint8_t ver, uint16_t cmd, dk_slice payload, bool wants, bool reliable)
{
	int rc;

	if (wants)
		return wait_for_answer(s, dkc_request(s->client, ver, cmd, payload, on_reply, s));
	s->failed = false;
	rc = dkc_send(s->client, ver, cmd, payload, reliable ? DK_RELIABLE : DK_UNRELIABLE);
	if (rc)
		return wait_for_answer(s, rc);
	dkc_poll(s->client, 0);
	return s->failed || s->ended ? 1 : 0;
}

static int call(struct cli *s, const struct dk_command *row, char **args, size_t n)
{
	static const size_t room = PAYLOAD_MAX;
	uint8_t *buf = malloc(room);
	struct dk_writer w = dk_writer_on(buf, buf ? room : 0);
	dk_str list[CLI_WORDS];
	char why[512];
	int rc;

	for (size_t i = 0; i < n; i++) {
		list[i] = dk_str_c(args[i]);
		if (s->has_room && strcmp(args[i], "@room") == 0)
			list[i] = dk_str_n(s->room.c, DK_ID52_LEN);
	}
	if (payload_encode(row, list, n, &w, why, sizeof(why))) {
		cli_complain(s, "%s", why);
		rc = 2;
	} else {
		rc = request(s, row->ver, row->cmd, dk_written(&w), !(row->flags & DK_QUIET), true);
	}
	free(buf);
	return rc;
}

static int cmd_call(struct cli *s, char **w, size_t n)
{
	const struct dk_command *row = n > 1 ? cli_row_named(dk_str_c(w[1])) : NULL;

	if (!row) {
		cli_complain(s,
			     n > 1 ? "No command is called %s; the command \"commands\" lists them."
				   : "call what? expected call NAME [ARGUMENT]...%s",
			     n > 1 ? w[1] : "");
		return 2;
	}
	return call(s, row, w + 2, n - 2);
}

static bool is_flag(const char *word, const char *flag)
{
	return word && strcmp(word, flag) == 0;
}

static bool take_number(const char *text, unsigned long max, unsigned long *ret_n)
{
	char *end;

	*ret_n = strtoul(text, &end, 10);
	return end != text && !*end && *text != '-' && *ret_n <= max;
}

static int cmd_send(struct cli *s, char **w, size_t n)
{
	bool reliable = !(n > 1 && is_flag(w[1], "-u"));
	size_t at = reliable ? 1 : 2, len = 0;
	unsigned long ver, cmd;
	const char *hex = n > at + 2 ? w[at + 2] : "";
	uint8_t *buf;
	int rc;

	if (n < at + 2 || n > at + 3 || !take_number(w[at], 255, &ver) || !take_number(w[at + 1], 65535, &cmd) || strlen(hex) % 2) {
		cli_complain(s, "Expected send [-u] VER CMD [HEX]: two numbers and an even count of hexadecimal digits.");
		return 2;
	}
	buf = malloc(strlen(hex) / 2 + 1);
	for (const char *p = hex; buf && *p; p += 2) {
		unsigned byte;

		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) || sscanf(p, "%2x", &byte) != 1) {
			cli_complain(s, "%s holds something else than hexadecimal digits.", hex);
			free(buf);
			return 2;
		}
		buf[len++] = (uint8_t)byte;
	}
	rc = request(s, (uint8_t)ver, (uint16_t)cmd, dk_slice_n(buf, len), false, reliable);
	free(buf);
	return rc;
}

/* ---- rooms ---- */

static int cmd_room(struct cli *s, char **w, size_t n)
{
	static const char *const by_id[][2] = { { "owner", "room.owner_id" },
						{ "members", "room.member_ids" },
						{ "count", "room.count_members" } };
	const char *what = n > 1 ? w[1] : "";
	char id[DK_ID52_LEN + 1];

	if (is_flag(what, "create")) {
		char *args[] = {
			n > 2 ? w[2] : (char[]){ "16" }, (char[]){ "false" }, (char[]){ "true" }, (char[]){ "60" }, (char[]){ "0" },
			n > 3 ? w[3] : (char[]){ "0" }
		};

		return call(s, cli_row_named(dk_str_c("room.create")), args, DK_ARRAY_LEN(args));
	}
	if (is_flag(what, "join") && n > 2)
		return call(s, cli_row_named(dk_str_c("room.join")), w + 2, n > 3 ? 2 : 1);
	if (!s->has_room) {
		cli_complain(s, "Expected room create [SEATS [INTERVAL_MS]] or room join ID [MESSAGE] first.");
		return 2;
	}
	snprintf(id, sizeof(id), DK_STR_FMT, DK_ID52_LEN, s->room.c);
	if (is_flag(what, "leave")) {
		char *args[] = { id, n > 2 ? w[2] : NULL };

		s->has_room = false;
		return call(s, cli_row_named(dk_str_c("room.leave")), args, n > 2 ? 2 : 1);
	}
	if (is_flag(what, "broadcast") && n > 2) {
		bool plain = is_flag(w[2], "-u") && n > 3;

		s->failed = false;
		if (dkc_room_broadcast(s->client, &s->room, dk_slice_of(dk_str_c(w[plain ? 3 : 2])), !plain)) {
			cli_complain(s, "The message could not be sent: it is too long, or the connection is gone.");
			return 1;
		}
		dkc_poll(s->client, 0);
		return 0;
	}
	if (is_flag(what, "message") && n > 3) {
		char *args[] = { w[2], NULL, (char[]){ "true" }, id };
		size_t len = strlen(w[3]);
		char *hex = malloc(len * 2 + 1);
		int rc;

		for (size_t i = 0; hex && i < len; i++)
			snprintf(hex + 2 * i, 3, "%02x", (unsigned char)w[3][i]);
		args[1] = hex;
		rc = hex ? call(s, cli_row_named(dk_str_c("room.message")), args, DK_ARRAY_LEN(args)) : 1;
		free(hex);
		return rc;
	}
	if (is_flag(what, "migrate"))
		return wait_for_answer(s, dkc_room_migrate(s->client, on_reply, s));
	for (size_t i = 0; i < DK_ARRAY_LEN(by_id); i++) {
		char *args[] = { id };

		if (is_flag(what, by_id[i][0]))
			return call(s, cli_row_named(dk_str_c(by_id[i][1])), args, 1);
	}
	cli_complain(
		s, "Expected room create, join, leave, broadcast [-u] TEXT, message UID[,UID]... TEXT, migrate, owner, members or "
		   "count.");
	return 2;
}

/* ---- other nodes ---- */

static bool is_over(struct cli *s)
{
	return s->reconnected || s->failed || s->ended;
}

static int cmd_move(struct cli *s, char **w, size_t n)
{
	s->reconnected = s->failed = false;
	if (n > 1 ? dkc_move_type(s->client, dk_str_c(w[1])) : dkc_move(s->client)) {
		cli_complain(s, "There is no connection (any more).");
		return 1;
	}
	if (!cli_wait(s, s->timeout_ms, is_over))
		cli_complain(s, "The server did not answer within %d ms.", s->timeout_ms);
	return s->reconnected ? 0 : 1;
}

/* ---- the rest ---- */

static int cmd_wait(struct cli *s, char **w, size_t n)
{
	char *end;
	double seconds = n > 1 ? strtod(w[1], &end) : -1;

	if (n != 2 || *end || !(seconds >= 0 && seconds < 1e6)) {
		cli_complain(s, "Expected wait SECONDS.");
		return 2;
	}
	cli_wait(s, (int)(seconds * 1000), NULL);
	return s->ended ? 1 : 0;
}

static int cmd_expect(struct cli *s, char **w, size_t n)
{
	unsigned long pushes;
	uint64_t until = dkc_now() + (uint64_t)s->timeout_ms * 1000;

	if (n != 2 || !take_number(w[1], UINT32_MAX, &pushes)) {
		cli_complain(s, "Expected expect COUNT: how many pushes are to have come, from the start.");
		return 2;
	}
	while (s->pushes < pushes && !s->ended && dkc_now() < until)
		cli_wait(s, 10, NULL);
	if (s->pushes >= pushes)
		return 0;
	cli_complain(s, "Only %u of %lu pushes came.", s->pushes, pushes);
	return 1;
}

static int cmd_status(struct cli *s)
{
	char rtt[32];

	snprintf(rtt, sizeof(rtt), "%.3f ms", s->client ? dkc_rtt_us(s->client) / 1000.0 : 0);
	if (s->has_room) {
		char id[DK_ID52_LEN + 1];

		snprintf(id, sizeof(id), DK_STR_FMT, DK_ID52_LEN, s->room.c);
		cli_tell(s, s->connected ? "connected" : "not connected", "rtt", rtt, "room", id, NULL);
	} else {
		cli_tell(s, s->connected ? "connected" : "not connected", "rtt", rtt, NULL);
	}
	return 0;
}

static void list_commands(void)
{
	const struct dk_command *row;

	for (size_t i = 0; (row = cli_row_at(i)); i++) {
		printf("%-22s", row->name);
		for (const struct dk_param *p = row->in; p->type; p++)
			printf(" %s:%s", p->name, payload_type_name(p->type));
		printf("\n%22s %s\n", "", row->help);
	}
}

static const char help[] =
	"endpoint URL TYPE UID       ask an HTTP server for an endpoint; connect uses it\n"
	"connect                     connect (other commands do it by themselves)\n"
	"close                       say goodbye\n"
	"room create [SEATS [MS]]    create a room and be in it; MS: its merge interval\n"
	"room join ID [MESSAGE]      join one\n"
	"room broadcast [-u] TEXT    to all members; -u: unreliable\n"
	"room message UIDS TEXT      to some, uids with commas between\n"
	"room owner|members|count    ask about the room\n"
	"room migrate                to another node, with all its members; for its owner\n"
	"room leave [MESSAGE]\n"
	"room.replay FILE...         play recordings of rooms again, as diarkis-replay does; needs no server\n"
	"move [TYPE]                 go to another node, of that type\n"
	"call NAME [ARGUMENT]...     any command by its name; \"commands\" lists them. Bytes are hex digits, flags true or false,\n"
	"                            @room is the room one is in\n"
	"send [-u] VER CMD [HEX]     any command by its numbers\n"
	"wait SECONDS                print what comes\n"
	"expect COUNT                wait until COUNT pushes have come since the start; fails when they do not in time\n"
	"status, commands, help, quit\n";

int cli_run(struct cli *s, char **w, size_t n)
{
	static const struct {
		const char *name;
		int (*fn)(struct cli *s, char **w, size_t n);
	} online[] = { { "room", cmd_room }, { "move", cmd_move }, { "call", cmd_call }, { "send", cmd_send } };
	int rc;

	if (is_flag(w[0], "help") || is_flag(w[0], "?")) {
		fputs(help, stdout);
		return 0;
	}
	if (is_flag(w[0], "commands")) {
		list_commands();
		return 0;
	}
	if (is_flag(w[0], "quit") || is_flag(w[0], "exit")) {
		s->quit = true;
		return 0;
	}
	if (is_flag(w[0], "endpoint")) {
		if (n != 4) {
			cli_complain(s, "Expected endpoint URL TYPE UID, for example endpoint http://127.0.0.1:7000 UDP alice.");
			return 2;
		}
		return get_endpoint(s, w[1], w[2], w[3], true);
	}
	if (is_flag(w[0], "connect"))
		return connect_now(s);
	if (is_flag(w[0], "close")) {
		disconnect(s);
		return 0;
	}
	if (is_flag(w[0], "status"))
		return cmd_status(s);
	if (is_flag(w[0], "wait"))
		return cmd_wait(s, w, n);
	if (is_flag(w[0], "expect"))
		return cmd_expect(s, w, n);
	if (is_flag(w[0], "room.replay"))
		return cli_replay(s, w + 1, n - 1);
	for (size_t i = 0; i < DK_ARRAY_LEN(online); i++) {
		if (!is_flag(w[0], online[i].name))
			continue;
		rc = need_connection(s);
		return rc ? rc : online[i].fn(s, w, n);
	}
	cli_complain(s, "%s is no command; help lists them.", w[0]);
	return 2;
}
