/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/gather.h"

enum { LISTS_MAX = 64 }; /* that wait, of one room or group */

void gather_pool_init(void *self, struct dk_pool *lists, const char *what)
{
	dk_pool_init(self, lists, sizeof(struct gather_list), 0, what);
}

struct gather_list *gather_take(struct gather *g)
{
	struct gather_list *l = g->newest, *oldest = NULL;

	while (l) {
		struct gather_list *older = l->next;

		l->next = oldest;
		oldest = l;
		l = older;
	}
	g->newest = NULL;
	g->n = 0;
	return oldest;
}

/* The list that a message of this kind may join; NULL = none. */
static struct gather_list *open_list(const struct gather *g, uint8_t ver, uint16_t cmd, bool reliable, size_t need)
{
	for (struct gather_list *l = g->newest; l; l = l->next) {
		if (l->reliable != reliable)
			continue;
		if (l->ver == ver && l->cmd == cmd)
			return l->n + need <= GATHER_LIST_MAX ? l : NULL;
		if (reliable)
			return NULL;
	}
	return NULL;
}

int gather_add(struct dk_pool *lists, struct gather *g, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	size_t need = 4 + message.n;
	struct gather_list *l;
	struct dk_writer w;

	if (need > GATHER_LIST_MAX)
		return GATHER_ALONE;
	l = open_list(g, ver, cmd, reliable, need);
	if (!l) {
		if (g->n >= LISTS_MAX)
			return GATHER_FULL;
		l = dk_pool_get(lists);
		if (!l)
			return GATHER_ALONE;
		l->ver = ver;
		l->cmd = cmd;
		l->reliable = reliable;
		l->next = g->newest;
		g->newest = l;
		g->n++;
	}
	w = dk_writer_on(l->bytes + l->n, (size_t)GATHER_LIST_MAX - l->n);
	dk_wr_bytes32(&w, message);
	l->n = (uint16_t)(l->n + need);
	return 0;
}
