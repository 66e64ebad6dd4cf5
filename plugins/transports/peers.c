/* SPDX-License-Identifier: Apache-2.0 */
/* See peers.h. Sids are random bytes of the server's own making, so that four of them are hash enough: nobody can choose them. */
#include "peers.h"

static uint32_t sid_hash(const uint8_t *sid)
{
	uint32_t h;

	memcpy(&h, sid, sizeof(h));
	return h;
}

static void *row_at(const struct peers *ps, uint32_t slot)
{
	return dk_table_get(&ps->table, dk_table_id_at(&ps->table, slot));
}

static bool same_sid(const void *arg, uint32_t slot, const void *sid)
{
	return memcmp(row_at(arg, slot), sid, PEERS_SID_LEN) == 0;
}

void peers_init(void *self, struct peers *ps, size_t size, size_t at, uint32_t most, int64_t *gauge, const char *what)
{
	ps->at = at;
	ps->gauge = gauge;
	dk_table_init(self, &ps->table, DK_KIND_PEER, size, most, what);
}

void peers_fini(void *self, struct peers *ps)
{
	dk_map_fini(self, &ps->by_sid);
	dk_table_fini(&ps->table);
}

int peers_attach(struct peers *ps, const struct dk_peer_sink *sink)
{
	if (ps->sink)
		return DK_EXISTS;
	ps->sink = sink;
	return 0;
}

struct peer *peers_by_sid(const struct peers *ps, const uint8_t *sid)
{
	uint32_t slot = dk_map_find(&ps->by_sid, sid_hash(sid), same_sid, ps, sid);

	return slot == DK_MAP_NONE ? NULL : peers_of_row(ps, row_at(ps, slot));
}

struct peer *peers_next(const struct peers *ps, uint32_t *slot)
{
	dk_id id;

	return peers_of_row(ps, dk_table_next(&ps->table, slot, &id));
}

int peers_add(void *self, struct peers *ps, const uint8_t *sid, uint64_t user, struct peer **ret_peer)
{
	struct peer *p;
	void *row;
	dk_id id;
	int rc;

	if (peers_by_sid(ps, sid))
		return DK_EXISTS;
	row = dk_table_add(&ps->table, &id);
	if (!row)
		return DK_FULL;
	rc = dk_map_put(self, &ps->by_sid, sid_hash(sid), dk_id_slot(id));
	if (rc) {
		dk_table_remove(&ps->table, id);
		return rc;
	}
	memcpy(row, sid, PEERS_SID_LEN);
	p = peers_of_row(ps, row);
	p->id = id;
	p->user = user;
	++*ps->gauge;
	*ret_peer = p;
	return 0;
}

void peers_die(struct peers *ps, struct peer *p, enum dk_reason reason)
{
	if (p->dead)
		return;
	p->dead = true;
	--*ps->gauge;
	if (ps->sink)
		ps->sink->closed(ps->sink->self, p->user, p->id, reason);
}

void peers_forget_sid(struct peers *ps, const struct peer *p)
{
	dk_map_remove(&ps->by_sid, sid_hash(peers_sid(ps, p)), dk_id_slot(p->id));
}

void peers_free(struct peers *ps, struct peer *p)
{
	if (!p->dead)
		--*ps->gauge;
	dk_table_remove(&ps->table, p->id);
}
