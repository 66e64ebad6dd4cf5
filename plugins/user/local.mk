## SPDX-License-Identifier: Apache-2.0
## The plugin user: users, their properties and their command queue.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/user.h %D%/diarkis/user_commands.h
plugin_LTLIBRARIES += plugins/user.la
plugins_user_la_SOURCES = %D%/user.c %D%/user_rows.c %D%/user_inbox.c %D%/user_queue.c \
	%D%/user_props.c %D%/user_pack.c %D%/user_move.c %D%/user_arrive.c %D%/user_again.c %D%/user_create.c \
	%D%/user_drain.c \
	%D%/user_node_commands.h %D%/user_state.h \
	plugins/props.c plugins/props.h
plugins_user_la_LIBADD = $(kernel_lib)
plugins_user_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/user.conf
check_PROGRAMS += %D%/tests/test_user %D%/tests/test_move %D%/tests/test_drain %D%/tests/sim_moves
%C%_tests_test_user_SOURCES = %D%/tests/test_user.c
%C%_tests_test_user_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
fake_cluster = plugins/user/tests/fake_cluster.c plugins/user/tests/fake_cluster.h
%C%_tests_test_move_SOURCES = %D%/tests/test_move.c $(fake_cluster)
%C%_tests_test_move_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
%C%_tests_test_drain_SOURCES = %D%/tests/test_drain.c $(fake_cluster)
%C%_tests_test_drain_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
%C%_tests_sim_moves_SOURCES = %D%/tests/sim_moves.c $(sim_wires)
%C%_tests_sim_moves_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
