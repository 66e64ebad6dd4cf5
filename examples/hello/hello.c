/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello: the smallest plugin that does something. One option, one command, one counter. tools/new-plugin.sh starts from it.
 *
 *   hello = { greeting = "Hi"; };        in the section `plugins` of the configuration
 *   hello.greet NAME                     (2, 10): answers "Hi, NAME"
 */
#include <diarkis/plugin.h>

#include <stdio.h>

struct hello_conf {
	const char *greeting;
};

struct hello {
	struct dk_self base;
	struct {
		uint64_t greeted;
	} n;
};

#define HELLO_COMMANDS(X, R)                                                                                                       \
	X(struct hello, 2, 10, "hello.greet", on_greet, DK_CLIENT | DK_ADMIN, "greet somebody", DK_IN(str16(name)),                \
	  DK_OUT(str16(text)))
DK_COMMANDS(hello, HELLO_COMMANDS)

static int on_greet(struct hello *h, struct dk_call *call, dk_str name)
{
	const struct hello_conf *conf = h->base.conf;
	char text[256];
	int n = snprintf(text, sizeof(text), "%s, " DK_STR_FMT, conf->greeting, DK_STR_ARG(name));

	if (n >= (int)sizeof(text))
		return dk_refuse(call, DK_E_PARAMS, "a name of %zu bytes is too long to be greeted", name.n);
	h->n.greeted++;
	return on_greet_answer(call, dk_str_n(text, (size_t)n));
}

static const struct dk_option hello_options[] = {
	DK_STR(struct hello_conf, greeting, "greeting", "Hello", "what comes before the name", .flags = DK_RELOADABLE),
	{ 0 },
};

static const struct dk_counter hello_counters[] = { DK_COUNTER(struct hello, greeted, "greetings given"), { 0 } };

DK_PLUGIN(hello) = {
	DK_PLUGIN_HEAD("hello", "1.0.0", "greets"),
	.self_size = sizeof(struct hello),
	.conf_size = sizeof(struct hello_conf),
	.options = hello_options,
	.commands = hello_commands,
	.counters = hello_counters,
};
