/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin user: who is on this node. It owns the users' uids, property data and command queues, and joins every transport
 * of the node to the commands of the modules. It knows neither sockets nor rooms.
 *
 * A user is admitted to one transport when it is created and keeps that peer to its end; when the peer closes, the user is
 * discarded, and the other way round. A uid is on a node once: whoever comes second replaces the first. How long silence is
 * borne is the transport's business; a blank user has no transport and stays until disconnect().
 */
#include <errno.h>

#include <diarkis/user_commands.h>

#include "user_node_commands.h"
#include "user_state.h"

#define COMMANDS(X, R) USER_COMMANDS(X, R) USER_NODE_COMMANDS(X, R)
DK_COMMANDS(user, COMMANDS)

/* ---- what transports tell ---- */

static void on_opened(void *self, uint64_t id, dk_id peer, const struct dk_addr *from, bool again)
{
	struct users *s = self;
	struct user *u = user_get(s, id);
	struct dk_user_connected ev = { id, again };

	(void)from;
	if (!u || u->peer != peer || (u->flags & USER_DYING))
		return;
	u->flags |= USER_CONNECTED;
	if (u->more && u->more->arrival) {
		ev.again = true;
		user_arrival_opened(s, id, u);
	} else {
		u->flags &= (uint8_t)~USER_KEYED;
		user_again_free(s, u);
	}
	s->n.connected++;
	dk_emit(&s->svc.connected, &ev);
}

static void on_moved(void *self, uint64_t id, dk_id peer, const struct dk_addr *from)
{
	struct users *s = self;
	const struct user *u = user_get(s, id);
	struct dk_user_moved ev = { id, *from };

	if (!u || u->peer != peer || (u->flags & USER_DYING))
		return;
	s->n.moved++;
	dk_emit(&s->svc.moved, &ev);
}

static void on_closed(void *self, uint64_t id, dk_id peer, enum dk_reason reason)
{
	struct users *s = self;
	struct user *u = user_get(s, id);

	if (!u || u->peer != peer)
		return;
	u->peer = 0; /* about to be stale */
	if (!user_move_left(s, u, peer))
		user_discard(s, id, reason);
}

static size_t on_echo(void *self, uint64_t id, dk_id peer, dk_slice locals, uint8_t *dst, size_t cap)
{
	struct users *s = self;
	struct user *u = user_get(s, id);
	struct dk_writer notes = dk_writer_on(dst, cap);
	struct dk_user_keep_alive ev = { id, &notes };

	if (!u || u->peer != peer || (u->flags & USER_DYING))
		return 0;
	user_keep_locals(s, u, locals);
	dk_emit(&s->svc.keep_alive, &ev);
	if (notes.bad)
		s->n.notes_lost++;
	return dk_written(&notes).n;
}

/* ---- service ---- */

static struct dk_transport *svc_transport(struct dk_user *svc, dk_str type)
{
	return user_transport_of_type(users_of(svc), type, &(uint8_t){ 0 });
}

static int svc_create(struct dk_user *svc, dk_str uid, dk_str type, struct dk_credential *ret_cred, dk_id *ret_user)
{
	return user_make(users_of(svc), uid, type, NULL, ret_cred, ret_user);
}

static int svc_create_blank(struct dk_user *svc, dk_str uid, dk_id *ret_user)
{
	return user_make_blank(users_of(svc), uid, ret_user);
}

static bool svc_exists(struct dk_user *svc, dk_id user)
{
	return user_get(users_of(svc), user) != NULL;
}

static dk_id svc_by_uid(struct dk_user *svc, dk_str uid)
{
	return user_find_uid(users_of(svc), uid);
}

static dk_id svc_by_sid(struct dk_user *svc, const uint8_t sid[16])
{
	return user_find_sid(users_of(svc), sid);
}

static dk_str svc_uid(struct dk_user *svc, dk_id user)
{
	const struct user *u = user_get(users_of(svc), user);

	return u ? user_uid(u) : dk_str_n(NULL, 0);
}

static const uint8_t *svc_sid(struct dk_user *svc, dk_id user)
{
	const struct user *u = user_get(users_of(svc), user);

	return u ? u->sid : NULL;
}

static bool svc_is_connected(struct dk_user *svc, dk_id user)
{
	const struct user *u = user_get(users_of(svc), user);

	return u && (u->flags & USER_CONNECTED) && !(u->flags & USER_DYING);
}

