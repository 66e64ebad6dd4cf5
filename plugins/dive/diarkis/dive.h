/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "dive": a store of named values, spread over the memory of the cluster's nodes. The plugin dive provides it. A storage
 * has a name; a key of it lives on one node, its owner, which does everything that is done to the key, one thing after another, and
 * so nobody ever reads a value that is stale. Whoever asks on another node asks the owner.
 *
 * Values are those of <diarkis/value.h>: truth values, numbers, text, bytes, arrays, capsules. A key holds one of them, or a list
 * of them. Everything has a time to live, which ends to the millisecond. Nothing is on disk.
 */
#ifndef DIARKIS_DIVE_H
#define DIARKIS_DIVE_H

#include <diarkis/packed.h>
#include <diarkis/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_DIVE_NAME "dive"
#define DK_DIVE_MAJOR 1
#define DK_DIVE_MINOR 0
#define DK_DIVE_TYPE struct dk_dive

#define DK_DIVE_KEY_MAX 512
#define DK_DIVE_STORAGE_MAX 64 /* bytes of a storage's name */
#define DK_DIVE_TTL_MAX 86400 /* seconds */

enum dk_dive_outcome {
	DK_DIVE_KIND = DK_OUTCOME_OWN, /* the key holds something else than the operation is for */
	DK_DIVE_RANGE, /* the number would not fit 32 bits, or is no 32-bit number */
	DK_DIVE_NO_STORAGE, /* no storage of that name, here or at the owner */
	DK_DIVE_BAD_TTL, /* more than a day */
	DK_DIVE_BAD_VALUE, /* no value, one too many, or one that is none */
	DK_DIVE_NO_NODE, /* no node took it in time: there is none, or the key was on its way */
	DK_DIVE_MAYBE, /* the owner or its copy did not answer: it may have been done */
	DK_DIVE_MINORITY, /* copies are wanted, and this side of the cluster is the smaller one: nothing was changed */
	DK_DIVE_OUTCOME_END
};

enum dk_dive_op {
	DK_DIVE_SET = 1,
	DK_DIVE_SET_NEW, /* SetIfNotExists: DK_EXISTS if the key is there */
	DK_DIVE_GET,
	DK_DIVE_DEL, /* answers what was there */
	DK_DIVE_INCR, /* by a; the key must be there; answers the sum */
	DK_DIVE_LPUSH, /* the last of the values is the first of the list then */
	DK_DIVE_RPUSH,
	DK_DIVE_LPOP, /* a of them, or all where a is 0 or less; the key goes with the last one */
	DK_DIVE_RPOP, /* likewise; the last one first */
	DK_DIVE_LRANGE, /* from index a to before index b, or to the end where b is 0 or less */
	DK_DIVE_OP_END
};

/* What is asked. All of it is copied. */
struct dk_dive_ask {
	enum dk_dive_op op;
	dk_str storage;
	dk_str key; /* 1 to DK_DIVE_KEY_MAX bytes */
	/* Seconds from now on, at most a day; this is the form that the reference calls Ex. 0: a new key and a push get the
	 * storage's defaultTTL, anything else leaves the time as it is. */
	uint32_t ttl_s;
	const struct dk_value *values; /* SET, SET_NEW: one; LPUSH, RPUSH: one or more */
	size_t n;
	int32_t a, b;
};

/* n values in the form of <diarkis/packed.h>: walk it with dk_dive_next(). */
struct dk_dive_list {
	dk_slice bytes;
	uint32_t n;
};
/* rc: 0, or DK_NOT_FOUND, DK_EXISTS, DK_FULL (a limit of the storage), DK_TOO_LONG, enum dk_dive_outcome, -ENOMEM. values: what was
 * read, popped or deleted, and an increment's sum. */
struct dk_dive_result {
	int rc;
	struct dk_dive_list values;
};
/* r is valid until it returns. Called exactly once, unless the plugin that asked has stopped: then never. */
typedef void dk_dive_done_fn(void *self, void *arg, const struct dk_dive_result *r);

