/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the plugin interface. A plugin loads when its major equals the kernel's and its minor is not above it.
 * Members and enum values are appended only; docs/ABI.md says what each step brought.
 *
 *   1.0  first version
 *   1.1  nodes that call each other: dk_call.from, DK_VER_NODE, dk_set_taken, dk_mark_taken_if, dk_set_node_addr, dk_publish_file,
 *        dk_resolve, dk_id52_set_backup, dk_answered; services carrier and cluster
 */
#ifndef DIARKIS_ABI_H
#define DIARKIS_ABI_H

#define DK_ABI_MAJOR 1
#define DK_ABI_MINOR 1

#endif
