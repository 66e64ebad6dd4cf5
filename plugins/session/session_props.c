/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of sessions: kept by the home, in the order in which what changes them arrives there, and asked for from everywhere.
 * An update is a look and a change that is made only if nothing else was changed in between.
 */
#include "session_state.h"

const struct props_limits session_props_most = { DK_SESSION_PROPS_MAX, DK_SESSION_PROP_BYTES_MAX };

enum { NAMES_MAX = DK_SESSION_PROPS_MAX, UPDATES_MAX = 64 };

/* ---- the home ---- */

static void tell(struct sessions *s, struct session *ss, dk_str name, const struct dk_value *value)
{
	struct dk_session_property_event ev = { ss->handle, name, value };

	ss->changes++;
	dk_emit(&s->svc.property_changed, &ev);
}

static int say_number(struct dk_call *call, int64_t number)
{
	uint8_t buf[9];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, 0);
	dk_wr_u64(&w, (uint64_t)number);
	return dk_answer(call, dk_written(&w));
}

static bool value_of(dk_slice bytes, struct dk_value *ret_value)
{
	struct dk_cursor c = dk_cursor_of(bytes);

	*ret_value = dk_value_read(&c);
	return dk_rd_done(&c) && dk_value_ok(ret_value, DK_CAPSULE_DEPTH_MAX);
}

int session_on_set(struct sessions *s, struct dk_call *call, dk_str session, uint8_t how, uint64_t changes, dk_str name,
		   dk_slice bytes)
{
	struct session *ss = session_called(s, call, session, true);
	struct dk_value value = { .type = DK_V_NONE }, old;
	int64_t sum;
	int rc;

	if (!ss)
		return 0;
	if (how > SESSION_UNSET || (how != SESSION_UNSET && !value_of(bytes, &value)) ||
	    (how == SESSION_INCR && value.type != DK_V_INT))
		return session_say_outcome(call, -EINVAL);
	if (how == SESSION_SET_IF_SAME && changes != ss->changes)
		return session_say_outcome(call, DK_LATER);
	if (how == SESSION_SET_NEW && props_get(&ss->props, name, &old) == 0)
		return session_say_outcome(call, DK_EXISTS);
	if (how == SESSION_INCR) {
		rc = props_incr(s, &ss->props, &session_props_most, name, value.as.i, &sum);
		if (rc)
			return session_say_outcome(call, rc);
		value = dk_value_int_(DK_V_INT, sum);
		tell(s, ss, name, &value);
		return say_number(call, sum);
	}
	rc = how == SESSION_UNSET ? props_unset(s, &ss->props, name) : props_set(s, &ss->props, &session_props_most, name, &value);
	if (rc == 0)
		tell(s, ss, name, how == SESSION_UNSET ? NULL : &value);
	return session_say_outcome(call, rc);
}

int session_on_set_many(struct sessions *s, struct dk_call *call, dk_str session, dk_slice values)
{
	struct session *ss = session_called(s, call, session, true);
	struct dk_packed p = dk_packed_of(values);
	struct dk_value value;
	dk_id handle;
	dk_str name;
	int rc = 0;

	if (!ss)
		return 0;
	if (!dk_capsule_ok(values, DK_CAPSULE_DEPTH_MAX))
		return session_say_outcome(call, -EINVAL);
	handle = ss->handle;
	while (rc == 0 && ss && ss->phase == SESSION_LIVE && dk_packed_next(&p, &name, &value)) {
		rc = props_set(s, &ss->props, &session_props_most, name, &value);
		if (rc == 0)
			tell(s, ss, name, &value);
		ss = session_store_get(&s->store, handle);
	}
	return session_say_outcome(call, rc);
}

static bool is_listed(struct dk_list names, dk_str name)
{
	dk_str at;

	while (dk_list_next(&names, &at))
		if (dk_str_eq(at, name))
			return true;
	return false;
}

