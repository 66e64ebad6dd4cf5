/* SPDX-License-Identifier: Apache-2.0 */
/* A room as bytes and back, bytes that are none, and the ids that rooms had before. */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include <diarkis/diarkis.h>

#include "../room_alias.h"
#include "../room_pack.h"

static struct dk_id52 id_of(unsigned n)
{
	struct dk_id52 id;
	char text[64];

	snprintf(text, sizeof(text), "%052u", n);
	memcpy(id.c, text, sizeof(id.c));
	return id;
}

static const struct room_image head = {
	.epoch = 3,
	.version = 1ull << 40,
	.max = 4,
	.allow_empty = true,
	.replicas = 2,
	.interval_ms = 200,
	.ttl_s = 60,
	.ttl_left_ms = 1234,
	.created_s = 1700000000,
	.owner = { "ann", 3 },
	.backup_n = 2,
	.backups = { { .ip = { 10, 0, 0, 2 }, .port = 8000, .family = 4 },
		     { .ip = { 0xfe, 0x80, [15] = 1 }, .port = 1, .family = 6 } },
};

static void put_uids(struct dk_writer *w, enum room_section tag, const char *const *uids)
{
	size_t at = room_section_begin(w, tag);

	for (; *uids; uids++)
		dk_wr_bytes16(w, dk_slice_of(dk_str_c(*uids)));
	room_section_end(w, at);
}

static uint8_t buf[4096];

static struct dk_writer begin(void)
{
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct room_image m = head;

	m.id = id_of(7);
	room_image_begin(&w, &m);
	return w;
}

static dk_slice whole(void)
{
	static const char *const members[] = { "ann", "bob", NULL };
	static const char *const reserved[] = { "eve", NULL };
	struct dk_writer w = begin();
	size_t at;

	put_uids(&w, ROOM_SEC_MEMBERS, members);
	put_uids(&w, ROOM_SEC_RESERVED, reserved);
	at = room_section_begin(&w, ROOM_SEC_PROPS);
	dk_wr_slice(&w, dk_slice_n("properties", 10));
	room_section_end(&w, at);
	at = room_section_begin(&w, ROOM_SEC_PARTS);
	dk_wr_bytes8(&w, dk_slice_n("game", 4));
	dk_wr_u16(&w, 9);
	dk_wr_bytes32(&w, dk_slice_n("state", 5));
	room_section_end(&w, at);
	at = room_section_begin(&w, ROOM_SEC_FORMER);
	for (unsigned i = 1; i < 3; i++) {
		struct dk_id52 id = id_of(i);

		dk_wr_slice(&w, dk_slice_n(id.c, DK_ID52_LEN));
		dk_wr_u32(&w, 1000 + i);
	}
	room_section_end(&w, at);
	ck_assert(!w.bad);
	return dk_written(&w);
}

START_TEST(there_and_back)
{
	struct room_image_part part;
	struct room_image m;
	struct dk_id52 id = id_of(7);
	uint32_t until_s;
	dk_str uid;

	ck_assert_int_eq(room_image_read(whole(), &m), 0);
	ck_assert_mem_eq(&m.id, &id, sizeof(id));
	ck_assert_uint_eq(m.epoch, head.epoch);
	ck_assert_uint_eq(m.version, head.version);
	ck_assert_uint_eq(m.max, head.max);
	ck_assert(m.allow_empty);
	ck_assert_uint_eq(m.replicas, 2);
	ck_assert_uint_eq(m.interval_ms, 200);
	ck_assert_uint_eq(m.ttl_s, 60);
	ck_assert_uint_eq(m.ttl_left_ms, 1234);
	ck_assert_uint_eq(m.created_s, head.created_s);
	ck_assert(dk_str_eq(m.owner, dk_str_c("ann")));
	ck_assert_uint_eq(m.backup_n, 2);
	ck_assert(dk_addr_eq(&m.backups[0], &head.backups[0]) && dk_addr_eq(&m.backups[1], &head.backups[1]));
	ck_assert_uint_eq(m.member_n, 2);
	ck_assert(room_image_uid(&m.members, &uid) && dk_str_eq(uid, dk_str_c("ann")));
	ck_assert(room_image_uid(&m.members, &uid) && dk_str_eq(uid, dk_str_c("bob")));
	ck_assert(!room_image_uid(&m.members, &uid));
	ck_assert_uint_eq(m.reserved_n, 1);
	ck_assert(dk_str_eq(dk_str_of(m.props), dk_str_c("properties")));
	ck_assert_uint_eq(m.part_n, 1);
	ck_assert(room_image_part(&m.parts, &part));
	ck_assert(dk_str_eq(part.name, dk_str_c("game")) && part.version == 9);
	ck_assert(dk_str_eq(dk_str_of(part.bytes), dk_str_c("state")));
	ck_assert(!room_image_part(&m.parts, &part));
	for (unsigned i = 1; i < 3; i++) {
		struct dk_id52 want = id_of(i);

		ck_assert(room_image_former(&m.former, &id, &until_s));
		ck_assert_mem_eq(&id, &want, sizeof(id));
		ck_assert_uint_eq(until_s, 1000 + i);
	}
	ck_assert(!room_image_former(&m.former, &id, &until_s));
}
END_TEST

