/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile configuration: any bytes as libconfig or JSON, through placeholders and the parsers to a tree, and from the tree to a
 * conf struct with an option of each type. Includes are left out: they would open whatever file the bytes name.
 */
#include "kernel/kernel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libconfig 1.5 loses the string that it was reading when a syntax error stops it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

struct element {
	int64_t size;
	const char *title;
};
struct every {
	int64_t i;
	bool b;
	double f;
	const char *s;
	int word;
	struct dk_strs strs;
	struct dk_groups list, map;
	const struct dk_node *tree;
};
static const char *const words[] = { "off", "allow", "only", NULL };
static const struct dk_option element_rows[] = {
	DK_INT(struct element, size, "size", "1", 1, 9, "a size"),
	DK_STR(struct element, title, "title", NULL, "a title", .flags = DK_REQUIRED),
	{ 0 },
};
static const struct dk_option rows[] = {
	DK_INT(struct every, i, "i", "7", 0, 5000000000, "a number"),
	DK_BOOL(struct every, b, "b", "true", "a switch"),
	DK_F64(struct every, f, "f", "0.5", "a share"),
	DK_STR(struct every, s, "s", "text", "a text", .min = 1, .max = 16),
	DK_WORD(struct every, word, "word", "allow", words, "a word"),
	DK_STRS(struct every, strs, "strs", "texts", .def = "a, b"),
	DK_GROUPS(struct every, list, "list", struct element, element_rows, "groups"),
	DK_MAP(struct every, map, "map", struct element, element_rows, "named groups"),
	DK_TREE(struct every, tree, "tree", "anything"),
	{ 0 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const vars[] = { "DIARKIS_TEXT=a\"b\\\t", "DIARKIS_NUMBER=5000000000", "DIARKIS_GROUP={ a = 1; }",
					    NULL };
	struct dk_boot boot = { .size = sizeof(boot) };
	struct dk_kernel k = { .env_vars = (char **)(uintptr_t)vars };
	struct dk_report report = { .name = "every", .use = "every" };
	struct arena arena = { 0 };
	struct every conf = { 0 };
	struct config *c;

	if (memmem(data, size, "@include", 8) || config_load(&k, &boot, &c) != 0)
		return 0;
	report.c = c;
	report.map = config_parse(c, "fuzz", (const char *)data, size);
	if (report.map)
		options_fill(&report, &arena, rows, NULL, &conf, sizeof(conf));
	if (report.map && (conf.i < 0 || conf.i > 5000000000 || conf.word < 0 || conf.word > 2))
		abort();
	arena_free(&arena);
	config_free(c);
	return 0;
}
