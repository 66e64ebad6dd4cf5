/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the home of a session. It is looked for where this node believes it to be, then where its id was made, then, if that
 * is asked for, on every node. "Elsewhere" is followed; "wait" is asked again, because nothing was done. A question that must not
 * be done twice ends with DK_SESSION_MAYBE when its answer does not come.
 *
 * A question to this node goes through the same rows, in a turn of its own.
 */
#include "session_state.h"

enum {
	PATIENCE_MS = 5000,
	TRY_MS = 1000, /* for one node to answer what may be asked again */
	WAIT_MS = 10,
	HOPS_MAX = 8,
	SMALL = 320, /* what is said most of the time needs no heap */
	SEARCHES_PER_S = 50,
	ASKS_MAX = 1 << 20
};

enum stage { AT_HERE, AT_HINT, AT_KNOWN, AT_FORMER, AT_MAKER, AT_EVERYBODY, AT_END };

struct session_asking {
	struct sessions *s;
	dk_id id;
	struct dk_session_id session;
	uint16_t cmd;
	uint8_t flags, stage, hops;
	bool unsure; /* somebody did not answer */
	struct dk_addr at, hint; /* hint: who is said to be the home */
	uint32_t slot; /* AT_EVERYBODY */
	uint64_t until_ms;
	struct dk_timer timer;
	session_answer_fn *fn;
	void *arg;
	uint8_t *bytes; /* small, or on the heap */
	size_t n;
	uint8_t small[SMALL];
};

/* ---- former homes ---- */

static struct session_former **former_bucket(struct sessions *s, const struct dk_session_id *id)
{
	return &s->former[dk_hash(s, dk_slice_n(id->c, DK_SESSION_ID_LEN)) % SESSION_FORMER_BUCKETS];
}

/* What has run out goes with whoever comes next. */
const struct session_former *session_former_get(struct sessions *s, const struct dk_session_id *id)
{
	for (struct session_former **at = former_bucket(s, id), *f; (f = *at);) {
		if (f->until_ms <= dk_now(s)) {
			*at = f->next;
			dk_free(s, f, sizeof(*f));
		} else if (session_id_eq(&f->id, id)) {
			return f;
		} else {
			at = &f->next;
		}
	}
	return NULL;
}

void session_former_put(struct sessions *s, const struct dk_session_id *id, const struct dk_addr *home, uint32_t epoch)
{
	struct session_former *f = (struct session_former *)session_former_get(s, id), **at = former_bucket(s, id);

	if (!f) {
		f = dk_alloc(s, sizeof(*f));
		if (!f) /* it will be looked for */
			return;
		f->next = *at;
		*at = f;
	}
	f->id = *id;
	f->home = *home;
	f->epoch = epoch;
	f->until_ms = dk_now(s) + SESSION_ALIAS_MS;
}

/* ---- the end ---- */

static void asking_free(struct session_asking *a)
{
	dk_timer_stop(&a->timer);
	if (a->bytes != a->small)
		dk_free(a->s, a->bytes, a->n);
	dk_table_remove(&a->s->asks, a->id);
}

static void finish(struct session_asking *a, int rc, struct dk_cursor *body)
{
	struct dk_cursor none = dk_cursor_of(dk_slice_n(NULL, 0));

	if (rc == DK_SESSION_MAYBE)
		a->s->n.maybe++;
	else if (rc == DK_SESSION_NO_NODE)
		a->s->n.failed++;
	if (a->fn)
		a->fn(a->s, a->arg, rc, body ? body : &none);
	asking_free(a);
}

/* ---- asking ---- */

static void attempt(struct session_asking *a);

static void on_timer(void *self, struct dk_timer *t)
{
	(void)self;
	attempt(dk_container_of(t, struct session_asking, timer));
}

/* From the beginning, in a moment. */
static void later(struct session_asking *a, uint32_t ms)
{
	a->s->n.retried++;
	a->stage = AT_HERE;
	a->slot = 0;
	a->unsure = false;
	dk_timer_start(a->s, &a->timer, ms, 0, on_timer);
}

