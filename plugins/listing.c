/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node knows what, and the messages there and back. A question to the node itself goes through its own rows too, so that
 * there is one way to answer it.
 */
#include "listing.h"

#include <errno.h>

enum {
	LEASE_MS = 1000,
	SOON_MS = 20, /* for changes of seats, which come in swarms */
	SWEEP_MS = 250,
	ASK_MS = 3000, /* longer than DIRECTORY_WAIT_MS */
	UNABLE_MS = 5000, /* until a node without a directory is asked again */
	BATCH = 16384 /* bytes of one message */
};

struct listing_ask {
	struct listing_ask *next;
	struct listings *ls;
	dk_id request;
	listing_done_fn *done;
	void *arg;
	struct dk_addr at;
	bool retried, ended;
	int err;
	uint16_t cmd;
	uint32_t n, answer_n;
	uint8_t *answer;
	uint8_t payload[];
};

/* ---- which node ---- */

static bool is_self(const struct listings *ls, const struct dk_addr *a)
{
	return dk_addr_eq(a, dk_node_addr(ls->self));
}

static bool is_unable(const struct listings *ls, const struct dk_addr *a)
{
	for (uint8_t i = 0; i < ls->unable_n; i++)
		if (dk_addr_eq(&ls->unable[i].addr, a))
			return ls->unable[i].until > dk_now(ls->self);
	return false;
}

static void set_unable(struct listings *ls, const struct dk_addr *a)
{
	uint8_t i = 0;

	while (i < ls->unable_n && !dk_addr_eq(&ls->unable[i].addr, a) && ls->unable[i].until > dk_now(ls->self))
		i++;
	if (i == DK_ARRAY_LEN(ls->unable))
		i = (uint8_t)(dk_chance(ls->self) % DK_ARRAY_LEN(ls->unable));
	ls->unable_n = i >= ls->unable_n ? (uint8_t)(i + 1) : ls->unable_n;
	ls->unable[i].addr = *a;
	ls->unable[i].until = dk_now(ls->self) + UNABLE_MS;
}

static bool keeps_directory(struct listings *ls, const struct dk_cluster_node *n)
{
	if (n->state == DK_OFFLINE || n->health > DK_SUSPECT || !n->health || is_unable(ls, &n->addr))
		return false;
	return ls->cluster->endpoint(ls->cluster, n, dk_str_c(ls->node_type), dk_str_n(NULL, 0)) != NULL;
}

/* The same on every node: no keyed hash. */
static uint64_t weight(const struct dk_addr *a, const struct directory_key *key)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(a->ip); i++)
		h = (h ^ a->ip[i]) * 0x100000001b3u;
	h = (h ^ (a->port >> 8)) * 0x100000001b3u;
	h = (h ^ (a->port & 0xff)) * 0x100000001b3u;
	for (size_t i = 0; i < DIRECTORY_KEY; i++)
		h = (h ^ key->b[i]) * 0x100000001b3u;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	h ^= h >> 33;
	return h;
}

/* Who knows places of that key. */
static struct dk_addr holder(struct listings *ls, const struct directory_key *key)
{
	const struct dk_cluster_node *n = ls->cluster && ls->carrier ? ls->cluster->self(ls->cluster) : NULL;
	struct dk_addr best = *dk_node_addr(ls->self);
	uint64_t most = 0;
	uint32_t slot = 0;

	if (!n)
		return best;
	if (ls->support && keeps_directory(ls, n))
		most = weight(&best, key) | 1;
	while ((n = ls->cluster->next(ls->cluster, &slot))) {
		uint64_t w = keeps_directory(ls, n) ? weight(&n->addr, key) | 1 : 0;

		if (w > most) {
			most = w;
			best = n->addr;
		}
	}
	return best;
}

/* ---- listing ---- */

