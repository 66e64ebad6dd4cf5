/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: (ver, cmd) -> row, its hooks and its handler; one call through them; the answer. Whoever brings a call in (a user's
 * queue, a task file, an operator, code) passes a finish function, which is called exactly once, unless the call's user is
 * forgotten meanwhile.
 *
 * A call runs through the stages BEFORE hooks, handler, AFTER hooks. A stage that returns DK_LATER parks it: the payload and the
 * answer so far are copied, and dk_call_done() takes the parked stage's result. Calls that are not parked cost no allocation.
 */
#include "kernel.h"
#include "payload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CALLS_MAX 65536
#define ANSWER_MAX 65536
#define NODE_ANSWER_MAX (10u << 20) /* to other nodes */
#define NODE_CMD_OURS 10000

struct hook_at {
	struct dk_plugin *plugin;
	int (*fn)(void *self, struct dk_call *call);
};

struct entry {
	struct dk_command row;
	struct dk_plugin *plugin;
	struct typed *typed;
	struct hook_at *hooks; /* all BEFORE, then all AFTER */
	uint16_t before, hooks_n;
};

struct call {
	struct dk_call pub;
	const struct entry *entry;
	struct dk_plugin *owner; /* who dispatched it */
	dk_finish_fn *finish;
	uint16_t stage; /* hooks[0..before), handler, hooks[before..n) */
	bool parked, answered, in_stage, late_done;
	int status, late_rc;
	dk_slice body;
	struct dk_writer w;
	uint8_t *copy; /* payload and body of a parked call */
	size_t copy_n;
	uint8_t *large; /* an answer that scratch has no room for */
};

struct command_state {
	struct entry *entries;
	size_t n;
	uint32_t *index; /* open addressing, entry + 1 */
	uint32_t mask;
	struct dk_table calls;
	struct dk_timer sweep;
	size_t parked;
	uint8_t code_size; /* bytes of the code before an error's text; 0 = errors are text alone */
};

static uint32_t key_of(uint8_t ver, uint16_t cmd)
{
	return (uint32_t)ver << 16 | cmd;
}

static struct entry *entry_find(const struct command_state *s, uint8_t ver, uint16_t cmd)
{
	if (!s->n)
		return NULL;
	for (uint32_t i = key_of(ver, cmd) * 0x9e3779b1u & s->mask; s->index[i]; i = (i + 1) & s->mask) {
		struct entry *e = &s->entries[s->index[i] - 1];

		if (e->row.ver == ver && e->row.cmd == cmd)
			return e;
	}
	return NULL;
}

const struct dk_command *dk_command_find(void *self, uint8_t ver, uint16_t cmd)
{
	struct entry *e = entry_find(plugin_of(self)->k->commands, ver, cmd);

	return e ? &e->row : NULL;
}

static struct entry *entry_named(const struct command_state *s, dk_str name)
{
	for (size_t i = 0; i < s->n; i++)
		if (dk_str_eq(dk_str_c(s->entries[i].row.name), name))
			return &s->entries[i];
	return NULL;
}

const struct dk_command *dk_command_named(void *self, dk_str name)
{
	struct entry *e = entry_named(plugin_of(self)->k->commands, name);

	return e ? &e->row : NULL;
}

/* ---- boot ---- */

static bool hook_matches(const struct dk_hook *h, const struct entry *e, bool any)
{
	bool is_any = h->ver == DK_ANY_VER && h->cmd == DK_ANY_CMD;

	return any ? is_any : !is_any && h->ver == e->row.ver && h->cmd == e->row.cmd;
}

/* Those of every command first, then its own; both in order of plugins. */
static void collect_hooks(struct dk_kernel *k, struct entry *e, int when)
{
	for (int any = 1; any >= 0; any--)
		for (size_t i = 0; i < k->plugin_n; i++)
			for (const struct dk_hook *h = k->plugins[i]->desc.hooks; h && h->fn; h++)
				if (h->when == when && hook_matches(h, e, any)) {
					if (e->hooks)
						e->hooks[e->hooks_n] = (struct hook_at){ k->plugins[i], h->fn };
					e->hooks_n++;
				}
}

