/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin room does the inputs (its service room.play); this file brings them at their time and compares what comes of them. The
 * node is paused while time passes, so nothing in it happens by itself.
 */
#include "room_replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <diarkis/test.h>

#include "plugins/room/room_play.h"

struct run {
	struct dk_harness *h;
	struct dk_env *world;
	struct dk_user *users;
	struct dk_room_play *play;
	uint64_t begun_ms;
	uint64_t parts[ROOM_PART_COUNT]; /* as they were then */
	struct room_replay *result;
};

static int wrong(struct run *run, const struct room_log_event *e, const char *fmt, ...) DK_PRINTF(3, 4);
static int wrong(struct run *run, const struct room_log_event *e, const char *fmt, ...)
{
	struct room_replay *result = run->result;
	int n = snprintf(result->input, sizeof(result->input), "%s", room_log_what(e->kind));
	va_list ap;

	if (e->uid.n && n > 0 && (size_t)n < sizeof(result->input))
		snprintf(result->input + n, sizeof(result->input) - (size_t)n, " (" DK_STR_FMT ")", DK_STR_ARG(e->uid));
	result->record = result->records + 1;
	n = snprintf(result->why, sizeof(result->why), "record %u, after %llu ms, %s: ", result->record,
		     (unsigned long long)e->t_ms, result->input);
	va_start(ap, fmt);
	vsnprintf(result->why + n, sizeof(result->why) - (size_t)n, fmt, ap);
	va_end(ap);
	return 1;
}

/* ---- outcomes ---- */

static const char *outcome_text(int rc, char *buf, size_t cap)
{
	static const char *const own[] = { [DK_ROOM_GONE - DK_OUTCOME_OWN] = "the room is gone",
					   [DK_ROOM_IS_FULL - DK_OUTCOME_OWN] = "the room is full",
					   [DK_ROOM_IN_ANOTHER - DK_OUTCOME_OWN] = "the user is in another room",
					   [DK_ROOM_NOT_MEMBER - DK_OUTCOME_OWN] = "the user is no member",
					   [DK_ROOM_NOT_OWNER - DK_OUTCOME_OWN] = "the user is not the owner",
					   [DK_ROOM_VETOED - DK_OUTCOME_OWN] = "a filter says no",
					   [DK_ROOM_BAD_PARAMS - DK_OUTCOME_OWN] = "a parameter is wrong",
					   [DK_ROOM_NO_RESERVATION - DK_OUTCOME_OWN] = "nothing is reserved",
					   [DK_ROOM_MOVING - DK_OUTCOME_OWN] = "the room is on its way to another node",
					   [DK_ROOM_NO_NODE - DK_OUTCOME_OWN] = "no node takes it",
					   [DK_ROOM_NO_STATES - DK_OUTCOME_OWN] = "the room keeps no states",
					   [DK_ROOM_TOO_FAST - DK_OUTCOME_OWN] = "the user says too much" };

	if (rc == 0)
		return "it is done";
	if (rc >= DK_OUTCOME_OWN && (size_t)(rc - DK_OUTCOME_OWN) < DK_ARRAY_LEN(own) && own[rc - DK_OUTCOME_OWN])
		return own[rc - DK_OUTCOME_OWN];
	snprintf(buf, cap, "%s", rc < 0 ? dk_err_text(rc) : rc == DK_FULL ? "there is no space" : "it is refused");
	return buf;
}

static int other_outcome(struct run *run, const struct room_log_event *e, int rc)
{
	char here[128], then[128];

	switch (rc) {
	case ROOM_PLAY_OVER:
		return wrong(run, e, "the room has ended here already");
	case ROOM_PLAY_LIVES:
		return wrong(run, e, "the room had ended, and lives here");
	case ROOM_PLAY_NO_TIMER:
		return wrong(run, e, "the timer ran, and is not armed here");
	case ROOM_PLAY_EARLY:
		return wrong(run, e, "the timer ran, and is armed for later here");
	case ROOM_PLAY_NONSENSE:
		return wrong(run, e, "that cannot be done to this room");
	default:
		return wrong(run, e, "the outcome is %d here, %s, and was %d, %s", rc, outcome_text(rc, here, sizeof(here)),
			     e->outcome, outcome_text(e->outcome, then, sizeof(then)));
	}
}

