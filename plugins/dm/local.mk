## SPDX-License-Identifier: Apache-2.0
## The plugin dm: direct messages.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/dm.h %D%/diarkis/dm_commands.h
plugin_LTLIBRARIES += plugins/dm.la
plugins_dm_la_SOURCES = %D%/dm.c %D%/dm_client.c %D%/dm_here.c %D%/dm_member.c %D%/dm_pack.c %D%/dm_pack.h %D%/dm_place.c %D%/dm_post.c \
	%D%/dm_rows.h %D%/dm_state.h %D%/dm_way.c
plugins_dm_la_LIBADD = $(kernel_lib)
plugins_dm_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/dm.conf
check_PROGRAMS += %D%/tests/test_dm_nodes
%C%_tests_test_dm_nodes_SOURCES = %D%/tests/test_dm_nodes.c %D%/tests/dm_nodes.c %D%/tests/dm_nodes.h %D%/dm_pack.c %D%/dm_pack.h \
	plugins/room/tests/fabric.c plugins/room/tests/fabric.h
%C%_tests_test_dm_nodes_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_dm_nodes_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dm_errors
%C%_tests_test_dm_errors_SOURCES = %D%/tests/test_dm_errors.c %D%/tests/dm_nodes.c %D%/tests/dm_nodes.h %D%/dm_pack.c %D%/dm_pack.h \
	plugins/room/tests/fabric.c plugins/room/tests/fabric.h
%C%_tests_test_dm_errors_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_dm_errors_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dm_walk
%C%_tests_test_dm_walk_SOURCES = %D%/tests/test_dm_walk.c %D%/tests/dm_nodes.c %D%/tests/dm_nodes.h \
	plugins/room/tests/fabric.c plugins/room/tests/fabric.h plugins/room/tests/walk.c plugins/room/tests/walk.h
%C%_tests_test_dm_walk_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_dm_walk_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/sim_dm
%C%_tests_sim_dm_SOURCES = %D%/tests/sim_dm.c $(sim_pair)
%C%_tests_sim_dm_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dm
%C%_tests_test_dm_SOURCES = %D%/tests/test_dm.c
%C%_tests_test_dm_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_dm_pack
%C%_tests_test_dm_pack_SOURCES = %D%/tests/test_dm_pack.c %D%/dm_pack.c %D%/dm_pack.h
%C%_tests_test_dm_pack_LDADD = $(test_libs)
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_dm_pack_CPPFLAGS = $(AM_CPPFLAGS)
