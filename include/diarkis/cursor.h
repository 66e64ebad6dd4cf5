/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing bytes whose length and content nobody vouches for. Both ends are sticky: the first step that does
 * not fit sets `bad`, every later step does nothing and yields zero. So a decoder reads straight through and asks once,
 * at the end. All integers are big-endian unless the name says le.
 */
#ifndef DIARKIS_CURSOR_H
#define DIARKIS_CURSOR_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_cursor {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct dk_cursor dk_cursor_of(dk_slice s)
{
	/* An empty slice may point nowhere, and C allows no arithmetic there. */
	const uint8_t *p = s.p ? s.p : (const uint8_t *)"";
	struct dk_cursor c = { p, p + s.n, false };

	return c;
}

static inline size_t dk_rd_left(const struct dk_cursor *c)
{
	return c->bad ? 0 : (size_t)(c->end - c->p);
}

/* n bytes, borrowed from the source; NULL when they are not there. */
static inline const uint8_t *dk_rd_take(struct dk_cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || (size_t)(c->end - c->p) < n) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static inline uint8_t dk_rd_u8(struct dk_cursor *c)
{
	const uint8_t *p = dk_rd_take(c, 1);

	return p ? p[0] : 0;
}

static inline uint16_t dk_rd_u16(struct dk_cursor *c)
{
	const uint8_t *p = dk_rd_take(c, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t dk_rd_u24(struct dk_cursor *c)
{
	const uint8_t *p = dk_rd_take(c, 3);

	return p ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

static inline uint32_t dk_rd_u24le(struct dk_cursor *c)
{
	const uint8_t *p = dk_rd_take(c, 3);

	return p ? (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

static inline uint32_t dk_rd_u32(struct dk_cursor *c)
{
	const uint8_t *p = dk_rd_take(c, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t dk_rd_u64(struct dk_cursor *c)
{
	uint64_t hi = dk_rd_u32(c);

	return hi << 32 | dk_rd_u32(c);
}

static inline float dk_rd_f32(struct dk_cursor *c)
{
	uint32_t u = dk_rd_u32(c);
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static inline double dk_rd_f64(struct dk_cursor *c)
{
	uint64_t u = dk_rd_u64(c);
	double d;

	memcpy(&d, &u, sizeof(d));
	return d;
}

static inline dk_slice dk_rd_slice(struct dk_cursor *c, size_t n)
{
	const uint8_t *p = dk_rd_take(c, n);

	return dk_slice_n(p, p ? n : 0);
}

/* A length of 1, 2 or 4 bytes, then that many bytes. */
static inline dk_slice dk_rd_bytes8(struct dk_cursor *c)
{
	return dk_rd_slice(c, dk_rd_u8(c));
}

static inline dk_slice dk_rd_bytes16(struct dk_cursor *c)
{
	return dk_rd_slice(c, dk_rd_u16(c));
}

static inline dk_slice dk_rd_bytes32(struct dk_cursor *c)
{
	return dk_rd_slice(c, dk_rd_u32(c));
}

/* All that is left. */
static inline dk_slice dk_rd_rest(struct dk_cursor *c)
{
	return dk_rd_slice(c, dk_rd_left(c));
}

/* True when every step fitted and nothing is left over: the usual last line of a decoder. */
static inline bool dk_rd_done(const struct dk_cursor *c)
{
	return !c->bad && c->p == c->end;
}

struct dk_writer {
	uint8_t *start, *p, *end;
	bool bad;
};

/* buf NULL: bad from the start, so the buffer of an allocation that failed needs no check of its own. */
static inline struct dk_writer dk_writer_on(void *buf, size_t cap)
{
	uint8_t *p = (uint8_t *)buf;
	struct dk_writer w = { p, p, p ? p + cap : p, p == NULL };

	return w;
}

/* Room for n bytes, to be filled by the caller; NULL when there is none. */
static inline uint8_t *dk_wr_take(struct dk_writer *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || (size_t)(w->end - w->p) < n) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	return p;
}

static inline void dk_wr_u8(struct dk_writer *w, uint8_t v)
{
	uint8_t *p = dk_wr_take(w, 1);

	if (p)
		p[0] = v;
}

static inline void dk_wr_u16(struct dk_writer *w, uint16_t v)
{
	uint8_t *p = dk_wr_take(w, 2);

	if (p) {
		p[0] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)v;
	}
}

static inline void dk_wr_u24(struct dk_writer *w, uint32_t v)
{
	uint8_t *p = dk_wr_take(w, 3);

	if (p) {
		p[0] = (uint8_t)(v >> 16);
		p[1] = (uint8_t)(v >> 8);
		p[2] = (uint8_t)v;
	}
}

static inline void dk_wr_u24le(struct dk_writer *w, uint32_t v)
{
	uint8_t *p = dk_wr_take(w, 3);

	if (p) {
		p[0] = (uint8_t)v;
		p[1] = (uint8_t)(v >> 8);
		p[2] = (uint8_t)(v >> 16);
	}
}

static inline void dk_wr_u32(struct dk_writer *w, uint32_t v)
{
	uint8_t *p = dk_wr_take(w, 4);

	if (p) {
		p[0] = (uint8_t)(v >> 24);
		p[1] = (uint8_t)(v >> 16);
		p[2] = (uint8_t)(v >> 8);
		p[3] = (uint8_t)v;
	}
}

static inline void dk_wr_u64(struct dk_writer *w, uint64_t v)
{
	uint8_t *p = dk_wr_take(w, 8);

	for (int i = 0; p && i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static inline void dk_wr_f32(struct dk_writer *w, float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof(u));
	dk_wr_u32(w, u);
}

static inline void dk_wr_f64(struct dk_writer *w, double v)
{
	uint64_t u;

	memcpy(&u, &v, sizeof(u));
	dk_wr_u64(w, u);
}

static inline void dk_wr_slice(struct dk_writer *w, dk_slice s)
{
	uint8_t *p = dk_wr_take(w, s.n);

	if (p && s.n)
		memcpy(p, s.p, s.n);
}

/* A length of 1, 2 or 4 bytes, then the bytes; a slice too long for its length field sets bad. */
static inline void dk_wr_bytes8(struct dk_writer *w, dk_slice s)
{
	if (s.n > UINT8_MAX)
		w->bad = true;
	dk_wr_u8(w, (uint8_t)s.n);
	dk_wr_slice(w, s);
}

static inline void dk_wr_bytes16(struct dk_writer *w, dk_slice s)
{
	if (s.n > UINT16_MAX)
		w->bad = true;
	dk_wr_u16(w, (uint16_t)s.n);
	dk_wr_slice(w, s);
}

static inline void dk_wr_bytes32(struct dk_writer *w, dk_slice s)
{
	if (s.n > UINT32_MAX)
		w->bad = true;
	dk_wr_u32(w, (uint32_t)s.n);
	dk_wr_slice(w, s);
}

/* What was written so far; empty when something did not fit. */
static inline dk_slice dk_written(const struct dk_writer *w)
{
	return dk_slice_n(w->start, w->bad ? 0 : (size_t)(w->p - w->start));
}

#ifdef __cplusplus
}
#endif

#endif
