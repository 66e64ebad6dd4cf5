/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places by key. All places of one key stand on a shelf, those with a free seat before those without, so that a seek looks at the
 * first few alone and fills one place before it begins with the next.
 *
 * Many ask for a place where there is none: the first one is told to make it, and the others, as many as it will have seats for,
 * wait until it is listed. If that takes too long the next of them is told to make one.
 */
#include "directory.h"

#include <errno.h>

struct place {
	struct dk_id52 id;
	struct directory_key key;
	uint16_t used, max, promised;
	uint32_t bytes_n;
	uint8_t *bytes;
	uint64_t sum, promised_until;
	uint32_t slot;
	struct shelf *shelf;
	struct directory_node *node;
	struct place *next, *prev; /* on the shelf */
	struct place *node_next, *node_prev;
	struct place *hope_next, *hope_prev; /* of those with a promised seat, the longest ago first */
};

struct directory_node {
	struct directory_node *next;
	struct dk_addr addr;
	uint32_t n; /* with those that there was no room for: the node counts them too */
	uint64_t sum, until;
	struct place *first;
};

struct waiter {
	struct waiter *next;
	dk_id asker;
	struct dk_addr node;
	uint64_t until;
};

/* A node that was told to make a place. */
struct maker {
	struct maker *next;
	struct dk_addr node;
	uint64_t until;
	uint16_t seats; /* left for waiters */
	bool any; /* no limit */
	struct waiter *first, **tail;
};

struct shelf {
	struct directory_key key;
	uint32_t slot, n;
	struct place *first, *last;
	struct maker *makers;
};

enum { MAKERS_MAX = 10000, LOOK_MAX = 1000 /* places, for one question */ };

/* ---- sums and bytes ---- */

uint64_t directory_sum(const struct directory_place *p)
{
	uint64_t h = 0xcbf29ce484222325u;
	const struct {
		const void *p;
		size_t n;
	} parts[] = { { p->id.c, sizeof(p->id.c) },
		      { p->key.b, sizeof(p->key.b) },
		      { (uint8_t[]){ (uint8_t)(p->used >> 8), (uint8_t)p->used, (uint8_t)(p->max >> 8), (uint8_t)p->max }, 4 },
		      { p->bytes.p, p->bytes.n } };

	for (size_t i = 0; i < DK_ARRAY_LEN(parts); i++)
		for (size_t k = 0; k < parts[i].n; k++)
			h = (h ^ ((const uint8_t *)parts[i].p)[k]) * 0x100000001b3u;
	return h;
}

void directory_write(struct dk_writer *w, const struct directory_place *p)
{
	dk_wr_slice(w, dk_slice_n(p->id.c, DK_ID52_LEN));
	dk_wr_slice(w, dk_slice_n(p->key.b, DIRECTORY_KEY));
	dk_wr_u16(w, p->used);
	dk_wr_u16(w, p->max);
	dk_wr_bytes16(w, p->bytes);
}

bool directory_read(struct dk_cursor *c, struct directory_place *ret_place)
{
	struct directory_place p;
	const uint8_t *id, *key;

	if (!dk_rd_left(c))
		return false;
	id = dk_rd_take(c, DK_ID52_LEN);
	key = dk_rd_take(c, DIRECTORY_KEY);
	p.used = dk_rd_u16(c);
	p.max = dk_rd_u16(c);
	p.bytes = dk_rd_bytes16(c);
	if (c->bad)
		return false;
	memcpy(p.id.c, id, DK_ID52_LEN);
	memcpy(p.key.b, key, DIRECTORY_KEY);
	*ret_place = p;
	return true;
}

/* ---- shelves ---- */

struct place_name {
	const struct dk_addr *node; /* several may list one thing */
	const struct dk_id52 *id;
	const struct directory_key *key;
};

