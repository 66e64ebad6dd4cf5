/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The death of a node, as only its clients can notice it. In a room of a cluster a client that heard nothing for quiet_ms asks the
 * node for a sign of life, and again every probe_ms; when the first question was not answered it turns to the room's backups too,
 * one after the other, with its sid. A backup that says "unknown" has not taken the room over yet and is asked again; as somebody
 * is there who may, the search then goes on for a little longer: the client may have fallen silent before its node did.
 *
 * Silence is counted in questions, not in time: a program that was stopped for a while has asked none, and loses nothing.
 *
 * UDP: the connection and the try live side by side, and whoever answers first is the connection from then on. TCP: the stream is
 * closed when the search begins, and the node itself is the last one of those that are dialled in turn.
 *
 * Nothing that the old node may have taken is said again, so nothing comes twice; it is counted. To keep that little, a client
 * whose room has backups says nothing new while all is silent and acknowledgements are missing: it waits for whoever answers.
 */
#include <stdlib.h>

#include "priv.h"

#define HUSH_US 200000 /* acknowledgements that are missing for so long, and nothing else either: say no more for now */
#define STREAM_PATIENCE 4 /* questions that a stream may leave open before it is given up */
#define LONGER_MS 1000
#define TRY_STAY 8 /* probes more, at most, for which a backup far away is waited for */
#define STREAM_STAY 3 /* probes for which one node is dialled */

static uint64_t heard_at(const struct dkc_client *c)
{
	return client_is_udp(c) && c->wire_up ? wire_peer_heard(&c->wire.peer) * 1000 : c->heard_at;
}

static bool watches(const struct dkc_client *c)
{
	if (!c->seat || !c->seat->watched || !c->quiet_ms)
		return false;
	return c->search || c->state == CLIENT_UP || (c->again && (c->state == CLIENT_OPENING || c->state == CLIENT_DIALING));
}

static uint16_t in_probes(const struct dkc_client *c, uint32_t ms)
{
	uint32_t n = ms / c->probe_ms;

	return n < 1 ? 1 : n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
}

/* How many questions may stay open. */
static uint16_t most(const struct dkc_client *c)
{
	if (c->seat->backup_n)
		return in_probes(c, c->search_ms);
	return in_probes(c, c->search_ms > c->quiet_ms ? c->search_ms - c->quiet_ms : 0);
}

static void ask(struct dkc_client *c)
{
	if (c->wire_up && (c->state == CLIENT_UP || c->state == CLIENT_SEARCHING))
		client_send_echo(c);
	c->probe_at = c->now + (uint64_t)c->probe_ms * 1000;
}

bool client_hushes(const struct dkc_client *c)
{
	uint64_t hush = 3ull * c->rtt_us, since;

	if (!client_is_udp(c) || c->state != CLIENT_UP || !watches(c) || !c->seat->backup_n)
		return false;
	if (c->refused_at > heard_at(c))
		return true;
	since = wire_peer_waits(&c->wire.peer);
	if (since == WIRE_NEVER)
		return false;
	since = since * 1000 > heard_at(c) ? since * 1000 : heard_at(c);
	return c->now >= since + (hush > HUSH_US ? hush : HUSH_US);
}

/* ---- the try ---- */

static void try_down(struct dkc_client *c, struct search *s)
{
	if (s->peer_up)
		wire_peer_fini(c->ctx->wire, &s->peer);
	s->peer_up = s->wanted = false;
}

void client_search_free(struct dkc_client *c)
{
	if (!c->search)
		return;
	try_down(c, c->search);
	free(c->search);
	c->search = NULL;
}

static void next_try(struct dkc_client *c, struct search *s)
{
	const struct seat *seat = c->seat;
	uint8_t i = s->next;

	if (s->peer_up && !s->failed && (seat->backup_n == 1 || s->stay-- > 0))
		return;
	try_down(c, s);
	i = i < seat->backup_n ? i : 0;
	s->next = i + 1;
	s->stay = (uint8_t)(1 + client_sooner(TRY_STAY, 2 * c->rtt_us / 1000 / c->probe_ms)); /* an answer has to have the time */
	s->to = c->to;
	memcpy(s->to.host, seat->backup[i].host, sizeof(s->to.host));
	s->to.port = seat->backup[i].port;
	s->failed = false;
	s->wanted = true;
}

