/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who needs whom. Matches needs to provided services, injects the pointers, and puts k->plugins in an order in which every
 * plugin stands behind those it needs; among equals the instance name decides, so the order never depends on the config's.
 * All mistakes are told, each as a sentence that names both sides, before the boot ends.
 */
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>

enum { WHITE, GREY, BLACK };

struct graph {
	struct dk_kernel *k;
	struct dk_plugin **order;
	size_t n;
	struct dk_plugin *path[256]; /* the way down to the plugin being visited */
	size_t depth;
	int rc;
};

static bool provides(const struct dk_plugin *p, const struct dk_need *need, const struct dk_provide **ret_row)
{
	for (const struct dk_provide *v = p->desc.provides; v && v->name; v++)
		if (!strcmp(v->name, need->name)) {
			*ret_row = v;
			return v->major == need->major && v->minor >= need->minor;
		}
	return false;
}

static const char *kind_text(const struct dk_need *need)
{
	return need->kind == DK_NEED_ONE ? "needs" : "would use";
}

static void missing(struct graph *g, struct dk_plugin *p, const struct dk_need *need, const struct dk_plugin *other,
		    const struct dk_provide *row)
{
	char hint[4096];

	g->rc = DK_EXIT_CONFIG;
	if (other)
		log_kernel(g->k, DK_ERROR,
			   "%s %s service %s %u.%u or a later %u.x, but %s provides %u.%u; install versions of the two that fit "
			   "together",
			   p->instance, kind_text(need), need->name, need->major, need->minor, need->major, other->instance,
			   row->major, row->minor);
	else if (kernel_plugin_file(g->k, need->name, hint, sizeof(hint)))
		log_kernel(g->k, DK_ERROR,
			   "%s needs service %s %u.%u, and no plugin that is switched on provides it; add a section `%s = {};` to "
			   "plugins (%s is there)",
			   p->instance, need->name, need->major, need->minor, need->name, hint);
	else
		log_kernel(g->k, DK_ERROR,
			   "%s needs service %s %u.%u, and no plugin that is switched on provides it; switch on one that does "
			   "(diarkisd --plugins lists them)",
			   p->instance, need->name, need->major, need->minor);
}

static void cycle(struct graph *g, const struct dk_plugin *p)
{
	char text[2048] = "";
	size_t i = g->depth, n = 0;

	while (i > 0 && g->path[i - 1] != p)
		i--;
	for (i = i ? i - 1 : 0; i < g->depth && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s -> ", g->path[i]->instance);
	log_kernel(g->k, DK_ERROR, "plugins need each other in a circle: %s%s; one of them has to use a signal instead of a need",
		   text, p->instance);
	g->rc = DK_EXIT_CONFIG;
}

static void visit(struct graph *g, struct dk_plugin *p);

static void inject(struct graph *g, struct dk_plugin *p, const struct dk_need *need)
{
	struct dk_plugin *found = NULL, *wrong = NULL;
	const struct dk_provide *row, *found_row = NULL, *wrong_row = NULL;
	struct {
		void **at;
		size_t n;
	} list = { need->kind == DK_NEED_ALL ? arena_try(&g->k->boot, g->k->plugin_n * sizeof(void *)) : NULL, 0 };
	uint8_t *field = (uint8_t *)p->self + need->offset;

	for (size_t i = 0; i < g->k->plugin_n; i++) {
		struct dk_plugin *q = g->k->plugins[i];

		row = NULL;
		if (q == p || !provides(q, need, &row)) {
			if (row && q != p) {
				wrong = q;
				wrong_row = row;
			}
			continue;
		}
		visit(g, q);
		if (need->kind == DK_NEED_ALL) {
			if (!list.at) {
				g->rc = DK_EXIT_RUNTIME;
				return;
			}
			list.at[list.n++] = (uint8_t *)q->self + row->offset;
		} else if (found) {
			log_kernel(g->k, DK_ERROR,
				   "%s %s exactly one service %s, but both %s and %s provide it; switch one of them off",
				   p->instance, kind_text(need), need->name, found->instance, q->instance);
			g->rc = DK_EXIT_CONFIG;
		}
		found = q;
		found_row = row;
	}
	if (!found && (need->kind == DK_NEED_ONE || wrong)) {
		missing(g, p, need, wrong, wrong_row);
		return;
	}
	if (need->kind == DK_NEED_ALL)
		memcpy(field, &list, sizeof(list));
	else if (found)
		*(void **)(void *)field = (uint8_t *)found->self + found_row->offset;
}

static void visit(struct graph *g, struct dk_plugin *p)
{
	if (p->mark == BLACK)
		return;
	if (p->mark == GREY) {
		cycle(g, p);
		return;
	}
	if (g->depth == DK_ARRAY_LEN(g->path))
		return;
	p->mark = GREY;
	g->path[g->depth++] = p;
	for (const struct dk_need *need = p->desc.needs; need && need->name; need++)
		inject(g, p, need);
	g->depth--;
	p->mark = BLACK;
	p->order = (uint32_t)g->n;
	g->order[g->n++] = p;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct dk_plugin *const *)a)->instance, (*(struct dk_plugin *const *)b)->instance);
}

int graph_wire(struct dk_kernel *k)
{
	struct graph g = { .k = k, .order = calloc(k->plugin_n, sizeof(*g.order)) };

	if (!g.order)
		return DK_EXIT_RUNTIME;
	qsort(k->plugins, k->plugin_n, sizeof(*k->plugins), by_name);
	for (size_t i = 0; i < k->plugin_n; i++) {
		struct dk_plugin *p = k->plugins[i];

		for (const struct dk_provide *v = p->desc.provides; v && v->name; v++) {
			struct dk_service *svc = (void *)((uint8_t *)p->self + v->offset);

			svc->size = v->size;
			svc->major = v->major;
			svc->minor = v->minor;
			svc->provider = p;
			svc->instance = p->instance;
		}
	}
	for (size_t i = 0; i < k->plugin_n; i++)
		if (k->plugins[i] != k->app)
			visit(&g, k->plugins[i]);
	visit(&g, k->app);
	memcpy(k->plugins, g.order, k->plugin_n * sizeof(*g.order));
	free(g.order);
	return g.rc;
}
