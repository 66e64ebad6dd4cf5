/* SPDX-License-Identifier: Apache-2.0 */
#include "group_view.h"

#include <diarkis/err.h>

#include <errno.h>

enum { VERSION = 1, FIRST = 4 };

/* ---- the view ---- */

int group_view_init(void *self, struct group_view *v, const struct dk_addr *addr, uint64_t boot)
{
	*v = (struct group_view){ .n = 0 };
	if (!group_view_add(self, v, addr, boot))
		return -ENOMEM;
	v->at[0].live = true;
	return 0;
}

void group_view_fini(void *self, struct group_view *v)
{
	for (uint16_t i = 0; i < v->n; i++)
		dk_free(self, v->at[i].uids, v->at[i].uids_n);
	dk_free(self, v->at, v->cap * sizeof(*v->at));
	*v = (struct group_view){ .n = 0 };
}

struct group_node *group_view_find(const struct group_view *v, const struct dk_addr *addr)
{
	for (uint16_t i = 0; i < v->n; i++)
		if (dk_addr_eq(&v->at[i].addr, addr))
			return &v->at[i];
	return NULL;
}

struct group_node *group_view_add(void *self, struct group_view *v, const struct dk_addr *addr, uint64_t boot)
{
	struct group_node *n;

	if (v->n == GROUP_NODES_MAX)
		return NULL;
	if (v->n == v->cap) {
		uint16_t cap = (uint16_t)(v->cap ? v->cap * 2 : FIRST);
		void *p = dk_realloc(self, v->at, v->cap * sizeof(*n), cap * sizeof(*n));

		if (!p)
			return NULL;
		v->at = p;
		v->cap = cap;
	}
	n = &v->at[v->n++];
	*n = (struct group_node){ .addr = *addr, .boot = boot };
	return n;
}

void group_view_drop(void *self, struct group_view *v, uint16_t i)
{
	dk_free(self, v->at[i].uids, v->at[i].uids_n);
	v->n--;
	memmove(&v->at[i], &v->at[i + 1], (size_t)(v->n - i) * sizeof(*v->at));
}

static int keep_uids(void *self, struct group_node *n, dk_slice uids)
{
	uint8_t *p = uids.n ? dk_alloc(self, uids.n) : NULL;

	if (uids.n && !p)
		return -ENOMEM;
	dk_free(self, n->uids, n->uids_n);
	if (uids.n)
		memcpy(p, uids.p, uids.n);
	n->uids = p;
	n->uids_n = (uint16_t)uids.n;
	return 0;
}

/* Nobody but a node itself writes its entry. What others have of it is old, or of a time before it began anew. */
static int deny(struct group_node *own, const struct group_entry *e)
{
	bool same = e->boot == own->boot && e->version == own->version;

	if (same || e->version < own->version)
		return 0;
	own->version = e->version + 1;
	return GROUP_DENIED;
}

int group_view_merge(void *self, struct group_view *v, const struct group_entry *e)
{
	struct group_node *n = group_view_find(v, &e->addr);

	if (n == &v->at[0])
		return deny(n, e);
	if (n && (e->version < n->version || (e->version == n->version && e->boot == n->boot)))
		return 0;
	if (!n && (e->flags & GROUP_OUT))
		return 0;
	if (!n)
		n = group_view_add(self, v, &e->addr, e->boot);
	if (!n)
		return v->n == GROUP_NODES_MAX ? DK_FULL : -ENOMEM;
	if (n->boot != e->boot) { /* another run of it: nothing that was known holds */
		n->boot = e->boot;
		n->knows = n->asked = n->after_known = n->live = false;
		n->heard = n->pushed = n->after = 0;
	}
	n->version = e->version;
	n->members = e->members;
	n->flags = e->flags;
	return keep_uids(self, n, e->uids) ? -ENOMEM : GROUP_NEWS;
}

/* ---- the state ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static bool is_in(const struct group_node *n)
{
	return n->live && !(n->flags & GROUP_OUT);
}

/* Who went lately is told of too: somebody may have missed it. Who is dead is not, for others may hear it. */
static bool is_told(const struct group_node *n)
{
	return n->live || (n->flags & GROUP_OUT);
}

