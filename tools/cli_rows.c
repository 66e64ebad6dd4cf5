/* SPDX-License-Identifier: Apache-2.0 */
/* Commands by name: the same rows that the plugins are made of, without their handlers. */
#include <diarkis/dm_commands.h>
#include <diarkis/group_commands.h>
#include <diarkis/room_commands.h>
#include <diarkis/session_commands.h>

#include "tools/cli.h"

#define PARAMS(self, ver, cmd, name, fn, flags, help, in, out)                                                                     \
	static const struct dk_param fn##_in[] = { DK_EACH_(DK_AP_, in){ 0, NULL } };                                              \
	static const struct dk_param fn##_out[] = { DK_EACH_(DK_AP_, out){ 0, NULL } };
#define ROW(self, ver, cmd, name, fn, flags, help, in, out) { ver, 0, cmd, flags, name, help, NULL, fn##_in, fn##_out },
#define PUSH_PARAMS(ver, cmd, name, ident, flags, fields)                                                                          \
	static const struct dk_param ident##_fields[] = { DK_EACH_(DK_AP_, fields){ 0, NULL } };
#define PUSH_ROW(ver, cmd, name, ident, flags, fields) { ver, 0, cmd, flags, name, NULL, NULL, NULL, ident##_fields },

ROOM_COMMANDS(PARAMS, PARAMS)
ROOM_DATA_COMMANDS(PARAMS, PARAMS)
GROUP_COMMANDS(PARAMS, PARAMS)
SESSION_COMMANDS(PARAMS, PARAMS)
DM_COMMANDS(PARAMS, PARAMS)
ROOM_PUSHES(PUSH_PARAMS)
ROOM_DATA_PUSHES(PUSH_PARAMS)
GROUP_PUSHES(PUSH_PARAMS)
SESSION_PUSHES(PUSH_PARAMS)
DM_PUSHES(PUSH_PARAMS)

static const struct dk_param plain[] = { { DK_T_REST, "message" }, { 0, NULL } };

static const struct dk_command rows[] = {
	ROOM_COMMANDS(ROW, ROW) ROOM_DATA_COMMANDS(ROW, ROW) GROUP_COMMANDS(ROW, ROW)
	SESSION_COMMANDS(ROW, ROW) DM_COMMANDS(ROW, ROW)
};
static const struct dk_command pushes[] = {
	ROOM_PUSHES(PUSH_ROW) ROOM_DATA_PUSHES(PUSH_ROW) GROUP_PUSHES(PUSH_ROW) SESSION_PUSHES(PUSH_ROW) DM_PUSHES(PUSH_ROW)
	/* and those that carry what members say: */
	{ .ver = ROOM_VER, .cmd = ROOM_CMD_JOIN, .name = "room.joined", .out = plain },
	{ .ver = ROOM_VER, .cmd = ROOM_CMD_LEAVE, .name = "room.left", .out = plain },
	{ .ver = ROOM_VER, .cmd = ROOM_CMD_BROADCAST, .name = "room.broadcast", .out = plain },
	{ .ver = ROOM_VER, .cmd = ROOM_CMD_MESSAGE, .name = "room.message", .out = plain },
	{ .ver = ROOM_VER, .cmd = ROOM_CMD_RELAY, .name = "room.relay", .out = plain },
	{ .ver = ROOM_VER, .cmd = ROOM_CMD_RELAY_TO, .name = "room.relay_to", .out = plain },
	{ .ver = GROUP_VER, .cmd = GROUP_CMD_JOIN, .name = "group.joined", .flags = DK_PUFFER, .out = group_push_fields },
	{ .ver = GROUP_VER, .cmd = GROUP_CMD_LEAVE, .name = "group.left", .flags = DK_PUFFER, .out = group_push_fields },
	{ .ver = SESSION_VER, .cmd = SESSION_CMD_BROADCAST, .name = "session.broadcast", .out = plain },
	{ .ver = SESSION_VER, .cmd = SESSION_CMD_MESSAGE, .name = "session.message", .out = plain },
	{ .ver = 0, .cmd = 400, .name = "notifier.notice", .out = plain }, /* in an answer to a heartbeat it is a note */
};

const struct dk_command *cli_row_named(dk_str name)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		if (dk_str_eq(name, dk_str_c(rows[i].name)))
			return &rows[i];
	}
	return NULL;
}

const struct dk_command *cli_row_of(uint8_t ver, uint16_t cmd)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		if (rows[i].ver == ver && rows[i].cmd == cmd)
			return &rows[i];
	}
	return NULL;
}

const struct dk_command *cli_row_at(size_t i)
{
	return i < DK_ARRAY_LEN(rows) ? &rows[i] : NULL;
}

const struct dk_command *cli_push_of(uint8_t ver, uint16_t cmd)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(pushes); i++) {
		if (pushes[i].ver == ver && pushes[i].cmd == cmd)
			return &pushes[i];
	}
	return NULL;
}
