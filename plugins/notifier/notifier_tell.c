/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has heard what. Notices are numbered as they come, so for each user one number says it all: everything up to it is told, or
 * is not for that user. Numbers are this node's own; a user who comes from another one brings the marks of what it heard there.
 *
 * Runs with every sign of life of every client: nothing is allocated, and a user who has heard all costs a comparison. The note is
 * the same bytes for everybody. A user who is on its way to another node is told nothing meanwhile, as that node would not know.
 */
#include <errno.h>

#include "notifier_state.h"

enum { PAST_MAX = 4096, PAST_SIZE = 8 + 4 };

static struct notifier_ear *ear_of(struct notifiers *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user);
	struct notifier_ear *e = slot < s->ear_n ? &s->ears[slot] : NULL;

	return e && e->user == user ? e : NULL;
}

static size_t past_size(uint32_t n)
{
	return sizeof(struct notifier_past) + n * sizeof(((struct notifier_past *)NULL)->at[0]);
}

static void ear_clear(struct notifiers *s, struct notifier_ear *e)
{
	if (e->past)
		dk_free(s, e->past, past_size(e->past->n));
	*e = (struct notifier_ear){ .user = 0 };
}

static struct notifier_ear *ear_new(struct notifiers *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user);

	if (slot >= s->ear_n) {
		size_t n = s->ear_n ? s->ear_n : 64;
		struct notifier_ear *ears;

		while (n <= slot)
			n *= 2;
		ears = dk_realloc(s, s->ears, s->ear_n * sizeof(*ears), n * sizeof(*ears));
		if (!ears)
			return NULL;
		s->ears = ears;
		s->ear_n = n;
	}
	ear_clear(s, &s->ears[slot]);
	s->ears[slot].user = user;
	return &s->ears[slot];
}

/* ---- telling ---- */

static bool heard_elsewhere(const struct notifier_ear *e, uint64_t mark)
{
	for (uint32_t i = 0; e->past && i < e->past->n; i++)
		if (e->past->at[i].mark == mark)
			return true;
	return false;
}

static bool wanted(struct notifiers *s, dk_id user, const struct notice *n)
{
	struct dk_notice view = { .id = notice_id(n),
				  .name = notice_name(n),
				  .ver = n->ver,
				  .cmd = n->cmd,
				  .message = notice_message(n),
				  .ttl_ms = (uint32_t)(n->ends_ms - dk_now(s)),
				  .reliable = n->reliable };
	struct dk_notice_ask q = { user, &view };

	return dk_ask(&s->svc.telling, &q) == 0;
}

/* False: there is no room for it now. */
static bool tell(struct notifiers *s, const struct dk_user_keep_alive *ev, const struct notice *n)
{
	if (n->reliable) {
		if (s->user->push(s->user, ev->user, n->ver, n->cmd, notice_message(n), DK_RELIABLE) == 0)
			s->n.pushed++;
		else
			s->n.lost++;
		return true;
	}
	if (ev->notes->bad || (size_t)(ev->notes->end - ev->notes->p) < n->block_n)
		return false;
	dk_wr_slice(ev->notes, notice_block(n));
	s->n.noted++;
	return true;
}

static void on_keep_alive(struct notifiers *s, const struct dk_user_keep_alive *ev)
{
	struct notifier_ear *e = ear_of(s, ev->user);
	const struct notice *n;
	uint64_t seq;

	if (!e || e->seq == s->notices.last_seq || s->user->way(s->user, ev->user) != DK_USER_STAYS)
		return;
	while ((n = notices_after(&s->notices, e->seq, dk_now(s)))) {
		seq = n->seq;
		if (!heard_elsewhere(e, n->mark)) {
			bool yes = e->asked == seq || wanted(s, ev->user, n);

			/* Whoever was asked may have deleted it, or ended the user. */
			e = ear_of(s, ev->user);
			n = notices_after(&s->notices, seq - 1, dk_now(s));
			if (!e)
				return;
			if (!n || n->seq != seq)
				continue;
			e->asked = seq;
			if (!yes)
				s->n.filtered++;
			else if (!tell(s, ev, n))
				return;
		}
		e->seq = seq;
	}
	e->seq = s->notices.last_seq;
}

