/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of things kept in rooms share: a cluster of fabric.h, a probe that writes down what changes, requests made by
 * the rows themselves.
 */
#ifndef ROOM_KEPT_H
#define ROOM_KEPT_H

#include "fabric.h"

DK_PACKERS(ROOM_DATA_COMMANDS)

/* n nodes, each with a probe. */
void kept_open(unsigned n, const char *room);
void *kept_probe(unsigned node); /* its state, for who asks as a plugin */
/* Lines of all probes since the last look: "NODE change 3 MEMBERS", "NODE property NAME TYPE NUMBER". */
void kept_expect(const char *want);
void kept_forget(void);
/* A handler of `changed` takes the room away, the next time that properties change. */
void kept_remove_room(void);

/* A room of a player, or of nobody; it lives on without members. */
dk_id kept_room(unsigned node, const struct player *owner, uint32_t interval_ms, uint8_t replicas, struct dk_id52 *ret_id);
void kept_join(struct player *p, dk_id room);
void kept_leave(struct player *p, dk_id room);

/* Lists in wire form; NULL-terminated. Four at a time. */
struct dk_list kept_list(const char *const *texts);
#define LIST(...) kept_list((const char *const[]){ __VA_ARGS__, NULL })
#define NO_LIST ((struct dk_list){ { NULL, 0 }, 0 })

static inline dk_str kept_text(const struct dk_id52 *id)
{
	return dk_str_n(id->c, DK_ID52_LEN);
}

/* What it heard since the last look is this. */
void kept_hears(struct player *p, const char *want);

#endif
