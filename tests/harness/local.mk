## SPDX-License-Identifier: Apache-2.0
## libdiarkis-test: the harness for plugins, installed. The simulator's sources (tests/sim) are part of it.
lib_LTLIBRARIES += %D%/libdiarkis-test.la
%C%_libdiarkis_test_la_SOURCES = %D%/harness.c $(sim_sources)
%C%_libdiarkis_test_la_LIBADD = $(wire_lib) $(kernel_lib)
%C%_libdiarkis_test_la_LDFLAGS = $(AM_LDFLAGS) $(DK_ZDEFS) -version-info 0:0:0
pkgconfig_DATA += %D%/diarkis-test.pc
