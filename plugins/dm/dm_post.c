/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages on their way. All that this node has for one user stands in one queue, and at most one request is under way for it, so
 * nothing overtakes anything: what waits meanwhile goes with the next request, together.
 *
 * The node that is asked hands over as many as it can and says why it stopped: the user is not there, is elsewhere, or is between
 * two nodes. Then the rest is asked for there, after a moment, or after a look into the storage; one such look more than the first,
 * and it ends with an error. What was handed to a node that does not answer is not sent again, since it may have arrived.
 */
#include <errno.h>

#include "dm_state.h"

enum {
	AGAIN_MS = 10, /* for a user between two nodes */
	LOOKUPS_MAX = 2,
	HOPS_MAX = 4, /* from one node straight to the next */
	ASKED_MAX = 512 /* letters of one request */
};

/* ---- items ---- */

static void orphaned(void *self, void *arg)
{
	struct dm_item *it = arg;

	(void)self;
	it->order.done = NULL;
}

static size_t item_size(const struct dm_item *it)
{
	return sizeof(*it) + it->order.from.n + it->order.message.n;
}

static struct dm_item *item_new(struct dms *s, const struct dm_order *o)
{
	struct dm_item *it = dk_alloc(s, sizeof(*it) + o->from.n + o->message.n);

	if (!it)
		return NULL;
	it->s = s;
	it->order = *o;
	it->until_ms = dk_now(s) + (uint64_t)dm_conf(s)->timeout_ms;
	if (o->from.n)
		memcpy(it->bytes, o->from.p, o->from.n);
	if (o->message.n)
		memcpy(it->bytes + o->from.n, o->message.p, o->message.n);
	it->order.from.p = (const char *)it->bytes;
	it->order.message.p = it->bytes + o->from.n;
	if (o->done && dk_own(o->self, orphaned, it, "a direct message") < 0) {
		dk_free(s, it, item_size(it));
		return NULL;
	}
	return it;
}

static void item_free(struct dms *s, struct dm_item *it)
{
	if (it->order.done)
		dk_disown(it->order.self, orphaned, it);
	dk_free(s, it, item_size(it));
}

static struct dm_item *pop(struct dms *s, struct dm_way *w)
{
	struct dm_item *it = w->head;

	w->head = it->next;
	if (!w->head) {
		w->tail = &w->head;
		w->lookups = w->hops = 0; /* what comes next is looked for anew */
	}
	w->bytes -= item_size(it);
	s->n.waiting--;
	s->n.waiting_bytes -= (int64_t)item_size(it);
	return it;
}

static void count(struct dms *s, int rc)
{
	switch (rc) {
	case 0:
		s->n.delivered++;
		break;
	case DK_NOT_FOUND:
		s->n.not_found++;
		break;
	case DK_DM_VETOED:
		s->n.vetoed++;
		break;
	case DK_FULL:
		s->n.full++;
		break;
	case DK_TOO_LONG:
		s->n.too_long++;
		break;
	case DK_DM_MAYBE:
		s->n.maybe++;
		break;
	case DK_DM_NO_STORAGE:
		s->n.no_storage++;
		break;
	default:
		s->n.refused++;
	}
}

/* What it is to both, once it has come about. */
static void keep_in_mind(struct dms *s, const struct dm_order *o, dk_str to, int rc)
{
	count(s, rc);
	if (o->kind == DM_PART)
		dm_peer_remove(s, o->sender, to);
	else if (rc == 0)
		dm_peer_add(s, o->sender, to);
}

/* The first of the queue has come to its end. Whoever is told may send more. */
static void end_first(struct dms *s, struct dm_way *w, int rc)
{
	struct dm_item *it = pop(s, w);
	struct dk_call *call = it->order.call ? dk_call_get(s, it->order.call) : NULL;
	dk_id id = it->order.call;
	dk_dm_done_fn *done = it->order.done;
	void *self = it->order.self, *arg = it->order.arg;

	keep_in_mind(s, &it->order, dm_way_uid(w), rc);
	item_free(s, it);
	if (call)
		dk_call_done(s, id, dm_reply(call, rc));
	if (done)
		done(self, arg, rc);
}

