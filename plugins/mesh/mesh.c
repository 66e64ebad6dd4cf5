/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links between nodes (service "carrier"): a TCP listener and a UDP socket on one port number, sealed with the cluster key. This
 * file is the plugin: options, phases, the service, and what leaves at a turn's end. Who the others are is not its business: it
 * speaks to addresses, and listens to whoever proves to have the key.
 *
 * Order for hostile bytes: size and type, then the seal, then the replay window, then what is in it. Nobody who does not have the
 * key gets an answer, and each refusal moves a counter.
 */
#include "mesh_state.h"

#include <diarkis/version.h>

#include <errno.h>
#include <stdio.h>

#define SCAN_PORTS 1000
#define SWEEP_MS 10000
#define INTERVAL_MIN 17

static struct mesh *of(struct dk_carrier *c)
{
	return dk_container_of(c, struct mesh, api);
}

uint32_t mesh_timeout(const struct mesh *m)
{
	const struct mesh_conf *c = mesh_conf(m);

	return (uint32_t)(c->retry_timeout ? c->retry_timeout : c->reliable_retry_timeout);
}

void mesh_drop(struct mesh *m, enum wire_cluster_drop why)
{
	switch (why) {
	case WIRE_CLUSTER_FOREIGN:
		m->n.drop_foreign++;
		break;
	case WIRE_CLUSTER_NAME:
		m->n.drop_cluster++;
		break;
	case WIRE_CLUSTER_VERSION:
		m->n.drop_version++;
		break;
	case WIRE_CLUSTER_REPLAY:
		m->n.drop_replay++;
		break;
	default:
		m->n.drop_size++;
		break;
	}
}

/* ---- the turn's end ---- */

void mesh_dirty(struct mesh *m, struct peer *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	p->next_dirty = m->dirty;
	m->dirty = p;
}

static void on_self(void *self, struct dk_timer *t)
{
	struct mesh *m = self;

	(void)t;
	if (m->me)
		link_run_self(m, m->me);
}

static void flush_all(struct mesh *m)
{
	struct peer *p;

	while ((p = m->dirty)) {
		m->dirty = p->next_dirty;
		p->dirty = false;
		if (!p->self) {
			link_flush(m, p);
			contact_flush(m, p);
		} else if (!dk_timer_armed(&m->self_timer)) {
			dk_timer_start(m, &m->self_timer, 0, 0, on_self);
		}
	}
}

static void on_interval(void *self, struct dk_timer *t)
{
	(void)t;
	flush_all(self);
}

static void mesh_turn_end(void *self)
{
	struct mesh *m = self;
	int64_t interval = mesh_conf(m)->send_interval;

	if (!m->dirty)
		return;
	if (interval < INTERVAL_MIN || m->stopping)
		flush_all(m);
	else if (!dk_timer_armed(&m->send_timer))
		dk_timer_start(m, &m->send_timer, (uint64_t)interval, 0, on_interval);
}

static void on_sweep(void *self, struct dk_timer *t)
{
	struct mesh *m = self;

	(void)t;
	contact_sweep(m);
	link_sweep(m);
	peer_sweep(m);
}

/* ---- the service ---- */

static int mesh_send(struct dk_carrier *c, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	struct mesh *m = of(c);
	struct wire_unit u = { .kind = WIRE_UNIT_MESSAGE, .ver = ver, .cmd = cmd, .payload = payload };
	bool reliable = (how & DK_RELIABLE) != 0;
	struct contact *asked = m->answering;
	struct peer *p;

	if (payload.n > (reliable ? DK_CARRIER_MESSAGE_MAX : DK_CARRIER_DATAGRAM_MAX))
		return DK_TOO_LONG;
	if (!to->family || !to->port)
		return -EINVAL;
	m->n.messages_out++;
	/* What came to another socket than the node's own is answered from there. */
	if (!reliable && asked && asked->socket != m->socket && dk_addr_eq(&asked->x.addr, to)) {
		contact_say(m, asked, &u);
		return 0;
	}
	p = peer_of(m, to);
	if (!p)
		return DK_FULL;
	if (reliable || p->self)
		return link_put(m, p, &u, 7, 0, NULL);
	return contact_put(m, p, &u);
}

