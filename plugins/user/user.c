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

#include <diarkis/uuid.h>

#include "user_state.h"

/* ---- rows and maps ---- */

static dk_str uid_of(const struct user *u)
{
	return dk_str_n(u->uid_n > USER_UID_NEAR ? u->uid.far : u->uid.near, u->uid_n);
}

static struct dk_transport *transport_of(const struct users *s, const struct user *u)
{
	return u->transport == USER_NO_TRANSPORT ? NULL : s->transports.at[u->transport];
}

/* Only sids made here from random bytes are in the map, so their own bits will do. */
static uint32_t sid_hash(const uint8_t *sid)
{
	uint32_t h;

	memcpy(&h, sid, sizeof(h));
	return h;
}

static bool uid_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct users *s = arg;
	const struct user *u = user_get(s, dk_table_id_at(&s->table, slot));

	return u && dk_str_eq(uid_of(u), *(const dk_str *)key);
}

static bool sid_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct users *s = arg;
	const struct user *u = user_get(s, dk_table_id_at(&s->table, slot));

	return u && memcmp(u->sid, key, sizeof(u->sid)) == 0;
}

static dk_id find_uid(struct users *s, dk_str uid)
{
	uint32_t slot = dk_map_find(&s->by_uid, (uint32_t)dk_hash(s, dk_slice_of(uid)), uid_eq, s, &uid);

	return slot == DK_MAP_NONE ? 0 : dk_table_id_at(&s->table, slot);
}

static void row_free(struct users *s, dk_id id, struct user *u)
{
	dk_map_remove(&s->by_uid, u->uid_hash, dk_id_slot(id));
	dk_map_remove(&s->by_sid, sid_hash(u->sid), dk_id_slot(id));
	user_inbox_free(s, u);
	user_more_free(s, u);
	if (u->uid_n > USER_UID_NEAR)
		dk_free(s, u->uid.far, u->uid_n);
	dk_table_remove(&s->table, id);
}

/* A row with its uid and sid, in both maps. Another row with that uid stays findable until settle() takes it out. */
static int row_new(struct users *s, dk_str uid, const uint8_t sid[16], dk_id *ret_id, struct user **ret_user)
{
	struct user *u;
	dk_id id;

	u = dk_table_add(&s->table, &id);
	if (!u)
		return DK_FULL;
	u->uid_n = (uint16_t)uid.n;
	if (uid.n > USER_UID_NEAR) {
		u->uid.far = dk_alloc(s, uid.n);
		if (!u->uid.far)
			goto no_memory;
		memcpy(u->uid.far, uid.p, uid.n);
	} else {
		memcpy(u->uid.near, uid.p, uid.n);
	}
	u->transport = USER_NO_TRANSPORT;
	u->uid_hash = (uint32_t)dk_hash(s, dk_slice_of(uid));
	memcpy(u->sid, sid, sizeof(u->sid));
	if (dk_map_put(s, &s->by_sid, sid_hash(sid), dk_id_slot(id)) < 0)
		goto no_sid;
	if (dk_map_put(s, &s->by_uid, u->uid_hash, dk_id_slot(id)) < 0)
		goto no_uid;
	*ret_id = id;
	*ret_user = u;
	return 0;

no_uid:
	dk_map_remove(&s->by_sid, sid_hash(sid), dk_id_slot(id));
no_sid:
	if (u->uid_n > USER_UID_NEAR)
		dk_free(s, u->uid.far, u->uid_n);
no_memory:
	dk_table_remove(&s->table, id);
	return -ENOMEM;
}

static bool uid_ok(dk_str uid)
{
	if (!uid.n || uid.n > DK_UID_MAX)
		return false;
	for (size_t i = 0; i < uid.n; i++)
		if ((unsigned char)uid.p[i] < 0x20 || uid.p[i] == 0x7f)
			return false;
	return true;
}

/* ---- the end of a user ---- */

void user_discard(struct users *s, dk_id id, enum dk_reason reason)
{
	struct user *u = user_get(s, id);
	struct dk_user_discarded ev;
	struct dk_transport *t;
	dk_id peer;

	if (!u || (u->flags & USER_DYING))
		return;
	u->flags |= USER_DYING;
	ev = (struct dk_user_discarded){ id, uid_of(u), u->sid, reason, (u->flags & USER_CONNECTED) != 0 };
	dk_emit(&s->svc.discarded, &ev);

	/* Listeners may have said goodbye to it, so its peer goes after them. */
	t = transport_of(s, u);
	peer = u->peer;
	u->peer = 0;
	if (peer)
		t->close(t, peer, reason);
	if (t)
		s->n.users--;
	else
		s->n.blank--;
	dk_call_forget_user(s, id);
	s->n.discarded++;
	row_free(s, id, u);
}

