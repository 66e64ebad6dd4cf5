/* SPDX-License-Identifier: Apache-2.0 */
/* From bytes to C arguments and back: every type, hostile payloads, and the text form that people and task files write. */
#include "fake.h"
#include "kernel/payload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static char seen[512]; /* what a handler got */

#define SEE(...) snprintf(seen, sizeof(seen), __VA_ARGS__)

#define CMDS(X, R)                                                                                                                 \
	X(struct dk_self, 2, 1, "t.numbers", on_numbers, 0, "",                                                                    \
	  DK_IN(u8(a), u16(b), u32(c), u64(d), i8(e), i16(f), i32(g), i64(h), f32(i), f64(j), flag(k)), DK_OUT())                  \
	X(struct dk_self, 2, 2, "t.texts", on_texts, 0, "", DK_IN(str16(a), str32(b), bytes16(c), bytes32(d), rest(e)), DK_OUT())  \
	X(struct dk_self, 2, 3, "t.ids", on_ids, 0, "", DK_IN(id52(id), strs(names)), DK_OUT())                                    \
	X(struct dk_self, 2, 4, "t.nothing", on_nothing, 0, "", DK_IN(), DK_OUT())                                                 \
	X(struct dk_self, 2, 5, "t.twelve", on_twelve, 0, "",                                                                      \
	  DK_IN(u8(a), f64(b), u8(c), f32(d), str16(e), u64(f), strs(g), u8(h), f64(i), i16(j), flag(k), rest(l)), DK_OUT())       \
	X(struct dk_self, 2, 6, "t.puffer", on_puffer, DK_PUFFER, "", DK_IN(flag(a), i16(b)), DK_OUT(flag(c), u8(d)))              \
	R(struct dk_self, 2, 7, "t.raw", on_raw, 0, "", DK_IN(u8(a), rest(b)), DK_OUT())

DK_COMMANDS(t, CMDS)

static int on_numbers(struct dk_self *self, struct dk_call *call, uint8_t a, uint16_t b, uint32_t c, uint64_t d, int8_t e,
		      int16_t f, int32_t g, int64_t h, float i, double j, bool k)
{
	ck_assert_uint_eq(self->magic, DK_SELF_MAGIC);
	ck_assert_ptr_nonnull(call);
	SEE("%u %u %u %llu %d %d %d %lld %g %g %d", a, b, c, (unsigned long long)d, e, f, g, (long long)h, (double)i, j, k);
	return 0;
}

static int on_texts(struct dk_self *self, struct dk_call *call, dk_str a, dk_str b, dk_slice c, dk_slice d, dk_slice e)
{
	(void)self;
	(void)call;
	SEE(DK_STR_FMT "|" DK_STR_FMT "|%zu|%zu|" DK_STR_FMT, DK_STR_ARG(a), DK_STR_ARG(b), c.n, d.n, DK_STR_ARG(dk_str_of(e)));
	return -5;
}

static int on_ids(struct dk_self *self, struct dk_call *call, const struct dk_id52 *id, struct dk_list names)
{
	size_t at = (size_t)SEE("%.4s %u", id->c, names.n);
	dk_str s;

	(void)self;
	(void)call;
	while (dk_list_next(&names, &s))
		at += (size_t)snprintf(seen + at, sizeof(seen) - at, " <" DK_STR_FMT ">", DK_STR_ARG(s));
	return 7;
}

static int on_nothing(struct dk_self *self, struct dk_call *call)
{
	(void)self;
	(void)call;
	SEE("nothing");
	return DK_LATER;
}

static int on_twelve(struct dk_self *self, struct dk_call *call, uint8_t a, double b, uint8_t c, float d, dk_str e, uint64_t f,
		     struct dk_list g, uint8_t h, double i, int16_t j, bool k, dk_slice l)
{
	(void)self;
	(void)call;
	SEE("%u %g %u %g " DK_STR_FMT " %llu %u %u %g %d %d %zu", a, b, c, (double)d, DK_STR_ARG(e), (unsigned long long)f, g.n, h,
	    i, j, k, l.n);
	return 0;
}

static int on_puffer(struct dk_self *self, struct dk_call *call, bool a, int16_t b)
{
	(void)self;
	(void)call;
	SEE("%d %d", a, b);
	return 0;
}

static int on_raw(struct dk_self *self, struct dk_call *call)
{
	(void)self;
	(void)call;
	return 0;
}