static void send_batch(struct listings *ls, const struct dk_addr *to, struct dk_writer *w)
{
	if (w->p > w->start)
		ls->carrier->send(ls->carrier, to, DK_VER_NODE, ls->rows->list, dk_written(w), DK_RELIABLE);
	w->p = w->start;
}

static void mark_told(struct listing *l)
{
	l->sum = directory_sum(&l->place);
	l->dirty = false;
	l->told = true;
}

static size_t record_size(const struct listing *l)
{
	return DK_ID52_LEN + DIRECTORY_KEY + 4 + 2 + l->place.bytes.n;
}

/* What is dirty and belongs there, as few messages as it takes. */
static void send_to(struct listings *ls, const struct dk_addr *to, uint8_t *buf, size_t cap)
{
	struct dk_writer w = dk_writer_on(buf, cap);

	for (struct listing *l = ls->first; l; l = l->next) {
		if (!l->dirty || !dk_addr_eq(&l->at, to))
			continue;
		if (is_self(ls, to)) {
			directory_put(&ls->directory, to, &l->place, dk_now(ls->self));
		} else {
			if ((size_t)(w.end - w.p) < record_size(l))
				send_batch(ls, to, &w);
			directory_write(&w, &l->place);
		}
		mark_told(l);
	}
	if (!is_self(ls, to))
		send_batch(ls, to, &w);
}

static void send_dirty(void *self, struct dk_timer *t)
{
	struct listings *ls = dk_container_of(t, struct listings, dirty_timer);
	uint8_t *buf = dk_scratch(self, BATCH);

	for (struct listing *l = ls->first; l && buf; l = l->next)
		if (l->dirty) {
			struct dk_addr to = l->at;

			send_to(ls, &to, buf, BATCH);
		}
}

static void soon(struct listings *ls, bool now)
{
	if (ls->stopped)
		return;
	if (now)
		send_dirty(ls->self, &ls->dirty_timer);
	else if (!dk_timer_armed(&ls->dirty_timer))
		dk_timer_start(ls->self, &ls->dirty_timer, SOON_MS, 0, send_dirty);
}

static void untell(struct listings *ls, struct listing *l)
{
	uint8_t buf[DK_ID52_LEN + DIRECTORY_KEY];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!l->told || ls->stopped)
		return;
	l->told = false;
	if (is_self(ls, &l->at)) {
		directory_drop(&ls->directory, &l->at, &l->place.id, &l->place.key);
		return;
	}
	dk_wr_slice(&w, dk_slice_n(l->place.id.c, DK_ID52_LEN));
	dk_wr_slice(&w, dk_slice_n(l->place.key.b, DIRECTORY_KEY));
	ls->carrier->send(ls->carrier, &l->at, DK_VER_NODE, ls->rows->unlist, dk_written(&w), DK_RELIABLE);
}

static void settle_all(struct listings *ls);

/* ---- leases ---- */

/* A question that is under way. */
struct listing_lease {
	struct listing_lease *next;
	struct listings *ls;
	struct dk_addr at;
};

static void list_again(struct listings *ls, const struct dk_addr *at)
{
	for (struct listing *l = ls->first; l; l = l->next)
		l->dirty |= dk_addr_eq(&l->at, at);
	soon(ls, true);
}

/* dk_carrier_done_fn */
static void lease_answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct listing_lease *le = arg, was = *le, **at = &was.ls->leases;

	while (*at != le)
		at = &(*at)->next;
	*at = le->next;
	dk_free(self, le, sizeof(*le));
	if (err)
		return; /* the next one follows, or the cluster says what became of the node */
	if (status != DK_STATUS_OK) {
		set_unable(was.ls, &was.at);
		settle_all(was.ls);
	} else if (!body.n || !body.p[0]) {
		list_again(was.ls, &was.at);
	}
}

