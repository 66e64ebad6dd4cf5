/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every command that clients have, with every kind of nonsense: a node with all modules, and users who send it what its rows say in
 * shape and hardly ever mean anything: limits of numbers, ids of others and of nobody, texts that are none, lists that end too
 * early, bytes that were changed, cut off or never asked for. Now and then one of them makes sense, by the names of parameters and
 * with its own room, so that there are rooms with properties, states and objects to be wrong about. Whatever they send, two others
 * in a room, a group and a session of their own hear each other all the while, the node keeps its promise about memory, and it ends
 * with nothing left behind.
 *
 *   sim_nonsense                the seeds of make check
 *   sim_nonsense FIRST LAST     these seeds
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/test.h>

#include "tools/cli.h"

enum { FOOLS = 4, CALLS = 20000, SEEDS = 20, ROOM_TEXT = DK_ID52_LEN, KNOWN = 8 };

static struct dk_harness *h;
static struct dk_env *world;
static struct dk_test_user *fool[FOOLS], *ann, *bob;
static char room[ROOM_TEXT + 1], group[ROOM_TEXT + 1], session[64];
static char known[KNOWN][ROOM_TEXT + 1]; /* ids of rooms and groups that answers have named */
static size_t known_n;
static char own[FOOLS][ROOM_TEXT + 1]; /* the room that a fool was let into last; empty: none */
static bool taken_cmd[2000]; /* by number: a fool had a good answer, or it is one that has none */

static uint64_t below(uint64_t n)
{
	return dk_sim_chance(world) % n;
}

static dk_str one_of(const char *const *words, size_t n)
{
	return dk_str_c(words[below(n)]);
}

/* ---- values ---- */

static uint64_t number(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 7, 10, 255, 256, 1000, 1001, 65535, 65536, UINT32_MAX, INT64_MAX, UINT64_MAX
	};

	switch (below(4)) {
	case 0:
		return dk_sim_chance(world);
	case 1:
		return edges[below(DK_ARRAY_LEN(edges))];
	default:
		return below(5);
	}
}

static dk_str text(void)
{
	static const char *const words[] = { "", "ann", "bob", "fool0", "fool1", "fool2", "nobody", "k", "\xff\xfe", "a,b" };
	static char random[2000];
	size_t n;

	switch (below(6)) {
	case 0:
		return dk_str_c(room);
	case 1:
		return dk_str_c(group);
	case 2:
		return dk_str_c(session);
	case 3:
		if (known_n)
			return dk_str_c(known[below(known_n)]);
		break;
	case 4:
		n = below(20) ? below(40) : below(sizeof(random));
		for (size_t i = 0; i < n; i++)
			random[i] = (char)dk_sim_chance(world);
		return dk_str_n(random, n);
	default:
		break;
	}
	return one_of(words, DK_ARRAY_LEN(words));
}

static void write_value(struct dk_writer *w, enum dk_type type)
{
	static uint8_t zeros[ROOM_TEXT];
	dk_str s;
	uint64_t n;

	switch (type) {
	case DK_T_U8:
	case DK_T_I8:
	case DK_T_FLAG:
		dk_wr_u8(w, (uint8_t)number());
		return;
	case DK_T_U16:
	case DK_T_I16:
		dk_wr_u16(w, (uint16_t)number());
		return;
	case DK_T_U32:
	case DK_T_I32:
	case DK_T_F32:
		dk_wr_u32(w, (uint32_t)number());
		return;
	case DK_T_U64:
	case DK_T_I64:
	case DK_T_F64:
		dk_wr_u64(w, number());
		return;
	case DK_T_STR16:
	case DK_T_BYTES16:
		dk_wr_bytes16(w, dk_slice_of(text()));
		return;
	case DK_T_STR32:
	case DK_T_BYTES32:
		dk_wr_bytes32(w, dk_slice_of(text()));
		return;
	case DK_T_ID52:
		s = text();
		dk_wr_slice(w, s.n == ROOM_TEXT ? dk_slice_of(s) : dk_slice_n(zeros, sizeof(zeros)));
		return;
	case DK_T_STRS:
		n = below(8);
		dk_wr_u16(w, (uint16_t)(below(10) ? n : number()));
		while (n--)
			dk_wr_bytes16(w, dk_slice_of(text()));
		return;
	default:
		dk_wr_slice(w, dk_slice_of(text()));
	}
}