static enum dk_transport_kind kind_of(const struct dk_transport *t)
{
	static const char *const roles[] = { [DK_VIA_TCP] = "TCP", [DK_VIA_UDP] = "UDP", [DK_VIA_WS] = "WS" };

	if (!t)
		return DK_VIA_NONE;
	for (size_t i = DK_VIA_TCP; i < DK_ARRAY_LEN(roles); i++)
		if (strcmp(t->role, roles[i]) == 0)
			return (enum dk_transport_kind)i;
	return DK_VIA_OTHER;
}

static int svc_info(struct dk_user *svc, dk_id user, struct dk_peer_info *ret_info, enum dk_transport_kind *ret_kind)
{
	struct users *s = users_of(svc);
	const struct user *u = user_get(s, user);
	struct dk_transport *t;

	if (!u)
		return DK_GONE;
	t = user_transport(s, u);
	if (t && t->info(t, u->peer, ret_info))
		return DK_GONE;
	if (!t)
		*ret_info = (struct dk_peer_info){ .open = false };
	*ret_kind = kind_of(t);
	return 0;
}

static uint32_t svc_latency_ms(struct dk_user *svc, dk_id user)
{
	enum dk_transport_kind kind;
	struct dk_peer_info info;

	return svc_info(svc, user, &info, &kind) == 0 ? info.rtt_ms : 0;
}

static dk_str svc_type(struct dk_user *svc, dk_id user)
{
	struct users *s = users_of(svc);
	const struct user *u = user_get(s, user);
	const struct dk_transport *t = u ? user_transport(s, u) : NULL;

	return dk_str_c(t ? t->type : NULL);
}

static dk_slice svc_locals(struct dk_user *svc, dk_id user)
{
	const struct user *u = user_get(users_of(svc), user);

	return u && u->more ? dk_slice_n(u->more->locals, u->more->locals_n) : dk_slice_n(NULL, 0);
}

static size_t svc_count(struct dk_user *svc)
{
	return (size_t)users_of(svc)->n.users;
}

static dk_id svc_next(struct dk_user *svc, uint32_t *slot)
{
	dk_id id = 0;

	return dk_table_next(&users_of(svc)->table, slot, &id) ? id : 0;
}

int user_send_now(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how)
{
	struct dk_transport *t = user_transport(s, u);
	int rc;

	if (!t)
		return 0;
	rc = t->send(t, u->peer, frame, how);
	if (rc == DK_FULL && (how & DK_RELIABLE))
		user_discard_later(s, id, u);
	return rc;
}

int user_send(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how)
{
	return u->flags & USER_DIVERTED ? user_divert(s, id, u, frame, how) : user_send_now(s, id, u, frame, how);
}

static int svc_push(struct dk_user *svc, dk_id user, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, user);
	struct dk_frame f = { .ver = ver, .status = DK_STATUS_PUSH, .cmd = cmd, .payload = payload };

	return u ? user_send(s, user, u, &f, how) : DK_GONE;
}

static int svc_respond(struct dk_user *svc, dk_id user, uint8_t ver, uint16_t cmd, enum dk_status status, dk_slice payload,
		       unsigned how)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, user);
	struct dk_frame f = { .ver = ver, .status = (uint8_t)status, .cmd = cmd, .payload = payload };

	return u ? user_send(s, user, u, &f, how) : DK_GONE;
}

static void svc_flush(struct dk_user *svc, dk_id user)
{
	struct users *s = users_of(svc);
	const struct user *u = user_get(s, user);
	struct dk_transport *t = u ? user_transport(s, u) : NULL;

	if (t)
		t->flush(t, u->peer);
}

static size_t svc_push_many(struct dk_user *svc, const dk_id *users, size_t n, uint8_t ver, uint16_t cmd, dk_slice payload,
			    unsigned how, bool flush)
{
	struct users *s = users_of(svc);
	struct dk_frame f = { .ver = ver, .status = DK_STATUS_PUSH, .cmd = cmd, .payload = payload };
	size_t took = 0;

	for (size_t i = 0; i < n; i++) {
		struct user *u = user_get(s, users[i]);
		struct dk_transport *t;

		if (!u)
			continue;
		took += user_send(s, users[i], u, &f, how) == 0;
		t = flush ? user_transport(s, u) : NULL;
		if (t)
			t->flush(t, u->peer);
	}
	return took;
}

