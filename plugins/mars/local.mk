## SPDX-License-Identifier: Apache-2.0
## The plugin mars: membership.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/mars_commands.h
plugin_LTLIBRARIES += plugins/mars.la
plugins_mars_la_SOURCES = %D%/mars.c %D%/mars_agent.c %D%/mars_hear.c %D%/mars_view.c %D%/mars_registry.c %D%/mars_report.c \
	%D%/mars_state.h %D%/mars_messages.h %D%/detector.c %D%/detector.h %D%/records.c %D%/records.h %D%/values.c %D%/shared.c \
	%D%/values.h
plugins_mars_la_LIBADD = $(kernel_lib)
plugins_mars_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/mars.conf

check_PROGRAMS += %D%/tests/test_detector
%C%_tests_test_detector_SOURCES = %D%/tests/test_detector.c %D%/detector.c %D%/detector.h
%C%_tests_test_detector_LDADD = $(test_libs) -lm
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_detector_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_records
%C%_tests_test_records_SOURCES = %D%/tests/test_records.c %D%/records.c %D%/values.c %D%/shared.c
%C%_tests_test_records_LDADD = $(kernel_lib) $(test_libs)
%C%_tests_test_records_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_mars
%C%_tests_test_mars_SOURCES = %D%/tests/test_mars.c %D%/tests/members.c %D%/tests/members.h
%C%_tests_test_mars_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_chaos
%C%_tests_test_chaos_SOURCES = %D%/tests/test_chaos.c %D%/tests/members.c %D%/tests/members.h
%C%_tests_test_chaos_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
