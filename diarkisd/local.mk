## SPDX-License-Identifier: Apache-2.0
## diarkisd: main, and with workers a supervisor.
bin_PROGRAMS += %D%/diarkisd
%C%_diarkisd_SOURCES = %D%/main.c %D%/notify.c %D%/supervisor.c %D%/worker.c %D%/workers.h
%C%_diarkisd_CPPFLAGS = $(AM_CPPFLAGS) -DDK_PLUGIN_DIR='"$(plugindir)"' -DDK_SYSCONF_DIR='"$(diarkissysconfdir)"'
%C%_diarkisd_LDADD = $(kernel_lib)
%C%_diarkisd_LDFLAGS = $(program_ldflags)
