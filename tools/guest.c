/* SPDX-License-Identifier: Apache-2.0 */
/* See guest.h. What is said is wire/cluster_guest's; this file adds a socket, a clock and the environment. */
#include "tools/guest.h"

#include <diarkis/command.h>
#include <diarkis/err.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static int randomness(void *arg, void *buf, size_t n)
{
	(void)arg;
	return getrandom(buf, n, 0) == (ssize_t)n ? 0 : -EIO;
}

int guest_open(struct guest *g, const struct probe *p, const struct guest_key *key, char why[PROBE_WHY])
{
	struct wire_cluster_source from[WIRE_CLUSTER_KEYS] = {
		{ getenv("DIARKIS_CLUSTER_KEY"), getenv("DIARKIS_CLUSTER_KEY_FILE") },
		{ getenv("DIARKIS_CLUSTER_KEY_2"), getenv("DIARKIS_CLUSTER_KEY_FILE_2") },
	};
	struct wire_cluster_opts o = { .name = dk_str_c(key->cluster ? key->cluster : "diarkis"), .random = randomness };
	int n, bad;

	*g = (struct guest){ .probe = p, .fd = -1 };
	if (key->file)
		from[0] = (struct wire_cluster_source){ .file = key->file };
	n = wire_cluster_keys_read(from, o.key, &bad, why, PROBE_WHY);
	if (n < 0)
		return DK_EXIT_CONFIG;
	o.key_n = (unsigned)n;
	g->keyed = n > 0;
	if (wire_guest_new(&o, &g->wire)) {
		snprintf(why, PROBE_WHY, "the crypto library cannot be used");
		return 1;
	}
	explicit_bzero(&o, sizeof(o));
	if (probe_resolve(p, &g->to, why))
		return 1;
	g->fd = probe_socket(p, &g->to, why);
	return g->fd < 0;
}

void guest_close(struct guest *g)
{
	wire_guest_free(g->wire);
	if (g->fd >= 0)
		close(g->fd);
	*g = (struct guest){ .fd = -1 };
}

static void exchange(struct guest *g)
{
	uint8_t buf[WIRE_PACKET_MAX + 1];
	uint64_t due = wire_guest_due(g->wire);
	ssize_t n;

	while ((n = (ssize_t)wire_guest_out(g->wire, probe_now(), buf)) > 0) {
		send(g->fd, buf, (size_t)n, 0);
		probe_say(g->probe, "%zd bytes were sent to %s", n, g->to.text);
		due = wire_guest_due(g->wire);
	}
	if (!probe_wait(g->fd, POLLIN, due < g->probe->deadline ? due : g->probe->deadline)) {
		wire_guest_tick(g->wire, probe_now());
		return;
	}
	n = recv(g->fd, buf, sizeof(buf), 0);
	if (n >= 0)
		wire_guest_in(g->wire, probe_now(), dk_slice_n(buf, (size_t)n));
	else if (errno == ECONNREFUSED) /* said at once, but the node may be about to start: asking goes on at its pace */
		probe_wait(-1, 0, due < g->probe->deadline ? due : g->probe->deadline);
}

static const char *silence(const struct guest *g)
{
	if (wire_guest_reached(g->wire))
		return "the node let us in, but did not answer: it is held up, does not know the question, or is not done yet";
	return g->keyed ? "nothing came back: the node is gone, held up, not to be reached from here, or of a cluster with another "
			  "key or "
			  "name"
			: "nothing came back: the node is gone, held up, not to be reached from here, or has a cluster key, which "
			  "DIARKIS_CLUSTER_KEY_FILE should name here too";
}

/* What a node said no with: a sentence, behind a code where errors have one. */
static void refused(int status, dk_slice body, char why[PROBE_WHY])
{
	size_t code = status == DK_STATUS_BAD * 10 || status == DK_STATUS_ERR * 10 ? 4 : 0;

	if (body.n > code)
		snprintf(why, PROBE_WHY, "refused: " DK_STR_FMT, DK_STR_ARG(dk_str_n((const char *)body.p + code, body.n - code)));
	else
		snprintf(why, PROBE_WHY, "the node refused the question (status %d); is it of another version?", status);
}

int guest_ask(struct guest *g, uint16_t cmd, dk_slice payload, dk_slice *ret_body, char why[PROBE_WHY])
{
	uint64_t now = probe_now(), deadline = g->probe->deadline;
	int status = 0;

	if (now >= deadline || wire_guest_call(g->wire, now, DK_VER_NODE, cmd, payload, (uint32_t)(deadline - now))) {
		snprintf(why, PROBE_WHY, "there was no time left to ask");
		return 1;
	}
	while (wire_guest_result(g->wire, &status, ret_body) == WIRE_GUEST_WAITS)
		exchange(g);
	if (wire_guest_result(g->wire, &status, ret_body) == WIRE_GUEST_SILENT)
		snprintf(why, PROBE_WHY, "%s", silence(g));
	else if (status != DK_STATUS_OK)
		refused(status, *ret_body, why);
	return status != DK_STATUS_OK;
}
