/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records and the table of nodes. A record is written by the node that it is about and by nobody else, so two records of one boot
 * are two moments of it, and a rule says which came later. Boots of one address have no order: who is replaced by whom is for the
 * agent to decide, which knows whom it heard.
 *
 *   record: u8 format, address, u64 boot, u32 incarnation, u32 seq, u32 value_seq, u8 state, u8 flags, u16 proto_min,
 *           u16 proto_max, u32 users, u8 length app, u8 length version, u8 endpoints,
 *           { u8 length role, u8 length type (empty: the role), u8 length host (empty: as the one before), u16 port, u8 flags }*
 *   address: u8 family, 4 or 16 bytes, u16 port
 */
#include "records.h"

#include <errno.h>

#include <diarkis/mem.h>

enum { FORMAT = 1, FLAG_STRICT = 1, ENDPOINT_ENCRYPTED = 1, TOMBS_MAX = 4096 };

/* ---- addresses ---- */

void mars_addr_write(const struct dk_addr *a, struct dk_writer *w)
{
	dk_wr_u8(w, a->family);
	dk_wr_slice(w, dk_slice_n(a->ip, a->family == 6 ? 16 : 4));
	dk_wr_u16(w, a->port);
}

struct dk_addr mars_addr_read(struct dk_cursor *c)
{
	struct dk_addr a = { .family = dk_rd_u8(c) };
	dk_slice ip;

	if (a.family != 4 && a.family != 6)
		c->bad = true;
	ip = dk_rd_slice(c, a.family == 6 ? 16 : 4);
	if (ip.n)
		memcpy(a.ip, ip.p, ip.n);
	a.port = dk_rd_u16(c);
	if (c->bad)
		a = (struct dk_addr){ .family = 0 };
	return a;
}

/* ---- records ---- */

static void text_write(const char *text, struct dk_writer *w)
{
	dk_wr_bytes8(w, dk_slice_of(dk_str_c(text)));
}

/* Printable text of at most cap - 1 bytes. */
static void text_read(struct dk_cursor *c, char *to, size_t cap)
{
	dk_slice s = dk_rd_bytes8(c);

	if (s.n >= cap)
		c->bad = true;
	for (size_t i = 0; i < s.n && !c->bad; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			c->bad = true;
	if (c->bad)
		return;
	if (s.n)
		memcpy(to, s.p, s.n);
	to[s.n] = '\0';
}

void mars_record_write(const struct mars_record *r, struct dk_writer *w)
{
	const char *host = "";

	dk_wr_u8(w, FORMAT);
	mars_addr_write(&r->node.addr, w);
	dk_wr_u64(w, r->node.boot);
	dk_wr_u32(w, r->node.incarnation);
	dk_wr_u32(w, r->seq);
	dk_wr_u32(w, r->value_seq);
	dk_wr_u8(w, (uint8_t)r->state);
	dk_wr_u8(w, r->strict ? FLAG_STRICT : 0);
	dk_wr_u16(w, r->proto_min);
	dk_wr_u16(w, r->proto_max);
	dk_wr_u32(w, r->node.users);
	text_write(r->app, w);
	text_write(r->node.version, w);
	dk_wr_u8(w, (uint8_t)r->node.endpoint_n);
	for (size_t i = 0; i < r->node.endpoint_n; i++) {
		const struct dk_endpoint *e = &r->node.endpoints[i];

		text_write(e->role, w);
		text_write(strcmp(e->type, e->role) == 0 ? "" : e->type, w);
		text_write(strcmp(e->host, host) == 0 ? "" : e->host, w);
		dk_wr_u16(w, e->port);
		dk_wr_u8(w, e->encrypted ? ENDPOINT_ENCRYPTED : 0);
		host = e->host;
	}
}

bool mars_record_read(dk_slice bytes, struct mars_record *ret_record)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct mars_record r = { .seq = 0 };
	const char *host = "";
	uint8_t state;

	if (bytes.n > MARS_RECORD_MAX || dk_rd_u8(&c) != FORMAT)
		return false;
	r.node.addr = mars_addr_read(&c);
	r.node.boot = dk_rd_u64(&c);
	r.node.incarnation = dk_rd_u32(&c);
	r.seq = dk_rd_u32(&c);
	r.value_seq = dk_rd_u32(&c);
	state = dk_rd_u8(&c);
	r.strict = dk_rd_u8(&c) & FLAG_STRICT;
	r.proto_min = dk_rd_u16(&c);
	r.proto_max = dk_rd_u16(&c);
	r.node.users = dk_rd_u32(&c);
	text_read(&c, r.app, sizeof(r.app));
	text_read(&c, r.node.version, sizeof(r.node.version));
	r.node.endpoint_n = dk_rd_u8(&c);
	if (c.bad || !r.node.boot || !r.node.addr.port || state > MARS_GONE || r.proto_min > r.proto_max ||
	    r.node.endpoint_n > DK_CLUSTER_ENDPOINTS)
		return false;
	for (size_t i = 0; i < r.node.endpoint_n; i++) {
		struct dk_endpoint *e = &r.node.endpoints[i];

		text_read(&c, e->role, sizeof(e->role));
		text_read(&c, e->type, sizeof(e->type));
		text_read(&c, e->host, sizeof(e->host));
		e->port = dk_rd_u16(&c);
		e->encrypted = dk_rd_u8(&c) & ENDPOINT_ENCRYPTED;
		if (!e->type[0])
			memcpy(e->type, e->role, sizeof(e->role));
		if (!e->host[0])
			memcpy(e->host, host, strlen(host) + 1);
		host = e->host;
	}
	if (c.bad)
		return false;
	r.state = (enum mars_state)state;
	r.node.state = mars_record_state(&r);
	r.node.health = DK_ALIVE;
	*ret_record = r;
	return true;
}