static int svc_disconnect(struct dk_user *svc, dk_id user, enum dk_reason reason)
{
	struct users *s = users_of(svc);

	if (!user_get(s, user))
		return DK_GONE;
	user_discard(s, user, reason);
	return 0;
}

/* ---- commands of clients and operators ---- */

/* dk_user_move_fn; arg: the command. The answer of a move that comes about is the instruction itself. */
static void on_moved_away(void *self, void *arg, dk_id user, int err)
{
	struct users *s = self;
	uint8_t buf[160];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_frame f = { .cmd = (uint16_t)(uintptr_t)arg };
	struct user *u = user_get(s, user);

	if (!err || !u)
		return;
	f.status = (uint8_t)dk_error_body(s, DK_STATUS_ERR, err == DK_REFUSED ? DK_E_USER_MIGRATE : DK_E_NODE_NOT_FOUND,
					  err == DK_REFUSED ? "the other node did not take the user in; ask again"
							    : "the other node did not answer; ask again",
					  &w);
	f.payload = dk_written(&w);
	user_send(s, user, u, &f, DK_RELIABLE);
}

static int move_away(struct users *s, struct dk_call *call, dk_str type)
{
	const struct user *u = user_get(s, call->user);
	struct dk_transport *t = u ? user_transport(s, u) : NULL;
	const struct dk_cluster_node *node;
	int rc;

	if (!t)
		return dk_refuse(call, DK_E_USER_MIGRATE, "the user has no connection that could go elsewhere");
	if (!type.n)
		type = dk_str_c(t->type);
	if (!s->carrier || !s->cluster)
		return dk_refuse(call, DK_E_USER_MIGRATE, "this node is alone: there is no other one to go to");
	node = s->cluster->pick(s->cluster, type, true);
	if (!node)
		return dk_refuse(call, DK_E_USER_MIGRATE, "no other node serves %.*s and takes users now",
				 (int)(type.n < 64 ? type.n : 64), type.p);
	rc = user_move(&s->svc, s, call->user, &node->addr, type, dk_slice_n(NULL, 0), on_moved_away, (void *)(uintptr_t)call->cmd);
	if (rc > 0)
		return dk_refuse(call, DK_E_USER_MIGRATE, "the user is on its way to another node already");
	return rc;
}

static int on_move(struct users *s, struct dk_call *call, dk_slice unused)
{
	(void)unused;
	return move_away(s, call, dk_str_n(NULL, 0));
}

static int on_move_to_type(struct users *s, struct dk_call *call, dk_slice type)
{
	if (!type.n)
		return dk_refuse(call, DK_E_PARAMS, "the payload is the type of the servers to go to, such as UDP");
	return move_away(s, call, dk_str_of(type));
}

static int on_drain(struct users *s, struct dk_call *call)
{
	(void)call;
	dk_log(s, DK_NOTICE, "user.drain was called: this node goes down as on SIGTERM");
	dk_node_stop(s);
	return 0;
}

/* ---- commands of other nodes ---- */

static int on_arrive(struct users *s, struct dk_call *call, dk_str type, dk_slice bytes, dk_slice note)
{
	const char *host = "";
	struct dk_transport *t;
	uint16_t port = 0;
	dk_id id;
	int rc = user_arrive(s, bytes, type, &call->from, note, true, 0, &id);

	if (rc < 0)
		return rc;
	t = rc ? NULL : user_transport(s, user_get(s, id));
	if (t)
		t->endpoint(t, &host, &port);
	return on_arrive_answer(call, (uint8_t)rc, dk_str_c(host), port);
}

static int on_settle(struct users *s, struct dk_call *call, dk_slice sid, dk_slice taken, dk_slice frames)
{
	return user_arrival_settle(s, &call->from, sid, taken, frames);
}

static int on_create(struct users *s, struct dk_call *call, dk_str uid, dk_str type, dk_slice props)
{
	struct user_created made = { .credential_n = 0 };
	int rc = user_create_here(s, uid, type, props, &made);

	if (rc >= 0)
		rc = on_create_answer(call, (uint8_t)rc, dk_slice_n(made.credential, made.credential_n), made.host, made.port);
	explicit_bzero(&made, sizeof(made));
	return rc;
}

