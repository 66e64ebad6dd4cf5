/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of diarkis-cli share: the one session, its commands, its output. */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include <diarkis/client_http.h>
#include <diarkis/client_room.h>
#include <diarkis/command.h>

#define CLI_WORDS 32

struct cli {
	/* options */
	const char *endpoint_url, *type, *uid, *client_key;
	int timeout_ms;
	bool json;
	/* the session */
	struct dkc_ctx *ctx;
	struct dkc_client *client; /* NULL: no endpoint yet */
	struct dkc_endpoint endpoint;
	bool has_endpoint, connected, reconnected, ended;
	struct dk_id52 room;
	bool has_room, room_pending; /* pending: the answer under way tells the room */
	uint32_t pushes;
	/* the request that a command waits for */
	const struct dk_command *row; /* NULL: sent by numbers */
	bool waiting, failed;
	bool quit;
};

/* cli_rows.c: the commands whose rows the client knows */
const struct dk_command *cli_row_named(dk_str name);
const struct dk_command *cli_row_of(uint8_t ver, uint16_t cmd);
const struct dk_command *cli_row_at(size_t i); /* NULL after the last */
/* The name and fields of a push; NULL when nobody named it. */
const struct dk_command *cli_push_of(uint8_t ver, uint16_t cmd);

/* cli_print.c */
void cli_event(void *arg, struct dkc_client *c, const struct dkc_event *e);
void cli_print_reply(struct cli *s, const struct dkc_reply *r);
/* A line for people on standard error, or {"event":"error"} with --json on standard output. */
void cli_complain(struct cli *s, const char *fmt, ...) DK_PRINTF(2, 3);
/* {"event": kind, key: value, ...} with --json, else "kind value ..."; pairs end with NULL. */
void cli_tell(struct cli *s, const char *kind, ...);

/* cli_replay.c: plays recordings of rooms again; words: files. Returns as cli_run(), and 78 for what is no recording. */
int cli_replay(struct cli *s, char **words, size_t n);

/* cli_command.c: runs one command. Returns 0, 1 (it failed; the reason was printed) or 2 (nonsense). */
int cli_run(struct cli *s, char **words, size_t n);
/* Lets the connection do its work until done says so or the time is over; standard input is not read. False: time is over. */
bool cli_wait(struct cli *s, int timeout_ms, bool (*done)(struct cli *s));

#endif
