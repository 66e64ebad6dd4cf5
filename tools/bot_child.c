/* SPDX-License-Identifier: Apache-2.0 */
/* See bot_child.h. A child writes an empty line when its scenario is good, then its figures each second and at the end, a line
 * each; what it says on standard error is kept in memory that both have. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <diarkis/err.h>

#include "tools/bot_child.h"

#define LINE_MAX_LEN (1 << 20)
#define SAID_MAX 8192 /* of the end of what it says */

static void forget(struct child *c)
{
	if (c->figures_fd >= 0)
		close(c->figures_fd);
	if (c->said_fd >= 0)
		close(c->said_fd);
	c->figures_fd = c->said_fd = -1;
	json_decref(c->figures);
	c->figures = NULL;
	c->line_n = 0;
}

static int run_in_child(const struct bot_options *o, const char *json, size_t n, int figures_fd)
{
	struct plan *p = calloc(1, sizeof(*p));
	FILE *figures = fdopen(figures_fd, "w");
	int rc;

	if (!p || !figures)
		return 1;
	rc = plan_read(p, "the scenario", dk_str_n(json, n), o, 0, NULL);
	if (rc < 0) {
		fputs("\n", figures);
		fflush(figures);
		p->run.figures = figures;
		p->o.quiet = true;
		rc = run_all(&p->run);
	}
	plan_fini(p);
	free(p);
	fclose(figures);
	return rc;
}

int child_start(struct child *c, const struct bot_options *o, const char *json, size_t n)
{
	int fds[2], said, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	forget(c);
	said = memfd_create("diarkis-bot", MFD_CLOEXEC);
	if (said < 0 || nothing < 0 || pipe2(fds, O_CLOEXEC) < 0)
		goto fail;
	fflush(NULL);
	c->pid = fork();
	if (c->pid < 0) {
		close(fds[0]);
		close(fds[1]);
		goto fail;
	}
	if (!c->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(nothing, 0);
		dup2(nothing, 1);
		dup2(said, 2);
		exit(run_in_child(o, json, n, fds[1]));
	}
	close(nothing);
	close(fds[1]);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	c->figures_fd = fds[0];
	c->said_fd = said;
	c->number++;
	c->state = CHILD_READS;
	c->refused = false;
	return 0;
fail:
	if (said >= 0)
		close(said);
	if (nothing >= 0)
		close(nothing);
	return -ENOMEM;
}

static void take_line(struct child *c)
{
	json_t *figures;

	c->state = CHILD_RUNS;
	if (!c->line_n)
		return;
	figures = json_loadb(c->line, c->line_n, 0, NULL);
	if (figures) {
		json_decref(c->figures);
		c->figures = figures;
	}
}

static void take(struct child *c, const char *p, size_t n)
{
	for (; n; p++, n--) {
		if (*p == '\n') {
			take_line(c);
			c->line_n = 0;
			continue;
		}
		if (c->line_n == c->line_cap) {
			size_t cap = c->line_cap ? c->line_cap * 2 : 4096;
			char *line = cap <= LINE_MAX_LEN ? realloc(c->line, cap) : NULL;

			if (!line)
				continue; /* then this line is none, and the next one counts */
			c->line = line;
			c->line_cap = cap;
		}
		c->line[c->line_n++] = *p;
	}
}

static void ended(struct child *c)
{
	int status = 0;

	waitpid(c->pid, &status, 0);
	c->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	c->refused = c->state == CHILD_READS;
	c->state = CHILD_ENDED;
	close(c->figures_fd);
	c->figures_fd = -1;
}

void child_ready(struct child *c)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(c->figures_fd, buf, sizeof(buf))) > 0)
		take(c, buf, (size_t)n);
	if (n == 0 || errno != EAGAIN)
		ended(c);
}

void child_interrupt(struct child *c)
{
	if (c->state == CHILD_READS || c->state == CHILD_RUNS)
		kill(c->pid, SIGINT);
}

static json_t *said(const struct child *c)
{
	json_t *list = json_array();
	char buf[SAID_MAX + 1], *at = buf, *line;
	off_t size = c->said_fd >= 0 ? lseek(c->said_fd, 0, SEEK_END) : 0;
	ssize_t n = size > 0 ? pread(c->said_fd, buf, SAID_MAX, size > SAID_MAX ? size - SAID_MAX : 0) : 0;

	buf[n > 0 ? n : 0] = '\0';
	while ((line = strsep(&at, "\n"))) {
		if (*line)
			json_array_append_new(list, json_string(line));
	}
	return list;
}

json_t *child_answer(const struct child *c)
{
	static const char *const names[] = { "none", "reading", "running", "finished" };
	json_t *a = json_pack("{s:i, s:s}", "run", (int)c->number, "state", names[c->state]);

	if (c->state == CHILD_ENDED)
		json_object_update_new(a, json_pack("{s:i, s:b}", "exit", c->status, "good", c->status == 0));
	json_object_set_new(a, "said", said(c));
	if (c->figures)
		json_object_set(a, "figures", c->figures);
	return a;
}

void child_fini(struct child *c)
{
	if (c->state == CHILD_READS || c->state == CHILD_RUNS) {
		kill(c->pid, SIGKILL);
		ended(c);
	}
	forget(c);
	free(c->line);
}
