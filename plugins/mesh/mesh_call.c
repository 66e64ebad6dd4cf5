/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: what came is run as the command row it names, and what that answers goes back; what this node asks others is kept until
 * it was answered, taken back, or its time is over. A request knows the life of its peer, so an answer of another boot finds
 * nothing.
 *
 * A guest may call what operators may (DK_ADMIN), of the rows between nodes, and gets its answer as one datagram. It says again
 * what was not answered; the call is run once, and its answer kept to be said again too.
 */
#include "mesh_state.h"

#include <errno.h>

/* ---- theirs ---- */

static void guest_answer(struct mesh *m, struct contact *guest, const struct wire_unit *u)
{
	struct answer *a = u->id == guest->asked && u->payload.n <= sizeof(a->bytes) ? dk_alloc(m, sizeof(*a)) : NULL;

	if (a) { /* without memory it is not said again */
		a->status = u->status;
		a->n = u->payload.n;
		if (a->n)
			memcpy(a->bytes, u->payload.p, a->n);
		guest->answer = a;
	}
	contact_say(m, guest, u);
}

/* It was asked before: what was answered is said again, if it was. */
static void guest_again(struct mesh *m, struct contact *guest, uint64_t id)
{
	const struct answer *a = guest->answer;

	m->n.duplicates++;
	if (a && id == guest->asked)
		contact_say(
			m, guest,
			&(struct wire_unit){
				.kind = WIRE_UNIT_ANSWER, .id = id, .status = a->status, .payload = dk_slice_n(a->bytes, a->n) });
}

static void guest_asks(struct mesh *m, struct contact *guest, uint64_t id)
{
	dk_free(m, guest->answer, sizeof(*guest->answer));
	guest->answer = NULL;
	guest->asked = id;
}

static void finished(void *self, const struct dk_call *call, int status, dk_slice body)
{
	struct mesh *m = self;
	dk_id id = (uint64_t)(uintptr_t)call->priv;
	struct incoming *in = dk_table_get(&m->incomings, id);
	struct wire_unit u = { .kind = WIRE_UNIT_ANSWER, .status = (uint8_t)status, .payload = body };
	struct contact *guest;

	if (!in)
		return;
	u.id = in->wire_id;
	if (!status) {
		m->n.no_answer++; /* dropped: whoever asked waits until its time is over */
	} else if (body.n > DK_CARRIER_MESSAGE_MAX) {
		m->n.no_answer++;
	} else if (in->guest) {
		guest = dk_table_get(&m->contacts, in->guest);
		if (guest)
			guest_answer(m, guest, &u);
	} else if (!in->cancelled && in->life == in->peer->life && link_put(m, in->peer, &u, 8, 0, NULL)) {
		m->n.no_answer++;
	}
	if (in->peer)
		in->peer->requests--;
	dk_table_remove(&m->incomings, id);
}

static void refuse(struct mesh *m, dk_id id, uint32_t code, const char *why)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	int status = dk_error_body(m, code == DK_E_INTERNAL ? DK_STATUS_ERR : DK_STATUS_BAD, code, why, &w);
	struct dk_call call = { .priv = (void *)(uintptr_t)id };

	finished(m, &call, status, dk_written(&w));
}

static bool guest_may(struct mesh *m, const struct wire_unit *u)
{
	const struct dk_command *row = u->ver == DK_VER_NODE ? dk_command_find(m, u->ver, u->cmd) : NULL;

	return row && row->flags & DK_ADMIN && !(row->flags & DK_INTERNAL);
}

