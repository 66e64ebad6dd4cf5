/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin session: small groups of users who stay on their nodes. This file has the phases and the descriptor; diarkis/session.h
 * says what a session is, session_home.c what its home does, session_here.c what the nodes of its members do.
 */
#include "session_state.h"

static const struct dk_command session_commands[] = {
	SESSION_COMMANDS(DK_CMD_ROW, DK_RAW_ROW) SESSION_NODE_COMMANDS(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL },
};

/* ---- phases ---- */

static int init(void *self)
{
	struct sessions *s = self;
	int rc;

	session_store_init(&s->store, s, (uint32_t)session_conf(s)->max_sessions);
	session_seats_init(&s->seats, s);
	session_ask_init(s);
	dk_pool_init(s, &s->askers, sizeof(struct session_asker), 0, "askers about sessions");
	session_service_init(s);
	session_props_init(s);
	session_look_init(s);
	session_invite_init(s);
	rc = dk_connect(s, &s->user->discarded, session_on_user_discarded);
	if (rc == 0)
		rc = dk_connect(s, &s->user->connected, session_on_user_connected);
	return rc ? rc : session_carry_init(s);
}

static int start(void *self)
{
	session_roll_start(self);
	return 0;
}

static void offline(void *self)
{
	session_drain_offline(self);
}

static void drain(void *self, struct dk_step *step)
{
	session_drain(self, step);
}

/* What no other node took is lost, and whoever is in it hears so. */
static void stop(void *self, struct dk_step *step)
{
	struct sessions *s = self;
	struct session *ss;
	uint32_t slot = 0;
	dk_id id;

	while ((ss = dk_table_next(&s->store.table, &slot, &id)))
		session_end(s, ss, DK_SESSION_LOST);
	dk_step_done(step, 0);
}

static void fini(void *self)
{
	struct sessions *s = self;
	struct session *ss;
	uint32_t slot = 0;
	dk_id id;

	session_ask_fini(s);
	session_look_fini(s);
	session_invite_fini(s);
	session_roll_fini(s);
	session_drain_fini(s);
	while ((ss = dk_table_next(&s->store.table, &slot, &id)))
		session_free(s, ss);
	session_store_fini(&s->store);
	dk_pool_fini(&s->askers);
	session_seats_fini(&s->seats);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct sessions, svc, DK_SESSION), { 0 } };
static const struct dk_need needs[] = { DK_NEED(struct sessions, user, DK_USER),
					DK_WANT(struct sessions, carrier, DK_CARRIER),
					DK_WANT(struct sessions, cluster, DK_CLUSTER),
					{ 0 } };
static const struct dk_option options[] = {
	DK_BOOL(struct session_conf, expose_commands, "expose_commands", "true", "clients may use the session commands",
		.flags = DK_RELOADABLE),
	DK_INT(struct session_conf, max_sessions, "max_sessions", "0", 0, UINT32_MAX - 1,
	       "sessions whose home is this node, at most; 0 = as memory allows"),
	DK_INT(struct session_conf, max_members, "max_members", "65535", 2, 65535, "seats that a session may have at most",
	       .flags = DK_RELOADABLE),
	DK_INT(struct session_conf, max_message, "max_message_bytes", "16384", 1, 65000, "longest message that is relayed",
	       .unit = "bytes", .flags = DK_RELOADABLE),
	{ 0 },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct sessions, sessions, "sessions whose home is this node"),
	DK_GAUGE(struct sessions, members, "members of them, wherever they are"),
	DK_GAUGE(struct sessions, seats, "seats of users of this node, in sessions anywhere"),
	DK_COUNTER(struct sessions, created, "sessions created"),
	DK_COUNTER(struct sessions, refused, "sessions not created: going offline, a limit, wrong parameters"),
	DK_COUNTER(struct sessions, deleted, "sessions that ended"),
	DK_COUNTER(struct sessions, joined, "members that joined, creators included"),
	DK_COUNTER(struct sessions, left, "members that left, for whatever reason"),
	DK_COUNTER(struct sessions, cut_off, "members that left because their user was discarded"),
	DK_COUNTER(struct sessions, kicked, "members that were thrown out"),
	DK_COUNTER(struct sessions, lapsed, "members that left because their node did not know them, or was not heard of"),
	DK_COUNTER(struct sessions, vetoed, "joins that a filter refused"),
	DK_COUNTER(struct sessions, full, "joins refused for want of a free seat"),
	DK_COUNTER(struct sessions, invited, "users of this node who were told of an invitation"),
	DK_COUNTER(struct sessions, invites_failed, "users who were invited and not found"),
	DK_COUNTER(struct sessions, messages, "messages of members relayed by this node as a home"),
	DK_COUNTER(struct sessions, bytes, "bytes of them"),
	DK_COUNTER(struct sessions, pushes, "pushes handed to connections of users of this node"),
	DK_COUNTER(struct sessions, push_lost, "those that were not taken, or not even made"),
	DK_COUNTER(struct sessions, forwarded, "pushes sent after users who moved to another node"),
	DK_COUNTER(struct sessions, late_lost, "pushes for users who moved, of whom was never heard where to"),
	DK_COUNTER(struct sessions, asked_away, "questions to other nodes"),
	DK_COUNTER(struct sessions, retried, "times that a question had to wait: a session moved, or a node did not answer"),
	DK_COUNTER(struct sessions, failed, "questions that nobody answered in time"),
	DK_COUNTER(struct sessions, maybe, "those of which it is not known whether they were done"),
	DK_COUNTER(struct sessions, not_searched, "ids that nobody knew and that were not searched for, because too many were"),
	DK_COUNTER(struct sessions, malformed, "messages of other nodes that cannot be read"),
	DK_COUNTER(struct sessions, moved_out, "sessions handed over to another node"),
	DK_COUNTER(struct sessions, moved_in, "sessions that came from another node"),
	DK_COUNTER(struct sessions, moves_failed, "tries to hand one over that came to nothing"),
	DK_COUNTER(struct sessions, superseded, "sessions of this node that went on elsewhere, because it was taken for dead"),
	DK_COUNTER(struct sessions, seats_lost, "seats of users of this node in sessions that were lost with their node"),
	{ 0 },
};
static const struct dk_ops ops = { .init = init, .start = start, .offline = offline, .drain = drain, .stop = stop, .fini = fini };

DK_PLUGIN(session) = {
	DK_PLUGIN_HEAD("session", "1.0.0", "small groups of users who stay on their nodes"),
	.self_size = sizeof(struct sessions),
	.conf_size = sizeof(struct session_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = session_commands,
	.counters = counters,
	.ops = &ops,
};
