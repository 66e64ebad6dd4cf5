/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario find: bots look for company. Each joins any room of random joins, or makes one; registers the room under the type of
 * this run; asks for all rooms of that type, and expects its own among them; stays for a while, leaves, and begins anew. So half of
 * them are in rooms at a time, on whatever node these are.
 *
 * A room never has more of these bots than seats. Whose room is not found at once asks again for SEEK_NS, since a directory may be
 * on its way to another node; a list that is as long as it may be says nothing of a room that is not on it. What was refused or not
 * found counts as wrong unless some bot missed its node then, or the bot's own node was going down, which makes no rooms.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include <diarkis/client_room.h>

#include "tools/bot.h"

#define LIST_MAX 100
#define SEEK_NS (3 * UINT64_C(1000000000))
#define AGAIN_NS UINT64_C(100000000)
#define NEWS_NS (3 * UINT64_C(1000000000)) /* until a client knows that its node goes down: a heartbeat, and a little */
#define STEPS_PER_TURN 4096
#define WRONG_MAX 4096 /* of which it is remembered when they were asked */
#define NO_ROOM UINT32_MAX

enum finder_state { OUT = 0, JOINING, REGISTERING, FINDING, WAITING, INSIDE, LEAVING, LOST };

struct finder { /* a bot */
	struct finding *of;
	uint32_t bot, rounds, room; /* room: index of its room, or NO_ROOM */
	uint8_t state;
	bool offline; /* its node is about to stop, and makes no rooms */
	uint32_t wrong; /* index + 1 of its last refusal, as long as that may turn out to be of such a node */
	bool unsure; /* nobody said what became of its last join: it may be in a room, and be refused for that */
	uint64_t asked_ns, sought_ns; /* the last request; the first question for its room */
};

struct found_room {
	struct dk_id52 id;
	uint32_t in; /* bots of this process */
};

struct finding {
	struct part *part;
	struct finder *finders;
	struct found_room *rooms;
	uint32_t room_n, room_cap, *table, table_n; /* rooms by hash of their id: index + 1 */
	uint32_t type, inside;
	uint16_t seats;
	uint64_t start_ns, last_ns, steps, rounds, created, joined, found, late, missing, refused, overfull, was_rounds;
	uint64_t wrong_ns[WRONG_MAX];
	uint32_t wrong_n;
	char why[128]; /* of the first refusal */
	struct hist join, find;
};

/* ---- who is in which room ---- */

/* FNV-1a */
static uint32_t hash(const struct dk_id52 *id)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < DK_ID52_LEN; i++)
		h = (h ^ (uint8_t)id->c[i]) * 16777619u;
	return h;
}

static bool grow(struct finding *s)
{
	uint32_t cap = s->room_cap * 2 + 64, n = cap * 4, *table = calloc(n, sizeof(*table));
	struct found_room *rooms = table ? realloc(s->rooms, cap * sizeof(*rooms)) : NULL;

	if (!rooms) {
		free(table);
		return false;
	}
	for (uint32_t i = 0; i < s->room_n; i++) {
		uint32_t at = hash(&rooms[i].id) % n;

		while (table[at])
			at = (at + 1) % n;
		table[at] = i + 1;
	}
	free(s->table);
	s->rooms = rooms;
	s->room_cap = cap;
	s->table = table;
	s->table_n = n;
	return true;
}

static uint32_t room_of(struct finding *s, const struct dk_id52 *id)
{
	uint32_t at;

	if (s->room_n == s->room_cap && !grow(s))
		return NO_ROOM;
	for (at = hash(id) % s->table_n; s->table[at]; at = (at + 1) % s->table_n) {
		if (!memcmp(s->rooms[s->table[at] - 1].id.c, id->c, DK_ID52_LEN))
			return s->table[at] - 1;
	}
	s->rooms[s->room_n] = (struct found_room){ .id = *id };
	s->table[at] = ++s->room_n;
	return s->room_n - 1;
}

static void is_out(struct finder *f)
{
	struct finding *s = f->of;

	if (f->room == NO_ROOM)
		return;
	s->rooms[f->room].in--;
	s->inside--;
	f->room = NO_ROOM;
}

static void is_in(struct finder *f, const struct dk_id52 *id)
{
	struct finding *s = f->of;

	is_out(f);
	f->room = room_of(s, id);
	if (f->room == NO_ROOM)
		return;
	s->inside++;
	s->overfull += ++s->rooms[f->room].in > s->seats;
}

