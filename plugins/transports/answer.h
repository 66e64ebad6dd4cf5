/* SPDX-License-Identifier: Apache-2.0 */
/* What a small HTTP server answers, as much of it as has come. Pure functions over bytes that nobody vouches for. */
#ifndef TRANSPORTS_ANSWER_H
#define TRANSPORTS_ANSWER_H

#include <diarkis/base.h>

struct answer {
	unsigned status; /* 0: this is no answer */
	bool chunked;
	size_t length; /* of the body, as announced; SIZE_MAX: it is not */
	size_t body_at, body_n; /* what is there of it */
};

/* False: its head has not come to an end. */
bool answer_read(const char *bytes, size_t n, struct answer *ret_answer);
/* Whether nothing more is to come, before the connection ends. */
static inline bool answer_is_whole(const struct answer *a)
{
	return !a->chunked && a->body_n >= a->length;
}
/* The body of an answer after which the connection ended: in bytes, where chunks are put together. False: it was cut short. */
bool answer_body(char *bytes, const struct answer *a, dk_str *ret_body);

dk_str answer_trimmed(dk_str s);
/* The text that JSON keeps under a key, or the first of a list of texts; empty: none. */
dk_str answer_json_text(dk_str in, const char *key);

#endif
