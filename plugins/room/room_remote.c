/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms of other nodes, from the side that asks: a client joins one, or wants to know how many are in it; code may want to know
 * that too, cancels reservations, or reads properties. The id names the owner and its backups; they are asked in that order, as
 * long as the cluster knows them. An id that was changed by a move is followed from name to name.
 *
 * A join then has three steps: the owner asks the room's conditions and keeps a seat; the user moves there, with a note of what
 * it comes for; the owner's node makes it a member and answers its client (room_arrive.c). When a step fails the seat is given
 * back, and the client is refused from here, where it still is.
 */
#include <errno.h>

#include "room_data.h"

#include <diarkis/packed.h>

enum {
	ASK_MS = 2000, /* for one node to answer */
	HOPS_MAX = 4, /* names of one room */
	AROUND_PER_S = 20,
	AGAIN_MS = 50, /* for a user that cannot be moved yet */
	AGAIN_MAX = 30 /* times: for less than its seat is kept */
};

enum { TO_JOIN, TO_LOOK, TO_CANCEL, TO_READ };

struct room_journey {
	struct room_journey *next, **link;
	struct rooms *rooms;
	dk_id user, call; /* call 0: its command was dropped, so what there is to say is pushed */
	dk_id request;
	uint16_t cmd; /* what the user joins by */
	struct room_search *search; /* of a random join; NULL = none */
	struct dk_id52 id;
	struct dk_addr at; /* who was asked last */
	uint8_t slot, hops; /* the next slot of the id to ask */
	uint32_t around; /* the next node of the cluster to ask */
	uint8_t why; /* TO_JOIN etc. */
	void *asker, *arg; /* code that asks; NULL: a client */
	dk_room_far_fn *done;
	dk_room_props_fn *read; /* TO_READ */
	bool kept; /* at keeps a seat */
	bool silent; /* somebody who was asked did not answer */
	struct dk_timer again; /* the user has hardly come itself */
	unsigned tries;
	uint32_t uid_n, n;
	/* The uid, then the command's payload; of TO_CANCEL u16 count, {u16 length, uid}*; of TO_READ a name, or nothing. */
	uint8_t words[];
};

static dk_str uid_of(const struct room_journey *j)
{
	return dk_str_n((const char *)j->words, j->uid_n);
}

static dk_slice words_of(const struct room_journey *j)
{
	return dk_slice_n(j->words + j->uid_n, j->n);
}

static struct dk_list list_of(const struct room_journey *j)
{
	struct dk_cursor c = dk_cursor_of(words_of(j));
	struct dk_list l = { .n = dk_rd_u16(&c) };

	l.bytes = dk_rd_rest(&c);
	return l;
}

static struct room_journey *journey_new(struct rooms *s, dk_id user, dk_id call, const struct dk_id52 *id, dk_slice words)
{
	dk_str uid = s->user->uid(s->user, user);
	struct room_journey *j = dk_alloc(s, sizeof(*j) + uid.n + words.n);

	if (!j)
		return NULL;
	j->rooms = s;
	j->user = user;
	j->call = call;
	j->id = *id;
	j->uid_n = (uint32_t)uid.n;
	j->n = (uint32_t)words.n;
	if (uid.n)
		memcpy(j->words, uid.p, uid.n);
	if (words.n)
		memcpy(j->words + uid.n, words.p, words.n);
	j->next = s->journeys;
	if (j->next)
		j->next->link = &j->next;
	j->link = &s->journeys;
	s->journeys = j;
	return j;
}

static void call_off(void *self, void *arg);

static void journey_free(struct rooms *s, struct room_journey *j)
{
	dk_timer_stop(&j->again);
	if (j->asker)
		dk_disown(j->asker, call_off, j);
	*j->link = j->next;
	if (j->next)
		j->next->link = j->link;
	dk_free(s, j, sizeof(*j) + j->uid_n + j->n);
}

