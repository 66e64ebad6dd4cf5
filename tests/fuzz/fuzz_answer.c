/* SPDX-License-Identifier: Apache-2.0 */
/* What a metadata service answers, as it comes and when it has ended: nothing is looked at beyond it, and a body lies inside. */
#include "plugins/transports/answer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static void is_inside(dk_str s, const char *bytes, size_t n)
{
	MUST(!s.n || (s.p >= bytes && s.p + s.n <= bytes + n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *bytes = malloc(size ? size : 1);
	struct answer a;
	dk_str body;

	if (size)
		memcpy(bytes, data, size);
	for (size_t part = 1; part <= 3; part++) /* as it comes */
		if (answer_read(bytes, size * part / 3, &a))
			MUST(a.status <= 999 && a.body_at + a.body_n == size * part / 3);
	if (answer_read(bytes, size, &a) && answer_body(bytes, &a, &body)) {
		is_inside(body, bytes, size);
		is_inside(answer_trimmed(body), bytes, size);
		is_inside(answer_json_text(body, "publicIpAddress"), bytes, size);
		is_inside(answer_json_text(body, "public"), bytes, size);
	}
	free(bytes);
	return 0;
}
