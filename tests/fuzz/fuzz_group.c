/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of groups as other nodes write them. What is read lies inside the input and keeps its bounds; an entry that is written
 * again, as a node writes its own, is read as the same.
 */
#include <stdlib.h>

#include "plugins/group/group_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static uint8_t out[GROUP_STATE_HEAD + GROUP_ENTRY_MAX];

static void again(const struct group_state *head, const struct group_entry *e)
{
	struct group_node own = {
		.addr = e->addr, .boot = e->boot, .version = e->version, .members = e->members, .flags = e->flags
	};
	struct group_view v = { .at = &own, .n = 1 };
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	struct group_state state;
	struct group_entry other;

	group_state_write(&w, head, &v, e->uids);
	MUST(!w.bad && group_state_read(dk_written(&w), &state) && state.n == 1);
	MUST(state.flags == head->flags && state.ttl_s == head->ttl_s && state.interval_ms == head->interval_ms);
	MUST(state.created_s == head->created_s && state.number == head->number);
	MUST(group_state_next(&state, &other) && !state.n && !state.entries.n);
	MUST(dk_addr_eq(&other.addr, &e->addr) && other.boot == e->boot && other.version == e->version);
	MUST(other.members == e->members && other.flags == e->flags && other.uids.n == e->uids.n);
	MUST(!e->uids.n || memcmp(other.uids.p, e->uids.p, e->uids.n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct group_state state, head;
	struct group_entry e;

	if (!group_state_read(dk_slice_n(data, size), &state))
		return 0;
	MUST(state.n && state.n <= GROUP_NODES_MAX);
	head = state;
	while (group_state_next(&state, &e)) {
		MUST(e.addr.family == 4 || e.addr.family == 6);
		MUST(e.uids.n <= GROUP_UIDS_MAX);
		MUST(!e.uids.n || (e.uids.p >= data && e.uids.n <= (size_t)(data + size - e.uids.p)));
		again(&head, &e);
	}
	return 0;
}
