/* SPDX-License-Identifier: Apache-2.0 */
#include "players.h"

#include <diarkis/user.h>

#include <stdio.h>
#include <stdlib.h>

#include "wires.h"

#define SETUP_MS 60000

struct player {
	struct scene *scene;
	unsigned index;
	struct dkc_client *client;
	struct wires wires;
	char room[DK_ID52_LEN];
	uint32_t said[2];
	bool connected, in_room, asked, gone;
};

struct scene {
	struct scene_opts o;
	struct dk_env *world;
	struct dk_harness *node;
	struct dkc_ctx *ctx;
	struct player *players;
};

static void die(const struct scene *s, const char *what)
{
	fprintf(stderr, "seed %llu: %s\n", (unsigned long long)s->o.seed, what);
	exit(1);
}

static void on_sent(void *arg, dk_slice datagram)
{
	struct player *p = arg;

	p->scene->o.tap(p->scene->o.arg, p->index, datagram);
}

static void hear(struct player *p, dk_slice payload)
{
	struct dk_cursor c = dk_cursor_of(payload);
	struct heard h = { .from = dk_rd_u32(&c), .seq = dk_rd_u32(&c), .reliable = dk_rd_u32(&c) != 0, .sent_us = dk_rd_u64(&c) };

	if (c.bad)
		die(p->scene, "a message arrived cut short");
	h.now_us = wires_now_us(p->scene->world);
	p->scene->o.heard(p->scene->o.arg, p->index, &h);
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct player *p = arg;

	(void)c;
	switch (e->kind) {
	case DKC_CONNECTED:
		p->connected = true;
		break;
	case DKC_DISCONNECTED:
		if (!p->gone)
			die(p->scene, dkc_reason_text(e->reason));
		break;
	case DKC_PUSH:
		if (e->ver == 1 && e->cmd == 103 && p->scene->o.heard)
			hear(p, e->payload);
		break;
	default:
		break;
	}
}

static void on_in_room(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;

	(void)c;
	if (!dkc_ok(r) || r->payload.n != 4 + DK_ID52_LEN) {
		fprintf(stderr, "player %u at %llu ms: status %u: %.*s\n", p->index,
			(unsigned long long)dk_sim_now(p->scene->world), r->status, DK_STR_ARG(dkc_reply_error(r, NULL)));
		die(p->scene, "the room refused a player");
	}
	memcpy(p->room, r->payload.p + 4, DK_ID52_LEN);
	p->in_room = true;
}

static void enter(struct player *p)
{
	struct scene *s = p->scene;
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (p->index == 0) {
		dk_wr_u16(&w, (uint16_t)(s->o.players < 2 ? 2 : s->o.players));
		dk_wr_u8(&w, 0);
		dk_wr_u8(&w, 1);
		dk_wr_u16(&w, 60);
		dk_wr_u16(&w, 0);
		dk_wr_u32(&w, s->o.interval_ms);
	} else {
		dk_wr_slice(&w, dk_slice_n(s->players[0].room, DK_ID52_LEN));
	}
	p->asked = true;
	if (dkc_request(p->client, 1, p->index ? 101 : 100, dk_written(&w), on_in_room, p))
		die(s, "a request was not taken");
	wires_pump(&p->wires);
}

static void player_open(struct scene *s, unsigned i, struct dk_user *users)
{
	struct player *p = &s->players[i];
	struct dkc_endpoint ep = { .protocol = DKC_UDP, .host = "10.0.0.1" };
	struct dkc_opts o;
	char text[32];
	dk_id user;
	int n = snprintf(text, sizeof(text), "player%u", i);

	p->scene = s;
	p->index = i;
	ep.port = dk_harness_addr(s->node, "udp")->port;
	if (users->create(users, dk_str_n(text, (size_t)n), dk_str_c("UDP"), &ep.cred, &user))
		die(s, "a user was not created");
	dkc_opts_default(&o);
	o.event = on_event;
	o.arg = p;
	snprintf(text, sizeof(text), "10.1.%u.%u:5000", i / 250, 1 + i % 250);
	if (s->o.tap)
		p->wires = (struct wires){ .tap = on_sent, .arg = p };
	if (dkc_client_new(s->ctx, &ep, &o, &p->client) || wires_open(&p->wires, s->world, p->client, false, text))
		die(s, "a client was not made");
}

