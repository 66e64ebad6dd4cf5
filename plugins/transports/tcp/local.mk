## SPDX-License-Identifier: Apache-2.0
## The plugin tcp: TCP.
plugin_LTLIBRARIES += plugins/tcp.la
plugins_tcp_la_SOURCES = %D%/tcp.c %D%/../peers.c %D%/../peers.h %D%/../utility.c %D%/../utility.h %D%/../public.c %D%/../public.h %D%/../answer.c %D%/../answer.h
plugins_tcp_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/..
plugins_tcp_la_LIBADD = $(wire_lib) $(kernel_lib)
plugins_tcp_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/tcp.conf
check_PROGRAMS += %D%/tests/test_tcp
%C%_tests_test_tcp_SOURCES = %D%/tests/test_tcp.c $(sim_ends)
%C%_tests_test_tcp_LDADD = $(harness_lib) $(kernel_lib) $(wire_lib) $(test_libs)
