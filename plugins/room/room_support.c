/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms that can be found: by the type that a member registered them under, or by random joins, which ask for parameters. Which
 * node knows of them is listing.c's; what a room's entry says follows the room, to the end and to other nodes.
 *
 * A random join asks for a room with a free seat, goes there, and asks again where it is refused, without the rooms it was at.
 * When there is none it makes one, which others with the same wish wait for. Seats are the room's: what the directory believes
 * never lets anybody in.
 */
#include "room_state.h"

#include <errno.h>

enum { KEY_RANDOM = 1, KEY_TYPE = 2, NAME_MAX_BYTES = 255, METADATA_MAX = 1024 };

static const struct listing_rows rows = { .list = 28, .unlist = 29, .lease = 30, .find = 31, .seek = 32 };

/* Of one room. */
struct room_listed {
	struct rooms *rooms;
	bool random, typed;
	uint32_t type, n;
	uint8_t *bytes; /* metadata str16, name str16 */
	struct listing by_params, by_type;
};

/* A random join, or a question for rooms of a type. */
struct room_search {
	struct room_search *next, **link;
	dk_id user, call;
	struct dk_room_opts opts;
	struct directory_key key;
	uint8_t tried_n;
	struct dk_id52 at, tried[DIRECTORY_TRIED_MAX];
	uint32_t n;
	uint8_t payload[]; /* of the command */
};

/* ---- keys ---- */

static struct directory_key random_key(uint16_t max, uint32_t ttl_s, uint32_t interval_ms)
{
	struct directory_key key = { .b = { KEY_RANDOM } };
	struct dk_writer w = dk_writer_on(key.b + 1, sizeof(key.b) - 1);

	dk_wr_u16(&w, max);
	dk_wr_u32(&w, ttl_s);
	dk_wr_u32(&w, interval_ms);
	return key;
}

static struct directory_key type_key(uint32_t type)
{
	struct directory_key key = { .b = { KEY_TYPE } };
	struct dk_writer w = dk_writer_on(key.b + 1, sizeof(key.b) - 1);

	dk_wr_u32(&w, type);
	return key;
}

/* ---- what is listed of a room ---- */

static struct room_listed *listed_of(struct rooms *s, struct room *r)
{
	if (!r->listed)
		r->listed = dk_alloc(s, sizeof(*r->listed));
	if (r->listed)
		r->listed->rooms = s;
	return r->listed;
}

static uint16_t seats_taken(const struct room *r)
{
	return (uint16_t)(r->member_n + r->reserved_n);
}

static int list(struct rooms *s, const struct room *r, bool random)
{
	struct room_listed *l = r->listed;
	struct directory_place p = { .id = r->id, .used = seats_taken(r), .max = r->max };

	p.key = random ? random_key(r->max, r->ttl_s, r->interval_ms) : type_key(l->type);
	if (!random)
		p.bytes = dk_slice_n(l->bytes, l->n);
	return listing_set(&s->listings, random ? &l->by_params : &l->by_type, &p, true);
}

/* A room that lives here now. */
static void list_all(struct rooms *s, const struct room *r)
{
	int rc = r->listed->random ? list(s, r, true) : 0;

	if (r->listed->typed && rc == 0)
		rc = list(s, r, false);
	if (rc)
		dk_log(s, DK_ERROR, "room " DK_STR_FMT " cannot be found: %s", DK_STR_ARG(dk_str_n(r->id.c, DK_ID52_LEN)),
		       dk_err_text(rc));
}

static int set_type(struct rooms *s, struct room *r, uint32_t type, dk_slice bytes)
{
	struct room_listed *l = listed_of(s, r);
	uint8_t *fresh = dk_alloc(s, bytes.n);

	if (!l || !fresh) {
		dk_free(s, fresh, bytes.n);
		return -ENOMEM;
	}
	memcpy(fresh, bytes.p, bytes.n);
	dk_free(s, l->bytes, l->n);
	l->bytes = fresh;
	l->n = (uint32_t)bytes.n;
	l->type = type;
	l->typed = true;
	return 0;
}

