/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin dive: named storages of keys, spread over the nodes of a cluster. This file has the options, the storages and the
 * phases; diarkis/dive.h says what a storage is. It writes nothing to disk.
 */
#include "dive_state.h"

enum { TICK_MS = 20, SWEEP_MS = 1000, SWEEP_MIN = 64 };

static const struct dk_command dive_commands[] = { DIVE_ROWS(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL } };

/* ---- storages ---- */

struct dive_storage *dive_find(struct dives *d, dk_str name)
{
	for (struct dive_storage *st = d->storages; st; st = st->next)
		if (dk_str_eq(name, dk_str_c(st->name)))
			return st;
	return NULL;
}

void dive_role(struct dive_storage *st, uint16_t bucket, enum dive_role role)
{
	struct dive_bucket *b = &st->buckets[bucket];
	bool was = b->role == DIVE_OWNED || b->role == DIVE_LEAVING, is = role == DIVE_OWNED || role == DIVE_LEAVING;

	st->owned += is;
	st->owned -= was;
	st->dives->n.buckets += is - was;
	if (role == DIVE_OWNED && !was) {
		b->copy.family = 0;
		b->leased_ms = 0;
	}
	st->calm = false;
	b->role = (uint8_t)role;
	b->since_ms = dk_now(st->dives);
	b->keeper.family = 0;
}

void dive_empty(struct dive_storage *st, uint16_t bucket)
{
	dive_store_empty(&st->store, bucket);
	dive_memo_empty(&st->memo, bucket);
}

static char *dup_text(struct dives *d, dk_str text)
{
	char *p = dk_alloc(d, text.n + 1);

	if (p && text.n)
		memcpy(p, text.p, text.n);
	return p;
}

static void storage_free(struct dives *d, struct dive_storage *st)
{
	for (uint16_t b = 0; b < DIVE_BUCKETS; b++)
		dive_land_free(st, b);
	dive_store_fini(&st->store);
	dive_memo_fini(&st->memo);
	dive_view_fini(st);
	if (st->name)
		dk_free(d, (void *)(uintptr_t)st->name, strlen(st->name) + 1);
	if (st->type)
		dk_free(d, (void *)(uintptr_t)st->type, strlen(st->type) + 1);
	dk_free(d, st, sizeof(*st));
}

static int add_storage(struct dives *d, dk_str name, dk_str type, const struct dive_storage_conf *c)
{
	struct dive_limits limits = {
		.keys = (uint32_t)c->max_keys,
		.value_bytes = (uint32_t)c->max_value,
		.list_bytes = (uint32_t)c->max_list_bytes,
		.list_items = (uint32_t)c->max_list_items,
	};
	struct dive_storage *st;

	if (!name.n || name.n > DK_DIVE_STORAGE_MAX)
		return DK_TOO_LONG;
	if (dive_find(d, name))
		return DK_EXISTS;
	st = dk_alloc(d, sizeof(*st));
	if (!st)
		return -ENOMEM;
	st->dives = d;
	st->migration = c->migration;
	st->copies = c->copies != 0;
	st->clean_s = (uint32_t)c->clean_interval;
	dive_store_init(&st->store, d, &limits, (uint32_t)c->default_ttl);
	dive_memo_init(&st->memo, d, (uint64_t)c->remember);
	for (uint16_t b = 0; b < DIVE_BUCKETS; b++)
		st->owners[b] = DIVE_NOBODY;
	st->name = dup_text(d, name);
	st->type = dup_text(d, type);
	if (!st->name || !st->type) {
		storage_free(d, st);
		return -ENOMEM;
	}
	st->next = d->storages;
	d->storages = st;
	return 0;
}

#define DEFAULT_KEYS 1000000
#define DEFAULT_VALUE 65536
#define DEFAULT_ITEMS 10000
#define DEFAULT_CLEAN 300
#define DEFAULT_REMEMBER 16777216
#define NUMBER_(n) #n
#define NUMBER(n) NUMBER_(n)

