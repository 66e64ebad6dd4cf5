/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of two players of the demo, as a process of its own: asks for an endpoint, connects, makes or joins a room, sends N reliable
 * and N plain messages and counts what the other one sent. Prints the room's id when it made it, and one line at the end.
 *
 *   demo_pair URL UDP|TCP UID N              makes the room
 *   demo_pair URL UDP|TCP UID N ROOM         joins it
 */
#include <diarkis/client.h>
#include <diarkis/client_http.h>
#include <diarkis/client_room.h>

#include <stdio.h>
#include <stdlib.h>

#define RATE_HZ 200 /* messages of each kind; with the acknowledgements it stays below the default of udp.packetRate */
#define QUIET_MS 700 /* plain messages may be lost: after so long a silence nothing more will come */

struct me {
	const char *uid;
	unsigned n;
	struct dk_id52 room;
	bool in_room, together, failed, left;
	unsigned sent, got[2], doubled[2], disorder;
	uint32_t next;
	uint8_t *seen[2];
	uint64_t last_us;
};

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct me *m = arg;
	struct dk_cursor r;
	uint32_t seq;
	uint8_t who, reliable;

	(void)c;
	if (e->kind == DKC_DISCONNECTED && !m->left) {
		fprintf(stderr, "%s: disconnected: %s\n", m->uid, dkc_reason_text(e->reason));
		m->failed = true;
	}
	if (e->kind == DKC_PUSH && e->ver == 1 && e->cmd == 101)
		m->together = true; /* the other one came */
	if (e->kind != DKC_PUSH || e->ver != 1 || e->cmd != 103)
		return;
	r = dk_cursor_of(e->payload);
	who = dk_rd_u8(&r);
	reliable = dk_rd_u8(&r);
	seq = dk_rd_u32(&r);
	if (r.bad || who == (uint8_t)m->uid[0] || reliable > 1 || seq >= m->n)
		return; /* one's own voice comes back too */
	if (m->seen[reliable][seq]) {
		m->doubled[reliable]++;
		return;
	}
	m->seen[reliable][seq] = 1;
	m->got[reliable]++;
	m->last_us = dkc_now();
	if (reliable) {
		m->disorder += seq != m->next;
		m->next = seq + 1;
	}
}

static void on_in_room(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct me *m = arg;
	uint32_t created;

	(void)c;
	if (!dkc_room_joined(r, &m->room, &created)) {
		fprintf(stderr, "%s: no room: %.*s\n", m->uid, DK_STR_ARG(dkc_reply_error(r, NULL)));
		m->failed = true;
	}
	m->in_room = true;
}

static bool poll_until(struct dkc_client *c, struct me *m, const bool *flag)
{
	uint64_t until = dkc_now() + 10000000;

	while (!*flag && !m->failed && dkc_now() < until)
		dkc_poll(c, 20);
	return *flag && !m->failed;
}

static bool say(struct dkc_client *c, struct me *m, bool reliable, uint32_t seq)
{
	uint8_t buf[64] = { 0 };
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, (uint8_t)m->uid[0]);
	dk_wr_u8(&w, reliable);
	dk_wr_u32(&w, seq);
	return dkc_room_broadcast(c, &m->room, dk_slice_n(buf, sizeof(buf)), reliable) == 0;
}

static void talk(struct dkc_client *c, struct me *m)
{
	uint64_t began = dkc_now(), until = began + 30000000, now;

	m->last_us = began;
	while (!m->failed && (now = dkc_now()) < until) {
		while (m->sent < m->n && m->sent < (now - began) * RATE_HZ / 1000000 && say(c, m, true, m->sent)) {
			say(c, m, false, m->sent);
			m->sent++;
		}
		dkc_poll(c, m->sent < m->n ? 1 : 20);
		if (m->sent == m->n && m->got[1] == m->n && now > m->last_us + QUIET_MS * 1000)
			break;
	}
}

int main(int argc, char **argv)
{
	struct dkc_endpoint ep;
	struct dkc_opts o;
	struct dkc_ctx *ctx;
	struct dkc_client *c;
	struct me m = { 0 };
	char why[256];
	struct dkc_room_opts ro = { .max_members = 2, .join = true, .ttl_s = 60 };
	int rc;

	if (argc < 5) {
		fprintf(stderr, "Usage: demo_pair URL UDP|TCP UID N [ROOM]\n");
		return 2;
	}
	m.uid = argv[3];
	m.n = (unsigned)strtoul(argv[4], NULL, 10);
	m.seen[0] = calloc(m.n, 1);
	m.seen[1] = calloc(m.n, 1);
	if (dkc_endpoint_get(argv[1], argv[2], m.uid, NULL, 5000, &ep, why, sizeof(why))) {
		fprintf(stderr, "%s: no endpoint from %s: %s\n", m.uid, argv[1], why);
		return 1;
	}
	dkc_opts_default(&o);
	o.event = on_event;
	o.arg = &m;
	if (dkc_ctx_new(NULL, &ctx) || dkc_client_new(ctx, &ep, &o, &c))
		return 1;
	dkc_connect(c);
	if (argc > 5) {
		if (!dkc_room_id(dk_str_c(argv[5]), &m.room))
			return 2;
		dkc_room_join(c, &m.room, dk_slice_of(dk_str_c("hello")), on_in_room, &m);
	} else {
		dkc_room_create(c, &ro, on_in_room, &m);
	}
	if (!poll_until(c, &m, &m.in_room))
		return 1;
	if (argc == 5) {
		printf("%.*s\n", DK_ID52_LEN, m.room.c);
		fflush(stdout);
	}
	if (!poll_until(c, &m, &m.together))
		return 1;
	talk(c, &m);
	printf("  %-6s %s  reliable %u/%u, %u doubled, %u overtaken; plain %u/%u, %u doubled\n", m.uid, argv[2], m.got[1], m.n,
	       m.doubled[1], m.disorder, m.got[0], m.n, m.doubled[0]);
	m.left = true;
	rc = m.failed || m.got[1] != m.n || m.doubled[1] || m.disorder;
	dkc_close(c);
	dkc_poll(c, 0);
	dkc_client_free(c);
	dkc_ctx_free(ctx);
	return rc;
}
