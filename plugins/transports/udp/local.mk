## SPDX-License-Identifier: Apache-2.0
## The plugin udp: UDP and reliable UDP on one socket.
## To enable: remove the two # of each line below. All plugins are built as plugins/NAME.la, so that one folder,
## plugins/.libs, holds them as an installed tree does.
##plugin_includes += -I$(top_srcdir)/%D%
##diarkisinclude_HEADERS += %D%/diarkis/udp.h
##plugin_LTLIBRARIES += plugins/udp.la
##plugins_udp_la_SOURCES = %D%/udp.c
##plugins_udp_la_LIBADD = $(wire_lib) $(kernel_lib)
##plugins_udp_la_LDFLAGS = $(plugin_ldflags)
##EXTRA_DIST += %D%/README.md %D%/udp.conf
##check_PROGRAMS += %D%/tests/test_udp
##%C%_tests_test_udp_SOURCES = %D%/tests/test_udp.c
##%C%_tests_test_udp_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
