/* SPDX-License-Identifier: Apache-2.0 */
/* The client's core against scripted servers on a virtual clock: order of events, loss, moves, ends, both protocols. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static struct world *w;

static void set_up(void)
{
	w = malloc(sizeof(*w));
}

static void tear_down(void)
{
	world_fini(w);
	free(w);
}

static void plain(bool tcp)
{
	world_init(w, tcp, NULL, NULL);
	dkc_connect(w->client);
	ck_assert(world_until(w, "connected "));
}

/* Answers what it gets; keeps a log of its own in the world's. */
static void answer(struct server *s, const struct dk_frame *f, bool reliable)
{
	server_send(s, f->ver, f->cmd, DK_STATUS_OK, f->payload, reliable ? DK_RELIABLE : DK_UNRELIABLE);
}

/* Writes down what it gets. */
static void note_down(struct server *s, const struct dk_frame *f, bool reliable)
{
	world_say(s->world, "%d:%s%u:%u:" DK_STR_FMT " ", (int)(s - s->world->server), reliable ? "r" : "u", f->ver, f->cmd,
		  DK_STR_ARG(dk_str_of(f->payload)));
}

START_TEST(connects_and_keeps_alive)
{
	plain(_i == 1);
	ck_assert(dkc_is_connected(w->client));
	world_run(w, 100000);
	ck_assert_uint_eq(w->echoes, 1);
	if (_i == 0) /* the virtual link takes 10 ms each way */
		ck_assert(dkc_rtt_us(w->client) >= 20000 && dkc_rtt_us(w->client) < 25000);
	world_run(w, 60000000);
	ck_assert_uint_eq(w->echoes, 13);
	ck_assert(dkc_is_connected(w->client));
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected ");
}
END_TEST

START_TEST(the_client_key_goes_first)
{
	struct dkc_opts o;

	dkc_opts_default(&o);
	o.client_key = dk_str_c("demo-key");
	world_init(w, _i == 1, NULL, &o);
	w->server[0].frame = note_down;
	dkc_connect(w->client);
	ck_assert_int_eq(dkc_send(w->client, 2, 1, text("early"), DK_RELIABLE), 0);
	ck_assert_int_eq(dkc_send(w->client, 2, 2, text("later"), DK_RELIABLE), 0);
	world_run(w, 1000000);
	ck_assert_str_eq(w->log, _i == 1 ? "dial:127.0.0.1:7100 0:r0:4:demo-key connected 0:r2:1:early 0:r2:2:later "
					 : "dial:127.0.0.1:7100 connected 0:r0:4:demo-key 0:r2:1:early 0:r2:2:later ");
}
END_TEST