static void end_some(struct dms *s, struct dm_way *w, unsigned n, int rc)
{
	while (n-- && w->head)
		end_first(s, w, rc);
}

static void end_all(struct dms *s, struct dm_way *w, int rc)
{
	unsigned n = 0;

	for (const struct dm_item *it = w->head; it; it = it->next)
		n++;
	w->lookups = w->hops = 0;
	end_some(s, w, n, rc);
}

void dm_post_drop(struct dms *s, struct dm_way *w)
{
	if (w->state == DM_ASKING)
		s->carrier->cancel(s->carrier, w->request);
	while (w->head)
		item_free(s, pop(s, w));
}

/* ---- looking where it is ---- */

static void pump(struct dms *s, struct dm_way *w);

static void on_again(void *self, struct dk_timer *t)
{
	struct dm_way *w = dk_container_of(t, struct dm_way, timer);

	if (w->state == DM_WAITING)
		w->state = DM_IDLE;
	pump(self, w);
}

static void wait_a_moment(struct dms *s, struct dm_way *w)
{
	s->n.retried++;
	w->state = DM_WAITING;
	dk_timer_start(s, &w->timer, AGAIN_MS, 0, on_again);
}

static void on_patience(void *self, struct dk_timer *t)
{
	struct dm_way *w = dk_container_of(t, struct dm_way, timer);
	struct dms *s = self;

	w->pins++;
	while (w->head && dk_now(s) >= w->head->until_ms)
		end_first(s, w, DK_DM_NO_STORAGE);
	w->pins--;
	if (w->head && w->state == DM_LOOKING)
		dk_timer_start(s, t, w->head->until_ms - dk_now(s), 0, on_patience);
}

/* dk_dive_done_fn; the way stays while it is looked for. */
static void on_place(void *self, void *arg, const struct dk_dive_result *r)
{
	struct dms *s = self;
	struct dm_way *w = arg;
	struct dk_dive_list list = r->values;
	struct dk_value v = { .type = DK_V_NONE };
	struct dm_place p;

	dk_timer_stop(&w->timer);
	w->state = DM_IDLE;
	w->pins++;
	if (r->rc == 0 && dk_dive_next(&list, &v) && v.type == DK_V_BYTES && dm_place_read(v.as.bytes, &p) &&
	    dm_place_alive(s, &p)) {
		w->told = false;
		w->node = p.node;
		/* It was here: it has left for another node, which will say so, or is gone. */
		if (dk_addr_eq(&p.node, dk_node_addr(s))) {
			w->node.family = 0;
			if (dm_way_has_left(s, w))
				wait_a_moment(s, w);
			else
				end_all(s, w, DK_NOT_FOUND);
		}
	} else {
		end_all(s, w, r->rc == 0 || r->rc == DK_NOT_FOUND ? DK_NOT_FOUND : DK_DM_NO_STORAGE);
	}
	w->pins--;
	pump(s, w);
}

static void look(struct dms *s, struct dm_way *w)
{
	const struct dk_dive_ask ask = { .op = DK_DIVE_GET, .storage = dk_str_c(DM_STORAGE), .key = dm_way_uid(w) };

	if (w->lookups >= LOOKUPS_MAX) {
		end_all(s, w, DK_NOT_FOUND);
		return;
	}
	w->lookups++;
	w->hops = 0;
	if (s->dive->ask(s->dive, s, &ask, on_place, w)) {
		end_all(s, w, DK_DM_NO_STORAGE);
		return;
	}
	s->n.looked_up++;
	w->state = DM_LOOKING;
	dk_timer_start(s, &w->timer, w->head->until_ms - dk_now(s), 0, on_patience);
}

/* ---- asking its node ---- */

