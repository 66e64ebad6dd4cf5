/* SPDX-License-Identifier: Apache-2.0 */
#include "ends.h"

#include <check.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 5

static void line(char *log, size_t cap, size_t *n, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void line(char *log, size_t cap, size_t *n, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(log + *n, cap - *n, fmt, ap);
	va_end(ap);
	*n += len > 0 && (size_t)len < cap - *n ? (size_t)len : 0;
}
#define log_to(x, ...) line((x)->log, sizeof((x)->log), &(x)->log_n, __VA_ARGS__)

/* ---- the sink ---- */

static const char *const reasons[] = {
	[DK_REASON_CLIENT] = "client",     [DK_REASON_SILENCE] = "silence", [DK_REASON_RETRY] = "retry",
	[DK_REASON_NEVER] = "never",       [DK_REASON_SERVER] = "server",   [DK_REASON_REPLACED] = "replaced",
	[DK_REASON_CLIENT_KEY] = "key",    [DK_REASON_SLOW] = "slow",       [DK_REASON_PROTOCOL] = "protocol",
	[DK_REASON_SHUTDOWN] = "shutdown", [DK_REASON_MOVED] = "moved",
};

static void inside(struct sink *s, const char *what, uint64_t name, dk_id peer)
{
	if (s->inside)
		s->inside(s, what, name, peer);
}

static void on_opened(void *self, uint64_t name, dk_id peer, const struct dk_addr *from, bool again)
{
	struct sink *s = self;

	ck_assert_uint_ne(from->family, 0);
	log_to(s, "opened %u%s\n", (unsigned)name, again ? " again" : "");
	inside(s, "opened", name, peer);
}

static void on_frame(void *self, uint64_t name, dk_id peer, const struct dk_frame *f, bool reliable)
{
	struct sink *s = self;

	s->frames++;
	ck_assert_uint_eq(f->status, 0);
	if (!s->mute)
		log_to(s, "frame %u %u.%u " DK_STR_FMT "%s\n", (unsigned)name, f->ver, f->cmd, DK_STR_ARG(dk_str_of(f->payload)),
		       reliable ? "!" : "");
	inside(s, "frame", name, peer);
}

static void on_moved(void *self, uint64_t name, dk_id peer, const struct dk_addr *from)
{
	struct sink *s = self;
	char text[DK_ADDR_TEXT];

	dk_addr_format(from, text);
	log_to(s, "moved %u %s\n", (unsigned)name, text);
	inside(s, "moved", name, peer);
}

static void on_closed(void *self, uint64_t name, dk_id peer, enum dk_reason reason)
{
	struct sink *s = self;

	log_to(s, "closed %u %s\n", (unsigned)name, reasons[reason]);
	inside(s, "closed", name, peer);
}

static void put_notes(const struct sink *s, struct dk_writer *w)
{
	if (!s->notes)
		return;
	dk_wr_u16(w, (uint16_t)(strlen(s->notes) + 5));
	dk_wr_u8(w, 0);
	dk_wr_u16(w, 400);
	dk_wr_slice(w, text_slice(s->notes));
}

static size_t on_echo(void *self, uint64_t name, dk_id peer, dk_slice locals, uint8_t *dst, size_t cap)
{
	struct sink *s = self;
	struct dk_writer w = dk_writer_on(dst, cap);

	if (!s->mute)
		log_to(s, "echo %u " DK_STR_FMT "\n", (unsigned)name, DK_STR_ARG(dk_str_of(locals)));
	inside(s, "echo", name, peer);
	put_notes(s, &w);
	return dk_written(&w).n;
}

static int sink_init(void *self)
{
	struct sink *s = self;

	s->api = (struct dk_peer_sink){ s, on_opened, on_frame, on_moved, on_closed, on_echo };
	return s->transport->attach(s->transport, &s->api);
}

static const struct dk_need sink_needs[] = { DK_NEED(struct sink, transport, DK_TRANSPORT), { 0 } };
static uint64_t sink_busy(void *self, const char **ret_what)
{
	*ret_what = "tests";
	return ((struct sink *)self)->busy;
}

static const struct dk_ops sink_ops = { .init = sink_init, .busy = sink_busy };

DK_PLUGIN(sink) = {
	DK_PLUGIN_HEAD("sink", "1", "writes down what a transport tells"),
	.self_size = sizeof(struct sink),
	.needs = sink_needs,
	.ops = &sink_ops,
};

/* ---- the ear ---- */

static dk_str uid_of(const struct sink *s, dk_id user)
{
	return s->user->uid(s->user, user);
}

static void on_connected(struct sink *s, const struct dk_user_connected *ev)
{
	log_to(s, "connected " DK_STR_FMT "%s\n", DK_STR_ARG(uid_of(s, ev->user)), ev->again ? " again" : "");
	inside(s, "connected", 0, ev->user);
}

static void on_user_moved(struct sink *s, const struct dk_user_moved *ev)
{
	char text[DK_ADDR_TEXT];

	dk_addr_format(&ev->addr, text);
	log_to(s, "moved " DK_STR_FMT " %s\n", DK_STR_ARG(uid_of(s, ev->user)), text);
	inside(s, "moved", 0, ev->user);
}

static void on_discarded(struct sink *s, const struct dk_user_discarded *ev)
{
	log_to(s, "discarded " DK_STR_FMT " %s\n", DK_STR_ARG(ev->uid), reasons[ev->reason]);
	inside(s, "discarded", 0, ev->user);
}

static void on_alive(struct sink *s, const struct dk_user_keep_alive *ev)
{
	if (!s->mute)
		log_to(s, "alive " DK_STR_FMT "\n", DK_STR_ARG(uid_of(s, ev->user)));
	put_notes(s, ev->notes);
}

#define EAR_COMMANDS(X, R)                                                                                                         \
	R(struct sink, 2, 1, "ear.say", ear_say, DK_CLIENT | DK_USER, "answers what it got", DK_IN(rest(text)),                    \
	  DK_OUT(rest(text)))                                                                                                      \
	R(struct sink, 2, 5, "ear.leave", ear_leave, DK_CLIENT | DK_USER, "disconnects who calls", DK_IN(), DK_OUT())
DK_COMMANDS(ear, EAR_COMMANDS)

static int ear_say(struct sink *s, struct dk_call *call)
{
	s->frames++;
	if (!s->mute)
		log_to(s, "call " DK_STR_FMT " " DK_STR_FMT "\n", DK_STR_ARG(uid_of(s, call->user)),
		       DK_STR_ARG(dk_str_of(call->payload)));
	return dk_answer(call, call->payload);
}

static int ear_leave(struct sink *s, struct dk_call *call)
{
	s->user->disconnect(s->user, call->user, DK_REASON_SERVER);
	return 0;
}

static int ear_init(void *self)
{
	struct sink *s = self;

	dk_connect(s, &s->user->connected, on_connected);
	dk_connect(s, &s->user->moved, on_user_moved);
	dk_connect(s, &s->user->discarded, on_discarded);
	return dk_connect(s, &s->user->keep_alive, on_alive);
}

static const struct dk_need ear_needs[] = { DK_NEED(struct sink, user, DK_USER), { 0 } };
static const struct dk_ops ear_ops = { .init = ear_init };

DK_PLUGIN(ear) = {
	DK_PLUGIN_HEAD("ear", "1", "writes down what users do"),
	.self_size = sizeof(struct sink),
	.needs = ear_needs,
	.commands = ear_commands,
	.ops = &ear_ops,
};

/* ---- the stage ---- */

static int chance(void *arg, void *buf, size_t n)
{
	struct stage *s = arg;
	uint8_t *p = buf;

	while (n-- > 0) {
		s->chance = s->chance * 6364136223846793005u + 1442695040888963407u;
		*p++ = (uint8_t)(s->chance >> 56);
	}
	return 0;
}

static void pump(struct end *e)
{
	struct dk_addr to;
	bool fragment;
	struct raw r;

	while (e->udp && !e->asleep &&
	       (r.n = wire_peer_out(e->stage->ctx, &e->peer, dk_sim_now(e->stage->world), false, r.b, WIRE_SLOT, &to, &fragment)))
		end_raw(e, raw_slice(&r));
}

static void on_tick(void *arg)
{
	struct stage *s = arg;

	for (struct end *e = s->ends; e; e = e->next)
		if (e->udp && !e->asleep && !e->over) {
			wire_peer_tick(s->ctx, &e->peer, dk_sim_now(s->world), &e->ev);
			pump(e);
		}
	ck_assert_int_eq(dk_sim_after(s->world, TICK_MS, on_tick, s), 0);
}

void stage_open(struct stage *s, const char *instance, const char *section)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_sink, &dk_plugin_ear, NULL };
	struct wire_ctx_opts o = { .random = chance, .arg = s };
	struct dk_harness_opts ho = { .plugins = plugins };
	const char *above = strstr(section, "user = ") ? "ear" : "sink";
	const struct dk_addr *at;
	char config[1024];

	memset(s, 0, sizeof(*s));
	s->chance = 7;
	s->world = dk_env_sim(1);
	s->instance = instance;
	snprintf(config, sizeof(config), "plugins = { %s = { }; %s };", above, section);
	ho.world = s->world;
	ho.config = config;
	s->node = dk_harness_open(&ho);
	ck_assert_ptr_nonnull(s->node);
	s->sink = dk_plugin_state(dk_harness_kernel(s->node), above);
	s->transport = dk_harness_service(s->node, DK_TRANSPORT_NAME);
	s->encrypted = s->transport->encrypted;
	at = dk_harness_addr(s->node, instance);
	if (at)
		s->server = *at;
	wire_limits_default(&o.limits);
	o.limits.ttl_ms = 3600000;
	o.limits.max_frame = 1 << 20;
	ck_assert_int_eq(wire_ctx_new(&o, &s->ctx), 0);
	on_tick(s);
}

