/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that name a field of a struct check the field's type: services, options, counters. */
#include <diarkis/plugin.h>

struct shop {
	struct dk_service base;
};
struct bank {
	struct dk_service base;
};
#define SHOP_NAME "shop"
#define SHOP_MAJOR 1
#define SHOP_MINOR 0
#define SHOP_TYPE struct shop

struct state {
	struct dk_self base;
	struct shop shop, *need_shop;
	struct bank bank, *need_bank;
	DK_LIST_OF(struct shop) shops;
	DK_LIST_OF(struct bank) banks;
	struct {
		uint64_t sum;
		int64_t gauge;
		struct dk_histogram histogram;
	} n;
};

struct conf {
	int64_t number;
	int word;
	bool flag;
	double real;
	const char *text;
	struct dk_strs texts;
	struct dk_groups groups;
	const struct dk_node *tree;
};

extern const struct dk_provide provides[];
extern const struct dk_need needs[];
extern const struct dk_counter counters[];
extern const struct dk_option options[];

#if BREAK == 1
#define SHOP_FIELD bank
#else
#define SHOP_FIELD shop
#endif
#if BREAK == 2
#define NEED_FIELD need_bank
#elif BREAK == 3 /* the table itself is not a pointer to it */
#define NEED_FIELD shop
#else
#define NEED_FIELD need_shop
#endif
#if BREAK == 4
#define WANT_FIELD need_bank
#else
#define WANT_FIELD need_shop
#endif
#if BREAK == 5
#define EACH_FIELD banks
#else
#define EACH_FIELD shops
#endif

const struct dk_provide provides[] = { DK_PROVIDE(struct state, SHOP_FIELD, SHOP), { .name = NULL } };
const struct dk_need needs[] = { DK_NEED(struct state, NEED_FIELD, SHOP),
				 DK_WANT(struct state, WANT_FIELD, SHOP),
				 DK_EACH_OF(struct state, EACH_FIELD, SHOP),
				 { .name = NULL } };

#if BREAK == 6
#define SUM_FIELD gauge
#else
#define SUM_FIELD sum
#endif
#if BREAK == 7
#define GAUGE_FIELD sum
#else
#define GAUGE_FIELD gauge
#endif
#if BREAK == 8
#define HISTOGRAM_FIELD sum
#else
#define HISTOGRAM_FIELD histogram
#endif

const struct dk_counter counters[] = { DK_COUNTER(struct state, SUM_FIELD, "a sum"),
				       DK_GAUGE(struct state, GAUGE_FIELD, "a gauge"),
				       DK_HISTOGRAM(struct state, HISTOGRAM_FIELD, "times"),
				       { .name = NULL } };

#if BREAK == 9
#define INT_FIELD word
#else
#define INT_FIELD number
#endif
#if BREAK == 10
#define BOOL_FIELD word
#else
#define BOOL_FIELD flag
#endif
#if BREAK == 11
#define F64_FIELD number
#else
#define F64_FIELD real
#endif
#if BREAK == 12
#define STR_FIELD texts
#else
#define STR_FIELD text
#endif
#if BREAK == 13
#define STRS_FIELD text
#else
#define STRS_FIELD texts
#endif
#if BREAK == 14
#define WORD_FIELD number
#else
#define WORD_FIELD word
#endif
#if BREAK == 15
#define GROUPS_FIELD texts
#else
#define GROUPS_FIELD groups
#endif
#if BREAK == 16
#define TREE_FIELD text
#else
#define TREE_FIELD tree
#endif

static const char *const words[] = { "one", "two", NULL };

const struct dk_option options[] = { DK_INT(struct conf, INT_FIELD, "number", "1", 0, 9, "a number", .unit = "s"),
				     DK_BOOL(struct conf, BOOL_FIELD, "flag", "true", "a flag"),
				     DK_F64(struct conf, F64_FIELD, "real", "0.5", "a real"),
				     DK_STR(struct conf, STR_FIELD, "text", NULL, "a text"),
				     DK_STRS(struct conf, STRS_FIELD, "texts", "texts"),
				     DK_WORD(struct conf, WORD_FIELD, "word", "one", words, "a word"),
				     DK_GROUPS(struct conf, GROUPS_FIELD, "groups", struct conf, options, "groups"),
				     DK_TREE(struct conf, TREE_FIELD, "tree", "a tree"),
				     { .name = NULL } };
