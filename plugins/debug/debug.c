/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin debug: commands with which any client may change the state of a node and read what is on it. For test systems alone,
 * so it does not start unless the configuration says in so many words that this is one. It shows no sid and no key.
 */
#include <errno.h>

#include <jansson.h>

#include <diarkis/loop.h>
#include <diarkis/plugin.h>
#include <diarkis/room.h>
#include <diarkis/transport.h>
#include <diarkis/user.h>

#include "debug_commands.h"

enum {
	DUMP_MAX = 60000, /* below what a client command may answer */
	ANSWERED_MS = 100 /* who asked hears the answer first */
};

struct debug_conf {
	bool allow;
};
struct debug {
	struct dk_self base;
	struct dk_user *user;
	struct dk_room *room; /* NULL: there are no rooms here */
	struct dk_timer timer;
	struct {
		uint64_t states, dumps;
	} n;
};

DK_COMMANDS(debug, DEBUG_ROWS)

/* ---- the state of the node ---- */

static uint8_t state_of(struct debug *d)
{
	d->n.states++;
	return (uint8_t)dk_node_state(d);
}

static int on_online(struct debug *d, struct dk_call *call)
{
	dk_set_taken(d, false);
	return on_online_answer(call, state_of(d));
}

static int on_taken(struct debug *d, struct dk_call *call)
{
	dk_set_taken(d, true);
	return on_taken_answer(call, state_of(d));
}

static int on_offline(struct debug *d, struct dk_call *call)
{
	dk_node_stop(d);
	state_of(d);
	return on_offline_answer(call, DK_OFFLINE);
}

static void disconnect_all(void *self, struct dk_timer *t)
{
	struct debug *d = self;
	uint32_t slot = 0;
	dk_id user;

	(void)t;
	while ((user = d->user->next(d->user, &slot)))
		d->user->disconnect(d->user, user, DK_REASON_SHUTDOWN);
}

static int on_terminate(struct debug *d, struct dk_call *call)
{
	dk_node_stop(d);
	dk_timer_start(d, &d->timer, ANSWERED_MS, 0, disconnect_all);
	state_of(d);
	return on_terminate_answer(call, DK_OFFLINE);
}

/* ---- what is on it ---- */

/* Text of clients may be no UTF-8: such bytes are shown as question marks. */
static json_t *text(dk_str s)
{
	char buf[256];
	size_t n = s.n < sizeof(buf) ? s.n : sizeof(buf);
	json_t *t = json_stringn(s.p ? s.p : "", s.n);

	if (t)
		return t;
	for (size_t i = 0; i < n; i++)
		buf[i] = (unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] > 0x7e ? '?' : s.p[i];
	return json_stringn(buf, n);
}

static json_t *address(const struct dk_addr *a)
{
	char buf[DK_ADDR_TEXT];

	return json_stringn(buf, dk_addr_format(a, buf));
}

/* Bytes, arrays and capsules by their length. */
static json_t *value(const struct dk_value *v)
{
	switch (v->type) {
	case DK_V_BOOL:
		return json_boolean(v->as.b);
	case DK_V_F32:
	case DK_V_F64:
		return json_real(v->as.f);
	case DK_V_STR:
		return text(v->as.s);
	case DK_V_U64:
		return v->as.u <= INT64_MAX ? json_integer((json_int_t)v->as.u) : json_real((double)v->as.u);
	default:
		break;
	}
	if (dk_value_is_int(v->type))
		return json_integer(v->as.i);
	return json_pack("{s:I}", "bytes", (json_int_t)v->as.bytes.n);
}

static json_t *properties(struct debug *d, dk_id room)
{
	json_t *all = json_object();
	const void *at = NULL;
	struct dk_value v;
	dk_str name;

	while (d->room->next_property(d->room, room, &at, &name, &v)) {
		char key[256];

		if (name.n >= sizeof(key))
			continue;
		memcpy(key, name.p, name.n);
		key[name.n] = '\0';
		json_object_set_new(all, key, value(&v)); /* a name that is no UTF-8 is left out */
	}
	return all;
}

