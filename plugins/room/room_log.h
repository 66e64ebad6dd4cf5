/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recorded room as bytes: what happened to it, in order, and now and then what came of it. Pure; written by room_record.c, read
 * by whoever plays it again.
 *
 * The length of a record is written last, and behind the last record are zeroes: bytes that a process wrote before it died at any
 * moment are a whole recording. A record that a machine did not get to the disk as a whole is the last one, and told from a
 * changed one by its last byte, which is never zero. Each record carries a checksum over all before it, so that nothing can be
 * changed, left out or moved unseen; it is no protection against people.
 */
#ifndef ROOM_LOG_H
#define ROOM_LOG_H

#include <diarkis/command.h>
#include <diarkis/packed.h>
#include <diarkis/room.h>
#include <diarkis/user.h>

/* outcome: what the function of the service of that name returned. */
enum room_log_kind {
	ROOM_LOG_CONF = 1, /* conf: what the node allows, in the beginning and when it changes */
	ROOM_LOG_CREATE, /* opts, uid: the creator, at_ms: unix time */
	ROOM_LOG_STATE, /* bytes: the room as room_pack() has it, more: what that leaves out */
	ROOM_LOG_JOIN, /* uid, outcome, number: ms for which it has spoken ahead */
	ROOM_LOG_SEAT, /* likewise, cmd, bytes: its message; its client is on the way */
	ROOM_LOG_TOLD, /* uid: that client is here */
	ROOM_LOG_LEAVE, /* uid, outcome, how: enum dk_reason */
	ROOM_LOG_GONE, /* uid: a creator who is no member is no user any more */
	ROOM_LOG_HOLD, /* uid, outcome: a seat for somebody who is on the way */
	ROOM_LOG_UNHOLD, /* uid */
	ROOM_LOG_RESERVE, /* uid: by whom, uids, outcome, how: must be the owner */
	ROOM_LOG_CANCEL, /* likewise */
	ROOM_LOG_TTL, /* number: seconds, outcome */
	ROOM_LOG_SET, /* name, value, outcome */
	ROOM_LOG_UNSET, /* name, outcome */
	ROOM_LOG_INCR, /* name, delta, outcome */
	ROOM_LOG_UPDATE, /* outcome; 0: all until ROOM_LOG_UPDATED happens at once */
	ROOM_LOG_UPDATED, /* how: it was not taken back */
	ROOM_LOG_STATES, /* states, outcome: they are enabled */
	ROOM_LOG_STATE_SET, /* uid: linked to, bytes: key, more: value, how: 1 reliable, 2 linked; outcome */
	ROOM_LOG_STATE_REMOVE, /* bytes: key, outcome */
	ROOM_LOG_STATE_SYNC, /* uid, number: ms until it hears all states */
	ROOM_LOG_OBJECT, /* name, how: mode, bytes: {str16 name, f64}*, more: one byte, reliable, outcome */
	ROOM_LOG_CHAT, /* uid, how: 0 = the server, name: the text, at_ms, outcome */
	ROOM_LOG_CHAT_LIMIT, /* number, outcome */
	ROOM_LOG_CLOCK, /* how: whose, name, number: seconds, outcome */
	ROOM_LOG_CLOCK_STOP, /* how, name, outcome */
	ROOM_LOG_SAY, /* to all: uid: the sender, ver, cmd, bytes, how: 1 reliable, 2 there is a sender; outcome */
	ROOM_LOG_SEND, /* to some, or nobody's list: likewise, uids; changes nothing */
	ROOM_LOG_PUSH, /* to all, by the room itself: ver, cmd, bytes, how: reliable */
	ROOM_LOG_FLUSH, /* what waited was pushed */
	ROOM_LOG_TIMER, /* how: enum room_log_timer, number: whose clock, name: of the clock */
	ROOM_LOG_FREEZE, /* it is on its way to another node */
	ROOM_LOG_THAW, /* and is not any more */
	ROOM_LOG_PART, /* what a plugin keeps of it: name, number: version, 0 = nothing, bytes */
	ROOM_LOG_REFUSE, /* a command ended before the room: uid, how: enum room_log_refusal, outcome */
	ROOM_LOG_END, /* how: enum room_log_end */
	ROOM_LOG_CHECK, /* mask, parts: room_dump_parts(), those that changed */
	ROOM_LOG_KINDS
};

