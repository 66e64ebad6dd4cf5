/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which nodes hold a storage, as this node sees it, and who of them should own which bucket. That somebody should is no more than a
 * wish: dive_claim.c and dive_move.c make it so, one after the other, and until then who owns a bucket goes on owning it.
 *
 * A node holds a storage when it has an endpoint of the storage's type, is there, and is not OFFLINE.
 */
#include "dive_state.h"

static bool of_type(struct dives *d, const struct dive_storage *st, const struct dk_cluster_node *n)
{
	const struct dk_cluster_node *self = d->cluster->self(d->cluster);
	dk_str type = dk_str_c(st->type);

	if (!type.n && self->endpoint_n)
		type = dk_str_c(self->endpoints[0].type);
	if (!type.n)
		return !n->endpoint_n;
	return d->cluster->endpoint(d->cluster, n, type, dk_str_n(NULL, 0)) != NULL;
}

static bool holds(struct dives *d, const struct dive_storage *st, const struct dk_cluster_node *n)
{
	return dive_there(n) && n->state != DK_OFFLINE && of_type(d, st, n);
}

static bool this_holds(struct dives *d, const struct dive_storage *st)
{
	if (dive_alone(d))
		return true;
	return d->up && dk_node_state(d) != DK_OFFLINE && of_type(d, st, d->cluster->self(d->cluster));
}

/* Order of nodes does not count, and neither does who is asked first. */
static uint64_t add_to_mark(uint64_t mark, uint64_t node)
{
	return mark + dive_hrw_weight(node, 0) * 2 + 1;
}

uint64_t dive_view_everybody(struct dives *d)
{
	const struct dk_cluster_node *n;
	uint64_t mark = add_to_mark(0, dive_hrw_node(dk_node_addr(d)) ^ d->carrier->boot);
	uint32_t slot = 0;

	while ((n = d->cluster->next(d->cluster, &slot)))
		if (dive_there(n))
			mark = add_to_mark(mark, dive_hrw_node(&n->addr) ^ n->boot);
	return mark;
}

static bool add(struct dives *d, struct dive_storage *st, const struct dk_addr *addr)
{
	if (st->node_n == st->node_cap) {
		size_t cap = st->node_cap ? st->node_cap * 2 : 8;
		struct dk_addr *nodes = dk_realloc(d, st->nodes, st->node_cap * sizeof(*nodes), cap * sizeof(*nodes));
		uint64_t *weights;

		if (!nodes)
			return false;
		st->nodes = nodes;
		weights = dk_realloc(d, st->weights, st->node_cap * sizeof(*weights), cap * sizeof(*weights));
		if (!weights) {
			/* as many as before, so that both are of one length */
			nodes = dk_realloc(d, st->nodes, cap * sizeof(*nodes), st->node_cap * sizeof(*nodes));
			st->nodes = nodes ? nodes : st->nodes;
			return false;
		}
		st->weights = weights;
		st->node_cap = cap;
	}
	st->nodes[st->node_n] = *addr;
	st->weights[st->node_n++] = dive_hrw_node(addr);
	return true;
}

static uint64_t mark_of(struct dives *d, struct dive_storage *st)
{
	uint64_t mark = this_holds(d, st) ? add_to_mark(1, 1) : 1;
	const struct dk_cluster_node *n;
	uint32_t slot = 0;

	while (!dive_alone(d) && (n = d->cluster->next(d->cluster, &slot)))
		if (holds(d, st, n))
			mark = add_to_mark(mark, dive_hrw_node(&n->addr) ^ n->boot); /* one that began anew has nothing */
	return mark;
}

static uint16_t second(const struct dive_storage *st, uint16_t bucket)
{
	uint16_t best = DIVE_NOBODY, first = st->owners[bucket];

	for (uint16_t i = 0; i < st->node_n; i++)
		if (i != first &&
		    (best == DIVE_NOBODY || dive_hrw_weight(st->weights[i], bucket) > dive_hrw_weight(st->weights[best], bucket)))
			best = i;
	return best;
}

void dive_view_refresh(struct dives *d, struct dive_storage *st)
{
	const struct dk_cluster_node *n;
	uint64_t mark = mark_of(d, st);
	struct dk_dive_nodes ev;
	uint32_t slot = 0;

	if (mark == st->mark)
		return;
	st->node_n = 0;
	st->mine = this_holds(d, st) && add(d, st, dk_node_addr(d));
	while (!dive_alone(d) && (n = d->cluster->next(d->cluster, &slot)))
		if (holds(d, st, n) && !add(d, st, &n->addr))
			return; /* no memory: again with the next look */
	for (uint16_t b = 0; b < DIVE_BUCKETS; b++) {
		st->owners[b] = dive_hrw_owner(st->weights, st->node_n, b);
		st->seconds[b] = second(st, b);
		st->buckets[b].retry_ms = 0;
	}
	st->claim_ms = 0;
	st->calm = false;
	st->mark = mark;
	ev = (struct dk_dive_nodes){ dk_str_c(st->name), st->node_n };
	dk_emit(&d->svc.nodes_changed, &ev);
}

bool dive_view_mine(const struct dive_storage *st, uint16_t bucket)
{
	return st->mine && st->owners[bucket] == 0;
}

const struct dk_addr *dive_view_other(const struct dive_storage *st, uint16_t bucket)
{
	uint16_t i = st->owners[bucket];

	return i >= st->node_n || (st->mine && i == 0) ? NULL : &st->nodes[i];
}

const struct dk_addr *dive_view_backup(const struct dive_storage *st, uint16_t bucket)
{
	uint16_t i = dive_view_mine(st, bucket) ? st->seconds[bucket] : st->owners[bucket];

	return i >= st->node_n ? NULL : &st->nodes[i];
}

bool dive_view_second(const struct dive_storage *st, uint16_t bucket)
{
	return st->mine && st->seconds[bucket] == 0;
}

void dive_view_fini(struct dive_storage *st)
{
	dk_free(st->dives, st->nodes, st->node_cap * sizeof(*st->nodes));
	dk_free(st->dives, st->weights, st->node_cap * sizeof(*st->weights));
}