static uint64_t mesh_heard(struct dk_carrier *c, const struct dk_addr *node)
{
	struct mesh *m = of(c);
	struct peer *p = peer_find(m, node);

	return !p ? 0 : p->self ? dk_now(m) : p->heard_ms;
}

static uint64_t mesh_boot_of(struct dk_carrier *c, const struct dk_addr *node)
{
	struct peer *p = peer_find(of(c), node);

	return p ? p->boot : 0;
}

static void mesh_forget(struct dk_carrier *c, const struct dk_addr *node)
{
	struct peer *p = peer_find(of(c), node);

	if (p)
		peer_gone(of(c), p);
}

static int mesh_serve(struct dk_carrier *c, const struct dk_addr *bind)
{
	struct mesh *m = of(c);
	struct dk_udp_opts o = { .bind = *bind };
	size_t i = 0;
	struct peer *p;
	int rc;

	while (i < MESH_SERVES_MAX && m->served[i])
		i++;
	if (i == MESH_SERVES_MAX)
		return -ENOSPC;
	rc = dk_udp_open(m, &o, contact_received, &m->served[i]);
	if (rc)
		return rc;
	p = peer_find(m, dk_udp_addr(m->served[i]));
	if (p)
		p->self = true;
	return 0;
}

/* ---- keys ---- */

/* Returns how many there are, or <0 with the reason and the option it is about. */
static int read_keys(const struct mesh_conf *c, uint8_t keys[WIRE_CLUSTER_KEYS][WIRE_CLUSTER_KEY], char *why, size_t why_n,
		     const char **ret_option)
{
	static const char *const options[] = { "key", "key_file", "key_2", "key_file_2" };
	const struct wire_cluster_source from[] = { { c->key, c->key_file }, { c->key2, c->key_file2 } };
	int bad = 0, n = wire_cluster_keys_read(from, keys, &bad, why, why_n);

	*ret_option = options[bad];
	return n;
}

/* ---- phases ---- */

static bool is_loopback(const struct dk_addr *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return a->family == 6 ? memcmp(a->ip, v6, sizeof(v6)) == 0 : a->ip[0] == 127;
}

static bool is_any(const struct dk_addr *a)
{
	static const uint8_t any[16];

	return memcmp(a->ip, any, a->family == 6 ? 16 : 4) == 0;
}

#define NO_KEY                                                                                                                     \
	"the mesh is to be bound to %s, which is not loopback, without a cluster key: whoever reaches it could join. Make one "    \
	"with `openssl rand -hex 32 > /etc/diarkis/cluster.key && chmod 0600 /etc/diarkis/cluster.key` and set key_file, or set "  \
	"DIARKIS_CLUSTER_KEY; mesh_insecure = true if nobody else is on that network"

static void mesh_configure(const void *conf, struct dk_report *rep)
{
	const struct mesh_conf *c = conf;
	uint8_t keys[WIRE_CLUSTER_KEYS][WIRE_CLUSTER_KEY];
	const char *option;
	struct dk_addr a;
	char why[512];
	int n;

	n = read_keys(c, keys, why, sizeof(why), &option);
	explicit_bzero(keys, sizeof(keys));
	if (n < 0)
		dk_report(rep, option, "%s", why);
	if (c->retry_timeout && c->reliable_retry_timeout != 3000 && c->retry_timeout != c->reliable_retry_timeout)
		dk_report(rep, "retryTimeout", "\"retryTimeout\" is another name of \"reliableRetryTimeout\", but they differ");
	if (!c->address || !*c->address)
		return;
	if (dk_addr_parse(dk_str_c(c->address), 0, &a) < 0) {
		dk_report(rep, "address", "\"address\" must be an IP address, found \"%s\"", c->address);
		return;
	}
	if (is_any(&a) && !c->open)
		dk_report(
			rep, "address",
			"the mesh is to be bound to every interface (%s); it belongs on an internal one: give its address, or set "
			"mesh_public = true",
			c->address);
	if (n == 0 && !is_loopback(&a) && !c->insecure)
		dk_report(rep, "address", NO_KEY, c->address);
}

static int mesh_random(void *arg, void *buf, size_t n)
{
	return dk_random(arg, buf, n);
}

