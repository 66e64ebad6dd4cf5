/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership (service "cluster"): which nodes there are, what they serve and how they are. Every node keeps its own view, made of
 * what the others say of themselves; registries (`serve`) introduce nodes to each other and decide nothing. Who is silent is
 * judged by each node for itself, with the help of those who still hear the silent one.
 *
 * This file is the plugin: its options, rows and phases. What it does stands in the others, see mars_state.h.
 */
#include "mars_state.h"

#include <errno.h>

#include <diarkis/plugin.h>
#include <diarkis/version.h>

#define MARS_ROWS(X, R)                                                                                                            \
	MARS_QUERIES(X, R)                                                                                                         \
	MARS_MESSAGES(X, R)                                                                                                        \
	X(struct mars, DK_VER_NODE, 1013, "mars.nodes", mars_on_nodes, DK_ADMIN, "all nodes that this one knows of, as JSON",      \
	  DK_IN(), DK_OUT(str32(nodes)))                                                                                           \
	X(struct mars, DK_VER_NODE, 1014, "mars.values", mars_on_values, DK_ADMIN,                                                 \
	  "the values of a node, as JSON; bytes that are no text as 0x...", DK_IN(str16(address)), DK_OUT(str32(values)))          \
	X(struct mars, DK_VER_NODE, 1015, "mars.shared", mars_on_shared, DK_ADMIN, "the shared data, as JSON", DK_IN(),            \
	  DK_OUT(str32(shared)))                                                                                                   \
	X(struct mars, DK_VER_NODE, 1016, "mars.set_shared", mars_on_set_shared, DK_ADMIN, "set a name of the shared data",        \
	  DK_IN(str16(name), i16(value)), DK_OUT())                                                                                \
	X(struct mars, DK_VER_NODE, 1017, "mars.remove_shared", mars_on_remove_shared, DK_ADMIN,                                   \
	  "remove a name of the shared data", DK_IN(str16(name)), DK_OUT())

DK_COMMANDS(mars, MARS_ROWS)

enum { ISOLATION_STRICT, ISOLATION_RANGE, PAGE = 1000, WHOLE = 60000 };

/* ---- messages ---- */

static int mars_on_announce(struct mars *m, struct dk_call *call)
{
	return mars_hear_announce(m, call);
}

static int mars_on_answer(struct mars *m, struct dk_call *call)
{
	return mars_registry_answered(m, call);
}

static int mars_on_beat(struct mars *m, struct dk_call *call)
{
	return mars_hear_beat(m, call);
}

static int mars_on_table(struct mars *m, struct dk_call *call)
{
	return mars_hear_table(m, call);
}

static int mars_on_ask(struct mars *m, struct dk_call *call)
{
	return mars_hear_ask(m, call);
}

static int mars_on_age(struct mars *m, struct dk_call *call)
{
	return mars_hear_age(m, call);
}

static int mars_on_want(struct mars *m, struct dk_call *call)
{
	return mars_hear_want(m, call);
}

static int mars_on_values_of(struct mars *m, struct dk_call *call)
{
	return mars_hear_values(m, call);
}

static int mars_on_shared_rows(struct mars *m, struct dk_call *call)
{
	return mars_hear_shared(m, call);
}

/* ---- questions ---- */

static int no_address(struct dk_call *call, dk_str address)
{
	return dk_refuse(call, DK_E_PARAMS, "\"%.*s\" is no address of the form 10.0.0.1:8000",
			 (int)(address.n < 64 ? address.n : 64), address.p ? address.p : "");
}

static int no_node(struct dk_call *call, dk_str address)
{
	return dk_refuse(call, DK_E_PARAMS, "no node of the address " DK_STR_FMT " is known here; mars.nodes lists them",
			 DK_STR_ARG(address));
}

static int mars_on_scan(struct mars *m, struct dk_call *call, uint32_t from)
{
	uint8_t buf[PAGE];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	uint32_t total, next = mars_report_nodes(m, &w, from, &total);

	return mars_on_scan_answer(call, next, total, dk_str_of(dk_written(&w)));
}

static int mars_on_nodes(struct mars *m, struct dk_call *call)
{
	struct dk_writer w = dk_writer_on(dk_scratch(m, WHOLE), WHOLE);
	uint32_t total;

	mars_report_nodes(m, &w, 0, &total);
	return mars_on_nodes_answer(call, dk_str_of(dk_written(&w)));
}