static void send_lease(struct listings *ls, const struct dk_addr *to)
{
	struct listing_lease *le;
	uint8_t buf[12];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	uint32_t n = 0;
	uint64_t sum = 0;

	for (const struct listing *l = ls->first; l; l = l->next)
		if (l->told && dk_addr_eq(&l->at, to)) {
			n++;
			sum += l->sum;
		}
	if (is_self(ls, to)) {
		if (!directory_lease(&ls->directory, to, n, sum, dk_now(ls->self)))
			list_again(ls, to);
		return;
	}
	le = dk_alloc(ls->self, sizeof(*le));
	if (!le)
		return;
	*le = (struct listing_lease){ ls->leases, ls, *to };
	dk_wr_u32(&w, n);
	dk_wr_u64(&w, sum);
	if (ls->carrier->request(ls->carrier, ls->self, to, DK_VER_NODE, ls->rows->lease, dk_written(&w), LEASE_MS * 2,
				 lease_answered, le, NULL))
		dk_free(ls->self, le, sizeof(*le));
	else
		ls->leases = le;
}

/* To every node that knows something of this one, once. */
static void send_leases(void *self, struct dk_timer *t)
{
	struct listings *ls = dk_container_of(t, struct listings, lease_timer);

	(void)self;
	if (ls->unable_n)
		settle_all(ls);
	for (const struct listing *l = ls->first; l; l = l->next) {
		const struct listing *same = ls->first;

		while (same != l && !(same->told && dk_addr_eq(&same->at, &l->at)))
			same = same->next;
		if (same == l && l->told)
			send_lease(ls, &l->at);
	}
	if (!ls->first)
		dk_timer_stop(t);
}

/* Where each of them belongs now. */
static void settle_all(struct listings *ls)
{
	bool any = false;

	for (struct listing *l = ls->first; l; l = l->next) {
		struct dk_addr at = holder(ls, &l->place.key);

		if (dk_addr_eq(&at, &l->at))
			continue;
		untell(ls, l);
		l->at = at;
		l->dirty = any = true;
	}
	if (any)
		soon(ls, true);
}

static void sweep(void *self, struct dk_timer *t)
{
	struct listings *ls = dk_container_of(t, struct listings, sweep_timer);

	directory_sweep(&ls->directory, dk_now(self));
	if (!directory_count(&ls->directory) && !ls->directory.makers && !ls->directory.nodes)
		dk_timer_stop(t);
}

static void keep_swept(struct listings *ls)
{
	if (!dk_timer_armed(&ls->sweep_timer) && !ls->stopped)
		dk_timer_start(ls->self, &ls->sweep_timer, SWEEP_MS, SWEEP_MS, sweep);
}

int listing_set(struct listings *ls, struct listing *l, const struct directory_place *p, bool now)
{
	uint8_t *bytes = NULL;

	if (p->bytes.n > DIRECTORY_BYTES_MAX)
		return -EINVAL;
	if (p->bytes.n) {
		bytes = dk_alloc(ls->self, p->bytes.n);
		if (!bytes)
			return -ENOMEM;
		memcpy(bytes, p->bytes.p, p->bytes.n);
	}
	if (l->link && (memcmp(&l->place.id, &p->id, sizeof(p->id)) != 0 || memcmp(&l->place.key, &p->key, sizeof(p->key)) != 0))
		untell(ls, l);
	dk_free(ls->self, (void *)(uintptr_t)l->place.bytes.p, l->place.bytes.n);
	l->place = *p;
	l->place.bytes = dk_slice_n(bytes, p->bytes.n);
	if (!l->link) {
		l->next = ls->first;
		l->link = &ls->first;
		if (l->next)
			l->next->link = &l->next;
		ls->first = l;
		l->told = false;
	}
	if (!l->told)
		l->at = holder(ls, &l->place.key);
	l->dirty = true;
	keep_swept(ls);
	if (!dk_timer_armed(&ls->lease_timer) && !ls->stopped)
		dk_timer_start(ls->self, &ls->lease_timer, LEASE_MS, LEASE_MS, send_leases);
	soon(ls, now);
	return 0;
}

