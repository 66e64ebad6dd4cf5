## SPDX-License-Identifier: Apache-2.0
## The plugin debug: commands of test systems.
diarkisinclude_HEADERS += %D%/debug_commands.h
plugin_LTLIBRARIES += plugins/debug.la
plugins_debug_la_SOURCES = %D%/debug.c %D%/debug_commands.h
plugins_debug_la_LIBADD = $(JANSSON_LIBS) $(kernel_lib)
plugins_debug_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/debug.conf
check_PROGRAMS += %D%/tests/test_debug
%C%_tests_test_debug_SOURCES = %D%/tests/test_debug.c
%C%_tests_test_debug_LDADD = $(JANSSON_LIBS) $(harness_lib) $(kernel_lib) $(test_libs)