/* ---- one record ---- */

static int check(struct run *run, const struct room_log_event *e)
{
	struct room_replay *result = run->result;
	uint64_t here[ROOM_PART_COUNT];
	const uint64_t *then = run->parts;
	size_t n = 0;
	int rc = run->play->parts(run->play, here);

	if (rc)
		return other_outcome(run, e, rc);
	for (unsigned i = 0; i < ROOM_PART_COUNT; i++) {
		if (e->mask & 1u << i)
			run->parts[i] = e->parts[i];
		if (here[i] != then[i] && n < sizeof(result->part))
			n += (size_t)snprintf(result->part + n, sizeof(result->part) - n, "%s%s", n ? "; " : "",
					      room_log_part_name(i));
	}
	if (n)
		return wrong(run, e, "not as it was then: %s", result->part);
	result->checks++;
	return 0;
}

static int play(struct run *run, const struct room_log_event *e)
{
	int rc;

	if (e->kind == ROOM_LOG_CHECK)
		return check(run, e);
	rc = run->play->apply(run->play, e);
	return rc == e->outcome ? 0 : other_outcome(run, e, rc);
}

/* ---- all of them ---- */

/* Time passes the node by. */
static void go_to(struct run *run, uint64_t t_ms)
{
	uint64_t due = run->begun_ms + t_ms, now = dk_sim_now(run->world);

	if (due <= now)
		return;
	dk_harness_pause(run->h, true);
	dk_sim_run(run->world, due - now);
	dk_harness_pause(run->h, false);
}

static int play_all(struct run *run, dk_slice recording)
{
	struct room_log_reader r;
	struct room_log_event e;
	const char *why = "";
	int rc = room_log_open(&r, recording, &why);

	if (rc == 0 && run->play->begin(run->play, &r.head)) {
		snprintf(run->result->why, sizeof(run->result->why), "the node that is to play it records rooms, or has no memory");
		return 1;
	}
	while (rc == 0 && (rc = room_log_next(&r, &e, &why)) == 0) {
		go_to(run, e.t_ms);
		rc = play(run, &e);
		run->result->records += rc == 0;
		run->result->ms = e.t_ms;
	}
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
	if (rc == DK_NOT_FOUND && r.n > 1) {
		result->used = r.at;
		result->torn = r.torn;
		return 0;
	}
	snprintf(result->why, sizeof(result->why), "%s", rc == -EPROTO ? why : "there is nothing in it");
	return -EPROTO;
}

int room_replay(dk_slice recording, const char *const *plugin_dirs, struct room_replay *ret_replay)
{
	struct run run = { .result = ret_replay };
	struct dk_room *rooms;
	dk_id id;
	uint32_t slot = 0;
	int rc;

	*ret_replay = (struct room_replay){ 0 };
	rc = read_all(recording, ret_replay);
	if (rc)
		return rc;
	run.h = dk_harness_open(&(const struct dk_harness_opts){
		.config = "plugins = { user = {}; room = {}; };",
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
	run.play = dk_harness_service(run.h, DK_ROOM_PLAY_NAME);
	run.begun_ms = dk_sim_now(run.world);
	rc = play_all(&run, recording);
	rooms = dk_harness_service(run.h, DK_ROOM_NAME);
	if (run.play->room(run.play))
		rooms->remove(rooms, run.play->room(run.play), 1, 102, dk_slice_n(NULL, 0));
	while ((id = run.users->next(run.users, &slot)))
		run.users->disconnect(run.users, id, DK_REASON_SERVER);
	dk_harness_free(run.h);
	return rc;
}
