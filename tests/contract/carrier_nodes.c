/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "carrier_nodes.h"

#define PROBE_COMMANDS(X, R)                                                                                                       \
	R(struct probe, DK_VER_NODE, PROBE_NOTE, "probe.note", on_note, DK_INTERNAL, "written down", DK_IN(rest(note)), DK_OUT())  \
	R(struct probe, DK_VER_NODE, PROBE_ECHO, "probe.echo", on_echo, DK_INTERNAL, "comes back", DK_IN(rest(any)),               \
	  DK_OUT(rest(any)))                                                                                                       \
	R(struct probe, DK_VER_NODE, PROBE_LATER, "probe.later", on_later, DK_ADMIN, "comes back when the test says so",           \
	  DK_IN(rest(any)), DK_OUT(rest(any)))                                                                                     \
	X(struct probe, DK_VER_NODE, PROBE_BIG, "probe.big", on_big, DK_ADMIN, "answers as many bytes", DK_IN(u32(bytes)),         \
	  DK_OUT(rest(all)))                                                                                                       \
	X(struct probe, DK_VER_NODE, PROBE_TOOL, "probe.tool", on_tool, DK_ADMIN, "what a tool may ask", DK_IN(u8(a)),             \
	  DK_OUT(u8(b)))
DK_COMMANDS(probe, PROBE_COMMANDS)

static void see(struct probe *p, dk_slice payload)
{
	if (payload.n >= 4)
		p->seen[((uint32_t)payload.p[2] << 8 | payload.p[3]) % DK_ARRAY_LEN(p->seen)]++;
}

static int on_note(struct probe *p, struct dk_call *call)
{
	size_t room = sizeof(p->got) - p->got_n;
	int n = call->payload.n > 200 ? 0
				      : snprintf(p->got + p->got_n, room, "%u.%u " DK_STR_FMT "\n", call->from.ip[3],
						 call->from.port, DK_STR_ARG(dk_str_of(call->payload)));

	if ((size_t)n < room)
		p->got_n += (size_t)n;
	p->got_bytes += call->payload.n;
	p->got_count++;
	p->from = call->from;
	see(p, call->payload);
	return 0;
}

static int on_echo(struct probe *p, struct dk_call *call)
{
	p->echoes++;
	p->from = call->from;
	p->deadline = call->deadline - dk_now(p);
	see(p, call->payload);
	return p->refuse ? dk_refuse(call, p->refuse, "not today") : dk_answer(call, call->payload);
}

static int on_later(struct probe *p, struct dk_call *call)
{
	p->laters++;
	p->later = call->id;
	return DK_LATER;
}

static int on_big(struct probe *p, struct dk_call *call, uint32_t bytes)
{
	uint8_t *all = dk_alloc(p, bytes);
	int rc;

	if (!all)
		return -1;
	for (uint32_t i = 0; i < bytes; i++)
		all[i] = (uint8_t)(i * 7);
	rc = dk_answer(call, dk_slice_n(all, bytes));
	dk_free(p, all, bytes);
	return rc;
}

static int on_tool(struct probe *p, struct dk_call *call, uint8_t a)
{
	p->tools++;
	if (p->refuse)
		return dk_refuse(call, p->refuse, "not today");
	return on_tool_answer(call, (uint8_t)(a + 1));
}

static void on_link(struct probe *p, const struct dk_carrier_link *ev)
{
	if (ev->up)
		p->links_up++;
	else
		p->links_down++;
}

static int probe_init(void *self)
{
	struct probe *p = self;

	return dk_connect(p, &p->carrier->link, on_link);
}

static const struct dk_need probe_needs[] = { DK_NEED(struct probe, carrier, DK_CARRIER), { 0 } };
static const struct dk_ops probe_ops = { .init = probe_init };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1.0.0", "writes down what other nodes say"),
	.self_size = sizeof(struct probe),
	.needs = probe_needs,
	.commands = probe_commands,
	.ops = &probe_ops,
};