static void discard_slow(void *self, uint64_t id)
{
	user_discard(self, id, DK_REASON_SLOW);
}

void user_discard_later(struct users *s, dk_id id, struct user *u)
{
	if (u->flags & (USER_SLOW | USER_DYING))
		return;
	s->n.slow++;
	if (dk_defer(s, discard_slow, id) == 0)
		u->flags |= USER_SLOW;
}

/* ---- what transports tell ---- */

static void on_opened(void *self, uint64_t id, dk_id peer, const struct dk_addr *from, bool again)
{
	struct users *s = self;
	struct user *u = user_get(s, id);
	struct dk_user_connected ev = { id, again };

	(void)from;
	if (!u || u->peer != peer || (u->flags & USER_DYING))
		return;
	u->flags = (uint8_t)((u->flags | USER_CONNECTED) & ~USER_KEYED);
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
	user_discard(s, id, reason);
}

static void keep_locals(struct users *s, struct user *u, dk_slice locals)
{
	struct user_more *more;
	uint8_t *copy;

	if (!locals.n || locals.n > USER_LOCALS_MAX)
		return;
	more = user_more(s, u);
	copy = more ? dk_alloc(s, locals.n) : NULL;
	if (!copy)
		return;
	memcpy(copy, locals.p, locals.n);
	dk_free(s, more->locals, more->locals_n);
	more->locals = copy;
	more->locals_n = locals.n;
}

static size_t on_echo(void *self, uint64_t id, dk_id peer, dk_slice locals, uint8_t *dst, size_t cap)
{
	struct users *s = self;
	struct user *u = user_get(s, id);
	struct dk_writer notes = dk_writer_on(dst, cap);
	struct dk_user_keep_alive ev = { id, &notes };

	if (!u || u->peer != peer || (u->flags & USER_DYING))
		return 0;
	keep_locals(s, u, locals);
	dk_emit(&s->svc.keep_alive, &ev);
	if (notes.bad)
		s->n.notes_lost++;
	return dk_written(&notes).n;
}

/* ---- service ---- */

static struct dk_transport *svc_transport(struct dk_user *svc, dk_str type)
{
	struct users *s = users_of(svc);

	for (size_t i = 0; i < s->transports.n; i++)
		if (dk_str_eq(dk_str_c(s->transports.at[i]->type), type))
			return s->transports.at[i];
	return NULL;
}