static void next_dial(struct dkc_client *c, struct search *s)
{
	const struct seat *seat = c->seat;
	uint8_t i = s->next;

	if (c->state != CLIENT_SEARCHING && s->stay-- > 0)
		return;
	client_wire_down(c);
	s->next = i < seat->backup_n ? i + 1 : 0;
	s->stay = STREAM_STAY;
	if (i < seat->backup_n) {
		memcpy(c->to.host, seat->backup[i].host, sizeof(c->to.host));
		c->to.port = seat->backup[i].port;
	} else {
		c->to = s->from;
	}
	c->state = CLIENT_WANTED;
}

static void on_try_opened(void *arg, const struct dk_addr *from)
{
	struct search *s = arg;

	(void)from;
	s->answered = true;
}

static void on_try_closed(void *arg, enum wire_reason reason)
{
	struct search *s = arg;

	s->failed = true; /* not yet: it is asked again */
	s->spoke |= reason == WIRE_CLOSED_KILLED;
}

static struct wire_events try_events(struct search *s)
{
	struct wire_events ev = { .arg = s, .opened = on_try_opened, .closed = on_try_closed };

	return ev;
}

const struct dkc_endpoint *dkc_wants_try(struct dkc_client *c)
{
	struct search *s = c->search;

	if (!s || !s->wanted)
		return NULL;
	s->wanted = false;
	return &s->to;
}

bool dkc_is_trying(const struct dkc_client *c)
{
	return c->search && client_is_udp(c);
}

void dkc_tried(struct dkc_client *c, uint64_t now_us, int rc, const struct dk_addr *server)
{
	struct search *s = c->search;

	c->now = now_us;
	if (!s || s->peer_up)
		return;
	if (rc || wire_peer_init(c->ctx->wire, &s->peer, WIRE_CLIENT, &c->to.cred, now_us / 1000)) {
		s->failed = true;
		return;
	}
	s->peer_up = true;
	s->server = *server;
	wire_peer_open(c->ctx->wire, &s->peer, now_us / 1000, server);
}

size_t dkc_next_try(struct dkc_client *c, uint64_t now_us, uint8_t *slot, size_t cap)
{
	struct search *s = c->search;
	struct dk_addr to;
	bool fragment;

	return s && s->peer_up ? wire_peer_out(c->ctx->wire, &s->peer, now_us / 1000, true, slot, cap, &to, &fragment) : 0;
}

/* The backup that answered is where the connection is from now on. */
static void adopt(struct dkc_client *c)
{
	struct search *s = c->search;

	client_wire_down(c);
	c->wire.peer = s->peer; /* it has no pointers into itself */
	c->wire_up = true;
	s->peer_up = false;
	c->server = s->server;
	c->to = s->to;
	c->state = CLIENT_OPENING;
	client_opened(c);
}

bool dkc_feed_try(struct dkc_client *c, uint64_t now_us, dk_slice bytes)
{
	struct search *s = c->search;
	struct wire_events ev;

	c->now = now_us;
	if (!s || !s->peer_up || c->depth)
		return false;
	ev = try_events(s);
	wire_peer_recv(c->ctx->wire, &s->peer, now_us / 1000, &s->server, bytes, &ev);
	if (!s->answered)
		return false;
	adopt(c);
	client_settle(c);
	return true;
}

/* ---- beginning and end ---- */

static void begin(struct dkc_client *c)
{
	struct search *s = calloc(1, sizeof(*s));
	struct dkc_event e = { .kind = DKC_SEARCHING };

	if (!s)
		return; /* without memory the node may still answer */
	s->back = c->state;
	s->from = c->to;
	client_hold_unsent(c);
	if (c->wire_up && client_is_udp(c))
		s->at_risk = wire_peer_unacked(c->ctx->wire, &c->wire.peer, NULL, NULL);
	else
		client_wire_down(c);
	c->search = s;
	c->state = CLIENT_SEARCHING;
	client_emit(c, &e);
}

