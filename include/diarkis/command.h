/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command is declared once, as one row: numbers, name, handler, flags, help, typed parameters, typed answer. The row makes
 * the handler's prototype, the decoder, the answer function, the client's stub, the line in --explain and in the README.
 *
 *   #define ATTACK_COMMANDS(X, R) \
 *   	X(struct attack, 2, 300, "attack.hit", on_hit, DK_CLIENT | DK_USER | DK_PUFFER, "hit everybody in the room", \
 *   	  DK_IN(u8(type)), DK_OUT(u16(damage), u16(total), u8(type), str16(uid)))
 *   DK_COMMANDS(attack, ATTACK_COMMANDS)
 *
 *   static int on_hit(struct attack *a, struct dk_call *call, uint8_t type)
 *   {
 *   	...
 *   	return on_hit_answer(call, damage, total, type, uid);
 *   }
 *
 * X rows are typed: the kernel decodes and bounds-checks, then calls through libffi. R rows are raw, for what arrives per
 * frame: int fn(self *, struct dk_call *) reads call->payload with a cursor; its parameter lists document and serve stubs.
 *
 * Types, with the C type that the handler sees:
 *   u8 u16 u32 u64 i8 i16 i32 i64 f32 f64   integers and floats, big-endian
 *   flag    bool; one byte 0/1, in DK_PUFFER rows 2/1 for false/true
 *   str16 str32 bytes16 bytes32             dk_str, dk_slice: a length of 2 or 4 bytes, then the bytes
 *   id52    const struct dk_id52 *: 52 characters, checked to be hex digits
 *   strs    struct dk_list: u16 count, then that many str16
 *   rest    dk_slice: all that is left; only last
 * DK_PUFFER rows list their fields in alphabetical order (checked at boot). A payload that is too short or has bytes left over
 * is answered Bad, and the handler does not run.
 */
#ifndef DIARKIS_COMMAND_H
#define DIARKIS_COMMAND_H

#include <diarkis/base.h>
#include <diarkis/cursor.h>
#include <diarkis/derror.h>
#include <diarkis/err.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dk_type {
	DK_T_END = 0,
	DK_T_U8,
	DK_T_U16,
	DK_T_U32,
	DK_T_U64,
	DK_T_I8,
	DK_T_I16,
	DK_T_I32,
	DK_T_I64,
	DK_T_F32,
	DK_T_F64,
	DK_T_FLAG,
	DK_T_STR16,
	DK_T_STR32,
	DK_T_BYTES16,
	DK_T_BYTES32,
	DK_T_ID52,
	DK_T_STRS,
	DK_T_REST,
	DK_T_COUNT
};

struct dk_param {
	uint8_t type; /* enum dk_type; 0 ends a list */
	const char *name;
};

/* n texts in wire form, checked before the handler runs: walk it with dk_list_next(). */
struct dk_list {
	dk_slice bytes;
	uint16_t n;
};
static inline bool dk_list_next(struct dk_list *l, dk_str *ret_item)
{
	struct dk_cursor c = dk_cursor_of(l->bytes);

	if (!l->n)
		return false;
	*ret_item = dk_str_of(dk_rd_bytes16(&c));
	l->bytes = dk_rd_rest(&c);
	l->n--;
	return true;
}

enum dk_command_flag {
	DK_CLIENT = 1, /* users may send it */
	DK_ADMIN = 2, /* operators may call it */
	DK_USER = 4, /* call->user is never 0: a caller without a user is refused */
	DK_PUFFER = 8, /* payload in puffer form */
	DK_INTERNAL = 16, /* only code of this node and other nodes */
	DK_RAW = 32, /* set by R rows */
	DK_QUIET = 64 /* an Ok without a body is not sent to the client: for what arrives per frame */
};

/* The version of rows that only nodes call; <diarkis/carrier.h>. Numbers up to 10000 belong to the product's own modules. */
#define DK_VER_NODE 254

/* Who brought a call in. DK_FROM_ELSEWHERE: it ran on another node, and its user has come here; struct dk_answered. */
enum dk_origin { DK_FROM_USER = 1, DK_FROM_CODE, DK_FROM_TASK, DK_FROM_ADMIN, DK_FROM_NODE, DK_FROM_ELSEWHERE };

