/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed: a program of one's own that holds a node. It hangs callbacks on the node's life, adds a task for SIGUSR1, and ends with
 * the node's exit code. Run it with a configuration:  ./embed my.conf
 */
#include <diarkis/diarkis.h>

#include <stdio.h>

struct program {
	struct dk_kernel *node;
	struct dk_timer tick;
	unsigned beats;
};

static void on_start(void *arg)
{
	(void)arg;
	puts("embed: every plugin has started");
}

static void on_ready(void *arg, struct dk_step *next)
{
	(void)arg;
	puts("embed: ready; a database would be connected here");
	dk_step_done(next, 0);
}

static void on_beat(void *self, struct dk_timer *t)
{
	struct program *p = dk_container_of(t, struct program, tick);

	(void)self;
	printf("embed: beat %u\n", ++p->beats);
	if (p->beats == 3)
		dk_stop(p->node);
}

static void on_started(void *arg)
{
	struct program *p = arg;

	puts("embed: serving");
	dk_timer_start(dk_app(p->node), &p->tick, 100, 100, on_beat);
}

static void on_stop(void *arg, struct dk_step *done)
{
	struct program *p = arg;

	dk_timer_stop(&p->tick);
	puts("embed: going OFFLINE; players are told elsewhere");
	dk_step_done(done, 0);
}

static void on_terminate(void *arg, struct dk_step *next)
{
	(void)arg;
	puts("embed: the last word");
	dk_step_done(next, 0);
}

static void say(void *arg, const char *const *params, size_t n)
{
	(void)arg;
	for (size_t i = 0; i < n; i++)
		printf("embed: told to say: %s\n", params[i]);
}

int main(int argc, char **argv)
{
	struct dk_env *env = dk_env_uv();
	struct dk_boot boot = { .size = sizeof(boot), .flags = DK_BOOT_READY_LINE };
	struct program p = { 0 };
	int rc;

	if (argc != 2 || !env) {
		fprintf(stderr, "Usage: embed CONFIG\n");
		return DK_EXIT_USAGE;
	}
	boot.config_file = argv[1];
	rc = dk_kernel_new(env, &boot, &p.node);
	if (rc == 0) {
		dk_on_start(p.node, on_start, &p);
		dk_on_ready(p.node, on_ready, &p);
		dk_on_started(p.node, on_started, &p);
		dk_on_stop(p.node, on_stop, &p);
		dk_on_terminate(p.node, on_terminate, &p);
		dk_on_sigusr1_with_params(p.node, "Say", say, &p);
		rc = dk_start(p.node);
		dk_kernel_free(p.node);
	}
	dk_env_free(env);
	return rc;
}
