/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin notifier: what the server has to tell everybody. This file has the service, the loops that load notices, and the
 * phases; diarkis/notifier.h says what a notice is. It keeps nothing on disk: what no node of a running cluster knows is gone.
 */
#include <errno.h>

#include "notifier_state.h"

enum { TICK_MS = 1000 };

static const struct dk_command notifier_commands[] = { NOTIFIER_COMMANDS(DK_CMD_ROW, DK_RAW_ROW){ .name = NULL } };

static struct notifiers *notifiers_of(struct dk_notifier *svc)
{
	return dk_container_of(svc, struct notifiers, svc);
}

/* ---- notices ---- */

static void gauge(struct notifiers *s)
{
	s->n.live = s->notices.live_n;
	s->n.remembered = s->notices.ended_n;
}

int notifier_take(struct notifiers *s, const struct dk_notice *n, bool local)
{
	int rc = notices_add(&s->notices, n, local, dk_now(s));

	if (rc == 0)
		s->n.taken++;
	else if (rc == DK_EXISTS)
		s->n.known++;
	else if (rc == DK_FULL)
		s->n.full++;
	gauge(s);
	return rc;
}

int notifier_delete(struct notifiers *s, dk_str id, uint64_t left_ms)
{
	int rc = notices_delete(&s->notices, id, left_ms, dk_now(s));

	if (rc == 0)
		s->n.deleted++;
	gauge(s);
	return rc;
}

static int svc_notify(struct dk_notifier *svc, const struct dk_notice *n, bool local)
{
	struct notifiers *s = notifiers_of(svc);
	const struct notice_record r = { .notice = *n };
	int rc = notifier_take(s, n, local);

	if (rc == 0 && !local)
		notifier_share(s, &r);
	return rc;
}

static int svc_remove(struct dk_notifier *svc, dk_str id)
{
	struct notifiers *s = notifiers_of(svc);
	struct notice_record r = { .notice = { .id = id }, .deleted = true };
	int rc;

	if (!id.n || id.n > DK_NOTICE_ID_MAX)
		return DK_NOT_FOUND;
	rc = notifier_delete(s, id, 0);
	r.notice.ttl_ms = (uint32_t)notices_left(&s->notices, id, dk_now(s));
	if (rc >= 0 && r.notice.ttl_ms)
		notifier_share(s, &r);
	return rc;
}

static size_t svc_count(struct dk_notifier *svc)
{
	return notifiers_of(svc)->notices.live_n;
}

/* ---- loops ---- */

static void loop_free(struct notifiers *s, struct notifier_loop *l)
{
	dk_timer_stop(&l->timer);
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	dk_free(s, l, sizeof(*l) + l->name_n);
}

static void loop_undo(void *self, void *arg)
{
	struct notifier_loop *l = arg;

	(void)self;
	loop_free(l->s, l);
}

static void on_loop(void *self, struct dk_timer *t)
{
	struct notifier_loop *l = dk_container_of(t, struct notifier_loop, timer);
	struct dk_notice n = { .ver = DK_NOTICE_VER, .cmd = DK_NOTICE_CMD };
	struct notifiers *s = self;
	int rc;

	if (l->load(l->self, l->arg, &n))
		return;
	if (!n.name.n)
		n.name = dk_str_n(l->name, l->name_n);
	rc = notifier_take(s, &n, true);
	if (rc && rc != DK_EXISTS)
		dk_log(s, DK_WARN, "the service \"" DK_STR_FMT "\" has a notice that cannot be told (%d)", DK_STR_ARG(n.name), rc);
}

static int svc_serve(struct dk_notifier *svc, void *self, dk_str name, uint32_t interval_ms, dk_notice_loader *load, void *arg)
{
	struct notifiers *s = notifiers_of(svc);
	struct notifier_loop *l;

	if (name.n > DK_NOTICE_ID_MAX)
		return DK_TOO_LONG;
	if (!interval_ms)
		return DK_NOTIFIER_BAD;
	l = dk_alloc(s, sizeof(*l) + name.n);
	if (!l)
		return -ENOMEM;
	l->s = s;
	l->self = self;
	l->arg = arg;
	l->load = load;
	l->name_n = (uint8_t)name.n;
	if (name.n)
		memcpy(l->name, name.p, name.n);
	if (dk_own(self, loop_undo, l, "a service of notices") < 0) {
		dk_free(s, l, sizeof(*l) + name.n);
		return -ENOMEM;
	}
	l->next = s->loops;
	l->link = &s->loops;
	if (l->next)
		l->next->link = &l->next;
	s->loops = l;
	dk_timer_start(s, &l->timer, 0, interval_ms, on_loop);
	return 0;
}

/* ---- for operators ---- */

static int reply(struct dk_call *call, int rc)
{
	switch (rc) {
	case 0:
		return dk_answer(call, dk_slice_n(NULL, 0));
	case DK_EXISTS:
		return dk_refuse(call, DK_E_PARAMS, "there is, or was not long ago, a notice of that id");
	case DK_FULL:
		return dk_refuse(call, DK_E_PARAMS, "there are as many notices as this node keeps");
	case DK_TOO_LONG:
		return dk_refuse(call, DK_E_PARAMS, "an id and a name have at most %d bytes, a message %d", DK_NOTICE_ID_MAX,
				 DK_NOTICE_MESSAGE_MAX);
	case DK_NOT_FOUND:
		return dk_refuse(call, DK_E_PARAMS, "this node knows no notice of that id");
	case DK_NOTIFIER_BAD:
		return dk_refuse(call, DK_E_PARAMS, "a notice has an id, a message, and a time to live of at most %u ms",
				 DK_NOTICE_TTL_MAX);
	default:
		return rc;
	}
}

