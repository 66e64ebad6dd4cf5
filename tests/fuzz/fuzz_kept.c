/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept in rooms, as bytes. The first byte says what the rest is: updates of objects one after another (they are all or
 * nothing, and never beyond the limits), objects of a room that comes from another node, its states, or what a client is pushed.
 * What was read is written again, and is the same.
 */
#include <diarkis/client_room_data.h>
#include <diarkis/diarkis.h>

#include <math.h>
#include <stdlib.h>

#include "plugins/room/room_objects.h"
#include "plugins/room/room_states.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static uint8_t out[1 << 18], again[1 << 18];

/* Owns the memory; never started. */
static void *owner(void)
{
	static struct dk_kernel *kernel;
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = DK_BOOT_NO_SIGNALS,
				.config_text = "plugins = {};",
				.config_name = "fuzz",
				.env = (const char *const[]){ NULL } };

	if (!kernel)
		MUST(dk_kernel_new(dk_env_uv(), &boot, &kernel) == 0);
	return dk_app(kernel);
}

static void inside(dk_slice item, dk_slice whole)
{
	MUST(item.n == 0 || (item.p >= whole.p && item.n <= (size_t)(whole.p + whole.n - item.p)));
}

static void check(const struct room_objects *os)
{
	uint32_t n = 0, bytes = 0;

	for (const struct room_object *o = os->first; o; o = o->next, n++) {
		uint16_t fields = 0;

		MUST(o->name_n > 0 && o->name_n <= DK_ROOM_OBJECT_NAME_MAX);
		bytes += o->name_n;
		for (const struct room_field *f = o->first; f; f = f->next, fields++) {
			MUST(f->name_n > 0 && f->name_n <= DK_ROOM_OBJECT_NAME_MAX && isfinite(f->value));
			bytes += f->name_n + 8u;
		}
		MUST(fields == o->field_n && fields <= DK_ROOM_FIELDS_MAX);
	}
	MUST(n == os->n && n <= DK_ROOM_OBJECTS_MAX && bytes == os->bytes && bytes <= DK_ROOM_OBJECT_BYTES_MAX);
}

static dk_slice packed(const struct room_objects *os, uint8_t *buf)
{
	struct dk_writer w = dk_writer_on(buf, sizeof(out));

	room_objects_pack(os, &w);
	MUST(!w.bad);
	return dk_written(&w);
}

static void there_and_back(void *self, const struct room_objects *os)
{
	struct room_objects copy = { NULL, 0, 0 };
	dk_slice bytes = packed(os, out), same;

	MUST(room_objects_unpack(self, &copy, bytes) == 0);
	same = packed(&copy, again);
	MUST(same.n == bytes.n && memcmp(same.p, bytes.p, bytes.n) == 0);
	room_objects_clear(self, &copy);
}

static void updates(void *self, dk_slice in)
{
	struct dk_cursor c = dk_cursor_of(in);
	struct room_objects os = { NULL, 0, 0 };
	struct dk_room_field fields[DK_ROOM_FIELDS_MAX];
	size_t n;

	while (dk_rd_left(&c)) {
		uint8_t mode = dk_rd_u8(&c);
		dk_str name = dk_str_of(dk_rd_bytes8(&c));
		dk_slice map = dk_rd_bytes16(&c), before;
		int rc;

		if (c.bad || room_fields_read(map, fields, &n))
			continue;
		for (size_t i = 0; i < n; i++)
			inside(dk_slice_of(fields[i].name), in);
		before = packed(&os, out);
		rc = room_objects_update(self, &os, (enum dk_room_object_mode)mode, name, fields, n);
		check(&os);
		if (rc) {
			dk_slice after = packed(&os, again);

			MUST(before.n == after.n && memcmp(before.p, after.p, after.n) == 0);
		}
	}
	there_and_back(self, &os);
	room_objects_clear(self, &os);
	MUST(!os.first && !os.n && !os.bytes);
}

static void objects(void *self, dk_slice in)
{
	struct room_objects os = { NULL, 0, 0 };

	if (room_objects_unpack(self, &os, in) == 0)
		there_and_back(self, &os);
	check(&os);
	room_objects_clear(self, &os);
}

static void states(dk_slice in)
{
	struct dk_cursor c = dk_cursor_of(in);
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	struct room_state_image m;
	size_t read = 0;

	while (dk_rd_left(&c) && room_state_image_read(&c, &m) == 0) {
		inside(m.key, in);
		inside(m.value, in);
		inside(dk_slice_of(m.uid), in);
		MUST(m.key.n && m.value.n && m.key.n + m.value.n <= DK_ROOM_STATE_MAX);
		read = in.n - dk_rd_left(&c);
		room_state_image_write(&w, &m);
	}
	if (!w.bad)
		MUST(dk_written(&w).n == read && memcmp(out, in.p, read) == 0);
}

static void pushes(dk_slice in)
{
	static const uint16_t cmds[] = { 10, 15, 31, 128, 130 };
	struct dkc_reply reply = { .status = DK_STATUS_OK, .payload = in };
	struct dkc_event e = { .kind = DKC_PUSH, .ver = 1, .payload = in };
	enum dkc_room_object_mode mode;
	struct dkc_room_fields fields;
	struct dkc_room_props props;
	struct dkc_room_field field;
	struct dkc_room_prop prop;
	dk_slice rest, key, value;
	int64_t number;
	dk_str name;

	for (size_t i = 0; i < DK_ARRAY_LEN(cmds); i++) {
		e.cmd = cmds[i];
		if (dkc_room_counted(&e, &name, &number))
			inside(dk_slice_of(name), in);
		if (dkc_room_props_set(&e, &props))
			while (dkc_room_next_prop(&props, &prop))
				inside(prop.value, in);
		if (dkc_room_object(&e, &mode, &name, &fields))
			while (dkc_room_next_field(&fields, &field))
				inside(dk_slice_of(field.name), in);
	}
	if (dkc_room_props(&reply, &props))
		while (dkc_room_next_prop(&props, &prop))
			inside(dk_slice_of(prop.name), in);
	if (dkc_room_fields(&reply, &fields))
		while (dkc_room_next_field(&fields, &field))
			inside(dk_slice_of(field.name), in);
	for (rest = in; dkc_room_next_state(&rest, &key, &value);) {
		inside(key, in);
		inside(value, in);
	}
	for (rest = in; dkc_room_next_gone(&rest, &key);)
		inside(key, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *self = owner();
	dk_slice in = dk_slice_n(data + 1, size ? size - 1 : 0);

	if (!size || size > 1 << 16)
		return 0;
	switch (data[0] % 4) {
	case 0:
		updates(self, in);
		break;
	case 1:
		objects(self, in);
		break;
	case 2:
		states(in);
		break;
	default:
		pushes(in);
	}
	return 0;
}
