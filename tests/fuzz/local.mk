## SPDX-License-Identifier: Apache-2.0
## Fuzz targets. With --enable-fuzz they are libFuzzer programs; without, replay.c gives each a main that runs its corpus,
## tests/fuzz/corpus/NAME for the target fuzz_NAME, as an ordinary test. For each target:
##fuzz_programs += %D%/fuzz_frame
##%C%_fuzz_frame_SOURCES = %D%/fuzz_frame.c $(fuzz_main)
##%C%_fuzz_frame_LDADD = $(wire_lib) $(fuzz_libs)
##%C%_fuzz_frame_LDFLAGS = $(fuzz_ldflags)
##EXTRA_DIST += %D%/corpus/frame
fuzz_programs += %D%/fuzz_answer
%C%_fuzz_answer_SOURCES = %D%/fuzz_answer.c plugins/transports/answer.c plugins/transports/answer.h $(fuzz_main)
## Its own objects: those of the plugins are made by libtool.
%C%_fuzz_answer_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_answer_LDADD = $(fuzz_libs)
%C%_fuzz_answer_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/answer
fuzz_programs += %D%/fuzz_capsule
%C%_fuzz_capsule_SOURCES = %D%/fuzz_capsule.c plugins/datacapsule/json.c $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_capsule_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_capsule_LDADD = $(JANSSON_LIBS) $(fuzz_libs)
%C%_fuzz_capsule_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/capsule
fuzz_programs += %D%/fuzz_client
%C%_fuzz_client_SOURCES = %D%/fuzz_client.c $(fuzz_main)
%C%_fuzz_client_LDADD = $(client_lib) $(wire_lib) $(fuzz_libs)
%C%_fuzz_client_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/client
fuzz_programs += %D%/fuzz_cluster
%C%_fuzz_cluster_SOURCES = %D%/fuzz_cluster.c $(fuzz_main)
%C%_fuzz_cluster_LDADD = $(wire_lib) $(fuzz_libs)
%C%_fuzz_cluster_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/cluster
fuzz_programs += %D%/fuzz_config
%C%_fuzz_config_SOURCES = %D%/fuzz_config.c $(fuzz_main)
%C%_fuzz_config_LDADD = $(kernel_objects) $(fuzz_libs)
%C%_fuzz_config_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/config
fuzz_programs += %D%/fuzz_dive
%C%_fuzz_dive_SOURCES = %D%/fuzz_dive.c plugins/dive/dive_hrw.c plugins/dive/dive_memo.c plugins/dive/dive_store.c $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_dive_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_dive_LDADD = $(kernel_objects) $(fuzz_libs)
%C%_fuzz_dive_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/dive
fuzz_programs += %D%/fuzz_dm
%C%_fuzz_dm_SOURCES = %D%/fuzz_dm.c plugins/dm/dm_pack.c plugins/dm/dm_pack.h $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_dm_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_dm_LDADD = $(fuzz_libs)
%C%_fuzz_dm_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/dm
fuzz_programs += %D%/fuzz_group
%C%_fuzz_group_SOURCES = %D%/fuzz_group.c plugins/group/group_view.c plugins/group/group_view.h $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_group_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_group_LDADD = $(kernel_objects) $(fuzz_libs)
%C%_fuzz_group_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/group
fuzz_programs += %D%/fuzz_groups
%C%_fuzz_groups_SOURCES = %D%/fuzz_groups.c $(group_sources) $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_groups_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_groups_LDADD = $(harness_lib) $(kernel_lib) $(fuzz_libs)
%C%_fuzz_groups_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/groups
fuzz_programs += %D%/fuzz_http
%C%_fuzz_http_SOURCES = %D%/fuzz_http.c $(fuzz_main)
%C%_fuzz_http_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
%C%_fuzz_http_LDADD = $(http_pure_lib) $(fuzz_libs)
%C%_fuzz_http_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/http
fuzz_programs += %D%/fuzz_mars
%C%_fuzz_mars_SOURCES = %D%/fuzz_mars.c plugins/mars/records.c plugins/mars/values.c plugins/mars/shared.c $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_mars_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_mars_LDADD = $(kernel_objects) $(fuzz_libs)
%C%_fuzz_mars_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/mars
fuzz_programs += %D%/fuzz_mesh
%C%_fuzz_mesh_SOURCES = %D%/fuzz_mesh.c $(mesh_sources) $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_mesh_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_mesh_LDADD = $(harness_lib) $(kernel_lib) $(wire_lib) $(fuzz_libs)
%C%_fuzz_mesh_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/mesh
fuzz_programs += %D%/fuzz_notices
%C%_fuzz_notices_SOURCES = %D%/fuzz_notices.c plugins/notifier/notices.c plugins/notifier/notices.h $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_notices_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_notices_LDADD = $(kernel_objects) $(fuzz_libs)
%C%_fuzz_notices_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/notices
fuzz_programs += %D%/fuzz_packet
%C%_fuzz_packet_SOURCES = %D%/fuzz_packet.c $(fuzz_main)
%C%_fuzz_packet_LDADD = $(kernel_objects) $(fuzz_libs)
%C%_fuzz_packet_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/packet
fuzz_programs += %D%/fuzz_peer
%C%_fuzz_peer_SOURCES = %D%/fuzz_peer.c $(fuzz_main)
%C%_fuzz_peer_LDADD = $(wire_lib) $(fuzz_libs)
%C%_fuzz_peer_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/peer
fuzz_programs += %D%/fuzz_room
%C%_fuzz_room_SOURCES = %D%/fuzz_room.c plugins/room/room_pack.c plugins/room/room_pack.h $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_room_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_room_LDADD = $(fuzz_libs)
%C%_fuzz_room_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/room
fuzz_programs += %D%/fuzz_rudp
%C%_fuzz_rudp_SOURCES = %D%/fuzz_rudp.c $(fuzz_main)
%C%_fuzz_rudp_LDADD = $(wire_lib) $(fuzz_libs)
%C%_fuzz_rudp_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/rudp
fuzz_programs += %D%/fuzz_session
%C%_fuzz_session_SOURCES = %D%/fuzz_session.c plugins/session/session_pack.c plugins/session/session_pack.h $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_session_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_session_LDADD = $(fuzz_libs)
%C%_fuzz_session_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/session
fuzz_programs += %D%/fuzz_split
%C%_fuzz_split_SOURCES = %D%/fuzz_split.c $(fuzz_main)
%C%_fuzz_split_LDADD = $(wire_lib) $(fuzz_libs)
%C%_fuzz_split_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/split
fuzz_programs += %D%/fuzz_stream
%C%_fuzz_stream_SOURCES = %D%/fuzz_stream.c $(fuzz_main)
%C%_fuzz_stream_LDADD = $(wire_lib) $(fuzz_libs)
%C%_fuzz_stream_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/stream
EXTRA_DIST += %D%/replay.c
fuzz_programs += %D%/fuzz_kept
%C%_fuzz_kept_SOURCES = %D%/fuzz_kept.c plugins/room/room_objects.c plugins/room/room_objects.h plugins/room/room_states.c \
	plugins/room/room_states.h $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_kept_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_kept_LDADD = $(client_lib) $(kernel_lib) $(fuzz_libs)
%C%_fuzz_kept_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/kept
fuzz_programs += %D%/fuzz_record
%C%_fuzz_record_SOURCES = %D%/fuzz_record.c plugins/room/room_log.c plugins/room/room_log.h $(fuzz_main)
## Its own objects: those of the plugin are made by libtool.
%C%_fuzz_record_CPPFLAGS = $(AM_CPPFLAGS)
%C%_fuzz_record_LDADD = $(fuzz_libs)
%C%_fuzz_record_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/record
