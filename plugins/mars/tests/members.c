/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "members.h"

/* ---- the witness ---- */

static struct seen *note(struct witness *p)
{
	struct seen *s = &p->seen[p->seen_n];

	ck_assert_uint_lt(p->seen_n, EVENTS_MAX);
	p->seen_n++;
	s->at = dk_now(p);
	return s;
}

static void on_changed(struct witness *p, const struct dk_cluster_event *ev)
{
	struct seen *s = note(p);

	s->change = ev->change;
	s->addr = ev->node->addr;
	s->boot = ev->node->boot;
	s->state = ev->node->state;
	/* While the signal runs, the node is there to be asked for, unless a new boot has its address. */
	ck_assert(ev->node != p->cluster->self(p->cluster));
	ck_assert_ptr_eq(p->cluster->node(p->cluster, &ev->node->addr), ev->node);
}

static void on_synced(struct witness *p, const struct dk_cluster_event *ev)
{
	p->synced++;
	p->synced_at = dk_now(p);
	ck_assert_ptr_eq(ev->node, p->cluster->self(p->cluster));
	ck_assert(p->cluster->synced_once(p->cluster));
}

static void on_shared(struct witness *p, const struct dk_shared_event *ev)
{
	struct seen *s = note(p);

	memcpy(s->name, ev->name.p, ev->name.n);
	s->value = ev->value;
	s->removed = ev->removed;
}

static int on_picking(struct witness *p, struct dk_cluster_pick *ask)
{
	if (!p->pick || p->pick > ask->n)
		return 0;
	ask->choice = ask->at[p->pick - 1];
	return 1;
}

static int witness_init(void *self)
{
	struct witness *p = self;
	int rc = dk_connect(p, &p->cluster->changed, on_changed);

	rc = rc ? rc : dk_connect(p, &p->cluster->synced, on_synced);
	rc = rc ? rc : dk_connect(p, &p->cluster->shared_changed, on_shared);
	return rc ? rc : dk_filter_add(p, &p->cluster->picking, on_picking);
}

static const struct dk_need witness_needs[] = {
	DK_NEED(struct witness, cluster, DK_CLUSTER),
	DK_NEED(struct witness, carrier, DK_CARRIER),
	{ 0 },
};
static const struct dk_ops witness_ops = { .init = witness_init };

DK_PLUGIN(witness) = {
	DK_PLUGIN_HEAD("witness", "1.0.0", "writes down what the cluster tells"),
	.self_size = sizeof(struct witness),
	.needs = witness_needs,
	.ops = &witness_ops,
};

/* ---- worlds ---- */

struct dk_harness *member_start(struct members *w, size_t i, const struct member_opts *o)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_witness, NULL };
	const char *env[] = { o ? o->env : NULL, NULL };
	char config[2048], address[16], udp[64] = "", serve[64] = "";
	struct dk_harness_opts h = { .config = config, .plugins = plugins, .world = w->world, .env = env, .address = address };
	struct dk_cluster *c;

	snprintf(address, sizeof(address), "10.0.0.%zu", i + 1);
	if (i == 0)
		snprintf(serve, sizeof(serve), "serve = true; address = \"%s\";", address);
	else if (!o || !o->no_udp)
		snprintf(udp, sizeof(udp), "udp = { address = \"%s\"; };", address);
	snprintf(config, sizeof(config),
		 "plugins = { mesh = { address = \"%s\"; mesh_insecure = true; marsAddress = [%s]; %s };"
		 "mars = { %s %s }; witness = {}; %s %s };",
		 address, o && o->registries ? o->registries : "\"10.0.0.1\"", o && o->mesh ? o->mesh : "", serve,
		 o && o->mars ? o->mars : "", udp, o && o->more ? o->more : "");
	w->at[i] = dk_harness_open(&h);
	if (!w->at[i])
		return NULL;
	w->witness[i] = dk_plugin_state(dk_harness_kernel(w->at[i]), "witness");
	c = dk_harness_service(w->at[i], DK_CLUSTER_NAME);
	w->cluster[i] = c;
	w->addr[i] = c->self(c)->addr;
	if (i >= w->n)
		w->n = i + 1;
	return w->at[i];
}

void members_make(struct members *w, size_t n, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->world = dk_env_sim(seed);
	ck_assert_ptr_nonnull(w->world);
	for (size_t i = 0; i < n; i++)
		ck_assert_ptr_nonnull(member_start(w, i, NULL));
}

void member_kill(struct members *w, size_t i)
{
	dk_harness_kill(w->at[i]);
	w->at[i] = NULL;
}

void member_stop(struct members *w, size_t i)
{
	ck_assert_int_eq(dk_harness_free(w->at[i]), 0);
	w->at[i] = NULL;
}

void members_free(struct members *w)
{
	for (size_t i = w->n; i-- > 0;)
		if (w->at[i])
			member_stop(w, i);
	dk_env_free(w->world);
}

void members_run(struct members *w, uint64_t ms)
{
	dk_sim_run(w->world, ms);
}

bool members_until(struct members *w, bool (*done)(void *arg), void *arg, uint64_t limit_ms)
{
	return dk_sim_run_until(w->world, done, arg, limit_ms);
}

const struct dk_cluster_node *member_view(const struct members *w, size_t i, size_t k)
{
	return w->cluster[i]->node(w->cluster[i], &w->addr[k]);
}

bool members_agree(void *members)
{
	struct members *w = members;

	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < w->n && w->at[i]; k++) {
			const struct dk_cluster_node *node = member_view(w, i, k);
			bool alive = node && node->health == DK_ALIVE && !node->degraded;

			if (alive != (w->at[k] != NULL))
				return false;
			if (alive && (node->boot != w->witness[k]->carrier->boot ||
				      node->state != w->cluster[k]->self(w->cluster[k])->state))
				return false;
		}
	return true;
}

uint64_t member_saw(const struct members *w, size_t i, size_t k, enum dk_cluster_change change, uint64_t since)
{
	const struct witness *p = w->witness[i];

	for (size_t n = 0; n < p->seen_n; n++)
		if (p->seen[n].at >= since && p->seen[n].change == change && dk_addr_eq(&p->seen[n].addr, &w->addr[k]))
			return p->seen[n].at;
	return 0;
}

int64_t member_counter(struct members *w, size_t i, const char *name)
{
	return dk_harness_counter(w->at[i], "mars", name);
}
