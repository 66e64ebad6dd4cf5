/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recorded room as bytes. What is read lies inside the input, and written again it is the same recording. The checksums of an
 * input are made right first, or nothing would ever get past them.
 */
#include <stdlib.h>

#include "plugins/room/room_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static uint8_t in[1 << 16], out[1 << 16];

static void inside(dk_slice item, dk_slice whole)
{
	MUST(item.n == 0 || (item.p >= whole.p && item.n <= (size_t)(whole.p + whole.n - item.p)));
}

/* As it came: mostly refused. */
static void read_all(dk_slice bytes)
{
	struct room_log_reader r;
	struct room_log_event e;
	struct room_log_writer w;
	const char *why = NULL;
	int rc = room_log_open(&r, bytes, &why);
	bool same = true;

	if (rc) {
		MUST(rc == -71 && why);
		return;
	}
	memset(out, 0, sizeof(out));
	MUST(room_log_begin(&w, out, sizeof(out), &r.head));
	while ((rc = room_log_next(&r, &e, &why)) == 0) {
		struct dk_list l = e.uids;
		dk_str uid;

		inside(dk_slice_of(e.uid), bytes);
		inside(dk_slice_of(e.name), bytes);
		inside(e.bytes, bytes);
		inside(e.more, bytes);
		inside(e.uids.bytes, bytes);
		while (dk_list_next(&l, &uid))
			inside(dk_slice_of(uid), bytes);
		MUST(*room_log_what(e.kind));
		same = same && room_log_put(&w, &e);
	}
	MUST(r.at <= bytes.n);
	MUST(rc == DK_NOT_FOUND || why);
	if (rc == DK_NOT_FOUND && same && r.n) {
		struct room_log_reader again;

		MUST(room_log_open(&again, dk_slice_n(out, w.at), &why) == 0);
		while (room_log_next(&again, &e, &why) == 0)
			;
		MUST(again.n == r.n);
	}
}

/* The same with right checksums. */
static size_t mend(const uint8_t *data, size_t size)
{
	struct room_log_head head = { .grid = 1 };
	struct room_log_writer w;
	size_t at = ROOM_LOG_HEAD;

	if (size < ROOM_LOG_HEAD || size > sizeof(in))
		return 0;
	memset(in, 0, sizeof(in));
	memset(&head.id, '0', sizeof(head.id));
	room_log_begin(&w, in, sizeof(in), &head);
	while (at + 4 <= size && w.at + 64 < sizeof(in)) {
		size_t n = (size_t)data[at + 2] << 8 | data[at + 3];

		if (n < 18 || n > size - at - 4 || n > sizeof(in) - w.at - 17)
			break;
		room_log_put_raw(&w, dk_slice_n(data + at + 4, n - 9));
		at += 4 + n;
	}
	return w.at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n;

	read_all(dk_slice_n(data, size));
	n = mend(data, size);
	if (n)
		read_all(dk_slice_n(in, n));
	return 0;
}
