/* SPDX-License-Identifier: Apache-2.0 */
/* Packed capsules as JSON and back. Needs no node: memory is jansson's, and gone when these return. */
#ifndef DATACAPSULE_JSON_H
#define DATACAPSULE_JSON_H

#include <diarkis/datacapsule.h>

/* packed: checked before. Returns 0, DK_CAPSULE_NO_JSON or -ENOMEM; room that is missing shows in w->bad. */
int capsule_to_json(dk_slice packed, struct dk_writer *w);
/* Returns 0, DK_CAPSULE_NO_JSON with a sentence in why, or -ENOMEM; room that is missing shows in w->bad. */
int capsule_from_json(dk_str json, struct dk_writer *w, char why[DK_CAPSULE_WHY]);
/* Bytes enough for what capsule_from_json() makes of a text of n bytes. */
size_t capsule_from_json_room(size_t n);

#endif
