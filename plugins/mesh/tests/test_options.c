/* SPDX-License-Identifier: Apache-2.0 */
/* What each option of the mesh does, and what it refuses to start with. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/contract/carrier_nodes.h"

static const char *const ip[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3" };

static struct dk_env *world;
static char logged[65536];
static size_t logged_n;

static void sink(void *arg, const char *line, size_t n)
{
	(void)arg;
	if (logged_n + n + 2 > sizeof(logged))
		return;
	memcpy(logged + logged_n, line, n);
	logged_n += n;
	logged[logged_n++] = '\n';
	logged[logged_n] = '\0';
}

/* Whether the options are taken; what is said about them is in logged. */
static int boots(const char *mesh, const char *const *env)
{
	static const char *const none[] = { NULL };
	const char *dirs[] = { getenv("DIARKIS_TEST_PLUGINS"), NULL };
	char config[2048], dir[1024];
	struct dk_boot b = { .size = sizeof(b),
			     .config_text = config,
			     .config_name = "t",
			     .env = env ? env : none,
			     .plugin_dirs = dirs,
			     .log_sink = sink };
	struct dk_kernel *k;
	int rc;

	snprintf(dir, sizeof(dir), "%s", dirs[0]);
	dir[strcspn(dir, ":")] = '\0';
	dirs[0] = dir;
	logged_n = 0;
	logged[0] = '\0';
	snprintf(config, sizeof(config), "plugins = { mesh = { %s }; };", mesh);
	if (!world)
		world = dk_env_sim(1);
	rc = dk_kernel_new(world, &b, &k);
	if (rc == 0)
		dk_kernel_free(k);
	return rc;
}

#define REFUSED(mesh, words)                                                                                                       \
	do {                                                                                                                       \
		ck_assert_int_eq(boots(mesh, NULL), DK_EXIT_CONFIG);                                                               \
		ck_assert_msg(strstr(logged, words) != NULL, "expected \"%s\" in: %s", words, logged);                             \
	} while (0)

START_TEST(without_a_key_loopback_only)
{
	static const char *const env[] = { "DIARKIS_CLUSTER_KEY=" NODES_KEY, NULL };
	static const char *const bad[] = { "DIARKIS_CLUSTER_KEY=abc", NULL };

	ck_assert_int_eq(boots("", NULL), 0); /* 127.0.0.1 */
	ck_assert_int_eq(boots("address = \"127.0.0.9\";", NULL), 0);
	ck_assert_int_eq(boots("address = \"::1\";", NULL), 0);
	REFUSED("address = \"10.0.0.1\";", "openssl rand -hex 32");
	REFUSED("address = \"10.0.0.1\";", "DIARKIS_CLUSTER_KEY");
	ck_assert_int_eq(boots("address = \"10.0.0.1\"; mesh_insecure = true;", NULL), 0);
	ck_assert_int_eq(boots("address = \"10.0.0.1\"; key = \"" NODES_KEY "\";", NULL), 0);
	ck_assert_int_eq(boots("address = \"10.0.0.1\";", env), 0);
	ck_assert_int_eq(boots("", bad), DK_EXIT_CONFIG);
	ck_assert_ptr_nonnull(strstr(logged, "64 hexadecimal digits"));
	ck_assert_ptr_null(strstr(logged, "abc")); /* a key is never printed */
	REFUSED("key_2 = \"" NODES_KEY "\";", "no first one");
	dk_env_free(world);
	world = NULL;
}
END_TEST

START_TEST(bad_addresses_are_refused)
{
	REFUSED("address = \"mesh.local\";", "must be an IP address, found \"mesh.local\"");
	REFUSED("address = \"0.0.0.0\"; mesh_insecure = true;", "mesh_public = true");
	REFUSED("address = \"::\"; mesh_insecure = true;", "mesh_public = true");
	ck_assert_int_eq(boots("address = \"0.0.0.0\"; mesh_insecure = true; mesh_public = true;", NULL), 0);
	REFUSED("retryTimeout = 2000; reliableRetryTimeout = 1000;", "another name");
	REFUSED("marsAddress = [\"a\", \"b\", \"c\", \"d\"];", "marsAddress");
	dk_env_free(world);
	world = NULL;
}
END_TEST

