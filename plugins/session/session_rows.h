/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin session says to itself on other nodes, and the prototypes and encoders of all its rows: the handlers lie in
 * several files, the table in session.c. outcome: 0, enum dk_outcome, enum dk_session_outcome or enum session_elsewhere. Where it
 * is SESSION_ELSEWHERE, what follows is the address of the home.
 */
#ifndef SESSION_ROWS_H
#define SESSION_ROWS_H

#include <diarkis/session.h>
#include <diarkis/session_commands.h>

enum session_elsewhere {
	SESSION_ELSEWHERE = 64, /* nothing was done: it lives on that node */
	SESSION_WAIT, /* nothing was done: it is on its way */
	SESSION_NO_MEMORY,
	SESSION_INVALID,
	SESSION_DIFFERS /* of a roll: the members at the calling node are others than it said */
};

enum session_node_cmd {
	SESSION_NODE_LAND = 320,
	SESSION_NODE_JOIN = 300,
	SESSION_NODE_LEAVE = 301,
	SESSION_NODE_BROADCAST = 302,
	SESSION_NODE_DELIVER = 303,
	SESSION_NODE_UPDATE = 304,
	SESSION_NODE_MEMBERS_HERE = 305,
	SESSION_NODE_KICKED = 306,
	SESSION_NODE_KICK = 307,
	SESSION_NODE_ROLL = 308,
	SESSION_NODE_IS_OWNER = 309,
	SESSION_NODE_SET = 310,
	SESSION_NODE_SET_MANY = 311,
	SESSION_NODE_GET = 312,
	SESSION_NODE_GET_MANY = 313,
	SESSION_NODE_MEMBERS = 314,
	SESSION_NODE_SIDS = 315,
	SESSION_NODE_USER_DATA = 316,
	SESSION_NODE_COUNT = 317,
	SESSION_NODE_INVITE = 318,
	SESSION_NODE_MOVED_ON = 319,
	SESSION_NODE_FORWARD = 321
};

/* session.members_here: of each stay that was named, in { u64 token, u16 hops, u8 enum session_stay, u64 from }. */
enum session_stay {
	SESSION_STAYS, /* the pushes above that number are for the calling node to deliver */
	SESSION_STAYS_NOT, /* it is over */
	SESSION_STAYS_ELSEWHERE /* it is at another node since */
};

/* session.set: how. */
enum session_set_how { SESSION_SET = 0, SESSION_SET_NEW = 1, SESSION_SET_IF_SAME = 2, SESSION_INCR = 3, SESSION_UNSET = 4 };
/* session.update: what. */
enum session_update { SESSION_HAS_MOVED = 1, SESSION_HAS_ENDED = 2 };

