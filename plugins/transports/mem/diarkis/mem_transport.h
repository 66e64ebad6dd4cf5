/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "mem": the client's end of the transport `mem`, whose peers are queues of this process. For tests and benches of
 * what stands above a transport: no bytes of a wire, no loss, everything in order, whether reliable or not.
 *
 * What a client does happens on the node's next turn, in order; what the server sends can be read as soon as it was sent. A
 * push is read as it stands on a wire: its payload is a list of {u32 length, bytes}.
 */
#ifndef DIARKIS_MEM_TRANSPORT_H
#define DIARKIS_MEM_TRANSPORT_H

#include <diarkis/err.h>
#include <diarkis/service.h>
#include <diarkis/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_MEM_NAME "mem"
#define DK_MEM_MAJOR 1
#define DK_MEM_MINOR 0
#define DK_MEM_TYPE struct dk_mem

/* One client. Owned by whoever made it; outlives its peer, so that what was sent last can be read. */
struct dk_mem_client;

struct dk_mem {
	struct dk_service base;

	/* A client for the credential with this sid. Returns 0, DK_NOT_FOUND (nobody was admitted with it)
	 * or -ENOMEM. With a client there already, this one takes over, like a new socket of the same user. */
	int (*connect)(struct dk_mem *svc, const uint8_t sid[16], struct dk_mem_client **ret_client);
	/* Closes it where it is still open (DK_REASON_CLIENT) and frees it. NULL is fine. Not after the node's fini. */
	void (*free)(struct dk_mem *svc, struct dk_mem_client *client);

	/* A request; the payload is copied. Returns 0, DK_GONE or -ENOMEM. */
	int (*send)(struct dk_mem *svc, struct dk_mem_client *client, uint8_t ver, uint16_t cmd, dk_slice payload, bool reliable);
	/* A sign of life; its reply arrives as version 0 command 1, the notes alone. locals: as in the sink's echo. */
	int (*echo)(struct dk_mem *svc, struct dk_mem_client *client, dk_slice locals);
	/* The client speaks from this address from now on. */
	int (*move)(struct dk_mem *svc, struct dk_mem_client *client, const struct dk_addr *from);
	int (*close)(struct dk_mem *svc, struct dk_mem_client *client);

	/* The next frame that the server sent; its payload is borrowed
	 * until the next call with this client. False: nothing there. */
	bool (*next)(struct dk_mem *svc, struct dk_mem_client *client, struct dk_frame *ret_frame, bool *ret_reliable);
	/* From now on frames are counted, not kept: for benches. */
	void (*mute)(struct dk_mem *svc, struct dk_mem_client *client, bool on);
	/* Frames and payload bytes that the server sent to it so far. */
	void (*received)(struct dk_mem *svc, const struct dk_mem_client *client, uint64_t *ret_frames, uint64_t *ret_bytes);
	/* 0 while it is open, else why it ended. */
	enum dk_reason (*ended)(struct dk_mem *svc, const struct dk_mem_client *client);
};

#ifdef __cplusplus
}
#endif

#endif