void listing_used(struct listings *ls, struct listing *l, uint16_t used)
{
	if (!l->link || l->place.used == used)
		return;
	l->place.used = used;
	l->dirty = true;
	soon(ls, false);
}

void listing_drop(struct listings *ls, struct listing *l)
{
	if (!l->link)
		return;
	untell(ls, l);
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	dk_free(ls->self, (void *)(uintptr_t)l->place.bytes.p, l->place.bytes.n);
	*l = (struct listing){ .link = NULL };
}

/* ---- asking ---- */

static struct listing_ask **find_ask(struct listings *ls, const struct listing_ask *a)
{
	struct listing_ask **at = &ls->asks;

	while (*at && *at != a)
		at = &(*at)->next;
	return at;
}

static void ask_free(struct listings *ls, struct listing_ask **at)
{
	struct listing_ask *a = *at;

	*at = a->next;
	dk_free(ls->self, a->answer, a->answer_n);
	dk_free(ls->self, a, sizeof(*a) + a->n);
}

static void ask_end(struct listings *ls, struct listing_ask *a, int err, dk_slice body)
{
	struct listing_ask **at = find_ask(ls, a);

	*at = a->next;
	a->next = NULL;
	a->done(ls->self, a->arg, err, body);
	ask_free(ls, &a);
}

static int ask_now(struct listings *ls, struct listing_ask *a);

static void asked(void *self, void *arg, int err, int status, dk_slice body)
{
	struct listing_ask *a = arg;
	struct listings *ls = a->ls;

	(void)self;
	if (err == 0 && status != DK_STATUS_OK) {
		if (!is_self(ls, &a->at))
			set_unable(ls, &a->at);
		err = -ECONNREFUSED;
		if (!a->retried) {
			const struct directory_key *key = (const struct directory_key *)(const void *)a->payload;

			a->retried = true;
			a->at = holder(ls, key);
			if (ask_now(ls, a) == 0)
				return;
		}
	}
	ask_end(ls, a, err, body);
}

/* The node asks itself: what came of it waits for a later callback. */
static void say_later(void *self, uint64_t arg)
{
	struct listing_ask *a = (struct listing_ask *)(uintptr_t)arg;

	asked(self, a, 0, a->err, dk_slice_n(a->answer, a->answer_n));
}

static void answered_here(void *self, const struct dk_call *call, int status, dk_slice body)
{
	struct listing_ask *a = call->priv;

	a->err = status ? status : DK_STATUS_ERR;
	if (body.n && (a->answer = dk_alloc(self, body.n))) {
		a->answer_n = (uint32_t)body.n;
		memcpy(a->answer, body.p, body.n);
	}
	a->ended = true;
	if (!a->ls->stopped)
		dk_defer(self, say_later, (uint64_t)(uintptr_t)a);
}

static int ask_here(struct listings *ls, struct listing_ask *a)
{
	struct dk_incoming in = { .ver = DK_VER_NODE,
				  .origin = DK_FROM_NODE,
				  .cmd = a->cmd,
				  .payload = dk_slice_n(a->payload, a->n),
				  .token = (uint64_t)(uintptr_t)a,
				  .finish = answered_here,
				  .from = a->at };
	int rc;

	dk_free(ls->self, a->answer, a->answer_n);
	a->answer = NULL;
	a->answer_n = 0;
	a->ended = false;
	rc = dk_dispatch(ls->self, &in);
	return rc == 0 || rc == DK_LATER || a->ended ? 0 : -ECONNREFUSED;
}

static int ask_now(struct listings *ls, struct listing_ask *a)
{
	if (is_self(ls, &a->at) || !ls->carrier)
		return ask_here(ls, a);
	return ls->carrier->request(ls->carrier, ls->self, &a->at, DK_VER_NODE, a->cmd, dk_slice_n(a->payload, a->n), ASK_MS, asked,
				    a, &a->request) == 0
		       ? 0
		       : -ENOBUFS;
}

