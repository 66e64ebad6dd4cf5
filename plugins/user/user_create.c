/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New users: of this node's own making, and on another node by request. Who makes one gets its credential; it is in the answer, and
 * nowhere else.
 */
#include <errno.h>

#include <diarkis/uuid.h>

#include "user_state.h"

/* ---- here ---- */

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

static void tell_created(struct users *s, dk_id id, void *arg)
{
	const struct user *u = user_get(s, id);
	struct dk_user_event ev = { id, user_uid(u), u->sid };

	(void)arg;
	s->n.created++;
	dk_emit(&s->svc.created, &ev);
}

int user_make(struct users *s, dk_str uid, dk_str type, struct props *props, struct dk_credential *ret_cred, dk_id *ret_id)
{
	const struct dk_transport *t = user_transport_of_type(s, type, &(uint8_t){ 0 });
	struct dk_credential cred;
	struct user *u;
	dk_id id, old;
	int rc;

	if (dk_node_state(s) != DK_ONLINE || dk_is_terminating(s)) {
		s->n.refused++;
		return DK_REFUSED;
	}
	if (!user_uid_ok(uid))
		return DK_USER_BAD_UID;
	if (!t)
		return DK_USER_NO_TRANSPORT;
	rc = make_credential(s, t->encrypted, &cred);
	if (rc < 0)
		return rc;
	old = user_find_uid(s, uid);
	rc = user_new(s, uid, type, &cred, &id, &u);
	if (rc)
		goto out;
	if (props && props->n) {
		struct user_more *more = user_more(s, u);

		if (!more) {
			user_discard(s, id, DK_REASON_NEVER);
			rc = -ENOMEM;
			goto out;
		}
		more->props = *props;
		*props = (struct props){ .first = NULL };
	}
	user_settle(s, id, old, tell_created, NULL);
	*ret_cred = cred;
	*ret_id = id;
out:
	if (rc)
		s->n.refused++;
	explicit_bzero(&cred, sizeof(cred));
	return rc;
}

static int collect(struct users *s, struct props *to, const struct dk_user_prop *props, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = props_set(s, to, &user_props_most, props[i].name, &props[i].value);
	return rc;
}

int user_create_with(struct dk_user *svc, dk_str uid, dk_str type, const struct dk_user_prop *props, size_t n,
		     struct dk_credential *ret_cred, dk_id *ret_user)
{
	struct users *s = users_of(svc);
	struct props kept = { .first = NULL };
	int rc = collect(s, &kept, props, n);

	if (rc == 0)
		rc = user_make(s, uid, type, &kept, ret_cred, ret_user);
	props_clear(s, &kept);
	return rc;
}

int user_make_blank(struct users *s, dk_str uid, dk_id *ret_id)
{
	struct dk_credential cred;
	struct user *u;
	dk_id id, old;
	int rc;

	if (!user_uid_ok(uid))
		return DK_USER_BAD_UID;
	rc = make_credential(s, false, &cred);
	if (rc < 0)
		return rc;
	old = user_find_uid(s, uid);
	rc = user_row_new(s, uid, cred.sid, &id, &u);
	if (rc) {
		s->n.refused++;
		return rc;
	}
	s->n.blank++;
	user_settle(s, id, old, tell_created, NULL);
	*ret_id = id;
	return 0;
}

/* ---- for another node ---- */

int user_create_here(struct users *s, dk_str uid, dk_str type, dk_slice props, struct user_created *ret_made)
{
	struct dk_transport *t = user_transport_of_type(s, type, &(uint8_t){ 0 });
	struct dk_writer w = dk_writer_on(ret_made->credential, sizeof(ret_made->credential));
	struct dk_cursor c = dk_cursor_of(props);
	struct props kept = { .first = NULL };
	struct dk_credential cred;
	const char *host;
	dk_id id;
	int rc;

	rc = props_unpack(s, &kept, &user_props_most, &c);
	if (rc == 0 && !dk_rd_done(&c))
		rc = -EPROTO;
	if (rc == 0)
		rc = user_make(s, uid, type, &kept, &cred, &id);
	props_clear(s, &kept);
	if (rc)
		return rc;
	dk_wr_u8(&w, cred.encrypted);
	dk_wr_slice(&w, dk_slice_n(cred.sid, 16));
	if (cred.encrypted) {
		dk_wr_slice(&w, dk_slice_n(cred.key, 16));
		dk_wr_slice(&w, dk_slice_n(cred.iv, 16));
		dk_wr_slice(&w, dk_slice_n(cred.mac_key, 16));
	}
	explicit_bzero(&cred, sizeof(cred));
	ret_made->credential_n = dk_written(&w).n;
	t->endpoint(t, &host, &ret_made->port);
	ret_made->host = dk_str_c(host);
	return 0;
}

