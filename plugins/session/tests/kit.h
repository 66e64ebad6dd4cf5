/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of sessions have in common: nodes of plugins/room/tests/fabric.h with the plugin session, a probe on each that
 * writes down every signal and filter, answers of asynchronous questions, and what clients send and hear.
 */
#ifndef SESSION_KIT_H
#define SESSION_KIT_H

#include <diarkis/packed.h>
#include <diarkis/session.h>
#include <diarkis/session_commands.h>

#include "plugins/room/tests/fabric.h"

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_session *session;
	bool veto;
};

/* What the probes saw: "node what ..." by line. */
extern char kit_events[65536];
extern bool kit_quiet; /* nothing is written down */

void kit_open(unsigned n, uint64_t seed, const char *options);
struct dk_session *kit_svc(unsigned node);
struct probe *kit_probe(unsigned node);
int64_t kit_count(unsigned node, const char *counter);
/* Compares and forgets. */
void kit_expect_events(const char *want);

/* The answer to the last question, as "rc ..."; "" while it has not come. done is for every question; arg is not used. */
extern char kit_answer[4096];
extern int kit_rc;
void kit_done(void *self, void *arg, const struct dk_session_result *r);
/* Runs until it has come, and compares. */
void kit_expect_answer(const char *want);

/* As player_heard(), ids of sessions as $. */
const char *kit_heard(struct player *p);
void kit_expect(struct player *p, const char *want);

/* Commands of clients. */
void kit_create(struct player *p, uint8_t type, uint8_t max, uint8_t ttl);
void kit_join(struct player *p, uint8_t type, const char *id);
void kit_leave(struct player *p, uint8_t type);
void kit_broadcast(struct player *p, uint8_t type, const char *text);
void kit_typed(struct player *p, uint16_t cmd, uint8_t type);
/* uids: one text, separated by spaces. */
void kit_invite(struct player *p, uint8_t type, const char *uids, const char *text);
void kit_kick(struct player *p, uint8_t type, const char *uid);
void kit_message(struct player *p, uint8_t type, const char *uids, const char *text);
/* The id of the session of that type that p is in, or NULL. */
const char *kit_id_of(struct player *p, uint8_t type);
/* A session made by p through its client, which hears nothing of it any more. */
const char *kit_session(struct player *p, uint8_t type, uint8_t max);

#endif
