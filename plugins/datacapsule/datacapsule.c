/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capsules for other plugins. A capsule is a list of typed values (plugins/props.h) with an owner: all of its memory is charged
 * to whoever made it, so one that was forgotten is named with its owner's name. Nested capsules are kept packed, as values; a
 * plugin opens one by taking it into a capsule of its own.
 */
#include "json.h"

#include <diarkis/plugin.h>

#include "plugins/props.h"

struct datacapsule_conf {
	int64_t max_bytes;
};

struct datacapsule {
	struct dk_self base;
	struct dk_datacapsule service;
	struct {
		int64_t capsules;
		uint64_t refused, full;
	} n;
};

struct dk_capsule {
	void *self; /* who made it */
	struct props props;
};

static struct datacapsule *state_of(struct dk_datacapsule *svc)
{
	return dk_container_of(svc, struct datacapsule, service);
}

static struct props_limits most_of(const struct datacapsule *d)
{
	const struct datacapsule_conf *conf = d->base.conf;

	return (struct props_limits){ DK_CAPSULE_NAMES_MAX, (uint32_t)conf->max_bytes };
}

/* Counts what the outcome says. */
static int told(struct datacapsule *d, int rc)
{
	d->n.full += rc == DK_FULL;
	d->n.refused += rc == -EPROTO || rc == DK_CAPSULE_NO_JSON;
	return rc;
}

static void replace(struct dk_capsule *c, struct props *with)
{
	props_clear(c->self, &c->props);
	c->props = *with;
}

/* ---- values ---- */