/* One invocation. The handler may read everything; across time it keeps `id` alone and finishes by it. */
struct dk_call {
	dk_id id;
	uint8_t ver, origin;
	uint16_t cmd;
	uint32_t flags; /* private */
	dk_id user; /* who sent it; 0 = nobody (a task, an operator) */
	uint64_t deadline; /* node clock, ms; 0 = none */
	dk_slice payload; /* as it came; valid until the handler returns */
	const struct dk_command *row;
	void *priv;
	struct dk_addr from; /* DK_FROM_NODE: the address of the node that called; else family 0 */
};

struct dk_command {
	uint8_t ver;
	uint8_t unused;
	uint16_t cmd;
	uint32_t flags;
	const char *name, *help;
	void (*fn)(void);
	const struct dk_param *in, *out; /* ended by a zero row */
};

/* ---- answering ---- */

/* Handlers end in one of these, or return < 0 (answered Err with the error's text) or DK_LATER. */
/* Ok with a body; the bytes are copied. At most 64 KiB, to another node 10 MiB: what is longer is answered Err. Returns 0. */
DK_API int dk_answer(struct dk_call *call, dk_slice body);
/* Bad: the caller's fault, with a code (<diarkis/derror.h>) and a sentence. Returns 0, so `return dk_refuse(...)`. */
DK_API int dk_refuse(struct dk_call *call, uint32_t code, const char *fmt, ...) DK_PRINTF(3, 4);
/* Err: this side's fault. Returns 0. */
DK_API int dk_fail(struct dk_call *call, uint32_t code, const char *fmt, ...) DK_PRINTF(3, 4);
/* What dk_refuse() and dk_fail() would send, for whoever could not even make a call: writes the body, returns the status for it. */
DK_API int dk_error_body(void *self, enum dk_status status, uint32_t code, const char *text, struct dk_writer *w);
/* The body answered so far; valid until the call is finished. */
DK_API dk_slice dk_call_body(const struct dk_call *call);
/* 0 while nothing was answered, else enum dk_status. */
DK_API int dk_call_status(const struct dk_call *call);
/* After DK_LATER: the call again, or NULL when it is gone (its user left, its deadline passed). Answer it, then dk_call_done(). */
DK_API struct dk_call *dk_call_get(void *self, dk_id id);
/* The handler's deferred return: rc as if returned. Stale ids are fine. */
DK_API void dk_call_done(void *self, dk_id id, int rc);
/* After DK_LATER: the call ends without an answer from here, and without AFTER hooks; the node that its user moves to answers,
 * say, and has them run: struct dk_answered. Stale ids are fine. */
DK_API void dk_call_drop(void *self, dk_id id);

/* private, for the answer functions that rows make */
DK_API struct dk_writer *dk_answer_begin(struct dk_call *call);
DK_API int dk_answer_end(struct dk_call *call);

/* ---- hooks: rows of code around commands ---- */

enum { DK_BEFORE = 1, DK_AFTER = 2 };
#define DK_ANY_VER 0xff
#define DK_ANY_CMD 0xffff
/*
 * BEFORE: return 0 to go on, < 0 to answer Err, dk_refuse() to answer Bad, DK_LATER and later dk_call_done(). AFTER: the answer
 * stands in dk_call_body(). Hooks run in order of the plugins' needs, then of instance name. (DK_ANY_VER, DK_ANY_CMD) is every
 * command; those run first.
 */
struct dk_hook {
	uint8_t ver, when;
	uint16_t cmd;
	int (*fn)(void *self, struct dk_call *call);
};
/* fn: int fn(self type *, struct dk_call *). */
#define DK_HOOK_BEFORE(ver, cmd, fn)                                                                                               \
	{                                                                                                                          \
		ver, DK_BEFORE, cmd, DK_HOOK_FN_(fn)                                                                               \
	}
#define DK_HOOK_AFTER(ver, cmd, fn)                                                                                                \
	{                                                                                                                          \
		ver, DK_AFTER, cmd, DK_HOOK_FN_(fn)                                                                                \
	}
