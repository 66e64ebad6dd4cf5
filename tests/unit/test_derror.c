/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes and their bytes. That dk_refuse() sends them so is shown in test_command.c. */
#include <diarkis/derror.h>

#include "unit.h"

enum { POOR = DK_CONDITION_FAILED(12), HIGHEST = DK_SERVER_ERROR(9999) };

START_TEST(kinds)
{
	ck_assert_int_eq(DK_NOT_ALLOWED(0), 10000);
	ck_assert_int_eq(POOR, 20012);
	ck_assert_int_eq(DK_INVALID_PARAMETERS(1), 30001);
	ck_assert_int_eq(DK_NOTHING_FOUND(404), 40404);
	ck_assert_int_eq(HIGHEST, 59999);

	ck_assert_int_eq(dk_error_kind(POOR), DK_ERROR_CONDITION_FAILED);
	ck_assert_uint_eq(dk_error_detail(POOR), 12);
	ck_assert_int_eq(dk_error_kind(HIGHEST), DK_ERROR_SERVER);
	ck_assert_uint_eq(dk_error_code(DK_ERROR_NOT_ALLOWED, 7), 10007);
	/* a detail never makes another kind */
	ck_assert_uint_eq(dk_error_code(DK_ERROR_NOT_FOUND, 10000), 49999);
	ck_assert_uint_eq(dk_error_code(DK_ERROR_SERVER, UINT32_MAX), 59999);
}
END_TEST

START_TEST(codes_without_a_kind)
{
	static const uint32_t codes[] = { 0, DK_E_SHORT, DK_E_ROOM_PROP_SYNC, DK_E_INTERNAL, 60000, UINT32_MAX };

	for (size_t i = 0; i < DK_ARRAY_LEN(codes); i++) {
		ck_assert_int_eq(dk_error_kind(codes[i]), 0);
		ck_assert_uint_eq(dk_error_detail(codes[i]), codes[i]);
	}
}
END_TEST

/* Numbers that clients have compiled in. */
START_TEST(legacy_codes)
{
	static const int codes[][2] = {
		{ DK_E_SHORT, 1000 },
		{ DK_E_PARAMS, 1001 },
		{ DK_E_NODE_NOT_FOUND, 1002 },
		{ DK_E_USER_MIGRATE, 1003 },
		{ DK_E_ROOM_NEW, 2000 },
		{ DK_E_ROOM_NOT_IN, 2001 },
		{ DK_E_ROOM_JOIN, 2002 },
		{ DK_E_ROOM_LEAVE, 2003 },
		{ DK_E_ROOM_NO_ID, 2004 },
		{ DK_E_ROOM_NO_OWNER, 2005 },
		{ DK_E_ROOM_INCR, 2006 },
		{ DK_E_ROOM_RESERVE, 2007 },
		{ DK_E_ROOM_CANCEL_RESERVE, 2008 },
		{ DK_E_ROOM_NOT_FOUND, 2009 },
		{ DK_E_ROOM_MIGRATE, 2010 },
		{ DK_E_ROOM, 2011 },
		{ DK_E_ROOM_COUNT, 2012 },
		{ DK_E_ROOM_PROP_SYNC, 2013 },
		{ DK_E_GROUP_NEW, 3000 },
		{ DK_E_GROUP_JOIN, 3001 },
		{ DK_E_GROUP_LEAVE, 3002 },
		{ DK_E_MATCH_SEARCH, 4000 },
		{ DK_E_MATCH_EMPTY, 4001 },
		{ DK_E_MATCH_WAIT, 4002 },
		{ DK_E_MATCH_RESERVE, 4003 },
		{ DK_E_MATCH_NOT_FOUND, 4004 },
		{ DK_E_MATCH_NOT_ALLOWED, 4005 },
		{ DK_E_MATCH_JOIN, 4006 },
		{ DK_E_MATCH_NOT_MATCHED, 4007 },
		{ DK_E_MATCH, 4008 },
		{ DK_E_MATCH_TICKET, 4009 },
		{ DK_E_MATCH_TICKET_CANCEL, 4010 },
		{ DK_E_DM, 5000 },
		{ DK_E_SESSION, 6000 },
		{ DK_E_SESSION_NONE, 6001 },
		{ DK_E_INTERNAL, 9999 },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(codes); i++)
		ck_assert_int_eq(codes[i][0], codes[i][1]);
}
END_TEST

static dk_slice packed(uint8_t *buf, size_t cap, uint32_t code, const char *text, int bits)
{
	struct dk_writer w = dk_writer_on(buf, cap);

	dk_error_pack(&w, &(struct dk_error){ code, dk_str_c(text) }, bits);
	return dk_written(&w);
}

START_TEST(bytes)
{
	struct dk_error e = { .code = 77 };
	uint8_t buf[16];
	dk_slice s = packed(buf, sizeof(buf), POOR, "poor", 32);

	ck_assert_uint_eq(s.n, 8);
	ck_assert_mem_eq(s.p, "\x00\x00\x4e\x2cpoor", 8);
	ck_assert(dk_error_unpack(s, 32, &e));
	ck_assert_uint_eq(e.code, POOR);
	ck_assert(dk_str_eq(e.text, dk_str_c("poor")));

	s = packed(buf, sizeof(buf), DK_E_MATCH_TICKET, "Timeout", 16);
	ck_assert_uint_eq(s.n, 9);
	ck_assert_mem_eq(s.p, "\x0f\xa9Timeout", 9);
	ck_assert(dk_error_unpack(s, 16, &e));
	ck_assert_uint_eq(e.code, 4009);
	ck_assert(dk_str_eq(e.text, dk_str_c("Timeout")));

	/* an application's own number, too great for 16 bits; no text */
	s = packed(buf, sizeof(buf), 1000000, "", 16);
	ck_assert(dk_error_unpack(s, 16, &e));
	ck_assert_uint_eq(e.code, 65535);
	ck_assert_uint_eq(e.text.n, 0);
}
END_TEST

START_TEST(bytes_that_are_none)
{
	struct dk_error e = { .code = 77 };
	uint8_t buf[3];

	ck_assert(!dk_error_unpack(dk_slice_n("\0\0\x03", 3), 32, &e));
	ck_assert(!dk_error_unpack(dk_slice_n("\x03", 1), 16, &e));
	ck_assert(!dk_error_unpack(dk_slice_n(NULL, 0), 32, &e));
	ck_assert_uint_eq(e.code, 77);
	ck_assert_uint_eq(packed(buf, sizeof(buf), 1, "", 32).n, 0);
	ck_assert_uint_eq(packed(buf, sizeof(buf), 1, "xx", 16).n, 0);
}
END_TEST

UNIT_MAIN("derror", kinds, codes_without_a_kind, legacy_codes, bytes, bytes_that_are_none)
