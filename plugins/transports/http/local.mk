## SPDX-License-Identifier: Apache-2.0
## The plugin http: HTTP/1.1 server with routes for other plugins. All plugins are built as plugins/NAME.la, so that one
## folder, plugins/.libs, holds them as an installed tree does.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/http.h

## What needs no kernel: also linked by its tests and by the fuzz target.
noinst_LTLIBRARIES += %D%/libhttp.la
%C%_libhttp_la_SOURCES = %D%/http_head.c %D%/http_head.h %D%/http_route.c %D%/http_route.h
%C%_libhttp_la_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
%C%_libhttp_la_LIBADD = $(llhttp_lib)
http_pure_lib = %D%/libhttp.la

plugin_LTLIBRARIES += plugins/http.la
plugins_http_la_SOURCES = %D%/http.c %D%/http_conn.c %D%/http_pages.c %D%/http_server.h
plugins_http_la_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
plugins_http_la_LIBADD = $(http_pure_lib) $(kernel_lib)
plugins_http_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/http.conf

check_PROGRAMS += %D%/tests/test_head %D%/tests/test_route %D%/tests/test_http
%C%_tests_test_head_SOURCES = %D%/tests/test_head.c
%C%_tests_test_head_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
%C%_tests_test_head_LDADD = $(http_pure_lib) $(test_libs)
%C%_tests_test_route_SOURCES = %D%/tests/test_route.c
%C%_tests_test_route_LDADD = $(http_pure_lib) $(test_libs)
%C%_tests_test_http_SOURCES = %D%/tests/test_http.c
%C%_tests_test_http_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
%C%_tests_test_http_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)

## The parser: the system's library, else its sources, which are generated code and not ours to warn about.
if LLHTTP_FROM_SOURCE
llhttp_lib = %D%/libllhttp.la
noinst_LTLIBRARIES += %D%/libllhttp.la
llhttp_copies = %D%/parser/api.c %D%/parser/http.c %D%/parser/llhttp.c
nodist_%C%_libllhttp_la_SOURCES = $(llhttp_copies)
%C%_libllhttp_la_CPPFLAGS = $(LLHTTP_CFLAGS) -DLLHTTP_STRICT_MODE=1
%C%_libllhttp_la_CFLAGS = $(AM_CFLAGS) -w
CLEANFILES += $(llhttp_copies)
$(llhttp_copies):
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $(LLHTTP_SOURCE_DIR)/$(@F) $@
else
llhttp_lib = $(LLHTTP_LIBS)
endif
