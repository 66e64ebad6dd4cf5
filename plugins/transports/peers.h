/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peers of a transport: a table whose rows begin with the sid, an index over the sids, and the list of dirty peers.
 *
 * A peer is dirty while something is done with it in a turn: it has something to say, or its bytes are being handled. A row is
 * given back by whoever takes its peer out of that list last, so that nobody is left with a row that is somebody else's by now.
 */
#ifndef TRANSPORTS_PEERS_H
#define TRANSPORTS_PEERS_H

#include <diarkis/plugin.h>
#include <diarkis/transport.h>

#define PEERS_SID_LEN 16
#define PEERS_LATE_MS 3000 /* how long who has not come yet is waited for once the node is OFFLINE */

/* What each row holds somewhere. */
struct peer {
	struct peer *next_dirty;
	uint64_t user; /* the sink's word for it */
	dk_id id;
	bool dirty : 1;
	bool opened : 1; /* the sink was told that its client is there */
	bool dead : 1; /* the sink was told of its end */
	bool over : 1; /* nothing goes back and forth any more */
	/* Of datagrams. They lie here because a row of a UDP peer has no room to spare. */
	bool force : 1; /* what waits for an interval goes now */
	bool shook : 1; /* the address was proven once */
	uint8_t second; /* low bits; in it were looked at: */
	uint16_t foreign; /* those that came from elsewhere */
	uint32_t own; /* and from the client's address */
};

struct peers {
	const struct dk_peer_sink *sink;
	struct dk_table table;
	struct dk_map by_sid;
	struct peer *dirty;
	size_t at; /* of struct peer in a row */
	int64_t *gauge; /* admitted and not dead */
};

/* size: of a row; gauge: counts those that live; what: for the log when a peer finds no room. */
void peers_init(void *self, struct peers *ps, size_t size, size_t at, uint32_t most, int64_t *gauge, const char *what);
/* When no row is left. */
void peers_fini(void *self, struct peers *ps);
/* As dk_transport.attach. */
int peers_attach(struct peers *ps, const struct dk_peer_sink *sink);
/* A row with its sid and peer set and all else zero. Returns 0, DK_EXISTS, DK_FULL or <0. */
int peers_add(void *self, struct peers *ps, const uint8_t *sid, uint64_t user, struct peer **ret_peer);
/* The sink loses it, once. */
void peers_die(struct peers *ps, struct peer *p, enum dk_reason reason);
/* Its sid may be admitted anew. Once, and while the row still has it. */
void peers_forget_sid(struct peers *ps, const struct peer *p);
/* Gives the row back. */
void peers_free(struct peers *ps, struct peer *p);

static inline struct peer *peers_of_row(const struct peers *ps, void *row)
{
	return row ? (struct peer *)(void *)((char *)row + ps->at) : NULL;
}

static inline const uint8_t *peers_sid(const struct peers *ps, const struct peer *p)
{
	return (const uint8_t *)p - ps->at;
}

/* NULL: nobody. It may be dead. */
struct peer *peers_by_sid(const struct peers *ps, const uint8_t *sid);
/* In order of their slots, dead ones too: begin with 0. NULL at the end. */
struct peer *peers_next(const struct peers *ps, uint32_t *slot);

/* NULL: it is dead, or the handle stale. */
static inline struct peer *peers_alive(const struct peers *ps, dk_id id)
{
	struct peer *p = peers_of_row(ps, dk_table_get(&ps->table, id));

	return p && !p->dead ? p : NULL;
}

static inline void peers_mark(struct peers *ps, struct peer *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	p->next_dirty = ps->dirty;
	ps->dirty = p;
}

/* Takes one out of the list; NULL: it is empty. */
static inline struct peer *peers_next_dirty(struct peers *ps)
{
	struct peer *p = ps->dirty;

	if (p) {
		ps->dirty = p->next_dirty;
		p->dirty = false;
	}
	return p;
}

#endif
