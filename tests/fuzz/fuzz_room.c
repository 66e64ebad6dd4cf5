/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room that comes from another node as bytes. What is read lies inside the input, its lists have as many elements as they say
 * and fit the room's seats, and what is written again reads as the same.
 */
#include <stdlib.h>

#include "plugins/room/room_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static uint8_t out[1 << 16];

static void inside(dk_slice item, dk_slice whole)
{
	MUST(item.n == 0 || (item.p >= whole.p && item.n <= (size_t)(whole.p + whole.n - item.p)));
}

static unsigned uids(dk_slice list, dk_slice whole)
{
	unsigned n = 0;
	dk_str uid;

	while (room_image_uid(&list, &uid)) {
		inside(dk_slice_of(uid), whole);
		MUST(uid.n > 0);
		n++;
	}
	MUST(!list.n);
	return n;
}

static bool same(const struct room_image *a, const struct room_image *b)
{
	bool eq = memcmp(&a->id, &b->id, sizeof(a->id)) == 0 && a->epoch == b->epoch && a->version == b->version;

	eq = eq && a->max == b->max && a->allow_empty == b->allow_empty && a->replicas == b->replicas;
	eq = eq && a->interval_ms == b->interval_ms && a->ttl_s == b->ttl_s && a->ttl_left_ms == b->ttl_left_ms;
	eq = eq && a->created_s == b->created_s && dk_str_eq(a->owner, b->owner) && a->backup_n == b->backup_n;
	for (uint8_t i = 0; i < a->backup_n && eq; i++)
		eq = dk_addr_eq(&a->backups[i], &b->backups[i]);
	return eq && a->member_n == b->member_n && dk_str_eq(dk_str_of(a->members), dk_str_of(b->members));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	dk_slice in = dk_slice_n(data, size), parts;
	struct room_image m, again;
	struct room_image_part part;
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	unsigned n = 0;
	size_t at;

	if (room_image_read(in, &m))
		return 0;
	MUST(m.max >= DK_ROOM_MEMBERS_MIN && m.max <= DK_ROOM_MEMBERS_MAX && m.backup_n <= ROOM_BACKUPS_MAX);
	MUST(uids(m.members, in) == m.member_n && uids(m.reserved, in) == m.reserved_n);
	MUST(m.member_n + m.reserved_n <= m.max);
	inside(m.props, in);
	parts = m.parts;
	while (room_image_part(&parts, &part)) {
		inside(dk_slice_of(part.name), in);
		inside(part.bytes, in);
		n++;
	}
	MUST(!parts.n && n == m.part_n);

	room_image_begin(&w, &m);
	at = room_section_begin(&w, ROOM_SEC_MEMBERS);
	dk_wr_slice(&w, m.members);
	room_section_end(&w, at);
	if (w.bad)
		return 0;
	MUST(room_image_read(dk_written(&w), &again) == 0);
	MUST(same(&m, &again));
	return 0;
}