/* The owner is about to push; under no lock, but nothing else happens to the key meanwhile. May replace `values` by a list that
 * lives until the push is done (scratch), as the reference's SetOnPush does. */
struct dk_dive_push {
	dk_str storage, key;
	bool right;
	struct dk_dive_list values;
};
/* The owner is about to answer a range with these; likewise. */
struct dk_dive_range {
	dk_str storage, key;
	struct dk_dive_list values;
};

/* Other nodes hold a storage than before. */
struct dk_dive_nodes {
	dk_str storage;
	size_t n; /* as nodes() says */
};

struct dk_dive {
	struct dk_service base;

	/* Filters of the owner: not 0 refuses the operation with DK_REFUSED, and nothing changes. A push is asked about before
	 * anything else of it is looked at, and once, also when it is asked for again because its answer was lost; only
	 * of one that came to nothing a new owner that took over from a copy knows nothing. A range is asked about whenever it is
	 * read, and only if there is a list. */
	DK_FILTER(struct dk_dive_push) pushing;
	DK_FILTER(struct dk_dive_range) ranging;

	/* done runs on self, in a later turn, within 5 seconds or a little more. Returns 0, or without calling done: -EINVAL (no
	 * key, no such operation), DK_TOO_LONG (key or values), enum dk_dive_outcome (storage, ttl, values, or DK_DIVE_NO_NODE
	 * while this node ends) or -ENOMEM. */
	int (*ask)(struct dk_dive *d, void *self, const struct dk_dive_ask *ask, dk_dive_done_fn *done, void *arg);
	/* A storage of that name; every node where it is used or held must make it, in its init. type: nodes with an endpoint of
	 * this type hold it; NULL = as this node. Limits are those of the plugin's options for new storages. Returns 0, DK_EXISTS,
	 * DK_TOO_LONG (or empty) or -ENOMEM. */
	int (*create)(struct dk_dive *d, dk_str name, dk_str type, uint32_t default_ttl_s);
	bool (*exists)(struct dk_dive *d, dk_str name); /* IsStorage */
	/* The node that owns the key, as far as this node knows: to group keys by node before many are asked for. Returns 0,
	 * DK_DIVE_NO_STORAGE or DK_DIVE_NO_NODE. */
	int (*resolve)(struct dk_dive *d, dk_str storage, dk_str key, struct dk_addr *ret_node);
	/* fn gets each key of the storage that this node owns; nothing may be asked from inside. Returns how many there were. */
	size_t (*local_keys)(struct dk_dive *d, dk_str storage, void (*fn)(void *arg, dk_str key), void *arg);
	/* Nodes that hold the storage, this one included if it does; 0 = there is none, or no such storage. */
	size_t (*nodes)(struct dk_dive *d, dk_str storage);

	/* From now on resolve() may answer otherwise. SetOnNodeChange */
	DK_SIGNAL(struct dk_dive_nodes) nodes_changed;
	/* Nothing is here that another node could take over: this one may end. IsReadyToShutdown */
	bool (*ready)(struct dk_dive *d);
	/* UpdateRingSize: without effect, since there is no ring. Returns 0, -EINVAL (no size) or DK_DIVE_NO_STORAGE. */
	int (*ring_size)(struct dk_dive *d, dk_str storage, uint32_t size);
};

/* The next value; false at the end. Text and bytes are borrowed from the list. dk_value_write() makes one. */
static inline bool dk_dive_next(struct dk_dive_list *l, struct dk_value *ret_value)
{
	struct dk_cursor c = dk_cursor_of(l->bytes);

	struct dk_value v;

	if (!l->n)
		return false;
	v = dk_value_read(&c);
	if (c.bad)
		return false;
	*ret_value = v;
	l->bytes = dk_rd_rest(&c);
	l->n--;
	return true;
}

#ifdef __cplusplus
}
#endif

#endif