static void run_request(struct mesh *m, struct peer *p, const struct dk_addr *from, struct contact *guest,
			const struct wire_unit *u, uint32_t late_ms)
{
	struct dk_incoming call = { .ver = u->ver,
				    .cmd = u->cmd,
				    .origin = guest ? DK_FROM_ADMIN : DK_FROM_NODE,
				    .payload = u->payload,
				    .deadline = dk_now(m) + (u->left_ms > late_ms ? u->left_ms - late_ms : 0),
				    .finish = finished,
				    .from = *from };
	struct incoming *in;
	dk_id id;

	m->n.requests_in++;
	if (late_ms >= u->left_ms) { /* whoever asked has given up */
		m->n.late++;
		return;
	}
	if (guest && !guest_may(m, u)) {
		m->n.drop_guest++;
		return;
	}
	if (guest && u->id <= guest->asked) {
		guest_again(m, guest, u->id);
		return;
	}
	in = dk_table_add(&m->incomings, &id);
	if (!in) {
		m->n.overload++;
		return;
	}
	if (guest)
		guest_asks(m, guest, u->id);
	*in = (struct incoming){
		.peer = guest ? NULL : p, .life = guest ? 0 : p->life, .guest = guest ? guest->id : 0, .wire_id = u->id
	};
	if (!guest)
		p->requests++;
	call.token = id;
	switch (dk_dispatch(m, &call)) {
	case DK_NOT_FOUND:
		m->n.unknown_command++;
		refuse(m, id, DK_E_PARAMS, "there is no such command on this node");
		break;
	case DK_FULL:
		m->n.overload++;
		refuse(m, id, DK_E_INTERNAL, "too many calls are under way on this node");
		break;
	default:
		break;
	}
}

static void run_message(struct mesh *m, const struct dk_addr *from, const struct wire_unit *u)
{
	struct dk_incoming call = { .ver = u->ver, .cmd = u->cmd, .origin = DK_FROM_NODE, .payload = u->payload, .from = *from };
	int rc = dk_dispatch(m, &call);

	m->n.messages_in++;
	m->n.unknown_command += rc == DK_NOT_FOUND;
	m->n.overload += rc == DK_FULL;
}

/* What runs cannot be stopped; its answer can. */
static void run_cancel(struct mesh *m, const struct peer *p, uint64_t wire_id)
{
	struct incoming *in;
	uint32_t slot = 0;
	dk_id id;

	while ((in = dk_table_next(&m->incomings, &slot, &id)))
		if (in->peer == p && in->wire_id == wire_id)
			in->cancelled = true;
}

/* ---- ours ---- */

static struct request *by_wire_id(struct mesh *m, uint64_t wire_id)
{
	dk_id id = dk_table_id_at(&m->requests, (uint32_t)wire_id);
	struct request *r = id ? dk_table_get(&m->requests, id) : NULL;

	return r && r->wire_id == wire_id ? r : NULL;
}

static void drop_request(struct mesh *m, struct request *r)
{
	dk_timer_stop(&r->timer);
	r->peer->requests--;
	dk_table_remove(&m->requests, r->id);
}

static void end_request(struct mesh *m, struct request *r, int err, int status, dk_slice body)
{
	struct request end = *r;

	drop_request(m, r);
	end.done(end.self, end.arg, err, status, body);
}

static void run_answer(struct mesh *m, const struct peer *p, const struct wire_unit *u)
{
	struct request *r = by_wire_id(m, u->id);

	if (r && r->peer == p && r->life == p->life)
		end_request(m, r, 0, u->status, u->payload);
}

bool call_run(struct mesh *m, struct peer *p, const struct dk_addr *from, struct contact *guest, const struct wire_unit *u,
	      uint32_t late_ms)
{
	switch (u->kind) {
	case WIRE_UNIT_NOTHING:
		return true;
	case WIRE_UNIT_MESSAGE:
		run_message(m, from, u);
		return true;
	case WIRE_UNIT_REQUEST:
		run_request(m, p, from, guest, u, late_ms);
		return true;
	case WIRE_UNIT_ANSWER:
		run_answer(m, p, u);
		return true;
	case WIRE_UNIT_CANCEL:
		run_cancel(m, p, u->id);
		return true;
	case WIRE_UNIT_RELAY:
		return tree_run(m, u);
	default:
		return false;
	}
}

static void on_timeout(void *self, struct dk_timer *t)
{
	struct mesh *m = self;
	struct request *r = dk_container_of(t, struct request, timer);
	bool back = link_take_back(r->peer, r->wire_id);

	m->n.timeouts++;
	end_request(m, r, back || r->number > r->peer->out.written ? -EHOSTUNREACH : -ETIMEDOUT, 0, dk_slice_n(NULL, 0));
}

