/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: levels, both forms, what is escaped and what is cut, the quota of each plugin, histograms. */
#include "node.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct dk_plugin_desc talker = { DK_PLUGIN_HEAD("talker", "1.0.0", ""), .self_size = sizeof(struct dk_self) };
static const struct dk_plugin_desc *const plugins[] = { &talker, NULL };

static struct node n;
static struct dk_self *a, *b;

static void serve(const char *log, const char *const *env)
{
	char config[512];

	snprintf(config, sizeof(config),
		 "log = { timeZone = \"utc\"; %s };\nplugins = { a = { use = \"talker\"; }; b = { use = \"talker\"; }; };", log);
	node_init(&n, config, plugins);
	if (env)
		n.boot.env = env;
	node_serve(&n);
	a = dk_plugin_state(n.k, "a");
	b = dk_plugin_state(n.k, "b");
	n.log_n = 0;
	n.log[0] = '\0';
}

static void over(void)
{
	dk_stop(n.k);
	node_run(&n, 1000);
	node_fini(&n);
}

/* The log is this one line (without its time). */
static void logged(const char *want)
{
	ck_assert_uint_gt(n.log_n, strlen("2001-01-01 00:00:00.000 "));
	ck_assert_int_eq(n.log[n.log_n - 1], '\n');
	n.log[n.log_n - 1] = '\0';
	ck_assert_str_eq(n.log + strlen("2001-01-01 00:00:00.000 "), want);
	n.log_n = 0;
	n.log[0] = '\0';
}

static int evaluated;
static int evaluate(void)
{
	return ++evaluated;
}

START_TEST(lines)
{
	serve("", NULL);
	dk_log(a, DK_INFO, "%d bottles of %s", 99, "beer");
	logged("info a: 99 bottles of beer");
	dk_log(b, DK_FATAL, "that is %s", "all");
	logged("fatal b: that is all");
	over();
}
END_TEST

START_TEST(levels)
{
	serve("level = \"warn\"; levels = { b = \"trace\"; };", NULL);
	dk_log(a, DK_INFO, "%d", evaluate());
	ck_assert_int_eq(evaluated, 0); /* a line that is off costs nothing */
	ck_assert_uint_eq(n.log_n, 0);
	dk_log(a, DK_WARN, "x");
	logged("warn a: x");
	dk_log(b, DK_DEBUG, "y");
	logged("debug b: y");
	dk_log(b, DK_SYS, "z");
	ck_assert_uint_eq(n.log_n, 0);
	over();
}
END_TEST

/* Minutes of the day that the one line begins with. */
static int minutes(const char *zone)
{
	char config[128];
	int hour, minute;

	snprintf(config, sizeof(config), "log = { timeZone = \"%s\"; }; plugins = { a = { use = \"talker\"; }; };", zone);
	node_init(&n, config, plugins);
	node_serve(&n);
	node_assert_silent(&n, "timeZone");
	n.log_n = 0;
	dk_log((struct dk_self *)dk_plugin_state(n.k, "a"), DK_INFO, "x");
	ck_assert_int_eq(sscanf(n.log + strlen("2001-01-01 "), "%2d:%2d:", &hour, &minute), 2);
	over();
	return hour * 60 + minute;
}

START_TEST(zones)
{
	setenv("TZ", "XYZ-5:30", 1); /* east of Greenwich */
	tzset();
	ck_assert_int_eq((minutes("local") - minutes("UTC") + 24 * 60) % (24 * 60), 5 * 60 + 30);
	node_init(&n, "log = { timeZone = \"Mars/Olympus\"; };", plugins);
	ck_assert_int_eq(node_boot(&n), 0);
	node_assert_said(&n, "timeZone \"Mars/Olympus\" is neither local nor utc; times are in UTC");
	ck_assert_ptr_null(strstr(strstr(n.log, "neither") + 1, "neither"));
	node_fini(&n);
}
END_TEST

START_TEST(control_characters)
{
	serve("", NULL);
	dk_log(a, DK_INFO, "a\tb\033[31mc\001");
	logged("info a: a\\x09b\\x1b[31mc\\x01");
	dk_log(a, DK_INFO, "two\nlines");
	logged("info a: two\\nlines"); /* nobody's text can look like a line of the log */
	over();
	serve("flat = true;", NULL);
	dk_log(a, DK_INFO, "two\nlines");
	logged("info a: two lines");
	over();
	serve("unsafeLogging = true;", NULL);
	dk_log(a, DK_INFO, "a\tb\nc");
	logged("info a: a\tb\nc");
	over();
}
END_TEST

static json_t *json_line(void)
{
	json_error_t e;
	json_t *j = json_loadb(n.log, n.log_n - 1, 0, &e);

	ck_assert_msg(j != NULL, "%s in %s", e.text, n.log);
	n.log_n = 0;
	return j;
}

