/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every plugin must hold, tried on each .so in $DIARKIS_TEST_PLUGINS (fixtures, which misbehave on purpose, excepted): its
 * constant is complete, its configuration is checked without running it, it boots with defaults beside what it needs and ends
 * without leftovers, three times in one process, alone and in company of all others. (That its README is fresh is a lint.)
 */
#include <diarkis/test.h>

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

#define PLUGINS_MAX 64

struct found {
	char name[64];
	const struct dk_plugin_desc *desc;
};

static struct found found[PLUGINS_MAX];
static int found_n;

static void look_into(const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);
		struct found *f = &found[found_n];
		char path[4096], symbol[128];
		void *h;

		if (len > 3 && len < sizeof(f->name) && !strcmp(names[i]->d_name + len - 3, ".so") && found_n < PLUGINS_MAX) {
			snprintf(f->name, sizeof(f->name), "%.*s", (int)len - 3, names[i]->d_name);
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			snprintf(symbol, sizeof(symbol), "dk_plugin_%s", f->name);
			h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
			f->desc = h ? dlsym(h, symbol) : NULL;
			if (!f->desc)
				fprintf(stderr, "%s: %s\n", path, dlerror());
			found_n++;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void find_plugins(void)
{
	const char *dirs = getenv("DIARKIS_TEST_PLUGINS");
	char *list = strdup(dirs ? dirs : ""), *rest = list, *dir;

	while ((dir = strsep(&rest, ":")))
		if (*dir && !strstr(dir, "/fixtures/"))
			look_into(dir);
	free(list);
}

/* ---- the constant ---- */

static bool text(const char *s)
{
	return s && *s;
}

static void check_params(const char *name, const struct dk_param *p)
{
	ck_assert_msg(p != NULL, "%s has no list of parameters", name);
	for (; p->type; p++)
		ck_assert_msg(p->type < DK_T_COUNT && text(p->name), "%s has a parameter without name or type", name);
}

static void check_options(const char *plugin, const struct dk_option *o)
{
	for (; o && o->name; o++) {
		ck_assert_msg(text(o->help), "%s: option %s has no help", plugin, o->name);
		ck_assert_msg(!(o->flags & DK_REQUIRED) || !o->def, "%s: option %s is required and has a default", plugin, o->name);
		ck_assert_msg(!o->env || !strncmp(o->env, "DIARKIS_", 8), "%s: option %s: variables begin with DIARKIS_", plugin,
			      o->name);
		check_options(plugin, o->rows);
	}
}

START_TEST(constant_is_complete)
{
	const struct found *f = &found[_i];
	const struct dk_plugin_desc *d = f->desc;

	ck_assert_msg(d != NULL, "%s.so cannot be loaded or exports no dk_plugin_%s", f->name, f->name);
	ck_assert_uint_eq(d->magic, DK_PLUGIN_MAGIC);
	ck_assert_uint_eq(d->size, sizeof(*d)); /* built from this tree */
	ck_assert_str_eq(d->name, f->name);
	ck_assert(text(d->version));
	ck_assert_msg(text(d->summary), "%s has no summary", f->name);
	check_options(f->name, d->options);
	for (const struct dk_command *c = d->commands; c && c->name; c++) {
		size_t n = strcspn(c->name, ".");

		ck_assert_msg(c->name[n] && n == strlen(d->name) && !strncmp(c->name, d->name, n),
			      "%s: command %s is not called %s.*", d->name, c->name, d->name);
		ck_assert_msg(text(c->help), "command %s has no help", c->name);
		check_params(c->name, c->in);
		check_params(c->name, c->out);
	}
	for (const struct dk_counter *c = d->counters; c && c->name; c++)
		ck_assert_msg(text(c->help), "%s: counter %s has no help", d->name, c->name);
}
END_TEST

/* ---- running it ---- */

static bool provides(const struct dk_plugin_desc *d, const char *service)
{
	for (const struct dk_provide *p = d->provides; p && p->name; p++)
		if (!strcmp(p->name, service))
			return true;
	return false;
}

/* A section of it and of whatever provides what it needs. */
static void add(bool *on, int i)
{
	const struct dk_plugin_desc *d = found[i].desc;

	if (on[i])
		return;
	on[i] = true;
	for (const struct dk_need *need = d->needs; need && need->name; need++)
		for (int j = 0; j < found_n && need->kind == DK_NEED_ONE; j++)
			if (found[j].desc && provides(found[j].desc, need->name)) {
				add(on, j);
				break;
			}
}

/* What must be said: there are no defaults for it. */
static const char *section_of(const char *plugin)
{
	return strcmp(plugin, "debug") ? "" : " allow = true; ";
}

static void config_of(const bool *on, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "plugins = {");

	for (int i = 0; i < found_n; i++)
		if (on[i])
			n += (size_t)snprintf(buf + n, size - n, " %s = {%s};", found[i].name, section_of(found[i].name));
	snprintf(buf + n, size - n, " };");
}