/* Who asked stops. */
static void call_off(void *self, void *arg)
{
	struct room_journey *j = arg;
	struct rooms *s = j->rooms;

	(void)self;
	j->asker = NULL;
	if (j->request)
		s->carrier->cancel(s->carrier, j->request);
	journey_free(s, j);
}

void room_remote_fini(struct rooms *s)
{
	while (s->journeys)
		journey_free(s, s->journeys);
}

/* ---- the end ---- */

static void give_back(struct rooms *s, const struct room_journey *j)
{
	uint8_t buf[DK_ID52_LEN + 2 + DK_UID_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!j->kept)
		return;
	room_on_stay_away_pack(&w, &j->id, uid_of(j));
	s->carrier->send(s->carrier, &j->at, DK_VER_NODE, ROOM_NODE_STAY_AWAY, dk_written(&w), DK_RELIABLE);
}

static void told(struct rooms *s, struct room_journey *j, int err, uint16_t members, uint16_t max_members)
{
	dk_room_far_fn *done = j->done;
	void *asker = j->asker, *arg = j->arg;

	journey_free(s, j);
	done(asker, arg, err, members, max_members);
}

/* The answer of a reading: a packed capsule. */
static void told_props(struct rooms *s, struct room_journey *j, int err, dk_slice capsule)
{
	dk_room_props_fn *read = j->read;
	void *asker = j->asker, *arg = j->arg;

	if (err == 0 && !dk_capsule_ok(capsule, DK_CAPSULE_DEPTH_MAX))
		err = -EPROTO;
	if (err == 0 && j->n && !dk_packed_of(capsule).left)
		err = DK_NOT_FOUND;
	journey_free(s, j);
	read(asker, arg, err, err ? dk_slice_n(NULL, 0) : capsule);
}

static void end(struct rooms *s, struct room_journey *j, int rc)
{
	uint32_t code = j->why == TO_JOIN ? ROOM_E_JOIN : ROOM_E_COUNT;
	struct dk_call *call = dk_call_get(s, j->call);

	if (j->read) {
		told_props(s, j, rc, dk_slice_n(NULL, 0));
		return;
	}
	if (rc == DK_ROOM_GONE && j->silent)
		rc = j->asker ? -ETIMEDOUT : ROOM_SILENT;
	if (j->asker) {
		told(s, j, rc, 0, 0);
		return;
	}
	give_back(s, j);
	if (j->search)
		room_search_refused(s, j->search, rc);
	else if (call)
		dk_call_done(s, j->call, room_refuse(call, code, rc));
	else if (!j->call)
		room_tell_refusal(s, j->user, j->cmd, code, rc);
	journey_free(s, j);
}

/* ---- asking ---- */

/* Ids come from clients: nobody outside the cluster is spoken to because a client says so. */
static bool known(struct rooms *s, const struct dk_addr *a)
{
	const struct dk_cluster_node *node = s->cluster->node(s->cluster, a);

	return node && (node->health == DK_ALIVE || node->health == DK_SUSPECT);
}

static void answered(void *self, void *arg, int err, int status, dk_slice body);

static int ask(struct rooms *s, struct room_journey *j)
{
	const uint16_t cmds[] = { [TO_JOIN] = 10, [TO_LOOK] = 16, [TO_CANCEL] = 19, [TO_READ] = j->n ? 17 : 18 };
	size_t cap = DK_ID52_LEN + 2 + DK_UID_MAX + j->n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	if (j->why == TO_LOOK)
		room_on_look_pack(&w, &j->id);
	else if (j->why == TO_CANCEL)
		room_on_cancel_pack(&w, &j->id, list_of(j));
	else if (j->why == TO_READ && j->n)
		room_on_read_prop_pack(&w, &j->id, dk_str_of(words_of(j)));
	else if (j->why == TO_READ)
		room_on_read_props_pack(&w, &j->id);
	else
		room_on_enter_pack(&w, &j->id, uid_of(j), room_join_message(j->cmd, words_of(j)));
	if (w.bad)
		return -ENOMEM;
	return s->carrier->request(s->carrier, s, &j->at, DK_VER_NODE, cmds[j->why], dk_written(&w), ASK_MS, answered, j,
				   &j->request);
}

