/* SPDX-License-Identifier: Apache-2.0 */
/* See cluster_unit.h. */
#include "wire/cluster_unit.h"

#include "wire/cluster.h"

static size_t fixed_len(const struct wire_unit *u)
{
	switch (u->kind) {
	case WIRE_UNIT_MESSAGE:
		return 3;
	case WIRE_UNIT_REQUEST:
		return 8 + 4 + 3;
	case WIRE_UNIT_ANSWER:
		return 8 + 1;
	case WIRE_UNIT_CANCEL:
		return 8;
	case WIRE_UNIT_RELAY:
		return 8 + 8 + WIRE_CLUSTER_ADDR + 3 + 2 + u->targets.n + 3;
	case WIRE_UNIT_PIECE:
		return 8;
	default:
		return 0;
	}
}

size_t wire_unit_len(const struct wire_unit *u)
{
	return WIRE_UNIT_HEAD + fixed_len(u) + u->payload.n;
}

void wire_unit_write(struct dk_writer *w, const struct wire_unit *u)
{
	dk_wr_u8(w, u->kind);
	dk_wr_u24(w, (uint32_t)(wire_unit_len(u) - WIRE_UNIT_HEAD));
	switch (u->kind) {
	case WIRE_UNIT_REQUEST:
		dk_wr_u64(w, u->id);
		dk_wr_u32(w, u->left_ms);
		break;
	case WIRE_UNIT_ANSWER:
		dk_wr_u64(w, u->id);
		dk_wr_u8(w, u->status);
		break;
	case WIRE_UNIT_CANCEL:
		dk_wr_u64(w, u->id);
		break;
	case WIRE_UNIT_RELAY:
		dk_wr_u64(w, u->id);
		dk_wr_u64(w, u->boot);
		wire_addr_write(w, &u->origin);
		dk_wr_u8(w, u->hops);
		dk_wr_u8(w, u->how);
		dk_wr_u8(w, u->fanout);
		dk_wr_u16(w, u->targets_n);
		dk_wr_slice(w, u->targets);
		break;
	case WIRE_UNIT_PIECE:
		dk_wr_u32(w, u->total);
		dk_wr_u32(w, u->offset);
		break;
	default:
		break;
	}
	if (u->kind == WIRE_UNIT_MESSAGE || u->kind == WIRE_UNIT_REQUEST || u->kind == WIRE_UNIT_RELAY) {
		dk_wr_u8(w, u->ver);
		dk_wr_u16(w, u->cmd);
	}
	dk_wr_slice(w, u->payload);
}

bool wire_unit_read(struct dk_cursor *c, struct wire_unit *ret_unit)
{
	struct wire_unit u = { .kind = 0 };
	struct dk_cursor r;

	if (!dk_rd_left(c))
		return false;
	u.kind = dk_rd_u8(c);
	r = dk_cursor_of(dk_rd_slice(c, dk_rd_u24(c)));
	if (c->bad)
		return false;
	switch (u.kind) {
	case WIRE_UNIT_NOTHING:
	case WIRE_UNIT_MESSAGE:
		break;
	case WIRE_UNIT_REQUEST:
		u.id = dk_rd_u64(&r);
		u.left_ms = dk_rd_u32(&r);
		break;
	case WIRE_UNIT_ANSWER:
		u.id = dk_rd_u64(&r);
		u.status = dk_rd_u8(&r);
		break;
	case WIRE_UNIT_CANCEL:
		u.id = dk_rd_u64(&r);
		break;
	case WIRE_UNIT_RELAY:
		u.id = dk_rd_u64(&r);
		u.boot = dk_rd_u64(&r);
		wire_addr_read(&r, &u.origin);
		u.hops = dk_rd_u8(&r);
		u.how = dk_rd_u8(&r);
		u.fanout = dk_rd_u8(&r);
		u.targets_n = dk_rd_u16(&r);
		u.targets = dk_rd_slice(&r, (size_t)u.targets_n * WIRE_CLUSTER_ADDR);
		break;
	case WIRE_UNIT_PIECE:
		u.total = dk_rd_u32(&r);
		u.offset = dk_rd_u32(&r);
		break;
	default:
		c->bad = true;
		return false;
	}
	if (u.kind == WIRE_UNIT_MESSAGE || u.kind == WIRE_UNIT_REQUEST || u.kind == WIRE_UNIT_RELAY) {
		u.ver = dk_rd_u8(&r);
		u.cmd = dk_rd_u16(&r);
	}
	u.payload = dk_rd_rest(&r);
	if (r.bad || ((u.kind == WIRE_UNIT_NOTHING || u.kind == WIRE_UNIT_CANCEL) && u.payload.n)) {
		c->bad = true;
		return false;
	}
	*ret_unit = u;
	return true;
}

void wire_preface_write(struct dk_writer *w, const struct wire_preface *h)
{
	dk_wr_u64(w, h->base);
	dk_wr_u64(w, h->now_ms);
	dk_wr_u64(w, h->session);
	dk_wr_u64(w, h->acked);
}

void wire_preface_read(struct dk_cursor *c, struct wire_preface *ret_head)
{
	ret_head->base = dk_rd_u64(c);
	ret_head->now_ms = dk_rd_u64(c);
	ret_head->session = dk_rd_u64(c);
	ret_head->acked = dk_rd_u64(c);
}
