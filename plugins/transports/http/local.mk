## SPDX-License-Identifier: Apache-2.0
## The plugin http: HTTP/1.1 server with routes for other plugins.
## To enable: remove the two # of each line below. All plugins are built as plugins/NAME.la, so that one folder,
## plugins/.libs, holds them as an installed tree does.
##plugin_includes += -I$(top_srcdir)/%D%
##diarkisinclude_HEADERS += %D%/diarkis/http.h
##plugin_LTLIBRARIES += plugins/http.la
##plugins_http_la_SOURCES = %D%/http.c
##plugins_http_la_LIBADD = $(llhttp_lib) $(kernel_lib)
##plugins_http_la_LDFLAGS = $(plugin_ldflags)
##EXTRA_DIST += %D%/README.md %D%/http.conf
##check_PROGRAMS += %D%/tests/test_http
##%C%_tests_test_http_SOURCES = %D%/tests/test_http.c
##%C%_tests_test_http_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
##plugins_http_la_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)

## The parser: the system's library, else its sources, which are generated code and not ours to warn about.
if LLHTTP_FROM_SOURCE
llhttp_lib = %D%/libllhttp.la
noinst_LTLIBRARIES += %D%/libllhttp.la
llhttp_copies = %D%/parser/api.c %D%/parser/http.c %D%/parser/llhttp.c
nodist_%C%_libllhttp_la_SOURCES = $(llhttp_copies)
%C%_libllhttp_la_CPPFLAGS = $(LLHTTP_CFLAGS)
%C%_libllhttp_la_CFLAGS = $(AM_CFLAGS) -w
CLEANFILES += $(llhttp_copies)
$(llhttp_copies):
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $(LLHTTP_SOURCE_DIR)/$(@F) $@
else
llhttp_lib = $(LLHTTP_LIBS)
endif