START_TEST(json)
{
	static const char *const env[] = { "DIARKIS_JSON_LOG=TRUE", NULL };
	char text[5000];
	json_t *j;

	serve("", env);
	dk_log(a, DK_NOTICE, "say \"hi\" \\ to\n\t\002");
	j = json_line();
	ck_assert_str_eq(json_string_value(json_object_get(j, "level")), "notice");
	ck_assert_str_eq(json_string_value(json_object_get(j, "name")), "a");
	ck_assert_str_eq(json_string_value(json_object_get(j, "message")), "say \"hi\" \\ to\n\t\002");
	ck_assert_int_eq(strlen(json_string_value(json_object_get(j, "time"))), strlen("2001-01-01T00:00:00.000Z"));
	json_decref(j);
	/* However long and full of what must be escaped: one whole object a line. */
	for (size_t len = 1200; len < 1400; len++) {
		memset(text, 1, len);
		text[len] = '\0';
		dk_log(a, DK_INFO, "%s", text);
		json_decref(json_line());
	}
	over();
}
END_TEST

START_TEST(json_is_utf8)
{
	static const char *const env[] = { "DIARKIS_JSON_LOG=TRUE", NULL };
	static const struct {
		const char *text, *message;
	} lines_of[] = {
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xae", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xae" },
		{ "a\xff"
		  "b\x80"
		  "c",
		  "a\xef\xbf\xbd"
		  "b\xef\xbf\xbd"
		  "c" },
		{ "cut\xe2\x82", "cut\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" }, /* longer than need be */
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* half of a pair */
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};
	json_t *j;

	serve("", env);
	for (size_t i = 0; i < DK_ARRAY_LEN(lines_of); i++) {
		dk_log(a, DK_INFO, "%s", lines_of[i].text);
		j = json_line();
		ck_assert_str_eq(json_string_value(json_object_get(j, "message")), lines_of[i].message);
		json_decref(j);
	}
	over();
}
END_TEST

START_TEST(long_lines)
{
	static char text[20000];

	serve("rate = 0;", NULL);
	memset(text, 'x', sizeof(text) - 1);
	dk_log(a, DK_INFO, "%s", text);
	ck_assert_uint_gt(n.log_n, 7000);
	ck_assert_uint_lt(n.log_n, 8200);
	memset(text, '\001', sizeof(text) - 1);
	n.log_n = 0;
	dk_log(a, DK_INFO, "%s", text);
	ck_assert_uint_lt(n.log_n, 8200);
	ck_assert_str_eq(strrchr(n.log, '\\'), "\\x01\n"); /* no half escape */
	over();
}
END_TEST

START_TEST(quota_of_each)
{
	size_t count = 0;

	serve("rate = 10;", NULL);
	node_run(&n, 2000);
	for (int i = 0; i < 100; i++)
		dk_log(a, DK_INFO, "noise");
	for (const char *p = n.log; (p = strstr(p, "noise")); p++)
		count++;
	ck_assert_uint_eq(count, 10);
	dk_log(b, DK_INFO, "b is heard");
	node_assert_said(&n, "b is heard"); /* whatever a does */
	dk_log(a, DK_FATAL, "the end of a");
	node_assert_said(&n, "the end of a");
	node_run(&n, 1000);
	n.log_n = 0;
	dk_log(a, DK_INFO, "again");
	node_assert_said(&n, "warn a: 90 lines more than the 10 a second that log.rate allows were not written\n");
	node_assert_said(&n, "info a: again");
	over();
}
END_TEST

START_TEST(to_a_file)
{
	char name[] = "/tmp/dk-test-log-XXXXXX", config[512], text[4096];
	int fd = mkstemp(name);
	ssize_t got;

	ck_assert_int_ge(fd, 0);
	snprintf(config, sizeof(config), "log = { filePath = \"%s\"; timeZone = \"utc\"; }; plugins = { talker = {}; };", name);
	node_init(&n, config, plugins);
	n.boot.log_sink = NULL;
	node_serve(&n);
	dk_log((struct dk_self *)dk_plugin_state(n.k, "talker"), DK_INFO, "into the file");
	got = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(got, 0);
	text[got] = '\0';
	ck_assert_ptr_nonnull(strstr(text, " info talker: into the file\n"));
	over();
	close(fd);
	unlink(name);
}
END_TEST

START_TEST(file_that_cannot_be)
{
	node_init(&n, "log = { filePath = \"/nonexistent/log\"; };", plugins);
	n.boot.log_sink = NULL;
	ck_assert_int_eq(node_boot(&n), DK_EXIT_CONFIG);
	node_fini(&n);
}
END_TEST

START_TEST(histograms)
{
	struct dk_histogram h = { 0 };

	dk_histogram_add(&h, 0);
	dk_histogram_add(&h, .005); /* a bound belongs to its own bucket */
	dk_histogram_add(&h, .0051);
	dk_histogram_add(&h, 10);
	dk_histogram_add(&h, 1000);
	ck_assert_uint_eq(h.count, 5);
	ck_assert_uint_eq(h.bucket[0], 2);
	ck_assert_uint_eq(h.bucket[1], 1);
	ck_assert_uint_eq(h.bucket[10], 1);
	ck_assert_uint_eq(h.bucket[11], 1);
	ck_assert(h.sum > 1010 && h.sum < 1010.1);
}
END_TEST

UNIT_MAIN("log", lines, levels, zones, control_characters, json, json_is_utf8, long_lines, quota_of_each, to_a_file,
	  file_that_cannot_be, histograms)