START_TEST(a_key_file_others_can_read_is_refused)
{
	char path[] = "/tmp/dk-key-XXXXXX", option[128];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, NODES_KEY "\n", strlen(NODES_KEY) + 1), (ssize_t)strlen(NODES_KEY) + 1);
	snprintf(option, sizeof(option), "address = \"10.0.0.1\"; key_file = \"%s\";", path);
	ck_assert_int_eq(fchmod(fd, 0640), 0);
	ck_assert_int_eq(boots(option, NULL), 0);
	ck_assert_int_eq(fchmod(fd, 0644), 0);
	REFUSED(option, "mode 0644");
	close(fd);
	unlink(path);
	REFUSED(option, "cannot be read");
	dk_env_free(world);
	world = NULL;
}
END_TEST

/* As the reference's template has them: all values are strings. */
START_TEST(the_file_of_the_reference_loads)
{
	static const char json[] = "{\"plugins\": {\"mesh\": {\"address\": \"127.0.0.1\", \"nic\": \"eth0\", \"port\": \"8100\","
				   "\"marsAddress\": \"mars.local\", \"marsPort\": \"6789\", \"marsAddressCacheTTL\": \"30\","
				   "\"retryInterval\": \"500\", \"reliableRetryTimeout\": \"2000\", \"sendInterval\": \"17\","
				   "\"strictCheckForExternal\": \"true\", \"secureHttpHost\": \"true\"}}}";
	struct dk_harness *h = dk_harness_new(json, 1, NULL);
	struct dk_carrier *c;

	ck_assert_ptr_nonnull(h);
	c = dk_harness_service(h, DK_CARRIER_NAME);
	ck_assert_uint_eq(c->addr.port, 8100);
	ck_assert_uint_eq(c->registry_n, 1);
	ck_assert_str_eq(c->registries[0], "mars.local");
	ck_assert_uint_eq(c->registry_port, 6789);
	ck_assert_uint_eq(c->registry_ttl_s, 30);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(registries)
{
	static const char *const env[] = { "DIARKIS_MARS_ADDR=10.9.9.9,mars.b:7000", "DIARKIS_MARS_PORT=7001", NULL };
	struct dk_harness_opts o = { .config = "plugins = { mesh = {}; };" };
	struct dk_harness *h = dk_harness_open(&o);
	struct dk_carrier *c = dk_harness_service(h, DK_CARRIER_NAME);

	ck_assert_uint_eq(c->registry_n, 1);
	ck_assert_str_eq(c->registries[0], "127.0.0.1");
	ck_assert_uint_eq(c->registry_port, 6779);
	ck_assert_uint_eq(c->registry_ttl_s, 60);
	ck_assert_int_eq(dk_harness_free(h), 0);
	o.env = env;
	h = dk_harness_open(&o);
	c = dk_harness_service(h, DK_CARRIER_NAME);
	ck_assert_uint_eq(c->registry_n, 2);
	ck_assert_str_eq(c->registries[0], "10.9.9.9");
	ck_assert_str_eq(c->registries[1], "mars.b:7000");
	ck_assert_uint_eq(c->registry_port, 7001);
	ck_assert_int_eq(dk_harness_free(h), 0);
	o = (struct dk_harness_opts){ .config = "plugins = { mesh = { marsAddress = \"\"; }; };" };
	h = dk_harness_open(&o);
	c = dk_harness_service(h, DK_CARRIER_NAME);
	ck_assert_uint_eq(c->registry_n, 0);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(the_address_names_the_node)
{
	struct dk_harness *h = dk_harness_new("plugins = { mesh = {}; };", 1, NULL);
	struct dk_carrier *c = dk_harness_service(h, DK_CARRIER_NAME);
	const struct dk_addr *a;

	a = dk_harness_addr(h, "mesh");
	ck_assert_ptr_nonnull(a);
	ck_assert(dk_addr_eq(a, &c->addr));
	ck_assert(dk_addr_eq(dk_node_addr(dk_app(dk_harness_kernel(h))), &c->addr));
	ck_assert_uint_eq(c->addr.ip[0], 127);
	ck_assert_uint_eq(c->addr.port, 8000);
	ck_assert_uint_ne(c->boot, 0);
	ck_assert_int_eq(dk_harness_free(h), 0);
	/* address empty: the interface's. */
	h = dk_harness_new("plugins = { mesh = { address = \"\"; mesh_insecure = true; }; };", 1, NULL);
	c = dk_harness_service(h, DK_CARRIER_NAME);
	ck_assert_uint_eq(c->addr.ip[0], 10);
	ck_assert_int_eq(dk_harness_free(h), 0);
	/* Every interface: named by that of nic. */
	h = dk_harness_new("plugins = { mesh = { address = \"0.0.0.0\"; mesh_public = true; mesh_insecure = true; }; };", 1, NULL);
	c = dk_harness_service(h, DK_CARRIER_NAME);
	ck_assert_uint_eq(c->addr.ip[0], 10);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

static void assert_file(const char *dir, const char *name, const char *want)
{
	char path[256], got[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f) {
		got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
		fclose(f);
	}
	ck_assert_str_eq(got, want);
}

START_TEST(the_address_stands_in_a_file)
{
	char dir[] = "/tmp/dk-mesh-XXXXXX", tmp[64];
	const char *const env[] = { tmp, NULL };
	struct dk_harness_opts o = { .config = "plugins = { mesh = {}; };", .env = env };
	struct dk_harness *h;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(tmp, sizeof(tmp), "TMPDIR=%s", dir);
	h = dk_harness_open(&o);
	ck_assert_ptr_nonnull(h);
	assert_file(dir, "DIARKIS_MESH_ADDR", "127.0.0.1:8000");
	assert_file(dir, "DIARKIS_MESH_ADDR_8000", "127.0.0.1:8000");
	ck_assert_int_eq(dk_harness_free(h), 0);
	assert_file(dir, "DIARKIS_MESH_ADDR", "");
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(taken_ports_are_passed_over_for_both)
{
	struct nodes w;
	struct dk_sim_udp *udp;
	char config[512];

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_int_eq(dk_sim_udp_open(w.world, "10.0.0.1:8000", NULL, NULL, &udp), 0); /* UDP alone is taken */
	nodes_config(0, NULL, config, sizeof(config));
	ck_assert_ptr_nonnull(node_start(&w, 0, config));
	ck_assert_uint_eq(w.addr[0].port, 8001);
	nodes_config(1, "port = 0;", config, sizeof(config));
	ck_assert_ptr_nonnull(node_start(&w, 1, config));
	ck_assert_uint_ne(w.addr[1].port, 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "r", DK_RELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "u", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 100);
	ck_assert_uint_eq(w.probe[1]->got_count, 2);
	dk_sim_udp_close(udp);
	nodes_free(&w);
}
END_TEST

/* How long until a node that was cut off is reached again. */
static uint64_t back_after(const char *options)
{
	struct nodes w;
	struct outcome o;
	uint64_t began;

	nodes_make(&w, 2, 5, options);
	dk_sim_cut(w.world, ip[0], ip[1], true);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "x", 20000, &o, NULL), 0);
	dk_sim_run(w.world, 2600);
	dk_sim_cut(w.world, ip[0], ip[1], false);
	began = dk_sim_now(w.world);
	while (!o.called)
		dk_sim_run(w.world, 10);
	ck_assert_int_eq(o.err, 0);
	began = dk_sim_now(w.world) - began;
	nodes_free(&w);
	return began;
}

START_TEST(retry_interval_is_the_pause_between_tries)
{
	uint64_t quick = back_after("retryInterval = 200; reliableRetryTimeout = 20000;");
	uint64_t slow = back_after("retryInterval = 5000; reliableRetryTimeout = 20000;");

	ck_assert_uint_le(quick, 250);
	ck_assert_uint_gt(slow, quick);
}
END_TEST

static uint64_t given_up_after(const char *options)
{
	struct nodes w;
	struct outcome o;
	uint64_t began;

	nodes_make(&w, 2, 5, options);
	dk_sim_cut(w.world, ip[0], ip[1], true);
	began = dk_sim_now(w.world);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "x", 0, &o, NULL), 0);
	while (!o.called)
		dk_sim_run(w.world, 10);
	ck_assert_int_eq(o.err, -EHOSTUNREACH);
	began = dk_sim_now(w.world) - began;
	nodes_free(&w);
	return began;
}

