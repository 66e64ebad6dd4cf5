/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of a room: typed values by name, set by code and, as bytes, by its members' clients.
 *
 * Everything that happens to a room happens in one order, so a change is never seen in the middle. An update of several is all or
 * nothing: while its function runs, what the service's set(), incr() and unset() do to that room is silent, and taken back as a
 * whole unless the function says yes. Then listeners hear once that the properties changed, and of each that is another one than
 * before.
 *
 * Handlers may do anything to the room meanwhile, so nothing here holds a pointer to one across a signal or an update's function.
 */
#include "room_data.h"

#include <errno.h>

static const struct props_limits most = { DK_ROOM_PROPS_MAX, DK_ROOM_PROP_BYTES_MAX };
static const struct props_limits no_limits = { UINT32_MAX, UINT32_MAX };

/* ---- telling ---- */

static bool tell_of_change(struct rooms *s, dk_id room)
{
	struct dk_room_member_event ev = { .room = room, .change = DK_ROOM_PROPERTIES_CHANGED };
	const struct room *r = room_live(s, room);

	if (!r)
		return false;
	ev.members = r->member_n;
	dk_emit(&s->svc.changed, &ev);
	return room_live(s, room) != NULL;
}

static void tell_of_property(struct rooms *s, dk_id room, dk_str name, const struct dk_value *value)
{
	struct dk_room_property_event ev = { room, name, value };

	dk_emit(&s->svc.property_changed, &ev);
}

/* ---- one at a time ---- */

/* Before a change: what there was is remembered once. */
static int about_to_change(struct rooms *s, struct room *r)
{
	struct room_edit *e = r->edit;
	const struct prop *at = NULL;
	struct dk_value v;
	dk_str name;
	int rc = 0;

	if (!e || e->copied)
		return 0;
	while (rc == 0 && props_next(&r->props, &at, &name, &v))
		rc = props_set(s, &e->before, &no_limits, name, &v);
	if (rc)
		props_clear(s, &e->before);
	e->copied = rc == 0;
	return rc;
}

static void record_change(struct rooms *s, struct room *r, enum room_log_kind kind, dk_str name, const struct dk_value *value,
			  int64_t delta, int rc)
{
	struct room_log_event e = { .kind = kind, .name = name, .delta = delta, .outcome = rc };

	if (value)
		e.value = *value;
	room_record(s, r, &e);
}

/* What came of an attempt to change one. */
static int outcome(struct rooms *s, struct room *r, enum room_log_kind kind, dk_str name, const struct dk_value *value,
		   int64_t delta, int rc)
{
	s->n.props_refused += rc == DK_FULL || rc == DK_REFUSED || rc == -EINVAL;
	if (r->recorded)
		record_change(s, r, kind, name, value, delta, rc);
	return rc;
}

static int not_live(struct rooms *s, dk_id room, enum room_log_kind kind, dk_str name, const struct dk_value *value, int64_t delta)
{
	struct room *r = room_any(s, room);
	int rc = room_why_not(s, room);

	if (r && r->recorded)
		record_change(s, r, kind, name, value, delta, rc);
	return rc;
}

static int svc_set(struct dk_room *svc, dk_id room, dk_str name, const struct dk_value *value)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	int rc;

	if (!r)
		return not_live(s, room, ROOM_LOG_SET, name, value, 0);
	rc = about_to_change(s, r);
	if (rc == 0)
		rc = props_set(s, &r->props, &most, name, value);
	if (outcome(s, r, ROOM_LOG_SET, name, value, 0, rc) || r->edit)
		return rc;
	room_touched(s, r);
	if (tell_of_change(s, room))
		tell_of_property(s, room, name, value);
	return 0;
}

static int svc_incr(struct dk_room *svc, dk_id room, dk_str name, int64_t delta, int64_t *ret_value)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	struct dk_value v = { .type = DK_V_INT };
	int rc;

	if (!r)
		return not_live(s, room, ROOM_LOG_INCR, name, NULL, delta);
	rc = about_to_change(s, r);
	if (rc == 0)
		rc = props_incr(s, &r->props, &most, name, delta, &v.as.i);
	if (rc == 0 && !r->edit)
		room_refresh(s, r);
	if (outcome(s, r, ROOM_LOG_INCR, name, NULL, delta, rc))
		return rc;
	*ret_value = v.as.i;
	if (r->edit)
		return 0;
	room_touched(s, r);
	if (tell_of_change(s, room))
		tell_of_property(s, room, name, &v);
	return 0;
}

