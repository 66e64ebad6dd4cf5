/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkisd: one node as a program, or with `workers` several, each in a process of its own. Options, exit codes, the `ready` line,
 * and the crash handler, whose view of the node is the one writable global of the product.
 */
#include "workers.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	struct dk_kernel *node;
	const struct worker *worker; /* NULL: no supervisor wants to know */
} volatile crash;

static const char usage_text[] =
	"Usage: diarkisd [-c FILE] [OPTIONS]\n"
	"\n"
	"Runs one node of a realtime server: the plugins that the configuration switches on.\n"
	"\n"
	"  -c, --config FILE        configuration, libconfig or JSON (default: etc/diarkis/diarkis.conf of the installed tree)\n"
	"  -s, --set KEY=VALUE      one option, e.g. --set udp.port=7110 (repeatable)\n"
	"  -p, --plugin-dir DIR     look for plugins here first (repeatable)\n"
	"  -t, --check-config       check the configuration and end; all mistakes are told\n"
	"  -T, --dump-config        print every option with its value and where it comes from\n"
	"      --explain [PLUGIN]   what a plugin provides, needs, takes and answers; without a name, all that are on\n"
	"      --markdown           with --explain: as tables\n"
	"      --plugins            list the plugins that can be found\n"
	"  -V, --version            the version; -VV also ABI, compiler and folders\n"
	"  -h, --help               this text\n"
	"\n"
	"Signals: TERM drains and stops (DIARKIS_SHUTDOWN_TIMEOUT seconds, default 10), INT the same within a second, a second "
	"one\n"
	"stops at once, HUP reloads, USR1 and USR2 run the task in $TMPDIR/DIARKIS_SIGUSR1 (2).\n"
	"Exit codes: 0 ok, 1 runtime error, 2 wrong usage, 78 wrong configuration.\n";

enum { OPT_EXPLAIN = 256, OPT_MARKDOWN, OPT_PLUGINS };

struct options {
	const char *config, *explain;
	const char *sets[257], *dirs[33];
	size_t set_n, dir_n;
	bool check, dump, explaining, markdown, plugins;
	int version;
};

static void put(void *arg, const char *text, size_t n)
{
	fwrite(text, 1, n, arg);
}

/* Only async-signal-safe calls: the process is broken. */
static void on_crash(int signum)
{
	static const char head[] = "diarkisd: crashed while this plugin's code ran: ", none[] = "none (kernel code)", tail[] = "\n";
	const char *name = crash.node ? dk_running_plugin(crash.node) : NULL;
	ssize_t n = write(2, head, sizeof(head) - 1);

	if (!name)
		name = none;
	n += write(2, name, strlen(name));
	n += write(2, tail, 1);
	(void)n;
	if (crash.worker)
		worker_crash(crash.worker, name);
	signal(signum, SIG_DFL);
	raise(signum);
}

/* Returns the handler's own stack, for a plugin may crash by using up the other one. */
static stack_t catch_crashes(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct sigaction sa = { .sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK) };
	stack_t stack = { .ss_size = 65536 };

	stack.ss_sp = malloc(stack.ss_size);
	if (stack.ss_sp)
		sigaltstack(&stack, NULL);
	for (size_t i = 0; i < DK_ARRAY_LEN(signals); i++)
		sigaction(signals[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	return stack;
}

static void print_version(int times)
{
	printf("diarkisd %s\n", DK_VERSION);
	if (times > 1)
		printf("plugin ABI: %d.%d\ncompiler: %s\nplugins: %s\nconfiguration: %s\n", DK_ABI_MAJOR, DK_ABI_MINOR, __VERSION__,
		       DK_PLUGIN_DIR, DK_SYSCONF_DIR);
}

/* 0, or an exit code to end with; -1 ends with 0. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "config", required_argument, NULL, 'c' },
					       { "set", required_argument, NULL, 's' },
					       { "plugin-dir", required_argument, NULL, 'p' },
					       { "check-config", no_argument, NULL, 't' },
					       { "dump-config", no_argument, NULL, 'T' },
					       { "explain", no_argument, NULL, OPT_EXPLAIN },
					       { "markdown", no_argument, NULL, OPT_MARKDOWN },
					       { "plugins", no_argument, NULL, OPT_PLUGINS },
					       { "version", no_argument, NULL, 'V' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "c:s:p:tTVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 's':
		case 'p':
			if ((c == 's' ? o->set_n : o->dir_n) == (c == 's' ? DK_ARRAY_LEN(o->sets) : DK_ARRAY_LEN(o->dirs)) - 1) {
				fprintf(stderr, "diarkisd: more -%c options than fit; put them into the configuration\n", c);
				return DK_EXIT_USAGE;
			}
			if (c == 's')
				o->sets[o->set_n++] = optarg;
			else
				o->dirs[o->dir_n++] = optarg;
			break;
		case 't':
			o->check = true;
			break;
		case 'T':
			o->dump = true;
			break;
		case OPT_EXPLAIN:
			o->explaining = true;
			break;
		case OPT_MARKDOWN:
			o->markdown = true;
			break;
		case OPT_PLUGINS:
			o->plugins = true;
			break;
		case 'V':
			o->version++;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs("Try diarkisd --help.\n", stderr);
			return DK_EXIT_USAGE;
		}
	}
	if (o->explaining && optind < argc)
		o->explain = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "diarkisd: unexpected argument \"%s\"; a configuration is named with -c. Try diarkisd --help.\n",
			argv[optind]);
		return DK_EXIT_USAGE;
	}
	return 0;
}

/* The installed tree's configuration: beside the program first, since a tree may have been moved. */
static const char *default_config(char *buf, size_t n)
{
	char exe[2048];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (len > 0) {
		exe[len] = '\0';
		slash = strrchr(exe, '/');
		if (slash)
			*slash = '\0';
		snprintf(buf, n, "%s/../etc/diarkis/diarkis.conf", exe);
		if (access(buf, R_OK) == 0)
			return buf;
	}
	snprintf(buf, n, "%s/diarkis.conf", DK_SYSCONF_DIR);
	return buf;
}

static int look(struct dk_kernel *k, const struct options *o)
{
	int rc = 0;

	if (o->plugins)
		rc = dk_plugins_list(k, put, stdout);
	if (!rc && o->explaining)
		rc = dk_explain(k, o->explain, o->markdown, put, stdout);
	if (!rc && o->dump)
		rc = dk_config_dump(k, put, stdout);
	if (!rc && o->check)
		puts("the configuration is good");
	return rc;
}

/* The signals of a node, to whoever is to get them: blocked until it is known whether this is a node or a supervisor. */
static void block_signals(bool on)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < SUPERVISOR_SIGNALS; i++)
		sigaddset(&set, supervisor_signals[i]);
	sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void tell_ready(void *arg)
{
	(void)arg;
	notify("READY=1");
}

