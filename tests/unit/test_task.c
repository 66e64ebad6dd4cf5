/* SPDX-License-Identifier: Apache-2.0 */
/* SIGUSR1 and SIGUSR2: the task file and who may have written it, named tasks, parameters, what comes with the node. */
#include "node.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

struct shop {
	struct dk_self base;
};

#define SHOP_COMMANDS(X, R)                                                                                                        \
	X(struct shop, 2, 1, "shop.price", on_price, DK_ADMIN, "the price of an item", DK_IN(str16(item)), DK_OUT(u32(price)))     \
	X(struct shop, 2, 2, "shop.secret", on_secret, DK_CLIENT, "not for operators", DK_IN(), DK_OUT())
DK_COMMANDS(shop, SHOP_COMMANDS)

static int on_price(struct shop *s, struct dk_call *call, dk_str item)
{
	(void)s;
	ck_assert_int_eq(call->origin, DK_FROM_TASK);
	if (!item.n)
		return dk_refuse(call, 2001, "no item");
	return on_price_answer(call, (uint32_t)item.n);
}

static int on_secret(struct shop *s, struct dk_call *call)
{
	(void)s;
	(void)call;
	trace("secret");
	return 0;
}

static const struct dk_plugin_desc shop = { DK_PLUGIN_HEAD("shop", "1.0.0", ""), .self_size = sizeof(struct shop),
					    .commands = shop_commands };
static const struct dk_plugin_desc *const plugins[] = { &shop, NULL };

static struct node n;
static char dir[32], file[64], file2[64];

static void task(void *arg)
{
	trace("%s", (const char *)arg);
}

static void task_with(void *arg, const char *const *params, size_t count)
{
	trace("%s%zu", (const char *)arg, count);
	for (size_t i = 0; i < count; i++)
		trace("<%s>", params[i]);
}

static void serve(const char *config)
{
	static char one[] = "one", with[] = "with", two[] = "two", bare[] = "bare", bare2[] = "bare2";

	snprintf(dir, sizeof(dir), "/tmp/dk-test-task-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/DIARKIS_SIGUSR1", dir);
	snprintf(file2, sizeof(file2), "%s/DIARKIS_SIGUSR2", dir);
	node_init(&n, config, plugins);
	n.boot.temp_dir = dir;
	node_serve(&n);
	ck_assert(dk_on_sigusr1(n.k, "One", task, one));
	ck_assert(dk_on_sigusr1_with_params(n.k, "With", task_with, with));
	ck_assert(dk_on_sigusr2(n.k, "One", task, two)); /* each signal has names of its own */
	ck_assert_int_eq(dk_on_sigusr1_no_task(n.k, task, bare), 0);
	ck_assert_int_eq(dk_on_sigusr2_no_task(n.k, task, bare2), 0);
	n.log_n = 0;
	n.log[0] = '\0';
}

static void over(void)
{
	node_stop(&n);
	node_fini(&n);
	unlink(file);
	unlink(file2);
	rmdir(dir);
}