/* ---- values that make sense ---- */

static const char *const things[] = { "a", "b", "c", "d", "speed", "hp", "a longer name of something" };

/* A map of a few of them, as objects have it. */
static void write_fields(struct dk_writer *w)
{
	size_t n = below(4), first = below(DK_ARRAY_LEN(things));

	dk_wr_u16(w, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		double v = (double)below(2000) - 1000;

		dk_wr_bytes16(w, dk_slice_of(dk_str_c(things[(first + i) % DK_ARRAY_LEN(things)])));
		dk_wr_f64(w, v);
	}
}

static bool is_named(const struct dk_param *p, const char *name)
{
	return !strcmp(p->name, name);
}

/* Returns false where nothing is known of such a parameter. items: of lists that belong together. */
static bool write_sense(struct dk_writer *w, const struct dk_command *row, const struct dk_param *p, unsigned who, size_t items)
{
	dk_slice thing = dk_slice_of(one_of(things, DK_ARRAY_LEN(things)));

	if (p->type == DK_T_FLAG) {
		dk_wr_u8(w, (uint8_t)(below(2) + (row->flags & DK_PUFFER ? 1 : 0)));
	} else if (is_named(p, "room") && own[who][0]) {
		if (p->type == DK_T_STR16)
			dk_wr_u16(w, ROOM_TEXT);
		dk_wr_slice(w, dk_slice_n(own[who], ROOM_TEXT));
	} else if (is_named(p, "fields")) {
		write_fields(w);
	} else if (is_named(p, "mode")) {
		dk_wr_u8(w, (uint8_t)(1 + below(3)));
	} else if (is_named(p, "max_members") && p->type == DK_T_U16) {
		dk_wr_u16(w, (uint16_t)(2 + below(5)));
	} else if (is_named(p, "names") || is_named(p, "values")) {
		dk_wr_u16(w, (uint16_t)items);
		for (size_t i = 0; i < items; i++)
			dk_wr_bytes16(w, dk_slice_of(dk_str_c(things[i])));
	} else if (is_named(p, "key") || is_named(p, "name")) {
		dk_wr_bytes16(w, thing);
	} else if (is_named(p, "value")) {
		dk_wr_slice(w, thing);
	} else if (is_named(p, "delta")) {
		dk_wr_u64(w, below(100));
	} else {
		return false;
	}
	return true;
}

/* As the row says, and then perhaps not quite. */
static dk_slice payload(const struct dk_command *row, unsigned who, uint8_t *buf, size_t cap)
{
	struct dk_writer w = dk_writer_on(buf, cap);
	bool sense = below(3) == 0;
	size_t items = below(4);
	dk_slice s;

	for (const struct dk_param *p = row->in; p->name; p++)
		if (!sense || !write_sense(&w, row, p, who, items))
			write_value(&w, p->type);
	if (w.bad)
		return dk_slice_n(buf, 0);
	s = dk_written(&w);
	if (sense && below(2))
		return s;
	if (s.n && below(8) == 0)
		buf[below(s.n)] ^= (uint8_t)(1u << below(8));
	if (s.n && below(8) == 0)
		s.n = below(s.n);
	else if (s.n < cap && below(16) == 0)
		buf[s.n++] = (uint8_t)dk_sim_chance(world);
	return s;
}

/* ---- those who must not notice ---- */

