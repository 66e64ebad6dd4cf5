/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: versioned tables of functions that one plugin provides and others use. The provider embeds the table in its
 * state and declares it with DK_PROVIDE; a user declares DK_NEED, DK_WANT or DK_EACH_OF and finds the pointer in its own
 * state before its init runs. A field of the wrong type does not compile.
 *
 * The header of a service defines, beside its struct, four macros: X_NAME, X_MAJOR, X_MINOR and X_TYPE. Its struct
 * begins with `struct dk_service base`. Members are appended, never reordered.
 */
#ifndef DIARKIS_SERVICE_H
#define DIARKIS_SERVICE_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_plugin;

struct dk_service {
	uint32_t size; /* bytes that the provider knows of; filled by the kernel */
	uint16_t major, minor;
	struct dk_plugin *provider;
	const char *instance; /* the provider's instance name in the config: "udp2" */
};

/* True when a service is recent enough to have this member and the provider fills it. */
#define dk_has(svc, member)                                                                                                      \
	(offsetof(__typeof__(*(svc)), member) + sizeof((svc)->member) <= (svc)->base.size && (svc)->member)

struct dk_provide {
	const char *name;
	uint16_t major, minor;
	uint32_t offset, size; /* of the table inside the provider's state */
};

enum dk_need_kind { DK_NEED_ONE, DK_NEED_MAYBE, DK_NEED_ALL };

struct dk_need {
	const char *name;
	uint16_t major, minor; /* major equal, minor at least */
	uint32_t offset; /* of the pointer, or of the list, inside the user's state */
	uint32_t kind; /* enum dk_need_kind */
};

/* The providers of one service, in order of instance name. */
#define DK_LIST_OF(T)                                                                                                             \
	struct {                                                                                                                  \
		T **at;                                                                                                           \
		size_t n;                                                                                                         \
	}

#define DK_SAME_TYPE_(a, b) (0 * sizeof(char[__builtin_types_compatible_p(a, b) ? 1 : -1]))

/* The provider's field holding the table. */
#define DK_PROVIDE(self, field, X)                                                                                                \
	{                                                                                                                         \
		X##_NAME, X##_MAJOR, X##_MINOR,                                                                                   \
			offsetof(self, field) + DK_SAME_TYPE_(__typeof__(((self *)0)->field), X##_TYPE), sizeof(X##_TYPE)         \
	}
/* Exactly one provider must be there. */
#define DK_NEED(self, field, X)                                                                                                   \
	{                                                                                                                         \
		X##_NAME, X##_MAJOR, X##_MINOR,                                                                                   \
			offsetof(self, field) + DK_SAME_TYPE_(__typeof__(((self *)0)->field), X##_TYPE *), DK_NEED_ONE            \
	}
/* The pointer is NULL when nobody provides it. */
#define DK_WANT(self, field, X)                                                                                                   \
	{                                                                                                                         \
		X##_NAME, X##_MAJOR, X##_MINOR,                                                                                   \
			offsetof(self, field) + DK_SAME_TYPE_(__typeof__(((self *)0)->field), X##_TYPE *), DK_NEED_MAYBE          \
	}
/* The field is a DK_LIST_OF(X_TYPE). */
#define DK_EACH_OF(self, field, X)                                                                                                \
	{                                                                                                                         \
		X##_NAME, X##_MAJOR, X##_MINOR,                                                                                   \
			offsetof(self, field) + DK_SAME_TYPE_(__typeof__(((self *)0)->field.at), X##_TYPE **), DK_NEED_ALL        \
	}

#ifdef __cplusplus
}
#endif

#endif