static const struct dk_command *row(const char *name)
{
	for (const struct dk_command *r = t_commands; r->name; r++)
		if (!strcmp(r->name, name))
			return r;
	ck_abort_msg("no row %s", name);
}

/* Calls a row's handler with these bytes, which end where a heap block ends. */
static int call_bytes(const struct dk_command *r, const void *bytes, size_t n, const char **ret_why)
{
	struct dk_self self = { .magic = DK_SELF_MAGIC };
	uint8_t *exact = malloc(n ? n : 1);
	struct dk_call call = { .row = r };
	struct typed *t;
	char why[256];
	int rc;

	memcpy(exact, bytes, n);
	call.payload = dk_slice_n(exact, n);
	seen[0] = '\0';
	ck_assert_int_eq(typed_prepare(r, &t, why, sizeof(why)), 0);
	rc = typed_call(t, &self, &call, ret_why);
	typed_free(t);
	free(exact);
	return rc;
}

/* The same from text arguments; also back to text. */
static int call_text(const char *name, const char *const *args, char *back, size_t back_n)
{
	const struct dk_command *r = row(name);
	uint8_t buf[4096];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	char why[256];
	const char *bad;
	dk_str list[16];
	size_t n = 0;

	for (; args[n]; n++)
		list[n] = dk_str_c(args[n]);
	ck_assert_msg(payload_encode(r, list, n, &w, why, sizeof(why)) == 0, "%s", why);
	if (back)
		payload_text(r->in, (r->flags & DK_PUFFER) != 0, dk_written(&w), back, back_n);
	return call_bytes(r, buf, dk_written(&w).n, &bad);
}

#define CALL(name, back, ...) call_text(name, (const char *const[]){ __VA_ARGS__, NULL }, back, sizeof(back))

START_TEST(numbers)
{
	char back[512];

	ck_assert_int_eq(CALL("t.numbers", back, "255", "65535", "4294967295", "18446744073709551615", "-128", "-32768",
			      "-2147483648", "-9223372036854775808", "0.5", "-1e300", "true"),
			 0);
	ck_assert_str_eq(seen,
			 "255 65535 4294967295 18446744073709551615 -128 -32768 -2147483648 -9223372036854775808 0.5 -1e+300 1");
	ck_assert_str_eq(back, "a=255 b=65535 c=4294967295 d=18446744073709551615 e=-128 f=-32768 g=-2147483648 "
			       "h=-9223372036854775808 i=0.5 j=-1e+300 k=true");
	ck_assert_int_eq(
		CALL("t.numbers", back, "0", "0x10", "0", "0", "127", "32767", "2147483647", "9223372036854775807", "1", "2", "0"),
		0);
	ck_assert_str_eq(seen, "0 16 0 0 127 32767 2147483647 9223372036854775807 1 2 0");
}
END_TEST

START_TEST(texts)
{
	char back[512];

	ck_assert_int_eq(CALL("t.texts", back, "hello", "", "0aFF", "", "the rest"), -5);
	ck_assert_str_eq(seen, "hello||2|0|the rest");
	ck_assert_str_eq(back, "a=hello b= c=0aff d= e=the rest");
	ck_assert_int_eq(CALL("t.texts", back, "\x01", "b", "", "ff", "hex:6162"), -5);
	ck_assert_str_eq(seen, "\x01|b|0|1|ab");
	ck_assert_str_eq(back, "a=01 b=b c= d=ff e=ab");
	ck_assert_int_eq(CALL("t.texts", back, "a", "b", "", ""), -5); /* the rest may be left out */
	ck_assert_str_eq(seen, "a|b|0|0|");
}
END_TEST

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123"

START_TEST(ids_and_lists)
{
	char back[512];

	ck_assert_int_eq(CALL("t.ids", back, ID, "ann,bob,,eve"), 7);
	ck_assert_str_eq(seen, "0123 4 <ann> <bob> <> <eve>");
	ck_assert_str_eq(back, "id=" ID " names=ann,bob,,eve");
	ck_assert_int_eq(CALL("t.ids", back, ID, ""), 7);
	ck_assert_str_eq(seen, "0123 0");
}
END_TEST

