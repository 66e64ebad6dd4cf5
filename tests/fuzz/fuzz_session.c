/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another node writes about sessions: the seats that a user takes along (first byte even), and a whole session on its way to
 * a new home (odd). What is read lies inside the input and keeps its bounds; there is one way to write it, so written again it
 * is the same bytes.
 */
#include <stdlib.h>

#include "plugins/session/session_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static uint8_t out[1 << 16];

static void same(const struct dk_writer *w, dk_slice in, size_t left)
{
	dk_slice written = dk_written(w);

	if (w->bad)
		return; /* longer than what is written here */
	MUST(written.n == in.n - left && memcmp(written.p, in.p, written.n) == 0);
}

static void inside(dk_slice item, dk_slice whole)
{
	MUST(item.p >= whole.p && item.n <= (size_t)(whole.p + whole.n - item.p));
}

static void address(const struct dk_addr *a)
{
	MUST(a->family == 4 || a->family == 6);
}

static void seats(dk_slice in)
{
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	struct dk_cursor c = dk_cursor_of(in);
	uint16_t n = dk_rd_u16(&c);
	size_t left = dk_rd_left(&c);

	if (c.bad)
		return;
	dk_wr_u16(&w, n);
	while (n--) {
		struct session_carried seat = session_carried_read(&c);
		struct dk_session_id id;

		if (c.bad)
			break;
		MUST(session_id_ok(session_id_text(&seat.id), &id));
		address(&seat.home);
		session_carried_write(&w, &seat);
		left = dk_rd_left(&c);
	}
	same(&w, in, left);
}

static void session(dk_slice in)
{
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	struct dk_cursor c = dk_cursor_of(in);
	struct session_state state = session_state_read(&c);
	size_t left = dk_rd_left(&c);

	if (c.bad)
		return;
	MUST(state.n <= state.max && state.ttl_s >= DK_SESSION_TTL_MIN_S);
	MUST(state.n ? state.owner < state.n : state.owner == UINT32_MAX);
	session_state_write(&w, &state);
	for (uint32_t i = 0; i < state.n; i++) {
		struct session_moving m = session_moving_read(&c);

		if (c.bad)
			break;
		MUST(m.uid.n && m.uid.n <= DK_UID_MAX);
		inside(dk_slice_of(m.uid), in);
		inside(dk_slice_n(m.sid, 16), in);
		address(&m.node);
		session_moving_write(&w, &m);
		left = dk_rd_left(&c);
	}
	same(&w, in, left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		session(dk_slice_n(data + 1, size - 1));
	else
		seats(dk_slice_n(data + 1, size - 1));
	return 0;
}
