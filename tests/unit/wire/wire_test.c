/* SPDX-License-Identifier: Apache-2.0 */
/* See wire_test.h. */
#include "tests/unit/wire/wire_test.h"

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct seen *s = arg;
	struct seen_frame *x;

	ck_assert_uint_lt(s->n, SEEN_MAX);
	x = &s->frames[s->n++];
	x->ver = f->ver;
	x->status = f->status;
	x->cmd = f->cmd;
	x->reliable = reliable;
	x->n = f->payload.n;
	x->payload = malloc(x->n ? x->n : 1);
	if (x->n)
		memcpy(x->payload, f->payload.p, x->n);
}

static void on_opened(void *arg, const struct dk_addr *from)
{
	struct seen *s = arg;

	s->opened++;
	s->at = *from;
}

static void on_moved(void *arg, const struct dk_addr *from)
{
	struct seen *s = arg;

	s->moved++;
	s->at = *from;
}

static void on_closed(void *arg, enum wire_reason reason)
{
	struct seen *s = arg;

	s->closed++;
	s->reason = reason;
}

void seen_init(struct seen *s)
{
	memset(s, 0, sizeof(*s));
	s->ev = (struct wire_events){ s, on_frame, on_opened, on_moved, on_closed };
}

void seen_fini(struct seen *s)
{
	for (unsigned i = 0; i < s->n; i++)
		free(s->frames[i].payload);
	seen_init(s);
}

struct dk_credential test_credential(bool encrypted)
{
	struct dk_credential c = { .encrypted = encrypted };

	for (int i = 0; i < 16; i++) {
		c.key[i] = (uint8_t)i;
		c.iv[i] = (uint8_t)(0x10 + i);
		c.mac_key[i] = (uint8_t)(0x20 + i);
		c.sid[i] = (uint8_t)(0x40 + i);
	}
	return c;
}

struct dk_addr test_addr(uint8_t last, uint16_t port)
{
	struct dk_addr a = { .ip = { 127, 0, 0, last }, .port = port, .family = 4 };

	return a;
}

static int random_bytes(void *arg, void *buf, size_t n)
{
	struct memory *m = arg;
	uint8_t *p = buf;

	while (n-- > 0) {
		m->chance = m->chance * 6364136223846793005u + 1442695040888963407u;
		*p++ = (uint8_t)(m->chance >> 56);
	}
	return 0;
}

static void *counted_alloc(void *arg, size_t n)
{
	struct memory *m = arg;

	if (++m->calls == m->fail_at)
		return NULL;
	m->out += n;
	return malloc(n);
}

static void counted_free(void *arg, void *p, size_t n)
{
	struct memory *m = arg;

	ck_assert_uint_ge(m->out, n);
	m->out -= n;
	free(p);
}

struct wire_ctx *test_ctx(struct memory *m, const struct wire_limits *limits)
{
	struct wire_ctx_opts o = { .random = random_bytes, .alloc = counted_alloc, .free = counted_free, .arg = m };
	struct wire_ctx *ctx = NULL;

	memset(m, 0, sizeof(*m));
	if (limits)
		o.limits = *limits;
	else
		wire_limits_default(&o.limits);
	ck_assert_int_eq(wire_ctx_new(&o, &ctx), 0);
	return ctx;
}

void test_ctx_free(struct wire_ctx *ctx, struct memory *m)
{
	wire_ctx_free(ctx);
	ck_assert_uint_eq(m->out, 0);
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes hex(const char *t)
{
	struct bytes b = { 0 };

	while (*t) {
		if (*t == ' ') {
			t++;
		} else if (strncmp(t, "SID", 3) == 0) {
			for (int i = 0; i < 16; i++)
				b.b[b.n++] = (uint8_t)(0x40 + i);
			t += 3;
		} else {
			ck_assert_msg(nibble(t[0]) >= 0 && nibble(t[1]) >= 0, "no hex: %s", t);
			b.b[b.n++] = (uint8_t)(nibble(t[0]) << 4 | nibble(t[1]));
			t += 2;
		}
	}
	return b;
}

dk_slice slice_of(const struct bytes *b)
{
	return dk_slice_n(b->b, b->n);
}

void assert_bytes(const uint8_t *p, size_t n, const char *expected)
{
	struct bytes b = hex(expected);

	ck_assert_uint_eq(n, b.n);
	if (n)
		ck_assert_mem_eq(p, b.b, n);
}

struct bytes take_out(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, struct dk_addr *ret_to)
{
	struct dk_addr to;
	struct bytes b;
	bool fragment;

	b.n = wire_peer_out(ctx, p, now, true, b.b, WIRE_SLOT, &to, &fragment);
	ck_assert_uint_le(b.n, WIRE_SLOT);
	if (b.n && ret_to)
		*ret_to = to;
	return b;
}

void open_pair(struct wire_ctx *ctx, struct wire_peer *server, struct wire_peer *client, const struct dk_addr *server_addr,
	       const struct dk_addr *client_addr, uint64_t now, uint32_t *ret_seq)
{
	static const struct wire_events none;
	struct bytes b;

	wire_peer_open(ctx, client, now, server_addr);
	b = take_out(ctx, client, now, NULL);
	ck_assert_uint_eq(b.n, 20);
	ck_assert_int_eq(wire_peer_recv(ctx, server, now, client_addr, slice_of(&b), &none), 0);
	b = take_out(ctx, server, now, NULL);
	ck_assert_uint_eq(b.n, 4);
	if (ret_seq)
		*ret_seq = (uint32_t)b.b[0] | (uint32_t)b.b[1] << 8 | (uint32_t)b.b[2] << 16;
	ck_assert_int_eq(wire_peer_recv(ctx, client, now, server_addr, slice_of(&b), &none), 0);
	b = take_out(ctx, client, now, NULL);
	ck_assert_uint_eq(b.n, 20);
	ck_assert_int_eq(wire_peer_recv(ctx, server, now, client_addr, slice_of(&b), &none), 0);
	ck_assert(wire_peer_is_open(server));
	ck_assert(wire_peer_is_open(client));
}

struct dk_frame test_frame(uint8_t ver, uint16_t cmd, uint8_t status, const char *text)
{
	struct dk_frame f = { ver, status, cmd, str_slice(text) };

	return f;
}

int run_suite(const char *name, void (*fill)(Suite *s))
{
	Suite *s = suite_create(name);
	SRunner *r;
	int failed;

	fill(s);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
