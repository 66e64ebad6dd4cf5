/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of what was said in circles, and what did not: deliveries by their numbers, how long each bot heard nothing and, of
 * what is missing, whether it was sent while some bot missed its node.
 *
 * A bot's gap is the longest time between two messages of its circle, from the beginning of the run to its end. A circle that is
 * lost is no loss of messages: what was sent to it counts nowhere but as a circle that is lost.
 */
#include <stdlib.h>

#include "tools/bot_circle.h"

#define PACE_NS UINT64_C(50000000)
#define TWICE_MAX 4096 /* of which it is remembered when they were sent */

static struct track *track_at(const struct circles *s, uint32_t bot, uint32_t place)
{
	return &s->tracks[(size_t)bot * s->size + place];
}

/* ---- when a message was sent ---- */

/* All bots send in turn, so what was sent up to a moment is one number. Without memory times are coarser, and the run goes on. */
void track_pace(struct circles *s, uint64_t now)
{
	uint32_t slots = (uint32_t)((now - s->start_ns) / PACE_NS);
	uint64_t *pace;

	if (slots < s->pace_n)
		return;
	if (slots >= s->pace_cap) {
		pace = realloc(s->pace, (slots + 1) * 2 * sizeof(*pace));
		if (!pace)
			return;
		s->pace = pace;
		s->pace_cap = (slots + 1) * 2;
	}
	while (s->pace_n <= slots)
		s->pace[s->pace_n++] = s->sent;
}

/* Of the message that was sent as that one of all; at most PACE_NS and a turn too early. */
static uint64_t sent_at(const struct circles *s, uint64_t number)
{
	uint32_t low = 0, high = s->pace_n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (s->pace[mid] > number)
			high = mid;
		else
			low = mid + 1;
	}
	return s->start_ns + (low ? low - 1 : 0) * PACE_NS;
}

/* ---- what came ---- */

/* The number leaves the window of what may still come, and did not. */
static void gone(struct circles *s, struct member *m, uint32_t place, uint32_t number)
{
	uint32_t bot = circle_bot(s, m->circle, place);
	struct gone *g;

	if (s->ops->latest || (s->shared && (place < s->o->first || place >= s->o->first + s->o->bots)))
		return; /* another process knows when */
	if (s->gone_n == s->gone_cap) {
		g = realloc(s->gone, (s->gone_cap * 2 + 256) * sizeof(*g));
		if (!g)
			return;
		s->gone = g;
		s->gone_cap = s->gone_cap * 2 + 256;
	}
	s->gone[s->gone_n++] = (struct gone){ (uint64_t)number * s->o->bots + bot, m->circle };
}

/* Numbers below `low` leave the window, whose highest one is t->next - 1. */
static void leave_window(struct circles *s, struct member *m, const struct track *t, uint32_t place, uint32_t low)
{
	for (uint32_t n = t->next > 64 ? t->next - 64 : 0; n < low; n++) {
		if (n >= t->next || !(t->seen >> (t->next - 1 - n) & 1))
			gone(s, m, place, n);
	}
}

static void came_twice(struct circles *s, uint64_t at)
{
	if (!s->twice)
		s->twice = calloc(TWICE_MAX, sizeof(*s->twice));
	if (s->twice && s->twice_n < TWICE_MAX)
		s->twice[s->twice_n++] = at;
}

uint64_t track_twice_calm(const struct circles *s)
{
	uint64_t calm = 0;

	for (uint32_t i = 0; i < s->twice_n; i++)
		calm += !run_disturbed_at(s->part->run, s->twice[i]);
	return calm;
}

void track_delivered(struct circles *s, struct member *m, dk_slice message)
{
	struct dk_cursor c = dk_cursor_of(message);
	uint32_t sender = dk_rd_u32(&c), number = dk_rd_u32(&c), place = sender - m->circle * s->size;
	uint64_t at = dk_rd_u64(&c), now = net_now_ns(s->part->run->net);
	struct circle *circle = &s->circles[m->circle];
	struct track *t;

	if (c.bad || place >= s->size || (s->ops->alone && place == m->place)) {
		s->foreign++;
		return;
	}
	t = track_at(s, m->bot, place);
	if (number >= t->next) {
		uint32_t step = number - t->next + 1;

		if (number >= 64 && (step > 1 || (t->seen >> 63) == 0))
			leave_window(s, m, t, place, number - 63);
		circle->skipped += step - 1;
		t->seen = step < 64 ? t->seen << step | 1 : 1;
		t->next = number + 1;
	} else {
		uint32_t back = t->next - 1 - number;

		if (s->ops->latest && !back)
			return; /* what still holds may be said again */
		if (back < 64 && (t->seen >> back & 1)) {
			circle->duplicated++;
			came_twice(s, at);
			return;
		}
		if (back < 64)
			t->seen |= UINT64_C(1) << back;
		circle->out_of_order++;
		circle->skipped--;
	}
	t->got++;
	s->delivered++;
	circle->delivered++;
	s->last_new_ns = now;
	track_heard(s, m, now);
	hist_record(&s->latency, now > at ? now - at : 0);
}

/* ---- gaps ---- */

