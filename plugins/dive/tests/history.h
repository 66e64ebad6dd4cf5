/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was asked of keys, when, and what came of it; and whether one node that does one thing after another could have answered so.
 *
 * A register's values are all different, so that it is known which write a read saw. The writes and reads of one value make a zone
 * of time: from where it must have been there at the latest to where it must still have been there. A history is fit for one
 * register if zones that must be one after the other do not overlap, and nothing that took place in between is torn apart by
 * one (Gibbons and Korach). Counters go up by one, so that each sum is met once. Lists get values that are all different, too.
 *
 * A holder is a key that is only set unless it is there, read and deleted, so that no value of it is ever written over: each one is
 * there once, from its one writer to the one who deleted it, or until its time is over.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum history_kind { H_SET, H_GET, H_INCR, H_SUM, H_PUSH, H_POP, H_RANGE, H_TAKE, H_WHO, H_DROP };
enum history_end { H_OPEN, H_DONE, H_NOTHING, H_MAYBE }; /* NOTHING: it was not done */

#define H_POPPED 16

struct history_op {
	enum history_kind kind;
	enum history_end end;
	unsigned key, client;
	int64_t value; /* written, read, or the sum; 0 = there was nothing */
	int64_t popped[H_POPPED];
	unsigned popped_n;
	bool refused; /* H_TAKE: somebody had it; H_WHO, H_DROP: nobody had */
	uint32_t ttl_ms; /* H_TAKE: how long it lasts; 0 = for ever */
	uint64_t began, ended; /* us; ended: UINT64_MAX while it is not known when it took place */
};
struct history {
	struct history_op *op;
	unsigned n, cap;
};

/* Each returns NULL, or says what is wrong; the text is valid until the next call. */
const char *history_register(const struct history *h, unsigned key);
const char *history_counter(const struct history *h, unsigned key);
/* left: what is in the list at the end. */
const char *history_list(const struct history *h, unsigned key, const int64_t *left, unsigned left_n);

/* The last H_WHO of the key tells what is there at the end. late_ms: so much longer than its time a value may last. */
const char *history_holder(const struct history *h, unsigned key, uint64_t late_ms);

#endif
