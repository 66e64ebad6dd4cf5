/* SPDX-License-Identifier: Apache-2.0 */
#include "dive_nodes.h"

struct asker {
	struct dk_self base;
	struct dk_dive *dive;
};

struct dk_env *world;
struct node nodes[NODES];
const char *dive_options = "";
static char storages_conf[512];

static const struct dk_need needs[] = { DK_NEED(struct asker, dive, DK_DIVE), { 0 } };

DK_PLUGIN(asker) = {
	DK_PLUGIN_HEAD("asker", "1", "asks"),
	.self_size = sizeof(struct asker),
	.needs = needs,
};

static void start(unsigned i, const char *conf)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_asker, NULL };
	char address[32];
	struct dk_harness_opts o = { .config = conf, .plugins = plugins, .world = world, .address = address };
	struct node *n = &nodes[i];

	snprintf(address, sizeof(address), "10.0.0.%u", i + 1);
	n->h = dk_harness_open(&o);
	MUST(n->h);
	n->dive = dk_harness_service(n->h, DK_DIVE_NAME);
	n->cluster = dk_harness_service(n->h, DK_CLUSTER_NAME);
	n->self = dk_plugin_state(dk_harness_kernel(n->h), "asker");
}

void run(uint64_t ms)
{
	dk_sim_run(world, ms);
}

void alone(const char *storages)
{
	char conf[1024];

	world = dk_env_sim(1);
	memset(nodes, 0, sizeof(nodes));
	snprintf(conf, sizeof(conf), "plugins = { dive = { storages = { %s }; }; asker = { }; };", storages);
	start(1, conf);
	run(50);
}

static bool see(unsigned a, unsigned b)
{
	const struct dk_cluster_node *n = nodes[a].cluster->node(nodes[a].cluster, dk_harness_addr(nodes[b].h, "mesh"));

	return n && n->health == DK_ALIVE && n->endpoint_n && n->state == DK_ONLINE;
}

bool all_see_all(void)
{
	for (unsigned a = 1; a < NODES; a++)
		for (unsigned b = 1; b < NODES; b++)
			if (a != b && nodes[a].h && nodes[b].h && !see(a, b))
				return false;
	return true;
}

static void meet(void)
{
	for (unsigned ms = 0; ms < 20000; ms += 50) {
		if (all_see_all())
			return;
		run(50);
	}
	MUST(!"the nodes see each other");
}

void enter(unsigned i)
{
	char conf[1024];

	snprintf(conf, sizeof(conf),
		 "plugins = { mesh = { address = \"10.0.0.%u\"; marsAddress = \"10.0.0.1\"; mesh_insecure = true; }; mars = { };"
		 " user = { }; udp = { address = \"10.0.0.%u\"; }; asker = { }; dive = { %s storages = { %s }; }; };",
		 i + 1, i + 1, dive_options, storages_conf);
	start(i, conf);
}

void join(unsigned i)
{
	enter(i);
	meet();
}

void together(unsigned n, uint64_t seed, const char *storages)
{
	static const char registry[] =
		"plugins = { mesh = { address = \"10.0.0.1\"; marsAddress = \"10.0.0.1\"; mesh_insecure = true; };"
		" mars = { serve = true; address = \"10.0.0.1\"; }; };";

	world = dk_env_sim(seed);
	memset(nodes, 0, sizeof(nodes));
	snprintf(storages_conf, sizeof(storages_conf), "%s", storages);
	nodes[0].h = dk_harness_open(&(const struct dk_harness_opts){ .config = registry, .world = world, .address = "10.0.0.1" });
	MUST(nodes[0].h);
	for (unsigned i = 1; i <= n; i++)
		join(i);
	run(1000);
}

void apart(void)
{
	for (unsigned i = NODES; i-- > 0;) {
		if (nodes[i].h)
			MUST(dk_harness_free(nodes[i].h) == 0);
		nodes[i].h = NULL;
	}
	dk_env_free(world);
}

int64_t count(unsigned i, const char *counter)
{
	int64_t n = dk_harness_counter(nodes[i].h, "dive", counter);

	MUST(n != INT64_MIN);
	return n;
}

/* ---- asking ---- */

/* dk_dive_done_fn */
static void on_done(void *self, void *arg, const struct dk_dive_result *r)
{
	struct answer *a = arg;
	struct dk_dive_list l = r->values;
	struct dk_value v;
	size_t n = 0;

	(void)self;
	MUST(!a->there);
	a->there = true;
	a->rc = r->rc;
	while (dk_dive_next(&l, &v) && n < sizeof(a->text)) {
		const char *gap = n ? " " : "";

		switch (v.type) {
		case DK_V_INT:
			n += (size_t)snprintf(a->text + n, sizeof(a->text) - n, "%s%lld", gap, (long long)v.as.i);
			break;
		case DK_V_BOOL:
			n += (size_t)snprintf(a->text + n, sizeof(a->text) - n, "%s%s", gap, v.as.b ? "true" : "false");
			break;
		case DK_V_F64:
			n += (size_t)snprintf(a->text + n, sizeof(a->text) - n, "%s%g", gap, v.as.f);
			break;
		default:
			n += (size_t)snprintf(a->text + n, sizeof(a->text) - n, "%s" DK_STR_FMT, gap, DK_STR_ARG(v.as.s));
		}
	}
	MUST(l.n == 0);
	MUST(l.bytes.n == 0);
}

void ask(unsigned i, const struct dk_dive_ask *what, struct answer *ret)
{
	int rc;

	*ret = (struct answer){ .there = false };
	rc = nodes[i].dive->ask(nodes[i].dive, nodes[i].self, what, on_done, ret);
	if (rc) {
		ret->there = true;
		ret->rc = rc;
	}
}

/* Numbers become numbers, true and false truth values, all else text. */
static size_t parse(const char *words, struct dk_value *v, size_t max)
{
	size_t n = 0;

	while (*words && n < max) {
		size_t len = strcspn(words, " ");
		char *end;
		long long number = strtoll(words, &end, 10);

		if (end == words + len)
			v[n++] = (struct dk_value){ DK_V_INT, { .i = number } };
		else if (dk_str_eq(dk_str_n(words, len), dk_str_c("true")))
			v[n++] = (struct dk_value){ DK_V_BOOL, { .b = true } };
		else
			v[n++] = (struct dk_value){ DK_V_STR, { .s = dk_str_n(words, len) } };
		words += len;
		words += strspn(words, " ");
	}
	return n;
}

static bool is_there(void *arg)
{
	return ((struct answer *)arg)->there;
}

const char *asked(unsigned i, enum dk_dive_op op, const char *key, uint32_t ttl_s, int32_t a, int32_t b, const char *values)
{
	static char text[ANSWER_MAX + 16];
	static struct answer answer;
	struct dk_value v[16];
	struct dk_dive_ask what = { .op = op, .storage = dk_str_c("s"), .key = dk_str_c(key), .ttl_s = ttl_s, .a = a, .b = b };

	what.values = v;
	what.n = parse(values, v, DK_ARRAY_LEN(v));
	ask(i, &what, &answer);
	MUST(dk_sim_run_until(world, is_there, &answer, 8000));
	if (answer.rc)
		snprintf(text, sizeof(text), "%d: %s", answer.rc, answer.text);
	else
		snprintf(text, sizeof(text), "%s", answer.text);
	return text;
}