static int svc_create(struct dk_dive *svc, dk_str name, dk_str type, uint32_t default_ttl_s)
{
	struct dives *d = dk_container_of(svc, struct dives, svc);
	struct dive_storage_conf c = { .clean_interval = DEFAULT_CLEAN,
				       .default_ttl = default_ttl_s,
				       .max_keys = DEFAULT_KEYS,
				       .max_value = DEFAULT_VALUE,
				       .max_list_bytes = DEFAULT_VALUE,
				       .max_list_items = DEFAULT_ITEMS,
				       .remember = DEFAULT_REMEMBER,
				       .migration = true };
	int rc;

	if (!default_ttl_s || default_ttl_s > DK_DIVE_TTL_MAX)
		c.default_ttl = DK_DIVE_TTL_MAX;
	rc = add_storage(d, name, type, &c);
	if (rc == 0)
		dive_look(d);
	return rc;
}

/* Buckets that another node could take. */
static uint64_t buckets_to_go(const struct dives *d)
{
	uint64_t n = 0;

	for (const struct dive_storage *st = d->storages; st; st = st->next)
		if (st->node_n > (st->mine ? 1 : 0))
			n += st->owned;
	return n;
}

static bool svc_ready(struct dk_dive *svc)
{
	return !buckets_to_go(dk_container_of(svc, struct dives, svc));
}

static int svc_ring_size(struct dk_dive *svc, dk_str storage, uint32_t size)
{
	if (!size)
		return -EINVAL;
	return dive_find(dk_container_of(svc, struct dives, svc), storage) ? 0 : DK_DIVE_NO_STORAGE;
}

/* ---- looking after them ---- */

static void on_tick(void *self, struct dk_timer *t);

void dive_look(struct dives *d)
{
	if (d->up)
		dk_timer_start(d, &d->tick, 0, dive_alone(d) ? 0 : TICK_MS, on_tick);
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct dives *d = self;

	(void)t;
	d->n.uncopied = 0;
	for (struct dive_storage *st = d->storages; st; st = st->next) {
		dive_view_refresh(d, st);
		if (st->calm)
			continue;
		st->calm = true;
		dive_claim_look(d, st);
		if (!dive_alone(d))
			dive_move_look(d, st);
		if (!dive_alone(d))
			dive_copy_look(d, st);
	}
}

static void on_changed(struct dives *d, const struct dk_cluster_event *ev)
{
	(void)ev;
	dive_look(d);
}

static void on_sweep(void *self, struct dk_timer *t)
{
	struct dives *d = self;

	(void)t;
	d->n.keys = 0;
	d->n.bytes = d->n.remembered = 0;
	d->n.forgotten = 0;
	for (struct dive_storage *st = d->storages; st; st = st->next) {
		d->n.expired += dive_store_sweep(&st->store, dk_now(d), st->store.table.top / st->clean_s + SWEEP_MIN);
		dive_memo_sweep(&st->memo, dk_now(d));
		dive_compare_look(d, st);
		if (!dive_alone(d))
			dive_land_look(d, st);
		d->n.remembered += st->memo.table.used;
		d->n.forgotten += st->memo.forgotten;
		d->n.keys += st->store.table.used;
		d->n.bytes += (int64_t)st->store.bytes;
	}
}

/* ---- phases ---- */

static void configure(const void *conf, struct dk_report *rep)
{
	const struct dive_conf *c = conf;

	for (size_t i = 0; i < c->storages.n; i++) {
		const char *name = c->storages.keys[i];

		if (!*name || strlen(name) > DK_DIVE_STORAGE_MAX)
			dk_report(rep, "storages", "the name of a storage has 1 to %d bytes; \"%s\" has %zu", DK_DIVE_STORAGE_MAX,
				  name, strlen(name));
	}
}

static int init(void *self)
{
	struct dives *d = self;
	const struct dk_groups *g = &dive_conf(d)->storages;
	const struct dive_storage_conf *c = g->at;
	int rc = 0;

	dive_ask_init(d);
	d->svc.create = svc_create;
	d->svc.ready = svc_ready;
	d->svc.ring_size = svc_ring_size;
	for (size_t i = 0; i < g->n && rc == 0; i++)
		rc = add_storage(d, dk_str_c(g->keys[i]), dk_str_c(c[i].type), &c[i]);
	if (rc > 0)
		return -EINVAL; /* configure() let no such name pass */
	if (rc == 0 && !dive_alone(d))
		rc = dk_connect(d, &d->cluster->changed, on_changed);
	return rc;
}

