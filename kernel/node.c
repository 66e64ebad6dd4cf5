/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node says of itself: the addresses its plugins serve, the one that names it, its state, the files that tell others of
 * it, and the public ids that carry its name. The node is TAKEN while any plugin says so; OFFLINE, once it is to stop, outdoes it.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAKEN_EVERY_MS 2000

struct published {
	struct published *next;
	struct dk_plugin *owner;
	char *path, *text;
	size_t n;
};

/* ---- addresses ---- */

void dk_announce(void *self, const char *role, const struct dk_addr *bound, bool clients)
{
	struct dk_plugin *p = plugin_of(self);

	if (p->k->announced_n < KERNEL_ANNOUNCE_MAX)
		p->k->announced[p->k->announced_n++] = (struct announce){ p, role, *bound, clients };
}

const struct dk_addr *dk_announced_at(const void *self, size_t i, const char **ret_instance, const char **ret_role)
{
	const struct dk_kernel *k = plugin_of(self)->k;

	if (i >= k->announced_n)
		return NULL;
	*ret_instance = k->announced[i].plugin->instance;
	*ret_role = k->announced[i].role;
	return &k->announced[i].addr;
}

const struct dk_addr *dk_node_addr(const void *self)
{
	static const struct dk_addr none = { .family = 0 };
	struct dk_kernel *k = plugin_of(self)->k;

	if (k->addr.family)
		return &k->addr;
	for (size_t i = 0; i < k->announced_n; i++)
		if (k->announced[i].clients)
			return &k->announced[i].addr;
	return &none;
}

void dk_set_node_addr(void *self, const struct dk_addr *addr)
{
	plugin_of(self)->k->addr = *addr;
}

/* ---- ONLINE, TAKEN, OFFLINE ---- */

enum dk_node_state dk_node_state(const void *self)
{
	const struct dk_kernel *k = plugin_of(self)->k;

	if (dk_is_stopping(k))
		return DK_OFFLINE;
	for (size_t i = 0; i < k->plugin_n; i++)
		if (k->plugins[i]->taken)
			return DK_TAKEN;
	return DK_ONLINE;
}

void dk_set_taken(void *self, bool taken)
{
	plugin_of(self)->taken = taken;
}

static void ask_taken(void *kernel, struct dk_timer *t)
{
	struct dk_kernel *k = kernel;

	if (dk_is_stopping(k)) /* OFFLINE it is, and plugins are about to go */
		return;
	for (size_t i = 0; i < k->plugin_n; i++) {
		struct dk_plugin *p = k->plugins[i];

		if (p->taken_if)
			KERNEL_CALL(p, p->taken = p->taken_if(p->self));
	}
	io_timer_start(k, t, TAKEN_EVERY_MS, ask_taken);
}

void dk_mark_taken_if(void *self, bool (*fn)(void *self))
{
	struct dk_plugin *p = plugin_of(self);

	p->taken_if = fn;
	if (!fn)
		p->taken = false;
	else if (!dk_timer_armed(&p->k->taken_timer))
		io_timer_start(p->k, &p->k->taken_timer, TAKEN_EVERY_MS, ask_taken);
}

/* ---- files that tell others ---- */

unsigned dk_worker(const void *self)
{
	return plugin_of(self)->k->worker;
}

