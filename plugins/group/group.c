/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin group: members on any nodes who hear each other. This file has the phases and the descriptor; group_service.c says
 * what a group is, group_sync.c how the nodes agree on it.
 */
#include "group_state.h"

static const struct dk_command group_commands[] = {
	GROUP_COMMANDS(DK_CMD_ROW, DK_RAW_ROW) GROUP_NODE_COMMANDS(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL },
};

/* ---- phases ---- */

static void configure(const void *conf, struct dk_report *rep)
{
	const struct group_conf *c = conf;
	const struct group_static_conf *at = c->statics.at;

	for (size_t i = 0; i < c->statics.n; i++)
		for (size_t k = 0; k < i; k++)
			if (at[i].id && at[k].id && dk_str_eq(dk_str_c(at[i].id), dk_str_c(at[k].id)))
				dk_report(rep, "staticGroups", "the group %s is listed twice; each group has one line", at[i].id);
	if (c->max_groups && c->statics.n > (size_t)c->max_groups)
		dk_report(rep, "max_groups", "there are %zu static groups, more than the %lld groups that this node may have",
			  c->statics.n, (long long)c->max_groups);
}

static int init(void *self)
{
	struct groups *s = self;
	int rc;

	group_store_init(&s->store, s, (uint32_t)group_conf(s)->max_groups);
	group_relay_init(s);
	group_service_init(s);
	group_list_init(s);
	group_tick_init(s);
	rc = dk_connect(s, &s->user->discarded, group_on_user_discarded);
	if (rc == 0)
		rc = dk_connect(s, &s->user->arrived, group_on_user_arrived);
	if (rc == 0)
		rc = s->user->carry(s->user, s, &group_part);
	if (rc == 0 && s->carrier && s->cluster)
		rc = dk_connect(s, &s->cluster->changed, group_on_cluster_changed);
	if (rc == 0)
		rc = group_support_init(s);
	return rc;
}

static void reload(void *self, const void *old)
{
	(void)old;
	group_support_reload(self);
}

/* The carrier has its address by now: it stands in every view. */
static int start(void *self)
{
	return group_make_statics(self);
}

/* A node that ended sooner would take along what its former members have heard, and what still comes here for them. */
static uint64_t busy(void *self, const char **ret_what)
{
	const struct groups *s = self;

	*ret_what = "memberships that went";
	return s->departed_open;
}

/* What was said still leaves; nobody is left to hear that the copies end. */
static void stop(void *self, struct dk_step *step)
{
	struct groups *s = self;
	uint32_t slot = 0;
	struct group *g;
	dk_id group;

	while ((g = dk_table_next(&s->store.table, &slot, &group)))
		group_relay_flush(s, g);
	dk_step_done(step, 0);
}

static void fini(void *self)
{
	struct groups *s = self;
	uint32_t slot = 0;
	struct group *g;
	dk_id group;

	s->listed.stopped = true;
	while ((g = dk_table_next(&s->store.table, &slot, &group)))
		group_strip(s, g);
	group_support_fini(s);
	group_join_fini(s);
	group_sync_fini(s);
	group_depart_fini(s);
	group_list_fini(s);
	group_tick_fini(s);
	group_store_fini(&s->store);
	group_relay_fini(s);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct groups, svc, DK_GROUP), { 0 } };
static const struct dk_need needs[] = { DK_NEED(struct groups, user, DK_USER),
					DK_WANT(struct groups, carrier, DK_CARRIER),
					DK_WANT(struct groups, cluster, DK_CLUSTER),
					{ 0 } };