static int mesh_init(void *self)
{
	struct mesh *m = self;
	const struct mesh_conf *c = mesh_conf(m);
	struct wire_cluster_opts o = { .name = dk_str_c(c->cluster), .random = mesh_random, .arg = m };
	const char *option;
	char why[512];
	int rc;

	m->api.send = mesh_send;
	m->api.send_many = tree_send;
	m->api.request = call_request;
	m->api.cancel = call_cancel;
	m->api.heard = mesh_heard;
	m->api.boot_of = mesh_boot_of;
	m->api.forget = mesh_forget;
	m->api.serve = mesh_serve;
	m->api.registries = c->mars.at;
	m->api.registry_n = c->mars.n;
	m->api.registry_port = (uint16_t)c->mars_port;
	m->api.registry_ttl_s = (uint32_t)c->mars_ttl;
	dk_table_init(m, &m->peers, DK_KIND_APP, sizeof(struct peer), MESH_PEERS_MAX, "other nodes");
	dk_table_init(m, &m->contacts, DK_KIND_APP, sizeof(struct contact), 4 * MESH_PEERS_MAX, "contacts");
	dk_table_init(m, &m->requests, DK_KIND_REQUEST, sizeof(struct request), MESH_REQUESTS_MAX, "requests");
	dk_table_init(m, &m->incomings, DK_KIND_APP, sizeof(struct incoming), MESH_REQUESTS_MAX, "calls of other nodes");
	dk_pool_init(m, &m->blocks, QUEUE_BLOCK, 0, "blocks of queues");
	dk_pool_init(m, &m->packets, sizeof(struct packet), 0, "packets");
	dk_pool_init(m, &m->records, WIRE_RECORD_MAX, 0, "records that came in part");
	dk_pool_init(m, &m->ins, sizeof(struct in), 0, "streams of other nodes");
	do {
		rc = dk_random(m, &m->api.boot, sizeof(m->api.boot));
		if (rc < 0)
			return rc;
	} while (!m->api.boot);
	o.boot = m->api.boot;
	rc = read_keys(c, o.key, why, sizeof(why), &option);
	if (rc < 0) {
		dk_log(m, DK_ERROR, "%s: %s", option, why);
		return rc;
	}
	o.key_n = (unsigned)rc;
	m->keyed = rc > 0;
	rc = wire_cluster_new(&o, &m->cluster);
	explicit_bzero(&o, sizeof(o));
	if (rc)
		return rc;
	m->plain = dk_alloc(m, WIRE_RECORD_PLAIN);
	return m->plain ? 0 : -ENOMEM;
}

/* The listener and the socket, on the first port number that is free for both. */
static int bind_both(struct mesh *m, struct dk_addr bind)
{
	static const struct dk_listen_opts listen_defaults = { .no_delay = true, .max_output = 4u << 20 };
	uint32_t port = bind.port, last = port ? port + SCAN_PORTS : 0;
	unsigned tries = port ? SCAN_PORTS : 64;
	int rc;

	do {
		struct dk_listen_opts lo = listen_defaults;
		struct dk_udp_opts uo = { .bind = bind };

		lo.bind = bind;
		lo.bind.port = (uint16_t)port;
		rc = dk_listen(m, &lo, &link_in_ops, link_accept, &m->listener);
		if (rc == 0) {
			uo.bind.port = dk_listener_addr(m->listener)->port;
			rc = dk_udp_open(m, &uo, contact_received, &m->socket);
			if (rc == 0)
				return 0;
			dk_listener_close(m->listener);
			m->listener = NULL;
		}
		if (port && ++port > (last < UINT16_MAX ? last : UINT16_MAX))
			break;
	} while (rc == -EADDRINUSE && tries--);
	return rc;
}