static int prepare(struct dk_kernel *k, struct entry *e)
{
	char why[256];

	if (typed_prepare(&e->row, &e->typed, why, sizeof(why)) < 0) {
		log_kernel(k, DK_ERROR, "%s: command %s (%u, %u): %s", e->plugin->instance, e->row.name, e->row.ver, e->row.cmd,
			   why);
		return DK_EXIT_CONFIG;
	}
	collect_hooks(k, e, DK_BEFORE);
	collect_hooks(k, e, DK_AFTER);
	e->hooks = calloc(e->hooks_n + 1u, sizeof(*e->hooks));
	if (!e->hooks)
		return DK_EXIT_RUNTIME;
	e->hooks_n = 0;
	collect_hooks(k, e, DK_BEFORE);
	e->before = e->hooks_n;
	collect_hooks(k, e, DK_AFTER);
	return 0;
}

/* Versions 0 and 1, and the lower numbers between nodes, belong to plugins that come with the product. */
static bool reserved(const struct dk_plugin *p, const struct dk_command *row)
{
	static const char *const ours[] = { "user", "room",     "group", "session", "dm",   "matching", "field",
					    "p2p",  "notifier", "debug", "mesh",    "dive", "dgs",      "mars" };

	if (row->ver == DK_VER_NODE ? row->cmd > NODE_CMD_OURS : row->ver >= 2 || row->flags & DK_INTERNAL)
		return false;
	for (size_t i = 0; i < DK_ARRAY_LEN(ours); i++)
		if (!strcmp(p->desc.name, ours[i]))
			return false;
	return true;
}

static int add_rows(struct dk_kernel *k, struct dk_plugin *p)
{
	struct command_state *s = k->commands;
	int rc = 0;

	for (const struct dk_command *row = p->desc.commands; row && row->name; row++) {
		struct entry *old = entry_find(s, row->ver, row->cmd);
		uint32_t i = key_of(row->ver, row->cmd) * 0x9e3779b1u & s->mask;

		if (reserved(p, row)) {
			log_kernel(k, DK_ERROR, "%s: command %s is (%u, %u), but %s", p->instance, row->name, row->ver, row->cmd,
				   row->ver == DK_VER_NODE ? "numbers up to 10000 between nodes are reserved to built-in modules; "
							     "use one above"
							   : "versions 0 and 1 are reserved to built-in modules; use version 2 or "
							     "above");
			rc = DK_EXIT_CONFIG;
			continue;
		}
		if (!old)
			old = entry_named(s, dk_str_c(row->name));
		if (old) {
			log_kernel(k, DK_ERROR,
				   "%s: command %s (%u, %u) clashes with %s (%u, %u) of %s; numbers and names are unique on a node",
				   p->instance, row->name, row->ver, row->cmd, old->row.name, old->row.ver, old->row.cmd,
				   old->plugin->instance);
			rc = DK_EXIT_CONFIG;
			continue;
		}
		while (s->index[i])
			i = (i + 1) & s->mask;
		s->entries[s->n] = (struct entry){ .row = *row, .plugin = p };
		s->index[i] = (uint32_t)++s->n;
	}
	return rc;
}

