/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and filters take handlers and events of their own type only. */
#include <diarkis/plugin.h>

struct sold {
	int item;
};
struct bought {
	int item;
};

struct shop {
	struct dk_service base;
	DK_SIGNAL(struct sold) sold;
	DK_FILTER(struct sold) may_sell;
};

struct user {
	struct dk_self base;
	struct shop *shop;
};
struct other {
	struct dk_self base;
};

void on_sold(struct user *u, const struct sold *ev);
void on_bought(struct user *u, const struct bought *ev);
void on_other(struct other *o, const struct sold *ev);
void on_writable(struct user *u, struct sold *ev);
int on_asked(struct user *u, struct sold *ask);
int on_asked_const(struct user *u, const struct sold *ask);
int use(struct user *u);

int use(struct user *u)
{
	struct sold sold = { 1 };
	__attribute__((unused)) struct bought bought = { 1 };

#if BREAK == 1 /* another event */
	dk_connect(u, &u->shop->sold, on_bought);
#elif BREAK == 2 /* another listener's handler */
	dk_connect(u, &u->shop->sold, on_other);
#elif BREAK == 3 /* an event is read only */
	dk_connect(u, &u->shop->sold, on_writable);
#elif BREAK == 4 /* a listener cannot say no */
	dk_connect(u, &u->shop->sold, on_asked);
#elif BREAK == 5 /* whoever is asked must answer */
	dk_filter_add(u, &u->shop->may_sell, on_sold);
#elif BREAK == 6
	dk_filter_add(u, &u->shop->may_sell, on_asked_const);
#elif BREAK == 7 /* a filter is no signal */
	dk_connect(u, &u->shop->may_sell, on_sold);
#elif BREAK == 8 /* the event of another signal */
	dk_emit(&u->shop->sold, &bought);
#elif BREAK == 9
	return dk_ask(&u->shop->may_sell, &bought);
#endif
	dk_connect(u, &u->shop->sold, on_sold);
	dk_filter_add(u, &u->shop->may_sell, on_asked);
	dk_emit(&u->shop->sold, &sold);
	dk_disconnect(u, &u->shop->sold, on_sold);
	return dk_ask(&u->shop->may_sell, &sold);
}
