/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators ask as guests: whether the node is well, and commands by name, with arguments as text. Any command of the node
 * will do that is for operators (DK_ADMIN), whatever its version. What it answers goes back as text, as a task would log it, and
 * has to fit one datagram.
 */
#include "mesh_state.h"

#include <errno.h>

#include <diarkis/derror.h>

#define ARGUMENTS_MAX 64
#define ANSWER_MAX (WIRE_PACKET_PLAIN - WIRE_UNIT_HEAD - 8 - 1)

int mesh_on_health(struct mesh *m, struct dk_call *call)
{
	return mesh_on_health_answer(call, (uint8_t)dk_node_state(m));
}

/* ---- by name ---- */

static int pass_on(struct dk_call *call, int status, dk_slice body)
{
	struct dk_cursor c = dk_cursor_of(body);
	uint32_t code = status == DK_STATUS_BAD * 10 || status == DK_STATUS_ERR * 10 ? dk_rd_u32(&c) : DK_E_INTERNAL;
	dk_str why = dk_str_of(dk_rd_rest(&c));

	if (status == DK_STATUS_BAD || status == DK_STATUS_BAD * 10)
		return dk_refuse(call, code, DK_STR_FMT, DK_STR_ARG(why));
	return dk_fail(call, code, DK_STR_FMT, DK_STR_ARG(why));
}

static void called(void *self, const struct dk_call *inner, int status, dk_slice body)
{
	dk_id id = (uint64_t)(uintptr_t)inner->priv;
	struct dk_call *call = dk_call_get(self, id);
	const char *text;

	if (!call)
		return; /* nobody waits any more */
	if (status != DK_STATUS_OK) {
		pass_on(call, status, body);
	} else {
		text = dk_payload_text(self, inner->row->out, (inner->row->flags & DK_PUFFER) != 0, body);
		if (strlen(text) > ANSWER_MAX)
			dk_fail(call, DK_E_INTERNAL, "%s was done, but its answer has %zu bytes, and %d fit a datagram",
				inner->row->name, strlen(text), ANSWER_MAX);
		else
			dk_answer(call, dk_slice_of(dk_str_c(text)));
	}
	dk_call_done(self, id, 0);
}

int mesh_on_call(struct mesh *m, struct dk_call *call, dk_str name, struct dk_list arguments)
{
	const struct dk_command *row = dk_command_named(m, name);
	dk_str args[ARGUMENTS_MAX];
	const char *why = "";
	size_t n = 0;

	if (!row)
		return dk_refuse(call, DK_E_PARAMS, "this node has no command " DK_STR_FMT, DK_STR_ARG(name));
	if (!(row->flags & DK_ADMIN) || row == call->row)
		return dk_refuse(call, DK_E_PARAMS, "%s is not for operators", row->name);
	if (arguments.n > ARGUMENTS_MAX)
		return dk_refuse(call, DK_E_PARAMS, "%u parameters are too many for %s", arguments.n, row->name);
	while (dk_list_next(&arguments, &args[n]))
		n++;
	switch (dk_call_named(m, name, args, n, DK_FROM_ADMIN, call->id, called, &why)) {
	case 0:
	case DK_LATER:
		return DK_LATER;
	case -EINVAL:
		return dk_refuse(call, DK_E_PARAMS, "%s", why);
	default:
		return dk_fail(call, DK_E_INTERNAL, "%s cannot be called now", row->name);
	}
}