/* A function that cannot be called like a hook, or returns something else than int, does not compile. */
#define DK_HOOK_FN_(fn)                                                                                                            \
	__builtin_choose_expr(__builtin_types_compatible_p(__typeof__((fn)((void *)0, (struct dk_call *)0)), int),                 \
			      (int (*)(void *, struct dk_call *))(fn), (void)0)

/* ---- bringing a call in ---- */

/* Called exactly once per dispatched call. body is valid until it returns; status is enum dk_status, or 0: it was dropped, and
 * nothing is to be said. */
typedef void dk_finish_fn(void *self, const struct dk_call *call, int status, dk_slice body);

struct dk_incoming {
	uint8_t ver, origin;
	uint16_t cmd;
	dk_id user;
	uint64_t deadline; /* node clock, ms; 0 = none */
	dk_slice payload; /* borrowed; copied by the kernel when the call is deferred */
	uint64_t token; /* the caller's own; comes back in call->priv */
	dk_finish_fn *finish; /* NULL: nobody wants to know */
	struct dk_addr from; /* DK_FROM_NODE: who calls */
};
/* With origin DK_FROM_ELSEWHERE: the command was answered Ok with body by other means than its handler, so its AFTER hooks alone
 * run; pass &a.in. What they say of the answer does not reach it any more. */
struct dk_answered {
	struct dk_incoming in;
	dk_slice body; /* borrowed, as the payload is */
};
/* Returns 0 (finished: finish was called), DK_LATER, DK_NOT_FOUND (no such command; finish was not called) or DK_FULL. */
DK_API int dk_dispatch(void *self, const struct dk_incoming *in);
/* The user is gone: its deferred calls end without an answer. */
DK_API void dk_call_forget_user(void *self, dk_id user);
/* By name with text arguments, as people and task files write them.
 * Returns as dk_dispatch, or -EINVAL: *ret_why (scratch) says why. */
DK_API int dk_call_named(void *self, dk_str name, const dk_str *args, size_t n, enum dk_origin origin, uint64_t token,
			 dk_finish_fn *finish, const char **ret_why);
/* The row of a command, or NULL. */
DK_API const struct dk_command *dk_command_find(void *self, uint8_t ver, uint16_t cmd);
DK_API const struct dk_command *dk_command_named(void *self, dk_str name);
/* Writes a payload as text, by the row's parameter list: "created_s=12 room=7f..". Returns the text in scratch. */
DK_API const char *dk_payload_text(void *self, const struct dk_param *params, bool puffer, dk_slice payload);

/* ---- what rows expand to ---- */

#define DK_IN(...) (__VA_ARGS__)
#define DK_OUT(...) (__VA_ARGS__)

#define DK_UNWRAP_(...) __VA_ARGS__
#define DK_COUNT__(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, n, ...) n
#define DK_COUNT_(...) DK_COUNT__(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define DK_CAT__(a, b) a##b
#define DK_CAT_(a, b) DK_CAT__(a, b)
#define DK_EACH_0(m, ...)
#define DK_EACH_1(m, x) m(x)
#define DK_EACH_2(m, x, ...) m(x) DK_EACH_1(m, __VA_ARGS__)
#define DK_EACH_3(m, x, ...) m(x) DK_EACH_2(m, __VA_ARGS__)
#define DK_EACH_4(m, x, ...) m(x) DK_EACH_3(m, __VA_ARGS__)
#define DK_EACH_5(m, x, ...) m(x) DK_EACH_4(m, __VA_ARGS__)
#define DK_EACH_6(m, x, ...) m(x) DK_EACH_5(m, __VA_ARGS__)
#define DK_EACH_7(m, x, ...) m(x) DK_EACH_6(m, __VA_ARGS__)
#define DK_EACH_8(m, x, ...) m(x) DK_EACH_7(m, __VA_ARGS__)
#define DK_EACH_9(m, x, ...) m(x) DK_EACH_8(m, __VA_ARGS__)
#define DK_EACH_10(m, x, ...) m(x) DK_EACH_9(m, __VA_ARGS__)
#define DK_EACH_11(m, x, ...) m(x) DK_EACH_10(m, __VA_ARGS__)
#define DK_EACH_12(m, x, ...) m(x) DK_EACH_11(m, __VA_ARGS__)
#define DK_EACH___(m, ...) DK_CAT_(DK_EACH_, DK_COUNT_(__VA_ARGS__))(m, ##__VA_ARGS__)
#define DK_EACH__(m, ...) DK_EACH___(m, __VA_ARGS__) /* one step more: an operand of ## would not be expanded */
#define DK_EACH_(m, list) DK_EACH__(m, DK_UNWRAP_ list)

