/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a node's life fails once, from its making to its end, in the simulator: of a plugin that uses all that the
 * kernel lends, of two users in a room, of a whole server that hands out endpoints. Whatever fails, nothing crashes, nothing leaks,
 * what claims to have worked did, and who comes after the failure is served.
 *
 * This program has malloc and its kin of its own, which count and refuse. Each attempt runs in a child. Besides a clean end two
 * are documented: a configuration without memory ends the process with a sentence (kernel/conf/tree.c), and so does the simulator
 * itself, which is none of the product. The configuration is JSON, since libconfig does not check its own allocations.
 */
#include <diarkis/test.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* ---- the allocator ---- */

extern void *__libc_malloc(size_t n);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

#define HEAD_MAGIC 0x6b1f00d5ca11ab1eu

struct head { /* in front of each block */
	uint64_t magic, counted;
};

static bool armed;
static unsigned calls, fail_at; /* the first call is 1; 0: none fails */
static long live; /* blocks taken while armed and not given back */

static bool refused(void)
{
	return armed && ++calls == fail_at;
}

static struct head *head_of(void *p)
{
	struct head *h = (struct head *)p - 1;

	return h->magic == HEAD_MAGIC ? h : NULL; /* NULL: from memalign and the like, which stay the library's */
}

static void *begin_block(struct head *h)
{
	if (!h)
		return NULL;
	*h = (struct head){ HEAD_MAGIC, armed };
	live += armed;
	return h + 1;
}

static void *take(size_t n)
{
	return refused() ? NULL : begin_block(__libc_malloc(n + sizeof(struct head)));
}

DK_API void *malloc(size_t n)
{
	return take(n);
}

DK_API void *calloc(size_t n, size_t size)
{
	void *p = n && size > (SIZE_MAX >> 1) / n ? NULL : take(n * size); /* not malloc(): a compiler makes that calloc() */

	return p ? memset(p, 0, n * size) : NULL;
}

DK_API void free(void *p)
{
	struct head *h = p ? head_of(p) : NULL;

	if (h) {
		live -= (long)h->counted;
		h->magic = 0;
	}
	__libc_free(h ? (void *)h : p);
}

DK_API void *realloc(void *p, size_t n)
{
	struct head *h = p ? head_of(p) : NULL;

	if (!p)
		return take(n);
	if (refused())
		return NULL;
	if (!h)
		return __libc_realloc(p, n);
	h = __libc_realloc(h, n + sizeof(*h));
	return h ? h + 1 : NULL;
}

/* The crypto library keeps an error's text, and at times a half-made entry, for ever: its blocks are refused, but not counted. */
static void *crypto_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return refused() ? NULL : __libc_malloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return refused() ? NULL : __libc_realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	__libc_free(p);
}

/* ---- what is done ---- */

static const struct dk_plugin_desc *plugins[4], *server[7];

static const struct dk_plugin_desc *plugin(const char *name)
{
	const char *tree = getenv("TEST_BUILDDIR");
	char path[4096], symbol[64];
	void *so;

	snprintf(path, sizeof(path), "%s/plugins/.libs/%s.so", tree ? tree : ".", name);
	snprintf(symbol, sizeof(symbol), "dk_plugin_%s", name);
	so = dlopen(path, RTLD_NOW);
	ck_assert_msg(so != NULL, "%s", dlerror());
	return dlsym(so, symbol);
}

static struct dk_test_user *enter(struct dk_harness *h, const char *uid)
{
	return h ? dk_harness_user(h, uid) : NULL;
}

enum { GOOD = 0, NOT_REACHED = 10, LEAKED = 11, DIFFERENT = 12 };

/* Check's own assertions take memory. */
static void claim(bool is_so, const char *otherwise)
{
	if (is_so)
		return;
	dprintf(2, "%s\n", otherwise);
	_exit(DIFFERENT);
}

/* Sends a command and awaits its reply; false when something on the way had no memory. */
static bool ask(struct dk_test_user *u, uint16_t cmd, const struct dk_writer *w, struct dk_frame *ret_frame)
{
	return u && dk_test_user_send(u, 1, cmd, dk_written(w)) == 0 && dk_test_user_await(u, 1, cmd, ret_frame) &&
	       ret_frame->status == DK_STATUS_OK;
}