static int start(void *self)
{
	struct dives *d = self;

	int rc;

	dk_timer_start(d, &d->sweep, SWEEP_MS, SWEEP_MS, on_sweep);
	/* The numbers of transfers and changes must not be those of another run of this node. */
	rc = dk_random(d, &d->last_transfer, sizeof(d->last_transfer));
	if (rc == 0)
		rc = dk_random(d, &d->asker, sizeof(d->asker));
	d->asker |= 1;
	return rc;
}

static void started(void *self)
{
	struct dives *d = self;

	d->up = true;
	d->up_ms = dk_now(d);
	d->budget_us = dk_now_us(d);
	dive_look(d);
}

static void offline(void *self)
{
	dive_look(self);
}

/* Those keep this node alive. */
static uint64_t busy(void *self, const char **ret_what)
{
	*ret_what = "buckets";
	return buckets_to_go(self);
}

/* Nothing is asked of other nodes any more, and nothing done for them. */
static void stop(void *self, struct dk_step *step)
{
	struct dives *d = self;

	d->up = false;
	d->over = true;
	dive_ask_stop(d);
	dive_claim_fini(d);
	dive_copy_fini(d);
	dive_move_fini(d);
	dk_step_done(step, 0);
}

static void fini(void *self)
{
	struct dives *d = self;
	struct dive_storage *st;

	dive_claim_fini(d);
	dive_copy_fini(d);
	dive_move_fini(d);
	dive_ask_fini(d);
	while ((st = d->storages)) {
		d->storages = st->next;
		storage_free(d, st);
	}
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct dives, svc, DK_DIVE), { 0 } };
static const struct dk_need needs[] = { DK_WANT(struct dives, carrier, DK_CARRIER),
					DK_WANT(struct dives, cluster, DK_CLUSTER),
					{ 0 } };