static int mars_on_show(struct mars *m, struct dk_call *call, dk_str address, uint32_t from)
{
	uint8_t node[PAGE], page[PAGE];
	struct dk_writer w = dk_writer_on(node, sizeof(node)), v;
	const struct mars_values *values;
	struct dk_addr addr;
	uint32_t next;

	if (dk_addr_parse(address, 0, &addr))
		return no_address(call, address);
	if (!mars_report_node(m, &w, &addr, &values))
		return no_node(call, address);
	/* Both together are one page; values get what the node leaves, and all of it where the node was told already. */
	if (from)
		w = dk_writer_on(node, 0);
	v = dk_writer_on(page, sizeof(page) - dk_written(&w).n);
	next = mars_report_values(values, &v, from);
	return mars_on_show_answer(call, next, dk_str_of(dk_written(&w)), dk_str_of(dk_written(&v)));
}

static int mars_on_values(struct mars *m, struct dk_call *call, dk_str address)
{
	struct dk_writer w = dk_writer_on(dk_scratch(m, WHOLE), WHOLE), v = dk_writer_on(dk_scratch(m, WHOLE), WHOLE);
	const struct mars_values *values;
	struct dk_addr addr;

	if (dk_addr_parse(address, 0, &addr))
		return no_address(call, address);
	if (!mars_report_node(m, &w, &addr, &values))
		return no_node(call, address);
	mars_report_values(values, &v, 0);
	return mars_on_values_answer(call, dk_str_of(dk_written(&v)));
}

static int mars_on_del(struct mars *m, struct dk_call *call, dk_str address)
{
	struct mars_member *member;
	struct dk_addr addr;

	if (!mars_conf(m)->debug)
		return dk_refuse(call, DK_E_PARAMS, "mars.del is for debugging; set debug = true in the section of this plugin");
	if (dk_addr_parse(address, 0, &addr))
		return no_address(call, address);
	member = mars_table_find(&m->table, &addr);
	if (!member)
		return no_node(call, address);
	mars_hear_forget(m, member);
	return mars_on_del_answer(call);
}

static int mars_on_health(struct mars *m, struct dk_call *call)
{
	uint32_t age, nodes;
	enum mars_health state = mars_registry_health(m, &age, &nodes);

	return mars_on_health_answer(call, (uint8_t)state, age, nodes);
}

static int mars_on_shared(struct mars *m, struct dk_call *call)
{
	uint8_t buf[PAGE + DK_SHARED_MAX * DK_SHARED_NAME_MAX * 6];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	mars_report_shared(m, &w);
	return mars_on_shared_answer(call, dk_str_of(dk_written(&w)));
}

static int mars_on_set_shared(struct mars *m, struct dk_call *call, dk_str name, int16_t value)
{
	int rc = m->svc.set_shared(&m->svc, name, value);

	if (rc == DK_FULL)
		return dk_refuse(call, DK_E_PARAMS, "there are %d names already; remove one first", DK_SHARED_MAX);
	if (rc)
		return dk_refuse(call, DK_E_PARAMS, "a name has 1 to %d bytes; this has %zu", DK_SHARED_NAME_MAX, name.n);
	return mars_on_set_shared_answer(call);
}

static int mars_on_remove_shared(struct mars *m, struct dk_call *call, dk_str name)
{
	if (m->svc.remove_shared(&m->svc, name))
		return dk_refuse(call, DK_E_PARAMS, "there is no such name; mars.shared lists them");
	return mars_on_remove_shared_answer(call);
}

/* ---- phases ---- */

static void configure(const void *conf, struct dk_report *rep)
{
	const struct mars_conf *c = conf;
	struct dk_addr a;

	if (c->app_name && strlen(c->app_name) > MARS_APP_MAX)
		dk_report(rep, "app_name", "app_name has %zu bytes; at most %d fit a record", strlen(c->app_name), MARS_APP_MAX);
	if (c->version && strlen(c->version) >= sizeof(((struct dk_cluster_node *)0)->version))
		dk_report(rep, "version", "version has %zu bytes; at most %zu fit a record", strlen(c->version),
			  sizeof(((struct dk_cluster_node *)0)->version) - 1);
	if (c->serve && dk_addr_parse(dk_str_c(c->address), 0, &a))
		dk_report(rep, "address", "\"address\" must be an IP address to listen on, found \"%s\"", c->address);
	if (c->suspect_ms < 2 * c->beat_ms)
		dk_report(rep, "suspect_ms", "suspect_ms = %lld must be at least twice beat_ms = %lld: one lost beat is nothing",
			  (long long)c->suspect_ms, (long long)c->beat_ms);
	if (c->dead_ms <= c->suspect_ms)
		dk_report(rep, "dead_ms", "dead_ms = %lld must be more than suspect_ms = %lld", (long long)c->dead_ms,
			  (long long)c->suspect_ms);
	if (c->evidence_ms > c->dead_ms)
		dk_report(rep, "evidence_ms", "evidence_ms = %lld must not be more than dead_ms = %lld", (long long)c->evidence_ms,
			  (long long)c->dead_ms);
}

