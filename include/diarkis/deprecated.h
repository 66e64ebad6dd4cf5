/* SPDX-License-Identifier: Apache-2.0 */
/* Four names that the reference keeps for old programs; each calls what replaced it. */
#ifndef DIARKIS_DEPRECATED_H
#define DIARKIS_DEPRECATED_H

#include <diarkis/diarkis.h>

#include <unistd.h>

#define DK_DEPRECATED(instead) __attribute__((deprecated("use " instead)))

/* Processors that this process may use. (GetCPUNumUsed) */
DK_DEPRECATED("sysconf(_SC_NPROCESSORS_ONLN)") static inline int dk_get_cpu_num_used(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* (GetDiarkisPath) */
DK_DEPRECATED("dk_path()") static inline const char *dk_get_diarkis_path(const struct dk_kernel *k)
{
	return dk_path(k);
}

/* (GetShutdownTimeout) */
DK_DEPRECATED("dk_shutdown_timeout()") static inline int64_t dk_get_shutdown_timeout(const struct dk_kernel *k)
{
	return dk_shutdown_timeout(k);
}

/* (GetVer) */
DK_DEPRECATED("DK_VERSION") static inline const char *dk_get_ver(void)
{
	return DK_VERSION;
}

#endif