static const struct dk_option storage_options[] = {
	DK_STR(struct dive_storage_conf, type, "targetNodeType", "",
	       "which nodes hold it: those with an endpoint of this type; empty: those like this node"),
	DK_INT(struct dive_storage_conf, default_ttl, "defaultTTL", NUMBER(DK_DIVE_TTL_MAX), 1, DK_DIVE_TTL_MAX,
	       "how long a key lives for which nobody says it", .unit = "s"),
	DK_INT(struct dive_storage_conf, clean_interval, "cleanInterval", NUMBER(DEFAULT_CLEAN), 1, 86400,
	       "the memory of keys that have ended is free within this; nobody sees them meanwhile", .unit = "s"),
	DK_BOOL(struct dive_storage_conf, migration, "migration", "true", "keys move when nodes come and go; false: they are lost"),
	DK_INT(struct dive_storage_conf, copies, "copies", "0", 0, 1,
	       "copies of each key on another node, for the case that its owner dies; a change waits for its copy"),
	DK_INT(struct dive_storage_conf, max_keys, "max_keys", NUMBER(DEFAULT_KEYS), 1, 100000000,
	       "keys of it that this node takes at most"),
	DK_INT(struct dive_storage_conf, max_value, "max_value_bytes", NUMBER(DEFAULT_VALUE), 16, 262144, "longest value",
	       .unit = "bytes"),
	DK_INT(struct dive_storage_conf, max_list_bytes, "max_list_bytes", NUMBER(DEFAULT_VALUE), 16, 262144,
	       "all values of a list together", .unit = "bytes"),
	DK_INT(struct dive_storage_conf, max_list_items, "max_list_items", NUMBER(DEFAULT_ITEMS), 1, 262144, "values of a list"),
	DK_INT(struct dive_storage_conf, remember, "remember_bytes", NUMBER(DEFAULT_REMEMBER), 65536, 1073741824,
	       "what this node remembers at most of changes that may be asked for again", .unit = "bytes"),
	DK_INT(struct dive_storage_conf, multiple_index, "multipleIndex", "1", 1, 1000000, "accepted, and without effect"),
	DK_INT(struct dive_storage_conf, ring_size, "ringSize", "300", 1, 1000000, "accepted, and without effect"),
	DK_INT(struct dive_storage_conf, batch, "migrationBatchSize", "100", 1, 1000000,
	       "accepted, and without effect: see move_bytes_per_s"),
	DK_INT(struct dive_storage_conf, interval, "migrationInterval", "1000", 1, 86400000, "accepted, and without effect",
	       .unit = "ms"),
	{ .name = NULL },
};
static const struct dk_option options[] = {
	DK_MAP(struct dive_conf, storages, "storages", struct dive_storage_conf, storage_options,
	       "the storages, by name: { name = { ... }; }; every node that uses one has it here"),
	DK_INT(struct dive_conf, move_bytes, "move_bytes_per_s", "33554432", 65536, 10000000000,
	       "how much this node hands over at most when nodes come and go", .unit = "bytes", .flags = DK_RELOADABLE),
	{ .name = NULL },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct dives, keys, "keys on this node; counted once a second"),
	DK_GAUGE(struct dives, bytes, "bytes of their names and values"),
	DK_GAUGE(struct dives, buckets, "buckets that this node owns, of all storages"),
	DK_COUNTER(struct dives, asked, "operations asked for on this node"),
	DK_COUNTER(struct dives, asked_away, "requests to other nodes for them"),
	DK_COUNTER(struct dives, answered, "operations done here, for whomever"),
	DK_COUNTER(struct dives, refused, "operations that came to nothing: no such key, a limit, a filter"),
	DK_COUNTER(struct dives, retried, "times an operation had to wait: a bucket moved, or a node was gone"),
	DK_COUNTER(struct dives, failed, "operations that no node took in time"),
	DK_COUNTER(struct dives, maybe, "operations whose owner did not answer"),
	DK_COUNTER(struct dives, repeated, "changes that were asked for again and had been done: answered as then"),
	DK_COUNTER(struct dives, late, "changes that came when nobody waited for them any more, or when they were forgotten"),
	DK_COUNTER(struct dives, forgotten, "changes forgotten too early, for want of remember_bytes; counted once a second"),
	DK_GAUGE(struct dives, remembered, "changes that may be asked for again; counted once a second"),
	DK_COUNTER(struct dives, checked, "times a read asked its copy"),
	DK_COUNTER(struct dives, malformed, "messages of other nodes that cannot be read"),
	DK_COUNTER(struct dives, stale, "buckets of this node that another one owns in a later epoch"),
	DK_COUNTER(struct dives, claimed, "buckets that nobody owned, and this node does now"),
	DK_COUNTER(struct dives, copied, "times a copy on another node was brought up to date"),
	DK_GAUGE(struct dives, uncopied, "buckets owned here whose copy is not up to date"),
	DK_COUNTER(struct dives, repaired, "copies that were not what they should be, and were made anew"),
	DK_COUNTER(struct dives, copies_failed, "changes of which it is not known whether their copy has them"),
	DK_COUNTER(struct dives, taken_over, "buckets of nodes that are gone, owned here from a copy"),
	DK_COUNTER(struct dives, moved_out, "buckets handed over to another node"),
	DK_COUNTER(struct dives, moved_in, "buckets that came from another node"),
	DK_COUNTER(struct dives, moved_bytes, "bytes of keys handed over"),
	DK_COUNTER(struct dives, moves_failed, "hand-overs that came to nothing"),
	DK_COUNTER(struct dives, expired, "keys that ended and were swept away unseen"),
	{ .name = NULL },
};
static const struct dk_ops ops = { .configure = configure,
				   .init = init,
				   .start = start,
				   .started = started,
				   .offline = offline,
				   .busy = busy,
				   .stop = stop,
				   .fini = fini };

DK_PLUGIN(dive) = {
	DK_PLUGIN_HEAD("dive", "1.0.0", "named storages of keys, spread over the nodes of a cluster"),
	.self_size = sizeof(struct dives),
	.conf_size = sizeof(struct dive_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = dive_commands,
	.counters = counters,
	.ops = &ops,
};