static int say_values(struct sessions *s, struct dk_call *call, const struct session *ss, struct dk_list names)
{
	size_t cap = 1 + 8 + props_packed_size(&ss->props);
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);
	const struct prop *at = NULL;
	struct dk_value value;
	uint8_t *count;
	uint16_t n = 0;
	dk_str name;

	dk_wr_u8(&w, 0);
	dk_wr_u64(&w, ss->changes);
	count = dk_wr_take(&w, 2);
	while (props_next(&ss->props, &at, &name, &value))
		if (is_listed(names, name)) {
			dk_wr_bytes8(&w, dk_slice_of(name));
			dk_value_write(&w, &value);
			n++;
		}
	if (w.bad)
		return session_say_outcome(call, -ENOMEM);
	count[0] = (uint8_t)(n >> 8);
	count[1] = (uint8_t)n;
	return dk_answer(call, dk_written(&w));
}

int session_on_get_many(struct sessions *s, struct dk_call *call, dk_str session, struct dk_list names)
{
	struct session *ss = session_called(s, call, session, false);

	if (!ss)
		return 0;
	return names.n > NAMES_MAX ? session_say_outcome(call, -EINVAL) : say_values(s, call, ss, names);
}

int session_on_get(struct sessions *s, struct dk_call *call, dk_str session, dk_str name)
{
	uint8_t buf[2 + PROPS_NAME_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct session *ss = session_called(s, call, session, false);
	struct dk_value value;

	if (!ss)
		return 0;
	if (props_get(&ss->props, name, &value))
		return session_say_outcome(call, DK_NOT_FOUND);
	dk_wr_bytes16(&w, dk_slice_of(name));
	return w.bad ? session_say_outcome(call, -EINVAL) : say_values(s, call, ss, (struct dk_list){ dk_written(&w), 1 });
}

/* ---- who asks ---- */

static void changed(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct session_asker *a = arg;
	struct dk_session_result r = { .rc = rc, .id = a->id };

	(void)s;
	if (rc == 0 && dk_rd_left(body))
		r.number = (int64_t)dk_rd_u64(body);
	session_asker_tell(a, &r);
}

static void got(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct session_asker *a = arg;
	struct dk_session_result r = { .rc = rc, .id = a->id };

	(void)s;
	if (rc == 0) {
		dk_rd_u64(body);
		r.values = dk_rd_rest(body);
		r.n = dk_packed_of(r.values).left;
	}
	session_asker_tell(a, &r);
}

/* Text before value in one payload; the value's size is at most what it has and 16 bytes. */
static size_t value_size(const struct dk_value *v)
{
	if (v->type == DK_V_STR)
		return v->as.s.n + 16;
	return (v->type == DK_V_BYTES || v->type == DK_V_CAPSULE || v->type > DK_V_ARRAY ? v->as.bytes.n : 0) + 16;
}

static int change(struct sessions *s, void *self, dk_str text, enum session_set_how how, uint64_t changes, dk_str name,
		  const struct dk_value *value, session_answer_fn *fn, dk_session_done_fn *done, void *arg)
{
	size_t cap = 2 + DK_SESSION_ID_LEN + 1 + 8 + 2 + name.n + (value ? value_size(value) : 0);
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);
	struct session_asker *a;
	struct dk_session_id id;
	int rc;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	if (!name.n || name.n > PROPS_NAME_MAX || (value && !dk_value_ok(value, DK_CAPSULE_DEPTH_MAX)))
		return -EINVAL;
	a = session_asker_new(s, self, done, arg);
	if (!a)
		return -ENOMEM;
	a->id = id;
	session_on_set_pack(&w, text, (uint8_t)how, changes, name, dk_slice_n(NULL, 0));
	if (value)
		dk_value_write(&w, value);
	rc = w.bad ? -ENOMEM : session_ask(s, &id, SESSION_NODE_SET, dk_written(&w), SESSION_SEARCH, fn, a);
	if (rc)
		session_asker_free(a);
	return rc;
}