void stage_close(struct stage *s)
{
	ck_assert_int_eq(dk_harness_free(s->node), 0);
	while (s->ends)
		end_free(s->ends);
	wire_ctx_free(s->ctx);
	dk_env_free(s->world);
}

void stage_options(struct stage *s, const char *file, const char *json)
{
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(json, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	if (!s)
		return;
	dk_signal_arrived(dk_harness_kernel(s->node), SIGHUP);
	stage_run(s, 1);
	ck_assert_msg(dk_harness_log_has(s->node, "configuration reloaded"), "%s", dk_harness_log(s->node));
}

static void on_turn(void *self, struct dk_timer *t)
{
	(void)self;
	(void)t;
}

void stage_run(struct stage *s, uint64_t ms)
{
	dk_timer_start(s->sink, &s->sink->turn, 1, 0, on_turn);
	dk_sim_run(s->world, ms);
}

int64_t stage_count(const struct stage *s, const char *counter)
{
	int64_t n = dk_harness_counter(s->node, s->instance, counter);

	ck_assert_msg(n != INT64_MIN, "%s has no counter %s", s->instance, counter);
	return n;
}

void stage_forget(struct stage *s)
{
	s->sink->log_n = 0;
	s->sink->log[0] = '\0';
}

void stage_expect(struct stage *s, const char *lines)
{
	ck_assert_str_eq(s->sink->log, lines);
	stage_forget(s);
}

struct dk_credential stage_cred(const struct stage *s, unsigned name)
{
	struct dk_credential c = { .encrypted = s->encrypted };

	for (unsigned i = 0; i < 16; i++) {
		c.sid[i] = (uint8_t)(name * 17 + i * (name + 3));
		if (!s->encrypted)
			continue;
		c.key[i] = (uint8_t)(name + i);
		c.iv[i] = (uint8_t)(name + 40 + i);
		c.mac_key[i] = (uint8_t)(name + 80 + i);
	}
	memcpy(c.sid, &name, sizeof(name));
	return c;
}

dk_id stage_admit(struct stage *s, unsigned name)
{
	struct dk_credential c = stage_cred(s, name);
	dk_id peer;

	ck_assert_int_eq(s->transport->admit(s->transport, &c, name, &peer), 0);
	return peer;
}

struct dk_credential stage_user(struct stage *s, const char *uid, dk_id *ret_user)
{
	struct dk_credential c;

	ck_assert_int_eq(s->sink->user->create(s->sink->user, dk_str_c(uid), dk_str_c(s->transport->type), &c, ret_user), 0);
	return c;
}

static int send_text(struct stage *s, dk_id peer, enum dk_status status, uint16_t cmd, const char *text, unsigned how)
{
	struct dk_frame f = { .ver = 2, .status = (uint8_t)status, .cmd = cmd, .payload = text_slice(text) };

	return s->transport->send(s->transport, peer, &f, how);
}

int stage_push(struct stage *s, dk_id peer, const char *text, unsigned how)
{
	return send_text(s, peer, DK_STATUS_PUSH, 9, text, how);
}

int stage_respond(struct stage *s, dk_id peer, const char *text, unsigned how)
{
	return send_text(s, peer, DK_STATUS_OK, 10, text, how);
}

/* ---- clients ---- */

static void list_text(struct end *e, dk_slice list)
{
	struct dk_cursor c = dk_cursor_of(list);
	dk_slice item;

	while (wire_list_next(&c, &item))
		log_to(e, "|" DK_STR_FMT, DK_STR_ARG(dk_str_of(item)));
	log_to(e, c.bad ? "|?" : "|");
}

static void end_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct wire_echo_reply echo;
	struct end *e = arg;

	e->frames++;
	if (e->mute)
		return;
	if (f->ver == 0 && f->cmd == WIRE_CMD_ECHO) {
		ck_assert(wire_echo_reply_decode(f->payload, &echo));
		log_to(e, "echo %u " DK_STR_FMT " " DK_STR_FMT "\n", echo.state, DK_STR_ARG(echo.address),
		       DK_STR_ARG(
			       dk_str_of(echo.notes.n > 5 ? dk_slice_n(echo.notes.p + 5, echo.notes.n - 5) : dk_slice_n("-", 1))));
		return;
	}
	if (f->ver == 0 && f->cmd == WIRE_CMD_PING) {
		ck_assert_uint_eq(f->payload.n, 9);
		log_to(e, "ping %u\n", f->payload.p[0]);
		return;
	}
	log_to(e, "%s %u.%u ",
	       f->status == DK_STATUS_PUSH  ? "push"
	       : f->status == DK_STATUS_OK  ? "ok"
	       : f->status == DK_STATUS_BAD ? "bad"
					    : "err",
	       f->ver, f->cmd);
	if (f->status == DK_STATUS_PUSH)
		list_text(e, f->payload);
	else
		log_to(e, DK_STR_FMT, DK_STR_ARG(dk_str_of(f->payload)));
	log_to(e, "%s\n", reliable ? "!" : "");
}