static int on_abandon(struct users *s, struct dk_call *call, dk_slice sid)
{
	return user_arrival_abandon(s, &call->from, sid);
}

static int on_here(struct users *s, struct dk_call *call, dk_slice sid)
{
	return user_move_here(s, &call->from, sid);
}

/* ---- phases ---- */

static void configure(const void *conf, struct dk_report *rep)
{
	const struct user_conf *c = conf;

	if (c->client_key && strlen(c->client_key) > 255)
		dk_report(rep, "client_key", "client_key is %zu bytes long; at most 255 fit the request header that carries it",
			  strlen(c->client_key));
}

static int init(void *self)
{
	struct users *s = self;
	const struct user_conf *c = user_conf(s);
	struct dk_user *svc = &s->svc;

	dk_table_init(s, &s->table, DK_KIND_USER, sizeof(struct user), (uint32_t)c->max_users, "users");
	s->client_key_n = c->client_key ? strlen(c->client_key) : 0;
	svc->create = svc_create;
	svc->create_blank = svc_create_blank;
	svc->transport = svc_transport;
	svc->exists = svc_exists;
	svc->by_uid = svc_by_uid;
	svc->by_sid = svc_by_sid;
	svc->uid = svc_uid;
	svc->sid = svc_sid;
	svc->is_connected = svc_is_connected;
	svc->info = svc_info;
	svc->latency_ms = svc_latency_ms;
	svc->type = svc_type;
	svc->locals = svc_locals;
	svc->count = svc_count;
	svc->next = svc_next;
	svc->set = user_set;
	svc->get = user_get_value;
	svc->unset = user_unset;
	svc->push = svc_push;
	svc->respond = svc_respond;
	svc->flush = svc_flush;
	svc->push_many = svc_push_many;
	svc->disconnect = svc_disconnect;
	svc->client_key_ok = user_client_key_ok;
	svc->create_with = user_create_with;
	svc->create_on = user_create_on;
	svc->carry = user_carry;
	svc->move_begin = user_move_begin;
	svc->move_commit = user_move_commit;
	svc->move_abort = user_move_abort;
	svc->move = user_move;
	svc->pack = user_pack;
	svc->unpack = user_unpack;
	svc->way = user_way;

	s->sink = (struct dk_peer_sink){
		.self = s,
		.opened = on_opened,
		.frame = user_inbox_frame,
		.moved = on_moved,
		.closed = on_closed,
		.echo = on_echo,
	};
	for (size_t i = 0; i < s->transports.n; i++) {
		struct dk_transport *t = s->transports.at[i];
		int rc = t->attach(t, &s->sink);

		if (rc == DK_EXISTS) {
			dk_log(s, DK_ERROR,
			       "transport %s already reports to another plugin; only one plugin of a node can keep its users",
			       t->base.instance);
			return -EEXIST;
		}
		if (rc < 0)
			return rc;
		if (svc_transport(svc, dk_str_c(t->type)) != t)
			dk_log(s, DK_WARN,
			       "%s has the same type as another transport, %s, so nobody is sent there; give it a name by its "
			       "option type",
			       t->base.instance, t->type);
	}
	return 0;
}

static void offline(void *self)
{
	user_drain_start(self);
}

static uint64_t busy(void *self, const char **ret_what)
{
	const struct users *s = self;

	*ret_what = "users";
	return (uint64_t)s->n.users;
}

static void stop(void *self, struct dk_step *step)
{
	struct users *s = self;
	uint32_t slot = 0;
	dk_id id;

	user_drain_stop(s);
	while ((id = svc_next(&s->svc, &slot))) {
		user_move_finish(s, id, user_get(s, id));
		user_discard(s, id, DK_REASON_SHUTDOWN);
	}
	dk_step_done(step, 0);
}

static void fini(void *self)
{
	struct users *s = self;
	uint32_t slot = 0;
	struct user *u;
	dk_id id;

	/* Users of a start that failed: nobody is left to be told. */
	while ((u = dk_table_next(&s->table, &slot, &id)))
		user_row_free(s, id, u);
	dk_map_fini(s, &s->by_uid);
	dk_map_fini(s, &s->by_sid);
	dk_table_fini(&s->table);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct users, svc, DK_USER), { 0 } };