static uint32_t name_hash(const struct directory *d, const struct place_name *n)
{
	uint8_t buf[DK_ID52_LEN + DIRECTORY_KEY];

	memcpy(buf, n->id->c, DK_ID52_LEN);
	memcpy(buf + DK_ID52_LEN, n->key->b, DIRECTORY_KEY);
	return (uint32_t)dk_hash(d->self, dk_slice_n(buf, sizeof(buf)));
}

static uint32_t key_hash(const struct directory *d, const struct directory_key *key)
{
	return (uint32_t)dk_hash(d->self, dk_slice_n(key->b, DIRECTORY_KEY));
}

static bool name_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct directory *d = arg;
	const struct place *p = dk_table_get(&d->places, dk_table_id_at(&d->places, slot));
	const struct place_name *n = key;

	return p && memcmp(&p->id, n->id, sizeof(p->id)) == 0 && memcmp(&p->key, n->key, sizeof(p->key)) == 0 &&
	       dk_addr_eq(&p->node->addr, n->node);
}

static bool key_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct directory *d = arg;
	const struct shelf *sh = dk_table_get(&d->shelves, dk_table_id_at(&d->shelves, slot));

	return sh && memcmp(&sh->key, key, sizeof(sh->key)) == 0;
}

static struct place *find_place(const struct directory *d, const struct place_name *n)
{
	uint32_t slot = dk_map_find(&d->by_place, name_hash(d, n), name_eq, d, n);

	return slot == DK_MAP_NONE ? NULL : dk_table_get(&d->places, dk_table_id_at(&d->places, slot));
}

static struct shelf *find_shelf(const struct directory *d, const struct directory_key *key)
{
	uint32_t slot = dk_map_find(&d->by_key, key_hash(d, key), key_eq, d, key);

	return slot == DK_MAP_NONE ? NULL : dk_table_get(&d->shelves, dk_table_id_at(&d->shelves, slot));
}

static struct shelf *shelf_of(struct directory *d, const struct directory_key *key)
{
	struct shelf *sh = find_shelf(d, key);
	dk_id id;

	if (sh)
		return sh;
	sh = dk_table_add(&d->shelves, &id);
	if (!sh)
		return NULL;
	sh->key = *key;
	sh->slot = dk_id_slot(id);
	if (dk_map_put(d->self, &d->by_key, key_hash(d, key), sh->slot)) {
		dk_table_remove(&d->shelves, id);
		return NULL;
	}
	return sh;
}

static void shelf_done(struct directory *d, struct shelf *sh)
{
	if (sh->n || sh->makers)
		return;
	dk_map_remove(&d->by_key, key_hash(d, &sh->key), sh->slot);
	dk_table_remove(&d->shelves, dk_table_id_at(&d->shelves, sh->slot));
}

static bool is_open(const struct place *p)
{
	return !p->max || p->used + p->promised < p->max;
}

static void shelf_take(struct place *p)
{
	struct shelf *sh = p->shelf;

	*(p->prev ? &p->prev->next : &sh->first) = p->next;
	*(p->next ? &p->next->prev : &sh->last) = p->prev;
	sh->n--;
}

/* One with a free seat goes to the front, one without to the end. */
static void shelf_put(struct shelf *sh, struct place *p)
{
	bool front = is_open(p);

	p->shelf = sh;
	p->prev = front ? NULL : sh->last;
	p->next = front ? sh->first : NULL;
	*(p->prev ? &p->prev->next : &sh->first) = p;
	*(p->next ? &p->next->prev : &sh->last) = p;
	sh->n++;
}

static void shelve_again(struct place *p, bool was_open)
{
	struct shelf *sh = p->shelf;

	if (is_open(p) == was_open)
		return;
	shelf_take(p);
	shelf_put(sh, p);
}

/* ---- promises ---- */