/* Two users, a room, a message. False: not all of it came about. What came is checked. */
static bool talk(struct dk_harness *h)
{
	struct dk_test_user *ann = enter(h, "ann"), *bob = enter(h, "bob");
	struct dk_frame f = { .ver = 0 };
	struct dk_cursor c;
	struct dk_writer w;
	struct dk_id52 room;
	uint8_t buf[256];
	const uint8_t *p;

	/* room.create: max_members, allow_empty, join, ttl_s, unused, interval_ms */
	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_u16(&w, 4);
	dk_wr_u8(&w, 0);
	dk_wr_u8(&w, 1);
	dk_wr_u16(&w, 60);
	dk_wr_u16(&w, 0);
	dk_wr_u32(&w, 0);
	if (!ask(ann, 100, &w, &f))
		return false;
	c = dk_cursor_of(f.payload);
	dk_rd_u32(&c);
	p = dk_rd_take(&c, sizeof(room.c));
	claim(p != NULL, "the answer has no room");
	memcpy(room.c, p, sizeof(room.c));

	w = dk_writer_on(buf, sizeof(buf)); /* room.join: room, message */
	dk_wr_slice(&w, dk_slice_n(room.c, sizeof(room.c)));
	if (!ask(bob, 101, &w, &f))
		return false;

	w = dk_writer_on(buf, sizeof(buf)); /* room.broadcast: reliable, room, message */
	dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(room.c, sizeof(room.c)));
	dk_wr_slice(&w, dk_slice_n("hello", 5));
	if (dk_test_user_send(ann, 1, 103, dk_written(&w)) != 0 || !dk_test_user_await(bob, 1, 103, &f))
		return false;
	c = dk_cursor_of(f.payload);
	claim(dk_str_eq(dk_str_of(dk_rd_bytes32(&c)), dk_str_c("hello")) && dk_rd_done(&c), "it is another message");
	dk_test_user_leave(bob);
	dk_harness_advance(h, 100);
	return true;
}

static bool room_life(void)
{
	static const char config[] = "{ \"plugins\": { \"user\": {}, \"room\": {}, \"mem\": {} } }";
	struct dk_harness *h = dk_harness_open(&(struct dk_harness_opts){ .config = config, .plugins = plugins, .seed = 1 });
	bool talked, survived;
	unsigned before;

	if (!h)
		return false;
	talked = talk(h);
	before = calls;
	survived = enter(h, "eve") != NULL;
	/* One refusal is over when it is over: who comes later is served. */
	claim(survived || !fail_at || fail_at > before, "after it nobody can enter");
	dk_harness_stop(h);
	claim(!dk_harness_log_has(h, "leftover of"), dk_harness_log(h));
	dk_harness_free(h);
	return talked && survived;
}

/* The reply to one HTTP request over a bare connection; NULL when it was cut off. */
static const char *get(struct dk_harness *h, const char *path, char *buf, size_t size)
{
	const struct dk_addr *to = dk_harness_addr(h, "http");
	struct dk_sim_tcp *t;
	dk_slice got;
	int n = snprintf(buf, size, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);

	if (!to || dk_sim_tcp_connect(dk_harness_world(h), "10.9.9.9", to, NULL, NULL, &t) != 0)
		return NULL;
	dk_harness_advance(h, 10);
	dk_sim_tcp_send(t, dk_slice_n(buf, (size_t)n));
	dk_harness_advance(h, 100);
	got = dk_sim_tcp_bytes(t);
	claim(got.n < size, "the reply is too long");
	if (got.n)
		memcpy(buf, got.p, got.n);
	buf[got.n] = '\0';
	dk_sim_tcp_close(t, true);
	return got.n ? buf : NULL;
}

static bool serves(struct dk_harness *h, const char *path)
{
	char buf[4096];
	const char *reply = get(h, path, buf, sizeof(buf));

	return reply && !strncmp(reply, "HTTP/1.1 200 ", 13) && strstr(reply, "\"sid\":\"");
}

