/* SPDX-License-Identifier: Apache-2.0 */
/* Random UUIDs (version 4, RFC 9562): 16 bytes, of which 122 bits come from the node's generator of random bytes. */
#ifndef DIARKIS_UUID_H
#define DIARKIS_UUID_H

#include <diarkis/loop.h>
#include <diarkis/util.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_uuid {
	uint8_t b[16];
};

/* "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx" and a NUL. */
#define DK_UUID_TEXT 37

/* Makes 16 random bytes a version 4 UUID. */
static inline void dk_uuid_mark(struct dk_uuid *id)
{
	id->b[6] = (uint8_t)((id->b[6] & 0x0f) | 0x40);
	id->b[8] = (uint8_t)((id->b[8] & 0x3f) | 0x80);
}

/* A fresh one. Returns 0, or <0 when the system gives no random bytes. */
static inline int dk_uuid_new(void *self, struct dk_uuid *ret_id)
{
	struct dk_uuid id;
	int rc = dk_random(self, id.b, sizeof(id.b));

	if (rc < 0)
		return rc;
	dk_uuid_mark(&id);
	*ret_id = id;
	return 0;
}

/* Lower case, with dashes and a NUL. */
static inline void dk_uuid_format(const struct dk_uuid *id, char text[DK_UUID_TEXT])
{
	size_t at = 0;

	for (size_t i = 0; i < sizeof(id->b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		dk_hex_format(dk_slice_n(&id->b[i], 1), text + at);
		at += 2;
	}
	text[at] = '\0';
}

/* 36 characters with dashes, or 32 digits without; either case, any version. Returns 0 or -EINVAL. */
static inline int dk_uuid_parse(dk_str text, struct dk_uuid *ret_id)
{
	char digits[32];
	size_t at = 0;

	if (text.n == 32)
		return dk_hex_parse(text, sizeof(ret_id->b), ret_id->b);
	if (text.n != DK_UUID_TEXT - 1)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (text.p[i] == '-'))
			return -EINVAL;
		if (!dash)
			digits[at++] = text.p[i];
	}
	return dk_hex_parse(dk_str_n(digits, at), sizeof(ret_id->b), ret_id->b);
}

static inline bool dk_uuid_eq(const struct dk_uuid *a, const struct dk_uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

#ifdef __cplusplus
}
#endif

#endif