static int svc_unset(struct dk_room *svc, dk_id room, dk_str name)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	int rc;

	if (!r)
		return not_live(s, room, ROOM_LOG_UNSET, name, NULL, 0);
	rc = about_to_change(s, r);
	if (rc == 0)
		rc = props_unset(s, &r->props, name);
	if (outcome(s, r, ROOM_LOG_UNSET, name, NULL, 0, rc) || r->edit)
		return rc;
	room_touched(s, r);
	if (tell_of_change(s, room))
		tell_of_property(s, room, name, NULL);
	return 0;
}

static int svc_get(struct dk_room *svc, dk_id room, dk_str name, struct dk_value *ret_value)
{
	const struct room *r = room_any(rooms_of(svc), room);

	return r ? props_get(&r->props, name, ret_value) : DK_ROOM_GONE;
}

static bool svc_next_property(struct dk_room *svc, dk_id room, const void **at, dk_str *ret_name, struct dk_value *ret_value)
{
	const struct room *r = room_any(rooms_of(svc), room);
	const struct prop *p = *at;

	if (!r || !props_next(&r->props, &p, ret_name, ret_value))
		return false;
	*at = p;
	return true;
}

int room_props_packed(struct rooms *s, dk_id room, dk_str name, dk_slice *ret_capsule)
{
	const struct room *r = room_any(s, room);
	struct dk_writer w;
	struct dk_value v;
	size_t cap;

	if (!r)
		return DK_ROOM_GONE;
	cap = props_packed_size(&r->props);
	w = dk_writer_on(dk_scratch(s, cap), cap);
	if (w.bad)
		return -ENOMEM;
	if (!name.n) {
		props_pack(&r->props, &w);
	} else if (props_get(&r->props, name, &v) == 0) {
		dk_wr_u16(&w, 1);
		dk_wr_bytes8(&w, dk_slice_of(name));
		dk_value_write(&w, &v);
	} else {
		dk_wr_u16(&w, 0);
	}
	*ret_capsule = dk_written(&w);
	return 0;
}

/* ---- several at once ---- */

static bool same(const struct dk_value *a, const struct dk_value *b)
{
	if (a->type != b->type)
		return false;
	switch ((unsigned)a->type) {
	case DK_V_BOOL:
		return a->as.b == b->as.b;
	case DK_V_STR:
		return dk_str_eq(a->as.s, b->as.s);
	case DK_V_F32:
	case DK_V_F64:
		return memcmp(&a->as.f, &b->as.f, sizeof(a->as.f)) == 0;
	case DK_V_BYTES:
	case DK_V_CAPSULE:
		break;
	default:
		if (a->type < DK_V_ARRAY)
			return a->as.u == b->as.u;
	}
	return dk_str_eq(dk_str_of(a->as.bytes), dk_str_of(b->as.bytes));
}

/* The names in a whose value in b is another one, or none; without values, those that b does not have at all. */
static void write_differences(const struct props *a, const struct props *b, bool values, struct dk_writer *w)
{
	const struct prop *at = NULL;
	struct dk_value v, other;
	dk_str name;

	while (props_next(a, &at, &name, &v)) {
		bool there = props_get(b, name, &other) == 0;

		if (!there || (values && !same(&v, &other)))
			dk_wr_bytes8(w, dk_slice_of(name));
	}
}

/* Of each name in the list; the value is that of the moment, for a handler may have changed it again. */
static void tell_of_all(struct rooms *s, dk_id room, dk_slice names)
{
	struct dk_cursor c = dk_cursor_of(names);

	while (dk_rd_left(&c)) {
		dk_str name = dk_str_of(dk_rd_bytes8(&c));
		struct room *r = room_live(s, room);
		struct dk_value v;

		if (!r)
			return;
		tell_of_property(s, room, name, props_get(&r->props, name, &v) == 0 ? &v : NULL);
	}
}

static void record_updated(struct rooms *s, struct room *r, bool yes)
{
	if (r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_UPDATED, .how = yes });
}

