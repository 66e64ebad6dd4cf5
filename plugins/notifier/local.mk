## SPDX-License-Identifier: Apache-2.0
## The plugin notifier: notices to everybody.
plugin_includes += -I$(top_srcdir)/%D%
diarkisinclude_HEADERS += %D%/diarkis/notifier.h %D%/diarkis/notifier_commands.h
plugin_LTLIBRARIES += plugins/notifier.la
plugins_notifier_la_SOURCES = %D%/notices.c %D%/notices.h %D%/notifier.c %D%/notifier_share.c %D%/notifier_state.h %D%/notifier_tell.c
plugins_notifier_la_LIBADD = $(kernel_lib)
plugins_notifier_la_LDFLAGS = $(plugin_ldflags)
EXTRA_DIST += %D%/README.md %D%/notifier.conf
check_PROGRAMS += %D%/tests/test_notices
%C%_tests_test_notices_SOURCES = %D%/tests/test_notices.c %D%/notices.c %D%/notices.h
%C%_tests_test_notices_LDADD = $(kernel_objects) $(test_libs)
## Its own objects: those of the plugin are made by libtool.
%C%_tests_test_notices_CPPFLAGS = $(AM_CPPFLAGS)
check_PROGRAMS += %D%/tests/test_notifier
%C%_tests_test_notifier_SOURCES = %D%/tests/test_notifier.c plugins/room/tests/fabric.c plugins/room/tests/fabric.h
%C%_tests_test_notifier_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_notifier_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
check_PROGRAMS += %D%/tests/test_notifier_walk
%C%_tests_test_notifier_walk_SOURCES = %D%/tests/test_notifier_walk.c \
	plugins/room/tests/fabric.c plugins/room/tests/fabric.h plugins/room/tests/walk.c plugins/room/tests/walk.h
%C%_tests_test_notifier_walk_CPPFLAGS = $(AM_CPPFLAGS)
%C%_tests_test_notifier_walk_LDADD = $(harness_lib) $(kernel_lib) $(test_libs)
