/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /room/create/TYPE/MAX_MEMBERS/TTL/INTERVAL on the node's HTTP server: makes an empty room, owned by nobody, on a random node
 * of that type which is ONLINE and not TAKEN, and answers its id as text. It lives for TTL seconds until somebody joins.
 *
 * Like the endpoint API it asks nobody who they are, so it is there by choice (`http_create`).
 */
#include <errno.h>

#include <diarkis/util.h>

#include "room_state.h"

enum { TRIES = 3, ANSWER_MS = 2000, NODE_MAKE = 33 };

/* A request that waits for a node. */
struct room_wish {
	struct room_wish *next;
	dk_id request;
	struct dk_room_opts opts;
	uint8_t tried_n, type_n;
	struct dk_addr tried[TRIES];
	char type[33];
};

static void wish_free(struct rooms *s, struct room_wish *w)
{
	struct room_wish **at = &s->wishes;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	dk_free(s, w, sizeof(*w));
}

/* ---- here ---- */

static int make(struct rooms *s, const struct dk_room_opts *o, struct dk_id52 *ret_id)
{
	struct dk_room_info info;
	dk_id room;
	int rc = s->svc.create(&s->svc, 0, o, &room);

	if (rc == 0)
		rc = s->svc.info(&s->svc, room, &info);
	if (rc == 0)
		*ret_id = info.id;
	return rc;
}

static struct dk_room_opts opts_of(uint16_t max_members, uint32_t ttl_s, uint32_t interval_ms)
{
	return (struct dk_room_opts){ .max_members = max_members, .allow_empty = true, .ttl_s = ttl_s, .interval_ms = interval_ms };
}

int room_on_make(struct rooms *s, struct dk_call *call, uint16_t max_members, uint32_t ttl_s, uint32_t interval_ms)
{
	struct dk_room_opts o = opts_of(max_members, ttl_s, interval_ms);
	struct dk_id52 id;
	int rc = make(s, &o, &id);

	if (rc < 0)
		return rc;
	return room_on_make_answer(call, (uint8_t)rc, rc ? dk_slice_n(NULL, 0) : dk_slice_n(id.c, DK_ID52_LEN));
}

/* ---- answers ---- */

static int say_id(struct rooms *s, dk_id request, const struct dk_id52 *id)
{
	s->n.http_created++;
	s->http->respond(s->http, request, 200, "text/plain", dk_str_n(NULL, 0), dk_slice_n(id->c, DK_ID52_LEN));
	return 0;
}

static int say_no_node(struct rooms *s, const struct room_wish *w)
{
	s->n.http_refused++;
	s->http->error(s->http, w->request, 503, "no server of type %.*s takes a new room now; ask again later", w->type_n,
		       w->type);
	return 0;
}

/* ---- on some node ---- */

static bool was_tried(const struct room_wish *w, const struct dk_addr *a)
{
	for (uint8_t i = 0; i < w->tried_n; i++)
		if (dk_addr_eq(&w->tried[i], a))
			return true;
	return false;
}

/* A random one of those that may be asked; this node is one of them. */
static bool pick(struct rooms *s, const struct room_wish *w, struct dk_addr *ret_addr)
{
	const struct dk_cluster_node *n = s->cluster->self(s->cluster);
	uint32_t slot = 0, alike = 0;

	for (; n; n = s->cluster->next(s->cluster, &slot)) {
		bool self = dk_addr_eq(&n->addr, dk_node_addr(s));

		if ((self ? dk_node_state(s) : n->state) != DK_ONLINE || (!self && n->health != DK_ALIVE) || was_tried(w, &n->addr))
			continue;
		if (!s->cluster->endpoint(s->cluster, n, dk_str_n(w->type, w->type_n), dk_str_n(NULL, 0)))
			continue;
		if (dk_chance(s) % ++alike == 0)
			*ret_addr = n->addr;
	}
	return alike > 0;
}

static void answered(void *self, void *arg, int err, int status, dk_slice body);

