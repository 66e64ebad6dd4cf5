/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lod: level of detail. Players tell their room where they are; who is near hears of it at once, who is farther away hears less
 * often, and who is very far away hears nothing. What is not sent yet is replaced by what is newer, so distance costs detail only.
 *
 *   lod.broadcast (2, 1001): where I am, and what I say there; the others get it as a push, with my uid
 *   lod.info (2, 1002): the four options, so that a client can draw its circles
 *
 * A room's table of who was told what is on this node only: when the room moves, everybody is simply told anew.
 */
#include <diarkis/plugin.h>
#include <diarkis/room.h>
#include <diarkis/user.h>

#include <errno.h>
#include <stdlib.h>

enum { PLAYERS = 64, MESSAGE = 256, CMD_BROADCAST = 1001 };

struct lod_conf {
	int64_t near_ms, far_ms, near_cm, far_cm;
};

struct player {
	dk_id user; /* 0 = a free row */
	int32_t x, y;
	uint32_t said; /* how often; its pushes carry the last one */
	uint16_t n;
	uint8_t message[MESSAGE];
};

/* What one player was told of another. */
struct told {
	uint64_t at_ms;
	uint32_t said;
};

struct arena {
	struct lod *lod;
	struct arena *next, **at; /* of the list of all */
	struct dk_timer timer;
	struct player players[PLAYERS];
	struct told told[PLAYERS][PLAYERS]; /* whom, of whom */
};

struct lod {
	struct dk_self base;
	struct dk_user *user;
	struct dk_room *room;
	struct arena *arenas;
	struct {
		uint64_t told, replaced, full;
	} n;
};

#define LOD_COMMANDS(X, R)                                                                                                         \
	X(struct lod, 2, 1001, "lod.broadcast", on_broadcast, DK_CLIENT | DK_USER | DK_PUFFER | DK_QUIET,                          \
	  "say where one is to those who are near enough", DK_IN(bytes16(payload), i32(x), i32(y)), DK_OUT())                      \
	X(struct lod, 2, 1002, "lod.info", on_info, DK_CLIENT | DK_PUFFER, "from where on less is heard, and how much less",       \
	  DK_IN(), DK_OUT(u32(maxDistanceForFar), u32(maxDistanceForNearby), u32(syncIntervalForFar), u32(syncIntervalForNearby)))
DK_COMMANDS(lod, LOD_COMMANDS)

/* ---- distances ---- */

static int64_t distance(const struct player *a, const struct player *b)
{
	return llabs((int64_t)a->x - b->x) + llabs((int64_t)a->y - b->y);
}

/* How long one waits between two messages from that far away, in ms; <0 = nothing is heard. */
static int64_t pause_at(const struct lod_conf *c, int64_t d)
{
	if (d <= c->near_cm)
		return c->near_ms;
	if (d > c->far_cm)
		return -1;
	return c->near_ms + (c->far_ms - c->near_ms) * (d - c->near_cm) / (c->far_cm - c->near_cm);
}

/* ---- telling ---- */

static void tell(struct lod *l, const struct player *to, const struct player *of)
{
	dk_str uid = l->user->uid(l->user, of->user);
	uint8_t buf[MESSAGE + 300];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	/* puffer: payload, uid, x, y */
	dk_wr_bytes16(&w, dk_slice_n(of->message, of->n));
	dk_wr_bytes16(&w, dk_slice_of(uid));
	dk_wr_u32(&w, (uint32_t)of->x);
	dk_wr_u32(&w, (uint32_t)of->y);
	if (!w.bad)
		l->user->push(l->user, to->user, 2, CMD_BROADCAST, dk_written(&w), 0);
	l->n.told++;
}

/* Tells all that is due; true when something has to wait. */
static bool tell_due(struct arena *a, uint64_t now)
{
	const struct lod_conf *c = a->lod->base.conf;
	bool waits = false;

	for (size_t i = 0; i < PLAYERS; i++)
		for (size_t k = 0; k < PLAYERS; k++) {
			const struct player *to = &a->players[i], *of = &a->players[k];
			struct told *t = &a->told[i][k];
			int64_t pause;

			if (i == k || !to->user || !of->user || t->said == of->said)
				continue;
			pause = pause_at(c, distance(to, of));
			if (pause < 0)
				continue; /* whoever of the two moves next says so */
			if (t->at_ms && now - t->at_ms < (uint64_t)pause) {
				waits = true;
				continue;
			}
			a->lod->n.replaced += of->said - t->said - 1;
			*t = (struct told){ now, of->said };
			tell(a->lod, to, of);
		}
	return waits;
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct lod *l = self;
	struct arena *a = dk_container_of(t, struct arena, timer);

	if (!tell_due(a, dk_now(l)))
		dk_timer_stop(t);
}

/* ---- players ---- */

static struct arena **arena_of(struct lod *l, dk_id room)
{
	return l->room->attachment(l->room, l, room, sizeof(struct arena *));
}

static struct player *player_of(struct arena *a, dk_id user)
{
	struct player *empty = NULL;

	for (size_t i = 0; i < PLAYERS; i++) {
		if (a->players[i].user == user)
			return &a->players[i];
		if (!a->players[i].user && !empty)
			empty = &a->players[i];
	}
	if (!empty)
		return NULL;
	*empty = (struct player){ .user = user };
	for (size_t i = 0, mine = (size_t)(empty - a->players); i < PLAYERS; i++)
		a->told[i][mine] = a->told[mine][i] = (struct told){ 0 };
	return empty;
}

