/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that follows its room, against scripted servers on a virtual clock: moves with frames under way, rooms that change their
 * id, nodes that are about to stop, nodes that died.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/client_room.h>

#include "world.h"

#define ROOM "1111111111111111aaaaaaaaaaaabbbbbbbbbbbbcccccccccccc"
#define ROOM2 "2222222222222222aaaaaaaaaaaabbbbbbbbbbbbcccccccccccc"
#define ROOM3 "3333333333333333aaaaaaaaaaaabbbbbbbbbbbbcccccccccccc"
#define START "dial:127.0.0.1:7100 connected "

static struct world *w;
static const char *backups[8]; /* what the script's servers answer to room.backups; NULL ends it */
static bool knows_backups;

static void set_up(void)
{
	w = malloc(sizeof(*w));
	backups[0] = NULL;
	knows_backups = true;
}

static void tear_down(void)
{
	world_fini(w);
	free(w);
}

static struct dk_id52 id_of(const char *text)
{
	struct dk_id52 id;

	ck_assert(dkc_room_id(dk_str_c(text), &id));
	return id;
}

/* ---- the script ---- */

static dk_slice backups_payload(const char *const *list, const char *room)
{
	static uint8_t buf[600];
	struct dk_writer out = dk_writer_on(buf, sizeof(buf));
	uint16_t n = 0;

	while (list[n])
		n++;
	dk_wr_u16(&out, n);
	for (uint16_t i = 0; i < n; i++)
		dk_wr_bytes16(&out, text(list[i]));
	dk_wr_bytes16(&out, text(room));
	return dk_written(&out);
}

static dk_slice joined_payload(const char *room)
{
	static uint8_t buf[60];
	struct dk_writer out = dk_writer_on(buf, sizeof(buf));

	dk_wr_u32(&out, 1764084948);
	dk_wr_slice(&out, text(room));
	return dk_written(&out);
}

/* A server with rooms, as far as its client can tell; what else it gets it writes down. */
/* Per entry: how far its sequence is from the first one's, how many sequences, how many frames. */
static void said_again(struct world *world, dk_slice list)
{
	struct dk_cursor c = dk_cursor_of(list);
	uint32_t first = UINT32_MAX;

	while (dk_rd_left(&c)) {
		uint32_t seq = dk_rd_u24(&c);
		unsigned n = dk_rd_u8(&c);

		first = first == UINT32_MAX ? seq : first;
		world_say(world, "%u+%u:%u ", (seq - first) & 0xffffff, n, dk_rd_u8(&c));
	}
	ck_assert(dk_rd_done(&c));
}

static void rooms(struct server *s, const struct dk_frame *f, bool reliable)
{
	dk_str payload = dk_str_of(f->payload);

	if (f->ver == 1 && (f->cmd == 100 || f->cmd == 101)) {
		server_send(s, 1, f->cmd, DK_STATUS_OK, joined_payload(ROOM), DK_RELIABLE);
	} else if (f->ver == 1 && f->cmd == 30) {
		char room[53];

		snprintf(room, sizeof(room), "%.52s", payload.p + 2);
		world_say(s->world, "%d:backups:%.4s ", (int)(s - s->world->server), room);
		if (knows_backups)
			server_send(s, 1, 30, DK_STATUS_OK, backups_payload(backups, room), DK_RELIABLE);
		else
			server_send(s, 1, 30, DK_STATUS_BAD, text("no such command"), DK_RELIABLE);
	} else if (f->ver == 0 && f->cmd == 7) {
		said_again(s->world, f->payload);
	} else {
		world_say(s->world, "%d:%s%u:%u:" DK_STR_FMT " ", (int)(s - s->world->server), reliable ? "r" : "u", f->ver, f->cmd,
			  DK_STR_ARG(payload));
	}
}

static void instruct(struct server *s, const char *address)
{
	uint8_t buf[300];
	size_t n = wire_reconnect_encode(dk_str_c(address), buf, sizeof(buf));

	server_send(s, 0, WIRE_CMD_RECONNECT, DK_STATUS_PUSH, dk_slice_n(buf, n), DK_RELIABLE);
}

static void on_joined(void *arg, struct dkc_client *c, const struct dkc_reply *reply)
{
	struct dk_id52 id;
	uint32_t created;

	(void)arg;
	(void)c;
	if (dkc_room_joined(reply, &id, &created))
		world_say(w, "in:%.4s ", id.c);
	else
		world_say(w, "refused ");
}

