/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin dm: messages from user to user by uid, anywhere in the cluster. This file has the service, the options and the phases;
 * diarkis/dm.h says what is promised. It keeps nothing for users who are nowhere.
 */
#include <errno.h>

#include "dm_state.h"

enum { TICK_MS = 1000 };

static const struct dk_command dm_commands[] = {
	DM_COMMANDS(DK_CMD_ROW, DK_RAW_ROW) DM_NODE_COMMANDS(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL },
};

/* ---- the service ---- */

static int post(struct dms *s, dk_id from, dk_str to, struct dm_order *o)
{
	o->sender = from;
	o->from = from ? s->user->uid(s->user, from) : dk_str_n(NULL, 0);
	return dm_post(s, to, o);
}

static int svc_send(struct dk_dm *svc, void *self, dk_id from, dk_str to, uint8_t ver, uint16_t cmd, dk_slice message, unsigned how,
		    dk_dm_done_fn *done, void *arg)
{
	struct dm_order o = { .kind = DM_MESSAGE,
			      .ver = ver,
			      .cmd = cmd,
			      .reliable = (how & DK_RELIABLE) != 0,
			      .message = message,
			      .self = self,
			      .arg = arg,
			      .done = done };

	return post(dms_of(svc), from, to, &o);
}

static int svc_connect(struct dk_dm *svc, void *self, dk_id from, dk_str to, dk_dm_done_fn *done, void *arg)
{
	struct dm_order o = { .kind = DM_FIND, .self = self, .arg = arg, .done = done };

	return post(dms_of(svc), from, to, &o);
}

static int svc_disconnect(struct dk_dm *svc, void *self, dk_id from, dk_str to, uint8_t ver, uint16_t cmd, dk_slice message,
			  dk_dm_done_fn *done, void *arg)
{
	struct dm_order o = { .kind = DM_PART,
			      .ver = ver,
			      .cmd = cmd,
			      .reliable = true,
			      .message = message,
			      .self = self,
			      .arg = arg,
			      .done = done };

	dm_peer_remove(dms_of(svc), from, to);
	return post(dms_of(svc), from, to, &o);
}

static bool svc_peer(struct dk_dm *svc, dk_id user, size_t *i, dk_str *ret_uid)
{
	const struct dm_member *m = dm_member(dms_of(svc), user);
	const struct dm_peer *p = m ? m->peers : NULL;

	for (size_t k = 0; p && k < *i; k++)
		p = p->next;
	if (!p)
		return false;
	++*i;
	*ret_uid = dk_str_n(p->uid, p->n);
	return true;
}

/* ---- looking after it ---- */

static void on_tick(void *self, struct dk_timer *t)
{
	(void)t;
	dm_way_sweep(self);
	dm_place_tick(self);
}

static void on_changed(struct dms *s, const struct dk_cluster_event *ev)
{
	switch (ev->change) {
	case DK_NODE_LEFT:
	case DK_NODE_DIED:
	case DK_NODE_REMOVED:
		dm_way_forget_node(s, &ev->node->addr);
		dm_place_hurry(s);
		break;
	default:
		break;
	}
}

/* ---- phases ---- */

static int init(void *self)
{
	struct dms *s = self;
	const struct dm_conf *c = dm_conf(s);
	int rc;

	s->svc.send = svc_send;
	s->svc.connect = svc_connect;
	s->svc.disconnect = svc_disconnect;
	s->svc.peer = svc_peer;
	rc = dm_way_init(s);
	if (rc == 0)
		rc = dm_post_init(s);
	if (rc == 0)
		rc = dm_member_init(s);
	if (rc == 0 && !dm_alone(s)) {
		rc = s->dive->create(s->dive, dk_str_c(DM_STORAGE), dk_str_c(*c->type ? c->type : NULL), (uint32_t)c->place_ttl_s);
		if (rc > 0) {
			dk_log(s, DK_ERROR, "the storage %s is there already; its name is reserved for this plugin", DM_STORAGE);
			return -EEXIST;
		}
	}
	if (rc == 0 && !dm_alone(s))
		rc = dk_connect(s, &s->cluster->changed, on_changed);
	return rc;
}

static int start(void *self)
{
	struct dms *s = self;

	dk_timer_start(s, &s->tick, TICK_MS, TICK_MS, on_tick);
	return 0;
}

static void fini(void *self)
{
	struct dms *s = self;

	dm_way_fini(s);
	dm_place_fini(s);
	dm_member_fini(s);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct dms, svc, DK_DM), { 0 } };
static const struct dk_need needs[] = { DK_NEED(struct dms, user, DK_USER),
					DK_WANT(struct dms, carrier, DK_CARRIER),
					DK_WANT(struct dms, cluster, DK_CLUSTER),
					DK_WANT(struct dms, dive, DK_DIVE),
					{ 0 } };
