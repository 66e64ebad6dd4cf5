/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that wait: for a command to end, for a client to come, for a node to say that it has them. A queue is allocated with its
 * first frame and freed with its last, so that a user that waits for nothing has none. Limits are the caller's.
 */
#include "user_state.h"

enum { HEAD = 9 }; /* of a frame as bytes: u8 ver, u8 status, u16 cmd, u8 how, u32 length */

void user_frame_free(struct users *s, struct user_frame *e)
{
	dk_free(s, e, sizeof(*e) + e->n);
}

bool user_queue_put(struct users *s, struct user_queue **at, struct user_frame *e)
{
	struct user_queue *q = *at;

	e->next = NULL;
	if (!q) {
		q = dk_alloc(s, sizeof(*q));
		if (!q) {
			user_frame_free(s, e);
			return false;
		}
		q->tail = &q->head;
		*at = q;
	}
	*q->tail = e;
	q->tail = &e->next;
	q->frames++;
	q->bytes += e->n;
	return true;
}

bool user_queue_push(struct users *s, struct user_queue **at, const struct dk_frame *f, unsigned how, uint64_t frames,
		     uint64_t bytes)
{
	const struct user_queue *q = *at;
	struct user_frame *e;

	if (q && (q->frames >= frames || q->bytes + f->payload.n > bytes))
		return false;
	e = dk_alloc(s, sizeof(*e) + f->payload.n);
	if (!e)
		return false;
	e->n = (uint32_t)f->payload.n;
	e->ver = f->ver;
	e->status = f->status;
	e->cmd = f->cmd;
	e->how = (uint8_t)how;
	if (e->n)
		memcpy(e->bytes, f->payload.p, e->n);
	return user_queue_put(s, at, e);
}

struct user_frame *user_queue_pop(struct users *s, struct user_queue **at)
{
	struct user_queue *q = *at;
	struct user_frame *e;

	if (!q)
		return NULL;
	e = q->head;
	q->head = e->next;
	q->frames--;
	q->bytes -= e->n;
	if (!q->head) {
		dk_free(s, q, sizeof(*q));
		*at = NULL;
	}
	return e;
}

void user_queue_free(struct users *s, struct user_queue **at)
{
	while (*at)
		user_frame_free(s, user_queue_pop(s, at));
}

void user_queue_join(struct users *s, struct user_queue **at, struct user_queue **more)
{
	struct user_queue *q = *at, *m = *more;

	if (!m)
		return;
	*more = NULL;
	if (!q) {
		*at = m;
		return;
	}
	*q->tail = m->head;
	q->tail = m->tail;
	q->frames += m->frames;
	q->bytes += m->bytes;
	dk_free(s, m, sizeof(*m));
}

struct dk_frame user_frame_view(const struct user_frame *e)
{
	return (struct dk_frame){ .ver = e->ver, .status = e->status, .cmd = e->cmd, .payload = dk_slice_n(e->bytes, e->n) };
}

/* ---- as bytes: u32 count, then the frames ---- */

size_t user_queue_size(const struct user_queue *q)
{
	return 4 + (q ? (size_t)q->frames * HEAD + q->bytes : 0);
}

void user_queue_write(const struct user_queue *q, struct dk_writer *w)
{
	dk_wr_u32(w, q ? q->frames : 0);
	for (const struct user_frame *e = q ? q->head : NULL; e; e = e->next) {
		dk_wr_u8(w, e->ver);
		dk_wr_u8(w, e->status);
		dk_wr_u16(w, e->cmd);
		dk_wr_u8(w, e->how);
		dk_wr_bytes32(w, dk_slice_n(e->bytes, e->n));
	}
}

bool user_queue_read(struct users *s, struct user_queue **at, struct dk_cursor *c)
{
	uint32_t n = dk_rd_u32(c);

	while (n-- && !c->bad) {
		struct dk_frame f = { .ver = dk_rd_u8(c), .status = dk_rd_u8(c), .cmd = dk_rd_u16(c) };
		unsigned how = dk_rd_u8(c) & (DK_RELIABLE | DK_LISTED | DK_ALONE);

		f.payload = dk_rd_bytes32(c);
		if (!c->bad && !user_queue_push(s, at, &f, how, USER_HELD_FRAMES, USER_HELD_BYTES))
			return false;
	}
	return !c->bad;
}
