/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo, ping and fin. The echo reply carries the node's state, the client's public address and whatever the user module wants to
 * ride on it (notifications); layouts in docs/WIRE.md.
 */
#include "utility.h"

#include <errno.h>

static enum utility echo(const struct utility_peer *p, const struct dk_frame *frame, uint8_t *buf, struct dk_frame *ret_reply)
{
	struct wire_echo_reply r = { .state = (uint8_t)dk_node_state(p->self) };
	uint8_t notes[UTILITY_REPLY_MAX - 128];
	char address[DK_ADDR_TEXT];
	struct wire_echo e;

	if (!wire_echo_decode(frame->payload, &e))
		return UTILITY_BAD;
	memcpy(r.stamp, e.stamp, sizeof(r.stamp));
	r.address = p->addr ? dk_str_n(address, dk_addr_format(p->addr, address)) : dk_str_c("0.0.0.0:0");
	r.notes.p = notes;
	if (p->sink)
		r.notes.n = p->sink->echo(p->sink->self, p->user, p->peer, e.locals, notes, sizeof(notes));
	*ret_reply = (struct dk_frame){ .ver = 0, .status = DK_STATUS_OK, .cmd = WIRE_CMD_ECHO };
	ret_reply->payload = dk_slice_n(buf, wire_echo_reply_encode(&r, buf, UTILITY_REPLY_MAX));
	return UTILITY_REPLY;
}

static enum utility ping(const struct utility_peer *p, const struct dk_frame *frame, uint8_t *buf, struct dk_frame *ret_reply)
{
	if (frame->payload.n != 8)
		return UTILITY_BAD;
	buf[0] = (uint8_t)dk_node_state(p->self);
	memcpy(buf + 1, frame->payload.p, 8);
	*ret_reply = (struct dk_frame){ .ver = 0, .status = DK_STATUS_OK, .cmd = WIRE_CMD_PING, .payload = dk_slice_n(buf, 9) };
	return UTILITY_REPLY;
}

enum utility utility_frame(const struct utility_peer *p, const struct dk_frame *frame, uint8_t *buf, struct dk_frame *ret_reply)
{
	if (frame->ver != 0)
		return UTILITY_NONE;
	switch (frame->cmd) {
	case WIRE_CMD_FIN: /* a seal says nothing of its command: what was recorded under another one must not end anything */
		return frame->payload.n ? UTILITY_BAD : UTILITY_CLOSE;
	case WIRE_CMD_ECHO:
		return echo(p, frame, buf, ret_reply);
	case WIRE_CMD_PING:
		return ping(p, frame, buf, ret_reply);
	default:
		return UTILITY_NONE;
	}
}

static int wire_random(void *arg, void *buf, size_t n)
{
	return dk_random(arg, buf, n);
}

static void *wire_alloc(void *arg, size_t n)
{
	return dk_alloc(arg, n);
}

static void wire_free(void *arg, void *p, size_t n)
{
	dk_free(arg, p, n);
}

struct wire_ctx_opts utility_wire(void *self)
{
	struct wire_ctx_opts o = { .random = wire_random, .alloc = wire_alloc, .free = wire_free, .arg = self };

	wire_limits_default(&o.limits);
	return o;
}

int utility_bind_address(void *self, const char *address, const char *nic, uint16_t port, struct dk_addr *ret_addr)
{
	struct dk_addr a;
	int rc;

	if (address && *address) {
		rc = dk_addr_parse(dk_str_c(address), port, &a);
		if (rc) {
			dk_log(self, DK_ERROR, "address \"%s\" is no IP address", address);
			return rc;
		}
	} else {
		rc = dk_addr_of_nic(self, nic, &a);
		if (rc) {
			dk_log(self, DK_ERROR, "address is empty and the interface nic = \"%s\" has no address; set one of the two",
			       nic);
			return rc < 0 ? rc : -ENODEV;
		}
		if (!utility_is_private(&a))
			dk_log(self, DK_WARN,
			       "clients are served on the public address of %s in the wire suite legacy; docs/WIRE.md lists its "
			       "weaknesses",
			       nic);
	}
	a.port = port;
	*ret_addr = a;
	return 0;
}

void utility_host(const struct dk_addr *a, char buf[DK_ADDR_TEXT])
{
	struct dk_addr bare = *a;
	size_t n;

	bare.port = 0;
	n = dk_addr_format(&bare, buf) - 2; /* without ":0" */
	if (a->family == 6 && n > 2) { /* without the brackets */
		n -= 2;
		memmove(buf, buf + 1, n);
	}
	buf[n] = '\0';
}

bool utility_is_loopback(const struct dk_addr *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return a->family == 6 ? memcmp(a->ip, v6, sizeof(v6)) == 0 : a->ip[0] == 127;
}

bool utility_is_private(const struct dk_addr *a)
{
	const uint8_t *b = a->ip;

	if (utility_is_loopback(a))
		return true;
	if (a->family == 6)
		return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
	return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254);
}

void utility_caution_public(struct dk_report *rep, const char *address)
{
	struct dk_addr a;

	if (address && *address && dk_addr_parse(dk_str_c(address), 0, &a) == 0 && !utility_is_private(&a))
		dk_caution(rep, "address",
			   "clients are served on %s, which is not private, in the wire suite legacy; docs/WIRE.md lists its "
			   "weaknesses",
			   address);
}