/* The whole server, and two endpoint requests. */
static bool server_life(void)
{
	static const char config[] = "{ \"plugins\": { \"http\": {}, \"endpoint\": {}, \"udp\": {}, \"tcp\": {}, \"user\": {}, "
				     "\"room\": {} } }";
	struct dk_harness *h = dk_harness_open(&(struct dk_harness_opts){ .config = config, .plugins = server, .seed = 1 });
	bool first, second;
	unsigned before;

	if (!h)
		return false;
	first = serves(h, "/endpoint/type/UDP/user/ann");
	before = calls;
	second = serves(h, "/endpoint/type/TCP/user/bob");
	claim(second || !fail_at || fail_at > before, "after it nobody is served");
	dk_harness_stop(h);
	claim(!dk_harness_log_has(h, "leftover of"), dk_harness_log(h));
	dk_harness_free(h);
	return first && second;
}

/* A plugin that uses what the kernel lends: pools, tables, maps, deferred work, calls that wait. */
struct user_of_all {
	struct dk_self base;
	struct dk_pool pool;
	struct dk_table table;
	struct dk_map map;
	struct dk_timer timer;
	dk_id waiting;
};

#define ALL_COMMANDS(X, R) X(struct user_of_all, 9, 1, "all.wait", on_wait, DK_ADMIN, "", DK_IN(str16(text)), DK_OUT(str16(text)))
DK_COMMANDS(all, ALL_COMMANDS)

static void answer_wait(void *self, struct dk_timer *t)
{
	struct user_of_all *a = self;
	struct dk_call *call = dk_call_get(self, a->waiting);
	struct dk_cursor c;

	(void)t;
	if (!call)
		return;
	c = dk_cursor_of(call->payload);
	on_wait_answer(call, dk_str_of(dk_rd_bytes16(&c)));
	dk_call_done(self, a->waiting, 0);
}

static int on_wait(struct user_of_all *a, struct dk_call *call, dk_str said)
{
	(void)said;
	a->waiting = call->id;
	dk_timer_start(a, &a->timer, 10, 0, answer_wait);
	return DK_LATER;
}

static void deferred(void *self, uint64_t arg)
{
	(void)self;
	(void)arg;
}

static void undo(void *self, void *arg)
{
	(void)self;
	(void)arg;
}

static int all_start(void *self)
{
	struct user_of_all *a = self;
	dk_id id;
	void *p;

	dk_pool_init(a, &a->pool, 100, 0, "things");
	dk_table_init(a, &a->table, DK_KIND_APP, 100, 0, "things");
	for (uint32_t i = 0; i < 600; i++) {
		p = dk_pool_get(&a->pool);
		dk_pool_put(&a->pool, p);
		if (!p || !dk_table_add(&a->table, &id) || dk_map_put(a, &a->map, i * 2654435761u, i) < 0)
			return -ENOMEM;
	}
	if (dk_own(a, undo, NULL, "something") < 0 || dk_defer(a, deferred, 0) < 0)
		return -ENOMEM;
	return 0;
}

static void all_fini(void *self)
{
	struct user_of_all *a = self;
	uint32_t slot = 0;
	dk_id id;

	while (a->table.self && dk_table_next(&a->table, &slot, &id))
		dk_table_remove(&a->table, id);
	if (!a->table.self)
		return;
	dk_table_fini(&a->table);
	dk_pool_fini(&a->pool);
	dk_map_fini(a, &a->map);
}

static const struct dk_ops all_ops = { .start = all_start, .fini = all_fini };
static const struct dk_plugin_desc all = { DK_PLUGIN_HEAD("all", "1.0.0", ""), .self_size = sizeof(struct user_of_all),
					   .commands = all_commands, .ops = &all_ops };

static bool waits(struct dk_harness *h)
{
	struct dk_reply r = dk_harness_call(h, "all.wait", "hello");

	claim(r.status != DK_STATUS_OK || r.body.n == 0 || (r.body.n == 7 && !memcmp(r.body.p, "\0\5hello", 7)), "another answer");
	return r.status == DK_STATUS_OK && r.body.n == 7;
}

