/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the wire tells a client, and what the client tells the program. All of it runs inside the wire's callbacks: nothing here
 * ends a connection, it only says so in `ending`.
 */
#include <diarkis/room_commands.h>

#include "priv.h"

enum { SAID_MAX = 256 };

void client_emit(struct dkc_client *c, const struct dkc_event *e)
{
	if (!c->event)
		return;
	c->delivered++;
	c->event(c->arg, c, e);
}

static void connected(struct dkc_client *c)
{
	struct dkc_event e = { .kind = DKC_CONNECTED, .again = c->again };

	c->state = CLIENT_UP;
	c->again = true;
	c->offline_told = false;
	c->asked_away = 0;
	client_found(c);
	if (e.again)
		client_seat_ask(c);
	client_emit(c, &e);
	client_send_held(c);
}

static void on_echo(struct dkc_client *c, const struct dk_frame *f)
{
	struct wire_echo_reply r;
	struct dkc_event e = { .kind = DKC_ECHO };
	struct dk_cursor notes;
	double stamp = 0, age;
	uint64_t bits = 0;

	if (!wire_echo_reply_decode(f->payload, &r))
		return;
	for (int i = 0; i < 8; i++)
		bits |= (uint64_t)r.stamp[i] << (8 * i);
	memcpy(&stamp, &bits, sizeof(stamp));
	age = (double)c->now - stamp * 1000;
	if (!(age >= 0 && age < 60e6)) /* not a number of ours */
		return;
	c->echo_again = DKC_NEVER;
	c->local_told = true;
	c->rtt_us = age < 1 ? 1 : (uint32_t)age;
	e.rtt_us = c->rtt_us;
	e.state = r.state;
	e.address = r.address;
	client_emit(c, &e);
	if (r.state == DKC_STATE_OFFLINE && !c->offline_told) {
		struct dkc_event off = { .kind = DKC_OFFLINE, .state = r.state };

		c->offline_told = true;
		client_emit(c, &off);
		client_follow(c);
	}
	notes = dk_cursor_of(r.notes);
	while (!notes.bad && notes.p < notes.end) {
		uint16_t n = dk_rd_u16(&notes);
		struct dkc_event note = { .kind = DKC_NOTE };

		note.ver = dk_rd_u8(&notes);
		note.cmd = dk_rd_u16(&notes);
		note.payload = dk_rd_slice(&notes, n >= 5 ? n - 5u : 0);
		if (n < 5 || notes.bad)
			break;
		client_emit(c, &note);
	}
}

/* The last word before the server closes, which it does whatever this holds. */
static void on_goodbye(struct dkc_client *c, dk_slice payload)
{
	struct dk_cursor cur = dk_cursor_of(payload);
	uint16_t said = dk_rd_u16(&cur);
	dk_slice text = dk_rd_bytes16(&cur);

	c->ending = DKC_BY_SERVER;
	if (cur.bad || c->said_text)
		return;
	c->said = said;
	c->said_text = strndup((const char *)text.p, text.n < SAID_MAX ? text.n : SAID_MAX);
}

/* The connection's own commands. True when f was one. */
static bool on_utility(struct dkc_client *c, const struct dk_frame *f)
{
	dk_slice payload = f->payload;
	dk_str address;

	switch (f->cmd) {
	case WIRE_CMD_ECHO:
		on_echo(c, f);
		return true;
	case WIRE_CMD_FIN:
		c->ending = DKC_BY_SERVER;
		return true;
	case WIRE_CMD_RECONNECT:
	case WIRE_CMD_RECONNECT_TYPE:
		if (f->status == DK_STATUS_PUSH) { /* pushes are lists */
			struct dk_cursor list = dk_cursor_of(payload);

			wire_list_next(&list, &payload);
		}
		if (!wire_reconnect_decode(payload, &address))
			return c->asked_away == CLIENT_FOLLOWS; /* a refusal; whose question was it? */
		client_leave(c, address);
		return true;
	case WIRE_CMD_GOODBYE:
		if (f->status == DK_STATUS_PUSH) {
			struct dk_cursor list = dk_cursor_of(payload);

			wire_list_next(&list, &payload);
		}
		on_goodbye(c, payload);
		return true;
	default:
		return false;
	}
}

/* Pushes that are no lists. */
static bool is_whole(const struct dkc_client *c, const struct dk_frame *f)
{
	if (f->ver == 1)
		return f->cmd == ROOM_CMD_RELAY || f->cmd == ROOM_CMD_RELAY_PROFILE || f->cmd == ROOM_CMD_RELAY_TO ||
		       f->cmd == ROOM_CMD_RELAY_TO_PROFILE;
	return c->whole && c->whole(c->arg, f->ver, f->cmd);
}

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct dkc_client *c = arg;
	struct dkc_event e = { .ver = f->ver, .status = f->status, .cmd = f->cmd, .reliable = reliable, .payload = f->payload };

	c->heard_at = c->now;
	if (c->ending || c->state == CLIENT_IDLE)
		return; /* it is only acknowledged */
	if (c->state == CLIENT_SEARCHING)
		client_back(c);
	if (!client_is_udp(c) && c->state == CLIENT_OPENING)
		connected(c);
	if (f->ver == 0 && on_utility(c, f))
		return;
	if (f->status == DK_STATUS_PUSH) {
		struct dk_cursor list = dk_cursor_of(f->payload);

		e.kind = DKC_PUSH;
		if (is_whole(c, f)) {
			client_emit(c, &e);
			return;
		}
		while (!c->ending && wire_list_next(&list, &e.payload)) {
			if (f->ver != 1 || !client_seat_push(c, f->cmd, e.payload))
				client_emit(c, &e);
		}
		return;
	}
	e.kind = DKC_RESPONSE;
	if (f->ver == 1 && client_seat_frame(c, f))
		return;
	if (!client_pending_answer(c, f))
		client_emit(c, &e);
}

void client_opened(struct dkc_client *c)
{
	if (c->state == CLIENT_SEARCHING)
		client_back(c);
	if (c->state != CLIENT_OPENING)
		return;
	c->local_told = false;
	client_send_key(c);
	if (c->echo_ms)
		client_start_echo(c);
	connected(c);
}

static void on_opened(void *arg, const struct dk_addr *from)
{
	(void)from;
	client_opened(arg);
}

static void on_closed(void *arg, enum wire_reason reason)
{
	static const uint8_t map[] = { [WIRE_CLOSED_FIN] = DKC_BY_SERVER,
				       [WIRE_CLOSED_SILENCE] = DKC_SILENCE,
				       [WIRE_CLOSED_RETRY] = DKC_RETRY,
				       [WIRE_CLOSED_KILLED] = DKC_KILLED,
				       [WIRE_CLOSED_LOCAL] = DKC_BY_CLIENT };
	struct dkc_client *c = arg;

	if (!c->ending && c->state != CLIENT_IDLE)
		c->ending = map[reason];
}

struct wire_events client_events(struct dkc_client *c)
{
	struct wire_events ev = { .arg = c, .frame = on_frame, .opened = on_opened, .closed = on_closed };

	return ev;
}