static int ask(struct listings *ls, uint16_t cmd, dk_slice payload, listing_done_fn *done, void *arg)
{
	struct listing_ask *a = dk_alloc(ls->self, sizeof(*a) + payload.n);
	int rc;

	if (!a)
		return -ENOMEM;
	*a = (struct listing_ask){ .next = ls->asks, .ls = ls, .done = done, .arg = arg, .cmd = cmd, .n = (uint32_t)payload.n };
	memcpy(a->payload, payload.p, payload.n);
	a->at = holder(ls, (const struct directory_key *)(const void *)a->payload);
	ls->asks = a;
	rc = ask_now(ls, a);
	if (rc)
		ask_free(ls, find_ask(ls, a));
	return rc;
}

int listing_find(struct listings *ls, const struct directory_key *key, uint16_t limit, listing_done_fn *done, void *arg)
{
	uint8_t buf[DIRECTORY_KEY + 2];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_slice(&w, dk_slice_n(key->b, DIRECTORY_KEY));
	dk_wr_u16(&w, limit);
	return ask(ls, ls->rows->find, dk_written(&w), done, arg);
}

int listing_seek(struct listings *ls, const struct directory_key *key, uint16_t seats, dk_str type, dk_slice tried,
		 listing_done_fn *done, void *arg)
{
	uint8_t buf[DIRECTORY_KEY + 2 + 2 + 64 + DIRECTORY_TRIED_MAX * DK_ID52_LEN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_slice(&w, dk_slice_n(key->b, DIRECTORY_KEY));
	dk_wr_u16(&w, seats);
	dk_wr_bytes16(&w, dk_slice_of(type));
	dk_wr_slice(&w, tried);
	return w.bad ? -EINVAL : ask(ls, ls->rows->seek, dk_written(&w), done, arg);
}

/* ---- what other nodes say and ask ---- */

/* Nobody asks this node but itself, unless it keeps a directory for others. */
static bool may_ask(struct listings *ls, const struct dk_call *call)
{
	return ls->support || is_self(ls, &call->from);
}

static int refuse(struct dk_call *call)
{
	return dk_refuse(call, DK_E_PARAMS, "this node keeps no directory for others; option `support` says which nodes do");
}

int listing_on_list(struct listings *ls, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	struct directory_place p;

	if (!may_ask(ls, call))
		return refuse(call);
	while (directory_read(&c, &p))
		directory_put(&ls->directory, &call->from, &p, dk_now(ls->self));
	keep_swept(ls);
	return c.bad ? -EPROTO : 0;
}

int listing_on_unlist(struct listings *ls, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);

	if (!may_ask(ls, call))
		return refuse(call);
	while (dk_rd_left(&c)) {
		const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN), *key = dk_rd_take(&c, DIRECTORY_KEY);
		struct dk_id52 id52;
		struct directory_key k;

		if (!key)
			return -EPROTO;
		memcpy(id52.c, id, DK_ID52_LEN);
		memcpy(k.b, key, DIRECTORY_KEY);
		directory_drop(&ls->directory, &call->from, &id52, &k);
	}
	return 0;
}

int listing_on_lease(struct listings *ls, struct dk_call *call, uint32_t n, uint64_t sum)
{
	uint8_t agrees;

	if (!may_ask(ls, call))
		return refuse(call);
	agrees = directory_lease(&ls->directory, &call->from, n, sum, dk_now(ls->self));
	keep_swept(ls);
	return dk_answer(call, dk_slice_n(&agrees, 1));
}

static bool read_key(struct dk_cursor *c, struct directory_key *ret_key)
{
	const uint8_t *p = dk_rd_take(c, DIRECTORY_KEY);

	if (p)
		memcpy(ret_key->b, p, DIRECTORY_KEY);
	return p != NULL;
}

