/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "dm": messages from one user to another by uid, whatever node of the cluster it is on. The plugin dm provides it. Where
 * a user is stands in a storage of the plugin dive; nodes remember what they learnt, and repair it when it is stale.
 *
 * Messages from one login of a sender to one receiver arrive in the order of sending, each once or not at all, while either moves
 * between nodes, too. A message that was not delivered has an error. A receiver is told nothing while it is nowhere: nothing is
 * kept for later.
 *
 * Two users who have exchanged a message are connected: each is on the list of the other until one of them disconnects or is
 * discarded.
 */
#ifndef DIARKIS_DM_H
#define DIARKIS_DM_H

#include <diarkis/plugin.h>
#include <diarkis/user.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_DM_NAME "dm"
#define DK_DM_MAJOR 1
#define DK_DM_MINOR 0
#define DK_DM_TYPE struct dk_dm

#define DK_DM_MESSAGE_MAX 60000 /* bytes; the option max_message_bytes may say less */

/* Why a message was not delivered; also DK_NOT_FOUND (no user of that uid is anywhere), DK_TOO_LONG, DK_FULL (too much waits, here
 * or at the receiver's connection), -ENOMEM. */
enum dk_dm_outcome {
	DK_DM_EMPTY = DK_OUTCOME_OWN, /* there is nothing to send */
	DK_DM_BAD_UID,
	DK_DM_VETOED, /* a filter of the receiver's node refused it, or left nothing of it */
	DK_DM_NO_STORAGE, /* no node could say in time where the user is */
	DK_DM_MAYBE /* the receiver's node did not answer: it may have been delivered */
};

/* The end of a message: 0 = it is in the receiver's connection, else why not. Called exactly once, unless self stopped: then
 * never. */
typedef void dk_dm_done_fn(void *self, void *arg, int rc);

/* Asked and told on the node of the receiver. */
struct dk_dm_message {
	uint8_t ver;
	uint16_t cmd;
	dk_str from; /* uid of the sender; empty: no user */
	dk_id to;
	dk_slice message;
};
/* Asked on the node of a user that is about to be gone, once for each user on its list: the message that the other one gets as a
 * last word; empty = none. ver and cmd are those of dm.disconnect until somebody sets them: then the message travels as it is. */
struct dk_dm_parting {
	dk_id user;
	dk_str peer; /* uid */
	uint8_t ver;
	uint16_t cmd;
	dk_slice message;
};
/* A user was taken off the list of another one on this node, without a last message. */
struct dk_dm_cleared {
	dk_str uid; /* who was taken off */
	dk_id user; /* whose list */
};

struct dk_dm {
	struct dk_service base;

	/* SetOnReceiveMessage: not 0 refuses the message, with DK_DM_VETOED for its sender. */
	DK_FILTER(struct dk_dm_message) receiving;
	/* SetOnMessage: after receiving. May replace `message` by bytes that live until the filter has run (scratch); who comes
	 * later sees them; empty at the end: it is not delivered. Return 0. */
	DK_FILTER(struct dk_dm_message) rewriting;
	DK_FILTER(struct dk_dm_parting) parting; /* SetOnUserDisconnect; return 0 */
	DK_SIGNAL(struct dk_dm_cleared) cleared; /* SetOnClearCache */

	/* SendMessageByUserID. from: a user of this node, or 0. ver 1 cmd 701 makes it what clients send each other, {message, uid}
	 * in puffer form; anything else travels as it is. how: enum dk_how. Returns 0: it was delivered, done is not called;
	 * DK_LATER: done runs on self, in a later callback; or why not. done may be NULL. All is copied. */
	int (*send)(struct dk_dm *dm, void *self, dk_id from, dk_str to, uint8_t ver, uint16_t cmd, dk_slice message, unsigned how,
		    dk_dm_done_fn *done, void *arg);
	/* Finds a user and puts both on each other's list. Returns and ends as send(). */
	int (*connect)(struct dk_dm *dm, void *self, dk_id from, dk_str to, dk_dm_done_fn *done, void *arg);
	/* ClearCacheByUserID: takes both off each other's list. message: pushed to the other one, unless empty; ver 1 cmd 700 as in
	 * send(). Returns and ends as send(). */
	int (*disconnect)(struct dk_dm *dm, void *self, dk_id from, dk_str to, uint8_t ver, uint16_t cmd, dk_slice message,
			  dk_dm_done_fn *done, void *arg);
	/* Users on the list of a user, oldest first: start with *i = 0; false at the end. Borrowed until the next turn. */
	bool (*peer)(struct dk_dm *dm, dk_id user, size_t *i, dk_str *ret_uid);
};

#ifdef __cplusplus
}
#endif

#endif
