/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people are shown: nodes, values and shared data as JSON, and the line a second of a registry's metrics. The keys of a node
 * are written down in <diarkis/mars_commands.h>.
 */
#include "mars_state.h"

#include <diarkis/plugin.h>
#include <diarkis/util.h>

#include <stdarg.h>
#include <stdio.h>

/* ---- JSON ---- */

static void DK_PRINTF(2, 3) say(struct dk_writer *w, const char *fmt, ...)
{
	char text[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		w->bad = true;
	else
		dk_wr_slice(w, dk_slice_n(text, (size_t)n));
}

static void say_text(struct dk_writer *w, dk_str s)
{
	dk_wr_u8(w, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch == '"' || ch == '\\')
			say(w, "\\%c", ch);
		else if (ch < 0x20 || ch == 0x7f)
			say(w, "\\u%04x", ch);
		else
			dk_wr_u8(w, ch);
	}
	dk_wr_u8(w, '"');
}

static void say_key(struct dk_writer *w, const char *key, const char *value)
{
	say(w, "\"%s\":", key);
	say_text(w, dk_str_c(value));
}

/* ---- nodes ---- */

static const char *state_word(enum mars_state s)
{
	static const char *const words[] = { [MARS_JOINING] = "JOINING",
					     [MARS_ONLINE] = "ONLINE",
					     [MARS_OFFLINE] = "OFFLINE",
					     [MARS_TAKEN] = "TAKEN",
					     [MARS_GONE] = "LEFT" };

	return words[s];
}

static const char *health_word(enum dk_health h)
{
	static const char *const words[] = {
		[DK_ALIVE] = "ALIVE", [DK_SUSPECT] = "SUSPECT", [DK_LEFT] = "LEFT", [DK_DEAD] = "DEAD"
	};

	return words[h];
}

static void say_node(struct dk_writer *w, const struct mars_record *r, const char *health, int64_t heard_ms)
{
	const struct dk_cluster_node *node = &r->node;
	char text[DK_ADDR_TEXT];

	dk_addr_format(&node->addr, text);
	dk_wr_u8(w, '{');
	say_key(w, "address", text);
	say(w, ",\"boot\":\"%016llx\",\"incarnation\":%u,\"state\":\"%s\",\"health\":\"%s\",\"degraded\":%s,\"users\":%u,",
	    (unsigned long long)node->boot, node->incarnation, state_word(r->state), health, node->degraded ? "true" : "false",
	    node->users);
	say_key(w, "app", r->app);
	dk_wr_u8(w, ',');
	say_key(w, "version", node->version);
	say(w, ",\"heard_ms\":%lld,\"endpoints\":[", (long long)heard_ms);
	for (size_t i = 0; i < node->endpoint_n; i++) {
		const struct dk_endpoint *e = &node->endpoints[i];

		say(w, i ? ",{" : "{");
		say_key(w, "role", e->role);
		dk_wr_u8(w, ',');
		say_key(w, "type", e->type);
		dk_wr_u8(w, ',');
		say_key(w, "host", e->host);
		say(w, ",\"port\":%u}", e->port);
	}
	say(w, "]}");
}

static void say_member(struct mars *m, struct dk_writer *w, const struct mars_member *member)
{
	uint64_t heard = mars_agent_heard(m, member);

	say_node(w, &member->rec, member->foreign ? "KEPT" : health_word(member->rec.node.health),
		 heard ? (int64_t)(dk_now(m) - heard) : -1);
}

uint32_t mars_report_nodes(struct mars *m, struct dk_writer *w, uint32_t from, uint32_t *ret_total)
{
	const struct mars_member *member;
	struct dk_writer last = *w;
	uint32_t slot = 0, i = 0;

	*ret_total = (uint32_t)m->table.n + 1;
	dk_wr_u8(w, '[');
	for (member = NULL; i == 0 || (member = mars_table_next(&m->table, &slot)); i++) {
		if (i < from)
			continue;
		last = *w;
		if (i > from)
			dk_wr_u8(w, ',');
		if (member)
			say_member(m, w, member);
		else
			say_node(w, &m->me, "ALIVE", 0);
		if (w->bad || w->p == w->end) { /* the bracket at the end needs its byte */
			*w = last;
			dk_wr_u8(w, ']');
			return i > from ? i : i + 1; /* one that fits no page is passed over */
		}
	}
	dk_wr_u8(w, ']');
	return 0;
}