static bool all_in(const struct scene *s)
{
	for (unsigned i = 0; i < s->o.players; i++)
		if (!s->players[i].in_room)
			return false;
	return true;
}

struct scene *scene_new(const struct scene_opts *o)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct dkc_ctx_opts co;
	struct dk_user *users;
	char conf[512];

	s->o = *o;
	snprintf(conf, sizeof(conf),
		 /* maxRetry: with a third of the acknowledgements lost, ten
		 * re-sends would now and then end a connection that is well. */
		 "plugins = { user = {}; room = {};"
		 " udp = { address = \"10.0.0.1\"; connectionTTL = 60; maxRetry = 200; packetRate = 100000; %s }; };",
		 o->udp ? o->udp : "");
	s->world = dk_env_sim(o->seed);
	dk_sim_link(s->world, NULL, NULL, &o->link);
	s->node = dk_harness_open(&(const struct dk_harness_opts){ .config = conf, .world = s->world });
	if (!s->node)
		die(s, "the node did not start");
	users = dk_harness_service(s->node, DK_USER_NAME);
	dkc_ctx_opts_default(&co);
	co.ttl_ms = 60000;
	co.max_retry = 200;
	wires_chance(&co, s->world);
	if (dkc_ctx_new(&co, &s->ctx))
		die(s, "no client context");
	s->players = calloc(o->players, sizeof(*s->players));
	for (unsigned i = 0; i < o->players; i++)
		player_open(s, i, users);
	for (uint64_t t = 0; !all_in(s); t++) {
		if (t == SETUP_MS)
			die(s, "not all players were in the room after a minute");
		for (unsigned i = 0; i < o->players; i++)
			if (s->players[i].connected && !s->players[i].asked && (i == 0 || s->players[0].in_room))
				enter(&s->players[i]);
		dk_sim_run(s->world, 1);
	}
	return s;
}

int scene_free(struct scene *s)
{
	int rc;

	for (unsigned i = 0; i < s->o.players; i++) {
		s->players[i].gone = true;
		dkc_close(s->players[i].client);
		wires_pump(&s->players[i].wires);
	}
	dk_sim_run(s->world, 200);
	rc = dk_harness_free(s->node);
	for (unsigned i = 0; i < s->o.players; i++)
		dkc_client_free(s->players[i].client);
	dkc_ctx_free(s->ctx);
	dk_env_free(s->world);
	free(s->players);
	free(s);
	return rc;
}

struct dk_env *scene_world(struct scene *s)
{
	return s->world;
}

struct dk_harness *scene_harness(struct scene *s)
{
	return s->node;
}

void scene_say(struct scene *s, unsigned player, bool reliable, size_t size)
{
	struct player *p = &s->players[player];
	uint8_t buf[2048] = { 0 };
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, reliable);
	dk_wr_slice(&w, dk_slice_n(p->room, DK_ID52_LEN));
	dk_wr_u32(&w, player);
	dk_wr_u32(&w, p->said[reliable]);
	dk_wr_u32(&w, reliable);
	dk_wr_u64(&w, wires_now_us(s->world));
	/* The rest of the message is zeroes. */
	if (size > 20)
		dk_wr_take(&w, size - 20);
	if (dkc_send(p->client, 1, 103, dk_written(&w), reliable ? DK_RELIABLE : DK_UNRELIABLE) == 0)
		p->said[reliable]++;
	else if (reliable)
		die(s, "a reliable message was not taken");
	wires_pump(&p->wires);
}

void scene_run(struct scene *s, uint64_t ms)
{
	dk_sim_run(s->world, ms);
}
