/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration from files to conf structs: text (placeholders, includes, wide numbers), layers, rows of every type, sentences for
 * what is wrong, reload, dump and explain. A kernel is faked as far as these files look at it; the log is caught line by line.
 */
#include "kernel/kernel.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* libconfig 1.5 loses the string that it was reading when a syntax error stops it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

/* ---- a plugin with an option of each type ---- */

struct map_row {
	int64_t size;
	const char *title;
};
static const struct dk_option map_rows[] = {
	DK_INT(struct map_row, size, "size", "100", 1, 5000, "length of an edge", .unit = "m"),
	DK_STR(struct map_row, title, "title", NULL, "what people call it", .flags = DK_REQUIRED),
	{ 0 },
};

struct every {
	int64_t ttl, big;
	bool open, shut;
	double rate;
	const char *name, *nothing, *key;
	int mode;
	struct dk_strs roles;
	struct dk_groups spots, maps;
	const struct dk_node *extra;
};
static const char *const modes[] = { "off", "allow", "only", NULL };
static const struct dk_option every_rows[] = {
	DK_INT(struct every, ttl, "connectionTTL", "10", 1, 3600, "silence limit", .unit = "s", .env = "DIARKIS_TTL",
	       .flags = DK_RELOADABLE),
	DK_INT(struct every, big, "big", NULL, 0, 0, "a large number"),
	DK_BOOL(struct every, open, "open", "true", "let everybody in"),
	DK_BOOL(struct every, shut, "shut", NULL, "let nobody in"),
	DK_F64(struct every, rate, "rate", "0.5", "share | part", .min = 0, .max = 2),
	DK_STR(struct every, name, "name", "nobody", "a name", .min = 2, .max = 8, .flags = DK_RELOADABLE),
	DK_STR(struct every, nothing, "nothing", NULL, "no default"),
	DK_STR(struct every, key, "secretKey", NULL, "kept dark", .flags = DK_SECRET, .max = 12),
	DK_WORD(struct every, mode, "mode", "allow", modes, "how"),
	DK_STRS(struct every, roles, "roles", "names of roles", .def = "HTTP", .env = "DIARKIS_ROLES", .min = 0, .max = 3),
	DK_GROUPS(struct every, spots, "spots", struct map_row, map_rows, "places in order"),
	DK_MAP(struct every, maps, "maps", struct map_row, map_rows, "places by name"),
	DK_TREE(struct every, extra, "extra", "whatever"),
	{ 0 },
};

static int on_hit(struct dk_self *self, struct dk_call *call)
{
	(void)self;
	(void)call;
	return 0;
}
static const struct dk_param hit_in[] = { { DK_T_U8, "type" }, { DK_T_STR16, "uid" }, { 0 } };
static const struct dk_param hit_out[] = { { DK_T_U16, "damage" }, { 0 } };
static const struct dk_command every_commands[] = {
	{ 2, 0, 300, DK_CLIENT | DK_USER, "every.hit", "hits a | b", (void (*)(void))on_hit, hit_in, hit_out },
	{ 0 },
};
static const struct dk_counter every_counters[] = { { "hits", "how many hits", 0, DK_COUNTER_SUM, 0 }, { 0 } };
static const struct dk_provide every_provides[] = { { "every", 1, 2, 0, 0 }, { 0 } };
static const struct dk_need every_needs[] = { { "user", 1, 0, 0, DK_NEED_ONE }, { "mesh", 1, 0, 0, DK_NEED_MAYBE }, { 0 } };

static void every_configure(const void *conf, struct dk_report *rep)
{
	const struct every *c = conf;

	if (c->open && c->shut)
		dk_report(rep, "shut", "open and shut exclude each other");
	if (c->big == 13)
		dk_report(rep, NULL, "thirteen is unlucky");
}
static const struct dk_ops every_ops = { .configure = every_configure };

static const struct dk_plugin_desc every_desc = {
	DK_PLUGIN_HEAD("every", "1.0.0", "options of every type"),
	.self_size = sizeof(struct dk_self),
	.conf_size = sizeof(struct every),
	.options = every_rows,
	.commands = every_commands,
	.counters = every_counters,
	.provides = every_provides,
	.needs = every_needs,
	.ops = &every_ops,
};

/* ---- a kernel, as far as configuration sees it ---- */

static uint64_t zero(struct dk_env *env)
{
	(void)env;
	return 0;
}
static const struct dk_env_ops env_ops = { .name = "test", .now_us = zero, .wall_ns = zero };

static struct {
	struct dk_kernel k;
	struct dk_env env;
	struct dk_plugin plugin, *plugins[1];
	struct dk_self self;
	char *vars[16];
	char dir[64];
	char log[16384], out[16384];
	size_t changed;
	struct every before;
} t;

static void to_log(void *arg, const char *line, size_t n)
{
	size_t at = strlen(t.log);

	(void)arg;
	ck_assert_uint_lt(at + n + 1, sizeof(t.log));
	memcpy(t.log + at, line, n);
	t.log[at + n] = '\0';
}

static void to_out(void *arg, const char *text, size_t n)
{
	size_t at = strlen(t.out);

	(void)arg;
	ck_assert_uint_lt(at + n + 1, sizeof(t.out));
	memcpy(t.out + at, text, n);
	t.out[at + n] = '\0';
}