/* ---- one step after another ---- */

static uint64_t now_of(const struct finding *s)
{
	return net_now_ns(s->part->run->net);
}

/* Returns its index + 1; 0 = it is not remembered. */
static uint32_t wrong(struct finding *s, uint64_t at)
{
	if (s->wrong_n == WRONG_MAX)
		return 0;
	s->wrong_ns[s->wrong_n++] = at;
	return s->wrong_n;
}

/* Its node turned out to be going down; clients hear of that with a heartbeat, or when they are sent away. */
static void excuse(struct finder *f)
{
	struct finding *s = f->of;

	if (f->wrong && now_of(s) - s->wrong_ns[f->wrong - 1] < NEWS_NS)
		s->wrong_ns[f->wrong - 1] = 0;
	f->wrong = 0;
}

static struct dkc_client *asks(struct finder *f, uint8_t state)
{
	f->state = state;
	f->asked_ns = now_of(f->of);
	net_touch(f->of->part->run->net, f->bot);
	return run_client(f->of->part, f->bot);
}

/* An answer that is none, or a no. Returns whether it was. */
static bool is_refused(struct finder *f, const struct dkc_reply *reply)
{
	struct finding *s = f->of;

	s->last_ns = now_of(s);
	if (dkc_ok(reply))
		return false;
	if (!f->unsure) {
		if (!s->why[0])
			snprintf(s->why, sizeof(s->why), "command %u: " DK_STR_FMT, reply->cmd,
				 DK_STR_ARG(dkc_reply_error(reply, NULL)));
		s->refused++;
		if (!f->offline)
			f->wrong = wrong(s, f->asked_ns);
	}
	return true;
}

static void ask_for_rooms(struct finder *f);

static void on_found(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct finder *f = arg;
	struct finding *s = f->of;
	struct dkc_room_list list;
	struct dkc_room_item item;
	struct dk_id52 room;
	bool mine = false;

	if (f->state != FINDING)
		return;
	f->state = INSIDE;
	if (is_refused(f, reply) || !dkc_room_found(reply, &list))
		return;
	hist_record(&s->find, s->last_ns - f->asked_ns);
	mine = list.n >= LIST_MAX || !dkc_room_current(client, &room);
	while (dkc_room_found_next(&list, &item)) {
		s->overfull += item.members > item.max_members || item.max_members != s->seats;
		mine |= !memcmp(item.room.c, room.c, DK_ID52_LEN);
	}
	if (mine) {
		s->found++;
		s->late += f->asked_ns != f->sought_ns;
	} else if (s->last_ns - f->sought_ns < SEEK_NS) {
		f->state = WAITING;
	} else {
		s->missing++;
		wrong(s, f->sought_ns);
	}
}

static void ask_for_rooms(struct finder *f)
{
	if (dkc_room_find(asks(f, FINDING), f->of->type, LIST_MAX, on_found, f))
		f->state = WAITING;
}

static void on_registered(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct finder *f = arg;

	(void)client;
	if (f->state != REGISTERING)
		return;
	f->state = INSIDE;
	if (is_refused(f, reply))
		return;
	ask_for_rooms(f);
	f->sought_ns = f->asked_ns;
}

static void on_joined(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct finder *f = arg;
	struct finding *s = f->of;
	struct dk_id52 room;
	uint32_t created;
	bool joined;

	if (f->state != JOINING)
		return;
	f->state = OUT;
	if (is_refused(f, reply) || !dkc_room_random(reply, &room, &created, &joined)) {
		f->unsure |= !reply->status;
		return;
	}
	hist_record(&s->join, s->last_ns - f->asked_ns);
	s->joined += joined;
	s->created += !joined;
	s->rounds++;
	f->unsure = false;
	is_in(f, &room);
	f->state = INSIDE;
	if (dkc_room_register(client, s->type, dk_str_c("diarkis-bot"), dk_str_c(s->part->o->prefix), on_registered, f) == 0)
		asks(f, REGISTERING);
}

static void on_left(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct finder *f = arg;
	struct dk_id52 room;

	if (f->state != LEAVING)
		return;
	f->state = OUT;
	if (!is_refused(f, reply) || reply->status || !dkc_room_current(client, &room))
		return;
	f->state = INSIDE; /* still, on a node that took the room over */
	is_in(f, &room);
}

