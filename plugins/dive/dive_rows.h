/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin dive says to itself on other nodes. An operation's payload is the same for all of them; outcome: 0, enum
 * dk_outcome, enum dk_dive_outcome or enum dive_elsewhere.
 */
#ifndef DIVE_ROWS_H
#define DIVE_ROWS_H

#include <diarkis/command.h>

enum dive_elsewhere {
	DIVE_NOT_MINE = 64, /* nothing was done; who owns it is not known here, or it is on its way */
	DIVE_ELSEWHERE, /* nothing was done; values: the address of who owns it */
	DIVE_NO_MEMORY,
	DIVE_STALE, /* of a bucket on its way: there is a later epoch here */
	DIVE_WHOLE, /* of a copy: something is missing here, so everything is wanted */
	DIVE_CLAIM, /* a later epoch was heard of here: claim the bucket anew, if it is still yours */
	DIVE_DOUBT /* it was done here, but the bucket went elsewhere before its copy was made */
};

/* What a copy is told. */
enum dive_copy_kind {
	DIVE_CHANGE,
	DIVE_ALL, /* in place of what is there */
	DIVE_CHECK, /* nothing: does it have everything up to here? */
	DIVE_DROP /* it is of no use any more */
};

/* asker, number, floor, again: struct dive_number; 0 with what changes nothing. */
#define DIVE_ASKS                                                                                                                  \
	DK_IN(str16(storage), str16(key), u32(ttl_s), i32(a), i32(b), u64(asker), u64(number), u64(floor), flag(again), u32(n),    \
	      rest(values))
#define DIVE_SAYS DK_OUT(u8(outcome), u32(n), rest(values))

#define DIVE_ROWS(X, R)                                                                                                            \
	R(struct dives, DK_VER_NODE, 600, "dive.set", dive_on_set, DK_INTERNAL, "sets a value", DIVE_ASKS, DIVE_SAYS)              \
	R(struct dives, DK_VER_NODE, 601, "dive.set_new", dive_on_set_new, DK_INTERNAL, "sets a value unless the key is there",    \
	  DIVE_ASKS, DIVE_SAYS)                                                                                                    \
	R(struct dives, DK_VER_NODE, 602, "dive.lpush", dive_on_lpush, DK_INTERNAL, "puts values in front of a list", DIVE_ASKS,   \
	  DIVE_SAYS)                                                                                                               \
	R(struct dives, DK_VER_NODE, 603, "dive.rpush", dive_on_rpush, DK_INTERNAL, "puts values behind a list", DIVE_ASKS,        \
	  DIVE_SAYS)                                                                                                               \
	R(struct dives, DK_VER_NODE, 610, "dive.get", dive_on_get, DK_INTERNAL, "reads a value", DIVE_ASKS, DIVE_SAYS)             \
	R(struct dives, DK_VER_NODE, 611, "dive.lrange", dive_on_lrange, DK_INTERNAL,                                              \
	  "reads a list from index a to before index b", DIVE_ASKS, DIVE_SAYS)                                                     \
	R(struct dives, DK_VER_NODE, 612, "dive.lpop", dive_on_lpop, DK_INTERNAL, "takes values from the front of a list",         \
	  DIVE_ASKS, DIVE_SAYS)                                                                                                    \
	R(struct dives, DK_VER_NODE, 613, "dive.rpop", dive_on_rpop, DK_INTERNAL, "takes values from the end of a list",           \
	  DIVE_ASKS, DIVE_SAYS)                                                                                                    \
	R(struct dives, DK_VER_NODE, 620, "dive.del", dive_on_del, DK_INTERNAL, "removes a key", DIVE_ASKS, DIVE_SAYS)             \
	R(struct dives, DK_VER_NODE, 624, "dive.incr", dive_on_incr, DK_INTERNAL, "adds a to a number", DIVE_ASKS, DIVE_SAYS)      \
	X(struct dives, DK_VER_NODE, 640, "dive.migrate", dive_on_migrate, DK_INTERNAL,                                            \
	  "a part of a bucket that the called node is to own; ask: only whether it has come",                                      \
	  DK_IN(str16(storage), u16(bucket), u32(epoch), u64(transfer), u32(part), flag(last), flag(ask), rest(keys)),             \
	  DK_OUT(u8(outcome), u32(epoch)))                                                                                         \
	X(struct dives, DK_VER_NODE, 641, "dive.claim", dive_on_claim, DK_INTERNAL,                                                \
	  "the calling node wants to own buckets (a bit each): for each one, what stands against it, epoch and copy",              \
	  DK_IN(str16(storage), rest(buckets)), DK_OUT(u64(nodes), rest(objections)))                                              \
	X(struct dives, DK_VER_NODE, 644, "dive.epoch", dive_on_epoch, DK_INTERNAL,                                                \
	  "the calling node is about to own buckets in these epochs: those that it may not have",                                  \
	  DK_IN(str16(storage), rest(epochs)), DK_OUT(rest(refused)))                                                              \
	X(struct dives, DK_VER_NODE, 642, "dive.copy", dive_on_copy, DK_INTERNAL,                                                  \
	  "of a bucket that is copied here: kind 0 a change, 1 all of it, 2 whether everything is here, 3 it is of no use now",    \
	  DK_IN(str16(storage), u16(bucket), u32(epoch), u64(version), u8(kind), rest(keys)), DK_OUT(u8(outcome)))                 \
	X(struct dives, DK_VER_NODE, 645, "dive.compare", dive_on_compare, DK_INTERNAL,                                            \
	  "sums of buckets that are copied here: those whose copy is another", DK_IN(str16(storage), rest(sums)),                  \
	  DK_OUT(rest(others)))                                                                                                    \
	X(struct dives, DK_VER_NODE, 643, "dive.promote", dive_on_promote, DK_INTERNAL,                                            \
	  "the called node owns a bucket of which it has a copy", DK_IN(str16(storage), u16(bucket), u32(epoch)), DK_OUT())

#define DIVE_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                                 \
	int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));                                                                      \
	DK_CMD_BODY_(fn, flags, in, out)
#define DIVE_RAW_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                             \
	int fn(self *, struct dk_call *);                                                                                          \
	DK_CMD_BODY_(fn, flags, in, out)

struct dives;
DIVE_ROWS(DIVE_DECL_, DIVE_RAW_DECL_)

#endif
