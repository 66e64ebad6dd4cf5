/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onlinestatus: who is online, in a room, in which sessions; asked for by user id, on any node.
 *
 *   onlinestatus = { };                       with user and dive; room, session and http where they are there
 *   onlinestatus.get UIDS (2, 500)            statuses: n u16, n times {size u16, InRoom u8 (1 yes, 2 no),
 *                                               SessionData: n u16, n times {size u16, ID str16, Type u8}, UID str16}
 *   GET /onlinestatus/uids/1,2,3              {"1":{"InRoom":true,"SessionData":{"7":"<session id>"}}}
 *
 * The node that has a user keeps its status in dive for 10 seconds and says it again with each sign of life of its client; so a
 * user who is not heard of any more is offline by himself. To read some, their keys are grouped by the node that has them, and each
 * of these nodes is asked once. Who is not in the answer is offline.
 */
#include <diarkis/carrier.h>
#include <diarkis/derror.h>
#include <diarkis/dive.h>
#include <diarkis/http.h>
#include <diarkis/plugin.h>
#include <diarkis/room.h>
#include <diarkis/session.h>
#include <diarkis/td.h>
#include <diarkis/user.h>

#include <errno.h>
#include <stdio.h>

enum {
	TTL_S = 10,
	UIDS = 10, /* that may be asked for at once */
	UID_BYTES = 255,
	SESSIONS = 16, /* that are told of a user */
	STATUS_BYTES = 2048, /* of one packed status: more than UID_BYTES and SESSIONS of them */
	READ_MS = 3000,
	READ = 10500, /* the row between nodes */
	E_UIDS = DK_INVALID_PARAMETERS(500),
	E_BUSY = DK_SERVER_ERROR(500)
};

struct onlinestatus_conf {
	const char *node_type;
};

struct onlinestatus {
	struct dk_self base;
	struct dk_user *user;
	struct dk_dive *dive;
	struct dk_carrier *carrier; /* NULL: this node is alone */
	struct dk_room *room; /* NULL: nobody is in a room here, as far as is known */
	struct dk_session *session; /* likewise */
	struct dk_http *http; /* NULL: no HTTP here */
	struct dk_pool looks;
	struct look *all;
	struct {
		uint64_t told, looked_up, asked_away, failed;
	} n;
};

/* Somebody waits for the status of some users. */
struct look {
	struct look *next, **at;
	struct onlinestatus *o;
	unsigned waiting; /* questions that are open */
	enum { FOR_CLIENT, FOR_HTTP, FOR_NODE } who;
	dk_id call; /* or request of HTTP */
	size_t n;
	uint8_t bytes[UIDS * STATUS_BYTES]; /* packed statuses: u16 length, bytes */
};

static const struct dk_td_field fields[] = { { "InRoom", DK_V_BOOL },
					     { "SessionIDs", DK_V_ARRAY_OF(DK_V_STR) },
					     { "SessionTypes", DK_V_ARRAY_OF(DK_V_U8) },
					     { "UID", DK_V_STR } };

#define ONLINESTATUS_COMMANDS(X, R)                                                                                                \
	X(struct onlinestatus, 2, 500, "onlinestatus.get", on_get, DK_CLIENT | DK_ADMIN, "who of some users is online",            \
	  DK_IN(strs(uids)), DK_OUT(rest(statuses)))                                                                               \
	X(struct onlinestatus, DK_VER_NODE, READ, "onlinestatus.read", on_read, DK_INTERNAL, "reads some statuses of this node",   \
	  DK_IN(strs(uids)), DK_OUT(rest(statuses)))
DK_COMMANDS(onlinestatus, ONLINESTATUS_COMMANDS)

#define STORAGE dk_str_c("onlinestatus")

/* ---- telling ---- */

static void tell_done(void *self, void *arg, const struct dk_dive_result *r)
{
	struct onlinestatus *o = self;

	(void)arg;
	if (r->rc)
		o->n.failed++; /* the next sign of life says it again */
	else
		o->n.told++;
}

