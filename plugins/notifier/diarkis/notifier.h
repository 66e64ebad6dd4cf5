/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "notifier": what the server has to tell everybody. A notice is told to each user of the cluster once, with its next sign
 * of life, and to users who come later as long as the notice lives. The plugin notifier provides it.
 *
 * A notice has an id, and there is one of that id: who gives it again, on whatever node, changes nothing. It rides on the answer
 * to the client's heartbeat, which over UDP may be lost; one that is to be told for sure, or is longer than such an answer holds,
 * is pushed reliably at the same moment.
 */
#ifndef DIARKIS_NOTIFIER_H
#define DIARKIS_NOTIFIER_H

#include <diarkis/plugin.h>
#include <diarkis/user.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_NOTIFIER_NAME "notifier"
#define DK_NOTIFIER_MAJOR 1
#define DK_NOTIFIER_MINOR 0
#define DK_NOTIFIER_TYPE struct dk_notifier

#define DK_NOTICE_ID_MAX 64 /* bytes, of ids and of names */
#define DK_NOTICE_NOTE_MAX 880 /* longest message that an answer to a heartbeat holds */
#define DK_NOTICE_MESSAGE_MAX 16384
#define DK_NOTICE_TTL_MAX (7u * 86400 * 1000)
#define DK_NOTICE_VER 0
#define DK_NOTICE_CMD 400 /* what raises OnNotification in clients of the reference */

enum dk_notifier_outcome {
	DK_NOTIFIER_BAD = DK_OUTCOME_OWN /* no id, no message, or no time to live that is possible */
};

struct dk_notice {
	dk_str id; /* 1 to DK_NOTICE_ID_MAX bytes */
	dk_str name; /* for filters; may be empty */
	uint8_t ver;
	uint16_t cmd;
	dk_slice message; /* 1 to DK_NOTICE_MESSAGE_MAX bytes */
	uint32_t ttl_ms; /* milliseconds, at most DK_NOTICE_TTL_MAX */
	bool reliable;
};

/* May this user hear it? Asked once for each user and notice, when it would be told. */
struct dk_notice_ask {
	dk_id user;
	const struct dk_notice *notice; /* ttl_ms: what is left of it */
};

/* Says what there is to tell now: 0 with *ret_notice, whose texts live until the next turn, or anything else: nothing. */
typedef int dk_notice_loader(void *self, void *arg, struct dk_notice *ret_notice);

struct dk_notifier {
	struct dk_service base;

	/* SetOnNotification: not 0 keeps it from that user, for good. */
	DK_FILTER(struct dk_notice_ask) telling;

	/* Notify. local: users of this node alone hear it. All is copied. Returns 0, DK_EXISTS (there is, or was not long ago,
	 * one of that id), DK_FULL (a limit of notices or of their bytes), DK_TOO_LONG, DK_NOTIFIER_BAD or -ENOMEM. */
	int (*notify)(struct dk_notifier *n, const struct dk_notice *notice, bool local);
	/* DeleteNotification, everywhere: who has not heard it does not hear it any more. Returns 0, DK_NOT_FOUND (not known
	 * here; it is deleted elsewhere all the same) or -ENOMEM. */
	int (*remove)(struct dk_notifier *n, dk_str id);
	/* NotificationService: asks load now and every interval_ms, and tells the users of this node what it says, under `name`
	 * where the notice has none. Every node has to do so. Ends when self stops. name is copied. Returns 0, DK_TOO_LONG
	 * (name), DK_NOTIFIER_BAD (interval 0) or -ENOMEM. */
	int (*serve)(struct dk_notifier *n, void *self, dk_str name, uint32_t interval_ms, dk_notice_loader *load, void *arg);
	/* How many notices live here. */
	size_t (*count)(struct dk_notifier *n);
};

#ifdef __cplusplus
}
#endif

#endif