static int go_in(struct finder *f)
{
	struct finding *s = f->of;
	struct dkc_room_opts o = { .max_members = s->seats,
				   .ttl_s = (uint16_t)s->part->o->room_ttl_s,
				   .interval_ms = s->part->o->interval_ms };
	int rc = dkc_room_random_join(asks(f, JOINING), &o, dk_slice_n(NULL, 0), on_joined, f);

	f->state = rc ? OUT : JOINING;
	f->rounds += !rc;
	return rc;
}

/* It counts no more from the moment it asks: nobody can have its seat before. */
static int go_out(struct finder *f)
{
	struct dkc_client *c = asks(f, LEAVING);
	struct dk_id52 room;
	int rc = 0;

	if (!dkc_room_current(c, &room))
		f->state = OUT; /* it was lost on the way */
	else
		rc = dkc_room_leave(c, &room, dk_slice_n(NULL, 0), on_left, f);
	if (rc)
		f->state = INSIDE;
	else
		is_out(f);
	return rc;
}

/* Each second turn of a bot begins a round: of one half of them the even ones, of the other half the odd ones. Nonzero: it is not
 * ready, and keeps its turn. */
static int turn(struct finder *f, uint64_t number)
{
	uint32_t most = f->of->part->o->messages;

	if (f->state == OUT)
		return ((number ^ f->bot) & 1) || (most && f->rounds == most) ? 0 : go_in(f);
	return f->state == INSIDE ? go_out(f) : f->state != LOST;
}

static void ask_again(struct finding *s, uint64_t now)
{
	for (uint32_t i = 0; i < s->part->o->bots; i++) {
		if (s->finders[i].state == WAITING && now - s->finders[i].asked_ns > AGAIN_NS)
			ask_for_rooms(&s->finders[i]);
	}
}

static bool find_send(struct part *p, uint64_t now)
{
	struct finding *s = p->self;
	uint64_t due = (uint64_t)((double)(now - s->start_ns) / 1e9 * p->o->rate * 2 * p->o->bots), all = UINT64_MAX;

	if (p->o->messages)
		all = ((uint64_t)p->o->messages * 2 + 1) * p->o->bots;
	due = due > all ? all : due;
	ask_again(s, now);
	for (int i = 0; i < STEPS_PER_TURN && s->steps < due; i++) {
		if (turn(&s->finders[s->steps % p->o->bots], s->steps / p->o->bots) && p->o->messages)
			break;
		s->steps++;
	}
	return s->steps >= all;
}

static void find_event(struct part *p, uint32_t bot, const struct dkc_event *e)
{
	struct finding *s = p->self;
	struct finder *f = &s->finders[bot];

	if (e->kind == DKC_OFFLINE || e->kind == DKC_MOVING)
		excuse(f);
	if (e->kind == DKC_OFFLINE || e->kind == DKC_CONNECTED)
		f->offline = e->kind == DKC_OFFLINE;
	if (e->kind == DKC_ROOM_MOVED && f->room != NO_ROOM)
		is_in(f, e->room);
	if (e->kind == DKC_ROOM_LOST || e->kind == DKC_DISCONNECTED)
		is_out(f);
	if (e->kind == DKC_DISCONNECTED)
		f->state = LOST;
}

static bool find_drained(struct part *p, uint64_t now)
{
	struct finding *s = p->self;
	bool all = true;

	ask_again(s, now);
	for (uint32_t i = 0; i < p->o->bots; i++) {
		struct finder *f = &s->finders[i];

		if (f->state == INSIDE)
			go_out(f);
		all &= f->state == OUT || f->state == LOST;
	}
	return all || now - s->last_ns > p->o->drain_s * UINT64_C(1000000000) ||
	       now - p->run->stop_ns > p->o->drain_s * UINT64_C(2000000000);
}

static uint32_t find_visit(struct part *p, struct dkc_client *c, void *arg)
{
	const struct finding *s = p->self;
	struct dkc_room_opts o = { .max_members = s->seats, .ttl_s = (uint16_t)p->o->room_ttl_s, .interval_ms = p->o->interval_ms };

	return dkc_room_random_join(c, &o, dk_slice_n(NULL, 0), visits_answered, arg) == 0;
}