static void on_reply(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	(void)c;
	world_say(w, "%s:%u:" DK_STR_FMT " ", (const char *)arg, r->status, DK_STR_ARG(dk_str_of(r->payload)));
}

static void forget(void)
{
	w->log_n = 0;
	w->log[0] = '\0';
}

/* A connected client; all servers have rooms. */
static void connected(bool tcp, const struct wire_link_opts *link, const struct dkc_opts *opts)
{
	world_init(w, tcp, link, opts);
	world_second(w);
	world_third(w);
	for (int i = 0; i < WORLD_SERVERS; i++)
		w->server[i].frame = rooms;
	dkc_connect(w->client);
	ck_assert(world_until(w, "connected "));
}

/* The same, in a room. */
static void in_room(bool tcp, const struct wire_link_opts *link, const struct dkc_opts *opts, bool owner)
{
	struct dkc_room_opts ro = { .max_members = 4, .join = true, .ttl_s = 60 };
	struct dk_id52 room = id_of(ROOM);

	connected(tcp, link, opts);
	if (owner)
		dkc_room_create(w->client, &ro, on_joined, NULL);
	else
		dkc_room_join(w->client, &room, text(""), on_joined, NULL);
	ck_assert(world_until(w, "in:1111 "));
	ck_assert(world_until(w, "backups:1111 "));
	world_run(w, 300000);
	forget();
}

static struct dkc_stats stats(void)
{
	struct dkc_stats s;

	dkc_ctx_stats(w->ctx, &s);
	return s;
}

static void send_text(const char *what)
{
	ck_assert_int_eq(dkc_send(w->client, 2, 50, text(what), DK_RELIABLE), 0);
}

/* ---- moves ---- */

static void send_while_moving(struct world *world, const struct dkc_event *e)
{
	(void)world;
	if (e->kind == DKC_MOVING)
		send_text("m1");
	if (e->kind == DKC_CONNECTED && e->again)
		send_text("m2");
}

START_TEST(what_was_not_acknowledged_goes_first)
{
	uint64_t start;

	connected(false, NULL, NULL);
	world_run(w, 1000000);
	forget();
	w->event = send_while_moving;
	w->server[0].deaf = true;
	send_text("u1");
	world_run(w, 1000);
	send_text("u2");
	world_run(w, 1000);
	instruct(&w->server[0], "127.0.0.2:7101");
	ck_assert(world_until(w, "moving"));
	start = w->now;
	ck_assert(world_until(w, "dial"));
	ck_assert_msg(w->now - start > 2500000 && w->now - start <= 3001000, "%llu us", (unsigned long long)(w->now - start));
	ck_assert(world_until(w, "m2 "));
	ck_assert_str_eq(w->log, "moving:127.0.0.2:7101 dial:127.0.0.2:7101 again 0+1:1 1+1:1 "
				 "1:r2:50:u1 1:r2:50:u2 1:r2:50:m1 1:r2:50:m2 ");
	ck_assert_uint_eq(stats().sent_again, 2);
	ck_assert_uint_eq(stats().moves, 1);
}
END_TEST

/* A frame that the program gave a moment before the instruction came, and that has not left yet. */
START_TEST(what_was_not_sent_stays)
{
	connected(false, NULL, NULL);
	world_run(w, 1000000);
	forget();
	instruct(&w->server[0], "127.0.0.2:7101");
	world_run(w, 0);
	ck_assert_int_eq(w->flights, 1);
	world_run(w, w->flight[0]->at - w->now - 1);
	dkc_request(w->client, 2, 51, text("late"), on_reply, "late");
	w->now++;
	ck_assert(world_until(w, "late "));
	ck_assert_str_eq(w->log, "moving:127.0.0.2:7101 dial:127.0.0.2:7101 again 1:r2:51:late ");
	ck_assert_uint_eq(stats().sent_again, 0);
	server_send(&w->server[1], 2, 51, DK_STATUS_OK, text("yes"), DK_RELIABLE);
	ck_assert(world_until(w, "late:1:yes "));
}
END_TEST

START_TEST(a_long_frame_moves_as_one)
{
	static char big[9001];

	connected(false, NULL, NULL);
	world_run(w, 1000000);
	memset(big, 'x', sizeof(big) - 1);
	big[8999] = 'y';
	w->lose_up = 3; /* of its seven pieces, and of what repeats them */
	send_text(big);
	world_run(w, 1000);
	w->server[0].deaf = true;
	instruct(&w->server[0], "127.0.0.2:7101");
	ck_assert(world_until(w, "xy "));
	ck_assert_ptr_nonnull(strstr(w->log, "again 0+7:1 1:r2:50:xxx"));
	ck_assert_uint_eq(stats().sent_again, 1);
}
END_TEST

