/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices: what the server tells everybody. They need no call: they come with the answers to the heartbeat (DKC_NOTE), and those
 * that are to arrive for sure, or are long, as pushes. This is how to know one.
 */
#ifndef DIARKIS_CLIENT_NOTIFIER_H
#define DIARKIS_CLIENT_NOTIFIER_H

#include <diarkis/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* True for a notice of version 0 command 400, however it travelled. A program whose server tells notices under other numbers finds
 * them in DKC_NOTE and DKC_PUSH by itself. The message is that of the event. */
DK_API bool dkc_notice(const struct dkc_event *event, dk_slice *ret_message);

#ifdef __cplusplus
}
#endif

#endif