void call_expired(struct mesh *m, uint64_t wire_id, bool written)
{
	struct request *r = by_wire_id(m, wire_id);

	if (!r)
		return;
	m->n.timeouts++;
	end_request(m, r, written ? -ETIMEDOUT : -EHOSTUNREACH, 0, dk_slice_n(NULL, 0));
}

void call_reset(struct mesh *m, struct peer *p)
{
	struct request *r;
	uint32_t slot = 0;
	dk_id id;

	while (p->requests && (r = dk_table_next(&m->requests, &slot, &id)))
		if (r->peer == p && r->life != p->life)
			end_request(m, r, -ECONNRESET, 0, dk_slice_n(NULL, 0));
}

void call_stop_self(void *self, void *mesh)
{
	struct mesh *m = mesh;
	struct request *r;
	uint32_t slot = 0;
	dk_id id;

	while ((r = dk_table_next(&m->requests, &slot, &id)))
		if (r->self == self)
			drop_request(m, r);
	for (size_t i = 0; i < m->self_n; i++)
		if (m->selves[i] == self)
			m->selves[i] = m->selves[--m->self_n];
}

/* A plugin that stops must not be called any more; its ledger knows that it has asked something. */
static int know_self(struct mesh *m, void *self)
{
	int rc;

	for (size_t i = 0; i < m->self_n; i++)
		if (m->selves[i] == self)
			return 0;
	if (m->self_n == MESH_SELVES_MAX)
		return DK_FULL;
	rc = dk_own(self, call_stop_self, m, "requests to other nodes");
	if (rc == 0)
		m->selves[m->self_n++] = self;
	return rc;
}

int call_request(struct dk_carrier *c, void *self, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload,
		 uint32_t timeout_ms, dk_carrier_done_fn *done, void *arg, dk_id *ret_request)
{
	struct mesh *m = dk_container_of(c, struct mesh, api);
	struct wire_unit u = { .kind = WIRE_UNIT_REQUEST, .ver = ver, .cmd = cmd, .payload = payload };
	struct request *r;
	struct peer *p;
	dk_id id;
	int rc;

	if (payload.n > DK_CARRIER_MESSAGE_MAX)
		return DK_TOO_LONG;
	if (!to->family || !to->port)
		return -EINVAL;
	rc = know_self(m, self);
	if (rc)
		return rc;
	p = peer_of(m, to);
	r = p ? dk_table_add(&m->requests, &id) : NULL;
	if (!r)
		return DK_FULL;
	if (!timeout_ms)
		timeout_ms = mesh_timeout(m);
	*r = (struct request){ .self = self, .arg = arg, .done = done, .peer = p, .id = id, .life = p->life };
	r->wire_id = ++m->request_n << 32 | dk_id_slot(id);
	u.id = r->wire_id;
	rc = link_put(m, p, &u, 7, dk_now(m) + timeout_ms, &r->number);
	if (rc) {
		dk_table_remove(&m->requests, id);
		return rc;
	}
	p->requests++;
	m->n.requests_out++;
	dk_timer_start(m, &r->timer, timeout_ms, 0, on_timeout);
	if (ret_request)
		*ret_request = id;
	return 0;
}

void call_cancel(struct dk_carrier *c, dk_id request)
{
	struct mesh *m = dk_container_of(c, struct mesh, api);
	struct request *r = dk_table_get(&m->requests, request);
	struct wire_unit u = { .kind = WIRE_UNIT_CANCEL };
	struct peer *p;

	if (!r)
		return;
	p = r->peer;
	u.id = r->wire_id;
	m->n.cancelled++;
	drop_request(m, r);
	if (!link_take_back(p, u.id))
		link_put(m, p, &u, 8, 0, NULL);
}

void call_fini(struct mesh *m)
{
	struct request *r;
	struct incoming *in;
	uint32_t slot = 0;
	dk_id id;

	while ((r = dk_table_next(&m->requests, &slot, &id)))
		drop_request(m, r);
	slot = 0;
	while ((in = dk_table_next(&m->incomings, &slot, &id)))
		dk_table_remove(&m->incomings, id);
}