int command_init(struct dk_kernel *k)
{
	struct command_state *s = calloc(1, sizeof(*s));
	const char *structured = kernel_getenv(k, "DIARKIS_USE_STRUCT_ERR");
	int64_t bits = config_kernel(k->config)->struct_err_bits;
	size_t rows = 0, size = 16;
	int rc = 0, r;

	k->commands = s;
	if (!s)
		return DK_EXIT_RUNTIME;
	if (bits != 16 && bits != 32) {
		log_kernel(k, DK_ERROR, "\"struct_err_bits\" must be 32 or 16, found %lld", (long long)bits);
		return DK_EXIT_CONFIG;
	}
	if (structured && (!strcmp(structured, "TRUE") || !strcmp(structured, "true")))
		s->code_size = (uint8_t)(bits / 8);
	dk_table_init(k->app->self, &s->calls, DK_KIND_CALL, sizeof(struct call), CALLS_MAX, "calls");
	for (size_t i = 0; i < k->plugin_n; i++)
		for (const struct dk_command *row = k->plugins[i]->desc.commands; row && row->name; row++)
			rows++;
	while (size < rows * 2)
		size *= 2;
	s->mask = (uint32_t)size - 1;
	s->index = calloc(size, sizeof(*s->index));
	s->entries = calloc(rows + 1, sizeof(*s->entries));
	if (!s->index || !s->entries)
		return DK_EXIT_RUNTIME;
	for (size_t i = 0; i < k->plugin_n; i++) {
		r = add_rows(k, k->plugins[i]);
		rc = r ? r : rc;
	}
	for (size_t i = 0; i < s->n; i++) {
		r = prepare(k, &s->entries[i]);
		rc = r ? r : rc;
	}
	return rc;
}

static void unpark(struct command_state *s, struct call *c)
{
	s->parked -= c->parked;
	c->parked = false;
}

static void call_free(struct command_state *s, struct call *c)
{
	unpark(s, c);
	free(c->copy);
	free(c->large);
	dk_table_remove(&s->calls, c->pub.id);
}

void command_fini(struct dk_kernel *k)
{
	struct command_state *s = k->commands;
	uint32_t slot = 0;
	struct call *c;
	dk_id id;

	if (!s)
		return;
	while (s->calls.self && (c = dk_table_next(&s->calls, &slot, &id)))
		call_free(s, c);
	for (size_t i = 0; i < s->n; i++) {
		typed_free(s->entries[i].typed);
		free(s->entries[i].hooks);
	}
	if (s->calls.self)
		dk_table_fini(&s->calls);
	free(s->entries);
	free(s->index);
	free(s);
	k->commands = NULL;
}

/* ---- answers ---- */

static struct call *call_of(const struct dk_call *call)
{
	return dk_container_of((struct dk_call *)(uintptr_t)call, struct call, pub);
}

struct dk_writer *dk_answer_begin(struct dk_call *call)
{
	struct call *c = call_of(call);
	uint8_t *buf = scratch_take(c->owner->k, ANSWER_MAX);

	c->w = dk_writer_on(buf, buf ? ANSWER_MAX : 0);
	return &c->w;
}

static int answer(struct call *c, int status, dk_slice body)
{
	c->answered = true;
	c->status = status;
	c->body = body;
	return 0;
}

int dk_answer_end(struct dk_call *call)
{
	struct call *c = call_of(call);
	size_t used = (size_t)(c->w.p - c->w.start);

	if (c->w.bad)
		return dk_fail(call, DK_E_INTERNAL, "the answer is longer than %d bytes", ANSWER_MAX);
	scratch_release(c->owner->k, scratch_mark(c->owner->k) - ANSWER_MAX + ((used + 15) & ~(size_t)15));
	return answer(c, DK_STATUS_OK, dk_slice_n(c->w.start, used));
}

static int answer_large(struct call *c, dk_slice body)
{
	uint8_t *copy = body.n <= NODE_ANSWER_MAX ? malloc(body.n) : NULL;

	if (!copy)
		return dk_fail(&c->pub, DK_E_INTERNAL, "an answer of %zu bytes is too long", body.n);
	memcpy(copy, body.p, body.n);
	free(c->large);
	c->large = copy;
	return answer(c, DK_STATUS_OK, dk_slice_n(copy, body.n));
}

int dk_answer(struct dk_call *call, dk_slice body)
{
	struct dk_writer *w;

	if (body.n > ANSWER_MAX && call->origin == DK_FROM_NODE)
		return answer_large(call_of(call), body);
	w = dk_answer_begin(call);
	dk_wr_slice(w, body);
	return dk_answer_end(call);
}

