/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions, from the client's side: small groups of users on any nodes. One is in at most one session of each type, and names it by
 * that; a session that one is not in is named by its id, a text that an invitation or the creator brings. Calls return what
 * dkc_request() and dkc_send() return.
 */
#ifndef DIARKIS_CLIENT_SESSION_H
#define DIARKIS_CLIENT_SESSION_H

#include <diarkis/client.h>
#include <diarkis/command.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- calls ---- */

/* One becomes owner and first member. Seats: 2 or more; it lives ttl_s without members, at least 30. Answer: dkc_session_id(). */
DK_API int dkc_session_create(struct dkc_client *c, uint8_t type, uint8_t max_members, uint8_t ttl_s, dkc_reply_fn *fn, void *arg);
DK_API int dkc_session_join(struct dkc_client *c, uint8_t type, dk_str session, dkc_reply_fn *fn, void *arg);
DK_API int dkc_session_leave(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg);
/* To users by uid, wherever they are, at most 100; they hear DKC_SESSION_INVITED. Refused when one of them is not there; the others
 * hear it all the same. */
DK_API int dkc_session_invite(struct dkc_client *c, uint8_t type, const dk_str *uids, size_t n, dk_slice message, dkc_reply_fn *fn,
			      void *arg);
/* The owner's to do. */
DK_API int dkc_session_kick(struct dkc_client *c, uint8_t type, dk_str uid, dkc_reply_fn *fn, void *arg);
/* To all members, this one included, reliably. Answered only when refused, as DKC_RESPONSE. */
DK_API int dkc_session_broadcast(struct dkc_client *c, uint8_t type, dk_slice message);
/* To some of them, at most 100. Likewise. */
DK_API int dkc_session_message(struct dkc_client *c, uint8_t type, const dk_str *uids, size_t n, dk_slice message);
/* Answers: dkc_session_members(), dkc_session_count(), dkc_session_info(). */
DK_API int dkc_session_get_members(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg);
DK_API int dkc_session_get_count(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg);
DK_API int dkc_session_get_info(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg);

/* ---- answers: false when the reply is a refusal or malformed; views are those of the reply ---- */

/* of create and join */
DK_API bool dkc_session_id(const struct dkc_reply *reply, uint8_t *ret_type, dk_str *ret_session);
/* of get_members: walk the uids with dkc_session_uid() */
DK_API bool dkc_session_members(const struct dkc_reply *reply, dk_slice *ret_uids);
/* The next uid of such a list; false at the end. */
DK_API bool dkc_session_uid(dk_slice *uids, dk_str *ret_uid);
/* of get_count */
DK_API bool dkc_session_count(const struct dkc_reply *reply, uint16_t *ret_members, uint16_t *ret_max);
struct dkc_session_info {
	uint8_t type;
	uint16_t members, max_members;
	dk_str session, owner;
	dk_slice uids;
};
/* of get_info */
DK_API bool dkc_session_info(const struct dkc_reply *reply, struct dkc_session_info *ret_info);

/* ---- events ---- */

enum dkc_session_kind {
	DKC_SESSION_NONE = 0, /* the event is none of a session */
	DKC_SESSION_INVITED, /* type, session, message */
	DKC_SESSION_MEMBER_JOINED, /* type, session, uid, owner */
	DKC_SESSION_MEMBER_LEFT, /* type, session, uid, owner, reason */
	DKC_SESSION_BROADCAST, /* message */
	DKC_SESSION_MESSAGE, /* message */
	DKC_SESSION_KICKED, /* type, session: one is in it no more */
	DKC_SESSION_ENDED /* type, session, reason: one is in it no more */
};
/* Why somebody is in a session no more: 1 left, 2 cut off, 3 kicked, 4 replaced by a login elsewhere, 5 its node was silent, 6 the
 * session was deleted, 7 it was lost with its node. */
struct dkc_session_event {
	enum dkc_session_kind kind;
	uint8_t type, reason;
	dk_str session, uid, owner; /* owner: after what happened */
	dk_slice message;
};
/* What a DKC_PUSH is to sessions. Views are those of the event; what does not belong to the kind is empty. */
DK_API enum dkc_session_kind dkc_session_event(const struct dkc_event *event, struct dkc_session_event *ret_event);

#ifdef __cplusplus
}
#endif

#endif
