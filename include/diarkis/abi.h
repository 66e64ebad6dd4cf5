/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the plugin interface. A plugin loads when its major equals the kernel's and its minor is not above it.
 * Members and enum values are appended only; docs/ABI.md says what each step brought.
 *
 *   1.0  first version
 */
#ifndef DIARKIS_ABI_H
#define DIARKIS_ABI_H

#define DK_ABI_MAJOR 1
#define DK_ABI_MINOR 0

#endif
