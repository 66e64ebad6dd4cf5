/* SPDX-License-Identifier: Apache-2.0 */
/* A command's row, its handler and its answer cannot disagree. */
#include <diarkis/plugin.h>

struct shop {
	struct dk_self base;
};
struct other {
	struct dk_self base;
};

#if BREAK == 1 /* a type that does not exist */
#define BUY_IN DK_IN(u16(item), u12(count))
#elif BREAK == 2 /* more than twelve parameters */
#define BUY_IN DK_IN(u8(a), u8(b), u8(c), u8(d), u8(e), u8(f), u8(g), u8(h), u8(i), u8(j), u8(k), u8(l), u8(m))
#else
#define BUY_IN DK_IN(u16(item), str16(note))
#endif

#define SHOP_COMMANDS(X, R)                                                                                                        \
	X(struct shop, 2, 1, "shop.buy", on_buy, DK_CLIENT, "buy an item", BUY_IN, DK_OUT(u32(price), str16(name)))                \
	R(struct shop, 2, 2, "shop.look", on_look, DK_CLIENT, "look around", DK_IN(u8(where)), DK_OUT(rest(view)))

DK_COMMANDS(shop, SHOP_COMMANDS)

#if BREAK == 3 /* another type than the row's */
static int on_buy(struct shop *s, struct dk_call *call, uint32_t item, dk_str note)
#elif BREAK == 4 /* a parameter less */
static int on_buy(struct shop *s, struct dk_call *call, uint16_t item)
#elif BREAK == 5 /* another plugin's state */
static int on_buy(struct other *s, struct dk_call *call, uint16_t item, dk_str note)
#elif BREAK == 6 /* bytes where the row says text */
static int on_buy(struct shop *s, struct dk_call *call, uint16_t item, dk_slice note)
#elif BREAK == 7 /* no result */
static void on_buy(struct shop *s, struct dk_call *call, uint16_t item, dk_str note)
#else
static int on_buy(struct shop *s, struct dk_call *call, uint16_t item, dk_str note)
#endif
{
	(void)s;
	(void)item;
#if BREAK == 8 /* text where the answer has a number */
	return on_buy_answer(call, dk_str_c("much"), dk_str_c("hat"));
#elif BREAK == 9 /* half an answer */
	return on_buy_answer(call, 5);
#elif BREAK == 10 /* more than the answer has */
	return on_buy_answer(call, 5, dk_str_c("hat"), 6);
#elif BREAK == 11 /* a C string for text */
	return on_buy_answer(call, 5, "hat");
#elif BREAK != 4
	return on_buy_answer(call, 5, note);
#endif
}

#if BREAK == 12 /* a raw handler takes the call and nothing else */
static int on_look(struct shop *s, struct dk_call *call, uint8_t where)
#else
static int on_look(struct shop *s, struct dk_call *call)
#endif
{
	(void)s;
	return on_look_answer(call, call->payload);
}

static int hook(struct shop *s, struct dk_call *call)
{
	(void)s;
	(void)call;
	return 0;
}
static __attribute__((unused)) int hook_of_three(struct shop *s, struct dk_call *call, int more)
{
	return hook(s, call) + more;
}
static __attribute__((unused)) void hook_without_result(struct shop *s, struct dk_call *call)
{
	hook(s, call);
}

static const struct dk_hook hooks[] = {
#if BREAK == 13 /* a hook takes two parameters */
	DK_HOOK_BEFORE(2, 1, hook_of_three),
#elif BREAK == 14 /* and answers with an int */
	DK_HOOK_AFTER(2, 1, hook_without_result),
#endif
	DK_HOOK_BEFORE(2, 1, hook),
	DK_HOOK_AFTER(DK_ANY_VER, DK_ANY_CMD, hook),
	{ .fn = NULL }
};

DK_PLUGIN(shop) = { DK_PLUGIN_HEAD("shop", "1.0.0", "sells"), .self_size = sizeof(struct shop), .commands = shop_commands,
		    .hooks = hooks };
