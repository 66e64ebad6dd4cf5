/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives clients on a libuv loop: sockets, names and timers are libuv's, nothing blocks, events arrive from inside uv_run(). Link
 * libdiarkis-client-uv (pkg-config diarkis-client-uv).
 */
#ifndef DIARKIS_CLIENT_UV_H
#define DIARKIS_CLIENT_UV_H

#include <diarkis/client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s; /* uv_loop_t */
struct dkc_uv;

/* Drives c from now on, whether it is connected, connecting or idle; what is sent goes out before the loop waits again. The client
 * stays the caller's and outlives this. It keeps the loop alive until it is closed. Returns 0 or < 0 (libuv's code). */
DK_API int dkc_uv_open(struct uv_loop_s *loop, struct dkc_client *c, struct dkc_uv **ret_uv);
/* Sends what waits and lets go of the client; closed is called when libuv is done with everything, and may free the client. Call
 * dkc_close() before this to say goodbye. */
DK_API void dkc_uv_close(struct dkc_uv *uv, void (*closed)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