static int own_address(struct mesh *m, struct dk_addr *ret_bind, struct dk_addr *ret_name)
{
	const struct mesh_conf *c = mesh_conf(m);
	bool given = c->address && *c->address;
	char text[DK_ADDR_TEXT];
	struct dk_addr a;
	int rc = given ? dk_addr_parse(dk_str_c(c->address), 0, &a) : DK_NOT_FOUND;

	if (rc < 0)
		return rc;
	if (given)
		*ret_bind = a;
	if (!given || is_any(&a)) {
		rc = dk_addr_of_nic(m, c->nic, &a);
		if (rc) {
			dk_log(m, DK_ERROR,
			       "the interface nic = \"%s\" has no address that could name this node; set \"address\" or \"nic\"",
			       c->nic);
			return rc < 0 ? rc : -ENODEV;
		}
	}
	if (!given)
		*ret_bind = a;
	*ret_name = a;
	if (!m->keyed && !is_loopback(&a) && !c->insecure) {
		dk_addr_format(&a, text);
		dk_log(m, DK_ERROR, NO_KEY, text);
		return -EPERM;
	}
	return 0;
}

static int mesh_start(void *self)
{
	struct mesh *m = self;
	struct dk_addr bind, name;
	char text[DK_ADDR_TEXT];
	int rc = own_address(m, &bind, &name);

	if (rc)
		return rc;
	bind.port = (uint16_t)mesh_conf(m)->port;
	rc = bind_both(m, bind);
	if (rc) {
		dk_addr_format(&bind, text);
		dk_log(m, DK_ERROR, "mesh %s cannot be bound, nor the %d ports above it: %s", text, SCAN_PORTS, dk_err_text(rc));
		return rc;
	}
	name.port = dk_udp_addr(m->socket)->port;
	m->api.addr = name;
	wire_cluster_set_addr(m->cluster, &name);
	m->me = peer_of(m, &name);
	if (!m->me)
		return -ENOMEM;
	dk_set_node_addr(m, &name);
	dk_announce(m, "MESH", &name, false);
	dk_timer_start(m, &m->sweep, SWEEP_MS, SWEEP_MS, on_sweep);
	return dk_on_turn_end(m, mesh_turn_end);
}

static void end(struct mesh *m)
{
	struct dk_step *step = m->stopping;

	if (!step)
		return;
	m->stopping = NULL;
	m->ended = true;
	dk_timer_stop(&m->stop_timer);
	dk_step_done(step, 0);
}

void mesh_stopped(struct mesh *m)
{
	uint32_t slot = 0;
	struct peer *p;
	dk_id id;

	if (!m->stopping)
		return;
	while ((p = dk_table_next(&m->peers, &slot, &id)))
		if (p->out.q.bytes && !p->self && !p->out.gone)
			return;
	end(m);
}

static void on_stop_timer(void *self, struct dk_timer *t)
{
	(void)t;
	end(self);
}

static void on_cancel(void *arg)
{
	end(arg);
}

static void mesh_started(void *self)
{
	struct mesh *m = self;
	char text[DK_ADDR_TEXT], port[8];
	size_t n = dk_addr_format(&m->api.addr, text);

	snprintf(port, sizeof(port), "%u", m->api.addr.port);
	dk_publish_file(m, "DIARKIS_MESH_ADDR", port, dk_str_n(text, n)); /* without it the node serves all the same */
}

static void mesh_stop(void *self, struct dk_step *step)
{
	struct mesh *m = self;

	m->stopping = step;
	dk_step_on_cancel(step, on_cancel, m);
	/* For the last words, as long as for all others: a module that handed something over counts on it. */
	dk_timer_start(m, &m->stop_timer, mesh_timeout(m), 0, on_stop_timer);
	flush_all(m);
	mesh_stopped(m);
}

static void mesh_fini(void *self)
{
	struct mesh *m = self;

	m->ended = true;
	call_fini(m);
	while (m->in_list)
		link_free_in(m, m->in_list);
	peer_free_all(m);
	for (size_t i = 0; i < MESH_HALF_MAX; i++)
		contact_close(m, &m->half[i]);
	for (size_t i = 0; i < MESH_GUESTS_MAX; i++)
		contact_close(m, &m->guests[i]);
	tree_fini(m);
	dk_map_fini(m, &m->by_addr);
	dk_table_fini(&m->peers);
	dk_table_fini(&m->contacts);
	dk_table_fini(&m->requests);
	dk_table_fini(&m->incomings);
	dk_pool_fini(&m->blocks);
	dk_pool_fini(&m->packets);
	dk_pool_fini(&m->records);
	dk_pool_fini(&m->ins);
	wire_cluster_free(m->cluster);
	dk_free(m, m->plain, m->plain ? WIRE_RECORD_PLAIN : 0);
}

