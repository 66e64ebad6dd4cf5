/* SPDX-License-Identifier: Apache-2.0 */
/* Variables that speak of servers: one that a single instance may take, those that name own files. And the key `workers`. */
#include "node.h"

#include <sys/stat.h>
#include <unistd.h>

struct server {
	struct dk_self base;
};
struct server_conf {
	const char *type, *name;
};

static const struct dk_option rows[] = {
	DK_STR(struct server_conf, type, "type", "", "what it is called", .env = "DIARKIS_SERVER_TYPE", .flags = DK_ENV_ALONE),
	DK_STR(struct server_conf, name, "name", "", "which one", .env = "DIARKIS_NAME"),
	{ 0 },
};
static const struct dk_plugin_desc server = { DK_PLUGIN_HEAD("server", "1.0.0", ""), .self_size = sizeof(struct server),
					      .conf_size = sizeof(struct server_conf), .options = rows };
static const struct dk_plugin_desc mesh = { DK_PLUGIN_HEAD("mesh", "1.0.0", ""), .self_size = sizeof(struct server) };
static const struct dk_plugin_desc mars = { DK_PLUGIN_HEAD("mars", "1.0.0", ""), .self_size = sizeof(struct server) };
static const struct dk_plugin_desc *const plugins[] = { &server, &mesh, &mars, NULL };

static struct node n;

static int boot(const char *config, const char *const *env, const char *const *sets)
{
	node_init(&n, config, plugins);
	n.boot.env = env;
	n.boot.sets = sets;
	return node_boot(&n);
}

static const struct server_conf *conf(const char *instance)
{
	return ((struct dk_self *)dk_plugin_state(n.k, instance))->conf;
}

#define ENV(...) ((const char *const[]){ __VA_ARGS__, NULL })
static const char one[] = "plugins = { udp = { use = \"server\"; type = \"FILE\"; }; mesh = {}; };";
static const char two[] = "plugins = { udp = { use = \"server\"; }; tcp = { use = \"server\"; type = \"FILE\"; }; };";

START_TEST(of_one_instance)
{
	ck_assert_int_eq(boot(one, ENV("DIARKIS_SERVER_TYPE=GAME", "DIARKIS_NAME=n"), NULL), 0);
	ck_assert_str_eq(conf("udp")->type, "GAME");
	node_fini(&n);
	ck_assert_int_eq(boot(one, ENV("DIARKIS_SERVER_TYPE=GAME"), ENV("udp.type=SET")), 0);
	ck_assert_str_eq(conf("udp")->type, "SET");
	node_fini(&n);
	ck_assert_int_eq(boot(two, ENV("DIARKIS_SERVER_TYPE=GAME"), ENV("tcp.type=SET")), DK_EXIT_CONFIG);
	node_assert_said(&n, "environment DIARKIS_SERVER_TYPE: it speaks of one server, and here it would set udp.type, tcp.type; "
			     "unset it, and set them");
	ck_assert_ptr_null(strstr(strstr(n.log, "speaks of one") + 1, "speaks of one")); /* once */
	node_fini(&n);
	ck_assert_int_eq(boot(two, ENV("DIARKIS_SERVER_TYPE=", "DIARKIS_NAME=both"), NULL), 0); /* empty counts as unset */
	ck_assert_str_eq(conf("tcp")->type, "FILE");
	ck_assert_str_eq(conf("udp")->name, "both"); /* not every variable is like that */
	ck_assert_str_eq(conf("tcp")->name, "both");
	node_fini(&n);
	ck_assert_int_eq(boot("plugins = { udp = { use = \"server\"; }; tcp = { use = \"server\"; enabled = false; }; };",
			      ENV("DIARKIS_SERVER_TYPE=GAME"), NULL),
			 0); /* one that is off is none */
	ck_assert_str_eq(conf("udp")->type, "GAME");
	node_fini(&n);
}
END_TEST

