## SPDX-License-Identifier: Apache-2.0
## The plugin endpoint: the HTTP API that hands out endpoints and keys. All plugins are built as plugins/NAME.la, so that one
## folder, plugins/.libs, holds them as an installed tree does.
plugin_LTLIBRARIES += plugins/endpoint.la
plugins_endpoint_la_SOURCES = %D%/endpoint.c %D%/endpoint_answer.c %D%/endpoint_nodes.c \
	%D%/endpoint_state.c %D%/endpoint_state.h %D%/endpoint_props.c %D%/endpoint_props.h
plugins_endpoint_la_LIBADD = $(JANSSON_LIBS) $(kernel_lib)
plugins_endpoint_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/endpoint.conf

check_PROGRAMS += %D%/tests/test_props %D%/tests/test_endpoint %D%/tests/test_cluster
%C%_tests_test_props_SOURCES = %D%/tests/test_props.c %D%/endpoint_props.c
%C%_tests_test_props_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_props_LDADD = $(JANSSON_LIBS) $(test_libs)
%C%_tests_test_endpoint_SOURCES = %D%/tests/test_endpoint.c
%C%_tests_test_endpoint_LDADD = $(JANSSON_LIBS) $(harness_lib) $(kernel_lib) $(test_libs)
%C%_tests_test_cluster_SOURCES = %D%/tests/test_cluster.c $(fake_cluster)
%C%_tests_test_cluster_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/plugins/user/tests
%C%_tests_test_cluster_LDADD = $(JANSSON_LIBS) $(harness_lib) $(kernel_lib) $(test_libs)
