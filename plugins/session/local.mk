## SPDX-License-Identifier: Apache-2.0
## The plugin session: small groups of users who stay on their nodes.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/session.h %D%/diarkis/session_commands.h
plugin_LTLIBRARIES += plugins/session.la
plugins_session_la_SOURCES = %D%/session.c %D%/session_ask.c %D%/session_carry.c %D%/session_claim.c %D%/session_client.c %D%/session_drain.c \
	%D%/session_end.c %D%/session_here.c %D%/session_home.c %D%/session_invite.c %D%/session_look.c %D%/session_pack.c %D%/session_pack.h %D%/session_props.c \
	%D%/session_roll.c %D%/session_rows.h %D%/session_seats.c %D%/session_seats.h %D%/session_service.c %D%/session_state.h \
	%D%/session_store.c %D%/session_store.h plugins/props.c plugins/props.h
plugins_session_la_LIBADD = $(kernel_lib)
plugins_session_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/session.conf
check_PROGRAMS += %D%/tests/test_session
%C%_tests_test_session_SOURCES = %D%/tests/test_session.c %D%/tests/kit.c %D%/tests/kit.h plugins/room/tests/fabric.c \
	plugins/room/tests/fabric.h
%C%_tests_test_session_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_session_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_session_nodes
%C%_tests_test_session_nodes_SOURCES = %D%/tests/test_session_nodes.c %D%/tests/kit.c %D%/tests/kit.h plugins/room/tests/fabric.c \
	plugins/room/tests/fabric.h
%C%_tests_test_session_nodes_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_session_nodes_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_session_walk
%C%_tests_test_session_walk_SOURCES = %D%/tests/test_session_walk.c %D%/tests/kit.c %D%/tests/kit.h plugins/room/tests/fabric.c \
	plugins/room/tests/fabric.h
%C%_tests_test_session_walk_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_session_walk_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_session_stalls
%C%_tests_test_session_stalls_SOURCES = %D%/tests/test_session_stalls.c %D%/tests/kit.c %D%/tests/kit.h plugins/room/tests/fabric.c \
	plugins/room/tests/fabric.h
%C%_tests_test_session_stalls_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_session_stalls_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/sim_session
%C%_tests_sim_session_SOURCES = %D%/tests/sim_session.c $(sim_pair)
%C%_tests_sim_session_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/sim_session_moves
%C%_tests_sim_session_moves_SOURCES = %D%/tests/sim_session_moves.c $(sim_town)
%C%_tests_sim_session_moves_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_sim_session_moves_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_session_store
%C%_tests_test_session_store_SOURCES = %D%/tests/test_session_store.c %D%/session_pack.c %D%/session_pack.h %D%/session_seats.c \
	%D%/session_seats.h %D%/session_store.c %D%/session_store.h plugins/props.c plugins/props.h
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_session_store_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_session_store_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