static void hope_end(struct directory *d, struct place *p)
{
	if (p->promised_until) {
		*(p->hope_prev ? &p->hope_prev->hope_next : &d->hope_first) = p->hope_next;
		*(p->hope_next ? &p->hope_next->hope_prev : &d->hope_last) = p->hope_prev;
	}
	p->promised_until = 0;
	p->promised = 0;
}

static void promise(struct directory *d, struct place *p, uint64_t now)
{
	uint16_t n = p->promised;
	bool open = is_open(p);

	hope_end(d, p);
	p->promised = (uint16_t)(n < UINT16_MAX ? n + 1 : n);
	p->promised_until = now + DIRECTORY_PROMISE_MS;
	p->hope_next = NULL;
	p->hope_prev = d->hope_last;
	*(p->hope_prev ? &p->hope_prev->hope_next : &d->hope_first) = p;
	d->hope_last = p;
	shelve_again(p, open);
}

/* Those that nobody came for. */
static void lapse(struct directory *d, uint64_t now)
{
	while (d->hope_first && d->hope_first->promised_until <= now) {
		struct place *p = d->hope_first;
		bool open = is_open(p);

		hope_end(d, p);
		shelve_again(p, open);
	}
}

/* So many took the seats that they were promised. */
static void kept(struct directory *d, struct place *p, uint16_t n)
{
	if (p->promised <= n)
		hope_end(d, p);
	else
		p->promised = (uint16_t)(p->promised - n);
}

/* ---- nodes ---- */

static struct directory_node **find_node(struct directory *d, const struct dk_addr *addr)
{
	struct directory_node **at = &d->nodes;

	while (*at && !dk_addr_eq(&(*at)->addr, addr))
		at = &(*at)->next;
	return at;
}

static struct directory_node *node_of(struct directory *d, const struct dk_addr *addr, uint64_t now)
{
	struct directory_node **at = find_node(d, addr), *n = *at;

	if (n)
		return n;
	n = dk_alloc(d->self, sizeof(*n));
	if (!n)
		return NULL;
	n->addr = *addr;
	n->until = now + DIRECTORY_LEASE_MS;
	*at = n;
	return n;
}

static void node_take(struct place *p)
{
	struct directory_node *n = p->node;

	*(p->node_prev ? &p->node_prev->node_next : &n->first) = p->node_next;
	if (p->node_next)
		p->node_next->node_prev = p->node_prev;
	n->n--;
	n->sum -= p->sum;
}

static void node_put(struct directory_node *n, struct place *p)
{
	p->node = n;
	p->node_prev = NULL;
	p->node_next = n->first;
	if (n->first)
		n->first->node_prev = p;
	n->first = p;
	n->n++;
	n->sum += p->sum;
}

static void remove_place(struct directory *d, struct place *p)
{
	struct place_name name = { &p->node->addr, &p->id, &p->key };
	struct shelf *sh = p->shelf;

	hope_end(d, p);
	shelf_take(p);
	node_take(p);
	dk_map_remove(&d->by_place, name_hash(d, &name), p->slot);
	d->bytes -= p->bytes_n;
	dk_free(d->self, p->bytes, p->bytes_n);
	dk_table_remove(&d->places, dk_table_id_at(&d->places, p->slot));
	shelf_done(d, sh);
}

static void empty_node(struct directory *d, struct directory_node *n)
{
	while (n->first)
		remove_place(d, n->first);
	n->n = 0;
	n->sum = 0;
}

/* ---- makers ---- */

static void maker_free(struct directory *d, struct maker **at)
{
	struct maker *m = *at;

	*at = m->next;
	dk_free(d->self, m, sizeof(*m));
	d->makers--;
}

static struct waiter *waiter_take(struct maker *m)
{
	struct waiter *w = m->first;

	m->first = w->next;
	if (!m->first)
		m->tail = &m->first;
	return w;
}

static void tell(struct directory *d, struct waiter *w, enum directory_outcome outcome, const struct dk_id52 *id)
{
	dk_id asker = w->asker;

	dk_free(d->self, w, sizeof(*w));
	if (d->answer)
		d->answer(d->self, asker, outcome, id);
}

