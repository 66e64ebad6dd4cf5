/* SPDX-License-Identifier: Apache-2.0 */
#include "town.h"

#include <diarkis/carrier.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SETUP_MS 30000

static void die(const struct town *t, const char *what)
{
	fprintf(stderr, "seed %llu: %s\n", (unsigned long long)t->o.seed, what);
	exit(1);
}

void town_fail(struct town *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (*t->trouble)
		return;
	n = snprintf(t->trouble, sizeof(t->trouble), "at %llu ms: ", (unsigned long long)town_now(t));
	va_start(ap, fmt);
	vsnprintf(t->trouble + n, sizeof(t->trouble) - (size_t)n, fmt, ap);
	va_end(ap);
}

/* What happens to the players of one room, where SIM_ROOM names it. */
static void note(const struct town_player *p, const char *fmt, ...)
{
	const char *want = getenv("SIM_ROOM");
	va_list ap;

	if (!want || !*want || strtoul(want, NULL, 10) != p->room)
		return;
	fprintf(stderr, "%8llu  player %u ", (unsigned long long)town_now(p->town), p->index);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

uint64_t town_now(const struct town *t)
{
	return dk_sim_now(t->world);
}

/* ---- what they say and hear ---- */

void town_say(struct town *t, unsigned player)
{
	struct town_player *p = &t->player[player];
	uint8_t buf[40] = { 0 };
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!p->in_room || p->lost_ms || p->said == TOWN_NUMBERS)
		return;
	dk_wr_u32(&w, player);
	dk_wr_u32(&w, p->said);
	dk_wr_take(&w, 24);
	p->said_ms[p->said++] = town_now(t);
	if (dkc_room_broadcast(p->client, &p->id, dk_written(&w), true)) {
		p->said--; /* the client holds as much as it can, and said so: nothing is lost */
		return;
	}
	note(p, "says %u", p->said - 1);
	wires_pump(&p->wires);
}

bool town_heard(const struct town_player *p, const struct town_player *speaker, uint32_t number)
{
	return p->heard[speaker->seat][number / 64] >> (number % 64) & 1;
}

static void hear(struct town_player *p, dk_slice payload)
{
	struct dk_cursor c = dk_cursor_of(payload);
	uint32_t from = dk_rd_u32(&c), number = dk_rd_u32(&c);
	struct town *t = p->town;
	struct town_player *s;

	if (c.bad || from >= t->player_n || t->player[from].room != p->room || number >= t->player[from].said) {
		town_fail(t, "player %u heard what nobody said to it", p->index);
		return;
	}
	s = &t->player[from];
	t->heard++;
	note(p, "hears %u of player %u", number, from);
	p->heard_ms = town_now(t);
	if (town_heard(p, s, number)) {
		t->doubled++;
		town_fail(t, "player %u heard number %u of player %u twice", p->index, number, from);
	} else if (number < p->next[s->seat]) {
		town_fail(t, "player %u heard number %u of player %u after later ones", p->index, number, from);
	}
	p->heard[s->seat][number / 64] |= UINT64_C(1) << (number % 64);
	p->next[s->seat] = number + 1;
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct town_player *p = arg;

	(void)c;
	if (p->town->o.event)
		p->town->o.event(p, e);
	switch (e->kind) {
	case DKC_CONNECTED:
		note(p, "is connected");
		p->connected = true;
		break;
	case DKC_OFFLINE:
		note(p, "is told that its node goes down");
		break;
	case DKC_MOVING:
		note(p, "is sent to " DK_STR_FMT, DK_STR_ARG(e->address));
		break;
	case DKC_ROOM_MOVED:
		note(p, "is in %.*s", DK_ID52_LEN, e->room->c);
		p->id = *e->room;
		break;
	case DKC_RESPONSE:
		note(p, "is answered %u to %u.%u: %.*s", e->status, e->ver, e->cmd, (int)e->payload.n, (const char *)e->payload.p);
		break;
	case DKC_SEARCHING:
		note(p, "looks for its room");
		break;
	case DKC_ROOM_LOST:
	case DKC_DISCONNECTED:
		note(p, "has lost its %s", e->kind == DKC_ROOM_LOST ? "room" : "connection");
		if (!p->gone && !p->lost_ms)
			p->lost_ms = town_now(p->town);
		break;
	case DKC_PUSH:
		if (dkc_room_event(e) == DKC_ROOM_BROADCAST)
			hear(p, e->payload);
		break;
	default:
		break;
	}
}

/* ---- how they come into their rooms ---- */

static void on_in_room(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct town_player *p = arg;
	uint32_t created_s;

	(void)c;
	if (!dkc_room_joined(r, &p->id, &created_s)) {
		fprintf(stderr, "player %u at %llu ms: status %u: %.*s\n", p->index, (unsigned long long)town_now(p->town),
			r->status, DK_STR_ARG(dkc_reply_error(r, NULL)));
		die(p->town, "the room refused a player");
	}
	p->in_room = true;
}

