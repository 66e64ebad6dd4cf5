## SPDX-License-Identifier: Apache-2.0
## The plugin room: rooms.
## To enable: remove the two # of each line below. All plugins are built as plugins/NAME.la, so that one folder,
## plugins/.libs, holds them as an installed tree does.
##plugin_includes += -I$(top_srcdir)/%D%
##diarkisinclude_HEADERS += %D%/diarkis/room.h
##plugin_LTLIBRARIES += plugins/room.la
##plugins_room_la_SOURCES = %D%/room.c
##plugins_room_la_LIBADD = $(kernel_lib)
##plugins_room_la_LDFLAGS = $(plugin_ldflags)
##EXTRA_DIST += %D%/README.md %D%/room.conf
##check_PROGRAMS += %D%/tests/test_room
##%C%_tests_test_room_SOURCES = %D%/tests/test_room.c
##%C%_tests_test_room_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
