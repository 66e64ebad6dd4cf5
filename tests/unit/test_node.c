/* SPDX-License-Identifier: Apache-2.0 */
/* What the node says of itself: ONLINE, TAKEN, OFFLINE, its address, backups in ids, and the files that tell others of it. */
#include "kernel/kernel.h"

#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct part {
	struct dk_self base;
	unsigned asked;
	bool full;
	struct dk_step *draining;
};

static void drain(void *self, struct dk_step *step)
{
	((struct part *)self)->draining = step;
}

static const struct dk_ops ops = { .drain = drain };
static const struct dk_plugin_desc part = { DK_PLUGIN_HEAD("part", "1.0.0", ""), .self_size = sizeof(struct part), .ops = &ops };
static const struct dk_plugin_desc *const plugins[] = { &part, NULL };
static const char config[] = "plugins = { a = { use = \"part\"; }; b = { use = \"part\"; }; };";

static struct node n;
static struct part *a, *b;
static char dir[64];

static void serve(uint32_t worker, uint32_t workers)
{
	snprintf(dir, sizeof(dir), "/tmp/dk-test-node-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	node_init(&n, config, plugins);
	n.boot.temp_dir = dir;
	n.boot.worker = worker;
	n.boot.workers = workers;
	node_serve(&n);
	a = dk_plugin_state(n.k, "a");
	b = dk_plugin_state(n.k, "b");
}

static void over(void)
{
	dk_stop(n.k);
	node_run(&n, 10);
	dk_step_done(a->draining, 0);
	dk_step_done(b->draining, 0);
	ck_assert_int_eq(node_run(&n, 100), 0);
	node_assert_said(&n, "leftovers: none");
	node_fini(&n);
}

static void gone(void)
{
	over();
	ck_assert_int_eq(rmdir(dir), 0); /* nothing is left in it */
}

/* ---- ONLINE, TAKEN, OFFLINE ---- */

START_TEST(taken)
{
	serve(0, 0);
	ck_assert_int_eq(dk_node_state(a), DK_ONLINE);
	dk_set_taken(a, true);
	ck_assert_int_eq(dk_node_state(b), DK_TAKEN);
	dk_set_taken(b, true);
	dk_set_taken(a, false);
	ck_assert_int_eq(dk_node_state(a), DK_TAKEN); /* one that says so is enough */
	dk_set_taken(b, false);
	ck_assert_int_eq(dk_node_state(a), DK_ONLINE);
	gone();
}
END_TEST

static bool is_full(void *self)
{
	struct part *p = self;

	p->asked++;
	return p->full;
}

START_TEST(taken_if)
{
	serve(0, 0);
	dk_mark_taken_if(a, is_full);
	a->full = true;
	node_run(&n, 1999);
	ck_assert_uint_eq(a->asked, 0);
	ck_assert_int_eq(dk_node_state(a), DK_ONLINE);
	node_run(&n, 1);
	ck_assert_uint_eq(a->asked, 1);
	ck_assert_int_eq(dk_node_state(a), DK_TAKEN);
	a->full = false;
	node_run(&n, 2000);
	ck_assert_uint_eq(a->asked, 2);
	ck_assert_int_eq(dk_node_state(a), DK_ONLINE);
	dk_mark_taken_if(b, is_full); /* one round for all */
	b->full = true;
	node_run(&n, 2000);
	ck_assert_uint_eq(a->asked, 3);
	ck_assert_uint_eq(b->asked, 1);
	ck_assert_int_eq(dk_node_state(a), DK_TAKEN);
	dk_mark_taken_if(b, NULL);
	ck_assert_int_eq(dk_node_state(a), DK_ONLINE);
	node_run(&n, 2000);
	ck_assert_uint_eq(b->asked, 1);
	gone();
}
END_TEST

START_TEST(offline_outdoes_taken)
{
	serve(0, 0);
	dk_mark_taken_if(a, is_full);
	dk_set_taken(b, true);
	dk_stop(n.k);
	ck_assert_int_eq(dk_node_state(a), DK_OFFLINE);
	node_run(&n, 4000); /* it drains, and nobody is asked any more */
	dk_set_taken(a, true);
	dk_set_taken(a, false);
	ck_assert_uint_eq(a->asked, 0);
	ck_assert_int_eq(dk_node_state(a), DK_OFFLINE);
	gone();
}
END_TEST

/* ---- addresses in ids ---- */

START_TEST(address_and_backups)
{
	struct dk_addr client = { .ip = { 10, 0, 0, 1 }, .port = 7100, .family = 4 }, got;
	struct dk_addr mesh = { .ip = { 10, 9, 0, 1 }, .port = 8000, .family = 4 };
	struct dk_addr second = { .ip = { 10, 9, 0, 2 }, .port = 8001, .family = 4 };
	struct dk_id52 id, before;

	serve(0, 0);
	ck_assert_uint_eq(dk_node_addr(a)->family, 0);
	dk_announce(a, DK_ROLE_UDP, &client, true);
	ck_assert(dk_addr_eq(dk_node_addr(a), &client));
	dk_set_node_addr(b, &mesh); /* the carrier's outdoes it */
	ck_assert(dk_addr_eq(dk_node_addr(a), &mesh));
	dk_id52_new(a, &id);
	ck_assert_int_eq(dk_id52_addr(&id, 0, &got), 0);
	ck_assert(dk_addr_eq(&got, &mesh));
	before = id;
	dk_id52_set_backup(&id, 0, &second); /* the owner's slot is none of them */
	dk_id52_set_backup(&id, 3, &second);
	ck_assert_mem_eq(&id, &before, sizeof(id));
	dk_id52_set_backup(&id, 2, &second);
	ck_assert_int_eq(dk_id52_addr(&id, 1, &got), DK_NOT_FOUND);
	ck_assert_int_eq(dk_id52_addr(&id, 2, &got), 0);
	ck_assert(dk_addr_eq(&got, &second));
	dk_id52_set_backup(&id, 1, &mesh);
	ck_assert_int_eq(dk_id52_addr(&id, 1, &got), 0);
	ck_assert(dk_addr_eq(&got, &mesh));
	ck_assert_int_eq(dk_id52_addr(&id, 0, &got), 0);
	ck_assert_mem_eq(id.c, before.c, 28); /* time and owner are as they were */
	gone();
}
END_TEST

/* ---- files ---- */

static const char *path(const char *name)
{
	static char text[2][128];
	static int i;

	i = !i;
	snprintf(text[i], sizeof(text[i]), "%s/%s", dir, name);
	return text[i];
}

static bool file_is(const char *name, const char *want)
{
	int fd = open(path(name), O_RDONLY | O_NOFOLLOW);
	char text[64] = "";
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	return got >= 0 && strcmp(text, want) == 0;
}

static void put(const char *name, const char *text)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

START_TEST(files_come_and_go)
{
	struct stat st;

	serve(0, 0);
	ck_assert_uint_eq(dk_worker(a), 0);
	ck_assert_int_eq(dk_publish_file(a, "ADDR", "8000", dk_str_c("10.0.0.1:8000")), 0);
	ck_assert(file_is("ADDR", "10.0.0.1:8000"));
	ck_assert(file_is("ADDR_8000", "10.0.0.1:8000"));
	ck_assert_int_eq(stat(path("ADDR"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0644); /* whoever probes the node may be somebody else */
	ck_assert_int_eq(dk_publish_file(a, "ADDR", "8000", dk_str_c("10.0.0.1")), 0);
	ck_assert(file_is("ADDR", "10.0.0.1"));
	ck_assert_int_eq(dk_publish_file(b, "OTHER", NULL, dk_str_c("")), 0);
	ck_assert(file_is("OTHER", ""));
	gone();
}
END_TEST

START_TEST(workers_share_a_name)
{
	serve(2, 3);
	ck_assert_uint_eq(dk_worker(a), 2);
	put("ADDR", "the first one's");
	ck_assert_int_eq(dk_publish_file(a, "ADDR", "8002", dk_str_c("10.0.0.1:8002")), 0);
	ck_assert(file_is("ADDR", "the first one's"));
	ck_assert(file_is("ADDR_8002", "10.0.0.1:8002"));
	over();
	ck_assert(file_is("ADDR", "the first one's"));
	ck_assert_int_ne(access(path("ADDR_8002"), F_OK), 0);
	unlink(path("ADDR"));
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* Somebody else's by now: another text, a longer one, a link. */
START_TEST(only_ours_is_removed)
{
	serve(0, 0);
	ck_assert_int_eq(dk_publish_file(a, "ADDR", "1", dk_str_c("10.0.0.1:1")), 0);
	ck_assert_int_eq(dk_publish_file(a, "LONGER", NULL, dk_str_c("10.0.0.1:1")), 0);
	ck_assert_int_eq(dk_publish_file(a, "LINK", NULL, dk_str_c("10.0.0.1:1")), 0);
	ck_assert_int_eq(dk_publish_file(a, "GONE", NULL, dk_str_c("10.0.0.1:1")), 0);
	put("ADDR", "10.0.0.1:2");
	put("LONGER", "10.0.0.1:11");
	put("target", "10.0.0.1:1");
	unlink(path("LINK"));
	ck_assert_int_eq(symlink(path("target"), path("LINK")), 0);
	unlink(path("GONE"));
	over();
	ck_assert(file_is("ADDR", "10.0.0.1:2"));
	ck_assert_int_ne(access(path("ADDR_1"), F_OK), 0);
	ck_assert(file_is("LONGER", "10.0.0.1:11"));
	ck_assert(file_is("target", "10.0.0.1:1"));
	ck_assert_int_eq(unlink(path("ADDR")) | unlink(path("LONGER")) | unlink(path("LINK")) | unlink(path("target")), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(planted_links)
{
	serve(0, 0);
	put("victim", "precious");
	ck_assert_int_eq(symlink(path("victim"), path("ADDR")), 0);
	ck_assert_int_eq(dk_publish_file(a, "ADDR", NULL, dk_str_c("10.0.0.1:1")), 0);
	ck_assert(file_is("victim", "precious"));
	ck_assert(file_is("ADDR", "10.0.0.1:1")); /* the link is replaced */
	ck_assert_int_eq(mkdir(path("FOLDER"), 0700), 0);
	ck_assert_int_eq(dk_publish_file(a, "FOLDER", NULL, dk_str_c("10.0.0.1:1")), -EISDIR);
	node_assert_said(&n, "FOLDER: Is a directory");
	ck_assert_int_eq(rmdir(path("FOLDER")) | unlink(path("victim")), 0);
	ck_assert_int_eq(dk_publish_file(a, "no/such/folder", "1", dk_str_c("x")), -ENOENT);
	gone();
}
END_TEST

UNIT_MAIN("node", taken, taken_if, offline_outdoes_taken, address_and_backups, files_come_and_go, workers_share_a_name,
	  only_ours_is_removed, planted_links)
