/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes say of themselves, as data: the record, which of two records is the newer one, which nodes belong together, and a
 * table of nodes with the memory of those that are gone. No time but what is passed in, no sending, no signals.
 */
#ifndef MARS_RECORDS_H
#define MARS_RECORDS_H

#include <diarkis/cluster.h>

#include "detector.h"
#include "values.h"

/* The protocol between nodes that this build speaks. */
enum { MARS_PROTO_MIN = 1, MARS_PROTO_MAX = 1 };

#define MARS_APP_MAX 64
#define MARS_RECORD_MAX 900 /* bytes of an encoded record: with its envelope it fits one datagram */
#define MARS_BUCKETS 16

/* On the wire; a later one does not turn into an earlier one within an incarnation, ONLINE and TAKEN excepted. */
enum mars_state { MARS_JOINING = 0, MARS_ONLINE = 1, MARS_OFFLINE = 2, MARS_TAKEN = 3, MARS_GONE = 4 };

struct mars_record {
	struct dk_cluster_node node; /* health and degraded are this node's opinion, and not sent */
	enum mars_state state;
	uint32_t seq; /* counts what this boot told; users and values aside */
	uint32_t value_seq; /* counts changes of its values */
	uint16_t proto_min, proto_max;
	bool strict; /* it wants none but its own version */
	char app[MARS_APP_MAX + 1];
};

/* A node in the table. */
struct mars_member {
	struct mars_record rec;
	struct mars_watch watch;
	struct mars_values values;
	uint64_t told_at; /* node clock: when it last announced itself to this node; 0 = known from others */
	uint64_t gone_at; /* when it left or died; 0 = it has not */
	uint64_t pulled_at, differs_at, shared_at; /* node clock, agent.c: last question, since when its view is another, ... */
	uint32_t picked; /* users sent there since its last beat */
	bool foreign; /* of another application or version: kept by a registry for its own kind, and nobody else's business */
};

/* A boot that is gone, so that no stale record brings it back. */
struct mars_tomb {
	uint64_t boot, until;
	struct dk_addr addr;
	uint32_t incarnation;
	bool left; /* it said goodbye, so not even a newer record counts */
};

struct mars_table {
	void *self; /* whose memory it is */
	struct mars_member **at; /* with holes */
	size_t cap, n, max;
	struct mars_tomb *tombs;
	size_t tomb_n, tomb_cap;
};

/* What became of a record that was told. */
enum mars_merge {
	MARS_KNOWN = 0, /* nothing new */
	MARS_NEW, /* a node that was not in the table; *ret_member is it */
	MARS_NEWER, /* the node was known, and this replaces what it said */
	MARS_OTHER_BOOT, /* a member of that address with another boot stands in the way; *ret_member is that one */
	MARS_BURIED, /* a boot that is known to be gone */
	MARS_TWO_PLACES, /* a boot that lives at another address; *ret_member is that one */
	MARS_NO_ROOM
};

/* ---- records ---- */

/* Writes at most MARS_RECORD_MAX bytes. */
void mars_record_write(const struct mars_record *r, struct dk_writer *w);
/* Returns false for what is no record; bytes behind the known ones are a newer version's, and skipped. */
bool mars_record_read(dk_slice bytes, struct mars_record *ret_record);
/* Whether a is the newer of two records of one boot: the higher incarnation, then the later state, then the higher seq. */
bool mars_record_newer(const struct mars_record *a, const struct mars_record *b);
/* Whether two nodes may see each other: one application, a protocol that both speak, and one version if either insists. */
bool mars_record_together(const struct mars_record *a, const struct mars_record *b);
/* What the node is to others: JOINING counts as OFFLINE. */
enum dk_node_state mars_record_state(const struct mars_record *r);
bool mars_record_has_role(const struct mars_record *r, dk_str role); /* an empty role: all have it */

void mars_addr_write(const struct dk_addr *a, struct dk_writer *w);
struct dk_addr mars_addr_read(struct dk_cursor *c); /* family 0 and c->bad: no address */

/* ---- the table ---- */

void mars_table_init(struct mars_table *t, void *self, size_t max);
void mars_table_fini(struct mars_table *t);
struct mars_member *mars_table_find(const struct mars_table *t, const struct dk_addr *addr); /* NULL = none */
struct mars_member *mars_table_boot(const struct mars_table *t, uint64_t boot); /* NULL = none */
/* Members in no particular order: start with *slot = 0; NULL at the end. Adding and removing meanwhile is safe. */
struct mars_member *mars_table_next(const struct mars_table *t, uint32_t *slot);
/* Takes up a record. A new member's watch and times are the caller's to set. */
enum mars_merge mars_table_merge(struct mars_table *t, const struct mars_record *r, uint64_t now, struct mars_member **ret_member);
/* The member is no more; its boot is remembered until then. */
void mars_table_bury(struct mars_table *t, struct mars_member *m, uint64_t now, uint64_t for_ms);
/* The member is no more, and nobody minds if it comes back. */
void mars_table_remove(struct mars_table *t, struct mars_member *m);
/* The tomb of a boot, or NULL. */
const struct mars_tomb *mars_table_tomb(const struct mars_table *t, uint64_t boot, uint64_t now);

/* One number for one record: equal for equal records. */
uint64_t mars_record_digest(const struct mars_record *r);
/* By whose digest it is compared: records of one boot are in one bucket. */
static inline unsigned mars_bucket(uint64_t boot)
{
	return (unsigned)(boot % MARS_BUCKETS);
}

#endif