/* ---- worlds ---- */

void nodes_config(size_t i, const char *more, char *buf, size_t n)
{
	snprintf(buf, n, "plugins = { mesh = { address = \"10.0.0.%zu\"; key = \"" NODES_KEY "\"; %s }; probe = {}; };", i + 1,
		 more ? more : "");
}

struct dk_harness *node_start(struct nodes *w, size_t i, const char *config)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };
	struct dk_harness_opts o = { .config = config, .plugins = plugins, .world = w->world };
	struct dk_carrier *c;
	char host[32];

	snprintf(host, sizeof(host), "10.0.0.%zu", i + 1);
	o.address = host;

	w->at[i] = dk_harness_open(&o);
	if (!w->at[i])
		return NULL;
	w->probe[i] = dk_plugin_state(dk_harness_kernel(w->at[i]), "probe");
	c = dk_harness_service(w->at[i], DK_CARRIER_NAME);
	w->addr[i] = c->addr;
	if (i >= w->n)
		w->n = i + 1;
	return w->at[i];
}

void nodes_make(struct nodes *w, size_t n, uint64_t seed, const char *more)
{
	nodes_make_of(w, n, seed, nodes_config, more);
}

void nodes_make_of(struct nodes *w, size_t n, uint64_t seed, nodes_config_fn *configure, const char *more)
{
	char config[1024];

	memset(w, 0, sizeof(*w));
	w->world = dk_env_sim(seed);
	ck_assert_ptr_nonnull(w->world);
	for (size_t i = 0; i < n; i++) {
		configure(i, more, config, sizeof(config));
		ck_assert_ptr_nonnull(node_start(w, i, config));
	}
}

void nodes_free(struct nodes *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->at[i])
			ck_assert_int_eq(dk_harness_free(w->at[i]), 0);
	dk_env_free(w->world);
}

bool nodes_run_until(struct nodes *w, bool (*done)(void *arg), void *arg, uint64_t limit_ms)
{
	return dk_sim_run_until(w->world, done, arg, limit_ms);
}

int64_t node_counter(struct nodes *w, size_t i, const char *name)
{
	int64_t v = dk_harness_counter(w->at[i], "mesh", name);

	ck_assert_msg(v != INT64_MIN, "there is no counter %s", name);
	return v;
}

void outcome_done(void *self, void *arg, int err, int status, dk_slice body)
{
	struct outcome *o = arg;

	o->called++;
	o->err = err;
	o->status = status;
	o->at_ms = dk_now(self);
	o->n = body.n;
	o->self = self;
	memset(o->body, 0, sizeof(o->body));
	if (body.n)
		memcpy(o->body, body.p, body.n < sizeof(o->body) - 1 ? body.n : sizeof(o->body) - 1);
}

static void nothing(void *self, uint64_t arg)
{
	(void)self;
	(void)arg;
}

/* Plugins speak from inside their callbacks; a test that does so from outside has to ask for a turn. */
void node_turn(struct nodes *w, size_t i)
{
	ck_assert_int_eq(dk_defer(w->probe[i], nothing, 0), 0);
}

int node_note(struct nodes *w, size_t from, size_t to, const char *note, unsigned how)
{
	struct dk_carrier *c = w->probe[from]->carrier;

	node_turn(w, from);
	return c->send(c, &w->addr[to], DK_VER_NODE, PROBE_NOTE, text(note), how);
}

int node_ask(struct nodes *w, size_t from, size_t to, uint16_t cmd, const char *payload, uint32_t timeout_ms, struct outcome *o,
	     dk_id *ret_id)
{
	struct dk_carrier *c = w->probe[from]->carrier;

	*o = (struct outcome){ 0 };
	node_turn(w, from);
	return c->request(c, w->probe[from], &w->addr[to], DK_VER_NODE, cmd, text(payload), timeout_ms, outcome_done, o, ret_id);
}
