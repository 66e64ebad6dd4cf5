## SPDX-License-Identifier: Apache-2.0
## The plugin tcp: frames over TCP.
## To enable: remove the two # of each line below. All plugins are built as plugins/NAME.la, so that one folder,
## plugins/.libs, holds them as an installed tree does.
##plugin_includes += -I$(top_srcdir)/%D%
##diarkisinclude_HEADERS += %D%/diarkis/tcp.h
##plugin_LTLIBRARIES += plugins/tcp.la
##plugins_tcp_la_SOURCES = %D%/tcp.c
##plugins_tcp_la_LIBADD = $(wire_lib) $(kernel_lib)
##plugins_tcp_la_LDFLAGS = $(plugin_ldflags)
##EXTRA_DIST += %D%/README.md %D%/tcp.conf
##check_PROGRAMS += %D%/tests/test_tcp
##%C%_tests_test_tcp_SOURCES = %D%/tests/test_tcp.c
##%C%_tests_test_tcp_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
