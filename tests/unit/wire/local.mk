## SPDX-License-Identifier: Apache-2.0
## Tests of wire/. Each program is one file; what they share is wire_test.c.
wire_tests = \
	%D%/test_vectors \
	%D%/test_link_rudp
check_PROGRAMS += $(wire_tests)
check_LTLIBRARIES += %D%/libwiretest.la
%C%_libwiretest_la_SOURCES = %D%/wire_test.c %D%/wire_test.h
wire_test_libs = %D%/libwiretest.la $(wire_lib) $(test_libs)

%C%_test_vectors_SOURCES = %D%/test_vectors.c
%C%_test_vectors_LDADD = $(wire_test_libs)

%C%_test_link_rudp_SOURCES = %D%/test_link_rudp.c
%C%_test_link_rudp_LDADD = $(wire_test_libs)