static void put_code(const struct command_state *s, struct dk_writer *w, uint32_t code)
{
	if (s->code_size)
		dk_error_pack(w, &(struct dk_error){ .code = code }, s->code_size * 8);
}

static int answer_text(struct dk_call *call, int status, uint32_t code, const char *fmt, va_list ap)
{
	struct call *c = call_of(call);
	const struct command_state *s = c->owner->k->commands;
	size_t head = s->code_size, cap = 1024;
	uint8_t *buf = scratch_take(c->owner->k, cap);
	struct dk_writer w = dk_writer_on(buf, buf ? cap : 0);
	int n;

	if (!buf)
		return answer(c, status, dk_slice_n(NULL, 0));
	put_code(s, &w, code);
	n = vsnprintf((char *)w.p, cap - head, fmt, ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= cap - head)
		n = (int)(cap - head) - 1;
	return answer(c, status, dk_slice_n(buf, head + (size_t)n));
}

int dk_refuse(struct dk_call *call, uint32_t code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer_text(call, DK_STATUS_BAD, code, fmt, ap);
	va_end(ap);
	return 0;
}

int dk_fail(struct dk_call *call, uint32_t code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer_text(call, DK_STATUS_ERR, code, fmt, ap);
	va_end(ap);
	return 0;
}

int dk_error_body(void *self, enum dk_status status, uint32_t code, const char *text, struct dk_writer *w)
{
	const struct command_state *s = plugin_of(self)->k->commands;

	put_code(s, w, code);
	dk_wr_slice(w, dk_slice_of(dk_str_c(text)));
	return (int)status * (s->code_size ? 10 : 1);
}

dk_slice dk_call_body(const struct dk_call *call)
{
	return call_of(call)->body;
}

int dk_call_status(const struct dk_call *call)
{
	struct call *c = call_of(call);

	return c->answered ? c->status : 0;
}

/* ---- one call's way ---- */

static void finish(struct call *c)
{
	struct dk_kernel *k = c->owner->k;

	if (!c->answered)
		answer(c, DK_STATUS_OK, dk_slice_n(NULL, 0));
	if (c->status != DK_STATUS_OK && k->commands->code_size)
		c->status *= 10;
	if (c->finish)
		c->finish(c->owner->self, &c->pub, c->status, c->body);
	call_free(k->commands, c);
}

static int run_handler(struct call *c)
{
	const struct entry *e = c->entry;
	const char *why;
	int rc;

	if (e->row.flags & DK_RAW)
		return ((int (*)(void *, struct dk_call *))(void (*)(void))e->row.fn)(e->plugin->self, &c->pub);
	rc = typed_call(e->typed, e->plugin->self, &c->pub, &why);
	if (rc != TYPED_BAD)
		return rc;
	if (!why)
		return dk_refuse(&c->pub, DK_E_PARAMS, "%s: bytes are left over after the last parameter", e->row.name);
	return dk_refuse(&c->pub, DK_E_SHORT, "%s: the payload of %zu bytes ends before parameter %s, or its value is not allowed",
			 e->row.name, c->pub.payload.n, why);
}

/* Keeps what lives in somebody's buffer. */
static int park(struct call *c)
{
	struct command_state *s = c->owner->k->commands;
	size_t n = c->pub.payload.n + c->body.n;
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		return -ENOMEM;
	if (c->pub.payload.n)
		memcpy(copy, c->pub.payload.p, c->pub.payload.n);
	if (c->body.n)
		memcpy(copy + c->pub.payload.n, c->body.p, c->body.n);
	c->pub.payload.p = copy;
	if (c->answered)
		c->body.p = copy + c->pub.payload.n;
	free(c->copy);
	c->copy = copy;
	c->copy_n = n;
	if (!c->parked)
		s->parked++;
	c->parked = true;
	return 0;
}

