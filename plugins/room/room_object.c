/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects: named maps of numbers that all members of a room see change. Every update is pushed, in the order in which the room
 * took it, with the values that came of it: whoever adds and whoever sets at once, all see the same end. They live as long as
 * their room, and move with it. A new member is pushed all of them, after the reply to its join.
 */
#include "room_data.h"
#include "room_objects.h"

#include <diarkis/packet.h>

#include <errno.h>

/* ---- telling ---- */

enum {
	HEAD = 1 + 2 + DK_ROOM_OBJECT_NAME_MAX,
	FIELD = 2 + DK_ROOM_OBJECT_NAME_MAX + 8,
	PUSH_MAX = HEAD + 2 + DK_ROOM_FIELDS_MAX * FIELD
};

static void write_fields(struct dk_writer *w, const struct dk_room_field *fields, size_t n)
{
	dk_f64_map_begin(w, n);
	for (size_t i = 0; i < n; i++)
		dk_f64_map_put(w, fields[i].name, fields[i].value);
}

static void push_update(struct rooms *s, struct room *r, enum dk_room_object_mode mode, dk_str name,
			const struct dk_room_field *fields, size_t n, bool reliable)
{
	uint8_t buf[PUSH_MAX], map[PUSH_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), m = dk_writer_on(map, sizeof(map));

	write_fields(&m, fields, n);
	/* Members are told what is, however it came about. */
	room_push_object_encode(&w, mode == DK_ROOM_OBJECT_DELETE ? mode : DK_ROOM_OBJECT_SET, name, dk_written(&m));
	room_relay(s, r, ROOM_VER, ROOM_CMD_OBJECT_SYNC, dk_written(&w), reliable);
}

static void push_all(struct rooms *s, const struct room *r, dk_id user)
{
	for (const struct room_object *o = r->objects ? r->objects->first : NULL; o; o = o->next) {
		uint8_t buf[PUSH_MAX], map[PUSH_MAX];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf)), m = dk_writer_on(map, sizeof(map));

		room_object_write(o, &m);
		room_push_object_encode(&w, DK_ROOM_OBJECT_SET, room_object_name(o), dk_written(&m));
		s->user->push(s->user, user, ROOM_VER, ROOM_CMD_OBJECT_SYNC, dk_written(&w), DK_RELIABLE);
	}
}

static void greet(void *self, uint64_t user)
{
	struct rooms *s = self;
	struct room *r = room_live(s, room_store_of(&s->store, user));

	if (!r)
		return;
	room_relay_flush(s, r); /* what waits for the tick is older */
	push_all(s, r, user);
}

static void greet_later(struct rooms *s, const struct room *r, dk_id user)
{
	if (r->objects && r->objects->n && dk_defer(s, greet, user) < 0)
		push_all(s, r, user);
}

void room_objects_joined(struct rooms *s, struct room *r, dk_id user)
{
	greet_later(s, r, user);
}

/* ---- changing and looking ---- */

/* before: the fields as they came. */
static int record_update(struct rooms *s, struct room *r, enum dk_room_object_mode mode, dk_str name,
			 const struct dk_room_field *before, size_t n, bool reliable, int rc)
{
	size_t cap = 0;
	struct dk_writer w;

	for (size_t i = 0; i < n; i++)
		cap += 2 + before[i].name.n + 8;
	w = dk_writer_on(dk_scratch(s, cap + 1), cap);
	for (size_t i = 0; i < n; i++) {
		dk_wr_bytes16(&w, dk_slice_of(before[i].name));
		dk_wr_f64(&w, before[i].value);
	}
	room_record(s, r,
		    &(struct room_log_event){ .kind = ROOM_LOG_OBJECT,
					      .name = name,
					      .how = (uint8_t)mode,
					      .bytes = dk_written(&w),
					      .more = reliable ? dk_slice_n("", 1) : dk_slice_n("", 0),
					      .outcome = rc });
	return rc;
}

/* fields end as what they are. */
static int update(struct rooms *s, struct room *r, enum dk_room_object_mode mode, dk_str name, struct dk_room_field *fields,
		  size_t n, bool reliable)
{
	struct dk_room_field *before = NULL;
	int rc;

	if (!r->objects)
		r->objects = dk_alloc(s, sizeof(*r->objects));
	if (!r->objects)
		return -ENOMEM;
	if (r->recorded && n) {
		before = dk_scratch(s, n * sizeof(*before));
		if (before)
			memcpy(before, fields, n * sizeof(*before));
	}
	rc = room_objects_update(s, r->objects, mode, name, fields, n);
	if (r->recorded)
		record_update(s, r, mode, name, before ? before : fields, n, reliable, rc);
	if (rc) {
		s->n.objects_refused++;
		return rc;
	}
	s->n.objects_updated++;
	if (reliable)
		room_touched(s, r);
	push_update(s, r, mode, name, fields, n, reliable);
	return 0;
}

