/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin room: members of one node who hear each other. This file has the phases and the descriptor; room_service.c says what
 * a room is. It does no field of view, no history and no game.
 */
#include "room_data.h"
#include "room_state.h"

static const struct dk_command room_commands[] = {
	ROOM_COMMANDS(DK_CMD_ROW, DK_RAW_ROW) ROOM_DATA_COMMANDS(DK_CMD_ROW, DK_RAW_ROW)
		ROOM_NODE_COMMANDS(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL },
};

/* ---- phases ---- */

static void configure(const void *conf, struct dk_report *rep)
{
	room_record_configure(conf, rep);
}

static int init(void *self)
{
	struct rooms *s = self;
	int rc;

	room_store_init(&s->store, s, (uint32_t)room_conf(s)->max_rooms);
	room_relay_init(s);
	room_alias_init(&s->aliases, s);
	room_service_init(s);
	room_look_init(s);
	room_keep_init(s);
	room_remote_init(s);
	room_send_init(s);
	room_props_init(s);
	room_clock_init(s);
	room_carry_init(s);
	room_play_init(s);
	rc = room_record_init(s);
	if (rc == 0)
		rc = room_sync_init(s);
	if (rc == 0)
		rc = room_objects_init(s);
	if (rc == 0)
		rc = room_chat_init(s);
	if (rc == 0)
		rc = dk_connect(s, &s->user->discarded, room_on_user_discarded);
	if (rc == 0)
		rc = dk_connect(s, &s->user->connected, room_on_user_connected);
	if (rc == 0)
		rc = dk_connect(s, &s->user->arrived, room_on_user_arrived);
	if (rc == 0)
		rc = dk_filter_add(s, &s->user->keeping, room_on_keeping);
	if (rc == 0 && s->carrier && s->cluster)
		rc = dk_connect(s, &s->cluster->changed, room_on_cluster_changed);
	if (rc == 0)
		rc = room_support_init(s);
	if (rc == 0)
		rc = room_http_init(s);
	return rc;
}

static void reload(void *self, const void *old)
{
	(void)old;
	room_support_reload(self);
	room_record_reload(self);
}

static void offline(void *self)
{
	room_drain_offline(self);
}

static void drain(void *self, struct dk_step *step)
{
	room_drain(self, step);
}

/* What was said still leaves; nobody is left to hear that the rooms end. */
static void stop(void *self, struct dk_step *step)
{
	struct rooms *s = self;
	uint32_t slot = 0;
	struct room *r;
	dk_id room;

	room_record_fini(s);
	while ((r = dk_table_next(&s->store.table, &slot, &room))) {
		room_relay_flush(s, r);
		room_sync_flush(s, r);
	}
	dk_step_done(step, 0);
}

static void fini(void *self)
{
	struct rooms *s = self;
	uint32_t slot = 0;
	struct room *r;
	dk_id room;

	s->listings.stopped = true;
	room_record_fini(s);
	room_play_fini(s);
	while ((r = dk_table_next(&s->store.table, &slot, &room)))
		room_strip(s, r);
	room_client_fini(s);
	room_support_fini(s);
	room_http_fini(s);
	room_land_fini(s);
	room_errand_fini(s);
	room_after_fini(s);
	room_backup_fini(s);
	room_remote_fini(s);
	room_arrive_fini(s);
	room_store_fini(&s->store);
	room_relay_fini(s);
	room_sync_fini(s);
	room_chat_fini(s);
	room_alias_fini(&s->aliases);
	dk_free(s, s->image, s->image_n);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct rooms, svc, DK_ROOM),
					      DK_PROVIDE(struct rooms, playing, DK_ROOM_PLAY),
					      { 0 } };
static const struct dk_need needs[] = { DK_NEED(struct rooms, user, DK_USER),
					DK_WANT(struct rooms, carrier, DK_CARRIER),
					DK_WANT(struct rooms, cluster, DK_CLUSTER),
					DK_WANT(struct rooms, http, DK_HTTP),
					{ 0 } };