static void tell_stopping(void *arg, struct dk_step *step)
{
	(void)arg;
	notify("STOPPING=1");
	dk_step_done(step, 0);
}

static int run_node(struct dk_kernel *k, struct worker *w)
{
	stack_t stack = catch_crashes();
	int rc;

	crash.node = k;
	crash.worker = w;
	if (w)
		rc = worker_start(w, k);
	else
		rc = dk_on_started(k, tell_ready, NULL) < 0 ? -1 : dk_on_stop(k, tell_stopping, NULL);
	block_signals(false);
	rc = rc < 0 ? DK_EXIT_RUNTIME : dk_start(k);
	crash.node = NULL;
	crash.worker = NULL;
	sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE, .ss_size = stack.ss_size }, NULL);
	free(stack.ss_sp);
	return rc;
}

/* 0, or an exit code after all complaints. */
static int make(const struct dk_boot *boot, struct dk_env **ret_env, struct dk_kernel **ret_kernel)
{
	struct dk_env *env = dk_env_uv();
	int rc;

	if (!env) {
		fputs("diarkisd: the event loop cannot be set up: out of memory or of descriptors\n", stderr);
		return DK_EXIT_RUNTIME;
	}
	rc = dk_kernel_new(env, boot, ret_kernel);
	if (rc)
		dk_env_free(env);
	else
		*ret_env = env;
	return rc;
}

/* One node; or the supervisor of several, whose forks come out of it as nodes. */
static int run(struct dk_boot *boot)
{
	struct worker worker, *w = NULL;
	struct dk_kernel *k;
	struct dk_env *env;
	int rc;

	block_signals(true);
	boot->flags |= DK_BOOT_READY_LINE | DK_BOOT_CRASH_NAMES | DK_BOOT_WORKERS;
	rc = make(boot, &env, &k);
	if (!rc && dk_workers(k)) {
		if (supervisor_run(k, &worker, &rc))
			w = &worker;
		dk_kernel_free(k);
		dk_env_free(env);
		if (!w)
			return rc;
		boot->flags = DK_BOOT_CRASH_NAMES;
		worker_boot(w, boot);
		rc = make(boot, &env, &k);
	}
	if (rc)
		return rc;
	rc = run_node(k, w);
	dk_kernel_free(k);
	dk_env_free(env);
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct dk_boot boot = { .size = sizeof(boot) };
	struct dk_kernel *k;
	struct dk_env *env;
	char path[4096];
	int rc = parse(argc, argv, &o);

	if (rc)
		return rc < 0 ? DK_EXIT_OK : rc;
	if (o.version) {
		print_version(o.version);
		return DK_EXIT_OK;
	}
	/* Descriptors can be read without a configuration. */
	if ((o.plugins || o.explain) && !o.config) {
		boot.config_text = "";
		boot.config_name = "none";
	} else {
		boot.config_file = o.config ? o.config : default_config(path, sizeof(path));
	}
	boot.sets = o.sets;
	boot.plugin_dirs = o.dirs;
	if (!o.plugins && !o.explaining && !o.dump && !o.check)
		return run(&boot);
	rc = make(&boot, &env, &k);
	if (!rc) {
		rc = look(k, &o);
		dk_kernel_free(k);
		dk_env_free(env);
	}
	return rc;
}
