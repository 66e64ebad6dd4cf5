/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: one level threshold per plugin (kept in its dk_self, so a line that is off costs one compare), text or JSON, to
 * stderr, a file or the embedding program's sink. A plugin that writes more than `rate` lines in a second is cut off for the
 * rest of it, and the number of lines lost is told once.
 *
 * Control characters of a message are escaped unless `unsafeLogging` is set; `flat` turns line breaks into spaces.
 */
#include "kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192

struct name_level {
	struct name_level *next;
	enum dk_log_level level;
	char name[];
};

struct log_state {
	void (*sink)(void *arg, const char *line, size_t n);
	void *arg;
	FILE *file;
	enum dk_log_level level; /* of whoever has none of its own */
	struct name_level *names;
	bool json, color, flat, unsafe, utc;
	int64_t rate;
};

static const char *const level_names[] = { "",       "verbose", "network", "sys",   "debug", "info",
					   "notice", "warn",    "error",   "fatal", "silent" };

enum dk_log_level log_level_of(const char *name)
{
	if (!strcasecmp(name, "trace"))
		return DK_DEBUG;
	for (size_t i = 1; i < DK_ARRAY_LEN(level_names); i++)
		if (!strcasecmp(name, level_names[i]))
			return (enum dk_log_level)i;
	return 0;
}

const char *log_level_name(enum dk_log_level level)
{
	return level < DK_ARRAY_LEN(level_names) ? level_names[level] : "";
}

int log_init(struct dk_kernel *k, const struct dk_boot *boot)
{
	const char *json = kernel_getenv(k, "DIARKIS_JSON_LOG");

	k->log = calloc(1, sizeof(*k->log));
	if (!k->log)
		return -ENOMEM;
	k->log->sink = boot->log_sink;
	k->log->arg = boot->log_arg;
	k->log->level = DK_INFO;
	k->log->json = json && !strcasecmp(json, "true");
	k->log->rate = 1000;
	return 0;
}

static void apply_levels(struct dk_kernel *k)
{
	for (size_t i = 0; i < k->plugin_n; i++) {
		struct dk_plugin *p = k->plugins[i];
		enum dk_log_level level = k->log->level;

		for (struct name_level *n = k->log->names; n; n = n->next)
			if (!strcmp(n->name, p->instance))
				level = n->level;
		p->self->log_level = (uint8_t)level;
	}
}

static int name_level_add(struct dk_kernel *k, const char *name, enum dk_log_level level)
{
	struct name_level **at = &k->log->names, *n;

	while (*at)
		at = &(*at)->next;
	n = malloc(sizeof(*n) + strlen(name) + 1);
	if (!n)
		return -ENOMEM;
	n->next = NULL;
	n->level = level;
	memcpy(n->name, name, strlen(name) + 1);
	*at = n;
	return 0;
}

static void names_free(struct log_state *l)
{
	while (l->names) {
		struct name_level *n = l->names;

		l->names = n->next;
		free(n);
	}
}

int log_configure(struct dk_kernel *k)
{
	const struct kernel_conf *c = config_kernel(k->config);
	struct log_state *l = k->log;
	enum dk_log_level level = log_level_of(c->log_level);
	bool utc;
	int rc = 0;

	if (!level) {
		log_kernel(k, DK_ERROR,
			   "log: level \"%s\" is none of verbose, network, sys, debug (trace), info, notice, warn, error, fatal",
			   c->log_level);
		rc = DK_EXIT_CONFIG;
	} else {
		l->level = level;
	}
	names_free(l);
	for (size_t i = 0; i < dk_node_count(c->log_levels); i++) {
		const char *name = dk_node_key(c->log_levels, i), *word = dk_node_str(dk_node_at(c->log_levels, i), "");

		level = log_level_of(word);
		if (!level) {
			log_kernel(k, DK_ERROR, "log: levels: \"%s\" of %s is not a level", word, name);
			rc = DK_EXIT_CONFIG;
		} else if (name_level_add(k, name, level) < 0) {
			return DK_EXIT_RUNTIME;
		}
	}
	utc = strcasecmp(c->log_time_zone, "local") != 0;
	if (utc && !l->utc && strcasecmp(c->log_time_zone, "utc") != 0) /* once, not at each look at the configuration */
		log_kernel(k, DK_WARN, "log: timeZone \"%s\" is neither local nor utc; times are in UTC", c->log_time_zone);
	l->utc = utc;
	l->flat = c->log_flat;
	l->unsafe = c->log_unsafe;
	l->rate = c->log_rate;
	l->color = c->log_color && !l->sink && isatty(2) && !kernel_getenv(k, "NO_COLOR");
	if (c->log_file && *c->log_file && !l->sink) {
		FILE *f = fopen(c->log_file, "ae");

		if (!f) {
			log_kernel(k, DK_ERROR, "log: filePath \"%s\" cannot be opened for appending: %s", c->log_file,
				   strerror(errno));
			return DK_EXIT_CONFIG;
		}
		if (l->file)
			fclose(l->file);
		l->file = f;
		l->color = false;
	}
	apply_levels(k);
	return rc;
}

void log_reset_levels(struct dk_kernel *k)
{
	log_configure(k);
}

int log_set_level(struct dk_kernel *k, const char *name, enum dk_log_level level)
{
	for (size_t i = 0; i < k->plugin_n; i++)
		if (!strcmp(k->plugins[i]->instance, name)) {
			k->plugins[i]->self->log_level = (uint8_t)level;
			return 0;
		}
	return DK_NOT_FOUND;
}

void log_fini(struct dk_kernel *k)
{
	if (!k->log)
		return;
	if (k->log->file)
		fclose(k->log->file);
	names_free(k->log);
	free(k->log);
	k->log = NULL;
}

struct line {
	char *p, *end;
};

