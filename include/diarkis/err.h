/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results. 0 is done. Negative is unexpected here, shaped like -errno (libuv's codes pass through), and is forwarded
 * untouched. Positive is an outcome that the called function documents and its direct caller handles.
 */
#ifndef DIARKIS_ERR_H
#define DIARKIS_ERR_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Outcomes that many functions share. Services number their own from 16. */
enum dk_outcome {
	DK_LATER = 1, /* not finished: it will be, through the means that the function documents */
	DK_GONE = 2, /* the object behind a handle is no more */
	DK_FULL = 3, /* a limit is reached */
	DK_NOT_FOUND = 4,
	DK_EXISTS = 5,
	DK_REFUSED = 6, /* a rule, a filter or the node's state says no */
	DK_TOO_LONG = 7,
	DK_OUTCOME_OWN = 16
};

/* Exit codes of every program of the project. */
enum dk_exit { DK_EXIT_OK = 0, DK_EXIT_RUNTIME = 1, DK_EXIT_USAGE = 2, DK_EXIT_CONFIG = 78 };

/* Short text for a negative result: "connection refused". Never NULL, static. */
DK_API const char *dk_err_text(int err);

#ifdef __cplusplus
}
#endif

#endif