START_TEST(files_of_instances)
{
	char dir[] = "/tmp/dk-test-env-XXXXXX", path[64], variable[128], set[128];
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/main.json", dir);
	f = fopen(path, "w");
	fputs("{ \"type\": \"OWN\", \"name\": \"own\" }", f);
	fclose(f);
	snprintf(variable, sizeof(variable), "DIARKIS_UDP_SERVER_CONFIG_PATH=%s", path);
	ck_assert_int_eq(boot("plugins = { udp = { use = \"server\"; config = \"nowhere.json\"; name = \"section\"; };"
			      " tcp = { use = \"server\"; }; };",
			      ENV(variable), NULL),
			 0);
	ck_assert_str_eq(conf("udp")->type, "OWN");
	ck_assert_str_eq(conf("udp")->name, "section");
	ck_assert_str_eq(conf("tcp")->type, "");
	node_fini(&n);
	ck_assert_int_eq(boot(two, ENV("DIARKIS_UDP_SERVER_CONFIG_PATH=/no/such/file"), NULL), DK_EXIT_CONFIG);
	node_assert_said(&n, "environment DIARKIS_UDP_SERVER_CONFIG_PATH: /no/such/file cannot be read: No such file");
	node_fini(&n);
	snprintf(set, sizeof(set), "udp.config=%s", path);
	ck_assert_int_eq(
		boot(two, ENV("DIARKIS_UDP_SERVER_CONFIG_PATH=/no/such/file", "DIARKIS_HTTP_SERVER_CONFIG_PATH=/none"), ENV(set)),
		0); /* --set is stronger; who is not on has no file */
	ck_assert_str_eq(conf("udp")->type, "OWN");
	node_fini(&n);
	ck_assert_int_eq(unlink(path) | rmdir(dir), 0);
}
END_TEST

START_TEST(workers)
{
	static const char *const none[] = { NULL };

	ck_assert_int_eq(boot("workers = 2; plugins = { mesh = {}; };", none, NULL), DK_EXIT_CONFIG);
	node_assert_said(&n, "test.conf:1: \"workers\" is 2, and workers are a cluster: switch mesh and mars on");
	node_fini(&n);
	ck_assert_int_eq(boot("plugins = { mars = {}; };", none, ENV("workers=1")), DK_EXIT_CONFIG);
	node_assert_said(&n, "--set: \"workers\" is 1, and workers are a cluster");
	node_fini(&n);
	ck_assert_int_eq(boot("workers = -1; plugins = { mesh = {}; mars = {}; };", none, NULL), DK_EXIT_CONFIG);
	node_assert_said(&n, "\"workers\" must be a whole number from 0 to 256, found -1");
	node_fini(&n);
	ck_assert_int_eq(boot("workers = 2; plugins = { m = { use = \"mesh\"; }; mars = {}; };", none, NULL), 0);
	ck_assert_uint_eq(dk_workers(n.k), 0); /* it is a node, as whoever made it did not ask */
	ck_assert_ptr_nonnull(dk_plugin_state(n.k, "mars"));
	node_fini(&n);
}
END_TEST

static int boot_for_workers(const char *config)
{
	static const char *const none[] = { NULL };

	node_init(&n, config, plugins);
	n.boot.env = none;
	n.boot.flags |= DK_BOOT_WORKERS;
	return node_boot(&n);
}

/* A supervisor's node has no plugin, and one of a configuration without workers is as ever. */
START_TEST(supervisors_node)
{
	ck_assert_int_eq(boot_for_workers("workers = 3; plugins = { mesh = {}; mars = {}; no_such_plugin = {}; };"), 0);
	ck_assert_uint_eq(dk_workers(n.k), 3);
	ck_assert_ptr_null(dk_plugin_state(n.k, "mesh"));
	dk_log(dk_app(n.k), DK_NOTICE, "looking");
	node_assert_said(&n, "notice supervisor: looking");
	node_fini(&n);
	ck_assert_int_eq(boot_for_workers("workers = 3; plugins = { mesh = {}; };"), DK_EXIT_CONFIG);
	node_assert_said(&n, "workers are a cluster");
	node_fini(&n);
	ck_assert_int_eq(boot_for_workers("plugins = { mesh = {}; };"), 0);
	ck_assert_uint_eq(dk_workers(n.k), 0);
	ck_assert_ptr_nonnull(dk_plugin_state(n.k, "mesh"));
	node_fini(&n);
}
END_TEST

/* A worker's lines say which it is. */
START_TEST(lines_of_workers)
{
	static const char *const json[] = { "DIARKIS_JSON_LOG=TRUE", NULL };

	node_init(&n, "plugins = { mesh = {}; };", plugins);
	n.boot.worker = 1;
	n.boot.workers = 2;
	ck_assert_int_eq(node_boot(&n), 0);
	dk_log((struct dk_self *)dk_plugin_state(n.k, "mesh"), DK_INFO, "hello");
	node_assert_said(&n, " info mesh[1]: hello");
	node_fini(&n);
	node_init(&n, "plugins = { mesh = {}; };", plugins);
	n.boot.workers = 2;
	n.boot.env = json;
	ck_assert_int_eq(node_boot(&n), 0);
	dk_log((struct dk_self *)dk_plugin_state(n.k, "mesh"), DK_INFO, "hello");
	node_assert_said(&n, "\"name\":\"mesh\",\"worker\":\"0\",\"message\":\"hello\"");
	node_fini(&n);
}
END_TEST

UNIT_MAIN("environment", of_one_instance, files_of_instances, workers, supervisors_node, lines_of_workers)
