/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a recorded room again: in a simulated node of its own, with the time of the recording. */
#ifndef ROOM_REPLAY_H
#define ROOM_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include <diarkis/base.h>

struct room_replay {
	uint32_t records, checks; /* that were played, and that agreed */
	uint64_t ms; /* how long that took in the recording */
	size_t used; /* bytes of the file that hold a recording */
	bool torn; /* it ends in the middle of a record */
	uint32_t record; /* the first at which something else came of it, from 1; 0 = none */
	char input[128]; /* what that is */
	char part[128]; /* what of the room's state differs; empty: nothing, or it is no check of the state */
	char why[512]; /* what was wrong, a sentence; empty = nothing */
};

/* plugin_dirs: where room and user are, NULL-terminated; may be NULL, see dk_harness_opts. Returns 0 (everything agreed), 1 (why
 * says what did not), or -EPROTO (it is no recording, is of another version, or was changed; why says which). */
int room_replay(dk_slice recording, const char *const *plugin_dirs, struct room_replay *ret_replay);

#endif