START_TEST(no_parameter_and_twelve)
{
	const char *bad;
	char back[512];

	ck_assert_int_eq(call_text("t.nothing", (const char *const[]){ NULL }, back, sizeof(back)), DK_LATER);
	ck_assert_str_eq(seen, "nothing");
	ck_assert_str_eq(back, "");
	ck_assert_int_eq(call_bytes(row("t.nothing"), "x", 1, &bad), TYPED_BAD);
	ck_assert_ptr_null(bad);
	ck_assert_int_eq(CALL("t.twelve", back, "1", "2.5", "3", "4.5", "five", "6", "a,b", "8", "9.5", "-10", "1", "xyz"), 0);
	ck_assert_str_eq(seen, "1 2.5 3 4.5 five 6 2 8 9.5 -10 1 3");
}
END_TEST

START_TEST(puffer_flags)
{
	static const uint8_t yes[] = { 1, 0xff, 0xfe }, no[] = { 2, 0, 5 }, zero[] = { 0, 0, 5 };
	const char *bad = NULL;
	char back[64];

	ck_assert_int_eq(call_bytes(row("t.puffer"), yes, 3, &bad), 0);
	ck_assert_str_eq(seen, "1 -2");
	ck_assert_int_eq(call_bytes(row("t.puffer"), no, 3, &bad), 0);
	ck_assert_str_eq(seen, "0 5");
	ck_assert_int_eq(call_bytes(row("t.puffer"), zero, 3, &bad), TYPED_BAD);
	ck_assert_str_eq(bad, "a");
	ck_assert_int_eq(CALL("t.puffer", back, "false", "5"), 0);
	ck_assert_str_eq(seen, "0 5");
	ck_assert_str_eq(back, "a=false b=5");
}
END_TEST

START_TEST(every_cut_is_refused)
{
	const char *const args[] = { "1", "2.5", "3", "4.5", "five", "6", "a,b", "8", "9.5", "-10", "1", "" };
	const struct dk_command *r = row("t.twelve");
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const char *why = NULL;
	char text[256];
	dk_str list[12];

	for (size_t i = 0; i < 12; i++)
		list[i] = dk_str_c(args[i]);
	ck_assert_int_eq(payload_encode(r, list, 12, &w, text, sizeof(text)), 0);
	for (size_t n = 0; n < dk_written(&w).n; n++) {
		ck_assert_int_eq(call_bytes(r, buf, n, &why), TYPED_BAD);
		ck_assert_ptr_nonnull(why); /* the parameter's name */
		ck_assert_str_eq(seen, "");
		for (size_t room = 0; room < 40; room += 13) /* the text form fits in any buffer */
			payload_text(r->in, false, dk_slice_n(buf, n), text, room);
	}
	ck_assert_int_eq(call_bytes(r, buf, dk_written(&w).n, &why), 0);
}
END_TEST

START_TEST(wrong_bytes)
{
	static const uint8_t lying_count[] = { 0xff, 0xff, 0, 1, 'a' };
	uint8_t bytes[80] = { 0 };
	const char *why;

	memcpy(bytes, ID, 52);
	ck_assert_int_eq(call_bytes(row("t.ids"), bytes, 54, &why), 7);
	bytes[10] = 'A'; /* lower case only: one id, one spelling */
	ck_assert_int_eq(call_bytes(row("t.ids"), bytes, 54, &why), TYPED_BAD);
	ck_assert_str_eq(why, "id");
	bytes[10] = '\0';
	ck_assert_int_eq(call_bytes(row("t.ids"), bytes, 54, &why), TYPED_BAD);
	memcpy(bytes, ID, 52);
	memcpy(bytes + 52, lying_count, sizeof(lying_count));
	ck_assert_int_eq(call_bytes(row("t.ids"), bytes, 57, &why), TYPED_BAD);
	ck_assert_str_eq(why, "names");
	memset(bytes, 0, sizeof(bytes));
	bytes[42] = 2; /* t.numbers: the flag */
	ck_assert_int_eq(call_bytes(row("t.numbers"), bytes, 43, &why), TYPED_BAD);
	ck_assert_str_eq(why, "k");
	bytes[42] = 1;
	ck_assert_int_eq(call_bytes(row("t.numbers"), bytes, 43, &why), 0);
}
END_TEST

