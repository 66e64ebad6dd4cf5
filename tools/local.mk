## SPDX-License-Identifier: Apache-2.0
## The command line tools and scripts for people, and the list of Debian packages.
EXTRA_DIST += %D%/packages.txt %D%/readme-tables.sh
## Lies beside the examples that it copies.
dist_pkgdata_SCRIPTS = %D%/new-plugin.sh
bin_PROGRAMS += %D%/diarkis-bot
%C%_diarkis_bot_SOURCES = %D%/bot.c %D%/bot.h %D%/bot_options.c %D%/bot_run.c %D%/bot_visit.c %D%/bot_report.c %D%/bot_process.c \
	%D%/bot_circle.c %D%/bot_circle.h %D%/bot_circle_report.c %D%/bot_track.c %D%/bot_room.c %D%/bot_state.c %D%/bot_find.c %D%/bot_group.c \
	%D%/bot_session.c %D%/bot_dm.c %D%/bot_dive.c %D%/bot_notifier.c %D%/bot_idle.c \
	%D%/bot_plan.c %D%/bot_plan.h %D%/bot_child.c %D%/bot_child.h %D%/bot_server.c \
	%D%/bot_fetch.c %D%/bot_net.c %D%/bot_net.h %D%/bot_net_priv.h %D%/bot_net_tcp.c %D%/bot_net_dial.c \
	%D%/hist.c %D%/hist.h
%C%_diarkis_bot_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
%C%_diarkis_bot_LDADD = $(client_lib) $(llhttp_lib) $(JANSSON_LIBS)
%C%_diarkis_bot_LDFLAGS = $(program_ldflags)

bin_PROGRAMS += %D%/diarkis-cli
%C%_diarkis_cli_SOURCES = %D%/cli.c %D%/cli.h %D%/cli_command.c %D%/cli_print.c %D%/cli_replay.c %D%/cli_rows.c \
	kernel/payload.c kernel/payload.h
%C%_diarkis_cli_LDADD = $(client_lib) $(JANSSON_LIBS)
%C%_diarkis_cli_LDFLAGS = $(program_ldflags)

## Tools that ask a node one question.
probe_sources = %D%/probe.c %D%/probe.h %D%/guest.c %D%/guest.h
bin_PROGRAMS += %D%/diarkis-health-check
%C%_diarkis_health_check_SOURCES = %D%/health_check.c %D%/health_out.c %D%/health_mesh.c %D%/health.h $(probe_sources)
%C%_diarkis_health_check_CPPFLAGS = $(AM_CPPFLAGS) -DDK_SYSCONF_DIR='"$(diarkissysconfdir)"'
%C%_diarkis_health_check_LDADD = $(wire_lib) $(JANSSON_LIBS)
%C%_diarkis_health_check_LDFLAGS = $(program_ldflags)
bin_PROGRAMS += %D%/diarkis-mars-stats
%C%_diarkis_mars_stats_SOURCES = %D%/mars_stats.c $(probe_sources)
%C%_diarkis_mars_stats_LDADD = $(wire_lib) $(JANSSON_LIBS)
%C%_diarkis_mars_stats_LDFLAGS = $(program_ldflags)
bin_PROGRAMS += %D%/diarkisctl
%C%_diarkisctl_SOURCES = %D%/ctl.c $(probe_sources)
%C%_diarkisctl_LDADD = $(wire_lib)
%C%_diarkisctl_LDFLAGS = $(program_ldflags)

## Plays recorded rooms again.
bin_PROGRAMS += %D%/diarkis-replay
%C%_diarkis_replay_SOURCES = %D%/replay.c %D%/room_replay.c %D%/room_replay.h plugins/room/room_log.c plugins/room/room_log.h
%C%_diarkis_replay_CPPFLAGS = $(AM_CPPFLAGS) -DDK_PLUGIN_DIR='"$(plugindir)"'
%C%_diarkis_replay_LDADD = $(harness_lib) $(kernel_lib) $(JANSSON_LIBS)
%C%_diarkis_replay_LDFLAGS = $(program_ldflags)

## The names of the reference's tools, for scripts that call them: libexec/health-check.
tools_links = health-check:diarkis-health-check
install-exec-hook: install-binPROGRAMS
	@$(MKDIR_P) "$(DESTDIR)$(libexecdir)"
	@for l in $(tools_links); do \
		$(LN_S) -f -r "$(DESTDIR)$(bindir)/$${l#*:}" "$(DESTDIR)$(libexecdir)/$${l%:*}"; done
uninstall-local:
	@for l in $(tools_links); do rm -f "$(DESTDIR)$(libexecdir)/$${l%:*}"; done

## One player of ./dev demo; ./dev demo --kill.
EXTRA_DIST += %D%/demo/kill.sh %D%/demo/modules.sh
noinst_PROGRAMS += %D%/demo/demo_pair
%C%_demo_demo_pair_SOURCES = %D%/demo/pair.c
%C%_demo_demo_pair_LDADD = $(client_lib)

check_PROGRAMS += %D%/tests/test_hist
%C%_tests_test_hist_SOURCES = %D%/tests/test_hist.c %D%/hist.c
%C%_tests_test_hist_LDADD = $(test_libs)
check_PROGRAMS += %D%/tests/test_track
%C%_tests_test_track_SOURCES = %D%/tests/test_track.c %D%/bot_track.c %D%/hist.c
%C%_tests_test_track_LDADD = $(test_libs)
check_PROGRAMS += %D%/tests/test_bot_notifier
%C%_tests_test_bot_notifier_SOURCES = %D%/tests/test_bot_notifier.c %D%/bot_notifier.c %D%/hist.c
%C%_tests_test_bot_notifier_LDADD = $(client_lib) $(test_libs)
