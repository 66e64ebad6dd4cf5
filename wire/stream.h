/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of struct wire_stream, for those who embed it; its members are for wire/stream.c only. */
#ifndef WIRE_STREAM_H
#define WIRE_STREAM_H

#include "wire/outq.h"
#include "wire/seal.h"

struct wire_stream {
	uint8_t sid[WIRE_SID_LEN];
	uint8_t role : 1;
	uint8_t encrypted : 1;
	uint8_t broken : 1;
	struct wire_outq *out;
	struct wire_seal seal;
};

#endif
