/* SPDX-License-Identifier: Apache-2.0 */
/* The seal between nodes: contact, what is refused and why, replays, keys that are exchanged, what a guest is. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <diarkis/cursor.h>

#include "wire/cluster.h"
#include "wire/cluster_unit.h"

static uint64_t state = 1;

static int chance(void *arg, void *buf, size_t n)
{
	uint8_t *p = buf;

	(void)arg;
	while (n--) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		*p++ = (uint8_t)(state >> 56);
	}
	return 0;
}

static struct wire_cluster *cluster(const char *name, uint64_t boot, uint8_t first, uint8_t second)
{
	struct wire_cluster_opts o = { .name = dk_str_c(name), .boot = boot, .random = chance };
	struct wire_cluster *c;

	o.addr = (struct dk_addr){ .ip = { 10, 0, 0, (uint8_t)boot }, .port = 8000, .family = 4 };
	o.key_n = !!first + !!second;
	memset(o.key[0], first, WIRE_CLUSTER_KEY);
	memset(o.key[1], second, WIRE_CLUSTER_KEY);
	ck_assert_int_eq(wire_cluster_new(&o, &c), 0);
	return c;
}

struct pair {
	struct wire_cluster *a, *b;
	struct wire_hello hello;
	struct wire_hello_in in;
	uint8_t welcome[WIRE_WELCOME_LEN];
	struct wire_contact xa, xb;
};

static void greet(struct pair *p, uint8_t flags, uint64_t session, uint64_t acked)
{
	uint64_t got = 0;

	memset(&p->xa, 0, sizeof(p->xa));
	memset(&p->xb, 0, sizeof(p->xb));
	ck_assert_int_eq(wire_hello_write(p->a, flags, 7, session, &p->hello), 0);
	ck_assert_int_eq(wire_hello_open(p->b, dk_slice_n(p->hello.bytes, WIRE_HELLO_LEN), flags & WIRE_HELLO_STREAM, &p->in), 0);
	ck_assert_int_eq(wire_welcome_write(p->b, &p->in, 9, acked, p->welcome, &p->xb), 0);
	ck_assert_int_eq(wire_welcome_open(p->a, &p->hello, dk_slice_n(p->welcome, WIRE_WELCOME_LEN), &got, &p->xa), 0);
	ck_assert_uint_eq(got, acked);
}

static void pair_make(struct pair *p)
{
	p->a = cluster("one", 1, 5, 0);
	p->b = cluster("one", 2, 5, 0);
	greet(p, 0, 0, 0);
}

static void pair_free(struct pair *p)
{
	wire_contact_fini(&p->xa);
	wire_contact_fini(&p->xb);
	wire_cluster_free(p->a);
	wire_cluster_free(p->b);
}

static size_t packet(struct wire_contact *x, const char *text, uint8_t *buf)
{
	size_t n = strlen(text);

	memcpy(buf + WIRE_PACKET_HEAD, text, n);
	return wire_packet_seal(x, buf, n);
}

static enum wire_cluster_drop open_packet(struct wire_contact *x, const uint8_t *buf, size_t n, const char *want)
{
	uint8_t out[WIRE_PACKET_MAX];
	dk_slice plain;
	enum wire_cluster_drop drop = wire_packet_open(x, dk_slice_n(buf, n), out, &plain);

	if (!drop && want)
		ck_assert(dk_str_eq(dk_str_of(plain), dk_str_c(want)));
	return drop;
}

START_TEST(contact_both_ways)
{
	uint8_t buf[WIRE_PACKET_MAX];
	struct pair p;
	uint32_t index;
	size_t n;

	pair_make(&p);
	ck_assert_uint_eq(p.in.boot, 1);
	ck_assert_uint_eq(p.in.addr.ip[3], 1);
	ck_assert_uint_eq(p.xa.boot, 2);
	ck_assert_uint_eq(p.xa.addr.ip[3], 2);
	ck_assert(wire_welcome_index(dk_slice_n(p.welcome, WIRE_WELCOME_LEN), &index));
	ck_assert_uint_eq(index, 7);
	n = packet(&p.xa, "hello", buf);
	ck_assert(wire_packet_index(dk_slice_n(buf, n), &index));
	ck_assert_uint_eq(index, 9);
	ck_assert_uint_eq(n, WIRE_PACKET_HEAD + 5 + WIRE_CLUSTER_TAG);
	ck_assert_ptr_null(memmem(buf, n, "hello", 5));
	ck_assert_int_eq(open_packet(&p.xb, buf, n, "hello"), WIRE_CLUSTER_PASS);
	n = packet(&p.xb, "", buf);
	ck_assert(wire_packet_index(dk_slice_n(buf, n), &index));
	ck_assert_uint_eq(index, 7);
	ck_assert_int_eq(open_packet(&p.xa, buf, n, ""), WIRE_CLUSTER_PASS);
	n = packet(&p.xa, "to itself?", buf);
	ck_assert_int_eq(open_packet(&p.xa, buf, n, NULL), WIRE_CLUSTER_FOREIGN); /* each direction has its own key */
	pair_free(&p);
}
END_TEST

