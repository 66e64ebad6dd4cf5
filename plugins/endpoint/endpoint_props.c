/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two forms. `a=b&c=d`: every value is text and stands as it was sent, percent codes included, as the reference does it. JSON,
 * with Content-Type application/json: an object; text, numbers and booleans keep their type, null is left out, arrays and objects
 * become the text of their JSON. The limits are those of a user's property data, checked here so that no user is made for a body
 * that cannot be kept.
 */
#include "endpoint_props.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define WORD "application/json"

static bool is_json(dk_str type)
{
	size_t n = sizeof(WORD) - 1;

	return type.n >= n && strncasecmp(type.p, WORD, n) == 0 &&
	       (type.n == n || type.p[n] == ';' || type.p[n] == ' ' || type.p[n] == '\t');
}

/* Takes `text` in any case. A name that is there already gets the new value. */
static bool add(struct endpoint_props *p, dk_str name, const struct dk_value *value, char *text)
{
	struct endpoint_prop *prop = NULL;
	size_t bytes = value->type == DK_V_STR ? value->as.s.n : 0;

	for (unsigned i = 0; i < p->n && !prop; i++)
		if (dk_str_eq(p->at[i].name, name))
			prop = &p->at[i];
	if (!name.n || name.n > ENDPOINT_NAME_MAX) {
		snprintf(p->why, sizeof(p->why), "a property name has %zu bytes; expected 1 to %d", name.n, ENDPOINT_NAME_MAX);
	} else if (!prop && p->n == ENDPOINT_PROPS_MAX) {
		snprintf(p->why, sizeof(p->why), "the body has more than %d properties", ENDPOINT_PROPS_MAX);
	} else if (p->bytes + name.n + bytes > ENDPOINT_BYTES_MAX) {
		snprintf(p->why, sizeof(p->why), "the properties have more than %d bytes", ENDPOINT_BYTES_MAX);
	} else {
		if (!prop) {
			prop = &p->at[p->n++];
			p->bytes += name.n;
		} else if (prop->value.type == DK_V_STR) {
			p->bytes -= prop->value.as.s.n;
		}
		free(prop->text);
		*prop = (struct endpoint_prop){ name, *value, text };
		p->bytes += bytes;
		return true;
	}
	free(text);
	return false;
}

static bool read_form(struct endpoint_props *p, dk_str body)
{
	const char *at = body.p, *end = body.p + body.n;

	while (at < end) {
		const char *amp = memchr(at, '&', (size_t)(end - at)), *stop = amp ? amp : end;
		const char *eq = memchr(at, '=', (size_t)(stop - at));
		struct dk_value v = { .type = DK_V_STR };

		v.as.s = eq ? dk_str_n(eq + 1, (size_t)(stop - eq - 1)) : dk_str_n("", 0);
		if (stop > at && !add(p, dk_str_n(at, (size_t)((eq ? eq : stop) - at)), &v, NULL))
			return false;
		at = stop + 1;
	}
	return true;
}

/* False: out of memory. */
static bool value_of(json_t *json, struct dk_value *ret_value, char **ret_text)
{
	struct dk_value v = { .type = DK_V_NONE };

	switch (json_typeof(json)) {
	case JSON_STRING:
		v.type = DK_V_STR;
		v.as.s = dk_str_n(json_string_value(json), json_string_length(json));
		break;
	case JSON_INTEGER:
		v.type = DK_V_INT;
		v.as.i = json_integer_value(json);
		break;
	case JSON_REAL:
		v.type = DK_V_F64;
		v.as.f = json_real_value(json);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		v.type = DK_V_BOOL;
		v.as.b = json_is_true(json);
		break;
	case JSON_NULL:
		break;
	default:
		*ret_text = json_dumps(json, JSON_COMPACT);
		if (!*ret_text)
			return false;
		v.type = DK_V_STR;
		v.as.s = dk_str_c(*ret_text);
	}
	*ret_value = v;
	return true;
}

static bool read_json(struct endpoint_props *p, dk_slice body)
{
	json_error_t err;
	const char *name;
	json_t *json;

	p->root = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, &err);
	if (!p->root) {
		snprintf(p->why, sizeof(p->why), "the body is not JSON: line %d, column %d: %s", err.line, err.column, err.text);
		return false;
	}
	if (!json_is_object(p->root)) {
		snprintf(p->why, sizeof(p->why), "the body is JSON but not an object of property names and values");
		return false;
	}
	json_object_foreach(p->root, name, json)
	{
		struct dk_value v;
		char *text = NULL;

		if (!value_of(json, &v, &text)) {
			snprintf(p->why, sizeof(p->why), "a nested property value cannot be kept");
			return false;
		}
		if (v.type != DK_V_NONE && !add(p, dk_str_c(name), &v, text))
			return false;
	}
	return true;
}

bool endpoint_props_read(struct endpoint_props *p, dk_str content_type, dk_slice body)
{
	memset(p, 0, sizeof(*p));
	if (!body.n)
		return true;
	return is_json(content_type) ? read_json(p, body) : read_form(p, dk_str_of(body));
}

void endpoint_props_fini(struct endpoint_props *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->at[i].text);
	json_decref(p->root);
	p->root = NULL;
	p->n = 0;
}

size_t endpoint_props_list(const struct endpoint_props *p, struct dk_user_prop to[ENDPOINT_PROPS_MAX])
{
	for (unsigned i = 0; i < p->n; i++)
		to[i] = (struct dk_user_prop){ p->at[i].name, p->at[i].value };
	return p->n;
}
