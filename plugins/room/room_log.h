/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recorded room as bytes: what happened to it, in order, and now and then what came of it. Pure; written by room_record.c, read
 * by whoever plays it again.
 *
 * The length of a record is written last, and behind the last record are zeroes: bytes that a process wrote before it died at any
 * moment are a whole recording. Each record carries a checksum over all before it, so that nothing can be changed, left out
 * or moved unseen; it is no protection against people.
 */
#ifndef ROOM_LOG_H
#define ROOM_LOG_H

#include <diarkis/command.h>
#include <diarkis/packed.h>
#include <diarkis/room.h>
#include <diarkis/user.h>

enum room_log_kind {
	ROOM_LOG_CREATE = 1,
	ROOM_LOG_JOIN,
	ROOM_LOG_LEAVE,
	ROOM_LOG_SET,
	ROOM_LOG_UNSET,
	ROOM_LOG_RESERVE,
	ROOM_LOG_CANCEL,
	ROOM_LOG_TTL,
	ROOM_LOG_SAY,
	ROOM_LOG_END,
	ROOM_LOG_CHECK
};

/* One thing that happened; the members that its kind does not name are zero. Read ones borrow from the recording. */
struct room_log_event {
	enum room_log_kind kind;
	uint64_t t_ms; /* since the recording began */
	dk_str uid; /* CREATE: the creator; JOIN, LEAVE; SAY: the sender, empty = the server */
	struct dk_room_opts opts; /* CREATE; TTL: ttl_s */
	uint8_t reason; /* LEAVE */
	dk_str name; /* SET, UNSET */
	struct dk_value value; /* SET */
	struct dk_list uids; /* RESERVE, CANCEL */
	uint8_t ver; /* SAY */
	uint16_t cmd;
	dk_slice message;
	bool expired; /* END: by its time to live */
	uint64_t hash; /* CHECK: room_log_hash() */
};

#define ROOM_LOG_HEAD 80 /* bytes before the first record */

struct room_log_writer {
	uint8_t *start;
	size_t cap, at;
	uint64_t sum;
};
/* On zeroed bytes. wall_s: when that is, for people. Returns false when there is no space. */
bool room_log_begin(struct room_log_writer *w, void *bytes, size_t cap, const struct dk_id52 *id, uint64_t wall_s);
bool room_log_put(struct room_log_writer *w, const struct room_log_event *e);
/* The same of bytes: kind, time and fields. For tests of the reader. */
bool room_log_put_raw(struct room_log_writer *w, dk_slice record);

struct room_log_reader {
	dk_slice bytes;
	size_t at;
	uint64_t sum, t_ms;
	uint32_t n; /* records read */
	struct dk_id52 id;
	uint64_t wall_s;
};
/* Returns 0 or -EPROTO: *ret_why (static) says why. */
int room_log_open(struct room_log_reader *r, dk_slice bytes, const char **ret_why);
/* Returns 0, DK_NOT_FOUND (there are no more) or -EPROTO, as above. */
int room_log_next(struct room_log_reader *r, struct room_log_event *ret_event, const char **ret_why);

/* Of all of a room that is recorded; reserved: seats. Never 0. The same on every machine. */
uint64_t room_log_hash(struct dk_room *rooms, struct dk_user *users, dk_id room, uint16_t reserved);

#endif