/* It changes for good: room for the names of all that there was, and is. */
static int conclude(struct rooms *s, struct room *r, struct props *before)
{
	size_t cap = r->props.n + before->n + (size_t)r->props.bytes + before->bytes;
	uint8_t *names = cap ? dk_alloc(s, cap) : NULL;
	struct dk_writer w = dk_writer_on(names, cap);
	dk_id room = r->handle;

	if (cap && !names)
		return -ENOMEM;
	room_refresh(s, r);
	write_differences(&r->props, before, true, &w);
	write_differences(before, &r->props, false, &w);
	props_clear(s, before);
	record_updated(s, r, true);
	if (dk_written(&w).n) {
		room_touched(s, r);
		if (tell_of_change(s, room))
			tell_of_all(s, room, dk_written(&w));
	}
	dk_free(s, names, cap);
	return 0;
}

static void take_back(struct rooms *s, struct room *r, struct room_edit *e)
{
	if (e->copied) {
		props_clear(s, &r->props);
		r->props = e->before;
	}
	record_updated(s, r, false);
}

int room_update_begin(struct rooms *s, dk_id room, struct room_edit *e)
{
	struct room *r = room_live(s, room);
	int rc = !r ? room_why_not(s, room) : r->edit ? -EDEADLK : 0;

	*e = (struct room_edit){ .copied = false };
	room_record_number(s, room, ROOM_LOG_UPDATE, 0, rc);
	if (rc == 0)
		r->edit = e;
	return rc;
}

int room_update_end(struct rooms *s, dk_id room, struct room_edit *e, bool yes)
{
	struct room *r = room_any(s, room);
	int rc;

	if (!r) { /* it took the room away */
		props_clear(s, &e->before);
		return DK_ROOM_GONE;
	}
	r->edit = NULL;
	if (!yes) {
		take_back(s, r, e);
		return 0;
	}
	if (!e->copied) {
		room_refresh(s, r);
		record_updated(s, r, true);
		return 0;
	}
	rc = conclude(s, r, &e->before);
	if (rc)
		take_back(s, r, e);
	return rc;
}

static int svc_update(struct dk_room *svc, dk_id room, dk_room_update_fn *fn, void *arg)
{
	struct rooms *s = rooms_of(svc);
	struct room_edit e;
	int rc = room_update_begin(s, room, &e);

	return rc ? rc : room_update_end(s, room, &e, fn(arg, svc, room));
}

/* ---- commands of clients: bytes by name ---- */

struct wanted {
	struct dk_list names, values;
	int rc;
};

static bool set_all(void *arg, struct dk_room *svc, dk_id room)
{
	struct wanted *want = arg;
	struct dk_list names = want->names, values = want->values;
	dk_str name, value;

	while (want->rc == 0 && dk_list_next(&names, &name) && dk_list_next(&values, &value)) {
		struct dk_value v = dk_value_bytes(dk_slice_of(value));

		want->rc = svc->set(svc, room, name, &v);
	}
	return want->rc == 0;
}

static int refuse_change(struct dk_call *call, uint32_t code, int rc)
{
	switch (rc) {
	case DK_FULL:
		return dk_refuse(call, code, "the room keeps %u properties of %u bytes together at most", DK_ROOM_PROPS_MAX,
				 DK_ROOM_PROP_BYTES_MAX);
	case DK_REFUSED:
		return dk_refuse(call, code, "the property is no whole number, or would not be one any more");
	case -EINVAL:
		return dk_refuse(call, code, "the name of a property has 1 to 255 bytes");
	default:
		return room_refuse(call, code, rc);
	}
}