static void end_is_open(void *arg, const struct dk_addr *from)
{
	struct end *e = arg;

	(void)from;
	log_to(e, "opened\n");
}

static void end_is_closed(void *arg, enum wire_reason reason)
{
	struct end *e = arg;

	e->over = true;
	log_to(e, reason == WIRE_CLOSED_KILLED ? "killed\n" : "closed\n");
}

static void on_datagram(void *arg, struct dk_sim_udp *u, const struct dk_addr *from, dk_slice bytes)
{
	struct end *e = arg;

	(void)u;
	e->datagrams_in++;
	e->bytes_in += bytes.n;
	if (e->asleep || e->over)
		return;
	wire_peer_recv(e->stage->ctx, &e->peer, dk_sim_now(e->stage->world), from, bytes, &e->ev);
	pump(e);
}

static void on_stream(void *arg, struct dk_sim_tcp *t)
{
	struct end *e = arg;
	dk_slice all;
	int used;

	e->tcp = t;
	if (e->asleep)
		return;
	all = dk_sim_tcp_bytes(t);
	used = wire_stream_feed(e->stage->ctx, &e->stream, all, &e->ev);
	ck_assert_int_ge(used, 0);
	e->bytes_in += (size_t)used;
	dk_sim_tcp_take(t, (size_t)used);
	if (!e->over && dk_sim_tcp_state(t) >= DK_SIM_TCP_ENDED) {
		e->over = true;
		log_to(e, dk_sim_tcp_state(t) == DK_SIM_TCP_ENDED ? "ended\n" : "broken\n");
	}
}