static void put(struct line *l, char c)
{
	if (l->p < l->end)
		*l->p++ = c;
}

static void puts_to(struct line *l, const char *s)
{
	while (*s)
		put(l, *s++);
}

/* Bytes of the UTF-8 character at s; 0: what stands there is none. */
static size_t utf8(const unsigned char *s)
{
	size_t n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, half of a pair, beyond the last. */
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) ||
	    (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void put_message(struct line *l, const struct log_state *st, const char *msg)
{
	static const char hex[] = "0123456789abcdef";

	for (; *msg && l->end - l->p >= 6; msg++) { /* no half escapes where the line is cut */
		unsigned char c = (unsigned char)*msg;

		if (st->json && (c == '"' || c == '\\')) {
			put(l, '\\');
			put(l, (char)c);
		} else if (c == '\n' && (st->flat || st->json || !st->unsafe)) {
			puts_to(l, st->flat ? " " : "\\n"); /* or what a client sends could look like a line of ours */
		} else if (c < 0x20 && (st->json || !st->unsafe)) {
			puts_to(l, st->json ? "\\u00" : "\\x");
			put(l, hex[c >> 4]);
			put(l, hex[c & 15]);
		} else if (c < 0x80 || !st->json) {
			put(l, (char)c);
		} else {
			size_t n = utf8((const unsigned char *)msg);

			if (!n)
				puts_to(l, "\\ufffd");
			for (size_t i = 0; i < n; i++)
				put(l, msg[i]);
			msg += n ? n - 1 : 0;
		}
	}
}

static void write_line(struct dk_kernel *k, const char *name, enum dk_log_level level, const char *msg)
{
	static const char *const colors[] = { "", "\033[2m",  "\033[2m",  "\033[2m",  "\033[2m",
					      "", "\033[36m", "\033[33m", "\033[31m", "\033[31;1m" };
	struct log_state *st = k->log;
	char buf[LINE_MAX_BYTES], when[64], which[32] = ""; /* which: worker */
	struct line l = { buf, buf + sizeof(buf) - 16 };
	uint64_t ns = k->env->ops->wall_ns(k->env);
	time_t s = (time_t)(ns / 1000000000u);
	struct tm tm;
	size_t n;

	if (st->utc || st->json)
		gmtime_r(&s, &tm);
	else
		localtime_r(&s, &tm);
	n = strftime(when, sizeof(when), st->json ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03u%s", (unsigned)(ns / 1000000u % 1000u), st->json ? "Z" : "");
	if (k->workers)
		snprintf(which, sizeof(which), st->json ? "\",\"worker\":\"%u" : "[%u]", k->worker);
	if (st->json) {
		puts_to(&l, "{\"time\":\"");
		puts_to(&l, when);
		puts_to(&l, "\",\"level\":\"");
		puts_to(&l, log_level_name(level));
		puts_to(&l, "\",\"name\":\"");
		puts_to(&l, name);
		puts_to(&l, which);
		puts_to(&l, "\",\"message\":\"");
		put_message(&l, st, msg);
		l.end = buf + sizeof(buf);
		puts_to(&l, "\"}");
	} else {
		if (st->color)
			puts_to(&l, colors[level]);
		puts_to(&l, when);
		put(&l, ' ');
		puts_to(&l, log_level_name(level));
		put(&l, ' ');
		puts_to(&l, name);
		puts_to(&l, which);
		puts_to(&l, ": ");
		put_message(&l, st, msg);
		l.end = buf + sizeof(buf);
		if (st->color)
			puts_to(&l, "\033[0m");
	}
	if (st->sink) {
		st->sink(st->arg, buf, (size_t)(l.p - buf));
		return;
	}
	*l.p++ = '\n';
	fwrite(buf, 1, (size_t)(l.p - buf), st->file ? st->file : stderr);
	if (st->file)
		fflush(st->file);
}

/* p NULL: so early that there is not even app. */
static void log_v(struct dk_kernel *k, struct dk_plugin *p, const char *name, enum dk_log_level level, const char *fmt, va_list ap)
{
	struct log_quota early = { 0 }, *q = p ? &p->quota : &early;
	uint64_t second = k->env->ops->now_us(k->env) / 1000000u;
	char msg[LINE_MAX_BYTES - 256];

	if (second != q->second) {
		uint64_t lost = q->lost;

		*q = (struct log_quota){ .second = second };
		if (lost) {
			snprintf(msg, sizeof(msg), "%llu lines more than the %lld a second that log.rate allows were not written",
				 (unsigned long long)lost, (long long)k->log->rate);
			write_line(k, name, DK_WARN, msg);
		}
	}
	if (k->log->rate && level < DK_FATAL && q->written >= (uint64_t)k->log->rate) {
		q->lost++;
		return;
	}
	q->written++;
	vsnprintf(msg, sizeof(msg), fmt, ap);
	write_line(k, name, level, msg);
}

void log_kernel(struct dk_kernel *k, enum dk_log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!k->log || level < k->log->level)
		return;
	va_start(ap, fmt);
	log_v(k, k->app, "kernel", level, fmt, ap);
	va_end(ap);
}

void dk_log_write(void *self, enum dk_log_level level, const char *fmt, ...)
{
	struct dk_plugin *p = plugin_of(self);
	va_list ap;

	va_start(ap, fmt);
	log_v(p->k, p, p->instance, level, fmt, ap);
	va_end(ap);
}

void dk_histogram_add(struct dk_histogram *h, double seconds)
{
	static const double bound[DK_HISTOGRAM_BUCKETS - 1] = { .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10 };
	size_t i = 0;

	while (i < DK_ARRAY_LEN(bound) && seconds > bound[i])
		i++;
	h->bucket[i]++;
	h->count++;
	h->sum += seconds;
}
