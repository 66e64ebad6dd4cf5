/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attack: a player hits, everybody in the room sees the damage and the room's total. docs/PLUGIN.md builds it step by step.
 */
#include <diarkis/plugin.h>
#include <diarkis/room.h>
#include <diarkis/user.h>

struct attack {
	struct dk_self base;
	struct dk_user *user;
	struct dk_room *room;
};

#define ATTACK_COMMANDS(X, R)                                                                                                      \
	X(struct attack, 2, 300, "attack.hit", on_hit, DK_CLIENT | DK_USER | DK_PUFFER, "hit; all in the room see the damage",     \
	  DK_IN(u8(type)), DK_OUT(u16(damage), u16(totalDamage), u8(type), str16(uid)))
DK_COMMANDS(attack, ATTACK_COMMANDS)

static int on_hit(struct attack *a, struct dk_call *call, uint8_t type)
{
	static const uint16_t damage[] = { 10, 25, 60 };
	dk_id room = a->room->of_user(a->room, call->user);
	uint16_t *total = a->room->attachment(a->room, a, room, sizeof(*total));

	if (!total)
		return dk_refuse(call, 2001, "join a room before you attack");
	if (type >= DK_ARRAY_LEN(damage))
		return dk_refuse(call, DK_E_PARAMS, "attack type %u is none of 0, 1, 2", type);
	*total += damage[type];
	a->room->touch(a->room, room);
	on_hit_answer(call, damage[type], *total, type, a->user->uid(a->user, call->user));
	a->room->broadcast(a->room, room, call->user, 2, 300, dk_call_body(call), true);
	return 0;
}

/* The total goes along when the room moves to another node, as the two bytes it is. */
static const struct dk_room_part attack_total = { .name = "attack", .version = 1, .attachment = sizeof(uint16_t) };

static int attack_init(void *self)
{
	struct attack *a = self;

	return a->room->carry(a->room, a, &attack_total);
}

static const struct dk_ops attack_ops = { .init = attack_init };

static const struct dk_need attack_needs[] = {
	DK_NEED(struct attack, user, DK_USER),
	DK_NEED(struct attack, room, DK_ROOM),
	{ 0 },
};

DK_PLUGIN(attack) = {
	DK_PLUGIN_HEAD("attack", "1.0.0", "players hit each other"),
	.self_size = sizeof(struct attack),
	.needs = attack_needs,
	.commands = attack_commands,
	.ops = &attack_ops,
};