START_TEST(cut_short)
{
	struct dk_writer w = begin();
	size_t sections = dk_written(&w).n;
	dk_slice all = whole();
	struct room_image m;
	unsigned good = 0;

	/* Where a section ends the bytes are whole; nowhere else. */
	for (size_t n = 0; n < all.n; n++)
		good += room_image_read(dk_slice_n(all.p, n), &m) == 0;
	ck_assert_uint_eq(good, 5);
	ck_assert_int_eq(room_image_read(dk_slice_n(all.p, sections), &m), 0);
}
END_TEST

START_TEST(refused)
{
	static const char *const five[] = { "a", "b", "c", "d", "e", NULL };
	static const char *const nobody[] = { "", NULL };
	struct room_image m;
	struct dk_writer w;

	w = begin();
	put_uids(&w, ROOM_SEC_MEMBERS, five); /* of four seats */
	ck_assert_int_eq(room_image_read(dk_written(&w), &m), -EPROTO);
	w = begin();
	put_uids(&w, ROOM_SEC_MEMBERS, nobody);
	ck_assert_int_eq(room_image_read(dk_written(&w), &m), -EPROTO);
	w = begin();
	put_uids(&w, ROOM_SEC_MEMBERS, five + 4);
	put_uids(&w, ROOM_SEC_MEMBERS, five + 4);
	ck_assert_int_eq(room_image_read(dk_written(&w), &m), -EPROTO);
	/* what a newer node adds is passed over, unless it has to be understood */
	w = begin();
	put_uids(&w, 100, nobody);
	ck_assert_int_eq(room_image_read(dk_written(&w), &m), 0);
	w = begin();
	put_uids(&w, 200, nobody);
	ck_assert_int_eq(room_image_read(dk_written(&w), &m), -EPROTO);
	w = begin();
	buf[0] = 2;
	ck_assert_int_eq(room_image_read(dk_written(&w), &m), -EPROTO);
	w = begin();
	memset(buf + 53, 0, 4); /* epoch */
	ck_assert_int_eq(room_image_read(dk_written(&w), &m), -EPROTO);
}
END_TEST

/* ---- old ids ---- */

static struct dk_env *env;
static struct dk_kernel *kernel;
static struct room_aliases aliases;

static void setup(void)
{
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = DK_BOOT_NO_SIGNALS,
				.config_text = "plugins = {};",
				.config_name = "test",
				.env = (const char *const[]){ NULL } };

	env = dk_env_uv();
	ck_assert_ptr_nonnull(env);
	ck_assert_int_eq(dk_kernel_new(env, &boot, &kernel), 0);
	room_alias_init(&aliases, dk_app(kernel));
}

static void teardown(void)
{
	room_alias_fini(&aliases);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

static void put(unsigned old, unsigned now_called, uint64_t at)
{
	struct dk_id52 a = id_of(old), b = id_of(now_called);

	ck_assert_int_eq(room_alias_put(&aliases, &a, &b, at), 0);
}

/* 0 = not an old id */
static unsigned get(unsigned old, uint64_t at)
{
	struct dk_id52 a = id_of(old), b;
	char text[DK_ID52_LEN + 1] = { 0 };
	unsigned n = 0;

	if (!room_alias_get(&aliases, &a, at, &b))
		return 0;
	memcpy(text, b.c, DK_ID52_LEN);
	sscanf(text, "%u", &n);
	return n;
}

START_TEST(old_ids)
{
	ck_assert_uint_eq(get(1, 0), 0);
	put(1, 2, 0);
	put(2, 3, 1000);
	ck_assert_uint_eq(get(1, 1000), 3);
	ck_assert_uint_eq(get(2, 1000), 3);
	ck_assert_uint_eq(get(3, 1000), 0);
	/* ten minutes each */
	ck_assert_uint_eq(get(1, ROOM_ALIAS_MS), 0);
	ck_assert_uint_eq(get(2, ROOM_ALIAS_MS), 3);
	ck_assert_uint_eq(get(2, ROOM_ALIAS_MS + 1000), 0);
	ck_assert_uint_eq(aliases.n, 0);

	/* one that is put again counts from then */
	put(1, 2, 5000);
	put(1, 4, 6000);
	ck_assert_uint_eq(get(1, 5000 + ROOM_ALIAS_MS), 4);
	ck_assert_uint_eq(get(1, 6000 + ROOM_ALIAS_MS), 0);

	/* a ring of names ends too */
	put(8, 9, 7000 + ROOM_ALIAS_MS);
	put(9, 8, 7000 + ROOM_ALIAS_MS);
	ck_assert_uint_ne(get(8, 7000 + ROOM_ALIAS_MS), 0);
}
END_TEST

START_TEST(too_many_old_ids)
{
	for (unsigned i = 1; i <= ROOM_ALIASES_MAX + 10; i++)
		put(i, i + 1000000, 1);
	ck_assert_uint_eq(aliases.n, ROOM_ALIASES_MAX);
	ck_assert_uint_eq(get(10, 1), 0);
	ck_assert_uint_eq(get(11, 1), 1000011);
	ck_assert_uint_eq(get(ROOM_ALIASES_MAX + 10, 1), ROOM_ALIASES_MAX + 1000010);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_pack");
	TCase *bytes = tcase_create("bytes"), *ids = tcase_create("ids");
	SRunner *runner;
	int failed;

	tcase_add_test(bytes, there_and_back);
	tcase_add_test(bytes, cut_short);
	tcase_add_test(bytes, refused);
	suite_add_tcase(suite, bytes);
	tcase_add_checked_fixture(ids, setup, teardown);
	tcase_set_timeout(ids, 30);
	tcase_add_test(ids, old_ids);
	tcase_add_test(ids, too_many_old_ids);
	suite_add_tcase(suite, ids);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