void room_unlist(struct rooms *s, struct room *r)
{
	struct room_listed *l = r->listed;

	if (!l)
		return;
	listing_drop(&s->listings, &l->by_params);
	listing_drop(&s->listings, &l->by_type);
	dk_free(s, l->bytes, l->n);
	dk_free(s, l, sizeof(*l));
	r->listed = NULL;
}

static void on_changed(struct rooms *s, const struct dk_room_member_event *ev)
{
	const struct room *r = room_any(s, ev->room);

	if (!r || !r->listed)
		return;
	listing_used(&s->listings, &r->listed->by_params, seats_taken(r));
	listing_used(&s->listings, &r->listed->by_type, seats_taken(r));
}

static void on_migrated(struct rooms *s, const struct dk_room_migrated *ev)
{
	const struct room *r = room_live(s, ev->room);

	if (r && r->listed)
		list_all(s, r);
}

/* ---- it goes where the room goes ---- */

enum { PACK_RANDOM = 1, PACK_TYPED = 2 };

static int pack(void *self, dk_id room, struct dk_writer *w)
{
	const struct room *r = room_any(self, room);

	if (!r || !r->listed)
		return DK_NOT_FOUND;
	dk_wr_u8(w, (uint8_t)((r->listed->random ? PACK_RANDOM : 0) | (r->listed->typed ? PACK_TYPED : 0)));
	dk_wr_u32(w, r->listed->type);
	dk_wr_slice(w, dk_slice_n(r->listed->bytes, r->listed->n));
	return 0;
}

static int unpack(void *self, dk_id room, uint16_t version, dk_slice bytes)
{
	struct rooms *s = self;
	struct room *r = room_any(s, room);
	struct dk_cursor c = dk_cursor_of(bytes);
	uint8_t flags = dk_rd_u8(&c);
	uint32_t type = dk_rd_u32(&c);

	if (version != 1 || c.bad || dk_rd_left(&c) > DIRECTORY_BYTES_MAX)
		return -EPROTO;
	if (!r || !listed_of(s, r))
		return -ENOMEM;
	r->listed->random = flags & PACK_RANDOM;
	return flags & PACK_TYPED ? set_type(s, r, type, dk_rd_rest(&c)) : 0;
}

static const struct dk_room_part part = { .name = "room.listed", .version = 1, .pack = pack, .unpack = unpack };

/* ---- searches ---- */

static void search_free(struct rooms *s, struct room_search *q)
{
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	dk_free(s, q, sizeof(*q) + q->n);
}

static struct room_search *search_new(struct rooms *s, const struct dk_call *call)
{
	struct room_search *q = dk_alloc(s, sizeof(*q) + call->payload.n);

	if (!q)
		return NULL;
	q->user = call->user;
	q->call = call->id;
	q->n = (uint32_t)call->payload.n;
	memcpy(q->payload, call->payload.p, call->payload.n);
	q->next = s->searches;
	q->link = &s->searches;
	if (q->next)
		q->next->link = &q->next;
	s->searches = q;
	return q;
}

void room_search_gone(struct rooms *s, struct room_search *q)
{
	search_free(s, q);
}

/* NULL: its user left, or its time passed, and the search is over. */
static struct dk_call *search_call(struct rooms *s, struct room_search *q)
{
	struct dk_call *call = dk_call_get(s, q->call);

	if (!call)
		search_free(s, q);
	return call;
}

/* ---- random joins ---- */

static int create(struct rooms *s, struct dk_call *call, const struct dk_room_opts *o)
{
	struct dk_room_info info;
	struct room *r;
	dk_id room;
	int rc = s->svc.create(&s->svc, call->user, o, &room);

	if (rc == DK_ROOM_BAD_PARAMS)
		return dk_refuse(call, ROOM_E_CREATE, "a room has 2 to 1000 seats and a time to live above 0");
	if (rc)
		return room_refuse(call, ROOM_E_CREATE, rc);
	r = room_live(s, room);
	if (!r || s->svc.info(&s->svc, room, &info))
		return room_refuse(call, ROOM_E_CREATE, DK_ROOM_GONE);
	s->n.random_created++;
	if (listed_of(s, r)) {
		r->listed->random = true;
		list_all(s, r);
	}
	return room_on_rand_join_answer(call, false, info.created_s, &info.id);
}

