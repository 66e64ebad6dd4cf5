/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a recorded room again: in a simulated node of its own, with the time of the recording. */
#ifndef ROOM_REPLAY_H
#define ROOM_REPLAY_H

#include <stdint.h>

#include <diarkis/base.h>

struct room_replay {
	uint32_t records, checks; /* that were played, and that agreed */
	uint64_t ms; /* how long that took in the recording */
	char why[256]; /* what was wrong, a sentence; empty = nothing */
};

/* plugin_dirs: where room and user are, NULL-terminated; may be NULL, see dk_harness_opts. Returns 0 (everything agreed), 1 (why
 * says what did not), or -EPROTO (it is no recording, or was changed; why says which). */
int room_replay(dk_slice recording, const char *const *plugin_dirs, struct room_replay *ret_replay);

#endif