/* What a stage's result means: true = go on with the next stage. */
static bool stage_done(struct call *c, int rc)
{
	bool before = c->stage < c->entry->before;

	if (rc < 0) {
		dk_fail(&c->pub, DK_E_INTERNAL, "%s: %s", c->entry->row.name, dk_err_text(rc));
		return false;
	}
	if (rc > 0) { /* somebody else's outcome that the handler should have translated; it must not pass for success */
		dk_fail(&c->pub, DK_E_INTERNAL, "%s: outcome %d of a function was handed on", c->entry->row.name, rc);
		return false;
	}
	if (before)
		return !c->answered;
	if (c->stage == c->entry->before && !c->answered)
		answer(c, DK_STATUS_OK, dk_slice_n(NULL, 0));
	return c->status == DK_STATUS_OK;
}

static int run_stage(struct call *c)
{
	const struct entry *e = c->entry;
	const struct hook_at *hook = c->stage == e->before ? NULL : &e->hooks[c->stage - (c->stage > e->before)];
	struct dk_plugin *p = hook ? hook->plugin : e->plugin;
	struct dk_plugin *before = kernel_enter(p);
	int rc;

	c->in_stage = true;
	c->late_done = false;
	rc = hook ? hook->fn(p->self, &c->pub) : run_handler(c);
	c->in_stage = false;
	kernel_leave(p, before);
	return rc;
}

/* Runs stages until the call is finished (0) or parked (DK_LATER). */
static int run(struct call *c)
{
	const struct entry *e = c->entry;
	int rc;

	while (c->stage <= e->hooks_n) {
		rc = run_stage(c);
		if (rc == DK_LATER) {
			if (c->late_done) { /* finished by id before it even returned */
				rc = c->late_rc == DK_LATER ? 0 : c->late_rc;
			} else {
				rc = park(c);
				if (rc == 0)
					return DK_LATER;
			}
		}
		if (!stage_done(c, rc))
			break;
		c->stage++;
	}
	finish(c);
	return 0;
}

static void sweep(void *self, struct dk_timer *t)
{
	struct command_state *s = dk_container_of(t, struct command_state, sweep);
	struct call *c;
	uint32_t slot = 0;
	dk_id id;

	while ((c = dk_table_next(&s->calls, &slot, &id)))
		if (c->parked && c->pub.deadline && c->pub.deadline <= dk_now(self)) {
			dk_fail(&c->pub, DK_E_INTERNAL, "%s: no answer before its deadline", c->entry->row.name);
			finish(c);
		}
	if (!s->parked)
		dk_timer_stop(t);
}

static bool may_call(const struct dk_command *row, uint8_t origin)
{
	switch (origin) {
	case DK_FROM_USER:
		return row->flags & DK_CLIENT;
	case DK_FROM_TASK:
	case DK_FROM_ADMIN:
		return !(row->flags & DK_INTERNAL);
	default:
		return true;
	}
}

/* Other nodes go on calling until the carrier stops, which is later. */
static bool has_stopped(const struct dk_plugin *p)
{
	return p->k->life >= LIFE_STOPPING && p != p->k->app && p->phase < PHASE_START;
}

int dk_dispatch(void *self, const struct dk_incoming *in)
{
	struct dk_plugin *owner = plugin_of(self);
	struct dk_kernel *k = owner->k;
	struct command_state *s = k->commands;
	const struct entry *e = entry_find(s, in->ver, in->cmd);
	size_t mark = scratch_mark(k);
	struct call *c;
	dk_id id;
	int rc = 0;

	if (!e || !may_call(&e->row, in->origin) || has_stopped(e->plugin))
		return DK_NOT_FOUND;
	c = dk_table_add(&s->calls, &id);
	if (!c)
		return DK_FULL;
	c->pub = (struct dk_call){ .id = id,
				   .ver = in->ver,
				   .cmd = in->cmd,
				   .origin = in->origin,
				   .user = in->user,
				   .deadline = in->deadline,
				   .payload = in->payload,
				   .row = &e->row,
				   .priv = (void *)(uintptr_t)in->token,
				   .from = in->from };
	c->entry = e;
	c->owner = owner;
	c->finish = in->finish;
	if (in->origin == DK_FROM_ELSEWHERE) {
		answer(c, DK_STATUS_OK, ((const struct dk_answered *)in)->body);
		c->stage = e->before + 1;
	}
	if ((e->row.flags & DK_USER) && !in->user) {
		dk_refuse(&c->pub, DK_E_PARAMS, "%s is called by a user, and this call has none", e->row.name);
		finish(c);
	} else {
		rc = run(c);
	}
	if (rc == DK_LATER && in->deadline && !dk_timer_armed(&s->sweep))
		dk_timer_start(k->app->self, &s->sweep, 100, 100, sweep);
	scratch_release(k, mark);
	return rc;
}