static const struct dk_option static_options[] = {
	DK_STR(struct group_static_conf, id, "groupID", NULL, "52 characters; the same on all nodes", .flags = DK_REQUIRED,
	       .min = DK_ID52_LEN, .max = DK_ID52_LEN),
	DK_INT(struct group_static_conf, interval_ms, "interval", "0", 0, 1000, "broadcasts of that long travel together",
	       .unit = "ms"),
	{ 0 },
};
static const struct dk_option options[] = {
	DK_BOOL(struct group_conf, expose_commands, "expose_commands", "true", "clients may use the group commands",
		.flags = DK_RELOADABLE),
	DK_BOOL(struct group_conf, compat_interval, "compat_interval", "false",
		"intervals below 100 ms count as 0, as in the reference", .flags = DK_RELOADABLE),
	DK_GROUPS(struct group_conf, statics, "staticGroups", struct group_static_conf, static_options,
		  "groups that are always there: ( { groupID = \"...\"; interval = 100; } )"),
	DK_INT(struct group_conf, max_groups, "max_groups", "0", 0, UINT32_MAX - 1,
	       "groups of which this node keeps a copy, at most; 0 = as memory allows"),
	DK_INT(struct group_conf, max_per_user, "max_groups_per_user", "1000", 0, UINT32_MAX - 1,
	       "groups that a user is in at most; 0 = any number", .flags = DK_RELOADABLE),
	DK_INT(struct group_conf, max_message, "max_message_bytes", "65000", 1, 65529, "longest message that is relayed",
	       .unit = "bytes", .flags = DK_RELOADABLE),
	DK_INT(struct group_conf, held_bytes, "held_bytes", "1048576", 65536, 1073741824,
	       "what each group keeps at most for members who change their node", .unit = "bytes", .flags = DK_RELOADABLE),
	DK_BOOL(struct group_conf, support, "support", "false",
		"this node knows the groups of random joins, for its cluster (DefineGroupSupport)", .flags = DK_RELOADABLE),
	DK_STR(struct group_conf, support_type, "support_node_type", "HTTP",
	       "the nodes that may; where none does, each node knows its own groups", .flags = DK_RELOADABLE),
	DK_INT(struct group_conf, support_groups, "support_max_groups", "100000", 1, UINT32_MAX - 1,
	       "groups that are known at most"),
	{ 0 },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct groups, groups, "groups of which this node has a copy"),
	DK_GAUGE(struct groups, members, "members on this node, of all groups"),
	DK_COUNTER(struct groups, created, "groups created here"),
	DK_COUNTER(struct groups, refused, "groups not created: going offline, a limit, wrong parameters"),
	DK_COUNTER(struct groups, discarded, "copies that ended"),
	DK_COUNTER(struct groups, joined, "members that joined, creators included"),
	DK_COUNTER(struct groups, left, "members that left this node, for whatever reason"),
	DK_COUNTER(struct groups, cut_off, "members that left because their user was discarded"),
	DK_COUNTER(struct groups, vetoed, "joins that a filter refused"),
	DK_COUNTER(struct groups, joins_failed, "joins that came to nothing, those included"),
	DK_COUNTER(struct groups, came, "memberships that came from another node"),
	DK_COUNTER(struct groups, went, "members that went to another node"),
	DK_COUNTER(struct groups, came_unsure,
		   "those that came while the former node did not say, or not in time, what they had heard"),
	DK_COUNTER(struct groups, late, "messages that such members got by way of their former node"),
	DK_COUNTER(struct groups, held_dropped, "times a group kept too much for members who change their node"),
	DK_COUNTER(struct groups, messages, "messages said on this node"),
	DK_COUNTER(struct groups, bytes, "bytes of them"),
	DK_COUNTER(struct groups, sent, "messages sent to other nodes"),
	DK_COUNTER(struct groups, heard, "messages of other nodes"),
	DK_COUNTER(struct groups, strays, "messages of other nodes for groups of which there is no copy here"),
	DK_COUNTER(struct groups, doubled, "messages of other nodes that had been here already"),
	DK_COUNTER(struct groups, ticks, "intervals that ended with something to send"),
	DK_COUNTER(struct groups, pushes, "pushes handed to members' connections; with an interval, lists of messages"),
	DK_COUNTER(struct groups, lost, "pushes that a member's connection did not take, and messages that a link did not"),
	DK_COUNTER(struct groups, early, "intervals cut short because the group had gathered too much"),
	DK_COUNTER(struct groups, syncs, "states sent to other nodes"),
	DK_COUNTER(struct groups, denied, "nodes told that this one takes no part in a group"),
	DK_COUNTER(struct groups, random_created, "groups made by random joins"),
	DK_COUNTER(struct groups, random_joined, "random joins that found a group"),
	DK_COUNTER(struct groups, malformed, "messages of other nodes that cannot be read"),
	{ 0 },
};
static const struct dk_ops ops = {
	.configure = configure, .init = init, .reload = reload, .start = start, .busy = busy, .stop = stop, .fini = fini
};

DK_PLUGIN(group) = {
	DK_PLUGIN_HEAD("group", "1.0.0", "groups: users of any nodes who hear each other"),
	.self_size = sizeof(struct groups),
	.conf_size = sizeof(struct group_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = group_commands,
	.counters = counters,
	.ops = &ops,
};