static dk_slice answer(struct dk_test_user *u, uint16_t cmd, dk_slice in)
{
	struct dk_frame f;

	ck_assert_int_eq(dk_test_user_send(u, 1, cmd, in), 0);
	do
		ck_assert_msg(dk_test_user_await(u, 1, cmd, &f), "command %u is not answered", cmd);
	while (f.status == DK_STATUS_PUSH);
	ck_assert_msg(f.status == DK_STATUS_OK, "command %u: status %u, " DK_STR_FMT, cmd, f.status,
		      DK_STR_ARG(dk_str_of(f.payload)));
	return f.payload;
}

static void settle_in(void)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	dk_slice s;

	dk_wr_u16(&w, 4);
	dk_wr_u8(&w, 0);
	dk_wr_u8(&w, 1);
	dk_wr_u16(&w, 60);
	dk_wr_u16(&w, 0);
	dk_wr_u32(&w, 0);
	s = answer(ann, 100, dk_written(&w));
	ck_assert_uint_eq(s.n, 4 + ROOM_TEXT);
	memcpy(room, s.p + 4, ROOM_TEXT);
	answer(bob, 101, dk_slice_n(room, ROOM_TEXT));

	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_u8(&w, 1);
	dk_wr_u16(&w, 0);
	dk_wr_u8(&w, 1);
	dk_wr_u16(&w, 60);
	s = answer(ann, 110, dk_written(&w));
	ck_assert_uint_eq(s.n, 2 + ROOM_TEXT);
	memcpy(group, s.p + 2, ROOM_TEXT);
	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_bytes16(&w, dk_slice_n(group, ROOM_TEXT));
	dk_wr_bytes16(&w, dk_slice_n(NULL, 0));
	answer(bob, 111, dk_written(&w));

	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_u8(&w, 9);
	dk_wr_u8(&w, 4);
	dk_wr_u8(&w, 60);
	s = answer(ann, 801, dk_written(&w));
	ck_assert(s.n > 1 && s.n < sizeof(session));
	memcpy(session, s.p + 1, s.n - 1);
	buf[0] = 9;
	memcpy(buf + 1, session, strlen(session));
	answer(bob, 804, dk_slice_n(buf, 1 + strlen(session)));
}

/* The next push of that command that has the number in it. */
static void hears(uint16_t cmd, uint32_t number_said)
{
	struct dk_frame f;
	char want[32];
	size_t n = (size_t)snprintf(want, sizeof(want), "said %u.", number_said);

	while (dk_test_user_await(bob, 1, cmd, &f))
		if (f.payload.n >= n && memmem(f.payload.p, f.payload.n, want, n))
			return;
	ck_abort_msg("bob did not hear \"%s\" by command %u", want, cmd);
}

static void speak(uint32_t i)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	char what[32];
	dk_str said = dk_str_n(what, (size_t)snprintf(what, sizeof(what), "said %u.", i));

	answer(bob, 808, dk_slice_n("\x09", 1)); /* who says nothing is not kept */
	dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(room, ROOM_TEXT));
	dk_wr_slice(&w, dk_slice_of(said));
	ck_assert_int_eq(dk_test_user_send(ann, 1, 103, dk_written(&w)), 0);
	hears(103, i);
	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_bytes16(&w, dk_slice_n(group, ROOM_TEXT));
	dk_wr_bytes16(&w, dk_slice_of(said));
	dk_wr_u8(&w, 1);
	ck_assert_int_eq(dk_test_user_send(ann, 1, 113, dk_written(&w)), 0);
	hears(113, i);
	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_u8(&w, 9);
	dk_wr_slice(&w, dk_slice_of(said));
	ck_assert_int_eq(dk_test_user_send(ann, 1, 800, dk_written(&w)), 0);
	hears(800, i);
}

/* ---- the fools ---- */

static size_t row_count(void)
{
	size_t n = 0;

	while (cli_row_at(n))
		n++;
	return n;
}

static bool lets_in(uint16_t cmd)
{
	return cmd == 100 || cmd == 101 || cmd == 105 || cmd == 106 || cmd == 1100 || cmd == 1101;
}

