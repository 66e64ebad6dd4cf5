/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another node has to hear, however long the way to it is cut: that a room it was given lives there from now on, or that a
 * room it had is owned by this one. It is asked every half second, as long as the cluster takes it for alive, until it has
 * answered or the time of the errand is over.
 *
 * Claims are kept after that too, because the next question may be whether this node has ever made one.
 */
#include <errno.h>

#include "room_state.h"

enum { EVERY_MS = 500, ANSWER_MS = 2000, PAYLOAD_MAX = DK_ID52_LEN + 8 };

struct room_errand {
	struct room_errand *next;
	struct dk_id52 id;
	struct dk_addr to;
	uint32_t epoch; /* of a claim */
	uint16_t cmd;
	bool heard;
	uint64_t until_ms;
	dk_id request;
	size_t n;
	uint8_t payload[PAYLOAD_MAX];
};

/* dk_carrier_done_fn */
static void heard(void *self, void *arg, int err, int status, dk_slice body)
{
	struct rooms *s = self;
	struct room_errand *e = arg;

	e->request = 0;
	if (err || status != DK_STATUS_OK)
		return; /* again */
	e->heard = true;
	if (e->cmd == ROOM_NODE_CLAIM)
		room_claim_heard(s, &e->id, body);
}

static void ask_all(void *self, struct dk_timer *t)
{
	struct rooms *s = self;

	for (struct room_errand **at = &s->errands, *e; (e = *at);) {
		if (e->until_ms <= dk_now(s)) {
			s->carrier->cancel(s->carrier, e->request);
			*at = e->next;
			dk_free(s, e, sizeof(*e));
			continue;
		}
		at = &e->next;
		if (e->heard || e->request || !room_node_alive(s, &e->to))
			continue;
		if (s->carrier->request(s->carrier, s, &e->to, DK_VER_NODE, e->cmd, dk_slice_n(e->payload, e->n), ANSWER_MS, heard,
					e, &e->request))
			e->request = 0;
	}
	if (!s->errands)
		dk_timer_stop(t);
}

int room_errand(struct rooms *s, const struct dk_addr *to, uint16_t cmd, const struct dk_id52 *id, uint32_t epoch, uint32_t for_ms,
		dk_slice payload)
{
	struct room_errand *e;

	if (payload.n > PAYLOAD_MAX)
		return -EINVAL;
	e = dk_alloc(s, sizeof(*e));
	if (!e)
		return -ENOMEM;
	*e = (struct room_errand){ .next = s->errands, .id = *id, .to = *to, .epoch = epoch, .cmd = cmd, .n = payload.n };
	e->until_ms = dk_now(s) + for_ms;
	memcpy(e->payload, payload.p, payload.n);
	s->errands = e;
	/* In this turn still, so that it is on its way before what the caller sends next. */
	ask_all(s, &s->errand_timer);
	if (!dk_timer_armed(&s->errand_timer))
		dk_timer_start(s, &s->errand_timer, EVERY_MS, EVERY_MS, ask_all);
	return 0;
}

uint32_t room_claimed(const struct rooms *s, const struct dk_id52 *id)
{
	uint32_t epoch = 0;

	for (const struct room_errand *e = s->errands; e; e = e->next)
		if (e->epoch > epoch && memcmp(&e->id, id, sizeof(*id)) == 0)
			epoch = e->epoch;
	return epoch;
}

void room_errand_fini(struct rooms *s)
{
	while (s->errands) {
		struct room_errand *e = s->errands;

		s->errands = e->next;
		dk_free(s, e, sizeof(*e));
	}
}
