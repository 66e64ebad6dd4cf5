/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin whose one command does nothing but count, in a file that the bench
 * has mapped too: what a received packet costs before any module's work.
 */
#include <diarkis/plugin.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct nop {
	struct dk_self base;
	volatile uint64_t *count;
};

#define NOP_COMMANDS(X, R)                                                                                                         \
	R(struct nop, 2, 1, "nop.count", on_count, DK_CLIENT | DK_QUIET, "count", DK_IN(rest(anything)), DK_OUT())
DK_COMMANDS(nop, NOP_COMMANDS)

static int on_count(struct nop *n, struct dk_call *call)
{
	(void)call;
	(*n->count)++;
	return 0;
}

static int nop_start(void *self)
{
	struct nop *n = self;
	const char *path = dk_env_var(n, "BENCH_NOP_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *m = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*n->count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (m == MAP_FAILED)
		return -1;
	n->count = m;
	return 0;
}

static const struct dk_ops nop_ops = { .start = nop_start };

DK_PLUGIN(nop) = {
	DK_PLUGIN_HEAD("nop", "1.0.0", "counts what arrives"),
	.self_size = sizeof(struct nop),
	.commands = nop_commands,
	.ops = &nop_ops,
};
