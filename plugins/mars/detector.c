/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts. A node is suspect after suspect_ms of silence and dead after dead_ms, unless somebody else heard it within
 * evidence_ms: then its link is degraded, and it lives by hearsay, with dead_ms of grace for that in turn (one relay that loses
 * a few answers would kill it every few minutes otherwise). A verdict holds for this node alone and is taken back by the first
 * packet.
 *
 * From a kill to DEAD it is dead_ms after the last packet that anybody got, at most, plus a tick: others' ages are of packets that
 * they received themselves, never of hearsay, so no rumour keeps a dead node alive.
 */
#include "detector.h"

/* A dead node is asked after this many times more rarely than a suspect one. */
#define DEAD_PROBE_FACTOR 5

static uint64_t own_clock(const struct mars_detector *d, uint64_t now)
{
	return now - d->stalled;
}

void mars_detector_init(struct mars_detector *d, const struct mars_detector_conf *conf, uint64_t now)
{
	*d = (struct mars_detector){ .conf = *conf, .ticked = now, .woke = now };
}

uint64_t mars_detector_tick(struct mars_detector *d, uint64_t now)
{
	uint64_t late = now - d->ticked;

	late = late > d->conf.tick_ms ? late - d->conf.tick_ms : 0;
	d->ticked = now;
	if (late <= d->conf.stall_ms)
		return 0;
	d->stalled += late;
	d->last_stall = late;
	d->woke = now;
	d->stalls++;
	return late;
}

bool mars_detector_may_vouch(const struct mars_detector *d, uint64_t now)
{
	return now - d->ticked <= d->conf.tick_ms + d->conf.stall_ms && now - d->woke >= d->conf.evidence_ms;
}

void mars_watch_init(const struct mars_detector *d, struct mars_watch *w, uint64_t now, uint64_t age_ms)
{
	uint64_t t = own_clock(d, now);

	*w = (struct mars_watch){ .heard = t > age_ms ? t - age_ms : 0, .heard_at = now, .health = DK_ALIVE };
}

void mars_watch_heard(const struct mars_detector *d, struct mars_watch *w, uint64_t at)
{
	uint64_t t, wake = own_clock(d, d->woke);

	if (at <= w->heard_at)
		return;
	w->heard_at = at;
	t = at - d->stalled;
	if (at < d->woke) { /* before the last stall was counted */
		t += d->last_stall;
		t = t < wake ? t : wake;
	}
	if (t > w->heard)
		w->heard = t;
}

void mars_watch_evidence(const struct mars_detector *d, struct mars_watch *w, uint64_t now, uint64_t age_ms)
{
	uint64_t t = own_clock(d, now);

	if (age_ms < d->conf.evidence_ms && age_ms <= t && t - age_ms > w->evidence)
		w->evidence = t - age_ms;
}

static uint64_t since(uint64_t t, uint64_t then)
{
	return t > then ? t - then : 0;
}

static enum dk_health judge(const struct mars_detector *d, const struct mars_watch *w, uint64_t t, bool *ret_degraded)
{
	const struct mars_detector_conf *c = &d->conf;
	uint64_t silence = since(t, w->heard), hearsay = w->evidence ? since(t, w->evidence) : UINT64_MAX;

	*ret_degraded = false;
	if (silence < c->suspect_ms)
		return DK_ALIVE;
	if (silence < c->dead_ms)
		return DK_SUSPECT;
	*ret_degraded = hearsay < (w->degraded ? c->dead_ms : c->evidence_ms);
	if (!*ret_degraded)
		return DK_DEAD;
	return hearsay < c->suspect_ms ? DK_ALIVE : DK_SUSPECT;
}

unsigned mars_watch_step(const struct mars_detector *d, struct mars_watch *w, uint64_t now)
{
	uint64_t t = own_clock(d, now);
	enum dk_health was = w->health;
	unsigned found = 0;
	bool degraded;

	w->health = judge(d, w, t, &degraded);
	if (w->health != was)
		found |= w->health == DK_ALIVE ? MARS_RECOVERED : w->health == DK_DEAD ? MARS_DIED : 0;
	if (w->health == DK_SUSPECT && was == DK_ALIVE)
		found |= MARS_SUSPECTED;
	if (w->health == DK_SUSPECT && was == DK_DEAD)
		found |= MARS_RECOVERED | MARS_SUSPECTED;
	if (degraded != w->degraded)
		found |= MARS_DEGRADED;
	w->degraded = degraded;
	if (w->health == DK_ALIVE && !degraded) {
		w->probe_at = 0;
	} else if (t >= w->probe_at) {
		found |= MARS_PROBE;
		w->probe_at = t + d->conf.probe_ms * (w->health == DK_DEAD ? DEAD_PROBE_FACTOR : 1);
	}
	return found;
}

uint64_t mars_watch_due(const struct mars_detector *d, const struct mars_watch *w)
{
	return w->health == DK_ALIVE && !w->degraded ? w->heard + d->conf.suspect_ms + d->stalled : 0;
}

bool mars_refute(uint32_t *incarnation, uint32_t accused)
{
	if (accused != *incarnation || accused == UINT32_MAX)
		return false;
	*incarnation = accused + 1;
	return true;
}