static void make(struct rooms *s, struct room_search *q, struct dk_call *call)
{
	struct dk_room_opts o = q->opts;
	dk_id id = q->call;

	search_free(s, q);
	dk_call_done(s, id, create(s, call, &o));
}

static void seek(struct rooms *s, struct room_search *q);

/* The room was there, but not for this user. */
static void again(struct rooms *s, struct room_search *q)
{
	s->n.random_again++;
	if (q->tried_n < DIRECTORY_TRIED_MAX)
		q->tried[q->tried_n++] = q->at;
	seek(s, q);
}

static void enter(struct rooms *s, struct room_search *q, struct dk_call *call, dk_id room)
{
	dk_slice message = room_join_message(ROOM_CMD_RAND_JOIN, dk_slice_n(q->payload, q->n));
	struct dk_room_info info;
	dk_id id = q->call;
	bool new_owner;
	int rc = room_enter(s, room, q->user, message, &new_owner);

	if (rc == 0 && s->svc.info(&s->svc, room, &info))
		rc = DK_GONE; /* a listener did away with it, now that the user was in */
	if (rc == DK_GONE || rc == DK_ROOM_IN_ANOTHER || rc == DK_EXISTS) {
		search_free(s, q);
		dk_call_done(s, id, room_refuse(call, ROOM_E_JOIN, rc));
		return;
	}
	if (rc) {
		again(s, q);
		return;
	}
	s->n.random_joined++;
	dk_call_done(s, id, room_on_rand_join_answer(call, true, info.created_s, &info.id));
	room_welcome(s, room, ROOM_VER, ROOM_CMD_JOIN, message, new_owner);
	search_free(s, q);
}

void room_search_here(struct rooms *s, struct room_search *q, dk_id room)
{
	struct dk_call *call = search_call(s, q);

	if (call)
		enter(s, q, call, room);
}

void room_search_refused(struct rooms *s, struct room_search *q, int rc)
{
	dk_id id = q->call;
	struct dk_call *call = search_call(s, q);

	if (!call)
		return;
	if (rc == DK_GONE || rc == DK_ROOM_IN_ANOTHER) {
		search_free(s, q);
		dk_call_done(s, id, room_refuse(call, ROOM_E_JOIN, rc));
	} else {
		again(s, q);
	}
}

/* listing_done_fn: {u8 outcome, id52} */
static void sought(void *self, void *arg, int err, dk_slice body)
{
	struct rooms *s = self;
	struct room_search *q = arg;
	struct dk_call *call = search_call(s, q);
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	const uint8_t *id = outcome == DIRECTORY_JOIN ? dk_rd_take(&c, DK_ID52_LEN) : NULL;
	dk_id room;

	if (!call)
		return;
	if (err || c.bad || !id) {
		make(s, q, call);
		return;
	}
	memcpy(q->at.c, id, DK_ID52_LEN);
	room = s->svc.find(&s->svc, &q->at);
	if (room)
		enter(s, q, call, room);
	else if (room_remote_try(s, q, q->user, q->call, &q->at, dk_slice_n(q->payload, q->n)) != DK_LATER)
		again(s, q);
}

static void seek(struct rooms *s, struct room_search *q)
{
	dk_slice tried = dk_slice_n(q->tried, q->tried_n * sizeof(q->tried[0]));
	struct dk_call *call;

	if (q->tried_n < DIRECTORY_TRIED_MAX &&
	    listing_seek(&s->listings, &q->key, q->opts.max_members, s->user->type(s->user, q->user), tried, sought, q) == 0)
		return;
	call = search_call(s, q);
	if (call)
		make(s, q, call);
}