START_TEST(retry_timeout_is_when_it_is_given_up)
{
	ck_assert_uint_eq(given_up_after("") / 100, 30);
	ck_assert_uint_eq(given_up_after("reliableRetryTimeout = 700;") / 100, 7);
	ck_assert_uint_eq(given_up_after("retryTimeout = 1200;") / 100, 12);
}
END_TEST

static int64_t packets_for_ten(const char *options, uint64_t *ret_took)
{
	struct nodes w;
	int64_t before;

	nodes_make(&w, 2, 5, options);
	ck_assert_int_eq(node_note(&w, 0, 1, "contact", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 500);
	before = node_counter(&w, 0, "packets_out");
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(node_note(&w, 0, 1, "x", DK_UNRELIABLE), 0);
		dk_sim_run(w.world, 5);
	}
	*ret_took = 0;
	while (w.probe[1]->got_count < 11) {
		dk_sim_run(w.world, 5);
		*ret_took += 5;
	}
	before = node_counter(&w, 0, "packets_out") - before;
	nodes_free(&w);
	return before;
}

START_TEST(send_interval_lets_messages_travel_together)
{
	uint64_t took;

	ck_assert_int_eq(packets_for_ten("", &took), 10);
	ck_assert_int_eq(packets_for_ten("sendInterval = 16;", &took), 10); /* below 17: not */
	ck_assert_int_eq(packets_for_ten("sendInterval = 100;", &took), 1);
	ck_assert_uint_ge(took, 40);
	ck_assert_uint_le(took, 60);
}
END_TEST