static int svc_set(struct dk_session *svc, void *self, dk_str id, dk_str name, const struct dk_value *value, bool only_new,
		   dk_session_done_fn *done, void *arg)
{
	return change(sessions_of(svc), self, id, only_new ? SESSION_SET_NEW : SESSION_SET, 0, name, value, changed, done, arg);
}

static int svc_incr(struct dk_session *svc, void *self, dk_str id, dk_str name, int64_t delta, dk_session_done_fn *done, void *arg)
{
	struct dk_value v = dk_value_int_(DK_V_INT, delta);

	return change(sessions_of(svc), self, id, SESSION_INCR, 0, name, &v, changed, done, arg);
}

static int svc_unset(struct dk_session *svc, void *self, dk_str id, dk_str name, dk_session_done_fn *done, void *arg)
{
	return change(sessions_of(svc), self, id, SESSION_UNSET, 0, name, NULL, changed, done, arg);
}

static int svc_set_many(struct dk_session *svc, void *self, dk_str text, const struct dk_named_value *values, size_t n,
			dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	size_t cap = 2 + DK_SESSION_ID_LEN + 2;
	struct session_asker *a;
	struct dk_session_id id;
	struct dk_writer w;
	dk_slice packed;
	int rc;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	for (size_t i = 0; i < n; i++)
		cap += 1 + values[i].name.n + value_size(&values[i].value);
	w = dk_writer_on(dk_scratch(s, cap), cap);
	session_on_set_many_pack(&w, text, dk_slice_n(NULL, 0));
	packed.p = w.p;
	dk_wr_u16(&w, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		dk_wr_bytes8(&w, dk_slice_of(values[i].name));
		dk_value_write(&w, &values[i].value);
	}
	packed.n = (size_t)(w.p - packed.p);
	if (w.bad || n > DK_SESSION_PROPS_MAX || !dk_capsule_ok(packed, DK_CAPSULE_DEPTH_MAX))
		return -EINVAL;
	a = session_asker_new(s, self, done, arg);
	if (!a)
		return -ENOMEM;
	a->id = id;
	rc = session_ask(s, &id, SESSION_NODE_SET_MANY, dk_written(&w), SESSION_SEARCH, changed, a);
	if (rc)
		session_asker_free(a);
	return rc;
}

static int look(struct sessions *s, const struct dk_session_id *id, uint16_t cmd, const struct dk_writer *w, void *self,
		dk_session_done_fn *done, void *arg)
{
	struct session_asker *a = w->bad ? NULL : session_asker_new(s, self, done, arg);
	int rc;

	if (!a)
		return -ENOMEM;
	a->id = *id;
	rc = session_ask(s, id, cmd, dk_written(w), SESSION_AGAIN | SESSION_SEARCH, got, a);
	if (rc)
		session_asker_free(a);
	return rc;
}

static int svc_get(struct dk_session *svc, void *self, dk_str text, dk_str name, dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	uint8_t buf[2 + DK_SESSION_ID_LEN + 2 + PROPS_NAME_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_session_id id;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	if (!name.n || name.n > PROPS_NAME_MAX)
		return -EINVAL;
	session_on_get_pack(&w, text, name);
	return look(s, &id, SESSION_NODE_GET, &w, self, done, arg);
}

static int svc_get_many(struct dk_session *svc, void *self, dk_str text, const dk_str *names, size_t n, dk_session_done_fn *done,
			void *arg)
{
	struct sessions *s = sessions_of(svc);
	size_t cap = 2 + DK_SESSION_ID_LEN + 2;
	struct dk_session_id id;
	struct dk_writer w;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	for (size_t i = 0; i < n; i++)
		cap += 2 + names[i].n;
	if (n > NAMES_MAX)
		return -EINVAL;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	session_on_get_many_pack(&w, text, (struct dk_list){ { NULL, 0 }, (uint16_t)n });
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(names[i]));
	return look(s, &id, SESSION_NODE_GET_MANY, &w, self, done, arg);
}

/* ---- updates ---- */

