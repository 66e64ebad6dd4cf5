/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin notifier, shared by its files: notices.c (what there is to tell), notifier_tell.c (who has heard it),
 * notifier_share.c (other nodes), notifier.c (the service).
 */
#ifndef NOTIFIER_STATE_H
#define NOTIFIER_STATE_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/notifier_commands.h>
#include <diarkis/plugin.h>

#include "notices.h"

struct notifier_conf {
	int64_t max_notices, max_bytes, max_ids, remember_s, compare_ms;
};

/* Notices that a user has heard on another node. */
struct notifier_past {
	uint32_t n;
	struct {
		uint64_t mark, until_ms;
	} at[];
};

struct notifier_ear {
	dk_id user;
	uint64_t seq; /* has heard all up to this one */
	uint64_t asked; /* the filters let this one through, and there was no room for it yet */
	struct notifier_past *past; /* and these; NULL = none */
};

struct notifier_loop {
	struct notifier_loop *next, **link;
	struct dk_timer timer;
	struct notifiers *s;
	void *self, *arg;
	dk_notice_loader *load;
	uint8_t name_n;
	char name[];
};

struct notifiers {
	struct dk_self base;
	struct dk_notifier svc;
	struct dk_user *user;
	struct dk_carrier *carrier;
	struct dk_cluster *cluster; /* both, or this node alone */
	struct notices notices;
	struct notifier_ear *ears; /* by slot of the user */
	size_t ear_n;
	struct notifier_loop *loops;
	struct dk_timer tick, compare;
	dk_id comparing; /* a request under way */
	struct {
		uint64_t taken, known, full, deleted, ended;
		uint64_t noted, pushed, filtered, lost;
		uint64_t shared, compared, differed, malformed;
		int64_t live, remembered;
	} n;
};

static inline const struct notifier_conf *notifier_conf(const struct notifiers *s)
{
	return s->base.conf;
}

/* ---- notifier_tell.c ---- */

int notifier_tell_init(struct notifiers *s);
void notifier_tell_fini(struct notifiers *s);

/* ---- notifier_share.c ---- */

#define NOTIFIER_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                             \
	int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));                                                                      \
	DK_CMD_BODY_(fn, flags, in, out)
NOTIFIER_COMMANDS(NOTIFIER_DECL_, NOTIFIER_DECL_)

int notifier_share_init(struct notifiers *s);
void notifier_share_start(struct notifiers *s);
/* To all other nodes. */
void notifier_share(struct notifiers *s, const struct notice_record *r);

/* ---- notifier.c ---- */

/* What came is known here from now on. Returns as dk_notifier.notify. */
int notifier_take(struct notifiers *s, const struct dk_notice *n, bool local);
int notifier_delete(struct notifiers *s, dk_str id, uint64_t left_ms);

#endif
