## SPDX-License-Identifier: Apache-2.0
## The plugin dive: storages spread over nodes.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/dive.h
plugin_LTLIBRARIES += plugins/dive.la
plugins_dive_la_SOURCES = %D%/dive.c %D%/dive_ask.c %D%/dive_claim.c %D%/dive_claimed.c %D%/dive_compare.c %D%/dive_copy.c %D%/dive_hrw.c %D%/dive_hrw.h %D%/dive_land.c \
	%D%/dive_memo.c %D%/dive_memo.h %D%/dive_move.c %D%/dive_parcel.c %D%/dive_rows.h %D%/dive_serve.c %D%/dive_state.h \
	%D%/dive_store.c %D%/dive_store.h %D%/dive_view.c
plugins_dive_la_LIBADD = $(kernel_lib)
plugins_dive_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/dive.conf
check_PROGRAMS += %D%/tests/test_dive_store
%C%_tests_test_dive_store_SOURCES = %D%/tests/test_dive_store.c %D%/dive_hrw.c %D%/dive_hrw.h %D%/dive_store.c %D%/dive_store.h
%C%_tests_test_dive_store_LDADD = $(kernel_lib) $(test_libs)
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_dive_store_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_dive
%C%_tests_test_dive_SOURCES = %D%/tests/test_dive.c %D%/tests/dive_nodes.c %D%/tests/dive_nodes.h
%C%_tests_test_dive_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dive_nodes
%C%_tests_test_dive_nodes_SOURCES = %D%/tests/test_dive_nodes.c %D%/tests/dive_nodes.c %D%/tests/dive_nodes.h %D%/dive_hrw.c %D%/dive_hrw.h
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_dive_nodes_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_dive_nodes_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dive_moves
%C%_tests_test_dive_moves_SOURCES = %D%/tests/test_dive_moves.c %D%/tests/dive_nodes.c %D%/tests/dive_nodes.h %D%/dive_hrw.c %D%/dive_hrw.h
%C%_tests_test_dive_moves_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_dive_moves_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dive_hooks
%C%_tests_test_dive_hooks_SOURCES = %D%/tests/test_dive_hooks.c %D%/tests/dive_nodes.c %D%/tests/dive_nodes.h
%C%_tests_test_dive_hooks_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dive_memo
%C%_tests_test_dive_memo_SOURCES = %D%/tests/test_dive_memo.c %D%/dive_memo.c %D%/dive_memo.h
%C%_tests_test_dive_memo_LDADD = $(kernel_lib) $(test_libs)
%C%_tests_test_dive_memo_CPPFLAGS = $(AM_CPPFLAGS)
## Keys under random faults, and the judge of what clients saw.
check_PROGRAMS += %D%/tests/sim_dive
%C%_tests_sim_dive_SOURCES = %D%/tests/sim_dive.c %D%/tests/history.c %D%/tests/history.h %D%/tests/dive_nodes.c %D%/tests/dive_nodes.h \
	%D%/dive_hrw.c %D%/dive_hrw.h
%C%_tests_sim_dive_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_sim_dive_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
