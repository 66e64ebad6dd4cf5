/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes from inside: as a guest of the mesh. `in` asks whether the node's loop answers; `mars` also whether it hears a
 * registry.
 */
#include "tools/health.h"

#include <diarkis/cursor.h>
#include <diarkis/mars_commands.h>

#include <stdio.h>

#define MESH_HEALTH 1020

int health_mesh(const struct probe *p, const struct guest_key *key, bool mars, char why[PROBE_WHY])
{
	uint64_t began = probe_now();
	struct guest g;
	struct dk_cursor c;
	dk_slice body;
	uint32_t age_ms, nodes;
	uint8_t state;
	int rc = guest_open(&g, p, key, why);

	if (!rc)
		rc = guest_ask(&g, mars ? MARS_CMD_HEALTH : MESH_HEALTH, dk_slice_n(NULL, 0), &body, why);
	if (rc)
		goto out;
	snprintf(why, PROBE_WHY, "well: it answered after %llu ms", (unsigned long long)(probe_now() - began));
	if (!mars)
		goto out;
	c = dk_cursor_of(body);
	state = dk_rd_u8(&c);
	age_ms = dk_rd_u32(&c);
	nodes = dk_rd_u32(&c);
	rc = c.bad || state != MARS_HEALTH_OK;
	if (c.bad)
		snprintf(why, PROBE_WHY, "the node's answer is cut short; is it of another version?");
	else if (!rc)
		snprintf(why, PROBE_WHY, "well: it heard MARS %u ms ago and knows %u nodes", age_ms, nodes);
	else if (state == MARS_HEALTH_NONE)
		snprintf(why, PROBE_WHY, "the node has no registry: marsAddress of its plugin mesh is empty");
	else
		snprintf(why, PROBE_WHY, "the node answers, but has not heard MARS for %u ms; it knows %u nodes", age_ms, nodes);
out:
	guest_close(&g);
	return rc;
}
