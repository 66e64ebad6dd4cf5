## SPDX-License-Identifier: Apache-2.0
## The plugin udp: UDP and reliable UDP on one socket.
plugin_LTLIBRARIES += plugins/udp.la
plugins_udp_la_SOURCES = %D%/udp.c %D%/../peers.c %D%/../peers.h %D%/../utility.c %D%/../utility.h %D%/../public.c %D%/../public.h %D%/../answer.c %D%/../answer.h
plugins_udp_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%/..
plugins_udp_la_LIBADD = $(wire_lib) $(kernel_lib)
plugins_udp_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/udp.conf
check_PROGRAMS += %D%/tests/test_udp
%C%_tests_test_udp_SOURCES = %D%/tests/test_udp.c $(sim_ends)
%C%_tests_test_udp_LDADD = $(harness_lib) $(kernel_lib) $(wire_lib) $(test_libs)
## What udp and tcp share.
check_PROGRAMS += %D%/tests/test_public
%C%_tests_test_public_SOURCES = %D%/tests/test_public.c
%C%_tests_test_public_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
