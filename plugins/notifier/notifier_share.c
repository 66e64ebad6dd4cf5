/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices of other nodes. Who has a new one sends it to all that it sees. For nodes that join later, and for messages that were
 * lost, each node asks another one now and then, by chance, whether it knows something else, and gets all of it if so; a node
 * that has just seen others asks at once. So what one node knows, all know in the end.
 */
#include <errno.h>

#include "notifier_state.h"

enum { SOON_MS = 100 };

static bool alone(const struct notifiers *s)
{
	return !s->carrier || !s->cluster;
}

/* ---- telling the others ---- */

static bool there(const struct dk_cluster_node *n)
{
	return n->health == DK_ALIVE || n->health == DK_SUSPECT;
}

void notifier_share(struct notifiers *s, const struct notice_record *r)
{
	size_t cap = notice_record_size(r), n = 0, count = 0;
	const struct dk_cluster_node *node;
	struct dk_addr *to;
	struct dk_writer w;
	uint32_t slot = 0;

	if (alone(s))
		return;
	while ((node = s->cluster->next(s->cluster, &slot)))
		count += there(node);
	to = dk_scratch(s, count * sizeof(*to) + 1);
	w = dk_writer_on(dk_scratch(s, cap), cap);
	if (!count || !to || w.bad)
		return; /* they will ask */
	slot = 0;
	while (n < count && (node = s->cluster->next(s->cluster, &slot)))
		if (there(node))
			to[n++] = node->addr;
	notice_record_write(&w, r);
	s->carrier->send_many(s->carrier, to, n, 0, DK_VER_NODE, NOTIFIER_CMD_TAKE, dk_written(&w), DK_RELIABLE);
	s->n.shared++;
}

/* ---- what others say ---- */

static int take_all(struct notifiers *s, dk_slice records)
{
	struct dk_cursor c = dk_cursor_of(records);
	struct notice_record r;

	while (notice_record_next(&c, &r)) {
		if (r.deleted)
			notifier_delete(s, r.notice.id, r.notice.ttl_ms);
		else
			notifier_take(s, &r.notice, false);
	}
	if (!c.bad)
		return 0;
	s->n.malformed++;
	return -EPROTO;
}

int notifier_on_take(struct notifiers *s, struct dk_call *call, dk_slice records)
{
	(void)call;
	return take_all(s, records);
}

int notifier_on_compare(struct notifiers *s, struct dk_call *call, uint64_t digest)
{
	uint64_t now = dk_now(s);
	struct dk_writer w;
	size_t n;
	int rc;

	if (notices_digest(&s->notices, now) == digest)
		return notifier_on_compare_answer(call, dk_slice_n(NULL, 0));
	n = notices_size(&s->notices, now);
	w = dk_writer_on(dk_alloc(s, n), n);
	if (!w.start)
		return -ENOMEM;
	notices_write(&s->notices, now, &w);
	s->n.differed++;
	rc = notifier_on_compare_answer(call, dk_written(&w));
	dk_free(s, w.start, n);
	return rc;
}

/* ---- asking ---- */

static void ask_soon(struct notifiers *s)
{
	if (!alone(s))
		dk_timer_start(s, &s->compare, SOON_MS + dk_chance(s) % SOON_MS, 0, s->compare.fn);
}

/* dk_carrier_done_fn */
static void compared(void *self, void *arg, int err, int status, dk_slice body)
{
	struct notifiers *s = self;

	(void)arg;
	s->comparing = 0;
	if (!err && status == DK_STATUS_OK)
		take_all(s, body);
}

/* One of the others, each as likely. */
static bool choose(struct notifiers *s, struct dk_addr *ret_node)
{
	const struct dk_cluster_node *n;
	uint32_t slot = 0, seen = 0;

	while ((n = s->cluster->next(s->cluster, &slot)))
		if (there(n) && dk_chance(s) % ++seen == 0)
			*ret_node = n->addr;
	return seen > 0;
}

static void on_compare(void *self, struct dk_timer *t)
{
	struct notifiers *s = self;
	uint32_t ms = (uint32_t)notifier_conf(s)->compare_ms;
	uint8_t buf[8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_addr node;

	dk_timer_start(s, t, ms - ms / 8 + dk_chance(s) % (ms / 4 + 1), 0, on_compare);
	if (s->comparing || !choose(s, &node))
		return;
	notifier_on_compare_pack(&w, notices_digest(&s->notices, dk_now(s)));
	if (s->carrier->request(s->carrier, s, &node, DK_VER_NODE, NOTIFIER_CMD_COMPARE, dk_written(&w), 0, compared, NULL,
				&s->comparing) == 0)
		s->n.compared++;
}

static void on_changed(struct notifiers *s, const struct dk_cluster_event *ev)
{
	if (ev->change == DK_NODE_JOINED || ev->change == DK_NODE_RECOVERED)
		ask_soon(s);
}

int notifier_share_init(struct notifiers *s)
{
	return alone(s) ? 0 : dk_connect(s, &s->cluster->changed, on_changed);
}

void notifier_share_start(struct notifiers *s)
{
	s->compare.fn = on_compare;
	ask_soon(s);
}