static void put(const char *path, const void *text, size_t len, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void usr1(const char *text)
{
	put(file, text, strlen(text), 0664); /* what a shell under umask 002 leaves */
	dk_signal_arrived(n.k, SIGUSR1);
}

START_TEST(named_tasks)
{
	serve("plugins = { shop = {}; };");
	usr1("One");
	traced("bare one");
	usr1("One\n"); /* a trailing line break is ignored */
	traced("bare one");
	usr1("One\r\n");
	traced("bare one");
	ck_assert_int_eq(access(file, F_OK), 0); /* the file stays, */
	dk_signal_arrived(n.k, SIGUSR1); /* and is read anew at each signal */
	traced("bare one");
	dk_signal_arrived(n.k, SIGUSR2); /* which has a file of its own */
	traced("bare2");
	put(file2, "One\n", 4, 0600);
	dk_signal_arrived(n.k, SIGUSR2);
	traced("bare2 two");
	over();
}
END_TEST

START_TEST(parameters)
{
	serve("plugins = { shop = {}; };");
	usr1("With\nfirst\n second one \n\nfourth\n");
	traced("bare with4 <first> < second one > <> <fourth>");
	usr1("With");
	traced("bare with0");
	usr1("With\n");
	traced("bare with0");
	usr1("One\nthese\nare\nof\nno\nuse\n");
	traced("bare one");
	over();
}
END_TEST

/* Read by one node, run by others. */
START_TEST(in_two_halves)
{
	char *text;

	serve("unlink_task_file = true; plugins = { shop = {}; };");
	ck_assert_ptr_null(dk_task_read(n.k, 1));
	put(file, "With\na\n", 7, 0600);
	text = dk_task_read(n.k, 1);
	ck_assert_str_eq(text, "With\na\n");
	ck_assert_int_ne(access(file, F_OK), 0);
	traced("");
	dk_task_run(n.k, 1, text);
	dk_task_run(n.k, 1, text); /* which it does not change */
	traced("bare with1 <a> bare with1 <a>");
	dk_task_run(n.k, 2, text);
	traced("bare2");
	dk_task_run(n.k, 1, NULL);
	traced("bare");
	free(text);
	over();
}
END_TEST

START_TEST(without_a_file)
{
	serve("plugins = { shop = {}; };");
	dk_signal_arrived(n.k, SIGUSR1);
	traced("bare");
	ck_assert_uint_eq(n.log_n, 0); /* nothing to complain of */
	usr1("");
	traced("bare");
	usr1("NoSuch\nx\n");
	traced("bare");
	node_assert_said(&n, "SIGUSR1: no task and no command is called \"NoSuch\"");
	over();
}
END_TEST

START_TEST(names_taken)
{
	static char word[] = "again";

	serve("plugins = { shop = {}; };");
	ck_assert(!dk_on_sigusr1(n.k, "", task, word));
	ck_assert(!dk_on_sigusr1(n.k, NULL, task, word));
	ck_assert(!dk_on_sigusr1(n.k, "One", task, word));
	ck_assert(!dk_on_sigusr1(n.k, "With", task, word));
	ck_assert(!dk_on_sigusr1_with_params(n.k, "One", task_with, word));
	ck_assert(!dk_on_sigusr2(n.k, "One", task, word));
	ck_assert(!dk_on_sigusr1(n.k, "ChangeLogLevelByName", task, word));
	ck_assert(dk_on_sigusr2_with_params(n.k, "With", task_with, word));
	over();
}
END_TEST

START_TEST(files_that_are_refused)
{
	static char big[65537];
	char other[64];

	serve("plugins = { shop = {}; };");
	put(file, "One\n", 4, 0666);
	dk_signal_arrived(n.k, SIGUSR1);
	traced("bare");
	node_assert_said(&n, "DIARKIS_SIGUSR1 is not read: everybody may write to it; chmod o-w it");

	memset(big, '\n', sizeof(big));
	memcpy(big, "One", 3);
	put(file, big, sizeof(big), 0600);
	dk_signal_arrived(n.k, SIGUSR1);
	traced("bare");
	node_assert_said(&n, "is not read: it is larger than 64 KiB");
	put(file, big, 65536, 0600);
	dk_signal_arrived(n.k, SIGUSR1);
	traced("bare one");

	snprintf(other, sizeof(other), "%s/other", dir);
	put(other, "One\n", 4, 0600);
	unlink(file);
	ck_assert_int_eq(symlink(other, file), 0);
	dk_signal_arrived(n.k, SIGUSR1);
	traced("bare");
	node_assert_said(&n, "is not read: it is a symbolic link");
	unlink(other);

	unlink(file);
	ck_assert_int_eq(mkfifo(file, 0600), 0); /* must not block */
	dk_signal_arrived(n.k, SIGUSR1);
	traced("bare");
	node_assert_said(&n, "is not read: it is not a regular file");
	unlink(file);
	ck_assert_int_eq(mkdir(file, 0700), 0);
	dk_signal_arrived(n.k, SIGUSR1);
	traced("bare");
	rmdir(file);
	over();
}
END_TEST

/* As root: a file of somebody else's. As a user, one of root's is fine; tests/cluster tries that with real processes. */
START_TEST(file_of_a_stranger)
{
	serve("plugins = { shop = {}; };");
	put(file, "One\n", 4, 0600);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(file, 12345, 12345), 0);
		dk_signal_arrived(n.k, SIGUSR1);
		traced("bare");
		node_assert_said(&n, "is not read: it belongs neither to root nor to the user of this process");
	} else {
		dk_signal_arrived(n.k, SIGUSR1);
		traced("bare one");
	}
	over();
}
END_TEST

START_TEST(unlinked_where_asked_to)
{
	serve("unlink_task_file = true; plugins = { shop = {}; };");
	usr1("One\n");
	traced("bare one");
	ck_assert_int_ne(access(file, F_OK), 0);
	over();
}
END_TEST

START_TEST(commands_as_tasks)
{
	serve("plugins = { shop = {}; };");
	usr1("shop.price\nhat\n");
	node_assert_said(&n, "task shop.price: ok price=3");
	usr1("shop.price\n\n");
	node_assert_said(&n, "task shop.price: refused: no item");
	usr1("shop.price\n");
	node_assert_said(&n, "task shop.price: shop.price takes 1 parameters (str16 item), but 0 were given");
	usr1("shop.secret\n");
	node_assert_said(&n, "task shop.secret: that command is not for operators");
	traced("bare bare bare bare");
	over();
}
END_TEST

START_TEST(log_levels)
{
	struct dk_self *s;

	serve("log = { levels = { shop = \"warn\"; }; }; plugins = { shop = {}; };");
	s = dk_plugin_state(n.k, "shop");
	dk_log(s, DK_DEBUG, "quiet");
	usr1("ChangeLogLevelByName\nenable\nshop\ndebug\n");
	dk_log(s, DK_DEBUG, "loud");
	usr1("ChangeLogLevelByName\ndisable\n");
	dk_log(s, DK_DEBUG, "quiet");
	node_assert_said(&n, "loud");
	node_assert_silent(&n, "quiet");
	usr1("ChangeLogLevelByName\nenable\nshopp\ndebug\n");
	node_assert_said(&n, "task ChangeLogLevelByName: no plugin is called \"shopp\"");
	usr1("ChangeLogLevelByName\nenable\nshop\nloud\n");
	node_assert_said(&n, "task ChangeLogLevelByName wants the lines enable, NAME, LEVEL, or the line disable");
	over();
}
END_TEST

UNIT_MAIN("task", named_tasks, parameters, in_two_halves, without_a_file, names_taken, files_that_are_refused, file_of_a_stranger,
	  unlinked_where_asked_to, commands_as_tasks, log_levels)
