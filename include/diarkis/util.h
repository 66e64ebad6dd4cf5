/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that plugins of this kind keep needing: hexadecimal text, numbers out of text that a stranger wrote, and a
 * comparison of secrets that does not tell how far it got. Nothing allocates; nothing here needs a node.
 */
#ifndef DIARKIS_UTIL_H
#define DIARKIS_UTIL_H

#include <diarkis/base.h>

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The value of a hexadecimal digit of either case, or -1. */
static inline int dk_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Writes 2 * bytes.n lower-case digits to text, which gets no NUL. */
static inline void dk_hex_format(dk_slice bytes, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.n; i++) {
		text[2 * i] = digits[bytes.p[i] >> 4];
		text[2 * i + 1] = digits[bytes.p[i] & 15];
	}
}

/* Exactly n bytes from 2 * n digits of either case. Returns 0 or -EINVAL; ret_bytes is written on success only. */
static inline int dk_hex_parse(dk_str text, size_t n, uint8_t *ret_bytes)
{
	if (text.n % 2 || text.n / 2 != n)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++)
		if (dk_hex_digit(text.p[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		ret_bytes[i] = (uint8_t)(dk_hex_digit(text.p[2 * i]) << 4 | dk_hex_digit(text.p[2 * i + 1]));
	return 0;
}

/* A decimal number and nothing else: digits only, no sign, no blank. Returns 0, -EINVAL, or -ERANGE when it is above max. */
static inline int dk_uint_parse(dk_str text, uint64_t max, uint64_t *ret_value)
{
	uint64_t v = 0;

	if (!text.n)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		unsigned digit = (unsigned)(text.p[i] - '0');

		if (digit > max || v > (max - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*ret_value = v;
	return 0;
}

/* The same with an optional '-' in front. Returns 0, -EINVAL, or -ERANGE when it is outside min...max. */
static inline int dk_int_parse(dk_str text, int64_t min, int64_t max, int64_t *ret_value)
{
	bool minus = text.n > 0 && text.p[0] == '-';
	uint64_t v;
	int64_t value;
	int rc;

	if (minus)
		text = dk_str_n(text.p + 1, text.n - 1);
	rc = dk_uint_parse(text, (uint64_t)INT64_MAX + minus, &v);
	if (rc)
		return rc;
	value = !minus ? (int64_t)v : v ? -(int64_t)(v - 1) - 1 : 0;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

/* Whether two secrets are equal, in a time that depends on their lengths alone. */
static inline bool dk_secret_eq(dk_slice a, dk_slice b)
{
	volatile uint8_t differ = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		differ = (uint8_t)(differ | (a.p[i] ^ b.p[i]));
	return differ == 0;
}

#ifdef __cplusplus
}
#endif

#endif
