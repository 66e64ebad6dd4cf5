/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agents of two nodes tell each other, all of it unreliable: whatever is lost is made good by the next beat, which says
 * in a few numbers what its sender has.
 */
#ifndef MARS_MESSAGES_H
#define MARS_MESSAGES_H

#include <diarkis/command.h>

enum mars_message {
	MARS_MSG_ANNOUNCE = 1004,
	MARS_MSG_ANSWER = 1005,
	MARS_MSG_BEAT = 1006,
	MARS_MSG_TABLE = 1007,
	MARS_MSG_ASK = 1008,
	MARS_MSG_AGE = 1009,
	MARS_MSG_WANT = 1010,
	MARS_MSG_VALUES = 1011,
	MARS_MSG_SHARED = 1012
};

enum mars_announce_flag {
	MARS_PULL = 1, /* buckets follow: send the records of those that differ */
	MARS_TO_REGISTRY = 2 /* answer with mars.answer */
};
enum mars_answer_flag {
	MARS_FULL = 1, /* the node's roles are among fullSyncRoles */
	MARS_FRESH = 2 /* this registry began a moment ago: what it does not know says nothing */
};
enum mars_beat_flag {
	MARS_REPLY = 1, /* beat back at once */
	MARS_ACCUSED = 2 /* the receiver is thought to be suspect or dead, in the incarnation `accused` */
};

#define MARS_MESSAGES(X, R)                                                                                                        \
	R(struct mars, DK_VER_NODE, 1004, "mars.announce", mars_on_announce, DK_INTERNAL, "a node tells its record",               \
	  DK_IN(u8(flags), bytes16(record), rest(buckets)), DK_OUT())                                                              \
	R(struct mars, DK_VER_NODE, 1005, "mars.answer", mars_on_answer, DK_INTERNAL, "a registry answers an announcement",        \
	  DK_IN(u8(flags), u64(boot), u64(digest), u32(nodes)), DK_OUT())                                                          \
	R(struct mars, DK_VER_NODE, 1006, "mars.beat", mars_on_beat, DK_INTERNAL, "a sign of life, and what its sender has",       \
	  DK_IN(u8(flags), u64(boot), u32(incarnation), u32(seq), u32(value_seq), u32(users), u64(digest), u32(shared),            \
		u32(accused)),                                                                                                     \
	  DK_OUT())                                                                                                                \
	R(struct mars, DK_VER_NODE, 1007, "mars.table", mars_on_table, DK_INTERNAL,                                                \
	  "records of nodes, each with the milliseconds since it was heard", DK_IN(rest(records)), DK_OUT())                       \
	R(struct mars, DK_VER_NODE, 1008, "mars.ask", mars_on_ask, DK_INTERNAL, "when did you hear that node?", DK_IN(u64(boot)),  \
	  DK_OUT())                                                                                                                \
	R(struct mars, DK_VER_NODE, 1009, "mars.age", mars_on_age, DK_INTERNAL, "so many milliseconds ago",                        \
	  DK_IN(u64(boot), u32(age_ms)), DK_OUT())                                                                                 \
	R(struct mars, DK_VER_NODE, 1010, "mars.want", mars_on_want, DK_INTERNAL, "values that changed after a number, please",    \
	  DK_IN(u32(since)), DK_OUT())                                                                                             \
	R(struct mars, DK_VER_NODE, 1011, "mars.values_of", mars_on_values_of, DK_INTERNAL,                                        \
	  "values that changed between two numbers", DK_IN(u64(boot), u32(since), u32(up_to), rest(page)), DK_OUT())               \
	R(struct mars, DK_VER_NODE, 1012, "mars.shared_rows", mars_on_shared_rows, DK_INTERNAL, "rows of the shared data",         \
	  DK_IN(rest(rows)), DK_OUT())

#endif