int listing_on_find(struct listings *ls, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	struct directory_key key;
	bool ok = read_key(&c, &key);
	uint16_t limit = dk_rd_u16(&c);
	struct dk_writer w;

	if (!may_ask(ls, call))
		return refuse(call);
	if (!ok || !dk_rd_done(&c))
		return -EPROTO;
	w = dk_writer_on(dk_scratch(ls->self, DIRECTORY_ANSWER_MAX), DIRECTORY_ANSWER_MAX);
	if (!w.start)
		return -ENOMEM;
	directory_find(&ls->directory, &key, limit, dk_chance(ls->self), &w);
	return dk_answer(call, dk_written(&w));
}

static int say_where(struct dk_call *call, int outcome, const struct dk_id52 *id)
{
	uint8_t buf[1 + DK_ID52_LEN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, (uint8_t)outcome);
	if (outcome == DIRECTORY_JOIN)
		dk_wr_slice(&w, dk_slice_n(id->c, DK_ID52_LEN));
	return dk_answer(call, dk_written(&w));
}

int listing_on_seek(struct listings *ls, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	struct directory_seek q = { .node = call->from, .asker = call->id };
	struct dk_id52 id;
	bool ok = read_key(&c, &q.key);
	int rc;

	q.seats = dk_rd_u16(&c);
	q.type = dk_str_of(dk_rd_bytes16(&c));
	q.tried = dk_rd_rest(&c);
	if (!may_ask(ls, call))
		return refuse(call);
	if (!ok || c.bad || q.tried.n % DK_ID52_LEN || q.tried.n > DIRECTORY_TRIED_MAX * DK_ID52_LEN)
		return -EPROTO;
	rc = directory_seek(&ls->directory, &q, dk_now(ls->self), &id);
	keep_swept(ls);
	return rc == DK_LATER ? rc : say_where(call, rc, &id);
}

/* directory.answer */
static void answer(void *self, dk_id asker, enum directory_outcome outcome, const struct dk_id52 *id)
{
	struct dk_call *call = dk_call_get(self, asker);

	if (call)
		dk_call_done(self, asker, say_where(call, (int)outcome, id));
}

/* directory.serves */
static bool serves(const struct directory *d, const struct dk_addr *node, dk_str type)
{
	const struct listings *ls = dk_container_of(d, struct listings, directory);
	const struct dk_cluster_node *n = ls->cluster && type.n ? ls->cluster->node(ls->cluster, node) : NULL;

	return !n || ls->cluster->endpoint(ls->cluster, n, type, dk_str_n(NULL, 0));
}

/* ---- the whole ---- */

void listing_init(struct listings *ls, void *self, struct dk_carrier *carrier, struct dk_cluster *cluster,
		  const struct listing_rows *rows, uint32_t max_places, size_t max_bytes)
{
	*ls = (struct listings){ .self = self, .rows = rows };
	ls->carrier = cluster ? carrier : NULL;
	ls->cluster = carrier ? cluster : NULL;
	directory_init(&ls->directory, self, max_places, max_bytes);
	ls->directory.answer = answer;
	ls->directory.serves = serves;
}

void listing_on_cluster_changed(struct listings *ls, const struct dk_cluster_event *ev)
{
	if (ev->change == DK_NODE_LEFT || ev->change == DK_NODE_DIED || ev->change == DK_NODE_REMOVED)
		directory_forget(&ls->directory, &ev->node->addr);
	settle_all(ls);
}

void listing_fini(struct listings *ls)
{
	ls->stopped = true;
	while (ls->first)
		listing_drop(ls, ls->first);
	while (ls->leases) {
		struct listing_lease *le = ls->leases;

		ls->leases = le->next;
		dk_free(ls->self, le, sizeof(*le));
	}
	while (ls->asks)
		ask_free(ls, &ls->asks);
	directory_fini(&ls->directory);
}