bool mars_report_node(struct mars *m, struct dk_writer *w, const struct dk_addr *addr, const struct mars_values **ret_values)
{
	const struct mars_member *member = mars_table_find(&m->table, addr);

	if (dk_addr_eq(addr, &m->me.node.addr)) {
		*ret_values = &m->values;
		say_node(w, &m->me, "ALIVE", 0);
		return true;
	}
	if (!member)
		return false;
	*ret_values = &member->values;
	say_member(m, w, member);
	return true;
}

/* ---- values ---- */

static bool printable(dk_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] >= 0x7f)
			return false;
	return true;
}

static void say_value(struct dk_writer *w, dk_slice bytes)
{
	uint8_t *hex;

	if (printable(bytes)) {
		say_text(w, dk_str_of(bytes));
		return;
	}
	say(w, "\"0x");
	hex = dk_wr_take(w, 2 * bytes.n);
	if (hex)
		dk_hex_format(bytes, (char *)hex);
	dk_wr_u8(w, '"');
}

uint32_t mars_report_values(const struct mars_values *v, struct dk_writer *w, uint32_t from)
{
	uint32_t i = 0;
	bool first = true;

	dk_wr_u8(w, '{');
	for (const struct mars_value *row = v->first; row; row = row->next) {
		struct dk_writer last = *w;

		if (!row->n || i++ < from)
			continue;
		if (!first)
			dk_wr_u8(w, ',');
		say_text(w, dk_str_n((const char *)row->bytes, row->name_n));
		dk_wr_u8(w, ':');
		say_value(w, dk_slice_n(row->bytes + row->name_n, row->n));
		if (w->bad || w->p == w->end) {
			*w = last;
			dk_wr_u8(w, '}');
			return first ? i : i - 1;
		}
		first = false;
	}
	dk_wr_u8(w, '}');
	return 0;
}

void mars_report_shared(const struct mars *m, struct dk_writer *w)
{
	const struct mars_shared_row *r;

	dk_wr_u8(w, '{');
	for (size_t i = 0; (r = mars_shared_at(&m->shared, i)); i++) {
		if (i)
			dk_wr_u8(w, ',');
		say_text(w, dk_str_n(r->name, r->name_n));
		say(w, ":%d", r->value);
	}
	dk_wr_u8(w, '}');
}

/* ---- a registry's metrics ---- */

static bool first_of_app(const struct mars *m, const struct mars_member *at)
{
	const struct mars_member *member;
	uint32_t slot = 0;

	while ((member = mars_table_next(&m->table, &slot)) && member != at)
		if (strcmp(member->rec.app, at->rec.app) == 0)
			return false;
	return true;
}

static void say_app(struct mars *m, struct dk_writer *w, const char *app)
{
	struct dk_cluster_counts counts = { 0 };
	const struct mars_member *member;
	uint32_t slot = 0, nodes = 0;
	uint64_t users = 0;

	while ((member = mars_table_next(&m->table, &slot))) {
		if (strcmp(member->rec.app, app) != 0 || member->gone_at)
			continue;
		nodes++;
		users += member->rec.node.users;
		counts.online += member->rec.node.state == DK_ONLINE;
		counts.taken += member->rec.node.state == DK_TAKEN;
		counts.offline += member->rec.node.state == DK_OFFLINE;
	}
	dk_wr_u8(w, '{');
	say_key(w, "app", app);
	say(w, ",\"nodes\":%u,\"online\":%u,\"taken\":%u,\"offline\":%u,\"users\":%llu}", nodes, counts.online, counts.taken,
	    counts.offline, (unsigned long long)users);
}

void mars_report_metrics(struct mars *m)
{
	uint8_t buf[4096];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const struct mars_member *member;
	uint32_t slot = 0;
	bool first = true;
	dk_slice text;

	say(&w, "{\"announced\":%llu,\"pulls\":%llu,\"tables\":%llu,\"apps\":[", (unsigned long long)m->n.announced_in,
	    (unsigned long long)m->n.pulls_in, (unsigned long long)m->n.tables_out);
	while ((member = mars_table_next(&m->table, &slot))) {
		struct dk_writer last = w;

		if (!first_of_app(m, member))
			continue;
		if (!first)
			dk_wr_u8(&w, ',');
		say_app(m, &w, member->rec.app);
		if (w.bad || w.end - w.p < 2) {
			w = last;
			break;
		}
		first = false;
	}
	say(&w, "]}");
	text = dk_written(&w);
	dk_log(m, DK_INFO, DK_STR_FMT, (int)text.n, (const char *)text.p);
}
