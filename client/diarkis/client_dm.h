/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct messages, from the client's side: to a user by its uid, whatever node it is on. All calls return what dkc_request()
 * returns; their answers say whether it worked (dkc_ok(), dkc_reply_error()).
 */
#ifndef DIARKIS_CLIENT_DM_H
#define DIARKIS_CLIENT_DM_H

#include <diarkis/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Answered once the message has arrived at the receiver's connection, or cannot. reliable: from the receiver's node to it.
 * Messages to one receiver arrive in the order of these calls. */
DK_API int dkc_dm_send(struct dkc_client *c, dk_str uid, dk_slice message, bool reliable, dkc_reply_fn *fn, void *arg);
/* Finds a user, so that the first message to it needs no search. The user hears nothing of it. */
DK_API int dkc_dm_connect(struct dkc_client *c, dk_str uid, dkc_reply_fn *fn, void *arg);
/* Ends the exchange. message: what the other one hears as a last word; empty = nothing. */
DK_API int dkc_dm_disconnect(struct dkc_client *c, dk_str uid, dk_slice message, dkc_reply_fn *fn, void *arg);

enum dkc_dm_kind {
	DKC_DM_NONE = 0, /* the event is none of these */
	DKC_DM_MESSAGE, /* uid says message */
	DKC_DM_DISCONNECTED, /* uid has ended the exchange, or is gone; message: its last word */
	DKC_DM_REPLACED /* this user has logged in again somewhere, and this connection ends; message: a sentence */
};
/* What a DKC_PUSH is to direct messages. Views are those of the event; what does not belong to the kind is empty. */
DK_API enum dkc_dm_kind dkc_dm_event(const struct dkc_event *event, dk_str *ret_uid, dk_slice *ret_message);

#ifdef __cplusplus
}
#endif

#endif
