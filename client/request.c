/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open requests: a table of those whose answer has not come, oldest first. An answer carries no number on the wire; it belongs
 * to the oldest request of its (ver, cmd). That is why a request that was given up stays for a while.
 */
#include <errno.h>
#include <stdlib.h>

#include "priv.h"

#define PENDING_MAX 1024

static void pending_remove(struct dkc_client *c, uint32_t i)
{
	c->pending_n--;
	memmove(c->pending + i, c->pending + i + 1, (c->pending_n - i) * sizeof(*c->pending));
}

/* Hands the answer to the oldest request of its command. False: nobody waits for it. */
bool client_pending_answer(struct dkc_client *c, const struct dk_frame *f)
{
	for (uint32_t i = 0; i < c->pending_n; i++) {
		struct pending p = c->pending[i];
		struct dkc_reply r = { f->ver, f->status, f->cmd, f->payload };

		if (p.ver != f->ver || p.cmd != f->cmd)
			continue;
		pending_remove(c, i);
		if (p.fn) {
			c->delivered++;
			p.fn(p.arg, c, &r);
		}
		return true;
	}
	return false;
}

/* Requests whose time is over are told so, and stay as long again to swallow a late answer, which is not the next one's. */
void client_pending_expire(struct dkc_client *c)
{
	for (uint32_t i = 0; i < c->pending_n;) {
		struct pending p = c->pending[i];
		struct dkc_reply r = { p.ver, 0, p.cmd, { NULL, 0 } };

		if (!p.deadline) {
			c->pending[i++].deadline = c->now + (uint64_t)c->request_ms * 1000;
		} else if (p.deadline > c->now) {
			i++;
		} else if (p.fn) {
			c->pending[i].fn = NULL;
			c->pending[i].deadline = c->now + (uint64_t)c->request_ms * 1000;
			c->delivered++;
			p.fn(p.arg, c, &r);
			i = 0; /* fn may have changed the table */
		} else {
			pending_remove(c, i);
		}
	}
}

void client_pending_clear(struct dkc_client *c)
{
	while (c->pending_n) {
		struct pending p = c->pending[0];
		struct dkc_reply r = { p.ver, 0, p.cmd, { NULL, 0 } };

		pending_remove(c, 0);
		if (p.fn) {
			c->delivered++;
			p.fn(p.arg, c, &r);
		}
	}
}

/* A frame that has left may have been lost with the node that it went to. What is held goes to the next one. */
void client_pending_lost(struct dkc_client *c)
{
	for (uint32_t i = 0; i < c->pending_n;) {
		struct pending p = c->pending[i];
		struct dkc_reply r = { p.ver, 0, p.cmd, { NULL, 0 } };

		if (p.held) {
			i++;
			continue;
		}
		pending_remove(c, i);
		if (p.fn) {
			c->delivered++;
			p.fn(p.arg, c, &r);
			i = 0; /* fn may have changed the table */
		}
	}
}

void client_pending_hold(struct dkc_client *c, const struct dk_frame *f)
{
	for (uint32_t i = c->pending_n; i-- > 0;) {
		struct pending *p = &c->pending[i];

		if (p->ver == f->ver && p->cmd == f->cmd && !p->held) {
			p->held = true;
			return;
		}
	}
}

void client_pending_sent(struct dkc_client *c, const struct dk_frame *f)
{
	for (uint32_t i = 0; i < c->pending_n; i++) {
		struct pending *p = &c->pending[i];

		if (p->ver == f->ver && p->cmd == f->cmd && p->held) {
			p->held = false;
			return;
		}
	}
}

uint64_t client_pending_due(const struct dkc_client *c)
{
	uint64_t due = DKC_NEVER;

	for (uint32_t i = 0; i < c->pending_n; i++) {
		if (c->pending[i].deadline < due)
			due = c->pending[i].deadline;
	}
	return due;
}

int dkc_request(struct dkc_client *c, uint8_t ver, uint16_t cmd, dk_slice payload, dkc_reply_fn *fn, void *arg)
{
	struct dk_frame f = { .ver = ver, .cmd = cmd, .payload = payload };
	bool held = c->state != CLIENT_UP || c->held || client_hushes(c);
	struct pending *p;
	int rc;

	if (c->pending_n == PENDING_MAX)
		return DKC_FULL;
	if (c->pending_n == c->pending_cap) {
		uint32_t cap = c->pending_cap ? c->pending_cap * 2 : 4;

		p = realloc(c->pending, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		c->pending = p;
		c->pending_cap = cap;
	}
	rc = client_send_frame(c, &f, DK_RELIABLE);
	if (rc)
		return rc;
	p = &c->pending[c->pending_n++];
	p->deadline = c->request_ms ? 0 : DKC_NEVER;
	p->fn = fn;
	p->arg = arg;
	p->ver = ver;
	p->cmd = cmd;
	p->held = held;
	return 0;
}

dk_str dkc_reply_error(const struct dkc_reply *reply, uint32_t *ret_code)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint32_t code = 0;

	/* 40 and 50: a code of four bytes comes first */
	if (reply->status == 40 || reply->status == 50)
		code = dk_rd_u32(&c);
	if (ret_code)
		*ret_code = code;
	if (!reply->status)
		return dk_str_c("there was no answer");
	return dk_str_of(dk_rd_rest(&c));
}