/* ---- figures ---- */

static uint64_t wrong_calm(const struct finding *s)
{
	uint64_t calm = 0;

	for (uint32_t i = 0; i < s->wrong_n; i++)
		calm += s->wrong_ns[i] && !run_disturbed_at(s->part->run, s->wrong_ns[i]);
	return calm;
}

static void find_progress(struct part *p, FILE *out, uint64_t now)
{
	struct finding *s = p->self;
	char p99[32];

	(void)now;
	fprintf(out, "rounds %" PRIu64 "/s  inside %u  created %" PRIu64 "  missing %" PRIu64 "  p99 %s", s->rounds - s->was_rounds,
		s->inside, s->created, s->missing, report_time(hist_quantile(&s->join, 0.99), p99, sizeof(p99)));
	s->was_rounds = s->rounds;
}

static void find_report(struct part *p, FILE *out, bool json)
{
	const struct finding *s = p->self;

	if (json)
		fprintf(out,
			", \"seats\": %u, \"rounds\": %" PRIu64 ", \"created\": %" PRIu64 ", \"joined\": %" PRIu64
			", \"rooms\": %u, \"overfull\": %" PRIu64 ", \"turned_away\": %" PRIu64 ", \"found\": %" PRIu64
			", \"found_late\": %" PRIu64 ", \"missing\": %" PRIu64 ", \"wrong_calm\": %" PRIu64,
			s->seats, s->rounds, s->created, s->joined, s->room_n, s->overfull, s->refused, s->found, s->late,
			s->missing, wrong_calm(s));
	else
		fprintf(out,
			"rounds        %" PRIu64 "\ncreated       %" PRIu64 "\njoined        %" PRIu64
			"\nrooms         %u\noverfull      %" PRIu64 "\nturned_away   %" PRIu64 "\nfound         %" PRIu64
			", %" PRIu64 " of them late\nmissing       %" PRIu64 "\nwrong_calm    %" PRIu64 "\n",
			s->rounds, s->created, s->joined, s->room_n, s->overfull, s->refused, s->found, s->late, s->missing,
			wrong_calm(s));
	report_quantiles(out, "join", &s->join, json);
	report_quantiles(out, "find", &s->find, json);
}

static bool find_broken(struct part *p)
{
	const struct finding *s = p->self;

	if (!s->overfull && !wrong_calm(s) && s->rounds)
		return false;
	fprintf(stderr,
		"Of %" PRIu64 " random joins and what followed %" PRIu64 " were refused, %" PRIu64 " rooms were not found, %" PRIu64
		" times a room had more members than seats.%s%s\n",
		s->rounds, s->refused, s->missing, s->overfull, s->why[0] ? " The first refusal was of " : "", s->why);
	return true;
}

/* ---- memory ---- */

static int find_open(struct part *p, void **ret_self)
{
	struct finding *s = calloc(1, sizeof(*s));
	struct timespec t;

	if (!s)
		return -ENOMEM;
	*ret_self = s;
	s->part = p;
	s->finders = calloc(p->o->bots, sizeof(*s->finders));
	if (!s->finders)
		return -ENOMEM;
	clock_gettime(CLOCK_REALTIME, &t);
	s->type = (uint32_t)t.tv_sec * 1000 + (uint32_t)(t.tv_nsec / 1000000);
	s->seats = (uint16_t)(p->o->circle < 2 ? 2 : p->o->circle);
	for (uint32_t i = 0; i < p->o->bots; i++)
		s->finders[i] = (struct finder){ .of = s, .bot = i, .room = NO_ROOM };
	return 0;
}

static void find_close(struct part *p)
{
	struct finding *s = p->self;

	free(s->finders);
	free(s->rooms);
	free(s->table);
	free(s);
}

static void find_start(struct part *p, uint64_t now)
{
	struct finding *s = p->self;

	s->start_ns = s->last_ns = now;
}

const struct scenario scenario_find = {
	.name = "find",
	.summary = "bots join random rooms, find them by type and leave, again and again",
	.by_itself = true,
	.in_room = true,
	.open = find_open,
	.close = find_close,
	.event = find_event,
	.start = find_start,
	.send = find_send,
	.drained = find_drained,
	.visit = find_visit,
	.progress = find_progress,
	.report = find_report,
	.broken = find_broken,
};