int room_on_update_props(struct rooms *s, struct dk_call *call, struct dk_list names, dk_str id, bool sync, struct dk_list values)
{
	struct wanted want = { names, values, 0 };
	size_t cap = call->payload.n; /* the push says less than that */
	struct dk_writer w;
	struct room *r;
	dk_id room;
	int rc = room_as_member(s, call, id, &room);

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (rc == 0 && cap > (size_t)room_conf(s)->max_message)
		rc = DK_TOO_LONG;
	if (rc)
		return room_refuse(call, ROOM_E_PROPS, rc);
	if (!names.n || names.n != values.n || names.n > DK_ROOM_PROPS_MAX)
		return dk_refuse(call, ROOM_E_PROPS, "expected 1 to %u names and as many values, found %u and %u",
				 DK_ROOM_PROPS_MAX, names.n, values.n);
	w = dk_writer_on(sync ? dk_scratch(s, cap) : NULL, cap);
	if (sync && w.bad)
		return -ENOMEM;
	rc = s->svc.update(&s->svc, room, set_all, &want);
	if (rc || want.rc)
		return refuse_change(call, ROOM_E_PROPS, rc ? rc : want.rc);
	r = sync ? room_live(s, room) : NULL;
	if (r) {
		room_push_props_encode(&w, names, dk_str_n(r->id.c, DK_ID52_LEN), values);
		room_relay_own(s, r, ROOM_CMD_PROPS_SYNC, dk_written(&w), true);
	}
	return room_on_update_props_answer(call);
}

int room_on_incr_prop(struct rooms *s, struct dk_call *call, int64_t delta, dk_str name, dk_str id, bool sync)
{
	uint8_t buf[2 + PROPS_NAME_MAX + 2 + DK_ID52_LEN + 8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct room *r;
	int64_t value;
	dk_id room;
	int rc = room_as_member(s, call, id, &room);

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (rc == 0)
		rc = s->svc.incr(&s->svc, room, name, delta, &value);
	if (rc)
		return refuse_change(call, ROOM_E_INCR, rc);
	r = sync ? room_live(s, room) : NULL;
	if (r) {
		room_push_incr_encode(&w, name, dk_str_n(r->id.c, DK_ID52_LEN), value);
		room_relay_own(s, r, ROOM_CMD_INCR_PROP, dk_written(&w), true);
	}
	return room_on_incr_prop_answer(call, value);
}

/* Two lists that grow side by side. */
struct found {
	struct dk_writer names, values;
	uint16_t n;
};

/* Clients see what clients can set. */
static void add_bytes(struct found *f, dk_str name, const struct dk_value *v)
{
	if (v->type != DK_V_BYTES)
		return;
	dk_wr_bytes16(&f->names, dk_slice_of(name));
	dk_wr_bytes16(&f->values, v->as.bytes);
	f->n++;
}

int room_on_get_props(struct rooms *s, struct dk_call *call, struct dk_list names, dk_str id)
{
	const size_t names_cap = DK_ROOM_PROPS_MAX * (2 + PROPS_NAME_MAX);
	const size_t values_cap = DK_ROOM_PROP_BYTES_MAX + DK_ROOM_PROPS_MAX * 2;
	bool all = !names.n;
	struct found f = { .n = 0 };
	const struct prop *at = NULL;
	const struct room *r;
	struct dk_value v;
	dk_str name;
	dk_id room;
	int rc = room_as_member(s, call, id, &room);

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (rc)
		return room_refuse(call, ROOM_E_OTHER, rc);
	if (names.n > DK_ROOM_PROPS_MAX)
		return dk_refuse(call, ROOM_E_OTHER, "expected at most %u names, found %u", DK_ROOM_PROPS_MAX, names.n);
	f.names = dk_writer_on(dk_scratch(s, names_cap), names_cap);
	f.values = dk_writer_on(dk_scratch(s, values_cap), values_cap);
	if (f.names.bad || f.values.bad)
		return -ENOMEM;
	r = room_any(s, room);
	while (all && props_next(&r->props, &at, &name, &v))
		add_bytes(&f, name, &v);
	while (dk_list_next(&names, &name))
		if (props_get(&r->props, name, &v) == 0)
			add_bytes(&f, name, &v);
	if (f.names.bad || f.values.bad || dk_written(&f.names).n + dk_written(&f.values).n > ROOM_ANSWER_MAX)
		return dk_refuse(call, ROOM_E_OTHER, "these properties are more than one answer holds; ask for fewer at a time");
	return room_on_get_props_answer(call, (struct dk_list){ dk_written(&f.names), f.n },
					(struct dk_list){ dk_written(&f.values), f.n });
}

void room_props_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;

	svc->set = svc_set;
	svc->incr = svc_incr;
	svc->unset = svc_unset;
	svc->get = svc_get;
	svc->next_property = svc_next_property;
	svc->update = svc_update;
}
