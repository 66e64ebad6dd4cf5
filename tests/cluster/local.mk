## SPDX-License-Identifier: Apache-2.0
## Real processes on loopback: Check programs, or scripts that count as one check each. make check-cluster runs them, and
## ./dev test; make check does not. They may assert only bounds of whole seconds. For each:
##cluster_programs += %D%/cluster_signals
##%C%_cluster_signals_SOURCES = %D%/cluster_signals.c
##%C%_cluster_signals_LDADD = $(client_lib) $(test_libs)
##cluster_scripts += %D%/install.sh
cluster_scripts += %D%/kept.sh
cluster_scripts += %D%/bots.sh %D%/boot.sh %D%/stop.sh %D%/http.sh %D%/crowd.sh %D%/tasks.sh %D%/crash.sh %D%/install.sh \
	%D%/workers.sh %D%/calls.sh %D%/scenario.sh %D%/health.sh %D%/cluster_up.sh %D%/cluster_template.sh \
	%D%/cluster_mars.sh %D%/cluster_rolling.sh %D%/cluster_drain.sh %D%/cluster_follow.sh %D%/cluster_pause.sh %D%/cluster_kill.sh \
	%D%/cluster_mixed.sh %D%/cluster_find.sh %D%/cluster_dm.sh
EXTRA_DIST += %D%/lib.sh %D%/nodes.sh %D%/cluster.sh %D%/template %D%/mixed
cluster_programs += %D%/cluster_embed
%C%_cluster_embed_SOURCES = %D%/cluster_embed.c
%C%_cluster_embed_LDADD = $(kernel_lib) $(test_libs)
cluster_scripts += %D%/record.sh %D%/notices.sh