/* What both commands ask first. Returns 0, or as a handler: it is refused. */
static int check(struct rooms *s, struct dk_call *call, uint32_t interval_ms, uint16_t max_members, dk_slice message,
		 uint16_t ttl_s, struct dk_room_opts *ret_opts)
{
	if (message.n > (size_t)room_conf(s)->max_message)
		return DK_TOO_LONG;
	if (room_store_of(&s->store, call->user))
		return DK_ROOM_IN_ANOTHER;
	if (max_members < DK_ROOM_MEMBERS_MIN || max_members > DK_ROOM_MEMBERS_MAX || !ttl_s)
		return DK_ROOM_BAD_PARAMS;
	*ret_opts = (struct dk_room_opts){ .max_members = max_members,
					   .allow_empty = true,
					   .join = true,
					   .ttl_s = ttl_s < DK_ROOM_TTL_MIN_S ? DK_ROOM_TTL_MIN_S : ttl_s,
					   .interval_ms = room_fit_interval(s, interval_ms) };
	return 0;
}

static int refuse(struct dk_call *call, uint32_t code, int rc, uint16_t max_members, uint16_t ttl_s)
{
	if (rc != DK_ROOM_BAD_PARAMS)
		return room_refuse(call, code, rc);
	if (!ttl_s)
		return dk_refuse(call, code, "ttl_s: expected a time to live above 0, found 0");
	return dk_refuse(call, code, "max_members: expected %d to %d seats, found %u", DK_ROOM_MEMBERS_MIN, DK_ROOM_MEMBERS_MAX,
			 max_members);
}

int room_on_rand_create(struct rooms *s, struct dk_call *call, uint32_t interval_ms, uint16_t max_members, dk_slice message,
			uint16_t ttl_s)
{
	struct dk_room_opts o;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = check(s, call, interval_ms, max_members, message, ttl_s, &o);
	return rc ? refuse(call, ROOM_E_CREATE, rc, max_members, ttl_s) : create(s, call, &o);
}

int room_on_rand_join(struct rooms *s, struct dk_call *call, uint32_t interval_ms, uint16_t max_members, dk_slice message,
		      uint16_t ttl_s)
{
	struct dk_room_opts o;
	struct room_search *q;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = check(s, call, interval_ms, max_members, message, ttl_s, &o);
	if (rc)
		return refuse(call, ROOM_E_JOIN, rc, max_members, ttl_s);
	q = search_new(s, call);
	if (!q)
		return -ENOMEM;
	q->opts = o;
	q->key = random_key(o.max_members, o.ttl_s, o.interval_ms);
	seek(s, q);
	return DK_LATER;
}

/* ---- by type ---- */

int room_on_register(struct rooms *s, struct dk_call *call, dk_str metadata, dk_str name, uint32_t type)
{
	uint8_t buf[2 + METADATA_MAX + 2 + NAME_MAX_BYTES];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct room *r = room_any(s, room_store_of(&s->store, call->user));
	int rc = r ? 0 : DK_ROOM_NOT_MEMBER;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (metadata.n > METADATA_MAX || name.n > NAME_MAX_BYTES)
		return dk_refuse(call, ROOM_E_OTHER,
				 "a room's name has at most %d bytes and its metadata %d; these have %zu and %zu", NAME_MAX_BYTES,
				 METADATA_MAX, name.n, metadata.n);
	if (rc == 0 && r->phase != ROOM_LIVE)
		rc = room_why_not(s, r->handle);
	if (rc)
		return room_refuse(call, ROOM_E_OTHER, rc);
	dk_wr_bytes16(&w, dk_slice_of(metadata));
	dk_wr_bytes16(&w, dk_slice_of(name));
	rc = set_type(s, r, type, dk_written(&w));
	if (rc == 0)
		rc = list(s, r, false);
	if (rc)
		return rc;
	s->n.registered++;
	room_touched(s, r);
	return room_on_register_answer(call);
}

/* Places as listing_find() brings them, to what a client reads. */
static int show(struct rooms *s, struct dk_call *call, dk_slice places)
{
	struct dk_cursor c = dk_cursor_of(places);
	size_t cap = 2 + DIRECTORY_ANSWER_MAX + 4u * DIRECTORY_FIND_MAX;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap), head = w;
	uint16_t n = 0;

	if (!w.start)
		return -ENOMEM;
	dk_wr_u16(&w, 0);
	while (dk_rd_left(&c)) {
		const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);
		uint16_t used = dk_rd_u16(&c), max = dk_rd_u16(&c);
		dk_slice bytes = dk_rd_bytes16(&c);

		if (c.bad)
			return -EPROTO;
		dk_wr_u16(&w, (uint16_t)(2 + DK_ID52_LEN + 4 + bytes.n));
		dk_wr_bytes16(&w, dk_slice_n(id, DK_ID52_LEN));
		dk_wr_u16(&w, max);
		dk_wr_u16(&w, used);
		dk_wr_slice(&w, bytes);
		n++;
	}
	dk_wr_u16(&head, n);
	return w.bad ? -EMSGSIZE : room_on_find_answer(call, dk_written(&w));
}