struct dk_call *dk_call_get(void *self, dk_id id)
{
	struct call *c = dk_table_get(&plugin_of(self)->k->commands->calls, id);

	return c ? &c->pub : NULL;
}

void dk_call_done(void *self, dk_id id, int rc)
{
	struct dk_kernel *k = plugin_of(self)->k;
	struct call *c = dk_table_get(&k->commands->calls, id);
	size_t mark;

	if (!c)
		return;
	if (c->in_stage) {
		c->late_done = true;
		c->late_rc = rc;
		return;
	}
	if (!c->parked)
		return;
	unpark(k->commands, c); /* who forgets its user from inside a stage must not free it */
	mark = scratch_mark(k);
	if (stage_done(c, rc == DK_LATER ? 0 : rc)) {
		c->stage++;
		run(c);
	} else {
		finish(c);
	}
	scratch_release(k, mark);
}

void dk_call_drop(void *self, dk_id id)
{
	struct command_state *s = plugin_of(self)->k->commands;
	struct call *c = dk_table_get(&s->calls, id);

	if (!c || !c->parked)
		return;
	unpark(s, c);
	if (c->finish)
		c->finish(c->owner->self, &c->pub, 0, dk_slice_n(NULL, 0));
	call_free(s, c);
}

void dk_call_forget_user(void *self, dk_id user)
{
	struct command_state *s = plugin_of(self)->k->commands;
	struct call *c;
	uint32_t slot = 0;
	dk_id id;

	if (!s->parked)
		return;
	while ((c = dk_table_next(&s->calls, &slot, &id)))
		if (c->parked && c->pub.user == user)
			call_free(s, c);
}

int dk_call_named(void *self, dk_str name, const dk_str *args, size_t n, enum dk_origin origin, uint64_t token, dk_finish_fn *done,
		  const char **ret_why)
{
	struct dk_plugin *p = plugin_of(self);
	struct entry *e = entry_named(p->k->commands, name);
	struct dk_incoming in = { .origin = (uint8_t)origin, .token = token, .finish = done };
	size_t mark = scratch_mark(p->k), why_n = 512;
	struct dk_writer w;
	char *why;
	int rc;

	if (!e)
		return DK_NOT_FOUND;
	why = scratch_take(p->k, why_n);
	w = dk_writer_on(scratch_take(p->k, ANSWER_MAX), ANSWER_MAX);
	if (!why || !w.start)
		return -ENOMEM;
	if (payload_encode(&e->row, args, n, &w, why, why_n) < 0) {
		*ret_why = why;
		scratch_release(p->k, mark + why_n);
		return -EINVAL;
	}
	in.ver = e->row.ver;
	in.cmd = e->row.cmd;
	in.payload = dk_written(&w);
	rc = dk_dispatch(self, &in);
	scratch_release(p->k, mark);
	return rc;
}

const char *dk_payload_text(void *self, const struct dk_param *params, bool puffer, dk_slice payload)
{
	char *buf = dk_scratch(self, 4096);

	if (!buf)
		return "";
	payload_text(params, puffer, payload, buf, 4096);
	return buf;
}
