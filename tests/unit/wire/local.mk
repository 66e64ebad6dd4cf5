## SPDX-License-Identifier: Apache-2.0
## Tests of wire/. Each program is one file; what they share is wire_test.c.
check_PROGRAMS += \
	%D%/test_address \
	%D%/test_drops \
	%D%/test_link_rudp \
	%D%/test_move \
	%D%/test_output \
	%D%/test_parts \
	%D%/test_seal \
	%D%/test_seal_evp \
	%D%/test_stream \
	%D%/test_vectors
check_LTLIBRARIES += %D%/libwiretest.la
%C%_libwiretest_la_SOURCES = %D%/wire_test.c %D%/wire_test.h
wire_test_libs = %D%/libwiretest.la $(wire_lib) $(test_libs)

%C%_test_address_SOURCES = %D%/test_address.c
%C%_test_address_LDADD = $(wire_test_libs)
%C%_test_drops_SOURCES = %D%/test_drops.c
%C%_test_drops_LDADD = $(wire_test_libs)
%C%_test_link_rudp_SOURCES = %D%/test_link_rudp.c
%C%_test_link_rudp_LDADD = $(wire_test_libs)
%C%_test_move_SOURCES = %D%/test_move.c
%C%_test_move_LDADD = $(wire_test_libs)
%C%_test_output_SOURCES = %D%/test_output.c
%C%_test_output_LDADD = $(wire_test_libs)
%C%_test_parts_SOURCES = %D%/test_parts.c
%C%_test_parts_LDADD = $(wire_test_libs)
%C%_test_seal_SOURCES = %D%/test_seal.c
%C%_test_seal_LDADD = $(wire_test_libs)
## The same test over the fallback: this seal.o comes first, so the library's is not looked at.
%C%_test_seal_evp_SOURCES = %D%/test_seal.c wire/seal.c
%C%_test_seal_evp_CPPFLAGS = $(AM_CPPFLAGS) -DWIRE_SEAL_EVP
%C%_test_seal_evp_LDADD = $(wire_test_libs)
%C%_test_stream_SOURCES = %D%/test_stream.c
%C%_test_stream_LDADD = $(wire_test_libs)
%C%_test_vectors_SOURCES = %D%/test_vectors.c
%C%_test_vectors_LDADD = $(wire_test_libs)
check_PROGRAMS += %D%/test_cluster
%C%_test_cluster_SOURCES = %D%/test_cluster.c
%C%_test_cluster_LDADD = $(wire_lib) $(test_libs)
