/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the plugin session and what it pushes, as rows: for the plugin itself, for clients and for whoever hooks them.
 * Rows whose payload the reference publishes have that layout (800, 801, 802, 804, 805, 808, 809, 810); the others are in puffer
 * form. Lists of uids named `uids` are {u32 length, bytes} one after another. docs/WIRE.md, "session".
 */
#ifndef DIARKIS_SESSION_COMMANDS_H
#define DIARKIS_SESSION_COMMANDS_H

#include <diarkis/command.h>

#define SESSION_VER 1

enum session_cmd {
	SESSION_CMD_BROADCAST = 800, /* the push carries the message, and nothing else */
	SESSION_CMD_CREATE = 801,
	SESSION_CMD_INVITE = 802, /* the push: type u8, session with a length of one byte, message */
	SESSION_CMD_JOIN = 804, /* also the push that tells of a new member */
	SESSION_CMD_LEAVE = 805, /* also the push that tells of one who left */
	SESSION_CMD_KICK = 806, /* also the push to the one who was kicked */
	SESSION_CMD_MESSAGE = 807, /* the push carries the message, and nothing else */
	SESSION_CMD_MEMBER_IDS = 808,
	SESSION_CMD_COUNT = 809,
	SESSION_CMD_INFO = 810,
	SESSION_CMD_ENDED = 811 /* push only */
};

/* Codes of refusals; a client sees them when the node sends structured errors. */
enum session_error {
	SESSION_E_PARAMS = DK_E_PARAMS,
	SESSION_E_NO_NODE = DK_E_NODE_NOT_FOUND, /* the node of the session does not answer */
	SESSION_E_OTHER = DK_E_SESSION,
	SESSION_E_NONE = DK_E_SESSION_NONE /* no such session, or the user is in none of that type */
};

#define SESSION_COMMANDS(X, R)													   \
	X(struct sessions, 1, 800, "session.broadcast", session_on_broadcast, DK_CLIENT | DK_USER | DK_QUIET,			   \
	  "send to all members of one's session, oneself included", DK_IN(u8(type), rest(message)), DK_OUT())			   \
	X(struct sessions, 1, 801, "session.create", session_on_create, DK_CLIENT | DK_USER,					   \
	  "create a session, and be its owner and first member", DK_IN(u8(type), u8(max_members), u8(ttl_s)),			   \
	  DK_OUT(u8(type), rest(session)))											   \
	X(struct sessions, 1, 802, "session.invite", session_on_invite, DK_CLIENT | DK_USER,					   \
	  "send an invitation to users anywhere in the cluster; for members", DK_IN(u8(type), bytes32(uids), rest(message)),	   \
	  DK_OUT())														   \
	X(struct sessions, 1, 804, "session.join", session_on_join, DK_CLIENT | DK_USER, "join a session",			   \
	  DK_IN(u8(type), rest(session)), DK_OUT(u8(type), rest(session)))							   \
	X(struct sessions, 1, 805, "session.leave", session_on_leave, DK_CLIENT | DK_USER, "leave one's session of that type",	   \
	  DK_IN(u8(type)), DK_OUT())												   \
	X(struct sessions, 1, 806, "session.kick", session_on_kick, DK_CLIENT | DK_USER | DK_PUFFER,				   \
	  "throw a member out of one's session; for the owner", DK_IN(u8(type), str16(uid)), DK_OUT())				   \
	X(struct sessions, 1, 807, "session.message", session_on_message, DK_CLIENT | DK_USER | DK_PUFFER | DK_QUIET,		   \
	  "send to some members of one's session", DK_IN(strs(members), bytes16(message), u8(type)), DK_OUT())			   \
	X(struct sessions, 1, 808, "session.member_ids", session_on_member_ids, DK_CLIENT | DK_USER,				   \
	  "uids of the members of one's session", DK_IN(u8(type)), DK_OUT(u8(type), rest(uids)))				   \
	X(struct sessions, 1, 809, "session.count_members", session_on_count, DK_CLIENT | DK_USER,				   \
	  "how many members one's session has", DK_IN(u8(type)), DK_OUT(u8(type), u16(current), u16(max_members)))		   \
	X(struct sessions, 1, 810, "session.info", session_on_info, DK_CLIENT | DK_USER, "all about one's session of that type",   \
	  DK_IN(u8(type)), DK_OUT(u8(type), str16(session), u16(current), u16(max_members), bytes16(uids), rest(owner)))

/* P(ver, cmd, name, ident, flags, fields): what the plugin pushes beside the messages of members. */
#define SESSION_PUSHES(P)													   \
	P(1, 802, "session.invited", session_push_invited, 0, DK_OUT(u8(type), u8(session_n), rest(session_and_message)))	   \
	P(1, 804, "session.joined", session_push_joined, DK_PUFFER, DK_OUT(str16(owner), str16(session), u8(type), str16(uid)))	   \
	P(1, 805, "session.left", session_push_left, DK_PUFFER,									   \
	  DK_OUT(str16(owner), u8(reason), str16(session), u8(type), str16(uid)))						   \
	P(1, 806, "session.kicked", session_push_kicked, DK_PUFFER, DK_OUT(str16(session), u8(type)))				   \
	P(1, 811, "session.ended", session_push_ended, DK_PUFFER, DK_OUT(u8(reason), str16(session), u8(type)))

#endif