static const struct dk_option options[] = {
	DK_BOOL(struct room_conf, expose_commands, "expose_commands", "true",
		"clients may use the room commands, create, join, leave and broadcast as 100 to 103", .flags = DK_RELOADABLE),
	DK_BOOL(struct room_conf, expose_puffer, "expose_puffer_commands", "false",
		"clients may use the room commands, create, join, leave and broadcast as 1100 to 1103, in puffer form",
		.flags = DK_RELOADABLE),
	DK_BOOL(struct room_conf, compat_interval, "compat_interval", "false",
		"intervals below 100 ms count as 0, as in the reference", .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, max_rooms, "max_rooms", "0", 0, UINT32_MAX - 1, "rooms at most; 0 = as memory allows"),
	DK_INT(struct room_conf, replicas, "replicas", "0", 0, ROOM_BACKUPS_MAX,
	       "copies of each room on other nodes, for the case that this one dies; whoever makes a room may want more",
	       .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, copy_bytes, "max_copy_bytes", "268435456", 0, INT64_MAX,
	       "what copies of other nodes' rooms may take here", .unit = "bytes", .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, max_states, "max_states", "1024", 1, DK_ROOM_STATES_MAX, "states of a room",
	       .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, state_interval_ms, "state_interval_ms", "0", 0, 10000,
	       "rooms keep states for their clients from the beginning, told in windows of this, 17 at least; 0 = those where code "
	       "says so",
	       .unit = "ms", .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, max_message, "max_message_bytes", "65536", 1, 1048576, "longest message that is relayed",
	       .unit = "bytes", .flags = DK_RELOADABLE),
	DK_BOOL(struct room_conf, record, "record", "false", "what happens to rooms is written to files, for diarkis-replay"),
	DK_STR(struct room_conf, record_dir, "record_dir", NULL, "the folder for them"),
	DK_INT(struct room_conf, record_bytes, "record_bytes", "4194304", 1048576, 1 << 30,
	       "size of such a file; there are two of a room", .unit = "bytes"),
	DK_INT(struct room_conf, record_max, "record_max_bytes", "1073741824", 1048576, INT64_MAX,
	       "all of them together, those that were left there before included", .unit = "bytes"),
	DK_INT(struct room_conf, record_rooms, "record_rooms", "64", 1, 10000, "rooms that are recorded at a time"),
	DK_BOOL(struct room_conf, record_keep, "record_keep", "false", "files of rooms that ended well are kept too"),
	DK_BOOL(struct room_conf, http_create, "http_create", "false",
		"POST /room/create/TYPE/MAX_MEMBERS/TTL/INTERVAL makes rooms; it asks nobody who they are"),
	DK_BOOL(struct room_conf, support, "support", "false",
		"this node knows which rooms can be found, for its cluster (DefineRoomSupport)", .flags = DK_RELOADABLE),
	DK_STR(struct room_conf, support_type, "support_node_type", "HTTP",
	       "the nodes that may; where none does, each node knows its own rooms", .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, support_rooms, "support_max_rooms", "100000", 1, UINT32_MAX - 1,
	       "rooms that can be found, at most", .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, support_bytes, "support_max_bytes", "67108864", 0, INT64_MAX,
	       "what their names and metadata may take", .unit = "bytes", .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, max_chat, "max_chat_bytes", "1024", 1, 8192, "longest text of chat", .unit = "bytes",
	       .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, chat_history, "chat_history", "50", 0, DK_ROOM_CHAT_LINES_MAX,
	       "how many texts of chat a room remembers, unless code says otherwise of one", .flags = DK_RELOADABLE),
	DK_INT(struct room_conf, chat_rate, "chat_rate", "10", 0, 1000,
	       "texts of chat that a member may say in a second; 0 = as many as it likes", .flags = DK_RELOADABLE),
	{ 0 },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct rooms, rooms, "rooms on this node"),
	DK_GAUGE(struct rooms, members, "members of all rooms"),
	DK_COUNTER(struct rooms, created, "rooms created"),
	DK_COUNTER(struct rooms, refused, "rooms not created: going offline, a limit, wrong parameters"),
	DK_COUNTER(struct rooms, discarded, "rooms discarded"),
	DK_COUNTER(struct rooms, joined, "members that joined, creators included"),
	DK_COUNTER(struct rooms, left, "members that left, for whatever reason"),
	DK_COUNTER(struct rooms, cut_off, "members that left because their user was discarded"),
	DK_COUNTER(struct rooms, vetoed, "joins that a filter refused"),
	DK_COUNTER(struct rooms, full, "joins refused for want of a free seat"),
	DK_COUNTER(struct rooms, sent_to_join, "users sent to another node, where the room is that they join"),
	DK_COUNTER(struct rooms, came_to_join, "users who came from another node to join"),
	DK_COUNTER(struct rooms, holds_lapsed, "seats kept for users of another node who did not come in time"),
	DK_COUNTER(struct rooms, migrated_out, "rooms that moved to another node"),
	DK_COUNTER(struct rooms, migrated_in, "rooms that came from another node"),
	DK_HISTOGRAM(struct rooms, frozen, "for how long rooms were frozen, in seconds; one for each try to move them"),
	DK_COUNTER(struct rooms, thawed, "tries to move a room that came to nothing"),
	DK_COUNTER(struct rooms, stranded, "members that could not be handed over with their room"),
	DK_COUNTER(struct rooms, landings_refused, "rooms of other nodes that were refused here"),
	DK_COUNTER(struct rooms, landings_lapsed, "rooms of other nodes that were made here, and never finished"),
	DK_GAUGE(struct rooms, copies, "copies of other nodes' rooms that are kept here"),
	DK_GAUGE(struct rooms, copy_bytes, "bytes of them"),
	DK_COUNTER(struct rooms, copies_sent, "states of rooms sent to other nodes"),
	DK_COUNTER(struct rooms, copies_failed, "those that a node did not answer, or did not take"),
	DK_COUNTER(struct rooms, copies_lapsed, "copies dropped here because nobody renewed them or took them over"),
	DK_COUNTER(struct rooms, stale_refused, "copies and claims of other nodes refused because their epoch has passed"),
	DK_COUNTER(struct rooms, taken_over, "rooms of dead nodes that this node owns now"),
	DK_COUNTER(struct rooms, superseded, "rooms of this node that another one had taken over"),
	DK_COUNTER(struct rooms, members_lost, "members of rooms taken over who could not be made"),
	DK_GAUGE(struct rooms, recordings, "rooms that are recorded"),
	DK_COUNTER(struct rooms, record_rounds, "recordings that were full and began anew"),
	DK_COUNTER(struct rooms, record_skipped, "rooms that are not recorded because there are record_rooms already"),
	DK_COUNTER(struct rooms, record_full, "rooms that are not recorded because record_dir holds record_max_bytes already"),
	DK_GAUGE(struct rooms, record_bytes, "bytes of the files in record_dir"),
	DK_COUNTER(struct rooms, record_failed, "recordings that came to nothing; the log says why"),
	DK_COUNTER(struct rooms, http_created, "rooms asked for over HTTP here, and made here or on another node"),
	DK_COUNTER(struct rooms, http_refused, "such requests that came to nothing"),
	DK_COUNTER(struct rooms, random_created, "rooms made by random joins, or for them"),
	DK_COUNTER(struct rooms, random_joined, "random joins that found a room, counted where it is"),
	DK_COUNTER(struct rooms, random_again, "rooms that a random join was sent to and could not join"),
	DK_COUNTER(struct rooms, registered, "rooms registered under a type"),
	DK_GAUGE(struct rooms, listed, "places in this node's directory"),
	DK_COUNTER(struct rooms, list_refused, "rooms that this node's directory had no space for"),
	DK_COUNTER(struct rooms, messages, "messages to all or some members"),
	DK_COUNTER(struct rooms, relays, "relays: messages to others alone, that wait for nothing"),
	DK_COUNTER(struct rooms, chats, "texts of chat said"),
	DK_COUNTER(struct rooms, chat_refused, "texts refused: too long, too many in a second, a filter"),
	DK_COUNTER(struct rooms, clock_ticks, "times that a clock of a room ran"),
	DK_COUNTER(struct rooms, bytes, "bytes of messages and relays"),
	DK_COUNTER(struct rooms, states_set, "states set"),
	DK_COUNTER(struct rooms, states_sent, "states handed to members' connections"),
	DK_COUNTER(struct rooms, states_refused, "states not set: too long, too many, no number, none kept in that room"),
	DK_COUNTER(struct rooms, states_lapsed, "states that were not set again in time"),
	DK_COUNTER(struct rooms, state_ticks, "windows of states that ended with something to send"),
	DK_COUNTER(struct rooms, objects_updated, "updates of objects"),
	DK_COUNTER(struct rooms, objects_refused, "those refused: a limit, a name, a number, nothing to delete"),
	DK_COUNTER(struct rooms, props_refused, "changes of properties refused: a limit, a name, no whole number"),
	DK_COUNTER(struct rooms, ticks, "intervals that ended with something to send"),
	DK_COUNTER(struct rooms, pushes, "pushes handed to members' connections; with an interval, lists of messages"),
	DK_COUNTER(struct rooms, lost, "pushes that a member's connection did not take"),
	DK_COUNTER(struct rooms, early, "intervals cut short because the room had gathered too much"),
	{ 0 },
};
static const struct dk_ops ops = { .configure = configure,
				   .init = init,
				   .reload = reload,
				   .offline = offline,
				   .drain = drain,
				   .stop = stop,
				   .fini = fini };

DK_PLUGIN(room) = {
	DK_PLUGIN_HEAD("room", "1.0.0", "rooms: users of one node who hear each other"),
	.self_size = sizeof(struct rooms),
	.conf_size = sizeof(struct room_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = room_commands,
	.counters = counters,
	.ops = &ops,
};