static const struct dk_need needs[] = {
	DK_EACH_OF(struct users, transports, DK_TRANSPORT),
	DK_WANT(struct users, carrier, DK_CARRIER),
	DK_WANT(struct users, cluster, DK_CLUSTER),
	{ 0 },
};
static const struct dk_option options[] = {
	DK_INT(struct user_conf, max_users, "max_users", "0", 0, UINT32_MAX - 1,
	       "users at most, blank ones included; 0 = as memory allows"),
	DK_INT(struct user_conf, taken_at, "taken_at", "0", 0, UINT32_MAX - 1,
	       "from this many connected users on the node is TAKEN, until a tenth of them has left; 0 = never", .unit = "users"),
	DK_INT(struct user_conf, queue_frames, "queue_frames", "64", 1, 65536,
	       "frames of one user that may wait while a command of it is deferred"),
	DK_INT(struct user_conf, queue_bytes, "queue_bytes", "65536", 1, 16777216, "the same in bytes of payload", .unit = "bytes"),
	DK_INT(struct user_conf, command_timeout_s, "command_timeout_s", "10", 0, 3600,
	       "a deferred command is answered with an error after this long; 0 = never", .unit = "s", .flags = DK_RELOADABLE),
	DK_STR(struct user_conf, client_key, "client_key", NULL, "what clients must show first; empty or unset: nothing",
	       .env = "DIARKIS_CLIENT_KEY", .flags = DK_SECRET),
	{ 0 },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct users, users, "users that have a transport (CCU)"),
	DK_GAUGE(struct users, blank, "users without a transport"),
	DK_COUNTER(struct users, created, "users created"),
	DK_COUNTER(struct users, refused, "users not created: node not online, a limit, no memory"),
	DK_COUNTER(struct users, replaced, "users whose uid came again"),
	DK_COUNTER(struct users, discarded, "users discarded"),
	DK_COUNTER(struct users, connected, "connections opened, repeated ones included"),
	DK_COUNTER(struct users, moved, "changes of a client's address"),
	DK_COUNTER(struct users, frames, "commands from clients"),
	DK_COUNTER(struct users, unknown, "commands refused: unknown, or not for clients"),
	DK_COUNTER(struct users, overload, "commands refused because too many were under way on the node"),
	DK_COUNTER(struct users, queued, "commands that had to wait for an earlier one"),
	DK_COUNTER(struct users, queue_lost, "plain commands lost because too many waited"),
	DK_COUNTER(struct users, queue_full, "connections ended because too many reliable commands waited"),
	DK_COUNTER(struct users, before_key, "plain frames dropped that came before the client key"),
	DK_COUNTER(struct users, wrong_key, "connections ended for a missing or wrong client key"),
	DK_COUNTER(struct users, slow, "connections ended because their reliable output ran over"),
	DK_COUNTER(struct users, move_out, "users that went to another node"),
	DK_COUNTER(struct users, move_in, "users taken in from another node"),
	DK_COUNTER(struct users, move_refused,
		   "users of another node not taken in: OFFLINE, full, logged in here since, malformed"),
	DK_COUNTER(struct users, move_failed, "moves begun that did not come about; the user stayed, or left altogether"),
	DK_COUNTER(struct users, move_unclean,
		   "moves of which one side does not know that all went well: not all was acknowledged, or not all handed over"),
	DK_COUNTER(struct users, again_had, "frames that a client said again after a move and the other node had: dropped"),
	DK_COUNTER(struct users, again_bad, "malformed announcements of what a client says again"),
	DK_COUNTER(struct users, move_held, "commands that waited while their user was on its way"),
	DK_COUNTER(struct users, move_late, "frames to a client that went after it to the other node"),
	DK_COUNTER(struct users, move_lost, "frames of users on their way that were lost: beyond a limit, or their node gone"),
	DK_COUNTER(struct users, notes_lost, "echo replies whose notes did not fit"),
	{ 0 },
};
static const struct dk_ops ops = {
	.configure = configure, .init = init, .offline = offline, .busy = busy, .stop = stop, .fini = fini
};

DK_PLUGIN(user) = {
	DK_PLUGIN_HEAD("user", "1.0.0", "users: who is connected, their properties and their commands"),
	.self_size = sizeof(struct users),
	.conf_size = sizeof(struct user_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = user_commands,
	.counters = counters,
	.ops = &ops,
};
