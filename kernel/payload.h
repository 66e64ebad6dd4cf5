/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads by a row's parameter list: from bytes to values, to text for people, and from the text that people and task files
 * write. Pure: it needs the public headers and nothing of the kernel, so the command line client builds it in as well.
 */
#ifndef KERNEL_PAYLOAD_H
#define KERNEL_PAYLOAD_H

#include <diarkis/command.h>

union payload_value {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	float f32;
	double f64;
	bool flag;
	dk_slice slice;
	dk_str str;
	struct dk_list list;
	const struct dk_id52 *id52;
};

/* "u16": how the type is called in a row. "?" for what is none. */
const char *payload_type_name(uint8_t type);
/* One value; views point into the payload. Sets c->bad when it does not fit or is none of its type. */
void payload_read(struct dk_cursor *c, uint8_t type, bool puffer, union payload_value *v);
/* The payload of a row from text arguments. Returns 0 or -EINVAL, then with a sentence in why. */
int payload_encode(const struct dk_command *row, const dk_str *args, size_t n, struct dk_writer *w, char *why, size_t why_n);
/* "created_s=12 room=7f..", cut to n bytes with the NUL. */
void payload_text(const struct dk_param *params, bool puffer, dk_slice payload, char *buf, size_t n);

#endif