void client_back(struct dkc_client *c)
{
	c->silent = false;
	if (c->state != CLIENT_SEARCHING)
		return;
	c->state = c->search->back;
	client_search_free(c);
}

void client_found(struct dkc_client *c)
{
	struct search *s = c->search;

	c->silent = false;
	if (!s)
		return;
	if (client_is_udp(c) || c->to.port != s->from.port || strcmp(c->to.host, s->from.host) != 0)
		c->ctx->n.takeovers++;
	c->ctx->n.given_up += s->at_risk;
	client_search_free(c);
	client_pending_lost(c);
}

static void lost(struct dkc_client *c, enum dkc_reason reason)
{
	struct dk_id52 room = c->seat->id;
	struct dkc_event e = { .kind = DKC_ROOM_LOST, .room = &room };

	c->ctx->n.rooms_lost++;
	client_emit(c, &e);
	client_end(c, reason);
}

bool client_broke(struct dkc_client *c, enum dkc_reason reason)
{
	if (!c->seat || !c->seat->watched || !c->quiet_ms || !c->again || reason == DKC_BY_CLIENT || reason == DKC_BY_SERVER)
		return false;
	if (!c->seat->backup_n) {
		lost(c, reason);
		return true;
	}
	if (!c->search) {
		/* As long as if it had fallen silent now. */
		c->silent = true;
		c->heard_then = heard_at(c);
		c->probes_left = (uint16_t)(most(c) + in_probes(c, c->quiet_ms));
		c->probe_at = c->now;
		begin(c);
	}
	client_wire_down(c);
	if (!c->search)
		return false;
	c->state = CLIENT_SEARCHING;
	c->ending = 0;
	return true;
}

void client_listen(struct dkc_client *c)
{
	if (c->silent && c->wire_up && heard_at(c) != c->heard_then && (c->state == CLIENT_UP || c->state == CLIENT_SEARCHING))
		client_back(c);
}

void client_watch(struct dkc_client *c)
{
	struct wire_events ev;
	uint64_t heard;

	if (c->search && c->search->peer_up) {
		ev = try_events(c->search);
		wire_peer_tick(c->ctx->wire, &c->search->peer, c->now / 1000, &ev);
	}
	if (!watches(c)) {
		c->silent = false;
		return;
	}
	client_listen(c);
	heard = heard_at(c);
	if (!c->silent) {
		if (c->now < heard + (uint64_t)c->quiet_ms * 1000)
			return;
		c->silent = true;
		c->heard_then = heard;
		c->probes_left = most(c);
		ask(c);
		return;
	}
	if (c->now < c->probe_at)
		return;
	if (!--c->probes_left && c->search && c->search->spoke && !c->search->longer) {
		c->search->longer = true;
		c->probes_left = in_probes(c, LONGER_MS);
	}
	if (!c->probes_left) {
		lost(c, DKC_SILENCE);
		return;
	}
	if (!c->search && c->seat->backup_n && (client_is_udp(c) || c->probes_left + STREAM_PATIENCE <= most(c)))
		begin(c);
	if (c->search && client_is_udp(c))
		next_try(c, c->search);
	else if (c->search)
		next_dial(c, c->search);
	ask(c);
}

uint64_t client_watch_due(const struct dkc_client *c)
{
	uint64_t due, t;

	if (!watches(c))
		return DKC_NEVER;
	due = c->silent ? c->probe_at : heard_at(c) + (uint64_t)c->quiet_ms * 1000;
	if (c->search && c->search->peer_up) {
		t = wire_peer_due(c->ctx->wire, &c->search->peer);
		if (t != WIRE_NEVER)
			due = client_sooner(due, t * 1000);
	}
	return due;
}
