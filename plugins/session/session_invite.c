/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invitations: a push to users by uid, wherever they are. Nobody keeps a list of who is where, so those that are not on this node
 * are asked for on every other one; the answers say who was found. An invitation keeps no seat and is not remembered.
 */
#include "session_state.h"

enum { INVITE_MS = 2000 };

struct session_invitation {
	struct session_invitation *next, **link;
	struct session_asker *asker;
	uint32_t left; /* nodes that have not answered */
	bool unsure; /* one of them did not */
	uint16_t n;
	bool found[DK_SESSION_INVITES_MAX]; /* of those that are not here */
	size_t bytes_n, list_n;
	uint8_t bytes[]; /* their uids, as a list of list_n bytes */
};

static struct dk_list uids_of(const struct session_invitation *v)
{
	return (struct dk_list){ dk_slice_n(v->bytes, v->list_n), v->n };
}

static void invitation_free(struct sessions *s, struct session_invitation *v)
{
	*v->link = v->next;
	if (v->next)
		v->next->link = v->link;
	dk_free(s, v, sizeof(*v) + v->bytes_n);
}

static void end(struct sessions *s, struct session_invitation *v)
{
	struct dk_session_result r = { .id = v->asker->id, .type = v->asker->type };
	struct dk_list all = uids_of(v);
	uint8_t *missing = dk_scratch(s, v->bytes_n);
	struct dk_writer w = dk_writer_on(missing, v->bytes_n);
	dk_str uid;

	for (uint16_t i = 0; dk_list_next(&all, &uid); i++)
		if (!v->found[i]) {
			dk_wr_bytes16(&w, dk_slice_of(uid));
			r.n++;
		}
	if (r.n) {
		r.rc = v->unsure ? DK_SESSION_NO_NODE : DK_SESSION_NO_USER;
		s->n.invites_failed += r.n;
	}
	if (!w.bad)
		r.uids = (struct dk_list){ dk_written(&w), (uint16_t)r.n };
	session_asker_tell(v->asker, &r);
	invitation_free(s, v);
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct session_invitation *v = arg;

	if (err)
		v->unsure = true;
	for (uint16_t i = 0; err == 0 && status == DK_STATUS_OK && i < v->n && i < body.n; i++)
		v->found[i] = v->found[i] || body.p[i] == 1;
	if (!--v->left)
		end(self, v);
}

/* In a turn of its own, as all answers come. */
static void all_here(void *self, uint64_t arg)
{
	struct sessions *s = self;

	for (struct session_invitation *v = s->invitations; v; v = v->next)
		if ((uint64_t)(uintptr_t)v == arg) {
			if (!--v->left)
				end(s, v);
			return;
		}
}

static bool invite_here(struct sessions *s, dk_str uid, uint8_t ver, uint16_t cmd, dk_slice message)
{
	dk_id user = s->user->by_uid(s->user, uid);

	if (!user || s->user->push(s->user, user, ver, cmd, message, DK_RELIABLE))
		return false;
	s->n.invited++;
	return true;
}

int session_on_invite_here(struct sessions *s, struct dk_call *call, uint8_t ver, uint16_t cmd, struct dk_list uids,
			   dk_slice message)
{
	uint8_t found[DK_SESSION_INVITES_MAX];
	size_t n = 0;
	dk_str uid;

	if (uids.n > DK_SESSION_INVITES_MAX) {
		s->n.malformed++;
		return dk_refuse(call, SESSION_E_PARAMS, "at most %d users are invited at once", DK_SESSION_INVITES_MAX);
	}
	while (dk_list_next(&uids, &uid))
		found[n++] = invite_here(s, uid, ver, cmd, message);
	return dk_answer(call, dk_slice_n(found, n));
}

static void ask_others(struct sessions *s, struct session_invitation *v, uint8_t ver, uint16_t cmd, dk_slice message)
{
	size_t cap = 1 + 2 + 2 + v->bytes_n + message.n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);
	const struct dk_cluster_node *node;
	uint32_t slot = 0;

	session_on_invite_here_pack(&w, ver, cmd, uids_of(v), message);
	while (v->n && !session_alone(s) && (node = s->cluster->next(s->cluster, &slot)))
		if (session_node_there(node)) {
			if (!w.bad && s->carrier->request(s->carrier, s, &node->addr, DK_VER_NODE, SESSION_NODE_INVITE,
							  dk_written(&w), INVITE_MS, answered, v, NULL) == 0)
				v->left++;
			else
				v->unsure = true;
		}
}

/* The push: type, id with a length of one byte, message. */
static struct dk_writer invitation_text(struct sessions *s, uint8_t type, const struct dk_session_id *id, dk_slice message)
{
	size_t cap = 2 + DK_SESSION_ID_LEN + message.n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	dk_wr_u8(&w, type);
	dk_wr_bytes8(&w, dk_slice_of(session_id_text(id)));
	dk_wr_slice(&w, message);
	return w;
}

static int svc_invite(struct dk_session *svc, void *self, dk_id user, uint8_t type, const dk_str *uids, size_t n, uint8_t ver,
		      uint16_t cmd, dk_slice message, dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	const struct session_seat *seat = session_seat_of(&s->seats, user, type);
	struct session_invitation *v;
	struct dk_writer text, w;
	size_t bytes_n = 0;

	if (!s->user->exists(s->user, user))
		return DK_GONE;
	if (!seat || seat->state != SEAT_IN)
		return DK_SESSION_GONE;
	if (!n || n > DK_SESSION_INVITES_MAX)
		return DK_SESSION_BAD_PARAMS;
	if (message.n > (size_t)session_conf(s)->max_message)
		return DK_TOO_LONG;
	for (size_t i = 0; i < n; i++) {
		if (!uids[i].n || uids[i].n > DK_UID_MAX || dk_str_eq(uids[i], s->user->uid(s->user, user)))
			return DK_SESSION_BAD_PARAMS;
		bytes_n += 2 + uids[i].n;
	}
	text = invitation_text(s, type, &seat->known->id, message);
	v = text.bad ? NULL : dk_alloc(s, sizeof(*v) + bytes_n);
	if (!v)
		return -ENOMEM;
	v->bytes_n = bytes_n;
	v->next = s->invitations;
	v->link = &s->invitations;
	if (v->next)
		v->next->link = &v->next;
	s->invitations = v;
	v->asker = session_asker_new(s, self, done, arg);
	if (!v->asker || dk_defer(s, all_here, (uint64_t)(uintptr_t)v)) {
		if (v->asker)
			session_asker_free(v->asker);
		invitation_free(s, v);
		return -ENOMEM;
	}
	v->asker->id = seat->known->id;
	v->asker->type = type;
	v->left = 1;
	w = dk_writer_on(v->bytes, bytes_n);
	for (size_t i = 0; i < n; i++)
		if (!invite_here(s, uids[i], ver, cmd, dk_written(&text))) {
			dk_wr_bytes16(&w, dk_slice_of(uids[i]));
			v->n++;
		}
	v->list_n = dk_written(&w).n;
	ask_others(s, v, ver, cmd, dk_written(&text));
	return 0;
}

void session_invite_init(struct sessions *s)
{
	s->svc.invite = svc_invite;
}

void session_invite_fini(struct sessions *s)
{
	while (s->invitations) {
		session_asker_tell(s->invitations->asker, &(struct dk_session_result){ .rc = -ECANCELED });
		invitation_free(s, s->invitations);
	}
}