static void runs_three_times(const bool *on)
{
	char config[4096];

	config_of(on, config, sizeof(config));
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct dk_harness *h = dk_harness_open(&(struct dk_harness_opts){ .config = config, .seed = seed });

		ck_assert_msg(h != NULL, "does not start with %s", config);
		dk_harness_advance(h, 20000);
		ck_assert_msg(dk_harness_stop(h) == 0, "does not end well with %s:\n%s", config, dk_harness_log(h));
		ck_assert_msg(dk_harness_log_has(h, "leftovers: none"), "%s", dk_harness_log(h));
		ck_assert_msg(!dk_harness_log_has(h, " error "), "there are errors in its log:\n%s", dk_harness_log(h));
		ck_assert_int_eq(dk_harness_free(h), 0);
	}
}

START_TEST(runs_with_what_it_needs)
{
	bool on[PLUGINS_MAX] = { false };

	add(on, _i);
	runs_three_times(on);
}
END_TEST

START_TEST(runs_with_all_others)
{
	bool on[PLUGINS_MAX] = { false };

	for (int i = 0; i < found_n; i++)
		on[i] = strcmp(found[i].name, "mem") != 0; /* which stands in for all transports, and knows no keys */
	runs_three_times(on);
}
END_TEST

/* As diarkisd -t does: made, looked at, freed; nothing ran. */
START_TEST(configuration_is_checked)
{
	bool on[PLUGINS_MAX] = { false };
	char config[4096];

	add(on, _i);
	config_of(on, config, sizeof(config));
	for (int i = 0; i < 3; i++) {
		struct dk_harness *h = dk_harness_open(&(struct dk_harness_opts){ .config = config, .seed = 1, .stay = true });

		ck_assert_ptr_nonnull(h);
		ck_assert_msg(*dk_harness_log(h) == '\0', "it says without having run:\n%s", dk_harness_log(h));
		dk_harness_free(h);
	}
}
END_TEST

struct page {
	char text[65536];
	size_t n;
};

static void put(void *arg, const char *p, size_t n)
{
	struct page *page = arg;

	ck_assert_uint_lt(page->n + n, sizeof(page->text));
	memcpy(page->text + page->n, p, n);
	page->n += n;
	page->text[page->n] = '\0';
}

START_TEST(unknown_options_are_refused)
{
	static struct page log;
	bool on[PLUGINS_MAX] = { false };
	char config[4096], set[128], want[256];
	const char *sets[] = { set, NULL }, *dirs[PLUGINS_MAX];
	struct dk_kernel *k;
	struct dk_env *env = dk_env_sim(1);
	struct dk_boot boot = { .size = sizeof(boot),
				.config_text = config,
				.config_name = "test.conf",
				.sets = sets,
				.plugin_dirs = dirs,
				.env = (const char *const[]){ NULL },
				.log_sink = put,
				.log_arg = &log };
	char *list = strdup(getenv("DIARKIS_TEST_PLUGINS")), *rest = list, *dir;
	size_t n = 0;

	while ((dir = strsep(&rest, ":")) && n < PLUGINS_MAX - 1)
		dirs[n++] = dir;
	dirs[n] = NULL;
	add(on, _i);
	config_of(on, config, sizeof(config));
	snprintf(set, sizeof(set), "%s.no_such_option=1", found[_i].name);
	snprintf(want, sizeof(want), "--set: %s: unknown option \"no_such_option\"", found[_i].name);
	ck_assert_int_eq(dk_kernel_new(env, &boot, &k), DK_EXIT_CONFIG);
	ck_assert_msg(strstr(log.text, want) != NULL, "%s", log.text);
	dk_env_free(env);
	free(list);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("contract");
	TCase *tc = tcase_create("contract");
	SRunner *runner;
	int failed;

	find_plugins();
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, constant_is_complete, 0, found_n);
	tcase_add_loop_test(tc, configuration_is_checked, 0, found_n);
	tcase_add_loop_test(tc, unknown_options_are_refused, 0, found_n);
	tcase_add_loop_test(tc, runs_with_what_it_needs, 0, found_n);
	tcase_add_test(tc, runs_with_all_others);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0 || found_n == 0;
}
