/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that every other header uses: text and byte views, addresses, handles, attributes.
 * Nothing here allocates and nothing here owns memory.
 */
#ifndef DIARKIS_BASE_H
#define DIARKIS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_API __attribute__((visibility("default")))
#define DK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define DK_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define dk_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Text that somebody else owns; not NUL-terminated unless its source says so. p may be NULL when n is 0. */
typedef struct dk_str {
	const char *p;
	size_t n;
} dk_str;

/* Bytes that somebody else owns. */
typedef struct dk_slice {
	const uint8_t *p;
	size_t n;
} dk_slice;

#define DK_STR_FMT "%.*s"
#define DK_STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline dk_str dk_str_n(const char *p, size_t n)
{
	dk_str s = { p, n };

	return s;
}

/* A view of a NUL-terminated string; NULL gives the empty view. */
static inline dk_str dk_str_c(const char *p)
{
	return dk_str_n(p, p ? strlen(p) : 0);
}

static inline bool dk_str_eq(dk_str a, dk_str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline dk_slice dk_slice_n(const void *p, size_t n)
{
	dk_slice s = { (const uint8_t *)p, n };

	return s;
}

static inline dk_slice dk_slice_of(dk_str s)
{
	return dk_slice_n(s.p, s.n);
}

static inline dk_str dk_str_of(dk_slice s)
{
	return dk_str_n((const char *)s.p, s.n);
}

/* An IP address and a port (host order). family is 4 or 6; 0 = none. An IPv4 address fills ip[0..3], the rest is zero. */
struct dk_addr {
	uint8_t ip[16];
	uint16_t port;
	uint8_t family;
	uint8_t pad;
};

static inline bool dk_addr_eq(const struct dk_addr *a, const struct dk_addr *b)
{
	return a->port == b->port && a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* Longest text of an address, "[v6]:port" and the NUL included. */
#define DK_ADDR_TEXT 56

/*
 * A handle: kind 8 bits | generation 24 | slot 32. It names an object of this node across time and plugins; zero names
 * nothing. A handle whose object is gone is an ordinary outcome of the function that gets it. Never sent on a wire.
 */
typedef uint64_t dk_id;

enum dk_kind { DK_KIND_CALL = 1, DK_KIND_PEER, DK_KIND_USER, DK_KIND_ROOM, DK_KIND_REQUEST, DK_KIND_GROUP, DK_KIND_APP = 64 };

static inline uint8_t dk_id_kind(dk_id id)
{
	return (uint8_t)(id >> 56);
}

static inline uint32_t dk_id_slot(dk_id id)
{
	return (uint32_t)id;
}

/*
 * The public id of an object that other nodes may name (room, group, session): 52 ASCII characters = 16 hex digits of
 * max(wall clock ns, last + 1), then three slots of 12 hex digits (IPv4, port): the owner and up to two backups.
 */
#define DK_ID52_LEN 52
struct dk_id52 {
	char c[DK_ID52_LEN];
};

/* Status of a frame from server to client; requests carry none (0). */
enum dk_status { DK_STATUS_OK = 1, DK_STATUS_BAD = 4, DK_STATUS_ERR = 5, DK_STATUS_PUSH = 255 };

/* One command, reply or push: what travels between a client and a server, without its envelope. */
struct dk_frame {
	uint8_t ver;
	uint8_t status; /* enum dk_status; 0 on requests */
	uint16_t cmd;
	dk_slice payload; /* plain bytes, borrowed */
};

/* How a frame is to travel; flags. */
enum dk_how {
	DK_UNRELIABLE = 0,
	DK_RELIABLE = 1, /* ordered, repeated until acknowledged; over TCP everything is */
	DK_LISTED = 2, /* the payload of a push already is a list of {u32 length, bytes}; without it the sender wraps it */
	DK_ALONE = 4, /* a push leaves as it is, in a frame of its own: it is neither wrapped nor merged with others */
};

/* Credentials of one connection, made by the server and handed out by the HTTP answer. */
struct dk_credential {
	uint8_t sid[16]; /* names the connection; a secret */
	uint8_t key[16], iv[16], mac_key[16]; /* suite legacy: AES-128-CBC and HMAC-SHA256 */
	bool encrypted; /* false: key, iv and mac_key are empty in the answer and frames are plain */
};

#ifdef __cplusplus
}
#endif

#endif