static int refuse_all(struct probe *p, struct dk_carrier_stranger *ask)
{
	(void)p;
	return ask->addr.ip[3] == 2 ? DK_REFUSED : 0;
}

START_TEST(strict_asks_who_may_come)
{
	struct nodes w;
	struct dk_carrier *a;

	nodes_make(&w, 3, 5, "strictCheckForExternal = true;");
	a = w.probe[0]->carrier;
	ck_assert_int_eq(dk_filter_add(w.probe[0], &a->stranger, refuse_all), 0);
	for (size_t i = 1; i < 3; i++) {
		ck_assert_int_eq(node_note(&w, i, 0, "u", DK_UNRELIABLE), 0);
		ck_assert_int_eq(node_note(&w, i, 0, "r", DK_RELIABLE), 0);
	}
	dk_sim_run(w.world, 200);
	ck_assert_str_eq(w.probe[0]->got, "3.8000 u\n3.8000 r\n");
	ck_assert_int_ge(node_counter(&w, 0, "drop_stranger"), 2);
	nodes_free(&w);
	/* Not strict: nobody is asked. */
	nodes_make(&w, 2, 5, NULL);
	a = w.probe[0]->carrier;
	ck_assert_int_eq(dk_filter_add(w.probe[0], &a->stranger, refuse_all), 0);
	ck_assert_int_eq(node_note(&w, 1, 0, "u", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 200);
	ck_assert_str_eq(w.probe[0]->got, "2.8000 u\n");
	nodes_free(&w);
}
END_TEST

/* A node of another configuration says something to node 0; what becomes of it. */
static void foreign(const char *config, const char *counter)
{
	struct nodes w;

	nodes_make(&w, 1, 5, NULL);
	ck_assert_ptr_nonnull(node_start(&w, 1, config));
	ck_assert_int_eq(node_note(&w, 1, 0, "u", DK_UNRELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 1, 0, "r", DK_RELIABLE), 0);
	dk_sim_run(w.world, 2000);
	ck_assert_uint_eq(w.probe[0]->got_count, 0);
	ck_assert_int_ge(node_counter(&w, 0, counter), 2);
	ck_assert_int_eq(node_counter(&w, 0, "packets_out"), 0);
	ck_assert_int_eq(node_counter(&w, 0, "bytes_out"), 0); /* silence */
	ck_assert_int_eq(node_counter(&w, 0, "peers"), 1);
	nodes_free(&w);
}

START_TEST(foreigners_meet_silence)
{
	foreign("plugins = { mesh = { address = \"10.0.0.2\"; key = \""
		"11"
		"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"; }; "
		"probe = {}; };",
		"drop_foreign");
	foreign("plugins = { mesh = { address = \"10.0.0.2\"; mesh_insecure = true; }; probe = {}; };", "drop_foreign");
	foreign("plugins = { mesh = { address = \"10.0.0.2\"; cluster = \"other\"; key = \"" NODES_KEY "\"; }; probe = {}; };",
		"drop_cluster");
}
END_TEST