/* What comes back to a fool; ids in it are used from then on. */
static void look(unsigned who)
{
	struct dk_frame f;

	while (dk_test_user_next(fool[who], &f)) {
		if (f.ver == 1 && f.status == DK_STATUS_OK && lets_in(f.cmd) && f.payload.n >= ROOM_TEXT)
			memcpy(own[who], f.payload.p + f.payload.n - ROOM_TEXT, ROOM_TEXT);
		if (f.ver == 1 && f.status == DK_STATUS_OK && f.cmd < DK_ARRAY_LEN(taken_cmd))
			taken_cmd[f.cmd] = true;
		if (f.ver != 1 || f.status != DK_STATUS_OK || (f.cmd != 100 && f.cmd != 106 && f.cmd != 110))
			continue;
		if (f.payload.n < ROOM_TEXT)
			continue;
		memcpy(known[known_n < KNOWN ? known_n++ : below(KNOWN)], f.payload.p + f.payload.n - ROOM_TEXT, ROOM_TEXT);
	}
}

static size_t rows_taken(size_t rows)
{
	size_t n = 0;

	for (size_t i = 0; i < rows; i++)
		n += (cli_row_at(i)->flags & DK_QUIET) || taken_cmd[cli_row_at(i)->cmd];
	return n;
}

static void come(unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "fool%u", i);
	own[i][0] = '\0';
	fool[i] = dk_harness_user(h, name);
	ck_assert_ptr_nonnull(fool[i]);
}

static void made(const char *counter)
{
	int64_t n = dk_harness_counter(h, "room", counter);

	ck_assert_msg(n >= 10, "of the plugin room, %s is %lld: the nonsense is too wild", counter, (long long)n);
}

static void nonsense(uint64_t seed)
{
	static uint8_t buf[20000];
	size_t rows = row_count(), taken;

	known_n = 0;
	memset(taken_cmd, 0, sizeof(taken_cmd));
	memset(session, 0, sizeof(session));
	h = dk_harness_new("plugins = { user = {}; mem = {}; datacapsule = {}; dive = {}; dm = {}; notifier = {};"
			   " room = { support = true; expose_puffer_commands = true; state_interval_ms = 17; };"
			   " group = { support = true; }; session = {}; };",
			   seed);
	ck_assert_ptr_nonnull(h);
	world = dk_harness_world(h);
	dk_harness_advance(h, 10000); /* dive has its buckets */
	ann = dk_harness_user(h, "ann");
	bob = dk_harness_user(h, "bob");
	settle_in();
	for (unsigned i = 0; i < FOOLS; i++)
		come(i);
	for (uint32_t i = 0; i < CALLS; i++) {
		unsigned who = (unsigned)below(FOOLS);
		const struct dk_command *row = cli_row_at(below(rows));
		uint16_t cmd = below(20) ? row->cmd : (uint16_t)number();

		if (dk_test_user_send(fool[who], below(40) ? row->ver : 0, cmd, payload(row, who, buf, sizeof(buf))))
			come(who); /* thrown out, or gone by itself */
		if (i % 8 == 0)
			dk_harness_advance(h, below(50));
		look(who);
		if (i % 100 == 0)
			speak(i);
		if (below(500) == 0) {
			dk_test_user_leave(fool[who]);
			dk_harness_advance(h, 10);
			come(who);
		}
	}
	speak(CALLS);
	taken = rows_taken(rows);
	ck_assert_msg(taken * 3 >= rows * 2, "of %zu commands only %zu were ever taken: the nonsense is too wild", rows, taken);
	/* rooms had something in them to be wrong about, and to be given back */
	made("objects_updated");
	made("states_set");
	made("chats");
	made("discarded");
	ck_assert_int_eq(dk_harness_free(h), 0);
}

START_TEST(disturbs_nobody)
{
	nonsense((uint64_t)_i + 1);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("nonsense");
	TCase *t = tcase_create("nonsense");
	int first = argc == 3 ? (int)strtol(argv[1], NULL, 10) : 1, last = argc == 3 ? (int)strtol(argv[2], NULL, 10) : SEEDS;
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, disturbs_nobody, first - 1, last);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