START_TEST(without_a_key_none_is_sent)
{
	world_init(w, _i == 1, NULL, NULL);
	w->server[0].frame = note_down;
	dkc_connect(w->client);
	world_run(w, 1000000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected ");
}
END_TEST

static void on_reply(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	uint32_t code;

	(void)c;
	world_say(w, "%s:%u:%u:" DK_STR_FMT " ", (const char *)arg, r->cmd, r->status, DK_STR_ARG(dk_str_of(r->payload)));
	if (!dkc_ok(r)) {
		dk_str why = dkc_reply_error(r, &code);

		world_say(w, "[%u " DK_STR_FMT "] ", code, DK_STR_ARG(why));
	}
}

START_TEST(answers_find_their_requests)
{
	plain(_i == 1);
	w->server[0].frame = answer;
	ck_assert_int_eq(dkc_request(w->client, 2, 10, text("a"), on_reply, "first"), 0);
	ck_assert_int_eq(dkc_request(w->client, 2, 11, text("b"), on_reply, "second"), 0);
	ck_assert_int_eq(dkc_request(w->client, 2, 10, text("c"), on_reply, "third"), 0);
	ck_assert_int_eq(dkc_send(w->client, 2, 12, text("d"), DK_RELIABLE), 0);
	world_run(w, 1000000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected first:10:1:a second:11:1:b third:10:1:c ");
	ck_assert_uint_eq(w->responses, 1);
}
END_TEST

START_TEST(answers_may_change_places)
{
	plain(_i == 1);
	dkc_request(w->client, 2, 10, text(""), on_reply, "ten");
	dkc_request(w->client, 2, 11, text(""), on_reply, "eleven");
	dkc_request(w->client, 3, 10, text(""), on_reply, "three");
	world_run(w, 100000);
	server_send(&w->server[0], 3, 10, DK_STATUS_OK, text("a"), DK_RELIABLE);
	server_send(&w->server[0], 2, 11, DK_STATUS_OK, text("b"), DK_RELIABLE);
	server_send(&w->server[0], 2, 10, DK_STATUS_OK, text("c"), DK_RELIABLE);
	world_run(w, 1000000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected three:10:1:a eleven:11:1:b ten:10:1:c ");
}
END_TEST

static void refuse(struct server *s, const struct dk_frame *f, bool reliable)
{
	static const uint8_t coded[] = { 0, 0, 0x0f, 0xa9, 'T', 'i', 'm', 'e' };

	(void)reliable;
	if (f->cmd == 1)
		server_send(s, f->ver, f->cmd, DK_STATUS_BAD, text("no such room"), DK_RELIABLE);
	else
		server_send(s, f->ver, f->cmd, 40, dk_slice_n(coded, sizeof(coded)), DK_RELIABLE);
}

START_TEST(refusals_have_words)
{
	plain(false);
	w->server[0].frame = refuse;
	dkc_request(w->client, 2, 1, text(""), on_reply, "plain");
	dkc_request(w->client, 2, 2, text(""), on_reply, "coded");
	world_run(w, 1000000);
	ck_assert_ptr_nonnull(strstr(w->log, "plain:1:4:no such room [0 no such room] "));
	ck_assert_ptr_nonnull(strstr(w->log, "[4009 Time] "));
}
END_TEST

static void count_pushes(struct world *world, const struct dkc_event *e)
{
	if (e->kind == DKC_PUSH)
		world_say(world, "%s%u:%u:" DK_STR_FMT " ", e->reliable ? "r" : "u", e->ver, e->cmd,
			  DK_STR_ARG(dk_str_of(e->payload)));
}

START_TEST(lists_of_pushes_are_unpacked)
{
	plain(_i == 1);
	w->event = count_pushes;
	server_send(&w->server[0], 2, 7, DK_STATUS_PUSH, text("one"), DK_RELIABLE);
	server_send(&w->server[0], 2, 7, DK_STATUS_PUSH, text("two"), DK_RELIABLE);
	server_send(&w->server[0], 2, 8, DK_STATUS_PUSH, text(""), DK_RELIABLE);
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected r2:7:one r2:7:two r2:8: ");
	ck_assert_uint_eq(w->pushes, 3);
}
END_TEST

START_TEST(a_malformed_list_ends_where_it_breaks)
{
	static const uint8_t broken[] = { 0, 0, 0, 1, 'x', 0, 0, 0, 9, 'y' };

	plain(false);
	w->event = count_pushes;
	server_send(&w->server[0], 2, 7, DK_STATUS_PUSH, dk_slice_n(broken, sizeof(broken)), DK_RELIABLE | DK_LISTED);
	world_run(w, 100000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected r2:7:x ");
}
END_TEST

/* ---- loss ---- */

#define MANY 2000

struct tally {
	uint32_t next_up, next_answer, next_push, sent;
};

static void in_order(struct server *s, const struct dk_frame *f, bool reliable)
{
	struct tally *t = s->world->arg;
	struct dk_cursor c = dk_cursor_of(f->payload);

	ck_assert(reliable);
	ck_assert_uint_eq(dk_rd_u32(&c), t->next_up);
	t->next_up++;
	server_send(s, 2, 1, DK_STATUS_OK, f->payload, DK_RELIABLE);
	server_send(s, 2, 2, DK_STATUS_PUSH, f->payload, DK_RELIABLE);
}

static void answered_in_order(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct tally *t = arg;
	struct dk_cursor p = dk_cursor_of(r->payload);

	(void)c;
	ck_assert(dkc_ok(r));
	ck_assert_uint_eq(dk_rd_u32(&p), t->next_answer);
	t->next_answer++;
}

static void pushed_in_order(struct world *world, const struct dkc_event *e)
{
	struct tally *t = world->arg;
	struct dk_cursor p = dk_cursor_of(e->payload);

	if (e->kind != DKC_PUSH)
		return;
	ck_assert_uint_eq(dk_rd_u32(&p), t->next_push);
	t->next_push++;
}

START_TEST(everything_once_and_in_order_through_loss)
{
	struct wire_link_opts link = { .seed = 77 + (uint64_t)_i,
				       .loss = 0.3,
				       .reorder = 0.1,
				       .duplicate = 0.05,
				       .delay_ms = 20,
				       .jitter_ms = 10,
				       .reorder_ms = 30 };
	struct dkc_opts o;
	struct tally t = { 0 };

	dkc_opts_default(&o);
	o.request_ms = 0;
	world_init(w, false, &link, &o);
	w->arg = &t;
	w->event = pushed_in_order;
	w->server[0].frame = in_order;
	dkc_connect(w->client);
	for (int i = 0; i < 120000 && t.next_answer < MANY; i++) {
		uint8_t buf[40] = { 0 };
		struct dk_writer out = dk_writer_on(buf, sizeof(buf));

		dk_wr_u32(&out, t.sent);
		if (t.sent < MANY && dkc_request(w->client, 2, 1, dk_slice_n(buf, sizeof(buf)), answered_in_order, &t) == 0)
			t.sent++;
		world_run(w, 5000);
	}
	world_run(w, 5000000);
	ck_assert_uint_eq(t.next_up, MANY);
	ck_assert_uint_eq(t.next_answer, MANY);
	ck_assert_uint_eq(t.next_push, MANY);
	ck_assert(dkc_is_connected(w->client));
}
END_TEST

START_TEST(heartbeats_survive_loss)
{
	struct wire_link_opts link = { .seed = 5, .loss = 0.3, .delay_ms = 20 };

	world_init(w, false, &link, NULL);
	dkc_connect(w->client);
	world_run(w, 600000000);
	ck_assert(dkc_is_connected(w->client));
	ck_assert_uint_ge(w->echoes, 110); /* of 120 */
	ck_assert_uint_eq(w->server[0].closed, 0); /* it gives up after ten silent seconds */
}
END_TEST

/* ---- moving ---- */

static void instruct(struct server *s, const char *address, uint8_t status)
{
	uint8_t buf[300];
	size_t n = wire_reconnect_encode(dk_str_c(address), buf, sizeof(buf));

	server_send(s, 0, WIRE_CMD_RECONNECT, status, dk_slice_n(buf, n), DK_RELIABLE);
}

static void send_while_moving(struct world *world, const struct dkc_event *e)
{
	if (e->kind == DKC_MOVING) {
		ck_assert_int_eq(dkc_send(world->client, 2, 50, text("m1"), DK_RELIABLE), 0);
		ck_assert_int_eq(dkc_send(world->client, 2, 50, text("m2"), DK_RELIABLE), 0);
	}
	if (e->kind == DKC_CONNECTED && e->again)
		ck_assert_int_eq(dkc_send(world->client, 2, 50, text("m3"), DK_RELIABLE), 0);
}

START_TEST(follows_the_instruction_to_move)
{
	uint8_t status = _i & 2 ? DK_STATUS_PUSH : DK_STATUS_OK;

	plain(_i & 1);
	world_second(w);
	w->server[0].frame = w->server[1].frame = note_down;
	w->event = send_while_moving;
	dkc_send(w->client, 2, 49, text("before"), DK_RELIABLE);
	world_run(w, 50000);
	instruct(&w->server[0], "127.0.0.2:7101", status);
	ck_assert(world_until(w, "m3 "));
	if (w->tcp)
		ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected 0:r2:49:before moving:127.0.0.2:7101 half "
					 "dial:127.0.0.2:7101 again 1:r2:50:m1 1:r2:50:m2 1:r2:50:m3 ");
	else
		ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected 0:r2:49:before moving:127.0.0.2:7101 "
					 "dial:127.0.0.2:7101 again 1:r2:50:m1 1:r2:50:m2 1:r2:50:m3 ");
	world_run(w, 30000000);
	ck_assert(dkc_is_connected(w->client));
	ck_assert_uint_gt(w->server[1].echoes, 3);
}
END_TEST

START_TEST(an_answer_may_come_from_the_new_server)
{
	plain(false);
	world_second(w);
	w->server[1].frame = answer;
	dkc_request(w->client, 1, 101, text("room"), on_reply, "join");
	world_run(w, 50000);
	instruct(&w->server[0], "127.0.0.2:7101", DK_STATUS_PUSH);
	ck_assert(world_until(w, "again "));
	server_send(&w->server[1], 1, 101, DK_STATUS_OK, text("joined"), DK_RELIABLE);
	ck_assert(world_until(w, "join:101:1:joined "));
}
END_TEST

START_TEST(nothing_new_goes_to_the_old_server)
{
	uint32_t before;

	plain(false);
	world_second(w);
	w->event = send_while_moving;
	/* the server's first block alone is acknowledged twice: its number is also that of the handshake */
	server_send(&w->server[0], 2, 7, DK_STATUS_PUSH, text("first"), DK_RELIABLE);
	world_run(w, 1000000);
	instruct(&w->server[0], "127.0.0.2:7101", DK_STATUS_PUSH);
	before = w->server[0].frames;
	ck_assert(world_until(w, "again "));
	ck_assert_uint_eq(w->server[0].frames, before);
	ck_assert(wire_peer_drained(&w->server[0].peer)); /* the instruction was acknowledged */
}
END_TEST

START_TEST(what_was_sent_is_acknowledged_first)
{
	plain(false);
	world_second(w);
	w->server[0].frame = w->server[1].frame = note_down;
	dkc_send(w->client, 2, 48, text("warm"), DK_RELIABLE);
	world_run(w, 1000000);
	dkc_send(w->client, 2, 49, text("before"), DK_RELIABLE);
	w->lose_up = 1;
	instruct(&w->server[0], "127.0.0.2:7101", DK_STATUS_PUSH);
	ck_assert(world_until(w, "again "));
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected 0:r2:48:warm moving:127.0.0.2:7101 0:r2:49:before "
				 "dial:127.0.0.2:7101 again ");
}
END_TEST

START_TEST(a_nonsense_instruction_is_ignored)
{
	static const char *const bad[] = { "nowhere", ":7101", "127.0.0.2:0", "127.0.0.2:99999", "127.0.0.2:71x" };

	plain(false);
	instruct(&w->server[0], bad[_i], DK_STATUS_PUSH);
	world_run(w, 20000000);
	ck_assert(dkc_is_connected(w->client));
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected ");
}
END_TEST

START_TEST(a_move_to_nowhere_ends)
{
	plain(_i == 1);
	instruct(&w->server[0], "127.0.0.2:7101", DK_STATUS_PUSH);
	ck_assert(world_until(w, "disconnected:6 "));
}
END_TEST

/* ---- ends ---- */

static void server_says_fin(void)
{
	if (w->tcp) {
		w->at = -1;
		dkc_hung_up(w->client, w->now);
	} else {
		wire_peer_close(w->wire, &w->server[0].peer, w->now / 1000);
	}
}

START_TEST(the_server_says_goodbye)
{
	plain(_i == 1);
	dkc_request(w->client, 2, 1, text(""), on_reply, "open");
	world_run(w, 100000);
	server_says_fin();
	ck_assert(world_until(w, "disconnected:2 "));
	ck_assert_ptr_nonnull(strstr(w->log, "open:1:0: [0 there was no answer] disconnected:2 "));
	ck_assert_int_eq(dkc_send(w->client, 2, 1, text("x"), DK_RELIABLE), DKC_GONE);
	ck_assert(!dkc_is_connected(w->client));
}
END_TEST

START_TEST(after_the_goodbye_nothing_is_told)
{
	plain(_i == 1);
	w->event = count_pushes;
	server_send(&w->server[0], 0, WIRE_CMD_FIN, DK_STATUS_OK, text(""), DK_RELIABLE);
	world_run(w, 100000);
	server_send(&w->server[0], 2, 7, DK_STATUS_PUSH, text("late"), DK_RELIABLE);
	world_run(w, 1000000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected disconnected:2 ");
}
END_TEST

START_TEST(the_client_says_goodbye)
{
	plain(_i == 1);
	w->server[0].frame = note_down;
	dkc_close(w->client);
	ck_assert_ptr_nonnull(strstr(w->log, "disconnected:1 "));
	world_run(w, 30000000);
	if (_i == 0)
		ck_assert_uint_eq(w->server[0].closed, 1);
	else
		ck_assert_ptr_nonnull(strstr(w->log, "0:r0:0: "));
	ck_assert_ptr_null(strstr(strstr(w->log, "disconnected") + 1, "disconnected"));
	/* and may come back */
	wire_peer_fini(w->wire, &w->server[0].peer);
	wire_peer_init(w->wire, &w->server[0].peer, WIRE_SERVER, &w->endpoint.cred, w->now / 1000);
	wire_stream_init(w->wire, &w->server[0].stream, WIRE_SERVER, &w->endpoint.cred);
	w->log_n = 0;
	w->log[0] = '\0';
	dkc_connect(w->client);
	ck_assert_msg(world_until(w, "connected "), "%s", w->log);
}
END_TEST

START_TEST(a_goodbye_that_does_not_wait)
{
	plain(false);
	dkc_send(w->client, 2, 48, text("warm"), DK_RELIABLE);
	world_run(w, 1000000);
	dkc_send(w->client, 2, 49, text("lost"), DK_RELIABLE);
	w->lose_up = 1;
	world_run(w, 1000);
	dkc_close(w->client);
	world_run(w, 20000);
	ck_assert_uint_eq(w->server[0].closed, 0); /* it waits for the acknowledgement */
	dkc_close(w->client);
	world_run(w, 1000);
	w->at = -1; /* and the program ends */
	world_run(w, 60000000);
	ck_assert_uint_eq(w->server[0].closed, 1);
	ck_assert_int_eq(w->server[0].reason, WIRE_CLOSED_FIN);
}
END_TEST

static void close_at_push(struct world *world, const struct dkc_event *e)
{
	count_pushes(world, e);
	if (e->kind == DKC_PUSH)
		dkc_close(world->client);
}

START_TEST(closing_inside_an_event)
{
	plain(_i == 1);
	w->event = close_at_push;
	server_send(&w->server[0], 2, 7, DK_STATUS_PUSH, text("one"), DK_RELIABLE);
	server_send(&w->server[0], 2, 7, DK_STATUS_PUSH, text("two"), DK_RELIABLE);
	world_run(w, 1000000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected r2:7:one disconnected:1 ");
}
END_TEST

START_TEST(an_unknown_sid_is_killed)
{
	world_init(w, false, NULL, NULL);
	w->server[0].accepts = false;
	dkc_connect(w->client);
	ck_assert(world_until(w, "disconnected:3 "));
}
END_TEST

START_TEST(silence_ends_a_connection)
{
	uint64_t start;

	plain(_i == 1);
	w->server[0].mute = true;
	if (!w->tcp)
		w->server[0].up = false;
	start = w->now;
	ck_assert(world_until(w, "disconnected:4 "));
	ck_assert(w->now - start > 24000000 && w->now - start < 27000000);
}
END_TEST

START_TEST(nobody_there)
{
	world_init(w, _i == 1, NULL, NULL);
	w->refuse_dial = true;
	dkc_connect(w->client);
	ck_assert(world_until(w, "disconnected:6 "));
}
END_TEST

START_TEST(garbage_breaks_a_stream)
{
	plain(true);
	dkc_feed(w->client, w->now, text("HTTP/1.1 400 Bad Request\r\n"));
	ck_assert_ptr_nonnull(strstr(w->log, "disconnected:7 "));
}
END_TEST

START_TEST(garbage_does_not_disturb_datagrams)
{
	static const uint8_t short_one[] = { 1, 2 };

	plain(false);
	dkc_feed(w->client, w->now, text("HTTP/1.1 400 Bad Request\r\n"));
	dkc_feed(w->client, w->now, dk_slice_n(short_one, sizeof(short_one)));
	world_run(w, 1000000);
	ck_assert(dkc_is_connected(w->client));
}
END_TEST

/* ---- requests that stay open ---- */

START_TEST(a_late_answer_is_not_the_next_ones)
{
	struct dkc_opts o;

	dkc_opts_default(&o);
	o.request_ms = 1000;
	world_init(w, false, NULL, &o);
	dkc_connect(w->client);
	dkc_request(w->client, 2, 1, text("slow"), on_reply, "slow");
	world_run(w, 1500000);
	ck_assert_ptr_nonnull(strstr(w->log, "slow:1:0: "));
	dkc_request(w->client, 2, 1, text("next"), on_reply, "next");
	server_send(&w->server[0], 2, 1, DK_STATUS_OK, text("to slow"), DK_RELIABLE);
	server_send(&w->server[0], 2, 1, DK_STATUS_OK, text("to next"), DK_RELIABLE);
	world_run(w, 500000);
	ck_assert_msg(strstr(w->log, "next:1:1:to next "), "%s", w->log);
	ck_assert_ptr_null(strstr(w->log, "to slow"));
	ck_assert_uint_eq(w->responses, 0);
}
END_TEST

/* ---- heartbeat ---- */

START_TEST(offline_is_told_once)
{
	static const uint8_t notes[] = { 0, 7, 0, 1, 0x90, 'h', 'i', 0, 5, 3, 0, 9 };

	plain(_i == 1);
	world_run(w, 100000);
	w->server[0].echo_state = 2;
	w->server[0].echo_notes = dk_slice_n(notes, sizeof(notes));
	world_run(w, 6000000);
	ck_assert_str_eq(w->log, "dial:127.0.0.1:7100 connected offline note:0:400:hi note:3:9: ");
	world_run(w, 5000000);
	ck_assert_ptr_null(strstr(strstr(w->log, "offline") + 1, "offline"));
}
END_TEST

/* ---- limits ---- */

START_TEST(limits)
{
	static uint8_t big[200000];
	struct dkc_opts o;
	int n = 0;

	dkc_opts_default(&o);
	o.max_held_bytes = 1000;
	world_init(w, false, NULL, &o);
	ck_assert_int_eq(dkc_send(w->client, 2, 1, text("x"), DK_RELIABLE), DKC_GONE);
	dkc_connect(w->client);
	while (dkc_send(w->client, 2, 1, text(""), DK_RELIABLE) == 0)
		n++;
	ck_assert_int_eq(n, 62); /* an empty frame is not free */
	ck_assert(world_until(w, "connected "));
	world_run(w, 1000000);
	ck_assert_int_eq(dkc_send(w->client, 2, 1, dk_slice_n(big, 2000), DK_UNRELIABLE), DKC_TOO_LONG);
	ck_assert_int_eq(dkc_send(w->client, 2, 1, dk_slice_n(big, 2000), DK_RELIABLE), 0);
	for (n = 0; n < 100000 && dkc_send(w->client, 2, 1, dk_slice_n(big, 1000), DK_RELIABLE) == 0; n++)
		;
	ck_assert_int_lt(n, 100000);
	for (n = 0; n < 100000 && dkc_request(w->client, 2, 1, text(""), on_reply, "x") == 0; n++)
		;
	ck_assert_int_le(n, 1024);
}
END_TEST

START_TEST(a_long_frame_is_cut_and_put_together)
{
	static uint8_t big[30000];

	plain(_i == 1);
	w->server[0].frame = answer;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)('a' + i % 26);
	ck_assert_int_eq(dkc_request(w->client, 2, 1, dk_slice_n(big, sizeof(big)), on_reply, "big"), 0);
	ck_assert(world_until(w, "big:1:1:abcdefg"));
	ck_assert_ptr_nonnull(memmem(w->log, w->log_n, big, sizeof(big)));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("client");
	TCase *c = tcase_create("core");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, connects_and_keeps_alive, 0, 2);
	tcase_add_loop_test(c, the_client_key_goes_first, 0, 2);
	tcase_add_loop_test(c, without_a_key_none_is_sent, 0, 2);
	tcase_add_loop_test(c, answers_find_their_requests, 0, 2);
	tcase_add_loop_test(c, answers_may_change_places, 0, 2);
	tcase_add_test(c, refusals_have_words);
	tcase_add_loop_test(c, lists_of_pushes_are_unpacked, 0, 2);
	tcase_add_test(c, a_malformed_list_ends_where_it_breaks);
	tcase_add_loop_test(c, everything_once_and_in_order_through_loss, 0, 4);
	tcase_add_test(c, heartbeats_survive_loss);
	tcase_add_loop_test(c, follows_the_instruction_to_move, 0, 4);
	tcase_add_test(c, an_answer_may_come_from_the_new_server);
	tcase_add_test(c, nothing_new_goes_to_the_old_server);
	tcase_add_test(c, what_was_sent_is_acknowledged_first);
	tcase_add_loop_test(c, a_nonsense_instruction_is_ignored, 0, 5);
	tcase_add_loop_test(c, a_move_to_nowhere_ends, 0, 2);
	tcase_add_loop_test(c, the_server_says_goodbye, 0, 2);
	tcase_add_loop_test(c, after_the_goodbye_nothing_is_told, 0, 2);
	tcase_add_loop_test(c, the_client_says_goodbye, 0, 2);
	tcase_add_test(c, a_goodbye_that_does_not_wait);
	tcase_add_loop_test(c, closing_inside_an_event, 0, 2);
	tcase_add_test(c, an_unknown_sid_is_killed);
	tcase_add_loop_test(c, silence_ends_a_connection, 0, 2);
	tcase_add_loop_test(c, nobody_there, 0, 2);
	tcase_add_test(c, garbage_breaks_a_stream);
	tcase_add_test(c, garbage_does_not_disturb_datagrams);
	tcase_add_test(c, a_late_answer_is_not_the_next_ones);
	tcase_add_loop_test(c, offline_is_told_once, 0, 2);
	tcase_add_test(c, limits);
	tcase_add_loop_test(c, a_long_frame_is_cut_and_put_together, 0, 2);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
