/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to C arguments: decodes a payload by a row's parameter list and calls the handler through libffi, of which this
 * file is the only user. One cif per row, prepared at boot.
 */
#include "kernel.h"
#include "payload.h"

#include <errno.h>
#include <ffi.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGS_MAX 12

struct typed {
	const struct dk_command *row;
	size_t n;
	ffi_cif cif;
	ffi_type *args[ARGS_MAX + 2];
	ffi_type slice, list; /* filled by libffi, hence one per row and no global */
	ffi_type *slice_parts[3], *list_parts[3];
};

static ffi_type *type_of(struct typed *t, uint8_t type)
{
	switch (type) {
	case DK_T_U8:
	case DK_T_FLAG:
		return &ffi_type_uint8;
	case DK_T_U16:
		return &ffi_type_uint16;
	case DK_T_U32:
		return &ffi_type_uint32;
	case DK_T_U64:
		return &ffi_type_uint64;
	case DK_T_I8:
		return &ffi_type_sint8;
	case DK_T_I16:
		return &ffi_type_sint16;
	case DK_T_I32:
		return &ffi_type_sint32;
	case DK_T_I64:
		return &ffi_type_sint64;
	case DK_T_F32:
		return &ffi_type_float;
	case DK_T_F64:
		return &ffi_type_double;
	case DK_T_STR16:
	case DK_T_STR32:
	case DK_T_BYTES16:
	case DK_T_BYTES32:
	case DK_T_REST:
		return &t->slice;
	case DK_T_STRS:
		return &t->list;
	case DK_T_ID52:
		return &ffi_type_pointer;
	default:
		return NULL;
	}
}

int typed_prepare(const struct dk_command *row, struct typed **ret_typed, char *why, size_t why_n)
{
	struct typed *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->row = row;
	t->slice_parts[0] = &ffi_type_pointer;
	t->slice_parts[1] = sizeof(size_t) == 8 ? &ffi_type_uint64 : &ffi_type_uint32;
	t->slice = (ffi_type){ .type = FFI_TYPE_STRUCT, .elements = t->slice_parts };
	t->list_parts[0] = &t->slice;
	t->list_parts[1] = &ffi_type_uint16;
	t->list = (ffi_type){ .type = FFI_TYPE_STRUCT, .elements = t->list_parts };
	t->args[0] = t->args[1] = &ffi_type_pointer;
	for (const struct dk_param *p = row->in; p && p->type; p++) {
		ffi_type *ft = type_of(t, p->type);

		if (!ft || t->n == ARGS_MAX) {
			snprintf(why, why_n,
				 "parameter %zu (%s) has type %u, which this kernel does not know, or there are more than %d",
				 t->n + 1, p->name, p->type, ARGS_MAX);
			free(t);
			return -EINVAL;
		}
		if (p->type == DK_T_REST && p[1].type) {
			snprintf(why, why_n, "parameter %s takes the rest of the payload, so it must be the last", p->name);
			free(t);
			return -EINVAL;
		}
		if ((row->flags & DK_PUFFER) && p != row->in && strcmp(p[-1].name, p->name) > 0) {
			snprintf(why, why_n, "puffer fields stand in alphabetical order, but %s follows %s", p->name, p[-1].name);
			free(t);
			return -EINVAL;
		}
		t->args[2 + t->n++] = ft;
	}
	for (const struct dk_param *p = row->out; (row->flags & DK_PUFFER) && p && p->type && p[1].type; p++)
		if (strcmp(p->name, p[1].name) > 0) {
			snprintf(why, why_n, "puffer fields stand in alphabetical order, but in the answer %s follows %s",
				 p[1].name, p->name);
			free(t);
			return -EINVAL;
		}
	if (!(row->flags & DK_RAW) &&
	    ffi_prep_cif(&t->cif, FFI_DEFAULT_ABI, (unsigned)t->n + 2, &ffi_type_sint, t->args) != FFI_OK) {
		snprintf(why, why_n, "libffi cannot prepare a call with its %zu parameters", t->n);
		free(t);
		return -EINVAL;
	}
	*ret_typed = t;
	return 0;
}

void typed_free(struct typed *t)
{
	free(t);
}

int typed_call(const struct typed *t, void *self, struct dk_call *call, const char **ret_why)
{
	union payload_value values[ARGS_MAX];
	void *args[ARGS_MAX + 2] = { &self, &call };
	struct dk_cursor c = dk_cursor_of(call->payload);
	bool puffer = (t->row->flags & DK_PUFFER) != 0;
	ffi_arg rc = 0;

	for (size_t i = 0; i < t->n; i++) {
		payload_read(&c, t->row->in[i].type, puffer, &values[i]);
		if (c.bad) {
			*ret_why = t->row->in[i].name;
			return TYPED_BAD;
		}
		args[i + 2] = &values[i];
	}
	if (!dk_rd_done(&c)) {
		*ret_why = NULL;
		return TYPED_BAD;
	}
	ffi_call((ffi_cif *)(uintptr_t)&t->cif, t->row->fn, &rc, args);
	return (int)rc;
}
