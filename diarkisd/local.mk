## SPDX-License-Identifier: Apache-2.0
## diarkisd: main.
bin_PROGRAMS += %D%/diarkisd
%C%_diarkisd_SOURCES = %D%/main.c
%C%_diarkisd_CPPFLAGS = $(AM_CPPFLAGS) -DDK_PLUGIN_DIR='"$(plugindir)"' -DDK_SYSCONF_DIR='"$(diarkissysconfdir)"'
%C%_diarkisd_LDADD = $(kernel_lib)
%C%_diarkisd_LDFLAGS = $(program_ldflags)