static void take_answer(struct session_asking *a, int err, int status, dk_slice body)
{
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	struct session_known *k;

	if (err && err != -EHOSTUNREACH) {
		if (!(a->flags & SESSION_AGAIN)) {
			finish(a, DK_SESSION_MAYBE, NULL);
			return;
		}
		a->unsure = true;
	}
	if (err == -EHOSTUNREACH)
		a->unsure = true;
	if (err || status != DK_STATUS_OK || c.bad) { /* or it does not run this plugin */
		attempt(a);
		return;
	}
	switch (outcome) {
	case DK_SESSION_GONE:
		attempt(a);
		break;
	case SESSION_WAIT:
		a->hint = a->at;
		later(a, WAIT_MS);
		break;
	case SESSION_ELSEWHERE:
		a->hint = session_rd_addr(&c);
		if (c.bad)
			a->hint.family = 0;
		a->stage = AT_HINT;
		a->slot = 0;
		if (a->hops++ >= HOPS_MAX) {
			a->hops = 0;
			later(a, WAIT_MS);
		} else {
			attempt(a);
		}
		break;
	case SESSION_NO_MEMORY:
		finish(a, -ENOMEM, NULL);
		break;
	case SESSION_INVALID:
		finish(a, -EINVAL, NULL);
		break;
	default:
		k = outcome == 0 ? session_known_find(&a->s->seats, &a->session) : NULL;
		if (k)
			k->home = a->at;
		finish(a, outcome, &c);
	}
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct sessions *s = self;
	struct session_asking *a = dk_table_get(&s->asks, (dk_id)(uintptr_t)arg);

	if (a)
		take_answer(a, err, status, body);
}

/* dk_finish_fn, of what was asked of this node. */
static void answered_here(void *self, const struct dk_call *call, int status, dk_slice body)
{
	answered(self, call->priv, 0, status, body);
}

static bool ask_here(struct session_asking *a)
{
	struct dk_incoming in = { .ver = DK_VER_NODE, .origin = DK_FROM_NODE, .cmd = a->cmd, .finish = answered_here };

	in.payload = dk_slice_n(a->bytes, a->n);
	in.token = a->id;
	in.from = *dk_node_addr(a->s);
	return dk_dispatch(a->s, &in) <= DK_LATER;
}

static bool ask_at(struct session_asking *a, const struct dk_addr *to)
{
	struct sessions *s = a->s;
	uint64_t left = a->until_ms - dk_now(s);
	uint32_t ms = (a->flags & SESSION_AGAIN) && left > TRY_MS ? TRY_MS : (uint32_t)left;

	a->at = *to;
	if (dk_addr_eq(to, dk_node_addr(s)))
		return ask_here(a);
	/* Ids come from clients: nobody outside the cluster is spoken to because a client says so. */
	if (session_alone(s) || !session_node_there(s->cluster->node(s->cluster, to)))
		return false;
	s->n.asked_away++;
	return s->carrier->request(s->carrier, s, to, DK_VER_NODE, a->cmd, dk_slice_n(a->bytes, a->n), ms, answered,
				   (void *)(uintptr_t)a->id, NULL) == 0;
}

/* An id that nobody knows costs a question to each node. */
static bool may_search(struct sessions *s)
{
	if (dk_now(s) - s->asked_since_ms >= 1000) {
		s->asked_since_ms = dk_now(s);
		s->asked = 0;
	}
	if (s->asked++ < SEARCHES_PER_S)
		return true;
	s->n.not_searched++;
	return false;
}

/* Whoever may know it next. False: there is nobody left. */
static bool next_place(struct session_asking *a, struct dk_addr *ret_addr)
{
	struct sessions *s = a->s;
	const struct session_known *k;
	const struct session_former *f;
	const struct dk_cluster_node *node;

	switch (a->stage++) {
	case AT_HERE: /* see attempt() */
		return true;
	case AT_HINT:
		*ret_addr = a->hint;
		return true;
	case AT_KNOWN:
		k = session_known_find(&s->seats, &a->session);
		*ret_addr = k ? k->home : (struct dk_addr){ .family = 0 };
		return true;
	case AT_FORMER:
		f = session_former_get(s, &a->session);
		*ret_addr = f ? f->home : (struct dk_addr){ .family = 0 };
		return true;
	case AT_MAKER:
		if (!session_id_addr(&a->session, ret_addr))
			ret_addr->family = 0;
		return true;
	case AT_EVERYBODY:
		if (session_alone(s) || !(a->flags & SESSION_SEARCH) || (!a->slot && !may_search(s)))
			return false;
		node = s->cluster->next(s->cluster, &a->slot);
		if (!node)
			return false;
		a->stage = AT_EVERYBODY;
		*ret_addr = node->addr;
		return true;
	default:
		return false;
	}
}