static void not_there(struct dms *s, struct dm_way *w, const struct dk_addr *node)
{
	bool elsewhere = node->family && !dk_addr_eq(node, dk_node_addr(s)) && w->hops < HOPS_MAX;

	s->n.repaired++;
	w->told = false;
	w->node.family = 0;
	if (elsewhere) {
		w->hops++;
		w->node = *node;
	}
}

static void read_answer(struct dms *s, struct dm_way *w, dk_slice body)
{
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	dk_slice where = dk_rd_bytes16(&c), results = dk_rd_rest(&c);
	unsigned n = w->asked;
	struct dk_addr node;

	if (c.bad || !dm_node_read(where, &node) || results.n > n ||
	    (outcome == 0 && w->head->order.kind == DM_MESSAGE && results.n < n)) {
		s->n.malformed++;
		end_some(s, w, n, DK_DM_MAYBE);
		return;
	}
	if (outcome == 0 || results.n)
		w->lookups = w->hops = 0;
	if (outcome == 0 && w->head->order.kind != DM_MESSAGE)
		end_first(s, w, 0);
	for (size_t i = 0; i < results.n; i++)
		end_first(s, w, results.p[i]);
	switch (outcome) {
	case 0:
		break;
	case DM_ON_ITS_WAY:
		wait_a_moment(s, w);
		break;
	case DM_ELSEWHERE:
		not_there(s, w, &node);
		break;
	case DM_NOT_HERE:
		not_there(s, w, &(const struct dk_addr){ .family = 0 });
		break;
	default:
		end_some(s, w, n - (unsigned)results.n, outcome);
	}
}

/* dk_carrier_done_fn; the way stays while it asks. */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct dms *s = self;
	struct dm_way *w = arg;

	w->state = DM_IDLE;
	w->request = 0;
	w->pins++;
	if (err == -EHOSTUNREACH) {
		not_there(s, w, &(const struct dk_addr){ .family = 0 });
	} else if (err) {
		w->node.family = 0;
		end_some(s, w, w->asked, DK_DM_MAYBE);
	} else if (status != DK_STATUS_OK) {
		w->node.family = 0;
		end_some(s, w, w->asked, status == DK_STATUS_BAD || status == 40 ? DK_NOT_FOUND : DK_DM_MAYBE);
	} else {
		read_answer(s, w, body);
	}
	w->pins--;
	pump(s, w);
}

/* As many letters as go together. */
static void put_letters(struct dm_way *w, struct dk_writer *out)
{
	size_t n = 0;

	for (const struct dm_item *it = w->head; it && it->order.kind == DM_MESSAGE && w->asked < ASKED_MAX; it = it->next) {
		const struct dm_order *o = &it->order;
		struct dm_letter l = { o->ver, o->cmd, o->reliable, o->from, o->message };

		n += dm_letter_size(o->from.n, o->message.n);
		if (n > DM_LETTERS)
			break;
		dm_letter_write(out, &l);
		w->asked++;
	}
}

static void ask(struct dms *s, struct dm_way *w)
{
	struct dk_writer out = dk_writer_on(s->out, DM_OUT);
	const struct dm_order *o = &w->head->order;
	uint16_t cmd = DM_NODE_SEND;
	int rc;

	w->asked = 0;
	if (o->kind == DM_MESSAGE) {
		dk_wr_bytes16(&out, dk_slice_of(dm_way_uid(w))); /* as dm_on_deliver_pack() */
		put_letters(w, &out);
	} else {
		w->asked = 1;
		cmd = o->kind == DM_FIND ? DM_NODE_CONNECT : DM_NODE_DISCONNECT;
		if (o->kind == DM_FIND)
			dm_on_find_pack(&out, o->from, dm_way_uid(w));
		else
			dm_on_part_pack(&out, o->from, dm_way_uid(w), o->ver, o->cmd, o->message);
	}
	rc = s->carrier->request(s->carrier, s, &w->node, DK_VER_NODE, cmd, dk_written(&out),
				 (uint32_t)(w->head->until_ms - dk_now(s)), answered, w, &w->request);
	if (rc) {
		end_some(s, w, w->asked, rc == DK_FULL || rc == DK_TOO_LONG ? rc : DK_NOT_FOUND);
		return;
	}
	s->n.asked++;
	w->state = DM_ASKING;
}