/* ---- the constant ---- */

static const struct dk_command mesh_commands[] = { MESH_COMMANDS(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL } };

static const struct dk_provide mesh_provides[] = { DK_PROVIDE(struct mesh, api, DK_CARRIER), { 0 } };

static const struct dk_option mesh_options[] = {
	DK_STR(struct mesh_conf, address, "address", "127.0.0.1", "IP address to bind, and this node's name; empty: that of nic"),
	DK_STR(struct mesh_conf, nic, "nic", "eth0", "interface whose address is taken when address is empty"),
	DK_INT(struct mesh_conf, port, "port", "8000", 0, 65535,
	       "first port tried, for TCP and UDP alike; taken ones are passed over upward; 0: any"),
	DK_INT(struct mesh_conf, retry_interval, "retryInterval", "1000", 100, 60000,
	       "pause before a link is tried again, and how long it may leave data unacknowledged", .unit = "ms",
	       .flags = DK_RELOADABLE),
	DK_INT(struct mesh_conf, reliable_retry_timeout, "reliableRetryTimeout", "3000", 100, 50000,
	       "a send or request fails when it was not handed over within this time", .unit = "ms", .flags = DK_RELOADABLE),
	DK_INT(struct mesh_conf, retry_timeout, "retryTimeout", "0", 0, 50000, "another name of reliableRetryTimeout; 0: not set",
	       .unit = "ms", .flags = DK_RELOADABLE),
	DK_INT(struct mesh_conf, send_interval, "sendInterval", "0", 0, 1000,
	       "output waits this long to travel together; below 17: until the turn's end", .unit = "ms", .flags = DK_RELOADABLE),
	DK_BOOL(struct mesh_conf, strict, "strictCheckForExternal", "false",
		"look at nothing that comes from an address outside the cluster, seal or no seal"),
	DK_STRS(struct mesh_conf, mars, "marsAddress",
		"registries, 1 to 3: names or addresses, with or without a port; empty: none", .def = "127.0.0.1",
		.env = "DIARKIS_MARS_ADDR", .min = 0, .max = 3),
	DK_INT(struct mesh_conf, mars_port, "marsPort", "6779", 1, 65535, "port of registries that are given without one",
	       .env = "DIARKIS_MARS_PORT"),
	DK_BOOL(struct mesh_conf, secure_http, "secureHttpHost", "false",
		"accepted, and without effect: registries are asked over the mesh, wherever they run"),
	DK_INT(struct mesh_conf, mars_ttl, "marsAddressCacheTTL", "60", 1, 86400, "how long a registry's resolved name is believed",
	       .unit = "s"),
	DK_STR(struct mesh_conf, cluster, "cluster", "diarkis", "name of the cluster: nodes of another one are not listened to"),
	DK_STR(struct mesh_conf, key, "key", NULL, "cluster key, 64 hexadecimal digits", .flags = DK_SECRET,
	       .env = "DIARKIS_CLUSTER_KEY"),
	DK_STR(struct mesh_conf, key2, "key_2", NULL, "a second key that is listened to, while keys are exchanged",
	       .flags = DK_SECRET, .env = "DIARKIS_CLUSTER_KEY_2"),
	DK_STR(struct mesh_conf, key_file, "key_file", NULL, "file that holds the cluster key, of mode 0640 at most",
	       .env = "DIARKIS_CLUSTER_KEY_FILE"),
	DK_STR(struct mesh_conf, key_file2, "key_file_2", NULL, "the same for the second key", .env = "DIARKIS_CLUSTER_KEY_FILE_2"),
	DK_BOOL(struct mesh_conf, open, "mesh_public", "false", "allow to bind every interface"),
	DK_BOOL(struct mesh_conf, insecure, "mesh_insecure", "false", "allow to run without a cluster key beyond loopback"),
	DK_INT(struct mesh_conf, queue_limit, "queue_limit", "32768", 16384, 262144,
	       "what may wait for one node; broadcasts are refused at half of it", .unit = "KiB", .flags = DK_RELOADABLE),
	DK_INT(struct mesh_conf, fanout, "fanout", "4", 1, 255,
	       "how many nodes a message to many is sent to directly; they pass it on", .flags = DK_RELOADABLE),
	{ 0 },
};