static void attempt(struct session_asking *a)
{
	struct dk_addr to = { .family = 0 };

	if (dk_now(a->s) >= a->until_ms) {
		finish(a, DK_SESSION_NO_NODE, NULL);
		return;
	}
	/* A node by itself may have no address. */
	if (a->stage == AT_HERE && session_store_find(&a->s->store, &a->session)) {
		a->stage++;
		a->at = *dk_node_addr(a->s);
		if (ask_here(a))
			return;
	}
	while (next_place(a, &to))
		if (to.family && ask_at(a, &to))
			return;
	if (a->unsure)
		later(a, 5 * WAIT_MS);
	else
		finish(a, DK_SESSION_GONE, NULL);
}

static void first_attempt(void *self, uint64_t id)
{
	struct sessions *s = self;
	struct session_asking *a = dk_table_get(&s->asks, id);

	if (a)
		attempt(a);
}

int session_ask(struct sessions *s, const struct dk_session_id *id, uint16_t cmd, dk_slice payload, unsigned flags,
		session_answer_fn *fn, void *arg)
{
	const struct session_known *k = session_known_find(&s->seats, id);
	struct session_asking *a;
	dk_id ask;

	a = dk_table_add(&s->asks, &ask);
	if (!a)
		return -ENOMEM;
	*a = (struct session_asking){
		.s = s, .id = ask, .session = *id, .cmd = cmd, .flags = (uint8_t)flags, .fn = fn, .arg = arg
	};
	a->until_ms = dk_now(s) + PATIENCE_MS;
	if (k)
		a->hint = k->home;
	a->n = payload.n;
	a->bytes = payload.n <= SMALL ? a->small : dk_alloc(s, payload.n);
	if (!a->bytes || dk_defer(s, first_attempt, ask)) {
		asking_free(a);
		return -ENOMEM;
	}
	memcpy(a->bytes, payload.p, payload.n);
	return 0;
}

void session_send(struct sessions *s, const struct dk_addr *to, uint16_t cmd, dk_slice payload)
{
	struct dk_incoming in = {
		.ver = DK_VER_NODE, .origin = DK_FROM_NODE, .cmd = cmd, .payload = payload, .from = *dk_node_addr(s)
	};

	if (dk_addr_eq(to, dk_node_addr(s)))
		dk_dispatch(s, &in);
	else if (s->carrier)
		s->carrier->send(s->carrier, to, DK_VER_NODE, cmd, payload, DK_RELIABLE);
}

int session_say_outcome(struct dk_call *call, int rc)
{
	uint8_t outcome = rc == -ENOMEM ? SESSION_NO_MEMORY : rc < 0 ? SESSION_INVALID : (uint8_t)rc;

	return dk_answer(call, dk_slice_n(&outcome, 1));
}

void session_ask_init(struct sessions *s)
{
	dk_table_init(s, &s->asks, DK_KIND_APP, sizeof(struct session_asking), ASKS_MAX, "questions to homes of sessions");
}

void session_ask_fini(struct sessions *s)
{
	struct session_asking *a;
	uint32_t slot = 0;
	dk_id id;

	/* What hangs on them is their askers' to free; nobody begins a new one because of it. */
	while ((a = dk_table_next(&s->asks, &slot, &id)))
		finish(a, -ECANCELED, NULL);
	dk_table_fini(&s->asks);
	for (size_t b = 0; b < SESSION_FORMER_BUCKETS; b++)
		for (struct session_former *f = s->former[b], *next; f; f = next) {
			next = f->next;
			dk_free(s, f, sizeof(*f));
		}
}
