/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of diarkis-cli: a line per event, as text for people or as one JSON object. Bytes that are no readable text are shown as
 * hexadecimal digits with "hex:" before them, the form that commands take too.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "kernel/payload.h"
#include "tools/cli.h"

static const char *const statuses[] = { [DK_STATUS_OK] = "ok", [DK_STATUS_BAD] = "bad", [DK_STATUS_ERR] = "err" };

static const char *status_name(uint8_t status)
{
	switch (status) {
	case DK_STATUS_OK:
	case DK_STATUS_BAD:
	case DK_STATUS_ERR:
		return statuses[status];
	case 40:
		return "bad";
	case 50:
		return "err";
	case 0:
		return "no answer";
	default:
		return "unknown status";
	}
}

/* Readable UTF-8 as it is, everything else as hex:... The text is the caller's to free; NULL without memory. */
static char *bytes_text(dk_slice b)
{
	json_t *j = json_stringn((const char *)b.p, b.n); /* NULL when it is no UTF-8 */
	bool readable = j != NULL;
	char *text = malloc(b.n * 2 + 5);
	size_t at = 0;

	json_decref(j);
	for (size_t i = 0; i < b.n && readable; i++)
		readable = b.p[i] >= 0x20 && b.p[i] != 0x7f;
	if (!text)
		return NULL;
	if (readable) {
		if (b.n)
			memcpy(text, b.p, b.n);
		text[b.n] = '\0';
		return text;
	}
	memcpy(text, "hex:", 5);
	for (size_t i = 0; i < b.n; i++)
		at += (size_t)snprintf(text + 4 + at, 3, "%02x", b.p[i]);
	return text;
}

void cli_tell(struct cli *s, const char *kind, ...)
{
	json_t *o = s->json ? json_pack("{s:s}", "event", kind) : NULL;
	const char *key, *value;
	va_list ap;

	if (!s->json)
		fputs(kind, stdout);
	va_start(ap, kind);
	while ((key = va_arg(ap, const char *))) {
		value = va_arg(ap, const char *);
		if (s->json)
			json_object_set_new(o, key, json_string(value));
		else
			printf(" %s", value);
	}
	va_end(ap);
	if (s->json)
		json_dumpf(o, stdout, JSON_COMPACT);
	json_decref(o);
	putchar('\n');
	fflush(stdout);
}

void cli_complain(struct cli *s, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (s->json)
		cli_tell(s, "error", "error", text, NULL);
	else
		fprintf(stderr, "%s\n", text);
}

/* The payload by the row's fields, or as bytes. To be freed. */
static char *payload_words(const struct dk_command *row, const struct dk_param *fields, dk_slice payload)
{
	size_t cap = payload.n * 4 + 1024;
	char *text;

	if (!fields || (fields[0].type == DK_T_REST && !fields[1].type))
		return bytes_text(payload);
	text = malloc(cap);
	if (text)
		payload_text(fields, row->flags & DK_PUFFER, payload, text, cap);
	return text;
}

/* code: of a structured error, else 0. */
static void print_frame(struct cli *s, const char *kind, uint8_t ver, uint16_t cmd, const char *status, uint32_t code,
			const struct dk_command *row, const char *text)
{
	char number[32], code_text[16] = "";

	snprintf(number, sizeof(number), "%u %u", ver, cmd);
	if (code)
		snprintf(code_text, sizeof(code_text), " %u", code);
	if (s->json) {
		json_t *o = json_pack("{s:s, s:i, s:i, s:s*, s:s*, s:s*}", "event", kind, "ver", ver, "cmd", cmd, "status", status,
				      "name", row ? row->name : NULL, "payload", text ? text : "");

		if (code)
			json_object_set_new(o, "code", json_integer(code));
		json_dumpf(o, stdout, JSON_COMPACT);
		json_decref(o);
		putchar('\n');
	} else {
		printf("%s %s%s%s%s%s%s\n", kind, row ? row->name : number, status ? " " : "", status ? status : "", code_text,
		       text && *text ? ": " : "", text ? text : "");
	}
	fflush(stdout);
}

void cli_print_reply(struct cli *s, const struct dkc_reply *r)
{
	const struct dk_command *row = cli_row_of(r->ver, r->cmd);
	uint32_t code = 0;
	char *text;

	if (dkc_ok(r)) {
		text = payload_words(row, row ? row->out : NULL, r->payload);
	} else {
		dk_str why = dkc_reply_error(r, &code);

		text = bytes_text(dk_slice_of(why));
	}
	print_frame(s, "answer", r->ver, r->cmd, status_name(r->status), code, row, text);
	free(text);
}

static void tell_room(struct cli *s, const char *what, const struct dk_id52 *room)
{
	char id[DK_ID52_LEN + 1];

	memcpy(id, room->c, DK_ID52_LEN);
	id[DK_ID52_LEN] = '\0';
	cli_tell(s, what, "room", id, NULL);
}

void cli_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct cli *s = arg;
	const struct dk_command *row;
	char *text;

	(void)c;
	switch (e->kind) {
	case DKC_CONNECTED:
		s->connected = true;
		s->reconnected |= e->again;
		cli_tell(s, e->again ? "reconnected" : "connected", "host", s->endpoint.host, NULL);
		break;
	case DKC_RESPONSE: {
		struct dkc_reply r = { e->ver, e->status, e->cmd, e->payload };

		s->failed |= e->status != DK_STATUS_OK;
		cli_print_reply(s, &r);
		break;
	}
	case DKC_PUSH:
		s->pushes++;
		row = cli_push_of(e->ver, e->cmd);
		text = payload_words(row, row ? row->out : NULL, e->payload);
		print_frame(s, "push", e->ver, e->cmd, NULL, 0, row, text);
		free(text);
		break;
	case DKC_NOTE:
		text = bytes_text(e->payload);
		print_frame(s, "note", e->ver, e->cmd, NULL, 0, cli_push_of(e->ver, e->cmd), text);
		free(text);
		break;
	case DKC_OFFLINE:
		cli_tell(s, "offline", NULL);
		break;
	case DKC_MOVING:
		text = bytes_text(dk_slice_of(e->address));
		cli_tell(s, "moving", "to", text ? text : "", NULL);
		free(text);
		break;
	case DKC_SEARCHING:
		cli_tell(s, "searching", NULL);
		break;
	case DKC_ROOM_MOVED:
		s->room = *e->room;
		tell_room(s, "room_moved", e->room);
		break;
	case DKC_ROOM_LOST:
		s->has_room = false;
		tell_room(s, "room_lost", e->room);
		break;
	case DKC_DISCONNECTED:
		s->connected = false;
		s->ended = true;
		text = e->said ? bytes_text(e->payload) : NULL;
		cli_tell(s, "disconnected", "reason", dkc_reason_text(e->reason), text ? "said" : NULL, text, NULL);
		free(text);
		break;
	case DKC_ECHO:
		break;
	}
}