static void found(void *self, void *arg, int err, dk_slice body)
{
	struct rooms *s = self;
	struct room_search *q = arg;
	dk_id id = q->call;
	struct dk_call *call = search_call(s, q);

	if (!call)
		return;
	search_free(s, q);
	if (err)
		dk_call_done(s, id,
			     dk_fail(call, ROOM_E_OTHER, "the node that knows the rooms of this type does not answer; ask again"));
	else
		dk_call_done(s, id, show(s, call, body));
}

int room_on_find(struct rooms *s, struct dk_call *call, uint16_t limit, uint32_t type)
{
	struct directory_key key = type_key(type);
	struct room_search *q;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (!limit)
		return dk_refuse(call, DK_E_PARAMS, "a search is for 1 to %d rooms, and this one is for none", DIRECTORY_FIND_MAX);
	q = search_new(s, call);
	if (!q)
		return -ENOMEM;
	rc = listing_find(&s->listings, &key, limit, found, q);
	if (rc) {
		search_free(s, q);
		return rc;
	}
	return DK_LATER;
}

/* ---- what nodes say to each other ---- */

static void count(struct rooms *s)
{
	s->n.listed = directory_count(&s->listings.directory);
	s->n.list_refused = s->listings.directory.put_refused;
}

int room_on_list(struct rooms *s, struct dk_call *call, dk_slice places)
{
	int rc = listing_on_list(&s->listings, call);

	(void)places;
	count(s);
	return rc;
}

int room_on_unlist(struct rooms *s, struct dk_call *call, dk_slice places)
{
	int rc = listing_on_unlist(&s->listings, call);

	(void)places;
	count(s);
	return rc;
}

int room_on_lease(struct rooms *s, struct dk_call *call, uint32_t n, uint64_t sum)
{
	int rc = listing_on_lease(&s->listings, call, n, sum);

	count(s);
	return rc;
}

int room_on_find_listed(struct rooms *s, struct dk_call *call, dk_slice question)
{
	(void)question;
	return listing_on_find(&s->listings, call);
}

int room_on_seek(struct rooms *s, struct dk_call *call, dk_slice question)
{
	(void)question;
	return listing_on_seek(&s->listings, call);
}

/* ---- the whole ---- */

static void on_cluster(struct rooms *s, const struct dk_cluster_event *ev)
{
	listing_on_cluster_changed(&s->listings, ev);
	count(s);
}

void room_support_reload(struct rooms *s)
{
	s->listings.support = room_conf(s)->support;
	s->listings.node_type = room_conf(s)->support_type;
	s->listings.directory.max_places = (uint32_t)room_conf(s)->support_rooms;
	s->listings.directory.max_bytes = (size_t)room_conf(s)->support_bytes;
}

int room_support_init(struct rooms *s)
{
	int rc;

	listing_init(&s->listings, s, s->carrier, s->cluster, &rows, (uint32_t)room_conf(s)->support_rooms,
		     (size_t)room_conf(s)->support_bytes);
	room_support_reload(s);
	rc = s->svc.carry(&s->svc, s, &part);
	if (rc == 0)
		rc = dk_connect(s, &s->svc.changed, on_changed);
	if (rc == 0)
		rc = dk_connect(s, &s->svc.migrated, on_migrated);
	if (rc == 0 && s->listings.cluster)
		rc = dk_connect(s, &s->cluster->changed, on_cluster);
	return rc;
}

void room_support_fini(struct rooms *s)
{
	while (s->searches)
		search_free(s, s->searches);
	listing_fini(&s->listings);
}