START_TEST(every_connection_begins_with_its_own_key)
{
	struct dkc_opts o;

	dkc_opts_default(&o);
	o.client_key = dk_str_c("demo-key");
	world_init(w, false, NULL, &o);
	world_second(w);
	w->server[0].frame = w->server[1].frame = rooms;
	w->server[0].accepts = true;
	dkc_connect(w->client);
	ck_assert(world_until(w, "connected "));
	w->lose_down = 1; /* the key is never acknowledged */
	world_run(w, 15000);
	w->server[0].deaf = true;
	instruct(&w->server[0], "127.0.0.2:7101");
	send_text("after");
	ck_assert(world_until(w, "after "));
	ck_assert_msg(strstr(w->log, "dial:127.0.0.2:7101 again 1:r0:4:demo-key 0+1:1 1:r2:50:after ") != NULL, "%s", w->log);
}
END_TEST

static void count_pushes(struct world *world, const struct dkc_event *e)
{
	if (e->kind == DKC_PUSH)
		world_say(world, "push:%u:" DK_STR_FMT " ", e->cmd, DK_STR_ARG(dk_str_of(e->payload)));
	send_while_moving(world, e);
}

START_TEST(a_stream_is_read_to_its_end)
{
	connected(true, NULL, NULL);
	world_run(w, 100000);
	forget();
	w->event = count_pushes;
	w->server[0].lingers = true;
	send_text("last");
	instruct(&w->server[0], "127.0.0.2:7101");
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "0:r2:50:last moving:127.0.0.2:7101 ");
	server_send(&w->server[0], 2, 9, DK_STATUS_PUSH, text("tail"), DK_RELIABLE);
	w->server[0].lingers = false;
	world_run(w, 10000);
	w->at = -1;
	dkc_hung_up(w->client, w->now);
	ck_assert(world_until(w, "m2 "));
	ck_assert_str_eq(w->log, "0:r2:50:last moving:127.0.0.2:7101 push:9:tail dial:127.0.0.2:7101 again 1:r2:50:m1 1:r2:50:m2 ");
}
END_TEST

START_TEST(a_stream_that_does_not_end_is_left)
{
	uint64_t start;

	connected(true, NULL, NULL);
	w->server[0].lingers = true;
	instruct(&w->server[0], "127.0.0.2:7101");
	ck_assert(world_until(w, "moving"));
	start = w->now;
	ck_assert(world_until(w, "again "));
	ck_assert(w->now - start > 490000 && w->now - start < 520000);
}
END_TEST

/* ---- asking for it ---- */

START_TEST(asking_for_another_node)
{
	static const uint8_t plain[] = "no other node";

	connected(_i == 1, NULL, NULL);
	world_run(w, 100000);
	forget();
	dkc_move(w->client);
	dkc_move_type(w->client, dk_str_c("LOBBY"));
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "0:r0:2: 0:r0:5:LOBBY ");
	server_send(&w->server[0], 0, 5, DK_STATUS_BAD, dk_slice_n(plain, sizeof(plain) - 1), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_uint_eq(w->responses, 1); /* the program hears of refusals */
}
END_TEST

static void offline(void)
{
	w->server[0].echo_state = 2;
	world_run(w, 6000000);
}

START_TEST(offline_moves_who_is_in_no_room)
{
	connected(_i == 1, NULL, NULL);
	offline();
	ck_assert_str_eq(w->log, START "offline 0:r0:2: ");
	server_send(&w->server[0], 0, 2, DK_STATUS_BAD, text("no other node"), DK_RELIABLE);
	offline();
	ck_assert_str_eq(w->log, START "offline 0:r0:2: ");
	ck_assert_uint_eq(w->responses, 0); /* the client asked by itself */
}
END_TEST

START_TEST(offline_moves_the_room_of_its_owner)
{
	in_room(false, NULL, NULL, true);
	ck_assert(dkc_room_is_owner(w->client));
	offline();
	ck_assert_str_eq(w->log, "offline 0:r1:12: ");
}
END_TEST

START_TEST(offline_leaves_members_to_their_owner)
{
	in_room(false, NULL, NULL, false);
	offline();
	ck_assert_str_eq(w->log, "offline ");
}
END_TEST