static void enter(struct town_player *p)
{
	struct town *t = p->town;
	struct dkc_room_opts o = { .max_members = TOWN_ROOM_SIZE, .join = true, .ttl_s = 60 };
	const struct town_player *first = p - p->seat;
	int rc;

	if (p->asked || !p->connected || (p->seat && !first->in_room))
		return;
	p->asked = true;
	rc = p->seat ? dkc_room_join(p->client, &first->id, dk_slice_n(NULL, 0), on_in_room, p)
		     : dkc_room_create(p->client, &o, on_in_room, p);
	if (rc)
		die(t, "a request was not taken");
	wires_pump(&p->wires);
}

/* On a node by chance: most joins then lead to another one. */
static void player_open(struct town *t, unsigned i)
{
	struct town_player *p = &t->player[i];
	struct town_node *n = &t->node[1 + dk_sim_chance(t->world) % t->o.nodes];
	struct dkc_endpoint ep = { .protocol = DKC_UDP };
	struct dkc_opts o;
	char uid[16], at[32];
	dk_id user;
	int len = snprintf(uid, sizeof(uid), "player%u", i);

	*p = (struct town_player){ .town = t, .index = i, .room = i / t->o.room_size, .seat = i % t->o.room_size };
	snprintf(ep.host, sizeof(ep.host), "%s", n->ip);
	ep.port = dk_harness_addr(n->h, "udp")->port;
	if (n->users->create(n->users, dk_str_n(uid, (size_t)len), dk_str_c("UDP"), &ep.cred, &user))
		die(t, "a user was not created");
	dkc_opts_default(&o);
	o.event = on_event;
	o.arg = p;
	o.uid = dk_str_n(uid, (size_t)len);
	o.follow = true;
	snprintf(at, sizeof(at), "10.1.0.%u:5000", i + 1);
	if (dkc_client_new(t->ctx, &ep, &o, &p->client) || wires_open(&p->wires, t->world, p->client, false, at))
		die(t, "a client was not made");
}

static bool all_in(struct town *t)
{
	bool all = true;

	for (unsigned i = 0; i < t->player_n; i++) {
		enter(&t->player[i]);
		all &= t->player[i].in_room;
	}
	return all;
}

static void people(struct town *t)
{
	struct dkc_ctx_opts co;

	dkc_ctx_opts_default(&co);
	co.max_retry = 200;
	wires_chance(&co, t->world);
	t->player_n = t->o.rooms * t->o.room_size;
	t->player = calloc(t->player_n + 1, sizeof(*t->player));
	if (!t->player || dkc_ctx_new(&co, &t->ctx))
		die(t, "no memory for the players");
	for (unsigned i = 0; i < t->player_n; i++)
		player_open(t, i);
	for (uint64_t ms = 0; !all_in(t); ms += 5) {
		if (ms > SETUP_MS)
			die(t, "not all players came into their rooms");
		town_run(t, 5);
	}
	town_run(t, 100); /* a copy may be 50 ms behind: who came in just before its node dies may be lost with it */
}

/* ---- nodes ---- */

void town_start(struct town *t, unsigned i)
{
	struct town_node *n = &t->node[i];
	char conf[1024], timeout[48];
	const char *env[] = { timeout, NULL }, *level = getenv("SIM_LOG");

	if (!level || !*level)
		level = "warn";
	*n = (struct town_node){ .h = NULL };
	snprintf(n->ip, sizeof(n->ip), "10.0.0.%u", i + 1);
	snprintf(timeout, sizeof(timeout), "DIARKIS_SHUTDOWN_TIMEOUT=%u", t->o.grace_s);
	if (i == 0)
		snprintf(conf, sizeof(conf),
			 "log = { level = \"%s\"; }; plugins = { mesh = { address = \"%s\"; marsAddress = \"10.0.0.1\"; "
			 "mesh_insecure = true; };"
			 " mars = { serve = true; address = \"10.0.0.1\"; }; };",
			 level, n->ip);
	else
		/* maxRetry: under loss, ten re-sends would now and then end a connection that is well. */
		snprintf(conf, sizeof(conf),
			 "log = { level = \"%s\"; }; plugins = { mesh = { address = \"%s\"; marsAddress = \"10.0.0.1\"; "
			 "mesh_insecure = true; };"
			 " mars = { }; user = { }; room = { replicas = %u; };"
			 " udp = { address = \"%s\"; maxRetry = 200; packetRate = 100000; }; %s };",
			 level, n->ip, t->o.replicas, n->ip, t->o.more ? t->o.more : "");
	n->h = dk_harness_open(
		&(const struct dk_harness_opts){ .config = conf, .world = t->world, .env = env, .address = n->ip, .stay = true });
	if (!n->h || dk_begin(dk_harness_kernel(n->h)))
		die(t, "a node did not start");
	n->cluster = dk_harness_service(n->h, DK_CLUSTER_NAME);
	n->rooms = dk_harness_service(n->h, DK_ROOM_NAME);
	n->users = dk_harness_service(n->h, DK_USER_NAME);
	n->boot = ((struct dk_carrier *)dk_harness_service(n->h, DK_CARRIER_NAME))->boot;
	dk_addr_parse(dk_str_c(n->ip), 8000, &n->mesh);
}

