/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes, and the bytes of an error that a client can take apart. A code tells by its first digit what kind of no it was:
 * kind * 10000 + detail. The detail, 0 to 9999, is the application's own. The built-in modules keep the codes of the system
 * this one is modelled after, which have four digits and no kind; all of them are in dk_legacy_error.
 *
 *   enum { SHOP_E_POOR = DK_CONDITION_FAILED(12) };
 *   return dk_refuse(call, SHOP_E_POOR, "that costs %u coins, you have %u", price, coins);
 *
 * Clients see codes where the node runs with DIARKIS_USE_STRUCT_ERR; docs/WIRE.md, section 12.
 */
#ifndef DIARKIS_DERROR_H
#define DIARKIS_DERROR_H

#include <diarkis/base.h>
#include <diarkis/cursor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dk_error_kind {
	DK_ERROR_NOT_ALLOWED = 1, /* not for this caller */
	DK_ERROR_CONDITION_FAILED = 2, /* not now: the state of things says no */
	DK_ERROR_INVALID_PARAMETERS = 3, /* never: the request makes no sense */
	DK_ERROR_NOT_FOUND = 4,
	DK_ERROR_SERVER = 5 /* this side's fault; for dk_fail() */
};

#define DK_ERROR_DETAIL_MAX 9999

/* A code as a constant. A detail that is no constant of 0 to 9999 does not compile; dk_error_code() takes variables. */
#define DK_ERROR(kind, detail)                                                                                                     \
	((kind)*10000 + (detail) + 0 * (int)sizeof(char[(detail) >= 0 && (detail) <= DK_ERROR_DETAIL_MAX ? 1 : -1]))
#define DK_NOT_ALLOWED(detail) DK_ERROR(DK_ERROR_NOT_ALLOWED, detail)
#define DK_CONDITION_FAILED(detail) DK_ERROR(DK_ERROR_CONDITION_FAILED, detail)
#define DK_INVALID_PARAMETERS(detail) DK_ERROR(DK_ERROR_INVALID_PARAMETERS, detail)
#define DK_NOTHING_FOUND(detail) DK_ERROR(DK_ERROR_NOT_FOUND, detail)
#define DK_SERVER_ERROR(detail) DK_ERROR(DK_ERROR_SERVER, detail)

/* A detail above 9999 becomes 9999, so that the kind stays what it is. */
static inline uint32_t dk_error_code(enum dk_error_kind kind, uint32_t detail)
{
	return (uint32_t)kind * 10000 + (detail > DK_ERROR_DETAIL_MAX ? DK_ERROR_DETAIL_MAX : detail);
}

/* enum dk_error_kind, or 0: a code of four digits, or of nobody. */
static inline int dk_error_kind(uint32_t code)
{
	uint32_t kind = code / 10000;

	return kind >= DK_ERROR_NOT_ALLOWED && kind <= DK_ERROR_SERVER ? (int)kind : 0;
}

/* The application's part; of a code without a kind, all of it. */
static inline uint32_t dk_error_detail(uint32_t code)
{
	return dk_error_kind(code) ? code % 10000 : code;
}

/* Codes of the built-in modules. The modules' own names for them take their values from here. */
enum dk_legacy_error {
	DK_E_SHORT = 1000, /* payload too short */
	DK_E_PARAMS = 1001,
	DK_E_NODE_NOT_FOUND = 1002,
	DK_E_USER_MIGRATE = 1003,

	DK_E_ROOM_NEW = 2000,
	DK_E_ROOM_NOT_IN = 2001,
	DK_E_ROOM_JOIN = 2002,
	DK_E_ROOM_LEAVE = 2003,
	DK_E_ROOM_NO_ID = 2004,
	DK_E_ROOM_NO_OWNER = 2005,
	DK_E_ROOM_INCR = 2006,
	DK_E_ROOM_RESERVE = 2007,
	DK_E_ROOM_CANCEL_RESERVE = 2008,
	DK_E_ROOM_NOT_FOUND = 2009,
	DK_E_ROOM_MIGRATE = 2010,
	DK_E_ROOM = 2011,
	DK_E_ROOM_COUNT = 2012,
	DK_E_ROOM_PROP_SYNC = 2013,

	DK_E_GROUP_NEW = 3000,
	DK_E_GROUP_JOIN = 3001,
	DK_E_GROUP_LEAVE = 3002,

	DK_E_MATCH_SEARCH = 4000,
	DK_E_MATCH_EMPTY = 4001, /* the search found nothing */
	DK_E_MATCH_WAIT = 4002,
	DK_E_MATCH_RESERVE = 4003,
	DK_E_MATCH_NOT_FOUND = 4004,
	DK_E_MATCH_NOT_ALLOWED = 4005,
	DK_E_MATCH_JOIN = 4006,
	DK_E_MATCH_NOT_MATCHED = 4007,
	DK_E_MATCH = 4008,
	DK_E_MATCH_TICKET = 4009,
	DK_E_MATCH_TICKET_CANCEL = 4010,

	DK_E_DM = 5000,

	DK_E_SESSION = 6000,
	DK_E_SESSION_NONE = 6001,

	DK_E_INTERNAL = 9999
};

/* ---- bytes ---- */

/* An error as a client sees it. The text is borrowed. */
struct dk_error {
	uint32_t code;
	dk_str text;
};

/* bits: 32, or 16 as old clients have it, where a greater code becomes 65535. */
static inline void dk_error_pack(struct dk_writer *w, const struct dk_error *e, int bits)
{
	if (bits == 16)
		dk_wr_u16(w, e->code > UINT16_MAX ? UINT16_MAX : (uint16_t)e->code);
	else
		dk_wr_u32(w, e->code);
	dk_wr_slice(w, dk_slice_of(e->text));
}

/* The body of a reply of status 40 or 50; the text lies in it. False: the code is not all there. */
static inline bool dk_error_unpack(dk_slice body, int bits, struct dk_error *ret_error)
{
	struct dk_cursor c = dk_cursor_of(body);
	uint32_t code = bits == 16 ? dk_rd_u16(&c) : dk_rd_u32(&c);

	if (c.bad)
		return false;
	ret_error->code = code;
	ret_error->text = dk_str_of(dk_rd_rest(&c));
	return true;
}

#ifdef __cplusplus
}
#endif

#endif