static void read_mem(struct end *e)
{
	struct dk_frame f;
	bool reliable;

	while (e->mem->next(e->mem, e->client, &f, &reliable)) {
		if (f.ver || f.cmd != WIRE_CMD_ECHO)
			end_frame(e, &f, reliable);
		else
			log_to(e, "echo 0 - " DK_STR_FMT "\n",
			       DK_STR_ARG(dk_str_of(f.payload.n > 5 ? dk_slice_n(f.payload.p + 5, f.payload.n - 5)
								    : dk_slice_n("-", 1))));
	}
	if (!e->over && e->mem->ended(e->mem, e->client)) {
		e->over = true;
		log_to(e, "ended\n");
	}
}

static struct end *end_new(struct stage *s, const struct dk_credential *cred)
{
	struct end *e = calloc(1, sizeof(*e));

	e->stage = s;
	e->cred = *cred;
	e->server = s->server;
	e->ev = (struct wire_events){ e, end_frame, end_is_open, NULL, end_is_closed };
	e->next = s->ends;
	s->ends = e;
	return e;
}

struct end *end_udp(struct stage *s, const struct dk_credential *cred, const char *bind)
{
	struct end *e = end_new(s, cred);

	ck_assert_int_eq(wire_peer_init(s->ctx, &e->peer, WIRE_CLIENT, &e->cred, dk_sim_now(s->world)), 0);
	ck_assert_int_eq(dk_sim_udp_open(s->world, bind, on_datagram, e, &e->udp), 0);
	return e;
}

