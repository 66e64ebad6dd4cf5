/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups, from the client's side: members on any nodes who hear each other. A client may be in many; what it hears names the group
 * by a tag. All calls return what dkc_request() and dkc_send() return. Memberships outlast moves to other nodes.
 */
#ifndef DIARKIS_CLIENT_GROUP_H
#define DIARKIS_CLIENT_GROUP_H

#include <diarkis/client.h>
#include <diarkis/command.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dkc_group_opts {
	bool allow_empty; /* the group lives on for ttl_s without members; else it goes with the last one */
	bool join; /* become its first member; one of the two must be true */
	uint16_t ttl_s; /* > 10 */
	uint16_t interval_ms; /* 0 = broadcasts leave at once; else those of an interval travel together */
};

/* Answers: dkc_group_joined(). */
DK_API int dkc_group_create(struct dkc_client *c, const struct dkc_group_opts *opts, dkc_reply_fn *fn, void *arg);
/* message: told to all members as an event, unless it is empty. Whatever is said after the answer is heard. */
DK_API int dkc_group_join(struct dkc_client *c, const struct dk_id52 *group, dk_slice message, dkc_reply_fn *fn, void *arg);
/* Into any group of random joins with the same allow_empty, time to live and interval, on whatever node it is, or into a new one;
 * one of which the client is a member already is none of those. join of opts does not count. message: as above, where the group
 * was there. Answer: dkc_group_random(). */
DK_API int dkc_group_random_join(struct dkc_client *c, const struct dkc_group_opts *opts, dk_slice message, dkc_reply_fn *fn,
				 void *arg);
DK_API int dkc_group_leave(struct dkc_client *c, const struct dk_id52 *group, dk_slice message, dkc_reply_fn *fn, void *arg);
/* To all members, this one included. Answered only when refused, as DKC_RESPONSE. */
DK_API int dkc_group_broadcast(struct dkc_client *c, const struct dk_id52 *group, dk_slice message, bool reliable);
/* How many are in it, on how many nodes, and who, up to 1,000 of them; exact asks every node. For members. */
DK_API int dkc_group_get_info(struct dkc_client *c, const struct dk_id52 *group, bool exact, dkc_reply_fn *fn, void *arg);

/* ---- answers: false when the reply is a refusal or malformed ---- */

/* of create and join */
DK_API bool dkc_group_joined(const struct dkc_reply *reply, struct dk_id52 *ret_group);

/* of random_join; joined: it was there; else it was created for this client */
DK_API bool dkc_group_random(const struct dkc_reply *reply, struct dk_id52 *ret_group, bool *ret_joined);

struct dkc_group_info {
	struct dk_id52 group;
	uint32_t members;
	uint16_t nodes;
	struct dk_list uids; /* walk them with dk_list_next() while the reply is valid */
};
DK_API bool dkc_group_info(const struct dkc_reply *reply, struct dkc_group_info *ret_info);

/* ---- events ---- */

enum dkc_group_kind {
	DKC_GROUP_NONE = 0, /* the event is none of a group */
	DKC_GROUP_MEMBER_JOINED,
	DKC_GROUP_MEMBER_LEFT,
	DKC_GROUP_BROADCAST
};
/* What a DKC_PUSH is to groups, in which of them, and what was said. The message is a view of the event's. */
DK_API enum dkc_group_kind dkc_group_event(const struct dkc_event *event, uint32_t *ret_tag, dk_slice *ret_message);
/* The tag of a group. */
DK_API uint32_t dkc_group_tag(const struct dk_id52 *group);

#ifdef __cplusplus
}
#endif

#endif