static void tell(struct onlinestatus *o, dk_id user)
{
	struct dk_session_of_user in[SESSIONS];
	uint8_t types[SESSIONS], ids[SESSIONS * (4 + DK_SESSION_ID_LEN)], packed[STATUS_BYTES];
	struct dk_writer id_list = dk_writer_on(ids, sizeof(ids)), w = dk_writer_on(packed, sizeof(packed));
	size_t n = o->session ? o->session->data_of_user(o->session, user, in, SESSIONS) : 0;
	struct dk_dive_ask ask = { .op = DK_DIVE_SET, .storage = STORAGE, .ttl_s = TTL_S, .n = 1 };
	struct dk_value value;
	DK_TD(td, fields);

	for (size_t i = 0; i < n && i < SESSIONS; i++) {
		types[i] = in[i].type;
		dk_array_add_str(&id_list, dk_str_n(in[i].id.c, sizeof(in[i].id.c)));
	}
	ask.key = o->user->uid(o->user, user);
	if (!ask.key.n || ask.key.n > UID_BYTES)
		return;
	dk_td_set_bool(&td, "InRoom", o->room && o->room->of_user(o->room, user));
	dk_td_set_array(&td, "SessionIDs", DK_V_STR, &id_list);
	dk_td_set_u8s(&td, "SessionTypes", dk_slice_n(types, n < SESSIONS ? n : SESSIONS));
	dk_td_set_str(&td, "UID", ask.key);
	dk_td_pack(&td, &w);
	if (w.bad)
		return;
	value = dk_value_bytes(dk_written(&w));
	ask.values = &value;
	if (o->dive->ask(o->dive, o, &ask, tell_done, NULL))
		o->n.failed++;
}

static void on_created(struct onlinestatus *o, const struct dk_user_event *ev)
{
	tell(o, ev->user);
}

static void on_keep_alive(struct onlinestatus *o, const struct dk_user_keep_alive *ev)
{
	tell(o, ev->user);
}

/* ---- answering ---- */

static void look_end(struct look *l)
{
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	dk_pool_put(&l->o->looks, l);
}

/* The next status of a list; false at its end. td borrows from it. */
static bool next_status(struct dk_cursor *list, struct dk_td *td)
{
	while (list->p < list->end) {
		dk_slice packed = dk_rd_bytes16(list);

		if (list->bad)
			return false;
		dk_td_clear(td);
		if (dk_td_unpack(td, packed) == 0)
			return true;
	}
	return false;
}

struct status {
	dk_str uid;
	bool in_room;
	dk_slice types;
	struct dk_array ids;
};

static struct status status_of(const struct dk_td *td)
{
	struct status s = { .in_room = false };

	dk_td_get_str(td, "UID", &s.uid);
	dk_td_get_bool(td, "InRoom", &s.in_room);
	if (dk_td_get_u8s(td, "SessionTypes", &s.types) || dk_td_get_array(td, "SessionIDs", DK_V_STR, &s.ids))
		s.types.n = 0;
	return s;
}

/* Each member of an array of structs has its size in front of it. */
static size_t sized_begin(struct dk_writer *w)
{
	dk_wr_u16(w, 0);
	return (size_t)(w->p - w->start);
}

static void sized_end(struct dk_writer *w, size_t begin)
{
	struct dk_writer size = dk_writer_on(w->start + begin - 2, 2);

	if (!w->bad)
		dk_wr_u16(&size, (uint16_t)((size_t)(w->p - w->start) - begin));
}