static bool kernel_life(void)
{
	static const char config[] = "{ \"plugins\": { \"all\": {} } }";
	static const struct dk_plugin_desc *const one[] = { &all, NULL };
	struct dk_harness *h = dk_harness_open(&(struct dk_harness_opts){ .config = config, .plugins = one, .seed = 1 });
	bool first, second;
	unsigned before;

	if (!h)
		return false;
	first = waits(h);
	before = calls;
	second = waits(h);
	claim(second || !fail_at || fail_at > before, "after it no call is answered");
	dk_harness_stop(h);
	claim(!dk_harness_log_has(h, "leftover of"), dk_harness_log(h));
	dk_harness_free(h);
	return first && second;
}

/* ---- once for each allocation ---- */

static int attempt(bool (*life)(void), unsigned n, char *said, size_t size)
{
	int fds[2], status;
	ssize_t got;
	size_t at = 0;
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		bool whole;

		dup2(fds[1], 2);
		fail_at = n;
		armed = true;
		whole = life();
		armed = false;
		if (live)
			dprintf(2, "%ld blocks leaked\n", live);
		_exit(live ? LEAKED : calls < n ? NOT_REACHED : !n && !whole ? DIFFERENT : GOOD);
	}
	close(fds[1]);
	while ((got = read(fds[0], said + at, size - 1 - at)) > 0 || (got < 0 && errno == EINTR))
		at += got > 0 ? (size_t)got : 0;
	said[at] = '\0';
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static bool good_end(int status, const char *said)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGABRT &&
		       (strstr(said, "diarkis: no memory for the configuration") || strstr(said, "simulator: out of memory"));
	return WEXITSTATUS(status) == GOOD;
}

static void each_fails_once(bool (*life)(void))
{
	static char said[65536];
	unsigned n, bad = 0;
	int status;

	ck_assert_msg(life(), "it does not even work with all memory"); /* also fills what libraries keep for ever */
	status = attempt(life, 0, said, sizeof(said));
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == GOOD, "without a failure: status %#x\n%s", (unsigned)status,
		      said);
	for (n = 1;; n++) {
		status = attempt(life, n, said, sizeof(said));
		if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_REACHED)
			break;
		if (!good_end(status, said)) {
			fprintf(stderr, "allocation %u: status %#x\n%s\n", n, (unsigned)status, said);
			bad++;
		}
	}
	printf("%u allocations failed, %u badly\n", n - 1, bad);
	ck_assert_uint_gt(n, 60);
	ck_assert_uint_eq(bad, 0);
}

START_TEST(of_the_kernel)
{
	each_fails_once(kernel_life);
}
END_TEST

START_TEST(of_users_in_a_room)
{
	static const char *const names[] = { "user", "room", "mem" };

	for (size_t i = 0; i < DK_ARRAY_LEN(names); i++)
		plugins[i] = plugin(names[i]);
	each_fails_once(room_life);
}
END_TEST

START_TEST(of_a_server)
{
	static const char *const names[] = { "http", "endpoint", "udp", "tcp", "user", "room" };

	for (size_t i = 0; i < DK_ARRAY_LEN(names); i++)
		server[i] = plugin(names[i]);
	each_fails_once(server_life);
}
END_TEST

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

int main(void)
{
	const char *parent = getenv("TMPDIR");
	char folder[512]; /* of all nodes: those that end by a sentence do not clean up */
	Suite *suite = suite_create("alloc_failure");
	TCase *tc = tcase_create("alloc_failure");
	SRunner *runner;
	int failed;

	snprintf(folder, sizeof(folder), "%s/diarkis-alloc-XXXXXX", parent ? parent : "/tmp");
	if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) || !mkdtemp(folder) ||
	    setenv("TMPDIR", folder, 1) != 0)
		return 1;
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, of_the_kernel);
	tcase_add_test(tc, of_users_in_a_room);
	tcase_add_test(tc, of_a_server);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return failed != 0;
}