enum dk_health town_sees_boot(struct town *t, unsigned a, unsigned b, uint64_t boot)
{
	struct dk_cluster *c = t->node[a].cluster;
	const struct dk_cluster_node *n = c->node(c, &t->node[b].mesh);

	return n && n->boot == boot ? n->health : (enum dk_health)0;
}

enum dk_health town_sees(struct town *t, unsigned a, unsigned b)
{
	return town_sees_boot(t, a, b, t->node[b].boot);
}

static bool all_see(struct town *t)
{
	for (unsigned a = 0; a < t->node_n; a++)
		for (unsigned b = 0; b < t->node_n; b++)
			if (!dk_is_started(dk_harness_kernel(t->node[a].h)) || (a != b && town_sees(t, a, b) != DK_ALIVE))
				return false;
	return true;
}

struct town *town_new(const struct town_opts *o)
{
	struct town *t = calloc(1, sizeof(*t));

	t->o = *o;
	t->world = dk_env_sim(o->seed);
	t->node_n = o->nodes + 1;
	for (unsigned i = 0; i < t->node_n; i++)
		town_start(t, i);
	for (uint64_t ms = 0; !all_see(t); ms += 50) {
		if (ms > SETUP_MS)
			die(t, "not all nodes see each other");
		town_run(t, 50);
	}
	people(t);
	return t;
}

static void print_counter(void *arg, const char *instance, const struct dk_counter *c, const void *value)
{
	(void)arg;
	if (c->kind == DK_COUNTER_HISTOGRAM || !*(const uint64_t *)value)
		return;
	if (strcmp(instance, "user") == 0 || strcmp(instance, "room") == 0)
		fprintf(stderr, "  %s %s %lld\n", instance, c->name, (long long)*(const int64_t *)value);
}

/* Its last words, where SIM_LOG, a level, wants them. */
static void last_words(struct town *t, unsigned i)
{
	const char *want = getenv("SIM_LOG");

	if (!want || !*want || !t->node[i].h)
		return;
	fprintf(stderr, "---- node %u, at %llu ms\n%s", i, (unsigned long long)town_now(t), dk_harness_log(t->node[i].h));
	dk_counters_each(dk_app(dk_harness_kernel(t->node[i].h)), print_counter, NULL);
}

/* Those that were told to stop are looked at and freed when they have. */
static void bury(struct town *t)
{
	for (unsigned i = 0; i < t->node_n; i++) {
		struct town_node *n = &t->node[i];

		if (!n->h || !dk_finished(dk_harness_kernel(n->h), NULL))
			continue;
		last_words(t, i);
		if (dk_harness_free(n->h))
			town_fail(t, "node %u did not end well", i);
		n->h = NULL;
	}
}

void town_run(struct town *t, uint64_t ms)
{
	dk_sim_run(t->world, ms);
	bury(t);
}

void town_kill(struct town *t, unsigned node)
{
	struct town_node *n = &t->node[node];

	last_words(t, node);
	dk_harness_kill(n->h);
	n->h = NULL;
}

void town_pause(struct town *t, unsigned node, bool on)
{
	struct town_node *n = &t->node[node];

	dk_harness_pause(n->h, on);
	n->paused = on;
}

void town_drain(struct town *t, unsigned node)
{
	struct town_node *n = &t->node[node];

	dk_stop(dk_harness_kernel(n->h));
	n->drained_ms = town_now(t);
}

unsigned town_owner(struct town *t, unsigned room)
{
	const struct town_player *p = &t->player[room * t->o.room_size];
	unsigned owner = 0;

	for (unsigned i = 1; i < t->node_n; i++) {
		struct town_node *n = &t->node[i];

		if (n->h && n->rooms->find(n->rooms, &p->id))
			owner = owner ? TOWN_NODES : i;
	}
	return owner;
}

int town_free(struct town *t)
{
	int rc = 0;

	for (unsigned i = 0; i < t->player_n; i++) {
		struct town_player *p = &t->player[i];

		p->gone = true;
		dkc_close(p->client);
		dkc_close(p->client);
		wires_pump(&p->wires);
	}
	town_run(t, 100);
	for (unsigned i = t->node_n; i-- > 0;)
		if (t->node[i].h) {
			last_words(t, i);
			rc |= dk_harness_free(t->node[i].h);
		}
	for (unsigned i = 0; i < t->player_n; i++)
		dkc_client_free(t->player[i].client);
	dkc_ctx_free(t->ctx);
	dk_env_free(t->world);
	free(t->player);
	free(t);
	return rc;
}
