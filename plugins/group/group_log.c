/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was said reliably while members of this node are on their way to another one, or on their way here: for those who have not
 * heard it yet where they come from. One piece of memory, bounded; while nobody is on the way nothing is kept.
 */
#include "group_state.h"

bool group_log_wanted(const struct group *g)
{
	return g->arrival_n || g->leaving;
}

void group_log_free(struct groups *s, struct group *g)
{
	dk_free(s, g->log.bytes, g->log.cap);
	g->log = (struct group_log){ .n = 0 };
}

void group_log_trim(struct groups *s, struct group *g)
{
	if (!group_log_wanted(g) && g->log.cap)
		group_log_free(s, g);
}

/* Room for n bytes more. False: there is none. */
static bool reserve(struct groups *s, struct group_log *l, size_t n)
{
	size_t cap = l->cap ? l->cap : 1024;
	void *p;

	while (cap < l->n + n)
		cap *= 2;
	if (cap == l->cap)
		return true;
	p = cap <= (size_t)group_conf(s)->held_bytes ? dk_realloc(s, l->bytes, l->cap, cap) : NULL;
	if (!p)
		return false;
	l->bytes = p;
	l->cap = cap;
	return true;
}

void group_log_add(struct groups *s, struct group *g, const struct group_node *from, uint64_t number, uint8_t ver, uint16_t cmd,
		   dk_slice message)
{
	struct group_said said = { .origin = from->addr, .number = number, .n = (uint32_t)message.n, .cmd = cmd, .ver = ver };

	if (!reserve(s, &g->log, sizeof(said) + message.n)) {
		/* Those who leave need what waits for the tick and no more; those who come get now what there is. */
		s->n.held_dropped++;
		group_relay_flush(s, g);
		group_arrive_work(s, g, true);
		g->log.n = 0;
		if (!group_log_wanted(g) || !reserve(s, &g->log, sizeof(said) + message.n))
			return;
	}
	memcpy(g->log.bytes + g->log.n, &said, sizeof(said));
	if (message.n)
		memcpy(g->log.bytes + g->log.n + sizeof(said), message.p, message.n);
	g->log.n += sizeof(said) + message.n;
}

bool group_log_next(const struct group *g, size_t *at, struct group_said *ret_said, dk_slice *ret_message)
{
	if (*at >= g->log.n)
		return false;
	memcpy(ret_said, g->log.bytes + *at, sizeof(*ret_said));
	*ret_message = dk_slice_n(g->log.bytes + *at + sizeof(*ret_said), ret_said->n);
	*at += sizeof(*ret_said) + ret_said->n;
	return true;
}