static int create(struct dk_datacapsule *svc, void *self, struct dk_capsule **ret_capsule)
{
	struct dk_capsule *c = dk_alloc(self, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->self = self;
	state_of(svc)->n.capsules++;
	*ret_capsule = c;
	return 0;
}

static void clear(struct dk_datacapsule *svc, struct dk_capsule *c)
{
	(void)svc;
	props_clear(c->self, &c->props);
}

static void free_capsule(struct dk_datacapsule *svc, struct dk_capsule *c)
{
	if (!c)
		return;
	clear(svc, c);
	state_of(svc)->n.capsules--;
	dk_free(c->self, c, sizeof(*c));
}

static int set(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name, const struct dk_value *value)
{
	struct props_limits most = most_of(state_of(svc));

	return told(state_of(svc), props_set(c->self, &c->props, &most, name, value));
}

static int get(struct dk_datacapsule *svc, const struct dk_capsule *c, dk_str name, struct dk_value *ret_value)
{
	(void)svc;
	return props_get(&c->props, name, ret_value);
}

static int unset(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name)
{
	(void)svc;
	return props_unset(c->self, &c->props, name);
}

static size_t count(struct dk_datacapsule *svc, const struct dk_capsule *c)
{
	(void)svc;
	return c->props.n;
}

static bool next(struct dk_datacapsule *svc, const struct dk_capsule *c, const void **at, dk_str *ret_name,
		 struct dk_value *ret_value)
{
	const struct prop *p = *at;
	bool more = props_next(&c->props, &p, ret_name, ret_value);

	(void)svc;
	*at = p;
	return more;
}

/* ---- bytes ---- */

static size_t packed_size(struct dk_datacapsule *svc, const struct dk_capsule *c)
{
	(void)svc;
	return props_packed_size(&c->props);
}

static void pack(struct dk_datacapsule *svc, const struct dk_capsule *c, struct dk_writer *w)
{
	(void)svc;
	props_pack(&c->props, w);
}

static int unpack(struct dk_datacapsule *svc, struct dk_capsule *c, dk_slice bytes)
{
	struct props_limits most = most_of(state_of(svc));
	struct dk_cursor cursor = dk_cursor_of(bytes);
	struct props fresh = { .n = 0 };
	int rc = props_unpack(c->self, &fresh, &most, &cursor);

	if (rc == 0 && !dk_rd_done(&cursor)) {
		props_clear(c->self, &fresh);
		rc = -EPROTO;
	}
	if (rc)
		return told(state_of(svc), rc);
	replace(c, &fresh);
	return 0;
}

/* All packed bytes of c, in memory of c's owner; NULL without memory. */
static uint8_t *packed(const struct dk_capsule *c, size_t *ret_n)
{
	size_t n = props_packed_size(&c->props);
	uint8_t *bytes = dk_alloc(c->self, n);
	struct dk_writer w = dk_writer_on(bytes, n);

	props_pack(&c->props, &w);
	*ret_n = n;
	return bytes;
}

static int set_capsule(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name, const struct dk_capsule *inner)
{
	struct dk_value v;
	size_t n;
	uint8_t *bytes = packed(inner, &n);
	int rc;

	if (!bytes)
		return -ENOMEM;
	v = dk_value_capsule(dk_slice_n(bytes, n));
	rc = set(svc, c, name, &v);
	dk_free(inner->self, bytes, n);
	return rc;
}

static int get_capsule(struct dk_datacapsule *svc, const struct dk_capsule *c, dk_str name, struct dk_capsule *into)
{
	struct dk_value v;
	dk_slice bytes;
	int rc = props_get(&c->props, name, &v);

	if (rc == 0)
		rc = dk_value_get_capsule(&v, &bytes);
	return rc ? rc : unpack(svc, into, bytes);
}

/* Tried on a copy, so that a value which does not fit leaves everything as it was. */
static int import_values(struct dk_datacapsule *svc, struct dk_capsule *c, const struct dk_named_value *values, size_t n)
{
	struct props_limits most = most_of(state_of(svc));
	struct props copy = { .n = 0 };
	const struct prop *at = NULL;
	struct dk_value v;
	dk_str name;
	int rc = 0;

	while (rc == 0 && props_next(&c->props, &at, &name, &v))
		rc = props_set(c->self, &copy, &most, name, &v);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = props_set(c->self, &copy, &most, values[i].name, &values[i].value);
	if (rc) {
		props_clear(c->self, &copy);
		return told(state_of(svc), rc);
	}
	replace(c, &copy);
	return 0;
}

/* ---- JSON ---- */

static int to_json(struct dk_datacapsule *svc, const struct dk_capsule *c, struct dk_writer *w)
{
	size_t n;
	uint8_t *bytes = packed(c, &n);
	int rc;

	(void)svc;
	if (!bytes)
		return -ENOMEM;
	rc = capsule_to_json(dk_slice_n(bytes, n), w);
	dk_free(c->self, bytes, n);
	return rc;
}

/* What is far too long is not parsed: it would cost its sender nothing and this node much. */
static int from_json(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str json, char why[DK_CAPSULE_WHY])
{
	char unheard[DK_CAPSULE_WHY];
	size_t room = capsule_from_json_room(json.n);
	struct dk_writer w;
	uint8_t *bytes;
	int rc;

	if (json.n / 2 > most_of(state_of(svc)).bytes)
		return told(state_of(svc), DK_FULL);
	bytes = dk_alloc(c->self, room);
	if (!bytes)
		return -ENOMEM;
	w = dk_writer_on(bytes, room);
	rc = capsule_from_json(json, &w, why ? why : unheard);
	if (rc == 0)
		rc = w.bad ? DK_FULL : unpack(svc, c, dk_written(&w));
	else
		told(state_of(svc), rc);
	dk_free(c->self, bytes, room);
	return rc;
}

/* ---- the plugin ---- */

static int datacapsule_init(void *self)
{
	struct datacapsule *d = self;

	d->service.create = create;
	d->service.free = free_capsule;
	d->service.set = set;
	d->service.set_capsule = set_capsule;
	d->service.get = get;
	d->service.get_capsule = get_capsule;
	d->service.unset = unset;
	d->service.clear = clear;
	d->service.count = count;
	d->service.next = next;
	d->service.import_values = import_values;
	d->service.packed_size = packed_size;
	d->service.pack = pack;
	d->service.unpack = unpack;
	d->service.to_json = to_json;
	d->service.from_json = from_json;
	return 0;
}

static const struct dk_ops ops = { .init = datacapsule_init };
static const struct dk_provide provides[] = { DK_PROVIDE(struct datacapsule, service, DK_DATACAPSULE), { 0 } };
static const struct dk_option options[] = {
	DK_INT(struct datacapsule_conf, max_bytes, "max_bytes", "65536", 256, 10 << 20, "names and values of one capsule together",
	       .unit = "bytes"),
	{ 0 },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct datacapsule, capsules, "capsules made and not yet freed"),
	DK_COUNTER(struct datacapsule, refused, "bytes and JSON that were no capsule"),
	DK_COUNTER(struct datacapsule, full, "values that did not fit"),
	{ 0 },
};

DK_PLUGIN(datacapsule) = {
	DK_PLUGIN_HEAD("datacapsule", "1.0.0", "typed maps that keep their types wherever they go"),
	.self_size = sizeof(struct datacapsule),
	.conf_size = sizeof(struct datacapsule_conf),
	.provides = provides,
	.options = options,
	.counters = counters,
	.ops = &ops,
};