/* as a C parameter */
#define DK_AC_(x) , DK_C_##x
#define DK_C_u8(n) uint8_t n
#define DK_C_u16(n) uint16_t n
#define DK_C_u32(n) uint32_t n
#define DK_C_u64(n) uint64_t n
#define DK_C_i8(n) int8_t n
#define DK_C_i16(n) int16_t n
#define DK_C_i32(n) int32_t n
#define DK_C_i64(n) int64_t n
#define DK_C_f32(n) float n
#define DK_C_f64(n) double n
#define DK_C_flag(n) bool n
#define DK_C_str16(n) dk_str n
#define DK_C_str32(n) dk_str n
#define DK_C_bytes16(n) dk_slice n
#define DK_C_bytes32(n) dk_slice n
#define DK_C_id52(n) const struct dk_id52 *n
#define DK_C_strs(n) struct dk_list n
#define DK_C_rest(n) dk_slice n

/* as a parameter row */
#define DK_AP_(x) DK_P_##x
#define DK_P_u8(n) { DK_T_U8, #n },
#define DK_P_u16(n) { DK_T_U16, #n },
#define DK_P_u32(n) { DK_T_U32, #n },
#define DK_P_u64(n) { DK_T_U64, #n },
#define DK_P_i8(n) { DK_T_I8, #n },
#define DK_P_i16(n) { DK_T_I16, #n },
#define DK_P_i32(n) { DK_T_I32, #n },
#define DK_P_i64(n) { DK_T_I64, #n },
#define DK_P_f32(n) { DK_T_F32, #n },
#define DK_P_f64(n) { DK_T_F64, #n },
#define DK_P_flag(n) { DK_T_FLAG, #n },
#define DK_P_str16(n) { DK_T_STR16, #n },
#define DK_P_str32(n) { DK_T_STR32, #n },
#define DK_P_bytes16(n) { DK_T_BYTES16, #n },
#define DK_P_bytes32(n) { DK_T_BYTES32, #n },
#define DK_P_id52(n) { DK_T_ID52, #n },
#define DK_P_strs(n) { DK_T_STRS, #n },
#define DK_P_rest(n) { DK_T_REST, #n },

/* as a step of a writer w_ (puffer_ tells the form of flags) */
#define DK_AW_(x) DK_W_##x
#define DK_W_u8(n) dk_wr_u8(w_, n);
#define DK_W_u16(n) dk_wr_u16(w_, n);
#define DK_W_u32(n) dk_wr_u32(w_, n);
#define DK_W_u64(n) dk_wr_u64(w_, n);
#define DK_W_i8(n) dk_wr_u8(w_, (uint8_t)(n));
#define DK_W_i16(n) dk_wr_u16(w_, (uint16_t)(n));
#define DK_W_i32(n) dk_wr_u32(w_, (uint32_t)(n));
#define DK_W_i64(n) dk_wr_u64(w_, (uint64_t)(n));
#define DK_W_f32(n) dk_wr_f32(w_, n);
#define DK_W_f64(n) dk_wr_f64(w_, n);
#define DK_W_flag(n) dk_wr_u8(w_, (n) ? 1 : puffer_ ? 2 : 0);
#define DK_W_str16(n) dk_wr_bytes16(w_, dk_slice_of(n));
#define DK_W_str32(n) dk_wr_bytes32(w_, dk_slice_of(n));
#define DK_W_bytes16(n) dk_wr_bytes16(w_, n);
#define DK_W_bytes32(n) dk_wr_bytes32(w_, n);
#define DK_W_id52(n) dk_wr_slice(w_, dk_slice_n((n)->c, DK_ID52_LEN));
#define DK_W_strs(v)                                                                                                               \
	dk_wr_u16(w_, (v).n);                                                                                                      \
	dk_wr_slice(w_, (v).bytes);