/* ---- on another node ---- */

struct asked {
	struct users *s;
	void *self;
	dk_user_made_fn *fn;
	void *arg;
	dk_id request;
};

static void asked_undo(void *self, void *arg)
{
	struct asked *a = arg;

	(void)self;
	a->s->carrier->cancel(a->s->carrier, a->request);
	dk_free(a->s, a, sizeof(*a));
}

static void take16(struct dk_cursor *c, uint8_t to[16])
{
	const uint8_t *p = dk_rd_take(c, 16);

	if (p)
		memcpy(to, p, 16);
}

static int read_made(dk_slice body, struct dk_credential *ret_cred, dk_str *ret_host, uint16_t *ret_port)
{
	struct dk_cursor c = dk_cursor_of(body), in;
	uint8_t outcome = dk_rd_u8(&c);
	struct dk_credential cred = { .encrypted = false };

	in = dk_cursor_of(dk_rd_bytes16(&c));
	*ret_host = dk_str_of(dk_rd_bytes16(&c));
	*ret_port = dk_rd_u16(&c);
	if (!dk_rd_done(&c))
		return -EPROTO;
	if (outcome)
		return outcome;
	cred.encrypted = dk_rd_u8(&in) == 1;
	take16(&in, cred.sid);
	if (cred.encrypted) {
		take16(&in, cred.key);
		take16(&in, cred.iv);
		take16(&in, cred.mac_key);
	}
	*ret_cred = cred;
	explicit_bzero(&cred, sizeof(cred));
	return dk_rd_done(&in) && ret_host->n ? 0 : -EPROTO;
}

static void on_made(void *self, void *arg, int err, int status, dk_slice body)
{
	struct users *s = self;
	struct asked a = *(struct asked *)arg;
	struct dk_credential cred = { .encrypted = false };
	dk_str host = { NULL, 0 };
	uint16_t port = 0;

	dk_disown(a.self, asked_undo, arg);
	dk_free(s, arg, sizeof(a));
	if (err == 0)
		err = status == DK_STATUS_OK ? read_made(body, &cred, &host, &port) : -EPROTO;
	a.fn(a.self, a.arg, err, &cred, host, port);
	explicit_bzero(&cred, sizeof(cred));
}

int user_create_on(struct dk_user *svc, void *self, const struct dk_addr *node, dk_str uid, dk_str type,
		   const struct dk_user_prop *props, size_t n, uint32_t timeout_ms, dk_user_made_fn *done, void *arg)
{
	struct users *s = users_of(svc);
	struct props kept = { .first = NULL };
	struct asked *a = NULL;
	struct dk_writer w;
	uint8_t *buf = NULL;
	size_t cap;
	int rc;

	if (!s->carrier)
		return -EOPNOTSUPP;
	rc = collect(s, &kept, props, n);
	/* Per property a name's length, a type and a number or a length. */
	cap = 2 + uid.n + 2 + type.n + 2 + kept.bytes + kept.n * 10;
	if (rc)
		goto out;
	rc = -ENOMEM;
	a = dk_alloc(s, sizeof(*a));
	buf = dk_alloc(s, cap);
	if (!a || !buf)
		goto out;
	w = dk_writer_on(buf, cap);
	dk_wr_bytes16(&w, dk_slice_of(uid)); /* as on_create_pack() */
	dk_wr_bytes16(&w, dk_slice_of(type));
	props_pack(&kept, &w);
	rc = w.bad ? -EINVAL : 0;
	if (rc)
		goto out;
	*a = (struct asked){ s, self, done, arg, 0 };
	rc = dk_own(self, asked_undo, a, "a user asked for on another node");
	if (rc < 0)
		goto out;
	rc = s->carrier->request(s->carrier, s, node, DK_VER_NODE, 82, dk_written(&w), timeout_ms, on_made, a, &a->request);
	if (rc == 0)
		a = NULL;
	else
		dk_disown(self, asked_undo, a);
out:
	props_clear(s, &kept);
	dk_free(s, buf, cap);
	dk_free(s, a, sizeof(*a));
	return rc;
}