/* ---- the queue ---- */

/* Does what can be done now. w may be gone when it returns. */
static void pump(struct dms *s, struct dm_way *w)
{
	dk_id user;
	int rc;

	w->pins++;
	while (w->head && w->state == DM_IDLE) {
		if (dk_now(s) >= w->head->until_ms) { /* it was between two nodes all the time */
			end_first(s, w, DK_DM_NO_STORAGE);
			continue;
		}
		rc = dm_here(s, dm_way_uid(w), &user);
		if (rc == 0)
			rc = dm_hand_over(s, user, &w->head->order);
		else
			rc = rc == DM_ON_ITS_WAY ? DK_LATER : DK_GONE;
		if (rc == DK_LATER)
			wait_a_moment(s, w);
		else if (rc != DK_GONE)
			end_first(s, w, rc);
		else if (w->node.family)
			ask(s, w);
		else
			look(s, w);
	}
	w->pins--;
	dm_way_release(s, w); /* ids that a client makes up are not to drive out others */
}

/* Once a turn, so that what is sent in one goes together. Whoever is told meanwhile may send more. */
static void on_turn_end(void *self)
{
	struct dms *s = self;
	struct dm_way *w;

	while ((w = s->due)) {
		s->due = w->next_due;
		if (!s->due)
			s->due_tail = &s->due;
		w->due = false;
		pump(s, w);
	}
}

int dm_post_init(struct dms *s)
{
	s->due_tail = &s->due;
	return dk_on_turn_end(s, on_turn_end);
}

static int check(const struct dms *s, dk_str to, const struct dm_order *o)
{
	if (!to.n || to.n > DM_UID_MAX || o->from.n > DM_UID_MAX)
		return DK_DM_BAD_UID;
	if (o->kind == DM_MESSAGE && !o->message.n)
		return DK_DM_EMPTY;
	return o->message.n > (uint64_t)dm_conf(s)->max_message ? DK_TOO_LONG : 0;
}

static int enqueue(struct dms *s, dk_str to, const struct dm_order *o)
{
	struct dm_way *w = dm_way_get(s, to);
	struct dm_item *it;

	if (!w)
		return DK_FULL;
	if (w->bytes + o->from.n + o->message.n > (uint64_t)dm_conf(s)->queue_bytes) {
		dm_way_release(s, w);
		return DK_FULL;
	}
	it = item_new(s, o);
	if (!it) {
		dm_way_release(s, w);
		return -ENOMEM;
	}
	if (w->state == DM_IDLE && !w->due && !w->pins) {
		w->due = true;
		w->next_due = NULL;
		*s->due_tail = w;
		s->due_tail = &w->next_due;
	}
	*w->tail = it;
	w->tail = &it->next;
	w->bytes += item_size(it);
	s->n.waiting++;
	s->n.waiting_bytes += (int64_t)item_size(it);
	return DK_LATER;
}

int dm_post(struct dms *s, dk_str to, const struct dm_order *o)
{
	const struct dm_way *w;
	int rc = check(s, to, o), where;
	dk_id user;

	s->n.sent++;
	if (rc == 0) {
		where = dm_here(s, to, &user);
		w = where == 0 ? dm_way_find(s, to) : NULL;
		rc = DK_GONE;
		if (where == 0 && (!w || !w->head))
			rc = dm_hand_over(s, user, o);
		if (rc == DK_GONE)
			rc = dm_alone(s) ? DK_NOT_FOUND : enqueue(s, to, o);
	}
	if (rc != DK_LATER)
		keep_in_mind(s, o, to, rc);
	return rc;
}