/* Whether the file still says what was written. */
static bool still_ours(const struct published *f)
{
	int fd = open(f->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char *text = malloc(f->n + 1);
	bool same = fd >= 0 && text && read(fd, text, f->n + 1) == (ssize_t)f->n && memcmp(text, f->text, f->n) == 0;

	free(text);
	if (fd >= 0)
		close(fd);
	return same;
}

static void published_free(struct published *f)
{
	if (f) {
		free(f->path);
		free(f->text);
	}
	free(f);
}

static void take_out(struct dk_kernel *k, struct published *f)
{
	struct published **at = &k->published;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
}

static void unpublish(void *self, void *a, void *b)
{
	struct published *f = a;

	(void)b;
	take_out(plugin_of(self)->k, f);
	if (still_ours(f))
		unlink(f->path);
	published_free(f);
}

/* By a file of a fresh name beside it: whatever stands at path, a planted link too, is replaced and never written through. */
static int write_file(const struct published *f)
{
	char fresh[4096];
	int fd, rc = 0;

	if (snprintf(fresh, sizeof(fresh), "%s.XXXXXX", f->path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	fd = mkostemp(fresh, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	errno = EIO; /* of a write that was cut short */
	if (write(fd, f->text, f->n) != (ssize_t)f->n || fchmod(fd, 0644) < 0)
		rc = -errno;
	close(fd);
	if (rc == 0 && rename(fresh, f->path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(fresh);
	return rc;
}

static struct published *published_new(struct dk_plugin *owner, const char *path, dk_str text)
{
	struct published *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->owner = owner;
	f->path = strdup(path);
	f->text = malloc(text.n + 1);
	f->n = text.n;
	if (f->path && f->text) {
		memcpy(f->text, text.n ? text.p : "", text.n);
		return f;
	}
	published_free(f);
	return NULL;
}

static int publish(struct dk_plugin *p, const char *name, const char *suffix, dk_str text)
{
	struct published *f, *old = p->k->published;
	char path[4096];
	int rc = -ENOMEM;

	snprintf(path, sizeof(path), "%s/%s%s%s", p->k->temp_dir, name, suffix ? "_" : "", suffix ? suffix : "");
	f = published_new(p, path, text);
	if (f)
		rc = write_file(f);
	if (rc == 0 && (rc = ledger_add(p, unpublish, f, NULL, "published file")) < 0)
		unlink(path);
	if (rc < 0) {
		log_kernel(p->k, DK_WARN, "%s cannot write %s: %s", p->instance, path, dk_err_text(rc));
		published_free(f);
		return rc;
	}
	while (old && strcmp(old->path, path) != 0)
		old = old->next;
	if (old) { /* what it said is gone */
		ledger_drop(old->owner, unpublish, old, NULL);
		take_out(p->k, old);
		published_free(old);
	}
	f->next = p->k->published;
	p->k->published = f;
	return 0;
}

int dk_publish_file(void *self, const char *name, const char *suffix, dk_str text)
{
	struct dk_plugin *p = plugin_of(self);
	int rc = p->k->worker ? 0 : publish(p, name, NULL, text), worse = suffix ? publish(p, name, suffix, text) : 0;

	return worse ? worse : rc;
}

/* ---- public ids ---- */

static void hex_put(char *to, uint64_t v, int digits)
{
	static const char hex[] = "0123456789abcdef";

	while (digits-- > 0) {
		to[digits] = hex[v & 15];
		v >>= 4;
	}
}

static void slot_put(struct dk_id52 *id, unsigned slot, const struct dk_addr *a)
{
	/* An IPv6 node has no room in a slot of 12 digits: its last four bytes stand for it. */
	const uint8_t *ip = a->family == 6 ? a->ip + 12 : a->ip;
	uint64_t ip4 = (uint64_t)ip[0] << 24 | (uint64_t)ip[1] << 16 | (uint64_t)ip[2] << 8 | ip[3];

	hex_put(id->c + 16 + slot * 12, ip4, 8);
	hex_put(id->c + 24 + slot * 12, a->port, 4);
}

void dk_id52_new(void *self, struct dk_id52 *ret_id)
{
	struct dk_kernel *k = plugin_of(self)->k;
	const struct dk_addr *a = dk_node_addr(self);
	uint64_t ns = k->env->ops->wall_ns(k->env);

	if (ns <= k->last_id_ns)
		ns = k->last_id_ns + 1;
	k->last_id_ns = ns;
	hex_put(ret_id->c, ns, 16);
	memset(ret_id->c + 16, '0', 36);
	slot_put(ret_id, 0, a);
}

void dk_id52_set_backup(struct dk_id52 *id, unsigned slot, const struct dk_addr *addr)
{
	if (slot == 1 || slot == 2)
		slot_put(id, slot, addr);
}

int dk_id52_addr(const struct dk_id52 *id, unsigned slot, struct dk_addr *ret_addr)
{
	struct dk_addr a = { .family = 4 };
	uint64_t v = 0;

	if (slot > 2)
		return -EINVAL;
	for (int i = 0; i < DK_ID52_LEN; i++) {
		char c = id->c[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return -EINVAL;
		if (i >= 16 + (int)slot * 12 && i < 28 + (int)slot * 12)
			v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (!v)
		return DK_NOT_FOUND;
	a.port = (uint16_t)v;
	for (int i = 0; i < 4; i++)
		a.ip[i] = (uint8_t)(v >> (40 - 8 * i));
	*ret_addr = a;
	return 0;
}