/* What the node was told to make is listed: those who wait for it have a seat there each. */
static void made(struct directory *d, struct place *p, const struct dk_addr *node, uint64_t now)
{
	struct shelf *sh = p->shelf;
	struct maker **at = &sh->makers, *m;

	while (*at && !dk_addr_eq(&(*at)->node, node))
		at = &(*at)->next;
	m = *at;
	if (!m)
		return;
	while (m->first) {
		struct waiter *w = waiter_take(m);
		bool open = is_open(p);

		if (open)
			promise(d, p, now);
		tell(d, w, open ? DIRECTORY_JOIN : DIRECTORY_MAKE, open ? &p->id : NULL);
	}
	maker_free(d, at);
}

/* ---- what nodes say ---- */

static int set_bytes(struct directory *d, struct place *p, dk_slice bytes)
{
	uint8_t *fresh = NULL;

	if (bytes.n == p->bytes_n && (!bytes.n || memcmp(bytes.p, p->bytes, bytes.n) == 0))
		return 0;
	if (d->bytes - p->bytes_n + bytes.n > d->max_bytes)
		return DK_FULL;
	if (bytes.n) {
		fresh = dk_alloc(d->self, bytes.n);
		if (!fresh)
			return -ENOMEM;
		memcpy(fresh, bytes.p, bytes.n);
	}
	d->bytes += bytes.n - p->bytes_n;
	dk_free(d->self, p->bytes, p->bytes_n);
	p->bytes = fresh;
	p->bytes_n = (uint32_t)bytes.n;
	return 0;
}

static int add_place(struct directory *d, struct directory_node *n, const struct directory_place *from, struct place **ret_place)
{
	struct place_name name = { &n->addr, &from->id, &from->key };
	struct shelf *sh;
	struct place *p;
	dk_id id;
	int rc;

	if (d->places.used >= d->max_places)
		return DK_FULL;
	p = dk_table_add(&d->places, &id);
	if (!p)
		return -ENOMEM;
	p->slot = dk_id_slot(id);
	p->id = from->id;
	p->key = from->key;
	p->used = from->used;
	p->max = from->max;
	p->sum = directory_sum(from);
	rc = set_bytes(d, p, from->bytes);
	if (rc)
		goto no_bytes;
	rc = -ENOMEM;
	sh = shelf_of(d, &from->key);
	if (!sh)
		goto no_shelf;
	if (dk_map_put(d->self, &d->by_place, name_hash(d, &name), p->slot))
		goto no_name;
	shelf_put(sh, p);
	node_put(n, p);
	*ret_place = p;
	return 0;

no_name:
	shelf_done(d, sh);
no_shelf:
	d->bytes -= p->bytes_n;
	dk_free(d->self, p->bytes, p->bytes_n);
no_bytes:
	dk_table_remove(&d->places, id);
	return rc;
}

static int put(struct directory *d, const struct dk_addr *node, const struct directory_place *from, uint64_t now)
{
	struct directory_node *n = node_of(d, node, now);
	struct place *p = find_place(d, &(struct place_name){ node, &from->id, &from->key });
	bool was_open;
	int rc;

	if (from->bytes.n > DIRECTORY_BYTES_MAX)
		return -EINVAL;
	if (!n)
		return -ENOMEM;
	if (!p) {
		rc = add_place(d, n, from, &p);
		if (rc == 0) {
			made(d, p, node, now);
		} else {
			n->n++;
			n->sum += directory_sum(from);
		}
		return rc;
	}
	rc = set_bytes(d, p, from->bytes);
	if (rc)
		return rc;
	was_open = is_open(p);
	node_take(p);
	if (from->used > p->used && p->promised)
		kept(d, p, (uint16_t)(from->used - p->used));
	p->used = from->used;
	p->max = from->max;
	p->sum = directory_sum(from);
	node_put(n, p);
	shelve_again(p, was_open);
	return 0;
}

