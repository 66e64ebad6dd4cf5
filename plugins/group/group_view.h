/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes part in a group, as one node knows it. Each node writes its own entry alone, and a later version of an entry replaces
 * an earlier one, so views that hear of the same entries are equal, in whatever order they heard of them: there is no leader. Pure:
 * no users, no sending.
 *
 * A state is a view in bytes: u8 version, u8 flags, u32 ttl_s, u32 interval_ms, u32 created_s, u64 number (of the writer's last
 * reliable message), u64 sum, u16 n, then n entries of u8 family, ip, u16 port, u64 boot, u64 version, u32 members, u8 flags,
 * bytes16 uids (a list of bytes16). The writer's own entry is the first.
 */
#ifndef GROUP_VIEW_H
#define GROUP_VIEW_H

#include <diarkis/cursor.h>
#include <diarkis/mem.h>

enum {
	GROUP_NODES_MAX = 256, /* of one group */
	GROUP_UIDS_MAX = 1024, /* bytes of uids that an entry tells */
	GROUP_STATE_HEAD = 1 + 1 + 4 + 4 + 4 + 8 + 8 + 2,
	GROUP_ENTRY_MAX = 1 + 16 + 2 + 8 + 8 + 4 + 1 + 2 + GROUP_UIDS_MAX,
	GROUP_STATE_MAX = GROUP_STATE_HEAD + GROUP_NODES_MAX * GROUP_ENTRY_MAX
};

enum group_node_flag {
	GROUP_OUT = 1, /* takes no part any more */
	GROUP_LISTENS = 2 /* has members, or awaits some: what is said goes there */
};

struct group_node {
	/* what it says of itself */
	struct dk_addr addr;
	uint64_t boot, version;
	uint32_t members;
	uint8_t flags;
	uint16_t uids_n;
	uint8_t *uids; /* some of its members */

	/* what this node knows of it */
	bool live; /* the cluster has it, with that boot */
	bool knows; /* that this node listens */
	bool asked; /* a request about that is under way */
	bool after_known;
	uint64_t after; /* what it says later than this comes here by itself */
	uint64_t heard, pushed; /* its last reliable message that came here; that was given to the members */
	uint64_t gone_ms; /* since when it is neither live nor in; 0 = it is both */
};

struct group_view {
	struct group_node *at; /* this node's own first */
	uint16_t n, cap;
};

enum group_state_flag {
	GROUP_S_ALLOW_EMPTY = 1,
	GROUP_S_STATIC = 2,
	GROUP_S_PROBE = 4, /* the sum alone: who has another one sends its state */
	GROUP_S_ANSWER = 8, /* wants none */
	GROUP_S_ASKED = 16 /* a request: it is answered anyway */
};
struct group_state {
	uint8_t flags;
	uint32_t ttl_s, interval_ms, created_s;
	uint64_t number, sum;
	uint16_t n;
	dk_slice entries;
};
struct group_entry {
	struct dk_addr addr;
	uint64_t boot, version;
	uint32_t members;
	uint8_t flags;
	dk_slice uids;
};

int group_view_init(void *self, struct group_view *v, const struct dk_addr *addr, uint64_t boot); /* 0 or -ENOMEM */
void group_view_fini(void *self, struct group_view *v);
static inline struct group_node *group_view_own(const struct group_view *v)
{
	return &v->at[0];
}
/* NULL = none; not across an add or drop. */
struct group_node *group_view_find(const struct group_view *v, const struct dk_addr *addr);
/* One that nothing is known of but that it is there. NULL: too many, or no memory. */
struct group_node *group_view_add(void *self, struct group_view *v, const struct dk_addr *addr, uint64_t boot);
void group_view_drop(void *self, struct group_view *v, uint16_t i); /* never the first */

enum group_merge {
	GROUP_NEWS = 16, /* the view has changed */
	GROUP_DENIED /* what others say of this node is not so: its entry has a later version now, which is to be told */
};
/* Returns 0, enum group_merge, DK_FULL or -ENOMEM. */
int group_view_merge(void *self, struct group_view *v, const struct group_entry *e);
/* Equal where the entries that are live and in are. */
uint64_t group_view_sum(const struct group_view *v);
/* All that are live, and who went lately, after the own one; with the flag PROBE only that. uids: of the own one; p NULL: of no
 * one. */
void group_state_write(struct dk_writer *w, const struct group_state *head, const struct group_view *v, dk_slice uids);
/* The head. False: it cannot be read. */
bool group_state_read(dk_slice bytes, struct group_state *ret_state);
/* One entry after another. False: that was the last, or it cannot be read. */
bool group_state_next(struct group_state *state, struct group_entry *ret_entry);

void group_addr_write(struct dk_writer *w, const struct dk_addr *a);
bool group_addr_read(struct dk_cursor *c, struct dk_addr *ret_addr);

#endif
