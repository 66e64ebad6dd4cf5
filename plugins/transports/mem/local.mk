## SPDX-License-Identifier: Apache-2.0
## The plugin mem: a transport inside one process, for tests and embedding.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/mem_transport.h
plugin_LTLIBRARIES += plugins/mem.la
plugins_mem_la_SOURCES = %D%/mem.c
plugins_mem_la_LIBADD = $(kernel_lib)
plugins_mem_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/mem.conf
check_PROGRAMS += %D%/tests/test_mem
%C%_tests_test_mem_SOURCES = %D%/tests/test_mem.c
%C%_tests_test_mem_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