START_TEST(wrong_texts)
{
	static const struct {
		const char *name, *args[12], *says;
	} wrong[] = {
		{ "t.puffer", { "true" }, "t.puffer takes 2 parameters (flag a, i16 b), but 1 were given" },
		{ "t.puffer", { "true", "1", "2" }, "but 3 were given" },
		{ "t.puffer", { "yes", "1" }, "t.puffer: \"yes\" is no flag, which its parameter a wants" },
		{ "t.puffer", { "true", "32768" }, "\"32768\" is no i16" },
		{ "t.puffer", { "true", "-32769" }, "is no i16" },
		{ "t.puffer", { "true", "" }, "is no i16" },
		{ "t.puffer", { "true", "1x" }, "is no i16" },
		{ "t.raw", { "256", "" }, "is no u8" },
		{ "t.raw", { "-1", "" }, "is no u8" },
		{ "t.raw", { "99999999999999999999999999", "" }, "is no u8" },
		{ "t.raw", { "1", "hex:abc" }, "is no rest" },
		{ "t.texts", { "a", "b", "0", "" }, "is no bytes16" },
		{ "t.texts", { "a", "b", "0g", "" }, "is no bytes16" },
		{ "t.ids", { "0123", "" }, "is no id52" },
	};
	uint8_t buf[256];
	char why[256], long_number[80];
	dk_str list[12];

	for (size_t i = 0; i < DK_ARRAY_LEN(wrong); i++) {
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		size_t n = 0;

		for (; wrong[i].args[n]; n++)
			list[n] = dk_str_c(wrong[i].args[n]);
		ck_assert_int_eq(payload_encode(row(wrong[i].name), list, n, &w, why, sizeof(why)), -EINVAL);
		ck_assert_msg(strstr(why, wrong[i].says) != NULL, "\"%s\" says nothing of \"%s\"", why, wrong[i].says);
	}
	/* A number is read whole, whatever its length. */
	memset(long_number, '0', sizeof(long_number));
	long_number[79] = 'x';
	list[0] = dk_str_c("true");
	list[1] = dk_str_n(long_number, 80);
	ck_assert_int_eq(
		payload_encode(row("t.puffer"), list, 2, &(struct dk_writer){ buf, buf, buf + 256, false }, why, sizeof(why)),
		-EINVAL);
	list[0] = dk_str_n(long_number, 80);
	list[1] = dk_str_c("1");
	ck_assert_int_eq(
		payload_encode(row("t.puffer"), list, 2, &(struct dk_writer){ buf, buf, buf + 256, false }, why, sizeof(why)),
		-EINVAL);
	for (int i = 0; i < 12; i++)
		list[i] = dk_str_c("1");
	memset(long_number, '1', sizeof(long_number));
	list[1] = dk_str_n(long_number, 80);
	ck_assert_int_eq(
		payload_encode(row("t.twelve"), list, 12, &(struct dk_writer){ buf, buf, buf + 256, false }, why, sizeof(why)),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "is no f64"));
	/* Too long for the buffer. */
	list[0] = dk_str_c("1");
	list[1] = dk_str_n(long_number, 80);
	ck_assert_int_eq(payload_encode(row("t.raw"), list, 2, &(struct dk_writer){ buf, buf, buf + 40, false }, why, sizeof(why)),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "too long together"));
}
END_TEST

START_TEST(rows_that_cannot_be)
{
	static const struct dk_param rest_first[] = { { DK_T_REST, "all" }, { DK_T_U8, "more" }, { 0, NULL } };
	static const struct dk_param unknown[] = { { 99, "odd" }, { 0, NULL } };
	static const struct dk_param unsorted[] = { { DK_T_U8, "b" }, { DK_T_U8, "a" }, { 0, NULL } };
	static const struct dk_param none[] = { { 0, NULL } };
	static const struct {
		struct dk_command row;
		const char *says;
	} bad[] = {
		{ { .in = rest_first, .out = none }, "parameter all takes the rest of the payload, so it must be the last" },
		{ { .in = unknown, .out = none }, "parameter 1 (odd) has type 99" },
		{ { .in = unsorted, .out = none, .flags = DK_PUFFER }, "alphabetical order, but a follows b" },
		{ { .in = none, .out = unsorted, .flags = DK_PUFFER }, "in the answer a follows b" },
	};
	char why[256];

	for (size_t i = 0; i < DK_ARRAY_LEN(bad); i++) {
		struct typed *t = NULL;

		ck_assert_int_eq(typed_prepare(&bad[i].row, &t, why, sizeof(why)), -EINVAL);
		ck_assert_ptr_null(t);
		ck_assert_msg(strstr(why, bad[i].says) != NULL, "\"%s\" says nothing of \"%s\"", why, bad[i].says);
	}
}
END_TEST

UNIT_MAIN("typed", numbers, texts, ids_and_lists, no_parameter_and_twelve, puffer_flags, every_cut_is_refused, wrong_bytes,
	  wrong_texts, rows_that_cannot_be)
