/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options are rows of data. The kernel reads the config, checks type and range, fills the plugin's conf struct, prints
 * the rows in --explain, -T and the README, and answers a misspelt key with file, line and the nearest known name. A
 * plugin never parses configuration.
 *
 * Everything that a filled conf struct points to belongs to the kernel and lives until the next successful reload of
 * that plugin, or its fini.
 */
#ifndef DIARKIS_CONF_H
#define DIARKIS_CONF_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dk_option_type {
	DK_OPT_INT = 1, /* int64_t; a string holding a number is accepted too */
	DK_OPT_BOOL, /* bool; also "true" and "false" */
	DK_OPT_F64, /* double */
	DK_OPT_STR, /* const char *, NUL-terminated; NULL only when there is no default */
	DK_OPT_WORD, /* int: index into words */
	DK_OPT_STRS, /* struct dk_strs */
	DK_OPT_GROUPS, /* struct dk_groups: an array of sub-structs with rows of their own */
	DK_OPT_MAP, /* struct dk_groups whose elements have a key: { name = { ... }; } */
	DK_OPT_TREE /* const struct dk_node *: free form; NULL when absent */
};

enum dk_option_flag {
	DK_RELOADABLE = 1, /* SIGHUP may change it */
	DK_SECRET = 2, /* never printed */
	DK_REQUIRED = 4, /* no default: must be set */
	DK_ENV_ALONE = 8 /* env speaks of one instance: setting it is an error while several that name it are on */
};

struct dk_strs {
	const char *const *at;
	size_t n;
};

struct dk_groups {
	void *at; /* n elements of the row size that the option names */
	const char *const *keys; /* DK_OPT_MAP: n keys; else NULL */
	size_t n;
};

struct dk_option {
	const char *name; /* as written in the config; the reference's spelling where it has one */
	const char *help; /* one line */
	const char *unit; /* "ms", "s", "bytes" or NULL */
	const char *def; /* default as text, read by the same rules; NULL: 0, false, empty or absent */
	const char *env; /* environment variable that overrides it, or NULL */
	uint32_t offset; /* in the conf struct (or the sub-struct) */
	uint16_t type, flags;
	int64_t min, max; /* numbers: range; strings: length; lists: count. Both 0: unchecked */
	const char *const *words; /* DK_OPT_WORD: NULL-terminated */
	const struct dk_option *rows; /* groups and maps: rows of an element, ended by a zero row */
	size_t row_size; /* sizeof the element */
};

#define DK_OPT_TYPE_(conf, field, T) \
	(offsetof(conf, field) + \
	 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((conf *)0)->field), T) ? 1 : -1]))

/* Rows. Further members may follow: DK_INT(struct c, ttl, "connectionTTL", "10", 1, 3600, "silence limit", .unit = "s"). */
#define DK_INT(conf, field, key, dflt, lo, hi, text, ...)                                                                         \
	{ .name = key, .help = text, .def = dflt, .offset = DK_OPT_TYPE_(conf, field, int64_t), .type = DK_OPT_INT, .min = lo,    \
	  .max = hi, __VA_ARGS__ }
#define DK_BOOL(conf, field, key, dflt, text, ...)                                                                                \
	{ .name = key, .help = text, .def = dflt, .offset = DK_OPT_TYPE_(conf, field, bool), .type = DK_OPT_BOOL, __VA_ARGS__ }
#define DK_F64(conf, field, key, dflt, text, ...)                                                                                 \
	{ .name = key, .help = text, .def = dflt, .offset = DK_OPT_TYPE_(conf, field, double), .type = DK_OPT_F64, __VA_ARGS__ }
#define DK_STR(conf, field, key, dflt, text, ...)                                                                                 \
	{ .name = key, .help = text, .def = dflt, .offset = DK_OPT_TYPE_(conf, field, const char *), .type = DK_OPT_STR, \
	  __VA_ARGS__ }
#define DK_WORD(conf, field, key, dflt, wordlist, text, ...)                                                                      \
	{ .name = key, .help = text, .def = dflt, .offset = DK_OPT_TYPE_(conf, field, int), .type = DK_OPT_WORD,                  \
	  .words = wordlist, __VA_ARGS__ }
#define DK_STRS(conf, field, key, text, ...)                                                                                      \
	{ .name = key, .help = text, .offset = DK_OPT_TYPE_(conf, field, struct dk_strs), .type = DK_OPT_STRS, __VA_ARGS__ }
#define DK_GROUPS(conf, field, key, T, rowlist, text, ...)                                                                        \
	{ .name = key, .help = text, .offset = DK_OPT_TYPE_(conf, field, struct dk_groups), .type = DK_OPT_GROUPS,                \
	  .rows = rowlist, .row_size = sizeof(T), __VA_ARGS__ }
#define DK_MAP(conf, field, key, T, rowlist, text, ...)                                                                           \
	{ .name = key, .help = text, .offset = DK_OPT_TYPE_(conf, field, struct dk_groups), .type = DK_OPT_MAP,                   \
	  .rows = rowlist, .row_size = sizeof(T), __VA_ARGS__ }
#define DK_TREE(conf, field, key, text, ...)                                                                                      \
	{ .name = key, .help = text, .offset = DK_OPT_TYPE_(conf, field, const struct dk_node *), .type = DK_OPT_TREE, __VA_ARGS__ }

/* A piece of configuration in free form. */
struct dk_node;
enum dk_node_type { DK_NODE_NULL, DK_NODE_BOOL, DK_NODE_INT, DK_NODE_F64, DK_NODE_STR, DK_NODE_LIST, DK_NODE_MAP };
DK_API enum dk_node_type dk_node_type(const struct dk_node *n); /* NULL gives DK_NODE_NULL, here and below */
DK_API size_t dk_node_count(const struct dk_node *n); /* elements of a list or map */
DK_API const struct dk_node *dk_node_at(const struct dk_node *n, size_t i);
DK_API const char *dk_node_key(const struct dk_node *n, size_t i); /* key of element i of a map */
DK_API const struct dk_node *dk_node_get(const struct dk_node *n, const char *key); /* NULL when absent */
DK_API int64_t dk_node_int(const struct dk_node *n, int64_t otherwise);
DK_API bool dk_node_bool(const struct dk_node *n, bool otherwise);
DK_API double dk_node_f64(const struct dk_node *n, double otherwise);
DK_API const char *dk_node_str(const struct dk_node *n, const char *otherwise);

/* Collects what is wrong; every complaint makes the boot end with exit code 78 after all were printed. */
struct dk_report;
/* option: the key the sentence is about (its file and line are printed in front), or NULL. */
DK_API void dk_report(struct dk_report *rep, const char *option, const char *fmt, ...) DK_PRINTF(3, 4);
/* The same for what is allowed but wants a second look: logged as a warning, under -t and at every start. */
DK_API void dk_caution(struct dk_report *rep, const char *option, const char *fmt, ...) DK_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif
