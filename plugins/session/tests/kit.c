/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char kit_events[65536], kit_answer[4096];
int kit_rc;
bool kit_quiet;

/* ---- the probe ---- */

static void event(struct probe *p, const char *fmt, ...)
{
	size_t n = strlen(kit_events);
	va_list ap;

	if (kit_quiet || n + 256 > sizeof(kit_events))
		return;
	n += (size_t)snprintf(kit_events + n, sizeof(kit_events) - n, "%u ", dk_node_addr(p)->ip[3]);
	va_start(ap, fmt);
	vsnprintf(kit_events + n, sizeof(kit_events) - n, fmt, ap);
	va_end(ap);
}

/* Every handle is valid inside its signal, and says what the signal says. */
static void check_handle(struct probe *p, dk_id session, const struct dk_session_id *id, uint8_t type)
{
	struct dk_session_info info;

	ck_assert_int_eq(p->session->info(p->session, session, &info), 0);
	ck_assert(!id || memcmp(id, &info.id, sizeof(*id)) == 0);
	ck_assert(!id || info.type == type);
}

static int on_may_join(struct probe *p, struct dk_session_join *ask)
{
	check_handle(p, ask->session, ask->id, ask->type);
	ck_assert_ptr_nonnull(ask->sid);
	event(p, "may_join %u " DK_STR_FMT " from %u, %u members\n", ask->type, DK_STR_ARG(ask->uid), ask->node.ip[3],
	      ask->members);
	return p->veto;
}

static void on_created(struct probe *p, const struct dk_session_event *ev)
{
	check_handle(p, ev->session, ev->id, ev->type);
	event(p, "created %u%s\n", ev->type, ev->moved ? " moved" : "");
}

static void on_joined(struct probe *p, const struct dk_session_member_event *ev)
{
	check_handle(p, ev->session, ev->id, ev->type);
	event(p, "joined %u " DK_STR_FMT " %u\n", ev->type, DK_STR_ARG(ev->uid), ev->members);
}

static void on_left(struct probe *p, const struct dk_session_member_event *ev)
{
	check_handle(p, ev->session, ev->id, ev->type);
	event(p, "left %u " DK_STR_FMT " %u reason %d\n", ev->type, DK_STR_ARG(ev->uid), ev->members, (int)ev->reason);
}

static void on_owner_changed(struct probe *p, const struct dk_session_owner_event *ev)
{
	check_handle(p, ev->session, NULL, 0);
	event(p, "owner '" DK_STR_FMT "'\n", DK_STR_ARG(ev->uid));
}

static void on_property(struct probe *p, const struct dk_session_property_event *ev)
{
	check_handle(p, ev->session, NULL, 0);
	event(p, "property " DK_STR_FMT " %d\n", DK_STR_ARG(ev->name), ev->value ? (int)ev->value->type : 0);
}

static void on_deleting(struct probe *p, const struct dk_session_event *ev)
{
	struct dk_session_info info;

	check_handle(p, ev->session, ev->id, ev->type);
	p->session->info(p->session, ev->session, &info);
	event(p, "deleting %u with %u members\n", ev->type, info.members);
}

static void on_deleted(struct probe *p, const struct dk_session_event *ev)
{
	check_handle(p, ev->session, ev->id, ev->type);
	event(p, "deleted %u%s\n", ev->type, ev->moved ? " moved" : "");
}

static void on_ticked(struct probe *p, const struct dk_session_tick_event *ev)
{
	check_handle(p, ev->session, NULL, 0);
	event(p, "tick " DK_STR_FMT "\n", DK_STR_ARG(ev->name));
}

static void on_tick_stopped(struct probe *p, const struct dk_session_tick_event *ev)
{
	check_handle(p, ev->session, NULL, 0);
	event(p, "tick stopped " DK_STR_FMT "\n", DK_STR_ARG(ev->name));
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_filter_add(p, &p->session->may_join, on_may_join);
	dk_connect(p, &p->session->created, on_created);
	dk_connect(p, &p->session->joined, on_joined);
	dk_connect(p, &p->session->left, on_left);
	dk_connect(p, &p->session->owner_changed, on_owner_changed);
	dk_connect(p, &p->session->property_changed, on_property);
	dk_connect(p, &p->session->deleting, on_deleting);
	dk_connect(p, &p->session->deleted, on_deleted);
	dk_connect(p, &p->session->ticked, on_ticked);
	dk_connect(p, &p->session->tick_stopped, on_tick_stopped);
	return 0;
}

static const struct dk_need probe_needs[] = {
	DK_NEED(struct probe, user, DK_USER),
	DK_NEED(struct probe, session, DK_SESSION),
	{ 0 },
};
static const struct dk_ops probe_ops = { .init = probe_init };

DK_PLUGIN(session_probe) = {
	DK_PLUGIN_HEAD("session_probe", "1", "the test's own"),
	.self_size = sizeof(struct probe),
	.needs = probe_needs,
	.ops = &probe_ops,
};

/* ---- nodes ---- */

void kit_open(unsigned n, uint64_t seed, const char *options)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_session_probe, NULL };
	char more[512];

	snprintf(more, sizeof(more), "session = { %s }; session_probe = {}", options);
	fabric_open(n, seed, "", plugins, more);
	kit_events[0] = kit_answer[0] = '\0';
	kit_quiet = false;
}

struct dk_session *kit_svc(unsigned node)
{
	return dk_harness_service(fabric[node].h, DK_SESSION_NAME);
}

struct probe *kit_probe(unsigned node)
{
	return dk_plugin_state(dk_harness_kernel(fabric[node].h), "session_probe");
}

int64_t kit_count(unsigned node, const char *counter)
{
	int64_t n = dk_harness_counter(fabric[node].h, "session", counter);

	ck_assert_msg(n != INT64_MIN, "there is no counter %s", counter);
	return n;
}

void kit_expect_events(const char *want)
{
	ck_assert_str_eq(kit_events, want);
	kit_events[0] = '\0';
}

/* ---- answers ---- */

static size_t write_values(char *to, size_t cap, dk_slice values)
{
	struct dk_packed p = dk_packed_of(values);
	struct dk_value v;
	dk_str name;
	size_t n = 0;

	while (dk_packed_next(&p, &name, &v)) {
		n += (size_t)snprintf(to + n, cap - n, " " DK_STR_FMT "=", DK_STR_ARG(name));
		if (v.type == DK_V_STR)
			n += (size_t)snprintf(to + n, cap - n, DK_STR_FMT, DK_STR_ARG(v.as.s));
		else
			n += (size_t)snprintf(to + n, cap - n, "%lld", (long long)v.as.i);
	}
	return n;
}

void kit_done(void *self, void *arg, const struct dk_session_result *r)
{
	struct dk_list uids = r->uids;
	size_t n;
	dk_str uid;

	(void)self;
	(void)arg;
	ck_assert_msg(!kit_answer[0], "answered twice");
	kit_rc = r->rc;
	n = (size_t)snprintf(kit_answer, sizeof(kit_answer), "%d", r->rc);
	if (r->members || r->max_members)
		n += (size_t)snprintf(kit_answer + n, sizeof(kit_answer) - n, " %u/%u", r->members, r->max_members);
	while (dk_list_next(&uids, &uid))
		n += (size_t)snprintf(kit_answer + n, sizeof(kit_answer) - n, " " DK_STR_FMT, DK_STR_ARG(uid));
	if (r->owner.n)
		n += (size_t)snprintf(kit_answer + n, sizeof(kit_answer) - n, " owner " DK_STR_FMT, DK_STR_ARG(r->owner));
	if (r->yes)
		n += (size_t)snprintf(kit_answer + n, sizeof(kit_answer) - n, " yes");
	if (r->number)
		n += (size_t)snprintf(kit_answer + n, sizeof(kit_answer) - n, " %lld", (long long)r->number);
	if (r->values.n)
		n += write_values(kit_answer + n, sizeof(kit_answer) - n, r->values);
	for (uint32_t i = 0; r->data && i < r->n; i++)
		n += (size_t)snprintf(kit_answer + n, sizeof(kit_answer) - n, " " DK_STR_FMT "@%u%s", DK_STR_ARG(r->data[i].uid),
				      r->data[i].node.ip[3], r->data[i].fresh ? "+" : "?");
}

void kit_expect_answer(const char *want)
{
	for (unsigned i = 0; i < 2000 && !kit_answer[0]; i++)
		fabric_run(5);
	ck_assert_str_eq(kit_answer, want);
	kit_answer[0] = '\0';
}

/* ---- clients ---- */