/* ---- coming and going ---- */

static void on_created(struct notifiers *s, const struct dk_user_event *ev)
{
	ear_new(s, ev->user);
}

static void on_arrived(struct notifiers *s, const struct dk_user_arrived *ev)
{
	if (!ear_of(s, ev->user)) /* the other node does without this plugin */
		ear_new(s, ev->user);
}

static void on_discarded(struct notifiers *s, const struct dk_user_discarded *ev)
{
	struct notifier_ear *e = ear_of(s, ev->user);

	if (e)
		ear_clear(s, e);
}

static bool lives_here(const struct notifiers *s, uint64_t mark, uint64_t seq)
{
	const struct notice *n = s->notices.live;

	while (n && n->seq <= seq && n->mark != mark)
		n = n->next;
	return n && n->seq <= seq;
}

static bool write_mark(struct dk_writer *w, unsigned *n, uint64_t mark, uint64_t until_ms, uint64_t now_ms)
{
	if (*n == PAST_MAX)
		return false;
	if (until_ms <= now_ms)
		return true;
	++*n;
	dk_wr_u64(w, mark);
	dk_wr_u32(w, (uint32_t)(until_ms - now_ms));
	return true;
}

/* Marks of what it has heard and what may live on another node: what lives here, what was deleted here, which others may not know
 * yet, and what it brought along. */
static int part_pack(void *self, dk_id user, struct dk_writer *w)
{
	struct notifiers *s = self;
	const struct notifier_ear *e = ear_of(s, user);
	uint64_t now = dk_now(s);
	unsigned count = 0;

	if (!e)
		return DK_NOT_FOUND;
	for (const struct notice *n = s->notices.live; n && n->seq <= e->seq; n = n->next)
		if (!write_mark(w, &count, n->mark, n->ends_ms, now))
			break;
	for (const struct notice *n = s->notices.old; n; n = n->next)
		if (n->deleted && n->was && n->was <= e->seq && !write_mark(w, &count, n->mark, n->ends_ms, now))
			break;
	for (uint32_t i = 0; e->past && i < e->past->n; i++)
		if (!lives_here(s, e->past->at[i].mark, e->seq) &&
		    !write_mark(w, &count, e->past->at[i].mark, e->past->at[i].until_ms, now))
			break;
	return 0;
}

static int part_unpack(void *self, dk_id user, uint16_t version, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct notifiers *s = self;
	size_t n = bytes.n / PAST_SIZE;
	struct notifier_ear *e;

	(void)version;
	if (bytes.n % PAST_SIZE || n > PAST_MAX) {
		s->n.malformed++;
		return -EPROTO;
	}
	e = ear_new(s, user);
	if (!e)
		return -ENOMEM;
	if (!n)
		return 0;
	e->past = dk_alloc(s, past_size((uint32_t)n));
	if (!e->past)
		return -ENOMEM;
	e->past->n = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		e->past->at[i].mark = dk_rd_u64(&c);
		e->past->at[i].until_ms = dk_now(s) + dk_rd_u32(&c);
	}
	return 0;
}

static const struct dk_user_part part = { .name = "notifier", .version = 1, .pack = part_pack, .unpack = part_unpack };

int notifier_tell_init(struct notifiers *s)
{
	int rc = s->user->carry(s->user, s, &part);

	if (rc == 0)
		rc = dk_connect(s, &s->user->created, on_created);
	if (rc == 0)
		rc = dk_connect(s, &s->user->arrived, on_arrived);
	if (rc == 0)
		rc = dk_connect(s, &s->user->discarded, on_discarded);
	if (rc == 0)
		rc = dk_connect(s, &s->user->keep_alive, on_keep_alive);
	return rc;
}

void notifier_tell_fini(struct notifiers *s)
{
	for (size_t i = 0; i < s->ear_n; i++)
		ear_clear(s, &s->ears[i]);
	dk_free(s, s->ears, s->ear_n * sizeof(*s->ears));
}
