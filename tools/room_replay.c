/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of a recording are blank users here, made when they join. Each record is done by the service of the room, at its
 * time; what the recording says came of it must come of it again.
 */
#include "room_replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <diarkis/test.h>

#include "plugins/room/room_log.h"

enum { LATE_MS = 50 /* for a time to live to end */ };

struct run {
	struct dk_harness *h;
	struct dk_env *world;
	struct dk_user *users;
	struct dk_room *rooms;
	dk_id room;
	uint64_t begun_ms;
	struct room_replay *result;
};

static const char *const inputs[] = {
	[ROOM_LOG_CREATE] = "the room is made",
	[ROOM_LOG_JOIN] = "a user joins",
	[ROOM_LOG_LEAVE] = "a member leaves",
	[ROOM_LOG_SET] = "a property is set",
	[ROOM_LOG_UNSET] = "a property is unset",
	[ROOM_LOG_RESERVE] = "seats are reserved",
	[ROOM_LOG_CANCEL] = "reservations are cancelled",
	[ROOM_LOG_TTL] = "a time to live",
	[ROOM_LOG_SAY] = "a message",
	[ROOM_LOG_END] = "the room ends",
	[ROOM_LOG_CHECK] = "a check of the state",
};

static int wrong(struct run *run, const char *fmt, ...) DK_PRINTF(2, 3);
static int wrong(struct run *run, const char *fmt, ...)
{
	size_t n;

	run->result->record = run->result->records + 1;
	n = (size_t)snprintf(run->result->why, sizeof(run->result->why), "record %u: ", run->result->record);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run->result->why + n, sizeof(run->result->why) - n, fmt, ap);
	va_end(ap);
	return 1;
}

static dk_id user(struct run *run, dk_str uid)
{
	dk_id id = run->users->by_uid(run->users, uid);

	return id || run->users->create_blank(run->users, uid, &id) == 0 ? id : 0;
}

/* ---- one record ---- */

static int create(struct run *run, const struct room_log_event *e)
{
	struct dk_room_opts o = e->opts;
	dk_id by = e->uid.n ? user(run, e->uid) : 0;
	int rc;

	o.join = !o.allow_empty;
	rc = run->rooms->create(run->rooms, by, &o, &run->room);
	return rc ? wrong(run, "the room cannot be created: outcome %d", rc) : 0;
}

static int join(struct run *run, const struct room_log_event *e)
{
	dk_id id = user(run, e->uid);
	int rc;

	if (id && run->rooms->is_member(run->rooms, run->room, id) && run->result->records == 1)
		return 0; /* a creator who has to join */
	rc = id ? run->rooms->join(run->rooms, run->room, id, 1, 101, dk_slice_n(NULL, 0)) : -ENOMEM;
	return rc ? wrong(run, DK_STR_FMT " joined, and is refused here: outcome %d", DK_STR_ARG(e->uid), rc) : 0;
}

/* Who was cut off is cut off; who left, left. */
static int leave(struct run *run, const struct room_log_event *e)
{
	dk_id id = run->users->by_uid(run->users, e->uid);

	if (!id || !run->rooms->is_member(run->rooms, run->room, id))
		return wrong(run, DK_STR_FMT " left, and is no member here", DK_STR_ARG(e->uid));
	if (e->reason == DK_REASON_CLIENT || e->reason == DK_REASON_SERVER || e->reason == DK_REASON_MOVED)
		run->rooms->leave(run->rooms, run->room, id, 1, 102, dk_slice_n(NULL, 0));
	else
		run->users->disconnect(run->users, id, (enum dk_reason)e->reason);
	return 0;
}

static int reserve(struct run *run, const struct room_log_event *e)
{
	static dk_str none[1];
	struct dk_list l = e->uids;
	dk_str uids[DK_ROOM_MEMBERS_MAX];
	size_t n = 0;
	int rc;

	while (dk_list_next(&l, &uids[n]))
		n++;
	if (e->kind == ROOM_LOG_RESERVE)
		rc = run->rooms->reserve(run->rooms, run->room, 0, n ? uids : none, n, false);
	else
		rc = run->rooms->cancel_reservation(run->rooms, run->room, 0, n ? uids : none, n, false);
	return rc ? wrong(run, "seats were %s, and are not here: outcome %d",
			  e->kind == ROOM_LOG_RESERVE ? "reserved" : "given back", rc)
		  : 0;
}

static int say(struct run *run, const struct room_log_event *e)
{
	dk_id by = e->uid.n ? run->users->by_uid(run->users, e->uid) : 0;
	int rc;

	if (e->uid.n)
		rc = run->rooms->broadcast(run->rooms, run->room, by, e->ver, e->cmd, e->message, true);
	else
		rc = run->rooms->announce(run->rooms, run->room, NULL, 0, e->ver, e->cmd, e->message, true);
	return rc ? wrong(run, "a message of %s" DK_STR_FMT " is refused here: outcome %d", e->uid.n ? "" : "the server",
			  DK_STR_ARG(e->uid), rc)
		  : 0;
}

static bool is_gone(struct run *run)
{
	struct dk_room_info info;

	return run->rooms->info(run->rooms, run->room, &info) != 0;
}