#define DK_W_rest(n) dk_wr_slice(w_, n);

/* The encoder of a call: fn_pack(writer, the row's parameters). */
#define DK_PACK_(fn, flags, in)                                                                                                    \
	static inline __attribute__((unused)) void fn##_pack(struct dk_writer *w_ DK_EACH_(DK_AC_, in))                            \
	{                                                                                                                          \
		const bool puffer_ = ((flags)&DK_PUFFER) != 0;                                                                     \
		(void)puffer_;                                                                                                     \
		(void)w_;                                                                                                          \
		DK_EACH_(DK_AW_, in)                                                                                               \
	}
#define DK_PACK_ROW_(self, ver, cmd, name, fn, flags, help, in, out) DK_PACK_(fn, flags, in)
/* For who calls the rows of another plugin, here or on another node: the encoders alone. */
#define DK_PACKERS(LIST) LIST(DK_PACK_ROW_, DK_PACK_ROW_)

/* Tables, the encoders of the call and of the answer, the answer function. */
#define DK_CMD_BODY_(fn, flags, in, out)                                                                                           \
	DK_PACK_(fn, flags, in)                                                                                                    \
	static const struct dk_param fn##_in[] __attribute__((unused)) = { DK_EACH_(DK_AP_, in){ 0, NULL } };                      \
	static const struct dk_param fn##_out[] __attribute__((unused)) = { DK_EACH_(DK_AP_, out){ 0, NULL } };                    \
	static inline __attribute__((unused)) void fn##_encode(struct dk_writer *w_ DK_EACH_(DK_AC_, out))                         \
	{                                                                                                                          \
		const bool puffer_ = ((flags)&DK_PUFFER) != 0;                                                                     \
		(void)puffer_;                                                                                                     \
		(void)w_;                                                                                                          \
		DK_EACH_(DK_AW_, out)                                                                                              \
	}                                                                                                                          \
	static inline __attribute__((unused)) int fn##_answer(struct dk_call *call_ DK_EACH_(DK_AC_, out))                         \
	{                                                                                                                          \
		const bool puffer_ = ((flags)&DK_PUFFER) != 0;                                                                     \
		struct dk_writer *w_ = dk_answer_begin(call_);                                                                     \
		(void)puffer_;                                                                                                     \
		(void)w_;                                                                                                          \
		DK_EACH_(DK_AW_, out)                                                                                              \
		return dk_answer_end(call_);                                                                                       \
	}
#define DK_CMD_DECL(self, ver, cmd, name, fn, flags, help, in, out)                                                                \
	static int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));                                                               \
	DK_CMD_BODY_(fn, flags, in, out)
#define DK_RAW_DECL(self, ver, cmd, name, fn, flags, help, in, out)                                                                \
	static int fn(self *, struct dk_call *);                                                                                   \
	DK_CMD_BODY_(fn, flags, in, out)
#define DK_CMD_ROW(self, ver, cmd, name, fn, flags, help, in, out)                                                                 \
	{ ver, 0, cmd, flags, name, help, (void (*)(void))(fn), fn##_in, fn##_out },
#define DK_RAW_ROW(self, ver, cmd, name, fn, flags, help, in, out)                                                                 \
	{ ver, 0, cmd, (flags) | DK_RAW, name, help, (void (*)(void))(fn), fn##_in, fn##_out },

/* Prototypes, tables and `<ident>_commands`, from a row list. */
#define DK_COMMANDS(ident, LIST)                                                                                                   \
	LIST(DK_CMD_DECL, DK_RAW_DECL)                                                                                             \
	static const struct dk_command ident##_commands[] = { LIST(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL } };

#ifdef __cplusplus
}
#endif

#endif