struct end *end_tcp(struct stage *s, const struct dk_credential *cred, const char *bind)
{
	struct end *e = end_new(s, cred);

	ck_assert_int_eq(wire_stream_init(s->ctx, &e->stream, WIRE_CLIENT, &e->cred), 0);
	ck_assert_int_eq(dk_sim_tcp_connect(s->world, bind, &s->server, on_stream, e, &e->tcp), 0);
	return e;
}

struct end *end_mem(struct stage *s, const struct dk_credential *cred)
{
	struct end *e = end_new(s, cred);

	e->mem = dk_harness_service(s->node, DK_MEM_NAME);
	ck_assert_int_eq(e->mem->connect(e->mem, e->cred.sid, &e->client), 0);
	return e;
}

static int say_mem(struct end *e, uint8_t ver, uint16_t cmd, dk_slice payload, bool reliable)
{
	if (ver == 0 && cmd == WIRE_CMD_FIN)
		return e->mem->close(e->mem, e->client);
	if (ver == 0 && cmd == WIRE_CMD_ECHO)
		return e->mem->echo(e->mem, e->client, dk_slice_n(payload.p + 8, payload.n - 8));
	return e->mem->send(e->mem, e->client, ver, cmd, payload, reliable);
}

void end_open(struct end *e)
{
	wire_peer_open(e->stage->ctx, &e->peer, dk_sim_now(e->stage->world), &e->server);
	pump(e);
}

struct end *end_opened(struct stage *s, unsigned name, const char *bind)
{
	struct dk_credential cred = stage_cred(s, name);
	struct end *e;

	if (!strcmp(s->transport->role, "TCP")) {
		e = end_tcp(s, &cred, bind);
		stage_run(s, 10);
		return e;
	}
	e = end_udp(s, &cred, bind);
	end_open(e);
	stage_run(s, 10);
	end_expect(e, "opened\n");
	return e;
}

void end_move(struct end *e, const char *bind)
{
	dk_sim_udp_close(e->udp);
	ck_assert_int_eq(dk_sim_udp_open(e->stage->world, bind, on_datagram, e, &e->udp), 0);
}

int end_say(struct end *e, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	struct dk_frame f = { .ver = ver, .cmd = cmd, .payload = payload };
	uint64_t now = dk_sim_now(e->stage->world);
	static uint8_t buf[1 << 17];
	size_t n, need;
	int rc;

	if (e->mem)
		return say_mem(e, ver, cmd, payload, how & DK_RELIABLE);
	if (e->udp) {
		rc = wire_peer_send(e->stage->ctx, &e->peer, now, &f, how);
		pump(e);
		return rc;
	}
	rc = wire_stream_send(e->stage->ctx, &e->stream, &f, how);
	while ((n = wire_stream_out(e->stage->ctx, &e->stream, buf, sizeof(buf), &need)))
		end_raw(e, dk_slice_n(buf, n));
	return rc;
}