static int make_credential(struct users *s, bool encrypted, struct dk_credential *ret_cred)
{
	uint8_t bytes[64];
	struct dk_uuid sid;
	int rc = dk_random(s, bytes, sizeof(bytes));

	if (rc < 0)
		return rc;
	memset(ret_cred, 0, sizeof(*ret_cred));
	memcpy(&sid, bytes, sizeof(sid));
	dk_uuid_mark(&sid);
	memcpy(ret_cred->sid, sid.b, sizeof(ret_cred->sid));
	ret_cred->encrypted = encrypted;
	if (encrypted) {
		memcpy(ret_cred->key, bytes + 16, 16);
		memcpy(ret_cred->iv, bytes + 32, 16);
		memcpy(ret_cred->mac_key, bytes + 48, 16);
	}
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

/* A new user is complete: everybody is told, and whoever had its uid before is discarded. */
static void settle(struct users *s, dk_id id, struct user *u, dk_id old_id)
{
	struct dk_user_event created = { id, uid_of(u), u->sid };
	const struct user *old = user_get(s, old_id);

	if (old)
		dk_map_remove(&s->by_uid, old->uid_hash, dk_id_slot(old_id));
	s->n.created++;
	dk_emit(&s->svc.created, &created);
	old = user_get(s, old_id);
	u = user_get(s, id);
	if (!old || !u)
		return;
	s->n.replaced++;
	dk_emit(&s->svc.sid_updated, &((struct dk_user_sid_updated){ old_id, id, old->sid, u->sid }));
	user_discard(s, old_id, DK_REASON_REPLACED);
}

static int svc_create(struct dk_user *svc, dk_str uid, dk_str type, struct dk_credential *ret_cred, dk_id *ret_user)
{
	struct users *s = users_of(svc);
	struct dk_credential cred;
	struct dk_transport *t;
	struct user *u;
	dk_id id, old, peer;
	uint8_t index = 0;
	int rc;

	if (dk_node_state(s) != DK_ONLINE || dk_is_terminating(s)) {
		s->n.refused++;
		return DK_REFUSED;
	}
	if (!uid_ok(uid))
		return DK_USER_BAD_UID;
	t = svc_transport(svc, type);
	if (!t)
		return DK_USER_NO_TRANSPORT;
	while (s->transports.at[index] != t)
		index++;
	rc = make_credential(s, t->encrypted, &cred);
	if (rc < 0)
		return rc;
	old = find_uid(s, uid);
	rc = row_new(s, uid, cred.sid, &id, &u);
	if (rc)
		goto refused;
	rc = t->admit(t, &cred, id, &peer);
	if (rc) {
		row_free(s, id, u);
		goto refused;
	}
	u->peer = peer;
	u->transport = index;
	s->n.users++;
	settle(s, id, u, old);
	*ret_cred = cred;
	*ret_user = id;
	explicit_bzero(&cred, sizeof(cred));
	return 0;

refused:
	s->n.refused++;
	explicit_bzero(&cred, sizeof(cred));
	return rc == DK_EXISTS ? -EEXIST : rc;
}

static int svc_create_blank(struct dk_user *svc, dk_str uid, dk_id *ret_user)
{
	struct users *s = users_of(svc);
	struct dk_credential cred;
	struct user *u;
	dk_id id, old;
	int rc;

	if (!uid_ok(uid))
		return DK_USER_BAD_UID;
	rc = make_credential(s, false, &cred);
	if (rc < 0)
		return rc;
	old = find_uid(s, uid);
	rc = row_new(s, uid, cred.sid, &id, &u);
	if (rc) {
		s->n.refused++;
		return rc;
	}
	s->n.blank++;
	settle(s, id, u, old);
	*ret_user = id;
	return 0;
}

static bool svc_exists(struct dk_user *svc, dk_id user)
{
	return user_get(users_of(svc), user) != NULL;
}

static dk_id svc_by_uid(struct dk_user *svc, dk_str uid)
{
	return find_uid(users_of(svc), uid);
}

static dk_id svc_by_sid(struct dk_user *svc, const uint8_t sid[16])
{
	struct users *s = users_of(svc);
	uint32_t slot = dk_map_find(&s->by_sid, sid_hash(sid), sid_eq, s, sid);

	return slot == DK_MAP_NONE ? 0 : dk_table_id_at(&s->table, slot);
}

static dk_str svc_uid(struct dk_user *svc, dk_id user)
{
	const struct user *u = user_get(users_of(svc), user);

	return u ? uid_of(u) : dk_str_n(NULL, 0);
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
	t = transport_of(s, u);
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

int user_send(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how)
{
	struct dk_transport *t = transport_of(s, u);
	int rc;

	if (!t)
		return 0;
	rc = t->send(t, u->peer, frame, how);
	if (rc == DK_FULL && (how & DK_RELIABLE))
		user_discard_later(s, id, u);
	return rc;
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
	struct dk_transport *t = u ? transport_of(s, u) : NULL;

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
		t = flush ? transport_of(s, u) : NULL;
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

	while ((id = svc_next(&s->svc, &slot)))
		user_discard(s, id, DK_REASON_SHUTDOWN);
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
		row_free(s, id, u);
	dk_map_fini(s, &s->by_uid);
	dk_map_fini(s, &s->by_sid);
	dk_table_fini(&s->table);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct users, svc, DK_USER), { 0 } };
static const struct dk_need needs[] = { DK_EACH_OF(struct users, transports, DK_TRANSPORT), { 0 } };
static const struct dk_option options[] = {
	DK_INT(struct user_conf, max_users, "max_users", "0", 0, UINT32_MAX - 1,
	       "users at most, blank ones included; 0 = as memory allows"),
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
	DK_COUNTER(struct users, notes_lost, "echo replies whose notes did not fit"),
	{ 0 },
};
static const struct dk_ops ops = { .configure = configure, .init = init, .busy = busy, .stop = stop, .fini = fini };

DK_PLUGIN(user) = {
	DK_PLUGIN_HEAD("user", "1.0.0", "users: who is connected, their properties and their commands"),
	.self_size = sizeof(struct users),
	.conf_size = sizeof(struct user_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.counters = counters,
	.ops = &ops,
};
