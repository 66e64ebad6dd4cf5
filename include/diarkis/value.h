/* SPDX-License-Identifier: Apache-2.0 */
/* A typed value, as users and rooms keep them under a name. It keeps its type wherever it goes, to another node too. */
#ifndef DIARKIS_VALUE_H
#define DIARKIS_VALUE_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Text and bytes are borrowed both ways: copied on set; on get valid until the next set or unset of their owner. */
enum dk_value_type { DK_V_NONE, DK_V_BOOL, DK_V_INT, DK_V_F64, DK_V_STR, DK_V_BYTES };
struct dk_value {
	enum dk_value_type type;
	union {
		bool b;
		int64_t i;
		double f;
		dk_str s;
		dk_slice bytes;
	} as;
};

#ifdef __cplusplus
}
#endif

#endif