static unsigned rank(enum mars_state s)
{
	static const uint8_t ranks[] = {
		[MARS_JOINING] = 0, [MARS_ONLINE] = 1, [MARS_TAKEN] = 1, [MARS_OFFLINE] = 2, [MARS_GONE] = 3
	};

	return ranks[s];
}

bool mars_record_newer(const struct mars_record *a, const struct mars_record *b)
{
	if (a->node.incarnation != b->node.incarnation)
		return a->node.incarnation > b->node.incarnation;
	if (rank(a->state) != rank(b->state))
		return rank(a->state) > rank(b->state);
	return a->seq > b->seq;
}

bool mars_record_together(const struct mars_record *a, const struct mars_record *b)
{
	if (strcmp(a->app, b->app) != 0 || a->proto_min > b->proto_max || b->proto_min > a->proto_max)
		return false;
	return !(a->strict || b->strict) || strcmp(a->node.version, b->node.version) == 0;
}

enum dk_node_state mars_record_state(const struct mars_record *r)
{
	return r->state == MARS_ONLINE ? DK_ONLINE : r->state == MARS_TAKEN ? DK_TAKEN : DK_OFFLINE;
}

bool mars_record_has_role(const struct mars_record *r, dk_str role)
{
	for (size_t i = 0; i < r->node.endpoint_n; i++)
		if (dk_str_eq(dk_str_c(r->node.endpoints[i].role), role))
			return true;
	return role.n == 0;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t mars_record_digest(const struct mars_record *r)
{
	uint64_t h = mix(r->node.boot);

	h = mix(h ^ ((uint64_t)r->node.incarnation << 32 | r->seq));
	return mix(h ^ (uint64_t)r->state);
}

/* ---- the table ---- */

void mars_table_init(struct mars_table *t, void *self, size_t max)
{
	*t = (struct mars_table){ .self = self, .max = max };
}

static void member_free(struct mars_table *t, size_t i)
{
	mars_values_fini(&t->at[i]->values, t->self);
	dk_free(t->self, t->at[i], sizeof(*t->at[i]));
	t->at[i] = NULL;
	t->n--;
}

void mars_table_fini(struct mars_table *t)
{
	for (size_t i = 0; i < t->cap; i++)
		if (t->at[i])
			member_free(t, i);
	dk_free(t->self, t->at, t->cap * sizeof(struct mars_member *));
	dk_free(t->self, t->tombs, t->tomb_cap * sizeof(*t->tombs));
	*t = (struct mars_table){ .self = t->self, .max = t->max };
}

struct mars_member *mars_table_find(const struct mars_table *t, const struct dk_addr *addr)
{
	for (size_t i = 0; i < t->cap; i++)
		if (t->at[i] && dk_addr_eq(&t->at[i]->rec.node.addr, addr))
			return t->at[i];
	return NULL;
}

struct mars_member *mars_table_boot(const struct mars_table *t, uint64_t boot)
{
	for (size_t i = 0; i < t->cap; i++)
		if (t->at[i] && t->at[i]->rec.node.boot == boot)
			return t->at[i];
	return NULL;
}

struct mars_member *mars_table_next(const struct mars_table *t, uint32_t *slot)
{
	while (*slot < t->cap)
		if (t->at[(*slot)++])
			return t->at[*slot - 1];
	return NULL;
}

static struct mars_member *add(struct mars_table *t)
{
	struct mars_member **at;
	size_t i = 0;

	if (t->n >= t->max)
		return NULL;
	while (i < t->cap && t->at[i])
		i++;
	if (i == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16;

		at = dk_realloc(t->self, t->at, t->cap * sizeof(struct mars_member *), cap * sizeof(struct mars_member *));
		if (!at)
			return NULL;
		t->at = at;
		t->cap = cap;
	}
	t->at[i] = dk_alloc(t->self, sizeof(*t->at[i]));
	t->n += t->at[i] != NULL;
	return t->at[i];
}

const struct mars_tomb *mars_table_tomb(const struct mars_table *t, uint64_t boot, uint64_t now)
{
	for (size_t i = 0; i < t->tomb_n; i++)
		if (t->tombs[i].boot == boot && now < t->tombs[i].until)
			return &t->tombs[i];
	return NULL;
}

enum mars_merge mars_table_merge(struct mars_table *t, const struct mars_record *r, uint64_t now, struct mars_member **ret_member)
{
	const struct mars_tomb *tomb = mars_table_tomb(t, r->node.boot, now);
	struct mars_member *m = mars_table_boot(t, r->node.boot);
	struct dk_cluster_node was;

	if (m) {
		*ret_member = m;
		if (!dk_addr_eq(&m->rec.node.addr, &r->node.addr))
			return MARS_TWO_PLACES;
		if (!mars_record_newer(r, &m->rec))
			return MARS_KNOWN;
		was = m->rec.node;
		m->rec = *r;
		m->rec.node.health = was.health;
		m->rec.node.degraded = was.degraded;
		return MARS_NEWER;
	}
	/* One that died may come back with a newer record: that is how it refutes. One that left does not. */
	if (tomb && (tomb->left || r->node.incarnation <= tomb->incarnation))
		return MARS_BURIED;
	m = mars_table_find(t, &r->node.addr);
	if (m) {
		*ret_member = m;
		return MARS_OTHER_BOOT;
	}
	if (r->state == MARS_GONE)
		return MARS_BURIED;
	m = add(t);
	if (!m)
		return MARS_NO_ROOM;
	m->rec = *r;
	*ret_member = m;
	return MARS_NEW;
}

void mars_table_remove(struct mars_table *t, struct mars_member *m)
{
	for (size_t i = 0; i < t->cap; i++)
		if (t->at[i] == m) {
			member_free(t, i);
			return;
		}
}

/* A place for one more tomb: a new one, or that of the oldest. */
static struct mars_tomb *tomb_new(struct mars_table *t, uint64_t now)
{
	struct mars_tomb *oldest = t->tombs;

	for (size_t i = 0; i < t->tomb_n; i++) {
		if (now >= t->tombs[i].until)
			return &t->tombs[i];
		if (t->tombs[i].until < oldest->until)
			oldest = &t->tombs[i];
	}
	if (t->tomb_n == t->tomb_cap && t->tomb_cap < TOMBS_MAX) {
		size_t cap = t->tomb_cap ? 2 * t->tomb_cap : 16;
		struct mars_tomb *tombs = dk_realloc(t->self, t->tombs, t->tomb_cap * sizeof(*tombs), cap * sizeof(*tombs));

		if (tombs) {
			t->tombs = tombs;
			t->tomb_cap = cap;
		}
	}
	return t->tomb_n < t->tomb_cap ? &t->tombs[t->tomb_n++] : oldest;
}

void mars_table_bury(struct mars_table *t, struct mars_member *m, uint64_t now, uint64_t for_ms)
{
	const struct mars_record *r = &m->rec;
	struct mars_tomb *tomb = tomb_new(t, now);

	if (tomb)
		*tomb = (struct mars_tomb){ .boot = r->node.boot,
					    .addr = r->node.addr,
					    .incarnation = r->node.incarnation,
					    .until = now + for_ms,
					    .left = r->state == MARS_GONE };
	mars_table_remove(t, m);
}
