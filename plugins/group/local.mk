## SPDX-License-Identifier: Apache-2.0
## The plugin group: groups.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/group.h %D%/diarkis/group_commands.h
plugin_LTLIBRARIES += plugins/group.la
group_sources = %D%/group.c %D%/group_arrive.c %D%/group_client.c %D%/group_depart.c %D%/group_join.c %D%/group_list.c \
	%D%/group_log.c %D%/group_merge.c %D%/group_relay.c %D%/group_rows.h %D%/group_service.c %D%/group_state.h %D%/group_store.c %D%/group_store.h \
	%D%/group_sync.c %D%/group_tick.c %D%/group_view.c %D%/group_view.h plugins/gather.c plugins/gather.h
group_sources += %D%/group_support.c plugins/directory.c plugins/directory.h plugins/listing.c plugins/listing.h
plugins_group_la_SOURCES = $(group_sources)
plugins_group_la_LIBADD = $(kernel_lib)
plugins_group_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/group.conf
## Nodes of one world: room's.
group_fabric = plugins/room/tests/fabric.c plugins/room/tests/fabric.h
check_PROGRAMS += %D%/tests/test_group_nodes
%C%_tests_test_group_nodes_SOURCES = %D%/tests/test_group_nodes.c $(group_fabric)
%C%_tests_test_group_nodes_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_group_nodes_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_group_walk
%C%_tests_test_group_walk_SOURCES = %D%/tests/test_group_walk.c $(group_fabric)
%C%_tests_test_group_walk_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_group_walk_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_group_stalls
%C%_tests_test_group_stalls_SOURCES = %D%/tests/test_group_stalls.c $(group_fabric)
%C%_tests_test_group_stalls_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_group_stalls_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_group
%C%_tests_test_group_SOURCES = %D%/tests/test_group.c $(group_fabric)
%C%_tests_test_group_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_group_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_group_hooks
%C%_tests_test_group_hooks_SOURCES = %D%/tests/test_group_hooks.c $(group_fabric)
%C%_tests_test_group_hooks_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_group_hooks_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_group_view
%C%_tests_test_group_view_SOURCES = %D%/tests/test_group_view.c %D%/group_view.c %D%/group_view.h
%C%_tests_test_group_view_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_group_view_LDADD = $(kernel_lib) $(test_libs)
## Its calls, by clients over UDP and TCP.
check_PROGRAMS += %D%/tests/sim_group
%C%_tests_sim_group_SOURCES = %D%/tests/sim_group.c $(sim_pair)
%C%_tests_sim_group_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_group_support
%C%_tests_test_group_support_SOURCES = %D%/tests/test_group_support.c $(group_fabric)
%C%_tests_test_group_support_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_group_support_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
