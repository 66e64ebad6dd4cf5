/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first member of every plugin's state. The kernel allocates and zeroes the state (self_size of the descriptor), fills
 * this head and passes the pointer as `self` to every callback. Kernel functions take `self` and so know whose the timer,
 * the socket or the log line is. The layout is frozen.
 */
#ifndef DIARKIS_SELF_H
#define DIARKIS_SELF_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_plugin;

struct dk_clock {
	uint64_t ms, us; /* monotonic; stands still within a batch of events */
};

#define DK_SELF_MAGIC 0x646b5365u

struct dk_self {
	uint32_t magic; /* DK_SELF_MAGIC: a pointer to something else aborts with the plugin's name where one is known */
	uint8_t log_level; /* lowest level that is written for this plugin */
	uint8_t unused[3];
	struct dk_plugin *plugin;
	const void *conf; /* the plugin's conf struct, filled */
	const struct dk_clock *clock;
	void *spare[2];
};

#ifdef __cplusplus
}
#endif

#endif
