## SPDX-License-Identifier: Apache-2.0
## The plugin datacapsule: typed maps for other plugins.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/datacapsule.h
plugin_LTLIBRARIES += plugins/datacapsule.la
plugins_datacapsule_la_SOURCES = %D%/datacapsule.c %D%/json.c %D%/json.h plugins/props.c plugins/props.h
plugins_datacapsule_la_LIBADD = $(JANSSON_LIBS) $(kernel_lib)
plugins_datacapsule_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/datacapsule.conf

check_PROGRAMS += %D%/tests/test_capsule_json %D%/tests/test_datacapsule
%C%_tests_test_capsule_json_SOURCES = %D%/tests/test_capsule_json.c %D%/json.c %D%/json.h
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_capsule_json_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/%D%
%C%_tests_test_capsule_json_LDADD = $(JANSSON_LIBS) $(test_libs)
%C%_tests_test_datacapsule_SOURCES = %D%/tests/test_datacapsule.c
%C%_tests_test_datacapsule_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