static int end(struct run *run, const struct room_log_event *e)
{
	if (e->expired) {
		for (unsigned i = 0; i < LATE_MS && !is_gone(run); i++)
			dk_sim_run(run->world, 1);
		return is_gone(run) ? 0 : wrong(run, "the room's time was over, and is not here");
	}
	if (!is_gone(run))
		run->rooms->remove(run->rooms, run->room, 1, 102, dk_slice_n(NULL, 0));
	return 0;
}

static int check(struct run *run, const struct room_log_event *e)
{
	struct dk_room_info info;
	uint64_t hash = 1;

	if (run->rooms->info(run->rooms, run->room, &info) == 0)
		hash = room_log_hash(run->rooms, run->users, run->room, info.reserved);
	if (hash != e->hash)
		return wrong(run, "the room's state is %016llx here and was %016llx", (unsigned long long)hash,
			     (unsigned long long)e->hash);
	run->result->checks++;
	return 0;
}

static int play(struct run *run, const struct room_log_event *e)
{
	int rc = 0;

	if (e->kind != ROOM_LOG_CREATE && e->kind != ROOM_LOG_END && is_gone(run))
		return wrong(run, "the room has ended here already");
	switch (e->kind) {
	case ROOM_LOG_CREATE:
		return create(run, e);
	case ROOM_LOG_JOIN:
		return join(run, e);
	case ROOM_LOG_LEAVE:
		return leave(run, e);
	case ROOM_LOG_SET:
		rc = run->rooms->set(run->rooms, run->room, e->name, &e->value);
		return rc ? wrong(run, "a property was set, and is not here: outcome %d", rc) : 0;
	case ROOM_LOG_UNSET:
		rc = run->rooms->unset(run->rooms, run->room, e->name);
		return rc ? wrong(run, "a property was unset, and is not here: outcome %d", rc) : 0;
	case ROOM_LOG_RESERVE:
	case ROOM_LOG_CANCEL:
		return reserve(run, e);
	case ROOM_LOG_TTL:
		return run->rooms->change_ttl(run->rooms, run->room, e->opts.ttl_s) ? wrong(run, "the time to live is refused here")
										    : 0;
	case ROOM_LOG_SAY:
		return say(run, e);
	case ROOM_LOG_END:
		return end(run, e);
	case ROOM_LOG_CHECK:
		return check(run, e);
	}
	return wrong(run, "of a kind that nobody knows");
}

/* ---- all of them ---- */

static int play_all(struct run *run, dk_slice recording)
{
	struct room_log_reader r;
	struct room_log_event e;
	const char *why = "";
	int rc = room_log_open(&r, recording, &why);

	while (rc == 0 && (rc = room_log_next(&r, &e, &why)) == 0) {
		uint64_t due = run->begun_ms + e.t_ms, now = dk_sim_now(run->world);

		if (due > now)
			dk_sim_run(run->world, due - now);
		rc = play(run, &e);
		if (rc)
			snprintf(run->result->input, sizeof(run->result->input), "%s", inputs[e.kind]);
		run->result->records += rc == 0;
		run->result->ms = e.t_ms;
	}
	if (rc == -EPROTO)
		snprintf(run->result->why, sizeof(run->result->why), "after %u records: %s", run->result->records, why);
	return rc == DK_NOT_FOUND ? 0 : rc;
}

/* Before anything is played: a file that was changed is refused as a whole. */
static int read_all(dk_slice recording, struct room_replay *result)
{
	struct room_log_reader r;
	struct room_log_event e;
	const char *why = "";
	int rc = room_log_open(&r, recording, &why);

	while (rc == 0)
		rc = room_log_next(&r, &e, &why);
	if (rc == DK_NOT_FOUND && r.n) {
		result->used = r.at;
		return 0;
	}
	snprintf(result->why, sizeof(result->why), "%s", rc == -EPROTO ? why : "there is nothing in it");
	return -EPROTO;
}

int room_replay(dk_slice recording, const char *const *plugin_dirs, struct room_replay *ret_replay)
{
	struct run run = { .result = ret_replay };
	dk_id id;
	uint32_t slot = 0;
	int rc;

	*ret_replay = (struct room_replay){ 0 };
	rc = read_all(recording, ret_replay);
	if (rc)
		return rc;
	run.h = dk_harness_open(&(const struct dk_harness_opts){
		.config = "plugins = { user = {}; room = { max_message_bytes = 1048576; }; };",
		.plugin_dirs = plugin_dirs,
		.seed = 1,
	});
	if (!run.h) {
		snprintf(ret_replay->why, sizeof(ret_replay->why),
			 "no node to play it on: the plugins user and room are not there");
		return 1;
	}
	run.world = dk_harness_world(run.h);
	run.users = dk_harness_service(run.h, DK_USER_NAME);
	run.rooms = dk_harness_service(run.h, DK_ROOM_NAME);
	run.begun_ms = dk_sim_now(run.world);
	rc = play_all(&run, recording);
	while ((id = run.users->next(run.users, &slot)))
		run.users->disconnect(run.users, id, DK_REASON_SERVER);
	dk_harness_free(run.h);
	return rc;
}