enum room_log_timer { ROOM_TIMER_TICK = 1, ROOM_TIMER_WINDOW, ROOM_TIMER_LAPSE, ROOM_TIMER_GREET, ROOM_TIMER_CLOCK };
enum room_log_refusal { ROOM_REFUSED_MEMBER = 1 /* the caller is none */, ROOM_REFUSED_STATES /* none, or not for clients */ };
enum room_log_end { ROOM_END_EMPTY = 1, ROOM_END_EXPIRED, ROOM_END_REMOVED, ROOM_END_MOVED, ROOM_END_NODE };

/* What a room is made of, as a check compares it. */
enum room_log_part {
	ROOM_PART_SETTINGS,
	ROOM_PART_MEMBERS,
	ROOM_PART_SEATS,
	ROOM_PART_PROPS,
	ROOM_PART_STATES,
	ROOM_PART_OBJECTS,
	ROOM_PART_CHAT,
	ROOM_PART_OTHERS,
	ROOM_PART_TIMERS,
	ROOM_PART_COMING,
	ROOM_PART_WINDOW,
	ROOM_PART_CLOCKS,
	ROOM_PART_PACE,
	ROOM_PART_WAITING,
	ROOM_PART_COUNT
};

struct room_log_conf {
	uint32_t max_message, max_chat, chat_history, chat_rate, max_states, state_interval_ms;
	bool compat_interval;
};

/* One thing that happened; the members that its kind does not name are zero. Read ones borrow from the recording. */
struct room_log_event {
	enum room_log_kind kind;
	uint64_t t_ms; /* since the recording began */
	int32_t outcome;
	uint8_t how, ver;
	uint16_t cmd;
	uint32_t number;
	int64_t delta;
	uint64_t at_ms;
	dk_str uid, name;
	dk_slice bytes, more;
	struct dk_list uids;
	struct dk_value value;
	struct dk_room_opts opts;
	struct dk_room_states_opts states;
	struct room_log_conf conf;
	uint16_t mask; /* bit per part */
	uint64_t parts[ROOM_PART_COUNT];
};

#define ROOM_LOG_HEAD 96 /* bytes before the first record */
#define ROOM_LOG_RECORD_MAX (1u << 24)

struct room_log_head {
	struct dk_id52 id;
	uint64_t unix_ms, now_ms; /* when it began, by both clocks */
	uint32_t grid; /* of the room's ticks */
	uint64_t cap; /* size of the file when it was written */
};

struct room_log_writer {
	uint8_t *start;
	size_t cap, at;
	uint64_t sum;
};
/* On zeroed bytes; head->cap is set here. Returns false when there is no space. */
bool room_log_begin(struct room_log_writer *w, void *bytes, size_t cap, const struct room_log_head *head);
bool room_log_put(struct room_log_writer *w, const struct room_log_event *e);
/* The same of bytes: kind, time and fields. For tests of the reader. */
bool room_log_put_raw(struct room_log_writer *w, dk_slice record);

struct room_log_reader {
	dk_slice bytes;
	size_t at;
	uint64_t sum, t_ms;
	uint32_t n; /* records read */
	struct room_log_head head;
	bool torn; /* behind the last record is the beginning of one */
};
/* Returns 0 or -EPROTO: *ret_why (static) says why. */
int room_log_open(struct room_log_reader *r, dk_slice bytes, const char **ret_why);
/* Returns 0, DK_NOT_FOUND (there are no more, or a torn one) or -EPROTO, as above. */
int room_log_next(struct room_log_reader *r, struct room_log_event *ret_event, const char **ret_why);

/* What that kind of record is, for people: "a user joins". */
const char *room_log_what(enum room_log_kind kind);
const char *room_log_part_name(unsigned part);

/* A checksum, the same on every machine. */
#define ROOM_LOG_SUM_FIRST 0xcbf29ce484222325u
uint64_t room_log_sum(uint64_t sum, const void *bytes, size_t n);

#endif