int directory_put(struct directory *d, const struct dk_addr *node, const struct directory_place *p, uint64_t now)
{
	int rc = put(d, node, p, now);

	d->put_refused += rc != 0;
	return rc;
}

void directory_drop(struct directory *d, const struct dk_addr *node, const struct dk_id52 *id, const struct directory_key *key)
{
	struct place *p = find_place(d, &(struct place_name){ node, id, key });

	if (p)
		remove_place(d, p);
}

void directory_forget(struct directory *d, const struct dk_addr *node)
{
	struct directory_node **at = find_node(d, node), *n = *at;

	if (!n)
		return;
	empty_node(d, n);
	*at = n->next;
	dk_free(d->self, n, sizeof(*n));
}

bool directory_lease(struct directory *d, const struct dk_addr *node, uint32_t n, uint64_t sum, uint64_t now)
{
	struct directory_node *at = n ? node_of(d, node, now) : *find_node(d, node);

	if (!at)
		return !n;
	at->until = now + DIRECTORY_LEASE_MS;
	if (at->n == n && at->sum == sum)
		return true;
	empty_node(d, at);
	return !n;
}

static void sweep_shelf(struct directory *d, struct shelf *sh, uint64_t now)
{
	for (struct maker **at = &sh->makers, *m; (m = *at);) {
		while (m->first && m->first->until <= now)
			tell(d, waiter_take(m), DIRECTORY_MAKE, NULL);
		if (m->until > now) {
			at = &m->next;
			continue;
		}
		if (!m->first) {
			maker_free(d, at);
			continue;
		}
		m->node = m->first->node;
		m->until = now + DIRECTORY_MAKE_MS;
		tell(d, waiter_take(m), DIRECTORY_MAKE, NULL);
	}
	shelf_done(d, sh);
}

void directory_sweep(struct directory *d, uint64_t now)
{
	uint32_t slot = 0;
	struct shelf *sh;
	dk_id id;

	for (struct directory_node **at = &d->nodes, *n; (n = *at);) {
		if (n->until > now) {
			at = &n->next;
			continue;
		}
		empty_node(d, n);
		*at = n->next;
		dk_free(d->self, n, sizeof(*n));
	}
	lapse(d, now);
	while (d->makers && (sh = dk_table_next(&d->shelves, &slot, &id)))
		sweep_shelf(d, sh, now);
}

/* ---- what nodes ask ---- */

static bool show(const struct place *p, struct dk_writer *w)
{
	if ((size_t)(w->end - w->p) < DK_ID52_LEN + 6u + p->bytes_n)
		return false;
	dk_wr_slice(w, dk_slice_n(p->id.c, DK_ID52_LEN));
	dk_wr_u16(w, p->used);
	dk_wr_u16(w, p->max);
	dk_wr_bytes16(w, dk_slice_n(p->bytes, p->bytes_n));
	return true;
}

size_t directory_find(struct directory *d, const struct directory_key *key, size_t limit, uint64_t pick, struct dk_writer *w)
{
	const struct shelf *sh = find_shelf(d, key);
	const struct place *p, *from;
	size_t n = 0, open = 0, skip;

	if (!sh || !sh->n)
		return 0;
	limit = limit > DIRECTORY_FIND_MAX ? DIRECTORY_FIND_MAX : limit;
	for (p = sh->first; p && is_open(p) && open < LOOK_MAX; p = p->next)
		open++;
	skip = open > limit ? pick % open : 0;
	for (from = sh->first; skip; skip--)
		from = from->next;
	/* From there to the end of those that are open, then from the front; those without a free seat last. */
	for (p = from; p && is_open(p) && n < limit && show(p, w); p = p->next)
		n++;
	for (p = sh->first; p && p != from && n < limit && show(p, w); p = p->next)
		n++;
	for (p = sh->last; p && !is_open(p) && n < limit && show(p, w); p = p->prev)
		n++;
	return n;
}

