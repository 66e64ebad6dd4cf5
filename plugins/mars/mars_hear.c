/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other nodes say. The carrier vouches for who speaks: a record, a beat or a page of values counts only from the node that
 * it is about; records of others are hearsay, which adds nodes that were heard of lately and never takes one away.
 */
#include "mars_state.h"

#include <diarkis/plugin.h>

DK_PACKERS(MARS_MESSAGES)

/* For so long two views may differ before the table is asked for: most differences are a message on its way. */
#define DIFFER_MS 500
#define SHARE_EVERY_MS 250
#define REFUTE_EVERY_MS 1000 /* one announcement answers all who accuse at once */

static void send(struct mars *m, const struct dk_addr *to, uint16_t cmd, const struct dk_writer *w)
{
	dk_slice payload = dk_written(w);

	if (payload.n)
		m->carrier->send(m->carrier, to, DK_VER_NODE, cmd, payload, DK_UNRELIABLE);
}

static int malformed(struct mars *m)
{
	m->n.refused_malformed++;
	return 0;
}

/* ---- records ---- */

static void pull(struct mars *m, struct mars_member *member)
{
	uint64_t now = dk_now(m);

	if (member->pulled_at && now - member->pulled_at < MARS_PULL_EVERY_MS)
		return;
	member->pulled_at = now;
	mars_agent_tell(m, &member->rec.node.addr, MARS_PULL);
}

static void want_values(struct mars *m, const struct mars_member *member, const struct dk_addr *from)
{
	uint8_t buf[4];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	mars_on_want_pack(&w, member->values.seq);
	send(m, from, MARS_MSG_WANT, &w);
}

static void joined(struct mars *m, struct mars_member *member, uint64_t age)
{
	member->foreign = !mars_record_together(&m->me, &member->rec);
	mars_watch_init(&m->detector, &member->watch, dk_now(m), age);
	if (member->foreign)
		return;
	mars_view_event(m, member, DK_NODE_JOINED);
	mars_agent_tell(m, &member->rec.node.addr, 0); /* it may not know of this node yet */
	if (mars_shared_at(&m->shared, 0))
		mars_agent_share(m, &member->rec.node.addr);
}

static void changed(struct mars *m, struct mars_member *member)
{
	if (member->foreign) {
		if (member->rec.state == MARS_GONE)
			mars_table_remove(&m->table, member);
		return;
	}
	if (member->rec.state != MARS_GONE) {
		mars_view_event(m, member, DK_NODE_CHANGED);
		return;
	}
	member->rec.node.health = DK_LEFT;
	member->rec.node.degraded = false;
	member->gone_at = dk_now(m);
	mars_view_event(m, member, DK_NODE_LEFT);
}

/* Another boot of an address is there: the one before is gone for good. */
static void replace(struct mars *m, struct mars_member *old)
{
	struct dk_cluster_node *node = &old->rec.node;

	if (old->foreign) {
		mars_table_remove(&m->table, old);
		return;
	}
	if (!old->gone_at) {
		node->health = DK_DEAD;
		node->degraded = false;
		old->gone_at = dk_now(m);
		mars_view_event(m, old, DK_NODE_DIED);
	}
	old->rec.state = MARS_GONE; /* nothing newer of that boot will come */
	mars_view_event(m, old, DK_NODE_REMOVED);
	mars_table_bury(&m->table, old, dk_now(m), (uint64_t)mars_conf(m)->tombstone_s * 1000);
}

static void buried(struct mars *m, const struct mars_record *r)
{
	const struct mars_tomb *tomb = mars_table_tomb(&m->table, r->node.boot, dk_now(m));

	m->n.refused_buried++;
	if (tomb && !tomb->left) /* it was thought dead; told so, it comes back with another incarnation */
		mars_agent_beat(m, &r->node.addr, MARS_ACCUSED | MARS_REPLY, tomb->incarnation);
}

/* Takes up a record. itself: the node said it; else somebody who heard it age ms ago. Returns the member, or NULL. */
static struct mars_member *learn(struct mars *m, const struct mars_record *r, bool itself, uint64_t age)
{
	uint64_t now = dk_now(m);
	struct mars_member *member = NULL;
	char text[DK_ADDR_TEXT];

