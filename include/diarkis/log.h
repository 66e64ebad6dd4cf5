/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines and counters. A line is written by whoever decides what to do about an event, once. Counters are plain fields of
 * the plugin's state, listed in the descriptor: counting is `self->n.bad_mac++`.
 */
#ifndef DIARKIS_LOG_H
#define DIARKIS_LOG_H

#include <diarkis/self.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dk_log_level {
	DK_VERBOSE = 1,
	DK_NETWORK,
	DK_SYS,
	DK_DEBUG, /* "trace" is another name of it */
	DK_INFO,
	DK_NOTICE,
	DK_WARN,
	DK_ERROR,
	DK_FATAL,
	DK_SILENT /* as a threshold only */
};

DK_API void dk_log_write(void *self, enum dk_log_level level, const char *fmt, ...) DK_PRINTF(3, 4);

/* Arguments are not evaluated when the level is off. */
#define dk_log(self, level, ...)                                                                                                  \
	do {                                                                                                                      \
		if ((level) >= ((const struct dk_self *)(self))->log_level)                                                       \
			dk_log_write((self), (level), __VA_ARGS__);                                                               \
	} while (0)

enum dk_counter_kind { DK_COUNTER_SUM = 1, DK_COUNTER_GAUGE, DK_COUNTER_HISTOGRAM };

/* Seconds, in the usual buckets: .005 .01 .025 .05 .1 .25 .5 1 2.5 5 10 and everything. */
#define DK_HISTOGRAM_BUCKETS 12
struct dk_histogram {
	uint64_t count, bucket[DK_HISTOGRAM_BUCKETS];
	double sum;
};
DK_API void dk_histogram_add(struct dk_histogram *h, double seconds);

struct dk_counter {
	const char *name, *help;
	uint32_t offset; /* in the plugin's state: uint64_t, int64_t or struct dk_histogram */
	uint16_t kind, unused;
};
/* The offset of a field, which does not compile when the field is not a T. */
/* A field of `struct { ... } n;` in the plugin's state: DK_COUNTER(struct udp, packets_in, "...") is n.packets_in. */
#define DK_COUNTER_AT_(self, field, T)                                                                                            \
	(offsetof(self, n.field) + 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((self *)0)->n.field), T) ? 1 : -1]))
#define DK_COUNTER(self, field, text) { #field, text, DK_COUNTER_AT_(self, field, uint64_t), DK_COUNTER_SUM, 0 }
#define DK_GAUGE(self, field, text) { #field, text, DK_COUNTER_AT_(self, field, int64_t), DK_COUNTER_GAUGE, 0 }
#define DK_HISTOGRAM(self, field, text) { #field, text, DK_COUNTER_AT_(self, field, struct dk_histogram), DK_COUNTER_HISTOGRAM, 0 }

#ifdef __cplusplus
}
#endif

#endif