static const struct dk_option options[] = {
	DK_BOOL(struct dm_conf, expose_commands, "expose_commands", "true", "clients may send direct messages",
		.flags = DK_RELOADABLE),
	DK_BOOL(struct dm_conf, one_login, "one_login", "true",
		"a user that logs in on one node is disconnected from the node where it was", .flags = DK_RELOADABLE),
	DK_STR(struct dm_conf, type, "storageTargetNodeType", "HTTP",
	       "which nodes keep where users are: those with an endpoint of this type; empty: those like this node"),
	DK_INT(struct dm_conf, place_ttl_s, "place_ttl_s", "300", 10, 86400,
	       "for how long it is believed; renewed when two thirds of it are left at most", .unit = "s"),
	DK_INT(struct dm_conf, timeout_ms, "timeout_ms", "2000", 100, 60000, "what has not arrived after this has an error",
	       .unit = "ms", .flags = DK_RELOADABLE),
	DK_INT(struct dm_conf, max_message, "max_message_bytes", "16384", 1, DK_DM_MESSAGE_MAX, "longest message", .unit = "bytes",
	       .flags = DK_RELOADABLE),
	DK_INT(struct dm_conf, queue_bytes, "queue_bytes", "1048576", 1024, 1 << 30, "what may wait for one user on another node",
	       .unit = "bytes", .flags = DK_RELOADABLE),
	DK_INT(struct dm_conf, max_cached, "max_cached", "100000", 16, 100000000,
	       "users elsewhere of whom this node remembers where", .flags = DK_RELOADABLE),
	DK_INT(struct dm_conf, cache_s, "cache_s", "600", 1, 86400, "for how long, when nobody speaks to them", .unit = "s",
	       .flags = DK_RELOADABLE),
	DK_INT(struct dm_conf, max_peers, "max_peers", "64", 1, 65535,
	       "users on the list of one user; beyond it the oldest is dropped", .flags = DK_RELOADABLE),
	DK_INT(struct dm_conf, ring_size, "storageRingSize", "300", 1, 1000000, "accepted, and without effect"),
	DK_BOOL(struct dm_conf, migration, "storageMigration", "true", "accepted, and without effect: places are told anew"),
	DK_INT(struct dm_conf, batch, "storageMigrationBatchSize", "10", 1, 1000000, "accepted, and without effect"),
	DK_INT(struct dm_conf, interval, "storageMigrationInterval", "1", 1, 86400000, "accepted, and without effect",
	       .unit = "ms"),
	{ .name = NULL },
};
static const struct dk_counter counters[] = {
	DK_COUNTER(struct dms, sent, "messages that somebody of this node wants to send, last ones and searches included"),
	DK_COUNTER(struct dms, delivered, "those that arrived"),
	DK_COUNTER(struct dms, received, "messages handed to users of this node, wherever they come from"),
	DK_COUNTER(struct dms, asked, "requests to the nodes of receivers; several messages share one"),
	DK_COUNTER(struct dms, looked_up, "looks into the storage for where a user is"),
	DK_COUNTER(struct dms, repaired, "times a user was not where this node thought it was"),
	DK_COUNTER(struct dms, retried, "times messages waited for a user between two nodes"),
	DK_COUNTER(struct dms, not_found, "messages to users who are nowhere"),
	DK_COUNTER(struct dms, vetoed, "messages that a filter of the receiver's node stopped"),
	DK_COUNTER(struct dms, full, "messages refused because too much waits, here or at the receiver's connection"),
	DK_COUNTER(struct dms, too_long, "messages refused for their length"),
	DK_COUNTER(struct dms, maybe, "messages of which it is not known whether they arrived"),
	DK_COUNTER(struct dms, no_storage, "messages that failed because no node could say in time where the user is"),
	DK_COUNTER(struct dms, refused, "messages refused for other reasons: empty, no such id possible, no memory"),
	DK_COUNTER(struct dms, malformed, "messages of other nodes that cannot be read"),
	DK_COUNTER(struct dms, replaced, "users disconnected because they logged in again, here or elsewhere"),
	DK_COUNTER(struct dms, placed, "users whose place was written into the storage"),
	DK_COUNTER(struct dms, place_failed, "times that failed; it is tried again"),
	DK_COUNTER(struct dms, forgotten, "users elsewhere forgotten, for want of use or of room"),
	DK_GAUGE(struct dms, cached, "users elsewhere of whom something is remembered"),
	DK_GAUGE(struct dms, waiting, "messages that wait or are on their way"),
	DK_GAUGE(struct dms, waiting_bytes, "bytes of them"),
	{ .name = NULL },
};
static const struct dk_ops ops = { .init = init, .start = start, .fini = fini };

DK_PLUGIN(dm) = {
	DK_PLUGIN_HEAD("dm", "1.0.0", "direct messages: from user to user, wherever they are"),
	.self_size = sizeof(struct dms),
	.conf_size = sizeof(struct dm_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = dm_commands,
	.counters = counters,
	.ops = &ops,
};