static dk_slice owner_payload(const char *uid)
{
	static uint8_t buf[100];
	struct dk_writer out = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&out, text(uid));
	dk_wr_bytes16(&out, text(ROOM));
	return dk_written(&out);
}

START_TEST(ownership_changes_hands)
{
	struct dkc_opts o;

	dkc_opts_default(&o);
	o.uid = dk_str_c("alice");
	in_room(false, NULL, &o, false);
	ck_assert(!dkc_room_is_owner(w->client));
	server_send(&w->server[0], 1, 14, DK_STATUS_PUSH, owner_payload("alice"), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert(dkc_room_is_owner(w->client));
	server_send(&w->server[0], 1, 14, DK_STATUS_PUSH, owner_payload("bob"), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert(!dkc_room_is_owner(w->client));
	ck_assert_uint_eq(w->pushes, 2); /* the program hears of it too */
}
END_TEST

START_TEST(offline_may_only_tell)
{
	struct dkc_opts o;

	dkc_opts_default(&o);
	o.follow = false;
	connected(false, NULL, &o);
	offline();
	ck_assert_str_eq(w->log, START "offline ");
}
END_TEST

/* ---- the room's name ---- */

START_TEST(the_rooms_id_follows_it)
{
	struct dk_id52 room = id_of(ROOM), second = id_of(ROOM2), now;

	in_room(_i == 1, NULL, NULL, false);
	server_send(&w->server[0], 1, 101, DK_STATUS_OK, joined_payload(ROOM2), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "room:1111>2222 0:backups:2222 ");
	ck_assert_uint_eq(w->responses, 0);
	server_send(&w->server[0], 1, 101, DK_STATUS_OK, joined_payload(ROOM3), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert(dkc_room_current(w->client, &now) && memcmp(now.c, ROOM3, DK_ID52_LEN) == 0);
	forget();
	dkc_room_broadcast(w->client, &room, text(" old"), true);
	dkc_room_broadcast(w->client, &second, text(" former"), true);
	dkc_room_broadcast(w->client, &now, text(" new"), true);
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "0:r1:103:\x01" ROOM3 " old 0:r1:103:\x01" ROOM3 " former 0:r1:103:\x01" ROOM3 " new ");
}
END_TEST

START_TEST(who_moves_alone_leaves_the_room_behind)
{
	struct dk_id52 id;

	in_room(_i == 1, NULL, NULL, false);
	instruct(&w->server[0], "127.0.0.2:7101");
	ck_assert(world_until(w, "1:backups:1111 "));
	world_run(w, 100000);
	ck_assert(dkc_room_current(w->client, &id)); /* the other server says that it is there */
	knows_backups = false;
	instruct(&w->server[1], "127.0.0.3:7102");
	ck_assert(world_until(w, "2:backups:1111 "));
	world_run(w, 100000);
	ck_assert(!dkc_room_current(w->client, &id));
	ck_assert_uint_eq(w->responses, 0);
}
END_TEST

START_TEST(an_answer_is_no_news)
{
	struct dk_id52 room = id_of(ROOM2);

	in_room(false, NULL, NULL, false);
	w->server[0].frame = NULL;
	dkc_room_join(w->client, &room, text(""), on_joined, NULL);
	world_run(w, 100000);
	server_send(&w->server[0], 1, 101, DK_STATUS_OK, joined_payload(ROOM2), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "in:2222 ");
	dkc_room_leave(w->client, &room, text(""), NULL, NULL);
	world_run(w, 100000);
	server_send(&w->server[0], 1, 102, DK_STATUS_OK, text(""), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert(!dkc_room_current(w->client, &room));
}
END_TEST

static void tell_migrated(struct world *world, const struct dkc_event *e)
{
	struct dk_id52 id;

	if (dkc_room_event(e) == DKC_ROOM_MIGRATED)
		world_say(world, "migrated:%.4s ", dkc_room_new_id(e, &id) ? id.c : "????");
}

START_TEST(the_owner_hears_that_it_is_done)
{
	uint8_t buf[120];
	struct dk_writer out = dk_writer_on(buf, sizeof(buf));

	in_room(false, NULL, NULL, true);
	w->event = tell_migrated;
	dk_wr_bytes16(&out, text(ROOM));
	dk_wr_bytes16(&out, text(ROOM2));
	server_send(&w->server[0], 1, 20, DK_STATUS_PUSH, dk_written(&out), DK_RELIABLE);
	server_send(&w->server[0], 1, 20, DK_STATUS_PUSH, text("?"), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "migrated:2222 migrated:???? ");
}
END_TEST

START_TEST(backups_are_told_by_the_server_too)
{
	const char *two[] = { "127.0.0.2:7101", "[::1]:7102", NULL };
	const char *odd[] = { "nowhere", "127.0.0.2:7101", ":7", "a:1", "b:2", NULL };

	in_room(false, NULL, NULL, false);
	ck_assert_uint_eq(dkc_room_backups(w->client), 0);
	server_send(&w->server[0], 1, 30, DK_STATUS_PUSH, backups_payload(two, ROOM), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_uint_eq(dkc_room_backups(w->client), 2);
	server_send(&w->server[0], 1, 30, DK_STATUS_PUSH, text("nonsense"), DK_RELIABLE);
	server_send(&w->server[0], 1, 30, DK_STATUS_PUSH, backups_payload(odd + 5, ROOM2), DK_RELIABLE); /* of another room */
	world_run(w, 100000);
	ck_assert_uint_eq(dkc_room_backups(w->client), 2);
	server_send(&w->server[0], 1, 30, DK_STATUS_PUSH, backups_payload(odd, ROOM), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_uint_eq(dkc_room_backups(w->client), 2); /* those that can be read, two at most */
	server_send(&w->server[0], 1, 30, DK_STATUS_PUSH, backups_payload(odd + 5, ROOM), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_uint_eq(dkc_room_backups(w->client), 0);
	ck_assert_uint_eq(w->pushes, 0);
	ck_assert_str_eq(w->log, "");
}
END_TEST

/* ---- the death of a node ---- */

/* In a room with backups on the second server and, with n 2, the third. */
static void with_backups(bool tcp, const struct wire_link_opts *link, int n)
{
	backups[0] = "127.0.0.2:7101";
	backups[1] = n > 1 ? "127.0.0.3:7102" : NULL;
	backups[2] = NULL;
	in_room(tcp, link, NULL, false);
	for (int i = 0; i < 1000 && dkc_room_backups(w->client) != (unsigned)n; i++)
		world_run(w, 10000);
	ck_assert_uint_eq(dkc_room_backups(w->client), (unsigned)n);
	forget();
	w->server[1].accepts = w->server[2].accepts = false;
}

static void die(int server)
{
	w->server[server].up = false;
	if (w->tcp && w->at == server) {
		w->at = -1;
		dkc_hung_up(w->client, w->now);
	}
}

START_TEST(a_backup_takes_over)
{
	uint64_t start;

	with_backups(false, NULL, 1);
	server_send(&w->server[0], 2, 9, DK_STATUS_PUSH, text("alive"), DK_RELIABLE);
	world_run(w, 100000);
	start = w->now;
	send_text("lost");
	dkc_request(w->client, 2, 51, text("asked"), on_reply, "asked");
	die(0);
	world_run(w, 400000);
	send_text("kept"); /* silence, and nothing acknowledged */
	world_run(w, 900000);
	ck_assert_str_eq(w->log, "searching ");
	send_text("held");
	dkc_request(w->client, 2, 52, text("late"), on_reply, "late");
	world_run(w, 1100000); /* the backup says that it does not know this sid */
	ck_assert_str_eq(w->log, "searching ");
	ck_assert_uint_ge(w->tries, 3);
	world_restart(w, 1);
	ck_assert(world_until(w, "again "));
	ck_assert_msg(w->now - start < 2900000, "%llu us", (unsigned long long)(w->now - start));
	world_run(w, 300000);
	/* what the dead node may have had is not said again, and its answer will not come */
	ck_assert_str_eq(w->log, "searching asked:0: again 1:r2:50:kept 1:r2:50:held 1:r2:52:late 1:backups:1111 ");
	server_send(&w->server[1], 2, 52, DK_STATUS_OK, text("yes"), DK_RELIABLE);
	world_run(w, 20000000);
	ck_assert_ptr_nonnull(strstr(w->log, "late:1:yes "));
	ck_assert(dkc_is_connected(w->client));
	ck_assert_uint_eq(stats().takeovers, 1);
	ck_assert_uint_eq(stats().given_up, 2);
	ck_assert(dkc_room_current(w->client, &(struct dk_id52){ 0 }));
}
END_TEST

/* What the silence kept back goes to whoever takes over, all of it and in its order. */
START_TEST(what_never_left_is_kept)
{
	char word[64];
	uint64_t gone;

	with_backups(false, NULL, 1);
	die(0);
	for (int i = 0; i < 300; i++) {
		snprintf(word, sizeof(word), "n%d.", i);
		send_text(word);
		world_run(w, 1000);
	}
	ck_assert(world_until(w, "searching "));
	world_restart(w, 1);
	ck_assert(world_until(w, "n299."));
	gone = stats().given_up;
	ck_assert(gone > 50 && gone < 210);
	snprintf(word, sizeof(word), "again 1:r2:50:n%llu. 1:r2:50:n%llu. ", (unsigned long long)gone,
		 (unsigned long long)gone + 1);
	ck_assert_msg(strstr(w->log, word), "%s in %s", word, w->log);
}
END_TEST

START_TEST(a_closed_port_is_a_hint)
{
	with_backups(false, NULL, 1);
	die(0);
	dkc_hung_up(w->client, w->now);
	send_text("kept");
	ck_assert(dkc_is_connected(w->client));
	world_restart(w, 1);
	ck_assert(world_until(w, "again "));
	world_run(w, 100000);
	ck_assert_ptr_nonnull(strstr(w->log, "again 1:r2:50:kept "));
	ck_assert_uint_eq(stats().given_up, 0);
}
END_TEST

/* On a bad line silence is now and then a little longer; nothing is late for good, and nothing comes out of order. */
START_TEST(a_hush_ends)
{
	with_backups(false, NULL, 1);
	w->server[0].deaf = true;
	send_text("one");
	world_run(w, 400000);
	send_text("two");
	world_run(w, 100000);
	send_text("three");
	w->server[0].deaf = false;
	world_run(w, 600000);
	ck_assert_str_eq(w->log, "0:r2:50:one 0:r2:50:two 0:r2:50:three ");
}
END_TEST

START_TEST(the_second_backup_takes_over)
{
	with_backups(false, NULL, 2);
	w->server[1].up = false;
	die(0);
	world_run(w, 2500000);
	world_restart(w, 2);
	ck_assert(world_until(w, "again "));
	send_text("here");
	ck_assert(world_until(w, "2:r2:50:here "));
}
END_TEST

START_TEST(the_node_itself_may_answer_after_all)
{
	with_backups(false, NULL, 2);
	w->server[0].deaf = true;
	world_run(w, 3000000);
	ck_assert_str_eq(w->log, "searching ");
	ck_assert(!dkc_is_connected(w->client));
	send_text("held");
	w->server[0].deaf = false;
	world_run(w, 1000000);
	ck_assert_str_eq(w->log, "searching 0:r2:50:held ");
	ck_assert(dkc_is_connected(w->client));
	ck_assert(!dkc_is_trying(w->client));
	world_run(w, 30000000);
	ck_assert_str_eq(w->log, "searching 0:r2:50:held ");
	ck_assert_uint_eq(stats().takeovers, 0);
}
END_TEST

START_TEST(nobody_takes_over)
{
	uint64_t start;

	with_backups(_i == 1, NULL, 2);
	start = w->now;
	die(0);
	ck_assert(world_until(w, "disconnected"));
	ck_assert_ptr_nonnull(strstr(w->log, "lost:1111 disconnected:"));
	ck_assert_msg(w->now - start < 5100000 && w->now - start > 2900000, "%llu us", (unsigned long long)(w->now - start));
	ck_assert_uint_eq(stats().rooms_lost, 1);
	ck_assert(!dkc_room_current(w->client, &(struct dk_id52){ 0 }));
	/* the application has asked for a new endpoint */
	world_restart(w, 2);
	w->endpoint.port = 7102;
	forget();
	ck_assert_int_eq(dkc_renew(w->client, &w->endpoint), 0);
	dkc_connect(w->client);
	ck_assert_int_eq(dkc_renew(w->client, &w->endpoint), DKC_FULL);
	ck_assert(world_until(w, "connected "));
	ck_assert_ptr_nonnull(strstr(w->log, ":7102 connected "));
}
END_TEST

START_TEST(a_room_without_backups_is_lost_sooner)
{
	uint64_t start;

	in_room(false, NULL, NULL, false);
	start = w->now;
	die(0);
	ck_assert(world_until(w, "disconnected"));
	ck_assert_str_eq(w->log, "lost:1111 disconnected:4 ");
	ck_assert(w->now - start < 3100000);
}
END_TEST

START_TEST(a_stream_without_backups_is_lost_at_once)
{
	in_room(true, NULL, NULL, false);
	die(0);
	ck_assert_str_eq(w->log, "lost:1111 disconnected:6 ");
}
END_TEST

/* A server that knows nothing of backups is alone: only the long silence counts. */
START_TEST(a_server_without_a_cluster)
{
	uint64_t start;

	knows_backups = false;
	in_room(false, NULL, NULL, false);
	start = w->now;
	die(0);
	ck_assert(world_until(w, "disconnected"));
	ck_assert_str_eq(w->log, "disconnected:4 ");
	ck_assert(w->now - start > 20000000);
}
END_TEST

START_TEST(a_quiet_room_is_not_lost)
{
	struct wire_link_opts link = { .seed = 31 + (uint64_t)_i, .loss = 0.1, .delay_ms = 100 };

	with_backups(false, &link, 2);
	world_run(w, 300000000);
	ck_assert(dkc_is_connected(w->client));
	ck_assert_ptr_null(strstr(w->log, "again"));
}
END_TEST

static uint64_t lost_at;

static void note_loss(struct world *world, const struct dkc_event *e)
{
	if (e->kind == DKC_ROOM_LOST)
		lost_at = world->now;
}

START_TEST(a_takeover_through_loss)
{
	uint64_t start;
	struct wire_link_opts link = { .seed = 900 + (uint64_t)_i, .loss = 0.2, .delay_ms = 30, .jitter_ms = 20 };

	with_backups(false, &link, 1 + _i % 2);
	world_run(w, 1000000);
	forget();
	start = w->now;
	w->event = note_loss;
	die(0);
	world_run(w, 2400000);
	world_restart(w, 1);
	ck_assert_msg(world_until(w, "again "), "%s, %llu us after its end, %u tries", w->log,
		      (unsigned long long)(lost_at - start), w->tries);
	ck_assert_ptr_null(strstr(w->log, "lost:"));
}
END_TEST

/* Time in which the program did not run is not the node's silence. */
START_TEST(a_program_that_slept)
{
	with_backups(false, NULL, 1);
	w->now += 6000000;
	world_run(w, 10000000);
	ck_assert(dkc_is_connected(w->client));
	ck_assert_ptr_null(strstr(w->log, "lost"));
}
END_TEST

START_TEST(a_stream_finds_its_room)
{
	with_backups(true, NULL, 2);
	send_text("here");
	world_run(w, 1000);
	forget();
	die(0);
	world_run(w, 100000);
	send_text("held");
	world_run(w, 2000000);
	ck_assert_ptr_nonnull(strstr(w->log, "searching "));
	ck_assert_ptr_nonnull(strstr(w->log, "dial:127.0.0.2:7101 "));
	ck_assert_ptr_nonnull(strstr(w->log, "dial:127.0.0.3:7102 "));
	ck_assert_ptr_nonnull(strstr(w->log, "dial:127.0.0.1:7100 "));
	world_restart(w, 2);
	ck_assert(world_until(w, "again "));
	world_run(w, 100000);
	ck_assert_msg(strstr(w->log, "again 2:r2:50:held 2:backups:1111 "), "%s", w->log);
	world_run(w, 30000000);
	ck_assert(dkc_is_connected(w->client));
	ck_assert_uint_eq(stats().takeovers, 1);
}
END_TEST

START_TEST(a_stream_that_says_nothing)
{
	with_backups(true, NULL, 1);
	w->server[0].mute = true;
	world_run(w, 2500000);
	ck_assert_ptr_nonnull(strstr(w->log, "searching "));
	world_restart(w, 1);
	ck_assert(world_until(w, "again "));
}
END_TEST

START_TEST(the_new_node_dies_too)
{
	with_backups(false, NULL, 1);
	instruct(&w->server[0], "127.0.0.3:7102");
	w->server[2].up = false;
	ck_assert(world_until(w, "searching "));
	world_restart(w, 1);
	ck_assert(world_until(w, "again "));
	send_text("here");
	ck_assert(world_until(w, "1:r2:50:here "));
}
END_TEST

START_TEST(the_new_node_does_not_know_it)
{
	with_backups(_i == 1, NULL, 1);
	world_restart(w, 1);
	instruct(&w->server[0], "127.0.0.3:7102"); /* which accepts nobody */
	ck_assert(world_until(w, "again "));
	send_text("here");
	ck_assert(world_until(w, "1:r2:50:here "));
}
END_TEST

static void close_at_search(struct world *world, const struct dkc_event *e)
{
	if (e->kind == DKC_SEARCHING)
		dkc_close(world->client);
}

START_TEST(closing_in_a_search)
{
	with_backups(_i == 1, NULL, 2);
	w->event = close_at_search;
	die(0);
	ck_assert(world_until(w, "disconnected:1 "));
	world_run(w, 10000000);
	ck_assert_str_eq(w->log, "searching disconnected:1 ");
}
END_TEST

static void close_at_loss(struct world *world, const struct dkc_event *e)
{
	if (e->kind == DKC_ROOM_LOST)
		dkc_close(world->client);
}

START_TEST(closing_when_lost)
{
	in_room(_i == 1, NULL, NULL, false);
	w->event = close_at_loss;
	die(0);
	ck_assert(world_until(w, "disconnected:1 "));
	world_run(w, 10000000);
	ck_assert_str_eq(w->log, "lost:1111 disconnected:1 ");
}
END_TEST

START_TEST(the_first_heartbeat_says_where_the_client_is)
{
	static const struct dk_addr local = { .ip = { 192, 168, 0, 5 }, .port = 50000, .family = 4 };

	world_init(w, false, NULL, NULL);
	dkc_connect(w->client);
	ck_assert_ptr_nonnull(dkc_wants_dial(w->client));
	w->at = 0;
	dkc_set_local(w->client, &local);
	dkc_dialed(w->client, w->now, 0, &w->server[0].addr);
	w->server[0].mute = true; /* the first one gets no answer, so the next one says it again */
	world_run(w, 500000);
	w->server[0].locals.n = 0;
	w->server[0].mute = false;
	world_run(w, 1000000);
	ck_assert_uint_eq(w->server[0].locals.n, 4 + 17);
	ck_assert_mem_eq(w->server[0].locals.p + 4, "192.168.0.5:50000", 17);
	w->server[0].locals.n = 0;
	world_run(w, 10000000);
	ck_assert_uint_eq(w->server[0].locals.n, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("follow");
	TCase *c = tcase_create("core");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, what_was_not_acknowledged_goes_first);
	tcase_add_test(c, what_was_not_sent_stays);
	tcase_add_test(c, a_long_frame_moves_as_one);
	tcase_add_test(c, every_connection_begins_with_its_own_key);
	tcase_add_test(c, a_stream_is_read_to_its_end);
	tcase_add_test(c, a_stream_that_does_not_end_is_left);
	tcase_add_loop_test(c, asking_for_another_node, 0, 2);
	tcase_add_loop_test(c, offline_moves_who_is_in_no_room, 0, 2);
	tcase_add_test(c, offline_moves_the_room_of_its_owner);
	tcase_add_test(c, offline_leaves_members_to_their_owner);
	tcase_add_test(c, ownership_changes_hands);
	tcase_add_test(c, offline_may_only_tell);
	tcase_add_loop_test(c, the_rooms_id_follows_it, 0, 2);
	tcase_add_loop_test(c, who_moves_alone_leaves_the_room_behind, 0, 2);
	tcase_add_test(c, an_answer_is_no_news);
	tcase_add_test(c, the_owner_hears_that_it_is_done);
	tcase_add_test(c, backups_are_told_by_the_server_too);
	tcase_add_test(c, a_backup_takes_over);
	tcase_add_test(c, what_never_left_is_kept);
	tcase_add_test(c, a_closed_port_is_a_hint);
	tcase_add_test(c, a_hush_ends);
	tcase_add_test(c, the_second_backup_takes_over);
	tcase_add_test(c, the_node_itself_may_answer_after_all);
	tcase_add_loop_test(c, nobody_takes_over, 0, 2);
	tcase_add_test(c, a_room_without_backups_is_lost_sooner);
	tcase_add_test(c, a_stream_without_backups_is_lost_at_once);
	tcase_add_test(c, a_server_without_a_cluster);
	tcase_add_loop_test(c, a_quiet_room_is_not_lost, 0, 4);
	tcase_add_loop_test(c, a_takeover_through_loss, 0, 20);
	tcase_add_test(c, a_program_that_slept);
	tcase_add_test(c, a_stream_finds_its_room);
	tcase_add_test(c, a_stream_that_says_nothing);
	tcase_add_test(c, the_new_node_dies_too);
	tcase_add_loop_test(c, the_new_node_does_not_know_it, 0, 2);
	tcase_add_loop_test(c, closing_in_a_search, 0, 2);
	tcase_add_loop_test(c, closing_when_lost, 0, 2);
	tcase_add_test(c, the_first_heartbeat_says_where_the_client_is);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