static void gap(struct circles *s, struct member *m, uint64_t now)
{
	uint64_t ns = now > m->heard_ns ? now - m->heard_ns : 0;

	m->gap_ns = ns > m->gap_ns ? ns : m->gap_ns;
	if (ns > s->o->gap_ms * UINT64_C(1000000)) {
		s->interruptions++;
		if (!s->first_ns || m->heard_ns < s->first_ns)
			s->first_ns = m->heard_ns;
		s->last_ns = now;
	}
}

void track_heard(struct circles *s, struct member *m, uint64_t now)
{
	if (!m->heard_ns || s->part->run->phase != RUN)
		return;
	if (now - m->heard_ns > m->gap_ns)
		gap(s, m, now);
	m->heard_ns = now;
}

void track_stop(struct circles *s, uint64_t now)
{
	for (uint32_t i = 0; i < s->o->bots; i++) {
		struct member *m = &s->members[i];

		if (m->state == MEMBER_IN && m->heard_ns)
			gap(s, m, now);
		if (m->heard_ns)
			hist_record(&s->gaps, m->gap_ns);
		m->heard_ns = 0;
	}
}

void track_lost(struct circles *s, struct member *m, uint64_t now)
{
	struct circle *circle = &s->circles[m->circle];

	s->lost += !circle->lost;
	circle->lost = true;
	if (m->heard_ns && s->part->run->phase == RUN)
		hist_record(&s->told, now - m->heard_ns);
}

/* ---- what did not come ---- */

/* What a receiver has not heard of one sender, as far as it is not gone. */
static uint64_t calm_between(const struct circles *s, const struct member *m, uint32_t sender_bot)
{
	const struct member *sender = &s->members[sender_bot];
	const struct track *t = track_at(s, m->bot, sender->place);
	uint64_t calm = 0;

	for (uint32_t n = t->next > 64 ? t->next - 64 : 0; n < sender->next; n++) {
		if (n >= t->next || !(t->seen >> (t->next - 1 - n) & 1))
			calm += !run_disturbed_at(s->part->run, sent_at(s, (uint64_t)n * s->o->bots + sender_bot));
	}
	return calm;
}

/* Of how many senders the receivers have not heard the last message. */
static uint64_t not_latest(const struct circles *s)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < s->o->bots; i++) {
		for (uint32_t place = 0; place < s->size; place++) {
			uint32_t k = circle_bot(s, s->members[i].circle, place);

			n += k < s->o->bots && (k != i || !s->ops->alone) && track_at(s, i, place)->next != s->members[k].next;
		}
	}
	return n;
}

uint64_t track_calm(const struct circles *s)
{
	uint64_t calm = 0;

	if (s->ops->latest)
		return not_latest(s);
	for (uint32_t i = 0; i < s->gone_n; i++) {
		if (!s->circles[s->gone[i].circle].lost)
			calm += !run_disturbed_at(s->part->run, sent_at(s, s->gone[i].message));
	}
	for (uint32_t i = 0; i < s->o->bots; i++) {
		if (s->circles[s->members[i].circle].lost)
			continue;
		for (uint32_t place = 0; place < s->size; place++) {
			uint32_t k = circle_bot(s, s->members[i].circle, place);

			if (k < s->o->bots && (k != i || !s->ops->alone))
				calm += calm_between(s, &s->members[i], k);
		}
	}
	return calm;
}

static bool is_gone(const struct circles *s, uint64_t message)
{
	for (uint32_t i = 0; i < s->gone_n; i++) {
		if (s->gone[i].message == message)
			return true;
	}
	return false;
}

uint64_t track_told(const struct circles *s, bool calm)
{
	uint64_t n = 0;

	for (const struct said *said = s->said; said; said = said->next) {
		const struct member *m = said->m;
		uint64_t message = (uint64_t)said->number * s->o->bots + m->bot;
		uint32_t to = circle_bot(s, m->circle, !m->place);
		const struct track *t;
		bool came;

		if (!said->told || to >= s->o->bots)
			continue;
		t = track_at(s, to, m->place);
		if (said->number >= t->next)
			came = false;
		else if (t->next - 1 - said->number < 64)
			came = t->seen >> (t->next - 1 - said->number) & 1;
		else
			came = !is_gone(s, message);
		n += !came && (!calm || !run_disturbed_at(s->part->run, sent_at(s, message)));
	}
	return n;
}

/* What other processes sent to our bots is expected too: as many as was agreed, or as many as the highest number says. */
static uint64_t expected_of_others(const struct circles *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->o->bots; i++) {
		for (uint32_t place = 0; place < s->size; place++) {
			if (place < s->o->first || place >= s->o->first + s->o->bots)
				sum += s->o->messages ? s->o->messages : track_at(s, i, place)->next;
		}
	}
	return sum;
}

struct circle_sum circle_sum(const struct circles *s)
{
	struct circle_sum sum = { .expected = s->shared ? expected_of_others(s) : 0 };

	for (uint32_t i = 0; i < s->circle_n; i++) {
		const struct circle *circle = &s->circles[i];

		if (circle->lost)
			continue;
		sum.expected += circle->expected;
		sum.delivered += circle->delivered;
		sum.duplicated += circle->duplicated;
		sum.out_of_order += circle->out_of_order;
		sum.skipped += circle->skipped;
	}
	if (s->ops->latest)
		sum.expected = sum.delivered + not_latest(s);
	sum.lost = sum.expected > sum.delivered ? sum.expected - sum.delivered : 0;
	return sum;
}