	if (r->node.boot == m->me.node.boot || dk_addr_eq(&r->node.addr, &m->me.node.addr))
		return NULL;
	if (!m->serving && !mars_record_together(&m->me, r)) {
		m->n.refused_foreign++;
		return NULL;
	}
	if (!itself && r->state == MARS_GONE)
		return NULL; /* a goodbye is said by oneself */
	if (!itself && age >= (uint64_t)mars_conf(m)->suspect_ms && !mars_table_boot(&m->table, r->node.boot))
		return NULL; /* if it lives, it will say so itself */
	for (int i = 0; i < 2; i++) {
		switch (mars_table_merge(&m->table, r, now, &member)) {
		case MARS_NEW:
			member->told_at = itself ? now : 0;
			joined(m, member, age);
			return member;
		case MARS_NEWER:
			member->told_at = itself ? now : member->told_at;
			changed(m, member);
			return mars_table_boot(&m->table, r->node.boot);
		case MARS_KNOWN:
			member->told_at = itself ? now : member->told_at;
			return member;
		case MARS_OTHER_BOOT:
			if (!itself && !member->gone_at && member->rec.node.health == DK_ALIVE) {
				pull(m, member); /* whoever runs there will say which boot it is */
				return NULL;
			}
			replace(m, member);
			break; /* and once more */
		case MARS_BURIED:
			if (itself)
				buried(m, r);
			return NULL;
		case MARS_TWO_PLACES:
			if (!m->n.refused_two_places++) {
				dk_addr_format(&r->node.addr, text);
				dk_log(m, DK_ERROR, "%s says it is a node that is known at another address; the first one counts",
				       text);
			}
			return NULL;
		case MARS_NO_ROOM:
			if (!m->n.refused_full++)
				dk_log(m, DK_ERROR, "there are more nodes than max_nodes = %lld; the others are not seen",
				       (long long)mars_conf(m)->max_nodes);
			return NULL;
		}
	}
	return NULL;
}

/* Whether the record is of the node that said it; counts those that pretend to be. */
static bool is_its_own(struct mars *m, const struct mars_record *r, const struct dk_addr *from)
{
	uint64_t boot = m->carrier->boot_of(m->carrier, from);

	if (!dk_addr_eq(&r->node.addr, from)) {
		m->n.refused_address++;
		return false;
	}
	if (boot && boot != r->node.boot) {
		m->n.refused_boot++;
		return false;
	}
	return true;
}

int mars_hear_announce(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	uint8_t flags = dk_rd_u8(&c);
	dk_slice bytes = dk_rd_bytes16(&c), buckets = dk_rd_rest(&c);
	struct mars_member *member;
	struct mars_record r;

	if (c.bad || !mars_record_read(bytes, &r))
		return malformed(m);
	m->n.announced_in++;
	if (!is_its_own(m, &r, &call->from))
		return 0;
	member = learn(m, &r, true, 0);
	if (member) {
		member->rec.node.users = r.node.users;
		mars_agent_judge(m, member);
	}
	if (flags & MARS_PULL) {
		m->n.pulls_in++;
		mars_agent_table(m, &call->from, &r, buckets);
	}
	if (flags & MARS_TO_REGISTRY)
		mars_registry_answer(m, &call->from, &r);
	return 0;
}

int mars_hear_table(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);

	m->n.tables_in++;
	while (dk_rd_left(&c)) {
		uint32_t age = dk_rd_u32(&c);
		dk_slice bytes = dk_rd_bytes16(&c);
		struct mars_record r;

		if (c.bad || !mars_record_read(bytes, &r))
			return malformed(m);
		if (!dk_addr_eq(&r.node.addr, &call->from))
			learn(m, &r, false, age);
		else if (is_its_own(m, &r, &call->from))
			learn(m, &r, true, 0);
	}
	return c.bad ? malformed(m) : 0;
}

/* ---- beats ---- */

struct beat {
	uint8_t flags;
	uint64_t boot, digest;
	uint32_t incarnation, seq, value_seq, users, shared, accused;
};

static void compare(struct mars *m, struct mars_member *member, const struct beat *b)
{
	const struct mars_record *r = &member->rec;
	uint64_t now = dk_now(m);
	bool same_kind = strcmp(r->node.version, m->me.node.version) == 0 && r->proto_min == m->me.proto_min &&
			 r->proto_max == m->me.proto_max && r->strict == m->me.strict;

	if (b->incarnation > r->node.incarnation || (b->incarnation == r->node.incarnation && b->seq > r->seq))
		pull(m, member);
	/* Nodes of different kinds may well see different ones. */
	if (!same_kind || b->digest == m->digest) {
		member->differs_at = 0;
		if (same_kind)
			mars_view_settle(m, true);
	} else if (!member->differs_at) {
		member->differs_at = now;
	} else if (now - member->differs_at >= DIFFER_MS) {
		member->differs_at = now;
		pull(m, member);
	}
	if (m->full && b->value_seq > member->values.seq)
		want_values(m, member, &r->node.addr);
	if (b->shared != mars_shared_digest(&m->shared) && now - member->shared_at >= SHARE_EVERY_MS) {
		member->shared_at = now;
		mars_agent_share(m, &r->node.addr);
	}
}

static void accused(struct mars *m, uint32_t incarnation)
{
	uint64_t now = dk_now(m);

	if (m->refuted_at && now - m->refuted_at < REFUTE_EVERY_MS)
		return;
	if (!mars_refute(&m->me.node.incarnation, incarnation))
		return;
	m->refuted_at = now;
	m->n.refuted++;
	dk_log(m, DK_NOTICE, "another node has not heard this one for a while and was told otherwise");
	mars_agent_announce(m);
}

