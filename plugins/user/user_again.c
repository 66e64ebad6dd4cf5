/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client says again. A client that leaves for another node and is not acknowledged in time cannot know whether the old
 * node had its last frames. It says them again at the new one, behind a frame that tells in which sequences of the old connection
 * they were (version 0 command 7); the old node tells which sequences came. What both name is dropped here: nothing comes twice.
 *
 * The old node's word comes with the settle, before any frame of the client runs. From then to the last of the frames that were
 * announced, or to a first frame that announces nothing, the user has a struct user_again; nobody else ever pays for this. A
 * client whose old node had no last word is believed: better twice than never.
 */
#include "user_state.h"

enum {
	CMD_AGAIN = 7, /* of version 0 */
	ENTRY = 5, /* u24 sequence, u8 sequences from there on, u8 frames that lie in just these */
	ENTRIES_MAX = 256
};

struct user_again {
	uint8_t taken[DK_TAKEN_MAX];
	uint16_t taken_n;
	uint16_t n, at; /* of list; n = 0: the announcement has not come yet */
	struct {
		uint8_t frames; /* still to come */
		bool had; /* by the old node */
	} list[ENTRIES_MAX];
};

void user_again_free(struct users *s, struct user *u)
{
	if (!u->again)
		return;
	dk_free(s, u->more->again, sizeof(*u->more->again));
	u->more->again = NULL;
	u->again = false;
}

void user_again_expect(struct users *s, struct user *u, dk_slice taken)
{
	struct user_again *a;

	user_again_free(s, u);
	if (!taken.n || taken.n > DK_TAKEN_MAX)
		return;
	a = dk_alloc(s, sizeof(*a));
	if (!a)
		return;
	memcpy(a->taken, taken.p, taken.n);
	a->taken_n = (uint16_t)taken.n;
	u->more->again = a;
	u->again = true;
}

static bool had_all(const struct user_again *a, uint32_t seq, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!dk_taken(dk_slice_n(a->taken, a->taken_n), seq + i))
			return false;
	return n > 0;
}

static void announced(struct users *s, struct user *u, dk_slice body)
{
	struct user_again *a = u->more->again;
	struct dk_cursor c = dk_cursor_of(body);

	a->n = a->at = 0;
	if (!body.n || body.n % ENTRY || body.n > ENTRY * ENTRIES_MAX) {
		s->n.again_bad++;
		user_again_free(s, u);
		return;
	}
	while (dk_rd_left(&c)) {
		uint32_t seq = dk_rd_u24(&c);
		unsigned n = dk_rd_u8(&c);

		a->list[a->n].frames = dk_rd_u8(&c);
		a->list[a->n++].had = had_all(a, seq, n);
	}
}

bool user_again_pass(struct users *s, struct user *u, const struct dk_frame *f)
{
	struct user_again *a = u->again ? u->more->again : NULL;
	bool had;

	if (f->ver == 0 && f->cmd == CMD_AGAIN) {
		if (a)
			announced(s, u, f->payload);
		return false;
	}
	if (!a)
		return true;
	while (a->at < a->n && !a->list[a->at].frames)
		a->at++;
	if (a->at == a->n) {
		user_again_free(s, u);
		return true;
	}
	had = a->list[a->at].had;
	a->list[a->at].frames--;
	if (had)
		s->n.again_had++;
	return !had;
}
