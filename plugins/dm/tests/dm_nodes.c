/* SPDX-License-Identifier: Apache-2.0 */
#include "dm_nodes.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char events[65536];

void event(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

const char *happened(void)
{
	static char text[sizeof(events)];

	memcpy(text, events, sizeof(text));
	events[0] = '\0';
	return text;
}

/* ---- the probe ---- */

static unsigned at(const struct probe *p)
{
	return dk_node_addr(p)->ip[3];
}

static void noted(const struct probe *p, const char *what, const struct dk_dm_message *q)
{
	char kind[16] = "";

	if (p->wordy)
		snprintf(kind, sizeof(kind), " %u.%u", q->ver, q->cmd);
	event("%u %s " DK_STR_FMT ">" DK_STR_FMT "%s " DK_STR_FMT "\n", at(p), what, DK_STR_ARG(q->from),
	      DK_STR_ARG(p->user->uid(p->user, q->to)), kind, DK_STR_ARG(dk_str_of(q->message)));
}

static int on_receiving(struct probe *p, struct dk_dm_message *q)
{
	noted(p, "received", q);
	return p->veto;
}

static int on_rewriting(struct probe *p, struct dk_dm_message *q)
{
	if (p->wordy)
		noted(p, "rewriting", q);
	if (p->rewrite)
		q->message = dk_slice_of(dk_str_c(p->rewrite));
	return 0;
}

/* A second listener: whatever the first one made of it, the last one wins. */
static int on_rewriting_last(struct probe *p, struct dk_dm_message *q)
{
	if (p->wordy)
		noted(p, "rewriting last", q);
	if (p->drop)
		q->message.n = 0;
	return 0;
}

static int on_parting(struct probe *p, struct dk_dm_parting *q)
{
	char kind[16] = "";

	if (p->wordy)
		snprintf(kind, sizeof(kind), " %u.%u", q->ver, q->cmd);
	event("%u parting " DK_STR_FMT " from " DK_STR_FMT "%s\n", at(p), DK_STR_ARG(p->user->uid(p->user, q->user)),
	      DK_STR_ARG(q->peer), kind);
	q->message = dk_slice_of(dk_str_c(p->parting));
	return 0;
}

static void on_cleared(struct probe *p, const struct dk_dm_cleared *ev)
{
	event("%u cleared " DK_STR_FMT " of " DK_STR_FMT "\n", at(p), DK_STR_ARG(ev->uid),
	      DK_STR_ARG(p->user->uid(p->user, ev->user)));
}

static int probe_init(void *self)
{
	struct probe *p = self;
	int rc = dk_filter_add(p, &p->dm->receiving, on_receiving);

	if (rc == 0)
		rc = dk_filter_add(p, &p->dm->rewriting, on_rewriting);
	if (rc == 0)
		rc = dk_filter_add(p, &p->dm->rewriting, on_rewriting_last);
	if (rc == 0)
		rc = dk_filter_add(p, &p->dm->parting, on_parting);
	if (rc == 0)
		rc = dk_connect(p, &p->dm->cleared, on_cleared);
	return rc;
}

static const struct dk_need needs[] = { DK_NEED(struct probe, user, DK_USER), DK_NEED(struct probe, dm, DK_DM), { 0 } };
static const struct dk_ops ops = { .init = probe_init };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1", "listens"),
	.self_size = sizeof(struct probe),
	.needs = needs,
	.ops = &ops,
};

void probe_done(void *self, void *arg, int rc)
{
	event("%u done %s %d\n", at(self), (const char *)arg, rc);
}

struct probe *probe_of(unsigned node)
{
	return dk_plugin_state(dk_harness_kernel(fabric[node].h), "probe");
}

/* ---- nodes ---- */

void dm_open(unsigned n, uint64_t seed, const char *dm)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };
	char more[512];

	events[0] = '\0';
	snprintf(more, sizeof(more), "dive = { }; dm = { storageTargetNodeType = \"MEM\"; %s }; probe = { };", dm);
	fabric_open(n, seed, "", plugins, more);
	fabric_run(n > 1 ? 1000 : 4000); /* a node that sees no other one waits */
}

int64_t dm_count(unsigned node, const char *counter)
{
	int64_t n = dk_harness_counter(fabric[node].h, "dm", counter);

	ck_assert_msg(n != INT64_MIN, "there is no counter %s", counter);
	return n;
}

static void on_moved(void *self, void *arg, dk_id user, int err)
{
	(void)arg;
	(void)user;
	if (err)
		event("%u stays %d\n", at(self), err);
}

int dm_move(struct player *p, unsigned node)
{
	struct fabric_node *n = &fabric[p->node];

	return n->users->move(n->users, probe_of(p->node), player_user(p), &fabric[node].addr, dk_str_n(NULL, 0),
			      dk_slice_n(NULL, 0), on_moved, NULL);
}

/* ---- what clients say ---- */

static void say(struct player *p, uint16_t cmd, const char *to, const char *text)
{
	uint8_t buf[1024];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd != DM_CMD_CONNECT)
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(text)));
	if (cmd == DM_CMD_SEND)
		dk_wr_u8(&w, 1);
	dk_wr_bytes16(&w, dk_slice_of(dk_str_c(to)));
	player_send(p, DM_VER, cmd, dk_written(&w));
}

void dm_send(struct player *p, const char *to, const char *text)
{
	say(p, DM_CMD_SEND, to, text);
}

void dm_connect(struct player *p, const char *to)
{
	say(p, DM_CMD_CONNECT, to, NULL);
}

void dm_disconnect(struct player *p, const char *to, const char *text)
{
	say(p, DM_CMD_DISCONNECT, to, text);
}
