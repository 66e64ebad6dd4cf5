/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways between addresses of the simulated world. Each direction of each pair is a flow with a link model and random numbers
 * of its own, seeded from the world's seed and the two addresses: what one pair does never changes the fate of another's packets.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>

static size_t flow_bucket(const struct dk_addr *from, const struct dk_addr *to)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(from->ip); i++) {
		h = (h ^ from->ip[i]) * 0x100000001b3;
		h = (h ^ to->ip[i]) * 0x100000001b3;
	}
	return (size_t)(h ^ h >> 32) % SIM_BUCKETS;
}

static bool fits(const struct dk_addr *rule, const struct dk_addr *ip)
{
	return rule->family == 0 || sim_ip_eq(rule, ip);
}

static struct dk_sim_link rule_for(const struct sim *sim, const struct flow *f)
{
	const struct rule *best = NULL;
	int best_names = -1;

	for (const struct rule *r = sim->rules; r; r = r->next) {
		int names = (r->from.family != 0) + (r->to.family != 0);

		if (fits(&r->from, &f->from) && fits(&r->to, &f->to) && names > best_names) {
			best = r;
			best_names = names;
		}
	}
	return best ? best->how : (struct dk_sim_link){ .delay_ms = 1 };
}

static void flow_rules(const struct sim *sim, struct flow *f)
{
	struct dk_sim_link how = rule_for(sim, f);

	f->link.o = (struct wire_link_opts){ .seed = f->link.o.seed,
					     .loss = how.loss,
					     .reorder = how.reorder,
					     .duplicate = how.duplicate,
					     .delay_ms = how.delay_ms,
					     .jitter_ms = how.jitter_ms,
					     .reorder_ms = how.reorder_ms,
					     .rate_kbit = how.rate_kbit,
					     .burst = how.burst };
	f->cut = false;
	for (const struct cut *c = sim->cuts; c; c = c->next)
		if ((fits(&c->a, &f->from) && fits(&c->b, &f->to)) || (!c->way && fits(&c->b, &f->from) && fits(&c->a, &f->to)))
			f->cut = true;
}

struct flow *sim_flow(struct sim *sim, const struct dk_addr *from, const struct dk_addr *to)
{
	struct flow **bucket = &sim->flows[flow_bucket(from, to)], *f;
	struct wire_link_opts o = { .seed = sim->seed };

	for (f = *bucket; f; f = f->next)
		if (sim_ip_eq(&f->from, from) && sim_ip_eq(&f->to, to))
			return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->from = *from;
	f->to = *to;
	f->from.port = f->to.port = 0;
	for (size_t i = 0; i < sizeof(from->ip); i++)
		o.seed = (o.seed ^ from->ip[i]) * 0x9e3779b97f4a7c15 + to->ip[i];
	wire_link_init(&f->link, &o);
	flow_rules(sim, f);
	f->next = *bucket;
	*bucket = f;
	return f;
}

static void rules_changed(struct sim *sim)
{
	for (size_t i = 0; i < SIM_BUCKETS; i++)
		for (struct flow *f = sim->flows[i]; f; f = f->next)
			flow_rules(sim, f);
	sim_tcp_kick(sim);
}

int dk_sim_link(struct dk_env *env, const char *from, const char *to, const struct dk_sim_link *how)
{
	struct sim *sim = (struct sim *)env;
	struct rule *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	if (!sim_ip(from, &r->from) || !sim_ip(to, &r->to)) {
		free(r);
		return -EINVAL;
	}
	r->how = *how;
	r->next = sim->rules;
	sim->rules = r;
	rules_changed(sim);
	return 0;
}

static int cut_or_join(struct sim *sim, const char *a, const char *b, bool way, bool cut)
{
	struct cut *c, **at = &sim->cuts;
	struct dk_addr ip_a, ip_b;

	if (!sim_ip(a, &ip_a) || !sim_ip(b, &ip_b))
		return -EINVAL;
	while ((c = *at) && (c->way != way || (!(sim_ip_eq(&c->a, &ip_a) && sim_ip_eq(&c->b, &ip_b)) &&
					       (way || !(sim_ip_eq(&c->a, &ip_b) && sim_ip_eq(&c->b, &ip_a))))))
		at = &c->next;
	if (c && !cut) {
		*at = c->next;
		free(c);
	} else if (!c && cut) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return -ENOMEM;
		*c = (struct cut){ sim->cuts, ip_a, ip_b, way };
		sim->cuts = c;
	}
	sim_note(sim, cut ? (way ? "cut way" : "cut") : "join", &ip_a, &ip_b, NULL, 0);
	return 0;
}

int dk_sim_cut(struct dk_env *env, const char *a, const char *b, bool cut)
{
	int rc = cut_or_join((struct sim *)env, a, b, false, cut);

	rules_changed((struct sim *)env);
	return rc;
}

int dk_sim_cut_way(struct dk_env *env, const char *from, const char *to, bool cut)
{
	int rc = cut_or_join((struct sim *)env, from, to, true, cut);

	rules_changed((struct sim *)env);
	return rc;
}

int dk_sim_partition(struct dk_env *env, const char *const *a, const char *const *b, bool cut)
{
	int rc = 0;

	for (; *a; a++)
		for (const char *const *other = b; *other && rc == 0; other++)
			rc = cut_or_join((struct sim *)env, *a, *other, false, cut);
	rules_changed((struct sim *)env);
	return rc;
}

void sim_links_free(struct sim *sim)
{
	for (size_t i = 0; i < SIM_BUCKETS; i++)
		for (struct flow *f = sim->flows[i], *next; f; f = next) {
			next = f->next;
			free(f);
		}
	for (struct rule *r = sim->rules, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	for (struct cut *c = sim->cuts, *next; c; c = next) {
		next = c->next;
		free(c);
	}
}