int notifier_on_notify(struct notifiers *s, struct dk_call *call, dk_str id, dk_str name, uint32_t ttl_ms, bool reliable,
		       dk_slice message)
{
	const struct dk_notice n = { .id = id,
				     .name = name,
				     .ver = DK_NOTICE_VER,
				     .cmd = DK_NOTICE_CMD,
				     .message = message,
				     .ttl_ms = ttl_ms,
				     .reliable = reliable };

	return reply(call, svc_notify(&s->svc, &n, false));
}

int notifier_on_remove(struct notifiers *s, struct dk_call *call, dk_str id)
{
	return reply(call, svc_remove(&s->svc, id));
}

/* ---- phases ---- */

static void limits(struct notifiers *s)
{
	const struct notifier_conf *c = notifier_conf(s);

	s->notices.max = (uint32_t)c->max_notices;
	s->notices.max_bytes = (uint64_t)c->max_bytes;
	s->notices.max_ids = (uint32_t)c->max_ids;
	s->notices.remember_ms = (uint64_t)c->remember_s * 1000;
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct notifiers *s = self;

	(void)t;
	s->n.ended += notices_sweep(&s->notices, dk_now(s));
	gauge(s);
}

static int init(void *self)
{
	struct notifiers *s = self;
	int rc;

	s->svc.notify = svc_notify;
	s->svc.remove = svc_remove;
	s->svc.serve = svc_serve;
	s->svc.count = svc_count;
	notices_init(&s->notices, s);
	limits(s);
	rc = notifier_tell_init(s);
	return rc ? rc : notifier_share_init(s);
}

static int start(void *self)
{
	struct notifiers *s = self;

	dk_timer_start(s, &s->tick, TICK_MS, TICK_MS, on_tick);
	notifier_share_start(s);
	return 0;
}

static void reload(void *self, const void *old)
{
	(void)old;
	limits(self);
}

static void fini(void *self)
{
	struct notifiers *s = self;

	notifier_tell_fini(s);
	notices_fini(&s->notices);
}

/* ---- what the plugin is ---- */

static const struct dk_provide provides[] = { DK_PROVIDE(struct notifiers, svc, DK_NOTIFIER), { 0 } };
static const struct dk_need needs[] = { DK_NEED(struct notifiers, user, DK_USER),
					DK_WANT(struct notifiers, carrier, DK_CARRIER),
					DK_WANT(struct notifiers, cluster, DK_CLUSTER),
					{ 0 } };
static const struct dk_option options[] = {
	DK_INT(struct notifier_conf, max_notices, "max_notices", "256", 1, 4096, "notices that live at most",
	       .flags = DK_RELOADABLE),
	DK_INT(struct notifier_conf, max_bytes, "max_bytes", "1048576", 1024, 1 << 26, "what they may take together",
	       .unit = "bytes", .flags = DK_RELOADABLE),
	DK_INT(struct notifier_conf, max_ids, "max_ids", "10000", 16, 1000000,
	       "ids of notices that ended, kept so that none is told twice; beyond it the oldest is forgotten",
	       .flags = DK_RELOADABLE),
	DK_INT(struct notifier_conf, remember_s, "remember_s", "600", 1, 86400, "for how long", .unit = "s",
	       .flags = DK_RELOADABLE),
	DK_INT(struct notifier_conf, compare_ms, "compare_ms", "5000", 100, 3600000,
	       "how often another node is asked whether it knows other notices", .unit = "ms", .flags = DK_RELOADABLE),
	{ .name = NULL },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct notifiers, live, "notices that live"),
	DK_GAUGE(struct notifiers, remembered, "ids of notices that ended"),
	DK_COUNTER(struct notifiers, taken, "notices that came, from here and from other nodes"),
	DK_COUNTER(struct notifiers, known, "notices whose id was known already"),
	DK_COUNTER(struct notifiers, full, "notices refused for a limit"),
	DK_COUNTER(struct notifiers, deleted, "notices deleted before their time"),
	DK_COUNTER(struct notifiers, ended, "notices whose time was over"),
	DK_COUNTER(struct notifiers, noted, "times one was told in the answer to a heartbeat"),
	DK_COUNTER(struct notifiers, pushed, "times one was pushed reliably"),
	DK_COUNTER(struct notifiers, lost, "times a connection took no push"),
	DK_COUNTER(struct notifiers, filtered, "times one was kept from a user by a filter"),
	DK_COUNTER(struct notifiers, shared, "notices and deletions sent to all other nodes"),
	DK_COUNTER(struct notifiers, compared, "times another node was asked whether it knows others"),
	DK_COUNTER(struct notifiers, differed, "times a node that asked was told all"),
	DK_COUNTER(struct notifiers, malformed, "messages of other nodes that cannot be read"),
	{ .name = NULL },
};
static const struct dk_ops ops = { .init = init, .start = start, .reload = reload, .fini = fini };

DK_PLUGIN(notifier) = {
	DK_PLUGIN_HEAD("notifier", "1.0.0", "notices: what the server has to tell everybody"),
	.self_size = sizeof(struct notifiers),
	.conf_size = sizeof(struct notifier_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.commands = notifier_commands,
	.counters = counters,
	.ops = &ops,
};
