/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lag lab: two players talk in a room of a real node, over wires that lose packets, and what each hears of the other is drawn.
 * Once with plain messages, once with reliable ones; the clock is virtual, so two minutes of play take a moment, and the same
 * seed draws the same picture.
 *
 *   lag_lab [SEED]
 *
 * Needs DIARKIS_TEST_PLUGINS. Colours when standard output is a terminal and NO_COLOR is not set. Exit status 1 when a reliable
 * message was lost, doubled or overtaken.
 */
#include "players.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HZ 20
#define SECONDS 20
#define SIZE 64
#define ONE_WAY_MS 30 /* between a player and the node: a round trip of 60 ms */
#define MESSAGES (HZ * SECONDS) /* of each player */
#define GRACE_MS 10000 /* for what is still on its way at the end */
#define SHARE_BAR 10
#define DELAY_BAR 24

/* What the two heard of each other. */
struct tally {
	uint32_t next[2]; /* [speaker]: the number that must come next, when reliable */
	uint8_t seen[2][MESSAGES];
	uint32_t delay_ms[2 * MESSAGES];
	size_t n;
	unsigned doubled, overtaken;
};

struct result {
	double share;
	uint32_t p50, p99;
	bool whole; /* nothing lost, doubled or overtaken */
};

struct pen {
	bool colour, blocks;
};

static void on_heard(void *arg, unsigned player, const struct heard *h)
{
	struct tally *t = arg;

	if (h->from == player || h->from > 1 || h->seq >= MESSAGES)
		return; /* one's own voice comes back too */
	if (t->seen[h->from][h->seq]) {
		t->doubled++;
		return;
	}
	t->seen[h->from][h->seq] = 1;
	t->overtaken += h->seq != t->next[h->from];
	t->next[h->from] = h->seq + 1;
	t->delay_ms[t->n++] = (uint32_t)((h->now_us - h->sent_us + 500) / 1000);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* What p of 100 messages needed at most. */
static uint32_t percentile(const struct tally *t, unsigned p)
{
	return t->n ? t->delay_ms[(t->n * p + 99) / 100 - 1] : 0;
}

/* Returns 0, or 1 when the node left something over. */
static int play(uint64_t seed, double loss, bool reliable, struct result *ret_result)
{
	struct tally *t = calloc(1, sizeof(*t));
	struct scene_opts o = {
		.seed = seed, .players = 2, .heard = on_heard, .arg = t, .link = { .loss = loss, .delay_ms = ONE_WAY_MS }
	};
	struct scene *s;
	int rc;

	if (!t)
		return 1;
	s = scene_new(&o);
	for (unsigned i = 0; i < MESSAGES; i++) {
		/* Two people do not speak in step. */
		scene_say(s, 0, reliable, SIZE);
		scene_run(s, 500 / HZ);
		scene_say(s, 1, reliable, SIZE);
		scene_run(s, 1000 / HZ - 500 / HZ);
	}
	for (unsigned ms = 0; ms < GRACE_MS && t->n < (size_t)2 * MESSAGES; ms += 50)
		scene_run(s, 50);
	rc = scene_free(s) != 0;
	qsort(t->delay_ms, t->n, sizeof(t->delay_ms[0]), by_size);
	*ret_result = (struct result){ .share = (double)t->n / (2 * MESSAGES),
				       .p50 = percentile(t, 50),
				       .p99 = percentile(t, 99),
				       .whole = t->n == (size_t)2 * MESSAGES && !t->doubled && !t->overtaken };
	free(t);
	return rc;
}

static void paint(const struct pen *pen, const char *colour, const char *glyph, unsigned n)
{
	if (pen->colour && n)
		fputs(colour, stdout);
	for (unsigned i = 0; i < n; i++)
		fputs(glyph, stdout);
	if (pen->colour && n)
		fputs("\033[0m", stdout);
}

static unsigned cells(double share, unsigned width)
{
	unsigned n = (unsigned)(share * width + .5);

	return n > width ? width : n;
}

static void draw(const struct pen *pen, const char *kind, const struct result *r, uint32_t scale_ms)
{
	const char *full = pen->blocks ? "█" : "#", *light = pen->blocks ? "░" : "-", *colour;
	unsigned got = cells(r->share, SHARE_BAR), half = cells((double)r->p50 / scale_ms, DELAY_BAR);
	unsigned most = cells((double)r->p99 / scale_ms, DELAY_BAR);

	colour = r->share > .999 ? "\033[32m" : r->share > .8 ? "\033[33m" : "\033[31m";
	printf("  %-9s %5.1f %% ", kind, 100 * r->share);
	paint(pen, colour, full, got);
	paint(pen, "\033[2m", light, SHARE_BAR - got);
	printf("  %5u ms %5u ms  ", r->p50, r->p99);
	paint(pen, "\033[36m", full, half);
	paint(pen, "\033[2;36m", light, most > half ? most - half : 0);
	putchar('\n');
}

int main(int argc, char **argv)
{
	static const unsigned loss[] = { 0, 5, 30 };
	static const char *const kinds[] = { "plain", "reliable" };
	struct result r[3][2] = { 0 };
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint32_t scale = 1;
	struct pen pen = { .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
	int rc = 0;

	setlocale(LC_CTYPE, "");
	pen.blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < 2; k++) {
			rc |= play(seed, loss[i] / 100., k, &r[i][k]);
			if (r[i][k].p99 > scale)
				scale = r[i][k].p99;
			rc |= k && !r[i][k].whole;
		}
	printf("Lag lab, seed %llu: two players in a room, %d messages a second each, %d s, %d ms\n"
	       "round trip to the node. Each packet is lost with the chance given; a message\n"
	       "crosses two ways, up to the node and down to the other player.\n\n",
	       (unsigned long long)seed, HZ, SECONDS, 2 * ONE_WAY_MS);
	printf("             delivered              half by  99 %% by  %s half %s 99 %%, up to %u ms\n", pen.blocks ? "█" : "#",
	       pen.blocks ? "░" : "-", scale);
	for (unsigned i = 0; i < 3; i++) {
		printf("%2u %% lost\n", loss[i]);
		for (unsigned k = 0; k < 2; k++)
			draw(&pen, kinds[k], &r[i][k], scale);
	}
	printf("\n%s\n", rc ? "A reliable message was lost, doubled or overtaken, or the node left something over."
			    : "Every reliable message arrived once and in order.");
	printf("The same again: ./dev demo lag %llu\n", (unsigned long long)seed);
	return rc;
}
