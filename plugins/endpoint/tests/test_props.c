/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of endpoint requests: which properties they make, and which are refused before a user is made. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/endpoint/endpoint_props.h"

static struct endpoint_props props;

static bool read_body(const char *type, const char *body)
{
	return endpoint_props_read(&props, dk_str_c(type), dk_slice_of(dk_str_c(body)));
}

static void teardown(void)
{
	endpoint_props_fini(&props);
}

static const struct dk_value *value_of(const char *name)
{
	for (unsigned i = 0; i < props.n; i++)
		if (dk_str_eq(props.at[i].name, dk_str_c(name)))
			return &props.at[i].value;
	ck_abort_msg("no property %s", name);
	return NULL;
}

static void is_text(const char *name, const char *text)
{
	const struct dk_value *v = value_of(name);

	ck_assert_int_eq(v->type, DK_V_STR);
	ck_assert_msg(dk_str_eq(v->as.s, dk_str_c(text)), "%s is " DK_STR_FMT, name, DK_STR_ARG(v->as.s));
}

START_TEST(nothing)
{
	ck_assert(read_body(NULL, "") && props.n == 0);
	endpoint_props_fini(&props);
	ck_assert(read_body("application/json", "") && props.n == 0);
}
END_TEST

START_TEST(form)
{
	ck_assert(read_body("application/x-www-form-urlencoded", "a=b&c=%20d&&e&f=g=h&a=z&+=1"));
	ck_assert_uint_eq(props.n, 5);
	is_text("a", "z"); /* the last one counts */
	is_text("c", "%20d"); /* as it was sent */
	is_text("e", "");
	is_text("f", "g=h");
	is_text("+", "1");
}
END_TEST

START_TEST(json)
{
	ck_assert(read_body("Application/JSON; charset=utf-8",
			    "{\"s\":\"t\",\"i\":-9007199254740993,\"f\":1.5,\"y\":true,\"n\":false,\"z\":null,\"l\":[1,\"a\"],"
			    "\"o\":{\"b\":null}}"));
	ck_assert_uint_eq(props.n, 7);
	is_text("s", "t");
	is_text("l", "[1,\"a\"]");
	is_text("o", "{\"b\":null}");
	ck_assert(value_of("i")->type == DK_V_INT && value_of("i")->as.i == -9007199254740993);
	ck_assert(value_of("f")->type == DK_V_F64 && value_of("f")->as.f == 1.5);
	ck_assert(value_of("y")->type == DK_V_BOOL && value_of("y")->as.b);
	ck_assert(value_of("n")->type == DK_V_BOOL && !value_of("n")->as.b);
}
END_TEST

/* JSON that is not called JSON is a form, as odd as it looks. */
START_TEST(the_type_decides)
{
	ck_assert(read_body("text/plain", "{\"a\":1}") && props.n == 1);
	is_text("{\"a\":1}", "");
	endpoint_props_fini(&props);
	ck_assert(read_body("application/jsonx", "a=b"));
	is_text("a", "b");
}
END_TEST

static const struct {
	const char *type, *body, *why;
} refused[] = {
	{ NULL, "=b", "name" },
	{ NULL, "a=b&=", "name" },
	{ "application/json", "{\"a\":1", "not JSON: line 1" },
	{ "application/json", "a=b", "not JSON" },
	{ "application/json", "[1]", "not an object" },
	{ "application/json", "{\"a\":1}x", "not JSON" },
	{ "application/json", "{\"a\":1,\"a\":2}", "not JSON" },
	{ "application/json", "{\"\":1}", "name" },
	{ "application/json", "{\"a\":99999999999999999999}", "not JSON" },
	{ "application/json", "{\"a\":\"\xff\"}", "not JSON" },
	{ "application/json", "{\"a\":\"\\u0000\"}", "not JSON" },
};

START_TEST(refusals)
{
	ck_assert_msg(!read_body(refused[_i].type, refused[_i].body), "taken: %s", refused[_i].body);
	ck_assert_msg(strstr(props.why, refused[_i].why) != NULL, "%s: %s", refused[_i].body, props.why);
}
END_TEST

START_TEST(limits)
{
	static char body[ENDPOINT_BYTES_MAX + 600];
	size_t n = 0;

	for (int i = 0; i < ENDPOINT_PROPS_MAX; i++)
		n += (size_t)snprintf(body + n, sizeof(body) - n, "p%d=%d&", i, i);
	ck_assert(read_body(NULL, body) && props.n == ENDPOINT_PROPS_MAX);
	endpoint_props_fini(&props);
	snprintf(body + n, sizeof(body) - n, "p0=again"); /* one that is there makes none */
	ck_assert(read_body(NULL, body));
	is_text("p0", "again");
	endpoint_props_fini(&props);
	snprintf(body + n, sizeof(body) - n, "more=");
	ck_assert(!read_body(NULL, body) && strstr(props.why, "64"));
	endpoint_props_fini(&props);

	memset(body, 'a', sizeof(body));
	body[ENDPOINT_NAME_MAX] = '\0';
	ck_assert(read_body(NULL, body));
	endpoint_props_fini(&props);
	body[ENDPOINT_NAME_MAX] = 'a';
	body[ENDPOINT_NAME_MAX + 1] = '\0';
	ck_assert(!read_body(NULL, body) && strstr(props.why, "255"));
	endpoint_props_fini(&props);

	memset(body, 'a', sizeof(body));
	body[1] = '=';
	body[ENDPOINT_BYTES_MAX + 1] = '\0'; /* a name of 1, a text of 65535 */
	ck_assert(read_body(NULL, body));
	endpoint_props_fini(&props);
	body[ENDPOINT_BYTES_MAX + 1] = 'a';
	body[ENDPOINT_BYTES_MAX + 2] = '\0';
	ck_assert(!read_body(NULL, body) && strstr(props.why, "65536"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endpoint properties");
	TCase *tc = tcase_create("props");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, nothing);
	tcase_add_test(tc, form);
	tcase_add_test(tc, json);
	tcase_add_test(tc, the_type_decides);
	tcase_add_loop_test(tc, refusals, 0, (int)DK_ARRAY_LEN(refused));
	tcase_add_test(tc, limits);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
