/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals tell, filters ask. Both are typed fields of a service, so what may be listened to stands in one header and a
 * handler of another type does not compile. Handlers run synchronously, in order of connection. Connecting and
 * disconnecting from inside a handler is safe; a slot connected during an emission sees the next one.
 *
 *   struct dk_room { ... DK_SIGNAL(struct dk_room_joined) joined; DK_FILTER(struct dk_room_join) may_join; ... };
 *
 *   static void on_joined(struct attack *a, const struct dk_room_joined *ev);
 *   dk_connect(a, &a->room->joined, on_joined);
 */
#ifndef DIARKIS_SIGNAL_H
#define DIARKIS_SIGNAL_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_slot;

/* Zeroed = empty. Opaque to everybody but the kernel. */
struct dk_signal {
	struct dk_slot *slots;
	uint32_t emitting, dirty;
};

#define DK_SIGNAL(T)                                                                                                              \
	union {                                                                                                                   \
		struct dk_signal sig;                                                                                             \
		const T *ev_;                                                                                                     \
	}
#define DK_FILTER(T)                                                                                                              \
	union {                                                                                                                   \
		struct dk_signal sig;                                                                                             \
		T *ask_;                                                                                                          \
	}

typedef void dk_slot_fn(void);

/* Returns 0 or -ENOMEM. The connection ends with dk_disconnect() or, by the ledger, when the listener stops. */
DK_API int dk_slot_connect(void *self, struct dk_signal *sig, dk_slot_fn *fn, const char *what);
DK_API void dk_slot_disconnect(void *self, struct dk_signal *sig, dk_slot_fn *fn);
DK_API void dk_signal_emit(struct dk_signal *sig, const void *ev);
/* The first result that is not 0 ends the round and is returned. */
DK_API int dk_filter_run(struct dk_signal *sig, void *ask);

#define DK_CHECKED_(cond, value) (((void)sizeof(char[(cond) ? 1 : -1])), (value))

/* self: the listener's state (typed pointer); fn: void fn(self type *, const event type *). */
#define dk_connect(self, s, fn)                                                                                                   \
	dk_slot_connect((self), &(s)->sig,                                                                                        \
			DK_CHECKED_(__builtin_types_compatible_p(__typeof__(&*(fn)),                                              \
								 void (*)(__typeof__(self), __typeof__((s)->ev_))),               \
				    (dk_slot_fn *)(void (*)(void))(fn)),                                                          \
			#fn)
#define dk_disconnect(self, s, fn) dk_slot_disconnect((self), &(s)->sig, (dk_slot_fn *)(void (*)(void))(fn))
/* fn: int fn(self type *, question type *); 0 = no objection. */
#define dk_filter_add(self, s, fn)                                                                                                \
	dk_slot_connect((self), &(s)->sig,                                                                                        \
			DK_CHECKED_(__builtin_types_compatible_p(__typeof__(&*(fn)),                                              \
								 int (*)(__typeof__(self), __typeof__((s)->ask_))),               \
				    (dk_slot_fn *)(void (*)(void))(fn)),                                                          \
			#fn)
#define dk_emit(s, event)                                                                                                         \
	dk_signal_emit(&(s)->sig, DK_CHECKED_(__builtin_types_compatible_p(__typeof__(*(s)->ev_), __typeof__(*(event))),          \
					      (const void *)(event)))
#define dk_ask(s, question)                                                                                                       \
	dk_filter_run(&(s)->sig, DK_CHECKED_(__builtin_types_compatible_p(__typeof__(*(s)->ask_), __typeof__(*(question))),       \
					     (void *)(question)))

#ifdef __cplusplus
}
#endif

#endif