int mars_hear_beat(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	struct beat b = { .flags = dk_rd_u8(&c) };
	struct mars_member *member;

	b.boot = dk_rd_u64(&c);
	b.incarnation = dk_rd_u32(&c);
	b.seq = dk_rd_u32(&c);
	b.value_seq = dk_rd_u32(&c);
	b.users = dk_rd_u32(&c);
	b.digest = dk_rd_u64(&c);
	b.shared = dk_rd_u32(&c);
	b.accused = dk_rd_u32(&c);
	if (!dk_rd_done(&c))
		return malformed(m);
	m->n.beats_in++;
	if (b.flags & MARS_ACCUSED)
		accused(m, b.accused);
	if (b.flags & MARS_REPLY)
		mars_agent_beat(m, &call->from, 0, 0);
	member = mars_table_find(&m->table, &call->from);
	if (!member || member->rec.node.boot != b.boot) {
		const struct mars_tomb *tomb = mars_table_tomb(&m->table, b.boot, dk_now(m));

		if (!tomb || !tomb->left)
			mars_agent_tell(m, &call->from, MARS_PULL);
		return 0;
	}
	if (member->foreign || member->rec.state == MARS_GONE)
		return 0;
	mars_agent_judge(m, member);
	member->rec.node.users = b.users;
	member->picked = 0;
	compare(m, member, &b);
	return 0;
}

void mars_hear_forget(struct mars *m, struct mars_member *member)
{
	if (!member->foreign) {
		if (!member->gone_at)
			mars_view_event(m, member, DK_NODE_LEFT);
		mars_view_event(m, member, DK_NODE_REMOVED);
	}
	mars_table_remove(&m->table, member);
}

/* ---- who heard whom ---- */

int mars_hear_ask(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	uint64_t boot = dk_rd_u64(&c), heard;
	const struct mars_member *about;
	uint8_t buf[12];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!dk_rd_done(&c))
		return malformed(m);
	m->n.asks_in++;
	about = mars_table_boot(&m->table, boot);
	if (!about || !mars_detector_may_vouch(&m->detector, dk_now(m)))
		return 0;
	heard = mars_agent_heard(m, about);
	if (!heard || dk_now(m) - heard >= (uint64_t)mars_conf(m)->evidence_ms)
		return 0;
	mars_on_age_pack(&w, boot, (uint32_t)(dk_now(m) - heard));
	send(m, &call->from, MARS_MSG_AGE, &w);
	m->n.ages_out++;
	return 0;
}

int mars_hear_age(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	uint64_t boot = dk_rd_u64(&c);
	uint32_t age = dk_rd_u32(&c);
	struct mars_member *about;

	if (!dk_rd_done(&c))
		return malformed(m);
	m->n.ages_in++;
	about = mars_table_boot(&m->table, boot);
	if (about && !about->foreign && about->rec.state != MARS_GONE)
		mars_watch_evidence(&m->detector, &about->watch, dk_now(m), age);
	return 0;
}

/* ---- values and shared data ---- */

int mars_hear_want(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	uint8_t buf[DK_CARRIER_DATAGRAM_MAX], rows[DK_CARRIER_DATAGRAM_MAX - 32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), page = dk_writer_on(rows, sizeof(rows));
	uint32_t since = dk_rd_u32(&c), up_to;

	if (!dk_rd_done(&c))
		return malformed(m);
	if (since >= m->values.seq)
		return 0;
	up_to = mars_values_write(&m->values, since, &page);
	mars_on_values_of_pack(&w, m->me.node.boot, since, up_to, dk_written(&page));
	send(m, &call->from, MARS_MSG_VALUES, &w);
	return 0;
}

int mars_hear_values(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	uint64_t boot = dk_rd_u64(&c);
	uint32_t since = dk_rd_u32(&c), up_to = dk_rd_u32(&c);
	dk_slice page = dk_rd_rest(&c);
	struct mars_member *member;
	int rc;

	if (c.bad)
		return malformed(m);
	member = mars_table_find(&m->table, &call->from);
	if (!member || member->rec.node.boot != boot || member->foreign || !m->full)
		return 0;
	rc = mars_values_read(&member->values, m, since, up_to, page);
	if (rc < 0)
		return malformed(m);
	if (rc) {
		if (member->rec.value_seq < up_to)
			member->rec.value_seq = up_to;
		mars_view_event(m, member, DK_NODE_CHANGED);
		want_values(m, member, &call->from); /* in case there is more: silence if not */
	}
	return 0;
}

int mars_hear_shared(struct mars *m, struct dk_call *call)
{
	struct mars_shared_row before[DK_SHARED_MAX];
	size_t n = mars_view_shared_copy(m, before);
	const struct mars_member *member = mars_table_find(&m->table, &call->from);

	if (!member || member->foreign)
		return 0;
	if (mars_shared_read(&m->shared, call->payload, dk_now(m)) < 0)
		malformed(m);
	mars_view_shared(m, before, n);
	return 0;
}