int end_text(struct end *e, const char *text, unsigned how)
{
	return end_say(e, 2, 1, text_slice(text), how);
}

void end_raw(struct end *e, dk_slice bytes)
{
	e->bytes_out += bytes.n;
	if (e->udp)
		dk_sim_udp_send(e->udp, &e->server, bytes);
	else if (e->tcp)
		dk_sim_tcp_send(e->tcp, bytes);
}

void end_forget(struct end *e)
{
	e->log_n = 0;
	e->log[0] = '\0';
}

void end_look(struct end *e)
{
	if (e->mem)
		read_mem(e);
}

void end_expect(struct end *e, const char *lines)
{
	end_look(e);
	ck_assert_str_eq(e->log, lines);
	end_forget(e);
}

void end_free(struct end *e)
{
	struct end **at = &e->stage->ends;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (e->udp) {
		dk_sim_udp_close(e->udp);
		wire_peer_fini(e->stage->ctx, &e->peer);
	} else if (e->tcp) {
		dk_sim_tcp_close(e->tcp, true);
		wire_stream_fini(e->stage->ctx, &e->stream);
	}
	free(e);
}

/* ---- bytes by hand ---- */

struct raw raw_frame(struct stage *s, const struct dk_credential *cred, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	struct dk_frame f = { .ver = ver, .cmd = cmd, .payload = payload };
	struct wire_seal seal;
	struct wire_codec k = { cred->sid, cred->encrypted ? &seal : NULL };
	struct raw r;

	if (cred->encrypted)
		wire_seal_init(&seal, cred);
	r.n = wire_frame_len(WIRE_CLIENT, &k, payload.n);
	ck_assert_uint_le(r.n, sizeof(r.b));
	wire_frame_write(s->ctx->crypto, WIRE_CLIENT, &k, &f, r.b);
	return r;
}

static void head(uint8_t *p, uint32_t seq, enum wire_flag flag)
{
	p[0] = (uint8_t)seq;
	p[1] = (uint8_t)(seq >> 8);
	p[2] = (uint8_t)(seq >> 16);
	p[3] = (uint8_t)flag;
}

struct raw raw_datagram(struct stage *s, const struct dk_credential *cred, uint32_t seq, enum wire_flag flag, uint8_t ver,
			uint16_t cmd, dk_slice payload)
{
	struct raw f = raw_frame(s, cred, ver, cmd, payload), r;

	head(r.b, seq, flag);
	memcpy(r.b + WIRE_HEADER_LEN, f.b, f.n);
	r.n = WIRE_HEADER_LEN + f.n;
	return r;
}

struct raw raw_control(const uint8_t *sid, uint32_t seq, enum wire_flag flag)
{
	struct raw r = { .n = WIRE_HEADER_LEN + WIRE_SID_LEN };

	head(r.b, seq, flag);
	memcpy(r.b + WIRE_HEADER_LEN, sid, WIRE_SID_LEN);
	return r;
}

struct raw raw_chunk(const uint8_t *sid, uint32_t seq, uint16_t set, uint16_t index, uint16_t count, dk_slice bytes)
{
	struct dk_writer w;
	struct raw r;

	head(r.b, seq, WIRE_DAT);
	w = dk_writer_on(r.b + WIRE_HEADER_LEN, sizeof(r.b) - WIRE_HEADER_LEN);
	dk_wr_u32(&w, 0xfebedeef);
	dk_wr_u32(&w, 2u << 24 | (uint32_t)(WIRE_SID_LEN + 10 + bytes.n));
	dk_wr_u16(&w, 1);
	dk_wr_slice(&w, dk_slice_n(sid, WIRE_SID_LEN));
	dk_wr_u32(&w, 0xfffefdfc);
	dk_wr_u16(&w, set);
	dk_wr_u16(&w, index);
	dk_wr_u16(&w, count);
	dk_wr_slice(&w, bytes);
	r.n = WIRE_HEADER_LEN + dk_written(&w).n;
	return r;
}
