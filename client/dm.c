/* SPDX-License-Identifier: Apache-2.0 */
/* Direct messages from the client's side: encoders of requests, made from the rows of the plugin dm, and the reader of its
 * pushes. */
#include <stdlib.h>

#include <diarkis/client_dm.h>
#include <diarkis/dm_commands.h>

#include "priv.h"

DK_PACKERS(DM_COMMANDS)

enum { SMALL = 2048 }; /* larger payloads are put together on the heap */

/* A payload of n bytes in small, or in *ret_heap. */
static struct dk_writer space(uint8_t small[SMALL], size_t n, uint8_t **ret_heap)
{
	*ret_heap = n > SMALL ? malloc(n) : NULL;
	return dk_writer_on(n > SMALL ? *ret_heap : small, n);
}

static int request(struct dkc_client *c, uint16_t cmd, uint8_t *heap, const struct dk_writer *w, dkc_reply_fn *fn, void *arg)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_request(c, DM_VER, cmd, dk_written(w), fn, arg);

	free(heap);
	return rc;
}

int dkc_dm_send(struct dkc_client *c, dk_str uid, dk_slice message, bool reliable, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL], *heap;
	struct dk_writer w = space(small, 2 + message.n + 1 + 2 + uid.n, &heap);

	dm_on_send_pack(&w, message, reliable, uid);
	return request(c, DM_CMD_SEND, heap, &w, fn, arg);
}

int dkc_dm_connect(struct dkc_client *c, dk_str uid, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL], *heap;
	struct dk_writer w = space(small, 2 + uid.n, &heap);

	dm_on_connect_pack(&w, uid);
	return request(c, DM_CMD_CONNECT, heap, &w, fn, arg);
}

int dkc_dm_disconnect(struct dkc_client *c, dk_str uid, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL], *heap;
	struct dk_writer w = space(small, 2 + message.n + 2 + uid.n, &heap);

	dm_on_disconnect_pack(&w, message, uid);
	return request(c, DM_CMD_DISCONNECT, heap, &w, fn, arg);
}

enum dkc_dm_kind dkc_dm_event(const struct dkc_event *event, dk_str *ret_uid, dk_slice *ret_message)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	enum dkc_dm_kind kind = DKC_DM_NONE;
	dk_slice message = dk_rd_bytes16(&c);
	dk_str uid = { NULL, 0 };

	if (event->kind != DKC_PUSH || event->ver != DM_VER)
		return DKC_DM_NONE;
	if (event->cmd == DM_CMD_SEND)
		kind = DKC_DM_MESSAGE;
	else if (event->cmd == DM_CMD_DISCONNECT)
		kind = DKC_DM_DISCONNECTED;
	else if (event->cmd == DM_CMD_REPLACED)
		kind = DKC_DM_REPLACED;
	if (kind != DKC_DM_REPLACED)
		uid = dk_str_of(dk_rd_bytes16(&c));
	if (c.bad || kind == DKC_DM_NONE)
		return DKC_DM_NONE;
	*ret_uid = uid;
	*ret_message = message;
	return kind;
}