/* Returns 0 (answered) or DK_LATER. */
static int try_some(struct rooms *s, struct room_wish *w)
{
	uint8_t buf[10];
	struct dk_writer out = dk_writer_on(buf, sizeof(buf));
	struct dk_id52 id;
	struct dk_addr at;

	room_on_make_pack(&out, w->opts.max_members, w->opts.ttl_s, w->opts.interval_ms);
	while (w->tried_n < TRIES && pick(s, w, &at)) {
		w->tried[w->tried_n++] = at;
		if (!dk_addr_eq(&at, dk_node_addr(s))) {
			if (s->carrier->request(s->carrier, s, &at, DK_VER_NODE, NODE_MAKE, dk_written(&out), ANSWER_MS, answered,
						w, NULL) == 0)
				return DK_LATER;
		} else if (make(s, &w->opts, &id) == 0) {
			say_id(s, w->request, &id);
			wish_free(s, w);
			return 0;
		}
	}
	say_no_node(s, w);
	wish_free(s, w);
	return 0;
}

/* dk_carrier_done_fn. A node that may have made the room all the same has one that ends by itself. */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct rooms *s = self;
	struct room_wish *w = arg;
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	dk_slice text = dk_rd_rest(&c);
	struct dk_id52 id;

	if (err || status != DK_STATUS_OK || c.bad || outcome || text.n != DK_ID52_LEN) {
		try_some(s, w);
		return;
	}
	memcpy(id.c, text.p, DK_ID52_LEN);
	say_id(s, w->request, &id);
	wish_free(s, w);
}

/* ---- the route ---- */

/* A segment of the path, a whole number. False: it was answered. */
static bool number(struct rooms *s, const struct dk_http_request *req, const char *name, uint64_t least, uint64_t most,
		   uint64_t *ret_value)
{
	dk_str text = s->http->param(s->http, req, name);

	if (dk_uint_parse(text, most, ret_value) == 0 && *ret_value >= least)
		return true;
	s->n.http_refused++;
	s->http->error(s->http, req->id, 400, "%s is a whole number from %llu to %llu, and \"%.*s\" is none", name,
		       (unsigned long long)least, (unsigned long long)most, (int)(text.n < 32 ? text.n : 32), text.p ? text.p : "");
	return false;
}

static int create_here(struct rooms *s, const struct room_wish *w)
{
	struct dk_id52 id;
	int rc;

	if (!s->user->transport(s->user, dk_str_n(w->type, w->type_n))) {
		s->n.http_refused++;
		return s->http->error(s->http, w->request, 404,
				      "this server has no transport of type %.*s, and belongs to no cluster", w->type_n, w->type);
	}
	rc = make(s, &w->opts, &id);
	if (rc < 0)
		return rc;
	return rc ? say_no_node(s, w) : say_id(s, w->request, &id);
}

static int on_create(void *self, struct dk_http_request *req)
{
	struct rooms *s = self;
	dk_str type = s->http->param(s->http, req, "serverType");
	uint64_t max_members, ttl_s, interval_ms;
	struct room_wish *w;
	int rc;

	if (!number(s, req, "maxMembers", DK_ROOM_MEMBERS_MIN, DK_ROOM_MEMBERS_MAX, &max_members) ||
	    !number(s, req, "ttl", 1, UINT16_MAX, &ttl_s) || !number(s, req, "interval", 0, UINT32_MAX, &interval_ms))
		return 0;
	if (!type.n || type.n >= sizeof(w->type)) {
		s->n.http_refused++;
		return s->http->error(s->http, req->id, 400, "serverType is a type of servers, UDP or TCP, of 1 to %zu characters",
				      sizeof(w->type) - 1);
	}
	w = dk_alloc(s, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->request = req->id;
	w->opts = opts_of((uint16_t)max_members, (uint32_t)ttl_s, (uint32_t)interval_ms);
	w->type_n = (uint8_t)type.n;
	memcpy(w->type, type.p, type.n);
	w->next = s->wishes;
	s->wishes = w;
	if (s->carrier && s->cluster)
		return try_some(s, w);
	rc = create_here(s, w);
	wish_free(s, w);
	return rc;
}

int room_http_init(struct rooms *s)
{
	int rc;

	if (!room_conf(s)->http_create)
		return 0;
	if (!s->http) {
		dk_log(s, DK_WARN, "http_create is on, and this node has no plugin http: nobody can ask for rooms");
		return 0;
	}
	rc = s->http->route(s->http, s, "POST", "/room/create/{serverType=UDP}/{maxMembers=10}/{ttl=60}/{interval=0}",
			    "an empty room on a random server of that type; answers its id", on_create);
	if (rc == DK_EXISTS) {
		dk_log(s, DK_ERROR, "another plugin serves POST /room/create; only one of them can be on");
		return -EEXIST;
	}
	return rc;
}

void room_http_fini(struct rooms *s)
{
	while (s->wishes)
		wish_free(s, s->wishes);
}