static struct arena *arena_new(struct lod *l)
{
	struct arena *a = dk_alloc(l, sizeof(*a));

	if (!a)
		return NULL;
	a->lod = l;
	a->next = l->arenas;
	a->at = &l->arenas;
	if (a->next)
		a->next->at = &a->next;
	l->arenas = a;
	return a;
}

static void arena_free(struct arena *a)
{
	dk_timer_stop(&a->timer);
	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	dk_free(a->lod, a, sizeof(*a));
}

static int on_broadcast(struct lod *l, struct dk_call *call, dk_slice payload, int32_t x, int32_t y)
{
	const struct lod_conf *c = l->base.conf;
	dk_id room = l->room->of_user(l->room, call->user);
	struct arena **at = arena_of(l, room);
	struct player *p;

	if (!at)
		return dk_refuse(call, 2001, "join a room first");
	if (payload.n > MESSAGE)
		return dk_refuse(call, DK_E_PARAMS, "a message of %zu bytes; %d are the limit", payload.n, MESSAGE);
	if (!*at)
		*at = arena_new(l);
	if (!*at)
		return -ENOMEM;
	p = player_of(*at, call->user);
	if (!p) {
		l->n.full++;
		return dk_refuse(call, 2011, "%d players of this room speak already", PLAYERS);
	}
	p->x = x;
	p->y = y;
	p->said++;
	p->n = (uint16_t)payload.n;
	if (p->n)
		memcpy(p->message, payload.p, p->n);
	if (!dk_timer_armed(&(*at)->timer) && tell_due(*at, dk_now(l)))
		dk_timer_start(l, &(*at)->timer, (uint64_t)c->near_ms, (uint32_t)c->near_ms, on_tick);
	return 0;
}

static int on_info(struct lod *l, struct dk_call *call)
{
	const struct lod_conf *c = l->base.conf;

	return on_info_answer(call, (uint32_t)c->far_cm, (uint32_t)c->near_cm, (uint32_t)c->far_ms, (uint32_t)c->near_ms);
}

static void on_left(struct lod *l, const struct dk_room_member_event *ev)
{
	struct arena **at = arena_of(l, ev->room);

	for (size_t i = 0; at && *at && i < PLAYERS; i++)
		if ((*at)->players[i].user == ev->user)
			(*at)->players[i].user = 0;
}

static void on_discarded(struct lod *l, const struct dk_room_event *ev)
{
	struct arena **at = arena_of(l, ev->room);

	if (!at || !*at)
		return;
	arena_free(*at);
	*at = NULL;
}

/* ---- what the plugin is ---- */

static void lod_configure(const void *conf, struct dk_report *rep)
{
	const struct lod_conf *c = conf;

	if (c->far_cm <= c->near_cm)
		dk_report(rep, "maxDistanceForFar",
			  "\"maxDistanceForFar\" = %lld must be more than \"maxDistanceForNearby\" = %lld",
			  (long long)c->far_cm, (long long)c->near_cm);
	if (c->far_ms < c->near_ms)
		dk_report(rep, "syncIntervalForFar",
			  "\"syncIntervalForFar\" = %lld must not be less than \"syncIntervalForNearby\" = %lld",
			  (long long)c->far_ms, (long long)c->near_ms);
}

static int lod_init(void *self)
{
	struct lod *l = self;
	int rc = dk_connect(l, &l->room->left, on_left);

	return rc ? rc : dk_connect(l, &l->room->discarded, on_discarded);
}

/* Rooms that this node still has when it stops: they end after this plugin. */
static void lod_fini(void *self)
{
	struct lod *l = self;

	while (l->arenas)
		arena_free(l->arenas);
}

static const struct dk_option lod_options[] = {
	DK_INT(struct lod_conf, near_ms, "syncIntervalForNearby", "16", 1, 60000, "pause between two messages of who is near",
	       .unit = "ms"),
	DK_INT(struct lod_conf, far_ms, "syncIntervalForFar", "2000", 1, 60000, "... of who is as far away as can be heard",
	       .unit = "ms"),
	DK_INT(struct lod_conf, near_cm, "maxDistanceForNearby", "10000", 0, 1000000000, "up to here one is near", .unit = "cm"),
	DK_INT(struct lod_conf, far_cm, "maxDistanceForFar", "40000", 1, 1000000000, "beyond this nothing is heard", .unit = "cm"),
	{ 0 },
};

static const struct dk_counter lod_counters[] = {
	DK_COUNTER(struct lod, told, "messages passed on to one player"),
	DK_COUNTER(struct lod, replaced, "messages that a newer one replaced before they were due"),
	DK_COUNTER(struct lod, full, "messages refused because too many players of the room speak"),
	{ 0 },
};

static const struct dk_need lod_needs[] = {
	DK_NEED(struct lod, user, DK_USER),
	DK_NEED(struct lod, room, DK_ROOM),
	{ 0 },
};

static const struct dk_ops lod_ops = { .configure = lod_configure, .init = lod_init, .fini = lod_fini };

DK_PLUGIN(lod) = {
	DK_PLUGIN_HEAD("lod", "1.0.0", "who is farther away is heard less often"),
	.self_size = sizeof(struct lod),
	.conf_size = sizeof(struct lod_conf),
	.needs = lod_needs,
	.options = lod_options,
	.commands = lod_commands,
	.counters = lod_counters,
	.ops = &lod_ops,
};
