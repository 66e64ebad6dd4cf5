/* SPDX-License-Identifier: Apache-2.0 */
/* Notices as other nodes write them. What is read lies inside the input, keeps its limits, and is written again as the same
 * bytes. */
#include <stdlib.h>

#include "plugins/notifier/notices.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	dk_slice in = dk_slice_n(data, size);
	struct dk_cursor c = dk_cursor_of(in);
	struct notice_record r;

	for (;;) {
		struct dk_writer w = dk_writer_on(out, sizeof(out));
		const uint8_t *start = c.p;

		if (!notice_record_next(&c, &r))
			break;
		inside(dk_slice_of(r.notice.id), in);
		MUST(r.notice.id.n && r.notice.id.n <= DK_NOTICE_ID_MAX && r.notice.ttl_ms);
		if (!r.deleted) {
			inside(dk_slice_of(r.notice.name), in);
			inside(r.notice.message, in);
			MUST(r.notice.name.n <= DK_NOTICE_ID_MAX && r.notice.message.n &&
			     r.notice.message.n <= DK_NOTICE_MESSAGE_MAX);
		}
		notice_record_write(&w, &r);
		MUST(dk_written(&w).n == (size_t)(c.p - start) && memcmp(out, start, dk_written(&w).n) == 0);
		MUST(dk_written(&w).n == notice_record_size(&r));
	}
	MUST(c.bad || !dk_rd_left(&c));
	return 0;
}