static void copy_text(char *to, size_t cap, const char *from)
{
	size_t n = from ? strlen(from) : 0;

	memcpy(to, from ? from : "", n < cap ? n : cap - 1);
	to[n < cap ? n : cap - 1] = '\0';
}

/* The level that the reference's file for MARS names goes before that of the log. */
static void set_level(struct mars *m)
{
	if (mars_conf(m)->level)
		m->base.log_level = (uint8_t)mars_conf(m)->level;
}

static void reload(void *self, const void *old)
{
	(void)old;
	set_level(self);
}

static int init(void *self)
{
	struct mars *m = self;
	const struct mars_conf *c = mars_conf(m);

	set_level(m);
	mars_table_init(&m->table, m, (size_t)c->max_nodes);
	m->me.node.boot = m->carrier->boot;
	m->me.node.health = DK_ALIVE;
	m->me.state = MARS_JOINING;
	m->me.node.state = mars_record_state(&m->me);
	m->me.proto_min = MARS_PROTO_MIN;
	m->me.proto_max = MARS_PROTO_MAX;
	m->me.strict = c->isolation == ISOLATION_STRICT;
	copy_text(m->me.app, sizeof(m->me.app), c->app_name);
	copy_text(m->me.node.version, sizeof(m->me.node.version), c->version && *c->version ? c->version : DK_VERSION);
	mars_view_init(m);
	return mars_registry_init(m);
}

static int start(void *self)
{
	struct mars *m = self;
	int rc = mars_registry_start(m);

	return rc ? rc : mars_agent_start(m);
}

static void ready(void *self, struct dk_step *step)
{
	struct mars *m = self;

	mars_agent_refresh(m);
	m->full = m->full || mars_registry_wants_full(m, &m->me);
	if (m->synced || !mars_registry_any(m))
		dk_step_done(step, 0); /* there is nobody to wait for */
	else
		m->ready = step;
}

static void started(void *self)
{
	struct mars *m = self;

	m->up = true;
	mars_agent_refresh(m);
}

static void offline(void *self)
{
	mars_agent_refresh(self);
}

static void stop(void *self, struct dk_step *step)
{
	struct mars *m = self;

	m->ready = NULL;
	mars_agent_leave(m, step);
}

static void fini(void *self)
{
	struct mars *m = self;

	mars_values_fini(&m->values, m);
	mars_table_fini(&m->table);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct mars, svc, DK_CLUSTER), { 0 } };
static const struct dk_need needs[] = {
	DK_NEED(struct mars, carrier, DK_CARRIER),
	DK_EACH_OF(struct mars, transports, DK_TRANSPORT),
	{ 0 },
};

static const char *const levels[] = { "", "verbose", "network", "sys", "debug", "info", "notice", "warn", "error", "fatal", NULL };
_Static_assert(DK_VERBOSE == 1 && DK_FATAL == 9, "levels[] has them by number");
static const char *const isolations[] = { "strict", "range", NULL };

static const struct dk_option options[] = {
	DK_BOOL(struct mars_conf, serve, "serve", "false", "be a registry; among workers the first is"),
	DK_STR(struct mars_conf, address, "address", "127.0.0.1", "where a registry listens"),
	DK_INT(struct mars_conf, port, "port", "6779", 1, 65535, "its UDP port; if that is taken the node does not start"),
	DK_STRS(struct mars_conf, full_sync_roles, "fullSyncRoles",
		"nodes of these roles get everything, node values included; the registry's setting counts", .def = "HTTP"),
	DK_BOOL(struct mars_conf, metrics_logging, "enableMetricsLogging", "false", "a registry logs a JSON line every second"),
	DK_WORD(struct mars_conf, level, "level", "", levels, "what is logged at least; empty: as log.level says",
		.flags = DK_RELOADABLE),
	DK_BOOL(struct mars_conf, debug, "debug", "false", "mars.del may be called"),
	DK_STRS(struct mars_conf, peers, "peers",
		"nodes to join through while no registry answers: mesh addresses, or names with a port", .max = MARS_SEEDS_MAX),
	DK_STR(struct mars_conf, app_name, "app_name", "", "nodes of another application are not seen", .env = "DIARKIS_APP_NAME"),
	DK_STR(struct mars_conf, version, "version", "", "what version_isolation compares; empty: that of the product"),
	DK_WORD(struct mars_conf, isolation, "version_isolation", "range", isolations,
		"strict: only nodes of the same version are seen; range: all that speak a common protocol"),
	DK_INT(struct mars_conf, max_nodes, "max_nodes", "1000", 2, 10000, "nodes at most; more are not seen"),
	DK_INT(struct mars_conf, beat_ms, "beat_ms", "250", 50, 10000, "between two signs of life, give or take a tenth",
	       .unit = "ms"),
	DK_INT(struct mars_conf, suspect_ms, "suspect_ms", "1500", 200, 60000, "silence after which a node is suspect",
	       .unit = "ms"),
	DK_INT(struct mars_conf, dead_ms, "dead_ms", "2400", 300, 120000, "silence after which it is dead, if nobody else heard it",
	       .unit = "ms"),
	DK_INT(struct mars_conf, probe_ms, "probe_ms", "200", 50, 10000, "between two questions about a silent node", .unit = "ms"),
	DK_INT(struct mars_conf, relays, "relays", "3", 0, 8, "how many others are asked when they heard it"),
	DK_INT(struct mars_conf, evidence_ms, "evidence_ms", "1000", 100, 60000, "what others heard counts while it is younger",
	       .unit = "ms"),
	DK_INT(struct mars_conf, stall_ms, "stall_ms", "250", 50, 10000,
	       "a node that did not run for longer blames nobody for that time", .unit = "ms"),
	DK_INT(struct mars_conf, remove_s, "remove_s", "30", 1, 3600, "a node that died or left is listed for this long",
	       .unit = "s"),
	DK_INT(struct mars_conf, tombstone_s, "tombstone_s", "600", 10, 86400, "and then not let in again by hearsay for this long",
	       .unit = "s"),
	{ .name = NULL },
};