static bool was_tried(const struct directory_seek *q, const struct dk_id52 *id)
{
	for (size_t i = 0; i + DK_ID52_LEN <= q->tried.n; i += DK_ID52_LEN)
		if (memcmp(q->tried.p + i, id->c, DK_ID52_LEN) == 0)
			return true;
	return false;
}

static bool can_go(struct directory *d, const struct dk_addr *node, const struct directory_seek *q)
{
	return dk_addr_eq(node, &q->node) || !d->serves || d->serves(d, node, q->type);
}

static int make(struct directory *d, struct shelf *sh, const struct directory_seek *q, uint64_t now)
{
	struct maker *m = d->makers < MAKERS_MAX ? dk_alloc(d->self, sizeof(*m)) : NULL;

	if (m) {
		*m = (struct maker){ .next = sh->makers, .node = q->node, .until = now + DIRECTORY_MAKE_MS, .any = !q->seats };
		m->seats = q->seats ? (uint16_t)(q->seats - 1) : 0;
		m->tail = &m->first;
		sh->makers = m;
		d->makers++;
	}
	shelf_done(d, sh);
	return DIRECTORY_MAKE;
}

static int wait_for(struct directory *d, struct maker *m, const struct directory_seek *q, uint64_t now)
{
	struct waiter *w = dk_alloc(d->self, sizeof(*w));

	if (!w)
		return DIRECTORY_MAKE;
	*w = (struct waiter){ .asker = q->asker, .node = q->node, .until = now + DIRECTORY_WAIT_MS };
	m->seats -= !m->any;
	*m->tail = w;
	m->tail = &w->next;
	return DK_LATER;
}

int directory_seek(struct directory *d, const struct directory_seek *q, uint64_t now, struct dk_id52 *ret_id)
{
	struct shelf *sh = shelf_of(d, &q->key);
	unsigned looked = 0;

	if (!sh)
		return DIRECTORY_MAKE;
	lapse(d, now);
	for (struct place *p = sh->first; p && is_open(p) && looked++ < LOOK_MAX; p = p->next) {
		if (was_tried(q, &p->id) || !can_go(d, &p->node->addr, q))
			continue;
		*ret_id = p->id;
		promise(d, p, now);
		return DIRECTORY_JOIN;
	}
	for (struct maker *m = sh->makers; m; m = m->next)
		if ((m->any || m->seats) && can_go(d, &m->node, q))
			return wait_for(d, m, q, now);
	return make(d, sh, q, now);
}

/* ---- the whole ---- */

void directory_init(struct directory *d, void *self, uint32_t max_places, size_t max_bytes)
{
	*d = (struct directory){ .self = self, .max_places = max_places, .max_bytes = max_bytes };
	dk_table_init(self, &d->places, DK_KIND_APP, sizeof(struct place), 0, "listed places");
	dk_table_init(self, &d->shelves, DK_KIND_APP, sizeof(struct shelf), 0, "keys of listed places");
}

void directory_fini(struct directory *d)
{
	uint32_t slot = 0;
	struct shelf *sh;
	dk_id id;

	if (!d->self)
		return;
	d->answer = NULL;
	while (d->nodes)
		directory_forget(d, &d->nodes->addr);
	while ((sh = dk_table_next(&d->shelves, &slot, &id))) {
		while (sh->makers) {
			while (sh->makers->first)
				tell(d, waiter_take(sh->makers), DIRECTORY_MAKE, NULL);
			maker_free(d, &sh->makers);
		}
		shelf_done(d, sh);
	}
	dk_table_fini(&d->places);
	dk_table_fini(&d->shelves);
	dk_map_fini(d->self, &d->by_place);
	dk_map_fini(d->self, &d->by_key);
}