START_TEST(one_bit_wrong_is_all_wrong)
{
	uint8_t buf[WIRE_PACKET_MAX], hello[WIRE_HELLO_LEN], welcome[WIRE_WELCOME_LEN];
	struct wire_hello_in in;
	struct wire_contact x;
	struct pair p;
	uint64_t acked;
	size_t n;

	pair_make(&p);
	for (size_t bit = 0; bit < 8 * WIRE_HELLO_LEN; bit++) {
		memcpy(hello, p.hello.bytes, sizeof(hello));
		hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(wire_hello_open(p.b, dk_slice_n(hello, sizeof(hello)), false, &in), WIRE_CLUSTER_PASS);
	}
	for (size_t bit = 0; bit < 8 * WIRE_WELCOME_LEN; bit++) {
		memcpy(welcome, p.welcome, sizeof(welcome));
		welcome[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(wire_welcome_open(p.a, &p.hello, dk_slice_n(welcome, sizeof(welcome)), &acked, &x),
				 WIRE_CLUSTER_PASS);
	}
	n = packet(&p.xa, "sixteen bytes of", buf);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* All but the index are under the seal or its number; the index only finds the contact. */
		if (bit < 8 || bit >= 40)
			ck_assert_int_ne(open_packet(&p.xb, buf, n, NULL), WIRE_CLUSTER_PASS);
		else
			ck_assert_int_eq(open_packet(&p.xb, buf, n, NULL), WIRE_CLUSTER_FOREIGN);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(open_packet(&p.xb, buf, n - 1, NULL), WIRE_CLUSTER_FOREIGN);
	ck_assert_int_eq(open_packet(&p.xb, buf, 5, NULL), WIRE_CLUSTER_SIZE);
	ck_assert_int_eq(open_packet(&p.xb, buf, n, "sixteen bytes of"), WIRE_CLUSTER_PASS); /* the forgeries used nothing up */
	pair_free(&p);
}
END_TEST

START_TEST(replays_and_the_window)
{
	static uint8_t buf[1100][64];
	size_t n[1100];
	struct pair p;

	pair_make(&p);
	for (int i = 0; i < 1100; i++)
		n[i] = packet(&p.xa, "x", buf[i]);
	ck_assert_int_eq(open_packet(&p.xb, buf[1], n[1], "x"), WIRE_CLUSTER_PASS);
	ck_assert_int_eq(open_packet(&p.xb, buf[1], n[1], NULL), WIRE_CLUSTER_REPLAY);
	ck_assert_int_eq(open_packet(&p.xb, buf[0], n[0], "x"), WIRE_CLUSTER_PASS);
	ck_assert_int_eq(open_packet(&p.xb, buf[0], n[0], NULL), WIRE_CLUSTER_REPLAY);
	ck_assert_int_eq(open_packet(&p.xb, buf[1050], n[1050], "x"), WIRE_CLUSTER_PASS);
	ck_assert_int_eq(open_packet(&p.xb, buf[26], n[26], NULL), WIRE_CLUSTER_REPLAY); /* 1,024 back: too old */
	ck_assert_int_eq(open_packet(&p.xb, buf[27], n[27], "x"), WIRE_CLUSTER_PASS);
	for (int i = 28; i < 1100; i++)
		ck_assert_int_eq(open_packet(&p.xb, buf[i], n[i], "x"), i == 1050 ? WIRE_CLUSTER_REPLAY : WIRE_CLUSTER_PASS);
	for (int i = 76; i < 1100; i++)
		ck_assert_int_eq(open_packet(&p.xb, buf[i], n[i], NULL), WIRE_CLUSTER_REPLAY);
	/* A HELLO that is played again makes another contact, in which the old packets mean nothing. */
	wire_contact_fini(&p.xb);
	ck_assert_int_eq(wire_hello_open(p.b, dk_slice_n(p.hello.bytes, WIRE_HELLO_LEN), false, &p.in), 0);
	ck_assert_int_eq(wire_welcome_write(p.b, &p.in, 9, 0, p.welcome, &p.xb), 0);
	ck_assert_int_eq(open_packet(&p.xb, buf[0], n[0], NULL), WIRE_CLUSTER_FOREIGN);
	pair_free(&p);
}
END_TEST

START_TEST(other_clusters_keys_and_versions)
{
	struct wire_cluster_opts o = {
		.name = dk_str_c("one"), .boot = 3, .random = chance, .key_n = 1, .protocol_min = 2, .protocol_max = 3
	};
	struct wire_cluster *other = cluster("one", 3, 6, 0), *named = cluster("two", 3, 5, 0), *newer;
	struct wire_hello_in in;
	struct wire_hello h;
	struct pair p;

	pair_make(&p);
	ck_assert_int_eq(wire_hello_write(other, 0, 1, 0, &h), 0);
	ck_assert_int_eq(wire_hello_open(p.b, dk_slice_n(h.bytes, WIRE_HELLO_LEN), false, &in), WIRE_CLUSTER_FOREIGN);
	ck_assert_int_eq(wire_hello_write(named, 0, 1, 0, &h), 0);
	ck_assert_int_eq(wire_hello_open(p.b, dk_slice_n(h.bytes, WIRE_HELLO_LEN), false, &in), WIRE_CLUSTER_NAME);
	memset(o.key[0], 5, WIRE_CLUSTER_KEY);
	ck_assert_int_eq(wire_cluster_new(&o, &newer), 0);
	ck_assert_int_eq(wire_hello_write(newer, 0, 1, 0, &h), 0);
	ck_assert_int_eq(wire_hello_open(p.b, dk_slice_n(h.bytes, WIRE_HELLO_LEN), false, &in), WIRE_CLUSTER_VERSION);
	/* By a stream what was made for datagrams is nothing, and the other way round. */
	ck_assert_int_eq(wire_hello_open(p.b, dk_slice_n(p.hello.bytes, WIRE_HELLO_LEN), true, &in), WIRE_CLUSTER_SIZE);
	ck_assert_int_eq(wire_hello_open(p.b, dk_slice_n(p.hello.bytes, WIRE_HELLO_LEN - 1), false, &in), WIRE_CLUSTER_SIZE);
	wire_cluster_free(other);
	wire_cluster_free(named);
	wire_cluster_free(newer);
	pair_free(&p);
}
END_TEST

START_TEST(a_range_of_versions_meets_in_the_highest_common)
{
	struct wire_cluster_opts o = { .name = dk_str_c("one"), .boot = 3, .random = chance, .protocol_min = 1, .protocol_max = 3 };
	struct pair p;

	ck_assert_int_eq(wire_cluster_new(&o, &p.a), 0);
	o.protocol_max = 2;
	o.boot = 4;
	ck_assert_int_eq(wire_cluster_new(&o, &p.b), 0);
	greet(&p, 0, 0, 0);
	ck_assert_uint_eq(p.xa.protocol, 2);
	ck_assert_uint_eq(p.xb.protocol, 2);
	pair_free(&p);
}
END_TEST

/* old alone, new one given as second, new one first, old one taken away: neighbouring steps always understand each other. */
START_TEST(keys_are_exchanged_while_all_runs)
{
	static const uint8_t steps[4][2] = { { 1, 0 }, { 1, 2 }, { 2, 1 }, { 2, 0 } };
	uint8_t buf[WIRE_PACKET_MAX];
	struct pair p;
	size_t n;

	for (int i = 0; i < 4; i++)
		for (int k = i > 0 ? i - 1 : 0; k < 4 && k <= i + 1; k++) {
			p.a = cluster("one", 1, steps[i][0], steps[i][1]);
			p.b = cluster("one", 2, steps[k][0], steps[k][1]);
			greet(&p, 0, 0, 0);
			n = packet(&p.xb, "back", buf);
			ck_assert_int_eq(open_packet(&p.xa, buf, n, "back"), WIRE_CLUSTER_PASS);
			pair_free(&p);
		}
}
END_TEST

START_TEST(streams)
{
	static uint8_t buf[WIRE_RECORD_MAX], out[WIRE_RECORD_PLAIN];
	dk_slice plain;
	struct pair p;
	size_t n;

	p.a = cluster("one", 1, 0, 0); /* the key that everybody knows */
	p.b = cluster("one", 2, 0, 0);
	greet(&p, WIRE_HELLO_STREAM, 44, 1234);
	ck_assert_uint_eq(p.in.session, 44);
	memset(buf + WIRE_RECORD_HEAD, 'a', WIRE_RECORD_PLAIN);
	n = wire_record_seal(&p.xa, buf, WIRE_RECORD_PLAIN);
	ck_assert_uint_eq(n, WIRE_RECORD_MAX);
	ck_assert_uint_eq(wire_record_len(dk_slice_n(buf, 3)), 0);
	ck_assert_uint_eq(wire_record_len(dk_slice_n(buf, 4)), n);
	ck_assert_uint_eq(wire_record_len(dk_slice_n(p.hello.bytes, 1)), WIRE_HELLO_LEN);
	ck_assert_uint_eq(wire_record_len(dk_slice_n(p.welcome, 1)), WIRE_WELCOME_LEN);
	ck_assert_uint_eq(wire_record_len(dk_slice_n("\xd3\xff\xff\xff", 4)), SIZE_MAX);
	ck_assert_uint_eq(wire_record_len(dk_slice_n("\xd3\0\0\x0f", 4)), SIZE_MAX);
	ck_assert_uint_eq(wire_record_len(dk_slice_n("G", 1)), SIZE_MAX);
	ck_assert_int_eq(wire_record_open(&p.xb, dk_slice_n(buf, n), out, &plain), WIRE_CLUSTER_PASS);
	ck_assert_uint_eq(plain.n, WIRE_RECORD_PLAIN);
	ck_assert_uint_eq(plain.p[WIRE_RECORD_PLAIN - 1], 'a');
	/* The next record has the next number: the same one again, or one left out, does not open. */
	ck_assert_int_eq(wire_record_open(&p.xb, dk_slice_n(buf, n), out, &plain), WIRE_CLUSTER_FOREIGN);
	wire_record_seal(&p.xa, buf, 5);
	n = wire_record_seal(&p.xa, buf, 5);
	ck_assert_int_eq(wire_record_open(&p.xb, dk_slice_n(buf, n), out, &plain), WIRE_CLUSTER_FOREIGN);
	pair_free(&p);
}
END_TEST

START_TEST(units_come_back_as_they_were)
{
	uint8_t buf[256];
	struct wire_unit u[] = {
		{ .kind = WIRE_UNIT_NOTHING },
		{ .kind = WIRE_UNIT_MESSAGE, .ver = 254, .cmd = 1000, .payload = { (const uint8_t *)"abc", 3 } },
		{ .kind = WIRE_UNIT_REQUEST, .id = 5, .left_ms = 70, .ver = 3, .cmd = 4 },
		{ .kind = WIRE_UNIT_ANSWER, .id = 1ull << 60, .status = 40, .payload = { (const uint8_t *)"no", 2 } },
		{ .kind = WIRE_UNIT_CANCEL, .id = 9 },
		{ .kind = WIRE_UNIT_RELAY,
		  .id = 1,
		  .boot = 2,
		  .hops = 8,
		  .how = 1,
		  .fanout = 4,
		  .ver = 254,
		  .cmd = 8,
		  .origin = { .ip = { 10, 1, 2, 3 }, .port = 8000, .family = 4 } },
		{ .kind = WIRE_UNIT_PIECE, .total = 100, .offset = 50, .payload = { (const uint8_t *)"x", 1 } },
	};
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct wire_unit got;
	struct dk_cursor r;
	size_t n = 0;

	for (size_t i = 0; i < DK_ARRAY_LEN(u); i++) {
		wire_unit_write(&w, &u[i]);
		n += wire_unit_len(&u[i]);
	}
	ck_assert_uint_eq(dk_written(&w).n, n);
	r = dk_cursor_of(dk_written(&w));
	for (size_t i = 0; i < DK_ARRAY_LEN(u); i++) {
		ck_assert(wire_unit_read(&r, &got));
		ck_assert_uint_eq(got.kind, u[i].kind);
		ck_assert_uint_eq(got.id, u[i].id);
		ck_assert_uint_eq(got.ver, u[i].ver);
		ck_assert_uint_eq(got.cmd, u[i].cmd);
		ck_assert_uint_eq(got.status, u[i].status);
		ck_assert_uint_eq(got.left_ms, u[i].left_ms);
		ck_assert_uint_eq(got.total, u[i].total);
		ck_assert_uint_eq(got.offset, u[i].offset);
		ck_assert_uint_eq(got.payload.n, u[i].payload.n);
		ck_assert(dk_addr_eq(&got.origin, &u[i].origin));
	}
	ck_assert(!wire_unit_read(&r, &got) && !r.bad);
	/* What is cut short is no unit, wherever the cut is. */
	for (size_t cut = 1; cut < n; cut++) {
		r = dk_cursor_of(dk_slice_n(buf, cut));
		while (wire_unit_read(&r, &got))
			;
		ck_assert(r.bad || r.p == buf + cut);
	}
}
END_TEST

static const char *key_file(const char *text, mode_t mode)
{
	static char path[] = "/tmp/dk-key-XXXXXX";
	int fd;

	memcpy(path, "/tmp/dk-key-XXXXXX", sizeof(path));
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

START_TEST(keys_are_found)
{
	uint8_t keys[WIRE_CLUSTER_KEYS][WIRE_CLUSTER_KEY] = { { 0 } };
	struct wire_cluster_source from[2] = { { NULL, NULL }, { "", "" } };
	char why[256];
	int bad = -1;

	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), 0);
	from[0].text = KEY;
	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), 1);
	ck_assert_uint_eq(keys[0][31], 0x1f);
	from[1].file = key_file("  " KEY "\n", 0640);
	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), 2);
	ck_assert_uint_eq(keys[1][31], 0x1f);
	from[0].text = NULL;
	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "no first one"));
	unlink(from[1].file);
	from[0].text = KEY "0";
	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "65 characters"));
	ck_assert_int_eq(bad, 0);
	from[0] = (struct wire_cluster_source){ NULL, key_file(KEY, 0644) };
	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "mode 0644"));
	ck_assert_int_eq(bad, 1);
	unlink(from[0].file);
	from[0].file = key_file("secret", 0600);
	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "64 hexadecimal digits"));
	unlink(from[0].file);
	ck_assert_int_eq(wire_cluster_keys_read(from, keys, &bad, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "cannot be read"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *t = tcase_create("seal");
	SRunner *r;
	int failed;

	tcase_add_test(t, contact_both_ways);
	tcase_add_test(t, one_bit_wrong_is_all_wrong);
	tcase_add_test(t, replays_and_the_window);
	tcase_add_test(t, other_clusters_keys_and_versions);
	tcase_add_test(t, a_range_of_versions_meets_in_the_highest_common);
	tcase_add_test(t, keys_are_exchanged_while_all_runs);
	tcase_add_test(t, streams);
	tcase_add_test(t, units_come_back_as_they_were);
	tcase_add_test(t, keys_are_found);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
