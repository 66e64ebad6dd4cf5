/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups from the client's side: encoders of requests, made from the rows of the plugin group, and readers of answers and events.
 * The client keeps no list of its groups: an event names its group by a tag, which the program compares with those of its groups.
 */
#include <stdlib.h>

#include <diarkis/client_group.h>
#include <diarkis/group_commands.h>

#include "priv.h"

DK_PACKERS(GROUP_COMMANDS)

enum { SMALL = 2048 }; /* larger payloads are put together on the heap */

static dk_str text(const struct dk_id52 *group)
{
	return dk_str_n(group->c, DK_ID52_LEN);
}

/* A payload of n bytes in small, or in *ret_heap. */
static struct dk_writer space(uint8_t small[SMALL], size_t n, uint8_t **ret_heap)
{
	*ret_heap = n > SMALL ? malloc(n) : NULL;
	return dk_writer_on(n > SMALL ? *ret_heap : small, n);
}

static int request(struct dkc_client *c, uint16_t cmd, uint8_t *heap, const struct dk_writer *w, dkc_reply_fn *fn, void *arg)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_request(c, GROUP_VER, cmd, dk_written(w), fn, arg);

	free(heap);
	return rc;
}

int dkc_group_create(struct dkc_client *c, const struct dkc_group_opts *opts, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL];
	struct dk_writer w = dk_writer_on(small, sizeof(small));

	group_on_create_pack(&w, opts->allow_empty, opts->interval_ms, opts->join, opts->ttl_s);
	return request(c, GROUP_CMD_CREATE, NULL, &w, fn, arg);
}

int dkc_group_join(struct dkc_client *c, const struct dk_id52 *group, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL], *heap;
	struct dk_writer w = space(small, 2 + DK_ID52_LEN + 2 + message.n, &heap);

	group_on_join_pack(&w, text(group), message);
	return request(c, GROUP_CMD_JOIN, heap, &w, fn, arg);
}

int dkc_group_random_join(struct dkc_client *c, const struct dkc_group_opts *opts, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL], *heap;
	struct dk_writer w = space(small, 1 + 2 + 2 + message.n + 2, &heap);

	group_on_rand_join_pack(&w, opts->allow_empty, opts->interval_ms, message, opts->ttl_s);
	return request(c, GROUP_CMD_RAND_JOIN, heap, &w, fn, arg);
}

int dkc_group_leave(struct dkc_client *c, const struct dk_id52 *group, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL], *heap;
	struct dk_writer w = space(small, 2 + DK_ID52_LEN + 2 + message.n, &heap);

	group_on_leave_pack(&w, text(group), message);
	return request(c, GROUP_CMD_LEAVE, heap, &w, fn, arg);
}

int dkc_group_broadcast(struct dkc_client *c, const struct dk_id52 *group, dk_slice message, bool reliable)
{
	uint8_t small[SMALL], *heap;
	struct dk_writer w = space(small, 2 + DK_ID52_LEN + 2 + message.n + 1, &heap);
	int rc = DKC_TOO_LONG;

	group_on_broadcast_pack(&w, text(group), message, reliable);
	if (!w.bad)
		rc = dkc_send(c, GROUP_VER, GROUP_CMD_BROADCAST, dk_written(&w), reliable ? DK_RELIABLE : DK_UNRELIABLE);
	free(heap);
	return rc;
}

int dkc_group_get_info(struct dkc_client *c, const struct dk_id52 *group, bool exact, dkc_reply_fn *fn, void *arg)
{
	uint8_t small[SMALL];
	struct dk_writer w = dk_writer_on(small, sizeof(small));

	group_on_info_pack(&w, exact, text(group));
	return request(c, GROUP_CMD_INFO, NULL, &w, fn, arg);
}

/* ---- answers ---- */

static bool read_id(struct dk_cursor *c, struct dk_id52 *ret_group)
{
	dk_slice id = dk_rd_bytes16(c);

	if (c->bad || id.n != DK_ID52_LEN)
		return false;
	memcpy(ret_group->c, id.p, DK_ID52_LEN);
	return true;
}

bool dkc_group_joined(const struct dkc_reply *reply, struct dk_id52 *ret_group)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);

	return dkc_ok(reply) && read_id(&c, ret_group);
}

bool dkc_group_random(const struct dkc_reply *reply, struct dk_id52 *ret_group, bool *ret_joined)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint8_t joined = dk_rd_u8(&c);
	dk_slice id = dk_rd_slice(&c, DK_ID52_LEN);

	if (!dkc_ok(reply) || c.bad)
		return false;
	memcpy(ret_group->c, id.p, DK_ID52_LEN);
	*ret_joined = joined != 0;
	return true;
}

bool dkc_group_info(const struct dkc_reply *reply, struct dkc_group_info *ret_info)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	struct dkc_group_info info = { .members = dk_rd_u32(&c) };
	const uint8_t *start;

	if (!dkc_ok(reply) || !read_id(&c, &info.group))
		return false;
	info.uids.n = dk_rd_u16(&c);
	start = c.p;
	for (uint16_t i = 0; i < info.uids.n && !c.bad; i++)
		dk_rd_bytes16(&c);
	info.uids.bytes = dk_slice_n(start, (size_t)(c.p - start));
	info.nodes = dk_rd_u16(&c);
	if (c.bad)
		return false;
	*ret_info = info;
	return true;
}

/* ---- events ---- */

uint32_t dkc_group_tag(const struct dk_id52 *group)
{
	return group_tag(group);
}

enum dkc_group_kind dkc_group_event(const struct dkc_event *event, uint32_t *ret_tag, dk_slice *ret_message)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	enum dkc_group_kind kind = DKC_GROUP_NONE;
	dk_slice message = dk_rd_bytes16(&c);
	uint32_t tag = dk_rd_u32(&c);

	if (event->kind != DKC_PUSH || event->ver != GROUP_VER)
		return DKC_GROUP_NONE;
	if (event->cmd == GROUP_CMD_JOIN)
		kind = DKC_GROUP_MEMBER_JOINED;
	else if (event->cmd == GROUP_CMD_LEAVE)
		kind = DKC_GROUP_MEMBER_LEFT;
	else if (event->cmd == GROUP_CMD_BROADCAST)
		kind = DKC_GROUP_BROADCAST;
	if (!dk_rd_done(&c) || kind == DKC_GROUP_NONE)
		return DKC_GROUP_NONE;
	*ret_tag = tag;
	*ret_message = message;
	return kind;
}