#define SESSION_NODE_COMMANDS(X, R)												   \
	X(struct sessions, DK_VER_NODE, 320, "session.land", session_on_land, DK_INTERNAL, "goes on with another node's session", \
	  DK_IN(str16(session), u32(epoch), rest(state)), DK_OUT(u8(outcome)))							   \
	X(struct sessions, DK_VER_NODE, 300, "session.enter", session_on_enter, DK_INTERNAL, "a user of the calling node joins",   \
	  DK_IN(str16(session), u64(token), u8(type), str16(uid), bytes16(sid)), DK_OUT(u8(outcome), rest(home)))		   \
	X(struct sessions, DK_VER_NODE, 301, "session.exit", session_on_exit, DK_INTERNAL, "a user of the calling node leaves",	   \
	  DK_IN(str16(session), u64(token), u16(hops), u8(reason), str16(uid)), DK_OUT(u8(outcome), rest(home)))		   \
	X(struct sessions, DK_VER_NODE, 302, "session.say", session_on_say, DK_INTERNAL,					   \
	  "a member, or with token 0 code, says something to all, or to some",							   \
	  DK_IN(str16(session), u64(token), str16(uid), u8(ver), u16(cmd), strs(uids), rest(message)),				   \
	  DK_OUT(u8(outcome), rest(home)))											   \
	R(struct sessions, DK_VER_NODE, 303, "session.deliver", session_on_deliver, DK_INTERNAL,				   \
	  "a push for the members at the called node: those of n tokens (u64 each), 0 = all",					   \
	  DK_IN(str16(session), u64(number), u8(ver), u16(cmd), u16(n), rest(tokens_and_message)), DK_OUT())			   \
	X(struct sessions, DK_VER_NODE, 304, "session.update", session_on_update, DK_INTERNAL,					   \
	  "the session has another home (rest: its address), or has ended (rest: why, u8)",					   \
	  DK_IN(str16(session), u8(what), u32(epoch), rest(more)), DK_OUT())							   \
	X(struct sessions, DK_VER_NODE, 305, "session.members_here", session_on_members_here, DK_INTERNAL,			   \
	  "these members are at the calling node, and whole: no others",							   \
	  DK_IN(str16(session), u8(whole), u16(n), rest(members)), DK_OUT(u8(outcome), rest(stays_or_home)))			   \
	X(struct sessions, DK_VER_NODE, 306, "session.kicked", session_on_kicked, DK_INTERNAL,					   \
	  "a user of the called node is no member any more", DK_IN(str16(session), u64(token), u8(reason)), DK_OUT())		   \
	X(struct sessions, DK_VER_NODE, 307, "session.throw_out", session_on_throw_out, DK_INTERNAL,				   \
	  "the owner, or with token 0 code, throws somebody out", DK_IN(str16(session), u64(token), str16(by), str16(uid)),	   \
	  DK_OUT(u8(outcome), rest(home)))											   \
	X(struct sessions, DK_VER_NODE, 308, "session.roll", session_on_roll, DK_INTERNAL,					   \
	  "which sessions the calling node has members of, and who; or, search, where they are",				   \
	  DK_IN(u8(search), rest(sessions)), DK_OUT(rest(exceptions)))								   \
	X(struct sessions, DK_VER_NODE, 309, "session.is_owner", session_on_is_owner, DK_INTERNAL, "whether somebody owns it",	   \
	  DK_IN(str16(session), str16(uid)), DK_OUT(u8(outcome), rest(owner_or_home)))						   \
	X(struct sessions, DK_VER_NODE, 310, "session.set", session_on_set, DK_INTERNAL,					   \
	  "changes a property; how: always, only a new one, only if there were `changes` changes so far, add, unset",		   \
	  DK_IN(str16(session), u8(how), u64(changes), str16(name), rest(value)), DK_OUT(u8(outcome), rest(number_or_home)))	   \
	X(struct sessions, DK_VER_NODE, 311, "session.set_many", session_on_set_many, DK_INTERNAL, "changes properties",	   \
	  DK_IN(str16(session), rest(values)), DK_OUT(u8(outcome), rest(home)))							   \
	X(struct sessions, DK_VER_NODE, 312, "session.get", session_on_get, DK_INTERNAL, "reads a property",			   \
	  DK_IN(str16(session), str16(name)), DK_OUT(u8(outcome), rest(changes_and_values_or_home)))				   \
	X(struct sessions, DK_VER_NODE, 313, "session.get_many", session_on_get_many, DK_INTERNAL, "reads properties",		   \
	  DK_IN(str16(session), strs(names)), DK_OUT(u8(outcome), rest(changes_and_values_or_home)))				   \
	X(struct sessions, DK_VER_NODE, 314, "session.members", session_on_members, DK_INTERNAL, "who its members are",		   \
	  DK_IN(str16(session)), DK_OUT(u8(outcome), rest(members_or_home)))							   \
	X(struct sessions, DK_VER_NODE, 315, "session.sids", session_on_sids, DK_INTERNAL, "their sids, and their nodes",	   \
	  DK_IN(str16(session)), DK_OUT(u8(outcome), rest(members_or_home)))							   \
	X(struct sessions, DK_VER_NODE, 316, "session.user_data", session_on_user_data, DK_INTERNAL,				   \
	  "where the clients of its members at the called node are", DK_IN(str16(session)), DK_OUT(rest(members)))		   \
	X(struct sessions, DK_VER_NODE, 317, "session.count", session_on_node_count, DK_INTERNAL, "how many members it has",	   \
	  DK_IN(str16(session)), DK_OUT(u8(outcome), rest(numbers_or_home)))							   \
	X(struct sessions, DK_VER_NODE, 318, "session.invite_here", session_on_invite_here, DK_INTERNAL,			   \
	  "an invitation for users of the called node; the answer: a byte each, 1 = is here",					   \
	  DK_IN(u8(ver), u16(cmd), strs(uids), rest(message)), DK_OUT(rest(found)))						   \
	X(struct sessions, DK_VER_NODE, 319, "session.moved_on", session_on_moved_on, DK_INTERNAL,				   \
	  "a member that was at the called node is at that one now; here it was from that push on, until that one",		   \
	  DK_IN(str16(session), u64(token), u16(hops), u64(since), u64(until), rest(node)), DK_OUT())				   \
	X(struct sessions, DK_VER_NODE, 321, "session.forward", session_on_forward, DK_INTERNAL,				   \
	  "a push for a member that was at the calling node and is at this one", DK_IN(str16(session), u64(token), u8(ver),	   \
	  u16(cmd), rest(message)), DK_OUT())

#define SESSION_DECL_(self, ver, cmd, name, fn, flags, help, in, out)								   \
	int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));									   \
	DK_CMD_BODY_(fn, flags, in, out)
#define SESSION_RAW_DECL_(self, ver, cmd, name, fn, flags, help, in, out)							   \
	int fn(self *, struct dk_call *);											   \
	DK_CMD_BODY_(fn, flags, in, out)
#define SESSION_PUSH_DECL_(ver, cmd, name, ident, flags, fields) DK_CMD_BODY_(ident, flags, DK_IN(), fields)

struct sessions;
SESSION_COMMANDS(SESSION_DECL_, SESSION_RAW_DECL_)
SESSION_NODE_COMMANDS(SESSION_DECL_, SESSION_RAW_DECL_)
SESSION_PUSHES(SESSION_PUSH_DECL_)

#endif