static const struct dk_counter mesh_counters[] = {
	DK_GAUGE(struct mesh, peers, "addresses spoken with"),
	DK_GAUGE(struct mesh, links, "streams of this node to others that are open"),
	DK_GAUGE(struct mesh, queued, "bytes that wait for other nodes' acknowledgement"),
	DK_COUNTER(struct mesh, packets_in, "datagrams received"),
	DK_COUNTER(struct mesh, packets_out, "datagrams sent"),
	DK_COUNTER(struct mesh, records_in, "records received over streams"),
	DK_COUNTER(struct mesh, records_out, "records sent over streams"),
	DK_COUNTER(struct mesh, bytes_in, "bytes received"),
	DK_COUNTER(struct mesh, bytes_out, "bytes sent"),
	DK_COUNTER(struct mesh, messages_in, "messages run"),
	DK_COUNTER(struct mesh, messages_out, "messages given to send"),
	DK_COUNTER(struct mesh, requests_in, "requests of other nodes"),
	DK_COUNTER(struct mesh, requests_out, "requests to other nodes"),
	DK_COUNTER(struct mesh, relayed, "messages passed on to a share of their targets"),
	DK_COUNTER(struct mesh, links_made, "streams made to other nodes, those made anew included"),
	DK_COUNTER(struct mesh, resent, "messages sent again after a stream broke"),
	DK_COUNTER(struct mesh, duplicates, "messages that had run already"),
	DK_COUNTER(struct mesh, expired, "messages dropped because they could not be handed over in time"),
	DK_COUNTER(struct mesh, late, "requests not run because their time was over when they came"),
	DK_COUNTER(struct mesh, shed, "broadcasts refused because half of a queue was full"),
	DK_COUNTER(struct mesh, full, "messages refused because a queue was full, broadcasts included"),
	DK_COUNTER(struct mesh, lost, "unreliable messages lost for want of a contact"),
	DK_COUNTER(struct mesh, timeouts, "requests that were not answered in time"),
	DK_COUNTER(struct mesh, cancelled, "requests taken back"),
	DK_COUNTER(struct mesh, no_answer, "calls that ended without an answer: dropped, too long, or the queue was full"),
	DK_COUNTER(struct mesh, unknown_command, "messages and requests for commands that are not here"),
	DK_COUNTER(struct mesh, overload, "messages and requests refused because too many calls were under way"),
	DK_COUNTER(struct mesh, hops, "messages to many that ran out of hops"),
	DK_COUNTER(struct mesh, no_memory, "dropped for want of memory or room"),
	DK_COUNTER(struct mesh, drop_size, "of no valid size or type"),
	DK_COUNTER(struct mesh, drop_foreign, "sealed with none of the cluster's keys"),
	DK_COUNTER(struct mesh, drop_cluster, "of a cluster of another name"),
	DK_COUNTER(struct mesh, drop_version, "of no protocol that is spoken here"),
	DK_COUNTER(struct mesh, drop_replay, "had come before"),
	DK_COUNTER(struct mesh, drop_stale, "of a boot or a stream that has a successor"),
	DK_COUNTER(struct mesh, drop_unknown, "for a contact that is not here"),
	DK_COUNTER(struct mesh, drop_stranger, "contacts refused by strictCheckForExternal"),
	DK_COUNTER(struct mesh, drop_rate, "greetings beyond the limit"),
	DK_COUNTER(struct mesh, drop_unit, "malformed inside a good seal"),
	DK_COUNTER(struct mesh, drop_guest, "calls of guests that guests may not make"),
	{ 0 },
};

static const struct dk_ops mesh_ops = {
	.configure = mesh_configure,
	.init = mesh_init,
	.start = mesh_start,
	.started = mesh_started,
	.stop = mesh_stop,
	.fini = mesh_fini,
};

DK_PLUGIN(mesh) = {
	DK_PLUGIN_HEAD("mesh", DK_VERSION, "sealed links between the nodes of a cluster"),
	.self_size = sizeof(struct mesh),
	.conf_size = sizeof(struct mesh_conf),
	.provides = mesh_provides,
	.options = mesh_options,
	.commands = mesh_commands,
	.counters = mesh_counters,
	.ops = &mesh_ops,
};