START_TEST(keys_are_exchanged_one_node_at_a_time)
{
	static const char other[] = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
	char config[512];
	struct nodes w;

	nodes_make(&w, 1, 5, "key_2 = \"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\";");
	snprintf(config, sizeof(config),
		 "plugins = { mesh = { address = \"10.0.0.2\"; key = \"%s\"; key_2 = \"" NODES_KEY "\"; }; probe = {}; };", other);
	ck_assert_ptr_nonnull(node_start(&w, 1, config));
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(node_note(&w, i, 1 - i, "u", DK_UNRELIABLE), 0);
		ck_assert_int_eq(node_note(&w, i, 1 - i, "r", DK_RELIABLE), 0);
	}
	dk_sim_run(w.world, 200);
	ck_assert_uint_eq(w.probe[0]->got_count, 2);
	ck_assert_uint_eq(w.probe[1]->got_count, 2);
	nodes_free(&w);
}
END_TEST

START_TEST(fanout_is_the_width_of_the_tree)
{
	struct nodes w;
	struct dk_carrier *a;

	nodes_make(&w, 9, 5, "fanout = 3;");
	a = w.probe[0]->carrier;
	node_turn(&w, 0);
	ck_assert_uint_eq(a->send_many(a, w.addr, w.n, 0, DK_VER_NODE, PROBE_NOTE, text("x"), DK_RELIABLE), 3);
	dk_sim_run(w.world, 200);
	for (size_t i = 1; i < 9; i++)
		ck_assert_uint_eq(w.probe[i]->got_count, 1);
	nodes_free(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mesh options");
	TCase *t = tcase_create("options");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, without_a_key_loopback_only);
	tcase_add_test(t, bad_addresses_are_refused);
	tcase_add_test(t, a_key_file_others_can_read_is_refused);
	tcase_add_test(t, the_file_of_the_reference_loads);
	tcase_add_test(t, registries);
	tcase_add_test(t, the_address_names_the_node);
	tcase_add_test(t, the_address_stands_in_a_file);
	tcase_add_test(t, taken_ports_are_passed_over_for_both);
	tcase_add_test(t, retry_interval_is_the_pause_between_tries);
	tcase_add_test(t, retry_timeout_is_when_it_is_given_up);
	tcase_add_test(t, send_interval_lets_messages_travel_together);
	tcase_add_test(t, strict_asks_who_may_come);
	tcase_add_test(t, foreigners_meet_silence);
	tcase_add_test(t, keys_are_exchanged_one_node_at_a_time);
	tcase_add_test(t, fanout_is_the_width_of_the_tree);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
