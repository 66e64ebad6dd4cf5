/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of room calls share: the rows' own encoders, room_on_create_pack(writer, ...) and so on, and room for payloads. */
#ifndef CLIENT_ROOM_PRIV_H
#define CLIENT_ROOM_PRIV_H

#include <diarkis/client_room.h>
#include <diarkis/room_commands.h>

#include "priv.h"

DK_PACKERS(ROOM_COMMANDS)

#define CLIENT_ROOM_TEXT (2 + DK_ID52_LEN) /* a room id as text of a puffer payload */

/* The room as it is called now. */
dk_str client_room_text(const struct dkc_client *c, const struct dk_id52 *room);

/* A payload of n bytes: on the stack of the caller when it is short. */
struct client_space {
	uint8_t small[2048];
	uint8_t *heap;
};
struct dk_writer client_space_for(struct client_space *s, size_t n);
/* Both send what was written and give the space back. */
int client_room_request(struct dkc_client *c, uint16_t cmd, struct client_space *s, const struct dk_writer *w, dkc_reply_fn *fn,
			void *arg);
int client_room_say(struct dkc_client *c, uint16_t cmd, struct client_space *s, const struct dk_writer *w, bool reliable);

/* A list of uids in wire form; NULL bytes: too many, too long, or no memory. */
struct dk_list client_list_of(const dk_str *uids, size_t n);
void client_list_free(struct dk_list *l);

#endif