static const struct dk_counter counters[] = {
	DK_GAUGE(struct mars, nodes, "other nodes that are alive"),
	DK_GAUGE(struct mars, degraded, "nodes that are heard of through others only"),
	DK_COUNTER(struct mars, joined, "nodes that joined"),
	DK_COUNTER(struct mars, changed, "changes of a node's state, endpoints or values"),
	DK_COUNTER(struct mars, suspected, "nodes that fell silent"),
	DK_COUNTER(struct mars, recovered, "nodes that were heard again"),
	DK_COUNTER(struct mars, left, "nodes that said goodbye"),
	DK_COUNTER(struct mars, died, "nodes that died"),
	DK_COUNTER(struct mars, removed, "nodes that were taken off the list"),
	DK_COUNTER(struct mars, refuted, "times this node had to say that it lives"),
	DK_COUNTER(struct mars, stalls, "times this node did not run for a while"),
	DK_COUNTER(struct mars, beats_in, "beats received"),
	DK_COUNTER(struct mars, beats_out, "beats sent"),
	DK_COUNTER(struct mars, announced_in, "announcements received"),
	DK_COUNTER(struct mars, announced_out, "announcements sent"),
	DK_COUNTER(struct mars, pulls_in, "requests for the table received"),
	DK_COUNTER(struct mars, pulls_out, "requests for the table sent"),
	DK_COUNTER(struct mars, tables_in, "pages of the table received"),
	DK_COUNTER(struct mars, tables_out, "pages of the table sent"),
	DK_COUNTER(struct mars, asks_in, "questions when a node was heard, received"),
	DK_COUNTER(struct mars, asks_out, "questions when a node was heard, sent"),
	DK_COUNTER(struct mars, ages_in, "answers to them received"),
	DK_COUNTER(struct mars, ages_out, "answers to them sent"),
	DK_COUNTER(struct mars, unresolved, "names of registries or peers that had no address"),
	DK_COUNTER(struct mars, refused_malformed, "messages that cannot be read"),
	DK_COUNTER(struct mars, refused_address, "records of another node than who sent them"),
	DK_COUNTER(struct mars, refused_boot, "records of another run than the one that is linked"),
	DK_COUNTER(struct mars, refused_foreign, "records of another application or version"),
	DK_COUNTER(struct mars, refused_buried, "records of a node that is known to be gone"),
	DK_COUNTER(struct mars, refused_two_places, "records of a node that is known at another address"),
	DK_COUNTER(struct mars, refused_full, "nodes beyond max_nodes"),
	DK_COUNTER(struct mars, refused_stranger, "links refused by strictCheckForExternal"),
	{ .name = NULL },
};

static const struct dk_ops ops = {
	.configure = configure,
	.init = init,
	.start = start,
	.ready = ready,
	.started = started,
	.reload = reload,
	.offline = offline,
	.stop = stop,
	.fini = fini,
};

DK_PLUGIN(mars) = {
	DK_PLUGIN_HEAD("mars", DK_VERSION, "membership: which nodes there are, and the registry that introduces them"),
	.self_size = sizeof(struct mars),
	.conf_size = sizeof(struct mars_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = mars_commands,
	.counters = counters,
	.ops = &ops,
};
