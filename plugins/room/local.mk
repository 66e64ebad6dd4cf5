## SPDX-License-Identifier: Apache-2.0
## The plugin room: rooms.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/room.h %D%/diarkis/room_commands.h
plugin_LTLIBRARIES += plugins/room.la
plugins_room_la_SOURCES = %D%/room.c %D%/room_alias.c %D%/room_alias.h %D%/room_arrive.c %D%/room_backup.c %D%/room_carry.c \
	%D%/room_chat.c %D%/room_client.c %D%/room_clock.c %D%/room_drain.c %D%/room_errand.c %D%/room_keep.c %D%/room_land.c %D%/room_look.c %D%/room_migrate.c %D%/room_pack.c %D%/room_pack.h \
	%D%/room_pick.c %D%/room_puffer.c %D%/room_relay.c %D%/room_remote.c %D%/room_replica.c %D%/room_rows.h %D%/room_send.c \
	%D%/room_service.c %D%/room_state.h %D%/room_store.c %D%/room_store.h %D%/room_takeover.c \
	plugins/gather.c plugins/gather.h plugins/props.c \
	plugins/props.h
plugins_room_la_SOURCES += %D%/room_data.h %D%/room_props.c %D%/room_states.c %D%/room_states.h %D%/room_sync.c %D%/room_sync.h \
	%D%/room_sync_carry.c %D%/room_sync_client.c %D%/room_object.c %D%/room_objects.c %D%/room_objects.h
plugins_room_la_LIBADD = $(kernel_lib)
plugins_room_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/room.conf %D%/tests/many-seats.sh
check_PROGRAMS += %D%/tests/test_room_store
%C%_tests_test_room_store_SOURCES = %D%/tests/test_room_store.c %D%/room_store.c %D%/room_store.h plugins/props.c \
	plugins/props.h
%C%_tests_test_room_store_LDADD = $(kernel_lib) $(test_libs)
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_room_store_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_room
%C%_tests_test_room_SOURCES = %D%/tests/test_room.c
%C%_tests_test_room_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_pack
%C%_tests_test_room_pack_SOURCES = %D%/tests/test_room_pack.c %D%/room_alias.c %D%/room_alias.h %D%/room_pack.c %D%/room_pack.h
%C%_tests_test_room_pack_LDADD = $(kernel_lib) $(test_libs)
%C%_tests_test_room_pack_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_room_remote
%C%_tests_test_room_remote_SOURCES = %D%/tests/test_room_remote.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_remote_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_props
%C%_tests_test_room_props_SOURCES = %D%/tests/test_room_props.c %D%/tests/kept.c %D%/tests/kept.h %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_props_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_sync
%C%_tests_test_room_sync_SOURCES = %D%/tests/test_room_sync.c %D%/tests/kept.c %D%/tests/kept.h %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_sync_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_object
%C%_tests_test_room_object_SOURCES = %D%/tests/test_room_object.c %D%/tests/kept.c %D%/tests/kept.h %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_object_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_states
%C%_tests_test_room_states_SOURCES = %D%/tests/test_room_states.c %D%/room_states.c %D%/room_states.h
%C%_tests_test_room_states_LDADD = $(kernel_lib) $(test_libs)
%C%_tests_test_room_states_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_room_migrate
%C%_tests_test_room_migrate_SOURCES = %D%/tests/test_room_migrate.c %D%/tests/fabric.c %D%/tests/fabric.h examples/attack/attack.c
%C%_tests_test_room_migrate_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_room_migrate_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_replica
%C%_tests_test_room_replica_SOURCES = %D%/tests/test_room_replica.c %D%/tests/fabric.c %D%/tests/fabric.h examples/attack/attack.c
%C%_tests_test_room_replica_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_room_replica_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_send
%C%_tests_test_room_send_SOURCES = %D%/tests/test_room_send.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_send_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_chat
%C%_tests_test_room_chat_SOURCES = %D%/tests/test_room_chat.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_chat_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_clock
%C%_tests_test_room_clock_SOURCES = %D%/tests/test_room_clock.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_clock_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_far
%C%_tests_test_room_far_SOURCES = %D%/tests/test_room_far.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_far_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_seats
%C%_tests_test_room_seats_SOURCES = %D%/tests/test_room_seats.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_seats_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_puffer
%C%_tests_test_room_puffer_SOURCES = %D%/tests/test_room_puffer.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_puffer_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_errors
%C%_tests_test_room_errors_SOURCES = %D%/tests/test_room_errors.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_errors_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_hooks
%C%_tests_test_room_hooks_SOURCES = %D%/tests/test_room_hooks.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_hooks_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_walk
%C%_tests_test_room_walk_SOURCES = %D%/tests/test_room_walk.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_walk_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/sim_migrate
%C%_tests_sim_migrate_SOURCES = %D%/tests/sim_migrate.c $(sim_town)
%C%_tests_sim_migrate_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_sim_migrate_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
plugins_room_la_SOURCES += %D%/room_dump.c %D%/room_dump.h %D%/room_log.c %D%/room_log.h %D%/room_play.c %D%/room_play.h %D%/room_record.c %D%/room_http.c %D%/room_support.c plugins/directory.c plugins/directory.h plugins/listing.c \
	plugins/listing.h
check_PROGRAMS += %D%/tests/test_room_support
%C%_tests_test_room_support_SOURCES = %D%/tests/test_room_support.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_support_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_directory
%C%_tests_test_directory_SOURCES = %D%/tests/test_directory.c plugins/directory.c plugins/directory.h
%C%_tests_test_directory_LDADD = $(kernel_lib) $(test_libs)
%C%_tests_test_directory_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_room_http
%C%_tests_test_room_http_SOURCES = %D%/tests/test_room_http.c %D%/tests/fabric.c %D%/tests/fabric.h
%C%_tests_test_room_http_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/sim_kept_moves
%C%_tests_sim_kept_moves_SOURCES = %D%/tests/sim_kept_moves.c $(sim_town)
%C%_tests_sim_kept_moves_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_sim_kept_moves_LDADD = $(harness_lib) $(client_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_record
%C%_tests_test_room_record_SOURCES = %D%/tests/test_room_record.c tools/room_replay.c tools/room_replay.h %D%/room_log.c \
	%D%/room_log.h
%C%_tests_test_room_record_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_room_record_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_room_record_far
%C%_tests_test_room_record_far_SOURCES = %D%/tests/test_room_record_far.c %D%/tests/fabric.c %D%/tests/fabric.h tools/room_replay.c \
	tools/room_replay.h %D%/room_log.c %D%/room_log.h
%C%_tests_test_room_record_far_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_room_record_far_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