uint64_t group_view_sum(const struct group_view *v)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < v->n; i++) {
		const struct group_node *n = &v->at[i];
		uint64_t h = mix(n->addr.port, n->addr.family);

		if (!is_in(n))
			continue;
		for (size_t k = 0; k < sizeof(n->addr.ip); k++)
			h = mix(h, n->addr.ip[k]);
		sum += mix(mix(h, n->boot), n->version);
	}
	return sum;
}

void group_addr_write(struct dk_writer *w, const struct dk_addr *a)
{
	dk_wr_u8(w, a->family);
	dk_wr_slice(w, dk_slice_n(a->ip, a->family == 6 ? 16 : 4));
	dk_wr_u16(w, a->port);
}

bool group_addr_read(struct dk_cursor *c, struct dk_addr *ret_addr)
{
	struct dk_addr a = { .family = dk_rd_u8(c) };
	dk_slice ip = dk_rd_slice(c, a.family == 6 ? 16 : 4);

	a.port = dk_rd_u16(c);
	if (c->bad || (a.family != 4 && a.family != 6))
		return false;
	memcpy(a.ip, ip.p, ip.n);
	*ret_addr = a;
	return true;
}

static void write_entry(struct dk_writer *w, const struct group_node *n, dk_slice uids)
{
	group_addr_write(w, &n->addr);
	dk_wr_u64(w, n->boot);
	dk_wr_u64(w, n->version);
	dk_wr_u32(w, n->members);
	dk_wr_u8(w, n->flags);
	dk_wr_bytes16(w, uids);
}

void group_state_write(struct dk_writer *w, const struct group_state *head, const struct group_view *v, dk_slice uids)
{
	uint16_t n = 1;

	for (uint16_t i = 1; i < v->n && !(head->flags & GROUP_S_PROBE); i++)
		n = (uint16_t)(n + is_told(&v->at[i]));
	dk_wr_u8(w, VERSION);
	dk_wr_u8(w, head->flags);
	dk_wr_u32(w, head->ttl_s);
	dk_wr_u32(w, head->interval_ms);
	dk_wr_u32(w, head->created_s);
	dk_wr_u64(w, head->number);
	dk_wr_u64(w, group_view_sum(v));
	dk_wr_u16(w, n);
	write_entry(w, &v->at[0], uids);
	for (uint16_t i = 1; i < v->n && n > 1; i++)
		if (is_told(&v->at[i]))
			write_entry(w, &v->at[i], dk_slice_n(v->at[i].uids, uids.p ? v->at[i].uids_n : 0));
}

bool group_state_read(dk_slice bytes, struct group_state *ret_state)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	bool known = dk_rd_u8(&c) == VERSION;
	struct group_state s = { .flags = dk_rd_u8(&c) };

	s.ttl_s = dk_rd_u32(&c);
	s.interval_ms = dk_rd_u32(&c);
	s.created_s = dk_rd_u32(&c);
	s.number = dk_rd_u64(&c);
	s.sum = dk_rd_u64(&c);
	s.n = dk_rd_u16(&c);
	s.entries = dk_rd_rest(&c);
	if (!known || c.bad || !s.n || s.n > GROUP_NODES_MAX)
		return false;
	*ret_state = s;
	return true;
}

bool group_state_next(struct group_state *s, struct group_entry *ret_entry)
{
	struct dk_cursor c = dk_cursor_of(s->entries);
	struct group_entry e;

	if (!s->n || !group_addr_read(&c, &e.addr))
		return false;
	e.boot = dk_rd_u64(&c);
	e.version = dk_rd_u64(&c);
	e.members = dk_rd_u32(&c);
	e.flags = dk_rd_u8(&c);
	e.uids = dk_rd_bytes16(&c);
	if (c.bad || e.uids.n > GROUP_UIDS_MAX)
		return false;
	s->n--;
	s->entries = dk_rd_rest(&c);
	*ret_entry = e;
	return true;
}