/* Whether this node may ask around once more: an id that nobody knows costs a question to each node. */
static bool may_ask_around(struct rooms *s)
{
	uint64_t now = dk_now(s);

	if (now - s->asked_since_ms >= 1000) {
		s->asked_since_ms = now;
		s->asked = 0;
	}
	return s->asked++ < AROUND_PER_S;
}

static bool in_id(const struct dk_id52 *id, const struct dk_addr *a)
{
	struct dk_addr b;

	for (unsigned slot = 0; slot < 3; slot++)
		if (dk_id52_addr(id, slot, &b) == 0 && dk_addr_eq(a, &b))
			return true;
	return false;
}

/* A room with copies that outlived more than one of its nodes is on one that its id does not name. */
static int ask_around(struct rooms *s, struct room_journey *j)
{
	const struct dk_cluster_node *node;
	struct dk_addr a;

	if (dk_id52_addr(&j->id, 1, &a) || (!j->around && !may_ask_around(s)))
		return DK_ROOM_GONE;
	while ((node = s->cluster->next(s->cluster, &j->around))) {
		j->at = node->addr;
		if ((node->health == DK_ALIVE || node->health == DK_SUSPECT) && !in_id(&j->id, &j->at) && ask(s, j) == 0)
			return 0;
	}
	return DK_ROOM_GONE;
}

/* The next node that the id names. Returns 0, or DK_ROOM_GONE: there is none left. */
static int ask_next(struct rooms *s, struct room_journey *j)
{
	while (j->slot < 3)
		if (dk_id52_addr(&j->id, j->slot++, &j->at) == 0 && !dk_addr_eq(&j->at, dk_node_addr(s)) && known(s, &j->at) &&
		    ask(s, j) == 0)
			return 0;
	return ask_around(s, j);
}

/* ---- going ---- */

static void moved(void *self, void *arg, dk_id user, int err)
{
	struct rooms *s = self;
	struct room_journey *j = arg;

	(void)user;
	if (err == 0) {
		s->n.sent_to_join++;
		journey_free(s, j);
		return;
	}
	end(s, j, err == DK_GONE ? err : ROOM_NOT_TAKEN);
}

static void go(struct rooms *s, struct room_journey *j);

static void go_again(void *self, struct dk_timer *t)
{
	struct room_journey *j = dk_container_of(t, struct room_journey, again);

	go(self, j);
}

/* A seat is kept there. */
static void go(struct rooms *s, struct room_journey *j)
{
	size_t cap = ROOM_NOTE_MIN + j->n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);
	int rc;

	if (room_store_of(&s->store, j->user)) {
		end(s, j, DK_ROOM_IN_ANOTHER);
		return;
	}
	room_note_write(&w,
			j->cmd == ROOM_CMD_RAND_JOIN     ? ROOM_NOTE_RANDOM
			: j->cmd == ROOM_CMD_PUFFER_JOIN ? ROOM_NOTE_PUFFER
							 : ROOM_NOTE_JOIN,
			&j->id, words_of(j));
	rc = w.bad ? -ENOMEM : s->user->move(s->user, s, j->user, &j->at, dk_str_n(NULL, 0), dk_written(&w), moved, j);
	if (rc == DK_USER_MOVING && j->tries++ < AGAIN_MAX) {
		dk_timer_start(s, &j->again, AGAIN_MS, 0, go_again);
		return;
	}
	if (rc) {
		end(s, j, rc == DK_GONE ? rc : ROOM_NOT_TAKEN);
		return;
	}
	/* The move waits for the user's command, so that ends here; it is answered over there. */
	if (j->search)
		room_search_gone(s, j->search);
	j->search = NULL;
	dk_call_drop(s, j->call);
	j->call = 0;
}