static json_t *room_dump(struct debug *d, dk_id room)
{
	struct dk_room_info info;
	json_t *members = json_array();
	const dk_id *ids;
	size_t n;

	if (d->room->info(d->room, room, &info)) {
		json_decref(members);
		return NULL;
	}
	ids = d->room->members(d->room, room, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(members, text(d->user->uid(d->user, ids[i])));
	return json_pack("{s:s#, s:o, s:o, s:i, s:i, s:i, s:i, s:i, s:b, s:o}", "id", info.id.c, (int)sizeof(info.id.c), "owner",
			 text(d->user->uid(d->user, info.owner)), "members", members, "maxMembers", info.max_members, "reserved",
			 info.reserved, "created", info.created_s, "ttl", info.ttl_s, "interval", info.interval_ms, "allowEmpty",
			 info.allow_empty, "properties", properties(d, room));
}

static json_t *user_dump(struct debug *d, dk_id user)
{
	static const char *const kinds[] = { "", "TCP", "UDP", "WS", "other" };
	struct dk_peer_info info;
	enum dk_transport_kind kind;
	struct dk_room_info room;
	json_t *u = json_pack("{s:o, s:o, s:b, s:i}", "uid", text(d->user->uid(d->user, user)), "type",
			      text(d->user->type(d->user, user)), "connected", d->user->is_connected(d->user, user), "latency",
			      (int)d->user->latency_ms(d->user, user));

	if (u && d->user->info(d->user, user, &info, &kind) == 0 && info.addr.family) {
		json_object_set_new(u, "transport", json_string(kinds[kind]));
		json_object_set_new(u, "address", address(&info.addr));
	}
	if (u && d->room && d->room->info(d->room, d->room->of_user(d->room, user), &room) == 0)
		json_object_set_new(u, "room", json_stringn(room.id.c, sizeof(room.id.c)));
	return u;
}

/* {"node":..., "state":..., NAME:[...], "more":how many did not fit}. all: the list is text already. */
struct dump {
	char *text;
	size_t n;
	unsigned shown, more;
};

static void add(struct dump *o, json_t *one)
{
	size_t room = DUMP_MAX - o->n, n = json_dumpb(one, NULL, 0, JSON_COMPACT);

	if (!one || !n || n + 2 > room) {
		o->more += one != NULL;
	} else {
		if (o->shown++)
			o->text[o->n++] = ',';
		o->n += json_dumpb(one, o->text + o->n, n, JSON_COMPACT);
	}
	json_decref(one);
}

static void begin(struct debug *d, struct dump *o, const char *name)
{
	static const char *const states[] = { "", "ONLINE", "OFFLINE", "TAKEN" };
	char at[DK_ADDR_TEXT];
	size_t n = dk_addr_format(dk_node_addr(d), at);

	o->n = (size_t)snprintf(o->text, DUMP_MAX, "{\"node\":\"%.*s\",\"state\":\"%s\",\"%s\":[", (int)n, at,
				states[dk_node_state(d)], name);
}

static dk_slice finish(struct dump *o)
{
	o->n += (size_t)snprintf(o->text + o->n, 64, "],\"more\":%u}", o->more);
	return dk_slice_n(o->text, o->n);
}

static int on_rooms(struct debug *d, struct dk_call *call)
{
	struct dump o = { .text = dk_scratch(d, DUMP_MAX + 64) };
	uint32_t slot = 0;
	dk_id room;

	if (!o.text)
		return -ENOMEM;
	begin(d, &o, "rooms");
	while (d->room && (room = d->room->next(d->room, &slot)))
		add(&o, room_dump(d, room));
	d->n.dumps++;
	return on_rooms_answer(call, finish(&o));
}

static int on_users(struct debug *d, struct dk_call *call)
{
	struct dump o = { .text = dk_scratch(d, DUMP_MAX + 64) };
	uint32_t slot = 0;
	dk_id user;

	if (!o.text)
		return -ENOMEM;
	begin(d, &o, "users");
	while ((user = d->user->next(d->user, &slot)))
		add(&o, user_dump(d, user));
	d->n.dumps++;
	return on_users_answer(call, finish(&o));
}

/* ---- phases ---- */

static void configure(const void *conf, struct dk_report *rep)
{
	const struct debug_conf *c = conf;

	if (!c->allow)
		dk_report(rep, "allow",
			  "every client that is connected may take the node OFFLINE and read who is on it, once this plugin is on: "
			  "say allow = true where that is meant, or take its section away");
}

/* ---- what the plugin is ---- */

static const struct dk_need needs[] = { DK_NEED(struct debug, user, DK_USER), DK_WANT(struct debug, room, DK_ROOM), { 0 } };
static const struct dk_option options[] = {
	DK_BOOL(struct debug_conf, allow, "allow", "false", "this is a test system: whoever is connected may do all this"),
	{ .name = NULL },
};
static const struct dk_counter counters[] = {
	DK_COUNTER(struct debug, states, "commands that changed the state of the node, or could have"),
	DK_COUNTER(struct debug, dumps, "dumps of rooms and users"),
	{ .name = NULL },
};
static const struct dk_ops ops = { .configure = configure };

DK_PLUGIN(debug) = {
	DK_PLUGIN_HEAD("debug", "1.0.0", "commands of test systems: states of the node, dumps of its rooms and users"),
	.self_size = sizeof(struct debug),
	.conf_size = sizeof(struct debug_conf),
	.needs = needs,
	.options = options,
	.commands = debug_commands,
	.counters = counters,
	.ops = &ops,
};
