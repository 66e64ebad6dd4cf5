/* SPDX-License-Identifier: Apache-2.0 */
/* Notices from the client's side: events.c takes them out of the answers to heartbeats, this tells which they are. */
#include <diarkis/client_notifier.h>

#define NOTICE 400 /* of version 0 */

bool dkc_notice(const struct dkc_event *event, dk_slice *ret_message)
{
	if ((event->kind != DKC_NOTE && event->kind != DKC_PUSH) || event->ver != 0 || event->cmd != NOTICE)
		return false;
	*ret_message = event->payload;
	return true;
}