static void looked(struct rooms *s, struct room_journey *j, uint16_t members, uint16_t max_members)
{
	struct dk_call *call = dk_call_get(s, j->call);
	dk_id id = j->call;

	if (j->asker) {
		told(s, j, 0, members, max_members);
		return;
	}
	if (call)
		room_on_count_members_answer(call, members, max_members, dk_str_n(j->id.c, DK_ID52_LEN));
	journey_free(s, j);
	dk_call_done(s, id, 0);
}

/* Code asks for a room of this node. */
static void look_here(struct rooms *s, struct room_journey *j, dk_id room)
{
	struct dk_room_info info = { .members = 0 };
	dk_slice bytes;
	int rc;

	if (j->why == TO_READ) {
		rc = room_props_packed(s, room, dk_str_of(words_of(j)), &bytes);
		told_props(s, j, rc, rc ? dk_slice_n(NULL, 0) : bytes);
	} else if (j->why == TO_LOOK) {
		s->svc.info(&s->svc, room, &info);
		looked(s, j, info.members, info.max_members);
	} else {
		bytes = words_of(j);
		end(s, j, room_cancel(s, room, dk_slice_n(bytes.p + 2, bytes.n - 2)));
	}
}

/* It was found, and is on its way, or has come, to this very node. */
static bool came_here(struct rooms *s, struct room_journey *j)
{
	dk_id room = s->svc.find(&s->svc, &j->id);

	if (!room)
		return false;
	if (j->why != TO_JOIN) {
		look_here(s, j, room);
		return true;
	}
	if (j->search)
		room_search_here(s, j->search, room);
	else if (j->call)
		room_join_again(s, j->call);
	else
		room_join_late(s, j->user, j->cmd, &j->id, words_of(j));
	journey_free(s, j);
	return true;
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct rooms *s = self;
	struct room_journey *j = arg;
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);
	uint16_t members = 0, max_members = 0;

	j->request = 0;
	if (err == 0 && status == DK_STATUS_OK && !outcome && j->why == TO_LOOK) {
		members = dk_rd_u16(&c);
		max_members = dk_rd_u16(&c);
	}
	if (err || status != DK_STATUS_OK || c.bad) {
		outcome = DK_ROOM_GONE;
		j->silent = true;
	}
	j->kept = !outcome && j->why == TO_JOIN;
	if (j->call && !dk_call_get(s, j->call)) { /* its user left, or its time passed */
		end(s, j, DK_GONE);
		return;
	}
	if (outcome == ROOM_MOVED && j->hops++ < HOPS_MAX) {
		struct dk_id52 now_called;

		memcpy(now_called.c, id, DK_ID52_LEN);
		room_alias_put(&s->aliases, &j->id, &now_called, dk_now(s));
		j->id = now_called;
		j->slot = 0;
		j->around = 0;
		outcome = DK_ROOM_GONE;
	}
	if (outcome == DK_ROOM_GONE && (came_here(s, j) || ask_next(s, j) == 0))
		return;
	if (outcome)
		end(s, j, outcome == ROOM_MOVED ? DK_ROOM_GONE : outcome);
	else if (j->why == TO_READ)
		told_props(s, j, 0, dk_rd_rest(&c));
	else if (j->why != TO_JOIN)
		looked(s, j, members, max_members);
	else
		go(s, j);
}

static int set_out(struct rooms *s, const struct room_journey *from, const struct dk_id52 *id, dk_slice payload)
{
	struct dk_id52 now_called;
	struct room_journey *j;

	if (!s->carrier || !s->cluster)
		return DK_ROOM_GONE;
	if (room_alias_get(&s->aliases, id, dk_now(s), &now_called))
		id = &now_called;
	j = journey_new(s, from->user, from->call, id, payload);
	if (!j)
		return -ENOMEM;
	j->why = from->why;
	j->cmd = from->cmd;
	j->search = from->search;
	if (ask_next(s, j) == 0)
		return DK_LATER;
	journey_free(s, j);
	return DK_ROOM_GONE;
}

