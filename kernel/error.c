/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of negative results. libuv's own codes lie outside errno's range and are asked of libuv by env/uv.c alone. */
#include "kernel.h"

#include <string.h>

const char *dk_err_text(int err)
{
	const char *text = err < 0 && err > -4096 ? strerrordesc_np(-err) : NULL;

	return text ? text : "unknown error";
}
