/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct messages and places as other nodes write them. What is read lies inside the input, and is written again as the same bytes.
 */
#include <stdlib.h>

#include "plugins/dm/dm_pack.h"

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

static void letters(dk_slice in)
{
	struct dk_cursor c = dk_cursor_of(in);
	struct dm_letter l;

	for (;;) {
		struct dk_writer w = dk_writer_on(out, sizeof(out));
		const uint8_t *start = c.p;

		if (!dm_letter_next(&c, &l))
			break;
		inside(dk_slice_of(l.from), in);
		inside(l.message, in);
		MUST(l.from.n <= DM_UID_MAX && l.message.n);
		dm_letter_write(&w, &l);
		MUST(dk_written(&w).n == (size_t)(c.p - start) && memcmp(out, start, dk_written(&w).n) == 0);
		MUST(dk_written(&w).n == dm_letter_size(l.from.n, l.message.n));
	}
	MUST(c.bad || !dk_rd_left(&c));
}

static void part(dk_slice in)
{
	struct dk_cursor c = dk_cursor_of(in);
	uint64_t login;
	uint32_t hops;
	dk_str uid;

	if (!dm_part_read(&c, &login, &hops))
		return;
	while (dm_uid_next(&c, &uid)) {
		inside(dk_slice_of(uid), in);
		MUST(uid.n && uid.n <= DM_UID_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	dk_slice in = dk_slice_n(data, size);
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	struct dm_place p;
	struct dk_addr a;

	if (dm_place_read(in, &p)) {
		dm_place_write(&w, &p);
		MUST(dk_written(&w).n == size && memcmp(out, data, size) == 0);
	}
	if (dm_node_read(in, &a))
		MUST(!size == !a.family);
	if (size < sizeof(out))
		letters(in);
	part(in);
	return 0;
}
