## SPDX-License-Identifier: Apache-2.0
## libdiarkis-client: a core without I/O, a poll API; libdiarkis-client-uv: the same driven by libuv.
EXTRA_DIST += %D%/README.md
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/client.h %D%/diarkis/client_dm.h %D%/diarkis/client_group.h %D%/diarkis/client_http.h %D%/diarkis/client_notifier.h %D%/diarkis/client_room.h
lib_LTLIBRARIES += %D%/libdiarkis-client.la
%C%_libdiarkis_client_la_SOURCES = %D%/priv.h \
	%D%/client.c %D%/ctx.c %D%/dm.c %D%/endpoint.c %D%/events.c %D%/group.c %D%/http.c %D%/http_get.c \
	%D%/move.c %D%/notifier.c %D%/poll.c %D%/request.c %D%/room.c %D%/room_chat.c %D%/room_find.c %D%/room_priv.h \
	%D%/room_puffer.c %D%/room_send.c %D%/search.c %D%/seat.c %D%/stream.c
diarkisinclude_HEADERS += %D%/diarkis/client_room_data.h
%C%_libdiarkis_client_la_SOURCES += %D%/room_data.c
diarkisinclude_HEADERS += %D%/diarkis/client_session.h
%C%_libdiarkis_client_la_SOURCES += %D%/session.c
%C%_libdiarkis_client_la_LIBADD = $(wire_lib) $(JANSSON_LIBS)
%C%_libdiarkis_client_la_LDFLAGS = $(AM_LDFLAGS) $(DK_ZDEFS) -version-info 0:0:0
pkgconfig_DATA += %D%/diarkis-client.pc

diarkisinclude_HEADERS += %D%/diarkis/client_uv.h
lib_LTLIBRARIES += %D%/libdiarkis-client-uv.la
%C%_libdiarkis_client_uv_la_SOURCES = %D%/client_uv.c
%C%_libdiarkis_client_uv_la_LIBADD = $(client_lib) $(UV_LIBS)
%C%_libdiarkis_client_uv_la_LDFLAGS = $(AM_LDFLAGS) $(DK_ZDEFS) -version-info 0:0:0 -Wl,-rpath,'$$ORIGIN'
pkgconfig_DATA += %D%/diarkis-client-uv.pc

check_PROGRAMS += %D%/tests/test_client
%C%_tests_test_client_SOURCES = %D%/tests/test_client.c %D%/tests/world.c %D%/tests/world.h
%C%_tests_test_client_LDADD = $(client_lib) $(wire_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_follow
%C%_tests_test_follow_SOURCES = %D%/tests/test_follow.c %D%/tests/world.c %D%/tests/world.h
%C%_tests_test_follow_LDADD = $(client_lib) $(wire_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_endpoint
%C%_tests_test_endpoint_SOURCES = %D%/tests/test_endpoint.c
%C%_tests_test_endpoint_LDADD = $(client_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_drivers
%C%_tests_test_drivers_SOURCES = %D%/tests/test_drivers.c
%C%_tests_test_drivers_LDADD = client/libdiarkis-client-uv.la $(client_lib) $(wire_lib) $(UV_LIBS) $(test_libs)