static int svc_update_object(struct dk_room *svc, dk_id room, enum dk_room_object_mode mode, dk_str name,
			     const struct dk_room_field *fields, size_t n, bool reliable)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	struct dk_room_field copy[DK_ROOM_FIELDS_MAX];
	char text[DK_ROOM_OBJECT_NAME_MAX]; /* it may be the name of the very object that goes */

	if (!r || n > DK_ROOM_FIELDS_MAX || name.n > sizeof(text)) {
		int rc = r ? -EINVAL : room_why_not(s, room);

		r = room_any(s, room);
		return r && r->recorded ? record_update(s, r, mode, name, fields, n, reliable, rc) : rc;
	}
	if (name.n)
		memcpy(text, name.p, name.n);
	if (n)
		memcpy(copy, fields, n * sizeof(*copy));
	return update(s, r, mode, dk_str_n(text, name.n), copy, n, reliable);
}

static int svc_get_field(struct dk_room *svc, dk_id room, dk_str object, dk_str field, double *ret_value)
{
	const struct room *r = room_any(rooms_of(svc), room);
	const struct room_object *o;
	const struct room_field *f;

	if (!r)
		return DK_ROOM_GONE;
	o = r->objects ? room_objects_find(r->objects, object) : NULL;
	f = o ? room_object_field(o, field) : NULL;
	if (!f)
		return DK_NOT_FOUND;
	*ret_value = f->value;
	return 0;
}

static bool svc_next_object(struct dk_room *svc, dk_id room, const void **at, dk_str *ret_name, size_t *ret_fields)
{
	const struct room *r = room_any(rooms_of(svc), room);
	const struct room_object *o = *at;

	if (!r || !r->objects)
		return false;
	o = o ? o->next : r->objects->first;
	if (!o)
		return false;
	*at = o;
	*ret_name = room_object_name(o);
	*ret_fields = o->field_n;
	return true;
}

/* ---- commands of clients ---- */

static int refuse(struct dk_call *call, int rc)
{
	switch (rc) {
	case DK_NOT_FOUND:
		return dk_refuse(call, ROOM_E_OTHER, "the room has no such object, or the object no such field");
	case DK_FULL:
		return dk_refuse(call, ROOM_E_OTHER, "a room has %u objects of %u fields at most, and %u bytes of them",
				 DK_ROOM_OBJECTS_MAX, DK_ROOM_FIELDS_MAX, DK_ROOM_OBJECT_BYTES_MAX);
	case DK_REFUSED:
		return dk_refuse(call, ROOM_E_OTHER, "a sum would be too great for a number");
	case -EINVAL:
		return dk_refuse(call, ROOM_E_OTHER,
				 "expected mode 1, 2 or 3, a name of 1 to %u bytes, and at most %u fields, each once and finite",
				 DK_ROOM_OBJECT_NAME_MAX, DK_ROOM_FIELDS_MAX);
	default:
		return room_refuse(call, ROOM_E_OTHER, rc);
	}
}

int room_on_object_update(struct rooms *s, struct dk_call *call, uint8_t mode, bool reliable, const struct dk_id52 *id, dk_str name,
			  dk_slice map)
{
	struct dk_room_field fields[DK_ROOM_FIELDS_MAX];
	dk_id room = s->svc.find(&s->svc, id);
	struct room *r = room_live(s, room);
	uint8_t buf[PUSH_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	size_t n;
	int rc = 0;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (!r)
		rc = room_why_not(s, room);
	else if (room_store_of(&s->store, call->user) != room)
		rc = DK_ROOM_NOT_MEMBER;
	if (rc == 0 && room_fields_read(map, fields, &n)) {
		s->n.objects_refused++;
		rc = -EINVAL;
	} else if (rc == 0) {
		rc = update(s, r, mode, name, fields, n, reliable);
	}
	if (rc)
		return refuse(call, rc);
	write_fields(&w, fields, n);
	return room_on_object_update_answer(call, dk_written(&w));
}

int room_on_object_sync(struct rooms *s, struct dk_call *call, const struct dk_id52 *id)
{
	dk_id room = s->svc.find(&s->svc, id);
	struct room *r = room_live(s, room);
	int rc = 0;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (!r)
		rc = room_why_not(s, room);
	else if (room_store_of(&s->store, call->user) != room)
		rc = DK_ROOM_NOT_MEMBER;
	if (rc)
		return refuse(call, rc);
	greet_later(s, r, call->user); /* after the reply */
	return room_on_object_sync_answer(call);
}

/* ---- to another node ---- */

static int pack(void *self, dk_id room, struct dk_writer *w)
{
	const struct room *r = room_any(self, room);

	if (!r || !r->objects || !r->objects->n)
		return DK_NOT_FOUND;
	room_objects_pack(r->objects, w);
	return 0;
}

/* What fails leaves it to room_strip(). */
static int unpack(void *self, dk_id room, uint16_t version, dk_slice bytes)
{
	struct room *r = room_any(self, room);

	if (version != 1 || !r || r->objects)
		return -EPROTO;
	r->objects = dk_alloc(self, sizeof(*r->objects));
	return r->objects ? room_objects_unpack(self, r->objects, bytes) : -ENOMEM;
}

static const struct dk_room_part part = { .name = "room.objects", .version = 1, .pack = pack, .unpack = unpack };

void room_objects_free(struct rooms *s, struct room *r)
{
	if (!r->objects)
		return;
	room_objects_clear(s, r->objects);
	dk_free(s, r->objects, sizeof(*r->objects));
	r->objects = NULL;
}

int room_objects_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;

	svc->update_object = svc_update_object;
	svc->get_field = svc_get_field;
	svc->next_object = svc_next_object;
	return svc->carry(svc, s, &part);
}
