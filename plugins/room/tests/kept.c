/* SPDX-License-Identifier: Apache-2.0 */
#include "kept.h"

#include <check.h>

struct probe {
	struct dk_self base;
	struct dk_room *room;
};

static bool remove_it;

static void on_changed(struct probe *p, const struct dk_room_member_event *ev)
{
	if (ev->change != DK_ROOM_PROPERTIES_CHANGED)
		return;
	ck_assert_uint_eq(ev->user, 0);
	fabric_event(p, "change %d %u\n", ev->change, ev->members);
	if (remove_it) {
		remove_it = false;
		ck_assert_int_eq(p->room->remove(p->room, ev->room, 2, 9, dk_slice_n(NULL, 0)), 0);
	}
}

static void on_property_changed(struct probe *p, const struct dk_room_property_event *ev)
{
	fabric_event(p, "property " DK_STR_FMT " %d %lld\n", DK_STR_ARG(ev->name), ev->value ? (int)ev->value->type : 0,
		     ev->value && ev->value->type == DK_V_INT ? (long long)ev->value->as.i : 0);
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_connect(p, &p->room->changed, on_changed);
	dk_connect(p, &p->room->property_changed, on_property_changed);
	return 0;
}

FABRIC_PROBE(probe_init, DK_NEED(struct probe, room, DK_ROOM));

void kept_open(unsigned n, const char *room)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };

	fabric_open(n, 1, room, plugins, "probe = {}");
	kept_forget();
}

void *kept_probe(unsigned node)
{
	return fabric_probe(node);
}

void kept_expect(const char *want)
{
	fabric_expect(want);
	remove_it = false;
}

void kept_forget(void)
{
	fabric_events();
	remove_it = false;
}

void kept_remove_room(void)
{
	remove_it = true;
}

dk_id kept_room(unsigned node, const struct player *owner, uint32_t interval_ms, uint8_t replicas, struct dk_id52 *ret_id)
{
	struct dk_room_opts o = { .max_members = 20,
				  .allow_empty = true,
				  .join = owner != NULL,
				  .ttl_s = 20,
				  .interval_ms = interval_ms,
				  .replicas = replicas };

	return fabric_room(node, owner, &o, ret_id);
}

void kept_join(struct player *p, dk_id room)
{
	struct dk_room *rooms = fabric[p->node].rooms;

	ck_assert_int_eq(rooms->join(rooms, room, player_user(p), 1, 101, dk_slice_n(NULL, 0)), 0);
}

void kept_leave(struct player *p, dk_id room)
{
	struct dk_room *rooms = fabric[p->node].rooms;

	ck_assert_int_eq(rooms->leave(rooms, room, player_user(p), 1, 102, dk_slice_n(NULL, 0)), 0);
}

struct dk_list kept_list(const char *const *texts)
{
	static uint8_t bytes[4][1 << 17];
	static unsigned at;
	struct dk_writer w;
	struct dk_list l = { { NULL, 0 }, 0 };

	at = (at + 1) % 4;
	w = dk_writer_on(bytes[at], sizeof(bytes[at]));
	for (; texts[l.n]; l.n++)
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(texts[l.n])));
	ck_assert(!w.bad);
	l.bytes = dk_written(&w);
	return l;
}

void kept_hears(struct player *p, const char *want)
{
	ck_assert_str_eq(player_heard(p), want);
}
