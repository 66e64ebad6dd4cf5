## SPDX-License-Identifier: Apache-2.0
## The plugin endpoint: the HTTP API that hands out endpoints and keys.
## To enable: remove the two # of each line below. All plugins are built as plugins/NAME.la, so that one folder,
## plugins/.libs, holds them as an installed tree does.
##plugin_includes += -I$(top_srcdir)/%D%
##diarkisinclude_HEADERS += %D%/diarkis/endpoint.h
##plugin_LTLIBRARIES += plugins/endpoint.la
##plugins_endpoint_la_SOURCES = %D%/endpoint.c
##plugins_endpoint_la_LIBADD = $(CRYPTO_LIBS) $(kernel_lib)
##plugins_endpoint_la_LDFLAGS = $(plugin_ldflags)
##EXTRA_DIST += %D%/README.md %D%/endpoint.conf
##check_PROGRAMS += %D%/tests/test_endpoint
##%C%_tests_test_endpoint_SOURCES = %D%/tests/test_endpoint.c
##%C%_tests_test_endpoint_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