/* The fields in alphabetical order, truth values as 1 and 2: what code made for other clients of this sample reads. */
static void client_form(struct look *l, struct dk_writer *w)
{
	struct dk_cursor list = dk_cursor_of(dk_slice_n(l->bytes, l->n));
	struct dk_writer count = *w;
	struct dk_value id;
	uint16_t n = 0;
	DK_TD(td, fields);

	dk_wr_u16(w, 0);
	for (; next_status(&list, &td); n++) {
		struct status s = status_of(&td);
		size_t begin = sized_begin(w);

		dk_wr_u8(w, s.in_room ? 1 : 2);
		dk_wr_u16(w, (uint16_t)s.types.n);
		for (size_t i = 0; i < s.types.n && dk_array_next(&s.ids, &id); i++) {
			size_t one = sized_begin(w);

			dk_wr_bytes16(w, dk_slice_of(id.as.s));
			dk_wr_u8(w, s.types.p[i]);
			sized_end(w, one);
		}
		dk_wr_bytes16(w, dk_slice_of(s.uid));
		sized_end(w, begin);
	}
	if (!w->bad)
		dk_wr_u16(&count, n);
}

static void json_text(struct dk_writer *w, dk_str s)
{
	dk_wr_u8(w, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		char escaped[8];

		if (c == '"' || c == '\\')
			dk_wr_u8(w, '\\');
		if (c < 0x20)
			dk_wr_slice(w, dk_slice_n(escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", c)));
		else
			dk_wr_u8(w, c);
	}
	dk_wr_u8(w, '"');
}

#define SAY(w, text) dk_wr_slice(w, dk_slice_n(text, sizeof(text) - 1))

static void json_form(struct look *l, struct dk_writer *w)
{
	struct dk_cursor list = dk_cursor_of(dk_slice_n(l->bytes, l->n));
	struct dk_value id;
	char type[16];
	bool first = true;
	DK_TD(td, fields);

	SAY(w, "{");
	while (next_status(&list, &td)) {
		struct status s = status_of(&td);

		if (!first)
			SAY(w, ",");
		first = false;
		json_text(w, s.uid);
		SAY(w, ":{\"InRoom\":");
		if (s.in_room)
			SAY(w, "true");
		else
			SAY(w, "false");
		SAY(w, ",\"SessionData\":{");
		for (size_t i = 0; i < s.types.n && dk_array_next(&s.ids, &id); i++) {
			size_t n = (size_t)snprintf(type, sizeof(type), "%s\"%u\":", i ? "," : "", s.types.p[i]);

			dk_wr_slice(w, dk_slice_n(type, n));
			json_text(w, id.as.s);
		}
		SAY(w, "}}");
	}
	SAY(w, "}");
}

static void answer(struct look *l)
{
	enum { ROOM = 2 * UIDS * STATUS_BYTES };
	struct onlinestatus *o = l->o;
	struct dk_writer w = dk_writer_on(dk_scratch(o, ROOM), ROOM);
	struct dk_call *call = l->who == FOR_HTTP ? NULL : dk_call_get(o, l->call);
	dk_id id = l->call;

	if (l->who == FOR_HTTP) {
		json_form(l, &w);
		o->http->respond(o->http, id, 200, "application/json", dk_str_n(NULL, 0), dk_written(&w));
	} else if (call && l->who == FOR_CLIENT) {
		client_form(l, &w);
		on_get_answer(call, dk_written(&w));
	} else if (call) {
		on_read_answer(call, dk_slice_n(l->bytes, l->n));
	}
	if (call)
		dk_call_done(o, id, 0);
	look_end(l);
}

/* ---- looking up ---- */

static void one_less(struct look *l)
{
	if (--l->waiting == 0)
		answer(l);
}

static void keep(struct look *l, dk_slice statuses)
{
	if (statuses.n > sizeof(l->bytes) - l->n)
		return;
	if (statuses.n)
		memcpy(l->bytes + l->n, statuses.p, statuses.n);
	l->n += statuses.n;
}

/* dk_dive_done_fn */
static void on_status(void *self, void *arg, const struct dk_dive_result *r)
{
	struct look *l = arg;
	struct dk_dive_list values = r->values;
	uint8_t buf[2 + STATUS_BYTES];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_value v;

	(void)self;
	if (r->rc == 0 && dk_dive_next(&values, &v) && v.type == DK_V_BYTES) {
		dk_wr_bytes16(&w, v.as.bytes);
		keep(l, dk_written(&w));
	} else if (r->rc != DK_NOT_FOUND) {
		l->o->n.failed++;
	}
	one_less(l);
}

static void ask_dive(struct look *l, dk_str uid)
{
	struct onlinestatus *o = l->o;
	struct dk_dive_ask ask = { .op = DK_DIVE_GET, .storage = STORAGE, .key = uid };

	if (o->dive->ask(o->dive, o, &ask, on_status, l) == 0)
		l->waiting++;
	else
		o->n.failed++;
}

/* dk_carrier_done_fn */
static void on_node(void *self, void *arg, int err, int status, dk_slice body)
{
	struct onlinestatus *o = self;

	if (err || status != DK_STATUS_OK)
		o->n.failed++;
	else
		keep(arg, body);
	one_less(arg);
}

/* One question for all of one node's. */
static void ask_node(struct look *l, const struct dk_addr *node, const dk_str *uids, size_t n)
{
	struct onlinestatus *o = l->o;
	uint8_t buf[2 + UIDS * (2 + UID_BYTES)];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u16(&w, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(uids[i]));
	o->n.asked_away++;
	if (o->carrier->request(o->carrier, o, node, DK_VER_NODE, READ, dk_written(&w), READ_MS, on_node, l, NULL) == 0)
		l->waiting++;
	else
		o->n.failed++;
}

/* Those of the uids whose keys the same node has as the first of them; returns how many there were, and takes them out. */
static size_t group(struct look *l, dk_str *uids, size_t n)
{
	struct onlinestatus *o = l->o;
	struct dk_addr first, node;
	dk_str same[UIDS];
	size_t kept = 0, same_n = 0;
	bool away = o->carrier && o->dive->resolve(o->dive, STORAGE, uids[0], &first) == 0 && !dk_addr_eq(&first, dk_node_addr(o));

	for (size_t i = 0; i < n; i++) {
		if (i == 0 || (away && o->dive->resolve(o->dive, STORAGE, uids[i], &node) == 0 && dk_addr_eq(&first, &node)))
			same[same_n++] = uids[i];
		else
			uids[kept++] = uids[i];
	}
	if (away)
		ask_node(l, &first, same, same_n);
	else
		ask_dive(l, same[0]);
	return same_n;
}

static struct look *look_begin(struct onlinestatus *o, int who, dk_id call)
{
	struct look *l = dk_pool_get(&o->looks);

	if (!l)
		return NULL;
	l->o = o;
	l->who = who;
	l->call = call;
	l->waiting = 1; /* until all is asked */
	l->next = o->all;
	l->at = &o->all;
	if (l->next)
		l->next->at = &l->next;
	o->all = l;
	o->n.looked_up++;
	return l;
}

/* Returns how many there are, or 0: too many, none, or one that is no uid. */
static size_t uids_of(struct dk_list list, dk_str uids[UIDS])
{
	size_t n = 0;
	dk_str uid;

	while (dk_list_next(&list, &uid)) {
		if (n == UIDS || !uid.n || uid.n > UID_BYTES)
			return 0;
		uids[n++] = uid;
	}
	return n;
}

static int look_up(struct onlinestatus *o, struct dk_call *call, struct dk_list list, int who)
{
	dk_str uids[UIDS];
	size_t n = uids_of(list, uids);
	struct look *l;

	if (!n)
		return dk_refuse(call, E_UIDS, "1 to %d user ids of 1 to %d bytes were expected", UIDS, UID_BYTES);
	l = look_begin(o, who, call->id);
	if (!l)
		return dk_fail(call, E_BUSY, "too many are asking");
	if (who == FOR_NODE)
		for (size_t i = 0; i < n; i++)
			ask_dive(l, uids[i]);
	else
		while (n)
			n -= group(l, uids, n);
	one_less(l);
	return DK_LATER;
}

static int on_get(struct onlinestatus *o, struct dk_call *call, struct dk_list uids)
{
	return look_up(o, call, uids, FOR_CLIENT);
}

static int on_read(struct onlinestatus *o, struct dk_call *call, struct dk_list uids)
{
	return look_up(o, call, uids, FOR_NODE);
}

static int on_page(void *self, struct dk_http_request *req)
{
	struct onlinestatus *o = self;
	dk_str rest = o->http->param(o->http, req, "uids"), uids[UIDS];
	size_t n = 0;
	struct look *l;

	while (rest.n) {
		const char *comma = memchr(rest.p, ',', rest.n);
		size_t len = comma ? (size_t)(comma - rest.p) : rest.n;

		if (n == UIDS || !len || len > UID_BYTES)
			return o->http->error(o->http, req->id, 400, "1 to %d user ids were expected, with commas between", UIDS);
		uids[n++] = dk_str_n(rest.p, len);
		rest = dk_str_n(rest.p + len + (comma != NULL), rest.n - len - (comma != NULL));
	}
	l = n ? look_begin(o, FOR_HTTP, req->id) : NULL;
	if (!l)
		return o->http->error(o->http, req->id, n ? 503 : 400, n ? "too many are asking" : "there is no user id");
	while (n)
		n -= group(l, uids, n);
	one_less(l);
	return DK_LATER;
}

/* ---- phases ---- */

static int init(void *self)
{
	struct onlinestatus *o = self;
	const struct onlinestatus_conf *conf = o->base.conf;
	int rc;

	dk_pool_init(o, &o->looks, sizeof(struct look), 4096, "questions");
	if (!o->dive->exists(o->dive, STORAGE)) {
		rc = o->dive->create(o->dive, STORAGE, dk_str_c(conf->node_type), TTL_S);
		if (rc)
			return rc < 0 ? rc : -EINVAL;
	}
	rc = dk_connect(o, &o->user->created, on_created);
	if (rc == 0)
		rc = dk_connect(o, &o->user->keep_alive, on_keep_alive);
	if (rc == 0 && o->http)
		rc = o->http->route(o->http, o, "GET", "/onlinestatus/uids/{uids=1,2,3}", "who of some users is online", on_page);
	return rc < 0 ? rc : 0;
}

/* Who still waits is not told. */
static void fini(void *self)
{
	struct onlinestatus *o = self;

	while (o->all)
		look_end(o->all);
	dk_pool_fini(&o->looks);
}

static const struct dk_need needs[] = { DK_NEED(struct onlinestatus, user, DK_USER),
					DK_NEED(struct onlinestatus, dive, DK_DIVE),
					DK_WANT(struct onlinestatus, carrier, DK_CARRIER),
					DK_WANT(struct onlinestatus, room, DK_ROOM),
					DK_WANT(struct onlinestatus, session, DK_SESSION),
					DK_WANT(struct onlinestatus, http, DK_HTTP),
					{ 0 } };

static const struct dk_option options[] = {
	DK_STR(struct onlinestatus_conf, node_type, "node_type", "HTTP",
	       "which nodes keep it: those with an endpoint of this type; empty: those like this node"),
	{ 0 },
};

static const struct dk_counter counters[] = { DK_COUNTER(struct onlinestatus, told, "statuses told"),
					      DK_COUNTER(struct onlinestatus, looked_up, "questions for some users"),
					      DK_COUNTER(struct onlinestatus, asked_away, "other nodes asked for them"),
					      DK_COUNTER(struct onlinestatus, failed,
							 "statuses not told, or nodes that did not answer"),
					      { 0 } };

static const struct dk_ops ops = { .init = init, .fini = fini };

DK_PLUGIN(onlinestatus) = {
	DK_PLUGIN_HEAD("onlinestatus", "1.0.0", "who is online, in a room, in which sessions"),
	.self_size = sizeof(struct onlinestatus),
	.conf_size = sizeof(struct onlinestatus_conf),
	.needs = needs,
	.options = options,
	.commands = onlinestatus_commands,
	.counters = counters,
	.ops = &ops,
};
