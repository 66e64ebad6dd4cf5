/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: what a plugin registered with others, each entry with its undo, newest first. When the plugin stops the kernel
 * undoes them all, so a plugin without a stop phase still stops correctly. Signals and filters live here too, because a
 * connected slot is nothing but such an entry.
 *
 * A slot that dies while its signal is being emitted is only marked; the emission that ends last sweeps it.
 */
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>

struct undo {
	struct undo *next;
	undo_fn *fn;
	void *a, *b;
	const char *what;
};

struct dk_slot {
	struct dk_slot *next;
	void *self;
	dk_slot_fn *fn;
	bool dead;
};

int ledger_add(struct dk_plugin *p, undo_fn *fn, void *a, void *b, const char *what)
{
	struct undo *u = malloc(sizeof(*u));

	if (!u)
		return -ENOMEM;
	*u = (struct undo){ p->ledger, fn, a, b, what };
	p->ledger = u;
	return 0;
}

void ledger_drop(struct dk_plugin *p, undo_fn *fn, void *a, void *b)
{
	for (struct undo **at = &p->ledger; *at; at = &(*at)->next) {
		struct undo *u = *at;

		if (u->fn == fn && u->a == a && u->b == b) {
			*at = u->next;
			free(u);
			return;
		}
	}
}

void ledger_revoke(struct dk_plugin *p)
{
	while (p->ledger) {
		struct undo *u = p->ledger;

		p->ledger = u->next;
		u->fn(p->self, u->a, u->b);
		free(u);
	}
}

size_t ledger_leftovers(struct dk_plugin *p)
{
	size_t n = io_leftovers(p);

	for (struct undo *u = p->ledger; u; u = u->next, n++)
		log_kernel(p->k, DK_ERROR, "leftover of %s: %s, registered after the plugin had stopped", p->instance, u->what);
	ledger_revoke(p);
	if (p->memory) {
		log_kernel(p->k, DK_ERROR, "leftover of %s: %zu bytes of memory not freed by its fini", p->instance, p->memory);
		n++;
	}
	return n;
}

static void own_undo(void *self, void *a, void *b)
{
	void (*undo)(void *, void *) = (void (*)(void *, void *))(void (*)(void))a;

	undo(self, b);
}

int dk_own(void *self, void (*undo)(void *self, void *arg), void *arg, const char *what)
{
	return ledger_add(plugin_of(self), own_undo, (void *)(void (*)(void))undo, arg, what);
}

void dk_disown(void *self, void (*undo)(void *self, void *arg), void *arg)
{
	ledger_drop(plugin_of(self), own_undo, (void *)(void (*)(void))undo, arg);
}

/* ---- signals ---- */

static void signal_sweep(struct dk_signal *sig)
{
	for (struct dk_slot **at = &sig->slots; *at;) {
		struct dk_slot *s = *at;

		if (s->dead) {
			*at = s->next;
			free(s);
		} else {
			at = &s->next;
		}
	}
	sig->dirty = 0;
}

static void slot_kill(struct dk_signal *sig, struct dk_slot *s)
{
	s->dead = true;
	sig->dirty = 1;
	if (!sig->emitting)
		signal_sweep(sig);
}

static void slot_undo(void *self, void *a, void *b)
{
	(void)self;
	slot_kill(a, b);
}

int dk_slot_connect(void *self, struct dk_signal *sig, dk_slot_fn *fn, const char *what)
{
	struct dk_slot *s = malloc(sizeof(*s));
	struct dk_slot **at;

	if (!s)
		return -ENOMEM;
	*s = (struct dk_slot){ NULL, self, fn, false };
	if (ledger_add(plugin_of(self), slot_undo, sig, s, what) < 0) {
		free(s);
		return -ENOMEM;
	}
	for (at = &sig->slots; *at;)
		at = &(*at)->next;
	*at = s;
	return 0;
}

void dk_slot_disconnect(void *self, struct dk_signal *sig, dk_slot_fn *fn)
{
	for (struct dk_slot *s = sig->slots; s; s = s->next)
		if (!s->dead && s->self == self && s->fn == fn) {
			ledger_drop(plugin_of(self), slot_undo, sig, s);
			slot_kill(sig, s);
			return;
		}
}

/* The round ends at the slot that was last when it began. */
static struct dk_slot *last_slot(const struct dk_signal *sig)
{
	struct dk_slot *s = sig->slots;

	while (s && s->next)
		s = s->next;
	return s;
}

static void round_end(struct dk_signal *sig)
{
	if (--sig->emitting == 0 && sig->dirty)
		signal_sweep(sig);
}

void dk_signal_emit(struct dk_signal *sig, const void *ev)
{
	struct dk_slot *last;

	if (!sig->slots)
		return;
	last = last_slot(sig);
	sig->emitting++;
	for (struct dk_slot *s = sig->slots; s; s = s == last ? NULL : s->next)
		if (!s->dead)
			((void (*)(void *, const void *))(void (*)(void))s->fn)(s->self, ev);
	round_end(sig);
}

int dk_filter_run(struct dk_signal *sig, void *ask)
{
	struct dk_slot *last;
	int rc = 0;

	if (!sig->slots)
		return 0;
	last = last_slot(sig);
	sig->emitting++;
	for (struct dk_slot *s = sig->slots; s && !rc; s = s == last ? NULL : s->next)
		if (!s->dead)
			rc = ((int (*)(void *, void *))(void (*)(void))s->fn)(s->self, ask);
	round_end(sig);
	return rc;
}
