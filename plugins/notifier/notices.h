/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices of one node: those that live, in the order in which they came, and the ids of those that ended, so that none comes twice.
 * And the bytes in which they go from node to node. Knows no users and no nodes; the clock is the caller's.
 */
#ifndef NOTICES_H
#define NOTICES_H

#include <diarkis/notifier.h>

enum { NOTICES_BUCKETS = 1024, NOTE_HEAD = 5 }; /* of a note in an echo reply: length u16, ver u8, cmd u16 */

struct notice {
	struct notice *chain; /* same bucket */
	struct notice *next, *prev; /* of those that live by seq; of those that ended by end */
	uint64_t mark; /* of the id, the same on all nodes */
	uint64_t seq; /* counts those that came; 0 = it has ended */
	uint64_t was; /* seq of one that ended; 0 = it never lived here */
	uint64_t ends_ms; /* lives until; of one that ended: its id is remembered until */
	bool deleted; /* it ended because somebody said so */
	bool local, reliable;
	uint8_t ver;
	uint16_t cmd;
	uint8_t id_n, name_n;
	uint32_t block_n;
	uint8_t *block; /* the note as it stands in an echo reply, then the name; NULL: it has ended */
	char id[];
};

struct notices {
	void *self; /* whose memory it is */
	uint32_t max, max_ids;
	uint64_t max_bytes, remember_ms;
	struct notice *live, **live_tail;
	struct notice *old, *young; /* those that ended */
	struct notice *buckets[NOTICES_BUCKETS];
	uint64_t last_seq, bytes;
	uint32_t live_n, ended_n;
};

void notices_init(struct notices *s, void *self);
void notices_fini(struct notices *s);

uint64_t notice_mark(dk_str id);
static inline dk_str notice_id(const struct notice *n)
{
	return dk_str_n(n->id, n->id_n);
}
static inline dk_str notice_name(const struct notice *n)
{
	return dk_str_n((const char *)n->block + n->block_n, n->name_n);
}
static inline dk_slice notice_block(const struct notice *n)
{
	return dk_slice_n(n->block, n->block_n);
}
static inline dk_slice notice_message(const struct notice *n)
{
	return dk_slice_n(n->block + NOTE_HEAD, n->block_n - NOTE_HEAD);
}

/* Returns 0, DK_EXISTS, DK_FULL, DK_TOO_LONG, DK_NOTIFIER_BAD or -ENOMEM. */
int notices_add(struct notices *s, const struct dk_notice *n, bool local, uint64_t now_ms);
/* Its id is remembered for remember_ms after it would have ended, and for left_ms from now, which is another node's memory of it.
 * Returns 0, DK_NOT_FOUND (it did not live; its id is remembered now) or -ENOMEM. */
int notices_delete(struct notices *s, dk_str id, uint64_t left_ms, uint64_t now_ms);
/* For how long an id lives or is remembered; 0 = it is not known. */
uint64_t notices_left(const struct notices *s, dk_str id, uint64_t now_ms);
/* Ends those whose time is over, forgets ids. Returns how many ended. */
unsigned notices_sweep(struct notices *s, uint64_t now_ms);
/* The first that came after seq and lives; NULL = none. */
const struct notice *notices_after(const struct notices *s, uint64_t seq, uint64_t now_ms);

/* ---- between nodes ---- */

/* A number for what is shared with other nodes: alike where that is. */
uint64_t notices_digest(const struct notices *s, uint64_t now_ms);

/* A record: a notice that lives, or the id of one that was deleted. */
struct notice_record {
	struct dk_notice notice; /* of a deleted one the id, and ttl_ms: for how long to remember it */
	bool deleted;
};
size_t notice_record_size(const struct notice_record *r);
void notice_record_write(struct dk_writer *w, const struct notice_record *r);
/* The next of several; false at the end, or with c->bad. What it points to lies in the bytes. */
bool notice_record_next(struct dk_cursor *c, struct notice_record *ret_record);
/* All that is shared. */
size_t notices_size(const struct notices *s, uint64_t now_ms);
void notices_write(const struct notices *s, uint64_t now_ms, struct dk_writer *w);

#endif