static bool is_id(const char *at)
{
	for (unsigned i = 0; i < DK_SESSION_ID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? at[i] != '-' : !((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
			return false;
	}
	return true;
}

const char *kit_heard(struct player *p)
{
	static char text[sizeof(p->log)];
	const char *at = player_heard(p);
	size_t n = 0;

	while (*at) {
		bool id = strlen(at) >= DK_SESSION_ID_LEN && is_id(at);

		text[n++] = id ? '$' : *at;
		at += id ? DK_SESSION_ID_LEN : 1;
	}
	text[n] = '\0';
	return text;
}

void kit_expect(struct player *p, const char *want)
{
	ck_assert_str_eq(kit_heard(p), want);
}

static void send(struct player *p, uint16_t cmd, const struct dk_writer *w)
{
	player_send(p, SESSION_VER, cmd, dk_written(w));
}

void kit_create(struct player *p, uint8_t type, uint8_t max, uint8_t ttl)
{
	player_send(p, SESSION_VER, SESSION_CMD_CREATE, dk_slice_n((uint8_t[]){ type, max, ttl }, 3));
}

static void typed_text(struct player *p, uint16_t cmd, uint8_t type, const char *text)
{
	uint8_t buf[1024];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, type);
	dk_wr_slice(&w, dk_slice_of(dk_str_c(text)));
	send(p, cmd, &w);
}

void kit_join(struct player *p, uint8_t type, const char *id)
{
	typed_text(p, SESSION_CMD_JOIN, type, id);
}

void kit_leave(struct player *p, uint8_t type)
{
	typed_text(p, SESSION_CMD_LEAVE, type, "");
}

void kit_broadcast(struct player *p, uint8_t type, const char *text)
{
	typed_text(p, SESSION_CMD_BROADCAST, type, text);
}

void kit_typed(struct player *p, uint16_t cmd, uint8_t type)
{
	typed_text(p, cmd, type, "");
}

static bool next_word(const char **at, dk_str *ret_word)
{
	size_t n;

	while (**at == ' ')
		(*at)++;
	n = strcspn(*at, " ");
	*ret_word = dk_str_n(*at, n);
	*at += n;
	return n > 0;
}

void kit_invite(struct player *p, uint8_t type, const char *uids, const char *text)
{
	uint8_t buf[1024], list[512];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), l = dk_writer_on(list, sizeof(list));
	dk_str uid;

	while (next_word(&uids, &uid))
		dk_wr_bytes32(&l, dk_slice_of(uid));
	dk_wr_u8(&w, type);
	dk_wr_bytes32(&w, dk_written(&l));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(text)));
	send(p, SESSION_CMD_INVITE, &w);
}

void kit_kick(struct player *p, uint8_t type, const char *uid)
{
	uint8_t buf[512];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, type);
	dk_wr_bytes16(&w, dk_slice_of(dk_str_c(uid)));
	send(p, SESSION_CMD_KICK, &w);
}

void kit_message(struct player *p, uint8_t type, const char *uids, const char *text)
{
	uint8_t buf[1024], list[512];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), l = dk_writer_on(list, sizeof(list));
	uint16_t n = 0;
	dk_str uid;

	while (next_word(&uids, &uid)) {
		dk_wr_bytes16(&l, dk_slice_of(uid));
		n++;
	}
	dk_wr_u16(&w, n);
	dk_wr_slice(&w, dk_written(&l));
	dk_wr_bytes16(&w, dk_slice_of(dk_str_c(text)));
	dk_wr_u8(&w, type);
	send(p, SESSION_CMD_MESSAGE, &w);
}

const char *kit_id_of(struct player *p, uint8_t type)
{
	static char text[8][DK_SESSION_ID_LEN + 1];
	static unsigned at;
	struct dk_session_id id;
	struct dk_session *svc = kit_svc(p->node);

	if (svc->of_user(svc, player_user(p), type, &id))
		return NULL;
	at = (at + 1) % 8;
	memcpy(text[at], id.c, DK_SESSION_ID_LEN);
	return text[at];
}

const char *kit_session(struct player *p, uint8_t type, uint8_t max)
{
	const char *id;

	kit_create(p, type, max, 60);
	fabric_run(20);
	id = kit_id_of(p, type);
	ck_assert_ptr_nonnull(id);
	kit_heard(p);
	return id;
}