int room_remote_join(struct rooms *s, dk_id user, dk_id call, uint16_t cmd, const struct dk_id52 *id, dk_slice payload)
{
	return set_out(s, &(struct room_journey){ .user = user, .call = call, .cmd = cmd }, id, payload);
}

int room_remote_try(struct rooms *s, struct room_search *search, dk_id user, dk_id call, const struct dk_id52 *id, dk_slice payload)
{
	return set_out(s, &(struct room_journey){ .user = user, .call = call, .cmd = ROOM_CMD_RAND_JOIN, .search = search }, id,
		       payload);
}

int room_remote_look(struct rooms *s, dk_id call, const struct dk_id52 *id)
{
	return set_out(s, &(struct room_journey){ .call = call, .why = TO_LOOK }, id, dk_slice_n(NULL, 0));
}

/* ---- for code ---- */

/* By now the caller has its answer that it will get one. */
static void set_out_late(void *self, struct dk_timer *t)
{
	struct room_journey *j = dk_container_of(t, struct room_journey, again);
	struct rooms *s = self;
	dk_id room = s->svc.find(&s->svc, &j->id);
	struct dk_id52 now_called;

	if (room) {
		look_here(s, j, room);
	} else {
		if (room_alias_get(&s->aliases, &j->id, dk_now(s), &now_called))
			j->id = now_called;
		if (!s->carrier || !s->cluster || ask_next(s, j))
			end(s, j, DK_ROOM_GONE);
	}
}

static int far(struct rooms *s, void *asker, const struct dk_id52 *id, dk_slice words, uint8_t why, void *arg,
	       struct room_journey **ret_journey)
{
	struct room_journey *j = journey_new(s, 0, 0, id, words);

	if (!j)
		return -ENOMEM;
	j->why = why;
	if (dk_own(asker, call_off, j, "a question to a room") < 0) {
		journey_free(s, j);
		return -ENOMEM;
	}
	j->asker = asker;
	j->arg = arg;
	dk_timer_start(s, &j->again, 0, 0, set_out_late);
	*ret_journey = j;
	return 0;
}

static int svc_count_far(struct dk_room *svc, void *self, const struct dk_id52 *id, dk_room_far_fn *done, void *arg)
{
	struct room_journey *j;
	int rc = far(rooms_of(svc), self, id, dk_slice_n(NULL, 0), TO_LOOK, arg, &j);

	if (rc == 0)
		j->done = done;
	return rc;
}

static int svc_props_far(struct dk_room *svc, void *self, const struct dk_id52 *id, dk_str name, dk_room_props_fn *done, void *arg)
{
	struct room_journey *j;
	int rc = name.n > PROPS_NAME_MAX ? -EINVAL : far(rooms_of(svc), self, id, dk_slice_of(name), TO_READ, arg, &j);

	if (rc == 0)
		j->read = done;
	return rc;
}

static int svc_cancel_far(struct dk_room *svc, void *self, const struct dk_id52 *id, const dk_str *uids, size_t n,
			  dk_room_far_fn *done, void *arg)
{
	struct rooms *s = rooms_of(svc);
	struct room_journey *j;
	struct dk_writer w;
	size_t cap = 2;
	int rc;

	if (!n || n > DK_ROOM_MEMBERS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!uids[i].n || uids[i].n > DK_UID_MAX)
			return -EINVAL;
		cap += 2 + uids[i].n;
	}
	w = dk_writer_on(dk_scratch(s, cap), cap);
	if (!w.start)
		return -ENOMEM;
	dk_wr_u16(&w, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(uids[i]));
	rc = far(s, self, id, dk_written(&w), TO_CANCEL, arg, &j);
	if (rc == 0)
		j->done = done;
	return rc;
}

void room_remote_init(struct rooms *s)
{
	s->svc.count_far = svc_count_far;
	s->svc.cancel_far = svc_cancel_far;
	s->svc.props_far = svc_props_far;
}