struct updating {
	struct session_asker *asker; /* who wants to know */
	dk_session_update_fn *fn;
	unsigned tries;
	uint8_t name_n;
	char name[PROPS_NAME_MAX];
};

static void update_end(struct sessions *s, struct updating *u, int rc)
{
	struct dk_session_result r = { .rc = rc, .id = u->asker->id };

	session_asker_tell(u->asker, &r);
	dk_free(s, u, sizeof(*u));
}

static int update_look(struct sessions *s, struct updating *u);

static void update_set(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct updating *u = arg;

	(void)body;
	if (rc == DK_LATER && ++u->tries < UPDATES_MAX) { /* somebody was faster */
		rc = update_look(s, u);
		if (rc == 0)
			return;
	}
	update_end(s, u, rc == DK_LATER ? DK_SESSION_NO_NODE : rc);
}

static void update_looked(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct updating *u = arg;
	struct dk_value value = { .type = DK_V_NONE };
	dk_str name = dk_str_n(u->name, u->name_n);
	struct dk_writer w;
	uint64_t changes;
	size_t cap;

	if (rc == 0) {
		changes = dk_rd_u64(body);
		dk_packed_get(dk_rd_rest(body), name, &value);
		/* Who wanted it may have stopped. */
		rc = u->asker->self ? u->fn(u->asker->self, u->asker->arg, &value) : DK_GONE;
	}
	if (rc == 0 && !dk_value_ok(&value, DK_CAPSULE_DEPTH_MAX))
		rc = -EINVAL;
	if (rc == 0) {
		cap = 2 + DK_SESSION_ID_LEN + 1 + 8 + 2 + name.n + value_size(&value);
		w = dk_writer_on(dk_scratch(s, cap), cap);
		session_on_set_pack(&w, session_id_text(&u->asker->id), SESSION_SET_IF_SAME, changes, name, dk_slice_n(NULL, 0));
		dk_value_write(&w, &value);
		rc = w.bad ? -ENOMEM
			   : session_ask(s, &u->asker->id, SESSION_NODE_SET, dk_written(&w), SESSION_SEARCH, update_set, u);
		if (rc == 0)
			return;
	}
	update_end(s, u, rc);
}

static int update_look(struct sessions *s, struct updating *u)
{
	dk_str name = dk_str_n(u->name, u->name_n);
	uint8_t buf[2 + DK_SESSION_ID_LEN + 2 + 2 + PROPS_NAME_MAX], list[2 + PROPS_NAME_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), l = dk_writer_on(list, sizeof(list));

	dk_wr_bytes16(&l, dk_slice_of(name));
	session_on_get_many_pack(&w, session_id_text(&u->asker->id), (struct dk_list){ dk_written(&l), 1 });
	return session_ask(s, &u->asker->id, SESSION_NODE_GET_MANY, dk_written(&w), SESSION_AGAIN | SESSION_SEARCH, update_looked,
			   u);
}

static int svc_update(struct dk_session *svc, void *self, dk_str text, dk_str name, dk_session_update_fn *fn,
		      dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	struct updating *u;
	struct dk_session_id id;
	int rc;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	if (!name.n || name.n > PROPS_NAME_MAX)
		return -EINVAL;
	u = dk_alloc(s, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->fn = fn;
	u->name_n = (uint8_t)name.n;
	memcpy(u->name, name.p, name.n);
	u->asker = session_asker_new(s, self, done, arg);
	if (!u->asker) {
		dk_free(s, u, sizeof(*u));
		return -ENOMEM;
	}
	u->asker->id = id;
	rc = update_look(s, u);
	if (rc) {
		session_asker_free(u->asker);
		dk_free(s, u, sizeof(*u));
	}
	return rc;
}

void session_props_init(struct sessions *s)
{
	s->svc.set = svc_set;
	s->svc.set_many = svc_set_many;
	s->svc.incr = svc_incr;
	s->svc.unset = svc_unset;
	s->svc.get = svc_get;
	s->svc.get_many = svc_get_many;
	s->svc.update = svc_update;
}