static void setup(void)
{
	struct dk_boot boot = { .size = sizeof(boot), .log_sink = to_log };

	memset(&t, 0, sizeof(t));
	t.env.ops = &env_ops;
	t.k.env = &t.env;
	t.k.env_vars = t.vars;
	t.plugin = (struct dk_plugin){ .k = &t.k, .desc = every_desc, .instance = "every", .self = &t.self };
	t.self = (struct dk_self){ .magic = DK_SELF_MAGIC, .plugin = &t.plugin };
	t.plugins[0] = &t.plugin;
	t.k.plugins = t.plugins;
	t.k.plugin_n = 1;
	snprintf(t.dir, sizeof(t.dir), "/tmp/diarkis-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(t.dir));
	ck_assert_int_eq(mem_init(&t.k), 0);
	ck_assert_int_eq(log_init(&t.k, &boot), 0);
}

static void teardown(void)
{
	char command[128];

	config_free(t.k.config);
	log_fini(&t.k);
	mem_fini(&t.k);
	snprintf(command, sizeof(command), "rm -rf %s", t.dir);
	ck_assert_int_eq(system(command), 0);
}

static const char *path(const char *name)
{
	static char buf[4][256];
	static unsigned i;
	char *p = buf[i++ % 4];

	snprintf(p, sizeof(buf[0]), "%s/%s", t.dir, name);
	return p;
}

static void put_file(const char *name, const char *text)
{
	FILE *f;

	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		char dir[256];

		snprintf(dir, sizeof(dir), "%s/%.*s", t.dir, (int)(slash - name), name);
		mkdir(dir, 0755);
	}
	f = fopen(path(name), "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

/* The rest of a boot: returns the exit code that it would have. */
static int boot_with(const struct dk_boot *boot)
{
	int rc;

	config_free(t.k.config);
	t.k.config = NULL;
	t.log[0] = '\0';
	rc = config_load(&t.k, boot, &t.k.config);
	if (rc)
		return rc;
	ck_assert_int_eq(config_fill(t.k.config, &t.plugin), 0);
	every_configure(t.plugin.conf, config_report(t.k.config, &t.plugin));
	return config_finish(t.k.config);
}

static int boot_text(const char *text)
{
	struct dk_boot boot = { .size = sizeof(boot), .config_text = text, .config_name = "test.conf" };

	return boot_with(&boot);
}

static int boot_file(const char *name, const char *const *sets)
{
	struct dk_boot boot = { .size = sizeof(boot), .config_file = path(name), .sets = sets };

	return boot_with(&boot);
}

static const struct every *conf(void)
{
	return t.plugin.conf;
}

#define logs(text) ck_assert_msg(strstr(t.log, text) != NULL, "the log lacks `%s`; it is:\n%s", text, t.log)
#define logs_not(text) ck_assert_msg(strstr(t.log, text) == NULL, "the log has `%s`; it is:\n%s", text, t.log)
#define prints(text) ck_assert_msg(strstr(t.out, text) != NULL, "the output lacks `%s`; it is:\n%s", text, t.out)
#define good(rc) ck_assert_msg((rc) == 0, "not good:\n%s", t.log)
#define bad(rc) ck_assert_int_eq(rc, DK_EXIT_CONFIG)

/* ---- text ---- */

START_TEST(placeholders_as_documented)
{
	static const char json[] =
		"{ \"plugins\": { \"every\": { \"extra\": {\n"
		"  \"helloWorld\":\"{$DIARKIS_EXAMPLE_HELLO}\",\n  \"number\": {$DIARKIS_EXAMPLE_NUMBER}\n} } } }";
	static const char libconfig[] =
		"plugins = { every = { extra = {\n"
		"  helloWorld = \"{$DIARKIS_EXAMPLE_HELLO}\";\n  number = {$DIARKIS_EXAMPLE_NUMBER};\n}; }; };";

	t.vars[0] = (char *)(uintptr_t) "DIARKIS_EXAMPLE_HELLO=HELLO";
	t.vars[1] = (char *)(uintptr_t) "DIARKIS_EXAMPLE_NUMBER=1000";
	for (int i = 0; i < 2; i++) {
		good(boot_text(i ? libconfig : json));
		ck_assert_str_eq(dk_node_str(dk_node_get(conf()->extra, "helloWorld"), ""), "HELLO");
		ck_assert_int_eq(dk_node_type(dk_node_get(conf()->extra, "number")), DK_NODE_INT);
		ck_assert_int_eq(dk_node_int(dk_node_get(conf()->extra, "number"), 0), 1000);
	}
	t.vars[1] = (char *)(uintptr_t) "DIARKIS_EXAMPLE_NUMBER=5000000000";
	good(boot_text(libconfig));
	ck_assert_int_eq(dk_node_int(dk_node_get(conf()->extra, "number"), 0), 5000000000);
}
END_TEST

START_TEST(placeholders_at_their_edges)
{
	t.vars[0] = (char *)(uintptr_t) "DIARKIS_Q=a\"b\\c\td{$DIARKIS_Q}";
	t.vars[1] = (char *)(uintptr_t) "DIARKIS_LINES=1;\nevil = 2";
	good(boot_text("# {$DIARKIS_NONE}\n// {$DIARKIS_NONE}\n/* \n{$DIARKIS_NONE} */\n"
		       "plugins = { every = { extra = { a = \"{$DIARKIS_Q}\"; b = \"{$OTHER} {$DIARKIS_ # {$DIARKIS_Q\"; c = "
		       "\"//\"; }; }; };"));
	ck_assert_str_eq(dk_node_str(dk_node_get(conf()->extra, "a"), ""), "a\"b\\c\td{$DIARKIS_Q}");
	ck_assert_str_eq(dk_node_str(dk_node_get(conf()->extra, "b"), ""), "{$OTHER} {$DIARKIS_ # {$DIARKIS_Q");
	good(boot_text("{\"plugins\":{\"every\":{\"extra\":{\"a\":\"{$DIARKIS_Q}\"}}}}"));
	ck_assert_str_eq(dk_node_str(dk_node_get(conf()->extra, "a"), ""), "a\"b\\c\td{$DIARKIS_Q}");

	bad(boot_text("\n\nplugins = {};\nlog = { level = \"{$DIARKIS_NONE}\"; filePath = \"{$DIARKIS_NEITHER}\"; };"));
	logs("test.conf:4: the environment variable DIARKIS_NONE is not set");
	logs("test.conf:4: the environment variable DIARKIS_NEITHER is not set");
	bad(boot_text("a = \"{$DIARKIS_LINES}\";"));
	logs("test.conf:1: the environment variable DIARKIS_LINES holds a line break");
}
END_TEST

START_TEST(numbers_never_wrap)
{
	good(boot_text("plugins = { every = { big = 5000000000; extra = { a = [1, 2147483648, -9223372036854775808]; b = "
		       "0xFFFFFFFF; c = 7L;\n"
		       "udp2 = 010; s = \"5000000000\"; /* 99999999999999999999 */ f = 1.5; g = -2.5e3; t = (1, 2.5, \"x\"); h = "
		       "0x7fffffffffffffff; }; }; };"));
	ck_assert_int_eq(conf()->big, 5000000000);
	ck_assert_int_eq(dk_node_int(dk_node_at(dk_node_get(conf()->extra, "a"), 1), 0), 2147483648);
	ck_assert_int_eq(dk_node_int(dk_node_at(dk_node_get(conf()->extra, "a"), 2), 0), INT64_MIN);
	ck_assert_int_eq(dk_node_int(dk_node_get(conf()->extra, "b"), 0), 0xffffffff);
	ck_assert_int_eq(dk_node_int(dk_node_get(conf()->extra, "c"), 0), 7);
	ck_assert_int_eq(dk_node_int(dk_node_get(conf()->extra, "h"), 0), INT64_MAX);
	ck_assert_int_eq(dk_node_int(dk_node_get(conf()->extra, "udp2"), 0), 10);
	ck_assert_str_eq(dk_node_str(dk_node_get(conf()->extra, "s"), ""), "5000000000");
	ck_assert_double_eq(dk_node_f64(dk_node_get(conf()->extra, "f"), 0), 1.5);
	ck_assert_double_eq(dk_node_f64(dk_node_get(conf()->extra, "g"), 0), -2500);
	ck_assert_uint_eq(dk_node_count(dk_node_get(conf()->extra, "t")), 3);
	bad(boot_text("\na = 99999999999999999999;\nb = 0xffffffffffffffff;\n"));
	logs("test.conf:2: 99999999999999999999 does not fit into 64 bits");
	logs("test.conf:3: 0xffffffffffffffff does not fit into 64 bits");
	bad(boot_text("{\n\"a\": 99999999999999999999}"));
	logs("test.conf:2: column");
}
END_TEST

START_TEST(includes)
{
	put_file("main.conf",
		 "plugins = {\n  @include \"parts/*.conf\"\n};\n@include \"log.inc\" # the rest\nunlink_task_file = 3;\n");
	put_file("parts/b.conf", "b = { enabled = false; };");
	put_file("parts/a.conf", "every = {\n  connectionTTL = 20;\n  @include \"../deep/in.inc\"\n  mode = 7;\n};\n");
	put_file("deep/in.inc", "\n  big = 9L; rate = \"x\";\n");
	put_file("log.inc", "log = { level = \"sys\";\n\n color = 4; };");
	bad(boot_file("main.conf", NULL));
	ck_assert_int_eq(conf()->ttl, 20);
	ck_assert_int_eq(conf()->big, 9);
	logs("deep/in.inc:2: every: \"rate\" must be");
	logs("parts/a.conf:4: every: \"mode\" must be one of \"off\", \"allow\", \"only\", found 7");
	logs("log.inc:3: log: \"color\" must be true or false, found 4");
	logs("main.conf:5: \"unlink_task_file\" must be true or false, found 3");
	ck_assert_uint_eq(dk_node_count(dk_node_get(config_root(t.k.config), "plugins")), 2);

	put_file("loop.conf", "@include \"loop.conf\"\n");
	bad(boot_file("loop.conf", NULL));
	logs("more than 8 deep");
	put_file("gone.conf", "\n@include \"gone.inc\"\n@include \"none/*.inc\"\n");
	bad(boot_file("gone.conf", NULL));
	logs("gone.conf:2: @include");
	logs("gone.inc\" cannot be read: No such file or directory");
	logs_not("none/");
	bad(boot_file("absent.conf", NULL));
	logs("absent.conf cannot be read: No such file or directory");
	bad(boot_file("parts", NULL));
	logs("parts cannot be read: Is a directory");
}
END_TEST

START_TEST(broken_text)
{
	t.vars[0] = (char *)(uintptr_t) "DIARKIS_SECRET=hunter2";
	bad(boot_text("log = {\n  level = = \"sys\";\n};"));
	logs("test.conf:2: syntax error, at or before: level = = \"sys\";");
	bad(boot_text("a = 1;\nb = 2;\na = 3;\n"));
	logs("test.conf:3: duplicate setting name");
	bad(boot_text("{\n  \"log\": {\n    \"level\": \"sys\" \"color\": true } }"));
	logs("test.conf:3: column ");
	logs("in: \"level\": \"sys\" \"color\": true } }");
	bad(boot_text("{ \"a\": 1,\n \"a\": 2 }"));
	logs("test.conf:2: column 4: duplicate object key near '\"a\"', in: \"a\": 2 }");
	bad(boot_text("{\n \"key\": 1 \"{$DIARKIS_SECRET}\" }"));
	logs("test.conf:2: ");
	logs_not("hunter2");
	bad(boot_text("a = \"{$DIARKIS_SECRET}\" oops = }\n"));
	logs("{$DIARKIS_SECRET}");
	logs_not("hunter2");
	put_file("array.json", "[1]");
	bad(boot_file("array.json", NULL));
	logs("array.json:1: expected an object");
	bad(boot_text("plugins = { every = { extra = "
		      "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))"
		      "))))))))))))))))))))))))))))))))))))))); }; };"));
	logs("test.conf:1: ");
	good(boot_text("\xef\xbb\xbf{\"plugins\":{\"every\":{\"big\":1}}}"));
	ck_assert_int_eq(conf()->big, 1);
	good(boot_text(""));
	good(boot_text("{}"));
	good(boot_with(&(struct dk_boot){ .size = sizeof(struct dk_boot) }));
}
END_TEST

/* ---- rows ---- */

START_TEST(defaults)
{
	good(boot_text("plugins = { every = {}; };"));
	ck_assert_int_eq(conf()->ttl, 10);
	ck_assert_int_eq(conf()->big, 0);
	ck_assert(conf()->open && !conf()->shut);
	ck_assert_double_eq(conf()->rate, 0.5);
	ck_assert_str_eq(conf()->name, "nobody");
	ck_assert_ptr_null(conf()->nothing);
	ck_assert_int_eq(conf()->mode, 1);
	ck_assert_uint_eq(conf()->roles.n, 1);
	ck_assert_str_eq(conf()->roles.at[0], "HTTP");
	ck_assert_uint_eq(conf()->spots.n + conf()->maps.n, 0);
	ck_assert_ptr_null(conf()->extra);
	ck_assert_ptr_eq(t.self.conf, t.plugin.conf);
}
END_TEST

static const char every_json[] =
	"{ \"plugins\": { \"every\": {\n"
	"\"connectionTTL\": \"20\", \"big\": 5000000000, \"open\": \"false\", \"shut\": true, \"rate\": 2, \"name\": \"Ann\",\n"
	"\"nothing\": \"x\", \"secretKey\": null, \"mode\": \"only\", \"roles\": [\"UDP\", \"TCP\"],\n"
	"\"spots\": [ { \"title\": \"one\" }, { \"title\": \"two\", \"size\": 7 } ],\n"
	"\"maps\": { \"big\": { \"size\": \"4000\", \"title\": \"B\" }, \"tiny one\": { \"title\": \"T\" } },\n"
	"\"extra\": { \"a\": [1, \"2\", true, null, 2.5], \"b\": { \"c\": \"x\" } }\n} } }";
static const char every_libconfig[] =
	"plugins: { every: {\n"
	"connectionTTL = \"20\", big = 5000000000, open = \"false\", shut = true, rate = 2, name = \"An\" \"n\",\n"
	"nothing = \"x\", mode = \"only\", roles = [\"UDP\", \"TCP\"],\n"
	"spots = ( { title = \"one\" }, { title = \"two\", size = 7 } ),\n"
	"maps = { big = { size = \"4000\", title = \"B\" }; \n tiny-one = { title = \"T\" } },\n"
	"extra = { a = (1, \"2\", true, \"0\", 2.5), b = { c = \"x\" } }\n}; };";

static void check_every(void)
{
	const struct map_row *spots = conf()->spots.at, *maps = conf()->maps.at;
	const struct dk_node *a = dk_node_get(conf()->extra, "a");

	ck_assert_int_eq(conf()->ttl, 20);
	ck_assert_int_eq(conf()->big, 5000000000);
	ck_assert(!conf()->open && conf()->shut);
	ck_assert_double_eq(conf()->rate, 2);
	ck_assert_str_eq(conf()->name, "Ann");
	ck_assert_str_eq(conf()->nothing, "x");
	ck_assert_ptr_null(conf()->key);
	ck_assert_int_eq(conf()->mode, 2);
	ck_assert_uint_eq(conf()->roles.n, 2);
	ck_assert_str_eq(conf()->roles.at[1], "TCP");
	ck_assert_uint_eq(conf()->spots.n, 2);
	ck_assert_ptr_null(conf()->spots.keys);
	ck_assert_str_eq(spots[0].title, "one");
	ck_assert_int_eq(spots[0].size, 100);
	ck_assert_int_eq(spots[1].size, 7);
	ck_assert_uint_eq(conf()->maps.n, 2);
	ck_assert_str_eq(conf()->maps.keys[0], "big");
	ck_assert_int_eq(maps[0].size, 4000);
	ck_assert_str_eq(maps[1].title, "T");
	ck_assert_uint_eq(dk_node_count(a), 5);
	ck_assert_int_eq(dk_node_int(dk_node_at(a, 0), 0), 1);
	ck_assert_int_eq(dk_node_int(dk_node_at(a, 1), 0), 2);
	ck_assert(dk_node_bool(dk_node_at(a, 2), false));
	ck_assert_double_eq(dk_node_f64(dk_node_at(a, 4), 0), 2.5);
	ck_assert_str_eq(dk_node_key(conf()->extra, 1), "b");
	ck_assert_str_eq(dk_node_str(dk_node_get(dk_node_get(conf()->extra, "b"), "c"), ""), "x");
}

START_TEST(every_type_from_json)
{
	good(boot_text(every_json));
	check_every();
	ck_assert_str_eq(conf()->maps.keys[1], "tiny one");
	ck_assert_int_eq(dk_node_type(dk_node_at(dk_node_get(conf()->extra, "a"), 3)), DK_NODE_NULL);
}
END_TEST

START_TEST(every_type_from_libconfig)
{
	good(boot_text(every_libconfig));
	check_every();
}
END_TEST

START_TEST(all_that_is_wrong_at_once)
{
	bad(boot_text(
		"plugins = { every = {\n connectionTTL = 5000;\n big = \"12x\";\n open = 1;\n rate = 2.5;\n name = \"x\";\n "
		"nothing = 3;\n"
		" secretKey = \"far too long a key\";\n mode = \"onyl\";\n roles = [\"a\", \"b\", \"c\", \"d\"];\n"
		" spots = { };\n maps = { big = 3; small = { size = 0; titel = \"x\"; }; };\n extar = 1;\n zzzzzzzzzzz = 1; }; };\n"
		"plugin_dri = \"x\";\nlog = { levle = \"sys\"; level = \"loud\"; levels = { room = \"soft\"; }; };\nmatching = { "
		"};\n"));
	logs("test.conf:2: every: \"connectionTTL\" must be a whole number from 1 to 3600 s, found 5000");
	logs("test.conf:3: every: \"big\" must be a whole number, found \"12x\"");
	logs("test.conf:4: every: \"open\" must be true or false, found 1");
	logs("test.conf:5: every: \"rate\" must be a number from 0 to 2, found 2.5");
	logs("test.conf:6: every: \"name\" must be a text of 2 to 8 bytes, found \"x\"");
	logs("test.conf:7: every: \"nothing\" must be a text, found 3");
	logs("test.conf:8: every: \"secretKey\" must be a text of 0 to 12 bytes, found ***");
	logs("test.conf:9: every: \"mode\" must be one of \"off\", \"allow\", \"only\", found \"onyl\"");
	logs("test.conf:10: every: \"roles\" must be a list of texts of 0 to 3, found a list of 4");
	logs("test.conf:11: every: \"spots\" must be a list of groups, found a group of 0");
	logs("test.conf:12: every: \"maps.big\" must be a group of options");
	logs("test.conf:12: every: \"maps.small.size\" must be a whole number from 1 to 5000 m, found 0");
	logs("test.conf:12: every: \"maps.small.title\" must be set: what people call it");
	logs("test.conf:12: every: maps.small: unknown option \"titel\"; did you mean \"title\"?");
	logs("test.conf:13: every: unknown option \"extar\"; did you mean \"extra\"?");
	logs("test.conf:14: every: unknown option \"zzzzzzzzzzz\"; `diarkisd --explain every` lists what there is");
	logs("test.conf:15: unknown option \"plugin_dri\"; did you mean \"plugin_dir\"?");
	logs("test.conf:16: log: unknown option \"levle\"; did you mean \"level\"?");
	logs("test.conf:16: log: \"loud\" is no level");
	logs("test.conf:16: log: \"soft\" is no level");
	logs("test.conf:17: unknown option \"matching\"; the section of a plugin stands inside plugins = { ... }");
	/* What was wrong reads as its default. */
	ck_assert_int_eq(conf()->ttl, 10);
	ck_assert_str_eq(conf()->name, "nobody");
	ck_assert_int_eq(conf()->mode, 1);
}
END_TEST

START_TEST(configure_reports)
{
	bad(boot_text("plugins = { every = {\n\n shut = true;\n big = 13; }; };"));
	logs("test.conf:3: every: open and shut exclude each other");
	logs("test.conf:1: every: thirteen is unlucky");
	t.plugin.desc.conf_size = 8;
	bad(boot_text("plugins = { every = { }; };") ? DK_EXIT_CONFIG : 0);
	logs("the row of \"big\" does not fit its conf struct");
	t.plugin.desc.conf_size = sizeof(struct every);
}
END_TEST

/* Rows of another width, also those inside rows, become rows of today's width before anybody reads them. */
START_TEST(rows_of_another_width)
{
	static struct {
		struct dk_option row;
		uint64_t column;
	} nested[3], top[2];
	struct dk_plugin_desc desc = every_desc;
	const struct dk_plugin_desc *builtin[] = { &desc, NULL };

	nested[0].row = map_rows[0];
	nested[1].row = map_rows[1];
	top[0].row = every_rows[10];
	top[0].row.rows = &nested[0].row;
	top[0].column = nested[0].column = nested[1].column = UINT64_MAX;
	desc.options = &top[0].row;
	desc.option_sz = sizeof(top[0]);
	good(boot_text("plugins = { every = { spots = ( { title = \"one\"; size = 3; } ); }; };"));
	t.k.plugins = NULL;
	t.k.plugin_n = 0;
	t.k.builtin = builtin;
	ck_assert_int_eq(loader_app(&t.k), 0);
	ck_assert_int_eq(loader_load(&t.k), 0);
	ck_assert_uint_eq(t.k.plugin_n, 2);
	ck_assert_int_eq(config_fill(t.k.config, t.k.plugins[1]), 0);
	good(config_finish(t.k.config));
	ck_assert_int_eq(((const struct map_row *)((const struct every *)t.k.plugins[1]->conf)->spots.at)->size, 3);
	config_free(t.k.config);
	t.k.config = NULL;
	loader_fini(&t.k);
	arena_free(&t.k.boot);
}
END_TEST

/* ---- layers ---- */

START_TEST(layers)
{
	static const char *const sets[] = { "every.name=set", "every.maps.big.title=set", "log.level=info", NULL };

	put_file("main.conf",
		 "plugins = { every = { config = \"own/every.json\";\n name = \"section\"; big = 2; rate = 1;\n"
		 " maps = { big = { size = 2; }; }; roles = [\"s\"]; }; };\nlog = { config = \"own/log.json\"; flat = true; };");
	put_file("own/every.json", "{ \"name\": \"own\", \"big\": 1, \"rate\": 0.25,\n \"nothing\": \"own\", \"open\": \"false\",\n"
				   "\"maps\": { \"big\": { \"size\": 1, \"title\": \"own\" }, \"sea\": { \"title\": \"sea\" } }, "
				   "\"roles\": [\"o\", \"p\"] }");
	put_file("own/log.json",
		 "{ \"level\": \"warn\", \"flat\": false, \"levels\": { \"room\": \"debug\" }, \"filePath\": \"x.log\" }");
	put_file("conf.d/20.conf", "plugins = { every = { rate = 1.5; connectionTTL = 30; }; };");
	put_file("conf.d/10.conf", "plugins = { every = { rate = 1.25; connectionTTL = 40; }; };");
	put_file("conf.d/ignored.txt", "{");
	t.vars[0] = (char *)(uintptr_t) "DIARKIS_TTL=50";
	t.vars[1] = (char *)(uintptr_t) "DIARKIS_ROLES= a, b ,";
	good(boot_file("main.conf", sets));
	ck_assert_int_eq(conf()->ttl, 50);
	ck_assert_str_eq(conf()->name, "set");
	ck_assert_int_eq(conf()->big, 2);
	ck_assert_double_eq(conf()->rate, 1.5);
	ck_assert_str_eq(conf()->nothing, "own");
	ck_assert(!conf()->open);
	ck_assert_uint_eq(conf()->maps.n, 2);
	ck_assert_str_eq(conf()->maps.keys[0], "big");
	ck_assert_int_eq(((const struct map_row *)conf()->maps.at)[0].size, 2);
	ck_assert_str_eq(((const struct map_row *)conf()->maps.at)[0].title, "set");
	ck_assert_uint_eq(conf()->roles.n, 2);
	ck_assert_str_eq(conf()->roles.at[0], "a");
	ck_assert_str_eq(conf()->roles.at[1], "b");
	ck_assert_str_eq(config_kernel(t.k.config)->log_level, "info");
	ck_assert(config_kernel(t.k.config)->log_flat);
	ck_assert_str_eq(config_kernel(t.k.config)->log_file, path("own/x.log"));
	ck_assert_str_eq(dk_node_str(dk_node_get(config_kernel(t.k.config)->log_levels, "room"), ""), "debug");

	ck_assert_int_eq(dk_config_dump(&t.k, to_out, NULL), 0);
	prints("connectionTTL = 50;  # environment DIARKIS_TTL\n");
	prints("name = \"set\";  # --set\n");
	prints("conf.d/20.conf:1\n");
	prints("own/every.json:2\n");
	prints("shut is not set");
	prints("mode = \"allow\";  # default\n");

	/* --set is stronger than the environment; an empty variable counts as none */
	t.vars[1] = (char *)(uintptr_t) "DIARKIS_ROLES=";
	good(boot_file("main.conf", (const char *const[]){ "every.connectionTTL=60", NULL }));
	ck_assert_int_eq(conf()->ttl, 60);
	ck_assert_str_eq(conf()->roles.at[0], "s");
	t.vars[0] = (char *)(uintptr_t) "DIARKIS_TTL=0";
	bad(boot_file("main.conf", NULL));
	logs("environment DIARKIS_TTL: every: \"connectionTTL\" must be a whole number from 1 to 3600 s, found \"0\"");

	put_file("own/every.json", "{ \"big\": 1,,\n }");
	put_file("conf.d/20.conf", "plugins = ;");
	bad(boot_file("main.conf", NULL));
	logs("20.conf:1: syntax error");
	put_file("conf.d/20.conf", "");
	bad(boot_file("main.conf", NULL));
	logs("own/every.json:1: column");
	put_file("own/every.json", "{\n\"enabled\": false }");
	bad(boot_file("main.conf", NULL));
	logs("own/every.json:2: every: \"enabled\" belongs into the plugin's section");
	put_file("main.conf", "plugins = {\n every = { config = \"nowhere.json\"; }; };");
	bad(boot_file("main.conf", NULL));
	logs("main.conf:2: ");
	logs("nowhere.json cannot be read: No such file or directory");
}
END_TEST

START_TEST(sets)
{
	good(boot_text("plugins = { every = { extra = { a = 1; }; }; udp2 = { enabled = false; }; };"));
	put_file("m.conf", "plugins = { every = { extra = { a = 1; }; }; };");
	good(boot_file("m.conf", (const char *const[]){ "every.extra.b.c=x=y", "unlink_task_file=true", "plugin_dir=a,b",
							"hello.enabled=true", "hello.greeting=hi", "hello.use=hallo", NULL }));
	ck_assert_str_eq(dk_node_str(dk_node_get(dk_node_get(conf()->extra, "b"), "c"), ""), "x=y");
	ck_assert(config_kernel(t.k.config)->unlink_task_file);
	ck_assert_uint_eq(config_kernel(t.k.config)->plugin_dirs.n, 2);
	bad(boot_file("m.conf", (const char *const[]){ "evry.big=1", "every", "=3", "every.=3", "every.extra.a.b=3", "every=3",
						       "every.bgi=3", NULL }));
	logs("--set evry.big=1: there is no section \"evry\" in the configuration; did you mean \"every\"?");
	logs("--set every: expected INSTANCE.KEY=VALUE");
	logs("--set =3: expected");
	logs("--set every.=3: expected");
	logs("m.conf:1: --set wants \"a\" to be a group");
	logs("--set every=3: ");
	logs("--set: every: unknown option \"bgi\"; did you mean \"big\"?");
}
END_TEST

START_TEST(sections)
{
	const struct config_section *s;
	char where[300];

	put_file(
		"main.conf",
		"plugins = {\n every = { };\n udp2 = { use = \"udp\"; enabled = true; };\n off = { enabled = \"false\"; x = 1; };\n"
		" mine = { file = \"lib/mine.so\"; };\n};\nplugin_dir = \"plugins\";");
	good(boot_file("main.conf", NULL));
	ck_assert_uint_eq(config_sections(t.k.config, &s), 3);
	ck_assert_str_eq(s[0].instance, "every");
	ck_assert_str_eq(s[0].use, "every");
	ck_assert_ptr_null(s[0].file);
	ck_assert_str_eq(s[1].instance, "udp2");
	ck_assert_str_eq(s[1].use, "udp");
	snprintf(where, sizeof(where), "%s:3", path("main.conf"));
	ck_assert_str_eq(s[1].origin, where);
	ck_assert_str_eq(s[2].file, path("lib/mine.so"));
	ck_assert_str_eq(config_kernel(t.k.config)->plugin_dirs.at[0], path("plugins"));
	bad(boot_text("plugins = {\n app = { }; log = { };\n room = 3;\n a = { enabled = 3; use = 4; };\n};\n"));
	logs("test.conf:2: \"app\" is a name that the kernel keeps");
	logs("test.conf:2: \"log\" is a name that the kernel keeps");
	logs("test.conf:3: \"room\" must be a group of options");
	logs("test.conf:4: a: \"enabled\" must be true or false");
	logs("test.conf:4: a: \"use\" must be a text");
	bad(boot_text("plugins = [\"room\"];\nlog = 3;"));
	logs("test.conf:1: \"plugins\" must be a group");
	logs("test.conf:2: \"log\" must be a group");
}
END_TEST

START_TEST(the_installed_one)
{
	struct dk_boot boot = { .size = sizeof(boot) };
	const struct config_section *s;
	const char *srcdir = getenv("TEST_SRCDIR");
	char file[1024];

	snprintf(file, sizeof(file), "%s/etc/diarkis.conf", srcdir ? srcdir : ".");
	boot.config_file = file;
	good(boot_with(&boot));
	ck_assert_uint_eq(config_sections(t.k.config, &s), 10);
	ck_assert_str_eq(s[0].use, "http");
}
END_TEST

/* ---- reload ---- */

static void changed(struct dk_plugin *p, const void *old)
{
	ck_assert_ptr_eq(p, &t.plugin);
	ck_assert_ptr_ne(old, p->conf);
	ck_assert_ptr_eq(t.self.conf, p->conf);
	t.before = *(const struct every *)old;
	ck_assert_int_eq(t.before.name[0], 'o');
	t.changed++;
}

START_TEST(reload)
{
	const void *was;

	put_file("m.conf", "plugins = { every = { name = \"old\"; big = 1; extra = { a = 1; }; roles = [\"x\"]; }; };\nlog = { "
			   "level = \"info\"; };");
	good(boot_file("m.conf", (const char *const[]){ "every.rate=1.5", NULL }));
	was = conf();
	ck_assert_int_eq(config_reload(&t.k, changed), 0);
	ck_assert_uint_eq(t.changed, 0);
	ck_assert_ptr_eq(conf(), was);

	/* two things wrong, one of them in what may change: nothing changes */
	put_file("m.conf", "plugins = { every = { name = \"new\"; connectionTTL = 0; extra = { a = 1; }; };\n other = { }; };\nlog "
			   "= { level = \"warn\"; };");
	t.log[0] = '\0';
	ck_assert_int_lt(config_reload(&t.k, changed), 0);
	logs("m.conf:1: every: \"connectionTTL\" must be");
	logs("m.conf:1: every: \"big\" has changed, which takes effect only after a restart");
	logs("every: \"roles\" has changed");
	logs_not("\"extra\" has changed");
	logs("the configuration was not reloaded");
	logs("m.conf:2: other is new; a plugin is switched on only by a restart");
	ck_assert_ptr_eq(conf(), was);
	ck_assert_str_eq(conf()->name, "old");
	ck_assert_str_eq(config_kernel(t.k.config)->log_level, "info");

	put_file("m.conf", "plugins = { ");
	ck_assert_int_lt(config_reload(&t.k, changed), 0);
	put_file("m.conf", "plugins = { every = { enabled = false; }; };");
	t.log[0] = '\0';
	ck_assert_int_lt(config_reload(&t.k, changed), 0);
	logs("every is gone; a plugin is switched off only by a restart");
	put_file("m.conf",
		 "plugins = { every = { name = \"old\"; big = 1; extra = { a = 1; }; roles = [\"x\"]; shut = true; }; };");
	t.log[0] = '\0';
	ck_assert_int_lt(config_reload(&t.k, changed), 0);
	logs("open and shut exclude each other");
	ck_assert_ptr_eq(conf(), was);
	ck_assert_uint_eq(t.changed, 0);

	put_file("m.conf", "plugins = { every = { name = \"new\"; big = 1; extra = { a = 1; }; roles = [\"x\"]; }; };\nlog = { "
			   "level = \"warn\"; };");
	ck_assert_int_eq(config_reload(&t.k, changed), 0);
	ck_assert_uint_eq(t.changed, 1);
	ck_assert_str_eq(conf()->name, "new");
	ck_assert_double_eq(conf()->rate, 1.5);
	ck_assert_str_eq(config_kernel(t.k.config)->log_level, "warn");
	/* what a kept struct points to outlives the files' trees */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(config_reload(&t.k, changed), 0);
	ck_assert_str_eq(conf()->name, "new");
	ck_assert_int_eq(dk_node_int(dk_node_get(conf()->extra, "a"), 0), 1);
	put_file("m.conf", "plugins = { every = { name = \"new\"; big = 1; extra = { a = 2; }; roles = [\"x\"]; }; };");
	ck_assert_int_lt(config_reload(&t.k, changed), 0);
	logs("\"extra\" has changed");
	put_file("m.conf", "plugins = { every = { name = \"new\"; big = 1; extra = { a = 1; }; roles = [\"x\"];\n"
			   " spots = ( { title = \"one\"; } ); }; };");
	t.log[0] = '\0';
	ck_assert_int_lt(config_reload(&t.k, changed), 0);
	logs("m.conf:2: every: \"spots\" has changed");
	logs_not("\"maps\" has changed");
}
END_TEST

/* ---- for people ---- */

START_TEST(dump_reads_back)
{
	struct dk_boot boot = { .size = sizeof(boot), .config_text = t.out };

	good(boot_text(every_libconfig));
	ck_assert_int_eq(dk_config_dump(&t.k, to_out, NULL), 0);
	good(boot_with(&boot));
	check_every();
	t.out[0] = '\0';
	good(boot_text("plugins = { every = { secretKey = \"hunter2\"; use = \"every\"; name = \"a\\\"\\\\\\n\"; }; udp2 = { "
		       "enabled = false; port = 3; }; };"));
	ck_assert_int_eq(dk_config_dump(&t.k, to_out, NULL), 0);
	ck_assert_ptr_null(strstr(t.out, "hunter2"));
	prints("secretKey = \"***\";  # test.conf:1\n");
	prints("enabled = false;  # test.conf:1\n");
	good(boot_with(&boot));
	ck_assert_str_eq(conf()->name, "a\"\\\n");
}
END_TEST

START_TEST(explain)
{
	ck_assert_int_eq(dk_explain(&t.k, NULL, false, to_out, NULL), 0);
	prints("every 1.0.0: options of every type\n");
	prints("provides every 1.2\n");
	prints("needs user 1.0, mesh 1.0 if there\n");
	prints("connectionTTL\n      takes    a whole number from 1 to 3600 s\n      default  10\n      notes    reloadable, "
	       "DIARKIS_TTL\n"
	       "      meaning  silence limit\n");
	prints("maps.NAME.size\n      takes    a whole number from 1 to 5000 m\n      default  100\n");
	prints("spots[].title\n      takes    a text\n      default  required\n");
	prints("every.hit\n      number   2 300\n      takes    type u8, uid str16\n      answers  damage u16\n"
	       "      for      client, user\n      meaning  hits a | b\n");
	prints("hits\n      kind     sum\n      meaning  how many hits\n");
	t.out[0] = '\0';
	ck_assert_int_eq(dk_explain(&t.k, "every", true, to_out, NULL), 0);
	prints("### Options\n\n| option | takes | default | notes | meaning |\n|---|---|---|---|---|\n");
	prints("| `connectionTTL` | a whole number from 1 to 3600 s | 10 | reloadable, DIARKIS_TTL | silence limit |\n");
	prints("| `rate` | a number from 0 to 2 | 0.5 |  | share \\| part |\n");
	prints("| `every.hit` | 2 300 | type u8, uid str16 | damage u16 | client, user | hits a \\| b |\n");
	prints("| `hits` | sum | how many hits |\n");
	t.out[0] = '\0';
	ck_assert_int_eq(dk_explain(&t.k, "kernel", false, to_out, NULL), 0);
	prints("plugin_dir");
	prints("log.level\n");
}
END_TEST

START_TEST(nothing_is_a_node_too)
{
	ck_assert_int_eq(dk_node_type(NULL), DK_NODE_NULL);
	ck_assert_uint_eq(dk_node_count(NULL), 0);
	ck_assert_ptr_null(dk_node_at(NULL, 0));
	ck_assert_ptr_null(dk_node_key(NULL, 0));
	ck_assert_ptr_null(dk_node_get(NULL, "a"));
	ck_assert_int_eq(dk_node_int(NULL, 7), 7);
	ck_assert(dk_node_bool(NULL, true));
	ck_assert_double_eq(dk_node_f64(NULL, 7.5), 7.5);
	ck_assert_str_eq(dk_node_str(NULL, "x"), "x");
}
END_TEST

START_TEST(text_as_number)
{
	static const char *const no_int[] = { "", " 1", "1 ", "0x10", "1.5", "99999999999999999999", "one" };
	struct dk_node n = { .type = DK_NODE_STR };
	int64_t i = 3;
	double f = 3;

	for (size_t at = 0; at < DK_ARRAY_LEN(no_int); at++) {
		n.v.s = no_int[at];
		ck_assert_msg(!node_to_int(&n, &i), "\"%s\" counts as a whole number", n.v.s);
		ck_assert_int_eq(i, 3);
	}
	n.v.s = "nan";
	ck_assert(!node_to_f64(&n, &f));
	n = (struct dk_node){ .type = DK_NODE_F64, .v.f = 1e3 };
	ck_assert(node_to_int(&n, &i) && i == 1000);
	n.v.f = 1e300;
	ck_assert(!node_to_int(&n, &i));
	n.v.f = 0.5;
	ck_assert(!node_to_int(&n, &i));
	n.v.f = 1e300 * 1e300;
	ck_assert(!node_to_f64(&n, &f));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("config");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, placeholders_as_documented);
	tcase_add_test(tcase, placeholders_at_their_edges);
	tcase_add_test(tcase, numbers_never_wrap);
	tcase_add_test(tcase, includes);
	tcase_add_test(tcase, broken_text);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, every_type_from_json);
	tcase_add_test(tcase, every_type_from_libconfig);
	tcase_add_test(tcase, all_that_is_wrong_at_once);
	tcase_add_test(tcase, configure_reports);
	tcase_add_test(tcase, rows_of_another_width);
	tcase_add_test(tcase, layers);
	tcase_add_test(tcase, sets);
	tcase_add_test(tcase, sections);
	tcase_add_test(tcase, the_installed_one);
	tcase_add_test(tcase, reload);
	tcase_add_test(tcase, dump_reads_back);
	tcase_add_test(tcase, explain);
	tcase_add_test(tcase, nothing_is_a_node_too);
	tcase_add_test(tcase, text_as_number);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
